//! What is around every screen: header, footer, messages, and what lies over it.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::Behaviour as _;
use super::{help, session};
use crate::app::Command;
use crate::app::model::Model;
use crate::app::offered::hints;
use crate::app::overlay::{Bar, Dialog, Menu, Overlay, Prompt};
use crate::ui::bar::{self, COMPLETIONS};
use crate::ui::dialog::{self, Consent};
use crate::ui::toast::Weight;
use crate::ui::{Look, Role, layout, sparkline, text, time, toast};

/// Columns a progress bar has in the header.
const PROGRESS: usize = 10;

/// Most lines of one message.
const LONGEST: usize = 3;

/// Draws a whole frame.
pub fn draw(model: &Model, look: &Look, frame: &mut Frame<'_>) {
    let area = frame.area();
    let with_bar = matches!(model.overlay, Some(Overlay::Bar(_) | Overlay::Prompt(_)));
    let Some(parts) = layout::split(area, with_bar) else {
        layout::too_small(look, area, frame.buffer_mut());
        return;
    };
    layout::clear(look, area, frame.buffer_mut());
    header(model, look, parts.header, frame.buffer_mut());
    let body = session::banner(model, look, parts.body, frame.buffer_mut());
    if let Some(screen) = model.nav.screen() {
        screen.draw(model, look, frame, body);
    }
    let buf = frame.buffer_mut();
    session::dim(model, look, body, buf);
    footer(model, look, parts.footer, buf);
    // The completions of an open bar lie where the messages would be.
    if !with_bar {
        toasts(model, look, body, buf);
    }
    let cursor = match (&model.overlay, parts.bar) {
        (Some(Overlay::Bar(bar)), Some(line)) => command_bar(bar, look, line, parts.body, buf),
        (Some(Overlay::Prompt(prompt)), Some(line)) => prompted(model, prompt, look, line, parts.body, buf),
        (Some(Overlay::Dialog(dialog)), _) => question(dialog, look, parts.body, buf),
        (Some(Overlay::Code(entry)), _) => session::code(entry, look, parts.body, buf),
        (Some(Overlay::Pick(pick)), _) => {
            session::pick(pick, look, parts.body, buf);
            None
        }
        (Some(Overlay::Menu(menu)), _) => {
            actions(model, menu, look, parts.body, buf);
            None
        }
        (Some(Overlay::Help { top }), _) => {
            help::draw(model, look, *top, parts.body, buf);
            None
        }
        _ => None,
    };
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

fn header(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let crumbs = model.nav.place().crumbs();
    let mut x = layout::put(buf, area.x, area.y, area.width, " shepard ", look, Role::Title);
    for (at, crumb) in crumbs.iter().enumerate() {
        let left = area.right().saturating_sub(x);
        if at > 0 {
            x = layout::put(buf, x, area.y, left, &format!(" {} ", look.glyphs.crumb), look, Role::Muted);
        } else {
            x = layout::put(buf, x, area.y, left, " ", look, Role::Muted);
        }
        let role = if at + 1 == crumbs.len() { Role::Accent } else { Role::Text };
        x = layout::put(buf, x, area.y, area.right().saturating_sub(x), &text::clean(crumb), look, role);
    }
    let note = model.nav.screen().map(|screen| screen.note(model)).unwrap_or_default();
    if !note.is_empty() {
        let note = format!("  {note}");
        x = layout::put(buf, x, area.y, area.right().saturating_sub(x), &note, look, Role::Mark);
    }
    let room = usize::from(area.right().saturating_sub(x + 3));
    let (right, role) = status(model, look, room);
    let width = u16::try_from(text::width(&right)).unwrap_or(0);
    let at = area.right().saturating_sub(width + 1);
    if at > x + 1 {
        layout::put(buf, at, area.y, width, &right, look, role);
    }
}

/// What is said at the right of the header: what is under way, else what kind of session this is.
fn status(model: &Model, look: &Look, room: usize) -> (String, Role) {
    if let Some(op) = model.ops.running.last() {
        let more = match model.ops.running.len() {
            1 => String::new(),
            many => format!(" (+{})", many - 1),
        };
        let number = |n: u64| if op.bytes { time::size(n) } else { time::count(n) };
        let far = if op.total > 0 {
            let bar = sparkline::progress(op.done, op.total, PROGRESS, &look.glyphs);
            format!("{bar} {}/{}", number(op.done), number(op.total))
        } else if op.bytes && op.done > 0 {
            number(op.done)
        } else if op.done > 0 {
            format!("{} {}", time::count(op.done), op.note)
        } else {
            format!("{} ", time::duration(model.now_ms - op.since_ms))
        };
        // Where there are several parts, the one that runs says more than what they are parts of.
        let title = match &op.command {
            // What a stack is at is on its own screens, and longer than there is room for here.
            command @ Command::Stack(_) => command.title(),
            command if op.part.is_empty() => command.title(),
            _ => format!("deploy {}", op.part),
        };
        return (format!("{} {far}{more}", text::fit(&title, 36, look.glyphs.ellipsis)), Role::Info);
    }
    let kind = if model.session.read_only { "read-only" } else { "" };
    // What keeps from changing things is said before who one is.
    let left = room.saturating_sub(if kind.is_empty() { 0 } else { kind.len() + 1 });
    match session::header(model, left) {
        Some((who, role)) if kind.is_empty() => (who, role),
        Some((who, _)) => (format!("{kind} {who}"), Role::Warn),
        None => (kind.to_owned(), Role::Warn),
    }
}

fn footer(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let all = hints(model);
    let help = all.iter().find(|(_, what)| *what == "help");
    let rest: Vec<(&str, &str)> =
        all.iter().filter(|(_, what)| *what != "help").map(|(key, what)| (key.as_str(), *what)).collect();
    let over: &[(&str, &str)] = match &model.overlay {
        None => &rest,
        Some(Overlay::Dialog(dialog)) if dialog.typed.is_some() => {
            &[("enter", "do it, once the name is typed"), ("esc", "cancel")]
        }
        Some(Overlay::Dialog(_)) => {
            &[("y", "yes"), ("n", "no"), ("tab", "other button"), ("up/down", "scroll")]
        }
        Some(Overlay::Prompt(prompt)) if prompt.ask.is_path() => {
            &[("tab", "complete"), ("enter", "go"), ("esc", "cancel")]
        }
        Some(Overlay::Prompt(_)) => &[("enter", "keep"), ("esc", "as before")],
        Some(Overlay::Code(_)) => &[("enter", "renew, once six digits are typed"), ("esc", "cancel")],
        Some(Overlay::Pick(_)) => &[("enter", "pick"), ("type", "to search"), ("esc", "cancel")],
        Some(Overlay::Bar(_)) => {
            &[("tab", "complete"), ("up/down", "choose"), ("enter", "go"), ("esc", "cancel")]
        }
        Some(Overlay::Menu(_)) => &[("enter", "do it"), ("j/k", "choose"), ("esc", "close")],
        Some(Overlay::Help { .. }) => &[("j/k", "scroll"), ("esc", "close")],
    };
    let last = help.map(|(key, what)| (key.as_str(), *what)).filter(|_| model.overlay.is_none());
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    crate::ui::hints::hints(look, over, last, area, buf);
}

/// The newest messages, above the footer, the newest lowest.
fn toasts(model: &Model, look: &Look, body: Rect, buf: &mut Buffer) {
    let mut bottom = body.bottom();
    for message in model.ops.toasts.iter().rev() {
        // It takes as many lines as it needs, up to a few; what is left out shows.
        let clean = text::clean(&message.text);
        let room = usize::from(body.width.saturating_sub(12)).max(20);
        let pieces = text::wrap(&clean, room);
        let cut = pieces.len() > LONGEST;
        let mut lines: Vec<String> =
            pieces.into_iter().take(LONGEST).map(|range| clean[range].trim_end().to_owned()).collect();
        if let Some(last) = lines.last_mut().filter(|_| cut) {
            last.push_str(look.glyphs.ellipsis);
        }
        let height = u16::try_from(lines.len()).unwrap_or(1);
        if bottom.saturating_sub(height) <= body.y + 2 {
            break;
        }
        bottom -= height;
        for (line, y) in lines.iter().zip(bottom..) {
            let row = Rect { y, height: 1, ..body };
            if y == bottom {
                let weight = if message.problem { Weight::Error } else { Weight::Good };
                toast::toast(look, weight, line, row, buf);
            } else {
                layout::clear(look, row, buf);
                let role = if message.problem { Role::Error } else { Role::Ok };
                layout::put(buf, row.x, y, row.width, &format!("  {line}"), look, role);
            }
        }
    }
}

fn command_bar(typed: &Bar, look: &Look, line: Rect, above: Rect, buf: &mut Buffer) -> Option<Position> {
    // Only a window of the candidates is shown; it follows the chosen one.
    let shown = usize::from(COMPLETIONS);
    let first = (typed.selected + 1).saturating_sub(shown);
    let completions: Vec<(&str, &str)> = typed
        .candidates
        .iter()
        .skip(first)
        .take(shown)
        .map(|candidate| (candidate.line.as_str(), candidate.help.as_str()))
        .collect();
    let chosen = (!completions.is_empty()).then(|| typed.selected - first);
    let note = if typed.candidates.is_empty() { "nothing of that name; esc leaves" } else { "" };
    bar::Bar {
        prompt: ":",
        text: typed.input.value(),
        cursor: typed.input.cursor(),
        error: None,
        note,
        completions: &completions,
        chosen,
    }
    .render(look, line, above, buf)
}

fn prompted(
    model: &Model,
    prompt: &Prompt,
    look: &Look,
    line: Rect,
    above: Rect,
    buf: &mut Buffer,
) -> Option<Position> {
    let label = format!(" {}: ", prompt.ask.label());
    let completions: Vec<(&str, &str)> =
        prompt.candidates.iter().take(usize::from(COMPLETIONS)).map(|path| (path.as_str(), "")).collect();
    let (error, note) =
        model.nav.screen().map(|screen| screen.prompt_note(model, prompt.ask)).unwrap_or_default();
    bar::Bar {
        prompt: &label,
        text: prompt.input.value(),
        cursor: prompt.input.cursor(),
        error: error.as_ref().map(|(message, at)| (message.as_str(), *at)),
        note: &note,
        completions: &completions,
        chosen: None,
    }
    .render(look, line, above, buf)
}

fn question(dialog: &Dialog, look: &Look, body: Rect, buf: &mut Buffer) -> Option<Position> {
    let lines: Vec<String> = dialog.lines.iter().map(|line| text::clean(line).into_owned()).collect();
    let targets: Vec<&str> = lines.iter().map(String::as_str).collect();
    let consent = match &dialog.typed {
        Some(name) => Consent::Typed { name, typed: dialog.input.value(), cursor: dialog.input.cursor() },
        None => Consent::Buttons { action: &dialog.yes, yes: dialog.on_yes },
    };
    dialog::Dialog {
        title: &dialog.title,
        message: "",
        targets: &targets,
        top: dialog.top,
        consent,
        danger: dialog.typed.is_some(),
    }
    .render(look, body, buf)
}

fn actions(model: &Model, menu: &Menu, look: &Look, body: Rect, buf: &mut Buffer) {
    let map = &model.session.keymap;
    let height = u16::try_from(menu.actions.len()).unwrap_or(u16::MAX).saturating_add(2);
    let area = layout::centred(body, 72, height.min(body.height));
    let inner = layout::framed(look, area, "actions", Role::Title, buf);
    let rows = usize::from(inner.height);
    let top = (menu.selected + 1).saturating_sub(rows);
    for (at, y) in (top..menu.actions.len()).zip(inner.top()..inner.bottom()) {
        let spec = menu.actions[at].spec();
        let key = map.keys(spec.action).first().map(ToString::to_string).unwrap_or_default();
        let chosen = at == menu.selected;
        let pointer = if chosen { look.glyphs.pointer } else { " " };
        let width = inner.width;
        if chosen {
            buf.set_style(Rect { y, height: 1, ..inner }, look.style(Role::Selection));
        }
        layout::put(buf, inner.x, y, width, pointer, look, Role::Accent);
        layout::put(buf, inner.x + 2, y, width.saturating_sub(2), &key, look, Role::Key);
        let role = if chosen { Role::Selection } else { Role::Text };
        layout::put(buf, inner.x + 10, y, width.saturating_sub(10), spec.help, look, role);
    }
    let below = menu.actions.len().saturating_sub(top + rows);
    if below > 0 {
        let more = format!(" {} {below} more ", look.glyphs.more_below);
        let x = area.right().saturating_sub(u16::try_from(text::width(&more)).unwrap_or(0) + 2);
        layout::put(buf, x, area.bottom().saturating_sub(1), area.width, &more, look, Role::Muted);
    }
}
