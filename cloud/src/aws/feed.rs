//! What changed in a table that is polled: the last summary of every row, each with the number of its last change.
//!
//! Holds one summary a row in memory, about 300 bytes. Numbers begin at the time at which the feed was made, so that a
//! cursor of an earlier process is older than all of them and gets every row again: rows may be told twice, never
//! missed.

use std::collections::{BTreeMap, HashMap, HashSet};

use shepard_model::{JobId, JobSummary};

use crate::ports::{Changes, Cursor};

/// Changes that one millisecond has numbers for; the process would have to see a thousand million a second to reach
/// the numbers of a process that starts later.
const PER_MS: u64 = 1 << 20;

/// The memory of a poll.
#[derive(Debug)]
pub(super) struct Feed {
    last: u64,
    /// Every row that the last pass saw.
    known: HashMap<JobId, (u64, JobSummary)>,
    /// The last change of each row, in order; rows that are gone stay.
    order: BTreeMap<u64, JobId>,
    /// Rows that are gone, by the number of that change.
    gone: HashMap<JobId, u64>,
}

/// The rows that a pass has seen so far.
#[derive(Debug, Default)]
pub(super) struct Pass(HashSet<JobId>);

impl Feed {
    pub(super) fn new(now_ms: i64) -> Self {
        let last = u64::try_from(now_ms).unwrap_or(0).saturating_mul(PER_MS);
        Self { last, known: HashMap::new(), order: BTreeMap::new(), gone: HashMap::new() }
    }

    pub(super) fn begin(&self) -> Pass {
        Pass(HashSet::with_capacity(self.known.len()))
    }

    /// A row as a pass found it.
    pub(super) fn see(&mut self, pass: &mut Pass, row: JobSummary) {
        pass.0.insert(row.id.clone());
        let before = match self.known.get(&row.id) {
            Some((_, known)) if *known == row => return,
            Some((number, _)) => Some(*number),
            None => self.gone.remove(&row.id),
        };
        if let Some(before) = before {
            self.order.remove(&before);
        }
        self.last += 1;
        self.order.insert(self.last, row.id.clone());
        self.known.insert(row.id.clone(), (self.last, row));
    }

    /// Ends a pass that saw the whole table: what it did not see is gone.
    pub(super) fn end(&mut self, pass: &Pass) {
        let missing: Vec<JobId> = self.known.keys().filter(|id| !pass.0.contains(*id)).cloned().collect();
        for id in missing {
            if let Some((number, _)) = self.known.remove(&id) {
                self.order.remove(&number);
            }
            self.last += 1;
            self.order.insert(self.last, id.clone());
            self.gone.insert(id, self.last);
        }
    }

    /// Whether more changes than `limit` after `cursor` are known without another pass.
    pub(super) fn has_more_than(&self, cursor: Cursor, limit: usize) -> bool {
        self.order.range(cursor.0.saturating_add(1)..).nth(limit).is_some()
    }

    /// At most `limit` changes after `cursor`.
    pub(super) fn since(&self, cursor: Cursor, limit: usize) -> Changes {
        let mut changes = Changes { next: cursor, ..Changes::default() };
        for (number, id) in self.order.range(cursor.0.saturating_add(1)..).take(limit) {
            match self.known.get(id) {
                Some((_, row)) => changes.rows.push(row.clone()),
                None => changes.removed.push(id.clone()),
            }
            changes.next = Cursor(*number);
        }
        changes.more = self.has_more_than(changes.next, 0);
        changes
    }
}

#[cfg(test)]
mod tests {
    use shepard_model::{Inputs, JobRow};

    use super::*;

    fn row(name: &str, tag: &str) -> JobSummary {
        let id = JobId::parse(name).unwrap();
        let row = JobRow::arrived(id, None, Inputs::default(), 0, 1);
        JobRow { tag: Some(tag.to_owned()), ..row }.summary()
    }

    fn pass(feed: &mut Feed, rows: &[(&str, &str)]) {
        let mut pass = feed.begin();
        for (name, tag) in rows {
            feed.see(&mut pass, row(name, tag));
        }
        feed.end(&pass);
    }

    fn names(changes: &Changes) -> (Vec<&str>, Vec<&str>) {
        let rows = changes.rows.iter().map(|row| row.id.as_str()).collect();
        (rows, changes.removed.iter().map(JobId::as_str).collect())
    }

    #[test]
    fn what_changed_what_went_and_what_came_back() {
        let mut feed = Feed::new(1_000);
        pass(&mut feed, &[("a", "1"), ("b", "1"), ("c", "1")]);
        let all = feed.since(Cursor::default(), 2);
        assert_eq!((names(&all).0, all.more), (vec!["a", "b"], true));
        let rest = feed.since(all.next, 2);
        assert_eq!((names(&rest).0, rest.more), (vec!["c"], false));

        pass(&mut feed, &[("a", "1"), ("b", "2")]);
        let changes = feed.since(rest.next, 9);
        assert_eq!(names(&changes), (vec!["b"], vec!["c"]));
        pass(&mut feed, &[("a", "1"), ("b", "2"), ("c", "1")]);
        let back = feed.since(changes.next, 9);
        assert_eq!(names(&back), (vec!["c"], vec![]));
        let none = feed.since(back.next, 9);
        assert_eq!((names(&none).0.len(), none.next, none.more), (0, back.next, false));
        // A cursor of another process gets everything again.
        assert_eq!(names(&feed.since(Cursor(999 * PER_MS), 9)).0.len(), 3);
    }
}
