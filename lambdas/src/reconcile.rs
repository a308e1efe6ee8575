//! Finishes what a crash or a lost message left half done, and may run at any time beside everything else.
//!
//! | pass | finds | and |
//! |---|---|---|
//! | [`batches`] | a manifest without the mark that its batch was submitted | submits it |
//! | [`rows`] | a row without a job; a job that ended without its row's end | submits it; ends the row |
//! | [`uploads`] | an object without a row, where that is asked for | announces it again |
//!
//! Every repair may be repeated, stopped at any point, and made by two at once. None touches a row that a worker holds
//! a lease on, nor anything that is younger than its grace: that belongs to whoever began it. One pass's trouble does
//! not keep the next from its work, nor does one row's.

mod batches;
mod rows;
mod uploads;

use std::collections::HashMap;

use futures_util::lock::Mutex;
use shepard_cloud::{CloudError, Ports, Result};
use shepard_model::JobId;

use crate::pace::Pacer;
use batches::Standing;

/// How long a submission waits for room, in milliseconds. Longer, and there is none for a reconciler.
const PATIENCE_MS: i64 = 5_000;

/// Failures after which a run stops, and the next goes on behind them.
const MOST_FAILED: usize = 1_000;

/// How much of the past is left alone, and how much is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcileSettings {
    /// How long nothing must have happened to a row, in milliseconds: longer than the scheduler's lease. 0 where nobody
    /// else can be at work.
    pub grace_ms: i64,
    /// How long nothing must have happened to a row before it is believed that the compute has forgotten its job, in
    /// milliseconds. AWS Batch keeps a job for a week, and may not know of a new one for a moment.
    pub forgotten_ms: i64,
    /// How long a batch is left to the scheduler, in milliseconds: longer than a message that nobody deleted stays
    /// hidden, and than the longest delay of one that waits for room, both 15 minutes at most on SQS as we set it.
    pub batch_grace_ms: i64,
    /// How far back batches are looked for that were made and not submitted, in milliseconds; 0 does not look.
    pub batch_window_ms: i64,
    /// Looks for uploads that nobody has heard of; None does not. See [`Window`] before it is switched on.
    pub lost_uploads: Option<Window>,
    /// Rows read at once.
    pub page: usize,
    /// How long a run may take, in milliseconds; None is no limit. What it had begun it finishes.
    pub budget_ms: Option<i64>,
    /// Jobs handed to the compute in a second at most; 0 is no limit. On AWS 50 are all that an account has, and the
    /// scheduler wants them.
    pub submits_per_s: u32,
}

impl Default for ReconcileSettings {
    fn default() -> Self {
        Self {
            grace_ms: 30_000,
            forgotten_ms: 3_600_000,
            batch_grace_ms: 900_000,
            batch_window_ms: 2 * 86_400_000,
            lost_uploads: None,
            page: 500,
            budget_ms: None,
            submits_per_s: 10,
        }
    }
}

/// Which uploads are looked for.
///
/// An upload without a row is lost, or its row is forgotten. A table that forgets rows by `END_TIME`, as those of old
/// stacks do, forgets them soon after their end; there this must stay off, or every job would be run again. It is for
/// tables that forget by `SHEPARD_EXPIRES`, and then `younger_than_ms` must be less than what the flock keeps rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Younger objects are still on their way, in milliseconds.
    pub older_than_ms: i64,
    /// Older ones are not looked at, in milliseconds.
    pub younger_than_ms: i64,
    /// Objects announced in one run at most.
    pub at_most: usize,
}

/// Where a run stopped for want of time, for the next to go on there. `default()` is the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bookmark {
    /// In the table's scan.
    pub rows: Option<String>,
    /// In the list of the inputs bucket.
    pub uploads: Option<String>,
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
    /// Batches that were submitted or adopted.
    pub batches: Vec<JobId>,
    /// Uploads that were announced again, by the id of their job.
    pub announced: Vec<JobId>,
    /// Uploads that cannot be looked for, because the bucket gave them no version id.
    pub unversioned: u64,
    /// Rows and batches that could not be helped this time.
    pub failed: Vec<(JobId, CloudError)>,
    /// What kept a whole pass from its work.
    pub troubles: Vec<CloudError>,
    /// The compute took no more jobs; the next run goes on.
    pub no_room: bool,
    /// Where it stopped for want of time, or after too many failures; None where it looked at everything.
    pub stopped: Option<Bookmark>,
}

/// Looks through everything once.
///
/// # Errors
/// The table cannot be read, or the compute cannot be asked. One row's trouble is in [`Reconciled::failed`], another
/// pass's in [`Reconciled::troubles`].
pub async fn reconcile(ports: &Ports, settings: ReconcileSettings) -> Result<Reconciled> {
    reconcile_from(ports, settings, Bookmark::default()).await
}

/// As [`reconcile`], from where an earlier run stopped.
///
/// # Errors
/// As there.
pub async fn reconcile_from(
    ports: &Ports,
    settings: ReconcileSettings,
    from: Bookmark,
) -> Result<Reconciled> {
    let mut run = Run::new(ports, settings);
    if let Err(error) = batches::finish_made(&mut run).await {
        run.done.troubles.push(error);
    }
    let mut stopped = Bookmark { rows: rows::compare(&mut run, from.rows).await?, uploads: None };
    if let Some(window) = settings.lost_uploads {
        match uploads::announce(&mut run, window, from.uploads).await {
            Ok(at) => stopped.uploads = at,
            Err(error) => run.done.troubles.push(error),
        }
    }
    run.done.stopped = Some(stopped).filter(|stopped| *stopped != Bookmark::default());
    Ok(run.done)
}

/// One run.
struct Run<'a> {
    ports: &'a Ports,
    settings: ReconcileSettings,
    pacer: Pacer,
    /// When it stops beginning anything.
    until_ms: i64,
    done: Reconciled,
    /// Where batches stand, as far as this run has asked.
    standing: HashMap<JobId, Standing>,
    /// Whether a container of several rows, by its id, had claimed one.
    began: Mutex<HashMap<String, bool>>,
}

impl<'a> Run<'a> {
    fn new(ports: &'a Ports, settings: ReconcileSettings) -> Self {
        let per_s = if settings.submits_per_s == 0 { f64::INFINITY } else { settings.submits_per_s.into() };
        let until_ms = settings.budget_ms.map_or(i64::MAX, |ms| ports.clock.now_ms().saturating_add(ms));
        let (done, pacer) = (Reconciled::default(), Pacer::new(per_s));
        Self { ports, settings, pacer, until_ms, done, standing: HashMap::new(), began: Mutex::default() }
    }

    fn now_ms(&self) -> i64 {
        self.ports.clock.now_ms()
    }

    /// Until when one submission may wait for room.
    fn patience_ms(&self) -> i64 {
        self.until_ms.min(self.now_ms().saturating_add(PATIENCE_MS))
    }

    /// No time is left, or so much has gone wrong that the rest will not go better.
    fn is_over(&self) -> bool {
        self.now_ms() >= self.until_ms || self.done.failed.len() >= MOST_FAILED
    }

    fn failed(&mut self, id: &JobId, error: CloudError) {
        self.done.failed.push((id.clone(), error));
    }
}
