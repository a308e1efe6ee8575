//! Small files out of a container, whether it runs or not.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt as _;

use crate::connect::Engine;
use crate::error::{EngineError, Kind, Result};

/// Links that are followed one after another.
const LINKS: usize = 8;
/// What an archive of one file has beyond the file, at most: headers, long names, padding.
const AROUND: usize = 64 * 1024;

impl Engine {
    /// Reads a file of a container: None where there is none, or it is no file. Links are followed inside the container.
    ///
    /// # Errors
    /// The file has more than `most` bytes, or the engine went away.
    pub async fn read_file(&self, container: &str, path: &str, most: usize) -> Result<Option<Vec<u8>>> {
        const DOING: &str = "read a file of the container";
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let options = DownloadFromContainerOptionsBuilder::default().path(&path).build();
            let mut stream = Box::pin(self.docker.download_from_container(container, Some(options)));
            let mut bytes = Vec::new();
            while let Some(part) = stream.next().await {
                let part = match part.map_err(|error| EngineError::of(DOING, container, &error)) {
                    Err(error) if error.kind == Kind::NotFound => return Ok(None),
                    part => part?,
                };
                bytes.extend_from_slice(&part);
                if bytes.len() > most.saturating_add(AROUND) {
                    let said = format!("{path} has more than {most} bytes");
                    return Err(EngineError::new(DOING, container, Kind::Invalid, said));
                }
            }
            let odd = |error: std::io::Error| {
                EngineError::new(DOING, container, Kind::Other, format!("{path}: {error}"))
            };
            let mut archive = tar::Archive::new(bytes.as_slice());
            let Some(entry) = archive.entries().map_err(odd)?.next() else { return Ok(None) };
            let mut entry = entry.map_err(odd)?;
            if let Some(link) = entry.link_name().map_err(odd)? {
                path = followed(&path, &link);
                continue;
            }
            if !entry.header().entry_type().is_file() {
                return Ok(None);
            }
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(odd)?;
            return Ok(Some(content));
        }
        Ok(None)
    }
}

/// Where a link at `path` leads, without `..`, never above the container's root.
fn followed(path: &str, link: &Path) -> String {
    let from = Path::new(path).parent().unwrap_or(Path::new("/")).join(link);
    let mut plain = PathBuf::from("/");
    for part in from.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        assert_eq!(followed("/etc/passwd", Path::new("../../../x/./y")), "/x/y");
        assert_eq!(followed("/etc/passwd", Path::new("/nix/passwd")), "/nix/passwd");
        assert_eq!(followed("/etc/passwd", Path::new("static")), "/etc/static");
    }
}
