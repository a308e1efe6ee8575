//! The jobs of a flock: a table over up to a million rows, of which it touches only those in the window.
//!
//! State and actions are here, the drawing is in `draw`. It never stops or retries a job without naming the
//! targets first, and never acts on a job by its place in the table: targets are ids.

mod draw;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;
use shepard_model::{JobId, State};

use super::flocks::start_or_stop;
use super::{Behaviour, News, PromptEvent};
use crate::app::actions::{Action, Scope};
use crate::app::effect::{Command, Effect, Sub};
use crate::app::filter::LiveFilter;
use crate::app::model::{Ctx, Data, Model};
use crate::app::nav::Place;
use crate::app::overlay::{Ask, Dialog, Prompt, Then};
use crate::app::store::{Move, Sort, SortKey, Store, View, ViewJob, ViewResult};
use crate::ui::Look;

/// Rows of the screen that are not the table's body: header, counts, the table's head, footer.
const AROUND: u16 = 6;
/// What `!` filters by.
const FAULTS: &str = "state:failed,rejected";
/// Jobs that Batch is asked for at once: as many as it describes in one call.
const IN_SIGHT: usize = 100;
/// From how many jobs on a terminate asks for the typed number instead of a yes.
const MANY: usize = 2;

/// The screen's state.
#[derive(Debug)]
pub struct Jobs {
    flock: String,
    view: View,
    filter: LiveFilter,
    wide: bool,
    column: usize,
    /// A filter that `!` replaced, to come back to.
    before_faults: Option<String>,
    /// What a prompt for a folder is about.
    fetch: Vec<JobId>,
}

impl Jobs {
    /// For a flock, newest jobs first.
    pub fn new(flock: &str) -> Self {
        Self {
            flock: flock.to_owned(),
            view: View::new(Sort::default()),
            filter: LiveFilter::default(),
            wide: false,
            column: 0,
            before_faults: None,
            fetch: Vec::new(),
        }
    }

    fn store<'a>(&self, data: &'a Data) -> Option<&'a Store> {
        data.jobs.get(&self.flock).map(|jobs| &jobs.store)
    }

    fn arrange(&self, ctx: &mut Ctx<'_>, job: Option<ViewJob>) {
        if let Some(job) = job {
            ctx.effect(Effect::Arrange(self.flock.clone(), job));
        }
    }

    fn apply_filter(&mut self, ctx: &mut Ctx<'_>, text: &str) {
        if !self.filter.edit(text) {
            return;
        }
        let now_ms = ctx.now_ms;
        let filter = self.filter.good.clone();
        let Some(jobs) = ctx.data.jobs.get(&self.flock) else { return };
        let job = self.view.set_filter(filter, &jobs.store, now_ms);
        self.arrange(ctx, job);
    }

    fn sort(&mut self, ctx: &mut Ctx<'_>, sort: Sort) {
        let now_ms = ctx.now_ms;
        let Some(jobs) = ctx.data.jobs.get(&self.flock) else { return };
        let job = self.view.set_sort(sort, &jobs.store, now_ms);
        self.arrange(ctx, job);
    }

    fn selected(&self, data: &Data) -> Option<JobId> {
        Some(self.view.selected(self.store(data)?)?.id())
    }

    fn targets(&self, data: &Data) -> Vec<JobId> {
        self.store(data).map(|store| self.view.targets(store)).unwrap_or_default()
    }

    /// The targets that are in a state an action is for, and a line for each.
    fn fitting(&self, data: &Data, fits: impl Fn(State) -> bool) -> (Vec<JobId>, Vec<String>, usize) {
        let Some(store) = self.store(data) else { return (Vec::new(), Vec::new(), 0) };
        let all = self.view.targets(store);
        let total = all.len();
        let mut ids = Vec::new();
        let mut lines = Vec::new();
        for id in all {
            let Some(row) = store.get(&id).filter(|row| fits(row.state())) else { continue };
            let short: String = id.as_str().chars().take(8).collect();
            lines.push(format!("{short}  {:<9}  {}", row.state().word(), row.input()));
            ids.push(id);
        }
        let left = total - ids.len();
        (ids, lines, left)
    }

    fn terminate(&self, ctx: &mut Ctx<'_>) {
        let (ids, mut lines, left) = self.fitting(ctx.data, |state| !state.is_terminal());
        if ids.is_empty() {
            ctx.say(
                true,
                if left == 0 { "there is no job to terminate" } else { "these jobs have ended already" },
            );
            return;
        }
        if left > 0 {
            lines.push(format!("({left} that have ended are left alone)"));
        }
        let hidden = self.view.marked_hidden();
        if hidden > 0 {
            lines.insert(0, format!("{hidden} of these are marked but hidden by the filter"));
        }
        let many = ids.len();
        let title =
            if many == 1 { "Terminate this job?".to_owned() } else { format!("Terminate {many} jobs?") };
        let then = Then::Run(Command::Terminate { flock: self.flock.clone(), ids });
        let dialog = Dialog::ask(title, lines, "Terminate", then);
        ctx.ask(if many >= MANY { dialog.typed(self.flock.clone()) } else { dialog });
    }

    fn retry(&self, ctx: &mut Ctx<'_>) {
        let (ids, mut lines, left) =
            self.fitting(ctx.data, |state| matches!(state, State::Failed | State::Cancelled));
        if ids.is_empty() {
            ctx.say(true, "only jobs that failed or were cancelled can be run again");
            return;
        }
        let command = Command::Retry { flock: self.flock.clone(), ids: ids.clone() };
        if let ([_], 0) = (ids.as_slice(), left) {
            ctx.run(command);
            return;
        }
        if left > 0 {
            lines.push(format!("({left} that did not fail are left alone)"));
        }
        ctx.ask(Dialog::ask(format!("Run {} jobs again?", ids.len()), lines, "Retry", Then::Run(command)));
    }

    fn go(&mut self, ctx: &mut Ctx<'_>, to: Move) {
        if let Some(jobs) = ctx.data.jobs.get(&self.flock) {
            self.view.go(to, &jobs.store);
        }
    }

    fn resize(&mut self, ctx: &Ctx<'_>) {
        self.view.resize(usize::from(ctx.size.1.saturating_sub(AROUND)));
    }

    fn toggle_faults(&mut self, ctx: &mut Ctx<'_>) {
        let text = match self.before_faults.take() {
            Some(before) if self.filter.good.source() == FAULTS => before,
            _ => {
                self.before_faults = Some(self.filter.good.source().to_owned());
                FAULTS.to_owned()
            }
        };
        self.apply_filter(ctx, &text);
    }
}

impl Behaviour for Jobs {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Jobs, Scope::Table]
    }

    fn subscriptions(&self, data: &Data) -> Vec<Sub> {
        let Some(store) = self.store(data).filter(|_| data.flock_on_aws(&self.flock).is_some()) else {
            return Vec::new();
        };
        let open = self.view.visible(store).filter(|(_, _, row)| !row.state().is_terminal());
        let mut jobs: Vec<JobId> = open.map(|(_, _, row)| row.id()).take(IN_SIGHT).collect();
        // In an order of its own, so that sorting alone asks nobody again.
        jobs.sort();
        let asked = (!jobs.is_empty()).then(|| Sub::Compute { flock: self.flock.clone(), jobs });
        asked.into_iter().collect()
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        self.resize(ctx);
        let now_ms = ctx.now_ms;
        let Some(jobs) = ctx.data.jobs.get(&self.flock) else { return };
        let job = self.view.rebuild(&jobs.store, now_ms);
        self.arrange(ctx, job);
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        if let News::Jobs(change, merged) = news
            && change.flock == self.flock
            && let Some(jobs) = ctx.data.jobs.get(&self.flock)
        {
            self.view.merge(&jobs.store, merged, ctx.now_ms);
        }
        self.resize(ctx);
    }

    fn arranged(&mut self, ctx: &mut Ctx<'_>, result: &ViewResult) {
        if let Some(jobs) = ctx.data.jobs.get(&self.flock) {
            self.view.accept(result.clone(), &jobs.store, ctx.now_ms);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        self.resize(ctx);
        let flock = self.flock.clone();
        match action {
            Action::Down => self.go(ctx, Move::By(1)),
            Action::Up => self.go(ctx, Move::By(-1)),
            Action::PageDown => self.go(ctx, Move::PageDown),
            Action::PageUp => self.go(ctx, Move::PageUp),
            Action::First => self.go(ctx, Move::Home),
            Action::Last => self.go(ctx, Move::End),
            Action::Open | Action::JobsDescribe => {
                if let Some(id) = self.selected(ctx.data) {
                    ctx.go(Place::Job { flock, id });
                }
            }
            Action::JobsLogs => {
                if let Some(id) = self.selected(ctx.data) {
                    ctx.go(Place::Logs { flock, id });
                }
            }
            Action::Filter => ctx.prompt(Prompt::new(Ask::Filter, self.filter.good.source())),
            Action::Out if !self.filter.good.is_empty() => self.apply_filter(ctx, ""),
            Action::Faults => self.toggle_faults(ctx),
            Action::Sort => {
                let now = self.view.sort();
                let key = now.key.next();
                // Times and counts are wanted largest first, words in order.
                let descending = matches!(
                    key,
                    SortKey::Created | SortKey::Started | SortKey::Duration | SortKey::Attempts
                );
                self.sort(ctx, Sort { key, descending });
            }
            Action::SortReverse => {
                let now = self.view.sort();
                self.sort(ctx, Sort { descending: !now.descending, ..now });
            }
            Action::Wide => self.wide = !self.wide,
            Action::ScrollLeft => self.column = self.column.saturating_sub(1),
            Action::ScrollRight => self.column = (self.column + 1).min(draw::COLUMNS - 1),
            Action::Mark | Action::MarkRange => {
                if let Some(jobs) = ctx.data.jobs.get(&self.flock) {
                    if action == Action::Mark {
                        self.view.mark_selected(&jobs.store);
                    } else {
                        self.view.mark_range(&jobs.store);
                    }
                }
            }
            Action::MarkAll => self.view.mark_all(),
            Action::Unmark => self.view.clear_marks(),
            Action::JobsBatch => ctx.go(Place::Batch { flock }),
            Action::JobsSecrets => ctx.go(Place::Secrets { flock }),
            Action::JobsDeploy => ctx.go(Place::Deploy { flock }),
            Action::JobsReleases => ctx.go(Place::Releases { flock }),
            Action::Why => ctx.go(Place::Reasons { flock }),
            Action::JobsStart => start_or_stop(ctx, &flock),
            Action::JobsTerminate => self.terminate(ctx),
            Action::JobsRetry => self.retry(ctx),
            Action::JobsOutputs => {
                self.fetch = self.targets(ctx.data);
                let to = format!("{}/results", ctx.session.cwd.trim_end_matches('/'));
                ctx.prompt(Prompt::new(Ask::FetchTo, to));
            }
            Action::CopyId => {
                if let Some(id) = self.selected(ctx.data) {
                    ctx.effect(Effect::Copy(id.as_str().to_owned()));
                }
            }
            Action::CopyInput => {
                let input = self.store(ctx.data).and_then(|store| self.view.selected(store));
                if let Some(input) = input.map(|row| row.input().to_owned()) {
                    ctx.effect(Effect::Copy(input));
                }
            }
            _ => return false,
        }
        true
    }

    fn prompted(&mut self, ctx: &mut Ctx<'_>, ask: Ask, event: &PromptEvent) {
        match (ask, event) {
            (Ask::Filter, PromptEvent::Typed(text) | PromptEvent::Cancelled(text)) => {
                self.apply_filter(ctx, text);
            }
            (Ask::Filter, PromptEvent::Entered(text)) => {
                self.apply_filter(ctx, text);
                if let Some(error) = self.filter.error.take() {
                    ctx.say(true, format!("filter: {} (character {})", error.message, error.at + 1));
                }
            }
            (Ask::FetchTo, PromptEvent::Entered(to)) if !to.trim().is_empty() => {
                let ids = std::mem::take(&mut self.fetch);
                ctx.run(Command::Retrieve { flock: self.flock.clone(), ids, to: to.trim().to_owned() });
            }
            _ => {}
        }
    }

    fn clicked(&mut self, ctx: &mut Ctx<'_>, _x: u16, y: u16) {
        if let Some(line) = y.checked_sub(draw::BODY_TOP).filter(|line| *line + AROUND < ctx.size.1) {
            let place = self.view.window().top + usize::from(line);
            self.go(ctx, Move::To(place));
        }
    }

    fn prompt_note(&self, _model: &Model, ask: Ask) -> (Option<(String, usize)>, String) {
        let error = self.filter.error.as_ref().filter(|_| ask == Ask::Filter);
        let note = match (ask, error) {
            (Ask::Filter, None) => format!("{} match", crate::ui::time::count(self.view.len() as u64)),
            _ => String::new(),
        };
        (error.map(|error| (error.message.clone(), error.at)), note)
    }

    fn moves(&self, data: &Data) -> bool {
        self.store(data).is_some_and(|store| store.count(State::Running) > 0) || self.filter.good.needs_time()
    }

    fn note(&self, _model: &Model) -> String {
        match (self.view.marked(), self.view.marked_hidden()) {
            (0, _) => String::new(),
            (marked, 0) => format!("{marked} marked"),
            (marked, hidden) => format!("{marked} marked, {hidden} hidden"),
        }
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        draw::draw(self, model, look, frame, area);
    }
}
