//! The form for a new flock on this machine.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::Behaviour;
use crate::app::actions::{Action, Scope};
use crate::app::model::{Ctx, Model};
use crate::ui::Look;

/// The screen's state.
#[derive(Debug, Default)]
pub struct NewFlock {}

impl Behaviour for NewFlock {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Form]
    }
    fn act(&mut self, _ctx: &mut Ctx<'_>, _action: Action) -> bool {
        false
    }
    fn draw(&self, _model: &Model, _look: &Look, _frame: &mut Frame<'_>, _area: Rect) {}
}
