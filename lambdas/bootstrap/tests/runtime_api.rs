//! The real program, driven over Lambda's Runtime API as Lambda drives it. Where AWS is needed, a loopback server
//! stands in its place that says nothing or no; what works is tested against the emulators.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use support::flock::{CANARY, notification};
use support::http::{Response, Server};
use support::runtime::{Invocation, Lambda, Outcome};

const ARN: &str = "arn:aws:sqs:us-east-1:123456789012:uploads";

fn environment(handler: &str, endpoint: &str) -> Vec<(String, String)> {
    let pairs = [
        ("_HANDLER", handler),
        ("AWS_ENDPOINT_URL", endpoint),
        ("dynamodb_table_name", "table"),
        ("job_queue_name", "arn:aws:batch:us-east-1:123456789012:job-queue/q"),
        ("job_definition_arn", "arn:aws:batch:us-east-1:123456789012:job-definition/d:3"),
        ("project_name", "shepard-project"),
        ("days_to_keep_failed_launch_indexes", "30"),
        ("SHEPARD_QUEUE_URL", "http://127.0.0.1/123456789012/uploads"),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A port that nothing listens on: whoever needs AWS is refused at once.
const NOWHERE: &str = "http://127.0.0.1:9";

fn with(mut environment: Vec<(String, String)>, name: &str, value: &str) -> Vec<(String, String)> {
    environment.retain(|(known, _)| known != name);
    environment.push((name.to_owned(), value.to_owned()));
    environment
}

fn event(bodies: &[Value]) -> Value {
    let records: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(index, body)| {
            json!({
                "messageId": format!("message-{index}"), "receiptHandle": format!("receipt-{index}"),
                "body": body.as_str().map_or_else(|| body.to_string(), str::to_owned),
                "attributes": { "ApproximateReceiveCount": "1" }, "messageAttributes": {},
                "eventSource": "aws:sqs", "eventSourceARN": ARN, "awsRegion": "us-east-1",
            })
        })
        .collect();
    json!({ "Records": records })
}

#[track_caller]
fn failure(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Error { kind, message } => (kind, message),
        other => panic!("not an error: {other:?}"),
    }
}

#[test]
fn each_of_the_three_becomes_ready_without_asking_aws_anything() {
    for handler in ["scheduler", "endpoint", "reconciler"] {
        let mut lambda = Lambda::start(&environment(handler, NOWHERE));
        assert_eq!(lambda.ready(), None, "{handler}: {}", lambda.log());
        assert_eq!(lambda.log(), "", "{handler} has nothing to say yet");
    }
}

#[test]
fn what_is_wrong_with_the_environment_is_reported_and_ends_the_program() {
    for (name, value, words) in [
        ("_HANDLER", "index.lambda_handler", "scheduler, endpoint or reconciler"),
        ("dynamodb_table_name", "", "dynamodb_table_name is not set"),
        ("SHEPARD_PACK", "many", "SHEPARD_PACK must be a number from 1 to 1000"),
        ("SHEPARD_ARRAYS", "True", "inputs_bucket is not set"),
    ] {
        let mut lambda = Lambda::start(&with(environment("scheduler", NOWHERE), name, value));
        match lambda.ready() {
            Some(Outcome::InitError { kind, message }) => {
                assert_eq!(kind, "Shepard.Config");
                assert!(message.contains(words), "{message}");
            }
            other => panic!("{name}: {other:?}\n{}", lambda.log()),
        }
        assert_eq!(lambda.exit().code(), Some(1));
        assert!(lambda.log().contains(words), "{}", lambda.log());
    }
}

#[test]
fn what_is_no_event_of_a_queue_fails_alone_and_is_not_repeated_anywhere() {
    let mut lambda = Lambda::start(&environment("scheduler", NOWHERE));
    for payload in [
        format!("{CANARY} is not JSON"),
        String::new(),
        json!(CANARY).to_string(),
        json!({ "Records": [{ "s3": CANARY }] }).to_string(),
        json!({ "Records": CANARY }).to_string(),
        json!({ "detail-type": "Scheduled Event" }).to_string(),
    ] {
        let (_, message) = failure(lambda.invoke(&payload));
        assert!(!message.is_empty() && !message.contains(CANARY), "{payload}: {message}");
    }
    let nothing = lambda.invoke(json!({ "Records": [] })).response();
    assert_eq!(nothing["batchItemFailures"], json!([]));
    assert!(lambda.running() && !lambda.log().contains(CANARY), "{}", lambda.log());
}

#[test]
fn messages_that_name_no_upload_need_no_aws_and_leave_the_queue() {
    let mut lambda = Lambda::start(&environment("scheduler", NOWHERE));
    let test = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "in" });
    let answer = lambda.invoke(event(&[json!("{not json"), test, json!({ "hello": CANARY })])).response();
    assert_eq!(answer["batchItemFailures"], json!([]));
    assert!(lambda.log().contains("not JSON") && !lambda.log().contains(CANARY), "{}", lambda.log());
}

#[test]
fn a_message_that_cannot_be_dealt_with_is_left_to_the_queue() {
    let uploads = event(&[notification("in", "a.zip", Some("v1"))]);
    // The mapping reads the answer.
    let partial = with(environment("scheduler", NOWHERE), "SHEPARD_PARTIAL_FAILURES", "True");
    let mut lambda = Lambda::start(&partial);
    let answer = lambda.invoke(&uploads).response();
    assert_eq!(answer["batchItemFailures"], json!([{ "itemIdentifier": "message-0" }]));
    assert!(lambda.log().contains("a.zip"), "the log names the object: {}", lambda.log());
    // It does not: anything but an error would delete the message.
    let mut lambda = Lambda::start(&environment("scheduler", NOWHERE));
    let (kind, message) = failure(lambda.invoke(&uploads));
    assert_eq!(kind, "Shepard.Again", "{message}");
    assert!(lambda.running());
}

#[test]
fn an_invocation_ends_before_lambda_would_end_it() {
    let silent = Server::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(600));
        Response::new(500, "")
    });
    let uploads = event(&[notification("in", "a.zip", Some("v1")), notification("in", "b.zip", Some("v1"))]);
    let environment = with(environment("scheduler", &silent.url()), "SHEPARD_PARTIAL_FAILURES", "True");
    let mut lambda = Lambda::start(&environment);
    let answer = lambda.invoke_with(Invocation { budget_ms: 4_000, ..Invocation::new(&uploads) }).response();
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(2));
    // The same process takes the next event.
    assert_eq!(lambda.invoke(json!({ "Records": [] })).response()["batchItemFailures"], json!([]));

    let mut lambda = Lambda::start(&self::environment("endpoint", &silent.url()));
    let call = Invocation { budget_ms: 4_000, ..Invocation::new(json!({ "a": CANARY })) };
    let (kind, message) = failure(lambda.invoke_with(call));
    assert_eq!(kind, "Shepard.Timeout", "{message}");
    assert!(!lambda.log().contains(CANARY), "{}", lambda.log());
}

#[test]
fn a_request_that_is_wrong_is_answered_in_full_and_nothing_of_it_is_begun() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = asked.clone();
    let server = Server::start(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Response::new(500, "")
    });
    let mut lambda = Lambda::start(&environment("endpoint", &server.url()));
    let answer = lambda.invoke(json!([{ "good": 1 }, { "uuid": CANARY }, 7, { "a=b": 1 }])).response();
    assert_eq!(answer["statusCode"], json!(400));
    let places: Vec<_> =
        answer["errors"].as_array().expect("errors").iter().map(|error| &error["index"]).collect();
    assert_eq!(places, [&json!(1), &json!(2), &json!(3)]);
    for payload in
        [json!(null), json!([]), json!({ "SHEPARD_JOBS": 5 }), json!({ "SHEPARD_IDEMPOTENCY_KEY": 5 })]
    {
        assert_eq!(lambda.invoke(&payload).response()["statusCode"], json!(400), "{payload}");
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 0, "AWS was asked");
    assert!(!lambda.log().contains(CANARY), "{}", lambda.log());
}

#[test]
fn trouble_with_aws_is_a_function_error_without_the_users_variables() {
    for (handler, payload) in [("endpoint", json!({ "secret": CANARY })), ("reconciler", json!({}))] {
        let mut lambda = Lambda::start(&with(environment(handler, NOWHERE), "SHEPARD_LOG", "trace"));
        let (kind, message) = failure(lambda.invoke(&payload));
        assert_eq!(kind, "Shepard.Cloud.offline", "{message}");
        assert!(!message.contains(CANARY) && !lambda.log().contains(CANARY), "{message}\n{}", lambda.log());
        assert!(lambda.running(), "the container is worth keeping");
    }
}

#[test]
fn a_signal_ends_it_at_once_idle_or_not() {
    let silent = Server::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(600));
        Response::new(500, "")
    });
    for busy in [false, true] {
        let mut lambda = Lambda::start(&environment("scheduler", &silent.url()));
        assert_eq!(lambda.ready(), None);
        if busy {
            lambda.hand_over(Invocation::new(event(&[notification("in", "a.zip", Some("v1"))])));
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        let id = i32::try_from(lambda.id()).expect("a process id");
        let process = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it takes signals");
        // Nothing has to be put in order: what was begun is finished by the next delivery.
        let _ = lambda.exit();
    }
}
