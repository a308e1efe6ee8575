//! Secrets as files: every regular file in the flock's `secrets/` is one, named as the file is.
//!
//! Read anew each time, so that a secret a person changes is the next job's. Never written, never logged; links
//! and folders are no secrets.

use std::fs;
use std::io;
use std::path::Path;

use async_trait::async_trait;

use super::FlockDir;
use super::objects::blocking;
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Secret, Secrets};

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
}

#[async_trait]
impl Secrets for LocalSecrets {
    async fn read(&self) -> Result<Vec<Secret>> {
        let folder = self.dir.secrets();
        blocking("read the secrets", move || read(&folder)).await
    }
}

fn read(folder: &Path) -> Result<Vec<Secret>> {
    let failed = |path: &Path, error| CloudError::io("read the secrets", path.display().to_string(), error);
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
            CloudError::new("read the secrets", entry.path().display().to_string(), Kind::Invalid)
                .because("the name of the file is not UTF-8; give it another")
        })?;
        let bytes = fs::read(entry.path()).map_err(|error| failed(&entry.path(), error))?;
        secrets.push(Secret { name, bytes });
    }
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_are_secrets_and_nothing_else_is() {
        let temp = tempfile::tempdir().expect("temp");
        assert_eq!(read(&temp.path().join("none")).expect("no folder"), []);
        fs::write(temp.path().join("token"), b"s3cret\0").expect("write");
        fs::write(temp.path().join("a key"), b"").expect("write");
        fs::create_dir(temp.path().join("folder")).expect("folder");
        std::os::unix::fs::symlink("/etc/passwd", temp.path().join("link")).expect("link");
        let secrets = read(temp.path()).expect("read");
        assert_eq!(secrets.iter().map(|secret| &*secret.name).collect::<Vec<_>>(), ["a key", "token"]);
        assert_eq!(secrets[1].bytes, b"s3cret\0");
        assert!(!format!("{secrets:?}").contains("s3cret"));
    }
}
