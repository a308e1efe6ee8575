//! How many messages an invocation takes beyond those it was given, and when it stops.
//!
//! AWS hands a function 10 messages at most without a wait, and every invocation submits at least one job; so a burst
//! is taken together, by receives that run side by side and grow in number as long as they come back full of messages.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use shepard_cloud::Ports;
use shepard_cloud::ports::Message;
use tracing::warn;

/// Messages in one receive: what SQS gives.
const RECEIVED: usize = 10;
/// Most receives side by side.
const ABREAST: usize = 32;

/// What an invocation may still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drain {
    left: usize,
    abreast: usize,
    until_ms: i64,
}

impl Drain {
    /// Takes so many at most, until then.
    pub(crate) fn new(most: usize, until_ms: i64) -> Self {
        Self { left: most, abreast: 1, until_ms }
    }

    /// Takes nothing.
    pub(crate) fn none() -> Self {
        Self::new(0, i64::MIN)
    }

    /// How much the next round asks for; None where there is no next.
    pub(crate) fn next(&mut self, now_ms: i64) -> Option<Vec<usize>> {
        if self.left == 0 || now_ms >= self.until_ms {
            return None;
        }
        let receives = self.abreast.min(self.left.div_ceil(RECEIVED));
        self.abreast = (self.abreast * 4).min(ABREAST);
        Some((0..receives).map(|n| RECEIVED.min(self.left - n * RECEIVED)).collect())
    }

    /// What a round brought. An empty receive says that there is nothing more for now, as far as anybody can tell.
    pub(crate) fn took(&mut self, messages: usize, all_full: bool) {
        self.left = if all_full { self.left.saturating_sub(messages) } else { 0 };
    }
}

/// One round of receives: the messages, and whether no receive was empty.
pub(crate) async fn round(ports: &Ports, asks: Vec<usize>, hide_ms: i64) -> (Vec<Message>, bool) {
    let mut receives: FuturesUnordered<_> =
        asks.into_iter().map(|max| ports.queue.receive(max, hide_ms)).collect();
    let (mut taken, mut more) = (Vec::new(), true);
    while let Some(received) = receives.next().await {
        match received {
            Ok(messages) if messages.is_empty() => more = false,
            Ok(messages) => taken.extend(messages),
            Err(error) => {
                // Those that are there already are worth the while all the same.
                warn!("no more messages taken: {error}");
                more = false;
            }
        }
    }
    (taken, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_grow_while_messages_come_and_end_with_an_empty_receive() {
        let mut drain = Drain::new(500, 100);
        let mut rounds = Vec::new();
        while let Some(asks) = drain.next(0) {
            let asked: usize = asks.iter().sum();
            rounds.push((asks.len(), asked));
            drain.took(asked, true);
        }
        assert_eq!(rounds, [(1, 10), (4, 40), (16, 160), (29, 290)], "500 in all, 32 side by side at most");
        let mut drain = Drain::new(2_000, 100);
        assert_eq!(drain.next(100), None, "too late");
        drain.took(3, false);
        assert_eq!((drain.next(0), Drain::none().next(0)), (None, None));
        let mut odd = Drain::new(13, 100);
        odd.took(0, true);
        assert_eq!((odd.next(0), odd.next(0)), (Some(vec![10]), Some(vec![10, 3])));
    }
}
