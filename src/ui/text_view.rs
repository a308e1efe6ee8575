//! Lines of text (a log, a document) with highlights, wrapped or cut.
//!
//! It is given the lines of its window and nothing more; who scrolls says from which line on, or that the last line
//! belongs at the bottom.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Look, Role, layout, text};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Drawn before it in the muted role: a time, a job's name. Not wrapped and not scrolled sideways.
    pub prefix: &'a str,
    /// The text. What is foreign must have gone through [`text::clean`] already, for highlights are byte ranges of it.
    pub text: &'a str,
    /// Its role.
    pub role: Role,
    /// Ranges found by a search, in bytes. The role says whether it is the current one.
    pub found: Vec<(Range<usize>, Role)>,
}

impl<'a> Line<'a> {
    /// A plain line.
    pub fn new(text: &'a str) -> Self {
        Self { prefix: "", text, role: Role::Text, found: Vec::new() }
    }

    /// A line of a role.
    pub fn of(role: Role, text: &'a str) -> Self {
        Self { role, ..Self::new(text) }
    }
}

/// How lines are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextView {
    /// Breaks long lines; else they are cut.
    pub wrap: bool,
    /// Columns scrolled to the right; without wrap only.
    pub left: usize,
    /// The last line ends at the bottom, and what does not fit is cut off at the top: for following.
    pub to_bottom: bool,
}

/// Terminal rows that a line takes in a width.
pub fn rows(line: &Line<'_>, width: u16, wrap: bool) -> usize {
    if wrap { text::wrap(line.text, room(line, width)).len() } else { 1 }
}

/// Columns left for the text beside the prefix.
fn room(line: &Line<'_>, width: u16) -> usize {
    usize::from(width).saturating_sub(prefix_width(line)).max(1)
}

fn prefix_width(line: &Line<'_>) -> usize {
    if line.prefix.is_empty() { 0 } else { text::width(line.prefix) + 1 }
}

impl TextView {
    /// Draws the lines; gives how many of them were drawn at least in part.
    pub fn render(&self, look: &Look, lines: &[Line<'_>], area: Rect, buf: &mut Buffer) -> usize {
        layout::clear(look, area, buf);
        if self.to_bottom {
            self.ending_at_bottom(look, lines, area, buf)
        } else {
            self.starting_at_top(look, lines, area, buf)
        }
    }

    fn starting_at_top(&self, look: &Look, lines: &[Line<'_>], area: Rect, buf: &mut Buffer) -> usize {
        let mut y = area.top();
        let mut drawn = 0;
        for line in lines {
            if y >= area.bottom() {
                break;
            }
            for (number, piece) in self.pieces(line, area.width).into_iter().enumerate() {
                if y >= area.bottom() {
                    break;
                }
                self.piece(look, line, number, piece, Rect { y, height: 1, ..area }, buf);
                y += 1;
            }
            drawn += 1;
        }
        drawn
    }

    fn ending_at_bottom(&self, look: &Look, lines: &[Line<'_>], area: Rect, buf: &mut Buffer) -> usize {
        let height = usize::from(area.height);
        let (mut taken, mut first) = (0, lines.len());
        while first > 0 && taken < height {
            first -= 1;
            taken += rows(&lines[first], area.width, self.wrap);
        }
        let mut skip = taken.saturating_sub(height);
        let mut y = area.top();
        for line in &lines[first..] {
            for (number, piece) in self.pieces(line, area.width).into_iter().enumerate() {
                if skip > 0 {
                    skip -= 1;
                } else if y < area.bottom() {
                    self.piece(look, line, number, piece, Rect { y, height: 1, ..area }, buf);
                    y += 1;
                }
            }
        }
        lines.len() - first
    }

    /// The parts of a line, one for each row.
    fn pieces(&self, line: &Line<'_>, width: u16) -> Vec<Range<usize>> {
        if self.wrap {
            return text::wrap(line.text, room(line, width));
        }
        let from = text::prefix(line.text, self.left);
        std::iter::once(from..line.text.len()).collect()
    }

    fn piece(
        &self,
        look: &Look,
        line: &Line<'_>,
        number: usize,
        piece: Range<usize>,
        area: Rect,
        buf: &mut Buffer,
    ) {
        let indent = u16::try_from(prefix_width(line)).unwrap_or(u16::MAX).min(area.width);
        if number == 0 {
            layout::put(buf, area.x, area.y, indent, line.prefix, look, Role::Muted);
        } else if indent > 1 {
            layout::put(buf, area.x + indent - 2, area.y, 1, look.glyphs.wrapped, look, Role::Muted);
        }
        let x = area.x + indent;
        let room = area.right().saturating_sub(x);
        let shown = &line.text[piece.clone()];
        let cut = !self.wrap && text::width(shown) > usize::from(room);
        let style = look.style(Role::Text).patch(look.style(line.role));
        let fits = text::prefix(shown, usize::from(room.saturating_sub(u16::from(cut))));
        buf.set_stringn(x, area.y, &shown[..fits], usize::from(room), style);
        for (found, role) in &line.found {
            let (from, to) = (found.start.max(piece.start), found.end.min(piece.start + fits));
            let (Some(before), Some(inside)) =
                (line.text.get(piece.start..from.max(piece.start)), line.text.get(from..to))
            else {
                continue;
            };
            let column = |text: &str| u16::try_from(text::width(text)).unwrap_or(u16::MAX);
            let part = Rect { x: x.saturating_add(column(before)), width: column(inside), ..area };
            buf.set_style(part.intersection(area), look.style(*role));
        }
        if cut && room > 0 {
            layout::put(buf, area.right() - 1, area.y, 1, look.glyphs.more_right, look, Role::Accent);
        }
        if !self.wrap && self.left > 0 && piece.start > 0 && room > 1 {
            layout::put(buf, x, area.y, 1, look.glyphs.more_left, look, Role::Accent);
        }
    }
}
