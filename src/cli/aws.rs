//! The arguments of what is done to a flock beside its jobs: jobs by API, dead letters, quick deploy.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `shepard batch-api`
#[derive(Debug, Args)]
pub struct BatchApi {
    /// Flock on AWS [default: `flock` of config.toml]
    #[arg(long, value_name = "NAME", env = "SHEPARD_FLOCK")]
    pub flock: Option<String>,
    /// A JSON object of variables, as in an inputs.txt, or a list of them
    #[arg(value_name = "JSON", required_unless_present_any = ["file", "json_payload"])]
    pub json: Option<String>,
    /// Read the JSON from this file; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub file: Option<PathBuf>,
    /// The same as JSON, under its old name
    #[arg(long = "json_payload", value_name = "JSON", hide = true, conflicts_with_all = ["json", "file"])]
    pub json_payload: Option<String>,
    /// A function of Lambda by name or ARN, instead of the flock's
    #[arg(long, value_name = "NAME", alias = "lambda_to_invoke")]
    pub function: Option<String>,
}

/// `shepard dlq`
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// How many uploads were given up on, and some of them
    List {
        /// Flock [default: `flock` of config.toml]
        #[arg(long, value_name = "NAME", env = "SHEPARD_FLOCK")]
        flock: Option<String>,
    },
    /// Move them back into the queue, so that they are tried again
    Redrive {
        /// Flock [default: `flock` of config.toml]
        #[arg(long, value_name = "NAME", env = "SHEPARD_FLOCK")]
        flock: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// `shepard quick-deploy`
#[derive(Debug, Args)]
pub struct QuickDeploy {
    /// Flock [default: `flock` of config.toml]
    #[arg(long, value_name = "NAME", env = "SHEPARD_FLOCK")]
    pub flock: Option<String>,
    /// Folder with a `run.sh`
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// What jobs name it by in QUICK_DEPLOY_DIRECTORY [default: the folder's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}
