//! A job row as an item of DynamoDB, and back.
//!
//! The original's attributes lie in the item as they always did: `UUID`, `START_TIME`, `END_TIME`, `JOB_STATUS` and every
//! variable of the user under its own name, so that old scripts and the old worker read what they know. Ours lie beside
//! them: `SHEPARD_REV` counts our writes, `SHEPARD_OUTCOME` says how the job ended, `SHEPARD_EXPIRES` when the store may
//! forget the row, and `SHEPARD_ROW` is the rest as JSON on one line, because the old worker makes every attribute a
//! line of an environment file.
//!
//! DynamoDB keeps a number's value and neither its digits nor a map's order. Where an attribute would not give back
//! what the user wrote, `SHEPARD_ROW` holds the text as well.
//!
//! **What the old programs write.** The old scheduler's row has the four attributes and the variables. The old worker
//! puts the whole item back as it read it, with the contract's fields changed, so what is ours goes stale or is missing,
//! and the contract's fields decide:
//! - `JOB_STATUS` NULL is its claim (it wrote that by mistake); the row reads `in_progress`. A row whose status says
//!   that it runs, and that no worker of ours holds, is held by a worker without a name. That worker sends no
//!   heartbeat, so there is no lease to believe: whether it lives, the compute knows.
//! - `END_TIME` that is no number (`in_progress`, for moments) is what it was before, else what the scheduler sets.
//! - `<done> …` without `SHEPARD_OUTCOME` has ended nobody knows how: the old worker says it of every job. The outcome
//!   stays None and the row with the worker without a name, until somebody asks the compute how it ended.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use shepard_model::row::CancelRequest;
use shepard_model::{
    Attempt, BatchRef, Fence, Inputs, JobId, JobRow, Note, ObjectRef, Outcome, Stage, Value, status,
};

use super::value::{attribute, survives, variable};

/// An item as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Key of the table.
pub(super) const ID: &str = "UUID";
/// The contract's status.
pub(super) const STATUS: &str = "JOB_STATUS";
const START: &str = "START_TIME";
const END: &str = "END_TIME";
/// Counts our writes.
pub(super) const REV: &str = "SHEPARD_REV";
const OUTCOME: &str = "SHEPARD_OUTCOME";
const EXPIRES: &str = "SHEPARD_EXPIRES";
const REST: &str = "SHEPARD_ROW";
/// Attributes that are not the user's. A variable of such a name lies in `SHEPARD_ROW` alone.
pub(super) const OWN: [&str; 8] = [ID, START, END, STATUS, REV, OUTCOME, EXPIRES, REST];

/// Largest item, names and values together (DynamoDB quotas, 2026-11).
pub(super) const LARGEST: usize = 400 * 1024;

const DAY_S: i64 = 86_400;

/// A row as it lies in the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    /// The row.
    pub(super) row: JobRow,
    /// Number of our last write; None where none of ours wrote it.
    pub(super) rev: Option<u64>,
    /// The mark of our last write.
    pub(super) mark: Option<String>,
    /// `JOB_STATUS` as it lies there, which a change is written on the condition of.
    pub(super) status: AttributeValue,
}

/// An item that is no job row, or one of a later version of the program. Says which attribute, never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the item is not a job row that this version of the program can read: {0}")]
pub(super) struct NotARow(&'static str);

/// What has no attribute of its own.
#[derive(Debug, Serialize, Deserialize)]
struct Rest {
    /// Version of this layout.
    v: u32,
    /// The write's mark.
    w: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    vars: Vec<Variable>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quick: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<ObjectRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<i32>,
    created: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<i64>,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    run: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compute: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<BatchRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<Fence>,
    #[serde(default, skip_serializing_if = "is_zero")]
    lease: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancel: Option<CancelRequest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
    /// None is that of a fresh row: it arrived when it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<Note>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    results: Vec<ObjectRef>,
}

/// A variable in its place: its attribute says what it is, or this does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Variable {
    Attribute(String),
    Exact(String, Value),
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_one(run: &u32) -> bool {
    *run == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(at: &i64) -> bool {
    *at == 0
}

fn arrived(created_ms: i64) -> Note {
    Note { stage: Stage::Arrived, at_ms: created_ms, detail: None }
}

/// The item of a row. `mark` is this write's alone.
pub(super) fn encode(row: &JobRow, rev: u64, mark: &str, keep_days: u32) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: i64| AttributeValue::N(number.to_string());
    let mut item = Item::with_capacity(row.variables.len() + OWN.len());
    let mut vars = Vec::with_capacity(row.variables.len());
    for (name, value) in &row.variables {
        let lies = attribute(value);
        let own = OWN.contains(&name.as_str());
        vars.push(if !own && survives(value, &lies) {
            Variable::Attribute(name.clone())
        } else {
            Variable::Exact(name.clone(), value.clone())
        });
        if !own {
            item.insert(name.clone(), lies);
        }
    }
    item.insert(ID.to_owned(), text(row.id.as_str()));
    item.insert(STATUS.to_owned(), text(&row.status));
    item.insert(START.to_owned(), row.start_time_s.map_or_else(|| text(status::NOT_YET_INITIATED), number));
    item.insert(END.to_owned(), number(row.end_time_s));
    item.insert(REV.to_owned(), AttributeValue::N(rev.to_string()));
    let kept = if row.outcome.is_some() { i64::from(keep_days) * DAY_S } else { 0 };
    item.insert(EXPIRES.to_owned(), number(row.end_time_s + kept));
    if let Some(outcome) = row.outcome {
        item.insert(OUTCOME.to_owned(), text(outcome.word()));
    }
    let rest = serde_json::to_string(&rest(row, vars, mark)).unwrap_or_default();
    item.insert(REST.to_owned(), AttributeValue::S(rest));
    item
}

fn rest(row: &JobRow, vars: Vec<Variable>, mark: &str) -> Rest {
    let fresh = row.timeline == [arrived(row.created_ms)];
    Rest {
        v: 1,
        w: mark.to_owned(),
        vars,
        tag: row.tag.clone(),
        quick: row.quick_deploy.clone(),
        input: row.input.clone(),
        reason: row.reason.clone(),
        exit: row.exit_code,
        created: row.created_ms,
        started: row.started_ms,
        ended: row.ended_ms,
        run: row.run,
        compute: row.compute_id.clone(),
        batch: row.batch.clone(),
        claim: row.claim.clone(),
        lease: row.lease_until_ms,
        cancel: row.cancel.clone(),
        attempts: row.attempts.clone(),
        timeline: (!fresh).then(|| row.timeline.clone()),
        results: row.results.clone(),
    }
}

/// The row of an item, whoever wrote it. `keep_days` is what the scheduler gives a row, by which the age of one of the
/// old scheduler is told.
pub(super) fn decode(item: &Item, keep_days: u32) -> Result<Stored, NotARow> {
    let id = item.get(ID).and_then(|id| id.as_s().ok()).and_then(|id| JobId::parse(id)).ok_or(NotARow(ID))?;
    let lies = item.get(STATUS).ok_or(NotARow(STATUS))?;
    let said = match lies {
        AttributeValue::S(said) => said.clone(),
        AttributeValue::Null(_) => status::IN_PROGRESS.to_owned(),
        _ => return Err(NotARow(STATUS)),
    };
    let rest = match item.get(REST) {
        Some(AttributeValue::S(text)) => Some(serde_json::from_str::<Rest>(text).map_err(|_| NotARow(REST))?),
        Some(_) => return Err(NotARow(REST)),
        None => None,
    };
    if rest.as_ref().is_some_and(|rest| rest.v != 1) {
        return Err(NotARow(REST));
    }
    let done = said.starts_with(DONE);
    let seconds = |name: &str| item.get(name).and_then(|value| value.as_n().ok()?.parse::<i64>().ok());
    let (start, end, kept) = (seconds(START), seconds(END), i64::from(keep_days) * DAY_S);
    let created_ms = match (&rest, end) {
        (Some(rest), _) => rest.created,
        (None, Some(end)) if !done => (end - kept) * 1000,
        (None, _) => start.or(end).unwrap_or(0) * 1000,
    };
    let end_time_s = end.or_else(|| seconds(EXPIRES)).unwrap_or(created_ms / 1000 + kept);
    let outcome = item.get(OUTCOME).filter(|_| done).map(outcome).transpose()?;
    let rev = seconds(REV).and_then(|rev| u64::try_from(rev).ok());
    let mark = rest.as_ref().map(|rest| rest.w.clone());
    let mut row = match rest {
        Some(rest) => ours(id, rest, item),
        None => old(id, item, created_ms),
    };
    row.status = said;
    row.start_time_s = start;
    row.end_time_s = end_time_s;
    row.outcome = outcome;
    let waits = row.status.eq_ignore_ascii_case(status::NOT_YET_INITIATED);
    if !waits && row.outcome.is_none() && row.claim.is_none() {
        held(&mut row, done);
    }
    Ok(Stored { row, rev, mark, status: lies.clone() })
}

/// How the status of a job that has ended begins.
const DONE: &str = "<done>";

fn outcome(value: &AttributeValue) -> Result<Outcome, NotARow> {
    let word = value.as_s().map_err(|_| NotARow(OUTCOME))?;
    [Outcome::Succeeded, Outcome::Failed, Outcome::Rejected, Outcome::Cancelled]
        .into_iter()
        .find(|outcome| outcome.word() == word)
        .ok_or(NotARow(OUTCOME))
}

fn ours(id: JobId, rest: Rest, item: &Item) -> JobRow {
    let variables = variables(item, rest.vars);
    let inputs = Inputs { variables, tag: rest.tag, quick_deploy: rest.quick };
    let timeline = rest.timeline.unwrap_or_else(|| vec![arrived(rest.created)]);
    JobRow {
        reason: rest.reason,
        exit_code: rest.exit,
        started_ms: rest.started,
        ended_ms: rest.ended,
        run: rest.run,
        compute_id: rest.compute,
        batch: rest.batch,
        claim: rest.claim,
        lease_until_ms: rest.lease,
        cancel: rest.cancel,
        attempts: rest.attempts,
        timeline,
        results: rest.results,
        ..JobRow::arrived(id, rest.input, inputs, rest.created, 0)
    }
}

/// A row of the old scheduler. Its tag and its folder are among its variables; those that break a rule count for
/// nothing.
fn old(id: JobId, item: &Item, created_ms: i64) -> JobRow {
    let variables = variables(item, Vec::new());
    let members: Vec<_> = variables
        .iter()
        .map(|(name, value)| format!("{}:{}", serde_json::Value::from(name.as_str()), value.to_json()))
        .collect();
    let checked = Inputs::from_json(&format!("{{{}}}", members.join(","))).unwrap_or_default();
    JobRow::arrived(id, None, Inputs { variables, ..checked }, created_ms, 0)
}

/// The user's variables: those we wrote in their order, then any other.
fn variables(item: &Item, written: Vec<Variable>) -> Vec<(String, Value)> {
    let mut seen: HashSet<String> = HashSet::with_capacity(written.len());
    let mut found = Vec::with_capacity(item.len());
    for one in written {
        let (name, value) = match one {
            Variable::Exact(name, value) => (name, Some(value)),
            Variable::Attribute(name) => {
                let value = item.get(&name).and_then(variable);
                (name, value)
            }
        };
        seen.insert(name.clone());
        found.extend(value.map(|value| (name, value)));
    }
    let others = item.iter().filter(|(name, _)| !OWN.contains(&name.as_str()) && !seen.contains(*name));
    let mut others: Vec<_> =
        others.filter_map(|(name, value)| Some((name.clone(), variable(value)?))).collect();
    others.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.extend(others);
    found
}

/// Puts a row into the hands of a worker without a name.
fn held(row: &mut JobRow, done: bool) {
    let started_ms = row.start_time_s.map_or(row.created_ms, |start| start * 1000);
    let ended_ms = done.then_some(row.end_time_s * 1000);
    let earlier = row.attempts.iter().filter(|attempt| attempt.run == row.run).map(|attempt| attempt.attempt);
    let attempt = earlier.max().unwrap_or(0) + 1;
    row.claim = Some(Fence { run: row.run, attempt, worker: String::new() });
    row.attempts.push(Attempt {
        run: row.run,
        attempt,
        worker: String::new(),
        log_stream: String::new(),
        started_ms,
        ended_ms,
        exit_code: None,
        reason: None,
    });
    row.started_ms = Some(started_ms);
    row.ended_ms = ended_ms;
    row.lease_until_ms = 0;
    row.timeline.push(Note { stage: Stage::Claimed, at_ms: started_ms, detail: None });
}

/// Bytes of an item as DynamoDB counts them: the names and the values (developer guide, "item sizes and formats").
pub(super) fn bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + super::value::bytes(value)).sum()
}

#[cfg(test)]
mod tests;
