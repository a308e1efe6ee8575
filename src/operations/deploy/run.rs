//! Carrying a deploy out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shepard_cloud::Clock;
use shepard_cloud::local::FlockDir;
use shepard_cloud::local::home::private_dir;
use shepard_cloud::ports::WallClock;
use shepard_engine::{Build, Context, Engine, ImageInfo, Kind, Login, Wrap, WrapPayload};
use shepard_model::names::container::{LABEL_PAYLOAD, LABEL_RELEASE};
use tokio_util::sync::CancellationToken;

use super::super::error::{OperationError, Result};
use super::super::releases::{self, LATEST};
use super::follow::Follow;
use super::registries::{Place, Registries};
use super::{DeployProgress, Deployment, Request, Source, Step, Target, bases, worker};

/// What it takes to deploy.
#[derive(Clone)]
pub struct Deployer {
    /// Builds, pushes and keeps images.
    pub engine: Engine,
    /// The registries.
    pub registries: Registries,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Folder for the file of a payload that is to be nested; it may get as large as the payload. Made if need be.
    pub scratch: PathBuf,
}

impl std::fmt::Debug for Deployer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployer").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// What a deploy made here on its way, to be removed at its end, whatever the end is.
#[derive(Debug, Default)]
struct Made {
    references: Vec<String>,
}

/// A release that is ready: the one thing left to do is to switch to it.
struct Ready {
    place: Place,
    release: String,
    digest: String,
    payload: String,
}

impl Deployer {
    /// With the engine and the logins of this person, as far as the target needs them.
    ///
    /// # Errors
    /// No engine answers.
    pub async fn of_this_person(scratch: PathBuf, target: &Target) -> Result<Self> {
        let engine = Engine::connect(None).await?;
        Ok(Self {
            engine,
            registries: Registries::for_target(target).await,
            clock: Arc::new(WallClock),
            scratch,
        })
    }

    /// Deploys. `progress` is told of every step and must not wait; `stop` ends it before it has switched, and what it
    /// made here on its way is removed before this returns.
    ///
    /// # Errors
    /// A sentence with what to do. The flock runs what it ran before.
    pub async fn deploy(
        &self,
        request: &Request,
        progress: &mut (dyn FnMut(&DeployProgress) + Send),
        stop: &CancellationToken,
    ) -> Result<Deployment> {
        let began = self.clock.now_ms();
        let mut follow = Follow::new(request, progress);
        let mut made = Made::default();
        let done = match &request.target {
            Target::Flock(flock) => self.to_flock(flock, request, &mut follow, &mut made, stop).await,
            Target::Repository(text) | Target::Aws { repository: text, .. } => {
                self.to_repository(text, request, &mut follow, &mut made, stop).await
            }
        };
        for reference in made.references.iter().rev() {
            if let Err(error) = self.engine.remove_image(reference).await {
                tracing::warn!(%error, "a name that a deploy made stays");
            }
        }
        let mut deployment = done?;
        deployment.took_ms = u64::try_from(self.clock.now_ms() - began).unwrap_or_default();
        Ok(deployment)
    }

    async fn to_flock(
        &self,
        flock: &FlockDir,
        request: &Request,
        follow: &mut Follow<'_>,
        made: &mut Made,
        stop: &CancellationToken,
    ) -> Result<Deployment> {
        if request.nested {
            return Err(OperationError::Usage(
                "a flock of this machine runs the payload's image itself; nothing is nested".into(),
            ));
        }
        let payload = until(stop, self.payload(request, None, follow, made)).await?;
        let host = self.engine.host().await?.architecture;
        if payload.architecture != host {
            tracing::warn!(payload = payload.architecture, host, "a payload for other processors");
        }
        follow.begin(Step::Switch);
        let release = releases::name(self.clock.now_ms(), &payload.id);
        let release = releases::flock::add(flock, &self.engine, &release, &payload.id).await?;
        Ok(Deployment { release, image: payload.id.clone(), digest: None, payload: payload.id, took_ms: 0 })
    }

    async fn to_repository(
        &self,
        text: &str,
        request: &Request,
        follow: &mut Follow<'_>,
        made: &mut Made,
        stop: &CancellationToken,
    ) -> Result<Deployment> {
        let ready = until(stop, self.release(text, request, follow, made)).await?;
        // From here on it is one short request, and nobody could say of a stopped one whether it was carried out.
        follow.begin(Step::Switch);
        let Ready { place, release, digest, payload } = ready;
        let Place { repository, login } = &place;
        let moved = self.registries.registry.retag(repository, login.as_ref(), &release, LATEST).await;
        let moved = moved.map_err(|error| place.explain(error))?;
        let image = format!("{repository}:{release}");
        if moved != digest {
            return Err(OperationError::Refused(format!(
                "{image} is {moved} by now and not {digest}: somebody else has pushed it; see `shepard releases list`"
            )));
        }
        Ok(Deployment { release, image, digest: Some(digest), payload, took_ms: 0 })
    }

    /// Everything up to the moment before the switch.
    async fn release(
        &self,
        text: &str,
        request: &Request,
        follow: &mut Follow<'_>,
        made: &mut Made,
    ) -> Result<Ready> {
        let place = self.registries.place(text).await?;
        let repository = &place.repository;
        // Who is not let in should know before a long build, and so should who has no worker.
        self.digest_of(&place, LATEST).await?;
        if let Source::Folder(_) = request.source {
            let platform = request.platform.as_deref().and_then(|platform| platform.split('/').nth(1));
            let architecture = match platform {
                Some(architecture) => architecture.to_owned(),
                None => self.engine.host().await?.architecture,
            };
            worker::find(request.worker.as_deref(), &architecture)?;
        }

        let payload = self.payload(request, Some(&place), follow, made).await?;
        let worker = worker::find(request.worker.as_deref(), &payload.architecture)?;
        let release = self.free_name(&place, &payload.id).await?;

        let (form, named) = if request.nested {
            follow.begin(Step::Save);
            self.nested(&payload.id, follow).await?
        } else {
            follow.begin(Step::PushPayload);
            let tag = format!("payload-{release}");
            self.tag(&payload.id, &repository.to_string(), &tag, made).await?;
            let digest = self.push(&place, &tag, follow).await?;
            let image = format!("{repository}@{digest}");
            (Form::Digest(image.clone()), image)
        };

        follow.begin(Step::Wrap);
        let tag = format!("{repository}:{release}");
        made.references.push(tag.clone());
        let label = if request.nested { "nested".to_owned() } else { named.clone() };
        let labels = [(LABEL_RELEASE, release.clone()), (LABEL_PAYLOAD, label)];
        let wrap = Wrap {
            worker,
            payload: form.payload(),
            labels: labels
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            tag,
        };
        self.engine.wrap(&wrap, |done, total| follow.at(done, total, Step::Wrap.words())).await?;

        follow.begin(Step::Push);
        let digest = self.push(&place, &release, follow).await?;
        match self.digest_of(&place, &release).await? {
            Some(there) if there == digest => {}
            there => {
                return Err(OperationError::Refused(format!(
                    "the registry has {} as {repository}:{release}, and {digest} was pushed; deploy again",
                    there.as_deref().unwrap_or("nothing")
                )));
            }
        }
        drop(form);
        Ok(Ready { place, release, digest, payload: named })
    }

    /// Builds the folder or finds the image.
    async fn payload(
        &self,
        request: &Request,
        place: Option<&Place>,
        follow: &mut Follow<'_>,
        made: &mut Made,
    ) -> Result<ImageInfo> {
        let id = match &request.source {
            Source::Folder(folder) => {
                follow.begin(Step::Build);
                let context = Context::of(folder)?;
                let tag = format!("shepard-deploy:{}", unique(self.clock.now_ms()));
                made.references.push(tag.clone());
                let logins = self.base_logins(&context).await;
                let build = Build {
                    context,
                    tag,
                    platform: request.platform.clone(),
                    no_cache: request.no_cache,
                    network: request.network.clone(),
                    args: request.build_args.clone(),
                    logins,
                };
                let mut tell = |at: &shepard_engine::BuildProgress| {
                    // The step that runs is not done yet.
                    follow.at(at.step.saturating_sub(1), at.steps, &at.line);
                };
                let id = self.engine.build(&build, &mut tell).await?;
                self.keep(folder, &id).await?;
                id
            }
            Source::Image(image) => {
                follow.begin(Step::Find);
                if let Some(found) = self.engine.image(image).await? {
                    found.id
                } else {
                    self.pull(image, place, follow).await?;
                    image.clone()
                }
            }
        };
        let found = self.engine.image(&id).await?;
        let found = found.ok_or_else(|| OperationError::NotFound(format!("the engine has no image {id}")))?;
        if let (Source::Image(image), Some(platform)) = (&request.source, &request.platform) {
            let own = format!("{}/{}", found.os, found.architecture);
            if !platform.starts_with(&own) {
                return Err(OperationError::Refused(format!(
                    "{image} is for {own} and not for {platform}; name an image that is"
                )));
            }
        }
        Ok(found)
    }

    async fn pull(&self, image: &str, place: Option<&Place>, follow: &mut Follow<'_>) -> Result<()> {
        let host = bases::host(image).unwrap_or("docker.io");
        let login = match place {
            Some(place) if place.repository.host == host => place.login.clone(),
            _ => self.registries.logins.login(host).await?,
        };
        let mut tell = |at: shepard_engine::Progress| {
            let note = match &at.layer {
                Some(layer) => format!("{layer}: {}", at.status),
                None => at.status.clone(),
            };
            follow.at(at.done.unwrap_or_default(), at.total.unwrap_or_default(), &note);
        };
        let login = login.map(of_engine);
        Ok(self.engine.pull(image, login.as_ref(), &mut tell).await?)
    }

    /// Logins to the registries of base images that the engine has not. One that cannot be had is the build's to report.
    async fn base_logins(&self, context: &Context) -> Vec<Login> {
        let path = context.folder().join(context.dockerfile());
        let text = tokio::fs::read(path).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut hosts = BTreeSet::new();
        for image in bases::bases(&text) {
            if let (Some(host), Ok(None)) = (bases::host(image), self.engine.image(image).await) {
                hosts.insert(host);
            }
        }
        let mut logins = Vec::new();
        for host in hosts {
            if let Ok(Some(login)) = self.registries.logins.login(host).await {
                logins.push(of_engine(login));
            }
        }
        logins
    }

    /// Gives the image of a folder a name of that folder, so that its steps are there for the next build.
    async fn keep(&self, folder: &std::path::Path, id: &str) -> Result<()> {
        use sha2::Digest as _;
        use std::os::unix::ffi::OsStrExt as _;
        let folder = folder.canonicalize().map_err(OperationError::io("read", folder))?;
        let hash = sha2::Sha256::digest(folder.as_os_str().as_bytes());
        let name: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Ok(self.engine.tag(id, &format!("shepard-payload/{name}"), LATEST).await?)
    }

    /// Saves a payload to a file that is removed with what this gives.
    async fn nested(&self, id: &str, follow: &mut Follow<'_>) -> Result<(Form, String)> {
        private_dir(&self.scratch)?;
        let file = tempfile::Builder::new()
            .prefix("payload-")
            .suffix(".tar")
            .tempfile_in(&self.scratch)
            .map_err(OperationError::io("write in", &self.scratch))?;
        let mut tell = |bytes| follow.at(bytes, 0, Step::Save.words());
        let config = self.engine.save(id, file.path(), &mut tell).await?;
        Ok((Form::Nested(file.into_temp_path(), config.clone()), config))
    }

    /// A name that no release has. Two deploys of one image in one second would have the same.
    async fn free_name(&self, place: &Place, id: &str) -> Result<String> {
        let mut at_ms = self.clock.now_ms();
        loop {
            let name = releases::name(at_ms, id);
            if self.digest_of(place, &name).await?.is_none() {
                return Ok(name);
            }
            at_ms += 1000;
        }
    }

    async fn digest_of(&self, place: &Place, tag: &str) -> Result<Option<String>> {
        let Place { repository, login } = place;
        let asked = self.registries.registry.digests(repository, login.as_ref(), &[tag.to_owned()]).await;
        Ok(asked.map_err(|error| place.explain(error))?.pop().flatten())
    }

    async fn tag(&self, id: &str, repository: &str, tag: &str, made: &mut Made) -> Result<()> {
        made.references.push(format!("{repository}:{tag}"));
        Ok(self.engine.tag(id, repository, tag).await?)
    }

    async fn push(&self, place: &Place, tag: &str, follow: &mut Follow<'_>) -> Result<String> {
        let login = place.login.clone().map(of_engine);
        let repository = place.repository.to_string();
        let mut tell = |at: shepard_engine::PushProgress| {
            let note = format!("{} of {} layers are there", at.layers_done, at.layers);
            follow.at(at.done, at.total, &note);
        };
        let pushed = self.engine.push(&repository, tag, login.as_ref(), &mut tell).await;
        pushed.map_err(|error| match error.kind {
            Kind::Denied => OperationError::Refused(format!("{error}; {}", place.advice())),
            _ => error.into(),
        })
    }
}

/// How the payload gets into the flock's image.
enum Form {
    Digest(String),
    /// The file goes with this value.
    Nested(tempfile::TempPath, String),
}

impl Form {
    fn payload(&self) -> WrapPayload {
        match self {
            Self::Digest(image) => WrapPayload::Digest(image.clone()),
            Self::Nested(file, id) => WrapPayload::Nested { tar: file.to_path_buf(), id: id.clone() },
        }
    }
}

/// The work, unless it is stopped before.
async fn until<T>(stop: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(OperationError::Refused(
            "the deploy was stopped; the flock runs what it ran before".into(),
        )),
        done = work => done,
    }
}

fn of_engine(login: shepard_cloud::images::Login) -> Login {
    Login { server: login.server, username: login.username, password: login.password }
}

/// A tag that no other deploy has, here or in another process.
fn unique(now_ms: i64) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{now_ms}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
