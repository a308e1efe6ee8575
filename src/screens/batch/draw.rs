//! Draws the form and, below it, what the path would become.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Batch, Findings, Row};
use crate::app::actions::Action;
use crate::app::model::Model;
use crate::screens::{fields, scroll};
use crate::ui::text_view::{self, Line, TextView};
use crate::ui::{Look, Role, layout, text, time};

/// Lines above the form: what it is, and a gap.
const ABOVE: u16 = 2;
/// Lines between the form and the list: a gap and the sums.
const BETWEEN: u16 = 2;
/// Columns of the numbers beside a name, gaps included.
const NUMBERS: usize = 2 + 7 + 2 + 8 + 2 + 9;

/// `1 job`, `2 jobs`.
pub(super) fn some(count: u64, what: &str) -> String {
    format!("{} {what}{}", time::count(count), if count == 1 { "" } else { "s" })
}

/// A row of the list as it is drawn; longer sentences go on below themselves, beside the sign.
struct Shown {
    sign: &'static str,
    role: Role,
    text: String,
}

impl Shown {
    fn line(&self) -> Line<'_> {
        Line { prefix: self.sign, ..Line::of(self.role, &self.text) }
    }
}

impl Findings {
    fn row(&self, row: Row, look: &Look, width: usize) -> Shown {
        let shown = |sign: &'static str, role: Role, text: String| Shown { sign, role, text };
        let Ok(report) = &self.report else { return shown("", Role::Text, String::new()) };
        let names = self.names.max(4).min(width.saturating_sub(NUMBERS + 2));
        let columns = |name: &str, files: &str, size: &str, variables: &str| {
            let name = text::fit(name, names, look.glyphs.ellipsis);
            let gap = " ".repeat(names.saturating_sub(text::width(&name)));
            format!("  {name}{gap}  {files:>7}  {size:>8}  {variables:>9}")
        };
        match row {
            Row::Gap => shown("", Role::Text, String::new()),
            Row::Head => shown("", Role::Header, columns("NAME", "FILES", "SIZE", "VARIABLES")),
            Row::Warning(at) => {
                shown(look.glyphs.warning, Role::Warn, text::clean(&report.warnings[at]).into_owned())
            }
            Row::Refused(at) => {
                let job = &report.jobs[at];
                let problem = text::clean(job.problem.as_deref().unwrap_or_default());
                shown(look.glyphs.failed, Role::Error, format!("{}: {problem}", text::clean(&job.name)))
            }
            Row::Job(at) => {
                let job = &report.jobs[at];
                let (files, variables) = (time::count(job.files), job.variables.to_string());
                let size = time::size(job.bytes);
                shown("", Role::Text, columns(&text::clean(&job.name), &files, &size, &variables))
            }
        }
    }
}

impl Batch {
    /// Lines of the list below the form.
    pub(super) fn list_height(&self, size: (u16, u16)) -> usize {
        // Header and footer of the console are two more.
        usize::from(size.1.saturating_sub(2 + ABOVE + BETWEEN + fields::height(&self.form)))
    }

    /// The row to begin with so that the last one is at the bottom.
    pub(super) fn last_top(&self, size: (u16, u16)) -> usize {
        let Some(found) = &self.found else { return 0 };
        // Signs are one column wide in every look, so any look measures alike.
        let look = Look::default();
        let rows = found.rows.iter().rev().map(|row| {
            let shown = found.row(*row, &look, usize::from(size.0));
            text_view::rows(&shown.line(), size.0, true)
        });
        scroll::last_top(found.rows.len(), self.list_height(size), rows)
    }

    /// What is said in one line about the path, and how it is meant.
    fn sums(&self, look: &Look) -> Vec<(Role, String)> {
        let Some(found) = &self.found else {
            return match (self.path().trim().is_empty(), self.pressed) {
                (true, _) => Vec::new(),
                (false, false) => vec![(Role::Muted, format!("looking at it{}", look.glyphs.ellipsis))],
                (false, true) => {
                    let sentence = format!("looking at it{} and then it is batched", look.glyphs.ellipsis);
                    vec![(Role::Info, sentence), (Role::Muted, "esc leaves it".to_owned())]
                }
            };
        };
        match &found.report {
            Ok(report) => {
                let refused = (report.jobs.len() - found.accepted) as u64;
                let mut sums = Vec::new();
                if found.accepted > 0 {
                    let jobs = some(found.accepted as u64, "job");
                    let files = some(found.files, "file");
                    let text = format!("{jobs}, {files}, {}", time::size(report.bytes));
                    sums.push((Role::Ok, text));
                }
                if refused > 0 {
                    let what = if found.accepted > 0 { time::count(refused) } else { some(refused, "job") };
                    let sentence = match (found.accepted, refused) {
                        (0, 1) => "its one job cannot be batched; enter looks again".to_owned(),
                        (0, _) => format!("none of {what} can be batched; enter looks again"),
                        (_, _) => format!("{what} cannot be batched"),
                    };
                    sums.push((Role::Error, sentence));
                }
                sums
            }
            Err(_) => Vec::new(),
        }
    }
}

/// Draws into the area between header and footer.
pub(super) fn draw(batch: &Batch, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let title = format!("Batch into {}", batch.flock);
    layout::put(frame.buffer_mut(), area.x + 1, area.y, area.width, &title, look, Role::Title);
    let below =
        Rect { y: area.y + ABOVE.min(area.height), height: area.height.saturating_sub(ABOVE), ..area };
    let below = fields::draw(&batch.form, model, look, frame, below);
    if below.height < BETWEEN {
        return;
    }
    let buf = frame.buffer_mut();
    let line = below.y + 1;
    let mut x = below.x + 1;
    for (at, (role, sentence)) in batch.sums(look).into_iter().enumerate() {
        let separator = if at > 0 { format!("  {}  ", look.glyphs.separator) } else { String::new() };
        x = layout::put(buf, x, line, below.right().saturating_sub(x), &separator, look, Role::Muted);
        x = layout::put(buf, x, line, below.right().saturating_sub(x), &sentence, look, role);
    }
    let list = Rect { y: line + 1, height: below.height - BETWEEN, ..below };
    let Some(found) = &batch.found else { return };
    let view = TextView { wrap: true, ..TextView::default() };
    if let Err(problem) = &found.report {
        // Half a path is no mistake as long as something that is there begins with it.
        let half = !batch.insisted && !batch.paths.leads_nowhere();
        let (role, sign) = if half { (Role::Muted, "") } else { (Role::Error, "error: ") };
        let sentence = format!("{sign}{}", text::clean(&problem.text));
        let room =
            Rect { x: list.x + 1, y: line, width: list.width.saturating_sub(2), height: list.height + 1 };
        view.render(look, &[Line::of(role, &sentence)], room, buf);
        return;
    }
    let width = usize::from(area.width);
    let shown = found.rows.iter().skip(batch.top).take(usize::from(list.height));
    let shown: Vec<Shown> = shown.map(|row| found.row(*row, look, width)).collect();
    let lines: Vec<Line<'_>> = shown.iter().map(Shown::line).collect();
    let drawn = view.render(look, &lines, list, buf);
    let said = {
        let key =
            |action| model.session.keymap.keys(action).first().map(ToString::to_string).unwrap_or_default();
        let below = found.rows.len().saturating_sub(batch.top + drawn);
        let keys = [key(Action::FormPageUp), key(Action::FormPageDown)];
        scroll::out_of_sight(look, batch.top, below, [&keys[0], &keys[1]])
    };
    let wide = u16::try_from(text::width(&said)).unwrap_or(u16::MAX);
    let at = area.right().saturating_sub(wide.saturating_add(1));
    if at > x + 1 {
        layout::put(buf, at, line, wide, &said, look, Role::Muted);
    }
}
