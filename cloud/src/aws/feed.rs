//! What changed in a table that is followed: the last summary of every row, each with the number of its last change.
//!
//! Holds one summary a row in memory, about 300 bytes, and nothing of what it was before. Numbers begin at the time at which the feed was made, so that a
//! cursor of an earlier process is older than all of them and gets every row again: rows may be told twice, never
//! missed.

use std::collections::{BTreeMap, HashMap};

use shepard_model::{JobId, JobSummary};

use crate::ports::{Changes, Cursor};

/// Changes that one millisecond has numbers for; the process would have to see a thousand million a second to reach
/// the numbers of a process that starts later.
const PER_MS: u64 = 1 << 20;

/// The memory of what was seen.
#[derive(Debug)]
pub(super) struct Feed {
    last: u64,
    passes: u64,
    /// Every row that is there.
    known: HashMap<JobId, Known>,
    /// The last change of each row, in order; rows that are gone stay.
    order: BTreeMap<u64, JobId>,
    /// Rows that are gone, by the number of that change.
    gone: HashMap<JobId, u64>,
}

#[derive(Debug)]
struct Known {
    /// Number of its last change.
    number: u64,
    /// The last pass that saw it.
    pass: u64,
    /// Number of the write that it is of, where one of ours wrote it.
    rev: Option<u64>,
    row: JobSummary,
}

/// A reading of the whole table, by its number.
#[derive(Debug)]
pub(super) struct Pass(u64);

impl Feed {
    pub(super) fn new(now_ms: i64) -> Self {
        let last = u64::try_from(now_ms).unwrap_or(0).saturating_mul(PER_MS);
        Self { last, passes: 0, known: HashMap::new(), order: BTreeMap::new(), gone: HashMap::new() }
    }

    pub(super) fn begin(&mut self) -> Pass {
        self.passes += 1;
        Pass(self.passes)
    }

    /// A row as a pass or the stream found it. One that is older than what is known is passed over: a stream repeats
    /// what a pass has seen, and a pass may see an old copy.
    pub(super) fn see(&mut self, pass: Option<&Pass>, row: JobSummary, rev: Option<u64>) {
        let before = match self.known.get_mut(&row.id) {
            Some(known) => {
                if let Some(pass) = pass {
                    known.pass = pass.0;
                }
                // A row that was removed and written anew counts from the beginning.
                let older = known.rev > rev && rev.is_some() && known.row.created_ms == row.created_ms;
                if older || known.row == row {
                    known.rev = known.rev.max(rev);
                    return;
                }
                Some(known.number)
            }
            None => self.gone.remove(&row.id),
        };
        if let Some(before) = before {
            self.order.remove(&before);
        }
        self.last += 1;
        self.order.insert(self.last, row.id.clone());
        let pass = pass.map_or(self.passes, |pass| pass.0);
        self.known.insert(row.id.clone(), Known { number: self.last, pass, rev, row });
    }

    /// A row is gone.
    pub(super) fn remove(&mut self, id: &JobId) {
        if let Some(known) = self.known.remove(id) {
            self.order.remove(&known.number);
            self.last += 1;
            self.order.insert(self.last, id.clone());
            self.gone.insert(id.clone(), self.last);
        }
    }

    /// Ends a pass that saw the whole table: what it did not see is gone.
    pub(super) fn end(&mut self, pass: &Pass) {
        let unseen = self.known.iter().filter(|(_, known)| known.pass < pass.0);
        let missing: Vec<JobId> = unseen.map(|(id, _)| id.clone()).collect();
        for id in missing {
            self.remove(&id);
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
                Some(known) => changes.rows.push(known.row.clone()),
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
        let pass = feed.begin();
        for (name, tag) in rows {
            feed.see(Some(&pass), row(name, tag), None);
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

    #[test]
    fn what_the_stream_repeats_never_takes_a_row_back() {
        let mut feed = Feed::new(1_000);
        let pass = feed.begin();
        feed.see(Some(&pass), row("a", "third"), Some(3));
        feed.end(&pass);
        let begun = feed.since(Cursor::default(), 9).next;
        feed.see(None, row("a", "first"), Some(1));
        feed.see(None, row("a", "second"), Some(2));
        feed.see(None, row("a", "third"), Some(3));
        assert!(feed.since(begun, 9).rows.is_empty());
        feed.see(None, row("a", "fourth"), Some(4));
        // Removed and written anew, it counts from the beginning.
        feed.remove(&JobId::parse("a").unwrap());
        assert_eq!(names(&feed.since(begun, 9)), (vec![], vec!["a"]));
        feed.see(None, row("a", "new"), Some(1));
        assert_eq!(feed.since(begun, 9).rows[0].tag.as_deref(), Some("new"));
        let later = JobSummary { created_ms: 9, ..row("a", "newer") };
        feed.see(None, JobSummary { tag: None, ..later.clone() }, Some(5));
        feed.see(None, later.clone(), Some(1));
        assert_ne!(feed.since(begun, 9).rows, [later], "older");
        feed.see(None, JobSummary { created_ms: 11, ..row("a", "missed the removal") }, Some(1));
        assert_eq!(feed.since(begun, 9).rows[0].created_ms, 11);
    }
}
