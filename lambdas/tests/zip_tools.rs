//! The zip reader against the archives that people's tools make. A tool that is not here is named and passed over.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use shepard_lambdas::zip::{ReadError, ZipProblem, read_inputs_of_file};
use shepard_model::Value;

/// A folder to zip, and a place beside it for the archives.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        let folder = place.folder();
        fs::create_dir_all(folder.join("süb folder/empty")).unwrap();
        fs::write(folder.join("inputs.txt"), "{\"sample\": \"a b\", \"depth\": 30.50}\n").unwrap();
        fs::write(folder.join("süb folder/größe.txt"), "x".repeat(200_000)).unwrap();
        fs::write(folder.join(".hidden"), "").unwrap();
        place
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("folder")
    }

    fn archive(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Runs a tool in the folder; false where there is none.
    fn run(&self, program: &str, arguments: &[&str], output: Option<&Path>, input: &str) -> bool {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder()).stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(output.map_or(Stdio::piped(), |path| File::create(path).unwrap().into()));
        let Ok(mut child) = command.spawn() else {
            eprintln!("skipped: there is no {program} on this machine");
            return false;
        };
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        true
    }
}

#[track_caller]
fn read(path: &Path) {
    let inputs = read_inputs_of_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(inputs.variables[0], ("sample".to_owned(), Value::String("a b".to_owned())));
    assert_eq!(inputs.variables[1], ("depth".to_owned(), Value::Number("30.50".to_owned())));
}

#[track_caller]
fn refused(path: &Path, wanted: &ZipProblem) {
    match read_inputs_of_file(path) {
        Err(ReadError::Zip(problem)) => assert_eq!(problem, *wanted, "{}", path.display()),
        other => panic!("{}: {other:?}", path.display()),
    }
}

#[test]
fn info_zip() {
    let place = Place::new();
    let make = |name: &str, options: &[&str]| {
        let path = place.archive(name);
        let arguments = [&["-q", "-r"], options, &[path.to_str().unwrap(), "."]].concat();
        place.run("zip", &arguments, None, "a comment\nwith PK in it\n.\n").then_some(path)
    };
    let Some(plain) = make("plain.zip", &[]) else { return };
    read(&plain);
    for (name, options) in
        [("stored.zip", &["-0"][..]), ("best.zip", &["-9"]), ("wide.zip", &["-fz"]), ("comment.zip", &["-z"])]
    {
        read(&make(name, options).unwrap());
    }
    refused(&make("password.zip", &["-P", "secret"]).unwrap(), &ZipProblem::Encrypted);
    // Streamed: sizes after the data.
    let streamed = place.archive("streamed.zip");
    place.run("zip", &["-q", "-r", "-", "."], Some(&streamed), "");
    read(&streamed);
    // Something before it, as a self-extracting archive has; first with its offsets as they were, then mended.
    let prefixed = place.archive("prefixed.zip");
    fs::write(&prefixed, [b"#!/bin/sh\nexit 0\n".as_slice(), &fs::read(&plain).unwrap()].concat()).unwrap();
    read(&prefixed);
    place.run("zip", &["-q", "-A", prefixed.to_str().unwrap()], None, "");
    read(&prefixed);
    // The folder and not its content.
    let folder = place.archive("folder.zip");
    Command::new("zip")
        .args(["-q", "-r", folder.to_str().unwrap(), "folder"])
        .current_dir(place.root.path())
        .status()
        .unwrap();
    refused(&folder, &ZipProblem::InFolder("folder".to_owned()));
}

#[test]
fn seven_zip() {
    let place = Place::new();
    let make = |name: &str, options: &[&str]| {
        let path = place.archive(name);
        let arguments = [&["a", "-tzip"], options, &[path.to_str().unwrap(), "."]].concat();
        place.run("7z", &arguments, None, "").then_some(path)
    };
    let Some(plain) = make("plain.zip", &[]) else { return };
    read(&plain);
    read(&make("stored.zip", &["-mx0"]).unwrap());
    // Without compression to gain it stores, so make the file worth compressing.
    let long = format!("{{\"sample\": \"a b\", \"depth\": 30.50, \"x\": \"{}\"}}", "y".repeat(5_000));
    fs::write(place.folder().join("inputs.txt"), long).unwrap();
    for (option, word) in [("-mm=Deflate64", "deflate64"), ("-mm=BZip2", "bzip2"), ("-mm=LZMA", "lzma")] {
        refused(&make(&format!("{word}.zip"), &[option]).unwrap(), &ZipProblem::Method(word.to_owned()));
    }
    refused(&make("aes.zip", &["-psecret", "-mem=AES256"]).unwrap(), &ZipProblem::Encrypted);
}

#[test]
fn bsdtar() {
    let place = Place::new();
    for (name, options) in [("plain.zip", &[][..]), ("stored.zip", &["--options", "zip:compression=store"])] {
        let path = place.archive(name);
        // Its member names begin with `./` here.
        let arguments = [&["--format", "zip"], options, &["-cf", path.to_str().unwrap(), "."]].concat();
        if !place.run("bsdtar", &arguments, None, "") {
            return;
        }
        read(&path);
    }
}

#[test]
fn python() {
    let place = Place::new();
    let made = place.archive("made.zip");
    let made = made.to_str().unwrap();
    if !place.run("python3", &["-m", "zipfile", "-c", made, "."], None, "") {
        return;
    }
    read(Path::new(made));
    // Two of the name, of which the last counts, and a comment that looks like an end.
    let script = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED)\n\
        z.writestr('inputs.txt', '{}')\n\
        z.write('inputs.txt')\n\
        z.comment = b'PK\\x05\\x06' + b'c' * 30000\n\
        z.close()\n";
    let path = place.archive("module.zip");
    place.run("python3", &["-W", "ignore", "-c", script, path.to_str().unwrap()], None, "");
    read(&path);
    let script = "import sys, shutil\nshutil.make_archive(sys.argv[1], 'zip', '.')\n";
    place.run("python3", &["-c", script, place.archive("shutil").to_str().unwrap()], None, "");
    read(&place.archive("shutil.zip"));
    let script = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.stdout.buffer, 'w')\n\
        z.write('inputs.txt', compress_type=zipfile.ZIP_BZIP2)\nz.close()\n";
    let path = place.archive("bzip2.zip");
    place.run("python3", &["-c", script], Some(&path), "");
    refused(&path, &ZipProblem::Method("bzip2".to_owned()));
}
