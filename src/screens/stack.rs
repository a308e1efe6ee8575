//! What a stack is made of: its resources, outputs and parameters, each a pane.
//!
//! It shows what was read last and changes nothing; `r` reads it anew.

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::stack_words::{kind, role, status};
use super::{Behaviour, News};
use crate::app::actions::{Action, Scope};
use crate::app::effect::{Command, Effect, Request};
use crate::app::model::{Ctx, Model};
use crate::app::nav::Place;
use crate::app::remote::Remote;
use crate::app::stack::{Sheet, StackAnswer, StackId, StackRequest};
use crate::app::store::{Move, Window};
use crate::ui::table::{Cell, Column, RowCells, Table};
use crate::ui::text_view::{Line, TextView};
use crate::ui::toast::{Weight, banner};
use crate::ui::{Look, Role, layout, text, time};

/// Rows of the screen that are not a table's body: header and footer, the line of the stack, the tabs, the heads.
const AROUND: u16 = 5;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pane {
    Resources,
    Outputs,
    Parameters,
}

impl Pane {
    const ALL: [Self; 3] = [Self::Resources, Self::Outputs, Self::Parameters];

    fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }

    fn name(self) -> &'static str {
        match self {
            Self::Resources => "Resources",
            Self::Outputs => "Outputs",
            Self::Parameters => "Parameters",
        }
    }

    fn length(self, sheet: &Sheet) -> usize {
        match self {
            Self::Resources => sheet.resources.len(),
            Self::Outputs => sheet.outputs.len(),
            Self::Parameters => sheet.parameters.len(),
        }
    }
}

/// The screen's state.
#[derive(Debug)]
pub struct Stack {
    stack: StackId,
    known: Remote<Sheet>,
    pane: Pane,
    windows: [Window; Pane::ALL.len()],
}

impl Stack {
    /// For a stack.
    pub fn new(stack: &StackId) -> Self {
        Self {
            stack: stack.clone(),
            known: Remote::default(),
            pane: Pane::Resources,
            windows: [Window::default(); Pane::ALL.len()],
        }
    }

    fn length(&self, pane: Pane) -> usize {
        self.known.value.as_ref().map_or(0, |sheet| pane.length(sheet))
    }

    fn resize(&mut self, height: u16) {
        for pane in Pane::ALL {
            let length = self.length(pane);
            self.windows[pane as usize].resize(usize::from(height.saturating_sub(AROUND)), length);
        }
    }

    fn go(&mut self, to: Move) {
        let length = self.length(self.pane);
        self.windows[self.pane as usize].go(to, length);
    }

    /// What `c` copies.
    fn current(&self) -> Option<&str> {
        let (sheet, at) = (self.known.value.as_ref()?, self.windows[self.pane as usize].selected);
        match self.pane {
            Pane::Resources => {
                let row = sheet.resources.get(at)?;
                Some(if row.physical.is_empty() { &row.logical } else { &row.physical })
            }
            Pane::Outputs => sheet.outputs.get(at).map(|(_, value)| value.as_str()),
            Pane::Parameters => sheet.parameters.get(at).map(|(_, value)| value.as_str()),
        }
    }

    fn tabs(&self, look: &Look, area: Rect, buf: &mut ratatui::buffer::Buffer) {
        let mut x = area.x;
        for pane in Pane::ALL {
            let title = format!("{} {} ({})", pane as usize + 1, pane.name(), self.length(pane));
            // Brackets as well as a colour: there are terminals without.
            let (title, role) = if pane == self.pane {
                (format!("[{title}]"), Role::Accent)
            } else {
                (format!(" {title} "), Role::Muted)
            };
            x = layout::put(buf, x, area.y, area.right().saturating_sub(x), &title, look, role);
        }
    }

    fn table(&self, sheet: &Sheet, look: &Look, area: Rect, buf: &mut ratatui::buffer::Buffer) {
        let window = self.windows[self.pane as usize];
        let pairs = [Column::new("NAME", 28).grow(1), Column::new("VALUE", 24).grow(2)];
        let resources = [
            Column::new("RESOURCE", 24).grow(1),
            Column::new("TYPE", 18).grow(1).priority(1),
            Column::new("STATUS", 22),
            Column::new("ID", 24).grow(3).priority(2),
        ];
        let (columns, empty): (&[Column<'_>], _) = match self.pane {
            Pane::Resources => (&resources, "The stack has no resources."),
            Pane::Outputs => (&pairs, "The stack has no outputs. The original template has none."),
            Pane::Parameters => (&pairs, "The stack has no parameters."),
        };
        let table = Table {
            columns,
            length: self.length(self.pane),
            top: window.top,
            selected: window.selected,
            title: "",
            empty,
            wide: None,
            stale: self.known.problem.is_some(),
        };
        let pair = |(name, value): &(String, String)| {
            vec![Cell::of(Role::Accent, name.clone()), Cell::new(value.clone())]
        };
        table.render(look, area, buf, |place| {
            let cells = match self.pane {
                Pane::Resources => sheet.resources.get(place).map(|row| {
                    vec![
                        Cell::of(Role::Accent, row.logical.clone()),
                        Cell::of(Role::Muted, kind(&row.kind).to_owned()),
                        status(look, &row.status),
                        Cell::new(row.physical.clone()),
                    ]
                }),
                Pane::Outputs => sheet.outputs.get(place).map(pair),
                Pane::Parameters => sheet.parameters.get(place).map(pair),
            };
            cells.map(RowCells::new)
        });
    }
}

impl Behaviour for Stack {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Stack, Scope::Table]
    }

    fn without(&self) -> &'static [Action] {
        &[Action::Open, Action::Filter, Action::Sort, Action::SortReverse, Action::Wide]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        ctx.effect(Effect::Load(Request::Stack(StackRequest::Sheet(self.stack.clone()))));
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::StackAnswer(StackAnswer::Sheet { stack, sheet }) if *stack == self.stack => {
                self.known.take(sheet.clone().map(|sheet| *sheet), ctx.now_ms);
                self.resize(ctx.size.1);
            }
            News::Finished(Command::Stack(command), _) if *command.stack() == self.stack => self.enter(ctx),
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
            Action::StackNextPane => self.pane = self.pane.step(1),
            Action::StackPreviousPane => self.pane = self.pane.step(Pane::ALL.len() - 1),
            Action::StackPane1 => self.pane = Pane::Resources,
            Action::StackPane2 => self.pane = Pane::Outputs,
            Action::StackPane3 => self.pane = Pane::Parameters,
            Action::StackCopy => {
                if let Some(text) = self.current().map(str::to_owned) {
                    ctx.effect(Effect::Copy(text));
                }
            }
            Action::StackCopyArn => {
                if let Some(sheet) = &self.known.value {
                    let arn = sheet.arn.clone();
                    ctx.effect(Effect::Copy(arn));
                }
            }
            Action::StackShowEvents => ctx.go(Place::StackEvents(self.stack.clone())),
            Action::StackUpdate => ctx.go(Place::StackUpdate(self.stack.clone())),
            Action::StackTearDown => ctx.go(Place::StackDown(self.stack.clone())),
            _ => return false,
        }
        true
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let buf = frame.buffer_mut();
        let mut area = area;
        let below = |area: Rect| Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        if let Some(problem) = &self.known.problem {
            let said = text::clean(&problem.text);
            if self.known.value.is_none() {
                let room = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
                let said = format!("error: {said}");
                let lines = [Line::of(Role::Error, &said), Line::of(Role::Muted, "r reads it again.")];
                TextView { wrap: true, ..TextView::default() }.render(look, &lines, room, buf);
                return;
            }
            banner(look, Weight::Error, &said, "r retry", Rect { height: 1, ..area }, buf);
            area = below(area);
        }
        let Some(sheet) = &self.known.value else {
            let reading = format!("reading the stack {}{}", self.stack.stack, look.glyphs.ellipsis);
            layout::put(buf, area.x + 1, area.y, area.width, &reading, look, Role::Muted);
            return;
        };
        let x = layout::put(
            buf,
            area.x + 1,
            area.y,
            area.width,
            &status(look, &sheet.status).text,
            look,
            role(&sheet.status),
        );
        let made = match sheet.updated_ms {
            Some(updated) => format!("  changed {} ago", time::age(model.now_ms - updated)),
            None => format!("  made {} ago", time::age(model.now_ms - sheet.created_ms)),
        };
        let x = layout::put(buf, x, area.y, area.right().saturating_sub(x), &made, look, Role::Muted);
        let why = sheet.reason.as_deref().map(|why| format!("  {why}")).unwrap_or_default();
        layout::put(buf, x, area.y, area.right().saturating_sub(x), &text::clean(&why), look, Role::Text);
        area = below(area);
        self.tabs(look, area, buf);
        self.table(sheet, look, below(area), buf);
    }
}
