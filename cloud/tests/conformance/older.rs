//! What only a stack on AWS can hold: rows that the old programs wrote, and objects older than their bucket's versions.

use serde_json::json;
use shepard_cloud::ports::{Applied, Put, Range};
use shepard_model::{Fence, JobId, Outcome, Refused, State, Transition};

use crate::emulator::Emulator;

/// Reads and changes a row at each point of an old job's life.
pub(crate) async fn rows(emulator: &Emulator) {
    let (subject, name) = emulator.fresh_with_table().await;
    let table = &subject.ports.table;
    let id = JobId::parse("a8b1c3d4-0000-1111-2222-333344445555TX0123456789ABCDEF").expect("id");
    let mut item = json!({
        "UUID": { "S": id.as_str() }, "JOB_STATUS": { "S": "not_yet_initiated" },
        "START_TIME": { "S": "not_yet_initiated" }, "END_TIME": { "N": "1702592000" },
        "n": { "N": "12" }, "list": { "L": [{ "N": "1" }, { "S": "x" }] },
    });
    emulator.put_item(&name, &item);
    let waiting = table.get(&id).await.expect("get").expect("there");
    assert_eq!((waiting.state(), waiting.created_ms), (State::Queued, 1_700_000_000_000));
    assert_eq!(table.put_new(&waiting).await.expect("put"), Put::Exists(Box::new(waiting.clone())));
    let submitted = Transition::Submitted { run: 1, compute_id: "c".into(), at_ms: 1_700_000_000_500 };
    let applied = table.apply(&id, &submitted).await.expect("apply");
    assert_eq!(applied, Applied::Changed(Box::new(waiting.apply(&submitted).expect("allowed"))));

    // The old worker's claim, over our row: it read the item before that.
    item["JOB_STATUS"] = json!({ "NULL": true });
    item["START_TIME"] = json!({ "N": "1700000001" });
    item["END_TIME"] = json!({ "S": "in_progress" });
    emulator.put_item(&name, &item);
    let claimed = table.get(&id).await.expect("get").expect("there");
    assert_eq!((claimed.state(), claimed.started_ms), (State::Running, Some(1_700_000_001_000)));
    let cancel = Transition::CancelRequested { by: "me".into(), at_ms: 1_700_000_002_000 };
    let applied = table.apply(&id, &cancel).await.expect("apply");
    assert_eq!(applied, Applied::Changed(Box::new(claimed.apply(&cancel).expect("allowed"))));

    // Its end, which says nothing of how; and a worker of ours that comes by mistake.
    item["JOB_STATUS"] = json!({ "S": "<done> 2023/11/14-22:14:20 U.T.C." });
    item["END_TIME"] = json!({ "N": "1700000060" });
    emulator.put_item(&name, &item);
    let ended = table.get(&id).await.expect("get").expect("there");
    assert_eq!((ended.outcome, ended.ended_ms), (None, Some(1_700_000_060_000)));
    let told = Transition::Finished {
        fence: None,
        outcome: Outcome::Succeeded,
        reason: None,
        exit_code: None,
        results: Vec::new(),
        at_ms: 1_700_000_061_000,
    };
    let applied = table.apply(&id, &told).await.expect("apply");
    assert_eq!(applied, Applied::Changed(Box::new(ended.apply(&told).expect("allowed"))));
    let late = Transition::Heartbeat {
        fence: Fence { run: 1, attempt: 1, worker: "w".into() },
        lease_until_ms: 1_700_000_100_000,
    };
    let refused = table.apply(&id, &late).await.expect("apply");
    assert!(matches!(refused, Applied::Refused(Refused::Ended, _)), "{refused:?}");
}

/// An object from before its bucket kept versions has the version `null`, and notifications say so.
pub(crate) async fn the_version_null(emulator: &Emulator) {
    let (subject, _) = emulator.fresh_with_table().await;
    let object = shepard_model::ObjectRef::new(&subject.ports.buckets.outputs, "a");
    subject.ports.objects.upload(&subject.file(b"0123456789"), &object).await.expect("upload");
    let part = subject.ports.objects.get(&object.at("null"), Range::Suffix(4)).await.expect("get");
    assert_eq!((part.bytes.as_slice(), part.total), (b"6789".as_slice(), 10));
}
