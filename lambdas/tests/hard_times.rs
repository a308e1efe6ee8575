//! Services that refuse for long, messages that mislead, and batches that cannot be: what the scheduler makes of them.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::panic, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/faults.rs"]
mod faults;
#[path = "common/flock.rs"]
mod flock;
#[path = "common/memory.rs"]
mod memory;

use std::sync::Arc;

use archive::Archive;
use faults::{Fault, Plan, faulty};
use flock::{Flock, GOOD, run};
use memory::Memory;
use shepard_cloud::ports::{Applied, Changes, Cursor, Message, Page, Put};
use shepard_cloud::{CloudError, Kind, Ports, Result, Table};
use shepard_lambdas::{Fate, Finished, Scheduler, SchedulerSettings, fate, finish, give_up, notification};
use shepard_model::names::manifest_key;
use shepard_model::{JobId, JobRow, ObjectRef, Outcome, Shape, State, Transition, manifest};

/// Invokes as messages come, for so long; gives the deliveries it took.
async fn go_on(flock: &Flock, plan: &Arc<Plan>, for_ms: i64) -> usize {
    let scheduler = flock.scheduler(plan, "first");
    let until_ms = flock.memory.world().now_ms + for_ms;
    let mut received = 0;
    while flock.memory.world().now_ms < until_ms {
        while let Some(invoked) = flock.invoke(&scheduler, 10).await {
            received += invoked.pumped.received;
        }
        flock.memory.world().now_ms += 250;
    }
    received
}

/// Uploads of two shapes with company and one without.
fn sixty() -> Flock {
    let texts: Vec<_> = (0..61).map(|n| GOOD[[0, 2][n % 2]]).chain([GOOD[5]]).collect();
    let flock = Flock::new(&texts, 1);
    // What the flock's template sets.
    flock.memory.world().max_deliveries = 5;
    flock
}

#[test]
fn a_minute_of_throttled_submissions_costs_one_message_a_batch() {
    let (flock, plan) = (sixty(), Plan::of([]));
    run(async {
        plan.always(Some(("submit", Kind::Throttled)));
        let received = go_on(&flock, &plan, 60_000).await;
        let waiting = flock.memory.world().queue.len();
        assert!(waiting <= 8, "{waiting} messages for the batches of {} uploads", flock.good.len());
        assert!(received <= 63 + 1 + 8 * 4, "{received} deliveries");
        assert!(plan.count("submit") < 100, "{} submissions", plan.count("submit"));
        assert!(plan.count("find") <= plan.count("submit"), "who has no token looks nothing up");
        assert_eq!(plan.count("put_new"), 64, "each row was written once");
        assert!(flock.good.iter().all(|id| flock.memory.row(id).is_some()));
        plan.calm();
        flock.drain(&plan, "last").await;
    });
    flock.check(&plan, "submissions throttled");
}

#[test]
fn a_minute_of_a_throttled_table_loses_nothing_and_is_no_hot_loop() {
    let (flock, plan) = (sixty(), Plan::of([]));
    run(async {
        plan.always(Some(("put_new", Kind::Throttled)));
        let received = go_on(&flock, &plan, 60_000).await;
        assert!(received <= 64 * 4, "{received} deliveries");
        assert!(plan.count("put_new") < 64 * 4 * 3, "{} writes", plan.count("put_new"));
        assert!(flock.memory.world().rows.is_empty() && flock.memory.world().jobs.is_empty());
        plan.calm();
        flock.drain(&plan, "last").await;
        assert!(flock.memory.world().jobs.len() < 20, "they come back together");
    });
    flock.check(&plan, "table throttled");
}

#[test]
fn a_table_that_is_throttled_now_and_then_leaves_no_holes() {
    let (flock, plan) = (Flock::new(&["{}"; 40], 1), Plan::of([]));
    run(async {
        plan.mostly(Some(("put_new", Kind::Throttled, 2)));
        let invoked = flock.invoke(&flock.scheduler(&plan, "first"), 10).await.expect("messages");
        assert_eq!((invoked.pumped.batches, invoked.pumped.retried), (1, 0), "{:?}", invoked.pumped);
        assert_eq!(flock.memory.world().jobs[0].request.children as usize, invoked.pumped.submitted);
        assert!(plan.count("put_new") >= 79, "{}", plan.count("put_new"));
        plan.calm();
        flock.drain(&plan, "last").await;
    });
    flock.check(&plan, "a table throttled now and then");
}

#[test]
fn what_is_denied_or_not_to_be_reached_for_a_minute_is_done_afterwards() {
    for (call, kind) in [
        ("get", Kind::Denied),
        ("get", Kind::Throttled),
        ("put_new", Kind::Denied),
        ("put_object", Kind::Denied),
        ("put_object", Kind::Throttled),
        ("submit", Kind::Denied),
        ("submit", Kind::Offline),
        ("send", Kind::Offline),
        ("release", Kind::Throttled),
        ("delete", Kind::Offline),
        ("receive", Kind::Denied),
    ] {
        let (flock, plan) = (sixty(), Plan::of([]));
        run(async {
            plan.always(Some((call, kind)));
            let before = plan.calls();
            go_on(&flock, &plan, 60_000).await;
            let calls = plan.calls() - before;
            assert!(calls < 64 * 40, "{call} {kind:?}: {calls} calls");
            plan.calm();
            flock.drain(&plan, "last").await;
        });
        flock.check(&plan, &format!("{call} {kind:?}"));
    }
}

fn settings() -> SchedulerSettings {
    SchedulerSettings { arrays: true, instance: "test".into(), ..SchedulerSettings::default() }
}

fn given(body: &str, deliveries: u32) -> Message {
    Message { receipt: "given".into(), body: body.to_owned(), deliveries }
}

#[test]
fn a_batch_that_the_compute_refuses_for_good_fails_row_by_row_and_only_once() {
    let (flock, plan) = (Flock::new(&["{}"; 5], 1), Plan::of([]));
    run(async {
        plan.always(Some(("submit", Kind::Invalid)));
        flock.drain(&plan, "first").await;
        assert_eq!(plan.count("submit"), 1);
        for id in &flock.good {
            let row = flock.memory.row(id).expect("a row");
            assert_eq!(row.outcome, Some(Outcome::Failed));
            assert!(row.reason.expect("a reason").starts_with("the job cannot be submitted"));
        }
        let batch = flock.memory.row(&flock.good[0]).unwrap().batch.unwrap().id;
        let again = finish(&faulty(flock.memory.ports(), &plan), &batch).await.unwrap();
        assert!(matches!(again, Finished::Refused(_)), "{again:?}");
    });
}

#[test]
fn a_row_too_large_for_the_table_is_rejected_and_its_neighbours_run() {
    let flock = Flock::new(&["{}"; 4], 1);
    let plan = Plan::of([]);
    run(async {
        let faulty = faulty(flock.memory.ports(), &plan);
        let table = Picky { inner: faulty.table.clone(), id: flock.good[2].clone(), kind: Kind::Invalid };
        let ports = Ports { table: Arc::new(table), ..faulty };
        let scheduler = Scheduler::new(ports, settings());
        flock.invoke(&scheduler, 10).await.expect("messages");
    });
    let row = flock.memory.row(&flock.good[2]).expect("a row");
    assert_eq!((row.state(), row.variables.len()), (State::Rejected, 0));
    assert!(row.reason.expect("a reason").starts_with("the job cannot be recorded"));
    let world = flock.memory.world();
    assert!(world.queue.is_empty());
    assert_eq!((world.jobs.len(), world.jobs[0].request.children), (1, 4), "its place is a hole");
}

#[test]
fn an_upload_that_hangs_is_left_and_takes_nobody_with_it() {
    let (flock, plan) = (Flock::new(&["{}"; 9], 1), Plan::at(3, Fault::StallBefore));
    run(async {
        let settings = SchedulerSettings { work_ms: 20_000, ..settings() };
        let scheduler = Scheduler::new(faulty(flock.memory.ports(), &plan), settings);
        let begin_ms = flock.memory.world().now_ms;
        let invoked = flock.invoke(&scheduler, 10).await.expect("messages");
        assert_eq!((invoked.failed.len(), invoked.pumped.submitted), (1, 8), "{:?}", invoked.pumped);
        assert!(flock.memory.world().now_ms - begin_ms < 30_000);
        flock.drain(&plan, "last").await;
    });
    flock.check(&plan, "an upload that hangs");
}

/// A table that does not take one row, unless it is rejected.
struct Picky {
    inner: Arc<dyn Table>,
    id: JobId,
    kind: Kind,
}

#[async_trait::async_trait]
impl Table for Picky {
    async fn put_new(&self, row: &JobRow) -> Result<Put> {
        if row.id == self.id && row.outcome.is_none() {
            return Err(CloudError::new("put the row", "", self.kind));
        }
        self.inner.put_new(row).await
    }
    async fn get(&self, id: &JobId) -> Result<Option<JobRow>> {
        self.inner.get(id).await
    }
    async fn apply(&self, id: &JobId, change: &Transition) -> Result<Applied> {
        self.inner.apply(id, change).await
    }
    async fn changes(&self, cursor: Cursor, limit: usize) -> Result<Changes> {
        self.inner.changes(cursor, limit).await
    }
    async fn scan(&self, from: Option<&str>, limit: usize) -> Result<Page<JobRow>> {
        self.inner.scan(from, limit).await
    }
}

#[test]
fn messages_that_say_to_submit_what_is_not_there_are_dropped() {
    let memory = Memory::default();
    let ports = memory.ports();
    run(async {
        let given_up = JobId::parse("20261121-000000-00").unwrap();
        assert!(give_up(&ports, &given_up).await.unwrap());
        assert_eq!(fate(&ports, &given_up).await.unwrap(), Fate::GivenUp);
        let scheduler = Scheduler::new(ports.clone(), settings());
        for body in [
            r#"{"Shepard":{"submit":"20261121-000000-00"}}"#,
            r#"{"Shepard":{"submit":"20261121-000000-01","again":4000000000}}"#,
            r#"{"Shepard":{"rows":["nobody"]}}"#,
            r#"{"Shepard":{"rows":[]}}"#,
            r#"{"Shepard":{"submit":"../../etc"}}"#,
        ] {
            let invoked = scheduler.invoke(vec![given(body, 1)]).await;
            assert!(invoked.failed.is_empty(), "{body}: {:?}", invoked.pumped);
        }
    });
    assert!(memory.world().jobs.is_empty() && memory.world().queue.is_empty());
}

#[test]
fn a_batch_is_given_up_once_and_a_made_one_never() {
    let memory = Memory::default();
    let ports = memory.ports();
    let id = |text: &str| JobId::parse(text).unwrap();
    run(async {
        assert_eq!(fate(&ports, &id("a")).await.unwrap(), Fate::Unmade);
        assert_eq!(finish(&ports, &id("a")).await.unwrap(), Finished::Unmade);
        assert!(give_up(&ports, &id("a")).await.unwrap());
        assert!(give_up(&ports, &id("a")).await.unwrap(), "saying it twice is harmless");
        assert_eq!(finish(&ports, &id("a")).await.unwrap(), Finished::GivenUp);
        let header = manifest::Header::new(2, 1, Shape::default());
        let at = ObjectRef::new("inputs", manifest_key(&id("b")));
        let bytes = manifest::encode(&header, &[None, None]);
        assert!(ports.objects.put_new(&at, &bytes).await.unwrap());
        assert!(!give_up(&ports, &id("b")).await.unwrap());
        assert_eq!(fate(&ports, &id("b")).await.unwrap(), Fate::Made(header));
        let Finished::Submitted(job) = finish(&ports, &id("b")).await.unwrap() else {
            panic!("not submitted")
        };
        assert_eq!(finish(&ports, &id("b")).await.unwrap(), Finished::Known(job.clone()));
        memory.world().objects.remove(&("inputs".into(), ".shepard/submitted/b".into()));
        assert_eq!(finish(&ports, &id("b")).await.unwrap(), Finished::Submitted(job), "found by its name");
        assert_eq!(memory.world().jobs.len(), 1);
    });
}

#[test]
fn an_old_stack_that_does_not_say_its_bucket_takes_all_and_makes_no_arrays() {
    let memory = Memory::default();
    let metas: Vec<_> =
        (0..3).map(|n| memory.put(&format!("{n}.zip"), Archive::inputs("{}").bytes())).collect();
    let mut ports = memory.ports();
    ports.buckets.inputs = String::new();
    let scheduler = Scheduler::new(ports, settings());
    let invoked = run(scheduler.invoke(metas.iter().map(|meta| given(&notification(meta), 1)).collect()));
    assert_eq!((invoked.pumped.submitted, invoked.pumped.batches), (3, 0));
    assert!(memory.world().rows.iter().all(|row| row.batch.is_none()));
}

#[test]
fn objects_of_our_own_are_no_uploads_in_our_bucket_only() {
    let memory = Memory::default();
    let mut meta = memory.put(&manifest_key(&JobId::parse("x").unwrap()), Vec::new());
    let scheduler = Scheduler::new(memory.ports(), settings());
    let own = run(scheduler.invoke(vec![given(&notification(&meta), 1)]));
    assert!(own.failed.is_empty() && memory.world().rows.is_empty());
    meta.object.bucket = "other".into();
    run(scheduler.invoke(vec![given(&notification(&meta), 1)]));
    assert_eq!(memory.world().rows[0].state(), State::Rejected);
}

#[test]
fn a_message_that_came_back_often_takes_no_others_with_it() {
    let memory = Memory::default();
    let metas: Vec<_> =
        (0..9).map(|n| memory.put(&format!("{n}.zip"), Archive::inputs("{}").bytes())).collect();
    let bodies: Vec<_> = metas.iter().map(notification).collect();
    run(memory.ports().queue.send(&bodies[1..], 0)).unwrap();
    let scheduler = Scheduler::new(memory.ports(), settings());
    assert_eq!(run(scheduler.invoke(vec![given(&bodies[0], 4)])).pumped.received, 1);
    assert_eq!(run(scheduler.invoke(vec![given(&bodies[0], 1)])).pumped.received, 9);
}

#[test]
fn what_fails_goes_back_and_what_is_done_is_deleted_whoever_took_it() {
    let memory = Memory::default();
    let metas: Vec<_> =
        (0..6).map(|n| memory.put(&format!("{n}.zip"), Archive::inputs("{}").bytes())).collect();
    let bodies: Vec<_> = metas.iter().map(notification).collect();
    let ports = memory.ports();
    run(ports.queue.send(&bodies, 0)).unwrap();
    let first = run(ports.queue.receive(3, 30_000)).unwrap();
    let receipts: Vec<_> = first.iter().map(|message| message.receipt.clone()).collect();
    // One of those it is given and one of those it takes itself cannot be written.
    let picky =
        |name: usize, inner| Picky { inner, id: JobId::of_object(&metas[name].object), kind: Kind::Denied };
    let table = Arc::new(picky(4, Arc::new(picky(1, ports.table.clone()))));
    let scheduler = Scheduler::new(Ports { table, ..ports }, settings());
    let invoked = run(scheduler.invoke(first));
    assert_eq!(invoked.failed, [receipts[1].clone()]);
    assert_eq!((invoked.pumped.submitted, invoked.pumped.retried), (4, 2));
    let world = memory.world();
    let left: Vec<_> = world.queue.iter().map(|one| (one.number, one.visible_ms > world.now_ms)).collect();
    assert_eq!(
        left,
        [(1, true), (2, true), (3, true), (5, true)],
        "those it was given are not its to delete"
    );
}
