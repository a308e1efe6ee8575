//! The command line: every subcommand and flag, declared once.
//!
//! The parser, `--help`, the completions, the man pages and `docs/cli.md` all come from these types. Nothing here
//! reads a file or knows how a command is carried out.

mod aws;
mod deploy;
mod old;
mod profiles;
mod roles;
mod stack;
mod template;

use std::path::PathBuf;

pub use aws::{BatchApi, Dlq, QuickDeploy};
use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
pub use deploy::{Deploy, DeployTo, Releases};
pub use old::Old;
pub use profiles::{ConfigureProfile, Flocks, Profiles};
pub use roles::{Renew, SetRole, Who};
use shepard_model::{Isolation, State};
pub use stack::{
    Down as StackDown, Events as StackEvents, Named, Place, StackCommand, Up as StackUp,
    Update as StackUpdate, Values as StackValues,
};
pub use template::{Template, TemplatePart};

/// Run a flock of jobs here or on AWS, watch it live, get the results.
///
/// Without a subcommand the console opens.
#[derive(Debug, Parser)]
#[command(
    name = "shepard",
    version,
    max_term_width = 100,
    after_help = "New here? `shepard demo` makes a flock, gives it jobs and opens the console on them."
)]
pub struct Cli {
    /// Flags that every subcommand takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do; the console without one.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that every subcommand takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t, env = "SHEPARD_OUTPUT")]
    pub output: Format,
    /// Refuse everything that changes a flock
    #[arg(long, global = true, env = "SHEPARD_READ_ONLY", value_parser = FalseyValueParser::new())]
    pub read_only: bool,
    /// Theme of the console, by name
    #[arg(long, global = true, value_name = "NAME", env = "SHEPARD_THEME")]
    pub theme: Option<String>,
    /// Draw with ASCII characters only
    #[arg(long, global = true, env = "SHEPARD_ASCII", value_parser = FalseyValueParser::new())]
    pub ascii: bool,
    /// Record the console's session to this new file, for a replay
    #[arg(long, global = true, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// What is written to the log file: error, warn, info, debug, trace, or a filter such as `shepard=debug`
    #[arg(long, global = true, value_name = "LEVEL", env = "SHEPARD_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// Directory of the old command whose profiles are read beside our own
    #[arg(long, global = true, value_name = "DIR", env = "SHEPARD_OLD_PROFILES")]
    pub old_profiles: Option<PathBuf>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people; may change
    #[default]
    Text,
    /// For scripts; documented in docs/json.md and kept stable
    Json,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open the console; the same as no subcommand
    Console,
    /// Make an example flock, batch example data and open the console on it
    Demo(Demo),
    /// Flocks on this machine
    Local {
        /// What to do with them.
        #[command(subcommand)]
        command: Local,
    },
    /// Batch a folder, a folder of folders, or a zip file
    Batch(Batch),
    /// Build a folder, or take an image, and make a flock run it
    Deploy(Deploy),
    /// What was deployed, and going back to it
    Releases {
        /// What to do with them.
        #[command(subcommand)]
        command: Releases,
    },
    /// Flocks on AWS: stand up, change, watch, take down
    Stack {
        /// What to do with them.
        #[command(subcommand)]
        command: StackCommand,
    },
    /// Give a flock on AWS a job by its API: variables without an upload
    #[command(name = "batch-api", alias = "batch_via_api")]
    BatchApi(BatchApi),
    /// Uploads that were given up on, and trying them again
    Dlq {
        /// What to do with them.
        #[command(subcommand)]
        command: Dlq,
    },
    /// Put a folder with a run.sh where jobs can name it
    QuickDeploy(QuickDeploy),
    /// List jobs
    Query(Query),
    /// Print the log of a job
    Logs(Logs),
    /// Bring results here
    Retrieve(Retrieve),
    /// Stop jobs
    Terminate(OnJobs),
    /// Run failed or cancelled jobs again
    Retry(OnJobs),
    /// Secrets of a flock: files that every payload finds in the folder `secrets` of its input
    Secrets {
        /// What to do with them.
        #[command(subcommand)]
        command: Secrets,
    },
    /// Show who you are to AWS, and until when
    Whoami(Who),
    /// Renew the session with AWS; asks for the code of the MFA device where one is needed
    Renew(Renew),
    /// Assume a role for the commands to come
    SetRole(SetRole),
    /// Let go of the role of set-role
    ReleaseRole,
    /// Show the role of set-role
    CheckRole,
    /// Show what was done from this machine, and by whom
    Journal(Journal),
    /// Show versions, paths, the configuration and the flocks
    Info(Info),
    /// Print the template of a flock's stack on AWS
    Template(Template),
    /// Print a shell completion script
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them
    Man {
        /// Write one page for each subcommand into this directory
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Profiles of the old command: what it is told by each of its thirteen names
    Profiles {
        /// What to do with them.
        #[command(subcommand)]
        command: Profiles,
    },
    /// List the flocks of this machine and those on AWS
    Flocks(Flocks),
    /// A command line as the old command took it.
    #[command(skip)]
    Old(Box<Old>),
    /// The supervisor of a local flock; started on demand
    #[command(hide = true)]
    Supervise {
        /// Flock.
        name: String,
    },
    /// One attempt at a job of a local flock; started by the supervisor
    #[command(hide = true)]
    Worker {
        /// Flock.
        name: String,
    },
    /// Unpack a zip; for payloads on machines without an unzip
    #[command(hide = true)]
    Unpack {
        /// The zip.
        zip: PathBuf,
        /// Where to; made if need be.
        to: PathBuf,
    },
}

/// `shepard demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Folder to batch instead of the bundled examples; one without an inputs.txt becomes one job
    pub path: Option<PathBuf>,
    /// Wait for the jobs and print their results instead of opening the console
    #[arg(long)]
    pub no_console: bool,
}

/// `shepard local`
#[derive(Debug, Subcommand)]
pub enum Local {
    /// Make a flock
    Create(Create),
    /// List the flocks
    List,
    /// Start the supervisor of a flock; commands that need it do so themselves
    Start {
        /// Flock
        name: String,
    },
    /// Stop the supervisor of a flock; running jobs go on and are taken up again at the next start
    Stop {
        /// Flock
        name: String,
    },
    /// Remove a flock with everything in it
    Rm {
        /// Flock
        name: String,
        /// Do not ask; the flock's name must be repeated here
        #[arg(long, value_name = "NAME")]
        yes: Option<String>,
    },
}

/// `shepard local create`
#[derive(Debug, Args)]
pub struct Create {
    /// Name: letters, digits, `-` and `_`
    pub name: String,
    /// Command that runs each job, as one line with shell-like quoting; no shell reads it. With `--image` it takes the
    /// place of the image's entry point
    #[arg(long, value_name = "CMD", conflicts_with = "quick_deploy")]
    pub command: Option<String>,
    /// Folder with a `run.sh` that runs each job; copied into the flock
    #[arg(long, value_name = "DIR")]
    pub quick_deploy: Option<PathBuf>,
    /// Jobs at once [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub max_jobs: Option<u32>,
    /// Attempts at a job whose worker died
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub attempts: u32,
    /// Seconds after which an attempt is stopped [default: never]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// Run each job in a Docker container of this image, by name or id [default: as a process of this machine]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// What the containers are granted.
    #[command(flatten)]
    pub grants: Grants,
}

/// What the containers of a local flock are granted beyond their own.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "With --image: what its containers are granted")]
pub struct Grants {
    /// Every capability and device of this machine: a payload can do whatever root can
    #[arg(long, requires = "image")]
    pub privileged: bool,
    /// A device of this machine, such as /dev/fuse; may be repeated
    #[arg(long = "device", value_name = "PATH", requires = "image")]
    pub devices: Vec<String>,
    /// MiB of /dev/shm [default: the engine's 64]
    #[arg(long, value_name = "N", requires = "image", value_parser = clap::value_parser!(u32).range(1..))]
    pub shm_mib: Option<u32>,
    /// This machine's network in place of one of their own
    #[arg(long, requires = "image")]
    pub host_network: bool,
    /// The engine's socket: a payload can do whatever root can
    #[arg(long, requires = "image")]
    pub docker_socket: bool,
    /// A GPU by its UUID, or `all`; may be repeated
    #[arg(long = "gpu", value_name = "UUID", requires = "image")]
    pub gpus: Vec<String>,
    /// Most memory of a job, in MiB; its own SHEPARD_MEMORY is held to that [default: no limit]
    #[arg(long, value_name = "N", requires = "image", value_parser = clap::value_parser!(u32).range(6..))]
    pub memory_mib: Option<u32>,
    /// Most processors of a job, such as 1.5; its own SHEPARD_VCPUS is held to that [default: no limit]
    #[arg(long = "cpus", value_name = "X", requires = "image", value_parser = cpu_milli)]
    pub cpu_milli: Option<u32>,
}

impl From<Grants> for Isolation {
    fn from(grants: Grants) -> Self {
        Self {
            privileged: grants.privileged,
            devices: grants.devices,
            gpus: grants.gpus,
            shm_mib: grants.shm_mib,
            host_network: grants.host_network,
            docker_socket: grants.docker_socket,
            memory_mib: grants.memory_mib,
            cpu_milli: grants.cpu_milli,
        }
    }
}

/// `shepard batch`
#[derive(Debug, Args)]
pub struct Batch {
    /// Flock [default: `flock` of config.toml]
    #[arg(long, value_name = "NAME", env = "SHEPARD_FLOCK")]
    pub flock: Option<String>,
    /// Folder with an inputs.txt (one job), folder of such folders and zips (as many jobs), or a zip
    #[arg(long, value_name = "PATH")]
    pub path: PathBuf,
    /// Tag of the results; replaces the TAG of inputs.txt
    #[arg(long)]
    pub tag: Option<String>,
    /// Wait until every job has ended and print how
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
    /// Check everything and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Key of the upload, `.zip` added where it is missing [default: made from its name]; of one job alone
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Batch nothing at all if anything is wrong with one of the jobs
    #[arg(long)]
    pub strict: bool,
}

/// `shepard query`
#[derive(Debug, Args)]
pub struct Query {
    /// Flock [default: `flock` of config.toml]
    #[arg(long, value_name = "NAME", env = "SHEPARD_FLOCK")]
    pub flock: Option<String>,
    /// Only jobs in this state; may be repeated
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub state: Vec<State>,
    /// Only jobs that match: `NAME=VALUE` or `NAME!=VALUE` for an attribute or variable, else any text in the id,
    /// the input, the tag or the reason; may be repeated, and then all must match
    #[arg(long, value_name = "EXPR")]
    pub filter: Vec<String>,
    /// Only these jobs: ids, unambiguous beginnings of ids, or input keys
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
}

/// `shepard logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// Flock [default: `flock` of config.toml]
    #[arg(long, value_name = "NAME", env = "SHEPARD_FLOCK")]
    pub flock: Option<String>,
    /// Job: its id, an unambiguous beginning of it, or its input key
    pub job: String,
    /// Go on printing until the job has ended
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// Only lines of the last so long: `90s`, `10m`, `2h`, `1d`
    #[arg(long, value_name = "DURATION", conflicts_with = "tail", value_parser = duration_ms)]
    pub since: Option<i64>,
    /// Only the last N lines
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Put the time before each line
    #[arg(long, short = 't')]
    pub timestamps: bool,
}

/// `shepard retrieve`
#[derive(Debug, Args)]
pub struct Retrieve {
    /// Flock [default: `flock` of config.toml]
    #[arg(long, value_name = "NAME", env = "SHEPARD_FLOCK")]
    pub flock: Option<String>,
    /// Directory to bring them to; made if need be
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Only what these jobs left, failure artefacts included
    #[arg(long = "job", value_name = "JOB")]
    pub jobs: Vec<String>,
}

/// `shepard terminate` and `shepard retry`
#[derive(Debug, Args)]
pub struct OnJobs {
    /// Flock [default: `flock` of config.toml]
    #[arg(long, value_name = "NAME", env = "SHEPARD_FLOCK")]
    pub flock: Option<String>,
    /// Which jobs.
    #[command(flatten)]
    pub which: Which,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Jobs by name or by state.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Jobs: ids, unambiguous beginnings of ids, or input keys
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Every job in this state
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub state: Option<State>,
}

/// `shepard secrets`
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Replace them by the files directly in a folder, dotfiles included
    Push(Push),
    /// List their names
    List(Keeper),
    /// Remove some of them
    Rm(RemoveSecrets),
}

/// Whose secrets.
#[derive(Debug, Clone, Args)]
pub struct Keeper {
    /// Flock [env: SHEPARD_FLOCK=] [default: `flock` of config.toml]
    #[arg(long, value_name = "NAME")]
    pub flock: Option<String>,
    /// Secret of AWS Secrets Manager, by name or ARN, instead of a flock's
    #[arg(long, value_name = "NAME_OR_ARN", conflicts_with = "flock")]
    pub secret: Option<String>,
}

/// `shepard secrets push`
#[derive(Debug, Args)]
pub struct Push {
    /// Folder with a file for each secret
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Whose.
    #[command(flatten)]
    pub keeper: Keeper,
    /// Keep what is not in the folder
    #[arg(long)]
    pub merge: bool,
    /// Show what would become of each name and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `shepard secrets rm`
#[derive(Debug, Args)]
pub struct RemoveSecrets {
    /// Names
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Whose.
    #[command(flatten)]
    pub keeper: Keeper,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `shepard journal`
#[derive(Debug, Args)]
pub struct Journal {
    /// Only the last N entries
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub tail: usize,
}

/// `shepard info`
#[derive(Debug, Args)]
pub struct Info {
    /// Print a commented config.toml with every setting and its default, and nothing else
    #[arg(long)]
    pub config_template: bool,
}

fn state(word: &str) -> Result<State, String> {
    State::from_word(word).ok_or_else(|| {
        let words: Vec<_> = State::ALL.iter().map(|state| state.word()).collect();
        format!("not a state; the states are {}", words.join(", "))
    })
}

/// Thousandths of a number of processors such as `1.5`.
fn cpu_milli(text: &str) -> Result<u32, String> {
    let bad = || "not a number of processors; write for example 1, 2 or 0.5, at least 0.01".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 3 {
        return Err(bad());
    }
    let whole: u32 = whole.parse().map_err(|_| bad())?;
    let part: u32 = format!("{part:0<3}").parse().map_err(|_| bad())?;
    let milli = whole.checked_mul(1000).and_then(|milli| milli.checked_add(part)).ok_or_else(bad)?;
    if milli < 10 { Err(bad()) } else { Ok(milli) }
}

/// Milliseconds of a duration such as `10m`.
fn duration_ms(text: &str) -> Result<i64, String> {
    let bad = || "not a duration; write for example 90s, 10m, 2h or 1d".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| bad())?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
    let ms = i64::try_from(duration.as_millis()).map_err(|_| bad())?;
    if ms < 0 { Err(bad()) } else { Ok(ms) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(duration_ms("90s"), Ok(90_000));
        assert_eq!(duration_ms("10m"), Ok(600_000));
        assert_eq!(duration_ms("1d"), Ok(86_400_000));
        for bad in ["", "10", "-5m", "1month", "soon"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn processors_are_read_to_the_thousandth() {
        for (text, milli) in [("1", 1000), ("0.5", 500), ("1.25", 1250), ("16", 16_000), ("0.010", 10)] {
            assert_eq!(cpu_milli(text), Ok(milli), "{text}");
        }
        for bad in ["", "0", "0.001", "-1", ".5", "1.2345", "1e3", "many", "99999999"] {
            assert!(cpu_milli(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn grants_are_of_containers() {
        let parse = |rest: &[&str]| {
            Cli::try_parse_from([&["shepard", "local", "create", "f"], rest].concat()).is_ok()
        };
        for grant in [
            &["--privileged"][..],
            &["--device", "/dev/fuse"],
            &["--shm-mib", "1"],
            &["--host-network"],
            &["--docker-socket"],
            &["--gpu", "all"],
            &["--memory-mib", "6"],
            &["--cpus", "0.5"],
        ] {
            assert!(!parse(grant), "{grant:?} without an image grants nothing to nobody");
            assert!(parse(&[&["--image", "i"], grant].concat()), "{grant:?}");
        }
        assert!(parse(&["--image", "i", "--command", "x y"]));
        assert!(!parse(&["--image", "i", "--shm-mib", "0"]));
        assert!(!parse(&["--image", "i", "--memory-mib", "5"]));
    }

    #[test]
    fn jobs_are_named_or_chosen_by_state_but_not_both_and_not_neither() {
        let parse = |rest: &[&str]| {
            Cli::try_parse_from([&["shepard", "terminate", "--flock", "f"], rest].concat()).is_ok()
        };
        assert!(parse(&["a", "b"]));
        assert!(parse(&["--state", "running", "--yes"]));
        assert!(!parse(&[]));
        assert!(!parse(&["a", "--state", "running"]));
        assert!(!parse(&["--state", "sleeping"]));
    }
}
