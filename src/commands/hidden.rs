//! The subcommands that no person types: the supervisor, the worker, and the unzip of the example payload.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::{Context, Exit};
use crate::local;
use crate::operations::{OperationError, Result, flocks};

/// Runs the supervisor of a flock until it is idle or told to stop.
pub(super) fn supervise(context: &Context<'_>, name: &str) -> Result<Exit> {
    let flock = flocks::find(&context.home(), name)?;
    local::supervise(&flock)?;
    Ok(Exit::Ok)
}

/// Runs one attempt at a job; its environment says which.
pub(super) fn worker(context: &Context<'_>, name: &str) -> Result<ExitCode> {
    let flock = flocks::find(&context.home(), name)?;
    Ok(local::run_worker(&flock))
}

/// Unpacks a zip below a directory. Entries that would leave it are an error.
pub(super) fn unpack(path: &Path, to: &Path) -> Result<Exit> {
    let bad = |error: zip::result::ZipError| {
        OperationError::Environment(format!("cannot unpack {}: {error}", path.display()))
    };
    let file = fs::File::open(path).map_err(OperationError::io("open", path))?;
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(bad)?;
    archive.extract(to).map_err(bad)?;
    Ok(Exit::Ok)
}
