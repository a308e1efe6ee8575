//! The same sequence over the ports of a flock on this machine: SQLite, plain folders, files of lines.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::gate::{Fault, Gate, gated};
use common::{Hurried, KEY, payload, until};
use shepard_cloud::local::{FlockDir, Home, LocalFlock, Settings};
use shepard_cloud::ports::{Clock as _, LogFrom, LogSource, Ports, WallClock};
use shepard_model::{Inputs, JobId, JobRow, ObjectRef, Outcome, Stage};
use shepard_worker::{Exit, Job, Place};
use tokio_util::sync::CancellationToken;

struct Local {
    _home: tempfile::TempDir,
    dir: FlockDir,
    ports: Ports,
    place: Place,
    job: Job,
}

impl Local {
    /// A flock with a secret and a job of which the row is written.
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = Home::new(home.path()).create(&Settings::named("test")).unwrap();
        let ports = Ports { clock: Arc::new(Hurried(0)), ..LocalFlock::open(&dir).unwrap().ports() };
        std::fs::write(dir.secrets().join("key"), "hush").unwrap();
        let file = dir.path().join("upload");
        std::fs::write(&file, "zip").unwrap();
        let input = ports.objects.upload(&file, &ObjectRef::new("inputs", KEY)).await.unwrap().object;
        let id = JobId::of_object(&input);
        let row = JobRow::arrived(id.clone(), Some(input), Inputs::default(), WallClock.now_ms(), 1);
        ports.table.put_new(&row).await.unwrap();
        let job =
            Job::from_env([("UUID", id.as_str()), ("INPUT_ZIP_NAME", KEY), ("IS_INVOKED", "False")]).unwrap();
        let place = Place::local(dir.jobs());
        Self { _home: home, dir, ports, place, job }
    }

    async fn run(&self, ports: &Ports, job: &Job, script: &str) -> Exit {
        shepard_worker::run(ports, job, &self.place, &payload(script), CancellationToken::new()).await
    }

    async fn row(&self) -> JobRow {
        self.ports.table.get(&self.job.id).await.unwrap().unwrap()
    }

    async fn keys(&self, bucket: &str) -> Vec<String> {
        let page = self.ports.objects.list(bucket, "", None).await.unwrap();
        page.items.into_iter().map(|item| item.object.key).collect()
    }

    async fn stdout(&self) -> Vec<String> {
        let stream = format!("{}-1-1", self.job.id);
        let page = self.ports.logs.read(&stream, &LogFrom::Start, 10_000).await.unwrap();
        let lines = page.lines.into_iter().filter(|line| line.source == LogSource::Stdout);
        lines.map(|line| line.text).collect()
    }
}

#[tokio::test]
async fn a_job_runs_on_this_machine() {
    let local = Local::new().await;
    let script = r#"
        cat "$ROOT_INPUT_NAME/$INPUT_ZIP_NAME"; echo; cat "$ROOT_INPUT_NAME/secrets/key"; echo
        echo done > "$ROOT_OUTPUT_NAME/out"
        while [ ! -e "$ROOT_INPUT_NAME/go" ]; do sleep 0.02; done
    "#;
    let watch = async {
        // The lines are in the log while the payload runs.
        while local.stdout().await != ["zip", "hush"] {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        std::fs::write(local.dir.job_dir(&local.job.id).join("input/go"), "").unwrap();
    };
    let (exit, ()) = tokio::join!(local.run(&local.ports, &local.job, script), watch);
    assert_eq!(exit, Exit::Succeeded);
    let row = local.row().await;
    assert_eq!(row.outcome, Some(Outcome::Succeeded));
    assert_eq!(local.keys("outputs").await, [row.results[0].key.clone()]);
    assert!(!local.dir.job_dir(&local.job.id).exists());
}

#[tokio::test]
async fn a_failed_job_leaves_its_log() {
    let local = Local::new().await;
    assert_eq!(local.run(&local.ports, &local.job, "echo why >&2; exit 7").await, Exit::PayloadFailed);
    let row = local.row().await;
    assert_eq!(row.reason.as_deref(), Some("exit code 7: why"));
    assert_eq!(local.keys("errors").await, [row.results[0].key.clone()]);
    let file = local.dir.bucket("errors").unwrap().join(&row.results[0].key);
    let mut zip = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let text = std::io::read_to_string(zip.by_name("log.txt").unwrap()).unwrap();
    assert!(text.contains(" stderr why\n"), "{text}");
}

#[tokio::test]
async fn a_worker_that_dies_at_any_call_is_followed_by_one_that_ends_the_job() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        for at in 1.. {
            let local = Local::new().await;
            let what = format!("{fault:?} at {at}");
            let gate = Gate::new(at, fault);
            let ports = gated(&local.ports, &gate);
            let script = r#"echo 1 > "$ROOT_OUTPUT_NAME/one""#;
            let died = tokio::select! {
                biased;
                () = gate.hung() => true,
                exit = local.run(&ports, &local.job, script) => {
                    assert_eq!(exit, Exit::Succeeded, "{what}");
                    false
                }
            };
            let ended = local.row().await.outcome.is_some();
            let expected = if ended { Exit::AlreadyDone } else { Exit::Succeeded };
            let later = Ports { clock: Arc::new(Hurried(5_000)), ..local.ports.clone() };
            let second = Job { attempt: 2, ..local.job.clone() };
            assert_eq!(local.run(&later, &second, script).await, expected, "{what}");
            let row = local.row().await;
            assert_eq!(row.timeline.iter().filter(|note| note.stage == Stage::Ended).count(), 1, "{what}");
            let listed: Vec<String> = row.results.iter().map(|one| one.key.clone()).collect();
            assert_eq!(local.keys("outputs").await, listed, "{what}");
            until(|| !local.dir.job_dir(&local.job.id).exists()).await;
            if !died {
                break;
            }
        }
    }
}
