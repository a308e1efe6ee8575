//! The way of one attempt that has claimed its row: directories, input, payload, results.

use std::sync::OnceLock;

use shepard_cloud::ports::Ports;
use shepard_model::keywords::QUICK_DEPLOY_DIRECTORY;
use shepard_model::{JobRow, ObjectRef, Stage, status};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::environment;
use crate::exit::{Exit, reason};
use crate::fetch::{self, Trouble};
use crate::job::Job;
use crate::locks::Locks;
use crate::log::Log;
use crate::outputs::{self, Unput};
use crate::payload::{Cause, Exited, Payload, PayloadError, PayloadSpec};
use crate::place::{self, Dirs, Place};
use crate::process::host_name;
use crate::row::Hold;
use crate::secrets;
use crate::stop::Stop;

/// Lines between the payload and its log. Full, it makes the payload wait: at most 64 lines of 256 KiB are held.
const LINES: usize = 64;

/// Why the way to a success was left.
pub(crate) enum Broken {
    /// `halt` was cancelled. With the payload's exit code, if it ran.
    Halted(Option<i32>),
    /// Something failed.
    Failed { reason: String, exit_code: Option<i32>, payload: bool },
    /// The payload could not be run here and now.
    Postponed(String),
}

impl From<Trouble> for Broken {
    fn from(trouble: Trouble) -> Self {
        Self::Failed { reason: trouble.0, exit_code: None, payload: false }
    }
}

pub(crate) struct Attempt<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) job: &'a Job,
    pub(crate) place: &'a Place,
    /// As claimed.
    pub(crate) row: &'a JobRow,
    pub(crate) hold: &'a Hold<'a>,
    pub(crate) log: &'a Log,
    pub(crate) dirs: &'a [Dirs],
    /// Cancelled where the attempt is to end early, for whatever reason.
    pub(crate) halt: &'a CancellationToken,
    /// Asked where that is because the host goes away.
    pub(crate) stop: &'a Stop,
    /// What the run keeps over an interruption.
    pub(crate) checkpoint: Checkpoint<'a>,
    /// Empty until the directories are this attempt's own: before, they are nothing to tidy up.
    pub(crate) locks: OnceLock<Locks>,
}

impl Attempt<'_> {
    /// All of it; gives how it ended.
    pub(crate) async fn whole(&self, payload: &dyn Payload) -> Exit {
        let (fence, host) = (&self.hold.fence, host_name());
        let id = &self.job.id;
        self.log.say(format!("begin {id}: attempt {} of run {} on {host}", fence.attempt, fence.run)).await;
        let outcome = match self.lock().await {
            Ok(()) => self.work(payload).await,
            Err(broken) => Err(broken),
        };
        match outcome {
            Ok(results) => self.succeeded(results).await,
            Err(Broken::Halted(exit_code)) => self.halted(exit_code).await,
            Err(_) if self.hold.loss().is_some() => self.halted(None).await,
            Err(Broken::Postponed(reason)) => self.postponed(&reason).await,
            Err(Broken::Failed { reason, exit_code, payload }) => {
                self.failed(reason, exit_code, payload).await
            }
        }
    }

    /// Makes the directories this attempt's own.
    async fn lock(&self) -> Result<(), Broken> {
        let mut locks = Locks::default();
        if self.place.locked {
            let (clock, worker) = (self.ports.clock.as_ref(), &self.hold.fence.worker);
            let taken = Locks::take(clock, self.log, &self.job.id, self.dirs, worker);
            locks = self.or_halt(taken).await?.map_err(|held| Broken::Postponed(held.to_string()))?;
        }
        // Nobody else sets it.
        let _ = self.locks.set(locks);
        Ok(())
    }

    /// Everything up to results that are put.
    async fn work(&self, payload: &dyn Payload) -> Result<Vec<ObjectRef>, Broken> {
        let worker = &self.hold.fence.worker;
        outputs::remove(self.ports, outputs::orphans(self.ports, self.row, self.dirs, worker)).await;
        outputs::check_keys(self.row, self.dirs)?;
        let dirs = self.dirs.to_vec();
        let made = tokio::task::spawn_blocking(move || place::make(&dirs)).await;
        made.map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| Trouble::io("making the job's directories", &error))?;

        self.hold.reached(Stage::Fetching, None, None).await;
        let folder = self.or_halt(self.fetch()).await??;
        let restored = self.or_halt(self.checkpoint.restore()).await?;
        restored.map_err(|trouble| Broken::Postponed(trouble.0))?;

        let status = status::calling(self.row.start_time_s.unwrap_or_default() * 1000);
        self.hold.reached(Stage::Payload, Some(status.clone()), Some(payload.way())).await;
        self.or_halt(std::future::ready(())).await?;
        self.log.say(format!("the payload runs {}", payload.way())).await;
        let (exited, last_words) = self.payload(payload, folder, &status).await?;
        self.log.say(format!("the payload ended with exit code {}", exited.code)).await;
        match exited.cause {
            Cause::Stopped => return Err(Broken::Halted(Some(exited.code))),
            Cause::Itself if exited.code == 0 => {}
            _ => {
                let reason = reason(exited, last_words.as_deref());
                return Err(Broken::Failed { reason, exit_code: Some(exited.code), payload: true });
            }
        }
        // From here on the payload has run well, and every failure says so.
        self.push().await.map_err(|broken| match broken {
            Broken::Halted(_) => Broken::Halted(Some(exited.code)),
            Broken::Failed { reason, payload, .. } => {
                Broken::Failed { reason, exit_code: Some(exited.code), payload }
            }
            postponed @ Broken::Postponed(_) => postponed,
        })
    }

    /// Fetches input, code and secrets; gives the quick-deploy folder.
    async fn fetch(&self) -> Result<Option<String>, Trouble> {
        if !self.job.invoked {
            let inputs = &self.ports.buckets.inputs;
            let of_job = || self.job.input.as_ref().map(|key| ObjectRef::new(inputs.clone(), key.clone()));
            if let Some(object) = self.row.input.clone().or_else(of_job) {
                let size = fetch::input(self.ports, &object, self.dirs).await?;
                self.log.say(format!("fetched {object}, {size} bytes")).await;
            }
        }
        // A job that names no folder gets the place's; one that says `None` means it.
        let said =
            self.row.variables.iter().any(|(name, _)| name.eq_ignore_ascii_case(QUICK_DEPLOY_DIRECTORY));
        let usual = || self.place.quick_deploy.clone().filter(|_| !said);
        let folder = self.row.quick_deploy.clone().or_else(usual);
        if let Some(folder) = &folder {
            let files = fetch::quick_deploy(self.ports, folder, self.dirs).await?;
            self.log
                .say(format!(
                    "fetched the quick-deploy folder '{folder}', {files} {}",
                    if files == 1 { "file" } else { "files" }
                ))
                .await;
        }
        let laid = secrets::fetch(self.ports, self.dirs).await?;
        if laid.count > 0 {
            self.log
                .say(format!("wrote {} {}", laid.count, if laid.count == 1 { "secret" } else { "secrets" }))
                .await;
        }
        if let Some(why) = laid.on_disk {
            self.log
                .say(format!("the secrets are on disk, in the job's directory, not in memory: {why}"))
                .await;
        }
        Ok(folder)
    }

    async fn payload(
        &self,
        payload: &dyn Payload,
        folder: Option<String>,
        status: &str,
    ) -> Result<(Exited, Option<String>), Broken> {
        let home = place::runs_in(self.dirs).ok_or_else(|| Trouble("the job has no directories".into()))?;
        let quick_deploy = folder
            .map(|folder| place::confined(&home.input, &folder))
            .transpose()
            .map_err(|error| Trouble(error.to_string()))?;
        let spec = PayloadSpec {
            id: self.row.id.clone(),
            shape: self.row.shape(),
            secrets: secrets::aside(self.dirs),
            environment: environment::of(self.row, self.job, &self.ports.buckets, self.dirs, status),
            dirs: self.dirs.to_vec(),
            input: home.input.clone(),
            quick_deploy,
            ulimit_nofile: self.job.ulimit_nofile,
            allow_docker: self.job.allow_docker,
            interrupted: self.stop.token().clone(),
            timeout_s: self.row.shape().timeout_s.map(u64::from),
        };
        let (sender, receiver) = mpsc::channel(LINES);
        let done = CancellationToken::new();
        let running = async {
            let outcome = payload.run(&spec, sender, self.halt).await;
            done.cancel();
            outcome
        };
        let (outcome, last_words) = tokio::join!(running, self.log.pump(receiver, &done));
        let exited = outcome.map_err(|error| match error {
            PayloadError::Passing(reason) => Broken::Postponed(reason),
            error => Broken::Failed { reason: error.to_string(), exit_code: None, payload: true },
        })?;
        Ok((exited, last_words))
    }

    async fn push(&self) -> Result<Vec<ObjectRef>, Broken> {
        self.hold.reached(Stage::Pushing, Some(status::PUSHING.to_owned()), None).await;
        let put = outputs::put_all(self.ports, self.row, self.dirs, self.log, self.halt).await;
        let put = put.map_err(|unput| match unput {
            Unput::Halted => Broken::Halted(None),
            Unput::Trouble(trouble) => trouble.into(),
        })?;
        for object in &put {
            self.log.say(format!("put {object}")).await;
        }
        Ok(put)
    }

    /// A step, given up as soon as the attempt is to stop.
    pub(crate) async fn or_halt<T>(&self, step: impl Future<Output = T>) -> Result<T, Broken> {
        tokio::select! {
            biased;
            () = self.halt.cancelled() => Err(Broken::Halted(None)),
            done = step => Ok(done),
        }
    }
}
