//! Where things are on this machine and how the person wants them: defaults, then `config.toml`, then the
//! environment, then flags, each over the one before.
//!
//! It reads; it never writes the configuration. A key it does not know is reported and otherwise ignored, so that
//! a file written for a newer version still works.

pub mod accounts;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Deserialize;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cli::Global;
pub use accounts::{AccountSetting, Standing};

/// The log file is set aside, once, when it is larger than this at the start: in bytes.
const LOG_LIMIT: u64 = 5 * 1024 * 1024;

/// What `shepard info --config-template` prints.
pub const TEMPLATE: &str = r#"# Shepard's settings. Every line is optional; what is shown is the default.
# Flags and environment variables (SHEPARD_THEME, SHEPARD_ASCII, SHEPARD_FLOCK, SHEPARD_READ_ONLY,
# SHEPARD_LOG_LEVEL, SHEPARD_OUTPUT) win over this file.

# Theme of the console; `default` uses the terminal's own colours.
#theme = "default"

# Draw with ASCII characters only.
#ascii = false

# Let the console take the mouse; the terminal's own selection then needs Shift.
#mouse = false

# Flock that commands use when --flock is not given.
#flock = "demo"

# Refuse everything that changes a flock.
#read_only = false

# Key bindings; a relative path starts at this file's directory.
#keys = "keys.toml"

# What is written to the log file.
#log_level = "info"

# Accounts of AWS that are looked through for flocks, one block each. Without any it is the one that the environment
# and the AWS configuration files say, and without those none. `colour` makes the account stand out: danger, warn, ok,
# info, accent or muted. Leave out `profile` for the environment's, and the regions for the profile's own.
#[[accounts]]
#profile = "production"
#regions = ["eu-west-1", "us-east-1"]
#colour = "danger"
#read_only = true
"#;

/// A configuration that cannot be used. All of them are about the machine, none about a flock.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no home directory to put things under.
    #[error("there is no home directory; set HOME, or XDG_DATA_HOME, XDG_STATE_HOME and XDG_CONFIG_HOME")]
    NoHome,
    /// A file or directory that cannot be read or made.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `make`, `open`.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// `config.toml` is not TOML, or a setting has the wrong type.
    #[error("{} is not usable: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        problem: String,
    },
    /// The level of the log is not one.
    #[error("the log level {0:?} is not usable; choose error, warn, info, debug or trace")]
    Level(String),
}

/// Where Shepard keeps things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// Flocks: `flocks/<name>/`.
    pub data: PathBuf,
    /// Log, journal, saved console state.
    pub state: PathBuf,
    /// `config.toml`, `keys.toml`, `themes/`.
    pub config: PathBuf,
}

impl Dirs {
    /// The XDG directories where they are set, the platform's own elsewhere.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`].
    pub fn find() -> Result<Self, ConfigError> {
        // Asked for on every platform: a script that sets them on macOS means them as well.
        let xdg = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let (data, state, config) = (xdg("XDG_DATA_HOME"), xdg("XDG_STATE_HOME"), xdg("XDG_CONFIG_HOME"));
        let platform = directories::ProjectDirs::from("", "", "shepard");
        let or = |set: Option<PathBuf>, otherwise: fn(&directories::ProjectDirs) -> PathBuf| {
            set.map(|dir| dir.join("shepard"))
                .or_else(|| platform.as_ref().map(otherwise))
                .ok_or(ConfigError::NoHome)
        };
        Ok(Self {
            data: or(data, |dirs| dirs.data_dir().to_owned())?,
            state: or(state, |dirs| {
                dirs.state_dir().map_or_else(|| dirs.data_local_dir().join("state"), Path::to_owned)
            })?,
            config: or(config, |dirs| dirs.config_dir().to_owned())?,
        })
    }

    /// The log file.
    pub fn log(&self) -> PathBuf {
        self.state.join("shepard.log")
    }

    /// The journal of what was done.
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal.jsonl")
    }

    /// The settings file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// Themes of the person's own.
    pub fn themes(&self) -> PathBuf {
        self.config.join("themes")
    }
}

/// Everything a run is told from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// Paths.
    pub dirs: Dirs,
    /// Theme of the console.
    pub theme: String,
    /// ASCII characters only.
    pub ascii: bool,
    /// The console takes the mouse.
    pub mouse: bool,
    /// Flock that is used when none is named.
    pub flock: Option<String>,
    /// Refuse what changes a flock.
    pub read_only: bool,
    /// Where the console's session is recorded.
    pub record: Option<PathBuf>,
    /// Key bindings.
    pub keys: PathBuf,
    /// Filter of the log.
    pub log_level: String,
    /// Accounts of AWS that are looked through for flocks; none is the environment's.
    pub accounts: Vec<AccountSetting>,
    /// Something on this machine says that AWS is used. Where nothing does, nothing is asked of it.
    pub aws: bool,
    /// A directory of the old command whose profiles are read beside our own.
    pub old_profiles: Option<PathBuf>,
    /// Keys of `config.toml` that mean nothing to this version.
    pub unknown: Vec<String>,
}

/// `config.toml` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    theme: Option<String>,
    ascii: Option<bool>,
    mouse: Option<bool>,
    flock: Option<String>,
    read_only: Option<bool>,
    keys: Option<PathBuf>,
    log_level: Option<String>,
    accounts: Vec<AccountSetting>,
    #[serde(flatten)]
    unknown: toml::Table,
}

impl Config {
    /// Reads the file and lays the flags over it.
    ///
    /// # Errors
    /// No home directory, a file that cannot be read, or one that is not TOML.
    pub fn load(global: &Global) -> Result<Self, ConfigError> {
        let dirs = Dirs::find()?;
        let path = dirs.config_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::Io { doing: "read", path, source }),
        };
        let aws = accounts::aws_is_configured();
        Ok(Self { aws, ..Self::layered(dirs, &text, global)? })
    }

    /// Of the text of a settings file, with the flags over it. Whether AWS is used on this machine is not looked at.
    pub(crate) fn layered(dirs: Dirs, text: &str, global: &Global) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: dirs.config_file(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        let keys = dirs.config.join(file.keys.unwrap_or_else(|| PathBuf::from("keys.toml")));
        Ok(Self {
            theme: global.theme.clone().or(file.theme).unwrap_or_else(|| "default".to_owned()),
            ascii: global.ascii || file.ascii.unwrap_or(false),
            mouse: file.mouse.unwrap_or(false),
            flock: file.flock,
            record: global.record.clone(),
            read_only: global.read_only || file.read_only.unwrap_or(false),
            keys,
            log_level: global.log_level.clone().or(file.log_level).unwrap_or_else(|| "info".to_owned()),
            accounts: file.accounts,
            aws: false,
            old_profiles: global.old_profiles.clone(),
            unknown: file.unknown.keys().cloned().collect(),
            dirs,
        })
    }
}

/// Begins to write the log, to a file that only its owner reads. Nothing is ever logged to the terminal.
///
/// # Errors
/// A state directory or file that cannot be made, or a level that is none.
pub fn start_log(config: &Config) -> Result<(), ConfigError> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_level)
        .map_err(|_| ConfigError::Level(config.log_level.clone()))?;
    let path = config.dirs.log();
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| ConfigError::Io { doing, path, source }
    };
    fs::create_dir_all(&config.dirs.state).map_err(io("make", &config.dirs.state))?;
    if fs::metadata(&path).is_ok_and(|file| file.len() > LOG_LIMIT) {
        // Two commands may do this at once; the second finds nothing to move, and that is all right.
        let _ = fs::rename(&path, path.with_extension("log.1"));
    }
    let file = private_append(&path).map_err(io("open", &path))?;
    // A second start in one process, as in tests, keeps the first log.
    let _ = tracing::subscriber::set_global_default(subscriber(filter, file));
    for key in &config.unknown {
        tracing::warn!(key, "unknown key in config.toml");
    }
    Ok(())
}

/// What writes the log: all that the filter lets through, but for what holds secrets and variables.
fn subscriber(
    filter: tracing_subscriber::EnvFilter,
    file: impl io::Write + Send + Sync + 'static,
) -> impl tracing::Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .finish()
        .with(tracing_subscriber::filter::filter_fn(shepard_cloud::aws::may_be_logged))
}

/// Opens a file for appending that nobody but its owner reads, made if need be.
///
/// # Errors
/// The operating system's.
pub fn private_append(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs() -> Dirs {
        Dirs { data: "/d".into(), state: "/s".into(), config: "/c".into() }
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let global = Global { theme: Some("dark".into()), ..Global::default() };
        let config = Config::layered(dirs(), "theme = 'light'\nmouse = true\nkeys = 'k.toml'", &global)
            .expect("usable");
        assert_eq!((config.theme.as_str(), config.mouse, config.ascii), ("dark", true, false));
        assert_eq!(config.keys, Path::new("/c/k.toml"));
        let plain = Config::layered(dirs(), "", &Global::default()).expect("usable");
        assert_eq!((plain.theme.as_str(), plain.log_level.as_str()), ("default", "info"));
    }

    #[test]
    fn unknown_keys_are_reported_and_wrong_types_refused() {
        let config = Config::layered(dirs(), "colour = 'red'\n[x]\ny = 1", &Global::default());
        assert_eq!(config.expect("usable").unknown, ["colour", "x"]);
        let error = Config::layered(dirs(), "mouse = 'yes'", &Global::default()).expect_err("refused");
        assert!(error.to_string().contains("mouse"), "{error}");
    }

    #[test]
    fn whole_requests_of_the_sdk_are_in_no_log_at_any_level() {
        for filter in ["trace", "aws_smithy_runtime=trace,hyper=trace,shepard=trace"] {
            let temp = tempfile::tempdir().expect("temp");
            let path = temp.path().join("log");
            let writes =
                subscriber(tracing_subscriber::EnvFilter::new(filter), private_append(&path).expect("a log"));
            tracing::subscriber::with_default(writes, || {
                tracing::trace!(target: "aws_smithy_runtime::client::orchestrator", "hunter2");
                tracing::trace!(target: "hyper::proto", "hunter2");
                tracing::debug!(target: "aws_smithy_runtime", "an attempt");
                tracing::trace!(target: "shepard::operations", "our own");
            });
            let log = fs::read_to_string(path).expect("a log");
            assert!(
                log.contains("an attempt") && log.contains("our own") && !log.contains("hunter2"),
                "{log}"
            );
        }
    }

    #[test]
    fn the_template_is_a_config_that_changes_nothing_and_lists_every_key() {
        let uncommented: String = TEMPLATE
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(uncommented.lines().count(), 12, "every key is in the template");
        // The accounts have no default; the other lines say what holds anyway.
        let (uncommented, accounts) = uncommented.split_once("[[accounts]]").expect("an example");
        let example: AccountSetting = toml::from_str(accounts).expect("usable");
        assert_eq!((example.accounts().count(), example.read_only), (2, true));
        let shown = Config::layered(dirs(), uncommented, &Global::default()).expect("usable");
        let plain = Config::layered(dirs(), "", &Global::default()).expect("usable");
        assert!(shown.unknown.is_empty(), "{:?}", shown.unknown);
        assert_eq!(
            (shown.theme, shown.ascii, shown.mouse, shown.read_only, shown.keys, shown.log_level),
            (plain.theme, plain.ascii, plain.mouse, plain.read_only, plain.keys, plain.log_level)
        );
    }
}
