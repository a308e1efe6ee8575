//! Chores of the project: `cargo xtask generate` writes what is derived from the code, `--check` fails where a file
//! on disk differs from it. CI runs the check; nothing here is part of the product.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use io::Write as _;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["generate"] => generate(false),
        ["generate", "--check"] => generate(true),
        _ => {
            say("usage: cargo xtask generate [--check]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Every generated file: its path from the root of the workspace, and what it must hold.
fn files() -> Vec<(&'static str, String)> {
    vec![
        ("docs/cli.md", shepard::commands::cli_document()),
        ("docs/exit-codes.md", shepard::commands::exit::document()),
    ]
}

fn generate(check: bool) -> io::Result<bool> {
    let root = root();
    let mut current = true;
    for (path, text) in files() {
        let path = root.join(path);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if check {
            say(&format!("{} is out of date; run `cargo xtask generate`", path.display()));
            current = false;
        } else {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, text)?;
            say(&format!("wrote {}", path.display()));
        }
    }
    Ok(current)
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
