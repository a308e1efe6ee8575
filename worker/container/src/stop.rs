//! The end of a payload in order: its checkpoint, a signal, a while of grace, and then the end all the same.

use shepard_cloud::ports::{Clock, LogSource};
use shepard_engine::{Ended, Engine, EngineError, ImageInfo, Kind};
use shepard_model::names::container::{CHECKPOINT_SCRIPT, LABEL_CHECKPOINT};
use shepard_worker::payload::Cause;
use shepard_worker::{Line, PayloadSpec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lines;
use crate::options::Options;

/// What is sent where an image names no signal.
const SIGNAL: &str = "SIGTERM";

/// Exit codes of programs that SIGKILL and SIGTERM ended.
const SIGNALLED: [i64; 2] = [137, 143];
/// How much later than its payload a worker may be told that the host goes down, in milliseconds.
const TOLD_MS: u64 = 1_000;

/// What saves a payload's state when it has to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    words: Vec<String>,
    dir: Option<String>,
}

/// The hook of a payload: its quick-deploy folder's, else its image's. An error is a sentence for the log.
pub(crate) fn hook(spec: &PayloadSpec, image: &ImageInfo) -> Result<Option<Hook>, String> {
    if let Some(folder) = &spec.quick_deploy
        && folder.join(CHECKPOINT_SCRIPT).is_file()
    {
        let words = vec!["sh".to_owned(), CHECKPOINT_SCRIPT.to_owned()];
        return Ok(Some(Hook { words, dir: folder.to_str().map(str::to_owned) }));
    }
    let Some(label) = image.labels.get(LABEL_CHECKPOINT) else { return Ok(None) };
    match serde_json::from_str::<Vec<String>>(label) {
        Ok(words) if !words.is_empty() => Ok(Some(Hook { words, dir: None })),
        _ => Err(format!(
            "the image's label {LABEL_CHECKPOINT} is no JSON array of words: no checkpoint is made"
        )),
    }
}

/// A container that runs, and what its end needs.
pub(crate) struct Watch<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) container: &'a str,
    pub(crate) options: &'a Options,
    pub(crate) hook: Option<Hook>,
    pub(crate) signal: Option<&'a str>,
    /// Cancelled where the host goes away, and not where the job is not wanted any more.
    pub(crate) interrupted: &'a CancellationToken,
    pub(crate) lines: &'a mpsc::Sender<Line>,
}

impl Watch<'_> {
    /// Waits for the container's end, bringing it about where it has to be.
    pub(crate) async fn end(
        &self,
        limit_s: Option<u64>,
        stop: &CancellationToken,
    ) -> Result<(Ended, Cause), EngineError> {
        let limit = limit_s.unwrap_or_default();
        let mut end = Box::pin(self.engine.wait(self.container));
        let cause = tokio::select! {
            biased;
            ended = &mut end => return self.by_itself(ended?, stop).await,
            () = stop.cancelled() => Cause::Stopped,
            () = self.clock.sleep_ms(limit.saturating_mul(1000)), if limit_s.is_some() => Cause::TimedOut(limit),
        };
        // Who ran out of time or is cancelled will not be tried again, and has no use for a checkpoint.
        let again = cause == Cause::Stopped && self.interrupted.is_cancelled();
        if let Some(hook) = self.hook.as_ref().filter(|_| again) {
            let saving = Box::pin(self.save(hook));
            tokio::select! {
                biased;
                // It may have ended because the hook told it to.
                ended = &mut end => return Ok((ended?, cause)),
                () = saving => {}
                () = self.clock.sleep_ms(self.options.checkpoint_ms) => {
                    self.say("the checkpoint takes too long and is not waited for").await;
                }
            }
        }
        let grace_ms = if self.signal().await? { self.options.grace_ms } else { 0 };
        tokio::select! {
            biased;
            ended = &mut end => Ok((ended?, cause)),
            () = self.clock.sleep_ms(grace_ms) => {
                self.engine.kill(self.container, "SIGKILL").await?;
                Ok((end.await?, cause))
            }
        }
    }

    /// Whether a payload that ended did so by itself. An engine that is told to stop ends what it runs, and on a host that
    /// goes down the worker is told as well: neither is the payload's doing.
    async fn by_itself(&self, ended: Ended, stop: &CancellationToken) -> Result<(Ended, Cause), EngineError> {
        // On a connection of its own: an engine that stops takes none, and answers for a while on those it has.
        Engine::connect(Some(self.engine.address())).await?;
        if SIGNALLED.contains(&ended.code) && !ended.out_of_memory {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok((ended, Cause::Stopped)),
                () = self.clock.sleep_ms(TOLD_MS) => {}
            }
        }
        Ok((ended, Cause::Itself))
    }

    /// Whether the payload was told. An image whose own signal the engine does not know can be told nothing at all.
    async fn signal(&self) -> Result<bool, EngineError> {
        match self.engine.kill(self.container, self.signal.unwrap_or(SIGNAL)).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind == Kind::Unreachable => Err(error),
            Err(error) => {
                self.say(format!("the payload cannot be asked to end and is killed: {error}")).await;
                Ok(false)
            }
        }
    }

    async fn save(&self, hook: &Hook) {
        self.say("the payload's checkpoint is made before it is stopped").await;
        let saved = async {
            let (exec, output) = self.engine.exec(self.container, &hook.words, hook.dir.as_deref()).await?;
            lines::pump(output, self.lines, &CancellationToken::new(), self.clock).await?;
            self.engine.exec_code(&exec).await
        };
        match saved.await {
            Ok(Some(0)) => self.say("the checkpoint is made").await,
            Ok(Some(code)) => self.say(format!("the checkpoint ended with exit code {code}")).await,
            Ok(None) => self.say("the checkpoint has let go of its output and still runs").await,
            Err(error) => self.say(format!("there is no checkpoint: {error}")).await,
        }
    }

    async fn say(&self, text: impl Into<String>) {
        let _ = self.lines.send(Line { source: LogSource::Worker, text: text.into() }).await;
    }
}
