//! Several openings of one flock, as several processes have them.

use std::collections::HashSet;

use super::*;
use crate::ports::{Compute as _, JobRequest, ObjectMeta, Put, Queue as _, Table as _};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_meet_lose_nothing_and_do_nothing_twice() {
    const EACH: usize = 40;
    let fixture = Fixture::new();
    let bodies: Vec<_> = (0..4 * EACH).map(|number| format!("m{number}")).collect();
    fixture.flock.queue().send(&bodies).await.expect("send");
    let objects: Vec<_> = (0..50)
        .map(|number| ObjectMeta {
            object: ObjectRef::new("inputs", format!("o{number}")),
            size: 0,
            modified_ms: 0,
        })
        .collect();

    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let flock = LocalFlock::open_with(fixture.flock.dir(), Arc::<HandClock>::clone(&fixture.clock))
                .expect("open");
            let objects = objects.clone();
            tokio::spawn(async move {
                let (mut created, mut claimed, mut received) = (0, 0, Vec::new());
                for number in 0..EACH {
                    let row = row(&format!("shared{number}"));
                    created += usize::from(flock.table().put_new(&row).await.expect("put") == Put::Created);
                    let request = JobRequest { name: row.id.to_string(), environment: vec![] };
                    flock.compute().submit(&request).await.expect("submit");
                    claimed += flock.compute().take(1).await.expect("take").len();
                    let messages = flock.queue().receive(1, 1_000).await.expect("receive");
                    received.extend(messages.into_iter().map(|message| message.body));
                }
                let announced =
                    flock.inbox().announce(&objects, |_| "new".to_owned()).await.expect("announce");
                (created, claimed, received, announced)
            })
        })
        .collect();

    let (mut created, mut claimed, mut received, mut announced) = (0, 0, Vec::new(), 0);
    for task in tasks {
        let (c, t, r, a) = task.await.expect("join");
        created += c;
        claimed += t;
        received.extend(r);
        announced += a;
    }
    claimed += fixture.flock.compute().take(4 * EACH).await.expect("take").len();
    assert_eq!((created, claimed, announced), (EACH, EACH, 50));
    assert_eq!(fixture.flock.counts().await.expect("counts")[0], EACH as u64);
    let different: HashSet<_> = received.iter().filter(|body| *body != "new").collect();
    let delivered = received.iter().filter(|body| *body != "new").count();
    assert_eq!(different.len(), delivered, "no message twice while it is hidden");
    let depth = fixture.flock.queue().depth().await.expect("depth");
    assert_eq!(depth.waiting + depth.in_flight, (4 * EACH + 50) as u64);
}
