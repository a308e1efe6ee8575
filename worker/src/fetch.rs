//! Input and quick-deploy code into the job's directories.
//!
//! What fails here ends the job, so every error is a sentence for its row. It may name objects and files, never
//! what they hold.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use shepard_cloud::error::{CloudError, Kind};
use shepard_cloud::ports::Ports;
use shepard_model::ObjectRef;

use crate::archive::is_full;
use crate::place::{Dirs, confined, fetched_to};
use crate::row::{Patience, patiently};

/// A sentence for the row: what could not be done, to what, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

impl Trouble {
    /// A port's error while something was done.
    pub fn cloud(doing: &str, error: &CloudError) -> Self {
        if error.kind == Kind::Full { Self::full(doing) } else { Self(format!("{error} (while {doing})")) }
    }

    /// The system's error while something was done.
    pub fn io(doing: &str, error: &io::Error) -> Self {
        if is_full(error) { Self::full(doing) } else { Self(format!("{error} (while {doing})")) }
    }

    /// The disk is full.
    pub fn full(doing: &str) -> Self {
        Self(format!("no space left on the device while {doing}"))
    }
}

/// Copies the input object to where the payload looks for it; gives its size in bytes.
///
/// # Errors
/// A key that cannot be a path, the store's errors, the disk's.
pub async fn input(ports: &Ports, object: &ObjectRef, dirs: &[Dirs]) -> Result<u64, Trouble> {
    let doing = format!("fetching the input {object}");
    let mut to = Vec::new();
    for dirs in fetched_to(dirs) {
        let path = confined(&dirs.input, &object.key)
            .map_err(|error| Trouble(format!("the input's key cannot be a file of the job: {error}")))?;
        to.push(path);
    }
    copy_out(ports, object, &to, &doing).await
}

/// Copies the quick-deploy folder to where the payload looks for it, and makes sure that it can be run.
///
/// # Errors
/// A folder without `run.sh`, names that cannot be paths, the store's errors, the disk's.
pub async fn quick_deploy(ports: &Ports, folder: &str, dirs: &[Dirs]) -> Result<u64, Trouble> {
    let doing = format!("fetching the quick-deploy folder '{folder}'");
    let bucket = &ports.buckets.quick_deploy;
    let prefix = format!("{folder}/");
    let mut homes = Vec::new();
    for dirs in fetched_to(dirs) {
        let home = confined(&dirs.input, folder).map_err(|error| {
            Trouble(format!("the quick-deploy folder cannot be a folder of the job: {error}"))
        })?;
        homes.push(home);
    }
    let (mut from, mut files, mut runnable) = (None::<String>, 0, false);
    loop {
        let page = patiently(ports.clock.as_ref(), Patience::Ordinary, || {
            ports.objects.list(bucket, &prefix, from.as_deref())
        })
        .await
        .map_err(|error| Trouble::cloud(&doing, &error))?;
        for found in page.items {
            let object = found.object;
            // A key that ends in `/` stands for a folder, as storage consoles make them.
            let Some(name) = object.key.strip_prefix(&prefix).filter(|name| !name.ends_with('/')) else {
                continue;
            };
            if name.is_empty() {
                continue;
            }
            let to: Result<Vec<PathBuf>, _> = homes.iter().map(|home| confined(home, name)).collect();
            let to = to.map_err(|error| {
                Trouble(format!("an object of the quick-deploy folder cannot be a file of the job: {error}"))
            })?;
            runnable |= name == "run.sh";
            copy_out(ports, &object, &to, &doing).await?;
            files += 1;
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    if runnable {
        Ok(files)
    } else if files == 0 {
        Err(Trouble(format!(
            "there is no quick-deploy folder '{folder}': the bucket {bucket} has nothing under it"
        )))
    } else {
        Err(Trouble(format!("the quick-deploy folder '{folder}' holds no run.sh")))
    }
}

/// Downloads an object to the first of the paths and copies it to the others.
async fn copy_out(ports: &Ports, object: &ObjectRef, to: &[PathBuf], doing: &str) -> Result<u64, Trouble> {
    let trouble = |error: io::Error| Trouble::io(doing, &error);
    let Some((first, others)) = to.split_first() else { return Ok(0) };
    for path in to {
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(trouble)?;
        }
        if tokio::fs::symlink_metadata(path).await.is_ok() {
            return Err(Trouble(format!("two files of the job want to be {:?}", object.key)));
        }
    }
    let size = patiently(ports.clock.as_ref(), Patience::Ordinary, || async {
        // What a broken download left would stand in the way of the next.
        match tokio::fs::remove_file(first).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(CloudError::io("remove", first.display().to_string(), error));
            }
            _ => {}
        }
        ports.objects.download(object, first).await
    })
    .await
    .map_err(|error| Trouble::cloud(doing, &error))?;
    for other in others {
        tokio::fs::copy(first, other).await.map_err(trouble)?;
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_called_that() {
        let full = || io::Error::from(ErrorKind::StorageFull);
        let said = "no space left on the device while zipping";
        assert_eq!(Trouble::io("zipping", &full()).0, said);
        assert_eq!(Trouble::cloud("zipping", &CloudError::io("write", "x", full())).0, said);
        assert_eq!(
            Trouble::cloud("zipping", &CloudError::new("read", "a/b", Kind::Denied)).0,
            "cannot read a/b: not allowed (while zipping)"
        );
    }
}
