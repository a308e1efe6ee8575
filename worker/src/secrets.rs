//! A flock's secrets to where the payload finds them: `<root input>/secrets`.
//!
//! A payload in a container finds them there although they lie elsewhere: on a memory filesystem of the host, outside
//! the job's directories, so that no disk ever holds them and nothing that copies the job's directories takes them along.
//! Where the place has none, or one that is not to be trusted, they are written into the job's own directory, which goes
//! when the job does. Either way only the worker's user may read them. No content is ever in an error.

use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use shepard_cloud::ports::{Ports, Secret};
use shepard_model::names::Filesystem;

use crate::fetch::Trouble;
use crate::place::{Dirs, confined_file};
use crate::row::{Patience, patiently};

/// What became of the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Laid {
    /// How many there are.
    pub count: usize,
    /// Why they lie in the job's directory although the place has a memory filesystem; a part of a sentence.
    pub on_disk: Option<String>,
}

/// Reads the flock's secrets and writes them to where the payload is to find them. The folder `<root input>/secrets` is
/// there afterwards, even where there are no secrets.
///
/// # Errors
/// The store's errors, names that cannot be files, the disk's.
pub async fn fetch(ports: &Ports, dirs: &[Dirs]) -> Result<Laid, Trouble> {
    let Some(root) = dirs.iter().find(|dirs| dirs.filesystem == Filesystem::Root) else {
        return Ok(Laid::default());
    };
    let secrets = patiently(ports.clock.as_ref(), Patience::Ordinary, || ports.secrets.read())
        .await
        .map_err(|error| Trouble::cloud("reading the secrets", &error))?;
    let (seen, aside) = (root.input.join("secrets"), root.secrets.clone());
    let laid = tokio::task::spawn_blocking(move || lay(&seen, aside.as_deref(), &secrets)).await;
    laid.map_err(|error| Trouble(format!("{error} (while writing the secrets)")))?
}

/// The folder outside the job's directories that holds the secrets of this attempt; None where they lie inside.
pub fn aside(dirs: &[Dirs]) -> Option<PathBuf> {
    dirs.iter().find_map(|dirs| dirs.secrets.clone()).filter(|folder| folder.is_dir())
}

/// Where this machine's own user can keep secrets in memory, for an owner that nobody else on the machine is: the folder
/// of a local flock. None where there is no such place. Makes nothing yet.
///
/// `runtime` is the user's own directory for such things, `XDG_RUNTIME_DIR`.
pub fn memory_of(owner: &Path, runtime: Option<&Path>) -> Option<PathBuf> {
    // Two flocks may have jobs of the same id; each has a base of its own.
    let digest = Sha256::digest(owner.as_os_str().as_encoded_bytes());
    let mark: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let user = rustix::process::geteuid().as_raw();
    let shared = Path::new("/dev/shm");
    match runtime.filter(|path| path.is_absolute() && fit(path).is_ok()) {
        Some(own) => Some(own.join(format!("shepard-{mark}"))),
        None if is_memory(shared) => Some(shared.join(format!("shepard-{user}-{mark}"))),
        None => None,
    }
}

fn lay(seen: &Path, aside: Option<&Path>, secrets: &[Secret]) -> Result<Laid, Trouble> {
    let trouble = |error: io::Error| Trouble::io("writing the secrets", &error);
    let count = secrets.len();
    let taken = match std::fs::DirBuilder::new().mode(0o755).create(seen) {
        // The input's key begins with `secrets/`: its file is there already.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && seen.is_dir() => true,
        made => made.map(|()| false).map_err(trouble)?,
    };
    if count == 0 {
        return Ok(Laid::default());
    }
    let mut on_disk = None;
    if let Some(folder) = aside {
        if taken {
            // What is put over that folder would hide it.
            on_disk = Some("the job's input lies in the folder of the secrets".to_owned());
        } else {
            match ready(folder.parent().unwrap_or(folder)) {
                Ok(()) => {
                    std::fs::DirBuilder::new().mode(0o700).create(folder).map_err(trouble)?;
                    write(folder, secrets)?;
                    return Ok(Laid { count, on_disk });
                }
                Err(why) => on_disk = Some(why),
            }
        }
    }
    std::fs::set_permissions(seen, PermissionsExt::from_mode(0o700)).map_err(trouble)?;
    write(seen, secrets)?;
    Ok(Laid { count, on_disk })
}

fn write(folder: &Path, secrets: &[Secret]) -> Result<(), Trouble> {
    let trouble = |error: io::Error| Trouble::io("writing the secrets", &error);
    for secret in secrets {
        let path = confined_file(folder, &secret.name).map_err(|error| {
            Trouble(format!(
                "the name of a secret cannot be that of a file: {error}; remove it with `shepard secrets rm` or push \
                 the secrets again"
            ))
        })?;
        let file = std::fs::File::options().write(true).create_new(true).mode(0o400).open(path);
        let mut file = file.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Trouble(format!("two files want to be the secret {:?}; rename one of them", secret.name))
            }
            _ => trouble(error),
        })?;
        file.write_all(&secret.bytes).map_err(trouble)?;
    }
    Ok(())
}

/// Makes the base where it is missing and its parent is memory. Then it must be fit.
fn ready(base: &Path) -> Result<(), String> {
    let missing = std::fs::symlink_metadata(base).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if missing && base.parent().is_some_and(is_memory) {
        match std::fs::DirBuilder::new().mode(0o700).create(base) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(format!("{} cannot be made: {error}", base.display()));
            }
            _ => {}
        }
    }
    fit(base)
}

/// A directory in memory into which nobody but this user and the system's puts anything.
fn fit(base: &Path) -> Result<(), String> {
    let shown = base.display();
    let found =
        std::fs::symlink_metadata(base).map_err(|error| format!("{shown} cannot be used: {error}"))?;
    let user = rustix::process::geteuid().as_raw();
    if !found.is_dir() {
        Err(format!("{shown} is no directory"))
    } else if !is_memory(base) {
        Err(format!("{shown} is not in memory"))
    } else if ![0, user].contains(&found.uid()) {
        Err(format!("{shown} belongs to another user"))
    } else if found.mode() & 0o022 != 0 {
        Err(format!("{shown} may be written to by others"))
    } else {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn is_memory(path: &Path) -> bool {
    /// Of linux/magic.h.
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    const RAMFS: rustix::fs::FsWord = 0x8584_58f6;
    rustix::fs::statfs(path).is_ok_and(|found| [TMPFS, RAMFS].contains(&found.f_type))
}

/// Only Linux says of what kind a filesystem is in a way that can be relied on.
#[cfg(not(target_os = "linux"))]
fn is_memory(_: &Path) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
