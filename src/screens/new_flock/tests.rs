//! Key scripts for the form that creates a flock: what it checks, what it sends, where it goes, and how it looks.

use crate::app::deploy::{Fact, Source, Weight};
use crate::app::effect::{Command, Request};
use crate::app::msg::{Loaded, Msg};
use crate::app::nav::Place;
use crate::screens::drive::Drive;

fn form() -> Drive {
    Drive::at(Place::NewFlock)
}

fn create(name: &str, command: Option<&str>, folder: Option<&str>, max_jobs: Option<u32>) -> Command {
    contained(name, command, folder, None, max_jobs)
}

fn contained(
    name: &str,
    command: Option<&str>,
    folder: Option<&str>,
    image: Option<&str>,
    max_jobs: Option<u32>,
) -> Command {
    Command::CreateFlock {
        name: name.to_owned(),
        command: command.map(str::to_owned),
        quick_deploy: folder.map(str::to_owned),
        image: image.map(str::to_owned),
        max_jobs,
    }
}

fn begun(drive: &Drive) -> Vec<Command> {
    drive.begun().into_iter().map(|(_, command)| command.clone()).collect()
}

/// A form that asks for a command, all of it typed.
fn with_command() -> Drive {
    let mut drive = form();
    drive.press("night<tab> <tab>python3 '/x y/job.py'<tab><tab>4");
    drive
}

#[test]
fn a_flock_is_created_then_started_then_shown() {
    let mut drive = with_command();
    drive.press("<enter>");
    let asked = create("night", Some("python3 '/x y/job.py'"), None, Some(4));
    assert_eq!(begun(&drive), std::slice::from_ref(&asked));
    assert_eq!(drive.model.nav.place(), &Place::NewFlock, "it stays until the flock is there");
    drive.press("<enter>");
    assert_eq!(begun(&drive).len(), 1, "not twice");
    drive.finish(Ok("created"));
    assert_eq!(begun(&drive), [asked, Command::StartFlock { flock: "night".to_owned() }]);
    assert_eq!(drive.model.nav.place(), &Place::Jobs { flock: "night".to_owned() });
    drive.press("[");
    assert_eq!(drive.model.nav.place(), &Place::NewFlock);
    assert!(!drive.picture(80, 24).contains("python3"), "the next one starts empty");
}

#[test]
fn what_went_wrong_is_said_and_nothing_typed_is_lost() {
    let mut drive = with_command();
    drive.press("<enter>");
    drive.finish(Err("there is no program python3; install it or name another"));
    let picture = drive.picture(80, 24);
    assert!(picture.contains("error: there is no program python3"), "{picture}");
    assert!(picture.contains("night") && picture.contains("'/x y/job.py'") && picture.contains('4'));
    assert_eq!(drive.model.nav.place(), &Place::NewFlock);
    drive.press("<enter>");
    assert_eq!(begun(&drive).len(), 2, "and it can be tried again");
}

#[test]
fn what_cannot_be_is_said_as_it_is_typed() {
    for (typed, said) in [
        ("No", "'N' cannot be in a name"),
        ("a b", "' ' cannot be in a name"),
        ("-a", "begins with a letter or a digit"),
        ("demo", "there is a flock demo already"),
    ] {
        let mut drive = form();
        drive.press(typed);
        assert!(drive.picture(80, 24).contains(said), "{typed}: {}", drive.picture(80, 24));
        drive.press("<tab> <tab>true<enter>");
        assert_eq!(begun(&drive), []);
        drive.press("<ctrl-u>fine<enter>");
        assert_eq!(begun(&drive).len(), 1, "{typed}: the focus went to the mistake");
    }
    let mut drive = form();
    drive.press(&"a".repeat(65));
    assert!(drive.picture(80, 24).contains("65 characters are too many"));
    let mut drive = with_command();
    drive.press("<backspace>0<enter>");
    assert!(drive.picture(80, 24).contains("a whole number from 1 on"));
    assert_eq!(begun(&drive), []);
}

#[test]
fn every_field_that_is_empty_or_open_says_so() {
    let mut drive = form();
    drive.press("<tab><tab><ctrl-u><enter>");
    let picture = drive.picture(80, 24);
    assert!(picture.contains("it needs a name") && picture.contains("that has a run.sh"), "{picture}");
    drive.press("night<tab> <tab><enter>");
    assert!(drive.picture(80, 24).contains("type the command"));
    drive.press("sh -c 'x<enter>");
    assert!(drive.picture(80, 24).contains("not closed"));
    assert_eq!(begun(&drive), []);
    drive.press("'<enter>");
    assert_eq!(begun(&drive), [create("night", Some("sh -c 'x'"), None, None)]);
}

#[test]
fn a_read_only_session_creates_nothing() {
    let mut drive = with_command();
    drive.model.session.read_only = true;
    drive.press("<enter>");
    assert_eq!(begun(&drive), []);
}

#[test]
fn a_form_that_was_left_takes_nobody_anywhere() {
    let mut drive = with_command();
    drive.press("<enter><esc>");
    drive.finish(Ok("created"));
    assert_eq!(drive.model.nav.place(), &Place::Flocks);
    assert_eq!(begun(&drive).len(), 1, "and starts nothing that nobody waits for");
}

#[test]
fn both_choices_keep_what_was_typed_into_them() {
    let mut drive = form();
    drive.press("night<tab><tab>code/<tab>");
    drive.paths("/home/ann/code/", &["/home/ann/code/run.sh"]);
    let asked = drive.loads();
    assert_eq!(asked.last(), Some(&Request::Paths { text: "/home/ann/code/run.sh".to_owned() }));
    drive.press("<up><right><down>true<up><left><enter>");
    assert_eq!(begun(&drive), [create("night", None, Some("/home/ann/code/run.sh"), None)]);
}

/// What an engine says of an image that it has.
fn facts() -> Vec<Fact> {
    let fact = |about: &str, said: &str| Fact {
        weight: Weight::Good,
        about: about.to_owned(),
        said: said.to_owned(),
    };
    vec![
        fact("image", "sha256:0a1b2c3d4e5f, linux/amd64"),
        fact("engine", "Docker 20.10.24, linux/amd64, at unix:///var/run/docker.sock"),
    ]
}

fn outlook(drive: &mut Drive, image: &str, facts: Vec<Fact>) {
    drive.say(Msg::Loaded(Loaded::Outlook { source: Source::Image(image.to_owned()), facts }));
}

#[test]
fn an_image_is_looked_for_as_it_is_typed_and_may_have_a_program_of_its_own() {
    let mut drive = form();
    drive.press("night<tab> <tab><enter>");
    assert!(drive.picture(80, 24).contains("type the command"), "without an image there has to be one");
    drive.loads();
    drive.press("<tab>busybox:1");
    assert_eq!(drive.loads().last(), Some(&Request::Outlook(Source::Image("busybox:1".to_owned()))));
    let picture = drive.picture(80, 24);
    assert!(
        !picture.contains("type the command") && picture.contains("the image's own program in a container")
    );
    outlook(&mut drive, "busybox:", facts());
    assert!(!drive.picture(80, 24).contains("0a1b2c3d4e5f"), "an answer about an earlier name is none");
    outlook(&mut drive, "busybox:1", facts());
    assert!(drive.picture(80, 24).contains("0a1b2c3d4e5f"));
    drive.press("<enter>");
    assert_eq!(begun(&drive), [contained("night", None, None, Some("busybox:1"), None)]);

    let mut drive = form();
    drive.press("night<tab> <tab>make all<tab>busybox:1<enter>");
    assert_eq!(begun(&drive), [contained("night", Some("make all"), None, Some("busybox:1"), None)]);
}

#[test]
fn what_is_no_name_of_an_image_is_said_and_nobody_is_asked() {
    for (typed, said) in [
        ("a b", "' ' cannot be in the name of an image"),
        ("--privileged", "begins with a letter or a digit"),
        ("r.example/x;id", "';' cannot be in"),
    ] {
        let mut drive = form();
        drive.press("night<tab> <tab>true<tab>");
        drive.loads();
        drive.press(typed);
        assert!(drive.picture(80, 24).contains(said), "{typed}: {}", drive.picture(80, 24));
        let whole = Request::Outlook(Source::Image(typed.to_owned()));
        assert!(!drive.loads().contains(&whole), "{typed}");
        drive.press("<enter>");
        assert_eq!(begun(&drive), [], "{typed}");
        drive.press("<ctrl-u><enter>");
        assert_eq!(begun(&drive), [create("night", Some("true"), None, None)], "{typed}");
    }
}

#[test]
fn a_letter_on_the_choice_does_not_leave_the_form() {
    let mut drive = form();
    drive.press("night<tab>q?:x");
    assert_eq!(drive.model.nav.place(), &Place::NewFlock);
    assert!(drive.model.overlay.is_none());
    drive.press("<esc>");
    assert_eq!(drive.model.nav.place(), &Place::Flocks);
    assert_eq!(begun(&drive), []);
}

#[test]
fn pictures() {
    for (width, height) in [(80, 24), (120, 40)] {
        let picture = |drive: &mut Drive, name: &str| {
            insta::assert_snapshot!(format!("new_flock_{name}_{width}"), drive.picture(width, height));
        };
        let mut drive = form();
        picture(&mut drive, "empty");
        drive.press("demo");
        picture(&mut drive, "taken");
        drive.press("2<tab><tab>");
        drive.paths("/home/ann/", &["/home/ann/code/", "/home/ann/runs/"]);
        picture(&mut drive, "completing");
        drive.press("<tab>busybox:1");
        outlook(&mut drive, "busybox:1", facts());
        picture(&mut drive, "image");
        let mut drive = with_command();
        drive.press("<up>");
        picture(&mut drive, "command");
        drive.press("<enter>");
        picture(&mut drive, "creating");
        drive.finish(Err(
            "there is no program python3 on the PATH; install it, or give the whole path of another one",
        ));
        picture(&mut drive, "error");
    }
}
