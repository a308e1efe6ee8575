//! `shepard stack down`.

use serde::Serialize;

use super::show::tell_owned;
use super::{Teller, shown, site, until_stopped};
use crate::cli::StackDown;
use crate::commands::{Context, Exit};
use crate::operations::stack::down::{Down, Request, down as take_down};
use crate::operations::stack::owned::{Owned, owned};
use crate::operations::{OperationError, Result, equivalent};

#[derive(Serialize)]
struct Answer<'a> {
    dry_run: bool,
    owned: Option<&'a Owned>,
    #[serde(flatten)]
    down: Option<&'a Down>,
}

pub(super) async fn down(context: &Context<'_>, arguments: &StackDown) -> Result<Exit> {
    let named = &arguments.stack;
    let site = site(&named.place).await?;
    let teller = Teller::new(&context.out);
    let watch = |progress| teller.tell(progress);
    let request = Request {
        name: named.name.clone(),
        delete_data: arguments.delete_data,
        unprotect: arguments.unprotect,
    };
    let counting = async {
        match owned(&site, &named.name, &watch).await {
            Ok(found) => Ok(Some(found)),
            // Gone, and perhaps not all that it kept.
            Err(OperationError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let found = until_stopped(counting, "stopped; nothing was changed").await?;
    if let Some(found) = &found
        && !context.out.is_json()
    {
        tell_owned(context, found)?;
    }
    if arguments.dry_run {
        if found.is_none() {
            // As for every command on a stack that is not there.
            site.stack(&named.name).await?;
        }
        if context.out.is_json() {
            context.out.json(&Answer { dry_run: true, owned: found.as_ref(), down: None })?;
        }
        context.out.note("nothing was changed");
        return Ok(Exit::Ok);
    }
    let stays =
        if request.delete_data { "everything in it goes with it" } else { "what the template keeps stays" };
    confirm(context, arguments, stays)?;
    let argv = equivalent::stack_down(&request, &site.account);
    let again = "stopped; what was begun goes on at AWS, and the same command goes on with the rest";
    let result = until_stopped(take_down(&site, &request, &watch), again).await;
    context.journal("stack down", &named.name, &[], &argv, &result);
    let result = result?;
    if context.out.is_json() {
        context.out.json(&Answer { dry_run: false, owned: found.as_ref(), down: Some(&result) })?;
        return Ok(Exit::Ok);
    }
    for kept in &result.kept {
        let why = kept.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        context.out.line(&shown(&format!("stays: {} {}{why}", kept.kind, kept.name)))?;
    }
    if !result.kept.is_empty() && !request.delete_data {
        context.out.note("the same with --delete-data removes them too");
    }
    context.out.note(&format!("{} is down", shown(&named.name)));
    Ok(Exit::Ok)
}

fn confirm(context: &Context<'_>, arguments: &StackDown, stays: &str) -> Result<()> {
    let name = &arguments.stack.name;
    match &arguments.yes {
        Some(typed) if typed == name => return Ok(()),
        Some(typed) => {
            return Err(OperationError::Refused(format!("--yes {typed} is not {name}; nothing was changed")));
        }
        None => {}
    }
    if !context.out.can_ask() {
        return Err(OperationError::Refused(format!(
            "{name} would be taken down ({stays}); to do it, say --yes {name}"
        )));
    }
    if context.out.ask(&format!("{stays}; to take the flock down, type {name}:"))? == *name {
        return Ok(());
    }
    Err(OperationError::Refused("not confirmed; nothing was changed".into()))
}
