//! Lambda: the event source mapping with its pollers, the instances of the function, and the reconciliation's schedule.
//!
//! A poller waits for messages, invokes the function with up to ten of them, and deletes those that the function does
//! not hand back; the next batch follows. Five pollers at first, more every minute while messages remain, never more
//! than the mapping's maximum. An instance that crashes or runs out of time is gone, and its messages come back when
//! their visibility ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use shepard_cloud::ports::Message;
use shepard_lambdas::{ReconcileSettings, Scheduler, SchedulerSettings, Window, reconcile};

use crate::site::Site;
use crate::world::World;

/// How long the reconciliation may take, in seconds: the longest that Lambda allows.
const RECONCILE_S: u64 = 900;

/// How often it crashes at a call, as a part of the run's rate: it makes hundreds of calls, and has to reach its end
/// now and then.
const RECONCILE_CRASHES: f64 = 0.05;
/// Age at which an upload without a row is taken for lost, in milliseconds.
const LOST_MS: i64 = 900_000;

/// An instance of the function and what it keeps between invocations.
struct Instance {
    site: Arc<Site>,
    scheduler: Scheduler,
}

/// The mapping.
pub struct Mapping {
    world: Arc<World>,
    warm: Mutex<Vec<Instance>>,
    pollers: Mutex<Pollers>,
}

struct Pollers {
    running: usize,
    least: usize,
    most: usize,
    grown_us: u64,
    started: usize,
}

impl Mapping {
    /// Starts the first pollers.
    pub fn start(world: &Arc<World>) {
        let least = {
            let state = world.state();
            (state.quotas.lambda_pollers.value as usize).min(state.options.stack.concurrency)
        };
        let most = world.state().options.stack.concurrency;
        let pollers = Pollers { running: least, least, most, grown_us: 0, started: 0 };
        let mapping =
            Arc::new(Self { world: world.clone(), warm: Mutex::default(), pollers: Mutex::new(pollers) });
        (0..least).for_each(|_| mapping.clone().spawn());
    }

    fn spawn(self: Arc<Self>) {
        let world = self.world.clone();
        let poller = {
            let mut pollers = self.pollers();
            pollers.started += 1;
            pollers.started
        };
        world.time.spawn(async move { self.poll(poller).await });
    }

    fn pollers(&self) -> std::sync::MutexGuard<'_, Pollers> {
        self.pollers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn poll(self: Arc<Self>, poller: usize) {
        loop {
            let messages = self.long_poll(poller).await;
            if messages.is_empty() {
                let mut pollers = self.pollers();
                if pollers.running > pollers.least {
                    pollers.running -= 1;
                    return;
                }
                continue;
            }
            self.grow();
            let receipts: Vec<String> = messages.iter().map(|message| message.receipt.clone()).collect();
            let Some(failed) = self.invoke(messages).await else { continue };
            let done: Vec<String> = receipts.into_iter().filter(|one| !failed.contains(one)).collect();
            if !done.is_empty() {
                self.delete(&done).await;
            }
        }
    }

    /// More pollers, while messages remain.
    fn grow(self: &Arc<Self>) {
        let now_us = self.world.time.now_us();
        let per_s = {
            let mut state = self.world.state();
            let (waiting, _) = state.sqs.depth(now_us);
            if waiting == 0 { 0.0 } else { state.quotas.lambda_growth.value / 60.0 }
        };
        let more = {
            let mut pollers = self.pollers();
            let since_s = now_us.saturating_sub(pollers.grown_us) as f64 / 1e6;
            if since_s < 1.0 {
                return;
            }
            // A mapping that was idle does not save up.
            let more = (per_s * since_s.min(2.0)) as usize;
            let more = more.min(pollers.most.saturating_sub(pollers.running));
            pollers.grown_us = now_us;
            pollers.running += more;
            more
        };
        (0..more).for_each(|_| self.clone().spawn());
    }

    /// One ReceiveMessage that waits for messages.
    async fn long_poll(&self, poller: usize) -> Vec<Message> {
        let world = &self.world;
        let (back_us, hide_us, until_us) = {
            let mut state = world.state();
            *state.calls.entry("sqs:ReceiveMessage").or_default() += 1;
            let median = state.quotas.sqs_ms.clone();
            let wait_us = (state.quotas.sqs_poll_s.value * 1e6) as u64;
            let hide_us = u64::from(state.options.stack.visibility_s) * 1_000_000;
            (state.spread(&median), hide_us, world.time.now_us() + wait_us)
        };
        world.time.sleep(back_us / 2).await;
        loop {
            let now_us = world.time.now_us();
            let (taken, next_us) = {
                let mut state = world.state();
                let batch = state.quotas.sqs_batch.value as usize;
                let crate::world::State { sqs, rng, .. } = &mut *state;
                let taken = sqs.receive(rng, now_us, batch, hide_us, true);
                (taken, sqs.next_us())
            };
            // Too many in flight: a long poll then waits as if there were none.
            let full = taken.is_none();
            if let Some(messages) = taken.filter(|messages| !messages.is_empty()) {
                world.time.sleep(back_us / 2).await;
                return messages;
            }
            if now_us >= until_us {
                return Vec::new();
            }
            let next_us = if full { now_us + 1_000_000 } else { next_us.unwrap_or(until_us).max(now_us + 1) };
            self.wait(poller, next_us.min(until_us)).await;
        }
    }

    /// Waits until a moment or until a message may be there.
    async fn wait(&self, poller: usize, at_us: u64) {
        let mut sleep = self.world.time.until(at_us);
        let mut asked = false;
        std::future::poll_fn(|context| {
            if asked {
                self.world.state().sqs.awake(poller);
                return Poll::Ready(());
            }
            asked = true;
            self.world.state().sqs.wake(poller, context.waker().clone());
            // Its answer is nothing new: whichever comes first wakes this.
            let _ = Pin::new(&mut sleep).poll(context);
            Poll::Pending
        })
        .await;
    }

    async fn delete(&self, receipts: &[String]) {
        for receipts in receipts.chunks(10) {
            let latency_us = {
                let mut state = self.world.state();
                *state.calls.entry("sqs:DeleteMessageBatch").or_default() += 1;
                let median = state.quotas.sqs_ms.clone();
                state.spread(&median)
            };
            self.world.time.sleep(latency_us).await;
            let now_us = self.world.time.now_us();
            let mut state = self.world.state();
            receipts.iter().for_each(|receipt| state.sqs.delete(receipt, now_us));
        }
    }

    /// Invokes the function; gives the receipts that it hands back. None: it did not live to answer.
    async fn invoke(&self, messages: Vec<Message>) -> Option<Vec<String>> {
        let warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (start_us, timeout_us, name) = {
            let mut state = self.world.state();
            state.invocations.0 += 1;
            state.invocations.1 = state.invocations.1.max(state.invocations.0);
            let median = match &warm {
                Some(_) => state.quotas.lambda_warm_ms.clone(),
                None => {
                    state.cold_starts += 1;
                    state.quotas.lambda_cold_ms.clone()
                }
            };
            let timeout_us = u64::from(state.options.stack.timeout_s) * 1_000_000;
            (state.spread(&median), timeout_us, format!("i{}", state.cold_starts))
        };
        self.world.time.sleep(start_us).await;
        let instance = warm.unwrap_or_else(|| instance(&self.world, &name));
        let work = instance.scheduler.invoke(messages);
        let answer = survive(&self.world, &instance.site, timeout_us, work).await;
        let mut state = self.world.state();
        state.invocations.0 -= 1;
        if answer.is_none() {
            state.crashes += 1;
        } else {
            self.warm.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
        }
        drop(state);
        answer.map(|invoked| invoked.failed)
    }
}

fn instance(world: &Arc<World>, name: &str) -> Instance {
    let site = Site::instance(world, 1.0);
    let options = world.state().options.clone();
    let settings = SchedulerSettings {
        concurrency: options.stack.reads,
        hide_ms: i64::from(options.stack.hide_s) * 1_000,
        lease_ms: i64::from(options.stack.lease_s) * 1_000,
        submits_per_s: options.stack.submits_per_s,
        arrays: options.arrays,
        pack: options.pack,
        instance: name.to_owned(),
        ..SchedulerSettings::default()
    };
    Instance { scheduler: Scheduler::new(site.ports(), settings), site }
}

/// Runs something until it ends, its instance dies, or time is up. Then it is dropped where it stands.
async fn survive<T>(
    world: &World,
    site: &Site,
    timeout_us: u64,
    work: impl Future<Output = T> + Send,
) -> Option<T> {
    let mut work = Box::pin(work);
    let mut timeout = world.time.sleep(timeout_us);
    std::future::poll_fn(|context| {
        let answer = work.as_mut().poll(context);
        if site.crashed() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(answer) = answer {
            return Poll::Ready(Some(answer));
        }
        Pin::new(&mut timeout).poll(context).map(|()| None)
    })
    .await
}

/// Runs the reconciliation on its schedule, for ever.
pub async fn reconcile_again_and_again(world: Arc<World>) {
    let every_us = u64::from(world.state().options.stack.reconcile_s) * 1_000_000;
    loop {
        world.time.sleep(every_us).await;
        reconcile_once(&world, false).await;
    }
}

/// Runs the reconciliation once. A calm one does not crash.
pub async fn reconcile_once(world: &Arc<World>, calm: bool) {
    let site = Site::instance(world, if calm { 0.0 } else { RECONCILE_CRASHES });
    let options = world.state().options.clone();
    let window = Window { older_than_ms: LOST_MS, younger_than_ms: i64::MAX, at_most: 1_000 };
    let settings = ReconcileSettings {
        grace_ms: i64::from(options.stack.lease_s) * 1_000,
        lost_uploads: (options.lost_notification_rate > 0.0).then_some(window),
        ..ReconcileSettings::default()
    };
    let work = async {
        let ports = site.ports();
        reconcile(&ports, settings).await
    };
    if survive(world, &site, RECONCILE_S * 1_000_000, work).await.is_none() {
        world.state().crashes += 1;
    }
}
