//! The queue: at least once, one receiver at a time, and an end to what cannot be handled.

use std::collections::HashMap;

use shepard_cloud::ports::{Message, Redrive};

use crate::Subject;

/// How long a message stays hidden, and a wait that outlasts it. Whole seconds, as SQS counts them.
const HIDE_MS: i64 = 2_000;
const OUTLAST_MS: u64 = 3_000;
/// Longer than any case.
const LONG_MS: i64 = 600_000;

async fn send(subject: &Subject, bodies: &[&str]) {
    let bodies: Vec<_> = bodies.iter().map(|body| (*body).to_owned()).collect();
    subject.ports.queue.send(&bodies, 0).await.expect("send");
}

/// The one message there is.
async fn one(subject: &Subject, hide_ms: i64) -> Message {
    for _ in 0..20 {
        let mut messages = subject.ports.queue.receive(1, hide_ms).await.expect("receive");
        assert!(messages.len() <= 1, "asked for one");
        if let Some(message) = messages.pop() {
            return message;
        }
        subject.ports.clock.sleep_ms(500).await;
    }
    panic!("no message came");
}

async fn nothing(subject: &Subject) {
    let messages = subject.ports.queue.receive(10, LONG_MS).await.expect("receive");
    assert!(messages.is_empty(), "{messages:?}");
}

pub(crate) async fn a_message_is_delivered_until_it_is_deleted(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    nothing(&subject).await;
    let body = "{\"key\":\"ä b\"}\n";
    send(&subject, &[body]).await;
    let first = one(&subject, HIDE_MS).await;
    assert_eq!((first.body.as_str(), first.deliveries), (body, 1));
    nothing(&subject).await;
    subject.ports.clock.sleep_ms(OUTLAST_MS).await;
    let second = one(&subject, HIDE_MS).await;
    assert_eq!((second.body.as_str(), second.deliveries), (body, 2));
    subject.ports.queue.delete(&[second.receipt]).await.expect("delete");
    subject.ports.clock.sleep_ms(OUTLAST_MS).await;
    nothing(&subject).await;
}

/// A message that came twice: its first receipt, which is too late, and its second.
async fn overtaken(subject: &Subject) -> (Message, Message) {
    send(subject, &["a"]).await;
    let first = one(subject, HIDE_MS).await;
    subject.ports.clock.sleep_ms(OUTLAST_MS).await;
    let second = one(subject, LONG_MS).await;
    assert_ne!(first.receipt, second.receipt);
    (first, second)
}

pub(crate) async fn a_late_release_is_harmless(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let (first, _) = overtaken(&subject).await;
    // The first receiver wakes up late. Its release must not give the message to a third.
    subject.ports.queue.release(&first.receipt, 0).await.ok();
    nothing(&subject).await;
}

pub(crate) async fn a_late_delete_is_no_error(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let (first, second) = overtaken(&subject).await;
    subject.ports.queue.delete(std::slice::from_ref(&second.receipt)).await.expect("delete");
    subject.ports.queue.release(&second.receipt, 0).await.ok();
    subject.ports.queue.delete(&[second.receipt, first.receipt]).await.expect("again is no error");
    nothing(&subject).await;
}

pub(crate) async fn a_release_delays(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    send(&subject, &["a"]).await;
    let first = one(&subject, LONG_MS).await;
    subject.ports.queue.release(&first.receipt, HIDE_MS).await.expect("release");
    nothing(&subject).await;
    subject.ports.clock.sleep_ms(OUTLAST_MS).await;
    let second = one(&subject, LONG_MS).await;
    assert_eq!((second.body.as_str(), second.deliveries), ("a", 2));
    subject.ports.queue.release(&second.receipt, 0).await.expect("release");
    assert_eq!(one(&subject, LONG_MS).await.deliveries, 3, "at once, where no delay is asked for");
}

pub(crate) async fn dead_letters_and_back(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    send(&subject, &["poison"]).await;
    let mut deliveries = Vec::new();
    for _ in 0..40 {
        for message in subject.ports.queue.receive(10, HIDE_MS).await.expect("receive") {
            deliveries.push(message.deliveries);
        }
        subject.ports.clock.sleep_ms(OUTLAST_MS).await;
        if subject.ports.queue.depth().await.expect("depth").dead == 1 {
            break;
        }
    }
    let wanted: Vec<u32> = (1..=u32::try_from(deliveries.len()).expect("few")).collect();
    assert_eq!(deliveries, wanted, "each delivery counts one more");
    assert!((2..40).contains(&deliveries.len()), "given up on in the end, but not at once: {deliveries:?}");
    nothing(&subject).await;
    assert_eq!(subject.ports.queue.redrive().await.expect("redrive"), 1);
    assert_eq!(one(&subject, LONG_MS).await.body, "poison");
    subject
        .eventually("no dead letter", async || subject.ports.queue.depth().await.expect("depth").dead == 0)
        .await;
}

/// Dead letters move back step by step, and the steps come to an end.
pub(crate) async fn dead_letters_step_by_step(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let queue = &subject.ports.queue;
    let none = queue.redrive_step(Redrive::default()).await.expect("redrive");
    assert_eq!((none.moved, none.done), (0, true));
    send(&subject, &["a", "b", "c"]).await;
    for _ in 0..60 {
        queue.receive(10, 1_000).await.expect("receive");
        subject.ports.clock.sleep_ms(1_500).await;
        if queue.depth().await.expect("depth").dead == 3 {
            break;
        }
    }
    let mut so_far = Redrive::default();
    for _ in 0..20 {
        so_far = queue.redrive_step(so_far).await.expect("redrive");
        if so_far.done {
            break;
        }
        subject.ports.clock.sleep_ms(500).await;
    }
    assert_eq!((so_far.moved, so_far.left, so_far.done), (3, Some(0), true));
    let mut bodies = std::collections::BTreeSet::new();
    for _ in 0..20 {
        bodies.extend(queue.receive(10, LONG_MS).await.expect("receive").into_iter().map(|one| one.body));
        if bodies.len() == 3 {
            break;
        }
        subject.ports.clock.sleep_ms(500).await;
    }
    assert_eq!(bodies.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
}

pub(crate) async fn many_messages_and_receivers(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let bodies: Vec<_> = (0..100).map(|n| format!("m{n}")).collect();
    subject.ports.queue.send(&bodies, 0).await.expect("send");
    subject
        .eventually("a hundred waiting", async || {
            subject.ports.queue.depth().await.expect("depth").waiting == 100
        })
        .await;
    let receivers: Vec<_> = (0..4)
        .map(|_| {
            let queue = std::sync::Arc::clone(&subject.ports.queue);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                let mut empty = 0;
                while empty < 3 {
                    let messages = queue.receive(7, LONG_MS).await.expect("receive");
                    assert!(messages.len() <= 7);
                    empty = if messages.is_empty() { empty + 1 } else { 0 };
                    taken.extend(messages);
                }
                taken
            })
        })
        .collect();
    let mut seen = HashMap::new();
    for receiver in receivers {
        for message in receiver.await.expect("join") {
            assert_eq!(seen.insert(message.body, message.receipt), None, "hidden from the others");
        }
    }
    assert_eq!(seen.len(), 100);
    let depth = subject.ports.queue.depth().await.expect("depth");
    assert_eq!((depth.waiting, depth.in_flight, depth.dead), (0, 100, 0));
    let receipts: Vec<_> = seen.into_values().collect();
    for some in receipts.chunks(10) {
        subject.ports.queue.delete(some).await.expect("delete");
    }
    subject
        .eventually("nothing in flight", async || {
            subject.ports.queue.depth().await.expect("depth").in_flight == 0
        })
        .await;
}

pub(crate) async fn a_delayed_message_waits(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    subject.ports.queue.send(&[], HIDE_MS).await.expect("nothing to send");
    subject.ports.queue.send(&["late".to_owned()], HIDE_MS).await.expect("send");
    nothing(&subject).await;
    let depth = subject.ports.queue.depth().await.expect("depth");
    assert_eq!((depth.waiting, depth.in_flight, depth.dead), (0, 1, 0));
    subject.ports.clock.sleep_ms(OUTLAST_MS).await;
    let late = one(&subject, LONG_MS).await;
    assert_eq!((late.body.as_str(), late.deliveries), ("late", 1), "a delay is no delivery");
    subject.ports.queue.delete(&[late.receipt]).await.expect("delete");
    nothing(&subject).await;
}
