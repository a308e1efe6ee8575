//! A flock on a disk of one megabyte that is full: what cannot be written is said so and is nowhere to be seen, and
//! once there is room everything goes on. Needs the right to mount; without it each test says that it was skipped.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use shepard_cloud::local::{FlockDir, Home, LocalFlock, Settings};
use shepard_cloud::ports::{LogFrom, LogLine, LogSource, Put, Range};
use shepard_cloud::{Kind, Ports};
use shepard_model::{Inputs, JobId, JobRow, ObjectRef};

struct SmallDisk {
    temp: tempfile::TempDir,
    dir: FlockDir,
    ports: Ports,
}

impl SmallDisk {
    /// None where this process may not mount; says so, with the name of the test.
    fn mount(test: &str) -> Option<Self> {
        let temp = tempfile::tempdir().expect("temp");
        let disk = temp.path().join("disk");
        fs::create_dir(&disk).expect("disk");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "shepard-test"])
            .arg(&disk)
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("skipped: full_disk::{test} needs the right to mount a small disk");
            return None;
        }
        let dir = Home::new(&disk).create(&Settings::named("f")).expect("create");
        let ports = LocalFlock::open(&dir).expect("open").ports();
        Some(Self { temp, dir, ports })
    }

    fn disk(&self) -> PathBuf {
        self.temp.path().join("disk")
    }

    /// Writes until nothing fits any longer.
    fn fill(&self) {
        let mut file = fs::File::create(self.disk().join("filler")).expect("filler");
        for size in [4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.disk().join("filler")).expect("filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the database is still open.
        Command::new("umount").arg("-l").arg(self.disk()).status().ok();
    }
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test]
async fn an_upload_that_does_not_fit_leaves_nothing() {
    let Some(small) = SmallDisk::mount("an_upload_that_does_not_fit_leaves_nothing") else { return };
    let source = small.temp.path().join("source");
    fs::write(&source, vec![7; 3 << 20]).expect("write");
    let inputs = small.ports.buckets.inputs.clone();
    let big = ObjectRef::new(&inputs, "a/big");
    let objects = &small.ports.objects;
    for _ in 0..3 {
        let error = objects.upload(&source, &big).await.expect_err("does not fit");
        assert_eq!(error.kind, Kind::Full, "{error}");
        assert_eq!(objects.head(&big).await.expect_err("nothing").kind, Kind::NotFound);
        assert!(objects.list(&inputs, "", None).await.expect("list").items.is_empty());
        assert_eq!(files(&small.dir.bucket(&inputs).expect("bucket").join(".shepard-tmp")), 0);
    }

    fs::write(&source, b"small").expect("write");
    let old = objects.upload(&source, &ObjectRef::new(&inputs, "old")).await.expect("fits").object;
    small.fill();
    fs::write(&source, vec![8; 100_000]).expect("write");
    let error = objects.upload(&source, &ObjectRef::new(&inputs, "old")).await.expect_err("does not fit");
    assert_eq!(error.kind, Kind::Full, "{error}");
    let part = objects.get(&old, Range::Suffix(99)).await.expect("the old object is as it was");
    assert_eq!(part.bytes, b"small");
    // A download onto the full disk is no different.
    let to = small.disk().join("copy");
    fs::write(small.temp.path().join("one"), b"x").expect("write");
    let error = objects.download(&old, &to).await.expect_err("does not fit");
    assert!(error.kind == Kind::Full && !to.exists(), "{error}");

    small.make_room();
    objects.upload(&source, &ObjectRef::new(&inputs, "old")).await.expect("fits now");
    objects.download(&ObjectRef::new(&inputs, "old"), &to).await.expect("fits now");
}

#[tokio::test]
async fn a_log_that_does_not_fit_is_as_it_was() {
    let Some(small) = SmallDisk::mount("a_log_that_does_not_fit_is_as_it_was") else { return };
    let line = |text: String| LogLine { at_ms: 1, source: LogSource::Stdout, text };
    let logs = &small.ports.logs;
    let mut wanted = vec![line("first".into())];
    logs.append("abc-1-1", &wanted).await.expect("append");
    small.fill();
    let batch: Vec<_> = (0..100).map(|n| line(format!("{n} {}", "x".repeat(1000)))).collect();
    for _ in 0..3 {
        let error = logs.append("abc-1-1", &batch).await.expect_err("does not fit");
        assert_eq!(error.kind, Kind::Full, "{error}");
        let page = logs.read("abc-1-1", &LogFrom::Start, 1000).await.expect("read");
        assert_eq!((&page.lines, page.more), (&wanted, false));
    }
    let error = logs.append("new-1-1", &batch).await.expect_err("does not fit");
    assert_eq!(error.kind, Kind::Full, "{error}");

    small.make_room();
    logs.append("abc-1-1", &batch).await.expect("fits now");
    wanted.extend(batch);
    let page = logs.read("abc-1-1", &LogFrom::Start, 1000).await.expect("read");
    assert!(page.lines == wanted);
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_not_there() {
    let Some(small) = SmallDisk::mount("a_row_that_does_not_fit_is_not_there") else { return };
    let row = |n: usize| {
        let id = JobId::parse(&format!("j{n}")).expect("id");
        let inputs = Inputs::from_json(&format!(r#"{{"text":"{}"}}"#, "x".repeat(2000))).expect("inputs");
        JobRow::arrived(id, None, inputs, 1_000, 30)
    };
    let table = &small.ports.table;
    assert_eq!(table.put_new(&row(0)).await.expect("fits"), Put::Created);
    small.fill();
    let mut count = 1;
    let error = loop {
        match table.put_new(&row(count)).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
        assert!(count < 1000, "a thousand rows do not fit");
    };
    assert_eq!(error.kind, Kind::Full, "{error}");
    let error = table.put_new(&row(count)).await.expect_err("still full");
    assert_eq!(error.kind, Kind::Full, "{error}");
    assert_eq!(table.get(&row(count).id).await.expect("reads go on"), None);
    for n in 0..count {
        assert_eq!(table.get(&row(n).id).await.expect("reads go on"), Some(row(n)), "{n}");
    }

    small.make_room();
    assert_eq!(table.put_new(&row(count)).await.expect("fits now"), Put::Created);
    let again = LocalFlock::open(&small.dir).expect("another process opens it").ports();
    let page = again.table.scan(None, 1000).await.expect("scan");
    assert_eq!(page.items.len(), count + 1);
}
