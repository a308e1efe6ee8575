//! The calls of one upload: its object read, its row looked for, written or moved.
//!
//! Each is one future that owns what it needs and keeps the object's bytes no longer than it reads them. A failure is
//! logged here, where the object is known; the user's variables never are.

use shepard_cloud::ports::{Applied, Put};
use shepard_cloud::{CloudError, Kind, Result};
use shepard_model::{BatchRef, JobId, JobRow, Transition};
use tracing::{info, warn};

use crate::event::Arrival;
use crate::group::Seat;
use crate::pace;
use crate::scheduler::Core;
use crate::work::{End, Step};
use crate::zip::{self, ReadError};

/// Where a row comes from.
pub(crate) enum Source {
    /// An upload. `again` says that it was delivered before.
    Upload { arrival: Box<Arrival>, again: bool },
    /// A row that is ready to be written.
    Row(Box<JobRow>),
    /// A row that is there.
    Named(JobId),
}

/// Reads what the row is made from, or the row.
pub(crate) async fn read(core: &Core, entry: usize, source: Source, tries: u32) -> Step {
    match source {
        Source::Row(row) => Step::Fresh(entry, row),
        Source::Named(id) => match row_of(core, &id, tries).await {
            Ok(Some(row)) => Step::Found(entry, row),
            Ok(None) => {
                warn!(job = %id, "it was to be submitted, but its row is gone");
                Step::Ended(entry, End::Ignored)
            }
            Err(error) => {
                warn!(job = %id, "left for another delivery: {error}");
                Step::Ended(entry, End::Failed(error))
            }
        },
        Source::Upload { arrival, again } => match upload(core, &arrival, again, tries).await {
            Ok(Some((true, row))) => Step::Found(entry, row),
            Ok(Some((false, row))) => Step::Fresh(entry, row),
            Ok(None) => Step::Ended(entry, End::Ignored),
            Err(error) => {
                warn!(job = %arrival.id, object = %arrival.object, "left for another delivery: {error}");
                Step::Ended(entry, End::Failed(error))
            }
        },
    }
}

/// Its row, and whether it was there; None where the upload asks for none.
async fn upload(
    core: &Core,
    arrival: &Arrival,
    again: bool,
    tries: u32,
) -> Result<Option<(bool, Box<JobRow>)>> {
    if arrival.is_placeholder() || core.is_own(&arrival.object) {
        return Ok(None);
    }
    // A second delivery mostly finds the first one's row and need not read the archive again.
    if again && let Some(row) = row_of(core, &arrival.id, tries).await? {
        return Ok(Some((true, row)));
    }
    Ok(Some((false, Box::new(fresh(core, arrival, tries).await?))))
}

async fn row_of(core: &Core, id: &JobId, tries: u32) -> Result<Option<Box<JobRow>>> {
    let row = pace::patiently(&core.ports, id.as_str(), tries, || core.ports.table.get(id)).await?;
    Ok(row.map(Box::new))
}

async fn fresh(core: &Core, arrival: &Arrival, tries: u32) -> Result<JobRow> {
    let inputs = &core.ports.buckets.inputs;
    // An old stack does not tell its scheduler what its bucket is called.
    if !inputs.is_empty() && arrival.object.bucket != *inputs {
        let reason = format!(
            "the upload is in the bucket {}, but this flock takes its inputs from {inputs}",
            arrival.object.bucket
        );
        return Ok(rejected(core, arrival, reason));
    }
    if arrival.bad_key {
        let reason = "the upload's name is not valid UTF-8 text; give it another name and upload it again";
        return Ok(rejected(core, arrival, reason.to_owned()));
    }
    let read = pace::patiently(&core.ports, arrival.id.as_str(), tries, || async {
        match zip::read_inputs(&*core.ports.objects, &arrival.object).await {
            Ok(inputs) => Ok(Ok(inputs)),
            Err(ReadError::Cloud(error)) => match error.kind {
                Kind::NotFound => Ok(Err("the upload was removed before it was read".to_owned())),
                Kind::Invalid => Ok(Err(format!("the upload cannot be read: {error}"))),
                _ => Err(error),
            },
            Err(fault) => Ok(Err(fault.to_string())),
        }
    });
    Ok(match read.await? {
        Ok(inputs) => {
            let (id, object) = (arrival.id.clone(), arrival.object.clone());
            JobRow::arrived(id, Some(object), inputs, core.ports.clock.now_ms(), core.settings.keep_days)
        }
        Err(reason) => rejected(core, arrival, reason),
    })
}

fn rejected(core: &Core, arrival: &Arrival, reason: String) -> JobRow {
    info!(job = %arrival.id, object = %arrival.object, "upload rejected: {reason}");
    let (id, object) = (arrival.id.clone(), arrival.object.clone());
    JobRow::rejected(id, Some(object), reason, core.ports.clock.now_ms(), core.settings.keep_days)
}

/// Writes a row unless there is one. One that the table does not take is written as a rejected one.
pub(crate) async fn write(
    core: &Core,
    entry: usize,
    seat: Option<Seat>,
    row: Box<JobRow>,
    tries: u32,
) -> Step {
    let (put, row) = match put(core, &row, tries).await {
        // Larger than the table takes; the rejected row holds no variables.
        Err(error) if error.kind == Kind::Invalid && row.outcome.is_none() => {
            let reason = format!("the job cannot be recorded: {error}");
            let now_ms = core.ports.clock.now_ms();
            let rejected =
                JobRow::rejected(row.id.clone(), row.input.clone(), reason, now_ms, core.settings.keep_days);
            (put(core, &rejected, tries).await, Box::new(rejected))
        }
        put => (put, row),
    };
    if let Err(error) = &put {
        let object = row.input.as_ref().map_or_else(String::new, ToString::to_string);
        warn!(job = %row.id, object, "left for another delivery: {error}");
    }
    Step::Written(entry, seat, row, put)
}

async fn put(core: &Core, row: &JobRow, tries: u32) -> Result<Put> {
    pace::patiently(&core.ports, row.id.as_str(), tries, || core.ports.table.put_new(row)).await
}

/// Moves a row out of a batch that will never run it.
pub(crate) async fn move_row(
    core: &Core,
    entry: usize,
    seat: Option<Seat>,
    id: JobId,
    from: JobId,
    to: Option<BatchRef>,
    tries: u32,
) -> Step {
    let change = Transition::Regrouped { from, to, at_ms: core.ports.clock.now_ms() };
    let applied: Result<Applied, CloudError> =
        pace::patiently(&core.ports, id.as_str(), tries, || core.ports.table.apply(&id, &change)).await;
    if let Err(error) = &applied {
        warn!(job = %id, "left for another delivery: {error}");
    }
    Step::Moved(entry, seat, applied)
}
