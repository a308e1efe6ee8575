//! Questions before an action: what it does, to what, and a way out that is always the default.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Look, Role, bar, layout, text};

/// How the person consents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent<'a> {
    /// By choosing between two buttons. `yes` is whether the dangerous one has the focus; it never has at first.
    Buttons {
        /// What the action is called on its button.
        action: &'a str,
        /// The focus is on the action.
        yes: bool,
    },
    /// By typing a name.
    Typed {
        /// What has to be typed.
        name: &'a str,
        /// What has been.
        typed: &'a str,
        /// Where the cursor is, in characters.
        cursor: usize,
    },
    /// Nothing is asked: any key closes it.
    Told,
}

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Dialog<'a> {
    /// The question, in a few words.
    pub title: &'a str,
    /// What will happen.
    pub message: &'a str,
    /// What it will happen to.
    pub targets: &'a [&'a str],
    /// First target shown.
    pub top: usize,
    /// How to agree.
    pub consent: Consent<'a>,
    /// It cannot be undone.
    pub danger: bool,
}

/// Targets that a dialog in this area shows at once, so that scrolling can stop at the end.
pub fn targets_shown(area: Rect, dialog: &Dialog<'_>) -> usize {
    let fixed = message_lines(dialog, inner_width(area)).len() + 5;
    dialog.targets.len().min(usize::from(area.height).saturating_sub(fixed + 2))
}

fn inner_width(area: Rect) -> usize {
    usize::from(area.width.min(76).saturating_sub(4))
}

fn message_lines<'a>(dialog: &Dialog<'a>, width: usize) -> Vec<&'a str> {
    let message = dialog.message;
    let wrapped =
        |line: &'a str| text::wrap(line, width).into_iter().map(move |range| line[range].trim_end());
    message.lines().flat_map(wrapped).collect()
}

impl Dialog<'_> {
    /// Draws it over the middle of `area`. Gives where the terminal's cursor belongs.
    pub fn render(&self, look: &Look, area: Rect, buf: &mut Buffer) -> Option<Position> {
        let width = inner_width(area);
        let lines = message_lines(self, width);
        let shown = targets_shown(area, self);
        let list = if self.targets.is_empty() { 0 } else { shown + 2 };
        let wanted = lines.len() + list + 2 + 2;
        let height = u16::try_from(wanted).unwrap_or(u16::MAX);
        let role = if self.danger { Role::Danger } else { Role::Title };
        let outer = layout::centred(area, u16::try_from(width + 4).unwrap_or(u16::MAX), height);
        let inner = layout::framed(look, outer, self.title, role, buf);
        let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
        if inner.is_empty() {
            return None;
        }
        let mut y = inner.y;
        for line in lines {
            if y + 1 < inner.bottom() {
                layout::put(buf, inner.x, y, inner.width, line, look, Role::Text);
                y += 1;
            }
        }
        if !self.targets.is_empty() {
            self.list(look, shown, Rect { y: y + 1, ..inner }, inner.bottom(), buf);
        }
        self.consent(look, Rect { y: inner.bottom() - 1, height: 1, ..inner }, buf)
    }

    fn list(&self, look: &Look, shown: usize, area: Rect, bottom: u16, buf: &mut Buffer) {
        let top = self.top.min(self.targets.len() - shown.min(self.targets.len()));
        let mut y = area.y;
        for target in self.targets.iter().skip(top).take(shown) {
            if y + 1 >= bottom {
                return;
            }
            let sign = look.glyphs.bullet;
            layout::put(buf, area.x, y, area.width, &format!("{sign} {target}"), look, Role::Accent);
            y += 1;
        }
        let below = self.targets.len() - top - shown;
        if y + 1 < bottom && (below > 0 || top > 0) {
            let more = format!("{top} above, {below} below");
            layout::put(buf, area.x, y, area.width, &more, look, Role::Muted);
        }
    }

    fn consent(&self, look: &Look, area: Rect, buf: &mut Buffer) -> Option<Position> {
        match self.consent {
            Consent::Told => {
                layout::put(buf, area.x, area.y, area.width, "press any key", look, Role::Muted);
                None
            }
            Consent::Buttons { action, yes } => {
                let mut x = area.x;
                let danger = if self.danger { Role::Danger } else { Role::Accent };
                for (word, on, role) in [("Cancel", !yes, Role::Accent), (action, yes, danger)] {
                    // The brackets say it where colours do not.
                    let label = if on { format!("[ {word} ]") } else { format!("  {word}  ") };
                    let left = area.right().saturating_sub(x);
                    let end =
                        layout::put(buf, x, area.y, left, &label, look, if on { role } else { Role::Text });
                    if on {
                        buf.set_style(Rect { x, width: end - x, ..area }, look.style(Role::Selection));
                    }
                    x = end.saturating_add(2);
                }
                None
            }
            Consent::Typed { name, typed, cursor } => {
                let ask = format!("type {name} to go on, esc to cancel: ");
                let room = area.width.saturating_sub(8);
                let x = layout::put(buf, area.x, area.y, room, &ask, look, Role::Text);
                let field = Rect { x, width: area.right().saturating_sub(x), ..area };
                let wrong = (!name.starts_with(typed)).then_some(0);
                Some(bar::input(look, typed, cursor, wrong, field, buf))
            }
        }
    }
}
