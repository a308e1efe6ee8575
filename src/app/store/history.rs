//! How many jobs arrived and ended lately: what a sparkline and a rate are drawn from.

use serde::{Deserialize, Serialize};

/// Width of one bucket in milliseconds.
pub const BUCKET_MS: i64 = 5_000;
/// Buckets kept: five minutes.
pub const BUCKETS: usize = 60;

/// Arrivals and ends per bucket, newest last. Time comes in as an argument only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct History {
    arrived: Vec<u32>,
    ended: Vec<u32>,
    /// Number of the newest bucket since the epoch; None until anything was counted.
    head: Option<i64>,
    /// Whether `head` came from a clock, so that a job from the future cannot push everything out.
    ticked: bool,
}

impl Default for History {
    fn default() -> Self {
        Self { arrived: vec![0; BUCKETS], ended: vec![0; BUCKETS], head: None, ticked: false }
    }
}

/// Jobs per second, averaged over the last full minute.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Rows written.
    pub arrived_per_s: f64,
    /// Jobs that came to a terminal state.
    pub ended_per_s: f64,
}

impl History {
    /// Moves on to the bucket of `now_ms`. True if the picture changed.
    pub fn tick(&mut self, now_ms: i64) -> bool {
        self.ticked = true;
        self.advance(now_ms.div_euclid(BUCKET_MS))
    }

    fn advance(&mut self, bucket: i64) -> bool {
        let Some(head) = self.head else {
            self.head = Some(bucket);
            return true;
        };
        if bucket <= head {
            return false;
        }
        let steps = usize::try_from(bucket - head).unwrap_or(BUCKETS).min(BUCKETS);
        for ring in [&mut self.arrived, &mut self.ended] {
            ring.rotate_left(steps);
            ring[BUCKETS - steps..].fill(0);
        }
        self.head = Some(bucket);
        true
    }

    fn slot(&mut self, at_ms: i64) -> Option<usize> {
        let bucket = at_ms.div_euclid(BUCKET_MS);
        if !self.ticked {
            self.advance(bucket);
        }
        let head = self.head?;
        let age = usize::try_from(head.saturating_sub(bucket).max(0)).ok()?;
        (BUCKETS - 1).checked_sub(age)
    }

    pub(crate) fn arrived_at(&mut self, at_ms: i64) {
        if let Some(slot) = self.slot(at_ms) {
            self.arrived[slot] = self.arrived[slot].saturating_add(1);
        }
    }

    pub(crate) fn ended_at(&mut self, at_ms: i64) {
        if let Some(slot) = self.slot(at_ms) {
            self.ended[slot] = self.ended[slot].saturating_add(1);
        }
    }

    /// Arrivals per bucket, oldest first.
    pub fn arrived(&self) -> &[u32] {
        &self.arrived
    }

    /// Ends per bucket, oldest first.
    pub fn ended(&self) -> &[u32] {
        &self.ended
    }

    /// Averages over the last minute of full buckets; the newest, still filling, is left out.
    pub fn rates(&self) -> Rates {
        let buckets = usize::try_from(60_000 / BUCKET_MS).unwrap_or(1);
        let rate = |ring: &[u32]| {
            let sum: u64 = ring.iter().rev().skip(1).take(buckets).copied().map(u64::from).sum();
            sum as f64 / 60.0
        };
        Rates { arrived_per_s: rate(&self.arrived), ended_per_s: rate(&self.ended) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_move_on_with_the_clock_and_forget() {
        let mut history = History::default();
        history.tick(1_000_000);
        history.arrived_at(1_000_000);
        history.arrived_at(1_000_000 - BUCKET_MS);
        history.arrived_at(9_000_000_000);
        assert_eq!(history.arrived()[BUCKETS - 2..], [1, 2], "the future counts as now");
        assert!(history.tick(1_000_000 + BUCKET_MS));
        assert!(!history.tick(1_000_000 + BUCKET_MS), "nothing to draw");
        assert_eq!(history.arrived()[BUCKETS - 3..], [1, 2, 0]);
        history.arrived_at(0);
        assert_eq!(history.arrived().iter().sum::<u32>(), 3, "older than the ring");
        history.tick(1_000_000 + 1_000 * BUCKET_MS);
        assert_eq!(history.arrived().iter().sum::<u32>(), 0);
    }

    #[test]
    fn the_rate_leaves_out_the_bucket_that_is_filling() {
        let mut history = History::default();
        history.tick(0);
        for _ in 0..120 {
            history.ended_at(0);
        }
        assert_eq!(history.rates().ended_per_s, 0.0);
        history.tick(BUCKET_MS);
        assert_eq!(history.rates().ended_per_s, 2.0);
    }
}
