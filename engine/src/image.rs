//! What an engine has of images, and how it gets one: out of a file, or from a registry.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::{ImageInspect, ProgressDetail};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ImportImageOptionsBuilder, ListImagesOptionsBuilder,
    RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio_util::codec::{BytesCodec, FramedRead};

use crate::connect::Engine;
use crate::error::{EngineError, Kind, Result};

/// Seconds until an engine has to say something of an image that it loads: it unpacks the whole of it first.
const LOAD_PATIENCE_S: u64 = 3600;
/// Bytes that are read of a file at once.
const PIECE: usize = 256 * 1024;

/// What an engine says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageInfo {
    /// `sha256:…`. The digest of its configuration, or with some engines that of its manifest.
    pub id: String,
    /// `linux`.
    pub os: String,
    /// As the Go tool names it: `amd64`, `arm64`. Empty where the image does not say.
    pub architecture: String,
    /// `USER`: a name or a number, with or without `:group`. Empty is root.
    pub user: String,
    /// `ENTRYPOINT`; empty where there is none.
    pub entrypoint: Vec<String>,
    /// `CMD`; empty where there is none.
    pub cmd: Vec<String>,
    /// `WORKDIR`; empty is `/`.
    pub working_dir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `REPO@sha256:…` of every registry it is known to come from or to be in.
    pub repo_digests: Vec<String>,
    /// `STOPSIGNAL`, where it names one.
    pub stop_signal: Option<String>,
}

/// A registry's user. Its password is in no output of this type.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Host of the registry, as in the reference.
    pub server: String,
    /// The user: `AWS` for ECR.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Login {
    pub(crate) fn credentials(&self) -> DockerCredentials {
        DockerCredentials {
            username: Some(self.username.clone()),
            password: Some(self.password.clone()),
            serveraddress: Some(self.server.clone()),
            ..DockerCredentials::default()
        }
    }
}

/// A step of something long, in the engine's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Which layer, where it is about one.
    pub layer: Option<String>,
    /// What happens: `Downloading`.
    pub status: String,
    /// Bytes done.
    pub done: Option<u64>,
    /// Bytes there are.
    pub total: Option<u64>,
}

impl Progress {
    pub(crate) fn new(layer: Option<String>, status: String, detail: Option<&ProgressDetail>) -> Self {
        let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        Self {
            layer,
            status,
            done: bytes(detail.and_then(|detail| detail.current)),
            total: bytes(detail.and_then(|detail| detail.total)).filter(|total| *total > 0),
        }
    }
}

/// A tag of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// `REPO:TAG`.
    pub reference: String,
    /// The image's id.
    pub id: String,
    /// When the image was built, in seconds since the epoch.
    pub built_s: i64,
}

impl Engine {
    /// What there is under a reference: a tag, a digest, or an id. None where there is nothing.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn image(&self, reference: &str) -> Result<Option<ImageInfo>> {
        match self.docker.inspect_image(reference).await {
            Ok(seen) => Ok(Some(info(seen))),
            Err(error) => match EngineError::of("inspect the image", reference, &error) {
                error if error.kind == Kind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Loads the images of a file that `docker save` or a tool like it made. The file is streamed, never held. Gives
    /// what was loaded in the engine's words: references and ids, in its order.
    ///
    /// # Errors
    /// The file cannot be read, is no such archive, or the engine's disk is full.
    pub async fn load(
        &self,
        file: &Path,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Vec<String>> {
        const DOING: &str = "load the image";
        let target = file.display().to_string();
        let opened = tokio::fs::File::open(file).await;
        let opened =
            opened.map_err(|error| EngineError::new(DOING, &*target, Kind::Invalid, error.to_string()))?;
        let pieces =
            FramedRead::with_capacity(opened, BytesCodec::new(), PIECE).map_ok(bytes::BytesMut::freeze);
        let docker = self.docker.clone().with_timeout(Duration::from_secs(LOAD_PATIENCE_S));
        // Not quiet: a quiet engine begins its answer only when all is done.
        let options = ImportImageOptionsBuilder::default().quiet(false).build();
        let mut answers = Box::pin(docker.import_image(options, bollard::body_try_stream(pieces), None));
        let mut loaded = Vec::new();
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|error| EngineError::of(DOING, &*target, &error))?;
            if let Some(said) = answer.stream {
                let names = said.lines().filter_map(|line| {
                    line.strip_prefix("Loaded image: ").or_else(|| line.strip_prefix("Loaded image ID: "))
                });
                loaded.extend(names.map(|name| name.trim().to_owned()));
            }
            if let Some(status) = answer.status {
                progress(Progress::new(answer.id, status, answer.progress_detail.as_ref()));
            }
        }
        if loaded.is_empty() {
            let said = "the engine found no image in it: it has to be an archive as docker save writes it";
            return Err(EngineError::new(DOING, target, Kind::Invalid, said));
        }
        Ok(loaded)
    }

    /// Pulls an image by digest (`REPO@sha256:…`) or tag.
    ///
    /// # Errors
    /// `Denied` where the registry lets nobody in, `NotFound` where it has no such image, `Full`, `Busy`.
    pub async fn pull(
        &self,
        reference: &str,
        login: Option<&Login>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<()> {
        let (repository, tag) = split(reference);
        let options = CreateImageOptionsBuilder::default().from_image(repository).tag(tag).build();
        let docker = self.docker.clone().with_timeout(Duration::from_secs(LOAD_PATIENCE_S));
        let mut answers = Box::pin(docker.create_image(Some(options), None, login.map(Login::credentials)));
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|error| EngineError::of("pull the image", reference, &error))?;
            if let Some(status) = answer.status {
                progress(Progress::new(answer.id, status, answer.progress_detail.as_ref()));
            }
        }
        Ok(())
    }

    /// Gives an image one more name.
    ///
    /// # Errors
    /// There is no such image, or the name cannot be one.
    pub async fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<()> {
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        let done = self.docker.tag_image(image, Some(options)).await;
        done.map_err(|error| EngineError::of("tag the image", image, &error))
    }

    /// Removes a name of an image, and the image with its last one. What a container uses stays: never forced. No error
    /// where there is none.
    ///
    /// # Errors
    /// `Conflict` where a container uses it.
    pub async fn remove_image(&self, reference: &str) -> Result<()> {
        let options = RemoveImageOptionsBuilder::default().force(false).build();
        let docker = self.docker.clone().with_timeout(Duration::from_secs(LOAD_PATIENCE_S));
        match docker.remove_image(reference, Some(options), None).await {
            Ok(_) => Ok(()),
            Err(error) => match EngineError::of("remove the image", reference, &error) {
                error if error.kind == Kind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }

    /// The tags of a repository that the engine has.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn tags(&self, repository: &str) -> Result<Vec<Tagged>> {
        let filters = HashMap::from([("reference", vec![repository])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let seen = self.docker.list_images(Some(options)).await;
        let seen = seen.map_err(|error| EngineError::of("list the images of", repository, &error))?;
        let tags = seen.into_iter().flat_map(|image| {
            let (id, built_s) = (image.id, image.created);
            image.repo_tags.into_iter().map(move |reference| Tagged { reference, id: id.clone(), built_s })
        });
        Ok(tags.filter(|tagged| split(&tagged.reference).0 == repository).collect())
    }
}

fn info(seen: ImageInspect) -> ImageInfo {
    let config = seen.config.unwrap_or_default();
    ImageInfo {
        id: seen.id.unwrap_or_default(),
        os: seen.os.unwrap_or_default(),
        architecture: seen.architecture.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        repo_digests: seen.repo_digests.unwrap_or_default(),
        stop_signal: config.stop_signal.filter(|signal| !signal.is_empty()),
    }
}

/// A reference in the two parts that the engine takes: without a tag it would pull every one there is.
fn split(reference: &str) -> (&str, &str) {
    if let Some((repository, digest)) = reference.split_once('@') {
        return (repository, digest);
    }
    // A colon before a slash is a registry's port.
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_have_two_parts() {
        for (reference, parts) in [
            ("a", ("a", "latest")),
            ("a:b", ("a", "b")),
            ("localhost:5000/a", ("localhost:5000/a", "latest")),
            ("localhost:5000/a:b", ("localhost:5000/a", "b")),
            ("localhost:5000/a@sha256:12", ("localhost:5000/a", "sha256:12")),
        ] {
            assert_eq!(split(reference), parts);
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = Login { server: "r".into(), username: "AWS".into(), password: "hush".into() };
        assert!(!format!("{login:?}").contains("hush"));
    }
}
