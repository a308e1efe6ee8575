//! The subcommands that no person types: the supervisor, the worker, and the unzip of the example payload.

use std::fs;
use std::path::Path;

use super::{Context, Exit};
use crate::operations::{OperationError, Result};

/// Runs the supervisor of a flock until it is idle or told to stop.
pub(super) async fn supervise(_context: &Context<'_>, name: &str) -> Result<Exit> {
    Err(OperationError::Environment(format!("the supervisor of {name} is not part of this build")))
}

/// Runs one attempt at a job; its environment says which.
pub(super) async fn worker(_context: &Context<'_>, name: &str) -> Result<Exit> {
    Err(OperationError::Environment(format!("the worker of {name} is not part of this build")))
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
