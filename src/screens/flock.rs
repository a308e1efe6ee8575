//! Where a flock keeps its things.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::Behaviour;
use crate::app::actions::{Action, Scope};
use crate::app::model::{Ctx, Model};
use crate::ui::Look;

/// The screen's state.
#[derive(Debug)]
pub struct Flock {
    flock: String,
}

impl Flock {
    /// For a flock.
    pub fn new(flock: &str) -> Self {
        Self { flock: flock.to_owned() }
    }
}

impl Behaviour for Flock {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Text]
    }
    fn act(&mut self, _ctx: &mut Ctx<'_>, _action: Action) -> bool {
        false
    }
    fn draw(&self, _model: &Model, _look: &Look, _frame: &mut Frame<'_>, _area: Rect) {}
}
