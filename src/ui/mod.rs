//! How things look: themes, glyphs, layout and the widgets every screen is built from.
//!
//! Functions and plain structs that draw given data into a ratatui buffer. Nothing here knows what a job or a flock
//! is, reads a file, or asks the time. A widget draws the rows it is given room for and never walks over the rest.
//!
//! | module | draws or does |
//! |---|---|
//! | [`theme`] | semantic roles to styles; reading themes |
//! | [`colour`] | what a terminal can show, and the nearest to what it cannot |
//! | [`glyphs`] | signs, in Unicode and in ASCII |
//! | [`layout`] | header, body, footer; centred boxes; the least size |
//! | [`table`] | a window of a list of any length |
//! | [`text_view`] | lines of text with highlights |
//! | [`form`] | fields to fill in |
//! | [`dialog`] | questions before an action |
//! | [`bar`] | the command and filter line, with completions |
//! | [`hints`] | key hints that fit the width |
//! | [`sparkline`] | a row of bars |
//! | [`toast`] | a message that passes |
//! | [`text`] | widths, truncation, and making foreign text harmless |
//! | [`time`] | durations, ages, sizes, counts |

pub mod bar;
pub mod colour;
pub mod dialog;
pub mod form;
pub mod glyphs;
pub mod hints;
pub mod layout;
pub mod sparkline;
pub mod table;
pub mod text;
pub mod text_view;
pub mod theme;
pub mod time;
pub mod toast;

#[cfg(test)]
mod snapshots;

use ratatui::style::Style;

pub use colour::ColorDepth;
pub use glyphs::Glyphs;
pub use theme::{Role, Theme};

/// Everything that decides how a frame looks besides its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Styles by role.
    pub theme: Theme,
    /// Signs.
    pub glyphs: Glyphs,
}

impl Default for Look {
    fn default() -> Self {
        Self { theme: Theme::default(), glyphs: Glyphs::UNICODE }
    }
}

impl Look {
    /// A theme, and ASCII signs if asked for.
    pub fn new(theme: Theme, ascii: bool) -> Self {
        Self { theme, glyphs: if ascii { Glyphs::ASCII } else { Glyphs::UNICODE } }
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// Sign and role of a state, by the word that is always shown beside it. A word that is no state has neither.
    pub fn state(&self, word: &str) -> (&'static str, Role) {
        (self.glyphs.state(word), Role::of_state(word))
    }
}
