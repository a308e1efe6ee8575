//! Lock files: who may run a flock, who runs an attempt, whether anything of a payload is still alive.
//!
//! Every question of life and death is asked of an `flock(2)` lock, because the kernel gives it back at the very
//! moment its last holder is gone: after `kill -9`, a panic and a reboot alike. A process id is only ever used to
//! send a signal, and then to a process that was just seen to hold the lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait before a held lock is asked for again: at first, and once it has been held for a while.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A lock that is held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    /// Takes the lock if nobody holds it. None where somebody does.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if still_named(&file, path) {
                return Ok(Some(Self { file, path: path.to_owned() }));
            }
        }
    }

    /// Takes the lock as soon as nobody holds it. Asks again and again instead of blocking a thread in the
    /// kernel, because a thread that is stuck there would keep the whole process from ending.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub(crate) async fn take(path: &Path) -> io::Result<Self> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            if let Some(held) = Self::try_take(path)? {
                return Ok(held);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The open file, to be handed to a child; the lock lasts for as long as anybody has it.
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// Removes the file and lets go. Whoever waits for it finds that it is gone and makes it anew.
    pub(crate) fn remove(self) {
        // A file that stays costs a directory entry and nothing else.
        let _ = std::fs::remove_file(&self.path);
        drop(self.file);
    }
}

/// Whether somebody holds the lock. Taken shared for the asking, so that two who ask do not see each other.
pub(crate) fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// A lock on a file that was removed in the meantime locks nothing: the next one makes a file of its own.
fn still_named(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_next_after_it() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("l");
        assert!(!is_held(&path));
        let first = Held::try_take(&path).expect("take").expect("free");
        assert!(is_held(&path));
        assert!(Held::try_take(&path).expect("take").is_none());
        drop(first);
        assert!(!is_held(&path));
        assert!(Held::try_take(&path).expect("take").is_some());
    }

    #[tokio::test]
    async fn a_waiter_is_not_fooled_by_a_removed_file() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("l");
        let first = Held::take(&path).await.expect("take");
        let stale = open(&path).expect("open");
        first.remove();
        assert!(stale.try_lock().is_ok() && !still_named(&stale, &path), "it locks what has no name");
        let second = Held::take(&path).await.expect("take");
        assert!(Held::try_take(&path).expect("take").is_none(), "the named file is locked");
        drop(second);
    }
}
