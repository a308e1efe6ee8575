//! `shepard whoami`, `renew`, `set-role`, `release-role` and `check-role` as the built binary, against an STS on loopback:
//! what is kept, for whom, and that neither a code nor a credential is anywhere else.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use cli_support::World;
use server::Server;
use sts::{CODE, SECRET, SERIAL, TOKEN, profiles, sts};

mod cli_support;
#[path = "../cloud/tests/errors/server.rs"]
#[allow(dead_code)] // Other tests lose answers on the way; these do not.
mod server;
#[path = "../cloud/tests/credentials/sts.rs"]
mod sts;

const SET: &str = "shepard_cli_role_credentials.txt";

struct Site {
    world: World,
    server: Server,
}

impl Site {
    fn new(seconds: i64) -> Self {
        let (world, server) = (World::new(), sts(seconds));
        let aws = world.path().join("home/.aws");
        std::fs::create_dir(&aws).unwrap();
        std::fs::write(aws.join("config"), profiles(server.address)).unwrap();
        Self { world, server }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.world.shepard(arguments);
        command.env("AWS_PROFILE", "keys").env("AWS_EC2_METADATA_DISABLED", "true");
        command.output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(&[arguments, &["--output", "json"]].concat())).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn file(&self) -> PathBuf {
        self.world.path().join("home/.aws").join(SET)
    }

    /// Files of this world, but for those that are to hold a session, that hold what none may.
    fn leaks(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push(path);
                }
            }
        }
        let mut files = Vec::new();
        walk(self.world.path(), &mut files);
        files.retain(|path| {
            let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
            let session = path.ends_with(SET) || path.to_string_lossy().contains(".aws/cli/cache");
            text.contains(CODE) || (!session && (text.contains(SECRET) || text.contains(TOKEN)))
        });
        files
    }
}

#[test]
fn who_one_is_by_the_environment_and_by_a_profile() {
    let site = Site::new(3600);
    assert!(site.ok(&["whoami"]).contains("arn:aws:iam::123456789012:user/me"));
    let who = site.json(&["whoami", "--profile", "plain", "--region", "eu-north-1"]);
    assert_eq!((&who["name"], &who["account"]), (&"guarded".into(), &"123456789012".into()));
    assert_eq!((&who["profile"], &who["region"]), (&"plain".into(), &"eu-north-1".into()));
    assert!(who["expires_ms"].is_i64(), "{who}");
    let (code, said) = site.fails(&["whoami", "--profile", "forbidden"]);
    assert!(code == 4 && said.contains("sts:AssumeRole"), "{code} {said}");
    let (code, said) = site.fails(&["whoami", "--profile", "guarded"]);
    assert!(code == 5 && said.contains(SERIAL), "{code} {said}");
}

#[test]
fn a_session_is_renewed_with_a_code() {
    let site = Site::new(3600);
    let (_, said) = site.fails(&["renew", "--profile", "guarded"]);
    assert!(said.contains("--mfa-token"), "nobody is there to ask: {said}");
    assert_eq!(site.fails(&["renew", "--profile", "guarded", "--mfa-token", "12345"]).0, 2);
    let (_, said) =
        site.fails(&["renew", "--profile", "guarded", "--mfa-token", "111111", "--log-level", "trace"]);
    assert!(said.contains("MultiFactorAuthentication failed") && !said.contains("111111"), "{said}");
    let renewed = site.json(&["renew", "--profile", "guarded", "--mfa-token", CODE, "--log-level", "trace"]);
    assert!(renewed["expires_ms"].is_i64());
    assert_eq!(site.json(&["whoami", "--profile", "guarded"])["name"], "guarded");
    assert_eq!(site.leaks(), Vec::<PathBuf>::new());
}

#[test]
fn a_role_is_set_for_the_commands_to_come_and_released() {
    let site = Site::new(3600);
    let wanted = ["--account-number", "123456789012", "--role-to-assume-to-target-account", "ops/guarded"];
    assert!(site.ok(&["check-role"]).contains("no role is set"));
    let (code, said) = site.fails(&[&["set-role"][..], &wanted].concat());
    assert!(code == 4 && said.contains("sts:AssumeRole"), "{code} {said}");
    let (code, said) = site.fails(&[&["set-role", "--mfa-token", CODE][..], &wanted].concat());
    assert!(code == 2 && said.contains("--serial-number"), "{code} {said}");
    let set = [&["set-role", "--mfa-token", CODE, "--serial-number", SERIAL][..], &wanted].concat();
    assert!(site.ok(&set).contains("arn:aws:iam::123456789012:role/ops/guarded"));

    assert_eq!(std::fs::metadata(site.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(site.file()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..5], ["ASIAEXAMPLE", SECRET, TOKEN, "123456789012", "ops/guarded"]);
    assert!(lines[5].starts_with("expires="), "{}", lines.len());
    assert_eq!(site.leaks(), Vec::<PathBuf>::new());

    // It counts where no profile is named, and only there.
    assert_eq!(site.json(&["whoami"])["name"], "guarded");
    assert_eq!(site.json(&["whoami", "--profile", "keys"])["name"], "me");
    let checked = site.json(&["check-role"]);
    assert_eq!(
        (&checked["set"]["account"], &checked["set"]["role"]),
        (&"123456789012".into(), &"ops/guarded".into())
    );
    // Setting it again asks with whose credentials are there without it.
    site.ok(&set);
    let assumed =
        site.server.requests().into_iter().rfind(|seen| seen.body.contains("Action=AssumeRole")).unwrap();
    assert_eq!(assumed.header("x-amz-security-token"), None);

    assert!(site.ok(&["release-role"]).contains("released"));
    assert!(!site.file().exists());
    assert!(site.ok(&["release-role"]).contains("no role was set"));
    assert_eq!(site.json(&["whoami"])["name"], "me");
}

#[test]
fn the_originals_file_is_read_and_an_expired_one_goes() {
    let site = Site::new(3600);
    let five = format!("ASIAEXAMPLE\n{SECRET}\n{TOKEN}\n123456789012\nguarded");
    std::fs::write(site.file(), &five).unwrap();
    assert_eq!(site.json(&["whoami"])["name"], "guarded");
    assert_eq!(site.json(&["check-role"])["set"]["expires_ms"], serde_json::Value::Null);
    std::fs::write(site.file(), format!("{five}\nexpires=2020-01-01T00:00:00UTC\n")).unwrap();
    let output = site.run(&["whoami"]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("is released"));
    assert!(!site.file().exists());
    std::fs::write(site.file(), "half\n").unwrap();
    let (_, said) = site.fails(&["whoami"]);
    assert!(said.contains("release-role"), "{said}");
}
