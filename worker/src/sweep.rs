//! Removing what dead workers left: directories of jobs whose lock nobody holds.
//!
//! Only what a worker of this program began is looked at: it makes a lock's file before it makes a directory, and
//! removes it after. A name without such a file is somebody's data, `read_only` above all, and is never touched.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use shepard_cloud::ports::Ports;
use shepard_model::JobId;
use shepard_model::names::Filesystem;

use crate::locks::{self, Lock};
use crate::place::{self, Dirs, Place};

/// A filesystem that several hosts share is no place to be quick: a lock may be lost there with a connection while
/// its worker lives on.
const SHARED_AGE_MS: i64 = 24 * 3_600_000;

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Jobs whose directories it removed, by the filesystem's word.
    pub removed: Vec<(&'static str, JobId)>,
    /// What it could not remove, and why.
    pub left: Vec<String>,
}

/// Removes the directories that dead workers left on this host and on the filesystems that it shares with others;
/// on those, what is older than a day and whose row no worker holds.
///
/// A worker calls it when it starts and now and then while it runs: it waits for nobody, and several may run at
/// once. Whatever fails is said and left for the next.
pub async fn sweep(ports: &Ports, place: &Place) -> Swept {
    let mut swept = Swept::default();
    let bases = [
        (Filesystem::Root, Some(&place.root)),
        (Filesystem::Efs, place.efs.as_ref()),
        (Filesystem::Lustre, place.lustre.as_ref()),
    ];
    for (filesystem, base) in bases {
        let Some(base) = base else { continue };
        for (id, file) in left_in(base).await {
            let Some(dirs) = place.dirs(&id).into_iter().find(|dirs| dirs.filesystem == filesystem) else {
                continue;
            };
            if filesystem != Filesystem::Root && !is_abandoned(ports, &id, &file).await {
                continue;
            }
            let what = filesystem.word();
            match tokio::task::spawn_blocking(move || remove(file, &dirs)).await {
                Ok(Ok(true)) => swept.removed.push((what, id)),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => swept.left.push(format!("the directory of job {id} on {what}: {error}")),
                Err(error) => swept.left.push(format!("the directory of job {id} on {what}: {error}")),
            }
        }
    }
    swept
}

/// The locks that lie about in a base, held or not.
async fn left_in(base: &Path) -> Vec<(JobId, PathBuf)> {
    let folder = locks::folder(base);
    let list = move || {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let id = |name: &str| JobId::parse(name.strip_suffix(".lock")?);
        let named =
            entries.flatten().filter_map(|entry| Some((id(entry.file_name().to_str()?)?, entry.path())));
        named.filter(|(id, _)| id.as_str() != place::READ_ONLY).collect()
    };
    tokio::task::spawn_blocking(list).await.unwrap_or_default()
}

/// Old enough, and no worker has the row.
async fn is_abandoned(ports: &Ports, id: &JobId, file: &Path) -> bool {
    let now_ms = ports.clock.now_ms();
    let Ok(found) = tokio::fs::metadata(file).await else { return false };
    let since = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let Some(taken_ms) = since.and_then(|since| i64::try_from(since.as_millis()).ok()) else { return false };
    if now_ms - taken_ms < SHARED_AGE_MS {
        return false;
    }
    match ports.table.get(id).await {
        Ok(row) => row.is_none_or(|row| row.claim.is_none() || row.lease_until_ms < now_ms),
        Err(_) => false,
    }
}

/// Removes a job's directory if nobody holds its lock, and the lock's file last. False where somebody does.
fn remove(file: PathBuf, dirs: &Dirs) -> std::io::Result<bool> {
    // Held meanwhile: an attempt that begins now waits until everything is gone.
    let Some(lock) = Lock::take_at(file)? else { return Ok(false) };
    place::remove(dirs)?;
    lock.remove();
    Ok(true)
}
