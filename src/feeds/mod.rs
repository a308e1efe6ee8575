//! What streams into the core: flocks, jobs, logs.
//!
//! A feed is a [`pump::Source`] driven by [`pump::pump`]. It reads the latest state and no history, so it
//! coalesces at the source: however much happened while the screen was busy, one read brings it up to date. It
//! reserves its place in the loop's channel before it reads. It never gives up and never ends the console: a
//! failure becomes a message, and it goes on after a pause.

pub mod aws;
pub mod flocks;
pub mod identity;
pub mod jobs;
pub mod logs;
pub mod pump;
pub mod stack;

use shepard_cloud::{CloudError, Kind};
use shepard_model::denied::denied;

use crate::app::remote::{Problem, ProblemKind};

/// An error of a port as the screens know it.
pub fn problem(error: &CloudError) -> Problem {
    Problem::new(kind(error.kind), words(error.to_string()))
}

/// What is said of an error. An action that was denied comes before who may not do it, because a line is cut at its end.
pub fn words(said: String) -> String {
    match denied(&said) {
        Some(denied) => format!("{} is not allowed: {said}", denied.action),
        None => said,
    }
}

/// The kind of an error as the screens know it.
pub fn kind(kind: Kind) -> ProblemKind {
    match kind {
        Kind::Auth => ProblemKind::Auth,
        Kind::Expired => ProblemKind::Expired,
        Kind::Mfa => ProblemKind::Mfa,
        Kind::Denied => ProblemKind::Denied,
        Kind::NotFound => ProblemKind::NotFound,
        Kind::Throttled => ProblemKind::Throttled,
        Kind::Offline => ProblemKind::Offline,
        Kind::Full => ProblemKind::Full,
        Kind::Invalid | Kind::Conflict => ProblemKind::Invalid,
        Kind::Other => ProblemKind::Other,
    }
}

/// Runs what blocks away from the loop. A panic in it goes on here.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
