//! The queue of uploads: SQS.
//!
//! SQS counts in whole seconds; times are rounded up to them. A receive asks without waiting, and of a queue that is
//! nearly empty it may see nothing although something is there: SQS samples its servers. What is hidden from one
//! receive comes with a later one.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName as System,
    QueueAttributeName as Attribute, SendMessageBatchRequestEntry,
};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::OnceCell;

use super::error::{code, failed};
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Depth, Message, Queue, Redrive};

/// Most messages in one call (SQS quotas, 2026-11).
const BATCH: usize = 10;
/// Most bytes of bodies in one call. SQS takes 1 MiB since 2025; what answers in its place may still take a quarter.
const BATCH_BYTES: usize = 256 * 1024;
/// Longest delay and longest visibility, in seconds (SQS quotas, 2026-11).
const LONGEST_DELAY: i64 = 900;
const LONGEST_HIDE: i64 = 43_200;
/// Calls at once, of receiving or deleting many.
const AT_ONCE: usize = 16;
/// How long a dead letter is hidden while it is moved, in seconds.
const MOVING: i32 = 60;

/// A queue of SQS.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    /// As it was given: URL or ARN.
    name: String,
    /// URL of its dead-letter queue, where that is known other than from its own policy.
    dead_letters: Option<String>,
    url: OnceCell<String>,
}

/// What a queue says of itself.
#[derive(Default)]
struct Attributes {
    depth: Depth,
    arn: Option<String>,
    /// ARN of its dead-letter queue.
    dead_letters: Option<String>,
}

impl SqsQueue {
    pub(super) fn new(client: Client, name: String, dead_letters: Option<String>) -> Self {
        Self { client, name, dead_letters, url: OnceCell::new() }
    }

    async fn url(&self) -> Result<&str> {
        let url = self.url.get_or_try_init(|| async {
            if self.name.starts_with("arn:") { self.url_of(&self.name).await } else { Ok(self.name.clone()) }
        });
        Ok(url.await?)
    }

    /// Asks for the URL of a queue: `arn:aws:sqs:<region>:<account>:<name>`.
    async fn url_of(&self, arn: &str) -> Result<String> {
        let mut parts = arn.split(':').skip(4);
        let (owner, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mut request = self.client.get_queue_url().queue_name(name);
        if !owner.is_empty() {
            request = request.queue_owner_aws_account_id(owner);
        }
        let answer = request.send().await.map_err(|error| failed("find the queue", arn, &error))?;
        answer
            .queue_url()
            .map(str::to_owned)
            .ok_or_else(|| CloudError::new("find the queue", arn, Kind::NotFound))
    }

    async fn attributes(&self, url: &str) -> Result<Attributes> {
        let names = [
            Attribute::ApproximateNumberOfMessages,
            Attribute::ApproximateNumberOfMessagesNotVisible,
            Attribute::ApproximateNumberOfMessagesDelayed,
            Attribute::RedrivePolicy,
            Attribute::QueueArn,
        ];
        let request =
            self.client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
        let answer = request.send().await.map_err(|error| failed("measure the queue", url, &error))?;
        let value = |name: Attribute| answer.attributes().and_then(|known| known.get(&name));
        let count = |name| value(name).and_then(|count| count.parse().ok()).unwrap_or(0);
        let [waiting, hidden, delayed, policy, arn] = names;
        let depth =
            Depth { waiting: count(waiting), in_flight: count(hidden) + count(delayed), ..Depth::default() };
        let policy: Option<serde_json::Value> =
            value(policy).and_then(|policy| serde_json::from_str(policy).ok());
        let dead_letters = policy.as_ref().and_then(|policy| policy.get("deadLetterTargetArn")?.as_str());
        let arn = value(arn).cloned();
        Ok(Attributes { depth, arn, dead_letters: dead_letters.map(str::to_owned) })
    }

    /// URL of the dead-letter queue; None where there is none.
    async fn dead_letters(&self, own: &Attributes) -> Result<Option<String>> {
        match (&own.dead_letters, &self.dead_letters) {
            (Some(arn), _) => self.url_of(arn).await.map(Some),
            (None, known) => Ok(known.clone()),
        }
    }

    /// Moves up to so many dead letters; gives how many there were.
    async fn move_some(&self, dead: &str, url: &str, rounds: usize) -> Result<u64> {
        let mut moved = 0;
        for _ in 0..rounds {
            // Waiting a second asks all of SQS's servers, so that nothing means nothing.
            let messages = self.receive_some(dead, BATCH, MOVING, 1).await?;
            if messages.is_empty() {
                break;
            }
            let bodies: Vec<_> = messages.iter().map(|message| message.body.clone()).collect();
            try_join_all(batches(&bodies).into_iter().map(|some| self.send_some(url, some, 0))).await?;
            let receipts: Vec<_> = messages.into_iter().map(|message| message.receipt).collect();
            self.delete_some(dead, &receipts).await?;
            moved += receipts.len() as u64;
        }
        Ok(moved)
    }

    /// Has SQS move the dead letters back by itself. False where it does not: no emulator does, and who may not say so
    /// may still move them one by one.
    async fn begin_move(&self, dead: &Attributes) -> Result<bool> {
        let Some(arn) = &dead.arn else { return Ok(false) };
        match self.client.start_message_move_task().source_arn(arn).send().await {
            Ok(_) => Ok(true),
            Err(error) => {
                let said = error.as_service_error().and_then(|service| service.meta().message());
                let runs = said.is_some_and(|said| said.contains("already a task running"));
                let error = failed("move the dead letters of", &self.name, &error);
                let passes =
                    matches!(error.kind, Kind::Throttled | Kind::Offline | Kind::Expired | Kind::Auth);
                if passes { Err(error) } else { Ok(runs) }
            }
        }
    }

    /// How far SQS is with it.
    async fn moved(&self, dead: &Attributes) -> Result<Redrive> {
        let operation = "move the dead letters of";
        let request = self.client.list_message_move_tasks().set_source_arn(dead.arn.clone()).max_results(1);
        let answer = request.send().await.map_err(|error| failed(operation, &self.name, &error))?;
        let Some(task) = answer.results().first() else {
            return Ok(Redrive { moved: 0, left: None, by_store: true, done: true });
        };
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let moved = count(task.approximate_number_of_messages_moved());
        let all = task.approximate_number_of_messages_to_move().map(count);
        if task.status() == Some("FAILED") {
            let why = task.failure_reason().unwrap_or("SQS does not say why").to_owned();
            return Err(CloudError::new(operation, &self.name, Kind::Other).because(why));
        }
        let done = !matches!(task.status(), Some("RUNNING" | "CANCELLING"));
        Ok(Redrive { moved, left: all.map(|all| all.saturating_sub(moved)), by_store: true, done })
    }

    async fn receive_some(&self, url: &str, max: usize, hide_s: i32, wait_s: i32) -> Result<Vec<Message>> {
        let answer = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(max.clamp(1, BATCH)).unwrap_or(1))
            .visibility_timeout(hide_s)
            .wait_time_seconds(wait_s)
            .message_system_attribute_names(System::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| failed("receive from", url, &error))?;
        let taken = answer.messages().iter().filter_map(|message| {
            let counted = message.attributes().and_then(|known| known.get(&System::ApproximateReceiveCount));
            Some(Message {
                receipt: message.receipt_handle()?.to_owned(),
                body: message.body().unwrap_or_default().to_owned(),
                deliveries: counted.and_then(|count| count.parse().ok()).unwrap_or(1),
            })
        });
        Ok(taken.collect())
    }

    async fn send_some(&self, url: &str, bodies: &[String], delay_s: i32) -> Result<()> {
        let entry = |(number, body): (usize, &String)| {
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body);
            entry.delay_seconds(delay_s).build()
        };
        let entries: std::result::Result<Vec<_>, _> = bodies.iter().enumerate().map(entry).collect();
        let entries = entries.map_err(|error| invalid("send to", url, error))?;
        let request = self.client.send_message_batch().queue_url(url).set_entries(Some(entries));
        let answer = request.send().await.map_err(|error| failed("send to", url, &error))?;
        each("send to", url, answer.failed())
    }

    async fn delete_some(&self, url: &str, receipts: &[String]) -> Result<()> {
        let entry = |(number, receipt): (usize, &String)| {
            DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(receipt).build()
        };
        let entries: std::result::Result<Vec<_>, _> = receipts.iter().enumerate().map(entry).collect();
        let entries = entries.map_err(|error| invalid("delete from", url, error))?;
        let request = self.client.delete_message_batch().queue_url(url).set_entries(Some(entries));
        match request.send().await {
            Ok(answer) => {
                let held: Vec<_> =
                    answer.failed().iter().filter(|entry| !is_stale(entry.code())).cloned().collect();
                each("delete from", url, &held)
            }
            Err(error) if is_stale(code(&error)) => Ok(()),
            Err(error) => Err(failed("delete from", url, &error)),
        }
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, bodies: &[String], after_ms: i64) -> Result<()> {
        if bodies.is_empty() {
            return Ok(());
        }
        let (url, delay_s) = (self.url().await?, seconds(after_ms, LONGEST_DELAY));
        for some in batches(bodies) {
            self.send_some(url, some, delay_s).await?;
        }
        Ok(())
    }

    async fn receive(&self, max: usize, hide_ms: i64) -> Result<Vec<Message>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let (url, hide_s) = (self.url().await?, seconds(hide_ms, LONGEST_HIDE));
        let calls = (0..max).step_by(BATCH).map(|taken| self.receive_some(url, max - taken, hide_s, 0));
        let answers: Vec<_> = stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;
        let (mut messages, mut fault) = (Vec::new(), None);
        for answer in answers {
            match answer {
                Ok(some) => messages.extend(some),
                Err(error) => fault = Some(error),
            }
        }
        // What has come is hidden from everybody else by now: it counts, whatever became of the other calls.
        match fault {
            Some(error) if messages.is_empty() => Err(error),
            _ => Ok(messages),
        }
    }

    async fn delete(&self, receipts: &[String]) -> Result<()> {
        if receipts.is_empty() {
            return Ok(());
        }
        let url = self.url().await?;
        // Boxed, because the compiler cannot see that the closure takes a slice of any lifetime.
        let calls: Vec<_> =
            receipts.chunks(BATCH).map(|some| Ok(Box::pin(self.delete_some(url, some)))).collect();
        stream::iter(calls).try_buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// A receipt that no longer holds is no error: the message is somebody else's by now, or gone.
    async fn release(&self, receipt: &str, after_ms: i64) -> Result<()> {
        let url = self.url().await?;
        let request = self.client.change_message_visibility().queue_url(url).receipt_handle(receipt);
        match request.visibility_timeout(seconds(after_ms, LONGEST_HIDE)).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_stale(code(&error)) => Ok(()),
            Err(error) => {
                // SQS has no code of its own for it.
                let said = error.as_service_error().and_then(|service| service.meta().message());
                let gone = said.is_some_and(|said| said.contains("does not exist or is not available"));
                if gone { Ok(()) } else { Err(failed("release a message of", url, &error)) }
            }
        }
    }

    async fn depth(&self) -> Result<Depth> {
        let known = self.attributes(self.url().await?).await?;
        let dead = match self.dead_letters(&known).await? {
            Some(url) => self.attributes(&url).await?.depth.waiting,
            None => 0,
        };
        Ok(Depth { dead, ..known.depth })
    }

    /// Message by message, each sent before it is deleted: a crash leaves one twice and none lost, and the count is
    /// true.
    async fn redrive(&self) -> Result<u64> {
        let url = self.url().await?;
        let Some(dead) = self.dead_letters(&self.attributes(url).await?).await? else { return Ok(0) };
        self.move_some(&dead, url, usize::MAX).await
    }

    /// By SQS's own task where it has one, which goes on by itself and counts about; else a hundred at a time.
    async fn redrive_step(&self, so_far: Redrive) -> Result<Redrive> {
        let url = self.url().await?;
        let none = Redrive { left: Some(0), done: true, ..so_far };
        let Some(dead) = self.dead_letters(&self.attributes(url).await?).await? else { return Ok(none) };
        let known = self.attributes(&dead).await?;
        if so_far.by_store {
            return self.moved(&known).await;
        }
        if so_far.moved == 0 && known.depth.waiting > 0 && self.begin_move(&known).await? {
            return Ok(Redrive { moved: 0, left: Some(known.depth.waiting), by_store: true, done: false });
        }
        let moved = self.move_some(&dead, url, AT_ONCE).await?;
        let left = self.attributes(&dead).await?.depth.waiting;
        Ok(Redrive { moved: so_far.moved + moved, left: Some(left), by_store: false, done: moved == 0 })
    }
}

/// As many bodies as one call takes. One that is too large for any goes alone, and the service says so.
fn batches(bodies: &[String]) -> Vec<&[String]> {
    let (mut batches, mut rest) = (Vec::new(), bodies);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(BATCH).take_while(|body| {
            bytes += body.len();
            bytes <= BATCH_BYTES
        });
        let (some, others) = rest.split_at(fits.count().max(1));
        batches.push(some);
        rest = others;
    }
    batches
}

/// Whole seconds, never fewer than asked for.
fn seconds(ms: i64, most: i64) -> i32 {
    let whole = ms.max(0).saturating_add(999) / 1000;
    i32::try_from(whole.min(most)).unwrap_or(i32::MAX)
}

fn is_stale(code: &str) -> bool {
    ["ReceiptHandleIsInvalid", "MessageNotInflight"].iter().any(|stale| code.ends_with(stale))
}

fn invalid(
    operation: &'static str,
    url: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> CloudError {
    CloudError::new(operation, url, Kind::Invalid).because(error)
}

/// An error where any entry of a batch was refused.
fn each(operation: &'static str, url: &str, refused: &[BatchResultErrorEntry]) -> Result<()> {
    let Some(first) = refused.first() else { return Ok(()) };
    let kind = super::error::kind_of_code(first.code()).unwrap_or(if first.sender_fault() {
        Kind::Invalid
    } else {
        Kind::Other
    });
    let said = format!("{} of a batch, the first of them with {}", refused.len(), first.code());
    Err(CloudError::new(operation, url, kind).because(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_ten_or_what_fits() {
        let bodies: Vec<_> = (0..23).map(|_| "x".to_owned()).collect();
        assert_eq!(batches(&bodies).iter().map(|some| some.len()).collect::<Vec<_>>(), [10, 10, 3]);
        let large = vec!["x".repeat(100_000); 5];
        assert_eq!(batches(&large).iter().map(|some| some.len()).collect::<Vec<_>>(), [2, 2, 1]);
        let huge = vec!["x".repeat(300_000); 2];
        assert_eq!(batches(&huge).iter().map(|some| some.len()).collect::<Vec<_>>(), [1, 1]);
        assert!(batches(&[]).is_empty());
    }

    #[test]
    fn seconds_are_rounded_up_and_bounded() {
        let all = [-5, 0, 1, 1_000, 1_001, i64::MAX].map(|ms| seconds(ms, LONGEST_DELAY));
        assert_eq!(all, [0, 0, 1, 1, 2, 900]);
    }
}
