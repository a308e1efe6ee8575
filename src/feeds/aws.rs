//! What is learnt of flocks on AWS in the background: which there are, how deep a queue is, and what Batch says of jobs.
//!
//! All of it costs calls, so each feed asks only for what is looked at and no oftener than a person reads: the list of
//! stacks twice a minute, the queue of one flock, the jobs in sight. No table is read for the list.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use shepard_cloud::ports::{ChildCounts, ComputeJob, ComputeState, ComputeTry};
use shepard_cloud::{CloudError, Ports};
use shepard_model::{AwsFlockInfo, JobId};

use super::pump::Source;
use crate::app::Msg;
use crate::app::aws::{AccountProblem, AwsFlocks, ComputeNote, OnAws};
use crate::app::msg::FlockRow;
use crate::operations::discovery::{Found, Register};

/// How often the stacks of all accounts are listed.
const STACKS: Duration = Duration::from_secs(30);
/// How often a queue is asked how deep it is.
const DEPTH: Duration = Duration::from_secs(10);
/// How often Batch is asked for the jobs in sight.
const JOBS: Duration = Duration::from_secs(10);
/// How long a sight rests before Batch is asked: scrolling through costs nothing.
const REST: Duration = Duration::from_millis(500);

/// Lists the flocks on AWS.
#[derive(Debug)]
pub struct Stacks {
    register: Register,
    asked: bool,
    last: Option<AwsFlocks>,
}

impl Stacks {
    /// Of the accounts that a register knows.
    pub fn new(register: Register) -> Self {
        Self { register, asked: false, last: None }
    }
}

#[async_trait]
impl Source for Stacks {
    async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
        if self.register.is_silent() {
            let first = !std::mem::replace(&mut self.asked, true);
            return Ok(first.then(|| Msg::AwsFlocks(AwsFlocks::default())));
        }
        if !std::mem::replace(&mut self.asked, true) {
            // What is there of this machine is shown meanwhile.
            return Ok(Some(Msg::AwsFlocks(AwsFlocks { asking: true, ..AwsFlocks::default() })));
        }
        let mut flocks = AwsFlocks::default();
        for found in self.register.flocks().await {
            match found {
                Found::Flock(info) => flocks.flocks.push(row(&self.register, &info)),
                Found::Failed { account, error } => {
                    let problem = super::problem(&error);
                    flocks.failed.push(AccountProblem { place: account.label(), problem });
                }
            }
        }
        // What was known of an account that cannot be asked now stays.
        let before = self.last.take().unwrap_or_default().flocks;
        let of_failed = |row: &FlockRow| {
            let place = row.aws.as_ref().map(|aws| aws.place.as_str()).unwrap_or_default();
            flocks.failed.iter().any(|failed| failed.place == place)
                && !flocks.flocks.iter().any(|known| known.name == row.name)
        };
        let kept: Vec<FlockRow> = before.into_iter().filter(of_failed).collect();
        flocks.flocks.extend(kept);
        self.last = Some(flocks.clone());
        Ok(Some(Msg::AwsFlocks(flocks)))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(STACKS).await;
    }

    fn has_more(&self) -> bool {
        self.last.is_none() && !self.register.is_silent()
    }

    fn pause(&self) -> Duration {
        STACKS
    }
}

/// A flock as a line of the list.
fn row(register: &Register, info: &AwsFlockInfo) -> FlockRow {
    let standing = register.standing(&info.account);
    let s3 = |name: &Option<String>| name.as_ref().map(|name| format!("s3://{name}"));
    let places = [
        ("stack", info.stack.clone()),
        ("status", info.status.clone()),
        ("inputs", s3(&info.inputs)),
        ("outputs", s3(&info.outputs)),
        ("errors", s3(&info.errors)),
        ("quick-deploy", s3(&info.quick_deploy)),
        ("table", info.table.clone()),
        ("queue", info.queue.clone()),
        ("dead letters", info.dead_letters.clone()),
        ("job queue", info.job_queue.clone()),
        ("job definition", info.job_definition.clone()),
        ("compute", info.compute_environment.clone()),
        ("secret", info.secret.clone()),
        ("repository", info.repository.clone()),
        ("worker logs", info.worker_logs.clone()),
        ("endpoint", info.endpoint.clone()),
    ];
    let places = places.into_iter().filter_map(|(what, place)| Some((what.to_owned(), place?)));
    FlockRow {
        name: info.name.clone(),
        // Nobody has to be started for it.
        running: true,
        image: info.repository.as_ref().map(|repository| {
            let name = repository.rsplit_once('/').map_or(repository.as_str(), |(_, name)| name);
            format!("{name}:latest")
        }),
        places: places.collect(),
        aws: Some(Box::new(OnAws {
            place: info.account.label(),
            status: info.status.clone(),
            colour: standing.colour,
            read_only: standing.read_only,
            has_queue: info.queue.is_some(),
            ..OnAws::default()
        })),
        ..FlockRow::default()
    }
}

/// Asks a queue how deep it is.
#[derive(Debug)]
pub struct Depth {
    flock: String,
    ports: Ports,
    last: Option<(u64, u64)>,
}

impl Depth {
    /// Of a flock.
    pub fn new(flock: String, ports: Ports) -> Self {
        Self { flock, ports, last: None }
    }
}

#[async_trait]
impl Source for Depth {
    async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
        let depth = self.ports.queue.depth().await?;
        let now = (depth.waiting + depth.in_flight, depth.dead);
        let news = self.last.replace(now) != Some(now);
        let (waiting, dead) = now;
        Ok(news.then(|| Msg::Depth { flock: self.flock.clone(), waiting, dead }))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(DEPTH).await;
    }

    fn pause(&self) -> Duration {
        DEPTH
    }
}

/// Asks Batch for the jobs in sight, a hundred in a call.
#[derive(Debug)]
pub struct InSight {
    flock: String,
    ports: Ports,
    ids: Vec<JobId>,
    /// What the rows say Batch calls them: the job, or the array that it is a child of.
    known: HashMap<JobId, String>,
    begun: bool,
    last: Vec<(JobId, ComputeNote)>,
}

impl InSight {
    /// Of these jobs.
    pub fn new(flock: String, ports: Ports, ids: Vec<JobId>) -> Self {
        Self { flock, ports, ids, known: HashMap::new(), begun: false, last: Vec::new() }
    }

    /// Looks up what Batch calls the jobs that it is not known of.
    async fn look_up(&mut self) -> Result<(), CloudError> {
        let unknown: Vec<JobId> =
            self.ids.iter().filter(|id| !self.known.contains_key(*id)).cloned().collect();
        for id in unknown {
            let Some(row) = self.ports.table.get(&id).await? else { continue };
            if let Some(compute) = row.compute_id {
                self.known.insert(id, compute);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Source for InSight {
    async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
        if !std::mem::replace(&mut self.begun, true) {
            tokio::time::sleep(REST).await;
        }
        self.look_up().await?;
        let mut wanted: Vec<String> = self.known.values().cloned().collect();
        wanted.sort();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(None);
        }
        let said = self.ports.compute.describe(&wanted).await?;
        let said: HashMap<&str, &ComputeJob> = said.iter().map(|job| (job.id.as_str(), job)).collect();
        let note = |id: &JobId| Some((id.clone(), note(said.get(self.known.get(id)?.as_str())?)));
        let jobs: Vec<(JobId, ComputeNote)> = self.ids.iter().filter_map(note).collect();
        if jobs == self.last {
            return Ok(None);
        }
        self.last.clone_from(&jobs);
        Ok(Some(Msg::Compute { flock: self.flock.clone(), jobs }))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(JOBS).await;
    }

    fn pause(&self) -> Duration {
        JOBS
    }
}

fn note(job: &ComputeJob) -> ComputeNote {
    let state = match (&job.detail.children, job.state) {
        (Some(children), _) => counted(children),
        (None, ComputeState::Runnable) => "runnable".to_owned(),
        (None, ComputeState::Starting) => "starting".to_owned(),
        (None, ComputeState::Running) => "running".to_owned(),
        (None, ComputeState::Succeeded) => "succeeded".to_owned(),
        (None, ComputeState::Failed) => "failed".to_owned(),
    };
    ComputeNote {
        state,
        reason: job.reason.clone(),
        attempts: job.attempts,
        tries: job.detail.tries.iter().map(tried).collect(),
        id: job.id.clone(),
    }
}

/// How the children of an array stand, those of whom there are any.
fn counted(children: &ChildCounts) -> String {
    let parts = [
        (children.pending, "pending"),
        (children.runnable, "runnable"),
        (children.starting, "starting"),
        (children.running, "running"),
        (children.succeeded, "succeeded"),
        (children.failed, "failed"),
    ];
    let some: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("array of {}: {}", children.size, some.join(", "))
}

fn tried(attempt: &ComputeTry) -> String {
    let at = |ms: Option<i64>| {
        let at = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        at.map_or_else(|| "-".to_owned(), |at| at.strftime("%H:%M:%S").to_string())
    };
    let mut said = format!("{} to {}", at(attempt.started_ms), at(attempt.ended_ms));
    if let Some(code) = attempt.exit_code {
        said.push_str(&format!(", exit {code}"));
    }
    if let Some(reason) = &attempt.reason {
        said.push_str(&format!(", {reason}"));
    }
    said
}
