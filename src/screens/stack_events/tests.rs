//! Key scripts and pictures of what happens to a stack.

use insta::assert_snapshot;

use crate::app::Sub;
use crate::app::msg::Msg;
use crate::app::nav::Place;
use crate::app::remote::{Problem, ProblemKind};
use crate::app::stack::StackSub;
use crate::screens::stack_fixture::{console, falling, genome, happens, rising};
use crate::screens::testing::NOW;

#[test]
fn e_on_a_flock_on_aws_follows_its_stack_and_esc_leaves_it() {
    let there = console().press("j").press("e");
    assert_eq!(*there.model.nav.place(), Place::StackEvents(genome()));
    let sub = Sub::Stack(StackSub::Events(genome()));
    assert!(there.model.subscriptions().contains(&sub));
    assert_snapshot!("reading", there.frame());
    let there = there.msg(happens(rising()));
    assert_snapshot!("rising_80", there.frame());
    let left = there.press("<esc>");
    assert_eq!(*left.model.nav.place(), Place::Flocks);
    assert!(!left.model.subscriptions().contains(&sub), "nobody listens any more");
    assert!(left.commands().is_empty(), "and nothing was stopped");
    let back = left.press("e");
    assert!(back.frame().contains("2 of at most 58"), "it is found again as it was");
}

#[test]
fn a_flock_of_this_machine_has_no_stack() {
    let there = console().press("e");
    assert_eq!(*there.model.nav.place(), Place::Flocks);
    assert_eq!(there.said(), ["this flock has no stack on AWS"]);
}

#[test]
fn the_first_cause_of_a_failure_is_on_top() {
    let there = console().at(Place::StackEvents(genome())).msg(happens(falling()));
    assert_snapshot!("falling_80", there.frame());
    let there = there.sized(120, 40);
    assert_snapshot!("falling_120", there.frame());
    let faults = there.press("!");
    assert!(faults.frame().contains("BatchCompute") && !faults.frame().contains("ShepardInputsBucket"));
}

#[test]
fn what_goes_on_grows_older_and_what_ended_does_not() {
    let there = console().at(Place::StackEvents(genome())).msg(happens(rising()));
    assert!(there.frame().contains("40"), "{}", there.frame());
    let later = there.msg(Msg::Now(NOW + 20_000));
    let frame = later.frame();
    let line = |name: &str| frame.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("BatchCompute").contains("1m"), "{frame}");
    assert!(line("ShepardInputsBucket").contains("20"), "{frame}");
}

#[test]
fn a_feed_that_fails_leaves_what_is_known_dimmed() {
    let problem = Problem::new(ProblemKind::Offline, "cannot read the events of genome: no network");
    let there = console().at(Place::StackEvents(genome())).msg(happens(rising()));
    let there = there.msg(Msg::FeedFailed(Sub::Stack(StackSub::Events(genome())), problem));
    assert_snapshot!("offline", there.frame());
}

#[test]
fn a_resource_is_copied_and_described() {
    let there = console().at(Place::StackEvents(genome())).msg(happens(rising())).press("j").press("c");
    assert_eq!(there.copied(), ["genome-shepardd".to_owned() + "ynamodb"]);
    assert_eq!(*there.press("d").model.nav.place(), Place::Stack(genome()));
}
