//! The local ports on a real database, with a clock that is set by hand.

mod compute;
mod inbox;
mod queue;
mod sharing;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use shepard_model::{Fence, Inputs, JobId, JobRow, ObjectRef, Outcome, Transition};

use super::{Home, LocalFlock, Settings};
use crate::ports::Clock;

#[derive(Default)]
pub(super) struct HandClock(AtomicI64);

impl HandClock {
    fn forward(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    async fn sleep_ms(&self, duration_ms: u64) {
        self.forward(i64::try_from(duration_ms).expect("short"));
    }
}

pub(super) struct Fixture {
    flock: LocalFlock,
    clock: Arc<HandClock>,
    _temp: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("temp");
        let dir = Home::new(temp.path()).create(&Settings::named("test")).expect("create");
        let clock = Arc::new(HandClock(AtomicI64::new(1_000_000)));
        let flock = LocalFlock::open_with(&dir, Arc::<HandClock>::clone(&clock)).expect("open");
        Self { flock, clock, _temp: temp }
    }
}

fn row(name: &str) -> JobRow {
    let id = JobId::parse(name).expect("id");
    JobRow::arrived(id, Some(ObjectRef::new("inputs", format!("{name}.zip"))), Inputs::default(), 1_000, 30)
}

fn claim() -> Transition {
    Transition::Claimed {
        fence: Fence { run: 1, attempt: 1, worker: "w".into() },
        log_stream: "s-1-1".into(),
        compute_id: None,
        batch: None,
        at_ms: 2_000,
        lease_until_ms: 3_000,
    }
}

fn finish(outcome: Outcome, at_ms: i64) -> Transition {
    Transition::Finished { fence: None, outcome, reason: None, exit_code: Some(0), results: vec![], at_ms }
}
