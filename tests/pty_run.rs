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
