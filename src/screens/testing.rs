//! A console for key scripts: messages and keys in, effects and a picture out. It answers what the core asks for
//! from the jobs it was given, and keeps everything else the core wanted, to be looked at.

use std::collections::BTreeMap;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use shepard_model::{Fence, Inputs, JobId, JobRow, ObjectRef, Outcome, Stage, Transition, Value};

use super::Behaviour as _;
use crate::app::effect::{Command, Effect, Request};
use crate::app::key::script;
use crate::app::keymap::Keymap;
use crate::app::model::{Model, Session};
use crate::app::msg::{FlockRow, JobsChange, Loaded, Msg};
use crate::app::nav::Place;
use crate::app::update::{act, go, update};
use crate::app::{Action, Sub};
use crate::ui::Look;

/// When every script plays: 2026-01-31T14:05:30Z.
pub(crate) const NOW: i64 = 1_769_868_330_000;

/// A console without a terminal.
#[derive(Debug)]
pub(crate) struct Console {
    /// Its state.
    pub(crate) model: Model,
    /// What it wanted and this did not answer, oldest first.
    pub(crate) effects: Vec<Effect>,
    rows: BTreeMap<(String, JobId), JobRow>,
    flock: String,
}

impl Console {
    /// At the list of flocks, 80 by 24, with one flock named `demo`.
    pub(crate) fn new() -> Self {
        let session = Session {
            keymap: Keymap::default(),
            read_only: false,
            who: "ann@host".to_owned(),
            themes: vec!["default".to_owned()],
            theme: "default".to_owned(),
            cwd: "/home/ann".to_owned(),
        };
        let model = Model::new(session, Place::Flocks, (80, 24));
        let console = Self { model, effects: Vec::new(), rows: BTreeMap::new(), flock: String::new() };
        console.msg(Msg::Now(NOW)).flock("demo")
    }

    /// With a flock, to which the jobs that follow belong.
    pub(crate) fn flock(mut self, name: &str) -> Self {
        self.flock = name.to_owned();
        let mut flocks = self.model.data.flocks.value.clone().unwrap_or_default();
        flocks.push(FlockRow { name: name.to_owned(), running: true, max_jobs: 2, ..FlockRow::default() });
        self.msg(Msg::Flocks(flocks))
    }

    /// With jobs of this flock to follow, which the list has already.
    pub(crate) fn flock_of(mut self, name: &str) -> Self {
        self.flock = name.to_owned();
        self
    }

    /// Something lies over the screen.
    pub(crate) fn has_overlay(&self) -> bool {
        self.model.overlay.is_some()
    }

    /// With a job, or with what has become of it.
    pub(crate) fn job(mut self, row: &JobRow) -> Self {
        self.rows.insert((self.flock.clone(), row.id.clone()), row.clone());
        let change = JobsChange {
            flock: self.flock.clone(),
            rows: vec![row.summary()],
            removed: Vec::new(),
            next: 1,
            caught_up: true,
            following: crate::app::aws::Following::Direct,
        };
        self.msg(Msg::Jobs(change))
    }

    /// In a terminal of that size.
    pub(crate) fn sized(self, width: u16, height: u16) -> Self {
        self.msg(Msg::Resize { width, height })
    }

    /// At a place.
    pub(crate) fn at(mut self, place: Place) -> Self {
        let effects = go(&mut self.model, place);
        self.carry_out(effects);
        self
    }

    /// Takes a message.
    pub(crate) fn msg(mut self, msg: Msg) -> Self {
        let effects = update(&mut self.model, msg);
        self.carry_out(effects);
        self
    }

    /// Presses keys, written as in [`script`].
    pub(crate) fn press(mut self, keys: &str) -> Self {
        for key in script(keys).expect("script") {
            self = self.msg(Msg::Key(key));
        }
        self
    }

    /// Does an action, as the palette would.
    pub(crate) fn act(mut self, action: Action) -> Self {
        let effects = act(&mut self.model, action);
        self.carry_out(effects);
        self
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let answer = match &effect {
                Effect::Load(Request::Job { flock, id }) => {
                    let row = self.rows.get(&(flock.clone(), id.clone())).cloned().map(Box::new);
                    // A job this was not given stays unanswered: it is being read.
                    row.map(|row| {
                        Msg::Loaded(Loaded::Job { flock: flock.clone(), id: id.clone(), row: Ok(Some(row)) })
                    })
                }
                Effect::Arrange(flock, job) => Some(Msg::Arranged(flock.clone(), job.run(1))),
                _ => None,
            };
            match answer {
                Some(msg) => {
                    let more = update(&mut self.model, msg);
                    self.carry_out(more);
                }
                None => self.effects.push(effect),
            }
        }
    }

    /// The commands it began.
    pub(crate) fn commands(&self) -> Vec<&Command> {
        fn begun(effect: &Effect) -> Option<&Command> {
            if let Effect::Run(_, command) = effect { Some(command) } else { None }
        }
        self.effects.iter().filter_map(begun).collect()
    }

    /// What it copied.
    pub(crate) fn copied(&self) -> Vec<&str> {
        fn copied(effect: &Effect) -> Option<&str> {
            if let Effect::Copy(text) = effect { Some(text) } else { None }
        }
        self.effects.iter().filter_map(copied).collect()
    }

    /// What is said in passing.
    pub(crate) fn said(&self) -> Vec<&str> {
        self.model.ops.toasts.iter().map(|toast| toast.text.as_str()).collect()
    }

    /// What it wants to be told of, beyond flocks and jobs.
    pub(crate) fn logs(&self) -> Vec<Sub> {
        self.model.subscriptions().into_iter().filter(|sub| matches!(sub, Sub::Log { .. })).collect()
    }

    /// The screen's note, and the screen without what is around it.
    pub(crate) fn body(&self) -> String {
        let note = self.model.nav.screen().map(|screen| screen.note(&self.model)).unwrap_or_default();
        format!("[{note}]\n{}", text(&self.drawn(false)))
    }

    /// The whole picture, with what lies over the screen.
    pub(crate) fn frame(&self) -> String {
        text(&self.drawn(true))
    }

    /// The whole picture in a look.
    pub(crate) fn frame_in(&self, look: &Look) -> String {
        text(&self.drawn_in(true, look))
    }

    /// The styles of the whole picture: `b` for bold, `d` for dim, `r` for reversed, `u` for underlined, `C` for a
    /// colour, `.` for none of them; of several the last.
    pub(crate) fn styles_in(&self, look: &Look) -> String {
        let buffer = self.drawn_in(true, look);
        let letter = |x, y| {
            let style = buffer[(x, y)].style();
            let coloured = |colour: Option<Color>| colour.is_some_and(|colour| colour != Color::Reset);
            let modifiers = [
                (Modifier::BOLD, 'b'),
                (Modifier::DIM, 'd'),
                (Modifier::UNDERLINED, 'u'),
                (Modifier::REVERSED, 'r'),
            ];
            if coloured(style.fg) || coloured(style.bg) {
                return 'C';
            }
            let mut set = modifiers.iter().filter(|(modifier, _)| style.add_modifier.contains(*modifier));
            set.next_back().map_or('.', |(_, letter)| *letter)
        };
        let line = |y| -> String { (0..buffer.area.width).map(|x| letter(x, y)).collect() };
        (0..buffer.area.height).map(line).collect::<Vec<_>>().join("\n")
    }

    /// The style of the first cell of a text that is on the screen.
    pub(crate) fn style_of(&self, wanted: &str) -> Style {
        let buffer = self.drawn(true);
        for y in 0..buffer.area.height {
            let cells: Vec<&str> = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
            let at = (0..cells.len()).find(|at| cells[*at..].concat().starts_with(wanted));
            if let Some(at) = at {
                return buffer[(u16::try_from(at).expect("column"), y)].style();
            }
        }
        panic!("{wanted:?} is not on the screen:\n{}", text(&buffer));
    }

    fn drawn(&self, whole: bool) -> Buffer {
        self.drawn_in(whole, &Look::default())
    }

    fn drawn_in(&self, whole: bool, look: &Look) -> Buffer {
        let (width, height) = self.model.size;
        // The screen alone gets the room that is left to it: a line above and one below are taken.
        let room = if whole { height } else { height - 2 };
        let mut terminal = Terminal::new(TestBackend::new(width, room)).expect("terminal");
        terminal
            .draw(|frame| match self.model.nav.screen() {
                Some(screen) if !whole => screen.draw(&self.model, look, frame, frame.area()),
                _ => super::draw(&self.model, look, frame),
            })
            .expect("draw");
        terminal.backend().buffer().clone()
    }
}

fn text(buffer: &Buffer) -> String {
    let line = |y| -> String { (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect() };
    let lines: Vec<String> = (0..buffer.area.height).map(|y| line(y).trim_end().to_owned()).collect();
    lines.join("\n")
}

/// A job that has just arrived.
pub(crate) fn queued(key: &str) -> JobRow {
    let object = ObjectRef::new("inputs", key);
    let inputs = Inputs {
        variables: vec![
            ("TAG".to_owned(), Value::String("night".to_owned())),
            ("sample".to_owned(), Value::Number("0.10".to_owned())),
            ("debug".to_owned(), Value::Bool(true)),
            ("regions".to_owned(), Value::Json(r#"["eu-west-1","us-east-1"]"#.to_owned())),
        ],
        tag: Some("night".to_owned()),
        quick_deploy: None,
    };
    JobRow::arrived(JobId::of_object(&object), Some(object), inputs, NOW - 600_000, 30)
}

/// A job after one more change.
pub(crate) fn then(row: &JobRow, change: &Transition) -> JobRow {
    row.apply(change).expect("a change that may be made")
}

/// A job that the compute has.
pub(crate) fn scheduled(key: &str) -> JobRow {
    let change = Transition::Submitted { run: 1, compute_id: "local-1".to_owned(), at_ms: NOW - 599_000 };
    then(&queued(key), &change)
}

/// Who holds a job in its first run.
pub(crate) fn fence(attempt: u32) -> Fence {
    Fence { run: 1, attempt, worker: format!("host:{}", 4000 + attempt) }
}

/// A job whose worker has begun an attempt of its first run.
pub(crate) fn claimed(row: &JobRow, attempt: u32, at_ms: i64) -> JobRow {
    let change = Transition::Claimed {
        fence: fence(attempt),
        log_stream: shepard_model::names::log_stream(&row.id, 1, attempt),
        compute_id: None,
        batch: None,
        at_ms,
        lease_until_ms: at_ms + 60_000,
    };
    then(row, &change)
}

/// A job whose payload runs.
pub(crate) fn running(key: &str) -> JobRow {
    let row = claimed(&scheduled(key), 1, NOW - 300_000);
    [(Stage::Fetching, 299_500), (Stage::Payload, 290_000)].iter().fold(row, |row, (stage, ago)| {
        then(
            &row,
            &Transition::Reached {
                fence: fence(1),
                stage: *stage,
                status: None,
                detail: (*stage == Stage::Payload)
                    .then(|| "as a process of this machine, not isolated from it".to_owned()),
                at_ms: NOW - ago,
            },
        )
    })
}

/// A job that has ended after it ran.
pub(crate) fn finished(key: &str, outcome: Outcome) -> JobRow {
    let row = running(key);
    let pushing = Transition::Reached {
        fence: fence(1),
        stage: Stage::Pushing,
        status: None,
        detail: None,
        at_ms: NOW - 70_000,
    };
    let row = then(&row, &pushing);
    let (reason, exit_code, bucket) = match outcome {
        Outcome::Succeeded => (None, 0, "outputs"),
        _ => (Some("the payload exited with 3: ValueError: the input has no rows".to_owned()), 3, "errors"),
    };
    let results = vec![ObjectRef::new(bucket, format!("night_result@{}_1_root.zip", row.id))];
    let change = Transition::Finished {
        fence: Some(fence(1)),
        outcome,
        reason,
        exit_code: Some(exit_code),
        results,
        at_ms: NOW - 60_000,
    };
    then(&row, &change)
}

/// An upload that was no job.
pub(crate) fn rejected(key: &str) -> JobRow {
    let object = ObjectRef::new("inputs", key);
    let reason = "the archive holds no inputs.txt: put one at its top level and batch it again".to_owned();
    JobRow::rejected(JobId::of_object(&object), Some(object), reason, NOW - 600_000, 30)
}
