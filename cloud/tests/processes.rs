//! Several processes on one flock, and one that is killed in the middle.
//!
//! The test program starts itself again as the other process: [`other_process`] does the work where the variable
//! names a data directory, and is an empty test where it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use shepard_cloud::local::{Home, LocalFlock, Settings};
use shepard_cloud::ports::{Compute as _, Cursor, JobRequest, Put, Table as _};
use shepard_model::{Inputs, JobId, JobRow, ObjectRef, Shape};

const DATA: &str = "SHEPARD_TEST_DATA";
const ROWS: &str = "SHEPARD_TEST_ROWS";
const EACH: usize = 150;

fn row(number: usize) -> JobRow {
    let object = ObjectRef::new("inputs", format!("{number}.zip"));
    JobRow::arrived(JobId::of_object(&object), Some(object), Inputs::default(), 1, 30)
}

fn start(data: &Path, rows: usize) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "other_process", "--nocapture"])
        .env(DATA, data)
        .env(ROWS, rows.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start")
}

/// Writes rows, submits a job for each and takes as many; says how many rows were its own and how many it took.
#[tokio::test]
async fn other_process() {
    let (Ok(data), Ok(rows)) = (std::env::var(DATA), std::env::var(ROWS)) else { return };
    let flock = LocalFlock::open(&Home::new(data).flock("shared").expect("flock")).expect("open");
    let (mut created, mut taken) = (0, 0);
    for number in 0..rows.parse().expect("number") {
        let row = row(number);
        created += usize::from(flock.table().put_new(&row).await.expect("put") == Put::Created);
        let request = JobRequest {
            name: row.id.to_string(),
            environment: vec![],
            shape: Shape::default(),
            children: 1,
        };
        flock.compute().submit(&request).await.expect("submit");
        taken += flock.compute().take(1).await.expect("take").len();
    }
    println!("\nresult {created} {taken}");
}

#[tokio::test]
async fn processes_that_write_at_once_do_each_thing_once() {
    let temp = tempfile::tempdir().expect("temp");
    let dir = Home::new(temp.path()).create(&Settings::named("shared")).expect("create");
    // Nobody has opened it before: they also make the database together.
    let children: Vec<_> = (0..4).map(|_| start(temp.path(), EACH)).collect();
    let (mut created, mut taken) = (0, 0);
    for child in children {
        let output = child.wait_with_output().expect("wait");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix("result ")).expect("a result");
        let (ours, theirs) = line.split_once(' ').expect("two numbers");
        created += ours.parse::<usize>().expect("number");
        taken += theirs.parse::<usize>().expect("number");
    }
    let flock = LocalFlock::open(&dir).expect("open");
    taken += flock.compute().take(4 * EACH).await.expect("take").len();
    assert_eq!((created, taken), (EACH, EACH));
    assert_eq!(flock.counts().await.expect("counts")[0], EACH as u64);
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_whole_changes_behind_and_keeps_nobody_waiting() {
    let temp = tempfile::tempdir().expect("temp");
    let dir = Home::new(temp.path()).create(&Settings::named("shared")).expect("create");
    let flock = LocalFlock::open(&dir).expect("open");
    let mut expected = 0;
    for _ in 0..3 {
        let mut child = start(temp.path(), usize::MAX);
        while flock.counts().await.expect("counts")[0] < expected + 50 {
            assert!(child.try_wait().expect("state").is_none(), "it ended by itself");
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
        expected = flock.counts().await.expect("counts")[0];
    }
    let everything = usize::try_from(expected).expect("few") + 1;
    let listed = flock.table().changes(Cursor::default(), everything).await.expect("changes").rows;
    let whole = flock.table().scan(None, everything).await.expect("scan").items;
    assert_eq!((listed.len() as u64, whole.len() as u64), (expected, expected));
    assert!(listed.iter().zip(&whole).all(|(line, row)| *line == row.summary()));
    assert_eq!(flock.table().put_new(&row(usize::MAX)).await.expect("put"), Put::Created);
}
