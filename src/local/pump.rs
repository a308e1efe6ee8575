//! Lets the scheduler core handle the queue, and reconciles what fell between.

use std::sync::Arc;
use std::time::Duration;

use shepard_cloud::local::FlockDir;
use shepard_lambdas::reconcile::{ReconcileSettings, reconcile};
use shepard_lambdas::scheduler::{Scheduler, SchedulerSettings};
use shepard_model::JobId;
use shepard_model::names::log_stream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::supervise::Context;
use super::wake::{Backoff, Wake};

/// Rows that have been quiet for so long are compared with their jobs, in milliseconds.
const QUIET_MS: i64 = 30_000;
/// Messages taken at once. Their rows are written one by one, so a few are as fast as many, and fewer come back
/// after a `kill -9`.
const MESSAGES: usize = 16;
/// How often messages that are hidden for now are looked for. Nothing tells when they show again.
const HIDDEN_EVERY: Duration = Duration::from_secs(1);
/// How often rows and jobs are compared, while there is anything open.
const RECONCILE_EVERY: Duration = Duration::from_secs(30);
/// How often old jobs are forgotten, and how many in one transaction.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
const FORGOTTEN: usize = 500;

/// Handles messages while there are any, until `round` ends.
pub(crate) async fn run(context: Arc<Context>, mut wake: Wake, round: CancellationToken) {
    let settings = SchedulerSettings {
        keep_days: context.settings.keep_days,
        // Our own processes: nobody counts how fast they are asked for.
        submits_per_s: f64::INFINITY,
        ..SchedulerSettings::default()
    };
    let scheduler = Scheduler::new(context.ports.clone(), settings);
    let mut backoff = Backoff::default();
    while !round.is_cancelled() {
        // A turn is not cut short in the middle: it would leave its messages hidden for a while.
        let pause = match turn(&context, &scheduler).await {
            Ok(Turn::Again) => {
                backoff.reset();
                continue;
            }
            Ok(Turn::Hidden) => HIDDEN_EVERY,
            Ok(Turn::Empty) => Duration::MAX,
            Err(error) => {
                tracing::warn!("{error}");
                context.touch();
                backoff.next()
            }
        };
        tokio::select! {
            () = wake.woken() => {}
            () = tokio::time::sleep(pause) => {}
            () = round.cancelled() => {}
        }
    }
}

/// Compares rows and jobs now and then, and forgets old ones, until `round` ends. Beside the pump and not in it:
/// with many rows a look takes a while.
pub(crate) async fn keep_house(context: Arc<Context>, round: CancellationToken) {
    // What an earlier supervisor left half done nobody else is at work on.
    // Its scheduler makes no batches, and its compute takes as many jobs as there are and knows those that it took.
    let mut settings = ReconcileSettings {
        grace_ms: 0,
        forgotten_ms: 0,
        batch_window_ms: 0,
        submits_per_s: 0,
        ..ReconcileSettings::default()
    };
    let mut forget_at = Instant::now();
    while !round.is_cancelled() {
        let begin = Instant::now();
        let mut open = true;
        let compared = tokio::select! {
            compared = reconcile(&context.ports, settings) => compared,
            () = round.cancelled() => return,
        };
        match compared {
            Ok(done) => {
                for (id, error) in &done.failed {
                    tracing::warn!("job {id}: {error}");
                }
                if !done.submitted.is_empty() {
                    context.wakes.all();
                }
                settings.grace_ms = QUIET_MS;
                open = done.open > 0;
            }
            Err(error) => tracing::warn!("{error}"),
        }
        if forget_at <= begin {
            forget_at = begin + FORGET_EVERY;
            if let Err(error) = forget(&context).await {
                tracing::warn!("{error}");
            }
        }
        // With nothing open there is nothing to compare; and however many rows there are, most of the time is left
        // to the jobs.
        let pause = if open { RECONCILE_EVERY } else { 10 * RECONCILE_EVERY };
        tokio::select! {
            () = tokio::time::sleep(pause.max(20 * begin.elapsed())) => {}
            () = round.cancelled() => {}
        }
    }
}

/// What a turn of the pump found.
enum Turn {
    /// Messages; there may be more.
    Again,
    /// Messages that are hidden for now.
    Hidden,
    /// None.
    Empty,
}

/// Forgets the jobs that ended longer ago than the flock keeps them, and their logs. Their results stay: they are
/// the user's.
async fn forget(context: &Context) -> shepard_cloud::Result<()> {
    let kept_ms = i64::from(context.settings.keep_days) * 86_400_000;
    let before = context.ports.clock.now_ms() - kept_ms;
    // The compute's side first: a job without a row is nothing, a row without its job would be looked into.
    while context.flock.compute().forget(before, FORGOTTEN).await? >= FORGOTTEN {}
    loop {
        let gone = context.flock.table().forget(before, FORGOTTEN).await?;
        let more = gone.len() >= FORGOTTEN;
        let dir = context.dir.clone();
        // A log that stays takes room and does no harm; nobody can ask for it any more.
        let _ = tokio::task::spawn_blocking(move || gone.iter().for_each(|id| remove_logs(&dir, id))).await;
        if !more {
            return Ok(());
        }
    }
}

/// Every stream of a job lies in one folder and begins with its id.
fn remove_logs(dir: &FlockDir, id: &JobId) {
    let Ok(one) = dir.log_path(&log_stream(id, 1, 1)) else { return };
    let Some(Ok(files)) = one.parent().map(std::fs::read_dir) else { return };
    let prefix = format!("{id}-");
    for file in files.flatten() {
        if file.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// Messages that a dead supervisor had taken are nobody's now: this one has the flock to itself.
pub(crate) async fn free_what_was_held(context: &Context) -> shepard_cloud::Result<()> {
    context.flock.queue().reset_in_flight().await?;
    Ok(())
}

async fn turn(context: &Context, scheduler: &Scheduler) -> shepard_cloud::Result<Turn> {
    // Asking how deep it is only reads; receiving writes, and would wake us again.
    let depth = context.ports.queue.depth().await?;
    if depth.waiting == 0 {
        return Ok(if depth.in_flight > 0 { Turn::Hidden } else { Turn::Empty });
    }
    let pumped = scheduler.pump_once(MESSAGES).await?;
    if pumped.received > 0 {
        context.touch();
    }
    if pumped.submitted > 0 {
        context.wakes.all();
    }
    match pumped.error {
        Some(error) => Err(error),
        None => Ok(Turn::Again),
    }
}
