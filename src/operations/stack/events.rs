//! What happens to a stack: its events as they come, how long each resource takes, and what failed first.
//!
//! CloudFormation gives events newest first and a page at a time. Each look reads on until it meets one that is known,
//! and knows each by its id, so that none is lost and none is told twice however they arrive.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use shepard_cloud::stacks::{StackEvent, Stacks};
use shepard_cloud::{CloudError, Kind};

use super::{Ended, LOOK_MS, Progress, SLOW_MS, Site, Watch, is_end, is_well};
use crate::operations::error::Result;

/// Looks at a stack that was asked to change and shows nothing of it, before it is taken as it is.
const PATIENCE: u32 = 20;
/// Kind of the stack itself among its resources.
const STACK: &str = "AWS::CloudFormation::Stack";

/// An event, and how long its resource has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// The event.
    pub event: StackEvent,
    /// Milliseconds since the resource's change began, where this ends it.
    pub took_ms: Option<i64>,
}

/// A resource in one change of a stack, as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Name in the template.
    pub logical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// Its last status.
    pub status: String,
    /// Why it is that.
    pub reason: Option<String>,
    /// When the change began, in milliseconds since the epoch.
    pub began_ms: i64,
    /// Milliseconds that it took; None while it goes on.
    pub took_ms: Option<i64>,
}

/// From where on a stack's events are of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything since the stack was made.
    All,
    /// The last thing that was done to it, or is being done.
    LastChange,
}

/// What is known of a stack's events, oldest first.
#[derive(Debug, Clone, Default)]
pub struct History {
    events: Vec<StackEvent>,
    known: HashSet<String>,
    /// When the change of each resource began that goes on, by its name.
    began: BTreeMap<String, i64>,
}

impl History {
    /// Takes events, newest first as they come; gives those that are new, oldest first.
    pub fn add(&mut self, newest_first: Vec<StackEvent>) -> Vec<Happened> {
        let mut fresh = Vec::new();
        for event in newest_first.into_iter().rev() {
            if !self.known.insert(event.id.clone()) {
                continue;
            }
            let took_ms = if event.status.ends_with("_IN_PROGRESS") {
                // Services report twice that they have begun; the first time counts.
                let starts = begins(&event) || !self.began.contains_key(&event.logical);
                if starts {
                    self.began.insert(event.logical.clone(), event.at_ms);
                }
                None
            } else {
                self.began.remove(&event.logical).map(|began| (event.at_ms - began).max(0))
            };
            self.events.push(event.clone());
            fresh.push(Happened { event, took_ms });
        }
        fresh
    }

    /// Whether an event is known.
    pub fn knows(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    /// All of them, oldest first.
    pub fn events(&self) -> &[StackEvent] {
        &self.events
    }

    /// Those of the last change.
    pub fn last_change(&self) -> &[StackEvent] {
        let start = self.events.iter().rposition(begins).unwrap_or(0);
        &self.events[start..]
    }

    /// What failed first in the last change: not what was given up because of it, and not the stack's own summary unless
    /// there is nothing else.
    pub fn first_cause(&self) -> Option<&StackEvent> {
        let failed = |event: &&StackEvent| event.status.ends_with("_FAILED");
        let own = |event: &&StackEvent| event.kind == STACK;
        let change = self.last_change();
        let real = change.iter().filter(failed).filter(|event| !own(event)).find(|event| !is_echo(event));
        let said = |event: &&StackEvent| event.reason.is_some();
        // A stack that is not begun at all, or rolled back for its own reason, has no resource to name.
        real.or_else(|| {
            let itself = change.iter().filter(own).filter(said);
            itself.clone().find(|event| failed(event) || event.status.contains("ROLLBACK"))
        })
    }

    /// The resources of the last change in the order in which they were begun.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for event in self.last_change() {
            let ended = !event.status.ends_with("_IN_PROGRESS");
            let known = lines.iter_mut().find(|line| line.logical == event.logical);
            let line = match known {
                Some(line) => line,
                None => {
                    lines.push(Line {
                        logical: event.logical.clone(),
                        kind: event.kind.clone(),
                        status: String::new(),
                        reason: None,
                        began_ms: event.at_ms,
                        took_ms: None,
                    });
                    let Some(last) = lines.last_mut() else { continue };
                    last
                }
            };
            line.status.clone_from(&event.status);
            // Why it failed is worth more than that its removal went well.
            if event.reason.is_some() || !ended {
                line.reason.clone_from(&event.reason);
            }
            line.took_ms = ended.then(|| (event.at_ms - line.began_ms).max(0));
        }
        lines
    }
}

/// The stack itself is begun to be made, changed or removed.
fn begins(event: &StackEvent) -> bool {
    event.kind == STACK
        && matches!(
            event.status.as_str(),
            "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "DELETE_IN_PROGRESS" | "IMPORT_IN_PROGRESS"
        )
}

/// It failed because something else had.
fn is_echo(event: &StackEvent) -> bool {
    let reason = event.reason.as_deref().unwrap_or_default().to_ascii_lowercase();
    reason.contains("cancelled") || reason.contains("canceled")
}

/// Reads a stack's events as they come.
#[derive(Debug, Clone)]
pub struct Follower {
    id: String,
    scope: Scope,
    history: History,
}

impl Follower {
    /// Of a stack by its ARN, which also finds it once it is removed, or by its name.
    pub fn new(id: impl Into<String>, scope: Scope) -> Self {
        Self { id: id.into(), scope, history: History::default() }
    }

    /// What is known so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Looks once; gives what is new, oldest first.
    ///
    /// # Errors
    /// `NotFound` where there is no such stack; CloudFormation does not answer. What was known stays known.
    pub async fn look(&mut self, stacks: &dyn Stacks) -> Result<Vec<Happened>, CloudError> {
        let (mut fresh, mut from) = (Vec::new(), None);
        loop {
            let page = stacks.events(&self.id, from.as_deref()).await?;
            let met = page.items.iter().any(|event| self.history.knows(&event.id));
            let start = page.items.iter().position(begins).filter(|_| self.scope == Scope::LastChange);
            let items = page.items.into_iter();
            match start {
                // Nothing before the first change is of interest, unless it is what is being followed.
                Some(start) if self.history.events.is_empty() => {
                    fresh.extend(items.take(start + 1));
                    break;
                }
                _ => fresh.extend(items),
            }
            from = page.next.filter(|_| !met);
            if from.is_none() {
                break;
            }
        }
        Ok(self.history.add(fresh))
    }
}

/// Whether another try may help without anybody doing anything.
fn passes(error: &CloudError) -> bool {
    matches!(error.kind, Kind::Throttled | Kind::Offline | Kind::Other)
}

/// Follows a stack until nothing more happens to it by itself. `follower` knows what was before the change that is
/// waited for, where there was anything.
///
/// # Errors
/// The stack is not there; credentials that have run out or may not look. Throttling and a lost network are waited out.
pub async fn wait(site: &Site, mut follower: Follower, watch: Watch<'_>) -> Result<Ended> {
    let before = follower.history.events.len();
    let (mut status, mut pause, mut looks, mut begun) = (String::new(), LOOK_MS, 0, false);
    loop {
        let looked = async {
            let fresh = follower.look(site.ports.stacks.as_ref()).await?;
            Ok((fresh, site.ports.stacks.describe(&follower.id).await?))
        };
        match looked.await {
            Ok((fresh, stack)) => {
                pause = LOOK_MS;
                for happened in fresh {
                    watch(Progress::Event(happened));
                }
                let now = stack.as_ref().map_or("DELETE_COMPLETE", |stack| stack.status.as_str());
                if now != status {
                    now.clone_into(&mut status);
                    watch(Progress::Status(status.clone()));
                }
                looks += 1;
                // It goes on, or it did since: what is over so soon shows in its events alone.
                begun |= !is_end(&status) || follower.history.events.iter().skip(before).any(begins);
                if is_end(&status) && (begun || looks > PATIENCE || stack.is_none()) {
                    // What came between the look at the events and the look at the status.
                    for happened in follower.look(site.ports.stacks.as_ref()).await.unwrap_or_default() {
                        watch(Progress::Event(happened));
                    }
                    let name = stack.as_ref().map_or_else(|| short(&follower.id), |stack| stack.name.clone());
                    let ok = is_well(&status);
                    let cause = follower.history.first_cause().filter(|_| !ok).cloned();
                    return Ok(Ended { name, id: follower.id, status, ok, cause });
                }
            }
            Err(error) if passes(&error) => {
                watch(Progress::Trouble(error.to_string()));
                pause = (pause * 2).min(SLOW_MS);
            }
            Err(error) => return Err(error.into()),
        }
        site.clock.sleep_ms(pause).await;
    }
}

/// The name in a stack's ARN.
pub(super) fn short(id: &str) -> String {
    id.split('/').nth(1).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u32, logical: &str, status: &str, reason: Option<&str>) -> StackEvent {
        StackEvent {
            id: format!("e{n}"),
            at_ms: i64::from(n) * 1000,
            logical: logical.into(),
            physical: String::new(),
            kind: if logical == "flock" { STACK.into() } else { "AWS::X::Y".into() },
            status: status.into(),
            reason: reason.map(str::to_owned),
        }
    }

    fn newest_first(mut events: Vec<StackEvent>) -> Vec<StackEvent> {
        events.reverse();
        events
    }

    #[test]
    fn the_first_real_cause_is_neither_an_echo_nor_the_stacks_summary() {
        let mut history = History::default();
        let fresh = history.add(newest_first(vec![
            event(1, "flock", "CREATE_IN_PROGRESS", Some("User Initiated")),
            event(2, "A", "CREATE_IN_PROGRESS", None),
            event(3, "B", "CREATE_IN_PROGRESS", None),
            event(4, "A", "CREATE_FAILED", Some("Resource creation cancelled")),
            event(5, "B", "CREATE_FAILED", Some("bucket is taken")),
            event(
                6,
                "flock",
                "ROLLBACK_IN_PROGRESS",
                Some("The following resource(s) failed to create: [A, B]."),
            ),
            event(7, "flock", "ROLLBACK_COMPLETE", None),
        ]));
        assert_eq!(fresh.iter().map(|one| one.took_ms).collect::<Vec<_>>()[3..5], [Some(2000), Some(2000)]);
        assert_eq!(history.first_cause().and_then(|cause| cause.reason.as_deref()), Some("bucket is taken"));
        let lines = history.lines();
        assert_eq!(lines.iter().map(|line| line.logical.as_str()).collect::<Vec<_>>(), ["flock", "A", "B"]);
        assert_eq!(lines[0].took_ms, Some(6000));
    }

    #[test]
    fn only_the_last_change_has_causes() {
        let mut history = History::default();
        history.add(newest_first(vec![
            event(1, "flock", "CREATE_IN_PROGRESS", None),
            event(2, "A", "CREATE_FAILED", Some("old")),
            event(3, "flock", "UPDATE_IN_PROGRESS", None),
            event(4, "A", "UPDATE_COMPLETE", None),
        ]));
        assert_eq!(history.first_cause(), None);
        assert_eq!(history.last_change().len(), 2);
        // A stack that cannot even begin says why itself.
        history.add(vec![event(5, "flock", "UPDATE_ROLLBACK_IN_PROGRESS", Some("no role"))]);
        assert_eq!(history.first_cause().and_then(|cause| cause.reason.as_deref()), Some("no role"));
    }

    #[test]
    fn none_is_told_twice() {
        let mut history = History::default();
        let page =
            vec![event(2, "A", "CREATE_IN_PROGRESS", None), event(1, "flock", "CREATE_IN_PROGRESS", None)];
        assert_eq!(history.add(page.clone()).len(), 2);
        assert_eq!(history.add(page).len(), 0);
    }

    #[test]
    fn a_stacks_name_is_in_its_arn() {
        assert_eq!(short("arn:aws:cloudformation:eu-west-1:123456789012:stack/flock/0a1b"), "flock");
        assert_eq!(short("flock"), "flock");
    }
}
