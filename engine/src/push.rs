//! Pushing an image to a registry.
//!
//! The engine sends the layers; the password goes to it in a header of the one request and nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::PushImageInfo;
use bollard::query_parameters::PushImageOptionsBuilder;
use futures_util::StreamExt as _;

use crate::connect::Engine;
use crate::error::{EngineError, Kind, Result};
use crate::image::Login;

/// An engine answers at once and goes on answering; this is for one that hangs.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
const DOING: &str = "push the image";

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushProgress {
    /// Bytes sent of the layers that have begun.
    pub done: u64,
    /// Bytes of those.
    pub total: u64,
    /// Layers that the registry has, of before or by now.
    pub layers_done: u64,
    /// Layers there are.
    pub layers: u64,
}

impl Engine {
    /// Pushes `repository:tag`, which the engine has, and gives the digest that the registry has it by.
    ///
    /// # Errors
    /// `Denied` where the registry lets nobody push there, `NotFound` where the engine has no such image or the registry no
    /// such repository, `Busy` where it cannot be reached.
    pub async fn push(
        &self,
        repository: &str,
        tag: &str,
        login: Option<&Login>,
        progress: &mut (dyn FnMut(PushProgress) + Send),
    ) -> Result<String> {
        let target = format!("{repository}:{tag}");
        let docker = self.docker.clone().with_timeout(PATIENCE);
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let mut said = docker.push_image(repository, Some(options), login.map(Login::credentials));
        let mut seen = Seen::default();
        while let Some(line) = said.next().await {
            let line = line.map_err(|error| EngineError::of(DOING, target.clone(), &error))?;
            if seen.take(&line) {
                progress(seen.progress());
            }
        }
        let missing = "the engine ended the push without saying what the registry has it by";
        seen.digest.ok_or_else(|| EngineError::new(DOING, target, Kind::Other, missing))
    }
}

/// What a push has said so far.
///
/// The lines do not say which layer they are about, so layers are told apart by their sizes: where two have the same, the
/// bytes of one are not counted.
#[derive(Debug, Default)]
struct Seen {
    layers: u64,
    layers_done: u64,
    bytes: BTreeMap<u64, u64>,
    digest: Option<String>,
}

impl Seen {
    /// Takes a line; true where it says something new of how far it is.
    fn take(&mut self, said: &PushImageInfo) -> bool {
        let Some(status) = said.status.as_deref() else { return false };
        let bytes = said.progress_detail.as_ref().and_then(|detail| {
            let total = u64::try_from(detail.total?).ok().filter(|total| *total > 0)?;
            Some((u64::try_from(detail.current?).ok()?, total))
        });
        match status {
            "Preparing" => self.layers += 1,
            "Pushed" | "Layer already exists" => self.layers_done += 1,
            "Pushing" => match bytes {
                Some((done, total)) => {
                    let most = self.bytes.entry(total).or_default();
                    *most = (*most).max(done.min(total));
                }
                None => return false,
            },
            mounted if mounted.starts_with("Mounted from") => self.layers_done += 1,
            other => {
                self.digest = digest(other).or(self.digest.take());
                return false;
            }
        }
        true
    }

    fn progress(&self) -> PushProgress {
        PushProgress {
            done: self.bytes.values().sum(),
            total: self.bytes.keys().sum(),
            layers_done: self.layers_done.min(self.layers),
            layers: self.layers,
        }
    }
}

/// `latest: digest: sha256:… size: 1234`
fn digest(status: &str) -> Option<String> {
    let (_, rest) = status.split_once("digest: ")?;
    let digest = rest.split_whitespace().next()?;
    digest.starts_with("sha256:").then(|| digest.to_owned())
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn said(status: &str, bytes: Option<(i64, i64)>) -> PushImageInfo {
        let progress_detail =
            bytes.map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) });
        PushImageInfo { status: Some(status.to_owned()), progress_detail, ..PushImageInfo::default() }
    }

    #[test]
    fn the_bytes_of_all_layers_are_added_up() {
        let mut seen = Seen::default();
        for _ in 0..3 {
            assert!(seen.take(&said("Preparing", None)));
        }
        assert!(!seen.take(&said("The push refers to repository [r/x]", None)));
        for (status, bytes) in [
            ("Layer already exists", None),
            ("Pushing", Some((10, 100))),
            ("Pushing", Some((5, 50))),
            ("Pushing", Some((60, 50))),
            ("Pushing", Some((40, 100))),
        ] {
            assert!(seen.take(&said(status, bytes)));
        }
        assert!(!seen.take(&said("Pushing", None)));
        assert_eq!(seen.progress(), PushProgress { done: 90, total: 150, layers_done: 1, layers: 3 });
        seen.take(&said("Pushed", None));
        seen.take(&said("Mounted from other", None));
        assert_eq!(seen.progress().layers_done, 3);
        assert_eq!(seen.digest, None);
        seen.take(&said("r-1: digest: sha256:abc size: 528", None));
        seen.take(&said("something else", None));
        assert_eq!(seen.digest.as_deref(), Some("sha256:abc"));
    }
}
