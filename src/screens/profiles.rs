//! Profiles of the old command: which there are and which is the current one, and the form that changes one.
//!
//! The list is read anew after whatever was done to it. The form saves all of its values together, or none.

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Behaviour, News, fields};
use crate::app::actions::{Action, Scope};
use crate::app::effect::{Command, Effect, Request};
use crate::app::key::Key;
use crate::app::model::{Ctx, Model};
use crate::app::overlay::{Dialog, Then};
use crate::app::profiles::{ProfileCommand, ProfileRow, Profiles as Known};
use crate::app::remote::Remote;
use crate::app::store::{Move, Window};
use crate::ui::form::{Field, Form};
use crate::ui::table::{Cell, Column, RowCells, Table};
use crate::ui::toast::{Weight, banner};
use crate::ui::{Look, Role, layout, text};

/// Rows of the screen that are not the table's body.
const AROUND: u16 = 5;
/// Row of the terminal on which the table's first row lies.
const BODY_TOP: u16 = 3;
/// What is said of the name.
const NAME_HINT: &str = "the name of a file: no / and no dot at the beginning";
/// What is said of a value.
const VALUE_HINT: &str = "empty says nothing";

/// The screen's state.
#[derive(Debug, Default)]
pub struct Profiles {
    known: Remote<Known>,
    window: Window,
    wide: bool,
    edited: Option<Edited>,
}

/// A profile in the form.
#[derive(Debug)]
struct Edited {
    /// The one that is there already; None makes one.
    name: Option<String>,
    form: Form,
    saving: Option<Command>,
    problem: Option<String>,
}

impl Profiles {
    fn rows(&self) -> &[ProfileRow] {
        self.known.value.as_ref().map(|known| known.rows.as_slice()).unwrap_or_default()
    }

    fn selected(&self) -> Option<&ProfileRow> {
        self.rows().get(self.window.selected)
    }

    fn resize(&mut self, height: u16) {
        let length = self.rows().len();
        self.window.resize(usize::from(height.saturating_sub(AROUND)), length);
    }

    /// Opens the form, of a profile or of a new one.
    fn edit(&mut self, profile: Option<ProfileRow>) {
        let Some(known) = &self.known.value else { return };
        let value = |at: usize| {
            profile.as_ref().and_then(|profile| profile.values.get(at)).map_or("", String::as_str)
        };
        let mut shown: Vec<Field> = Vec::new();
        if profile.is_none() {
            shown.push(Field::text("name", "", NAME_HINT));
        }
        shown.extend(
            known.names.iter().enumerate().map(|(at, name)| Field::text(name, value(at), VALUE_HINT)),
        );
        let name = profile.map(|profile| profile.name);
        self.edited = Some(Edited { name, form: Form::new(shown), saving: None, problem: None });
    }

    fn set(&self, ctx: &mut Ctx<'_>) {
        let Some(profile) = self.selected() else { return };
        if let Some(problem) = &profile.problem {
            return ctx.say(true, text::clean(problem).into_owned());
        }
        // Once more takes it back.
        let command = if profile.current {
            ProfileCommand::Clear
        } else {
            ProfileCommand::Set { name: profile.name.clone() }
        };
        ctx.run(Command::Profile(command));
    }

    fn delete(&self, ctx: &mut Ctx<'_>) {
        let Some(profile) = self.selected() else { return };
        if profile.old {
            return ctx.say(true, "it lies in the old directory, which is only read");
        }
        let name = text::clean(&profile.name).into_owned();
        let lines = vec!["Its file is removed for good; the flock that it names stays.".to_owned()];
        let then = Then::Run(Command::Profile(ProfileCommand::Delete { name: profile.name.clone() }));
        ctx.ask(Dialog::ask(format!("Remove the profile {name}?"), lines, "Remove", then));
    }

    fn submit(&mut self, ctx: &mut Ctx<'_>) {
        let Some(known) = &self.known.value else { return };
        let taken = |name: &str| known.rows.iter().any(|row| row.name == name && !row.old);
        let Some(edited) = self.edited.as_mut().filter(|edited| edited.saving.is_none()) else { return };
        edited.problem = None;
        let first = usize::from(edited.name.is_none());
        let name = match &edited.name {
            Some(name) => name.clone(),
            None => edited.form.fields[0].value().trim().to_owned(),
        };
        if edited.name.is_none() {
            edited.form.fields[0].error = match name.as_str() {
                "" => Some("it needs a name".to_owned()),
                name if taken(name) => Some(format!("there is a profile {name} already")),
                _ => None,
            };
            if edited.form.to_first_error() {
                return;
            }
        }
        let said = edited.form.fields.iter().skip(first).map(|field| field.value().trim().to_owned());
        let values = known.names.iter().cloned().zip(said).collect();
        let command = Command::Profile(ProfileCommand::Save { name, values });
        edited.saving = Some(command.clone());
        ctx.run(command);
    }

    fn in_form(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        let Some(edited) = &mut self.edited else { return false };
        match action {
            Action::Complete | Action::NextField => edited.form.next(),
            Action::PreviousField => edited.form.previous(),
            Action::Submit => self.submit(ctx),
            Action::Cancel => self.edited = None,
            _ => return false,
        }
        true
    }

    fn draw_form(&self, edited: &Edited, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let title = match &edited.name {
            Some(name) => format!("The profile {}", text::clean(name)),
            None => "A new profile".to_owned(),
        };
        let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        layout::put(frame.buffer_mut(), inner.x, inner.y, inner.width, &title, look, Role::Title);
        let below = Rect { y: inner.y + 2, height: inner.height.saturating_sub(2), ..inner };
        let left = fields::draw(&edited.form, model, look, frame, below);
        let (role, said) = match (&edited.problem, &edited.saving) {
            (Some(problem), _) => (Role::Error, format!("error: {}", text::clean(problem))),
            (None, Some(_)) => (Role::Info, format!("saving{}", look.glyphs.ellipsis)),
            (None, None) => (Role::Muted, "Enter saves all of it together.".to_owned()),
        };
        if left.height > 1 {
            layout::put(frame.buffer_mut(), left.x, left.y + 1, left.width, &said, look, role);
        }
    }
}

impl Behaviour for Profiles {
    fn scopes(&self) -> &'static [Scope] {
        if self.edited.is_some() { &[Scope::Form] } else { &[Scope::Profiles, Scope::Table] }
    }

    fn without(&self) -> &'static [Action] {
        &[
            Action::Open,
            Action::Filter,
            Action::Sort,
            Action::SortReverse,
            Action::ScrollLeft,
            Action::ScrollRight,
        ]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        ctx.effect(Effect::Load(Request::Profiles));
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::Profiles(known) => {
                self.known.take((*known).clone(), ctx.now_ms);
                self.resize(ctx.size.1);
            }
            News::Finished(command @ Command::Profile(_), result) => {
                if let Some(edited) =
                    self.edited.as_mut().filter(|edited| edited.saving.as_ref() == Some(command))
                {
                    edited.saving = None;
                    match result {
                        Ok(_) => self.edited = None,
                        Err(problem) => edited.problem = Some(problem.text.clone()),
                    }
                }
                ctx.effect(Effect::Load(Request::Profiles));
            }
            _ => {}
        }
    }

    fn typed(&mut self, ctx: &mut Ctx<'_>, key: Key) -> bool {
        let Some(edited) = &mut self.edited else { return false };
        fields::typed(&mut edited.form, &ctx.session.keymap, key) != fields::Typed::No
    }

    fn pasted(&mut self, _ctx: &mut Ctx<'_>, text: &str) {
        if let Some(edited) = &mut self.edited {
            fields::pasted(&mut edited.form, text);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        if self.edited.is_some() {
            return self.in_form(ctx, action);
        }
        self.resize(ctx.size.1);
        let length = self.rows().len();
        match action {
            Action::Down => self.window.go(Move::By(1), length),
            Action::Up => self.window.go(Move::By(-1), length),
            Action::PageDown => self.window.go(Move::PageDown, length),
            Action::PageUp => self.window.go(Move::PageUp, length),
            Action::First => self.window.go(Move::Home, length),
            Action::Last => self.window.go(Move::End, length),
            Action::Wide => self.wide = !self.wide,
            Action::ProfileSet => self.set(ctx),
            Action::ProfileEdit => {
                if let Some(profile) = self.selected().filter(|profile| profile.problem.is_none()).cloned() {
                    self.edit(Some(profile));
                }
            }
            Action::ProfileNew => self.edit(None),
            Action::ProfileDelete => self.delete(ctx),
            Action::ProfileCopy => {
                if let Some(known) = &self.known.value {
                    ctx.effect(Effect::Copy(known.place.clone()));
                }
            }
            _ => return false,
        }
        true
    }

    fn clicked(&mut self, ctx: &mut Ctx<'_>, _x: u16, y: u16) {
        let line = y.checked_sub(BODY_TOP).filter(|line| *line + AROUND < ctx.size.1);
        if let Some(line) = line.filter(|_| self.edited.is_none()) {
            let length = self.rows().len();
            self.window.go(Move::To(self.window.top + usize::from(line)), length);
        }
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        if let Some(edited) = &self.edited {
            return self.draw_form(edited, model, look, frame, area);
        }
        let buf = frame.buffer_mut();
        let mut area = area;
        if let Some(problem) = &self.known.problem {
            banner(
                look,
                Weight::Error,
                &text::clean(&problem.text),
                "r retry",
                Rect { height: 1, ..area },
                buf,
            );
            area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        }
        let place = self.known.value.as_ref().map_or("", |known| known.place.as_str());
        let columns = [
            Column::new("PROFILE", 20),
            Column::new("", 9),
            Column::new("ACCOUNT", 12),
            Column::new("ROLE", 20).grow(1),
            Column::new("STACK", 16).priority(1),
            Column::new("INPUTS", 16).priority(2),
        ];
        let title = format!("  profiles in {}", text::clean(place));
        let table = Table {
            columns: &columns,
            length: self.rows().len(),
            top: self.window.top,
            selected: self.window.selected,
            title: &title,
            empty: "There is no profile, and none is needed: flocks are found by their stacks. a makes one.",
            wide: self.wide.then_some(0),
            stale: self.known.problem.is_some(),
        };
        table.render(look, area, buf, |place| {
            let profile = self.rows().get(place)?;
            let current = if profile.current { format!("{} current", look.glyphs.on) } else { String::new() };
            let value = |at: usize| profile.values.get(at).cloned().unwrap_or_default();
            let role = match &profile.problem {
                Some(problem) => Cell::of(Role::Error, problem.clone()),
                None => Cell::of(Role::Text, value(1)),
            };
            Some(RowCells::new(vec![
                Cell::of(if profile.current { Role::Ok } else { Role::Text }, profile.name.as_str()),
                Cell::of(Role::Ok, current),
                Cell::of(Role::Muted, value(0)),
                role,
                Cell::of(Role::Muted, value(7)),
                Cell::of(Role::Muted, value(5)),
            ]))
        });
    }
}
