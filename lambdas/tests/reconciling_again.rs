//! The reconciliation again and again: lost uploads, little time, crashes at every call, beside a living scheduler.
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

use std::collections::BTreeMap;

use archive::Archive;
use faults::{Fault, Plan, faulty};
use half_done::*;
use memory::Memory;
use shepard_cloud::Kind;
use shepard_cloud::ports::ComputeState;
use shepard_lambdas::{
    Bookmark, ReconcileSettings, Scheduler, SchedulerSettings, batch_request, job_request, notification,
    reconcile, reconcile_from, submit_run,
};
use shepard_model::manifest::{BatchRef, HEADER, decode_records};
use shepard_model::{JobId, Outcome, State, status};

/// Lets every job there is start: how many workers got each row.
fn start_everything(memory: &Memory) -> BTreeMap<JobId, usize> {
    let mut got: BTreeMap<JobId, usize> = memory.world().rows.iter().map(|row| (row.id.clone(), 0)).collect();
    let jobs = memory.world().jobs.clone();
    for job in jobs.iter().filter(|job| !job.terminated) {
        let request = &job.request;
        let manifest = request.environment.iter().find(|(name, _)| name == "SHEPARD_MANIFEST");
        let rows: Vec<(JobId, Option<BatchRef>)> = match manifest {
            None => vec![(JobId::parse(&request.environment[0].1).unwrap(), None)],
            Some((_, key)) => {
                let bytes = memory.world().objects[&("inputs".to_owned(), key.clone())].clone();
                let batch = JobId::parse(&request.name).unwrap();
                let place = |index| Some(BatchRef { id: batch.clone(), index });
                let records = decode_records(&bytes[HEADER..]).unwrap();
                (0..).zip(records).filter_map(|(index, id)| Some((id?, place(index)))).collect()
            }
        };
        for (id, batch) in rows {
            let row = memory.row(&id).unwrap();
            if claim(memory, &row, &job.id, batch, MINUTE).is_ok() {
                *got.get_mut(&id).unwrap() += 1;
            }
        }
    }
    got
}

#[test]
fn uploads_without_rows_are_announced_where_that_is_asked_for() {
    let memory = world();
    let lost: Vec<_> = (0..9).map(|n| upload(&memory, &format!("a b/é{n}.zip"), 20 * MINUTE)).collect();
    for (key, age_ms) in [("young.zip", MINUTE), ("old.zip", DAY), (".shepard/x", 20 * MINUTE)] {
        upload(&memory, key, age_ms);
    }
    memory.world().now_ms = NOW - 20 * MINUTE;
    memory.put("folder/", Vec::new());
    memory.world().now_ms = NOW;
    let known = row(&memory, "0-known", 20 * MINUTE);
    end(&memory, &known.id, Outcome::Succeeded);
    assert_eq!(upload(&memory, "0-known.zip", 20 * MINUTE), known.id);
    once(&memory);
    assert!(memory.world().queue.is_empty(), "off unless asked for");

    let settings = ReconcileSettings { lost_uploads: Some(WINDOW), ..SETTINGS };
    let scheduler = Scheduler::new(memory.ports(), SchedulerSettings::default());
    let (mut announced, mut from, mut runs) = (Vec::new(), Bookmark::default(), 0);
    loop {
        let done = run(reconcile_from(&memory.ports(), settings, from)).unwrap();
        assert!(done.announced.len() <= 4 && done.troubles.is_empty());
        assert_eq!(memory.world().queue.len(), done.announced.len());
        announced.extend(done.announced);
        run(scheduler.pump_once(10)).unwrap();
        runs += 1;
        match done.stopped {
            Some(at) => from = at,
            None => break,
        }
    }
    assert_eq!((announced, runs), (lost.clone(), 3));
    for id in &lost {
        assert_eq!(memory.row(id).unwrap().state(), State::Scheduled, "the scheduler gave it the same id");
    }
    let again = run(reconcile(&memory.ports(), settings)).unwrap();
    assert!(again.announced.is_empty() && memory.world().queue.is_empty());
    assert_eq!(again.unversioned, 0);
}

#[test]
fn an_upload_that_cannot_be_looked_at_hides_no_other() {
    let memory = world();
    let mut lost: Vec<_> = (0..9).map(|n| upload(&memory, &format!("{n}.zip"), 20 * MINUTE)).collect();
    let plan = Plan::of([]);
    // Two of three are refused, whichever they are.
    plan.mostly(Some(("head", Kind::Throttled, 3)));
    let window = shepard_lambdas::Window { at_most: 99, ..WINDOW };
    let settings = ReconcileSettings { lost_uploads: Some(window), ..SETTINGS };
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert_eq!((done.announced.len(), done.troubles.len()), (3, 6), "{done:?}");
    lost.retain(|id| !done.announced.contains(id));
    assert_eq!(lost.len(), 6);
}

#[test]
fn uploads_without_version_ids_cannot_be_looked_for() {
    let memory = world();
    for n in 0..9 {
        upload(&memory, &format!("{n}.zip"), 20 * MINUTE);
    }
    memory.world().unversioned = true;
    let plan = Plan::of([]);
    let settings = ReconcileSettings { lost_uploads: Some(WINDOW), ..SETTINGS };
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert!(done.announced.is_empty() && done.unversioned > 0 && memory.world().queue.is_empty());
    assert!(plan.count("head") < 9, "one page says it");
}

/// One of everything that may be left half done.
fn half_done() -> Memory {
    let memory = world();
    row(&memory, "plain", DAY);
    let unsaid = row(&memory, "unsaid", DAY);
    run(memory.ports().compute.submit(&job_request(&unsaid))).unwrap();
    Batch::begun(&memory, 2, 1, DAY).made(&memory);
    let said = Batch::begun(&memory, 2, 1, DAY).made(&memory);
    run(memory.ports().compute.submit(&batch_request(&said.id, &said.header))).unwrap();
    Batch::begun(&memory, 2, 1, DAY);
    let (batch, array) = Batch::begun(&memory, 4, 2, DAY).made(&memory).submitted(&memory);
    claim(&memory, &batch.rows(&memory)[0], &format!("{array}:0"), batch.rows(&memory)[0].batch.clone(), -1)
        .unwrap();
    memory.world().jobs.last_mut().unwrap().state = ComputeState::Failed;
    let old = by_an_old_worker(&memory, "old", &status::done(NOW - 600_000), None);
    let job = run(memory.ports().compute.submit(&job_request(&old))).unwrap();
    memory.world().jobs.iter_mut().find(|one| one.id == job).unwrap().state = ComputeState::Succeeded;
    upload(&memory, "lost.zip", 20 * MINUTE);
    memory.world().now_ms = NOW + 2 * MINUTE;
    memory
}

/// What must be the same whatever happened on the way: the rows' ends and batches, and the jobs by name.
fn gist(memory: &Memory) -> String {
    let world = memory.world();
    let rows: Vec<_> = world.rows.iter().map(|row| (&row.id, row.state(), &row.reason, &row.batch)).collect();
    let mut jobs: Vec<_> =
        world.jobs.iter().filter(|job| !job.terminated).map(|job| &job.request.name).collect();
    jobs.sort();
    format!("{rows:#?} {jobs:#?}")
}

#[test]
fn whatever_fails_at_any_call_the_next_run_finishes() {
    let settings = ReconcileSettings { lost_uploads: Some(WINDOW), ..SETTINGS };
    let expected = {
        let memory = half_done();
        let done = run(reconcile(&memory.ports(), settings)).unwrap();
        assert_eq!(
            (done.batches.len(), done.submitted.len(), done.ended.len(), done.announced.len()),
            (2, 5, 4, 1)
        );
        memory.world().queue.clear();
        check_quiet(&memory, "all at once");
        gist(&memory)
    };
    let faults = [
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::FailBefore(Kind::Throttled),
        Fault::FailAfter(Kind::Offline),
        Fault::FailBefore(Kind::Denied),
    ];
    for fault in faults {
        for call in 0.. {
            let memory = half_done();
            let plan = Plan::at(call, fault);
            let ports = faulty(memory.ports(), &plan);
            let _ = run(plan.survive(reconcile(&ports, settings)));
            let over = plan.calls() <= call;
            plan.calm();
            // What the first run began and did not finish looks freshly touched.
            memory.world().now_ms += 2 * MINUTE;
            let done = run(reconcile(&ports, settings)).unwrap();
            assert!(done.failed.is_empty() && done.troubles.is_empty(), "{fault:?} at {call}: {done:?}");
            assert!(!memory.world().queue.is_empty(), "{fault:?} at {call}");
            assert_eq!(plan.submitted_without_row(), 0, "{fault:?} at {call}");
            memory.world().queue.clear();
            assert_eq!(gist(&memory), expected, "{fault:?} at {call}");
            check_quiet(&memory, "finished");
            if over {
                assert!(call > 60, "too few calls to mean anything: {call}");
                break;
            }
        }
    }
}

#[test]
fn a_run_that_has_little_time_goes_on_where_it_stopped() {
    let memory = world();
    let count = 10;
    let rows: Vec<_> = (0..count).map(|n| row(&memory, &n.to_string(), DAY)).collect();
    for row in &rows {
        run(submit_run(&memory.ports(), row)).unwrap();
    }
    memory.world().jobs.iter_mut().for_each(|job| job.state = ComputeState::Failed);
    memory.world().now_ms += 2 * MINUTE;
    let settings = ReconcileSettings { budget_ms: Some(0), ..SETTINGS };
    let (mut from, mut seen, mut runs) = (Bookmark::default(), 0, 0);
    loop {
        let done = run(reconcile_from(&memory.ports(), settings, from)).unwrap();
        seen += done.rows;
        runs += 1;
        match done.stopped {
            Some(at) => from = at,
            None => break,
        }
    }
    assert_eq!((seen, runs), (count, 4));
    assert!(memory.world().rows.iter().all(|row| row.state() == State::Failed));
}

#[test]
fn a_compute_that_takes_no_jobs_is_not_pestered() {
    let memory = world();
    for n in 0..30 {
        row(&memory, &n.to_string(), DAY);
    }
    Batch::begun(&memory, 9, 1, DAY);
    Batch::begun(&memory, 9, 1, DAY).made(&memory);
    let plan = Plan::of([]);
    plan.always(Some(("submit", Kind::Throttled)));
    let settings = ReconcileSettings { submits_per_s: 10, ..SETTINGS };
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert!(done.no_room && done.submitted.is_empty() && done.batches.is_empty());
    assert!(plan.count("submit") <= 30, "{} calls", plan.count("submit"));
    plan.calm();
    memory.world().now_ms += 2 * MINUTE;
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert_eq!((done.batches.len(), done.submitted.len(), done.no_room), (1, 39, false));
    check_quiet(&memory, "taken");
}

#[test]
fn where_everything_fails_it_stops_and_the_next_run_begins_behind() {
    let memory = world();
    for n in 0..1_200 {
        row(&memory, &n.to_string(), DAY);
    }
    let plan = Plan::of([]);
    plan.always(Some(("find", Kind::Denied)));
    let settings = ReconcileSettings { page: 100, ..SETTINGS };
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert_eq!((done.failed.len(), done.rows), (1_000, 1_000));
    plan.calm();
    let done = run(reconcile_from(&faulty(memory.ports(), &plan), settings, done.stopped.unwrap())).unwrap();
    assert_eq!((done.submitted.len(), done.stopped), (200, None));
}

#[test]
fn one_passes_trouble_is_not_the_others() {
    let memory = world();
    row(&memory, "lost", DAY);
    Batch::begun(&memory, 2, 1, DAY).made(&memory);
    let plan = Plan::of([]);
    plan.always(Some(("list", Kind::Denied)));
    let settings = ReconcileSettings { lost_uploads: Some(WINDOW), ..SETTINGS };
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert_eq!((done.troubles.len(), done.submitted.len()), (2, 1));
    assert_eq!(done.batches.len(), 1, "a row of it led there");
}

#[test]
fn beside_a_living_scheduler_every_upload_runs_once() {
    for seed in 0..300_u64 {
        let memory = world();
        let shuffled = |salt: u64| {
            let mut drawn = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt);
            let mut next = || {
                drawn ^= drawn << 13;
                drawn ^= drawn >> 7;
                drawn ^= drawn << 17;
                (drawn % 7) as u8
            };
            Plan::pausing((0..97).map(|_| next()).collect())
        };
        let bodies: Vec<_> = (0..8)
            .map(|n| notification(&memory.put(&format!("{n}.zip"), Archive::inputs("{}").bytes())))
            .collect();
        let (one, other) = (shuffled(1), shuffled(2));
        // As if every grace were over at once: the repairs must be safe even where they come too early.
        let hasty = ReconcileSettings { grace_ms: 0, batch_grace_ms: -1_000, lost_uploads: None, ..SETTINGS };
        run(async {
            memory.ports().queue.send(&bodies, 0).await.unwrap();
            let scheduler =
                SchedulerSettings { arrays: seed % 4 != 0, instance: "one".into(), ..Default::default() };
            let scheduler = Scheduler::new(faulty(memory.ports(), &one), scheduler);
            let ports = faulty(memory.ports(), &other);
            let repair = async {
                for _ in 0..4 {
                    reconcile(&ports, hasty).await.unwrap();
                }
            };
            let _ = tokio::join!(scheduler.pump_once(10), repair);
            for _ in 0..20 {
                memory.world().now_ms += MINUTE;
                let _ = tokio::join!(scheduler.pump_once(10), reconcile(&ports, hasty));
            }
        });
        assert!(memory.world().queue.is_empty(), "seed {seed}");
        assert_eq!(memory.world().rows.len(), 8, "seed {seed}");
        let got = start_everything(&memory);
        assert!(got.values().all(|workers| *workers == 1), "seed {seed}: {got:?}");
    }
}
