//! Messages in; rows and jobs out.
//!
//! An upload's row is written before its job is submitted, and its message deleted after both. Whatever is the
//! upload's own fault becomes a rejected row with the reason; whatever is not leaves the message for a later
//! delivery. Dropping any future here, at any await, loses nothing: the next delivery takes the work up.
//!
//! It never reads the user's variables for its own ends, never logs them, and never loops on an error.

use futures_util::{StreamExt, stream};
use shepard_cloud::ports::Message;
use shepard_cloud::{CloudError, Kind, Ports, Result};
use shepard_model::{JobId, JobRow};
use tracing::{debug, warn};

use crate::event::{self, Arrival};
use crate::submit::{self, Placed};
use crate::zip::{self, ReadError};

/// How the scheduler works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerSettings {
    /// Days until the store may forget a row that has not ended.
    pub keep_days: u32,
    /// Messages worked on at once.
    pub concurrency: usize,
    /// How long a message that was taken stays hidden, in milliseconds: longer than a batch takes.
    pub hide_ms: i64,
    /// How long a new row is left to the delivery that wrote it, in milliseconds.
    pub lease_ms: i64,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self { keep_days: 30, concurrency: 8, hide_ms: 30_000, lease_ms: 10_000 }
    }
}

/// What became of one upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// A job with the compute.
    Submitted(JobId),
    /// A rejected row.
    Rejected {
        /// Its id.
        id: JobId,
        /// Why.
        reason: String,
    },
    /// What it had become before.
    Known(JobId),
    /// Nothing: a folder's placeholder.
    Ignored,
}

/// What is to be done with a message.
#[derive(Debug)]
pub enum Verdict {
    /// Its work is durable: delete it.
    Done,
    /// It names no upload: delete it. Why, in words.
    Poison(String),
    /// Deliver it again after so many milliseconds.
    Retry {
        /// How long to leave it.
        after_ms: i64,
        /// What failed; None where another delivery is at work on it.
        error: Option<CloudError>,
    },
}

/// One message, dealt with.
#[derive(Debug)]
pub struct Handled {
    /// Its receipt.
    pub receipt: String,
    /// What is to be done with it.
    pub verdict: Verdict,
    /// What its uploads became, as far as that went well.
    pub uploads: Vec<Became>,
}

/// What one turn of the pump did.
#[derive(Debug, Default)]
pub struct Pumped {
    /// Messages received.
    pub received: usize,
    /// Jobs handed to the compute.
    pub submitted: usize,
    /// Uploads rejected.
    pub rejected: usize,
    /// Uploads that were dealt with before.
    pub known: usize,
    /// Messages that name no upload.
    pub poison: usize,
    /// Messages left for another delivery.
    pub retried: usize,
    /// The first thing that failed, if any: what a status line shows.
    pub error: Option<CloudError>,
}

/// The scheduler of one flock.
#[derive(Debug, Clone)]
pub struct Scheduler {
    ports: Ports,
    settings: SchedulerSettings,
}

impl Scheduler {
    /// A scheduler over these ports.
    pub fn new(ports: Ports, settings: SchedulerSettings) -> Self {
        Self { ports, settings }
    }

    /// Receives at most `max` messages, handles them, deletes those that are done and releases the others.
    ///
    /// # Errors
    /// The queue's own. A message whose deletion failed is delivered again, and found done.
    pub async fn pump_once(&self, max: usize) -> Result<Pumped> {
        let messages = self.ports.queue.receive(max, self.settings.hide_ms).await?;
        if messages.is_empty() {
            return Ok(Pumped::default());
        }
        let mut pumped = Pumped { received: messages.len(), ..Pumped::default() };
        let (mut done, mut later) = (Vec::new(), Vec::new());
        for handled in self.handle(&messages).await {
            for upload in &handled.uploads {
                match upload {
                    Became::Submitted(_) => pumped.submitted += 1,
                    Became::Rejected { .. } => pumped.rejected += 1,
                    Became::Known(_) => pumped.known += 1,
                    Became::Ignored => {}
                }
            }
            match handled.verdict {
                Verdict::Done => done.push(handled.receipt),
                Verdict::Poison(_) => {
                    pumped.poison += 1;
                    done.push(handled.receipt);
                }
                Verdict::Retry { after_ms, error } => {
                    pumped.retried += 1;
                    pumped.error = pumped.error.or(error);
                    later.push((handled.receipt, after_ms));
                }
            }
        }
        if !done.is_empty() {
            self.ports.queue.delete(&done).await?;
        }
        for (receipt, after_ms) in later {
            self.ports.queue.release(&receipt, after_ms).await?;
        }
        Ok(pumped)
    }

    /// Deals with messages, several at once; the answers are in the messages' order.
    pub async fn handle(&self, messages: &[Message]) -> Vec<Handled> {
        let work: Vec<_> =
            messages.iter().enumerate().map(|(index, message)| self.one(index, message)).collect();
        let mut handled: Vec<_> =
            stream::iter(work).buffer_unordered(self.settings.concurrency.max(1)).collect().await;
        handled.sort_unstable_by_key(|(index, _)| *index);
        handled.into_iter().map(|(_, handled)| handled).collect()
    }

    async fn one(&self, index: usize, message: &Message) -> (usize, Handled) {
        let receipt = message.receipt.clone();
        let event = match event::parse(&message.body) {
            Ok(event) => event,
            Err(problem) => {
                // The body itself is not logged: whoever could send it could put anything into it.
                warn!(bytes = message.body.len(), "message dropped: {problem}");
                let verdict = Verdict::Poison(problem.to_string());
                return (index, Handled { receipt, verdict, uploads: Vec::new() });
            }
        };
        let mut verdict = Verdict::Done;
        for problem in &event.problems {
            warn!("record dropped: {problem}");
            if event.arrivals.is_empty() {
                verdict = Verdict::Poison(problem.to_string());
            }
        }
        let mut uploads = Vec::new();
        for arrival in &event.arrivals {
            match self.upload(arrival, message.deliveries > 1).await {
                Ok(Placed::Submitted(row)) => uploads.push(Became::Submitted(row.id)),
                Ok(Placed::Known(row)) => uploads.push(Became::Known(row.id)),
                Ok(Placed::Rejected(row)) => {
                    let reason = row.reason.unwrap_or_default();
                    debug!(job = %row.id, "upload rejected: {reason}");
                    uploads.push(Became::Rejected { id: row.id, reason });
                }
                Ok(Placed::Busy(after_ms)) => verdict = sooner(verdict, after_ms, None),
                Ok(Placed::Ignored) => uploads.push(Became::Ignored),
                Err(error) => {
                    warn!(job = %arrival.id, delivery = message.deliveries, "left for another delivery: {error}");
                    let after_ms = backoff_ms(&error, message.deliveries).max(self.settings.lease_ms);
                    verdict = sooner(verdict, after_ms, Some(error));
                }
            }
        }
        (index, Handled { receipt, verdict, uploads })
    }

    /// One upload, as far as it goes.
    async fn upload(&self, arrival: &Arrival, again: bool) -> Result<Placed> {
        if arrival.is_placeholder() {
            return Ok(Placed::Ignored);
        }
        // A second delivery mostly finds the first one's row and need not read the archive again.
        if again && let Some(row) = self.ports.table.get(&arrival.id).await? {
            return submit::resume(&self.ports, &row, self.settings.lease_ms).await;
        }
        let row = self.row(arrival).await?;
        match submit::place(&self.ports, &row, self.settings.lease_ms).await {
            // Larger than the table takes; the rejected row holds no variables.
            Err(error) if error.kind == Kind::Invalid && row.outcome.is_none() => {
                let rejected = self.rejected(arrival, format!("the job cannot be recorded: {error}"));
                submit::place(&self.ports, &rejected, self.settings.lease_ms).await
            }
            placed => placed,
        }
    }

    async fn row(&self, arrival: &Arrival) -> Result<JobRow> {
        let inputs = &self.ports.buckets.inputs;
        if arrival.object.bucket != *inputs {
            let reason = format!(
                "the upload is in the bucket {}, but this flock takes its inputs from {inputs}",
                arrival.object.bucket
            );
            return Ok(self.rejected(arrival, reason));
        }
        if arrival.bad_key {
            let reason =
                "the upload's name is not valid UTF-8 text; give it another name and upload it again";
            return Ok(self.rejected(arrival, reason.to_owned()));
        }
        let reason = match zip::read_inputs(&*self.ports.objects, &arrival.object).await {
            Ok(inputs) => {
                let (id, object) = (arrival.id.clone(), arrival.object.clone());
                let now_ms = self.ports.clock.now_ms();
                return Ok(JobRow::arrived(id, Some(object), inputs, now_ms, self.settings.keep_days));
            }
            Err(ReadError::Cloud(error)) => match error.kind {
                Kind::NotFound => "the upload was removed before it was read".to_owned(),
                Kind::Invalid => format!("the upload cannot be read: {error}"),
                _ => return Err(error),
            },
            Err(fault) => fault.to_string(),
        };
        Ok(self.rejected(arrival, reason))
    }

    fn rejected(&self, arrival: &Arrival, reason: String) -> JobRow {
        let (id, object) = (arrival.id.clone(), arrival.object.clone());
        JobRow::rejected(id, Some(object), reason, self.ports.clock.now_ms(), self.settings.keep_days)
    }
}

/// A message of several uploads comes back when the first of them wants it to.
fn sooner(verdict: Verdict, after_ms: i64, error: Option<CloudError>) -> Verdict {
    match verdict {
        Verdict::Retry { after_ms: before, error: first } => {
            Verdict::Retry { after_ms: before.min(after_ms), error: first.or(error) }
        }
        Verdict::Done | Verdict::Poison(_) => Verdict::Retry { after_ms, error },
    }
}

/// How long to leave a message after an error, in milliseconds: 1 s, doubled by every delivery, at most 5 min.
/// What a person has to mend first waits at least a minute, so that its few deliveries last.
fn backoff_ms(error: &CloudError, deliveries: u32) -> i64 {
    let doubled = 1_000_i64 << deliveries.saturating_sub(1).min(9);
    let least = if error.kind.is_transient() { 0 } else { 60_000 };
    doubled.clamp(least, 300_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_and_ends_growing() {
        let delay = |kind, deliveries| backoff_ms(&CloudError::new("x", "", kind), deliveries);
        let grown: Vec<_> = [0, 1, 2, 5, 9, 10, u32::MAX].map(|n| delay(Kind::Throttled, n)).into();
        assert_eq!(grown, [1_000, 1_000, 2_000, 16_000, 256_000, 300_000, 300_000]);
        assert_eq!([delay(Kind::Denied, 1), delay(Kind::Expired, 20)], [60_000, 300_000]);
    }
}
