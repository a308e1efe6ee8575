//! How fast this program asks AWS: one bucket of tokens for each operation that has a limit, shared by all clients of an
//! account.
//!
//! The services' limits are the account's, so others have their share of them: whoever is refused as too fast slows down
//! and creeps back, and what is slowed can be shown ([`slowed`]). What a person is looking at goes first: the rest is
//! marked with [`background`] and gets what the others leave, or its turn after a while.
//!
//! Only a program that asks for it is paced ([`limit`]), before it makes its first client. Functions and workers are not:
//! the scheduler has a pace of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::bucket::Bucket;
use crate::ports::{Clock, WallClock};

/// A service as signatures name it, the operation or `*`, and how many calls a second. The first line that fits counts.
///
/// CloudWatch Logs: quotas page of the user guide, as in design/throughput.md of 2026-11; GetLogEvents is 10 in every
/// region but two with more. The others have no published rate, or one far above what a console needs: there these are
/// what is polite, and the service says when it is too much.
const LIMITS: [(&str, &str, f64); 17] = [
    ("logs", "GetLogEvents", 10.0),
    ("logs", "FilterLogEvents", 5.0),
    ("logs", "DescribeLogStreams", 5.0),
    ("logs", "*", 5.0),
    ("cloudformation", "*", 5.0),
    // 50 a second is the account's; its schedulers need them more (AWS Batch service quotas, 2026-11).
    ("batch", "submitjob", 10.0),
    ("batch", "*", 20.0),
    ("dynamodb", "DescribeTable", 5.0),
    ("dynamodb", "DescribeStream", 5.0),
    ("dynamodb", "*", 200.0),
    ("lambda", "*", 10.0),
    ("sqs", "*", 100.0),
    ("ec2", "*", 20.0),
    ("sts", "*", 20.0),
    ("ecr", "*", 20.0),
    ("secretsmanager", "*", 20.0),
    ("iam", "*", 5.0),
];
/// Slowest that refusals make it, in calls a second.
const SLOWEST: f64 = 0.2;
/// What may go out at once after a pause, as a part of a second's tokens: a screen that opens asks several things.
const BURST: f64 = 0.5;
/// Milliseconds after which work in the background has its turn like any other.
const PATIENCE_MS: i64 = 10_000;
/// Longest wait of work in the background between two looks for a token, in milliseconds.
const LOOK_MS: u64 = 250;

static PACED: AtomicBool = AtomicBool::new(false);
static PACE: LazyLock<Arc<Pace>> = LazyLock::new(|| Arc::new(Pace::new(Arc::new(WallClock))));

tokio::task_local! {
    static BACKGROUND: ();
}

/// Marks what is done in `work` as less urgent than what is not marked. Tasks that it spawns are not marked.
pub fn background<F: Future>(work: F) -> impl Future<Output = F::Output> {
    BACKGROUND.scope((), work)
}

/// Whether the current task is marked as [`background`].
pub fn is_background() -> bool {
    BACKGROUND.try_with(|()| ()).is_ok()
}

/// Paces every client that this process makes from now on.
pub fn limit() {
    PACED.store(true, Ordering::Relaxed);
}

/// The process's own pace, where it wants one.
pub(crate) fn shared() -> Option<Arc<Pace>> {
    PACED.load(Ordering::Relaxed).then(|| Arc::clone(&PACE))
}

/// What is asked more slowly than it might be, because a service said that it was too fast; empty where nothing is.
pub fn slowed() -> Vec<Slowed> {
    PACE.slowed()
}

/// An operation that is slowed down.
#[derive(Debug, Clone, PartialEq)]
pub struct Slowed {
    /// Profile and region that it is asked in.
    pub account: String,
    /// The service: `logs`.
    pub service: String,
    /// The operation; `*` where the service's operations share a pace.
    pub operation: String,
    /// Calls a second, now.
    pub per_second: f64,
    /// Calls a second at most.
    pub most: f64,
}

/// What a call is counted as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Profile and region.
    pub(crate) account: String,
    /// The service as signatures name it.
    pub(crate) service: String,
    /// The operation, or the limit that it falls under.
    pub(crate) operation: String,
}

/// The buckets of a process.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    buckets: Mutex<BTreeMap<Key, State>>,
}

struct State {
    bucket: Bucket,
    most: f64,
    /// Urgent calls that wait for a token.
    urgent: u32,
}

/// Counts an urgent call that waits, also one that is dropped while it does.
struct Waiting<'a>(&'a Pace, &'a Key);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.with(self.1, |state| state.urgent = state.urgent.saturating_sub(1));
    }
}

impl Pace {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, buckets: Mutex::new(BTreeMap::new()) }
    }

    /// What a call is counted as; None where it has no limit.
    pub(crate) fn key(account: &str, service: &str, operation: &str) -> Option<Key> {
        let fits =
            |(of, what, _): &&(&str, &str, f64)| *of == service && (*what == operation || *what == "*");
        let (_, operation, _) = LIMITS.iter().find(fits)?;
        let [account, service, operation] = [account, service, operation].map(str::to_owned);
        Some(Key { account, service, operation })
    }

    /// Waits for the turn of a call.
    pub(crate) async fn turn(&self, key: &Key) {
        let (begun_ms, background) = (self.clock.now_ms(), is_background());
        loop {
            let now_ms = self.clock.now_ms();
            if !background || now_ms - begun_ms >= PATIENCE_MS {
                let wait_ms = self.with(key, |state| {
                    state.urgent += 1;
                    state.bucket.take(now_ms, i64::MAX).unwrap_or(0)
                });
                let _waiting = Waiting(self, key);
                if wait_ms > 0 {
                    self.clock.sleep_ms(wait_ms).await;
                }
                return;
            }
            // Only a token that is there and that nobody else waits for.
            let (taken, each_ms) = self.with(key, |state| {
                let taken = state.urgent == 0 && state.bucket.take(now_ms, now_ms).is_some();
                (taken, std::time::Duration::from_secs_f64(1.0 / state.bucket.rate()))
            });
            if taken {
                return;
            }
            let each_ms = u64::try_from(each_ms.as_millis()).unwrap_or(LOOK_MS);
            self.clock.sleep_ms(each_ms.clamp(1, LOOK_MS)).await;
        }
    }

    /// What came of a call: whether it was refused as too fast.
    pub(crate) fn answered(&self, key: &Key, refused: bool) {
        let now_ms = self.clock.now_ms();
        self.with(key, |state| if refused { state.bucket.refused(now_ms) } else { state.bucket.went_well() });
    }

    pub(crate) fn slowed(&self) -> Vec<Slowed> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let slow = buckets.iter().filter(|(_, state)| state.bucket.is_slowed());
        slow.map(|(key, state)| Slowed {
            account: key.account.clone(),
            service: key.service.clone(),
            operation: key.operation.clone(),
            per_second: state.bucket.rate(),
            most: state.most,
        })
        .collect()
    }

    fn with<T>(&self, key: &Key, act: impl FnOnce(&mut State) -> T) -> T {
        // No code between lock and unlock can panic.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let state = buckets.entry(key.clone()).or_insert_with(|| {
            let is = |(service, operation, _): &&(&str, &str, f64)| {
                *service == key.service && *operation == key.operation
            };
            let most = LIMITS.iter().find(is).map_or(f64::INFINITY, |limit| limit.2);
            State { bucket: Bucket::new(most, SLOWEST, most, BURST), most, urgent: 0 }
        });
        act(state)
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use async_trait::async_trait;

    use super::*;

    /// A clock that the waits move, each in its turn.
    #[derive(Default)]
    struct Moved(AtomicI64);

    #[async_trait]
    impl Clock for Moved {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
        async fn sleep_ms(&self, duration_ms: u64) {
            let until = self.now_ms() + i64::try_from(duration_ms).unwrap();
            tokio::task::yield_now().await;
            self.0.fetch_max(until, Ordering::SeqCst);
        }
    }

    fn pace() -> (Pace, Arc<Moved>, Key) {
        let clock = Arc::new(Moved::default());
        let key = Pace::key("p/eu-west-1", "logs", "GetLogEvents").unwrap();
        (Pace::new(Arc::clone(&clock) as Arc<dyn Clock>), clock, key)
    }

    #[test]
    fn every_operation_has_its_own_limit_or_its_services() {
        let limit = |service, operation| Pace::key("a", service, operation).map(|key| key.operation);
        assert_eq!(limit("logs", "GetLogEvents").as_deref(), Some("GetLogEvents"));
        assert_eq!(limit("logs", "DescribeLogGroups").as_deref(), Some("*"));
        assert_eq!(limit("s3", "GetObject"), None);
    }

    #[tokio::test]
    async fn the_limit_is_kept_and_accounts_are_apart() {
        let (pace, clock, key) = pace();
        for _ in 0..105 {
            pace.turn(&key).await;
        }
        // Five at once, then ten a second.
        assert_eq!(clock.now_ms(), 10_000);
        pace.turn(&Key { account: "other".into(), ..key.clone() }).await;
        assert_eq!(clock.now_ms(), 10_000);
    }

    #[tokio::test]
    async fn what_is_looked_at_goes_first_and_the_rest_has_its_turn_in_the_end() {
        let (pace, clock, key) = pace();
        for _ in 0..5 {
            pace.turn(&key).await;
        }
        let done = Mutex::new(Vec::new());
        let urgent = async {
            for n in 0..150 {
                pace.turn(&key).await;
                done.lock().unwrap().push((n, clock.now_ms()));
            }
        };
        let late = async {
            pace.turn(&key).await;
            done.lock().unwrap().push((1_000, clock.now_ms()));
        };
        tokio::join!(background(late), urgent);
        let done = done.into_inner().unwrap();
        let (_, at_ms) = *done.iter().find(|(n, _)| *n == 1_000).unwrap();
        assert!((PATIENCE_MS..PATIENCE_MS + 1_000).contains(&at_ms), "{at_ms}");
        // Where nobody else asks it waits for nothing.
        let before_ms = clock.now_ms() + 1_000;
        clock.sleep_ms(1_000).await;
        background(pace.turn(&key)).await;
        assert_eq!(clock.now_ms(), before_ms);
    }

    #[tokio::test]
    async fn a_refusal_slows_down_says_so_and_passes() {
        let (pace, clock, key) = pace();
        assert_eq!(pace.slowed(), []);
        pace.turn(&key).await;
        pace.answered(&key, true);
        pace.answered(&key, true);
        let slowed = pace.slowed();
        assert_eq!((slowed.len(), slowed[0].service.as_str()), (1, "logs"));
        assert!((slowed[0].per_second - 7.0).abs() < 1e-9, "refusals of one moment are one: {slowed:?}");
        for _ in 0..60 {
            clock.sleep_ms(2_000).await;
            pace.answered(&key, true);
        }
        assert!((pace.slowed()[0].per_second - SLOWEST).abs() < 1e-9);
        for _ in 0..1_000 {
            pace.answered(&key, false);
        }
        assert_eq!(pace.slowed(), []);
    }
}
