//! The scheduler over ports that fail, lose answers, deliver twice and stop the program at every single call.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::panic, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/faults.rs"]
mod faults;
#[path = "common/memory.rs"]
mod memory;

use std::sync::Arc;

use archive::{Archive, Entry};
use faults::{Fault, Plan, faulty};
use memory::Memory;
use proptest::prelude::*;
use shepard_cloud::ports::ObjectMeta;
use shepard_cloud::{Kind, Ports};
use shepard_lambdas::{Became, Scheduler, SchedulerSettings, Verdict, notification};
use shepard_model::{JobId, Outcome, State, Value};

const GOOD: usize = 3;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn zip(text: &str) -> Vec<u8> {
    Archive::inputs(text).bytes()
}

/// A world with uploads that can be jobs, one that cannot, and one that is gone; every one announced twice.
struct Case {
    memory: Memory,
    good: Vec<JobId>,
    bad: Vec<JobId>,
}

impl Case {
    fn new() -> Self {
        let memory = Memory::default();
        let id = |meta: &ObjectMeta| JobId::of_object(&meta.object);
        let mut metas: Vec<_> =
            (0..GOOD).map(|n| memory.put(&format!("a b/ü{n}.zip"), zip(r#"{"x": 1.50}"#))).collect();
        let good = metas.iter().map(id).collect();
        metas.push(memory.put("bad.zip", zip(r#"{"path": 1}"#)));
        metas.push(memory.put("gone.zip", zip("{}")));
        let bad = metas[GOOD..].iter().map(id).collect();
        memory.world().objects.remove(&("inputs".into(), "gone.zip".into()));
        let mut bodies: Vec<_> = metas.iter().map(notification).collect();
        let again: Vec<_> = bodies.iter().rev().cloned().collect();
        bodies.extend(again);
        run(memory.ports().queue.send(&bodies, 0)).unwrap();
        Self { memory, good, bad }
    }

    fn scheduler(&self, plan: &Arc<Plan>, concurrency: usize) -> Scheduler {
        let settings = SchedulerSettings { concurrency, ..SchedulerSettings::default() };
        Scheduler::new(faulty(self.memory.ports(), plan), settings)
    }

    /// Pumps until nothing is left, letting time pass.
    async fn drain(&self, plan: &Arc<Plan>) {
        for _ in 0..40 {
            while self.scheduler(plan, 4).pump_once(10).await.expect("calm").received > 0 {}
            if self.memory.world().queue.is_empty() {
                return;
            }
            self.memory.world().now_ms += 400_000;
        }
        panic!("the queue does not empty: {:?}", self.memory.world().queue);
    }

    #[track_caller]
    fn check(&self, context: &str) {
        let world = self.memory.world();
        assert_eq!(world.rows.len(), self.good.len() + self.bad.len(), "{context}: one row an upload");
        assert!(world.dead.is_empty(), "{context}: {:?}", world.dead);
        for id in &self.good {
            let row = world.rows.iter().find(|row| row.id == *id).expect("a row");
            assert_eq!(row.state(), State::Scheduled, "{context}");
            assert_eq!(row.variables, [("x".to_owned(), Value::Number("1.50".to_owned()))]);
            let jobs: Vec<_> = world.jobs.iter().filter(|job| job.request.name == id.as_str()).collect();
            assert_eq!(jobs.len(), 1, "{context}: one job an upload: {jobs:?}");
            assert_eq!(row.compute_id.as_ref(), Some(&jobs[0].id), "{context}");
            assert!(!jobs[0].terminated, "{context}");
        }
        for id in &self.bad {
            let row = world.rows.iter().find(|row| row.id == *id).expect("a row");
            assert_eq!(row.state(), State::Rejected, "{context}");
            assert!(row.reason.as_ref().is_some_and(|reason| reason.len() > 10), "{context}");
        }
        assert_eq!(world.jobs.len(), self.good.len(), "{context}");
    }
}

/// Lets every call of a first run go wrong, one world a call, and expects the later deliveries to make up for it.
fn at_every_call(fault: Fault, concurrency: usize) {
    let mut call = 0;
    loop {
        let (case, plan) = (Case::new(), Plan::at(call, fault));
        run(async {
            let scheduler = case.scheduler(&plan, concurrency);
            plan.survive(async {
                for _ in 0..3 {
                    let _ = scheduler.pump_once(4).await;
                }
            })
            .await;
            let reached = plan.calls() > call;
            plan.calm();
            case.drain(&plan).await;
            case.check(&format!("{fault:?} at call {call}, {concurrency} at once"));
            assert_eq!(plan.submitted_without_row(), 0);
            if !reached {
                assert!(call >= 25, "only {call} calls");
                call = usize::MAX;
            }
        });
        if call == usize::MAX {
            return;
        }
        call += 1;
    }
}

#[test]
fn a_crash_at_any_call_loses_nothing_and_doubles_nothing() {
    for concurrency in [1, 4] {
        at_every_call(Fault::CrashBefore, concurrency);
        at_every_call(Fault::CrashAfter, concurrency);
    }
}

#[test]
fn an_error_at_any_call_loses_nothing_and_doubles_nothing() {
    for kind in [Kind::Throttled, Kind::Denied, Kind::Offline, Kind::Full, Kind::Expired] {
        at_every_call(Fault::FailBefore(kind), 4);
    }
    at_every_call(Fault::FailAfter(Kind::Offline), 1);
    at_every_call(Fault::FailAfter(Kind::Other), 4);
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let kinds =
        || prop_oneof![Just(Kind::Throttled), Just(Kind::Offline), Just(Kind::Denied), Just(Kind::Full)];
    // A call that is throttled has done nothing: that is what the word means.
    let lost = || prop_oneof![Just(Kind::Offline), Just(Kind::Other), Just(Kind::Full)];
    prop_oneof![
        kinds().prop_map(Fault::FailBefore),
        lost().prop_map(Fault::FailAfter),
        Just(Fault::CrashBefore),
        Just(Fault::CrashAfter)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_faults_lose_nothing_and_double_nothing(
        faults in proptest::collection::vec((0..120_usize, any_fault()), 0..25),
        concurrency in 1..6_usize,
        waits in proptest::collection::vec(0..40_000_i64, 1..8),
    ) {
        let (case, plan) = (Case::new(), Plan::of(faults));
        run(async {
            for wait in waits {
                let scheduler = case.scheduler(&plan, concurrency);
                plan.survive(scheduler.pump_once(6)).await;
                // A new row is its writer's for ten seconds; a crash leaves the rest of them to be waited for.
                case.memory.world().now_ms += wait;
            }
            plan.calm();
            case.drain(&plan).await;
        });
        case.check("many faults");
        prop_assert_eq!(plan.submitted_without_row(), 0);
    }

    #[test]
    fn two_schedulers_at_once_make_one_job(pauses in proptest::collection::vec(0..5_u8, 1..60)) {
        let (case, plan) = (Case::new(), Plan::pausing(pauses));
        run(async {
            let (one, other) = (case.scheduler(&plan, 3), case.scheduler(&plan, 3));
            let (one, other) = tokio::join!(one.pump_once(5), other.pump_once(5));
            one.expect("calm");
            other.expect("calm");
            case.drain(&plan).await;
        });
        case.check("two at once");
    }
}

#[test]
fn what_fails_for_long_waits_in_the_queue_and_then_goes_on() {
    for (call, kind) in [
        ("get", Kind::Throttled),
        ("get", Kind::Denied),
        ("put_new", Kind::Full),
        ("put_new", Kind::Offline),
        ("submit", Kind::Throttled),
        ("submit", Kind::Expired),
        ("apply", Kind::Offline),
    ] {
        let (case, plan) = (Case::new(), Plan::of([]));
        run(async {
            plan.always(Some((call, kind)));
            let scheduler = case.scheduler(&plan, 4);
            for round in 0..5 {
                let pumped = scheduler.pump_once(10).await.expect("the queue works");
                assert_eq!(pumped.submitted, 0, "{call} {kind:?}");
                // What is written down and finds no room is left to one message of ours.
                let room = call != "submit" || kind != Kind::Throttled;
                if round == 0 && room {
                    assert!(pumped.retried >= GOOD, "{call} {kind:?}: {pumped:?}");
                }
                if pumped.received > 0 {
                    assert!(pumped.error.is_some(), "{call} {kind:?}");
                }
                case.memory.world().now_ms += 65_000;
            }
            assert!(!case.memory.world().queue.is_empty(), "{call} {kind:?}: messages wait");
            plan.calm();
            case.drain(&plan).await;
        });
        case.check(&format!("{call} {kind:?}"));
    }
}

#[test]
fn a_job_that_the_compute_refuses_for_good_fails_with_the_reason() {
    let (case, plan) = (Case::new(), Plan::of([]));
    run(async {
        plan.always(Some(("submit", Kind::Invalid)));
        case.drain(&plan).await;
    });
    for id in &case.good {
        let row = case.memory.row(id).expect("a row");
        assert_eq!(row.outcome, Some(Outcome::Failed));
        assert!(row.reason.expect("a reason").starts_with("the job cannot be submitted"));
        assert!(row.attempts.is_empty());
    }
}

#[test]
fn a_row_that_the_table_refuses_for_good_is_rejected_instead() {
    let memory = Memory::default();
    let meta = memory.put("a.zip", zip("{}"));
    let id = JobId::of_object(&meta.object);
    // The first call is the read, the second the row.
    let plan = Plan::at(1, Fault::FailBefore(Kind::Invalid));
    let handled = handle(&faulty(memory.ports(), &plan), &notification(&meta));
    assert!(
        matches!(&handled.uploads[..], [Became::Rejected { id: known, .. }] if *known == id),
        "{handled:?}"
    );
}

fn handle(ports: &Ports, body: &str) -> shepard_lambdas::Handled {
    let message = shepard_cloud::ports::Message { receipt: "r".into(), body: body.to_owned(), deliveries: 1 };
    let scheduler = Scheduler::new(ports.clone(), SchedulerSettings::default());
    let mut handled = run(scheduler.handle(vec![message]));
    assert_eq!(handled.len(), 1);
    handled.remove(0)
}

#[test]
fn one_upload_costs_one_call_of_each_kind() {
    let memory = Memory::default();
    let meta = memory.put("a.zip", zip("{}"));
    run(memory.ports().queue.send(&[notification(&meta)], 0)).unwrap();
    let plan = Plan::of([]);
    let scheduler = Scheduler::new(faulty(memory.ports(), &plan), SchedulerSettings::default());
    assert_eq!(run(scheduler.pump_once(10)).unwrap().submitted, 1);
    for call in ["receive", "get", "put_new", "submit", "apply", "delete"] {
        assert_eq!(plan.count(call), 1, "{call}");
    }
    assert_eq!(plan.calls(), 6);
}

#[test]
fn the_job_carries_the_contracts_environment_and_no_variables() {
    let memory = Memory::default();
    let meta = memory.put("a b/é.zip", zip(r#"{"secret": "s3cr3t", "tag": "t"}"#));
    let id = JobId::of_object(&meta.object);
    handle(&memory.ports(), &notification(&meta));
    let request = memory.world().jobs[0].request.clone();
    assert_eq!(request.name, id.as_str());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let wanted =
        [pair("UUID", id.as_str()), pair("INPUT_ZIP_NAME", "a b/é.zip"), pair("IS_INVOKED", "False")];
    assert_eq!(request.environment, wanted);
    assert_eq!(memory.row(&id).unwrap().tag.as_deref(), Some("t"));
}

#[test]
fn what_is_wrong_with_an_upload_is_in_its_row() {
    let folder = Archive::of([Entry::new("run/", "").stored(), Entry::new("run/inputs.txt", "{}")]);
    for (key, bytes, reason) in [
        ("text.zip", b"hello, this is text".to_vec(), "the upload is not a zip archive"),
        ("empty.zip", Vec::new(), "the upload is empty (0 bytes)"),
        ("folder.zip", folder.bytes(), "inputs.txt is inside the folder 'run/'"),
        ("list.zip", zip("[1]"), "inputs.txt must be one JSON object"),
        ("word.zip", zip(r#"{"Path": 1}"#), "reserved keyword"),
        ("json.zip", zip(r#"{"a": tru}"#), "inputs.txt is not JSON"),
    ] {
        let memory = Memory::default();
        let meta = memory.put(key, bytes);
        let handled = handle(&memory.ports(), &notification(&meta));
        assert!(matches!(handled.verdict, Verdict::Done));
        let row = memory.row(&JobId::of_object(&meta.object)).expect(key);
        assert_eq!(row.outcome, Some(Outcome::Rejected));
        assert!(row.reason.as_ref().is_some_and(|text| text.contains(reason)), "{key}: {:?}", row.reason);
        assert!(memory.world().jobs.is_empty());
    }
}

#[test]
fn uploads_that_cannot_be_read_by_name_or_place_are_rejected_too() {
    let memory = Memory::default();
    let body = |bucket: &str, key: &str| {
        format!(r#"{{"Records":[{{"s3":{{"bucket":{{"name":"{bucket}"}},"object":{{"key":"{key}"}}}}}}]}}"#)
    };
    for (body, reason) in [
        (body("inputs", "%FF.zip"), "not valid UTF-8"),
        (body("other", "a.zip"), "takes its inputs from inputs"),
    ] {
        let handled = handle(&memory.ports(), &body);
        let [Became::Rejected { reason: said, .. }] = &handled.uploads[..] else { panic!("{handled:?}") };
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(memory.world().rows.len(), 2);
}

#[test]
fn poison_is_dropped_and_does_not_stop_its_neighbours() {
    let memory = Memory::default();
    let meta = memory.put("a.zip", zip("{}"));
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#.to_owned();
    let mut bodies = vec!["not json".to_owned(), "{}".to_owned(), "[]".to_owned(), test];
    bodies.push(r#"{"Records":[{"s3":{"bucket":{"name":"inputs"}}}]}"#.to_owned());
    bodies.push(
        r#"{"Records":[{"s3":{"bucket":{"name":"inputs"},"object":{"key":"folder/","size":0}}}]}"#.to_owned(),
    );
    bodies.push(notification(&meta));
    run(memory.ports().queue.send(&bodies, 0)).unwrap();
    let scheduler = Scheduler::new(memory.ports(), SchedulerSettings::default());
    let pumped = run(scheduler.pump_once(10)).unwrap();
    assert_eq!((pumped.received, pumped.poison, pumped.submitted, pumped.retried), (7, 4, 1, 0));
    assert!(memory.world().queue.is_empty());
    assert_eq!(memory.world().rows.len(), 1, "a test event and a folder make no row");
}

#[test]
fn an_upload_removed_after_its_row_was_written_is_still_submitted() {
    let case = Case::new();
    let plan = Plan::of([]);
    run(async {
        plan.always(Some(("submit", Kind::Throttled)));
        case.scheduler(&plan, 4).pump_once(10).await.unwrap();
        case.memory.world().objects.clear();
        plan.calm();
        case.drain(&plan).await;
    });
    case.check("removed later");
}
