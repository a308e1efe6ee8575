//! A row handed to the compute: its current run, once.
//!
//! The row is there before anything is submitted. Where it may have been submitted before, the compute is asked
//! first; where two deliveries meet all the same, the row takes one job and the other is stopped before it runs.

use shepard_cloud::ports::{Applied, ComputeJob, ComputeState, JobRequest};
use shepard_cloud::{CloudError, Kind, Ports, Result};
use shepard_model::names::worker_env;
use shepard_model::{JobId, JobRow, Outcome, Transition};

use crate::pace::{self, Pacer, Seen, Sent};

/// What came of handing a run to the compute; the row as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// It was submitted.
    Made(Box<JobRow>),
    /// It had been submitted before, by somebody who did not live to say so.
    Adopted(Box<JobRow>),
    /// The row does not want it: it has ended, its run is with the compute already, or it is in a batch.
    NotNeeded(Box<JobRow>),
    /// The compute refuses it for good; the row says why.
    Refused(Box<JobRow>),
}

impl Submission {
    /// The row as it is now.
    pub fn row(&self) -> &JobRow {
        match self {
            Self::Made(row) | Self::Adopted(row) | Self::NotNeeded(row) | Self::Refused(row) => row,
        }
    }
}

/// The name a run is submitted under: the job id, and the run where it is not the first.
pub fn job_name(id: &JobId, run: u32) -> String {
    if run > 1 { format!("{id}-run{run}") } else { id.to_string() }
}

/// The job as the compute takes it: the contract's environment and nothing of the user's variables.
pub fn job_request(row: &JobRow) -> JobRequest {
    let text = |value: &str| value.to_owned();
    let key = row.input.as_ref().map_or("None", |input| input.key.as_str());
    let invoked = if row.input.is_none() { "True" } else { "False" };
    let mut environment = vec![
        (text(worker_env::UUID), row.id.to_string()),
        (text(worker_env::INPUT_ZIP_NAME), text(key)),
        (text(worker_env::IS_INVOKED), text(invoked)),
    ];
    if row.run > 1 {
        environment.push((text(worker_env::RUN), row.run.to_string()));
    }
    JobRequest { name: job_name(&row.id, row.run), environment, shape: row.shape(), children: 1 }
}

/// Hands the current run of a row to the compute unless it is there already, and says so in the row.
///
/// Safe to repeat and to drop at any point. It looks the run up by name first.
///
/// # Errors
/// A port's; the same call later finishes the work. A row that is gone is `NotFound`.
pub async fn submit_run(ports: &Ports, row: &JobRow) -> Result<Submission> {
    let unpaced = Pacer::new(f64::INFINITY);
    match submit_paced(ports, &unpaced, i64::MIN, row, true).await? {
        Paced::Done(submission) => Ok(submission),
        Paced::NoRoom(said) => {
            Err(said.unwrap_or_else(|| CloudError::new("submit the job", row.id.as_str(), Kind::Throttled)))
        }
    }
}

/// What came of a submission that may have had to wait.
#[derive(Debug)]
pub(crate) enum Paced {
    /// It came to this.
    Done(Submission),
    /// There was no room in time; nothing was submitted.
    NoRoom(Option<CloudError>),
}

/// As [`submit_run`], with a token. `find` says whether anybody can have submitted the run before.
pub(crate) async fn submit_paced(
    ports: &Ports,
    pacer: &Pacer,
    until_ms: i64,
    row: &JobRow,
    find: bool,
) -> Result<Paced> {
    // A row of a batch is submitted with the batch or not at all.
    if row.outcome.is_some() || row.compute_id.is_some() || row.batch.is_some() {
        return Ok(Paced::Done(Submission::NotNeeded(Box::new(row.clone()))));
    }
    if !pacer.token(ports, until_ms).await {
        return Ok(Paced::NoRoom(None));
    }
    if find {
        let known = match pacer.find(ports, &job_name(&row.id, row.run)).await? {
            Seen::Jobs(known) => known,
            Seen::NoRoom(said) => return Ok(Paced::NoRoom(Some(said))),
        };
        if let Some(job) = newest(&known) {
            pacer.give_back();
            return record(ports, row, job.id.clone(), Submission::Adopted).await.map(Paced::Done);
        }
    }
    match pacer.submit(ports, &job_request(row), until_ms).await {
        Ok(Sent::Taken(compute_id)) => {
            record(ports, row, compute_id, Submission::Made).await.map(Paced::Done)
        }
        Ok(Sent::NoRoom(said)) => Ok(Paced::NoRoom(Some(said))),
        Err(error) if error.kind == Kind::Invalid => refuse(ports, row, &error).await.map(Paced::Done),
        Err(error) => Err(error),
    }
}

/// The job to adopt among those of one name, newest first: one that lives before one that has ended.
pub(crate) fn newest(jobs: &[ComputeJob]) -> Option<&ComputeJob> {
    let ended = |job: &&ComputeJob| matches!(job.state, ComputeState::Succeeded | ComputeState::Failed);
    jobs.iter().find(|job| !ended(job)).or_else(|| jobs.first())
}

/// Ends a row that the compute will never take: trying again is no use.
async fn refuse(ports: &Ports, row: &JobRow, error: &CloudError) -> Result<Submission> {
    let change = Transition::Finished {
        fence: None,
        outcome: Outcome::Failed,
        reason: Some(format!("the job cannot be submitted: {error}")),
        exit_code: None,
        results: Vec::new(),
        at_ms: ports.clock.now_ms(),
    };
    match ports.table.apply(&row.id, &change).await? {
        Applied::Changed(row) | Applied::Refused(_, row) => Ok(Submission::Refused(row)),
        Applied::Missing => Err(gone(&row.id)),
    }
}

async fn record(
    ports: &Ports,
    row: &JobRow,
    compute_id: String,
    said: fn(Box<JobRow>) -> Submission,
) -> Result<Submission> {
    let at_ms = ports.clock.now_ms();
    let change = Transition::Submitted { run: row.run, compute_id: compute_id.clone(), at_ms };
    let apply = || ports.table.apply(&row.id, &change);
    match pace::patiently(ports, row.id.as_str(), pace::TRIES, apply).await? {
        Applied::Changed(row) => Ok(said(row)),
        Applied::Refused(_, row) => {
            // The row has another job for this run, or wants none any more. A worker that holds the row may be
            // this job's: then it is left alone, and its claim decides.
            if row.claim.is_none() && row.compute_id.as_ref() != Some(&compute_id) {
                ports
                    .compute
                    .terminate(&compute_id, "the job was submitted twice or is no longer wanted")
                    .await?;
            }
            Ok(Submission::NotNeeded(row))
        }
        Applied::Missing => Err(gone(&row.id)),
    }
}

fn gone(id: &JobId) -> CloudError {
    CloudError::new("submit the job", id.as_str(), Kind::NotFound).because("its row is gone")
}

/// When something last happened to a row.
pub(crate) fn touched_ms(row: &JobRow) -> i64 {
    row.timeline.last().map_or(row.created_ms, |note| note.at_ms)
}
