//! Batches that were made and not submitted; and where any batch stands, for the sake of its rows.

use std::collections::BTreeSet;

use shepard_cloud::Result;
use shepard_model::manifest::{self, HEADER, Header};
use shepard_model::names::{manifest_key, submitted_key};
use shepard_model::{JobId, JobRow};

use super::Run;
use crate::batch::{self, Fate, Finished, Paced};
use crate::submit;

const DAY_MS: i64 = 86_400_000;

/// Where a batch stands, as a row of it wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The compute has it.
    Submitted {
        /// The compute's id of the whole.
        job: String,
        header: Header,
    },
    /// It was given up: its rows are free.
    Free,
    /// Somebody else is at work on it, or nothing can be done this time.
    Waits,
}

/// Submits the batches of the last days that nobody has said to be submitted. Two lists a day where there is nothing
/// to do, however many jobs there are.
pub(super) async fn finish_made(run: &mut Run<'_>) -> Result<()> {
    let now_ms = run.now_ms();
    let window_ms = run.settings.batch_window_ms;
    if window_ms <= 0 {
        return Ok(());
    }
    // Oldest first. By days, and not by milliseconds: a few more are looked at, none is missed.
    for day in ((now_ms - window_ms).div_euclid(DAY_MS)..=now_ms.div_euclid(DAY_MS)).map(|day| day * DAY_MS) {
        let Some(day) = manifest::batch_day(day) else { continue };
        for batch in unsubmitted(run, &day).await? {
            if run.is_over() || run.done.no_room {
                return Ok(());
            }
            let young = |begun_ms| begun_ms + run.settings.batch_grace_ms > now_ms;
            if manifest::begun_ms(&batch).is_some_and(young) {
                continue;
            }
            finish(run, &batch).await;
        }
    }
    Ok(())
}

/// The batches of a day that were made and have no mark. The marks are listed last: a batch that is submitted in
/// between has one then.
async fn unsubmitted(run: &Run<'_>, day: &str) -> Result<BTreeSet<JobId>> {
    let mut batches = BTreeSet::new();
    let places: [fn(&JobId) -> String; 2] = [manifest_key, submitted_key];
    for (marks, place) in places.into_iter().enumerate() {
        let Some(folder) = JobId::parse(day).map(|day| place(&day)) else { continue };
        let name = folder.len() - day.len();
        let mut from: Option<String> = None;
        loop {
            let inputs = &run.ports.buckets.inputs;
            let page = run.ports.objects.list(inputs, &folder, from.as_deref()).await?;
            for found in page.items {
                let Some(id) = found.object.key.get(name..).and_then(JobId::parse) else { continue };
                if marks == 1 {
                    batches.remove(&id);
                } else if found.size > HEADER as u64 {
                    // A header and nothing more is the tombstone of a batch that was given up.
                    batches.insert(id);
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    Ok(batches)
}

/// Finishes a batch that was made; gives the compute's id where it has one now.
async fn finish(run: &mut Run<'_>, batch: &JobId) -> Option<String> {
    match batch::finish_paced(run.ports, &run.pacer, run.patience_ms(), batch, true).await {
        Ok(Paced::Finished(Finished::Submitted(job))) => {
            run.done.batches.push(batch.clone());
            return Some(job);
        }
        Ok(Paced::Finished(Finished::Known(job))) => return Some(job),
        Ok(Paced::Finished(Finished::Refused(_) | Finished::GivenUp | Finished::Unmade)) => {}
        Ok(Paced::NoRoom(_)) => run.done.no_room = true,
        Err(error) => run.failed(batch, error),
    }
    None
}

/// Where the batch of a row stands, asked once a run. A batch that is too old to be made is given up, and one that was
/// made is submitted.
pub(super) async fn standing(run: &mut Run<'_>, batch: &JobId, row: &JobRow) -> Standing {
    if let Some(known) = run.standing.get(batch) {
        return known.clone();
    }
    let standing = match ask(run, batch, row).await {
        Ok(standing) => standing,
        Err(error) => {
            run.failed(batch, error);
            Standing::Waits
        }
    };
    run.standing.insert(batch.clone(), standing.clone());
    standing
}

async fn ask(run: &mut Run<'_>, batch: &JobId, row: &JobRow) -> Result<Standing> {
    let begun_ms = manifest::begun_ms(batch).unwrap_or_else(|| submit::touched_ms(row));
    let young = begun_ms + run.settings.batch_grace_ms > run.now_ms();
    let mut fate = batch::fate(run.ports, batch).await?;
    if fate == Fate::Unmade && !young {
        if batch::give_up(run.ports, batch).await? {
            return Ok(Standing::Free);
        }
        fate = batch::fate(run.ports, batch).await?;
    }
    Ok(match fate {
        // Of a refused batch every row in the manifest has ended.
        Fate::GivenUp | Fate::Refused => Standing::Free,
        Fate::Made(header) if !young && !run.done.no_room => match finish(run, batch).await {
            Some(job) => Standing::Submitted { job, header },
            None => Standing::Waits,
        },
        Fate::Made(_) | Fate::Unmade => Standing::Waits,
        Fate::Submitted(job) => match batch::header(run.ports, batch).await? {
            Some(header) => Standing::Submitted { job, header },
            None => Standing::Waits,
        },
    })
}
