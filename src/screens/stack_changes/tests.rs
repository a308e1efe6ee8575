//! Key scripts and pictures of a change set.

use insta::assert_snapshot;

use crate::app::msg::{Done, Msg};
use crate::app::nav::Place;
use crate::app::remote::{Problem, ProblemKind};
use crate::app::stack::StackCommand;
use crate::screens::stack_fixture::{answered, begun, console, genome, good, proposal};
use crate::screens::testing::Console;

/// The form of the stack, sent with more memory.
fn asked() -> Console {
    let there = answered(console().press("j").press("U"), &good(), &[("TableName", "genome-table")]);
    let there = there.press("<ctrl-f>").press("DesiredRam").press("<enter>").press("<ctrl-u>").press("1000");
    answered(there, &good(), &[]).press("<enter>")
}

#[test]
fn the_form_leads_to_what_would_change_and_a_to_the_events() {
    let there = asked();
    assert_eq!(*there.model.nav.place(), Place::StackChanges(genome()));
    let StackCommand::Propose(wish) = begun(&there) else { panic!("{:?}", begun(&there)) };
    assert!(wish.update);
    assert_eq!(wish.parameters.iter().collect::<Vec<_>>(), [(&"DesiredRam".to_owned(), &"1000".to_owned())]);
    assert_snapshot!("asking", there.frame());
    let there = there.msg(proposal(false));
    assert_snapshot!("harmless_80", there.frame());
    let there = there.press("a");
    assert_snapshot!("asked", there.frame());
    let there = there.press("y");
    assert_eq!(*there.model.nav.place(), Place::StackEvents(genome()));
    assert!(
        matches!(begun(&there), StackCommand::Accept { change_set, .. } if change_set == "arn:change-set")
    );
}

#[test]
fn what_loses_data_stands_out_and_wants_the_name() {
    let there = asked().msg(proposal(true));
    assert_snapshot!("losing_80", there.frame());
    assert_snapshot!("losing_120", asked().sized(120, 40).msg(proposal(true)).frame());
    let there = there.press("a").press("y<enter>");
    assert!(matches!(begun(&there), StackCommand::Propose(_)), "a letter is not the name");
    let there = there.press("<backspace>").press("genome<enter>");
    assert!(matches!(begun(&there), StackCommand::Accept { .. }));
}

#[test]
fn r_throws_it_away_and_a_read_only_session_can_do_neither() {
    let there = asked().msg(proposal(false)).press("R");
    assert!(matches!(begun(&there), StackCommand::Reject { .. }));
    assert_eq!(*there.model.nav.place(), Place::StackUpdate(genome()));
    let mut there = asked().msg(proposal(false));
    there.model.session.keymap = crate::app::keymap::Keymap::new(&Default::default(), true).0;
    let there = there.press("a").press("R");
    assert!(matches!(begun(&there), StackCommand::Propose(_)));
}

#[test]
fn a_change_set_that_cannot_be_made_says_why() {
    let text = "no change set of genome: Parameters: [DesiredRam] must be a number";
    let there = asked();
    let op = there.model.ops.running[0].id;
    let there = there.msg(Msg::Finished { op, result: Err(Problem::new(ProblemKind::Invalid, text)) });
    assert!(there.body().contains("must be a number"), "{}", there.body());
}

#[test]
fn one_without_changes_is_said_to_be_that() {
    use crate::app::msg::Loaded;
    use crate::app::stack::{Proposal, StackAnswer};
    let proposal = Box::new(Proposal { change_set: String::new(), changes: Vec::new() });
    let answer = StackAnswer::Proposal { stack: genome(), proposal };
    let there = asked().msg(Msg::Loaded(Loaded::Stack(answer)));
    let op = there.model.ops.running[0].id;
    let done = Done { text: "nothing would change".to_owned(), failed: Vec::new(), path: None };
    let there = there.msg(Msg::Finished { op, result: Ok(done) }).press("a");
    assert!(there.body().contains("Nothing would change."), "{}", there.body());
    assert!(matches!(begun(&there), StackCommand::Propose(_)));
}
