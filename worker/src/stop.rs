//! That a worker is to stop, and why: what its row and its log say.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Tells a worker to stop. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    why: Arc<OnceLock<Interruption>>,
}

/// What interrupts a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// For people, as the end of a sentence: `Spot takes the host back at 12:00:00Z`.
    pub reason: String,
    /// When the host is gone, in milliseconds since the epoch; None where nobody knows.
    pub gone_ms: Option<i64>,
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks, and says why. The first reason stays.
    pub fn because(&self, why: Interruption) {
        let _ = self.why.set(why);
        self.token.cancel();
    }

    /// Cancelled when the worker is to stop. Who cancels it gives no reason.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The worker is to stop.
    pub fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Why, for people.
    pub fn reason(&self) -> &str {
        self.why.get().map_or("the worker was told to stop", |why| &why.reason)
    }

    /// When the host is gone, where that is known.
    pub fn gone_ms(&self) -> Option<i64> {
        self.why.get().and_then(|why| why.gone_ms)
    }
}

impl From<CancellationToken> for Stop {
    /// One that gives no reason.
    fn from(token: CancellationToken) -> Self {
        Self { token, why: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let stop = Stop::from(CancellationToken::new());
        assert!(!stop.is_asked());
        assert_eq!(stop.reason(), "the worker was told to stop");
        let same = stop.clone();
        same.because(Interruption { reason: "one".to_owned(), gone_ms: Some(7) });
        same.because(Interruption { reason: "two".to_owned(), gone_ms: None });
        assert!(stop.is_asked() && stop.token().is_cancelled());
        assert_eq!((stop.reason(), stop.gone_ms()), ("one", Some(7)));
    }
}
