//! What a task waits for when there is nothing to do: that something changed, or that a pause is over.

use std::sync::Arc;
use std::time::Duration;

use shepard_cloud::local::Watch;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::supervise::Context;

/// The least time between two wakes by the database: workers write to it all the time, and every task that is
/// woken reads from it. What this process does itself wakes at once.
const LULL: Duration = Duration::from_millis(50);

/// Wakes the tasks when another process has changed the database, until `round` ends.
pub(crate) async fn watch(context: Arc<Context>, round: CancellationToken) {
    let mut watch = Watch::new(&context.dir);
    while !round.is_cancelled() {
        tokio::select! {
            () = watch.changed() => context.wakes.all(),
            () = round.cancelled() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(LULL) => {}
            () = round.cancelled() => {}
        }
    }
}

/// Passes one watch of the database on to every task that waits. Keeps the last change only: who was busy sees
/// one.
pub(crate) struct Wakes {
    changed: watch::Sender<()>,
}

impl Wakes {
    pub(crate) fn new() -> Self {
        Self { changed: watch::Sender::new(()) }
    }

    /// Something changed.
    pub(crate) fn all(&self) {
        self.changed.send_replace(());
    }

    /// For one task. What changed before is old.
    pub(crate) fn wake(&self) -> Wake {
        Wake { changed: self.changed.subscribe() }
    }
}

/// What one task waits for.
pub(crate) struct Wake {
    changed: watch::Receiver<()>,
}

impl Wake {
    /// Something changed since the last time. May be dropped at any time.
    pub(crate) async fn woken(&mut self) {
        if self.changed.changed().await.is_err() {
            // Nobody watches any more: the supervisor is about to end.
            std::future::pending::<()>().await;
        }
    }
}

/// Pauses that grow while something keeps failing.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed: waits, twice as long as the last time.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    /// How long to wait now.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = Self::FIRST.saturating_mul(1 << self.failures.min(10)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..9).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        for _ in 0..100 {
            backoff.next();
        }
        backoff.reset();
        assert_eq!(backoff.next().as_millis(), 100);
    }
}
