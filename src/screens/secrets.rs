//! The form that pushes secrets: the names there are, and what would become of each by the files of a folder.
//!
//! Names and never values: no message to the console has any. What is shown belongs to what is typed, or nothing is
//! shown. Whatever would be replaced has to be meant: the flock's name is typed.

mod draw;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::fields::{self, Completion, Tab, Typed};
use super::{Behaviour, News};
use crate::app::actions::{Action, Scope};
use crate::app::effect::{Command, Effect, Request};
use crate::app::key::Key;
use crate::app::model::{Ctx, Go, Model};
use crate::app::msg::{SecretsDiff, SecretsReport};
use crate::app::overlay::{Dialog, Then};
use crate::app::remote::Problem;
use crate::ui::form::{Field, Form};
use crate::ui::{Look, text};

const PATH: usize = 0;
const KEEP: usize = 1;
const PATH_HINT: &str = "a folder with a file for each secret";
const KEEP_HINT: &str = "on: what is not in the folder stays; off: it goes";

/// The screen's state.
#[derive(Debug)]
pub struct Secrets {
    flock: String,
    form: Form,
    paths: Completion,
    /// The answer to what is typed; None until it is known.
    found: Option<Result<Findings, Problem>>,
    /// Enter came before that was known.
    pressed: bool,
    /// Enter was pressed on this path: what is wrong with it is no longer half a word.
    insisted: bool,
    top: usize,
}

/// What is there, or what would become of it, in the order in which it is shown.
#[derive(Debug)]
struct Findings {
    report: SecretsReport,
    rows: Vec<Row>,
}

/// A line below the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Why nothing can be compared.
    Unknown,
    Added(usize),
    Changed(usize),
    Removed(usize),
    /// In the folder, where nothing can be compared.
    Pushed(usize),
    Unchanged(usize),
    /// In the folder, and no secret.
    Skipped(usize),
}

impl Findings {
    fn new(report: &SecretsReport) -> Self {
        let mut rows = Vec::new();
        rows.extend(report.unknown.as_ref().map(|_| Row::Unknown));
        match &report.diff {
            Some(diff) => {
                // What goes comes first: in a long list nobody would find it.
                rows.extend((0..diff.removed.len()).map(Row::Removed));
                rows.extend((0..diff.changed.len()).map(Row::Changed));
                rows.extend((0..diff.added.len()).map(Row::Added));
                rows.extend((0..report.skipped.len()).map(Row::Skipped));
                rows.extend((0..diff.unchanged.len()).map(Row::Unchanged));
            }
            None => {
                rows.extend((0..report.names.len()).map(Row::Pushed));
                rows.extend((0..report.skipped.len()).map(Row::Skipped));
            }
        }
        Self { report: report.clone(), rows }
    }

    /// Something would be other than it is.
    fn changes(&self) -> bool {
        let stays =
            |diff: &SecretsDiff| diff.added.is_empty() && diff.changed.is_empty() && diff.removed.is_empty();
        self.report.asked > 0 && !self.report.diff.as_ref().is_some_and(stays)
    }

    /// What would be gone or other, each on a line; None where nothing would.
    fn replaced(&self) -> Option<Vec<String>> {
        let Some(diff) = &self.report.diff else {
            let why = self.report.unknown.as_deref().unwrap_or_default();
            return Some(vec![format!("What is there cannot be read: {}", text::clean(why))]);
        };
        let line = |what: &str, name: &String| format!("{what}  {}", text::clean(name));
        let removed = diff.removed.iter().map(|name| line("goes   ", name));
        let lines: Vec<String> =
            removed.chain(diff.changed.iter().map(|name| line("changes", name))).collect();
        (!lines.is_empty()).then_some(lines)
    }
}

impl Secrets {
    /// For a flock.
    pub fn new(flock: &str) -> Self {
        let fields =
            vec![Field::text("folder", "", PATH_HINT), Field::switch("keep the others", false, KEEP_HINT)];
        Self {
            flock: flock.to_owned(),
            form: Form::new(fields),
            paths: Completion::default(),
            found: None,
            pressed: false,
            insisted: false,
            top: 0,
        }
    }

    fn path(&self) -> &str {
        self.form.fields[PATH].value().trim()
    }

    fn merge(&self) -> bool {
        self.form.fields[KEEP].is_on()
    }

    fn path_changed(&mut self, ctx: &mut Ctx<'_>) {
        let path = self.form.fields[PATH].value().to_owned();
        self.form.fields[PATH].hint = PATH_HINT.to_owned();
        self.paths.ask(ctx, &path);
        self.insisted = false;
        self.examine(ctx);
    }

    fn examine(&mut self, ctx: &mut Ctx<'_>) {
        (self.found, self.pressed, self.top) = (None, false, 0);
        let (flock, path, merge) = (self.flock.clone(), self.path().to_owned(), self.merge());
        ctx.effect(Effect::Load(Request::Secrets { flock, path, merge }));
    }

    fn changed(&mut self, ctx: &mut Ctx<'_>) {
        if self.form.focus() == PATH { self.path_changed(ctx) } else { self.examine(ctx) }
    }

    fn complete(&mut self, ctx: &mut Ctx<'_>) {
        if self.form.focus() != PATH {
            self.form.next();
            return;
        }
        match self.paths.tab() {
            Tab::Complete(path) => {
                self.form.fields[PATH].set_text(&path);
                self.form.fields[PATH].error = None;
                self.path_changed(ctx);
            }
            // A folder is whole though there be more below it; half a name is not.
            Tab::Several if !self.path().ends_with('/') => {}
            Tab::Several | Tab::Next => self.form.next(),
            Tab::Wait => {}
        }
    }

    fn submit(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.session.read_only {
            ctx.say(true, "this session is read-only");
            return;
        }
        if self.path().is_empty() {
            self.form.fields[PATH].error = Some("type or paste the path of a folder".to_owned());
            self.form.set_focus(PATH);
            return;
        }
        self.insisted = true;
        let found = match &self.found {
            None => {
                self.pressed = true;
                return;
            }
            Some(Ok(found)) if found.report.asked > 0 => found,
            // It may have been mended meanwhile: look again, and go on if it was.
            Some(_) => {
                self.form.set_focus(PATH);
                self.examine(ctx);
                self.pressed = true;
                return;
            }
        };
        if !found.changes() {
            ctx.say(false, "the secrets are what the folder has; nothing was sent");
            return;
        }
        let command = Command::PushSecrets {
            flock: self.flock.clone(),
            path: self.path().to_owned(),
            merge: self.merge(),
            seen: found.report.diff.clone().map(Box::new),
        };
        match found.replaced() {
            Some(lines) => {
                let title = format!("Replace secrets of {}?", self.flock);
                let then = Then::RunAndLeave(command);
                ctx.ask(Dialog::ask(title, lines, "Replace", then).typed(self.flock.clone()));
            }
            None => {
                ctx.run(command);
                ctx.go = Some(Go::Done);
            }
        }
    }

    fn scroll(&mut self, size: (u16, u16), by: isize) {
        self.top = self.top.saturating_add_signed(by).min(self.last_top(size));
    }
}

impl Behaviour for Secrets {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Form]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        self.path_changed(ctx);
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::Paths(text, candidates) => {
                let Some(waited) = self.paths.take(text, candidates) else { return };
                // What lies where the program was started is no news to one who only looks.
                let line = self.paths.line().filter(|_| !text.is_empty());
                self.form.fields[PATH].hint = line.unwrap_or_else(|| PATH_HINT.to_owned());
                if waited && self.form.focus() == PATH {
                    self.complete(ctx);
                }
            }
            News::Secrets(answer) => {
                let asked = (answer.flock.as_str(), answer.path.as_str(), answer.merge);
                if (self.flock.as_str(), self.path(), self.merge()) != asked || self.found.is_some() {
                    return;
                }
                let report = &answer.report;
                self.found = Some(report.as_ref().map(Findings::new).map_err(Clone::clone));
                let good = matches!(report, Ok(report) if report.asked > 0);
                // Asked for already; what cannot be pushed is only shown, or this would go round for ever.
                if std::mem::take(&mut self.pressed) && good {
                    self.submit(ctx);
                }
            }
            _ => {}
        }
    }

    fn typed(&mut self, ctx: &mut Ctx<'_>, key: Key) -> bool {
        match fields::typed(&mut self.form, &ctx.session.keymap, key) {
            Typed::No => return false,
            Typed::Kept => {}
            Typed::Changed => self.changed(ctx),
        }
        true
    }

    fn pasted(&mut self, ctx: &mut Ctx<'_>, text: &str) {
        if fields::pasted(&mut self.form, text) {
            self.changed(ctx);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        let page = isize::try_from(self.list_height(ctx.size)).unwrap_or(0).max(1);
        match action {
            Action::Complete => self.complete(ctx),
            Action::NextField => self.form.next(),
            Action::PreviousField => self.form.previous(),
            Action::Submit => self.submit(ctx),
            Action::Cancel => ctx.go = Some(Go::Done),
            Action::FormPageDown => self.scroll(ctx.size, page),
            Action::FormPageUp => self.scroll(ctx.size, -page),
            // The wheel.
            Action::Down => self.scroll(ctx.size, 1),
            Action::Up => self.scroll(ctx.size, -1),
            _ => return false,
        }
        true
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        draw::draw(self, model, look, frame, area);
    }
}
