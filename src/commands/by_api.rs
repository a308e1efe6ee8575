//! `shepard batch-api`, `shepard dlq` and `shepard quick-deploy`.

use std::io::Read as _;

use serde::Serialize;
use shepard_cloud::aws::Profile;

use super::{Context, Exit};
use crate::cli;
use crate::operations::{OperationError, Result, by_api, dlq, equivalent, flocks};

pub(super) async fn batch_api(context: &Context<'_>, arguments: cli::BatchApi) -> Result<Exit> {
    let payload = payload(&arguments)?;
    let (whose, result) = match &arguments.function {
        Some(name) => {
            let payload = by_api::checked(&payload)?;
            (name.clone(), by_api::call_function(name, &Profile::default(), &payload).await)
        }
        None => {
            let flock = context.open_to_change(arguments.flock.as_ref()).await?;
            (flock.name().to_owned(), by_api::call(&flock.flock, &payload).await)
        }
    };
    let ids = result.as_ref().map(|called| called.ids.clone()).unwrap_or_default();
    // Variables may be anything, so the line leaves them out.
    context.journal("batch by API", &whose, &ids, &equivalent::batch_api(&whose), &result);
    let called = result?;
    if context.out.is_json() {
        context.out.json(&called)?;
    } else {
        for id in &called.ids {
            context.out.line(id)?;
        }
        if called.ids.is_empty() {
            context.out.line(&called.answer.to_string())?;
        }
        for line in called.log.lines() {
            context.out.note(line);
        }
        context.out.note(&format!("the function answered with status {}", called.status));
    }
    // The original's function answers errors of its own with a status in the body.
    let status = called.answer.get("statusCode").and_then(serde_json::Value::as_u64);
    Ok(if status.is_some_and(|status| status >= 400) { Exit::Jobs } else { Exit::Ok })
}

fn payload(arguments: &cli::BatchApi) -> Result<String> {
    if let Some(json) = arguments.json.as_ref().or(arguments.json_payload.as_ref()) {
        return Ok(json.clone());
    }
    match &arguments.file {
        Some(path) if path.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(OperationError::io("read", path))?;
            Ok(text)
        }
        Some(path) => std::fs::read_to_string(path).map_err(OperationError::io("read", path)),
        None => Err(OperationError::Usage("give the JSON, or a file that holds it".into())),
    }
}

#[derive(Serialize)]
struct Redriven {
    moved: u64,
}

pub(super) async fn dead_letters(context: &Context<'_>, command: cli::Dlq) -> Result<Exit> {
    match command {
        cli::Dlq::List { flock } => {
            let flock = context.open(flock.as_ref()).await?;
            let dead = dlq::list(&flock.flock).await?;
            if context.out.is_json() {
                context.out.json(&dead)?;
            } else {
                context.out.line(&format!("waiting    {}", dead.waiting))?;
                context.out.line(&format!("in flight  {}", dead.in_flight))?;
                context.out.line(&format!("given up   {}", dead.dead))?;
                for upload in &dead.uploads {
                    context.out.line(&format!("           {upload}"))?;
                }
            }
        }
        cli::Dlq::Redrive { flock, yes } => {
            let flock = context.open_to_change(flock.as_ref()).await?;
            let dead = dlq::list(&flock.flock).await?;
            dlq::must_have(&dead, flock.name())?;
            let what = format!("move {} message(s) of {} back", dead.dead, flock.name());
            if !yes {
                if !context.out.can_ask() {
                    return Err(OperationError::Refused(format!("to {what}, say so with --yes")));
                }
                let answer = context.out.ask(&format!("to {what}, type yes:"))?;
                if answer != "yes" {
                    return Err(OperationError::Refused("not confirmed; nothing was done".into()));
                }
            }
            let mut told = None;
            let mut progress = |now: &shepard_cloud::ports::Redrive| {
                if told != Some(now.moved) {
                    told = Some(now.moved);
                    context.out.note(&format!("{} moved", now.moved));
                }
            };
            let result = dlq::redrive(&flock.flock, &mut progress).await;
            context.journal("dlq redrive", flock.name(), &[], &equivalent::redrive(flock.name()), &result);
            let moved = result?;
            if context.out.is_json() {
                context.out.json(&Redriven { moved })?;
            } else {
                context.out.line(&format!("{moved} moved back into the queue of {}", flock.name()))?;
            }
        }
    }
    Ok(Exit::Ok)
}

#[derive(Serialize)]
struct QuickDeployed<'a> {
    folder: &'a str,
    files: u64,
}

pub(super) async fn quick_deploy(context: &Context<'_>, arguments: cli::QuickDeploy) -> Result<Exit> {
    let name = match arguments.name {
        Some(name) => flocks::usable_name(&arguments.folder, &name)?,
        None => flocks::quick_deploy_name(&arguments.folder)?,
    };
    let flock = context.open_to_change(arguments.flock.as_ref()).await?;
    let result = flocks::quick_deploy(&flock.flock, &arguments.folder, &name).await;
    let line = equivalent::quick_deploy(flock.name(), &arguments.folder, &name);
    context.journal("quick deploy", flock.name(), std::slice::from_ref(&name), &line, &result);
    let files = result?;
    if context.out.is_json() {
        context.out.json(&QuickDeployed { folder: &name, files })?;
    } else {
        context.out.line(&format!("{name}: {files} files"))?;
        context
            .out
            .note(&format!("a job runs it with \"QUICK_DEPLOY_DIRECTORY\": \"{name}\" in its inputs.txt"));
    }
    Ok(Exit::Ok)
}
