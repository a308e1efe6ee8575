//! Zips that a worker did not write, or not whole: nothing of them leaves the folder.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const SMALL: Bounds = Bounds { bytes: 100, entries: 5 };

struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("checkpoint")).unwrap();
        Self { dir }
    }

    fn unpack(&self, bytes: &[u8]) -> Result<(u64, u64), String> {
        let file = self.dir.path().join("checkpoint.zip");
        std::fs::write(&file, bytes).unwrap();
        unpack(&file, &self.dir.path().join("checkpoint"), SMALL)
    }

    /// Nothing but the folder and the zip.
    fn is_confined(&self) -> bool {
        std::fs::read_dir(self.dir.path()).unwrap().count() == 2
    }
}

fn zip_of(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn names_that_lead_out_links_and_twins_make_it_unusable() {
    for name in ["../x", "a/../../x", "..", "a\0b"] {
        let case = Case::new();
        let why = case.unpack(&zip_of(&[("fine", "1"), (name, "2")])).unwrap_err();
        assert!(case.is_confined(), "{name:?}: {why}");
    }
    let case = Case::new();
    assert_eq!(case.unpack(&zip_of(&[("/etc/x", "1")])), Ok((1, 1)));
    assert!(case.dir.path().join("checkpoint/etc/x").exists() && case.is_confined());

    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.add_symlink("out", "../..", SimpleFileOptions::default()).unwrap();
    zip.start_file("out/x", SimpleFileOptions::default()).unwrap();
    let case = Case::new();
    let why = case.unpack(&zip.finish().unwrap().into_inner()).unwrap_err();
    assert!(why.contains("is a link") && case.is_confined(), "{why}");

    // A file under whose name another one lies.
    let case = Case::new();
    assert!(case.unpack(&zip_of(&[("a", "1"), ("a/b", "2")])).is_err());
}

#[test]
fn what_is_too_large_is_not_unpacked_to_the_end() {
    let case = Case::new();
    let why = case.unpack(&zip_of(&[("a", &"x".repeat(60)), ("b", &"x".repeat(41))])).unwrap_err();
    assert_eq!(why, "it unpacks to more than 100 bytes");
    assert!(case.dir.path().join("checkpoint/b").metadata().unwrap().len() <= 41);
    assert_eq!(Case::new().unpack(&zip_of(&[("a", &"x".repeat(100))])), Ok((1, 100)));
    let many: Vec<String> = (0..6).map(|at| at.to_string()).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(Case::new().unpack(&zip_of(&many)).unwrap_err(), "it has 6 entries");
}

#[test]
fn every_byte_that_is_missing_or_wrong_is_noticed_or_harmless() {
    let whole = zip_of(&[("a", "one two three"), ("b/c", "four")]);
    for cut in 0..whole.len() {
        let case = Case::new();
        assert!(case.unpack(&whole[..cut]).is_err(), "cut at {cut}");
        assert!(case.is_confined());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_damaged_zip_stays_in_its_folder(at in 0_usize..400, byte in any::<u8>()) {
        let mut bytes = zip_of(&[("a", "one two three"), ("b/c", "four"), ("d", "")]);
        let at = at % bytes.len();
        bytes[at] = byte;
        let case = Case::new();
        let _ = case.unpack(&bytes);
        prop_assert!(case.is_confined());
    }
}
