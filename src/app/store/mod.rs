//! The jobs of one flock as a console holds them: up to a million rows, merged in batches, read by index.
//!
//! | module | holds |
//! |---|---|
//! | `rows` | the packed rows and the [`Snapshot`] that another thread may read |
//! | `words` | tags and reasons, each kept once |
//! | [`groups`] | faults that look alike, counted |
//! | `history` | arrivals and ends per bucket, rates |
//! | `sort` | what comes before what |
//! | `view` | what one table shows: order, filter, selection, marks |
//! | `job` | sorting and filtering everything, for another thread |
//! | `window` | which rows are on the screen |
//!
//! Plain data: it never asks the time, never blocks, and never draws.

pub mod groups;
mod history;
mod job;
mod marks;
mod rows;
mod sort;
mod view;
mod window;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shepard_model::{JobId, JobSummary, State};

pub use history::{BUCKET_MS, BUCKETS, History, Rates};
pub use job::{ViewJob, ViewResult};
pub use marks::Marks;
pub(crate) use rows::char_mask;
pub use rows::{IdBuf, Row, Snapshot};
pub use sort::{Fields, Sort, SortKey};
pub use view::View;
pub use window::{Move, Window};

use rows::IdKey;
use words::Words;

/// Every job of a flock.
#[derive(Default)]
pub struct Store {
    rows: Snapshot,
    tags: Words,
    reasons: Words,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    free: Vec<u32>,
    length: usize,
    counts: [u64; 7],
    history: History,
}

/// One row that a merge changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// Which.
    pub index: u32,
    /// What of it. [`Fields::ALL`] for a row that is new or gone.
    pub fields: Fields,
    /// It was not there before, so no order can hold it.
    pub new: bool,
}

/// What a merge did, for the views of the store. Rows that came with nothing new are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a view that is not told shows rows that are gone"]
pub struct Merged {
    /// The rows, in the order of the changes; one may be there twice.
    pub touched: Vec<Touch>,
    /// How many came new.
    pub added: usize,
    /// How many were known and changed.
    pub changed: usize,
    /// The indexes that were freed.
    pub removed: Vec<u32>,
}

impl Merged {
    /// Nothing happened, nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty()
    }
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many jobs.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Jobs in each state, in the order of [`State::ALL`].
    pub fn counts(&self) -> [u64; 7] {
        self.counts
    }

    /// Jobs in one state.
    pub fn count(&self, state: State) -> u64 {
        self.counts[state as usize]
    }

    /// Arrivals and ends lately.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Jobs per second lately.
    pub fn rates(&self) -> Rates {
        self.history.rates()
    }

    /// Tells the history the time. True if its picture changed.
    pub fn tick(&mut self, now_ms: i64) -> bool {
        self.history.tick(now_ms)
    }

    /// The rows, to read.
    pub fn rows(&self) -> &Snapshot {
        &self.rows
    }

    /// The rows as they are now, to keep or to send.
    pub fn snapshot(&self) -> Snapshot {
        self.rows.clone()
    }

    /// The row at that index.
    pub fn row(&self, index: u32) -> Option<Row<'_>> {
        self.rows.row(index)
    }

    /// Where the job of that id lies.
    pub fn find(&self, id: &JobId) -> Option<u32> {
        let key = IdKey::of(id.as_str());
        self.index.find(self.hasher.hash_one(key), |&index| self.is(index, key)).copied()
    }

    /// The job of that id.
    pub fn get(&self, id: &JobId) -> Option<Row<'_>> {
        self.row(self.find(id)?)
    }

    fn is(&self, index: u32, key: IdKey<'_>) -> bool {
        self.rows.row(index).is_some_and(|row| row.id_key() == key)
    }

    /// Takes in what a feed brought: rows new or changed, and ids that are gone. Removals come first, so that a job
    /// in both lists stays. Give the result to every [`View`] of the store.
    pub fn merge(&mut self, changes: &[JobSummary], removed: &[JobId]) -> Merged {
        let mut merged = Merged::default();
        for id in removed {
            self.remove(id, &mut merged);
        }
        for job in changes {
            match self.find(&job.id) {
                Some(index) => self.change(index, job, &mut merged),
                None => self.add(job, &mut merged),
            }
        }
        merged
    }

    fn add(&mut self, job: &JobSummary, merged: &mut Merged) {
        let index = self.free.pop().unwrap_or(self.rows.slots);
        let tag = self.tags.take(&mut self.rows.tags, job.tag.as_deref());
        let reason = self.reasons.take(&mut self.rows.reasons, job.reason.as_deref());
        self.rows.write(index, job, tag, reason);
        let hash = self.hasher.hash_one(IdKey::of(job.id.as_str()));
        let (rows, hasher) = (&self.rows, &self.hasher);
        // Only rows that live are in the table; the key of any other could not be found again anyway.
        self.index.insert_unique(hash, index, |&index| {
            rows.row(index).map_or(0, |row| hasher.hash_one(row.id_key()))
        });
        self.length += 1;
        self.counts[job.state as usize] += 1;
        self.history.arrived_at(job.created_ms);
        if job.state.is_terminal() {
            self.history.ended_at(job.ended_ms.unwrap_or(job.created_ms));
        }
        // A slot freed in this very batch may still be in an order.
        let new = merged.removed.is_empty();
        merged.added += 1;
        merged.touched.push(Touch { index, fields: Fields::ALL, new });
    }

    fn change(&mut self, index: u32, job: &JobSummary, merged: &mut Merged) {
        let Some(row) = self.rows.row(index) else { return };
        let fields = difference(&row, job);
        if fields.is_empty() {
            return;
        }
        let (state, tag, reason) = (row.state(), row.tag_symbol(), row.reason_symbol());
        let new_reason = self.reasons.take(&mut self.rows.reasons, job.reason.as_deref());
        if fields.touches(Fields::INPUT.or(Fields::TAG).or(Fields::CREATED)) {
            let new_tag = self.tags.take(&mut self.rows.tags, job.tag.as_deref());
            self.rows.write(index, job, new_tag, new_reason);
            self.tags.give(&mut self.rows.tags, tag);
        } else {
            self.rows.write_hot(index, job, new_reason);
        }
        self.reasons.give(&mut self.rows.reasons, reason);
        self.counts[state as usize] -= 1;
        self.counts[job.state as usize] += 1;
        if job.state.is_terminal() && !state.is_terminal() {
            self.history.ended_at(job.ended_ms.unwrap_or(job.created_ms));
        }
        merged.changed += 1;
        merged.touched.push(Touch { index, fields, new: false });
    }

    fn remove(&mut self, id: &JobId, merged: &mut Merged) {
        let key = IdKey::of(id.as_str());
        let rows = &self.rows;
        let found = self.index.find_entry(self.hasher.hash_one(key), |&index| {
            rows.row(index).is_some_and(|row| row.id_key() == key)
        });
        let Ok(entry) = found else { return };
        let (index, _) = entry.remove();
        let Some(row) = self.rows.row(index) else { return };
        let (state, tag, reason) = (row.state(), row.tag_symbol(), row.reason_symbol());
        self.rows.free(index);
        self.tags.give(&mut self.rows.tags, tag);
        self.reasons.give(&mut self.rows.reasons, reason);
        self.free.push(index);
        self.length -= 1;
        self.counts[state as usize] -= 1;
        merged.removed.push(index);
        merged.touched.push(Touch { index, fields: Fields::ALL, new: false });
    }

    /// Every job, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Row<'_>)> {
        self.rows.range(0..self.rows.slots)
    }
}

/// The columns in which a row differs from what a feed says.
fn difference(row: &Row<'_>, job: &JobSummary) -> Fields {
    let when = |differs: bool, field: Fields| if differs { field } else { Fields::NONE };
    when(row.input() != job.input, Fields::INPUT)
        .or(when(row.tag() != job.tag.as_deref(), Fields::TAG))
        .or(when(row.state() != job.state, Fields::STATE))
        .or(when(row.created_ms() != job.created_ms, Fields::CREATED))
        .or(when(row.started_ms() != job.started_ms, Fields::STARTED))
        .or(when(row.ended_ms() != job.ended_ms, Fields::ENDED))
        .or(when(row.attempts() != job.attempts, Fields::ATTEMPTS))
        .or(when(row.exit_code() != job.exit_code, Fields::EXIT))
        .or(when(row.reason() != job.reason.as_deref(), Fields::REASON))
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("length", &self.length)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// A store is written as the list of its jobs.
impl Serialize for Store {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|(_, row)| row.summary()))
    }
}

impl<'de> Deserialize<'de> for Store {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let jobs = Vec::<JobSummary>::deserialize(deserializer)?;
        let mut store = Self::new();
        let _all_are_new = store.merge(&jobs, &[]);
        Ok(store)
    }
}
