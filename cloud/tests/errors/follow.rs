//! A table that is followed while its stream is away, behind, or comes to an end.

use std::sync::Mutex;

use serde_json::{Value, json as value};
use shepard_cloud::ports::{Changes, Cursor, Mode};
use shepard_cloud::{CloudError, Kind, Ports};

use crate::server::{Reply, Request, Server, reply};
use crate::{KEYS, flock, json};

/// What was asked for, and of what: `Scan`, `GetRecords it-1`.
fn asked(request: &Request) -> String {
    let target = request.header("x-amz-target").unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    match operation {
        "GetShardIterator" => {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            let words = [text("ShardId"), text("ShardIteratorType"), text("SequenceNumber")];
            format!("{operation} {}", words.join(" ").trim_end())
        }
        "GetRecords" => format!("{operation} {}", body["ShardIterator"].as_str().unwrap_or_default()),
        "Scan" if body["ExclusiveStartKey"].is_object() => "Scan on".to_owned(),
        _ => operation.to_owned(),
    }
}

fn item(id: &str, rev: u32) -> Value {
    value!({
        "UUID": { "S": id }, "JOB_STATUS": { "S": "not_yet_initiated" }, "START_TIME": { "S": "not_yet_initiated" },
        "END_TIME": { "N": "1" }, "SHEPARD_REV": { "N": rev.to_string() }, "SHEPARD_MARK": { "S": rev.to_string() },
    })
}

fn record(id: &str, rev: u32) -> Value {
    let keys = value!({ "UUID": { "S": id } });
    value!({ "eventName": "MODIFY", "dynamodb": {
        "Keys": keys, "NewImage": item(id, rev), "SequenceNumber": format!("{id}-{rev}"),
    } })
}

fn ok(body: &Value) -> Reply {
    reply(200, &body.to_string())
}

fn refused(code: &str) -> Reply {
    json(400, &format!("com.amazonaws.dynamodb.v20120810#{code}"), "so it says")
}

/// A table of one row with a stream of one shard, except where `other` answers.
fn table(other: impl Fn(&str, usize) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let seen = Mutex::new(Vec::<String>::new());
    Server::start(move |request, _| {
        let asked = asked(request);
        let before = {
            let mut seen = seen.lock().expect("no panic");
            seen.push(asked.clone());
            seen.iter().filter(|one| **one == asked).count() - 1
        };
        if let Some(reply) = other(&asked, before) {
            return reply;
        }
        let operation = asked.split(' ').next().unwrap_or_default();
        ok(&match operation {
            "DescribeTable" => value!({ "Table": {
                "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
                "LatestStreamArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/table/stream/1", "TableSizeBytes": 100,
            } }),
            "DescribeStream" => value!({ "StreamDescription": { "Shards": [{ "ShardId": "s1" }] } }),
            "GetShardIterator" => value!({ "ShardIterator": "it-1" }),
            "GetRecords" => value!({ "Records": [], "NextShardIterator": "it-1" }),
            _ => value!({ "Items": [item("row", 3)], "Count": 1 }),
        })
    })
}

fn all(server: &Server) -> Vec<String> {
    server.requests().iter().map(asked).collect()
}

fn count(server: &Server, what: &str) -> usize {
    all(server).iter().filter(|asked| *asked == what).count()
}

fn ids(changes: &Changes) -> Vec<&str> {
    changes.rows.iter().map(|row| row.id.as_str()).collect()
}

async fn changes(ports: &Ports, from: Cursor) -> Result<Changes, CloudError> {
    ports.table.changes(from, 10).await
}

#[tokio::test]
async fn the_place_in_the_stream_is_taken_before_the_table_is_read() {
    let server = table(|_, _| None);
    let ports = flock(server.address, KEYS).await;
    let first = changes(&ports, Cursor::default()).await.expect("changes");
    assert_eq!((ids(&first), first.mode), (vec!["row"], Mode::Stream));
    assert_eq!(all(&server), ["DescribeTable", "DescribeStream", "GetShardIterator s1 LATEST", "Scan"]);
    assert!(server.requests()[3].body.contains(r#""ConsistentRead":true"#), "{}", server.requests()[3].body);
    let quiet = changes(&ports, first.next).await.expect("changes");
    assert!(quiet.rows.is_empty() && !quiet.more && (250..=2_000).contains(&quiet.wait_ms));
    assert_eq!((count(&server, "Scan"), count(&server, "GetRecords it-1")), (1, 1));
}

/// Not there, not allowed, or turned off: the rows come all the same, and it is said how.
#[tokio::test]
async fn without_a_stream_the_table_is_polled() {
    let off =
        |asked: &str| (asked == "DescribeTable").then(|| ok(&value!({ "Table": { "TableSizeBytes": 1 } })));
    let denied =
        |asked: &str| asked.starts_with("GetShardIterator").then(|| refused("AccessDeniedException"));
    let unknown = |asked: &str| (asked == "DescribeTable").then(|| refused("AccessDeniedException"));
    for server in [
        table(move |asked, _| off(asked)),
        table(move |asked, _| denied(asked)),
        table(move |asked, _| unknown(asked)),
    ] {
        let ports = flock(server.address, KEYS).await;
        let first = changes(&ports, Cursor::default()).await.expect("changes");
        assert_eq!((ids(&first), first.mode), (vec!["row"], Mode::Poll { every_ms: 2_000 }));
        let tried = all(&server).len();
        changes(&ports, first.next).await.expect("changes");
        assert_eq!(all(&server).len(), tried + 1, "the stream is not tried each time: {:?}", all(&server));
    }
}

#[tokio::test]
async fn a_stream_that_others_read_is_left_to_them() {
    let server = table(|asked, _| asked.starts_with("GetRecords").then(|| refused("LimitExceededException")));
    let ports = flock(server.address, KEYS).await;
    let first = changes(&ports, Cursor::default()).await.expect("changes");
    assert_eq!(first.mode, Mode::Stream);
    for _ in 0..2 {
        let error = changes(&ports, first.next).await.expect_err("throttled");
        assert_eq!(error.kind, Kind::Throttled, "{error}");
    }
    let polled = changes(&ports, first.next).await.expect("changes");
    assert!(polled.rows.is_empty() && matches!(polled.mode, Mode::Poll { .. }));
    assert_eq!(count(&server, "Scan"), 2);
}

#[tokio::test]
async fn a_place_that_is_lost_means_reading_the_table_again() {
    for gone in ["ExpiredIteratorException", "TrimmedDataAccessException", "ResourceNotFoundException"] {
        let server = table(move |asked, before| match (asked, before) {
            ("GetRecords it-1", 0) => Some(refused(gone)),
            ("Scan", 1) => Some(ok(&value!({ "Items": [item("row", 3), item("missed", 1)] }))),
            _ => None,
        });
        let ports = flock(server.address, KEYS).await;
        let first = changes(&ports, Cursor::default()).await.expect("changes");
        let again = changes(&ports, first.next).await.expect("changes");
        assert_eq!((ids(&again), again.mode), (vec!["missed"], Mode::Stream), "{gone}");
        assert_eq!((count(&server, "Scan"), count(&server, "GetShardIterator s1 LATEST")), (2, 2), "{gone}");
    }
}

#[tokio::test]
async fn an_iterator_that_expired_is_taken_again_behind_the_last_record() {
    let server = table(|asked, before| match (asked, before) {
        ("GetRecords it-1", 0) => Some(ok(
            &value!({ "Records": [record("row", 4), record("new", 1)], "NextShardIterator": "it-2" }),
        )),
        ("GetRecords it-2", _) => Some(refused("ExpiredIteratorException")),
        ("GetShardIterator s1 AFTER_SEQUENCE_NUMBER new-1", _) => {
            Some(ok(&value!({ "ShardIterator": "it-3" })))
        }
        ("GetRecords it-3", _) => {
            Some(ok(&value!({ "Records": [record("late", 1)], "NextShardIterator": "it-3" })))
        }
        _ => None,
    });
    let ports = flock(server.address, KEYS).await;
    let first = changes(&ports, Cursor::default()).await.expect("changes");
    let second = changes(&ports, first.next).await.expect("changes");
    assert_eq!(ids(&second), ["new"], "the row is as it was");
    let third = changes(&ports, second.next).await.expect("changes");
    assert_eq!((ids(&third), third.mode), (vec!["late"], Mode::Stream));
    assert_eq!(count(&server, "Scan"), 1);
}

#[tokio::test]
async fn a_shard_that_ends_is_followed_by_its_child_from_its_beginning() {
    let server = table(|asked, before| match (asked, before) {
        ("GetRecords it-1", _) => Some(ok(&value!({ "Records": [record("one", 1)] }))),
        ("DescribeStream", 1) => Some(ok(&value!({ "StreamDescription": { "Shards": [
            { "ShardId": "s1", "SequenceNumberRange": { "EndingSequenceNumber": "9" } },
            { "ShardId": "s2", "ParentShardId": "s1" },
            { "ShardId": "s3", "ParentShardId": "s2" },
        ] } }))),
        ("GetShardIterator s2 TRIM_HORIZON", _) => Some(ok(&value!({ "ShardIterator": "it-2" }))),
        ("GetRecords it-2", _) => {
            Some(ok(&value!({ "Records": [record("two", 1)], "NextShardIterator": "it-2" })))
        }
        _ => None,
    });
    let ports = flock(server.address, KEYS).await;
    let first = changes(&ports, Cursor::default()).await.expect("changes");
    let second = changes(&ports, first.next).await.expect("changes");
    assert_eq!((ids(&second), second.more), (vec!["one"], true));
    let third = changes(&ports, second.next).await.expect("changes");
    assert_eq!(ids(&third), ["two"]);
    assert_eq!(count(&server, "GetShardIterator s3 TRIM_HORIZON"), 0, "not before its parent has been read");
}

/// What was read is given, and the reading goes on where it stopped.
#[tokio::test]
async fn a_reading_that_fails_in_the_middle_goes_on_there() {
    let server = table(|asked, before| match (asked, before) {
        ("Scan", _) => {
            Some(ok(&value!({ "Items": [item("a", 1)], "LastEvaluatedKey": { "UUID": { "S": "a" } } })))
        }
        // As often as the SDK tries, twice.
        ("Scan on", ..6) => Some(reply(500, "{}")),
        ("Scan on", _) => Some(ok(&value!({ "Items": [item("b", 1)] }))),
        _ => None,
    });
    let ports = flock(server.address, KEYS).await;
    let first = changes(&ports, Cursor::default()).await.expect("what has come");
    assert_eq!((ids(&first), first.more), (vec!["a"], true));
    let error = changes(&ports, first.next).await.expect_err("still failing");
    assert_eq!(error.kind, Kind::Other, "{error}");
    let rest = changes(&ports, first.next).await.expect("changes");
    assert_eq!((ids(&rest), rest.more), (vec!["b"], false));
    assert_eq!(count(&server, "Scan"), 1);
}

#[tokio::test]
async fn who_is_offline_or_expired_is_told_so_and_loses_nothing() {
    let server = table(|asked, before| match (asked, before) {
        ("DescribeTable", 0) => Some(refused("ExpiredTokenException")),
        ("GetRecords it-1", ..3) => Some(Reply::Lost),
        ("GetRecords it-1", _) => {
            Some(ok(&value!({ "Records": [record("new", 1)], "NextShardIterator": "it-1" })))
        }
        _ => None,
    });
    let ports = flock(server.address, KEYS).await;
    assert_eq!(changes(&ports, Cursor::default()).await.expect_err("expired").kind, Kind::Expired);
    let first = changes(&ports, Cursor::default()).await.expect("renewed");
    assert_eq!(first.mode, Mode::Stream);
    assert_eq!(changes(&ports, first.next).await.expect_err("away").kind, Kind::Offline);
    assert_eq!(ids(&changes(&ports, first.next).await.expect("back")), ["new"]);
    assert_eq!(count(&server, "Scan"), 1);
}
