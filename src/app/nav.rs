//! Where the console is: places, the way between them, and the screens kept for them.
//!
//! A place has a parent, so `Esc` goes one layer out from wherever a person came. A screen's state is kept when
//! its place is left and found again when it is entered, filter, marks and all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shepard_model::JobId;

use super::stack::StackId;
use crate::screens::Screen;

/// A place in the console.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Place {
    /// The list of flocks: the root.
    Flocks,
    /// The form for a new flock.
    NewFlock,
    /// Where a flock keeps its things.
    Flock {
        /// Its name.
        flock: String,
    },
    /// The jobs of a flock.
    Jobs {
        /// Its name.
        flock: String,
    },
    /// The form that batches a folder.
    Batch {
        /// Into this flock.
        flock: String,
    },
    /// The form that pushes its secrets.
    Secrets {
        /// Its name.
        flock: String,
    },
    /// The form that deploys to it.
    Deploy {
        /// To this flock.
        flock: String,
    },
    /// What was deployed to it.
    Releases {
        /// Its name.
        flock: String,
    },
    /// Its faults, grouped by reason.
    Reasons {
        /// Its name.
        flock: String,
    },
    /// One job.
    Job {
        /// Its flock.
        flock: String,
        /// Its id.
        id: JobId,
    },
    /// The log of a job.
    Logs {
        /// Its flock.
        flock: String,
        /// Its id.
        id: JobId,
    },
    /// The form for a new flock on AWS.
    StackNew,
    /// The form that changes a stack.
    StackUpdate(StackId),
    /// What a change set would do to it.
    StackChanges(StackId),
    /// What happens to it.
    StackEvents(StackId),
    /// What it is made of.
    Stack(StackId),
    /// What it owns, and its tear-down.
    StackDown(StackId),
    /// What was done.
    Journal,
    /// The profiles of the old command.
    Profiles,
}

impl Place {
    /// One layer out.
    pub fn parent(&self) -> Option<Self> {
        match self {
            Self::Flocks => None,
            Self::NewFlock | Self::Journal | Self::Profiles | Self::Jobs { .. } => Some(Self::Flocks),
            Self::Flock { .. } | Self::StackNew | Self::Stack(_) => Some(Self::Flocks),
            // What is being made or is gone has nothing to describe.
            Self::StackUpdate(_) | Self::StackEvents(_) | Self::StackDown(_) => Some(Self::Flocks),
            Self::StackChanges(stack) => Some(Self::StackUpdate(stack.clone())),
            Self::Batch { flock }
            | Self::Secrets { flock }
            | Self::Deploy { flock }
            | Self::Releases { flock }
            | Self::Reasons { flock }
            | Self::Job { flock, .. } => Some(Self::Jobs { flock: flock.clone() }),
            Self::Logs { flock, id } => Some(Self::Job { flock: flock.clone(), id: id.clone() }),
        }
    }

    /// The flock it belongs to.
    pub fn flock(&self) -> Option<&str> {
        match self {
            Self::Flocks | Self::NewFlock | Self::Journal | Self::Profiles => None,
            // Nothing on these needs the flock's jobs, and a stack that is made or removed has none to be read.
            Self::StackNew | Self::StackUpdate(_) | Self::StackChanges(_) => None,
            Self::StackEvents(_) | Self::Stack(_) | Self::StackDown(_) => None,
            Self::Flock { flock }
            | Self::Jobs { flock }
            | Self::Batch { flock }
            | Self::Secrets { flock }
            | Self::Deploy { flock }
            | Self::Releases { flock }
            | Self::Reasons { flock }
            | Self::Job { flock, .. }
            | Self::Logs { flock, .. } => Some(flock),
        }
    }

    /// Its name in the breadcrumbs.
    pub fn crumb(&self) -> String {
        match self {
            Self::Flocks => "flocks".to_owned(),
            Self::NewFlock => "new flock".to_owned(),
            Self::Flock { flock } | Self::Jobs { flock } => flock.clone(),
            Self::Batch { .. } => "batch".to_owned(),
            Self::Secrets { .. } => "secrets".to_owned(),
            Self::Deploy { .. } => "deploy".to_owned(),
            Self::Releases { .. } => "releases".to_owned(),
            Self::Reasons { .. } => "why".to_owned(),
            Self::Job { id, .. } => id.as_str().chars().take(8).collect(),
            Self::Logs { .. } => "log".to_owned(),
            Self::Journal => "journal".to_owned(),
            Self::Profiles => "profiles".to_owned(),
            Self::StackNew => "stand up".to_owned(),
            Self::Stack(stack) => stack.flock(),
            Self::StackUpdate(stack) => format!("update {}", stack.flock()),
            Self::StackChanges(_) => "changes".to_owned(),
            Self::StackEvents(stack) => format!("events of {}", stack.flock()),
            Self::StackDown(stack) => format!("tear down {}", stack.flock()),
        }
    }

    /// The way from the root to here.
    pub fn crumbs(&self) -> Vec<String> {
        let mut crumbs = self.parent().map(|parent| parent.crumbs()).unwrap_or_default();
        crumbs.push(self.crumb());
        crumbs
    }
}

/// Most screens kept while nobody looks at them.
const KEPT: usize = 24;
/// Most steps remembered.
const HISTORY: usize = 100;

/// Where the console is and has been.
#[derive(Debug)]
pub struct Nav {
    place: Place,
    screens: BTreeMap<Place, Screen>,
    history: Vec<Place>,
    at: usize,
}

impl Nav {
    /// At a place, with no past.
    pub fn new(place: Place) -> Self {
        let screens = BTreeMap::from([(place.clone(), Screen::new(&place))]);
        Self { history: vec![place.clone()], place, screens, at: 0 }
    }

    /// Where the console is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The screen of this place.
    pub fn screen(&self) -> Option<&Screen> {
        self.screens.get(&self.place)
    }

    /// The screen of this place.
    pub fn screen_mut(&mut self) -> Option<&mut Screen> {
        self.screens.get_mut(&self.place)
    }

    /// Every screen that is kept, this one included: news reach them all.
    pub fn screens_mut(&mut self) -> impl Iterator<Item = (&Place, &mut Screen)> {
        self.screens.iter_mut()
    }

    /// Goes to a place as a new step.
    pub fn go(&mut self, place: Place) {
        if place == self.place {
            return;
        }
        self.history.truncate(self.at + 1);
        self.history.push(place.clone());
        if self.history.len() > HISTORY {
            self.history.remove(0);
        }
        self.at = self.history.len() - 1;
        self.enter(place);
    }

    /// One step back in time; false at the beginning.
    pub fn back(&mut self) -> bool {
        let Some(at) = self.at.checked_sub(1) else { return false };
        self.at = at;
        self.enter(self.history[at].clone());
        true
    }

    /// One step forward again; false at the end.
    pub fn forward(&mut self) -> bool {
        if self.at + 1 >= self.history.len() {
            return false;
        }
        self.at += 1;
        self.enter(self.history[self.at].clone());
        true
    }

    /// Between the last two places, there and back.
    pub fn last(&mut self) -> bool {
        let Some(before) = self.at.checked_sub(1).map(|at| self.history[at].clone()) else { return false };
        self.go(before);
        true
    }

    /// Forgets a form that has been sent or cancelled, so that the next one starts empty.
    pub fn forget(&mut self, place: &Place) {
        if *place != self.place {
            self.screens.remove(place);
        }
    }

    /// Forgets everything about a flock that is gone.
    pub fn forget_flock(&mut self, flock: &str) {
        if self.place.flock() == Some(flock) {
            self.go(Place::Flocks);
        }
        self.screens.retain(|place, _| place.flock() != Some(flock));
        self.history.retain(|place| place.flock() != Some(flock));
        self.history.dedup();
        self.at = self.history.len().saturating_sub(1);
    }

    fn enter(&mut self, place: Place) {
        if self.screens.len() >= KEPT && !self.screens.contains_key(&place) {
            // Lists are dear to make anew, single jobs are not: those go first.
            let old = self.screens.keys().rev().find(|kept| **kept != place && **kept != self.place).cloned();
            if let Some(old) = old {
                self.screens.remove(&old);
            }
        }
        self.screens.entry(place.clone()).or_insert_with(|| Screen::new(&place));
        self.place = place;
    }
}
