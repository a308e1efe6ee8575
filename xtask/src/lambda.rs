//! `cargo xtask lambda`: the Lambda program as one static binary in a zip, the same bytes whenever the sources are.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use crate::musl;

/// The profile in the workspace's `Cargo.toml`.
const PROFILE: &str = "lambda";
/// The name that the runtime `provided.al2023` starts.
const ENTRY: &str = "bootstrap";

/// Builds it; gives the zip's path.
///
/// # Errors
/// As [`musl::build`], and what the disk says.
pub(crate) fn build(root: &Path) -> io::Result<PathBuf> {
    let executable = musl::build(root, "shepard-bootstrap", ENTRY, PROFILE)?;
    let zip = executable.with_file_name("bootstrap.zip");
    fs::write(&zip, archive(&fs::read(&executable)?)?)?;
    Ok(zip)
}

/// One executable entry, without a date.
fn archive(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o755);
    zip.start_file(ENTRY, options)?;
    zip.write_all(bytes)?;
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zip_is_the_same_every_time_and_holds_one_program() {
        let first = archive(b"program").expect("a zip");
        assert_eq!(first, archive(b"program").expect("a zip"));
        let mut read = zip::ZipArchive::new(io::Cursor::new(first)).expect("a zip");
        assert_eq!(read.len(), 1);
        let entry = read.by_index(0).expect("the entry");
        assert_eq!(entry.name().expect("a name"), ENTRY);
        assert_eq!(entry.unix_mode().map(|mode| mode & 0o777), Some(0o755));
    }
}
