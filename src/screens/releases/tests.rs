//! Key scripts for the releases: which are shown, going back, another repository, and how they look.

use crate::app::deploy::ReleaseRow;
use crate::app::effect::{Command, Effect, Request};
use crate::app::msg::{Loaded, Msg};
use crate::app::nav::Place;
use crate::app::overlay::Overlay;
use crate::app::remote::{Problem, ProblemKind};
use crate::screens::drive::{Drive, NOW};

fn release(name: &str, ago_ms: i64, current: bool) -> ReleaseRow {
    let hex = name.rsplit('-').next().unwrap_or_default();
    ReleaseRow {
        name: name.to_owned(),
        at_ms: NOW - ago_ms,
        image: Some(format!("sha256:{hex}{}", "0123456789abcdef".repeat(4).split_off(8))),
        current,
    }
}

fn three() -> Vec<ReleaseRow> {
    vec![
        release("20260131-140000-cccccccc", 330_000, false),
        release("20260130-090000-bbbbbbbb", 104_730_000, true),
        ReleaseRow { image: None, ..release("20260101-000000-aaaaaaaa", 2_642_730_000, false) },
    ]
}

fn known(drive: &mut Drive, repository: Option<&str>, releases: Result<Vec<ReleaseRow>, &str>) {
    let releases = releases.map_err(|text| Problem::new(ProblemKind::Offline, text));
    let repository = repository.map(str::to_owned);
    drive.say(Msg::Loaded(Loaded::Releases { flock: "demo".to_owned(), repository, releases }));
}

fn screen() -> Drive {
    let mut drive = Drive::at(Place::Releases { flock: "demo".to_owned() });
    known(&mut drive, None, Ok(three()));
    drive
}

fn back(repository: Option<&str>, release: &str) -> Command {
    Command::RollBack {
        flock: "demo".to_owned(),
        repository: repository.map(str::to_owned),
        release: release.to_owned(),
    }
}

fn begun(drive: &Drive) -> Vec<Command> {
    drive.begun().into_iter().map(|(_, command)| command.clone()).collect()
}

#[test]
fn going_back_asks_first_and_reads_anew_after() {
    let mut drive = screen();
    drive.loads();
    drive.press("jR");
    assert!(drive.model.overlay.is_none());
    assert!(drive.picture(80, 24).contains("demo runs 20260130-090000-bbbbbbbb already"));
    drive.press("jR");
    let Some(Overlay::Dialog(dialog)) = &drive.model.overlay else { panic!("no question") };
    assert_eq!(dialog.title, "Take demo back to 20260101-000000-aaaaaaaa?");
    assert!(dialog.lines.iter().any(|line| line.contains("bbbbbbbb")), "{:?}", dialog.lines);
    drive.press("<enter>");
    assert_eq!(begun(&drive), [], "Cancel has the focus");
    drive.press("Ry");
    assert_eq!(begun(&drive), [back(None, "20260101-000000-aaaaaaaa")]);
    drive.finish(Ok("demo runs 20260101-000000-aaaaaaaa from now on"));
    let own = Request::Releases { flock: "demo".to_owned(), repository: None };
    assert!(drive.loads().contains(&own));
    drive.press("gR");
    let Some(Overlay::Dialog(dialog)) = &drive.model.overlay else { panic!("no question") };
    assert_eq!(dialog.title, "Take demo on to 20260131-140000-cccccccc?");
}

#[test]
fn the_selection_stays_on_its_release_when_a_newer_one_comes() {
    let mut drive = screen();
    drive.press("G");
    let mut more = three();
    more.insert(0, release("20260131-140500-dddddddd", 0, true));
    known(&mut drive, None, Ok(more));
    drive.press("Ry");
    assert_eq!(begun(&drive), [back(None, "20260101-000000-aaaaaaaa")]);
}

#[test]
fn the_releases_of_a_repository_are_those_that_were_asked_for() {
    let mut drive = screen();
    drive.loads();
    drive.press("ulocalhost:5000/x<enter>");
    let of = Some("localhost:5000/x");
    let asked = Request::Releases { flock: "demo".to_owned(), repository: of.map(str::to_owned) };
    assert_eq!(drive.loads(), [asked]);
    assert!(drive.picture(80, 24).contains("reading the releases of localhost:5000/x"));
    known(&mut drive, None, Ok(three()));
    assert!(drive.picture(80, 24).contains("reading the releases"), "an answer about the flock is none");
    known(&mut drive, of, Ok(three()));
    drive.press("Ry");
    assert_eq!(begun(&drive), [back(of, "20260131-140000-cccccccc")]);
    drive.press("u<ctrl-u><enter>");
    assert_eq!(drive.loads().last(), Some(&Request::Releases { flock: "demo".to_owned(), repository: None }));
}

#[test]
fn the_image_is_copied_where_it_is_known() {
    let mut drive = screen();
    drive.press("c");
    assert!(
        drive.effects.iter().any(|effect| matches!(effect, Effect::Copy(text) if text.contains("cccccccc")))
    );
    drive.effects.clear();
    drive.press("Gc");
    assert!(!drive.effects.iter().any(|effect| matches!(effect, Effect::Copy(_))));
}

#[test]
fn a_problem_is_said_and_what_was_known_stays() {
    let mut drive = screen();
    known(&mut drive, None, Err("the registry at localhost:5000 does not answer"));
    let picture = drive.picture(80, 24);
    assert!(picture.contains("does not answer") && picture.contains("bbbbbbbb"), "{picture}");
    let mut drive = Drive::at(Place::Releases { flock: "demo".to_owned() });
    known(&mut drive, None, Err("the registry\u{1b}[2J does not answer"));
    let picture = drive.picture(80, 24);
    assert!(picture.contains("does not answer") && !picture.contains("Nothing was deployed"), "{picture}");
}

#[test]
fn the_lists_lead_here() {
    for place in
        [Place::Flocks, Place::Flock { flock: "demo".to_owned() }, Place::Jobs { flock: "demo".to_owned() }]
    {
        let mut drive = Drive::at(place);
        drive.press("v");
        assert_eq!(drive.model.nav.place(), &Place::Releases { flock: "demo".to_owned() });
    }
    let mut drive = screen();
    drive.press("D");
    assert_eq!(drive.model.nav.place(), &Place::Deploy { flock: "demo".to_owned() });
}

#[test]
fn pictures() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut drive = screen();
        insta::assert_snapshot!(format!("releases_{width}"), drive.picture(width, height));
        drive.press("GR");
        insta::assert_snapshot!(format!("roll_back_{width}"), drive.picture(width, height));
    }
    let mut drive = Drive::at(Place::Releases { flock: "demo".to_owned() });
    known(&mut drive, None, Ok(Vec::new()));
    insta::assert_snapshot!("releases_none_80", drive.picture(80, 24));
}
