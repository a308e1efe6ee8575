//! Building a folder through the engine's own builder.
//!
//! It is the classic builder, which every engine has and which takes a plain archive. A base image that the engine has is
//! used as it is and never asked for anywhere: a private one resolves where it was pulled before.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use bollard::models::BuildInfo;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt as _;

use crate::connect::Engine;
use crate::context::Context;
use crate::error::{EngineError, Kind, Result};
use crate::image::Login;
use crate::pieces::pieces;

/// A builder answers when it has the whole context, and goes on answering for as long as the build takes.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Lines of the failing step that its error holds.
const LAST: usize = 5;
/// Characters of a line that are kept.
const WIDE: usize = 300;
const DOING: &str = "build the folder";

/// What to build, and how.
#[derive(Debug, Clone)]
pub struct Build {
    /// The folder.
    pub context: Context,
    /// What the image is called as well: `NAME:TAG`.
    pub tag: String,
    /// `linux/arm64`; None is the engine's own.
    pub platform: Option<String>,
    /// Take no step from an earlier build.
    pub no_cache: bool,
    /// Network of the steps: `host`, `none` or one that the engine has. None is the engine's usual one.
    pub network: Option<String>,
    /// Values of the Dockerfile's `ARG`s. They are in the image's history: no place for a secret.
    pub args: Vec<(String, String)>,
    /// Who pulls base images that the engine has not.
    pub logins: Vec<Login>,
}

/// How far a build is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildProgress {
    /// The step that runs, from 1; 0 while the folder is sent.
    pub step: u64,
    /// How many there are; 0 while that is not known.
    pub steps: u64,
    /// The builder's last line, without what would steer a terminal.
    pub line: String,
}

impl Engine {
    /// Builds and gives the image's id. Dropping the future cancels the build; a step that runs is stopped by the engine.
    ///
    /// # Errors
    /// `Invalid` where a step failed or the folder cannot be sent, with the step and its last lines; `Denied` or
    /// `NotFound` for a base image that cannot be had; else what the engine says.
    pub async fn build(
        &self,
        build: &Build,
        progress: &mut (dyn FnMut(&BuildProgress) + Send),
    ) -> Result<String> {
        let folder = build.context.folder().display().to_string();
        let (mut pieces, archive, mut taken) = pieces();
        let context = build.context.clone();
        let written = tokio::task::spawn_blocking(move || {
            let written = context.write(&mut pieces);
            if let Err(error) = &written {
                pieces.fail(error);
            }
            written
        });

        let mut options = BuildImageOptionsBuilder::default()
            .dockerfile(build.context.dockerfile())
            .t(&build.tag)
            .nocache(build.no_cache)
            .rm(true)
            .forcerm(true);
        if let Some(platform) = &build.platform {
            options = options.platform(platform);
        }
        if let Some(network) = &build.network {
            options = options.networkmode(network);
        }
        if !build.args.is_empty() {
            options = options.buildargs(&build.args.iter().cloned().collect::<HashMap<_, _>>());
        }
        let logins = build.logins.iter().map(|login| (login.server.clone(), login.credentials())).collect();
        let docker = self.docker.clone().with_timeout(PATIENCE);
        let body = bollard::body_try_stream(archive);
        let mut said = docker.build_image(options.build(), Some(logins), Some(body));

        let mut seen = Seen::default();
        let mut sending = true;
        let answered = loop {
            tokio::select! {
                biased;
                line = said.next() => match line {
                    Some(Ok(line)) => seen.take(line, progress),
                    Some(Err(error)) => break Err(EngineError::of(DOING, folder.clone(), &error)),
                    None => break Ok(()),
                },
                changed = taken.changed(), if sending => {
                    sending = changed.is_ok();
                    let bytes = *taken.borrow_and_update();
                    if sending && seen.now.step == 0 {
                        seen.now.line = format!("{} KiB of the folder sent", bytes / 1024);
                        progress(&seen.now);
                    }
                }
            }
        };
        // With the request goes the receiver, so that the thread does not wait for an engine that has answered early.
        drop(said);
        match written.await {
            // A connection that broke ends the reading, too; then it is the engine that has something to say.
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(EngineError::new(DOING, folder, Kind::Invalid, error.to_string()));
            }
            Ok(_) => {}
            Err(error) => return Err(EngineError::new(DOING, folder, Kind::Other, error.to_string())),
        }
        if let Err(error) = answered {
            return Err(seen.explain(error));
        }
        match seen.id {
            Some(id) => Ok(id),
            None => Err(EngineError::new(
                DOING,
                folder,
                Kind::Other,
                "the engine ended the build without an image",
            )),
        }
    }
}

/// What a build has said so far.
#[derive(Debug, Default)]
struct Seen {
    now: BuildProgress,
    /// The instruction of the step that runs.
    instruction: String,
    /// The last lines of the step that runs.
    last: VecDeque<String>,
    /// Text without its line's end yet.
    rest: String,
    id: Option<String>,
}

impl Seen {
    fn take(&mut self, said: BuildInfo, progress: &mut (dyn FnMut(&BuildProgress) + Send)) {
        if let Some(id) = said.aux.and_then(|aux| aux.id) {
            self.id = Some(id);
        }
        if let Some(status) = said.status {
            // A base image is pulled: which layer, and what of it.
            self.now.line = match said.id {
                Some(layer) => shown(&format!("{layer}: {status}")),
                None => shown(&status),
            };
            progress(&self.now);
        }
        if let Some(text) = said.stream {
            self.rest.push_str(&text);
            while let Some(end) = self.rest.find('\n') {
                let line: String = self.rest.drain(..=end).collect();
                self.line(&line, progress);
            }
            // A program that never ends a line must not fill the memory.
            if self.rest.len() > 64 * 1024 {
                let line = std::mem::take(&mut self.rest);
                self.line(&line, progress);
            }
        }
    }

    fn line(&mut self, line: &str, progress: &mut (dyn FnMut(&BuildProgress) + Send)) {
        let line = shown(line);
        if line.is_empty() {
            return;
        }
        if let Some((step, steps, instruction)) = step(&line) {
            (self.now.step, self.now.steps) = (step, steps);
            self.instruction = instruction.to_owned();
            self.last.clear();
        } else if !line.starts_with("---> ") && !line.starts_with("Removing intermediate container") {
            self.keep(line.clone());
        }
        self.now.line = line;
        progress(&self.now);
    }

    fn keep(&mut self, line: String) {
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// The engine's error with the step it happened in.
    fn explain(mut self, mut error: EngineError) -> EngineError {
        let rest = shown(&std::mem::take(&mut self.rest));
        if !rest.is_empty() {
            self.keep(rest);
        }
        // But for pulling what it begins from, what a step cannot do is the folder's fault, whatever words it happens to
        // hold.
        let begins = self.instruction.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("from"));
        let words = [Kind::NotFound, Kind::Denied, Kind::Busy, Kind::NoProgram, Kind::Conflict];
        let failed = error.said.contains("returned a non-zero code");
        if failed || (self.now.step > 0 && !begins && words.contains(&error.kind)) {
            error.kind = Kind::Invalid;
        }
        if self.now.step > 0 {
            let BuildProgress { step, steps, .. } = self.now;
            let said = format!("step {step} of {steps} ({}): {}", self.instruction, error.said);
            error.said = shown(&said);
        }
        if !self.last.is_empty() {
            let last: Vec<String> = self.last.into();
            error.said = format!("{}; its last lines: {}", error.said, last.join(" | "));
        }
        error
    }
}

/// `Step 3/7 : RUN make`
fn step(line: &str) -> Option<(u64, u64, &str)> {
    let (numbers, instruction) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (step, steps) = numbers.split_once('/')?;
    Some((step.parse().ok()?, steps.parse().ok()?, instruction))
}

/// A foreign line as it may be shown: of one line, not too long, and without what steers a terminal. The builder itself
/// paints what a step writes to its error output.
fn shown(line: &str) -> String {
    let line = unpainted(line);
    let line = line.trim();
    // What was written over itself is seen as it stood at the end.
    let line = line.rsplit('\r').next().unwrap_or(line);
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).take(WIDE).collect()
}

/// The text without escape sequences: from `ESC [` to the letter that ends it.
fn unpainted(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| ('@'..='~').contains(&c)).map_or(part.len(), |end| end + 1);
        text.push_str(&part[end..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> BuildInfo {
        BuildInfo { stream: Some(text.to_owned()), ..BuildInfo::default() }
    }

    #[test]
    fn a_build_is_followed_step_by_step_and_its_failure_names_the_step() {
        let mut seen = Seen::default();
        let mut told = Vec::new();
        for text in [
            "Step 1/2 : FROM base\n",
            " ---> 0123\n",
            "Step 2/2 : RUN make \u{1b}[31munauthorized\n",
            "\n ---> Running in 4567\n",
            "one\n\u{1b}[91mtwo, 10%\rtwo, 100%\nthr",
            "ee\nfour\nfive\nsix",
        ] {
            seen.take(said(text), &mut |progress| told.push(progress.clone()));
        }
        assert_eq!((told[0].step, told[0].steps), (1, 2));
        assert!(told.iter().any(|progress| progress.step == 2 && progress.line == "two, 100%"));
        assert!(told.iter().all(|progress| !progress.line.contains('\u{1b}')));
        let words = "The command '/bin/sh -c make unauthorized' returned a non-zero code: 2";
        let error = seen.explain(EngineError::new(DOING, "f", Kind::Denied, words));
        assert_eq!(error.kind, Kind::Invalid);
        let said = error.to_string();
        assert!(said.contains("step 2 of 2 (RUN make"), "{said}");
        assert!(said.contains("non-zero code: 2; its last lines: ") && said.ends_with("| six"), "{said}");
        assert!(!said.contains("one |"), "{said}");
    }

    #[test]
    fn a_line_that_never_ends_is_not_kept() {
        let mut seen = Seen::default();
        for _ in 0..1_000 {
            seen.take(said(&"x".repeat(1_000)), &mut |_| {});
            assert!(seen.rest.len() <= 65 * 1024 + 1_000);
        }
        assert_eq!(seen.last.back().map(|line| line.chars().count()), Some(WIDE));
    }
}
