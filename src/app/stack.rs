//! Stacks on AWS, as the core knows them: what a person asks for, what a template has to be told, what was found
//! beforehand, what happens to a stack, and what it owns.
//!
//! The core never asks AWS and knows no template: the shell turns what the operations say into these.

pub mod form;
pub mod happening;
pub mod owned;

use serde::{Deserialize, Serialize};
use shepard_model::stack::{Account, canonical, parts};

pub use form::{Checks, Cost, Group, Kind, Naming, Parameter, StackWish, Survey};
pub use happening::{ChangeRow, Happening, Proposal, Replaced, ResourceRow, Sheet, StackCause};
pub use owned::{Fate, Owned, OwnedThing};

use super::effect::Policy;
use super::remote::Problem;

/// A stack by its name, and in whose name and where it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct StackId {
    /// Profile and region.
    pub account: Account,
    /// The stack's name.
    pub stack: String,
}

impl StackId {
    /// The stack of a flock, by the flock's name. None where the flock is of this machine, or known from a profile of the
    /// old command alone.
    pub fn of_flock(name: &str) -> Option<Self> {
        let (stack, profile, region) = parts(name)?;
        let account = Account {
            profile: profile.map(str::to_owned),
            region: Some(region.to_owned()),
            ..Account::default()
        };
        Some(Self { account, stack: stack.to_owned() })
    }

    /// The name of its flock.
    pub fn flock(&self) -> String {
        canonical(&self.stack, &self.account)
    }
}

/// Something about stacks to be read once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StackRequest {
    /// The parameters of a template, with the values of a stack if there is one.
    Form(Asked),
    /// What there is to choose from in an account: profiles, regions, key pairs, networks.
    Survey(Account),
    /// What stands against a wish, and what it costs.
    Checks(StackWish),
    /// Resources, outputs and parameters of a stack.
    Sheet(StackId),
}

/// Whose parameters are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Asked {
    /// The values of this stack; None is the defaults.
    pub stack: Option<StackId>,
    /// A file with another template than the console's own, as typed.
    pub template: Option<String>,
}

impl StackRequest {
    /// Its policy, and the name of the place in which only one of its kind runs.
    pub fn policy(&self) -> (Policy, String) {
        match self {
            // The file's name is typed, and so are the account and all that is checked.
            Self::Form(_) => (Policy::LatestWins, "stack form".to_owned()),
            Self::Survey(_) => (Policy::LatestWins, "stack survey".to_owned()),
            Self::Checks(_) => (Policy::LatestWins, "stack checks".to_owned()),
            Self::Sheet(stack) => (Policy::SingleFlight, format!("stack sheet {}", stack.flock())),
        }
    }
}

/// An answer about stacks.
#[derive(Debug, Serialize, Deserialize)]
pub enum StackAnswer {
    /// The parameters of a template.
    Form {
        /// What was asked about.
        asked: Asked,
        /// Its parameters by group, in the template's order.
        groups: Result<Vec<Group>, Problem>,
    },
    /// What there is to choose from.
    Survey {
        /// What was asked about.
        account: Account,
        /// What was found.
        survey: Result<Box<Survey>, Problem>,
    },
    /// What stands against a wish, and what it costs.
    Checks {
        /// What was asked about.
        wish: Box<StackWish>,
        /// What was found.
        checks: Result<Checks, Problem>,
    },
    /// What a stack is made of.
    Sheet {
        /// Which.
        stack: StackId,
        /// What was read.
        sheet: Result<Box<Sheet>, Problem>,
    },
    /// What a change set would do: said by [`StackCommand::Propose`] before it ends.
    Proposal {
        /// To which stack.
        stack: StackId,
        /// The change set.
        proposal: Box<Proposal>,
    },
}

/// A stream of news about a stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StackSub {
    /// What happens to it, until it is at an end.
    Events(StackId),
    /// What it owns, counted while a person looks on.
    Owned {
        /// Which stack.
        stack: StackId,
        /// Counted up to count anew.
        again: u32,
    },
}

/// What a feed says of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StackNews {
    /// How it stands.
    Events {
        /// Which.
        stack: StackId,
        /// All that is known by now.
        now: Box<Happening>,
    },
    /// What it owns, as far as that is counted.
    Owned {
        /// Which.
        stack: StackId,
        /// All that is known by now.
        owned: Box<Owned>,
    },
}

impl StackNews {
    /// The stack it is about.
    pub fn stack(&self) -> &StackId {
        match self {
            Self::Events { stack, .. } | Self::Owned { stack, .. } => stack,
        }
    }
}

/// Something about stacks that a person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackCommand {
    /// Make a stack.
    Up(StackWish),
    /// Make a change set and say what it would do.
    Propose(StackWish),
    /// Carry a change set out.
    Accept {
        /// Of which stack.
        stack: StackId,
        /// Its id.
        change_set: String,
    },
    /// Throw a change set away.
    Reject {
        /// Of which stack.
        stack: StackId,
        /// Its id.
        change_set: String,
    },
    /// Drain, empty and remove a stack, or go on with that.
    Down {
        /// Which.
        stack: StackId,
        /// What it keeps goes too.
        data: bool,
    },
}

impl StackCommand {
    /// The stack it is about.
    pub fn stack(&self) -> &StackId {
        match self {
            Self::Up(wish) | Self::Propose(wish) => &wish.stack,
            Self::Accept { stack, .. } | Self::Reject { stack, .. } | Self::Down { stack, .. } => stack,
        }
    }

    /// What is being done, in a word or two.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Up(_) => "stand up",
            Self::Propose(_) => "preview",
            Self::Accept { .. } => "update",
            Self::Reject { .. } => "reject",
            Self::Down { .. } => "tear down",
        }
    }

    /// What is being done, for the header and the journal.
    pub fn title(&self) -> String {
        let name = self.stack().flock();
        match self {
            Self::Propose(_) => format!("preview the update of {name}"),
            Self::Reject { .. } => format!("reject the change set of {name}"),
            _ => format!("{} {name}", self.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flock_names_its_stack() {
        for name in ["genome@eu-west-1", "genome@team/night/eu-west-1"] {
            let there = StackId::of_flock(name).expect("a stack");
            assert_eq!((there.stack.as_str(), there.flock().as_str()), ("genome", name));
        }
        for name in ["demo", "profile:genome"] {
            assert_eq!(StackId::of_flock(name), None, "{name}");
        }
    }
}
