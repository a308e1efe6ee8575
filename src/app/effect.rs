//! Everything the core asks of the outside, as data. The shell carries effects out; the core never waits.

use std::fmt;

use serde::{Deserialize, Serialize};
use shepard_model::{Account, JobId, MfaCode};

use super::deploy::{Source, Wish};
use super::msg::SecretsDiff;
use super::profiles::ProfileCommand;
use super::stack::{StackCommand, StackRequest, StackSub};
use super::store::ViewJob;

/// Names one running command.
pub type OpId = u64;

/// Something to be done outside.
#[must_use]
#[derive(Debug)]
pub enum Effect {
    /// End the program, once the terminal is restored.
    Quit,
    /// Go to the background.
    Suspend,
    /// Draw the whole screen anew.
    Redraw,
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Copy to the clipboard, through the terminal.
    Copy(String),
    /// Change the theme; the shell says what it did in a notice.
    Theme(String),
    /// Read something once.
    Load(Request),
    /// Do something that a person asked for.
    Run(OpId, Command),
    /// Stop doing it.
    Abandon(OpId),
    /// Sort and filter away from the loop. Latest wins, per flock: an older one is dropped when it is done.
    Arrange(String, ViewJob),
}

/// A stream of news that the model wants. What it wants is a function of the model; the shell starts and stops
/// feeds as that changes, so that leaving a screen is enough to end what it listened to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sub {
    /// The list of flocks with their counts.
    Flocks,
    /// The flocks on AWS.
    AwsFlocks {
        /// An account that was picked, beside those of the configuration.
        picked: Option<Account>,
        /// Counted up to ask again at once.
        again: u32,
    },
    /// How deep the queue of a flock on AWS is.
    Depth {
        /// Which flock.
        flock: String,
    },
    /// What Batch says of jobs.
    Compute {
        /// Which flock.
        flock: String,
        /// Which jobs: those in sight.
        jobs: Vec<JobId>,
    },
    /// The jobs of a flock.
    Jobs {
        /// Which flock.
        flock: String,
    },
    /// Who one is to AWS, and until when.
    Identity {
        /// In which account.
        account: Account,
        /// Counted up to ask again at once.
        again: u32,
    },
    /// The log of one attempt.
    Log {
        /// Which flock.
        flock: String,
        /// Which stream.
        stream: String,
        /// How much of what is there already; None is all of it.
        minutes: Option<u32>,
        /// Counted up to read the same stream anew.
        again: u32,
    },
    /// A stack.
    Stack(StackSub),
}

/// Something to be read once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// One job's row.
    Job {
        /// Its flock.
        flock: String,
        /// Its id.
        id: JobId,
    },
    /// The profiles and regions there are.
    Accounts,
    /// The newest entries of the journal.
    Journal,
    /// The profiles of the old command.
    Profiles,
    /// What a folder would become.
    Preflight {
        /// The flock it would go to.
        flock: String,
        /// The folder.
        path: String,
    },
    /// The names of a flock's secrets, and what would become of them by a folder.
    Secrets {
        /// Which flock.
        flock: String,
        /// The folder, as typed; empty asks for the names alone.
        path: String,
        /// What is not in the folder is kept.
        merge: bool,
    },
    /// Ways to go on with a path.
    Paths {
        /// What is typed.
        text: String,
    },
    /// What can be said of a deploy before anything is built: the folder or the image, and the engine.
    Outlook(Source),
    /// The releases there are.
    Releases {
        /// Of which flock.
        flock: String,
        /// Of this repository instead of the flock's own.
        repository: Option<String>,
    },
    /// About stacks.
    Stack(StackRequest),
}

/// What happens when a request comes while one like it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The one under way is dropped. Only for what a newer keystroke makes worthless.
    LatestWins,
    /// The one under way ends, and one more follows. With latest-wins alone, requests that come faster than
    /// answers would mean that no answer is ever shown.
    SingleFlight,
}

impl Request {
    /// Its policy, and the name of the place in which only one of its kind runs.
    pub fn policy(&self) -> (Policy, String) {
        match self {
            Self::Job { flock, id } => (Policy::SingleFlight, format!("job {flock} {id}")),
            Self::Accounts => (Policy::SingleFlight, "accounts".to_owned()),
            Self::Journal => (Policy::SingleFlight, "journal".to_owned()),
            Self::Profiles => (Policy::SingleFlight, "profiles".to_owned()),
            Self::Preflight { .. } => (Policy::LatestWins, "preflight".to_owned()),
            Self::Secrets { .. } => (Policy::LatestWins, "secrets".to_owned()),
            Self::Paths { .. } => (Policy::LatestWins, "paths".to_owned()),
            Self::Outlook(_) => (Policy::LatestWins, "outlook".to_owned()),
            Self::Releases { flock, repository } => {
                let of = repository.as_deref().unwrap_or_default();
                (Policy::SingleFlight, format!("releases {flock} {of}"))
            }
            Self::Stack(request) => request.policy(),
        }
    }
}

/// Something a person asked for. Each runs once, reports progress, and ends in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Batch a folder.
    Batch {
        /// Into which flock.
        flock: String,
        /// The folder, or a zip.
        path: String,
        /// Tag, if any.
        tag: Option<String>,
    },
    /// Stop jobs.
    Terminate {
        /// Of which flock.
        flock: String,
        /// Which.
        ids: Vec<JobId>,
    },
    /// Run jobs again.
    Retry {
        /// Of which flock.
        flock: String,
        /// Which.
        ids: Vec<JobId>,
    },
    /// Fetch results.
    Retrieve {
        /// Of which flock.
        flock: String,
        /// Of which jobs; empty is all of them.
        ids: Vec<JobId>,
        /// Into which folder.
        to: String,
    },
    /// Save a log.
    SaveLog {
        /// Of which flock.
        flock: String,
        /// Which stream.
        stream: String,
        /// To which file.
        to: String,
    },
    /// Create a flock on this machine.
    CreateFlock {
        /// Its name.
        name: String,
        /// A command, as typed.
        command: Option<String>,
        /// Or a folder with a `run.sh`.
        quick_deploy: Option<String>,
        /// Image of the containers that jobs run in; None is processes of this machine.
        image: Option<String>,
        /// Jobs at once; None is as many as there are cores.
        max_jobs: Option<u32>,
    },
    /// Deploy a folder or an image.
    Deploy(Wish),
    /// Go back, or on, to a release.
    RollBack {
        /// Of which flock.
        flock: String,
        /// In this repository instead of the flock's own.
        repository: Option<String>,
        /// Its name.
        release: String,
    },
    /// Start its supervisor.
    StartFlock {
        /// Which.
        flock: String,
    },
    /// Stop its supervisor.
    StopFlock {
        /// Which.
        flock: String,
    },
    /// Replace a flock's secrets by the files of a folder.
    PushSecrets {
        /// Which flock.
        flock: String,
        /// The folder.
        path: String,
        /// What is not in the folder is kept.
        merge: bool,
        /// What the person saw would become of each name; None where nothing could be compared.
        seen: Option<Box<SecretsDiff>>,
    },
    /// Put a folder with a `run.sh` into its quick-deploy bucket.
    QuickDeploy {
        /// Of which flock.
        flock: String,
        /// The folder.
        path: String,
    },
    /// Make jobs without an upload.
    BatchApi {
        /// Of which flock.
        flock: String,
        /// What was typed: JSON, or a file that holds it.
        typed: Variables,
    },
    /// Move its dead letters back into its queue.
    Redrive {
        /// Of which flock.
        flock: String,
    },
    /// Renew the session with AWS.
    Renew {
        /// Of which account.
        account: Account,
        /// The code, where one is needed. Shown nowhere.
        code: Option<MfaCode>,
    },
    /// Remove it with everything in it.
    RemoveFlock {
        /// Which.
        flock: String,
    },
    /// About a profile of the old command.
    Profile(ProfileCommand),
    /// About a stack.
    Stack(StackCommand),
}

/// Variables of jobs, which are nobody's to repeat.
#[derive(Clone, PartialEq, Eq)]
pub struct Variables(pub String);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(…)")
    }
}

impl Command {
    /// What is being done, for the header and the journal: `batch into demo`.
    pub fn title(&self) -> String {
        let some = |ids: &[JobId]| match ids {
            [one] => format!("job {}", &one.as_str()[..one.as_str().len().min(8)]),
            many => format!("{} jobs", many.len()),
        };
        match self {
            Self::Batch { flock, path, .. } => format!("batch {path} into {flock}"),
            Self::Terminate { ids, .. } => format!("terminate {}", some(ids)),
            Self::Retry { ids, .. } => format!("retry {}", some(ids)),
            Self::Retrieve { ids, to, .. } if ids.is_empty() => format!("fetch all results to {to}"),
            Self::Retrieve { ids, to, .. } => format!("fetch the results of {} to {to}", some(ids)),
            Self::SaveLog { to, .. } => format!("save the log to {to}"),
            Self::CreateFlock { name, .. } => format!("create the flock {name}"),
            Self::Deploy(wish) => {
                let to = wish.repository.as_deref().unwrap_or(&wish.flock);
                format!("deploy {} to {to}", wish.source.text())
            }
            Self::RollBack { flock, repository, release } => {
                format!("roll {} back to {release}", repository.as_deref().unwrap_or(flock))
            }
            Self::StartFlock { flock } => format!("start {flock}"),
            Self::StopFlock { flock } => format!("stop {flock}"),
            Self::PushSecrets { flock, path, .. } => format!("push the secrets of {path} to {flock}"),
            Self::QuickDeploy { flock, path } => format!("put {path} where the jobs of {flock} find it"),
            Self::BatchApi { flock, .. } => format!("make jobs of {flock}"),
            Self::Redrive { flock } => format!("move the dead letters of {flock} back"),
            Self::Renew { .. } => "renew the session".to_owned(),
            Self::RemoveFlock { flock } => format!("remove {flock}"),
            Self::Profile(command) => command.title(),
            Self::Stack(command) => command.title(),
        }
    }
}
