//! Where a key leads: one folder at a time from the bucket's own, never through a symbolic link, never out of it.
//!
//! Every step is an `openat` without following links, so that neither a hostile key nor a link put there meanwhile
//! leads elsewhere. A link inside a bucket is no object. Knows nothing of versions, ranges or pages.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// The folder in a bucket where uploads grow; no key may begin with it and no list shows it.
pub(super) const TEMP: &str = ".shepard-tmp";

/// What one file name can be on every file system we know, in bytes.
const LONGEST_PART: usize = 255;

/// What S3 takes, in bytes; it also bounds how deep folders go.
pub(super) const LONGEST_KEY: usize = 1024;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A key's folders and its file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    folders: &'a str,
    /// The last part.
    pub(super) name: &'a str,
}

/// Takes a key apart; the error is a sentence for its author.
pub(super) fn place(key: &str) -> Result<Place<'_>, &'static str> {
    if key.len() > LONGEST_KEY {
        return Err("the key is longer than 1024 bytes");
    }
    if key.contains('\0') {
        return Err("the key contains a NUL character");
    }
    for part in key.split('/') {
        if part.is_empty() {
            return Err(
                "the key is empty, begins or ends with '/' or contains '//'; it must be a plain path",
            );
        }
        if part == "." || part == ".." {
            return Err("the key has a '.' or '..' part, which could lead out of the bucket");
        }
        if part.len() > LONGEST_PART {
            return Err("a part of the key is longer than 255 bytes, which no file name can be");
        }
    }
    let (folders, name) = key.rsplit_once('/').unwrap_or(("", key));
    if key.split('/').next() == Some(TEMP) {
        return Err("keys that begin with .shepard-tmp are kept for uploads under way");
    }
    Ok(Place { folders, name })
}

/// Opens the bucket's own folder, which may be a link: whoever set the flock up may keep it on another disk.
pub(super) fn bucket(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens a folder in a folder.
pub(super) fn folder(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, FOLDER, Mode::empty())
}

/// Opens a folder in a folder, making it where it is missing.
pub(super) fn make_folder(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match folder(parent, name) {
        Err(Errno::NOENT) => match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => folder(parent, name),
            Err(error) => Err(error),
        },
        opened => opened,
    }
}

impl Place<'_> {
    /// The folder the file lies in; with `make`, folders that are missing are made.
    pub(super) fn parent(&self, bucket: OwnedFd, make: bool) -> Result<OwnedFd, Errno> {
        let mut here = bucket;
        for part in self.folders.split('/').filter(|part| !part.is_empty()) {
            here = if make { make_folder(&here, part)? } else { folder(&here, part)? };
        }
        Ok(here)
    }

    /// Opens the file for reading. What is no regular file is not there.
    pub(super) fn open(&self, bucket: OwnedFd) -> io::Result<(File, Stat)> {
        let parent = self.parent(bucket, false).map_err(absent)?;
        // Not blocking, or else a named pipe would hold the thread for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, self.name, flags, Mode::empty()).map_err(absent)?;
        let stat = rustix::fs::fstat(&file)?;
        if is_file(&stat) { Ok((File::from(file), stat)) } else { Err(Errno::NOENT.into()) }
    }

    /// Looks at the file without opening it. What is no regular file is not there.
    pub(super) fn stat(&self, bucket: OwnedFd) -> io::Result<Stat> {
        let parent = self.parent(bucket, false).map_err(absent)?;
        stat_in(&parent, self.name).map_err(absent)?.ok_or_else(|| Errno::NOENT.into())
    }

    /// Removes the file.
    pub(super) fn remove(&self, bucket: OwnedFd) -> io::Result<()> {
        let parent = self.parent(bucket, false).map_err(absent)?;
        Ok(rustix::fs::unlinkat(&parent, self.name, AtFlags::empty()).map_err(absent)?)
    }
}

/// Looks at a file in a folder; None where it is something else.
pub(super) fn stat_in(parent: &OwnedFd, name: &str) -> Result<Option<Stat>, Errno> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(is_file(&stat).then_some(stat))
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// A link, or a file where a folder should be, on the way to an object means that the object is not there.
fn absent(error: Errno) -> Errno {
    match error {
        Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Errno::NOENT,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_could_lead_out_are_refused_and_odd_ones_are_not() {
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "../b", "a/.", "a\0b", ".shepard-tmp/x"] {
            assert!(place(bad).is_err(), "{bad:?}");
        }
        assert!(place(&"x".repeat(256)).is_err());
        assert!(place(&["abcd"; 300].join("/")).is_err());
        for good in
            ["-rf", "a b", "ä/ö\n'\"$(x)`", "...", ".hidden", "a/.shepard-tmp", "C:\\x", &"x".repeat(255)]
        {
            assert!(place(good).is_ok(), "{good:?}");
        }
        assert_eq!(place("a/b/c"), Ok(Place { folders: "a/b", name: "c" }));
    }
}
