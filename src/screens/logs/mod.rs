//! The log of a job: one attempt's lines, followed, searched, zoomed into, saved.
//!
//! It keeps a bounded ring of lines and lays out only those near the window. It never reads a log: it says which
//! stream it wants, and takes what it is told.

mod buffer;
mod draw;
mod keys;
mod layout;
mod pretty;
mod search;
#[cfg(test)]
mod tests;
mod time;
mod view;
mod zoom;

use ratatui::Frame;
use ratatui::layout::Rect;
use shepard_model::{JobId, JobRow};

use super::{Behaviour, News, PromptEvent};
use crate::app::actions::{Action, Scope};
use crate::app::effect::Sub;
use crate::app::model::{Ctx, Data, Model};
use crate::app::msg::LogChange;
use crate::app::overlay::Ask;
use crate::app::remote::Problem;
use crate::app::update::want_row;
use crate::ui::Look;
use buffer::Buffer;
use search::Search;
use view::{Shown, View};
use zoom::Zoom;

/// Lines of the terminal that are not the screen's: header and footer.
const CHROME: usize = 2;

/// The screen's state.
#[derive(Debug)]
pub struct Logs {
    flock: String,
    id: JobId,
    /// The stream shown; None until an attempt is known.
    stream: Option<String>,
    /// The newest attempt's stream, as last seen.
    newest: Option<String>,
    minutes: Option<u32>,
    again: u32,
    buffer: Buffer,
    /// The log read anew, while the lines from before are still shown.
    fresh: Option<Buffer>,
    /// The stream was changed: what still comes of the one before is not wanted.
    waiting: bool,
    caught_up: bool,
    problem: Option<Problem>,
    search: Option<Search>,
    /// Why the search as typed is none.
    bad_search: Option<String>,
    /// Where the reader was when the search began, to go back to.
    origin: Option<View>,
    view: View,
    zoom: Option<Zoom>,
    /// Said in the status line until the next key.
    notice: Option<String>,
}

impl Logs {
    /// For a job of a flock.
    pub fn new(flock: &str, id: &JobId) -> Self {
        Self {
            flock: flock.to_owned(),
            id: id.clone(),
            stream: None,
            newest: None,
            minutes: None,
            again: 0,
            buffer: Buffer::default(),
            fresh: None,
            waiting: true,
            caught_up: false,
            problem: None,
            search: None,
            bad_search: None,
            origin: None,
            view: View::default(),
            zoom: None,
            notice: None,
        }
    }

    fn row<'a>(&self, data: &'a Data) -> Option<&'a JobRow> {
        data.row(&self.flock, &self.id)?.value.as_ref()
    }

    /// The lines shown in an area of the size that the body of this terminal has.
    fn shown(&self, size: (u16, u16)) -> Shown<'_> {
        self.shown_in(usize::from(size.0), usize::from(size.1).saturating_sub(CHROME))
    }

    /// The lines shown in an area of that size.
    fn shown_in(&self, width: usize, height: usize) -> Shown<'_> {
        let taken = 1 + usize::from(self.problem.is_some());
        Shown {
            buffer: &self.buffer,
            only: self.search.as_ref().filter(|_| self.view.only),
            shape: self.view.shape(width, height.saturating_sub(taken)),
        }
    }

    /// Begins a stream from nothing.
    fn show(&mut self, stream: String) {
        self.stream = Some(stream);
        self.clear();
    }

    fn clear(&mut self) {
        self.buffer = Buffer::default();
        self.fresh = None;
        self.waiting = true;
        self.caught_up = false;
        self.problem = None;
        self.zoom = None;
        self.view.restart();
        self.look_again();
    }

    /// Searches everything anew.
    fn look_again(&mut self) {
        if let Some(search) = self.search.take() {
            // It was a good search before, so it is one now.
            self.search = Search::new(&search.typed, &self.buffer).ok().flatten();
        }
    }

    /// Chooses the stream, or another one now that there is a newer attempt.
    fn choose(&mut self, data: &Data) {
        let Some(row) = self.row(data) else { return };
        let Some(newest) = row.log_stream().map(str::to_owned) else { return };
        let count = row.attempts.len();
        let was = self.newest.replace(newest.clone());
        match &self.stream {
            None => self.show(newest),
            Some(stream) if *stream == newest || was.as_ref() == Some(&newest) => {}
            Some(stream) if self.view.follow && was.as_ref() == Some(stream) => {
                self.show(newest);
                self.notice = Some(format!("attempt {count} has begun; this is its log"));
            }
            Some(_) => self.notice = Some(format!("attempt {count} has begun")),
        }
    }

    fn take(&mut self, change: &LogChange) {
        self.problem = None;
        if change.first {
            // Lines from before stay on the screen until all of the new ones are there.
            self.fresh = (!self.buffer.is_empty() && !self.waiting).then(Buffer::default);
            self.waiting = false;
        }
        if self.waiting {
            return;
        }
        match &mut self.fresh {
            Some(fresh) => fresh.push(&change.lines, change.dropped),
            None => {
                let from = self.buffer.end();
                self.buffer.push(&change.lines, change.dropped);
                if let Some(search) = &mut self.search {
                    search.look(&self.buffer, from);
                }
            }
        }
        self.caught_up |= change.caught_up;
        if change.caught_up
            && let Some(fresh) = self.fresh.take()
        {
            let old = std::mem::replace(&mut self.buffer, fresh);
            if self.minutes.is_some() {
                // The window begins elsewhere now: lines are found again by their time.
                self.view.renumber(|number| {
                    let at = old.get(number).map(|line| line.at_ms);
                    at.and_then(|at| self.buffer.at(at)).unwrap_or(self.buffer.end())
                });
            }
            self.look_again();
        }
    }
}

impl Behaviour for Logs {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Logs, Scope::Text]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        want_row(ctx, &self.flock, &self.id);
        // The feed begins anew when the screen is looked at again, and so does what it tells.
        if self.stream.is_some() {
            self.again += 1;
        }
        self.choose(ctx.data);
        let asked = ctx.data.log.take_if(|(id, _)| *id == self.id).map(|(_, stream)| stream);
        if let Some(stream) = asked.filter(|stream| self.stream.as_ref() != Some(stream)) {
            self.show(stream);
        }
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::Row(flock, id) if *flock == self.flock && **id == self.id => self.choose(ctx.data),
            News::Log(change) if self.stream.as_ref() == Some(&change.stream) => self.take(change),
            News::Failed(Sub::Log { flock, stream, .. }, problem)
                if *flock == self.flock && self.stream.as_ref() == Some(stream) =>
            {
                self.problem = Some((*problem).clone());
            }
            _ => {}
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        self.does(ctx, action)
    }

    fn prompted(&mut self, ctx: &mut Ctx<'_>, ask: Ask, event: &PromptEvent) {
        self.answered(ctx, ask, event);
    }

    fn prompt_note(&self, _model: &Model, ask: Ask) -> (Option<(String, usize)>, String) {
        match (ask, &self.search) {
            // What is wrong is after the sign that makes it a pattern.
            (Ask::Search, _) if self.bad_search.is_some() => {
                (self.bad_search.clone().map(|said| (said, 1)), String::new())
            }
            (Ask::Search, Some(search)) => {
                (None, format!("{} match", crate::ui::time::count(search.count() as u64)))
            }
            (Ask::Search, None) => (None, "plain text, or ~ and a pattern".to_owned()),
            _ => (None, String::new()),
        }
    }

    fn subscriptions(&self, _data: &Data) -> Vec<Sub> {
        let Some(stream) = self.stream.clone() else { return Vec::new() };
        vec![Sub::Log { flock: self.flock.clone(), stream, minutes: self.minutes, again: self.again }]
    }

    fn note(&self, model: &Model) -> String {
        let attempts = self.row(&model.data).map_or(&[][..], |row| &row.attempts);
        let at = attempts.iter().position(|attempt| Some(&attempt.log_stream) == self.stream.as_ref());
        match at {
            Some(at) => {
                let follow = match (self.view.follow, attempts[at].ended_ms) {
                    (false, _) => "paused",
                    (true, Some(_)) => "ended",
                    (true, None) => "following",
                };
                format!("attempt {} of {}, {follow}, stdout+stderr", at + 1, attempts.len())
            }
            None => "no attempt yet".to_owned(),
        }
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        draw::draw(self, model, look, frame, area);
    }
}
