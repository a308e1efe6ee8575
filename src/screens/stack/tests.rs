//! Key scripts and pictures of what a stack is made of.

use insta::assert_snapshot;

use crate::app::msg::{Loaded, Msg};
use crate::app::nav::Place;
use crate::app::remote::{Problem, ProblemKind};
use crate::app::stack::StackAnswer;
use crate::screens::stack_fixture::{answered, console, genome, good};

#[test]
fn d_on_a_flock_on_aws_shows_its_panes() {
    let there = answered(console().press("j").press("d"), &good(), &[]);
    assert_eq!(*there.model.nav.place(), Place::Stack(genome()));
    assert_snapshot!("resources_80", there.frame());
    let outputs = there.press("<tab>");
    assert_snapshot!("outputs_80", outputs.frame());
    let copied = outputs.press("j").press("c").press("C");
    assert_eq!(copied.copied()[0], "genome-table");
    assert!(copied.copied()[1].starts_with("arn:aws:cloudformation:"));
    let parameters = copied.press("3").sized(120, 40);
    assert_snapshot!("parameters_120", parameters.frame());
}

#[test]
fn its_keys_lead_to_events_update_and_tear_down() {
    for (key, place) in [
        ("e", Place::StackEvents(genome())),
        ("U", Place::StackUpdate(genome())),
        ("X", Place::StackDown(genome())),
    ] {
        assert_eq!(*console().at(Place::Stack(genome())).press(key).model.nav.place(), place);
    }
}

#[test]
fn one_that_cannot_be_read_says_why() {
    let text = "cannot describe the stack genome: not allowed: cloudformation:DescribeStacks";
    let sheet = Err(Problem::new(ProblemKind::Denied, text));
    let answer = Msg::Loaded(Loaded::Stack(StackAnswer::Sheet { stack: genome(), sheet }));
    let there = console().at(Place::Stack(genome())).msg(answer);
    assert!(there.frame().contains("cloudformation:DescribeStacks"), "{}", there.frame());
}
