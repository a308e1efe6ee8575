//! A session that was recorded is played again through the core alone, and ends on the same screen.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pty_support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pty_support::World;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use rustix::process::Signal;
use shepard::app::keymap::Keymap;
use shepard::app::nav::Place;
use shepard::app::update::act;
use shepard::app::{Action, Effect, Model, Msg, Session, update};
use shepard::screens;
use shepard::shell::recorder;
use shepard::ui::Look;

/// A recording that is kept: made by the test below with `RENEW_RECORDINGS=1` in its environment, which is how it is
/// made anew where messages have got other fields.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/two-jobs.jsonl");

/// Does what a core asks for that needs nothing outside: sorts and filters.
fn carry_out(model: &mut Model, effects: Vec<Effect>) {
    for effect in effects {
        if let Effect::Arrange(flock, job) = effect {
            let more = update(model, Msg::Arranged(flock, job.run(1)));
            carry_out(model, more);
        }
    }
}

/// Plays messages, as far as the one that ends the session.
fn play(messages: Vec<Msg>) -> Model {
    let session = Session {
        keymap: Keymap::default(),
        read_only: false,
        who: String::new(),
        themes: Vec::new(),
        theme: "default".to_owned(),
        cwd: "/".to_owned(),
    };
    let mut model = Model::new(session, Place::Flocks, (1, 1));
    let effects = act(&mut model, Action::Refresh);
    carry_out(&mut model, effects);
    for msg in messages {
        if matches!(msg, Msg::Terminate) {
            break;
        }
        let effects = update(&mut model, msg);
        carry_out(&mut model, effects);
    }
    model
}

fn screen(model: &Model) -> String {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| screens::draw(model, &Look::default(), frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| -> String { (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect() };
    (0..buffer.area.height).map(|y| line(y).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_recorded_session_ends_on_the_same_screen_when_it_is_played_again() {
    let world = World::with_flock("meadow", "echo \"hello from $NAME\"; exit \"$CODE\"");
    world.job("lot/fine", r#"{"NAME": "fine", "CODE": 0}"#);
    world.job("lot/broken", r#"{"NAME": "broken", "CODE": 3}"#);
    world.run(&["batch", "--flock", "meadow", "--path", "lot", "--wait"]);
    let file = world.work().join("session.jsonl");
    let mut term = world.console_with(&["--record", file.to_str().unwrap()], &[], (100, 30));
    term.see("meadow");
    term.press("<enter>").see("1 succeeded").see("1 failed");
    term.press("*").see("2 marked");
    term.press("sS/fine").see("1 hidden");
    term.press("<esc>").gone("hidden");
    term.press("!").see("1 hidden");
    term.press("<enter>").see("1 Overview").see("exit code");
    term.press("L").see("hello from broken");
    term.resize(110, 32).see("hello from broken");
    term.press("/hello").see("1/1");
    term.press("<enter>t").see("hello from broken");
    term.press("?").see("In a text");
    term.press("<esc>").gone("In a text").see("hello from broken");
    let ended_on = term.screen();
    term.signal(Signal::TERM);
    term.restored();
    assert_eq!(term.ended(), 0);

    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "what a person typed is for that person alone");
    let model = play(recorder::read(&file).unwrap());
    assert_eq!(screen(&model), ended_on);
    assert_eq!(model.nav.place().crumbs().len(), 4);
    if std::env::var_os("RENEW_RECORDINGS").is_some() {
        let folder = world.work().parent().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap().replace(&folder, "/home/ann");
        fs::write(KEPT, text).unwrap();
    }
}

#[test]
fn a_recording_that_is_kept_shows_what_it_showed() {
    let messages = recorder::read(Path::new(KEPT))
        .unwrap_or_else(|error| panic!("{error}; a message has changed: make the recording anew (see KEPT)"));
    assert!(messages.len() > 20);
    insta::assert_snapshot!(screen(&play(messages)));
}

#[test]
fn a_recording_is_never_written_over() {
    let world = World::new();
    fs::write(world.work().join("mine.jsonl"), "precious").unwrap();
    let mut term = world.console(&["--record", "mine.jsonl"]);
    assert_ne!(term.ended(), 0);
    term.see("mine.jsonl");
    assert_eq!(fs::read_to_string(world.work().join("mine.jsonl")).unwrap(), "precious");
}
