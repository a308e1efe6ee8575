//! One line of a job's log.

use serde::{Deserialize, Serialize};

/// Where a line of a job's log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// The payload's standard output.
    Stdout,
    /// The payload's standard error.
    Stderr,
    /// The worker itself.
    Worker,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written, in milliseconds since the epoch.
    pub at_ms: i64,
    /// By whom.
    pub source: LogSource,
    /// The line, without its end.
    pub text: String,
}
