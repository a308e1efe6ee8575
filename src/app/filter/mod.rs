//! The filter of a table: a line of text that a person types, compiled once, asked of every row.
//!
//! Terms are separated by spaces and must all match.
//!
//! | term | matches |
//! |---|---|
//! | `text` | jobs whose key, tag, reason or (from four letters on) id contains it; case counts only if the term has a capital |
//! | `~text` | the letters of `text` in that order, with anything between them |
//! | `/regex/` | the expression; case counts only if it has a capital |
//! | `!term` | what `term` does not |
//! | `key:` `tag:` `id:` `reason:` | any of the above, in that field alone |
//! | `state:run,fail` | states that begin so; also `active`, `done`, `fault` |
//! | `exit:1` `exit:>0` `attempts:>=2` | numbers, with `>`, `<`, `>=`, `<=`, `=`, `!=` |
//! | `age:<1h` `took:>5m` | times since arrival and of running; units `ms s m h d w`, joined as in `1h30m` |
//!
//! `"quotes"` keep spaces and take away the meaning of the signs. Nothing here asks the time or allocates per row.

mod needle;
mod parse;
mod test;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use needle::{Fuzzy, Needle, Pattern};
pub use test::Scratch;

use super::store::{Fields, Row};
use test::Term;

/// A filter that could be read. The default one, empty, matches everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    source: String,
    terms: Vec<Term>,
}

/// Why a line is no filter: one short sentence, and where, in characters from the start of the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// Character at which the trouble begins, from 0.
    pub at: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Filter {
    /// Reads a line. An empty one matches everything.
    ///
    /// # Errors
    /// The first term that cannot be read, and where it stands.
    pub fn parse(line: &str) -> Result<Self, FilterError> {
        Ok(Self { source: line.trim().to_owned(), terms: parse::terms(line)? })
    }

    /// The line it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Matches everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The columns an answer depends on.
    pub fn fields(&self) -> Fields {
        self.terms.iter().fold(Fields::NONE, |fields, term| fields.or(term.fields()))
    }

    /// Whether an answer can change by the passing of time alone.
    pub fn needs_time(&self) -> bool {
        self.terms.iter().any(Term::needs_time)
    }

    /// Whether the row is one of those asked for.
    pub fn matches(&self, row: &Row<'_>, now_ms: i64, scratch: &mut Scratch) -> bool {
        self.terms.iter().enumerate().all(|(number, term)| term.matches(number, row, now_ms, scratch))
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Self::parse(&source).map_err(serde::de::Error::custom)
    }
}

/// The line as it is being typed: the last filter that could be read goes on working while a new one is wrong.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LiveFilter {
    /// The newest that could be read.
    pub good: Filter,
    /// What is wrong with the line as it stands.
    pub error: Option<FilterError>,
}

impl LiveFilter {
    /// Takes the line after a key. True if there is another filter to apply.
    pub fn edit(&mut self, line: &str) -> bool {
        match Filter::parse(line) {
            Ok(filter) => {
                self.error = None;
                let other = filter != self.good;
                self.good = filter;
                other
            }
            Err(error) => {
                self.error = Some(error);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
