//! Which rows of an invocation go into which batch, and at which place.
//!
//! A row gets its place before it is written, so that it is written once. The first row of a shape is held back until a
//! second comes: alone, it stays a plain job. Pure: it writes nothing and asks nobody.

use std::collections::BTreeMap;

use shepard_model::manifest::Header;
use shepard_model::{BatchRef, JobId, JobRow, Shape, Value};

use crate::batch::MOST;

/// Bytes of variables that rows held back may have in all. A row beyond that gets its place at once.
const HELD_BYTES: usize = 4 * 1024 * 1024;

/// What must be equal for rows to share a batch: their shape, and the rows in a container.
type Key = (Shape, u32);

/// The batches of an invocation. An `entry` is whatever number the caller knows a row by.
#[derive(Debug)]
pub(crate) struct Groups {
    arrays: bool,
    pack: u32,
    open: BTreeMap<Key, usize>,
    held: BTreeMap<Key, Held>,
    held_bytes: usize,
    alone: Vec<Held>,
    all: Vec<Group>,
}

/// A row that has no place yet.
pub(crate) type Held = (usize, Box<JobRow>);

/// A row and the place that it was given, which it names already.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) entry: usize,
    pub(crate) row: Box<JobRow>,
    pub(crate) seat: Seat,
}

/// A place in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    group: usize,
    index: u32,
}

#[derive(Debug)]
struct Group {
    id: JobId,
    key: Key,
    /// The entry at each place, and whether its row is known to be written.
    places: Vec<Option<(usize, bool)>>,
    free: Vec<u32>,
}

/// A batch whose rows are written.
#[derive(Debug)]
pub(crate) struct Full {
    pub(crate) id: JobId,
    pub(crate) header: Header,
    /// The entry at each place.
    pub(crate) places: Vec<Option<usize>>,
}

impl Groups {
    /// No batches yet. Without `arrays` there will be none; `pack` is for rows that do not say.
    pub(crate) fn new(arrays: bool, pack: u32) -> Self {
        let (open, held) = (BTreeMap::new(), BTreeMap::new());
        Self { arrays, pack: pack.max(1), open, held, held_bytes: 0, alone: Vec::new(), all: Vec::new() }
    }

    /// Takes a row that is to be written; gives those that have a place now. `name` makes the id of a batch.
    pub(crate) fn offer(
        &mut self,
        entry: usize,
        row: Box<JobRow>,
        name: impl Fn(&JobId) -> JobId,
    ) -> Vec<Placed> {
        if !self.arrays {
            self.alone.push((entry, row));
            return Vec::new();
        }
        let key = self.key(row.shape());
        let mut ready = Vec::new();
        if !self.open.contains_key(&key) {
            let weight = weight(&row);
            if let Some((first, row)) = self.held.remove(&key) {
                self.held_bytes = self.held_bytes.saturating_sub(self::weight(&row));
                ready.push((first, row));
            } else if self.held_bytes + weight <= HELD_BYTES {
                self.held_bytes += weight;
                self.held.insert(key, (entry, row));
                return Vec::new();
            }
        }
        ready.push((entry, row));
        let place = |(entry, mut row): Held| {
            let (seat, place) = self.seat_of(entry, key.clone(), &row.id, &name);
            row.batch = Some(place);
            Placed { entry, row, seat }
        };
        ready.into_iter().map(place).collect()
    }

    /// A place for a row that is written and leaves a batch that was given up. None where there are no batches.
    pub(crate) fn seat(
        &mut self,
        entry: usize,
        shape: Shape,
        id: &JobId,
        name: impl Fn(&JobId) -> JobId,
    ) -> Option<(Seat, BatchRef)> {
        let key = self.key(shape);
        self.arrays.then(|| self.seat_of(entry, key, id, &name))
    }

    fn key(&self, mut shape: Shape) -> Key {
        let pack = shape.pack.take().unwrap_or(self.pack);
        (shape, pack)
    }

    fn seat_of(
        &mut self,
        entry: usize,
        key: Key,
        id: &JobId,
        name: &impl Fn(&JobId) -> JobId,
    ) -> (Seat, BatchRef) {
        let room = |at: &usize| {
            self.all
                .get(*at)
                .filter(|one| !one.free.is_empty() || one.places.len() < MOST as usize)
                .map(|_| *at)
        };
        let group = self.open.get(&key).and_then(room).unwrap_or_else(|| {
            self.open.insert(key.clone(), self.all.len());
            self.all.push(Group { id: name(id), key, places: Vec::new(), free: Vec::new() });
            self.all.len() - 1
        });
        let one = &mut self.all[group];
        let index = one.free.pop().unwrap_or_else(|| {
            one.places.push(None);
            u32::try_from(one.places.len() - 1).unwrap_or(u32::MAX)
        });
        one.places[index as usize] = Some((entry, false));
        (Seat { group, index }, BatchRef { id: one.id.clone(), index })
    }

    /// The row at this place is written.
    pub(crate) fn landed(&mut self, seat: Seat) {
        if let Some(Some(place)) = self.place(seat) {
            place.1 = true;
        }
    }

    /// There is no such row. `reuse` says that there will never be one that names this place.
    pub(crate) fn vacate(&mut self, seat: Seat, reuse: bool) {
        if let Some(place) = self.place(seat) {
            *place = None;
            if reuse {
                self.all[seat.group].free.push(seat.index);
            }
        }
    }

    fn place(&mut self, seat: Seat) -> Option<&mut Option<(usize, bool)>> {
        self.all.get_mut(seat.group)?.places.get_mut(seat.index as usize)
    }

    /// The rows that found no company.
    pub(crate) fn lonely(&mut self) -> Vec<Held> {
        self.held_bytes = 0;
        let held = std::mem::take(&mut self.held).into_values();
        std::mem::take(&mut self.alone).into_iter().chain(held).collect()
    }

    /// The batches with a row in them, in the order in which they were begun.
    pub(crate) fn full(&mut self) -> Vec<Full> {
        self.open.clear();
        let full = |group: Group| {
            let mut places: Vec<Option<usize>> = group
                .places
                .iter()
                .map(|place| place.filter(|(_, landed)| *landed).map(|(entry, _)| entry))
                .collect();
            let used = places.iter().rposition(Option::is_some)? + 1;
            places.truncate(used);
            let (shape, pack) = group.key;
            let header = Header::new(u32::try_from(used).unwrap_or(MOST), pack, shape);
            Some(Full { id: group.id, header, places })
        };
        std::mem::take(&mut self.all).into_iter().filter_map(full).collect()
    }
}

/// Bytes of a row's variables, about.
fn weight(row: &JobRow) -> usize {
    let value = |value: &Value| match value {
        Value::String(text) | Value::Number(text) | Value::Json(text) => text.len(),
        Value::Bool(_) | Value::Null => 0,
    };
    row.variables.iter().map(|(name, one)| name.len() + value(one) + 64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shepard_model::Inputs;

    fn row(name: &str, json: &str) -> Box<JobRow> {
        let inputs = Inputs::from_json(json).expect("inputs");
        Box::new(JobRow::arrived(id(name), None, inputs, 0, 1))
    }

    fn id(name: &str) -> JobId {
        JobId::parse(name).expect("an id")
    }

    fn named(first: &JobId) -> JobId {
        id(&format!("batch-{first}"))
    }

    fn indices(placed: &[Placed]) -> Vec<(usize, u32)> {
        placed.iter().map(|one| (one.entry, one.row.batch.as_ref().map_or(99, |at| at.index))).collect()
    }

    #[test]
    fn the_first_of_a_shape_waits_for_a_second() {
        let mut groups = Groups::new(true, 1);
        assert!(groups.offer(0, row("a", "{}"), named).is_empty());
        assert!(groups.offer(1, row("b", r#"{"SHEPARD_VCPUS":2}"#), named).is_empty());
        let two = groups.offer(2, row("c", r#"{"SHEPARD_PACK":1}"#), named);
        assert_eq!(indices(&two), [(0, 0), (2, 1)], "the flock's own pack is no other shape");
        assert_eq!(indices(&groups.offer(3, row("d", "{}"), named)), [(3, 2)]);
        let lonely = groups.lonely();
        assert_eq!(
            lonely.iter().map(|(entry, row)| (*entry, row.batch.is_none())).collect::<Vec<_>>(),
            [(1, true)]
        );
        two.iter().for_each(|one| groups.landed(one.seat));
        let full = groups.full();
        assert_eq!(full.len(), 1);
        assert_eq!(
            (full[0].header.records, &full[0].places[..]),
            (2, &[Some(0), Some(2)][..]),
            "d was not written"
        );
        assert_eq!(full[0].id, id("batch-a"));
        assert!(groups.full().is_empty());
    }

    #[test]
    fn a_place_is_free_again_only_where_no_row_can_name_it() {
        let mut groups = Groups::new(true, 2);
        groups.offer(0, row("a", "{}"), named);
        let two = groups.offer(1, row("b", "{}"), named);
        groups.vacate(two[0].seat, true);
        groups.vacate(two[1].seat, false);
        let next = groups.offer(2, row("c", "{}"), named);
        let last = groups.offer(3, row("d", "{}"), named);
        assert_eq!((indices(&next), indices(&last)), (vec![(2, 0)], vec![(3, 2)]));
        groups.landed(next[0].seat);
        groups.landed(last[0].seat);
        let full = groups.full();
        assert_eq!(full[0].places, [Some(2), None, Some(3)]);
        assert_eq!((full[0].header.records, full[0].header.children()), (3, 2));
    }

    #[test]
    fn a_batch_is_never_larger_than_an_array_and_all_holes_are_none() {
        let mut groups = Groups::new(true, 1);
        let seats: Vec<_> = (0..MOST as usize + 1)
            .filter_map(|entry| groups.seat(entry, Shape::default(), &id(&entry.to_string()), named))
            .collect();
        assert_eq!(groups.all.len(), 2);
        assert_eq!(seats.last().map(|(seat, at)| (seat.group, at.index)), Some((1, 0)));
        assert!(groups.full().is_empty());
    }

    #[test]
    fn without_arrays_every_row_is_alone_and_much_is_not_held_back() {
        let mut groups = Groups::new(false, 1);
        assert!(groups.offer(0, row("a", "{}"), named).is_empty());
        assert!(groups.offer(1, row("b", "{}"), named).is_empty());
        assert!(groups.seat(2, Shape::default(), &id("c"), named).is_none());
        assert_eq!(groups.lonely().len(), 2);
        let mut groups = Groups::new(true, 1);
        let large = format!(r#"{{"x":"{}","SHEPARD_VCPUS":"#, "x".repeat(200_000));
        let placed =
            (1..30).filter(|n| !groups.offer(*n, row("a", &format!("{large}{n}}}")), named).is_empty());
        assert_eq!(placed.count(), 9, "20 are held back: 4 MiB");
    }
}
