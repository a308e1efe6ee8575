//! Exit codes: what a script may decide on. `docs/exit-codes.md` is generated from this table.

use std::process::ExitCode;

use crate::operations::Class;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Done, and some job did not succeed.
    Jobs,
    /// The command line makes no sense.
    Usage,
    /// The flock, the job or the path is not there.
    NotFound,
    /// Understood and not done.
    Refused,
    /// The machine could not do it.
    Environment,
}

impl Exit {
    /// Every one of them, by code.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Jobs, Self::Usage, Self::NotFound, Self::Refused, Self::Environment];

    /// The code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Jobs => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Environment => 5,
        }
    }

    /// What it means, for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done; with `batch --wait`: every job succeeded",
            Self::Jobs => {
                "the command did its work, and some job failed, was rejected or was cancelled, or some file could not be retrieved"
            }
            Self::Usage => "the command line or the configuration makes no sense; nothing was done",
            Self::NotFound => "the flock, the job or the path does not exist",
            Self::Refused => {
                "understood and not done: read-only, not confirmed, not allowed, or in conflict with what is there"
            }
            Self::Environment => {
                "the machine could not do it: disk full, the supervisor cannot be started, a file cannot be read or written"
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

impl From<Class> for Exit {
    fn from(class: Class) -> Self {
        match class {
            Class::Usage => Self::Usage,
            Class::NotFound => Self::NotFound,
            Class::Refused => Self::Refused,
            Class::Environment => Self::Environment,
        }
    }
}

/// `docs/exit-codes.md`.
pub fn document() -> String {
    let mut text = String::from(
        "# Exit codes\n\n<!-- Written by `cargo xtask generate` from src/commands/exit.rs. -->\n\n\
         | code | meaning |\n|---|---|\n",
    );
    for exit in Exit::ALL {
        text.push_str(&format!("| {} | {} |\n", exit.code(), exit.meaning()));
    }
    text.push_str(
        "\nWhat went wrong is one line on standard error, beginning with `error:`. With `--output json` it is one \
         JSON object instead: `{\"error\":{\"kind\":\"usage|not_found|refused|environment\",\"message\":\"…\"}}`.\n\
         Errors in the command line itself are always plain text.\n",
    );
    text
}
