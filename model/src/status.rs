//! Status strings that scripts rely on, and the states people see.

use serde::{Deserialize, Serialize};

/// `JOB_STATUS` and `START_TIME` of a row that no worker has claimed.
pub const NOT_YET_INITIATED: &str = "not_yet_initiated";
/// `JOB_STATUS` once a worker has claimed the row.
pub const IN_PROGRESS: &str = "in_progress";
/// `JOB_STATUS` after the payload ended well.
pub const PUSHING: &str = "job_complete_pushing_to_s3";
/// `JOB_STATUS` after the results are up.
pub const CLEANING: &str = "job_complete_cleaning_up_workspace";
/// `JOB_STATUS` while the logs and partial outputs of a failed job go to the errors bucket.
pub const FAILED_PUSHING: &str = "job failed; pushing logs to s3";
/// `JOB_STATUS` while a failed job is cleaned up.
pub const FAILED_CLEANING: &str = "job failed; cleaning up workspace";

/// `JOB_STATUS` while the payload runs; the time is when the job started.
pub fn calling(started_ms: i64) -> String {
    format!("calling_payload_code {}", stamp(started_ms))
}

/// `JOB_STATUS` of a finished row. It says nothing of how it finished; the outcome does.
pub fn done(ended_ms: i64) -> String {
    format!("<done> {}", stamp(ended_ms))
}

/// The contract's time format, in true UTC (the original labelled local time so).
pub fn stamp(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .map(|at| at.strftime("%Y/%m/%d-%H:%M:%S U.T.C.").to_string())
        .unwrap_or_else(|_| "0000/00/00-00:00:00 U.T.C.".to_owned())
}

/// How a job ended. Kept apart from `JOB_STATUS`, which says `<done>` for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The payload exited 0 and every result is up.
    Succeeded,
    /// The payload, the worker or the host failed; the reason says which.
    Failed,
    /// The upload could not be a job; nothing ran.
    Rejected,
    /// A person stopped it.
    Cancelled,
}

impl Outcome {
    /// The word used in rows, JSON and on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where a job stands, as people think of it: derived from the row, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum State {
    /// A row exists; the compute does not know the job yet.
    Queued,
    /// The compute has it and has not started it.
    Scheduled,
    /// A worker has claimed it.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Never was a job.
    Rejected,
    /// Stopped by a person.
    Cancelled,
}

impl State {
    /// Every state, in the order of the funnel.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Scheduled,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// The word used on the screen, on command lines and in filters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word().eq_ignore_ascii_case(word))
    }

    /// No further change comes by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Rejected | Self::Cancelled)
    }

    /// Something a person has to look at.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Failed | Self::Rejected)
    }
}

impl From<Outcome> for State {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Failed => Self::Failed,
            Outcome::Rejected => Self::Rejected,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

/// One step of a job's way, for its timeline. In the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The upload was seen and the row written.
    Arrived,
    /// A crash left its batch unmade; it was put into another, or into none.
    Regrouped,
    /// The compute took the job.
    Submitted,
    /// A worker claimed it.
    Claimed,
    /// The input, the code and the secrets are being fetched.
    Fetching,
    /// The payload runs.
    Payload,
    /// The outputs are being zipped and put.
    Pushing,
    /// The working directories are being removed.
    Cleaning,
    /// The final row is written.
    Ended,
    /// The host or the worker was lost; the job waits for another attempt.
    Lost,
    /// The worker was told to stop, such as by a notice that the host is taken back; the job waits for another attempt.
    Interrupted,
    /// The payload could not be run at that place and time; the job waits for another attempt.
    Postponed,
    /// A person asked for another run.
    Requeued,
}

impl Stage {
    /// The word used on the screen and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::Regrouped => "regrouped",
            Self::Submitted => "submitted",
            Self::Claimed => "claimed",
            Self::Fetching => "fetching",
            Self::Payload => "payload",
            Self::Pushing => "pushing",
            Self::Cleaning => "cleaning",
            Self::Ended => "ended",
            Self::Lost => "lost",
            Self::Interrupted => "interrupted",
            Self::Postponed => "postponed",
            Self::Requeued => "requeued",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_is_the_contracts() {
        assert_eq!(stamp(1_632_209_855_999), "2021/09/21-07:37:35 U.T.C.");
        assert_eq!(done(0), "<done> 1970/01/01-00:00:00 U.T.C.");
        assert_eq!(calling(0), "calling_payload_code 1970/01/01-00:00:00 U.T.C.");
    }

    #[test]
    fn every_state_is_found_by_its_word() {
        for state in State::ALL {
            assert_eq!(State::from_word(state.word()), Some(state));
        }
    }
}
