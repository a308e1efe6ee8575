//! The real program against moto: from PutObject to the row and the job. S3's notifications are put into the queue by
//! the test, in S3's words, and handed over over the Runtime API.
//!
//! Gaps of moto 5.2.5 that a test steps around: it sends no notification of an upload to a queue; a job that is
//! submitted is over at once when Docker is off, so no job is ever seen waiting.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::emulator::Emulator;
use support::flock::{CANARY, Flock, notification, text};
use support::gate::{self, Gate};
use support::runtime::{Invocation, Lambda};
use support::zips::{of_every_tool, small};

fn set(environment: &mut Vec<(String, String)>, name: &str, value: &str) {
    environment.retain(|(known, _)| known != name);
    environment.push((name.to_owned(), value.to_owned()));
}

/// The environment of a function whose requests go through a gate.
fn through(flock: &Flock, gate: &Gate, handler: &str) -> Vec<(String, String)> {
    let mut environment = flock.environment_of(handler);
    set(&mut environment, "AWS_ENDPOINT_URL", &gate.url());
    environment
}

/// Hands over what is in the queue until it is empty, and deletes what is done as the mapping does; gives how many
/// invocations it took.
fn pump(flock: &Flock, lambda: &mut Lambda) -> usize {
    let mut invocations = 0;
    while let Some(event) = flock.event() {
        let answer = lambda.invoke(&event).response();
        flock.settle(&event, &answer);
        invocations += 1;
        assert!(invocations < 1_000, "the queue does not become empty");
    }
    invocations
}

fn row_of<'a>(rows: &'a [Value], name: &str, value: &str) -> &'a Value {
    let found: Vec<_> = rows.iter().filter(|row| row[name]["S"] == json!(value)).collect();
    assert_eq!(found.len(), 1, "rows with {name}={value}");
    found[0]
}

#[test]
fn one_upload_becomes_one_row_and_one_plain_job_as_the_contract_has_them() {
    let flock = Flock::new(Emulator::moto());
    let gate = Gate::before(&flock.emulator);
    let mut lambda = Lambda::start(&through(&flock, &gate, "scheduler"));
    let variables = json!({
        "word": "a b", "Number": 30, "yes": true, "none": null, "list": [1, "x"], "map": { "a": {} }, "empty": "",
        "TAG": "run 7",
    });
    let key = "my folder/é+1%.zip";
    flock.notify(key, &flock.put(key, &small(&variables)));
    assert_eq!(pump(&flock, &mut lambda), 1);

    let rows = flock.rows();
    assert_eq!(rows.len(), 1, "{}", lambda.log());
    let row = &rows[0];
    for (name, wanted) in [
        ("word", json!({ "S": "a b" })),
        ("Number", json!({ "N": "30" })),
        ("yes", json!({ "BOOL": true })),
        ("none", json!({ "NULL": true })),
        ("list", json!({ "L": [{ "N": "1" }, { "S": "x" }] })),
        ("map", json!({ "M": { "a": { "M": {} } } })),
        ("empty", json!({ "S": "" })),
        ("TAG", json!({ "S": "run 7" })),
        ("START_TIME", json!({ "S": "not_yet_initiated" })),
        ("JOB_STATUS", json!({ "S": "not_yet_initiated" })),
    ] {
        assert_eq!(row[name], wanted, "{name}");
    }
    let ends: i64 = text(&row["END_TIME"]["N"]).parse().expect("seconds");
    let now = i64::try_from(support::runtime::now_ms() / 1_000).expect("seconds");
    assert!((ends - now - 30 * 86_400).abs() < 120, "END_TIME is {ends}");

    let id = text(&row["UUID"]["S"]);
    let submissions = gate.submissions();
    assert_eq!(submissions.len(), 1);
    let job = &submissions[0];
    assert_eq!((&job["jobName"], &job["jobQueue"]), (&json!(id), &json!(flock.job_queue)));
    assert_eq!(job["jobDefinition"], json!(flock.job_definition));
    assert_eq!(job.get("arrayProperties"), None);
    let environment = job["containerOverrides"]["environment"].as_array().expect("an environment");
    let wanted = [("UUID", id.as_str()), ("INPUT_ZIP_NAME", key), ("IS_INVOKED", "False")];
    assert_eq!(environment.len(), wanted.len(), "{environment:?}");
    for (name, value) in wanted {
        assert!(gate::has(job, name, value), "{name}: {environment:?}");
    }
    // A second delivery finds the first one's row.
    let version = flock.put("other.zip", &small(&json!({})));
    flock.send(&notification(&flock.bucket, "other.zip", Some(&version)));
    flock.send(&notification(&flock.bucket, "other.zip", Some(&version)));
    pump(&flock, &mut lambda);
    flock.send(&notification(&flock.bucket, "other.zip", Some(&version)));
    pump(&flock, &mut lambda);
    assert_eq!((flock.rows().len(), gate.submissions().len()), (2, 2));
    assert_eq!(flock.depth(), (0, 0));
}

#[test]
fn archives_of_every_tool_become_rows_and_one_array_with_a_manifest() {
    let flock = Flock::new(Emulator::moto());
    let gate = Gate::before(&flock.emulator);
    let mut lambda = Lambda::start(&through(&flock, &gate, "scheduler"));
    let archives = of_every_tool(&json!({ "sample": "a b" }));
    let odd = [
        "plain",
        "with space",
        "ünï/code",
        "plus+percent%25",
        "a=b&c",
        "quote\"'",
        "日本語",
        "~!*()",
        "UPPER.ZIP.bak",
        "deep/er/est",
        "no-suffix",
    ];
    let mut keys = BTreeMap::new();
    let mut records = Vec::new();
    for (archive, name) in archives.iter().zip(odd) {
        let version = flock.put(name, &archive.bytes);
        keys.insert(archive.name, name);
        // Several records in one message, as S3 may send them.
        records.extend(
            notification(&flock.bucket, name, Some(&version))["Records"].as_array().cloned().expect("one"),
        );
    }
    for some in records.chunks(4) {
        flock.send(&json!({ "Records": some }));
    }
    assert_eq!(pump(&flock, &mut lambda), 1, "one invocation takes them all");

    let rows = flock.rows();
    assert_eq!(rows.len(), archives.len(), "{}", lambda.log());
    for (tool, key) in &keys {
        let row = row_of(&rows, "made_by", tool);
        assert_eq!(row["sample"], json!({ "S": "a b" }), "{tool}");
        assert_eq!(row["JOB_STATUS"], json!({ "S": "not_yet_initiated" }), "{tool}");
        let rest = text(&row["SHEPARD_ROW"]["S"]);
        let rest: Value = serde_json::from_str(&rest).expect("JSON");
        assert!(rest.to_string().contains(&json!(key).to_string()), "{tool}: {rest}");
    }
    let submissions = gate.submissions();
    assert_eq!(submissions.len(), 1, "one array for all");
    let job = &submissions[0];
    assert_eq!(job["arrayProperties"]["size"], json!(archives.len()));
    let batch = text(&job["jobName"]);
    let manifest_key = format!(".shepard/manifests/{batch}");
    for (name, value) in [
        ("UUID", batch.as_str()),
        ("INPUT_ZIP_NAME", "None"),
        ("IS_INVOKED", "True"),
        ("SHEPARD_MANIFEST", &manifest_key),
    ] {
        assert!(gate::has(job, name, value), "{name}: {job}");
    }
    // Each row is in the manifest once; its place is the child that runs it.
    let manifest = flock.get(&manifest_key);
    let records: Vec<&str> = std::str::from_utf8(&manifest[1_024..]).expect("text").lines().collect();
    assert_eq!(records.len(), archives.len());
    for row in &rows {
        let id = text(&row["UUID"]["S"]);
        assert_eq!(records.iter().filter(|record| record.contains(&id)).count(), 1, "{id}");
    }
    let submitted = flock.get(&format!(".shepard/submitted/{batch}"));
    let jobs = flock.jobs();
    assert!(jobs.iter().any(|job| job["jobId"].as_str().map(str::as_bytes) == Some(&submitted)), "{jobs:?}");
    assert_eq!(flock.depth(), (0, 0));
}

#[test]
fn the_environment_of_an_old_stack_makes_plain_jobs_of_any_bucket() {
    let flock = Flock::new(Emulator::moto());
    let gate = Gate::before(&flock.emulator);
    let mut environment = flock.old_environment();
    set(&mut environment, "_HANDLER", "scheduler");
    set(&mut environment, "AWS_ENDPOINT_URL", &gate.url());
    let mut lambda = Lambda::start(&environment);
    for n in 0..3 {
        let key = format!("{n}.zip");
        flock.notify(&key, &flock.put(&key, &small(&json!({ "n": n }))));
    }
    while let Some(event) = flock.event() {
        // Its mapping hands over one message at a time and does not read the answer.
        for record in event["Records"].as_array().expect("records") {
            let event = json!({ "Records": [record] });
            let answer = lambda.invoke(&event).response();
            assert_eq!(answer["statusCode"], json!(200));
            assert_eq!(answer["body"], json!("\"shepard-project scheduler executed successfully!\""));
            flock.settle(&event, &answer);
        }
    }
    assert_eq!((flock.rows().len(), gate.submissions().len()), (3, 3));
    assert!(gate.submissions().iter().all(|job| job.get("arrayProperties").is_none()));
    assert_eq!(flock.depth(), (0, 0));
}

#[test]
fn what_is_the_uploads_own_fault_gets_a_failed_row_with_the_reason() {
    let flock = Flock::new(Emulator::moto());
    let gate = Gate::before(&flock.emulator);
    let mut lambda = Lambda::start(&through(&flock, &gate, "scheduler"));
    flock.boto.call("s3", "create_bucket", &json!({ "Bucket": "another-bucket" }));
    let put = json!({ "Bucket": "another-bucket", "Key": "a.zip", "Body": "x" });
    flock.boto.call("s3", "put_object", &put);
    flock.send(&notification("another-bucket", "a.zip", None));
    let gone = flock.put("gone.zip", &small(&json!({ "a": CANARY })));
    flock.boto.call(
        "s3",
        "delete_object",
        &json!({ "Bucket": flock.bucket, "Key": "gone.zip", "VersionId": gone }),
    );
    flock.notify("gone.zip", &gone);
    flock.notify("text.zip", &flock.put("text.zip", b"not a zip"));
    flock.notify("empty.zip", &flock.put("empty.zip", b""));
    let reserved = json!({ "secret": CANARY, "uuid": CANARY });
    flock.notify("reserved.zip", &flock.put("reserved.zip", &small(&reserved)));
    flock.notify("good.zip", &flock.put("good.zip", &small(&json!({ "good": CANARY }))));
    flock.send(&json!("not JSON"));
    flock.send(&json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": flock.bucket }));
    flock.notify(".shepard/manifests/x", &flock.put(".shepard/manifests/x", b"ours"));
    pump(&flock, &mut lambda);

    let rows = flock.rows();
    assert_eq!(rows.len(), 6, "{}", lambda.log());
    let failed: Vec<_> = rows.iter().filter(|row| row["SHEPARD_OUTCOME"].is_object()).collect();
    assert_eq!(failed.len(), 5);
    for (key, reason) in [
        ("another-bucket", "takes its inputs from"),
        ("gone.zip", "removed before it was read"),
        ("text.zip", "zip"),
        ("empty.zip", "zip"),
        ("reserved.zip", "reserved keyword"),
    ] {
        let about: Vec<String> = failed
            .iter()
            .map(|row| text(&row["SHEPARD_ROW"]["S"]))
            .filter(|rest| rest.contains(key))
            .collect();
        assert_eq!(about.len(), 1, "{key}");
        assert!(about[0].contains(reason), "{key}: {}", about[0]);
    }
    assert_eq!(gate.submissions().len(), 1, "only the good one");
    assert_eq!(flock.depth(), (0, 0), "none of them stays in the queue");
    assert!(!lambda.log().contains(CANARY), "{}", lambda.log());
}

#[test]
fn a_packed_burst_starts_fewer_containers() {
    let flock = Flock::new(Emulator::moto());
    let gate = Gate::before(&flock.emulator);
    let mut environment = through(&flock, &gate, "scheduler");
    set(&mut environment, "SHEPARD_PACK", "4");
    let mut lambda = Lambda::start(&environment);
    for n in 0..9 {
        let key = format!("{n}.zip");
        flock.notify(&key, &flock.put(&key, &small(&json!({ "n": n }))));
    }
    pump(&flock, &mut lambda);
    let submissions = gate.submissions();
    assert_eq!((flock.rows().len(), submissions.len()), (9, 1), "{}", lambda.log());
    assert_eq!(submissions[0]["arrayProperties"]["size"], json!(3));
    assert!(gate::has(&submissions[0], "SHEPARD_PACK", "4"));
}

#[test]
fn a_burst_is_drained_by_one_invocation() {
    let flock = Flock::new(Emulator::moto());
    let gate = Gate::before(&flock.emulator);
    let mut lambda = Lambda::start(&through(&flock, &gate, "scheduler"));
    for n in 0..60 {
        let key = format!("{n}.zip");
        flock.notify(&key, &flock.put(&key, &small(&json!({ "n": n }))));
    }
    // How many it takes beyond the ten it is given is a question of time; that it takes more is not.
    let invocations = pump(&flock, &mut lambda);
    assert!(invocations < 6, "{invocations} invocations for 60 messages");
    let children: u64 =
        gate.submissions().iter().map(|job| job["arrayProperties"]["size"].as_u64().unwrap_or(1)).sum();
    assert_eq!((flock.rows().len(), children), (60, 60), "{}", lambda.log());
    assert_eq!(flock.depth(), (0, 0));
}

#[test]
fn the_endpoint_answers_with_ids_and_a_repeated_call_makes_no_second_job() {
    let flock = Flock::new(Emulator::moto());
    let gate = Gate::before(&flock.emulator);
    let mut lambda = Lambda::start(&through(&flock, &gate, "endpoint"));
    let one = lambda.invoke(json!({ "word": "a b", "SHEPARD_IDEMPOTENCY_KEY": "k1" })).response();
    assert_eq!((&one["statusCode"], &one["status"]), (&json!(200), &json!("submitted")), "{one}");
    assert_eq!(one["body"], json!("\"shepard-project scheduler executed successfully!\""));
    let again = lambda.invoke(json!({ "word": "a b", "SHEPARD_IDEMPOTENCY_KEY": "k1" })).response();
    assert_eq!((&again["uuid"], &again["status"]), (&one["uuid"], &json!("known")), "{again}");
    assert_eq!(again["jobId"], one["jobId"]);
    let rows = flock.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["word"], &rows[0]["UUID"]["S"]), (&json!({ "S": "a b" }), &one["uuid"]));
    assert!(rows[0].get("SHEPARD_IDEMPOTENCY_KEY").is_none(), "the key is no variable");
    let job = &gate.submissions()[0];
    assert!(gate::has(job, "INPUT_ZIP_NAME", "None") && gate::has(job, "IS_INVOKED", "True"), "{job}");

    // Without a key, Lambda's own repetition of a call is known by the request's id.
    let call = Invocation::new(json!({ "n": 1 }));
    let first = lambda.invoke_with(call.clone()).response();
    let second = lambda.invoke_with(call).response();
    assert_eq!((&first["uuid"], &second["status"]), (&second["uuid"], &json!("known")));
    let other = lambda.invoke(json!({ "n": 1 })).response();
    assert_ne!(other["uuid"], first["uuid"]);

    let list =
        json!({ "SHEPARD_JOBS": [{ "n": 1 }, { "n": 2 }, { "n": 3 }], "SHEPARD_IDEMPOTENCY_KEY": "k2" });
    let many = lambda.invoke(&list).response();
    let jobs = many["jobs"].as_array().expect("jobs");
    assert_eq!((jobs.len(), &many["statusCode"]), (3, &json!(200)), "{many}");
    assert!(jobs.iter().all(|job| job["status"] == json!("submitted")), "{many}");
    let repeated = lambda.invoke(&list).response();
    let ids = |said: &Value| {
        said["jobs"].as_array().map(|jobs| jobs.iter().map(|job| job["uuid"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(ids(&repeated), ids(&many));
    assert_eq!(flock.rows().len(), 6);
    let bare = lambda.invoke(json!([{ "n": 4 }])).response();
    assert_eq!(bare["jobs"].as_array().map(Vec::len), Some(1), "a list is answered with a list: {bare}");
}

#[test]
fn the_reconciler_submits_a_job_that_a_killed_scheduler_left() {
    left_by_a_killed_scheduler(1, "submitted");
}

#[test]
fn the_reconciler_submits_a_batch_that_a_killed_scheduler_left() {
    left_by_a_killed_scheduler(4, "batches");
}

fn left_by_a_killed_scheduler(uploads: usize, counted: &str) {
    let flock = Flock::new(Emulator::moto());
    let gate = Gate::before(&flock.emulator);
    let with_grace = |handler| {
        let mut environment = through(&flock, &gate, handler);
        set(&mut environment, "SHEPARD_LEASE_SECONDS", "1");
        set(&mut environment, "SHEPARD_BATCH_GRACE_SECONDS", "1");
        environment
    };
    // The scheduler dies when it wants to submit: the rows are there, the jobs are not. Its messages are lost.
    let lambda = Lambda::start(&with_grace("scheduler"));
    gate.fail(|request| {
        gate::is_submit(request).then(|| {
            std::thread::sleep(std::time::Duration::from_secs(600));
            gate::too_many_requests()
        })
    });
    for n in 0..uploads {
        let key = format!("{n}.zip");
        flock.notify(&key, &flock.put(&key, &small(&json!({ "n": n }))));
    }
    lambda.hand_over(Invocation::new(flock.event().expect("an event")));
    while gate.count(gate::is_submit) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(lambda);
    gate.heal();
    assert_eq!((flock.rows().len(), flock.jobs().len()), (uploads, 0));
    // What is younger than the grace is somebody's still.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let mut reconciler = Lambda::start(&with_grace("reconciler"));
    let first = gate.submissions()[0]["jobName"].clone();
    let asked = || gate.submissions().iter().filter(|job| job["jobName"] == first).count();
    let before = asked();
    let done = reconciler.invoke(json!({ "detail-type": "Scheduled Event" })).response();
    assert_eq!((&done[counted], &done["whole"]), (&json!(1), &json!(true)), "{done}\n{}", reconciler.log());
    assert_eq!(asked(), before + 1);
    // Rows whose array is over without having run them, as moto's are at once, get a job each; the array is not
    // submitted again.
    reconciler.invoke(json!({})).response();
    assert_eq!(asked(), before + 1);
}
