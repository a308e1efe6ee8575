//! Every change a row can undergo after it is written, and when it is refused.
//!
//! The rules are one pure function, [`JobRow::apply`], so that every store enforces the same ones: the local
//! table runs it inside a transaction, a DynamoDB table as a condition. What makes a duplicate delivery, a
//! second worker or a late message harmless is refused here and nowhere else.

use serde::{Deserialize, Serialize};

use crate::id::{JobId, ObjectRef};
use crate::manifest::BatchRef;
use crate::names;
use crate::row::{Attempt, CancelRequest, JobRow, Note};
use crate::status::{self, Outcome, Stage};

/// Names one worker's hold on a row. A write that carries a fence which no longer holds is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// Run of the row.
    pub run: u32,
    /// Attempt of the run.
    pub attempt: u32,
    /// A name no two workers share.
    pub worker: String,
}

/// A change to a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Transition {
    /// The compute took the job's current run.
    Submitted {
        /// Run that was submitted.
        run: u32,
        /// The compute's id.
        compute_id: String,
        /// When.
        at_ms: i64,
    },
    /// A row leaves a batch that was given up, for another or for none.
    Regrouped {
        /// The batch that was given up.
        from: JobId,
        /// Where the row goes; None makes it a job of its own.
        to: Option<BatchRef>,
        /// When.
        at_ms: i64,
    },
    /// A worker begins an attempt.
    Claimed {
        /// Who, and which attempt.
        fence: Fence,
        /// Where its log goes.
        log_stream: String,
        /// The compute's id of the job, where the worker knows it: what a row of a batch has no other way to learn.
        compute_id: Option<String>,
        /// Where the worker found the row; None where its job is the row's own. A row that has left a batch since,
        /// or was put into one, takes no worker that was sent for the other.
        batch: Option<BatchRef>,
        /// When.
        at_ms: i64,
        /// Until when it is believed without a heartbeat.
        lease_until_ms: i64,
    },
    /// The worker is alive.
    Heartbeat {
        /// Whose.
        fence: Fence,
        /// Until when it is believed now.
        lease_until_ms: i64,
    },
    /// The worker reached a stage.
    Reached {
        /// Whose.
        fence: Fence,
        /// Which.
        stage: Stage,
        /// The new `JOB_STATUS`, where the contract has one for the stage.
        status: Option<String>,
        /// When.
        at_ms: i64,
    },
    /// The job ended.
    Finished {
        /// The worker that says so; None where the compute or a person ended a job that no worker holds.
        fence: Option<Fence>,
        /// How.
        outcome: Outcome,
        /// Why, unless it succeeded.
        reason: Option<String>,
        /// Exit code of the payload, if one ran.
        exit_code: Option<i32>,
        /// What it left in the outputs or errors bucket.
        results: Vec<ObjectRef>,
        /// When.
        at_ms: i64,
    },
    /// The worker of an attempt is gone and said nothing.
    Lost {
        /// Run of the attempt.
        run: u32,
        /// The attempt.
        attempt: u32,
        /// What is known of it.
        reason: String,
        /// Whether another attempt follows; if not, the job has failed.
        retry: bool,
        /// When it was found.
        at_ms: i64,
    },
    /// A person wants the job stopped. One that no worker holds is cancelled at once.
    CancelRequested {
        /// Who.
        by: String,
        /// When.
        at_ms: i64,
    },
    /// A person wants a failed or cancelled job run again.
    Requeued {
        /// Who.
        by: String,
        /// When.
        at_ms: i64,
        /// Days until the store may forget the row.
        keep_days: u32,
    },
}

/// Why a change was not made. The row is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The job has ended.
    #[error("the job has ended already")]
    Ended,
    /// The job has not ended.
    #[error("the job has not ended yet")]
    NotEnded,
    /// Another worker holds the row, or a later attempt does.
    #[error("another worker holds the job")]
    Fenced,
    /// The change belongs to an earlier run.
    #[error("the job has been run again since")]
    OldRun,
    /// The run has been submitted already.
    #[error("the job has been submitted already")]
    Submitted,
    /// The row is in another batch, or in none.
    #[error("the job is in another batch")]
    OtherBatch,
    /// A job whose input is bad stays rejected.
    #[error("a rejected job cannot run: mend its input and batch it again")]
    Rejected,
    /// Nothing to run again in a job that succeeded.
    #[error("the job succeeded; batch its input again to run it anew")]
    Succeeded,
    /// Somebody asked for it to stop.
    #[error("the job is being cancelled")]
    Cancelling,
}

impl JobRow {
    /// The row after `change`.
    ///
    /// # Errors
    /// Why the change must not be made. Saying the same thing twice is no error where it is harmless:
    /// a worker may repeat its claim and a person a cancel.
    pub fn apply(&self, change: &Transition) -> Result<Self, Refused> {
        let mut row = self.clone();
        row.change(change)?;
        Ok(row)
    }

    fn change(&mut self, change: &Transition) -> Result<(), Refused> {
        match change {
            Transition::Submitted { run, compute_id, at_ms } => self.submitted(*run, compute_id, *at_ms),
            Transition::Regrouped { from, to, at_ms } => self.regrouped(from, to.as_ref(), *at_ms),
            Transition::Claimed { fence, log_stream, compute_id, batch, at_ms, lease_until_ms } => {
                self.open()?;
                self.same_run(fence.run)?;
                if self.batch != *batch {
                    return Err(Refused::OtherBatch);
                }
                self.claimed(fence, log_stream, *at_ms, *lease_until_ms)?;
                if self.compute_id.is_none() {
                    self.compute_id.clone_from(compute_id);
                }
                Ok(())
            }
            Transition::Heartbeat { fence, lease_until_ms } => {
                self.held_by(fence)?;
                self.lease_until_ms = *lease_until_ms;
                Ok(())
            }
            Transition::Reached { fence, stage, status, at_ms } => {
                self.held_by(fence)?;
                if let Some(status) = status {
                    self.status.clone_from(status);
                }
                self.note(*stage, *at_ms, None);
                Ok(())
            }
            Transition::Finished { fence, outcome, reason, exit_code, results, at_ms } => {
                self.open()?;
                if let Some(fence) = fence {
                    self.held_by(fence)?;
                }
                self.end_attempt(*at_ms, *exit_code, reason.as_deref());
                self.results.extend(results.iter().cloned());
                self.finish(*outcome, reason.clone(), *exit_code, *at_ms);
                Ok(())
            }
            Transition::Lost { run, attempt, reason, retry, at_ms } => {
                self.lost(*run, *attempt, reason, *retry, *at_ms)
            }
            Transition::CancelRequested { by, at_ms } => {
                self.open()?;
                if self.cancel.is_none() {
                    self.cancel = Some(CancelRequest { by: by.clone(), at_ms: *at_ms });
                }
                if self.claim.is_none() {
                    let reason = format!("cancelled by {by} before it ran");
                    self.finish(Outcome::Cancelled, Some(reason), None, *at_ms);
                }
                Ok(())
            }
            Transition::Requeued { by, at_ms, keep_days } => self.requeued(by, *at_ms, *keep_days),
        }
    }

    fn submitted(&mut self, run: u32, compute_id: &str, at_ms: i64) -> Result<(), Refused> {
        self.same_run(run)?;
        self.open()?;
        match &self.compute_id {
            Some(known) if known == compute_id => Ok(()),
            Some(_) => Err(Refused::Submitted),
            None => {
                self.compute_id = Some(compute_id.to_owned());
                self.note(Stage::Submitted, at_ms, None);
                Ok(())
            }
        }
    }

    fn regrouped(&mut self, from: &JobId, to: Option<&BatchRef>, at_ms: i64) -> Result<(), Refused> {
        self.open()?;
        if self.batch.as_ref() == to {
            return Ok(());
        }
        if self.batch.as_ref().is_none_or(|batch| batch.id != *from) {
            return Err(Refused::OtherBatch);
        }
        if self.compute_id.is_some() || self.claim.is_some() {
            return Err(Refused::Submitted);
        }
        self.batch = to.cloned();
        self.note(Stage::Regrouped, at_ms, None);
        Ok(())
    }

    fn claimed(
        &mut self,
        fence: &Fence,
        log_stream: &str,
        at_ms: i64,
        lease_until_ms: i64,
    ) -> Result<(), Refused> {
        if self.cancel.is_some() {
            return Err(Refused::Cancelling);
        }
        if self.claim.as_ref() == Some(fence) {
            self.lease_until_ms = lease_until_ms;
            return Ok(());
        }
        // A later attempt takes over: the compute starts it only when the one before is gone. The same attempt
        // under another name is a double submit, and waits until the first one's lease has run out.
        let newest =
            self.attempts.iter().filter(|known| known.run == self.run).map(|known| known.attempt).max();
        match (&self.claim, newest) {
            (Some(held), _) if fence.attempt < held.attempt => return Err(Refused::Fenced),
            (Some(held), _) if fence.attempt == held.attempt && at_ms < self.lease_until_ms => {
                return Err(Refused::Fenced);
            }
            (None, Some(newest)) if fence.attempt <= newest => return Err(Refused::Fenced),
            _ => {}
        }
        if self.claim.is_some() {
            self.end_attempt(at_ms, None, Some("another worker took over"));
        }
        self.attempts.push(Attempt {
            run: fence.run,
            attempt: fence.attempt,
            worker: fence.worker.clone(),
            log_stream: log_stream.to_owned(),
            started_ms: at_ms,
            ended_ms: None,
            exit_code: None,
            reason: None,
        });
        self.claim = Some(fence.clone());
        self.lease_until_ms = lease_until_ms;
        status::IN_PROGRESS.clone_into(&mut self.status);
        self.start_time_s = Some(at_ms / 1000);
        self.started_ms.get_or_insert(at_ms);
        self.note(Stage::Claimed, at_ms, Some(format!("attempt {}", fence.attempt)));
        Ok(())
    }

    fn lost(&mut self, run: u32, attempt: u32, reason: &str, retry: bool, at_ms: i64) -> Result<(), Refused> {
        self.open()?;
        self.same_run(run)?;
        if self.claim.as_ref().is_some_and(|held| held.attempt > attempt) {
            return Err(Refused::Fenced);
        }
        if self.claim.is_some() {
            self.end_attempt(at_ms, None, Some(reason));
        }
        self.claim = None;
        self.lease_until_ms = 0;
        // An attempt that is lost before its worker claimed it is written down all the same: that worker may be
        // only late, and this entry is what refuses it.
        let known = |one: &Attempt| one.run == run && one.attempt >= attempt;
        if !self.attempts.iter().any(known) {
            self.attempts.push(Attempt {
                run,
                attempt,
                worker: String::new(),
                log_stream: names::log_stream(&self.id, run, attempt),
                started_ms: at_ms,
                ended_ms: Some(at_ms),
                exit_code: None,
                reason: Some(reason.to_owned()),
            });
        }
        self.note(Stage::Lost, at_ms, Some(reason.to_owned()));
        if let Some(cancel) = &self.cancel {
            let reason = format!("cancelled by {}", cancel.by);
            self.finish(Outcome::Cancelled, Some(reason), None, at_ms);
        } else if retry {
            status::NOT_YET_INITIATED.clone_into(&mut self.status);
            self.start_time_s = None;
        } else {
            self.finish(Outcome::Failed, Some(reason.to_owned()), None, at_ms);
        }
        Ok(())
    }

    fn requeued(&mut self, by: &str, at_ms: i64, keep_days: u32) -> Result<(), Refused> {
        match self.outcome {
            None => return Err(Refused::NotEnded),
            Some(Outcome::Rejected) => return Err(Refused::Rejected),
            Some(Outcome::Succeeded) => return Err(Refused::Succeeded),
            Some(Outcome::Failed | Outcome::Cancelled) => {}
        }
        self.run += 1;
        status::NOT_YET_INITIATED.clone_into(&mut self.status);
        self.end_time_s = at_ms / 1000 + i64::from(keep_days) * 86_400;
        self.start_time_s = None;
        self.started_ms = None;
        self.ended_ms = None;
        self.outcome = None;
        self.reason = None;
        self.exit_code = None;
        self.compute_id = None;
        self.batch = None;
        self.cancel = None;
        self.note(Stage::Requeued, at_ms, Some(format!("run {} asked for by {by}", self.run)));
        Ok(())
    }

    fn open(&self) -> Result<(), Refused> {
        if self.outcome.is_some() { Err(Refused::Ended) } else { Ok(()) }
    }

    fn same_run(&self, run: u32) -> Result<(), Refused> {
        if run == self.run { Ok(()) } else { Err(Refused::OldRun) }
    }

    fn held_by(&self, fence: &Fence) -> Result<(), Refused> {
        self.open()?;
        if self.claim.as_ref() == Some(fence) { Ok(()) } else { Err(Refused::Fenced) }
    }

    fn end_attempt(&mut self, at_ms: i64, exit_code: Option<i32>, reason: Option<&str>) {
        if let Some(last) = self.attempts.last_mut().filter(|attempt| attempt.ended_ms.is_none()) {
            last.ended_ms = Some(at_ms);
            last.exit_code = exit_code;
            last.reason = reason.map(str::to_owned);
        }
    }

    fn note(&mut self, stage: Stage, at_ms: i64, detail: Option<String>) {
        self.timeline.push(Note { stage, at_ms, detail });
    }
}

#[cfg(test)]
mod tests {
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
        Transition::Finished {
            fence,
            outcome,
            reason: None,
            exit_code: Some(0),
            results: vec![],
            at_ms: 9_000,
        }
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
        assert_eq!(
            retried.apply(&claim(1, "w", 6)),
            Err(Refused::Fenced),
            "the lost attempt cannot come back"
        );
        assert!(retried.apply(&claim(2, "v", 6)).is_ok());
        let failed = running.apply(&lost(false)).expect("lost");
        assert_eq!((failed.state(), failed.reason.as_deref()), (State::Failed, Some("gone")));
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
            row.apply(&Transition::Claimed {
                fence,
                log_stream,
                compute_id,
                batch: place,
                at_ms,
                lease_until_ms,
            })
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
            let fences = (1..3_u32, 1..4_u32, "[ab]").prop_map(|(run, attempt, worker)| Fence {
                run,
                attempt,
                worker,
            });
            let outcomes =
                prop_oneof![Just(Outcome::Succeeded), Just(Outcome::Failed), Just(Outcome::Cancelled)];
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
                (proptest::option::of(fences), outcomes, 0..500_i64).prop_map(|(fence, outcome, at_ms)| {
                    Transition::Finished {
                        fence,
                        outcome,
                        reason: None,
                        exit_code: None,
                        results: vec![],
                        at_ms,
                    }
                }),
                (1..3_u32, 1..4_u32, any::<bool>(), 0..500_i64).prop_map(|(run, attempt, retry, at_ms)| {
                    Transition::Lost { run, attempt, reason: "r".into(), retry, at_ms }
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
}
