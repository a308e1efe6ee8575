//! The subcommands: read the arguments, call [`crate::operations`], print, and choose the exit code.
//!
//! Nothing is decided here that the console would have to decide again; what is here and not there is asking on a
//! terminal that is not the console, and the shapes of the JSON (docs/json.md).

pub mod exit;
pub mod output;

mod generated;
mod hidden;
mod info;
mod journal;

use std::future::Future;
use std::process::ExitCode;

pub use exit::Exit;
pub use generated::{cli_document, man_pages};

use crate::cli::{Cli, Command, Local};
use crate::config::Config;
use crate::operations::{OperationError, Result};
use output::Output;

/// What every subcommand is handed.
struct Context<'a> {
    /// Paths and settings.
    config: &'a Config,
    /// Where to print.
    out: Output,
}

impl Context<'_> {
    /// Refuses what changes a flock in a read-only session.
    fn may_change(&self, what: &str) -> Result<()> {
        if self.config.read_only {
            return Err(OperationError::Refused(format!(
                "this session is read-only, so {what} is refused; leave out --read-only (or SHEPARD_READ_ONLY, or \
                 read_only in config.toml) to allow it"
            )));
        }
        Ok(())
    }
}

/// Carries out what the command line asks for.
pub fn run(cli: Cli, config: &Config) -> ExitCode {
    let format = cli.global.output;
    let context = Context { config, out: Output::new(format) };
    match dispatch(cli.command, &context) {
        Ok(exit) => exit.into(),
        Err(error) => {
            tracing::warn!(%error, "the command ended with an error");
            output::failed(format, &error)
        }
    }
}

/// What a command would change, in words; None where it only looks. Bringing results here changes no flock.
fn changes(command: &Command) -> Option<&'static str> {
    match command {
        Command::Demo(_) => Some("making the demo flock"),
        Command::Local { command: Local::List } => None,
        Command::Local { command: Local::Create(_) } => Some("making a flock"),
        Command::Local { command: Local::Start { .. } } => Some("starting a supervisor"),
        Command::Local { command: Local::Stop { .. } } => Some("stopping a supervisor"),
        Command::Local { command: Local::Rm { .. } } => Some("removing a flock"),
        Command::Batch(batch) => (!batch.dry_run).then_some("batching"),
        Command::Terminate(_) => Some("terminating jobs"),
        Command::Retry(_) => Some("running jobs again"),
        Command::Query(_)
        | Command::Logs(_)
        | Command::Retrieve(_)
        | Command::Journal(_)
        | Command::Info(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Supervise { .. }
        | Command::Worker { .. }
        | Command::Unpack { .. } => None,
    }
}

fn dispatch(command: Option<Command>, context: &Context<'_>) -> Result<Exit> {
    if let Some(what) = command.as_ref().and_then(changes) {
        context.may_change(what)?;
    }
    match command {
        Some(Command::Journal(arguments)) => journal::run(context, &arguments),
        Some(Command::Info(arguments)) => info::run(context, &arguments),
        Some(Command::Completions { shell }) => generated::completions(context, shell),
        Some(Command::Man { to }) => generated::man(context, to.as_deref()),
        Some(Command::Unpack { zip, to }) => hidden::unpack(&zip, &to),
        Some(Command::Supervise { name }) => block_on(hidden::supervise(context, &name)),
        Some(Command::Worker { name }) => block_on(hidden::worker(context, &name)),
        _ => Err(OperationError::Environment("this command is not part of this build".into())),
    }
}

/// Runs one command to its end.
fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| OperationError::Environment(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(command)
}
