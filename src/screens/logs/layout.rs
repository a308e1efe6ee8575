//! One line of a log as rows of the screen, and a place among the rows of all lines.
//!
//! Rows are worked out for the lines near the window when they are needed, and never for all of them.

use std::borrow::Cow;
use std::ops::Range;

use super::buffer::Line;
use super::pretty;
use crate::ui::text;

/// How lines become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Columns for text.
    pub(super) width: usize,
    /// Rows for text.
    pub(super) height: usize,
    /// Long lines go on in the next row.
    pub(super) wrap: bool,
    /// JSON is spread out.
    pub(super) pretty: bool,
}

/// One line, laid out.
#[derive(Debug)]
pub(super) struct Laid<'a> {
    /// The line, or the lines that its JSON was spread over.
    texts: Cow<'a, [String]>,
    /// Which of them each row shows, and which bytes of it.
    pub(super) rows: Vec<(usize, Range<usize>)>,
}

impl<'a> Laid<'a> {
    /// Lays a line out.
    pub(super) fn new(line: &'a Line, shape: Shape) -> Self {
        let texts = match shape.pretty.then(|| pretty::spread(&line.text)).flatten() {
            Some(lines) => Cow::Owned(lines),
            None => Cow::Borrowed(std::slice::from_ref(&line.text)),
        };
        let mut rows = Vec::with_capacity(texts.len());
        for (at, one) in texts.iter().enumerate() {
            if shape.wrap && one.len() > shape.width {
                rows.extend(text::wrap(one, shape.width).into_iter().map(|range| (at, range)));
            } else {
                rows.push((at, 0..one.len()));
            }
        }
        Self { texts, rows }
    }

    /// The whole text that a row belongs to, and the row's part of it.
    pub(super) fn row(&self, row: usize) -> Option<(&str, Range<usize>)> {
        let (at, range) = self.rows.get(row)?;
        Some((self.texts.get(*at)?, range.clone()))
    }

    /// The row begins a text; the others go on with one.
    pub(super) fn begins(&self, row: usize) -> bool {
        self.rows.get(row).is_some_and(|(_, range)| range.start == 0)
    }
}

/// A row of the log: a line's number, and which of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Spot {
    /// The line.
    pub(super) line: u64,
    /// Its row.
    pub(super) row: usize,
}

/// The lines that are shown, in order: all, or those that match.
pub(super) trait Lines {
    /// How many rows a line takes; at least one.
    fn rows(&self, line: u64) -> usize;
    /// The line shown after one.
    fn after(&self, line: u64) -> Option<u64>;
    /// The line shown before one.
    fn before(&self, line: u64) -> Option<u64>;

    /// So many rows down, as far as there are any.
    fn down(&self, mut spot: Spot, mut rows: usize) -> Spot {
        while rows > 0 {
            let left = self.rows(spot.line).saturating_sub(spot.row + 1);
            if rows <= left {
                spot.row += rows;
                return spot;
            }
            let Some(line) = self.after(spot.line) else {
                spot.row += left;
                return spot;
            };
            rows -= left + 1;
            spot = Spot { line, row: 0 };
        }
        spot
    }

    /// So many rows up, as far as there are any.
    fn up(&self, mut spot: Spot, mut rows: usize) -> Spot {
        while rows > 0 {
            if rows <= spot.row {
                spot.row -= rows;
                return spot;
            }
            let Some(line) = self.before(spot.line) else { return Spot { line: spot.line, row: 0 } };
            rows -= spot.row + 1;
            spot = Spot { line, row: self.rows(line) - 1 };
        }
        spot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shepard_model::LogSource;

    use super::*;

    /// Lines of so many rows each.
    struct Heights(Vec<usize>);

    impl Lines for Heights {
        fn rows(&self, line: u64) -> usize {
            self.0[line as usize]
        }
        fn after(&self, line: u64) -> Option<u64> {
            (line + 1 < self.0.len() as u64).then_some(line + 1)
        }
        fn before(&self, line: u64) -> Option<u64> {
            line.checked_sub(1)
        }
    }

    proptest! {
        #[test]
        fn down_and_up_agree_with_counting(heights in prop::collection::vec(1_usize..5, 1..8), rows in 0_usize..40) {
            let lines = Heights(heights.clone());
            let all: Vec<Spot> = heights.iter().enumerate()
                .flat_map(|(line, rows)| (0..*rows).map(move |row| Spot { line: line as u64, row })).collect();
            for (at, spot) in all.iter().enumerate() {
                prop_assert_eq!(lines.down(*spot, rows), all[(at + rows).min(all.len() - 1)]);
                prop_assert_eq!(lines.up(*spot, rows), all[at.saturating_sub(rows)]);
            }
        }
    }

    #[test]
    fn json_is_spread_and_then_wrapped() {
        let line =
            Line { at_ms: 0, source: LogSource::Stdout, text: r#"{"a":"0123456789"}"#.to_owned(), cut: 0 };
        let shape = |wrap, pretty| Shape { width: 10, height: 5, wrap, pretty };
        assert_eq!(Laid::new(&line, shape(false, false)).rows.len(), 1);
        assert_eq!(Laid::new(&line, shape(true, false)).rows.len(), 2);
        assert_eq!(Laid::new(&line, shape(false, true)).rows.len(), 3);
        let laid = Laid::new(&line, shape(true, true));
        let rows: Vec<&str> =
            (0..laid.rows.len()).filter_map(|row| laid.row(row)).map(|(text, range)| &text[range]).collect();
        assert_eq!(rows.concat(), r#"{  "a": "0123456789"}"#);
        assert!(laid.begins(0) && laid.begins(1) && !laid.begins(2));
    }
}
