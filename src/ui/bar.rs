//! The line at the bottom into which commands and filters are typed, with a list of completions above it.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Look, Role, layout, text};

/// Completions shown at once.
pub const COMPLETIONS: u16 = 8;

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Bar<'a> {
    /// The sign it was opened with, such as `:` or `/`.
    pub prompt: &'a str,
    /// What was typed.
    pub text: &'a str,
    /// Where the cursor is, in characters.
    pub cursor: usize,
    /// What is wrong with the text, and from which character on.
    pub error: Option<(&'a str, usize)>,
    /// Said at the right while there is no error: how many match, what is running.
    pub note: &'a str,
    /// Ways to go on: what would be typed, and what it is.
    pub completions: &'a [(&'a str, &'a str)],
    /// Which of them is chosen.
    pub chosen: Option<usize>,
}

impl Bar<'_> {
    /// Draws the line into `area` and the completions over what lies above it, down to `above`. Gives where the
    /// terminal's cursor belongs.
    pub fn render(&self, look: &Look, area: Rect, above: Rect, buf: &mut Buffer) -> Option<Position> {
        layout::clear(look, area, buf);
        if area.is_empty() {
            return None;
        }
        let start = layout::put(buf, area.x, area.y, area.width, self.prompt, look, Role::Key);
        let message = self.error.map_or(self.note, |(message, _)| message);
        // A message gives way to what is typed, never the other way round.
        let typed = text::width(self.text) + 1;
        let room = usize::from(area.right().saturating_sub(start));
        let message_room = room.saturating_sub(typed.min(room)).saturating_sub(2);
        let shown = text::fit(message, message_room, look.glyphs.ellipsis);
        let message_width = u16::try_from(text::width(&shown)).unwrap_or(0);
        let role = if self.error.is_some() { Role::Error } else { Role::Muted };
        let field =
            Rect { x: start, width: area.right().saturating_sub(start + message_width), height: 1, ..area };
        let cursor = input(look, self.text, self.cursor, self.error.map(|(_, at)| at), field, buf);
        if self.error.is_some() && shown != message && above.height > 0 {
            // What went wrong is worth more room than the line has.
            let line = Rect { y: above.bottom() - 1, height: 1, ..above };
            layout::clear(look, line, buf);
            layout::put(buf, line.x, line.y, line.width, message, look, role);
        } else {
            layout::put(buf, area.right() - message_width, area.y, message_width, &shown, look, role);
            self.list(look, start, above, buf);
        }
        Some(cursor)
    }

    fn list(&self, look: &Look, x: u16, above: Rect, buf: &mut Buffer) {
        let count =
            u16::try_from(self.completions.len()).unwrap_or(u16::MAX).min(COMPLETIONS).min(above.height);
        if count == 0 {
            return;
        }
        let first = self.chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(usize::from(count)));
        let shown = &self.completions[first..first + usize::from(count)];
        let widest = |of: fn(&(&str, &str)) -> usize| shown.iter().map(of).max().unwrap_or(0);
        let names = widest(|(name, _)| text::width(name));
        let width = u16::try_from(names + widest(|(_, about)| text::width(about)) + 4).unwrap_or(u16::MAX);
        let x = x.min(above.right().saturating_sub(width)).max(above.x);
        let area = Rect { x, y: above.bottom() - count, width, height: count }.intersection(above);
        layout::clear(look, area, buf);
        for ((&(name, about), at), y) in shown.iter().zip(first..).zip(area.top()..) {
            let line = Rect { y, height: 1, ..area };
            let chosen = self.chosen == Some(at);
            let sign = if chosen { look.glyphs.pointer } else { " " };
            layout::put(buf, line.x, y, 1, sign, look, Role::Accent);
            layout::put(buf, line.x + 1, y, line.width.saturating_sub(1), name, look, Role::Text);
            let column = u16::try_from(names + 3).unwrap_or(line.width).min(line.width);
            layout::put(buf, line.x + column, y, line.width - column, about, look, Role::Muted);
            if chosen {
                buf.set_style(line, look.style(Role::Selection));
            }
        }
    }
}

/// Draws a line of input, scrolled so that the cursor is on it; from character `wrong` on it is in the role of an error.
/// Gives where the cursor belongs.
pub(super) fn input(
    look: &Look,
    typed: &str,
    cursor: usize,
    wrong: Option<usize>,
    area: Rect,
    buf: &mut Buffer,
) -> Position {
    let room = usize::from(area.width).max(1);
    // One character of what is typed is one here, so that places agree; controls cannot be typed, but may be pasted.
    let safe: String = typed
        .chars()
        .map(|c| if text::clean(c.encode_utf8(&mut [0; 4])) == c.to_string() { c } else { '·' })
        .collect();
    let offset = |character: usize| safe.char_indices().nth(character).map_or(safe.len(), |(at, _)| at);
    let column = text::width(&safe[..offset(cursor)]);
    let under =
        safe[offset(cursor)..].chars().next().map_or(1, |c| text::width(c.encode_utf8(&mut [0; 4])).max(1));
    let skip = text::least_prefix(&safe, (column + under).saturating_sub(room));
    let hidden = text::width(&safe[..skip]);
    let width = area.width;
    buf.set_stringn(
        area.x,
        area.y,
        &safe[skip..],
        usize::from(width),
        look.style(Role::Text).patch(look.style(Role::Input)),
    );
    if let Some(wrong) = wrong {
        let from = text::width(&safe[..offset(wrong)]).saturating_sub(hidden);
        let from = u16::try_from(from).unwrap_or(u16::MAX).min(width);
        let length = u16::try_from(text::width(&safe).saturating_sub(hidden)).unwrap_or(u16::MAX).min(width);
        let part = Rect { x: area.x + from, width: length.saturating_sub(from), ..area };
        buf.set_style(part, look.style(Role::Error));
    }
    let at = u16::try_from(column - hidden.min(column)).unwrap_or(u16::MAX).min(width.saturating_sub(1));
    Position { x: area.x + at, y: area.y }
}
