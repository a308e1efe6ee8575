//! Objects in parts whose store fails on the way.

use std::sync::Mutex;

use shepard_cloud::ports::Writer;
use shepard_cloud::{Kind, Ports};
use shepard_model::ObjectRef;

use crate::server::{Reply, Request, Server, reply};
use crate::{KEYS, flock, xml};

const PART: usize = 6 << 20;

fn object() -> ObjectRef {
    ObjectRef::new("outputs", "result.zip")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Part(usize),
    Complete,
    Abort,
    Head,
    Put,
}

fn step(request: &Request) -> Step {
    let (_, query) = request.target.split_once('?').unwrap_or_default();
    let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber="));
    match (request.method.as_str(), number) {
        ("POST", _) if query.starts_with("uploads") => Step::Create,
        ("POST", _) => Step::Complete,
        ("PUT", Some(number)) => Step::Part(number.parse().expect("a number")),
        ("PUT", None) => Step::Put,
        ("DELETE", _) => Step::Abort,
        _ => Step::Head,
    }
}

/// What S3 says when nothing is wrong.
fn usual(request: &Request) -> Reply {
    match step(request) {
        Step::Create => reply(
            200,
            "<InitiateMultipartUploadResult><Bucket>outputs</Bucket><Key>result.zip</Key>\
             <UploadId>id</UploadId></InitiateMultipartUploadResult>",
        ),
        Step::Part(number) => reply(200, "").with("etag", format!("\"{number}\"")),
        Step::Complete => reply(
            200,
            "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>",
        ),
        Step::Abort => reply(204, ""),
        Step::Head => reply(200, "").with("content-length", "7"),
        Step::Put => reply(200, "").with("etag", "\"small\""),
    }
}

/// A store that fails at a step so many times, in the way given, and does as it is told from then on.
fn failing(at: Step, times: usize, how: Reply) -> Server {
    let left = Mutex::new(times);
    Server::start(move |request, _| {
        let mut left = left.lock().expect("no panic");
        if step(request) == at && *left > 0 {
            *left -= 1;
            return how.clone();
        }
        usual(request)
    })
}

async fn begin(server: &Server) -> (Ports, Box<dyn Writer>) {
    let ports = flock(server.address, KEYS).await;
    let writer = ports.objects.begin(&object()).await.expect("nothing is asked yet");
    (ports, writer)
}

/// Puts two parts and a bit, as a worker does, each call again where it fails; gives how often one did.
async fn fill(writer: &mut dyn Writer) -> usize {
    let mut failures = 0;
    for part in 0..5_u8 {
        writer.put(&vec![part + 1; PART / 2]).expect("put");
        while writer.room().await.is_err() {
            failures += 1;
        }
    }
    while writer.ready().await.is_err() {
        failures += 1;
    }
    failures
}

fn steps(server: &Server) -> Vec<Step> {
    server.requests().iter().map(step).collect()
}

fn unavailable() -> Reply {
    xml(500, "InternalError", "We encountered an internal error. Please try again.")
}

/// Longer than the SDK itself tries: the writer gives the error, and the next call sends the same bytes.
#[tokio::test]
async fn a_part_that_fails_for_long_is_sent_again_by_the_next_call() {
    for at in [Step::Create, Step::Part(1), Step::Part(2), Step::Part(3)] {
        for how in [unavailable(), Reply::Lost] {
            let server = failing(at, 4, how.clone());
            let (_ports, mut writer) = begin(&server).await;
            assert_eq!(fill(&mut *writer).await, 1, "{at:?} {how:?}");
            writer.complete().await.expect("complete");
            let requests = server.requests();
            for (number, bytes) in [(1, vec![(1, PART / 2), (2, PART / 2)]), (3, vec![(5, PART / 2)])] {
                let sent =
                    requests.iter().rfind(|request| step(request) == Step::Part(number)).expect("sent");
                let expected: Vec<u8> =
                    bytes.iter().flat_map(|&(byte, times)| std::iter::repeat_n(byte, times)).collect();
                assert!(sent.body.as_bytes() == expected, "{at:?}: part {number} has other bytes");
                assert!(sent.header("x-amz-checksum-crc32").is_some(), "a part is checked on arrival");
            }
            let whole = requests.iter().find(|request| step(request) == Step::Complete).expect("completed");
            let order: Vec<_> = (1..=3).map(|n| whole.body.find(&format!("<PartNumber>{n}<"))).collect();
            assert!(order.is_sorted() && order[0].is_some(), "{}", whole.body);
            assert_eq!(whole.body.matches("<PartNumber>").count(), 3, "no part twice");
        }
    }
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_known_as_done() {
    for ours in [true, false] {
        let writer = Mutex::new(None);
        let server = Server::start(move |request, _| {
            let mut known = writer.lock().expect("no panic");
            match step(request) {
                Step::Create => *known = request.header("x-amz-meta-shepard-writer"),
                // Done the first time; from then on there is no such upload.
                Step::Complete => return xml(404, "NoSuchUpload", "The specified upload does not exist."),
                Step::Head => {
                    let mark = known.clone().filter(|_| ours).unwrap_or_else(|| "another".to_owned());
                    return usual(request).with("x-amz-meta-shepard-writer", mark);
                }
                _ => {}
            }
            usual(request)
        });
        let (_ports, mut writer) = begin(&server).await;
        fill(&mut *writer).await;
        let outcome = writer.complete().await;
        if ours {
            assert_eq!(outcome.expect("it is there").size, 7);
        } else {
            assert_eq!(outcome.expect_err("another's").kind, Kind::NotFound);
        }
    }
}

#[tokio::test]
async fn a_completion_that_fails_can_be_asked_for_again() {
    for at in [Step::Complete, Step::Head] {
        let server = failing(at, 3, unavailable());
        let (_ports, mut writer) = begin(&server).await;
        fill(&mut *writer).await;
        assert_eq!(writer.complete().await.expect_err("three times").kind, Kind::Other);
        assert_eq!(writer.complete().await.expect("the fourth").size, 7);
        let completions = steps(&server).iter().filter(|&&step| step == Step::Complete).count();
        assert_eq!(completions, if at == Step::Complete { 4 } else { 1 }, "{at:?}");
    }
}

#[tokio::test]
async fn one_that_is_given_up_throws_its_parts_away_once() {
    let server = failing(Step::Abort, 3, unavailable());
    let (_ports, mut writer) = begin(&server).await;
    fill(&mut *writer).await;
    assert!(writer.abort().await.is_err(), "it could not");
    writer.abort().await.expect("now it could");
    writer.abort().await.expect("nothing is left");
    assert_eq!(steps(&server).iter().filter(|&&step| step == Step::Abort).count(), 4);
    assert!(!steps(&server).contains(&Step::Complete));

    // Of one that never was in parts there is nothing to throw away, and nothing was asked.
    let server = Server::start(|request, _| usual(request));
    let (_ports, mut writer) = begin(&server).await;
    writer.put(b"small").expect("put");
    writer.ready().await.expect("ready");
    writer.abort().await.expect("abort");
    assert_eq!(steps(&server), []);
}

/// Nothing is sent before `complete`: it is one request, and so all or nothing by itself.
#[tokio::test]
async fn a_small_object_is_one_request() {
    let server = Server::start(|request, _| usual(request));
    let (_ports, mut writer) = begin(&server).await;
    writer.put(&[7; 4 << 20]).expect("put");
    writer.room().await.expect("room");
    writer.ready().await.expect("ready");
    assert_eq!(steps(&server), []);
    writer.complete().await.expect("complete");
    assert_eq!(steps(&server), [Step::Put, Step::Head]);
}

/// What will not pass by itself is said at once, and no further part is begun.
#[tokio::test]
async fn a_refusal_ends_it() {
    let server = failing(Step::Part(1), usize::MAX, xml(403, "AccessDenied", "Not here."));
    let (_ports, mut writer) = begin(&server).await;
    writer.put(&vec![1; PART]).expect("put");
    let first = writer.room().await;
    let outcome = if first.is_ok() { writer.ready().await } else { first };
    assert_eq!(outcome.expect_err("refused").kind, Kind::Denied);
    writer.abort().await.expect("abort");
    assert_eq!(steps(&server), [Step::Create, Step::Part(1), Step::Abort]);
}
