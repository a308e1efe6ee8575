//! The scheduler on virtual time, against models of S3, SQS, Lambda, DynamoDB and Batch that refuse what AWS refuses.
//!
//! The code under test is `shepard_lambdas` as it is deployed; everything around it is a model. Models never pace
//! their callers politely: what is too fast gets an error, as on AWS. All numbers are in `quotas.toml`. One thread,
//! one seed, no real clock: a run can be repeated exactly.
//!
//! | module | is |
//! |---|---|
//! | [`executor`] | tasks and virtual time |
//! | [`quotas`], [`meter`] | the numbers; a rate that refuses, and its ledger |
//! | [`s3`], [`sqs`], [`dynamo`], [`batch`] | the services, as plain state |
//! | [`world`] | all state of a run |
//! | [`site`] | the ports: latency, CPU, refusals, lost answers, crashes |
//! | [`lambda`] | the event source mapping, instances, the reconciliation's schedule |
//! | [`uploader`], [`worker`] | the load before the scheduler and what comes after it |
//! | [`check`], [`report`] | what must hold; the figures |
//!
//! Nothing here asserts how fast the real thing is: every figure is modelled.

pub mod batch;
pub mod check;
pub mod dynamo;
pub mod executor;
pub mod lambda;
pub mod meter;
pub mod options;
pub mod quotas;
pub mod report;
pub mod s3;
pub mod site;
pub mod sqs;
pub mod uploader;
pub mod worker;
pub mod world;

use std::sync::Arc;

pub use options::{Options, Outage, Planted, Stack};
pub use quotas::Quotas;
pub use report::Report;
use world::World;

/// How often the end of a run is looked for, in microseconds.
const LOOK_US: u64 = 250_000;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Uploads put.
    pub put: usize,
    /// Uploads with a job or a rejected row.
    pub settled: usize,
    /// Virtual seconds.
    pub seconds: u64,
}

/// Why a run could not begin.
#[derive(Debug)]
pub struct Broken(String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the simulator is broken: {}", self.0)
    }
}

impl std::error::Error for Broken {}

/// Runs once. `progress` is called now and then.
///
/// # Errors
/// What is built in cannot be read.
pub fn simulate(options: &Options, progress: fn(Progress)) -> Result<Report, Broken> {
    let quotas = Quotas::built_in().map_err(|error| Broken(error.to_string()))?;
    simulate_with(options, quotas, progress)
}

/// Runs once with other numbers than those that are built in.
///
/// # Errors
/// What is built in cannot be read.
pub fn simulate_with(options: &Options, quotas: Quotas, progress: fn(Progress)) -> Result<Report, Broken> {
    let world = World::new(options, quotas).map_err(|error| Broken(error.to_string()))?;
    let all = world.clone();
    executor::run(&world.time, async move { conduct(all, progress).await });
    let now_us = world.time.now_us();
    let mut state = world.state();
    worker::run_deferred(&mut state, now_us);
    let violations = check::violations(&mut state, now_us);
    Ok(Report::of(&state, violations))
}

async fn conduct(world: Arc<World>, progress: fn(Progress)) {
    let prefixes = world.state().options.prefixes;
    for prefix in 0..prefixes {
        world.time.spawn(uploader::run(world.clone(), prefix));
    }
    lambda::Mapping::start(&world);
    if world.state().options.stack.reconcile_s > 0 {
        world.time.spawn(lambda::reconcile_again_and_again(world.clone()));
    }
    if finished(&world, progress).await && world.state().options.small() {
        // Once more, when all is done: it must find nothing to spoil.
        lambda::reconcile_once(&world, true).await;
        finished(&world, progress).await;
    }
    world.time.stop();
}

/// Waits until all is done; false if it was not in time.
async fn finished(world: &Arc<World>, progress: fn(Progress)) -> bool {
    loop {
        world.time.sleep(LOOK_US).await;
        let now_us = world.time.now_us();
        let mut state = world.state();
        let settled = (state.options.uploads - state.unsettled) as usize;
        progress(Progress { put: state.uploads.len(), settled, seconds: now_us / 1_000_000 });
        let put = state.uploads.len() >= state.options.uploads as usize;
        if put && state.unsettled == 0 && state.sqs.left() == 0 {
            // What idle pollers and later reconciliations call is no part of the figures.
            if state.measured.is_none() {
                state.measured = Some(state.calls.clone());
            }
            if state.working == 0 && state.under_way == 0 {
                return true;
            }
        }
        if now_us > state.options.deadline_us() {
            let (unsettled, left, working) = (state.unsettled, state.sqs.left(), state.working);
            state.violation(format!(
                "not done after {} s: {unsettled} uploads unsettled, {left} messages in the queue, {working} jobs running",
                now_us / 1_000_000
            ));
            return false;
        }
    }
}
