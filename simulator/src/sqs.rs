//! SQS, a standard queue: at least once, roughly in order, with visibility, delays, an in-flight cap and dead letters.
//!
//! Pure state: no latency and no future in here. A short poll sees only some of the queue's servers and so may come
//! back with fewer messages than there are, or none.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::task::Waker;

use fastrand::Rng;
use shepard_cloud::ports::Message;

use crate::quotas::Quotas;

/// Share of the messages that are taken out of their order.
const DISORDER: f64 = 0.05;

#[derive(Debug)]
struct Held {
    body: String,
    deliveries: u32,
    /// Which receipt counts; 0 before the first.
    receipt: u64,
    /// When it shows, while it is hidden.
    shows_us: u64,
    hidden: bool,
    in_flight: bool,
}

/// The queue and its dead letters.
#[derive(Debug)]
pub struct Sqs {
    slots: Vec<Option<Held>>,
    free: Vec<usize>,
    visible: VecDeque<usize>,
    hidden: BinaryHeap<Reverse<(u64, usize)>>,
    receipts: u64,
    max_deliveries: u32,
    sampled: f64,
    cap: usize,
    batch: usize,
    in_flight: usize,
    /// Most that were in flight at once.
    pub peak: usize,
    /// Messages put in.
    pub sent: u64,
    /// Messages deleted.
    pub deleted: u64,
    /// Bodies of those that were delivered too often.
    pub dead: Vec<String>,
    /// Long polls that wait for a message.
    waiting: BTreeMap<usize, Waker>,
}

impl Sqs {
    /// An empty queue that gives a message up after so many deliveries.
    pub fn new(quotas: &Quotas, max_deliveries: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            visible: VecDeque::new(),
            hidden: BinaryHeap::new(),
            receipts: 0,
            max_deliveries,
            sampled: quotas.sqs_sampled.value,
            cap: quotas.sqs_in_flight.value as usize,
            batch: quotas.sqs_batch.value as usize,
            in_flight: 0,
            peak: 0,
            sent: 0,
            deleted: 0,
            dead: Vec::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Puts a message in that shows at a moment.
    pub fn push(&mut self, body: String, shows_us: u64) {
        self.sent += 1;
        let held = Held { body, deliveries: 0, receipt: 0, shows_us, hidden: true, in_flight: false };
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(held);
        self.hide(slot, shows_us);
    }

    fn hide(&mut self, slot: usize, shows_us: u64) {
        let sooner = self.hidden.peek().is_none_or(|Reverse((first, _))| shows_us < *first);
        self.hidden.push(Reverse((shows_us, slot)));
        if sooner {
            std::mem::take(&mut self.waiting).into_values().for_each(Waker::wake);
        }
    }

    /// Wakes a poller when a message may be there sooner than [`Sqs::next_us`] said.
    pub fn wake(&mut self, poller: usize, waker: Waker) {
        self.waiting.insert(poller, waker);
    }

    /// A poller waits no longer.
    pub fn awake(&mut self, poller: usize) {
        self.waiting.remove(&poller);
    }

    /// When the next hidden message shows.
    pub fn next_us(&self) -> Option<u64> {
        self.hidden.peek().map(|Reverse((at, _))| *at)
    }

    fn show(&mut self, now_us: u64) {
        while let Some(Reverse((at, slot))) = self.hidden.peek().copied() {
            if at > now_us {
                return;
            }
            self.hidden.pop();
            let Some(held) = self.slots[slot].as_mut() else { continue };
            // It was hidden anew, or deleted and its slot used again: that has an entry of its own.
            if !held.hidden || held.shows_us != at {
                continue;
            }
            held.hidden = false;
            if std::mem::take(&mut held.in_flight) {
                self.in_flight -= 1;
            }
            self.visible.push_back(slot);
        }
    }

    /// Takes messages. None where too many are in flight.
    pub fn receive(
        &mut self,
        rng: &mut Rng,
        now_us: u64,
        max: usize,
        hide_us: u64,
        long: bool,
    ) -> Option<Vec<Message>> {
        self.show(now_us);
        if self.in_flight >= self.cap {
            return None;
        }
        let mut wanted = max.min(self.batch).min(self.cap - self.in_flight);
        if !long {
            let near = self.visible.len().min(wanted * 4);
            wanted = wanted.min((0..near).filter(|_| rng.f64() < self.sampled).count());
        }
        let mut taken = Vec::new();
        while taken.len() < wanted && !self.visible.is_empty() {
            if rng.f64() < DISORDER {
                let other = rng.usize(..self.visible.len());
                self.visible.swap(0, other);
            }
            let Some(slot) = self.visible.pop_front() else { break };
            let Some(held) = self.slots[slot].as_mut() else { continue };
            if held.deliveries >= self.max_deliveries {
                if let Some(held) = self.slots[slot].take() {
                    self.dead.push(held.body);
                }
                self.free.push(slot);
                continue;
            }
            self.receipts += 1;
            held.deliveries += 1;
            held.receipt = self.receipts;
            (held.hidden, held.in_flight, held.shows_us) = (true, true, now_us + hide_us);
            taken.push(Message {
                receipt: format!("{slot}.{}", held.receipt),
                body: held.body.clone(),
                deliveries: held.deliveries,
            });
            self.in_flight += 1;
            self.hide(slot, now_us + hide_us);
        }
        self.peak = self.peak.max(self.in_flight);
        Some(taken)
    }

    fn held(&mut self, receipt: &str) -> Option<(usize, &mut Held)> {
        let (slot, number) = receipt.split_once('.')?;
        let (slot, number) = (slot.parse::<usize>().ok()?, number.parse::<u64>().ok()?);
        let held = self.slots.get_mut(slot)?.as_mut()?;
        // After the message showed again the old receipt no longer deletes it.
        (held.receipt == number && held.in_flight).then_some((slot, held))
    }

    /// Deletes a message, if the receipt still holds.
    pub fn delete(&mut self, receipt: &str, now_us: u64) {
        self.show(now_us);
        let Some((slot, _)) = self.held(receipt) else { return };
        self.slots[slot] = None;
        self.free.push(slot);
        self.in_flight -= 1;
        self.deleted += 1;
    }

    /// Hides a message anew, if the receipt still holds. It stays in flight until it shows.
    pub fn release(&mut self, receipt: &str, now_us: u64, after_us: u64) {
        self.show(now_us);
        let Some((slot, held)) = self.held(receipt) else { return };
        held.shows_us = now_us + after_us;
        self.hide(slot, now_us + after_us);
    }

    /// Messages that are visible, in flight or delayed.
    pub fn left(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Visible and in flight.
    pub fn depth(&mut self, now_us: u64) -> (usize, usize) {
        self.show(now_us);
        (self.visible.len(), self.left() - self.visible.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (Sqs, Rng) {
        (Sqs::new(&Quotas::built_in().unwrap(), 3), Rng::with_seed(1))
    }

    #[test]
    fn what_is_not_deleted_comes_back_until_it_is_given_up() {
        let (mut sqs, mut rng) = queue();
        sqs.push("a".into(), 5);
        assert_eq!(sqs.receive(&mut rng, 0, 10, 100, true).unwrap(), []);
        let mut now = 5;
        for delivery in 1..=3 {
            let taken = sqs.receive(&mut rng, now, 10, 100, true).unwrap();
            assert_eq!((taken.len(), taken[0].deliveries), (1, delivery));
            assert_eq!(sqs.receive(&mut rng, now + 99, 10, 100, true).unwrap(), []);
            now += 100;
        }
        assert_eq!(sqs.receive(&mut rng, now, 10, 100, true).unwrap(), []);
        assert_eq!((sqs.dead.len(), sqs.left()), (1, 0));
    }

    #[test]
    fn an_old_receipt_deletes_nothing_and_a_new_one_does() {
        let (mut sqs, mut rng) = queue();
        sqs.push("a".into(), 0);
        let old = sqs.receive(&mut rng, 0, 10, 100, true).unwrap().remove(0).receipt;
        sqs.delete(&old, 100);
        assert_eq!(sqs.left(), 1);
        let new = sqs.receive(&mut rng, 100, 10, 100, true).unwrap().remove(0).receipt;
        sqs.release(&new, 110, 500);
        assert_eq!(sqs.receive(&mut rng, 300, 10, 100, true).unwrap(), []);
        sqs.delete(&new, 300);
        assert_eq!((sqs.left(), sqs.deleted), (0, 1));
        sqs.push("b".into(), 0);
        assert_eq!(sqs.receive(&mut rng, 700, 10, 100, true).unwrap().len(), 1);
    }

    #[test]
    fn a_short_poll_may_miss_messages_and_a_full_flight_refuses() {
        let (mut sqs, mut rng) = queue();
        sqs.cap = 15;
        (0..30).for_each(|n| sqs.push(n.to_string(), 0));
        let first = sqs.receive(&mut rng, 0, 100, 1_000, false).unwrap().len();
        assert!((1..=10).contains(&first));
        while sqs.receive(&mut rng, 0, 10, 1_000, false).is_some() {}
        assert_eq!((sqs.in_flight, sqs.peak), (15, 15));
        let mut small = queue();
        small.0.push("a".into(), 0);
        let missed = (0..50).filter(|_| small.0.receive(&mut small.1, 0, 10, 0, false).unwrap().is_empty());
        assert!(missed.count() > 0);
    }
}
