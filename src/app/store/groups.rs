//! Faults that look alike, counted: thirty-seven failures are seldom thirty-seven reasons.
//!
//! Two faults are alike if they ended with the same exit code and their reasons differ in numbers alone: ids, sizes,
//! line numbers, times.

use std::collections::HashMap;

use super::Store;

/// What stands for a number in a pattern.
pub const NUMBER: char = '#';
/// Letters of a word from which on a word of hex digits with a number in it is taken for an id.
const ID: usize = 6;

/// Faults that look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// The exit code they share.
    pub exit: Option<i32>,
    /// The reason they share, with [`NUMBER`] where it differs.
    pub pattern: String,
}

impl Group {
    /// The filter that shows these faults and no others.
    pub fn filter(&self) -> String {
        let mut line = "state:failed,rejected".to_owned();
        if let Some(exit) = self.exit {
            line.push_str(&format!(" exit:{exit}"));
        }
        if !self.pattern.is_empty() {
            let mut pattern = String::new();
            for c in self.pattern.chars() {
                match c {
                    // A reason may hold the very sign itself.
                    NUMBER => pattern.push_str("[0-9a-fA-F#]+"),
                    // A blank would end the term, a quote begin a quoted one, and a slash end the expression.
                    c if c.is_whitespace() => pattern.push_str("\\s"),
                    '"' | '/' | '\'' => pattern.push('.'),
                    c => pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                }
            }
            line.push_str(&format!(" reason:/^{pattern}$/"));
        }
        line
    }
}

/// The groups of a store's faults, the largest first.
pub fn groups(store: &Store) -> Vec<Group> {
    let faults = store.iter().filter(|(_, row)| row.state().is_fault());
    // Reasons repeat: each is looked at once.
    let mut counts: HashMap<(Option<i32>, &str), u64> = HashMap::new();
    for (_, row) in faults {
        *counts.entry((row.exit_code(), row.reason().unwrap_or_default())).or_default() += 1;
    }
    let mut groups: HashMap<(Option<i32>, String), u64> = HashMap::new();
    for ((exit, reason), count) in counts {
        *groups.entry((exit, pattern(reason))).or_default() += count;
    }
    let mut groups: Vec<Group> =
        groups.into_iter().map(|((exit, pattern), count)| Group { count, exit, pattern }).collect();
    groups.sort_by(|a, b| {
        b.count.cmp(&a.count).then_with(|| a.pattern.cmp(&b.pattern)).then(a.exit.cmp(&b.exit))
    });
    groups
}

/// A reason with its numbers and ids taken out.
fn pattern(reason: &str) -> String {
    let mut pattern = String::with_capacity(reason.len());
    let mut rest = reason;
    while let Some(c) = rest.chars().next() {
        let word: usize = rest.chars().take_while(|c| c.is_ascii_hexdigit()).count();
        let is_word_start = !pattern.ends_with(|c: char| c.is_ascii_alphanumeric());
        let ends_word = !rest[word..].starts_with(|c: char| c.is_ascii_alphanumeric());
        let has_digit = rest[..word].contains(|c: char| c.is_ascii_digit());
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let taken = if is_word_start && ends_word && word >= ID && has_digit { word } else { digits };
        if taken > 0 {
            pattern.push(NUMBER);
            rest = &rest[taken..];
        } else {
            pattern.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shepard_model::{JobId, JobSummary, State};

    use super::*;
    use crate::app::filter::{Filter, Scratch};

    fn fault(number: u32, exit: i32, reason: &str) -> JobSummary {
        JobSummary {
            id: JobId::parse(&format!("{number:032x}")).expect("id"),
            input: String::new(),
            tag: None,
            state: State::Failed,
            created_ms: 0,
            started_ms: Some(0),
            ended_ms: Some(1),
            attempts: 1,
            exit_code: Some(exit),
            reason: Some(reason.to_owned()),
        }
    }

    fn store(reasons: &[&str]) -> Store {
        let mut store = Store::new();
        let faults: Vec<JobSummary> =
            (0..).zip(reasons).map(|(number, reason)| fault(number, 3, reason)).collect();
        let _no_view = store.merge(&faults, &[]);
        store
    }

    #[test]
    fn what_differs_in_numbers_alone_is_one_group() {
        let store = store(&[
            "exit code 3: line 12 of sample-7.fa is bad",
            "exit code 3: line 9 of sample-12.fa is bad",
            "exit code 3: no space left",
            "exit code 3: job 0a1b2c3d4e5f is gone",
            "exit code 3: job deadbeef0001 is gone",
        ]);
        let shown: Vec<(u64, String)> =
            groups(&store).into_iter().map(|group| (group.count, group.pattern)).collect();
        assert_eq!(
            shown,
            [
                (2, "exit code #: job # is gone".to_owned()),
                (2, "exit code #: line # of sample-#.fa is bad".to_owned()),
                (1, "exit code #: no space left".to_owned()),
            ]
        );
    }

    proptest! {
        #[test]
        fn a_groups_filter_shows_as_many_rows_as_it_counts(
            reasons in prop::collection::vec("[a-c0-3 :/\"'#é.(]{0,12}", 1..20)
        ) {
            let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
            let store = store(&reasons);
            let groups = groups(&store);
            prop_assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), reasons.len() as u64);
            for group in groups {
                let filter = Filter::parse(&group.filter()).expect("a filter");
                let mut scratch = Scratch::new();
                let shown = store.iter().filter(|(_, row)| filter.matches(row, 0, &mut scratch)).count();
                // A quote, a slash or a literal # in a reason widens the filter; it never loses one of the group.
                prop_assert!(shown as u64 >= group.count, "{} < {}: {}", shown, group.count, group.filter());
            }
        }
    }
}
