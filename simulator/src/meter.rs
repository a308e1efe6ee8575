//! A quota of so many a second, as a token bucket that refuses, and the ledger that tells whether it let through too
//! much.

/// One rate that AWS enforces.
#[derive(Debug, Clone)]
pub struct Meter {
    /// Name of the quota in `quotas.toml`.
    pub name: &'static str,
    rate: f64,
    burst: f64,
    tokens: f64,
    filled_us: u64,
    /// Units let through.
    pub taken: f64,
    /// Requests refused.
    pub refused: u64,
    /// It refuses nothing: a fault that is planted to see that the ledger finds it.
    pub leaks: bool,
    // The ledger is kept apart from the bucket, so that a fault in one shows in the other.
    second: u64,
    in_second: f64,
    most: f64,
}

impl Meter {
    /// A meter for `rate` units a second, of which `burst_s` seconds' worth may come at once.
    pub fn new(name: &'static str, rate: f64, burst_s: f64) -> Self {
        let burst = (rate * burst_s).max(1.0);
        Self {
            name,
            rate,
            burst,
            tokens: burst,
            filled_us: 0,
            taken: 0.0,
            refused: 0,
            leaks: false,
            second: 0,
            in_second: 0.0,
            most: 0.0,
        }
    }

    /// Could take so much now; takes nothing.
    pub fn has(&mut self, now_us: u64, units: f64) -> bool {
        let since = now_us.saturating_sub(self.filled_us) as f64 / 1e6;
        self.tokens = (self.tokens + since * self.rate).min(self.burst);
        self.filled_us = self.filled_us.max(now_us);
        // A request larger than the whole burst goes through when the bucket is full.
        self.tokens >= units.min(self.burst)
    }

    /// Takes so much whatever there is; call [`Meter::has`] first.
    pub fn take(&mut self, now_us: u64, units: f64) {
        self.tokens -= units;
        self.taken += units;
        let second = now_us / 1_000_000;
        if second != self.second {
            (self.second, self.in_second) = (second, 0.0);
        }
        self.in_second += units;
        self.most = self.most.max(self.in_second);
    }

    /// Takes so much, or refuses.
    pub fn charge(&mut self, now_us: u64, units: f64) -> bool {
        let there = self.has(now_us, units) || self.leaks;
        if there {
            self.take(now_us, units);
        } else {
            self.refused += 1;
        }
        there
    }

    /// The share of what it allows that was used in so many microseconds.
    pub fn used(&self, span_us: u64) -> f64 {
        self.taken / (self.rate * (span_us.max(1_000_000) as f64 / 1e6))
    }

    /// What it let through beyond its limit, in words.
    pub fn fault(&self, now_us: u64) -> Option<String> {
        let whole = self.burst + self.rate * (now_us as f64 / 1e6) + 1e-6;
        let second = self.burst + self.rate + 1e-6;
        (self.taken > whole || self.most > second).then(|| {
            format!(
                "the quota {} was exceeded: {:.0} in all, {:.0} in one second, {} a second allowed",
                self.name, self.taken, self.most, self.rate
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_refuses_what_is_too_fast_and_lets_the_rest_through() {
        let mut meter = Meter::new("x", 50.0, 1.0);
        let let_through = |meter: &mut Meter, at| (0..100).filter(|_| meter.charge(at, 1.0)).count();
        assert_eq!(let_through(&mut meter, 0), 50);
        assert_eq!(let_through(&mut meter, 500_000), 25);
        assert_eq!(let_through(&mut meter, 10_000_000), 50);
        assert_eq!(meter.refused, 175);
        assert_eq!(meter.fault(10_000_000), None);
        assert!((meter.used(10_000_000) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn the_ledger_sees_a_bucket_that_leaks() {
        let mut meter = Meter::new("x", 50.0, 1.0);
        (0..101).for_each(|_| meter.take(1_000_000, 1.0));
        assert!(meter.fault(9_000_000).unwrap().contains("quota x"));
    }
}
