//! Command lines of the original: what they mean is `operations::old`'s, what they do is done by the subcommands of
//! today, on a flock that is known by the names that were given.

use serde::Serialize;
use shepard_cloud::Kind;
use shepard_cloud::aws::{self, Profile};
use shepard_cloud::stacks::{Resource, Stack, Stacks as _};
use shepard_model::MfaCode;

use super::output::columns;
use super::{Context, Exit, batch, by_api, deploy, jobs, profiles, retrieve, roles, secrets};
use crate::cli;
use crate::operations::old::{Meaning, OldCommand, Typed, meaning, wants_profile};
use crate::operations::profiles::{Store, Values};
use crate::operations::roles::Wanted;
use crate::operations::{OperationError, Result};

/// The command of a command line; None where there is none, which prints the help.
fn command(line: &cli::Old) -> Result<Option<OldCommand>> {
    if line.command.is_empty() {
        return Ok(None);
    }
    let found = OldCommand::named(&line.command);
    found.map(Some).ok_or_else(|| {
        let words: Vec<_> = OldCommand::ALL.iter().map(|command| command.word()).collect();
        OperationError::Usage(format!(
            "there is no command {:?}; there are {}",
            line.command,
            words.join(", ")
        ))
    })
}

/// What it would change, in words; None where it only looks.
pub(super) fn changes(line: &cli::Old) -> Option<&'static str> {
    match OldCommand::named(&line.command)? {
        OldCommand::Deploy => Some("deploying"),
        OldCommand::Batch | OldCommand::BatchViaApi => Some("batching"),
        OldCommand::Secretify => Some("replacing secrets"),
        _ => None,
    }
}

pub(super) async fn run(context: &Context<'_>, line: &cli::Old) -> Result<Exit> {
    let Some(command) = command(line)? else { return help(context) };
    let typed: Typed<'_> = line.typed().collect();
    let store = Store::of(context.config);
    let profile = if wants_profile(command, &typed)? { current(context, &store)? } else { None };
    let mut meant = meaning(command, &typed, profile.as_ref().map(|(name, values)| (name.as_str(), values)))?;
    match command {
        OldCommand::Help => return help(context),
        OldCommand::Update | OldCommand::CheckUpdate => return update(context),
        OldCommand::Configure => {
            let name = meant.value("profile_name").to_owned();
            return profiles::configure(context, &store, &cli::ConfigureProfile { name, values: Vec::new() });
        }
        OldCommand::SetProfile => return profiles::set(context, &store, meant.value("profile_name")),
        // Nobody was ever asked, and scripts give no answer.
        OldCommand::DeleteProfile => {
            return profiles::delete(context, &store, meant.value("profile_name"), true);
        }
        OldCommand::ClearProfileConfig => return profiles::clear(context, &store),
        OldCommand::CheckProfile => return profiles::check(context, &store),
        OldCommand::WhereAmI => return profiles::place(context, &store),
        OldCommand::CheckRole => return roles::check(context),
        OldCommand::ReleaseRole => return roles::release(context),
        OldCommand::SetRole => return set_role(context, &meant, code(line)?).await,
        _ => {}
    }
    authenticate(context, &mut meant, code(line)?).await?;
    let context = &context.given(meant.target.clone());
    Box::pin(on_aws(context, command, &meant)).await
}

/// Carries out what reaches AWS.
async fn on_aws(context: &Context<'_>, command: OldCommand, meant: &Meaning) -> Result<Exit> {
    let flock = Some(meant.target.name.clone());
    match command {
        OldCommand::Deploy => {
            let account_number = meant.given("account_number").map(str::to_owned);
            let to = match account_number.filter(|_| meant.target.account.role.is_none()) {
                // The credentials may be of one account and the repository of another.
                account @ Some(_) => {
                    let repository = Some(meant.value("ecr_repo_to_push_to").to_owned());
                    cli::DeployTo { flock: None, repository, account_number: account }
                }
                None => cli::DeployTo { flock, repository: None, account_number: None },
            };
            // A worker of the original's stack may pull nothing but its own image.
            deploy::deploy(
                context,
                cli::Deploy::of_folder(meant.value("path_to_docker_folder").into(), to, true),
            )
            .await
        }
        OldCommand::Batch => {
            let path = std::path::PathBuf::from(meant.value("path_to_local_folder_to_batch"));
            if !path.join("inputs.txt").is_file() {
                return Err(OperationError::NotFound(format!(
                    "there is no inputs.txt in {}",
                    path.display()
                )));
            }
            let key = meant.given("zip_name_override").map(str::to_owned);
            let (tag, wait, dry_run) = (None, false, false);
            batch::run(context, cli::Batch { flock, path, tag, key, wait, dry_run, strict: true }).await
        }
        OldCommand::Query => {
            let (state, filter, jobs) = (Vec::new(), Vec::new(), Vec::new());
            jobs::query(context, &cli::Query { flock, state, filter, jobs }).await
        }
        OldCommand::Retrieve => {
            let to = std::path::PathBuf::from(meant.value("directory_to_sync_s3_bucket_to"));
            if !to.is_dir() {
                return Err(OperationError::NotFound(format!("there is no directory {}", to.display())));
            }
            retrieve::run(context, &cli::Retrieve { flock, to, jobs: Vec::new() }).await
        }
        OldCommand::Secretify => {
            let folder = meant.value("path_to_local_secrets").into();
            let (store, account) = (meant.value("secret_store").to_owned(), &meant.target.account);
            secrets::secretify(context, folder, store, &Profile::of(account)).await
        }
        OldCommand::BatchViaApi => {
            let json = Some(meant.value("json_payload").to_owned());
            let call = cli::BatchApi { flock, json, file: None, json_payload: None, function: None };
            by_api::batch_api(context, call).await
        }
        _ => describe(context, meant).await,
    }
}

/// The MFA code that was typed. It is never repeated.
fn code(line: &cli::Old) -> Result<Option<MfaCode>> {
    let code = line.mfa_token.as_deref().map(MfaCode::parse).transpose();
    code.map_err(|error| OperationError::Usage(error.to_string()))
}

/// Decides in whose name the rest is done: as the role that is set, where that is the one that is wanted, else as the one
/// that is wanted, with a code where it asks for one.
async fn authenticate(context: &Context<'_>, meant: &mut Meaning, code: Option<MfaCode>) -> Result<()> {
    if meant.target.account.role.is_none() && code.is_none() {
        return Ok(());
    }
    let mut wanted = wanted(meant, code);
    wanted.dont_assume = meant.target.account.role.is_none();
    let (effective, _) = roles::identified(context, &mut wanted).await?;
    let role = effective.profile.role;
    let account = &mut meant.target.account;
    account.serial = role.as_ref().and_then(|role| role.serial.clone());
    account.role = role.map(|role| role.arn);
    Ok(())
}

fn wanted(meant: &Meaning, code: Option<MfaCode>) -> Wanted {
    let account = &meant.target.account;
    Wanted {
        profile: account.profile.clone(),
        region: account.region.clone(),
        account: meant.given("account_number").map(str::to_owned),
        role: meant.given("role_to_assume_to_target_account").map(str::to_owned),
        serial: account.serial.clone(),
        code,
        ..Wanted::default()
    }
}

async fn set_role(context: &Context<'_>, meant: &Meaning, code: Option<MfaCode>) -> Result<Exit> {
    let set = roles::chosen(context, &mut wanted(meant, code)).await?;
    context.out.line(&set.again().arn)?;
    Ok(Exit::Ok)
}

/// The current profile. One that is not there is said and left out, as it always was.
fn current(context: &Context<'_>, store: &Store) -> Result<Option<(String, Values)>> {
    let Some(name) = store.current()? else { return Ok(None) };
    match store.read(&name) {
        Ok(values) => Ok(Some((name, values))),
        Err(OperationError::NotFound(why)) => {
            context.out.note(&format!("the current profile counts for nothing: {why}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[derive(Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    stack: &'a Stack,
    /// None where the rights to see them are missing; the original never asked for them.
    resources: Option<Vec<Resource>>,
}

async fn describe(context: &Context<'_>, meant: &Meaning) -> Result<Exit> {
    let name = meant.value("cloudformation_to_describe");
    let stacks = aws::stacks_of(&Profile::of(&meant.target.account)).await;
    let Some(stack) = stacks.describe(name).await? else {
        return Err(OperationError::NotFound(format!("there is no stack {name}")));
    };
    let resources = match stacks.resources(name).await {
        Ok(resources) => Some(resources),
        Err(error) if error.kind == Kind::Denied => {
            context.out.note(&format!("its resources cannot be shown: {error}"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    if context.out.is_json() {
        context.out.json(&Described { stack: &stack, resources })?;
        return Ok(Exit::Ok);
    }
    let row = |what: &str, name: &str, value: &str| vec![what.to_owned(), name.to_owned(), value.to_owned()];
    let mut rows = vec![row("stack", &stack.name, &stack.status)];
    rows.extend(stack.outputs.iter().map(|(name, value)| row("output", name, value)));
    rows.extend(stack.parameters.iter().map(|(name, value)| row("parameter", name, value)));
    for one in resources.iter().flatten() {
        rows.push(row("resource", &one.logical, &format!("{} {} {}", one.kind, one.status, one.physical)));
    }
    for line in columns(&rows) {
        context.out.line(line.trim_end())?;
    }
    Ok(Exit::Ok)
}

/// `check_update` and `update`: the original fetched whatever a branch held and ran it. This one changes nothing.
fn update(context: &Context<'_>) -> Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    if context.out.is_json() {
        context.out.json(&serde_json::json!({ "version": version }))?;
        return Ok(Exit::Ok);
    }
    context.out.line(&format!("shepard {version}"))?;
    context.out.note(
        "it does not update itself and asks nobody; install a newer release the way this one was installed \
         (CHANGELOG.md says what is new)",
    );
    Ok(Exit::Ok)
}

fn help(context: &Context<'_>) -> Result<Exit> {
    let mut rows = Vec::new();
    for command in OldCommand::ALL {
        let options: Vec<String> = command.required().iter().map(|option| format!("--{option}")).collect();
        rows.push(vec![command.word().to_owned(), options.join(" ")]);
    }
    context.out.line(
        "Command lines of shepard_cli, each with what it needs, by option or by the current profile:",
    )?;
    for line in columns(&rows) {
        context.out.line(line.trim_end())?;
    }
    context
        .out
        .line("The subcommands of today: shepard --help. What became of each option: docs/profiles.md.")?;
    Ok(Exit::Ok)
}
