//! The releases of a flock of this machine: the file `releases.json` in its folder.
//!
//! Which one runs is said by the flock's settings and by nothing else; the file only remembers. Each release's image has
//! a name of its own, so that no clean-up of the engine takes it for one that nobody needs.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shepard_cloud::local::FlockDir;
use shepard_cloud::local::home::write_atomically;
use shepard_engine::Engine;

use super::super::error::{OperationError, Result};
use super::{LISTED, Release, RolledBack, made_at_ms, name};
use crate::local::lock::Held;

/// Repository of the names that keep images.
const KEPT: &str = "shepard-flock";

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    name: String,
    image: String,
}

fn file(flock: &FlockDir) -> PathBuf {
    flock.path().join("releases.json")
}

/// Nobody else changes what a flock runs while this is held.
async fn lock(flock: &FlockDir) -> Result<Held> {
    let path = flock.path().join("releases.lock");
    Held::take(&path).await.map_err(OperationError::io("lock", &path))
}

/// The lines, newest first.
fn read(flock: &FlockDir) -> Result<Vec<Line>> {
    let path = file(flock);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| OperationError::Environment(format!("cannot read {}: {error}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(OperationError::io("read", &path)(error)),
    }
}

fn write(flock: &FlockDir, lines: &[Line]) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(lines)
        .map_err(|error| OperationError::Environment(format!("cannot write the releases: {error}")))?;
    text.push(b'\n');
    Ok(write_atomically(&file(flock), &text)?)
}

fn kept(flock: &FlockDir, release: &str) -> String {
    format!("{release}-{}", flock.name())
}

/// Makes the flock run an image from now on, as a release of about this name; gives the name it got.
pub(in super::super) async fn add(
    flock: &FlockDir,
    engine: &Engine,
    wanted: &str,
    image: &str,
) -> Result<String> {
    let _held = lock(flock).await?;
    let mut lines = read(flock)?;
    let mut release = wanted.to_owned();
    let mut at_ms = made_at_ms(wanted).unwrap_or_default();
    while lines.iter().any(|line| line.name == release) {
        at_ms += 1000;
        release = name(at_ms, image);
    }
    engine.tag(image, KEPT, &kept(flock, &release)).await?;
    lines.insert(0, Line { name: release.clone(), image: image.to_owned() });
    // By the second in their names; of two of one second the later stays before the earlier.
    lines.sort_by_key(|line| std::cmp::Reverse(made_at_ms(&line.name)));
    let forgotten = lines.split_off(lines.len().min(LISTED));
    // The file first: a release that does not run yet can be gone back to, one that nobody remembers cannot.
    write(flock, &lines)?;
    switch(flock, image)?;
    for line in forgotten {
        if let Err(error) = engine.remove_image(&format!("{KEPT}:{}", kept(flock, &line.name))).await {
            tracing::warn!(%error, "an old release's image stays");
        }
    }
    Ok(release)
}

fn switch(flock: &FlockDir, image: &str) -> Result<Option<String>> {
    let mut settings = flock.settings()?;
    let before = settings.image.replace(image.to_owned());
    flock.write_settings(&settings)?;
    Ok(before)
}

/// The releases, newest first.
pub(super) fn list(flock: &FlockDir) -> Result<Vec<Release>> {
    let image = flock.settings()?.image;
    let mut found = false;
    let lines = read(flock)?;
    let releases = lines.into_iter().filter_map(|line| {
        let at_ms = made_at_ms(&line.name)?;
        // An image that was deployed twice runs as the newer of the two.
        let current = !found && image.as_ref() == Some(&line.image);
        found |= current;
        Some(Release { name: line.name, at_ms, image: Some(line.image), current })
    });
    Ok(releases.collect())
}

/// Makes the flock run an earlier release.
pub(super) async fn roll_back(flock: &FlockDir, engine: &Engine, release: &str) -> Result<RolledBack> {
    let _held = lock(flock).await?;
    let releases = list(flock)?;
    let Some(found) = releases.iter().find(|known| known.name == release) else {
        return Err(super::unknown(release, flock.name(), &releases));
    };
    let image = found.image.clone().unwrap_or_default();
    if engine.image(&image).await?.is_none() {
        return Err(OperationError::NotFound(format!(
            "the engine no longer has the image {image} of the release {release}; deploy it again"
        )));
    }
    let before = switch(flock, &image)?;
    Ok(RolledBack { release: Release { current: true, ..found.clone() }, before })
}
