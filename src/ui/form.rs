//! Fields to fill in: text, a choice, a switch; each with its error beside it.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tui_input::{Input, InputRequest};

use super::{Look, Role, bar, layout, text};

/// What a field holds.
#[derive(Debug, Clone)]
pub enum Value {
    /// A line of text.
    Text(Input),
    /// One of several words.
    Choice {
        /// The words.
        words: Vec<String>,
        /// Which.
        chosen: usize,
    },
    /// Yes or no.
    Switch(bool),
}

/// One field.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name, as drawn.
    pub label: String,
    /// What it holds.
    pub value: Value,
    /// Said below it while it has the focus.
    pub hint: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl Field {
    /// A line of text.
    pub fn text(label: &str, value: &str, hint: &str) -> Self {
        Self::new(label, Value::Text(Input::new(value.to_owned())), hint)
    }

    /// One of several words; the first is chosen.
    pub fn choice(label: &str, words: &[&str], hint: &str) -> Self {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        Self::new(label, Value::Choice { words, chosen: 0 }, hint)
    }

    /// Yes or no.
    pub fn switch(label: &str, on: bool, hint: &str) -> Self {
        Self::new(label, Value::Switch(on), hint)
    }

    fn new(label: &str, value: Value, hint: &str) -> Self {
        Self { label: label.to_owned(), value, hint: hint.to_owned(), error: None }
    }

    /// What it holds, as text: `yes` or `no` for a switch.
    pub fn value(&self) -> &str {
        match &self.value {
            Value::Text(input) => input.value(),
            Value::Choice { words, chosen } => words.get(*chosen).map_or("", String::as_str),
            Value::Switch(on) => {
                if *on {
                    "yes"
                } else {
                    "no"
                }
            }
        }
    }

    /// Whether a switch is on.
    pub fn is_on(&self) -> bool {
        matches!(self.value, Value::Switch(true))
    }

    /// Replaces a text, with the cursor at its end, as a completion does.
    pub fn set_text(&mut self, text: &str) {
        if let Value::Text(input) = &mut self.value {
            *input = Input::new(text.to_owned());
        }
    }

    /// Edits it. True if its value changed; its error is then gone.
    pub fn edit(&mut self, edit: Edit) -> bool {
        let changed = match &mut self.value {
            Value::Text(input) => edit_text(input, edit),
            Value::Choice { words, chosen } => {
                let count = words.len().max(1);
                match edit {
                    Edit::Right | Edit::Char(' ') => *chosen = (*chosen + 1) % count,
                    Edit::Left => *chosen = (*chosen + count - 1) % count,
                    _ => return false,
                }
                count > 1
            }
            Value::Switch(on) => {
                let flips = matches!(edit, Edit::Left | Edit::Right | Edit::Char(' '));
                *on ^= flips;
                flips
            }
        };
        if changed {
            self.error = None;
        }
        changed
    }

    /// Draws what it holds into one line. Gives where the terminal's cursor belongs if it has the focus.
    pub fn draw_value(&self, look: &Look, focused: bool, area: Rect, buf: &mut Buffer) -> Option<Position> {
        draw_value(look, self, focused, area, buf)
    }
}

/// An edit of the field that has the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// A character typed. A space flips a switch and steps a choice.
    Char(char),
    /// Backspace.
    DeleteLeft,
    /// Delete.
    DeleteRight,
    /// Up to the start of the word.
    DeleteWord,
    /// Up to the start of the line.
    DeleteAll,
    /// The cursor, or the choice before.
    Left,
    /// The cursor, or the choice after.
    Right,
    /// A word left.
    WordLeft,
    /// A word right.
    WordRight,
    /// To the start.
    Home,
    /// To the end.
    End,
}

/// Several fields, one of which has the focus.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// The fields in their order.
    pub fields: Vec<Field>,
    focus: usize,
}

impl Form {
    /// Of these fields; the first has the focus.
    pub fn new(fields: Vec<Field>) -> Self {
        Self { fields, focus: 0 }
    }

    /// Which field has the focus.
    pub fn focus(&self) -> usize {
        self.focus
    }

    /// The field that has the focus.
    pub fn focused(&self) -> Option<&Field> {
        self.fields.get(self.focus)
    }

    /// Gives a field the focus, if there is such a one.
    pub fn set_focus(&mut self, focus: usize) {
        if focus < self.fields.len() {
            self.focus = focus;
        }
    }

    /// On to the next field, and around.
    pub fn next(&mut self) {
        self.focus = (self.focus + 1) % self.fields.len().max(1);
    }

    /// Back to the one before, and around.
    pub fn previous(&mut self) {
        self.focus = (self.focus + self.fields.len().saturating_sub(1)) % self.fields.len().max(1);
    }

    /// Gives the focus to the first field that is wrong. False if none is.
    pub fn to_first_error(&mut self) -> bool {
        let found = self.fields.iter().position(|field| field.error.is_some());
        self.focus = found.unwrap_or(self.focus);
        found.is_some()
    }

    /// Edits the field that has the focus. True if its value changed; its error is then gone.
    pub fn edit(&mut self, edit: Edit) -> bool {
        self.fields.get_mut(self.focus).is_some_and(|field| field.edit(edit))
    }

    /// Draws the fields that there is room for around the one with the focus, one line each and one below for the error
    /// or the hint of that one. Gives where the terminal's cursor belongs.
    pub fn render(&self, look: &Look, area: Rect, buf: &mut Buffer) -> Option<Position> {
        layout::clear(look, area, buf);
        let widest = self.fields.iter().map(|field| text::width(&field.label)).max().unwrap_or(0);
        let labels = u16::try_from(widest).unwrap_or(u16::MAX).min(area.width / 2);
        let lines = |at: usize| self.note(at).map_or(1, |_| 2);
        let mut first = self.focus;
        let mut room =
            usize::from(area.height).saturating_sub(self.fields.get(first).map_or(0, |_| lines(first)));
        while first > 0 && lines(first - 1) <= room {
            first -= 1;
            room -= lines(first);
        }
        let (mut y, mut cursor) = (area.y, None);
        for (at, field) in self.fields.iter().enumerate().skip(first) {
            if y >= area.bottom() {
                break;
            }
            let focused = at == self.focus;
            let sign = if focused { look.glyphs.pointer } else { " " };
            layout::put(buf, area.x, y, 1, sign, look, Role::Accent);
            let role = if focused { Role::Title } else { Role::Text };
            layout::put(buf, area.x + 2, y, labels, &field.label, look, role);
            let x = area.x + labels + 4;
            let part = Rect { x, y, width: area.right().saturating_sub(x), height: 1 };
            if part.is_empty() {
                break;
            }
            let place = draw_value(look, field, focused, part, buf);
            if focused {
                cursor = place;
            }
            y += 1;
            if let Some((note, role)) = self.note(at).filter(|_| y < area.bottom()) {
                layout::put(buf, x, y, part.width, &note, look, role);
                y += 1;
            }
        }
        cursor
    }

    /// What is said below a field.
    fn note(&self, at: usize) -> Option<(String, Role)> {
        let field = self.fields.get(at)?;
        match &field.error {
            Some(error) => Some((format!("error: {error}"), Role::Error)),
            None if at == self.focus && !field.hint.is_empty() => Some((field.hint.clone(), Role::Muted)),
            None => None,
        }
    }
}

/// Edits a line of text; true if the text changed.
pub fn edit_text(input: &mut Input, edit: Edit) -> bool {
    let request = match edit {
        Edit::Char(c) => InputRequest::InsertChar(c),
        Edit::DeleteLeft => InputRequest::DeletePrevChar,
        Edit::DeleteRight => InputRequest::DeleteNextChar,
        Edit::DeleteWord => InputRequest::DeletePrevWord,
        Edit::DeleteAll => InputRequest::DeleteLine,
        Edit::Left => InputRequest::GoToPrevChar,
        Edit::Right => InputRequest::GoToNextChar,
        Edit::WordLeft => InputRequest::GoToPrevWord,
        Edit::WordRight => InputRequest::GoToNextWord,
        Edit::Home => InputRequest::GoToStart,
        Edit::End => InputRequest::GoToEnd,
    };
    input.handle(request).is_some_and(|changed| changed.value)
}

/// Columns of all the words of a choice beside each other.
fn wide(look: &Look, words: &[String]) -> usize {
    let sign = text::width(look.glyphs.on) + 1;
    words.iter().map(|word| sign + text::width(word) + 2).sum::<usize>().saturating_sub(2)
}

fn draw_value(look: &Look, field: &Field, focused: bool, area: Rect, buf: &mut Buffer) -> Option<Position> {
    match &field.value {
        Value::Text(input) => {
            let wrong = field.error.as_ref().map(|_| 0);
            let place = bar::input(look, input.value(), input.cursor(), wrong, area, buf);
            if input.value().is_empty() {
                let line = look.glyphs.frame[4].repeat(usize::from(area.width.min(20)));
                layout::put(buf, area.x, area.y, area.width, &line, look, Role::Border);
            }
            focused.then_some(place)
        }
        Value::Choice { words, chosen } if wide(look, words) > usize::from(area.width) => {
            // The one that is chosen, and that there are others on either side.
            let word = words.get(*chosen).map_or("", String::as_str);
            let place = format!(
                "{} {word} {}  {} of {}",
                look.glyphs.more_left,
                look.glyphs.more_right,
                *chosen + 1,
                words.len()
            );
            layout::put(buf, area.x, area.y, area.width, &place, look, Role::Accent);
            None
        }
        Value::Choice { words, chosen } => {
            let mut x = area.x;
            for (at, word) in words.iter().enumerate() {
                let sign = if at == *chosen { look.glyphs.on } else { look.glyphs.off };
                let role = if at == *chosen { Role::Accent } else { Role::Muted };
                let left = area.right().saturating_sub(x);
                x = layout::put(buf, x, area.y, left, &format!("{sign} {word}"), look, role)
                    .saturating_add(2);
            }
            None
        }
        Value::Switch(on) => {
            let (sign, role) =
                if *on { (look.glyphs.on, Role::Accent) } else { (look.glyphs.off, Role::Muted) };
            layout::put(buf, area.x, area.y, area.width, &format!("{sign} {}", field.value()), look, role);
            None
        }
    }
}
