//! How an attempt ends: the exit code of its process, and the sentence about a payload that failed.

use std::fmt;

use crate::payload::{Cause, Exited};

/// How an attempt ended, for whoever started the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The payload exited 0 and its results are up.
    Succeeded,
    /// The job had ended before this attempt began: nothing was done.
    AlreadyDone,
    /// The payload ended badly, or could not be run. The row says so.
    PayloadFailed,
    /// Anything else the job needed failed. The row says so.
    Failed,
    /// Somebody wanted the job stopped. The row says so.
    Cancelled,
    /// Another worker has the row, or a later run.
    NotMine,
    /// There is no row.
    NoRow,
    /// The worker was told to stop; the row waits for another attempt.
    Interrupted,
    /// The payload could not be run here and now; the row waits for another attempt.
    Postponed,
    /// The table could not be reached, so that the row says less than happened. Its lease runs out.
    Unwritten,
}

impl Exit {
    /// The process's exit code. From 70 on, another attempt is of use: that is what a retry rule of the compute
    /// may look for (`7*`). Below, the row has ended or is somebody else's.
    pub fn code(&self) -> u8 {
        match self {
            Self::Succeeded | Self::AlreadyDone => 0,
            Self::PayloadFailed => 1,
            Self::Failed => 2,
            Self::Cancelled => 3,
            Self::NotMine => 4,
            Self::NoRow => 5,
            Self::Unwritten => 74,
            Self::Interrupted => 75,
            Self::Postponed => 77,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::AlreadyDone => "it had ended before",
            Self::PayloadFailed | Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::NotMine => "another worker has it, or it has ended",
            Self::NoRow => "its row is gone",
            Self::Unwritten => "how it ended could not be written down",
            Self::Interrupted => "interrupted",
            Self::Postponed => "postponed",
        })
    }
}

/// Why the payload failed, in a sentence that ends with its own last words.
pub(crate) fn reason(exited: Exited, last_words: Option<&str>) -> String {
    let what = match exited {
        Exited { cause: Cause::TimedOut(limit), .. } => {
            format!("the payload ran longer than the {limit} s it may and was stopped")
        }
        Exited { cause: Cause::OutOfMemory(Some(limit)), .. } => {
            format!("the payload was killed: it needed more than the {limit} MiB of memory it may have")
        }
        Exited { cause: Cause::OutOfMemory(None), .. } => {
            "the payload was killed: the host had no memory left for it".to_owned()
        }
        Exited { code: 137, .. } => {
            "the payload was killed (exit code 137): most likely it ran out of memory".to_owned()
        }
        Exited { code, .. } if (129..=192).contains(&code) => {
            format!("exit code {code} (signal {})", code - 128)
        }
        Exited { code, .. } => format!("exit code {code}"),
    };
    match last_words {
        Some(words) => format!("{what}: {words}"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_say_what_happened() {
        let itself = |code| Exited { code, cause: Cause::Itself };
        assert_eq!(reason(itself(3), Some("no such file")), "exit code 3: no such file");
        assert!(reason(itself(137), None).contains("out of memory"));
        assert!(reason(itself(139), None).ends_with("exit code 139 (signal 11)"));
        let late = Exited { code: 143, cause: Cause::TimedOut(5) };
        assert!(reason(late, None).contains("longer than the 5 s"));
    }

    #[test]
    fn codes_from_70_on_ask_for_another_attempt() {
        assert_eq!((Exit::Succeeded.code(), Exit::AlreadyDone.code(), Exit::PayloadFailed.code()), (0, 0, 1));
        for again in [Exit::Interrupted, Exit::Unwritten, Exit::Postponed] {
            assert!(again.code() >= 70);
        }
        for last in [Exit::Failed, Exit::Cancelled, Exit::NotMine, Exit::NoRow] {
            assert!((2..70).contains(&last.code()));
        }
    }
}
