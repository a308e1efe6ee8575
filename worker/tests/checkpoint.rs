//! What an interrupted run leaves is there again at its next attempt, and gone when the run has ended; whatever goes
//! wrong with it is said and ends no job.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use common::gate::{Fault, Gate, gated};
use common::{Flock, Hurried, payload};
use shepard_cloud::error::{CloudError, Kind, Result};
use shepard_cloud::ports::*;
use shepard_model::names::checkpoint_key;
use shepard_model::{ObjectRef, Outcome, Stage, Transition};
use shepard_worker::{Exit, Interruption, Job, ProcessPayload, Stop};

/// Saves what it has, goes on from what it finds, and ends by itself only where it found something.
const SCRIPT: &str = r#"
    cd "$SHEPARD_CHECKPOINT"
    if [ -e state ]; then cat state; ls; exit 0; fi
    echo 41 > state; printf 8 > deep"$(printf '\377')"; mkdir -p deep/er; echo x > deep/er/tool; chmod 755 deep/er/tool; ln -s /etc/passwd link
    echo up; exec sleep 600
"#;

fn spot(clock: &dyn Clock) -> Interruption {
    let reason = "Spot takes the host back at 12:00:00Z".to_owned();
    Interruption { reason, gone_ms: Some(clock.now_ms() + 120_000) }
}

/// Runs an attempt that is interrupted as soon as it has printed `up`.
async fn interrupted(flock: &Flock, ports: &Ports, job: &Job, payload: &ProcessPayload) -> Exit {
    let stop = Stop::new();
    let told = async {
        flock.printed(job, "up").await;
        stop.because(spot(ports.clock.as_ref()));
    };
    let run = shepard_worker::run(ports, job, &flock.place, payload, stop.clone());
    tokio::join!(run, told).0
}

fn key(job: &Job) -> String {
    checkpoint_key(&job.id, job.run)
}

fn kept(flock: &Flock, job: &Job) -> bool {
    flock.memory.keys("inputs").contains(&key(job))
}

fn said(flock: &Flock, job: &Job) -> String {
    flock.lines(job, LogSource::Worker).join("\n")
}

/// A store that has trouble with the keys of Shepard's own, every time.
struct Troubled {
    inner: Arc<dyn Objects>,
    trouble: Option<Kind>,
}

impl Troubled {
    fn ports(flock: &Flock, trouble: Option<Kind>) -> Ports {
        let inner = Arc::clone(&flock.ports.objects);
        Ports { objects: Arc::new(Self { inner, trouble }), ..flock.ports.clone() }
    }

    async fn pass<T>(&self, object: &ObjectRef, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.trouble {
            _ if !object.key.starts_with(".shepard/") => call.await,
            Some(kind) => Err(CloudError::new("use", object.to_string(), kind)),
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Objects for Troubled {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta> {
        self.pass(object, self.inner.head(object)).await
    }
    async fn get(&self, object: &ObjectRef, range: Range) -> Result<Part> {
        self.pass(object, self.inner.get(object, range)).await
    }
    async fn download(&self, object: &ObjectRef, to: &Path) -> Result<u64> {
        self.pass(object, self.inner.download(object, to)).await
    }
    async fn upload(&self, from: &Path, to: &ObjectRef) -> Result<ObjectMeta> {
        self.pass(to, self.inner.upload(from, to)).await
    }
    async fn begin(&self, to: &ObjectRef) -> Result<Box<dyn Writer>> {
        self.pass(to, self.inner.begin(to)).await
    }
    async fn put_new(&self, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
        self.pass(object, self.inner.put_new(object, bytes)).await
    }
    async fn list(&self, bucket: &str, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>> {
        self.inner.list(bucket, prefix, from).await
    }
    async fn delete(&self, object: &ObjectRef) -> Result<()> {
        self.pass(object, self.inner.delete(object)).await
    }
}

#[tokio::test]
async fn the_next_attempt_finds_the_folder_as_it_was() {
    let flock = Flock::new();
    let job = flock.job("{}");
    let script = format!("[ -x \"$SHEPARD_CHECKPOINT/deep/er/tool\" ] && echo tool\n{SCRIPT}");
    assert_eq!(interrupted(&flock, &flock.ports, &job, &payload(&script)).await, Exit::Interrupted);
    let row = flock.row(&job);
    assert_eq!((row.outcome, row.claim.is_none()), (None, true), "interrupted, not failed");
    let reason = row.attempts[0].reason.as_deref();
    assert_eq!(reason, Some("interrupted: Spot takes the host back at 12:00:00Z"));
    let last = row.timeline.last().unwrap();
    assert_eq!(
        (last.stage, last.detail.as_deref()),
        (Stage::Interrupted, Some("Spot takes the host back at 12:00:00Z"))
    );
    let words = said(&flock, &job);
    assert!(
        words.contains("kept the checkpoint for the next attempt") && words.contains("without 1 links"),
        "{words}"
    );
    assert!(words.ends_with(&format!("end {}: interrupted", job.id)), "{words}");
    assert!(kept(&flock, &job) && flock.is_clean());

    let second = flock.next(&job);
    assert_eq!(flock.run(&second, &script).await, Exit::Succeeded);
    assert_eq!(flock.stdout(&second), ["tool", "41", "deep", "deep\u{fffd}", "state"]);
    let words = said(&flock, &second);
    assert!(words.contains("the checkpoint of an earlier attempt is back: 3 files, 6 bytes"), "{words}");
    assert!(!kept(&flock, &job), "the run has ended");
    assert!(flock.is_clean());
}

#[tokio::test]
async fn the_hook_of_a_quick_deploy_folder_saves_before_the_payload_is_told() {
    let flock = Flock::new();
    let job = flock.job(r#"{"QUICK_DEPLOY_DIRECTORY": "code"}"#);
    let run = b"if [ -e $SHEPARD_CHECKPOINT/saved ]; then cat $SHEPARD_CHECKPOINT/saved; exit 0; fi
        trap 'echo told; exit 9' TERM; echo up; while :; do sleep 0.02; done";
    flock.memory.put("quick_deploy", "code/run.sh", run);
    flock.memory.put(
        "quick_deploy",
        "code/checkpoint.sh",
        b"pwd; echo $UUID > $SHEPARD_CHECKPOINT/saved; echo oh >&2",
    );
    let process = ProcessPayload::new(Arc::new(Hurried::default()));
    assert_eq!(interrupted(&flock, &flock.ports, &job, &process).await, Exit::Interrupted);
    let home = flock.root(&job).join("input/code").display().to_string();
    assert_eq!(flock.stdout(&job), ["up".to_owned(), home, "told".to_owned()]);
    // A shell may say of its child that it was terminated.
    assert_eq!(flock.lines(&job, LogSource::Stderr)[0], "oh");
    assert!(said(&flock, &job).contains("the checkpoint is made"));
    let second = flock.next(&job);
    assert_eq!(flock.run_payload(&second, &process).await, Exit::Succeeded);
    assert_eq!(flock.stdout(&second), [job.id.as_str()]);
}

#[tokio::test]
async fn a_hook_that_hangs_or_fails_keeps_nobody() {
    for (hook, words) in [
        (
            &b"echo $$; sleep 600 & echo $!; sleep 600"[..],
            "the checkpoint takes too long and is not waited for",
        ),
        (&b"exit 7"[..], "the checkpoint ended with exit status: 7"),
    ] {
        let flock = Flock::new();
        let job = flock.job(r#"{"QUICK_DEPLOY_DIRECTORY": "code"}"#);
        flock.memory.put("quick_deploy", "code/run.sh", b"echo up; exec sleep 600");
        flock.memory.put("quick_deploy", "code/checkpoint.sh", hook);
        let process = ProcessPayload::new(Arc::new(Hurried::default())).with_checkpoint_ms(20_000);
        assert_eq!(interrupted(&flock, &flock.ports, &job, &process).await, Exit::Interrupted);
        assert!(said(&flock, &job).contains(words), "{}", said(&flock, &job));
        let pids = flock.stdout(&job);
        common::until(|| pids[1..].iter().all(|pid| !common::alive(pid))).await;
        assert!(!kept(&flock, &job), "the folder is empty");
    }
}

#[tokio::test]
async fn a_person_who_cancels_waits_for_no_checkpoint() {
    let flock = Flock::new();
    let job = flock.job(r#"{"QUICK_DEPLOY_DIRECTORY": "code"}"#);
    flock.memory.put(
        "quick_deploy",
        "code/run.sh",
        b"echo 1 > $SHEPARD_CHECKPOINT/state; echo up; exec sleep 600",
    );
    flock.memory.put("quick_deploy", "code/checkpoint.sh", b"echo hook");
    let wish = async {
        flock.printed(&job, "up").await;
        let wish = Transition::CancelRequested { by: "ann".into(), at_ms: 1 };
        flock.ports.table.apply(&job.id, &wish).await.unwrap();
    };
    let process = ProcessPayload::new(Arc::new(Hurried::default()));
    let (exit, ()) = tokio::join!(flock.run_payload(&job, &process), wish);
    assert_eq!((exit, flock.stdout(&job)), (Exit::Cancelled, vec!["up".to_owned()]));
    assert!(!kept(&flock, &job) && flock.is_clean());
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_put_is_said_and_the_row_is_given_back() {
    for (trouble, words) in [
        (Some(Kind::Denied), "the checkpoint is not kept: cannot use inputs/.shepard/checkpoints/"),
        (Some(Kind::Offline), "the checkpoint is not kept: cannot use inputs/.shepard/checkpoints/"),
        (None, "the checkpoint is not kept: it takes longer than the "),
    ] {
        let flock = Flock::new();
        let job = flock.job("{}");
        let ports = Troubled::ports(&flock, trouble);
        assert_eq!(
            interrupted(&flock, &ports, &job, &payload(SCRIPT)).await,
            Exit::Interrupted,
            "{trouble:?}"
        );
        assert!(said(&flock, &job).contains(words), "{trouble:?}: {}", said(&flock, &job));
        assert!(!kept(&flock, &job) && flock.is_clean());
        assert_eq!(flock.row(&job).outcome, None);
    }
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_used_is_said_and_the_payload_starts_from_nothing() {
    let script = r#"ls -a "$SHEPARD_CHECKPOINT"; stat -c %a "$SHEPARD_CHECKPOINT""#;
    for (bytes, trouble) in [(Some(&b"no zip"[..]), None), (Some(&b""[..]), None), (None, Some(Kind::Denied))]
    {
        let flock = Flock::new();
        let job = flock.job("{}");
        interrupted(&flock, &flock.ports, &job, &payload("echo up; exec sleep 600")).await;
        let mut ports = flock.ports.clone();
        if let Some(bytes) = bytes {
            flock.memory.put("inputs", &key(&job), bytes);
        }
        if trouble.is_some() {
            ports = Troubled::ports(&flock, trouble);
        }
        let second = flock.next(&job);
        let exit = shepard_worker::run(&ports, &second, &flock.place, &payload(script), Stop::new()).await;
        assert_eq!(exit, Exit::Succeeded);
        assert_eq!(flock.stdout(&second), [".", "..", "777"]);
        let words = said(&flock, &second);
        assert!(words.contains("cannot be used, and the payload starts from nothing: "), "{words}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_postpones_an_attempt_that_may_have_something_to_go_on_with() {
    let flock = Flock::new();
    let job = flock.job("{}");
    // The first attempt has nothing to look for, and never asks.
    let ports = Troubled::ports(&flock, Some(Kind::Offline));
    interrupted(&flock, &ports, &job, &payload("echo up; exec sleep 600")).await;
    let second = flock.next(&job);
    let exit = shepard_worker::run(&ports, &second, &flock.place, &payload("echo ran"), Stop::new()).await;
    assert_eq!((exit, flock.stdout(&second)), (Exit::Postponed, vec![]));
    let row = flock.row(&job);
    assert_eq!((row.outcome, row.timeline.last().unwrap().stage), (None, Stage::Postponed));
    assert!(
        row.attempts[1].reason.as_deref().unwrap().contains("fetching what the interrupted attempt left")
    );
    assert!(flock.is_clean());
    assert_eq!(flock.run(&flock.next(&second), "true").await, Exit::Succeeded);
}

#[tokio::test]
async fn a_folder_that_is_emptied_is_empty_for_the_next_attempt() {
    let flock = Flock::new();
    let job = flock.job("{}");
    interrupted(&flock, &flock.ports, &job, &payload(SCRIPT)).await;
    assert!(kept(&flock, &job));
    let second = flock.next(&job);
    let script = r#"rm -r "$SHEPARD_CHECKPOINT"/*; echo up; exec sleep 600"#;
    assert_eq!(interrupted(&flock, &flock.ports, &second, &payload(script)).await, Exit::Interrupted);
    assert!(!kept(&flock, &job));
}

#[tokio::test]
async fn a_run_that_fails_leaves_no_checkpoint() {
    let flock = Flock::new();
    let job = flock.job("{}");
    interrupted(&flock, &flock.ports, &job, &payload(SCRIPT)).await;
    assert!(kept(&flock, &job));
    assert_eq!(flock.run(&flock.next(&job), "exit 3").await, Exit::PayloadFailed);
    assert!(!kept(&flock, &job));
}

#[tokio::test]
async fn wherever_the_worker_dies_the_next_attempt_ends_the_job_and_nothing_is_left() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        for at in 1.. {
            let flock = Flock::new();
            let job = flock.job("{}");
            let gate = Gate::new(at, fault);
            let ports = gated(&flock.ports, &gate);
            let process = payload(SCRIPT);
            let exit = tokio::select! {
                biased;
                () = gate.hung() => None,
                exit = interrupted(&flock, &ports, &job, &process) => Some(exit),
            };
            let what = format!("{fault:?} at {at}: {exit:?}");
            assert!(exit.is_none_or(|exit| exit == Exit::Interrupted), "{what}");
            // Whatever is there by now is whole.
            let last = r#"[ ! -e "$SHEPARD_CHECKPOINT/state" ] || cat "$SHEPARD_CHECKPOINT/state""#;
            let had = kept(&flock, &job);
            let second = flock.next(&job);
            assert_eq!(flock.run(&second, last).await, Exit::Succeeded, "{what}");
            assert_eq!(flock.stdout(&second), if had { vec!["41"] } else { vec![] }, "{what}");
            assert_eq!(flock.row(&job).outcome, Some(Outcome::Succeeded), "{what}");
            assert!(!kept(&flock, &job) && flock.is_clean(), "{what}");
            if gate.calls() < at {
                assert!(at > 10, "too few calls to mean anything: {at}");
                break;
            }
        }
    }
}
