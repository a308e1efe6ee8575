//! The lines of one log that are kept: a ring, numbered from the first line that was ever put in.
//!
//! A line's number never changes, so a position outlives the lines that are dropped before it. Nothing in here is
//! as it was written: what could drive a terminal is taken out on the way in.

use std::collections::VecDeque;

use shepard_model::{LogLine, LogSource};

use crate::ui::text;

/// Most lines kept.
pub(super) const LINES: usize = 100_000;
/// Most bytes of text kept, so that a log of long lines is bounded too.
pub(super) const BYTES: usize = 64 << 20;
/// Most bytes of one line shown.
pub(super) const LINE_BYTES: usize = 64 << 10;

/// A line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// When it was written.
    pub(super) at_ms: i64,
    /// By whom.
    pub(super) source: LogSource,
    /// Its text, harmless.
    pub(super) text: String,
    /// Bytes left out of the text because the line is too long.
    pub(super) cut: usize,
}

impl Line {
    fn new(line: &LogLine) -> Self {
        // A progress bar writes over itself; what a terminal would show of it is the last of its states.
        let whole = line.text.trim_end_matches(['\r', '\n']);
        let last = whole.rsplit('\r').next().unwrap_or(whole);
        let end = floor(last, LINE_BYTES);
        Self {
            at_ms: line.at_ms,
            source: line.source,
            text: text::clean(&last[..end]).into_owned(),
            cut: last.len() - end,
        }
    }
}

/// The largest place to cut at that is not after `at`.
fn floor(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The ring.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    lines: VecDeque<Line>,
    first: u64,
    bytes: usize,
    /// Lines that the feed left out.
    skipped: u64,
}

impl Buffer {
    /// Puts lines at the end; the oldest go where there is no more room.
    pub(super) fn push(&mut self, lines: &[LogLine], skipped: u64) {
        self.skipped += skipped;
        for line in lines {
            let line = Line::new(line);
            self.bytes += line.text.len();
            self.lines.push_back(line);
            while self.lines.len() > LINES || self.bytes > BYTES {
                let Some(gone) = self.lines.pop_front() else { break };
                self.bytes -= gone.text.len();
                self.first += 1;
            }
        }
    }

    /// Number of the first line kept.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Number of the line after the last.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// Nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The line of that number.
    pub(super) fn get(&self, number: u64) -> Option<&Line> {
        self.lines.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// The lines from that number on, with their numbers.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = (u64, &Line)> {
        let skip =
            usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.lines.len());
        (self.first + skip as u64..).zip(self.lines.range(skip..))
    }

    /// Number of the first line written at that time or later.
    pub(super) fn at(&self, at_ms: i64) -> Option<u64> {
        // Lines of different sources may be out of order by a little, so this looks at all of them.
        self.from(self.first).find(|(_, line)| line.at_ms >= at_ms).map(|(number, _)| number)
    }

    /// Lines that were there and are not shown: dropped here, or left out by the feed.
    pub(super) fn dropped(&self) -> u64 {
        self.first + self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine { at_ms: 1, source: LogSource::Stdout, text: text.to_owned() }
    }

    #[test]
    fn the_oldest_go_and_are_counted_and_numbers_stay() {
        let mut buffer = Buffer::default();
        let many: Vec<LogLine> = (0..LINES + 5).map(|n| line(&n.to_string())).collect();
        buffer.push(&many, 2);
        assert_eq!((buffer.first(), buffer.end()), (5, LINES as u64 + 5));
        assert_eq!(buffer.dropped(), 7);
        assert_eq!(buffer.get(4), None);
        assert_eq!(buffer.get(5).map(|line| line.text.as_str()), Some("5"));
        assert_eq!(buffer.from(LINES as u64 + 3).count(), 2);
    }

    #[test]
    fn long_lines_are_bounded_one_by_one_and_together() {
        let mut buffer = Buffer::default();
        let long = "é".repeat(LINE_BYTES);
        buffer.push(&[line(&format!("x{long}"))], 0);
        let kept = buffer.get(0).expect("line");
        assert_eq!(kept.text.len() + kept.cut, 2 * LINE_BYTES + 1);
        assert!(kept.text.len() <= LINE_BYTES && kept.text.ends_with('é'));
        for _ in 0..BYTES / LINE_BYTES + 3 {
            buffer.push(&[line(&long)], 0);
        }
        assert!(buffer.bytes <= BYTES && buffer.dropped() > 0);
    }

    #[test]
    fn what_drives_a_terminal_is_taken_out_and_a_progress_bar_is_at_its_last() {
        let mut buffer = Buffer::default();
        buffer.push(&[line("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}x"), line("10%\r20%\r\r")], 0);
        assert_eq!(buffer.get(0).expect("line").text, "red x");
        assert_eq!(buffer.get(1).expect("line").text, "20%");
    }
}
