//! The trait behind which the user's code runs: a process here, a container in the worker image.

use std::path::PathBuf;

use async_trait::async_trait;
use shepard_cloud::ports::LogSource;
use shepard_model::names::Filesystem;
use shepard_model::{JobId, Shape};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::place::Dirs;

/// One line of the payload's output, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Standard output or standard error.
    pub source: LogSource,
    /// The text; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// What to run, and where.
#[derive(Clone)]
pub struct PayloadSpec {
    /// Job id; a container's name.
    pub id: JobId,
    /// What the job asks for. A compute that grants it by itself has done so already.
    pub shape: Shape,
    /// The contract's variables, in its order; no name appears twice. Whatever else the payload finds in its
    /// environment is for the [`Payload`] to decide.
    pub environment: Vec<(String, String)>,
    /// The job's directories, one entry a filesystem.
    pub dirs: Vec<Dirs>,
    /// Input directory the payload is started in.
    pub input: PathBuf,
    /// Folder that holds the quick-deploy `run.sh`, where one was asked for: the folder to run it in.
    pub quick_deploy: Option<PathBuf>,
    /// Folder with the secrets, outside the job's directories and in memory; the payload is to find it at
    /// `<root input>/secrets`, as [`secrets_seen`](Self::secrets_seen) says. None where they lie there already.
    pub secrets: Option<PathBuf>,
    /// Open-files limit.
    pub ulimit_nofile: Option<u64>,
    /// The payload may talk to the Docker daemon.
    pub allow_docker: bool,
    /// Cancelled, besides `stop`, where the payload has to stop because its host goes away. What it has done so far
    /// is of use to the next attempt then, and a checkpoint hook is worth its time. It is not where somebody wants
    /// the job cancelled, or another worker has it.
    pub interrupted: CancellationToken,
    /// Seconds that it may run, where the job says so. A compute's own limit is one for a whole container, which
    /// may have the payloads of other jobs to run as well.
    pub timeout_s: Option<u64>,
}

impl PayloadSpec {
    /// Where the payload looks for its secrets: the contract's place, on the root filesystem.
    pub fn secrets_seen(&self) -> Option<PathBuf> {
        self.dirs
            .iter()
            .find(|dirs| dirs.filesystem == Filesystem::Root)
            .map(|dirs| dirs.input.join("secrets"))
    }
}

impl std::fmt::Debug for PayloadSpec {
    /// Leaves the environment out: it is the user's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadSpec")
            .field("id", &self.id)
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

/// Why a payload stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// By itself, or by a signal somebody else sent.
    Itself,
    /// The worker was told to stop.
    Stopped,
    /// It ran longer than it may; the limit in seconds.
    TimedOut(u64),
    /// It asked for more memory than it may have; the limit in MiB, where there is one of its own.
    OutOfMemory(Option<u64>),
}

/// How a payload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exited {
    /// Exit code, or 128 + the signal that ended it.
    pub code: i32,
    /// Why.
    pub cause: Cause,
}

/// Why a payload could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Neither a quick-deploy folder nor a command.
    #[error("there is nothing to run: the flock has no command and the job names no quick-deploy folder")]
    Nothing,
    /// No such program.
    #[error("command not found: {0}")]
    NotFound(String),
    /// A file, but no program.
    #[error("the command {0} cannot be executed: {1}")]
    NotExecutable(String, String),
    /// What runs containers could not, and could not on another attempt either. A sentence with what to do.
    #[error("{0}")]
    Refused(String),
    /// It could not be run here and now, for a reason that may be gone at another attempt. A sentence.
    #[error("{0}")]
    Passing(String),
    /// Anything else the system had to say.
    #[error("the payload could not be {doing}: {source}")]
    Io {
        /// `started`, `watched`.
        doing: &'static str,
        /// The system's own words.
        source: std::io::Error,
    },
}

/// Something that can run the user's code.
#[async_trait]
pub trait Payload: Send + Sync {
    /// How it runs the code, for the log and the row: `as a process of this machine`.
    fn way(&self) -> String;

    /// Runs it to its end and sends its lines as they come. When this returns, by itself or because the future
    /// was dropped, nothing of the payload runs any more.
    ///
    /// `lines` is bounded; sending waits, and the payload with it. When `stop` is cancelled the payload is asked
    /// to end, and after a while made to.
    async fn run(
        &self,
        spec: &PayloadSpec,
        lines: mpsc::Sender<Line>,
        stop: &CancellationToken,
    ) -> Result<Exited, PayloadError>;
}
