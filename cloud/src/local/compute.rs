//! The compute: the list of jobs that are to run, run and ran on this machine.
//!
//! It starts nothing itself. The supervisor takes jobs from here, runs them and says what became of them; the
//! port's side is what the scheduler and the console ask. A word about an attempt that is not the newest is not
//! heard, so that a late one cannot end its successor.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use std::sync::Arc;

use super::database::{Database, Failure};
use super::table::limit_of;
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Clock, Compute, ComputeDetail, ComputeJob, ComputeState, JobRequest, Listed, Page};

/// Jobs of one page of a list.
const LISTED: usize = 100;

/// A job as the supervisor runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalJob {
    /// The compute's id.
    pub id: String,
    /// The name it was submitted under.
    pub name: String,
    /// Environment overrides of the submission.
    pub environment: Vec<(String, String)>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The worker's process; None until it was started.
    pub pid: Option<u32>,
    /// Why it is to stop, where somebody asked for that.
    pub terminate: Option<String>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The job is done.
    Succeeded,
    /// The job has failed; no other attempt would help.
    Failed {
        /// Why.
        reason: String,
    },
    /// The attempt was lost. Another follows, unless they are used up or the job is to stop.
    Retry {
        /// What is known of it.
        reason: String,
    },
    /// The attempt was stopped by whoever stopped the flock, through no fault of its own. Another follows however
    /// many there were, unless the job is to stop.
    Interrupted,
}

/// The compute of a local flock.
#[derive(Clone)]
pub struct LocalCompute {
    database: Database,
    clock: Arc<dyn Clock>,
    /// Attempts a job gets.
    attempts: u32,
}

const COLUMNS: &str = "number, name, environment, attempts, pid, terminate";

impl LocalCompute {
    pub(super) fn new(database: Database, clock: Arc<dyn Clock>, attempts: u32) -> Self {
        Self { database, clock, attempts }
    }

    /// Takes up to `max` waiting jobs, oldest first: each begins its next attempt and is the caller's to run.
    ///
    /// # Errors
    /// As any change of the database.
    pub async fn take(&self, max: usize) -> Result<Vec<LocalJob>> {
        if max == 0 || self.waiting().await? == 0 {
            return Ok(Vec::new());
        }
        self.database
            .write("take jobs of", move |tx| {
                let mut jobs = select(tx, "state < 3 AND state = 0", max)?;
                let mut statement = tx.prepare_cached(
                    "UPDATE compute SET state = 1, attempts = ?2, pid = NULL WHERE number = ?1",
                )?;
                for job in &mut jobs {
                    job.attempt += 1;
                    job.pid = None;
                    statement.execute(params![number(&job.id), job.attempt])?;
                }
                Ok(jobs)
            })
            .await
    }

    /// The worker of an attempt runs, as this process. False where the attempt is not the job's newest or has
    /// ended.
    ///
    /// # Errors
    /// As any change of the database.
    pub async fn started(&self, id: &str, attempt: u32, pid: u32) -> Result<bool> {
        let number = number(id);
        self.database
            .write("start a job of", move |tx| {
                let changed = tx
                    .prepare_cached(
                        "UPDATE compute SET state = 2, pid = ?3
                         WHERE number = ?1 AND attempts = ?2 AND state IN (1, 2)",
                    )?
                    .execute(params![number, attempt, pid])?;
                Ok(changed == 1)
            })
            .await
    }

    /// An attempt has ended. Gives where the job stands now (after `Retry` that is `Runnable` or `Failed`); None,
    /// and nothing done, where the attempt is not the job's newest or had ended already.
    ///
    /// # Errors
    /// As any change of the database.
    pub async fn ended(&self, id: &str, attempt: u32, end: End) -> Result<Option<ComputeState>> {
        let (number, now, allowed) = (number(id), self.clock.now_ms(), self.attempts);
        self.database
            .write("end a job of", move |tx| {
                let terminate: Option<Option<String>> = tx
                    .prepare_cached(
                        "SELECT terminate FROM compute WHERE number = ?1 AND attempts = ?2 AND state IN (1, 2)",
                    )?
                    .query_row(params![number, attempt], |row| row.get(0))
                    .optional()?;
                let Some(terminate) = terminate else { return Ok(None) };
                let (state, reason) = match end {
                    End::Succeeded => (ComputeState::Succeeded, None),
                    End::Failed { reason } => (ComputeState::Failed, Some(terminate.unwrap_or(reason))),
                    End::Interrupted => match terminate {
                        Some(asked) => (ComputeState::Failed, Some(asked)),
                        None => (ComputeState::Runnable, Some("interrupted".to_owned())),
                    },
                    End::Retry { reason } => match terminate {
                        Some(asked) => (ComputeState::Failed, Some(asked)),
                        None if attempt >= allowed => (ComputeState::Failed, Some(reason)),
                        None => (ComputeState::Runnable, Some(reason)),
                    },
                };
                let ended = (state != ComputeState::Runnable).then_some(now);
                tx.prepare_cached(
                    "UPDATE compute SET state = ?2, pid = NULL, reason = ?3, ended_ms = ?4 WHERE number = ?1",
                )?
                .execute(params![number, code(state), reason, ended])?;
                Ok(Some(state))
            })
            .await
    }

    /// The jobs that were taken and have not ended, oldest first.
    ///
    /// # Errors
    /// As any reading of the database.
    pub async fn active(&self) -> Result<Vec<LocalJob>> {
        self.database
            .read("list the running jobs of", |c| select(c, "state < 3 AND state IN (1, 2)", usize::MAX))
            .await
    }

    /// Those of the active jobs that are to stop.
    ///
    /// # Errors
    /// As any reading of the database.
    pub async fn to_terminate(&self) -> Result<Vec<LocalJob>> {
        self.database
            .read("list the jobs to stop of", |c| {
                select(c, "state < 3 AND state IN (1, 2) AND terminate IS NOT NULL", usize::MAX)
            })
            .await
    }

    /// How many jobs wait for a place.
    ///
    /// # Errors
    /// As any reading of the database.
    pub async fn waiting(&self) -> Result<u64> {
        self.database
            .read("count the waiting jobs of", |c| {
                let count: i64 = c
                    .prepare_cached("SELECT count(*) FROM compute WHERE state < 3 AND state = 0")?
                    .query_row([], |row| row.get(0))?;
                Ok(u64::try_from(count).unwrap_or(0))
            })
            .await
    }

    /// Forgets jobs that ended before a time, in milliseconds since the epoch, at most `limit` in one go.
    ///
    /// # Errors
    /// As any change of the database.
    pub async fn forget(&self, before_ms: i64, limit: usize) -> Result<usize> {
        self.database
            .write("forget old jobs of", move |tx| {
                Ok(tx
                    .prepare_cached(
                        "DELETE FROM compute WHERE number IN
                            (SELECT number FROM compute WHERE ended_ms < ?1 ORDER BY ended_ms LIMIT ?2)",
                    )?
                    .execute(params![before_ms, limit_of(limit)])?)
            })
            .await
    }
}

#[async_trait]
impl Compute for LocalCompute {
    /// A name that is live already is not taken twice: its id is given. One machine has no use for arrays.
    async fn submit(&self, job: &JobRequest) -> Result<String> {
        let name = job.name.clone();
        if job.children > 1 {
            let error = CloudError::new("submit the job", name, Kind::Invalid);
            return Err(error.because("a local flock runs single jobs, not arrays"));
        }
        let environment = serde_json::to_string(&job.environment)
            .map_err(|error| CloudError::new("submit the job", &name, Kind::Invalid).because(error))?;
        self.database
            .write("submit a job to", move |tx| {
                let live: Option<i64> = tx
                    .prepare_cached("SELECT number FROM compute WHERE name = ?1 AND state < 3")?
                    .query_row([&name], |row| row.get(0))
                    .optional()?;
                if let Some(live) = live {
                    return Ok(live.to_string());
                }
                tx.prepare_cached(
                    "INSERT INTO compute (name, environment, state, attempts) VALUES (?1, ?2, 0, 0)",
                )?
                .execute(params![name, environment])?;
                Ok(tx.last_insert_rowid().to_string())
            })
            .await
    }

    async fn find(&self, name: &str) -> Result<Vec<ComputeJob>> {
        let name = name.to_owned();
        self.database
            .read("find a job in", move |c| {
                let jobs = c
                    .prepare_cached(
                        "SELECT number, name, state, reason, attempts, ended_ms FROM compute
                         WHERE name = ?1 ORDER BY number DESC",
                    )?
                    .query_map([&name], describe)?
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(jobs)
            })
            .await
    }

    async fn describe(&self, ids: &[String]) -> Result<Vec<ComputeJob>> {
        let numbers: Vec<i64> = ids.iter().map(|id| number(id)).collect();
        self.database
            .read("describe jobs of", move |c| {
                let mut statement = c.prepare_cached(
                    "SELECT number, name, state, reason, attempts, ended_ms FROM compute WHERE number = ?1",
                )?;
                let mut jobs = Vec::new();
                for number in numbers {
                    jobs.extend(statement.query_row([number], describe).optional()?);
                }
                Ok(jobs)
            })
            .await
    }

    async fn terminate(&self, id: &str, reason: &str) -> Result<()> {
        let (number, reason, now) = (number(id), reason.to_owned(), self.clock.now_ms());
        self.database.write("terminate a job of", move |tx| terminate(tx, number, &reason, now)).await
    }

    async fn cancel(&self, id: &str, reason: &str) -> Result<()> {
        let (number, reason, now) = (number(id), reason.to_owned(), self.clock.now_ms());
        self.database.write("cancel a job of", move |tx| cancel(tx, number, &reason, now)).await
    }

    /// In the order in which they were submitted.
    async fn list(
        &self,
        which: Listed<'_>,
        state: ComputeState,
        from: Option<&str>,
    ) -> Result<Page<ComputeJob>> {
        if let Listed::Children(_) = which {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let after = match from.map(str::parse) {
            None => 0,
            Some(Ok(after)) => after,
            Some(Err(_)) => {
                let said = "this is not where a page of jobs begins";
                return Err(CloudError::new("list the jobs", "", Kind::Invalid).because(said));
            }
        };
        let (state, after): (i64, i64) = (code(state), after);
        self.database
            .read("list the jobs of", move |c| {
                let items = c
                    .prepare_cached(
                        "SELECT number, name, state, reason, attempts, ended_ms FROM compute
                         WHERE state = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
                    )?
                    .query_map(params![state, after, limit_of(LISTED)], describe)?
                    .collect::<Result<Vec<_>, _>>()?;
                let next = items.last().filter(|_| items.len() == LISTED).map(|last| last.id.clone());
                Ok(Page { items, next })
            })
            .await
    }

    async fn front(&self) -> Result<Vec<String>> {
        let waiting = self.list(Listed::Queue, ComputeState::Runnable, None).await?;
        Ok(waiting.items.into_iter().map(|job| job.id).collect())
    }
}

/// One that waits has nothing that could be stopped: it has ended.
fn cancel(tx: &Transaction<'_>, number: i64, reason: &str, now: i64) -> Result<(), Failure> {
    tx.prepare_cached(
        "UPDATE compute SET state = 4, reason = ?2, ended_ms = ?3 WHERE number = ?1 AND state = 0",
    )?
    .execute(params![number, reason, now])?;
    Ok(())
}

fn terminate(tx: &Transaction<'_>, number: i64, reason: &str, now: i64) -> Result<(), Failure> {
    cancel(tx, number, reason, now)?;
    // The first reason stays.
    tx.prepare_cached(
        "UPDATE compute SET terminate = ?2 WHERE number = ?1 AND state IN (1, 2) AND terminate IS NULL",
    )?
    .execute(params![number, reason])?;
    Ok(())
}

fn select(connection: &Connection, which: &str, max: usize) -> Result<Vec<LocalJob>, Failure> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM compute WHERE {which} ORDER BY number LIMIT ?1"))?;
    let mut rows = statement.query([limit_of(max)])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let environment = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        let environment = serde_json::from_str(environment).map_err(|error| {
            CloudError::new("read the damaged compute job", number.to_string(), Kind::Invalid).because(error)
        })?;
        jobs.push(LocalJob {
            id: number.to_string(),
            name: row.get(1)?,
            environment,
            attempt: row.get(3)?,
            pid: row.get(4)?,
            terminate: row.get(5)?,
        });
    }
    Ok(jobs)
}

fn describe(row: &Row<'_>) -> rusqlite::Result<ComputeJob> {
    let state = match row.get::<_, i64>(2)? {
        0 => ComputeState::Runnable,
        1 => ComputeState::Starting,
        2 => ComputeState::Running,
        3 => ComputeState::Succeeded,
        _ => ComputeState::Failed,
    };
    Ok(ComputeJob {
        id: row.get::<_, i64>(0)?.to_string(),
        name: row.get(1)?,
        state,
        reason: row.get(3)?,
        attempts: row.get(4)?,
        detail: ComputeDetail { ended_ms: row.get(5)?, ..ComputeDetail::default() },
    })
}

fn code(state: ComputeState) -> i64 {
    match state {
        ComputeState::Runnable => 0,
        ComputeState::Starting => 1,
        ComputeState::Running => 2,
        ComputeState::Succeeded => 3,
        ComputeState::Failed => 4,
    }
}

/// The number behind an id. What never was an id of ours leads to no job: 0 is none's.
fn number(id: &str) -> i64 {
    id.parse().unwrap_or(0)
}
