//! The role that `shepard set-role` left for the commands after it: one file, as the original command keeps it.
//!
//! `~/.aws/shepard_cli_role_credentials.txt` has five lines: access key id, secret key, session token, account, name of
//! the role. Ours are the same, so that the original reads them, with `name=value` lines after them: when the session ends,
//! the role's ARN, the MFA device. The file of the original, which says none of that, is read as well. Its owner alone
//! reads it, it is replaced by a rename, and goes on release and once it has expired.

use std::fmt;
use std::io;
use std::path::PathBuf;

use aws_credential_types::Credentials;
use shepard_model::MfaCode;

use super::connect::{AssumeRole, Profile};
use super::credentials::Finder;
use super::session::{self, Session};
use crate::error::{CloudError, Kind};
use crate::ports::{Clock as _, WallClock};

/// Name of the file, in `~/.aws`.
const NAME: &str = "shepard_cli_role_credentials.txt";

/// What is known of the role that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSet {
    /// Number of its account.
    pub account: String,
    /// Its name, or path and name, as it was typed.
    pub role: String,
    /// Its ARN; None in a file of the original command.
    pub arn: Option<String>,
    /// ARN or serial number of the MFA device that it was had with.
    pub serial: Option<String>,
    /// When its session ends, in milliseconds since the epoch; None in a file of the original command.
    pub expires_ms: Option<i64>,
}

impl RoleSet {
    /// Its session has ended.
    pub fn has_expired(&self) -> bool {
        self.expires_ms.is_some_and(|ends| ends - WallClock.now_ms() <= session::LEAST)
    }

    /// The role to assume to have it again.
    pub fn again(&self) -> AssumeRole {
        let arn =
            self.arn.clone().unwrap_or_else(|| format!("arn:aws:iam::{}:role/{}", self.account, self.role));
        AssumeRole { serial: self.serial.clone(), ..AssumeRole::of(arn) }
    }
}

/// The file as it is: with its credentials.
pub(super) struct Kept {
    pub(super) set: RoleSet,
    keys: (String, String, String),
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("set", &self.set).finish_non_exhaustive()
    }
}

impl Kept {
    /// Its credentials, if they are still good.
    pub(super) fn credentials(&self) -> Result<Credentials, CloudError> {
        let RoleSet { account, role, expires_ms, .. } = &self.set;
        if self.set.has_expired() {
            let what = format!("{role} of {account}");
            return Err(CloudError::new("use the role", what, Kind::Expired).because(
                "its session has expired; run `shepard set-role` again, or `shepard release-role`",
            ));
        }
        let (id, secret, token) = &self.keys;
        let mut found = Credentials::builder()
            .access_key_id(id)
            .secret_access_key(secret)
            .session_token(token)
            .account_id(account.as_str())
            .provider_name("the role of set-role");
        if let Some(ends) = expires_ms.and_then(|ends| u64::try_from(ends).ok()) {
            found = found.expiry(std::time::UNIX_EPOCH + std::time::Duration::from_millis(ends));
        }
        Ok(found.build())
    }
}

/// Whether it counts for a profile: wherever none is named, as with the original command.
pub(super) fn counts(profile: &Profile) -> bool {
    profile.name.is_none() && profile.file.is_none() && !profile.ambient
}

fn path() -> Option<PathBuf> {
    session::home().map(|aws| aws.join(NAME))
}

fn failed(operation: &'static str, error: io::Error) -> CloudError {
    CloudError::io(operation, format!("~/.aws/{NAME}"), error)
}

/// The file; None where there is none.
pub(super) fn read() -> Result<Option<Kept>, CloudError> {
    let Some(path) = path() else { return Ok(None) };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read the role in", error)),
    };
    parse(&text).map(Some).ok_or_else(|| {
        CloudError::new("read the role in", format!("~/.aws/{NAME}"), Kind::Invalid)
            .because("it has fewer than five lines; run `shepard release-role`")
    })
}

fn parse(text: &str) -> Option<Kept> {
    let mut lines = text.lines().map(str::trim);
    let mut line = || lines.next().filter(|line| !line.is_empty()).map(str::to_owned);
    let (id, secret, token, account, role) = (line()?, line()?, line()?, line()?, line()?);
    let mut set = RoleSet { account, role, arn: None, serial: None, expires_ms: None };
    for (name, value) in lines.filter_map(|line| line.split_once('=')) {
        match name {
            "expires" => set.expires_ms = session::moment(value),
            "arn" => set.arn = Some(value.to_owned()),
            "serial" => set.serial = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(Kept { set, keys: (id, secret, token) })
}

/// The role that is set, if one is.
///
/// # Errors
/// A file that cannot be read, or is none of ours.
pub fn active() -> Result<Option<RoleSet>, CloudError> {
    Ok(read()?.map(|kept| kept.set))
}

/// Assumes a role with the credentials that a profile gives without the role that is set now, and sets it for the
/// commands to come. Gives what is known of it then.
///
/// # Errors
/// A code that was not accepted or is missing ([`Kind::Mfa`]), a role that may not be assumed, a service out of reach, a
/// file that cannot be written.
pub async fn set(profile: &Profile, wanted: &RoleSet, code: Option<&MfaCode>) -> Result<RoleSet, CloudError> {
    let finder = Finder::of(&Profile { ambient: true, role: None, ..profile.clone() }).await;
    let role = wanted.again();
    if let (Some(serial), None) = (&role.serial, code) {
        return Err(CloudError::new("assume the role", &role.arn, Kind::Mfa)
            .because(format!("a code of the MFA device {serial} is needed")));
    }
    let with = finder.base().await?;
    let (session, _) = session::assume(&finder.asking(with), &role, code).await?;
    let set = RoleSet { arn: Some(role.arn), expires_ms: Some(session.expires_ms), ..wanted.clone() };
    keep(&set, &session)?;
    Ok(set)
}

/// Keeps a role's session for the commands to come.
fn keep(set: &RoleSet, session: &Session) -> Result<(), CloudError> {
    let Some(folder) = session::home() else {
        return Err(CloudError::new("keep the role", "", Kind::NotFound)
            .because("there is no home directory; set HOME"));
    };
    let one = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let mut lines = vec![
        session.id.clone(),
        session.secret.clone(),
        session.token.clone(),
        one(&set.account),
        one(&set.role),
    ];
    lines.push(format!("expires={}", session::written(session.expires_ms)));
    lines.extend(set.arn.as_deref().map(|arn| format!("arn={}", one(arn))));
    lines.extend(set.serial.as_deref().map(|serial| format!("serial={}", one(serial))));
    lines.push(String::new());
    session::private(&folder, NAME, lines.join("\n").as_bytes())
        .map_err(|error| failed("keep the role in", error))
}

/// Removes the file. True if there was one.
///
/// # Errors
/// The operating system's.
pub fn release() -> Result<bool, CloudError> {
    match path().map(std::fs::remove_file) {
        None => Ok(false),
        Some(Ok(())) => Ok(true),
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Some(Err(error)) => Err(failed("remove", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_five_lines_are_read_and_ours_say_more() {
        let old = "AKIAEXAMPLE\ncanary-secret\ncanary-token\n123456789012\npath/dev";
        let kept = parse(old).expect("five lines");
        let wanted = RoleSet {
            account: "123456789012".into(),
            role: "path/dev".into(),
            arn: None,
            serial: None,
            expires_ms: None,
        };
        assert_eq!(kept.set, wanted);
        assert!(!kept.set.has_expired(), "nobody knows");
        assert!(!format!("{kept:?}").contains("canary"));
        assert_eq!(kept.set.again().arn, "arn:aws:iam::123456789012:role/path/dev");
        assert_eq!(kept.credentials().expect("good").session_token(), Some("canary-token"));

        let ours = format!(
            "{old}\nexpires=2020-01-01T00:00:00UTC\narn=arn:aws-cn:iam::1:role/dev\nserial=s\nnew=x\n"
        );
        let kept = parse(&ours).expect("ours");
        assert_eq!(kept.set.expires_ms, Some(1_577_836_800_000));
        assert_eq!(
            (kept.set.arn.as_deref(), kept.set.serial.as_deref()),
            (Some("arn:aws-cn:iam::1:role/dev"), Some("s"))
        );
        let error = kept.credentials().expect_err("expired");
        assert!(error.kind == Kind::Expired && !error.to_string().contains("canary"), "{error}");

        for bad in ["", "a\nb\nc\nd", "a\n\nc\nd\ne"] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }
}
