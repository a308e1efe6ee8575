//! The job table: DynamoDB, one item a row.
//!
//! The rules of a change are the model's. A change is a consistent read, [`JobRow::apply`], and a put on the condition
//! that the item is as it was read; where it is not, once more. Each write carries a mark, so that one whose answer was
//! lost and that the SDK sent again is known as done, not refused by its own work.
//!
//! DynamoDB gives a scan in the order of the keys' hashes, not in that of the writes, and eventually consistent: what is
//! found there is to be read again before it is believed.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure as OnFailure};
use shepard_model::{JobId, JobRow, Transition};

use super::error::{failed, failed_quietly};
use super::follow::{Follow, Source};
use super::item::{self, Item, Stored};
use super::mark;
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Applied, Changes, Clock, Cursor, Page, Put, Table};

/// How often a change is tried against others of the same row. Workers of one row are few; a row that changes this
/// often between a read and a write is being fought over.
const TRIES: u64 = 12;
/// Wait after the nth try that met another, times n.
const WAIT_MS: u64 = 5;

/// The job table of a flock.
pub struct DynamoTable {
    client: Client,
    name: String,
    keep_days: u32,
    clock: Arc<dyn Clock>,
    follow: tokio::sync::Mutex<Follow>,
}

/// What became of a put on a condition.
enum Written {
    Done,
    /// The condition does not hold; the item that is there, where the service gave it.
    Met(Option<Item>),
}

impl DynamoTable {
    /// A table that is followed by its stream, or by polling where that is None or cannot be had.
    pub(super) fn new(
        client: Client,
        name: String,
        keep_days: u32,
        clock: Arc<dyn Clock>,
        stream: Option<Box<dyn Source>>,
    ) -> Self {
        let follow = Follow::new(client.clone(), name.clone(), keep_days, Arc::clone(&clock), stream);
        Self { client, name, keep_days, clock, follow: tokio::sync::Mutex::new(follow) }
    }

    fn target(&self, id: &JobId) -> String {
        format!("{id} in {}", self.name)
    }

    fn decode(&self, operation: &'static str, id: &JobId, item: &Item) -> Result<Stored> {
        item::decode(item, self.keep_days)
            .map_err(|error| CloudError::new(operation, self.target(id), Kind::Invalid).because(error))
    }

    async fn read(&self, id: &JobId) -> Result<Option<Stored>> {
        let operation = "read the job";
        let request = self.client.get_item().table_name(&self.name).consistent_read(true);
        let answer = request.key(item::ID, AttributeValue::S(id.as_str().to_owned())).send().await;
        let answer = answer.map_err(|error| failed(operation, self.target(id), &error))?;
        answer.item().map(|item| self.decode(operation, id, item)).transpose()
    }

    /// Puts a row where `seen` lies, or nothing where it is None.
    async fn write(&self, row: &JobRow, seen: Option<&Stored>, mark: &str) -> Result<Written> {
        let operation = "write the job";
        let rev = seen.and_then(|seen| seen.rev).unwrap_or(0) + 1;
        let item = item::encode(row, rev, mark, self.keep_days);
        let bytes = item::bytes(&item);
        if bytes > item::LARGEST {
            let said = format!("its row of {bytes} bytes is larger than DynamoDB takes ({})", item::LARGEST);
            return Err(CloudError::new(operation, self.target(&row.id), Kind::Invalid).because(said));
        }
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        let request = match seen {
            None => request
                .condition_expression("attribute_not_exists(#id)")
                .expression_attribute_names("#id", item::ID),
            // The status beside our count: an old worker counts nothing, and it changes the status each time.
            Some(seen) => {
                let request = request
                    .expression_attribute_names("#rev", item::REV)
                    .expression_attribute_names("#status", item::STATUS)
                    .expression_attribute_values(":status", seen.status.clone());
                match seen.rev {
                    Some(rev) => request
                        .condition_expression("#rev = :rev AND #status = :status")
                        .expression_attribute_values(":rev", AttributeValue::N(rev.to_string())),
                    None => request.condition_expression("attribute_not_exists(#rev) AND #status = :status"),
                }
            }
        };
        match request.send().await {
            Ok(_) => Ok(Written::Done),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(refused) = refused.into_err() else {
                    return Ok(Written::Met(None));
                };
                Ok(Written::Met(refused.item))
            }
            Err(error) => Err(failed_quietly(operation, self.target(&row.id), &error)),
        }
    }
}

#[async_trait]
impl Table for DynamoTable {
    async fn put_new(&self, row: &JobRow) -> Result<Put> {
        let mark = mark();
        for _ in 0..TRIES {
            let found = match self.write(row, None, &mark).await? {
                Written::Done => return Ok(Put::Created),
                Written::Met(Some(item)) => Some(self.decode("write the job", &row.id, &item)?),
                Written::Met(None) => self.read(&row.id).await?,
            };
            match found {
                // An earlier try of this very call arrived and its answer did not.
                Some(found) if found.mark.as_ref() == Some(&mark) => return Ok(Put::Created),
                Some(found) => return Ok(Put::Exists(Box::new(found.row))),
                // Gone between the two: the store has forgotten it.
                None => {}
            }
        }
        Err(self.fought_over(&row.id))
    }

    async fn get(&self, id: &JobId) -> Result<Option<JobRow>> {
        Ok(self.read(id).await?.map(|stored| stored.row))
    }

    async fn apply(&self, id: &JobId, change: &Transition) -> Result<Applied> {
        let mark = mark();
        for tried in 1..=TRIES {
            let Some(seen) = self.read(id).await? else { return Ok(Applied::Missing) };
            if seen.mark.as_ref() == Some(&mark) {
                return Ok(Applied::Changed(Box::new(seen.row)));
            }
            let changed = match seen.row.apply(change) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Applied::Refused(refused, Box::new(seen.row))),
            };
            match self.write(&changed, Some(&seen), &mark).await? {
                Written::Done => return Ok(Applied::Changed(Box::new(changed))),
                Written::Met(_) => self.clock.sleep_ms(WAIT_MS * tried).await,
            }
        }
        Err(self.fought_over(id))
    }

    /// The table is read once, then its stream is followed; where that cannot be had, the table is read again: a million
    /// rows of 1 kB are 131,000 read units, $0.016, every time. The adapter remembers a summary of every row, and its
    /// cursors hold for as long as it lives; those of another begin anew.
    async fn changes(&self, cursor: Cursor, limit: usize) -> Result<Changes> {
        self.follow.lock().await.changes(cursor, limit).await
    }

    async fn scan(&self, from: Option<&str>, limit: usize) -> Result<Page<JobRow>> {
        let operation = "list the jobs of";
        let start = match from.map(JobId::parse) {
            Some(None) => {
                let said = "this is not where a page of jobs begins";
                return Err(CloudError::new(operation, &self.name, Kind::Invalid).because(said));
            }
            Some(Some(id)) => {
                Some(Item::from([(item::ID.to_owned(), AttributeValue::S(id.as_str().to_owned()))]))
            }
            None => None,
        };
        let limit = i32::try_from(limit.max(1)).unwrap_or(i32::MAX);
        let request = self.client.scan().table_name(&self.name).limit(limit).set_exclusive_start_key(start);
        let answer = request.send().await.map_err(|error| failed(operation, &self.name, &error))?;
        let mut items = Vec::with_capacity(answer.items().len());
        for found in answer.items() {
            match item::decode(found, self.keep_days) {
                Ok(stored) => items.push(stored.row),
                // One damaged item must not hide all the others; who asks for it by its id is told.
                Err(error) => tracing::warn!(table = %self.name, %error, "an item was passed over"),
            }
        }
        let next = answer.last_evaluated_key().and_then(|key| key.get(item::ID)?.as_s().ok()).cloned();
        Ok(Page { items, next })
    }
}

impl DynamoTable {
    fn fought_over(&self, id: &JobId) -> CloudError {
        CloudError::new("write the job", self.target(id), Kind::Conflict)
            .because("it changes faster than it can be written")
    }
}
