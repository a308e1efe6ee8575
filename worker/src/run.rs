//! One attempt of one job, from the claim to the final row.
//!
//! The row is truthful whenever the worker dies: results are put before the row says so, the directories are gone
//! before it ends, and an end is written once. What a dead worker left (directories, results that no row lists)
//! the next attempt removes.

use std::hash::{BuildHasher as _, Hasher as _};

use shepard_cloud::ports::{Applied, Ports};
use shepard_model::keywords::QUICK_DEPLOY_DIRECTORY;
use shepard_model::{Fence, JobRow, ObjectRef, Outcome, Refused, Stage, Transition, names, status};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::environment;
use crate::fetch::{self, Trouble};
use crate::job::Job;
use crate::log::Log;
use crate::outputs;
use crate::payload::{Cause, Exited, Payload, PayloadError, PayloadSpec};
use crate::place::{self, Dirs, Place};
use crate::process::host_name;
use crate::row::{End, Ending, Hold, LEASE_MS, Loss, Patience, patiently};

/// Lines between the payload and its log. Full, it makes the payload wait: at most 64 lines of 256 KiB are held.
const LINES: usize = 64;

/// How an attempt ended, for whoever started the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The payload exited 0 and its results are up.
    Succeeded,
    /// The job had ended before this attempt began: nothing was done.
    AlreadyDone,
    /// The payload ended badly, or could not be run. The row says so.
    PayloadFailed,
    /// Anything else the job needed failed. The row says so.
    Failed,
    /// Somebody wanted the job stopped. The row says so.
    Cancelled,
    /// Another worker has the row, or a later run.
    NotMine,
    /// There is no row.
    NoRow,
    /// The worker was told to stop; the row waits for another attempt.
    Interrupted,
    /// The payload could not be run here and now; the row waits for another attempt.
    Postponed,
    /// The table could not be reached, so that the row says less than happened. Its lease runs out.
    Unwritten,
}

impl Exit {
    /// The process's exit code. From 70 on, another attempt is of use: that is what a retry rule of the compute
    /// may look for (`7*`). Below, the row has ended or is somebody else's.
    pub fn code(&self) -> u8 {
        match self {
            Self::Succeeded | Self::AlreadyDone => 0,
            Self::PayloadFailed => 1,
            Self::Failed => 2,
            Self::Cancelled => 3,
            Self::NotMine => 4,
            Self::NoRow => 5,
            Self::Unwritten => 74,
            Self::Interrupted => 75,
            Self::Postponed => 77,
        }
    }
}

/// Runs one attempt. When it returns, nothing of the payload runs and its directories are gone, unless another
/// worker has taken the row over and with it the directories.
///
/// `stop` is the host going away (SIGTERM), or somebody's wish: the row tells which.
pub async fn run(
    ports: &Ports,
    job: &Job,
    place: &Place,
    payload: &dyn Payload,
    stop: CancellationToken,
) -> Exit {
    match find(ports, job).await {
        Ok(()) => run_found(ports, job, place, payload, stop).await,
        Err(exit) => exit,
    }
}

/// [`run()`] for a job whose row was seen.
pub(crate) async fn run_found(
    ports: &Ports,
    job: &Job,
    place: &Place,
    payload: &dyn Payload,
    stop: CancellationToken,
) -> Exit {
    let fence = Fence { run: job.run, attempt: job.attempt, worker: worker_name() };
    let row = match claim(ports, job, &fence).await {
        Ok(row) => row,
        Err(exit) => return exit,
    };
    let halt = stop.child_token();
    let log = Log::new(ports, names::log_stream(&job.id, job.run, job.attempt));
    let hold = Hold::new(ports, job.id.clone(), fence, halt.clone());
    let dirs = place.dirs(&job.id);
    let attempt = Attempt { ports, job, place, row: &row, hold: &hold, log: &log, dirs: &dirs, halt: &halt };
    let exit = tokio::select! {
        biased;
        exit = Box::pin(attempt.whole(payload)) => exit,
        never = hold.heartbeat() => match never {},
    };
    let tally = log.tally();
    if let Some(error) = tally.error {
        tracing::warn!(lost = tally.lost, %error, "lines of the job's log could not be written");
    }
    exit
}

/// Waits a little for a row that is not there yet.
async fn find(ports: &Ports, job: &Job) -> Result<(), Exit> {
    let clock = ports.clock.as_ref();
    let mut pause_ms = 200;
    for _ in 0..5 {
        match patiently(clock, Patience::Ordinary, || ports.table.get(&job.id)).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => clock.sleep_ms(pause_ms).await,
            Err(error) => return Err(unreachable_table(&error)),
        }
        pause_ms *= 2;
    }
    tracing::error!(id = %job.id, "the job table has no row for this job");
    Err(Exit::NoRow)
}

async fn claim(ports: &Ports, job: &Job, fence: &Fence) -> Result<Box<JobRow>, Exit> {
    let at_ms = ports.clock.now_ms();
    let claimed = Transition::Claimed {
        fence: fence.clone(),
        log_stream: names::log_stream(&job.id, job.run, job.attempt),
        compute_id: job.compute_id.clone(),
        batch: job.batch.clone(),
        at_ms,
        lease_until_ms: at_ms + LEASE_MS,
    };
    match apply(ports, job, &claimed).await? {
        Applied::Changed(row) => Ok(row),
        Applied::Missing => Err(Exit::NoRow),
        Applied::Refused(Refused::Ended, _) => Err(Exit::AlreadyDone),
        Applied::Refused(Refused::Cancelling, row) => {
            // The worker that was to stop the job died first: nobody holds the row who would end it.
            let by = row.cancel.map(|cancel| cancel.by).unwrap_or_default();
            let end = Transition::Finished {
                fence: None,
                outcome: Outcome::Cancelled,
                reason: Some(format!("cancelled by {by}")),
                exit_code: None,
                results: Vec::new(),
                at_ms,
            };
            apply(ports, job, &end).await?;
            Err(Exit::Cancelled)
        }
        Applied::Refused(why, _) => {
            tracing::warn!(id = %job.id, %why, "this attempt is not the one to run");
            Err(Exit::NotMine)
        }
    }
}

async fn apply(ports: &Ports, job: &Job, change: &Transition) -> Result<Applied, Exit> {
    patiently(ports.clock.as_ref(), Patience::Ordinary, || ports.table.apply(&job.id, change))
        .await
        .map_err(|error| unreachable_table(&error))
}

fn unreachable_table(error: &shepard_cloud::CloudError) -> Exit {
    tracing::error!(%error, "the job table cannot be used");
    Exit::Unwritten
}

/// Why the way to a success was left.
enum Broken {
    /// `halt` was cancelled. With the payload's exit code, if it ran.
    Halted(Option<i32>),
    /// Something failed.
    Failed { reason: String, exit_code: Option<i32>, payload: bool },
    /// The payload could not be run here and now.
    Postponed(String),
}

impl From<Trouble> for Broken {
    fn from(trouble: Trouble) -> Self {
        Self::Failed { reason: trouble.0, exit_code: None, payload: false }
    }
}

struct Attempt<'a> {
    ports: &'a Ports,
    job: &'a Job,
    place: &'a Place,
    /// As claimed.
    row: &'a JobRow,
    hold: &'a Hold<'a>,
    log: &'a Log,
    dirs: &'a [Dirs],
    halt: &'a CancellationToken,
}

impl Attempt<'_> {
    async fn whole(&self, payload: &dyn Payload) -> Exit {
        match self.work(payload).await {
            Ok(results) => self.succeeded(results).await,
            Err(Broken::Halted(exit_code)) => self.halted(exit_code).await,
            Err(_) if self.hold.loss().is_some() => self.halted(None).await,
            Err(Broken::Postponed(reason)) => self.postponed(&reason).await,
            Err(Broken::Failed { reason, exit_code, payload }) => {
                self.failed(reason, exit_code, payload).await
            }
        }
    }

    /// Everything up to results that are put.
    async fn work(&self, payload: &dyn Payload) -> Result<Vec<ObjectRef>, Broken> {
        let (fence, host) = (&self.hold.fence, host_name());
        self.log.say(format!("attempt {} of run {} on {host}", fence.attempt, fence.run)).await;
        outputs::remove(self.ports, outputs::orphans(self.ports, self.row, self.dirs, &fence.worker)).await;
        let dirs = self.dirs.to_vec();
        let made = tokio::task::spawn_blocking(move || place::make(&dirs)).await;
        made.map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| Trouble::io("making the job's directories", &error))?;

        self.hold.reached(Stage::Fetching, None, None).await;
        let folder = self.or_halt(self.fetch()).await??;

        let status = status::calling(self.row.start_time_s.unwrap_or_default() * 1000);
        self.hold.reached(Stage::Payload, Some(status.clone()), Some(payload.way())).await;
        self.or_halt(std::future::ready(())).await?;
        self.log.say(format!("the payload runs {}", payload.way())).await;
        let (exited, last_words) = self.payload(payload, folder, &status).await?;
        self.log.say(format!("the payload ended with exit code {}", exited.code)).await;
        match exited.cause {
            Cause::Stopped => return Err(Broken::Halted(Some(exited.code))),
            Cause::Itself if exited.code == 0 => {}
            _ => {
                let reason = reason(exited, last_words.as_deref());
                return Err(Broken::Failed { reason, exit_code: Some(exited.code), payload: true });
            }
        }
        // From here on the payload has run well, and every failure says so.
        self.push().await.map_err(|broken| match broken {
            Broken::Halted(_) => Broken::Halted(Some(exited.code)),
            Broken::Failed { reason, payload, .. } => {
                Broken::Failed { reason, exit_code: Some(exited.code), payload }
            }
            postponed @ Broken::Postponed(_) => postponed,
        })
    }

    /// Fetches input, code and secrets; gives the quick-deploy folder.
    async fn fetch(&self) -> Result<Option<String>, Trouble> {
        if !self.job.invoked {
            let inputs = &self.ports.buckets.inputs;
            let of_job = || self.job.input.as_ref().map(|key| ObjectRef::new(inputs.clone(), key.clone()));
            if let Some(object) = self.row.input.clone().or_else(of_job) {
                let size = fetch::input(self.ports, &object, self.dirs).await?;
                self.log.say(format!("fetched {object}, {size} bytes")).await;
            }
        }
        // A job that names no folder gets the place's; one that says `None` means it.
        let said =
            self.row.variables.iter().any(|(name, _)| name.eq_ignore_ascii_case(QUICK_DEPLOY_DIRECTORY));
        let usual = || self.place.quick_deploy.clone().filter(|_| !said);
        let folder = self.row.quick_deploy.clone().or_else(usual);
        if let Some(folder) = &folder {
            let files = fetch::quick_deploy(self.ports, folder, self.dirs).await?;
            self.log
                .say(format!(
                    "fetched the quick-deploy folder '{folder}', {files} {}",
                    if files == 1 { "file" } else { "files" }
                ))
                .await;
        }
        let secrets = fetch::secrets(self.ports, self.dirs).await?;
        if secrets > 0 {
            self.log.say(format!("wrote {secrets} secrets")).await;
        }
        Ok(folder)
    }

    async fn payload(
        &self,
        payload: &dyn Payload,
        folder: Option<String>,
        status: &str,
    ) -> Result<(Exited, Option<String>), Broken> {
        let home = place::runs_in(self.dirs).ok_or_else(|| Trouble("the job has no directories".into()))?;
        let quick_deploy = folder
            .map(|folder| place::confined(&home.input, &folder))
            .transpose()
            .map_err(|error| Trouble(error.to_string()))?;
        let spec = PayloadSpec {
            id: self.row.id.clone(),
            shape: self.row.shape(),
            secrets: None,
            environment: environment::of(self.row, self.job, &self.ports.buckets, self.dirs, status),
            dirs: self.dirs.to_vec(),
            input: home.input.clone(),
            quick_deploy,
            ulimit_nofile: self.job.ulimit_nofile,
            allow_docker: self.job.allow_docker,
            timeout_s: self.row.shape().timeout_s.map(u64::from),
        };
        let (sender, receiver) = mpsc::channel(LINES);
        let done = CancellationToken::new();
        let running = async {
            let outcome = payload.run(&spec, sender, self.halt).await;
            done.cancel();
            outcome
        };
        let (outcome, last_words) = tokio::join!(running, self.log.pump(receiver, &done));
        let exited = outcome.map_err(|error| match error {
            PayloadError::Passing(reason) => Broken::Postponed(reason),
            error => Broken::Failed { reason: error.to_string(), exit_code: None, payload: true },
        })?;
        Ok((exited, last_words))
    }

    async fn push(&self) -> Result<Vec<ObjectRef>, Broken> {
        self.hold.reached(Stage::Pushing, Some(status::PUSHING.to_owned()), None).await;
        let zips = self.or_halt(outputs::zip_all(self.ports, self.row, self.dirs, self.log)).await??;
        match self.or_halt(outputs::upload_all(self.ports, &zips)).await {
            Ok(put) => {
                let put = put?;
                for object in &put {
                    self.log.say(format!("put {object}")).await;
                }
                Ok(put)
            }
            Err(halted) => {
                outputs::remove(self.ports, zips.into_iter().map(|zipped| zipped.to).collect()).await;
                Err(halted)
            }
        }
    }

    /// The results are up: from here on nothing but the loss of the row can turn the success.
    async fn succeeded(&self, results: Vec<ObjectRef>) -> Exit {
        self.hold.reached(Stage::Cleaning, Some(status::CLEANING.to_owned()), None).await;
        self.clean().await;
        let end =
            End { outcome: Outcome::Succeeded, reason: None, exit_code: Some(0), results: results.clone() };
        match self.hold.finish(end).await {
            Ending::Written(_) => Exit::Succeeded,
            Ending::Lost(loss) => {
                // The row ended otherwise, or another attempt will make these anew. One that began within the
                // same second gives its results the same names: those are not ours to remove.
                let theirs = self.hold.read().await.ok().flatten().is_some_and(|row| {
                    row.start_time_s == self.row.start_time_s && row.outcome != Some(Outcome::Cancelled)
                });
                if !theirs {
                    outputs::remove(self.ports, results).await;
                }
                lost(loss)
            }
            Ending::Unwritten(error) => unreachable_table(&error),
        }
    }

    async fn failed(&self, reason: String, exit_code: Option<i32>, payload: bool) -> Exit {
        self.log.say(format!("the job has failed: {reason}")).await;
        self.hold.reached(Stage::Pushing, Some(status::FAILED_PUSHING.to_owned()), None).await;
        let left = outputs::failure(self.ports, self.row, self.dirs, self.log);
        let results = match self.or_halt(left).await {
            Ok(Ok(left)) => left.into_iter().collect(),
            Ok(Err(trouble)) => {
                tracing::warn!(%trouble, "a failed attempt's log and outputs are not kept");
                Vec::new()
            }
            // No time for artefacts; the row is what matters.
            Err(_) => Vec::new(),
        };
        self.hold.reached(Stage::Cleaning, Some(status::FAILED_CLEANING.to_owned()), None).await;
        self.clean().await;
        let end = End { outcome: Outcome::Failed, reason: Some(reason), exit_code, results };
        match self.hold.finish(end).await {
            Ending::Written(_) if payload => Exit::PayloadFailed,
            Ending::Written(_) => Exit::Failed,
            Ending::Lost(loss) => lost(loss),
            Ending::Unwritten(error) => unreachable_table(&error),
        }
    }

    /// Told to stop: by a person, by the host, or because the row is gone.
    async fn halted(&self, exit_code: Option<i32>) -> Exit {
        if let Some(loss) = self.hold.loss() {
            self.log.say("another worker has this job, or it has ended; stopped").await;
            // Who took the row over has the same directories; who ended it has no use for them.
            if loss == Loss::Refused(Refused::Ended) || loss == Loss::Missing {
                self.clean().await;
            }
            return lost(loss);
        }
        let cancel = match self.hold.read().await {
            Ok(row) => row.and_then(|row| row.cancel),
            Err(error) => {
                tracing::warn!(kind = error.kind.word(), "cannot tell whether the job is cancelled");
                None
            }
        };
        let ending = if let Some(cancel) = cancel {
            let reason = format!("cancelled by {}", cancel.by);
            self.log.say(reason.clone()).await;
            self.clean().await;
            let outcome = Outcome::Cancelled;
            self.hold.finish(End { outcome, reason: Some(reason), exit_code, results: Vec::new() }).await
        } else {
            self.log.say("the worker was told to stop; the job waits for another attempt").await;
            self.clean().await;
            self.hold.give_back("interrupted: the worker was told to stop").await
        };
        match ending {
            Ending::Written(row) if row.outcome == Some(Outcome::Cancelled) => Exit::Cancelled,
            Ending::Written(_) => Exit::Interrupted,
            Ending::Lost(loss) => lost(loss),
            Ending::Unwritten(error) => unreachable_table(&error),
        }
    }

    /// The payload did not run, and may at another attempt: the row goes back with the reason.
    async fn postponed(&self, reason: &str) -> Exit {
        self.log.say(format!("{reason}; the job waits for another attempt")).await;
        self.clean().await;
        match self.hold.give_back(reason).await {
            Ending::Written(row) if row.outcome == Some(Outcome::Cancelled) => Exit::Cancelled,
            Ending::Written(_) => Exit::Postponed,
            Ending::Lost(loss) => lost(loss),
            Ending::Unwritten(error) => unreachable_table(&error),
        }
    }

    /// Removes the directories, as far as that is possible: what is left is said and changes nothing.
    async fn clean(&self) {
        for dirs in self.dirs {
            let one = dirs.clone();
            let removed = tokio::task::spawn_blocking(move || place::remove(&one)).await;
            if let Err(error) = removed.map_err(std::io::Error::other).flatten() {
                let what = dirs.filesystem.word();
                self.log.say(format!("the job's directory on {what} is not removed: {error}")).await;
            }
        }
    }

    async fn or_halt<T>(&self, step: impl Future<Output = T>) -> Result<T, Broken> {
        tokio::select! {
            biased;
            () = self.halt.cancelled() => Err(Broken::Halted(None)),
            done = step => Ok(done),
        }
    }
}

fn lost(loss: Loss) -> Exit {
    match loss {
        Loss::Missing => Exit::NoRow,
        Loss::Refused(_) => Exit::NotMine,
    }
}

/// Why the payload failed, in a sentence that ends with its own last words.
fn reason(exited: Exited, last_words: Option<&str>) -> String {
    let what = match exited {
        Exited { cause: Cause::TimedOut(limit), .. } => {
            format!("the payload ran longer than the {limit} s it may and was stopped")
        }
        Exited { cause: Cause::OutOfMemory(Some(limit)), .. } => {
            format!("the payload was killed: it needed more than the {limit} MiB of memory it may have")
        }
        Exited { cause: Cause::OutOfMemory(None), .. } => {
            "the payload was killed: the host had no memory left for it".to_owned()
        }
        Exited { code: 137, .. } => {
            "the payload was killed (exit code 137): most likely it ran out of memory".to_owned()
        }
        Exited { code, .. } if (129..=192).contains(&code) => {
            format!("exit code {code} (signal {})", code - 128)
        }
        Exited { code, .. } => format!("exit code {code}"),
    };
    match last_words {
        Some(words) => format!("{what}: {words}"),
        None => what,
    }
}

/// A name no two workers share: host, process, and a number drawn at random.
fn worker_name() -> String {
    // The standard library draws its hash keys from the system's randomness; one process draws fresh ones each time.
    let drawn = std::hash::RandomState::new().build_hasher().finish();
    format!("{}:{}:{drawn:016x}", host_name(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_say_what_happened() {
        let itself = |code| Exited { code, cause: Cause::Itself };
        assert_eq!(reason(itself(3), Some("no such file")), "exit code 3: no such file");
        assert!(reason(itself(137), None).contains("out of memory"));
        assert!(reason(itself(139), None).ends_with("exit code 139 (signal 11)"));
        let late = Exited { code: 143, cause: Cause::TimedOut(5) };
        assert!(reason(late, None).contains("longer than the 5 s"));
    }

    #[test]
    fn codes_from_70_on_ask_for_another_attempt() {
        assert_eq!((Exit::Succeeded.code(), Exit::AlreadyDone.code(), Exit::PayloadFailed.code()), (0, 0, 1));
        for again in [Exit::Interrupted, Exit::Unwritten, Exit::Postponed] {
            assert!(again.code() >= 70);
        }
        for last in [Exit::Failed, Exit::Cancelled, Exit::NotMine, Exit::NoRow] {
            assert!((2..70).contains(&last.code()));
        }
        assert_ne!(worker_name(), worker_name());
    }
}
