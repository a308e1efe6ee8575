//! The loop.
//!
//! One biased `select!`: input, then a frame when one is due, then what tasks delivered, then news in batches, then
//! the clock. Input comes first, so a flood of news cannot make a key wait; the frame comes second, so it cannot
//! make the screen wait either. Frames are drawn only when something was taken in, and apart as [`super::pace`] says:
//! at once for a key, seldom for news.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crossterm::event::EventStream;
use futures_util::StreamExt as _;
use shepard_cloud::Clock as _;
use shepard_cloud::ports::WallClock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::clipboard::{self, Copied};
use super::effects::Runner;
use super::input;
use super::look::Looks;
use super::pace::{BATCH, BETWEEN_FRAMES, BETWEEN_KEYS, INBOX, SLICE};
use super::recorder::Recorder;
use super::terminal::{self, TerminalGuard, Tui};
use crate::app::account::hidden;
use crate::app::nav::Place;
use crate::app::update::act;
use crate::app::{Action, Effect, Model, Msg, Session, update};
use crate::config::Config;
use crate::screens;

/// How a console is opened.
#[derive(Debug, Default)]
pub struct ConsoleOptions {
    /// Open on the jobs of this flock.
    pub flock: Option<String>,
    /// Record the session to this file.
    pub record: Option<PathBuf>,
}

/// Opens the console and stays in it until the person leaves.
///
/// # Errors
/// When the terminal or the recording cannot be used. The terminal is restored in every case.
pub fn run(options: ConsoleOptions, config: &Config) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(console(options, config));
    // A read that hangs on a dead disk must not keep a person from leaving.
    runtime.shutdown_timeout(Duration::from_secs(2));
    ended
}

async fn console(options: ConsoleOptions, config: &Config) -> io::Result<()> {
    let (looks, mut problems) = Looks::load(config);
    let (keymap, key_problems) = super::look::keymap(config);
    problems.extend(key_problems);
    let session = Session {
        keymap,
        read_only: config.read_only,
        who: crate::operations::journal::who(),
        themes: looks.names(),
        theme: looks.name().to_owned(),
        cwd: std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default(),
    };
    let mut recorder = options.record.as_deref().map(Recorder::create).transpose()?;
    let start = options.flock.map_or(Place::Flocks, |flock| Place::Jobs { flock });
    let (guard, tui) = TerminalGuard::take(config.mouse)?;
    let size = tui.size().map(|size| (size.width, size.height)).unwrap_or((80, 24));
    let mut model = Model::new(session, start, size);
    model.mouse = config.mouse;
    // Full, it makes a feed wait for a place before it reads, and read more at once.
    let (news, inbox) = mpsc::channel(INBOX);
    let mut shell = Shell {
        model,
        guard,
        tui,
        looks,
        runner: Runner::new(config, news),
        recorder: recorder.take(),
        state: config.dirs.state.clone(),
        dirty: true,
        key_waits: false,
        quit: false,
        suspend: false,
        last_frame: Instant::now() - BETWEEN_FRAMES,
    };
    shell.draw()?;
    // A recording says by itself how large the terminal was.
    shell.take_now(Msg::Resize { width: size.0, height: size.1 });
    for text in problems {
        shell.take(Msg::Notice { problem: true, text });
    }
    let enter = act(&mut shell.model, Action::Refresh);
    shell.carry_out(enter);
    let ended = shell.turn(inbox).await;
    shell.runner.end().await;
    if let Some(recorder) = &mut shell.recorder {
        recorder.flush()?;
    }
    ended
}

struct Shell {
    model: Model,
    guard: TerminalGuard,
    tui: Tui,
    looks: Looks,
    runner: Runner,
    recorder: Option<Recorder>,
    state: PathBuf,
    dirty: bool,
    /// Something a person did is not on the screen yet.
    key_waits: bool,
    quit: bool,
    suspend: bool,
    last_frame: Instant,
}

impl Shell {
    async fn turn(&mut self, mut inbox: mpsc::Receiver<Msg>) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut events = EventStream::new();
        self.runner.listen(&self.model);
        while !self.quit {
            let tick = self.model.wants_tick().map(Duration::from_millis);
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        if let Some(msg) = input::message(event) {
                            self.take_now(msg);
                            self.key_waits = true;
                        }
                    }
                    // The terminal is gone: leave as if told to.
                    Some(Err(_)) | None => self.take_now(Msg::Terminate),
                },
                () = sleep_until(self.due()), if self.dirty => self.draw()?,
                _ = terminate.recv() => self.take_now(Msg::Terminate),
                _ = hangup.recv() => self.take_now(Msg::Terminate),
                _ = interrupt.recv() => self.take_now(Msg::Terminate),
                Some(answers) = self.runner.answered() => {
                    for msg in answers {
                        self.take_now(msg);
                    }
                }
                Some(first) = inbox.recv() => {
                    let begin = Instant::now();
                    self.take(Msg::Now(WallClock.now_ms()));
                    self.take(first);
                    let mut taken = 1;
                    while taken < BATCH && begin.elapsed() < SLICE {
                        let Ok(msg) = inbox.try_recv() else { break };
                        self.take(msg);
                        taken += 1;
                    }
                }
                changed = self.looks.changed() => {
                    if let Some(problem) = changed {
                        self.take_now(Msg::Notice { problem: true, text: problem });
                    }
                    self.dirty = true;
                }
                () = sleep(tick.unwrap_or_default()), if tick.is_some() => {
                    self.take(Msg::Now(WallClock.now_ms()));
                }
            }
            self.runner.listen(&self.model);
            if self.suspend {
                self.suspend = false;
                // The event stream reads the terminal on a thread of its own; it must not while another owns it.
                drop(events);
                self.background()?;
                events = EventStream::new();
            }
        }
        Ok(())
    }

    fn take_now(&mut self, msg: Msg) {
        self.take(Msg::Now(WallClock.now_ms()));
        self.take(msg);
    }

    fn take(&mut self, msg: Msg) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.record(hidden(&self.model, &msg).as_ref().unwrap_or(&msg))
        {
            // A full disk must not end the session that is being recorded.
            self.recorder = None;
            let text = format!("the recording stopped: {error}");
            self.take(Msg::Notice { problem: true, text });
        }
        let effects = update(&mut self.model, msg);
        self.dirty = true;
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Quit => self.quit = true,
                Effect::Suspend => self.suspend = true,
                Effect::Redraw => {
                    // A clear that fails shows in the draw that follows.
                    let _ = terminal::clear(&mut self.tui);
                }
                Effect::Mouse(on) => drop(self.guard.set_mouse(on)),
                Effect::Copy(text) => self.copy(&text),
                Effect::Theme(name) => {
                    let msg = match self.looks.choose(&name) {
                        Ok(()) => Msg::Notice { problem: false, text: format!("theme {name}") },
                        Err(problem) => Msg::Notice { problem: true, text: problem },
                    };
                    self.model.session.theme = self.looks.name().to_owned();
                    self.take(msg);
                }
                Effect::Load(request) => self.runner.load(request),
                Effect::Run(op, command) => self.runner.run(op, command),
                Effect::Abandon(op) => self.runner.abandon(op),
                Effect::Arrange(flock, job) => self.runner.arrange(flock, job),
            }
        }
    }

    fn copy(&mut self, text: &str) {
        let (problem, text) = match clipboard::copy(text, self.tui.backend_mut(), &self.state) {
            Ok(Copied::Terminal) => (false, "copied (if the terminal allows it)".to_owned()),
            Ok(Copied::File(path)) => (false, format!("too large to copy; written to {}", path.display())),
            Err(error) => (true, format!("cannot copy: {error}")),
        };
        self.take(Msg::Notice { problem, text });
    }

    /// When the next frame may be drawn.
    fn due(&self) -> Instant {
        self.last_frame + if self.key_waits { BETWEEN_KEYS } else { BETWEEN_FRAMES }
    }

    fn draw(&mut self) -> io::Result<()> {
        self.tui.draw(|frame| screens::draw(&self.model, self.looks.look(), frame))?;
        self.last_frame = Instant::now();
        self.dirty = false;
        self.key_waits = false;
        Ok(())
    }

    /// Ctrl-Z: gives the terminal back, stops the process, and takes it again when it goes on.
    fn background(&mut self) -> io::Result<()> {
        self.guard.leave();
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        self.guard.enter()?;
        terminal::clear(&mut self.tui)?;
        if let Ok(size) = self.tui.size() {
            self.take_now(Msg::Resize { width: size.width, height: size.height });
        }
        self.dirty = true;
        Ok(())
    }
}
