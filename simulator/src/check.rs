//! What must hold at the end of every run. Looks at the books and the models, never at what the scheduler says.

use hashbrown::HashMap;
use shepard_model::Outcome;

use crate::s3::Content;
use crate::world::State;

/// Everything that is wrong, each with the command that runs it again.
pub fn violations(state: &mut State, now_us: u64) -> Vec<String> {
    uploads(state);
    rows(state);
    messages(state);
    quotas(state, now_us);
    let again = state.options.to_string();
    state.violations.iter().map(|what| format!("{what}; again: {again}")).collect()
}

/// Each upload has the one outcome that it asks for, and ran once or not at all.
fn uploads(state: &mut State) {
    let mut found = Vec::new();
    for (number, upload) in state.uploads.iter().enumerate() {
        let name = format!("upload {number} ({})", upload.id);
        let Some(row) = state.dynamo.look(&upload.id) else {
            found.push(format!("{name} has no row"));
            continue;
        };
        let good = matches!(upload.content, Content::Shape(_));
        if good && upload.submitted_us.is_none() {
            found.push(format!("{name} was never submitted: {:?}", row.state()));
        }
        if upload.runs != u32::from(good) {
            found.push(format!("{name} ran {} times", upload.runs));
        }
        let wanted = if good { Outcome::Succeeded } else { Outcome::Rejected };
        if row.outcome != Some(wanted) {
            let reason = row.reason.unwrap_or_default();
            found.push(format!("{name} should be {} and is {:?}: {reason}", wanted.word(), row.outcome));
        }
    }
    if state.uploads.len() < state.options.uploads as usize {
        found.push(format!("only {} uploads were made", state.uploads.len()));
    }
    found.into_iter().for_each(|what| state.violation(what));
}

/// There are no rows but those of the uploads, and no two of one upload.
fn rows(state: &mut State) {
    let mut found = Vec::new();
    let mut inputs: HashMap<String, u32> = HashMap::new();
    for row in state.dynamo.rows() {
        if !state.numbers.contains_key(&row.id) {
            found.push(format!("the row {} belongs to no upload", row.id));
        }
        if let Some(input) = &row.input {
            *inputs.entry(input.to_string()).or_default() += 1;
        }
    }
    let mut twice: Vec<_> = inputs.into_iter().filter(|(_, count)| *count > 1).collect();
    twice.sort_unstable();
    found.extend(twice.into_iter().map(|(key, count)| format!("{key} has {count} rows")));
    found.into_iter().for_each(|what| state.violation(what));
}

/// Every message was deleted, and none given up.
fn messages(state: &mut State) {
    let (sent, deleted, dead) = (state.sqs.sent, state.sqs.deleted, state.sqs.dead.len() as u64);
    let left = state.sqs.left() as u64;
    if left > 0 {
        state.violation(format!("{left} messages are left in the queue"));
    }
    if dead > 0 {
        let first = state.sqs.dead[0].clone();
        state.violation(format!("{dead} messages are dead letters: {first}"));
    }
    if sent != deleted + dead + left {
        state
            .violation(format!("{sent} messages were sent, but {deleted} deleted, {dead} dead, {left} left"));
    }
}

/// No model let more through than it may.
fn quotas(state: &mut State, now_us: u64) {
    let meters = state.s3.puts.iter().chain(&state.s3.gets).chain(state.dynamo.meters());
    let meters = meters.chain([&state.batch.submits]).chain(&state.batch.others);
    let mut found: Vec<String> = meters.filter_map(|meter| meter.fault(now_us)).collect();
    let quotas = &state.quotas;
    let peaks = [
        ("sqs_in_flight", state.sqs.peak as f64, quotas.sqs_in_flight.value),
        ("batch_submitted", state.batch.peak as f64, quotas.batch_submitted.value),
        ("lambda_concurrency", state.invocations.1 as f64, quotas.lambda_concurrency.value),
    ];
    let over = peaks.into_iter().filter(|(_, peak, most)| peak > most);
    found.extend(over.map(|(name, peak, _)| format!("the quota {name} was exceeded: {peak}")));
    found.into_iter().for_each(|what| state.violation(what));
}
