//! One thread, virtual time: tasks are polled in the order in which they became ready, and when none is, the clock
//! jumps to the next timer.
//!
//! Nothing here reads a real clock, starts a thread or keeps an order that a hash decides: the same program with the
//! same seed takes the same steps. Microseconds throughout.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// What a task is.
type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A moment at which somebody wants to be woken: when, which sleep it was in order, and where its waker lies.
type Timer = Reverse<(u64, u64, usize)>;

/// Who waits for a timer. Its place is free again when the timer has fired and the sleep is gone.
enum Sleeper {
    Waiting(Waker),
    Fired,
    Dropped,
}

#[derive(Default)]
struct Inner {
    now_us: u64,
    number: u64,
    timers: BinaryHeap<Timer>,
    sleepers: Vec<Sleeper>,
    free: Vec<usize>,
    ready: VecDeque<usize>,
    spawned: Vec<Job>,
    stopped: bool,
}

/// The virtual clock; cheap to clone, and all that a task needs of the executor.
#[derive(Clone, Default)]
pub struct Time(Arc<Mutex<Inner>>);

impl Time {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the run began.
    pub fn now_us(&self) -> u64 {
        self.inner().now_us
    }

    /// Waits for so many microseconds; 0 lets the other ready tasks go first.
    pub fn sleep(&self, duration_us: u64) -> Sleep {
        self.until(self.now_us().saturating_add(duration_us))
    }

    /// Waits until a moment.
    pub fn until(&self, at_us: u64) -> Sleep {
        Sleep { time: self.clone(), at_us, slot: None }
    }

    /// Starts a task beside the others.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner().spawned.push(Box::pin(task));
    }

    /// Ends the run: [`run`] returns before another task is polled, and drops them all.
    pub fn stop(&self) {
        self.inner().stopped = true;
    }
}

/// What [`Time::sleep`] gives.
pub struct Sleep {
    time: Time,
    at_us: u64,
    /// Its place among the sleepers, from its first poll until its time has come.
    slot: Option<usize>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = self.time.clone();
        let mut inner = time.inner();
        match self.slot {
            Some(slot) if matches!(inner.sleepers[slot], Sleeper::Fired) => {
                self.slot = None;
                inner.free.push(slot);
                return Poll::Ready(());
            }
            // Woken for another reason: it has a timer already, and a second would wake for ever.
            Some(slot) => inner.sleepers[slot] = Sleeper::Waiting(context.waker().clone()),
            // Also where its time has come: a sleep of 0 gives way once.
            None => {
                let waiting = Sleeper::Waiting(context.waker().clone());
                let slot = match inner.free.pop() {
                    Some(slot) => {
                        inner.sleepers[slot] = waiting;
                        slot
                    }
                    None => {
                        inner.sleepers.push(waiting);
                        inner.sleepers.len() - 1
                    }
                };
                let at_us = self.at_us.max(inner.now_us);
                let number = inner.number;
                inner.number += 1;
                inner.timers.push(Reverse((at_us, number, slot)));
                self.slot = Some(slot);
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        let mut inner = self.time.inner();
        match inner.sleepers[slot] {
            Sleeper::Fired => inner.free.push(slot),
            _ => inner.sleepers[slot] = Sleeper::Dropped,
        }
    }
}

struct Task {
    index: usize,
    time: Time,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.time.inner().ready.push_back(self.index);
    }
}

/// Runs a first task and all that it starts, until [`Time::stop`] is called, nothing is left, or nothing can go on.
/// True if it was stopped.
pub fn run(time: &Time, first: impl Future<Output = ()> + Send + 'static) -> bool {
    time.spawn(first);
    let mut tasks: Vec<Option<(Job, Waker)>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    loop {
        let next = {
            let mut inner = time.inner();
            if inner.stopped {
                return true;
            }
            for job in std::mem::take(&mut inner.spawned) {
                let index = free.pop().unwrap_or(tasks.len());
                let waker = Waker::from(Arc::new(Task { index, time: time.clone() }));
                if index == tasks.len() {
                    tasks.push(None);
                }
                tasks[index] = Some((job, waker));
                inner.ready.push_back(index);
            }
            match inner.ready.pop_front() {
                Some(index) => Ok(index),
                None => match inner.timers.pop() {
                    Some(Reverse((at_us, _, slot))) => {
                        match std::mem::replace(&mut inner.sleepers[slot], Sleeper::Fired) {
                            Sleeper::Waiting(waker) => {
                                inner.now_us = inner.now_us.max(at_us);
                                Err(waker)
                            }
                            // Nobody waits: the clock need not stop here.
                            Sleeper::Fired | Sleeper::Dropped => {
                                inner.free.push(slot);
                                continue;
                            }
                        }
                    }
                    None => return false,
                },
            }
        };
        match next {
            // A late waker of a task that has ended may wake the one that took its place; that is a needless poll.
            Ok(index) => {
                let Some((job, waker)) = tasks.get_mut(index).and_then(Option::as_mut) else { continue };
                if job.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
                    tasks[index] = None;
                    free.push(index);
                }
            }
            Err(waker) => waker.wake(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_meet_in_the_order_of_their_time() {
        let time = Time::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (clock, log) = (time.clone(), seen.clone());
        let stopped = run(&time, async move {
            for (name, wait) in [("c", 30), ("a", 10), ("b", 20), ("b2", 20)] {
                let (inner, log) = (clock.clone(), log.clone());
                clock.spawn(async move {
                    inner.sleep(wait).await;
                    log.lock().unwrap().push((name, inner.now_us()));
                });
            }
            clock.sleep(1_000_000).await;
        });
        assert!(!stopped);
        assert_eq!(*seen.lock().unwrap(), [("a", 10), ("b", 20), ("b2", 20), ("c", 30)]);
        assert_eq!(time.now_us(), 1_000_000);
    }

    #[test]
    fn stop_drops_what_still_waits() {
        let time = Time::default();
        let held = Arc::new(());
        let (clock, kept) = (time.clone(), held.clone());
        assert!(run(&time, async move {
            let _kept = kept;
            let other = clock.clone();
            clock.spawn(async move { other.stop() });
            clock.sleep(u64::MAX / 2).await;
        }));
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(time.now_us(), 0);
    }
}
