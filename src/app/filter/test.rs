//! What one term asks of a row.

use nucleo_matcher::{Config, Matcher};
use shepard_model::State;

use super::needle::{Fuzzy, Needle, Pattern};
use crate::app::store::{Fields, IdBuf, Row};

/// A text to look for.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Plain(Box<Needle>),
    Fuzzy(Fuzzy),
    Regex(Box<Pattern>),
}

/// Bare terms shorter than this do not look at ids.
const LEAST_OF_AN_ID: usize = 4;

impl Text {
    /// Whether a term without a field may mean an id. Ids are long and random: nearly all of them contain any
    /// single digit, and fuzzily any few letters up to f, so that a looser rule would match every job.
    fn names_an_id(&self) -> bool {
        matches!(self, Self::Plain(needle) if needle.len() >= LEAST_OF_AN_ID)
    }
}

/// Where to look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Any,
    Key,
    Tag,
    Id,
    Reason,
}

/// How to compare a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Less,
    AtMost,
    Equal,
    Not,
    AtLeast,
    More,
}

impl Compare {
    fn holds(self, have: i64, want: i64) -> bool {
        match self {
            Self::Less => have < want,
            Self::AtMost => have <= want,
            Self::Equal => have == want,
            Self::Not => have != want,
            Self::AtLeast => have >= want,
            Self::More => have > want,
        }
    }
}

/// A number of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Exit,
    Attempts,
    Age,
    Took,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Text(Place, Text),
    /// One bit for each state wanted.
    State(u8),
    Number(Number, Compare, i64),
}

#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) inverse: bool,
    pub(super) test: Test,
}

/// What matching needs to hold between rows: make one for a scan, not one for a row.
#[derive(Debug)]
pub struct Scratch {
    matcher: Option<Box<Matcher>>,
    chars: Vec<char>,
    lowered: String,
    /// For each term, the answers for tags and for reasons seen so far; None where words may change their number.
    known: Option<Vec<[Vec<Answer>; 2]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Unknown,
    No,
    Yes,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// For a few rows of a live store.
    pub fn new() -> Self {
        Self { matcher: None, chars: Vec::new(), lowered: String::new(), known: None }
    }

    /// For one scan of one snapshot with one filter: each tag and reason is looked at once, however many jobs share it.
    pub fn for_scan() -> Self {
        Self { known: Some(Vec::new()), ..Self::new() }
    }

    fn look(&mut self, text: &Text, candidate: &str) -> bool {
        match text {
            Text::Plain(needle) => needle.is_in(candidate),
            Text::Regex(pattern) => pattern.is_in(candidate, &mut self.lowered),
            Text::Fuzzy(fuzzy) => {
                let matcher = self.matcher.get_or_insert_with(|| Box::new(Matcher::new(Config::DEFAULT)));
                fuzzy.is_in(candidate, matcher, &mut self.chars)
            }
        }
    }

    /// As [`Scratch::look`], for a word that many rows share.
    fn look_once(&mut self, term: usize, table: usize, symbol: u32, text: &Text, word: Option<&str>) -> bool {
        let Some(word) = word else { return false };
        let at = symbol as usize;
        if let Some(known) = &self.known {
            match known.get(term).and_then(|tables| tables[table].get(at)) {
                Some(Answer::Yes) => return true,
                Some(Answer::No) => return false,
                _ => {}
            }
        }
        let found = self.look(text, word);
        if let Some(known) = &mut self.known {
            if known.len() <= term {
                known.resize_with(term + 1, Default::default);
            }
            let answers = &mut known[term][table];
            if answers.len() <= at {
                answers.resize(at + 1, Answer::Unknown);
            }
            answers[at] = if found { Answer::Yes } else { Answer::No };
        }
        found
    }
}

impl Term {
    pub(super) fn fields(&self) -> Fields {
        match &self.test {
            Test::Text(Place::Any, _) => Fields::INPUT.or(Fields::TAG).or(Fields::ID).or(Fields::REASON),
            Test::Text(Place::Key, _) => Fields::INPUT,
            Test::Text(Place::Tag, _) => Fields::TAG,
            Test::Text(Place::Id, _) => Fields::ID,
            Test::Text(Place::Reason, _) => Fields::REASON,
            Test::State(_) => Fields::STATE,
            Test::Number(Number::Exit, ..) => Fields::EXIT,
            Test::Number(Number::Attempts, ..) => Fields::ATTEMPTS,
            Test::Number(Number::Age, ..) => Fields::CREATED,
            Test::Number(Number::Took, ..) => Fields::STARTED.or(Fields::ENDED),
        }
    }

    pub(super) fn needs_time(&self) -> bool {
        matches!(self.test, Test::Number(Number::Age | Number::Took, ..))
    }

    pub(super) fn matches(&self, number: usize, row: &Row<'_>, now_ms: i64, scratch: &mut Scratch) -> bool {
        self.inverse != self.test.matches(number, row, now_ms, scratch)
    }
}

impl Test {
    fn matches(&self, term: usize, row: &Row<'_>, now_ms: i64, scratch: &mut Scratch) -> bool {
        match self {
            Self::State(wanted) => wanted >> (row.state() as u8) & 1 == 1,
            Self::Number(number, compare, want) => {
                let have = match number {
                    Number::Exit => row.exit_code().map(i64::from),
                    Number::Attempts => Some(i64::from(row.attempts())),
                    Number::Age => Some(now_ms.saturating_sub(row.created_ms())),
                    Number::Took => row.took_ms(now_ms),
                };
                have.is_some_and(|have| compare.holds(have, *want))
            }
            Self::Text(place, text) => match place {
                Place::Key => in_key(row, text, scratch),
                Place::Id => in_id(row, text, scratch),
                Place::Tag => in_tag(term, row, text, scratch),
                Place::Reason => in_reason(term, row, text, scratch),
                Place::Any => {
                    in_key(row, text, scratch)
                        || in_tag(term, row, text, scratch)
                        || in_reason(term, row, text, scratch)
                        || (text.names_an_id() && in_id(row, text, scratch))
                }
            },
        }
    }
}

fn in_tag(term: usize, row: &Row<'_>, text: &Text, scratch: &mut Scratch) -> bool {
    row.tag_symbol() != u32::MAX && scratch.look_once(term, 0, row.tag_symbol(), text, row.tag())
}

fn in_reason(term: usize, row: &Row<'_>, text: &Text, scratch: &mut Scratch) -> bool {
    row.reason_symbol() != u32::MAX && scratch.look_once(term, 1, row.reason_symbol(), text, row.reason())
}

fn in_key(row: &Row<'_>, text: &Text, scratch: &mut Scratch) -> bool {
    let mask = row.input_mask();
    let possible = match text {
        Text::Plain(needle) => needle.mask() & !mask == 0,
        // The matcher may read an accented letter as a plain one, so only a key without any can be ruled out.
        Text::Fuzzy(fuzzy) => mask & char_mask_beyond_ascii() != 0 || fuzzy.mask() & !mask == 0,
        Text::Regex(_) => true,
    };
    possible && scratch.look(text, row.input())
}

fn char_mask_beyond_ascii() -> u64 {
    1 << 62
}

fn in_id(row: &Row<'_>, text: &Text, scratch: &mut Scratch) -> bool {
    if row.id_is_hex()
        && let Text::Plain(needle) = text
        && !needle.could_be_hex()
    {
        return false;
    }
    scratch.look(text, row.id_text(&mut IdBuf::default()))
}

/// One bit for each of these states.
pub(super) fn state_bits(states: impl IntoIterator<Item = State>) -> u8 {
    states.into_iter().fold(0, |bits, state| bits | 1 << (state as u8))
}
