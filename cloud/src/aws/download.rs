//! Objects to files, in constant memory: pieces that are asked for side by side and written one after another.
//!
//! So the length of a file says how much of it is there, and what was interrupted can go on. All pieces are of one and
//! the same object: its version and its ETag are asked for in every request, and the name of an unfinished file has both
//! in it, so that another object's beginning is never taken for this one's.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use futures_util::stream::{self, TryStreamExt as _};
use shepard_model::ObjectRef;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::objects::{S3Objects, first, read_failed, size, version};
use super::upload::Remove;
use crate::error::{CloudError, Kind, Result};

/// Bytes asked for in one request. One that breaks off costs no more than this again.
const PIECE: u64 = 8 << 20;
/// Pieces under way at once; with those that wait to be written, all that is held in memory.
const AT_ONCE: usize = 4;
/// How often a piece is asked for before the download fails.
const TRIES: u32 = 4;
/// How often an unfinished file is found held by somebody else before that is believed, and the wait between two looks.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT_MS: u64 = 100;

/// An object as it was when the download began.
struct Pinned {
    object: ObjectRef,
    etag: Option<String>,
    size: u64,
}

impl Pinned {
    async fn new(objects: &S3Objects, object: &ObjectRef) -> Result<Self> {
        let head: HeadObjectOutput = objects.head_of(object).await?;
        let pinned = ObjectRef { version: version(object, head.version_id()), ..object.clone() };
        let etag = head.e_tag().map(str::to_owned);
        Ok(Self { object: pinned, etag, size: size(head.content_length()) })
    }

    /// Where an unfinished copy for `to` is kept: `.<name>.<what it is of>.part`. None of a path without a name.
    fn part(&self, to: &Path) -> Option<PathBuf> {
        let mut hasher = DefaultHasher::new();
        (&self.object, &self.etag, self.size).hash(&mut hasher);
        let name = to.file_name()?.to_string_lossy();
        // Room for what is put around a name that is as long as a name may be.
        let name: String = name.chars().take(50).collect();
        Some(to.with_file_name(format!(".{name}.{:016x}.part", hasher.finish())))
    }
}

/// Copies an object to a file that must not exist; of one that was begun and not finished nothing stays.
pub(super) async fn download(objects: &S3Objects, object: &ObjectRef, to: &Path) -> Result<u64> {
    let local = |error| CloudError::io("download to", to.display().to_string(), error);
    let pinned = Pinned::new(objects, object).await?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(to).await.map_err(local)?;
    let unfinished = Remove::new(to);
    fill(objects, &pinned, 0, &mut file).await?;
    unfinished.keep();
    Ok(pinned.size)
}

/// The same, going on where an earlier call stopped.
pub(super) async fn resume(objects: &S3Objects, object: &ObjectRef, to: &Path) -> Result<u64> {
    let local = |error| CloudError::io("download to", to.display().to_string(), error);
    let pinned = Pinned::new(objects, object).await?;
    let Some(part) = pinned.part(to).filter(|_| pinned.size > PIECE) else {
        return download(objects, object, to).await;
    };
    let mut file = OpenOptions::new().append(true).create(true).open(&part).await.map_err(local)?;
    lock(objects, &file, to).await?;
    let there = file.metadata().await.map_err(local)?.len();
    // Whole pieces count: what was being written when a machine stopped may be less than it says.
    let from = if there > pinned.size { 0 } else { there / PIECE * PIECE };
    file.set_len(from).await.map_err(local)?;
    fill(objects, &pinned, from, &mut file).await?;
    file.sync_all().await.map_err(local)?;
    // A link fails where the name is taken, which a rename would not.
    tokio::fs::hard_link(&part, to).await.map_err(local)?;
    tokio::fs::remove_file(&part).await.map_err(local)?;
    Ok(pinned.size)
}

/// Two at once would write one after another into the same file. A call that was dropped lets go of it in a moment.
async fn lock(objects: &S3Objects, file: &File, to: &Path) -> Result<()> {
    let local = |error| CloudError::io("download to", to.display().to_string(), error);
    let same = file.try_clone().await.map_err(local)?.into_std().await;
    for _ in 0..LOCK_TRIES {
        if same.try_lock().is_ok() {
            return Ok(());
        }
        objects.clock.sleep_ms(LOCK_WAIT_MS).await;
    }
    let busy = CloudError::new("download to", to.display().to_string(), Kind::Conflict);
    Err(busy.because("somebody else is at it"))
}

/// Writes the rest of an object to the end of a file that holds what is before it.
async fn fill(objects: &S3Objects, pinned: &Pinned, from: u64, file: &mut File) -> Result<()> {
    let local = |error| CloudError::io("download", pinned.object.to_string(), error);
    let step = usize::try_from(PIECE).unwrap_or(usize::MAX);
    let pieces = (from..pinned.size).step_by(step).map(|start| {
        let end = (start + PIECE).min(pinned.size);
        Ok::<_, CloudError>(piece(objects, pinned, start, end))
    });
    let mut pieces = stream::iter(pieces).try_buffered(AT_ONCE);
    while let Some(bytes) = pieces.try_next().await? {
        file.write_all(&bytes).await.map_err(local)?;
    }
    file.flush().await.map_err(local)
}

/// The bytes from `start` to before `end`. What has come of them is not asked for again.
async fn piece(objects: &S3Objects, pinned: &Pinned, start: u64, end: u64) -> Result<Vec<u8>> {
    let object = &pinned.object;
    let length = usize::try_from(end - start).unwrap_or(usize::MAX);
    let (mut bytes, mut tries) = (Vec::with_capacity(length), 0);
    loop {
        let at = start + bytes.len() as u64;
        let request = objects.client.get_object().bucket(&object.bucket).key(&object.key);
        let request = request.set_version_id(object.version.clone()).set_if_match(pinned.etag.clone());
        let answer = request.range(format!("bytes={at}-{}", end - 1)).send().await;
        let answer = answer.map_err(|error| read_failed("download", object, &error))?;
        // A store that does not know ranges, or not of old versions, sends the whole object.
        let mut skip = match answer.content_range().map(first) {
            None => at,
            Some(Some(given)) if given == at => 0,
            Some(_) => {
                let failed = CloudError::new("download", object.to_string(), Kind::Invalid);
                return Err(failed.because("the store does not send what it is asked for"));
            }
        };
        let mut body = answer.body;
        let fault = loop {
            match body.try_next().await {
                Ok(Some(some)) => {
                    let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(some.len());
                    skip -= skipped as u64;
                    let some = &some[skipped..];
                    bytes.extend_from_slice(&some[..some.len().min(length - bytes.len())]);
                    if bytes.len() == length {
                        return Ok(bytes);
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        tries += 1;
        if tries == TRIES {
            let failed = CloudError::new("download", object.to_string(), Kind::Offline);
            let early = || "the answer ends too early".into();
            return Err(failed.because(fault.map_or_else(early, |error| error.to_string())));
        }
    }
}
