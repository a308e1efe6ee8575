//! Key scripts for the form that pushes secrets: what it asks for, what it sends, and how it looks.

use crate::app::Action;
use crate::app::effect::{Command, Request};
use crate::app::msg::{Loaded, Msg, SecretsAnswer, SecretsDiff, SecretsReport};
use crate::app::nav::Place;
use crate::app::overlay::Overlay;
use crate::app::remote::{Problem, ProblemKind};
use crate::screens::drive::Drive;

const FOLDER: &str = "/home/ann/secrets";

fn form() -> Drive {
    Drive::at(Place::Secrets { flock: "demo".to_owned() })
}

fn request(path: &str, merge: bool) -> Request {
    Request::Secrets { flock: "demo".to_owned(), path: path.to_owned(), merge }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn diff(added: &[&str], changed: &[&str], removed: &[&str], unchanged: &[&str]) -> SecretsReport {
    let asked = added.len() + changed.len() + unchanged.len();
    let diff = SecretsDiff {
        added: names(added),
        changed: names(changed),
        removed: names(removed),
        unchanged: names(unchanged),
    };
    SecretsReport { diff: Some(diff), asked, ..SecretsReport::default() }
}

/// What is there now, with no folder.
fn stored(unchanged: &[&str]) -> SecretsReport {
    SecretsReport { asked: 0, ..diff(&[], &[], &[], unchanged) }
}

fn answer(drive: &mut Drive, path: &str, merge: bool, report: Result<SecretsReport, &str>) {
    let report = report.map_err(|text| Problem::new(ProblemKind::NotFound, text));
    let (flock, path) = ("demo".to_owned(), path.to_owned());
    drive.say(Msg::Loaded(Loaded::Secrets(SecretsAnswer { flock, path, merge, report })));
}

/// The form with [`FOLDER`] typed and answered.
fn with(report: SecretsReport) -> Drive {
    let mut drive = form();
    drive.press(FOLDER);
    answer(&mut drive, FOLDER, false, Ok(report));
    drive
}

fn pushed(drive: &Drive) -> Vec<Command> {
    drive.begun().into_iter().map(|(_, command)| command.clone()).collect()
}

fn is_on_the_form(drive: &Drive) -> bool {
    matches!(drive.model.nav.place(), Place::Secrets { .. })
}

#[test]
fn it_shows_the_names_there_are_and_then_what_would_become_of_them() {
    let mut drive = form();
    assert_eq!(drive.loads(), [Request::Paths { text: String::new() }, request("", false)]);
    insta::assert_snapshot!("secrets_loading_80", drive.picture(80, 24));
    answer(&mut drive, "", false, Ok(stored(&["db-password", "token"])));
    insta::assert_snapshot!("secrets_stored_80", drive.picture(80, 24));
    drive.press(FOLDER);
    assert_eq!(drive.loads().last(), Some(&request(FOLDER, false)));
    let report = SecretsReport {
        skipped: names(&["old-keys"]),
        ..diff(&[".pgpass", "licence"], &["token"], &["db-password"], &["ca.pem"])
    };
    answer(&mut drive, FOLDER, false, Ok(report));
    insta::assert_snapshot!("secrets_diff_80", drive.picture(80, 24));
    insta::assert_snapshot!("secrets_diff_120", drive.picture(120, 40));
}

#[test]
fn an_answer_to_something_else_is_none() {
    let mut drive = form();
    drive.press(FOLDER);
    answer(&mut drive, "/home/ann/secret", false, Ok(diff(&["wrong"], &[], &[], &[])));
    answer(&mut drive, FOLDER, true, Ok(diff(&["wrong"], &[], &[], &[])));
    assert!(!drive.picture(80, 24).contains("wrong"));
    drive.press("<down><space>");
    assert_eq!(drive.loads().last(), Some(&request(FOLDER, true)), "what is kept changes what becomes of it");
    answer(&mut drive, FOLDER, true, Ok(diff(&["right"], &[], &[], &["kept"])));
    assert!(drive.picture(80, 24).contains("right"));
}

#[test]
fn what_is_only_new_is_pushed_at_once() {
    let report = diff(&["token"], &[], &[], &["a"]);
    let mut drive = with(report.clone());
    drive.press("<enter>");
    let command = Command::PushSecrets {
        flock: "demo".to_owned(),
        path: FOLDER.to_owned(),
        merge: false,
        seen: report.diff.map(Box::new),
    };
    assert_eq!(pushed(&drive), [command]);
    assert!(!is_on_the_form(&drive));
    drive.finish(Ok("1 secret pushed to demo"));
    assert!(drive.picture(80, 24).contains("1 secret pushed to demo"));
}

#[test]
fn what_is_replaced_or_removed_needs_the_typed_name() {
    for report in [diff(&[], &["token"], &[], &[]), diff(&["new"], &[], &["gone"], &[])] {
        let mut drive = with(report);
        drive.press("<enter>");
        let Some(Overlay::Dialog(dialog)) = &drive.model.overlay else { panic!("no question") };
        assert_eq!(dialog.typed.as_deref(), Some("demo"));
        assert_eq!(dialog.lines.len(), 1);
        drive.press("<enter>y<enter>");
        assert_eq!(pushed(&drive), []);
        drive.press("<ctrl-u>dem<enter>");
        assert_eq!(pushed(&drive), [], "half a name");
        drive.press("o<enter>");
        assert_eq!(pushed(&drive).len(), 1);
        assert!(!is_on_the_form(&drive));
    }
    let mut drive = with(diff(&["new"], &["token"], &["gone", "older"], &["same"]));
    drive.press("<enter>");
    insta::assert_snapshot!("secrets_question_80", drive.picture(80, 24));
    insta::assert_snapshot!("secrets_question_120", drive.picture(120, 40));
    drive.press("<esc>");
    assert!(pushed(&drive).is_empty() && is_on_the_form(&drive));
}

#[test]
fn what_cannot_be_read_may_be_replaced_by_one_who_means_it() {
    let report = SecretsReport {
        unknown: Some("cannot read the secret s: not allowed".to_owned()),
        names: names(&["token"]),
        asked: 1,
        ..SecretsReport::default()
    };
    let mut drive = with(report);
    insta::assert_snapshot!("secrets_unknown_80", drive.picture(80, 24));
    drive.press("<enter>");
    assert_eq!(pushed(&drive), []);
    drive.press("demo<enter>");
    assert!(matches!(pushed(&drive).as_slice(), [Command::PushSecrets { seen: None, .. }]));
}

#[test]
fn nothing_to_do_is_said_and_nothing_is_sent() {
    let mut drive = with(diff(&[], &[], &[], &["same"]));
    drive.press("<enter>");
    assert!(drive.picture(80, 24).contains("nothing was sent"));
    let mut drive = with(stored(&["kept"]));
    drive.loads();
    drive.press("<enter>");
    assert_eq!(drive.loads(), [request(FOLDER, false)], "an empty folder is looked at again");
    answer(&mut drive, FOLDER, false, Ok(stored(&["kept"])));
    assert_eq!(drive.loads(), [], "and not for ever");
    assert!(drive.picture(80, 24).contains("no file is directly in it"));
    let mut drive = form();
    answer(&mut drive, "", false, Ok(stored(&["kept"])));
    drive.press("<enter>");
    assert!(drive.picture(80, 24).contains("type or paste the path of a folder"));
    assert_eq!(pushed(&drive), []);
}

#[test]
fn enter_before_the_answer_is_remembered_and_still_asks() {
    let mut drive = form();
    drive.press(FOLDER);
    drive.press("<enter>");
    answer(&mut drive, "/elsewhere", false, Ok(diff(&["a"], &[], &[], &[])));
    assert_eq!(pushed(&drive), []);
    answer(&mut drive, FOLDER, false, Ok(diff(&[], &["a"], &[], &[])));
    assert!(pushed(&drive).is_empty() && drive.model.overlay.is_some());
    let mut drive = form();
    drive.press(FOLDER);
    drive.press("<enter>");
    answer(&mut drive, FOLDER, false, Ok(diff(&["a"], &[], &[], &[])));
    assert_eq!(pushed(&drive).len(), 1);
}

#[test]
fn a_path_completes_and_a_wrong_one_is_said_when_it_is_whole() {
    let mut drive = form();
    drive.press("/home/ann/s");
    drive.paths("/home/ann/s", &["/home/ann/secrets/"]);
    answer(&mut drive, "/home/ann/s", false, Err("cannot read the folder /home/ann/s: no such directory"));
    assert!(!drive.picture(80, 24).contains("error:"), "half a path is no mistake");
    drive.press("<tab>");
    assert_eq!(drive.loads().last(), Some(&request("/home/ann/secrets/", false)));
    let mut drive = form();
    drive.press("/nowhere<enter>");
    answer(&mut drive, "/nowhere", false, Err("cannot read the folder /nowhere: no such directory"));
    assert!(drive.picture(80, 24).contains("error: cannot read the folder /nowhere"));
}

#[test]
fn a_read_only_session_pushes_nothing_and_has_no_key_for_it() {
    let mut drive = with(diff(&["a"], &[], &[], &[]));
    drive.model.session.read_only = true;
    drive.press("<enter>");
    assert!(pushed(&drive).is_empty() && is_on_the_form(&drive));
    let map = crate::app::keymap::Keymap::new(&Default::default(), true).0;
    assert!(!map.allowed(Action::FlockSecrets) && !map.allowed(Action::JobsSecrets));
}

#[test]
fn the_key_leads_here_from_the_flocks_and_from_the_jobs() {
    for start in [Place::Flocks, Place::Jobs { flock: "demo".to_owned() }] {
        let mut drive = Drive::at(start);
        drive.press("K");
        assert!(is_on_the_form(&drive));
        drive.press("<esc>:secrets demo<enter>");
        assert!(is_on_the_form(&drive));
    }
}

#[test]
fn foreign_names_are_harmless_and_many_are_scrolled() {
    let odd = "a\u{1b}]0;owned\u{7}b\u{202e}c";
    let many: Vec<String> = (0..60).map(|at| format!("secret-{at:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut drive = with(SecretsReport { skipped: names(&[odd]), ..diff(&many, &[odd], &[odd], &[odd]) });
    let first = drive.picture(80, 24);
    assert!(!first.contains('\u{1b}') && !first.contains("owned"));
    drive.press("<pgdn><pgdn><pgdn><pgdn><pgdn><pgdn><pgdn>");
    let last = drive.picture(80, 24);
    assert!(last != first && last.contains("unchanged  ab") && !last.contains("secret-00"), "{last}");
    drive.press("<enter>");
    assert!(!drive.picture(80, 24).contains('\u{1b}'));
}
