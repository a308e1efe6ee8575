//! What a run came to: the figures, as one JSON object or as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::s3::Content;
use crate::world::State;

/// The figures of a run. All of them are modelled; none was measured on AWS.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Uploads that were settled, per minute of `total_seconds`.
    pub uploads_per_minute: f64,
    /// From the first PUT to the last submission, of the uploads that S3 announced within half a minute.
    pub total_seconds: f64,
    /// Median from the first notification's being visible in the queue to the SubmitJob that was taken.
    pub latency_p50_ms: f64,
    /// The same, 99th percentile.
    pub latency_p99_ms: f64,
    /// Calls to AWS by operation, refused ones and those of Lambda's pollers included.
    pub calls: BTreeMap<&'static str, u64>,
    /// Calls ÷ the calls that a perfect run would have needed.
    pub useful_call_ratio: f64,
    /// The quota that was closest to its limit.
    pub binding_limit: &'static str,
    /// What must never happen and did; empty when every invariant held.
    pub violations: Vec<String>,
    /// What the JSON object leaves out.
    #[serde(skip)]
    pub more: More,
}

/// Beside the figures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct More {
    /// Calls that were refused, by operation.
    pub refused: BTreeMap<&'static str, u64>,
    /// How much of each limit was used, the most used first.
    pub used: Vec<(&'static str, f64)>,
    /// Jobs that were submitted, array jobs counted once.
    pub jobs: usize,
    /// Invocations at once, at most.
    pub invocations: usize,
    /// Crashes and timeouts.
    pub crashes: u64,
    /// Instances started.
    pub cold_starts: u64,
    /// New rows that needed more than one write unit.
    pub large_rows: u64,
    /// When 99 of 100 uploads had been submitted, in seconds from the first PUT: what a long run's rate is like
    /// without the pauses of the last few that were refused.
    pub most_seconds: f64,
    /// When the very last upload was submitted, in seconds from the first PUT.
    pub last_seconds: f64,
    /// Claims that were refused, because another worker had the row or the row had moved on.
    pub doubled: u64,
}

impl Report {
    /// Adds up a run that has ended.
    pub fn of(state: &State, violations: Vec<String>) -> Self {
        let start_us = state.uploads.first().map_or(0, |upload| upload.put_us);
        let (prompt_us, last_us) = state.settled_us;
        let end_us = if prompt_us > 0 { prompt_us } else { last_us };
        let span_us = end_us.saturating_sub(start_us).max(1);
        let mut latencies: Vec<u64> = state
            .uploads
            .iter()
            .filter_map(|upload| upload.submitted_us.map(|at| at.saturating_sub(upload.visible_us)))
            .collect();
        latencies.sort_unstable();
        let mut submitted: Vec<u64> = state.uploads.iter().filter_map(|upload| upload.submitted_us).collect();
        submitted.sort_unstable();
        let most_us = submitted.get(submitted.len() * 99 / 100).map_or(0, |at| at.saturating_sub(start_us));
        let percentile = |share: f64| {
            let at = (latencies.len() as f64 * share) as usize;
            let found = latencies.get(at.min(latencies.len().saturating_sub(1)));
            found.map_or(0.0, |us| round(*us as f64 / 1e3))
        };
        let settled = f64::from(state.options.uploads - state.unsettled);
        let used = used(state, span_us);
        let counted = state.measured.as_ref().unwrap_or(&state.calls);
        let calls: u64 = counted.values().sum();
        Self {
            uploads_per_minute: round(settled * 60e6 / span_us as f64),
            total_seconds: (span_us as f64 / 1e3).round() / 1e3,
            latency_p50_ms: percentile(0.5),
            latency_p99_ms: percentile(0.99),
            calls: counted.clone(),
            useful_call_ratio: (calls as f64 / useful(state) * 1e4).round() / 1e4,
            binding_limit: used.first().map_or("none", |(name, _)| name),
            violations,
            more: More {
                refused: state.refused.clone(),
                used,
                jobs: state.batch.jobs().len(),
                invocations: state.invocations.1,
                crashes: state.crashes,
                cold_starts: state.cold_starts,
                large_rows: state.dynamo.large,
                doubled: state.doubled,
                last_seconds: last_us.saturating_sub(start_us) as f64 / 1e6,
                most_seconds: most_us as f64 / 1e6,
            },
        }
    }

    /// The figures for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<22} {value}");
        };
        line("uploads per minute", format!("{:.0} (modelled)", self.uploads_per_minute));
        let (most, last) = (self.more.most_seconds, self.more.last_seconds);
        line(
            "total",
            format!("{:.1} s; 99 % after {most:.1} s, the last after {last:.1} s", self.total_seconds),
        );
        line(
            "visible to submitted",
            format!("p50 {:.0} ms, p99 {:.0} ms", self.latency_p50_ms, self.latency_p99_ms),
        );
        line("calls / useful calls", format!("{:.3}", self.useful_call_ratio));
        line("binding limit", self.binding_limit.to_owned());
        line("jobs submitted", self.more.jobs.to_string());
        line(
            "invocations at once",
            format!("{}, {} cold starts", self.more.invocations, self.more.cold_starts),
        );
        line("crashes, timeouts", self.more.crashes.to_string());
        line("rows over 1 KB", self.more.large_rows.to_string());
        line("claims refused", self.more.doubled.to_string());
        for (name, count) in &self.calls {
            let refused =
                self.more.refused.get(name).map_or(String::new(), |count| format!(", {count} refused"));
            line(name, format!("{count}{refused}"));
        }
        for (name, share) in &self.more.used {
            line(name, format!("{:.1} % of its limit", share * 100.0));
        }
        if self.violations.is_empty() {
            line("violations", "none".to_owned());
        }
        self.violations.iter().for_each(|what| line("VIOLATION", what.clone()));
        text
    }
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// How much of each limit was used: rates over the whole run, the busiest partition's; stocks at their peak.
fn used(state: &State, span_us: u64) -> Vec<(&'static str, f64)> {
    let quotas = &state.quotas;
    let meters = state.s3.puts.iter().chain(&state.s3.gets).chain(state.dynamo.meters());
    let meters = meters.chain([&state.batch.submits]).chain(&state.batch.others);
    let mut most: BTreeMap<&'static str, f64> = BTreeMap::new();
    for meter in meters {
        let share = most.entry(meter.name).or_default();
        *share = share.max(meter.used(span_us));
    }
    most.insert("sqs_in_flight", state.sqs.peak as f64 / quotas.sqs_in_flight.value);
    most.insert("batch_submitted", state.batch.peak as f64 / quotas.batch_submitted.value);
    most.insert("lambda_concurrency", state.invocations.1 as f64 / quotas.lambda_concurrency.value);
    let mut used: Vec<_> = most.into_iter().collect();
    used.sort_by(|a, b| b.1.total_cmp(&a.1));
    used
}

/// The calls that a perfect run would have needed: docs/simulator.md says why these.
fn useful(state: &State) -> f64 {
    let options = &state.options;
    let uploads = state.uploads.len();
    let mut shapes: BTreeMap<u16, usize> = BTreeMap::new();
    for upload in &state.uploads {
        if let Content::Shape(shape) = upload.content {
            *shapes.entry(shape).or_default() += 1;
        }
    }
    let full = state.quotas.batch_children.value as usize * options.pack.max(1) as usize;
    let (mut batches, mut plain) = (0, 0);
    for count in shapes.into_values() {
        match count {
            count if !options.arrays || options.every_s > 0 => plain += count,
            1 => plain += 1,
            count => batches += count.div_ceil(full),
        }
    }
    // A message at a time where they come one by one, else ten in a call.
    let messages = if options.every_s > 0 { uploads } else { uploads.div_ceil(10) };
    // Receive and delete; GET and row; manifest, SubmitJob and mark; SubmitJob, and the row read and written.
    (2 * messages + 2 * uploads + 3 * batches + 3 * plain) as f64
}
