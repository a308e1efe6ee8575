//! The console in a real terminal: taken, resized, left alone, stopped, and given back whatever happens.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pty_support;

use std::fs;
use std::time::Duration;

use pty_support::{World, eventually, example, stat, ticks};
use rustix::process::Signal;

/// A world with one flock, in which nothing runs.
fn world() -> World {
    World::with_flock("meadow", "true")
}

#[test]
fn the_console_opens_on_the_flocks_and_asks_before_it_is_left() {
    let world = world();
    let mut term = world.console(&[]);
    term.see("meadow").see("payload/run.sh").see("stopped");
    assert!(term.is_taken());
    term.press("q").see("Quit Shepard?");
    term.press("n").gone("Quit Shepard?");
    term.press("q").see("Quit Shepard?");
    term.press("y").restored();
    assert_eq!(term.ended(), 0);
    assert!(!term.screen().contains("meadow"), "the screen from before is back:\n{}", term.screen());
}

#[test]
fn without_a_flock_it_says_how_to_make_one() {
    let world = World::new();
    let mut term = world.console(&[]);
    term.see("No flock yet. Press a to create one");
    term.press(":quit<enter>").see("Quit Shepard?");
    term.press("<tab><enter>").restored();
    assert_eq!(term.ended(), 0);
}

#[test]
fn control_c_twice_leaves_and_once_does_not() {
    let world = world();
    let mut term = world.console(&[]);
    term.see("meadow");
    term.press("<ctrl-c>").see("Ctrl-C again quits");
    assert!(term.is_taken());
    // Two at once, for only those within two seconds count and this machine may be slow.
    term.press("<ctrl-c><ctrl-c>").restored();
    assert_eq!(term.ended(), 0);
}

#[test]
fn the_screen_follows_the_size_of_the_terminal() {
    let world = world();
    let mut term = world.console(&[]);
    let bottom = |term: &pty_support::Term, rows: usize| {
        term.until("the footer is not on the last line", move |screen| {
            let (height, width) = screen.size();
            usize::from(height.get()) == rows
                && screen.rows(0, width.get()).last().is_some_and(|line| line.contains("? help"))
                && screen.rows(0, width.get()).next().is_some_and(|line| line.contains("shepard"))
        });
        term.see("meadow");
    };
    bottom(&term, 24);
    term.resize(120, 40);
    bottom(&term, 40);
    term.resize(50, 12);
    bottom(&term, 12);
    term.resize(30, 8).see("too small: 30x8").see("needs 40x10").gone("meadow");
    term.resize(80, 24);
    bottom(&term, 24);
    term.press("q").see("Quit Shepard?");
    term.press("y").restored();
}

#[test]
fn control_l_draws_over_what_others_wrote_and_the_terminal_is_asked_nothing() {
    let world = world();
    let mut term = world.console(&[]);
    term.see("meadow");
    term.scribble("\x1b[5;5Ha message from the kernel");
    term.see("a message from the kernel");
    term.press("<ctrl-l>").gone("a message from the kernel").see("meadow").see("? help");
    let raw = String::from_utf8_lossy(&term.raw()).into_owned();
    // Where the cursor is, what the terminal is, which colours it has: answers that may never come.
    for question in ["\x1b[6n", "\x1b[5n", "\x1b[c", "\x1b[>c", "\x1b[?u", "]10;?", "]11;?", "\x1bP+q"] {
        assert!(!raw.contains(question), "it asks {question:?}");
    }
}

#[test]
fn signals_end_it_and_give_the_terminal_back() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let world = world();
        let mut term = world.console(&[]);
        term.see("meadow");
        term.signal(signal);
        term.restored();
        assert_eq!(term.ended(), 0, "{signal:?}");
    }
}

#[test]
fn a_window_that_is_closed_leaves_no_process_behind() {
    let world = world();
    let mut term = world.console(&[]);
    term.see("meadow");
    term.hang_up();
    term.ended();
}

#[test]
fn a_panic_of_the_drawing_thread_is_read_on_the_normal_screen() {
    let world = World::new();
    let program = example("panic_console");
    let mut term = world.spawn(program.to_str().unwrap(), &["drawing"], &[], (80, 24));
    term.restored().see("the drawing thread is at its end").gone("the screen is taken");
    assert_ne!(term.ended(), 0);
    assert!(term.screen().contains("panic_console.rs"), "it says where:\n{}", term.screen());
}

#[test]
fn a_panic_in_the_background_leaves_the_screen_alone() {
    let world = World::new();
    let program = example("panic_console");
    let mut term = world.spawn(program.to_str().unwrap(), &["background"], &[], (80, 24));
    term.see("the screen is still taken: it has panicked");
    assert!(term.is_taken());
    assert!(!term.screen().contains("at its end"), "{}", term.screen());
    term.press("<enter>").restored();
    assert_eq!(term.ended(), 0);
}

#[test]
fn control_z_gives_the_terminal_to_the_shell_and_fg_takes_it_back() {
    let world = world();
    // Only a shell with job control can stop a job and let it go on.
    let mut shell =
        world.spawn("bash", &["--norc", "--noprofile", "-i"], &[("PS1", "at-the-shell> ")], (80, 24));
    shell.see("at-the-shell>");
    shell.type_text(&format!("{}\r", env!("CARGO_BIN_EXE_shepard"))).see("meadow");
    let console = fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.pid())).unwrap();
    let console: u32 = console.trim().parse().unwrap();
    shell.press("<ctrl-z>").see("Stopped");
    // Bracketed paste is the shell's own again.
    shell.until("the screen is never given back", |screen| {
        !screen.alternate_screen() && !screen.hide_cursor()
    });
    eventually("the console is not stopped", || stat(console)[0] == "T");
    // What happens meanwhile is there afterwards.
    world.ok(&["local", "create", "pasture", "--command", "true"]);
    shell.type_text("echo the shell works; fg\r").see("pasture").see("? help");
    assert!(shell.is_taken());
    shell.press("q").see("Quit Shepard?");
    shell.press("y").see("the shell works").see("at-the-shell>");
    shell.type_text("exit\r");
    assert_eq!(shell.ended(), 0);
}

#[test]
fn an_idle_console_draws_nothing_and_computes_nothing() {
    let world = world();
    world.job("one", r#"{"N": 1}"#);
    world.ok(&["batch", "--flock", "meadow", "--path", "one", "--wait"]);
    world.ok(&["local", "stop", "meadow"]);
    for (keys, text) in [("", "meadow"), ("<enter>", "succeeded")] {
        let mut term = world.console(&[]);
        term.see("meadow");
        term.press(keys).see(text);
        let window = Duration::from_secs(3);
        // It may take a moment until everything is read; after that there is nothing to say.
        let idle = (0..20).find_map(|_| {
            let before = ticks(term.pid());
            (term.bytes_in(window) == 0).then(|| ticks(term.pid()) - before)
        });
        let spent = idle.expect("it never stops drawing");
        assert!(spent <= 3, "{spent} ticks in {window:?} with {text:?} on the screen");
    }
}

#[test]
fn keys_typed_while_the_terminal_is_resized_do_not_wait_for_another_key() {
    let world = World::new();
    let mut term = world.console(&[]);
    term.see("No flock yet");
    for round in 0..20 {
        term.resize(80 + round, 24);
        term.press("?").see("In a table");
        term.press("<esc>").gone("In a table");
    }
    term.press(":q!<enter>").restored();
}
