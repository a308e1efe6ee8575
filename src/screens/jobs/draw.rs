//! Draws the jobs of a flock: a line of counts and rates, and the rows in the window.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use shepard_model::State;
use shepard_model::names::input_name;

use super::Jobs;
use crate::app::account::paused;
use crate::app::actions::Action;
use crate::app::aws::ComputeNote;
use crate::app::model::{FlockJobs, Model};
use crate::app::remote::ProblemKind;
use crate::app::store::{IdBuf, Row, SortKey};
use crate::ui::table::{Align, Cell, Column, RowCells, Table};
use crate::ui::toast::{Weight, banner};
use crate::ui::{Look, Role, layout, sparkline, text, time};

/// Columns the table has in wide mode.
pub(super) const COLUMNS: usize = 10;
/// Row of the terminal on which the table's first row lies: below header, counts, title and heads.
pub(super) const BODY_TOP: u16 = 4;
/// Columns of the sparkline in the line of counts.
const SPARK: usize = 16;

/// Draws into the area between header and footer.
pub(super) fn draw(jobs: &Jobs, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let buf = frame.buffer_mut();
    let Some(known) = model.data.jobs.get(&jobs.flock) else {
        layout::put(buf, area.x + 1, area.y + 1, area.width, &reading(look), look, Role::Muted);
        return;
    };
    let first = Rect { height: 1, ..area };
    let stopped = model.data.flock(&jobs.flock).is_some_and(|flock| !flock.running);
    match &known.problem {
        // Too fast is no fault: it goes on, and the title says that it is slower.
        Some(problem) if problem.kind == ProblemKind::Throttled => counts(known, look, first, buf),
        // The banner of the session says that for the whole screen.
        Some(problem) if !problem.kind.is_of_the_session() || paused(model).is_none() => {
            banner(look, Weight::Error, &text::clean(&problem.text), "r retry", first, buf);
        }
        None if stopped && open(known) > 0 => {
            let line = format!("nobody looks after {}, and {} to run", jobs.flock, waiting(open(known)));
            let key = model.session.keymap.keys(Action::JobsStart).first();
            let key = key.map(|key| format!("{key} start")).unwrap_or_default();
            banner(look, Weight::Warning, &line, &key, first, buf);
        }
        _ => counts(known, look, first, buf),
    }
    let table = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    rows(jobs, known, model, look, table, buf);
}

fn waiting(jobs: u64) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{} jobs", time::count(jobs)) }
}

/// Jobs that have not ended.
fn open(known: &FlockJobs) -> u64 {
    State::ALL.iter().filter(|state| !state.is_terminal()).map(|state| known.store.count(*state)).sum()
}

/// The word of a state where there is little room.
fn short(state: State) -> &'static str {
    match state {
        State::Scheduled => "sched",
        State::Succeeded => "ok",
        State::Rejected => "reject",
        State::Cancelled => "cancel",
        State::Queued | State::Running | State::Failed => state.word(),
    }
}

fn counts(known: &FlockJobs, look: &Look, area: Rect, buf: &mut Buffer) {
    let mut x = area.x + 1;
    let line = |word: fn(State) -> &'static str| -> Vec<(String, Role)> {
        // The states on the happy way are always there, so that the line does not jump; the others when there is one.
        let always =
            |state| matches!(state, State::Queued | State::Running | State::Succeeded | State::Failed);
        let shown = State::ALL.into_iter().filter(|state| known.store.count(*state) > 0 || always(*state));
        let part = |state: State| {
            let count = known.store.count(state);
            let (sign, role) = look.state(state.word());
            let role = if count == 0 { Role::Muted } else { role };
            (format!("{sign} {} {}", time::count(count), word(state)), role)
        };
        shown.map(part).collect()
    };
    let mut parts = line(State::word);
    // Faults come last, and must not be what is cut.
    if parts.iter().map(|(part, _)| text::width(part) + 2).sum::<usize>() > usize::from(area.width) {
        parts = line(short);
    }
    for (part, role) in parts {
        x = layout::put(buf, x, area.y, area.right().saturating_sub(x), &part, look, role) + 2;
    }
    let rates = known.store.rates();
    let spark = sparkline::sparkline(known.store.history().ended(), SPARK, &look.glyphs);
    let open = open(known);
    let mut right = String::new();
    if open > 0 && rates.ended_per_s > 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "an estimate in seconds"
        )]
        let left_ms = (open as f64 / rates.ended_per_s * 1000.0) as i64;
        right = format!("{} done, {} left  ", time::rate(rates.ended_per_s), time::duration(left_ms));
    }
    right.push_str(&spark);
    let width = u16::try_from(text::width(&right)).unwrap_or(0);
    let at = area.right().saturating_sub(width + 1);
    if at > x {
        layout::put(buf, at, area.y, width, &right, look, Role::Muted);
    }
}

fn rows(jobs: &Jobs, known: &FlockJobs, model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let sort = jobs.view.sort();
    let by = |key: SortKey| (sort.key == key).then_some(sort.descending);
    let columns: [Column<'_>; COLUMNS] = [
        Column::new("STATE", 11).sorted(by(SortKey::State)),
        Column::new("INPUT", 17).grow(3).align(Align::LeftKeepEnd).sorted(by(SortKey::Input)),
        Column::new("TAG", 8).grow(1).priority(4).sorted(by(SortKey::Tag)),
        Column::new("REASON", 22).grow(4).priority(1).sorted(by(SortKey::Reason)),
        Column::new("CREATED", 8).priority(2).sorted(by(SortKey::Created)),
        Column::new("STARTED", 8).priority(6).sorted(by(SortKey::Started)),
        Column::new("TOOK", 7).align(Align::Right).sorted(by(SortKey::Duration)),
        Column::new("EXIT", 4).align(Align::Right).priority(3),
        Column::new("TRY", 3).align(Align::Right).priority(5).sorted(by(SortKey::Attempts)),
        Column::new("ID", 32).priority(7).sorted(by(SortKey::Id)),
    ];
    let view = &jobs.view;
    let window = view.window();
    let (title, empty) = (title(jobs, known, look), empty(jobs, known, look));
    let table = Table {
        columns: &columns,
        length: view.len(),
        top: window.top,
        selected: window.selected,
        title: &title,
        empty: &empty,
        wide: jobs.wide.then_some(jobs.column),
        stale: known.problem.as_ref().is_some_and(|problem| problem.kind != ProblemKind::Throttled),
    };
    table.render(look, area, buf, |place| {
        let index = view.index_at(place)?;
        let row = known.store.row(index)?;
        let batch = known.compute.get(&row.id()).filter(|_| !row.state().is_terminal());
        Some(RowCells::new(cells(&row, batch, model.now_ms, jobs.wide, look)).marked(view.is_marked(index)))
    });
}

fn title<'a>(jobs: &'a Jobs, known: &FlockJobs, look: &Look) -> Cow<'a, str> {
    let mut title = String::from("  jobs");
    if !jobs.filter.good.is_empty() {
        let total = time::count(known.store.len() as u64);
        title = format!(
            "{title} {} {} (of {total}; esc shows all)",
            look.glyphs.separator,
            jobs.filter.good.source()
        );
    }
    if !known.caught_up {
        title =
            format!("{title} {} {}+ loaded", look.glyphs.separator, time::count(known.store.len() as u64));
    } else if jobs.view.is_busy() {
        title = format!("{title} {} sorting", look.glyphs.separator);
    }
    let mut way = known.following.to_string();
    if known.problem.as_ref().is_some_and(|problem| problem.kind == ProblemKind::Throttled) {
        way = if way.is_empty() { "slowed".to_owned() } else { format!("{way}, slowed") };
    }
    if !way.is_empty() {
        title = format!("{title} {} {way}", look.glyphs.separator);
    }
    Cow::Owned(title)
}

fn reading(look: &Look) -> String {
    format!("reading the jobs{}", look.glyphs.ellipsis)
}

fn empty(jobs: &Jobs, known: &FlockJobs, look: &Look) -> String {
    if !known.caught_up {
        reading(look)
    } else if known.store.is_empty() {
        format!(
            "No jobs yet. Press b to batch a folder into {}, or put a zip into its inputs folder (d on the list of flocks says where).",
            jobs.flock
        )
    } else {
        format!(
            "No job matches {}. Esc shows all {}.",
            jobs.filter.good.source(),
            time::count(known.store.len() as u64)
        )
    }
}

fn cells<'a>(
    row: &Row<'a>,
    batch: Option<&'a ComputeNote>,
    now_ms: i64,
    wide: bool,
    look: &Look,
) -> Vec<Cell<'a>> {
    let state = row.state();
    let clock = |at: i64| Cell::of(Role::Muted, clock(at, now_ms));
    let took = row.took_ms(now_ms).map(time::duration).unwrap_or_default();
    let fault = state.is_fault();
    // Of an open job Batch knows more: where it waits, and for what.
    let reason: Cow<'a, str> = match (row.reason(), batch) {
        (Some(reason), _) => reason.into(),
        (None, Some(batch)) => match &batch.reason {
            Some(reason) => format!("Batch: {}, {reason}", batch.state).into(),
            None => format!("Batch: {}", batch.state).into(),
        },
        (None, None) => "".into(),
    };
    let mut id = IdBuf::default();
    vec![
        Cell::state(look, state.word()),
        Cell::new(match row.input() {
            "" => "(by API)",
            key if wide => key,
            key => input_name(key),
        }),
        Cell::of(Role::Accent, row.tag().unwrap_or_default()),
        Cell::of(if fault { Role::Text } else { Role::Muted }, reason),
        clock(row.created_ms()),
        row.started_ms().map_or_else(|| Cell::new(""), clock),
        Cell::new(took),
        Cell::new(row.exit_code().map(|code| code.to_string()).unwrap_or_default()),
        Cell::new(if row.attempts() > 1 { row.attempts().to_string() } else { String::new() }),
        Cell::of(Role::Muted, row.id_text(&mut id).to_owned()),
    ]
}

/// The time of day for what happened today, else the date; both UTC. It does not change by itself, so an idle
/// table has nothing to draw.
fn clock(at_ms: i64, now_ms: i64) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(at_ms) else { return String::new() };
    let recent = now_ms - at_ms < 20 * 3_600_000;
    at.strftime(if recent { "%H:%M:%S" } else { "%m-%d" }).to_string()
}
