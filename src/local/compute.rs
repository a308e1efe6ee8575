//! Which attempts are begun and which are told to stop. One task an attempt; this one owns them all.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use shepard_cloud::local::LocalJob;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::attempt::{self, Begin};
use super::supervise::Context;
use super::wake::{Backoff, Wake};

struct Attempts {
    context: Arc<Context>,
    tasks: JoinSet<()>,
    /// Of each compute job in hand: its task, and what tells its worker to stop.
    by_job: HashMap<String, (Id, CancellationToken)>,
}

/// Takes jobs as places become free, until `round` ends. Then its attempts run on without it, to be adopted by
/// the next supervisor, or, where `context.interrupt` says so, are told to stop and waited for.
pub(crate) async fn run(context: Arc<Context>, mut wake: Wake, round: CancellationToken) {
    let mut attempts = Attempts { context, tasks: JoinSet::new(), by_job: HashMap::new() };
    let mut backoff = Backoff::default();
    let mut adopted = false;
    while !round.is_cancelled() {
        // First what an earlier supervisor left, living or dead; nothing new before that is known.
        let turn = if adopted { attempts.turn().await } else { attempts.adopt().await };
        match turn {
            Ok(()) => {
                backoff.reset();
                if !std::mem::replace(&mut adopted, true) {
                    continue;
                }
                tokio::select! {
                    ended = attempts.next(), if !attempts.tasks.is_empty() => attempts.forget(ended),
                    () = wake.woken() => {}
                    () = round.cancelled() => {}
                }
            }
            Err(error) => {
                tracing::warn!("{error}");
                attempts.context.touch();
                tokio::select! {
                    () = backoff.pause() => {}
                    () = round.cancelled() => {}
                }
            }
        }
    }
    attempts.end().await;
}

impl Attempts {
    async fn adopt(&mut self) -> shepard_cloud::Result<()> {
        for job in self.context.flock.compute().active().await? {
            self.begin(job, Begin::Adopted);
        }
        Ok(())
    }

    async fn turn(&mut self) -> shepard_cloud::Result<()> {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.forget(Some(ended));
        }
        let places = self.context.settings.max_jobs.max(1) as usize;
        let free = places.saturating_sub(self.tasks.len());
        if free > 0 {
            for job in self.context.flock.compute().take(free).await? {
                self.begin(job, Begin::Fresh);
            }
        }
        if !self.tasks.is_empty() {
            for job in self.context.flock.compute().to_terminate().await? {
                if let Some((_, stop)) = self.by_job.get(&job.id) {
                    stop.cancel();
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, job: LocalJob, how: Begin) {
        self.context.touch();
        self.context.attempts.fetch_add(1, Ordering::Relaxed);
        let stop = self.context.interrupt.child_token();
        let id = job.id.clone();
        let task = self.tasks.spawn(attempt::follow(Arc::clone(&self.context), job, how, stop.clone()));
        self.by_job.insert(id, (task.id(), stop));
    }

    async fn next(&mut self) -> Option<Result<(Id, ()), tokio::task::JoinError>> {
        self.tasks.join_next_with_id().await
    }

    fn forget(&mut self, ended: Option<Result<(Id, ()), tokio::task::JoinError>>) {
        let Some(ended) = ended else { return };
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.context.touch();
        self.context.attempts.fetch_sub(1, Ordering::Relaxed);
        self.by_job.retain(|_, (task, _)| *task != id);
        if let Err(error) = ended {
            // Its job is still written down as active: the next supervisor finds it.
            tracing::error!("following a job failed: {error}");
        }
    }

    async fn end(mut self) {
        if !self.context.interrupt.is_cancelled() {
            self.tasks.abort_all();
        }
        while let Some(ended) = self.tasks.join_next_with_id().await {
            match ended {
                Err(error) if error.is_cancelled() => {
                    self.context.attempts.fetch_sub(1, Ordering::Relaxed);
                }
                ended => self.forget(Some(ended)),
            }
        }
    }
}
