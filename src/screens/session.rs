//! The session with AWS as it is drawn: who and until when in the header, the one banner while there is none, the dialog
//! of a code, and the lists to pick a profile or a region from.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use shepard_model::mfa;

use crate::app::account::{self, CodeEntry, Pick, Picked, SOON_MS};
use crate::app::model::Model;
use crate::app::{Action, renewal};
use crate::ui::toast::{self, Weight};
use crate::ui::{Look, Role, layout, text};

/// Who one is and until when, as long as there is room for: from the longest way to say it to the shortest.
pub(super) fn header(model: &Model, room: usize) -> Option<(String, Role)> {
    let looked_at = account::looked_at(model)?;
    let standing = &model.account;
    if standing.of.as_ref() != Some(&looked_at) {
        return None;
    }
    let who = standing.who.value.as_ref();
    let (left, role) = if account::paused(model).is_some() {
        ("no session".to_owned(), Role::Error)
    } else {
        match standing.left_ms(model.now_ms) {
            Some(left) if left < SOON_MS => (format!("only {}", minutes(left)), Role::Warn),
            Some(left) => (minutes(left), Role::Muted),
            None => (String::new(), Role::Muted),
        }
    };
    // A flock's name says its region already.
    let region = match model.nav.place().flock() {
        Some(_) => None,
        None => who.and_then(|who| who.region.clone()).or(looked_at.region),
    };
    let name = who.map(|who| who.name.as_str()).unwrap_or_default();
    let whole = who.map(|who| format!("{}@{}", who.name, who.account)).unwrap_or_default();
    let join = |parts: [&str; 3]| {
        parts
            .iter()
            .filter(|part| !part.is_empty())
            .map(|part| text::clean(part).into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let region = region.as_deref().unwrap_or_default();
    let ways =
        [join([&whole, region, &left]), join([&whole, "", &left]), join([name, "", &left]), left.clone()];
    ways.into_iter().find(|way| !way.is_empty() && text::width(way) <= room).map(|way| (way, role))
}

fn minutes(ms: i64) -> String {
    match ms / 1_000 {
        seconds if seconds >= 3_600 => format!("{}h {:02}m left", seconds / 3_600, seconds / 60 % 60),
        seconds if seconds >= 60 => format!("{}m left", seconds / 60),
        seconds => format!("{}s left", seconds.max(0)),
    }
}

/// The banner, if something is wrong with the session; gives what is left of the area.
pub(super) fn banner(model: &Model, look: &Look, body: Rect, buf: &mut Buffer) -> Rect {
    let Some((problem, renewable)) = renewal::said(model).filter(|_| body.height > 3) else { return body };
    let keys = model.session.keymap.keys(Action::Renew);
    let key = keys.first().filter(|_| renewable).map(|key| format!("{key} renew")).unwrap_or_default();
    let line = Rect { y: body.bottom() - 1, height: 1, ..body };
    let weight = if renewable { Weight::Error } else { Weight::Warning };
    toast::banner(look, weight, &text::clean(&problem.text), &key, line, buf);
    Rect { height: body.height - 1, ..body }
}

/// Dims what is old: everything but the frame around it.
pub(super) fn dim(model: &Model, look: &Look, body: Rect, buf: &mut Buffer) {
    if account::paused(model).is_some() {
        buf.set_style(body, look.style(Role::Stale));
    }
}

/// The dialog of a code: a sign for each digit, never the digit.
pub(super) fn code(entry: &CodeEntry, look: &Look, body: Rect, buf: &mut Buffer) -> Option<Position> {
    let area = layout::centred(body, 64, 7);
    let inner = layout::framed(look, area, "MFA code", Role::Title, buf);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    if inner.height < 5 {
        return None;
    }
    let role = entry.role.rsplit('/').next().unwrap_or(&entry.role);
    let lines = [format!("for the role {role}"), format!("of the device {}", entry.serial)];
    for (line, y) in lines.iter().zip(inner.y..) {
        layout::put(buf, inner.x, y, inner.width, line, look, Role::Muted);
    }
    let y = inner.y + 3;
    let signs = format!("{}{}", "*".repeat(entry.typed()), "_".repeat(mfa::DIGITS - entry.typed()));
    let x = layout::put(buf, inner.x, y, inner.width, "code ", look, Role::Title);
    layout::put(buf, x, y, inner.width, &signs, look, Role::Accent);
    let at = u16::try_from(entry.typed().min(mfa::DIGITS - 1)).unwrap_or(0);
    Some(Position { x: x + at, y })
}

/// A list to pick from.
pub(super) fn pick(pick: &Pick, look: &Look, body: Rect, buf: &mut Buffer) {
    let title = match pick.what {
        Picked::Profile => "profile of AWS",
        Picked::Region => "region of AWS",
    };
    let title = if pick.typed.is_empty() {
        title.to_owned()
    } else {
        format!("{title}: {}", text::clean(&pick.typed))
    };
    let shown = pick.shown();
    let rows = pick.items.as_ref().map_or(1, |_| shown.len().max(1));
    let area = layout::centred(body, 64, u16::try_from(rows + 2).unwrap_or(u16::MAX));
    let inner = layout::framed(look, area, &title, Role::Title, buf);
    if pick.items.is_none() || shown.is_empty() {
        let said = if pick.items.is_none() { "reading" } else { "nothing of that name" };
        layout::put(buf, inner.x + 1, inner.y, inner.width.saturating_sub(1), said, look, Role::Muted);
        return;
    }
    let height = usize::from(inner.height);
    let top = (pick.selected + 1).saturating_sub(height);
    for ((at, (name, how)), y) in shown.iter().enumerate().skip(top).zip(inner.top()..inner.bottom()) {
        let chosen = at == pick.selected;
        let role = if chosen { Role::Selection } else { Role::Text };
        if chosen {
            buf.set_style(Rect { y, height: 1, ..inner }, look.style(Role::Selection));
        }
        let pointer = if chosen { look.glyphs.pointer } else { " " };
        layout::put(buf, inner.x, y, 1, pointer, look, Role::Accent);
        let x = layout::put(buf, inner.x + 2, y, inner.width.saturating_sub(2), name, look, role) + 2;
        let left = inner.right().saturating_sub(x);
        if left > 4 {
            layout::put(buf, x, y, left, how, look, if chosen { Role::Selection } else { Role::Muted });
        }
    }
}

#[cfg(test)]
mod tests;
