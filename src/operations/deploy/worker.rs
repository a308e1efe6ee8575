//! The worker program that a flock's image is made with: where it is, and for which processors.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use shepard_engine::elf::Program;

use super::super::error::{OperationError, Result};

/// Names a worker where none is named otherwise.
const VARIABLE: &str = "SHEPARD_WORKER";

/// The worker for an architecture as images name it: the one that was named, or the one that `SHEPARD_WORKER` names, or
/// the one beside this program.
///
/// # Errors
/// There is none, or it is for other processors.
pub(super) fn find(named: Option<&Path>, architecture: &str) -> Result<PathBuf> {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let worker = match named.map(Path::to_owned).or(variable) {
        Some(worker) => worker,
        None => beside(&std::env::current_exe().unwrap_or_default(), architecture),
    };
    let made = "`cargo xtask worker` makes one; --worker FILE or SHEPARD_WORKER names one that is elsewhere";
    let mut headers = Vec::with_capacity(Program::HEADERS);
    let read =
        File::open(&worker).and_then(|file| file.take(Program::HEADERS as u64).read_to_end(&mut headers));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OperationError::NotFound(format!(
                "there is no worker for {architecture} at {}; {made}",
                worker.display()
            )));
        }
        read => drop(read.map_err(OperationError::io("read the worker", &worker))?),
    }
    match Program::read(&headers) {
        Some(program) if program.architecture == architecture => Ok(worker),
        Some(program) => Err(OperationError::Refused(format!(
            "the payload is for {architecture} and the worker {} for {}; build the payload with --platform linux/{} or \
             give a worker for {architecture}: {made}",
            worker.display(),
            program.architecture,
            program.architecture
        ))),
        None => Err(OperationError::Refused(format!(
            "{} is no worker: it is no program for 64-bit Linux; {made}",
            worker.display()
        ))),
    }
}

fn beside(program: &Path, architecture: &str) -> PathBuf {
    program.with_file_name(format!("shepard-worker-{architecture}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_missing_or_for_others_is_one_line_that_says_what_to_do() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("worker");
        let said = find(Some(&file), "amd64").expect_err("missing").to_string();
        assert!(said.contains("no worker for amd64") && said.contains("cargo xtask worker"), "{said}");

        std::fs::write(&file, "#!/bin/sh").expect("write");
        assert!(find(Some(&file), "amd64").expect_err("a script").to_string().contains("is no worker"));

        let mut program = vec![0; 64];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program[0x12] = 183;
        std::fs::write(&file, program).expect("write");
        assert_eq!(find(Some(&file), "arm64").expect("it fits"), file);
        let said = find(Some(&file), "amd64").expect_err("for others").to_string();
        assert!(said.contains("payload is for amd64") && said.contains("--platform linux/arm64"), "{said}");
        assert_eq!(
            beside(Path::new("/usr/bin/shepard"), "arm64"),
            Path::new("/usr/bin/shepard-worker-arm64")
        );
    }
}
