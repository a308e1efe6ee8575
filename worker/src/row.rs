//! The row's changes, with bounded retries, and the heartbeat.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use shepard_cloud::error::{CloudError, Kind};
use shepard_cloud::ports::{Applied, Clock, Ports};
use shepard_model::{Fence, JobId, JobRow, Outcome, Refused, Stage, Transition};
use tokio_util::sync::CancellationToken;

/// How long a claim is believed without a heartbeat, in milliseconds.
pub const LEASE_MS: i64 = 60_000;
/// Between two heartbeats, in milliseconds.
pub const BEAT_MS: u64 = 15_000;
/// After one that did not get through.
const BEAT_AGAIN_MS: u64 = 3_000;

/// How often a call is made before its error is believed.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// Six calls in about three seconds.
    Ordinary,
    /// Sixty calls in about five minutes: for the row's end, which nobody else can write.
    Long,
}

/// Makes a call again while its error may pass, with growing pauses. The call must be harmless to repeat.
///
/// # Errors
/// The last one.
pub async fn patiently<T, F>(
    clock: &dyn Clock,
    patience: Patience,
    mut call: impl FnMut() -> F,
) -> Result<T, CloudError>
where
    F: Future<Output = Result<T, CloudError>>,
{
    let mut left = match patience {
        Patience::Ordinary => 5,
        Patience::Long => 59,
    };
    let mut pause_ms = 100;
    loop {
        match call().await {
            Err(error) if left > 0 && (error.kind.is_transient() || error.kind == Kind::Expired) => {
                tracing::debug!(kind = error.kind.word(), operation = error.operation, "trying again");
                left -= 1;
                clock.sleep_ms(pause_ms).await;
                pause_ms = (pause_ms * 2).min(5_000);
            }
            outcome => return outcome,
        }
    }
}

/// How a worker lost its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The row takes no more changes of this worker.
    Refused(Refused),
    /// There is no row any more.
    Missing,
}

/// What became of the last word on a row.
#[derive(Debug)]
pub enum Ending {
    /// It stands; the row as it is.
    Written(Box<JobRow>),
    /// Somebody else had it.
    Lost(Loss),
    /// It could not be written; the claim's lease runs out by itself.
    Unwritten(CloudError),
}

/// One worker's hold on a row.
pub struct Hold<'a> {
    ports: &'a Ports,
    id: JobId,
    /// The claim.
    pub fence: Fence,
    halt: CancellationToken,
    loss: Mutex<Option<Loss>>,
}

impl<'a> Hold<'a> {
    /// A hold that was claimed. `halt` is cancelled when the row is lost or somebody wants the job stopped.
    pub fn new(ports: &'a Ports, id: JobId, fence: Fence, halt: CancellationToken) -> Self {
        Self { ports, id, fence, halt, loss: Mutex::new(None) }
    }

    /// How the row was lost, if it was.
    pub fn loss(&self) -> Option<Loss> {
        *self.loss.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the lease for as long as it is polled. Failures are no reason to stop working: whoever wants the
    /// row has to take it, and that shows.
    pub async fn heartbeat(&self) -> Infallible {
        let mut wait_ms = BEAT_MS;
        loop {
            self.ports.clock.sleep_ms(wait_ms).await;
            let lease_until_ms = self.ports.clock.now_ms() + LEASE_MS;
            let beat = Transition::Heartbeat { fence: self.fence.clone(), lease_until_ms };
            match self.ports.table.apply(&self.id, &beat).await {
                Ok(applied) => {
                    self.look_at(&applied);
                    wait_ms = BEAT_MS;
                }
                Err(error) => {
                    tracing::warn!(kind = error.kind.word(), "a heartbeat did not get through");
                    wait_ms = BEAT_AGAIN_MS;
                }
            }
        }
    }

    /// Says that a stage is reached. An error is logged and no more: a stale status is better than a lost result.
    pub async fn reached(&self, stage: Stage, status: Option<String>, detail: Option<String>) {
        let at_ms = self.ports.clock.now_ms();
        let change = Transition::Reached { fence: self.fence.clone(), stage, status, detail, at_ms };
        match self.apply(&change, Patience::Ordinary).await {
            Ok(applied) => self.look_at(&applied),
            Err(error) => {
                tracing::warn!(
                    kind = error.kind.word(),
                    stage = stage.word(),
                    "a stage could not be written"
                );
            }
        }
    }

    /// The row's end. A repeated call whose first reply was lost counts as written.
    pub async fn finish(&self, end: End) -> Ending {
        let at_ms = self.ports.clock.now_ms();
        let outcome = end.outcome;
        let change = Transition::Finished {
            fence: Some(self.fence.clone()),
            outcome,
            reason: end.reason,
            exit_code: end.exit_code,
            results: end.results,
            at_ms,
        };
        let ours = |row: &JobRow| {
            row.run == self.fence.run
                && row.outcome == Some(outcome)
                && row.attempts.last().is_some_and(|last| last.worker == self.fence.worker)
        };
        match self.apply(&change, Patience::Long).await {
            Ok(Applied::Changed(row)) => Ending::Written(row),
            Ok(Applied::Refused(Refused::Ended, row)) if ours(&row) => Ending::Written(row),
            Ok(Applied::Refused(why, _)) => Ending::Lost(Loss::Refused(why)),
            Ok(Applied::Missing) => Ending::Lost(Loss::Missing),
            Err(error) => Ending::Unwritten(error),
        }
    }

    /// Gives the row back, for another attempt: because the worker was `interrupted`, or because it could not run the
    /// payload here and now. Ends it where somebody wanted it stopped.
    pub async fn give_back(&self, interrupted: bool, reason: &str) -> Ending {
        let change = Transition::GivenBack {
            fence: self.fence.clone(),
            interrupted,
            reason: reason.to_owned(),
            at_ms: self.ports.clock.now_ms(),
        };
        // Cancelled by this very change, whose first reply was lost.
        let ours = |row: &JobRow| {
            row.outcome == Some(Outcome::Cancelled)
                && row.attempts.last().is_some_and(|last| last.worker == self.fence.worker)
        };
        match self.apply(&change, Patience::Ordinary).await {
            Ok(Applied::Changed(row)) => Ending::Written(row),
            Ok(Applied::Refused(Refused::Ended, row)) if ours(&row) => Ending::Written(row),
            Ok(Applied::Refused(why, _)) => Ending::Lost(Loss::Refused(why)),
            Ok(Applied::Missing) => Ending::Lost(Loss::Missing),
            Err(error) => Ending::Unwritten(error),
        }
    }

    /// The row as it is.
    ///
    /// # Errors
    /// The table's.
    pub async fn read(&self) -> Result<Option<JobRow>, CloudError> {
        let table = &self.ports.table;
        patiently(self.ports.clock.as_ref(), Patience::Ordinary, || table.get(&self.id)).await
    }

    async fn apply(&self, change: &Transition, patience: Patience) -> Result<Applied, CloudError> {
        let table = &self.ports.table;
        patiently(self.ports.clock.as_ref(), patience, || table.apply(&self.id, change)).await
    }

    fn look_at(&self, applied: &Applied) {
        let loss = match applied {
            Applied::Changed(row) => {
                if row.cancel.is_some() {
                    self.halt.cancel();
                }
                return;
            }
            Applied::Refused(why, _) => Loss::Refused(*why),
            Applied::Missing => Loss::Missing,
        };
        self.loss.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(loss);
        self.halt.cancel();
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// Why, unless it succeeded.
    pub reason: Option<String>,
    /// Exit code of the payload, if one ran.
    pub exit_code: Option<i32>,
    /// What it left in the buckets.
    pub results: Vec<shepard_model::ObjectRef>,
}
