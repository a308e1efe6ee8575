//! The example payload and samples, carried in the binary so that `shepard demo` needs no checkout.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::operations::{OperationError, Result};

/// The sample that is damaged on purpose.
pub(super) const DAMAGED: &str = "soil-b";

const RUN: &str = include_str!("../../examples/payload/run.sh");

macro_rules! samples {
    ($($name:literal)*) => {
        [$((
            $name,
            include_str!(concat!("../../examples/samples/", $name, "/inputs.txt")),
            include_str!(concat!("../../examples/samples/", $name, "/reads.fastq")),
        )),*]
    };
}

const SAMPLES: [(&str, &str, &str); 12] = samples!(
    "barley-1" "barley-2" "barley-3" "control" "phage-x" "phage-y"
    "soil-a" "soil-b" "soil-c" "yeast-1" "yeast-2" "yeast-3"
);

/// Writes the payload below `dir`; gives its folder. `executable` is what unpacks the input on a machine that has
/// no unzip.
pub(super) fn payload(dir: &Path, executable: &Path) -> Result<PathBuf> {
    let folder = dir.join("payload");
    let script = folder.join("run.sh");
    write(&script, RUN)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
        .map_err(OperationError::io("make executable", &script))?;
    write(&folder.join("shepard.path"), &executable.to_string_lossy())?;
    Ok(folder)
}

/// Writes the samples below `dir`; gives their folder.
pub(super) fn samples(dir: &Path) -> Result<PathBuf> {
    let folder = dir.join("samples");
    for (name, inputs, reads) in SAMPLES {
        write(&folder.join(name).join("inputs.txt"), inputs)?;
        write(&folder.join(name).join("reads.fastq"), reads)?;
    }
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(OperationError::io("make", parent))?;
    }
    fs::write(path, text).map_err(OperationError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::preflight::{Request, examine};

    #[test]
    fn every_sample_is_a_job() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = samples(dir.path()).expect("written");
        let plan = examine(&Request { path, ..Request::default() }).expect("examined");
        assert_eq!((plan.jobs.len(), plan.accepted().count()), (12, 12));
        assert!(plan.jobs.iter().any(|job| job.name == DAMAGED));
        assert!(plan.jobs.iter().all(|job| job.warnings.is_empty()), "no two are alike");
    }
}
