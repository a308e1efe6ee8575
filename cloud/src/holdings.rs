//! The port to what a flock's stack holds, and to emptying it: objects with all their versions, images, jobs, messages.
//!
//! As [`crate::ports`]: every method may be dropped and repeated. What is counted is counted a page at a time, because
//! a bucket may hold millions. Whoever removes anything has asked before; nothing here asks.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ports::Page;

/// A version of an object, or the marker that hides one that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Key.
    pub key: String,
    /// Version; `null` where the bucket kept none.
    pub id: String,
    /// Bytes; 0 for a marker.
    pub size: u64,
    /// It is what the key shows now.
    pub latest: bool,
    /// It is a delete marker.
    pub marker: bool,
}

/// An upload in parts that was begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Key.
    pub key: String,
    /// Its id.
    pub id: String,
}

/// How many messages a queue has, about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Messages {
    /// May be received.
    pub waiting: u64,
    /// With a receiver.
    pub in_flight: u64,
    /// Sent with a delay that is not over.
    pub delayed: u64,
}

impl Messages {
    /// All of them.
    pub fn total(self) -> u64 {
        self.waiting + self.in_flight + self.delayed
    }
}

/// A job of Batch that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveJob {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// `RUNNABLE`.
    pub status: String,
    /// Jobs in it: 1, or the size of an array.
    pub jobs: u64,
}

/// The states of jobs that have not ended, as [`Holdings::jobs`] takes them.
pub const LIVE: [&str; 5] = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"];

/// What the resources of a stack hold. Names are physical ids, as the stack's resources have them.
#[async_trait]
pub trait Holdings: Send + Sync {
    /// Versions and delete markers of a bucket, a page at a time.
    async fn versions(&self, bucket: &str, from: Option<&str>) -> Result<Page<Version>>;
    /// Removes at most 1,000 of them.
    async fn remove_versions(&self, bucket: &str, versions: &[Version]) -> Result<()>;
    /// Uploads that were not ended, a page at a time.
    async fn unfinished(&self, bucket: &str, from: Option<&str>) -> Result<Page<Unfinished>>;
    /// Throws one away; no error where there is none.
    async fn abort(&self, bucket: &str, upload: &Unfinished) -> Result<()>;

    /// Digests of a repository's images, a page at a time.
    async fn images(&self, repository: &str, from: Option<&str>) -> Result<Page<String>>;
    /// Removes at most 100 of them, tags and all.
    async fn remove_images(&self, repository: &str, digests: &[String]) -> Result<()>;

    /// How many messages a queue has, by its URL.
    async fn messages(&self, queue: &str) -> Result<Messages>;
    /// How many rows a table has. The service counts them every six hours.
    async fn rows(&self, table: &str) -> Result<u64>;

    /// Jobs of a job queue in one of the states of [`LIVE`], a page at a time.
    async fn jobs(&self, queue: &str, status: &str, from: Option<&str>) -> Result<Page<LiveJob>>;
    /// Makes a job queue take no more jobs; no error where there is none.
    async fn close_queue(&self, queue: &str) -> Result<()>;
    /// Ends a job, whether it runs or waits; no error where it has ended.
    async fn end_job(&self, id: &str, reason: &str) -> Result<()>;
    /// Stops the mapping of a queue to a function, by its id; no error where there is none. True once it has stopped.
    async fn stop_mapping(&self, id: &str) -> Result<bool>;

    /// Removes something by itself, once no stack has it any more, with everything in it but the objects of a bucket:
    /// a bucket, a table, a repository, a secret or a log group, by its kind of CloudFormation. No error where there is
    /// none. `Invalid` for any other kind.
    async fn remove(&self, kind: &str, name: &str) -> Result<()>;
}

/// Kinds that [`Holdings::remove`] can remove.
pub const REMOVABLE: [&str; 5] = [
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::ECR::Repository",
    "AWS::SecretsManager::Secret",
    "AWS::Logs::LogGroup",
];
