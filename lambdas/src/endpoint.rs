//! Jobs that come by API: what would be in an `inputs.txt`, or a list of such objects, without an upload.
//!
//! The caller waits for the answer, so what is wrong with an object is said there and makes no row. A list is taken
//! whole or not at all: with one bad object in it nothing is submitted, so that nobody has to find out which half of
//! a call went through. The ids come from the caller's idempotency key: repeating a call makes no second job, and goes
//! on where a failure stopped the first.

use serde::Serialize;
use serde_json::value::RawValue;
use shepard_cloud::CloudError;
use shepard_model::{Inputs, InputsError, JobId, JobRow};

use crate::scheduler::Scheduler;
use crate::work::End;

/// Most objects in one call.
pub const MOST: usize = 1_000;

/// Why a call was not taken at all.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Neither an object nor a list.
    #[error("the request must be one JSON object of variables, or a list of them")]
    Shape,
    /// No key to tell a repeated call by.
    #[error("the request has no idempotency key")]
    NoKey,
    /// Too many at once.
    #[error("the request holds {0} jobs; at most {MOST} are taken at once")]
    TooMany(usize),
    /// A port failed. Repeating the call with the same key goes on where it stopped.
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

/// The answer for one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Id of the job; None where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<JobId>,
    /// The compute's id, once it has the job.
    #[serde(rename = "jobId", skip_serializing_if = "Option::is_none")]
    pub compute_id: Option<String>,
    /// `submitted`; `queued` (recorded, and submitted as soon as there is room); `known` (this call was made before);
    /// `failed` (recorded, and the compute refuses it); `rejected` (it cannot be a job); `not_submitted` (it could be,
    /// but another object of the call cannot).
    pub status: &'static str,
    /// Why it was rejected or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Takes a request; gives an answer for each object, in order.
///
/// # Errors
/// The request as a whole is wrong, or a port failed.
pub async fn accept(
    scheduler: &Scheduler,
    request: &str,
    idempotency_key: &str,
) -> Result<Vec<Answer>, EndpointError> {
    if idempotency_key.is_empty() {
        return Err(EndpointError::NoKey);
    }
    let one = !request.trim_start().starts_with('[');
    let objects: Vec<&RawValue> = if one {
        vec![serde_json::from_str(request).map_err(|_| EndpointError::Shape)?]
    } else {
        serde_json::from_str(request).map_err(|_| EndpointError::Shape)?
    };
    if objects.len() > MOST {
        return Err(EndpointError::TooMany(objects.len()));
    }
    let checked: Vec<_> = objects.into_iter().map(|object| checked(object.get())).collect();
    if checked.iter().any(Result::is_err) {
        return Ok(checked.into_iter().map(|object| none_of(object.err())).collect());
    }
    let core = scheduler.core();
    let now_ms = core.ports.clock.now_ms();
    let row = |(inputs, index)| {
        let id = match one {
            true => JobId::of_request(idempotency_key),
            false => JobId::of_request(&format!("{idempotency_key}/{index}")),
        };
        JobRow::arrived(id, None, inputs, now_ms, core.settings.keep_days)
    };
    let rows: Vec<JobRow> = checked.into_iter().flatten().zip(0_usize..).map(row).collect();
    let ends = scheduler.place(rows).await;
    ends.into_iter().map(|(id, end)| Ok(answer(id, end)?)).collect()
}

fn checked(json: &str) -> Result<Inputs, InputsError> {
    // The same limit as of a file, because the row is the same.
    if json.len() > shepard_model::inputs::MAX_BYTES {
        return Err(InputsError::TooLarge(json.len() as u64));
    }
    Inputs::from_json(json)
}

/// The answer for an object of a call of which nothing is submitted.
fn none_of(fault: Option<InputsError>) -> Answer {
    let status = if fault.is_some() { "rejected" } else { "not_submitted" };
    Answer { uuid: None, compute_id: None, status, reason: fault.map(|fault| fault.to_string()) }
}

fn answer(id: JobId, end: End) -> Result<Answer, CloudError> {
    let (status, compute_id, reason) = match end {
        End::Submitted(compute_id) => ("submitted", compute_id, None),
        End::Deferred => ("queued", None, None),
        End::Known { compute_id, reason } => ("known", compute_id, reason),
        // Whoever made this call first is at it still, or died: then the reconciliation submits the job.
        End::Busy(_) | End::Ignored => ("known", None, None),
        // What the table does not take, and what the compute does not.
        End::Rejected(reason) | End::Refused(reason) => ("failed", None, Some(reason)),
        End::Failed(error) => return Err(error),
    };
    Ok(Answer { uuid: Some(id), compute_id, status, reason })
}
