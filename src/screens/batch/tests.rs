//! Key scripts for the form that batches: what it asks for, what it sends, and how it looks.

use crate::app::effect::{Command, Request};
use crate::app::msg::{Msg, Preflight, PreflightJob};
use crate::app::nav::Place;
use crate::app::overlay::Overlay;
use crate::screens::drive::Drive;

const HOME: &str = "/home/ann/";
const RUNS: &str = "/home/ann/runs/";

fn form() -> Drive {
    Drive::at(Place::Batch { flock: "demo".to_owned() })
}

/// A form whose path is [`RUNS`].
fn with_runs() -> Drive {
    let mut drive = form();
    drive.press("runs/");
    drive.loads();
    drive
}

fn job(name: &str, problem: Option<&str>) -> PreflightJob {
    PreflightJob {
        name: name.to_owned(),
        files: 3,
        bytes: 400_000,
        variables: 4,
        problem: problem.map(str::to_owned),
    }
}

fn good(jobs: usize) -> Preflight {
    let jobs: Vec<PreflightJob> = (1..=jobs).map(|at| job(&format!("sample-{at:02}"), None)).collect();
    Preflight { bytes: jobs.len() as u64 * 400_000, jobs, warnings: Vec::new() }
}

fn mixed() -> Preflight {
    let mut report = good(11);
    let reserved = "inputs.txt: uuid is a reserved keyword; give the variable another name";
    report.jobs.insert(4, job("sample-04b", Some(reserved)));
    report.warnings = vec![
        "2 file(s) directly in /home/ann/runs/ belong to no job and stay behind".to_owned(),
        "sample-07: its content is the same as that of sample-02".to_owned(),
    ];
    report
}

fn preflight(path: &str) -> Request {
    Request::Preflight { flock: "demo".to_owned(), path: path.to_owned() }
}

fn paths(text: &str) -> Request {
    Request::Paths { text: text.to_owned() }
}

fn batched(drive: &Drive) -> Vec<(String, Option<String>)> {
    drive
        .begun()
        .into_iter()
        .map(|(_, command)| match command {
            Command::Batch { flock, path, tag } if flock == "demo" => (path.clone(), tag.clone()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn is_on_the_form(drive: &Drive) -> bool {
    matches!(drive.model.nav.place(), Place::Batch { .. })
}

#[test]
fn every_change_of_the_path_is_asked_about_and_of_the_tag_nothing() {
    let mut drive = form();
    assert_eq!(drive.loads(), [paths(HOME), preflight(HOME)]);
    drive.press("r<backspace>");
    let asked = [paths("/home/ann/r"), preflight("/home/ann/r"), paths(HOME), preflight(HOME)];
    assert_eq!(drive.loads(), asked);
    drive.press("<left><home><end>");
    drive.say(Msg::Paste("runs\u{1b}/\n".to_owned()));
    assert_eq!(drive.loads(), [paths(RUNS), preflight(RUNS)], "a pasted newline does not submit");
    drive.press("<down>night");
    assert_eq!(drive.loads(), []);
}

#[test]
fn tab_completes_then_moves_on() {
    let mut drive = form();
    drive.paths(HOME, &["/home/ann/runs-a/", "/home/ann/runs-b/"]);
    drive.loads();
    drive.press("<tab>");
    assert_eq!(drive.loads(), [paths("/home/ann/runs-"), preflight("/home/ann/runs-")]);
    drive.paths("/home/ann/runs-", &["/home/ann/runs-a/", "/home/ann/runs-b/"]);
    drive.press("<tab>a");
    assert_eq!(
        drive.loads().last(),
        Some(&preflight("/home/ann/runs-a")),
        "several ways: it stays in the path"
    );
    // Tab before the answer is remembered.
    drive.press("<tab>");
    assert_eq!(drive.loads(), []);
    drive.paths("/home/ann/runs-", &["/home/ann/runs-zzz/"]);
    assert_eq!(drive.loads(), [], "an answer to an earlier text is none");
    drive.paths("/home/ann/runs-a", &["/home/ann/runs-a/"]);
    assert_eq!(drive.loads(), [paths("/home/ann/runs-a/"), preflight("/home/ann/runs-a/")]);
    drive.paths("/home/ann/runs-a/", &["/home/ann/runs-a/1/", "/home/ann/runs-a/2/"]);
    drive.preflight("/home/ann/runs-a/", Ok(good(2)));
    // It can be batched, so it is whole: Tab goes on to the tag.
    drive.press("<tab>night<enter>");
    assert_eq!(batched(&drive), [("/home/ann/runs-a/".to_owned(), Some("night".to_owned()))]);
}

#[test]
fn enter_batches_what_was_found_and_leaves_the_form() {
    let mut drive = with_runs();
    drive.preflight(RUNS, Ok(good(2)));
    drive.press("<enter>");
    assert_eq!(batched(&drive), [(RUNS.to_owned(), None)]);
    assert_eq!(drive.model.nav.place(), &Place::Jobs { flock: "demo".to_owned() });
    drive.press("b");
    assert!(is_on_the_form(&drive));
    assert_eq!(drive.loads().last(), Some(&preflight(HOME)), "a new form begins anew");
}

#[test]
fn enter_before_the_answer_is_remembered_and_forgotten_by_an_edit() {
    let mut drive = with_runs();
    drive.press("<enter>");
    drive.preflight(HOME, Ok(good(1)));
    assert_eq!(batched(&drive), [], "the answer is about another folder");
    drive.preflight(RUNS, Ok(good(1)));
    assert_eq!(batched(&drive), [(RUNS.to_owned(), None)]);

    let mut drive = with_runs();
    drive.press("<enter><backspace>/");
    drive.preflight(RUNS, Ok(good(1)));
    assert_eq!(batched(&drive), []);
    drive.press("<esc>");
    assert_eq!(batched(&drive), []);
    assert!(!is_on_the_form(&drive));
}

#[test]
fn what_is_refused_is_listed_before_the_rest_is_batched() {
    let mut drive = with_runs();
    drive.preflight(RUNS, Ok(mixed()));
    drive.press("<enter>");
    let Some(Overlay::Dialog(dialog)) = &drive.model.overlay else { panic!("no question") };
    assert_eq!(dialog.title, "1 of 12 cannot be batched. Batch the other 11?");
    assert_eq!(dialog.lines.len(), 1);
    assert!(dialog.lines[0].starts_with("sample-04b: inputs.txt"));
    insta::assert_snapshot!("batch_question_80", drive.picture(80, 24));
    drive.press("<enter>");
    assert_eq!(batched(&drive), [], "Cancel has the focus");
    assert!(is_on_the_form(&drive));
    drive.press("<enter>y");
    assert_eq!(batched(&drive).len(), 1);
    assert!(!is_on_the_form(&drive));
}

#[test]
fn what_cannot_be_batched_is_looked_at_again_by_enter() {
    let mut drive = with_runs();
    let all_bad = Preflight { jobs: vec![job("a", Some("no"))], ..Preflight::default() };
    drive.preflight(RUNS, Ok(all_bad.clone()));
    drive.press("<enter>");
    assert_eq!(drive.loads(), [preflight(RUNS)]);
    drive.preflight(RUNS, Ok(all_bad));
    assert_eq!(drive.loads(), [], "and not for ever");
    assert_eq!(batched(&drive), []);
    drive.press("<enter>");
    drive.preflight(RUNS, Ok(good(1)));
    assert_eq!(batched(&drive).len(), 1, "it was mended meanwhile");
}

#[test]
fn an_empty_path_and_a_bad_tag_are_said_where_they_are() {
    let mut drive = form();
    drive.press("<ctrl-u><enter>");
    assert!(drive.picture(80, 24).contains("error: type or paste the path"));
    drive.press("/x<down>a/../b");
    assert!(drive.picture(80, 24).contains("leads out of the bucket"), "{}", drive.picture(80, 24));
    drive.preflight("/x", Ok(good(1)));
    drive.press("<up><enter>");
    assert_eq!(batched(&drive), []);
    drive.press("<ctrl-u>ok<enter>");
    assert_eq!(batched(&drive), [("/x".to_owned(), Some("ok".to_owned()))], "the tag had the focus");
}

#[test]
fn a_read_only_session_batches_nothing() {
    let mut drive = with_runs();
    drive.model.session.read_only = true;
    drive.preflight(RUNS, Ok(good(2)));
    drive.press("<enter>");
    assert_eq!(batched(&drive), []);
    assert!(is_on_the_form(&drive));
}

#[test]
fn letters_that_are_keys_elsewhere_are_typed_here() {
    let mut drive = form();
    drive.press("?:q[");
    assert_eq!(drive.loads().last(), Some(&preflight("/home/ann/?:q[")));
    assert!(drive.model.overlay.is_none() && is_on_the_form(&drive));
}

#[test]
fn foreign_names_are_harmless() {
    let mut drive = with_runs();
    let mut report = mixed();
    report.jobs[0].name = "a\u{1b}]0;owned\u{7}b\u{202e}c".to_owned();
    report.jobs[4].problem = Some("bad\u{1b}[2J".to_owned());
    report.warnings[0] = "odd\u{7}".to_owned();
    drive.paths(RUNS, &["/home/ann/runs/x\u{1b}[31my/"]);
    drive.preflight(RUNS, Ok(report));
    let picture = drive.picture(120, 40);
    assert!(!picture.contains('\u{1b}') && !picture.contains('\u{7}') && !picture.contains("owned"));
    drive.press("<enter>");
    assert!(!drive.picture(80, 24).contains('\u{1b}'));
}

#[test]
fn a_long_list_is_scrolled_to_its_end_and_not_beyond() {
    let mut drive = with_runs();
    drive.preflight(RUNS, Ok(good(40)));
    let first = drive.picture(80, 24);
    assert!(first.contains("sample-01") && !first.contains("sample-40") && first.contains("below (pgdn)"));
    drive.press("<pgdn><pgdn><pgdn><pgdn><pgdn>");
    let last = drive.picture(80, 24);
    assert!(last.contains("sample-40") && last.contains("sample-30") && !last.contains("below"), "{last}");
    drive.press("<pgup><pgup><pgup><pgup><pgup>");
    assert_eq!(drive.picture(80, 24), first);
    drive.preflight(RUNS, Ok(good(1)));
}

#[test]
fn no_terminal_is_too_small_to_draw() {
    let mut drive = with_runs();
    drive.preflight(RUNS, Ok(mixed()));
    for (width, height) in [(40, 10), (41, 11), (60, 12), (20, 3)] {
        drive.press("<pgdn>");
        drive.picture(width, height);
    }
}

#[test]
fn pictures() {
    for (width, height) in [(80, 24), (120, 40)] {
        let picture = |drive: &mut Drive, name: &str| {
            insta::assert_snapshot!(format!("batch_{name}_{width}"), drive.picture(width, height));
        };
        let mut drive = form();
        picture(&mut drive, "just_opened");
        let files = ["Documents/", "Downloads/", "notes.txt", "old/", "results/", "runs/", "todo.txt"];
        let files = files.map(|name| format!("{HOME}{name}"));
        drive.paths(HOME, &files.each_ref().map(String::as_str));
        let none = "there is no inputs.txt in /home/ann/, and no zip and no folder with an inputs.txt in it; a job \
                    is a folder with an inputs.txt, which holds one JSON object of variables (`{}` will do)";
        drive.preflight(HOME, Err(none));
        picture(&mut drive, "completing");
        drive.press("nowhere");
        drive.paths("/home/ann/nowhere", &[]);
        drive.preflight(
            "/home/ann/nowhere",
            Err("cannot batch /home/ann/nowhere: there is no such file or folder"),
        );
        picture(&mut drive, "error");
        let mut drive = with_runs();
        drive.paths(RUNS, &["/home/ann/runs/sample-01/", "/home/ann/runs/sample-02/"]);
        drive.press("<enter>");
        picture(&mut drive, "waiting");
        let mut drive = with_runs();
        drive.paths(RUNS, &["/home/ann/runs/sample-01/", "/home/ann/runs/sample-02/"]);
        drive.preflight(RUNS, Ok(good(30)));
        picture(&mut drive, "ok");
        let mut drive = with_runs();
        drive.preflight(RUNS, Ok(mixed()));
        drive.press("<down>night/");
        picture(&mut drive, "problems");
    }
}
