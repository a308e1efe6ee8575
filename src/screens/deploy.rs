//! The form that deploys: what, to where, and what stands against it before anything is built. Then how far it is, and
//! what came of it.
//!
//! What is shown belongs to what is typed, or nothing is shown: an answer about an earlier text is dropped. While a deploy
//! runs there is no form: `esc` leaves it running, and who comes back finds it again.

mod draw;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::fields::{self, Completion, Tab, Typed};
use super::{Behaviour, News, facts};
use crate::app::actions::{Action, Scope};
use crate::app::deploy::{Fact, Source, Wish};
use crate::app::effect::{Command, Effect, Request};
use crate::app::key::Key;
use crate::app::model::{Ctx, Data, Go, Model};
use crate::app::nav::Place;
use crate::ui::Look;
use crate::ui::form::{Field, Form};

const WHAT: usize = 0;
const SOURCE: usize = 1;
const REPOSITORY: usize = 2;
const NESTED: usize = 3;

/// Words of the choice, in its order.
const WORDS: [&str; 2] = ["a folder with a Dockerfile", "an image that exists"];
const FOLDER_HINT: &str = "a folder with a Dockerfile or a Dockerfile.txt";
const IMAGE_HINT: &str = "its name or id, as the engine or a registry knows it";
const REPOSITORY_HINT: &str = "HOST/NAME, or a NAME in your AWS account; empty is this machine";
const NESTED_HINT: &str = "puts the payload into the flock's image: jobs need not pull it";
const CACHE_HINT: &str = "builds every step again";

/// Most lines of the builder that are kept: more than fit the screen are of no use.
const LINES: usize = 200;

/// What the screen shows.
#[derive(Debug, Default)]
enum State {
    /// The form.
    #[default]
    Form,
    /// How far the deploy is.
    UnderWay(Command),
    /// That it is done, in a sentence.
    Done(String),
}

/// The screen's state.
#[derive(Debug)]
pub struct Deploy {
    flock: String,
    state: State,
    form: Form,
    /// The field of the other choice, with what was typed into it.
    other: Field,
    /// Of a folder alone; kept here while an image is chosen.
    no_cache: Option<Field>,
    entered: bool,
    paths: Completion,
    /// What can be said of what is typed; None until that is known.
    found: Option<Vec<Fact>>,
    /// Enter came before that was known.
    pressed: bool,
    /// Enter was pressed on this text: what is wrong with it is no longer half a word.
    insisted: bool,
    /// Why the last deploy did not work.
    problem: Option<String>,
    /// What the deploy had to say, oldest first.
    said: VecDeque<String>,
}

impl Deploy {
    /// For a flock.
    pub fn new(flock: &str) -> Self {
        let mut form = Form::new(vec![
            Field::choice("deploy", &WORDS, "space or the arrows choose"),
            Field::text("folder", "", FOLDER_HINT),
            Field::text("repository", "", REPOSITORY_HINT),
            Field::switch("nested", false, NESTED_HINT),
            Field::switch("no cache", false, CACHE_HINT),
        ]);
        // A folder is what most people deploy: they type its path at once.
        form.set_focus(SOURCE);
        Self {
            flock: flock.to_owned(),
            state: State::default(),
            form,
            other: Field::text("image", "", IMAGE_HINT),
            no_cache: None,
            entered: false,
            paths: Completion::default(),
            found: None,
            pressed: false,
            insisted: false,
            problem: None,
            said: VecDeque::new(),
        }
    }

    fn value(&self, field: usize) -> &str {
        self.form.fields[field].value().trim()
    }

    fn is_folder(&self) -> bool {
        self.value(WHAT) == WORDS[0]
    }

    fn source(&self) -> Source {
        // Untrimmed: it is what answers are told apart by.
        let typed = self.form.fields[SOURCE].value().to_owned();
        if self.is_folder() { Source::Folder(typed) } else { Source::Image(typed) }
    }

    fn repository(&self) -> Option<String> {
        Some(self.value(REPOSITORY)).filter(|typed| !typed.is_empty()).map(str::to_owned)
    }

    /// What is deployed is another one: everything known is about an earlier one.
    fn source_changed(&mut self, ctx: &mut Ctx<'_>) {
        if self.is_folder() {
            let path = self.form.fields[SOURCE].value().to_owned();
            self.form.fields[SOURCE].hint = FOLDER_HINT.to_owned();
            self.paths.ask(ctx, &path);
        }
        self.insisted = false;
        self.examine(ctx);
    }

    fn examine(&mut self, ctx: &mut Ctx<'_>) {
        (self.found, self.pressed, self.problem) = (None, false, None);
        if !self.value(SOURCE).is_empty() {
            ctx.effect(Effect::Load(Request::Outlook(self.source())));
        }
    }

    fn changed(&mut self, ctx: &mut Ctx<'_>) {
        self.pressed = false;
        match self.form.focus() {
            WHAT => {
                std::mem::swap(&mut self.form.fields[SOURCE], &mut self.other);
                // There is nothing to build of an image.
                if self.is_folder() {
                    self.form.fields.extend(self.no_cache.take());
                } else {
                    self.no_cache = self.form.fields.pop();
                }
                self.source_changed(ctx);
            }
            SOURCE => self.source_changed(ctx),
            REPOSITORY => {
                self.form.fields[REPOSITORY].error = check_repository(self.value(REPOSITORY)).err();
                self.form.fields[NESTED].error = None;
            }
            _ => {}
        }
    }

    fn complete(&mut self, ctx: &mut Ctx<'_>) {
        if self.form.focus() != SOURCE || !self.is_folder() {
            self.form.next();
            return;
        }
        match self.paths.tab() {
            Tab::Complete(path) => {
                self.form.fields[SOURCE].set_text(&path);
                self.form.fields[SOURCE].error = None;
                self.source_changed(ctx);
            }
            // A folder that can be deployed is whole, though there be more below it; any other one is not done.
            Tab::Several if !self.can_be_deployed() => {}
            Tab::Several | Tab::Next => self.form.next(),
            Tab::Wait => {}
        }
    }

    fn can_be_deployed(&self) -> bool {
        self.found.as_deref().is_some_and(facts::is_good)
    }

    fn check(&mut self) {
        let source = match (self.value(SOURCE), self.is_folder()) {
            ("", true) => Err("type or paste the path of a folder that has a Dockerfile".to_owned()),
            ("", false) => Err("type the name of an image, such as busybox:latest".to_owned()),
            (image, false) => fields::check_image(image),
            (_, true) => Ok(()),
        };
        self.form.fields[SOURCE].error = source.err();
        self.form.fields[REPOSITORY].error = check_repository(self.value(REPOSITORY)).err();
        let lone = self.form.fields[NESTED].is_on() && self.repository().is_none();
        let why = "only with a repository: a flock of this machine runs the payload itself";
        self.form.fields[NESTED].error = lone.then(|| why.to_owned());
    }

    fn submit(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.session.read_only {
            ctx.say(true, "this session is read-only");
            return;
        }
        self.check();
        if self.form.to_first_error() {
            return;
        }
        self.insisted = true;
        match &self.found {
            None => self.pressed = true,
            Some(found) if facts::is_good(found) => self.begin(ctx),
            // It may have been mended meanwhile: look again, and go on if it was.
            Some(_) => {
                self.examine(ctx);
                self.pressed = true;
            }
        }
    }

    fn begin(&mut self, ctx: &mut Ctx<'_>) {
        let wish = Wish {
            flock: self.flock.clone(),
            source: match self.source() {
                Source::Folder(path) => Source::Folder(path.trim().to_owned()),
                Source::Image(name) => Source::Image(name.trim().to_owned()),
            },
            repository: self.repository(),
            nested: self.form.fields[NESTED].is_on(),
            no_cache: self.is_folder() && self.form.fields.last().is_some_and(Field::is_on),
        };
        let command = Command::Deploy(wish);
        self.said.clear();
        self.problem = None;
        self.state = State::UnderWay(command.clone());
        ctx.run(command);
    }

    fn ended(&mut self, ctx: &mut Ctx<'_>, result: Result<&str, &str>) {
        match result {
            Ok(text) => self.state = State::Done(text.to_owned()),
            Err(text) => {
                self.state = State::Form;
                self.examine(ctx);
                self.problem = Some(text.to_owned());
            }
        }
    }
}

/// What the name of a repository cannot be, as far as can be said without asking anybody.
fn check_repository(typed: &str) -> Result<(), String> {
    let tagged =
        typed.rsplit('/').next().is_some_and(|name| name.contains([':', '@'])) && typed.contains('/');
    if typed.contains("://") {
        Err("a repository is HOST/NAME, without what comes before ://".to_owned())
    } else if typed.contains(char::is_whitespace) {
        Err("there is a blank in it; a repository is HOST/NAME".to_owned())
    } else if tagged {
        Err("without a tag: a release gets a name of its own".to_owned())
    } else {
        Ok(())
    }
}

impl Behaviour for Deploy {
    fn scopes(&self) -> &'static [Scope] {
        match self.state {
            State::UnderWay(_) => &[Scope::Text],
            State::Form | State::Done(_) => &[Scope::Form],
        }
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        // One that was begun here and left, or whose form was forgotten.
        let running = ctx.ops.running.iter().find_map(|op| match &op.command {
            Command::Deploy(wish) if wish.flock == self.flock => Some(op.command.clone()),
            _ => None,
        });
        match (running, &self.state) {
            (Some(command), State::Form) => self.state = State::UnderWay(command),
            (None, State::Form) => {
                if !self.entered {
                    self.entered = true;
                    let start = format!("{}/", ctx.session.cwd.trim_end_matches('/'));
                    let folder =
                        if self.is_folder() { &mut self.form.fields[SOURCE] } else { &mut self.other };
                    folder.set_text(&start);
                }
                let problem = self.problem.take();
                self.source_changed(ctx);
                self.problem = problem;
            }
            (_, State::UnderWay(_) | State::Done(_)) => {}
        }
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::Paths(text, candidates) if self.is_folder() => {
                let Some(waited) = self.paths.take(text, candidates) else { return };
                let line = self.paths.line();
                self.form.fields[SOURCE].hint = line.unwrap_or_else(|| FOLDER_HINT.to_owned());
                if waited && self.form.focus() == SOURCE {
                    self.complete(ctx);
                }
            }
            News::Outlook(source, found) if **source == self.source() && self.found.is_none() => {
                self.found = Some(found.to_vec());
                // Asked for already; what cannot be deployed is only shown, or this would go round for ever.
                if std::mem::take(&mut self.pressed) && self.can_be_deployed() {
                    self.submit(ctx);
                }
            }
            News::Progress(command, note) => {
                let mine = matches!(&self.state, State::UnderWay(mine) if mine == *command);
                if mine && !note.is_empty() && self.said.back().is_none_or(|last| last != note) {
                    self.said.push_back((*note).to_owned());
                    if self.said.len() > LINES {
                        self.said.pop_front();
                    }
                }
            }
            News::Finished(command, result) => {
                if matches!(&self.state, State::UnderWay(mine) if mine == *command) {
                    let result = result.as_ref().map(|done| done.text.as_str());
                    self.ended(ctx, result.map_err(|problem| problem.text.as_str()));
                }
            }
            _ => {}
        }
    }

    fn typed(&mut self, ctx: &mut Ctx<'_>, key: Key) -> bool {
        match self.state {
            State::UnderWay(_) => return false,
            // Nothing to type into, and a letter must not become what it means elsewhere.
            State::Done(_) => return key.typed().is_some(),
            State::Form => {}
        }
        match fields::typed(&mut self.form, &ctx.session.keymap, key) {
            Typed::No => return false,
            Typed::Kept => {}
            Typed::Changed => self.changed(ctx),
        }
        true
    }

    fn pasted(&mut self, ctx: &mut Ctx<'_>, text: &str) {
        if matches!(self.state, State::Form) && fields::pasted(&mut self.form, text) {
            self.changed(ctx);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        match (&self.state, action) {
            (State::UnderWay(_), _) => return false,
            (State::Done(_), Action::Submit | Action::Cancel) => {
                *self = Self::new(&self.flock);
                ctx.go(Place::Jobs { flock: self.flock.clone() });
            }
            (State::Done(_), _) => return false,
            (State::Form, Action::Complete) => self.complete(ctx),
            (State::Form, Action::NextField) => self.form.next(),
            (State::Form, Action::PreviousField) => self.form.previous(),
            (State::Form, Action::Submit) => self.submit(ctx),
            (State::Form, Action::Cancel) => ctx.go = Some(Go::Done),
            (State::Form, _) => return false,
        }
        true
    }

    fn moves(&self, _data: &Data) -> bool {
        matches!(self.state, State::UnderWay(_))
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        draw::draw(self, model, look, frame, area);
    }
}
