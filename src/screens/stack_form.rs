//! The settings of a stack, as a form: for a new flock on AWS, or for one that is to be changed.
//!
//! One word comes first, the stack's name, from which every other name follows. The template's parameters lie below in
//! its own groups, folded until somebody wants them; what differs from the usual has a mark. What is found of what is
//! typed belongs to the very text that is typed: an answer about an earlier one is shown as such and decides nothing.

mod draw;
mod settings;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::fields::{self, Typed};
use super::{Behaviour, News, PromptEvent, stack_words};
use crate::app::actions::{Action, Scope};
use crate::app::deploy::{Fact, Weight};
use crate::app::effect::{Command, Effect, Request};
use crate::app::key::{Code, Key};
use crate::app::model::{Ctx, Data, Go, Model};
use crate::app::nav::Place;
use crate::app::overlay::{Ask, Dialog, Prompt, Then};
use crate::app::remote::Remote;
use crate::app::stack::{
    Asked, Checks, Naming, StackAnswer, StackCommand, StackId, StackRequest, StackWish, Survey,
};
use crate::ui::Look;
use crate::ui::form::Field;
use settings::{Row, Settings};
use shepard_model::stack::Account;

const NAME: usize = 0;
const PROFILE: usize = 1;
const REGION: usize = 2;
const TEMPLATE: usize = 3;

const SCOPES: [Scope; 2] = [Scope::StackForm, Scope::Form];
const NAME_HINT: &str = "one word; every other name follows from it";
const PROFILE_HINT: &str = "of ~/.aws/config; empty is what the environment says";
const REGION_HINT: &str = "empty is what the profile or the environment says";
const TEMPLATE_HINT: &str = "a file with a changed template; empty is the one that comes with shepard";

/// The screen's state.
#[derive(Debug)]
pub struct StackForm {
    /// The stack that is changed; None makes a new one.
    existing: Option<StackId>,
    settings: Settings,
    /// Whose parameters are shown, and why others are not.
    shown_of: Option<Asked>,
    problem: Option<String>,
    /// Why what was sent did not work.
    failed: Option<String>,
    survey: Remote<Survey>,
    surveyed: Option<Account>,
    checks: Remote<Checks>,
    /// What the checks are about.
    checked: Option<StackWish>,
    /// Enter came before they were known.
    pressed: bool,
    /// First line shown of what was found.
    top: usize,
}

/// Longest name: with an account's number and a region behind it, it still has to name a bucket.
const LONGEST: usize = 18;

/// What the name of a stack cannot be.
fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if let Some(bad) = name.chars().find(|c| !fits(*c)) {
        return Err(format!("{bad:?} cannot be in it: a-z, 0-9 and -, for buckets are named after it"));
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("it begins with a letter of a-z".to_owned());
    }
    if name.len() > LONGEST {
        return Err(format!("{} characters are too many; {LONGEST} are the most", name.len()));
    }
    Ok(())
}

impl StackForm {
    /// For a new stack, or to change one.
    pub fn new(existing: Option<&StackId>) -> Self {
        let base = match existing {
            None => vec![
                Field::text("name", "", NAME_HINT),
                Field::text("profile", "", PROFILE_HINT),
                Field::text("region", "", REGION_HINT),
                Field::text("template", "", TEMPLATE_HINT),
            ],
            Some(_) => vec![Field::text("template", "", TEMPLATE_HINT)],
        };
        Self {
            existing: existing.cloned(),
            settings: Settings::new(base),
            shown_of: None,
            problem: None,
            failed: None,
            survey: Remote::default(),
            surveyed: None,
            checks: Remote::default(),
            checked: None,
            pressed: false,
            top: 0,
        }
    }

    fn base(&self, field: usize) -> Option<String> {
        let field = if self.existing.is_some() { field.checked_sub(TEMPLATE)? } else { field };
        let typed = self.settings.base.get(field)?.value().trim();
        (!typed.is_empty()).then(|| typed.to_owned())
    }

    fn stack(&self) -> StackId {
        self.existing.clone().unwrap_or_else(|| StackId {
            account: self.account(),
            stack: self.base(NAME).unwrap_or_default(),
        })
    }

    fn account(&self) -> Account {
        match &self.existing {
            Some(stack) => stack.account.clone(),
            None => Account { profile: self.base(PROFILE), region: self.base(REGION), ..Account::default() },
        }
    }

    fn asked(&self) -> Asked {
        Asked { stack: self.existing.clone(), template: self.base(TEMPLATE) }
    }

    fn wish(&self) -> StackWish {
        StackWish {
            stack: self.stack(),
            update: self.existing.is_some(),
            template: self.base(TEMPLATE),
            parameters: self.settings.differing(&self.naming()),
        }
    }

    /// The stack this is about, for its name.
    fn name(&self) -> String {
        self.stack().stack
    }

    /// What the names of a new stack are made from.
    fn naming(&self) -> Naming {
        let stack = self.stack();
        let number = self.survey.value.as_ref().and_then(|survey| survey.number.clone());
        Naming {
            word: stack.stack,
            account: number.unwrap_or_default(),
            region: stack.account.region.unwrap_or_default(),
        }
    }

    fn read(&mut self, ctx: &mut Ctx<'_>) {
        ctx.effect(Effect::Load(Request::Stack(StackRequest::Form(self.asked()))));
        self.look_around(ctx);
        self.examine(ctx);
    }

    fn look_around(&mut self, ctx: &mut Ctx<'_>) {
        let account = self.account();
        self.surveyed = Some(account.clone());
        ctx.effect(Effect::Load(Request::Stack(StackRequest::Survey(account))));
    }

    /// Asks what can be said of what is typed now.
    fn examine(&mut self, ctx: &mut Ctx<'_>) {
        let wish = self.wish();
        if !wish.stack.stack.is_empty() && self.shown_of.is_some() {
            ctx.effect(Effect::Load(Request::Stack(StackRequest::Checks(wish))));
        }
    }

    /// What was found of what is typed now.
    fn fresh(&self) -> Option<&Checks> {
        self.checks.value.as_ref().filter(|_| self.checked.as_ref() == Some(&self.wish()))
    }

    fn facts(&self) -> &[Fact] {
        self.checks.value.as_ref().map_or(&[], |checks| &checks.facts)
    }

    /// The worst that was found of a setting.
    fn weight(&self, name: &str) -> Option<Weight> {
        let about = self.facts().iter().filter(|fact| fact.about == name);
        about.map(|fact| fact.weight).max_by_key(|weight| match weight {
            Weight::Good => 0,
            Weight::Odd => 1,
            Weight::Wrong => 2,
        })
    }

    fn changed(&mut self, ctx: &mut Ctx<'_>) {
        (self.problem, self.failed, self.pressed) = (None, None, false);
        match self.settings.row() {
            Some(Row::Base(NAME)) if self.existing.is_none() => {
                let name = self.name();
                self.settings.base[NAME].error = if name.is_empty() { None } else { check_name(&name).err() };
                self.settings.name_after(&self.naming());
            }
            Some(Row::Base(PROFILE | REGION)) if self.existing.is_none() => {
                // Another account has another number.
                self.survey = Remote::default();
                self.settings.name_after(&self.naming());
                self.look_around(ctx);
            }
            Some(Row::Base(_)) => {
                ctx.effect(Effect::Load(Request::Stack(StackRequest::Form(self.asked()))));
            }
            Some(Row::Setting(group, at)) => self.settings.touch(group, at),
            Some(Row::Group(_)) | None => {}
        }
        self.examine(ctx);
    }

    fn complete(&mut self, ctx: &mut Ctx<'_>) {
        let choices = self.choices();
        let Some(field) = self.settings.field_mut() else { return self.settings.go(1) };
        let typed = field.value().to_owned();
        let next = match choices.iter().position(|choice| *choice == typed) {
            Some(at) => choices.get(at + 1).or_else(|| choices.first()),
            None => choices.iter().find(|choice| choice.starts_with(&typed)),
        };
        match next.filter(|next| **next != typed) {
            Some(next) => {
                field.set_text(next);
                field.error = None;
                self.changed(ctx);
            }
            None => self.settings.go(1),
        }
    }

    /// What the field that has the focus could be, as far as the account says.
    fn choices(&self) -> Vec<String> {
        let Some(survey) = &self.survey.value else { return Vec::new() };
        match self.settings.row() {
            Some(Row::Base(PROFILE)) if self.existing.is_none() => survey.profiles.clone(),
            Some(Row::Base(REGION)) if self.existing.is_none() => survey.regions.clone(),
            Some(Row::Setting(group, at)) => {
                let setting = &self.settings.groups[group].settings[at];
                let choices = survey.choices.get(&setting.parameter.name).cloned().unwrap_or_default();
                if matches!(setting.field.value, crate::ui::form::Value::Text(_)) {
                    choices
                } else {
                    Vec::new()
                }
            }
            _ => Vec::new(),
        }
    }

    fn submit(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.session.read_only {
            return ctx.say(true, "this session is read-only");
        }
        let name = self.name();
        if self.existing.is_none() {
            let error = if name.is_empty() {
                Some("it needs a name: one word of a-z, 0-9 and -".to_owned())
            } else {
                check_name(&name).err()
            };
            self.settings.base[NAME].error = error;
        }
        if self.shown_of.is_none() {
            return ctx.say(true, "the template's settings are not known yet");
        }
        self.settings.check();
        if self.settings.focus_first_error() {
            return;
        }
        let Some(checks) = self.fresh() else {
            // It goes on when what is typed has been looked at.
            self.examine(ctx);
            self.pressed = true;
            return;
        };
        if let Some(wrong) = checks.facts.iter().find(|fact| fact.weight == Weight::Wrong) {
            let about = wrong.about.clone();
            self.settings.focus_setting(&about);
            return ctx.say(true, "mend what is wrong first; pgdn shows all that was found");
        }
        self.send(ctx);
    }

    fn send(&mut self, ctx: &mut Ctx<'_>) {
        let wish = self.wish();
        if let Some(stack) = &self.existing {
            let place = Place::StackChanges(stack.clone());
            ctx.run(Command::Stack(StackCommand::Propose(wish)));
            return ctx.go(place);
        }
        let mut lines = Vec::new();
        let survey = self.survey.value.as_ref();
        let who = survey.map(|survey| survey.who.as_str()).filter(|who| !who.is_empty());
        lines.extend(who.map(|who| format!("account: {who}")));
        lines.push(format!("where: {}", wish.stack.account.label()));
        if let Some(checks) = self.fresh() {
            let month = stack_words::dollars(checks.monthly_cents());
            lines.push(format!("costs while no job runs: {month} a month"));
        }
        lines.extend(wish.template.as_ref().map(|file| format!("template: {file}")));
        lines.extend(self.settings.told());
        let events = Place::StackEvents(wish.stack.clone());
        let title = format!("Stand up {}?", wish.stack.stack);
        let then = Then::RunAndGo(Command::Stack(StackCommand::Up(wish)), events);
        ctx.ask(Dialog::ask(title, lines, "Stand up", then));
    }

    fn answered(&mut self, ctx: &mut Ctx<'_>, answer: &StackAnswer) {
        match answer {
            StackAnswer::Form { asked, groups } if *asked == self.asked() => match groups {
                Ok(groups) => {
                    self.settings.take(groups, &self.naming());
                    (self.shown_of, self.problem) = (Some(asked.clone()), None);
                    self.examine(ctx);
                }
                Err(problem) => self.problem = Some(problem.text.clone()),
            },
            StackAnswer::Survey { account, survey } if self.surveyed.as_ref() == Some(account) => {
                self.survey.take(survey.clone().map(|survey| *survey), ctx.now_ms);
                let region = self.survey.value.as_ref().and_then(|survey| survey.region.clone());
                // A flock's name has its region in it: what is used is said.
                if let (None, Some(region), None) = (&account.region, region, &self.existing) {
                    self.settings.base[REGION].set_text(&region);
                    self.surveyed = Some(self.account());
                }
                self.settings.name_after(&self.naming());
                self.examine(ctx);
            }
            StackAnswer::Checks { wish, checks } if **wish == self.wish() => {
                self.checks.take(checks.clone(), ctx.now_ms);
                self.checked = checks.is_ok().then(|| (**wish).clone());
                self.top = 0;
                // Asked for already; what is wrong is only shown, or this would go round for ever.
                if std::mem::take(&mut self.pressed) && self.fresh().is_some() {
                    self.submit(ctx);
                }
            }
            _ => {}
        }
    }
}

impl Behaviour for StackForm {
    fn scopes(&self) -> &'static [Scope] {
        &SCOPES
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        self.read(ctx);
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        match news {
            News::StackAnswer(answer) => self.answered(ctx, answer),
            News::Finished(Command::Stack(StackCommand::Up(wish)), result)
                if self.existing.is_none() && wish.stack == self.stack() =>
            {
                match result {
                    Ok(_) => *self = Self::new(None),
                    // Nothing that was typed is lost.
                    Err(problem) => self.failed = Some(problem.text.clone()),
                }
            }
            // What was carried out is what the stack has now.
            News::Finished(Command::Stack(StackCommand::Accept { stack, .. }), Ok(_))
                if self.existing.as_ref() == Some(stack) =>
            {
                self.read(ctx);
            }
            _ => {}
        }
    }

    fn typed(&mut self, ctx: &mut Ctx<'_>, key: Key) -> bool {
        if let Some(Row::Group(group)) = self.settings.row() {
            match key.code {
                Code::Char(' ') => self.settings.fold(group, None),
                Code::Right => self.settings.fold(group, Some(true)),
                Code::Left => self.settings.fold(group, Some(false)),
                // There is nothing to type into; what is bound here works, and no letter leaves the form.
                _ => return key.typed().is_some() && ctx.session.keymap.action(&SCOPES, key).is_none(),
            }
            return true;
        }
        let Some(field) = self.settings.field_mut() else { return false };
        let text = matches!(field.value, crate::ui::form::Value::Text(_));
        if !text && ctx.session.keymap.action(&SCOPES, key).is_some() {
            return false;
        }
        match fields::typed_into(field, &SCOPES, &ctx.session.keymap, key) {
            Typed::No => return false,
            Typed::Kept => {}
            Typed::Changed => self.changed(ctx),
        }
        true
    }

    fn pasted(&mut self, ctx: &mut Ctx<'_>, text: &str) {
        if self.settings.field_mut().is_some_and(|field| fields::pasted_into(field, text)) {
            self.changed(ctx);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        match action {
            Action::Complete => self.complete(ctx),
            Action::NextField => self.settings.go(1),
            Action::PreviousField => self.settings.go(-1),
            Action::FormPageDown => self.top = (self.top + 3).min(self.facts().len().saturating_sub(1)),
            Action::FormPageUp => self.top = self.top.saturating_sub(3),
            Action::FormFind => ctx.prompt(Prompt::new(Ask::Parameter, self.settings.filter.clone())),
            Action::FormUsual => {
                if self.settings.as_usual(&self.naming()) {
                    self.examine(ctx);
                }
            }
            Action::Cancel if !self.settings.filter.is_empty() => self.settings.narrow(""),
            Action::Cancel => ctx.go = Some(Go::Done),
            Action::Submit => self.submit(ctx),
            _ => return false,
        }
        true
    }

    fn prompted(&mut self, _ctx: &mut Ctx<'_>, ask: Ask, event: &PromptEvent) {
        if let (
            Ask::Parameter,
            PromptEvent::Typed(text) | PromptEvent::Cancelled(text) | PromptEvent::Entered(text),
        ) = (ask, event)
        {
            self.settings.narrow(text);
        }
    }

    fn moves(&self, _data: &Data) -> bool {
        false
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        draw::draw(self, model, look, frame, area);
    }
}
