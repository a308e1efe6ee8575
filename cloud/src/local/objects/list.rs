//! Lists of a bucket: the files beneath its folder, in key order, a page at a time.
//!
//! A page reads the names of the folders it passes and looks at the files it shows, no more. Links, pipes and
//! names that are not UTF-8 are not objects.

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
    let mut passed = String::new();
    loop {
        let names = candidates(folder, path, query, &passed)?;
        let cut = names.len() >= query.want;
        let last = names.last().cloned();
        show(folder, path, names, query, found)?;
        match last {
            // Some were gone, or folders with nothing in them: the page needs more than it was thought to.
            Some(last) if cut && found.len() < query.want => passed = last,
            _ => return Ok(()),
        }
    }
}

/// Looks at what the candidates are and adds them to the page.
fn show(
    folder: &OwnedFd,
    path: &str,
    names: Vec<String>,
    query: &Query<'_>,
    found: &mut Vec<(String, Stat)>,
) -> io::Result<()> {
    for key in names {
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

/// The first keys in a folder after `passed` that the page may need, as many as it wants at most, in order. A folder is its key
/// with a `/`, which is also what puts its files in their place among its neighbours: `a-b` comes before `a/x`.
fn candidates(folder: &OwnedFd, path: &str, query: &Query<'_>, passed: &str) -> io::Result<Vec<String>> {
    // The largest is on top and makes room for a smaller one: a page of a folder of a hundred thousand files holds
    // a thousand names and sorts no others.
    let mut keys = BinaryHeap::with_capacity(query.want.min(4096));
    let mut key = String::from(path);
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
        key.truncate(path.len());
        key.push_str(name);
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
        if !matches || key.as_str() <= passed || key.len() > confined::LONGEST_KEY {
            continue;
        }
        if keys.len() < query.want {
            keys.push(key.clone());
        } else if let Some(mut largest) = keys.peek_mut()
            && key < *largest
        {
            largest.clone_from(&key);
        }
    }
    Ok(keys.into_sorted_vec())
}

fn unreadable_name() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!("a bucket holds a file whose name is not UTF-8; such files are passed over");
    }
}
