//! The screens: one file each, with its state, what its actions do, and how it is drawn.
//!
//! A screen never waits and never does I/O: it changes itself and leaves effects in its [`Ctx`]. It draws from
//! `&Model` through the widgets of `ui`, and draws what fits the window, never all there is. Adding a screen is
//! a file here, a variant below, and a [`Place`].

use ratatui::Frame;
use ratatui::layout::Rect;
use shepard_model::JobId;

use crate::app::actions::{Action, Scope};
use crate::app::deploy::{Fact, ReleaseRow, Source};
use crate::app::effect::{Command, Sub};
use crate::app::key::Key;
use crate::app::model::{Ctx, Data, Model};
use crate::app::msg::{Done, JobsChange, LogChange, Preflight, SecretsAnswer};
use crate::app::nav::Place;
use crate::app::overlay::Ask;
use crate::app::profiles::Profiles;
use crate::app::remote::Problem;
use crate::app::stack::{StackAnswer, StackNews};
use crate::app::store::{Merged, ViewResult};
use crate::ui::Look;

pub mod batch;
pub mod chrome;
pub mod deploy;
#[cfg(test)]
mod drive;
mod facts;
mod fields;
pub mod flock;
pub mod flocks;
#[cfg(test)]
mod frames;
pub mod help;
pub mod job;
pub mod jobs;
pub mod journal;
pub mod logs;
pub mod new_flock;
#[cfg(test)]
mod on_aws_tests;
pub mod profiles;
pub mod reasons;
pub mod releases;
mod scroll;
pub mod secrets;
mod session;
pub mod stack;
pub mod stack_changes;
pub mod stack_down;
pub mod stack_events;
#[cfg(test)]
mod stack_fixture;
pub mod stack_form;
mod stack_words;
#[cfg(test)]
pub(crate) mod testing;
mod utc;

/// News that reach every screen that is kept.
#[derive(Debug)]
pub enum News<'a> {
    /// The list of flocks is new.
    Flocks,
    /// Jobs of a flock changed; the store has them already.
    Jobs(&'a JobsChange, &'a Merged),
    /// A job's row was read; the data has it already.
    Row(&'a str, &'a JobId),
    /// A log went on.
    Log(&'a LogChange),
    /// Something of a stack is known now.
    Stack(&'a StackNews),
    /// Something about stacks was read.
    StackAnswer(&'a StackAnswer),
    /// The journal was read.
    Journal,
    /// A folder was looked at: its path, and the findings.
    Preflight(&'a str, &'a Result<Preflight, Problem>),
    /// A flock's secrets were looked at.
    Secrets(&'a SecretsAnswer),
    /// Ways to go on with a path.
    Paths(&'a str, &'a [String]),
    /// What can be said of a deploy beforehand: what was asked about, and the findings.
    Outlook(&'a Source, &'a [Fact]),
    /// The releases of a flock, or of a repository.
    Releases(&'a str, Option<&'a str>, &'a Result<Vec<ReleaseRow>, Problem>),
    /// The profiles of the old command.
    Profiles(&'a Result<Profiles, Problem>),
    /// A command goes on; the note it came with.
    Progress(&'a Command, &'a str),
    /// A feed failed.
    Failed(&'a Sub, &'a Problem),
    /// A command ended.
    Finished(&'a Command, &'a Result<Done, Problem>),
}

/// What happened to a line of input that the screen opened.
#[derive(Debug)]
pub enum PromptEvent {
    /// The text changed.
    Typed(String),
    /// Enter.
    Entered(String),
    /// Escape; this is what was there before.
    Cancelled(String),
}

/// The screen of a place.
#[derive(Debug)]
pub enum Screen {
    /// The list of flocks.
    Flocks(flocks::Flocks),
    /// The form for a new flock.
    NewFlock(Box<new_flock::NewFlock>),
    /// Where a flock keeps its things.
    Flock(flock::Flock),
    /// The jobs of a flock.
    Jobs(Box<jobs::Jobs>),
    /// The form that batches a folder.
    Batch(Box<batch::Batch>),
    /// The form that pushes secrets.
    Secrets(Box<secrets::Secrets>),
    /// The form that deploys.
    Deploy(Box<deploy::Deploy>),
    /// What was deployed to a flock.
    Releases(releases::Releases),
    /// A flock's faults, grouped by reason.
    Reasons(reasons::Reasons),
    /// One job.
    Job(job::Job),
    /// A job's log.
    Logs(Box<logs::Logs>),
    /// What was done.
    Journal(journal::Journal),
    /// The profiles of the old command.
    Profiles(Box<profiles::Profiles>),
    /// The form of a stack's settings.
    StackForm(Box<stack_form::StackForm>),
    /// What a change set would do.
    StackChanges(stack_changes::StackChanges),
    /// What happens to a stack.
    StackEvents(stack_events::StackEvents),
    /// What a stack is made of.
    Stack(stack::Stack),
    /// What a stack owns, and its tear-down.
    StackDown(stack_down::StackDown),
}

/// Sends a call to the screen that is there.
macro_rules! each {
    ($self:expr, $screen:ident => $call:expr) => {
        match $self {
            Screen::Flocks($screen) => $call,
            Screen::NewFlock($screen) => $call,
            Screen::Flock($screen) => $call,
            Screen::Jobs($screen) => $call,
            Screen::Batch($screen) => $call,
            Screen::Secrets($screen) => $call,
            Screen::Deploy($screen) => $call,
            Screen::Releases($screen) => $call,
            Screen::Reasons($screen) => $call,
            Screen::Job($screen) => $call,
            Screen::Logs($screen) => $call,
            Screen::Journal($screen) => $call,
            Screen::Profiles($screen) => $call,
            Screen::StackForm($screen) => $call,
            Screen::StackChanges($screen) => $call,
            Screen::StackEvents($screen) => $call,
            Screen::Stack($screen) => $call,
            Screen::StackDown($screen) => $call,
        }
    };
}

/// What every screen can be asked. All but the first three have an answer that suits most.
pub trait Behaviour {
    /// The scopes in which its keys are looked up, its own first; the global one follows by itself.
    fn scopes(&self) -> &'static [Scope];
    /// What it has no use for of the scopes that it shares: neither hints nor help offer it.
    fn without(&self) -> &'static [Action] {
        &[]
    }
    /// Does an action; false leaves it to the globals.
    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool;
    /// Draws itself into the area between header and footer.
    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect);

    /// It is being looked at (again), or everything on it is to be read anew.
    fn enter(&mut self, _ctx: &mut Ctx<'_>) {}
    /// Something happened that may concern it.
    fn told(&mut self, _ctx: &mut Ctx<'_>, _news: &News<'_>) {}
    /// A key before the keymap sees it; true if it was typed into a field.
    fn typed(&mut self, _ctx: &mut Ctx<'_>, _key: Key) -> bool {
        false
    }
    /// Text was pasted.
    fn pasted(&mut self, _ctx: &mut Ctx<'_>, _text: &str) {}
    /// A cell of the terminal was clicked.
    fn clicked(&mut self, _ctx: &mut Ctx<'_>, _x: u16, _y: u16) {}
    /// Something happened to a line of input it opened.
    fn prompted(&mut self, _ctx: &mut Ctx<'_>, _ask: Ask, _event: &PromptEvent) {}
    /// What is wrong with what is typed into its line of input, from which character on, and a word beside it.
    fn prompt_note(&self, _model: &Model, _ask: Ask) -> (Option<(String, usize)>, String) {
        (None, String::new())
    }
    /// A sort or filter is done.
    fn arranged(&mut self, _ctx: &mut Ctx<'_>, _result: &ViewResult) {}
    /// What it wants to be told of, beyond the flocks and the jobs of its flock.
    fn subscriptions(&self, _data: &Data) -> Vec<Sub> {
        Vec::new()
    }
    /// Something on it changes with the time alone: a running job's duration.
    fn moves(&self, _data: &Data) -> bool {
        false
    }
    /// A few words beside the breadcrumbs: `12 marked, 9 hidden`.
    fn note(&self, _model: &Model) -> String {
        String::new()
    }
}

impl Screen {
    /// A new screen for a place.
    pub fn new(place: &Place) -> Self {
        match place {
            Place::Flocks => Self::Flocks(flocks::Flocks::default()),
            Place::NewFlock => Self::NewFlock(Box::default()),
            Place::Flock { flock } => Self::Flock(flock::Flock::new(flock)),
            Place::Jobs { flock } => Self::Jobs(Box::new(jobs::Jobs::new(flock))),
            Place::Batch { flock } => Self::Batch(Box::new(batch::Batch::new(flock))),
            Place::Secrets { flock } => Self::Secrets(Box::new(secrets::Secrets::new(flock))),
            Place::Deploy { flock } => Self::Deploy(Box::new(deploy::Deploy::new(flock))),
            Place::Releases { flock } => Self::Releases(releases::Releases::new(flock)),
            Place::Reasons { flock } => Self::Reasons(reasons::Reasons::new(flock)),
            Place::Job { flock, id } => Self::Job(job::Job::new(flock, id)),
            Place::Logs { flock, id } => Self::Logs(Box::new(logs::Logs::new(flock, id))),
            Place::Journal => Self::Journal(journal::Journal::default()),
            Place::Profiles => Self::Profiles(Box::default()),
            Place::StackNew => Self::StackForm(Box::new(stack_form::StackForm::new(None))),
            Place::StackUpdate(stack) => Self::StackForm(Box::new(stack_form::StackForm::new(Some(stack)))),
            Place::StackChanges(stack) => Self::StackChanges(stack_changes::StackChanges::new(stack)),
            Place::StackEvents(stack) => Self::StackEvents(stack_events::StackEvents::new(stack)),
            Place::Stack(stack) => Self::Stack(stack::Stack::new(stack)),
            Place::StackDown(stack) => Self::StackDown(stack_down::StackDown::new(stack)),
        }
    }
}

impl Behaviour for Screen {
    fn scopes(&self) -> &'static [Scope] {
        each!(self, screen => screen.scopes())
    }
    fn without(&self) -> &'static [Action] {
        each!(self, screen => screen.without())
    }
    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        each!(self, screen => screen.act(ctx, action))
    }
    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        each!(self, screen => screen.draw(model, look, frame, area));
    }
    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        each!(self, screen => screen.enter(ctx));
    }
    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        each!(self, screen => screen.told(ctx, news));
    }
    fn typed(&mut self, ctx: &mut Ctx<'_>, key: Key) -> bool {
        each!(self, screen => screen.typed(ctx, key))
    }
    fn pasted(&mut self, ctx: &mut Ctx<'_>, text: &str) {
        each!(self, screen => screen.pasted(ctx, text));
    }
    fn clicked(&mut self, ctx: &mut Ctx<'_>, x: u16, y: u16) {
        each!(self, screen => screen.clicked(ctx, x, y));
    }
    fn prompted(&mut self, ctx: &mut Ctx<'_>, ask: Ask, event: &PromptEvent) {
        each!(self, screen => screen.prompted(ctx, ask, event));
    }
    fn prompt_note(&self, model: &Model, ask: Ask) -> (Option<(String, usize)>, String) {
        each!(self, screen => screen.prompt_note(model, ask))
    }
    fn arranged(&mut self, ctx: &mut Ctx<'_>, result: &ViewResult) {
        each!(self, screen => screen.arranged(ctx, result));
    }
    fn subscriptions(&self, data: &Data) -> Vec<Sub> {
        each!(self, screen => screen.subscriptions(data))
    }
    fn moves(&self, data: &Data) -> bool {
        each!(self, screen => screen.moves(data))
    }
    fn note(&self, model: &Model) -> String {
        each!(self, screen => screen.note(model))
    }
}

/// Draws a frame: a function of the model and the look, and of nothing else.
pub fn draw(model: &Model, look: &Look, frame: &mut Frame<'_>) {
    chrome::draw(model, look, frame);
}
