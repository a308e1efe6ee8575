//! The form for a new flock on this machine: its name, what its jobs run, and how many run at once.
//!
//! It stays until the flock is there: what went wrong is said beside what was typed, and nothing typed is lost.

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::facts::{self, Shown};
use super::fields::{self, Completion, Tab, Typed};
use super::{Behaviour, News};
use crate::app::actions::{Action, Scope};
use crate::app::deploy::{Fact, Source};
use crate::app::effect::{Command, Effect, Request};
use crate::app::key::Key;
use crate::app::model::{Ctx, Data, Go, Model};
use crate::app::nav::Place;
use crate::ui::form::{Field, Form};
use crate::ui::text_view::{Line, TextView};
use crate::ui::{Look, Role, layout};

const NAME: usize = 0;
const RUNS: usize = 1;
const PAYLOAD: usize = 2;
const IMAGE: usize = 3;
const AT_ONCE: usize = 4;

const RULE: &str = "1 to 64 of a-z, 0-9, - and _; the first is a letter or a digit";
const FOLDER_HINT: &str = "its files are copied into the flock; run.sh is run for each job";
const COMMAND_HINT: &str = "run for each job without a shell; quotes keep words together";
const OWN_HINT: &str = "takes the place of the image's own program; empty leaves it that";
const IMAGE_HINT: &str = "jobs run in containers of it; empty is processes of this machine";
/// Words of the choice, in its order.
const WORDS: [&str; 2] = ["a folder with run.sh", "a command"];
/// What a job finds, whichever of the two it is.
const ABOUT: [&str; 3] = [
    "A job's variables are in its environment.",
    "Its input files are in the folder $ROOT_INPUT_NAME.",
    "What it writes to the folder $ROOT_OUTPUT_NAME is its result.",
];

/// The screen's state.
#[derive(Debug)]
pub struct NewFlock {
    form: Form,
    /// The field of the other choice, with what was typed into it.
    other: Field,
    paths: Completion,
    /// What can be said of the image that is typed; None until that is known, and without one.
    found: Option<Vec<Fact>>,
    /// What was asked for and has not ended.
    creating: Option<Command>,
    /// Why the last attempt did not work.
    problem: Option<String>,
}

impl Default for NewFlock {
    fn default() -> Self {
        Self {
            form: Form::new(vec![
                Field::text("name", "", RULE),
                Field::choice("jobs run", &WORDS, "space or the arrows choose"),
                Field::text("folder", "", FOLDER_HINT),
                Field::text("image", "", IMAGE_HINT),
                Field::text("jobs at once", "", "a number; empty is as many as there are cores"),
            ]),
            other: Field::text("command", "", COMMAND_HINT),
            paths: Completion::default(),
            found: None,
            creating: None,
            problem: None,
        }
    }
}

fn check_name(data: &Data, name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = |c: char| plain(c) || c == '-' || c == '_';
    if let Some(bad) = name.chars().find(|c| !fits(*c)) {
        return Err(format!("{bad:?} cannot be in a name; {RULE}"));
    }
    if name.starts_with(['-', '_']) {
        return Err("a name begins with a letter or a digit".to_owned());
    }
    if name.len() > 64 {
        return Err(format!("{} characters are too many; 64 are the most", name.len()));
    }
    if data.flock(name).is_some() {
        return Err(format!("there is a flock {name} already; take another name"));
    }
    Ok(())
}

fn check_at_once(typed: &str) -> Result<Option<u32>, String> {
    match typed.trim() {
        "" => Ok(None),
        typed => match typed.parse() {
            Ok(0) | Err(_) => Err("a whole number from 1 on, or nothing".to_owned()),
            Ok(number) => Ok(Some(number)),
        },
    }
}

impl NewFlock {
    fn value(&self, field: usize) -> &str {
        self.form.fields[field].value()
    }

    fn is_folder(&self) -> bool {
        self.value(RUNS) == WORDS[0]
    }

    /// Checks the field that has just changed, as far as it can be wrong half-typed.
    fn changed(&mut self, ctx: &mut Ctx<'_>) {
        self.problem = None;
        match self.form.focus() {
            NAME => self.form.fields[NAME].error = check_name(ctx.data, self.value(NAME)).err(),
            RUNS => {
                std::mem::swap(&mut self.form.fields[PAYLOAD], &mut self.other);
            }
            PAYLOAD if self.is_folder() => self.path_changed(ctx),
            IMAGE => self.image_changed(ctx),
            AT_ONCE => self.form.fields[AT_ONCE].error = check_at_once(self.value(AT_ONCE)).err(),
            _ => {}
        }
    }

    fn image_changed(&mut self, ctx: &mut Ctx<'_>) {
        self.found = None;
        let image = self.value(IMAGE).to_owned();
        self.form.fields[IMAGE].error = fields::check_image(image.trim()).err();
        // What was wrong without an image may be right with one.
        self.form.fields[PAYLOAD].error = None;
        let command = if self.is_folder() { &mut self.other } else { &mut self.form.fields[PAYLOAD] };
        command.hint = if image.trim().is_empty() { COMMAND_HINT } else { OWN_HINT }.to_owned();
        if !image.trim().is_empty() && self.form.fields[IMAGE].error.is_none() {
            ctx.effect(Effect::Load(Request::Outlook(Source::Image(image))));
        }
    }

    fn path_changed(&mut self, ctx: &mut Ctx<'_>) {
        let path = self.value(PAYLOAD).to_owned();
        self.form.fields[PAYLOAD].hint = FOLDER_HINT.to_owned();
        self.paths.ask(ctx, &path);
    }

    fn complete(&mut self, ctx: &mut Ctx<'_>) {
        if self.form.focus() != PAYLOAD || !self.is_folder() || self.value(PAYLOAD).is_empty() {
            self.form.next();
            return;
        }
        match self.paths.tab() {
            Tab::Complete(path) => {
                self.form.fields[PAYLOAD].set_text(&path);
                self.form.fields[PAYLOAD].error = None;
                self.problem = None;
                self.path_changed(ctx);
            }
            // A folder is whole though there be more below it; half a name is not.
            Tab::Several if !self.value(PAYLOAD).ends_with('/') => {}
            Tab::Several | Tab::Next => self.form.next(),
            Tab::Wait => {}
        }
    }

    /// The command the form stands for; what is wrong is put beside the fields.
    fn command(&mut self, data: &Data) -> Option<Command> {
        let name = self.value(NAME).to_owned();
        let name_error = if name.is_empty() {
            Some(format!("it needs a name: {RULE}"))
        } else {
            check_name(data, &name).err()
        };
        let payload = self.value(PAYLOAD).trim().to_owned();
        let folder = self.is_folder();
        let image = self.value(IMAGE).trim().to_owned();
        let image_error = fields::check_image(&image).err();
        let payload_error = match (folder, payload.is_empty()) {
            (false, true) if !image.is_empty() => None,
            (true, true) => Some("type or paste the path of a folder that has a run.sh"),
            (false, true) => Some("type the command, such as: python3 /home/me/job.py; or name an image"),
            (false, false) if shlex::split(&payload).is_none_or(|words| words.is_empty()) => {
                Some("a quote or a backslash at the end is not closed")
            }
            _ => None,
        };
        let max_jobs = check_at_once(self.value(AT_ONCE));
        self.form.fields[NAME].error = name_error;
        self.form.fields[PAYLOAD].error = payload_error.map(str::to_owned);
        self.form.fields[IMAGE].error = image_error;
        self.form.fields[AT_ONCE].error = max_jobs.clone().err();
        if self.form.to_first_error() {
            return None;
        }
        Some(Command::CreateFlock {
            name,
            command: (!folder && !payload.is_empty()).then(|| payload.clone()),
            quick_deploy: folder.then_some(payload),
            image: (!image.is_empty()).then_some(image),
            max_jobs: max_jobs.unwrap_or_default(),
        })
    }

    fn submit(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.session.read_only {
            ctx.say(true, "this session is read-only");
            return;
        }
        if self.creating.is_some() {
            return;
        }
        self.problem = None;
        if let Some(command) = self.command(ctx.data) {
            self.creating = Some(command.clone());
            ctx.run(command);
        }
    }

    /// Which way each job would run.
    fn way(&self) -> String {
        let contained = !self.value(IMAGE).trim().is_empty();
        let what = match (self.is_folder(), self.value(PAYLOAD).trim().is_empty()) {
            (true, _) => "run.sh",
            (false, true) if contained => "the image's own program",
            (false, _) => "the command",
        };
        if contained {
            format!(
                "Each job runs {what} in a container of its own, with nothing of this machine granted to it."
            )
        } else {
            format!("Each job runs {what} as a process of this machine, not isolated from it.")
        }
    }

    fn status(&self, look: &Look) -> Vec<Shown> {
        if let Some(problem) = &self.problem {
            return vec![
                Shown::plain(Role::Error, &format!("error: {problem}")),
                Shown::plain(Role::Muted, "Mend it and press enter again."),
            ];
        }
        if self.creating.is_some() {
            return vec![Shown::plain(Role::Info, &format!("creating the flock{}", look.glyphs.ellipsis))];
        }
        let mut said = vec![Shown::plain(Role::Text, &self.way())];
        said.extend(ABOUT.iter().map(|line| Shown::plain(Role::Muted, line)));
        if let Some(found) = &self.found {
            said.push(Shown::plain(Role::Text, ""));
            said.extend(facts::shown(found, None, look));
        }
        said
    }
}

impl Behaviour for NewFlock {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Form]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        if self.form.fields[PAYLOAD].value().is_empty() && self.is_folder() {
            let start = format!("{}/", ctx.session.cwd.trim_end_matches('/'));
            self.form.fields[PAYLOAD].set_text(&start);
            self.path_changed(ctx);
        }
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::Paths(text, candidates) if self.is_folder() => {
                let Some(waited) = self.paths.take(text, candidates) else { return };
                let line = self.paths.line();
                self.form.fields[PAYLOAD].hint = line.unwrap_or_else(|| FOLDER_HINT.to_owned());
                if waited && self.form.focus() == PAYLOAD {
                    self.complete(ctx);
                }
            }
            News::Outlook(Source::Image(image), found) if image == self.value(IMAGE) => {
                self.found = Some(found.to_vec());
            }
            News::Finished(command, result) if self.creating.as_ref() == Some(*command) => {
                self.creating = None;
                match (result, command) {
                    (Ok(_), Command::CreateFlock { name, .. }) => {
                        let flock = name.clone();
                        *self = Self::default();
                        ctx.run(Command::StartFlock { flock: flock.clone() });
                        ctx.go(Place::Jobs { flock });
                    }
                    (Ok(_), _) => {}
                    (Err(problem), _) => self.problem = Some(problem.text.clone()),
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
        match action {
            Action::Complete => self.complete(ctx),
            Action::NextField => self.form.next(),
            Action::PreviousField => self.form.previous(),
            Action::Submit => self.submit(ctx),
            Action::Cancel => ctx.go = Some(Go::Done),
            _ => return false,
        }
        true
    }

    /// While the flock is made its age is in the header; nothing here moves by itself.
    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let title = "A new flock on this machine";
        layout::put(frame.buffer_mut(), area.x + 1, area.y, area.width, title, look, Role::Title);
        let below = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
        let below = fields::draw(&self.form, model, look, frame, below);
        let lines = self.status(look);
        let lines: Vec<Line<'_>> = lines.iter().map(Shown::line).collect();
        let room = Rect {
            x: below.x + 1,
            y: below.y + 1,
            width: below.width.saturating_sub(2),
            height: below.height.saturating_sub(1),
        };
        TextView { wrap: true, ..TextView::default() }.render(look, &lines, room, frame.buffer_mut());
    }
}
