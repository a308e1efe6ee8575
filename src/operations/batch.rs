//! Batching: packing each job of a plan and putting it into the inputs bucket.
//!
//! Nothing here waits for the scheduler: an upload is the request. The id each job will have is known at once,
//! because it is made from the upload itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use shepard_cloud::ports::ObjectMeta;
use shepard_cloud::{CloudError, Ports};
use shepard_model::{JobId, ObjectRef, names};
use tokio::sync::mpsc;

use super::error::{OperationError, Result};
use super::pack::{PackError, pack, pack_into};
use super::preflight::{Candidate, Plan, Source};

/// Jobs packed and uploaded at once. Packing is work for the processor, uploading mostly for the disk or the net.
const AT_ONCE: usize = 4;

/// How far a batch is. Counters only go up; reading them costs nothing.
#[derive(Debug, Default)]
pub struct Progress {
    /// Jobs that are in the bucket.
    pub uploaded_jobs: AtomicU64,
    /// Bytes read for packing.
    pub packed_bytes: AtomicU64,
    /// Bytes of the zips in the bucket.
    pub uploaded_bytes: AtomicU64,
}

/// What became of one job of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Batched {
    /// The folder or zip it was made from.
    pub path: PathBuf,
    /// Its id; None where it was refused.
    pub id: Option<JobId>,
    /// The key it was uploaded under; None where it was refused.
    pub input: Option<String>,
    /// Why it was refused.
    pub refused: Option<String>,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Report {
    /// One for each job of the plan that was reached, in the order of the plan.
    pub jobs: Vec<Batched>,
    /// What stopped the batch before its end. The jobs above are batched all the same.
    pub stopped: Option<OperationError>,
}

/// How zips come into the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// Packed to a file in this directory, which is made if need be, then handed over: the bucket is a folder beside it.
    ByFile(&'a Path),
    /// Sent as they are packed; nothing of them lies on this machine.
    Streamed,
}

/// Packs and uploads every accepted job of a plan.
///
/// # Errors
/// The scratch directory cannot be made. Later failures are in the report, beside what was done before them.
pub async fn batch(ports: &Ports, plan: Plan, way: Way<'_>, progress: &Arc<Progress>) -> Result<Report> {
    let scratch = match way {
        Way::ByFile(scratch) => Some(Scratch::make(scratch)?),
        Way::Streamed => None,
    };
    let mut jobs = Vec::with_capacity(plan.jobs.len());
    let mut stopped = None;
    let mut work = stream::iter(plan.jobs.into_iter().enumerate())
        .map(|(index, job)| {
            let zip = scratch.as_ref().map(|scratch| scratch.dir.join(format!("{index}.zip")));
            one(ports, job, zip, progress)
        })
        .buffered(AT_ONCE);
    while let Some(result) = work.next().await {
        match result {
            Ok(job) => jobs.push(job),
            Err(error) => {
                stopped = Some(error);
                break;
            }
        }
    }
    Ok(Report { jobs, stopped })
}

async fn one(
    ports: &Ports,
    job: Candidate,
    zip: Option<PathBuf>,
    progress: &Arc<Progress>,
) -> Result<Batched> {
    let mut batched = Batched {
        path: job.path.clone(),
        id: None,
        input: None,
        refused: job.refused.clone(),
        warnings: job.warnings.clone(),
    };
    if batched.refused.is_some() {
        return Ok(batched);
    }
    let key = match &job.key {
        Some(key) => key.clone(),
        None => names::upload_key(&job.name, &random_hex()?),
    };
    let object = ObjectRef::new(&ports.buckets.inputs, &key);
    let sent = match &zip {
        Some(zip) => by_file(ports, job, zip, &object, progress).await,
        None => streamed(ports, job, &object, progress).await,
    };
    match sent {
        Ok(meta) => {
            progress.uploaded_jobs.fetch_add(1, Ordering::Relaxed);
            batched.id = Some(JobId::of_object(&meta.object));
            batched.input = Some(key);
        }
        Err(PackError::Refused(reason)) => batched.refused = Some(reason),
        Err(PackError::Environment(error)) => return Err(error),
    }
    if let Some(zip) = &zip {
        // Gone already where the store took the file over; left over, it goes with the scratch directory.
        let _ = fs::remove_file(zip);
    }
    Ok(batched)
}

async fn by_file(
    ports: &Ports,
    job: Candidate,
    zip: &Path,
    to: &ObjectRef,
    progress: &Arc<Progress>,
) -> Result<ObjectMeta, PackError> {
    let (counters, target) = (Arc::clone(progress), zip.to_owned());
    let packed = tokio::task::spawn_blocking(move || pack(&job, &target, &counters)).await;
    let from = packed.map_err(|_| ended())??;
    uploaded(ports, &from, to, progress).await
}

async fn uploaded(
    ports: &Ports,
    from: &Path,
    to: &ObjectRef,
    progress: &Progress,
) -> Result<ObjectMeta, PackError> {
    let meta = ports.objects.upload(from, to).await.map_err(|error| PackError::Environment(error.into()))?;
    progress.uploaded_bytes.fetch_add(meta.size, Ordering::Relaxed);
    Ok(meta)
}

/// Packs and sends at once. Nothing shows in the bucket before all of it is there.
async fn streamed(
    ports: &Ports,
    job: Candidate,
    to: &ObjectRef,
    progress: &Arc<Progress>,
) -> Result<ObjectMeta, PackError> {
    if job.source == Source::Zip && job.inputs.is_none() {
        return uploaded(ports, &job.path, to, progress).await;
    }
    let cloud = |error: CloudError| PackError::Environment(error.into());
    let mut writer = ports.objects.begin(to).await.map_err(cloud)?;
    // Full, it makes the packing wait until what is there was sent.
    let (pieces, mut packed) = mpsc::channel(4);
    let (counters, name) = (Arc::clone(progress), PathBuf::from(to.to_string()));
    let packing = tokio::task::spawn_blocking(move || pack_into(&job, Pieces(pieces), &name, &counters));
    let sent = async {
        while let Some(piece) = packed.recv().await {
            writer.put(&piece)?;
            writer.room().await?;
            progress.uploaded_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Ok::<(), CloudError>(())
    };
    let sent = sent.await;
    // Whoever packs is told that nobody listens any more.
    drop(packed);
    let done = packing.await.map_err(|_| PackError::from(ended()));
    let done = match (sent, done) {
        (Err(error), _) => Err(cloud(error)),
        (Ok(()), Ok(done)) => done,
        (Ok(()), Err(error)) => Err(error),
    };
    match done {
        Ok(()) => writer.complete().await.map_err(cloud),
        Err(error) => {
            // The first fault is the one to tell; what stays behind goes by the bucket's own rules.
            if let Err(error) = writer.abort().await {
                tracing::warn!(%error, "parts of an upload that was broken off stay in the bucket");
            }
            Err(error)
        }
    }
}

/// Hands what is packed to whoever sends it.
struct Pieces(mpsc::Sender<Vec<u8>>);

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes it any more");
        self.0.blocking_send(bytes.to_vec()).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ended() -> OperationError {
    OperationError::Environment("packing a job ended too early".into())
}

/// Random hex digits, as many as a key has.
///
/// # Errors
/// The operating system gives no random bytes.
fn random_hex() -> Result<String> {
    use std::io::Read as _;
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; names::UPLOAD_DIGITS / 2];
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(OperationError::io("read", source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A directory for zips under way, named after this process and removed at the end. What a killed process left
/// behind goes with the next batch.
struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    fn make(parent: &Path) -> Result<Self> {
        fs::create_dir_all(parent).map_err(OperationError::io("make", parent))?;
        for old in fs::read_dir(parent).map_err(OperationError::io("read", parent))?.flatten() {
            let owner = old.file_name().to_str().and_then(|name| name.split('-').next()?.parse::<i32>().ok());
            let gone = owner
                .and_then(rustix::process::Pid::from_raw)
                .is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH));
            if gone {
                let _ = fs::remove_dir_all(old.path());
            }
        }
        let dir = parent.join(format!("{}-{}", std::process::id(), random_hex()?));
        fs::create_dir(&dir).map_err(OperationError::io("make", &dir))?;
        Ok(Self { dir })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_digits_differ_and_are_as_many_as_a_key_has() {
        let (one, two) = (random_hex().expect("random"), random_hex().expect("random"));
        assert_ne!(one, two);
        assert_eq!(one.len(), names::UPLOAD_DIGITS);
    }

    #[test]
    fn scratch_of_a_dead_process_is_removed_and_that_of_a_live_one_kept() {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut child = std::process::Command::new("true").spawn().expect("spawn");
        child.wait().expect("wait");
        let dead = dir.path().join(format!("{}-x", child.id()));
        let live = dir.path().join(format!("{}-x", std::process::id()));
        fs::create_dir(&dead).expect("mkdir");
        fs::create_dir(&live).expect("mkdir");
        let own = Scratch::make(dir.path()).expect("made").dir.clone();
        assert_eq!((dead.exists(), live.exists(), own.exists()), (false, true, false));
    }
}
