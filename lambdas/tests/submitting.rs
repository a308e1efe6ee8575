//! One run handed to the compute, the reconciliation, and jobs that come by API.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::panic, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/faults.rs"]
mod faults;
#[path = "common/memory.rs"]
mod memory;

use faults::{Fault, Plan, faulty};
use memory::Memory;
use shepard_cloud::ports::{ComputeState, Put};
use shepard_lambdas::{
    ReconcileSettings, Scheduler, SchedulerSettings, Submission, accept, reconcile, submit_run,
};
use shepard_model::inputs::Inputs;
use shepard_model::{Fence, JobId, JobRow, ObjectRef, State, Transition};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

async fn queued(memory: &Memory, key: &str) -> JobRow {
    let object = ObjectRef::new("inputs", key).at("v1");
    let row =
        JobRow::arrived(JobId::of_object(&object), Some(object), Inputs::default(), memory.world().now_ms, 1);
    assert_eq!(memory.ports().table.put_new(&row).await.unwrap(), Put::Created);
    row
}

#[test]
fn a_retry_submits_its_run_once_under_its_own_name() {
    let memory = Memory::default();
    run(async {
        let ports = memory.ports();
        let row = queued(&memory, "a.zip").await;
        let first = submit_run(&ports, &row).await.unwrap();
        assert!(matches!(first, Submission::Made(_)));
        assert!(
            matches!(submit_run(&ports, &row).await.unwrap(), Submission::Adopted(_)),
            "a stale copy of the row"
        );
        for change in [
            Transition::Lost { run: 1, attempt: 1, reason: "x".into(), retry: false, at_ms: 5 },
            Transition::Requeued { by: "me".into(), at_ms: 6, keep_days: 1 },
        ] {
            ports.table.apply(&row.id, &change).await.unwrap();
        }
        let again = memory.row(&row.id).unwrap();
        assert!(matches!(submit_run(&ports, &again).await.unwrap(), Submission::Made(_)));
        let jobs = memory.world().jobs.clone();
        assert_eq!(jobs.len(), 2);
        assert_eq!(jobs[1].request.name, format!("{}-run2", row.id));
        assert_eq!(jobs[1].request.environment[3], ("SHEPARD_RUN".to_owned(), "2".to_owned()));
    });
}

#[test]
fn a_job_cancelled_while_it_was_submitted_is_stopped() {
    let memory = Memory::default();
    run(async {
        let ports = memory.ports();
        let row = queued(&memory, "a.zip").await;
        let cancel = Transition::CancelRequested { by: "me".into(), at_ms: 1 };
        ports.table.apply(&row.id, &cancel).await.unwrap();
        assert!(matches!(submit_run(&ports, &row).await.unwrap(), Submission::NotNeeded(_)));
        assert!(memory.world().jobs[0].terminated);
    });
}

#[test]
fn the_reconciliation_makes_up_for_every_lost_step_and_does_nothing_twice() {
    let memory = Memory::default();
    run(async {
        let ports = memory.ports();
        // One each: never submitted; submitted, unsaid; failed, unsaid; ended well, unsaid; forgotten; running;
        // running with its worker gone silent; claimed by a worker that is alive while the compute says it died.
        let mut rows = Vec::new();
        for name in ["lost", "unsaid", "failed", "well", "forgotten", "running", "silent", "alive"] {
            rows.push(queued(&memory, name).await);
        }
        ports.compute.submit(&shepard_lambdas::job_request(&rows[1])).await.unwrap();
        for row in &rows[2..] {
            submit_run(&ports, row).await.unwrap();
        }
        for (index, until) in [(6, 10), (7, i64::MAX)] {
            let fence = Fence { run: 1, attempt: 1, worker: "w".into() };
            let (log_stream, at_ms, lease_until_ms) = (String::new(), 1, until);
            let (compute_id, batch) = (None, None);
            let claim = Transition::Claimed { fence, log_stream, compute_id, batch, at_ms, lease_until_ms };
            ports.table.apply(&rows[index].id, &claim).await.unwrap();
        }
        {
            let mut world = memory.world();
            let name = |index: usize| rows[index].id.as_str();
            world.jobs.retain(|job| job.request.name != name(4));
            for (index, state) in [
                (2, ComputeState::Failed),
                (3, ComputeState::Succeeded),
                (5, ComputeState::Running),
                (6, ComputeState::Failed),
                (7, ComputeState::Failed),
            ] {
                let job = world.jobs.iter_mut().find(|job| job.request.name == name(index)).unwrap();
                (job.state, job.reason) = (state, Some("Host EC2 terminated".to_owned()));
            }
        }
        let settings = ReconcileSettings { grace_ms: 1_000, forgotten_ms: 0, page: 3, ..Default::default() };
        let nothing = reconcile(&ports, settings).await.unwrap();
        assert_eq!((nothing.submitted.len(), nothing.ended.len()), (0, 0), "within the grace");
        memory.world().now_ms = 5_000;
        let done = reconcile(&ports, settings).await.unwrap();
        assert_eq!((done.rows, done.open), (8, 8));
        assert_eq!(done.submitted, [rows[0].id.clone(), rows[1].id.clone()]);
        let ended: Vec<_> = [2, 3, 4, 6].iter().map(|index: &usize| rows[*index].id.clone()).collect();
        assert_eq!(done.ended, ended);
        let states: Vec<_> = rows.iter().map(|row| memory.row(&row.id).unwrap().state()).collect();
        use State::{Failed, Running, Scheduled};
        assert_eq!(states, [Scheduled, Scheduled, Failed, Failed, Failed, Scheduled, Failed, Running]);
        let reason = memory.row(&rows[6].id).unwrap().reason.unwrap();
        assert_eq!(reason, "the compute says that the job failed: Host EC2 terminated");
        memory.world().now_ms = 50_000;
        let again = reconcile(&ports, settings).await.unwrap();
        assert_eq!((again.submitted.len(), again.ended.len(), again.open), (0, 0, 4));
        assert_eq!(memory.world().jobs.len(), 7, "one was forgotten, none was doubled");
    });
}

#[test]
fn the_reconciliation_survives_a_crash_at_any_call() {
    for call in 0.. {
        let memory = Memory::default();
        let plan = Plan::at(call, if call % 2 == 0 { Fault::CrashAfter } else { Fault::CrashBefore });
        let over = run(async {
            for name in ["a", "b", "c"] {
                queued(&memory, name).await;
            }
            let ports = faulty(memory.ports(), &plan);
            let settings = ReconcileSettings { grace_ms: 0, page: 2, ..Default::default() };
            let survived = plan.survive(reconcile(&ports, settings)).await.is_some();
            plan.calm();
            reconcile(&ports, settings).await.unwrap();
            survived
        });
        assert_eq!(memory.world().jobs.len(), 3, "crash at call {call}");
        assert!(memory.world().rows.iter().all(|row| row.state() == State::Scheduled));
        if over {
            assert!(call > 8);
            return;
        }
    }
}

#[test]
fn jobs_by_api_are_taken_whole_or_not_at_all_and_never_doubled() {
    let memory = Memory::default();
    let scheduler = Scheduler::new(memory.ports(), SchedulerSettings::default());
    let call = |text: &str, key: &str| run(accept(&scheduler, text, key));
    let answers = call(r#"[{"x": 1}, {"PATH": 1}, 5, {"y": 0.10}]"#, "k").unwrap();
    let statuses =
        |answers: &[shepard_lambdas::Answer]| answers.iter().map(|one| one.status).collect::<Vec<_>>();
    assert_eq!(statuses(&answers), ["not_submitted", "rejected", "rejected", "not_submitted"]);
    assert!(answers[1].reason.as_ref().unwrap().contains("reserved"));
    assert!(memory.world().rows.is_empty() && memory.world().jobs.is_empty());
    let answers = call(r#"[{"x": 1}, {"y": 0.10}]"#, "k").unwrap();
    assert_eq!(statuses(&answers), ["submitted", "submitted"]);
    assert_ne!(answers[0].uuid, answers[1].uuid);
    let again = call(r#"[{"x": 1}, {"y": 0.10}]"#, "k").unwrap();
    assert_eq!(statuses(&again), ["known", "known"]);
    assert_eq!(
        again.iter().map(|one| (&one.uuid, &one.compute_id)).collect::<Vec<_>>(),
        answers.iter().map(|one| (&one.uuid, &one.compute_id)).collect::<Vec<_>>()
    );
    assert_eq!(memory.world().jobs.len(), 2);
    let one = call(r#"{"x": 1}"#, "other").unwrap();
    assert_eq!((one.len(), one[0].status), (1, "submitted"));
    let environment = memory.world().jobs[2].request.environment.clone();
    assert_eq!(environment[1], ("INPUT_ZIP_NAME".to_owned(), "None".to_owned()));
    assert_eq!(environment[2], ("IS_INVOKED".to_owned(), "True".to_owned()));
    for (text, key) in [("nonsense", "k"), ("", "k"), ("[1", "k"), ("{}", "")] {
        assert!(call(text, key).is_err(), "{text}");
    }
}
