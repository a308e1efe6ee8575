//! Draws the form and, below it, the names and what would become of them.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Findings, Row, Secrets};
use crate::app::actions::Action;
use crate::app::model::Model;
use crate::screens::{fields, scroll};
use crate::ui::text_view::{self, Line, TextView};
use crate::ui::{Look, Role, layout, text};

/// Lines above the form: what it is, and a gap.
const ABOVE: u16 = 2;
/// Lines between the form and the list: a gap and the sums.
const BETWEEN: u16 = 2;

/// A row of the list as it is drawn: a word, so that nobody has to tell colours apart, and a name.
struct Shown {
    role: Role,
    text: String,
}

impl Findings {
    fn row(&self, row: Row) -> Shown {
        let report = &self.report;
        let name = |role: Role, word: &str, name: Option<&String>| Shown {
            role,
            text: format!("  {word:<9}  {}", text::clean(name.map_or("", String::as_str))),
        };
        let diff = report.diff.as_ref();
        match row {
            Row::Unknown => {
                let why = text::clean(report.unknown.as_deref().unwrap_or_default()).into_owned();
                Shown { role: Role::Warn, text: format!("  nothing can be compared: {why}") }
            }
            Row::Removed(at) => name(Role::Error, "removed", diff.and_then(|diff| diff.removed.get(at))),
            Row::Changed(at) => name(Role::Warn, "changed", diff.and_then(|diff| diff.changed.get(at))),
            Row::Added(at) => name(Role::Ok, "added", diff.and_then(|diff| diff.added.get(at))),
            // With no folder typed there is nothing that it could have changed.
            Row::Unchanged(at) if report.asked == 0 => {
                let name = diff.and_then(|diff| diff.unchanged.get(at)).map_or("", String::as_str);
                Shown { role: Role::Text, text: format!("  {}", text::clean(name)) }
            }
            Row::Unchanged(at) => {
                name(Role::Muted, "unchanged", diff.and_then(|diff| diff.unchanged.get(at)))
            }
            Row::Pushed(at) => name(Role::Text, "pushed", report.names.get(at)),
            Row::Skipped(at) => name(Role::Muted, "no file", report.skipped.get(at)),
        }
    }

    fn sums(&self, path: &str) -> Vec<(Role, String)> {
        let Some(diff) = &self.report.diff else {
            return vec![(Role::Warn, "what is there is replaced".to_owned())];
        };
        if path.is_empty() {
            return vec![match diff.unchanged.len() {
                0 => (Role::Muted, "there are no secrets yet".to_owned()),
                1 => (Role::Text, "1 secret".to_owned()),
                count => (Role::Text, format!("{count} secrets")),
            }];
        }
        if self.report.asked == 0 {
            return vec![(Role::Error, "no file is directly in it; enter looks again".to_owned())];
        }
        let sum =
            |role: Role, count: usize, word: &str| (count > 0).then(|| (role, format!("{count} {word}")));
        [
            sum(Role::Error, diff.removed.len(), "removed"),
            sum(Role::Warn, diff.changed.len(), "changed"),
            sum(Role::Ok, diff.added.len(), "added"),
            sum(Role::Muted, diff.unchanged.len(), "unchanged"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Secrets {
    /// Lines of the list below the form.
    pub(super) fn list_height(&self, size: (u16, u16)) -> usize {
        // Header and footer of the console are two more.
        usize::from(size.1.saturating_sub(2 + ABOVE + BETWEEN + fields::height(&self.form)))
    }

    /// The row to begin with so that the last one is at the bottom.
    pub(super) fn last_top(&self, size: (u16, u16)) -> usize {
        let Some(Ok(found)) = &self.found else { return 0 };
        let rows = found.rows.iter().rev().map(|row| {
            let shown = found.row(*row);
            text_view::rows(&Line::of(shown.role, &shown.text), size.0, true)
        });
        scroll::last_top(found.rows.len(), self.list_height(size), rows)
    }

    fn sums(&self, look: &Look) -> Vec<(Role, String)> {
        match &self.found {
            None if self.pressed => {
                let sentence = format!("looking at it{} and then it is pushed", look.glyphs.ellipsis);
                vec![(Role::Info, sentence), (Role::Muted, "esc leaves it".to_owned())]
            }
            None => vec![(Role::Muted, format!("looking at it{}", look.glyphs.ellipsis))],
            Some(Ok(found)) => found.sums(self.path()),
            Some(Err(_)) => Vec::new(),
        }
    }
}

/// Draws into the area between header and footer.
pub(super) fn draw(secrets: &Secrets, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let title = format!("Secrets of {}", secrets.flock);
    layout::put(frame.buffer_mut(), area.x + 1, area.y, area.width, &title, look, Role::Title);
    let below =
        Rect { y: area.y + ABOVE.min(area.height), height: area.height.saturating_sub(ABOVE), ..area };
    let below = fields::draw(&secrets.form, model, look, frame, below);
    if below.height < BETWEEN {
        return;
    }
    let buf = frame.buffer_mut();
    let line = below.y + 1;
    let mut x = below.x + 1;
    for (at, (role, sentence)) in secrets.sums(look).into_iter().enumerate() {
        let separator = if at > 0 { format!("  {}  ", look.glyphs.separator) } else { String::new() };
        x = layout::put(buf, x, line, below.right().saturating_sub(x), &separator, look, Role::Muted);
        x = layout::put(buf, x, line, below.right().saturating_sub(x), &sentence, look, role);
    }
    let list = Rect { y: line + 1, height: below.height - BETWEEN, ..below };
    let view = TextView { wrap: true, ..TextView::default() };
    let found = match &secrets.found {
        None => return,
        Some(Ok(found)) => found,
        Some(Err(problem)) => {
            // Half a path is no mistake as long as something that is there begins with it.
            let half = !secrets.insisted && !secrets.path().is_empty() && !secrets.paths.leads_nowhere();
            let (role, sign) = if half { (Role::Muted, "") } else { (Role::Error, "error: ") };
            let sentence = format!("{sign}{}", text::clean(&problem.text));
            let room =
                Rect { x: list.x + 1, y: line, width: list.width.saturating_sub(2), height: list.height + 1 };
            view.render(look, &[Line::of(role, &sentence)], room, buf);
            return;
        }
    };
    let shown = found.rows.iter().skip(secrets.top).take(usize::from(list.height));
    let shown: Vec<Shown> = shown.map(|row| found.row(*row)).collect();
    let lines: Vec<Line<'_>> = shown.iter().map(|shown| Line::of(shown.role, &shown.text)).collect();
    let drawn = view.render(look, &lines, list, buf);
    let said = {
        let key =
            |action| model.session.keymap.keys(action).first().map(ToString::to_string).unwrap_or_default();
        let below = found.rows.len().saturating_sub(secrets.top + drawn);
        let keys = [key(Action::FormPageUp), key(Action::FormPageDown)];
        scroll::out_of_sight(look, secrets.top, below, [&keys[0], &keys[1]])
    };
    let wide = u16::try_from(text::width(&said)).unwrap_or(u16::MAX);
    let at = area.right().saturating_sub(wide.saturating_add(1));
    if at > x + 1 {
        layout::put(buf, at, line, wide, &said, look, Role::Muted);
    }
}
