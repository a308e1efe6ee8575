//! What the console alone asks: logs, a function, lists of jobs, a redrive, objects in pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json as value};
use shepard_cloud::aws;
use shepard_cloud::invoke::{Invoke as _, InvokeError};
use shepard_cloud::ports::{ComputeState, Listed, LogFrom, LogSource, Redrive};
use shepard_cloud::{Kind, Ports};
use shepard_model::ObjectRef;

use crate::server::{Reply, Request, Server, reply};
use crate::{KEYS, flock, json, profile, rest};

fn body(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap_or_default()
}

fn page(events: &[(i64, &str)], token: &str) -> Reply {
    let events: Vec<_> =
        events.iter().map(|(at_ms, text)| value!({ "timestamp": at_ms, "message": text })).collect();
    let answer = value!({ "events": events, "nextForwardToken": token, "nextBackwardToken": "b" });
    reply(200, &answer.to_string())
}

async fn read(ports: &Ports, from: &LogFrom) -> (Vec<String>, LogFrom, bool) {
    let page = ports.logs.read("/g:d/default/1", from, 1_000).await.expect("read");
    let lines = page.lines.into_iter().map(|line| line.text).collect();
    (lines, LogFrom::Token(page.next), page.more)
}

#[tokio::test]
async fn an_empty_page_of_a_log_is_not_its_end() {
    let server = Server::start(|_, before| match before {
        0 => page(&[], "f/1"),
        1 => page(&[], "f/2"),
        2 => page(&[(5, "[err] late\n"), (5, "no prefix")], "f/3"),
        _ => page(&[], "f/3"),
    });
    let ports = flock(server.address, KEYS).await;
    let first = ports.logs.read("/g:d/default/1", &LogFrom::Start, 10).await.expect("read");
    let told: Vec<_> = first.lines.iter().map(|line| (line.source, line.text.as_str())).collect();
    assert_eq!(told, [(LogSource::Stderr, "late"), (LogSource::Stdout, "no prefix")]);
    assert!(first.more);
    let (lines, _, more) = read(&ports, &LogFrom::Token(first.next)).await;
    assert_eq!((lines.len(), more), (0, false));
    let asked = body(&server.requests()[0]);
    assert_eq!((&asked["logGroupName"], &asked["logStreamName"]), (&value!("/g"), &value!("d/default/1")));
}

#[tokio::test]
async fn a_token_that_has_expired_costs_no_line_and_doubles_none() {
    let server = Server::start(|request, _| {
        let asked = body(request);
        match (asked["nextToken"].as_str(), asked["startTime"].as_i64()) {
            (None, None) => page(&[(1, "a"), (2, "b"), (2, "b")], "f/1"),
            (None, Some(_)) => page(&[(1, "a"), (2, "b"), (2, "b"), (3, "c")], "f/9"),
            (Some("f/1"), _) => json(400, "InvalidParameterException", "The specified nextToken is invalid."),
            _ => page(&[], "f/9"),
        }
    });
    let ports = flock(server.address, KEYS).await;
    let (lines, token, _) = read(&ports, &LogFrom::Start).await;
    assert_eq!(lines, ["a", "b", "b"]);
    let (lines, token, _) = read(&ports, &token).await;
    assert_eq!(lines, ["c"]);
    assert_eq!(read(&ports, &token).await.0, [""; 0]);
}

#[tokio::test]
async fn what_a_log_cannot_be_read_for_has_its_kind() {
    for (answer, kind) in [
        (json(400, "ThrottlingException", "Rate exceeded"), Kind::Throttled),
        (json(400, "AccessDeniedException", "not authorized to perform: logs:GetLogEvents"), Kind::Denied),
    ] {
        let server = Server::start(move |_, _| answer.clone());
        let ports = flock(server.address, KEYS).await;
        let error = ports.logs.read("/g:s", &LogFrom::Start, 1).await.expect_err("refused");
        assert_eq!(error.kind, kind, "{error}");
        let asked = server.requests().len();
        let error =
            ports.logs.read("no group", &LogFrom::Start, 1).await.expect_err("no stream of CloudWatch");
        assert_eq!((error.kind, server.requests().len()), (Kind::Invalid, asked), "{error}");
    }
}

#[tokio::test]
async fn a_function_is_called_once_and_its_failure_is_none_of_the_calls() {
    let call = async |answer: Reply| {
        let server = Server::start(move |_, _| answer.clone());
        let said = aws::function("endpoint".into(), &profile(server.address, KEYS))
            .await
            .invoke(r#"{"TAG":"x"}"#)
            .await;
        assert_eq!(server.requests().len(), 1, "never twice by itself");
        let sent = server.requests().remove(0);
        assert_eq!(sent.header("x-amz-log-type").as_deref(), Some("Tail"));
        assert_eq!(sent.body, r#"{"TAG":"x"}"#);
        said
    };
    let log = || STANDARD.encode("START\nline\nEND\n");
    let said =
        call(reply(200, r#"{"statusCode":200}"#).with("x-amz-log-result", log())).await.expect("answered");
    assert_eq!(
        (said.status, said.log.as_str(), said.payload.as_str()),
        (200, "START\nline\nEND\n", r#"{"statusCode":200}"#)
    );
    let failed = reply(200, r#"{"errorMessage":"no such key","errorType":"KeyError"}"#)
        .with("x-amz-function-error", "Unhandled")
        .with("x-amz-log-result", log());
    let error = call(failed).await.expect_err("the function failed");
    assert!(matches!(&error, InvokeError::Function(failed) if failed.answer.log.contains("line")), "{error}");
    for (answer, kind) in [
        (rest(429, "TooManyRequestsException", "Rate Exceeded"), Kind::Throttled),
        (rest(404, "ResourceNotFoundException", "Function not found"), Kind::NotFound),
        (reply(500, "{}"), Kind::Other),
    ] {
        match call(answer).await.expect_err("not called") {
            InvokeError::Cloud(error) => assert_eq!(error.kind, kind, "{error}"),
            other @ InvokeError::Function(_) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn children_of_an_array_and_the_front_of_the_queue() {
    let job = |id: &str, status: &str| {
        value!({ "jobId": id, "jobName": "n", "status": status, "statusReason": "Host EC2 (i-1) terminated.",
                 "container": { "exitCode": 137, "reason": "OutOfMemoryError" },
                 "arrayProperties": { "index": 7 }, "createdAt": 5, "startedAt": 6 })
    };
    let server = Server::start(move |request, _| {
        let asked = body(request);
        let answer = match (asked["jobStatus"].as_str(), asked["nextToken"].as_str()) {
            _ if request.target.ends_with("getjobqueuesnapshot") => value!({ "frontOfQueue": { "jobs": [
                { "jobArn": "arn:aws:batch:eu-west-1:123456789012:job/a:7" },
                { "jobArn": "arn:aws:batch:eu-west-1:123456789012:job/b" },
            ] } }),
            (Some("FAILED"), None) => {
                value!({ "jobSummaryList": [job("a:7", "FAILED")], "nextToken": "more" })
            }
            (Some("FAILED"), _) => value!({ "jobSummaryList": [job("a:8", "FAILED")] }),
            (Some("RUNNABLE"), _) => value!({ "jobSummaryList": [job("a:9", "RUNNABLE")] }),
            _ => value!({ "jobSummaryList": [] }),
        };
        reply(200, &answer.to_string())
    });
    let ports = flock(server.address, KEYS).await;
    let list = async |state| {
        let (mut jobs, mut from) = (Vec::new(), None::<String>);
        loop {
            let page = ports.compute.list(Listed::Children("a"), state, from.as_deref()).await.expect("list");
            jobs.extend(page.items);
            from = page.next;
            if from.is_none() {
                return jobs;
            }
        }
    };
    let failed = list(ComputeState::Failed).await;
    assert_eq!(failed.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["a:7", "a:8"]);
    let detail = &failed[0].detail;
    assert_eq!((detail.index, detail.children, detail.tries[0].exit_code), (Some(7), None, Some(137)));
    assert_eq!(failed[0].reason.as_deref(), Some("Host EC2 (i-1) terminated."));
    assert_eq!(body(&server.requests()[0])["arrayJobId"], "a");
    // Waiting is three statuses of Batch.
    assert_eq!(list(ComputeState::Runnable).await.len(), 1);
    let asked: Vec<_> = server.requests().iter().map(|one| body(one)["jobStatus"].clone()).collect();
    assert_eq!(asked[2..], [value!("RUNNABLE"), value!("PENDING"), value!("SUBMITTED")]);
    assert_eq!(ports.compute.front().await.expect("front"), ["a:7", "b"]);
}

#[tokio::test]
async fn dead_letters_are_moved_by_sqs_itself_where_it_does() {
    let arn = "arn:aws:sqs:eu-west-1:123456789012:dead";
    let server = Server::start(move |request, _| {
        let target = request.header("x-amz-target").unwrap_or_default();
        let asked = body(request);
        let answer = match target.rsplit('.').next().unwrap_or_default() {
            "GetQueueUrl" => value!({ "QueueUrl": "http://127.0.0.1/1/dead" }),
            "GetQueueAttributes" if asked["QueueUrl"].as_str().is_some_and(|url| url.ends_with("dead")) => {
                value!({ "Attributes": { "ApproximateNumberOfMessages": "5000", "QueueArn": arn } })
            }
            "GetQueueAttributes" => {
                value!({ "Attributes": { "RedrivePolicy": format!(r#"{{"deadLetterTargetArn":"{arn}"}}"#) } })
            }
            "StartMessageMoveTask" => value!({ "TaskHandle": "h" }),
            "ListMessageMoveTasks" => value!({ "Results": [{
                "Status": "RUNNING", "ApproximateNumberOfMessagesMoved": 2000, "ApproximateNumberOfMessagesToMove": 5000,
            }] }),
            other => panic!("nobody asked for {other}"),
        };
        reply(200, &answer.to_string())
    });
    let ports = flock(server.address, KEYS).await;
    let begun = ports.queue.redrive_step(Redrive::default()).await.expect("begun");
    assert_eq!(begun, Redrive { moved: 0, left: Some(5_000), by_store: true, done: false });
    let going = ports.queue.redrive_step(begun).await.expect("going on");
    assert_eq!(going, Redrive { moved: 2_000, left: Some(3_000), by_store: true, done: false });
}

/// A store that serves 20 MiB in ranges, and gives up for good at one of them so many times.
fn ranges(at: &'static str, times: usize) -> Server {
    let (whole, left) = ("0123456789abcdef".repeat(20 << 16), std::sync::Mutex::new(times));
    Server::start(move |request, _| {
        let length = whole.len();
        let Some(range) = request.header("range") else {
            return reply(200, "").with("content-length", length.to_string()).with("etag", "\"e\"");
        };
        let mut left = left.lock().expect("no panic");
        if range.starts_with(at) && *left > 0 {
            *left -= 1;
            return Reply::Lost;
        }
        let (from, to) = range.trim_start_matches("bytes=").split_once('-').expect("a range");
        let (from, to): (usize, usize) = (from.parse().expect("a number"), to.parse().expect("a number"));
        reply(206, &whole[from..=to]).with("content-range", format!("bytes {from}-{to}/{length}"))
    })
}

#[tokio::test]
async fn a_download_that_was_interrupted_goes_on_where_it_stopped() {
    // As often as the SDK tries: the last piece of three cannot be had.
    let server = ranges("bytes=16777216-", 3);
    let ports = flock(server.address, KEYS).await;
    let dir = tempfile::tempdir().expect("temp");
    let (object, to) = (ObjectRef::new("outputs", "result.zip"), dir.path().join("result.zip"));
    let error = ports.objects.resume(&object, &to).await.expect_err("interrupted");
    assert_eq!(error.kind, Kind::Offline, "{error}");
    assert!(!to.exists(), "an unfinished file has another name");
    let before = server.requests().len();
    assert_eq!(ports.objects.resume(&object, &to).await.expect("the rest"), 20 << 20);
    let asked: Vec<_> = server.requests()[before..].iter().filter_map(|one| one.header("range")).collect();
    assert_eq!(asked, ["bytes=16777216-20971519"], "nothing twice");
    assert!(std::fs::read(&to).expect("read") == "0123456789abcdef".repeat(20 << 16).into_bytes());
    assert_eq!(std::fs::read_dir(dir.path()).expect("dir").count(), 1, "nothing is left beside it");
    let taken = ports.objects.resume(&object, &to).await.expect_err("never over a file");
    assert_eq!(taken.kind, Kind::Conflict, "{taken}");
}

#[tokio::test]
async fn a_download_that_fails_leaves_nothing() {
    let server = ranges("bytes=8388608-", usize::MAX);
    let ports = flock(server.address, KEYS).await;
    let dir = tempfile::tempdir().expect("temp");
    let object = ObjectRef::new("outputs", "result.zip");
    let error = ports.objects.download(&object, &dir.path().join("x")).await.expect_err("broken");
    assert_eq!(error.kind, Kind::Offline, "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("dir").count(), 0);
}
