//! Bringing results here: the rule of `s3 sync`, file by file, each whole or not at all.
//!
//! A file is fetched where there is none, where its size differs, or where the local one is newer than the object
//! (docs/json.md#retrieve); afterwards it carries the object's time. What is under way has a name of its own and
//! becomes the file in one step. A fetch that was broken off goes on where it stopped. No key leads out of the
//! directory, whatever it contains. Nothing local is ever deleted.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use shepard_cloud::Ports;
use shepard_cloud::ports::{ObjectMeta, Range};
use shepard_model::{JobId, ObjectRef};
use tokio::io::AsyncWriteExt as _;

use super::error::{OperationError, Result};
use super::jobs;

/// Bytes asked for at a time.
const CHUNK: u64 = 8 * 1024 * 1024;

/// How far a retrieval is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Objects looked at.
    pub seen: AtomicU64,
    /// Files written.
    pub files: AtomicU64,
    /// Bytes written.
    pub bytes: AtomicU64,
}

/// What became of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was fetched.
    Fetched,
    /// It was here already.
    Current,
    /// It could not be fetched; the others were.
    Failed,
}

/// One object and its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retrieved {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Where it is now, or would be; None where its key cannot be a path.
    pub path: Option<PathBuf>,
    /// Bytes.
    pub size: u64,
    /// What became of it.
    pub fate: Fate,
    /// Why it failed.
    pub reason: Option<String>,
}

/// Fetches everything in the outputs bucket.
///
/// # Errors
/// The bucket cannot be listed, or the machine cannot take more (the disk is full). What is wrong with one object
/// alone is in its [`Retrieved`].
pub async fn everything(ports: &Ports, to: &Path, progress: &Progress) -> Result<Vec<Retrieved>> {
    make(to)?;
    let bucket = &ports.buckets.outputs;
    let mut done = Vec::new();
    let mut from: Option<String> = None;
    loop {
        let page = ports.objects.list(bucket, "", from.as_deref()).await?;
        for meta in page.items {
            // A placeholder that some tools make for a folder.
            if !meta.object.key.ends_with('/') {
                done.push(one(ports, meta, to, progress).await?);
            }
        }
        from = page.next;
        if from.is_none() {
            return Ok(done);
        }
    }
}

/// Fetches what these jobs left behind: results, and the artefacts of failed attempts.
///
/// # Errors
/// As for [`everything`]; also a job that is gone.
pub async fn of_jobs(ports: &Ports, ids: &[JobId], to: &Path, progress: &Progress) -> Result<Vec<Retrieved>> {
    make(to)?;
    let mut done = Vec::new();
    for id in ids {
        for object in jobs::row(ports, id).await?.results {
            match ports.objects.head(&object).await {
                Ok(meta) => done.push(one(ports, meta, to, progress).await?),
                Err(error) => done.push(failed(&object, 0, None, error.to_string())),
            }
        }
    }
    Ok(done)
}

fn make(to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(OperationError::io("make", to))
}

fn failed(object: &ObjectRef, size: u64, path: Option<PathBuf>, reason: String) -> Retrieved {
    let (bucket, key) = (object.bucket.clone(), object.key.clone());
    Retrieved { bucket, key, path, size, fate: Fate::Failed, reason: Some(reason) }
}

/// The path of a key below a directory; None where it would lead elsewhere or names no file.
pub fn confined(to: &Path, key: &str) -> Option<PathBuf> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if !key.split('/').all(plain) {
        return None;
    }
    let relative = Path::new(key);
    relative.components().all(|part| matches!(part, Component::Normal(_))).then(|| to.join(relative))
}

async fn one(ports: &Ports, meta: ObjectMeta, to: &Path, progress: &Progress) -> Result<Retrieved> {
    progress.seen.fetch_add(1, Ordering::Relaxed);
    let object = &meta.object;
    let Some(path) = confined(to, &object.key) else {
        let reason = "its key cannot be a path below the directory".to_owned();
        return Ok(failed(object, meta.size, None, reason));
    };
    let modified = UNIX_EPOCH + Duration::from_millis(u64::try_from(meta.modified_ms).unwrap_or(0));
    let retrieved = |fate| Retrieved {
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        path: Some(path.clone()),
        size: meta.size,
        fate,
        reason: None,
    };
    if is_current(&path, meta.size, modified) {
        return Ok(retrieved(Fate::Current));
    }
    match fetch(ports, &meta, &path, modified, progress).await {
        Ok(()) => {
            progress.files.fetch_add(1, Ordering::Relaxed);
            Ok(retrieved(Fate::Fetched))
        }
        // Every further object would meet the same end.
        Err(error) if is_full(&error) => Err(error),
        Err(error) => Ok(failed(object, meta.size, Some(path), error.to_string())),
    }
}

fn is_full(error: &OperationError) -> bool {
    let full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    matches!(error, OperationError::Io { source, .. } if full(source.kind()))
}

/// The sync rule: there, of the same size, and not newer than the object. Whole seconds are compared, because that
/// is all that some file systems keep.
fn is_current(path: &Path, size: u64, modified: SystemTime) -> bool {
    let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or(0);
    fs::metadata(path).is_ok_and(|file| {
        file.is_file()
            && file.len() == size
            && file.modified().is_ok_and(|local| seconds(local) <= seconds(modified))
    })
}

/// The name of a file under way: the same object version gives the same name, so that it can be gone on with.
fn partial(path: &Path, meta: &ObjectMeta) -> PathBuf {
    let mut hash = Sha256::new();
    for part in [&meta.object.bucket, &meta.object.key, meta.object.version.as_deref().unwrap_or("")] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(meta.size.to_le_bytes());
    hash.update(meta.modified_ms.to_le_bytes());
    let name: String = hash.finalize()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    path.with_file_name(format!(".shepard-{name}.part"))
}

async fn fetch(
    ports: &Ports,
    meta: &ObjectMeta,
    path: &Path,
    modified: SystemTime,
    progress: &Progress,
) -> Result<()> {
    if let Some(parent) = path.parent() {
        make(parent)?;
    }
    let part = partial(path, meta);
    let cannot = || OperationError::io("write", &part);
    let mut file =
        tokio::fs::OpenOptions::new().append(true).create(true).open(&part).await.map_err(cannot())?;
    let mut at = file.metadata().await.map_err(cannot())?.len();
    if at > meta.size {
        file.set_len(0).await.map_err(cannot())?;
        at = 0;
    }
    while at < meta.size {
        let length = CHUNK.min(meta.size - at);
        let bytes = ports.objects.get(&meta.object, Range::From { start: at, length }).await?.bytes;
        if bytes.is_empty() {
            return Err(OperationError::Environment(format!("{} ends too early", meta.object)));
        }
        file.write_all(&bytes).await.map_err(cannot())?;
        at += bytes.len() as u64;
        progress.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
    file.flush().await.map_err(cannot())?;
    let file = file.into_std().await;
    file.set_modified(modified).map_err(cannot())?;
    drop(file);
    fs::rename(&part, path).map_err(OperationError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_directory() {
        let to = Path::new("/to");
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", "a\0b", ".."] {
            assert_eq!(confined(to, bad), None, "{bad:?}");
        }
        assert_eq!(confined(to, "a b/ä.zip"), Some(PathBuf::from("/to/a b/ä.zip")));
        assert_eq!(confined(to, "..a/b.."), Some(PathBuf::from("/to/..a/b..")));
    }

    #[test]
    fn a_file_is_current_by_size_and_by_not_being_newer() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("f");
        let at = UNIX_EPOCH + Duration::from_secs(1_000);
        assert!(!is_current(&path, 1, at), "missing");
        fs::write(&path, "x").expect("write");
        fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(at)).expect("set");
        assert!(is_current(&path, 1, at));
        assert!(is_current(&path, 1, at + Duration::from_secs(5)), "older here is current, as sync has it");
        assert!(!is_current(&path, 2, at), "another size");
        assert!(!is_current(&path, 1, at - Duration::from_secs(5)), "newer here is fetched again");
    }

    #[test]
    fn another_version_has_another_partial_file() {
        let meta = |version: &str| ObjectMeta {
            object: ObjectRef::new("b", "k").at(version),
            size: 1,
            modified_ms: 1,
        };
        let path = Path::new("/to/a/k");
        assert_eq!(partial(path, &meta("1")), partial(path, &meta("1")));
        assert_ne!(partial(path, &meta("1")), partial(path, &meta("2")));
        assert_eq!(partial(path, &meta("1")).parent(), path.parent());
    }
}
