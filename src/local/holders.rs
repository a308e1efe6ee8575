//! Signals to the processes that hold a lock file open, and to no other.
//!
//! A recorded process id may belong to somebody else by the time it is used. So the holders are looked up in
//! `/proc`, each is pinned with a pidfd, seen again to hold the file, and only then signalled. It also finds what
//! left its process group. Processes of other users cannot be seen and are not touched.

use std::path::Path;

use rustix::process::Signal;

/// Sends `signal` to every process but this one that has the file at `path` open, or to `only` that one of them;
/// gives how many were reached.
#[cfg(target_os = "linux")]
pub(crate) fn signal(path: &Path, only: Option<u32>, signal: Signal) -> usize {
    use rustix::process::{PidfdFlags, getpid, pidfd_open, pidfd_send_signal};

    // The kernel names open files by their real path.
    let Ok(path) = path.canonicalize() else { return 0 };
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let mut reached = 0;
    for process in processes.flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
        let asked_for = only.is_none_or(|only| u32::try_from(pid.as_raw_pid()) == Ok(only));
        if !asked_for || pid == getpid() || !has_open(&process.path(), &path) {
            continue;
        }
        let Ok(pinned) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // Seen before it was pinned is not enough: the id may have changed hands in between.
        if has_open(&process.path(), &path) && pidfd_send_signal(&pinned, signal).is_ok() {
            reached += 1;
        }
    }
    reached
}

/// Elsewhere there is no way to see who holds a file: the caller waits for the lock instead.
#[cfg(not(target_os = "linux"))]
pub(crate) fn signal(_path: &Path, _only: Option<u32>, _signal: Signal) -> usize {
    0
}

/// Reads the names of what is open and opens none of it: a file of another process may be one that hangs.
#[cfg(target_os = "linux")]
fn has_open(process: &Path, wanted: &Path) -> bool {
    let Ok(open) = std::fs::read_dir(process.join("fd")) else { return false };
    open.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|name| name == wanted))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn reaches_who_has_the_file_open_and_nobody_else() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("held");
        let file = std::fs::File::create(&path).expect("file");
        let mut holder = Command::new("sleep").arg("600").stdin(file).spawn().expect("sleep");
        let mut other = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep");
        assert_eq!(signal(&path, Some(other.id()), Signal::KILL), 0, "it does not hold the file");
        assert_eq!(signal(&path, None, Signal::KILL), 1);
        assert!(!holder.wait().expect("wait").success());
        assert!(other.try_wait().expect("wait").is_none(), "the other one lives");
        other.kill().expect("kill");
        other.wait().expect("wait");
        assert_eq!(signal(&path, None, Signal::KILL), 0);
    }
}
