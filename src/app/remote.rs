//! What is known of something that lives elsewhere: nothing yet, a value, or a value that may be stale and why.

use serde::{Deserialize, Serialize};

/// What kind of failure, for the screen to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// No credentials.
    Auth,
    /// Credentials that have run out.
    Expired,
    /// An MFA code is needed.
    Mfa,
    /// Not allowed.
    Denied,
    /// Not there.
    NotFound,
    /// Too fast.
    Throttled,
    /// Out of reach.
    Offline,
    /// No space.
    Full,
    /// A mistake in what was asked.
    Invalid,
    /// Anything else.
    Other,
}

/// A failure, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// What happened, to what, and what to do.
    pub text: String,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: ProblemKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl ProblemKind {
    /// The session with AWS is what is missing: feeds of the account wait until it is renewed.
    pub fn is_of_the_session(self) -> bool {
        matches!(self, Self::Auth | Self::Expired | Self::Mfa)
    }
}

/// What is known of a value that lives elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote<T> {
    /// The last value that arrived.
    pub value: Option<T>,
    /// When it arrived, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Why a newer one did not. The value, if any, is stale, and must look stale.
    pub problem: Option<Problem>,
}

impl<T> Default for Remote<T> {
    fn default() -> Self {
        Self { value: None, at_ms: 0, problem: None }
    }
}

impl<T> Remote<T> {
    /// Takes an answer.
    pub fn take(&mut self, answer: Result<T, Problem>, now_ms: i64) {
        match answer {
            Ok(value) => *self = Self { value: Some(value), at_ms: now_ms, problem: None },
            Err(problem) => self.problem = Some(problem),
        }
    }

    /// Nothing has arrived, not even a failure.
    pub fn is_loading(&self) -> bool {
        self.value.is_none() && self.problem.is_none()
    }
}
