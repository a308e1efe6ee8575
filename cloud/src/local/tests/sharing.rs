//! Several openings of one flock, as several processes have them.

use std::collections::HashSet;

use super::*;
use crate::ports::{Compute as _, JobRequest, ObjectMeta, Put, Queue as _, Table as _};
use shepard_model::Shape;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_meet_lose_nothing_and_do_nothing_twice() {
    const EACH: usize = 40;
    let fixture = Fixture::new();
    let bodies: Vec<_> = (0..4 * EACH).map(|number| format!("m{number}")).collect();
    fixture.flock.queue().send(&bodies, 0).await.expect("send");
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
                    let request = JobRequest {
                        name: row.id.to_string(),
                        environment: vec![],
                        shape: Shape::default(),
                        children: 1,
                    };
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

#[test]
fn an_open_flock_goes_to_any_thread() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    anywhere::<LocalFlock>();
}

/// The questions that are asked again and again, however many jobs there are, are answered by an index.
#[tokio::test]
async fn frequent_questions_use_an_index() {
    let fixture = Fixture::new();
    let connection = rusqlite::Connection::open(fixture.flock.dir().database()).expect("open");
    for (question, index) in [
        ("SELECT * FROM summaries WHERE seq > 5 ORDER BY seq LIMIT 9", "PRIMARY KEY (rowid>?)"),
        ("SELECT * FROM jobs WHERE id = 'x'", "sqlite_autoindex_jobs_1"),
        ("SELECT 1 FROM messages WHERE visible_ms <= 5 LIMIT 1", "messages_visible"),
        ("SELECT * FROM messages WHERE visible_ms <= 5 ORDER BY visible_ms, number", "messages_visible"),
        ("SELECT * FROM compute WHERE state < 3 AND state = 0 ORDER BY number LIMIT 5", "compute_live"),
        ("SELECT * FROM compute WHERE state < 3 AND state IN (1, 2) ORDER BY number", "compute_live"),
        ("SELECT number FROM compute WHERE name = 'x' AND state < 3", "compute_name"),
        ("SELECT * FROM compute WHERE name = 'x' ORDER BY number DESC", "compute_name"),
        ("SELECT number FROM compute WHERE ended_ms < 5 ORDER BY ended_ms LIMIT 5", "compute_ended"),
    ] {
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {question}"))
            .expect("question")
            .query_map([], |row| row.get(3))
            .expect("plan")
            .collect::<Result<_, _>>()
            .expect("plan");
        assert!(plan.iter().any(|step| step.contains(index)), "{question}: {plan:?}");
    }
}
