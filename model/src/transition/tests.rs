use super::*;
use crate::id::JobId;
use crate::inputs::Inputs;
use crate::status::State;

fn row() -> JobRow {
    let id = JobId::parse("job").expect("id");
    JobRow::arrived(id, Some(ObjectRef::new("in", "a.zip")), Inputs::default(), 1_000, 30)
}

fn fence(attempt: u32, worker: &str) -> Fence {
    Fence { run: 1, attempt, worker: worker.into() }
}

fn claim(attempt: u32, worker: &str, at_ms: i64) -> Transition {
    Transition::Claimed {
        fence: fence(attempt, worker),
        log_stream: format!("job-1-{attempt}"),
        compute_id: None,
        batch: None,
        at_ms,
        lease_until_ms: at_ms + 100,
    }
}

fn finish(fence: Option<Fence>, outcome: Outcome) -> Transition {
    Transition::Finished { fence, outcome, reason: None, exit_code: Some(0), results: vec![], at_ms: 9_000 }
}

#[test]
fn the_way_of_a_job_that_succeeds() {
    let row = row();
    assert_eq!(row.state(), State::Queued);
    let row = row
        .apply(&Transition::Submitted { run: 1, compute_id: "c".into(), at_ms: 1_001 })
        .expect("submitted");
    assert_eq!(row.state(), State::Scheduled);
    let row = row.apply(&claim(1, "w", 2_000)).expect("claimed");
    assert_eq!(
        (row.state(), row.start_time_s, row.status.as_str()),
        (State::Running, Some(2), "in_progress")
    );
    let row = row.apply(&finish(Some(fence(1, "w")), Outcome::Succeeded)).expect("finished");
    assert_eq!((row.state(), row.end_time_s), (State::Succeeded, 9));
    assert!(row.status.starts_with("<done> "));
    assert_eq!(row.attempts[0].ended_ms, Some(9_000));
}

#[test]
fn one_attempt_is_claimed_once() {
    let row = row().apply(&claim(1, "first", 0)).expect("claimed");
    assert_eq!(row.apply(&claim(1, "second", 50)), Err(Refused::Fenced), "the lease holds");
    assert!(row.apply(&claim(1, "first", 50)).is_ok(), "saying it twice is harmless");
    assert!(row.apply(&claim(1, "second", 100)).is_ok(), "the lease ran out");
    let later = row.apply(&claim(2, "next", 50)).expect("a later attempt");
    assert_eq!(later.attempts.len(), 2);
    assert_eq!(later.apply(&claim(1, "first", 60)), Err(Refused::Fenced));
    assert_eq!(
        later.apply(&finish(Some(fence(1, "first")), Outcome::Failed)),
        Err(Refused::Fenced),
        "a worker that lost its row cannot end it"
    );
}

#[test]
fn an_ended_job_takes_no_change_but_another_run() {
    let failed = row().apply(&finish(None, Outcome::Failed)).expect("failed");
    assert_eq!(failed.apply(&claim(1, "w", 0)), Err(Refused::Ended));
    assert_eq!(failed.apply(&finish(None, Outcome::Succeeded)), Err(Refused::Ended));
    let again = failed
        .apply(&Transition::Requeued { by: "me".into(), at_ms: 10_000, keep_days: 1 })
        .expect("requeued");
    assert_eq!((again.run, again.state(), again.reason.as_deref()), (2, State::Queued, None));
    assert_eq!(again.apply(&claim(1, "late", 10_001)), Err(Refused::OldRun));
}

#[test]
fn a_lost_attempt_is_retried_or_fails_and_never_hangs() {
    let running = row().apply(&claim(1, "w", 0)).expect("claimed");
    let lost = |retry| Transition::Lost { run: 1, attempt: 1, reason: "gone".into(), retry, at_ms: 5 };
    let retried = running.apply(&lost(true)).expect("lost");
    assert_eq!((retried.state(), retried.outcome), (State::Queued, None));
    assert_eq!(retried.apply(&claim(1, "w", 6)), Err(Refused::Fenced), "the lost attempt cannot come back");
    assert!(retried.apply(&claim(2, "v", 6)).is_ok());
    let failed = running.apply(&lost(false)).expect("lost");
    assert_eq!((failed.state(), failed.reason.as_deref()), (State::Failed, Some("gone")));
}

#[test]
fn a_worker_gives_its_attempt_back_and_nobody_elses() {
    let running = row().apply(&claim(1, "w", 0)).expect("claimed");
    let back = |worker: &str, interrupted| Transition::GivenBack {
        fence: Fence { run: 1, attempt: 1, worker: worker.into() },
        interrupted,
        reason: "Spot takes the host back".into(),
        at_ms: 5,
    };
    assert_eq!(running.apply(&back("other", true)), Err(Refused::Fenced));
    let waiting = running.apply(&back("w", true)).expect("given back");
    assert_eq!((waiting.state(), waiting.outcome, waiting.start_time_s), (State::Queued, None, None));
    assert_eq!(waiting.attempts[0].reason.as_deref(), Some("interrupted: Spot takes the host back"));
    let last = waiting.timeline.last().expect("a note");
    assert_eq!((last.stage, last.detail.as_deref()), (Stage::Interrupted, Some("Spot takes the host back")));
    assert_eq!(waiting.apply(&back("w", true)).expect("said twice"), waiting);
    assert_eq!(waiting.apply(&claim(1, "w", 6)), Err(Refused::Fenced), "the attempt is over");
    let next = waiting.apply(&claim(2, "v", 6)).expect("the next one runs");
    assert_eq!(next.apply(&back("w", true)), Err(Refused::Fenced), "and is not the first one's");

    let postponed = running.apply(&back("w", false)).expect("given back");
    assert_eq!(postponed.timeline.last().map(|note| note.stage), Some(Stage::Postponed));
    assert_eq!(postponed.attempts[0].reason.as_deref(), Some("Spot takes the host back"));
    let cancel = Transition::CancelRequested { by: "me".into(), at_ms: 4 };
    let cancelled = running.apply(&cancel).expect("cancel").apply(&back("w", true)).expect("given back");
    assert_eq!(cancelled.state(), State::Cancelled, "what somebody wants stopped is not tried again");
    assert_eq!(cancelled.apply(&back("w", true)), Err(Refused::Ended));
}

#[test]
fn a_later_attempt_takes_over_while_the_first_ones_lease_lives() {
    let running = row().apply(&claim(1, "w", 0)).expect("claimed");
    let Transition::Claimed { lease_until_ms, .. } = claim(1, "w", 0) else { unreachable!() };
    assert!(lease_until_ms > 2, "the lease is alive when the host is lost");
    assert_eq!(running.apply(&claim(1, "double", 2)), Err(Refused::Fenced));
    let second = running.apply(&claim(2, "v", 2)).expect("the compute starts it only when the first is gone");
    assert_eq!(second.claim.as_ref().map(|fence| fence.worker.as_str()), Some("v"));
    assert_eq!(second.attempts[0].reason.as_deref(), Some("another worker took over"));
    assert_eq!(second.apply(&claim(1, "w", 3)), Err(Refused::Fenced), "the first one is fenced off");
}

#[test]
fn a_worker_that_was_only_late_cannot_claim_an_attempt_that_was_given_up() {
    let lost = Transition::Lost { run: 1, attempt: 1, reason: "gone".into(), retry: true, at_ms: 5 };
    let retried = row().apply(&lost).expect("lost").apply(&lost).expect("said twice");
    assert_eq!(retried.attempts.len(), 1, "{:?}", retried.attempts);
    assert_eq!(retried.apply(&claim(1, "late", 6)), Err(Refused::Fenced));
    assert!(retried.apply(&claim(2, "next", 6)).is_ok());
}

#[test]
fn a_worker_claims_a_row_where_the_row_is_and_nowhere_else() {
    let at = |name, index| BatchRef { id: JobId::parse(name).expect("id"), index };
    let claimed = |row: &JobRow, place: Option<BatchRef>| {
        let Transition::Claimed { fence, log_stream, at_ms, lease_until_ms, .. } = claim(1, "w", 2_000)
        else {
            unreachable!()
        };
        let compute_id = Some("array:7".to_owned());
        row.apply(&Transition::Claimed { fence, log_stream, compute_id, batch: place, at_ms, lease_until_ms })
    };
    let mut row = row();
    assert_eq!(claimed(&row, Some(at("one", 0))), Err(Refused::OtherBatch));
    row.batch = Some(at("one", 3));
    for other in [None, Some(at("one", 2)), Some(at("two", 3))] {
        assert_eq!(claimed(&row, other), Err(Refused::OtherBatch));
    }
    let held = claimed(&row, Some(at("one", 3))).expect("claimed");
    assert_eq!(held.compute_id.as_deref(), Some("array:7"));
    let alone = Transition::Regrouped { from: at("one", 0).id, to: None, at_ms: 5 };
    assert_eq!(held.apply(&alone), Err(Refused::Submitted));
    let alone = row.apply(&alone).expect("regrouped");
    assert_eq!(
        claimed(&alone, Some(at("one", 3))),
        Err(Refused::OtherBatch),
        "the array's child is too late"
    );
    assert!(claimed(&alone, None).is_ok());
}

#[test]
fn a_cancel_ends_what_waits_and_marks_what_runs() {
    let cancel = Transition::CancelRequested { by: "me".into(), at_ms: 5 };
    assert_eq!(row().apply(&cancel).expect("cancel").state(), State::Cancelled);
    let running = row().apply(&claim(1, "w", 0)).expect("claimed").apply(&cancel).expect("cancel");
    assert_eq!(running.state(), State::Running);
    let lost = Transition::Lost { run: 1, attempt: 1, reason: "killed".into(), retry: true, at_ms: 6 };
    assert_eq!(
        running.apply(&lost).expect("lost").state(),
        State::Cancelled,
        "a cancelled job is not retried"
    );
}

mod any_order {
    use proptest::prelude::*;

    use super::*;

    fn any_change() -> impl Strategy<Value = Transition> {
        let fences =
            (1..3_u32, 1..4_u32, "[ab]").prop_map(|(run, attempt, worker)| Fence { run, attempt, worker });
        let outcomes = prop_oneof![Just(Outcome::Succeeded), Just(Outcome::Failed), Just(Outcome::Cancelled)];
        prop_oneof![
            (1..3_u32, "[xy]", 0..500_i64).prop_map(|(run, compute_id, at_ms)| Transition::Submitted {
                run,
                compute_id,
                at_ms
            }),
            (fences.clone(), 0..500_i64).prop_map(|(fence, at_ms)| Transition::Claimed {
                fence,
                log_stream: String::new(),
                compute_id: None,
                batch: None,
                at_ms,
                lease_until_ms: at_ms + 50
            }),
            (proptest::option::of(fences.clone()), outcomes, 0..500_i64).prop_map(
                |(fence, outcome, at_ms)| {
                    Transition::Finished {
                        fence,
                        outcome,
                        reason: None,
                        exit_code: None,
                        results: vec![],
                        at_ms,
                    }
                }
            ),
            (1..3_u32, 1..4_u32, any::<bool>(), 0..500_i64).prop_map(|(run, attempt, retry, at_ms)| {
                Transition::Lost { run, attempt, reason: "r".into(), retry, at_ms }
            }),
            (fences, any::<bool>(), 0..500_i64).prop_map(|(fence, interrupted, at_ms)| {
                Transition::GivenBack { fence, interrupted, reason: "r".into(), at_ms }
            }),
            (0..500_i64).prop_map(|at_ms| Transition::CancelRequested { by: "b".into(), at_ms }),
            (0..500_i64).prop_map(|at_ms| Transition::Requeued { by: "b".into(), at_ms, keep_days: 1 }),
        ]
    }

    proptest! {
        #[test]
        fn the_row_stays_truthful(changes in proptest::collection::vec(any_change(), 0..40)) {
            let mut row = row();
            for change in changes {
                let before = row.clone();
                match row.apply(&change) {
                    Err(_) => {}
                    Ok(after) => row = after,
                }
                // An end is final within its run.
                if before.outcome.is_some() && row.run == before.run {
                    prop_assert_eq!(before.outcome, row.outcome);
                }
                prop_assert_eq!(row.outcome.is_some(), row.status.starts_with("<done>"));
                prop_assert_eq!(row.outcome.is_some(), row.ended_ms.is_some());
                let open = row.attempts.iter().filter(|attempt| attempt.ended_ms.is_none()).count();
                prop_assert!(open <= 1, "two attempts at once");
                prop_assert_eq!(open == 1, row.claim.is_some());
            }
        }
    }
}
