//! One attempt of one job, from the claim to the final row.
//!
//! The row is truthful whenever the worker dies: results are put before the row says so, the directories are gone
//! before it ends, and an end is written once. What a dead worker left (directories, results that no row lists)
//! the next attempt removes.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::OnceLock;

use crate::attempt::Attempt;
use crate::checkpoint::Checkpoint;
pub use crate::exit::Exit;
use crate::job::Job;
use crate::log::Log;
use crate::payload::Payload;
use crate::place::Place;
use crate::process::host_name;
use crate::row::{Hold, LEASE_MS, Patience, patiently};
use crate::stop::Stop;
use shepard_cloud::ports::{Applied, Ports};
use shepard_model::{Fence, JobRow, Outcome, Refused, Transition, names};

/// Runs one attempt. When it returns, nothing of the payload runs and its directories are gone, unless another
/// worker has taken the row over and with it the directories.
///
/// `stop` is the host going away (SIGTERM, a notice), or somebody's wish: the row tells which.
pub async fn run(
    ports: &Ports,
    job: &Job,
    place: &Place,
    payload: &dyn Payload,
    stop: impl Into<Stop>,
) -> Exit {
    let stop = stop.into();
    match find(ports, job).await {
        Ok(()) => run_found(ports, job, place, payload, &stop).await,
        Err(exit) => exit,
    }
}

/// [`run()`] for a job whose row was seen.
pub(crate) async fn run_found(
    ports: &Ports,
    job: &Job,
    place: &Place,
    payload: &dyn Payload,
    stop: &Stop,
) -> Exit {
    let fence = Fence { run: job.run, attempt: job.attempt, worker: worker_name() };
    let row = match claim(ports, job, &fence).await {
        Ok(row) => row,
        Err(exit) => return exit,
    };
    let halt = stop.token().child_token();
    // By this name whoever takes the lines knows them apart, also where the row tells readers of another stream.
    let log = Log::new(ports, names::log_stream(&job.id, job.run, job.attempt));
    let hold = Hold::new(ports, job.id.clone(), fence, halt.clone());
    let dirs = place.dirs(&job.id);
    let mut attempt = Attempt {
        ports,
        job,
        place,
        row: &row,
        hold: &hold,
        log: &log,
        dirs: &dirs,
        halt: &halt,
        stop,
        checkpoint: Checkpoint::new(ports, &log, &row, &dirs),
        locks: OnceLock::new(),
    };
    let exit = tokio::select! {
        biased;
        exit = Box::pin(attempt.whole(payload)) => exit,
        never = hold.heartbeat() => match never {},
    };
    log.say(format!("end {}: {exit}", job.id)).await;
    if let Some(locks) = attempt.locks.take() {
        locks.release(&dirs).await;
    }
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

/// Where a reader finds the attempt's lines: where the compute takes them, else in a stream of its own. The worker itself
/// keeps each attempt's apart, so that what a failed job of a pack leaves has no lines of its neighbours.
fn log_stream(job: &Job) -> String {
    job.log_stream.clone().unwrap_or_else(|| names::log_stream(&job.id, job.run, job.attempt))
}

async fn claim(ports: &Ports, job: &Job, fence: &Fence) -> Result<Box<JobRow>, Exit> {
    let at_ms = ports.clock.now_ms();
    let claimed = Transition::Claimed {
        fence: fence.clone(),
        log_stream: log_stream(job),
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

pub(crate) fn unreachable_table(error: &shepard_cloud::CloudError) -> Exit {
    tracing::error!(%error, "the job table cannot be used");
    Exit::Unwritten
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
    fn no_two_workers_share_a_name() {
        assert_ne!(worker_name(), worker_name());
    }
}
