//! Watching for the notice that the host is taken back.

use jiff::Timestamp;
use shepard_cloud::notice::{Notice, Notices};
use shepard_cloud::ports::Clock;

use crate::stop::{Interruption, Stop};

/// Between two questions, in milliseconds: what EC2 recommends. A notice comes two minutes ahead.
const EVERY_MS: u64 = 5_000;
/// At most, where nothing answers.
const RARELY_MS: u64 = 60_000;

/// Asks for announcements until the worker is to stop, and tells it to where the host is taken back. Returns then.
///
/// Whoever runs it drops it with the work it watches for. That nothing answers is no fault and no news: most hosts
/// have no metadata that a container may read, and they are asked ever more rarely.
pub async fn watch(clock: &dyn Clock, notices: &dyn Notices, stop: &Stop) {
    let (mut wait_ms, mut at_risk) = (EVERY_MS, false);
    loop {
        let newest = tokio::select! {
            biased;
            () = stop.token().cancelled() => return,
            newest = notices.newest() => newest,
        };
        match newest {
            Ok(Some(Notice::Reclaimed { at_ms })) => {
                let reason = match at_ms.and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok()) {
                    Some(at) => format!("Spot takes the host back at {}", at.strftime("%H:%M:%SZ")),
                    None => "Spot takes the host back".to_owned(),
                };
                tracing::warn!("{reason}");
                stop.because(Interruption { reason, gone_ms: at_ms });
                return;
            }
            Ok(Some(Notice::AtRisk)) if !at_risk => {
                tracing::info!("Spot says that it may take this host back before others");
                (wait_ms, at_risk) = (EVERY_MS, true);
            }
            Ok(_) => wait_ms = EVERY_MS,
            Err(error) => {
                tracing::debug!(kind = error.kind.word(), "nothing tells whether the host is taken back");
                wait_ms = (wait_ms * 2).min(RARELY_MS);
            }
        }
        tokio::select! {
            () = stop.token().cancelled() => return,
            () = clock.sleep_ms(wait_ms) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use shepard_cloud::error::{CloudError, Kind, Result};

    use super::*;

    /// Answers from the end of a list; afterwards none. A clock that only counts what it is asked to wait.
    #[derive(Default)]
    struct Host {
        answers: Mutex<Vec<Result<Option<Notice>>>>,
        waited: Mutex<Vec<u64>>,
        stop: Stop,
    }

    #[async_trait]
    impl Notices for Host {
        async fn newest(&self) -> Result<Option<Notice>> {
            let next = self.answers.lock().unwrap().pop();
            match next {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    }

    #[async_trait]
    impl Clock for Host {
        fn now_ms(&self) -> i64 {
            0
        }
        async fn sleep_ms(&self, duration_ms: u64) {
            self.waited.lock().unwrap().push(duration_ms);
            if self.answers.lock().unwrap().is_empty() {
                self.stop.token().cancel();
            }
        }
    }

    async fn watched(mut answers: Vec<Result<Option<Notice>>>) -> Host {
        answers.reverse();
        let host = Host { answers: Mutex::new(answers), ..Host::default() };
        watch(&host, &host, &host.stop).await;
        host
    }

    #[tokio::test]
    async fn a_notice_stops_the_worker_and_says_when_the_host_is_gone() {
        let at_ms = Some(1_795_262_400_000);
        let host = watched(vec![Ok(None), Ok(Some(Notice::Reclaimed { at_ms }))]).await;
        assert!(host.stop.is_asked());
        assert_eq!(host.stop.reason(), "Spot takes the host back at 12:00:00Z");
        assert_eq!((host.stop.gone_ms(), host.waited.lock().unwrap().as_slice()), (at_ms, &[5_000][..]));
        let host = watched(vec![Ok(Some(Notice::Reclaimed { at_ms: None }))]).await;
        assert_eq!(host.stop.reason(), "Spot takes the host back");
    }

    #[tokio::test]
    async fn a_host_that_says_nothing_is_asked_ever_more_rarely_and_a_recommendation_stops_nothing() {
        let error = || Err(CloudError::new("ask", "the host", Kind::Offline));
        let mut answers: Vec<_> = (0..6).map(|_| error()).collect();
        answers.extend([Ok(Some(Notice::AtRisk)), Ok(Some(Notice::AtRisk)), error()]);
        let host = watched(answers).await;
        let waited = host.waited.lock().unwrap().clone();
        assert_eq!(waited, [10_000, 20_000, 40_000, 60_000, 60_000, 60_000, 5_000, 5_000, 10_000]);
        // It was the clock that stopped it in the end, for no reason.
        assert_eq!(host.stop.reason(), "the worker was told to stop");
    }

    #[tokio::test]
    async fn it_ends_when_the_worker_stops_for_another_reason() {
        let host = Host::default();
        let stop = async {
            tokio::task::yield_now().await;
            host.stop.token().cancel();
        };
        tokio::join!(watch(&host, &host, &host.stop), stop);
        assert!(host.waited.lock().unwrap().is_empty());
    }
}
