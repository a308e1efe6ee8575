//! The real program when AWS says no, in AWS's own words: nothing is lost, the log names the object and the reason,
//! and the users' variables are nowhere but in their rows. The trouble lasts for as many requests as a test wants,
//! and not for a minute: what matters is that it outlasts an invocation.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use support::emulator::Emulator;
use support::flock::{CANARY, Flock, text};
use support::gate::{self, Gate};
use support::http::{Request, Response};
use support::runtime::{Lambda, PATIENCE, now_ms};
use support::zips::small;

/// Whether a request is of some operation.
type Which = fn(&Request) -> bool;

struct Trouble {
    flock: Flock,
    gate: Gate,
    lambda: Lambda,
    /// Receipts of the messages that were handed over last. Never more than ten uploads, so that these are all.
    taken: Vec<Value>,
}

/// A container that says all it can, and leaves a row to its writer for a second.
fn started(flock: &Flock, gate: &Gate) -> Lambda {
    let mut environment = flock.environment_of("scheduler");
    environment.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
    for (name, value) in
        [("AWS_ENDPOINT_URL", gate.url().as_str()), ("SHEPARD_LEASE_SECONDS", "1"), ("SHEPARD_LOG", "trace")]
    {
        environment.push((name.to_owned(), value.to_owned()));
    }
    Lambda::start(&environment)
}

impl Trouble {
    /// A flock whose users' variables all hold the canary, with some uploads in its queue.
    fn of(uploads: usize) -> Self {
        let flock = Flock::new(Emulator::moto());
        let gate = Gate::before(&flock.emulator);
        for n in 0..uploads {
            let key = format!("folder {n}/a.zip");
            let variables = json!({ "n": n, CANARY: CANARY, "SHEPARD_NOTE": CANARY });
            flock.notify(&key, &flock.put(&key, &small(&variables)));
        }
        let lambda = started(&flock, &gate);
        Self { flock, gate, lambda, taken: Vec::new() }
    }

    /// Takes what is in the queue now.
    fn event(&mut self) -> Option<Value> {
        let event = self.flock.event()?;
        let records = event["Records"].as_array().expect("records");
        self.taken = records.iter().map(|record| record["receiptHandle"].clone()).collect();
        Some(event)
    }

    /// Hands it over, once.
    fn once(&mut self) -> Option<(Value, Value)> {
        let event = self.event()?;
        let answer = self.lambda.invoke(&event).response();
        self.flock.settle(&event, &answer);
        Some((event, answer))
    }

    /// Hands over whatever comes until nothing is left, visible, hidden or delayed.
    fn empty_the_queue(&mut self) {
        let until = now_ms() + 2 * PATIENCE.as_millis() as u64;
        while self.flock.depth().0 > 0 {
            assert!(now_ms() < until, "{:?} left; the log:\n{}", self.flock.depth(), self.lambda.log());
            if self.once().is_none() {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
    }

    #[track_caller]
    fn ended_well(&self, uploads: usize) {
        let log = self.lambda.log();
        let rows = self.flock.rows();
        assert_eq!(rows.len(), uploads, "{log}");
        for row in &rows {
            assert_eq!(row["JOB_STATUS"], json!({ "S": "not_yet_initiated" }), "{log}");
            assert_eq!(row[CANARY], json!({ "S": CANARY }));
        }
        // Which rows the jobs that Batch took will run: by name, or by the batch's manifest.
        let mut run: Vec<String> = Vec::new();
        for job in self.flock.jobs() {
            let (id, name) = (text(&job["jobId"]), text(&job["jobName"]));
            if id.contains(':') {
                continue;
            }
            if rows.iter().any(|row| row["UUID"]["S"] == json!(name)) {
                run.push(name);
            } else {
                let manifest = self.flock.get(&format!(".shepard/manifests/{name}"));
                let records = std::str::from_utf8(&manifest[1_024..]).expect("text").lines();
                run.extend(
                    records
                        .map(|record| record.trim_matches([' ', '-']).to_owned())
                        .filter(|id| !id.is_empty()),
                );
            }
        }
        run.sort();
        let mut ids: Vec<String> = rows.iter().map(|row| text(&row["UUID"]["S"])).collect();
        ids.sort();
        assert_eq!(run, ids, "every row is run once; the log:\n{log}");
        assert_eq!(self.flock.depth(), (0, 0));
        assert!(!log.contains(CANARY), "{log}");
    }

    /// Trouble from now on for the requests that it is about, until the flag falls.
    fn begin(&self, is: Which, says: fn() -> Response) -> Arc<AtomicBool> {
        let on = Arc::new(AtomicBool::new(true));
        let still = on.clone();
        self.gate.fail(move |request| (still.load(Ordering::Relaxed) && is(request)).then(says));
        on
    }
}

fn left(answer: &Value) -> usize {
    answer["batchItemFailures"].as_array().map_or(0, Vec::len)
}

#[test]
fn access_denied_leaves_the_messages_and_names_the_object() {
    let mut trouble = Trouble::of(3);
    let on = trouble.begin(gate::is_get_upload, gate::access_denied);
    let (event, answer) = trouble.once().expect("an event");
    assert_eq!(left(&answer), event["Records"].as_array().map_or(0, Vec::len), "{answer}");
    let log = trouble.lambda.log();
    assert!(log.contains("folder 0/a.zip") && log.contains("AccessDenied"), "{log}");
    assert_eq!((trouble.flock.rows().len(), trouble.gate.submissions().len()), (0, 0));
    // What a person has to mend waits a minute at least, so that the few deliveries last.
    assert_eq!(trouble.flock.depth().0, 3);
    on.store(false, Ordering::Relaxed);
    trouble.make_visible();
    trouble.empty_the_queue();
    trouble.ended_well(3);
}

#[test]
fn a_throttled_table_leaves_the_messages_and_nothing_is_submitted_without_a_row() {
    let mut trouble = Trouble::of(9);
    let on = trouble.begin(gate::is_put_item, gate::table_throttled);
    let (event, answer) = trouble.once().expect("an event");
    assert_eq!(left(&answer), event["Records"].as_array().map_or(0, Vec::len), "{answer}");
    assert_eq!((trouble.flock.rows().len(), trouble.gate.submissions().len()), (0, 0));
    let log = trouble.lambda.log();
    assert!(log.contains("folder 0/a.zip") && log.contains("ThrottlingException"), "{log}");
    on.store(false, Ordering::Relaxed);
    trouble.make_visible();
    trouble.empty_the_queue();
    trouble.ended_well(9);
}

#[test]
fn a_plain_job_that_is_refused_for_long_is_put_off_and_made_once() {
    refused_for_long(1);
}

#[test]
fn a_batch_that_is_refused_for_long_is_put_off_and_made_once() {
    refused_for_long(9);
}

fn refused_for_long(uploads: usize) {
    let mut trouble = Trouble::of(uploads);
    let on = trouble.begin(gate::is_submit, gate::too_many_requests);
    while trouble.flock.rows().len() < uploads {
        trouble.once();
    }
    trouble.once();
    assert_eq!(trouble.flock.jobs().len(), 0);
    assert!(trouble.flock.depth().0 > 0, "something in the queue says what is left to do");
    assert!(trouble.gate.count(gate::is_submit) > 0);
    let log = trouble.lambda.log();
    assert!(log.contains("TooManyRequests") || log.contains("Too Many Requests"), "{log}");
    on.store(false, Ordering::Relaxed);
    trouble.empty_the_queue();
    trouble.ended_well(uploads);
}

#[test]
fn answers_that_are_lost_on_the_way_make_no_second_row_or_job() {
    let mut trouble = Trouble::of(9);
    // The service does what it is asked, and the answer is lost: once for each kind of request.
    let address = trouble.flock.emulator.address;
    let lost: [(Which, AtomicBool); 2] =
        [(gate::is_put_item, AtomicBool::new(false)), (gate::is_submit, AtomicBool::new(false))];
    trouble.gate.fail(move |request| {
        let (_, done) = lost.iter().find(|(is, _)| is(request))?;
        if done.swap(true, Ordering::Relaxed) {
            return None;
        }
        let _ = support::http::send(address, request);
        Some(Response::new(500, "").with("Content-Type", "application/json"))
    });
    trouble.empty_the_queue();
    trouble.ended_well(9);
}

#[test]
fn a_container_that_dies_at_any_request_leaves_work_that_the_next_one_finishes() {
    for fatal in [gate::is_get_upload as Which, gate::is_put_item, gate::is_submit, is_manifest, is_mark] {
        let mut trouble = Trouble::of(4);
        let reached = Arc::new(AtomicBool::new(false));
        let seen = reached.clone();
        trouble.gate.fail(move |request| {
            if !fatal(request) || seen.swap(true, Ordering::Relaxed) {
                return None;
            }
            // It hears nothing any more.
            std::thread::sleep(PATIENCE);
            Some(Response::new(500, ""))
        });
        let event = trouble.event().expect("an event");
        trouble.lambda.hand_over(support::runtime::Invocation::new(&event));
        let until = now_ms() + PATIENCE.as_millis() as u64;
        while !reached.load(Ordering::Relaxed) {
            assert!(now_ms() < until, "it never came so far:\n{}", trouble.lambda.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        trouble.restart();
        trouble.make_visible();
        trouble.empty_the_queue();
        trouble.ended_well(4);
    }
}

fn is_manifest(request: &Request) -> bool {
    request.method == "PUT" && request.target.contains(".shepard/manifests/")
}

fn is_mark(request: &Request) -> bool {
    request.method == "PUT" && request.target.contains(".shepard/submitted/")
}

impl Trouble {
    /// Kills the container, and starts another in its place.
    fn restart(&mut self) {
        self.lambda = started(&self.flock, &self.gate);
    }

    /// Lets the time pass for which the messages handed over last are hidden.
    fn make_visible(&self) {
        for receipt in &self.taken {
            let seen =
                json!({ "QueueUrl": self.flock.queue_url, "ReceiptHandle": receipt, "VisibilityTimeout": 0 });
            self.flock.boto.call("sqs", "change_message_visibility", &seen);
        }
    }
}
