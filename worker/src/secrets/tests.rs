#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use super::*;

fn secret(name: &str) -> Secret {
    Secret { name: name.into(), bytes: b"hush".to_vec() }
}

/// A directory in memory: every Linux has one for everybody.
fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

/// A job's folder of the secrets, not made yet.
fn seen() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let seen = temp.path().join("secrets");
    (temp, seen)
}

#[test]
fn they_lie_in_memory_and_an_empty_folder_where_they_are_seen() {
    let memory = memory();
    let (_temp, seen) = seen();
    let folder = memory.path().join("base/id");
    let laid = lay(&seen, Some(&folder), &[secret("key"), secret("-n 'a\n\"b\"")]).unwrap();
    assert_eq!(laid, Laid { count: 2, on_disk: None });
    assert_eq!(std::fs::read_dir(&seen).unwrap().count(), 0);
    assert_eq!(mode(folder.parent().unwrap()), 0o700);
    assert_eq!((mode(&folder), mode(&folder.join("key"))), (0o700, 0o400));
    assert_eq!(std::fs::read(folder.join("-n 'a\n\"b\"")).unwrap(), b"hush");
}

#[test]
fn without_secrets_nothing_but_the_folder_is_made() {
    let (temp, seen) = seen();
    let aside = temp.path().join("base/id");
    assert_eq!(lay(&seen, Some(&aside), &[]).unwrap(), Laid::default());
    assert!(seen.is_dir() && !temp.path().join("base").exists());
    assert_eq!(mode(&seen) & 0o555, 0o555, "an image's own user may look into it");
}

#[test]
fn a_base_that_is_not_to_be_trusted_is_not_used() {
    let memory = memory();
    // The sources are on a disk, wherever the directory for temporary files is.
    let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let link = memory.path().join("link");
    std::os::unix::fs::symlink(memory.path(), &link).unwrap();
    let open = memory.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
    let file = memory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (base, why) in [
        (disk.path().to_path_buf(), "is not in memory"),
        (disk.path().join("none"), "cannot be used"),
        (memory.path().join("no/parent"), "cannot be used"),
        (link, "is no directory"),
        (open, "may be written to by others"),
        (file, "is no directory"),
    ] {
        let (_temp, seen) = seen();
        let laid = lay(&seen, Some(&base.join("id")), &[secret("key")]).unwrap();
        let said = laid.on_disk.unwrap();
        assert!(said.contains(why) && laid.count == 1, "{said}");
        assert!(!base.join("id").exists(), "{}", base.display());
        assert_eq!((mode(&seen), mode(&seen.join("key"))), (0o700, 0o400));
    }
    assert!(!disk.path().join("none").exists(), "no base is made on a disk");
}

#[test]
fn a_base_of_somebody_else_is_not_used() {
    let memory = memory();
    let base = memory.path().join("theirs");
    std::fs::create_dir(&base).unwrap();
    // Only root can give a directory away.
    if std::os::unix::fs::chown(&base, Some(12_345), None).is_ok() {
        assert!(ready(&base).unwrap_err().contains("belongs to another user"));
    }
}

#[test]
fn an_input_that_lies_there_is_not_hidden() {
    let memory = memory();
    let (_temp, seen) = seen();
    std::fs::create_dir(&seen).unwrap();
    std::fs::write(seen.join("input.zip"), "zip").unwrap();
    let aside = memory.path().join("id");
    let laid = lay(&seen, Some(&aside), &[secret("key")]).unwrap();
    assert!(laid.on_disk.is_some() && !aside.exists());
    assert_eq!(std::fs::read(seen.join("input.zip")).unwrap(), b"zip");
    assert_eq!(mode(&seen), 0o700);
    let said = lay(&seen, None, &[secret("input.zip")]).unwrap_err().to_string();
    assert!(said.contains("rename one of them"), "{said}");
}

#[test]
fn names_that_are_none_are_said_without_the_content() {
    for bad in ["..", "../x", "a/b", "/etc/x", "", ".", "a\0", &"x".repeat(1000)] {
        let (temp, seen) = seen();
        let said = lay(&seen, None, &[secret(bad)]).unwrap_err().to_string();
        assert!(said.contains("name of a secret") && said.contains("secrets rm"), "{said}");
        assert!(!said.contains("hush") && said.len() < 400, "{said}");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}

#[test]
fn every_owner_has_a_base_of_its_own() {
    let memory = memory();
    let (one, two) = (Path::new("/data/flocks/a"), Path::new("/data/flocks/b"));
    let base = memory_of(one, Some(memory.path())).unwrap();
    assert_eq!(base.parent(), Some(memory.path()));
    assert_eq!(memory_of(one, Some(memory.path())), Some(base.clone()));
    assert_ne!(memory_of(two, Some(memory.path())), Some(base));
    // What is no runtime directory is passed over.
    for odd in [Path::new("relative"), Path::new("/nowhere"), Path::new("/dev/shm")] {
        let base = memory_of(one, Some(odd)).unwrap();
        assert!(base.to_str().unwrap().starts_with("/dev/shm/shepard-"), "{}", base.display());
    }
    ready(&memory_of(two, Some(memory.path())).unwrap()).unwrap();
}
