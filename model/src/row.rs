//! The job row: the one record of a job, and the line a table shows of it.

use serde::{Deserialize, Serialize};

use crate::id::{JobId, ObjectRef};
use crate::inputs::Inputs;
use crate::manifest::BatchRef;
use crate::shape::Shape;
use crate::status::{self, Outcome, Stage, State};
use crate::transition::Fence;
use crate::value::Value;

/// One attempt at running a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which run of the row, from 1. A person's retry makes the next.
    pub run: u32,
    /// Which attempt of the run, from 1.
    pub attempt: u32,
    /// Who ran it: host and process, for people. Empty where it was lost before anybody had begun it.
    pub worker: String,
    /// Name of its log stream.
    pub log_stream: String,
    /// When the worker claimed the row.
    pub started_ms: i64,
    /// When it ended or was found dead; None while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// Exit code of the payload, or 128 + the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One entry of a job's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What happened.
    pub stage: Stage,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Anything a person would want beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A person's wish that the job stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// Who asked.
    pub by: String,
    /// When.
    pub at_ms: i64,
}

/// The record of one job.
///
/// The first four fields and the variables are the original's attributes (`UUID`, `JOB_STATUS`, `START_TIME`,
/// `END_TIME`, and every user key verbatim); the rest is ours and lies beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// `UUID`.
    pub id: JobId,
    /// `JOB_STATUS`: one of the strings of [`status`].
    pub status: String,
    /// `START_TIME` in epoch seconds; None is the string `not_yet_initiated`.
    pub start_time_s: Option<i64>,
    /// `END_TIME` in epoch seconds: when the store may forget the row, until the job ends; then when it ended.
    pub end_time_s: i64,
    /// The user's variables, in their order.
    pub variables: Vec<(String, Value)>,
    /// `TAG`, as text.
    pub tag: Option<String>,
    /// Quick-deploy folder, if one is asked for.
    pub quick_deploy: Option<String>,
    /// The upload; None for a job that came by API.
    pub input: Option<ObjectRef>,
    /// How it ended; None until then.
    pub outcome: Option<Outcome>,
    /// Why it ended so: a sentence for people. Present with every outcome but `succeeded`.
    pub reason: Option<String>,
    /// Exit code of the last payload that ran.
    pub exit_code: Option<i32>,
    /// When the row was written.
    pub created_ms: i64,
    /// When the first attempt of the current run began.
    pub started_ms: Option<i64>,
    /// When the job ended.
    pub ended_ms: Option<i64>,
    /// Which run this is, from 1.
    pub run: u32,
    /// The compute's own id of the current run. A row of a batch learns it when a worker claims it.
    pub compute_id: Option<String>,
    /// The batch that the current run was put into with others; None for a job of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchRef>,
    /// The worker that holds the row.
    pub claim: Option<Fence>,
    /// Until when the claim is believed without a heartbeat, in milliseconds.
    pub lease_until_ms: i64,
    /// A person wants it stopped.
    pub cancel: Option<CancelRequest>,
    /// Every attempt so far.
    pub attempts: Vec<Attempt>,
    /// Timeline.
    pub timeline: Vec<Note>,
    /// What it left behind: results, and the artefacts of failed attempts.
    pub results: Vec<ObjectRef>,
}

impl JobRow {
    /// The row of an upload that can be a job. `keep_days` sets `END_TIME`, when the store may forget it.
    pub fn arrived(id: JobId, input: Option<ObjectRef>, inputs: Inputs, now_ms: i64, keep_days: u32) -> Self {
        Self {
            id,
            status: status::NOT_YET_INITIATED.to_owned(),
            start_time_s: None,
            end_time_s: now_ms / 1000 + i64::from(keep_days) * 86_400,
            variables: inputs.variables,
            tag: inputs.tag,
            quick_deploy: inputs.quick_deploy,
            input,
            outcome: None,
            reason: None,
            exit_code: None,
            created_ms: now_ms,
            started_ms: None,
            ended_ms: None,
            run: 1,
            compute_id: None,
            batch: None,
            claim: None,
            lease_until_ms: 0,
            cancel: None,
            attempts: Vec::new(),
            timeline: vec![Note { stage: Stage::Arrived, at_ms: now_ms, detail: None }],
            results: Vec::new(),
        }
    }

    /// The row of an upload that cannot be a job: finished from the start, with the reason.
    pub fn rejected(
        id: JobId,
        input: Option<ObjectRef>,
        reason: String,
        now_ms: i64,
        keep_days: u32,
    ) -> Self {
        let mut row = Self::arrived(id, input, Inputs::default(), now_ms, keep_days);
        row.finish(Outcome::Rejected, Some(reason), None, now_ms);
        row
    }

    /// Where the job stands.
    pub fn state(&self) -> State {
        match (self.outcome, &self.claim, &self.compute_id) {
            (Some(outcome), _, _) => outcome.into(),
            (None, Some(_), _) => State::Running,
            (None, None, Some(_)) => State::Scheduled,
            (None, None, None) => State::Queued,
        }
    }

    /// What it asks of the compute. A setting that is not valid is as if it were not there: such a row was never
    /// written by a scheduler that checks them.
    pub fn shape(&self) -> Shape {
        Shape::of(&self.variables).unwrap_or_default()
    }

    /// How the payload of the newest attempt that came so far ran: as a process, in a container. In the worker's words.
    pub fn way(&self) -> Option<&str> {
        self.timeline.iter().rev().find(|note| note.stage == Stage::Payload)?.detail.as_deref()
    }

    /// The log stream of the newest attempt.
    pub fn log_stream(&self) -> Option<&str> {
        self.attempts.last().map(|attempt| attempt.log_stream.as_str())
    }

    /// The line a table shows.
    pub fn summary(&self) -> JobSummary {
        JobSummary {
            id: self.id.clone(),
            input: self.input.as_ref().map(|input| input.key.clone()).unwrap_or_default(),
            tag: self.tag.clone(),
            state: self.state(),
            created_ms: self.created_ms,
            started_ms: self.started_ms,
            ended_ms: self.ended_ms,
            attempts: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX),
            exit_code: self.exit_code,
            reason: self.reason.clone(),
        }
    }

    pub(crate) fn finish(
        &mut self,
        outcome: Outcome,
        reason: Option<String>,
        exit_code: Option<i32>,
        at_ms: i64,
    ) {
        self.status = status::done(at_ms);
        self.end_time_s = at_ms / 1000;
        self.ended_ms = Some(at_ms);
        self.outcome = Some(outcome);
        self.reason = reason;
        self.exit_code = exit_code;
        self.claim = None;
        self.lease_until_ms = 0;
        self.timeline.push(Note { stage: Stage::Ended, at_ms, detail: Some(outcome.word().to_owned()) });
    }
}

/// What a list of jobs shows of one job. Small, because a console holds a million of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Job id.
    pub id: JobId,
    /// Key of the input object; empty for a job that came by API.
    pub input: String,
    /// Tag.
    pub tag: Option<String>,
    /// Where it stands.
    pub state: State,
    /// When the row was written.
    pub created_ms: i64,
    /// When the first attempt of the current run began.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Attempts so far, of all runs.
    pub attempts: u32,
    /// Exit code of the last payload that ran.
    pub exit_code: Option<i32>,
    /// Why it ended as it did.
    pub reason: Option<String>,
}
