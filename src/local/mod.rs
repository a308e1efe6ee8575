//! The supervisor of the local flock: feeds the scheduler core, runs the worker core.
//!
//! | module | holds |
//! |---|---|
//! | [`launch`] | what other processes ask for: start it, stop it, is it there |
//! | [`mod@supervise`] | the supervisor process: its lock, its tasks, when it ends |
//! | [`inbox`], [`arrivals`] | uploads, and what the system tells of the inputs folder |
//! | [`pump`] | the scheduler core on the queue; reconciling |
//! | [`compute`], [`attempt`] | which attempts run; one attempt from start to record |
//! | [`worker`] | the worker process |
//! | [`containers`] | which container of a job may still run, and its end |
//! | [`memory`] | where its secrets lie, and what dead workers left of them |
//! | [`clean`] | looking for leftovers |
//! | [`lock`], [`holders`] | who lives, and signals to him |
//!
//! A supervisor and each of its workers are processes of their own, so that a console may close and a supervisor
//! be killed without a job noticing. What is where and whose is in the flock's database; who lives is said by
//! `flock(2)` locks. No decision about a job is taken here: that is the scheduler's, the worker's and the row's.

mod arrivals;
mod attempt;
mod clean;
mod compute;
mod containers;
mod error;
mod holders;
mod inbox;
mod launch;
pub(crate) mod lock;
mod log;
mod memory;
mod pump;
mod supervise;
mod wake;
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use shepard_cloud::local::Home;

pub use clean::remove_leftovers;
pub use error::LocalError;
pub use launch::{Jobs, Started, Status, ensure_running, looked_after, start_with, status, stop};
pub use supervise::supervise;
pub use worker::run_worker;

/// Names the data directory to a supervisor or worker that a process of ours starts. Whoever has it was not typed
/// by a person.
const DATA_VARIABLE: &str = "SHEPARD_CHILD_OF";

/// Where this process was started by [`ensure_running`] or by a supervisor, is what it was started as and gives
/// its exit code; None for a process that a person started. Call it first of all in `main`: such a process needs
/// no configuration, has its own log, and there may be thousands.
pub fn as_child() -> Option<ExitCode> {
    let data = PathBuf::from(std::env::var_os(DATA_VARIABLE)?);
    let mut arguments = std::env::args_os().skip(1);
    let word = arguments.next()?;
    let name = arguments.next().and_then(|name: OsString| name.into_string().ok())?;
    let flock = Home::new(data).flock(&name);
    let code = match (word.to_str()?, flock) {
        ("supervise", Ok(flock)) => exit_code(&supervise(&flock)),
        ("worker", Ok(flock)) => run_worker(&flock),
        ("supervise" | "worker", Err(error)) => {
            log::to_stderr();
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
        _ => return None,
    };
    Some(code)
}

fn exit_code(ended: &Result<(), LocalError>) -> ExitCode {
    // What went wrong is in the log already.
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
