//! The job table's own stream of changes: DynamoDB Streams.
//!
//! A stream is a family of shards: one ends after some hours and others take its place. A shard is read when the one
//! before it has been read to its end, so that the changes of a row come in their order. Two readers a shard is all
//! that AWS allows; whoever is one too many is told so and polls.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue as Value;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::types::{
    AttributeValue as Streamed, OperationType, Record, Shard, ShardIteratorType as Kind,
};
use futures_util::stream::{self, StreamExt as _};
use shepard_model::JobId;

use super::error::{code, failed};
use super::follow::{Begun, Change, Lost, Source};
use super::item::{self, Item};
use crate::error::{self, CloudError};

/// Most shards in one answer, and most records (API reference, 2026-11).
const SHARDS: i32 = 100;
const RECORDS: i32 = 1_000;
/// Shards that are asked at once.
const AT_ONCE: usize = 8;
/// Rounds after which the shards are looked for although none has ended: a new one may have no parent that we read.
const ROUNDS: u32 = 60;
const OPERATION: &str = "follow the stream of";

/// The stream of one table.
pub(super) struct Streams {
    client: Client,
    tables: aws_sdk_dynamodb::Client,
    table: String,
    /// Known once reading has begun.
    arn: String,
    /// What is being read, by the shard's id.
    open: HashMap<String, Reading>,
    /// Shards that have been read, or that had ended before reading began.
    done: HashSet<String>,
    rounds: u32,
}

#[derive(Debug, Clone)]
struct Reading {
    iterator: String,
    /// Sequence number of the last record that was read.
    last: Option<String>,
}

/// What one shard gave.
struct Got {
    shard: String,
    records: Vec<Record>,
    next: Option<String>,
}

impl Streams {
    pub(super) fn new(client: Client, tables: aws_sdk_dynamodb::Client, table: String) -> Self {
        let (arn, open, done) = (String::new(), HashMap::new(), HashSet::new());
        Self { client, tables, table, arn, open, done, rounds: 0 }
    }

    async fn shards(&self) -> Result<Vec<Shard>, Lost> {
        let (mut shards, mut from) = (Vec::new(), None);
        loop {
            let request = self.client.describe_stream().stream_arn(&self.arn).limit(SHARDS);
            let answer = request.set_exclusive_start_shard_id(from).send().await;
            let answer = answer.map_err(|error| Lost::Away(failed(OPERATION, &self.table, &error)))?;
            let Some(stream) = answer.stream_description else { return Ok(shards) };
            shards.extend(stream.shards.unwrap_or_default());
            from = stream.last_evaluated_shard_id;
            if from.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn iterator(&self, shard: &str, kind: Kind, after: Option<String>) -> Result<String, Lost> {
        let request = self.client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard);
        let answer = request.shard_iterator_type(kind).set_sequence_number(after).send().await;
        match answer {
            Ok(answer) => answer.shard_iterator.ok_or(Lost::Gap),
            Err(error) => Err(lost(code(&error), failed(OPERATION, &self.table, &error))),
        }
    }

    /// Begins to read the shards that were not there before, each when its parent has been read.
    async fn look_for_shards(&mut self) -> Result<(), Lost> {
        self.rounds = 0;
        let shards = self.shards().await?;
        let there: HashSet<&str> = shards.iter().filter_map(Shard::shard_id).collect();
        self.done.retain(|id| there.contains(id.as_str()));
        for shard in &shards {
            let Some(id) = shard.shard_id() else { continue };
            let waits = shard
                .parent_shard_id()
                .is_some_and(|parent| there.contains(parent) && !self.done.contains(parent));
            if !waits && !self.open.contains_key(id) && !self.done.contains(id) {
                let iterator = self.iterator(id, Kind::TrimHorizon, None).await?;
                self.open.insert(id.to_owned(), Reading { iterator, last: None });
            }
        }
        Ok(())
    }

    /// From its newest record on.
    async fn begin_shard(&self, id: String) -> Result<(String, Reading), Lost> {
        let iterator = self.iterator(&id, Kind::Latest, None).await?;
        Ok((id, Reading { iterator, last: None }))
    }

    async fn read_shard(&self, shard: &str, reading: &Reading) -> Result<Got, Lost> {
        let mut iterator = reading.iterator.clone();
        for again in [true, false] {
            let request = self.client.get_records().shard_iterator(&iterator).limit(RECORDS);
            let error = match request.send().await {
                Ok(answer) => {
                    let records = answer.records.unwrap_or_default();
                    return Ok(Got { shard: shard.to_owned(), records, next: answer.next_shard_iterator });
                }
                Err(error) => error,
            };
            match &reading.last {
                // An iterator lives for 15 minutes, a record for a day.
                Some(last) if again && code(&error).ends_with("ExpiredIteratorException") => {
                    iterator = self.iterator(shard, Kind::AfterSequenceNumber, Some(last.clone())).await?;
                }
                _ => return Err(lost(code(&error), failed(OPERATION, &self.table, &error))),
            }
        }
        Err(Lost::Gap)
    }
}

#[async_trait]
impl Source for Streams {
    async fn begin(&mut self) -> Result<Begun, Lost> {
        let answer = self.tables.describe_table().table_name(&self.table).send().await;
        let answer = answer.map_err(|error| Lost::Away(failed(OPERATION, &self.table, &error)))?;
        let table = answer.table();
        let on = table
            .and_then(|table| table.stream_specification())
            .is_some_and(|stream| stream.stream_enabled());
        let arn = table.and_then(|table| table.latest_stream_arn()).filter(|_| on);
        let Some(arn) = arn else {
            let none = CloudError::new(OPERATION, &self.table, error::Kind::NotFound);
            return Err(Lost::Away(none.because("the table has no stream")));
        };
        let bytes =
            table.and_then(|table| table.table_size_bytes()).and_then(|bytes| u64::try_from(bytes).ok());
        self.arn = arn.to_owned();
        (self.open, self.done, self.rounds) = (HashMap::new(), HashSet::new(), 0);
        let shards = self.shards().await?;
        let ended = |shard: &&Shard| {
            shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_some())
        };
        let (ended, open): (Vec<_>, Vec<_>) = shards.iter().partition(ended);
        self.done = ended.into_iter().filter_map(|shard| shard.shard_id().map(str::to_owned)).collect();
        let ids: Vec<String> = open.iter().filter_map(|shard| shard.shard_id().map(str::to_owned)).collect();
        let this = &*self;
        // Boxed, because the compiler cannot see that the closures take references of any lifetime.
        let begin: Vec<_> = ids.into_iter().map(|id| Box::pin(this.begin_shard(id))).collect();
        let begun: Vec<_> = stream::iter(begin).buffer_unordered(AT_ONCE).collect().await;
        self.open = begun.into_iter().collect::<Result<_, _>>()?;
        Ok(Begun { bytes: bytes.unwrap_or(0) })
    }

    async fn read(&mut self) -> Result<(Vec<Change>, bool), Lost> {
        self.rounds += 1;
        if self.open.is_empty() || self.rounds > ROUNDS {
            self.look_for_shards().await?;
        }
        let this = &*self;
        let reads: Vec<_> =
            this.open.iter().map(|(id, reading)| Box::pin(this.read_shard(id, reading))).collect();
        let reads: Vec<_> = stream::iter(reads).buffer_unordered(AT_ONCE).collect().await;
        let (mut changes, mut fault, mut more) = (Vec::new(), None, false);
        let full = usize::try_from(RECORDS).unwrap_or(usize::MAX);
        for read in reads {
            let got = match read {
                Ok(got) => got,
                Err(error) => {
                    fault = Some(error);
                    continue;
                }
            };
            more |= got.records.len() >= full;
            match (got.next, self.open.get_mut(&got.shard)) {
                (Some(next), Some(reading)) => {
                    reading.iterator = next;
                    let last = got.records.last().and_then(|record| record.dynamodb()?.sequence_number());
                    reading.last = last.map(str::to_owned).or(reading.last.take());
                }
                _ => {
                    self.open.remove(&got.shard);
                    self.done.insert(got.shard);
                    // Others take its place.
                    (self.rounds, more) = (ROUNDS, true);
                }
            }
            changes.extend(got.records.into_iter().filter_map(change));
        }
        match fault {
            // What has come counts; a shard that gave nothing is asked again.
            Some(Lost::Away(_)) if !changes.is_empty() => Ok((changes, more)),
            Some(fault) => Err(fault),
            None => Ok((changes, more)),
        }
    }
}

fn lost(code: &str, error: CloudError) -> Lost {
    let gap =
        ["ExpiredIteratorException", "TrimmedDataAccessException"].iter().any(|gone| code.ends_with(gone));
    if gap || error.kind == error::Kind::NotFound { Lost::Gap } else { Lost::Away(error) }
}

/// None of what is no change of a job row.
fn change(record: Record) -> Option<Change> {
    let removed = record.event_name == Some(OperationType::Remove);
    let record = record.dynamodb?;
    let id = record.keys.as_ref().and_then(|keys| keys.get(item::ID)?.as_s().ok());
    let id = JobId::parse(id?)?;
    Some(match record.new_image {
        _ if removed => Change::Removed(id),
        Some(image) => {
            Change::Put(image.into_iter().map(|(name, value)| (name, plain(value))).collect::<Item>())
        }
        // A stream of another kind has the keys alone.
        None => Change::Touched(id),
    })
}

/// The same value in the table's own type. What neither knows is NULL, which the row's reader refuses where it matters.
fn plain(value: Streamed) -> Value {
    match value {
        Streamed::S(text) => Value::S(text),
        Streamed::N(number) => Value::N(number),
        Streamed::B(bytes) => Value::B(bytes),
        Streamed::Bool(truth) => Value::Bool(truth),
        Streamed::L(list) => Value::L(list.into_iter().map(plain).collect()),
        Streamed::M(map) => Value::M(map.into_iter().map(|(name, value)| (name, plain(value))).collect()),
        Streamed::Ss(set) => Value::Ss(set),
        Streamed::Ns(set) => Value::Ns(set),
        Streamed::Bs(set) => Value::Bs(set),
        _ => Value::Null(true),
    }
}
