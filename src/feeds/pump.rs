//! Drives a source: reserve a place, read, deliver; when there is nothing, wait for a sign.

use std::time::Duration;

use async_trait::async_trait;
use shepard_cloud::CloudError;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::app::{Msg, Sub};

/// Least time between two reads of one source, so that a busy flock costs a console a bounded share of a core.
pub const GAP: Duration = Duration::from_millis(50);
/// Pause after the first failure; it doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(500);
/// Longest pause after a failure.
const LONGEST: Duration = Duration::from_secs(15);

/// Something that can be read for news.
#[async_trait]
pub trait Source: Send {
    /// What is new since the last call; None for nothing.
    async fn read(&mut self) -> Result<Option<Msg>, CloudError>;
    /// Returns when there may be something new.
    async fn wait(&mut self);
    /// Whether the last read left more behind, so that the next one need not wait: a first listing. The places in
    /// the loop's channel slow it down enough.
    fn has_more(&self) -> bool {
        false
    }
    /// How long after news it is not read again: longer where each reading costs calls.
    fn pause(&self) -> Duration {
        GAP
    }
}

/// Drives a source until the loop is gone. Cancelled by being dropped.
pub async fn pump(sub: Sub, mut source: impl Source, to: mpsc::Sender<Msg>) {
    let mut pause = SHORTEST;
    while let Ok(place) = to.reserve().await {
        match source.read().await {
            Ok(Some(msg)) => {
                pause = SHORTEST;
                place.send(msg);
                if !source.has_more() {
                    sleep(source.pause()).await;
                }
            }
            Ok(None) => {
                pause = SHORTEST;
                drop(place);
                source.wait().await;
            }
            Err(error) => {
                tracing::warn!(?sub, %error, "a feed failed");
                place.send(Msg::FeedFailed(sub.clone(), super::problem(&error)));
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use shepard_cloud::Kind;

    use super::*;

    /// Gives what it is told to, then waits for ever.
    struct Script(VecDeque<Result<Option<Msg>, Kind>>);

    #[async_trait]
    impl Source for Script {
        async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
            match self.0.pop_front() {
                Some(Ok(msg)) => Ok(msg),
                Some(Err(kind)) => Err(CloudError::new("read", "it", kind)),
                None => Ok(None),
            }
        }
        fn has_more(&self) -> bool {
            // The last message is the last page.
            self.0.len() > 1
        }
        async fn wait(&mut self) {
            if self.0.is_empty() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn now(at: i64) -> Result<Option<Msg>, Kind> {
        Ok(Some(Msg::Now(at)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_and_the_feed_goes_on() {
        let (to, mut from) = mpsc::channel(8);
        let script = Script([Err(Kind::Offline), now(1), Ok(None), now(2)].into());
        let task = tokio::spawn(pump(Sub::Flocks, script, to));
        assert!(matches!(from.recv().await, Some(Msg::FeedFailed(Sub::Flocks, _))));
        assert!(matches!(from.recv().await, Some(Msg::Now(1))));
        assert!(matches!(from.recv().await, Some(Msg::Now(2))));
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_while_the_loop_is_behind() {
        let (to, mut from) = mpsc::channel(1);
        let script = Script([now(1), now(2), now(3)].into());
        let task = tokio::spawn(pump(Sub::Flocks, script, to));
        sleep(Duration::from_secs(60)).await;
        assert_eq!(from.len(), 1, "one place, one message");
        assert!(matches!(from.recv().await, Some(Msg::Now(1))));
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_pages_of_a_first_listing_follow_each_other_without_a_pause() {
        let (to, mut from) = mpsc::channel(1);
        let script = Script([now(1), now(2), now(3), now(4)].into());
        let begin = tokio::time::Instant::now();
        let task = tokio::spawn(pump(Sub::Flocks, script, to));
        for page in 1..=3 {
            assert!(matches!(from.recv().await, Some(Msg::Now(at)) if at == page));
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);
        assert!(matches!(from.recv().await, Some(Msg::Now(4))));
        assert_eq!(begin.elapsed(), GAP, "the page before was the last of the listing");
        task.abort();
    }
}
