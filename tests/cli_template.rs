//! `shepard template` as a person runs it who makes a stack by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use shepard::template::TEXT;

/// Runs it in an empty home, with this program of the functions.
fn shepard(home: &Path, lambda: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shepard"))
        .arg("template")
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("SHEPARD_LAMBDA", lambda)
        .output()
        .expect("the program")
}

#[test]
fn the_template_is_printed_as_it_is() {
    let home = tempfile::tempdir().expect("temp dir");
    let ran = shepard(home.path(), Path::new("/nowhere.zip"), &[]);
    assert!(ran.status.success());
    assert_eq!(String::from_utf8(ran.stdout).expect("text"), TEXT);
    assert!(
        String::from_utf8_lossy(&ran.stderr).contains("--bucket NAME"),
        "what is missing is said beside it"
    );
}

#[test]
fn the_place_of_the_program_is_filled_in_and_the_program_handed_over() {
    let home = tempfile::tempdir().expect("temp dir");
    let lambda = home.path().join("built.zip");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&lambda).expect("a file"));
    zip.start_file("bootstrap", zip::write::SimpleFileOptions::default()).expect("an entry");
    zip.write_all(b"program").expect("bytes");
    zip.finish().expect("a zip");
    let ran = shepard(
        home.path(),
        &lambda,
        &["--bucket", "my-bucket", "--to", "flock.yml", "--code", "flock.zip", "--output", "json"],
    );
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let key = said["key"].as_str().expect("a key");
    assert!(key.starts_with("lambda/") && key.ends_with(".zip"), "{key}");
    let written = std::fs::read_to_string(home.path().join("flock.yml")).expect("the template");
    assert!(
        written.contains("    Default: 'my-bucket'\n")
            && written.contains(&format!("    Default: '{key}'\n"))
    );
    let read = |name: &str| std::fs::read(home.path().join(name)).expect(name);
    assert_eq!(read("flock.zip"), read("built.zip"));
}

#[test]
fn a_program_that_is_not_there_is_one_line_that_says_how_to_get_it() {
    let home = tempfile::tempdir().expect("temp dir");
    let ran = shepard(home.path(), Path::new("/nowhere.zip"), &["--bucket", "my-bucket"]);
    assert!(!ran.status.success());
    let said = String::from_utf8(ran.stderr).expect("text");
    assert!(
        said.contains("no Lambda program at /nowhere.zip") && said.contains("cargo xtask lambda"),
        "{said}"
    );
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

#[test]
fn the_parameters_are_listed_for_people_and_for_scripts() {
    let home = tempfile::tempdir().expect("temp dir");
    let nowhere = Path::new("/nowhere.zip");
    let ran = shepard(home.path(), nowhere, &["parameters"]);
    let text = String::from_utf8(ran.stdout).expect("text");
    assert!(text.starts_with("S3\n  InputsBucket ") && text.contains("\nCost and access\n"), "{text}");
    let ran = shepard(home.path(), nowhere, &["parameters", "--output", "json"]);
    let said: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(said.as_array().map(Vec::len), Some(shepard::template::template().parameters().count()));
    assert_eq!(said[0]["name"], "InputsBucket");
    assert_eq!(said[0]["default"], "shepard-trigger");
}
