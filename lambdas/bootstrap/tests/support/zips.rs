//! Archives as people's tools make them: Info-ZIP, 7-Zip, Python and bsdtar.

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// An archive and what makes it different.
pub struct Archive {
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

/// How each is made: the name, the program, its arguments with `OUT` for the archive, and whether it goes to
/// standard output instead.
const MADE: &[(&str, &str, &[&str], bool)] = &[
    ("info-zip", "zip", &["-q", "-r", "OUT", "."], false),
    ("info-zip, comment", "zip", &["-q", "-r", "-z", "OUT", "."], false),
    ("info-zip, zip64", "zip", &["-q", "-r", "-fz", "OUT", "."], false),
    ("info-zip, data descriptors", "zip", &["-q", "-r", "-", "."], true),
    ("info-zip, stored", "zip", &["-q", "-r", "-0", "OUT", "."], false),
    ("7-zip", "7z", &["a", "-tzip", "OUT", "."], false),
    ("7-zip, stored", "7z", &["a", "-tzip", "-mx0", "OUT", "."], false),
    ("bsdtar", "bsdtar", &["--format", "zip", "-cf", "OUT", "."], false),
    ("bsdtar, streamed", "bsdtar", &["--format", "zip", "-cf", "-", "."], true),
    ("python", "python3", &["-m", "zipfile", "-c", "OUT", "."], false),
    ("python, comment and two of the name", "python3", &["-W", "ignore", "-c", COMMENTED, "OUT"], false),
];

const COMMENTED: &str = "import sys, zipfile
z = zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED)
z.writestr('inputs.txt', '{}')
z.write('inputs.txt')
z.comment = b'PK\\x05\\x06' + b'c' * 60000
z.close()";

/// One archive of every kind, of a folder with the variables and sub-folders.
pub fn of_every_tool(variables: &Value) -> Vec<Archive> {
    let place = tempfile::tempdir().expect("a directory");
    MADE.iter()
        .enumerate()
        .map(|(index, (name, program, arguments, streamed))| {
            let folder = place.path().join(format!("folder-{index}"));
            fs::create_dir_all(folder.join("süb folder/empty")).expect("a folder");
            fs::write(folder.join("süb folder/größe.txt"), "x".repeat(200_000)).expect("a file");
            let mut variables = variables.clone();
            variables["made_by"] = json!(name);
            fs::write(folder.join("inputs.txt"), variables.to_string()).expect("a file");
            let out = place.path().join(format!("{index}.zip"));
            run(program, arguments, &folder, &out, *streamed);
            Archive { name, bytes: fs::read(&out).expect("the archive") }
        })
        .collect()
}

fn run(program: &str, arguments: &[&str], folder: &Path, out: &Path, streamed: bool) {
    let path = out.to_str().expect("text");
    let arguments = arguments.iter().map(|argument| if *argument == "OUT" { path } else { argument });
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stderr(Stdio::piped());
    command.stdout(if streamed { File::create(out).expect("a file").into() } else { Stdio::piped() });
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("{program} is missing ({error}); on Debian: apt-get install zip p7zip-full libarchive-tools python3")
    });
    // Info-ZIP reads the comment; the others read nothing.
    let comment = "a comment\nwith PK\u{5}\u{6} in it\n.\n";
    child.stdin.take().expect("a pipe").write_all(comment.as_bytes()).ok();
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A small archive with these variables, by a writer that needs no process.
pub fn small(variables: &Value) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("inputs.txt", zip::write::SimpleFileOptions::default()).expect("an entry");
    zip.write_all(variables.to_string().as_bytes()).expect("its content");
    zip.finish().expect("an archive").into_inner()
}
