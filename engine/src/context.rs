//! A folder as a build's context: which of its files are sent, and how they are written.
//!
//! The archive is made while it is sent and is never whole anywhere. Links are sent as links and followed nowhere; modes
//! and times are kept; everything belongs to user 0. What is no file, no directory and no link is refused by its name,
//! because no build could do anything with it. Nothing here runs a program or reads a file that a rule leaves out.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{EngineError, Kind, Result};
use crate::ignore::{Above, Ignore};

/// What a folder that is built has to hold one of.
const NAMES: [&str; 2] = ["Dockerfile", "Dockerfile.txt"];
const IGNORE: &str = ".dockerignore";
const DOING: &str = "build the folder";
/// Bytes that a header has for a name.
const SHORT: usize = 100;

/// A folder that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    folder: PathBuf,
    dockerfile: &'static str,
    ignore: Ignore,
}

impl Context {
    /// Looks at a folder.
    ///
    /// # Errors
    /// `NotFound` for a folder that is not there, or one without a `Dockerfile` and without a `Dockerfile.txt`; `Invalid`
    /// where it has both, and for a `.dockerignore` that cannot be read.
    pub fn of(folder: &Path) -> Result<Self> {
        let target = folder.display().to_string();
        let refused = |kind, said: String| EngineError::new(DOING, target.clone(), kind, said);
        match fs::metadata(folder) {
            Ok(seen) if seen.is_dir() => {}
            Ok(_) => return Err(refused(Kind::Invalid, "it is no folder".into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refused(Kind::NotFound, "there is no such folder".into()));
            }
            Err(error) => return Err(refused(Kind::Invalid, error.to_string())),
        }
        let dockerfile = match NAMES.map(|name| folder.join(name).is_file()) {
            [true, false] => NAMES[0],
            [false, true] => NAMES[1],
            [true, true] => {
                let said = "it has both a Dockerfile and a Dockerfile.txt: remove or rename the one that is not meant";
                return Err(refused(Kind::Invalid, said.into()));
            }
            [false, false] => {
                let said =
                    "it has no Dockerfile and no Dockerfile.txt: one of them must say how the image is made";
                return Err(refused(Kind::NotFound, said.into()));
            }
        };
        let ignore = match fs::read(folder.join(IGNORE)) {
            Ok(bytes) => Ignore::read(&bytes).map_err(|bad| refused(Kind::Invalid, bad.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ignore::default(),
            Err(error) => return Err(refused(Kind::Invalid, format!("{IGNORE} cannot be read: {error}"))),
        };
        Ok(Self { folder: folder.to_owned(), dockerfile, ignore })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Name of its Dockerfile.
    pub fn dockerfile(&self) -> &'static str {
        self.dockerfile
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// A file that cannot be read, that changed its size meanwhile, or that is of no use to a build.
    pub fn write(&self, to: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(to);
        let mut unsent = Vec::new();
        self.directory(&mut archive, Path::new(""), &Above::default(), &mut unsent)?;
        archive.into_inner()?.flush()
    }

    /// Writes what lies in a directory. `unsent` are the directories around it that were left out themselves: they are
    /// written when the first thing in them is, so that they keep their modes.
    fn directory<W: Write>(
        &self,
        archive: &mut tar::Builder<W>,
        directory: &Path,
        above: &Above,
        unsent: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.join(directory)).map_err(|error| on(directory, &error))? {
            names.push(entry.map_err(|error| on(directory, &error))?.file_name());
        }
        // The same folder gives the same archive, whatever order the disk has.
        names.sort();
        for name in names {
            let path = directory.join(name);
            let (mut left_out, above) = self.ignore.leaves_out(path.as_os_str().as_bytes(), above);
            // The builder needs both, and takes out of the context what a rule leaves out.
            if path == Path::new(IGNORE) || path == Path::new(self.dockerfile) {
                left_out = false;
            }
            let from = self.folder.join(&path);
            let seen = match fs::symlink_metadata(&from) {
                // Gone since the directory was read; a moment earlier it would not have been there either.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                seen => seen.map_err(|error| on(&path, &error))?,
            };
            if seen.is_dir() {
                if !left_out {
                    write_directories(&self.folder, archive, unsent)?;
                    write_directory(&self.folder, archive, &path)?;
                    self.directory(archive, &path, &above, &mut Vec::new())?;
                } else if self.ignore.may_bring_back(path.as_os_str().as_bytes()) {
                    unsent.push(path.clone());
                    self.directory(archive, &path, &above, unsent)?;
                    if unsent.last() == Some(&path) {
                        unsent.pop();
                    }
                }
            } else if !left_out {
                write_directories(&self.folder, archive, unsent)?;
                write_entry(archive, &from, &path, &seen).map_err(|error| on(&path, &error))?;
            }
        }
        Ok(())
    }
}

fn write_directories<W: Write>(
    folder: &Path,
    archive: &mut tar::Builder<W>,
    unsent: &mut Vec<PathBuf>,
) -> io::Result<()> {
    unsent.drain(..).try_for_each(|path| write_directory(folder, archive, &path))
}

fn write_directory<W: Write>(folder: &Path, archive: &mut tar::Builder<W>, path: &Path) -> io::Result<()> {
    let seen = fs::symlink_metadata(folder.join(path)).map_err(|error| on(path, &error))?;
    let mut header = header(&seen, tar::EntryType::Directory, 0);
    append(archive, &mut header, path, Path::new(""), io::empty()).map_err(|error| on(path, &error))
}

fn write_entry<W: Write>(
    archive: &mut tar::Builder<W>,
    from: &Path,
    path: &Path,
    seen: &fs::Metadata,
) -> io::Result<()> {
    let kind = seen.file_type();
    if kind.is_symlink() {
        let mut header = header(seen, tar::EntryType::Symlink, 0);
        return append(archive, &mut header, path, &fs::read_link(from)?, io::empty());
    }
    if !kind.is_file() {
        let said = "it is no file, no directory and no link; name it in .dockerignore or remove it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
    }
    let file = File::open(from)?;
    // Of the file that was opened, which may be another one than was seen.
    let (size, mut read) = (file.metadata()?.len(), 0);
    let mut header = header(seen, tar::EntryType::Regular, size);
    let counted = Counted { from: file.take(size), read: &mut read };
    append(archive, &mut header, path, Path::new(""), counted)?;
    if read == size { Ok(()) } else { Err(io::Error::other("it became shorter while it was read")) }
}

/// Appends an entry whose names are taken byte by byte: `tar`'s own way knows long names only where they are text.
fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    header: &mut tar::Header,
    path: &Path,
    link: &Path,
    content: impl io::Read,
) -> io::Result<()> {
    let (path, link) = (path.as_os_str().as_bytes(), link.as_os_str().as_bytes());
    for (kind, name) in [(tar::EntryType::GNULongName, path), (tar::EntryType::GNULongLink, link)] {
        if name.len() > SHORT {
            let mut long = tar::Header::new_gnu();
            long.set_entry_type(kind);
            put(&mut long.as_old_mut().name, b"././@LongLink");
            long.set_size(name.len() as u64 + 1);
            long.set_cksum();
            archive.append(&long, name.chain(b"\0".as_slice()))?;
        }
    }
    put(&mut header.as_old_mut().name, path);
    put(&mut header.as_old_mut().linkname, link);
    header.set_cksum();
    archive.append(header, content)
}

/// As much of a name as its field has room for.
fn put(field: &mut [u8; SHORT], name: &[u8]) {
    let length = name.len().min(SHORT);
    field[..length].copy_from_slice(&name[..length]);
}

fn header(seen: &fs::Metadata, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(seen.mode() & 0o7777);
    header.set_uid(0);
    header.set_gid(0);
    // Before 1970 there is no number for it.
    header.set_mtime(u64::try_from(seen.mtime()).unwrap_or_default());
    header.set_size(size);
    header
}

/// The error with the path it is about, which may hold anything: it is written as a quoted text.
fn on(path: &Path, error: &io::Error) -> io::Error {
    let name = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    io::Error::new(error.kind(), format!("{name:?}: {error}"))
}

/// Counts what is read.
struct Counted<'a> {
    from: io::Take<File>,
    read: &'a mut u64,
}

impl io::Read for Counted<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        *self.read += read as u64;
        Ok(read)
    }
}

mod measure;
#[cfg(test)]
mod tests;

pub use measure::Measure;
