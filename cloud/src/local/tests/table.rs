use rusqlite::Connection;
use shepard_model::{Refused, State};

use super::*;
use crate::error::Kind;
use crate::ports::{Applied, Changes, Cursor, Put, Table as _};

async fn put(fixture: &Fixture, name: &str) {
    assert_eq!(fixture.flock.table().put_new(&row(name)).await.expect("put"), Put::Created);
}

async fn apply(fixture: &Fixture, name: &str, change: &Transition) -> Applied {
    fixture.flock.table().apply(&row(name).id, change).await.expect("apply")
}

async fn changes(fixture: &Fixture, from: Cursor, limit: usize) -> Changes {
    fixture.flock.table().changes(from, limit).await.expect("changes")
}

fn names(changes: &Changes) -> Vec<&str> {
    changes.rows.iter().map(|row| row.id.as_str()).collect()
}

#[tokio::test]
async fn a_row_is_written_once_and_read_back_whole() {
    let fixture = Fixture::new();
    put(&fixture, "a").await;
    let mut other = row("a");
    other.created_ms = 5;
    let table = fixture.flock.table();
    assert_eq!(table.put_new(&other).await.expect("put"), Put::Exists(Box::new(row("a"))));
    assert_eq!(table.get(&row("a").id).await.expect("get"), Some(row("a")));
    assert_eq!(table.get(&row("b").id).await.expect("get"), None);
}

#[tokio::test]
async fn a_change_follows_the_models_rules() {
    let fixture = Fixture::new();
    put(&fixture, "a").await;
    let expected = row("a").apply(&claim()).expect("rules");
    assert_eq!(apply(&fixture, "a", &claim()).await, Applied::Changed(Box::new(expected.clone())));
    let mut other = claim();
    if let Transition::Claimed { fence, .. } = &mut other {
        fence.worker = "another".into();
    }
    assert_eq!(apply(&fixture, "a", &other).await, Applied::Refused(Refused::Fenced, Box::new(expected)));
    assert_eq!(apply(&fixture, "b", &claim()).await, Applied::Missing);
}

#[tokio::test]
async fn changes_give_each_row_once_as_it_is_now() {
    let fixture = Fixture::new();
    for name in ["a", "b", "c"] {
        put(&fixture, name).await;
    }
    let all = changes(&fixture, Cursor::default(), 10).await;
    assert_eq!((names(&all), all.more), (vec!["a", "b", "c"], false));
    assert_eq!(all.rows[0], row("a").summary());

    apply(&fixture, "a", &claim()).await;
    apply(&fixture, "a", &finish(Outcome::Failed, 9)).await;
    let next = changes(&fixture, all.next, 10).await;
    assert_eq!((names(&next), next.rows[0].state), (vec!["a"], State::Failed));
    let again = changes(&fixture, next.next, 10).await;
    assert_eq!(again, Changes { next: next.next, ..Changes::default() });
    assert_eq!(names(&changes(&fixture, Cursor::default(), 10).await), ["b", "c", "a"]);
}

#[tokio::test]
async fn changes_come_in_pages_that_leave_nothing_out() {
    let fixture = Fixture::new();
    for number in 0..7 {
        put(&fixture, &format!("j{number}")).await;
    }
    for number in [1, 4] {
        apply(&fixture, &format!("j{number}"), &finish(Outcome::Failed, 5)).await;
    }
    assert_eq!(fixture.flock.table().forget(6, 10).await.expect("forget").len(), 2);
    put(&fixture, "last").await;
    for limit in 1..12 {
        let (mut cursor, mut rows, mut removed) = (Cursor::default(), Vec::new(), Vec::new());
        loop {
            let page = changes(&fixture, cursor, limit).await;
            assert!(page.rows.len() + page.removed.len() <= limit);
            rows.extend(page.rows.iter().map(|row| row.id.to_string()));
            removed.extend(page.removed.iter().map(ToString::to_string));
            cursor = page.next;
            if !page.more {
                break;
            }
        }
        assert_eq!(rows, ["j0", "j2", "j3", "j5", "j6", "last"], "pages of {limit}");
        assert_eq!(removed, ["j1", "j4"], "pages of {limit}");
    }
}

#[tokio::test]
async fn a_heartbeat_is_kept_and_is_no_news() {
    let fixture = Fixture::new();
    put(&fixture, "a").await;
    apply(&fixture, "a", &claim()).await;
    let seen = changes(&fixture, Cursor::default(), 10).await.next;
    let fence = Fence { run: 1, attempt: 1, worker: "w".into() };
    apply(&fixture, "a", &Transition::Heartbeat { fence, lease_until_ms: 77 }).await;
    assert_eq!(changes(&fixture, seen, 10).await.rows, []);
    let kept = fixture.flock.table().get(&row("a").id).await.expect("get").expect("row");
    assert_eq!(kept.lease_until_ms, 77);
    apply(&fixture, "a", &finish(Outcome::Succeeded, 9)).await;
    assert_eq!(names(&changes(&fixture, seen, 10).await), ["a"]);
}

#[tokio::test]
async fn counts_follow_every_change() {
    let fixture = Fixture::new();
    for name in ["a", "b", "c", "d"] {
        put(&fixture, name).await;
    }
    put_twice(&fixture, "a").await;
    apply(&fixture, "a", &claim()).await;
    apply(&fixture, "b", &finish(Outcome::Succeeded, 5)).await;
    apply(&fixture, "c", &finish(Outcome::Cancelled, 50)).await;
    apply(&fixture, "c", &finish(Outcome::Failed, 51)).await;
    assert_eq!(fixture.flock.counts().await.expect("counts"), [1, 0, 1, 1, 0, 0, 1]);
    fixture.flock.table().forget(10, 10).await.expect("forget");
    assert_eq!(fixture.flock.counts().await.expect("counts"), [1, 0, 1, 0, 0, 0, 1]);
}

async fn put_twice(fixture: &Fixture, name: &str) {
    assert!(matches!(fixture.flock.table().put_new(&row(name)).await.expect("put"), Put::Exists(_)));
}

#[tokio::test]
async fn a_forgotten_job_may_come_again_and_is_then_not_gone() {
    let fixture = Fixture::new();
    put(&fixture, "a").await;
    apply(&fixture, "a", &finish(Outcome::Failed, 5)).await;
    let table = fixture.flock.table();
    assert_eq!(table.forget(5, 10).await.expect("forget"), [], "it ended then, not before");
    assert_eq!(table.forget(6, 10).await.expect("forget"), [row("a").id]);
    assert_eq!(table.get(&row("a").id).await.expect("get"), None);
    put(&fixture, "a").await;
    let all = changes(&fixture, Cursor::default(), 10).await;
    assert_eq!((names(&all), all.removed.len()), (vec!["a"], 0));
}

#[tokio::test]
async fn rows_are_scanned_in_the_order_in_which_they_were_written() {
    let fixture = Fixture::new();
    for name in ["c", "a", "b"] {
        put(&fixture, name).await;
    }
    apply(&fixture, "c", &claim()).await;
    let table = fixture.flock.table();
    let first = table.scan(None, 2).await.expect("scan");
    assert_eq!(first.items.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    let second = table.scan(first.next.as_deref(), 2).await.expect("scan");
    assert_eq!((second.items, second.next), (vec![row("b")], None));
    assert_eq!(table.scan(Some("x"), 2).await.expect_err("token").kind, Kind::Invalid);
}

#[tokio::test]
async fn a_damaged_row_is_an_error_that_names_it() {
    let fixture = Fixture::new();
    put(&fixture, "good").await;
    put(&fixture, "bad").await;
    let path = fixture.flock.dir().database();
    let other = Connection::open(path).expect("open");
    other.execute("UPDATE jobs SET doc = '{\"id\":' WHERE id = 'bad'", []).expect("damage");
    let table = fixture.flock.table();
    for error in [
        table.get(&row("bad").id).await.expect_err("damaged"),
        table.apply(&row("bad").id, &claim()).await.expect_err("damaged"),
        table.scan(None, 10).await.expect_err("damaged"),
    ] {
        assert_eq!((error.target.as_str(), error.kind), ("bad", Kind::Invalid), "{error}");
    }
    assert!(table.get(&row("good").id).await.expect("get").is_some());
    other.execute("UPDATE summaries SET state = 9 WHERE id = 'bad'", []).expect("damage");
    assert_eq!(table.changes(Cursor::default(), 10).await.expect_err("damaged").target, "bad");
}
