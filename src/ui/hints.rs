//! Key hints in the footer: as many whole ones as fit, the most important first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Look, Role, layout, text};

/// A key and what it does, in a word or two.
pub type Hint<'a> = (&'a str, &'a str);

/// Draws the hints in their order until the next does not fit. `last` (such as `? help`) always has its place.
pub fn hints(look: &Look, all: &[Hint<'_>], last: Option<Hint<'_>>, area: Rect, buf: &mut Buffer) {
    layout::clear(look, area, buf);
    if area.is_empty() {
        return;
    }
    let size = |(key, what): Hint<'_>| text::width(key) + 1 + text::width(what) + 2;
    let mut room = usize::from(area.width).saturating_sub(last.map_or(0, size));
    let mut x = area.x;
    let mut draw = |(key, what): Hint<'_>, x: &mut u16| {
        let left = |x: u16| area.right().saturating_sub(x);
        *x = layout::put(buf, *x, area.y, left(*x), key, look, Role::Key).saturating_add(1);
        *x = layout::put(buf, *x, area.y, left(*x), what, look, Role::Hint).saturating_add(2);
    };
    for &hint in all {
        let Some(rest) = room.checked_sub(size(hint)) else { break };
        room = rest;
        draw(hint, &mut x);
    }
    if let Some(hint) = last {
        draw(hint, &mut x);
    }
}
