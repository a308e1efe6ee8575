//! Zips of odd directories, read by the tools that people have.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use shepard_worker::archive::{ArchiveError, Source, Written, write};

struct Place {
    temp: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("output")).unwrap();
        Self { temp }
    }

    fn tree(&self) -> PathBuf {
        self.temp.path().join("output")
    }

    fn put(&self, name: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let path = self.tree().join(name.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source::Tree { dir: self.tree(), prefix: "" }]
    }

    /// Zips the tree into a file.
    fn zip(&self) -> (Written, PathBuf) {
        let to = self.temp.path().join("result.zip");
        let written = write(File::create(&to).unwrap(), self.sources(), &AtomicBool::new(false)).unwrap();
        (written, to)
    }

    /// Unpacks with a tool into a new folder; None where it is not installed.
    fn unpack(&self, tool: &str, arguments: &[&str], zip: &Path) -> Option<PathBuf> {
        let to = self.temp.path().join(format!("by-{tool}"));
        std::fs::create_dir(&to).unwrap();
        let mut command = Command::new(tool);
        command.args(arguments).arg(zip).current_dir(&to).env("LC_ALL", "C.UTF-8");
        let output = match command.output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("skipped: {tool} is not installed");
                return None;
            }
            output => output.unwrap(),
        };
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        assert!(output.status.success(), "{tool}: {said:?}");
        Some(to)
    }
}

const UNPACK: &str = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall('.')";

/// Every tool that is here, as it is told to unpack.
const TOOLS: [(&str, &[&str]); 4] =
    [("python3", &["-c", UNPACK]), ("unzip", &["-q"]), ("bsdtar", &["-xf"]), ("7z", &["x", "-y", "-bd"])];

/// Names, modes and contents of what lies in a folder, in byte order.
fn listing(top: &Path) -> Vec<(Vec<u8>, u32, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut waiting = vec![top.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec();
            let content = meta.is_file().then(|| std::fs::read(&path).unwrap());
            found.push((name, meta.permissions().mode() & 0o777, content));
            if meta.is_dir() {
                waiting.push(path);
            }
        }
    }
    found.sort();
    found
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|n| b"the quick brown fox\n"[n % 20]).collect()
}

/// Sizes around every boundary there is: nothing, a byte, what is held whole, what is not, pieces of the rest.
#[test]
fn every_tool_gives_the_same_bytes_back() {
    let place = Place::new();
    const HEAD: usize = 256 << 10;
    for length in [0, 1, 2, 1000, HEAD - 1, HEAD, HEAD + 1, HEAD + (128 << 10), 3_000_017] {
        place.put(format!("text/{length}"), &text(length));
        place.put(format!("noise/{length}"), &noise(length));
        place.put(format!("mixed/{length}"), &[text(length / 2), noise(length - length / 2)].concat());
        place.put(format!("turned/{length}"), &[noise(length / 2), text(length - length / 2)].concat());
    }
    place.put(".hidden/-rf", b"x");
    place.put("ä ö/ü 😀.txt", b"unicode");
    place.put("empty is a file", b"");
    std::fs::create_dir_all(place.tree().join("no files/in here")).unwrap();
    std::fs::set_permissions(place.tree().join(".hidden/-rf"), PermissionsExt::from_mode(0o750)).unwrap();
    let (written, zip) = place.zip();
    let expected = listing(&place.tree());
    assert_eq!(written.entries, expected.len() as u64);
    assert_eq!(
        written.bytes,
        expected.iter().flat_map(|(_, _, content)| content).map(|c| c.len() as u64).sum::<u64>()
    );
    assert_eq!(written.skipped_count, 0);
    let mut tools = 0;
    for (tool, arguments) in TOOLS {
        let Some(to) = place.unpack(tool, arguments, &zip) else { continue };
        let mut got = listing(&to);
        let mut expected = expected.clone();
        if tool == "python3" {
            // It leaves modes out.
            got.iter_mut().chain(&mut expected).for_each(|(_, mode, _)| *mode = 0);
        }
        assert!(got == expected, "{tool}");
        tools += 1;
    }
    assert!(tools > 0, "not one tool to read a zip with");
}

/// What a tool that reads from a pipe needs: no seeking, sizes where they are said to be.
#[test]
fn a_zip_is_read_front_to_back() {
    let place = Place::new();
    place.put("a small", &text(1000));
    place.put("b noise", &noise(700_000));
    place.put("c text", &text(700_000));
    let (_, zip) = place.zip();
    let to = place.temp.path().join("streamed");
    std::fs::create_dir(&to).unwrap();
    let mut command = Command::new("bsdtar");
    command.args(["-xf", "-"]).stdin(File::open(&zip).unwrap()).current_dir(&to);
    let status = command.status();
    if status.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        eprintln!("skipped: bsdtar is not installed");
        return;
    }
    assert!(status.unwrap().success());
    let contents = |top: &Path| listing(top).into_iter().map(|(name, _, content)| (name, content));
    assert!(contents(&to).eq(contents(&place.tree())));
}

#[test]
fn what_does_not_get_smaller_is_stored() {
    let place = Place::new();
    place.put("small noise", &noise(1000));
    place.put("noise", &noise(1_000_000));
    place.put("small text", &text(1000));
    place.put("text", &text(1_000_000));
    place.put("nothing", b"");
    let (_, zip) = place.zip();
    let mut zip = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    let mut method = |name: &str| zip.by_name(name).unwrap().compression();
    for name in ["small noise", "noise", "nothing"] {
        assert_eq!(method(name), zip::CompressionMethod::Stored, "{name}");
    }
    for name in ["small text", "text"] {
        assert_eq!(method(name), zip::CompressionMethod::Deflated, "{name}");
    }
    assert!(zip.by_name("text").unwrap().compressed_size() < 10_000);
}

/// A line break, bytes that are no text, what looks like an option, an escape, a name as long as names get. Two names that
/// differ only in what is no text, or spell out each other's bytes, stay two.
#[test]
fn hostile_names() {
    let place = Place::new();
    let long = "n".repeat(255);
    let names: [&[u8]; 14] = [
        b"new\nline",
        b"\xff",
        b"\xfe",
        b"\\xff",
        "é".as_bytes(),
        b"\xe9",
        b"-rf",
        b"...",
        b"C:\\x",
        b"q'\"`$(id)",
        b"\x1b[31m",
        b"%2e%2e",
        b" ",
        long.as_bytes(),
    ];
    for name in names {
        place.put(OsStr::from_bytes(name), name);
    }
    place.put(OsStr::from_bytes(b"dir\xff/\xc3\xa9/file"), b"deep");
    let (written, zip) = place.zip();
    assert_eq!((written.entries, written.skipped_count), (names.len() as u64 + 3, 0));

    // The bytes themselves, as the format has them.
    let mut archive = zip::ZipArchive::new(File::open(&zip).unwrap()).unwrap();
    let mut raw: Vec<Vec<u8>> =
        (0..archive.len()).map(|index| archive.by_index_raw(index).unwrap().name_raw().to_vec()).collect();
    raw.sort();
    let mut expected: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
    expected.extend([&b"dir\xff/"[..], b"dir\xff/\xc3\xa9/", b"dir\xff/\xc3\xa9/file"].map(<[u8]>::to_vec));
    expected.sort();
    assert_eq!(raw, expected);

    // Python reads every one of them; bsdtar makes the same files of them.
    const READ: &str = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                        assert len(set(z.namelist())) == len(z.namelist())\nassert 'é' in z.namelist()";
    place.unpack("python3", &["-c", READ], &zip);
    let output = Command::new("unzip").args(["-tq"]).arg(&zip).output();
    assert!(output.is_err() || output.unwrap().status.success());
}

#[test]
fn names_that_climb_elsewhere_are_passed_over() {
    let place = Place::new();
    for name in ["..\\evil", "a\\..\\..\\b", "fine\\..", "dir/..\\x"] {
        place.put(name, b"x");
    }
    place.put("back\\slash", b"kept");
    place.put("..x", b"kept");
    let (written, zip) = place.zip();
    let archive = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    let mut names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["..x", "back\\slash", "dir/"]);
    assert_eq!(written.skipped_count, 4);
    assert!(written.skipped.iter().all(|line| line.contains("leads out")), "{:?}", written.skipped);
}

#[test]
fn links_are_files_or_nothing() {
    let place = Place::new();
    place.put("dir/file", b"content");
    symlink("dir/file", place.tree().join("inside")).unwrap();
    symlink("inside", place.tree().join("twice")).unwrap();
    for (to, name) in
        [("/etc/passwd", "out"), ("nowhere", "broken"), ("dir", "to dir"), ("loop", "loop"), ("..", "up")]
    {
        symlink(to, place.tree().join(name)).unwrap();
    }
    let (written, zip) = place.zip();
    let mut archive = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    for name in ["inside", "twice", "dir/file"] {
        let mut content = String::new();
        archive.by_name(name).unwrap().read_to_string(&mut content).unwrap();
        assert_eq!(content, "content", "{name}");
    }
    assert_eq!((written.entries, written.skipped_count), (4, 5), "{:?}", written.skipped);
}

/// Bytes to a file, and something done once a number of them is there.
struct Meddling<F: FnMut()> {
    to: File,
    left: usize,
    then: Option<F>,
}

impl<F: FnMut()> Write for Meddling<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.saturating_sub(bytes.len());
        if self.left == 0
            && let Some(mut then) = self.then.take()
        {
            then();
        }
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// While the first file is being read: it shrinks, another grows, one goes, one becomes a link, a folder goes.
#[test]
fn what_changes_while_it_is_read_is_stored_as_it_was_read() {
    let place = Place::new();
    let content = noise(2_000_000);
    let shrinking = place.put("a shrinking", &content);
    let (growing, gone) = (place.put("b growing", &content), place.put("c gone", b"x"));
    let (swapped, folder) = (place.put("d swapped", b"x"), place.put("e folder/x", b"x"));
    let to = place.temp.path().join("result.zip");
    let then = || {
        File::options().write(true).open(&shrinking).unwrap().set_len(1_000_000).unwrap();
        File::options().append(true).open(&growing).unwrap().write_all(b"more").unwrap();
        std::fs::remove_file(&gone).unwrap();
        std::fs::remove_file(&swapped).unwrap();
        symlink("/etc/passwd", &swapped).unwrap();
        std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    };
    let sink = Meddling { to: File::create(&to).unwrap(), left: 600_000, then: Some(then) };
    let written = write(sink, place.sources(), &AtomicBool::new(false)).unwrap();
    assert_eq!((written.entries, written.skipped_count), (2, 3), "{:?}", written.skipped);
    assert!(written.skipped[0].contains("c gone") && written.skipped[0].contains("vanished"));
    assert!(written.skipped[1].contains("link out of the output directory"));
    let mut archive = zip::ZipArchive::new(File::open(&to).unwrap()).unwrap();
    let mut read = |name: &str| {
        let mut content = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut content).unwrap();
        content
    };
    assert!(read("a shrinking") == content[..1_000_000]);
    assert!(read("b growing") == [&content[..], b"more"].concat());
    place.unpack("python3", &["-c", UNPACK], &to);
}

#[test]
fn a_directory_that_is_gone_replaced_or_empty() {
    let place = Place::new();
    let mut sink = Vec::new();
    let empty = write(&mut sink, place.sources(), &AtomicBool::new(false)).unwrap();
    assert_eq!((empty, sink.len()), (Written::default(), 0), "nothing to store is nothing at all");
    std::fs::remove_dir(place.tree()).unwrap();
    let error = write(Vec::new(), place.sources(), &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, ArchiveError::Gone));
    symlink("/etc", place.tree()).unwrap();
    let error = write(Vec::new(), place.sources(), &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, ArchiveError::Replaced));
}

struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.checked_sub(bytes.len()) {
            None => Err(io::ErrorKind::BrokenPipe.into()),
            Some(left) => {
                self.0 = left;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Wherever it ends: the error of what it is written to, and no panic.
#[test]
fn a_zip_that_cannot_be_written_on() {
    let place = Place::new();
    place.put("a", &text(300_000));
    place.put("b/c", &noise(300_000));
    place.put("d", b"small");
    let mut whole = Vec::new();
    write(&mut whole, place.sources(), &AtomicBool::new(false)).unwrap();
    for room in (0..whole.len()).step_by(4099).chain([whole.len() - 1]) {
        let error = write(Full(room), place.sources(), &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(error, ArchiveError::Write(_)), "{room}: {error}");
    }
    write(Full(whole.len()), place.sources(), &AtomicBool::new(false)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any names, any contents, any place where they turn from one kind into another.
    #[test]
    fn any_tree(files in proptest::collection::btree_map(
        proptest::collection::vec(1_u8..=255, 1..12), (0_usize..600_000, 0_usize..600_000, any::<bool>()), 0..6)
    ) {
        let place = Place::new();
        let mut expected = Vec::new();
        for (name, (texts, noises, turned)) in files {
            let name: Vec<u8> = name.into_iter().filter(|&byte| byte != b'/' && byte != b'\\').collect();
            if name.is_empty() || name == b"." || name == b".." {
                continue;
            }
            let parts = if turned { [noise(noises), text(texts)] } else { [text(texts), noise(noises)] };
            let content = parts.concat();
            place.put(OsString::from_vec(name.clone()), &content);
            expected.retain(|(known, _)| known != &name);
            expected.push((name, content));
        }
        expected.sort();
        let (_, zip) = place.zip();
        let mut got = Vec::new();
        if !expected.is_empty() {
            let mut archive = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
            for index in 0..archive.len() {
                let mut entry = archive.by_index(index).unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                got.push((entry.name_raw().to_vec(), content));
            }
        }
        prop_assert!(got == expected, "in byte order, with their own bytes");
    }
}
