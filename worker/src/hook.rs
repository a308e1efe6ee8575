//! The checkpoint hook of a payload that is a process: run before the payload is told to stop.

use std::process::Stdio;

use rustix::process::{Pid, Signal};
use shepard_cloud::ports::{Clock, LogSource};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::payload::Line;
use crate::readers;

/// Runs the hook to its end, at most so long; what it prints and how it ends goes to the log. Dropped, it is killed; what
/// it started goes with the payload's other processes, whose environment it has.
pub(crate) async fn run(mut hook: Command, limit_ms: u64, lines: &mpsc::Sender<Line>, clock: &dyn Clock) {
    say(lines, "the payload's checkpoint is made before it is stopped").await;
    hook.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = match hook.spawn() {
        Ok(child) => child,
        Err(error) => return say(lines, &format!("there is no checkpoint: {error}")).await,
    };
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = CancellationToken::new();
    let read_out = async {
        if let Some(pipe) = stdout {
            readers::pump(pipe, LogSource::Stdout, lines, &ended, clock).await;
        }
    };
    let read_err = async {
        if let Some(pipe) = stderr {
            readers::pump(pipe, LogSource::Stderr, lines, &ended, clock).await;
        }
    };
    let wait = async {
        let said = tokio::select! {
            biased;
            status = child.wait() => match status {
                Ok(status) if status.success() => "the checkpoint is made".to_owned(),
                Ok(status) => format!("the checkpoint ended with {status}"),
                Err(error) => format!("there is no checkpoint: {error}"),
            },
            () = clock.sleep_ms(limit_ms) => {
                if let Some(group) = group {
                    let _ = rustix::process::kill_process_group(group, Signal::KILL);
                }
                let _ = child.wait().await;
                "the checkpoint takes too long and is not waited for".to_owned()
            }
        };
        ended.cancel();
        said
    };
    let (said, (), ()) = tokio::join!(wait, read_out, read_err);
    say(lines, &said).await;
}

async fn say(lines: &mpsc::Sender<Line>, text: &str) {
    let _ = lines.send(Line { source: LogSource::Worker, text: text.to_owned() }).await;
}
