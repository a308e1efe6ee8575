//! The job table: a document a job for the rules, and a narrow line a job, in the order of the last changes, for
//! lists and feeds.
//!
//! The rules of a change are the model's; here they run inside one transaction. Nothing here looks into a document
//! for a list, and nothing writes a document without its line.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use shepard_model::{JobId, JobRow, JobSummary, State, Transition};

use super::database::{Database, Failure};
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Applied, Changes, Cursor, Page, Put, Table};

/// The job table of a local flock.
#[derive(Clone)]
pub struct LocalTable {
    database: Database,
}

impl LocalTable {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// How many jobs are in each state, in the order of [`State::ALL`].
    ///
    /// # Errors
    /// As any reading of the database.
    pub async fn counts(&self) -> Result<[u64; 7]> {
        self.database
            .read("count the jobs in", |connection| {
                let mut counts = [0; 7];
                let mut statement = connection.prepare_cached("SELECT state, jobs FROM counts")?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    if let Some(count) = counts.get_mut(usize::from(row.get::<_, u8>(0)?)) {
                        *count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                    }
                }
                Ok(counts)
            })
            .await
    }

    /// Forgets jobs that ended before a time, in milliseconds since the epoch, at most `limit` in one go; gives
    /// which. The oldest changes go first.
    ///
    /// # Errors
    /// As any change of the database.
    pub async fn forget(&self, before_ms: i64, limit: usize) -> Result<Vec<JobId>> {
        self.database
            .write("forget old jobs in", move |tx| {
                let old: Vec<(i64, String, i64)> = tx
                    .prepare_cached(
                        "SELECT seq, id, state FROM summaries WHERE ended_ms < ?1 ORDER BY seq LIMIT ?2",
                    )?
                    .query_map(params![before_ms, limit_of(limit)], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })?
                    .collect::<Result<_, _>>()?;
                for (seq, id, state) in &old {
                    tx.prepare_cached("DELETE FROM summaries WHERE seq = ?1")?.execute([seq])?;
                    tx.prepare_cached("DELETE FROM jobs WHERE id = ?1")?.execute([id])?;
                    tx.prepare_cached("INSERT INTO removed (seq, id) VALUES (?1, ?2)")?
                        .execute(params![next_seq(tx)?, id])?;
                    count(tx, *state, -1)?;
                }
                // Whoever follows the changes is moments behind, not this many removals.
                tx.prepare_cached(
                    "DELETE FROM removed WHERE seq <=
                        (SELECT seq FROM removed ORDER BY seq DESC LIMIT 1 OFFSET 100000)",
                )?
                .execute([])?;
                Ok(old.iter().map(|(_, id, _)| job_id(id)).collect::<Result<_>>()?)
            })
            .await
    }
}

#[async_trait]
impl Table for LocalTable {
    async fn put_new(&self, row: &JobRow) -> Result<Put> {
        let row = row.clone();
        self.database
            .write("write a job to", move |tx| {
                if let Some(found) = find(tx, &row.id)? {
                    return Ok(Put::Exists(Box::new(found.row)));
                }
                let (seq, doc) = (next_seq(tx)?, document(&row)?);
                tx.prepare_cached("DELETE FROM removed WHERE id = ?1")?.execute([row.id.as_str()])?;
                tx.prepare_cached("INSERT INTO jobs (id, seq, doc) VALUES (?1, ?2, ?3)")?
                    .execute(params![row.id.as_str(), seq, doc])?;
                write_summary(tx, seq, &row)?;
                count(tx, row.state() as i64, 1)?;
                Ok(Put::Created)
            })
            .await
    }

    async fn get(&self, id: &JobId) -> Result<Option<JobRow>> {
        let id = id.clone();
        self.database.read("read a job in", move |c| Ok(find(c, &id)?.map(|found| found.row))).await
    }

    async fn apply(&self, id: &JobId, change: &Transition) -> Result<Applied> {
        let (id, change) = (id.clone(), change.clone());
        self.database
            .write("change a job in", move |tx| {
                let Some(Found { number, seq, row }) = find(tx, &id)? else { return Ok(Applied::Missing) };
                let changed = match row.apply(&change) {
                    Ok(changed) => changed,
                    Err(refused) => return Ok(Applied::Refused(refused, Box::new(row))),
                };
                // A heartbeat is nothing a list or a feed shows.
                let shown = !matches!(change, Transition::Heartbeat { .. });
                let to = if shown { next_seq(tx)? } else { seq };
                tx.prepare_cached("UPDATE jobs SET doc = ?1, seq = ?2 WHERE number = ?3")?
                    .execute(params![document(&changed)?, to, number])?;
                if shown {
                    tx.prepare_cached("DELETE FROM summaries WHERE seq = ?1")?.execute([seq])?;
                    write_summary(tx, to, &changed)?;
                }
                if changed.state() != row.state() {
                    count(tx, row.state() as i64, -1)?;
                    count(tx, changed.state() as i64, 1)?;
                }
                Ok(Applied::Changed(Box::new(changed)))
            })
            .await
    }

    async fn changes(&self, cursor: Cursor, limit: usize) -> Result<Changes> {
        self.database.read("read the changes in", move |c| changes(c, cursor, limit)).await
    }

    async fn scan(&self, from: Option<&str>, limit: usize) -> Result<Page<JobRow>> {
        let after = match from.map(str::parse::<i64>).transpose() {
            Ok(after) => after.unwrap_or(0),
            Err(error) => {
                return Err(
                    CloudError::new("read the jobs from", "a page token", Kind::Invalid).because(error)
                );
            }
        };
        self.database.read("read the jobs in", move |c| scan(c, after, limit.max(1))).await
    }
}

struct Found {
    number: i64,
    seq: i64,
    row: JobRow,
}

fn find(connection: &Connection, id: &JobId) -> Result<Option<Found>, Failure> {
    let found = connection
        .prepare_cached("SELECT number, seq, doc FROM jobs WHERE id = ?1")?
        .query_row([id.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, parse(id.as_str(), row.get_ref(2)?.as_str()?)))
        })
        .optional()?;
    match found {
        Some((number, seq, row)) => Ok(Some(Found { number, seq, row: row? })),
        None => Ok(None),
    }
}

fn changes(connection: &Connection, cursor: Cursor, limit: usize) -> Result<Changes, Failure> {
    let limit = limit.max(1);
    let from = i64::try_from(cursor.0).unwrap_or(i64::MAX);
    let mut page = Changes { next: cursor, ..Changes::default() };
    // One more of each than may be given, to know whether there are more.
    let mut gone = connection
        .prepare_cached("SELECT seq, id FROM removed WHERE seq > ?1 ORDER BY seq LIMIT ?2")?
        .query_map(params![from, limit_of(limit.saturating_add(1))], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .peekable();
    let mut statement = connection.prepare_cached(
        "SELECT seq, id, input, tag, state, created_ms, started_ms, ended_ms, attempts, exit_code, reason
         FROM summaries WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![from, limit_of(limit.saturating_add(1))])?;
    let mut row = rows.next()?;
    // Both lists are in the order of changes; together they are taken in that order.
    loop {
        let (changed, removed) = match (&row, gone.peek()) {
            (Some(row), removed) => (Some(row.get::<_, i64>(0)?), removed.map(|(seq, _)| *seq)),
            (None, Some((seq, _))) => (None, Some(*seq)),
            (None, None) => return Ok(page),
        };
        if page.rows.len() + page.removed.len() == limit {
            page.more = true;
            return Ok(page);
        }
        let seq = match (changed, removed) {
            (Some(changed), removed) if removed.is_none_or(|removed| changed < removed) => {
                if let Some(row) = row {
                    page.rows.push(summary(row)?);
                }
                row = rows.next()?;
                changed
            }
            _ => {
                let Some((seq, id)) = gone.next() else { return Ok(page) };
                page.removed.push(job_id(&id)?);
                seq
            }
        };
        page.next = Cursor(u64::try_from(seq).unwrap_or(0));
    }
}

fn scan(connection: &Connection, after: i64, limit: usize) -> Result<Page<JobRow>, Failure> {
    let mut statement = connection
        .prepare_cached("SELECT number, id, doc FROM jobs WHERE number > ?1 ORDER BY number LIMIT ?2")?;
    let mut rows = statement.query(params![after, limit_of(limit.saturating_add(1))])?;
    let mut page = Page { items: Vec::new(), next: None };
    let mut last = after;
    while let Some(row) = rows.next()? {
        if page.items.len() == limit {
            page.next = Some(last.to_string());
            break;
        }
        last = row.get(0)?;
        let id = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let doc = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        page.items.push(parse(id, doc)?);
    }
    Ok(page)
}

fn summary(row: &Row<'_>) -> Result<JobSummary, Failure> {
    let id = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    let state: u8 = row.get(4)?;
    let Some(state) = State::ALL.get(usize::from(state)) else {
        return Err(damaged(id, format!("there is no state {state}")).into());
    };
    Ok(JobSummary {
        id: job_id(id)?,
        input: row.get(2)?,
        tag: row.get(3)?,
        state: *state,
        created_ms: row.get(5)?,
        started_ms: row.get(6)?,
        ended_ms: row.get(7)?,
        attempts: row.get(8)?,
        exit_code: row.get(9)?,
        reason: row.get(10)?,
    })
}

fn write_summary(tx: &Transaction<'_>, seq: i64, row: &JobRow) -> Result<(), Failure> {
    let line = row.summary();
    tx.prepare_cached(
        "INSERT INTO summaries
            (seq, id, input, tag, state, created_ms, started_ms, ended_ms, attempts, exit_code, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        seq,
        line.id.as_str(),
        line.input,
        line.tag,
        line.state as i64,
        line.created_ms,
        line.started_ms,
        line.ended_ms,
        line.attempts,
        line.exit_code,
        line.reason
    ])?;
    Ok(())
}

fn next_seq(tx: &Transaction<'_>) -> Result<i64, Failure> {
    Ok(tx
        .prepare_cached("UPDATE last_change SET seq = seq + 1 RETURNING seq")?
        .query_row([], |row| row.get(0))?)
}

fn count(tx: &Transaction<'_>, state: i64, by: i64) -> Result<(), Failure> {
    tx.prepare_cached("UPDATE counts SET jobs = jobs + ?2 WHERE state = ?1")?.execute(params![state, by])?;
    Ok(())
}

fn document(row: &JobRow) -> Result<String> {
    serde_json::to_string(row)
        .map_err(|error| CloudError::new("write the job", row.id.as_str(), Kind::Invalid).because(error))
}

fn parse(id: &str, doc: &str) -> Result<JobRow> {
    serde_json::from_str(doc).map_err(|error| damaged(id, error))
}

fn damaged(id: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CloudError {
    CloudError::new("read the damaged row of the job", id, Kind::Invalid).because(cause)
}

fn job_id(text: &str) -> Result<JobId> {
    JobId::parse(text).ok_or_else(|| damaged(text, "that is no job id"))
}

pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
