//! Releases: what was deployed, which of it runs, and going back to another.
//!
//! A repository keeps a release under a tag of the release's name. `latest` is a second name of one of them, and going
//! back is giving `latest` to another: nothing is pulled, built or pushed. The releases of a flock of this machine are
//! in the file `releases.json` of its folder.

pub(super) mod flock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use shepard_engine::Engine;

use super::deploy::{Registries, Target};
use super::error::{OperationError, Result};

/// The tag that a flock on AWS runs.
pub const LATEST: &str = "latest";
/// Releases that are listed, and that a flock of this machine remembers.
pub const LISTED: usize = 100;
/// Pages of tags that are read at most; a repository of ECR holds no more.
const PAGES: usize = 100;

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since the epoch, as its name says.
    pub at_ms: i64,
    /// Digest of the flock's image in a repository, id of the payload's image in a flock of this machine. None where
    /// the registry would not say.
    pub image: Option<String>,
    /// The flock runs this one.
    pub current: bool,
}

/// What going back did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// The release that runs now.
    pub release: Release,
    /// The image that ran before; None where there was none.
    pub before: Option<String>,
}

/// The newest releases, newest first, at most [`LISTED`] of them.
///
/// # Errors
/// The registry does not answer or lets nobody in; the flock's file cannot be read.
pub async fn list(target: &Target, registries: &Registries) -> Result<Vec<Release>> {
    let text = match target {
        Target::Flock(flock) => return flock::list(flock),
        Target::Repository(text) | Target::Aws { repository: text, .. } => text,
    };
    let place = registries.place(text).await?;
    let (repository, login) = (&place.repository, place.login.as_ref());
    let (mut found, mut from) = (Vec::new(), None);
    for _ in 0..PAGES {
        let page = registries.registry.tags(repository, login, from.as_deref()).await;
        let page = page.map_err(|error| place.explain(error))?;
        found.extend(page.items.into_iter().filter_map(|tag| Some((made_at_ms(&tag)?, tag))));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    found.dedup();
    found.truncate(LISTED);
    let mut tags = vec![LATEST.to_owned()];
    tags.extend(found.iter().map(|(_, tag)| tag.clone()));
    let digests = registries.registry.digests(repository, login, &tags).await;
    let mut digests = digests.map_err(|error| place.explain(error))?.into_iter();
    let latest = digests.next().flatten();
    let mut seen = false;
    let releases = found.into_iter().zip(digests).map(|((at_ms, name), image)| {
        // What was deployed twice runs as the newer of the two.
        let current = !seen && image.is_some() && image == latest;
        seen |= current;
        Release { name, at_ms, image, current }
    });
    Ok(releases.collect())
}

/// Goes back, or forward, to a release.
///
/// # Errors
/// There is no such release, or its image is gone. The flock runs what it ran before.
pub async fn roll_back(target: &Target, registries: &Registries, release: &str) -> Result<RolledBack> {
    let text = match target {
        Target::Flock(flock) => return flock::roll_back(flock, &Engine::connect(None).await?, release).await,
        Target::Repository(text) | Target::Aws { repository: text, .. } => text,
    };
    let Some(at_ms) = made_at_ms(release) else {
        return Err(OperationError::Usage(format!(
            "{release} is no release; `shepard releases list` names them"
        )));
    };
    let place = registries.place(text).await?;
    let (repository, login) = (&place.repository, place.login.as_ref());
    let asked = [release.to_owned(), LATEST.to_owned()];
    let digests = registries.registry.digests(repository, login, &asked).await;
    let digests = digests.map_err(|error| place.explain(error))?;
    let [there, before] = digests.as_slice() else {
        return Err(OperationError::Environment("the registry did not answer what it was asked".into()));
    };
    if there.is_none() {
        let releases = list(target, registries).await?;
        return Err(unknown(release, text, &releases));
    }
    let moved = registries.registry.retag(repository, login, release, LATEST).await;
    let moved = moved.map_err(|error| place.explain(error))?;
    let release = Release { name: release.to_owned(), at_ms, image: Some(moved), current: true };
    Ok(RolledBack { release, before: before.clone() })
}

/// There is no such release; these are the newest that there are.
fn unknown(release: &str, of: &str, releases: &[Release]) -> OperationError {
    let names: Vec<&str> = releases.iter().take(5).map(|release| release.name.as_str()).collect();
    let there = if names.is_empty() {
        "it has none; `shepard deploy` makes one".to_owned()
    } else {
        format!("the newest are {}", names.join(", "))
    };
    OperationError::NotFound(format!("{of} has no release {release}; {there}"))
}

/// Hexadecimal digits of an image at the end of a name.
const DIGITS: usize = 8;

/// The name of a release that is made now of this image: `20261121-093000-0a1b2c3d`, in UTC.
pub fn name(at_ms: i64, image: &str) -> String {
    let hex = image.rsplit(':').next().unwrap_or_default();
    let hex: String = hex.chars().filter(char::is_ascii_hexdigit).take(DIGITS).collect();
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default().to_zoned(TimeZone::UTC);
    format!("{}-{hex:0>DIGITS$}", at.strftime("%Y%m%d-%H%M%S"))
}

/// When a release was made, in milliseconds since the epoch; None for a tag that names no release.
pub fn made_at_ms(name: &str) -> Option<i64> {
    let (at, hex) = name.rsplit_once('-')?;
    let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    let (day, time) = at.split_once('-')?;
    let is_hex = hex.len() == DIGITS && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hex || !digits(day, 8) || !digits(time, 6) {
        return None;
    }
    let at = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", at).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_it_was_made_and_of_what() {
        let id = "sha256:0a1b2c3d4e5f";
        assert_eq!(name(1_795_252_200_123, id), "20261121-091000-0a1b2c3d");
        assert_eq!(made_at_ms("20261121-091000-0a1b2c3d"), Some(1_795_252_200_000));
        for other in [
            "latest",
            "payload-20261121-091000-0a1b2c3d",
            "20261121-091000-0a1b2c3",
            "20261121-091000-0A1B2C3D",
            "20261321-091000-0a1b2c3d",
            "20261121-096000-0a1b2c3d",
            "2026112-1091000-0a1b2c3d",
            "",
        ] {
            assert_eq!(made_at_ms(other), None, "{other}");
        }
    }
}
