//! A row handed to the compute: its current run, once.
//!
//! The row is there before anything is submitted. Where it may have been submitted before, the compute is asked
//! first; where two deliveries meet all the same, the row takes one job and the other is stopped before it runs.

use shepard_cloud::ports::{Applied, ComputeJob, ComputeState, JobRequest, Put};
use shepard_cloud::{CloudError, Kind, Ports, Result};
use shepard_model::names::worker_env;
use shepard_model::{JobId, JobRow, Outcome, Transition};

/// What came of handing a run to the compute; the row as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// It was submitted.
    Made(Box<JobRow>),
    /// It had been submitted before, by somebody who did not live to say so.
    Adopted(Box<JobRow>),
    /// The row does not want it: it has ended, or its run is with the compute already.
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
    if row.outcome.is_some() || row.compute_id.is_some() {
        return Ok(Submission::NotNeeded(Box::new(row.clone())));
    }
    let known = ports.compute.find(&job_name(&row.id, row.run)).await?;
    match newest(&known) {
        Some(job) => record(ports, row, job.id.clone(), Submission::Adopted).await,
        None => submit_new(ports, row).await,
    }
}

/// The job to adopt among those of one name, newest first: one that lives before one that has ended.
fn newest(jobs: &[ComputeJob]) -> Option<&ComputeJob> {
    let ended = |job: &&ComputeJob| matches!(job.state, ComputeState::Succeeded | ComputeState::Failed);
    jobs.iter().find(|job| !ended(job)).or_else(|| jobs.first())
}

/// Submits a run that nobody can have submitted before.
async fn submit_new(ports: &Ports, row: &JobRow) -> Result<Submission> {
    match ports.compute.submit(&job_request(row)).await {
        Ok(compute_id) => record(ports, row, compute_id, Submission::Made).await,
        Err(error) if error.kind == Kind::Invalid => {
            // Trying again is no use.
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
        Err(error) => Err(error),
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
    match ports.table.apply(&row.id, &change).await? {
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

/// What became of a row that is wanted in the table and, unless it is rejected, with the compute.
#[derive(Debug)]
pub(crate) enum Placed {
    /// Written and submitted, or its submission finished.
    Submitted(Box<JobRow>),
    /// Written; there is nothing to run.
    Rejected(Box<JobRow>),
    /// It was all there already.
    Known(Box<JobRow>),
    /// Nothing was wanted.
    Ignored,
    /// Another delivery wrote the row so recently that it may be submitting it now; look again after so many
    /// milliseconds.
    Busy(i64),
}

/// Writes a row, then submits it. An existing row is gone on with, never written again.
///
/// The age of a row without a job serves as its writer's lease of `lease_ms`: two deliveries of one upload at
/// the same time would otherwise both find no job and both submit one.
pub(crate) async fn place(ports: &Ports, row: &JobRow, lease_ms: i64) -> Result<Placed> {
    match ports.table.put_new(row).await? {
        Put::Created if row.outcome.is_some() => Ok(Placed::Rejected(Box::new(row.clone()))),
        Put::Created => Ok(placed(submit_new(ports, row).await?)),
        Put::Exists(known) => resume(ports, &known, lease_ms).await,
    }
}

/// Goes on with a row that is there.
pub(crate) async fn resume(ports: &Ports, row: &JobRow, lease_ms: i64) -> Result<Placed> {
    if row.outcome.is_some() || row.compute_id.is_some() || row.claim.is_some() {
        return Ok(Placed::Known(Box::new(row.clone())));
    }
    let left = touched_ms(row) + lease_ms - ports.clock.now_ms();
    // A clock that was set back must not hold a job up for longer than the lease.
    if left > 0 {
        return Ok(Placed::Busy(left.min(lease_ms)));
    }
    Ok(placed(submit_run(ports, row).await?))
}

fn placed(submission: Submission) -> Placed {
    match submission {
        Submission::Made(row) | Submission::Adopted(row) | Submission::Refused(row) => Placed::Submitted(row),
        Submission::NotNeeded(row) => Placed::Known(row),
    }
}

/// When something last happened to a row.
pub(crate) fn touched_ms(row: &JobRow) -> i64 {
    row.timeline.last().map_or(row.created_ms, |note| note.at_ms)
}
