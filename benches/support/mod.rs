//! A flock of any size, the same every time.
#![allow(dead_code, reason = "not every bench needs all of it")]

use shepard::app::store::Store;
use shepard_model::{JobId, JobSummary, ObjectRef, State};

/// The time at which the benches stand still.
pub(crate) const NOW: i64 = 1_800_000_000_000;

/// The job of that number, as it arrives: keys of 40 bytes or so, a hundred tags, a dozen reasons.
pub(crate) fn job(number: u32) -> JobSummary {
    // Spread over the states as a flock in full swing is.
    let state = match mixed(number, 1) % 100 {
        0..10 => State::Queued,
        10..20 => State::Scheduled,
        20..35 => State::Running,
        35..93 => State::Succeeded,
        93..98 => State::Failed,
        98 => State::Rejected,
        _ => State::Cancelled,
    };
    let input = format!("runs/2026-07-{:02}/lane-{}/sample-{number:07}.zip", number % 28 + 1, number % 8);
    let created_ms = NOW - i64::from(mixed(number, 2) % 864_000) * 100;
    let began = !matches!(state, State::Queued | State::Scheduled | State::Rejected);
    let took = i64::from(mixed(number, 3) % 120_000);
    JobSummary {
        id: JobId::of_object(&ObjectRef::new("inputs", input.clone())),
        input,
        tag: (!number.is_multiple_of(10)).then(|| format!("night run {}", number % 100)),
        state,
        created_ms,
        started_ms: began.then_some(created_ms + 2_000),
        ended_ms: state.is_terminal().then_some(created_ms + 2_000 + took),
        attempts: u32::from(began),
        exit_code: match state {
            State::Succeeded => Some(0),
            State::Failed => Some(i32::from(mixed(number, 4).is_multiple_of(3)) * 136 + 1),
            _ => None,
        },
        reason: state
            .is_fault()
            .then(|| format!("the payload ended with exit code {}", mixed(number, 4) % 12)),
    }
}

/// A number that looks random and is not.
fn mixed(number: u32, salt: u32) -> u32 {
    let mut x = number.wrapping_mul(0x9e37_79b9) ^ salt.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^ x >> 15
}

/// A store of that many, filled as a feed fills it.
pub(crate) fn filled(rows: u32) -> Store {
    let mut store = Store::new();
    store.tick(NOW);
    let mut page = Vec::with_capacity(1_000);
    for number in 0..rows {
        page.push(job(number));
        if page.len() == 1_000 {
            let _ = store.merge(&page, &[]);
            page.clear();
        }
    }
    let _ = store.merge(&page, &[]);
    store
}

/// Changes of jobs strewn over the whole store: each goes on to another state.
pub(crate) fn changes(store: &Store, count: u32, round: u32) -> Vec<JobSummary> {
    let slots = store.rows().slots();
    (0..count)
        .filter_map(|number| {
            let row = store.row(mixed(number, round) % slots)?;
            let mut job = row.summary();
            job.state = State::ALL[(job.state as usize + 1) % State::ALL.len()];
            job.started_ms = Some(job.created_ms + i64::from(round));
            job.attempts += 1;
            Some(job)
        })
        .collect()
}
