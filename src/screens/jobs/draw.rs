//! Draws the jobs of a flock.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::Jobs;
use crate::app::model::Model;
use crate::ui::Look;

/// Columns the table has in wide mode.
pub(super) const COLUMNS: usize = 10;
/// Row of the terminal on which the table's first row lies.
pub(super) const BODY_TOP: u16 = 4;

/// Draws into the area between header and footer.
pub(super) fn draw(_jobs: &Jobs, _model: &Model, _look: &Look, _frame: &mut Frame<'_>, _area: Rect) {}
