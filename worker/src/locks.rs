//! The locks by which one attempt keeps another, and the sweep, out of its directories.
//!
//! A job's directories on a filesystem belong to whoever holds `flock(2)` on `<base>/.shepard/<id>.lock`. The kernel
//! gives the lock back at the very moment its holder is gone, so that nobody has to guess who is dead; a file that
//! is left says that directories may be. Where a filesystem knows no such locks the attempt goes on without.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use shepard_cloud::ports::Clock;
use shepard_model::JobId;
use shepard_model::names::Filesystem;

use crate::log::Log;
use crate::place::Dirs;

/// How long an attempt waits for the one before it to let go, in milliseconds. That one stops when its heartbeat is
/// refused; what a host held that died, a file server gives back when its lease has run out (NFS: about 90 s).
const PATIENCE_MS: u64 = 120_000;
/// Between two tries, in milliseconds.
const PAUSE_MS: u64 = 500;

/// Folder of the locks, in a filesystem's base. No job id begins with a dot.
pub(crate) fn folder(base: &Path) -> PathBuf {
    base.join(".shepard")
}

fn path(base: &Path, id: &JobId) -> PathBuf {
    folder(base).join(format!("{id}.lock"))
}

/// A lock that is held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes a job's lock on a filesystem. None where somebody has it.
    ///
    /// # Errors
    /// The filesystem's own: the file cannot be made, or not be locked.
    pub(crate) fn try_take(base: &Path, id: &JobId) -> io::Result<Option<Self>> {
        // A root that a payload has only to read, but as root, must not be able to hold a lock either.
        let folder = folder(base);
        if !folder.is_dir() {
            std::fs::create_dir_all(base)?;
            match DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Self::take_at(path(base, id))
    }

    /// Takes a lock by its file's path. None where somebody has it.
    pub(crate) fn take_at(path: PathBuf) -> io::Result<Option<Self>> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Whoever had it may have removed the file: then this locks what has no name, and the next one another.
            let named = match (file.metadata(), std::fs::metadata(&path)) {
                (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
                _ => false,
            };
            if named {
                return Ok(Some(Self { file, path }));
            }
        }
    }

    /// Writes down who has it, for people, and with it when it was taken.
    fn sign(&mut self, worker: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        writeln!(self.file, "{worker}")
    }

    /// Removes the file and lets go. Whoever waits finds that it is gone and makes it anew.
    pub(crate) fn remove(self) {
        // A file that stays is one more for the sweep.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The locks of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Locks(Vec<(Filesystem, Lock)>);

/// Another attempt of the job has its directories and does not let go.
#[derive(Debug)]
pub(crate) struct StillHeld(Filesystem);

impl std::fmt::Display for StillHeld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = self.0.word();
        write!(f, "an earlier attempt still has the job's directory on {what}")
    }
}

impl Locks {
    /// Takes the locks of a job on every filesystem, and waits a while for an attempt that is about to end.
    pub(crate) async fn take(
        clock: &dyn Clock,
        log: &Log,
        id: &JobId,
        dirs: &[Dirs],
        worker: &str,
    ) -> Result<Self, StillHeld> {
        let mut locks = Self::default();
        let mut waited_ms = 0;
        for one in dirs {
            let what = one.filesystem;
            let lock = loop {
                let (base, id, worker) = (one.base.clone(), id.clone(), worker.to_owned());
                let taken = tokio::task::spawn_blocking(move || {
                    let mut lock = Lock::try_take(&base, &id)?;
                    lock.as_mut().map_or(Ok(()), |lock| lock.sign(&worker))?;
                    io::Result::Ok(lock)
                });
                match taken.await.map_err(io::Error::other).flatten() {
                    Ok(Some(lock)) => break Some(lock),
                    Ok(None) if waited_ms >= PATIENCE_MS => return Err(StillHeld(what)),
                    Ok(None) => {
                        if waited_ms == 0 {
                            log.say(format!("{}; waiting for it", StillHeld(what))).await;
                        }
                        clock.sleep_ms(PAUSE_MS).await;
                        waited_ms += PAUSE_MS;
                    }
                    Err(error) => {
                        let what = what.word();
                        log.say(format!("the job's directory on {what} cannot be locked: {error}")).await;
                        break None;
                    }
                }
            };
            locks.0.extend(lock.map(|lock| (what, lock)));
        }
        Ok(locks)
    }

    /// The directories on this filesystem are this attempt's alone.
    pub(crate) fn hold(&self, filesystem: Filesystem) -> bool {
        self.0.iter().any(|(known, _)| *known == filesystem)
    }

    /// Lets go. Where a directory is left, so is its lock's file: the sweep looks there.
    pub(crate) async fn release(self, dirs: &[Dirs]) {
        let dirs = dirs.to_vec();
        let done = tokio::task::spawn_blocking(move || {
            for (filesystem, lock) in self.0 {
                let there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
                let left = dirs
                    .iter()
                    .filter(|dirs| dirs.filesystem == filesystem)
                    .any(|dirs| there(&dirs.job) || dirs.secrets.as_deref().is_some_and(there));
                if !left {
                    lock.remove();
                }
            }
        });
        // A thread that panicked has let go as well.
        let _ = done.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_a_removed_file_fools_nobody() {
        let base = tempfile::tempdir().unwrap();
        let id = JobId::parse("u").unwrap();
        let take = || Lock::try_take(base.path(), &id).unwrap();
        let first = take().unwrap();
        assert!(take().is_none(), "a second one in the same process");
        let stale = OpenOptions::new().read(true).write(true).open(path(base.path(), &id)).unwrap();
        first.remove();
        let second = take().unwrap();
        assert!(stale.try_lock().is_ok(), "the removed file locks nobody out");
        assert!(take().is_none());
        drop(second);
        assert!(take().is_some());
        assert_eq!(folder(base.path()).metadata().unwrap().mode() & 0o777, 0o700);
    }
}
