//! A directory into a zip, whatever lies in it.
//!
//! Entries are relative, in byte order of their names, directories included. A link's content is stored where it stays
//! inside the directory. Other links, sockets, pipes, devices, files that vanish before they are opened, and names that
//! another system would read as leading out of the folder are passed over and named. A file that grows or shrinks while
//! it is read is stored as it was read. Memory does not grow with the data. Blocking: call it off the runtime.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;
use tokio::sync::mpsc;

use crate::zip_stream::{Fault, Head, ZipStream, dos_time};

/// Names of passed-over entries that are kept; beyond that they are counted only.
const NAMES_KEPT: usize = 20;

/// What goes into an archive.
#[derive(Debug)]
pub enum Source {
    /// A directory's content, under a prefix that is empty or ends in `/`.
    Tree {
        /// The directory.
        dir: PathBuf,
        /// Prefix of its entries' names.
        prefix: &'static str,
    },
    /// A file that is nowhere yet: its content comes in pieces, none of them empty, until the sender is dropped.
    Text {
        /// Its entry's name.
        name: &'static str,
        /// The pieces.
        pieces: mpsc::Receiver<Vec<u8>>,
    },
}

/// What became of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Entries in it.
    pub entries: u64,
    /// Bytes of content before compression.
    pub bytes: u64,
    /// Entries passed over, and why: the first of them.
    pub skipped: Vec<String>,
    /// Entries passed over, all of them.
    pub skipped_count: u64,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The directory is gone.
    #[error("its directory was removed")]
    Gone,
    /// Something else is where the directory was.
    #[error("its directory was replaced by something else")]
    Replaced,
    /// An entry could not be read.
    #[error("{name:?} could not be read: {source}")]
    Read {
        /// Its name in the archive.
        name: String,
        /// The system's own words.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("the zip could not be written: {0}")]
    Write(io::Error),
    /// The caller no longer wants it.
    #[error("it was given up")]
    GivenUp,
}

impl ArchiveError {
    /// The disk or the quota is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Write(error) if is_full(error))
    }
}

/// The disk or the quota is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Writes an archive, front to back. Where nothing was to be stored, nothing is written. `given_up` is looked at between
/// reads.
///
/// # Errors
/// See [`ArchiveError`]; what was written is then of no use.
pub fn write(to: impl Write, sources: Vec<Source>, given_up: &AtomicBool) -> Result<Written, ArchiveError> {
    let mut archive = Archive { zip: ZipStream::new(to), written: Written::default(), given_up };
    for source in sources {
        match source {
            Source::Tree { dir, prefix } => archive.tree(&dir, prefix)?,
            Source::Text { name, pieces } => archive.text(name, pieces)?,
        }
    }
    if archive.written.entries > 0 {
        archive.zip.finish().map_err(ArchiveError::Write)?;
    }
    Ok(archive.written)
}

struct Archive<'a, W: Write> {
    zip: ZipStream<W>,
    written: Written,
    given_up: &'a AtomicBool,
}

/// A directory that is being walked.
struct Level {
    path: PathBuf,
    /// Of its entries' names.
    prefix: Vec<u8>,
    names: Names,
}

/// The names in a directory, in byte order: nine bytes each beside their own, for there may be millions.
struct Names {
    bytes: Vec<u8>,
    /// Where each begins and how long it is, last name first.
    spans: Vec<(u32, u8)>,
}

impl<W: Write> Archive<'_, W> {
    fn tree(&mut self, top: &Path, prefix: &str) -> Result<(), ArchiveError> {
        match std::fs::symlink_metadata(top) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(ArchiveError::Replaced),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(ArchiveError::Gone),
            Err(source) => return Err(read_error(prefix.as_bytes(), source)),
        }
        let home = top.canonicalize().map_err(|source| read_error(prefix.as_bytes(), source))?;
        // Depth first over an explicit stack: a tree may be deeper than a thread's stack allows.
        let mut levels = vec![Level::open(top.to_owned(), prefix.as_bytes().to_vec())?];
        while let Some(level) = levels.last_mut() {
            let Some((path, mut name)) = level.next() else {
                levels.pop();
                continue;
            };
            if self.given_up.load(Ordering::Relaxed) {
                return Err(ArchiveError::GivenUp);
            }
            let found = match std::fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.skip(&name, "vanished while the outputs were gathered");
                    continue;
                }
                Err(source) => return Err(read_error(&name, source)),
            };
            let kind = found.file_type();
            if leads_out_elsewhere(&name) {
                self.skip(&name, "has a name that leads out of its folder on Windows");
            } else if kind.is_dir() {
                name.push(b'/');
                let head = head(&name, &found);
                self.zip.directory(&head).map_err(|fault| unwritten(&name, fault))?;
                self.written.entries += 1;
                levels.push(Level::open(path, name)?);
            } else if kind.is_file() {
                self.file(&path, &name)?;
            } else if kind.is_symlink() {
                self.link(&path, &name, &home)?;
            } else {
                self.skip(&name, "is a socket, pipe or device");
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &Path, name: &[u8], home: &Path) -> Result<(), ArchiveError> {
        let why = match path.canonicalize() {
            Err(_) => "is a link that leads nowhere",
            Ok(target) if !target.starts_with(home) => "is a link out of the output directory",
            Ok(target) if target.is_dir() => "is a link to a directory",
            Ok(target) if !target.is_file() => "is a link to a socket, pipe or device",
            Ok(target) => return self.file(&target, name),
        };
        self.skip(name, why);
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &[u8]) -> Result<(), ArchiveError> {
        // Should it have become a link or a pipe since it was looked at: neither follow it nor wait for its other end.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let flags = i32::try_from(flags).unwrap_or_default();
        let file = match File::options().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.skip(name, "vanished while the outputs were gathered");
                return Ok(());
            }
            Err(source) => return Err(read_error(name, source)),
        };
        let found = file.metadata().map_err(|source| read_error(name, source))?;
        if !found.is_file() {
            self.skip(name, "is no longer a file");
            return Ok(());
        }
        let mut content = Wanted { from: file, given_up: self.given_up };
        self.add(&head(name, &found), &mut content)
    }

    fn text(&mut self, name: &str, pieces: mpsc::Receiver<Vec<u8>>) -> Result<(), ArchiveError> {
        let head =
            Head { name: name.as_bytes(), mode: 0o644, modified: dos_time(1980, 1, 1, 0, 0, 0), expected: 0 };
        let text = Pieces { pieces, current: Vec::new(), at: 0 };
        self.add(&head, &mut Wanted { from: text, given_up: self.given_up })
    }

    fn add(&mut self, head: &Head<'_>, content: &mut impl Read) -> Result<(), ArchiveError> {
        self.written.bytes += self.zip.file(head, content).map_err(|fault| match fault {
            Fault::Read(_) if self.given_up.load(Ordering::Relaxed) => ArchiveError::GivenUp,
            fault => unwritten(head.name, fault),
        })?;
        self.written.entries += 1;
        Ok(())
    }

    fn skip(&mut self, name: &[u8], why: &str) {
        self.written.skipped_count += 1;
        if self.written.skipped.len() < NAMES_KEPT {
            self.written.skipped.push(format!("{:?} {why}", shown(name)));
        }
    }
}

impl Level {
    fn open(path: PathBuf, prefix: Vec<u8>) -> Result<Self, ArchiveError> {
        let names = match Names::read(&path) {
            Ok(names) => names,
            // It went while its name waited. It has its entry and nothing in it.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Names { bytes: Vec::new(), spans: Vec::new() }
            }
            Err(source) => return Err(read_error(&prefix, source)),
        };
        Ok(Self { path, prefix, names })
    }

    /// The next entry's path and name.
    fn next(&mut self) -> Option<(PathBuf, Vec<u8>)> {
        let (start, length) = self.names.spans.pop()?;
        let start = start as usize;
        let name = &self.names.bytes[start..start + usize::from(length)];
        Some((self.path.join(OsStr::from_bytes(name)), [&self.prefix, name].concat()))
    }
}

impl Names {
    fn read(dir: &Path) -> io::Result<Self> {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let start = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            spans.push((start, u8::try_from(name.len()).map_err(io::Error::other)?));
            bytes.extend_from_slice(name.as_bytes());
        }
        let name =
            |&(start, length): &(u32, u8)| &bytes[start as usize..start as usize + usize::from(length)];
        spans.sort_unstable_by(|one, other| name(other).cmp(name(one)));
        Ok(Self { bytes, spans })
    }
}

/// Content that is read for as long as somebody wants it.
struct Wanted<'a, R> {
    from: R,
    given_up: &'a AtomicBool,
}

impl<R: Read> Read for Wanted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("it was given up"));
        }
        self.from.read(buffer)
    }
}

/// Pieces as they come, one after another.
struct Pieces {
    pieces: mpsc::Receiver<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            (self.current, self.at) = (self.pieces.blocking_recv().unwrap_or_default(), 0);
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// A name with a backslash is one name here and a path on Windows; there it must not climb.
fn leads_out_elsewhere(name: &[u8]) -> bool {
    name.contains(&b'\\') && name.split(|&byte| byte == b'\\' || byte == b'/').any(|part| part == b"..")
}

fn head<'a>(name: &'a [u8], found: &Metadata) -> Head<'a> {
    let mode = found.permissions().mode() & 0o777;
    Head { name, mode, modified: modified(found), expected: found.len() }
}

/// The time of change in UTC; the format has no zone.
fn modified(found: &Metadata) -> (u16, u16) {
    let at = found.modified().ok().and_then(|at| jiff::Timestamp::try_from(at).ok()).unwrap_or_default();
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    dos_time(at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second())
}

/// A name for people; how it is stored is another matter.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn read_error(name: &[u8], source: io::Error) -> ArchiveError {
    ArchiveError::Read { name: shown(name), source }
}

fn unwritten(name: &[u8], fault: Fault) -> ArchiveError {
    match fault {
        Fault::Read(source) => read_error(name, source),
        Fault::Write(error) => ArchiveError::Write(error),
    }
}
