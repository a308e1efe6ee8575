//! A console driven by hand for the tests of the forms: keys and messages in, effects and whole frames out. Unlike
//! `testing` it answers nothing by itself, for what a form does before an answer comes is half of what it does.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::app::effect::{Command, Effect, OpId, Request};
use crate::app::key::script;
use crate::app::keymap::Keymap;
use crate::app::model::{Model, Session};
use crate::app::msg::{Done, FlockRow, Loaded, Msg, Preflight};
use crate::app::nav::Place;
use crate::app::remote::{Problem, ProblemKind};
use crate::app::update::{go, update};
use crate::ui::Look;

/// 2026-01-31T14:05:30Z.
pub(super) const NOW: i64 = 1_769_868_330_000;

/// The console, and what it wanted.
pub(super) struct Drive {
    pub(super) model: Model,
    pub(super) effects: Vec<Effect>,
}

impl Drive {
    /// At a place, with the flock `demo`.
    pub(super) fn at(place: Place) -> Self {
        let session = Session {
            keymap: Keymap::default(),
            read_only: false,
            who: "ann@host".to_owned(),
            themes: Vec::new(),
            theme: "default".to_owned(),
            cwd: "/home/ann".to_owned(),
        };
        let mut drive = Self { model: Model::new(session, Place::Flocks, (80, 24)), effects: Vec::new() };
        drive.say(Msg::Now(NOW));
        drive.say(Msg::Flocks(vec![demo()]));
        let effects = go(&mut drive.model, place);
        drive.effects.extend(effects);
        drive
    }

    /// Takes a message.
    pub(super) fn say(&mut self, msg: Msg) {
        let effects = update(&mut self.model, msg);
        self.effects.extend(effects);
    }

    /// Presses the keys of a script.
    pub(super) fn press(&mut self, keys: &str) {
        for key in script(keys).expect("a script") {
            self.say(Msg::Key(key));
        }
    }

    /// Answers how a path goes on.
    pub(super) fn paths(&mut self, text: &str, candidates: &[&str]) {
        let candidates = candidates.iter().map(|&path| path.to_owned()).collect();
        self.say(Msg::Loaded(Loaded::Paths { text: text.to_owned(), candidates }));
    }

    /// Answers what a folder would become.
    pub(super) fn preflight(&mut self, path: &str, report: Result<Preflight, &str>) {
        let report = report.map_err(|text| Problem::new(ProblemKind::NotFound, text));
        self.say(Msg::Loaded(Loaded::Preflight { path: path.to_owned(), report }));
    }

    /// Ends the newest command.
    pub(super) fn finish(&mut self, result: Result<&str, &str>) {
        let op = self.begun().last().map(|(op, _)| *op).expect("a command");
        let result = result
            .map(|text| Done { text: text.to_owned(), failed: Vec::new(), path: None })
            .map_err(|text| Problem::new(ProblemKind::Invalid, text));
        self.say(Msg::Finished { op, result });
    }

    /// The commands that were begun.
    pub(super) fn begun(&self) -> Vec<(OpId, &Command)> {
        let run =
            |effect| if let &Effect::Run(op, ref command) = effect { Some((op, command)) } else { None };
        self.effects.iter().filter_map(run).collect()
    }

    /// What was asked to be read since the last look, oldest first.
    pub(super) fn loads(&mut self) -> Vec<Request> {
        let mut loads = Vec::new();
        self.effects.retain(|effect| match effect {
            Effect::Load(request) => {
                loads.push(request.clone());
                false
            }
            _ => true,
        });
        loads
    }

    /// The whole frame.
    pub(super) fn picture(&mut self, width: u16, height: u16) -> String {
        self.say(Msg::Resize { width, height });
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let look = Look::default();
        terminal.draw(|frame| super::draw(&self.model, &look, frame)).expect("drawn");
        let text = terminal.backend().to_string();
        text.lines().map(|line| line.trim_matches('"').trim_end()).collect::<Vec<_>>().join("\n")
    }
}

/// A flock.
pub(super) fn demo() -> FlockRow {
    FlockRow { name: "demo".to_owned(), running: true, max_jobs: 2, ..FlockRow::default() }
}
