//! Holds the import rules of `src/lib.rs` and ARCHITECTURE.md, the length of files, and the rule that every channel
//! says what happens when it is full. A scan of lines, not a parser: it sees what `use` and paths say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines.
const LONGEST: usize = 600;

/// Files under a directory of the workspace, and what none of their lines may name.
const NEVER: &[(&str, &[&str])] = &[
    ("model/src", &["shepard_", "tokio", "rusqlite", "aws_", "ratatui", "SystemTime", "std::fs", "std::net"]),
    ("cloud/src", &["ratatui", "crossterm", "shepard::", "shepard_lambdas", "shepard_worker"]),
    (
        "lambdas/src",
        // No tokio either: the simulator runs the same code on an executor and a clock of its own.
        &["ratatui", "crossterm", "rusqlite", "aws_", "tokio", "shepard_cloud::local", "SystemTime::now"],
    ),
    (
        "lambdas/bootstrap/src",
        &["ratatui", "crossterm", "rusqlite", "aws_", "shepard_cloud::local", "SystemTime::now"],
    ),
    (
        "simulator/src",
        &[
            "ratatui",
            "crossterm",
            "rusqlite",
            "aws_",
            "tokio",
            "shepard_cloud::local",
            "shepard_cloud::aws",
            "SystemTime::now",
        ],
    ),
    (
        "worker/src",
        &["ratatui", "crossterm", "rusqlite", "aws_sdk", "shepard_cloud::local", "SystemTime::now"],
    ),
    ("engine/src", &["ratatui", "crossterm", "rusqlite", "aws_", "shepard_", "SystemTime::now"]),
    (
        "worker/container/src",
        &["ratatui", "crossterm", "rusqlite", "aws_", "bollard", "shepard_cloud::local", "SystemTime::now"],
    ),
    (
        "src/app",
        &["tokio", "shepard_cloud", "ratatui", "crossterm", "std::fs", "SystemTime", "Instant::now", "aws_"],
    ),
    ("src/screens", &["tokio", "shepard_cloud", "std::fs", "SystemTime", "Instant::now", "aws_"]),
    ("src/ui", &["crate::app", "crate::screens", "shepard_cloud", "tokio", "aws_"]),
    ("src/feeds", &["ratatui", "crossterm", "crate::screens"]),
    ("src/operations", &["ratatui", "crossterm", "crate::app", "crate::screens", "crate::shell", "println!"]),
    ("src/local", &["ratatui", "crossterm", "crate::app", "crate::screens", "crate::shell"]),
    (
        "src/template",
        &["ratatui", "crossterm", "crate::app", "crate::screens", "crate::shell", "shepard_cloud", "tokio"],
    ),
    ("src/commands", &["ratatui", "crossterm", "crate::app", "crate::screens"]),
];

/// What only some places may name: the name, the places that may.
const ONLY: &[(&str, &[&str])] = &[
    ("aws_sdk_", &["cloud/src/aws"]),
    ("aws_smithy_", &["cloud/src/aws"]),
    ("aws_config", &["cloud/src/aws"]),
    ("bollard", &["engine/src"]),
    ("oci_client", &["cloud/src/registry"]),
    ("rusqlite", &["cloud/src/local"]),
    ("SystemTime::now", &["cloud/src/ports.rs"]),
    ("process::exit(", &[]),
    ("unbounded_channel", &[]),
];

#[test]
fn no_module_reaches_where_it_may_not() {
    let mut faults = Vec::new();
    for (dir, names) in NEVER {
        for (path, text) in sources(dir) {
            for (number, line) in code(&text) {
                for name in *names {
                    if mentions(line, name) {
                        faults.push(format!("{}:{number}: {dir} must not know {name}", path.display()));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn what_one_place_owns_no_other_names() {
    let mut faults = Vec::new();
    for (path, text) in all_sources() {
        let place = path.strip_prefix(root()).unwrap().to_owned();
        for (name, places) in ONLY {
            if places.iter().any(|owner| place.starts_with(owner)) {
                continue;
            }
            for (number, line) in code(&text) {
                if mentions(line, name) {
                    faults.push(format!("{}:{number}: {name} belongs to {places:?}", place.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn files_stay_short_enough_to_read() {
    let long: Vec<String> = all_sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LONGEST)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = all_sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "without a module comment:\n{}", silent.join("\n"));
}

/// A comment counts when it is on the line, in the three lines above it, or beside the constant that gives the
/// capacity.
#[test]
fn every_channel_says_what_happens_when_it_is_full() {
    let mut faults = Vec::new();
    for (path, text) in all_sources() {
        let lines: Vec<&str> = text.lines().collect();
        let said = |at: usize| {
            let from = at.saturating_sub(3);
            lines[from..=at].iter().any(|line| line.contains("//"))
        };
        for (number, line) in code(&text) {
            let Some(capacity) = channel_capacity(line) else { continue };
            let constant = format!("const {capacity}:");
            let declared = lines.iter().position(|line| line.contains(&constant));
            if !said(number - 1) && !declared.is_some_and(said) {
                faults.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "channels without a word about being full:\n{}", faults.join("\n"));
}

fn channel_capacity(line: &str) -> Option<&str> {
    let after = line.split("mpsc::channel").nth(1).or_else(|| line.split("sync_channel").nth(1))?;
    Some(after.split_once('(')?.1.split(')').next()?.trim())
}

/// The scan itself must be able to see a fault.
#[test]
fn the_scan_sees_what_it_looks_for() {
    assert!(mentions("use tokio::fs;", "tokio"));
    assert!(mentions("    let now = std::time::SystemTime::now();", "SystemTime::now"));
    assert!(!mentions("use pseudotokio::fs;", "tokio"));
    assert!(!mentions("let s = \"tokio\";", "tokio"));
    let text = "//! tokio\nuse tokio::fs; // why\n#[cfg(test)]\nmod tests {\n    use tokio::time;\n}\n";
    let lines: Vec<_> = code(text).map(|(number, _)| number).collect();
    assert_eq!(lines, [2, 3], "comments are not code, and tests may do as they like");
    assert_eq!(channel_capacity("let (a, b) = mpsc::channel::<u8>(INBOX);"), Some("INBOX"));
    assert!(all_sources().len() > 30, "the sources were found");
}

fn mentions(line: &str, name: &str) -> bool {
    // What a string says is no import.
    let bare: String = line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    bare.match_indices(name).any(|(at, _)| {
        let before = bare[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The lines of code before the tests of a file, numbered from 1, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("mod tests"))
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
        .filter(|(_, line)| !line.trim().is_empty())
}

fn all_sources() -> Vec<(PathBuf, String)> {
    [
        "src",
        "model/src",
        "cloud/src",
        "engine/src",
        "lambdas/src",
        "lambdas/bootstrap/src",
        "simulator/src",
        "worker/src",
        "worker/container/src",
        "xtask/src",
    ]
    .into_iter()
    .flat_map(sources)
    .collect()
}

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && path.file_name().is_none_or(|name| name != "tests.rs")
                && !path.components().any(|part| part.as_os_str() == "tests")
            {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
