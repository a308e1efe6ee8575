//! Renewing a session: what it takes, and doing it.
//!
//! A code is good for one request. Where two roles of a chain each want one, each is renewed by itself.

use shepard_model::MfaCode;

use super::chain::{Base, Chain, chain};
use super::connect::{AssumeRole, Profile};
use super::credentials::{Finder, profiles};
use super::session::{self, Session};
use super::set_role::{self, RoleSet};
use crate::error::{CloudError, Kind};

/// What a person has to do for a session to be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: the credentials are asked for anew by themselves.
    Nothing,
    /// A code of this MFA device.
    Code {
        /// Its ARN or serial number.
        serial: String,
        /// ARN of the role that is had with it.
        role: String,
    },
    /// A sign-in with this command line, in another terminal. The session is taken up as soon as it is there.
    SignIn(String),
}

/// The MFA device that a profile names, whether or not its own role asks for a code.
///
/// # Errors
/// Configuration files that cannot be read.
pub async fn device(profile: &Profile) -> Result<Option<String>, CloudError> {
    let (profiles, name) = profiles(profile).await?;
    Ok(profiles.get_profile(&name).and_then(|profile| profile.get("mfa_serial")).map(str::to_owned))
}

/// What is renewed.
enum Target {
    /// The role of `set-role`.
    Set(RoleSet),
    /// A role that wants a code, on its way from what a chain begins with.
    Role(AssumeRole),
}

/// What a renewal of a profile's session takes.
///
/// # Errors
/// Configuration files that cannot be read, and a chain of profiles that leads nowhere.
pub async fn needs(profile: &Profile) -> Result<Needs, CloudError> {
    let role = match target(profile).await? {
        Some(Target::Set(set)) => set.again(),
        Some(Target::Role(role)) => role,
        None => return sign_in(profile).await,
    };
    Ok(match role.serial {
        Some(serial) => Needs::Code { serial, role: role.arn },
        None => Needs::Nothing,
    })
}

/// Renews the session of a profile; gives when it ends, in milliseconds since the epoch, where that is known. Where
/// [`needs`] says `Nothing`, nothing is asked and nothing changes, unless the role is that of `set-role`.
///
/// # Errors
/// A code that was not accepted ([`Kind::Mfa`]), a role that may not be assumed, a service out of reach, a file that
/// cannot be written.
pub async fn renew(profile: &Profile, code: Option<&MfaCode>) -> Result<Option<i64>, CloudError> {
    match target(profile).await? {
        Some(Target::Set(set)) => set_role::set(profile, &set, code).await.map(|set| set.expires_ms),
        Some(Target::Role(role)) => {
            let code = code.ok_or_else(|| wanted(&role))?;
            through(profile, &role, code).await.map(|session| Some(session.expires_ms))
        }
        None => Ok(None),
    }
}

fn wanted(role: &AssumeRole) -> CloudError {
    CloudError::new("assume the role", &role.arn, Kind::Mfa).because("a code of the MFA device is needed")
}

/// What is to be renewed: the first of the roles that has no session, else the one whose session ends first.
async fn target(profile: &Profile) -> Result<Option<Target>, CloudError> {
    if set_role::counts(profile)
        && profile.role.is_none()
        && let Some(set) = set_role::active()?
    {
        return Ok(Some(Target::Set(set)));
    }
    let folder = session::folder(profile);
    let kept = |role: &AssumeRole| folder.as_ref().and_then(|folder| session::kept(folder, role));
    let mut guarded = guarded(profile).await?;
    if let Some(at) = guarded.iter().position(|role| kept(role).is_none()) {
        return Ok(Some(Target::Role(guarded.swap_remove(at))));
    }
    let soonest = guarded.into_iter().min_by_key(|role| kept(role).map(|session| session.expires_ms));
    Ok(soonest.map(Target::Role))
}

/// The roles of a profile that want a code, the first to be assumed first.
async fn guarded(profile: &Profile) -> Result<Vec<AssumeRole>, CloudError> {
    let found = followed(profile).await?;
    let mut roles: Vec<AssumeRole> = found.map(|chain| chain.roles).unwrap_or_default();
    if let Some(role) = &profile.role {
        roles.push(with_serial(profile, role).await?);
    }
    roles.retain(|role| role.serial.is_some());
    Ok(roles)
}

/// A role on top, with the MFA device of the profile where it names none.
async fn with_serial(profile: &Profile, role: &AssumeRole) -> Result<AssumeRole, CloudError> {
    let serial = match &role.serial {
        Some(serial) => Some(serial.clone()),
        None => device(profile).await?,
    };
    Ok(AssumeRole { serial, ..role.clone() })
}

async fn followed(profile: &Profile) -> Result<Option<Chain>, CloudError> {
    let (profiles, name) = profiles(profile).await?;
    chain(&profiles, &name)
        .map_err(|broken| CloudError::new("use the profile", &name, Kind::Invalid).because(broken))
}

/// Assumes roles up to the one that is renewed, and keeps its session.
async fn through(profile: &Profile, wanted: &AssumeRole, code: &MfaCode) -> Result<Session, CloudError> {
    let folder = session::folder(profile).ok_or_else(|| {
        CloudError::new("keep the session", "", Kind::NotFound)
            .because("there is no home directory; set HOME")
    })?;
    let finder = Finder::of(profile).await;
    let on_the_way = match followed(profile).await? {
        Some(chain) if chain.roles.contains(wanted) => Some(chain),
        _ => None,
    };
    let mut credentials = match &on_the_way {
        Some(chain) => finder.begin(&chain.base).await?,
        None => finder.base().await?,
    };
    for role in on_the_way.iter().flat_map(|chain| &chain.roles).take_while(|role| *role != wanted) {
        credentials = finder.assumed(role, credentials).await?;
    }
    let (session, arn) = session::assume(&finder.asking(credentials), wanted, Some(code)).await?;
    session::keep(&folder, wanted, &session, arn.as_deref())?;
    Ok(session)
}

/// Whether the credentials come from a sign-in that a person does elsewhere.
async fn sign_in(profile: &Profile) -> Result<Needs, CloudError> {
    let (profiles, name) = profiles(profile).await?;
    let begins = match chain(&profiles, &name) {
        Ok(Some(Chain { base: Base::Profile(base), .. })) => base,
        Ok(Some(_)) => return Ok(Needs::Nothing),
        _ => name,
    };
    let Some(found) = profiles.get_profile(&begins) else { return Ok(Needs::Nothing) };
    let has = |key: &str| found.get(key).is_some();
    Ok(if has("sso_session") || has("sso_start_url") {
        Needs::SignIn(format!("aws sso login --profile {begins}"))
    } else if has("login_session") {
        Needs::SignIn(format!("aws login --profile {begins}"))
    } else {
        Needs::Nothing
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(dir: &std::path::Path, text: &str, name: &str) -> Profile {
        let file = dir.join("config");
        std::fs::write(&file, text).expect("a file");
        Profile { name: Some(name.into()), file: Some(file), ..Profile::default() }
    }

    const SERIAL: &str = "arn:aws:iam::123456789012:mfa/me";

    #[tokio::test]
    async fn what_a_renewal_takes_is_read_off_the_profile() {
        let temp = tempfile::tempdir().expect("temp");
        let text = format!(
            "[profile keys]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = x\n\
             [profile mfa]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = keys\nmfa_serial = {SERIAL}\n\
             [profile plain]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = keys\n\
             [profile sso]\nsso_session = dev\nsso_account_id = 123456789012\nsso_role_name = r\n\
             [sso-session dev]\nsso_region = eu-west-1\nsso_start_url = http://127.0.0.1/\n\
             [profile behind]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = sso\n"
        );
        let wanted = Needs::Code { serial: SERIAL.into(), role: "arn:aws:iam::123456789012:role/r".into() };
        let sign_in = Needs::SignIn("aws sso login --profile sso".into());
        for (name, needed) in [
            ("keys", &Needs::Nothing),
            ("plain", &Needs::Nothing),
            ("mfa", &wanted),
            ("sso", &sign_in),
            ("behind", &sign_in),
        ] {
            assert_eq!(&needs(&profile(temp.path(), &text, name)).await.expect(name), needed, "{name}");
        }
        let mut on_top = profile(temp.path(), &text, "keys");
        on_top.role =
            Some(AssumeRole { serial: Some(SERIAL.into()), ..AssumeRole::of("arn:aws:iam::1:role/top") });
        let top = Needs::Code { serial: SERIAL.into(), role: "arn:aws:iam::1:role/top".into() };
        assert_eq!(needs(&on_top).await.expect("top"), top);
    }
}
