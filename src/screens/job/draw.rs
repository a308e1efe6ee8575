//! How a job looks: the panes' tabs, what is wrong with the data, and the lines of the pane in sight.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Job;
use super::panes::{Line, Pane};
use crate::app::model::Model;
use crate::ui::{Look, Role, layout};

/// Draws the screen.
pub(super) fn draw(job: &Job, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let buf = frame.buffer_mut();
    layout::clear(look, area, buf);
    if area.height < 4 {
        return;
    }
    let remote = model.data.row(&job.flock, &job.id);
    let row = remote.and_then(|remote| remote.value.as_ref());
    let problem = remote.and_then(|remote| remote.problem.as_ref());
    tabs(job, row, look, area, buf);
    let mut body = Rect { y: area.y + 2, height: area.height - 2, ..area };
    if let Some(problem) = problem {
        let what = if row.is_some() { "what is shown may be out of date" } else { "the job cannot be read" };
        let said = format!(" {} {what}: {}", look.glyphs.warning, problem.text);
        // In the line under the tabs, so that nothing moves when it comes and goes.
        layout::put(buf, area.x, area.y + 1, area.width, &said, look, Role::Error);
    }
    let Some(row) = row else {
        if problem.is_none() {
            layout::put(buf, body.x + 1, body.y, body.width - 1, "Reading the job.", look, Role::Muted);
        }
        return;
    };
    let stale = problem.is_some();
    let width = usize::from(area.width);
    let (lines, top) = match job.pane.entries(row) {
        None => {
            let lines = job.lines(&model.data, row, model.now_ms, width, look);
            let top = job.here().min(last_top(lines.len(), usize::from(body.height)));
            (lines, top)
        }
        Some(0) => (vec![vec![(Role::Muted, format!(" {}", job.pane.why_empty(row)))]], 0),
        Some(entries) => {
            layout::put(buf, body.x + 2, body.y, body.width - 2, &job.pane.head(row), look, Role::Header);
            body = Rect { y: body.y + 1, height: body.height - 1, ..body };
            list(
                job.pane,
                row,
                entries,
                job.here().min(entries - 1),
                model.now_ms,
                width,
                usize::from(body.height),
                look,
            )
        }
    };
    if lines.len() > usize::from(body.height) {
        body.height -= 1;
        more(lines.len(), top, body, look, buf);
    }
    for (y, line) in (body.top()..body.bottom()).zip(lines.iter().skip(top)) {
        put(buf, line, Rect { y, height: 1, ..body }, stale, look);
    }
}

/// The line from which a text of so many lines is at its end. What does not fit leaves its last line to a sign.
pub(super) fn last_top(lines: usize, height: usize) -> usize {
    if lines > height { lines + 1 - height } else { 0 }
}

fn tabs(job: &Job, row: Option<&shepard_model::JobRow>, look: &Look, area: Rect, buf: &mut Buffer) {
    let mut x = area.x;
    for pane in Pane::ALL {
        let title = pane.title(row);
        // Brackets as well as a colour: there are terminals without.
        let (title, role) = if pane == job.pane {
            (format!("[{title}]"), Role::Accent)
        } else {
            (format!(" {title} "), Role::Muted)
        };
        x = layout::put(buf, x, area.y, area.right().saturating_sub(x), &title, look, role);
    }
}

/// The lines of a list, the selected entry whole, and the first of them to show so that it is in sight.
#[expect(clippy::too_many_arguments, reason = "what a list is drawn from, once, for one caller")]
fn list(
    pane: Pane,
    row: &shepard_model::JobRow,
    entries: usize,
    selected: usize,
    now_ms: i64,
    width: usize,
    height: usize,
    look: &Look,
) -> (Vec<Line>, usize) {
    let mut lines: Vec<Line> = Vec::new();
    let mut sight = 0..0;
    for at in 0..entries {
        let whole = at == selected;
        let from = lines.len();
        for line in pane.entry(row, at, whole, now_ms, width.saturating_sub(2), look) {
            let pointer = if whole { look.glyphs.pointer } else { " " };
            let mut full = vec![(Role::Accent, format!("{pointer} "))];
            full.extend(line);
            lines.push(full);
        }
        if whole {
            sight = from..lines.len();
        }
    }
    // As little as needed to see the end of the selected entry, but never past its beginning.
    let room = if lines.len() > height { height.saturating_sub(1) } else { height };
    let top = sight.end.saturating_sub(room).min(sight.start);
    (lines, top)
}

fn put(buf: &mut Buffer, line: &Line, area: Rect, stale: bool, look: &Look) {
    let mut x = area.x;
    for (role, said) in line {
        let role = if stale { Role::Stale } else { *role };
        let room = area.right().saturating_sub(x);
        x = layout::put(buf, x, area.y, room, said, look, role);
    }
}

/// Says in the line under the area how much there is above and below.
fn more(lines: usize, top: usize, area: Rect, look: &Look, buf: &mut Buffer) {
    let below = lines.saturating_sub(top + usize::from(area.height));
    let mut x = area.x + 1;
    for (count, sign, word) in
        [(top, look.glyphs.more_above, "above"), (below, look.glyphs.more_below, "below")]
    {
        if count > 0 {
            let said = format!("{sign} {count} {word}  ");
            x = layout::put(buf, x, area.bottom(), area.right().saturating_sub(x), &said, look, Role::Accent);
        }
    }
}
