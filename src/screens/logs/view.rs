//! Where the reader is in a log, and how the window moves: by lines under a cursor, by rows inside a line that is
//! taller than the window.

use super::buffer::Buffer;
use super::layout::{Laid, Lines, Shape, Spot};
use super::search::Search;
use super::time::Stamps;

/// Columns beside the text besides the time: pointer, source, rule.
const GUTTER: usize = 3;

/// The lines that are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// All there are.
    pub(super) buffer: &'a Buffer,
    /// Only those it finds, if given.
    pub(super) only: Option<&'a Search>,
    /// How they become rows.
    pub(super) shape: Shape,
}

impl Shown<'_> {
    /// The first line.
    pub(super) fn first(&self) -> Option<u64> {
        self.at_or_after(self.buffer.first())
    }

    /// The last line.
    pub(super) fn last(&self) -> Option<u64> {
        match self.only {
            Some(search) => search.count().checked_sub(1).and_then(|at| search.nth(at)),
            None => self.buffer.end().checked_sub(1).filter(|_| !self.buffer.is_empty()),
        }
    }

    /// The line itself, or the first after it, or the last.
    pub(super) fn nearest(&self, line: u64) -> Option<u64> {
        self.at_or_after(line).or_else(|| self.last())
    }

    fn at_or_after(&self, line: u64) -> Option<u64> {
        match self.only {
            Some(search) => search.nth(search.place(line)),
            None => Some(line.max(self.buffer.first())).filter(|line| *line < self.buffer.end()),
        }
    }

    /// The row from which the window shows the end.
    fn end_top(&self, last: u64) -> Spot {
        self.up(self.tail(last), self.shape.height.saturating_sub(1))
    }

    /// The last row of a line.
    fn tail(&self, line: u64) -> Spot {
        Spot { line, row: self.rows(line) - 1 }
    }
}

impl Lines for Shown<'_> {
    fn rows(&self, line: u64) -> usize {
        if !self.shape.wrap && !self.shape.pretty {
            return 1;
        }
        self.buffer.get(line).map_or(1, |line| Laid::new(line, self.shape).rows.len())
    }

    fn after(&self, line: u64) -> Option<u64> {
        self.at_or_after(line + 1)
    }

    fn before(&self, line: u64) -> Option<u64> {
        match self.only {
            Some(search) => search.place(line).checked_sub(1).and_then(|at| search.nth(at)),
            None => line.checked_sub(1).filter(|line| *line >= self.buffer.first()),
        }
    }
}

/// Where the reader is.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The end is kept in sight.
    pub(super) follow: bool,
    /// Long lines go on in the next row.
    pub(super) wrap: bool,
    /// JSON is spread out.
    pub(super) pretty: bool,
    /// Only the lines that match.
    pub(super) only: bool,
    /// The time before a line.
    pub(super) stamps: Stamps,
    /// Columns to the left of the window, without wrap.
    pub(super) left: usize,
    top: Spot,
    cursor: u64,
    seen: u64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            follow: true,
            wrap: false,
            pretty: false,
            only: false,
            stamps: Stamps::default(),
            left: 0,
            top: Spot::default(),
            cursor: 0,
            seen: 0,
        }
    }
}

impl View {
    /// How lines become rows in an area of that size.
    pub(super) fn shape(&self, width: usize, height: usize) -> Shape {
        let width = width.saturating_sub(self.gutter()).max(1);
        Shape { width, height: height.max(1), wrap: self.wrap, pretty: self.pretty }
    }

    /// Columns before the text.
    pub(super) fn gutter(&self) -> usize {
        GUTTER + self.stamps.width() + usize::from(self.stamps != Stamps::Off)
    }

    /// The top row and the line under the cursor, as they fit the lines that are shown now.
    pub(super) fn settled(&self, shown: &Shown<'_>) -> Option<(Spot, u64)> {
        let last = shown.last()?;
        let end_top = shown.end_top(last);
        if self.follow {
            return Some((end_top, last));
        }
        let cursor = shown.nearest(self.cursor)?;
        let mut top = self.top;
        match shown.nearest(top.line) {
            Some(line) if line == top.line => top.row = top.row.min(shown.rows(line) - 1),
            Some(line) => top = Spot { line, row: 0 },
            None => top = end_top,
        }
        top = top.min(end_top);
        let height = shown.shape.height;
        let tall = shown.rows(cursor) > height;
        if cursor < top.line || (cursor == top.line && !tall) {
            top = Spot { line: cursor, row: 0 };
        } else if cursor > top.line && shown.tail(cursor) > shown.down(top, height - 1) {
            top = if tall { Spot { line: cursor, row: 0 } } else { shown.up(shown.tail(cursor), height - 1) };
        }
        Some((top, cursor))
    }

    fn settle(&mut self, shown: &Shown<'_>) {
        if let Some((top, cursor)) = self.settled(shown) {
            (self.top, self.cursor) = (top, cursor);
            self.seen = self.seen.max(cursor + 1);
        }
    }

    /// Takes in where it has come to, before the lines change under it.
    pub(super) fn rest(&mut self, shown: &Shown<'_>) {
        if !self.follow {
            self.settle(shown);
        }
    }

    /// Stays where it is from now on.
    pub(super) fn pause(&mut self, shown: &Shown<'_>) {
        self.settle(shown);
        if self.follow {
            self.follow = false;
            self.seen = shown.buffer.end();
        }
    }

    /// To the end, and stays there.
    pub(super) fn resume(&mut self) {
        self.follow = true;
        self.left = 0;
    }

    /// A line down, or a row inside a line taller than the window.
    pub(super) fn down(&mut self, shown: &Shown<'_>) {
        if self.follow {
            return;
        }
        self.settle(shown);
        if shown.down(self.top, shown.shape.height - 1) < shown.tail(self.cursor) {
            self.top = shown.down(self.top, 1);
        } else if let Some(line) = shown.after(self.cursor) {
            self.cursor = line;
        }
        self.settle(shown);
    }

    /// A line up, or a row.
    pub(super) fn up(&mut self, shown: &Shown<'_>) {
        self.pause(shown);
        if self.top.line == self.cursor && self.top.row > 0 {
            self.top.row -= 1;
        } else if let Some(line) = shown.before(self.cursor) {
            self.cursor = line;
            let rows = shown.rows(line);
            if line < self.top.line && rows > shown.shape.height {
                self.top = Spot { line, row: rows - shown.shape.height };
            }
        }
        self.settle(shown);
    }

    /// A page down.
    pub(super) fn page_down(&mut self, shown: &Shown<'_>) {
        if self.follow {
            return;
        }
        self.settle(shown);
        let Some(last) = shown.last() else { return };
        let (end, before) = (shown.end_top(last), self.top);
        self.top = shown.down(self.top, page(shown)).min(end);
        // On the last page the cursor goes to the end, or the page key would never reach it.
        self.cursor = if self.top == before { last } else { self.top.line.max(self.cursor) };
        if self.top.line == self.cursor && self.top.row > 0 && shown.rows(self.cursor) <= shown.shape.height {
            self.cursor = shown.after(self.cursor).unwrap_or(self.cursor);
        }
        self.settle(shown);
    }

    /// A page up.
    pub(super) fn page_up(&mut self, shown: &Shown<'_>) {
        self.pause(shown);
        let before = self.top;
        self.top = shown.up(self.top, page(shown));
        if self.top == before {
            self.cursor = shown.first().unwrap_or(self.cursor);
        } else {
            let bottom = shown.down(self.top, shown.shape.height - 1);
            self.cursor = self.cursor.min(bottom.line);
            // A line that is cut off at the bottom would pull the window down again.
            if self.cursor == bottom.line && bottom < shown.tail(bottom.line) && self.top.line < bottom.line {
                self.cursor = shown.before(self.cursor).unwrap_or(self.cursor);
            }
        }
        self.settle(shown);
    }

    /// To the first line.
    pub(super) fn home(&mut self, shown: &Shown<'_>) {
        self.pause(shown);
        self.cursor = shown.first().unwrap_or(0);
        self.top = Spot { line: self.cursor, row: 0 };
    }

    /// To a line, with some lines before and after it in sight.
    pub(super) fn reveal(&mut self, shown: &Shown<'_>, line: u64) {
        self.pause(shown);
        let margin = Spot { line, row: 0 };
        let third = shown.shape.height / 3;
        self.cursor = line;
        let near = shown.up(margin, third.min(3)) >= self.top
            && shown.down(margin, third.min(3)) <= shown.down(self.top, shown.shape.height - 1);
        if !near {
            self.top = shown.up(margin, third);
        }
        self.settle(shown);
    }

    /// Rows between the top of the window and the line under the cursor.
    pub(super) fn offset(&self, shown: &Shown<'_>) -> usize {
        let Some((top, cursor)) = self.settled(shown) else { return 0 };
        let row = |rows: &usize| shown.down(top, *rows).line >= cursor;
        (0..shown.shape.height).find(row).unwrap_or(0)
    }

    /// Puts the line under the cursor so many rows below the top, after lines became other rows.
    pub(super) fn keep(&mut self, shown: &Shown<'_>, offset: usize) {
        if let Some(cursor) = shown.nearest(self.cursor).filter(|_| !self.follow) {
            self.top = shown.up(Spot { line: cursor, row: 0 }, offset.min(shown.shape.height - 1));
            self.settle(shown);
        }
    }

    /// Columns to the left or to the right, no further than the longest line in sight.
    pub(super) fn sideways(&mut self, shown: &Shown<'_>, by: isize) {
        if self.wrap {
            return;
        }
        let mut longest = 0;
        let mut next = self.settled(shown).map(|(top, _)| top.line);
        for _ in 0..shown.shape.height {
            let Some(line) = next else { break };
            let text = shown.buffer.get(line).map_or("", |line| line.text.as_str());
            longest = longest.max(crate::ui::text::width(text));
            next = shown.after(line);
        }
        let most = longest.saturating_sub(shown.shape.width / 2);
        self.left = self.left.saturating_add_signed(by).min(most);
    }

    /// The line under the cursor.
    pub(super) fn line(&self, shown: &Shown<'_>) -> Option<u64> {
        self.settled(shown).map(|(_, cursor)| cursor)
    }

    /// Lines that came since the reader stopped following and has not been at.
    pub(super) fn unseen(&self, buffer: &Buffer) -> u64 {
        if self.follow { 0 } else { buffer.end().saturating_sub(self.seen.max(buffer.first())) }
    }

    /// Forgets where it was: another log begins.
    pub(super) fn restart(&mut self) {
        (self.top, self.cursor, self.seen, self.left, self.follow) = (Spot::default(), 0, 0, 0, true);
    }

    /// Goes on in a buffer in which the lines have other numbers.
    pub(super) fn renumber(&mut self, number: impl Fn(u64) -> u64) {
        self.top = Spot { line: number(self.top.line), row: 0 };
        self.cursor = number(self.cursor);
        self.seen = number(self.seen);
    }
}

fn page(shown: &Shown<'_>) -> usize {
    // One row stays in sight, so that the eye finds where it was.
    shown.shape.height.saturating_sub(1).max(1)
}
