//! Who wakes the watch and who does not. The waits are bounds for a failure, not measurements.

use std::process::Command;
use std::sync::mpsc::sync_channel;

use rusqlite::Connection;

use super::*;
use crate::local::{Home, Settings};
use crate::ports::{Objects as _, Range};

const NEVER: Duration = Duration::from_secs(3600);
const BOUND: Duration = Duration::from_secs(60);
const CHILD: &str = "SHEPARD_TEST_DATABASE";

fn flock() -> (tempfile::TempDir, FlockDir) {
    let temp = tempfile::tempdir().expect("temp");
    let dir = Home::new(temp.path()).create(&Settings::named("f")).expect("create");
    (temp, dir)
}

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("open");
    connection.pragma_update(None, "journal_mode", "wal").expect("wal");
    connection.execute_batch("create table if not exists t (x)").expect("table");
    connection
}

fn commit(connection: &Connection) {
    connection.execute("insert into t values (1)", []).expect("insert");
}

async fn wakes(watch: &mut Watch, what: &str) {
    assert!(tokio::time::timeout(BOUND, watch.changed()).await.is_ok(), "{what} woke nobody");
}

/// Takes up what wakes are under way: a file of our own is the last thing that the kernel tells of.
async fn settle(watch: &mut Watch, dir: &FlockDir) {
    let (sender, told) = sync_channel(64); // a full one only holds the watcher's own thread up
    let _marked = super::watch(dir.path(), move |event, _| drop(sender.send(event))).expect("watch");
    fs::write(dir.path().join("state.db-marker"), b"").expect("marker");
    while !told.recv_timeout(BOUND).expect("told").paths.iter().any(|path| path.ends_with("state.db-marker"))
    {
    }
    wakes(watch, "the marker").await;
    while tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_ok() {}
}

#[tokio::test]
async fn a_commit_by_another_connection_or_process_and_an_upload_wake() {
    let (temp, dir) = flock();
    let other = connect(&dir.database());
    // No tick: what wakes here is the kernel's word alone.
    let mut watch = Watch::every(&dir, NEVER);
    commit(&other);
    wakes(&mut watch, "a commit by another connection").await;

    settle(&mut watch, &dir).await;
    let status = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "local::watch::tests::child_that_commits"])
        .env(CHILD, dir.database())
        .output()
        .expect("run");
    assert!(status.status.success());
    wakes(&mut watch, "a commit by another process").await;

    settle(&mut watch, &dir).await;
    let source = temp.path().join("source");
    fs::write(&source, b"x").expect("write");
    let objects = crate::local::LocalObjects::new(&dir);
    objects.upload(&source, &shepard_model::ObjectRef::new("inputs", "a/b/c")).await.expect("upload");
    wakes(&mut watch, "an upload").await;

    settle(&mut watch, &dir).await;
    fs::write(dir.path().join("inputs/a/b/by hand"), b"x").expect("write");
    wakes(&mut watch, "a file dropped into a new folder").await;
    fs::remove_file(dir.path().join("inputs/a/b/c")).expect("remove");
    wakes(&mut watch, "a removal").await;
}

/// Run by the test above as a process of its own; by itself it has nothing to do.
#[test]
fn child_that_commits() {
    if let Some(path) = std::env::var_os(CHILD) {
        commit(&connect(Path::new(&path)));
    }
}

#[tokio::test]
async fn reads_logs_and_uploads_under_way_wake_nobody() {
    let (_temp, dir) = flock();
    let connection = connect(&dir.database());
    commit(&connection);
    fs::write(dir.path().join("inputs/a"), b"x").expect("write");
    fs::create_dir(dir.path().join("inputs").join(TEMP)).expect("temp");

    let (sender, told) = sync_channel(64); // a full one only holds the watcher's own thread up
    let _watcher = watch(dir.path(), move |event, _| drop(sender.send(event))).expect("watch");
    let rows: i64 = connection.query_row("select count(*) from t", [], |row| row.get(0)).expect("read");
    let mut reader = Connection::open(dir.database()).expect("another connection");
    let again: i64 = reader
        .transaction()
        .expect("transaction")
        .query_row("select count(*) from t", [], |row| row.get(0))
        .expect("read");
    assert_eq!((rows, again), (1, 1));
    drop(reader);
    let objects = crate::local::LocalObjects::new(&dir);
    objects.list("inputs", "", None).await.expect("list");
    objects.get(&shepard_model::ObjectRef::new("inputs", "a"), Range::Suffix(9)).await.expect("get");
    fs::write(dir.path().join("inputs").join(TEMP).join("1-1"), b"half").expect("half");
    fs::write(dir.path().join("supervisor.log"), b"x").expect("log");
    fs::write(dir.logs().join("x"), b"x").expect("log");

    fs::write(dir.path().join("inputs/marker"), b"").expect("marker");
    let first = told.recv_timeout(BOUND).expect("told");
    assert!(first.paths.iter().all(|path| path.ends_with("inputs/marker")), "{first:?}");
}

#[tokio::test]
async fn a_wake_is_not_lost_by_a_dropped_future() {
    let (_temp, dir) = flock();
    let mut watch = Watch::every(&dir, NEVER);
    for name in 0..100 {
        fs::write(dir.path().join(format!("inputs/{name}")), b"x").expect("write");
    }
    settle(&mut watch, &dir).await;
    fs::write(dir.path().join("inputs/more"), b"x").expect("write");
    let woken = async {
        // Polled once and dropped, over and over, as a select! loop does.
        while tokio::time::timeout(Duration::ZERO, watch.changed()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(BOUND, woken).await.is_ok());
}

#[tokio::test]
async fn where_the_kernel_tells_nothing_a_tick_finds_what_changed() {
    let (_temp, dir) = flock();
    let mut watch = Watch::every(&dir, Duration::from_millis(1));
    // A watcher that watches nothing stands for a file system that tells nothing.
    let deaf = RecommendedWatcher::new(|_: notify::Result<Event>| {}, Config::default()).expect("watcher");
    watch.watcher = Some(deaf);
    wakes(&mut watch, "the first look").await;
    let quiet = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
    assert!(quiet.is_err(), "nothing has changed");
    fs::write(dir.path().join("inputs/a"), b"x").expect("write");
    wakes(&mut watch, "a tick").await;

    watch.watcher = None;
    wakes(&mut watch, "a tick without a watcher").await;
    assert!(watch.watcher.is_some(), "and it was tried again");
}

#[tokio::test]
async fn a_folder_that_was_removed_and_made_anew_is_watched_again() {
    let (_temp, dir) = flock();
    let inputs = dir.path().join("inputs");
    let mut watch = Watch::every(&dir, Duration::from_millis(1));
    fs::remove_dir(&inputs).expect("remove");
    while !watch.lost.load(Ordering::Relaxed) {
        wakes(&mut watch, "the removal").await;
    }
    wakes(&mut watch, "a tick while the folder is missing").await;
    fs::create_dir(&inputs).expect("create");
    while watch.watcher.is_none() || watch.lost.load(Ordering::Relaxed) {
        wakes(&mut watch, "a tick").await;
    }
    watch.every = NEVER;
    watch.tick = None;
    settle(&mut watch, &dir).await;
    fs::write(inputs.join("a"), b"x").expect("write");
    wakes(&mut watch, "a file in the new folder").await;
}
