//! Reading a job's log: the stream of its newest attempt, and on to the next attempt's when there is one.
//!
//! A reader never guesses a stream: the row names it. It ends when the job has ended and its stream is read to
//! the end, and never because a page came empty.

use std::path::Path;

use shepard_cloud::Ports;
use shepard_cloud::ports::{LogFrom, LogSource};
use shepard_model::{JobId, LogLine};
use tokio::io::AsyncWriteExt as _;

use super::error::{OperationError, Result};
use super::jobs;

/// Lines asked for at a time.
const PAGE: usize = 2_000;

/// What a step of reading gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Lines, oldest first.
    Lines(Vec<LogLine>),
    /// A later attempt has begun; what follows is its log. Its number, from 1, counting all runs.
    Attempt(usize),
    /// Nothing new for now. Ask again when something may have changed.
    Idle,
    /// The job has ended and everything was read; or it never ran. The reason, where it did not succeed.
    Ended(Option<String>),
}

/// Writes a whole stream to a new file, a line each, with its time and where it came from; gives how many lines.
///
/// # Errors
/// A port fails, the file exists, or it cannot be written.
pub async fn save(ports: &Ports, stream: &str, to: &Path) -> Result<u64> {
    let cannot = || OperationError::io("write", to);
    let file = tokio::fs::OpenOptions::new().write(true).create_new(true).open(to).await.map_err(cannot())?;
    let mut file = tokio::io::BufWriter::new(file);
    let (mut from, mut count) = (LogFrom::Start, 0);
    loop {
        let page = ports.logs.read(stream, &from, PAGE).await?;
        for line in &page.lines {
            let at = jiff::Timestamp::from_millisecond(line.at_ms).unwrap_or_default();
            let text = format!("{at:.3} {} {}\n", source(line.source), line.text);
            file.write_all(text.as_bytes()).await.map_err(cannot())?;
        }
        count += page.lines.len() as u64;
        if page.lines.is_empty() && !page.more {
            break;
        }
        from = LogFrom::Token(page.next);
    }
    file.flush().await.map_err(cannot())?;
    Ok(count)
}

fn source(source: LogSource) -> &'static str {
    match source {
        LogSource::Stdout => "stdout",
        LogSource::Stderr => "stderr",
        LogSource::Worker => "worker",
    }
}

/// Reads the log of one job.
#[derive(Debug, Clone)]
pub struct Reader {
    id: JobId,
    from: LogFrom,
    /// Index of the attempt that is read; None before there is one.
    attempt: Option<usize>,
}

impl Reader {
    /// Begins with the job's newest attempt, at `from`. A token makes no sense here.
    pub fn new(id: JobId, from: LogFrom) -> Self {
        Self { id, from, attempt: None }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The row is gone, or a port fails; the reader may be asked again.
    pub async fn step(&mut self, ports: &Ports) -> Result<Step> {
        // The row first: only when it said "ended" before the page came empty was the page the last.
        let row = jobs::row(ports, &self.id).await?;
        let Some(newest) = row.attempts.len().checked_sub(1) else {
            return Ok(if row.outcome.is_some() { Step::Ended(row.reason) } else { Step::Idle });
        };
        let current = *self.attempt.get_or_insert(newest);
        if let Some(attempt) = row.attempts.get(current) {
            let page = ports.logs.read(&attempt.log_stream, &self.from, PAGE).await?;
            self.from = LogFrom::Token(page.next);
            if !page.lines.is_empty() {
                return Ok(Step::Lines(page.lines));
            }
            if page.more {
                // Everything on the page was filtered out; the next one is there.
                return Ok(Step::Lines(Vec::new()));
            }
        }
        if current < newest {
            self.attempt = Some(current + 1);
            self.from = LogFrom::Start;
            return Ok(Step::Attempt(current + 2));
        }
        Ok(if row.outcome.is_some() { Step::Ended(row.reason) } else { Step::Idle })
    }
}
