//! Key scripts for the journal: order, filter, the entry alone, copying, and how it looks.

use crate::app::effect::{Effect, Request};
use crate::app::msg::{JournalRow, Loaded, Msg};
use crate::app::nav::Place;
use crate::app::remote::{Problem, ProblemKind};
use crate::screens::drive::{Drive, NOW};

fn entry(ago_s: i64, action: &str, flock: &str, target: &str, result: &str) -> JournalRow {
    JournalRow {
        at_ms: NOW - ago_s * 1_000,
        who: "ann@workstation".to_owned(),
        action: action.to_owned(),
        flock: flock.to_owned(),
        target: target.to_owned(),
        command: format!("shepard {action} --flock {flock} '{target}'"),
        result: result.to_owned(),
    }
}

/// Newest first, as they come.
fn entries() -> Vec<JournalRow> {
    vec![
        entry(5, "terminate", "demo", "0f3c9a7e-1111 and 11 more", "ok"),
        entry(
            600,
            "retry",
            "night",
            "91aa0b3c-2222",
            "the job is running; only jobs that ended can be run again",
        ),
        entry(4_000, "batch", "demo", "/home/ann/a/very/long/path/to/the/runs/of/january", "ok"),
        entry(90_000, "local create", "demo", "", "ok"),
    ]
}

fn load(drive: &mut Drive, rows: Vec<JournalRow>) {
    drive.say(Msg::Loaded(Loaded::Journal(Ok(rows))));
}

fn journal() -> Drive {
    let mut drive = Drive::at(Place::Journal);
    assert_eq!(drive.loads(), [Request::Journal]);
    load(&mut drive, entries());
    drive
}

/// The actions, in the order of the rows.
fn actions(drive: &mut Drive) -> Vec<&'static str> {
    let picture = drive.picture(120, 40);
    let words = ["terminate", "retry", "batch", "local create"];
    picture
        .lines()
        .filter(|line| line.contains("2026-01-"))
        .filter_map(|line| words.into_iter().find(|word| line.contains(&format!(" {word} "))))
        .collect()
}

fn copied(drive: &Drive) -> Vec<String> {
    let text = |effect: &Effect| if let Effect::Copy(text) = effect { Some(text.clone()) } else { None };
    drive.effects.iter().filter_map(text).collect()
}

#[test]
fn newest_first_until_sorted_otherwise() {
    let mut drive = journal();
    assert_eq!(actions(&mut drive), ["terminate", "retry", "batch", "local create"]);
    drive.press("S");
    assert_eq!(actions(&mut drive), ["local create", "batch", "retry", "terminate"]);
    drive.press("s");
    assert_eq!(actions(&mut drive), ["batch", "local create", "retry", "terminate"], "by what was done");
    drive.press("ss");
    assert_eq!(actions(&mut drive)[0], "local create", "by target, the empty one first");
}

#[test]
fn the_filter_looks_at_everything_and_can_be_turned_round() {
    let mut drive = journal();
    drive.press("/JANUARY");
    assert_eq!(actions(&mut drive), ["batch"]);
    drive.press("<esc>");
    assert_eq!(actions(&mut drive).len(), 4, "Escape brings back what was there");
    drive.press("/demo !batch<enter>");
    assert_eq!(actions(&mut drive), ["terminate", "local create"]);
    drive.press("<esc>");
    assert_eq!(actions(&mut drive).len(), 4);
    assert_eq!(drive.model.nav.place(), &Place::Journal, "one layer at a time");
    drive.press("<esc>");
    assert_eq!(drive.model.nav.place(), &Place::Flocks);
}

#[test]
fn the_selected_entry_stays_selected_when_others_come() {
    let mut drive = journal();
    drive.press("j");
    let mut more = entries();
    more.insert(0, entry(1, "batch", "demo", "new", "ok"));
    load(&mut drive, more);
    drive.press("c");
    assert_eq!(copied(&drive), ["shepard retry --flock night '91aa0b3c-2222'"]);
    drive.press("<enter>");
    let mut more = entries();
    more.insert(0, entry(0, "batch", "demo", "newer", "ok"));
    load(&mut drive, more);
    assert!(drive.picture(80, 24).contains("91aa0b3c-2222"), "the entry alone is still that one");
    load(&mut drive, Vec::new());
    assert!(drive.picture(80, 24).contains("nothing was done yet"));
}

#[test]
fn the_command_is_copied_from_the_table_and_from_the_entry_alone() {
    let mut drive = journal();
    drive.press("c<enter>c");
    assert_eq!(copied(&drive).len(), 2);
    drive.press("<esc>jj<enter>q");
    assert_eq!(drive.model.nav.place(), &Place::Journal, "q leaves the entry, not the journal");
    assert_eq!(actions(&mut drive).len(), 4);
}

#[test]
fn foreign_text_is_harmless_on_the_screen_and_in_the_clipboard() {
    let mut drive = journal();
    let mut row = entry(1, "batch", "demo", "x\u{1b}[2Jy", "bad\u{1b}]52;c;eA==\u{7}");
    row.command = "shepard batch 'a\nrm -rf x\u{1b}[31m'".to_owned();
    load(&mut drive, vec![row]);
    for _ in 0..2 {
        let picture = drive.picture(80, 24);
        assert!(!picture.contains('\u{1b}') && !picture.contains("52;c"), "{picture}");
        drive.press("<enter>");
    }
    drive.press("c");
    assert_eq!(copied(&drive), ["shepard batch 'a·rm -rf x'"]);
}

#[test]
fn no_key_leads_out_of_a_list() {
    for rows in [Vec::new(), entries(), (0..500).map(|at| entry(at, "batch", "demo", "x", "ok")).collect()] {
        let mut drive = journal();
        load(&mut drive, rows);
        for keys in
            ["G", "j", "<pgdn>", "g", "k", "<pgup>", "G", "S", "W<right><right><left>", "<enter>G", "<esc>"]
        {
            drive.press(keys);
            for (width, height) in [(80, 24), (40, 10), (120, 40)] {
                drive.picture(width, height);
            }
        }
    }
}

#[test]
fn a_command_line_longer_than_the_terminal_is_scrolled_to_its_end() {
    let mut drive = journal();
    let ids: Vec<String> = (0..100).map(|at| format!("{at:032x}")).collect();
    let mut row = entry(1, "retry", "demo", &format!("{} and 99 more", ids[0]), "ok");
    row.command = format!("shepard retry --flock demo {}", ids.join(" "));
    load(&mut drive, vec![row]);
    assert!(drive.picture(80, 24).contains("00000000 +99"), "{}", drive.picture(80, 24));
    drive.press("<enter>");
    assert!(drive.picture(80, 24).contains("below"));
    drive.press("G");
    let end = drive.picture(80, 24);
    assert!(end.contains(&ids[99]) && end.contains("above") && !end.contains("below"), "{end}");
    drive.press("c");
    assert!(copied(&drive)[0].ends_with(&ids[99]), "copied whole");
}

#[test]
fn pictures() {
    for (width, height) in [(80, 24), (120, 40)] {
        let picture = |drive: &mut Drive, name: &str| {
            insta::assert_snapshot!(format!("journal_{name}_{width}"), drive.picture(width, height));
        };
        let mut drive = Drive::at(Place::Journal);
        picture(&mut drive, "reading");
        load(&mut drive, Vec::new());
        picture(&mut drive, "empty");
        load(&mut drive, entries());
        picture(&mut drive, "table");
        drive.press("j<enter>");
        picture(&mut drive, "entry");
        drive.press("<esc>/zzz<enter>");
        picture(&mut drive, "no_match");
        let mut drive = journal();
        let problem = Problem::new(
            ProblemKind::Other,
            "cannot read /home/ann/.local/state/shepard/journal.jsonl: denied",
        );
        drive.say(Msg::Loaded(Loaded::Journal(Err(problem))));
        picture(&mut drive, "stale");
    }
}
