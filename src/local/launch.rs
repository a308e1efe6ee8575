//! Starting, stopping and asking after the supervisor of a flock, from any other process.
//!
//! Who is asked is always the lock: a process id out of a file is believed only while its process has the lock
//! file open.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use shepard_cloud::local::{FlockDir, LocalFlock};

use super::error::LocalError;
use super::{holders, lock};

/// How often a supervisor that starts or stops is asked whether it has.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// How long a supervisor may take to come up. It has to open the database and no more.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long one may take to stop: the grace of its workers, and some more to write down how they ended.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// What a supervisor writes of itself, once it is ready.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Card {
    /// Its process.
    pub(crate) pid: u32,
    /// Since when, in milliseconds since the epoch.
    pub(crate) started: i64,
}

impl Card {
    pub(crate) fn read(flock: &FlockDir) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(flock.supervisor_file()).ok()?).ok()
    }

    /// Written beside and renamed, so that nobody reads half of it.
    pub(crate) fn write(self, flock: &FlockDir) -> Result<(), LocalError> {
        let path = flock.supervisor_file();
        let beside = path.with_extension("json.new");
        let text = serde_json::to_vec(&self).unwrap_or_default();
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, &path))
            .map_err(|error| LocalError::io("write", path, error))
    }
}

/// What [`ensure_running`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// A supervisor had the flock already.
    Already,
    /// One was started and is ready; its process id.
    Now(u32),
}

/// Whether a flock is looked after, and how much it has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Status {
    /// A supervisor has the flock.
    pub running: bool,
    /// Its process id.
    pub pid: Option<u32>,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// Jobs that are being started or run, by it or by a worker that outlived its supervisor.
    pub jobs: usize,
}

/// What becomes of the jobs that run when a supervisor stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// They run on, and the next supervisor takes them over.
    Leave,
    /// They are told to stop; the next supervisor starts them again.
    Interrupt,
}

/// Makes sure that somebody looks after the flock: starts a supervisor in a session of its own unless there is
/// one, and waits until it is ready. It keeps running when this process ends. Call it after an upload, not
/// before: a supervisor that is about to stop for idleness looks once more after it has let go of the flock.
///
/// # Errors
/// It ended or did not come up; with the last line it wrote.
pub async fn ensure_running(flock: &FlockDir) -> Result<Started, LocalError> {
    start_with(flock, &own_executable()).await
}

/// [`ensure_running`] with another executable than this process's own.
///
/// # Errors
/// As there.
pub async fn start_with(flock: &FlockDir, executable: &Path) -> Result<Started, LocalError> {
    if lock::is_held(&flock.supervisor_lock()) {
        return Ok(Started::Already);
    }
    let mut child = tokio::process::Command::from(detached(flock, executable, "supervise")?)
        .spawn()
        .map_err(|error| LocalError::io("run", executable, error))?;
    let pid = child.id().unwrap_or_default();
    let coming_up = async {
        loop {
            if Card::read(flock).is_some_and(|card| card.pid == pid) {
                return Ok(Started::Now(pid));
            }
            let ended = child.try_wait().map_err(|error| LocalError::io("wait for", executable, error))?;
            if ended.is_some() {
                // Two who start it at once: the other one's has the flock.
                return if lock::is_held(&flock.supervisor_lock()) {
                    Ok(Started::Already)
                } else {
                    Err(not_started(flock))
                };
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::time::timeout(START_LIMIT, coming_up).await.unwrap_or_else(|_| Err(not_started(flock)))
}

/// Stops the supervisor of a flock and, unless `wait` is false, waits until it has. False where there was none.
///
/// # Errors
/// It is still there after the time it takes to stop jobs.
pub async fn stop(flock: &FlockDir, jobs: Jobs, wait: bool) -> Result<bool, LocalError> {
    let path = flock.supervisor_lock();
    if !lock::is_held(&path) {
        return Ok(false);
    }
    let signal = match jobs {
        Jobs::Leave => Signal::TERM,
        Jobs::Interrupt => Signal::USR1,
    };
    let name = flock.name().to_owned();
    let stopping = async {
        let mut told = None;
        while lock::is_held(&path) {
            // One that is only just starting has no card yet, and is told as soon as it has.
            match Card::read(flock) {
                Some(card)
                    if told != Some(card.pid) && holders::signal(&path, Some(card.pid), signal) > 0 =>
                {
                    told = Some(card.pid);
                    if !wait {
                        return;
                    }
                }
                _ => {}
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    match tokio::time::timeout(STOP_LIMIT, stopping).await {
        Ok(()) => Ok(true),
        Err(_) => {
            let pid = Card::read(flock).map_or(0, |card| card.pid);
            Err(LocalError::NotStopped { name, pid, log: flock.supervisor_log() })
        }
    }
}

/// Whether the flock is looked after.
///
/// # Errors
/// Its database cannot be read.
pub async fn status(flock: &FlockDir) -> Result<Status, LocalError> {
    let running = lock::is_held(&flock.supervisor_lock());
    let card = Card::read(flock).filter(|_| running);
    let jobs = LocalFlock::open(flock)?.compute().active().await?.len();
    Ok(Status { running, pid: card.map(|card| card.pid), since_ms: card.map(|card| card.started), jobs })
}

/// This program. By the kernel's own link where there is one, because a program that was replaced while it runs
/// has no path any more.
pub(crate) fn own_executable() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { own } else { std::env::current_exe().unwrap_or_else(|_| PathBuf::from("shepard")) }
}

/// `shepard WORD …` for this flock, without a terminal and without standard input, writing to its log.
pub(crate) fn detached(
    flock: &FlockDir,
    executable: &Path,
    word: &str,
) -> Result<std::process::Command, LocalError> {
    let log = open_log(flock)?;
    let also = log.try_clone().map_err(|error| LocalError::io("open", flock.supervisor_log(), error))?;
    let mut command = std::process::Command::new(executable);
    command
        .arg0("shepard")
        .arg(word)
        .arg(flock.name())
        // Where this process found the flock, and not where a child that reads other settings might look.
        .env(super::DATA_VARIABLE, data_dir(flock))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(also);
    Ok(command)
}

/// `<data>` of `<data>/flocks/<name>`.
fn data_dir(flock: &FlockDir) -> &Path {
    flock.path().parent().and_then(Path::parent).unwrap_or_else(|| flock.path())
}

fn open_log(flock: &FlockDir) -> Result<File, LocalError> {
    let path = flock.supervisor_log();
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| LocalError::io("open", path, error))
}

fn not_started(flock: &FlockDir) -> LocalError {
    let log = flock.supervisor_log();
    let text = std::fs::read(&log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let said = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    LocalError::NotStarted { name: flock.name().to_owned(), said: said.trim().to_owned(), log }
}

/// Whether a supervisor has the flock, and its process id once it is ready. Reads two small files and no database,
/// so that a list of flocks can ask again and again.
pub fn looked_after(flock: &FlockDir) -> (bool, Option<u32>) {
    let running = lock::is_held(&flock.supervisor_lock());
    (running, Card::read(flock).filter(|_| running).map(|card| card.pid))
}
