//! Flocks on AWS on the screen: found, slow, slowed down, and with an account or a service that does not answer.

use insta::assert_snapshot;
use shepard_model::Outcome;

use super::testing::{Console, finished, queued, running};
use crate::app::Sub;
use crate::app::aws::{AccountProblem, AwsFlocks, ComputeNote, Following, OnAws};
use crate::app::effect::Command;
use crate::app::msg::{FlockRow, JobsChange, Msg};
use crate::app::remote::{Problem, ProblemKind};

const NAME: &str = "prod@eu-west-1";

fn on_aws(name: &str, status: &str) -> FlockRow {
    FlockRow {
        name: name.to_owned(),
        running: true,
        image: Some("shepard:latest".to_owned()),
        places: vec![("table".to_owned(), "shepard-table".to_owned())],
        aws: Some(Box::new(OnAws {
            place: "work/eu-west-1".to_owned(),
            status: Some(status.to_owned()),
            has_queue: true,
            ..OnAws::default()
        })),
        ..FlockRow::default()
    }
}

fn found(failed: Vec<AccountProblem>) -> Msg {
    let flocks = vec![
        on_aws(NAME, "CREATE_COMPLETE"),
        on_aws("test@eu-west-1", "UPDATE_ROLLBACK_FAILED"),
        on_aws("new@us-east-1", "CREATE_IN_PROGRESS"),
    ];
    Msg::AwsFlocks(AwsFlocks { flocks, failed, asking: false })
}

fn failed(place: &str, kind: ProblemKind, text: &str) -> AccountProblem {
    AccountProblem { place: place.to_owned(), problem: Problem::new(kind, text) }
}

/// The console on the list, with one flock of this machine and those on AWS.
fn listed() -> Console {
    Console::new().msg(found(Vec::new()))
}

fn jobs(following: Following) -> Msg {
    let rows = [queued("a.zip"), running("b.zip"), finished("c.zip", Outcome::Failed)];
    Msg::Jobs(JobsChange {
        flock: NAME.to_owned(),
        rows: rows.iter().map(shepard_model::JobRow::summary).collect(),
        removed: Vec::new(),
        next: 3,
        caught_up: true,
        following,
    })
}

/// The console on the jobs of the flock in production.
fn opened(following: Following) -> Console {
    listed().press("jj<enter>").msg(jobs(following))
}

#[test]
fn flocks_here_and_on_aws_are_one_list_and_nothing_is_counted_for_it() {
    let console = listed();
    assert_snapshot!("list_80", console.frame());
    let wide = listed().sized(160, 24);
    assert_snapshot!("list_160", wide.frame());
}

#[test]
fn accounts_that_do_not_answer_are_told_apart_and_hide_nothing() {
    let console = Console::new().msg(found(vec![
        failed(
            "home/eu-west-1",
            ProblemKind::Offline,
            "cannot list the stacks: the service cannot be reached",
        ),
        failed("lab/us-east-1", ProblemKind::Expired, "cannot list the stacks: the session has expired"),
        failed("ops/us-east-1", ProblemKind::Denied, "cannot list the stacks: not allowed"),
    ]));
    assert_snapshot!("accounts_120", console.sized(120, 24).frame());
}

#[test]
fn while_aws_is_asked_the_flocks_of_this_machine_are_there_and_keys_answer() {
    let asking = Msg::AwsFlocks(AwsFlocks { asking: true, ..AwsFlocks::default() });
    let console = Console::new().msg(asking);
    assert!(console.frame().contains("asking AWS") && console.frame().contains("demo"));
    // A key is answered in the same frame; nothing of it waits for AWS.
    assert!(console.press("?").model.overlay.is_some());
}

#[test]
fn what_was_counted_while_a_flock_was_open_stays_in_the_list() {
    let console = opened(Following::Stream).press("<esc>");
    let line = console.frame().lines().find(|line| line.contains(NAME)).map(str::to_owned);
    let line = line.expect("listed");
    assert!(line.contains(" 2 ") && !line.contains('—'), "{line}");
}

#[test]
fn the_title_says_how_jobs_are_followed_and_that_it_is_slower() {
    assert!(opened(Following::Stream).frame().contains("live stream"));
    let polled = opened(Following::Poll { every_ms: 10_000 });
    assert!(polled.frame().contains("poll 10 s"));
    let problem = Problem::new(ProblemKind::Throttled, "cannot follow the jobs: too many requests");
    let slowed = polled.msg(Msg::FeedFailed(Sub::Jobs { flock: NAME.to_owned() }, problem));
    assert_snapshot!("slowed_80", slowed.frame());
    assert!(slowed.frame().contains("poll 10 s, slowed"));
}

#[test]
fn with_one_service_down_the_rest_of_the_screen_lives() {
    // Batch does not answer: rows come, the log can be opened, and nothing says that all is lost.
    let sub = Sub::Compute { flock: NAME.to_owned(), jobs: Vec::new() };
    let down = Problem::new(ProblemKind::Offline, "cannot describe the jobs: the service cannot be reached");
    let console = opened(Following::Stream).msg(Msg::FeedFailed(sub, down));
    assert!(console.frame().contains("a.zip") && console.frame().contains("live stream"));
    // The table does not answer: what is known stays, stale, with the reason.
    let down = Problem::new(ProblemKind::Offline, "cannot follow the jobs: the service cannot be reached");
    let console = console.msg(Msg::FeedFailed(Sub::Jobs { flock: NAME.to_owned() }, down));
    assert_snapshot!("table_down_80", console.frame());
    assert!(console.press("jk/b<enter>").frame().contains("b.zip"));
}

#[test]
fn batchs_own_state_and_reason_stand_beside_an_open_job() {
    let console = opened(Following::Stream);
    let wanted = console.model.subscriptions();
    let asked = wanted.iter().find_map(|sub| match sub {
        Sub::Compute { jobs, .. } => Some(jobs.clone()),
        _ => None,
    });
    let asked = asked.expect("the open jobs in sight are asked for");
    assert_eq!(asked.len(), 2, "and not those that have ended");
    let id = queued("a.zip").id;
    let note = ComputeNote {
        state: "runnable".to_owned(),
        reason: Some("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT".to_owned()),
        ..ComputeNote::default()
    };
    let console = console.msg(Msg::Compute { flock: NAME.to_owned(), jobs: vec![(id, note)] });
    assert!(console.sized(140, 24).frame().contains("Batch: runnable, M"));
}

#[test]
fn a_flock_on_aws_has_no_supervisor_and_its_dead_letters_are_moved_back_after_a_question() {
    let console = listed().press("jjz");
    assert!(console.said().iter().any(|said| said.contains("no supervisor")));
    assert!(console.commands().is_empty());
    let console = console.msg(Msg::Depth { flock: NAME.to_owned(), waiting: 4, dead: 3 }).press("Q");
    assert!(console.frame().contains("Move the dead letters of prod@eu-west-1 back?"));
    let console = console.press("y");
    assert!(matches!(console.commands()[..], [Command::Redrive { .. }]));
}

#[test]
fn jobs_by_api_and_quick_deploy_are_asked_for_by_a_line_and_no_variable_is_repeated() {
    let console = listed().press("jjJ").press("{\"KEY\": \"hunter2\"}<enter>");
    let [Command::BatchApi { flock, typed }] = &console.commands()[..] else {
        panic!("{:?}", console.commands())
    };
    assert_eq!((flock.as_str(), typed.0.as_str()), (NAME, "{\"KEY\": \"hunter2\"}"));
    assert!(!format!("{:?}", console.commands()).contains("hunter2"));
    let console = listed().press("jju").press("/work/code<enter>");
    assert!(matches!(&console.commands()[..], [Command::QuickDeploy { flock, path }]
        if flock == NAME && path == "/work/code"));
    // One of this machine takes a folder, and has no endpoint.
    let console = listed().press("J");
    assert!(console.said().iter().any(|said| said.contains("no endpoint")) && console.commands().is_empty());
}

#[test]
fn the_queue_is_asked_only_of_the_flock_under_the_selection() {
    let depths = |console: &Console| {
        console.model.subscriptions().into_iter().filter(|sub| matches!(sub, Sub::Depth { .. })).count()
    };
    assert_eq!(depths(&listed()), 0, "a flock of this machine is selected");
    assert_eq!(depths(&listed().press("j")), 1);
}
