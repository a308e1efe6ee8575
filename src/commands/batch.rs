//! `shepard batch`: pre-flight, upload, and waiting for the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use shepard_model::{JobId, Outcome};

use super::flock::Opened;
use super::output::columns;
use super::{Context, Exit};
use crate::cli;
use crate::operations::batch::{Batched, Progress, Report, batch};
use crate::operations::preflight::{Plan, Request, Source, examine};
use crate::operations::{OperationError, Result, equivalent, jobs, old};

/// One job of a batch, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Job {
    id: Option<JobId>,
    input: Option<String>,
    /// How it ended; None where nobody waited for that.
    pub(super) outcome: Option<Outcome>,
    reason: Option<String>,
    /// Objects in the outputs bucket: files, or `s3://` on AWS.
    results: Vec<String>,
    /// Objects in the errors bucket.
    artefacts: Vec<String>,
    /// The folder or zip it was made from.
    pub(super) path: PathBuf,
}

#[derive(Serialize)]
struct Jobs<'a> {
    jobs: &'a [Job],
}

#[derive(Serialize)]
struct DryRun<'a> {
    jobs: Vec<Examined<'a>>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Examined<'a> {
    path: &'a Path,
    name: &'a str,
    files: u64,
    bytes: u64,
    variables: usize,
    tag: Option<&'a str>,
    quick_deploy: Option<&'a str>,
    refused: Option<&'a str>,
    warnings: &'a [String],
}

pub(super) async fn run(context: &Context<'_>, arguments: cli::Batch) -> Result<Exit> {
    let flock = context.open(arguments.flock.as_ref()).await?;
    if !arguments.dry_run {
        flock.flock.may_change()?;
    }
    let request = Request { path: arguments.path, tag: arguments.tag, default_inputs: None };
    let mut plan = preflight(&flock, request.clone()).await?;
    if let Some(key) = &arguments.key {
        plan.name(key)?;
    }
    if arguments.dry_run {
        return dry_run(context, &plan);
    }
    let refused = plan.jobs.len() - plan.accepted().count();
    if arguments.strict && refused > 0 {
        for job in &plan.jobs {
            if let Some(reason) = &job.refused {
                context.out.note(&format!("{}: {reason}", job.path.display()));
            }
        }
        return Err(OperationError::Refused(format!(
            "{refused} of {} jobs cannot be batched, so with --strict nothing was",
            plan.jobs.len()
        )));
    }
    let jobs = execute(context, &flock, &request, plan, arguments.wait).await?;
    let fine = |job: &Job| {
        if arguments.wait { job.outcome == Some(Outcome::Succeeded) } else { job.id.is_some() }
    };
    Ok(if jobs.iter().all(fine) { Exit::Ok } else { Exit::Jobs })
}

/// Examines a folder, on a thread that may block, and adds what only the flock knows.
pub(super) async fn preflight(flock: &Opened, request: Request) -> Result<Plan> {
    let examined = tokio::task::spawn_blocking(move || examine(&request)).await;
    let mut plan =
        examined.map_err(|_| OperationError::Environment("the pre-flight ended too early".into()))??;
    crate::operations::preflight::against_flock(&mut plan, &flock.ports, &flock.flock.payload()?).await?;
    Ok(plan)
}

/// Batches a plan, wakes the supervisor, waits if asked to, and prints what became of it.
pub(super) async fn execute(
    context: &Context<'_>,
    flock: &Opened,
    request: &Request,
    plan: Plan,
    wait: bool,
) -> Result<Vec<Job>> {
    for warning in &plan.warnings {
        context.out.note(&format!("note: {warning}"));
    }
    let scratch = context.config.dirs.data.join("scratch");
    let report = batch(&flock.ports, plan, flock.flock.way(&scratch), &Arc::new(Progress::default())).await;
    let argv = equivalent::batch(flock.name(), &request.path, request.tag.as_deref());
    let targets = match &report {
        Ok(report) => report.jobs.iter().filter_map(|job| Some(job.id.as_ref()?.to_string())).collect(),
        Err(_) => Vec::new(),
    };
    let outcome = match &report {
        Ok(Report { stopped: Some(error), .. }) => Err(OperationError::Environment(error.to_string())),
        _ => Ok(()),
    };
    context.journal("batch", flock.name(), &targets, &argv, &outcome);
    let report = report?;
    if report.jobs.iter().any(|job| job.id.is_some()) {
        flock.wake().await?;
    }
    for job in &report.jobs {
        for warning in &job.warnings {
            context.out.note(&format!("note: {}: {warning}", job.path.display()));
        }
    }
    if wait {
        let ids = report.jobs.iter().filter_map(|job| job.id.clone());
        context.wait(flock, jobs::Wait::new(ids)).await?;
    }
    let mut shown = Vec::with_capacity(report.jobs.len());
    for job in report.jobs {
        shown.push(result(flock, job, wait).await?);
    }
    print(context, flock, &shown, wait)?;
    match report.stopped {
        Some(error) => Err(error),
        None => Ok(shown),
    }
}

async fn result(flock: &Opened, job: Batched, waited: bool) -> Result<Job> {
    let mut shown = Job {
        id: job.id,
        input: job.input,
        outcome: None,
        reason: None,
        results: Vec::new(),
        artefacts: Vec::new(),
        path: job.path,
    };
    if let Some(reason) = job.refused {
        shown.outcome = Some(Outcome::Rejected);
        shown.reason = Some(reason);
    } else if let (true, Some(id)) = (waited, &shown.id) {
        let row = jobs::row(&flock.ports, id).await?;
        shown.outcome = row.outcome;
        shown.reason = row.reason;
        for object in &row.results {
            let file = flock.flock.place_of(object)?;
            if object.bucket == flock.ports.buckets.outputs {
                shown.results.push(file);
            } else {
                shown.artefacts.push(file);
            }
        }
    }
    Ok(shown)
}

fn print(context: &Context<'_>, flock: &Opened, jobs: &[Job], waited: bool) -> Result<()> {
    if context.out.is_json() {
        return context.out.json(&Jobs { jobs });
    }
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|job| {
            let how = job.outcome.map_or("batched", Outcome::word).to_owned();
            let id = job.id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let mut rest = vec![job.path.display().to_string()];
            rest.extend(job.reason.clone());
            rest.extend(job.results.iter().chain(&job.artefacts).cloned());
            vec![how, id, rest.join("  ")]
        })
        .collect();
    for line in columns(&rows) {
        context.out.line(&line)?;
    }
    // A flock that is known by the options of one command line has no name for another.
    if !waited && !old::is_nameless(flock.name()) {
        context.out.note(&format!("see them with: shepard query --flock {}", flock.name()));
    }
    Ok(())
}

fn dry_run(context: &Context<'_>, plan: &Plan) -> Result<Exit> {
    if context.out.is_json() {
        let jobs = plan
            .jobs
            .iter()
            .map(|job| Examined {
                path: &job.path,
                name: &job.name,
                files: job.files,
                bytes: job.bytes,
                variables: job.variables,
                tag: job.tag.as_deref(),
                quick_deploy: job.quick_deploy.as_deref(),
                refused: job.refused.as_deref(),
                warnings: &job.warnings,
            })
            .collect();
        context.out.json(&DryRun { jobs, warnings: &plan.warnings })?;
    } else {
        let rows: Vec<Vec<String>> = plan
            .jobs
            .iter()
            .map(|job| {
                let what = match job.source {
                    Source::Folder if job.files == 1 => format!("1 file, {} bytes", job.bytes),
                    Source::Folder => format!("{} files, {} bytes", job.files, job.bytes),
                    Source::Zip => format!("zip, {} bytes", job.bytes),
                };
                let verdict = if job.refused.is_some() { "refused" } else { "ready" };
                let mut notes: Vec<String> = job.refused.iter().cloned().collect();
                notes.extend(job.warnings.iter().cloned());
                vec![verdict.to_owned(), job.name.clone(), what, notes.join("; ")]
            })
            .collect();
        for line in columns(&rows) {
            context.out.line(line.trim_end())?;
        }
        for warning in &plan.warnings {
            context.out.note(&format!("note: {warning}"));
        }
        context.out.note("nothing was batched");
    }
    let refused = plan.jobs.iter().any(|job| job.refused.is_some());
    Ok(if refused { Exit::Jobs } else { Exit::Ok })
}
