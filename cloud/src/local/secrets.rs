//! Secrets as files: every regular file in the flock's `secrets/` is one, named as the file is.
//!
//! Read anew each time, so that a secret a person changes is the next job's. Links and folders are no secrets.
//! Replacing them makes a whole new folder and puts it in the old one's place in one step, under a lock that readers
//! share: nobody reads half of the old and half of the new, whatever dies in between. Contents are never logged.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;

use super::FlockDir;
use super::objects::blocking;
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Secret, Secrets, Written};
use crate::secret;

const READ: &str = "read the secrets";
const WRITE: &str = "replace the secrets";
/// What a new folder is called while it is filled. What a writer that died left is swept by the next.
const STAGED: &str = ".secrets-";
/// Where the old folder is for an instant, on a file system that cannot exchange two folders.
const ASIDE: &str = ".secrets-before";

/// The secrets of a local flock.
#[derive(Debug)]
pub struct LocalSecrets {
    dir: FlockDir,
}

impl LocalSecrets {
    /// The secrets in a flock's folder. Opens nothing yet.
    pub fn new(dir: &FlockDir) -> Self {
        Self { dir: dir.clone() }
    }

    fn folder(&self) -> Folder {
        Folder { root: self.dir.path().to_path_buf(), path: self.dir.secrets() }
    }
}

#[async_trait]
impl Secrets for LocalSecrets {
    async fn read(&self) -> Result<Vec<Secret>> {
        let folder = self.folder();
        blocking(READ, move || folder.read()).await
    }

    async fn write(&self, secrets: &[Secret]) -> Result<Written> {
        let store = self.dir.secrets().display().to_string();
        secret::check(secrets).map_err(|bad| CloudError::new(WRITE, &store, Kind::Invalid).because(bad))?;
        let (folder, secrets) = (self.folder(), secrets.to_vec());
        let version = blocking(WRITE, move || folder.write(&secrets, exchange)).await?;
        Ok(Written { store, version })
    }
}

/// How two folders change places; a parameter, because few file systems cannot and tests have none of those.
type Exchange = fn(&Path, &Path) -> Result<(), Errno>;

fn exchange(one: &Path, other: &Path) -> Result<(), Errno> {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}

struct Folder {
    /// The flock's.
    root: PathBuf,
    /// The secrets', in it.
    path: PathBuf,
}

impl Folder {
    fn read(&self) -> Result<Vec<Secret>> {
        // Where no lock can be made, as on a disk that is mounted to be read, nobody writes either.
        let _shared = self.lock(FlockOperation::LockShared).ok();
        let aside = self.root.join(ASIDE);
        // Without its name, a writer that could not exchange the folders died between two steps.
        let path = if !self.path.exists() && aside.is_dir() { &aside } else { &self.path };
        read(path)
    }

    fn write(&self, secrets: &[Secret], exchange: Exchange) -> Result<String> {
        let failed = |path: &Path, error| CloudError::io(WRITE, path.display().to_string(), error);
        let _alone = self.lock(FlockOperation::LockExclusive).map_err(|error| failed(&self.root, error))?;
        self.sweep().map_err(|error| failed(&self.root, error))?;
        super::home::private_dir(&self.path)?;
        self.check()?;
        let staged = tempfile::Builder::new()
            .prefix(STAGED)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&self.root)
            .map_err(|error| failed(&self.root, error))?;
        for secret in secrets {
            let path = staged.path().join(&secret.name);
            put(&path, &secret.bytes).map_err(|error| failed(&self.path.join(&secret.name), error))?;
        }
        let version = version(staged.path());
        self.replace(staged.path(), exchange).map_err(|error| failed(&self.path, error))?;
        Ok(version)
    }

    fn lock(&self, how: FlockOperation) -> io::Result<File> {
        let path = self.root.join("secrets.lock");
        let file =
            File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        rustix::fs::flock(&file, how)?;
        Ok(file)
    }

    /// Ends what a writer that died began. Under the lock: nobody else is at it.
    fn sweep(&self) -> io::Result<()> {
        let aside = self.root.join(ASIDE);
        if !self.path.exists() && aside.is_dir() {
            fs::rename(aside, &self.path)?;
        }
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(STAGED)) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Refuses to replace what a person made of the folder: a link to elsewhere, folders and links in it.
    fn check(&self) -> Result<()> {
        let failed = |error| CloudError::io(WRITE, self.path.display().to_string(), error);
        let refused = |path: &Path, why: &'static str| {
            Err(CloudError::new(WRITE, path.display().to_string(), Kind::Conflict).because(why))
        };
        if !fs::symlink_metadata(&self.path).map_err(failed)?.is_dir() {
            return refused(&self.path, "it is a link; replace the files where it leads to by hand");
        }
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_type().map_err(failed)?.is_file() {
                return refused(
                    &entry.path(),
                    "it is no file, so no secret, and would be lost; move it away",
                );
            }
        }
        Ok(())
    }

    fn replace(&self, staged: &Path, exchange: Exchange) -> io::Result<()> {
        File::open(staged)?.sync_all()?;
        match exchange(staged, &self.path) {
            // The old folder has the name of the new one now, and goes with it.
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV) => {
                let aside = self.root.join(ASIDE);
                fs::rename(&self.path, &aside)?;
                if let Err(error) = fs::rename(staged, &self.path) {
                    fs::rename(&aside, &self.path)?;
                    return Err(error);
                }
                fs::remove_dir_all(aside)?;
            }
            Err(error) => return Err(error.into()),
        }
        File::open(&self.root)?.sync_all()
    }
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A folder here keeps no versions; the new one's random name tells one replacement from another.
fn version(staged: &Path) -> String {
    let name = staged.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.trim_start_matches(STAGED).to_owned()
}

fn read(folder: &Path) -> Result<Vec<Secret>> {
    let failed = |path: &Path, error| CloudError::io(READ, path.display().to_string(), error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed(folder, error))?,
    };
    let mut secrets = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let kind = entry.file_type().map_err(|error| failed(&entry.path(), error))?;
        if !kind.is_file() {
            continue;
        }
        // A job that silently went without one of its secrets would fail for a reason nobody could find.
        let name = entry.file_name().into_string().map_err(|_| {
            CloudError::new(READ, entry.path().display().to_string(), Kind::Invalid)
                .because("the name of the file is not UTF-8; give it another")
        })?;
        let bytes = fs::read(entry.path()).map_err(|error| failed(&entry.path(), error))?;
        secrets.push(Secret { name, bytes });
    }
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(secrets)
}

#[cfg(test)]
mod tests;
