//! Profiles of the old command, as the screens know them: what is asked for, and what is answered.

use serde::{Deserialize, Serialize};

/// One profile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProfileRow {
    /// Name.
    pub name: String,
    /// It is the current one.
    pub current: bool,
    /// It lies in the old directory, which is only read.
    pub old: bool,
    /// What it says, in the order of the names; empty where it says nothing.
    pub values: Vec<String>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// All profiles.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Profiles {
    /// What a profile names, in the order in which it is asked for.
    pub names: Vec<String>,
    /// The profiles, by name.
    pub rows: Vec<ProfileRow>,
    /// Where they are written.
    pub place: String,
}

/// What is done to a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileCommand {
    /// Save it as a whole.
    Save {
        /// Its name; made if need be.
        name: String,
        /// Each value with its name; an empty one is taken away.
        values: Vec<(String, String)>,
    },
    /// Make it the current one.
    Set {
        /// Its name.
        name: String,
    },
    /// No profile is the current one any more.
    Clear,
    /// Remove it.
    Delete {
        /// Its name.
        name: String,
    },
}

impl ProfileCommand {
    /// What is being done, for the header and the journal.
    pub fn title(&self) -> String {
        match self {
            Self::Save { name, .. } => format!("save the profile {name}"),
            Self::Set { name } => format!("make {name} the current profile"),
            Self::Clear => "make no profile the current one".to_owned(),
            Self::Delete { name } => format!("remove the profile {name}"),
        }
    }
}
