//! What a stack owns, counted while a person looks on, and its tear-down: what goes, what is kept, then how far it is.
//!
//! Nothing is touched before the stack's name is typed. A tear-down that stopped goes on with the same key from where it
//! stopped; `esc` leaves one that runs to itself, and who comes back finds it.

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::facts::Shown;
use super::stack_words::role;
use super::{Behaviour, News};
use crate::app::actions::{Action, Scope};
use crate::app::effect::{Command, Sub};
use crate::app::model::{Ctx, Data, Model};
use crate::app::nav::Place;
use crate::app::ops::Op;
use crate::app::overlay::{Dialog, Then};
use crate::app::remote::Remote;
use crate::app::stack::{Fate, Owned, OwnedThing, StackCommand, StackId, StackNews, StackSub};
use crate::app::store::{Move, Window};
use crate::ui::table::{Cell, Column, RowCells, Table};
use crate::ui::text_view::{Line, TextView};
use crate::ui::toast::{Weight, banner};
use crate::ui::{Look, Role, sparkline, text, time};

/// Lines above the table.
const ABOVE: u16 = 4;
/// Rows of the screen that are not the table's body: header and footer, what is above, the heads.
const AROUND: u16 = 3 + ABOVE;
/// Columns of the progress bar.
const BAR: usize = 24;

/// The screen's state.
#[derive(Debug)]
pub struct StackDown {
    stack: StackId,
    known: Remote<Owned>,
    /// Counted up to count anew.
    again: u32,
    /// What people put there goes too.
    data: bool,
    /// A tear-down runs.
    running: bool,
    /// Why the last one stopped.
    stopped: Option<String>,
    /// It is done, in a sentence.
    done: Option<String>,
    window: Window,
}

impl StackDown {
    /// For a stack.
    pub fn new(stack: &StackId) -> Self {
        Self {
            stack: stack.clone(),
            known: Remote::default(),
            again: 0,
            data: false,
            running: false,
            stopped: None,
            done: None,
            window: Window::default(),
        }
    }

    fn things(&self) -> &[OwnedThing] {
        self.known.value.as_ref().map_or(&[], |known| &known.things)
    }

    fn resize(&mut self, height: u16) {
        let length = self.things().len();
        self.window.resize(usize::from(height.saturating_sub(AROUND)), length);
    }

    fn go(&mut self, to: Move) {
        let length = self.things().len();
        self.window.go(to, length);
    }

    /// Whether a thing goes with what is chosen.
    fn goes(&self, thing: &OwnedThing) -> bool {
        match thing.fate {
            Fate::Goes => true,
            Fate::Data => self.data,
            Fate::Stays => false,
        }
    }

    /// A tear-down was begun before, here or elsewhere, and did not come to its end.
    fn resumes(&self) -> bool {
        let status = self.known.value.as_ref().map_or("", |known| known.status.as_str());
        self.stopped.is_some() || status.starts_with("DELETE_")
    }

    fn ask(&self, ctx: &mut Ctx<'_>) {
        let Some(known) = &self.known.value else {
            return ctx.say(true, "what the stack owns is not known yet; wait for it, or press r");
        };
        let mut lines = Vec::new();
        if !known.counted {
            lines.push("Not everything is counted yet; there may be more than this.".to_owned());
        }
        lines.extend(
            known
                .things
                .iter()
                .filter(|thing| self.goes(thing))
                .map(|thing| format!("goes: {} {}{}", thing.what, thing.name, within(thing))),
        );
        lines.extend(
            known
                .things
                .iter()
                .filter(|thing| !self.goes(thing))
                .map(|thing| format!("kept: {} {}{}", thing.what, thing.name, within(thing))),
        );
        lines.push("The scheduler stops first, jobs are ended, then the stack is removed.".to_owned());
        let word = if self.resumes() { "Go on with tearing" } else { "Tear" };
        let command = Command::Stack(StackCommand::Down { stack: self.stack.clone(), data: self.data });
        let dialog = Dialog::ask(
            format!("{word} down {}?", self.stack.flock()),
            lines,
            "Tear down",
            Then::Run(command),
        );
        ctx.ask(dialog.typed(self.stack.stack.clone()));
    }

    fn op<'a>(&self, model: &'a Model) -> Option<&'a Op> {
        model.ops.running.iter().find(|op| self.is_mine(&op.command))
    }

    fn is_mine(&self, command: &Command) -> bool {
        matches!(command, Command::Stack(StackCommand::Down { stack, .. }) if *stack == self.stack)
    }

    /// What is said above the table.
    fn above(&self, model: &Model, look: &Look) -> Vec<Shown> {
        if let Some(done) = &self.done {
            return vec![
                Shown::plain(Role::Ok, done),
                Shown::plain(Role::Muted, "esc goes back to the flocks."),
            ];
        }
        let key = |action: Action| {
            model.session.keymap.keys(action).first().map(ToString::to_string).unwrap_or_default()
        };
        if let Some(op) = self.op(model) {
            let since = time::duration(model.now_ms - op.since_ms);
            let far = if op.total > 0 {
                let bar = sparkline::progress(op.done, op.total, BAR, &look.glyphs);
                format!("{bar} {} of {}", time::count(op.done), time::count(op.total))
            } else {
                String::new()
            };
            let keys = format!(
                "{} stops it, {} leaves it running; {} shows the events",
                key(Action::Interrupt),
                key(Action::Out),
                key(Action::DownEvents)
            );
            return vec![
                Shown::plain(Role::Info, &format!("{}  {far}  {since}", op.part)),
                Shown::plain(Role::Text, &op.note),
                Shown::plain(Role::Muted, &keys),
            ];
        }
        let mut lines = Vec::new();
        if let Some(stopped) = &self.stopped {
            lines.push(Shown::plain(Role::Error, &format!("error: it stopped: {stopped}")));
            lines.push(Shown::plain(Role::Muted, &format!("{} goes on from there.", key(Action::DownGo))));
            return lines;
        }
        if self.known.value.as_ref().is_some_and(|known| known.status.starts_with("DELETE_")) {
            let said = format!("A tear-down was begun and is not done. {} goes on.", key(Action::DownGo));
            lines.push(Shown::plain(Role::Warn, &said));
        }
        let counted = self.known.value.as_ref().is_some_and(|known| known.counted);
        if !counted {
            let at = self.known.value.as_ref().map_or("", |known| known.at.as_str());
            let said = format!("counting what the stack owns{} {at}", look.glyphs.ellipsis);
            lines.push(Shown::plain(Role::Info, &said));
        }
        let (sign, said, role) = if self.data {
            (look.glyphs.on, "data goes too: there is no undo", Role::Danger)
        } else {
            (look.glyphs.off, "data is kept", Role::Ok)
        };
        let said = format!("{sign} {said}  ({} changes that)", key(Action::DownData));
        lines.push(Shown::plain(role, &said));
        lines
    }
}

/// What is in a thing, in brackets; empty where nothing is.
fn within(thing: &OwnedThing) -> String {
    let holds = holds(thing);
    if holds.is_empty() { holds } else { format!(" ({holds})") }
}

/// What is in a thing, or why that is not known.
fn holds(thing: &OwnedThing) -> String {
    thing.problem.as_ref().map_or_else(|| thing.holds.clone(), |problem| format!("not counted: {problem}"))
}

impl Behaviour for StackDown {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::StackDown, Scope::Table]
    }

    fn without(&self) -> &'static [Action] {
        &[Action::Open, Action::Filter, Action::Sort, Action::SortReverse, Action::Wide]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        self.running = ctx.ops.running.iter().any(|op| self.is_mine(&op.command));
        if self.done.is_some() {
            // Who comes back after the end looks at whatever has the name now.
            *self = Self { again: self.again, ..Self::new(&self.stack) };
        }
        if !self.running {
            self.again += 1;
        }
        self.resize(ctx.size.1);
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::Stack(StackNews::Owned { stack, owned }) if *stack == self.stack => {
                let mut owned = (**owned).clone();
                if let Some(known) =
                    self.known.value.take().filter(|_| !owned.counted && owned.things.is_empty())
                {
                    // Counted anew: what was known stays in sight until it is known better.
                    owned = Owned { counted: false, at: owned.at, ..known };
                }
                self.known.take(Ok(owned), ctx.now_ms);
                self.resize(ctx.size.1);
            }
            News::Failed(Sub::Stack(StackSub::Owned { stack, .. }), problem) if *stack == self.stack => {
                self.known.problem = Some((*problem).clone());
            }
            News::Progress(command, _) if self.is_mine(command) => {
                (self.running, self.stopped, self.done) = (true, None, None);
            }
            News::Finished(command, result) if self.is_mine(command) => {
                self.running = false;
                self.again += 1;
                match result {
                    Ok(done) => (self.done, self.stopped) = (Some(done.text.clone()), None),
                    Err(problem) => self.stopped = Some(problem.text.clone()),
                }
            }
            _ => {}
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        self.resize(ctx.size.1);
        let running = ctx.ops.running.iter().any(|op| self.is_mine(&op.command));
        match action {
            Action::Down => self.go(Move::By(1)),
            Action::Up => self.go(Move::By(-1)),
            Action::PageDown => self.go(Move::PageDown),
            Action::PageUp => self.go(Move::PageUp),
            Action::First => self.go(Move::Home),
            Action::Last => self.go(Move::End),
            Action::DownData if !running && self.done.is_none() => self.data = !self.data,
            Action::DownGo if !running && self.done.is_none() => self.ask(ctx),
            Action::DownData | Action::DownGo => {}
            Action::DownEvents => ctx.go(Place::StackEvents(self.stack.clone())),
            _ => return false,
        }
        true
    }

    fn subscriptions(&self, _data: &Data) -> Vec<Sub> {
        // While it is torn down there is nothing to count.
        if self.running || self.done.is_some() {
            return Vec::new();
        }
        vec![Sub::Stack(StackSub::Owned { stack: self.stack.clone(), again: self.again })]
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
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
        let above = self.above(model, look);
        let lines: Vec<Line<'_>> = above.iter().map(Shown::line).collect();
        let room = Rect {
            x: area.x + 1,
            width: area.width.saturating_sub(2),
            height: ABOVE.min(area.height),
            ..area
        };
        TextView { wrap: true, ..TextView::default() }.render(look, &lines, room, buf);
        let below = Rect { y: room.bottom(), height: area.height - room.height, ..area };
        let Some(known) = &self.known.value else { return };
        if self.done.is_some() {
            return;
        }
        let columns = [
            Column::new("", 6),
            Column::new("WHAT", 11),
            Column::new("NAME", 18).grow(1),
            Column::new("HOLDS", 36).grow(2),
        ];
        let table = Table {
            columns: &columns,
            length: known.things.len(),
            top: self.window.top,
            selected: self.window.selected,
            title: "",
            empty: "Nothing of the stack is left.",
            wide: None,
            stale: self.known.problem.is_some(),
        };
        table.render(look, below, buf, |place| {
            let thing = known.things.get(place)?;
            let (fate, fate_role) =
                if self.goes(thing) { ("goes", Role::Danger) } else { ("kept", Role::Ok) };
            let holds = match (thing.counted, holds(thing)) {
                (false, so_far) => format!("{so_far}{}", look.glyphs.ellipsis),
                (true, whole) => whole,
            };
            let said = if thing.problem.is_some() { Role::Warn } else { Role::Text };
            Some(RowCells::new(vec![
                Cell::of(fate_role, fate),
                Cell::of(Role::Muted, thing.what.clone()),
                Cell::of(Role::Accent, thing.name.clone()),
                Cell::of(said, holds),
            ]))
        });
    }

    fn note(&self, _model: &Model) -> String {
        let status = self.known.value.as_ref().map_or("", |known| known.status.as_str());
        if role(status) == Role::Succeeded { String::new() } else { status.to_owned() }
    }
}
