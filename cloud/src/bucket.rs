//! A token bucket that finds out its own rate: it gives way when it is refused, and creeps back.
//!
//! Pure: whoever has it brings the time and does the waiting. The scheduler paces its submissions with one, the console
//! all that it asks of AWS.

/// What a refusal leaves of the rate.
const LEFT: f64 = 0.7;
/// What a call that went well adds to the rate, as a part of the full rate: little, because many programs may share
/// what the account has, and each finds out its share by being refused.
const CREEP: f64 = 0.002;
/// Refusals within so many milliseconds are one: they answer calls that were sent at the same rate.
const ONE_REFUSAL_MS: i64 = 1_000;

/// The tokens, and the rate at which they come.
#[derive(Debug, Clone)]
pub struct Bucket {
    most: f64,
    least: f64,
    /// How much may go out at once after a pause, as a part of a second's tokens; at least one.
    burst: f64,
    rate: f64,
    /// It was never refused, and does not know its share.
    begins: bool,
    /// Below 0: so many are promised to those who wait.
    tokens: f64,
    /// When the tokens were counted; None before the first time.
    at_ms: Option<i64>,
    refused_ms: Option<i64>,
}

impl Bucket {
    /// At most `most` tokens a second, at least `least` however often it is refused; it begins at `begin`. Infinity is
    /// no limit; what is less than `least`, or no number, is `least`. `burst` is a part of a second's tokens.
    pub fn new(most: f64, least: f64, begin: f64, burst: f64) -> Self {
        let most = if most > least { most } else { least };
        let rate = begin.clamp(least, most);
        Self { most, least, burst, rate, begins: true, tokens: 0.0, at_ms: None, refused_ms: None }
    }

    /// Takes a token that is there after the milliseconds given back. None where that would be later than
    /// `until_ms`: then none was taken.
    pub fn take(&mut self, now_ms: i64, until_ms: i64) -> Option<u64> {
        if self.rate.is_infinite() {
            return Some(0);
        }
        let burst = (self.rate * self.burst).max(1.0);
        self.tokens = match self.at_ms {
            None => burst,
            Some(at_ms) => (self.tokens + self.rate * as_f64((now_ms - at_ms).max(0)) / 1e3).min(burst),
        };
        self.at_ms = Some(now_ms);
        let after = self.tokens - 1.0;
        let wait_ms = if after < 0.0 { as_ms(-after / self.rate * 1e3) } else { 0 };
        if wait_ms > 0 && now_ms.saturating_add(wait_ms) > until_ms {
            return None;
        }
        self.tokens = after;
        u64::try_from(wait_ms).ok()
    }

    /// A token that was not needed.
    pub fn give_back(&mut self) {
        self.tokens += 1.0;
    }

    /// A call went well.
    pub fn went_well(&mut self) {
        let more = if self.begins { 1.0 } else { self.most * CREEP };
        self.rate = (self.rate + more).min(self.most);
    }

    /// A call was refused as too fast.
    pub fn refused(&mut self, now_ms: i64) {
        if self.refused_ms.is_none_or(|at_ms| !(0..ONE_REFUSAL_MS).contains(&(now_ms - at_ms))) {
            self.rate = (self.rate * LEFT).max(self.least);
            self.begins = false;
            self.tokens = self.tokens.min(0.0);
            self.refused_ms = Some(now_ms);
        }
    }

    /// Tokens a second, now.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether refusals have made it slower than it may be.
    pub fn is_slowed(&self) -> bool {
        !self.begins && self.rate < self.most
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds between two calls are far below 2^52")]
fn as_f64(ms: i64) -> f64 {
    ms as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded up; what does not fit is cut to the largest number"
)]
fn as_ms(ms: f64) -> i64 {
    ms.ceil() as i64
}
