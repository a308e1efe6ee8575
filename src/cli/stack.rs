//! The arguments of `shepard stack`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use shepard_model::Account;

/// `shepard stack`
#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Stand a flock up on AWS
    Up(Up),
    /// Change a flock that is there: its parameters, or to the template of this version
    Update(Update),
    /// Show what happens to a stack, oldest first, and what failed first
    Events(Events),
    /// Show a stack with its resources, outputs and parameters
    Describe(Named),
    /// Count what a stack holds: objects, versions, images, jobs, messages
    Owned(Named),
    /// Take a flock down: drain, empty, remove; one that was stopped goes on where it was
    Down(Down),
    /// List the stacks of the account and region
    List {
        /// Where.
        #[command(flatten)]
        place: Place,
    },
}

/// In whose name, and where.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// Profile of the AWS configuration files [default: AWS_PROFILE, or `default`]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Region [default: AWS_REGION, or the profile's]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Refuse to do anything in another account than this one
    #[arg(long, value_name = "DIGITS")]
    pub account: Option<String>,
}

impl Place {
    /// As the rest of the program knows it.
    pub fn account(&self) -> Account {
        Account { profile: self.profile.clone(), region: self.region.clone(), ..Account::default() }
    }
}

/// A stack by its name, and where it is.
#[derive(Debug, Clone, Args)]
pub struct Named {
    /// Name or ARN of the stack, or the flock's name with its place: STACK@REGION, STACK@PROFILE/REGION
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// Values of the template's parameters.
#[derive(Debug, Clone, Default, Args)]
pub struct Values {
    /// Value of a parameter of the template; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    pub params: Vec<(String, String)>,
    /// File with values, in any form that CloudFormation's own tools write as JSON; `--param` goes before it
    #[arg(long, value_name = "FILE")]
    pub parameters: Option<PathBuf>,
    /// Template to use instead of the one that this program carries
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
}

/// `shepard stack up`
#[derive(Debug, Args)]
#[command(
    after_help = "The names of everything are made from NAME. Before anything is sent, names, addresses, quotas and sizes \
are checked and the cost of an idle month is shown. The key pair must be given: --param Ec2KeyPair=NAME."
)]
pub struct Up {
    /// Which, and where.
    #[command(flatten)]
    pub stack: Named,
    /// Values.
    #[command(flatten)]
    pub values: Values,
    /// Protect the stack against removal
    #[arg(long)]
    pub protect: bool,
    /// Check everything and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Do not wait until it stands
    #[arg(long)]
    pub no_wait: bool,
}

/// `shepard stack update`
#[derive(Debug, Args)]
#[command(
    after_help = "Parameters that are not given keep their values. CloudFormation says beforehand what would change; with \
--dry-run nothing more is done."
)]
pub struct Update {
    /// Which, and where.
    #[command(flatten)]
    pub stack: Named,
    /// Values.
    #[command(flatten)]
    pub values: Values,
    /// Keep the template that the stack has, and change values alone
    #[arg(long, conflicts_with = "template")]
    pub keep_template: bool,
    /// Allow that a bucket, a table or another thing with something in it is replaced or removed
    #[arg(long)]
    pub allow_replacement: bool,
    /// Show what would change and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
}

/// `shepard stack events`
#[derive(Debug, Args)]
pub struct Events {
    /// Which, and where; a removed one by its ARN.
    #[command(flatten)]
    pub stack: Named,
    /// Go on until nothing more happens
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// Everything since the stack was made, not the last change alone
    #[arg(long)]
    pub all: bool,
}

/// `shepard stack down`
#[derive(Debug, Args)]
#[command(
    after_help = "What the template keeps stays: buckets, the table, the secret. Each step reads from AWS what is left to \
do, so the same command goes on after it was stopped."
)]
pub struct Down {
    /// Which, and where.
    #[command(flatten)]
    pub stack: Named,
    /// Do not ask; the stack's name must be repeated here
    #[arg(long, value_name = "NAME")]
    pub yes: Option<String>,
    /// Also remove what people keep in it: all objects with all versions, the table, the secret
    #[arg(long)]
    pub delete_data: bool,
    /// Lift the stack's protection against removal
    #[arg(long)]
    pub unprotect: bool,
    /// Show what would go and what would stay, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is NAME=VALUE".to_owned()),
    }
}
