//! The search in a log: which lines match, kept up to date as lines come and go.

use std::collections::VecDeque;
use std::ops::Range;

use regex::{Regex, RegexBuilder};

use super::buffer::Buffer;

/// A regex that compiles to more than this is refused, so that a typo cannot take the memory of the machine.
const REGEX_LIMIT: usize = 1 << 20;

/// A search. Plain text; with `~` before it, a regular expression. Case counts once a capital letter is typed.
#[derive(Debug)]
pub(super) struct Search {
    /// What was typed.
    pub(super) typed: String,
    regex: Regex,
    /// Numbers of the lines that match, ascending.
    matches: VecDeque<u64>,
}

impl Search {
    /// The search that a text asks for, over the lines there are. None for an empty text.
    ///
    /// # Errors
    /// A regular expression that is none.
    pub(super) fn new(typed: &str, buffer: &Buffer) -> Result<Option<Self>, String> {
        let (pattern, fixed) = match typed.strip_prefix('~') {
            Some(pattern) => (pattern.to_owned(), false),
            None => (regex::escape(typed), true),
        };
        if pattern.is_empty() {
            return Ok(None);
        }
        let any_case = !typed.chars().any(char::is_uppercase);
        let regex = RegexBuilder::new(&pattern)
            .case_insensitive(any_case)
            .size_limit(REGEX_LIMIT)
            .build()
            .map_err(|_| format!("{pattern:?} is not a regular expression"))?;
        // One that matches nothing at all would mark every line and show none of it.
        if !fixed && regex.is_match("") {
            return Err(format!("{pattern:?} matches everything"));
        }
        let mut search = Self { typed: typed.to_owned(), regex, matches: VecDeque::new() };
        search.look(buffer, buffer.first());
        Ok(Some(search))
    }

    /// Looks at the lines from a number on, which are new, and forgets those that are gone.
    pub(super) fn look(&mut self, buffer: &Buffer, from: u64) {
        while self.matches.front().is_some_and(|number| *number < buffer.first()) {
            self.matches.pop_front();
        }
        let found =
            buffer.from(from).filter(|(_, line)| self.regex.is_match(&line.text)).map(|(number, _)| number);
        self.matches.extend(found);
    }

    /// Where in a text it matches.
    pub(super) fn ranges<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        self.regex.find_iter(text).map(|found| found.range()).filter(|range| !range.is_empty())
    }

    /// How many lines match.
    pub(super) fn count(&self) -> usize {
        self.matches.len()
    }

    /// The matching line at a place in their order.
    pub(super) fn nth(&self, at: usize) -> Option<u64> {
        self.matches.get(at).copied()
    }

    /// The place of the first match at or after a line.
    pub(super) fn place(&self, number: u64) -> usize {
        self.matches.partition_point(|known| *known < number)
    }

    /// Whether a line matches.
    pub(super) fn has(&self, number: u64) -> bool {
        self.nth(self.place(number)) == Some(number)
    }

    /// The next match after a line, and whether it is before it, round the end.
    pub(super) fn next(&self, number: u64) -> Option<(u64, bool)> {
        match self.nth(self.place(number + 1)) {
            Some(found) => Some((found, false)),
            None => self.nth(0).map(|found| (found, true)),
        }
    }

    /// The match before a line, and whether it is after it, round the beginning.
    pub(super) fn previous(&self, number: u64) -> Option<(u64, bool)> {
        match self.place(number).checked_sub(1) {
            Some(at) => self.nth(at).map(|found| (found, false)),
            None => self.matches.back().map(|found| (*found, true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use shepard_model::{LogLine, LogSource};

    use super::*;

    fn buffer(lines: &[&str]) -> Buffer {
        let mut buffer = Buffer::default();
        let lines: Vec<LogLine> = lines
            .iter()
            .map(|text| LogLine { at_ms: 0, source: LogSource::Stdout, text: (*text).to_owned() })
            .collect();
        buffer.push(&lines, 0);
        buffer
    }

    fn found(typed: &str, lines: &[&str]) -> Vec<u64> {
        let search = Search::new(typed, &buffer(lines)).expect("search").expect("some");
        (0..search.count()).filter_map(|at| search.nth(at)).collect()
    }

    #[test]
    fn plain_text_is_plain_and_case_counts_once_a_capital_is_typed() {
        let lines = ["Error a.b", "error axb", "[ERROR]"];
        assert_eq!(found("error", &lines), [0, 1, 2]);
        assert_eq!(found("Error", &lines), [0]);
        assert_eq!(found("a.b", &lines), [0]);
        assert_eq!(found("[e", &lines), [2]);
        assert_eq!(found("~a.b$", &lines), [0, 1]);
    }

    #[test]
    fn a_bad_pattern_says_so_and_an_empty_one_is_no_search() {
        let lines = buffer(&["x"]);
        assert!(Search::new("~(", &lines).is_err());
        assert!(Search::new("~x*", &lines).is_err());
        assert!(Search::new("", &lines).expect("fine").is_none());
        assert!(Search::new("~", &lines).expect("fine").is_none());
    }

    #[test]
    fn goes_round_both_ends_and_keeps_up() {
        let mut lines = buffer(&["m", "-", "m", "-"]);
        let mut search = Search::new("m", &lines).expect("search").expect("some");
        assert_eq!(search.next(0), Some((2, false)));
        assert_eq!(search.next(2), Some((0, true)));
        assert_eq!(search.previous(0), Some((2, true)));
        assert_eq!(search.previous(3), Some((2, false)));
        let end = lines.end();
        lines.push(&[LogLine { at_ms: 0, source: LogSource::Stdout, text: "m".to_owned() }], 0);
        search.look(&lines, end);
        assert_eq!((search.count(), search.has(4), search.has(3)), (3, true, false));
        assert_eq!(search.ranges("mam").collect::<Vec<_>>(), [0..1, 2..3]);
    }
}
