//! Deploying, as the core knows it: what a person named, what was found of it beforehand, which releases there are.

use serde::{Deserialize, Serialize};

/// What is to be deployed, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// A folder with a `Dockerfile`.
    Folder(String),
    /// An image that exists.
    Image(String),
}

impl Source {
    /// What was typed.
    pub fn text(&self) -> &str {
        match self {
            Self::Folder(text) | Self::Image(text) => text,
        }
    }
}

/// A deploy that a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The flock whose form it is.
    pub flock: String,
    /// What.
    pub source: Source,
    /// The repository it is pushed to; None is no repository but the flock itself.
    pub repository: Option<String>,
    /// The payload is put into the flock's image. Of a repository alone.
    pub nested: bool,
    /// Every step is built again. Of a folder alone.
    pub no_cache: bool,
}

/// How a fact is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// As it should be.
    Good,
    /// Odd, and no reason to stop.
    Odd,
    /// It cannot be deployed like this.
    Wrong,
}

/// Something found before anything is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// How it is meant.
    pub weight: Weight,
    /// What it is about, in a word: `engine`.
    pub about: String,
    /// A few words or a sentence. It may hold foreign text.
    pub said: String,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub at_ms: i64,
    /// The image, by digest or id; None where the registry would not say.
    pub image: Option<String>,
    /// The flock runs this one.
    pub current: bool,
}
