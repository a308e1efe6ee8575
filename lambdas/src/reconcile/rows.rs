//! Rows that have no job, and rows whose job has ended without a word.
//!
//! A row of a batch learns the compute's id of its container when a worker claims it. Until then the id follows from
//! its place. When the container has ended and never claimed it:
//!
//! | the container | the row |
//! |---|---|
//! | has no record of it in the manifest | is free, and gets a job of its own |
//! | ended well | gets a job of its own: nothing says why it was passed over, and it costs one try |
//! | failed, after it had claimed another row of its pack | gets a job of its own: another's trouble is not its |
//! | failed, and had claimed none | fails with the container, as a plain job would; to try a thousand rows one by one on an image that cannot start would help none |
//!
//! A job of its own has no batch, so this happens to a row once, and the array's child cannot claim it any more.

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt, stream};
use shepard_cloud::ports::{Applied, ComputeJob, ComputeState};
use shepard_cloud::{CloudError, Result};
use shepard_model::manifest::Header;
use shepard_model::{BatchRef, JobId, JobRow, Outcome, Transition, status};

use super::Run;
use super::batches::{self, Standing};
use crate::batch;
use crate::submit::{self, Paced, Submission};

/// Jobs asked about in one call: what AWS Batch takes.
const DESCRIBED: usize = 100;
/// Rows settled side by side.
const ABREAST: usize = 16;

/// A row whose job may have ended.
struct Doubt {
    row: JobRow,
    job: Job,
}

/// Which job of the compute a row has.
enum Job {
    /// This one.
    Own(String),
    /// This one, whatever its id.
    Seen(ComputeJob),
    /// A container of an array: its id and the array's.
    Child { id: String, array: String, header: Header, place: BatchRef },
}

/// Compares every row with its job; gives where it stopped for want of time.
pub(super) async fn compare(run: &mut Run<'_>, mut from: Option<String>) -> Result<Option<String>> {
    loop {
        // After at least one page, so that a run with little time gets on all the same.
        let page = run.ports.table.scan(from.as_deref(), run.settings.page.max(1)).await?;
        let mut doubts = Vec::new();
        for row in page.items {
            run.done.rows += 1;
            if row.outcome.is_some() {
                continue;
            }
            run.done.open += 1;
            let now_ms = run.now_ms();
            let held = row.claim.is_some() && row.lease_until_ms > now_ms;
            if !held && submit::touched_ms(&row) + run.settings.grace_ms <= now_ms {
                doubts.extend(look(run, row).await);
            }
        }
        settle_all(run, doubts).await?;
        match page.next {
            Some(_) if run.is_over() => return Ok(page.next),
            Some(next) => from = Some(next),
            None => return Ok(None),
        }
    }
}

/// What is to be asked about a row; None where it was helped already, or is to be left.
async fn look(run: &mut Run<'_>, row: JobRow) -> Option<Doubt> {
    if let Some(id) = row.compute_id.clone() {
        return Some(Doubt { row, job: Job::Own(id) });
    }
    if is_an_old_workers(&row) || is_an_old_schedulers(&row) {
        return seen(run, row).await;
    }
    let Some(place) = row.batch.clone() else {
        let row = submit(run, &row).await?;
        // Claimed before its submission was written down: it runs or has run, and its name has found it.
        let id = row.compute_id.clone().filter(|_| row.claim.is_some())?;
        return Some(Doubt { row, job: Job::Own(id) });
    };
    match batches::standing(run, &place.id, &row).await {
        Standing::Waits => None,
        Standing::Free => {
            alone(run, &row).await;
            None
        }
        Standing::Submitted { job: array, header } => {
            let id = batch::child_id(&array, &header, place.index);
            let claimed = row.claim.is_some();
            let job = if claimed { Job::Own(id) } else { Job::Child { id, array, header, place } };
            Some(Doubt { row, job })
        }
    }
}

/// Nobody of ours leaves a row so: begun, and held by nobody who has a name. An old worker writes the row whole, as it
/// was when it read it, and what was written meanwhile is gone: it may have been submitted, and must not be again.
fn is_an_old_workers(row: &JobRow) -> bool {
    let held = row.claim.as_ref().is_some_and(|fence| !fence.worker.is_empty());
    !held && !row.status.eq_ignore_ascii_case(status::NOT_YET_INITIATED)
}

/// The old scheduler wrote no key of the input into its rows, so nobody else can submit them. Its ids have 84 characters
/// and more; ours are 32.
fn is_an_old_schedulers(row: &JobRow) -> bool {
    row.input.is_none() && row.id.as_str().len() > 32
}

/// Looks for the job of a row by its name, and submits none.
async fn seen(run: &mut Run<'_>, row: JobRow) -> Option<Doubt> {
    match run.ports.compute.find(&submit::job_name(&row.id, row.run)).await {
        Ok(jobs) => submit::newest(&jobs).cloned().map(|job| Doubt { row, job: Job::Seen(job) }),
        Err(error) => {
            run.failed(&row.id, error);
            None
        }
    }
}

/// Submits or adopts the run of a row; gives the row as it is then.
async fn submit(run: &mut Run<'_>, row: &JobRow) -> Option<JobRow> {
    if run.done.no_room || run.is_over() {
        return None;
    }
    match submit::submit_paced(run.ports, &run.pacer, run.patience_ms(), row, true).await {
        Ok(Paced::Done(submission)) => {
            if !matches!(submission, Submission::NotNeeded(_)) && row.claim.is_none() {
                run.done.submitted.push(row.id.clone());
            }
            Some(submission.row().clone())
        }
        Ok(Paced::NoRoom(_)) => {
            run.done.no_room = true;
            None
        }
        Err(error) => {
            run.failed(&row.id, error);
            None
        }
    }
}

/// Takes a row out of its batch and submits it. Between the two it is a row without a job, which the next run finds.
async fn alone(run: &mut Run<'_>, row: &JobRow) {
    let Some(place) = &row.batch else { return };
    if run.done.no_room || run.is_over() {
        return;
    }
    let change = Transition::Regrouped { from: place.id.clone(), to: None, at_ms: run.now_ms() };
    match run.ports.table.apply(&row.id, &change).await {
        Ok(Applied::Changed(row)) => {
            submit(run, &row).await;
        }
        // The scheduler was quicker, or a worker.
        Ok(Applied::Refused(..) | Applied::Missing) => {}
        Err(error) => run.failed(&row.id, error),
    }
}

/// Asks about the jobs of a page's rows, a hundred at a time, and settles the rows of those that have ended.
async fn settle_all(run: &mut Run<'_>, doubts: Vec<Doubt>) -> Result<()> {
    let mut known = HashMap::new();
    let ids = doubts.iter().filter_map(|doubt| match &doubt.job {
        Job::Own(id) | Job::Child { id, .. } => Some(id.clone()),
        Job::Seen(_) => None,
    });
    describe(run, ids.collect(), &mut known).await?;
    // The children of an array are made a while after it was taken: one that is not known does not exist yet where
    // the array lives.
    let arrays = doubts.iter().filter_map(|doubt| match &doubt.job {
        Job::Child { id, array, .. } if !known.contains_key(id) => Some(array.clone()),
        _ => None,
    });
    describe(run, arrays.collect(), &mut known).await?;
    let (here, known) = (&*run, &known);
    let work: Vec<_> = doubts.into_iter().map(|doubt| settle(here, doubt, known)).collect();
    let settled: Vec<_> = stream::iter(work).buffered(ABREAST).collect().await;
    for one in settled {
        match one {
            Settled::Left => {}
            Settled::Ended(id) => run.done.ended.push(id),
            // One by one: the compute takes so many a second and no more.
            Settled::Alone(row) => alone(run, &row).await,
            Settled::Failed(id, error) => run.failed(&id, error),
        }
    }
    Ok(())
}

async fn describe(
    run: &Run<'_>,
    ids: BTreeSet<String>,
    known: &mut HashMap<String, ComputeJob>,
) -> Result<()> {
    let ids: Vec<String> = ids.into_iter().collect();
    for ids in ids.chunks(DESCRIBED) {
        let jobs = run.ports.compute.describe(ids).await?;
        known.extend(jobs.into_iter().map(|job| (job.id.clone(), job)));
    }
    Ok(())
}

/// What became of a doubt.
enum Settled {
    /// Its job lives, or another was quicker.
    Left,
    /// The row has ended.
    Ended(JobId),
    /// The row is to leave its batch and get a job of its own.
    Alone(Box<JobRow>),
    /// It could not be helped this time.
    Failed(JobId, CloudError),
}

async fn settle(run: &Run<'_>, doubt: Doubt, known: &HashMap<String, ComputeJob>) -> Settled {
    let row = &doubt.row;
    let job = match &doubt.job {
        Job::Own(id) => known.get(id),
        Job::Seen(job) => Some(job),
        Job::Child { id, array, .. } => known.get(id).or_else(|| known.get(array).filter(|job| lives(job))),
    };
    if job.is_none() && submit::touched_ms(row) + run.settings.forgotten_ms > run.now_ms() {
        return Settled::Left;
    }
    let Some(reason) = ended(job) else { return Settled::Left };
    let change = if row.status.starts_with("<done>") {
        let Some(job) = job else { return Settled::Left };
        said_by_an_old_worker(row, job, &reason)
    } else {
        if let Job::Child { id, header, place, .. } = &doubt.job {
            match deserves_its_own(run, row, job, id, header, place).await {
                Ok(true) => return Settled::Alone(Box::new(doubt.row)),
                Ok(false) => {}
                Err(error) => return Settled::Failed(row.id.clone(), error),
            }
        }
        let claimed = row.claim.as_ref().map_or(0, |claim| claim.attempt);
        // `Lost` and not `Finished`: it names the run, so that a retry asked for meanwhile is not ended by it.
        Transition::Lost {
            run: row.run,
            attempt: job.map_or(0, |job| job.attempts).max(claimed).max(1),
            reason,
            retry: false,
            at_ms: run.now_ms(),
        }
    };
    match run.ports.table.apply(&row.id, &change).await {
        Ok(Applied::Changed(_)) => Settled::Ended(row.id.clone()),
        Ok(Applied::Refused(..) | Applied::Missing) => Settled::Left,
        Err(error) => Settled::Failed(row.id.clone(), error),
    }
}

fn lives(job: &ComputeJob) -> bool {
    !matches!(job.state, ComputeState::Succeeded | ComputeState::Failed)
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

/// The end that a worker of the original wrote: `<done>` for every one. How it ended, its exit code tells the compute.
fn said_by_an_old_worker(row: &JobRow, job: &ComputeJob, reason: &str) -> Transition {
    let (outcome, reason) = match job.state {
        ComputeState::Succeeded => (Outcome::Succeeded, None),
        _ => (Outcome::Failed, Some(format!("the worker says only that it is done; {reason}"))),
    };
    // It wrote when, too; scripts keep the time that they have read.
    let at_ms = row.end_time_s.saturating_mul(1_000);
    Transition::Finished { fence: None, outcome, reason, exit_code: None, results: Vec::new(), at_ms }
}

/// Whether a row that its container never claimed is to get a job of its own; the module says when.
async fn deserves_its_own(
    run: &Run<'_>,
    row: &JobRow,
    job: Option<&ComputeJob>,
    child: &str,
    header: &Header,
    place: &BatchRef,
) -> Result<bool> {
    let record = batch::records(run.ports, &place.id, place.index, 1).await?;
    if !matches!(record.as_slice(), [Some(id)] if *id == row.id) {
        return Ok(true);
    }
    match job.map(|job| job.state) {
        Some(ComputeState::Succeeded) => Ok(true),
        Some(ComputeState::Failed) if header.pack > 1 => began(run, child, header, place).await,
        _ => Ok(false),
    }
}

/// Whether a container claimed any of its rows. Asked once a run: all of its rows want to know.
async fn began(run: &Run<'_>, child: &str, header: &Header, place: &BatchRef) -> Result<bool> {
    // Held while it is asked, so that the rows that are settled side by side do not all ask.
    let mut known = run.began.lock().await;
    if let Some(began) = known.get(child) {
        return Ok(*began);
    }
    let first = header.child_of(place.index) * header.pack;
    let mut began = false;
    for id in batch::records(run.ports, &place.id, first, header.pack).await?.into_iter().flatten() {
        let row = run.ports.table.get(&id).await?;
        if row.is_some_and(|row| row.compute_id.as_deref() == Some(child)) {
            began = true;
            break;
        }
    }
    known.insert(child.to_owned(), began);
    Ok(began)
}
