//! Where reading a log goes on, and what was given last, as one piece of text.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr;

use aws_sdk_cloudwatchlogs::types::OutputLogEvent;
use serde::{Deserialize, Serialize};

/// Events that are known again. More make the place larger, fewer the moments that can be read again shorter.
const KEPT: usize = 256;

/// A place in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// The service's token; None before the first page.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    /// Only events from this time on, in milliseconds since the epoch. A token holds for the same time alone.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(super) since_ms: Option<i64>,
    /// Looks at the end that brought nothing, since the last moments were read again.
    #[serde(rename = "n", default)]
    pub(super) looks: u32,
    /// Every event from this time on that was given is in `given`.
    #[serde(rename = "f", default)]
    floor_ms: i64,
    /// Time, hash of the text, and whether it is waited for while the last moments are read again. In order of time.
    #[serde(rename = "g", default)]
    given: Vec<(i64, u64, bool)>,
}

impl Place {
    /// Before the first event of this time or later.
    pub(super) fn since(since_ms: i64) -> Self {
        let since_ms = since_ms.max(0);
        Self { since_ms: Some(since_ms), floor_ms: since_ms, ..Self::default() }
    }

    /// Behind a token of the service that was got with events of which earlier ones were left out.
    pub(super) fn behind(token: String, first: Option<&OutputLogEvent>) -> Self {
        // Of the same millisecond some may have been left out.
        let floor_ms = first.map_or(0, |first| time(first) + 1);
        Self { token: Some(token), floor_ms, ..Self::default() }
    }

    /// Goes back to the last moments: what is given from now on is compared with what was.
    pub(super) fn go_back(&mut self) {
        self.token = None;
        self.since_ms = Some(self.floor_ms);
        self.given.iter_mut().for_each(|one| one.2 = true);
    }

    /// Whether so many events are more than can come from the last moments alone.
    pub(super) fn spans(limit: usize) -> bool {
        limit > KEPT
    }

    /// Whether an event was not given before; from now on it was.
    pub(super) fn is_new(&mut self, event: &OutputLogEvent) -> bool {
        let (at_ms, hash) = (time(event), hash(event.message().unwrap_or_default()));
        let from = self.given.partition_point(|one| one.0 < at_ms);
        let same = self.given[from..].iter_mut().take_while(|one| one.0 == at_ms);
        if let Some(known) = same.into_iter().find(|one| one.1 == hash && one.2) {
            known.2 = false;
            return false;
        }
        let behind = self.given.partition_point(|one| one.0 <= at_ms);
        self.given.insert(behind, (at_ms, hash, false));
        true
    }

    /// The end was reached: nothing of what was given is waited for any more.
    pub(super) fn arrive(&mut self) {
        self.given.iter_mut().for_each(|one| one.2 = false);
    }

    /// Forgets what is too much to remember: always all of one time.
    pub(super) fn settle(&mut self) {
        if let Some(last) = self.given.len().checked_sub(KEPT + 1) {
            self.floor_ms = self.floor_ms.max(self.given[last].0 + 1);
        }
        let floor_ms = self.floor_ms;
        self.given.retain(|one| one.0 >= floor_ms);
    }
}

fn time(event: &OutputLogEvent) -> i64 {
    event.timestamp().unwrap_or(0)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Numbers and text: nothing that JSON could refuse.
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Place {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ms: i64, text: &str) -> OutputLogEvent {
        OutputLogEvent::builder().timestamp(at_ms).message(text).build()
    }

    #[test]
    fn what_was_given_is_known_when_it_comes_again_and_a_late_one_is_not() {
        let mut place = Place::default();
        for (at_ms, text) in [(1, "a"), (2, "x"), (2, "x"), (3, "b")] {
            assert!(place.is_new(&event(at_ms, text)), "twice the same is two lines");
        }
        place.settle();
        let mut place: Place = place.to_string().parse().unwrap();
        place.go_back();
        let again = [(1, "a"), (2, "x"), (2, "late"), (2, "x"), (2, "x"), (3, "b"), (4, "c")];
        let new: Vec<_> = again.iter().filter(|(at_ms, text)| place.is_new(&event(*at_ms, text))).collect();
        assert_eq!(new, [&(2, "late"), &(2, "x"), &(4, "c")]);
        place.arrive();
        assert!(place.is_new(&event(4, "c")), "going forward nothing is compared");
    }

    #[test]
    fn what_is_forgotten_is_never_read_again() {
        let mut place = Place::default();
        for n in 0..1_000 {
            assert!(place.is_new(&event(n / 4, &n.to_string())));
            if n % 7 == 0 {
                place.settle();
            }
        }
        place.settle();
        place.go_back();
        let since_ms = place.since_ms.unwrap();
        let again = (0..1_000).filter(|n| n / 4 >= since_ms);
        assert_eq!(again.filter(|n| place.is_new(&event(n / 4, &n.to_string()))).count(), 0);
        assert!((185..=187).contains(&since_ms), "{since_ms}");

        // More in one millisecond than can be remembered.
        let mut place = Place::default();
        for n in 0..1_000 {
            place.is_new(&event(5, &n.to_string()));
            place.settle();
        }
        place.go_back();
        assert_eq!(place.since_ms, Some(6));
        // Of what a tail begins with, others of the same time were left out.
        let mut tail = Place::behind("f/1".into(), Some(&event(9, "x")));
        assert!(tail.is_new(&event(9, "x")) && tail.is_new(&event(10, "y")));
        tail.settle();
        tail.go_back();
        assert_eq!((tail.since_ms, tail.is_new(&event(10, "y"))), (Some(10), false));
    }
}
