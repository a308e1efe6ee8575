//! A whole piece of work by keys alone: from a machine without a flock to results on its disk, and back to none.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pty_support;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use pty_support::{World, eventually};

const PAYLOAD: &str = "echo \"hello from $NAME\"\necho \"a needle in the hay of $NAME\"\n\
                       echo \"result of $NAME\" > \"$ROOT_OUTPUT_NAME/result.txt\"\nexit \"$CODE\"\n";

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { files(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

#[test]
fn from_nothing_to_results_on_the_disk() {
    let world = World::new();
    world.payload("payload", PAYLOAD);
    world.job("lot/fine", r#"{"NAME": "fine", "CODE": 0, "TAG": "hay"}"#);
    world.job("lot/broken", r#"{"NAME": "broken", "CODE": 3}"#);
    let mut term = world.console(&[]);

    term.see("No flock yet");
    term.press("a").see("A new flock on this machine");
    term.press("meadow<tab><tab>pay").see("work/pay");
    term.press("<tab>").see("work/payload/");
    term.press("<enter>").see("No jobs yet").see("flocks › meadow");

    term.press("b").see("Batch into meadow");
    term.press("lo").see("work/lo");
    term.press("<tab>").see("work/lot/").see("2 jobs").see("fine").see("broken");
    term.press("<enter>").see("2 jobs batched into meadow");
    term.see("1 succeeded").see("1 failed").see("0 running");

    term.press("!").see("state:failed").see("1/1").see("exit code 3");
    term.press("<enter>").see("1 Overview").see("exit code");
    term.press("L").see("hello from broken").see("a needle in the hay of broken");
    term.press("/needle").see("/needle").see("1/1");
    term.press("<enter>").see("a needle in the hay of broken");
    // The first Escape takes the search away, the second one leaves.
    term.press("<esc>").gone("/needle");
    term.press("<esc>").see("1 Overview");
    term.press("<esc>").see("state:failed");

    term.press("!").see("fine").see("broken");
    term.press("/state:succeeded<enter>").see("1/1").see("fine");
    term.press("o").see("fetch results into");
    term.press("/hay").see("results/hay");
    term.press("<enter>").see("fetched to");
    let mut found = Vec::new();
    files(&world.work().join("results/hay"), &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
    let mut zip = zip::ZipArchive::new(File::open(&found[0]).unwrap()).unwrap();
    let mut result = String::new();
    zip.by_name("result.txt").unwrap().read_to_string(&mut result).unwrap();
    assert_eq!(result, "result of fine\n");

    term.press(":journal<enter>").see("flocks › journal").see("create").see("batch").see("retrieve");
    term.press("<enter>").see("The command line that does the same").see("shepard retrieve --flock meadow");
    // What was made is said in a message, too: only the list has this head.
    term.press("<esc>").see("WHEN (UTC)").gone("The command line");

    term.press(":flocks<enter>").see("payload/run.sh").see("running");
    term.press("X").see("Remove the flock meadow?");
    // Half a name is not consent.
    term.press("mead<enter>").see("Remove the flock meadow?");
    term.press("ow<enter>").see("removed the flock meadow").see("No flock yet");
    eventually("the flock is still on the disk", || !world.flock("meadow").exists());
    term.press("q").see("Quit Shepard?");
    term.press("y").restored();
    assert_eq!(term.ended(), 0);
}

#[test]
fn secrets_are_pushed_by_name_and_no_value_is_shown_recorded_or_logged() {
    const CANARY: &str = "canary-3f1c9a57-canary";
    let world = World::with_flock("meadow", "true\n");
    let folder = world.work().join("keys");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("token"), CANARY).unwrap();
    fs::write(folder.join(".pgpass"), CANARY).unwrap();
    let record = world.work().join("session");
    let mut term = world.console(&["--record", record.to_str().unwrap(), "--log-level", "trace"]);
    let path = folder.to_str().unwrap();

    term.see("meadow");
    term.press("K").see("Secrets of meadow").see("there are no secrets yet");
    term.type_text(path).see("2 added").see("added      .pgpass").see("added      token");
    term.press("<enter>").see("meadow has 2 secrets now");
    assert_eq!(fs::read_to_string(world.flock("meadow").join("secrets/token")).unwrap(), CANARY);

    // Another value and a file less: that is typed out, or not done.
    fs::write(folder.join("token"), CANARY.repeat(2)).unwrap();
    fs::remove_file(folder.join(".pgpass")).unwrap();
    term.press("K").see("2 secrets");
    term.type_text(path).see("1 removed").see("1 changed");
    term.press("<enter>").see("Replace secrets of meadow?");
    term.press("<enter>mead<enter>").see("Replace secrets of meadow?");
    term.press("ow<enter>").see("meadow has 1 secret now");
    assert!(!world.flock("meadow").join("secrets/.pgpass").exists());
    term.press(":journal<enter>").see("flocks › journal").see("secrets push");
    term.press("qq").see("Quit Shepard?");
    term.press("y").restored();
    assert_eq!(term.ended(), 0);

    let held = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
    assert!(!held(&term.raw()), "it was on the screen");
    let recorded = fs::read(&record).unwrap();
    assert!(!held(&recorded) && String::from_utf8_lossy(&recorded).contains("token"));
    let mut left = Vec::new();
    files(world.work().parent().unwrap(), &mut left);
    let kept = world.flock("meadow").join("secrets/token");
    left.retain(|path| *path != kept && !path.starts_with(&folder));
    assert!(left.len() > 3, "log, journal, settings: {left:?}");
    left.retain(|path| fs::read(path).is_ok_and(|bytes| held(&bytes)));
    assert_eq!(left, Vec::<PathBuf>::new());
}
