//! Why a flock's jobs failed: its faults grouped by reason, the largest group first. Enter shows the jobs of one.
//!
//! It counts what the table holds already and asks nobody. Whose fault a reason is it does not say.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Behaviour, News};
use crate::app::actions::{Action, Scope};
use crate::app::model::{Ctx, Data, Go, Model};
use crate::app::store::groups::{Group, groups};
use crate::app::store::{Move, Window};
use crate::ui::table::{Align, Cell, Column, RowCells, Table};
use crate::ui::{Look, Role, time};

/// Rows of the screen that are not the table's body.
const AROUND: u16 = 4;
/// Row of the terminal on which the table's first row lies.
const BODY_TOP: u16 = 3;

/// The screen's state.
#[derive(Debug)]
pub struct Reasons {
    flock: String,
    groups: Vec<Group>,
    window: Window,
    wide: bool,
}

impl Reasons {
    /// For a flock.
    pub fn new(flock: &str) -> Self {
        Self { flock: flock.to_owned(), groups: Vec::new(), window: Window::default(), wide: false }
    }

    /// Counts anew; the selection stays on its group.
    fn count(&mut self, data: &Data, height: u16) {
        let selected = self.groups.get(self.window.selected).map(|group| (group.exit, group.pattern.clone()));
        self.groups = data.jobs.get(&self.flock).map(|jobs| groups(&jobs.store)).unwrap_or_default();
        let place = selected.and_then(|(exit, pattern)| {
            self.groups.iter().position(|group| group.exit == exit && group.pattern == pattern)
        });
        if let Some(place) = place {
            self.window.follow(place, self.groups.len());
        }
        self.window.resize(usize::from(height.saturating_sub(AROUND)), self.groups.len());
    }
}

impl Behaviour for Reasons {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Table]
    }

    fn without(&self) -> &'static [Action] {
        &[Action::Filter, Action::Sort, Action::SortReverse, Action::ScrollLeft, Action::ScrollRight]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        self.count(ctx.data, ctx.size.1);
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        // Most changes are no faults; those that are, or were, change what is counted.
        if let News::Jobs(change, merged) = news
            && change.flock == self.flock
            && (!merged.removed.is_empty()
                || change.rows.iter().any(|row| row.state.is_fault() || row.attempts > 0))
        {
            self.count(ctx.data, ctx.size.1);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        let length = self.groups.len();
        self.window.resize(usize::from(ctx.size.1.saturating_sub(AROUND)), length);
        match action {
            Action::Down => self.window.go(Move::By(1), length),
            Action::Up => self.window.go(Move::By(-1), length),
            Action::PageDown => self.window.go(Move::PageDown, length),
            Action::PageUp => self.window.go(Move::PageUp, length),
            Action::First => self.window.go(Move::Home, length),
            Action::Last => self.window.go(Move::End, length),
            Action::Wide => self.wide = !self.wide,
            Action::Open => {
                if let Some(group) = self.groups.get(self.window.selected) {
                    ctx.go = Some(Go::Filtered { flock: self.flock.clone(), filter: group.filter() });
                }
            }
            _ => return false,
        }
        true
    }

    fn clicked(&mut self, ctx: &mut Ctx<'_>, _x: u16, y: u16) {
        if let Some(line) = y.checked_sub(BODY_TOP).filter(|line| *line + AROUND < ctx.size.1) {
            self.window.go(Move::To(self.window.top + usize::from(line)), self.groups.len());
        }
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let known = model.data.jobs.get(&self.flock);
        let faults: u64 = self.groups.iter().map(|group| group.count).sum();
        let title = format!(
            "  {} in {}, by reason (# stands for a number); enter shows the jobs",
            if faults == 1 { "1 fault".to_owned() } else { format!("{} faults", time::count(faults)) },
            self.flock
        );
        let columns = [
            Column::new("JOBS", 9).align(Align::Right).sorted(Some(true)),
            Column::new("SHARE", 6).align(Align::Right).priority(1),
            Column::new("EXIT", 5).align(Align::Right),
            Column::new("REASON", 30).grow(1),
        ];
        let table = Table {
            columns: &columns,
            length: self.groups.len(),
            top: self.window.top,
            selected: self.window.selected,
            title: &title,
            empty: "Nothing has failed, and nothing was rejected.",
            wide: self.wide.then_some(0),
            stale: known.is_some_and(|jobs| jobs.problem.is_some()),
        };
        table.render(look, area, frame.buffer_mut(), |place| {
            let group = self.groups.get(place)?;
            // What is there is never shown as nothing.
            let share = ((group.count * 100 + faults / 2) / faults.max(1)).max(1);
            Some(RowCells::new(vec![
                Cell::of(Role::Failed, time::count(group.count)),
                Cell::of(Role::Muted, format!("{share}%")),
                Cell::new(group.exit.map(|exit| exit.to_string()).unwrap_or_default()),
                Cell::new(group.pattern.as_str()),
            ]))
        });
    }
}

#[cfg(test)]
mod tests {
    use shepard_model::Outcome;

    use crate::app::nav::Place;
    use crate::screens::testing::{Console, finished, rejected};

    fn console() -> Console {
        Console::new()
            .at(Place::Jobs { flock: "demo".to_owned() })
            .job(&finished("a.zip", Outcome::Failed))
            .job(&finished("b.zip", Outcome::Failed))
            .job(&finished("c.zip", Outcome::Succeeded))
            .job(&rejected("d.zip"))
    }

    #[test]
    fn faults_are_grouped_and_enter_shows_the_jobs_of_a_group() {
        let console = console().press("w");
        insta::assert_snapshot!(console.body());
        let console = console.sized(120, 40);
        insta::assert_snapshot!("faults_at_120", console.body());
        let console = console.sized(80, 24);
        let console = console.press("<enter>");
        assert_eq!(console.model.nav.place(), &Place::Jobs { flock: "demo".to_owned() });
        let body = console.body();
        assert!(body.contains("a.zip") && body.contains("b.zip") && !body.contains("d.zip"), "{body}");
        let console = console.press("<esc>");
        assert!(console.body().contains("d.zip"), "esc takes the filter away: {}", console.body());
    }

    #[test]
    fn the_selection_stays_on_its_group_when_another_grows() {
        let console = console().press("wj").job(&finished("e.zip", Outcome::Failed)).press("<enter>");
        let body = console.body();
        assert!(body.contains("d.zip") && !body.contains("a.zip"), "{body}");
    }
}
