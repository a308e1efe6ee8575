//! Outputs larger than the memory a worker may take. Alone in its binary: it looks at the process's peak.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs::File;
use std::sync::atomic::AtomicBool;

use shepard_worker::archive::{ArchiveError, Source, write};

/// Peak resident memory in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("output");
    std::fs::create_dir(&tree).unwrap();
    File::create(tree.join("zeros")).unwrap().set_len(200 << 20).unwrap();
    let to = dir.path().join("result.zip");
    let sources = [Source::Tree { dir: tree, prefix: "" }];
    let before = peak();
    let written = write(&to, &sources, &AtomicBool::new(false)).unwrap();
    assert_eq!((written.entries, written.bytes), (1, 200 << 20));
    assert!(peak() - before < 32 * 1024, "{} KiB before, {} after", before, peak());
    let mut zip = zip::ZipArchive::new(File::open(&to).unwrap()).unwrap();
    assert_eq!(zip.by_index(0).unwrap().size(), 200 << 20);

    let again = write(&to, &sources, &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(again, ArchiveError::Write(_)), "an archive that is there is not written over");
    assert!(to.exists());
    let given_up = dir.path().join("given_up.zip");
    let error = write(&given_up, &sources, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, ArchiveError::GivenUp) && !given_up.exists(), "nothing half is left");
}
