//! The image's user by number, and files that become his.
//!
//! A payload that is not root has to be able to read its input and its secrets and to write beside them, and only a
//! worker that is root can give files away.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use shepard_engine::{Engine, EngineError, Kind};

/// Most bytes of a list of users or groups.
const LIST_BYTES: usize = 4 << 20;

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// Root, and his group.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// Who `user` is, as an image's `USER` or a container's user says it: `uid`, `uid:gid`, or names that the container's own
/// lists explain.
///
/// # Errors
/// `Invalid` where the lists know no such name.
pub async fn resolve(engine: &Engine, container: &str, user: &str) -> Result<Owner, EngineError> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    if user.is_empty() && group.is_none() {
        return Ok(Owner::ROOT);
    }
    if let (Ok(uid), Some(Ok(gid))) = (user.parse(), group.map(str::parse)) {
        return Ok(Owner { uid, gid });
    }
    let read = async |path| {
        let bytes = engine.read_file(container, path, LIST_BYTES).await?;
        Ok::<_, EngineError>(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    };
    let unknown = |what: &str, name: &str, list: &str| {
        let said = format!("the image runs as {what} '{name}', and its {list} has none of that name");
        EngineError::new("find the user of the container", container, Kind::Invalid, said)
    };
    let mut owner = find_user(&read("/etc/passwd").await?, user)
        .ok_or_else(|| unknown("the user", user, "/etc/passwd"))?;
    if let Some(group) = group {
        owner.gid = find_group(&read("/etc/group").await?, group)
            .ok_or_else(|| unknown("the group", group, "/etc/group"))?;
    }
    Ok(owner)
}

/// A user of a list by name, else by number; a number that the list does not have belongs to root's group.
fn find_user(list: &str, user: &str) -> Option<Owner> {
    let number: Option<u32> = if user.is_empty() { Some(0) } else { user.parse().ok() };
    let entries = || {
        list.lines().filter_map(|line| {
            let mut parts = line.split(':');
            let (name, uid, gid) = (parts.next()?, parts.nth(1)?.parse().ok()?, parts.next()?.parse().ok()?);
            Some((name, Owner { uid, gid }))
        })
    };
    let by_name = entries().find(|(name, _)| *name == user);
    let by_number = || entries().find(|(_, owner)| Some(owner.uid) == number);
    by_name.or_else(by_number).map(|(_, owner)| owner).or(number.map(|uid| Owner { uid, gid: 0 }))
}

fn find_group(list: &str, group: &str) -> Option<u32> {
    let named = list.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next()? == group).then(|| parts.nth(1)?.parse().ok())?
    });
    named.or_else(|| group.parse().ok())
}

/// Gives a folder and everything in it to `owner`. Links are given, not followed, and what has more than one name keeps
/// its owner: it may be a file of somebody else.
///
/// # Errors
/// The first one of the system's own; the rest is given all the same.
pub fn give(top: &Path, owner: Owner) -> io::Result<()> {
    let mut first = Ok(());
    let mut waiting = vec![top.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let given = give_one(&path, owner).map(|is_dir| {
            let entries = if is_dir { fs::read_dir(&path).ok() } else { None };
            waiting.extend(entries.into_iter().flatten().flatten().map(|entry| entry.path()));
        });
        first = first.and(given);
    }
    first
}

fn give_one(path: &Path, owner: Owner) -> io::Result<bool> {
    let seen = fs::symlink_metadata(path)?;
    if (seen.is_dir() || seen.nlink() == 1) && (seen.uid(), seen.gid()) != (owner.uid, owner.gid) {
        std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid))?;
    }
    Ok(seen.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbad line\napp:x:1000:50:,,:/:/bin/sh\n7:x:8:9::/:\n";

    #[test]
    fn users_are_found_by_name_then_by_number() {
        let of = |user| find_user(USERS, user).map(|owner| (owner.uid, owner.gid));
        assert_eq!(of("app"), Some((1000, 50)));
        assert_eq!(of("1000"), Some((1000, 50)));
        assert_eq!(of("7"), Some((8, 9)), "a name of digits is a name");
        assert_eq!(of("4242"), Some((4242, 0)));
        assert_eq!(of(""), Some((0, 0)));
        assert_eq!(of("nobody"), None);
        assert_eq!(find_group("a:x:5:\nb:x:6:app", "b"), Some(6));
        assert_eq!(find_group("a:x:5:", "77"), Some(77));
        assert_eq!(find_group("", "b"), None);
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("theirs"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        fs::hard_link(outside.path().join("theirs"), dir.path().join("same")).unwrap();
        fs::create_dir(dir.path().join("deep")).unwrap();
        fs::write(dir.path().join("deep/ours"), "x").unwrap();
        let seen = |path: &Path| fs::symlink_metadata(path).map(|seen| seen.uid()).unwrap();
        let before = seen(outside.path());
        let own = rustix::process::getuid().as_raw();
        // Root gives files away; who is not can only give them to himself.
        let to = if own == 0 { 12345 } else { own };
        give(dir.path(), Owner { uid: to, gid: seen_gid(dir.path()) }).unwrap();
        assert_eq!(seen(&dir.path().join("deep/ours")), to);
        assert_eq!((seen(outside.path()), seen(&outside.path().join("theirs"))), (before, before));
    }

    fn seen_gid(path: &Path) -> u32 {
        fs::metadata(path).unwrap().gid()
    }
}
