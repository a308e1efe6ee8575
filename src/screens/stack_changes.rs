//! What a change set would do to a stack, before it is carried out: every change with whether its resource is replaced,
//! and what makes it. Those that lose what people put there stand out, and want the stack's name typed.

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::stack_words::kind;
use super::{Behaviour, News};
use crate::app::actions::{Action, Scope};
use crate::app::effect::Command;
use crate::app::model::{Ctx, Data, Go, Model};
use crate::app::nav::Place;
use crate::app::overlay::{Dialog, Then};
use crate::app::stack::{ChangeRow, Proposal, Replaced, StackAnswer, StackCommand, StackId};
use crate::app::store::{Move, Window};
use crate::ui::table::{Cell, Column, RowCells, Table};
use crate::ui::text_view::{Line, TextView};
use crate::ui::{Look, Role, layout, text, time};

/// Lines below the table: a gap, and what makes the change under the cursor.
const DETAIL: u16 = 6;
/// Rows of the screen that are not the table's body, without the detail: header and footer, the title, the heads.
const AROUND: u16 = 4;

/// The screen's state.
#[derive(Debug)]
pub struct StackChanges {
    stack: StackId,
    known: Option<Proposal>,
    /// Why there is none.
    problem: Option<String>,
    /// It is no more: carried out or thrown away.
    gone: bool,
    window: Window,
}

impl StackChanges {
    /// For a stack.
    pub fn new(stack: &StackId) -> Self {
        Self { stack: stack.clone(), known: None, problem: None, gone: false, window: Window::default() }
    }

    /// The changes, those that lose something first.
    fn shown(&self) -> Vec<&ChangeRow> {
        let mut shown: Vec<&ChangeRow> = self.known.iter().flat_map(|known| &known.changes).collect();
        shown.sort_by_key(|change| {
            (!change.loses(), change.replaced == Replaced::No, change.action != "Remove")
        });
        shown
    }

    fn resize(&mut self, height: u16) {
        let length = self.shown().len();
        self.window.resize(usize::from(height.saturating_sub(AROUND + DETAIL)), length);
    }

    fn go(&mut self, to: Move) {
        let length = self.shown().len();
        self.window.go(to, length);
    }

    /// The change set that may be decided on.
    fn open(&self) -> Option<&Proposal> {
        self.known.as_ref().filter(|known| !self.gone && !known.change_set.is_empty())
    }

    fn accept(&self, ctx: &mut Ctx<'_>) {
        let Some(proposal) = self.open() else { return ctx.say(true, "there is no change set to accept") };
        let lost: Vec<String> = self
            .shown()
            .into_iter()
            .filter(|change| change.loses())
            .map(|change| format!("lost: {} {} {}", change.logical, kind(&change.kind), change.physical))
            .collect();
        let count = proposal.changes.len();
        let mut lines = vec![format!(
            "{count} {} in {}",
            if count == 1 { "change" } else { "changes" },
            self.stack.flock()
        )];
        let replaced = proposal.changes.iter().filter(|change| change.replaced == Replaced::Yes).count();
        if replaced > 0 {
            lines.push(format!("{replaced} replaced by new ones"));
        }
        let typed = !lost.is_empty();
        lines.extend(lost);
        let command = Command::Stack(StackCommand::Accept {
            stack: self.stack.clone(),
            change_set: proposal.change_set.clone(),
        });
        let then = Then::RunAndGo(command, Place::StackEvents(self.stack.clone()));
        let dialog = Dialog::ask(format!("Update {}?", self.stack.stack), lines, "Update", then);
        ctx.ask(if typed { dialog.typed(self.stack.stack.clone()) } else { dialog });
    }

    fn reject(&mut self, ctx: &mut Ctx<'_>) {
        let Some(proposal) = self.open() else { return ctx.say(true, "there is no change set to reject") };
        let command =
            StackCommand::Reject { stack: self.stack.clone(), change_set: proposal.change_set.clone() };
        self.gone = true;
        ctx.run(Command::Stack(command));
        ctx.go = Some(Go::Done);
    }

    fn title(&self) -> (Role, String) {
        let Some(known) = &self.known else { return (Role::Title, String::new()) };
        let changes = &known.changes;
        let lost = changes.iter().filter(|change| change.loses()).count();
        let replaced = changes.iter().filter(|change| change.replaced == Replaced::Yes).count();
        let count = changes.len();
        let mut said = format!("{count} {}", if count == 1 { "change" } else { "changes" });
        if replaced > 0 {
            said.push_str(&format!(", {replaced} replaced"));
        }
        if lost > 0 {
            said.push_str(&format!("; {lost} may lose what is in it"));
        }
        (if lost > 0 { Role::Danger } else { Role::Title }, said)
    }
}

/// What becomes of the resource, in words and a colour.
fn outcome<'a>(change: &ChangeRow) -> Cell<'a> {
    let (role, said) = match (change.action.as_str(), change.replaced, change.stateful) {
        ("Remove", _, true) => (Role::Danger, "REMOVED, holds data"),
        ("Remove", _, false) => (Role::Warn, "removed"),
        ("Add", ..) => (Role::Ok, "new"),
        (_, Replaced::Yes, true) => (Role::Danger, "REPLACED, holds data"),
        (_, Replaced::Yes, false) => (Role::Warn, "replaced by a new one"),
        (_, Replaced::Maybe, true) => (Role::Danger, "MAYBE REPLACED, holds data"),
        (_, Replaced::Maybe, false) => (Role::Warn, "maybe replaced"),
        (_, Replaced::No, _) => (Role::Text, "stays"),
    };
    Cell::of(role, said)
}

impl Behaviour for StackChanges {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::StackChanges, Scope::Table]
    }

    fn without(&self) -> &'static [Action] {
        &[Action::Open, Action::Filter, Action::Sort, Action::SortReverse, Action::Wide]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        self.resize(ctx.size.1);
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::StackAnswer(StackAnswer::Proposal { stack, proposal }) if *stack == self.stack => {
                (self.known, self.problem, self.gone) = (Some((**proposal).clone()), None, false);
                self.window = Window::default();
                self.resize(ctx.size.1);
            }
            News::Finished(Command::Stack(StackCommand::Propose(wish)), Err(problem))
                if wish.stack == self.stack =>
            {
                self.problem = Some(problem.text.clone());
            }
            News::Finished(Command::Stack(StackCommand::Accept { stack, .. }), Ok(_))
                if *stack == self.stack =>
            {
                self.gone = true;
            }
            _ => {}
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        self.resize(ctx.size.1);
        match action {
            Action::Down => self.go(Move::By(1)),
            Action::Up => self.go(Move::By(-1)),
            Action::PageDown => self.go(Move::PageDown),
            Action::PageUp => self.go(Move::PageUp),
            Action::First => self.go(Move::Home),
            Action::Last => self.go(Move::End),
            Action::ChangesAccept => self.accept(ctx),
            Action::ChangesReject => self.reject(ctx),
            _ => return false,
        }
        true
    }

    fn moves(&self, _data: &Data) -> bool {
        self.known.is_none() && self.problem.is_none()
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let buf = frame.buffer_mut();
        let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        let say = |lines: &[Line<'_>], buf: &mut ratatui::buffer::Buffer| {
            TextView { wrap: true, ..TextView::default() }.render(look, lines, inner, buf);
        };
        if let Some(problem) = &self.problem {
            let said = format!("error: {}", text::clean(problem));
            say(&[Line::of(Role::Error, &said), Line::of(Role::Muted, "esc goes back to the form.")], buf);
            return;
        }
        let Some(known) = &self.known else {
            let op = model.ops.running.iter().find(|op| {
                matches!(&op.command, Command::Stack(StackCommand::Propose(wish)) if wish.stack == self.stack)
            });
            let since = op.map(|op| time::duration(model.now_ms - op.since_ms)).unwrap_or_default();
            let part = op.map(|op| text::clean(&op.part).into_owned()).unwrap_or_default();
            let said = format!(
                "asking CloudFormation what would change in {}{}  {part}  {since}",
                self.stack.stack, look.glyphs.ellipsis
            );
            say(&[Line::of(Role::Info, &said)], buf);
            return;
        };
        if known.changes.is_empty() {
            say(
                &[Line::new("Nothing would change."), Line::of(Role::Muted, "esc goes back to the form.")],
                buf,
            );
            return;
        }
        let (role, title) = self.title();
        layout::put(buf, inner.x, inner.y, inner.width, &title, look, role);
        let detail = DETAIL.min(area.height / 3);
        let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1 + detail), ..area };
        let shown = self.shown();
        let columns = [
            Column::new("ACTION", 7),
            Column::new("RESOURCE", 22).grow(1),
            Column::new("TYPE", 16).grow(1).priority(1),
            Column::new("WHAT BECOMES OF IT", 27),
            Column::new("WHY", 16).grow(3).priority(2),
        ];
        let table = Table {
            columns: &columns,
            length: shown.len(),
            top: self.window.top,
            selected: self.window.selected,
            title: "",
            empty: "",
            wide: None,
            stale: self.gone,
        };
        table.render(look, below, buf, |place| {
            let change = shown.get(place)?;
            Some(RowCells::new(vec![
                Cell::new(change.action.clone()),
                Cell::of(Role::Accent, change.logical.clone()),
                Cell::of(Role::Muted, kind(&change.kind).to_owned()),
                outcome(change),
                Cell::of(Role::Muted, change.causes.join("; ")),
            ]))
        });
        let Some(change) = shown.get(self.window.selected) else { return };
        let room = Rect { y: below.bottom() + 1, height: detail.saturating_sub(1), ..inner };
        let whole = outcome(change);
        let mut said = vec![format!("{} {}  {}", change.logical, change.physical, whole.text)];
        said.extend(change.causes.iter().map(|cause| format!("  {cause}")));
        let said: Vec<String> = said.iter().map(|line| text::clean(line).into_owned()).collect();
        let roles = std::iter::once(whole.role).chain(std::iter::repeat(Role::Muted));
        let lines: Vec<Line<'_>> = said.iter().zip(roles).map(|(line, role)| Line::of(role, line)).collect();
        TextView { wrap: true, ..TextView::default() }.render(look, &lines, room, buf);
    }
}
