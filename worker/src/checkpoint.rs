//! What an interrupted run leaves for its next attempt: the content of its payload's checkpoint folder.
//!
//! A payload writes there whatever lets it go on later, as it runs or when it is told to stop. Interrupted, the folder
//! goes into one zip in the inputs bucket, the only one that an old stack's roles let a worker write to for itself; the
//! next attempt finds the folder as it was, and when the run has ended the zip goes. Nothing here ends a job: what
//! fails is said in its log, and the payload starts from nothing.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use shepard_cloud::error::Kind;
use shepard_cloud::ports::Ports;
use shepard_model::{JobRow, ObjectRef, names};
use zip::ZipArchive;

use crate::archive::Written;
use crate::fetch::Trouble;
use crate::log::Log;
use crate::outputs;
use crate::place::{Dirs, confined_bytes, make_checkpoint};
use crate::row::{Patience, patiently};

/// How long a checkpoint may take to be put, in milliseconds, where nobody says when the host is gone. A notice of Spot
/// leaves two minutes, of which the payload's own end takes some.
const WITHIN_MS: i64 = 60_000;
/// What stays of a host's time for writing down how the attempt ended, in milliseconds.
const RESERVE_MS: i64 = 5_000;

/// What a checkpoint may hold. More could not be put in the time that a notice leaves.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    bytes: u64,
    entries: u64,
}

const BOUNDS: Bounds = Bounds { bytes: 128 << 30, entries: 1_000_000 };

/// The checkpoint of one run, as one of its attempts has to do with it.
pub(crate) struct Checkpoint<'a> {
    ports: &'a Ports,
    log: &'a Log,
    /// The folder, and the file by which it comes from the bucket. None without a root filesystem.
    local: Option<(PathBuf, PathBuf)>,
    object: ObjectRef,
    /// An earlier attempt of the run was claimed, and may have left one.
    earlier: bool,
    /// There is one in the bucket, as far as this attempt knows.
    known: AtomicBool,
}

impl<'a> Checkpoint<'a> {
    /// The checkpoint of a row as it was claimed.
    pub(crate) fn new(ports: &'a Ports, log: &'a Log, row: &JobRow, dirs: &[Dirs]) -> Self {
        let key = names::checkpoint_key(&row.id, row.run);
        Self {
            ports,
            log,
            local: dirs.first().map(|root| (root.checkpoint(), root.job.join("checkpoint.zip"))),
            object: ObjectRef::new(ports.buckets.inputs.clone(), key),
            earlier: row.attempts.iter().filter(|attempt| attempt.run == row.run).count() > 1,
            known: AtomicBool::new(false),
        }
    }

    /// Brings back what an earlier attempt of the run left, if it left anything.
    ///
    /// # Errors
    /// It may be there and cannot be read now: a sentence for the row, which waits for an attempt that can.
    pub(crate) async fn restore(&self) -> Result<(), Trouble> {
        let Some((folder, file)) = self.local.as_ref().filter(|_| self.earlier) else { return Ok(()) };
        let clock = self.ports.clock.as_ref();
        let download = patiently(clock, Patience::Ordinary, || async {
            // What a broken download left would stand in the way of the next.
            let _ = tokio::fs::remove_file(file).await;
            self.ports.objects.download(&self.object, file).await
        });
        match download.await {
            Ok(_) => self.known.store(true, Ordering::Relaxed),
            Err(error) if error.kind == Kind::NotFound => return Ok(()),
            Err(error) if error.kind.is_transient() && error.kind != Kind::Full => {
                return Err(Trouble::cloud("fetching what the interrupted attempt left", &error));
            }
            Err(error) => {
                self.nothing(&error.to_string()).await;
                return Ok(());
            }
        }
        let (from, to) = (file.clone(), folder.clone());
        let unpacked = tokio::task::spawn_blocking(move || {
            let unpacked = unpack(&from, &to, BOUNDS);
            let _ = std::fs::remove_file(&from);
            unpacked.or_else(|why| {
                // Half of a checkpoint is none.
                std::fs::remove_dir_all(&to)
                    .and_then(|()| make_checkpoint(&to))
                    .map_err(|e| e.to_string())?;
                Err(why)
            })
        });
        match unpacked.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok((files, bytes)) => {
                let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
                self.log
                    .say(format!("the checkpoint of an earlier attempt is back: {files}, {bytes} bytes"))
                    .await;
            }
            Err(why) => self.nothing(&why).await,
        }
        Ok(())
    }

    async fn nothing(&self, why: &str) {
        let said = "the checkpoint of an earlier attempt cannot be used, and the payload starts from nothing";
        self.log.say(format!("{said}: {why}")).await;
    }

    /// Keeps what the payload has left in the folder, within the time that there is. `gone_ms` is when the host is gone,
    /// where that is known.
    pub(crate) async fn keep(&self, gone_ms: Option<i64>) {
        let clock = self.ports.clock.as_ref();
        let left_ms = gone_ms.map_or(WITHIN_MS, |gone_ms| gone_ms - clock.now_ms() - RESERVE_MS);
        let within_ms = u64::try_from(left_ms.clamp(1_000, 2 * WITHIN_MS)).unwrap_or_default();
        let said = tokio::select! {
            biased;
            said = self.put() => said,
            () = clock.sleep_ms(within_ms) => {
                Some(format!("the checkpoint is not kept: it takes longer than the {} s there are", within_ms / 1_000))
            }
        };
        if let Some(said) = said {
            self.log.say(said).await;
        }
    }

    async fn put(&self) -> Option<String> {
        let (folder, _) = self.local.as_ref()?;
        if !folder.is_dir() || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none()) {
            if self.known.load(Ordering::Relaxed) {
                // The payload has emptied the folder: that, too, is how the next attempt is to find it.
                self.remove().await;
            }
            return None;
        }
        let fits = |written: &Written| {
            if written.entries > BOUNDS.entries || written.bytes > BOUNDS.bytes {
                let (bytes, entries) = (written.bytes, written.entries);
                return Err(Trouble(format!("{bytes} bytes in {entries} entries are too much")));
            }
            Ok(())
        };
        match outputs::put_folder(self.ports, folder.clone(), self.object.clone(), self.log, fits).await {
            Ok(written) if written.skipped_count == 0 => {
                Some(format!("kept the checkpoint for the next attempt: {} bytes", written.bytes))
            }
            Ok(written) => Some(format!(
                "kept the checkpoint for the next attempt: {} bytes, without {} links, pipes and the like",
                written.bytes, written.skipped_count
            )),
            Err(trouble) => Some(format!("the checkpoint is not kept: {trouble}")),
        }
    }

    /// The run has ended: nobody needs it any more.
    pub(crate) async fn forget(&self) {
        if self.earlier {
            self.remove().await;
        }
    }

    async fn remove(&self) {
        let delete = || self.ports.objects.delete(&self.object);
        if let Err(error) = patiently(self.ports.clock.as_ref(), Patience::Ordinary, delete).await {
            // The bucket's rules for what is old take it in the end.
            tracing::warn!(object = %self.object, kind = error.kind.word(), "a checkpoint could not be removed");
        }
    }
}

/// Unpacks files and directories below a folder that has nothing in it yet; gives the files and their bytes. Whatever
/// else is in the zip, or would lie elsewhere, makes all of it unusable: a worker wrote none such.
fn unpack(from: &Path, to: &Path, bounds: Bounds) -> Result<(u64, u64), String> {
    let file = File::open(from).map_err(|error| error.to_string())?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| error.to_string())?;
    if zip.len() as u64 > bounds.entries {
        return Err(format!("it has {} entries", zip.len()));
    }
    let (mut files, mut bytes) = (0, 0);
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| error.to_string())?;
        // The bytes of a file's name, which are text only as a rule.
        let raw = entry.name_raw().to_vec();
        let name = String::from_utf8_lossy(&raw);
        let path =
            confined_bytes(to, raw.strip_suffix(b"/").unwrap_or(&raw)).map_err(|error| error.to_string())?;
        let failed = |error: std::io::Error| format!("{name:?}: {error}");
        let mode = entry.unix_mode().unwrap_or(0o644) & 0o777;
        if entry.is_symlink() {
            return Err(format!("{name:?} is a link"));
        }
        if entry.is_dir() {
            std::fs::create_dir_all(&path).map_err(failed)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode | 0o700)).map_err(failed)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let changed = entry.last_modified().and_then(seconds);
        let mut file = File::create_new(&path).map_err(failed)?;
        // One more than there may be, to see whether there is.
        let room = bounds.bytes.saturating_sub(bytes).saturating_add(1);
        bytes += std::io::copy(&mut entry.by_ref().take(room), &mut file).map_err(failed)?;
        if bytes > bounds.bytes {
            return Err(format!("it unpacks to more than {} bytes", bounds.bytes));
        }
        file.set_permissions(PermissionsExt::from_mode(mode | 0o600)).map_err(failed)?;
        if let Some(changed) = changed {
            // By it a build tool tells what is done from what is not.
            let _ = file.set_modified(UNIX_EPOCH + Duration::from_secs(changed));
        }
        files += 1;
    }
    Ok((files, bytes))
}

/// A zip's time of change, which is in UTC where a worker wrote it, as seconds since the epoch.
fn seconds(at: zip::DateTime) -> Option<u64> {
    let part = |part: u8| i8::try_from(part).ok();
    let (year, month, day) = (i16::try_from(at.year()).ok()?, part(at.month())?, part(at.day())?);
    let (hour, minute, second) = (part(at.hour())?, part(at.minute())?, part(at.second())?);
    let at = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    u64::try_from(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second()).ok()
}

#[cfg(test)]
mod tests;
