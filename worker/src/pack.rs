//! The rows of a batch's container, one after another, each with its own claim, log stream, status and result.
//!
//! A bad row is no reason to leave out the next. A row that has ended, or that is not where the manifest says, is
//! passed over, so that another attempt of the container runs only what is left. It never ends a row that it did
//! not claim.

use shepard_cloud::ports::Ports;
use shepard_model::{BatchRef, JobId, Outcome};

use crate::assignment::{Assignment, Child, ManifestError};
use crate::payload::Payload;
use crate::place::Place;
use crate::row::{Patience, patiently};
use crate::run::{Exit, run, run_found};
use crate::stop::Stop;

/// What a container did with one of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// An attempt, which ended so.
    Ran(Exit),
    /// Nothing: the job had ended so before.
    Before(Outcome),
    /// Nothing: the row has left the batch, or is at another place of it.
    Elsewhere,
    /// Nothing: the container was told to stop first, or could not run the payload of a row before.
    Left,
}

/// Runs what a container is to run; gives the exit code of its process.
///
/// * Of one job it is [`Exit::code`].
/// * Of a share of a batch it is 75 where another attempt of the container would help a row (it was interrupted or
///   postponed, its end could not be written, or it was not reached): a retry rule looks for `7*`. Otherwise 1 where a job
///   has failed, in this attempt or an earlier one. Otherwise 0: every row has ended well or by a person's wish,
///   or is somebody else's to end. The rows say which; the code is for the compute.
/// * Where the manifest cannot be used, it is [`ManifestError::code`].
pub async fn work(
    ports: &Ports,
    assignment: &Assignment,
    place: &Place,
    payload: &dyn Payload,
    stop: impl Into<Stop>,
) -> u8 {
    let stop = stop.into();
    let child = match assignment {
        Assignment::Job(job) => return run(ports, job, place, payload, stop).await.code(),
        Assignment::Child(child) => child,
    };
    match run_child(ports, child, place, payload, &stop).await {
        Ok(rows) => {
            if rows.is_empty() {
                tracing::info!(batch = %child.batch(), "every record of this container is a hole: nothing to run");
            }
            code(&rows)
        }
        Err(error) => {
            tracing::error!(batch = %child.batch(), "{error}");
            error.code()
        }
    }
}

/// Runs a container's rows one after another; gives what was done with each, in the manifest's order.
///
/// When `stop` is asked the row that runs is interrupted, and those after it are left as they are; so they are where a
/// payload could not be run here and now.
///
/// # Errors
/// The manifest cannot be used. No row was touched.
pub async fn run_child(
    ports: &Ports,
    child: &Child,
    place: &Place,
    payload: &dyn Payload,
    stop: &Stop,
) -> Result<Vec<(JobId, Did)>, ManifestError> {
    let rows = child.rows(ports).await?;
    let mut done = Vec::with_capacity(rows.len());
    let mut postponed = false;
    for (at, id) in rows {
        let did = if stop.is_asked() || postponed {
            Did::Left
        } else {
            one(ports, child, at, &id, place, payload, stop).await
        };
        // Whatever keeps one payload from being run here keeps the next: its attempts are not used up for that.
        postponed |= did == Did::Ran(Exit::Postponed);
        match &did {
            Did::Ran(Exit::Succeeded) => {}
            did => tracing::info!(job = %id, ?did, "a row of the container did not succeed here"),
        }
        done.push((id, did));
    }
    Ok(done)
}

async fn one(
    ports: &Ports,
    child: &Child,
    at: BatchRef,
    id: &JobId,
    place: &Place,
    payload: &dyn Payload,
    stop: &Stop,
) -> Did {
    // Rows are written before their manifest, so one that is not there will not come.
    match patiently(ports.clock.as_ref(), Patience::Ordinary, || ports.table.get(id)).await {
        Ok(Some(row)) => match row.outcome {
            Some(outcome) => Did::Before(outcome),
            None if row.batch.as_ref() != Some(&at) => Did::Elsewhere,
            // What happens to the row from here on its claim sees.
            None => Did::Ran(run_found(ports, &child.job(&row, at), place, payload, stop).await),
        },
        Ok(None) => Did::Ran(Exit::NoRow),
        Err(error) => {
            tracing::error!(job = %id, %error, "the job table cannot be used");
            Did::Ran(Exit::Unwritten)
        }
    }
}

fn code(rows: &[(JobId, Did)]) -> u8 {
    let any = |is: fn(&Did) -> bool| rows.iter().any(|(_, did)| is(did));
    if any(|did| match did {
        Did::Ran(exit) => exit.code() >= 70,
        Did::Left => true,
        Did::Before(_) | Did::Elsewhere => false,
    }) {
        return 75;
    }
    u8::from(any(|did| {
        matches!(did, Did::Ran(Exit::PayloadFailed | Exit::Failed) | Did::Before(Outcome::Failed))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_asks_for_another_attempt_before_it_tells_of_failures() {
        use Outcome::{Cancelled, Failed, Succeeded};
        let code = |rows: &[Did]| {
            let id = JobId::parse("u").unwrap();
            code(&rows.iter().map(|did| (id.clone(), did.clone())).collect::<Vec<_>>())
        };
        let fine = [
            Did::Ran(Exit::Succeeded),
            Did::Ran(Exit::AlreadyDone),
            Did::Ran(Exit::Cancelled),
            Did::Ran(Exit::NotMine),
            Did::Ran(Exit::NoRow),
            Did::Before(Succeeded),
            Did::Before(Cancelled),
            Did::Elsewhere,
        ];
        assert_eq!((code(&[]), code(&fine)), (0, 0));
        for failed in [Did::Ran(Exit::PayloadFailed), Did::Ran(Exit::Failed), Did::Before(Failed)] {
            assert_eq!(code(&[fine[0].clone(), failed.clone()]), 1);
            for again in
                [Did::Left, Did::Ran(Exit::Interrupted), Did::Ran(Exit::Unwritten), Did::Ran(Exit::Postponed)]
            {
                assert_eq!(code(&[failed.clone(), again, fine[0].clone()]), 75);
            }
        }
    }
}
