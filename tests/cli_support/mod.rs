//! What the tests of the subcommands share: directories of their own, the built binary, and what it says.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// XDG directories and a home directory, gone when it is dropped.
pub struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["data", "config", "state", "home"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `shepard …` in this world and no other.
    pub fn shepard(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shepard"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path().join("home"))
            .env("XDG_DATA_HOME", self.path().join("data"))
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("XDG_STATE_HOME", self.path().join("state"))
            .stdin(Stdio::null());
        command
    }
}

impl Drop for World {
    /// A test that failed half-way must not leave a supervisor behind.
    fn drop(&mut self) {
        for flock in ["f", "demo"] {
            let _ = self.shepard(&["local", "rm", flock, "--yes", flock]).output();
        }
    }
}

/// A zip of these files.
pub fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Runs the binary to its end.
pub fn run(world: &World, arguments: &[&str]) -> Output {
    world.shepard(arguments).output().unwrap()
}

/// Runs it; it must succeed.
pub fn ok(world: &World, arguments: &[&str]) -> Output {
    let output = run(world, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs it for its JSON; it must succeed.
pub fn json(world: &World, arguments: &[&str]) -> Value {
    let output = ok(world, &[arguments, &["--output", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs it; it must fail, say why in one line or more, and print nothing. Gives its exit code.
pub fn fails(world: &World, arguments: &[&str]) -> i32 {
    let output = run(world, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert!(said.contains("error"), "{arguments:?} said only {said:?}");
    output.status.code().unwrap()
}

/// What it printed.
pub fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Waits for something to become so; gives up only where it never does.
pub fn until(mut so: impl FnMut() -> bool) {
    for _ in 0..1800 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it never came to be");
}
