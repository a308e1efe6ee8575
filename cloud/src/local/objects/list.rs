//! Lists of a bucket: the files beneath its folder, in key order, a page at a time.
//!
//! A page reads the names of the folders it passes and looks at the files it shows, no more. Links, pipes and
//! names that are not UTF-8 are not objects.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Dir, FileType, Stat};
use rustix::io::Errno;

use super::confined;

/// What is asked for.
pub(super) struct Query<'a> {
    /// Keys begin with it.
    pub(super) prefix: &'a str,
    /// Keys come after it.
    pub(super) after: &'a str,
    /// At most so many.
    pub(super) want: usize,
}

/// The first keys that match, in the order of their bytes.
pub(super) fn list(bucket: &OwnedFd, query: &Query<'_>) -> io::Result<Vec<(String, Stat)>> {
    let mut found = Vec::new();
    walk(bucket, "", query, &mut found)?;
    Ok(found)
}

fn walk(folder: &OwnedFd, path: &str, query: &Query<'_>, found: &mut Vec<(String, Stat)>) -> io::Result<()> {
    // A heap and not a sort: of a folder of a hundred thousand files a page wants a thousand.
    let mut names = BinaryHeap::from(candidates(folder, path, query)?);
    while let Some(Reverse(key)) = names.pop() {
        if found.len() >= query.want {
            break;
        }
        let name = &key[path.len()..];
        // What is gone meanwhile, or has become something else, is not there.
        if let Some(name) = name.strip_suffix('/') {
            match confined::folder(folder, name) {
                Ok(inner) => walk(&inner, &key, query, found)?,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error.into()),
            }
        } else {
            match confined::stat_in(folder, name) {
                Ok(Some(stat)) => found.push((key, stat)),
                Ok(None) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// The keys in a folder that the page may need. A folder is its key with a `/`, which is also what puts its files
/// in their place among its neighbours: `a-b` comes before `a/x`.
fn candidates(folder: &OwnedFd, path: &str, query: &Query<'_>) -> io::Result<Vec<Reverse<String>>> {
    let mut keys = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            unreadable_name();
            continue;
        };
        if name == "." || name == ".." || (path.is_empty() && name == confined::TEMP) {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            match rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => kind = FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        let mut key = format!("{path}{name}");
        let matches = match kind {
            FileType::RegularFile => key.starts_with(query.prefix) && key.as_str() > query.after,
            FileType::Directory => {
                key.push('/');
                // Beneath it may lie keys that begin with the prefix, and keys that come after the last page.
                (key.starts_with(query.prefix) || query.prefix.starts_with(&key))
                    && (key.as_str() > query.after || query.after.starts_with(&key))
            }
            _ => false,
        };
        if matches && key.len() <= confined::LONGEST_KEY {
            keys.push(Reverse(key));
        }
    }
    Ok(keys)
}

fn unreadable_name() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!("a bucket holds a file whose name is not UTF-8; such files are passed over");
    }
}
