//! Key scripts and pictures of the form: standing up, and what is found of it. How it changes a stack is with the
//! change set.

use insta::assert_snapshot;

use super::check_name;
use crate::app::effect::{Effect, Request};
use crate::app::keymap::Keymap;
use crate::app::msg::{Done, Loaded, Msg};
use crate::app::nav::Place;
use crate::app::remote::{Problem, ProblemKind};
use crate::app::stack::{Asked, StackAnswer, StackCommand, StackRequest};
use crate::screens::stack_fixture::{answered, begun, console, genome, good, wrong};
use crate::screens::testing::Console;

fn opened() -> Console {
    answered(console().press("A"), &good(), &[])
}

fn named() -> Console {
    answered(opened().press("genome"), &good(), &[])
}

#[test]
fn one_word_names_everything() {
    let there = console().press("A");
    assert_eq!(*there.model.nav.place(), Place::StackNew);
    assert_snapshot!("reading", there.frame());
    assert_snapshot!("opened_80", opened().frame());
    assert_snapshot!("named_80", named().frame());
    let found = named().press("<ctrl-f>").press("bucket");
    assert_snapshot!("found", found.frame());
    assert!(found.frame().contains("genome-inputs"));
    let renamed = found.press("<esc>").press("<up><up><up>");
    assert!(renamed.frame().contains("Stand up a flock"));
}

#[test]
fn groups_open_and_what_differs_is_marked() {
    let there = named().press("<down><down><down><down><down>").press("<space>").press("<down>");
    assert_snapshot!("batch_open_80", there.frame());
    let there = there.press("<ctrl-u>").press("1000");
    let there = answered(there, &good(), &[]);
    assert_snapshot!("batch_changed_80", there.frame());
    assert_snapshot!("batch_changed_120", there.sized(120, 40).frame());
}

#[test]
fn a_setting_goes_back_to_what_is_usual() {
    let there = named().press("<ctrl-f>").press("DesiredRam<enter>").press("<ctrl-u>").press("1000");
    assert!(there.frame().contains("usually 500000; ctrl-r takes that again"), "{}", there.frame());
    assert!(there.press("<ctrl-r>").frame().contains("500000"));
}

#[test]
fn a_slash_finds_where_nothing_types_and_types_where_something_does() {
    let there = named().press("<ctrl-f>").press("VpcCIDR<enter>").press("/24");
    assert!(there.frame().contains("10.192.0.0/16/24"), "{}", there.frame());
    let there = opened().press("<down><down><down><down>").press("/");
    assert!(there.model.overlay.is_some());
    let there = there.press("no-such-setting").press("<enter>");
    assert!(there.frame().contains("no setting has"), "{}", there.frame());
    let there = there.press("<esc>");
    assert_eq!(*there.model.nav.place(), Place::StackNew, "esc shows all before it leaves");
    assert_eq!(*there.press("<esc>").model.nav.place(), Place::Flocks);
}

#[test]
fn tab_chooses_of_what_the_account_has() {
    let there = named().press("<ctrl-f>").press("KeyPair<enter>").press("<ctrl-u>");
    assert!(there.frame().contains("tab chooses: ann  lab-2024"), "{}", there.frame());
    let there = there.press("<tab>").press("<tab>");
    let value =
        |there: &Console| there.frame().lines().find(|line| line.contains("Ec2KeyPair")).map(str::to_owned);
    assert!(value(&there).is_some_and(|line| line.contains("lab-2024")), "{}", there.frame());
}

#[test]
fn what_is_wrong_is_beside_its_setting_and_stops_it() {
    let there = answered(opened().press("genome"), &wrong(), &[]);
    assert_snapshot!("wrong_80", there.frame());
    let there = there.press("<enter>");
    assert!(there.commands().is_empty());
    assert_snapshot!("wrong_pressed_80", there.frame());
}

#[test]
fn enter_says_what_is_made_and_goes_to_the_events() {
    let there = named().press("<enter>");
    assert_snapshot!("asked_80", there.frame());
    let there = there.press("y");
    let StackCommand::Up(wish) = begun(&there) else { panic!("{:?}", begun(&there)) };
    assert_eq!(wish.stack, genome(), "in the region that the account says");
    assert!(wish.parameters.is_empty(), "all of it follows from the name");
    assert_eq!(*there.model.nav.place(), Place::StackEvents(genome()));
    assert_snapshot!("begun_80", there.frame());
}

#[test]
fn one_that_cannot_be_made_says_why_and_nothing_typed_is_lost() {
    let there = named().press("<enter>").press("y");
    let op = there.model.ops.running[0].id;
    let text = "there is no Lambda program at /opt/lambda.zip";
    let there = there.msg(Msg::Finished { op, result: Err(Problem::new(ProblemKind::NotFound, text)) });
    assert!(there.body().contains("no Lambda program"), "{}", there.body());
    let there = there.press("<esc>").press("A");
    assert!(
        there.body().contains("genome") && there.body().contains("no Lambda program"),
        "{}",
        there.body()
    );
    let there = answered(there, &good(), &[]).press("<enter>").press("y");
    let op = there.model.ops.running[0].id;
    let done = Done { text: "genome is up".to_owned(), failed: Vec::new(), path: None };
    let there = there.msg(Msg::Finished { op, result: Ok(done) }).press("<esc>").press("A");
    assert!(!there.body().contains("genome"), "the next one begins empty: {}", there.body());
}

#[test]
fn enter_waits_for_what_is_being_looked_at_and_then_goes_on() {
    let there = opened().press("genome").press("<enter>");
    assert!(there.commands().is_empty() && there.model.overlay.is_none());
    assert!(there.frame().contains("and then it goes on"), "{}", there.frame());
    let there = answered(there, &good(), &[]);
    assert!(there.model.overlay.is_some(), "asked as soon as it is known");
}

#[test]
fn an_answer_about_an_earlier_text_decides_nothing() {
    let there = opened().press("geno");
    let wish = there.effects.iter().rev().find_map(|effect| match effect {
        Effect::Load(Request::Stack(StackRequest::Checks(wish))) => Some(wish.clone()),
        _ => None,
    });
    let there = there.press("me");
    let answer = StackAnswer::Checks { wish: Box::new(wish.expect("asked")), checks: Ok(good()) };
    let there = there.msg(Msg::Loaded(Loaded::Stack(answer))).press("<enter>");
    assert!(there.model.overlay.is_none());
}

#[test]
fn names_that_buckets_cannot_have_are_refused_as_they_are_typed() {
    assert!(check_name("genome-2").is_ok());
    for bad in ["Genome", "2genome", "a_b", "ä", "-x"] {
        assert!(check_name(bad).is_err(), "{bad}");
    }
    let there = opened().press("Ge");
    assert!(there.frame().contains("error: 'G' cannot be in it"), "{}", there.frame());
}

#[test]
fn another_template_brings_its_own_settings_and_one_that_cannot_be_read_says_so() {
    let there = opened().press("<down><down><down>").press("x.yml");
    let asked = Asked { stack: None, template: Some("x.yml".to_owned()) };
    let groups = Err(Problem::new(ProblemKind::NotFound, "cannot read x.yml: there is no such file"));
    let there = there.msg(Msg::Loaded(Loaded::Stack(StackAnswer::Form { asked, groups })));
    assert!(there.frame().contains("no such file"), "{}", there.frame());
}

#[test]
fn a_read_only_session_has_no_such_form() {
    let mut there = console();
    there.model.session.keymap = Keymap::new(&Default::default(), true).0;
    assert_eq!(*there.press("A").model.nav.place(), Place::Flocks);
}
