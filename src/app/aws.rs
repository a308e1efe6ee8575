//! What the console knows of flocks on AWS beyond what every flock has, as data: nothing here asks anybody.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::msg::FlockRow;
use super::remote::{Problem, ProblemKind};

/// What is said of a flock on AWS in the list, beside what is said of every flock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnAws {
    /// The account and region, as a person calls them: `work/eu-west-1`.
    pub place: String,
    /// The stack's status in CloudFormation's words; None where it is known from a profile alone.
    pub status: Option<String>,
    /// The role of the theme that the account stands out by.
    pub colour: Option<String>,
    /// What changes a flock of this account is refused.
    pub read_only: bool,
    /// Its jobs were counted while it was open: its table is not read for the list.
    pub counted: bool,
    /// The queue can be asked, because its name is known.
    pub has_queue: bool,
    /// The queue was asked how deep it is.
    pub measured: bool,
}

/// The flocks on AWS that were found, and what could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AwsFlocks {
    /// They.
    pub flocks: Vec<FlockRow>,
    /// Accounts that could not be asked. What was known of their flocks before is among the flocks.
    pub failed: Vec<AccountProblem>,
    /// AWS is being asked for the first time.
    pub asking: bool,
}

/// An account that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountProblem {
    /// The account and region, as a person calls them.
    pub place: String,
    /// Why not.
    pub problem: Problem,
}

impl AccountProblem {
    /// One line: what is wrong in a word, with whom, and the whole sentence.
    pub fn line(&self) -> String {
        format!("{}: {}: {}", self.place, word(self.problem.kind), self.problem.text)
    }
}

/// A word for a kind of failure, so that being offline is not taken for being refused.
pub fn word(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Auth => "no credentials",
        ProblemKind::Expired => "session expired",
        ProblemKind::Denied => "denied",
        ProblemKind::NotFound => "not found",
        ProblemKind::Throttled => "slowed down",
        ProblemKind::Offline => "offline",
        ProblemKind::Full => "full",
        ProblemKind::Invalid => "refused",
        ProblemKind::Mfa => "needs an MFA code",
        ProblemKind::Other => "failed",
    }
}

/// How the jobs of a flock are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Following {
    /// The store says when something changes.
    #[default]
    Direct,
    /// By the table's stream.
    Stream,
    /// By reading the whole table again and again.
    Poll {
        /// Milliseconds between two readings.
        every_ms: u64,
    },
}

impl fmt::Display for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => Ok(()),
            Self::Stream => f.write_str("live stream"),
            Self::Poll { every_ms } => write!(f, "poll {} s", every_ms.div_ceil(1_000)),
        }
    }
}

/// What AWS Batch says of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComputeNote {
    /// Its state in Batch, or how many of an array's children stand where.
    pub state: String,
    /// Batch's own reason.
    pub reason: Option<String>,
    /// Attempts that Batch has begun.
    pub attempts: u32,
    /// The attempts, a line each: when, how they ended, and why.
    pub tries: Vec<String>,
    /// Batch's id of the job.
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_how_jobs_are_followed() {
        assert_eq!(Following::Direct.to_string(), "");
        assert_eq!(Following::Stream.to_string(), "live stream");
        assert_eq!(Following::Poll { every_ms: 10_000 }.to_string(), "poll 10 s");
        assert_eq!(Following::Poll { every_ms: 10_001 }.to_string(), "poll 11 s");
    }

    #[test]
    fn offline_expired_and_denied_are_told_apart() {
        let said = |kind| AccountProblem { place: "work/r".into(), problem: Problem::new(kind, "x") }.line();
        assert_eq!(said(ProblemKind::Offline), "work/r: offline: x");
        assert_eq!(said(ProblemKind::Expired), "work/r: session expired: x");
        assert_eq!(said(ProblemKind::Denied), "work/r: denied: x");
    }
}
