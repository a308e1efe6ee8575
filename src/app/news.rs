//! News that are more than a line: they go to the data first, then to every screen that is kept.

use shepard_model::State;

use super::effect::{Effect, Request};
use super::model::Model;
use super::msg::{JobsChange, Loaded};
use super::overlay::Overlay;
use super::update::tell;
use crate::screens::News;

/// The queue of a flock on AWS was asked.
pub(super) fn measured(model: &mut Model, flock: &str, waiting: u64, dead: u64) -> Vec<Effect> {
    if let Some(row) = model.data.row_on_aws(flock) {
        (row.waiting, row.dead) = (waiting, dead);
        if let Some(aws) = &mut row.aws {
            aws.measured = true;
        }
    }
    tell(model, &News::Flocks)
}

/// Jobs of a flock changed.
pub(super) fn jobs_changed(model: &mut Model, change: &JobsChange) -> Vec<Effect> {
    if model.nav.place().flock() != Some(change.flock.as_str()) {
        // The last words of a feed that has been left. A store begun in the middle would miss what came before.
        return Vec::new();
    }
    let jobs = model.data.jobs.entry(change.flock.clone()).or_default();
    let merged = jobs.store.merge(&change.rows, &change.removed);
    jobs.cursor = change.next;
    jobs.caught_up |= change.caught_up;
    jobs.problem = None;
    jobs.following = change.following;
    if jobs.caught_up {
        let counts = State::ALL.map(|state| jobs.store.count(state));
        if let Some(row) = model.data.row_on_aws(&change.flock) {
            row.counts = counts;
            if let Some(aws) = &mut row.aws {
                aws.counted = true;
            }
        }
    }
    // A row that is being looked at is read anew when its summary moves.
    let mut effects: Vec<Effect> = change
        .rows
        .iter()
        .filter(|row| model.data.row(&change.flock, &row.id).is_some())
        .map(|row| Effect::Load(Request::Job { flock: change.flock.clone(), id: row.id.clone() }))
        .collect();
    effects.extend(tell(model, &News::Jobs(change, &merged)));
    effects
}

/// An answer to a request.
pub(super) fn loaded(model: &mut Model, loaded: Loaded) -> Vec<Effect> {
    let now_ms = model.now_ms;
    match loaded {
        Loaded::Job { flock, id, row } => {
            // Kept only while a screen asks for it.
            if let Some(known) = model.data.rows.get_mut(&(flock.clone(), id.clone())) {
                match row {
                    Ok(Some(row)) => known.take(Ok(*row), now_ms),
                    Ok(None) => {
                        known.problem = Some(super::remote::Problem::new(
                            super::remote::ProblemKind::NotFound,
                            "there is no such job any more",
                        ));
                    }
                    Err(problem) => known.take(Err(problem), now_ms),
                }
            }
            tell(model, &News::Row(&flock, &id))
        }
        Loaded::Journal(rows) => {
            model.data.journal.take(rows, now_ms);
            tell(model, &News::Journal)
        }
        Loaded::Accounts(choices) => super::renewal::choices(model, choices),
        Loaded::Secrets(answer) => tell(model, &News::Secrets(&answer)),
        Loaded::Preflight { path, report } => tell(model, &News::Preflight(&path, &report)),
        Loaded::Paths { text, candidates } => {
            if let Some(Overlay::Prompt(prompt)) = &mut model.overlay
                && prompt.input.value() == text
            {
                prompt.candidates = candidates;
                return Vec::new();
            }
            tell(model, &News::Paths(&text, &candidates))
        }
        Loaded::Outlook { source, facts } => tell(model, &News::Outlook(&source, &facts)),
        Loaded::Releases { flock, repository, releases } => {
            tell(model, &News::Releases(&flock, repository.as_deref(), &releases))
        }
        Loaded::Profiles(known) => tell(model, &News::Profiles(&known)),
        Loaded::Stack(answer) => tell(model, &News::StackAnswer(&answer)),
    }
}
