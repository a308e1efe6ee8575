//! Renewing the session with AWS, and picking the account that is looked at: what keys and news do to the model.

use super::account::{
    Choices, CodeEntry, IdentityNews, Pick, Picked, Renewal, Typed, looked_at, paused, picked,
};
use super::effect::{Command, Effect, Request, Sub};
use super::key::Key;
use super::model::Model;
use super::overlay::Overlay;
use super::remote::{Problem, ProblemKind};

/// Who one is, or that nobody can say.
pub(super) fn identified(model: &mut Model, news: IdentityNews) -> Vec<Effect> {
    let now_ms = model.now_ms;
    let (before, offline) = (paused(model).is_some(), model.account.who.problem.is_some());
    let well = news.who.is_ok();
    model.account.take(news, now_ms);
    let lost = paused(model);
    if let (Some(problem), Some(flock)) = (&lost, model.nav.place().flock()) {
        // What is on the screen is old from now on, and looks it.
        let flock = flock.to_owned();
        if let Some(jobs) = model.data.jobs.get_mut(&flock) {
            jobs.problem = Some(problem.clone());
        }
    }
    if well && (before || offline) {
        model.ops.say(false, "the session with AWS is there again", now_ms);
        model.data.asked_again = model.data.asked_again.wrapping_add(1);
        // A code that was asked for meanwhile is not needed any more.
        if matches!(model.overlay, Some(Overlay::Code(_))) {
            model.overlay = None;
        }
    }
    Vec::new()
}

/// A feed of AWS that failed for want of a session says so for all of them.
pub(super) fn noticed(model: &mut Model, sub: &Sub, problem: &Problem) {
    if !problem.kind.is_of_the_session() || matches!(sub, Sub::Identity { .. } | Sub::Flocks) {
        return;
    }
    let Some(account) = looked_at(model) else { return };
    if model.account.of.as_ref() == Some(&account) && model.account.who.problem.is_none() {
        model.account.who.problem = Some(problem.clone());
        // Who knows better is asked at once.
        model.account.again += 1;
    }
}

/// The one key that renews, whatever that takes.
pub(super) fn renew(model: &mut Model) -> Vec<Effect> {
    let now_ms = model.now_ms;
    let Some(account) = looked_at(model) else {
        model.ops.say(
            true,
            "no account of AWS is looked at; open a flock on AWS, or pick a profile with p",
            now_ms,
        );
        return Vec::new();
    };
    if model.account.of.as_ref() != Some(&account) {
        model.ops.say(false, "AWS is being asked who you are; again in a moment", now_ms);
        return Vec::new();
    }
    match model.account.renewal.clone() {
        Renewal::Code { serial, role } => {
            model.overlay = Some(Overlay::Code(CodeEntry::new(account, serial, role)));
            Vec::new()
        }
        Renewal::SignIn(line) => {
            let text =
                format!("run `{line}` in another terminal; this goes on by itself once you are signed in");
            model.ops.say(false, text, now_ms);
            model.account.again += 1;
            Vec::new()
        }
        Renewal::Nothing => {
            let command = Command::Renew { account, code: None };
            let op = model.ops.begin(command.clone(), now_ms);
            vec![Effect::Run(op, command)]
        }
    }
}

/// A key while a code is asked for.
pub(super) fn code_key(model: &mut Model, mut entry: CodeEntry, key: Key) -> Vec<Effect> {
    match entry.key(key) {
        Typed::Open => {
            model.overlay = Some(Overlay::Code(entry));
            Vec::new()
        }
        Typed::Cancel => Vec::new(),
        Typed::Renew(code) => {
            let account = entry.account.clone();
            // What is kept of a running command is shown and compared: it has no code.
            let shown = Command::Renew { account: account.clone(), code: None };
            let op = model.ops.begin(shown, model.now_ms);
            vec![Effect::Run(op, Command::Renew { account, code })]
        }
    }
}

/// Opens a list to pick from.
pub(super) fn pick(model: &mut Model, what: Picked) -> Vec<Effect> {
    model.overlay = Some(Overlay::Pick(Pick::new(what)));
    vec![Effect::Load(Request::Accounts)]
}

/// What there is to pick from.
pub(super) fn choices(model: &mut Model, choices: Result<Choices, Problem>) -> Vec<Effect> {
    let now_ms = model.now_ms;
    let current = looked_at(model).or_else(|| model.account.chosen.clone());
    let Some(Overlay::Pick(pick)) = &mut model.overlay else { return Vec::new() };
    match choices {
        Ok(choices) => pick.fill(&choices, current.as_ref()),
        Err(problem) => {
            model.overlay = None;
            model.ops.say(true, problem.text, now_ms);
        }
    }
    Vec::new()
}

/// A key while a list is open.
pub(super) fn pick_key(model: &mut Model, mut pick: Pick, key: Key) -> Vec<Effect> {
    let Some(chosen) = pick.key(key) else {
        model.overlay = Some(Overlay::Pick(pick));
        return Vec::new();
    };
    let Some(name) = chosen else { return Vec::new() };
    let before = looked_at(model).or_else(|| model.account.chosen.clone());
    let account = picked(before.as_ref(), pick.what, &name);
    let now_ms = model.now_ms;
    model.ops.say(false, format!("looking at {}", account.label()), now_ms);
    model.account.chosen = Some(account);
    model.account.again += 1;
    model.data.asked_again = model.data.asked_again.wrapping_add(1);
    // A flock has an account of its own.
    if model.nav.place().flock().is_some() {
        return super::update::go(model, super::nav::Place::Flocks);
    }
    Vec::new()
}

/// What is said in one line of what is missing, and the key that does something about it.
pub fn said(model: &Model) -> Option<(Problem, bool)> {
    let account = looked_at(model)?;
    if model.account.of.as_ref() != Some(&account) {
        return None;
    }
    if let Some(problem) = paused(model) {
        let text = match (problem.kind, &model.account.renewal) {
            (_, Renewal::SignIn(line)) => format!("signed out of AWS: run `{line}`; this goes on by itself"),
            (ProblemKind::Expired, _) => "the session with AWS has expired; what is shown is old".to_owned(),
            (ProblemKind::Mfa, _) => {
                "AWS asks for a code of your MFA device; what is shown is old".to_owned()
            }
            _ => format!("no credentials for AWS: {}", problem.text),
        };
        // Signing in is done elsewhere, and noticed by itself.
        let by_key = !matches!(model.account.renewal, Renewal::SignIn(_));
        return Some((Problem::new(problem.kind, text), by_key));
    }
    let problem = model.account.who.problem.as_ref()?;
    let text = match problem.kind {
        ProblemKind::Offline => "offline: AWS cannot be reached; what is shown may be old".to_owned(),
        ProblemKind::Denied => match shepard_model::denied::denied(&problem.text) {
            Some(denied) => {
                let on = denied.resource.map(|resource| format!(" on {resource}")).unwrap_or_default();
                format!("denied: {}{on}", denied.action)
            }
            None => format!("denied: {}", problem.text),
        },
        _ => problem.text.clone(),
    };
    Some((Problem::new(problem.kind, text), false))
}
