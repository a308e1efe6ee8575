//! A directory into a zip, whatever lies in it.
//!
//! Entries are relative, in byte order of their names, directories included, deflated, zip64 where they are
//! large. A link's content is stored where it stays inside the directory; other links, sockets, pipes and
//! devices are passed over and named. Memory does not grow with the data. Blocking: call it off the runtime.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Names of passed-over entries that are kept; beyond that they are counted only.
const NAMES_KEPT: usize = 20;

/// What goes into an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A directory's content, under a prefix that is empty or ends in `/`.
    Tree {
        /// The directory.
        dir: PathBuf,
        /// Prefix of its entries' names.
        prefix: &'static str,
    },
    /// One file under a name.
    File {
        /// The file.
        path: PathBuf,
        /// Its entry's name.
        name: &'static str,
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

/// Writes an archive to a file that must not exist. On an error, and where nothing was to be stored, no file is
/// left. `given_up` is looked at between reads.
///
/// # Errors
/// See [`ArchiveError`].
pub fn write(to: &Path, sources: &[Source], given_up: &AtomicBool) -> Result<Written, ArchiveError> {
    let file = File::options().write(true).create_new(true).open(to).map_err(ArchiveError::Write)?;
    let outcome = fill(file, sources, given_up);
    if !matches!(&outcome, Ok(written) if written.entries > 0) {
        // Nothing to keep, or nothing whole.
        let _ = std::fs::remove_file(to);
    }
    outcome
}

fn fill(file: File, sources: &[Source], given_up: &AtomicBool) -> Result<Written, ArchiveError> {
    let zip = ZipWriter::new(BufWriter::with_capacity(256 * 1024, file));
    let mut archive = Archive { zip, written: Written::default(), buffer: vec![0; 64 * 1024], given_up };
    for source in sources {
        match source {
            Source::Tree { dir, prefix } => archive.tree(dir, prefix)?,
            Source::File { path, name } => archive.file(path, name)?,
        }
    }
    let mut file = archive.zip.finish().map_err(zip_error)?;
    file.flush().map_err(ArchiveError::Write)?;
    Ok(archive.written)
}

struct Archive<'a> {
    zip: ZipWriter<BufWriter<File>>,
    written: Written,
    buffer: Vec<u8>,
    given_up: &'a AtomicBool,
}

impl Archive<'_> {
    fn tree(&mut self, top: &Path, prefix: &str) -> Result<(), ArchiveError> {
        match std::fs::symlink_metadata(top) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(ArchiveError::Replaced),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(ArchiveError::Gone),
            Err(source) => return Err(ArchiveError::Read { name: prefix.to_owned(), source }),
        }
        let home = top.canonicalize().map_err(|source| read_error(prefix, source))?;
        // Depth first over an explicit stack: a tree may be deeper than a thread's stack allows.
        let mut waiting: Vec<(PathBuf, String)> = children(top, prefix)?;
        while let Some((path, name)) = waiting.pop() {
            let found = match std::fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(source) => return Err(read_error(&name, source)),
            };
            let kind = found.file_type();
            if kind.is_dir() {
                let options = options(&found);
                self.zip.add_directory(format!("{name}/"), options).map_err(zip_error)?;
                self.written.entries += 1;
                waiting.extend(children(&path, &format!("{name}/"))?);
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

    fn link(&mut self, path: &Path, name: &str, home: &Path) -> Result<(), ArchiveError> {
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

    fn file(&mut self, path: &Path, name: &str) -> Result<(), ArchiveError> {
        // Should it have become a link or a pipe since it was looked at: neither follow it nor wait for its other end.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let flags = i32::try_from(flags).unwrap_or_default();
        let mut file = File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(|source| read_error(name, source))?;
        let found = file.metadata().map_err(|source| read_error(name, source))?;
        if !found.is_file() {
            self.skip(name, "is no longer a file");
            return Ok(());
        }
        self.zip.start_file(name, options(&found)).map_err(zip_error)?;
        self.written.entries += 1;
        loop {
            if self.given_up.load(Ordering::Relaxed) {
                return Err(ArchiveError::GivenUp);
            }
            let count = match file.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => return Err(read_error(name, source)),
            };
            self.zip.write_all(&self.buffer[..count]).map_err(ArchiveError::Write)?;
            self.written.bytes += count as u64;
        }
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.written.skipped_count += 1;
        if self.written.skipped.len() < NAMES_KEPT {
            self.written.skipped.push(format!("{name:?} {why}"));
        }
    }
}

/// A directory's entries with their names in the archive, last name first, for a stack.
fn children(dir: &Path, prefix: &str) -> Result<Vec<(PathBuf, String)>, ArchiveError> {
    let entries: io::Result<Vec<_>> = std::fs::read_dir(dir).and_then(Iterator::collect);
    let mut entries = entries.map_err(|source| read_error(prefix, source))?;
    entries.sort_by(|one, other| other.file_name().as_bytes().cmp(one.file_name().as_bytes()));
    let named = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        // A zip's names are text. Bytes that are none are spelled out, so that two such names stay two.
        let text = name.to_str().map_or_else(|| name.as_bytes().escape_ascii().to_string(), str::to_owned);
        (entry.path(), format!("{prefix}{text}"))
    };
    Ok(entries.into_iter().map(named).collect())
}

fn options(found: &std::fs::Metadata) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(found.permissions().mode() & 0o777)
        .last_modified_time(modified(found))
        // Room for zip64 sizes has to be left before the content is seen; deflate can add a little to it.
        .large_file(found.len() >= 0xF000_0000)
}

/// The time of change in UTC; the format has no zone. Before 1980 it cannot be said.
fn modified(found: &std::fs::Metadata) -> DateTime {
    let known = found.modified().ok().and_then(|at| jiff::Timestamp::try_from(at).ok()).and_then(|at| {
        let at = at.to_zoned(jiff::tz::TimeZone::UTC);
        let (year, month, day) = (at.year(), at.month(), at.day());
        let part = |part: i8| u8::try_from(part).ok();
        DateTime::from_date_and_time(
            u16::try_from(year).ok()?,
            part(month)?,
            part(day)?,
            part(at.hour())?,
            part(at.minute())?,
            part(at.second())?,
        )
        .ok()
    });
    known.unwrap_or_default()
}

fn read_error(name: &str, source: io::Error) -> ArchiveError {
    ArchiveError::Read { name: name.to_owned(), source }
}

fn zip_error(error: ZipError) -> ArchiveError {
    match error {
        ZipError::Io(error) => ArchiveError::Write(error),
        other => ArchiveError::Write(io::Error::other(other)),
    }
}
