//! What the panes say of a row: lines of text in roles, laid out for a width. Nothing here draws.

use shepard_model::{Attempt, JobRow, Note, Stage, State, Value};

use crate::app::aws::ComputeNote;
use crate::screens::utc;
use crate::ui::{Look, Role, text, time};

/// Columns of the heads of the overview.
const HEAD: usize = 11;
/// Most columns a bar of the timeline takes.
const BAR: usize = 20;
/// Columns of a stage's word, unless a longer one is among them.
const STAGE: usize = 9;
/// Columns of a line of the timeline before its detail, without the stage: time, duration, bar, and the gaps.
const DETAIL: usize = 11 + 11 + BAR + 2;
/// Most columns the name of a variable takes.
const NAME: usize = 28;
/// Columns of run and attempt.
const RUN: usize = 7;
/// Columns of the worker.
const WORKER: usize = 16;

/// A part of a line.
pub(super) type Span = (Role, String);
/// A line.
pub(super) type Line = Vec<Span>;

/// What is looked at of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    /// State, times, timeline.
    Overview,
    /// The user's variables.
    Environment,
    /// Every attempt.
    Attempts,
    /// What it left behind.
    Outputs,
    /// The row, as JSON.
    Row,
}

impl Pane {
    /// In their order.
    pub(super) const ALL: [Self; 5] =
        [Self::Overview, Self::Environment, Self::Attempts, Self::Outputs, Self::Row];

    /// So many panes on, and round.
    pub(super) fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }

    /// Its name, with how many entries it has.
    pub(super) fn title(self, row: Option<&JobRow>) -> String {
        let name = match self {
            Self::Overview => "Overview",
            Self::Environment => "Environment",
            Self::Attempts => "Attempts",
            Self::Outputs => "Outputs",
            Self::Row => "Row",
        };
        match row.and_then(|row| self.entries(row)) {
            Some(entries) => format!("{} {name} ({entries})", self as usize + 1),
            None => format!("{} {name}", self as usize + 1),
        }
    }

    /// How many entries its list has; None for a text.
    pub(super) fn entries(self, row: &JobRow) -> Option<usize> {
        match self {
            Self::Overview | Self::Row => None,
            Self::Environment => Some(row.variables.len()),
            Self::Attempts => Some(row.attempts.len()),
            Self::Outputs => Some(row.results.len()),
        }
    }

    /// The lines of a text.
    pub(super) fn lines(self, row: &JobRow, now_ms: i64, width: usize, look: &Look) -> Vec<Line> {
        match self {
            Self::Overview => overview(row, now_ms, width, look),
            Self::Row => json(row, width),
            Self::Environment | Self::Attempts | Self::Outputs => Vec::new(),
        }
    }

    /// The head over a list, and the lines of one of its entries; more of them where it is selected.
    pub(super) fn entry(
        self,
        row: &JobRow,
        at: usize,
        whole: bool,
        now_ms: i64,
        width: usize,
        look: &Look,
    ) -> Vec<Line> {
        match self {
            Self::Environment => row
                .variables
                .get(at)
                .map(|(name, value)| variable(name, value, names(row), whole, width, look)),
            Self::Attempts => {
                let one = row.attempts.get(at);
                // What the job went on after, or goes on after, did not fail it.
                let went_on = at + 1 < row.attempts.len() || row.outcome.is_none();
                one.map(|one| attempt(one, went_on, whole, now_ms, width, look))
            }
            Self::Outputs => {
                row.results.get(at).map(|result| output(&result.to_string(), whole, width, look))
            }
            Self::Overview | Self::Row => None,
        }
        .unwrap_or_default()
    }

    /// The line over a list.
    pub(super) fn head(self, row: &JobRow) -> String {
        match self {
            Self::Environment => {
                format!("{:<name$}  TYPE    VALUE, as the payload finds it", "NAME", name = names(row))
            }
            Self::Attempts => {
                format!(
                    "{:<RUN$}  {:<WORKER$}  {:<8}  {:>7}  {:>4}  REASON",
                    "RUN.ATT", "WORKER", "STARTED", "TOOK", "EXIT"
                )
            }
            Self::Outputs => "BUCKET/KEY".to_owned(),
            Self::Overview | Self::Row => String::new(),
        }
    }

    /// Why a list has no entries.
    pub(super) fn why_empty(self, row: &JobRow) -> String {
        let state = row.state();
        match (self, state) {
            (Self::Environment, State::Rejected) => "The upload was rejected before it had any variables.",
            (Self::Environment, _) => "The job's inputs.txt sets no variables.",
            (Self::Attempts, State::Rejected) => "The upload was rejected, so nothing ran.",
            (Self::Attempts, _) if state.is_terminal() => "It ended before an attempt began.",
            (Self::Attempts, _) => "No attempt has begun.",
            (_, State::Rejected) => "The upload was rejected, so nothing ran and nothing was left behind.",
            (_, _) if state.is_terminal() => "This job left nothing behind.",
            (_, _) => "Nothing yet: results are put up when the payload has ended.",
        }
        .to_owned()
    }
}

/// Text over as many lines as it needs, each behind the same indent.
fn wrapped(lines: &mut Vec<Line>, indent: usize, role: Role, said: &str, width: usize) {
    let room = width.saturating_sub(indent + 1).max(8);
    for part in said.lines() {
        let part = text::clean(part);
        for range in text::wrap(&part, room) {
            lines.push(vec![(role, format!("{}{}", " ".repeat(indent), part[range].trim_end()))]);
        }
    }
}

/// What Batch says of the job.
pub(super) fn batch(note: &ComputeNote) -> Vec<Line> {
    let mut lines = vec![Line::new()];
    let mut fact = |head: &str, said: &str, role: Role| {
        lines.push(vec![(Role::Muted, format!(" {head:<HEAD$}")), (role, text::clean(said).into_owned())]);
    };
    fact("Batch", &note.state, Role::Text);
    if let Some(reason) = &note.reason {
        fact("", reason, Role::Warn);
    }
    fact("attempts", &note.attempts.to_string(), Role::Text);
    for tried in &note.tries {
        fact("", tried, Role::Muted);
    }
    fact("Batch id", &note.id, Role::Muted);
    lines
}

fn overview(row: &JobRow, now_ms: i64, width: usize, look: &Look) -> Vec<Line> {
    let state = row.state();
    let (sign, role) = look.state(state.word());
    let mut first = vec![(role, format!(" {sign} {}", state.word()))];
    let so_far = match (row.started_ms, row.ended_ms) {
        (Some(started), Some(ended)) => Some(format!("after {}", time::duration(ended - started))),
        (Some(started), None) => Some(format!("for {}", time::duration(now_ms - started))),
        (None, None) => Some(format!("waiting for {}", time::duration(now_ms - row.created_ms))),
        (None, Some(_)) => None,
    };
    first.extend(so_far.map(|said| (Role::Text, format!("  {said}"))));
    let mut lines = vec![first];
    if let Some(reason) = &row.reason {
        let role = if state.is_fault() { Role::Error } else { Role::Text };
        wrapped(&mut lines, 3, role, reason, width);
    }
    if let Some(cancel) = row.cancel.as_ref().filter(|_| !state.is_terminal()) {
        let said = format!("{} asked for it to stop at {}", cancel.by, utc::time(cancel.at_ms));
        wrapped(&mut lines, 3, Role::Warn, &said, width);
    }
    lines.push(Line::new());
    let mut fact = |head: &str, said: String| {
        let mut rest = Vec::new();
        wrapped(&mut rest, 0, Role::Text, &said, width.saturating_sub(HEAD + 1));
        for (at, line) in rest.into_iter().enumerate() {
            let head = if at == 0 { head } else { "" };
            let mut full = vec![(Role::Muted, format!(" {head:<HEAD$}"))];
            full.extend(line);
            lines.push(full);
        }
    };
    fact("input", row.input.as_ref().map_or_else(|| "(came by API)".to_owned(), ToString::to_string));
    fact("id", row.id.to_string());
    if let Some(tag) = &row.tag {
        fact("tag", tag.clone());
    }
    if let Some(folder) = &row.quick_deploy {
        fact("runs", format!("quick deploy {folder}"));
    }
    fact("created", format!("{}  ({} ago)", utc::moment(row.created_ms), time::age(now_ms - row.created_ms)));
    if let Some(started) = row.started_ms {
        let waited = time::duration(started - row.created_ms);
        fact("started", format!("{}  (waited {waited})", utc::moment(started)));
    }
    if let Some(ended) = row.ended_ms {
        fact("ended", format!("{}  ({} ago)", utc::moment(ended), time::age(now_ms - ended)));
    }
    if let Some(code) = row.exit_code {
        fact("exit code", code.to_string());
    }
    let runs = if row.run > 1 { format!(" in {} runs", row.run) } else { String::new() };
    fact("attempts", format!("{}{runs}", row.attempts.len()));
    lines.push(Line::new());
    timeline(&mut lines, row, now_ms, width, look);
    lines
}

fn timeline(lines: &mut Vec<Line>, row: &JobRow, now_ms: i64, width: usize, look: &Look) {
    let notes = &row.timeline;
    // A stage lasts until the next one begins; the last, of a job that goes on, until now.
    let until = |at: usize| match notes.get(at + 1) {
        Some(next) => Some(next.at_ms),
        None => (row.outcome.is_none()).then_some(now_ms),
    };
    let lasted = |at: usize, note: &Note| until(at).map(|until| until.saturating_sub(note.at_ms).max(0));
    let longest =
        notes.iter().enumerate().filter_map(|(at, note)| lasted(at, note)).max().unwrap_or(0).max(1);
    let mut day = notes.first().map(|note| utc::day(note.at_ms)).unwrap_or_default();
    lines.push(vec![(Role::Title, " Timeline".to_owned()), (Role::Muted, format!("  {day}, UTC"))]);
    let stage = notes.iter().map(|note| note.stage.word().len()).fold(STAGE, usize::max);
    for (at, note) in notes.iter().enumerate() {
        let today = utc::day(note.at_ms);
        if today != day {
            lines.push(vec![(Role::Muted, format!(" {today}"))]);
            day = today;
        }
        let lasted = lasted(at, note);
        let took = lasted.map(time::duration).unwrap_or_default();
        let part = lasted.map_or(0, |ms| (i128::from(ms) * BAR as i128 / i128::from(longest)) as usize);
        let part = if lasted.is_some_and(|ms| ms > 0) { part.clamp(1, BAR) } else { part };
        let mut line = vec![
            (Role::Muted, format!(" {}  ", utc::time(note.at_ms))),
            (stage_role(note.stage, row), format!("{:<stage$}", note.stage.word())),
            (Role::Text, format!("  {took:>7}  ")),
            (Role::Accent, format!("{:<BAR$}", look.glyphs.bar_full.repeat(part))),
        ];
        let mut rest = Vec::new();
        if let Some(detail) = &note.detail {
            wrapped(&mut rest, 0, Role::Muted, detail, width.saturating_sub(DETAIL + stage));
        }
        let mut rest = rest.into_iter();
        if let Some(detail) = rest.next() {
            line.push((Role::Text, "  ".to_owned()));
            line.extend(detail);
        }
        lines.push(line);
        for more in rest {
            let mut line = vec![(Role::Text, " ".repeat(DETAIL + stage))];
            // A sentence that is broken after a word goes on with the next word.
            line.extend(more.into_iter().map(|(role, said)| (role, said.trim_start().to_owned())));
            lines.push(line);
        }
    }
}

fn stage_role(stage: Stage, row: &JobRow) -> Role {
    match stage {
        Stage::Lost | Stage::Interrupted | Stage::Postponed => Role::Warn,
        Stage::Ended => Role::of_state(row.state().word()),
        _ => Role::Text,
    }
}

fn json(row: &JobRow, width: usize) -> Vec<Line> {
    let written =
        serde_json::to_string_pretty(row).unwrap_or_else(|error| format!("cannot be written: {error}"));
    let mut lines = Vec::new();
    for line in written.lines() {
        let indent = line.len() - line.trim_start().len();
        wrapped(&mut lines, indent + 1, Role::Text, line.trim_start(), width);
    }
    lines
}

/// Columns for the names of the variables.
fn names(row: &JobRow) -> usize {
    row.variables.iter().map(|(name, _)| text::width(&text::clean(name))).max().unwrap_or(4).clamp(4, NAME)
}

/// Text in exactly so many columns.
fn column(said: &str, columns: usize, look: &Look) -> String {
    let said = text::clean(said);
    let fitting = text::fit(&said, columns, look.glyphs.ellipsis);
    let gap = columns.saturating_sub(text::width(&fitting));
    format!("{fitting}{}", " ".repeat(gap))
}

fn variable(name: &str, value: &Value, names: usize, whole: bool, width: usize, look: &Look) -> Vec<Line> {
    let kind = match value {
        Value::String(_) => "text",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
        Value::Json(_) => "json",
    };
    let env = value.to_env();
    let indent = names + 2 + 6 + 2;
    let room = width.saturating_sub(indent + 2).max(8);
    let mut lines = Vec::new();
    if whole {
        wrapped(&mut lines, 0, Role::Text, &env, room + 1);
        if env.is_empty() {
            lines.push(vec![(Role::Muted, "(empty)".to_owned())]);
        }
        if text::width(name) > names {
            lines.push(vec![(Role::Muted, format!("({name})"))]);
        }
    } else if env.is_empty() {
        lines.push(vec![(Role::Muted, "(empty)".to_owned())]);
    } else {
        // One line for each, where it is not selected; what is left out is marked.
        let first = env.lines().next().unwrap_or_default();
        let cut =
            if first.len() < env.len() { format!("{first} {}", look.glyphs.ellipsis) } else { env.clone() };
        lines
            .push(vec![(Role::Text, text::fit(&text::clean(&cut), room, look.glyphs.ellipsis).into_owned())]);
    }
    let mut out = Vec::new();
    for (at, line) in lines.into_iter().enumerate() {
        let head = if at == 0 {
            vec![(Role::Accent, column(name, names, look)), (Role::Muted, format!("  {kind:<6}  "))]
        } else {
            vec![(Role::Text, " ".repeat(indent))]
        };
        out.push(head.into_iter().chain(line).collect());
    }
    out
}

fn attempt(one: &Attempt, went_on: bool, whole: bool, now_ms: i64, width: usize, look: &Look) -> Vec<Line> {
    let took = time::duration(one.ended_ms.unwrap_or(now_ms) - one.started_ms);
    let worker = if one.worker.is_empty() { "(none began it)" } else { &one.worker };
    let (role, exit) = match (one.ended_ms, one.exit_code) {
        (None, _) => (Role::Running, "-".to_owned()),
        (Some(_), Some(0)) => (Role::Succeeded, "0".to_owned()),
        (Some(_), Some(code)) => (Role::Failed, code.to_string()),
        // Interrupted, lost, or not to be run there and then: another attempt was, or is, to follow.
        (Some(_), None) if went_on => (Role::Warn, "-".to_owned()),
        (Some(_), None) => (Role::Failed, "-".to_owned()),
    };
    let reason = match (&one.reason, one.ended_ms) {
        (Some(reason), _) => reason.as_str(),
        (None, None) => "running",
        (None, Some(_)) => "",
    };
    let mut line = vec![
        (Role::Accent, format!("{:<RUN$}  ", format!("{}.{}", one.run, one.attempt))),
        (Role::Text, format!("{}  ", column(worker, WORKER, look))),
        (Role::Muted, format!("{}  ", utc::time(one.started_ms))),
        (Role::Text, format!("{took:>7}  ")),
        (role, format!("{exit:>4}  ")),
    ];
    let room = width.saturating_sub(RUN + WORKER + 8 + 7 + 4 + 10);
    let clean = text::clean(reason);
    line.push((role, text::fit(&clean, room, look.glyphs.ellipsis).into_owned()));
    let mut lines = vec![line];
    if whole {
        let indent = RUN + 2;
        if text::width(&clean) > room {
            wrapped(&mut lines, indent, role, reason, width);
        }
        if text::width(worker) > WORKER {
            wrapped(&mut lines, indent, Role::Muted, &format!("worker {worker}"), width);
        }
        wrapped(&mut lines, indent, Role::Muted, &format!("began  {}", utc::moment(one.started_ms)), width);
        wrapped(&mut lines, indent, Role::Muted, &format!("log    {}", one.log_stream), width);
    }
    lines
}

fn output(name: &str, whole: bool, width: usize, look: &Look) -> Vec<Line> {
    let room = width.saturating_sub(3);
    let clean = text::clean(name);
    if !whole {
        return vec![vec![(Role::Text, text::fit_end(&clean, room, look.glyphs.ellipsis).into_owned())]];
    }
    let mut lines = Vec::new();
    wrapped(&mut lines, 0, Role::Text, name, room);
    lines
}
