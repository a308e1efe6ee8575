//! Messages in; rows and jobs out.
//!
//! An upload's row is written before its job is submitted, and its message deleted after both, or after a message of
//! our own says that a batch is left to be submitted. Whatever is the upload's own fault becomes a rejected row with
//! the reason; whatever is not leaves the message for a later delivery. Dropping any future here, at any await, loses
//! nothing: the next delivery takes the work up.
//!
//! It never reads the user's variables for its own ends, never logs them, and never loops on an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use shepard_cloud::ports::Message;
use shepard_cloud::{CloudError, Ports, Result};
use shepard_model::names::OWN_PREFIX;
use shepard_model::{JobId, JobRow, ObjectRef, manifest};
use tracing::warn;

use crate::drain::Drain;
use crate::event;
use crate::pace::{self, Pacer};
use crate::work::{End, Work, copy};

/// Messages deleted in one call: what SQS takes.
const DELETED: usize = 10;
/// Calls to the queue at once, when an invocation ends.
const SETTLED: usize = 16;
/// How many times longer an invocation waits for room where there are more batches than room.
const CONGESTED: i64 = 4;
/// A message delivered more often than this may be what ends invocations: it is dealt with in small company.
const SUSPECT: u32 = 3;

/// How the scheduler works.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerSettings {
    /// Days until the store may forget a row that has not ended.
    pub keep_days: u32,
    /// Uploads worked on at once. Each holds up to 64 KiB of its archive's end.
    pub concurrency: usize,
    /// How long a message that was taken stays hidden, in milliseconds: longer than an invocation takes.
    pub hide_ms: i64,
    /// How long a new row is left to the invocation that wrote it, in milliseconds: longer than it takes from the first
    /// row to the last submission, `patience_ms` and more. A shorter one does no harm but double work.
    pub lease_ms: i64,
    /// Uploads that come together share array jobs. Only where the worker knows manifests.
    pub arrays: bool,
    /// Rows that one container of an array runs, where the job does not say; at least 1.
    pub pack: u32,
    /// Most messages an invocation takes beyond those it is given; none without `arrays`.
    pub drain: usize,
    /// How long it goes on taking, in milliseconds; some seconds where there are more batches than room anyway.
    pub drain_ms: u64,
    /// This instance's share of the account's SubmitJob a second (50 on AWS; Batch service quotas, 2026-11). Infinity
    /// where the compute has no such limit.
    pub submits_per_s: f64,
    /// How long an invocation waits for room to submit in, in milliseconds, before it leaves that to a message; four
    /// times as long where there are more batches than room anyway.
    pub patience_ms: i64,
    /// How long an invocation goes on reading and writing down, in milliseconds: what hangs longer is left for another
    /// delivery, and takes nobody with it. `u64::MAX` is without end.
    pub work_ms: u64,
    /// A name no two running instances share: ids of batches are made from it.
    pub instance: String,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self {
            keep_days: 30,
            concurrency: 8,
            hide_ms: 30_000,
            lease_ms: 10_000,
            arrays: false,
            pack: 1,
            drain: 2_000,
            drain_ms: 300,
            submits_per_s: 45.0,
            patience_ms: 5_000,
            work_ms: u64::MAX,
            instance: String::new(),
        }
    }
}

/// What became of one upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// A job with the compute.
    Submitted(JobId),
    /// A row, and a message that says it is to be submitted.
    Deferred(JobId),
    /// A rejected row, or one that the compute refuses for good.
    Rejected {
        /// Its id.
        id: JobId,
        /// Why.
        reason: String,
    },
    /// What it had become before.
    Known(JobId),
    /// Nothing: a folder's placeholder, an object of our own, or a message of ours that is done with.
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
    /// What its uploads became, as far as that went well. An upload that several messages announce is with the first.
    pub uploads: Vec<Became>,
}

/// What one turn of the pump, or one invocation, did.
#[derive(Debug, Default)]
pub struct Pumped {
    /// Messages received.
    pub received: usize,
    /// Uploads handed to the compute.
    pub submitted: usize,
    /// Uploads rejected.
    pub rejected: usize,
    /// Uploads that were dealt with before.
    pub known: usize,
    /// Messages that name no upload.
    pub poison: usize,
    /// Messages left for another delivery.
    pub retried: usize,
    /// Batches handed to the compute.
    pub batches: usize,
    /// Messages sent that say what is left to be submitted.
    pub deferred: usize,
    /// The first thing that failed, if any: what a status line shows.
    pub error: Option<CloudError>,
}

/// What an invocation came to.
#[derive(Debug, Default)]
pub struct Invoked {
    /// Receipts of the messages it was given that must be delivered again; released already, with a delay.
    pub failed: Vec<String>,
    /// What it did.
    pub pumped: Pumped,
}

/// The scheduler of one flock. Its clones share one pace.
#[derive(Debug, Clone)]
pub struct Scheduler {
    core: Arc<Core>,
}

/// What an invocation works with.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) ports: Ports,
    pub(crate) settings: SchedulerSettings,
    pub(crate) pacer: Pacer,
    batches: AtomicU64,
}

impl Core {
    /// Where manifests have no bucket, there are no batches.
    pub(crate) fn arrays(&self) -> bool {
        self.settings.arrays && !self.ports.buckets.inputs.is_empty()
    }

    /// How long to wait for room. Longer where there are more batches than room: what is put off has to be taken again.
    pub(crate) fn patience_ms(&self) -> i64 {
        let times = if self.pacer.congested(self.ports.clock.now_ms()) { CONGESTED } else { 1 };
        self.settings.patience_ms.saturating_mul(times)
    }

    pub(crate) fn is_own(&self, object: &ObjectRef) -> bool {
        object.key.starts_with(OWN_PREFIX) && object.bucket == self.ports.buckets.inputs
    }

    /// How much of its writer's lease a row has left, in milliseconds; 0 and less is none.
    pub(crate) fn left_ms(&self, touched_ms: i64) -> i64 {
        // A clock that was set back must not hold a job up for longer than the lease.
        (touched_ms + self.settings.lease_ms - self.ports.clock.now_ms()).min(self.settings.lease_ms)
    }

    /// A name for a batch that begins with this row: the time, so that names sort by it, and a hash of what no other
    /// batch has.
    pub(crate) fn batch_id(&self, first: &JobId) -> JobId {
        let now_ms = self.ports.clock.now_ms();
        let count = self.batches.fetch_add(1, Ordering::Relaxed);
        let hash = JobId::of_request(&format!("batch/{}/{count}/{now_ms}/{first}", self.settings.instance));
        let drawn = hash.as_str().get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        manifest::batch_id(now_ms, drawn.unwrap_or_default()).unwrap_or(hash)
    }
}

/// A message that was taken.
struct Taken {
    receipt: String,
    deliveries: u32,
    /// It came with the invocation: whoever invoked deletes it.
    given: bool,
    poison: Option<String>,
    entries: Vec<usize>,
}

/// An invocation's messages and what came of them.
struct Dealt {
    taken: Vec<(bool, Handled)>,
    pumped: Pumped,
}

/// What is to be done with an invocation's messages, by receipt.
#[derive(Default)]
struct Sorted {
    /// To be deleted here.
    done: Vec<String>,
    /// To be released, with the delay in milliseconds.
    later: Vec<(String, i64)>,
    /// Those of the latter that whoever invoked would delete.
    failed: Vec<String>,
}

fn sorted(taken: Vec<(bool, Handled)>) -> Sorted {
    let mut sorted = Sorted::default();
    for (given, handled) in taken {
        match handled.verdict {
            Verdict::Retry { after_ms, .. } => {
                if given {
                    sorted.failed.push(handled.receipt.clone());
                }
                sorted.later.push((handled.receipt, after_ms));
            }
            Verdict::Done | Verdict::Poison(_) if given => {}
            Verdict::Done | Verdict::Poison(_) => sorted.done.push(handled.receipt),
        }
    }
    sorted
}

impl Scheduler {
    /// A scheduler over these ports.
    pub fn new(ports: Ports, settings: SchedulerSettings) -> Self {
        let pacer = Pacer::new(settings.submits_per_s);
        Self { core: Arc::new(Core { ports, settings, pacer, batches: AtomicU64::new(0) }) }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Deals with the messages that it is given and with as many more as come quickly. Deletes those of the latter that
    /// are done and releases, with a delay, all that are not. Never fails as a whole, and may be dropped at any await.
    pub async fn invoke(&self, first: Vec<Message>) -> Invoked {
        let core = &*self.core;
        // What may have ended other invocations must not take hundreds of messages with it.
        let suspect = first.iter().any(|message| message.deliveries > SUSPECT);
        let now_ms = core.ports.clock.now_ms();
        let until_ms = now_ms.saturating_add_unsigned(core.settings.drain_ms);
        let drain = match core.arrays() && !suspect {
            true if core.pacer.congested(now_ms) => {
                Drain::new(core.settings.drain, until_ms).gathering(now_ms)
            }
            true => Drain::new(core.settings.drain, until_ms),
            false => Drain::none(),
        };
        let Dealt { taken, mut pumped } = self.deal(first, true, drain).await;
        let Sorted { done, later, failed } = sorted(taken);
        pumped.error = pumped.error.or(self.settle(&done, &later).await.err());
        Invoked { failed, pumped }
    }

    /// Receives at most `max` messages, handles them, deletes those that are done and releases the others.
    ///
    /// # Errors
    /// The queue's own. A message whose deletion failed is delivered again, and found done.
    pub async fn pump_once(&self, max: usize) -> Result<Pumped> {
        let messages = self.core.ports.queue.receive(max, self.core.settings.hide_ms).await?;
        if messages.is_empty() {
            return Ok(Pumped::default());
        }
        let Dealt { taken, pumped } = self.deal(messages, false, Drain::none()).await;
        let Sorted { done, later, .. } = sorted(taken);
        self.settle(&done, &later).await?;
        Ok(pumped)
    }

    /// Deals with messages and leaves them where they are; the answers are in the messages' order.
    pub async fn handle(&self, messages: Vec<Message>) -> Vec<Handled> {
        self.deal(messages, true, Drain::none()).await.taken.into_iter().map(|(_, handled)| handled).collect()
    }

    /// Writes rows that came by API and submits them; what became of each, in order.
    pub(crate) async fn place(&self, rows: Vec<JobRow>) -> Vec<(JobId, End)> {
        let mut work = Work::new(&self.core);
        for row in rows {
            work.row(row);
        }
        work.write_down(Drain::none(), |_, _| {}).await;
        work.look_after().await;
        work.hand_over().await;
        work.ends()
    }

    /// `given` says that whoever invoked deletes the first ones.
    async fn deal(&self, first: Vec<Message>, given: bool, drain: Drain) -> Dealt {
        let mut work = Work::new(&self.core);
        let mut taken: Vec<Taken> =
            first.into_iter().map(|message| take(&mut work, message, given)).collect();
        let more = |work: &mut Work<'_>, messages: Vec<Message>| {
            taken.extend(messages.into_iter().map(|message| take(work, message, false)));
        };
        work.write_down(drain, more).await;
        work.look_after().await;
        let handed = work.hand_over().await;
        let (batches, deferred, error) = (handed.batches, handed.deferred, handed.error);
        let mut ends: Vec<_> = work.ends().into_iter().map(|(id, end)| (id, end, false)).collect();
        let mut pumped = Pumped { received: taken.len(), batches, deferred, error, ..Pumped::default() };
        let lease_ms = self.core.settings.lease_ms;
        let taken = taken
            .into_iter()
            .map(|message| (message.given, verdict(message, &mut ends, &mut pumped, lease_ms)))
            .collect();
        Dealt { taken, pumped }
    }

    /// Deletes and releases, many at once; one call's failure stops no other. The first error is given back.
    async fn settle(&self, done: &[String], later: &[(String, i64)]) -> Result<()> {
        let mut calls = stream::iter(self.calls(done, later)).buffer_unordered(SETTLED);
        let mut first = Ok(());
        while let Some(done) = calls.next().await {
            if let Err(error) = done {
                // It comes when its time is up: late, or done and found so.
                warn!("a message is neither deleted nor released: {error}");
                first = first.and(Err(error));
            }
        }
        first
    }

    /// Apart from the function that awaits them: closures over borrowed receipts would make a future of it that
    /// cannot be sent to another thread.
    fn calls<'a>(&'a self, done: &'a [String], later: &'a [(String, i64)]) -> Vec<BoxFuture<'a, Result<()>>> {
        let queue = &self.core.ports.queue;
        let deletes = done.chunks(DELETED).map(|receipts| queue.delete(receipts));
        let releases = later.iter().map(|(receipt, after_ms)| queue.release(receipt, *after_ms));
        deletes.chain(releases).collect()
    }
}

/// Reads a message and gives its uploads to the work. The body is dropped here.
fn take(work: &mut Work<'_>, message: Message, given: bool) -> Taken {
    let Message { receipt, body, deliveries } = message;
    let mut taken = Taken { receipt, deliveries, given, poison: None, entries: Vec::new() };
    match event::parse(&body) {
        Ok(event) => {
            for problem in &event.problems {
                warn!("record dropped: {problem}");
                if event.arrivals.is_empty() {
                    taken.poison = Some(problem.to_string());
                }
            }
            taken.entries = match event.order {
                Some(order) => work.ordered(order, deliveries),
                None => event.arrivals.into_iter().map(|one| work.arrived(one, deliveries)).collect(),
            };
        }
        Err(problem) => {
            // The body itself is not logged: whoever could send it could put anything into it.
            warn!(bytes = body.len(), "message dropped: {problem}");
            taken.poison = Some(problem.to_string());
        }
    }
    taken
}

/// What a message's uploads mean for the message. Each upload is counted once, with the first message that names it.
fn verdict(message: Taken, ends: &mut [(JobId, End, bool)], pumped: &mut Pumped, lease_ms: i64) -> Handled {
    let mut verdict = match message.poison {
        Some(reason) => {
            pumped.poison += 1;
            Verdict::Poison(reason)
        }
        None => Verdict::Done,
    };
    let mut uploads = Vec::new();
    for entry in message.entries {
        let Some((id, end, counted)) = ends.get_mut(entry) else { continue };
        let first = !std::mem::replace(counted, true);
        let became = match end {
            End::Busy(left) => {
                verdict = sooner(verdict, (*left).max(1_000), None);
                continue;
            }
            End::Failed(error) => {
                let after_ms = pace::backoff_ms(error.kind, id.as_str(), message.deliveries, lease_ms);
                verdict = sooner(verdict, after_ms, Some(copy(error)));
                if first && pumped.error.is_none() {
                    pumped.error = Some(copy(error));
                }
                continue;
            }
            _ if !first => continue,
            End::Submitted(_) => {
                pumped.submitted += 1;
                Became::Submitted(id.clone())
            }
            End::Deferred => Became::Deferred(id.clone()),
            End::Rejected(reason) | End::Refused(reason) => {
                pumped.rejected += 1;
                Became::Rejected { id: id.clone(), reason: std::mem::take(reason) }
            }
            End::Known { .. } => {
                pumped.known += 1;
                Became::Known(id.clone())
            }
            End::Ignored => Became::Ignored,
        };
        uploads.push(became);
    }
    if matches!(verdict, Verdict::Retry { .. }) {
        pumped.retried += 1;
    }
    Handled { receipt: message.receipt, verdict, uploads }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sendable<T: Send>(_: impl Fn(&'static Scheduler) -> T) {}

    #[test]
    fn the_futures_can_be_spawned() {
        sendable(|scheduler| scheduler.invoke(Vec::new()));
        sendable(|scheduler| scheduler.pump_once(1));
        sendable(|scheduler| crate::endpoint::accept(scheduler, "", ""));
        sendable(|scheduler| async {
            crate::batch::finish(&scheduler.core.ports, &scheduler.core.batch_id(&JobId::of_request("")))
                .await
        });
    }
}
