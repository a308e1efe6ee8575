//! `cargo xtask lambda`: the Lambda program as one static binary in a zip, the same bytes whenever the sources are.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// What it is built for: nothing of the machine it runs on but the kernel.
const TARGET: &str = "x86_64-unknown-linux-musl";
/// The profile in the workspace's `Cargo.toml`.
const PROFILE: &str = "lambda";
/// The name that the runtime `provided.al2023` starts.
const ENTRY: &str = "bootstrap";

/// Builds it; gives the zip's path.
///
/// # Errors
/// A tool is missing, with how to get it; or the build fails, whose own words are on the terminal then.
pub(crate) fn build(root: &Path) -> io::Result<PathBuf> {
    tools()?;
    let executable = compiled(root)?;
    let bytes = fs::read(&executable)?;
    if !is_static(&bytes) {
        return Err(io::Error::other(format!("{} asks for a dynamic loader", executable.display())));
    }
    let zip = executable.with_file_name("bootstrap.zip");
    fs::write(&zip, archive(&bytes)?)?;
    Ok(zip)
}

fn tools() -> io::Result<()> {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
    if !asked.status.success() || !libraries.is_dir() {
        return Err(io::Error::other(format!(
            "the target is missing; get it with: rustup target add {TARGET}"
        )));
    }
    let compiler =
        env::var(format!("CC_{}", TARGET.replace('-', "_"))).unwrap_or_else(|_| "musl-gcc".to_owned());
    let there = Command::new(&compiler).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(io::Error::other(format!("{compiler} is missing; on Debian get it with: apt-get install musl-tools")))
}

/// Has cargo build it and say where it put it.
fn compiled(root: &Path) -> io::Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--locked", "--package", "shepard-bootstrap", "--bin", ENTRY])
        .args(["--profile", PROFILE, "--target", TARGET, "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("the build failed"));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|said| said["executable"].as_str().map(PathBuf::from))
        .find(|path| path.file_name().is_some_and(|name| name == ENTRY))
        .ok_or_else(|| io::Error::other("cargo did not say where it put the program"))
}

/// A 64-bit ELF file without an entry for an interpreter in its program headers.
fn is_static(elf: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = elf.get(at..at.checked_add(length)?)?;
        bytes
            .iter()
            .rev()
            .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))
    };
    let headers = || Some((number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?));
    let Some((start, size, count)) = headers() else { return false };
    elf.starts_with(b"\x7fELF\x02")
        && (0..count)
            .all(|index| number(start + index * size, 4).is_some_and(|kind| kind != INTERPRETER as usize))
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

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        let here = fs::read(env::current_exe().expect("this test")).expect("its bytes");
        let dynamic = Command::new("ldd").arg(env::current_exe().expect("this test")).output();
        let dynamic = dynamic.is_ok_and(|said| said.status.success());
        assert_eq!(is_static(&here), !dynamic);
        assert!(!is_static(b"\x7fELF"), "half a file");
    }
}
