//! How fast jobs are handed to the compute, and how long to leave what did not go through.
//!
//! AWS takes 50 SubmitJob a second of a whole account, so tokens are handed out below that. How many instances share them
//! nobody says; so each begins slowly, doubles what it sends in a second until it is refused, and from then on gives way
//! when it is refused and creeps up when it is not, as TCP does. It knows no clock but the port's and draws no random
//! numbers: what has to be spread is spread by a hash of its own name.

use std::sync::{Mutex, PoisonError};

use shepard_cloud::bucket::Bucket;
use shepard_cloud::ports::{ComputeJob, JobRequest};
use shepard_cloud::{CloudError, Kind, Ports, Result};

/// Slowest that refusals make it, in submissions a second: it has to notice when the compute takes jobs again.
const SLOWEST: f64 = 0.5;
/// What it begins with, as a part of the full rate.
const BEGIN: f64 = 0.25;
/// How much may go out at once after a pause, as a part of a second's tokens; at least one. 45 a second and 4 at
/// once stay below 50 in any second.
const BURST: f64 = 0.1;
/// Tries of one call within an invocation.
pub(crate) const TRIES: u32 = 4;
/// First pause between them, in milliseconds; doubled each time.
const PAUSE_MS: u64 = 100;
/// Longest delay of a message: what SQS takes.
const LONGEST_MS: i64 = 900_000;
/// How much sooner turns come than the rate says, so that there is always something to submit; and the least rate that they
/// are reckoned with, as a part of the full one, because the rate is lowest just when most is put off.
const EARLY: f64 = 1.5;
const LEAST_TURNS: f64 = 0.125;
/// Waits longer than this, in milliseconds, mean that there are more batches than room.
const CONGESTED_MS: i64 = 5_000;

/// What came of a submission that may have had to wait.
#[derive(Debug)]
pub(crate) enum Sent {
    /// The compute took it; its id.
    Taken(String),
    /// There was no room in time, and nothing was submitted. What the compute said.
    NoRoom(CloudError),
}

/// What came of asking for the jobs of a name.
#[derive(Debug)]
pub(crate) enum Seen {
    /// These are there.
    Jobs(Vec<ComputeJob>),
    /// The compute was asked too fast; what it said.
    NoRoom(CloudError),
}

/// The tokens of one instance of the scheduler, shared by its invocations.
#[derive(Debug)]
pub(crate) struct Pacer {
    most: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    /// Until when what was left to messages has its times.
    due_ms: i64,
}

impl Pacer {
    /// A pacer of so many submissions a second; infinity is no limit.
    pub(crate) fn new(per_s: f64) -> Self {
        let most = if per_s > SLOWEST { per_s } else { SLOWEST };
        let bucket = Bucket::new(most, SLOWEST, most * BEGIN, BURST);
        Self { most, state: Mutex::new(State { bucket, due_ms: 0 }) }
    }

    /// Takes a token that is there after the milliseconds given back. None where that would be later than
    /// `until_ms`: then none was taken.
    fn take(&self, now_ms: i64, until_ms: i64) -> Option<u64> {
        self.state().bucket.take(now_ms, until_ms)
    }

    fn went_well(&self) {
        self.state().bucket.went_well();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // No code between lock and unlock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to leave so many jobs that found no room, in milliseconds: until those that were left before have had
    /// their turns at today's rate. So they come back one after another and find room, and not all at once.
    pub(crate) fn turn_ms(&self, now_ms: i64, jobs: u32) -> i64 {
        let mut state = self.state();
        let rate = (state.bucket.rate() * EARLY).max(self.most * LEAST_TURNS);
        let due_ms = state.due_ms.max(now_ms) + as_ms(f64::from(jobs) / rate * 1e3);
        // A clock that was set back is no long queue.
        state.due_ms = due_ms.min(now_ms + LONGEST_MS);
        state.due_ms - now_ms
    }

    /// How many submissions today's rate allows in so many milliseconds, about.
    pub(crate) fn room(&self, ms: i64) -> usize {
        let jobs = as_ms(self.state().bucket.rate() * as_f64(ms.max(0)) / 1e3).max(1);
        usize::try_from(jobs).unwrap_or(usize::MAX)
    }

    /// Whether there are more batches than room, so that larger ones are better than more.
    pub(crate) fn congested(&self, now_ms: i64) -> bool {
        (CONGESTED_MS..=LONGEST_MS).contains(&(self.state().due_ms - now_ms))
    }

    /// Takes the compute's word that it was asked too fast.
    pub(crate) fn refused(&self, now_ms: i64) {
        self.state().bucket.refused(now_ms);
    }

    /// Waits for a token. False: there is none until `until_ms`.
    ///
    /// Whoever has to look something up before it submits takes its token first: without one the look is for nothing.
    pub(crate) async fn token(&self, ports: &Ports, until_ms: i64) -> bool {
        let Some(wait_ms) = self.take(ports.clock.now_ms(), until_ms) else { return false };
        if wait_ms > 0 {
            ports.clock.sleep_ms(wait_ms).await;
        }
        true
    }

    /// A token that was not needed.
    pub(crate) fn give_back(&self) {
        self.state().bucket.give_back();
    }

    /// The jobs of a name. The compute counts this like a submission, or nearly.
    ///
    /// # Errors
    /// The compute's, other than `Throttled`.
    pub(crate) async fn find(&self, ports: &Ports, name: &str) -> Result<Seen> {
        match ports.compute.find(name).await {
            Ok(jobs) => Ok(Seen::Jobs(jobs)),
            Err(error) if error.kind == Kind::Throttled => {
                self.refused(ports.clock.now_ms());
                Ok(Seen::NoRoom(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Hands a job to the compute for a token that was taken, and again for others where the compute says that it was
    /// too fast, until `until_ms`.
    ///
    /// # Errors
    /// The compute's, other than `Throttled`. The job may have been submitted all the same.
    pub(crate) async fn submit(&self, ports: &Ports, job: &JobRequest, until_ms: i64) -> Result<Sent> {
        let mut round = 0;
        loop {
            let said = match ports.compute.submit(job).await {
                Ok(id) => {
                    self.went_well();
                    return Ok(Sent::Taken(id));
                }
                Err(error) if error.kind == Kind::Throttled => error,
                Err(error) => return Err(error),
            };
            let now_ms = ports.clock.now_ms();
            self.refused(now_ms);
            let pause_ms = pause_ms(&job.name, round);
            if now_ms.saturating_add_unsigned(pause_ms) > until_ms {
                return Ok(Sent::NoRoom(said));
            }
            ports.clock.sleep_ms(pause_ms).await;
            if !self.token(ports, until_ms).await {
                return Ok(Sent::NoRoom(said));
            }
            round += 1;
        }
    }
}

/// Makes a call up to `tries` times, with growing pauses, as long as it fails for a reason that may pass at once.
pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(
    ports: &Ports,
    name: &str,
    tries: u32,
    mut call: impl FnMut() -> F,
) -> Result<T> {
    let mut round = 0;
    loop {
        match call().await {
            Err(error) if round + 1 < tries && passes(error.kind) => {
                ports.clock.sleep_ms(pause_ms(name, round)).await;
                round += 1;
            }
            done => return done,
        }
    }
}

/// Whether trying again within the second has a chance.
pub(crate) fn passes(kind: Kind) -> bool {
    matches!(kind, Kind::Throttled | Kind::Offline | Kind::Conflict | Kind::Other)
}

fn pause_ms(name: &str, round: u32) -> u64 {
    let pause_ms = PAUSE_MS << round.min(5);
    pause_ms + hash(name) % pause_ms
}

/// How long to leave a message after an error, in milliseconds: the lease, doubled by every delivery, a quarter more or
/// less, at most 15 minutes. Five deliveries, after which a queue gives a message up, so outlast a service that
/// refuses everything for a minute. What a person has to mend first waits at least a minute.
pub(crate) fn backoff_ms(kind: Kind, name: &str, deliveries: u32, lease_ms: i64) -> i64 {
    let least = if kind.is_transient() || passes(kind) { 5_000 } else { 60_000 };
    spread_ms(lease_ms.max(least), name, deliveries.saturating_sub(1))
}

/// How long at least to leave what found no room, in milliseconds: 5 to 30 seconds, twice that once the compute has
/// refused it, and so on.
pub(crate) fn deferred_ms(name: &str, again: u32) -> i64 {
    let first = 5_000 + i64::try_from(hash(name) % 25_000).unwrap_or(0);
    first.saturating_mul(1 << again.min(8)).min(LONGEST_MS)
}

fn spread_ms(base_ms: i64, name: &str, doublings: u32) -> i64 {
    let doubled = base_ms.saturating_mul(1 << doublings.min(20)).min(LONGEST_MS);
    let part = i64::try_from(hash(name) % 500).unwrap_or(0);
    (doubled / 1_000 * (750 + part)).clamp(1_000, LONGEST_MS)
}

/// FNV-1a: enough to spread names evenly, and the same everywhere.
fn hash(name: &str) -> u64 {
    let mixed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed ^ (mixed >> 32)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A pacer that has found out that all is its own.
    fn settled(per_s: f64) -> Pacer {
        let pacer = Pacer::new(per_s);
        (0..1_000).for_each(|_| pacer.went_well());
        pacer
    }

    #[test]
    fn tokens_come_at_the_rate_and_nobody_jumps_the_queue() {
        let pacer = settled(10.0);
        assert_eq!(pacer.take(0, 0), Some(0));
        assert_eq!(pacer.take(0, 99), None, "the next is there after 100 ms");
        assert_eq!(pacer.take(0, 1_000), Some(100));
        assert_eq!(pacer.take(0, 1_000), Some(200));
        assert_eq!(pacer.take(100, 1_000), Some(200), "behind those who wait already");
        assert_eq!(pacer.take(60_000, 60_000), Some(0));
        assert_eq!(pacer.take(60_000, 60_000), None, "a pause saves up one token, not a minute's");
        assert_eq!(pacer.take(0, 1_000), Some(100), "a clock that was set back");
        assert!((0..999).all(|_| Pacer::new(f64::INFINITY).take(0, 0) == Some(0)));
        assert_eq!(Pacer::new(f64::NAN).take(0, 0), Some(0));
    }

    #[test]
    fn in_any_second_fewer_go_out_than_the_account_has() {
        let pacer = settled(45.0);
        let mut sent: Vec<i64> = Vec::new();
        for now_ms in 0..3_000 {
            let taken = std::iter::repeat_with(|| pacer.take(now_ms, now_ms)).take_while(Option::is_some);
            sent.extend(taken.map(|_| now_ms));
        }
        let within = |from: i64| sent.iter().filter(|at| (from..from + 1_000).contains(*at)).count();
        assert!((0..2_000).map(within).max() <= Some(50));
        assert!(sent.len() > 130, "{}", sent.len());
    }

    #[test]
    fn it_begins_slowly_gives_way_once_a_second_and_creeps_back() {
        let pacer = Pacer::new(40.0);
        let rate = || pacer.state().bucket.rate();
        assert!((rate() - 10.0).abs() < 1e-9);
        (0..100).for_each(|_| pacer.went_well());
        assert!((rate() - 40.0).abs() < 1e-9);
        (0..10).for_each(|ms| pacer.refused(ms));
        assert!((rate() - 28.0).abs() < 1e-9);
        pacer.went_well();
        assert!((rate() - 28.08).abs() < 1e-9, "it does not begin anew");
        (1..40).for_each(|s| pacer.refused(s * 2_000));
        assert!((rate() - SLOWEST).abs() < 1e-9);
        (0..500).for_each(|_| pacer.went_well());
        assert!((rate() - 40.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_left_gets_its_turns_one_after_another() {
        let pacer = settled(10.0);
        let turns: Vec<_> = (0..3).map(|_| pacer.turn_ms(1_000, 30)).collect();
        assert_eq!(turns, [2_000, 4_000, 6_000]);
        assert_eq!((pacer.congested(1_000), pacer.congested(3_000)), (true, false));
        assert_eq!(pacer.turn_ms(6_500, 3), 700, "time has passed");
        assert_eq!(pacer.turn_ms(6_500, u32::MAX), LONGEST_MS);
        assert_eq!(
            (pacer.congested(0), pacer.turn_ms(0, 10)),
            (false, LONGEST_MS),
            "a clock that was set back"
        );
        assert_eq!(Pacer::new(f64::INFINITY).turn_ms(5, 1_000), 0);
        assert_eq!((pacer.room(5_000), pacer.room(-1)), (50, 1));
        assert!(Pacer::new(f64::INFINITY).room(5_000) > 1_000_000);
    }

    #[test]
    fn delays_grow_end_growing_and_outlast_a_bad_minute() {
        let delay = |kind, deliveries| backoff_ms(kind, "x", deliveries, 10_000);
        let grown: Vec<_> = [0, 1, 2, 3, 4, 5, u32::MAX].map(|n| delay(Kind::Throttled, n)).into();
        assert!(grown.is_sorted() && grown[0] == grown[1] && grown[2] >= 15_000, "{grown:?}");
        assert!(grown[1..5].iter().sum::<i64>() > 100_000, "{grown:?}");
        assert!(grown[6] <= LONGEST_MS && delay(Kind::Denied, 1) >= 45_000);
        for name in ["a", "b", "20261121-063000-0123456789abcdef"] {
            assert!((5_000..30_000).contains(&deferred_ms(name, 0)));
            assert!(deferred_ms(name, 1) == 2 * deferred_ms(name, 0) && deferred_ms(name, 99) == LONGEST_MS);
        }
    }
}
