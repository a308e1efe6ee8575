//! What a template has to be told, and what can be said of it before it is sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StackId;
use crate::app::deploy::Fact;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// One of the allowed values.
    Choice,
    /// The name of a key pair of the account.
    KeyPair,
    /// Values with commas between them.
    List,
}

/// One parameter of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// What it is where nobody says otherwise.
    pub default: String,
    /// The values it may have; empty where any will do.
    pub allowed: Vec<String>,
    /// The template's own words about it.
    pub help: String,
    /// What the stack has; None where there is no stack, or where the stack's template did not know of it.
    pub value: Option<String>,
    /// What a new stack gets, if that is not the default. `{word}`, `{account}` and `{region}` stand in it for what is not
    /// known before somebody names them.
    pub derived: Option<String>,
}

impl Parameter {
    /// What it is where nobody says otherwise. What is not known of the naming stays as it stands there, in braces: no
    /// name can have them, so that no stack is made with half a name.
    pub fn usual(&self, naming: &Naming) -> String {
        match (&self.value, &self.derived) {
            (Some(value), _) => value.clone(),
            (None, Some(derived)) => naming.fill(derived),
            (None, None) => self.default.clone(),
        }
    }
}

/// What the names of a new stack are made from; what is not known yet is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Naming {
    /// The stack's name.
    pub word: String,
    /// Number of the account.
    pub account: String,
    /// Region.
    pub region: String,
}

impl Naming {
    fn fill(&self, pattern: &str) -> String {
        let parts = [("{word}", &self.word), ("{account}", &self.account), ("{region}", &self.region)];
        parts
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(pattern.to_owned(), |filled, (name, value)| filled.replace(name, value))
    }
}

/// Parameters that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What they are about.
    pub title: String,
    /// In the template's order.
    pub parameters: Vec<Parameter>,
}

/// What there is to choose from in an account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Survey {
    /// Number of the account and who asks there, for people.
    pub who: String,
    /// Number of the account; None where nobody would say.
    pub number: Option<String>,
    /// The region that is asked where none is typed.
    pub region: Option<String>,
    /// Profiles of the AWS configuration files.
    pub profiles: Vec<String>,
    /// Regions.
    pub regions: Vec<String>,
    /// Names of stacks that are taken.
    pub stacks: Vec<String>,
    /// What a parameter could be, by its name: key pairs, networks.
    pub choices: BTreeMap<String, Vec<String>>,
    /// What could not be found out, and why; a sentence each.
    pub unknown: Vec<String>,
}

/// A stack that a person asks for, or what is to become of one that is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct StackWish {
    /// Which stack.
    pub stack: StackId,
    /// It is there and is to be changed.
    pub update: bool,
    /// A file with another template than the console's own, as typed.
    pub template: Option<String>,
    /// Parameters that a person changed. All others follow from the name, or stay as they are.
    pub parameters: BTreeMap<String, String>,
}

/// What was found of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checks {
    /// What stands for and against it. Where a fact is about one parameter, `about` is its name.
    pub facts: Vec<Fact>,
    /// What it costs while no job runs.
    pub costs: Vec<Cost>,
}

impl Checks {
    /// Cents of a month, in all.
    pub fn monthly_cents(&self) -> u64 {
        self.costs.iter().map(|cost| cost.monthly_cents).sum()
    }
}

/// What a part of a stack costs while no job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The part: `2 NAT gateways`.
    pub what: String,
    /// US cents in a month.
    pub monthly_cents: u64,
    /// What the number leaves out; may be empty.
    pub note: String,
}
