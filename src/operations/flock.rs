//! One flock, wherever it is: what keys and subcommands work on.
//!
//! A flock of this machine and one on AWS have the same ports, so almost everything is done to both alike. What differs
//! is here: whether somebody has to be started so that jobs run (only here does a supervisor exist), how it is noticed
//! that something changed, where results lie, and what is not known of the flock at hand.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shepard_cloud::aws::{self, AwsSettings, Profile};
use shepard_cloud::local::{Home, LocalFlock, Watch};
use shepard_cloud::{Kind, Ports};
use shepard_model::{Account, AwsFlockInfo, ObjectRef};
use tokio::sync::Mutex;

use super::batch::Way;
use super::deploy::Target;
use super::error::{OperationError, Result};
use super::flocks;
use super::preflight::Payload;
use crate::config::accounts::Standing;

/// How often what may have changed on AWS is asked for where nobody says that it has. The queue is asked no oftener for
/// it: adapters keep to their own pace beneath.
const EVERY: Duration = Duration::from_secs(2);

/// Where flocks on AWS are known.
#[async_trait]
pub trait Known: Send + Sync {
    /// The flock of that name, or the only one of a stack of that name.
    ///
    /// # Errors
    /// `NotFound` where none has it, `Usage` where several have it, or an account that could not be asked.
    async fn find(&self, name: &str) -> Result<AwsFlockInfo>;
    /// How an account stands out, and whether it may be changed.
    fn standing(&self, account: &Account) -> Standing {
        let _ = account;
        Standing::default()
    }
}

/// A flock that is open.
#[derive(Clone)]
pub enum Flock {
    /// On this machine.
    Local(LocalFlock),
    /// On AWS.
    Aws(Arc<AwsFlock>),
}

/// A flock on AWS that is open: what is known of it, and its ports.
pub struct AwsFlock {
    /// What is known of it.
    pub info: AwsFlockInfo,
    /// How its account stands out, and whether it may be changed.
    pub standing: Standing,
    ports: Ports,
}

impl AwsFlock {
    /// Makes its ports. Asks nothing of AWS.
    pub async fn connect(info: AwsFlockInfo, standing: Standing) -> Self {
        let ports = aws::connect(AwsSettings::of(&info)).await.ports();
        Self { info, standing, ports }
    }

    /// Its ports.
    pub fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// What is known under one of the names of a stack's outputs, or the sentence that it is not known.
    ///
    /// # Errors
    /// It is not known.
    pub fn need<'a>(&self, known: Option<&'a String>, what: &str, output: &str) -> Result<&'a str> {
        known.map(String::as_str).ok_or_else(|| {
            let how = match &self.info.stack {
                Some(stack) => format!("the stack {stack} has no output or parameter {output}"),
                None => "the profile does not name it".to_owned(),
            };
            OperationError::Refused(format!("{} has no {what}: {how}", self.info.name))
        })
    }
}

impl fmt::Debug for AwsFlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsFlock").field("name", &self.info.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Flock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(flock) => flock.fmt(f),
            Self::Aws(flock) => flock.fmt(f),
        }
    }
}

impl Flock {
    /// Its name, as it is typed after `--flock`.
    pub fn name(&self) -> &str {
        match self {
            Self::Local(flock) => flock.dir().name(),
            Self::Aws(flock) => &flock.info.name,
        }
    }

    /// Its ports.
    pub fn ports(&self) -> Ports {
        match self {
            Self::Local(flock) => flock.ports(),
            Self::Aws(flock) => flock.ports(),
        }
    }

    /// Days for which its table keeps the row of a job.
    pub fn keep_days(&self) -> u32 {
        match self {
            Self::Local(flock) => flock.settings().keep_days,
            Self::Aws(flock) => AwsSettings::of(&flock.info).keep_days,
        }
    }

    /// What is known of it, where it is on AWS.
    pub fn aws(&self) -> Option<&AwsFlock> {
        match self {
            Self::Local(_) => None,
            Self::Aws(flock) => Some(flock),
        }
    }

    /// Refuses what changes a flock of an account that `config.toml` makes read-only.
    ///
    /// # Errors
    /// It does.
    pub fn may_change(&self) -> Result<()> {
        match self {
            Self::Aws(flock) if flock.standing.read_only => Err(OperationError::Refused(format!(
                "{} is read-only: config.toml says so of its account",
                flock.info.name
            ))),
            Self::Local(_) | Self::Aws(_) => Ok(()),
        }
    }

    /// Sees to it that somebody takes up what was just asked for; true where somebody was started for it now. On AWS the
    /// flock's own functions do.
    ///
    /// # Errors
    /// The supervisor does not come up.
    pub async fn wake(&self) -> Result<bool> {
        match self {
            Self::Local(flock) => flocks::start(flock.dir()).await,
            Self::Aws(_) => Ok(false),
        }
    }

    /// How zips come into its inputs bucket.
    pub fn way<'a>(&self, scratch: &'a Path) -> Way<'a> {
        match self {
            Self::Local(_) => Way::ByFile(scratch),
            Self::Aws(_) => Way::Streamed,
        }
    }

    /// What tells that something of it may have changed. Blocks for as long as the first look at a flock of this machine
    /// takes.
    pub fn signs(&self) -> Signs {
        match self {
            Self::Local(flock) => Signs::Watch(Box::new(Watch::new(flock.dir()))),
            Self::Aws(_) => Signs::Every(EVERY),
        }
    }

    /// What it runs where a job names nothing. A flock on AWS runs its image.
    ///
    /// # Errors
    /// Its settings cannot be read.
    pub fn payload(&self) -> Result<Payload> {
        Ok(match self {
            // Read anew: a deploy changes them while it is open.
            Self::Local(flock) => Payload::of(&flock.dir().settings()?),
            Self::Aws(flock) => Payload { flock: flock.info.name.clone(), quick_deploy: None, has_own: true },
        })
    }

    /// Where an object of it lies, for a person: a file of this machine, or `s3://BUCKET/KEY`.
    ///
    /// # Errors
    /// None in practice: the bucket is one of the flock's own.
    pub fn place_of(&self, object: &ObjectRef) -> Result<String> {
        Ok(match self {
            Self::Local(flock) => flocks::file_of(flock.dir(), object)?.display().to_string(),
            Self::Aws(_) => format!("s3://{}/{}", object.bucket, object.key),
        })
    }

    /// Where a deploy to it goes.
    ///
    /// # Errors
    /// Nothing is known of the image repository of a flock on AWS.
    pub fn target(&self) -> Result<Target> {
        Ok(match self {
            Self::Local(flock) => Target::Flock(flock.dir().clone()),
            Self::Aws(flock) => {
                let info = &flock.info;
                let repository =
                    flock.need(info.repository.as_ref(), "image repository", "RepositoryUri")?.to_owned();
                Target::Aws { flock: info.name.clone(), repository, profile: Profile::of(&info.account) }
            }
        })
    }

    /// The queue of uploads can be asked how deep it is, and its dead letters can be moved back.
    ///
    /// # Errors
    /// It is not known.
    pub fn may_ask_queue(&self) -> Result<()> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Aws(flock) => flock.need(flock.info.queue.as_ref(), "queue", "UploadsQueueUrl").map(drop),
        }
    }
}

/// Tells that something may have changed.
#[derive(Debug)]
pub enum Signs {
    /// The files of a flock of this machine are watched.
    Watch(Box<Watch>),
    /// Nobody says: it is looked at so often.
    Every(Duration),
}

impl Signs {
    /// Returns when something may have changed; too often rather than too rarely.
    pub async fn changed(&mut self) {
        self.changed_after(Duration::ZERO).await;
    }

    /// The same, where the store has said after which time another look is worth its cost.
    pub async fn changed_after(&mut self, wait: Duration) {
        match self {
            Self::Watch(watch) => watch.changed().await,
            Self::Every(every) if wait.is_zero() => tokio::time::sleep(*every).await,
            Self::Every(_) => tokio::time::sleep(wait).await,
        }
    }
}

/// Opens flocks by name: those of this machine first, then those on AWS. Flocks on AWS stay open, so that everything
/// that works on one shares its connections and its place in the queue for them.
pub struct Opener {
    home: Home,
    known: Arc<dyn Known>,
    open: Mutex<HashMap<String, Arc<AwsFlock>>>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Opener {
    /// Of the flocks of this machine, and of those that are known on AWS.
    pub fn new(home: Home, known: Arc<dyn Known>) -> Self {
        Self { home, known, open: Mutex::new(HashMap::new()) }
    }

    /// The flocks of this machine.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Opens a flock.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be opened. Of a flock on AWS nothing is asked here; its faults show when
    /// it is worked on.
    pub async fn open(&self, name: &str) -> Result<Flock> {
        let here = if is_aws(name) { None } else { Some(flocks::find(&self.home, name)) };
        match here {
            Some(Ok(dir)) => {
                let open = tokio::task::spawn_blocking(move || LocalFlock::open(&dir)).await;
                Ok(Flock::Local(open.map_err(|_| ended())??))
            }
            Some(Err(here)) if is_not_found(&here) => match self.known.find(name).await {
                Ok(info) => Ok(Flock::Aws(self.connected(info).await)),
                // A name that several have, or no such flock anywhere.
                Err(error @ OperationError::Usage(_)) => Err(error),
                Err(error) if is_not_found(&error) => Err(here),
                Err(error) => {
                    Err(OperationError::NotFound(format!("{here}; and AWS could not be asked: {error}")))
                }
            },
            Some(Err(here)) => Err(here),
            None => Ok(Flock::Aws(self.connected(self.known.find(name).await?).await)),
        }
    }

    /// Opens a flock in order to change it.
    ///
    /// # Errors
    /// As [`Opener::open`]; also where the flock's account is read-only.
    pub async fn open_to_change(&self, name: &str) -> Result<Flock> {
        let flock = self.open(name).await?;
        flock.may_change()?;
        Ok(flock)
    }

    /// The flock with that information: the one that is open, unless something about it has changed.
    pub async fn connected(&self, info: AwsFlockInfo) -> Arc<AwsFlock> {
        let mut open = self.open.lock().await;
        if let Some(flock) = open.get(&info.name).filter(|flock| flock.info == info) {
            return Arc::clone(flock);
        }
        let (name, standing) = (info.name.clone(), self.known.standing(&info.account));
        let flock = Arc::new(Box::pin(AwsFlock::connect(info, standing)).await);
        open.insert(name, Arc::clone(&flock));
        flock
    }
}

/// Whether only a flock on AWS can have that name.
pub fn is_aws(name: &str) -> bool {
    name.contains(['@', ':', '/'])
}

fn is_not_found(error: &OperationError) -> bool {
    match error {
        OperationError::NotFound(_) => true,
        OperationError::Cloud(error) => error.kind == Kind::NotFound,
        _ => false,
    }
}

fn ended() -> OperationError {
    OperationError::Environment("opening the flock ended too early".into())
}
