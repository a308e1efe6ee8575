//! How a log looks: a gutter with pointer, time and source, the text, and a line that says where one is.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use shepard_model::{JobRow, LogSource, State};

use super::buffer::Line;
use super::layout::{Laid, Lines as _, Shape, Spot};
use super::time::Stamps;
use super::view::Shown;
use super::zoom::Zoom;
use super::{Logs, Search};
use crate::app::model::Model;
use crate::ui::{Look, Role, layout, text, time};

/// Draws the screen.
pub(super) fn draw(logs: &Logs, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let buf = frame.buffer_mut();
    layout::clear(look, area, buf);
    if area.height < 2 || area.width == 0 {
        return;
    }
    if let Some(zoom) = &logs.zoom {
        return zoomed(zoom, logs.search.as_ref(), look, area, buf);
    }
    let status = Rect { y: area.bottom() - 1, height: 1, ..area };
    let mut body = Rect { height: area.height - 1, ..area };
    if let Some(problem) = &logs.problem {
        let said = format!("{} what is shown may be out of date: {}", look.glyphs.warning, problem.text);
        layout::put(buf, body.x, body.y, body.width, &said, look, Role::Error);
        body = Rect { y: body.y + 1, height: body.height - 1, ..body };
    }
    let shown = logs.shown_in(usize::from(area.width), usize::from(area.height));
    match logs.view.settled(&shown) {
        Some((top, cursor)) => lines(logs, &shown, top, cursor, look, body, buf),
        None => empty(logs, model, look, body, buf),
    }
    status_line(logs, &shown, look, status, buf);
}

fn lines(logs: &Logs, shown: &Shown<'_>, top: Spot, cursor: u64, look: &Look, area: Rect, buf: &mut Buffer) {
    let (mut number, mut row) = (top.line, top.row);
    let mut ys = area.top()..area.bottom();
    while let Some(line) = shown.buffer.get(number) {
        let laid = Laid::new(line, shown.shape);
        while row < laid.rows.len() {
            let Some(y) = ys.next() else { return };
            let place = Place { logs, line, at_cursor: number == cursor, look };
            place.row(&laid, row, shown.shape, Rect { y, height: 1, ..area }, buf);
            row += 1;
        }
        let Some(next) = shown.after(number) else { return };
        (number, row) = (next, 0);
    }
}

/// One line and what is known of it while its rows are drawn.
struct Place<'a> {
    logs: &'a Logs,
    line: &'a Line,
    at_cursor: bool,
    look: &'a Look,
}

impl Place<'_> {
    fn row(&self, laid: &Laid<'_>, row: usize, shape: Shape, area: Rect, buf: &mut Buffer) {
        let (look, view) = (self.look, &self.logs.view);
        let stale = self.logs.problem.is_some();
        let role = |role| if stale { Role::Stale } else { role };
        let (sign, source) = sign(self.line.source);
        let (mut x, y, right) = (area.x, area.y, area.right());
        let put = |buf: &mut Buffer, x: u16, text: &str, role: Role| {
            layout::put(buf, x, y, right.saturating_sub(x), text, look, role)
        };
        if self.at_cursor {
            put(buf, x, look.glyphs.pointer, Role::Accent);
        }
        x += 1;
        if view.stamps != Stamps::Off {
            if row == 0 {
                put(buf, x, &view.stamps.write(self.line.at_ms), role(Role::Muted));
            }
            x += u16::try_from(view.stamps.width() + 1).unwrap_or(0);
        }
        match (row, laid.begins(row)) {
            (0, _) => put(buf, x, sign, role(source)),
            (_, false) => put(buf, x, look.glyphs.wrapped, role(Role::Muted)),
            (_, true) => x,
        };
        put(buf, x + 1, look.glyphs.frame[5], Role::Border);
        x += 2;
        let Some((whole, range)) = laid.row(row) else { return };
        let room = Rect { x, width: right.saturating_sub(x), ..area };
        let current = if self.at_cursor { Role::MatchCurrent } else { Role::Match };
        let left = if shape.wrap { 0 } else { view.left };
        let end =
            piece(look, whole, range, left, role(source), self.logs.search.as_ref(), current, room, buf);
        if self.line.cut > 0 && row + 1 == laid.rows.len() {
            let more = format!(" {} {} more", look.glyphs.ellipsis, time::size(self.line.cut as u64));
            put(buf, end, &more, Role::Muted);
        }
    }
}

/// Draws a part of a text with what the search found in it; gives the column after it.
#[expect(
    clippy::too_many_arguments,
    reason = "one row of text has no smaller description, and this has one caller a screen"
)]
fn piece(
    look: &Look,
    whole: &str,
    range: std::ops::Range<usize>,
    left: usize,
    role: Role,
    search: Option<&Search>,
    found: Role,
    room: Rect,
    buf: &mut Buffer,
) -> u16 {
    let width = usize::from(room.width);
    let start = range.start + text::prefix(&whole[range.clone()], left);
    let rest = &whole[start..range.end];
    let fits = text::prefix(rest, width);
    let (cut, shown) = (fits < rest.len(), &rest[..fits]);
    let style = look.style(Role::Text).patch(look.style(role));
    let end = buf.set_stringn(room.x, room.y, shown, width, style).0;
    for found_at in search.into_iter().flat_map(|search| search.ranges(whole)) {
        let (from, to) = (found_at.start.max(start), found_at.end.min(start + fits));
        let (Some(before), Some(inside)) = (whole.get(start..from), whole.get(from..to)) else { continue };
        let column = |text: &str| u16::try_from(text::width(text)).unwrap_or(u16::MAX);
        let part = Rect { x: room.x.saturating_add(column(before)), width: column(inside), ..room };
        buf.set_style(part.intersection(room), look.style(found));
    }
    if cut && room.width > 0 {
        layout::put(buf, room.right() - 1, room.y, 1, look.glyphs.more_right, look, Role::Accent);
    }
    if start > range.start && room.width > 1 {
        layout::put(buf, room.x, room.y, 1, look.glyphs.more_left, look, Role::Accent);
    }
    end
}

/// Letter and role of a source.
fn sign(source: LogSource) -> (&'static str, Role) {
    match source {
        LogSource::Stdout => ("o", Role::Text),
        LogSource::Stderr => ("E", Role::Warn),
        LogSource::Worker => ("W", Role::Info),
    }
}

fn source_word(source: LogSource) -> &'static str {
    match source {
        LogSource::Stdout => "stdout",
        LogSource::Stderr => "stderr",
        LogSource::Worker => "worker",
    }
}

fn zoomed(zoom: &Zoom, search: Option<&Search>, look: &Look, area: Rect, buf: &mut Buffer) {
    let shape = Zoom::shape(usize::from(area.width), usize::from(area.height));
    let laid = zoom.laid(shape);
    let line = &zoom.line;
    let mut head = format!(
        "line {} {sep} {} {sep} {} {sep} {}",
        time::count(zoom.number + 1),
        Stamps::Full.write(line.at_ms),
        source_word(line.source),
        time::size((line.text.len() + line.cut) as u64),
        sep = look.glyphs.separator,
    );
    if line.cut > 0 {
        head.push_str(&format!(", its first {} shown", time::size(line.text.len() as u64)));
    }
    let rows = laid.rows.len();
    if rows > shape.height {
        let last = (zoom.top + shape.height).min(rows);
        head.push_str(&format!(" {} rows {}-{last} of {rows}", look.glyphs.separator, zoom.top + 1));
    }
    layout::put(buf, area.x + 1, area.y, area.width - 1, &head, look, Role::Title);
    for (y, row) in (area.top() + 1..area.bottom()).zip(zoom.top..rows) {
        let Some((whole, range)) = laid.row(row) else { return };
        let room = Rect { x: area.x + 1, y, width: area.width - 1, height: 1 };
        piece(look, whole, range, 0, sign(line.source).1, search, Role::MatchCurrent, room, buf);
    }
}

fn status_line(logs: &Logs, shown: &Shown<'_>, look: &Look, area: Rect, buf: &mut Buffer) {
    let (view, glyphs) = (&logs.view, &look.glyphs);
    let mut parts: Vec<(Role, String)> = Vec::new();
    if let Some(notice) = &logs.notice {
        parts.push((Role::Warn, notice.clone()));
    }
    if logs.stream.is_none() {
        // Nothing can be followed yet, and the body says why.
    } else if view.follow {
        parts.push((Role::Ok, format!("{} following", glyphs.follow)));
    } else {
        parts.push((Role::Info, format!("{} paused", glyphs.pause)));
    }
    let unseen = view.unseen(shown.buffer);
    if unseen > 0 {
        parts.push((Role::Accent, format!("{} {} new", glyphs.more_below, time::count(unseen))));
    }
    let dropped = shown.buffer.dropped();
    if dropped > 0 {
        parts.push((Role::Warn, format!("{} dropped", time::count(dropped))));
    }
    let line = view.line(shown);
    if let Some(line) = line {
        let total = shown.buffer.end() - shown.buffer.first();
        let at = line - shown.buffer.first() + 1;
        parts.push((Role::Muted, format!("line {} of {}", time::count(at), time::count(total))));
    }
    if let Some(problem) = &logs.bad_search {
        parts.push((Role::Error, problem.clone()));
    } else if let Some(search) = &logs.search {
        parts.push(found(search, line));
    }
    let since = logs.minutes.map(|minutes| format!("last {minutes}m"));
    for (on, word) in [
        (view.only && logs.search.is_some(), "matches only"),
        (since.is_some(), since.as_deref().unwrap_or_default()),
        (view.wrap, "wrap"),
        (view.pretty, "pretty"),
        (view.stamps != Stamps::Off && line.is_some(), "UTC"),
    ] {
        if on {
            parts.push((Role::Muted, word.to_owned()));
        }
    }
    if logs.stream.is_some() && (!logs.caught_up || logs.fresh.is_some()) && logs.problem.is_none() {
        parts.push((Role::Muted, "reading".to_owned()));
    }
    let mut x = area.x + 1;
    for (at, (role, text)) in parts.iter().enumerate() {
        let left = |x: u16| area.right().saturating_sub(x);
        if at > 0 {
            x = layout::put(buf, x, area.y, left(x), &format!(" {} ", glyphs.separator), look, Role::Muted);
        }
        x = layout::put(buf, x, area.y, left(x), text, look, *role);
    }
}

/// `/err 3/17`.
fn found(search: &Search, line: Option<u64>) -> (Role, String) {
    let count = search.count();
    match line.filter(|line| search.has(*line)) {
        _ if count == 0 => (Role::Warn, format!("/{} matches nothing", search.typed)),
        Some(line) => {
            let at = time::count(search.place(line) as u64 + 1);
            (Role::Accent, format!("/{} {at}/{}", search.typed, time::count(count as u64)))
        }
        None => (Role::Accent, format!("/{} {} match", search.typed, time::count(count as u64))),
    }
}

fn empty(logs: &Logs, model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let (role, title, detail) = why_empty(logs, model);
    let width = usize::from(area.width.saturating_sub(4));
    let mut y = area.y + 1.min(area.height.saturating_sub(1));
    for (role, said) in [(role, title), (Role::Muted, detail)] {
        let said = text::clean(&said).into_owned();
        for range in text::wrap(&said, width) {
            if y >= area.bottom() {
                return;
            }
            layout::put(buf, area.x + 2, y, area.width.saturating_sub(2), &said[range], look, role);
            y += 1;
        }
    }
}

/// Why there is nothing to see: what is so, and what follows from it.
fn why_empty(logs: &Logs, model: &Model) -> (Role, String, String) {
    let say = |role, title: &str, detail: &str| (role, title.to_owned(), detail.to_owned());
    if logs.search.is_some() && logs.view.only && !logs.buffer.is_empty() {
        return say(Role::Text, "No line matches.", "x shows all lines again.");
    }
    let remote = model.data.row(&logs.flock, &logs.id);
    let Some(row) = remote.and_then(|remote| remote.value.as_ref()) else {
        return match remote.and_then(|remote| remote.problem.as_ref()) {
            Some(problem) => say(Role::Error, "The job cannot be read.", &problem.text),
            None => say(Role::Muted, "Reading the job.", ""),
        };
    };
    let Some(stream) = &logs.stream else { return no_attempt(row) };
    let attempt = row.attempts.iter().find(|attempt| attempt.log_stream == *stream);
    let ended = attempt.is_none_or(|attempt| attempt.ended_ms.is_some());
    let reason = attempt.and_then(|attempt| attempt.reason.as_deref()).unwrap_or_default();
    if attempt.is_some_and(|attempt| attempt.worker.is_empty()) {
        return say(Role::Text, "No log: this attempt was lost before a worker began it.", reason);
    }
    if !logs.caught_up {
        return say(Role::Muted, "Reading the log.", "");
    }
    match (ended, reason) {
        (false, _) => say(Role::Text, "Nothing is written yet.", "Lines appear here as the job writes them."),
        (true, "") => say(Role::Text, "This attempt wrote nothing.", ""),
        (true, reason) => say(Role::Text, "This attempt wrote nothing.", &format!("It ended with: {reason}")),
    }
}

fn no_attempt(row: &JobRow) -> (Role, String, String) {
    let (title, otherwise) = match row.state() {
        State::Queued => {
            ("No log yet: the job is queued.", "It waits to be scheduled; no attempt has begun.")
        }
        State::Scheduled => {
            ("No log yet: the job is scheduled.", "It waits for a place; no attempt has begun.")
        }
        State::Rejected => ("No log: the upload was rejected, so nothing ran.", ""),
        State::Cancelled => ("No log: the job was cancelled before it ran.", ""),
        _ => ("No log: no attempt is known.", ""),
    };
    let detail = row.reason.as_deref().unwrap_or(otherwise);
    (Role::of_state(row.state().word()), title.to_owned(), detail.to_owned())
}
