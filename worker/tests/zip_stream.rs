//! The format of a zip at its limits: 32 bits of size and offset, 16 bits of count, the years of its clock.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use shepard_worker::zip_stream::{Fault, Head, ZipStream, dos_time};

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|n| b"the quick brown fox\n"[n % 20]).collect()
}

/// A zip of more than 4 GiB, of which nearly all is zeros that take no room on the disk.
struct Sparse {
    to: File,
    at: u64,
}

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Compared as a whole: byte by byte takes a minute without optimisation.
        static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
        if bytes != &ZEROS[..bytes.len()] {
            self.to.write_all_at(bytes, self.at)?;
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.set_len(self.at)
    }
}

#[test]
fn more_than_four_gigabytes() {
    let temp = tempfile::tempdir().unwrap();
    const LENGTH: u64 = (4 << 30) + 12_345;
    let zip = temp.path().join("result.zip");
    let mut stream = ZipStream::new(Sparse { to: File::create(&zip).unwrap(), at: 0 });
    let start = noise(1 << 20);
    let mut add = |name: &str, expected: u64, content: &mut dyn io::Read| {
        let head =
            Head { name: name.as_bytes(), mode: 0o644, modified: dos_time(2026, 11, 21, 0, 0, 0), expected };
        stream.file(&head, &mut { content }).unwrap()
    };
    // Its beginning says that it is not worth deflating.
    let mut big = start[..].chain(io::repeat(0)).take(LENGTH);
    assert_eq!(add("a big", LENGTH, &mut big), LENGTH);
    add("b small, behind it", 5, &mut &b"small"[..]);
    add("c larger, behind it", 400_000, &mut &text(400_000)[..]);
    stream.finish().unwrap();
    let mut archive = zip::ZipArchive::new(File::open(&zip).unwrap()).unwrap();
    let sizes = |entry: zip::read::ZipFile<'_, File>| (entry.size(), entry.compressed_size());
    assert_eq!(sizes(archive.by_name("a big").unwrap()), (LENGTH, LENGTH));
    const READ: &str = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\n\
                        assert z.read('b small, behind it') == b'small'\n\
                        assert len(z.read('c larger, behind it')) == 400000\n\
                        assert z.getinfo('a big').file_size == (4 << 30) + 12345\n\
                        assert z.open('a big').read(10).hex() == sys.argv[2]";
    let first: String = start[..10].iter().map(|byte| format!("{byte:02x}")).collect();
    let output = Command::new("python3").args(["-c", READ]).arg(&zip).arg(first).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = Command::new("unzip").arg("-l").arg(&zip).output();
    if let Ok(list) = list {
        assert!(list.status.success());
        assert!(String::from_utf8_lossy(&list.stdout).contains(&LENGTH.to_string()));
    }
    // What follows it is where a reader from the front looks for it: sixteen bytes of sizes.
    let mut file = File::open(&zip).unwrap();
    let header = 30 + "a big".len() as u64 + 20;
    file.seek(SeekFrom::Start(header + LENGTH)).unwrap();
    let mut follows = [0; 28];
    file.read_exact(&mut follows).unwrap();
    assert_eq!(&follows[..4], b"PK\x07\x08");
    assert_eq!(follows[8..16], LENGTH.to_le_bytes());
    assert_eq!(&follows[24..], b"PK\x03\x04");
}

/// Its sizes would have 32 bits; they do not fit, and a zip that says otherwise cannot be read.
#[test]
fn a_file_that_grows_past_four_gigabytes_while_it_is_read() {
    let mut stream = ZipStream::new(io::sink());
    let head = Head { name: b"a", mode: 0o644, modified: dos_time(2026, 11, 21, 0, 0, 0), expected: 3 << 30 };
    let start = noise(1 << 20);
    let mut endless = start[..].chain(io::repeat(0));
    let fault = stream.file(&head, &mut endless).unwrap_err();
    assert!(matches!(fault, Fault::Read(error) if error.to_string().contains("more than 4 GiB")));
}

#[test]
fn more_entries_than_sixteen_bits_count() {
    let temp = tempfile::tempdir().unwrap();
    let zip = temp.path().join("many.zip");
    let mut stream = ZipStream::new(io::BufWriter::new(File::create(&zip).unwrap()));
    for number in 0..70_000 {
        let name = format!("{number:06}");
        let head = Head {
            name: name.as_bytes(),
            mode: 0o644,
            modified: dos_time(2026, 11, 21, 10, 9, 8),
            expected: 3,
        };
        stream.file(&head, &mut &b"abc"[..]).unwrap();
    }
    stream.finish().unwrap();
    const READ: &str = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert len(z.namelist()) == 70000\n\
                        assert z.read('069999') == b'abc'\n\
                        assert z.getinfo('000001').date_time == (2026, 11, 21, 10, 9, 8)";
    let output = Command::new("python3").args(["-c", READ]).arg(&zip).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn times_at_the_ends_of_the_format() {
    assert_eq!(dos_time(1970, 1, 1, 0, 0, 0), dos_time(1980, 1, 1, 0, 0, 0));
    assert_eq!(dos_time(9999, 1, 1, 0, 0, 0), dos_time(2107, 12, 31, 23, 59, 59));
    assert_eq!(dos_time(1980, 1, 1, 0, 0, 1), (33, 0));
}
