use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// Kind, mode and content of an entry.
type Entry = (tar::EntryType, u32, Vec<u8>);

/// The entries of the archive by their paths.
fn sent(folder: &Path) -> io::Result<BTreeMap<Vec<u8>, Entry>> {
    let mut bytes = Vec::new();
    Context::of(folder).unwrap().write(&mut bytes)?;
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries()? {
        let mut entry = entry?;
        assert_eq!((entry.header().uid()?, entry.header().gid()?), (0, 0));
        let (path, kind, mode) =
            (entry.path_bytes().into_owned(), entry.header().entry_type(), entry.header().mode()?);
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let link = entry.link_name_bytes().map(|link| link.into_owned());
        found.insert(path, (kind, mode, link.unwrap_or(content)));
    }
    Ok(found)
}

fn names(folder: &Path) -> Vec<String> {
    sent(folder).unwrap().keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

#[test]
fn one_dockerfile_of_either_name_and_never_both() {
    for name in NAMES {
        let dir = folder(&[(name, "FROM scratch")]);
        assert_eq!(Context::of(dir.path()).unwrap().dockerfile(), name);
    }
    let none = folder(&[("dockerfile", "")]);
    let error = Context::of(none.path()).unwrap_err();
    assert!(
        error.kind == Kind::NotFound && error.to_string().contains("no Dockerfile and no Dockerfile.txt"),
        "{error}"
    );
    let both = folder(&[("Dockerfile", ""), ("Dockerfile.txt", "")]);
    let error = Context::of(both.path()).unwrap_err();
    assert!(error.kind == Kind::Invalid && error.to_string().contains("remove or rename"), "{error}");
    assert_eq!(Context::of(&both.path().join("no")).unwrap_err().kind, Kind::NotFound);
    assert_eq!(Context::of(&both.path().join("Dockerfile")).unwrap_err().kind, Kind::Invalid);
    let bad = folder(&[("Dockerfile", ""), (".dockerignore", "a\n[")]);
    assert!(Context::of(bad.path()).unwrap_err().to_string().contains("line 2 of .dockerignore"));
}

#[test]
fn what_is_left_out_is_not_sent_and_what_comes_back_is_with_its_directories() {
    let dir = folder(&[
        ("Dockerfile", ""),
        (".dockerignore", "*\n!keep\n!deep/**/x.go\nkeep/not"),
        ("keep/a", ""),
        ("keep/not", ""),
        ("deep/b/c/x.go", ""),
        ("deep/b/c/y.go", ""),
        ("deep/d/y.go", ""),
        ("other", ""),
    ]);
    fs::set_permissions(dir.path().join("deep"), fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(
        names(dir.path()),
        [".dockerignore", "Dockerfile", "deep", "deep/b", "deep/b/c", "deep/b/c/x.go", "keep", "keep/a"]
    );
    assert_eq!(sent(dir.path()).unwrap()[b"deep".as_slice()].1, 0o750);
}

#[test]
fn links_stay_links_and_modes_and_times_are_kept() {
    let dir = folder(&[("Dockerfile", "FROM scratch"), ("run.sh", "#!/bin/sh")]);
    let run = dir.path().join("run.sh");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o4755)).unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    File::options().write(true).open(&run).unwrap().set_modified(then).unwrap();
    symlink("/etc/passwd", dir.path().join("absolute")).unwrap();
    symlink("nowhere", dir.path().join("broken")).unwrap();
    symlink(".", dir.path().join("loop")).unwrap();
    let far = "f/".repeat(150);
    symlink(&far, dir.path().join("far")).unwrap();
    let found = sent(dir.path()).unwrap();
    for (name, to) in
        [("absolute", "/etc/passwd"), ("broken", "nowhere"), ("loop", "."), ("far", far.as_str())]
    {
        let (kind, _, link) = &found[name.as_bytes()];
        assert_eq!((*kind, link.as_slice()), (tar::EntryType::Symlink, to.as_bytes()));
    }
    assert_eq!(found[b"run.sh".as_slice()], (tar::EntryType::Regular, 0o4755, b"#!/bin/sh".to_vec()));
    let mut bytes = Vec::new();
    Context::of(dir.path()).unwrap().write(&mut bytes).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut times = archive.entries().unwrap().map(|entry| entry.unwrap().header().mtime().unwrap());
    assert!(times.any(|time| time == 1_000_000_000));
}

#[test]
fn no_name_is_too_odd() {
    let dir = folder(&[("Dockerfile", "")]);
    let long = "l".repeat(200);
    let odd: [&[u8]; 6] = [b"-rf", b"a\nb", b"\xff\xfe", b" ", b"\\", long.as_bytes()];
    for name in odd {
        fs::create_dir(dir.path().join(OsStr::from_bytes(name))).unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(name)).join(&long), "x").unwrap();
    }
    let found = sent(dir.path()).unwrap();
    for name in odd {
        let path = [name, b"/", long.as_bytes()].concat();
        assert_eq!(found[&path].2, b"x", "{}", path.escape_ascii());
    }
}

#[test]
fn what_no_build_could_use_is_refused_by_its_name_unless_it_is_left_out() {
    let dir = folder(&[("Dockerfile", "")]);
    let socket = dir.path().join("so\ncket");
    let _held = UnixListener::bind(&socket).unwrap();
    let error = sent(dir.path()).unwrap_err().to_string();
    assert!(error.contains("\"so\\ncket\"") && error.contains(".dockerignore"), "{error}");
    fs::write(dir.path().join(IGNORE), "so*").unwrap();
    assert_eq!(names(dir.path()), [IGNORE, "Dockerfile"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = folder(&[("Dockerfile", ""), ("sub/secret", "")]);
    let secret = dir.path().join("sub/secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads it all the same.
    match (File::open(&secret), sent(dir.path())) {
        (Ok(_), sent) => assert!(sent.is_ok()),
        (Err(_), sent) => assert!(sent.unwrap_err().to_string().contains("sub/secret")),
    }
}
