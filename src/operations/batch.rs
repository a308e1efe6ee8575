//! Batching: packing each job of a plan and putting it into the inputs bucket.
//!
//! Nothing here waits for the scheduler: an upload is the request. The id each job will have is known at once,
//! because it is made from the upload itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use shepard_cloud::Ports;
use shepard_model::{JobId, ObjectRef, names};

use super::error::{OperationError, Result};
use super::pack::{PackError, pack};
use super::preflight::{Candidate, Plan};

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

/// Packs and uploads every accepted job of a plan. `scratch` is a directory for zips under way; made if need be.
///
/// # Errors
/// The scratch directory cannot be made. Later failures are in the report, beside what was done before them.
pub async fn batch(ports: &Ports, plan: Plan, scratch: &Path, progress: &Arc<Progress>) -> Result<Report> {
    let scratch = Scratch::make(scratch)?;
    let mut jobs = Vec::with_capacity(plan.jobs.len());
    let mut stopped = None;
    let mut work = stream::iter(plan.jobs.into_iter().enumerate())
        .map(|(index, job)| one(ports, job, scratch.dir.join(format!("{index}.zip")), progress))
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

async fn one(ports: &Ports, job: Candidate, zip: PathBuf, progress: &Arc<Progress>) -> Result<Batched> {
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
    let counters = Arc::clone(progress);
    let batched_name = job.name.clone();
    let target = zip.clone();
    let packed = tokio::task::spawn_blocking(move || pack(&job, &target, &counters)).await;
    let packed = packed.map_err(|_| OperationError::Environment("packing a job ended too early".into()))?;
    match packed {
        Ok(from) => {
            let key = names::upload_key(&batched_name, &random_hex()?);
            let meta = ports.objects.upload(&from, &ObjectRef::new(&ports.buckets.inputs, &key)).await?;
            progress.uploaded_jobs.fetch_add(1, Ordering::Relaxed);
            progress.uploaded_bytes.fetch_add(meta.size, Ordering::Relaxed);
            batched.id = Some(JobId::of_object(&meta.object));
            batched.input = Some(key);
        }
        Err(PackError::Refused(reason)) => batched.refused = Some(reason),
        Err(PackError::Environment(error)) => return Err(error),
    }
    // Gone already where the store took the file over; left over, it goes with the scratch directory.
    let _ = fs::remove_file(&zip);
    Ok(batched)
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
