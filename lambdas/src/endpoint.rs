//! Jobs that come by API: what would be in an `inputs.txt`, or a list of such objects, without an upload.
//!
//! The caller waits for the answer, so what is wrong with an object is said there and makes no row. The ids
//! come from the caller's idempotency key: repeating a call makes no second job.

use serde::Serialize;
use serde_json::value::RawValue;
use shepard_cloud::{CloudError, Ports};
use shepard_model::{Inputs, InputsError, JobId, JobRow};

use crate::scheduler::SchedulerSettings;
use crate::submit::{self, Placed};

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
    /// Id of the job; None where the object cannot be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<JobId>,
    /// The compute's id, once it has the job.
    #[serde(rename = "jobId", skip_serializing_if = "Option::is_none")]
    pub compute_id: Option<String>,
    /// `submitted`, `known` (this call was made before) or `rejected`.
    pub status: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Takes a request; gives an answer for each object, in order.
///
/// # Errors
/// The request as a whole is wrong, or a port failed.
pub async fn accept(
    ports: &Ports,
    settings: &SchedulerSettings,
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
    let mut answers = Vec::with_capacity(objects.len());
    for (index, object) in objects.iter().enumerate() {
        let id = match one {
            true => JobId::of_request(idempotency_key),
            false => JobId::of_request(&format!("{idempotency_key}/{index}")),
        };
        answers.push(match checked(object.get()) {
            Ok(inputs) => submitted(ports, settings, id, inputs).await?,
            Err(fault) => {
                Answer { uuid: None, compute_id: None, status: "rejected", reason: Some(fault.to_string()) }
            }
        });
    }
    Ok(answers)
}

fn checked(json: &str) -> Result<Inputs, InputsError> {
    // The same limit as of a file, because the row is the same.
    if json.len() > shepard_model::inputs::MAX_BYTES {
        return Err(InputsError::TooLarge(json.len() as u64));
    }
    Inputs::from_json(json)
}

async fn submitted(
    ports: &Ports,
    settings: &SchedulerSettings,
    id: JobId,
    inputs: Inputs,
) -> Result<Answer, CloudError> {
    let row = JobRow::arrived(id.clone(), None, inputs, ports.clock.now_ms(), settings.keep_days);
    let (status, row) = match submit::place(ports, &row, settings.lease_ms).await? {
        Placed::Submitted(row) => ("submitted", row),
        Placed::Known(row) | Placed::Rejected(row) => ("known", row),
        // Whoever made this call first is at it still, or died: then the reconciliation submits the job.
        Placed::Busy(_) | Placed::Ignored => ("known", Box::new(row)),
    };
    Ok(Answer { uuid: Some(id), compute_id: row.compute_id, status, reason: row.reason })
}
