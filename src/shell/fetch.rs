//! Answers requests: reads something once, as a message.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shepard_cloud::{CloudError, aws};
use shepard_model::{JobId, JobRow};

use crate::app::Msg;
use crate::app::account::Choices;
use crate::app::deploy::{Fact, ReleaseRow, Source, Weight};
use crate::app::effect::Request;
use crate::app::msg::{
    JournalRow, Loaded, Preflight, PreflightJob, SecretsAnswer, SecretsDiff, SecretsReport,
};
use crate::app::remote::{Problem, ProblemKind};
use crate::config::Config;
use crate::feeds::{self, blocking};
use crate::operations::flock::Opener;
use crate::operations::journal::Journal;
use crate::operations::profiles::Store;
use crate::operations::{Class, OperationError, deploy, outlook, preflight, releases, secrets};
use crate::ui::time;

/// Entries of the journal that are shown.
const JOURNAL: usize = 1_000;
/// How long a path rests before the folder is looked at. A newer request drops one that still waits, so a path that
/// is only typed through costs nothing.
const REST: Duration = Duration::from_millis(150);
/// Most ways to go on with a path.
const PATHS: usize = 200;

/// Reads for the screens.
pub(super) struct Reader {
    flocks: Arc<Opener>,
    journal: Journal,
    profiles: Store,
}

impl Reader {
    pub(super) fn new(config: &Config, flocks: Arc<Opener>) -> Self {
        Self { flocks, journal: Journal::at(config.dirs.journal()), profiles: Store::of(config) }
    }

    /// Reads what a request asks for. Always ends in a message: a failure is one too.
    pub(super) async fn read(&self, request: Request) -> Msg {
        Msg::Loaded(match request {
            Request::Job { flock, id } => {
                let row = self.row(&flock, &id).await.map_err(|error| problem(&error));
                Loaded::Job { flock, id, row: row.map(|row| row.map(Box::new)) }
            }
            Request::Accounts => Loaded::Accounts(accounts().await.map_err(|error| feeds::problem(&error))),
            Request::Journal => {
                let journal = self.journal.clone();
                let entries = blocking(move || journal.tail(JOURNAL)).await;
                let row = |entry: crate::operations::journal::Entry| JournalRow {
                    at_ms: entry.at_ms,
                    who: entry.who,
                    action: entry.action,
                    flock: entry.flock,
                    target: match (entry.targets.first(), entry.count) {
                        (Some(first), 1) => first.clone(),
                        (Some(first), count) => format!("{first} and {} more", count - 1),
                        (None, _) => String::new(),
                    },
                    command: entry.command,
                    result: entry.result,
                };
                let entries = entries.map(|entries| entries.into_iter().rev().map(row).collect());
                Loaded::Journal(entries.map_err(|error| problem(&error)))
            }
            Request::Preflight { flock, path } => {
                tokio::time::sleep(REST).await;
                let plan = self.examined(&flock, &path).await;
                Loaded::Preflight { path, report: plan.map(report).map_err(|error| problem(&error)) }
            }
            Request::Secrets { flock, path, merge } => {
                tokio::time::sleep(REST).await;
                let report = self.secrets(&flock, &path, merge).await.map_err(|error| problem(&error));
                Loaded::Secrets(SecretsAnswer { flock, path, merge, report })
            }
            Request::Outlook(source) => {
                tokio::time::sleep(REST).await;
                let found = match &source {
                    Source::Folder(path) => outlook::of_folder(&expanded(path)).await,
                    Source::Image(name) => outlook::of_image(name.trim()).await,
                };
                Loaded::Outlook { source, facts: found.into_iter().map(fact).collect() }
            }
            Request::Releases { flock, repository } => {
                let releases = self.releases(&flock, repository.as_deref()).await;
                let releases = releases.map_err(|error| problem(&error));
                Loaded::Releases { flock, repository, releases }
            }
            Request::Profiles => {
                let profiles = self.profiles.clone();
                let known = blocking(move || super::profiles::read(&profiles)).await;
                Loaded::Profiles(known.map_err(|error| problem(&error)))
            }
            Request::Stack(request) => Loaded::Stack(super::stacks::read(request).await),
            Request::Paths { text } => {
                let typed = text.clone();
                let candidates = blocking(move || paths(&typed)).await;
                Loaded::Paths { text, candidates }
            }
        })
    }

    async fn examined(&self, flock: &str, path: &str) -> Result<preflight::Plan, OperationError> {
        let request = preflight::Request { path: expanded(path), ..preflight::Request::default() };
        let mut plan = blocking(move || preflight::examine(&request)).await?;
        let open = self.flocks.open(flock).await?;
        preflight::against_flock(&mut plan, &open.ports(), &open.payload()?).await?;
        Ok(plan)
    }

    async fn secrets(&self, flock: &str, path: &str, merge: bool) -> Result<SecretsReport, OperationError> {
        let store = self.flocks.open(flock).await?.ports().secrets;
        let store = store.as_ref();
        let stored = async || -> Result<SecretsDiff, OperationError> {
            Ok(SecretsDiff { unchanged: secrets::list(store).await?, ..SecretsDiff::default() })
        };
        if path.is_empty() {
            return Ok(SecretsReport { diff: Some(stored().await?), ..SecretsReport::default() });
        }
        let plan = secrets::plan(store, &expanded(path), merge).await?;
        let diff = match &plan.diff {
            Some(_) if plan.asked == 0 => Some(stored().await?),
            diff => diff.as_ref().map(seen),
        };
        let (names, asked) = (plan.names(), plan.asked);
        Ok(SecretsReport { diff, unknown: plan.unknown, names, skipped: plan.skipped, asked })
    }

    async fn releases(
        &self,
        flock: &str,
        repository: Option<&str>,
    ) -> Result<Vec<ReleaseRow>, OperationError> {
        let target = match repository {
            Some(repository) => deploy::Target::Repository(repository.to_owned()),
            None => self.flocks.open(flock).await?.target()?,
        };
        let found = releases::list(&target, &deploy::Registries::for_target(&target).await).await?;
        let row = |one: releases::Release| ReleaseRow {
            name: one.name,
            at_ms: one.at_ms,
            image: one.image,
            current: one.current,
        };
        Ok(found.into_iter().map(row).collect())
    }

    async fn row(&self, flock: &str, id: &JobId) -> Result<Option<JobRow>, OperationError> {
        Ok(self.flocks.open(flock).await?.ports().table.get(id).await?)
    }
}

/// The profiles and regions there are.
async fn accounts() -> Result<Choices, CloudError> {
    let known = aws::profiles::known().await?;
    let words = |one: &aws::profiles::Known| {
        let region = one.region.as_deref().unwrap_or_default();
        [one.how.as_str(), region]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("  ")
    };
    let profiles = known.iter().map(|one| (one.name.clone(), words(one))).collect();
    // The regions that profiles name are the likeliest.
    let mut regions: Vec<String> = known.iter().filter_map(|one| one.region.clone()).collect();
    regions.sort_unstable();
    regions.dedup();
    let others = aws::profiles::REGIONS.iter().map(|region| (*region).to_owned());
    let others: Vec<String> = others.filter(|region| !regions.contains(region)).collect();
    regions.extend(others);
    Ok(Choices { profiles, regions })
}

/// What becomes of names, as the screens know it.
pub(super) fn seen(diff: &secrets::Diff) -> SecretsDiff {
    let secrets::Diff { added, changed, removed, unchanged } = diff.clone();
    SecretsDiff { added, changed, removed, unchanged }
}

/// An error of an operation as the screens know it.
pub(super) fn problem(error: &OperationError) -> Problem {
    let kind = match (error, error.class()) {
        (OperationError::Cloud(error), _) => feeds::kind(error.kind),
        (_, Class::NotFound) => ProblemKind::NotFound,
        (_, Class::Usage | Class::Refused) => ProblemKind::Invalid,
        (_, Class::Environment) => ProblemKind::Other,
    };
    Problem::new(kind, feeds::words(error.to_string()))
}

/// A finding as the screens know it.
fn fact(found: outlook::Finding) -> Fact {
    let said = match found.said {
        outlook::Said::Words(said) => said,
        outlook::Said::Sends(sends) => {
            let more = if sends.complete { "" } else { "more than " };
            let files = if sends.files == 1 { "file" } else { "files" };
            let said = format!("{more}{} {files}, {}", time::count(sends.files), time::size(sends.bytes));
            match found.weight {
                outlook::Weight::Odd => {
                    format!("{said}; a .dockerignore keeps back what no step of the build needs")
                }
                _ => said,
            }
        }
    };
    let weight = match found.weight {
        outlook::Weight::Good => Weight::Good,
        outlook::Weight::Odd => Weight::Odd,
        outlook::Weight::Wrong => Weight::Wrong,
    };
    Fact { weight, about: found.about.to_owned(), said }
}

fn report(plan: preflight::Plan) -> Preflight {
    let bytes = plan.bytes();
    let mut warnings = plan.warnings;
    let jobs = plan
        .jobs
        .into_iter()
        .map(|job| {
            warnings.extend(job.warnings.iter().map(|warning| format!("{}: {warning}", job.name)));
            PreflightJob {
                name: job.name,
                files: job.files,
                bytes: job.bytes,
                variables: job.variables,
                problem: job.refused,
            }
        })
        .collect();
    Preflight { jobs, bytes, warnings }
}

/// A path as typed, with `~` for the home directory.
pub(super) fn expanded(text: &str) -> PathBuf {
    let text = text.trim();
    match (text.strip_prefix('~'), std::env::var_os("HOME")) {
        (Some(""), Some(home)) => PathBuf::from(home),
        (Some(rest), Some(home)) if rest.starts_with('/') => Path::new(&home).join(&rest[1..]),
        _ => PathBuf::from(text),
    }
}

/// The paths that begin as typed, folders with a `/` at the end, in the spelling of what was typed.
fn paths(typed: &str) -> Vec<String> {
    let (folder, start) = typed.rsplit_once('/').map_or(("", typed), |(folder, start)| (folder, start));
    let prefix = if typed.contains('/') { format!("{folder}/") } else { String::new() };
    let at = if prefix.is_empty() { PathBuf::from(".") } else { expanded(&prefix) };
    let mut found: Vec<String> = fs::read_dir(at)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let hidden = name.starts_with('.') && !start.starts_with('.');
            let folder = entry.path().is_dir();
            (name.starts_with(start) && !hidden)
                .then(|| format!("{prefix}{name}{}", if folder { "/" } else { "" }))
        })
        .collect();
    found.sort_unstable();
    found.truncate(PATHS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_on_from_what_is_typed() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("data one")).expect("folder");
        fs::write(folder.path().join("data.zip"), "").expect("file");
        fs::write(folder.path().join(".hidden"), "").expect("file");
        let at = folder.path().display();
        assert_eq!(paths(&format!("{at}/da")), [format!("{at}/data one/"), format!("{at}/data.zip")]);
        assert_eq!(paths(&format!("{at}/.h")), [format!("{at}/.hidden")]);
        assert_eq!(paths(&format!("{at}/")).len(), 2);
        assert!(paths(&format!("{at}/nowhere/x")).is_empty());
    }
}
