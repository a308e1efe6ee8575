//! Objects that come piece by piece: what shows when, and what is left of one that is given up.

use shepard_cloud::ports::{Range, Writer};
use shepard_cloud::{Kind, Result};
use shepard_model::ObjectRef;

use crate::Subject;

/// What a worker puts at a time.
const CHUNK: usize = 200_003;

/// Bytes that differ from place to place, so that a part in the wrong place shows.
fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

async fn begin(subject: &Subject, key: &str) -> Box<dyn Writer> {
    subject.ports.objects.begin(&subject.input(key)).await.expect("begin")
}

async fn fill(writer: &mut dyn Writer, bytes: &[u8]) {
    for chunk in bytes.chunks(CHUNK) {
        writer.put(chunk).expect("put");
        writer.room().await.expect("room");
    }
}

async fn read(subject: &Subject, object: &ObjectRef) -> Vec<u8> {
    subject.ports.objects.get(object, Range::Suffix(u64::MAX)).await.expect("get").bytes
}

async fn is_absent(subject: &Subject, key: &str) -> bool {
    let objects = &subject.ports.objects;
    let head = objects.head(&subject.input(key)).await;
    let listed = objects.list(&subject.ports.buckets.inputs, key, None).await.expect("list").items;
    head.is_err_and(|error| error.kind == Kind::NotFound) && listed.is_empty()
}

fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("an error").kind
}

/// Nothing, a little, what is just no longer little, one part and a byte, many parts.
pub(crate) async fn nothing_shows_before_it_is_complete(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    for length in [0, 5, (4 << 20) + 1, (6 << 20) + 1, 43_000_019] {
        let key = format!("written/{length}");
        let bytes = content(length);
        let mut writer = begin(&subject, &key).await;
        fill(&mut *writer, &bytes).await;
        assert!(is_absent(&subject, &key).await, "{length}: it is being written");
        writer.ready().await.expect("ready");
        writer.ready().await.expect("ready again");
        assert!(is_absent(&subject, &key).await, "{length}: it is ready");
        let meta = writer.complete().await.expect("complete");
        assert_eq!((meta.size, meta.object.key.as_str()), (length as u64, key.as_str()));
        assert_eq!(subject.ports.objects.head(&subject.input(&key)).await.expect("head"), meta);
        assert!(read(&subject, &meta.object).await == bytes, "{length}: other bytes");
    }
}

/// What was there stays until the new one is whole; and without `ready` before it `complete` does the same.
pub(crate) async fn a_key_that_is_taken_is_replaced_at_once(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    for (before, after) in [(3, 9_000_000), (9_000_000, 3)] {
        for (length, expected) in [(before, None), (after, Some(before))] {
            let mut writer = begin(&subject, "a/key").await;
            fill(&mut *writer, &content(length)).await;
            if let Some(expected) = expected {
                let seen = read(&subject, &subject.input("a/key")).await;
                assert!(seen == content(expected), "not while it is written");
            }
            writer.complete().await.expect("complete");
            assert!(read(&subject, &subject.input("a/key")).await == content(length));
        }
    }
}

pub(crate) async fn one_that_is_given_up_leaves_nothing(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    for length in [0, 5, 17_000_000] {
        for ready in [false, true] {
            let mut writer = begin(&subject, "given-up").await;
            fill(&mut *writer, &content(length)).await;
            if ready {
                writer.ready().await.expect("ready");
            }
            writer.abort().await.expect("abort");
            writer.abort().await.expect("nothing is left to throw away");
            assert_eq!(kind(writer.put(b"more")), Kind::Invalid);
            assert_eq!(kind(writer.ready().await), Kind::Invalid);
            assert_eq!(kind(writer.complete().await), Kind::Invalid);
            assert!(is_absent(&subject, "given-up").await, "{length} {ready}");
        }
        let mut writer = begin(&subject, "dropped").await;
        fill(&mut *writer, &content(length)).await;
        writer.ready().await.expect("ready");
        drop(writer);
        assert!(is_absent(&subject, "dropped").await, "{length}");
    }
}

pub(crate) async fn no_step_can_be_taken_out_of_order(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    for length in [5, 9_000_000] {
        let mut writer = begin(&subject, "ordered").await;
        fill(&mut *writer, &content(length)).await;
        writer.ready().await.expect("ready");
        assert_eq!(kind(writer.put(b"late")), Kind::Invalid, "it is ready");
        writer.room().await.expect("there is nothing to wait for");
        let first = writer.complete().await.expect("complete");
        assert_eq!(kind(writer.put(b"later")), Kind::Invalid, "it is complete");
        assert_eq!(writer.complete().await.expect("again"), first);
        writer.ready().await.expect("it is");
        writer.abort().await.expect("too late");
        assert!(read(&subject, &first.object).await == content(length), "it stays");
    }
}

/// Two of the same key at once: each is whole, the later one stands.
pub(crate) async fn two_at_once_do_not_mix(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let (one, other) = (content(9_000_000), vec![7; 17_000_001]);
    let (mut first, mut second) = (begin(&subject, "both").await, begin(&subject, "both").await);
    tokio::join!(fill(&mut *first, &one), fill(&mut *second, &other));
    first.complete().await.expect("complete");
    assert!(read(&subject, &subject.input("both")).await == one);
    second.complete().await.expect("complete");
    assert!(read(&subject, &subject.input("both")).await == other);
}

pub(crate) async fn what_cannot_be_begun(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let objects = &subject.ports.objects;
    let too_long = "x".repeat(2000);
    for key in ["", "..", "../x", "a/../../x", "/etc/x", "a\0b", &too_long] {
        assert_eq!(kind(objects.begin(&subject.input(key)).await.map(drop)), Kind::Invalid, "{key:?}");
    }
    // Where the store is asked only when there is something to send, that is when it shows.
    for length in [5, 9_000_000] {
        let nowhere = ObjectRef::new("no-such-bucket-of-shepard", "a");
        let outcome = async {
            let mut writer = objects.begin(&nowhere).await?;
            writer.put(&content(length))?;
            writer.complete().await
        };
        assert_eq!(kind(outcome.await), Kind::NotFound);
    }
}
