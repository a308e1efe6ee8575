//! Telling how far a deploy is.

use super::{DeployProgress, Request, Step};

/// Where a deploy stands, and whom it tells.
pub(super) struct Follow<'a> {
    steps: Vec<Step>,
    now: DeployProgress,
    tell: &'a mut (dyn FnMut(&DeployProgress) + Send),
}

impl<'a> Follow<'a> {
    pub(super) fn new(request: &Request, tell: &'a mut (dyn FnMut(&DeployProgress) + Send)) -> Self {
        let steps = Step::of(request);
        let now = DeployProgress {
            step: steps.first().copied().unwrap_or(Step::Build),
            number: 0,
            steps: steps.len(),
            done: 0,
            total: 0,
            note: String::new(),
        };
        Self { steps, now, tell }
    }

    /// A part begins.
    pub(super) fn begin(&mut self, step: Step) {
        let number = self.steps.iter().position(|known| *known == step).map_or(0, |index| index + 1);
        (self.now.step, self.now.number) = (step, number);
        self.at(0, 0, step.words());
    }

    /// The part that runs is so far.
    pub(super) fn at(&mut self, done: u64, total: u64, note: &str) {
        (self.now.done, self.now.total) = (done, total);
        note.clone_into(&mut self.now.note);
        (self.tell)(&self.now);
    }
}
