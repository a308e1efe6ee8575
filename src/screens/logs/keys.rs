//! What the keys of the log screen do.

use super::layout::Lines as _;
use super::search::Search;
use super::view::{Shown, View};
use super::zoom::Zoom;
use super::{CHROME, Logs, time};
use crate::app::actions::Action;
use crate::app::effect::{Command, Effect};
use crate::app::model::Ctx;
use crate::app::overlay::{Ask, Prompt};
use crate::screens::PromptEvent;

/// Columns that one key goes sideways.
const SIDEWAYS: isize = 8;

impl Logs {
    /// Does an action; false leaves it to the globals.
    pub(super) fn does(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        self.notice = None;
        if self.zoom.is_some() && self.zoomed(ctx, action) {
            return true;
        }
        let size = ctx.size;
        match action {
            Action::TextDown => self.go(size, View::down),
            Action::TextUp => self.go(size, View::up),
            Action::TextPageDown => self.go(size, View::page_down),
            Action::TextPageUp => self.go(size, View::page_up),
            Action::TextFirst => self.go(size, View::home),
            Action::TextLast => self.view.resume(),
            Action::TextLeft => self.go(size, |view, shown| view.sideways(shown, -SIDEWAYS)),
            Action::TextRight => self.go(size, |view, shown| view.sideways(shown, SIDEWAYS)),
            Action::Follow if self.view.follow => self.go(size, View::pause),
            Action::Follow => self.view.resume(),
            Action::Wrap => self.turn(size, |view| (view.wrap, view.left) = (!view.wrap, 0)),
            Action::Timestamps => self.view.stamps = self.view.stamps.next(),
            Action::Pretty => self.turn(size, |view| view.pretty = !view.pretty),
            Action::Search => {
                self.origin = Some(self.view.clone());
                let typed = self.search.as_ref().map_or("", |search| search.typed.as_str());
                ctx.prompt(Prompt::new(Ask::Search, typed));
            }
            Action::NextMatch => self.next_found(size, Search::next, "the search went on from the beginning"),
            Action::PreviousMatch => {
                self.next_found(size, Search::previous, "the search went on from the end");
            }
            Action::MatchesOnly if self.search.is_none() => self.notice = Some("search first: /".to_owned()),
            Action::MatchesOnly => self.turn(size, |view| view.only = !view.only),
            Action::Zoom => {
                let line = self.view.line(&self.shown(size));
                self.zoom = line.and_then(|line| Zoom::new(&self.buffer, line));
            }
            Action::JumpToTime if self.buffer.is_empty() => {
                self.notice = Some("there are no lines yet".to_owned());
            }
            Action::JumpToTime => ctx.prompt(Prompt::new(Ask::Time, "")),
            Action::SaveLog if self.stream.is_none() => {
                self.notice = Some("there is no log to save yet".to_owned());
            }
            Action::SaveLog => {
                let short: String = self.id.as_str().chars().take(8).collect();
                let to = format!("{}/{short}.log", ctx.session.cwd.trim_end_matches('/'));
                ctx.prompt(Prompt::new(Ask::SaveTo, to));
            }
            Action::SinceAll => self.since(None),
            Action::Since1m => self.since(Some(1)),
            Action::Since5m => self.since(Some(5)),
            Action::Since15m => self.since(Some(15)),
            Action::Since1h => self.since(Some(60)),
            Action::LogAttempt => self.next_attempt(ctx),
            Action::CopyLine => self.copy(ctx),
            // One layer out: of the search, then of the screen.
            Action::Out if self.search.is_some() => {
                self.turn(size, |view| view.only = false);
                self.search = None;
            }
            _ => return false,
        }
        true
    }

    /// An action while a line is zoomed into.
    fn zoomed(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        let shape = Zoom::shape(usize::from(ctx.size.0), usize::from(ctx.size.1).saturating_sub(CHROME));
        let page = isize::try_from(shape.height.saturating_sub(1)).unwrap_or(isize::MAX);
        let Some(zoom) = &mut self.zoom else { return false };
        let size = ctx.size;
        match action {
            Action::Zoom | Action::Out | Action::Back => self.zoom = None,
            Action::TextDown => zoom.scroll(shape, 1),
            Action::TextUp => zoom.scroll(shape, -1),
            Action::TextPageDown => zoom.scroll(shape, page),
            Action::TextPageUp => zoom.scroll(shape, -page),
            Action::TextFirst => zoom.top = 0,
            Action::TextLast => zoom.scroll(shape, isize::MAX),
            Action::TextRight => self.step(size, |shown, line| shown.after(line)),
            Action::TextLeft => self.step(size, |shown, line| shown.before(line)),
            Action::NextMatch | Action::PreviousMatch => {
                self.zoom = None;
                self.does(ctx, action);
                self.zoom = self.view.line(&self.shown(size)).and_then(|line| Zoom::new(&self.buffer, line));
            }
            Action::CopyLine => {
                let text = zoom.line.text.clone();
                ctx.effect(Effect::Copy(text));
            }
            Action::SaveLog => return false,
            // What is done to the list of lines would not be seen here.
            other => return matches!(other.spec().scope, crate::app::Scope::Logs | crate::app::Scope::Text),
        }
        true
    }

    /// From the zoomed line to a neighbour of it.
    fn step(&mut self, size: (u16, u16), to: impl Fn(&Shown<'_>, u64) -> Option<u64>) {
        let Some(number) = self.zoom.as_ref().map(|zoom| zoom.number) else { return };
        let Some(line) = to(&self.shown(size), number) else { return };
        self.go(size, |view, shown| view.reveal(shown, line));
        self.zoom = Zoom::new(&self.buffer, line);
    }

    fn go(&mut self, size: (u16, u16), f: impl FnOnce(&mut View, &Shown<'_>)) {
        // The view is lent out: it moves over lines that the screen holds.
        let mut view = self.view.clone();
        f(&mut view, &self.shown(size));
        self.view = view;
    }

    /// Changes which rows there are, and leaves the line under the cursor where it is on the screen.
    fn turn(&mut self, size: (u16, u16), change: impl FnOnce(&mut View)) {
        let offset = self.view.offset(&self.shown(size));
        self.go(size, |view, shown| view.rest(shown));
        change(&mut self.view);
        self.go(size, |view, shown| view.keep(shown, offset));
    }

    fn next_found(
        &mut self,
        size: (u16, u16),
        find: impl Fn(&Search, u64) -> Option<(u64, bool)>,
        round: &str,
    ) {
        let Some(search) = &self.search else {
            self.notice = Some("search first: /".to_owned());
            return;
        };
        let here = self.view.line(&self.shown(size)).unwrap_or(0);
        match find(search, here) {
            Some((line, went_round)) => {
                self.go(size, |view, shown| view.reveal(shown, line));
                if went_round {
                    self.notice = Some(round.to_owned());
                }
            }
            None => self.notice = Some("no line matches".to_owned()),
        }
    }

    fn since(&mut self, minutes: Option<u32>) {
        if self.stream.is_none() {
            self.notice = Some("there is no log yet".to_owned());
            return;
        }
        self.minutes = minutes;
        self.again += 1;
        self.clear();
    }

    fn next_attempt(&mut self, ctx: &mut Ctx<'_>) {
        let attempts = self.row(ctx.data).map_or(&[][..], |row| &row.attempts);
        let at = attempts.iter().position(|attempt| Some(&attempt.log_stream) == self.stream.as_ref());
        match attempts.len() {
            0 => self.notice = Some("no attempt has begun".to_owned()),
            1 => self.notice = Some("there is one attempt, and this is its log".to_owned()),
            count => {
                let next = at.map_or(count - 1, |at| (at + 1) % count);
                let stream = attempts[next].log_stream.clone();
                self.show(stream);
            }
        }
    }

    fn copy(&mut self, ctx: &mut Ctx<'_>) {
        let line = self.view.line(&self.shown(ctx.size)).and_then(|line| self.buffer.get(line));
        match line.map(|line| line.text.clone()) {
            Some(text) => ctx.effect(Effect::Copy(text)),
            None => self.notice = Some("there is no line to copy".to_owned()),
        }
    }

    /// What happened to a line of input.
    pub(super) fn answered(&mut self, ctx: &mut Ctx<'_>, ask: Ask, event: &PromptEvent) {
        let size = ctx.size;
        match (ask, event) {
            (Ask::Search, PromptEvent::Typed(text)) => self.searched(size, text),
            (Ask::Search, PromptEvent::Entered(text)) => {
                // What was typed has been searched for already, and the reader may have come from the palette.
                if self.search.as_ref().map_or("", |search| search.typed.as_str()) != text {
                    self.searched(size, text);
                }
                self.origin = None;
                if let Some(problem) = self.bad_search.take() {
                    ctx.say(true, problem);
                }
            }
            (Ask::Search, PromptEvent::Cancelled(before)) => {
                self.bad_search = None;
                self.search = Search::new(before, &self.buffer).ok().flatten();
                if let Some(view) = self.origin.take() {
                    self.view = view;
                }
            }
            (Ask::Time, PromptEvent::Entered(text)) if !text.trim().is_empty() => self.jump(ctx, text),
            (Ask::SaveTo, PromptEvent::Entered(to)) if !to.trim().is_empty() => {
                if let Some(stream) = self.stream.clone() {
                    ctx.run(Command::SaveLog { flock: self.flock.clone(), stream, to: to.trim().to_owned() });
                }
            }
            _ => {}
        }
    }

    /// Searches for what is typed so far, from where the reader was when it began.
    fn searched(&mut self, size: (u16, u16), text: &str) {
        let origin = self.origin.clone().unwrap_or_else(|| self.view.clone());
        match Search::new(text, &self.buffer) {
            Ok(search) => (self.search, self.bad_search) = (search, None),
            // The last good search stays while the pattern is being written.
            Err(problem) => self.bad_search = Some(problem),
        }
        let only = self.view.only && self.search.is_some();
        self.view = origin.clone();
        self.view.only = false;
        let here = self.view.line(&self.shown(size)).unwrap_or(0);
        let found = self.search.as_ref().and_then(|search| {
            // Who follows reads the end, and means what was there last.
            let at = if origin.follow { search.count().checked_sub(1) } else { Some(search.place(here)) };
            at.and_then(|at| search.nth(at)).or_else(|| search.nth(0))
        });
        self.view.only = only;
        if let Some(line) = found {
            self.go(size, |view, shown| view.reveal(shown, line));
        }
    }

    fn jump(&mut self, ctx: &mut Ctx<'_>, text: &str) {
        let (first, last) = (self.buffer.first(), self.buffer.end().saturating_sub(1));
        let (Some(begin), Some(end)) = (self.buffer.get(first), self.buffer.get(last)) else { return };
        let (begin_ms, end_ms) = (begin.at_ms, end.at_ms);
        let at_ms = match time::parse(text, end_ms) {
            Ok(at_ms) => at_ms,
            Err(problem) => return ctx.say(true, problem),
        };
        let written = |at_ms| time::Stamps::Full.write(at_ms);
        self.notice = if at_ms < begin_ms && self.buffer.dropped() > 0 {
            Some(format!("lines before {} are not kept", written(begin_ms)))
        } else if at_ms < begin_ms {
            Some(format!("the log begins at {}", written(begin_ms)))
        } else if at_ms > end_ms {
            Some(format!("the log ends at {}", written(end_ms)))
        } else {
            None
        };
        let line = self.buffer.at(at_ms).unwrap_or(last);
        let line = self.shown(ctx.size).nearest(line);
        if let Some(line) = line {
            self.go(ctx.size, |view, shown| view.reveal(shown, line));
        }
    }
}
