//! Which roles a profile stands for, and whose credentials come first: `role_arn` with `source_profile` or
//! `credential_source`, read as the SDK and the AWS CLI read them.
//!
//! The SDK would follow such a chain by itself, but never asks for a code and knows no `duration_seconds`. Nothing here
//! asks anybody.

use std::fmt;

use aws_config::profile::{Profile, ProfileSet};
use aws_credential_types::Credentials;

use super::connect::AssumeRole;

/// Longest chain that is followed. AWS itself ends the session of a role behind a role after an hour.
const LONGEST: usize = 8;

/// A profile that assumes roles.
#[derive(Debug)]
pub(super) struct Chain {
    /// What begins it.
    pub(super) base: Base,
    /// The roles, the first to be assumed first.
    pub(super) roles: Vec<AssumeRole>,
}

/// What a chain of roles begins with.
pub(super) enum Base {
    /// Keys of the profile itself.
    Keys(Credentials),
    /// Another profile, which assumes no role.
    Profile(String),
    /// `credential_source`: `Environment`, `Ec2InstanceMetadata` or `EcsContainer`.
    Source(String),
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(_) => f.write_str("Keys(hidden)"),
            Self::Profile(name) => write!(f, "Profile({name})"),
            Self::Source(name) => write!(f, "Source({name})"),
        }
    }
}

/// A chain that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// A profile that another names is not there.
    #[error("there is no profile {0}, which the profile {1} names as its source_profile")]
    Missing(String, String),
    /// The chain comes back to where it was.
    #[error("the profile {0} has itself as its source, in the end")]
    Round(String),
    /// It says nowhere with whose credentials.
    #[error("the profile {0} has a role_arn and neither source_profile nor credential_source")]
    Sourceless(String),
    /// It says so twice.
    #[error("the profile {0} has both source_profile and credential_source; it can have one")]
    Both(String),
    /// More than anybody means.
    #[error("the profile {0} goes through more than {LONGEST} roles")]
    Long(String),
}

/// The chain of a profile; None where it assumes no role, and the SDK does all there is to do.
///
/// # Errors
/// One that cannot be followed.
pub(super) fn chain(profiles: &ProfileSet, name: &str) -> Result<Option<Chain>, Broken> {
    let Some(mut profile) = profiles.get_profile(name) else { return Ok(None) };
    let (mut roles, mut seen): (Vec<AssumeRole>, Vec<&str>) = (Vec::new(), Vec::new());
    let base = loop {
        // Keys of a profile that another names as its source come before its own role.
        if let Some(keys) = keys(profile).filter(|_| !seen.is_empty()) {
            break Base::Keys(keys);
        }
        let Some(role) = role(profile) else {
            break Base::Profile(profile.name().to_owned());
        };
        seen.push(profile.name());
        roles.push(role);
        if roles.len() > LONGEST {
            return Err(Broken::Long(name.to_owned()));
        }
        let this = profile.name().to_owned();
        match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(_), Some(_)) => return Err(Broken::Both(this)),
            (None, None) => return Err(Broken::Sourceless(this)),
            (None, Some(source)) => break Base::Source(source.to_owned()),
            // A profile may hold keys and the role that is assumed with them.
            (Some(source), None) if source == profile.name() => match keys(profile) {
                Some(keys) => break Base::Keys(keys),
                None => return Err(Broken::Round(this)),
            },
            (Some(source), None) => {
                if seen.contains(&source) {
                    return Err(Broken::Round(this));
                }
                profile =
                    profiles.get_profile(source).ok_or_else(|| Broken::Missing(source.to_owned(), this))?;
            }
        }
    };
    roles.reverse();
    Ok((!roles.is_empty()).then_some(Chain { base, roles }))
}

/// The role of a profile. One with a web identity token begins a chain, and is the SDK's.
fn role(profile: &Profile) -> Option<AssumeRole> {
    if profile.get("web_identity_token_file").is_some() {
        return None;
    }
    let text = |name: &str| profile.get(name).map(str::to_owned);
    Some(AssumeRole {
        arn: text("role_arn")?,
        serial: text("mfa_serial"),
        external_id: text("external_id"),
        session_name: text("role_session_name"),
        // The AWS CLI, too, goes on without what is no number.
        seconds: profile.get("duration_seconds").and_then(|seconds| seconds.trim().parse().ok()),
    })
}

fn keys(profile: &Profile) -> Option<Credentials> {
    let (id, secret) = (profile.get("aws_access_key_id")?, profile.get("aws_secret_access_key")?);
    let token = profile.get("aws_session_token").map(str::to_owned);
    Some(Credentials::new(id, secret, token, None, "the profile's keys"))
}

#[cfg(test)]
mod tests {
    use aws_config::profile;
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
    use aws_types::os_shim_internal::{Env, Fs};

    use super::*;

    async fn of(text: &str, name: &str) -> Result<Option<Chain>, Broken> {
        let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, text).build();
        let set = profile::load(&Fs::from_slice(&[]), &Env::from_slice(&[]), &files, None).await;
        chain(&set.expect("a file"), name)
    }

    const FILE: &str = "
[default]
aws_access_key_id = AKIAEXAMPLE
aws_secret_access_key = canary
[profile one]
role_arn = arn:aws:iam::123456789012:role/one
source_profile = default
mfa_serial = arn:aws:iam::123456789012:mfa/me
duration_seconds = 3600
role_session_name = me
external_id = x
[profile two]
role_arn = arn:aws:iam::123456789012:role/two
source_profile = one
[profile sso]
sso_session = dev
sso_account_id = 123456789012
sso_role_name = r
[sso-session dev]
sso_region = eu-west-1
sso_start_url = http://127.0.0.1/start
[profile behind-sso]
role_arn = arn:aws:iam::123456789012:role/three
source_profile = sso
[profile own]
role_arn = arn:aws:iam::123456789012:role/own
source_profile = own
aws_access_key_id = AKIAEXAMPLE
aws_secret_access_key = canary
[profile machine]
role_arn = arn:aws:iam::123456789012:role/m
credential_source = Ec2InstanceMetadata
[profile token]
role_arn = arn:aws:iam::123456789012:role/t
web_identity_token_file = /token
[profile round]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = around
[profile around]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = round
[profile lost]
role_arn = arn:aws:iam::123456789012:role/l
source_profile = nowhere
[profile alone]
role_arn = arn:aws:iam::123456789012:role/a
[profile both]
role_arn = arn:aws:iam::123456789012:role/b
source_profile = default
credential_source = Environment
[profile itself]
role_arn = arn:aws:iam::123456789012:role/i
source_profile = itself
";

    #[tokio::test]
    async fn chains_are_followed_to_what_begins_them() {
        for (name, base, roles) in [
            ("one", "Keys(hidden)", vec!["one"]),
            ("two", "Keys(hidden)", vec!["one", "two"]),
            ("behind-sso", "Profile(sso)", vec!["three"]),
            ("own", "Keys(hidden)", vec!["own"]),
            ("machine", "Source(Ec2InstanceMetadata)", vec!["m"]),
        ] {
            let chain = of(FILE, name).await.expect(name).expect(name);
            assert_eq!(format!("{:?}", chain.base), base, "{name}");
            let names: Vec<_> =
                chain.roles.iter().map(|role| role.arn.rsplit('/').next().expect("a name")).collect();
            assert_eq!(names, roles, "{name}");
        }
        for name in ["default", "sso", "token", "not-there"] {
            assert!(of(FILE, name).await.expect(name).is_none(), "{name} assumes nothing");
        }
        let one = of(FILE, "one").await.expect("one").expect("one").roles.remove(0);
        let wanted = AssumeRole {
            arn: "arn:aws:iam::123456789012:role/one".into(),
            serial: Some("arn:aws:iam::123456789012:mfa/me".into()),
            external_id: Some("x".into()),
            session_name: Some("me".into()),
            seconds: Some(3600),
        };
        assert_eq!(one, wanted);
    }

    #[tokio::test]
    async fn what_leads_nowhere_is_said() {
        for (name, wanted) in [
            ("round", Broken::Round("around".into())),
            ("itself", Broken::Round("itself".into())),
            ("lost", Broken::Missing("nowhere".into(), "lost".into())),
            ("alone", Broken::Sourceless("alone".into())),
            ("both", Broken::Both("both".into())),
        ] {
            assert_eq!(of(FILE, name).await.expect_err(name), wanted);
        }
    }
}
