//! `kill -9` at every part of a local flock: nothing is lost, nothing hangs, nothing runs twice at once.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashMap;

use shepard_model::names::worker_env as env;
use shepard_model::{Outcome, State, Transition};
use support::{Flock, alive, kill};

/// Says `TWICE` when another payload of the same job lives; a lock that the kernel gives back, so that a killed
/// one does not count.
const ALONE: &str = r#"
    exec 9>>"$MARKS.$UUID"
    flock -n 9 || echo "TWICE $UUID" >> "$MARKS"
    echo "begin $UUID" >> "$MARKS"
"#;

fn script(rest: &str) -> String {
    format!("{ALONE}\n{rest}")
}

fn assert_never_twice(flock: &Flock) {
    let twice: Vec<String> = flock.marks().into_iter().filter(|mark| mark.starts_with("TWICE")).collect();
    assert!(twice.is_empty(), "two payloads of one job at once: {twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_kills_during_three_hundred_jobs_lose_none_and_run_none_twice() {
    const JOBS: usize = 300;
    let mut flock =
        Flock::running(&script(r#"echo "end $UUID" >> "$MARKS""#), |settings| settings.max_jobs = 4);
    for job in 0..JOBS {
        flock.put(&format!("{}/{job}.zip", job % 7), &format!(r#"{{"N":{job}}}"#)).await;
    }
    for round in 1..=3 {
        flock.start();
        // While uploads are announced, while they are scheduled, while they run.
        let ended = round * JOBS / 5;
        flock
            .until("some jobs have ended", async || {
                flock.marks().iter().filter(|mark| mark.starts_with("end ")).count() >= ended
            })
            .await;
        flock.kill_supervisor();
    }
    flock.start();
    let rows = flock.all_ended(JOBS).await;
    assert_eq!(rows.len(), JOBS);
    let marks = flock.marks();
    for row in &rows {
        assert_eq!(row.outcome, Some(Outcome::Succeeded), "{row:#?}");
        // Workers outlive their supervisor, so that not even an attempt is lost, but for one that had not begun.
        let begun = marks.iter().filter(|mark| **mark == format!("begin {}", row.id)).count();
        let ended = marks.iter().filter(|mark| **mark == format!("end {}", row.id)).count();
        assert_eq!((begun, ended), (1, 1), "{row:#?}");
    }
    assert_never_twice(&flock);
    let mut keys: Vec<_> = rows.iter().map(|row| row.input.as_ref().unwrap().key.clone()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), JOBS, "a row for each upload");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_seen_as_died_its_payload_ended_and_the_job_run_again() {
    // The first attempt stays until it is killed; the second one finds that there was a first.
    let rest = r#"[ "$(grep -c "begin $UUID" "$MARKS")" -gt 1 ] || sleep 600"#;
    let mut flock = Flock::running(&script(rest), |_| {});
    flock.start();
    flock.put("a.zip", "{}").await;
    flock.until("the payload runs", async || flock.marks().len() == 1).await;
    let id = flock.row("a.zip").await.unwrap().id;
    kill(flock.worker_pid().await, "KILL");
    let row = flock.ended("a.zip").await;
    assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Succeeded), 2), "{row:#?}");
    assert!(row.attempts[0].reason.as_ref().is_some_and(|reason| reason.contains("signal 9")), "{row:#?}");
    assert_eq!(flock.count_of(&format!("begin {id}")), 2);
    assert_never_twice(&flock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_leaves_its_group_does_not_outlive_its_worker_either() {
    let rest = r#"
        [ "$(grep -c "begin $UUID" "$MARKS")" -gt 1 ] && exit 0
        env -i /usr/bin/setsid sleep 600 &
        sleep 600
    "#;
    let mut flock = Flock::running(&script(rest), |_| {});
    flock.start();
    flock.put("a.zip", "{}").await;
    flock.until("the payload runs", async || flock.marks().len() == 1).await;
    kill(flock.worker_pid().await, "KILL");
    let row = flock.ended("a.zip").await;
    assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Succeeded), 2), "{row:#?}");
    assert_never_twice(&flock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_its_supervisor_and_is_adopted() {
    let rest = r#"while [ ! -e "$MARKS.go" ]; do sleep 0.05; done; echo ok > "$ROOT_OUTPUT_NAME/ok""#;
    let mut flock = Flock::running(&script(rest), |settings| settings.max_jobs = 1);
    flock.start();
    flock.put("a.zip", "{}").await;
    flock.until("the payload runs", async || flock.marks().len() == 1).await;
    let worker = flock.worker_pid().await;
    flock.kill_supervisor();
    flock.put("b.zip", "{}").await;
    flock.start();
    flock
        .until("the new supervisor has scheduled the other job", async || {
            flock.row("b.zip").await.is_some_and(|row| row.state() == State::Scheduled)
        })
        .await;
    assert!(alive(worker));
    assert_eq!(flock.marks().len(), 1, "the adopted job holds the one place");
    std::fs::write(flock.world.path().join("marks.go"), "").unwrap();
    for key in ["a.zip", "b.zip"] {
        let row = flock.ended(key).await;
        assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Succeeded), 1), "{row:#?}");
    }
    assert_eq!(flock.marks().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_job_can_be_cancelled() {
    let mut flock = Flock::running(&script("sleep 600"), |_| {});
    flock.start();
    flock.put("a.zip", "{}").await;
    flock.until("the payload runs", async || flock.marks().len() == 1).await;
    let worker = flock.worker_pid().await;
    flock.kill_supervisor();
    flock.start();
    let row = flock.row("a.zip").await.unwrap();
    let at_ms = flock.ports.clock.now_ms();
    flock.ports.table.apply(&row.id, &Transition::CancelRequested { by: "me".into(), at_ms }).await.unwrap();
    flock.ports.compute.terminate(row.compute_id.as_deref().unwrap(), "me").await.unwrap();
    assert_eq!(flock.ended("a.zip").await.outcome, Some(Outcome::Cancelled));
    flock.until("the worker is gone", async || !alive(worker)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_and_supervisor_killed_together_leave_a_payload_that_is_ended_first() {
    let rest = r#"[ "$(grep -c "begin $UUID" "$MARKS")" -gt 1 ] || sleep 600"#;
    let mut flock = Flock::running(&script(rest), |_| {});
    flock.start();
    flock.put("a.zip", "{}").await;
    flock.until("the payload runs", async || flock.marks().len() == 1).await;
    let worker = flock.worker_pid().await;
    flock.kill_supervisor();
    kill(worker, "KILL");
    flock.until("the worker is gone", async || !alive(worker)).await;
    flock.start();
    let row = flock.ended("a.zip").await;
    assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Succeeded), 2), "{row:#?}");
    assert!(
        row.attempts[0].reason.as_ref().is_some_and(|reason| reason.contains("no supervisor")),
        "{row:#?}"
    );
    assert_never_twice(&flock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_workers_always_die_fails_after_its_attempts() {
    let mut flock = Flock::running(&script("kill -9 $PPID; sleep 600"), |settings| settings.attempts = 2);
    flock.start();
    flock.put("bad.zip", "{}").await;
    let row = flock.ended("bad.zip").await;
    assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Failed), 2), "{row:#?}");
    assert!(row.reason.as_ref().is_some_and(|reason| reason.contains("signal 9")), "{row:#?}");
    flock
        .until("the compute has ended it too", async || {
            flock.local.compute().active().await.unwrap().is_empty()
        })
        .await;
    assert_eq!(flock.marks().len(), 2);
    assert_never_twice(&flock);
}

/// A supervisor that is killed right after it has started a worker leaves one that is only late. Its attempt is
/// given up by the next supervisor; when it comes at last it must not run.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_worker_of_an_attempt_that_was_given_up_runs_nothing() {
    let mut flock = Flock::running(&script("true"), |_| {});
    flock.start();
    flock.put("a.zip", "{}").await;
    // What the first supervisor would have done up to its end: here by hand, with a job of its own.
    flock.ended("a.zip").await;
    flock.kill_supervisor();
    let marks = flock.marks().len();

    let object = shepard_model::ObjectRef::new("inputs", "a.zip");
    let object = flock.ports.objects.head(&object).await.unwrap().object;
    let id = shepard_model::JobId::of_request("late");
    let inputs = shepard_model::Inputs::from_json("{}").unwrap();
    let row = shepard_model::JobRow::arrived(id.clone(), Some(object), inputs, flock.ports.clock.now_ms(), 1);
    flock.ports.table.put_new(&row).await.unwrap();
    shepard_lambdas::submit::submit_run(&flock.ports, &row).await.unwrap();
    let taken = flock.local.compute().take(1).await.unwrap();
    assert_eq!((taken.len(), taken[0].attempt), (1, 1));

    let environment: HashMap<String, String> = taken[0].environment.iter().cloned().collect();
    let late = |flock: &Flock, attempt: u32| {
        let mut command = flock.child("worker");
        command.envs(&environment).env(env::ATTEMPT, attempt.to_string());
        command
    };
    // The next supervisor gives attempt 1 up and runs attempt 2 to its end; a late worker comes after that,
    let lost = Transition::Lost { run: 1, attempt: 1, reason: "given up".into(), retry: true, at_ms: 1 };
    flock.ports.table.apply(&id, &lost).await.unwrap();
    // or before it.
    let output = late(&flock, 1).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(flock.marks().len(), marks, "it ran nothing");

    flock.start();
    let row = loop {
        let row = flock.ports.table.get(&id).await.unwrap().unwrap();
        if row.outcome.is_some() {
            break row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(row.outcome, Some(Outcome::Succeeded), "{row:#?}");
    assert_eq!(row.attempts.iter().map(|one| one.attempt).collect::<Vec<_>>(), [1, 2], "{row:#?}");
    assert_eq!(flock.count_of(&format!("begin {id}")), 1);
    let output = late(&flock, 1).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "it has ended already");
    assert_eq!(flock.count_of(&format!("begin {id}")), 1);
    assert_never_twice(&flock);
}
