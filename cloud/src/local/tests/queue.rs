use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::local::MAX_RECEIVE;
use crate::ports::{Depth, Message, Queue as _};

async fn send(fixture: &Fixture, bodies: &[&str]) {
    let bodies: Vec<_> = bodies.iter().map(|body| (*body).to_owned()).collect();
    fixture.flock.queue().send(&bodies, 0).await.expect("send");
}

async fn receive(fixture: &Fixture, max: usize) -> Vec<Message> {
    fixture.flock.queue().receive(max, 100).await.expect("receive")
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

async fn depth(fixture: &Fixture) -> (u64, u64, u64) {
    let Depth { waiting, in_flight, dead } = fixture.flock.queue().depth().await.expect("depth");
    (waiting, in_flight, dead)
}

#[tokio::test]
async fn a_message_is_hidden_then_comes_again_until_it_is_deleted() {
    let fixture = Fixture::new();
    send(&fixture, &["a", "b", "c"]).await;
    let first = receive(&fixture, 2).await;
    assert_eq!(bodies(&first), ["a", "b"]);
    assert_eq!(depth(&fixture).await, (1, 2, 0));
    let queue = fixture.flock.queue();
    queue.delete(std::slice::from_ref(&first[0].receipt)).await.expect("delete");
    fixture.clock.forward(100);
    let again = receive(&fixture, 10).await;
    assert_eq!(bodies(&again), ["c", "b"]);
    assert_eq!(again[1].deliveries, 2);

    queue.delete(std::slice::from_ref(&first[1].receipt)).await.expect("an old receipt is no error");
    fixture.clock.forward(100);
    assert_eq!(depth(&fixture).await, (2, 0, 0), "and deletes nothing");
    queue.delete(&["nonsense".to_owned(), "1-x".to_owned()]).await.expect("nor is a foreign one");
}

#[tokio::test]
async fn a_released_message_comes_when_it_was_said_to() {
    let fixture = Fixture::new();
    send(&fixture, &["a"]).await;
    let message = receive(&fixture, 1).await.remove(0);
    fixture.flock.queue().release(&message.receipt, 30).await.expect("release");
    fixture.clock.forward(29);
    assert_eq!(receive(&fixture, 1).await, []);
    fixture.clock.forward(1);
    assert_eq!(bodies(&receive(&fixture, 1).await), ["a"]);
    fixture.flock.queue().release(&message.receipt, 0).await.expect("an old receipt");
    assert_eq!(depth(&fixture).await, (0, 1, 0), "does not hold");
}

#[tokio::test]
async fn what_is_never_deleted_ends_among_the_dead_and_can_be_sent_back() {
    let fixture = Fixture::new();
    send(&fixture, &["poison", "good"]).await;
    let mut old = None;
    for delivery in 1..=MAX_RECEIVE {
        let messages = receive(&fixture, 10).await;
        let poison = messages.iter().find(|message| message.body == "poison").expect("delivered");
        assert_eq!(poison.deliveries, delivery);
        old = Some(poison.receipt.clone());
        for message in messages.iter().filter(|message| message.body == "good") {
            fixture.flock.queue().delete(std::slice::from_ref(&message.receipt)).await.expect("delete");
        }
        fixture.clock.forward(100);
    }
    assert_eq!(receive(&fixture, 10).await, []);
    assert_eq!(depth(&fixture).await, (0, 0, 1));

    assert_eq!(fixture.flock.queue().redrive().await.expect("redrive"), 1);
    assert_eq!(depth(&fixture).await, (1, 0, 0));
    let messages = receive(&fixture, 10).await;
    assert_eq!((messages[0].body.as_str(), messages[0].deliveries), ("poison", 1));
    fixture.flock.queue().delete(&[old.expect("receipt")]).await.expect("of its former life");
    assert_eq!(depth(&fixture).await, (0, 1, 0));
}

#[tokio::test]
async fn the_dead_do_not_keep_the_living_from_a_full_page() {
    let fixture = Fixture::new();
    send(&fixture, &["p1", "p2"]).await;
    for _ in 0..MAX_RECEIVE {
        assert_eq!(receive(&fixture, 2).await.len(), 2);
        fixture.clock.forward(100);
    }
    send(&fixture, &["a", "b", "c"]).await;
    assert_eq!(bodies(&receive(&fixture, 2).await), ["a", "b"]);
}

#[tokio::test]
async fn what_a_dead_receiver_held_is_visible_at_once() {
    let fixture = Fixture::new();
    send(&fixture, &["a", "b"]).await;
    receive(&fixture, 1).await;
    assert_eq!(fixture.flock.queue().reset_in_flight().await.expect("reset"), 1);
    let mut messages = receive(&fixture, 10).await;
    messages.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!((bodies(&messages), messages[0].deliveries), (vec!["a", "b"], 2));
}

#[derive(Debug, Clone)]
enum Step {
    Send,
    Receive(usize),
    Delete(usize),
    Release(usize, i64),
    Wait(i64),
    Reset,
    Redrive,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Send),
        (1..4_usize).prop_map(Step::Receive),
        (1..4_usize).prop_map(Step::Receive),
        (0..8_usize).prop_map(Step::Delete),
        (0..8_usize, 0..150_i64).prop_map(|(which, ms)| Step::Release(which, ms)),
        (1..150_i64).prop_map(Step::Wait),
        Just(Step::Reset),
        Just(Step::Redrive),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// Every message is, at every moment, waiting, in flight, dead or deleted, and in one of them alone; none is
    /// delivered more often than may be, and none that was deleted comes again.
    #[test]
    fn nothing_is_lost_and_nothing_comes_back(steps in proptest::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            let fixture = Fixture::new();
            let queue = fixture.flock.queue();
            let (mut sent, mut deleted) = (0_u64, Vec::<String>::new());
            let mut receipts: Vec<(String, String)> = Vec::new();
            // Receipts that hold, by body.
            let mut newest: HashMap<String, String> = HashMap::new();
            for step in steps {
                match step {
                    Step::Send => {
                        sent += 1;
                        queue.send(&[format!("m{sent}")], 0).await.expect("send");
                    }
                    Step::Receive(max) => {
                        let messages = receive(&fixture, max).await;
                        prop_assert!(messages.len() <= max);
                        for message in messages {
                            prop_assert!(!deleted.contains(&message.body), "{} came back", message.body);
                            prop_assert!((1..=MAX_RECEIVE).contains(&message.deliveries));
                            newest.insert(message.body.clone(), message.receipt.clone());
                            receipts.push((message.receipt, message.body));
                        }
                    }
                    Step::Delete(which) if !receipts.is_empty() => {
                        let (receipt, body) = receipts[which % receipts.len()].clone();
                        let before = depth(&fixture).await;
                        queue.delete(std::slice::from_ref(&receipt)).await.expect("delete");
                        let after = depth(&fixture).await;
                        if after.0 + after.1 < before.0 + before.1 {
                            prop_assert_eq!(newest.get(&body), Some(&receipt), "an old receipt deleted");
                            deleted.push(body);
                        }
                    }
                    Step::Release(which, ms) if !receipts.is_empty() => {
                        let (receipt, _) = &receipts[which % receipts.len()];
                        queue.release(receipt, ms).await.expect("release");
                    }
                    Step::Delete(_) | Step::Release(..) => {}
                    Step::Wait(ms) => fixture.clock.forward(ms),
                    Step::Reset => drop(queue.reset_in_flight().await.expect("reset")),
                    Step::Redrive => drop(queue.redrive().await.expect("redrive")),
                }
                let (waiting, in_flight, dead) = depth(&fixture).await;
                prop_assert_eq!(waiting + in_flight + dead + deleted.len() as u64, sent);
            }
            Ok(())
        })?;
    }
}
