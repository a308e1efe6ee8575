//! What was done, by whom, and the command line that does it again.
//!
//! It only shows: nothing on it repeats or undoes anything. The command line is copied as it is shown, without
//! control characters, for it will be pasted into a shell.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Behaviour, News, PromptEvent, scroll};
use crate::app::actions::{Action, Scope};
use crate::app::effect::{Effect, Request};
use crate::app::model::{Ctx, Data, Model};
use crate::app::msg::JournalRow;
use crate::app::overlay::{Ask, Prompt};
use crate::ui::table::{Align, Cell, Column, RowCells, Table};
use crate::ui::text_view::{Line, TextView};
use crate::ui::{Look, Role, layout, text};

/// Lines of the terminal that are no rows: header, title, heads, footer.
const AROUND: u16 = 4;
/// Line of the terminal on which the first row lies.
const BODY_TOP: u16 = 3;
/// How a command that worked ended.
const OK: &str = "ok";

/// What a column is sorted by.
type Word = fn(&JournalRow) -> &str;

/// The columns, in their order.
const COLUMNS: [(&str, Word); 6] = [
    ("WHEN (UTC)", |_| ""),
    ("WHAT", |row| &row.action),
    ("FLOCK", |row| &row.flock),
    ("TARGET", |row| &row.target),
    ("RESULT", |row| &row.result),
    ("WHO", |row| &row.who),
];

/// The screen's state.
#[derive(Debug)]
pub struct Journal {
    /// Places in the journal that the filter lets through, as they are sorted.
    order: Vec<usize>,
    selected: usize,
    /// The entry that is selected, so that it is found again among new ones.
    kept: Option<(i64, String)>,
    top: usize,
    filter: String,
    sort: usize,
    descending: bool,
    wide: bool,
    column: usize,
    /// The selected entry is shown alone, from this line on.
    zoom: Option<usize>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            selected: 0,
            kept: None,
            top: 0,
            filter: String::new(),
            sort: 0,
            descending: true,
            wide: false,
            column: 0,
            zoom: None,
        }
    }
}

fn when(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_else(|_| at_ms.to_string())
}

/// Without the seconds: the order tells what came first, and the entry alone has them.
fn minute(at_ms: i64) -> String {
    let mut when = when(at_ms);
    when.truncate("2026-01-31 14:05".len());
    when
}

/// A target in few columns: of a job the part of its id by which it goes everywhere, of several how many more.
fn short(target: &str) -> Cow<'_, str> {
    let several = target.rsplit_once(" and ").and_then(|(first, more)| {
        let more = more.strip_suffix(" more")?;
        more.bytes().all(|b| b.is_ascii_digit()).then_some((first, more))
    });
    let first = several.map_or(target, |(first, _)| first);
    let id = first.len() > 12 && first.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let first = if id { &first[..8] } else { first };
    match several {
        Some((_, more)) => Cow::Owned(format!("{first} +{more}")),
        None => Cow::Borrowed(first),
    }
}

/// Every word is in the entry, or, with a `!`, is not.
fn fits(row: &JournalRow, filter: &str) -> bool {
    let mut whole = when(row.at_ms);
    for part in [&row.who, &row.action, &row.flock, &row.target, &row.command, &row.result] {
        whole.push('\n');
        whole.push_str(&part.to_lowercase());
    }
    filter.to_lowercase().split_whitespace().all(|word| match word.strip_prefix('!') {
        Some(word) => word.is_empty() || !whole.contains(word),
        None => whole.contains(word),
    })
}

impl Journal {
    fn rows(data: &Data) -> &[JournalRow] {
        data.journal.value.as_deref().unwrap_or_default()
    }

    fn selected<'a>(&self, data: &'a Data) -> Option<&'a JournalRow> {
        Self::rows(data).get(*self.order.get(self.selected)?)
    }

    /// Filters and sorts; the selected entry stays selected where it still is there.
    fn arrange(&mut self, data: &Data, size: (u16, u16)) {
        let rows = Self::rows(data);
        let chosen = COLUMNS[self.sort].1;
        self.order = (0..rows.len()).filter(|at| fits(&rows[*at], &self.filter)).collect();
        let descending = self.descending;
        self.order.sort_by(|a, b| {
            let (one, other) = (&rows[*a], &rows[*b]);
            // By time all names are equal; of one millisecond, what comes first in the journal is the newest.
            let by = chosen(one).cmp(chosen(other)).then(one.at_ms.cmp(&other.at_ms)).then(b.cmp(a));
            if descending { by.reverse() } else { by }
        });
        let place = self.kept.as_ref().and_then(|(at_ms, command)| {
            self.order.iter().position(|at| rows[*at].at_ms == *at_ms && rows[*at].command == *command)
        });
        if place.is_none() {
            self.zoom = None;
        }
        self.go(place.unwrap_or(0), data, size);
    }

    fn go(&mut self, to: usize, data: &Data, size: (u16, u16)) {
        let height = usize::from(size.1.saturating_sub(AROUND)).max(1);
        self.selected = to.min(self.order.len().saturating_sub(1));
        self.top = self.top.clamp((self.selected + 1).saturating_sub(height), self.selected);
        self.top = self.top.min(self.order.len().saturating_sub(height));
        self.kept = self.selected(data).map(|row| (row.at_ms, row.command.clone()));
    }

    fn refilter(&mut self, ctx: &Ctx<'_>, filter: &str) {
        self.filter = filter.trim().to_owned();
        self.arrange(ctx.data, ctx.size);
    }

    fn resort(&mut self, ctx: &Ctx<'_>, sort: usize, descending: bool) {
        (self.sort, self.descending) = (sort, descending);
        self.arrange(ctx.data, ctx.size);
    }

    /// The entry alone: names and values, each line as wide as the terminal has room for.
    fn said(row: &JournalRow, width: u16) -> Vec<(&'static str, String, Role)> {
        let role = if row.result == OK { Role::Ok } else { Role::Error };
        let when = format!("{} UTC", when(row.at_ms));
        let parts = [
            ("when    ", when.as_str(), Role::Text),
            ("who     ", row.who.as_str(), Role::Text),
            ("what    ", row.action.as_str(), Role::Text),
            ("flock   ", row.flock.as_str(), Role::Text),
            ("target  ", row.target.as_str(), Role::Text),
            ("result  ", row.result.as_str(), role),
            ("", "", Role::Text),
            ("", "The command line that does the same:", Role::Muted),
            ("", row.command.as_str(), Role::Accent),
        ];
        let mut said = Vec::new();
        for (name, value, role) in parts {
            let value = text::clean(value);
            let room = usize::from(width.saturating_sub(2)).saturating_sub(name.len() + 1);
            // In pieces, for a command line may name more jobs than the terminal has lines.
            for (number, piece) in text::wrap(&value, room.max(1)).into_iter().enumerate() {
                let name = match (number, name) {
                    (_, "") => "",
                    (0, name) => name,
                    _ => "        ",
                };
                said.push((name, value[piece].to_owned(), role));
            }
        }
        said.retain(|(name, value, _)| name.is_empty() || !value.is_empty());
        said
    }

    fn scroll_zoom(&mut self, ctx: &Ctx<'_>, by: isize) {
        let (Some(top), Some(row)) = (self.zoom, self.selected(ctx.data)) else { return };
        let length = Self::said(row, ctx.size.0).len();
        let room = usize::from(ctx.size.1.saturating_sub(AROUND));
        let last = scroll::last_top(length, room, std::iter::repeat_n(1, length));
        self.zoom = Some(top.saturating_add_signed(by).min(last));
    }

    fn act_in_zoom(&mut self, ctx: &Ctx<'_>, action: Action) -> bool {
        let page = isize::try_from(ctx.size.1.saturating_sub(AROUND)).unwrap_or(0).max(1);
        match action {
            Action::TextDown => self.scroll_zoom(ctx, 1),
            Action::TextUp => self.scroll_zoom(ctx, -1),
            Action::TextPageDown => self.scroll_zoom(ctx, page),
            Action::TextPageUp => self.scroll_zoom(ctx, -page),
            Action::TextFirst => self.zoom = Some(0),
            Action::TextLast => self.scroll_zoom(ctx, isize::MAX),
            Action::Out | Action::Back => self.zoom = None,
            _ => return false,
        }
        true
    }

    fn draw_zoom(&self, top: usize, row: &JournalRow, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let buf = frame.buffer_mut();
        layout::put(buf, area.x + 1, area.y, area.width, "One entry of the journal", look, Role::Title);
        let room = Rect {
            x: area.x + 1,
            y: area.y + 2,
            width: area.width.saturating_sub(2),
            height: area.height.saturating_sub(2),
        };
        let said = Self::said(row, area.width);
        let line = |said: &'static str, value, role| Line { prefix: said, ..Line::of(role, value) };
        let lines: Vec<Line<'_>> =
            said.iter().skip(top).map(|(name, value, role)| line(name, value.as_str(), *role)).collect();
        let drawn = TextView::default().render(look, &lines, room, buf);
        let more = scroll::out_of_sight(look, top, said.len().saturating_sub(top + drawn), ["", ""]);
        let width = u16::try_from(text::width(&more)).unwrap_or(u16::MAX);
        layout::put(buf, area.right().saturating_sub(width + 1), area.y, width, &more, look, Role::Muted);
    }

    fn draw_table(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let journal = &model.data.journal;
        let rows = Self::rows(&model.data);
        let columns = [(16, 0, 0), (12, 0, 0), (8, 1, 0), (14, 4, 1), (16, 4, 0), (16, 1, 2)];
        let mut at = 0;
        let columns = columns.map(|(width, grow, priority)| {
            let sorted = (at == self.sort).then_some(self.descending);
            let align = if at == 3 { Align::LeftKeepEnd } else { Align::Left };
            let column = Column::new(COLUMNS[at].0, width).grow(grow).priority(priority);
            at += 1;
            column.align(align).sorted(sorted)
        });
        let filtered = if self.filter.is_empty() {
            String::new()
        } else {
            format!(" {} filter: {}", look.glyphs.separator, text::clean(&self.filter))
        };
        let title = match &journal.problem {
            Some(problem) => {
                format!("journal{filtered}: cannot be read anew: {}", text::clean(&problem.text))
            }
            None => format!("journal{filtered}"),
        };
        let (ellipsis, problem) = (look.glyphs.ellipsis, journal.problem.as_ref());
        let empty = match (journal.value.is_some(), problem) {
            (false, None) => format!("reading the journal{ellipsis}"),
            (false, Some(problem)) => format!("the journal cannot be read: {}", text::clean(&problem.text)),
            (true, _) if !rows.is_empty() => "no entry fits the filter\nesc takes it away".to_owned(),
            (true, _) => {
                "nothing was done yet\nwhat changes a flock is written here: batch, retry, terminate, create,\neach \
                      with the command line that does the same"
                .to_owned()
            }
        };
        let table = Table {
            columns: &columns,
            length: self.order.len(),
            top: self.top,
            selected: self.selected,
            title: &title,
            empty: &empty,
            wide: self.wide.then_some(self.column),
            stale: problem.is_some() && journal.value.is_some(),
        };
        table.render(look, area, frame.buffer_mut(), |place| {
            let row = rows.get(*self.order.get(place)?)?;
            let (sign, role) = match row.result.as_str() {
                OK => (look.glyphs.succeeded, Role::Ok),
                _ => (look.glyphs.failed, Role::Error),
            };
            Some(RowCells::new(vec![
                Cell::of(Role::Muted, minute(row.at_ms)),
                Cell::new(row.action.as_str()),
                Cell::new(row.flock.as_str()),
                Cell::new(short(&row.target)),
                Cell::of(role, format!("{sign} {}", row.result)),
                Cell::of(Role::Muted, row.who.as_str()),
            ]))
        });
    }
}

impl Behaviour for Journal {
    fn scopes(&self) -> &'static [Scope] {
        if self.zoom.is_some() { &[Scope::Journal, Scope::Text] } else { &[Scope::Journal, Scope::Table] }
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        self.arrange(ctx.data, ctx.size);
        ctx.effect(Effect::Load(Request::Journal));
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        if let News::Journal = news {
            self.arrange(ctx.data, ctx.size);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        if action == Action::JournalCopy {
            if let Some(row) = self.selected(ctx.data) {
                ctx.effect(Effect::Copy(text::clean(&row.command).into_owned()));
            }
            return true;
        }
        if self.zoom.is_some() {
            return self.act_in_zoom(ctx, action);
        }
        let page = usize::from(ctx.size.1.saturating_sub(AROUND)).max(1);
        let (at, last) = (self.selected, self.order.len().saturating_sub(1));
        match action {
            Action::Down => self.go(at + 1, ctx.data, ctx.size),
            Action::Up => self.go(at.saturating_sub(1), ctx.data, ctx.size),
            Action::PageDown => self.go(at + page, ctx.data, ctx.size),
            Action::PageUp => self.go(at.saturating_sub(page), ctx.data, ctx.size),
            Action::First => self.go(0, ctx.data, ctx.size),
            Action::Last => self.go(last, ctx.data, ctx.size),
            Action::Open => self.zoom = self.selected(ctx.data).map(|_| 0),
            Action::Filter => ctx.prompt(Prompt::new(Ask::Filter, self.filter.as_str())),
            Action::Out if !self.filter.is_empty() => self.refilter(ctx, ""),
            Action::Sort => {
                let next = (self.sort + 1) % COLUMNS.len();
                self.resort(ctx, next, next == 0);
            }
            Action::SortReverse => self.resort(ctx, self.sort, !self.descending),
            Action::Wide => (self.wide, self.column) = (!self.wide, 0),
            Action::ScrollLeft => self.column = self.column.saturating_sub(1),
            Action::ScrollRight if self.wide => self.column = (self.column + 1).min(COLUMNS.len() - 1),
            _ => return false,
        }
        true
    }

    fn prompted(&mut self, ctx: &mut Ctx<'_>, ask: Ask, event: &PromptEvent) {
        if ask == Ask::Filter {
            let (PromptEvent::Typed(text) | PromptEvent::Entered(text) | PromptEvent::Cancelled(text)) =
                event;
            self.refilter(ctx, text);
        }
    }

    fn prompt_note(&self, model: &Model, _ask: Ask) -> (Option<(String, usize)>, String) {
        (None, format!("{} of {}", self.order.len(), Self::rows(&model.data).len()))
    }

    fn clicked(&mut self, ctx: &mut Ctx<'_>, _x: u16, y: u16) {
        let line = y.checked_sub(BODY_TOP).filter(|line| line + AROUND < ctx.size.1).map(usize::from);
        if let Some(place) = line.map(|line| self.top + line).filter(|place| *place < self.order.len())
            && self.zoom.is_none()
        {
            self.go(place, ctx.data, ctx.size);
        }
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        match (self.zoom, self.selected(&model.data)) {
            (Some(top), Some(row)) => self.draw_zoom(top, row, look, frame, area),
            _ => self.draw_table(model, look, frame, area),
        }
    }
}
