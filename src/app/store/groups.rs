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
/// Letters of a word from which on any word with a number in it is: engines name layers and files so.
const NAME: usize = 20;
/// Hex digits between the dashes of an id as the original writes it.
const DASHED: [usize; 5] = [8, 4, 4, 4, 12];

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
                    NUMBER => pattern.push_str("[0-9a-zA-Z#-]+"),
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
        let is_word_start = !pattern.ends_with(|c: char| c.is_ascii_alphanumeric());
        let id = if is_word_start { id(rest) } else { 0 };
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let taken = if id > 0 { id } else { digits };
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

/// Letters of the id that a text begins with; 0 where it begins with none.
fn id(text: &str) -> usize {
    let word = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let hex = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let mut dashed = 0;
    for (at, wanted) in DASHED.into_iter().enumerate() {
        let from = dashed + usize::from(at > 0);
        let part = text.get(from..).unwrap_or_default();
        let digits = part.bytes().take_while(u8::is_ascii_alphanumeric).take(wanted + 1).count();
        let is_part = digits == wanted && part.bytes().take(wanted).all(|b| b.is_ascii_hexdigit());
        if !is_part || (at > 0 && !text[dashed..].starts_with('-')) {
            dashed = 0;
            break;
        }
        dashed = from + wanted;
    }
    let has_digit = text[..word].bytes().any(|b| b.is_ascii_digit());
    match () {
        () if dashed > 0 => dashed,
        () if has_digit && (word >= NAME || (hex == word && word >= ID)) => word,
        () => 0,
    }
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

    #[test]
    fn what_engines_say_of_many_containers_is_one_group_each() {
        let hex = |seed: u64| format!("{seed:x}").repeat(4);
        let said = |seed: u64| {
            let (id, word) = (hex(seed), format!("{:x}", seed >> 32));
            [
                format!(
                    "cannot pull the image r.example/a@sha256:{id}: pull access denied for r.example/a; ask"
                ),
                format!("cannot start the container {id}: exec: \"sh\": executable file not found in $PATH"),
                format!(
                    "cannot load the image /payload.tar: write /l/6Y5IM2XC7TSNIJZZF{seed}: no space left"
                ),
                format!("the container used more than {} MiB", seed % 4_096),
                format!("no such job: {}-{}-4a5b-8c6d-{}", &id[..8], &word[..4], &id[..12]),
            ]
        };
        let reasons: Vec<String> = [0x9a8b_7c6d_5e4f_3a2b, 0x1122_aabb_33cc_44dd, 0xdead_beef_0bad_cafe]
            .into_iter()
            .flat_map(said)
            .collect();
        let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
        let groups = groups(&store(&reasons));
        let counts: Vec<u64> = groups.iter().map(|group| group.count).collect();
        assert_eq!(counts, [3, 3, 3, 3, 3], "{groups:#?}");
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
