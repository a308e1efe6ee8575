//! The containers of a flock's jobs: whether one may still run, and its end.
//!
//! A container is no child of its worker and holds no lock, and the engine may be away when it is asked. So a worker
//! writes a mark beside its job's locks before it asks an engine for a container, and the mark names the engine. Only a
//! supervisor takes it away, when that engine has said that no container of the job is left. Without a mark there is
//! none; with one nobody begins another attempt, ends the job or removes what the container may be writing to.

use std::collections::HashSet;
use std::path::PathBuf;

use shepard_cloud::local::{FlockDir, LocalFlock};
use shepard_engine::{ContainerInfo, Engine, EngineError};
use shepard_model::JobId;
use shepard_model::names::container::{LABEL_JOB, LABEL_OWNER};
use tokio_util::sync::CancellationToken;

use super::attempt;
use super::error::LocalError;
use super::wake::Backoff;

/// The name that says whose a container is: the flock's folder. Two flocks may have jobs of one id.
pub(crate) fn owner(dir: &FlockDir) -> String {
    let path = dir.path().canonicalize().unwrap_or_else(|_| dir.path().to_owned());
    path.to_string_lossy().into_owned()
}

/// Where engines are to be found for this process; None is where an engine usually is.
pub(crate) fn address() -> Option<String> {
    std::env::var("DOCKER_HOST").ok().filter(|said| !said.is_empty())
}

fn mark_of(dir: &FlockDir, id: &JobId) -> PathBuf {
    dir.jobs().join(format!("{id}{MARK}"))
}

/// End of the name of a mark. No id has a dot.
const MARK: &str = ".container";

/// From here on a container of the job may be there, at the engine of this process.
///
/// # Errors
/// It cannot be written: then no container may be made.
pub(crate) fn mark(dir: &FlockDir, id: &JobId) -> Result<(), LocalError> {
    let path = mark_of(dir, id);
    let beside = path.with_extension("container.new");
    // A mark outlives its worker and not its machine: containers do not either. No need to wait for the disk.
    std::fs::write(&beside, address().unwrap_or_default())
        .and_then(|()| std::fs::rename(&beside, &path))
        .map_err(|error| LocalError::io("write", path, error))
}

/// The jobs that have a mark.
fn marked(dir: &FlockDir) -> Vec<JobId> {
    let entries = std::fs::read_dir(dir.jobs()).into_iter().flatten().flatten();
    entries.filter_map(|entry| JobId::parse(entry.file_name().to_str()?.strip_suffix(MARK)?)).collect()
}

/// The engine that a job's mark names; None where there is no mark.
///
/// # Errors
/// The mark is there and cannot be read.
fn engine_of(dir: &FlockDir, id: &JobId) -> Result<Option<Option<String>>, LocalError> {
    let path = mark_of(dir, id);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Some(text).filter(|text| !text.is_empty()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LocalError::io("read", path, error)),
    }
}

/// Ends and removes what a job has of containers, and waits for an engine that does not answer until it does: what it
/// runs cannot be known before. True when none is left; false where `stop` was cancelled first.
///
/// The caller holds the job's lock: nobody makes another one meanwhile.
///
/// # Errors
/// The mark cannot be read.
pub(crate) async fn end(dir: &FlockDir, id: &JobId, stop: &CancellationToken) -> Result<bool, LocalError> {
    let Some(address) = engine_of(dir, id)? else { return Ok(true) };
    let mut backoff = Backoff::default();
    let mut said = false;
    loop {
        match remove_of(dir, address.as_deref(), id).await {
            Ok(removed) => {
                if said {
                    tracing::info!("the Docker engine answers again; job {id} goes on");
                }
                if removed > 0 {
                    tracing::info!("removed a container that was left of job {id}");
                }
                let _ = std::fs::remove_file(mark_of(dir, id));
                return Ok(true);
            }
            Err(error) if !said => {
                tracing::warn!(
                    "job {id} may still run in a container and waits until that is known: {error}"
                );
                said = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = backoff.pause() => {}
            () = stop.cancelled() => return Ok(false),
        }
    }
}

/// Removes the containers of one job; gives how many. Looks until there is none: what was being made when it was
/// looked for shows at the second look.
async fn remove_of(dir: &FlockDir, address: Option<&str>, id: &JobId) -> Result<usize, EngineError> {
    let engine = Engine::connect(address).await?;
    let mut removed = 0;
    loop {
        let mut left = seen(dir, &engine).await?;
        left.retain(|(_, of)| of == id);
        if left.is_empty() {
            return Ok(removed);
        }
        for (container, _) in left {
            engine.remove(&container).await?;
            removed += 1;
        }
    }
}

/// The flock's containers that an engine has, by their ids, and the jobs they are of.
async fn seen(dir: &FlockDir, engine: &Engine) -> Result<Vec<(String, JobId)>, EngineError> {
    let all = engine.labelled(LABEL_OWNER, Some(&owner(dir))).await?;
    let of = |one: ContainerInfo| Some((one.id, JobId::parse(one.labels.get(LABEL_JOB)?)?));
    Ok(all.into_iter().filter_map(of).collect())
}

/// Removes the containers of jobs that nobody has in hand: what an engine was still making for a worker that died. The
/// engines asked are that of this process, where the flock uses one, and those of marks. Gives how many.
///
/// Who is in hand is asked of `flock` after the containers were seen, and those are removed by their own ids, so that
/// none of an attempt that begins meanwhile is taken. Without a flock nobody is.
///
/// # Errors
/// An engine does not answer; the marks stay, and with them the reason to look again.
pub(crate) async fn sweep(
    dir: &FlockDir,
    uses_one: bool,
    flock: Option<&LocalFlock>,
) -> Result<usize, LocalError> {
    let marked = marked(dir);
    let mut addresses: Vec<Option<String>> = Vec::new();
    for id in &marked {
        addresses.extend(engine_of(dir, id)?);
    }
    if uses_one {
        addresses.push(address());
    }
    addresses.sort();
    addresses.dedup();
    let mut removed = 0;
    for address in addresses {
        let engine = Engine::connect(address.as_deref()).await?;
        let seen = seen(dir, &engine).await?;
        let active = if seen.is_empty() { HashSet::new() } else { active(flock).await? };
        for (container, _) in seen.iter().filter(|(_, id)| !active.contains(id)) {
            engine.remove(container).await?;
            removed += 1;
        }
    }
    // What has been looked into by now; a job that is in hand again keeps its mark, and loses it at its own end.
    let active = if marked.is_empty() { HashSet::new() } else { active(flock).await? };
    for id in marked.iter().filter(|id| !active.contains(id)) {
        let _ = std::fs::remove_file(mark_of(dir, id));
    }
    Ok(removed)
}

/// The jobs that a supervisor has in hand, or the next one will take up.
///
/// # Errors
/// The database cannot be read.
pub(crate) async fn active(flock: Option<&LocalFlock>) -> Result<HashSet<JobId>, LocalError> {
    let Some(flock) = flock else { return Ok(HashSet::new()) };
    Ok(flock.compute().active().await?.iter().filter_map(attempt::job_id).collect())
}

/// Waits until the engine of this process answers.
pub(crate) async fn engine_answers() {
    let mut backoff = Backoff::default();
    while Engine::connect(address().as_deref()).await.is_err() {
        backoff.pause().await;
    }
}

/// Whether a container of this job may be there.
pub(crate) fn may_be(dir: &FlockDir, id: &JobId) -> bool {
    mark_of(dir, id).exists()
}

/// Whether a container of any job of the flock may be there.
pub(crate) fn may_be_any(dir: &FlockDir) -> bool {
    !marked(dir).is_empty()
}

#[cfg(test)]
mod tests {
    use shepard_cloud::local::{Home, Settings};

    use super::*;

    fn flock() -> (tempfile::TempDir, FlockDir) {
        let temp = tempfile::tempdir().expect("temp");
        let dir = Home::new(temp.path()).create(&Settings::named("f")).expect("flock");
        (temp, dir)
    }

    fn write_mark(dir: &FlockDir, id: &JobId, address: &str) {
        std::fs::write(mark_of(dir, id), address).expect("mark");
    }

    #[tokio::test]
    async fn without_a_mark_no_engine_is_asked() {
        let (_temp, dir) = flock();
        let id = JobId::parse("a").expect("id");
        assert!(end(&dir, &id, &CancellationToken::new()).await.expect("nothing to do"));
        assert_eq!(sweep(&dir, false, None).await.expect("nothing to do"), 0);
    }

    #[tokio::test]
    async fn while_the_engine_of_a_mark_is_away_the_job_waits_and_the_mark_stays() {
        let (temp, dir) = flock();
        let id = JobId::parse("a").expect("id");
        write_mark(&dir, &id, &format!("unix://{}/none.sock", temp.path().display()));
        let stop = CancellationToken::new();
        let mut waits = Box::pin(end(&dir, &id, &stop));
        let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut waits).await;
        assert!(early.is_err(), "it is not known yet");
        stop.cancel();
        assert!(!waits.await.expect("told to stop"), "it is not known yet");
        assert!(sweep(&dir, false, None).await.is_err());
        assert!(may_be_any(&dir) && marked(&dir) == [JobId::parse("a").expect("id")]);
    }

    #[test]
    fn a_mark_says_where_to_ask() {
        let (_temp, dir) = flock();
        let id = JobId::parse("a").expect("id");
        assert_eq!(engine_of(&dir, &id).expect("read"), None);
        mark(&dir, &id).expect("mark");
        assert_eq!(engine_of(&dir, &id).expect("read"), Some(address()));
        write_mark(&dir, &id, "tcp://127.0.0.1:1");
        assert_eq!(engine_of(&dir, &id).expect("read"), Some(Some("tcp://127.0.0.1:1".to_owned())));
        assert!(mark_of(&dir, &id).ends_with("a.container"));
    }
}
