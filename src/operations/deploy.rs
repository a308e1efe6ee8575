//! Deploying: a folder or an image becomes what a flock runs.
//!
//! A flock on AWS runs whatever its repository calls `latest`: a flock's image, which holds the worker and names, or
//! holds, the payload. A deploy builds the payload, pushes it, wraps it, pushes the wrapping as a *release* and only then
//! moves `latest`. A flock of this machine runs the payload's image itself, so its deploy builds, and writes the image into
//! the flock's settings.
//!
//! Whatever fails on the way, or is stopped, leaves the flock with what it ran before.

mod bases;
mod follow;
mod registries;
mod run;
mod worker;

use std::path::PathBuf;

pub use registries::{Place, Registries};
pub use run::Deployer;
use serde::Serialize;
use shepard_cloud::aws::Profile;
use shepard_cloud::local::FlockDir;

/// What is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with a `Dockerfile` or a `Dockerfile.txt`.
    Folder(PathBuf),
    /// An image that the engine has, or that a registry has.
    Image(String),
}

/// To where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A flock of this machine.
    Flock(FlockDir),
    /// A repository: `HOST/NAME`, or a `NAME` alone in the registry of the AWS account in use.
    Repository(String),
    /// A flock on AWS.
    Aws {
        /// Its name.
        flock: String,
        /// Its repository.
        repository: String,
        /// By whose credentials it is asked.
        profile: Profile,
    },
}

impl Target {
    /// The repository, where it is one.
    pub fn repository(&self) -> Option<&str> {
        match self {
            Self::Flock(_) => None,
            Self::Repository(repository) | Self::Aws { repository, .. } => Some(repository),
        }
    }

    /// By whose credentials AWS is asked for it.
    pub fn profile(&self) -> Profile {
        match self {
            Self::Flock(_) | Self::Repository(_) => Profile::default(),
            Self::Aws { profile, .. } => profile.clone(),
        }
    }

    /// What a person calls it.
    pub fn called(&self) -> &str {
        match self {
            Self::Flock(flock) => flock.name(),
            Self::Repository(repository) => repository,
            Self::Aws { flock, .. } => flock,
        }
    }
}

/// A deploy to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What.
    pub source: Source,
    /// To where.
    pub target: Target,
    /// The payload is put into the flock's image instead of into the repository. For stacks whose job role may not pull.
    pub nested: bool,
    /// Platform to build for: `linux/arm64`. None is the engine's own.
    pub platform: Option<String>,
    /// Build every step again.
    pub no_cache: bool,
    /// Network of the build's steps: `host`, `none`, or one that the engine has. None is the engine's usual one.
    pub network: Option<String>,
    /// Build arguments. The image's history shows them: they are no place for a secret.
    pub build_args: Vec<(String, String)>,
    /// The worker program. None looks for it where it usually is.
    pub worker: Option<PathBuf>,
}

impl Request {
    /// The plainest deploy of this to there.
    pub fn new(source: Source, target: Target) -> Self {
        Self {
            source,
            target,
            nested: false,
            platform: None,
            no_cache: false,
            network: None,
            build_args: Vec::new(),
            worker: None,
        }
    }
}

/// A part of a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The folder is built.
    Build,
    /// The image is looked for, or pulled.
    Find,
    /// The payload is pushed.
    PushPayload,
    /// The payload is saved to a file of this machine, to be nested.
    Save,
    /// The flock's image is made.
    Wrap,
    /// The flock's image is pushed.
    Push,
    /// `latest` becomes the release; or the flock's settings name the image.
    Switch,
}

impl Step {
    /// The parts of a deploy in their order.
    pub fn of(request: &Request) -> Vec<Self> {
        let first = match request.source {
            Source::Folder(_) => Self::Build,
            Source::Image(_) => Self::Find,
        };
        match (&request.target, request.nested) {
            (Target::Flock(_), _) => vec![first, Self::Switch],
            (_, true) => vec![first, Self::Save, Self::Wrap, Self::Push, Self::Switch],
            (_, false) => {
                vec![first, Self::PushPayload, Self::Wrap, Self::Push, Self::Switch]
            }
        }
    }

    /// What is being done, for a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Build => "building the payload",
            Self::Find => "finding the image",
            Self::PushPayload => "pushing the payload",
            Self::Save => "saving the payload",
            Self::Wrap => "making the flock's image",
            Self::Push => "pushing the release",
            Self::Switch => "switching to the release",
        }
    }
}

/// How far a deploy is. The latest says everything that the ones before did; none has to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeployProgress {
    /// Which part runs.
    pub step: Step,
    /// Its number, from 1.
    pub number: usize,
    /// How many parts there are.
    pub steps: usize,
    /// How much of this part is done: build steps, else bytes.
    pub done: u64,
    /// Of how much; 0 where that is not known.
    pub total: u64,
    /// A line of the builder or a few words. A foreign text: it may hold anything but a line break.
    pub note: String,
}

/// A deploy that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deployment {
    /// Name of the release: `20261121-093000-0a1b2c3d`.
    pub release: String,
    /// What the flock runs from now on: `HOST/NAME:RELEASE` of a repository, an image's id for a flock of this machine.
    pub image: String,
    /// Digest of the release as the registry has it; None for a flock of this machine.
    pub digest: Option<String>,
    /// The payload: `HOST/NAME@sha256:…` where it was pushed, else its id.
    pub payload: String,
    /// Milliseconds from the start to the end.
    pub took_ms: u64,
}
