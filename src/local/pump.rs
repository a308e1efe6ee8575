//! Lets the scheduler core handle the queue, and reconciles what fell between.

use std::sync::Arc;
use std::time::Duration;

use shepard_lambdas::reconcile::{ReconcileSettings, reconcile};
use shepard_lambdas::scheduler::{Scheduler, SchedulerSettings};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::supervise::Context;
use super::wake::{Backoff, Wake};

/// Rows that have been quiet for so long are compared with their jobs, in milliseconds.
const QUIET_MS: i64 = 30_000;
/// Messages taken at once. Their rows are written one by one, so a few are as fast as many, and fewer come back
/// after a `kill -9`.
const MESSAGES: usize = 16;
/// How often messages that are hidden for now are looked for. Nothing tells when they show again.
const HIDDEN_EVERY: Duration = Duration::from_secs(1);
/// How often rows and jobs are compared, while there is anything open.
const RECONCILE_EVERY: Duration = Duration::from_secs(30);

/// Handles messages while there are any, until `round` ends.
pub(crate) async fn run(context: Arc<Context>, mut wake: Wake, round: CancellationToken) {
    let settings =
        SchedulerSettings { keep_days: context.settings.keep_days, ..SchedulerSettings::default() };
    let scheduler = Scheduler::new(context.ports.clone(), settings);
    let mut backoff = Backoff::default();
    // At once: nobody else is at work on what an earlier supervisor left.
    let mut compare = Compare { at: Instant::now(), grace_ms: 0 };
    while !round.is_cancelled() {
        if compare.at <= Instant::now() {
            compare.run(&context).await;
        }
        // A turn is not cut short in the middle: it would leave its messages hidden for a while.
        let pause = match turn(&context, &scheduler).await {
            Ok(Turn::Again) => {
                backoff.reset();
                continue;
            }
            Ok(Turn::Hidden) => HIDDEN_EVERY,
            Ok(Turn::Empty) => Duration::MAX,
            Err(error) => {
                tracing::warn!("{error}");
                context.touch();
                backoff.next()
            }
        };
        let until = compare.at.saturating_duration_since(Instant::now()).min(pause);
        tokio::select! {
            () = wake.woken() => {}
            () = tokio::time::sleep(until) => {}
            () = round.cancelled() => {}
        }
    }
}

/// When rows and jobs are compared the next time.
struct Compare {
    at: Instant,
    grace_ms: i64,
}

impl Compare {
    async fn run(&mut self, context: &Context) {
        let settings = ReconcileSettings { grace_ms: self.grace_ms, ..ReconcileSettings::default() };
        let now = Instant::now();
        match reconcile(&context.ports, settings).await {
            Ok(done) => {
                for (id, error) in &done.failed {
                    tracing::warn!("job {id}: {error}");
                }
                self.grace_ms = QUIET_MS;
                // With nothing open the next look is worth it only after something was done.
                self.at = now + if done.open > 0 { RECONCILE_EVERY } else { 10 * RECONCILE_EVERY };
            }
            Err(error) => {
                tracing::warn!("{error}");
                self.at = now + RECONCILE_EVERY;
            }
        }
    }
}

/// What a turn of the pump found.
enum Turn {
    /// Messages; there may be more.
    Again,
    /// Messages that are hidden for now.
    Hidden,
    /// None.
    Empty,
}

/// Messages that a dead supervisor had taken are nobody's now: this one has the flock to itself.
pub(crate) async fn free_what_was_held(context: &Context) -> shepard_cloud::Result<()> {
    context.flock.queue().reset_in_flight().await?;
    Ok(())
}

async fn turn(context: &Context, scheduler: &Scheduler) -> shepard_cloud::Result<Turn> {
    // Asking how deep it is only reads; receiving writes, and would wake us again.
    let depth = context.ports.queue.depth().await?;
    if depth.waiting == 0 {
        return Ok(if depth.in_flight > 0 { Turn::Hidden } else { Turn::Empty });
    }
    let pumped = scheduler.pump_once(MESSAGES).await?;
    if pumped.received > 0 {
        context.touch();
    }
    if pumped.submitted > 0 {
        context.wakes.all();
    }
    match pumped.error {
        Some(error) => Err(error),
        None => Ok(Turn::Again),
    }
}
