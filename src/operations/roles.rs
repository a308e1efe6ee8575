//! In whose name AWS is asked: a profile, the role that `set-role` left, a role that is assumed on top.
//!
//! [`effective`] is the one place that decides it from what a command line or a profile of the old command says. The
//! old command assumed its role before every call, even where it was that role already; here it is not assumed twice.

use shepard_cloud::Kind;
use shepard_cloud::aws::identity::{Identity, identity};
use shepard_cloud::aws::renew::{self, Needs};
use shepard_cloud::aws::set_role::{self, RoleSet};
use shepard_cloud::aws::{AssumeRole, Profile};
use shepard_model::MfaCode;

use super::{OperationError, Result};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Profile of `~/.aws/config`; None is what the environment says.
    pub profile: Option<String>,
    /// Region; None is what the environment and the profile say.
    pub region: Option<String>,
    /// Number of the account; None is that of the credentials.
    pub account: Option<String>,
    /// Role to assume there: a name, a path and name, or an ARN.
    pub role: Option<String>,
    /// Use the credentials that are there, whatever the role.
    pub dont_assume: bool,
    /// ARN or serial number of the MFA device; None takes the profile's `mfa_serial`.
    pub serial: Option<String>,
    /// Its code.
    pub code: Option<MfaCode>,
}

/// In whose name AWS is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// For whatever connects to AWS.
    pub profile: Profile,
    /// Number of the account; None where nobody gave it and nobody had to ask. [`Effective::account`] asks.
    pub account: Option<String>,
    /// What a person should know: a role that was released because it had expired.
    pub note: Option<String>,
}

impl Effective {
    /// Number of the account: as it was given, else by GetCallerIdentity.
    ///
    /// # Errors
    /// AWS cannot be asked.
    pub async fn account(&self) -> Result<String> {
        match &self.account {
            Some(account) => Ok(account.clone()),
            None => Ok(identity(&self.profile).await?.account),
        }
    }
}

/// Decides in whose name AWS is asked. Without a role, or with `dont_assume`, nothing is asked for it. With a role, who one
/// is; with a code as well, for the role's session, which is kept as the AWS CLI keeps it.
///
/// # Errors
/// An account number or role that is none, a code without a device, and what AWS says.
pub async fn effective(wanted: &Wanted) -> Result<Effective> {
    let note = release_expired()?;
    let profile =
        Profile { name: wanted.profile.clone(), region: wanted.region.clone(), ..Profile::default() };
    let account = wanted.account.as_deref().map(account_number).transpose()?;
    let role = wanted.role.as_deref().filter(|role| !wanted.dont_assume && !role.is_empty());
    let Some(role) = role else {
        if let Some(code) = &wanted.code {
            // The profile's own role wants it.
            renew::renew(&profile, Some(code)).await?;
        }
        return Ok(Effective { profile, account, note });
    };
    let who = identity(&profile).await?;
    let arn = role_arn(&who, account.as_deref(), role)?;
    let owner = arn.split(':').nth(4).map(str::to_owned);
    if who.is_role(&arn) {
        return Ok(Effective { profile, account: owner, note });
    }
    let mut assumed = AssumeRole { serial: wanted.serial.clone(), ..AssumeRole::of(arn) };
    if let Some(code) = &wanted.code {
        assumed.serial = Some(device(&profile, wanted.serial.clone()).await?);
        let asked = Profile { role: Some(assumed.clone()), ..profile.clone() };
        renew::renew(&asked, Some(code)).await?;
    }
    Ok(Effective { profile: Profile { role: Some(assumed), ..profile }, account: owner, note })
}

/// Who one is with that.
///
/// # Errors
/// What AWS says.
pub async fn who(wanted: &Wanted) -> Result<(Effective, Identity)> {
    let effective = effective(wanted).await?;
    let who = identity(&effective.profile).await?;
    Ok((effective, who))
}

/// What a code would be for, if one is all that is missing: the device, and the role that is had with it.
///
/// # Errors
/// Configuration files that cannot be read.
pub async fn device_wanted(wanted: &Wanted, error: &OperationError) -> Result<Option<String>> {
    let missing = matches!(error, OperationError::Cloud(error) if error.kind == Kind::Mfa);
    if !missing || wanted.code.is_some() {
        return Ok(None);
    }
    if wanted.serial.is_some() {
        return Ok(wanted.serial.clone());
    }
    let profile = Profile { name: wanted.profile.clone(), ..Profile::default() };
    if let Needs::Code { serial, .. } = renew::needs(&profile).await? {
        return Ok(Some(serial));
    }
    Ok(renew::device(&profile).await?)
}

/// Assumes a role with the credentials that are there without the one that is set now, and sets it for the commands
/// to come, until it is released or its session ends.
///
/// # Errors
/// No account or role, a code without a device, a code that is missing or was not accepted ([`Kind::Mfa`]), and what AWS
/// says.
pub async fn set(wanted: &Wanted) -> Result<RoleSet> {
    let (Some(account), Some(role)) = (&wanted.account, &wanted.role) else {
        return Err(OperationError::Usage(
            "set-role needs an account and a role: --account-number and --role-to-assume-to-target-account"
                .into(),
        ));
    };
    let account = account_number(account)?;
    let profile = Profile {
        name: wanted.profile.clone(),
        region: wanted.region.clone(),
        ambient: true,
        ..Profile::default()
    };
    let serial = match (&wanted.serial, &wanted.code) {
        (None, Some(_)) => Some(device(&profile, None).await?),
        (serial, _) => serial.clone(),
    };
    let who = identity(&profile).await?;
    let arn = role_arn(&who, Some(&account), role)?;
    let set = RoleSet { account, role: role.clone(), arn: Some(arn), serial, expires_ms: None };
    Ok(set_role::set(&profile, &set, wanted.code.as_ref()).await?)
}

/// Releases the role that is set. False if there was none.
///
/// # Errors
/// A file that cannot be removed.
pub fn release() -> Result<bool> {
    Ok(set_role::release()?)
}

/// The role that is set; one whose session has ended is released, and the sentence says so.
///
/// # Errors
/// A file that cannot be read or removed.
pub fn check() -> Result<(Option<RoleSet>, Option<String>)> {
    let note = release_expired()?;
    Ok((set_role::active()?, note))
}

/// Releases the role that is set once its session has ended: nothing is left to be had from the file.
fn release_expired() -> Result<Option<String>> {
    // What is no file of ours says so where its credentials are wanted.
    let Ok(Some(set)) = set_role::active() else { return Ok(None) };
    if !set.has_expired() {
        return Ok(None);
    }
    set_role::release()?;
    Ok(Some(format!(
        "the role {} of {}, set by set-role, has expired and is released; run `shepard set-role` to have it again",
        set.role, set.account
    )))
}

/// The device that a code is of.
async fn device(profile: &Profile, given: Option<String>) -> Result<String> {
    let serial = match given {
        Some(serial) => Some(serial),
        None => renew::device(profile).await?,
    };
    serial.ok_or_else(|| {
        OperationError::Usage(
            "a code needs its device: give --serial-number, or set mfa_serial in the profile of ~/.aws/config".into(),
        )
    })
}

fn account_number(text: &str) -> Result<String> {
    let text = text.trim();
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(OperationError::Usage(format!("{text:?} is no account number; those have 12 digits")))
}

/// The ARN of a role, in the partition of who asks.
fn role_arn(who: &Identity, account: Option<&str>, role: &str) -> Result<String> {
    let role = role.trim().trim_start_matches('/');
    if role.starts_with("arn:") {
        let parts: Vec<&str> = role.splitn(6, ':').collect();
        let right = matches!(parts[..], [_, _, "iam", "", of, name]
            if name.starts_with("role/") && account.is_none_or(|account| account == of));
        return if right {
            Ok(role.to_owned())
        } else {
            Err(OperationError::Usage(format!("{role:?} is no role of the account")))
        };
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
    if role.is_empty() || role.len() > 512 || !role.chars().all(fits) {
        return Err(OperationError::Usage(format!("{role:?} is no name of a role")));
    }
    Ok(who.role_arn(account.unwrap_or(&who.account), role))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Identity {
        Identity {
            account: "123456789012".into(),
            arn: "arn:aws-cn:iam::123456789012:user/me".into(),
            region: None,
            expires_ms: None,
        }
    }

    #[test]
    fn a_role_is_of_the_account_asked_for_and_of_the_partition_one_is_in() {
        let arn = |account, role| role_arn(&me(), account, role);
        assert_eq!(arn(Some("210987654321"), "dev").expect("a"), "arn:aws-cn:iam::210987654321:role/dev");
        assert_eq!(arn(None, "/ops/dev").expect("b"), "arn:aws-cn:iam::123456789012:role/ops/dev");
        let whole = "arn:aws:iam::210987654321:role/dev";
        assert_eq!(arn(Some("210987654321"), whole).expect("c"), whole);
        for (account, role) in [
            (Some("123456789012"), whole),
            (None, "a b"),
            (None, ""),
            (None, "arn:aws:s3:::x"),
            (None, "x:y"),
        ] {
            assert!(matches!(arn(account, role), Err(OperationError::Usage(_))), "{role}");
        }
    }

    #[test]
    fn an_account_has_twelve_digits() {
        assert_eq!(account_number(" 123456789012 ").expect("digits"), "123456789012");
        for bad in ["", "12345678901", "1234567890123", "12345678901x"] {
            account_number(bad).expect_err(bad);
        }
    }
}
