//! The ports: everything the scheduler, the worker and the console ask of the outside, on one page.
//!
//! Every method may be cancelled by dropping its future and may be repeated; none retries by itself beyond what
//! its service's client does, none blocks the thread, and every list comes in pages.

mod compute;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shepard_model::{JobId, JobRow, JobSummary, ObjectRef, Refused, Transition};
pub use shepard_model::{LogLine, LogSource};

use crate::error::Result;

pub use compute::{
    ChildCounts, Compute, ComputeDetail, ComputeJob, ComputeState, ComputeTry, JobRequest, Listed,
};

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Where it is; the version is that of the object seen.
    pub object: ObjectRef,
    /// Bytes.
    pub size: u64,
    /// Last change, in milliseconds since the epoch.
    pub modified_ms: i64,
}

/// Part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// `length` bytes from `start`; fewer where the object ends earlier.
    From {
        /// First byte.
        start: u64,
        /// How many at most.
        length: u64,
    },
    /// The last `0` bytes; the whole object where it is smaller.
    Suffix(u64),
}

/// The bytes of a range and the size of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Offset of the first of them.
    pub start: u64,
    /// Size of the whole object.
    pub total: u64,
}

/// One page of a list, and where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it to get the next page; None at the end.
    pub next: Option<String>,
}

/// Buckets of objects.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Size, version and age of an object.
    async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta>;
    /// Reads a range. Honours the version where one is given: a changed object is `NotFound`.
    async fn get(&self, object: &ObjectRef, range: Range) -> Result<Part>;
    /// Copies an object to a file that must not exist, in constant memory; gives its size.
    async fn download(&self, object: &ObjectRef, to: &Path) -> Result<u64>;
    /// The same, and what a call that was interrupted has got is not lost: it stays beside `to`, under a name of its own
    /// that begins with a dot and ends with `.part`, and the next call for the same object and file goes on there.
    async fn resume(&self, object: &ObjectRef, to: &Path) -> Result<u64> {
        self.download(object, to).await
    }
    /// Copies a file to an object in constant memory. The key shows only when the object is whole.
    async fn upload(&self, from: &Path, to: &ObjectRef) -> Result<ObjectMeta>;
    /// Begins an object whose bytes are yet to come. Nothing of it shows before [`Writer::complete`].
    async fn begin(&self, to: &ObjectRef) -> Result<Box<dyn Writer>>;
    /// Writes a small object unless its key is taken. False where it is: then nothing is written, and the object that
    /// is there stays as it is. Of two writers at once one gets true.
    async fn put_new(&self, object: &ObjectRef, bytes: &[u8]) -> Result<bool>;
    /// The objects under a prefix, in key order, a page at a time.
    async fn list(&self, bucket: &str, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>>;
    /// Removes an object; no error where there is none.
    async fn delete(&self, object: &ObjectRef) -> Result<()>;
}

/// An object that comes piece by piece, in constant memory: `put` and `room` by turns, then `ready`, then `complete`.
///
/// Dropping it leaves no object, but parts of one may stay in the store until it clears them away by itself:
/// [`Writer::abort`] does that at once. An error of `room`, `ready` or `complete` loses nothing; the same call again goes
/// on where it stopped, and so does one after a call whose future was dropped.
#[async_trait]
pub trait Writer: Send {
    /// Takes the next bytes into memory. Refused (`Invalid`) once the object is ready.
    fn put(&mut self, bytes: &[u8]) -> Result<()>;
    /// Waits until more may be put in. Called after each `put` of at most a few hundred kilobytes it bounds the memory.
    async fn room(&mut self) -> Result<()>;
    /// Waits until everything is in the store, except what fits into one small request.
    async fn ready(&mut self) -> Result<()>;
    /// Gives the object its key, all of it at once; makes it ready where it is not. Again after a success, it answers as
    /// then.
    async fn complete(&mut self) -> Result<ObjectMeta>;
    /// Throws away what is in the store. After a success of `complete` there is nothing to throw away: the object stays.
    async fn abort(&mut self) -> Result<()>;
}

/// What became of a new row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It was written.
    Created,
    /// There was one already; this is it.
    Exists(Box<JobRow>),
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Made; the row as it is now.
    Changed(Box<JobRow>),
    /// Not made, for the reason given; the row as it is.
    Refused(Refused, Box<JobRow>),
    /// There is no such row.
    Missing,
}

/// A place in the table's stream of changes. `default()` is the beginning: every row there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor(pub u64);

/// How a table's changes are learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// From the store itself, which knows them in order and says when there are any.
    #[default]
    Direct,
    /// From the table's stream.
    Stream,
    /// By reading the whole table again and comparing.
    Poll {
        /// Milliseconds between two readings, as it is now: large tables and throttling make it longer.
        every_ms: u64,
    },
}

/// Rows that changed since a cursor: each at most once, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// New and changed rows.
    pub rows: Vec<JobSummary>,
    /// Rows that are gone.
    pub removed: Vec<JobId>,
    /// Where to go on.
    pub next: Cursor,
    /// More is there already.
    pub more: bool,
    /// How they were learnt.
    pub mode: Mode,
    /// Milliseconds after which another look is worth its cost; 0 where the store says itself when something changed.
    /// Without meaning where `more` is set. Who asks sooner is answered all the same.
    pub wait_ms: u64,
}

/// The job table.
#[async_trait]
pub trait Table: Send + Sync {
    /// Writes a row unless its id is there already.
    async fn put_new(&self, row: &JobRow) -> Result<Put>;
    /// Reads a row, consistently.
    async fn get(&self, id: &JobId) -> Result<Option<JobRow>>;
    /// Makes one change, atomically, by the rules of [`JobRow::apply`].
    async fn apply(&self, id: &JobId, change: &Transition) -> Result<Applied>;
    /// What changed since `cursor`, at most `limit` rows.
    async fn changes(&self, cursor: Cursor, limit: usize) -> Result<Changes>;
    /// Whole rows, a page at a time: in the order in which they were written where the store knows it, else in one of
    /// its own. A row that is written meanwhile may be missing.
    async fn scan(&self, from: Option<&str>, limit: usize) -> Result<Page<JobRow>>;
}

/// A message taken from a queue and not yet deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Names this receipt; a later delivery of the same message has another.
    pub receipt: String,
    /// The body.
    pub body: String,
    /// How many times it has been delivered, this one included.
    pub deliveries: u32,
}

/// Messages waiting, in flight, and given up on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Visible now.
    pub waiting: u64,
    /// Delivered and not yet deleted, or delayed.
    pub in_flight: u64,
    /// In the dead-letter queue.
    pub dead: u64,
}

/// How far dead letters are moved back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Redrive {
    /// Moved by now.
    pub moved: u64,
    /// Still to be moved, as far as is known.
    pub left: Option<u64>,
    /// The store moves them by itself, also when nobody asks any more.
    pub by_store: bool,
    /// There is nothing more to do.
    pub done: bool,
}

/// A queue with visibility, redelivery and dead letters. Delivers at least once.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Puts messages in, to be seen after `after_ms`: at most 15 minutes on SQS. An error may leave some of them sent.
    async fn send(&self, bodies: &[String], after_ms: i64) -> Result<()>;
    /// Takes up to `max` visible messages and hides them for `hide_ms`.
    async fn receive(&self, max: usize, hide_ms: i64) -> Result<Vec<Message>>;
    /// Deletes messages by receipt; a receipt that no longer holds is no error.
    async fn delete(&self, receipts: &[String]) -> Result<()>;
    /// Makes a message visible again after `after_ms`.
    async fn release(&self, receipt: &str, after_ms: i64) -> Result<()>;
    /// How deep it is.
    async fn depth(&self) -> Result<Depth>;
    /// Moves the dead letters back; gives how many.
    async fn redrive(&self) -> Result<u64>;
    /// The same step by step, so that progress can be shown and it can be stopped: give it `Redrive::default()`, then
    /// what it gave, until that is done. After an error the same call goes on. Of one that is not gone on with, a store
    /// that moves them by itself moves the rest all the same.
    async fn redrive_step(&self, so_far: Redrive) -> Result<Redrive> {
        let moved = so_far.moved + self.redrive().await?;
        Ok(Redrive { moved, left: Some(0), by_store: false, done: true })
    }
}

/// Lines of a stream and where to go on. An empty page is not the end: more may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Pass it to read on.
    pub next: String,
    /// More is there already.
    pub more: bool,
}

/// Where reading a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFrom {
    /// At its first line.
    Start,
    /// So many lines before its end.
    Tail(usize),
    /// At the first line written at this time or later, in milliseconds since the epoch.
    Since(i64),
    /// Where a page ended.
    Token(String),
}

/// Job logs, one stream an attempt.
#[async_trait]
pub trait Logs: Send + Sync {
    /// Adds lines to a stream, making it if need be.
    async fn append(&self, stream: &str, lines: &[LogLine]) -> Result<()>;
    /// Reads at most `limit` lines. A stream that is not there yet is an empty page.
    async fn read(&self, stream: &str, from: &LogFrom, limit: usize) -> Result<LogPage>;
}

/// The flock's secrets.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Names and contents, by name. No content may be logged; the type prints none.
    async fn read(&self) -> Result<Vec<Secret>>;
    /// Replaces all of them: what is not given is gone. All or nothing, also for whoever reads meanwhile. `Invalid`
    /// for a name that no file can have and for one that comes twice.
    async fn write(&self, secrets: &[Secret]) -> Result<Written>;
}

/// What a flock's secrets were replaced by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where they are kept: an ARN, a folder.
    pub store: String,
    /// The version that they are now, as the store names it. It says nothing of their contents.
    pub version: String,
}

/// One secret. Its `Debug` shows the name alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// File name in the payload's secrets folder.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The time, as a port, so that a simulator can own it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> i64;
    /// Waits.
    async fn sleep_ms(&self, duration_ms: u64);
}

/// The clock on the wall.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

#[async_trait]
impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    async fn sleep_ms(&self, duration_ms: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(duration_ms)).await;
    }
}

/// The names of a flock's four buckets, by what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    /// Uploads.
    pub inputs: String,
    /// Results.
    pub outputs: String,
    /// Code for quick deploy.
    pub quick_deploy: String,
    /// Logs and partial outputs of failed jobs.
    pub errors: String,
}

/// One flock's ports, ready to be handed to the scheduler, the worker or the console.
#[derive(Clone)]
pub struct Ports {
    /// Its buckets' names.
    pub buckets: Buckets,
    /// Objects.
    pub objects: Arc<dyn Objects>,
    /// Job table.
    pub table: Arc<dyn Table>,
    /// Queue of uploads.
    pub queue: Arc<dyn Queue>,
    /// Compute.
    pub compute: Arc<dyn Compute>,
    /// Logs.
    pub logs: Arc<dyn Logs>,
    /// Secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Clock.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("buckets", &self.buckets).finish_non_exhaustive()
    }
}
