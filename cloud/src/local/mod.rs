//! A flock on this machine: SQLite and plain folders.
//!
//! | module | holds |
//! |---|---|
//! | [`home`] | folders, settings, names |
//! | `database` | the SQLite file and how many processes share it |
//! | `table`, `queue`, `compute` | the ports that lie in it |
//! | `inbox` | which inputs the queue was told of |
//! | [`objects`], [`logs`], [`secrets`] | the ports that are plain files |
//! | [`watch`] | waiting until anything of it changes |
//!
//! Any number of processes may open the same flock at once. Nothing here starts a process or runs a job, and
//! nothing outlives what opened it.

mod compute;
mod database;
pub mod home;
mod inbox;
pub mod logs;
pub mod objects;
mod queue;
pub mod secrets;
mod table;
pub mod watch;

use std::fmt;
use std::sync::Arc;

pub use compute::{End, LocalCompute, LocalJob};
pub use home::{FlockDir, Home, Settings};
pub use inbox::Inbox;
pub use logs::LocalLogs;
pub use objects::LocalObjects;
pub use queue::{LocalQueue, MAX_RECEIVE};
pub use secrets::LocalSecrets;
pub use table::LocalTable;
pub use watch::Watch;

use shepard_model::JobId;

use crate::error::Result;
use crate::ports::{Clock, Ports, WallClock};

/// An open flock. Clones are the same flock and share its connections.
#[derive(Clone)]
pub struct LocalFlock {
    inner: Arc<Inner>,
}

struct Inner {
    dir: FlockDir,
    settings: Settings,
    table: LocalTable,
    queue: LocalQueue,
    compute: LocalCompute,
    inbox: Inbox,
    ports: Ports,
}

impl LocalFlock {
    /// Opens a flock: reads its settings, opens its database and brings that up to date. Blocks for as long as
    /// the disk takes, and for seconds where many open a new one at once.
    ///
    /// # Errors
    /// `NotFound` where there is no such flock, `Invalid` where its settings or its database cannot be used.
    pub fn open(dir: &FlockDir) -> Result<Self> {
        Self::open_with(dir, Arc::new(WallClock))
    }

    /// The same, with a clock of the caller's.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(dir: &FlockDir, clock: Arc<dyn Clock>) -> Result<Self> {
        let settings = dir.settings()?;
        let database = database::Database::open(&dir.database())?;
        let table = LocalTable::new(database.clone());
        let queue = LocalQueue::new(database.clone(), Arc::clone(&clock));
        let compute = LocalCompute::new(database.clone(), Arc::clone(&clock), settings.attempts);
        let inbox = Inbox::new(database, Arc::clone(&clock));
        let ports = Ports {
            buckets: dir.buckets(),
            objects: Arc::new(LocalObjects::new(dir)),
            table: Arc::new(table.clone()),
            queue: Arc::new(queue.clone()),
            compute: Arc::new(compute.clone()),
            logs: Arc::new(LocalLogs::new(dir)),
            secrets: Arc::new(LocalSecrets::new(dir)),
            clock,
        };
        let inner = Inner { dir: dir.clone(), settings, table, queue, compute, inbox, ports };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where it lies.
    pub fn dir(&self) -> &FlockDir {
        &self.inner.dir
    }

    /// Its settings, as they were when it was opened.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Its job table.
    pub fn table(&self) -> &LocalTable {
        &self.inner.table
    }

    /// Its queue.
    pub fn queue(&self) -> &LocalQueue {
        &self.inner.queue
    }

    /// Its compute, with the supervisor's side of it.
    pub fn compute(&self) -> &LocalCompute {
        &self.inner.compute
    }

    /// Which inputs its queue was told of.
    pub fn inbox(&self) -> &Inbox {
        &self.inner.inbox
    }

    /// Its ports, as the scheduler, the worker and the console take them.
    pub fn ports(&self) -> Ports {
        self.inner.ports.clone()
    }

    /// How many jobs are in each state, in the order of `State::ALL`. Cheap at any number of jobs.
    ///
    /// # Errors
    /// As any reading of the database.
    pub async fn counts(&self) -> Result<[u64; 7]> {
        self.inner.table.counts().await
    }

    /// Forgets jobs that ended before a time, in milliseconds since the epoch, at most `limit` in one go: their
    /// rows, and what the compute remembers. Their logs and results stay for the caller to decide on.
    ///
    /// # Errors
    /// As any change of the database.
    pub async fn forget(&self, before_ms: i64, limit: usize) -> Result<Vec<JobId>> {
        self.inner.compute.forget(before_ms, limit).await?;
        self.inner.table.forget(before_ms, limit).await
    }
}

impl fmt::Debug for LocalFlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalFlock").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
