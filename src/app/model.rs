//! The state of the console: everything a frame shows is a function of this.

use std::collections::BTreeMap;

use shepard_model::{JobId, JobRow};

use super::account::{self, SOON_MS, Standing};
use super::aws::{AwsFlocks, ComputeNote, Following, OnAws};
use super::effect::{Command, Effect, Sub};
use super::keymap::Keymap;
use super::msg::{FlockRow, JournalRow};
use super::nav::{Nav, Place};
use super::ops::Ops;
use super::overlay::{Dialog, Overlay, Prompt};
use super::remote::Remote;
use super::store::Store;
use crate::screens::Behaviour as _;

/// What does not change by itself while the console runs.
#[derive(Debug)]
pub struct Session {
    /// Which key means what.
    pub keymap: Keymap,
    /// Nothing may be changed.
    pub read_only: bool,
    /// Who is at the keys, for the journal.
    pub who: String,
    /// The themes there are, for completion.
    pub themes: Vec<String>,
    /// The theme in use.
    pub theme: String,
    /// The folder the program was started in, and the user's home: what paths are relative to.
    pub cwd: String,
}

/// The jobs of one flock.
#[derive(Debug, Default)]
pub struct FlockJobs {
    /// Every job.
    pub store: Store,
    /// Where the feed goes on.
    pub cursor: u64,
    /// Everything there is has been seen.
    pub caught_up: bool,
    /// The feed failed; what is shown is stale.
    pub problem: Option<super::remote::Problem>,
    /// How they are followed.
    pub following: Following,
    /// What Batch says of the jobs that were in sight.
    pub compute: BTreeMap<JobId, ComputeNote>,
}

/// Ends by time, for a flock's sparkline: one slot every [`History::SLOT_MS`].
#[derive(Debug, Clone, Default)]
pub struct History {
    slots: std::collections::VecDeque<u64>,
    newest: i64,
    seen: Option<u64>,
}

impl History {
    /// Milliseconds a slot covers.
    pub const SLOT_MS: i64 = 5_000;
    /// Slots kept: two minutes.
    pub const SLOTS: usize = 24;

    /// Takes the number of jobs ended so far.
    pub fn take(&mut self, ended: u64, now_ms: i64) {
        let slot = now_ms / Self::SLOT_MS;
        if self.slots.is_empty() {
            self.newest = slot;
            self.slots.push_back(0);
        }
        let ahead = usize::try_from(slot - self.newest).unwrap_or(0).min(Self::SLOTS);
        for _ in 0..ahead {
            self.slots.push_back(0);
        }
        self.newest = self.newest.max(slot);
        while self.slots.len() > Self::SLOTS {
            self.slots.pop_front();
        }
        // What had ended before the console looked is no news.
        let news = self.seen.map_or(0, |seen| ended.saturating_sub(seen));
        self.seen = Some(ended);
        if let Some(last) = self.slots.back_mut() {
            *last += news;
        }
    }

    /// The slots, oldest first.
    pub fn values(&self) -> Vec<u64> {
        self.slots.iter().copied().collect()
    }
}

/// What is known of the world.
#[derive(Debug, Default)]
pub struct Data {
    /// The flocks of this machine.
    pub flocks: Remote<Vec<FlockRow>>,
    /// Those on AWS, and the accounts that could not be asked.
    pub aws: AwsFlocks,
    /// Counted up to ask AWS again at once.
    pub asked_again: u32,
    /// Their sparklines.
    pub history: BTreeMap<String, History>,
    /// The jobs of the flocks that were looked at.
    pub jobs: BTreeMap<String, FlockJobs>,
    /// The rows of the jobs that were looked at.
    pub rows: BTreeMap<(String, JobId), Remote<JobRow>>,
    /// The journal.
    pub journal: Remote<Vec<JournalRow>>,
    /// The attempt whose log was asked for: its job and its stream. The log screen takes it when it is entered.
    pub log: Option<(JobId, String)>,
}

impl Data {
    /// Every flock: those of this machine, then those on AWS.
    pub fn all_flocks(&self) -> impl Iterator<Item = &FlockRow> {
        self.flocks.value.iter().flatten().chain(&self.aws.flocks)
    }

    /// A flock by name.
    pub fn flock(&self, name: &str) -> Option<&FlockRow> {
        self.all_flocks().find(|flock| flock.name == name)
    }

    /// A flock on AWS by name.
    pub fn flock_on_aws(&self, name: &str) -> Option<&OnAws> {
        self.flock(name)?.aws.as_deref()
    }

    /// Takes the flocks on AWS. What was counted and measured of them before is kept.
    pub fn take_aws(&mut self, mut news: AwsFlocks) {
        if news.asking {
            self.aws.asking = true;
            return;
        }
        for flock in &mut news.flocks {
            let before = self.aws.flocks.iter().find(|known| known.name == flock.name);
            if let (Some(before), Some(aws)) = (before, &mut flock.aws) {
                let known = before.aws.as_deref().cloned().unwrap_or_default();
                (aws.counted, aws.measured) = (known.counted, known.measured);
                (flock.counts, flock.waiting, flock.dead) = (before.counts, before.waiting, before.dead);
            }
        }
        self.aws = news;
    }

    /// The row of a flock on AWS, to be changed.
    pub(super) fn row_on_aws(&mut self, name: &str) -> Option<&mut FlockRow> {
        self.aws.flocks.iter_mut().find(|flock| flock.name == name)
    }

    /// The row of a job, if it was asked for.
    pub fn row(&self, flock: &str, id: &JobId) -> Option<&Remote<JobRow>> {
        // The key is owned; a lookup by parts is not worth a second index for a handful of entries.
        self.rows.get(&(flock.to_owned(), id.clone()))
    }
}

/// The console.
#[derive(Debug)]
pub struct Model {
    /// The time, in milliseconds since the epoch, as the shell last said.
    pub now_ms: i64,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// What does not change by itself.
    pub session: Session,
    /// What is known of the world.
    pub data: Data,
    /// Where the console is.
    pub nav: Nav,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// What is under way.
    pub ops: Ops,
    /// Who the console is to AWS.
    pub account: Standing,
    /// The mouse is ours.
    pub mouse: bool,
    /// The flocks that were started because an upload lay there, until they run or it is gone: one that does not
    /// start is not started again and again.
    pub roused: std::collections::BTreeSet<String>,
    /// When Ctrl-C was last pressed with nothing to cancel.
    pub interrupted_ms: Option<i64>,
}

impl Model {
    /// A console that knows nothing yet.
    pub fn new(session: Session, start: Place, size: (u16, u16)) -> Self {
        Self {
            now_ms: 0,
            size,
            session,
            data: Data::default(),
            nav: Nav::new(start),
            overlay: None,
            ops: Ops::default(),
            account: Standing::default(),
            mouse: false,
            roused: std::collections::BTreeSet::new(),
            interrupted_ms: None,
        }
    }

    /// What the model wants to be told of.
    pub fn subscriptions(&self) -> Vec<Sub> {
        let mut subs = vec![Sub::Flocks];
        if let Some(flock) = self.nav.place().flock() {
            subs.push(Sub::Jobs { flock: flock.to_owned() });
            if self.data.flock_on_aws(flock).is_some_and(|aws| aws.has_queue) {
                subs.push(Sub::Depth { flock: flock.to_owned() });
            }
        }
        // Listing stacks costs calls: only where the list is looked at, or a flock is shown that was not found yet.
        let listed = self.nav.place().flock().is_none_or(|flock| self.data.flock(flock).is_none());
        if listed {
            subs.push(Sub::AwsFlocks { picked: self.account.chosen.clone(), again: self.data.asked_again });
        }
        if let Some(screen) = self.nav.screen() {
            subs.extend(screen.subscriptions(&self.data));
        }
        if let Some(account) = account::looked_at(self) {
            // Nobody asks this account for anything else while there is no session. What is of this machine and of other
            // accounts goes on.
            if account::paused(self).is_some() {
                subs.retain(|sub| matches!(sub, Sub::Flocks | Sub::AwsFlocks { .. }));
            }
            subs.push(Sub::Identity { account, again: self.account.again });
        }
        subs
    }

    /// How soon the clock must be told again, in milliseconds; None while nothing on the screen depends on it.
    /// This is what lets an idle console sleep.
    pub fn wants_tick(&self) -> Option<u64> {
        if !self.ops.running.is_empty() {
            return Some(250);
        }
        let screen = self.nav.screen().is_some_and(|screen| screen.moves(&self.data));
        let left =
            account::looked_at(self).and_then(|_| self.account.left_ms(self.now_ms)).filter(|left| *left > 0);
        if let Some(left) =
            left.filter(|_| !screen && self.ops.toasts.is_empty() && self.interrupted_ms.is_none())
        {
            // Minutes are shown, seconds only near the end.
            return Some(if left < SOON_MS { 1_000 } else { 15_000 });
        }
        (screen || !self.ops.toasts.is_empty() || self.interrupted_ms.is_some()).then_some(1_000)
    }
}

/// What a screen may touch besides itself while it handles something.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The time.
    pub now_ms: i64,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// What does not change by itself.
    pub session: &'a Session,
    /// What is known of the world.
    pub data: &'a mut Data,
    /// What is under way.
    pub ops: &'a mut Ops,
    /// Set to open something over the screen.
    pub overlay: &'a mut Option<Overlay>,
    /// Set to go somewhere once the screen is done.
    pub go: Option<Go>,
    /// What has to be done outside.
    pub effects: Vec<Effect>,
}

/// Where to go.
#[derive(Debug)]
pub enum Go {
    /// To a place.
    To(Place),
    /// To the jobs of a flock, those that a filter shows.
    Filtered {
        /// Which flock.
        flock: String,
        /// The filter, as typed.
        filter: String,
    },
    /// One layer out, forgetting this screen: a form that is done.
    Done,
}

impl Ctx<'_> {
    /// Does something outside.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Begins a command that needs no question.
    pub fn run(&mut self, command: Command) {
        let op = self.ops.begin(command.clone(), self.now_ms);
        self.effects.push(Effect::Run(op, command));
    }

    /// Asks a question.
    pub fn ask(&mut self, dialog: Dialog) {
        *self.overlay = Some(Overlay::Dialog(Box::new(dialog)));
    }

    /// Opens a line of input.
    pub fn prompt(&mut self, prompt: Prompt) {
        *self.overlay = Some(Overlay::Prompt(prompt));
    }

    /// Goes to a place.
    pub fn go(&mut self, place: Place) {
        self.go = Some(Go::To(place));
    }

    /// Says something.
    pub fn say(&mut self, problem: bool, text: impl Into<String>) {
        self.ops.say(problem, text, self.now_ms);
    }
}
