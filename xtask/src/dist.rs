//! `cargo xtask dist`: what a person is given: the console with the Lambda program in it, and beside it the worker of flocks'
//! images and the Lambda program's zip.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use crate::{lambda, musl};

/// Names the zip to the console's build script.
const EMBED: &str = "SHEPARD_EMBED_LAMBDA";

/// Builds all three; gives the folder that they are in.
///
/// # Errors
/// As [`musl::build`], and what the disk says.
pub(crate) fn build(root: &Path, worker_profile: &str) -> io::Result<PathBuf> {
    let zip = lambda::build(root)?;
    let worker = musl::build(root, "shepard-container", "worker", worker_profile)?;
    let console = console(root, &zip)?;
    let made = console.with_file_name("dist");
    fs::create_dir_all(&made)?;
    // The names under which the console looks for them beside itself.
    for (from, name) in
        [(&console, "shepard"), (&worker, "shepard-worker-amd64"), (&zip, "shepard-lambda-x86_64.zip")]
    {
        fs::copy(from, made.join(name))?;
    }
    Ok(made)
}

fn console(root: &Path, zip: &Path) -> io::Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .env(EMBED, zip)
        .args(["build", "--locked", "--release", "--package", "shepard", "--bin", "shepard"])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("the build of the console failed"));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|said| said["executable"].as_str().map(PathBuf::from))
        .find(|path| path.file_stem().is_some_and(|name| name == "shepard"))
        .ok_or_else(|| io::Error::other("cargo did not say where it put the console"))
}
