//! Outputs larger than the memory a worker may take. Alone in its binary: it looks at the process's peak.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::sync::atomic::AtomicBool;

use shepard_worker::archive::{ArchiveError, Source, write};

/// Peak resident memory in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn memory_does_not_grow_with_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("output");
    std::fs::create_dir(&tree).unwrap();
    // One that is deflated, one whose beginning says that it is not worth it.
    File::create(tree.join("zeros")).unwrap().set_len(200 << 20).unwrap();
    let mut noise = File::create(tree.join("noise")).unwrap();
    let mut random = vec![0; 1 << 20];
    File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    noise.write_all(&random).unwrap();
    noise.set_len(100 << 20).unwrap();
    let sources = || vec![Source::Tree { dir: tree.clone(), prefix: "" }];
    let mut sink = Counting(0);
    let before = peak();
    let written = write(&mut sink, sources(), &AtomicBool::new(false)).unwrap();
    assert_eq!((written.entries, written.bytes), (2, 300 << 20));
    assert!(peak() - before < 8 * 1024, "{} KiB before, {} after", before, peak());
    assert!(sink.0 > 100 << 20 && sink.0 < 104 << 20, "{}", sink.0);

    let error = write(&mut Counting(0), sources(), &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, ArchiveError::GivenUp), "{error}");
}
