//! One job: overview and timeline, environment, attempts, outputs, the row.
//!
//! It shows the row as it was last read and never reads it itself. What may be done to the job is asked of the
//! row's own rules, so that the screen refuses for the reason for which the table would.

mod draw;
mod panes;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;
use shepard_model::{JobId, JobRow, Transition};

use super::{Behaviour, PromptEvent};
use crate::app::actions::{Action, Scope};
use crate::app::effect::{Command, Effect, Sub};
use crate::app::model::{Ctx, Data, Model};
use crate::app::nav::Place;
use crate::app::overlay::{Ask, Dialog, Prompt, Then};
use crate::app::update::want_row;
use crate::ui::Look;
use panes::Pane;

/// Lines of the terminal that are not the pane's: header, footer, the tabs and the line under them.
const AROUND: u16 = 4;

/// The screen's state.
#[derive(Debug)]
pub struct Job {
    flock: String,
    id: JobId,
    pane: Pane,
    /// For each pane: the first line shown of a text, the selected entry of a list.
    at: [usize; Pane::ALL.len()],
}

impl Job {
    /// For a job of a flock.
    pub fn new(flock: &str, id: &JobId) -> Self {
        Self { flock: flock.to_owned(), id: id.clone(), pane: Pane::Overview, at: [0; Pane::ALL.len()] }
    }

    fn row<'a>(&self, data: &'a Data) -> Option<&'a JobRow> {
        data.row(&self.flock, &self.id)?.value.as_ref()
    }

    /// The lines of a pane that is a text; what Batch says comes after what the row says.
    fn lines(&self, data: &Data, row: &JobRow, now_ms: i64, width: usize, look: &Look) -> Vec<panes::Line> {
        let mut lines = self.pane.lines(row, now_ms, width, look);
        let batch = data.jobs.get(&self.flock).and_then(|jobs| jobs.compute.get(&self.id));
        if let (Pane::Overview, Some(batch)) = (self.pane, batch) {
            lines.extend(panes::batch(batch));
        }
        lines
    }

    fn here(&self) -> usize {
        self.at[self.pane as usize]
    }

    /// Moves in the pane, no further than there is something.
    fn go(&mut self, ctx: &Ctx<'_>, to: impl FnOnce(usize, usize) -> usize) {
        let Some(row) = self.row(ctx.data) else { return };
        let page = usize::from(ctx.size.1.saturating_sub(AROUND)).max(1);
        let last = match self.pane.entries(row) {
            Some(entries) => entries.saturating_sub(1),
            None => {
                let look = Look::default();
                let lines = self.lines(ctx.data, row, ctx.now_ms, usize::from(ctx.size.0), &look).len();
                draw::last_top(lines, page)
            }
        };
        self.at[self.pane as usize] = to(self.here().min(last), page).min(last);
    }

    fn logs(&self, ctx: &mut Ctx<'_>) {
        let chosen = (self.pane == Pane::Attempts)
            .then(|| self.row(ctx.data)?.attempts.get(self.here()))
            .flatten()
            .map(|attempt| attempt.log_stream.clone());
        ctx.data.log = chosen.map(|stream| (self.id.clone(), stream));
        ctx.go(Place::Logs { flock: self.flock.clone(), id: self.id.clone() });
    }

    fn retry(&self, ctx: &mut Ctx<'_>) {
        let Some(row) = self.row(ctx.data) else { return ctx.say(true, UNREAD) };
        let change = Transition::Requeued { by: ctx.session.who.clone(), at_ms: ctx.now_ms, keep_days: 0 };
        match row.apply(&change) {
            Ok(_) => ctx.run(Command::Retry { flock: self.flock.clone(), ids: vec![self.id.clone()] }),
            Err(why) => ctx.say(true, format!("cannot run it again: {why}")),
        }
    }

    fn terminate(&self, ctx: &mut Ctx<'_>) {
        let Some(row) = self.row(ctx.data) else { return ctx.say(true, UNREAD) };
        let change = Transition::CancelRequested { by: ctx.session.who.clone(), at_ms: ctx.now_ms };
        if let Err(why) = row.apply(&change) {
            return ctx.say(true, format!("nothing to stop: {why}"));
        }
        let short: String = self.id.as_str().chars().take(8).collect();
        let input = row.input.as_ref().map_or("(came by API)", |input| input.key.as_str());
        let mut lines = vec![format!("{short}  {}  {input}", row.state().word())];
        if let Some(cancel) = &row.cancel {
            lines.push(format!("{} has asked for this already", cancel.by));
        }
        let then = Then::Run(Command::Terminate { flock: self.flock.clone(), ids: vec![self.id.clone()] });
        ctx.ask(Dialog::ask("Terminate this job?", lines, "Terminate", then));
    }

    fn outputs(&self, ctx: &mut Ctx<'_>) {
        let Some(row) = self.row(ctx.data) else { return ctx.say(true, UNREAD) };
        if row.results.is_empty() {
            let why =
                if row.outcome.is_some() { "this job left no results" } else { "there are no results yet" };
            return ctx.say(true, why);
        }
        let to = format!("{}/results", ctx.session.cwd.trim_end_matches('/'));
        ctx.prompt(Prompt::new(Ask::FetchTo, to));
    }
}

/// Said where an action needs the row.
const UNREAD: &str = "the job has not been read yet";

impl Behaviour for Job {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Job, Scope::Text]
    }

    fn subscriptions(&self, data: &Data) -> Vec<Sub> {
        if data.flock_on_aws(&self.flock).is_none() {
            return Vec::new();
        }
        vec![Sub::Compute { flock: self.flock.clone(), jobs: vec![self.id.clone()] }]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        want_row(ctx, &self.flock, &self.id);
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        match action {
            Action::NextPane => self.pane = self.pane.step(1),
            Action::PreviousPane => self.pane = self.pane.step(Pane::ALL.len() - 1),
            Action::Pane1 => self.pane = Pane::Overview,
            Action::Pane2 => self.pane = Pane::Environment,
            Action::Pane3 => self.pane = Pane::Attempts,
            Action::Pane4 => self.pane = Pane::Outputs,
            Action::Pane5 => self.pane = Pane::Row,
            Action::TextDown => self.go(ctx, |at, _| at + 1),
            Action::TextUp => self.go(ctx, |at, _| at.saturating_sub(1)),
            Action::TextPageDown => self.go(ctx, |at, page| at + page),
            Action::TextPageUp => self.go(ctx, |at, page| at.saturating_sub(page)),
            Action::TextFirst => self.go(ctx, |_, _| 0),
            Action::TextLast => self.go(ctx, |_, _| usize::MAX),
            Action::JobLogs => self.logs(ctx),
            Action::JobOutputs => self.outputs(ctx),
            Action::JobRetry => self.retry(ctx),
            Action::JobTerminate => self.terminate(ctx),
            Action::JobCopyId => ctx.effect(Effect::Copy(self.id.as_str().to_owned())),
            _ => return false,
        }
        true
    }

    fn prompted(&mut self, ctx: &mut Ctx<'_>, ask: Ask, event: &PromptEvent) {
        if let (Ask::FetchTo, PromptEvent::Entered(to)) = (ask, event)
            && !to.trim().is_empty()
        {
            let to = to.trim().to_owned();
            ctx.run(Command::Retrieve { flock: self.flock.clone(), ids: vec![self.id.clone()], to });
        }
    }

    fn moves(&self, data: &Data) -> bool {
        self.row(data).is_some_and(|row| !row.state().is_terminal())
    }

    fn note(&self, model: &Model) -> String {
        let Some(row) = self.row(&model.data) else { return String::new() };
        match row.run {
            1 => row.state().word().to_owned(),
            run => format!("{}, run {run}", row.state().word()),
        }
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        draw::draw(self, model, look, frame, area);
    }
}
