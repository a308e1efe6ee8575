//! How many messages an invocation takes beyond those it was given, and when it stops.
//!
//! AWS hands a function 10 messages at most without a wait, and every invocation submits at least one job; so a burst
//! is taken together, by receives that run side by side and grow in number as long as they come back full of messages.
//!
//! While there are more batches than room to submit them in, an invocation gathers: it goes on asking for some seconds
//! after an empty receive. Its uploads would wait for room anyway, and fewer and larger batches make more of it.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use shepard_cloud::Ports;
use shepard_cloud::ports::Message;
use tracing::warn;

/// Messages in one receive: what SQS gives.
const RECEIVED: usize = 10;
/// Most receives side by side.
const ABREAST: usize = 32;

/// How long an invocation gathers, in milliseconds, and how long it waits between two empty receives.
const GATHER_MS: i64 = 10_000;
const PAUSE_MS: u64 = 500;

/// What an invocation may still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drain {
    left: usize,
    abreast: usize,
    until_ms: i64,
    gathers: bool,
    pause_ms: u64,
}

/// A round of receives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// How long to wait first, in milliseconds.
    pause_ms: u64,
    /// How many messages each receive asks for.
    asks: Vec<usize>,
}

impl Drain {
    /// Takes so many at most, until then.
    pub(crate) fn new(most: usize, until_ms: i64) -> Self {
        Self { left: most, abreast: 1, until_ms, gathers: false, pause_ms: 0 }
    }

    /// Takes nothing.
    pub(crate) fn none() -> Self {
        Self::new(0, i64::MIN)
    }

    /// The same, of an invocation that gathers.
    pub(crate) fn gathering(self, now_ms: i64) -> Self {
        Self { until_ms: self.until_ms.max(now_ms.saturating_add(GATHER_MS)), gathers: true, ..self }
    }

    /// The next round; None where there is none.
    pub(crate) fn next(&mut self, now_ms: i64) -> Option<Round> {
        if self.left == 0 || now_ms >= self.until_ms {
            return None;
        }
        let receives = self.abreast.min(self.left.div_ceil(RECEIVED));
        self.abreast = (self.abreast * 4).min(ABREAST);
        let asks = (0..receives).map(|n| RECEIVED.min(self.left - n * RECEIVED)).collect();
        Some(Round { pause_ms: std::mem::take(&mut self.pause_ms), asks })
    }

    /// What a round brought. An empty receive says that there is nothing more for now, as far as anybody can tell.
    pub(crate) fn took(&mut self, messages: usize, all_full: bool) {
        self.left = self.left.saturating_sub(messages);
        if !all_full && self.gathers {
            (self.abreast, self.pause_ms) = (1, PAUSE_MS);
        } else if !all_full {
            self.left = 0;
        }
    }
}

/// One round of receives: the messages, and whether no receive was empty.
pub(crate) async fn receive(ports: &Ports, round: Round, hide_ms: i64) -> (Vec<Message>, bool) {
    if round.pause_ms > 0 {
        ports.clock.sleep_ms(round.pause_ms).await;
    }
    let mut receives: FuturesUnordered<_> =
        round.asks.into_iter().map(|max| ports.queue.receive(max, hide_ms)).collect();
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
        while let Some(Round { asks, pause_ms: 0 }) = drain.next(0) {
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
        let asks = |round: Option<Round>| round.map(|round| round.asks);
        assert_eq!((asks(odd.next(0)), asks(odd.next(0))), (Some(vec![10]), Some(vec![10, 3])));
    }

    #[test]
    fn an_invocation_that_gathers_asks_again_after_a_pause_and_not_for_ever() {
        let mut drain = Drain::new(100, 300).gathering(0);
        assert_eq!(drain.next(0), Some(Round { pause_ms: 0, asks: vec![10] }));
        drain.took(0, false);
        assert_eq!(drain.next(300), Some(Round { pause_ms: PAUSE_MS, asks: vec![10] }));
        drain.took(10, true);
        assert_eq!(drain.next(900), Some(Round { pause_ms: 0, asks: vec![10; 4] }));
        drain.took(30, false);
        assert_eq!(drain.next(GATHER_MS), None);
    }
}
