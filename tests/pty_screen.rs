//! What reaches the terminal: colours and characters that were asked for, nothing foreign, and in a read-only session
//! no way to change anything.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pty_support;

use std::fs;
use std::io::Write as _;

use pty_support::{Term, World};

/// One job that succeeds and one that fails, both ended.
fn world() -> World {
    let world = World::with_flock("meadow", "echo \"a line from $NAME\"; exit \"$CODE\"");
    world.job("lot/fine", r#"{"NAME": "fine", "CODE": 0}"#);
    world.job("lot/broken", r#"{"NAME": "broken", "CODE": 3}"#);
    world.run(&["batch", "--flock", "meadow", "--path", "lot", "--wait"]);
    world
}

/// The parameters of every SGR sequence.
fn styles(raw: &[u8]) -> Vec<u32> {
    let text = String::from_utf8_lossy(raw);
    let mut styles = Vec::new();
    for part in text.split("\x1b[").skip(1) {
        let parameters: String = part.chars().take_while(|c| c.is_ascii_digit() || *c == ';').collect();
        if part[parameters.len()..].starts_with('m') {
            styles.extend(parameters.split(';').filter_map(|number| number.parse::<u32>().ok()));
        }
    }
    styles
}

/// 39 and 49 are "the terminal's own", not a colour.
fn is_colour(style: &u32) -> bool {
    matches!(style, 30..=38 | 40..=48 | 90..=97 | 100..=107)
}

/// Goes through every kind of screen there is without changing anything.
fn look_around(term: &mut Term) {
    term.see("meadow");
    term.press("?").see("In a table");
    term.press("G").see("Everywhere").see("Show every key that works here");
    term.press("<esc>").gone("Show every key that works here");
    term.press("x").see("Create a flock on this machine");
    term.press("<esc>").gone("Create a flock on this machine");
    term.press(":jo").see("the jobs of this flock");
    term.press("<esc>").gone("the jobs of this flock");
    term.press("X").see("Remove the flock meadow?");
    term.press("<esc>").gone("Remove the flock meadow?");
    term.press("<enter>").see("succeeded").see("broken").see("fine");
    term.press("*").see("2 marked");
    term.press("/brok").see("1 hidden");
    term.press("<enter>").see("esc shows all");
    term.press("<enter>").see("1 Overview");
    term.press("L").see("a line from broken");
    term.resize(30, 8).see("too small");
    term.resize(80, 24).see("a line from broken");
    term.press("<esc>").see("1 Overview");
    term.press("<esc>").see("esc shows all");
    term.press("<esc>").see("fine");
    term.press("q").see("payload/run.sh");
    term.press("q").see("Quit Shepard?");
    term.press("y").restored();
    assert_eq!(term.ended(), 0);
}

#[test]
fn colours_are_used_unless_the_person_has_asked_for_none() {
    let world = world();
    let mut term = world.console(&[]);
    look_around(&mut term);
    assert!(styles(&term.raw()).iter().any(is_colour), "no colour at all");
    let mut term = world.console_with(&[], &[("NO_COLOR", "1")], (80, 24));
    look_around(&mut term);
    let styles = styles(&term.raw());
    assert!(!styles.iter().any(is_colour), "{styles:?}");
    assert!(
        styles.contains(&7) || styles.contains(&1),
        "without colour, weight and reverse tell things apart"
    );
}

#[test]
fn ascii_means_ascii() {
    let world = world();
    let mut term = world.console(&["--ascii"]);
    look_around(&mut term);
    let raw = term.raw();
    let foreign: String = String::from_utf8_lossy(&raw).chars().filter(|c| !c.is_ascii()).collect();
    assert!(foreign.is_empty(), "{foreign}");
}

#[test]
fn a_read_only_session_changes_nothing_and_offers_nothing_that_would() {
    let world = world();
    let mut term = world.console_with(&["--read-only"], &[], (100, 70));
    term.see("read-only").see("meadow").gone("b batch").gone("a new");
    term.press("?").see("Everywhere").gone("Remove the flock").gone("Create a flock");
    term.press("<esc>").gone("Everywhere");
    term.press("x").see("Open the command bar").gone("Remove the flock");
    term.press("<esc>").gone("Open the command bar");
    // Keys that change something do nothing; what follows them is the first thing to be seen.
    term.press("Xbaz<enter>")
        .see("succeeded")
        .gone("R retry")
        .gone("X terminate")
        .gone("b batch")
        .gone("D deploy");
    term.press("XRb?").see("Only what failed or was rejected").gone("Stop the job").gone("Run the job");
    term.press("<esc>").gone("Everywhere");
    term.press(":terminate<enter>").see("read-only");
    term.see("this session is read-only");
    term.press(":batch meadow<enter>").see("there is no command");
    term.press(":q!<enter>").restored();
    assert_eq!(term.ended(), 0);
    let journal = world.ok(&["journal", "--output", "json"]);
    assert!(!journal.contains("terminate") && !journal.contains("local rm"), "{journal}");
}

#[test]
fn a_deploy_without_an_engine_says_so_before_anything_is_built() {
    let world = World::with_flock("meadow", "true");
    let folder = world.work().join("tools");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("Dockerfile"), "FROM scratch").unwrap();
    fs::write(folder.join("data"), vec![0; 12_000]).unwrap();
    let nowhere = [("DOCKER_HOST", "unix:///nowhere/docker.sock")];
    let mut term = world.console_with(&[], &nowhere, (80, 24));
    term.see("meadow");
    term.press("D").see("Deploy to meadow");
    term.press("too").see("tab completes: tools/");
    term.press("<tab>").see("2 files, 12 kB").see("/nowhere/docker.sock").see("DOCKER_HOST");
    term.press("<enter>").see("Enter looks again");
    fs::write(folder.join("Dockerfile.txt"), "FROM scratch").unwrap();
    term.press("<enter>").see("both a Dockerfile and a");
    term.press("<esc>").gone("Deploy to meadow");
    term.press("v").see("Nothing was deployed yet");
    term.press(":q!<enter>").restored();
    assert_eq!(term.ended(), 0);
    let journal = world.ok(&["journal", "--output", "json"]);
    assert!(!journal.contains("\"deploy\""), "{journal}");
}

#[test]
fn what_others_wrote_never_reaches_the_terminal_as_it_is() {
    let world = World::with_flock(
        "meadow",
        "printf 'first \\033]0;pwned\\007\\033[31;5mRED\\033[0m \\033]52;c;cHduZWQ=\\007last\\n'; exit 3",
    );
    // A name that only a person with bad intent gives to a file.
    let key = "evil\u{1b}]0;pwned\u{7}\u{1b}[5mname.zip";
    let path = world.flock("meadow").join("inputs").join(key);
    let mut zip = zip::ZipWriter::new(fs::File::create(world.work().join("evil.zip")).unwrap());
    zip.start_file("inputs.txt", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(br#"{"EVIL": "\u001b]0;pwned\u0007\u001b[5mvalue"}"#).unwrap();
    zip.finish().unwrap();
    world.ok(&["local", "start", "meadow"]);
    fs::rename(world.work().join("evil.zip"), path).unwrap();
    let mut term = world.console_with(&[], &[], (160, 40));
    term.see("meadow");
    term.press("<enter>").see("evil").see("name").see("1 failed");
    term.press("<enter>").see("1 Overview");
    term.press("2").see("value");
    term.press("5").see("EVIL");
    term.press("L").see("first RED last");
    term.press("/RED<enter>").see("RED");
    term.press(":quit<enter>").see("Quit Shepard?");
    term.press("y").restored();
    let raw = String::from_utf8_lossy(&term.raw()).into_owned();
    for sequence in ["\u{1b}]0;", "\u{1b}]52", "\u{1b}[31;5m", "\u{1b}[5m", "\u{7}"] {
        assert!(!raw.contains(sequence), "{sequence:?} got through");
    }
}
