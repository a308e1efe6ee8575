//! The one way in: `update(&mut Model, Msg) -> Vec<Effect>`. No clock, no I/O, no waiting.
//!
//! A key goes to what lies over the screen, then to the screen's own typing (forms), then through the keymap to an
//! action; an action goes to the screen, and to the globals here if the screen leaves it. News go to the data and
//! then to every screen that is kept, so that a table that is not looked at stays in order.

use super::account::Picked;
use super::actions::{Action, Scope};
use super::bar;
use super::effect::{Command, Effect, Request};
use super::key::{Code, Key};
use super::model::{Ctx, Go, Model};
use super::msg::{FlockRow, Mouse, MouseKind, Msg};
use super::nav::{Nav, Place};
use super::news;
use super::offered;
use super::overlay::{Answer, Ask, Bar, Dialog, Menu, Overlay, Prompt, Then, edit, paste};
use super::renewal;
use crate::screens::{Behaviour as _, News, PromptEvent, Screen};

/// How long after one Ctrl-C a second one quits, in milliseconds.
const TWICE_MS: i64 = 2_000;

/// Takes a message; says what has to be done outside.
#[must_use]
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Now(now_ms) => {
            model.now_ms = now_ms;
            model.ops.expire(now_ms);
            model.interrupted_ms = model.interrupted_ms.filter(|at| now_ms - at < TWICE_MS);
            Vec::new()
        }
        Msg::Key(key) => press(model, key),
        Msg::Paste(text) => pasted(model, &text),
        Msg::Mouse(mouse) => moused(model, mouse),
        Msg::Resize { width, height } => {
            model.size = (width, height);
            Vec::new()
        }
        Msg::Terminate => vec![Effect::Quit],
        Msg::Flocks(flocks) => {
            for flock in &flocks {
                let ended = flock.counts[3..].iter().sum();
                model.data.history.entry(flock.name.clone()).or_default().take(ended, model.now_ms);
            }
            let mut effects = rouse(model, &flocks);
            let now_ms = model.now_ms;
            model.data.flocks.take(Ok(flocks), now_ms);
            effects.extend(tell(model, &News::Flocks));
            effects
        }
        Msg::AwsFlocks(flocks) => {
            model.data.take_aws(flocks);
            tell(model, &News::Flocks)
        }
        Msg::Depth { flock, waiting, dead } => news::measured(model, &flock, waiting, dead),
        Msg::Compute { flock, jobs } => {
            if let Some(known) = model.data.jobs.get_mut(&flock) {
                known.compute.extend(jobs);
            }
            Vec::new()
        }
        Msg::Jobs(change) => news::jobs_changed(model, &change),
        Msg::Log(change) => tell(model, &News::Log(&change)),
        Msg::Stack(news) => tell(model, &News::Stack(&news)),
        Msg::Identity(news) => renewal::identified(model, news),
        Msg::FeedFailed(sub, problem) => {
            use super::effect::Sub;
            match &sub {
                Sub::Flocks => model.data.flocks.problem = Some(problem.clone()),
                Sub::Jobs { flock } => {
                    model.data.jobs.entry(flock.clone()).or_default().problem = Some(problem.clone());
                }
                _ => {}
            }
            renewal::noticed(model, &sub, &problem);
            tell(model, &News::Failed(&sub, &problem))
        }
        Msg::Arranged(flock, result) => with_screens(model, |screen, ctx, place| {
            if place.flock() == Some(flock.as_str()) {
                screen.arranged(ctx, &result);
            }
        }),
        Msg::Loaded(loaded) => news::loaded(model, loaded),
        Msg::Progress { op, done, total, note, part, bytes } => {
            let Some(op) = model.ops.running.iter_mut().find(|running| running.id == op) else {
                return Vec::new();
            };
            (op.done, op.total, op.bytes) = (done, total, bytes);
            (op.note, op.part) = (note.clone(), part);
            let command = op.command.clone();
            tell(model, &News::Progress(&command, &note))
        }
        Msg::Finished { op, result } => {
            let Some(op) = model.ops.end(op) else { return Vec::new() };
            let now_ms = model.now_ms;
            match &result {
                Ok(done) => {
                    model.ops.say(false, done.text.clone(), now_ms);
                    for (target, why) in done.failed.iter().take(2) {
                        model.ops.say(true, format!("{target}: {why}"), now_ms);
                    }
                }
                Err(problem) => {
                    model.ops.say(true, format!("{}: {}", op.command.title(), problem.text), now_ms);
                }
            }
            if let (Command::Renew { .. }, Ok(_)) = (&op.command, &result) {
                model.account.again += 1;
            }
            if let (Command::RemoveFlock { flock }, Ok(_)) = (&op.command, &result) {
                model.nav.forget_flock(flock);
                model.data.jobs.remove(flock);
                model.data.rows.retain(|(name, _), _| name != flock);
            }
            let mut effects = vec![Effect::Load(Request::Journal)];
            effects.extend(tell(model, &News::Finished(&op.command, &result)));
            effects
        }
        Msg::Notice { problem, text } => {
            let now_ms = model.now_ms;
            model.ops.say(problem, text, now_ms);
            Vec::new()
        }
    }
}

/// Starts the flocks into whose inputs folder somebody has put something while nobody looked after them.
fn rouse(model: &mut Model, flocks: &[FlockRow]) -> Vec<Effect> {
    model.roused.retain(|name| flocks.iter().any(|flock| flock.name == *name && flock.unseen));
    if model.session.read_only {
        return Vec::new();
    }
    let mut effects = Vec::new();
    for flock in flocks.iter().filter(|flock| flock.unseen) {
        if model.roused.insert(flock.name.clone()) {
            let command = Command::StartFlock { flock: flock.name.clone() };
            let op = model.ops.begin(command.clone(), model.now_ms);
            effects.push(Effect::Run(op, command));
        }
    }
    effects
}

/// Does an action, wherever it came from: a key, the menu, the command bar.
#[must_use]
pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if !model.session.keymap.allowed(action) {
        let now_ms = model.now_ms;
        model.ops.say(true, "this session is read-only", now_ms);
        return Vec::new();
    }
    let (taken, mut effects) = with_screen(model, |screen, ctx| screen.act(ctx, action));
    if taken != Some(true) {
        effects.extend(global(model, action));
    }
    effects
}

/// The scopes in which a key is looked up now.
pub fn scopes(model: &Model) -> Vec<Scope> {
    let mut scopes = model.nav.screen().map(|screen| screen.scopes().to_vec()).unwrap_or_default();
    scopes.push(Scope::Global);
    scopes
}

/// Goes to a place and lets its screen ask for what it needs.
#[must_use]
pub fn go(model: &mut Model, place: Place) -> Vec<Effect> {
    model.nav.go(place);
    entered(model)
}

fn entered(model: &mut Model) -> Vec<Effect> {
    model.overlay = None;
    let mut effects = with_screen(model, |screen, ctx| screen.enter(ctx)).1;
    // What belongs to other flocks is let go, so that a console left open for weeks does not grow.
    if let Some(flock) = model.nav.place().flock().map(str::to_owned) {
        model.data.jobs.retain(|name, _| *name == flock);
        let other = |place: &Place| place.flock().is_some_and(|name| name != flock);
        let gone: Vec<Place> =
            model.nav.screens_mut().map(|(place, _)| place.clone()).filter(|place| other(place)).collect();
        for place in gone {
            model.nav.forget(&place);
        }
        model.data.rows.retain(|(name, _), _| *name == flock);
    }
    effects.retain(|effect| !matches!(effect, Effect::Quit));
    effects
}

fn press(model: &mut Model, key: Key) -> Vec<Effect> {
    // Redrawing and suspending work whatever is open.
    let global = model.session.keymap.action(&[Scope::Global], key);
    if let Some(action @ (Action::Redraw | Action::Suspend)) = global {
        return self::global(model, action);
    }
    if let Some(overlay) = model.overlay.take() {
        return over(model, overlay, key);
    }
    let (typed, mut effects) = with_screen(model, |screen, ctx| screen.typed(ctx, key));
    if typed == Some(true) {
        return effects;
    }
    if let Some(action) = model.session.keymap.action(&scopes(model), key) {
        effects.extend(act(model, action));
    }
    effects
}

fn pasted(model: &mut Model, text: &str) -> Vec<Effect> {
    match model.overlay.as_mut() {
        Some(Overlay::Dialog(dialog)) => paste(&mut dialog.input, text),
        Some(Overlay::Code(entry)) => entry.paste(text),
        Some(Overlay::Bar(bar)) => {
            paste(&mut bar.input, text);
            return bar_changed(model);
        }
        Some(Overlay::Prompt(prompt)) => {
            paste(&mut prompt.input, text);
            return prompt_changed(model);
        }
        Some(_) => {}
        None => return with_screen(model, |screen, ctx| screen.pasted(ctx, text)).1,
    }
    Vec::new()
}

fn moused(model: &mut Model, mouse: Mouse) -> Vec<Effect> {
    if model.overlay.is_some() {
        return Vec::new();
    }
    let scopes = scopes(model);
    let text = scopes.contains(&Scope::Text);
    match mouse.kind {
        MouseKind::ScrollDown => act(model, if text { Action::TextDown } else { Action::Down }),
        MouseKind::ScrollUp => act(model, if text { Action::TextUp } else { Action::Up }),
        MouseKind::Press => with_screen(model, |screen, ctx| screen.clicked(ctx, mouse.x, mouse.y)).1,
    }
}

/// A key while something lies over the screen.
fn over(model: &mut Model, overlay: Overlay, key: Key) -> Vec<Effect> {
    let leave = matches!(key, Key { code: Code::Esc, .. } | Key { code: Code::Char('c'), ctrl: true, .. });
    match overlay {
        Overlay::Dialog(mut dialog) => match dialog.key(key) {
            Answer::Open => {
                model.overlay = Some(Overlay::Dialog(dialog));
                Vec::new()
            }
            Answer::No => Vec::new(),
            Answer::Yes => match dialog.then {
                Then::Quit => vec![Effect::Quit],
                Then::Run(command) => {
                    let op = model.ops.begin(command.clone(), model.now_ms);
                    vec![Effect::Run(op, command)]
                }
                Then::RunAndGo(command, place) => {
                    let op = model.ops.begin(command.clone(), model.now_ms);
                    let mut effects = vec![Effect::Run(op, command)];
                    effects.extend(go(model, place));
                    effects
                }
                Then::RunAndLeave(command) => {
                    let op = model.ops.begin(command.clone(), model.now_ms);
                    let mut effects = vec![Effect::Run(op, command)];
                    effects.extend(went(model, Go::Done));
                    effects
                }
            },
        },
        Overlay::Help { top } => {
            let top = match key.code {
                Code::Char('j') | Code::Down => top + 1,
                Code::Char('k') | Code::Up => top.saturating_sub(1),
                Code::Char(' ') | Code::PageDown => top + usize::from(model.size.1 / 2),
                Code::PageUp => top.saturating_sub(usize::from(model.size.1 / 2)),
                Code::Char('g') | Code::Home => 0,
                Code::Char('G') | Code::End => usize::MAX,
                _ => return Vec::new(),
            };
            let last = crate::screens::help::line_count(model).saturating_sub(1);
            model.overlay = Some(Overlay::Help { top: top.min(last) });
            Vec::new()
        }
        Overlay::Menu(mut menu) => {
            let last = menu.actions.len().saturating_sub(1);
            match key.code {
                _ if leave => return Vec::new(),
                Code::Char('q') => return Vec::new(),
                Code::Char('j') | Code::Down => menu.selected = (menu.selected + 1).min(last),
                Code::Char('k') | Code::Up => menu.selected = menu.selected.saturating_sub(1),
                Code::Enter => {
                    return menu
                        .actions
                        .get(menu.selected)
                        .map(|action| act(model, *action))
                        .unwrap_or_default();
                }
                _ => {
                    // The action's own key works here too: the menu teaches it.
                    let action = model.session.keymap.action(&scopes(model), key);
                    if let Some(action) = action.filter(|action| menu.actions.contains(action)) {
                        return act(model, action);
                    }
                }
            }
            model.overlay = Some(Overlay::Menu(menu));
            Vec::new()
        }
        Overlay::Code(entry) => renewal::code_key(model, entry, key),
        Overlay::Pick(pick) => renewal::pick_key(model, pick, key),
        Overlay::Bar(bar) => bar_key(model, bar, key, leave),
        Overlay::Prompt(prompt) => prompt_key(model, prompt, key, leave),
    }
}

fn bar_key(model: &mut Model, mut bar: Bar, key: Key, leave: bool) -> Vec<Effect> {
    match key.code {
        _ if leave => return Vec::new(),
        Code::Backspace if bar.input.value().is_empty() => return Vec::new(),
        Code::Tab => {
            if let Some(candidate) = bar.candidates.get(bar.selected) {
                bar.input = tui_input::Input::new(candidate.line.clone());
            }
        }
        Code::Down => bar.selected = (bar.selected + 1).min(bar.candidates.len().saturating_sub(1)),
        Code::Up | Code::BackTab => bar.selected = bar.selected.saturating_sub(1),
        Code::Enter => {
            let line = bar::chosen(&bar);
            return bar::run(model, &line);
        }
        _ => {
            if edit(&mut bar.input, key) {
                bar.selected = 0;
            }
        }
    }
    let moved = matches!(key.code, Code::Down | Code::Up | Code::BackTab);
    model.overlay = Some(Overlay::Bar(bar));
    if moved { Vec::new() } else { bar_changed(model) }
}

fn bar_changed(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Bar(mut bar)) = model.overlay.take() else { return Vec::new() };
    bar.candidates = bar::complete(model, bar.input.value());
    bar.selected = bar.selected.min(bar.candidates.len().saturating_sub(1));
    model.overlay = Some(Overlay::Bar(bar));
    Vec::new()
}

fn prompt_key(model: &mut Model, mut prompt: Prompt, key: Key, leave: bool) -> Vec<Effect> {
    let ask = prompt.ask;
    if leave {
        let before = std::mem::take(&mut prompt.before);
        return with_screen(model, |screen, ctx| screen.prompted(ctx, ask, &PromptEvent::Cancelled(before)))
            .1;
    }
    match key.code {
        Code::Enter => {
            let text = prompt.input.value().to_owned();
            with_screen(model, |screen, ctx| screen.prompted(ctx, ask, &PromptEvent::Entered(text))).1
        }
        Code::Tab if ask.is_path() => {
            if let Some(text) = bar::common(&prompt.candidates, prompt.input.value()) {
                prompt.input = tui_input::Input::new(text);
            }
            model.overlay = Some(Overlay::Prompt(prompt));
            prompt_changed(model)
        }
        _ => {
            let changed = edit(&mut prompt.input, key);
            model.overlay = Some(Overlay::Prompt(prompt));
            if changed { prompt_changed(model) } else { Vec::new() }
        }
    }
}

fn prompt_changed(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Prompt(prompt)) = &model.overlay else { return Vec::new() };
    let (ask, text) = (prompt.ask, prompt.input.value().to_owned());
    if ask.is_path() {
        return vec![Effect::Load(Request::Paths { text })];
    }
    with_screen(model, |screen, ctx| screen.prompted(ctx, ask, &PromptEvent::Typed(text))).1
}

/// Actions that no screen claimed.
fn global(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Help => model.overlay = Some(Overlay::Help { top: 0 }),
        Action::CommandBar => {
            model.overlay = Some(Overlay::Bar(Bar::default()));
            return bar_changed(model);
        }
        Action::ActionsMenu => {
            let actions = offered::menu(model);
            model.overlay = Some(Overlay::Menu(Menu { actions, selected: 0 }));
        }
        Action::Out => {
            if let Some(parent) = model.nav.place().parent() {
                return go(model, parent);
            }
        }
        Action::Back => {
            return match model.nav.place().parent() {
                Some(parent) => go(model, parent),
                None => {
                    let mut lines = vec!["Jobs go on running; the console only watches them.".to_owned()];
                    lines.extend(
                        model.ops.running.iter().map(|op| format!("Still under way: {}", op.command.title())),
                    );
                    model.overlay = Some(Overlay::Dialog(Box::new(Dialog::ask(
                        "Quit Shepard?",
                        lines,
                        "Quit",
                        Then::Quit,
                    ))));
                    Vec::new()
                }
            };
        }
        Action::HistoryBack if model.nav.back() => return entered(model),
        Action::HistoryForward if model.nav.forward() => return entered(model),
        Action::LastScreen if model.nav.last() => return entered(model),
        Action::Refresh => return with_screen(model, |screen, ctx| screen.enter(ctx)).1,
        Action::Mouse => {
            model.mouse = !model.mouse;
            let now_ms = model.now_ms;
            let text = if model.mouse {
                "the mouse scrolls and selects"
            } else {
                "the mouse is the terminal's again"
            };
            model.ops.say(false, text, now_ms);
            return vec![Effect::Mouse(model.mouse)];
        }
        Action::Renew => return renewal::renew(model),
        Action::Profiles => return renewal::pick(model, Picked::Profile),
        Action::Regions => return renewal::pick(model, Picked::Region),
        Action::Redraw => return vec![Effect::Redraw],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Interrupt => return interrupt(model),
        _ => {}
    }
    Vec::new()
}

/// Ctrl-C: cancels the newest command; with none, the second one within two seconds quits.
fn interrupt(model: &mut Model) -> Vec<Effect> {
    let now_ms = model.now_ms;
    if let Some(op) = model.ops.running.last() {
        let (id, title) = (op.id, op.command.title());
        model.ops.say(false, format!("cancelling: {title}"), now_ms);
        return vec![Effect::Abandon(id)];
    }
    if model.interrupted_ms.is_some() {
        return vec![Effect::Quit];
    }
    model.interrupted_ms = Some(now_ms);
    model.ops.say(false, "nothing to cancel; Ctrl-C again quits", now_ms);
    Vec::new()
}

/// Hands news to every screen that is kept.
pub(super) fn tell(model: &mut Model, news: &News<'_>) -> Vec<Effect> {
    with_screens(model, |screen, ctx, _| screen.told(ctx, news))
}

/// Parts a model into its places and what a screen may touch besides itself.
fn lend(model: &mut Model) -> (&mut Nav, Ctx<'_>) {
    let ctx = Ctx {
        now_ms: model.now_ms,
        size: model.size,
        session: &model.session,
        data: &mut model.data,
        ops: &mut model.ops,
        overlay: &mut model.overlay,
        go: None,
        effects: Vec::new(),
    };
    (&mut model.nav, ctx)
}

fn with_screens(model: &mut Model, mut f: impl FnMut(&mut Screen, &mut Ctx<'_>, &Place)) -> Vec<Effect> {
    let (nav, mut ctx) = lend(model);
    let current = nav.place().clone();
    let mut gone = None;
    for (place, screen) in nav.screens_mut() {
        f(screen, &mut ctx, place);
        let to = ctx.go.take();
        // Only the screen that is looked at may take the person elsewhere.
        if *place == current {
            gone = to;
        }
    }
    let mut effects = ctx.effects;
    effects.extend(gone.map(|to| went(model, to)).unwrap_or_default());
    effects
}

fn with_screen<T>(
    model: &mut Model,
    f: impl FnOnce(&mut Screen, &mut Ctx<'_>) -> T,
) -> (Option<T>, Vec<Effect>) {
    let (nav, mut ctx) = lend(model);
    let Some(screen) = nav.screen_mut() else { return (None, Vec::new()) };
    let value = f(screen, &mut ctx);
    let Ctx { mut effects, go, .. } = ctx;
    effects.extend(go.map(|to| went(model, to)).unwrap_or_default());
    (Some(value), effects)
}

fn went(model: &mut Model, to: Go) -> Vec<Effect> {
    match to {
        Go::To(place) => go(model, place),
        Go::Filtered { flock, filter: text } => {
            let mut effects = go(model, Place::Jobs { flock });
            effects.extend(filter(model, &text));
            effects
        }
        Go::Done => {
            let here = model.nav.place().clone();
            let effects = here.parent().map(|parent| go(model, parent)).unwrap_or_default();
            model.nav.forget(&here);
            effects
        }
    }
}

/// Sets the filter of the table that is looked at.
#[must_use]
pub fn filter(model: &mut Model, text: &str) -> Vec<Effect> {
    let event = PromptEvent::Entered(text.to_owned());
    with_screen(model, |screen, ctx| screen.prompted(ctx, Ask::Filter, &event)).1
}

/// Makes sure a row is known of and read: for screens that show one job.
pub fn want_row(ctx: &mut Ctx<'_>, flock: &str, id: &shepard_model::JobId) {
    ctx.data.rows.entry((flock.to_owned(), id.clone())).or_default();
    ctx.effect(Effect::Load(Request::Job { flock: flock.to_owned(), id: id.clone() }));
}
