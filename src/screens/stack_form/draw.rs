//! Draws the rows there is room for around the one that has the focus, what the template says of that one, and what was
//! found of all of it.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::settings::{Folder, Row};
use super::{StackForm, stack_words};
use crate::app::deploy::{Fact, Weight};
use crate::app::model::Model;
use crate::screens::facts::{self, Shown};
use crate::ui::form::Field;
use crate::ui::text_view::{Line, TextView};
use crate::ui::{Look, Role, layout, text};

/// Columns that names take, where the terminal is narrow and where it is not.
const NAMES: (u16, u16) = (34, 44);
/// Least and most lines below the rows.
const BELOW: (u16, u16) = (7, 16);
/// Most choices named in a line.
const CHOICES: usize = 6;

/// Draws into the area between header and footer.
pub(super) fn draw(form: &StackForm, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let buf = frame.buffer_mut();
    title(form, look, Rect { height: 1, ..area }, buf);
    let below = (area.height / 3).clamp(BELOW.0, BELOW.1).min(area.height.saturating_sub(3));
    let list = Rect { y: area.y + 1, height: area.height.saturating_sub(below + 1), ..area };
    let cursor = rows(form, look, list, buf);
    let rest = Rect { y: list.bottom(), height: below, ..area };
    let rule = look.glyphs.frame[4].repeat(usize::from(rest.width));
    layout::put(buf, rest.x, rest.y, rest.width, &rule, look, Role::Border);
    let said = said(form, look);
    let lines: Vec<Line<'_>> = said.iter().map(Shown::line).collect();
    let room = Rect {
        x: rest.x + 1,
        y: rest.y + 1,
        width: rest.width.saturating_sub(2),
        height: rest.height.saturating_sub(1),
    };
    TextView { wrap: true, ..TextView::default() }.render(look, &lines, room, buf);
    if let Some(cursor) = cursor.filter(|_| model.overlay.is_none()) {
        frame.set_cursor_position(cursor);
    }
}

fn title(form: &StackForm, look: &Look, area: Rect, buf: &mut Buffer) {
    let title = match &form.existing {
        None => "Stand up a flock on AWS".to_owned(),
        Some(stack) => format!("Change the settings of {}", stack.flock()),
    };
    let x = layout::put(buf, area.x + 1, area.y, area.width, &title, look, Role::Title);
    let Some(checks) = &form.checks.value else { return };
    let role = if form.fresh().is_some() { Role::Text } else { Role::Stale };
    let cost = format!("{} a month while no job runs", stack_words::dollars(checks.monthly_cents()));
    let wide = u16::try_from(text::width(&cost)).unwrap_or(0) + 1;
    let at = area.right().saturating_sub(wide);
    if at > x + 1 {
        layout::put(buf, at, area.y, wide, &cost, look, role);
    }
}

fn rows(form: &StackForm, look: &Look, area: Rect, buf: &mut Buffer) -> Option<Position> {
    let rows = form.settings.rows();
    let height = usize::from(area.height);
    let focus = form.settings.focus();
    // The focus stays away from the edges, so that a person sees where it goes.
    let top = focus.saturating_sub(height * 2 / 3).min(rows.len().saturating_sub(height));
    let name = form.naming();
    let names = if area.width < 100 { NAMES.0 } else { NAMES.1 };
    if rows.is_empty() {
        let none = format!("no setting has {:?} in it; esc shows all", form.settings.filter);
        layout::put(buf, area.x + 2, area.y, area.width, &none, look, Role::Muted);
    }
    let mut cursor = None;
    for (y, (at, row)) in (area.top()..area.bottom()).zip(rows.iter().enumerate().skip(top)) {
        let focused = at == focus;
        let line = Rect { y, height: 1, ..area };
        let sign = if focused { look.glyphs.pointer } else { " " };
        layout::put(buf, line.x, y, 1, sign, look, Role::Accent);
        match row {
            Row::Base(at) => {
                let field = &form.settings.base[*at];
                let place = field_row(look, field, (2, 10), "", focused, None, line, buf);
                cursor = cursor.or(place);
            }
            Row::Group(at) => head(form, &form.settings.groups[*at], focused, look, line, buf),
            Row::Setting(group, at) => {
                let setting = &form.settings.groups[*group].settings[*at];
                let mark = if setting.differs(&name) { look.glyphs.mark } else { " " };
                let weight = form.weight(&setting.parameter.name);
                let place = field_row(look, &setting.field, (4, names), mark, focused, weight, line, buf);
                cursor = cursor.or(place);
            }
        }
    }
    let below = rows.len().saturating_sub(top + height);
    if below > 0 {
        let more = format!("{} {below} more", look.glyphs.more_below);
        let wide = u16::try_from(text::width(&more)).unwrap_or(0);
        let x = area.right().saturating_sub(wide + 1);
        layout::put(buf, x, area.bottom().saturating_sub(1), wide, &more, look, Role::Muted);
    }
    cursor
}

fn head(form: &StackForm, group: &Folder, focused: bool, look: &Look, line: Rect, buf: &mut Buffer) {
    let sign = if group.open { look.glyphs.more_below } else { look.glyphs.more_right };
    let role = if focused { Role::Title } else { Role::Header };
    let title = format!("{sign} {}", group.title);
    let x = layout::put(buf, line.x + 2, line.y, line.width.saturating_sub(2), &title, look, role);
    let name = form.naming();
    let differ = group.settings.iter().filter(|setting| setting.differs(&name)).count();
    let mut said = format!("  {}", group.settings.len());
    if differ > 0 {
        said.push_str(&format!(", {differ} changed"));
    }
    let x = layout::put(buf, x, line.y, line.right().saturating_sub(x), &said, look, Role::Muted);
    let worst = group.settings.iter().filter_map(|setting| form.weight(&setting.parameter.name));
    let wrong = worst.filter(|weight| *weight == Weight::Wrong).count();
    if wrong > 0 {
        let said = format!("  {} {wrong} wrong", look.glyphs.failed);
        layout::put(buf, x, line.y, line.right().saturating_sub(x), &said, look, Role::Error);
    }
}

/// Draws a field: from which column on and how wide its name, a mark before it, what was found behind it.
#[expect(clippy::too_many_arguments, reason = "what a row is drawn from, once")]
fn field_row(
    look: &Look,
    field: &Field,
    (indent, names): (u16, u16),
    mark: &str,
    focused: bool,
    weight: Option<Weight>,
    line: Rect,
    buf: &mut Buffer,
) -> Option<Position> {
    let names = names.min(line.width / 2);
    let role = if focused { Role::Title } else { Role::Text };
    layout::put(buf, line.x + indent.saturating_sub(2), line.y, 1, mark, look, Role::Mark);
    layout::put(buf, line.x + indent, line.y, names, &field.label, look, role);
    let x = line.x + indent + names + 2;
    let found = match (weight, &field.error) {
        (_, Some(_)) | (Some(Weight::Wrong), _) => {
            Some((format!("{} wrong", look.glyphs.failed), Role::Error))
        }
        (Some(Weight::Odd), _) => Some((format!("{} odd", look.glyphs.warning), Role::Warn)),
        (Some(Weight::Good) | None, None) => None,
    };
    let wide = found.as_ref().map_or(0, |(said, _)| u16::try_from(text::width(said)).unwrap_or(0) + 2);
    let room = Rect { x, width: line.right().saturating_sub(x + wide), ..line };
    let cursor = if room.is_empty() { None } else { field.draw_value(look, focused, room, buf) };
    if let Some((said, role)) = found {
        layout::put(buf, line.right().saturating_sub(wide) + 1, line.y, wide, &said, look, role);
    }
    cursor
}

/// What is said below the rows: of the one that has the focus, then of everything.
fn said(form: &StackForm, look: &Look) -> Vec<Shown> {
    let mut said = Vec::new();
    if form.top == 0 {
        said.extend(of_row(form));
    }
    if let Some(failed) = &form.failed {
        said.push(Shown::plain(Role::Error, &format!("error: {failed}")));
    }
    if let Some(problem) = &form.problem {
        said.push(Shown::plain(Role::Error, &format!("error: {problem}")));
    } else if form.shown_of.is_none() {
        said.push(Shown::plain(Role::Muted, &format!("reading the settings{}", look.glyphs.ellipsis)));
    }
    if form.pressed {
        let waits = format!("looking at it{} and then it goes on", look.glyphs.ellipsis);
        said.push(Shown::plain(Role::Info, &waits));
    }
    if let Some(problem) = &form.checks.problem {
        said.push(Shown::plain(Role::Error, &format!("error: it cannot be checked: {}", problem.text)));
    }
    if let Some(problem) = &form.survey.problem {
        let what = format!("the account says nothing of what there is to choose from: {}", problem.text);
        said.push(Shown::plain(Role::Warn, &what));
    }
    // What is wrong comes first, and of that what is about this row.
    let here = focused_name(form);
    let mut found: Vec<&Fact> = form.facts().iter().collect();
    found.sort_by_key(|fact| {
        let weight = match fact.weight {
            Weight::Wrong => 0,
            Weight::Odd => 1,
            Weight::Good => 2,
        };
        (Some(fact.about.as_str()) != here, weight)
    });
    let found: Vec<Fact> = found.into_iter().skip(form.top).cloned().collect();
    said.extend(facts::shown(&found, None, look));
    said
}

/// The name of the setting that has the focus.
fn focused_name(form: &StackForm) -> Option<&str> {
    match form.settings.row()? {
        Row::Setting(group, at) => Some(&form.settings.groups.get(group)?.settings.get(at)?.parameter.name),
        Row::Base(_) | Row::Group(_) => None,
    }
}

fn of_row(form: &StackForm) -> Vec<Shown> {
    let mut said = Vec::new();
    let error = |field: &Field| {
        field.error.as_ref().map(|error| Shown::plain(Role::Error, &format!("error: {error}")))
    };
    match form.settings.row() {
        Some(Row::Base(at)) => {
            let field = &form.settings.base[at];
            said.extend(error(field).or_else(|| Some(Shown::plain(Role::Muted, &field.hint))));
            said.extend(choices(form));
        }
        Some(Row::Group(at)) => {
            let names: Vec<&str> =
                form.settings.groups[at].settings.iter().map(|one| one.parameter.name.as_str()).collect();
            let keys = "space opens it or folds it; ctrl-f finds a setting in any group";
            said.push(Shown::plain(Role::Muted, keys));
            said.push(Shown::plain(Role::Text, &names.join(", ")));
        }
        Some(Row::Setting(group, at)) => {
            let group = &form.settings.groups[group];
            let setting = &group.settings[at];
            said.extend(error(&setting.field));
            said.push(Shown::plain(Role::Text, &setting.parameter.help));
            let usual = setting.parameter.usual(&form.naming());
            if setting.differs(&form.naming()) {
                let was = if setting.parameter.value.is_some() { "the stack has" } else { "usually" };
                let usual = if usual.is_empty() { "nothing" } else { &usual };
                said.push(Shown::plain(Role::Muted, &format!("{was} {usual}; ctrl-r takes that again")));
            }
            said.extend(choices(form));
            if !form.settings.filter.is_empty() {
                let said_of = format!("in {}; esc shows all groups", group.title);
                said.push(Shown::plain(Role::Muted, &said_of));
            }
        }
        None => {}
    }
    said
}

/// What the field could be, in a line.
fn choices(form: &StackForm) -> Option<Shown> {
    let choices = form.choices();
    if choices.is_empty() {
        return None;
    }
    let mut line = choices.iter().take(CHOICES).map(String::as_str).collect::<Vec<_>>().join("  ");
    if choices.len() > CHOICES {
        line.push_str(&format!("  and {} more", choices.len() - CHOICES));
    }
    Some(Shown::plain(Role::Muted, &format!("tab chooses: {line}")))
}
