//! What a stack owns, and what becomes of it when the stack is torn down.

use serde::{Deserialize, Serialize};

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It goes in any case.
    Goes,
    /// It is kept, unless the data is to go too.
    Data,
    /// It stays in any case.
    Stays,
}

/// One thing that a stack owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedThing {
    /// What it is, in a word or two: `bucket`.
    pub what: String,
    /// Its name.
    pub name: String,
    /// What is in it, in words: `1,204 objects, 300 old versions, 3.2 GiB`.
    pub holds: String,
    /// All of it is counted.
    pub counted: bool,
    /// What becomes of it.
    pub fate: Fate,
    /// Why it could not be counted.
    pub problem: Option<String>,
}

/// What a stack owns, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Owned {
    /// Status of the stack in CloudFormation's words.
    pub status: String,
    /// The things.
    pub things: Vec<OwnedThing>,
    /// Nothing is left to be counted.
    pub counted: bool,
    /// What is being counted, with how many so far; empty where nothing is.
    pub at: String,
}
