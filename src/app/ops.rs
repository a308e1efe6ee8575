//! The commands under way and the sentences about those that ended.

use super::effect::{Command, OpId};

/// A command under way.
#[derive(Debug, Clone)]
pub struct Op {
    /// Names it.
    pub id: OpId,
    /// What it is.
    pub command: Command,
    /// Steps done.
    pub done: u64,
    /// Steps in all; 0 while that is not known.
    pub total: u64,
    /// What it is at.
    pub note: String,
    /// The part of it that runs, where it has several.
    pub part: String,
    /// Steps are bytes.
    pub bytes: bool,
    /// When it began.
    pub since_ms: i64,
}

/// A sentence that goes away by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// A mistake stays longer and looks different.
    pub problem: bool,
    /// The sentence.
    pub text: String,
    /// Until when it is shown.
    pub until_ms: i64,
}

/// How long good news stay, in milliseconds.
const GOOD_MS: i64 = 5_000;
/// How long bad news stay, in milliseconds: long enough to be read twice.
const BAD_MS: i64 = 15_000;
/// Most sentences at once; the oldest goes first.
const TOASTS: usize = 4;

/// What is under way, and what just ended.
#[derive(Debug, Default)]
pub struct Ops {
    /// Under way, oldest first.
    pub running: Vec<Op>,
    /// Just said, oldest first.
    pub toasts: Vec<Toast>,
    last: OpId,
}

impl Ops {
    /// Begins a command; gives its name.
    pub fn begin(&mut self, command: Command, now_ms: i64) -> OpId {
        self.last += 1;
        self.running.push(Op {
            id: self.last,
            command,
            done: 0,
            total: 0,
            note: String::new(),
            part: String::new(),
            bytes: false,
            since_ms: now_ms,
        });
        self.last
    }

    /// Ends a command; gives it.
    pub fn end(&mut self, id: OpId) -> Option<Op> {
        let at = self.running.iter().position(|op| op.id == id)?;
        Some(self.running.remove(at))
    }

    /// Says something.
    pub fn say(&mut self, problem: bool, text: impl Into<String>, now_ms: i64) {
        let text = text.into();
        self.toasts.retain(|toast| toast.text != text);
        if self.toasts.len() >= TOASTS {
            self.toasts.remove(0);
        }
        self.toasts.push(Toast { problem, text, until_ms: now_ms + if problem { BAD_MS } else { GOOD_MS } });
    }

    /// Lets go of what has been shown long enough.
    pub fn expire(&mut self, now_ms: i64) {
        self.toasts.retain(|toast| toast.until_ms > now_ms);
    }
}
