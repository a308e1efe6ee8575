//! The form that batches a folder.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::Behaviour;
use crate::app::actions::{Action, Scope};
use crate::app::model::{Ctx, Model};
use crate::ui::Look;

/// The screen's state.
#[derive(Debug)]
pub struct Batch {
    flock: String,
}

impl Batch {
    /// For a flock.
    pub fn new(flock: &str) -> Self {
        Self { flock: flock.to_owned() }
    }
}

impl Behaviour for Batch {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Form]
    }
    fn act(&mut self, _ctx: &mut Ctx<'_>, _action: Action) -> bool {
        false
    }
    fn draw(&self, _model: &Model, _look: &Look, _frame: &mut Frame<'_>, _area: Rect) {}
}
