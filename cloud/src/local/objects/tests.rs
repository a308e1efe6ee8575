//! What only a bucket made of files has: links, pipes, folders in the way, files dropped by hand, dead uploads.

use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use rustix::fs::FileType;

use super::*;
use crate::local::{Home, Settings};

struct Flock {
    temp: tempfile::TempDir,
    dir: FlockDir,
    objects: LocalObjects,
}

fn flock() -> Flock {
    let temp = tempfile::tempdir().expect("temp");
    let dir = Home::new(temp.path().join("data")).create(&Settings::named("f")).expect("create");
    let objects = LocalObjects::new(&dir);
    Flock { temp, dir, objects }
}

fn object(key: &str) -> ObjectRef {
    ObjectRef::new("inputs", key)
}

impl Flock {
    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.temp.path().join("source");
        fs::write(&path, content).expect("write");
        path
    }

    async fn put(&self, key: &str, content: &[u8]) -> Result<ObjectMeta> {
        self.objects.upload(&self.file(content), &object(key)).await
    }

    async fn read(&self, object: &ObjectRef) -> Result<Vec<u8>> {
        Ok(self.objects.get(object, Range::Suffix(u64::MAX)).await?.bytes)
    }

    async fn keys(&self) -> Vec<String> {
        let page = self.objects.list("inputs", "", None).await.expect("list");
        page.items.into_iter().map(|item| item.object.key).collect()
    }

    fn temps(&self) -> usize {
        let folder = self.dir.bucket("inputs").expect("bucket").join(confined::TEMP);
        fs::read_dir(folder).map_or(0, Iterator::count)
    }
}

fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("an error").kind
}

#[tokio::test]
async fn links_pipes_and_folders_are_no_objects() {
    let flock = flock();
    let inputs = flock.dir.bucket("inputs").expect("bucket");
    let outside = flock.temp.path().join("outside");
    fs::create_dir(&outside).expect("outside");
    fs::write(outside.join("secret"), b"secret").expect("secret");
    symlink(&outside, inputs.join("folder-link")).expect("link");
    symlink(outside.join("secret"), inputs.join("file-link")).expect("link");
    symlink("folder-link", inputs.join("inner-link")).expect("link");
    fs::create_dir(inputs.join("folder")).expect("folder");
    let pipe = rustix::fs::CWD;
    rustix::fs::mknodat(pipe, inputs.join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("pipe");

    for key in ["file-link", "folder-link/secret", "inner-link/secret", "folder", "pipe", "pipe/x"] {
        assert_eq!(kind(flock.objects.head(&object(key)).await), Kind::NotFound, "{key}");
        assert_eq!(kind(flock.read(&object(key)).await), Kind::NotFound, "{key}");
        flock.objects.delete(&object(key)).await.expect(key);
    }
    assert_eq!(flock.keys().await, Vec::<String>::new());
    assert!(outside.join("secret").exists() && inputs.join("folder").exists());

    assert_eq!(kind(flock.put("folder-link/new", b"x").await), Kind::Conflict);
    flock.put("file-link", b"mine").await.expect("replaces the link itself");
    assert_eq!(fs::read(outside.join("secret")).expect("read"), b"secret");
    assert_eq!(fs::read_dir(&outside).expect("dir").count(), 1);
    assert_eq!((flock.keys().await, flock.temps()), (vec!["file-link".to_owned()], 0));
}

#[tokio::test]
async fn a_bucket_may_itself_be_a_link_and_may_have_been_removed() {
    let flock = flock();
    let inputs = flock.dir.bucket("inputs").expect("bucket");
    let elsewhere = flock.temp.path().join("elsewhere");
    fs::remove_dir(&inputs).expect("remove");
    assert_eq!(flock.keys().await, Vec::<String>::new());
    assert_eq!(kind(flock.objects.head(&object("a")).await), Kind::NotFound);
    flock.put("a/b", b"x").await.expect("makes the bucket anew");
    fs::rename(&inputs, &elsewhere).expect("move");
    symlink(&elsewhere, &inputs).expect("link");
    assert_eq!(flock.keys().await, ["a/b"]);
}

#[tokio::test]
async fn a_file_dropped_by_hand_is_an_object_and_dropped_again_another_version() {
    let flock = flock();
    let path = flock.dir.bucket("inputs").expect("bucket").join("by hand.zip");
    fs::write(&path, b"one").expect("write");
    let first = flock.objects.head(&object("by hand.zip")).await.expect("head");
    assert_eq!(flock.read(&first.object).await.expect("read"), b"one");
    fs::remove_file(&path).expect("remove");
    fs::write(&path, b"other").expect("write");
    let second = flock.objects.head(&object("by hand.zip")).await.expect("head");
    assert_ne!(first.object, second.object);
    assert_eq!(kind(flock.read(&first.object).await), Kind::NotFound);
    flock.objects.delete(&first.object).await.expect("the old version is not there");
    assert_eq!(flock.read(&second.object).await.expect("read"), b"other");
}

#[tokio::test]
async fn a_key_cannot_be_both_an_object_and_a_folder_of_objects() {
    let flock = flock();
    flock.put("a", b"1").await.expect("put");
    let error = flock.put("a/b", b"2").await.expect_err("in the way");
    assert_eq!(error.kind, Kind::Conflict);
    assert!(
        error.to_string().contains("inputs/a/b: an object or a link has the name of a folder"),
        "{error}"
    );
    flock.put("d/e", b"3").await.expect("put");
    assert_eq!(kind(flock.put("d", b"4").await), Kind::Conflict);
    flock.objects.delete(&object("d/e")).await.expect("delete");
    flock.put("d", b"5").await.expect("an empty folder stands in nobody's way");
    assert_eq!((flock.keys().await, flock.temps()), (vec!["a".to_owned(), "d".to_owned()], 0));
}

#[tokio::test]
async fn what_a_dead_upload_left_is_never_shown_and_removed_in_time() {
    let flock = flock();
    let temps = flock.dir.bucket("inputs").expect("bucket").join(confined::TEMP);
    fs::create_dir(&temps).expect("temps");
    for name in ["old", "young"] {
        fs::write(temps.join(name), b"half").expect("write");
    }
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    File::options().write(true).open(temps.join("old")).expect("open").set_modified(long_ago).expect("time");
    assert_eq!(flock.keys().await, Vec::<String>::new());
    flock.put("a", b"1").await.expect("put");
    assert!(!temps.join("old").exists() && temps.join("young").exists());
    assert_eq!(kind(flock.objects.head(&object(".shepard-tmp/young")).await), Kind::Invalid);
}

#[tokio::test]
async fn a_copy_that_nobody_wants_any_longer_leaves_nothing() {
    let flock = flock();
    let target = flock.objects.target("upload", &object("big")).expect("target");
    let unwanted = AtomicBool::new(true);
    let source = flock.file(b"content");
    assert!(target.upload(&source, false, &unwanted).is_err());
    assert_eq!((flock.keys().await.len(), flock.temps()), (0, 0));
}

#[tokio::test]
async fn a_copy_is_a_file_like_any_other() {
    let flock = flock();
    flock.put("a", b"content").await.expect("put");
    let to = flock.temp.path().join("copy");
    assert_eq!(flock.objects.download(&object("a"), &to).await.expect("download"), 7);
    let plain = fs::metadata(flock.file(b"")).expect("meta").permissions();
    assert_eq!(fs::metadata(&to).expect("meta").permissions(), plain, "what the user's mask says");
    let nowhere = flock.temp.path().join("no/folder");
    assert_eq!(kind(flock.objects.download(&object("a"), &nowhere).await), Kind::NotFound);
    assert_eq!(kind(flock.objects.upload(flock.temp.path(), &object("b")).await), Kind::Invalid);
}

#[tokio::test]
async fn folders_with_nothing_in_them_do_not_end_a_list() {
    let flock = flock();
    let inputs = flock.dir.bucket("inputs").expect("bucket");
    let mut wanted = Vec::new();
    for n in 0..40 {
        fs::create_dir(inputs.join(format!("{n:02}"))).expect("folder");
        if n % 7 == 3 {
            for key in [format!("{n:02}/a"), format!("{n:02}/b/c"), format!("{n:02}0"), format!("{n:02}-")] {
                flock.put(&key, b"x").await.expect("put");
                wanted.push(key);
            }
        }
    }
    wanted.sort_unstable();
    let bucket = confined::bucket(&inputs).expect("bucket");
    for want in [1, 2, 3, 5, 100] {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let after = seen.last().cloned().unwrap_or_default();
            let page = list::list(&bucket, &list::Query { prefix: "", after: &after, want }).expect("list");
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= want);
            seen.extend(page.into_iter().map(|(key, _)| key));
        }
        assert_eq!(seen, wanted, "{want}");
    }
}

/// Keys made of what leads astray: dots, slashes, links that are there, NULs, and plain text.
fn hostile_keys() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => Just("..".to_owned()),
        2 => Just(".".to_owned()),
        2 => Just(String::new()),
        2 => Just("out".to_owned()),
        1 => Just("a\0".to_owned()),
        1 => Just(".shepard-tmp".to_owned()),
        3 => "[a-b]",
        1 => "\\PC{0,4}",
        1 => Just("x".repeat(300)),
    ];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_key_ever_reaches_outside_its_bucket(keys in proptest::collection::vec(hostile_keys(), 1..8)) {
        let flock = flock();
        let outside = flock.temp.path().join("outside");
        fs::create_dir(&outside).expect("outside");
        symlink(&outside, flock.dir.bucket("inputs").expect("bucket").join("out")).expect("link");
        let source = flock.file(b"content");
        let others = || {
            let walk = |path: &Path| fs::read_dir(path).expect("dir").flatten().map(|e| e.path()).collect();
            let mut seen: Vec<PathBuf> = walk(flock.temp.path());
            seen.extend::<Vec<_>>(walk(flock.dir.path()));
            seen.extend::<Vec<_>>(walk(&outside));
            seen.extend::<Vec<_>>(walk(&flock.dir.bucket("outputs").expect("bucket")));
            seen.extend::<Vec<_>>(walk(&flock.temp.path().join("data")));
            seen
        };
        let before = others();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            for key in &keys {
                let put = flock.objects.upload(&source, &object(key)).await;
                match &put {
                    Ok(_) => {
                        let read = flock.read(&object(key)).await;
                        prop_assert_eq!(read.expect("what was put is there"), b"content");
                        prop_assert!(flock.keys().await.contains(key), "{:?}", key);
                    }
                    Err(error) => {
                        prop_assert!(matches!(error.kind, Kind::Invalid | Kind::Conflict), "{:?}: {}", key, error);
                    }
                }
                prop_assert_eq!(&others(), &before, "{:?}", key);
            }
            for key in &keys {
                flock.objects.delete(&object(key)).await.ok();
                prop_assert_eq!(&others(), &before, "{:?}", key);
            }
            Ok(())
        })?;
    }
}
