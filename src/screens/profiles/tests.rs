//! Key scripts for the profiles: setting, changing, removing, and how they look.

use crate::app::effect::{Command, Request};
use crate::app::msg::{Loaded, Msg};
use crate::app::nav::Place;
use crate::app::profiles::{ProfileCommand, ProfileRow, Profiles};
use crate::screens::drive::Drive;

fn known() -> Profiles {
    let names = crate::operations::profiles::KEYS;
    let row = |name: &str, current: bool, old: bool| {
        let mut values = vec![String::new(); names.len()];
        values[0] = "123456789012".to_owned();
        values[1] = format!("{name}-role");
        values[7] = format!("{name}-stack");
        ProfileRow { name: name.to_owned(), current, old, values, problem: None }
    };
    let broken = ProfileRow {
        name: "broken".to_owned(),
        problem: Some("it is no JSON (line 1, column 1)".to_owned()),
        ..ProfileRow::default()
    };
    Profiles {
        names: names.map(str::to_owned).to_vec(),
        rows: vec![broken, row("genome", true, false), row("older", false, true)],
        place: "/home/ann/.config/shepard/profiles".to_owned(),
    }
}

fn screen() -> Drive {
    let mut drive = Drive::at(Place::Profiles);
    assert!(drive.loads().contains(&Request::Profiles));
    drive.say(Msg::Loaded(Loaded::Profiles(Ok(known()))));
    drive
}

fn last(drive: &Drive) -> ProfileCommand {
    match drive.begun().last() {
        Some((_, Command::Profile(command))) => command.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_profile_is_made_the_current_one_and_no_longer() {
    let mut drive = screen();
    drive.press("s");
    assert!(drive.begun().is_empty(), "one that cannot be read is not set");
    drive.press("js");
    assert_eq!(last(&drive), ProfileCommand::Clear);
    drive.finish(Ok("done"));
    assert!(drive.loads().contains(&Request::Profiles), "it is read anew");
    drive.press("js");
    assert_eq!(last(&drive), ProfileCommand::Set { name: "older".to_owned() });
}

#[test]
fn the_form_saves_all_thirteen_together_and_stays_where_that_fails() {
    let mut drive = screen();
    drive.press("j<enter>");
    drive.press("<tab>2<enter>");
    let ProfileCommand::Save { name, values } = last(&drive) else { panic!("a save") };
    assert_eq!((name.as_str(), values.len()), ("genome", 13));
    assert_eq!(values[0], ("account_number".to_owned(), "123456789012".to_owned()));
    assert_eq!(values[1].1, "genome-role2");
    drive.finish(Err("the disk is full"));
    assert!(drive.picture(80, 24).contains("error: the disk is full"));
    drive.press("<enter>");
    drive.finish(Ok("saved"));
    assert!(drive.picture(80, 24).contains("profiles in"));
}

#[test]
fn a_new_one_needs_a_name_that_is_free() {
    let mut drive = screen();
    drive.press("a<enter>");
    assert!(drive.begun().is_empty());
    drive.press("genome<enter>");
    assert!(drive.picture(80, 24).contains("there is a profile genome already"));
    drive.press("2<enter>");
    assert!(matches!(last(&drive), ProfileCommand::Save { name, .. } if name == "genome2"));
    drive.press("<esc>");
    assert!(drive.picture(80, 24).contains("profiles in"), "one layer out is the list");
}

#[test]
fn removing_asks_and_leaves_the_old_directory_alone() {
    let mut drive = screen();
    drive.press("jX");
    assert!(drive.begun().is_empty() && drive.model.overlay.is_some());
    drive.press("<tab><enter>");
    assert_eq!(last(&drive), ProfileCommand::Delete { name: "genome".to_owned() });
    let begun = drive.begun().len();
    drive.press("jX");
    assert!(drive.model.overlay.is_none());
    assert_eq!(drive.begun().len(), begun);
}

#[test]
fn how_they_look() {
    let mut drive = screen();
    insta::assert_snapshot!("profiles_80", drive.picture(80, 24));
    insta::assert_snapshot!("profiles_120", drive.picture(120, 40));
    drive.press("j<enter>");
    insta::assert_snapshot!("profile_form_80", drive.picture(80, 24));
}
