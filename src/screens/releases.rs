//! What was deployed: the releases of a flock or of a repository, which one is current, and going back to another.
//!
//! It shows what was read last and reads anew after every deploy and every going back; it changes nothing without asking.

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Behaviour, News, PromptEvent, utc};
use crate::app::actions::{Action, Scope};
use crate::app::deploy::ReleaseRow;
use crate::app::effect::{Command, Effect, Request};
use crate::app::model::{Ctx, Model};
use crate::app::nav::Place;
use crate::app::overlay::{Ask, Dialog, Prompt, Then};
use crate::app::remote::Remote;
use crate::app::store::{Move, Window};
use crate::ui::table::{Cell, Column, RowCells, Table};
use crate::ui::text_view::{Line, TextView};
use crate::ui::toast::{Weight, banner};
use crate::ui::{Look, Role, layout, text, time};

/// Rows of the screen that are not the table's body.
const AROUND: u16 = 5;
/// Row of the terminal on which the table's first row lies.
const BODY_TOP: u16 = 3;

/// The screen's state.
#[derive(Debug)]
pub struct Releases {
    flock: String,
    /// Of this repository instead of the flock's own.
    repository: Option<String>,
    known: Remote<Vec<ReleaseRow>>,
    window: Window,
    wide: bool,
}

impl Releases {
    /// For a flock.
    pub fn new(flock: &str) -> Self {
        Self {
            flock: flock.to_owned(),
            repository: None,
            known: Remote::default(),
            window: Window::default(),
            wide: false,
        }
    }

    fn rows(&self) -> &[ReleaseRow] {
        self.known.value.as_deref().unwrap_or_default()
    }

    /// Whose releases these are, for people.
    fn whose(&self) -> &str {
        self.repository.as_deref().unwrap_or(&self.flock)
    }

    fn selected(&self) -> Option<&ReleaseRow> {
        self.rows().get(self.window.selected)
    }

    fn read(&self, ctx: &mut Ctx<'_>) {
        let (flock, repository) = (self.flock.clone(), self.repository.clone());
        ctx.effect(Effect::Load(Request::Releases { flock, repository }));
    }

    fn resize(&mut self, height: u16) {
        let length = self.rows().len();
        self.window.resize(usize::from(height.saturating_sub(AROUND)), length);
    }

    fn roll_back(&self, ctx: &mut Ctx<'_>) {
        let Some(release) = self.selected() else { return };
        if release.current {
            return ctx.say(true, format!("{} runs {} already", self.whose(), release.name));
        }
        let current = self.rows().iter().find(|one| one.current);
        let newer = current.is_some_and(|current| current.at_ms < release.at_ms);
        let mut lines =
            vec!["Nothing is built or pushed. Jobs that run go on with what they have.".to_owned()];
        if let Some(current) = current {
            lines.push(format!("now:  {}  made {} ago", current.name, time::age(ctx.now_ms - current.at_ms)));
        }
        lines.push(format!("then: {}  made {} ago", release.name, time::age(ctx.now_ms - release.at_ms)));
        let then = Then::Run(Command::RollBack {
            flock: self.flock.clone(),
            repository: self.repository.clone(),
            release: release.name.clone(),
        });
        let where_to = if newer { "on" } else { "back" };
        let title = format!("Take {} {where_to} to {}?", self.whose(), release.name);
        ctx.ask(Dialog::ask(title, lines, "Switch", then));
    }
}

impl Behaviour for Releases {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Releases, Scope::Table]
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
        self.read(ctx);
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::Releases(flock, repository, releases)
                if *flock == self.flock && *repository == self.repository.as_deref() =>
            {
                let selected = self.selected().map(|release| release.name.clone());
                self.known.take((*releases).clone(), ctx.now_ms);
                let place = selected.and_then(|name| self.rows().iter().position(|one| one.name == name));
                if let Some(place) = place {
                    let length = self.rows().len();
                    self.window.follow(place, length);
                }
                self.resize(ctx.size.1);
            }
            News::Finished(Command::Deploy(wish), _) if wish.flock == self.flock => self.read(ctx),
            News::Finished(Command::RollBack { flock, .. }, _) if *flock == self.flock => self.read(ctx),
            _ => {}
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
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
            Action::RollBack => self.roll_back(ctx),
            Action::ReleasesDeploy => ctx.go(Place::Deploy { flock: self.flock.clone() }),
            Action::Repository => {
                ctx.prompt(Prompt::new(Ask::Repository, self.repository.clone().unwrap_or_default()));
            }
            Action::CopyImage => {
                if let Some(image) = self.selected().and_then(|release| release.image.clone()) {
                    ctx.effect(Effect::Copy(image));
                }
            }
            _ => return false,
        }
        true
    }

    fn prompted(&mut self, ctx: &mut Ctx<'_>, ask: Ask, event: &PromptEvent) {
        if let (Ask::Repository, PromptEvent::Entered(typed)) = (ask, event) {
            let typed = typed.trim();
            self.repository = (!typed.is_empty()).then(|| typed.to_owned());
            (self.known, self.window) = (Remote::default(), Window::default());
            self.read(ctx);
        }
    }

    fn clicked(&mut self, ctx: &mut Ctx<'_>, _x: u16, y: u16) {
        if let Some(line) = y.checked_sub(BODY_TOP).filter(|line| *line + AROUND < ctx.size.1) {
            let length = self.rows().len();
            self.window.go(Move::To(self.window.top + usize::from(line)), length);
        }
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let buf = frame.buffer_mut();
        let mut area = area;
        if let Some(problem) = &self.known.problem {
            let said = text::clean(&problem.text);
            if self.known.value.is_none() {
                // There is room for all of it where there is nothing else.
                let room = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
                let said = format!("error: {said}");
                let lines = [Line::of(Role::Error, &said), Line::of(Role::Muted, "r reads them again.")];
                TextView { wrap: true, ..TextView::default() }.render(look, &lines, room, buf);
                return;
            }
            banner(look, Weight::Error, &said, "r retry", Rect { height: 1, ..area }, buf);
            area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        }
        if self.known.is_loading() {
            let reading =
                format!("reading the releases of {}{}", text::clean(self.whose()), look.glyphs.ellipsis);
            layout::put(buf, area.x + 1, area.y, area.width, &reading, look, Role::Muted);
            return;
        }
        let columns = [
            Column::new("RELEASE", 24),
            Column::new("", 9),
            Column::new("MADE", 23).priority(2),
            Column::new("AGE", 6).priority(1),
            Column::new("IMAGE", 20).grow(1),
        ];
        let title = format!("  releases of {}", text::clean(self.whose()));
        let table = Table {
            columns: &columns,
            length: self.rows().len(),
            top: self.window.top,
            selected: self.window.selected,
            title: &title,
            empty: "Nothing was deployed yet. Press D to deploy a folder or an image.",
            wide: self.wide.then_some(0),
            stale: self.known.problem.is_some(),
        };
        table.render(look, area, buf, |place| {
            let release = self.rows().get(place)?;
            let current = if release.current { format!("{} current", look.glyphs.on) } else { String::new() };
            Some(RowCells::new(vec![
                Cell::of(if release.current { Role::Ok } else { Role::Text }, release.name.as_str()),
                Cell::of(Role::Ok, current),
                Cell::of(Role::Muted, utc::moment(release.at_ms)),
                Cell::of(Role::Muted, time::age(model.now_ms - release.at_ms)),
                Cell::of(Role::Muted, release.image.clone().unwrap_or_else(|| "(unknown)".to_owned())),
            ]))
        });
    }
}
