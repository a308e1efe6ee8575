//! `shepard query`, `terminate` and `retry`.

use std::collections::HashSet;

use serde::Serialize;
use shepard_model::{JobId, JobRow, JobSummary, State};

use super::flock::Opened;
use super::output::{columns, local_time};
use super::rows::{Shown, attribute};
use super::{Context, Exit};
use crate::cli;
use crate::operations::jobs::{self, Done};
use crate::operations::{OperationError, Result, equivalent, journal};

/// Rows read at a time.
const PAGE: usize = 1_000;

pub(super) async fn query(context: &Context<'_>, arguments: &cli::Query) -> Result<Exit> {
    let flock = context.open(arguments.flock.as_ref()).await?;
    let wanted: Option<HashSet<JobId>> = if arguments.jobs.is_empty() {
        None
    } else {
        Some(jobs::resolve(&flock.ports, &arguments.jobs).await?.into_iter().map(|job| job.id).collect())
    };
    let filters: Vec<Filter> = arguments.filter.iter().map(|text| Filter::parse(text)).collect();
    let keep = |row: &JobRow| {
        wanted.as_ref().is_none_or(|wanted| wanted.contains(&row.id))
            && (arguments.state.is_empty() || arguments.state.contains(&row.state()))
            && filters.iter().all(|filter| filter.keeps(row))
    };
    // Row by row, so that a table of a million rows needs no more memory than a page of it.
    let (mut from, mut first, mut table) = (None, true, Vec::new());
    loop {
        let page = flock.ports.table.scan(from.as_deref(), PAGE).await?;
        let rows: Vec<&JobRow> = page.items.iter().filter(|row| keep(row)).collect();
        if context.out.is_json() {
            context.out.write(|out| {
                for row in rows {
                    out.write_all(if first { b"[" } else { b",\n" })?;
                    first = false;
                    serde_json::to_writer(&mut *out, &Shown(row))?;
                }
                Ok(())
            })?;
        } else {
            table.extend(rows.into_iter().map(line));
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    if context.out.is_json() {
        context.out.write(|out| out.write_all(if first { b"[]\n" } else { b"]\n" }))?;
    } else {
        let head = ["STATE", "JOB", "CREATED", "TRIES", "TAG", "INPUT", "REASON"];
        table.insert(0, head.map(str::to_owned).to_vec());
        for line in columns(&table) {
            context.out.line(line.trim_end())?;
        }
    }
    Ok(Exit::Ok)
}

fn line(row: &JobRow) -> Vec<String> {
    vec![
        row.state().word().to_owned(),
        row.id.to_string(),
        local_time(row.created_ms),
        row.attempts.len().to_string(),
        row.tag.clone().unwrap_or_else(|| "-".to_owned()),
        row.input.as_ref().map_or_else(|| "-".to_owned(), |input| input.key.clone()),
        row.reason.clone().unwrap_or_default(),
    ]
}

/// One `--filter`.
enum Filter {
    Is(String, String),
    IsNot(String, String),
    Contains(String),
}

impl Filter {
    fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, value)) => match name.strip_suffix('!') {
                Some(name) => Self::IsNot(name.to_owned(), value.to_owned()),
                None => Self::Is(name.to_owned(), value.to_owned()),
            },
            None => Self::Contains(text.to_lowercase()),
        }
    }

    fn keeps(&self, row: &JobRow) -> bool {
        match self {
            Self::Is(name, value) => attribute(row, name).as_ref() == Some(value),
            Self::IsNot(name, value) => attribute(row, name).as_ref() != Some(value),
            Self::Contains(text) => {
                let input = row.input.as_ref().map(|input| input.key.as_str());
                [Some(row.id.as_str()), input, row.tag.as_deref(), row.reason.as_deref()]
                    .into_iter()
                    .flatten()
                    .any(|field| field.to_lowercase().contains(text))
            }
        }
    }
}

/// What is done to jobs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Terminate,
    Retry,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Terminate => "terminate",
            Self::Retry => "retry",
        }
    }
}

#[derive(Serialize)]
struct Changed<'a> {
    jobs: &'a [Done],
}

pub(super) async fn change(
    context: &Context<'_>,
    verb: Verb,
    flock: Option<&String>,
    which: &cli::Which,
    yes: bool,
) -> Result<Exit> {
    let flock = context.open_to_change(flock).await?;
    let targets = match which.state {
        Some(state) => jobs::in_state(&flock.ports, state).await?,
        None => jobs::resolve(&flock.ports, &which.jobs).await?,
    };
    if let Some(state) = which.state {
        if targets.is_empty() {
            context.out.note(&format!(
                "no job of {} is {}; there is nothing to do",
                flock.name(),
                state.word()
            ));
        }
        confirm(context, verb, &flock, state, &targets, yes)?;
    }
    let ids: Vec<JobId> = targets.into_iter().map(|job| job.id).collect();
    let by = journal::who();
    let result = match verb {
        Verb::Terminate => jobs::terminate(&flock.ports, &ids, &by).await,
        Verb::Retry => jobs::retry(&flock.ports, &ids, &by, flock.flock.keep_days()).await,
    };
    let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let argv = equivalent::on_jobs(verb.word(), flock.name(), &ids);
    if !names.is_empty() {
        context.journal(verb.word(), flock.name(), &names, &argv, &result);
    }
    let done = result?;
    if done.iter().any(|job| job.accepted) {
        flock.wake().await?;
    }
    if context.out.is_json() {
        context.out.json(&Changed { jobs: &done })?;
    } else {
        let rows: Vec<Vec<String>> = done
            .iter()
            .map(|job| {
                let how = if job.accepted { "accepted" } else { "refused" };
                vec![how.to_owned(), job.id.to_string(), job.reason.clone().unwrap_or_default()]
            })
            .collect();
        for line in columns(&rows) {
            context.out.line(line.trim_end())?;
        }
    }
    Ok(if done.iter().all(|job| job.accepted) { Exit::Ok } else { Exit::Refused })
}

/// Many jobs at once are only changed by somebody who said so.
fn confirm(
    context: &Context<'_>,
    verb: Verb,
    flock: &Opened,
    state: State,
    targets: &[JobSummary],
    yes: bool,
) -> Result<()> {
    if yes || targets.is_empty() {
        return Ok(());
    }
    let what = format!("{} {} {} job(s) of {}", verb.word(), targets.len(), state.word(), flock.name());
    if !context.out.can_ask() {
        return Err(OperationError::Refused(format!("to {what}, say so with --yes")));
    }
    for job in targets.iter().take(10) {
        context.out.note(&format!("  {}  {}", job.id, job.tag.as_deref().unwrap_or(&job.input)));
    }
    if targets.len() > 10 {
        context.out.note(&format!("  and {} more", targets.len() - 10));
    }
    let answer = context.out.ask(&format!("to {what}, type the flock's name:"))?;
    if answer == flock.name() {
        Ok(())
    } else {
        Err(OperationError::Refused("not confirmed; nothing was done".into()))
    }
}
