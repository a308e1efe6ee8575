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
        /// What a person would want beside it, such as the image that a payload runs in.
        detail: Option<String>,
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
    /// A worker ends its attempt and leaves the job to another. One that somebody wants stopped is cancelled.
    GivenBack {
        /// Whose.
        fence: Fence,
        /// It was told to stop; if not, it could not run the payload here and now.
        interrupted: bool,
        /// Why, for people: `Spot takes the host back at 12:00:00Z`.
        reason: String,
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
            Transition::Reached { fence, stage, status, detail, at_ms } => {
                self.held_by(fence)?;
                if let Some(status) = status {
                    self.status.clone_from(status);
                }
                self.note(*stage, *at_ms, detail.clone());
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
            Transition::GivenBack { fence, interrupted, reason, at_ms } => {
                self.given_back(fence, *interrupted, reason, *at_ms)
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

    fn given_back(
        &mut self,
        fence: &Fence,
        interrupted: bool,
        reason: &str,
        at_ms: i64,
    ) -> Result<(), Refused> {
        self.open()?;
        // Said twice, because the first answer was lost.
        let ours = |last: &Attempt| last.worker == fence.worker && last.ended_ms.is_some();
        if self.claim.is_none() && self.run == fence.run && self.attempts.last().is_some_and(ours) {
            return Ok(());
        }
        self.held_by(fence)?;
        let (stage, of_attempt) = if interrupted {
            (Stage::Interrupted, format!("interrupted: {reason}"))
        } else {
            (Stage::Postponed, reason.to_owned())
        };
        self.end_attempt(at_ms, None, Some(&of_attempt));
        self.claim = None;
        self.lease_until_ms = 0;
        self.note(stage, at_ms, Some(reason.to_owned()));
        self.wait_or_cancel(at_ms);
        Ok(())
    }

    /// The job waits for another attempt, unless somebody wants it stopped.
    fn wait_or_cancel(&mut self, at_ms: i64) {
        if let Some(cancel) = &self.cancel {
            let reason = format!("cancelled by {}", cancel.by);
            self.finish(Outcome::Cancelled, Some(reason), None, at_ms);
        } else {
            status::NOT_YET_INITIATED.clone_into(&mut self.status);
            self.start_time_s = None;
        }
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
        if self.cancel.is_some() || retry {
            self.wait_or_cancel(at_ms);
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
mod tests;
