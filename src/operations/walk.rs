//! Walking a folder that is to be batched: what is in it, in a fixed order, and what cannot be taken along.
//!
//! Links are followed while they stay inside the folder; one that leads out, or round in a circle, is a problem,
//! because a job must never pick up what its author did not put there. Devices, sockets and pipes are problems too:
//! reading them may never end. Nothing here reads the content of a file.

use std::fs;
use std::path::{Path, PathBuf};

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 256;

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name in the zip: relative, `/` between the parts, no `./`; a directory ends in `/`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes; 0 for a directory.
    pub size: u64,
    /// It is a directory.
    pub is_dir: bool,
}

/// Calls `visit` for everything below `root`, directories before what is in them, each directory by name.
///
/// # Errors
/// The first thing that cannot be taken along, as a sentence that names it; or what `visit` says.
pub fn walk(root: &Path, visit: &mut dyn FnMut(Entry) -> Result<(), String>) -> Result<(), String> {
    let real = root.canonicalize().map_err(|error| format!("{} cannot be read: {error}", root.display()))?;
    let mut above = vec![real.clone()];
    folder(&real, root, "", &mut above, visit)
}

/// `above` holds the real paths of the directories that lead here, to see a link that leads back to one.
fn folder(
    root: &Path,
    dir: &Path,
    prefix: &str,
    above: &mut Vec<PathBuf>,
    visit: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<(), String> {
    let shown = |name: &str| if name.is_empty() { "the folder".to_owned() } else { name.to_owned() };
    if above.len() > MAX_DEPTH {
        return Err(format!("{} is nested more than {MAX_DEPTH} levels deep", shown(prefix)));
    }
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", shown(prefix));
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name());
    }
    names.sort();
    for name in names {
        let path = dir.join(&name);
        let Some(name) = name.to_str() else {
            return Err(format!(
                "{prefix}{} has a name that is not UTF-8; rename it",
                name.to_string_lossy()
            ));
        };
        let name = format!("{prefix}{name}");
        let cannot = |error: std::io::Error| format!("{name} cannot be read: {error}");
        let mut about = fs::symlink_metadata(&path).map_err(cannot)?;
        let mut real = None;
        if about.is_symlink() {
            let target = path.canonicalize().map_err(|error| {
                format!("{name} is a link that leads nowhere ({error}); remove or mend it")
            })?;
            if !target.starts_with(root) {
                return Err(format!(
                    "{name} is a link that leads out of the folder; put a copy in its place"
                ));
            }
            about = fs::metadata(&target).map_err(cannot)?;
            real = Some(target);
        }
        if about.is_dir() {
            let real = match real {
                Some(real) => real,
                None => path.canonicalize().map_err(cannot)?,
            };
            if above.contains(&real) {
                return Err(format!("{name} is a link that leads round in a circle; remove it"));
            }
            let name = format!("{name}/");
            visit(Entry { name: name.clone(), path: path.clone(), size: 0, is_dir: true })?;
            above.push(real);
            folder(root, &path, &name, above, visit)?;
            above.pop();
        } else if about.is_file() {
            visit(Entry { name, path, size: about.len(), is_dir: false })?;
        } else {
            return Err(format!(
                "{name} is neither a file nor a folder, so it cannot go into a zip; remove it"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        walk(root, &mut |entry| {
            names.push(entry.name);
            Ok(())
        })?;
        Ok(names)
    }

    #[test]
    fn everything_is_seen_once_in_order_hidden_and_empty_included() {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::create_dir_all(dir.path().join("b/empty")).expect("mkdir");
        for file in ["inputs.txt", ".hidden", "b/ä x"] {
            fs::write(dir.path().join(file), "x").expect("write");
        }
        symlink("inputs.txt", dir.path().join("c")).expect("link");
        let seen = names(dir.path()).expect("walks");
        assert_eq!(seen, [".hidden", "b/", "b/empty/", "b/ä x", "c", "inputs.txt"]);
    }

    #[test]
    fn links_out_round_and_nowhere_are_problems() {
        for (target, says) in
            [("/etc/passwd", "leads out"), ("../..", "leads out"), (".", "circle"), ("gone", "leads nowhere")]
        {
            let dir = tempfile::tempdir().expect("temp dir");
            symlink(target, dir.path().join("link")).expect("link");
            let problem = names(dir.path()).expect_err(target);
            assert!(problem.contains(says), "{target}: {problem}");
        }
    }

    #[test]
    fn a_pipe_is_refused_rather_than_read() {
        let dir = tempfile::tempdir().expect("temp dir");
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).expect("socket");
        assert!(names(dir.path()).expect_err("refused").contains("neither a file nor a folder"));
    }
}
