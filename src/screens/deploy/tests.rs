//! Key scripts for the form that deploys: what it asks for, what it sends, what it says while a deploy runs, how it looks.

use crate::app::deploy::{Fact, Source, Weight, Wish};
use crate::app::effect::{Command, Effect, Request};
use crate::app::msg::{Loaded, Msg};
use crate::app::nav::Place;
use crate::screens::drive::Drive;

const HOME: &str = "/home/ann/";
const TOOLS: &str = "/home/ann/tools/";

fn form() -> Drive {
    Drive::at(Place::Deploy { flock: "demo".to_owned() })
}

fn folder(path: &str) -> Source {
    Source::Folder(path.to_owned())
}

fn image(name: &str) -> Source {
    Source::Image(name.to_owned())
}

/// A form whose folder is [`TOOLS`].
fn with_tools() -> Drive {
    let mut drive = form();
    drive.press("tools/");
    drive
}

fn fact(weight: Weight, about: &str, said: &str) -> Fact {
    Fact { weight, about: about.to_owned(), said: said.to_owned() }
}

fn good() -> Vec<Fact> {
    vec![
        fact(Weight::Good, "build", "Dockerfile"),
        fact(Weight::Good, "leaves out", "what .dockerignore says"),
        fact(Weight::Good, "sends", "12 files, 340 kB"),
        fact(Weight::Good, "engine", "Docker 20.10.24, linux/amd64, at unix:///var/run/docker.sock"),
    ]
}

fn bad() -> Vec<Fact> {
    let both = "cannot build the folder /home/ann/tools/: it has both a Dockerfile and a Dockerfile.txt: remove or \
                rename the one that is not meant";
    let none = "cannot reach the Docker engine at unix:///nowhere: there is no socket; is a Docker engine running? \
                DOCKER_HOST says where, /var/run/docker.sock is usual";
    vec![fact(Weight::Wrong, "folder", both), fact(Weight::Wrong, "engine", none)]
}

fn outlook(drive: &mut Drive, source: &Source, facts: Vec<Fact>) {
    drive.say(Msg::Loaded(Loaded::Outlook { source: source.clone(), facts }));
}

fn deployed(drive: &Drive) -> Vec<Wish> {
    drive
        .begun()
        .into_iter()
        .map(|(_, command)| match command {
            Command::Deploy(wish) => wish.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn wish(source: Source) -> Wish {
    Wish { flock: "demo".to_owned(), source, repository: None, nested: false, no_cache: false }
}

/// A deploy of [`TOOLS`] that has begun.
fn under_way() -> Drive {
    let mut drive = with_tools();
    outlook(&mut drive, &folder(TOOLS), good());
    drive.press("<enter>");
    drive
}

fn progress(drive: &mut Drive, done: u64, total: u64, part: &str, note: &str) {
    let op = drive.begun().last().map(|(op, _)| *op).expect("a command");
    let bytes = part.contains("push");
    let (part, note) = (part.to_owned(), note.to_owned());
    drive.say(Msg::Progress { op, done, total, note, part, bytes });
}

#[test]
fn the_folder_is_looked_at_as_it_is_typed() {
    let mut drive = form();
    let asked = |text: &str| [Request::Paths { text: text.to_owned() }, Request::Outlook(folder(text))];
    assert_eq!(drive.loads(), asked(HOME));
    drive.press("t");
    assert_eq!(drive.loads(), asked("/home/ann/t"), "the folder has the focus");
    drive.press("<tab>");
    drive.paths("/home/ann/t", &["/home/ann/tools/"]);
    assert_eq!(drive.loads(), asked(TOOLS), "tab before the answer is remembered");
    outlook(&mut drive, &folder(HOME), good());
    assert!(drive.picture(80, 24).contains("looking at it"), "an answer about another folder is none");
    outlook(&mut drive, &folder(TOOLS), good());
    assert!(drive.picture(80, 24).contains("12 files"));
}

#[test]
fn enter_deploys_what_was_looked_at_and_shows_how_far_it_is() {
    let mut drive = under_way();
    assert_eq!(deployed(&drive), [wish(folder(TOOLS))]);
    progress(&mut drive, 3, 7, "1/2 building the payload", "Step 3/7 : RUN make \u{1b}[31mall");
    let picture = drive.picture(80, 24);
    assert!(picture.contains("1/2 building the payload") && picture.contains("3 of 7"), "{picture}");
    assert!(picture.contains("RUN make all") && !picture.contains('\u{1b}'), "{picture}");
    drive.press("Dzb<enter>");
    assert_eq!(deployed(&drive).len(), 1, "no key begins a second one");
    drive.press("<ctrl-c>");
    let op = drive.begun()[0].0;
    assert!(drive.effects.iter().any(|effect| matches!(effect, Effect::Abandon(which) if *which == op)));
}

#[test]
fn who_leaves_a_deploy_finds_it_again() {
    let mut drive = under_way();
    drive.press("<esc>");
    assert_eq!(drive.model.nav.place(), &Place::Jobs { flock: "demo".to_owned() });
    progress(&mut drive, 1, 7, "1/2 building the payload", "Step 1/7 : FROM debian");
    assert!(drive.picture(120, 40).contains("deploy 1/2 building the payload"), "{}", drive.picture(120, 40));
    drive.press("D");
    assert!(drive.picture(80, 24).contains("FROM debian"));
    // A form that was forgotten meanwhile.
    drive.press("<esc>");
    drive.model.nav.forget(&Place::Deploy { flock: "demo".to_owned() });
    drive.press("D");
    assert!(drive.picture(80, 24).contains("1/2 building the payload"));
    drive.finish(Ok("demo runs release r1"));
    assert!(drive.picture(80, 24).contains("demo runs release r1"));
}

#[test]
fn the_end_is_a_sentence_that_stays() {
    let mut drive = under_way();
    drive.finish(Ok("demo runs release 20260131-140530-0a1b2c3d from now on (sha256:0a1b2c3d)"));
    drive.say(Msg::Now(crate::screens::drive::NOW + 60_000));
    let picture = drive.picture(80, 24);
    assert!(picture.contains("20260131-140530-0a1b2c3d") && picture.contains("sha256:0a1b2c3d"), "{picture}");
    drive.press("D?x");
    assert!(drive.picture(80, 24).contains("20260131-140530-0a1b2c3d"), "letters do nothing here");
    drive.press("<enter>");
    assert_eq!(drive.model.nav.place(), &Place::Jobs { flock: "demo".to_owned() });
    drive.press("D");
    assert!(drive.picture(80, 24).contains("a folder with a Dockerfile"), "the next one is a form again");
}

#[test]
fn what_went_wrong_is_said_with_the_last_lines_and_can_be_tried_again() {
    let mut drive = under_way();
    progress(&mut drive, 2, 2, "1/2 building the payload", "make: *** No rule to make target 'all'");
    drive.finish(Err("cannot build the folder /home/ann/tools/: the step RUN make all ended with 2"));
    let picture = drive.picture(80, 24);
    assert!(picture.contains("error: cannot build") && picture.contains("No rule to make"), "{picture}");
    assert!(picture.contains(TOOLS), "nothing typed is lost");
    drive.press("<enter>");
    assert_eq!(deployed(&drive).len(), 1, "the folder is looked at once more first");
    outlook(&mut drive, &folder(TOOLS), good());
    assert_eq!(deployed(&drive).len(), 2);
    assert!(!drive.picture(80, 24).contains("No rule to make"), "the lines of the one before are gone");
}

#[test]
fn what_cannot_be_deployed_is_said_and_looked_at_again() {
    let mut drive = with_tools();
    outlook(&mut drive, &folder(TOOLS), bad());
    let picture = drive.picture(80, 24);
    assert!(!picture.contains("error: cannot build"), "half a path is no mistake: {picture}");
    assert!(picture.contains("error: cannot reach the Docker engine"), "no engine is one: {picture}");
    drive.loads();
    drive.press("<enter>");
    assert_eq!(deployed(&drive), []);
    assert_eq!(drive.loads(), [Request::Outlook(folder(TOOLS))]);
    outlook(&mut drive, &folder(TOOLS), bad());
    assert_eq!((deployed(&drive), drive.loads()), (vec![], vec![]), "and not for ever");
    assert!(drive.picture(80, 24).contains("error: cannot build"), "who insists is told");
    drive.press("<enter>");
    outlook(&mut drive, &folder(TOOLS), good());
    assert_eq!(deployed(&drive).len(), 1, "it was mended meanwhile");
}

#[test]
fn an_edit_takes_enter_back() {
    let mut drive = with_tools();
    drive.press("<enter><backspace>");
    outlook(&mut drive, &folder("/home/ann/tools"), good());
    assert_eq!(deployed(&drive), []);
    let mut drive = with_tools();
    drive.press("<enter><tab>");
    drive.press("<esc>");
    outlook(&mut drive, &folder(TOOLS), good());
    assert_eq!(deployed(&drive), []);
}

#[test]
fn an_image_has_nothing_to_build() {
    let mut drive = form();
    assert!(drive.picture(80, 24).contains("no cache"));
    drive.press("<backtab>x <tab>");
    let picture = drive.picture(80, 24);
    assert!(!picture.contains("no cache") && picture.contains("its name or id"), "{picture}");
    drive.loads();
    drive.press("busybox:1");
    assert_eq!(drive.loads().last(), Some(&Request::Outlook(image("busybox:1"))));
    outlook(
        &mut drive,
        &image("busybox:1"),
        vec![fact(Weight::Odd, "image", "this engine does not have it")],
    );
    drive.press("<enter>");
    assert_eq!(deployed(&drive), [wish(image("busybox:1"))]);
    let mut drive = form();
    drive.press("<backtab> <tab>a b<enter>");
    assert!(drive.picture(80, 24).contains("error: ' ' cannot be in the name of an image"));
    // Back to the folder: what was typed is there, the switch too.
    drive.press("<backtab> ");
    let picture = drive.picture(80, 24);
    assert!(picture.contains(HOME) && picture.contains("no cache"), "{picture}");
}

#[test]
fn a_repository_is_checked_and_nested_is_of_repositories_alone() {
    for (typed, said) in [
        ("https://r.example/x", "without what comes before ://"),
        ("a b", "there is a blank in it"),
        ("r.example/x:tag", "without a tag"),
    ] {
        let mut drive = with_tools();
        drive.press("<down>");
        drive.press(typed);
        assert!(drive.picture(80, 24).contains(said), "{typed}: {}", drive.picture(80, 24));
        outlook(&mut drive, &folder(TOOLS), good());
        drive.press("<enter>");
        assert_eq!(deployed(&drive), [], "{typed}");
        drive.press("<ctrl-u>localhost:5000/x<down> <down> <enter>");
        let expected = Wish {
            repository: Some("localhost:5000/x".to_owned()),
            nested: true,
            no_cache: true,
            ..wish(folder(TOOLS))
        };
        assert_eq!(deployed(&drive), [expected], "{typed}");
    }
    let mut drive = with_tools();
    outlook(&mut drive, &folder(TOOLS), good());
    drive.press("<down><down> <enter>");
    assert_eq!(deployed(&drive), []);
    assert!(drive.picture(80, 24).contains("only with a repository"), "{}", drive.picture(80, 24));
}

#[test]
fn a_read_only_session_deploys_nothing() {
    let mut drive = with_tools();
    drive.model.session.read_only = true;
    outlook(&mut drive, &folder(TOOLS), good());
    drive.press("<enter>");
    assert_eq!(deployed(&drive), []);
}

#[test]
fn the_lists_lead_here() {
    for place in
        [Place::Flocks, Place::Flock { flock: "demo".to_owned() }, Place::Jobs { flock: "demo".to_owned() }]
    {
        let mut drive = Drive::at(place);
        drive.press("D");
        assert_eq!(drive.model.nav.place(), &Place::Deploy { flock: "demo".to_owned() });
        assert_eq!(drive.loads().len(), 2);
    }
    let mut drive = Drive::at(Place::Flocks);
    drive.press(":deploy demo<enter>");
    assert_eq!(drive.model.nav.place(), &Place::Deploy { flock: "demo".to_owned() });
}

#[test]
fn no_terminal_is_too_small_to_draw() {
    let mut drive = with_tools();
    outlook(&mut drive, &folder(TOOLS), bad());
    for (width, height) in [(40, 10), (41, 11), (60, 12), (20, 3)] {
        drive.picture(width, height);
    }
    let mut drive = under_way();
    progress(&mut drive, 1, 2, "1/2 building the payload", "x");
    for (width, height) in [(40, 10), (20, 3)] {
        drive.picture(width, height);
    }
}

#[test]
fn pictures() {
    for (width, height) in [(80, 24), (120, 40)] {
        let picture = |drive: &mut Drive, name: &str| {
            insta::assert_snapshot!(format!("deploy_{name}_{width}"), drive.picture(width, height));
        };
        let mut drive = with_tools();
        picture(&mut drive, "looking");
        outlook(&mut drive, &folder(TOOLS), good());
        picture(&mut drive, "ok");
        outlook(&mut drive, &folder(TOOLS), good());
        let mut drive = with_tools();
        outlook(&mut drive, &folder(TOOLS), bad());
        picture(&mut drive, "error");
        let mut drive = form();
        drive.press("<backtab> <tab>busybox:1<tab>localhost:5000/tools<tab> ");
        outlook(
            &mut drive,
            &image("busybox:1"),
            vec![fact(Weight::Odd, "image", "this engine does not have it"), good().remove(3)],
        );
        picture(&mut drive, "image");
        let mut drive = under_way();
        for (done, line) in
            [(1, "Step 1/3 : FROM debian:trixie"), (2, "Step 2/3 : COPY . /app"), (2, " ---> 0a1b")]
        {
            progress(&mut drive, done, 3, "1/2 building the payload", line);
        }
        picture(&mut drive, "under_way");
        progress(&mut drive, 12_000_000, 45_000_000, "4/5 pushing the release", "");
        picture(&mut drive, "pushing");
        drive.finish(Ok("demo runs release 20260131-140530-0a1b2c3d from now on"));
        picture(&mut drive, "done");
        let mut drive = under_way();
        progress(&mut drive, 1, 3, "1/2 building the payload", "gcc: error: unrecognized option");
        drive.finish(Err("cannot build the folder /home/ann/tools/: a step ended with 1"));
        outlook(&mut drive, &folder(TOOLS), good());
        picture(&mut drive, "failed");
    }
}
