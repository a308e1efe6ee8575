//! `shepard retrieve`: results, here.

use serde::Serialize;
use shepard_model::JobId;

use super::{Context, Exit};
use crate::cli;
use crate::operations::retrieve::{Fate, Progress, Retrieved, everything, of_jobs};
use crate::operations::{Result, equivalent, jobs};

#[derive(Serialize)]
struct Files<'a> {
    files: &'a [Retrieved],
}

pub(super) async fn run(context: &Context<'_>, arguments: &cli::Retrieve) -> Result<Exit> {
    let flock = context.open(arguments.flock.as_ref()).await?;
    let ids: Vec<JobId> =
        jobs::resolve(&flock.ports, &arguments.jobs).await?.into_iter().map(|job| job.id).collect();
    let progress = Progress::default();
    let result = if ids.is_empty() {
        everything(&flock.ports, &arguments.to, &progress).await
    } else {
        of_jobs(&flock.ports, &ids, &arguments.to, &progress).await
    };
    let argv = equivalent::retrieve(flock.name(), &arguments.to, &ids);
    let targets: Vec<String> = ids.iter().map(ToString::to_string).collect();
    context.journal("retrieve", flock.name(), &targets, &argv, &result);
    let files = result?;
    let failed = files.iter().any(|file| file.fate == Fate::Failed);
    if context.out.is_json() {
        context.out.json(&Files { files: &files })?;
    } else {
        for file in &files {
            match (file.fate, &file.path) {
                (Fate::Fetched, Some(path)) => context.out.line(&path.display().to_string())?,
                (Fate::Failed, _) => {
                    let reason = file.reason.as_deref().unwrap_or("for no known reason");
                    context.out.note(&format!("not fetched: {}: {reason}", file.key));
                }
                _ => {}
            }
        }
        let count = |fate| files.iter().filter(|file| file.fate == fate).count();
        let (fetched, current) = (count(Fate::Fetched), count(Fate::Current));
        let to = arguments.to.display();
        context.out.note(&format!("{fetched} fetched to {to}, {current} there already"));
    }
    Ok(if failed { Exit::Jobs } else { Exit::Ok })
}
