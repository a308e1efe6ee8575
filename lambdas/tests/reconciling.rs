//! What the reconciliation does about batches, rows of batches, and rows of old workers.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::panic, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/faults.rs"]
mod faults;
#[path = "common/half_done.rs"]
mod half_done;
#[path = "common/memory.rs"]
mod memory;

use faults::{Plan, faulty};
use half_done::*;
use shepard_cloud::Kind;
use shepard_cloud::ports::ComputeState;
use shepard_lambdas::{Fate, ReconcileSettings, batch_request, job_request, reconcile, submit_run};
use shepard_model::inputs::Inputs;
use shepard_model::manifest::{self, BatchRef, Header};
use shepard_model::names::manifest_key;
use shepard_model::{JobId, JobRow, ObjectRef, Outcome, Refused, Shape, State, status};

#[test]
fn a_batch_that_was_made_is_submitted_once() {
    let memory = world();
    let lost = Batch::begun(&memory, 3, 1, 11 * MINUTE).made(&memory);
    let young = Batch::begun(&memory, 3, 1, 9 * MINUTE).made(&memory);
    let yesterday = Batch::begun(&memory, 3, 2, DAY).made(&memory);
    let unsaid = Batch::begun(&memory, 2, 1, DAY + MINUTE).made(&memory);
    run(memory.ports().compute.submit(&batch_request(&unsaid.id, &unsaid.header))).unwrap();
    let (_known, _) = Batch::begun(&memory, 2, 1, DAY).made(&memory).submitted(&memory);
    let done = once(&memory);
    assert_eq!(done.batches, [unsaid.id.clone(), yesterday.id.clone(), lost.id.clone()]);
    assert!(done.submitted.is_empty() && done.ended.is_empty());
    assert_eq!(memory.world().jobs.len(), 4);
    for (batch, children) in [(&lost, 3), (&yesterday, 2), (&unsaid, 2)] {
        let Fate::Submitted(job) = batch.fate(&memory) else { panic!("{:?}", batch.fate(&memory)) };
        let world = memory.world();
        let job = world.jobs.iter().find(|one| one.id == job).unwrap();
        assert_eq!((job.request.name.as_str(), job.request.children), (batch.id.as_str(), children));
    }
    assert!(matches!(young.fate(&memory), Fate::Made(_)));
    check_quiet(&memory, "all but one");
    memory.world().now_ms += 2 * MINUTE;
    assert_eq!(once(&memory).batches, [young.id]);
}

#[test]
fn a_batch_that_the_compute_refuses_is_tried_once_and_its_rows_say_why() {
    let memory = world();
    let batch = Batch::begun(&memory, 2, 1, DAY).made(&memory);
    let plan = Plan::of([]);
    plan.always(Some(("submit", Kind::Invalid)));
    for _ in 0..2 {
        let done = run(reconcile(&faulty(memory.ports(), &plan), SETTINGS)).unwrap();
        assert!(done.batches.is_empty() && done.failed.is_empty());
        assert_eq!((plan.count("submit"), batch.fate(&memory)), (1, Fate::Refused));
    }
    assert_eq!(batch.states(&memory), [State::Failed; 2]);
    assert!(batch.rows(&memory)[0].reason.as_ref().unwrap().contains("cannot be submitted"));
    check_quiet(&memory, "refused");
}

#[test]
fn a_container_of_several_rows_has_time_for_all_of_them() {
    let request = |pack, timeout_s| {
        let shape = Shape { timeout_s, vcpus: Some(2), ..Shape::default() };
        batch_request(&JobId::parse("b").unwrap(), &Header::new(9, pack, shape)).shape
    };
    assert_eq!((request(3, Some(60)).timeout_s, request(3, Some(60)).vcpus), (Some(180), Some(2)));
    assert_eq!((request(1, Some(60)).timeout_s, request(3, None).timeout_s), (Some(60), None));
    assert_eq!(request(1_000, Some(2_000_000_000)).timeout_s, Some(i32::MAX as u32));
}

#[test]
fn with_nothing_to_do_it_lists_and_asks_nothing_of_a_batch() {
    let memory = world();
    for _ in 0..5 {
        let (batch, _) = Batch::begun(&memory, 2, 1, DAY).made(&memory).submitted(&memory);
        batch.ids.iter().for_each(|id| end(&memory, id, Outcome::Succeeded));
    }
    let given_up = Batch::begun(&memory, 1, 1, DAY);
    given_up.write(&memory, &manifest_key(&given_up.id), &manifest::tombstone());
    end(&memory, &given_up.ids[0], Outcome::Cancelled);
    let plan = Plan::of([]);
    let done = run(reconcile(&faulty(memory.ports(), &plan), SETTINGS)).unwrap();
    assert_eq!((done.rows, done.open), (11, 0));
    assert_eq!(
        plan.calls(),
        plan.count("list") + plan.count("scan"),
        "three days, two lists each, a few pages"
    );
    let never = ReconcileSettings { batch_window_ms: 0, ..SETTINGS };
    let plan = Plan::of([]);
    run(reconcile(&faulty(memory.ports(), &plan), never)).unwrap();
    assert_eq!(plan.count("list"), 0);
}

#[test]
fn a_batch_that_was_never_made_is_given_up_and_its_rows_are_run_one_by_one() {
    let memory = world();
    let young = Batch::begun(&memory, 2, 1, 9 * MINUTE);
    let old = Batch::begun(&memory, 4, 2, 11 * MINUTE);
    let gone = Batch::begun(&memory, 2, 1, 11 * MINUTE);
    gone.write(&memory, &manifest_key(&gone.id), &manifest::tombstone());
    let done = once(&memory);
    assert_eq!(done.submitted, [old.ids.clone(), gone.ids.clone()].concat());
    assert_eq!((young.fate(&memory), old.fate(&memory)), (Fate::Unmade, Fate::GivenUp));
    for row in old.rows(&memory).into_iter().chain(gone.rows(&memory)) {
        assert_eq!((row.state(), &row.batch), (State::Scheduled, &None));
        let world = memory.world();
        let job = world.jobs.iter().find(|job| Some(&job.id) == row.compute_id.as_ref()).unwrap();
        assert_eq!(job.request, job_request(&row));
    }
    assert_eq!(young.states(&memory), [State::Queued; 2]);
    // Whoever began it was only slow.
    let manifest = ObjectRef::new("inputs", manifest_key(&old.id));
    assert!(!run(memory.ports().objects.put_new(&manifest, b"late")).unwrap());
    check_quiet(&memory, "given up");
}

#[test]
fn rows_whose_container_ended_without_claiming_them() {
    let memory = world();
    // Containers of three rows: ended well; failed after its first row; failed before it; runs; is not there yet.
    let (batch, array) = Batch::begun(&memory, 15, 3, DAY).made(&memory).submitted(&memory);
    let child = |index: usize| format!("{array}:{}", index / 3);
    let place = |index: usize| memory.row(&batch.ids[index]).unwrap().batch;
    for index in [0, 1, 3] {
        let row = memory.row(&batch.ids[index]).unwrap();
        claim(&memory, &row, &child(index), place(index), MINUTE).unwrap();
        end(&memory, &batch.ids[index], Outcome::Succeeded);
    }
    {
        let mut world = memory.world();
        let job = world.jobs.iter_mut().find(|job| job.id == array).unwrap();
        job.reason = Some("no such image".to_owned());
        job.request.children = 4;
        let states =
            [ComputeState::Succeeded, ComputeState::Failed, ComputeState::Failed, ComputeState::Running];
        let children = (0..).zip(states).map(|(index, state)| (format!("{array}:{index}"), state));
        world.children.extend(children);
    }
    let done = once(&memory);
    assert_eq!(done.submitted, [2, 4, 5].map(|index: usize| batch.ids[index].clone()));
    assert_eq!(done.ended, [6, 7, 8].map(|index: usize| batch.ids[index].clone()));
    use State::{Failed, Queued, Scheduled, Succeeded};
    let expected = [
        [Succeeded, Succeeded, Scheduled],
        [Succeeded, Scheduled, Scheduled],
        [Failed; 3],
        [Queued; 3],
        [Queued; 3],
    ];
    assert_eq!(batch.states(&memory), expected.concat());
    let failed = memory.row(&batch.ids[7]).unwrap();
    assert_eq!(failed.reason.as_deref(), Some("the compute says that the job failed: no such image"));
    let alone = memory.row(&batch.ids[4]).unwrap();
    let stale = claim(&memory, &alone, &child(4), Some(BatchRef { id: batch.id.clone(), index: 4 }), MINUTE);
    assert_eq!((alone.batch, stale), (None, Err(Refused::OtherBatch)));
    check_quiet(&memory, "settled");
    // The array is forgotten, and its children with it.
    memory.world().jobs.retain(|job| job.id != array);
    let done = once(&memory);
    assert_eq!(done.ended, batch.ids[9..]);
    assert!(memory.row(&batch.ids[9]).unwrap().reason.unwrap().contains("does not know the job"));
}

#[test]
fn a_child_of_one_row_that_failed_fails_it_and_a_row_without_a_record_is_run() {
    let memory = world();
    let batch = Batch::begun(&memory, 3, 1, DAY);
    // The answer to its put was lost, so that the owner left a hole where it is.
    let records = [Some(batch.ids[0].clone()), None, Some(batch.ids[2].clone())];
    batch.write(&memory, &manifest_key(&batch.id), &manifest::encode(&batch.header, &records));
    let (batch, array) = batch.submitted(&memory);
    check_quiet(&memory, "it may yet run");
    for (index, state) in
        [ComputeState::Failed, ComputeState::Failed, ComputeState::Runnable].iter().enumerate()
    {
        memory.world().children.insert(format!("{array}:{index}"), *state);
    }
    let done = once(&memory);
    assert_eq!((done.ended, done.submitted), (vec![batch.ids[0].clone()], vec![batch.ids[1].clone()]));
    assert_eq!(batch.states(&memory), [State::Failed, State::Scheduled, State::Queued]);
    assert_eq!(memory.row(&batch.ids[1]).unwrap().batch, None);
    check_quiet(&memory, "settled");
}

#[test]
fn a_worker_of_a_batch_that_died_without_a_word_fails_its_row_and_a_living_one_keeps_it() {
    let memory = world();
    let (batch, array) = Batch::begun(&memory, 4, 2, DAY).made(&memory).submitted(&memory);
    for (index, row) in batch.rows(&memory).into_iter().enumerate().step_by(2) {
        let lease_ms = if index == 0 { -1 } else { 30 * MINUTE };
        claim(&memory, &row, &format!("{array}:{}", index / 2), row.batch.clone(), lease_ms).unwrap();
    }
    memory.world().jobs[0].state = ComputeState::Failed;
    memory.world().now_ms += 2 * MINUTE;
    let done = once(&memory);
    assert_eq!(
        (done.ended, done.submitted),
        (vec![batch.ids[0].clone()], vec![batch.ids[1].clone(), batch.ids[3].clone()])
    );
    assert_eq!(batch.states(&memory)[2], State::Running);
    check_quiet(&memory, "settled");
}

#[test]
fn a_batch_of_one_container_is_asked_for_by_its_own_id() {
    let memory = world();
    let (batch, array) = Batch::begun(&memory, 2, 2, DAY).made(&memory).submitted(&memory);
    claim(&memory, &batch.rows(&memory)[0], &array, batch.rows(&memory)[0].batch.clone(), MINUTE).unwrap();
    end(&memory, &batch.ids[0], Outcome::Failed);
    check_quiet(&memory, "it runs");
    memory.world().jobs[0].state = ComputeState::Failed;
    assert_eq!(once(&memory).submitted, batch.ids[1..]);
}

#[test]
fn a_job_that_the_compute_does_not_know_may_be_new() {
    let memory = world();
    for name in ["plain", "older"] {
        run(submit_run(&memory.ports(), &row(&memory, name, DAY))).unwrap();
    }
    let (batch, _) = Batch::begun(&memory, 2, 1, 59 * MINUTE).made(&memory).submitted(&memory);
    memory.world().jobs.clear();
    memory.world().now_ms += MINUTE - 1;
    check_quiet(&memory, "not yet");
    memory.world().now_ms += 1;
    assert_eq!(
        once(&memory).ended,
        batch.ids,
        "those were written an hour ago, the others submitted just now"
    );
    memory.world().now_ms += 60 * MINUTE;
    assert_eq!(once(&memory).ended.len(), 2);
    check_quiet(&memory, "forgotten");
}

#[test]
fn a_row_of_the_old_scheduler_is_never_submitted_and_fails_with_its_job() {
    let memory = world();
    let old = |digit: char| {
        let id = JobId::parse(&digit.to_string().repeat(84)).unwrap();
        let row = JobRow::arrived(id, None, Inputs::default(), NOW - DAY, 1);
        put(&memory, &row);
        row
    };
    let (lost, failed) = (old('a'), old('b'));
    run(memory.ports().compute.submit(&job_request(&failed))).unwrap();
    check_quiet(&memory, "one has no job, one's job waits");
    memory.world().jobs[0].state = ComputeState::Failed;
    assert_eq!(once(&memory).ended, [failed.id]);
    assert_eq!(memory.row(&lost.id).unwrap().state(), State::Queued);
    check_quiet(&memory, "settled");
}

#[test]
fn what_an_old_worker_ended_the_compute_tells_how() {
    let memory = world();
    let done = status::done(NOW - 600_000);
    let mut rows = Vec::new();
    for (name, said, recorded) in [
        ("well", done.as_str(), true),
        ("badly", done.as_str(), true),
        ("unrecorded", done.as_str(), false),
        ("going", done.as_str(), true),
        ("forgotten", done.as_str(), true),
        ("never known", done.as_str(), false),
        ("runs", "calling_payload_code 2026/11/21-06:00:00 U.T.C.", false),
        ("died", "calling_payload_code 2026/11/21-06:00:00 U.T.C.", false),
        ("claimed", "in_progress", true),
    ] {
        let fresh = by_an_old_worker(&memory, name, said, None);
        let compute_id = (name != "never known")
            .then(|| run(memory.ports().compute.submit(&job_request(&fresh))).unwrap());
        let at = memory.world().rows.iter().position(|row| row.id == fresh.id).unwrap();
        memory.world().rows[at].compute_id = compute_id.filter(|_| recorded);
        rows.push(fresh);
    }
    {
        use ComputeState::{Failed, Running, Succeeded};
        let mut world = memory.world();
        let name = |index: usize| rows[index].id.as_str();
        world.jobs.retain(|job| job.request.name != name(4));
        for (index, state) in [
            (0, Succeeded),
            (1, Failed),
            (2, Succeeded),
            (3, Running),
            (6, Running),
            (7, Failed),
            (8, Running),
        ] {
            let job = world.jobs.iter_mut().find(|job| job.request.name == name(index)).unwrap();
            (job.state, job.reason) = (state, Some("Essential container in task exited".to_owned()));
        }
    }
    let before = memory.world().rows.clone();
    let found = once(&memory);
    assert!(found.submitted.is_empty(), "nothing of an old worker's is submitted again");
    assert_eq!(found.ended, [0, 1, 2, 7].map(|index: usize| rows[index].id.clone()));
    let after = memory.world().rows.clone();
    use Outcome::{Failed, Succeeded};
    let outcomes: Vec<_> = after.iter().map(|row| row.outcome).collect();
    assert_eq!(
        outcomes,
        [Some(Succeeded), Some(Failed), Some(Succeeded), None, None, None, None, Some(Failed), None]
    );
    for index in 0..3 {
        assert_eq!(
            (&after[index].status, after[index].end_time_s),
            (&before[index].status, before[index].end_time_s)
        );
    }
    let reason = after[1].reason.as_deref().unwrap();
    assert!(reason.contains("only that it is done") && reason.contains("Essential container"), "{reason}");
    check_quiet(&memory, "settled");
}
