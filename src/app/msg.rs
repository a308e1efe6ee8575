//! Everything that can happen to the console, as data. `Msg` serialises, so that a session can be recorded and
//! replayed; nothing in it is a credential or the value of a secret.

use serde::{Deserialize, Serialize};
use shepard_model::{Isolation, JobId, JobRow, JobSummary, LogLine};

use super::account::{Choices, IdentityNews};
use super::aws::{AwsFlocks, ComputeNote, Following, OnAws};
use super::deploy::{Fact, ReleaseRow, Source};
use super::effect::{OpId, Sub};
use super::key::Key;
use super::profiles::Profiles;
use super::remote::Problem;
use super::stack::{StackAnswer, StackNews};
use super::store::ViewResult;

/// A thing that happened.
#[derive(Debug, Serialize, Deserialize)]
pub enum Msg {
    /// The time, in milliseconds since the epoch. Comes before whatever happened at that time.
    Now(i64),
    /// A key.
    Key(Key),
    /// Text pasted in one piece.
    Paste(String),
    /// The mouse, where it is switched on.
    Mouse(Mouse),
    /// The terminal has this size now.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// The process is asked to end (SIGTERM, SIGHUP) or the terminal is gone.
    Terminate,
    /// The flocks there are.
    Flocks(Vec<FlockRow>),
    /// The flocks on AWS.
    AwsFlocks(AwsFlocks),
    /// How deep the queue of a flock on AWS is.
    Depth {
        /// Which flock.
        flock: String,
        /// Messages waiting or in flight.
        waiting: u64,
        /// Messages given up on.
        dead: u64,
    },
    /// What Batch says of jobs of a flock.
    Compute {
        /// Which flock.
        flock: String,
        /// They.
        jobs: Vec<(JobId, ComputeNote)>,
    },
    /// Who one is to AWS.
    Identity(IdentityNews),
    /// Jobs of a flock changed.
    Jobs(JobsChange),
    /// A log went on.
    Log(LogChange),
    /// Something of a stack is known now.
    Stack(StackNews),
    /// A feed failed; it goes on trying by itself.
    FeedFailed(Sub, Problem),
    /// A sort or filter is done. Never recorded: a replay does the work again.
    #[serde(skip)]
    Arranged(String, ViewResult),
    /// An answer to a [`super::effect::Request`].
    Loaded(Loaded),
    /// A command goes on.
    Progress {
        /// Which.
        op: OpId,
        /// Steps done.
        done: u64,
        /// Steps in all; 0 while that is not known.
        total: u64,
        /// What it is at.
        note: String,
        /// The part of it that runs, where it has several: `2/5 pushing the payload`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        part: String,
        /// Steps are bytes.
        #[serde(default)]
        bytes: bool,
    },
    /// A command ended.
    Finished {
        /// Which.
        op: OpId,
        /// A sentence saying what was done, or what went wrong.
        result: Result<Done, Problem>,
    },
    /// Something a person should read, from outside the core: a theme file with a mistake, say.
    Notice {
        /// True for a mistake.
        problem: bool,
        /// The sentence.
        text: String,
    },
}

/// The mouse did something at a cell, counted from the top left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mouse {
    /// Column.
    pub x: u16,
    /// Row.
    pub y: u16,
    /// What.
    pub kind: MouseKind,
}

/// What the mouse did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MouseKind {
    /// Left button pressed.
    Press,
    /// Wheel towards the user.
    ScrollDown,
    /// Wheel away from the user.
    ScrollUp,
}

/// One flock in the list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlockRow {
    /// Its name.
    pub name: String,
    /// Its supervisor runs.
    pub running: bool,
    /// The supervisor's process id.
    pub pid: Option<u32>,
    /// Jobs by state, in the order of `State::ALL`.
    pub counts: [u64; 7],
    /// Messages waiting in its queue.
    pub waiting: u64,
    /// Messages given up on.
    pub dead: u64,
    /// Jobs it runs at once.
    pub max_jobs: u32,
    /// What its jobs run: a command, or the quick-deploy folder; empty where that is the image's own program.
    pub payload: String,
    /// Image of the containers that its jobs run in; None where they are processes of this machine.
    #[serde(default)]
    pub image: Option<String>,
    /// What those containers are granted.
    #[serde(default)]
    pub isolation: Isolation,
    /// Its folders and files, by what they are for.
    pub places: Vec<(String, String)>,
    /// An upload lies in its inputs folder that nobody has taken up, and nobody looks after the flock.
    #[serde(default)]
    pub unseen: bool,
    /// Why it cannot be read, if it cannot.
    pub problem: Option<String>,
    /// What is said of one on AWS; None for a flock of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<Box<OnAws>>,
}

/// What changed in a flock's jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsChange {
    /// Which flock.
    pub flock: String,
    /// New and changed rows.
    pub rows: Vec<JobSummary>,
    /// Rows that are gone.
    pub removed: Vec<JobId>,
    /// Where the feed goes on, should it be started again.
    pub next: u64,
    /// Everything there is has been seen.
    pub caught_up: bool,
    /// How they are followed.
    #[serde(default)]
    pub following: Following,
}

/// What was added to a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogChange {
    /// Which stream.
    pub stream: String,
    /// The feed has just begun: these lines come instead of those before, not after them.
    pub first: bool,
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Lines left out before these because they came faster than they could be shown.
    pub dropped: u64,
    /// The end of what there is has been reached.
    pub caught_up: bool,
}

/// An answer to a request.
#[derive(Debug, Serialize, Deserialize)]
pub enum Loaded {
    /// One job's row; None where it is gone.
    Job {
        /// Its flock.
        flock: String,
        /// Its id.
        id: JobId,
        /// The row.
        row: Result<Option<Box<JobRow>>, Problem>,
    },
    /// The newest entries of the journal, newest first.
    Journal(Result<Vec<JournalRow>, Problem>),
    /// The profiles and regions there are.
    Accounts(Result<Choices, Problem>),
    /// What would be batched.
    Preflight {
        /// The path asked about.
        path: String,
        /// The findings.
        report: Result<Preflight, Problem>,
    },
    /// A flock's secrets by name, or what would become of them.
    Secrets(SecretsAnswer),
    /// Ways to go on with a path.
    Paths {
        /// The text asked about.
        text: String,
        /// Whole paths, folders with a `/` at the end.
        candidates: Vec<String>,
    },
    /// What can be said of a deploy beforehand.
    Outlook {
        /// What was asked about.
        source: Source,
        /// The findings, in the order in which they are shown.
        facts: Vec<Fact>,
    },
    /// The releases of a flock or of a repository, newest first.
    Releases {
        /// The flock.
        flock: String,
        /// The repository asked about, if it was one.
        repository: Option<String>,
        /// They.
        releases: Result<Vec<ReleaseRow>, Problem>,
    },
    /// The profiles of the old command.
    Profiles(Result<Profiles, Problem>),
    /// About stacks.
    Stack(StackAnswer),
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalRow {
    /// When.
    pub at_ms: i64,
    /// Who, on which machine.
    pub who: String,
    /// What was done.
    pub action: String,
    /// To which flock.
    pub flock: String,
    /// To what in it.
    pub target: String,
    /// The command line that does the same.
    pub command: String,
    /// How it ended.
    pub result: String,
}

/// What a batch would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Preflight {
    /// The jobs.
    pub jobs: Vec<PreflightJob>,
    /// Bytes in all, before compression.
    pub bytes: u64,
    /// Things that are odd and harmless: a stray file, two folders with the same content.
    pub warnings: Vec<String>,
}

/// What is known of a flock's secrets, and what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsAnswer {
    /// The flock asked about.
    pub flock: String,
    /// The folder asked about; empty for none.
    pub path: String,
    /// What is not in the folder is kept.
    pub merge: bool,
    /// The findings.
    pub report: Result<SecretsReport, Problem>,
}

/// A flock's secrets, by name: never a content, nor the size of one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecretsReport {
    /// What would become of each name; without a folder each is unchanged. None where they cannot be read.
    pub diff: Option<SecretsDiff>,
    /// Why they cannot be read.
    pub unknown: Option<String>,
    /// The names that would be there, where nothing can be compared.
    pub names: Vec<String>,
    /// What is in the folder and no secret.
    pub skipped: Vec<String>,
    /// Files in the folder; 0 without one.
    pub asked: usize,
}

/// What would become of names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecretsDiff {
    /// New.
    pub added: Vec<String>,
    /// With another content.
    pub changed: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
    /// As they are.
    pub unchanged: Vec<String>,
}

/// One job that a batch would make, or why it cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightJob {
    /// Folder or zip.
    pub name: String,
    /// Files in it.
    pub files: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Variables in its `inputs.txt`.
    pub variables: usize,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// A sentence: what was done to how many.
    pub text: String,
    /// Targets for which it did not work, and why.
    pub failed: Vec<(String, String)>,
    /// A file or folder that was made, worth showing and copying.
    pub path: Option<String>,
}
