//! What lies over a screen and takes the keys: a question, a line of input, a menu, help.

use tui_input::{Input, InputRequest};

use super::account::{CodeEntry, Pick};
use super::actions::Action;
use super::effect::Command;
use super::key::{Code, Key};
use super::nav::Place;

/// Something over the screen. At most one at a time.
#[derive(Debug)]
pub enum Overlay {
    /// A question.
    Dialog(Box<Dialog>),
    /// A line of input at the bottom, that the screen listens to as it is typed.
    Prompt(Prompt),
    /// A code is asked for. No recording holds what is typed into it.
    Code(CodeEntry),
    /// A list to pick from.
    Pick(Pick),
    /// The command bar.
    Bar(Bar),
    /// The menu of actions.
    Menu(Menu),
    /// Help, scrolled down so many lines.
    Help {
        /// First line shown.
        top: usize,
    },
}

/// What follows when a question is answered with yes.
#[derive(Debug, Clone)]
pub enum Then {
    /// End the program.
    Quit,
    /// Do this.
    Run(Command),
    /// Do this, and leave the form that asked: what it was for is under way.
    RunAndLeave(Command),
    /// Do this, and go where it can be watched. The form that asked stays as it is: it may not work.
    RunAndGo(Command, Place),
}

/// A question. Cancel has the focus when it opens.
#[derive(Debug)]
pub struct Dialog {
    /// The question.
    pub title: String,
    /// What it is about: the targets, each on a line.
    pub lines: Vec<String>,
    /// First of the lines shown.
    pub top: usize,
    /// The word on the button that does it.
    pub yes: String,
    /// What has to be typed before it can be done, for what cannot be undone.
    pub typed: Option<String>,
    /// What is typed.
    pub input: Input,
    /// The focus is on yes.
    pub on_yes: bool,
    /// What yes does.
    pub then: Then,
}

impl Dialog {
    /// A question that `y`, or Tab and Enter, answers.
    pub fn ask(title: impl Into<String>, lines: Vec<String>, yes: &str, then: Then) -> Self {
        Self {
            title: title.into(),
            lines,
            top: 0,
            yes: yes.to_owned(),
            typed: None,
            input: Input::default(),
            on_yes: false,
            then,
        }
    }

    /// A question that only the typed name answers.
    #[must_use]
    pub fn typed(mut self, name: impl Into<String>) -> Self {
        self.typed = Some(name.into());
        self
    }

    /// Yes may be said now.
    pub fn armed(&self) -> bool {
        self.typed.as_deref().is_none_or(|name| self.input.value() == name)
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Answer {
        match key {
            Key { code: Code::Esc, .. } | Key { code: Code::Char('c'), ctrl: true, .. } => return Answer::No,
            Key { code: Code::Down | Code::PageDown, .. } => {
                self.top = (self.top + 1).min(self.lines.len().saturating_sub(1));
            }
            Key { code: Code::Up | Code::PageUp, .. } => self.top = self.top.saturating_sub(1),
            Key { code: Code::Enter, .. } if self.typed.is_some() => {
                // The name is the deliberate act; with it typed, Enter needs no second one.
                return if self.armed() { Answer::Yes } else { Answer::Open };
            }
            _ if self.typed.is_some() => {
                edit(&mut self.input, key);
            }
            Key { code: Code::Enter, .. } => return if self.on_yes { Answer::Yes } else { Answer::No },
            Key { code: Code::Tab | Code::BackTab | Code::Left | Code::Right, .. } => {
                self.on_yes = !self.on_yes;
            }
            Key { code: Code::Char('y' | 'Y'), .. } => return Answer::Yes,
            Key { code: Code::Char('n' | 'N' | 'q'), .. } => return Answer::No,
            _ => {}
        }
        Answer::Open
    }
}

/// What a key said to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    Open,
    /// Do it.
    Yes,
    /// Do not.
    No,
}

/// What a line of input is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The filter of a table; every keystroke counts.
    Filter,
    /// The search in a log; every keystroke counts.
    Search,
    /// A time to jump to.
    Time,
    /// A file to save to.
    SaveTo,
    /// A folder to fetch results into.
    FetchTo,
    /// A folder of quick-deploy code.
    QuickDeploy,
    /// Variables of jobs, or a file that holds them.
    Variables,
    /// A repository to look into.
    Repository,
    /// A parameter of a template; every keystroke counts.
    Parameter,
}

impl Ask {
    /// The words before the input.
    pub fn label(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Search => "search",
            Self::Time => "jump to time (14:05, 14:05:30, -10m)",
            Self::SaveTo => "save to",
            Self::FetchTo => "fetch results into",
            Self::QuickDeploy => "folder with a run.sh",
            Self::Variables => "JSON of one job or a list, or a file of it",
            Self::Repository => "repository (empty is the flock's own)",
            Self::Parameter => "find a setting",
        }
    }

    /// Its text is a path, to be completed with Tab.
    pub fn is_path(self) -> bool {
        matches!(self, Self::SaveTo | Self::FetchTo | Self::QuickDeploy | Self::Variables)
    }
}

/// A line of input.
#[derive(Debug)]
pub struct Prompt {
    /// What for.
    pub ask: Ask,
    /// What is typed.
    pub input: Input,
    /// What was there before: Escape brings it back.
    pub before: String,
    /// Ways to go on, for a path.
    pub candidates: Vec<String>,
}

impl Prompt {
    /// A prompt that starts with some text.
    pub fn new(ask: Ask, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { ask, input: Input::new(text.clone()), before: text, candidates: Vec::new() }
    }
}

/// The command bar: what is typed, and ways to go on.
#[derive(Debug, Default)]
pub struct Bar {
    /// What is typed.
    pub input: Input,
    /// Ways to go on, best first.
    pub candidates: Vec<Candidate>,
    /// The one that Tab takes.
    pub selected: usize,
}

/// One way to go on in the command bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The whole line it makes.
    pub line: String,
    /// What it does.
    pub help: String,
}

/// The menu of actions.
#[derive(Debug)]
pub struct Menu {
    /// What can be picked.
    pub actions: Vec<Action>,
    /// Which is under the cursor.
    pub selected: usize,
}

/// Edits a line with a key; true if the text changed.
pub fn edit(input: &mut Input, key: Key) -> bool {
    use InputRequest as Do;
    let request = match key {
        Key { code: Code::Char('a'), ctrl: true, .. } | Key { code: Code::Home, .. } => Do::GoToStart,
        Key { code: Code::Char('e'), ctrl: true, .. } | Key { code: Code::End, .. } => Do::GoToEnd,
        Key { code: Code::Char('u'), ctrl: true, .. } => Do::DeleteLine,
        Key { code: Code::Char('k'), ctrl: true, .. } => Do::DeleteTillEnd,
        Key { code: Code::Char('w'), ctrl: true, .. } => Do::DeletePrevWord,
        Key { code: Code::Char('h'), ctrl: true, .. } | Key { code: Code::Backspace, .. } => {
            Do::DeletePrevChar
        }
        Key { code: Code::Delete, .. } => Do::DeleteNextChar,
        Key { code: Code::Left, ctrl: true, .. } => Do::GoToPrevWord,
        Key { code: Code::Right, ctrl: true, .. } => Do::GoToNextWord,
        Key { code: Code::Left, .. } => Do::GoToPrevChar,
        Key { code: Code::Right, .. } => Do::GoToNextChar,
        _ => match key.typed() {
            Some(c) => Do::InsertChar(c),
            None => return false,
        },
    };
    input.handle(request).is_some_and(|changed| changed.value)
}

/// Puts pasted text in, as one line.
pub fn paste(input: &mut Input, text: &str) {
    for c in text.chars().filter(|c| !c.is_control()) {
        input.handle(InputRequest::InsertChar(c));
    }
}
