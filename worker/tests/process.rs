//! A payload as a process: its group, its pipes, its lock, its limits.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use common::{Hurried, alive, payload, until};
use rustix::fs::{FlockOperation, flock};
use shepard_cloud::ports::{Clock, LogSource};
use shepard_model::{JobId, Shape};
use shepard_worker::payload::Cause;
use shepard_worker::{Exited, Line, Payload as _, PayloadError, PayloadSpec, ProcessPayload};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn spec(dir: &Path) -> PayloadSpec {
    PayloadSpec {
        id: JobId::parse("u").unwrap(),
        shape: Shape::default(),
        secrets: None,
        environment: vec![("ROOT_OUTPUT_NAME".into(), dir.join("output").display().to_string())],
        dirs: vec![],
        input: dir.to_path_buf(),
        quick_deploy: None,
        ulimit_nofile: None,
        allow_docker: false,
        interrupted: CancellationToken::new(),
        timeout_s: None,
    }
}

struct Run {
    end: Result<Exited, PayloadError>,
    lines: Vec<Line>,
}

/// Runs to the end and keeps the lines; `each` sees them as they come.
async fn run(
    payload: &ProcessPayload,
    dir: &Path,
    stop: &CancellationToken,
    mut each: impl FnMut(&Line),
) -> Run {
    let (sender, mut receiver) = mpsc::channel(2);
    let spec = spec(dir);
    let read = async {
        let mut lines = Vec::new();
        while let Some(line) = receiver.recv().await {
            each(&line);
            lines.push(line);
        }
        lines
    };
    let (end, lines) = tokio::join!(payload.run(&spec, sender, stop), read);
    Run { end, lines }
}

async fn simply(payload: &ProcessPayload) -> Run {
    let dir = tempfile::tempdir().unwrap();
    run(payload, dir.path(), &CancellationToken::new(), |_| {}).await
}

#[tokio::test]
async fn what_cannot_be_run_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "echo").unwrap();
    let orphan = dir.path().join("orphan");
    std::fs::write(&orphan, "#!/no/such/shell\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&orphan, mode).unwrap();
    let text = |path: &Path| path.display().to_string();
    for (program, said) in [
        ("no-such-program".to_owned(), "command not found: no-such-program"),
        (text(&plain), "cannot be executed"),
        (text(&orphan), "the interpreter it names is not there"),
    ] {
        let payload = ProcessPayload::new(Arc::new(Hurried::default())).with_command(Some(vec![program]));
        let error = simply(&payload).await.end.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let nothing = ProcessPayload::new(Arc::new(Hurried::default())).with_command(Some(vec![]));
    assert!(matches!(simply(&nothing).await.end, Err(PayloadError::Nothing)));
}

/// A clock whose long sleeps end when the test says so.
struct Told(CancellationToken);

#[async_trait]
impl Clock for Told {
    fn now_ms(&self) -> i64 {
        0
    }
    async fn sleep_ms(&self, duration_ms: u64) {
        if duration_ms > 1_000 { self.0.cancelled().await } else { Hurried(0).sleep_ms(duration_ms).await }
    }
}

#[tokio::test]
async fn a_payload_that_ignores_sigterm_is_asked_and_then_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (stop, grace_over) = (CancellationToken::new(), CancellationToken::new());
    let script = "trap 'echo asked' TERM; echo up; while :; do sleep 0.02; done";
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let payload = ProcessPayload::new(Arc::new(Told(grace_over.clone()))).with_command(Some(command));
    let seen = run(&payload, dir.path(), &stop, |line| match line.text.as_str() {
        "up" => stop.cancel(),
        "asked" => grace_over.cancel(),
        // The shell's own word on the sleep that SIGTERM ended as well.
        _ => {}
    })
    .await;
    assert_eq!(seen.end.unwrap(), Exited { code: 137, cause: Cause::Stopped });
}

#[tokio::test]
async fn a_payload_that_takes_too_long_is_stopped() {
    let payload = payload("exec sleep 600").with_timeout(Some(5)).with_grace_ms(1_000_000);
    let seen = simply(&payload).await;
    assert_eq!(seen.end.unwrap(), Exited { code: 143, cause: Cause::TimedOut(5) });
}

#[tokio::test]
async fn every_line_comes_whatever_its_size() {
    let script = r"printf 'crlf\r\n\n'; head -c 300000 /dev/zero | tr '\0' x; echo; i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; printf end";
    let seen = simply(&payload(script)).await;
    assert_eq!(seen.end.unwrap().code, 0);
    let texts: Vec<&str> = seen.lines.iter().map(|line| line.text.as_str()).collect();
    assert!(seen.lines.iter().all(|line| line.source == LogSource::Stdout));
    assert_eq!(texts[..2], ["crlf", ""]);
    assert_eq!((texts[2].len(), texts[3].len()), (256 * 1024, 300_000 - 256 * 1024));
    assert_eq!(texts.len(), 4 + 3_000 + 1);
    assert_eq!((texts[3_003], texts[3_004]), ("2999", "end"));
}

#[tokio::test]
async fn a_process_that_hides_completely_does_not_keep_the_job_open() {
    // Its own session and no environment: nothing tells that it is the payload's, but it has the pipe.
    let script = r"
        setsid env -i sh -c 'echo $$; : > seen; while :; do echo x; sleep 0.001; done' &
        while [ ! -e seen ]; do sleep 0.02; done
    ";
    let seen = simply(&payload(script)).await;
    assert_eq!(seen.end.unwrap(), Exited { code: 0, cause: Cause::Itself });
    let pid = seen.lines.iter().find(|line| line.text.parse::<i32>().is_ok()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.text.parse().unwrap()).unwrap();
    // Writing into the closed pipe has ended it, or this does.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

#[tokio::test]
async fn dropping_the_future_ends_the_payload() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, stop) = (spec(dir.path()), CancellationToken::new());
    let (sender, mut receiver) = mpsc::channel(2);
    let payload = payload("setsid sh -c 'echo $$; exec sleep 600' & echo $$; wait");
    let mut pids = Vec::new();
    {
        let running = payload.run(&spec, sender, &stop);
        tokio::pin!(running);
        while pids.len() < 2 {
            tokio::select! {
                _ = &mut running => panic!("it ended"),
                line = receiver.recv() => pids.push(line.unwrap().text),
            }
        }
    }
    until(|| pids.iter().all(|pid| !alive(pid))).await;
}

#[tokio::test]
async fn every_process_of_the_payload_holds_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = File::create(&path).unwrap();
    flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
    // Another test's child, started in the same instant, may inherit the file as well, so that only what must be
    // held is looked at here, and waited for what must be free.
    let payload = payload("sh -c 'echo up; sleep 600' & wait").with_lock(held);
    let stop = CancellationToken::new();
    let other = File::open(&path).unwrap();
    let mut seen_held = false;
    let seen = run(&payload, dir.path(), &stop, |line| {
        if line.text == "up" {
            seen_held = flock(&other, FlockOperation::NonBlockingLockExclusive).is_err();
            stop.cancel();
        }
    })
    .await;
    assert_eq!(seen.end.unwrap().cause, Cause::Stopped);
    assert!(seen_held);
    until(|| flock(&other, FlockOperation::NonBlockingLockExclusive).is_ok()).await;
}
