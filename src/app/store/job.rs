//! Filtering and sorting every row: work for another thread, on a snapshot, with a generation by which an answer that
//! is no longer wanted is known.

use serde::{Deserialize, Serialize};

use super::rows::Snapshot;
use super::sort::Sort;
use crate::app::filter::{Filter, Scratch};

/// Below this many rows a second thread costs more than it brings.
const ROWS_PER_THREAD: u32 = 100_000;

/// What to work out. Latest wins: a view has use for the answer to its newest job alone.
#[derive(Debug, Clone)]
#[must_use = "a job that is not run leaves its view waiting"]
pub struct ViewJob {
    /// The rows as they were.
    pub snapshot: Snapshot,
    /// The order wanted.
    pub sort: Sort,
    /// The rows wanted.
    pub filter: Filter,
    /// Of the view's request.
    pub generation: u64,
    /// The time that `age` and `took` are measured from.
    pub now_ms: i64,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewResult {
    /// The rows asked for, in the order asked for.
    pub order: Vec<u32>,
    /// Of the request it answers.
    pub generation: u64,
}

impl std::fmt::Debug for ViewResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewResult")
            .field("rows", &self.order.len())
            .field("generation", &self.generation)
            .finish()
    }
}

impl ViewJob {
    /// Does the work, with up to `threads` threads for the filter. Takes tens of milliseconds at a million rows.
    pub fn run(&self, threads: u32) -> ViewResult {
        let mut order = self.filtered(threads);
        self.sort.all(&self.snapshot, &mut order);
        ViewResult { order, generation: self.generation }
    }

    /// The indexes of the rows that match, ascending.
    pub fn filtered(&self, threads: u32) -> Vec<u32> {
        let slots = self.snapshot.slots();
        let parts = threads.min(slots / ROWS_PER_THREAD).max(1);
        if parts == 1 {
            return self.part(0..slots);
        }
        let size = slots.div_ceil(parts);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..parts)
                .map(|part| part * size..slots.min((part + 1) * size))
                .map(|range| (range.clone(), scope.spawn(move || self.part(range))))
                .collect();
            let mut order = self.part(0..size);
            for (range, other) in others {
                // A thread that could not be joined has panicked; its part is done again here.
                order.extend(other.join().unwrap_or_else(|_| self.part(range)));
            }
            order
        })
    }

    fn part(&self, range: std::ops::Range<u32>) -> Vec<u32> {
        let mut scratch = Scratch::for_scan();
        let rows = self.snapshot.range(range);
        if self.filter.is_empty() {
            return rows.map(|(index, _)| index).collect();
        }
        // A copy of one's own: a regex that two threads share makes them wait for each other.
        let filter = self.filter.clone();
        rows.filter(|(_, row)| filter.matches(row, self.now_ms, &mut scratch))
            .map(|(index, _)| index)
            .collect()
    }
}
