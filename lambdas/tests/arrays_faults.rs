//! The scheduler with array jobs over ports that fail, lose answers, deliver twice, stall and stop the program at every
//! single call.
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

use faults::{Fault, Plan};
use flock::{Flock, GOOD, run};
use proptest::prelude::*;
use shepard_cloud::Kind;

/// Lets every call of a first invocation go wrong, one world a call, and expects the later ones to make up for it.
fn at_every_call(fault: Fault, times: usize) {
    for call in 0.. {
        let (flock, plan) = (Flock::new(&GOOD, times), Plan::at(call, fault));
        run(async {
            let scheduler = flock.scheduler(&plan, "first");
            plan.survive(flock.invoke(&scheduler, 4)).await;
        });
        let over = plan.calls() <= call;
        plan.calm();
        run(flock.drain(&plan, "second"));
        flock.check(&plan, &format!("{fault:?} at call {call}, announced {times} times"));
        if over {
            assert!(call > 30, "only {call} calls");
            return;
        }
    }
}

#[test]
fn a_crash_at_any_call_loses_nothing_and_doubles_nothing() {
    for times in [1, 2] {
        at_every_call(Fault::CrashBefore, times);
        at_every_call(Fault::CrashAfter, times);
    }
}

#[test]
fn an_error_at_any_call_loses_nothing_and_doubles_nothing() {
    for kind in [Kind::Throttled, Kind::Denied, Kind::Offline, Kind::Full, Kind::Expired, Kind::Conflict] {
        at_every_call(Fault::FailBefore(kind), 2);
    }
    for kind in [Kind::Offline, Kind::Full, Kind::Other] {
        at_every_call(Fault::FailAfter(kind), 1);
    }
}

/// An invocation sleeps at a call for longer than its leases; others do all its work; then it goes on.
#[test]
fn an_invocation_that_was_taken_for_dead_does_no_harm_when_it_wakes() {
    for (fault, times) in [(Fault::StallBefore, 1), (Fault::StallAfter, 1), (Fault::StallBefore, 2)] {
        for call in 0.. {
            let (flock, plan) = (Flock::new(&GOOD, times), Plan::at(call, fault));
            let stalled = run(async {
                let scheduler = flock.scheduler(&plan, "sleeper");
                let others = async {
                    flock.memory.world().now_ms += 100_000;
                    flock.drain(&Plan::of([]), "other").await;
                };
                plan.overtaken(flock.invoke(&scheduler, 4), others).await
            });
            plan.calm();
            run(flock.drain(&plan, "last"));
            flock.check(&plan, &format!("{fault:?} at call {call}, announced {times} times"));
            if !stalled {
                assert!(call > 30, "only {call} calls");
                break;
            }
        }
    }
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

fn seeds() -> ProptestConfig {
    // A failing case prints its faults, which is all there is to it. SEEDS=n for more.
    let cases = std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(seeds())]

    #[test]
    fn many_faults_lose_nothing_and_double_nothing(
        faults in proptest::collection::vec((0..250_usize, any_fault()), 0..40),
        waits in proptest::collection::vec((1..10_usize, 0..40_000_i64), 1..12),
        times in 1..4_usize,
    ) {
        let (flock, plan) = (Flock::new(&GOOD, times), Plan::of(faults));
        run(async {
            for (number, (first, wait)) in waits.into_iter().enumerate() {
                let scheduler = flock.scheduler(&plan, &format!("instance {number}"));
                plan.survive(flock.invoke(&scheduler, first)).await;
                flock.memory.world().now_ms += wait;
            }
            plan.calm();
            flock.drain(&plan, "last").await;
        });
        flock.check(&plan, "many faults");
    }

    #[test]
    fn two_invocations_at_once_make_one_run_of_each(
        pauses in proptest::collection::vec(0..5_u8, 1..60),
        crash in proptest::option::of((0..100_usize, any_fault())),
        times in 1..3_usize,
    ) {
        let (flock, plan) = (Flock::new(&GOOD, times), Plan::pausing(pauses));
        plan.add(crash);
        run(async {
            let (one, other) = (flock.scheduler(&plan, "one"), flock.scheduler(&plan, "other"));
            let both = async { tokio::join!(flock.invoke(&one, 3), flock.invoke(&other, 3)) };
            plan.survive(both).await;
            plan.calm();
            flock.drain(&plan, "last").await;
        });
        flock.check(&plan, "two at once");
    }
}
