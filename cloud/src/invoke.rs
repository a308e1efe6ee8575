//! The port to a function that is called and waited for: a flock's endpoint, which takes jobs by API.
//!
//! A call that arrived is not a call that went well: a function that fails answers with status 200 and says so beside
//! it. So the two are told apart by type, and the log that the function wrote last comes with both.

use std::fmt;

use async_trait::async_trait;

use crate::error::CloudError;

/// What a function answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoked {
    /// The HTTP status of the call, 200.
    pub status: u16,
    /// Which version of the function ran.
    pub version: Option<String>,
    /// The last 4 KiB of what it logged, decoded. It may begin in the middle of a line.
    pub log: String,
    /// Its answer, as it gave it: JSON, whatever the function makes it.
    pub payload: String,
}

/// A function that ran and failed, or could not be run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// Name of the function.
    pub function: String,
    /// It said so itself (`Handled`); else it crashed, ran out of time or memory (`Unhandled`).
    pub handled: bool,
    /// The type that it named: `Runtime.ExitError`, `KeyError`.
    pub kind: Option<String>,
    /// What it said, or its whole answer where that has no message.
    pub message: String,
    /// What it answered and logged.
    pub answer: Invoked,
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the function {} failed", self.function)?;
        if let Some(kind) = &self.kind {
            write!(f, " with {kind}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for FunctionError {}

/// Why there is no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The function could not be called.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// It was called, and failed. It may have done what it was asked for all the same: with an idempotency key the
    /// call can be repeated.
    #[error(transparent)]
    Function(Box<FunctionError>),
}

/// A function that is called and waited for.
#[async_trait]
pub trait Invoke: Send + Sync {
    /// Calls it with a payload of JSON, once: whether a call whose answer was lost arrived is not known, so it is for
    /// the caller to repeat it with the same idempotency key.
    async fn invoke(&self, payload: &str) -> Result<Invoked, InvokeError>;
}
