//! The list of flocks.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::Behaviour;
use crate::app::actions::{Action, Scope};
use crate::app::model::{Ctx, Model};
use crate::ui::Look;

/// The screen's state.
#[derive(Debug, Default)]
pub struct Flocks {}

impl Behaviour for Flocks {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Flocks, Scope::Table]
    }
    fn act(&mut self, _ctx: &mut Ctx<'_>, _action: Action) -> bool {
        false
    }
    fn draw(&self, _model: &Model, _look: &Look, _frame: &mut Frame<'_>, _area: Rect) {}
}
