//! How much of a folder a build would be sent, without reading any of it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{Context, IGNORE, on};
use crate::ignore::Above;

/// What a build would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measure {
    /// Files and links.
    pub files: u64,
    /// Bytes in the files.
    pub bytes: u64,
    /// All of it was counted.
    pub complete: bool,
}

impl Context {
    /// Counts what [`write`](Self::write) would write, up to so many files: whoever waits for the answer has named a folder
    /// and nothing more, and it may hold a disk.
    ///
    /// # Errors
    /// A directory that cannot be read, or something in it that is of no use to a build.
    pub fn measure(&self, most: u64) -> io::Result<Measure> {
        let mut measure = Measure { complete: true, ..Measure::default() };
        let mut directories: Vec<(PathBuf, Above)> = vec![(PathBuf::new(), Above::default())];
        while let Some((directory, above)) = directories.pop() {
            for entry in fs::read_dir(self.folder.join(&directory)).map_err(|error| on(&directory, &error))? {
                let name = entry.map_err(|error| on(&directory, &error))?.file_name();
                self.count(directory.join(name), &above, &mut measure, &mut directories)?;
                if measure.files > most {
                    return Ok(Measure { files: most, complete: false, ..measure });
                }
            }
        }
        Ok(measure)
    }

    /// Counts one thing; a directory is left for later.
    fn count(
        &self,
        path: PathBuf,
        above: &Above,
        measure: &mut Measure,
        directories: &mut Vec<(PathBuf, Above)>,
    ) -> io::Result<()> {
        let (ignored, above) = self.ignore.leaves_out(path.as_os_str().as_bytes(), above);
        let is_needed = path == Path::new(IGNORE) || path == Path::new(self.dockerfile);
        let seen = match fs::symlink_metadata(self.folder.join(&path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            seen => seen.map_err(|error| on(&path, &error))?,
        };
        let left_out = ignored && !is_needed;
        if seen.is_dir() {
            if !left_out || self.ignore.may_bring_back(path.as_os_str().as_bytes()) {
                directories.push((path, above));
            }
        } else if !left_out {
            let kind = seen.file_type();
            if !kind.is_file() && !kind.is_symlink() {
                let said = "it is no file, no directory and no link; name it in .dockerignore or remove it";
                return Err(on(&path, &io::Error::new(io::ErrorKind::InvalidInput, said)));
            }
            measure.files += 1;
            measure.bytes += if kind.is_file() { seen.len() } else { 0 };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn it_counts_what_is_written_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: usize| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'x'; bytes]).unwrap();
        };
        put("Dockerfile", 10);
        put(".dockerignore", 0);
        fs::write(dir.path().join(".dockerignore"), "data\n!data/keep\n*.log\n").unwrap();
        put("a/b/code", 100);
        put("data/big", 100_000);
        put("data/keep", 1_000);
        put("x.log", 5);
        symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let context = Context::of(dir.path()).unwrap();
        let measure = context.measure(100).unwrap();
        let ignore = fs::metadata(dir.path().join(".dockerignore")).unwrap().len();
        assert_eq!(measure, Measure { files: 5, bytes: 1_110 + ignore, complete: true });

        let mut archive = Vec::new();
        context.write(&mut archive).unwrap();
        let mut written = Measure { complete: true, ..Measure::default() };
        for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            written.files += u64::from(!entry.header().entry_type().is_dir());
            written.bytes += entry.header().size().unwrap();
        }
        assert_eq!(measure, written, "and the archive agrees");

        let some = context.measure(2).unwrap();
        assert_eq!((some.files, some.complete), (2, false));
    }

    #[test]
    fn what_no_build_can_use_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Dockerfile"), "FROM scratch").unwrap();
        let _socket = UnixListener::bind(dir.path().join("sock")).unwrap();
        let said = Context::of(dir.path()).unwrap().measure(9).unwrap_err().to_string();
        assert!(said.contains("sock"), "{said}");
    }
}
