//! checkov on the stack's template: what it still finds is explained in docs/template.md, no more and no less.
//!
//! It needs the checkov that `.ci/run` installs into an environment of its own, because what it pins clashes with the
//! emulators': the one that `SHEPARD_CHECKOV` names, or that of `~/.cache/shepard-checkov`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;

fn main() -> ExitCode {
    let able = program().is_some_and(|program| program.exists());
    let findings = ("what_is_left_is_explained", what_is_left_is_explained as fn());
    shepard_testkit::where_able("needs_checkov", able, vec![findings])
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("SHEPARD_CHECKOV").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home =
        || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/shepard-checkov/bin/checkov"));
    named.or_else(home)
}

fn what_is_left_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = Command::new(program().expect("checkov"))
        .args([
            "--framework",
            "cloudformation",
            "--compact",
            "--quiet",
            "--skip-download",
            "-o",
            "json",
            "-f",
        ])
        .arg(root.join("templates/shepard.yml"))
        .output()
        .expect("checkov");
    let found: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ran.stderr)));
    assert_eq!(found["summary"]["parsing_errors"], 0, "{found:.500}");
    assert!(
        found["summary"]["passed"].as_u64() > Some(50),
        "it looked at next to nothing: {}",
        found["summary"]
    );
    let failed = found["results"]["failed_checks"].as_array().expect("a list");
    let left: BTreeSet<String> =
        failed.iter().map(|check| check["check_id"].as_str().expect("an id").to_owned()).collect();

    let document = std::fs::read_to_string(root.join("docs/template.md")).expect("docs/template.md");
    let explained: BTreeSet<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `CKV"))
        .map(|line| format!("CKV{}", line.split('`').next().unwrap_or_default()))
        .collect();
    assert_eq!(left, explained, "what checkov finds, and what docs/template.md explains");
}
