//! The ways an attempt ends: each tidies up first and writes the row last, once.

use shepard_model::{ObjectRef, Outcome, Refused, Stage, status};

use crate::attempt::Attempt;
use crate::exit::Exit;
use crate::locks::Locks;
use crate::log::one_line;
use crate::outputs::{self, Unput};
use crate::place::{self, Dirs};
use crate::row::{End, Ending, Loss};
use crate::run::unreachable_table;

impl Attempt<'_> {
    /// The results are up: from here on nothing but the loss of the row can turn the success.
    pub(crate) async fn succeeded(&self, results: Vec<ObjectRef>) -> Exit {
        self.hold.reached(Stage::Cleaning, Some(status::CLEANING.to_owned()), None).await;
        self.clean().await;
        let end =
            End { outcome: Outcome::Succeeded, reason: None, exit_code: Some(0), results: results.clone() };
        match self.hold.finish(end).await {
            Ending::Written(_) => {
                self.checkpoint.forget().await;
                Exit::Succeeded
            }
            Ending::Lost(loss) => {
                // The row ended otherwise, or another attempt will make these anew. One that began within the
                // same second gives its results the same names: those are not ours to remove.
                let theirs = self.hold.read().await.ok().flatten().is_some_and(|row| {
                    row.start_time_s == self.row.start_time_s && row.outcome != Some(Outcome::Cancelled)
                });
                if !theirs {
                    outputs::remove(self.ports, results).await;
                }
                lost(loss)
            }
            Ending::Unwritten(error) => unreachable_table(&error),
        }
    }

    /// The row says why; what is left of the attempt goes to the errors bucket.
    pub(crate) async fn failed(&self, reason: String, exit_code: Option<i32>, payload: bool) -> Exit {
        let reason = one_line(&reason);
        self.log.say(format!("the job has failed: {reason}")).await;
        self.hold.reached(Stage::Pushing, Some(status::FAILED_PUSHING.to_owned()), None).await;
        let left = outputs::failure(self.ports, self.row, self.dirs, self.log, self.halt).await;
        let results = match left {
            Ok(left) => left.into_iter().collect(),
            Err(Unput::Trouble(trouble)) => {
                tracing::warn!(%trouble, "a failed attempt's log and outputs are not kept");
                Vec::new()
            }
            // No time for artefacts; the row is what matters.
            Err(Unput::Halted) => Vec::new(),
        };
        self.hold.reached(Stage::Cleaning, Some(status::FAILED_CLEANING.to_owned()), None).await;
        self.clean().await;
        let end = End { outcome: Outcome::Failed, reason: Some(reason), exit_code, results };
        match self.hold.finish(end).await {
            Ending::Written(_) => {
                self.checkpoint.forget().await;
                if payload { Exit::PayloadFailed } else { Exit::Failed }
            }
            Ending::Lost(loss) => lost(loss),
            Ending::Unwritten(error) => unreachable_table(&error),
        }
    }

    /// Told to stop: by a person, by the host, or because the row is gone.
    pub(crate) async fn halted(&self, exit_code: Option<i32>) -> Exit {
        if let Some(loss) = self.hold.loss() {
            self.log.say("another worker has this job, or it has ended; stopped").await;
            // Who took the row over has the same directories, unless he waits for their locks; who ended it has no
            // use for them.
            let over = loss == Loss::Refused(Refused::Ended) || loss == Loss::Missing;
            self.clean_where(|locks, dirs| over || locks.hold(dirs.filesystem)).await;
            return lost(loss);
        }
        let cancel = match self.hold.read().await {
            Ok(row) => row.and_then(|row| row.cancel),
            Err(error) => {
                tracing::warn!(kind = error.kind.word(), "cannot tell whether the job is cancelled");
                None
            }
        };
        let ending = if let Some(cancel) = cancel {
            let reason = format!("cancelled by {}", cancel.by);
            self.log.say(reason.clone()).await;
            self.clean().await;
            let outcome = Outcome::Cancelled;
            self.hold.finish(End { outcome, reason: Some(reason), exit_code, results: Vec::new() }).await
        } else {
            let reason = self.stop.reason();
            if exit_code.is_some() {
                self.checkpoint.keep(self.stop.gone_ms()).await;
            }
            self.log.say(format!("{reason}; the job waits for another attempt")).await;
            self.clean().await;
            self.hold.give_back(true, reason).await
        };
        match ending {
            Ending::Written(row) if row.outcome == Some(Outcome::Cancelled) => {
                self.checkpoint.forget().await;
                Exit::Cancelled
            }
            Ending::Written(_) => Exit::Interrupted,
            Ending::Lost(loss) => lost(loss),
            Ending::Unwritten(error) => unreachable_table(&error),
        }
    }

    /// The payload did not run, and may at another attempt: the row goes back with the reason.
    pub(crate) async fn postponed(&self, reason: &str) -> Exit {
        let reason = &one_line(reason);
        self.log.say(format!("{reason}; the job waits for another attempt")).await;
        self.clean().await;
        match self.hold.give_back(false, reason).await {
            Ending::Written(row) if row.outcome == Some(Outcome::Cancelled) => {
                self.checkpoint.forget().await;
                Exit::Cancelled
            }
            Ending::Written(_) => Exit::Postponed,
            Ending::Lost(loss) => lost(loss),
            Ending::Unwritten(error) => unreachable_table(&error),
        }
    }

    /// Removes the directories, as far as that is possible: what is left is said and changes nothing.
    async fn clean(&self) {
        self.clean_where(|_, _| true).await;
    }

    async fn clean_where(&self, wanted: impl Fn(&Locks, &Dirs) -> bool) {
        let Some(locks) = self.locks.get() else { return };
        for dirs in self.dirs.iter().filter(|dirs| wanted(locks, dirs)) {
            let one = dirs.clone();
            let removed = tokio::task::spawn_blocking(move || place::remove(&one)).await;
            if let Err(error) = removed.map_err(std::io::Error::other).flatten() {
                let what = dirs.filesystem.word();
                self.log.say(format!("the job's directory on {what} is not removed: {error}")).await;
            }
        }
    }
}

fn lost(loss: Loss) -> Exit {
    match loss {
        Loss::Missing => Exit::NoRow,
        Loss::Refused(_) => Exit::NotMine,
    }
}
