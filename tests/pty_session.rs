//! The session with AWS in a terminal, as the built binary against an STS on loopback: a profile is picked, its code is typed,
//! wrongly and rightly, another program's session is taken up, and neither code nor credential is anywhere afterwards.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pty_support;
#[path = "../cloud/tests/errors/server.rs"]
#[allow(dead_code)] // Other tests lose answers on the way; these do not.
mod server;
#[path = "../cloud/tests/credentials/sts.rs"]
mod sts;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pty_support::{Term, World};
use rustix::process::Signal;
use sts::{CODE, SECRET, TOKEN, profiles, sts};

/// A world whose profiles ask this server.
fn world(server: &server::Server) -> (World, PathBuf) {
    let world = World::new();
    let root = world.work().parent().unwrap().to_owned();
    fs::create_dir(root.join("home/.aws")).unwrap();
    fs::write(root.join("home/.aws/config"), profiles(server.address)).unwrap();
    (world, root)
}

fn open(world: &World) -> Term {
    let arguments = ["--record", "session.jsonl", "--log-level", "trace"];
    world.console_with(&arguments, &[("AWS_EC2_METADATA_DISABLED", "true")], (80, 24))
}

/// Every file below a folder that holds a text.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_code_is_typed_and_seen_nowhere() {
    let server = sts(3600);
    let (world, root) = world(&server);
    let mut term = open(&world);
    term.see("flocks");
    term.press("p").see("role guarded, with a code");
    term.press("guarded<enter>").see("AWS asks for a code of your MFA device");
    term.press(".").see("MFA code");
    term.press("111111<enter>").see("MultiFactorAuthentication failed");
    term.press(".").see("MFA code");
    term.press(CODE).see("******");
    term.press("<enter>").see("guarded@123456789012");
    term.gone("AWS asks for a code");
    term.press("?").see("keys · flocks");
    term.press("<esc>").gone("keys · flocks");
    term.signal(Signal::TERM);
    term.restored();
    assert_eq!(term.ended(), 0);

    let recording = root.join("work/session.jsonl");
    assert!(fs::read_to_string(&recording).unwrap().contains(r#"{"Key":"*"}"#));
    for code in [CODE, "111111"] {
        assert_eq!(holding(&root, code), Vec::<PathBuf>::new(), "a code");
    }
    for secret in [SECRET, TOKEN] {
        let [kept] = &holding(&root, secret)[..] else { panic!("one file holds the session") };
        assert!(kept.starts_with(root.join("home/.aws/cli/cache")), "{}", kept.display());
        assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let journal = fs::read_to_string(root.join("state/shepard/journal.jsonl")).unwrap();
    assert!(journal.contains("shepard renew --profile guarded"), "{journal}");
}

#[test]
fn a_session_that_another_program_renews_is_taken_up_by_itself() {
    let server = sts(3600);
    let (world, _) = world(&server);
    let mut term = open(&world);
    term.see("flocks");
    term.press("p").see("role guarded, with a code");
    term.press("guarded<enter>").see("AWS asks for a code of your MFA device");
    world.ok(&["renew", "--profile", "guarded", "--mfa-token", CODE]);
    term.see("guarded@123456789012").gone("AWS asks for a code");
    // A profile that may not be used, and one that nobody answers for.
    term.press("p").see("role forbidden");
    term.press("forbidden<enter>").see("denied: sts:AssumeRole");
    term.press("p").see("role forbidden");
    term.press("keys<enter>").see("me@123456789012").gone("denied");
}
