//! Objects: ranges, versions, whole copies, lists, and keys that mean harm.

use std::sync::Arc;

use futures_util::future::join_all;
use shepard_cloud::ports::{ObjectMeta, Range};
use shepard_cloud::{Kind, Result};
use shepard_model::ObjectRef;

use crate::Subject;

async fn put(subject: &Subject, key: &str, content: &[u8]) -> ObjectMeta {
    let source = subject.file(content);
    subject.ports.objects.upload(&source, &subject.input(key)).await.expect(key)
}

async fn read(subject: &Subject, object: &ObjectRef) -> Result<Vec<u8>> {
    Ok(subject.ports.objects.get(object, Range::Suffix(1 << 20)).await?.bytes)
}

async fn keys(subject: &Subject, prefix: &str) -> Vec<String> {
    let (mut keys, mut from) = (Vec::new(), None);
    loop {
        let page = subject.ports.objects.list(&subject.ports.buckets.inputs, prefix, from.as_deref()).await;
        let page = page.expect("list");
        assert!(page.items.len() <= 1000, "a page is at most a thousand");
        keys.extend(page.items.into_iter().map(|item| item.object.key));
        from = page.next;
        if from.is_none() {
            return keys;
        }
    }
}

fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("an error").kind
}

pub(crate) async fn ranges_and_suffixes(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    put(&subject, "digits", b"0123456789").await;
    let digits = subject.input("digits");
    for (range, bytes, start) in [
        (Range::From { start: 0, length: 10 }, "0123456789", 0),
        (Range::From { start: 3, length: 4 }, "3456", 3),
        (Range::From { start: 8, length: 100 }, "89", 8),
        (Range::From { start: 9, length: u64::MAX }, "9", 9),
        (Range::Suffix(3), "789", 7),
        (Range::Suffix(10), "0123456789", 0),
        (Range::Suffix(u64::MAX), "0123456789", 0),
    ] {
        let part = subject.ports.objects.get(&digits, range).await.expect("get");
        assert_eq!(
            (part.bytes.as_slice(), part.start, part.total),
            (bytes.as_bytes(), start, 10),
            "{range:?}"
        );
    }
    put(&subject, "empty", b"").await;
    let part = subject.ports.objects.get(&subject.input("empty"), Range::Suffix(22)).await.expect("get");
    assert_eq!((part.bytes.len(), part.total), (0, 0));
}

pub(crate) async fn versions(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let first = put(&subject, "a", b"one").await;
    assert!(first.object.version.is_some() && first.size == 3, "{first:?}");
    assert_eq!(subject.ports.objects.head(&subject.input("a")).await.expect("head"), first);
    assert_eq!(read(&subject, &first.object).await.expect("read"), b"one");

    let second = put(&subject, "a", b"two").await;
    assert_ne!(first.object.version, second.object.version);
    assert_eq!(read(&subject, &subject.input("a")).await.expect("read"), b"two");
    assert_eq!(read(&subject, &second.object).await.expect("read"), b"two");
    // A store that keeps old versions may give it; none may give the new bytes for the old version.
    match read(&subject, &first.object).await {
        Ok(bytes) => assert_eq!(bytes, b"one"),
        Err(error) => assert_eq!(error.kind, Kind::NotFound),
    }
    assert_eq!(
        kind(subject.ports.objects.head(&subject.input("a").at("no such version")).await),
        Kind::NotFound
    );
}

/// A store may keep no versions of what lies in a bucket, as the outputs of an old stack.
pub(crate) async fn a_bucket_without_versions(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let object = ObjectRef::new(&subject.ports.buckets.outputs, "result@a_1_root.zip");
    let objects = &subject.ports.objects;
    let meta = objects.upload(&subject.file(b"0123"), &object).await.expect("upload");
    assert_eq!(objects.head(&object).await.expect("head"), meta);
    assert_eq!(read(&subject, &meta.object).await.expect("read"), b"0123");
    let to = subject.scratch.join("copy");
    assert_eq!(objects.download(&meta.object, &to).await.expect("download"), 4);
    assert!(!objects.put_new(&object, b"x").await.expect("put"));
    objects.delete(&object).await.expect("delete");
    assert_eq!(kind(objects.head(&object).await), Kind::NotFound);
}

pub(crate) async fn uploads_and_downloads(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    // Larger than any block, and not a multiple of one.
    let content: Vec<u8> = (0..3_000_017_u32).map(|n| (n % 251) as u8).collect();
    let meta = put(&subject, "big", &content).await;
    assert_eq!(meta.size, content.len() as u64);
    let to = subject.scratch.join("copy");
    let objects = &subject.ports.objects;
    assert_eq!(objects.download(&meta.object, &to).await.expect("download"), content.len() as u64);
    assert!(std::fs::read(&to).expect("read") == content);

    assert_eq!(kind(objects.download(&meta.object, &to).await), Kind::Conflict, "never over a file");
    let absent = subject.scratch.join("absent");
    assert_eq!(kind(objects.download(&subject.input("none"), &absent).await), Kind::NotFound);
    assert_eq!(kind(objects.upload(&absent, &subject.input("b")).await), Kind::NotFound);
    assert!(!absent.exists());
    let left: Vec<_> =
        std::fs::read_dir(&subject.scratch).expect("dir").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 2, "the source and the copy: {left:?}");

    objects.delete(&subject.input("big")).await.expect("delete");
    objects.delete(&subject.input("big")).await.expect("nothing to delete is no error");
    assert_eq!(kind(objects.head(&subject.input("big")).await), Kind::NotFound);
    assert_eq!(keys(&subject, "").await, Vec::<String>::new());
}

pub(crate) async fn prefixes_and_order(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let mut all = vec!["b", "a/x", "a-b", "a/b/c", "a.zip", "é", "a/b-c", "B", "ab/c"];
    for key in &all {
        put(&subject, key, key.as_bytes()).await;
    }
    // The order of the bytes: `-` and `.` come before `/`.
    all.sort_unstable();
    assert_eq!(keys(&subject, "").await, all);
    for prefix in ["a", "a/", "a/b", "a/b/", "a/b/c", "ab", "é", "none", "a/b/c/d"] {
        let wanted: Vec<_> = all.iter().copied().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(keys(&subject, prefix).await, wanted, "{prefix}");
    }
    let bucket = &subject.ports.buckets.inputs;
    let page = subject.ports.objects.list(bucket, "a/b/c", None).await.expect("list");
    let head = subject.ports.objects.head(&subject.input("a/b/c")).await.expect("head");
    assert_eq!((page.items[0].size, &page.items[0].object.key), (5, &head.object.key));
    let outputs = &subject.ports.buckets.outputs;
    assert!(subject.ports.objects.list(outputs, "", None).await.expect("list").items.is_empty());
}

pub(crate) async fn pages(make: impl AsyncFn() -> Subject) {
    let subject = &make().await;
    let mut wanted: Vec<_> = (0..2_345).map(|n| format!("batch/{}/{n}.zip", n % 7)).collect();
    for some in wanted.chunks(32) {
        let puts = some.iter().map(|key| {
            let object = subject.input(key);
            async move { subject.ports.objects.put_new(&object, b"x").await }
        });
        for put in join_all(puts).await {
            assert!(put.expect("put"));
        }
    }
    wanted.sort_unstable();
    assert_eq!(keys(subject, "").await, wanted);
    assert_eq!(keys(subject, "batch/3/").await.len(), 335);
    // A page goes on after the last key of the one before, even if that is gone meanwhile.
    let bucket = &subject.ports.buckets.inputs;
    let first = subject.ports.objects.list(bucket, "", None).await.expect("list");
    let last = first.items.last().expect("full").object.clone();
    subject.ports.objects.delete(&last).await.expect("delete");
    let second = subject.ports.objects.list(bucket, "", first.next.as_deref()).await.expect("list");
    assert_eq!(second.items[0].object.key, wanted[1000]);
}

pub(crate) async fn hostile_keys(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let long = format!("{}/{}", "d".repeat(255), "f".repeat(255));
    let odd =
        ["-rf", "a b", "ä ö/ü.zip", "q'\"`$(id)", "%2e%2e", "...", ".hidden", "a+b&c=d", "C:\\x", &long];
    for key in odd {
        let meta = put(&subject, key, key.as_bytes()).await;
        assert_eq!(read(&subject, &meta.object).await.expect(key), key.as_bytes());
    }
    let mut wanted = odd.to_vec();
    wanted.sort_unstable();
    assert_eq!(keys(&subject, "").await, wanted);
    let source = subject.file(b"x");
    let too_long = "x".repeat(2000);
    for key in ["", "..", "../x", "a/../../x", "/etc/x", "a\0b", &too_long] {
        let error = subject.ports.objects.upload(&source, &subject.input(key)).await.expect_err("refused");
        assert_eq!(error.kind, Kind::Invalid, "{key:?}: {error}");
        assert!(subject.ports.objects.head(&subject.input(key)).await.is_err(), "{key:?}");
    }
    assert_eq!(keys(&subject, "").await, wanted);
}

pub(crate) async fn a_line_break_in_a_key(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let meta = put(&subject, "new\nline", b"x").await;
    assert_eq!(read(&subject, &meta.object).await.expect("read"), b"x");
    assert_eq!(keys(&subject, "new\n").await, ["new\nline"]);
}

pub(crate) async fn a_bucket_that_is_not_there(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let object = ObjectRef::new("no-such-bucket-of-shepard", "a");
    let source = subject.file(b"x");
    assert_eq!(kind(subject.ports.objects.upload(&source, &object).await), Kind::NotFound);
    assert_eq!(kind(subject.ports.objects.head(&object).await), Kind::NotFound);
    assert_eq!(kind(subject.ports.objects.list(&object.bucket, "", None).await), Kind::NotFound);
}

pub(crate) async fn a_key_is_written_once(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let objects = &subject.ports.objects;
    let key = subject.input(".shepard/manifests/a");
    assert!(objects.put_new(&key, b"first").await.expect("put"));
    let first = objects.head(&key).await.expect("head");
    for other in [b"other".as_slice(), b"first", b""] {
        assert!(!objects.put_new(&key, other).await.expect("put"));
    }
    assert_eq!(read(&subject, &key).await.expect("read"), b"first");
    assert_eq!(objects.head(&key).await.expect("head"), first, "as it was");
    let uploaded = put(&subject, "b", b"uploaded").await;
    assert!(!objects.put_new(&subject.input("b"), b"new").await.expect("put"));
    assert_eq!(read(&subject, &uploaded.object).await.expect("read"), b"uploaded");
    assert!(objects.put_new(&subject.input("empty"), b"").await.expect("put"));
    assert_eq!(objects.head(&subject.input("empty")).await.expect("head").size, 0);

    // Many at once: one of them writes it, and it is that one's.
    for round in 0..5 {
        let contested = subject.input(&format!("contested-{round}"));
        let tasks: Vec<_> = (0..8_u8)
            .map(|writer| {
                let (objects, object) = (Arc::clone(&subject.ports.objects), contested.clone());
                tokio::spawn(async move {
                    let wrote = objects.put_new(&object, &[writer; 4]).await.expect("put");
                    wrote.then_some(writer)
                })
            })
            .collect();
        let mut wrote = Vec::new();
        for task in tasks {
            wrote.extend(task.await.expect("join"));
        }
        assert_eq!(wrote.len(), 1, "{wrote:?}");
        assert_eq!(read(&subject, &contested).await.expect("read"), [wrote[0]; 4]);
    }

    for key in ["", "../x", "/etc/x"] {
        assert_eq!(kind(objects.put_new(&subject.input(key), b"x").await), Kind::Invalid, "{key:?}");
    }
    let nowhere = ObjectRef::new("no-such-bucket-of-shepard", "a");
    assert_eq!(kind(objects.put_new(&nowhere, b"x").await), Kind::NotFound);
}

/// Larger than what goes in one request or comes in one answer, and not a multiple of either.
pub(crate) async fn many_parts(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let content: Vec<u8> = (0..40_000_019_u32).map(|n| (n % 8191 % 251) as u8).collect();
    let meta = put(&subject, "big", &content).await;
    assert_eq!(meta.size, content.len() as u64);
    let to = subject.scratch.join("copy");
    let objects = &subject.ports.objects;
    assert_eq!(objects.download(&meta.object, &to).await.expect("download"), content.len() as u64);
    assert!(std::fs::read(&to).expect("read") == content);
    let part = objects.get(&meta.object, Range::From { start: 33_554_400, length: 64 }).await.expect("get");
    assert_eq!(part.bytes, content[33_554_400..33_554_464]);
}
