//! The port to where jobs run.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shepard_model::Shape;

use super::Page;
use crate::error::{CloudError, Kind, Result};

/// A job as the compute takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    /// Names the submission: the job id, and its run where that is not the first. Submitting a name twice makes
    /// two jobs on AWS, so the scheduler looks it up first where it may have been submitted before.
    pub name: String,
    /// Environment overrides, as the original's: names in `shepard_model::names::worker_env`.
    pub environment: Vec<(String, String)>,
    /// What it asks for beyond its definition.
    pub shape: Shape,
    /// 1 for a plain job; from 2 the children of an array job, which find out by their index what to do.
    pub children: u32,
}

/// Where the compute says a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputeState {
    /// Waiting for a place.
    Runnable,
    /// Being started.
    Starting,
    /// Running.
    Running,
    /// Ended with exit code 0.
    Succeeded,
    /// Ended otherwise.
    Failed,
}

/// What the compute knows of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeJob {
    /// The compute's id.
    pub id: String,
    /// The name it was submitted under.
    pub name: String,
    /// Where it stands.
    pub state: ComputeState,
    /// The compute's own reason.
    pub reason: Option<String>,
    /// Attempts begun.
    pub attempts: u32,
    /// What else the compute knows.
    pub detail: ComputeDetail,
}

/// What a compute may know of a job beyond where it stands. What it does not know is None or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComputeDetail {
    /// The children of an array, counted; None where it is none.
    pub children: Option<ChildCounts>,
    /// A child's place in its array, from 0.
    pub index: Option<u32>,
    /// When it was submitted, in milliseconds since the epoch.
    pub created_ms: Option<i64>,
    /// When its last attempt began to run.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// The attempts that the compute still knows, oldest first; the one that runs is the last of them.
    pub tries: Vec<ComputeTry>,
    /// It was cancelled or terminated by somebody.
    pub stopped: bool,
}

/// One attempt, as the compute saw it from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComputeTry {
    /// When it began to run, in milliseconds since the epoch.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// The container's exit code.
    pub exit_code: Option<i32>,
    /// Why it ended, in the words of the container's engine or of the compute: `OutOfMemoryError: …`, `Host EC2 …`.
    pub reason: Option<String>,
    /// Where its log is, as [`Logs::read`](crate::ports::Logs::read) takes it.
    pub log_stream: Option<String>,
}

/// How many children of an array stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChildCounts {
    /// All of them.
    pub size: u32,
    /// Submitted or waiting for what they depend on.
    pub pending: u32,
    /// Waiting for a place.
    pub runnable: u32,
    /// Being started.
    pub starting: u32,
    /// Running.
    pub running: u32,
    /// Ended with exit code 0.
    pub succeeded: u32,
    /// Ended otherwise.
    pub failed: u32,
}

/// Which jobs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed<'a> {
    /// Those of the flock's queue; of an array the array alone.
    Queue,
    /// The children of an array, by its id.
    Children(&'a str),
}

/// Where jobs run.
#[async_trait]
pub trait Compute: Send + Sync {
    /// Takes a job; gives the compute's id.
    async fn submit(&self, job: &JobRequest) -> Result<String>;
    /// The jobs submitted under a name, newest first.
    async fn find(&self, name: &str) -> Result<Vec<ComputeJob>>;
    /// What is known of these jobs; ones it has forgotten are absent.
    async fn describe(&self, ids: &[String]) -> Result<Vec<ComputeJob>>;
    /// Stops a job wherever it is; no error where it has ended.
    async fn terminate(&self, id: &str, reason: &str) -> Result<()>;
    /// Stops a job that has not begun; one that has goes on. No error where it has ended.
    async fn cancel(&self, id: &str, reason: &str) -> Result<()> {
        let _ = (id, reason);
        Err(cannot("cancel the job"))
    }
    /// The jobs that stand somewhere, a page at a time, in the compute's order. Their attempts, exit codes and logs
    /// may be missing: [`Compute::describe`] has them.
    async fn list(
        &self,
        which: Listed<'_>,
        state: ComputeState,
        from: Option<&str>,
    ) -> Result<Page<ComputeJob>> {
        let _ = (which, state, from);
        Err(cannot("list the jobs"))
    }
    /// Ids of the jobs that are next, in order; at most some hundred of them.
    async fn front(&self) -> Result<Vec<String>> {
        Err(cannot("look at the front of the queue"))
    }
}

/// What a compute that has no such thing answers.
fn cannot(operation: &'static str) -> CloudError {
    CloudError::new(operation, "", Kind::Invalid).because("this compute cannot do it")
}
