//! The subcommands: read the arguments, call [`crate::operations`], print, and choose the exit code.
//!
//! Nothing is decided here that the console would have to decide again; what is here and not there is asking on a
//! terminal that is not the console, and the shapes of the JSON (docs/json.md).

pub mod exit;
pub mod output;

mod batch;
mod bundle;
mod by_api;
mod demo;
mod deploy;
mod flock;
mod flocks;
mod generated;
mod hidden;
mod info;
mod jobs;
mod journal;
mod local;
mod logs;
mod old;
mod profiles;
mod retrieve;
mod roles;
mod rows;
mod secrets;
mod stack;
mod template;

use std::future::Future;
use std::process::ExitCode;

pub use exit::Exit;
pub use generated::{cli_document, man_pages};

use crate::cli::{self, Cli, Command, Local};
use crate::config::{self, Config};
use crate::operations::{OperationError, Result};
use crate::shell::{self, ConsoleOptions};
use output::Output;
use shepard_model::AwsFlockInfo;

/// What every subcommand is handed.
struct Context<'a> {
    /// Paths and settings.
    config: &'a Config,
    /// Where to print.
    out: Output,
    /// A flock that the command line itself describes.
    given: Option<AwsFlockInfo>,
}

impl<'a> Context<'a> {
    /// The same, with a flock that the command line describes.
    fn given(&self, flock: AwsFlockInfo) -> Context<'a> {
        Context { config: self.config, out: Output::new(self.out.format), given: Some(flock) }
    }

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

/// Carries out what the command line asks for, from the configuration to the exit code.
pub fn run(cli: Cli) -> ExitCode {
    let format = cli.global.output;
    let out = Output::new(format);
    shepard_cloud::pace::limit();
    // Some commands need nothing of this machine's, not even a home directory.
    let needless = match &cli.command {
        Some(Command::Completions { shell }) => Some(generated::completions(&out, *shell)),
        Some(Command::Man { to }) => Some(generated::man(&out, to.as_deref())),
        Some(Command::Template(arguments)) => Some(template::run(&out, arguments)),
        Some(Command::Unpack { zip, to }) => Some(hidden::unpack(zip, to)),
        _ => None,
    };
    if let Some(result) = needless {
        return exit(format, result.map(Into::into));
    }
    let config = match Config::load(&cli.global) {
        Ok(config) => config,
        Err(error) => return output::failed(format, &error),
    };
    let context = Context { config: &config, out, given: None };
    // These two have a log of their own.
    match &cli.command {
        Some(Command::Supervise { name }) => {
            return exit(format, hidden::supervise(&context, name).map(Into::into));
        }
        Some(Command::Worker { name }) => return exit(format, hidden::worker(&context, name)),
        _ => {}
    }
    if let Err(error) = config::start_log(&config) {
        return output::failed(format, &error);
    }
    let command = cli.command.unwrap_or(Command::Console);
    exit(format, dispatch(command, &context).map(Into::into))
}

fn exit(format: cli::Format, result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        tracing::warn!(%error, "the command ended with an error");
        output::failed(format, &error)
    })
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
        Command::Secrets { command: cli::Secrets::List(_) } => None,
        Command::Secrets { command: cli::Secrets::Push(push) } => {
            (!push.dry_run).then_some("replacing secrets")
        }
        Command::Secrets { command: cli::Secrets::Rm(_) } => Some("removing secrets"),
        Command::Old(line) => old::changes(line),
        Command::Deploy(_) => Some("deploying"),
        Command::Releases { command: cli::Releases::List { .. } } => None,
        Command::Releases { command: cli::Releases::Rollback { .. } } => Some("going back to a release"),
        Command::Stack { command } => match command {
            cli::StackCommand::Up(up) => (!up.dry_run).then_some("making a stack"),
            // Asking what would change leaves a change set for a moment.
            cli::StackCommand::Update(_) => Some("changing a stack"),
            cli::StackCommand::Down(down) => (!down.dry_run).then_some("taking a flock down"),
            _ => None,
        },
        Command::BatchApi(_) => Some("batching"),
        Command::Dlq { command: cli::Dlq::List { .. } } => None,
        Command::Dlq { command: cli::Dlq::Redrive { .. } } => Some("moving dead letters"),
        Command::QuickDeploy(_) => Some("deploying"),
        Command::Terminate(_) => Some("terminating jobs"),
        Command::Retry(_) => Some("running jobs again"),
        Command::Console
        // Profiles are this person's settings, and change no flock.
        | Command::Profiles { .. }
        | Command::Flocks(_)
        | Command::Whoami(_)
        | Command::Renew(_)
        | Command::SetRole(_)
        | Command::ReleaseRole
        | Command::CheckRole
        | Command::Query(_)
        | Command::Logs(_)
        | Command::Retrieve(_)
        | Command::Journal(_)
        | Command::Info(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Template(_)
        | Command::Supervise { .. }
        | Command::Worker { .. }
        | Command::Unpack { .. } => None,
    }
}

fn dispatch(command: Command, context: &Context<'_>) -> Result<Exit> {
    if let Some(what) = changes(&command) {
        context.may_change(what)?;
    }
    match command {
        Command::Console => console(context, None),
        Command::Demo(arguments) => match block_on(demo::run(context, arguments))? {
            Some(exit) => Ok(exit),
            None => console(context, Some(demo::FLOCK)),
        },
        Command::Local { command } => block_on(local::run(context, command)),
        Command::Batch(arguments) => block_on(batch::run(context, arguments)),
        Command::Deploy(arguments) => block_on(deploy::deploy(context, arguments)),
        Command::Releases { command } => block_on(deploy::releases(context, command)),
        Command::Stack { command } => block_on(stack::run(context, command)),
        Command::BatchApi(arguments) => block_on(by_api::batch_api(context, arguments)),
        Command::Dlq { command } => block_on(by_api::dead_letters(context, command)),
        Command::QuickDeploy(arguments) => block_on(by_api::quick_deploy(context, arguments)),
        Command::Query(arguments) => block_on(jobs::query(context, &arguments)),
        Command::Logs(arguments) => block_on(logs::run(context, &arguments)),
        Command::Retrieve(arguments) => block_on(retrieve::run(context, &arguments)),
        Command::Terminate(cli::OnJobs { flock, which, yes }) => {
            block_on(jobs::change(context, jobs::Verb::Terminate, flock.as_ref(), &which, yes))
        }
        Command::Retry(cli::OnJobs { flock, which, yes }) => {
            block_on(jobs::change(context, jobs::Verb::Retry, flock.as_ref(), &which, yes))
        }
        Command::Secrets { command } => block_on(secrets::run(context, command)),
        Command::Profiles { command } => profiles::run(context, command),
        Command::Flocks(arguments) => block_on(flocks::run(context, &arguments)),
        Command::Old(line) => block_on(old::run(context, &line)),
        Command::Whoami(arguments) => block_on(roles::whoami(context, arguments)),
        Command::Renew(arguments) => block_on(roles::renew(context, arguments)),
        Command::SetRole(arguments) => block_on(roles::set(context, arguments)),
        Command::ReleaseRole => roles::release(context),
        Command::CheckRole => roles::check(context),
        Command::Journal(arguments) => journal::run(context, &arguments),
        Command::Info(arguments) => block_on(info::run(context, &arguments)),
        // Carried out before there was a context.
        Command::Completions { .. }
        | Command::Man { .. }
        | Command::Template(_)
        | Command::Unpack { .. }
        | Command::Supervise { .. }
        | Command::Worker { .. } => Ok(Exit::Ok),
    }
}

/// Opens the console.
fn console(context: &Context<'_>, flock: Option<&str>) -> Result<Exit> {
    if !context.out.is_terminal() || context.out.is_json() {
        return Err(OperationError::Usage(
            "the console needs a terminal; `shepard --help` lists the subcommands for scripts".into(),
        ));
    }
    let options = ConsoleOptions { flock: flock.map(str::to_owned), record: context.config.record.clone() };
    let ended = shell::run(options, context.config);
    ended
        .map(|()| Exit::Ok)
        .map_err(|error| OperationError::Environment(format!("the console ended: {error}")))
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
