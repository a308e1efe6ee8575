//! What was done, by whom, and the command line that does it again.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::Behaviour;
use crate::app::actions::{Action, Scope};
use crate::app::model::{Ctx, Model};
use crate::ui::Look;

/// The screen's state.
#[derive(Debug, Default)]
pub struct Journal {}

impl Behaviour for Journal {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Table]
    }
    fn act(&mut self, _ctx: &mut Ctx<'_>, _action: Action) -> bool {
        false
    }
    fn draw(&self, _model: &Model, _look: &Look, _frame: &mut Frame<'_>, _area: Rect) {}
}
