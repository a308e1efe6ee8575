//! Finishes what a crash or a lost message left half done, and may run at any time beside everything else.
//!
//! Two things go missing: the submission of a row that was written, and the last word of a worker that died.
//! The first is made up by name, the second from what the compute says. It never touches a row that a worker
//! holds a lease on, nor one that something happened to within the grace.

use shepard_cloud::ports::{Applied, ComputeJob, ComputeState};
use shepard_cloud::{CloudError, Ports, Result};
use shepard_model::{JobId, JobRow, Transition};

use crate::submit::{self, Submission};

/// How much of the past is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcileSettings {
    /// How long nothing must have happened to a row, in milliseconds. 0 where nobody else can be at work.
    pub grace_ms: i64,
    /// Rows read at once.
    pub page: usize,
}

impl Default for ReconcileSettings {
    fn default() -> Self {
        Self { grace_ms: 30_000, page: 200 }
    }
}

/// What was found and done.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// Rows looked at.
    pub rows: u64,
    /// Rows that have not ended: with none of them, there is nothing to come back for.
    pub open: u64,
    /// Rows whose job was submitted or adopted.
    pub submitted: Vec<JobId>,
    /// Rows whose job had ended without a word.
    pub ended: Vec<JobId>,
    /// Rows that could not be helped this time.
    pub failed: Vec<(JobId, CloudError)>,
}

/// Jobs asked about in one call: what AWS Batch takes.
const DESCRIBED: usize = 100;

/// Looks through the whole table once.
///
/// # Errors
/// The table cannot be read, or the compute cannot be asked. One row's trouble is in [`Reconciled::failed`].
pub async fn reconcile(ports: &Ports, settings: ReconcileSettings) -> Result<Reconciled> {
    let mut done = Reconciled::default();
    let mut from: Option<String> = None;
    loop {
        let page = ports.table.scan(from.as_deref(), settings.page.max(1)).await?;
        let mut doubtful = Vec::new();
        for row in page.items {
            done.rows += 1;
            if row.outcome.is_some() {
                continue;
            }
            done.open += 1;
            let now_ms = ports.clock.now_ms();
            let held = row.claim.is_some() && row.lease_until_ms > now_ms;
            if held || submit::touched_ms(&row) + settings.grace_ms > now_ms {
                continue;
            }
            match (&row.compute_id, &row.claim) {
                (Some(_), _) => doubtful.push(row),
                (None, None) => submit_again(ports, &row, &mut done).await,
                // Claimed before its submission was written down: it runs, and its name finds it.
                (None, Some(_)) => adopt(ports, row, &mut doubtful, &mut done).await,
            }
        }
        for rows in doubtful.chunks(DESCRIBED) {
            settle(ports, rows, &mut done).await?;
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(done),
        }
    }
}

async fn submit_again(ports: &Ports, row: &JobRow, done: &mut Reconciled) {
    match submit::submit_run(ports, row).await {
        Ok(Submission::NotNeeded(_)) => {}
        Ok(_) => done.submitted.push(row.id.clone()),
        Err(error) => done.failed.push((row.id.clone(), error)),
    }
}

async fn adopt(ports: &Ports, row: JobRow, doubtful: &mut Vec<JobRow>, done: &mut Reconciled) {
    match submit::submit_run(ports, &row).await {
        Ok(submission) => doubtful.push(submission.row().clone()),
        Err(error) => done.failed.push((row.id, error)),
    }
}

/// Ends the rows whose jobs have ended.
async fn settle(ports: &Ports, rows: &[JobRow], done: &mut Reconciled) -> Result<()> {
    let ids: Vec<String> = rows.iter().filter_map(|row| row.compute_id.clone()).collect();
    let jobs = ports.compute.describe(&ids).await?;
    for row in rows {
        let job = jobs.iter().find(|job| row.compute_id.as_deref() == Some(job.id.as_str()));
        let Some(reason) = ended(job) else { continue };
        let claimed = row.claim.as_ref().map_or(0, |claim| claim.attempt);
        // `Lost` and not `Finished`: it names the run, so that a retry asked for meanwhile is not ended by it.
        let change = Transition::Lost {
            run: row.run,
            attempt: job.map_or(0, |job| job.attempts).max(claimed).max(1),
            reason,
            retry: false,
            at_ms: ports.clock.now_ms(),
        };
        match ports.table.apply(&row.id, &change).await {
            Ok(Applied::Changed(_)) => done.ended.push(row.id.clone()),
            Ok(Applied::Refused(..) | Applied::Missing) => {}
            Err(error) => done.failed.push((row.id.clone(), error)),
        }
    }
    Ok(())
}

/// Why a job that has ended left no word, or None where it has not ended.
fn ended(job: Option<&ComputeJob>) -> Option<String> {
    let Some(job) = job else {
        return Some("the compute does not know the job any more, and its worker left no result".to_owned());
    };
    let reason = job.reason.as_deref().unwrap_or("no reason given");
    match job.state {
        ComputeState::Runnable | ComputeState::Starting | ComputeState::Running => None,
        ComputeState::Failed => Some(format!("the compute says that the job failed: {reason}")),
        ComputeState::Succeeded => Some(
            "the compute says that the job ended well, but its worker never recorded a result".to_owned(),
        ),
    }
}
