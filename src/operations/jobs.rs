//! Jobs by name: finding them, stopping them, running them again, waiting for their end.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use shepard_cloud::Ports;
use shepard_cloud::ports::{Applied, Cursor};
use shepard_model::{JobId, JobRow, JobSummary, State, Transition};

use super::error::{OperationError, Result};

/// Why nothing can be done to a job that is not there.
const GONE: &str = "the job is gone from the table";
/// Rows asked for at a time.
const PAGE: usize = 5_000;

/// What became of one job that was to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Its id.
    pub id: JobId,
    /// Its input key.
    pub input: String,
    /// It was done.
    pub accepted: bool,
    /// Why it was not done.
    pub reason: Option<String>,
}

/// Every job of a flock, as a table shows them, in the order in which they changed last.
///
/// # Errors
/// The table cannot be read.
pub async fn all(ports: &Ports) -> Result<Vec<JobSummary>> {
    let mut jobs: Vec<JobSummary> = Vec::new();
    let mut at: HashMap<JobId, usize> = HashMap::new();
    let mut cursor = Cursor::default();
    loop {
        let changes = ports.table.changes(cursor, PAGE).await?;
        for row in changes.rows {
            // A row that changes while the pages are read comes twice; the later one counts.
            match at.get(&row.id) {
                Some(index) => jobs[*index] = row,
                None => {
                    at.insert(row.id.clone(), jobs.len());
                    jobs.push(row);
                }
            }
        }
        let gone: HashSet<JobId> = changes.removed.into_iter().collect();
        if !gone.is_empty() {
            jobs.retain(|job| !gone.contains(&job.id));
            at = jobs.iter().enumerate().map(|(index, job)| (job.id.clone(), index)).collect();
        }
        cursor = changes.next;
        if !changes.more {
            return Ok(jobs);
        }
    }
}

/// The jobs that these words name: ids, input keys, or the beginning of either where only one job has it.
///
/// # Errors
/// A word that names no job, or more than one.
pub async fn resolve(ports: &Ports, words: &[String]) -> Result<Vec<JobSummary>> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let mut exact = Vec::new();
    for word in words {
        let row = match JobId::parse(word) {
            Some(id) => ports.table.get(&id).await?,
            None => None,
        };
        exact.push(row.map(|row| row.summary()));
    }
    if exact.iter().all(Option::is_some) {
        return Ok(unique(exact.into_iter().flatten()));
    }
    let all = all(ports).await?;
    let mut found = Vec::new();
    for (word, exact) in words.iter().zip(exact) {
        found.push(match exact {
            Some(job) => job,
            None => named(&all, word)?.clone(),
        });
    }
    Ok(unique(found))
}

fn unique(jobs: impl IntoIterator<Item = JobSummary>) -> Vec<JobSummary> {
    let mut seen = HashSet::new();
    jobs.into_iter().filter(|job| seen.insert(job.id.clone())).collect()
}

/// The one job a word names.
///
/// # Errors
/// None does, or several do.
pub fn named<'a>(all: &'a [JobSummary], word: &str) -> Result<&'a JobSummary> {
    let whole: Vec<_> = all.iter().filter(|job| job.id.as_str() == word || job.input == word).collect();
    let fitting = if whole.is_empty() && !word.is_empty() {
        all.iter().filter(|job| job.id.as_str().starts_with(word) || job.input.starts_with(word)).collect()
    } else {
        whole
    };
    match fitting.as_slice() {
        [] => Err(OperationError::NotFound(format!(
            "no job has an id or an input key that is or begins with {word:?}; `shepard query` lists the jobs"
        ))),
        [job] => Ok(job),
        several => {
            let some: Vec<_> = several.iter().take(5).map(|job| job.id.as_str()).collect();
            let more = if several.len() > some.len() { ", …" } else { "" };
            Err(OperationError::Usage(format!(
                "{word:?} names {} jobs ({}{more}); give more of the id",
                several.len(),
                some.join(", ")
            )))
        }
    }
}

/// Every job in a state.
///
/// # Errors
/// The table cannot be read.
pub async fn in_state(ports: &Ports, state: State) -> Result<Vec<JobSummary>> {
    Ok(all(ports).await?.into_iter().filter(|job| job.state == state).collect())
}

/// Asks jobs to stop. One that nothing runs yet is cancelled at once; a running one when its worker has stopped.
///
/// # Errors
/// A port fails; what was done before it stays done. What a single job's state forbids is in its [`Done`].
pub async fn terminate(ports: &Ports, jobs: &[JobId], by: &str) -> Result<Vec<Done>> {
    let mut done = Vec::with_capacity(jobs.len());
    for id in jobs {
        let change = Transition::CancelRequested { by: by.to_owned(), at_ms: ports.clock.now_ms() };
        let (row, reason) = match ports.table.apply(id, &change).await? {
            Applied::Changed(row) => {
                // A container of a batch may have other rows to run. Its worker sees the wish with its next heartbeat.
                if let Some(compute_id) = row.compute_id.as_ref().filter(|_| row.batch.is_none()) {
                    ports.compute.terminate(compute_id, &format!("cancelled by {by}")).await?;
                }
                (Some(row), None)
            }
            Applied::Refused(refused, row) => (Some(row), Some(refused.to_string())),
            Applied::Missing => (None, Some(GONE.to_owned())),
        };
        done.push(outcome(id, row.as_deref(), reason));
    }
    Ok(done)
}

/// Runs failed or cancelled jobs again. `keep_days` is how long the store keeps a row that never starts.
///
/// # Errors
/// A port fails; what was done before it stays done. What a single job's state forbids is in its [`Done`].
pub async fn retry(ports: &Ports, jobs: &[JobId], by: &str, keep_days: u32) -> Result<Vec<Done>> {
    let mut done = Vec::with_capacity(jobs.len());
    for id in jobs {
        let change = Transition::Requeued { by: by.to_owned(), at_ms: ports.clock.now_ms(), keep_days };
        let (row, reason) = match ports.table.apply(id, &change).await? {
            Applied::Changed(row) => {
                shepard_lambdas::submit_run(ports, &row).await?;
                (Some(row), None)
            }
            Applied::Refused(refused, row) => (Some(row), Some(refused.to_string())),
            Applied::Missing => (None, Some(GONE.to_owned())),
        };
        done.push(outcome(id, row.as_deref(), reason));
    }
    Ok(done)
}

fn outcome(id: &JobId, row: Option<&JobRow>, reason: Option<String>) -> Done {
    let input = row.and_then(|row| row.input.as_ref()).map(|input| input.key.clone()).unwrap_or_default();
    Done { id: id.clone(), input, accepted: reason.is_none(), reason }
}

/// Follows the table until jobs have ended.
#[derive(Debug)]
pub struct Wait {
    cursor: Cursor,
    open: HashSet<JobId>,
    ended: usize,
}

impl Wait {
    /// Waits for these jobs, rows for which need not exist yet.
    pub fn new(ids: impl IntoIterator<Item = JobId>) -> Self {
        Self { cursor: Cursor::default(), open: ids.into_iter().collect(), ended: 0 }
    }

    /// Reads what changed since the last time; gives the jobs that ended meanwhile. Call it again when something
    /// may have changed, until [`Wait::is_over`].
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn step(&mut self, ports: &Ports) -> Result<Vec<JobSummary>> {
        let mut ended = Vec::new();
        loop {
            let changes = ports.table.changes(self.cursor, PAGE).await?;
            for row in changes.rows {
                if row.state.is_terminal() && self.open.remove(&row.id) {
                    ended.push(row);
                }
            }
            for id in changes.removed {
                // Forgotten by the store; nothing more will be heard of it.
                self.open.remove(&id);
            }
            self.cursor = changes.next;
            if !changes.more {
                self.ended += ended.len();
                return Ok(ended);
            }
        }
    }

    /// Nothing is left to wait for.
    pub fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// Jobs that ended, and jobs that have not.
    pub fn counts(&self) -> (usize, usize) {
        (self.ended, self.open.len())
    }
}

/// The row of a job.
///
/// # Errors
/// The table cannot be read, or has no such row.
pub async fn row(ports: &Ports, id: &JobId) -> Result<JobRow> {
    ports
        .table
        .get(id)
        .await?
        .ok_or_else(|| OperationError::NotFound(format!("the job {id} is gone from the table")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, input: &str) -> JobSummary {
        let id = JobId::parse(id).expect("id");
        let mut row = JobRow::arrived(id, None, shepard_model::Inputs::default(), 0, 1).summary();
        row.input = input.to_owned();
        row
    }

    #[test]
    fn a_beginning_names_a_job_while_only_one_has_it() {
        let all = [job("abc1", "x.zip"), job("abd2", "y/a b.zip"), job("abc", "z.zip")];
        let id = |word: &str| named(&all, word).map(|job| job.id.as_str().to_owned());
        assert_eq!(id("abd").expect("one"), "abd2");
        assert_eq!(id("y/").expect("by its input"), "abd2");
        assert_eq!(id("abc").expect("the whole id wins over the beginning of another"), "abc");
        assert_eq!(id("ab").expect_err("three").class(), super::super::Class::Usage);
        assert_eq!(id("q").expect_err("none").class(), super::super::Class::NotFound);
        assert_eq!(id("").expect_err("nothing").class(), super::super::Class::NotFound);
    }
}
