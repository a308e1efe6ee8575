use std::os::unix::fs::symlink;

use super::*;

fn secret(name: &str, bytes: &[u8]) -> Secret {
    Secret { name: name.into(), bytes: bytes.to_vec() }
}

fn folder(temp: &tempfile::TempDir) -> Folder {
    Folder { root: temp.path().to_path_buf(), path: temp.path().join("secrets") }
}

/// What a file system answers that cannot exchange.
fn cannot(_: &Path, _: &Path) -> Result<(), Errno> {
    Err(Errno::INVAL)
}

/// What is in the flock's folder, but for the lock.
fn left(temp: &tempfile::TempDir) -> Vec<String> {
    let names = fs::read_dir(temp.path()).expect("root").map(|entry| entry.expect("entry").file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().expect("text")).collect();
    names.retain(|name| name != "secrets.lock");
    names.sort();
    names
}

#[test]
fn regular_files_are_secrets_and_nothing_else_is() {
    let temp = tempfile::tempdir().expect("temp");
    assert_eq!(read(&temp.path().join("none")).expect("no folder"), []);
    fs::write(temp.path().join("token"), b"s3cret\0").expect("write");
    fs::write(temp.path().join("a key"), b"").expect("write");
    fs::create_dir(temp.path().join("folder")).expect("folder");
    symlink("/etc/passwd", temp.path().join("link")).expect("link");
    let secrets = read(temp.path()).expect("read");
    assert_eq!(secrets.iter().map(|secret| &*secret.name).collect::<Vec<_>>(), ["a key", "token"]);
    assert_eq!(secrets[1].bytes, b"s3cret\0");
    assert!(!format!("{secrets:?}").contains("s3cret"));
}

#[test]
fn a_replacement_is_private_whole_and_leaves_nothing_beside_it() {
    for how in [exchange as Exchange, cannot] {
        let temp = tempfile::tempdir().expect("temp");
        let folder = folder(&temp);
        let first = [secret(".env", b"1"), secret("-rf", b""), secret("a\n'b\"", b"\0\xff")];
        let one = folder.write(&first, how).expect("the folder need not be there");
        let mut sorted = first.to_vec();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(folder.read().expect("read"), sorted);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder.path), mode(&folder.path.join(".env"))), (0o700, 0o600));
        let two = folder.write(&[secret("b", b"2")], how).expect("write");
        assert_eq!(folder.read().expect("read"), [secret("b", b"2")]);
        assert!(one != two && !one.is_empty(), "{one} {two}");
        assert_eq!(left(&temp), ["secrets"]);
        folder.write(&[], how).expect("write");
        assert_eq!(folder.read().expect("read"), []);
        assert!(folder.path.is_dir());
    }
}

#[test]
fn what_a_dead_writer_left_is_ended_and_swept() {
    let temp = tempfile::tempdir().expect("temp");
    let folder = folder(&temp);
    // It died before the exchange.
    folder.write(&[secret("a", b"old")], exchange).expect("write");
    fs::create_dir(temp.path().join(".secrets-Ab12")).expect("staged");
    fs::write(temp.path().join(".secrets-Ab12/a"), b"half").expect("staged");
    assert_eq!(folder.read().expect("read"), [secret("a", b"old")]);
    // It died between the two steps that stand for an exchange.
    fs::rename(&folder.path, temp.path().join(ASIDE)).expect("aside");
    assert_eq!(folder.read().expect("read"), [secret("a", b"old")]);
    // What comes next and fails changes nothing either.
    let broken = |_: &Path, _: &Path| Err(Errno::IO);
    folder.write(&[secret("a", b"new")], broken).expect_err("a disk that fails");
    assert_eq!(folder.read().expect("read"), [secret("a", b"old")]);
    assert_eq!(left(&temp), ["secrets"]);
}

#[test]
fn what_a_person_made_of_the_folder_is_not_lost() {
    for how in ["folder", "link"] {
        let temp = tempfile::tempdir().expect("temp");
        let folder = folder(&temp);
        folder.write(&[secret("a", b"old")], exchange).expect("write");
        if how == "folder" {
            fs::create_dir(folder.path.join("mine")).expect("folder");
        } else {
            symlink("/etc/hostname", folder.path.join("mine")).expect("link");
        }
        let error = folder.write(&[], exchange).expect_err(how);
        assert_eq!(error.kind, Kind::Conflict);
        assert!(error.to_string().contains("mine"), "{error}");
        assert_eq!(folder.read().expect("read"), [secret("a", b"old")]);
    }
    let temp = tempfile::tempdir().expect("temp");
    let folder = folder(&temp);
    fs::create_dir(temp.path().join("elsewhere")).expect("folder");
    symlink("elsewhere", &folder.path).expect("link");
    assert_eq!(folder.write(&[], exchange).expect_err("a link").kind, Kind::Conflict);
    assert!(folder.path.is_symlink());
}

#[test]
fn readers_see_the_old_or_the_new_and_never_a_mixture() {
    for how in [exchange as Exchange, cannot] {
        let temp = tempfile::tempdir().expect("temp");
        let set = |n: usize| -> Vec<Secret> {
            let names = ["a", "b", "c"].into_iter().take(1 + n % 3);
            names.map(|name| secret(name, n.to_string().as_bytes())).collect()
        };
        folder(&temp).write(&set(0), how).expect("write");
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let folder = folder(&temp);
                scope.spawn(move || {
                    for n in 0..30 {
                        folder.write(&set(writer * 1000 + n), how).expect("write");
                    }
                });
            }
            for _ in 0..2 {
                let folder = folder(&temp);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let secrets = folder.read().expect("read");
                        let n: usize = String::from_utf8_lossy(&secrets[0].bytes).parse().expect("a number");
                        assert_eq!(secrets, set(n));
                    }
                });
            }
        });
        assert_eq!(left(&temp), ["secrets"]);
    }
}

#[tokio::test]
async fn names_that_would_lead_elsewhere_are_refused() {
    let temp = tempfile::tempdir().expect("temp");
    let dir =
        super::super::Home::new(temp.path()).create(&super::super::Settings::named("f")).expect("create");
    let secrets = LocalSecrets::new(&dir);
    for bad in ["../x", "a/b", "", "..", "a\0", &"x".repeat(1000)] {
        let error = secrets.write(&[secret(bad, b"hunter2")]).await.expect_err(bad);
        assert_eq!(error.kind, Kind::Invalid, "{bad:?}");
        assert!(!error.to_string().contains("hunter2"));
    }
    assert!(!dir.path().join("x").exists());
}
