//! Whose credentials a request carries: chains of roles, codes, sessions that are kept, and what is said when one is not
//! there. The service is one on loopback; botocore, which the AWS CLI stands on, reads and writes the same files.

#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg(all(feature = "account", feature = "local"))]

#[path = "../errors/server.rs"]
#[allow(dead_code)] // Other tests lose answers on the way; these do not.
mod server;
mod sts;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use shepard_cloud::aws::identity::{Identity, identity};
use shepard_cloud::aws::renew::{Needs, needs, renew};
use shepard_cloud::aws::{AssumeRole, Profile};
use shepard_cloud::{CloudError, Kind};
use shepard_model::MfaCode;

use server::Server;
use sts::{CODE, SECRET, SERIAL, TOKEN, profiles, sts, time};

struct Site {
    server: Server,
    home: tempfile::TempDir,
}

impl Site {
    fn new(seconds: i64) -> Self {
        let (server, home) = (sts(seconds), tempfile::tempdir().expect("temp"));
        std::fs::create_dir(home.path().join(".aws")).expect("a folder");
        std::fs::write(home.path().join(".aws/config"), profiles(server.address)).expect("a file");
        Self { server, home }
    }

    fn profile(&self, name: &str) -> Profile {
        let file = self.home.path().join(".aws/config");
        Profile { name: Some(name.into()), file: Some(file), ..Profile::default() }
    }

    async fn who(&self, name: &str) -> Result<Identity, CloudError> {
        identity(&self.profile(name)).await
    }

    fn kept(&self) -> Vec<PathBuf> {
        let folder = self.home.path().join(".aws/cli/cache");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }
}

fn code(text: &str) -> MfaCode {
    MfaCode::parse(text).expect("a code")
}

#[tokio::test]
async fn a_code_is_asked_for_once_and_its_session_is_kept_for_its_owner_alone() {
    let site = Site::new(3600);
    let error = site.who("guarded").await.expect_err("no code yet");
    assert_eq!(error.kind, Kind::Mfa, "{error}");
    assert!(error.to_string().contains(SERIAL), "{error}");
    assert!(site.server.requests().is_empty(), "nothing was asked without a code");
    let profile = site.profile("guarded");
    let role = "arn:aws:iam::123456789012:role/guarded".to_owned();
    assert_eq!(needs(&profile).await.expect("needs"), Needs::Code { serial: SERIAL.into(), role });

    let error = renew(&profile, Some(&code("111111"))).await.expect_err("a wrong code");
    assert_eq!(error.kind, Kind::Mfa, "{error}");
    assert!(!format!("{error} {error:?}").contains("111111"));
    assert!(site.kept().is_empty());

    let ends = renew(&profile, Some(&code(CODE))).await.expect("renewed").expect("an end");
    let [file] = &site.kept()[..] else { panic!("one file") };
    assert_eq!(std::fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read_to_string(file).expect("text").contains(CODE));

    let who = site.who("guarded").await.expect("a session");
    assert_eq!((who.name(), who.region.as_deref()), ("guarded", Some("eu-west-1")));
    assert!(who.expires_ms.is_some_and(|found| (found - ends).abs() < 1_000), "{who:?} {ends}");
    // A role behind it needs no code of its own.
    site.who("behind").await.expect("behind it");
    let bodies: Vec<String> = site.server.requests().iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(
        bodies.iter().filter(|body| body.contains("TokenCode")).count(),
        2,
        "the wrong one and the right one"
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_apart() {
    let site = Site::new(3600);
    let kind = |error: CloudError| {
        let words = format!("{error} {error:?}");
        assert!(
            !words.contains(SECRET) && !words.contains(TOKEN) && !words.contains("not-a-secret"),
            "{words}"
        );
        (error.kind, error.denied(), error.to_string())
    };
    let (found, denied, words) = kind(site.who("forbidden").await.expect_err("forbidden"));
    assert_eq!(found, Kind::Denied, "{words}");
    let role = "arn:aws:iam::123456789012:role/forbidden".to_owned();
    assert_eq!(denied, Some(("sts:AssumeRole".to_owned(), Some(role))), "{words}");
    assert_eq!(kind(site.who("stale").await.expect_err("stale")).0, Kind::Expired);
    assert_eq!(kind(site.who("empty").await.expect_err("empty")).0, Kind::Auth);
    assert_eq!(kind(site.who("not-there").await.expect_err("not there")).0, Kind::Auth);
    assert_eq!(site.who("keys").await.expect("keys").name(), "me");
    assert_eq!(site.who("plain").await.expect("plain").name(), "guarded");

    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    std::fs::write(site.home.path().join(".aws/config"), profiles(gone)).expect("a file");
    for name in ["keys", "plain"] {
        let (found, _, words) = kind(site.who(name).await.expect_err("offline"));
        assert_eq!(found, Kind::Offline, "{words}");
    }
}

#[tokio::test]
async fn a_role_on_top_wants_a_code_only_if_it_cannot_be_had_without() {
    let site = Site::new(3600);
    let on_top = |profile: &str, role: &str| {
        let role = Some(AssumeRole::of(format!("arn:aws:iam::123456789012:role/{role}")));
        Profile { role, ..site.profile(profile) }
    };
    identity(&on_top("device", "open")).await.expect("no code is needed");
    let guarded = on_top("device", "guarded");
    assert_eq!(identity(&guarded).await.expect_err("a code").kind, Kind::Mfa);
    assert_eq!(identity(&on_top("keys", "guarded")).await.expect_err("no device").kind, Kind::Denied);
    renew(&guarded, Some(&code(CODE))).await.expect("renewed");
    assert_eq!(identity(&guarded).await.expect("kept").name(), "guarded");
}

#[tokio::test]
async fn a_session_that_is_over_is_not_taken() {
    let site = Site::new(10);
    renew(&site.profile("guarded"), Some(&code(CODE))).await.expect("renewed");
    assert_eq!(site.who("guarded").await.expect_err("over in a moment").kind, Kind::Mfa);
    for text in ["", "{}", "nonsense", "{\"Credentials\":{}}"] {
        std::fs::write(&site.kept()[0], text).expect("a file");
        assert_eq!(site.who("guarded").await.expect_err(text).kind, Kind::Mfa);
    }
}

/// Asks through botocore with the cache of the AWS CLI; the code is typed if it asks for one.
fn botocore(home: &Path, profile: &str, typed: Option<&str>) -> String {
    let script = r#"
import sys
import botocore.session
from botocore.utils import JSONFileCache
profile, home, typed = sys.argv[1:4]
session = botocore.session.Session(profile=profile)
provider = session.get_component('credential_provider').get_provider('assume-role')
provider.cache = JSONFileCache(home + '/.aws/cli/cache')
def prompt(_):
    assert typed, 'it asked for a code'
    return typed
provider._prompter = prompt
print(session.create_client('sts').get_caller_identity()['Arn'])
"#;
    let output = Command::new("python3")
        .args(["-c", script, profile])
        .arg(home)
        .arg(typed.unwrap_or_default())
        .env("HOME", home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ACCESS_KEY_ID")
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn what_we_keep_the_aws_cli_takes_and_what_it_keeps_we_take() {
    for name in ["guarded", "named"] {
        let ours = Site::new(7200);
        renew(&ours.profile(name), Some(&code(CODE))).await.expect("renewed");
        assert!(botocore(ours.home.path(), name, None).ends_with("guarded/me"), "{name}: ours");

        let theirs = Site::new(7200);
        assert!(botocore(theirs.home.path(), name, Some(CODE)).ends_with("guarded/me"));
        assert_eq!(theirs.who(name).await.expect("theirs").name(), "guarded", "{name}: theirs");
    }
    let named = Site::new(7200);
    renew(&named.profile("named"), Some(&code(CODE))).await.expect("renewed");
    let asked = named.server.requests();
    let body = &asked.iter().find(|seen| seen.body.contains("TokenCode")).expect("asked").body;
    for part in ["DurationSeconds=7200", "ExternalId=a%2Fb", "RoleSessionName=%C3%BCn"] {
        assert!(body.contains(part), "{body}");
    }
}

#[test]
fn times_are_the_services() {
    assert_eq!(time(0), "1970-01-01T00:00:00Z");
    assert_eq!(time(1_795_262_400), "2026-11-21T12:00:00Z");
}
