//! One job: timeline, environment, attempts, outputs, the row.

use ratatui::Frame;
use ratatui::layout::Rect;

use shepard_model::JobId;

use super::Behaviour;
use crate::app::actions::{Action, Scope};
use crate::app::model::{Ctx, Model};
use crate::ui::Look;

/// The screen's state.
#[derive(Debug)]
pub struct Job {
    flock: String,
    id: JobId,
}

impl Job {
    /// For a job of a flock.
    pub fn new(flock: &str, id: &JobId) -> Self {
        Self { flock: flock.to_owned(), id: id.clone() }
    }
}

impl Behaviour for Job {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Job, Scope::Text]
    }
    fn act(&mut self, _ctx: &mut Ctx<'_>, _action: Action) -> bool {
        false
    }
    fn draw(&self, _model: &Model, _look: &Look, _frame: &mut Frame<'_>, _area: Rect) {}
}
