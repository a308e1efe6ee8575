//! The supervisor's own log: what goes wrong, and its beginning and end. Jobs have logs of their own; a line for
//! each would be the slowest thing a supervisor does, and the longest file of the flock.

use std::fs::OpenOptions;

use shepard_cloud::local::FlockDir;

/// Above this size the log of the runs before is put aside as `supervisor.log.1`, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Sends what is traced to standard error, which the starter has pointed at the log. Only warnings where this
/// process is a worker or one by hand is not told otherwise.
pub(crate) fn to_stderr() {
    // A second subscriber in a process (tests) is not worth failing for.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .try_init();
}

/// Cuts a log that has grown too large. By copy and cut, because the starter holds it open.
pub(crate) fn cut(flock: &FlockDir) {
    let path = flock.supervisor_log();
    let large = std::fs::metadata(&path).is_ok_and(|meta| meta.len() > LARGEST);
    if large && std::fs::copy(&path, path.with_extension("log.1")).is_ok() {
        let _ = OpenOptions::new().write(true).truncate(true).open(&path);
    }
}
