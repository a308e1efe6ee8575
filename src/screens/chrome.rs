//! What is around every screen: header, footer, toasts, and what lies over it.

use ratatui::Frame;

use crate::app::model::Model;
use crate::ui::Look;

/// Draws a whole frame.
pub fn draw(_model: &Model, _look: &Look, _frame: &mut Frame<'_>) {}
