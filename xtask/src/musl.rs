//! Static programs: what runs in a container or an environment that holds nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use shepard_engine::elf::Program;

/// What they are built for: nothing of the machine they run on but the kernel.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Has cargo build a program of a package under a profile; gives its path.
///
/// # Errors
/// A tool is missing, with how to get it; or the build fails, whose own words are on the terminal then; or what it makes
/// asks for a dynamic loader.
pub(crate) fn build(root: &Path, package: &str, program: &str, profile: &str) -> io::Result<PathBuf> {
    tools()?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--locked", "--package", package, "--bin", program])
        .args(["--profile", profile, "--target", TARGET, "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("the build failed"));
    }
    let executable = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|said| said["executable"].as_str().map(PathBuf::from))
        .find(|path| path.file_name().is_some_and(|name| name == program))
        .ok_or_else(|| io::Error::other("cargo did not say where it put the program"))?;
    match Program::read(&fs::read(&executable)?) {
        Some(Program { is_static: true, .. }) => Ok(executable),
        _ => Err(io::Error::other(format!("{} is no static program", executable.display()))),
    }
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
