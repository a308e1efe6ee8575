//! Job logs: CloudWatch Logs, read alone. Who writes them is the log driver of the worker's container.
//!
//! A stream is `GROUP:STREAM`, as the row of a job has it. Pages are followed by the service's forward token. An empty
//! page is not the end: the end is the token that was asked with. Events have no id here, and one may show up late, in
//! front of what was read already; so at the end the last moments are read again from time to time, and so are they
//! where a token is not taken any more. What was given before is known again by its time, its text and how many such
//! there were: the place where reading goes on carries that much with it ([`Place`]).

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::get_log_events::GetLogEventsOutput;
use aws_sdk_cloudwatchlogs::types::OutputLogEvent;
use shepard_model::{LogLine, LogSource};

use super::error::{code, failed};
use crate::error::{CloudError, Kind, Result};
use crate::ports::{LogFrom, LogPage, Logs};
use place::Place;

mod place;

/// Most events in one answer (API reference of GetLogEvents, 2026-11).
const MOST: usize = 10_000;
/// Answers without an event that are passed over in one call before the caller has its turn.
const EMPTY: u32 = 8;
/// At the end of a stream, each how many looks the last moments are read again.
const LOOKS: u32 = 6;
/// What the worker puts before each line (worker/container/src/image/logs.rs).
const SOURCES: [(&str, LogSource); 3] =
    [("[out] ", LogSource::Stdout), ("[err] ", LogSource::Stderr), ("[shepard] ", LogSource::Worker)];

const READ: &str = "read the log";

/// The logs of an account.
#[derive(Debug, Clone)]
pub struct CloudWatchLogs {
    client: Client,
}

impl CloudWatchLogs {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks for events behind a place, or with `backwards` before it; None where there is no such stream, or none yet.
    async fn ask(
        &self,
        stream: &str,
        place: &Place,
        backwards: bool,
        limit: usize,
    ) -> Result<Option<GetLogEventsOutput>> {
        let parts = stream.rsplit_once(':').filter(|(group, name)| !group.is_empty() && !name.is_empty());
        let Some((group, name)) = parts else {
            let said = "a stream of CloudWatch is named GROUP:STREAM";
            return Err(CloudError::new(READ, stream, Kind::Invalid).because(said));
        };
        let limit = i32::try_from(limit.clamp(1, MOST)).unwrap_or(1);
        let request = self
            .client
            .get_log_events()
            .log_group_name(group)
            .log_stream_name(name)
            .limit(limit)
            .start_from_head(!backwards)
            .set_start_time(place.since_ms)
            .set_next_token(place.token.clone());
        match request.send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if code(&error).ends_with("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(failed(READ, stream, &error)),
        }
    }

    /// Follows a stream from a place.
    async fn follow(&self, stream: &str, mut place: Place, limit: usize) -> Result<LogPage> {
        let again = place.looks >= LOOKS && Place::spans(limit);
        if again {
            place.go_back();
        }
        let (mut lines, mut more, mut empty) = (Vec::new(), false, 0);
        loop {
            let answer = match self.ask(stream, &place, false, limit).await {
                Ok(Some(answer)) => answer,
                // Not there yet, or not any more.
                Ok(None) => break,
                // A token lives for a day.
                Err(error) if error.kind == Kind::Invalid && place.token.is_some() => {
                    place.go_back();
                    continue;
                }
                Err(error) => return Err(error),
            };
            lines.extend(answer.events().iter().filter(|event| place.is_new(event)).map(line));
            let next = answer.next_forward_token().map(str::to_owned);
            let end = next.is_none() || next == place.token;
            empty = if answer.events().is_empty() { empty + 1 } else { 0 };
            place.token = next.or(place.token);
            place.settle();
            if end {
                place.arrive();
                break;
            }
            if !lines.is_empty() || empty == EMPTY {
                more = true;
                break;
            }
        }
        place.looks = if again || !lines.is_empty() { 0 } else { place.looks + 1 };
        Ok(LogPage { lines, next: place.to_string(), more })
    }

    /// The last lines of a stream, oldest first. Of more than one page it gives the first, and the place behind it.
    async fn tail(&self, stream: &str, count: usize, limit: usize) -> Result<LogPage> {
        // The newest ones of a long tail are passed over: they come with the later pages.
        let mut skip = count.saturating_sub(limit);
        let wanted = count.min(limit).max(1);
        let mut at = Place::default();
        let (mut events, mut forward): (Vec<OutputLogEvent>, Option<String>) = (Vec::new(), None);
        let mut empty = 0;
        while skip > 0 || events.len() < wanted {
            let most = if skip > 0 { skip } else { wanted - events.len() };
            let Some(answer) = self.ask(stream, &at, true, most).await? else { break };
            let mut older = answer.events().to_vec();
            empty = if older.is_empty() { empty + 1 } else { 0 };
            if skip > 0 {
                skip = skip.saturating_sub(older.len());
            } else {
                forward = forward.or_else(|| answer.next_forward_token().map(str::to_owned));
                older.append(&mut events);
                events = older;
            }
            let next = answer.next_backward_token().map(str::to_owned);
            if next.is_none() || next == at.token || empty == EMPTY {
                break;
            }
            at.token = next;
        }
        let Some(forward) = forward.filter(|_| skip == 0) else {
            // It is not as long as that, or not there.
            return self.follow(stream, Place::default(), limit).await;
        };
        let mut place = Place::behind(forward, events.first());
        let known: Vec<_> = events.iter().filter(|event| place.is_new(event)).collect();
        let lines = if count == 0 { Vec::new() } else { known.into_iter().map(line).collect() };
        place.settle();
        Ok(LogPage { lines, next: place.to_string(), more: count > limit })
    }
}

#[async_trait]
impl Logs for CloudWatchLogs {
    /// Refused: the log driver writes, and nobody else.
    async fn append(&self, stream: &str, _: &[LogLine]) -> Result<()> {
        let said = "the log driver of the worker's container writes it";
        Err(CloudError::new("write the log", stream, Kind::Invalid).because(said))
    }

    async fn read(&self, stream: &str, from: &LogFrom, limit: usize) -> Result<LogPage> {
        let limit = limit.clamp(1, MOST);
        let place = match from {
            LogFrom::Start => Place::default(),
            LogFrom::Since(at_ms) => Place::since(*at_ms),
            LogFrom::Tail(count) => return self.tail(stream, *count, limit).await,
            LogFrom::Token(token) => token.parse().map_err(|_| {
                let said = "this is not where a page of a log ends";
                CloudError::new(READ, stream, Kind::Invalid).because(said)
            })?,
        };
        self.follow(stream, place, limit).await
    }
}

fn line(event: &OutputLogEvent) -> LogLine {
    let text = event.message().unwrap_or_default().trim_end_matches(['\n', '\r']);
    // What an old worker prints has nothing before it.
    let known = SOURCES.iter().find_map(|(before, source)| Some((*source, text.strip_prefix(before)?)));
    let (source, text) = known.unwrap_or((LogSource::Stdout, text));
    LogLine { at_ms: event.timestamp().unwrap_or(0), source, text: text.to_owned() }
}
