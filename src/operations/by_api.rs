//! Jobs by API: a JSON object of variables becomes a job without an upload.
//!
//! On AWS the flock's endpoint function takes the call; for a flock of this machine the same code runs here. What the
//! function answers is given back as it is: the original's says nothing of ids, ours names them.

use serde::Serialize;
use serde_json::Value;
use shepard_cloud::aws::{self, Profile};
use shepard_cloud::invoke::{Invoke, InvokeError, Invoked};
use shepard_lambdas::endpoint;

use super::error::{OperationError, Result};
use super::flock::{AwsFlock, Flock};

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Called {
    /// Which function took it; None for a flock of this machine.
    pub function: Option<String>,
    /// The HTTP status of the call.
    pub status: u16,
    /// Ids of the jobs that it made or knew; empty where the function does not say, as the original's.
    pub ids: Vec<String>,
    /// What the function answered.
    pub answer: Value,
    /// The end of what it logged.
    pub log: String,
}

/// The payload, checked to be something that could be jobs.
///
/// # Errors
/// It is no JSON, or neither an object nor a list.
pub fn checked(payload: &str) -> Result<String> {
    match serde_json::from_str::<Value>(payload) {
        Ok(Value::Object(_) | Value::Array(_)) => Ok(payload.to_owned()),
        Ok(_) => {
            Err(OperationError::Usage("the payload must be one JSON object of variables, or a list".into()))
        }
        Err(error) => Err(OperationError::Usage(format!("the payload is no JSON: {error}"))),
    }
}

/// Hands a payload to a flock.
///
/// # Errors
/// It is not known which function takes jobs; it cannot be called; it failed.
pub async fn call(flock: &Flock, payload: &str) -> Result<Called> {
    let payload = checked(payload)?;
    match flock {
        Flock::Aws(flock) => {
            call_function(endpoint_of(flock)?, &Profile::of(&flock.info.account), &payload).await
        }
        Flock::Local(_) => Err(OperationError::Refused(format!(
            "{} is a flock of this machine, which has no endpoint; batch a folder with an inputs.txt instead",
            flock.name()
        ))),
    }
}

fn endpoint_of(flock: &AwsFlock) -> Result<&str> {
    flock.need(flock.info.endpoint.as_ref(), "function that takes jobs by API", "EndpointFunctionName")
}

/// Hands a payload to a function by its name or ARN.
///
/// # Errors
/// It cannot be called, or it failed.
pub async fn call_function(name: &str, profile: &Profile, payload: &str) -> Result<Called> {
    let function = aws::function(name.to_owned(), profile).await;
    match function.invoke(payload).await {
        Ok(invoked) => Ok(called(name, &invoked)),
        Err(InvokeError::Cloud(error)) => Err(error.into()),
        Err(InvokeError::Function(failed)) => {
            let log = failed.answer.log.lines().rev().find(|line| !line.trim().is_empty());
            let log = log.map(|line| format!("; its log ends with: {}", line.trim())).unwrap_or_default();
            Err(OperationError::Environment(format!("{failed}{log}")))
        }
    }
}

fn called(name: &str, invoked: &Invoked) -> Called {
    let answer: Value =
        serde_json::from_str(&invoked.payload).unwrap_or_else(|_| Value::String(invoked.payload.clone()));
    let mut ids = Vec::new();
    collect(&answer, &mut ids);
    Called { function: Some(name.to_owned()), status: invoked.status, ids, answer, log: invoked.log.clone() }
}

/// Every `uuid` of an answer, wherever in it: beside the body for one object, in a list for several.
fn collect(value: &Value, ids: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(id) if name == "uuid" => {
                        if !ids.contains(id) {
                            ids.push(id.clone());
                        }
                    }
                    other => collect(other, ids),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, ids)),
        _ => {}
    }
}

/// Most jobs in one call.
pub const MOST: usize = endpoint::MOST;

#[cfg(test)]
mod tests {
    use super::*;

    fn invoked(payload: &str) -> Invoked {
        Invoked { status: 200, version: None, log: "END\n".into(), payload: payload.into() }
    }

    #[test]
    fn ids_are_found_where_there_are_any_and_an_old_answer_has_none() {
        let one = called("f", &invoked(r#"{"statusCode":200,"uuid":"a1","jobId":"j"}"#));
        assert_eq!(one.ids, ["a1"]);
        let many = called("f", &invoked(r#"{"jobs":[{"uuid":"a1"},{"uuid":"b2"},{"status":"rejected"}]}"#));
        assert_eq!(many.ids, ["a1", "b2"]);
        let old = called("f", &invoked(r#"{"statusCode":200,"body":"\"done\""}"#));
        assert!(old.ids.is_empty() && old.answer["statusCode"] == 200);
        assert_eq!(called("f", &invoked("no json")).answer, Value::String("no json".into()));
    }

    #[test]
    fn what_cannot_be_jobs_is_not_sent() {
        assert!(checked(r#"{"x": 1}"#).is_ok() && checked("[]").is_ok());
        for bad in ["", "1", "\"x\"", "{"] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
    }
}
