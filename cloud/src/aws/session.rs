//! Sessions of roles that took a code to get, kept where and as the AWS CLI keeps them: whoever typed the code there
//! need not type it here, and the other way round.
//!
//! One file for each role in `~/.aws/cli/cache`, named after what it was asked for with. Readable by its owner alone,
//! replaced by a rename. Nothing else that is asked of AWS is ever kept on disk.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::Deserialize;
use sha1::{Digest as _, Sha1};
use shepard_model::MfaCode;

use super::connect::{AssumeRole, Profile};
use super::error::failed;
use crate::error::{CloudError, Kind};
use crate::ports::{Clock as _, WallClock};

/// A session that ends sooner than this is not taken any more, in milliseconds: a request must still come through.
pub(super) const LEAST: i64 = 30_000;

/// Where STS is asked if no region is set anywhere.
const REGION: &str = "us-east-1";

/// The folder with the sessions: the AWS CLI's own, or beside a configuration file that is read in place of the SDK's.
pub(super) fn folder(profile: &Profile) -> Option<PathBuf> {
    let aws = match &profile.file {
        Some(file) => file.parent().map(Path::to_owned),
        None => home(),
    };
    aws.map(|aws| aws.join("cli/cache"))
}

/// `~/.aws`.
pub(super) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(".aws"))
}

/// The settings of a client of STS.
pub(super) fn sts(config: &SdkConfig) -> aws_sdk_sts::Config {
    let mut builder = aws_sdk_sts::config::Builder::from(config);
    if config.region().is_none() {
        builder = builder.region(Region::from_static(REGION));
    }
    builder.build()
}

/// Milliseconds since the epoch.
pub(super) fn millis(at: SystemTime) -> Option<i64> {
    at.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_millis()).ok())
}

/// The session of a role.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: String,
    /// When it ends, in milliseconds since the epoch.
    pub(super) expires_ms: i64,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

impl Session {
    /// It may still be used.
    pub(super) fn is_valid(&self) -> bool {
        self.expires_ms - WallClock.now_ms() > LEAST
    }

    /// As the SDK takes them.
    pub(super) fn credentials(&self) -> Credentials {
        let since = Duration::from_millis(u64::try_from(self.expires_ms).unwrap_or(0));
        let (token, ends) = (Some(self.token.clone()), Some(UNIX_EPOCH + since));
        Credentials::new(&self.id, &self.secret, token, ends, "a role's session")
    }
}

/// Name of the file in which the AWS CLI keeps the session of a role: SHA-1 of what it is asked for with, as Python's
/// `json.dumps(…, sort_keys=True)` writes it. A name that was made up for the session is no part of it, nor is a code.
pub(super) fn file_name(role: &AssumeRole) -> String {
    let mut parts = Vec::new();
    let mut text = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            parts.push(format!("\"{name}\": {}", python(value)));
        }
    };
    let seconds = role.seconds.map(|seconds| format!("\"DurationSeconds\": {seconds}"));
    text("ExternalId", role.external_id.as_deref());
    text("RoleArn", Some(&role.arn));
    // An empty name counts as none there.
    text("RoleSessionName", role.session_name.as_deref().filter(|name| !name.is_empty()));
    text("SerialNumber", role.serial.as_deref());
    let all: Vec<String> = seconds.into_iter().chain(parts).collect();
    let digest = Sha1::digest(format!("{{{}}}", all.join(", ")));
    digest.iter().map(|byte| format!("{byte:02x}")).chain([".json".to_owned()]).collect()
}

/// A string as Python's `json.dumps` writes it: ASCII alone.
fn python(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

/// What is in a file, as far as it counts.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    credentials: KeptKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeptKeys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

/// The session that is kept for a role, if it is still good. A file that cannot be read is none: a code gets another.
pub(super) fn kept(folder: &Path, role: &AssumeRole) -> Option<Session> {
    let text = std::fs::read(folder.join(file_name(role))).ok()?;
    let Kept { credentials } = serde_json::from_slice(&text).ok()?;
    let session = Session {
        id: credentials.access_key_id,
        secret: credentials.secret_access_key,
        token: credentials.session_token,
        expires_ms: moment(&credentials.expiration)?,
    };
    session.is_valid().then_some(session)
}

/// A time as the AWS CLI writes it: `2026-11-21T13:00:00UTC`, and others with `Z` or `+00:00`.
pub(super) fn moment(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.strip_suffix("UTC").map_or_else(|| text.to_owned(), |bare| format!("{bare}Z"));
    DateTime::from_str(&text, Format::DateTimeWithOffset).ok()?.to_millis().ok()
}

/// The same, written as the AWS CLI does.
pub(super) fn written(ms: i64) -> String {
    let text = DateTime::from_secs(ms.div_euclid(1000)).fmt(Format::DateTime).unwrap_or_default();
    text.strip_suffix('Z').map_or(text.clone(), |bare| format!("{bare}UTC"))
}

/// Keeps a session.
///
/// # Errors
/// A folder or file that cannot be written.
pub(super) fn keep(
    folder: &Path,
    role: &AssumeRole,
    session: &Session,
    arn: Option<&str>,
) -> Result<(), CloudError> {
    let text = serde_json::json!({
        "Credentials": {
            "AccessKeyId": session.id,
            "SecretAccessKey": session.secret,
            "SessionToken": session.token,
            "Expiration": written(session.expires_ms),
            "AccountId": role.arn.split(':').nth(4),
        },
        "AssumedRoleUser": { "Arn": arn },
    });
    private(folder, &file_name(role), text.to_string().as_bytes())
        .map_err(|error| CloudError::io("keep the session in", folder.display().to_string(), error))
}

/// Writes a file that its owner alone can read, by a rename. The folder is made if need be.
///
/// # Errors
/// The operating system's.
pub(super) fn private(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // A temporary file is made with mode 0600.
    let mut file = tempfile::NamedTempFile::with_prefix_in(".shepard-", folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name)).map_err(|error| error.error)?;
    Ok(())
}

/// Asks STS for a session of a role with the credentials of `config`.
pub(super) async fn assume(
    config: &SdkConfig,
    role: &AssumeRole,
    code: Option<&MfaCode>,
) -> Result<(Session, Option<String>), CloudError> {
    const ASSUME: &str = "assume the role";
    let client = aws_sdk_sts::Client::from_conf(sts(config));
    let named = role.session_name.clone().filter(|name| !name.is_empty());
    let name = named.unwrap_or_else(|| format!("shepard-{}", WallClock.now_ms() / 1000));
    let mut request = client
        .assume_role()
        .role_arn(&role.arn)
        .role_session_name(name)
        .set_external_id(role.external_id.clone())
        .set_duration_seconds(role.seconds.and_then(|seconds| i32::try_from(seconds).ok()));
    if let Some(code) = code {
        request = request.set_serial_number(role.serial.clone()).token_code(code.reveal());
    }
    let answer = request.send().await.map_err(|error| {
        let mut failed = failed(ASSUME, &role.arn, &error);
        // STS calls a code that is wrong, or was used already, a thing that is not allowed.
        if code.is_some() && failed.to_string().contains("MultiFactorAuthentication failed") {
            failed.kind = Kind::Mfa;
        }
        failed
    })?;
    let arn = answer.assumed_role_user.map(|user| user.arn);
    let Some(found) = answer.credentials else {
        return Err(CloudError::new(ASSUME, &role.arn, Kind::Other).because("no credentials were given"));
    };
    let session = Session {
        id: found.access_key_id,
        secret: found.secret_access_key,
        token: found.session_token,
        expires_ms: found.expiration.to_millis().unwrap_or(0),
    };
    Ok((session, arn))
}
