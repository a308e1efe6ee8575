//! `shepard local`: the flocks of this machine.

use serde::Serialize;
use shepard_cloud::local::Settings;

use super::output::columns;
use super::{Context, Exit};
use crate::cli::{self, Local};
use crate::operations::flocks::{self, Create};
use crate::operations::{OperationError, Result, equivalent};

#[derive(Serialize)]
struct Did<'a> {
    name: &'a str,
    /// Something changed; false where it was so already.
    changed: bool,
}

pub(super) async fn run(context: &Context<'_>, command: Local) -> Result<Exit> {
    match command {
        Local::Create(arguments) => create(context, arguments).await,
        Local::List => list(context).await,
        Local::Start { name } => {
            let flock = flocks::find(&context.home(), &name)?;
            let result = flocks::start(&flock).await;
            context.journal("local start", &name, &[], &equivalent::local("start", &name), &result);
            let words = ("its supervisor runs now", "its supervisor was running");
            did(context, &name, result?, words)
        }
        Local::Stop { name } => {
            let flock = flocks::find(&context.home(), &name)?;
            let result = flocks::stop(&flock).await;
            context.journal("local stop", &name, &[], &equivalent::local("stop", &name), &result);
            let words = ("its supervisor has stopped; running jobs go on", "its supervisor was not running");
            did(context, &name, result?, words)
        }
        Local::Rm { name, yes } => remove(context, &name, yes.as_deref()).await,
    }
}

fn did(context: &Context<'_>, name: &str, changed: bool, words: (&str, &str)) -> Result<Exit> {
    if context.out.is_json() {
        context.out.json(&Did { name, changed })?;
    } else {
        context.out.line(&format!("{name}: {}", if changed { words.0 } else { words.1 }))?;
    }
    Ok(Exit::Ok)
}

async fn create(context: &Context<'_>, arguments: cli::Create) -> Result<Exit> {
    let request = Create {
        name: arguments.name,
        command: arguments.command,
        quick_deploy: arguments.quick_deploy,
        max_jobs: arguments.max_jobs,
        attempts: Some(arguments.attempts),
        timeout_s: arguments.timeout,
        image: arguments.image,
        isolation: arguments.grants.into(),
    };
    let home = context.home();
    let result = flocks::create(&home, &request).await;
    context.journal("local create", &request.name, &[], &equivalent::create(&request), &result);
    let flock = result?;
    if context.out.is_json() {
        let listed = flocks::list(&home).await?.into_iter().find(|listed| listed.name == request.name);
        context.out.json(&listed)?;
        return Ok(Exit::Ok);
    }
    let folders = flocks::folders(&flock)?;
    context.out.line(&format!("{}: made in {}", flock.name(), flock.path().display()))?;
    context.out.note(&format!(
        "batch a folder with: shepard batch --flock {} --path FOLDER\nor put a zip into {}",
        flock.name(),
        folders.inputs.display()
    ));
    if let Some(image) = &request.image {
        if let Err(said) = flocks::engine_answers().await {
            context
                .out
                .note(&format!("its jobs run in containers of {image}, and for now none would: {said}"));
        }
    } else if request.command.is_none() && request.quick_deploy.is_none() {
        context.out.note(
            "it has no command and no quick-deploy folder: each inputs.txt must name a QUICK_DEPLOY_DIRECTORY",
        );
    }
    Ok(Exit::Ok)
}

async fn list(context: &Context<'_>) -> Result<Exit> {
    let flocks = flocks::list(&context.home()).await?;
    if context.out.is_json() {
        context.out.json(&flocks)?;
        return Ok(Exit::Ok);
    }
    if flocks.is_empty() {
        context.out.note("there is no flock yet; `shepard demo` or `shepard local create` makes one");
    }
    let rows: Vec<Vec<String>> = flocks
        .into_iter()
        .map(|flock| {
            let runs = match (&flock.settings, flock.problem) {
                (_, Some(problem)) => problem,
                (Some(settings), None) => runs(settings),
                (None, None) => String::new(),
            };
            let state = if flock.running { "running" } else { "stopped" };
            vec![flock.name, state.to_owned(), flock.buckets.inputs.display().to_string(), runs]
        })
        .collect();
    for line in columns(&rows) {
        context.out.line(&line)?;
    }
    Ok(Exit::Ok)
}

/// What a flock's jobs run, and which way.
fn runs(settings: &Settings) -> String {
    let what = match (&settings.command, &settings.quick_deploy, &settings.image) {
        (Some(argv), _, _) => argv.join(" "),
        (None, Some(folder), _) => format!("{folder}/run.sh"),
        (None, None, Some(_)) => "the image's own program".to_owned(),
        (None, None, None) => "what each job names".to_owned(),
    };
    match &settings.image {
        Some(image) => format!("runs {what} in containers of {image}"),
        None => format!("runs {what}"),
    }
}

async fn remove(context: &Context<'_>, name: &str, yes: Option<&str>) -> Result<Exit> {
    let home = context.home();
    let flock = flocks::find(&home, name)?;
    match flocks::owned(&flock).await {
        Ok(owned) => {
            for line in owned.lines() {
                context.out.note(&line);
            }
        }
        // A flock that is broken must be removable all the same.
        Err(error) => context.out.note(&format!("what it holds cannot be counted: {error}")),
    }
    let answer = match yes {
        Some(answer) => answer.to_owned(),
        None if context.out.can_ask() => {
            context.out.ask("this cannot be undone; to remove the flock, type its name:")?
        }
        None => {
            return Err(OperationError::Refused(format!(
                "removing a flock cannot be undone; to do it, say --yes {name}"
            )));
        }
    };
    if answer != name {
        return Err(OperationError::Refused(format!("{answer:?} is not {name:?}; nothing was removed")));
    }
    let result = flocks::remove(&home, &flock).await;
    context.journal("local rm", name, &[], &equivalent::local("rm", name), &result);
    result?;
    did(context, name, true, ("removed", ""))
}
