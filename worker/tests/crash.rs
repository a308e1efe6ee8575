//! Whatever fails, and wherever a worker dies: the row is truthful, ends once, lists exactly the results that
//! there are, and no directory stays behind.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::gate::{Fault, Gate, gated};
use common::{Flock, Hurried, payload};
use shepard_cloud::error::Kind;
use shepard_cloud::ports::{Ports, Secret};
use shepard_model::{Outcome, Stage, State};
use shepard_worker::{Exit, Job};

const WELL: &str =
    r#"echo hello; echo 1 > "$ROOT_OUTPUT_NAME/one"; echo 2 > "$EFS_OUTPUT_NAME/two"; exec true"#;
const BADLY: &str = r#"echo 1 > "$ROOT_OUTPUT_NAME/one"; echo bad >&2; exit 3"#;

fn flock() -> (Flock, Job) {
    let flock = Flock::new().with_efs();
    flock.memory.secrets.lock().unwrap().push(Secret { name: "key".into(), bytes: b"hush".to_vec() });
    let job = flock.job("{}");
    (flock, job)
}

/// Runs the first attempt with the fault at call `at`. None: the worker died there. The bool: the call was made.
async fn first(flock: &Flock, job: &Job, script: &str, at: usize, fault: Fault) -> (Option<Exit>, bool) {
    let gate = Gate::new(at, fault);
    let ports = gated(&flock.ports, &gate);
    let payload = payload(script);
    let exit = tokio::select! {
        biased;
        () = gate.hung() => None,
        exit = shepard_worker::run(&ports, job, &flock.place, &payload, flock.stop.clone()) => Some(exit),
    };
    (exit, gate.calls() >= at)
}

/// What must hold of a job that has ended, whatever happened on the way.
fn check_end(flock: &Flock, job: &Job, what: &str) {
    let row = flock.row(job);
    let ends = row.timeline.iter().filter(|note| note.stage == Stage::Ended).count();
    assert_eq!(ends, 1, "{what}: ended once");
    assert!(flock.is_clean(), "{what}: a directory is left");
    let listed = |bucket: &str| {
        let mut keys: Vec<String> =
            row.results.iter().filter(|one| one.bucket == bucket).map(|one| one.key.clone()).collect();
        keys.sort();
        keys
    };
    assert_eq!(flock.memory.keys("outputs"), listed("outputs"), "{what}: results");
    match row.outcome {
        Some(Outcome::Succeeded) => assert_eq!(listed("outputs").len(), 2, "{what}"),
        Some(Outcome::Failed) => {
            assert!(listed("outputs").is_empty(), "{what}");
            assert!(row.reason.is_some_and(|reason| !reason.contains("hush")), "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

/// The second attempt, five seconds later, with nothing in its way.
async fn second(flock: &mut Flock, job: &Job, script: &str) -> Exit {
    flock.ports = Ports { clock: Arc::new(Hurried(5_000)), ..flock.ports.clone() };
    flock.run(&flock.next(job), script).await
}

#[tokio::test]
async fn an_error_that_passes_changes_nothing() {
    for fault in [Fault::Before(Kind::Offline), Fault::After(Kind::Throttled)] {
        for at in 1.. {
            let (flock, job) = flock();
            let what = format!("{fault:?} at {at}");
            let (exit, reached) = first(&flock, &job, WELL, at, fault).await;
            assert_eq!(exit, Some(Exit::Succeeded), "{what}");
            assert_eq!(flock.row(&job).attempts.len(), 1, "{what}");
            check_end(&flock, &job, &what);
            if !reached {
                assert!(at > 15, "too few calls to mean anything: {at}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_error_that_stays_fails_the_job_or_leaves_it_to_another_attempt() {
    for script in [WELL, BADLY] {
        for fault in [Fault::Before(Kind::Denied), Fault::After(Kind::Denied)] {
            for at in 1.. {
                let (mut flock, job) = flock();
                let what = format!("{fault:?} at {at}");
                let (exit, reached) = first(&flock, &job, script, at, fault).await;
                let row = flock.row(&job);
                let told = match exit.unwrap() {
                    Exit::Succeeded => row.outcome == Some(Outcome::Succeeded),
                    Exit::Failed | Exit::PayloadFailed => row.outcome == Some(Outcome::Failed),
                    Exit::Unwritten => true,
                    _ => false,
                };
                assert!(told, "{what}: {:?}", row.outcome);
                if row.outcome.is_none() {
                    assert!(flock.is_clean(), "{what}: a directory is left");
                    let expected = if script == WELL { Exit::Succeeded } else { Exit::PayloadFailed };
                    assert_eq!(second(&mut flock, &job, script).await, expected, "{what}");
                }
                check_end(&flock, &job, &what);
                if !reached {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_worker_that_dies_at_any_call_is_followed_by_one_that_ends_the_job() {
    for script in [WELL, BADLY] {
        for fault in [Fault::HangBefore, Fault::HangAfter] {
            for at in 1.. {
                let (mut flock, job) = flock();
                let what = format!("{fault:?} at {at}");
                let (exit, reached) = first(&flock, &job, script, at, fault).await;
                assert_eq!(exit.is_none(), reached, "{what}");
                let before = flock.row(&job);
                let expected = match before.outcome {
                    Some(_) => Exit::AlreadyDone,
                    None if script == WELL => Exit::Succeeded,
                    None => Exit::PayloadFailed,
                };
                if before.outcome.is_none() {
                    assert!(matches!(before.state(), State::Queued | State::Running), "{what}");
                }
                assert_eq!(second(&mut flock, &job, script).await, expected, "{what}");
                check_end(&flock, &job, &what);
                if !reached {
                    break;
                }
            }
        }
    }
}
