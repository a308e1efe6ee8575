//! The directories a job gets, and joins that cannot leave them.
//!
//! A job has `<base>/<UUID>/{input,output}` on every filesystem its host offers. Payloads were written against
//! these paths, so their shape is the contract's; where the base lies is the host's business.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use shepard_model::JobId;
use shepard_model::names::{Filesystem, container};

use crate::job::Job;

/// Name, in a filesystem's base, under which a payload sees the whole of it. Never a job's.
pub(crate) const READ_ONLY: &str = "read_only";

/// What a host offers to the jobs it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Base on the host's own disk.
    pub root: PathBuf,
    /// Base on the shared EFS, where there is one.
    pub efs: Option<PathBuf>,
    /// Base on the Lustre scratch, where there is one.
    pub lustre: Option<PathBuf>,
    /// Base for secrets, on a memory filesystem of the host, where payloads are contained and so can be shown them at
    /// the contract's place. What cannot be trusted as one is not used; see [`crate::secrets`].
    pub memory: Option<PathBuf>,
    /// Folder of the quick-deploy bucket for jobs that name none.
    pub quick_deploy: Option<String>,
    /// An attempt locks its directories, so that what a dead one left can be told from what is in use. A local
    /// flock has locks of its own.
    pub locked: bool,
}

/// A job's directories on one filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// Which filesystem.
    pub filesystem: Filesystem,
    /// The filesystem's base, which holds every job's directory.
    pub base: PathBuf,
    /// `<base>/<UUID>`.
    pub job: PathBuf,
    /// `<base>/<UUID>/input`.
    pub input: PathBuf,
    /// `<base>/<UUID>/output`.
    pub output: PathBuf,
    /// `<memory>/<UUID>`: with root's directories, where the place has a base for secrets.
    pub secrets: Option<PathBuf>,
}

impl Dirs {
    /// `<base>/<UUID>/checkpoint`: the folder whose content outlives an interruption, on the root filesystem.
    pub fn checkpoint(&self) -> PathBuf {
        self.job.join("checkpoint")
    }
}

/// A name from outside that cannot be a path below a directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It would lead out of the directory.
    #[error("{0:?} leads out of the job's directory")]
    Leaves(String),
    /// It names no file.
    #[error("{0:?} names no file")]
    Empty(String),
    /// It holds a NUL, or a part of more than 255 bytes.
    #[error("{0:?} cannot be the name of a file")]
    Impossible(String),
}

impl Place {
    /// A place on this machine: one base, no shared filesystem.
    pub fn local(base: impl Into<PathBuf>) -> Self {
        Self { root: base.into(), efs: None, lustre: None, memory: None, quick_deploy: None, locked: false }
    }

    /// The contract's mount points on a host of AWS.
    pub fn aws(job: &Job) -> Self {
        Self {
            root: "/mnt/root".into(),
            efs: job.uses_efs.then(|| "/mnt/efs".into()),
            lustre: job.uses_lustre.then(|| "/mnt/fsx".into()),
            memory: Some(container::MEMORY_DIR.into()),
            quick_deploy: None,
            locked: true,
        }
    }

    /// The same place with a default quick-deploy folder.
    #[must_use]
    pub fn with_quick_deploy(mut self, folder: Option<String>) -> Self {
        self.quick_deploy = folder;
        self
    }

    /// The same place with a base for secrets.
    #[must_use]
    pub fn with_memory(mut self, base: Option<PathBuf>) -> Self {
        self.memory = base;
        self
    }

    /// A job's directories, in the order in which outputs are put: root, EFS, Lustre.
    pub fn dirs(&self, id: &JobId) -> Vec<Dirs> {
        let dirs = |filesystem, base: &PathBuf| {
            let job = base.join(id.as_str());
            let (input, output) = (job.join("input"), job.join("output"));
            Dirs { filesystem, base: base.clone(), input, output, job, secrets: None }
        };
        let secrets = self.memory.as_ref().map(|base| base.join(id.as_str()));
        let mut all = vec![Dirs { secrets, ..dirs(Filesystem::Root, &self.root) }];
        all.extend(self.efs.as_ref().map(|base| dirs(Filesystem::Efs, base)));
        all.extend(self.lustre.as_ref().map(|base| dirs(Filesystem::Lustre, base)));
        all
    }
}

/// Where the input and the code go: EFS and Lustre where there are any, else root.
pub fn fetched_to(dirs: &[Dirs]) -> Vec<&Dirs> {
    let shared: Vec<&Dirs> = dirs.iter().filter(|dirs| dirs.filesystem != Filesystem::Root).collect();
    if shared.is_empty() { dirs.iter().collect() } else { shared }
}

/// Where the payload is started: Lustre, else EFS, else root.
pub fn runs_in(dirs: &[Dirs]) -> Option<&Dirs> {
    dirs.last()
}

/// Makes a job's directories anew. Whatever a dead attempt left is removed first: what it half wrote is not
/// this attempt's output.
///
/// # Errors
/// The disk's own.
pub fn make(dirs: &[Dirs]) -> io::Result<()> {
    for one in dirs {
        remove(one)?;
        std::fs::create_dir_all(&one.input)?;
        std::fs::create_dir_all(&one.output)?;
        // An image's own user has to be able to write there, whatever the umask of the worker.
        std::fs::set_permissions(&one.output, PermissionsExt::from_mode(0o777))?;
        if one.filesystem == Filesystem::Root {
            make_checkpoint(&one.checkpoint())?;
        }
    }
    Ok(())
}

/// Makes the folder whose content outlives an interruption.
pub(crate) fn make_checkpoint(folder: &Path) -> io::Result<()> {
    std::fs::create_dir(folder)?;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o777))
}

/// Removes a job's directories on one filesystem, and its secrets; no error where there are none.
///
/// # Errors
/// The disk's own, after a second try with every directory made writable.
pub fn remove(dirs: &Dirs) -> io::Result<()> {
    let secrets = dirs.secrets.as_deref().map_or(Ok(()), remove_dir);
    remove_dir(&dirs.job).and(secrets)
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            // A payload may leave directories without write permission; root does not care, others do.
            unlock(path);
            match std::fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        }
    }
}

fn unlock(top: &Path) {
    let mut waiting = vec![top.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        // Failures show when the removal is tried again.
        let _ = std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o700));
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
    }
}

/// A path below `dir` for a name with `/` in it, as an object's key has. Empty parts and `.` are passed over,
/// as a file system does.
///
/// # Errors
/// Where the name leads out of `dir`, names no file, or cannot be one.
pub fn confined(dir: &Path, name: &str) -> Result<PathBuf, NameError> {
    confined_bytes(dir, name.as_bytes())
}

/// [`confined`] for a name that need not be text, as a file's is not.
///
/// # Errors
/// As there.
pub fn confined_bytes(dir: &Path, name: &[u8]) -> Result<PathBuf, NameError> {
    let short = || String::from_utf8_lossy(name).chars().take(120).collect::<String>();
    if name.is_empty() || name.ends_with(b"/") || name.ends_with(b"/.") {
        return Err(NameError::Empty(short()));
    }
    let mut path = dir.to_path_buf();
    let mut parts = 0;
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(NameError::Leaves(short())),
            part if part.contains(&0) || part.len() > 255 => return Err(NameError::Impossible(short())),
            part => path.push(OsStr::from_bytes(part)),
        }
        parts += 1;
    }
    if parts == 0 { Err(NameError::Empty(short())) } else { Ok(path) }
}

/// A path directly in `dir`, for a name that must be a single file's.
///
/// # Errors
/// As [`confined`], and where the name has more than one part.
pub fn confined_file(dir: &Path, name: &str) -> Result<PathBuf, NameError> {
    if name.contains('/') || name == "." {
        return Err(NameError::Impossible(name.chars().take(120).collect()));
    }
    confined(dir, name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bases_and_their_order_are_the_contracts() {
        let job = Job::from_env([
            ("UUID", "u"),
            ("INPUT_ZIP_NAME", "None"),
            ("IS_INVOKED", "True"),
            ("USES_EFS", "True"),
            ("USES_LUSTRE", "True"),
        ])
        .unwrap();
        let dirs = Place::aws(&job).dirs(&job.id);
        let outputs: Vec<String> = dirs.iter().map(|dirs| dirs.output.display().to_string()).collect();
        assert_eq!(outputs, ["/mnt/root/u/output", "/mnt/efs/u/output", "/mnt/fsx/u/output"]);
        assert_eq!(fetched_to(&dirs).len(), 2, "the zip goes to EFS and Lustre, not to root");
        assert_eq!(runs_in(&dirs).unwrap().filesystem, Filesystem::Lustre);
        assert_eq!(fetched_to(&dirs[..1]), [&dirs[0]]);
        let secrets: Vec<_> = dirs.iter().map(|dirs| dirs.secrets.as_deref()).collect();
        assert_eq!(secrets, [Some(Path::new("/run/shepard/u")), None, None]);
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let dir = Path::new("/base");
        assert_eq!(confined(dir, "a/b c.zip").unwrap(), Path::new("/base/a/b c.zip"));
        assert_eq!(confined(dir, "/etc//passwd").unwrap(), Path::new("/base/etc/passwd"));
        assert_eq!(confined(dir, "..."), Ok("/base/...".into()));
        for bad in ["..", "a/../b", "../x", "a/..", "", "/", "a/", ".", "a/.", "a\0b", &"x".repeat(256)] {
            assert!(confined(dir, bad).is_err(), "{bad:?}");
        }
        for bad in ["a/b", "..", ".", "/a", "", "a\0"] {
            assert!(confined_file(dir, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn directories_are_made_anew_and_removed() {
        let base = tempfile::tempdir().unwrap();
        let dirs = Place::local(base.path()).dirs(&JobId::parse("u").unwrap());
        make(&dirs).unwrap();
        let left = dirs[0].output.join("left");
        std::fs::write(&left, "x").unwrap();
        assert_eq!(std::fs::metadata(&dirs[0].output).unwrap().permissions().mode() & 0o777, 0o777);
        make(&dirs).unwrap();
        assert!(!left.exists(), "a dead attempt's output is not ours");
        std::fs::create_dir(dirs[0].output.join("locked")).unwrap();
        std::fs::set_permissions(dirs[0].output.join("locked"), PermissionsExt::from_mode(0o000)).unwrap();
        remove(&dirs[0]).unwrap();
        remove(&dirs[0]).unwrap();
        assert!(!dirs[0].job.exists());
    }

    #[test]
    fn secrets_outside_the_directories_go_with_them() {
        let temp = tempfile::tempdir().unwrap();
        let place = Place::local(temp.path().join("jobs")).with_memory(Some(temp.path().join("memory")));
        let (id, other) = (JobId::parse("u").unwrap(), JobId::parse("v").unwrap());
        let (dirs, others) = (place.dirs(&id), place.dirs(&other));
        let files = [&dirs, &others].map(|dirs| dirs[0].secrets.clone().unwrap().join("key"));
        let fill = || {
            for file in &files {
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, "hush").unwrap();
            }
        };
        fill();
        make(&dirs).unwrap();
        assert!(!files[0].exists() && files[1].exists(), "a dead attempt's secrets, and no other job's");
        fill();
        std::fs::set_permissions(files[0].parent().unwrap(), PermissionsExt::from_mode(0o500)).unwrap();
        remove(&dirs[0]).unwrap();
        assert!(!files[0].parent().unwrap().exists() && !dirs[0].job.exists() && files[1].exists());
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_directory(name in "[a./\\\\\u{0}é]{0,12}") {
            if let Ok(path) = confined(Path::new("/base"), &name) {
                prop_assert!(path.starts_with("/base") && path != Path::new("/base"));
                prop_assert!(path.components().all(|part| !matches!(part, std::path::Component::ParentDir)));
            }
        }
    }
}
