//! What the services say when they do not do as asked, in their own words, and what the ports make of it.
//!
//! The product has no mock: its clients speak to a server on loopback that answers with the bodies of the real
//! services. What has to be known for each is the kind, what a person reads, and how often it was asked.

#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg(all(feature = "account", feature = "local"))]

use std::net::SocketAddr;

use shepard_cloud::aws::{self, AwsSettings, Jobs, Profile};
use shepard_cloud::ports::{Applied, Buckets, JobRequest, Put, Range, Secret};
use shepard_cloud::{CloudError, Kind, Ports};
use shepard_model::{Fence, Inputs, JobId, JobRow, ObjectRef, Shape, Transition};

use answers::answers;
use server::{Reply, Request, Server, reply};

mod answers;
mod console;
mod follow;
mod server;
#[cfg(feature = "account")]
mod stacks;
mod writers;

/// A value of the user's, which nothing may repeat.
const CANARY: &str = "canary-3f1c9a57";

/// A flock whose services are all at one address, with a profile's own lines for the credentials.
async fn flock(address: SocketAddr, credentials: &str) -> Ports {
    let bucket = |name: &str| name.to_owned();
    let settings = AwsSettings {
        buckets: Buckets {
            inputs: bucket("inputs"),
            outputs: bucket("outputs"),
            quick_deploy: bucket("code"),
            errors: bucket("errors"),
        },
        table: "table".into(),
        queue: Some("http://127.0.0.1/1/queue".into()),
        dead_letters: None,
        jobs: Some(Jobs { queue: "jobs".into(), definition: "definition:3".into() }),
        secrets: Some("flock-secrets".into()),
        keep_days: 30,
        profile: profile(address, credentials),
    };
    aws::connect(settings).await.ports()
}

/// A profile of its own for services that are all at one address. Its file is read again with every look for
/// credentials, so it has to stay.
fn profile(address: SocketAddr, credentials: &str) -> Profile {
    static PROFILES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = PROFILES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("config-{}-{number}", std::process::id());
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lines = format!("[profile p]\nregion = eu-west-1\nendpoint_url = http://{address}\n{credentials}\n");
    std::fs::write(&file, lines).expect("a profile");
    Profile { name: Some("p".into()), file: Some(file), ..Profile::default() }
}

const KEYS: &str = "aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = not-a-secret";

fn object() -> ObjectRef {
    ObjectRef::new("inputs", "a b.zip")
}

fn row() -> JobRow {
    let inputs = Inputs::from_json(&format!(r#"{{"secret":"{CANARY}","n":1.5}}"#)).expect("inputs");
    JobRow::arrived(JobId::parse("job-1").expect("id"), Some(object()), inputs, 1_700_000_000_000, 30)
}

fn request() -> JobRequest {
    let environment = vec![("UUID".to_owned(), "job-1".to_owned())];
    JobRequest { name: "job-1".into(), environment, shape: Shape::default(), children: 1 }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Get,
    GetVersion,
    Head,
    List,
    PutNew,
    Receive,
    Send,
    Release,
    ReadRow,
    WriteRow,
    Submit,
    Describe,
    ReadSecrets,
    WriteSecrets,
}

async fn call(ports: &Ports, call: Call) -> Result<(), CloudError> {
    let suffix = Range::Suffix(100);
    match call {
        Call::Get => ports.objects.get(&object(), suffix).await.map(drop),
        Call::GetVersion => ports.objects.get(&object().at("v"), suffix).await.map(drop),
        Call::Head => ports.objects.head(&object().at("v")).await.map(drop),
        Call::List => ports.objects.list("inputs", "x/", None).await.map(drop),
        Call::PutNew => ports.objects.put_new(&object(), b"x").await.map(drop),
        Call::Receive => ports.queue.receive(5, 1_000).await.map(drop),
        Call::Send => ports.queue.send(&[CANARY.to_owned()], 0).await,
        Call::Release => ports.queue.release("receipt", 0).await,
        Call::ReadRow => ports.table.get(&row().id).await.map(drop),
        Call::WriteRow => ports.table.put_new(&row()).await.map(drop),
        Call::Submit => ports.compute.submit(&request()).await.map(drop),
        Call::ReadSecrets => ports.secrets.read().await.map(drop),
        Call::WriteSecrets => {
            let secret = Secret { name: "token".into(), bytes: CANARY.into() };
            ports.secrets.write(&[secret]).await.map(drop)
        }
        Call::Describe => ports.compute.describe(&["id".to_owned()]).await.map(drop),
    }
}

fn xml(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>4442587FB7D0A2F9</RequestId><HostId>h</HostId></Error>"
    );
    reply(status, &body).with("content-type", "application/xml").with("x-amz-request-id", "4442587FB7D0A2F9")
}

fn json(status: u16, code: &str, message: &str) -> Reply {
    reply(status, &serde_json::json!({ "__type": code, "message": message }).to_string())
        .with("content-type", "application/x-amz-json-1.0")
        .with("x-amzn-requestid", "0123")
}

/// Batch names the error in a header.
fn rest(status: u16, code: &'static str, message: &str) -> Reply {
    reply(status, &serde_json::json!({ "message": message }).to_string())
        .with("content-type", "application/json")
        .with("x-amzn-errortype", code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_refuses_has_a_kind_and_its_words() {
    let cases = answers().into_iter().map(|(made, answer, kind, says, sent)| async move {
        let given = answer.clone();
        let server = Server::start(move |_, _| given.clone());
        let error = call(&flock(server.address, KEYS).await, made).await.expect_err("refused");
        let context = format!("{made:?} {answer:?}\n{error}\n{error:?}");
        assert_eq!(error.kind, kind, "{context}");
        assert!(error.to_string().contains(says), "{says:?} is not in {context}");
        assert_eq!(server.requests().len(), sent, "{context}");
        assert!(!context.replace(&format!("{answer:?}"), "").contains(CANARY), "{context}");
    });
    futures_util::future::join_all(cases).await;
}

#[tokio::test]
async fn an_answer_to_head_says_no_reason_and_a_get_does() {
    for (status, asked, kind) in [
        (403, xml(400, "ExpiredToken", "The provided token has expired."), Kind::Expired),
        (403, xml(403, "AccessDenied", "Access Denied"), Kind::Denied),
        (400, xml(400, "InvalidArgument", "Invalid version id specified"), Kind::NotFound),
    ] {
        let server = Server::start(move |request, _| match request.method.as_str() {
            "HEAD" => reply(status, ""),
            _ => asked.clone(),
        });
        let error = call(&flock(server.address, KEYS).await, Call::Head).await.expect_err("refused");
        assert_eq!(error.kind, kind, "{error}");
        let methods: Vec<_> = server.requests().into_iter().map(|request| request.method).collect();
        assert_eq!(methods, ["HEAD", "GET"]);
    }
}

#[tokio::test]
async fn an_empty_object_has_no_bytes_in_any_range() {
    let none = || xml(416, "InvalidRange", "The requested range is not satisfiable");
    for answer in [none().with("content-range", "bytes */0"), none()] {
        let server = Server::start(move |request, _| match request.method.as_str() {
            "HEAD" => reply(200, "").with("content-length", "0"),
            _ => answer.clone(),
        });
        let ports = flock(server.address, KEYS).await;
        let part = ports.objects.get(&object(), Range::Suffix(65_636)).await.expect("an empty part");
        assert_eq!((part.bytes.len(), part.start, part.total), (0, 0, 0));
    }
}

#[tokio::test]
async fn a_store_that_sends_the_whole_object_is_cut() {
    let server = Server::start(|_, _| reply(200, "0123456789"));
    let ports = flock(server.address, KEYS).await;
    for (range, bytes, start) in [
        (Range::Suffix(3), "789", 7),
        (Range::Suffix(30), "0123456789", 0),
        (Range::From { start: 2, length: 3 }, "234", 2),
        (Range::From { start: 12, length: 3 }, "", 10),
    ] {
        let part = ports.objects.get(&object(), range).await.expect("get");
        assert_eq!(
            (part.bytes.as_slice(), part.start, part.total),
            (bytes.as_bytes(), start, 10),
            "{range:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_object() {
    let server = Server::start(|_, _| {
        reply(206, "0123")
            .with("content-range", "bytes 0-9/10")
            .with("content-length", "10")
            .with("connection", "close")
    });
    let ports = flock(server.address, KEYS).await;
    let error = ports.objects.get(&object(), Range::Suffix(10)).await.expect_err("four bytes of ten");
    assert_eq!(error.kind, Kind::Offline, "{error}");
}

#[tokio::test]
async fn nobody_answers_at_a_closed_port() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let ports = flock(address, KEYS).await;
    for made in [Call::Get, Call::Receive, Call::ReadRow, Call::Submit] {
        let error = call(&ports, made).await.expect_err("nobody there");
        assert_eq!(error.kind, Kind::Offline, "{error}");
        assert!(error.to_string().contains("onnect"), "{error}");
    }
}

/// `AWS_ENDPOINT_URL_S3` is the same setting in the environment.
#[tokio::test]
async fn the_endpoint_of_one_service_is_its_own() {
    let (others, s3) = (Server::start(|_, _| reply(200, "{}")), Server::start(|_, _| reply(200, "0123")));
    let own = format!("{KEYS}\nservices = s\n\n[services s]\ns3 =\n  endpoint_url = http://{}", s3.address);
    let ports = flock(others.address, &own).await;
    assert_eq!(ports.objects.get(&object(), Range::Suffix(9)).await.expect("get").bytes, b"0123");
    assert_eq!(ports.table.get(&row().id).await.expect("get"), None);
    let target = s3.requests().remove(0).target;
    assert!(target.starts_with("/inputs/a%20b.zip"), "the bucket is in the path: {target}");
    assert_eq!((s3.requests().len(), others.requests().len()), (1, 1));
    // Where only all services have one, so has S3.
    flock(s3.address, KEYS).await.objects.get(&object(), Range::Suffix(9)).await.expect("get");
    assert!(s3.requests().remove(1).target.starts_with("/inputs/"));
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_said_so() {
    let server = Server::start(|_, _| reply(200, ""));
    let process = "credential_process = sh -c 'echo no session for $0 >&2; exit 3' me";
    let ports = flock(server.address, process).await;
    for made in [Call::Get, Call::Receive, Call::ReadRow, Call::Submit] {
        let error = call(&ports, made).await.expect_err("no credentials");
        assert_eq!(error.kind, Kind::Auth, "{error}\n{error:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_key_that_is_taken_is_not_ours_unless_we_wrote_it() {
    // Somebody else's object.
    let server = Server::start(|request, _| match request.method.as_str() {
        "HEAD" => reply(200, "").with("x-amz-meta-shepard-writer", "somebody").with("content-length", "1"),
        _ => xml(412, "PreconditionFailed", "At least one of the pre-conditions did not hold"),
    });
    let ports = flock(server.address, KEYS).await;
    assert!(!ports.objects.put_new(&object(), b"x").await.expect("put"));
    assert_eq!(server.requests()[0].header("if-none-match").as_deref(), Some("*"));

    // Ours: the first answer was lost after the object was written, and the SDK asked again.
    let writer = |requests: &Request| requests.header("x-amz-meta-shepard-writer").expect("a mark");
    let known = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let server = Server::start(move |request, before| match (request.method.as_str(), before) {
        ("HEAD", _) => {
            let writer = known.lock().expect("no panic").clone();
            reply(200, "").with("x-amz-meta-shepard-writer", writer).with("content-length", "1")
        }
        (_, 0) => {
            *known.lock().expect("no panic") = writer(request);
            Reply::Lost
        }
        _ => xml(412, "PreconditionFailed", "At least one of the pre-conditions did not hold"),
    });
    let ports = flock(server.address, KEYS).await;
    assert!(ports.objects.put_new(&object(), b"x").await.expect("put"), "it was written, by us");

    // Another write is under way, and comes to nothing.
    let server = Server::start(|_, before| match before {
        0 | 1 => xml(409, "ConditionalRequestConflict", "Another is under way"),
        _ => reply(200, ""),
    });
    let ports = flock(server.address, KEYS).await;
    assert!(ports.objects.put_new(&object(), b"x").await.expect("put"));
}

/// A table that does what it is asked, and whose answer to every put that it made is lost.
fn forgetful_table() -> Server {
    let item = std::sync::Arc::new(std::sync::Mutex::new(serde_json::Value::Null));
    Server::start(move |request, _| {
        let target = request.header("x-amz-target").expect("a target");
        let asked: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
        let mut item = item.lock().expect("no panic");
        if target.ends_with("GetItem") {
            let found =
                if item.is_null() { serde_json::json!({}) } else { serde_json::json!({ "Item": *item }) };
            return reply(200, &found.to_string());
        }
        if item["SHEPARD_REV"]["N"] == asked["ExpressionAttributeValues"][":rev"]["N"] {
            *item = asked["Item"].clone();
            return Reply::Lost;
        }
        let refused = serde_json::json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
            "message": "The conditional request failed",
            "Item": *item,
        });
        reply(400, &refused.to_string())
    })
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_known_as_done() {
    let server = forgetful_table();
    let ports = flock(server.address, KEYS).await;
    assert_eq!(ports.table.put_new(&row()).await.expect("put"), Put::Created, "not refused by its own work");
    assert_eq!(server.requests().len(), 2, "the SDK asked again");
    let other = JobRow { tag: Some("another's".into()), ..row() };
    assert_eq!(ports.table.put_new(&other).await.expect("put"), Put::Exists(Box::new(row())));

    let fence = Fence { run: 1, attempt: 1, worker: "w".into() };
    let claim = Transition::Claimed {
        fence: fence.clone(),
        log_stream: "s".into(),
        compute_id: None,
        batch: None,
        at_ms: 5,
        lease_until_ms: 500,
    };
    let finish = Transition::Finished {
        fence: Some(fence),
        outcome: shepard_model::Outcome::Succeeded,
        reason: None,
        exit_code: Some(0),
        results: Vec::new(),
        at_ms: 9,
    };
    let mut wanted = row();
    for change in [claim, finish] {
        wanted = wanted.apply(&change).expect("allowed");
        let applied = ports.table.apply(&wanted.id, &change).await.expect("apply");
        assert_eq!(applied, Applied::Changed(Box::new(wanted.clone())));
    }
}

#[tokio::test]
async fn a_row_that_never_stays_as_it_was_read_is_a_conflict() {
    let rev = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(1));
    let server = Server::start(move |request, _| {
        if request.header("x-amz-target").expect("a target").ends_with("GetItem") {
            let rev = rev.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_string();
            let item = serde_json::json!({ "Item": {
                "UUID": { "S": "job-1" }, "JOB_STATUS": { "S": "not_yet_initiated" },
                "START_TIME": { "S": "not_yet_initiated" }, "END_TIME": { "N": "1" }, "SHEPARD_REV": { "N": rev },
            } });
            return reply(200, &item.to_string());
        }
        json(400, "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "The request failed")
    });
    let ports = flock(server.address, KEYS).await;
    let cancel = Transition::CancelRequested { by: "me".into(), at_ms: 5 };
    let error = ports.table.apply(&row().id, &cancel).await.expect_err("fought over");
    assert_eq!(error.kind, Kind::Conflict, "{error}");
    assert!((4..100).contains(&server.requests().len()), "tried again, and not for ever");
}

#[tokio::test]
async fn a_message_that_a_batch_refuses_is_an_error_unless_it_was_late() {
    let refused = |code: &str| {
        let entry = serde_json::json!({ "Id": "0", "Code": code, "Message": CANARY, "SenderFault": true });
        reply(200, &serde_json::json!({ "Successful": [], "Failed": [entry] }).to_string())
    };
    for (code, kind) in [("InvalidMessageContents", Kind::Invalid), ("RequestThrottled", Kind::Throttled)] {
        let answer = refused(code);
        let server = Server::start(move |_, _| answer.clone());
        let error = call(&flock(server.address, KEYS).await, Call::Send).await.expect_err("one refused");
        assert_eq!(error.kind, kind);
        assert!(error.to_string().contains(code) && !error.to_string().contains(CANARY), "{error}");
    }
    let late = refused("ReceiptHandleIsInvalid");
    let server = Server::start(move |_, _| late.clone());
    let ports = flock(server.address, KEYS).await;
    ports.queue.delete(&["old".to_owned()]).await.expect("too late is no error");

    let words = "Value x for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available \
                 for visibility timeout change.";
    for answer in [
        json(400, "com.amazonaws.sqs#InvalidParameterValueException", words),
        json(400, "com.amazonaws.sqs#MessageNotInflight", "The message is not in flight."),
        json(400, "com.amazonaws.sqs#ReceiptHandleIsInvalid", "The receipt handle has expired."),
    ] {
        let server = Server::start(move |_, _| answer.clone());
        call(&flock(server.address, KEYS).await, Call::Release).await.expect("too late is no error");
    }
}

#[tokio::test]
async fn what_is_submitted_is_what_was_asked_for() {
    let server = Server::start(|_, _| reply(200, r#"{"jobId":"id-1","jobName":"job-1"}"#));
    let ports = flock(server.address, KEYS).await;
    let shape = Shape {
        vcpus: Some(2),
        memory_mib: Some(512),
        gpus: Some(1),
        timeout_s: Some(90),
        share: Some("blue".into()),
        ..Shape::default()
    };
    let array = JobRequest { shape, children: 3, ..request() };
    assert_eq!(ports.compute.submit(&array).await.expect("submit"), "id-1");
    ports.compute.submit(&request()).await.expect("submit");
    ports.compute.terminate("id-1", "not wanted").await.expect("terminate");
    let sent: Vec<serde_json::Value> =
        server.requests().iter().map(|request| serde_json::from_str(&request.body).expect("JSON")).collect();
    let environment = serde_json::json!([{ "name": "UUID", "value": "job-1" }]);
    assert_eq!(
        sent[0],
        serde_json::json!({
            "jobName": "job-1", "jobQueue": "jobs", "jobDefinition": "definition:3",
            "arrayProperties": { "size": 3 }, "shareIdentifier": "blue", "timeout": { "attemptDurationSeconds": 90 },
            "containerOverrides": { "environment": environment, "resourceRequirements": [
                { "type": "VCPU", "value": "2" }, { "type": "MEMORY", "value": "512" }, { "type": "GPU", "value": "1" },
            ] },
        })
    );
    // The original's request, and nothing else: an old role and an old definition take it.
    assert_eq!(
        sent[1],
        serde_json::json!({
            "jobName": "job-1", "jobQueue": "jobs", "jobDefinition": "definition:3",
            "containerOverrides": { "environment": environment },
        })
    );
    assert_eq!(sent[2], serde_json::json!({ "jobId": "id-1", "reason": "not wanted" }));
}
