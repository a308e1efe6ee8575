//! The log of one attempt: what is there, then what is added, page by page.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shepard_cloud::ports::{Clock as _, LogFrom, WallClock};
use shepard_cloud::{CloudError, Logs as LogsPort};

use super::pump::Source;
use crate::app::Msg;
use crate::app::msg::LogChange;

/// Lines read at once.
const PAGE: usize = 2_000;
/// With a time window, at least so many lines, so that a quiet log does not look empty.
const AT_LEAST: usize = 200;
/// How often a quiet stream is looked at.
const EVERY: Duration = Duration::from_millis(250);
/// How seldom, once it has been quiet for long.
const SELDOM: Duration = Duration::from_secs(2);

/// Reads one stream.
pub struct Stream {
    stream: String,
    logs: Arc<dyn LogsPort>,
    minutes: Option<u32>,
    from: Option<LogFrom>,
    /// A first page has been read, so that lines follow on those before.
    begun: bool,
    caught_up: bool,
    quiet: u32,
}

impl Stream {
    /// From its beginning, or from some minutes ago.
    pub fn new(stream: String, logs: Arc<dyn LogsPort>, minutes: Option<u32>) -> Self {
        Self { stream, logs, minutes, from: None, begun: false, caught_up: false, quiet: 0 }
    }

    /// Where to begin: at the window, or at so many lines before the end if that is more.
    async fn begin(&self) -> Result<LogFrom, CloudError> {
        let Some(minutes) = self.minutes else { return Ok(LogFrom::Start) };
        let since = WallClock.now_ms() - i64::from(minutes) * 60_000;
        let window = self.logs.read(&self.stream, &LogFrom::Since(since), AT_LEAST).await?;
        let enough = window.more || window.lines.len() >= AT_LEAST;
        Ok(if enough { LogFrom::Since(since) } else { LogFrom::Tail(AT_LEAST) })
    }
}

#[async_trait]
impl Source for Stream {
    async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
        let beginning = !self.begun;
        let from = match self.from.take() {
            Some(from) => from,
            None => self.begin().await?,
        };
        let page = match self.logs.read(&self.stream, &from, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                self.from = Some(from);
                return Err(error);
            }
        };
        self.from = Some(LogFrom::Token(page.next));
        self.begun = true;
        let first = !self.caught_up && !page.more;
        self.caught_up |= !page.more;
        self.quiet = if page.lines.is_empty() { self.quiet.saturating_add(1) } else { 0 };
        Ok((beginning || first || !page.lines.is_empty()).then(|| {
            Msg::Log(LogChange {
                stream: self.stream.clone(),
                first: beginning,
                lines: page.lines,
                dropped: 0,
                caught_up: self.caught_up,
            })
        }))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(if self.quiet > 40 { SELDOM } else { EVERY }).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use shepard_cloud::ports::LogPage;
    use shepard_model::{LogLine, LogSource};

    use super::*;

    /// Pages to give, and where each was asked to begin.
    #[derive(Default)]
    struct Pages {
        /// Lines, and whether more follow.
        give: Mutex<VecDeque<(usize, bool)>>,
        asked: Mutex<Vec<LogFrom>>,
    }

    #[async_trait]
    impl LogsPort for Pages {
        async fn append(&self, _stream: &str, _lines: &[LogLine]) -> Result<(), CloudError> {
            Ok(())
        }
        async fn read(&self, _stream: &str, from: &LogFrom, _limit: usize) -> Result<LogPage, CloudError> {
            let mut asked = self.asked.lock().expect("lock");
            asked.push(from.clone());
            let (count, more) = self.give.lock().expect("lock").pop_front().unwrap_or((0, false));
            let line = LogLine { at_ms: 1, source: LogSource::Stdout, text: "line".to_owned() };
            Ok(LogPage { lines: vec![line; count], next: asked.len().to_string(), more })
        }
    }

    #[tokio::test]
    async fn only_the_first_page_of_a_feed_says_that_it_begins_even_if_it_is_empty() {
        let pages = Arc::new(Pages::default());
        *pages.give.lock().expect("lock") =
            VecDeque::from([(0, true), (2, true), (1, false), (0, false), (3, false)]);
        let mut feed = Stream::new("s".to_owned(), Arc::clone(&pages) as Arc<dyn LogsPort>, None);
        let mut told = Vec::new();
        for _ in 0..5 {
            told.push(match feed.read().await.expect("read") {
                Some(Msg::Log(change)) => Some((change.first, change.lines.len(), change.caught_up)),
                _ => None,
            });
        }
        assert_eq!(
            told,
            [
                Some((true, 0, false)),
                Some((false, 2, false)),
                Some((false, 1, true)),
                None,
                Some((false, 3, true))
            ]
        );
        let asked = pages.asked.lock().expect("lock");
        assert_eq!(asked[..2], [LogFrom::Start, LogFrom::Token("1".to_owned())]);
    }
}
