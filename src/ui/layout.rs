//! Where things go: a header line, the body, a footer; boxes in the middle; what is too small to draw on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text;
use super::{Look, Role};

/// Least width of a terminal.
pub const LEAST_WIDTH: u16 = 40;
/// Least height.
pub const LEAST_HEIGHT: u16 = 10;

/// The parts of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Breadcrumbs, profile, counts: one line.
    pub header: Rect,
    /// The screen's own.
    pub body: Rect,
    /// The command or filter bar, or a message: one line, there only if asked for.
    pub bar: Option<Rect>,
    /// Key hints: one line.
    pub footer: Rect,
}

/// Splits the terminal. None if it is too small; then draw [`too_small`].
pub fn split(area: Rect, with_bar: bool) -> Option<Layout> {
    if area.width < LEAST_WIDTH || area.height < LEAST_HEIGHT {
        return None;
    }
    let line = |y: u16| Rect { y: area.y + y, height: 1, ..area };
    let below = if with_bar { 2 } else { 1 };
    Some(Layout {
        header: line(0),
        body: Rect { y: area.y + 1, height: area.height - 1 - below, ..area },
        bar: with_bar.then(|| line(area.height - 2)),
        footer: line(area.height - 1),
    })
}

/// Says what is missing, in however little room there is.
pub fn too_small(look: &Look, area: Rect, buf: &mut Buffer) {
    clear(look, area, buf);
    let lines = [
        format!("terminal too small: {}x{}", area.width, area.height),
        format!("needs {LEAST_WIDTH}x{LEAST_HEIGHT}"),
    ];
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        put(buf, area.x, y, area.width, line, look, Role::Warn);
    }
}

/// A box of at most that size in the middle.
pub fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// Empties an area: spaces in the screen's own style.
pub fn clear(look: &Look, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    for position in area.positions() {
        buf[position].reset();
    }
    buf.set_style(area, look.style(Role::Text));
}

/// Writes text in one role from `x`, cut to `width`; gives the column after it.
pub fn put(buf: &mut Buffer, x: u16, y: u16, width: u16, text: &str, look: &Look, role: Role) -> u16 {
    let cleaned = text::clean(text);
    let fitting = text::fit(&cleaned, usize::from(width), look.glyphs.ellipsis);
    if y < buf.area.top() || y >= buf.area.bottom() || x >= buf.area.right() {
        return x;
    }
    buf.set_stringn(x, y, fitting.as_ref(), usize::from(width), look.style(role)).0
}

/// Draws a frame with a title and empties its inside, which it gives back.
pub fn framed(look: &Look, area: Rect, title: &str, role: Role, buf: &mut Buffer) -> Rect {
    clear(look, area, buf);
    if area.width < 2 || area.height < 2 {
        return Rect { width: 0, height: 0, ..area };
    }
    let [top_left, top_right, bottom_right, bottom_left, horizontal, vertical] = look.glyphs.frame;
    let style = look.style(Role::Border);
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    for x in area.x..=right {
        buf.set_string(x, area.y, horizontal, style);
        buf.set_string(x, bottom, horizontal, style);
    }
    for y in area.y..=bottom {
        buf.set_string(area.x, y, vertical, style);
        buf.set_string(right, y, vertical, style);
    }
    for (x, y, corner) in [
        (area.x, area.y, top_left),
        (right, area.y, top_right),
        (right, bottom, bottom_right),
        (area.x, bottom, bottom_left),
    ] {
        buf.set_string(x, y, corner, style);
    }
    if !title.is_empty() && area.width > 6 {
        put(buf, area.x + 2, area.y, area.width - 4, &format!(" {title} "), look, role);
    }
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
}
