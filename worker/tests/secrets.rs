//! Secrets of a payload that is contained: in memory, shown to it, gone when the attempt is.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use common::Flock;
use common::gate::{Fault, Gate, gated};
use shepard_cloud::ports::{LogSource, Secret};
use shepard_worker::payload::Cause;
use shepard_worker::{Exit, Exited, Line, Payload, PayloadError, PayloadSpec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What a payload that is shown its secrets saw of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    folder: Option<PathBuf>,
    content: Option<String>,
    modes: (u32, u32),
    /// What the job's own folder of that name holds.
    inside: usize,
}

#[derive(Default)]
struct Looks(Mutex<Seen>);

#[async_trait]
impl Payload for Looks {
    fn way(&self) -> String {
        "nowhere".into()
    }

    async fn run(
        &self,
        spec: &PayloadSpec,
        _: mpsc::Sender<Line>,
        _: &CancellationToken,
    ) -> Result<Exited, PayloadError> {
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = spec.secrets.clone();
        let key = folder.as_ref().map(|folder| folder.join("key"));
        *self.0.lock().unwrap() = Seen {
            content: key.as_ref().map(|key| std::fs::read_to_string(key).unwrap()),
            modes: folder.as_ref().map_or((0, 0), |folder| (mode(folder), mode(key.as_ref().unwrap()))),
            inside: std::fs::read_dir(spec.secrets_seen().unwrap()).unwrap().count(),
            folder,
        };
        Ok(Exited { code: 0, cause: Cause::Itself })
    }
}

fn flock(secrets: &[(&str, &str)]) -> Flock {
    let flock = Flock::new();
    let secrets = secrets.iter().map(|(name, text)| Secret { name: (*name).into(), bytes: (*text).into() });
    *flock.memory.secrets.lock().unwrap() = secrets.collect();
    flock
}

fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test]
async fn they_are_in_memory_while_the_payload_runs_and_gone_after() {
    let (memory, mut flock) = (in_memory(), flock(&[("key", "hush")]));
    flock.place.memory = Some(memory.path().to_path_buf());
    let job = flock.job("{}");
    let looks = Looks::default();
    let folder = memory.path().join(job.id.as_str());
    // What an attempt left that was killed.
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("old"), "hush").unwrap();
    let exit = shepard_worker::run(&flock.ports, &job, &flock.place, &looks, flock.stop.clone()).await;
    assert_eq!(exit, Exit::Succeeded);
    let seen = Seen { folder: Some(folder), content: Some("hush".into()), modes: (0o700, 0o400), inside: 0 };
    assert_eq!(*looks.0.lock().unwrap(), seen);
    assert_eq!(count(memory.path()), 0);
    assert!(flock.is_clean());
    let said = flock.lines(&job, LogSource::Worker).join("\n");
    assert!(
        said.contains("wrote 1 secret\n") && !said.contains("hush") && !said.contains("on disk"),
        "{said}"
    );
}

#[tokio::test]
async fn without_memory_they_are_inside_and_the_log_says_so() {
    for (secrets, said) in [(&[("key", "hush")][..], true), (&[], false)] {
        let mut flock = flock(secrets);
        flock.place.memory = Some("/nowhere/shepard".into());
        let job = flock.job("{}");
        let looks = Looks::default();
        let exit = shepard_worker::run(&flock.ports, &job, &flock.place, &looks, flock.stop.clone()).await;
        assert_eq!(exit, Exit::Succeeded);
        let seen = Seen { inside: secrets.len(), ..Seen::default() };
        assert_eq!(*looks.0.lock().unwrap(), seen);
        let lines = flock.lines(&job, LogSource::Worker).join("\n");
        assert_eq!(lines.contains("the secrets are on disk"), said, "{lines}");
        assert!(flock.is_clean());
    }
    // Nobody expects memory where payloads are processes of the machine.
    let flock = flock(&[("key", "hush")]);
    let job = flock.job("{}");
    flock.run(&job, "true").await;
    assert!(!flock.lines(&job, LogSource::Worker).join("\n").contains("on disk"));
}

#[tokio::test]
async fn whatever_fails_they_do_not_stay() {
    for at in 1.. {
        let (memory, mut flock) = (in_memory(), flock(&[("key", "hush")]));
        flock.place.memory = Some(memory.path().to_path_buf());
        let job = flock.job("{}");
        let gate = Gate::new(at, Fault::Before(shepard_cloud::Kind::Denied));
        let ports = gated(&flock.ports, &gate);
        let exit =
            shepard_worker::run(&ports, &job, &flock.place, &Looks::default(), flock.stop.clone()).await;
        assert_eq!(count(memory.path()), 0, "call {at}, {exit:?}");
        if gate.calls() < at {
            assert!(at > 10, "too few calls to mean anything: {at}");
            break;
        }
    }
}

#[tokio::test]
async fn a_worker_that_was_killed_leaves_them_to_the_next_attempt() {
    let mut left = 0;
    for at in 1.. {
        let (memory, mut flock) = (in_memory(), flock(&[("key", "hush")]));
        flock.place.memory = Some(memory.path().to_path_buf());
        let job = flock.job("{}");
        let gate = Gate::new(at, Fault::HangAfter);
        let ports = gated(&flock.ports, &gate);
        let looks = Looks::default();
        let died = tokio::select! {
            biased;
            () = gate.hung() => true,
            _ = shepard_worker::run(&ports, &job, &flock.place, &looks, flock.stop.clone()) => false,
        };
        left += count(memory.path());
        let again = Looks::default();
        shepard_worker::run(&flock.ports, &flock.next(&job), &flock.place, &again, flock.stop.clone()).await;
        assert!(flock.row(&job).outcome.is_some(), "call {at}");
        assert_eq!(count(memory.path()), 0, "call {at}");
        if !died {
            break;
        }
    }
    assert!(left > 0, "no attempt died with secrets in memory");
}

#[tokio::test]
async fn a_secret_that_is_something_else_fails_the_job_in_one_line() {
    let flock = flock(&[]);
    let job = flock.job("{}");
    let ports = shepard_cloud::Ports { secrets: std::sync::Arc::new(Malformed), ..flock.ports.clone() };
    let exit = shepard_worker::run(&ports, &job, &flock.place, &Looks::default(), flock.stop.clone()).await;
    assert_eq!(exit, Exit::Failed);
    let reason = flock.row(&job).reason.unwrap();
    assert!(reason.contains("push it again with `shepard secrets push`"), "{reason}");
    assert!(!reason.contains('\n') && !reason.contains("hush"), "{reason}");
}

struct Malformed;

#[async_trait]
impl shepard_cloud::Secrets for Malformed {
    async fn read(&self) -> shepard_cloud::Result<Vec<Secret>> {
        let error = shepard_cloud::secret::decode(r#"{"a":"hush!"}"#).unwrap_err();
        Err(error.of("the-store"))
    }
    async fn write(&self, _: &[Secret]) -> shepard_cloud::Result<shepard_cloud::ports::Written> {
        Err(shepard_cloud::CloudError::new("replace", "", shepard_cloud::Kind::Invalid))
    }
}
