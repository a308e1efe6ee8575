//! What happens to a stack, as it happens: every resource with its status and how long it took, how much is done, and
//! above all the first real cause where something failed.
//!
//! It only looks on. Leaving it stops nothing, and who comes back finds it as it is then.

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::stack_words::{kind, role, status};
use super::{Behaviour, News};
use crate::app::actions::{Action, Scope};
use crate::app::effect::{Command, Effect, Sub};
use crate::app::model::{Ctx, Data, Model};
use crate::app::nav::Place;
use crate::app::ops::Op;
use crate::app::remote::Remote;
use crate::app::stack::{Happening, ResourceRow, StackId, StackNews, StackSub};
use crate::app::store::{Move, Window};
use crate::ui::table::{Align, Cell, Column, RowCells, Table};
use crate::ui::text_view::{Line, TextView};
use crate::ui::toast::{Weight, banner};
use crate::ui::{Look, Role, layout, sparkline, text, time};

/// Columns of the bar that says how much is done.
const BAR: usize = 24;
/// Most lines of the cause.
const CAUSE: usize = 4;
/// Rows of the screen that are never the table's body: header and footer, the line of the stack, the heads.
const AROUND: u16 = 5;

/// The screen's state.
#[derive(Debug)]
pub struct StackEvents {
    stack: StackId,
    known: Remote<Happening>,
    window: Window,
    /// The resource under the selection, which it follows.
    selected: Option<String>,
    faults: bool,
    /// Why the last that was done to it from here did not work.
    failed: Option<String>,
}

impl StackEvents {
    /// For a stack.
    pub fn new(stack: &StackId) -> Self {
        Self {
            stack: stack.clone(),
            known: Remote::default(),
            window: Window::default(),
            selected: None,
            faults: false,
            failed: None,
        }
    }

    /// The resources in the order in which they matter: what failed, what goes on, then the newest.
    fn shown(&self) -> Vec<&ResourceRow> {
        let all = self.known.value.iter().flat_map(|known| &known.resources);
        let mut shown: Vec<&ResourceRow> =
            all.filter(|row| !self.faults || role(&row.status) == Role::Failed).collect();
        shown.sort_by_key(|row| match role(&row.status) {
            Role::Failed => (0, row.ended_ms.unwrap_or(i64::MAX)),
            Role::Running => (1, row.began_ms.unwrap_or(i64::MAX)),
            _ => (2, -row.ended_ms.unwrap_or(0)),
        });
        shown
    }

    fn settle(&mut self, height: u16) {
        let names: Vec<String> = self.shown().iter().map(|row| row.logical.clone()).collect();
        let place = self.selected.as_ref().and_then(|name| names.iter().position(|other| other == name));
        // At the top it stays there, where the news are.
        if let Some(place) = place.filter(|_| self.window.selected > 0) {
            self.window.follow(place, names.len());
        }
        self.window.resize(self.room(height), names.len());
        self.selected = names.get(self.window.selected).cloned();
    }

    /// Rows of the table's body.
    fn room(&self, height: u16) -> usize {
        let cause =
            if self.known.value.as_ref().is_some_and(|known| known.cause.is_some()) { CAUSE } else { 0 };
        usize::from(height.saturating_sub(AROUND)).saturating_sub(cause)
    }

    fn go(&mut self, to: Move) {
        let length = self.shown().len();
        self.window.go(to, length);
        self.selected = self.shown().get(self.window.selected).map(|row| row.logical.clone());
    }

    fn current(&self) -> Option<&ResourceRow> {
        self.shown().get(self.window.selected).copied()
    }

    /// The command that is carried out on this stack by this console.
    fn op<'a>(&self, model: &'a Model) -> Option<&'a Op> {
        let mine =
            |op: &&Op| matches!(&op.command, Command::Stack(command) if *command.stack() == self.stack);
        model.ops.running.iter().rev().find(mine)
    }

    /// How the stack stands, in a line.
    fn line(&self, model: &Model, look: &Look) -> Vec<(Role, String)> {
        let op = self.op(model);
        let Some(known) = self.known.value.as_ref().filter(|known| !known.status.is_empty()) else {
            let said = match op {
                Some(op) => format!("{} {}", op.command.title(), op.part),
                None => format!("no stack named {} is there", self.stack.stack),
            };
            return vec![(Role::Muted, said)];
        };
        let mut line = vec![(role(&known.status), status(look, &known.status).text.into_owned())];
        if known.total > 0 {
            let bar = sparkline::progress(known.done, known.total, BAR, &look.glyphs);
            let most = if known.status == "CREATE_IN_PROGRESS" { "at most " } else { "" };
            line.push((Role::Text, format!("{bar} {} of {most}{}", known.done, known.total)));
        }
        if let Some(began) = known.began_ms {
            let until = known.ended_ms.unwrap_or(model.now_ms);
            line.push((Role::Text, time::duration((until - began).max(0))));
        }
        if let Some(ended) = known.ended_ms {
            line.push((Role::Muted, format!("ended {} ago", time::age(model.now_ms - ended))));
        } else if let Some(op) = op.filter(|op| !op.part.is_empty()) {
            line.push((Role::Muted, op.part.clone()));
        }
        line
    }
}

impl Behaviour for StackEvents {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::StackEvents, Scope::Table]
    }

    fn without(&self) -> &'static [Action] {
        &[Action::Open, Action::Filter, Action::Sort, Action::SortReverse, Action::Wide]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        self.settle(ctx.size.1);
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::Stack(StackNews::Events { stack, now }) if *stack == self.stack => {
                self.known.take(Ok((**now).clone()), ctx.now_ms);
                self.settle(ctx.size.1);
            }
            News::Progress(Command::Stack(command), _) if *command.stack() == self.stack => {
                self.failed = None;
            }
            News::Finished(Command::Stack(command), result) if *command.stack() == self.stack => {
                self.failed = result.as_ref().err().map(|problem| problem.text.clone());
            }
            News::Failed(Sub::Stack(StackSub::Events(stack)), problem) if *stack == self.stack => {
                self.known.problem = Some((*problem).clone());
            }
            _ => {}
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        self.settle(ctx.size.1);
        match action {
            Action::Down => self.go(Move::By(1)),
            Action::Up => self.go(Move::By(-1)),
            Action::PageDown => self.go(Move::PageDown),
            Action::PageUp => self.go(Move::PageUp),
            Action::First => self.go(Move::Home),
            Action::Last => self.go(Move::End),
            Action::EventsFaults => {
                self.faults = !self.faults;
                self.settle(ctx.size.1);
            }
            Action::EventsCopy => {
                if let Some(row) = self.current() {
                    let id = if row.physical.is_empty() { &row.logical } else { &row.physical };
                    ctx.effect(Effect::Copy(id.clone()));
                }
            }
            Action::EventsDescribe => ctx.go(Place::Stack(self.stack.clone())),
            Action::EventsTearDown => ctx.go(Place::StackDown(self.stack.clone())),
            _ => return false,
        }
        true
    }

    fn subscriptions(&self, _data: &Data) -> Vec<Sub> {
        vec![Sub::Stack(StackSub::Events(self.stack.clone()))]
    }

    fn moves(&self, _data: &Data) -> bool {
        self.known.value.is_some()
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let buf = frame.buffer_mut();
        let mut area = area;
        let line = |area: Rect| Rect { height: 1, ..area };
        let below = |area: Rect, by: u16| Rect {
            y: area.y + by.min(area.height),
            height: area.height.saturating_sub(by),
            ..area
        };
        if let Some(problem) = &self.known.problem {
            banner(look, Weight::Error, &text::clean(&problem.text), "tries again", line(area), buf);
            area = below(area, 1);
        }
        if self.known.value.is_none() && self.op(model).is_none() && self.failed.is_none() {
            if self.known.problem.is_none() {
                let reading = format!("reading the events of {}{}", self.stack.stack, look.glyphs.ellipsis);
                layout::put(buf, area.x + 1, area.y, area.width, &reading, look, Role::Muted);
            }
            return;
        }
        // With a stack there its first cause says more.
        let nothing = self.known.value.as_ref().is_none_or(|known| known.status.is_empty());
        if let Some(failed) = self.failed.as_ref().filter(|_| nothing) {
            let said = format!("error: {}", text::clean(failed));
            let lines = [Line::of(Role::Error, &said), Line::of(Role::Muted, "The form is as it was.")];
            let room = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
            TextView { wrap: true, ..TextView::default() }.render(look, &lines, room, buf);
            return;
        }
        let mut x = area.x + 1;
        for (role, said) in self.line(model, look) {
            let left = area.right().saturating_sub(x);
            x = layout::put(buf, x, area.y, left, &text::clean(&said), look, role).saturating_add(2);
        }
        area = below(area, 1);
        if let Some(cause) = self.known.value.as_ref().and_then(|known| known.cause.as_ref()) {
            let said = format!("{} ({}): {}", cause.logical, kind(&cause.kind), cause.reason);
            let said = text::clean(&said).into_owned();
            let head = format!("{} error: first cause: ", look.glyphs.failed);
            let whole = format!("{head}{said}");
            let room = usize::from(area.width.saturating_sub(2));
            let lines = text::wrap(&whole, room);
            let cut = lines.len() > CAUSE - 1;
            for (at, range) in lines.into_iter().take(CAUSE - 1).enumerate() {
                let y = area.y + u16::try_from(at).unwrap_or(0);
                let more = if cut && at + 2 == CAUSE { look.glyphs.ellipsis } else { "" };
                let said = format!("{}{more}", whole[range].trim_end());
                layout::put(buf, area.x + 1, y, area.width, &said, look, Role::Error);
            }
            area = below(area, u16::try_from(CAUSE).unwrap_or(0));
        }
        let shown = self.shown();
        let columns = [
            Column::new("RESOURCE", 24).grow(2),
            Column::new("TYPE", 18).grow(1).priority(2),
            Column::new("STATUS", 22),
            Column::new("TOOK", 7).align(Align::Right),
            Column::new("WHY", 14).grow(3).priority(1),
        ];
        let empty = if self.faults { "Nothing failed." } else { "Nothing has happened to a resource yet." };
        let table = Table {
            columns: &columns,
            length: shown.len(),
            top: self.window.top,
            selected: self.window.selected,
            title: "",
            empty,
            wide: None,
            stale: self.known.problem.is_some(),
        };
        table.render(look, area, buf, |place| {
            let row = shown.get(place)?;
            let took = match (row.began_ms, row.ended_ms) {
                (Some(began), ended) => time::duration((ended.unwrap_or(model.now_ms) - began).max(0)),
                (None, _) => String::new(),
            };
            let why = row.reason.as_deref().unwrap_or(&row.physical);
            let role = if row.reason.is_some() { role(&row.status) } else { Role::Muted };
            Some(RowCells::new(vec![
                Cell::of(Role::Accent, row.logical.as_str()),
                Cell::of(Role::Muted, kind(&row.kind)),
                status(look, &row.status),
                Cell::new(took),
                Cell::of(role, why.to_owned()),
            ]))
        });
    }
}
