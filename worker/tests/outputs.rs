//! Results on their way into the store: what shows when, what is left of what failed, what a person is told.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use common::gate::{Fault, Gate, gated};
use common::{Flock, until};
use shepard_cloud::error::Kind;
use shepard_cloud::ports::{Clock, LogSource, Ports};
use shepard_model::{Fence, ObjectRef, Outcome, Transition};
use shepard_worker::log::Log;
use shepard_worker::outputs::{self, Unput};
use shepard_worker::{Exit, Job};
use tokio_util::sync::CancellationToken;

/// An attempt that has run its payload, as far as its results are concerned.
struct Run {
    flock: Flock,
    job: Job,
    halt: CancellationToken,
}

impl Run {
    fn new(inputs: &str) -> Self {
        let flock = Flock::new().with_efs();
        let job = flock.job(inputs);
        for dirs in flock.place.dirs(&job.id) {
            std::fs::create_dir_all(dirs.output).unwrap();
        }
        Self { flock, job, halt: CancellationToken::new() }
    }

    fn put(&self, name: &str, content: &[u8]) {
        for dirs in self.flock.place.dirs(&self.job.id) {
            std::fs::write(dirs.output.join(name), content).unwrap();
        }
    }

    async fn put_all(&self, ports: &Ports) -> Result<Vec<ObjectRef>, Unput> {
        let row = self.flock.row(&self.job);
        let dirs = self.flock.place.dirs(&self.job.id);
        let log = Log::new(ports, format!("{}-1-1", self.job.id));
        outputs::put_all(ports, &row, &dirs, &log, &self.halt).await
    }

    /// Objects that were begun and neither completed nor thrown away.
    fn open(&self) -> usize {
        self.flock.memory.writers.load(Ordering::SeqCst)
    }

    fn keys(&self) -> Vec<String> {
        self.flock.memory.keys("outputs")
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn each_filesystem_has_its_zip_and_an_empty_one_none() {
    let run = Run::new("{}");
    run.put("a", &noise(3_000_000));
    let efs = run.flock.place.efs.clone().unwrap().join(run.job.id.as_str()).join("output/a");
    std::fs::remove_file(efs).unwrap();
    let put = run.put_all(&run.flock.ports).await.unwrap();
    assert_eq!(put.len(), 1);
    assert!(put[0].key.ends_with("_root.zip"));
    assert_eq!((run.keys(), run.open()), (vec![put[0].key.clone()], 0));
}

/// A fault that stays, at every call: all results or none, and no parts that a store would keep.
#[tokio::test]
async fn whatever_fails_there_are_all_results_or_none() {
    for fault in [Fault::Before(Kind::Denied), Fault::After(Kind::Denied)] {
        for at in 1.. {
            let run = Run::new("{}");
            run.put("a", &noise(700_000));
            let gate = Gate::new(at, fault);
            let outcome = run.put_all(&gated(&run.flock.ports, &gate)).await;
            let what = format!("{fault:?} at {at}");
            assert_eq!(run.keys().len(), outcome.as_ref().map_or(0, Vec::len), "{what}");
            assert_eq!(run.open(), 0, "{what}");
            if gate.calls() < at {
                assert_eq!(outcome.unwrap().len(), 2);
                assert!(at > 10, "too few calls to mean anything: {at}");
                break;
            }
        }
    }
}

/// Stopped at every call: nothing shows, and what was sent is thrown away.
#[tokio::test]
async fn one_that_is_stopped_leaves_nothing() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        for at in 1.. {
            let run = Run::new("{}");
            run.put("a", &noise(700_000));
            let gate = Gate::new(at, fault);
            let ports = gated(&run.flock.ports, &gate);
            let stop = async {
                gate.hung().await;
                run.halt.cancel();
                std::future::pending::<()>().await;
            };
            let outcome = tokio::select! {
                biased;
                () = stop => continue,
                outcome = run.put_all(&ports) => outcome,
            };
            if gate.calls() < at {
                assert_eq!(outcome.unwrap().len(), 2);
                break;
            }
            let what = format!("{fault:?} at {at}");
            assert!(matches!(outcome, Err(Unput::Halted)), "{what}");
            assert_eq!((run.keys(), run.open()), (Vec::new(), 0), "{what}");
        }
    }
}

/// Both are there, and only then has either its key.
#[tokio::test]
async fn no_key_shows_before_all_are_in_the_store() {
    let mut shown = Vec::new();
    for at in 1.. {
        let run = Run::new("{}");
        run.put("a", &noise(700_000));
        let gate = Gate::new(at, Fault::HangBefore);
        let ports = gated(&run.flock.ports, &gate);
        tokio::select! {
            biased;
            () = gate.hung() => shown.push((run.keys().len(), run.open())),
            done = run.put_all(&ports) => {
                assert_eq!(done.unwrap().len(), 2);
                break;
            }
        }
    }
    // When the first shows, all that are to come are begun.
    assert!(shown.contains(&(1, 1)), "{shown:?}");
    for (keys, open) in shown {
        assert!(keys == 0 || keys + open == 2, "{keys} {open}");
    }
}

/// A file that is there and cannot be read fails the job by its name, with the errors bucket's log alone.
#[tokio::test]
async fn an_output_that_cannot_be_read() {
    // For root every file can be read; a folder deeper than a path can be long cannot.
    let flock = Flock::new();
    let job = flock.job("{}");
    let script = r#"cd "$ROOT_OUTPUT_NAME"; d=$(printf 'd%.0s' $(seq 200))
        i=0; while [ $i -lt 30 ]; do mkdir "$d" && cd -P "$d" || exit 9; i=$((i+1)); done; echo > x"#;
    assert_eq!(flock.run(&job, script).await, Exit::Failed);
    let row = flock.row(&job);
    assert_eq!((row.outcome, row.exit_code), (Some(Outcome::Failed), Some(0)));
    assert!(row.reason.as_ref().unwrap().contains("could not be read"), "{:?}", row.reason);
    assert!(flock.memory.keys("outputs").is_empty() && flock.is_clean());
    let left = flock.unzip("errors", &row.results[0].key);
    assert_eq!(left.len(), 1, "the log alone");
    assert!(left[0].1.contains("the partial outputs are not kept"));
    assert_eq!(flock.memory.writers.load(Ordering::SeqCst), 0);
}

/// A clock that jumps ten seconds whenever it is asked.
struct Leaping(AtomicI64);

#[async_trait]
impl Clock for Leaping {
    fn now_ms(&self) -> i64 {
        self.0.fetch_add(10_000, Ordering::SeqCst)
    }
    async fn sleep_ms(&self, _: u64) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_long_upload_says_how_far_it_is() {
    let run = Run::new(r#"{"TAG": "t"}"#);
    run.put("a", &noise(5_000_000));
    let ports = Ports { clock: Arc::new(Leaping(AtomicI64::new(0))), ..run.flock.ports.clone() };
    run.put_all(&ports).await.unwrap();
    let said = run.flock.lines(&run.job, LogSource::Worker);
    let said: Vec<_> = said.iter().filter(|line| line.ends_with("MiB so far")).collect();
    assert!(said.len() >= 4 && said.len() < 20, "now and then: {said:?}");
    assert!(said[0].starts_with("putting the results to outputs/t_result@"), "{}", said[0]);

    // A short one says nothing.
    let run = Run::new("{}");
    run.put("a", &noise(5_000_000));
    run.put_all(&run.flock.ports).await.unwrap();
    assert_eq!(run.flock.lines(&run.job, LogSource::Worker), Vec::<String>::new());
}

/// A job as an old scheduler may have let it pass: ours refuses such tags.
fn tagged(flock: &Flock, tag: &str) -> Job {
    let job = flock.job("{}");
    flock.memory.rows.lock().unwrap().get_mut(&job.id).unwrap().tag = Some(tag.to_owned());
    job
}

#[tokio::test]
async fn a_tag_that_no_key_can_hold_fails_the_job_before_its_payload_runs() {
    for (tag, said) in [
        ("x".repeat(1000), "longer than 1024 bytes"),
        ("../up".to_owned(), "leads out of its bucket"),
        ("/etc/x".to_owned(), "leads out of its bucket"),
        ("a/../../b".to_owned(), "leads out of its bucket"),
    ] {
        let flock = Flock::new();
        let job = tagged(&flock, &tag);
        let ran = flock.dir.path().join("ran");
        assert_eq!(flock.run(&job, &format!("touch {}", ran.display())).await, Exit::Failed);
        let row = flock.row(&job);
        let reason = row.reason.clone().unwrap();
        assert!(reason.contains(said) && reason.contains("TAG"), "{reason}");
        assert!(!reason.contains(&tag), "the value of a variable");
        assert!(!ran.exists() && flock.is_clean());
        // The log is found without the tag.
        assert!(row.results[0].key.starts_with("error@"), "{:?}", row.results);
    }
}

#[tokio::test]
async fn odd_tags_are_taken_as_they_are() {
    for tag in ["a/b", "two\nlines", "-rf", "q'`$(id)", "ü 😀", ".hidden", "%2e%2e", "a//b/"] {
        let flock = Flock::new();
        let job = tagged(&flock, tag);
        assert_eq!(flock.run(&job, r#"echo > "$ROOT_OUTPUT_NAME/x""#).await, Exit::Succeeded, "{tag}");
        let row = flock.row(&job);
        assert_eq!(
            row.results[0].key,
            format!("{tag}_result@{}_{}_root.zip", job.id, row.start_time_s.unwrap())
        );
        assert_eq!(flock.memory.keys("outputs"), [row.results[0].key.clone()]);
    }
}

/// What a worker that died between two keys has left, the next attempt removes.
#[tokio::test]
async fn what_a_dead_worker_left_is_found() {
    let run = Run::new("{}");
    let now_ms = run.flock.ports.clock.now_ms();
    let claimed = |attempt: u32, at_ms: i64| Transition::Claimed {
        fence: Fence { run: 1, attempt, worker: format!("worker-{attempt}") },
        log_stream: "s".into(),
        compute_id: None,
        batch: None,
        at_ms,
        lease_until_ms: at_ms + 60_000,
    };
    run.flock.ports.table.apply(&run.job.id, &claimed(1, now_ms)).await.unwrap();
    run.put("a", b"x");
    let left = run.put_all(&run.flock.ports).await.unwrap();
    run.flock.ports.table.apply(&run.job.id, &claimed(2, now_ms + 5_000)).await.unwrap();
    let (row, dirs) = (run.flock.row(&run.job), run.flock.place.dirs(&run.job.id));
    let orphans = outputs::orphans(&run.flock.ports, &row, &dirs, "worker-2");
    assert_eq!(orphans, left);
    outputs::remove(&run.flock.ports, orphans).await;
    assert_eq!(run.keys(), Vec::<String>::new());
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

/// The job's disk is full to the last byte: its results go out all the same, and so does what is left of a failure.
#[tokio::test]
async fn a_full_disk_does_not_keep_results_in() {
    let flock = Flock::new();
    let base = &flock.place.root;
    std::fs::create_dir_all(base).unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "shepard-test"]).arg(base).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a_full_disk_does_not_keep_results_in needs the right to mount a small disk");
        return;
    }
    let _mounted = Mounted(base);
    let fill =
        r#"cat /dev/urandom > "$ROOT_OUTPUT_NAME/data" 2>/dev/null; echo full; : > "$ROOT_OUTPUT_NAME/x";"#;
    let job = flock.job("{}");
    assert_eq!(flock.run(&job, &format!("{fill} exit 0")).await, Exit::Succeeded);
    let key = &flock.row(&job).results[0].key;
    let mut zip = zip::ZipArchive::new(flock.memory.open("outputs", key)).unwrap();
    let size = zip.by_name("data").unwrap().size();
    assert!(size > 3 << 20, "{size}");

    let job = flock.job_of(flock.memory.put("inputs", "second", b""), "{}");
    assert_eq!(flock.run(&job, &format!("{fill} exit 3")).await, Exit::PayloadFailed);
    let key = &flock.row(&job).results[0].key;
    let mut zip = zip::ZipArchive::new(flock.memory.open("errors", key)).unwrap();
    assert!(zip.by_name("output/data").unwrap().size() > 3 << 20);
    assert!(zip.by_name("log.txt").unwrap().size() > 10);
}

/// A job that is cancelled while its results go out ends as cancelled, and none of them is there.
#[tokio::test]
async fn a_cancel_in_the_middle_of_an_upload() {
    let flock = Flock::new();
    let job = flock.job("{}");
    let memory = &flock.memory;
    memory.stuck.store(true, Ordering::SeqCst);
    let cancel = async {
        until(|| memory.writers.load(Ordering::SeqCst) > 0).await;
        let wish = Transition::CancelRequested { by: "ann".into(), at_ms: flock.ports.clock.now_ms() };
        flock.ports.table.apply(&job.id, &wish).await.unwrap();
    };
    let script = r#"head -c 3000000 /dev/urandom > "$ROOT_OUTPUT_NAME/x""#;
    let (exit, ()) = tokio::join!(flock.run(&job, script), cancel);
    assert_eq!(exit, Exit::Cancelled);
    assert_eq!(flock.row(&job).outcome, Some(Outcome::Cancelled));
    assert!(flock.memory.keys("outputs").is_empty() && flock.is_clean());
    assert_eq!(flock.memory.writers.load(Ordering::SeqCst), 0);
}
