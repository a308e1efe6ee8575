//! The form that batches a folder: which one, under which tag, and what it would become before anything is sent.
//!
//! What is shown belongs to the path that is typed, or nothing is shown: an answer to an earlier path is dropped.
//! It never batches what the person has not seen; where some of it is refused, it asks.

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
use crate::app::msg::Preflight;
use crate::app::overlay::{Dialog, Then};
use crate::app::remote::Problem;
use crate::ui::form::{Field, Form};
use crate::ui::{Look, text};

const PATH: usize = 0;
const TAG: usize = 1;
const PATH_HINT: &str = "a folder with an inputs.txt, a folder of such folders, or a zip";
const TAG_HINT: &str = "optional; takes the place of the TAG in every inputs.txt";

/// The screen's state.
#[derive(Debug)]
pub struct Batch {
    flock: String,
    form: Form,
    entered: bool,
    paths: Completion,
    /// What the path would become; None until that is known.
    found: Option<Findings>,
    /// Enter came before that was known.
    pressed: bool,
    /// Enter was pressed on this path: what is wrong with it is no longer half a word.
    insisted: bool,
    top: usize,
}

/// The answer to the path that is typed, in the order in which it is shown.
#[derive(Debug)]
struct Findings {
    report: Result<Preflight, Problem>,
    rows: Vec<Row>,
    accepted: usize,
    files: u64,
    /// Columns of the longest name.
    names: usize,
}

/// A line below the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// What is wrong with a job.
    Refused(usize),
    /// What is odd.
    Warning(usize),
    Gap,
    Head,
    /// A job that can be batched.
    Job(usize),
}

impl Findings {
    fn new(report: &Result<Preflight, Problem>) -> Self {
        let mut found = Self { report: report.clone(), rows: Vec::new(), accepted: 0, files: 0, names: 0 };
        let Ok(report) = report else { return found };
        let refused = |refused: bool| {
            let chosen = move |at: &usize| report.jobs[*at].problem.is_some() == refused;
            (0..report.jobs.len()).filter(chosen)
        };
        // What needs a hand comes first: in a long list nobody would find it.
        found.rows.extend(refused(true).map(Row::Refused));
        found.rows.extend((0..report.warnings.len()).map(Row::Warning));
        found.accepted = refused(false).count();
        if found.accepted > 0 {
            found.rows.extend((!found.rows.is_empty()).then_some(Row::Gap));
            found.rows.push(Row::Head);
            found.rows.extend(refused(false).map(Row::Job));
        }
        for job in report.jobs.iter().filter(|job| job.problem.is_none()) {
            found.files += job.files;
            found.names = found.names.max(text::width(&text::clean(&job.name)));
        }
        found
    }
}

impl Batch {
    /// For a flock.
    pub fn new(flock: &str) -> Self {
        let fields = vec![Field::text("folder or zip", "", PATH_HINT), Field::text("tag", "", TAG_HINT)];
        Self {
            flock: flock.to_owned(),
            form: Form::new(fields),
            entered: false,
            paths: Completion::default(),
            found: None,
            pressed: false,
            insisted: false,
            top: 0,
        }
    }

    fn path(&self) -> &str {
        self.form.fields[PATH].value()
    }

    /// The path is another one: everything known is about an earlier one.
    fn path_changed(&mut self, ctx: &mut Ctx<'_>) {
        let path = self.path().to_owned();
        self.form.fields[PATH].hint = PATH_HINT.to_owned();
        self.paths.ask(ctx, &path);
        self.insisted = false;
        self.examine(ctx);
    }

    fn examine(&mut self, ctx: &mut Ctx<'_>) {
        let path = self.path().to_owned();
        (self.found, self.pressed, self.top) = (None, false, 0);
        if !path.trim().is_empty() {
            ctx.effect(Effect::Load(Request::Preflight { flock: self.flock.clone(), path }));
        }
    }

    fn changed(&mut self, ctx: &mut Ctx<'_>) {
        if self.form.focus() == PATH {
            self.path_changed(ctx);
        } else {
            let tag = self.form.fields[TAG].value().trim();
            let error = shepard_model::inputs::check_tag(tag).err().map(|error| error.to_string());
            self.form.fields[TAG].error = error;
            self.pressed = false;
        }
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
            // A path that can be batched is whole, though there be more below it; any other one is not done.
            Tab::Several if !self.can_be_batched() => {}
            Tab::Several | Tab::Next => self.form.next(),
            Tab::Wait => {}
        }
    }

    fn can_be_batched(&self) -> bool {
        self.found.as_ref().is_some_and(|found| found.accepted > 0)
    }

    fn submit(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.session.read_only {
            ctx.say(true, "this session is read-only");
            return;
        }
        if self.path().trim().is_empty() {
            self.form.fields[PATH].error = Some("type or paste the path of a folder or a zip".to_owned());
            self.form.set_focus(PATH);
            return;
        }
        if self.form.to_first_error() {
            return;
        }
        self.insisted = true;
        let Some(found) = &self.found else {
            self.pressed = true;
            return;
        };
        match &found.report {
            Ok(report) if found.accepted == report.jobs.len() && found.accepted > 0 => {
                let command = self.command();
                ctx.run(command);
                ctx.go = Some(Go::Done);
            }
            Ok(report) if found.accepted > 0 => {
                let refused = report.jobs.len() - found.accepted;
                let lines = report.jobs.iter().filter_map(|job| {
                    let problem = job.problem.as_ref()?;
                    Some(format!("{}: {}", text::clean(&job.name), text::clean(problem)))
                });
                let title = format!(
                    "{refused} of {} cannot be batched. Batch the other {}?",
                    report.jobs.len(),
                    found.accepted
                );
                let then = Then::RunAndLeave(self.command());
                ctx.ask(Dialog::ask(title, lines.collect(), "Batch", then));
            }
            // It may have been mended meanwhile: look again, and go on if it was.
            Ok(_) | Err(_) => {
                self.form.set_focus(PATH);
                self.examine(ctx);
                self.pressed = true;
            }
        }
    }

    fn command(&self) -> Command {
        let tag = self.form.fields[TAG].value().trim();
        Command::Batch {
            flock: self.flock.clone(),
            path: self.path().trim().to_owned(),
            tag: (!tag.is_empty()).then(|| tag.to_owned()),
        }
    }

    fn scroll(&mut self, size: (u16, u16), by: isize) {
        self.top = self.top.saturating_add_signed(by).min(self.last_top(size));
    }
}

impl Behaviour for Batch {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Form]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        if !self.entered {
            self.entered = true;
            let start = format!("{}/", ctx.session.cwd.trim_end_matches('/'));
            self.form.fields[PATH].set_text(&start);
        }
        self.path_changed(ctx);
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::Paths(text, candidates) => {
                let Some(waited) = self.paths.take(text, candidates) else { return };
                let line = self.paths.line();
                self.form.fields[PATH].hint = line.unwrap_or_else(|| PATH_HINT.to_owned());
                if waited && self.form.focus() == PATH {
                    self.complete(ctx);
                }
            }
            News::Preflight(path, report) if *path == self.path() && self.found.is_none() => {
                self.found = Some(Findings::new(report));
                // Asked for already; what cannot be batched is only shown, or this would go round for ever.
                if std::mem::take(&mut self.pressed) && self.can_be_batched() {
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
