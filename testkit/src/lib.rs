//! What tests of several crates share: whether this machine can run a test, and a truthful count where it cannot.
//!
//! A test that needs a Docker engine is run where one answers. Where none does, it is listed by its name as *ignored*:
//! not as passed, and not as failed either. That is decided when the tests are run, which the test harness of the
//! compiler cannot do, so such tests are in targets of their own with `harness = false` and a `main` of one line.
//!
//! Images for such tests are made here as well, of a static busybox and nothing else: no registry is asked.
//!
//! Never part of the product, and no dependency of it.

pub mod image;

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};

/// A test: its name, and what it does. It fails by a panic.
pub type Test = (&'static str, fn());

/// Runs tests that need a Docker engine, the one that `DOCKER_HOST` names or the usual one; ignores them where none
/// answers. Their names begin with `needs_engine::`.
#[must_use]
pub fn with_engine(tests: Vec<Test>) -> ExitCode {
    run("needs_engine", engine_answers(), tests)
}

/// Runs tests that need an engine, and a static busybox to make images of. Their names begin with
/// `needs_engine_and_busybox::`.
#[must_use]
pub fn with_engine_and_busybox(tests: Vec<Test>) -> ExitCode {
    run("needs_engine_and_busybox", image::busybox().is_some() && engine_answers(), tests)
}

/// Runs tests that need an engine, a static busybox to make images of, and to be root. Their names begin with
/// `needs_engine_and_busybox_and_root::`.
#[must_use]
pub fn with_engine_and_busybox_and_root(tests: Vec<Test>) -> ExitCode {
    let able = is_root() && image::busybox().is_some() && engine_answers();
    run("needs_engine_and_busybox_and_root", able, tests)
}

/// Runs tests that need both an engine and to be root, for mounts and loop devices of their own. Their names begin with
/// `needs_engine_and_root::`.
#[must_use]
pub fn with_engine_and_root(tests: Vec<Test>) -> ExitCode {
    run("needs_engine_and_root", is_root() && engine_answers(), tests)
}

/// Whether this process is root.
#[must_use]
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t0")))
}

/// Runs tests that need something else, which the caller has looked for. Their names begin with `group`, a word for what
/// they need.
#[must_use]
pub fn where_able(group: &str, able: bool, tests: Vec<Test>) -> ExitCode {
    run(group, able, tests)
}

fn run(group: &str, able: bool, tests: Vec<Test>) -> ExitCode {
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(format!("{group}::{name}"), move || {
            test();
            Ok(())
        })
        .with_ignored_flag(!able)
    });
    let mut arguments = Arguments::from_args();
    if arguments.include_ignored || arguments.ignored {
        // Whoever asks for them by that flag means tests that are slow, not tests that cannot be run.
        (arguments.include_ignored, arguments.ignored) = (able, false);
    }
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Whether an engine answers where `DOCKER_HOST` says, or at the usual socket.
#[must_use]
pub fn engine_answers() -> bool {
    const ASK: &[u8] = b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n";
    fn ask(mut stream: impl std::io::Read + std::io::Write) -> bool {
        let mut answer = [0; 12];
        stream.write_all(ASK).is_ok() && stream.read_exact(&mut answer).is_ok() && answer.ends_with(b"200")
    }
    let wait = Some(Duration::from_secs(5));
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    match host.split_once("://") {
        Some(("unix", path)) => {
            UnixStream::connect(path).is_ok_and(|stream| stream.set_read_timeout(wait).is_ok() && ask(stream))
        }
        Some((_, address)) => TcpStream::connect(address.trim_end_matches('/'))
            .is_ok_and(|stream| stream.set_read_timeout(wait).is_ok() && ask(stream)),
        None => false,
    }
}
