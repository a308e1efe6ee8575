//! What one table shows of a store: which rows, in which order, which of them is selected, which are marked.
//!
//! The order always belongs to one sort and one filter, those *shown*. Others may be *wanted* meanwhile: then a
//! [`ViewJob`] is on its way, the old order goes on being kept up to date, and what changed under the job is
//! merged into its answer.

use serde::{Deserialize, Serialize};
use shepard_model::JobId;

use super::job::{ViewJob, ViewResult};
use super::marks::Marks;
use super::rows::{Row, Snapshot};
use super::sort::Sort;
use super::window::{Move, Window};
use super::{Merged, Store, Touch};
use crate::app::filter::{Filter, Scratch};

/// Up to here a whole sort and filter is done on the spot: at most a few milliseconds.
const INLINE: u32 = 4_096;

/// A table's state. Written without its order: one that was read back needs [`View::rebuild`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct View {
    #[serde(skip)]
    order: Vec<u32>,
    shown: (Sort, Filter),
    wanted: (Sort, Filter),
    generation: u64,
    /// What changed since the snapshot of the job under way; None while there is none.
    #[serde(skip)]
    pending: Option<Vec<u32>>,
    window: Window,
    /// The job a person last chose. A filter may hide it; when the filter goes, the selection returns to it.
    chosen: Option<JobId>,
    /// The job under the selection, which it follows when rows come and go around it.
    current: Option<JobId>,
    /// A person has moved the selection. Until then it stays on the first row, whatever arrives above.
    moved: bool,
    marks: Marks,
    /// Marked rows that are in `order`.
    marked_shown: usize,
    /// Where a range of marks begins: the row marked last.
    range_from: Option<JobId>,
}

impl View {
    /// A view of an empty store.
    pub fn new(sort: Sort) -> Self {
        Self { shown: (sort, Filter::default()), wanted: (sort, Filter::default()), ..Self::default() }
    }

    /// Rows in the table.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The sort asked for; shown at once in the header.
    pub fn sort(&self) -> Sort {
        self.wanted.0
    }

    /// The filter asked for.
    pub fn filter(&self) -> &Filter {
        &self.wanted.1
    }

    /// Whether a job is under way.
    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// The window over the rows.
    pub fn window(&self) -> Window {
        self.window
    }

    /// The index of the row at a place of the table.
    pub fn index_at(&self, place: usize) -> Option<u32> {
        self.order.get(place).copied()
    }

    /// The indexes in the table, in order.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The row at a place of the table.
    pub fn row_at<'a>(&self, store: &'a Store, place: usize) -> Option<Row<'a>> {
        store.row(self.index_at(place)?)
    }

    /// The rows on the screen, with their places.
    pub fn visible<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = (usize, u32, Row<'a>)> {
        let range = self.window.range(self.len());
        range.filter_map(move |place| {
            let index = self.index_at(place)?;
            Some((place, index, store.row(index)?))
        })
    }

    /// The selected row.
    pub fn selected<'a>(&self, store: &'a Store) -> Option<Row<'a>> {
        self.row_at(store, self.window.selected)
    }

    // Sort and filter.

    /// Asks for another order. None if it is done already; else the job to run, whose answer goes to [`View::accept`].
    #[must_use = "the job has to be run"]
    pub fn set_sort(&mut self, sort: Sort, store: &Store, now_ms: i64) -> Option<ViewJob> {
        self.wanted.0 = sort;
        self.rebuild(store, now_ms)
    }

    /// Asks for other rows, as [`View::set_sort`].
    #[must_use = "the job has to be run"]
    pub fn set_filter(&mut self, filter: Filter, store: &Store, now_ms: i64) -> Option<ViewJob> {
        self.wanted.1 = filter;
        self.rebuild(store, now_ms)
    }

    /// Works everything out again: for a filter that depends on the time, and after a store was replaced.
    #[must_use = "the job has to be run"]
    pub fn rebuild(&mut self, store: &Store, now_ms: i64) -> Option<ViewJob> {
        let job = self.start(store, now_ms);
        if store.rows().slots() > INLINE {
            return Some(job);
        }
        self.accept(job.run(1), store, now_ms);
        None
    }

    /// Makes the job for what is wanted; from here on changes are kept for its answer.
    pub(crate) fn start(&mut self, store: &Store, now_ms: i64) -> ViewJob {
        self.generation += 1;
        self.pending = Some(Vec::new());
        ViewJob {
            snapshot: store.snapshot(),
            sort: self.wanted.0,
            filter: self.wanted.1.clone(),
            generation: self.generation,
            now_ms,
        }
    }

    /// The sort and the filter that the order belongs to now.
    pub fn showing(&self) -> (Sort, &Filter) {
        (self.shown.0, &self.shown.1)
    }

    /// Takes the answer of a job. False if it is not the newest job's, and was dropped.
    pub fn accept(&mut self, result: ViewResult, store: &Store, now_ms: i64) -> bool {
        if result.generation != self.generation {
            return false;
        }
        let Some(mut pending) = self.pending.take() else { return false };
        self.shown = self.wanted.clone();
        self.order = result.order;
        pending.sort_unstable();
        pending.dedup();
        if !pending.is_empty() {
            self.drop_any(store.rows(), &pending);
            self.insert(store.rows(), pending, now_ms);
        }
        if self.place_of_id(store, self.chosen.as_ref()).is_some() {
            self.current.clone_from(&self.chosen);
        }
        self.settle(store);
        true
    }

    /// Takes in what a merge of the store did. True if anything this view shows may look different.
    pub fn merge(&mut self, store: &Store, merged: &Merged, now_ms: i64) -> bool {
        if merged.is_empty() {
            return false;
        }
        if let Some(pending) = &mut self.pending {
            pending.extend(merged.touched.iter().map(|touch| touch.index));
        }
        for &index in &merged.removed {
            self.marks.set(index, false);
        }
        let by_sort = self.shown.0.fields();
        let either = by_sort.or(self.shown.1.fields());
        let mut touched: Vec<Touch> =
            merged.touched.iter().filter(|touch| touch.fields.touches(either)).copied().collect();
        if touched.is_empty() {
            // Nothing moves, but a visible cell may have changed.
            return true;
        }
        // A row that was there before anything else in the batch happened to it comes first of its kind.
        touched.sort_by_key(|touch| (touch.index, touch.new));
        touched.dedup_by(|later, first| {
            let same = later.index == first.index;
            if same {
                // A row that changed twice in a batch lies where neither of its changes alone would put it.
                first.fields = first.fields.or(later.fields);
            }
            same
        });
        let old: Vec<Touch> = touched.iter().filter(|touch| !touch.new).copied().collect();
        let indexes = |touches: &[Touch]| touches.iter().map(|touch| touch.index).collect::<Vec<_>>();
        if old.iter().any(|touch| touch.fields.touches(by_sort)) {
            self.drop_any(store.rows(), &indexes(&old));
        } else {
            self.drop_in_place(store.rows(), &indexes(&old));
        }
        self.insert(store.rows(), indexes(&touched), now_ms);
        self.settle(store);
        true
    }

    /// Takes rows out of the order wherever they are: one pass over all of it.
    fn drop_any(&mut self, rows: &Snapshot, indexes: &[u32]) {
        if indexes.is_empty() {
            return;
        }
        let mut bits = vec![0_u64; rows.slots() as usize / 64 + 1];
        for &index in indexes {
            bits[index as usize / 64] |= 1 << (index % 64);
        }
        self.order.retain(|&index| bits[index as usize / 64] >> (index % 64) & 1 == 0);
    }

    /// Takes rows out whose place in the order has not changed, so that it can be looked up.
    fn drop_in_place(&mut self, rows: &Snapshot, indexes: &[u32]) {
        let mut places: Vec<usize> = indexes.iter().filter_map(|&index| self.place_of(rows, index)).collect();
        places.sort_unstable();
        let Some(&first) = places.first() else { return };
        let mut to = first;
        for (number, &place) in places.iter().enumerate() {
            let end = places.get(number + 1).copied().unwrap_or(self.order.len());
            self.order.copy_within(place + 1..end, to);
            to += end - place - 1;
        }
        self.order.truncate(to);
    }

    /// Puts those of `indexes` that exist and match where they belong. None of them may be in the order yet.
    fn insert(&mut self, rows: &Snapshot, indexes: Vec<u32>, now_ms: i64) {
        let (sort, filter) = &self.shown;
        let mut scratch = Scratch::new();
        let mut add = indexes;
        add.retain(|&index| rows.row(index).is_some_and(|row| filter.matches(&row, now_ms, &mut scratch)));
        if add.is_empty() {
            return;
        }
        if add.len() > 64 && add.len() > self.order.len() / 16 {
            // A page of a first listing: sorting all of it costs less than finding so many places.
            self.order.append(&mut add);
            sort.all(rows, &mut self.order);
            return;
        }
        sort.all(rows, &mut add);
        // From the end: every run of rows between two places moves once, by as many rows as come before it.
        let mut end = self.order.len();
        self.order.resize(end + add.len(), 0);
        for (before, &index) in add.iter().enumerate().rev() {
            let place = self.order[..end].partition_point(|&other| sort.compare(rows, other, index).is_lt());
            self.order.copy_within(place..end, place + before + 1);
            self.order[place + before] = index;
            end = place;
        }
    }

    /// Where a row is in the order shown, if it is there and sorted as it stands.
    fn place_of(&self, rows: &Snapshot, index: u32) -> Option<usize> {
        rows.row(index)?;
        let sort = self.shown.0;
        let place = self.order.partition_point(|&other| sort.compare(rows, other, index).is_lt());
        (self.order.get(place) == Some(&index)).then_some(place)
    }

    fn place_of_id(&self, store: &Store, id: Option<&JobId>) -> Option<usize> {
        self.place_of(store.rows(), store.find(id?)?)
    }

    /// After the order changed: the selection finds its job again, and the marks on view are counted.
    fn settle(&mut self, store: &Store) {
        let length = self.order.len();
        if !self.moved {
            self.window.go(Move::Home, length);
            self.current = self.selected(store).map(|row| row.id());
            self.chosen.clone_from(&self.current);
            self.count_marks();
            return;
        }
        match self.place_of_id(store, self.current.as_ref()) {
            Some(place) => self.window.follow(place, length),
            None => {
                self.window.fit(length);
                self.current = self.selected(store).map(|row| row.id());
            }
        }
        if self.chosen.is_none() {
            self.chosen.clone_from(&self.current);
        }
        self.count_marks();
    }

    fn choose_here(&mut self, store: &Store) {
        if let Some(id) = self.selected(store).map(|row| row.id()) {
            self.current = Some(id.clone());
            self.chosen = Some(id);
        }
    }

    // Selection and window.

    /// Moves the selection.
    pub fn go(&mut self, to: Move, store: &Store) {
        self.window.go(to, self.order.len());
        self.moved = true;
        self.choose_here(store);
    }

    /// Takes the height of the table's body.
    pub fn resize(&mut self, height: usize) {
        self.window.resize(height, self.order.len());
    }

    /// Selects a job, if it is in the table.
    pub fn select(&mut self, id: &JobId, store: &Store) -> bool {
        let Some(index) = store.find(id) else { return false };
        let Some(place) = self.place_of(store.rows(), index) else { return false };
        self.window.go(Move::To(place), self.order.len());
        self.moved = true;
        self.choose_here(store);
        true
    }

    // Marks.

    /// Whether the row at that index is marked.
    pub fn is_marked(&self, index: u32) -> bool {
        self.marks.has(index)
    }

    /// How many jobs are marked.
    pub fn marked(&self) -> usize {
        self.marks.len()
    }

    /// How many of them the filter hides.
    pub fn marked_hidden(&self) -> usize {
        self.marks.len().saturating_sub(self.marked_shown)
    }

    /// Marks or unmarks the selected job, and moves on to the next.
    pub fn mark_selected(&mut self, store: &Store) {
        if let Some(index) = self.index_at(self.window.selected) {
            self.mark(index, !self.marks.has(index));
            self.range_from = store.row(index).map(|row| row.id());
            self.go(Move::By(1), store);
        }
    }

    /// Marks everything from the row marked last to the selected one. Without one, just the selected.
    pub fn mark_range(&mut self, store: &Store) {
        let from = self.range_from.as_ref().and_then(|id| store.find(id));
        let here = self.window.selected;
        let from = from.and_then(|index| self.place_of(store.rows(), index)).unwrap_or(here);
        for place in from.min(here)..=from.max(here) {
            if let Some(index) = self.index_at(place) {
                self.mark(index, true);
            }
        }
        self.range_from = self.selected(store).map(|row| row.id());
    }

    /// Marks every job in the table, whether on the screen or not; if all are, unmarks them.
    pub fn mark_all(&mut self) {
        let marked = self.marked_shown < self.order.len();
        for &index in &self.order {
            self.marks.set(index, marked);
        }
        self.count_marks();
    }

    /// Unmarks everything, also what is hidden.
    pub fn clear_marks(&mut self) {
        self.marks.clear();
        self.marked_shown = 0;
        self.range_from = None;
    }

    /// The marked jobs: those in the table in its order, then the hidden ones.
    pub fn marked_ids(&self, store: &Store) -> Vec<JobId> {
        let mut rest = self.marks.clone();
        let mut ids = Vec::with_capacity(self.marks.len());
        for &index in &self.order {
            if rest.has(index) {
                rest.set(index, false);
                ids.extend(store.row(index).map(|row| row.id()));
            }
        }
        ids.extend(rest.iter().filter_map(|index| store.row(index)).map(|row| row.id()));
        ids
    }

    /// What an action is for: the marked jobs, or the selected one if none is marked.
    pub fn targets(&self, store: &Store) -> Vec<JobId> {
        if self.marks.is_empty() {
            return self.selected(store).map(|row| row.id()).into_iter().collect();
        }
        self.marked_ids(store)
    }

    fn mark(&mut self, index: u32, marked: bool) {
        // Only rows of the table come here.
        match (self.marks.has(index), marked) {
            (false, true) => self.marked_shown += 1,
            (true, false) => self.marked_shown -= 1,
            _ => {}
        }
        self.marks.set(index, marked);
    }

    fn count_marks(&mut self) {
        self.marked_shown = if self.marks.is_empty() {
            0
        } else {
            self.order.iter().filter(|&&index| self.marks.has(index)).count()
        };
    }
}
