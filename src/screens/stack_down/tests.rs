//! Key scripts and pictures of a tear-down.

use insta::assert_snapshot;

use crate::app::effect::Sub;
use crate::app::keymap::Keymap;
use crate::app::msg::{Done, Msg};
use crate::app::nav::Place;
use crate::app::remote::{Problem, ProblemKind};
use crate::app::stack::{StackCommand, StackSub};
use crate::screens::stack_fixture::{begun, console, genome, owned};
use crate::screens::testing::Console;

fn shown(counted: bool) -> Console {
    console().press("j").press("X").msg(owned("CREATE_COMPLETE", counted))
}

fn counting(console: &Console) -> bool {
    console.model.subscriptions().iter().any(|sub| matches!(sub, Sub::Stack(StackSub::Owned { .. })))
}

fn torn() -> Console {
    shown(true).press("X").press("genome<enter>")
}

fn far(console: Console) -> Console {
    let op = console.model.ops.running[0].id;
    let (note, part) = ("genome-inputs".to_owned(), "2/3 emptying".to_owned());
    console.msg(Msg::Progress { op, done: 1_000, total: 99_415, note, part, bytes: false })
}

#[test]
fn everything_owned_is_counted_first_and_nothing_is_touched() {
    let there = console().press("j").press("X");
    assert_eq!(*there.model.nav.place(), Place::StackDown(genome()));
    assert!(counting(&there));
    let there = there.msg(owned("CREATE_COMPLETE", false));
    assert_snapshot!("counting_80", there.frame());
    let there = there.msg(owned("CREATE_COMPLETE", true));
    assert_snapshot!("counted_80", there.frame());
    let left = there.press("<esc>");
    assert!(!counting(&left) && left.commands().is_empty());
}

#[test]
fn data_goes_only_if_asked_and_only_with_the_name() {
    let kept = shown(true).press("X");
    assert_snapshot!("asked_data_kept", kept.frame());
    let there = shown(true).press("t");
    assert_snapshot!("data_too_120", there.sized(120, 40).frame());
    let there = shown(true).press("t").press("X").press("<enter>");
    assert!(there.commands().is_empty(), "no name, no tear-down");
    let there = there.press("genome<enter>");
    assert!(matches!(begun(&there), StackCommand::Down { data: true, .. }));
    assert!(matches!(begun(&torn()), StackCommand::Down { data: false, .. }));
}

#[test]
fn how_far_it_is_shows_and_esc_leaves_it_to_itself() {
    let there = far(torn());
    assert!(!counting(&there), "there is nothing to count while it goes");
    assert_snapshot!("under_way_80", there.frame());
    let there = there.press("X");
    assert_eq!(there.commands().len(), 1, "one at a time");
    let left = there.press("<esc>");
    assert_eq!(left.model.ops.running.len(), 1);
    let back = left.press("X");
    assert!(back.frame().contains("2/3 emptying"), "{}", back.frame());
}

#[test]
fn one_that_stopped_goes_on_with_the_same_key() {
    let there = far(torn());
    let op = there.model.ops.running[0].id;
    let text = "cannot empty genome-inputs: not allowed: s3:DeleteObjectVersion";
    let there = there.msg(Msg::Finished { op, result: Err(Problem::new(ProblemKind::Denied, text)) });
    assert!(counting(&there), "what is left is counted anew");
    let there = there.press("X");
    assert_snapshot!("stopped_asked", there.frame());
    let there = there.press("genome<enter>");
    assert_eq!(there.commands().len(), 2);
}

#[test]
fn a_stack_that_was_left_half_removed_says_so() {
    let there = console().at(Place::StackDown(genome())).msg(owned("DELETE_FAILED", true));
    assert!(there.frame().contains("X goes on"), "{}", there.frame());
    assert!(there.press("X").frame().contains("Go on with tearing down"));
}

#[test]
fn the_end_is_said_and_nothing_more_can_be_done() {
    let there = far(torn());
    let op = there.model.ops.running[0].id;
    let text = "genome is gone; 4 buckets were kept".to_owned();
    let there = there.msg(Msg::Finished { op, result: Ok(Done { text, failed: Vec::new(), path: None }) });
    assert!(there.body().contains("4 buckets were kept"), "{}", there.body());
    assert_eq!(there.press("X").press("genome<enter>").commands().len(), 1);
}

#[test]
fn a_read_only_session_looks_and_cannot_tear_down() {
    let mut there = console();
    there.model.session.keymap = Keymap::new(&Default::default(), true).0;
    let there = there.press("j").press("X");
    assert_eq!(*there.model.nav.place(), Place::Flocks);
    let there =
        there.at(Place::StackDown(genome())).msg(owned("CREATE_COMPLETE", true)).press("X").press("t");
    assert!(there.model.overlay.is_none() && there.commands().is_empty());
}
