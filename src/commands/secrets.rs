//! `shepard secrets push|list|rm`, and `secretify`, the original's name for pushing.
//!
//! Names are shown, values never. Replacing what is there asks for the name of whose secrets they are.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use shepard_cloud::ports::Written;
use shepard_cloud::{Secrets, aws};

use super::output::columns;
use super::{Context, Exit};
use crate::cli;
use crate::operations::equivalent::{self, Keeper};
use crate::operations::secrets::{self, Diff, Plan};
use crate::operations::{OperationError, Result};

/// Whose secrets a command works on.
struct Store {
    secrets: Arc<dyn Secrets>,
    /// Name of the flock, or name or ARN of the secret.
    name: String,
    is_flock: bool,
}

impl Store {
    fn keeper(&self) -> Keeper<'_> {
        if self.is_flock { Keeper::Flock(&self.name) } else { Keeper::Secret(&self.name) }
    }

    /// What a person types to say that they mean it: nobody types an ARN.
    fn typed(&self) -> &str {
        self.name.rsplit_once(":secret:").map_or(&self.name, |(_, name)| name)
    }
}

/// When a push asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consent {
    /// It was given with the command.
    Given,
    /// On a terminal always; elsewhere what removes names needs `--yes`.
    Asked,
    /// On a terminal only: the original's scripts never gave any.
    AskedIfPossible,
}

#[derive(Serialize)]
struct Listed<'a> {
    of: &'a str,
    names: &'a [String],
}

#[derive(Serialize)]
struct Pushed<'a> {
    of: &'a str,
    store: Option<&'a str>,
    version: Option<&'a str>,
    sent: bool,
    compared: bool,
    #[serde(flatten)]
    diff: &'a Diff,
    names: &'a [String],
    skipped: &'a [String],
}

pub(super) async fn run(context: &Context<'_>, command: cli::Secrets) -> Result<Exit> {
    match command {
        cli::Secrets::Push(arguments) => {
            let store = open(context, &arguments.keeper, !arguments.dry_run).await?;
            let consent = if arguments.yes { Consent::Given } else { Consent::Asked };
            push(context, &store, &arguments, consent).await
        }
        cli::Secrets::List(keeper) => list(context, &open(context, &keeper, false).await?).await,
        cli::Secrets::Rm(arguments) => remove(context, &arguments).await,
    }
}

/// As the original's `secretify`, of a secret by name or ARN.
pub(super) async fn secretify(
    context: &Context<'_>,
    folder: PathBuf,
    name: String,
    profile: &aws::Profile,
) -> Result<Exit> {
    let keeper = cli::Keeper { flock: None, secret: Some(name.clone()) };
    let secrets = Arc::new(aws::secrets_of(name.clone(), profile).await);
    let store = Store { secrets, name, is_flock: false };
    let push_of = cli::Push { folder, keeper, merge: false, dry_run: false, yes: false };
    push(context, &store, &push_of, Consent::AskedIfPossible).await
}

async fn open(context: &Context<'_>, keeper: &cli::Keeper, to_change: bool) -> Result<Store> {
    if let Some(name) = &keeper.secret {
        let secrets = aws::secrets_of(name.clone(), &aws::Profile::default()).await;
        return Ok(Store { secrets: Arc::new(secrets), name: name.clone(), is_flock: false });
    }
    // Not by the parser: a variable that is set must not stand in the way of --secret.
    let usual = || std::env::var("SHEPARD_FLOCK").ok().filter(|name| !name.is_empty());
    let flock = context.open(keeper.flock.clone().or_else(usual).as_ref()).await?;
    if to_change {
        flock.flock.may_change()?;
    }
    let name = flock.name().to_owned();
    Ok(Store { secrets: flock.ports.secrets, name, is_flock: true })
}

async fn list(context: &Context<'_>, store: &Store) -> Result<Exit> {
    let names = secrets::list(store.secrets.as_ref()).await?;
    if context.out.is_json() {
        context.out.json(&Listed { of: &store.name, names: &names })?;
    } else if names.is_empty() {
        context.out.note("there are no secrets; `shepard secrets push FOLDER` puts some there");
    }
    if !context.out.is_json() {
        for name in &names {
            context.out.line(&shown(name))?;
        }
    }
    Ok(Exit::Ok)
}

async fn push(context: &Context<'_>, store: &Store, arguments: &cli::Push, consent: Consent) -> Result<Exit> {
    let plan = secrets::plan(store.secrets.as_ref(), &arguments.folder, arguments.merge).await?;
    for name in &plan.skipped {
        context.out.note(&format!("note: {} is no file, so no secret", shown(name)));
    }
    if plan.asked == 0 {
        let folder = arguments.folder.display();
        context.out.note(&format!("there is no file directly in {folder}; nothing was sent"));
    }
    if let Some(why) = &plan.unknown {
        context.out.note(&format!("what is there cannot be compared with the folder: {why}"));
    }
    show(context, &plan)?;
    if arguments.dry_run {
        context.out.note("nothing was sent");
        return done(context, store, &plan, None);
    }
    if plan.changes() {
        confirm(context, store, &plan, consent)?;
    }
    let argv = equivalent::secrets_push(store.keeper(), &arguments.folder, arguments.merge);
    carry_out(context, store, &plan, "secrets push", &argv).await
}

async fn remove(context: &Context<'_>, arguments: &cli::RemoveSecrets) -> Result<Exit> {
    let store = open(context, &arguments.keeper, true).await?;
    let plan = secrets::without(store.secrets.as_ref(), &arguments.names).await?;
    show(context, &plan)?;
    let consent = if arguments.yes { Consent::Given } else { Consent::Asked };
    confirm(context, &store, &plan, consent)?;
    let argv = equivalent::secrets_rm(store.keeper(), &arguments.names);
    carry_out(context, &store, &plan, "secrets rm", &argv).await
}

async fn carry_out(
    context: &Context<'_>,
    store: &Store,
    plan: &Plan,
    action: &str,
    argv: &[String],
) -> Result<Exit> {
    let result = secrets::carry_out(store.secrets.as_ref(), plan).await;
    if plan.changes() {
        context.journal(action, &store.name, &plan.targets(), argv, &result);
    }
    let written = result?;
    match &written {
        Some(_) => {
            let version = written.as_ref().map(|written| written.version.as_str()).unwrap_or_default();
            context.out.note(&format!(
                "replacing the secrets of {} succeeded; version {version}; jobs that begin from now on get them",
                store.name
            ));
            if plan.names().is_empty() && !store.is_flock {
                context.out.note("no secret is left; workers of the original fail when there is none");
            }
        }
        None if plan.asked > 0 => context.out.note("nothing has changed; nothing was sent"),
        None => {}
    }
    done(context, store, plan, written.as_ref())
}

/// What becomes of each name.
fn show(context: &Context<'_>, plan: &Plan) -> Result<()> {
    if context.out.is_json() {
        return Ok(());
    }
    let row = |what: &str, name: &String| vec![what.to_owned(), shown(name)];
    let rows: Vec<Vec<String>> = match &plan.diff {
        Some(diff) => [
            ("added", &diff.added),
            ("changed", &diff.changed),
            ("removed", &diff.removed),
            ("unchanged", &diff.unchanged),
        ]
        .into_iter()
        .flat_map(|(what, names)| names.iter().map(move |name| row(what, name)))
        .collect(),
        None => plan.names().iter().map(|name| row("pushed", name)).collect(),
    };
    for line in columns(&rows) {
        context.out.line(&line)?;
    }
    Ok(())
}

fn confirm(context: &Context<'_>, store: &Store, plan: &Plan, consent: Consent) -> Result<()> {
    if consent == Consent::Given || !plan.replaces() {
        return Ok(());
    }
    if !context.out.can_ask() {
        return if consent == Consent::AskedIfPossible || !plan.removes() {
            Ok(())
        } else {
            Err(OperationError::Refused(format!(
                "names of {} would be gone, or might be; nothing was sent; to do it, say --yes",
                store.name
            )))
        };
    }
    let question =
        format!("what is replaced cannot be had back; to replace the secrets, type {}:", store.typed());
    if context.out.ask(&question)? == store.typed() {
        Ok(())
    } else {
        Err(OperationError::Refused("not confirmed; nothing was sent".into()))
    }
}

fn done(context: &Context<'_>, store: &Store, plan: &Plan, written: Option<&Written>) -> Result<Exit> {
    if context.out.is_json() {
        context.out.json(&Pushed {
            of: &store.name,
            store: written.map(|written| written.store.as_str()),
            version: written.map(|written| written.version.as_str()),
            sent: written.is_some(),
            compared: plan.diff.is_some(),
            diff: plan.diff.as_ref().unwrap_or(&Diff::default()),
            names: &plan.names(),
            skipped: &plan.skipped,
        })?;
    }
    Ok(Exit::Ok)
}

/// A name on one line, whatever is in it.
fn shown(name: &str) -> String {
    if name.chars().any(char::is_control) { format!("{name:?}") } else { name.to_owned() }
}
