//! A message that passes: one line with its weight in a sign, a word and a colour.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Look, Role, layout};

/// How much a message weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    /// Something went as asked.
    Good,
    /// Something is worth knowing.
    News,
    /// Something did not go as asked.
    Warning,
    /// Something failed.
    Error,
}

impl Weight {
    /// Its role.
    pub fn role(self) -> Role {
        match self {
            Self::Good => Role::Ok,
            Self::News => Role::Info,
            Self::Warning => Role::Warn,
            Self::Error => Role::Error,
        }
    }

    /// The word drawn before a message where its text does not say it.
    fn word(self) -> &'static str {
        match self {
            Self::Good | Self::News => "",
            Self::Warning => "warning: ",
            Self::Error => "error: ",
        }
    }
}

/// Draws a message on one line.
pub fn toast(look: &Look, weight: Weight, message: &str, area: Rect, buf: &mut Buffer) {
    layout::clear(look, area, buf);
    if area.is_empty() {
        return;
    }
    let sign = match weight {
        Weight::Good => look.glyphs.succeeded,
        Weight::News => look.glyphs.bullet,
        Weight::Warning => look.glyphs.warning,
        Weight::Error => look.glyphs.failed,
    };
    let line = format!("{sign} {}{message}", weight.word());
    layout::put(buf, area.x, area.y, area.width, &line, look, weight.role());
}

/// Draws a banner over a whole line: what stays until it is mended, such as stale data.
pub fn banner(look: &Look, weight: Weight, message: &str, key: &str, area: Rect, buf: &mut Buffer) {
    let room = u16::try_from(super::text::width(key)).unwrap_or(u16::MAX);
    let with_key = !key.is_empty() && room.saturating_add(8) < area.width;
    layout::clear(look, area, buf);
    // The message is cut where the key begins, and shows that it is.
    let width = if with_key { area.width - room - 1 } else { area.width };
    toast(look, weight, message, Rect { width, ..area }, buf);
    if with_key {
        let x = area.right() - room;
        layout::put(buf, x - 1, area.y, 1, " ", look, Role::Text);
        layout::put(buf, x, area.y, room, key, look, Role::Key);
    }
}
