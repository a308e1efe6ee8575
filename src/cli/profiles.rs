//! The arguments of `shepard profiles` and `shepard flocks`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `shepard profiles`
#[derive(Debug, Subcommand)]
pub enum Profiles {
    /// List them, and mark the current one
    List,
    /// Print what one says
    Show {
        /// Profile [default: the current one]
        name: Option<String>,
    },
    /// Ask for each of its thirteen values and save them as a whole
    Configure(ConfigureProfile),
    /// Make one the current one
    Set {
        /// Profile
        name: String,
    },
    /// No profile is the current one any more
    Clear,
    /// Remove one
    Delete {
        /// Profile
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Print the directory that they are kept in
    Where,
    /// Copy the profiles of an old directory here, as they are
    Import {
        /// Directory of the old command, CLONE/cli/shepard_cli
        dir: PathBuf,
        /// Put them in the place of others of the same name
        #[arg(long)]
        replace: bool,
    },
}

/// `shepard profiles configure`
#[derive(Debug, Args)]
#[command(
    after_help = "Without --value each value is asked for, on a terminal or as thirteen lines of standard input. An \
empty line keeps what is there, **CLEAR** takes it away. Nothing is saved before the last answer."
)]
pub struct ConfigureProfile {
    /// Profile; made if need be
    pub name: String,
    /// Set this value and ask nothing; may be repeated. An empty one takes it away
    #[arg(long = "value", value_name = "NAME=VALUE", value_parser = value)]
    pub values: Vec<(String, String)>,
}

/// `shepard flocks`
#[derive(Debug, Args)]
pub struct Flocks {
    /// Only those of this machine; nothing is asked of AWS
    #[arg(long)]
    pub local: bool,
}

fn value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "it is NAME=VALUE".to_owned())?;
    let known = crate::operations::profiles::KEYS;
    if known.contains(&name) {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(format!("a profile has no {name:?}; it has {}", known.join(", ")))
    }
}
