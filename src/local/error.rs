//! What can go wrong with a supervisor, in words for the person who started it.

use std::io;
use std::path::PathBuf;

use shepard_cloud::CloudError;
use shepard_engine::EngineError;

/// Why a supervisor could not run, be started or be stopped.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Another supervisor has the flock.
    #[error("flock {name} is already looked after by process {pid}; stop that one first")]
    Taken {
        /// The flock.
        name: String,
        /// Who has it; `?` where it has not said yet.
        pid: String,
    },
    /// The supervisor ended, or never came up.
    #[error("the supervisor of flock {name} did not start: {said}; see {}", .log.display())]
    NotStarted {
        /// The flock.
        name: String,
        /// The last thing it wrote.
        said: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// The supervisor was told to stop and is still there.
    #[error("the supervisor of flock {name} (process {pid}) has not stopped; see {}", .log.display())]
    NotStopped {
        /// The flock.
        name: String,
        /// Who it is.
        pid: u32,
        /// Where it says what it waits for.
        log: PathBuf,
    },
    /// A file of the flock.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The environment of a worker that does not name a job.
    #[error("this is not the environment of a worker: {0}; workers are started by the supervisor")]
    Environment(String),
    /// The engine of the flock's containers.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The flock itself.
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

impl LocalError {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { what, path: path.into(), source }
    }
}
