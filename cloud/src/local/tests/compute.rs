use super::*;
use crate::local::{End, LocalJob};
use crate::ports::{Compute as _, ComputeState, JobRequest};
use shepard_model::Shape;

async fn submit(fixture: &Fixture, name: &str) -> String {
    let environment = vec![("UUID".to_owned(), name.to_owned()), ("X".to_owned(), "a\nb".to_owned())];
    fixture
        .flock
        .compute()
        .submit(&JobRequest { name: name.into(), environment, shape: Shape::default(), children: 1 })
        .await
        .expect("submit")
}

async fn take_one(fixture: &Fixture) -> LocalJob {
    let mut jobs = fixture.flock.compute().take(1).await.expect("take");
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

async fn state(fixture: &Fixture, id: &str) -> (ComputeState, Option<String>, u32) {
    let mut jobs = fixture.flock.compute().describe(&[id.to_owned()]).await.expect("describe");
    let job = jobs.remove(0);
    (job.state, job.reason, job.attempts)
}

fn retry() -> End {
    End::Retry { reason: "lost".into() }
}

#[tokio::test]
async fn the_way_of_a_job() {
    let fixture = Fixture::new();
    let compute = fixture.flock.compute();
    let id = submit(&fixture, "a").await;
    assert_eq!(
        (state(&fixture, &id).await.0, compute.waiting().await.expect("w")),
        (ComputeState::Runnable, 1)
    );
    let job = take_one(&fixture).await;
    assert_eq!((&job.id, job.name.as_str(), job.attempt, job.pid), (&id, "a", 1, None));
    assert_eq!(job.environment[1], ("X".to_owned(), "a\nb".to_owned()));
    assert_eq!(compute.take(9).await.expect("take"), [], "nobody else gets it");
    assert!(compute.started(&id, 1, 77).await.expect("started"));
    assert_eq!(compute.active().await.expect("active")[0].pid, Some(77));
    assert_eq!(state(&fixture, &id).await, (ComputeState::Running, None, 1));
    assert_eq!(compute.ended(&id, 1, End::Succeeded).await.expect("ended"), Some(ComputeState::Succeeded));
    assert_eq!(compute.ended(&id, 1, retry()).await.expect("ended"), None, "it has ended");
    assert!(!compute.started(&id, 1, 78).await.expect("started"));
    assert_eq!(compute.active().await.expect("active"), []);
}

#[tokio::test]
async fn a_name_that_is_live_is_not_taken_twice_and_one_that_ended_is() {
    let fixture = Fixture::new();
    let first = submit(&fixture, "a").await;
    assert_eq!(submit(&fixture, "a").await, first);
    take_one(&fixture).await;
    assert_eq!(submit(&fixture, "a").await, first);
    fixture.flock.compute().ended(&first, 1, End::Failed { reason: "no".into() }).await.expect("ended");
    let second = submit(&fixture, "a").await;
    assert_ne!(second, first);
    let found = fixture.flock.compute().find("a").await.expect("find");
    assert_eq!(found.iter().map(|job| &job.id).collect::<Vec<_>>(), [&second, &first], "newest first");
    assert_eq!(found[1].reason.as_deref(), Some("no"));
    assert_eq!(fixture.flock.compute().find("b").await.expect("find"), []);
}

#[tokio::test]
async fn a_lost_attempt_is_tried_again_until_they_are_used_up() {
    let fixture = Fixture::new();
    let compute = fixture.flock.compute();
    let id = submit(&fixture, "a").await;
    for attempt in 1..=3 {
        let job = take_one(&fixture).await;
        assert_eq!((job.attempt, job.pid), (attempt, None));
        compute.started(&id, attempt, 5).await.expect("started");
        assert_eq!(compute.ended(&id, attempt - 1, retry()).await.expect("ended"), None, "a late word");
        let expected = if attempt < 3 { ComputeState::Runnable } else { ComputeState::Failed };
        assert_eq!(compute.ended(&id, attempt, retry()).await.expect("ended"), Some(expected));
    }
    assert_eq!(state(&fixture, &id).await, (ComputeState::Failed, Some("lost".into()), 3));
    assert_eq!(compute.take(1).await.expect("take"), []);
}

#[tokio::test]
async fn a_waiting_job_is_terminated_at_once_and_a_running_one_on_request() {
    let fixture = Fixture::new();
    let compute = fixture.flock.compute();
    let running = submit(&fixture, "running").await;
    take_one(&fixture).await;
    let waiting = submit(&fixture, "waiting").await;
    compute.terminate(&waiting, "asked").await.expect("terminate");
    assert_eq!(state(&fixture, &waiting).await, (ComputeState::Failed, Some("asked".into()), 0));
    assert_eq!(compute.take(1).await.expect("take"), []);

    assert_eq!(compute.to_terminate().await.expect("list"), []);
    compute.terminate(&running, "asked").await.expect("terminate");
    compute.terminate(&running, "asked again").await.expect("terminate");
    let asked = compute.to_terminate().await.expect("list");
    assert_eq!((asked.len(), asked[0].terminate.as_deref()), (1, Some("asked")));
    assert_eq!(state(&fixture, &running).await.0, ComputeState::Starting);
    let end = compute.ended(&running, 1, retry()).await.expect("ended");
    assert_eq!(end, Some(ComputeState::Failed), "one that is to stop is not tried again");
    assert_eq!(state(&fixture, &running).await.1.as_deref(), Some("asked"));

    compute.terminate(&running, "late").await.expect("no error where it has ended");
    compute.terminate("nonsense", "late").await.expect("nor where it never was");
    assert_eq!(state(&fixture, &running).await.1.as_deref(), Some("asked"));
}

#[tokio::test]
async fn jobs_are_taken_oldest_first_and_forgotten_when_old() {
    let fixture = Fixture::new();
    let compute = fixture.flock.compute();
    for name in ["a", "b", "c"] {
        submit(&fixture, name).await;
    }
    let taken = compute.take(2).await.expect("take");
    assert_eq!(taken.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(compute.active().await.expect("active"), taken);
    compute.ended(&taken[0].id, 1, End::Succeeded).await.expect("ended");
    assert_eq!(compute.forget(fixture.clock.now_ms(), 9).await.expect("forget"), 0);
    fixture.clock.forward(1);
    assert_eq!(compute.forget(fixture.clock.now_ms(), 9).await.expect("forget"), 1);
    assert_eq!(compute.describe(&[taken[0].id.clone()]).await.expect("describe"), []);
    assert_ne!(submit(&fixture, "d").await, taken[0].id, "an id is never used again");
}

#[tokio::test]
async fn an_interrupted_attempt_counts_for_nothing_unless_the_job_is_to_stop() {
    let fixture = Fixture::new();
    let compute = fixture.flock.compute();
    let id = submit(&fixture, "a").await;
    let allowed = fixture.flock.settings().attempts;
    for attempt in 1..=allowed + 1 {
        assert_eq!(take_one(&fixture).await.attempt, attempt);
        let state = compute.ended(&id, attempt, End::Interrupted).await.expect("ended");
        assert_eq!(state, Some(ComputeState::Runnable));
    }
    let job = take_one(&fixture).await;
    compute.terminate(&id, "enough").await.expect("terminate");
    let ended = compute.ended(&id, job.attempt, End::Interrupted).await.expect("ended");
    assert_eq!(ended, Some(ComputeState::Failed));
    assert_eq!(state(&fixture, &id).await.1.as_deref(), Some("enough"));
}
