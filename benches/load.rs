//! From a key to the frame that shows what it did, while a million jobs change 10,000 times a second.
//! `cargo bench --bench load`. Figures and how to read them: docs/performance.md.
//!
//! The core and the drawing are the console's own; the loop around them is the shell's, with the same channel, the
//! same order of what comes first and the same pace, on a terminal that is a buffer whose bytes are counted.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints what it found, and one that cannot set itself up has nothing to measure"
)]

#[path = "support/mod.rs"]
mod support;
#[path = "support/times.rs"]
mod times;

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use shepard::app::aws::Following;
use shepard::app::key::Key;
use shepard::app::keymap::Keymap;
use shepard::app::msg::JobsChange;
use shepard::app::nav::Place;
use shepard::app::store::ViewJob;
use shepard::app::{Effect, Model, Msg, Session, update};
use shepard::screens;
use shepard::shell::pace::{BATCH, BETWEEN_FRAMES, BETWEEN_KEYS, INBOX, SLICE};
use shepard::ui::Look;
use shepard_model::State;
use support::{NOW, job};
use times::Times;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until};

const FLOCK: &str = "bench";
const SIZE: (u16, u16) = (160, 50);
const CHANGES_A_SECOND: u32 = 10_000;
const KEY_EVERY: Duration = Duration::from_millis(20);

/// Bytes that went to the terminal.
static BYTES: AtomicUsize = AtomicUsize::new(0);

struct Line;

impl Write for Line {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        BYTES.fetch_add(buf.len(), Relaxed);
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Screen = Terminal<CrosstermBackend<Line>>;

#[derive(Default)]
struct Found {
    key_to_frame: Times,
    draw: Times,
    merge: Times,
    accept: Times,
    bytes: Vec<usize>,
    merged: usize,
}

fn console(rows: u32) -> Model {
    let session = Session {
        keymap: Keymap::default(),
        read_only: false,
        who: "bench@here".to_owned(),
        themes: vec!["default".to_owned()],
        theme: "default".to_owned(),
        cwd: "/".to_owned(),
    };
    let mut model = Model::new(session, Place::Jobs { flock: FLOCK.to_owned() }, SIZE);
    let _ = update(&mut model, Msg::Now(NOW));
    let mut number = 0;
    while number < rows {
        let page: Vec<_> = (number..rows.min(number + 5_000)).map(job).collect();
        number += 5_000;
        let caught_up = number >= rows;
        let next = u64::from(number);
        let change = JobsChange {
            flock: FLOCK.to_owned(),
            rows: page,
            removed: Vec::new(),
            next,
            caught_up,
            following: Following::Direct,
        };
        let _ = update(&mut model, Msg::Jobs(change));
    }
    model
}

/// What became of so many jobs since the last look, strewn over all of them.
fn changed(rows: u32, count: u32, round: u32) -> JobsChange {
    let rows = (0..count)
        .map(|at| {
            let number = (round.wrapping_mul(2_654_435_761) ^ at.wrapping_mul(0x9e37_79b9)) % rows;
            let mut job = job(number);
            job.state = State::ALL[(job.state as usize + round as usize) % State::ALL.len()];
            job.started_ms = Some(job.created_ms + i64::from(round));
            job.attempts = round;
            job
        })
        .collect();
    let next = u64::from(round);
    JobsChange {
        flock: FLOCK.to_owned(),
        rows,
        removed: Vec::new(),
        next,
        caught_up: true,
        following: Following::Direct,
    }
}

/// Brings changes as the jobs feed does: what came up since the last look, and then a pause.
async fn feed(rows: u32, to: mpsc::Sender<Msg>) {
    let mut due = interval(Duration::from_millis(50));
    let mut round = 0;
    while let Ok(place) = to.reserve().await {
        due.tick().await;
        round += 1;
        place.send(Msg::Jobs(changed(rows, CHANGES_A_SECOND / 20, round)));
    }
}

/// Presses the keys of the script again and again.
async fn person(script: &'static [&'static str], for_s: u64, to: mpsc::Sender<(Instant, Key)>) {
    let mut due = interval(KEY_EVERY);
    let end = Instant::now() + Duration::from_secs(for_s);
    let keys: Vec<Key> = script.iter().map(|word| word.parse().unwrap()).collect();
    for key in keys.iter().cycle() {
        due.tick().await;
        if Instant::now() > end || to.send((Instant::now(), *key)).await.is_err() {
            return;
        }
    }
}

/// Sorts and filters beside the loop, as the shell does: one at a time, and of those that wait only the newest.
#[derive(Default)]
struct Arranging {
    under_way: bool,
    next: Option<ViewJob>,
}

impl Arranging {
    fn carry_out(&mut self, effects: Vec<Effect>, answers: &mpsc::Sender<Msg>) {
        for effect in effects {
            if let Effect::Arrange(_, job) = effect {
                self.next = Some(job);
            }
        }
        self.go_on(answers);
    }

    fn ended(&mut self, answers: &mpsc::Sender<Msg>) {
        self.under_way = false;
        self.go_on(answers);
    }

    fn go_on(&mut self, answers: &mpsc::Sender<Msg>) {
        if self.under_way {
            return;
        }
        let Some(job) = self.next.take() else { return };
        self.under_way = true;
        let answers = answers.clone();
        tokio::task::spawn_blocking(move || {
            let result = job.run(2);
            let _ = answers.blocking_send(Msg::Arranged(FLOCK.to_owned(), result));
        });
    }
}

async fn watch(
    model: &mut Model,
    screen: &mut Screen,
    script: &'static [&'static str],
    for_s: u64,
    load: bool,
) -> Found {
    let look = Look::default();
    let mut found = Found::default();
    let rows = u32::try_from(model.data.jobs[FLOCK].store.len()).unwrap();
    let (to, mut inbox) = mpsc::channel(INBOX);
    let (to_keys, mut keys) = mpsc::channel(64);
    let (to_answers, mut answers) = mpsc::channel(64);
    let _idle = to.clone();
    let feed = load.then(|| tokio::spawn(feed(rows, to)));
    let person = tokio::spawn(person(script, for_s, to_keys));
    let mut pressed: Vec<Instant> = Vec::new();
    let mut arranging = Arranging::default();
    let mut last_frame = Instant::now();
    let (mut dirty, mut key_waits) = (true, false);
    loop {
        let pause = if key_waits { BETWEEN_KEYS } else { BETWEEN_FRAMES };
        tokio::select! {
            biased;
            key = keys.recv() => {
                let Some((at, key)) = key else { break };
                pressed.push(at);
                arranging.carry_out(update(model, Msg::Key(key)), &to_answers);
                (dirty, key_waits) = (true, true);
            }
            () = sleep_until(last_frame + pause), if dirty => {
                let (before, bytes) = (Instant::now(), BYTES.load(Relaxed));
                screen.draw(|frame| screens::draw(model, &look, frame)).unwrap();
                last_frame = Instant::now();
                found.draw.add(last_frame - before);
                found.bytes.push(BYTES.load(Relaxed) - bytes);
                for at in pressed.drain(..) {
                    found.key_to_frame.add(last_frame - at);
                }
                (dirty, key_waits) = (false, false);
            }
            Some(msg) = answers.recv() => {
                arranging.ended(&to_answers);
                let before = Instant::now();
                arranging.carry_out(update(model, msg), &to_answers);
                found.accept.add(before.elapsed());
                dirty = true;
            }
            Some(first) = inbox.recv() => {
                let before = Instant::now();
                let mut next = Some(first);
                let mut taken = 0;
                while let Some(msg) = next {
                    if let Msg::Jobs(change) = &msg {
                        found.merged += change.rows.len();
                    }
                    arranging.carry_out(update(model, msg), &to_answers);
                    taken += 1;
                    let more = taken < BATCH && before.elapsed() < SLICE;
                    next = more.then(|| inbox.try_recv().ok()).flatten();
                }
                found.merge.add(before.elapsed());
                dirty = true;
            }
        }
    }
    if let Some(feed) = feed {
        feed.abort();
    }
    person.await.unwrap();
    found
}

const MOVING: &[&str] = &["j", "j", "j", "pgdn", "k", "j", "G", "k", "pgup", "g"];
/// Each letter of a filter is a search of everything; the sorts are sorts of everything.
const FILTERING: &[&str] =
    &["/", "l", "a", "n", "e", "-", "3", "enter", "j", "pgdn", "k", "j", "j", "j", "esc", "j", "j", "k"];

fn report(name: &str, seconds: u64, found: &Found) {
    let mut bytes = found.bytes.clone();
    bytes.sort_unstable();
    let at = |part: usize| bytes.get(bytes.len() * part / 100).copied().unwrap_or(0);
    println!("{name}");
    println!("    key to frame   {}", found.key_to_frame);
    println!("    draw           {}", found.draw);
    println!("    merge          {}", found.merge);
    println!("    take a sort    {}", found.accept);
    println!(
        "    {} changes a second merged, {} frames a second, {} bytes a frame (p99 {})",
        found.merged as u64 / seconds,
        found.bytes.len() as u64 / seconds,
        at(50),
        at(99)
    );
}

fn main() {
    // `cargo test --all-targets` runs benches too, without this word and without optimisation.
    let whole = std::env::args().any(|argument| argument == "--bench");
    let (rows, seconds) = if whole { (1_000_000, 20) } else { (5_000, 1) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut model = console(rows);
    let viewport = Viewport::Fixed(Rect::new(0, 0, SIZE.0, SIZE.1));
    let backend = CrosstermBackend::new(Line);
    let mut screen = Terminal::with_options(backend, TerminalOptions { viewport }).unwrap();
    for (name, script, load) in [
        ("quiet, moving", MOVING, false),
        ("10,000 changes a second, moving, newest first", MOVING, true),
        ("10,000 changes a second, filtering", FILTERING, true),
    ] {
        let found = runtime.block_on(watch(&mut model, &mut screen, script, seconds, load));
        report(name, seconds, &found);
    }
    // By state every change moves a row.
    let (answers, mut sorted) = mpsc::channel(1);
    let mut arranging = Arranging::default();
    runtime.block_on(async {
        for key in ["g", "s"] {
            arranging.carry_out(update(&mut model, Msg::Key(key.parse().unwrap())), &answers);
        }
        if arranging.under_way {
            let _ = update(&mut model, sorted.recv().await.unwrap());
        }
    });
    let found = runtime.block_on(watch(&mut model, &mut screen, MOVING, seconds, true));
    report("10,000 changes a second, moving, by another column (key s)", seconds, &found);
}
