//! Whose directories are whose: an attempt locks them, the sweep removes what nobody holds and nothing else.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::{Flock, Hurried, payload, until};
use shepard_cloud::ports::{Applied, Clock as _};
use shepard_cloud::ports::{LogSource, Ports, WallClock};
use shepard_model::{Fence, JobId, Outcome, Transition};
use shepard_worker::{Exit, Job, Stop, Swept, sweep};

const DAY_MS: i64 = 86_400_000;

fn flock() -> Flock {
    let mut flock = Flock::new().with_efs();
    flock.place.locked = true;
    flock
}

fn lock_file(base: &Path, job: &Job) -> PathBuf {
    base.join(".shepard").join(format!("{}.lock", job.id))
}

/// Whether somebody has a lock; false where there is no file.
fn is_held(file: &Path) -> bool {
    File::open(file).is_ok_and(|file| file.try_lock_shared().is_err())
}

/// Everything in a base but the folder of the locks.
fn names(base: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(base) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".shepard");
    names.sort();
    names
}

fn locks(base: &Path) -> usize {
    std::fs::read_dir(base.join(".shepard")).map_or(0, Iterator::count)
}

/// Leaves a job's directories as `kill -9` leaves them.
async fn killed(flock: &Flock, job: &Job) {
    let payload = payload("echo up; exec sleep 600");
    let run = shepard_worker::run(&flock.ports, job, &flock.place, &payload, Stop::new());
    tokio::select! {
        exit = run => panic!("{exit:?}"),
        () = flock.printed(job, "up") => {}
    }
    assert!(flock.root(job).exists());
}

#[tokio::test]
async fn an_attempt_holds_its_directories_and_leaves_nothing() {
    let flock = flock();
    let job = flock.job("{}");
    let efs = flock.place.efs.clone().unwrap();
    let script = r#"echo up; while [ ! -e "$ROOT_INPUT_NAME/go" ]; do sleep 0.02; done"#;
    let watch = async {
        flock.printed(&job, "up").await;
        for base in [&flock.place.root, &efs] {
            assert!(is_held(&lock_file(base, &job)));
            let signed = std::fs::read_to_string(lock_file(base, &job)).unwrap();
            assert_eq!(signed.trim(), flock.row(&job).claim.unwrap().worker);
        }
        assert_eq!(sweep(&flock.ports, &flock.place).await, Swept::default(), "it lives");
        std::fs::write(flock.root(&job).join("input/go"), "").unwrap();
    };
    let (exit, ()) = tokio::join!(flock.run(&job, script), watch);
    assert_eq!(exit, Exit::Succeeded);
    for base in [&flock.place.root, &efs] {
        assert_eq!((names(base), locks(base)), (vec![], 0));
    }
}

#[tokio::test]
async fn a_local_place_has_no_locks() {
    let flock = Flock::new();
    let job = flock.job("{}");
    assert_eq!(flock.run(&job, "true").await, Exit::Succeeded);
    assert!(!flock.place.root.join(".shepard").exists());
}

#[tokio::test]
async fn what_a_dead_worker_left_is_swept_and_nothing_else() {
    let flock = flock();
    let (root, efs) = (flock.place.root.clone(), flock.place.efs.clone().unwrap());
    let job = flock.job("{}");
    killed(&flock, &job).await;
    // Data of people, directories of another program's jobs, a job id without a lock, and what a lock must not name.
    for base in [&root, &efs] {
        for name in ["read_only", "genomes", "0123456789abcdef0123456789abcdef"] {
            std::fs::create_dir_all(base.join(name)).unwrap();
            std::fs::write(base.join(name).join("file"), "theirs").unwrap();
        }
        for name in ["read_only.lock", "..lock", ".lock", "a b.lock", "genomes", "genomes.lock.txt"] {
            std::fs::write(base.join(".shepard").join(name), "").unwrap();
        }
    }
    let swept = sweep(&flock.ports, &flock.place).await;
    assert_eq!(
        (swept.removed, swept.left),
        (vec![("root", job.id.clone())], vec![]),
        "on EFS it is too young"
    );
    let theirs = ["0123456789abcdef0123456789abcdef", "genomes", "read_only"];
    assert_eq!(names(&root), theirs);
    assert!(!lock_file(&root, &job).exists() && names(&efs).len() == 4);

    // A day later, and its row was ended by the scheduler.
    let mut flock = flock;
    flock.ports = Ports { clock: Arc::new(Hurried(DAY_MS + 1_000)), ..flock.ports.clone() };
    let lost = Transition::Lost { run: 1, attempt: 1, reason: "gone".into(), retry: false, at_ms: 0 };
    flock.ports.table.apply(&job.id, &lost).await.unwrap();
    let swept = sweep(&flock.ports, &flock.place).await;
    assert_eq!(swept.removed, [("efs", job.id.clone())]);
    assert_eq!(names(&efs), theirs);
    for base in [&root, &efs] {
        for name in theirs {
            assert_eq!(std::fs::read_to_string(base.join(name).join("file")).unwrap(), "theirs");
        }
    }
    assert_eq!(sweep(&flock.ports, &flock.place).await, Swept::default());
}

#[tokio::test]
async fn on_a_shared_filesystem_a_row_that_is_held_protects_its_directory() {
    let flock = flock();
    let efs = flock.place.efs.clone().unwrap();
    let job = flock.job("{}");
    killed(&flock, &job).await;
    let old = std::time::UNIX_EPOCH + Duration::from_secs(86_400);
    File::options().write(true).open(lock_file(&efs, &job)).unwrap().set_modified(old).unwrap();
    // As far as the row knows the worker lives: its lock may have been lost with a connection.
    sweep(&flock.ports, &flock.place).await;
    assert_eq!(names(&efs), [job.id.as_str()]);
    // The lease has run out.
    let mut flock = flock;
    flock.ports = Ports { clock: Arc::new(Hurried(61_000)), ..flock.ports.clone() };
    assert_eq!(sweep(&flock.ports, &flock.place).await.removed, [("efs", job.id.clone())]);
}

#[tokio::test]
async fn a_later_attempt_waits_until_the_one_before_lets_go() {
    let flock = flock();
    let job = flock.job("{}");
    let root = flock.place.root.clone();
    std::fs::create_dir_all(root.join(".shepard")).unwrap();
    let held = File::create(lock_file(&root, &job)).unwrap();
    held.lock().unwrap();
    std::fs::create_dir_all(flock.root(&job)).unwrap();
    std::fs::write(flock.root(&job).join("theirs"), "").unwrap();
    let watch = async {
        until(|| flock.lines(&job, LogSource::Worker).iter().any(|line| line.ends_with("; waiting for it")))
            .await;
        assert!(flock.root(&job).join("theirs").exists(), "it is not ours yet");
        drop(held);
    };
    let (exit, ()) = tokio::join!(flock.run(&job, r#"ls "$ROOT_INPUT_NAME/..""#), watch);
    assert_eq!(exit, Exit::Succeeded);
    assert!(!flock.stdout(&job).contains(&"theirs".to_owned()));
}

#[tokio::test]
async fn an_attempt_that_never_gets_its_directories_touches_nothing_and_gives_the_job_back() {
    let flock = flock();
    let job = flock.job("{}");
    let root = flock.place.root.clone();
    std::fs::create_dir_all(root.join(".shepard")).unwrap();
    std::fs::create_dir_all(flock.root(&job)).unwrap();
    let held = File::create(lock_file(&root, &job)).unwrap();
    held.lock().unwrap();
    assert_eq!(flock.run(&job, "true").await, Exit::Postponed);
    assert!(flock.root(&job).exists(), "another attempt has it");
    let row = flock.row(&job);
    assert_eq!((row.outcome, row.claim.is_none()), (None, true));
    let reason = row.attempts[0].reason.clone();
    assert_eq!(reason.as_deref(), Some("an earlier attempt still has the job's directory on root"));

    // Told to stop while it waits: nothing of the other's is touched either.
    let second = flock.next(&job);
    let stop = async {
        until(|| !flock.lines(&second, LogSource::Worker).is_empty()).await;
        flock.stop.cancel();
    };
    let (exit, ()) = tokio::join!(flock.run(&second, "true"), stop);
    assert_eq!(exit, Exit::Interrupted);
    assert!(flock.root(&job).exists() && is_held(&lock_file(&root, &job)));
}

#[tokio::test]
async fn an_attempt_that_loses_its_row_clears_what_it_holds() {
    let flock = flock();
    let job = flock.job("{}");
    let take = async {
        flock.printed(&job, "up").await;
        let at_ms = WallClock.now_ms();
        let fence = Fence { run: 1, attempt: 2, worker: "another host".into() };
        let claimed = Transition::Claimed {
            fence,
            log_stream: "s".into(),
            compute_id: None,
            batch: None,
            at_ms,
            lease_until_ms: at_ms + 60_000,
        };
        let applied = flock.ports.table.apply(&job.id, &claimed).await.unwrap();
        assert!(matches!(applied, Applied::Changed(_)), "a later attempt takes over while the lease lives");
    };
    let (exit, ()) = tokio::join!(flock.run(&job, "echo up; exec sleep 600"), take);
    assert_eq!(exit, Exit::NotMine);
    for base in [&flock.place.root, flock.place.efs.as_ref().unwrap()] {
        assert_eq!((names(base), locks(base)), (vec![], 0));
    }
}

#[tokio::test]
async fn a_filesystem_without_locks_is_said_and_used_all_the_same() {
    let flock = flock();
    let job = flock.job("{}");
    // A file where the folder of the locks would be: none can be made.
    std::fs::create_dir_all(&flock.place.root).unwrap();
    std::fs::write(flock.place.root.join(".shepard"), "").unwrap();
    assert_eq!(flock.run(&job, "true").await, Exit::Succeeded);
    let said = flock.lines(&job, LogSource::Worker).join("\n");
    assert!(said.contains("the job's directory on root cannot be locked: "), "{said}");
    assert!(names(&flock.place.root).is_empty());
    assert_eq!(flock.row(&job).outcome, Some(Outcome::Succeeded));
    assert_eq!(sweep(&flock.ports, &flock.place).await, Swept::default());
    assert!(JobId::parse(".shepard").is_none(), "no job has the folder's name");
}
