//! Which rows of a long list are on the screen: arithmetic only.

use serde::{Deserialize, Serialize};

/// A window of `height` rows over a list, the first of them at `top`, with one row selected.
///
/// After every call here: the selected row lies in the list and in the window, and the window shows no empty lines
/// while there are rows to fill them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    /// Index of the first visible row.
    pub top: usize,
    /// Rows that fit.
    pub height: usize,
    /// Index of the selected row; 0 for an empty list.
    pub selected: usize,
}

/// A way to move the selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// So many rows down, or up if negative.
    By(isize),
    /// A window down.
    PageDown,
    /// A window up.
    PageUp,
    /// Half a window down.
    HalfDown,
    /// Half a window up.
    HalfUp,
    /// To the first row.
    Home,
    /// To the last.
    End,
    /// To that row.
    To(usize),
}

impl Window {
    /// A window of that height at the top of a list.
    pub fn new(height: usize) -> Self {
        Self { top: 0, height, selected: 0 }
    }

    /// Moves the selection in a list of `length`, and the window after it.
    pub fn go(&mut self, to: Move, length: usize) {
        let page = isize::try_from(self.height.max(1)).unwrap_or(isize::MAX);
        let half = (page / 2).max(1);
        self.selected = match to {
            Move::By(by) => self.selected.saturating_add_signed(by),
            Move::PageDown => self.selected.saturating_add_signed(page),
            Move::PageUp => self.selected.saturating_add_signed(-page),
            Move::HalfDown => self.selected.saturating_add_signed(half),
            Move::HalfUp => self.selected.saturating_add_signed(-half),
            Move::Home => 0,
            Move::End => usize::MAX,
            Move::To(row) => row,
        };
        match to {
            // A page moves the window as well, so that the selected row keeps its place on the screen.
            Move::PageDown => self.top = self.top.saturating_add(self.height),
            Move::PageUp => self.top = self.top.saturating_sub(self.height),
            _ => {}
        }
        self.fit(length);
    }

    /// Takes a new height, as after a resize.
    pub fn resize(&mut self, height: usize, length: usize) {
        self.height = height;
        self.fit(length);
    }

    /// The selected row now lies at `row`: follows it, and keeps its distance from the top of the window, so that
    /// rows arriving above do not make the screen jump.
    pub fn follow(&mut self, row: usize, length: usize) {
        let offset = self.selected.saturating_sub(self.top);
        self.selected = row;
        if self.top > 0 {
            self.top = row.saturating_sub(offset);
        }
        self.fit(length);
    }

    /// Puts everything back in bounds for a list of `length`.
    pub fn fit(&mut self, length: usize) {
        self.selected = self.selected.min(length.saturating_sub(1));
        let lowest = length.saturating_sub(self.height);
        let from = (self.selected + 1).saturating_sub(self.height);
        self.top = self.top.clamp(from.min(self.selected), self.selected).min(lowest.max(from));
    }

    /// The visible rows of a list of `length`.
    pub fn range(&self, length: usize) -> std::ops::Range<usize> {
        let end = self.top.saturating_add(self.height).min(length);
        self.top.min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moves() -> impl Strategy<Value = Move> {
        prop_oneof![
            (-2000_isize..2000).prop_map(Move::By),
            Just(Move::PageDown),
            Just(Move::PageUp),
            Just(Move::HalfDown),
            Just(Move::HalfUp),
            Just(Move::Home),
            Just(Move::End),
            (0_usize..3000).prop_map(Move::To),
        ]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Go(Move),
        Resize(usize),
        Length(usize),
        Follow(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            moves().prop_map(Step::Go),
            (0_usize..60).prop_map(Step::Resize),
            (0_usize..1500).prop_map(Step::Length),
            (0_usize..1500).prop_map(Step::Follow),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn the_selected_row_is_always_on_the_screen(steps in steps()) {
            let (mut window, mut length) = (Window::new(10), 100);
            for step in steps {
                match step {
                    Step::Go(to) => window.go(to, length),
                    Step::Resize(height) => window.resize(height, length),
                    Step::Length(new) => {
                        length = new;
                        window.fit(length);
                    }
                    Step::Follow(row) => window.follow(row, length),
                }
                let range = window.range(length);
                prop_assert!(range.end <= length);
                if length == 0 {
                    prop_assert_eq!((window.selected, range.len()), (0, 0));
                } else if window.height > 0 {
                    prop_assert!(range.contains(&window.selected), "{window:?} of {length}");
                    prop_assert_eq!(range.len(), window.height.min(length), "{:?} of {}", window, length);
                }
            }
        }
    }

    #[test]
    fn a_page_keeps_the_place_on_the_screen() {
        let mut window = Window::new(10);
        window.go(Move::By(3), 100);
        window.go(Move::PageDown, 100);
        assert_eq!(window, Window { top: 10, height: 10, selected: 13 });
        window.go(Move::End, 100);
        assert_eq!(window, Window { top: 90, height: 10, selected: 99 });
        window.go(Move::PageUp, 100);
        assert_eq!(window.selected, 89);
    }

    #[test]
    fn rows_arriving_above_do_not_move_what_is_read() {
        let mut window = Window { top: 50, height: 10, selected: 55 };
        window.follow(65, 200);
        assert_eq!(window, Window { top: 60, height: 10, selected: 65 });
    }
}
