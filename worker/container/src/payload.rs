//! One payload in one container, from its image to its removal.

use std::sync::Arc;

use async_trait::async_trait;
use shepard_cloud::ports::{Clock, LogSource};
use shepard_engine::{ContainerSpec, Engine, EngineError, ImageInfo, Kind};
use shepard_model::names::Filesystem;
use shepard_model::names::container::LABEL_JOB;
use shepard_worker::payload::Cause;
use shepard_worker::{Exited, Line, Payload, PayloadError, PayloadSpec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lines;
use crate::options::Options;
use crate::owner::{self, Owner};
use crate::source::{Fetch, Image, Logins};
use crate::spec::{self, Plan};
use crate::stop::{self, Watch};
use crate::trouble::{self, During};

/// How long an engine that went away is waited for, to remove what it may still run, in milliseconds.
const ENGINE_BACK_MS: u64 = 30_000;
/// How often it is looked for meanwhile, in milliseconds.
const LOOK_MS: u64 = 500;
/// How often a container's name is found taken before the job waits for another attempt.
const NAME_LOOKS: u32 = 60;
/// Exit code of a payload that was stopped before it began: as if SIGTERM had ended it.
const STOPPED: i32 = 143;

/// Runs payloads as containers of a Docker engine.
pub struct DockerPayload {
    clock: Arc<dyn Clock>,
    image: Image,
    options: Options,
    logins: Option<Arc<dyn Logins>>,
    removals: TaskTracker,
}

impl DockerPayload {
    /// A payload of this image. The engine is looked for when a payload is run: it may come and go.
    pub fn new(clock: Arc<dyn Clock>, image: Image, options: Options) -> Self {
        Self { clock, image, options, logins: None, removals: TaskTracker::new() }
    }

    /// Asks for a login before an image is pulled.
    #[must_use]
    pub fn with_logins(mut self, logins: Arc<dyn Logins>) -> Self {
        self.logins = Some(logins);
        self
    }

    /// Waits until the containers of runs that were dropped are removed. For the end of a program: what it does not wait
    /// for is left to the next sweep.
    pub async fn settle(&self) {
        self.removals.close();
        self.removals.wait().await;
        self.removals.reopen();
    }

    async fn engine(&self) -> Result<Engine, PayloadError> {
        let engine = Engine::connect(self.options.engine.as_deref()).await;
        engine.map_err(|error| trouble::of(&error, During::Engine))
    }

    /// Gets the image, unless told to stop meanwhile.
    async fn fetch(
        &self,
        engine: &Engine,
        spec: &PayloadSpec,
        lines: &mpsc::Sender<Line>,
    ) -> Result<ImageInfo, PayloadError> {
        let root = spec.dirs.iter().find(|dirs| dirs.filesystem == Filesystem::Root);
        let shared = root.map_or_else(std::env::temp_dir, |dirs| dirs.base.clone());
        let (clock, logins) = (self.clock.as_ref(), self.logins.as_deref());
        Fetch { engine, clock, logins, shared: &shared, lines }.get(&self.image).await
    }

    /// The user in place of the image's, `uid:gid`.
    async fn user(&self, engine: &Engine) -> Result<Option<String>, PayloadError> {
        if let Some((uid, gid)) = self.options.run_as {
            return Ok(Some(format!("{uid}:{gid}")));
        }
        if is_root() {
            return Ok(None);
        }
        let powers = engine.powers().await.map_err(|error| trouble::of(&error, During::Engine))?;
        // Root inside is this user outside, where the engine is this user's own.
        let (uid, gid) = if powers.rootless { (0, 0) } else { own() };
        Ok(Some(format!("{uid}:{gid}")))
    }

    /// Makes the container, in the place of one that a dead attempt of this job left.
    async fn create(
        &self,
        engine: &Engine,
        wanted: &ContainerSpec,
        spec: &PayloadSpec,
    ) -> Result<String, EngineError> {
        let mut looks = 0;
        loop {
            let taken = match engine.create(wanted.clone()).await {
                Err(error) if error.kind == Kind::Conflict => error,
                made => return made,
            };
            match engine.container(&wanted.name).await? {
                Some(stale) if stale.labels.get(LABEL_JOB).map(String::as_str) == Some(spec.id.as_str()) => {
                    tracing::info!(id = %spec.id, "a dead attempt left a container, which is removed");
                    engine.remove(&stale.id).await?;
                }
                Some(_) => {
                    let said =
                        "there is one of that name that is not Shepard's; remove it or give it another name";
                    let doing = "create the container";
                    return Err(EngineError::new(doing, &*wanted.name, Kind::Invalid, said));
                }
                // The engine is still about what a dead worker asked of it: the name is taken and nothing is there.
                None => self.clock.sleep_ms(LOOK_MS).await,
            }
            looks += 1;
            if looks >= NAME_LOOKS {
                return Err(taken);
            }
        }
    }

    /// Gives the job's files and its secrets to the container's user.
    async fn give(
        &self,
        engine: &Engine,
        container: &str,
        plan: &Plan<'_>,
    ) -> Result<Option<String>, PayloadError> {
        if !is_root() {
            return Ok(None);
        }
        let user = plan.user.as_deref().unwrap_or(&plan.image.user);
        let owner = owner::resolve(engine, container, user).await;
        let owner = owner.map_err(|error| trouble::of(&error, During::Start { quick_deploy: false }))?;
        if owner == Owner::ROOT {
            return Ok(None);
        }
        let mut folders: Vec<_> = plan.spec.dirs.iter().map(|dirs| dirs.job.clone()).collect();
        folders.extend(plan.spec.secrets.clone());
        let given = tokio::task::spawn_blocking(move || {
            let results = folders.iter().map(|folder| owner::give(folder, owner));
            results.fold(Ok(()), std::io::Result::and)
        });
        let given = given.await.map_err(std::io::Error::other).flatten();
        // A shared filesystem may let nobody give anything away. What its directories allow has to be enough then.
        Ok(given.err().map(|error| {
            format!("not every file of the job could be given to the image's user {}: {error}", owner.uid)
        }))
    }

    /// Everything from the image to the end.
    async fn whole(
        &self,
        spec: &PayloadSpec,
        lines: &mpsc::Sender<Line>,
        stop: &CancellationToken,
    ) -> Result<Exited, PayloadError> {
        let Some(prepared) = stop.run_until_cancelled(self.prepare(spec, lines)).await else {
            return Ok(Exited { code: STOPPED, cause: Cause::Stopped });
        };
        let (engine, image, user, cpus) = prepared?;
        let mut plan = Plan { spec, options: &self.options, image, user, socket: engine.socket(), cpus };
        if plan.socket_granted() && plan.socket.is_none() {
            return Err(PayloadError::Refused(format!(
                "the payload may use the Docker socket, and the engine at {} has none on this host",
                engine.address()
            )));
        }
        let wanted = plan.container()?;
        let made = match self.create(&engine, &wanted, spec).await {
            Err(error) if error.kind == Kind::NotFound => {
                // Another worker's tidying was quicker: it let go of the image after it was seen here.
                plan.image = Box::pin(self.fetch(&engine, spec, lines)).await?;
                self.create(&engine, &plan.container()?, spec).await
            }
            made => made,
        };
        let quick_deploy = spec.quick_deploy.is_some();
        let container = made.map_err(|error| trouble::of(&error, During::Start { quick_deploy }))?;
        let mut guard = Guard::new(self, &engine, &container);
        let ended = self.contained(&engine, &container, &plan, lines, stop).await;
        let lost = matches!(&ended, Err(Broken::Lost(_)));
        guard.remove(lost).await;
        ended.map_err(|broken| match broken {
            Broken::Payload(error) => error,
            Broken::Lost(error) => {
                let error = format!("the Docker engine went away while the payload ran: {error}");
                PayloadError::Passing(error)
            }
        })
    }

    async fn prepare(
        &self,
        spec: &PayloadSpec,
        lines: &mpsc::Sender<Line>,
    ) -> Result<(Engine, ImageInfo, Option<String>, Option<u32>), PayloadError> {
        let engine = self.engine().await?;
        let of_engine = |error: EngineError| trouble::of(&error, During::Engine);
        let image = Box::pin(self.fetch(&engine, spec, lines)).await?;
        // Asking an engine takes it longer than making a container: only where the answer is not plain.
        if engine.socket().is_none() || !spec::is_of_this_machine(&image) {
            let host = engine.host().await.map_err(of_engine)?;
            spec::check_platform(&image, &host, &self.image.short())?;
        }
        let user = self.user(&engine).await?;
        let cpus = match self.options.isolation.cpu_milli {
            Some(_) => Some(engine.powers().await.map_err(of_engine)?.cpus),
            None => None,
        };
        Ok((engine, image, user, cpus))
    }

    /// From a container that is made to its end.
    async fn contained(
        &self,
        engine: &Engine,
        container: &str,
        plan: &Plan<'_>,
        lines: &mpsc::Sender<Line>,
        stop: &CancellationToken,
    ) -> Result<Exited, Broken> {
        let spec = plan.spec;
        if let Some(said) = self.give(engine, container, plan).await? {
            say(lines, said).await;
        }
        let hook = match stop::hook(spec, &plan.image) {
            Ok(hook) => hook,
            Err(said) => {
                say(lines, said).await;
                None
            }
        };
        let starting =
            |error| trouble::of(&error, During::Start { quick_deploy: spec.quick_deploy.is_some() });
        let output = engine.attach(container).await.map_err(starting)?;
        if stop.is_cancelled() {
            return Ok(Exited { code: STOPPED, cause: Cause::Stopped });
        }
        engine.start(container).await.map_err(starting)?;

        let over = CancellationToken::new();
        let signal = plan.image.stop_signal.as_deref();
        let (options, clock) = (&self.options, self.clock.as_ref());
        let interrupted = &spec.interrupted;
        let watch = Watch { engine, clock, container, options, hook, signal, interrupted, lines };
        let limit = options.timeout_s.into_iter().chain(spec.timeout_s).min();
        let watched = async {
            let end = watch.end(limit, stop).await;
            over.cancel();
            end
        };
        let (end, read) = tokio::join!(Box::pin(watched), lines::pump(output, lines, &over, clock));
        let (ended, cause) = end.map_err(Broken::Lost)?;
        if let Err(error) = read {
            say(lines, format!("the end of the payload's output is missing: {error}")).await;
        }
        let code = i32::try_from(ended.code).unwrap_or(-1);
        let limit_mib = plan.limits().memory.map(|bytes| bytes >> 20);
        Ok(match cause {
            Cause::Itself if ended.out_of_memory && code != 0 => {
                Exited { code, cause: Cause::OutOfMemory(limit_mib) }
            }
            cause => Exited { code, cause },
        })
    }
}

#[async_trait]
impl Payload for DockerPayload {
    fn way(&self) -> String {
        let mut said = format!("in a container of the image {}", self.image.short());
        for lifted in self.options.lifted() {
            said.push_str(", ");
            said.push_str(&lifted);
        }
        said
    }

    async fn run(
        &self,
        spec: &PayloadSpec,
        lines: mpsc::Sender<Line>,
        stop: &CancellationToken,
    ) -> Result<Exited, PayloadError> {
        Box::pin(self.whole(spec, &lines, stop)).await
    }
}

/// Why a container did not come to its end.
enum Broken {
    /// It could not be run.
    Payload(PayloadError),
    /// The engine went away under it.
    Lost(EngineError),
}

impl From<PayloadError> for Broken {
    fn from(error: PayloadError) -> Self {
        Self::Payload(error)
    }
}

/// Removes a container at its end, and when the run is dropped before.
struct Guard<'a> {
    payload: &'a DockerPayload,
    engine: Engine,
    container: Option<String>,
}

impl<'a> Guard<'a> {
    fn new(payload: &'a DockerPayload, engine: &Engine, container: &str) -> Self {
        Self { payload, engine: engine.clone(), container: Some(container.to_owned()) }
    }

    /// Removes it. An engine that is `lost` is waited for: what it ran must not run on, and may when it comes back.
    async fn remove(&mut self, lost: bool) {
        let Some(container) = self.container.clone() else { return };
        let mut left_ms = if lost { ENGINE_BACK_MS } else { 0 };
        loop {
            match self.engine.remove(&container).await {
                Ok(()) => break,
                Err(error) if error.kind == Kind::Unreachable && left_ms > 0 => {
                    self.payload.clock.sleep_ms(LOOK_MS).await;
                    left_ms = left_ms.saturating_sub(LOOK_MS);
                }
                Err(error) => {
                    tracing::warn!(%error, "the payload's container is left to the next sweep");
                    break;
                }
            }
        }
        self.container = None;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let Some(container) = self.container.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let engine = self.engine.clone();
        // Owned by the tracker, and awaited by who settles the payload.
        self.payload.removals.spawn_on(
            async move {
                if let Err(error) = engine.remove(&container).await {
                    tracing::warn!(%error, "the container of a dropped payload is left to the next sweep");
                }
            },
            &runtime,
        );
    }
}

async fn say(lines: &mpsc::Sender<Line>, text: String) {
    let _ = lines.send(Line { source: LogSource::Worker, text }).await;
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn own() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}
