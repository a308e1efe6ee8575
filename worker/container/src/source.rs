//! Where the image of a payload comes from: the flock's own image, a registry, or the engine itself.

use std::fs::File;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use shepard_cloud::ports::{Clock, LogSource};
use shepard_engine::{Engine, ImageInfo, Kind, Login, Progress};
use shepard_worker::{Line, PayloadError};
use tokio::sync::mpsc;

use crate::saved::{self, Saved};
use crate::trouble::{self, During};

/// Repository under which images out of archives are kept, by the digest of their configuration.
pub const REPOSITORY: &str = "shepard/payload";
/// How many of them a host keeps.
const KEPT: usize = 3;
/// How often a pull is tried that fails for a reason that may pass.
const PULLS: u32 = 3;
/// Milliseconds before the second try; each further one waits twice as long.
const PAUSE_MS: u64 = 1_000;
/// Milliseconds between two looks at whether another worker has loaded the image.
const LOOK_MS: u64 = 200;

/// The image of a flock's payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// An archive in the flock's own image. Loaded where the engine does not have it yet.
    Nested {
        /// The archive.
        tar: PathBuf,
        /// `sha256:<hex>` of the image's configuration, where it is known; else the archive is asked.
        id: Option<String>,
    },
    /// In a registry, `REPO@sha256:<hex>`. Pulled where the engine does not have it yet.
    Digest {
        /// The reference.
        reference: String,
    },
    /// In the engine, by id or name. It has to be there.
    Present {
        /// The reference.
        reference: String,
    },
}

impl Image {
    /// What a person recognises it by: `sha256:` and the first digits, or the name.
    pub fn short(&self) -> String {
        let digits = |hex: &str| format!("sha256:{}", hex.chars().take(12).collect::<String>());
        match self {
            Self::Nested { id: Some(id), .. } => digits(id.trim_start_matches("sha256:")),
            Self::Nested { tar, id: None } => tar.display().to_string(),
            Self::Digest { reference } | Self::Present { reference } => {
                match reference.rsplit_once("sha256:") {
                    Some((_, hex)) => digits(hex),
                    None => reference.clone(),
                }
            }
        }
    }

    /// The same, with the id that the archive says where it was not known.
    ///
    /// # Errors
    /// The archive cannot be read: `Refused`, since the next attempt has the same one.
    pub fn resolved(self) -> Result<Self, PayloadError> {
        match self {
            Self::Nested { tar, id: None } => {
                let saved = saved::read(&tar).map_err(|error| PayloadError::Refused(error.to_string()))?;
                Ok(Self::Nested { tar, id: Some(format!("sha256:{}", saved.digest)) })
            }
            known => Ok(known),
        }
    }
}

/// Who can get a login at a registry.
#[async_trait]
pub trait Logins: Send + Sync {
    /// A login for pulling `reference`; None where the registry asks for none. An error is a sentence.
    async fn login(&self, reference: &str) -> Result<Option<Login>, String>;
}

/// What has to be known to fetch an image.
pub(crate) struct Fetch<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) logins: Option<&'a dyn Logins>,
    /// Folder of the host that every worker on it shares, for the lock of loads.
    pub(crate) shared: &'a Path,
    /// Where it is said what takes a while.
    pub(crate) lines: &'a mpsc::Sender<Line>,
}

impl Fetch<'_> {
    /// The image, in the engine.
    pub(crate) async fn get(&self, image: &Image) -> Result<ImageInfo, PayloadError> {
        match image.clone().resolved()? {
            Image::Nested { tar, id } => {
                let hex = id.unwrap_or_default();
                self.nested(&tar, hex.trim_start_matches("sha256:")).await
            }
            Image::Digest { reference } => self.digest(&reference).await,
            Image::Present { reference } => match self.seen(&reference).await? {
                Some(info) => Ok(info),
                None => Err(PayloadError::Refused(format!(
                    "the Docker engine has no image {reference}: deploy the flock again, or load the image"
                ))),
            },
        }
    }

    async fn say(&self, text: String) {
        // Nobody listening is no reason not to go on.
        let _ = self.lines.send(Line { source: LogSource::Worker, text }).await;
    }

    async fn seen(&self, reference: &str) -> Result<Option<ImageInfo>, PayloadError> {
        self.engine.image(reference).await.map_err(|error| trouble::of(&error, During::Engine))
    }

    async fn nested(&self, tar: &Path, hex: &str) -> Result<ImageInfo, PayloadError> {
        let name = format!("{REPOSITORY}:{hex}");
        if let Some(info) = self.seen(&name).await? {
            return Ok(info);
        }
        // Loading moves the name in the archive, and twice the same is twice the disk: one worker of a host at a time.
        let lock = self.lock().await;
        if lock.is_some()
            && let Some(info) = self.seen(&name).await?
        {
            return Ok(info);
        }
        let of_load = |error| trouble::of(&error, During::Load);
        // The same image may be there under another name: the one it was built under.
        let by_id = format!("sha256:{hex}");
        let info = match self.seen(&by_id).await? {
            Some(info) => info,
            None => {
                let Saved { reference, digest } =
                    saved::read(tar).map_err(|error| PayloadError::Refused(error.to_string()))?;
                if digest != hex {
                    return Err(PayloadError::Refused(format!(
                        "{} holds the image {}, and the flock's image names {}: deploy the flock again",
                        tar.display(),
                        short_of(&digest),
                        short_of(hex)
                    )));
                }
                self.say(format!(
                    "loading the payload's image {}, which this host does not have",
                    short_of(hex)
                ))
                .await;
                let loaded = self.engine.load(tar, &mut |_| {}).await.map_err(of_load)?;
                self.say(format!("loaded the payload's image {}", short_of(hex))).await;
                // Some engines number images otherwise than by their configuration.
                let mut info = self.seen(&by_id).await?;
                for name in loaded.iter().chain(&reference) {
                    if info.is_none() {
                        info = self.seen(name).await?;
                    }
                }
                info.ok_or_else(|| {
                    PayloadError::Passing(format!("the image loaded from {} is not there", tar.display()))
                })?
            }
        };
        self.engine.tag(&info.id, REPOSITORY, hex).await.map_err(of_load)?;
        self.prune(&name).await;
        drop(lock);
        Ok(info)
    }

    /// Lets go of all but the newest of the images that were loaded. What a container uses stays.
    async fn prune(&self, current: &str) {
        let mut tags = match self.engine.tags(REPOSITORY).await {
            Ok(tags) => tags,
            Err(error) => return tracing::warn!(%error, "old payload images are not removed"),
        };
        tags.sort_by_key(|tagged| (tagged.reference != current, std::cmp::Reverse(tagged.built_s)));
        for old in tags.into_iter().skip(KEPT) {
            if let Err(error) = self.engine.remove_image(&old.reference).await {
                tracing::debug!(%error, "an old payload image stays");
            }
        }
    }

    /// Held by the one worker of this host that loads. None where there can be no lock: loading twice is harmless.
    async fn lock(&self) -> Option<File> {
        let dir = self.shared.join(".shepard");
        let path = dir.join("loading");
        let open = || {
            std::fs::create_dir_all(&dir)?;
            File::options().create(true).truncate(false).write(true).open(&path)
        };
        let file = open().inspect_err(|error| tracing::warn!(%error, "no lock for loading images")).ok()?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Some(file),
                Err(rustix::io::Errno::WOULDBLOCK) => self.clock.sleep_ms(LOOK_MS).await,
                Err(error) => {
                    tracing::warn!(%error, "no lock for loading images");
                    return None;
                }
            }
        }
    }

    async fn digest(&self, reference: &str) -> Result<ImageInfo, PayloadError> {
        if let Some(info) = self.seen(reference).await? {
            return Ok(info);
        }
        let login = match self.logins {
            Some(logins) => logins.login(reference).await.map_err(|said| {
                PayloadError::Passing(format!("no login for pulling the image {reference}: {said}"))
            })?,
            None => None,
        };
        self.say(format!("pulling the payload's image {reference}, which this host does not have")).await;
        let mut pause_ms = PAUSE_MS;
        for left in (0..PULLS).rev() {
            match self.engine.pull(reference, login.as_ref(), &mut |_: Progress| {}).await {
                Ok(()) => break,
                Err(error) if left > 0 && matches!(error.kind, Kind::Busy | Kind::Other) => {
                    tracing::warn!(%error, "the pull is tried again");
                    self.clock.sleep_ms(pause_ms).await;
                    pause_ms *= 2;
                }
                Err(error) => return Err(trouble::of(&error, During::Pull)),
            }
        }
        let info = self.seen(reference).await?.ok_or_else(|| {
            PayloadError::Passing(format!("the image {reference} was pulled and is not there"))
        })?;
        self.say(format!("pulled the payload's image {reference}")).await;
        Ok(info)
    }
}

fn short_of(hex: &str) -> String {
    format!("sha256:{}", hex.chars().take(12).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_recognised_by_a_few_digits() {
        let hex = "0123456789abcdef".repeat(4);
        let short = "sha256:0123456789ab";
        let digest = Image::Digest { reference: format!("localhost:5000/a@sha256:{hex}") };
        let nested = Image::Nested { tar: "/payload.tar".into(), id: Some(format!("sha256:{hex}")) };
        assert_eq!((digest.short(), nested.short()), (short.into(), short.into()));
        assert_eq!(Image::Present { reference: format!("sha256:{hex}") }.short(), short);
        assert_eq!(Image::Present { reference: "busybox:local".into() }.short(), "busybox:local");
    }
}
