//! Following a table: one reading of all of it, then what its stream says; without a stream, reading it again and again.
//!
//! The place in the stream is taken before the table is read, and then the table is read consistently: nothing falls
//! between the two. Where the stream lost its place (it was not asked for too long) the table is read once more; where
//! it cannot be had (none there, not allowed, two others read it already) polling takes its place, and the stream is
//! tried again later. A reading is given page by page as it comes, and one that fails in the middle goes on there.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use futures_util::future::join_all;
use shepard_model::JobId;

use super::error::failed;
use super::feed::{Feed, Pass};
use super::item::{self, Item};
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Changes, Clock, Cursor, Mode};

/// Rows of one page of a reading.
const PAGE: i32 = 1_000;
/// Bytes of a table for which a reading has one more hand, and most hands.
const HAND: u64 = 16 << 20;
const HANDS: u64 = 8;
/// Milliseconds between two looks at a stream that moves, and at one that has been quiet.
const SOON_MS: u64 = 250;
const LATE_MS: u64 = 2_000;
/// Read units a second that polling may cost on the long run: at on-demand prices of 2026-11 about 5 cents an hour.
const UNITS_PER_S: f64 = 100.0;
/// Shortest and longest time between two readings, in milliseconds.
const LEAST_MS: u64 = 2_000;
const MOST_MS: u64 = 300_000;
/// Milliseconds after which a stream that could not be had is tried again.
const AGAIN_MS: i64 = 300_000;
/// Throttled answers in a row after which a stream counts as taken by others.
const REFUSALS: u32 = 3;

/// Where changes come from other than from reading everything.
#[async_trait]
pub(super) trait Source: Send + Sync {
    /// Takes a place before which nothing is of interest any more.
    async fn begin(&mut self) -> Result<Begun, Lost>;
    /// What changed since the last call, in the order of each row, and whether there is more already.
    async fn read(&mut self) -> Result<(Vec<Change>, bool), Lost>;
}

/// What is known once there is a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
    /// Size of the table, about.
    pub(super) bytes: u64,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "account"), expect(dead_code, reason = "only the console reads a stream"))]
pub(super) enum Change {
    /// The item is this now.
    Put(Item),
    /// It changed; how has to be read.
    Touched(JobId),
    /// It is gone.
    Removed(JobId),
}

/// Why there are no changes.
#[derive(Debug)]
#[cfg_attr(not(feature = "account"), expect(dead_code, reason = "only the console reads a stream"))]
pub(super) enum Lost {
    /// The place is gone, and with it what happened since.
    Gap,
    /// The source cannot be read; nothing is lost yet.
    Away(CloudError),
}

/// A table that is followed.
pub(super) struct Follow {
    client: Client,
    table: String,
    keep_days: u32,
    clock: Arc<dyn Clock>,
    source: Option<Box<dyn Source>>,
    feed: Feed,
    reading: Option<Reading>,
    state: State,
    /// Time between two readings, where there is no stream.
    every_ms: u64,
    /// The stream has more already.
    behind: bool,
    /// Looks at the stream in a row that brought nothing.
    quiet: u32,
    refusals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The stream is not read; it is tried with the first reading that begins at this time or later.
    Untried(i64),
    /// The stream is read.
    Streams,
}

/// A reading of the whole table that is under way.
struct Reading {
    pass: Pass,
    hands: Vec<Hand>,
    consistent: bool,
    units: f64,
}

/// One part of a reading.
#[derive(Debug, Clone)]
enum Hand {
    At(Option<Item>),
    Done,
}

impl Follow {
    pub(super) fn new(
        client: Client,
        table: String,
        keep_days: u32,
        clock: Arc<dyn Clock>,
        source: Option<Box<dyn Source>>,
    ) -> Self {
        let feed = Feed::new(clock.now_ms());
        let state = State::Untried(i64::MIN);
        let (reading, every_ms, behind, quiet, refusals) = (None, LEAST_MS, false, 0, 0);
        Self {
            client,
            table,
            keep_days,
            clock,
            source,
            feed,
            reading,
            state,
            every_ms,
            behind,
            quiet,
            refusals,
        }
    }

    /// At most `limit` changes after `cursor`.
    pub(super) async fn changes(&mut self, cursor: Cursor, limit: usize) -> Result<Changes> {
        let limit = limit.max(1);
        while !self.feed.has_more_than(cursor, limit) {
            let looked =
                if self.reading.is_some() { self.read_on().await.map(|()| true) } else { self.look().await };
            match looked {
                // What is there already is given first; the next call meets the fault again, if it is still there.
                Err(error) if !self.feed.has_more_than(cursor, 0) => return Err(error),
                Err(_) => break,
                Ok(goes_on) if !(goes_on && self.reading.is_some()) => break,
                Ok(_) => {}
            }
        }
        let mut changes = self.feed.since(cursor, limit);
        changes.more |= self.reading.is_some() || self.behind;
        (changes.mode, changes.wait_ms) = match self.state {
            State::Streams => (Mode::Stream, (SOON_MS << self.quiet.min(3)).min(LATE_MS)),
            State::Untried(_) => (Mode::Poll { every_ms: self.every_ms }, self.every_ms),
        };
        Ok(changes)
    }

    /// Looks once for what is new. True where a reading has begun.
    async fn look(&mut self) -> Result<bool> {
        match self.state {
            State::Streams => match self.read_stream().await {
                Ok((changes, more)) => {
                    (self.refusals, self.behind) = (0, more);
                    self.quiet = if changes.is_empty() { self.quiet.saturating_add(1) } else { 0 };
                    self.take(changes).await?;
                    Ok(false)
                }
                Err(Lost::Gap) => {
                    tracing::info!(table = %self.table, "the stream lost its place; the table is read again");
                    self.state = State::Untried(i64::MIN);
                    self.begin().await
                }
                Err(Lost::Away(error)) => self.go_without(error).await,
            },
            State::Untried(_) => self.begin().await,
        }
    }

    async fn read_stream(&mut self) -> Result<(Vec<Change>, bool), Lost> {
        match &mut self.source {
            Some(source) => source.read().await,
            None => Err(Lost::Gap),
        }
    }

    /// The stream cannot be read. What may pass is an error; what will not means polling.
    async fn go_without(&mut self, error: CloudError) -> Result<bool> {
        let passes = match error.kind {
            Kind::Throttled => {
                self.refusals += 1;
                self.refusals < REFUSALS
            }
            Kind::Denied | Kind::NotFound | Kind::Invalid => false,
            _ => true,
        };
        if passes {
            return Err(error);
        }
        tracing::info!(table = %self.table, %error, "the stream cannot be read; the table is polled");
        self.refusals = 0;
        self.state = State::Untried(self.clock.now_ms().saturating_add(AGAIN_MS));
        self.begin().await
    }

    /// Begins a reading of the whole table, behind the stream where that can be had.
    async fn begin(&mut self) -> Result<bool> {
        let mut hands = 1;
        self.behind = false;
        let due = matches!(self.state, State::Untried(at_ms) if self.clock.now_ms() >= at_ms);
        if let Some(source) = self.source.as_mut().filter(|_| due) {
            match source.begin().await {
                Ok(begun) => {
                    hands = (begun.bytes / HAND + 1).min(HANDS);
                    (self.state, self.quiet) = (State::Streams, 0);
                }
                // Who is offline or expired cannot read the table either.
                Err(Lost::Away(error))
                    if matches!(error.kind, Kind::Offline | Kind::Auth | Kind::Expired) =>
                {
                    return Err(error);
                }
                Err(lost) => {
                    if let Lost::Away(error) = lost {
                        tracing::info!(table = %self.table, %error, "there is no stream; the table is polled");
                    }
                    self.state = State::Untried(self.clock.now_ms().saturating_add(AGAIN_MS));
                }
            }
        }
        let hands = (0..hands).map(|_| Hand::At(None)).collect();
        let consistent = self.state == State::Streams;
        self.reading = Some(Reading { pass: self.feed.begin(), hands, consistent, units: 0.0 });
        self.read_on().await?;
        Ok(true)
    }

    /// One more page of every part of the reading.
    async fn read_on(&mut self) -> Result<()> {
        let Some(mut reading) = self.reading.take() else { return Ok(()) };
        let total = i32::try_from(reading.hands.len()).unwrap_or(1);
        let asked = reading.hands.iter().zip(0..).filter_map(|(hand, number)| {
            let Hand::At(from) = hand else { return None };
            let mut request = self
                .client
                .scan()
                .table_name(&self.table)
                .limit(PAGE)
                .consistent_read(reading.consistent)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .set_exclusive_start_key(from.clone());
            if total > 1 {
                request = request.segment(number).total_segments(total);
            }
            Some(async move { (number, request.send().await) })
        });
        let mut fault = None;
        for (number, answer) in join_all(asked).await {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    fault = Some(failed("follow the jobs of", &self.table, &error));
                    continue;
                }
            };
            reading.units += answer.consumed_capacity().and_then(|used| used.capacity_units()).unwrap_or(0.0);
            for found in answer.items() {
                self.see(found, Some(&reading.pass));
            }
            if let Some(hand) = usize::try_from(number).ok().and_then(|number| reading.hands.get_mut(number))
            {
                *hand = answer.last_evaluated_key.map_or(Hand::Done, |key| Hand::At(Some(key)));
            }
        }
        if let Some(error) = &fault
            && error.kind == Kind::Throttled
        {
            self.every_ms = (self.every_ms * 2).min(MOST_MS);
        }
        if reading.hands.iter().all(|hand| matches!(hand, Hand::Done)) {
            self.feed.end(&reading.pass);
            self.every_ms = next_ms(self.every_ms, reading.units);
        } else {
            self.reading = Some(reading);
        }
        fault.map_or(Ok(()), Err)
    }

    fn see(&mut self, found: &Item, pass: Option<&Pass>) {
        match item::decode(found, self.keep_days) {
            Ok(stored) => self.feed.see(pass, stored.row.summary(), stored.rev),
            Err(error) => tracing::warn!(table = %self.table, %error, "an item was passed over"),
        }
    }

    /// Takes in what the stream said.
    async fn take(&mut self, changes: Vec<Change>) -> Result<()> {
        let mut touched = Vec::new();
        for change in changes {
            match change {
                Change::Put(item) => self.see(&item, None),
                Change::Removed(id) => self.feed.remove(&id),
                Change::Touched(id) => touched.push(id),
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for id in touched {
            let key = AttributeValue::S(id.as_str().to_owned());
            let request =
                self.client.get_item().table_name(&self.table).consistent_read(true).key(item::ID, key);
            match request.send().await {
                Ok(answer) => match answer.item() {
                    Some(found) => self.see(found, None),
                    None => self.feed.remove(&id),
                },
                Err(error) => {
                    // Its record will not come again: only the table has it now.
                    self.state = State::Untried(i64::MIN);
                    return Err(failed("follow the jobs of", &self.table, &error));
                }
            }
        }
        Ok(())
    }
}

/// How long to wait after a reading that cost so much: the time that pays for it, and back from a longer one bit by bit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn next_ms(every_ms: u64, units: f64) -> u64 {
    let paid_ms = (units / UNITS_PER_S * 1e3).clamp(0.0, 1e9) as u64;
    paid_ms.max(every_ms - every_ms / 4).clamp(LEAST_MS, MOST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_table_is_read_less_often_and_a_slow_time_passes() {
        assert_eq!(next_ms(LEAST_MS, 0.5), LEAST_MS);
        assert_eq!(next_ms(LEAST_MS, 1_250.0), 12_500, "ten thousand rows of a kilobyte");
        assert_eq!(next_ms(LEAST_MS, 125_000.0), MOST_MS, "a million of them");
        let mut every_ms = MOST_MS;
        for _ in 0..20 {
            every_ms = next_ms(every_ms, 1.0);
        }
        assert_eq!(every_ms, LEAST_MS);
    }
}
