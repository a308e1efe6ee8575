//! Jobs that come by API in lists: batches like those of uploads, and answers that can be relied on.
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
use shepard_cloud::Kind;
use shepard_lambdas::{Answer, accept};
use shepard_model::{JobId, Outcome};

fn list() -> (String, Vec<JobId>) {
    let ids = (0..GOOD.len()).map(|index| JobId::of_request(&format!("key/{index}"))).collect();
    (format!("[{}]", GOOD.join(",")), ids)
}

fn statuses(answers: &[Answer]) -> Vec<&'static str> {
    answers.iter().map(|one| one.status).collect()
}

#[test]
fn a_list_is_submitted_as_arrays_and_answered_with_each_childs_id() {
    let (text, ids) = list();
    let (flock, plan) = (Flock::by_api(ids.clone()), Plan::of([]));
    let scheduler = flock.scheduler(&plan, "api");
    let answers = run(accept(&scheduler, &text, "key")).unwrap();
    assert_eq!(statuses(&answers), ["submitted"; 9]);
    assert_eq!(answers.iter().map(|one| one.uuid.clone().unwrap()).collect::<Vec<_>>(), ids);
    let jobs = flock.memory.world().jobs.clone();
    assert_eq!(jobs.len(), 4, "three shapes with company and one without");
    // The packed rows: two in the first child, one in the second.
    let children: Vec<_> = answers[6..].iter().map(|one| one.compute_id.clone().unwrap()).collect();
    let mut counts: Vec<_> =
        children.iter().map(|id| children.iter().filter(|one| *one == id).count()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 2], "{children:?}");
    let again = run(accept(&scheduler, &text, "key")).unwrap();
    assert_eq!(statuses(&again), ["known"; 9]);
    let named = |answers: &[Answer]| -> Vec<_> {
        answers.iter().map(|one| (one.uuid.clone(), one.compute_id.clone())).collect()
    };
    assert_eq!(named(&again), named(&answers));
    assert_eq!(flock.memory.world().jobs.len(), 4);
    flock.check(&plan, "a list");
}

#[test]
fn a_call_that_dies_or_fails_anywhere_is_made_good_by_repeating_it() {
    let (text, ids) = list();
    for fault in [
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::FailBefore(Kind::Denied),
        Fault::FailAfter(Kind::Offline),
        Fault::FailBefore(Kind::Throttled),
    ] {
        for call in 0.. {
            let (flock, plan) = (Flock::by_api(ids.clone()), Plan::at(call, fault));
            run(async {
                plan.survive(accept(&flock.scheduler(&plan, "api"), &text, "key")).await;
            });
            let over = plan.calls() <= call;
            plan.calm();
            flock.memory.world().now_ms += 60_000;
            run(async {
                flock.drain(&plan, "scheduler").await;
                let again = accept(&flock.scheduler(&plan, "again"), &text, "key").await.unwrap();
                assert!(again.iter().all(|one| one.compute_id.is_some()), "{fault:?} at {call}: {again:?}");
            });
            flock.check(&plan, &format!("{fault:?} at call {call}"));
            if over {
                assert!(call > 15, "only {call} calls");
                break;
            }
        }
    }
}

#[test]
fn without_room_the_caller_hears_that_it_waits_and_a_message_says_so_too() {
    let (text, ids) = list();
    let (flock, plan) = (Flock::by_api(ids), Plan::of([]));
    run(async {
        plan.always(Some(("submit", Kind::Throttled)));
        let answers = accept(&flock.scheduler(&plan, "api"), &text, "key").await.unwrap();
        assert_eq!(statuses(&answers), ["queued"; 9]);
        assert_eq!(flock.memory.world().queue.len(), 4, "one a batch, and one for the row of its own");
        plan.calm();
        flock.drain(&plan, "scheduler").await;
    });
    flock.check(&plan, "no room");
}

#[test]
fn what_the_compute_refuses_is_answered_with_the_reason() {
    let (flock, plan) = (Flock::by_api(Vec::new()), Plan::of([]));
    plan.always(Some(("submit", Kind::Invalid)));
    let scheduler = flock.scheduler(&plan, "api");
    for text in ["[{},{}]", "{}"] {
        let answers = run(accept(&scheduler, text, text)).unwrap();
        for one in answers {
            assert_eq!(one.status, "failed");
            assert!(one.reason.unwrap().starts_with("the job cannot be submitted"));
            assert_eq!(flock.memory.row(&one.uuid.unwrap()).unwrap().outcome, Some(Outcome::Failed));
        }
    }
}
