//! The job table: one row an id, changes by the model's rules, and a feed that misses nothing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "aws")]
use shepard_cloud::ports::Mode;
use shepard_cloud::ports::{Applied, Cursor, Put};
use shepard_cloud::{Kind, Table};
use shepard_model::{
    Fence, Inputs, JobId, JobRow, JobSummary, ObjectRef, Outcome, Refused, State, Transition,
};

use crate::Subject;

fn row(name: &str) -> JobRow {
    let inputs = Inputs::from_json(r#"{"n":0.10,"big":12345678901234567890,"text":"a\nb","tag":"t/ü"}"#);
    let input = ObjectRef::new("inputs", format!("{name} ä.zip")).at("v1");
    let id = JobId::parse(name).expect("id");
    JobRow::arrived(id, Some(input), inputs.expect("inputs"), 1_700_000_000_000, 30)
}

fn fence(worker: &str) -> Fence {
    Fence { run: 1, attempt: 1, worker: worker.to_owned() }
}

fn claim(worker: &str) -> Transition {
    let (fence, log_stream, batch) = (fence(worker), "s".into(), None);
    Transition::Claimed { fence, log_stream, compute_id: None, batch, at_ms: 5, lease_until_ms: 500 }
}

fn finish(worker: &str) -> Transition {
    Transition::Finished {
        fence: Some(fence(worker)),
        outcome: Outcome::Succeeded,
        reason: None,
        exit_code: Some(0),
        results: vec![ObjectRef::new("outputs", "r.zip")],
        at_ms: 9,
    }
}

pub(crate) async fn a_row_is_written_once(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let table = &subject.ports.table;
    let first = row("a");
    assert_eq!(table.get(&first.id).await.expect("get"), None);
    assert_eq!(table.put_new(&first).await.expect("put"), Put::Created);
    assert_eq!(table.get(&first.id).await.expect("get").as_ref(), Some(&first), "every digit and letter");
    let other = JobRow { tag: Some("another".into()), ..first.clone() };
    assert_eq!(table.put_new(&other).await.expect("put"), Put::Exists(Box::new(first.clone())));
    assert_eq!(table.get(&first.id).await.expect("get"), Some(first));

    // Many at once: one of them writes it.
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let table = Arc::clone(&subject.ports.table);
            tokio::spawn(async move {
                let row = JobRow { tag: Some(format!("writer {n}")), ..row("b") };
                table.put_new(&row).await.expect("put") == Put::Created
            })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        created += usize::from(task.await.expect("join"));
    }
    assert_eq!(created, 1);
}

pub(crate) async fn a_change_is_made_refused_or_missing(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let table = &subject.ports.table;
    let mut wanted = row("a");
    assert_eq!(table.apply(&wanted.id, &claim("w")).await.expect("apply"), Applied::Missing);
    table.put_new(&wanted).await.expect("put");
    for change in [claim("w"), finish("w")] {
        wanted = wanted.apply(&change).expect("allowed");
        assert_eq!(
            table.apply(&wanted.id, &change).await.expect("apply"),
            Applied::Changed(Box::new(wanted.clone()))
        );
    }
    let refused = table.apply(&wanted.id, &finish("w")).await.expect("apply");
    assert_eq!(refused, Applied::Refused(Refused::Ended, Box::new(wanted.clone())));
    assert_eq!(table.get(&wanted.id).await.expect("get"), Some(wanted));

    // Of many workers that claim an attempt at once, one holds it.
    let contested = row("b");
    table.put_new(&contested).await.expect("put");
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (table, id) = (Arc::clone(&subject.ports.table), contested.id.clone());
            tokio::spawn(async move {
                let applied = table.apply(&id, &claim(&format!("worker {n}"))).await.expect("apply");
                matches!(applied, Applied::Changed(_))
            })
        })
        .collect();
    let mut held = 0;
    for task in tasks {
        held += usize::from(task.await.expect("join"));
    }
    assert_eq!(held, 1);
}

/// One page of the feed, laid over what is known; gives the cursor and whether more is there.
async fn follow(
    table: &dyn Table,
    cursor: Cursor,
    limit: usize,
    known: &mut BTreeMap<JobId, JobSummary>,
) -> (Cursor, bool) {
    let changes = table.changes(cursor, limit).await.expect("changes");
    assert!(changes.rows.len() <= limit, "{} of {limit}", changes.rows.len());
    let ids: HashSet<_> = changes.rows.iter().map(|row| &row.id).collect();
    assert_eq!(ids.len(), changes.rows.len(), "a row at most once");
    known.extend(changes.rows.iter().map(|row| (row.id.clone(), row.clone())));
    (changes.next, changes.more)
}

pub(crate) async fn changes_page_by_page(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let table = &subject.ports.table;
    let empty = table.changes(Cursor::default(), 10).await.expect("changes");
    assert!(empty.rows.is_empty() && !empty.more);
    for n in 0..25 {
        table.put_new(&row(&format!("j{n:02}"))).await.expect("put");
    }
    let (mut known, mut cursor, mut pages) = (BTreeMap::new(), Cursor::default(), 0);
    loop {
        let (next, more) = follow(table.as_ref(), cursor, 10, &mut known).await;
        (cursor, pages) = (next, pages + 1);
        if !more {
            break;
        }
    }
    assert_eq!((known.len(), pages), (25, 3));
    assert!(known.values().all(|row| row.state == State::Queued && row.input.ends_with(" ä.zip")));

    // A row that changed twice since is one row, as it is now; one that did not is none.
    let id = JobId::parse("j07").expect("id");
    for change in [claim("w"), finish("w")] {
        table.apply(&id, &change).await.expect("apply");
    }
    let changes = table.changes(cursor, 10).await.expect("changes");
    assert_eq!(
        changes.rows.iter().map(|row| (&row.id, row.state)).collect::<Vec<_>>(),
        [(&id, State::Succeeded)]
    );
    let after = table.changes(changes.next, 10).await.expect("changes");
    assert!(after.rows.is_empty() && !after.more && after.next == changes.next);
    // A change that is refused is no change.
    table.apply(&id, &claim("late")).await.expect("apply");
    assert!(table.changes(changes.next, 10).await.expect("changes").rows.is_empty());
}

pub(crate) async fn changes_under_concurrent_writers(make: impl AsyncFn() -> Subject) {
    const WRITERS: usize = 4;
    const ROWS: usize = 40;
    let subject = make().await;
    let left = Arc::new(AtomicUsize::new(WRITERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (table, left) = (Arc::clone(&subject.ports.table), Arc::clone(&left));
            tokio::spawn(async move {
                for n in 0..ROWS {
                    let row = row(&format!("w{writer}-{n}"));
                    table.put_new(&row).await.expect("put");
                    // Rows of the others, too, whether they are there yet or not.
                    let other = JobId::parse(&format!("w{}-{n}", (writer + 1) % WRITERS)).expect("id");
                    table.apply(&other, &claim("w")).await.expect("apply");
                    if n % 3 == 0 {
                        table.apply(&row.id, &claim("w")).await.expect("apply");
                        table.apply(&row.id, &finish("w")).await.expect("apply");
                    }
                }
                left.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    let (mut known, mut cursor) = (BTreeMap::new(), Cursor::default());
    loop {
        // Asked before the page is read: only a page that was read after the last write can be the last.
        let done = left.load(Ordering::SeqCst) == 0;
        let (next, more) = follow(subject.ports.table.as_ref(), cursor, 7, &mut known).await;
        cursor = next;
        if done && !more {
            break;
        }
        // In this order: whoever has finished well has counted down before.
        let failed =
            writers.iter().all(tokio::task::JoinHandle::is_finished) && left.load(Ordering::SeqCst) > 0;
        if failed {
            // It will never be done; the join below says why.
            break;
        }
    }
    for writer in writers {
        writer.await.expect("join");
    }
    assert_eq!(known.len(), WRITERS * ROWS);
    for (id, seen) in known {
        let row = subject.ports.table.get(&id).await.expect("get").expect("there");
        assert_eq!(seen, row.summary(), "the feed ends at what the table holds");
    }
}

/// A table that has a stream is followed by it, and one that has none is read again and again; both say so.
#[cfg(feature = "aws")]
pub(crate) async fn the_stream_is_followed(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let table = &subject.ports.table;
    for n in 0..30 {
        table.put_new(&row(&format!("before-{n}"))).await.expect("put");
    }
    let first = table.changes(Cursor::default(), 100).await.expect("changes");
    assert_eq!((first.rows.len(), first.mode), (30, Mode::Stream));
    let mut cursor = first.next;
    for n in 0..3 {
        let id = format!("after-{n}");
        table.put_new(&row(&id)).await.expect("put");
        table.apply(&JobId::parse(&id).expect("id"), &claim("w")).await.expect("apply");
        let mut known = BTreeMap::new();
        subject
            .eventually("the change comes by the stream", async || {
                !table.changes(cursor, 10).await.expect("changes").rows.is_empty()
            })
            .await;
        cursor = follow(table.as_ref(), cursor, 10, &mut known).await.0;
        assert_eq!(known.keys().map(JobId::as_str).collect::<Vec<_>>(), [id.as_str()]);
    }
    let quiet = table.changes(cursor, 10).await.expect("changes");
    assert!(quiet.rows.is_empty() && !quiet.more && quiet.mode == Mode::Stream && quiet.wait_ms > 0);
    // From the beginning, all rows are given again without another reading.
    assert_eq!(table.changes(Cursor::default(), 100).await.expect("changes").rows.len(), 33);
}

#[cfg(feature = "aws")]
pub(crate) async fn a_table_without_a_stream_is_polled(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let table = &subject.ports.table;
    table.put_new(&row("a")).await.expect("put");
    let first = table.changes(Cursor::default(), 10).await.expect("changes");
    assert!(matches!(first.mode, Mode::Poll { every_ms } if every_ms == first.wait_ms && every_ms >= 2_000));
    assert_eq!(first.rows.len(), 1);
}

pub(crate) async fn a_scan_gives_whole_rows(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let table = &subject.ports.table;
    let mut wanted: Vec<_> = (0..25).map(|n| row(&format!("j{n:02}"))).collect();
    for row in &wanted {
        table.put_new(row).await.expect("put");
    }
    wanted[3] = wanted[3].apply(&claim("w")).expect("allowed");
    table.apply(&wanted[3].id, &claim("w")).await.expect("apply");
    let (mut rows, mut from, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = table.scan(from.as_deref(), 10).await.expect("scan");
        assert!(page.items.len() <= 10);
        rows.extend(page.items);
        (from, pages) = (page.next, pages + 1);
        if from.is_none() {
            break;
        }
    }
    assert!(pages >= 3);
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(rows, wanted);
}

/// What people write into their inputs, and what they have been seen to.
pub(crate) async fn odd_variables(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let table = &subject.ports.table;
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let odd = [
        r#""""#,
        r#""\u0000\ud83d\ude00 é\"""#,
        "null",
        "true",
        "-0",
        "0.10",
        "1E+2",
        "1e400",
        "123456789012345678901234567890123456789012",
        "99999999999999999999999999999999999999",
        "-1.5e-130",
        r#"{"b":1.0,"a":{"":[]},"b":2}"#,
        r#"{"z":{"y":[1,[2,{"x":null}]],"a":true},"A":"\u0041"}"#,
        "[]",
        "{}",
        &deep,
    ];
    // A NUL is the one thing that no environment can hold, so no job has one at the top.
    let members: Vec<_> = odd.iter().skip(2).enumerate().map(|(n, one)| format!("\"v{n}\":{one}")).collect();
    let named = r#""SHEPARD_ROW":"mine","SHEPARD_REV":"7","shepard_expires":0,"a.b-c":"é","Ünï":" ","e":"""#;
    let text = format!("{{{},\"list\":[{}],{named}}}", members.join(","), odd.join(","));
    let inputs = Inputs::from_json(&text).expect("inputs");
    let id = JobId::parse("odd").expect("id");
    let wanted = JobRow::arrived(id.clone(), None, inputs, 1_700_000_000_000, 30);
    assert_eq!(table.put_new(&wanted).await.expect("put"), Put::Created);
    assert_eq!(table.get(&id).await.expect("get").as_ref(), Some(&wanted));
    let running = wanted.apply(&claim("w")).expect("allowed");
    let applied = table.apply(&id, &claim("w")).await.expect("apply");
    assert_eq!(applied, Applied::Changed(Box::new(running.clone())));
    assert_eq!(table.scan(None, 10).await.expect("scan").items, [running]);
}

/// Written whole, or refused as what can never be written; nothing in between.
pub(crate) async fn a_row_that_is_too_large(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let table = &subject.ports.table;
    let sized = |name: &str, bytes: usize| {
        let inputs = Inputs::from_json(&format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes))).expect("inputs");
        JobRow::arrived(JobId::parse(name).expect("id"), None, inputs, 1_700_000_000_000, 30)
    };
    // As large as an inputs.txt may be.
    let large = sized("large", 299 << 10);
    assert_eq!(table.put_new(&large).await.expect("put"), Put::Created);
    assert_eq!(table.get(&large.id).await.expect("get").as_ref(), Some(&large));
    let huge = sized("huge", 401 << 10);
    match table.put_new(&huge).await {
        Ok(put) => {
            assert_eq!(put, Put::Created);
            assert_eq!(table.get(&huge.id).await.expect("get").as_ref(), Some(&huge));
        }
        Err(error) => {
            assert_eq!(error.kind, Kind::Invalid, "{error}");
            assert_eq!(table.get(&huge.id).await.expect("get"), None);
        }
    }
}
