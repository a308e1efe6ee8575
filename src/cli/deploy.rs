//! The arguments of `shepard deploy` and `shepard releases`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `shepard deploy`
#[derive(Debug, Args)]
#[command(
    after_help = "A flock on AWS runs what its repository calls latest, which moves last: a deploy that fails, or is \
stopped, changes nothing."
)]
pub struct Deploy {
    /// Folder with a Dockerfile or a Dockerfile.txt [default: this one]
    pub path: Option<PathBuf>,
    /// The same, under its old name
    #[arg(long, value_name = "PATH", alias = "path_to_docker_folder", hide = true, conflicts_with = "path")]
    pub folder: Option<PathBuf>,
    /// Where to.
    #[command(flatten)]
    pub to: DeployTo,
    /// Deploy an image that exists, in the engine or in a registry, instead of building a folder
    #[arg(long, value_name = "REF", conflicts_with_all = ["path", "folder", "no_cache", "network", "build_args"])]
    pub image: Option<String>,
    /// Put the payload into the flock's image instead of beside it, for stacks whose job role may not pull images
    #[arg(long)]
    pub nested: bool,
    /// Platform to build for, such as linux/arm64 [default: the engine's own]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Take no step from an earlier build
    #[arg(long)]
    pub no_cache: bool,
    /// Network of the build's steps: host, none, or one that the engine has [default: the engine's usual one]
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Value of an ARG of the Dockerfile; may be repeated. The image's history shows it: no place for a secret
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = build_arg)]
    pub build_args: Vec<(String, String)>,
    /// Worker program of the flock's image [default: SHEPARD_WORKER, or shepard-worker-ARCH beside this program]
    #[arg(long, value_name = "FILE")]
    pub worker: Option<PathBuf>,
}

impl Deploy {
    /// A folder, and nothing else said.
    pub fn of_folder(path: PathBuf, to: DeployTo, nested: bool) -> Self {
        Self {
            path: Some(path),
            folder: None,
            to,
            image: None,
            nested,
            platform: None,
            no_cache: false,
            network: None,
            build_args: Vec::new(),
            worker: None,
        }
    }
}

/// A flock, or the repository of one on AWS.
#[derive(Debug, Args)]
pub struct DeployTo {
    /// Flock [default, without a repository: SHEPARD_FLOCK, or `flock` of config.toml]
    // Not by clap's own `env`: a variable would be in conflict with a repository that was typed.
    #[arg(long, value_name = "NAME", conflicts_with = "repository")]
    pub flock: Option<String>,
    /// Repository: HOST/NAME, or a NAME in the ECR of the AWS account in use
    #[arg(long, value_name = "URI", alias = "ecr_repo_to_push_to")]
    pub repository: Option<String>,
    /// AWS account of a repository that is named without its host
    #[arg(long, value_name = "DIGITS", alias = "account_number", requires = "repository", hide = true)]
    pub account_number: Option<String>,
}

/// `shepard releases`
#[derive(Debug, Subcommand)]
pub enum Releases {
    /// List the newest hundred, and mark the one that runs
    List {
        /// Of what.
        #[command(flatten)]
        of: DeployTo,
    },
    /// Run an earlier release; nothing is built, pulled or pushed
    Rollback {
        /// Its name, as `shepard releases list` shows it
        release: String,
        /// Of what.
        #[command(flatten)]
        of: DeployTo,
    },
}

/// `NAME=VALUE`. The error does not repeat the value.
fn build_arg(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is NAME=VALUE".to_owned()),
    }
}
