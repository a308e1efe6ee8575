//! `shepard whoami|renew|set-role|release-role|check-role`.
//!
//! A code is asked for on the terminal, and not shown there as it is typed.

use std::io::{BufRead as _, Write as _};

use rustix::termios::{self, LocalModes, OptionalActions};
use serde::Serialize;
use shepard_cloud::aws::Profile;
use shepard_cloud::aws::identity::Identity;
use shepard_cloud::aws::renew::{self, Needs};
use shepard_cloud::aws::set_role::RoleSet;
use shepard_cloud::ports::{Clock as _, WallClock};
use shepard_model::MfaCode;

use super::output::{columns, local_time};
use super::{Context, Exit};
use crate::cli;
use crate::operations::roles::{self, Effective, Wanted};
use crate::operations::{OperationError, Result};

#[derive(Serialize)]
struct Known<'a> {
    account: &'a str,
    arn: &'a str,
    name: &'a str,
    profile: Option<&'a str>,
    region: Option<&'a str>,
    expires_ms: Option<i64>,
}

#[derive(Serialize)]
struct Set<'a> {
    account: &'a str,
    role: &'a str,
    arn: Option<&'a str>,
    expires_ms: Option<i64>,
}

#[derive(Serialize)]
struct Checked<'a> {
    set: Option<Set<'a>>,
}

#[derive(Serialize)]
struct Renewed {
    expires_ms: Option<i64>,
}

pub(super) async fn whoami(context: &Context<'_>, arguments: cli::Who) -> Result<Exit> {
    let mut wanted = wanted_by(arguments);
    let (_, who) = identified(context, &mut wanted).await?;
    print(context, wanted.profile.as_deref(), &who)?;
    Ok(Exit::Ok)
}

/// In whose name AWS is asked, once AWS knows them. A code that is missing is asked for.
pub(super) async fn identified(context: &Context<'_>, wanted: &mut Wanted) -> Result<(Effective, Identity)> {
    let found = match roles::who(wanted).await {
        Ok(found) => found,
        Err(error) => {
            wanted.code = Some(asked(context, wanted, error).await?);
            roles::who(wanted).await?
        }
    };
    note(context, found.0.note.as_deref());
    Ok(found)
}

pub(super) async fn renew(context: &Context<'_>, arguments: cli::Renew) -> Result<Exit> {
    let profile =
        Profile { name: arguments.who.profile.clone(), region: arguments.who.region, ..Profile::default() };
    let mut code = code(arguments.mfa_token)?;
    match renew::needs(&profile).await? {
        Needs::SignIn(line) => {
            return Err(OperationError::Refused(format!(
                "the session of this profile is renewed by `{line}`"
            )));
        }
        Needs::Code { serial, .. } if code.is_none() => code = Some(ask(context, &serial)?),
        _ => {}
    }
    let expires_ms = renew::renew(&profile, code.as_ref()).await?;
    if context.out.is_json() {
        context.out.json(&Renewed { expires_ms })?;
    } else {
        context.out.line(&match expires_ms {
            Some(ends) => format!("renewed until {}", local_time(ends)),
            None => "nothing to renew: these credentials are asked for anew by themselves".to_owned(),
        })?;
    }
    Ok(Exit::Ok)
}

pub(super) async fn set(context: &Context<'_>, arguments: cli::SetRole) -> Result<Exit> {
    let mut wanted = Wanted {
        account: arguments.account_number,
        role: arguments.role_to_assume_to_target_account,
        serial: arguments.serial_number,
        code: code(arguments.mfa_token)?,
        ..wanted_by(arguments.who)
    };
    let set = chosen(context, &mut wanted).await?;
    if context.out.is_json() {
        context.out.json(&Checked { set: Some(shown(&set)) })?;
    } else {
        context.out.line(&format!("set the role {}", set.arn.as_deref().unwrap_or(&set.role)))?;
        context.out.note(&until(&set));
    }
    Ok(Exit::Ok)
}

/// Sets a role. A code that is missing is asked for.
pub(super) async fn chosen(context: &Context<'_>, wanted: &mut Wanted) -> Result<RoleSet> {
    match roles::set(wanted).await {
        Ok(set) => Ok(set),
        Err(error) => {
            wanted.code = Some(asked(context, wanted, error).await?);
            roles::set(wanted).await
        }
    }
}

pub(super) fn release(context: &Context<'_>) -> Result<Exit> {
    let was = roles::release()?;
    if context.out.is_json() {
        context.out.json(&serde_json::json!({ "released": was }))?;
    } else {
        context.out.line(if was { "released the role" } else { "no role was set" })?;
    }
    Ok(Exit::Ok)
}

pub(super) fn check(context: &Context<'_>) -> Result<Exit> {
    let (set, said) = roles::check()?;
    note(context, said.as_deref());
    if context.out.is_json() {
        context.out.json(&Checked { set: set.as_ref().map(shown) })?;
    } else {
        match &set {
            None => context.out.line("no role is set")?,
            Some(set) => {
                context.out.line(&format!("account {}, role {}", set.account, set.role))?;
                context.out.note(&until(set));
            }
        }
    }
    Ok(Exit::Ok)
}

fn wanted_by(who: cli::Who) -> Wanted {
    Wanted { profile: who.profile, region: who.region, ..Wanted::default() }
}

fn note(context: &Context<'_>, said: Option<&str>) {
    if let Some(said) = said {
        context.out.note(said);
    }
}

fn shown(set: &RoleSet) -> Set<'_> {
    Set { account: &set.account, role: &set.role, arn: set.arn.as_deref(), expires_ms: set.expires_ms }
}

fn until(set: &RoleSet) -> String {
    match set.expires_ms {
        Some(ends) => format!("until {}", left(ends)),
        None => "the original command set it, which does not say until when".to_owned(),
    }
}

fn left(ends_ms: i64) -> String {
    let minutes = (ends_ms - WallClock.now_ms()).max(0) / 60_000;
    format!("{} ({minutes} minutes)", local_time(ends_ms))
}

fn print(context: &Context<'_>, profile: Option<&str>, who: &Identity) -> Result<()> {
    if context.out.is_json() {
        return context.out.json(&Known {
            account: &who.account,
            arn: &who.arn,
            name: who.name(),
            profile,
            region: who.region.as_deref(),
            expires_ms: who.expires_ms,
        });
    }
    let rows = [
        ("account", who.account.clone()),
        ("arn", who.arn.clone()),
        ("profile", profile.unwrap_or("none named").to_owned()),
        (
            "region",
            who.region.clone().unwrap_or_else(|| "none; set AWS_REGION, or region in the profile".into()),
        ),
        (
            "session",
            who.expires_ms
                .map_or_else(|| "does not say until when".to_owned(), |ends| format!("until {}", left(ends))),
        ),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    for line in columns(&rows) {
        context.out.line(&line)?;
    }
    Ok(())
}

/// The code that was missing, from the person; the error again if it was something else, or nobody is there.
async fn asked(context: &Context<'_>, wanted: &Wanted, error: OperationError) -> Result<MfaCode> {
    match roles::device_wanted(wanted, &error).await? {
        Some(serial) if context.out.can_ask() => ask(context, &serial),
        _ => Err(error),
    }
}

fn code(typed: Option<String>) -> Result<Option<MfaCode>> {
    let parsed = typed.map(zeroize::Zeroizing::new).map(|text| MfaCode::parse(&text)).transpose();
    parsed.map_err(|error| OperationError::Usage(error.to_string()))
}

/// Asks for a code; what is typed is not shown.
fn ask(context: &Context<'_>, serial: &str) -> Result<MfaCode> {
    if !context.out.can_ask() {
        return Err(OperationError::Usage(format!(
            "a code of the MFA device {serial} is needed, and nobody is there to ask; give --mfa-token"
        )));
    }
    let io =
        |error: std::io::Error| OperationError::Environment(format!("cannot read the terminal: {error}"));
    let _ = write!(std::io::stderr(), "MFA code of {}: ", crate::ui::text::clean(serial));
    let text = unseen().map_err(io)?;
    let _ = writeln!(std::io::stderr());
    MfaCode::parse(&text).map_err(|error| OperationError::Usage(error.to_string()))
}

/// A line of the terminal that is not shown as it is typed.
fn unseen() -> std::io::Result<zeroize::Zeroizing<String>> {
    /// Puts the terminal back, whatever happens.
    struct Restore(termios::Termios);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
        }
    }
    let before = termios::tcgetattr(std::io::stdin())?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &silent)?;
    let _restore = Restore(before);
    let mut line = zeroize::Zeroizing::new(String::with_capacity(64));
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
