//! Where the secrets of a flock's contained jobs lie while they run: in memory, outside the flock's folder.
//!
//! Which place that is depends on the session a process belongs to: a supervisor may have been started without the
//! variables of the one before. So secrets are put into the one place that this process knows, and what a dead worker
//! left is removed from every place there can be.

use std::path::{Path, PathBuf};

use shepard_cloud::local::FlockDir;
use shepard_model::JobId;
use shepard_worker::{Place, secrets};

fn folder(dir: &FlockDir) -> PathBuf {
    dir.path().canonicalize().unwrap_or_else(|_| dir.path().to_owned())
}

/// Where this process puts secrets; None where the machine has no such place.
pub(crate) fn base(dir: &FlockDir) -> Option<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    secrets::memory_of(&folder(dir), runtime.as_deref())
}

/// Where any process of this user may have put them.
pub(crate) fn bases(dir: &FlockDir) -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let usual = PathBuf::from(format!("/run/user/{user}"));
    let folder = folder(dir);
    let mut all: Vec<PathBuf> =
        [base(dir), secrets::memory_of(&folder, Some(&usual)), secrets::memory_of(&folder, None)]
            .into_iter()
            .flatten()
            .collect();
    all.sort();
    all.dedup();
    all
}

/// What the attempts of a job may have left: its directories, and its secrets wherever they are. An error says what
/// could not be removed.
pub(crate) fn remove(dir: &FlockDir, id: &JobId) -> std::io::Result<()> {
    let mut places: Vec<Place> =
        bases(dir).into_iter().map(|base| Place::local(dir.jobs()).with_memory(Some(base))).collect();
    if places.is_empty() {
        places.push(Place::local(dir.jobs()));
    }
    places.iter().flat_map(|place| place.dirs(id)).try_for_each(|dirs| shepard_worker::place::remove(&dirs))
}

/// The jobs that have something on disk or in memory.
pub(crate) fn jobs(dir: &FlockDir) -> Vec<JobId> {
    let mut folders = bases(dir);
    folders.push(dir.jobs());
    let mut jobs: Vec<JobId> = folders.iter().flat_map(|folder| folders_in(folder)).collect();
    jobs.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    jobs.dedup();
    jobs
}

/// Removes the places themselves: for good, or only where nothing is in them.
pub(crate) fn remove_bases(dir: &FlockDir, for_good: bool) {
    for base in bases(dir) {
        // What stays is an empty folder in memory, or one that another process of this user has taken.
        let _ = if for_good { std::fs::remove_dir_all(&base) } else { std::fs::remove_dir(&base) };
    }
}

fn folders_in(folder: &Path) -> Vec<JobId> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| JobId::parse(entry.file_name().to_str()?)).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use shepard_cloud::local::{Home, Settings};

    use super::*;

    #[test]
    fn what_a_dead_worker_left_is_found_and_removed_in_every_place() {
        let temp = tempfile::tempdir().expect("temp");
        let dir = Home::new(temp.path()).create(&Settings::named("f")).expect("flock");
        let other = Home::new(temp.path()).create(&Settings::named("g")).expect("flock");
        let id = JobId::parse("a").expect("id");
        let Some(base) = secrets::memory_of(&folder(&dir), None) else { return };
        assert!(bases(&dir).contains(&base));
        assert!(!bases(&other).contains(&base), "no two flocks share one");
        std::fs::create_dir_all(base.join("a")).expect("secrets");
        std::fs::write(base.join("a/key"), "hush").expect("secret");
        std::fs::create_dir_all(dir.job_dir(&id).join("input")).expect("directory");
        std::fs::write(dir.worker_lock(&id), "").expect("lock");
        assert_eq!(jobs(&dir), std::slice::from_ref(&id));
        remove(&dir, &id).expect("remove");
        assert_eq!(jobs(&dir), []);
        assert!(dir.worker_lock(&id).exists(), "the lock is not what is removed");
        remove_bases(&dir, false);
        assert!(!base.exists());
    }
}
