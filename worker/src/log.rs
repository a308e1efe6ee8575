//! Lines to the job's log stream, in batches.
//!
//! A log that cannot be written never ends a job: the lines are counted, the count goes into the log as soon as
//! it takes lines again, and the worker says it once more at the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shepard_cloud::ports::{Clock, LogLine, LogSource, Logs, Ports};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::payload::Line;

/// How long a line waits for company, in milliseconds.
const GATHER_MS: u64 = 50;
/// Lines in one batch at most.
const BATCH_LINES: usize = 200;
/// Bytes of text after which a batch goes at once.
const BATCH_BYTES: usize = 1 << 20;
/// Characters of the payload's last words that a reason repeats.
const LAST_WORDS: usize = 200;

/// The log of one attempt.
pub struct Log {
    logs: Arc<dyn Logs>,
    clock: Arc<dyn Clock>,
    stream: String,
    tally: Mutex<Tally>,
}

/// Lines that could not be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of the whole attempt.
    pub lost: u64,
    /// Of those, the ones the log does not say yet.
    unsaid: u64,
    /// The last error.
    pub error: Option<String>,
}

impl Log {
    /// The log of an attempt, under the stream's name.
    pub fn new(ports: &Ports, stream: impl Into<String>) -> Self {
        let (logs, clock) = (Arc::clone(&ports.logs), Arc::clone(&ports.clock));
        Self { logs, clock, stream: stream.into(), tally: Mutex::default() }
    }

    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// What could not be written so far.
    pub fn tally(&self) -> Tally {
        self.locked().clone()
    }

    /// Adds a line of the worker's own.
    pub async fn say(&self, text: impl Into<String>) {
        // It may repeat a key or a folder's name: whatever is in those, this stays one line.
        self.append(vec![self.line(LogSource::Worker, one_line(&text.into()))]).await;
    }

    /// Adds the payload's lines as they come, until every sender is gone or `done` is cancelled and the channel
    /// is empty. Gives the last line of standard error that says anything, fit for one line of a table.
    pub async fn pump(&self, mut lines: mpsc::Receiver<Line>, done: &CancellationToken) -> Option<String> {
        let mut last_words = None;
        let mut received = Vec::with_capacity(BATCH_LINES);
        let mut closed = false;
        loop {
            let count = tokio::select! {
                biased;
                () = done.cancelled(), if !closed => {
                    // A payload that kept a sender somewhere must not keep the job open.
                    lines.close();
                    closed = true;
                    continue;
                }
                count = lines.recv_many(&mut received, BATCH_LINES) => count,
            };
            if count == 0 {
                return last_words;
            }
            let mut batch = Vec::with_capacity(BATCH_LINES);
            let mut bytes = self.take(&mut received, &mut batch, &mut last_words);
            let mut due = self.clock.sleep_ms(GATHER_MS);
            while batch.len() < BATCH_LINES && bytes < BATCH_BYTES {
                tokio::select! {
                    biased;
                    count = lines.recv_many(&mut received, BATCH_LINES - batch.len()) => {
                        if count == 0 {
                            break;
                        }
                        bytes += self.take(&mut received, &mut batch, &mut last_words);
                    }
                    () = &mut due => break,
                }
            }
            self.append(batch).await;
        }
    }

    /// Stamps what was received; gives its bytes.
    fn take(&self, received: &mut Vec<Line>, batch: &mut Vec<LogLine>, last: &mut Option<String>) -> usize {
        let mut bytes = 0;
        for Line { source, text } in received.drain(..) {
            bytes += text.len();
            if source == LogSource::Stderr
                && let Some(words) = last_words(&text)
            {
                *last = Some(words);
            }
            batch.push(self.line(source, text));
        }
        bytes
    }

    fn line(&self, source: LogSource, text: String) -> LogLine {
        LogLine { at_ms: self.clock.now_ms(), source, text }
    }

    async fn append(&self, mut lines: Vec<LogLine>) {
        let unsaid = self.locked().unsaid;
        let count = lines.len() as u64;
        if unsaid > 0 {
            let text = format!("{unsaid} lines of this log could not be written and are gone");
            lines.insert(0, self.line(LogSource::Worker, text));
        }
        let outcome = self.logs.append(&self.stream, &lines).await;
        let mut tally = self.locked();
        match outcome {
            Ok(()) => tally.unsaid -= unsaid.min(tally.unsaid),
            Err(error) => {
                tally.lost += count;
                tally.unsaid += count;
                tally.error = Some(error.to_string());
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Text without control characters, which are spelled out: a name from outside must not make two lines of one, nor
/// steer a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let spelled = |char: char| {
        let spelled = char.is_control().then(|| char.escape_default());
        (spelled.is_none().then_some(char)).into_iter().chain(spelled.into_iter().flatten())
    };
    text.chars().flat_map(spelled).collect()
}

/// A line as a reason may repeat it: printable, trimmed, short. None where nothing is left.
fn last_words(text: &str) -> Option<String> {
    let printable: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let trimmed = printable.trim();
    let mut short: String = trimmed.chars().take(LAST_WORDS).collect();
    if short.len() < trimmed.len() {
        short.push('…');
    }
    (!short.is_empty()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(one_line("é 'a b' $(x)"), "é 'a b' $(x)");
        assert_eq!(one_line("a\nb\r\u{1b}[0m\0"), "a\\nb\\r\\u{1b}[0m\\u{0}");
    }

    #[test]
    fn last_words_fit_a_line() {
        assert_eq!(last_words("  \t "), None);
        assert_eq!(last_words("a\u{1b}[0mb\r"), Some("a [0mb".into()));
        let long = last_words(&"é".repeat(500)).unwrap();
        assert_eq!((long.chars().count(), long.chars().last()), (201, Some('…')));
    }
}
