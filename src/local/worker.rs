//! The worker process of a local flock: one attempt of one job, then it ends.
//!
//! It takes the job's lock before it claims anything and has it until it is gone: that is how a supervisor, this
//! one's parent or a later one, knows whether it lives.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shepard_cloud::local::{FlockDir, LocalFlock, Settings};
use shepard_cloud::ports::Clock;
use shepard_container::trouble::{self, During};
use shepard_container::{DockerPayload, Image, Options};
use shepard_engine::Engine;
use shepard_worker::payload::Line;
use shepard_worker::{Exited, Job, Payload, PayloadError, PayloadSpec, Place, ProcessPayload};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::error::LocalError;
use super::lock::Held;
use super::{containers, memory};

/// How long to wait for the lock. A supervisor that looks has it for an instant; a worker that has it for longer
/// runs the job, and this one is not needed.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// Runs the attempt that this process's environment names. The exit code is for people and logs: what became of
/// the job is in its row, and a row without an end says that the worker died.
///
/// Makes its own runtime: call it from `main` and from nowhere else.
pub fn run_worker(dir: &FlockDir) -> ExitCode {
    super::log::to_stderr();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("the worker's runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(run(dir)) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("worker: {error}");
            ExitCode::FAILURE
        }
    };
    runtime.shutdown_background();
    code
}

async fn run(dir: &FlockDir) -> Result<ExitCode, LocalError> {
    // Only what can be text: a variable that is not cannot be one of the contract's.
    let pairs = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let job = Job::from_env(pairs).map_err(|error| LocalError::Environment(error.to_string()))?;
    let stop = stop_signals(dir)?;
    let path = dir.worker_lock(&job.id);
    let io = |error| LocalError::io("lock", &path, error);
    let Ok(held) = tokio::time::timeout(LOCK_PATIENCE, Held::take(&path)).await else {
        tracing::warn!("another worker runs job {}; attempt {} is not needed", job.id, job.attempt);
        return Ok(ExitCode::FAILURE);
    };
    let held = held.map_err(io)?;
    let flock = LocalFlock::open(dir)?;
    let settings = flock.settings().clone();
    let ports = flock.ports();
    let path = dir.payload_lock(&job.id);
    let Some(payload_lock) = Held::try_take(&path).map_err(|error| LocalError::io("lock", &path, error))?
    else {
        // Its supervisor saw to it that nobody had it: whoever has it now is no attempt of ours.
        tracing::warn!("something of an earlier payload of job {} still runs", job.id);
        return Ok(ExitCode::FAILURE);
    };
    let place = Place::local(dir.jobs()).with_quick_deploy(settings.quick_deploy.clone());
    let exit = if let Some(image) = &settings.image {
        let payload = Contained::new(dir, &settings, image, &ports.clock);
        let place = place.with_memory(memory::base(dir));
        let exit = shepard_worker::run(&ports, &job, &place, &payload, stop).await;
        payload.docker.settle().await;
        exit
    } else {
        let payload = ProcessPayload::new(Arc::clone(&ports.clock))
            .with_command(settings.command.clone())
            .with_timeout(settings.timeout_s)
            .with_lock(payload_lock.into_file());
        shepard_worker::run(&ports, &job, &place, &payload, stop).await
    };
    // Only now: the lock says that this process may still write.
    drop(held);
    Ok(exit.code().into())
}

/// A payload in a container, of which the flock's folder keeps a mark from before it can be there.
struct Contained {
    dir: FlockDir,
    docker: DockerPayload,
}

impl Contained {
    fn new(dir: &FlockDir, settings: &Settings, image: &str, clock: &Arc<dyn Clock>) -> Self {
        let reference = image.to_owned();
        // A digest is the same image wherever it is pulled from. A name is this machine's own to say.
        let image = if reference.contains("@sha256:") {
            Image::Digest { reference }
        } else {
            Image::Present { reference }
        };
        let options = Options {
            owner: containers::owner(dir),
            isolation: settings.isolation.clone(),
            command: settings.command.clone(),
            timeout_s: settings.timeout_s,
            // By themselves these run a container as the image's user where this one is root. Anybody else gets
            // containers of his own user and group: his worker could not remove what root or a stranger wrote.
            ..Options::default()
        };
        Self { dir: dir.clone(), docker: DockerPayload::new(Arc::clone(clock), image, options) }
    }
}

#[async_trait]
impl Payload for Contained {
    fn way(&self) -> String {
        self.docker.way()
    }

    async fn run(
        &self,
        spec: &PayloadSpec,
        lines: mpsc::Sender<Line>,
        stop: &CancellationToken,
    ) -> Result<Exited, PayloadError> {
        // Without an engine there is no container, and nobody has to wait for one to come back.
        Engine::connect(containers::address().as_deref())
            .await
            .map_err(|error| trouble::of(&error, During::Engine))?;
        containers::mark(&self.dir, &spec.id).map_err(|error| PayloadError::Passing(error.to_string()))?;
        self.docker.run(spec, lines, stop).await
    }
}

fn stop_signals(dir: &FlockDir) -> Result<CancellationToken, LocalError> {
    let on = |kind| signal(kind).map_err(|error| LocalError::io("wait for signals to", dir.path(), error));
    let (mut term, mut int) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    // Ends with the process: there is nothing to wait for in it.
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
