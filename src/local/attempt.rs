//! One attempt of one job, from its worker's start, or its adoption, to the record of how it ended.
//!
//! Two locks hold it together. The worker has `jobs/<id>.lock` from before it claims the row until it is gone; the
//! payload and everything it starts inherit `jobs/<id>.payload.lock`. No attempt begins and none is given up
//! while either is held by another, so two of the same job never run at once, and a worker that was started by a
//! dead supervisor and is only late finds its attempt given up when it claims.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use shepard_cloud::local::{End, LocalJob};
use shepard_cloud::ports::{Applied, ComputeState};
use shepard_model::names::worker_env as env;
use shepard_model::{JobId, JobRow, Outcome, Transition};
use tokio_util::sync::CancellationToken;

use super::error::LocalError;
use super::lock::Held;
use super::supervise::Context;
use super::wake::Backoff;
use super::{containers, holders, launch, memory};

/// What a worker may take after SIGTERM: the grace it gives its payload, and time to write down how that ended.
const WORKER_GRACE: Duration = Duration::from_secs(15);
/// How often what is left of a payload is killed again while its lock is still held.
const KILL_EVERY: Duration = Duration::from_millis(100);
/// After how many of those it is said in the log that something will not die.
const KILLS_BEFORE_SAID: u32 = 50;

/// Exit code of a worker that could not run its payload here and now.
const POSTPONED: i32 = 77;
/// How long the next attempt waits then: at first, and at most. It doubles with each.
const POSTPONED_FIRST: Duration = Duration::from_secs(1);
const POSTPONED_LONGEST: Duration = Duration::from_secs(60);
/// And how long beyond that for an engine that does not answer. The row says meanwhile why its attempt was given back.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);

/// How an attempt came into this supervisor's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Just taken: its worker is to be started.
    Fresh,
    /// An earlier supervisor's: its worker lives, or is to be seen as dead.
    Adopted,
}

/// What is known of a worker that is gone.
enum Gone {
    NotStarted(String),
    /// Told to stop before there was a worker.
    NotBegun,
    Exited(ExitStatus),
    /// It was no child of ours.
    Unknown,
}

impl Gone {
    fn words(&self) -> String {
        match self {
            Self::NotStarted(error) => format!("the worker could not be started: {error}"),
            Self::NotBegun => "stopped before it began".to_owned(),
            Self::Exited(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => format!("the worker was killed by signal {signal}"),
                (None, Some(code)) => format!("the worker ended with exit code {code} and said no more"),
                (None, None) => "the worker ended and said no more".to_owned(),
            },
            Self::Unknown => "the worker died while no supervisor was there".to_owned(),
        }
    }
}

/// Follows an attempt to its end. When `stop` is cancelled its worker is asked to stop, and after its grace made
/// to. Dropping the future leaves the worker running.
pub(crate) async fn follow(context: Arc<Context>, job: LocalJob, begin: Begin, stop: CancellationToken) {
    let Some(id) = job_id(&job) else {
        // Nothing of ours ever submits such a job; it must not hold a place for ever.
        tracing::error!("compute job {} names no job", job.id);
        end(&context, &job, End::Failed { reason: "it names no job".to_owned() }).await;
        return;
    };
    let gone = match begin {
        Begin::Adopted => Ok(Gone::Unknown),
        Begin::Fresh => run_worker(&context, &job, &id, &stop).await,
    };
    let gone = gone.unwrap_or_else(|error| Gone::NotStarted(error.to_string()));
    conclude(&context, &job, &id, &gone, &stop).await;
}

pub(crate) fn job_id(job: &LocalJob) -> Option<JobId> {
    job.environment.iter().find(|(name, _)| name == env::UUID).and_then(|(_, value)| JobId::parse(value))
}

fn run_of(job: &LocalJob) -> u32 {
    let run = job.environment.iter().find(|(name, _)| name == env::RUN);
    run.and_then(|(_, value)| value.parse().ok()).unwrap_or(1)
}

async fn run_worker(
    context: &Context,
    job: &LocalJob,
    id: &JobId,
    stop: &CancellationToken,
) -> Result<Gone, LocalError> {
    // Nobody of an earlier attempt may be there. The lock is let go again for the worker to take: whoever comes
    // in between is late, and is refused when it claims.
    let nobody = quiet(context, id, stop).await?;
    if nobody.is_none() || stop.is_cancelled() {
        return Ok(Gone::NotBegun);
    }
    drop(nobody);
    let mut command = launch::detached(&context.dir, &context.executable, "worker")?;
    command.envs(environment(context, job)).process_group(0);
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .map_err(|error| LocalError::io("run", &context.executable, error))?;
    let pid = child.id().unwrap_or_default();
    if let Err(error) = context.flock.compute().started(&job.id, job.attempt, pid).await {
        // It runs all the same; the record is for people.
        tracing::warn!("{error}");
    }
    let wait = |error| LocalError::io("wait for", &context.executable, error);
    let status = tokio::select! {
        status = child.wait() => status.map_err(wait)?,
        () = stop.cancelled() => {
            // Our own child that was not waited for: its id cannot be anybody else's.
            send(pid, Signal::TERM);
            match tokio::time::timeout(WORKER_GRACE, child.wait()).await {
                Ok(status) => status.map_err(wait)?,
                Err(_) => {
                    tracing::warn!("worker {pid} of job {id} did not stop when asked to and is killed");
                    send(pid, Signal::KILL);
                    child.wait().await.map_err(wait)?
                }
            }
        }
    };
    Ok(Gone::Exited(status))
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The worker's environment: the job definition's names, then what was submitted, then the attempt.
fn environment(context: &Context, job: &LocalJob) -> Vec<(String, String)> {
    let buckets = &context.ports.buckets;
    let fixed = [
        (env::REGION, "local"),
        (env::INPUTS_BUCKET, &buckets.inputs),
        (env::OUTPUTS_BUCKET, &buckets.outputs),
        (env::QUICK_DEPLOY_BUCKET, &buckets.quick_deploy),
        (env::ERRORS_BUCKET, &buckets.errors),
        (env::TABLE_NAME, context.dir.name()),
        (env::USES_EFS, "False"),
        (env::USES_LUSTRE, "False"),
        (env::ALLOW_DOCKER_ACCESS, if context.settings.isolation.docker_socket { "True" } else { "False" }),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let attempt = (env::ATTEMPT.to_owned(), job.attempt.to_string());
    fixed.chain(job.environment.iter().cloned()).chain([attempt]).collect()
}

/// Waits until nobody runs the job: takes its worker's lock, then kills what is left of a payload whose worker
/// is gone, and waits for that one's lock; then ends what there is of containers. A worker that is there is told to stop
/// when `stop` says so. None where the supervisor was told to go before it could know: the next one asks again.
async fn quiet(context: &Context, id: &JobId, stop: &CancellationToken) -> Result<Option<Held>, LocalError> {
    let path = context.dir.worker_lock(id);
    let take = async { Held::take(&path).await.map_err(|error| LocalError::io("lock", &path, error)) };
    tokio::pin!(take);
    let held = tokio::select! {
        biased;
        held = &mut take => held?,
        () = stop.cancelled() => {
            holders::signal(&path, None, Signal::TERM);
            match tokio::time::timeout(WORKER_GRACE, &mut take).await {
                Ok(held) => held?,
                Err(_) => {
                    holders::signal(&path, None, Signal::KILL);
                    take.await?
                }
            }
        }
    };
    let path = context.dir.payload_lock(id);
    let mut kills = 0;
    loop {
        match Held::try_take(&path) {
            Ok(Some(_)) => break,
            Ok(None) => {}
            Err(error) => return Err(LocalError::io("lock", path, error)),
        }
        holders::signal(&path, None, Signal::KILL);
        kills += 1;
        if kills == KILLS_BEFORE_SAID {
            tracing::warn!("what is left of the payload of job {id} does not die; the job waits for it");
        }
        tokio::time::sleep(KILL_EVERY).await;
    }
    Ok(containers::end(&context.dir, id, &context.interrupt).await?.then_some(held))
}

/// Records how the attempt ended, once nobody runs it any more. Tries until it is written: what is not recorded
/// now the next supervisor records.
async fn conclude(context: &Context, job: &LocalJob, id: &JobId, gone: &Gone, stop: &CancellationToken) {
    let mut backoff = Backoff::default();
    if matches!(gone, Gone::NotStarted(_)) {
        // Whatever keeps one worker from starting keeps the next one too: do not use up all attempts at once.
        backoff.pause().await;
    }
    if matches!(gone, Gone::Exited(status) if status.code() == Some(POSTPONED)) {
        postpone(context, job, stop).await;
    }
    loop {
        match try_conclude(context, job, id, gone, stop).await {
            Ok(()) => return,
            Err(error) => tracing::warn!("job {id}: {error}"),
        }
        context.touch();
        backoff.pause().await;
    }
}

/// Waits before the next attempt of a job that could not be run here and now: a while that grows with its attempts, and
/// for an engine that does not answer, so that an engine that is only started anew costs no job all its attempts.
async fn postpone(context: &Context, job: &LocalJob, stop: &CancellationToken) {
    if job.attempt >= context.settings.attempts.max(1) {
        return;
    }
    let pause = POSTPONED_FIRST.saturating_mul(1 << (job.attempt.max(1) - 1).min(10)).min(POSTPONED_LONGEST);
    let waits = async {
        tokio::time::sleep(pause).await;
        if context.settings.image.is_some() {
            let _ = tokio::time::timeout(ENGINE_PATIENCE, containers::engine_answers()).await;
        }
    };
    tokio::select! {
        () = waits => {}
        () = stop.cancelled() => {}
    }
}

async fn try_conclude(
    context: &Context,
    job: &LocalJob,
    id: &JobId,
    gone: &Gone,
    stop: &CancellationToken,
) -> Result<(), LocalError> {
    let Some(held) = quiet(context, id, stop).await? else { return Ok(()) };
    let how = match context.ports.table.get(id).await? {
        None => End::Failed { reason: "its row is gone".to_owned() },
        Some(row) => end_of(context, job, gone, row).await?,
    };
    let again = match &how {
        End::Retry { reason } => Some(reason.clone()),
        End::Interrupted => Some("stopped".to_owned()),
        End::Succeeded | End::Failed { .. } => None,
    };
    remove_work(context, id).await;
    let state = context.flock.compute().ended(&job.id, job.attempt, how).await?;
    let over = state != Some(ComputeState::Runnable);
    if let (true, Some(reason)) = (over, again) {
        // Somebody wants it stopped, or its attempts are used up: the row must not wait for another.
        let lost = lost(context, job, reason, false);
        context.ports.table.apply(id, &lost).await?;
    }
    if over {
        // The worker's last: while it is held nobody can make the other one anew.
        let _ = std::fs::remove_file(context.dir.payload_lock(id));
        held.remove();
    }
    Ok(())
}

/// What the row says, after what has to be said to it where its worker did not.
async fn end_of(context: &Context, job: &LocalJob, gone: &Gone, row: JobRow) -> Result<End, LocalError> {
    let run = run_of(job);
    if row.run != run {
        return Ok(End::Failed { reason: "the job has been run again since".to_owned() });
    }
    if row.outcome.is_some() {
        return Ok(recorded(&row));
    }
    // A worker that gave its attempt back itself has said why in the row; nobody knows better.
    let given_back = row
        .attempts
        .iter()
        .find(|one| row.claim.is_none() && (one.run, one.attempt) == (run, job.attempt))
        .map(|one| one.reason.clone().unwrap_or_else(|| "interrupted".to_owned()));
    let reason = given_back.clone().unwrap_or_else(|| gone.words());
    // Who stops a flock does not use up the attempts of its jobs.
    let interrupted = context.interrupt.is_cancelled();
    let again = |reason| if interrupted { End::Interrupted } else { End::Retry { reason } };
    let retry = interrupted || job.attempt < context.settings.attempts.max(1);
    if given_back.is_some() && retry {
        return Ok(again(reason));
    }
    let lost = lost(context, job, reason.clone(), retry);
    match context.ports.table.apply(&row.id, &lost).await? {
        Applied::Changed(row) if row.outcome.is_none() => Ok(again(reason)),
        Applied::Changed(row) => Ok(recorded(&row)),
        Applied::Refused(refused, row) if row.outcome.is_none() => {
            Ok(End::Failed { reason: refused.to_string() })
        }
        Applied::Refused(_, row) => Ok(recorded(&row)),
        Applied::Missing => Ok(End::Failed { reason: "its row is gone".to_owned() }),
    }
}

fn lost(context: &Context, job: &LocalJob, reason: String, retry: bool) -> Transition {
    let at_ms = context.ports.clock.now_ms();
    Transition::Lost { run: run_of(job), attempt: job.attempt, reason, retry, at_ms }
}

fn recorded(row: &JobRow) -> End {
    match row.outcome {
        Some(Outcome::Succeeded) => End::Succeeded,
        _ => End::Failed { reason: row.reason.clone().unwrap_or_else(|| "the job failed".to_owned()) },
    }
}

/// A dead worker leaves its directories and its secrets. One that ended well has removed them.
async fn remove_work(context: &Context, id: &JobId) {
    let (dir, of) = (context.dir.clone(), id.clone());
    let removed = tokio::task::spawn_blocking(move || memory::remove(&dir, &of)).await;
    if let Ok(Err(error)) = removed {
        // The next attempt makes them anew, and complains where it cannot.
        tracing::warn!("cannot remove the directories of job {id}: {error}");
    }
}

async fn end(context: &Context, job: &LocalJob, how: End) {
    if let Err(error) = context.flock.compute().ended(&job.id, job.attempt, how).await {
        tracing::warn!("{error}");
    }
}
