//! The journal: one line for everything that was done to a flock from this machine, by keys or by subcommand.
//!
//! Append-only JSON lines, readable by their owner alone. It names flocks, jobs and paths; it never holds the
//! value of a variable, a secret or a log line. A journal that cannot be written never stops what it records.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shepard_cloud::Clock;

use super::error::{OperationError, Result};
use crate::config::private_append;

/// Targets that one entry lists; the rest is only counted.
const LISTED: usize = 100;

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Who: `user@host`.
    pub who: String,
    /// What: `batch`, `terminate`, `retry`, `retrieve`, `local create` and so on.
    pub action: String,
    /// Which flock.
    pub flock: String,
    /// Jobs or paths, at most a hundred of them.
    pub targets: Vec<String>,
    /// How many targets there were.
    pub count: usize,
    /// The command line that does the same.
    pub command: String,
    /// `ok`, or why it was not done or only in part.
    pub result: String,
}

/// The journal of this person on this machine.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// The journal in this file; the file is made with the first entry.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an entry. A failure is logged, not returned: what the entry tells of has happened.
    pub fn record(
        &self,
        clock: &dyn Clock,
        action: &str,
        flock: &str,
        targets: &[String],
        argv: &[&str],
        result: &Result<()>,
    ) {
        let entry = Entry {
            at_ms: clock.now_ms(),
            who: who(),
            action: action.to_owned(),
            flock: flock.to_owned(),
            targets: targets.iter().take(LISTED).cloned().collect(),
            count: targets.len(),
            command: command_line(argv),
            result: match result {
                Ok(()) => "ok".to_owned(),
                Err(error) => error.to_string(),
            },
        };
        if let Err(error) = self.append(&entry) {
            tracing::warn!(path = %self.path.display(), %error, "the journal cannot be written");
        }
    }

    fn append(&self, entry: &Entry) -> io::Result<()> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // One write to a file opened for appending: two processes never mix their lines.
        private_append(&self.path)?.write_all(&line)
    }

    /// The last `limit` entries, oldest first. Lines that are none, as after a crash, are left out.
    ///
    /// # Errors
    /// A journal that is there and cannot be read.
    pub fn tail(&self, limit: usize) -> Result<Vec<Entry>> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(OperationError::io("read", &self.path)(error)),
        };
        let mut last = std::collections::VecDeque::new();
        for line in io::BufReader::new(file).split(b'\n') {
            let line = line.map_err(OperationError::io("read", &self.path))?;
            if let Ok(entry) = serde_json::from_slice::<Entry>(&line) {
                if last.len() == limit {
                    last.pop_front();
                }
                if limit > 0 {
                    last.push_back(entry);
                }
            }
        }
        Ok(last.into())
    }
}

/// `user@host`: who asks for a change.
pub fn who() -> String {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| format!("uid{}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}")
}

/// A command line that a shell reads as these arguments.
pub fn command_line(argv: &[&str]) -> String {
    // Only a NUL cannot be quoted, and no argument can hold one.
    shlex::try_join(argv.iter().copied()).unwrap_or_else(|_| argv.join(" "))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use shepard_cloud::ports::WallClock;

    use super::*;

    #[test]
    fn entries_come_back_in_order_and_only_their_owner_reads_them() {
        let dir = tempfile::tempdir().expect("temp dir");
        let journal = Journal::at(dir.path().join("state/journal.jsonl"));
        assert_eq!(journal.tail(5).expect("none yet"), []);
        for name in ["a", "b b", "c"] {
            let argv = ["shepard", "batch", "--path", name];
            journal.record(&WallClock, "batch", "f", &[name.to_owned()], &argv, &Ok(()));
        }
        let mut raw = private_append(journal.path()).expect("open");
        raw.write_all(b"{\"at_ms\": 1, \"torn").expect("write");
        let last = journal.tail(2).expect("read");
        let commands: Vec<_> = last.iter().map(|entry| entry.command.as_str()).collect();
        assert_eq!(commands, ["shepard batch --path 'b b'", "shepard batch --path c"]);
        let mode = fs::metadata(journal.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_long_list_of_targets_is_counted_and_cut() {
        let dir = tempfile::tempdir().expect("temp dir");
        let journal = Journal::at(dir.path().join("j"));
        let targets: Vec<String> = (0..250).map(|n| n.to_string()).collect();
        let failed = Err(OperationError::Refused("read-only".into()));
        journal.record(&WallClock, "terminate", "f", &targets, &["shepard"], &failed);
        let entry = &journal.tail(1).expect("read")[0];
        assert_eq!((entry.targets.len(), entry.count, entry.result.as_str()), (100, 250, "read-only"));
    }
}
