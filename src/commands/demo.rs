//! `shepard demo`: a flock, jobs in it, and the console on them, by one command. It can be run again and again.

use std::path::PathBuf;

use shepard_model::Outcome;

use super::{Context, Exit, batch, bundle};
use crate::cli;
use crate::operations::flocks::{self, Create};
use crate::operations::preflight::Request;
use crate::operations::{OperationError, Result, equivalent};

/// Name of the flock.
pub(super) const FLOCK: &str = "demo";

/// Makes the flock and gives it jobs. None where the console is to be opened now.
pub(super) async fn run(context: &Context<'_>, arguments: cli::Demo) -> Result<Option<Exit>> {
    let dir = context.config.dirs.data.join("demo");
    let executable = std::env::current_exe()
        .map_err(|error| OperationError::Environment(format!("cannot find this program: {error}")))?;
    let payload = bundle::payload(&dir, &executable)?;
    make_flock(context, payload).await?;
    let own = arguments.path.is_some();
    let path = match arguments.path {
        Some(path) => path,
        None => bundle::samples(&dir)?,
    };
    let flock = context.open(Some(&FLOCK.to_owned())).await?;
    let made = flocks::find(&context.home(), FLOCK)?;
    let folders = flocks::folders(&made)?;
    context.out.note(&format!(
        "flock    {FLOCK}, in {}\njobs     from {}\nresults  will be in {}",
        made.path().display(),
        path.display(),
        folders.outputs.display()
    ));
    if !own {
        context.out.note(&format!(
            "{} is damaged on purpose, so that there is a failure to look at",
            bundle::DAMAGED
        ));
    }
    let console = context.out.is_terminal() && !context.out.is_json() && !arguments.no_console;
    let request = Request { path, tag: None, default_inputs: Some("{}".to_owned()) };
    let plan = batch::preflight(&flock, request.clone()).await?;
    let jobs = batch::execute(context, &flock, &request, plan, !console).await?;
    if console {
        return Ok(None);
    }
    let expected = |job: &batch::Job| {
        job.outcome == Some(Outcome::Succeeded) || (!own && job.path.ends_with(bundle::DAMAGED))
    };
    Ok(Some(if jobs.iter().all(expected) { Exit::Ok } else { Exit::Jobs }))
}

async fn make_flock(context: &Context<'_>, payload: PathBuf) -> Result<()> {
    let home = context.home();
    match home.flock(FLOCK) {
        Err(error) if error.kind == shepard_cloud::Kind::NotFound => {
            // The jobs mostly sleep, to be looked at; four at once show more than one a processor would.
            let request = Create {
                name: FLOCK.to_owned(),
                quick_deploy: Some(payload),
                max_jobs: Some(4),
                ..Create::default()
            };
            let result = flocks::create(&home, &request).await;
            context.journal("local create", FLOCK, &[], &equivalent::create(&request), &result);
            result.map(|_| ())
        }
        Err(error) => Err(error.into()),
        Ok(dir) => {
            if dir.settings()?.quick_deploy.as_deref() != Some("payload") {
                return Err(OperationError::Refused(format!(
                    "there is a flock named {FLOCK} already, and it is not the example's; remove it with \
                     `shepard local rm {FLOCK}` or batch into it with `shepard batch`"
                )));
            }
            // The program may be another one since the flock was made.
            let flock = context.open(Some(&FLOCK.to_owned())).await?;
            flocks::deploy(&flock.ports, &payload, "payload").await.map(drop)
        }
    }
}
