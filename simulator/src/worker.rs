//! What the workers of the submitted jobs do, as far as the scheduler's promises need it: find their rows, claim them,
//! end them. Every job that was submitted runs, a second submission of the same rows too; the claims must sort it out.

use std::sync::Arc;

use shepard_cloud::ports::{ComputeState, JobRequest};
use shepard_model::manifest::{self, BatchRef, HEADER};
use shepard_model::names::{log_stream, worker_env};
use shepard_model::transition::Fence;
use shepard_model::{JobId, Outcome, Transition};

use crate::options::Planted;
use crate::world::{State, World, ms};

/// How long a claim is believed without a heartbeat, in milliseconds.
const LEASE_MS: i64 = 90_000;

/// A row that a child runs, and the place in a manifest where it found it.
pub type Found = (JobId, Option<BatchRef>);

/// The rows that each child of a job runs.
///
/// # Errors
/// Why its workers could not know.
pub fn rows_of(state: &State, request: &JobRequest) -> Result<Vec<Vec<Found>>, String> {
    let variable = |name: &str| {
        request.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let Some(key) = variable(worker_env::MANIFEST) else {
        let id = variable(worker_env::UUID).and_then(JobId::parse).ok_or("it has no UUID")?;
        let children = request.children;
        return if children == 1 {
            Ok(vec![vec![(id, None)]])
        } else {
            Err(format!("{children} children for one row"))
        };
    };
    let batch = variable(worker_env::UUID).and_then(JobId::parse).ok_or("it has no UUID")?;
    let bytes = state.s3.look(key).ok_or("its manifest is not there")?;
    let header = match manifest::decode_header(bytes) {
        Ok(manifest::Found::Made(header)) => header,
        Ok(manifest::Found::GivenUp) => return Err("its batch was given up".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let pack = variable(worker_env::PACK)
        .map_or(Some(1), |pack| pack.parse().ok())
        .ok_or("its pack is no number")?;
    if request.children != header.children() || pack != header.pack {
        return Err(format!("{} children of {pack} for {header:?}", request.children));
    }
    (0..request.children)
        .map(|child| {
            let (start, length) = manifest::span(child, pack);
            let end = bytes.len().min((start + length) as usize);
            let records = bytes.get((start as usize).max(HEADER)..end).ok_or("its manifest is too short")?;
            let rows = manifest::decode_records(records).map_err(|error| error.to_string())?;
            let place = |(at, id): (usize, Option<JobId>)| {
                let index = child * pack + at as u32;
                id.map(|id| (id, Some(BatchRef { id: batch.clone(), index })))
            };
            Ok(rows.into_iter().enumerate().filter_map(place).collect())
        })
        .collect()
}

/// A child's worker on one of its rows: claims it and, if it got it, runs and ends it.
fn work(state: &mut State, now_us: u64, job: usize, child: usize, (id, batch): &Found) {
    let Some((compute_id, plain)) =
        state.batch.jobs().get(job).map(|job| (job.id.clone(), job.request.children == 1))
    else {
        return;
    };
    let at_ms = ms(now_us);
    let fence = Fence { run: 1, attempt: 1, worker: format!("{compute_id}/{child}") };
    let claim = Transition::Claimed {
        fence: fence.clone(),
        log_stream: log_stream(id, 1, 1),
        batch: batch.clone(),
        compute_id: Some(if plain { compute_id } else { format!("{compute_id}:{child}") }),
        at_ms,
        lease_until_ms: at_ms + LEASE_MS,
    };
    let Some(row) = state.dynamo.look(id) else {
        return state.violation(format!("a worker was started for {id}, which has no row"));
    };
    let claimed = match row.apply(&claim) {
        Ok(claimed) => claimed,
        Err(_) => {
            state.doubled += 1;
            if state.options.planted != Some(Planted::EveryClaim) {
                return;
            }
            row
        }
    };
    if let Some(number) = state.numbers.get(id).copied() {
        state.uploads[number as usize].runs += 1;
    }
    let ended = Transition::Finished {
        fence: Some(fence),
        outcome: Outcome::Succeeded,
        reason: None,
        exit_code: Some(0),
        results: Vec::new(),
        at_ms,
    };
    match claimed.apply(&ended) {
        Ok(ended) => state.dynamo.replace(&ended),
        Err(_) => state.dynamo.replace(&claimed),
    }
}

/// Runs a job beside the scheduler.
pub async fn run(world: Arc<World>, job: usize) {
    let children = {
        let mut state = world.state();
        let wait_us = 50_000 + state.rng.u64(..10_000_000);
        let request = state.batch.jobs().get(job).map(|job| job.request.clone());
        (wait_us, request.and_then(|request| rows_of(&state, &request).ok()).unwrap_or_default())
    };
    world.time.sleep(children.0).await;
    let start = |state: &mut State| match state.batch.job_mut(job) {
        Some(job) if !job.terminated => {
            job.state = ComputeState::Running;
            true
        }
        _ => false,
    };
    if start(&mut world.state()) {
        for (child, rows) in children.1.iter().enumerate() {
            for row in rows {
                let wait_us = world.state().rng.u64(..200_000);
                world.time.sleep(wait_us).await;
                work(&mut world.state(), world.time.now_us(), job, child, row);
            }
        }
    }
    let mut state = world.state();
    state.working -= 1;
    if let Some(job) = state.batch.job_mut(job)
        && !job.terminated
    {
        job.state = ComputeState::Succeeded;
    }
}

/// Runs the jobs that were put off, one after another and without letting time pass.
pub fn run_deferred(state: &mut State, now_us: u64) {
    for job in std::mem::take(&mut state.deferred) {
        let Some(request) =
            state.batch.jobs().get(job).filter(|job| !job.terminated).map(|job| job.request.clone())
        else {
            continue;
        };
        for (child, rows) in rows_of(state, &request).unwrap_or_default().iter().enumerate() {
            for row in rows {
                work(state, now_us, job, child, row);
            }
        }
    }
}
