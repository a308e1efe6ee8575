//! The whole way on MiniStack: an upload to S3, S3's own notification, SQS, the event source mapping, and this program
//! run by MiniStack as a `provided.al2023` function from a zip, without Docker.
//!
//! Gaps of MiniStack 1.5.33 that a test steps around: a job of Batch keeps its name and forgets its overrides and
//! its array, and is over at once, so what was submitted is read off the requests, which go through a proxy on
//! their way; a job definition loses its parameters and its retry strategy, and none is needed here; a function's
//! region and `AWS_ENDPOINT_URL` are MiniStack's own whatever its configuration says, but the endpoint of one service
//! is not; it hands over the messages of a burst in an order and in company of its own, so no count of batches is
//! asserted.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::io::{Cursor, Write};
use std::time::Duration;

use serde_json::{Value, json};
use support::emulator::Emulator;
use support::flock::{CANARY, Flock, base64, text};
use support::gate::{self, Gate};
use support::runtime::{PATIENCE, now_ms, program};
use support::zips::{of_every_tool, small};

/// The zip of a function, as `cargo xtask lambda` makes it.
fn package() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .unix_permissions(0o755)
        .large_file(false);
    zip.start_file("bootstrap", options).expect("an entry");
    zip.write_all(&std::fs::read(program()).expect("the program")).expect("its bytes");
    zip.finish().expect("a zip").into_inner()
}

/// The three functions of a flock and its mapping, as our template has them; Batch through a gate.
fn deploy(flock: &Flock, gate: &Gate) {
    let role = text(&flock.boto.call("iam", "get_role", &json!({ "RoleName": "shepard" }))["Role"]["Arn"]);
    let code = base64(&package());
    for handler in ["scheduler", "endpoint", "reconciler"] {
        let mut variables: serde_json::Map<String, Value> =
            flock.environment().into_iter().map(|(name, value)| (name, json!(value))).collect();
        variables.insert("AWS_ENDPOINT_URL_BATCH".to_owned(), json!(gate.url()));
        let function = json!({
            "FunctionName": handler, "Runtime": "provided.al2023", "Handler": handler, "Role": role,
            "Code": { "ZipFile": { "$bytes": code } }, "Timeout": 30, "MemorySize": 128,
            "Environment": { "Variables": variables },
        });
        flock.boto.call("lambda", "create_function", &function);
    }
    let mapping = json!({
        "FunctionName": "scheduler", "EventSourceArn": flock.queue_arn, "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    });
    flock.boto.call("lambda", "create_event_source_mapping", &mapping);
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": flock.queue_arn,
    }] });
    let attributes = json!({ "QueueUrl": flock.queue_url, "Attributes": { "Policy": policy.to_string() } });
    flock.boto.call("sqs", "set_queue_attributes", &attributes);
    let notify =
        json!({ "QueueConfigurations": [{ "QueueArn": flock.queue_arn, "Events": ["s3:ObjectCreated:*"] }] });
    let notify = json!({ "Bucket": flock.bucket, "NotificationConfiguration": notify });
    flock.boto.call("s3", "put_bucket_notification_configuration", &notify);
}

/// Waits until it holds.
#[track_caller]
fn until(flock: &Flock, what: &str, mut holds: impl FnMut() -> bool) {
    let end = now_ms() + PATIENCE.as_millis() as u64;
    while !holds() {
        assert!(now_ms() < end, "{what}; MiniStack's log:\n{}", flock.emulator.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn children(gate: &Gate) -> u64 {
    gate.submissions().iter().map(|job| job["arrayProperties"]["size"].as_u64().unwrap_or(1)).sum()
}

fn invoke(flock: &Flock, function: &str, payload: &Value) -> (Value, Value) {
    let asked = json!({ "FunctionName": function, "Payload": payload.to_string() });
    let mut said = flock.boto.call("lambda", "invoke", &asked);
    let payload = text(&said["Payload"]["$bytes"]);
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, payload).expect("base64");
    (serde_json::from_slice(&bytes).expect("JSON"), said["FunctionError"].take())
}

#[test]
fn an_upload_becomes_a_row_and_a_job_by_s3s_own_notification() {
    let flock = Flock::new(Emulator::ministack());
    let gate = Gate::before(&flock.emulator);
    deploy(&flock, &gate);
    let key = "my folder/é+1.zip";
    flock.put(key, &small(&json!({ "word": CANARY, "n": 1 })));
    until(&flock, "one job", || gate.submissions().len() == 1);
    let rows = flock.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["word"], json!({ "S": CANARY }));
    let job = &gate.submissions()[0];
    assert_eq!(job["jobName"], rows[0]["UUID"]["S"]);
    for (name, value) in [
        ("UUID", text(&rows[0]["UUID"]["S"])),
        ("INPUT_ZIP_NAME", key.to_owned()),
        ("IS_INVOKED", "False".to_owned()),
    ] {
        assert!(gate::has(job, name, &value), "{name}: {job}");
    }
    // The test event that S3 sent first, and the messages that are done, are gone.
    until(&flock, "an empty queue", || flock.depth() == (0, 0));

    // What nobody can make a job of gets its row and leaves the queue.
    flock.put("broken.zip", b"not a zip");
    until(&flock, "a second row", || flock.rows().len() == 2);
    until(&flock, "an empty queue", || flock.depth() == (0, 0));
    assert_eq!(gate.submissions().len(), 1);
    let failed = flock.rows().into_iter().filter(|row| row["SHEPARD_OUTCOME"].is_object()).count();
    assert_eq!(failed, 1);
    // MiniStack's log holds the function's.
    let log = flock.emulator.log();
    assert!(log.contains("invocation done"), "{log}");
    assert!(!log.contains(CANARY), "{log}");
}

#[test]
fn a_burst_of_archives_of_every_tool_becomes_rows_and_array_jobs() {
    let flock = Flock::new(Emulator::ministack());
    let gate = Gate::before(&flock.emulator);
    deploy(&flock, &gate);
    let archives = of_every_tool(&json!({ "sample": "a b" }));
    for (n, archive) in archives.iter().enumerate() {
        flock.put(&format!("{n}/ünï ({n}) + 100%.zip"), &archive.bytes);
    }
    for n in 0..40 {
        flock.put(&format!("burst/{n}.zip"), &small(&json!({ "made_by": format!("burst {n}") })));
    }
    let all = 40 + archives.len();
    until(&flock, "all rows", || flock.rows().len() == all);
    until(&flock, "all jobs", || children(&gate) == all as u64);
    until(&flock, "an empty queue", || flock.depth() == (0, 0));
    let made: BTreeSet<String> = flock.rows().iter().map(|row| text(&row["made_by"]["S"])).collect();
    assert_eq!(made.len(), all, "every upload has one row");
    // Every row is a job of its own or in one manifest, at one place.
    let mut placed = BTreeSet::new();
    for job in gate.submissions() {
        let name = text(&job["jobName"]);
        if gate::has(&job, "IS_INVOKED", "False") {
            assert!(placed.insert(name));
            continue;
        }
        let manifest = flock.get(&format!(".shepard/manifests/{name}"));
        for record in std::str::from_utf8(&manifest[1_024..]).expect("text").lines() {
            let id = record.trim_matches([' ', '-']);
            assert!(id.is_empty() || placed.insert(id.to_owned()), "{id} is in two jobs");
        }
    }
    let ids: BTreeSet<String> = flock.rows().iter().map(|row| text(&row["UUID"]["S"])).collect();
    assert_eq!(placed, ids);
}

#[test]
fn the_endpoint_and_the_reconciler_are_invoked_as_functions() {
    let flock = Flock::new(Emulator::ministack());
    let gate = Gate::before(&flock.emulator);
    deploy(&flock, &gate);
    let (one, error) = invoke(&flock, "endpoint", &json!({ "word": "a b" }));
    assert_eq!(
        (&one["statusCode"], &one["status"], error),
        (&json!(200), &json!("submitted"), Value::Null),
        "{one}"
    );
    let (refused, error) = invoke(&flock, "endpoint", &json!([{ "uuid": 1 }]));
    assert_eq!((&refused["statusCode"], error), (&json!(400), Value::Null), "{refused}");
    let (done, error) = invoke(&flock, "reconciler", &json!({ "detail-type": "Scheduled Event" }));
    assert_eq!((&done["rows"], &done["failed"], error), (&json!(1), &json!(0), Value::Null), "{done}");
    let (fault, error) = invoke(&flock, "scheduler", &json!({ "word": CANARY }));
    assert_eq!((&fault["errorType"], error.is_string()), (&json!("Shepard.NotAnSqsEvent"), true), "{fault}");
    assert!(!flock.emulator.log().contains(CANARY));
}

#[test]
fn messages_that_meet_trouble_come_again_and_end_well() {
    let flock = Flock::new(Emulator::ministack());
    let gate = Gate::before(&flock.emulator);
    deploy(&flock, &gate);
    // More refusals than an invocation has tries; then the service takes jobs again.
    gate.fail(|request| gate::is_submit(request).then(gate::too_many_requests));
    for n in 0..3 {
        flock.put(&format!("{n}.zip"), &small(&json!({ "n": n })));
    }
    until(&flock, "three rows", || flock.rows().len() == 3);
    until(&flock, "refusals", || gate.count(gate::is_submit) > 3);
    assert_eq!(flock.jobs().len(), 0);
    gate.heal();
    until(&flock, "three jobs", || {
        let rows: BTreeSet<String> = flock.rows().iter().map(|row| text(&row["UUID"]["S"])).collect();
        rows.len() == 3 && !flock.jobs().is_empty() && flock.depth() == (0, 0)
    });
}
