//! Standing a flock up on AWS, changing it, watching it, taking it down.
//!
//! Everything is read from AWS each time: a step that was stopped half-way is taken up by the next call, and two people
//! who look see the same. Nothing here asks a person anything; what would lose data says so before it is done, and needs
//! to be asked for by its own flag.
//!
//! | module | holds |
//! |---|---|
//! | [`plan`] | what a new flock would be: values, findings, cost |
//! | [`artefacts`] | the account's bucket of templates and programs |
//! | [`up`] | making a stack; a change set for one that is there, accepted or thrown away |
//! | [`events`] | what happens to a stack, how long it takes, and the first real cause of a failure |
//! | [`owned`] | what a stack holds, counted |
//! | [`down`] | taking a stack down, step by step |
//! | [`describe`] | a stack with its resources, outputs and parameters |
//! | [`policies`] | what a template keeps when its stack goes |

pub mod artefacts;
pub mod describe;
pub mod down;
pub mod events;
pub mod owned;
pub mod plan;
pub mod policies;
pub mod up;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shepard_cloud::ports::WallClock;
use shepard_cloud::stacks::{Stack, StackEvent};
use shepard_cloud::{Clock, aws};
use shepard_model::Account;

use super::error::{OperationError, Result};

/// Wait between two looks at something that takes minutes.
const LOOK_MS: u64 = 3_000;
/// The longest wait between two looks while AWS says that it is asked too often, or is not reached.
const SLOW_MS: u64 = 48_000;

/// An account and region in which stacks are.
#[derive(Clone)]
pub struct Site {
    /// In whose name, and where.
    pub account: Account,
    /// Its ports.
    pub ports: aws::Site,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Site {
    /// The site of an account. Asks nothing of AWS.
    pub async fn connect(account: &Account) -> Self {
        let ports = aws::site_of(&aws::Profile::of(account)).await;
        Self { account: account.clone(), ports, clock: Arc::new(WallClock) }
    }

    /// A stack, by name or ARN.
    ///
    /// # Errors
    /// `NotFound` where there is none; AWS does not answer.
    pub async fn stack(&self, name: &str) -> Result<Stack> {
        self.ports.stacks.describe(name).await?.ok_or_else(|| {
            OperationError::NotFound(format!(
                "there is no stack {name} in this account and region; `shepard stack list` shows those that are there"
            ))
        })
    }
}

/// What goes on, for whoever watches. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Something is begun: `empty shepard-inputs`.
    Begins(String),
    /// Something is counted or removed, so many so far.
    Counts {
        /// What: `versions of shepard-inputs`.
        what: String,
        /// So far.
        so_far: u64,
    },
    /// Something is done, and what came of it.
    Done(String),
    /// Something happened to the stack.
    Event(events::Happened),
    /// The stack's status is another one.
    Status(String),
    /// AWS does not answer as it should; it is asked again.
    Trouble(String),
}

/// Who watches. It must not wait: it is called between two requests.
pub type Watch<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// How something that takes minutes ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Name of the stack.
    pub name: String,
    /// Its ARN.
    pub id: String,
    /// Its status now.
    pub status: String,
    /// It is what was wanted.
    pub ok: bool,
    /// What failed first, where something did.
    pub cause: Option<StackEvent>,
}

impl Ended {
    /// Why it failed, on one line; None where it did not.
    pub fn problem(&self) -> Option<String> {
        if self.ok {
            return None;
        }
        let (name, status) = (&self.name, &self.status);
        Some(match &self.cause {
            Some(cause) => {
                let reason = cause.reason.as_deref().unwrap_or("no reason is given");
                format!("stack {name} is {status}: {} ({}): {reason}", cause.logical, cause.kind)
            }
            None => format!("stack {name} is {status}"),
        })
    }
}

/// Nothing more happens to a stack of this status by itself.
pub fn is_end(status: &str) -> bool {
    !status.ends_with("_IN_PROGRESS") || status == "REVIEW_IN_PROGRESS"
}

/// A stack of this status is as it was last wanted to be.
pub fn is_well(status: &str) -> bool {
    matches!(status, "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" | "DELETE_COMPLETE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleanup_is_no_end_and_a_rollback_that_is_over_is_one() {
        for end in ["CREATE_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"] {
            assert!(is_end(end), "{end}");
        }
        for other in ["CREATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"] {
            assert!(!is_end(other), "{other}");
        }
        assert!(is_well("UPDATE_COMPLETE") && !is_well("UPDATE_ROLLBACK_COMPLETE"));
    }
}
