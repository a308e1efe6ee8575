//! The worker program's parts, and how they are put together.
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | what the environment says |
//! | [`which`] | the payload that this image holds or names |
//! | [`own`] | the container that this worker is in |
//! | [`logins`] | logins at ECR by the worker's roles |
//! | [`logs`], [`kept`] | the job's log on standard output, and the bounded copy of it |
//! | [`instead`] | what stands for a payload that cannot be run, and for secrets that there are not |
//!
//! Whatever is wrong with the image, the engine or the job definition is told to the job's row, not to the process's
//! output alone: the worker claims the row and ends it, or gives it back, with a sentence.

mod instead;
mod kept;
mod logins;
mod logs;
mod own;
mod settings;
mod which;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use shepard_cloud::aws::{self, notice::SpotNotices};
use shepard_cloud::ports::{Clock, Ports, WallClock};
use shepard_container::{DockerPayload, Options, sweep};
use shepard_engine::Engine;
use shepard_model::names::container::MEMORY_DIR;
use shepard_worker::{Interruption, JobError, Payload, Place, Stop, work};

use self::instead::{NoPayload, NoSecrets};
use self::logins::RoleLogins;
use self::logs::OutputLogs;
use self::own::Own;
use self::settings::Settings;

/// Between two looks for what dead workers left on this host, in milliseconds. The first is at the start.
const SWEEP_MS: u64 = 10 * 60_000;

/// Runs what the environment says, in an image whose files are below `root`; gives the exit code of the process.
///
/// # Errors
/// The environment is none of a worker. No row was touched.
pub(crate) async fn run(
    environment: impl IntoIterator<Item = (String, String)>,
    root: &Path,
    output: impl Write + Send + 'static,
    stop: Stop,
) -> Result<u8, JobError> {
    let settings = Settings::read(environment)?;
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let (logs, tail) = OutputLogs::new(Arc::clone(&clock), output);
    let has_secrets = settings.flock.secrets.is_some();
    let (flock, found) = tokio::join!(aws::connect(settings.flock.clone()), find());
    let mut ports = flock.ports();
    ports.logs = Arc::new(logs);
    if !has_secrets {
        ports.secrets = Arc::new(NoSecrets);
    }

    let mut place = Place::aws(settings.assignment.common());
    let mut assignment = settings.assignment.clone();
    let payload = match found {
        Err(none) => Err(none),
        Ok((engine, own)) => {
            assignment = assignment.logging_to(own.log_stream.clone());
            if !own.shares(Path::new(MEMORY_DIR)) {
                // A folder of this container alone is nothing that the payload's could be given.
                place = place.with_memory(None);
            }
            docker(root, &settings, &place, own, &clock).map(|payload| (engine, payload))
        }
    };
    let code = match &payload {
        Ok((engine, payload)) => {
            let care = care(&ports, &place, engine, &stop);
            let code = beside(care, work(&ports, &assignment, &place, payload, stop.clone())).await;
            payload.settle().await;
            code
        }
        Err(none) => {
            tracing::error!("{}", none.why());
            work(&ports, &assignment, &place, none as &dyn Payload, stop).await
        }
    };
    // The last of the log, before the process and with it its output ends.
    drop((ports, flock));
    tail.written(clock.as_ref()).await;
    Ok(code)
}

/// The engine and the worker's own container.
async fn find() -> Result<(Engine, Own), NoPayload> {
    let found = async {
        let engine = Engine::connect(None).await?;
        let own = Own::look(&engine).await?;
        Ok::<_, shepard_engine::EngineError>((engine, own))
    };
    // Whatever it is, another host may not have it. A job definition without the socket shows by its retries.
    found.await.map_err(|error| NoPayload::Now(error.to_string()))
}

/// The payload as a container, or why it cannot be one.
fn docker(
    root: &Path,
    settings: &Settings,
    place: &Place,
    own: Own,
    clock: &Arc<dyn Clock>,
) -> Result<DockerPayload, NoPayload> {
    let image = which::payload(root).map_err(NoPayload::Ever)?;
    let isolation = settings
        .isolation
        .clone()
        .map_err(|error| NoPayload::Ever(format!("a setting of the job definition cannot be: {error}")))?;
    for base in [Some(&place.root), place.efs.as_ref(), place.lustre.as_ref()].into_iter().flatten() {
        if !own.shares(base) {
            return Err(NoPayload::Ever(format!(
                "the job definition does not mount the host's {path} at {path}, where the payload's container is to \
                 find the job's directories",
                path = base.display()
            )));
        }
    }
    let options = Options {
        owner: own.id.unwrap_or_else(|| format!("process-{}", std::process::id())),
        isolation,
        limits: own.limits,
        environment: settings.passed.clone(),
        ..Options::default()
    };
    let logins = Arc::new(RoleLogins::new(settings.flock.profile.clone()));
    Ok(DockerPayload::new(Arc::clone(clock), image, options).with_logins(logins))
}

/// Looks for what dead workers left, and for the notice that this host is taken back, as long as it is polled.
async fn care(ports: &Ports, place: &Place, engine: &Engine, stop: &Stop) {
    let notices = async {
        if let Some(notices) = SpotNotices::from_env() {
            shepard_worker::notices::watch(ports.clock.as_ref(), &notices, stop).await;
        }
    };
    let sweeps = async {
        loop {
            match sweep::of_containers(engine).await {
                Ok(gone) if gone.is_empty() => {}
                Ok(gone) => {
                    tracing::info!(jobs = gone.len(), "containers that dead workers left are removed");
                }
                Err(error) => tracing::warn!("containers that dead workers left: {error}"),
            }
            let swept = shepard_worker::sweep(ports, place).await;
            for (filesystem, job) in &swept.removed {
                tracing::info!(%job, filesystem, "the directory that a dead worker left is removed");
            }
            for left in &swept.left {
                tracing::warn!("{left}");
            }
            ports.clock.sleep_ms(SWEEP_MS).await;
        }
    };
    tokio::join!(notices, sweeps);
}

/// The work's outcome; what goes on beside it ends with it.
async fn beside<T>(aside: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = work => done,
        never = async { aside.await; std::future::pending::<T>().await } => never,
    }
}

/// Asks the worker to stop when the process is told to, by the signals that Batch and a person use.
///
/// # Errors
/// The system does not let the signals be heard.
pub(crate) fn heed(stop: &Stop) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let (mut heard, stop) = (signal(kind)?, stop.clone());
        tokio::spawn(async move {
            if heard.recv().await.is_some() {
                tracing::warn!("{name}: the payload is stopped");
                stop.because(Interruption {
                    reason: format!("the worker was told to stop ({name})"),
                    gone_ms: None,
                });
            }
        });
    }
    Ok(())
}
