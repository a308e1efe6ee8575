//! A table of any length, of which only the visible rows are ever asked for.
//!
//! ```text
//!   jobs › night                                  12/5,000   title, and where one is
//!     STATE       INPUT                     CREATED ▼  TOOK  heads, with the sort
//! ▌ ● ✗ failed    runs/sample-12.zip        3m         12s   selected, marked
//! ```

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Look, Role, layout, text, time};

/// Columns before the first cell: the pointer, the mark and a space.
const GUTTER: u16 = 3;

/// Which end of a text is cut off where it does not fit, and to which side it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// To the left; the end is cut.
    #[default]
    Left,
    /// To the left; the beginning is cut, for paths and keys.
    LeftKeepEnd,
    /// To the right: numbers and times.
    Right,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// Its head.
    pub title: &'a str,
    /// Terminal columns it needs to be of use.
    pub width: u16,
    /// Its share of what is left over; 0 for a column that does not grow.
    pub grow: u16,
    /// Where its text lies.
    pub align: Align,
    /// 0 is always shown; of the others the largest goes first where the terminal is narrow.
    pub priority: u8,
    /// Sorted by it: `Some(true)` is descending.
    pub sorted: Option<bool>,
}

impl<'a> Column<'a> {
    /// A column of fixed width that is always shown.
    pub fn new(title: &'a str, width: u16) -> Self {
        Self { title, width, grow: 0, align: Align::Left, priority: 0, sorted: None }
    }

    /// Takes a share of what is left over.
    #[must_use]
    pub fn grow(self, grow: u16) -> Self {
        Self { grow, ..self }
    }

    /// Aligns.
    #[must_use]
    pub fn align(self, align: Align) -> Self {
        Self { align, ..self }
    }

    /// May be left out: the larger, the sooner.
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        Self { priority, ..self }
    }

    /// Shows a sort arrow if there is a direction.
    #[must_use]
    pub fn sorted(self, descending: Option<bool>) -> Self {
        Self { sorted: descending, ..self }
    }
}

/// One cell: text, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell<'a> {
    /// Made harmless when drawn.
    pub text: Cow<'a, str>,
    /// Its role.
    pub role: Role,
}

impl<'a> Cell<'a> {
    /// Plain text.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), role: Role::Text }
    }

    /// Text of a role.
    pub fn of(role: Role, text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), role }
    }

    /// Sign and word of a state, in its colour.
    pub fn state(look: &Look, word: &str) -> Self {
        let (sign, role) = look.state(word);
        Self { text: Cow::Owned(format!("{sign} {word}")), role }
    }
}

/// One row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowCells<'a> {
    /// One for each column, in their order.
    pub cells: Vec<Cell<'a>>,
    /// Marked by the person.
    pub marked: bool,
}

impl<'a> RowCells<'a> {
    /// An unmarked row.
    pub fn new(cells: Vec<Cell<'a>>) -> Self {
        Self { cells, marked: false }
    }

    /// With its mark.
    #[must_use]
    pub fn marked(self, marked: bool) -> Self {
        Self { marked, ..self }
    }
}

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// Columns in their order.
    pub columns: &'a [Column<'a>],
    /// Rows there are.
    pub length: usize,
    /// Row at the top of the window.
    pub top: usize,
    /// Selected row.
    pub selected: usize,
    /// Above the heads; no line is used if it is empty.
    pub title: &'a str,
    /// Said in the middle if there are no rows.
    pub empty: &'a str,
    /// Shows every column at the width it asks for, scrolled by so many columns. None fits them to the width.
    pub wide: Option<usize>,
    /// The data may be out of date.
    pub stale: bool,
}

/// Rows that a table has room for in a height, so that the window can be told.
pub fn body_height(height: u16, with_title: bool) -> usize {
    usize::from(height.saturating_sub(if with_title { 2 } else { 1 }))
}

/// `12/5,000`: place of the selected row, from 1, and how many there are.
pub fn position(selected: usize, length: usize) -> String {
    let place = (selected + 1).min(length) as u64;
    format!("{}/{}", time::count(place), time::count(length as u64))
}

/// A column that is drawn: which, from where, how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    column: usize,
    x: u16,
    width: u16,
}

impl Table<'_> {
    /// Draws into `area`. `row` is asked for the cells of the visible rows, each once.
    pub fn render<'r>(
        &self,
        look: &Look,
        area: Rect,
        buf: &mut Buffer,
        mut row: impl FnMut(usize) -> Option<RowCells<'r>>,
    ) {
        layout::clear(look, area, buf);
        let mut y = area.y;
        if !self.title.is_empty() && area.height > 0 {
            self.title_line(look, Rect { height: 1, ..area }, buf);
            y += 1;
        }
        if y >= area.bottom() {
            return;
        }
        let rows = Rect { y: y + 1, height: area.bottom() - y - 1, ..area };
        let scrolls = self.length > usize::from(rows.height) && rows.height > 0 && area.width > GUTTER;
        let inner = Rect { width: area.width.saturating_sub(u16::from(scrolls)), ..area };
        let (slots, hidden_left, hidden_right) = self.slots(inner);
        self.heads(look, &slots, y, buf);
        for (hidden, x, sign) in [
            (hidden_left, area.x, look.glyphs.more_left),
            (hidden_right, area.right().saturating_sub(1), look.glyphs.more_right),
        ] {
            if hidden && self.wide.is_some() {
                layout::put(buf, x, y, 1, sign, look, Role::Accent);
            }
        }
        if self.length == 0 {
            empty(look, self.empty, rows, buf);
            return;
        }
        for (y, place) in (rows.top()..rows.bottom()).zip(self.top..self.length) {
            let Some(cells) = row(place) else { continue };
            self.row(look, &cells, place == self.selected, &slots, Rect { y, height: 1, ..inner }, buf);
        }
        if scrolls {
            self.scrollbar(look, rows, buf);
        }
    }

    fn title_line(&self, look: &Look, area: Rect, buf: &mut Buffer) {
        let place = if self.length == 0 { String::new() } else { position(self.selected, self.length) };
        let room = u16::try_from(place.len()).unwrap_or(0);
        let left = area.width.saturating_sub(room + 1);
        layout::put(buf, area.x, area.y, left, self.title, look, Role::Title);
        layout::put(buf, area.right().saturating_sub(room), area.y, room, &place, look, Role::Muted);
    }

    /// Which columns there is room for, and whether some are cut off on the left and on the right.
    fn slots(&self, area: Rect) -> (Vec<Slot>, bool, bool) {
        let room = area.width.saturating_sub(GUTTER);
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let needed = |shown: &[usize]| {
            let widths: u32 = shown.iter().map(|&at| u32::from(self.least_width(at)) + 1).sum();
            widths.saturating_sub(1)
        };
        let first = self.wide.unwrap_or(0).min(self.columns.len().saturating_sub(1));
        if self.wide.is_some() {
            shown.drain(..first);
        } else {
            while needed(&shown) > u32::from(room) {
                let least =
                    shown.iter().enumerate().max_by_key(|(place, at)| (self.columns[**at].priority, *place));
                match least {
                    Some((place, &at)) if self.columns[at].priority > 0 => shown.remove(place),
                    _ => break,
                };
            }
        }
        let over = u32::from(room).saturating_sub(needed(&shown));
        let shares: u32 = shown.iter().map(|&at| u32::from(self.columns[at].grow)).sum();
        let (mut x, mut slots, mut given, mut seen) = (area.x + GUTTER, Vec::new(), 0, 0);
        for &column in &shown {
            let left = area.right().saturating_sub(x);
            if left == 0 {
                break;
            }
            seen += u32::from(self.columns[column].grow);
            // Rounded from the left, so that the shares add up to all that is over.
            let upto = (over * seen).checked_div(shares).unwrap_or(0);
            let wanted = u32::from(self.least_width(column)) + (upto - given);
            given = upto;
            let width = u16::try_from(wanted).unwrap_or(u16::MAX).min(left);
            slots.push(Slot { column, x, width });
            x = x.saturating_add(width).saturating_add(1);
        }
        let right = slots.len() < shown.len();
        (slots, first > 0, right)
    }

    /// A head is never cut by its own column, nor is its arrow.
    fn least_width(&self, column: usize) -> u16 {
        let column = &self.columns[column];
        let head = text::width(column.title) + if column.sorted.is_some() { 2 } else { 0 };
        column.width.max(u16::try_from(head).unwrap_or(u16::MAX))
    }

    fn heads(&self, look: &Look, slots: &[Slot], y: u16, buf: &mut Buffer) {
        for slot in slots {
            let column = &self.columns[slot.column];
            let head = match column.sorted {
                Some(true) => Cow::Owned(format!("{} {}", column.title, look.glyphs.descending)),
                Some(false) => Cow::Owned(format!("{} {}", column.title, look.glyphs.ascending)),
                None => Cow::Borrowed(column.title),
            };
            let role = if column.sorted.is_some() { Role::Accent } else { Role::Header };
            let style = look.style(Role::Header).patch(look.style(role));
            place(look, &head, column.align, *slot, y, style, buf);
        }
    }

    fn row(
        &self,
        look: &Look,
        row: &RowCells<'_>,
        selected: bool,
        slots: &[Slot],
        area: Rect,
        buf: &mut Buffer,
    ) {
        let base = look.style(Role::Text);
        let over = match (selected, row.marked) {
            (true, _) => Some(look.style(Role::Selection)),
            (false, true) => Some(look.style(Role::Mark)),
            (false, false) => None,
        };
        for slot in slots {
            let Some(cell) = row.cells.get(slot.column) else { continue };
            let role = if self.stale { Role::Stale } else { cell.role };
            // On a selected or marked row the colours of the states give way, so that it can be read.
            let style = if over.is_some() { base } else { base.patch(look.style(role)) };
            place(look, &cell.text, self.columns[slot.column].align, *slot, area.y, style, buf);
        }
        let sign = if row.marked { look.glyphs.mark } else { " " };
        buf.set_string(area.x, area.y, if selected { look.glyphs.pointer } else { " " }, base);
        if area.width > 1 {
            buf.set_string(area.x + 1, area.y, sign, base);
        }
        if let Some(over) = over {
            buf.set_style(area, over);
        }
    }

    fn scrollbar(&self, look: &Look, area: Rect, buf: &mut Buffer) {
        let height = usize::from(area.height);
        let most = self.length.saturating_sub(height).max(1);
        let thumb = (height * height / self.length).clamp(1, height);
        let from = (self.top.min(most) * (height - thumb)).div_ceil(most);
        for (row, y) in (area.top()..area.bottom()).enumerate() {
            let on = (from..from + thumb).contains(&row);
            let sign = if on { look.glyphs.thumb } else { look.glyphs.track };
            layout::put(buf, area.right() - 1, y, 1, sign, look, Role::Border);
        }
    }
}

fn place(look: &Look, words: &str, align: Align, slot: Slot, y: u16, style: Style, buf: &mut Buffer) {
    let room = usize::from(slot.width);
    let cleaned = text::clean(words);
    let fitting = match align {
        Align::LeftKeepEnd => text::fit_end(&cleaned, room, look.glyphs.ellipsis),
        _ => text::fit(&cleaned, room, look.glyphs.ellipsis),
    };
    let x = match align {
        Align::Right => {
            let used = u16::try_from(text::width(&fitting)).unwrap_or(slot.width);
            slot.x + slot.width.saturating_sub(used)
        }
        _ => slot.x,
    };
    buf.set_stringn(x, y, fitting.as_ref(), room, style);
}

/// Says why there is nothing, in the middle, wrapped.
fn empty(look: &Look, words: &str, area: Rect, buf: &mut Buffer) {
    let room = area.width.saturating_sub(4);
    let lines: Vec<&str> = words
        .lines()
        .flat_map(|line| {
            text::wrap(line, usize::from(room)).into_iter().map(move |range| line[range].trim_end())
        })
        .collect();
    let count = u16::try_from(lines.len()).unwrap_or(area.height).min(area.height);
    let top = area.y + (area.height - count) / 3;
    for (line, y) in lines.iter().zip(top..area.bottom()) {
        let used = u16::try_from(text::width(line)).unwrap_or(room);
        let x = area.x + area.width.saturating_sub(used) / 2;
        layout::put(buf, x, y, room, line, look, Role::Muted);
    }
}
