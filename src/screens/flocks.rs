//! The list of flocks: what each runs, how its jobs stand, and whether somebody looks after it.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::Rect;
use shepard_model::{Isolation, State};

use super::{Behaviour, News};
use crate::app::actions::{Action, Scope};
use crate::app::effect::{Command, Sub, Variables};
use crate::app::model::{Ctx, Data, History, Model};
use crate::app::msg::FlockRow;
use crate::app::nav::Place;
use crate::app::overlay::{Ask, Dialog, Prompt, Then};
use crate::app::stack::StackId;
use crate::app::store::{Move, Window};
use crate::ui::table::{Align, Cell, Column, RowCells, Table};
use crate::ui::toast::{Weight, banner};
use crate::ui::{Look, Role, layout, sparkline, text, time};

use super::PromptEvent;

/// Rows of the screen that are not the table's body.
const AROUND: u16 = 5;
/// Row of the terminal on which the table's first row lies.
const BODY_TOP: u16 = 3;
/// From so many columns on the way jobs run is said in whole words.
const ROOMY: u16 = 100;
/// Columns of a flock's name at most, where the rest of the row needs room.
const WIDEST: usize = 24;
/// Columns of a flock's sparkline.
const SPARK: usize = 12;

/// What the list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum By {
    #[default]
    Name,
    Open,
    Faults,
}

/// The screen's state.
#[derive(Debug, Default)]
pub struct Flocks {
    window: Window,
    /// The flock under the selection, which it follows when others come and go.
    selected: Option<String>,
    filter: String,
    by: By,
    reverse: bool,
    wide: bool,
    /// The flock that a line of input is about.
    asked_of: Option<String>,
}

fn open(flock: &FlockRow) -> u64 {
    flock.counts[..3].iter().sum()
}

fn faults(flock: &FlockRow) -> u64 {
    State::ALL.iter().zip(flock.counts).filter(|(state, _)| state.is_fault()).map(|(_, count)| count).sum()
}

impl Flocks {
    /// The flocks the filter lets through, in order.
    fn shown<'a>(&self, data: &'a Data) -> Vec<&'a FlockRow> {
        let wanted = self.filter.to_lowercase();
        let mut shown: Vec<&FlockRow> =
            data.all_flocks().filter(|flock| flock.name.to_lowercase().contains(&wanted)).collect();
        match self.by {
            // Those of this machine first.
            By::Name => shown.sort_by(|a, b| (a.aws.is_some(), &a.name).cmp(&(b.aws.is_some(), &b.name))),
            By::Open => shown.sort_by_key(|flock| std::cmp::Reverse(open(flock))),
            By::Faults => shown.sort_by_key(|flock| std::cmp::Reverse(faults(flock))),
        }
        if self.reverse {
            shown.reverse();
        }
        shown
    }

    /// The selected flock.
    fn current<'a>(&self, data: &'a Data) -> Option<&'a FlockRow> {
        self.shown(data).get(self.window.selected).copied()
    }

    fn go(&mut self, data: &Data, to: Move) {
        let shown = self.shown(data);
        self.window.go(to, shown.len());
        self.selected = shown.get(self.window.selected).map(|flock| flock.name.clone());
    }

    /// After the list changed: the selection stays on its flock.
    fn settle(&mut self, data: &Data, height: u16) {
        let shown = self.shown(data);
        let place =
            self.selected.as_ref().and_then(|name| shown.iter().position(|flock| flock.name == *name));
        if let Some(place) = place {
            self.window.follow(place, shown.len());
        }
        self.window.resize(usize::from(height.saturating_sub(around(data))), shown.len());
        self.selected = shown.get(self.window.selected).map(|flock| flock.name.clone());
    }
}

/// Accounts that could not be asked, of which there is a line each.
const TOLD: usize = 3;

/// Rows of the screen that are not the table's body.
fn around(data: &Data) -> u16 {
    AROUND + u16::try_from(data.aws.failed.len().min(TOLD)).unwrap_or(0)
}

/// Starts the supervisor of a flock, or asks whether to stop the one that runs.
pub(super) fn start_or_stop(ctx: &mut Ctx<'_>, flock: &str) {
    let name = flock.to_owned();
    if ctx.data.flock_on_aws(flock).is_some() {
        return ctx.say(true, format!("{flock} is on AWS: it has no supervisor to start or to stop"));
    }
    if ctx.data.flock(flock).is_some_and(|flock| flock.running) {
        let lines = vec!["Jobs that run go on; what waits stays and goes on with the next start.".to_owned()];
        let then = Then::Run(Command::StopFlock { flock: name });
        ctx.ask(Dialog::ask(format!("Stop the supervisor of {flock}?"), lines, "Stop", then));
    } else {
        ctx.run(Command::StartFlock { flock: name });
    }
}

/// Where an action about a flock's stack leads.
fn of_stack(action: Action, flock: &str) -> Option<Result<Place, &'static str>> {
    let about = matches!(action, Action::FlockEvents | Action::FlockUpdate);
    let Some(stack) = StackId::of_flock(flock) else {
        return about.then_some(Err("this flock has no stack on AWS"));
    };
    match action {
        Action::FlockEvents => Some(Ok(Place::StackEvents(stack))),
        Action::FlockUpdate => Some(Ok(Place::StackUpdate(stack))),
        Action::FlockDescribe => Some(Ok(Place::Stack(stack))),
        Action::FlockRemove => Some(Ok(Place::StackDown(stack))),
        _ => None,
    }
}

impl Behaviour for Flocks {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Flocks, Scope::Table]
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>) {
        self.settle(ctx.data, ctx.size.1);
    }

    fn subscriptions(&self, data: &Data) -> Vec<Sub> {
        // The queue of the flock under the selection alone: a list of forty does not ask forty queues.
        let asked = self.current(data).filter(|flock| flock.aws.as_ref().is_some_and(|aws| aws.has_queue));
        asked.map(|flock| Sub::Depth { flock: flock.name.clone() }).into_iter().collect()
    }

    fn told(&mut self, ctx: &mut Ctx<'_>, news: &News<'_>) {
        if matches!(news, News::Flocks) {
            self.settle(ctx.data, ctx.size.1);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        self.window
            .resize(usize::from(ctx.size.1.saturating_sub(around(ctx.data))), self.shown(ctx.data).len());
        match action {
            Action::Down => self.go(ctx.data, Move::By(1)),
            Action::Up => self.go(ctx.data, Move::By(-1)),
            Action::PageDown => self.go(ctx.data, Move::PageDown),
            Action::PageUp => self.go(ctx.data, Move::PageUp),
            Action::First => self.go(ctx.data, Move::Home),
            Action::Last => self.go(ctx.data, Move::End),
            Action::Wide => self.wide = !self.wide,
            Action::Filter => ctx.prompt(Prompt::new(Ask::Filter, self.filter.clone())),
            Action::Out if !self.filter.is_empty() => self.filter.clear(),
            Action::Sort => {
                self.by = match self.by {
                    By::Name => By::Open,
                    By::Open => By::Faults,
                    By::Faults => By::Name,
                };
                self.settle(ctx.data, ctx.size.1);
            }
            Action::SortReverse => {
                self.reverse = !self.reverse;
                self.settle(ctx.data, ctx.size.1);
            }
            Action::Refresh => {
                ctx.data.asked_again = ctx.data.asked_again.wrapping_add(1);
                self.settle(ctx.data, ctx.size.1);
            }
            Action::FlockNew => ctx.go(Place::NewFlock),
            Action::FlockStandUp => ctx.go(Place::StackNew),
            Action::FlockProfiles => ctx.go(Place::Profiles),
            _ => {
                let Some(flock) = self.current(ctx.data).cloned() else { return false };
                let name = flock.name.clone();
                match of_stack(action, &name) {
                    Some(Ok(place)) => {
                        ctx.go(place);
                        return true;
                    }
                    Some(Err(why)) => {
                        ctx.say(true, why);
                        return true;
                    }
                    None => {}
                }
                match action {
                    Action::Open => ctx.go(Place::Jobs { flock: name }),
                    Action::FlockDescribe => ctx.go(Place::Flock { flock: name }),
                    Action::FlockBatch => ctx.go(Place::Batch { flock: name }),
                    Action::FlockSecrets => ctx.go(Place::Secrets { flock: name }),
                    Action::FlockDeploy => ctx.go(Place::Deploy { flock: name }),
                    Action::FlockReleases => ctx.go(Place::Releases { flock: name }),
                    Action::FlockStart => start_or_stop(ctx, &name),
                    Action::FlockQuickDeploy => {
                        self.asked_of = Some(name);
                        ctx.prompt(Prompt::new(Ask::QuickDeploy, ""));
                    }
                    Action::FlockApi if flock.aws.is_none() => ctx.say(
                        true,
                        format!(
                            "{name} is a flock of this machine, which has no endpoint: b batches a folder"
                        ),
                    ),
                    Action::FlockApi => {
                        self.asked_of = Some(name);
                        ctx.prompt(Prompt::new(Ask::Variables, ""));
                    }
                    Action::FlockRedrive if flock.dead == 0 => {
                        ctx.say(false, format!("no upload of {name} was given up on"));
                    }
                    Action::FlockRedrive => {
                        let lines = vec![format!("{} messages are tried again.", time::count(flock.dead))];
                        let then = Then::Run(Command::Redrive { flock: name.clone() });
                        ctx.ask(Dialog::ask(
                            format!("Move the dead letters of {name} back?"),
                            lines,
                            "Move",
                            then,
                        ));
                    }
                    Action::FlockRemove if flock.aws.is_some() => {
                        ctx.say(true, format!("{name} is on AWS: its stack is torn down, with what it owns"));
                    }
                    Action::FlockRemove => {
                        let mut lines = vec![
                            "Everything in it goes: inputs, results, logs, rows. There is no undo."
                                .to_owned(),
                        ];
                        for (state, count) in
                            State::ALL.iter().zip(flock.counts).filter(|(_, count)| *count > 0)
                        {
                            lines.push(format!("{} {} jobs", time::count(count), state.word()));
                        }
                        lines.extend(flock.places.iter().map(|(what, path)| format!("{what}: {path}")));
                        let then = Then::Run(Command::RemoveFlock { flock: name.clone() });
                        ctx.ask(
                            Dialog::ask(format!("Remove the flock {name}?"), lines, "Remove", then)
                                .typed(name),
                        );
                    }
                    _ => return false,
                }
            }
        }
        true
    }

    fn prompted(&mut self, ctx: &mut Ctx<'_>, ask: Ask, event: &PromptEvent) {
        if let (
            Ask::Filter,
            PromptEvent::Typed(text) | PromptEvent::Cancelled(text) | PromptEvent::Entered(text),
        ) = (ask, event)
        {
            self.filter.clone_from(text);
            self.settle(ctx.data, ctx.size.1);
            return;
        }
        let Some(flock) = self.asked_of.clone() else { return };
        match (ask, event) {
            (Ask::QuickDeploy, PromptEvent::Entered(path)) if !path.trim().is_empty() => {
                ctx.run(Command::QuickDeploy { flock, path: path.trim().to_owned() });
            }
            (Ask::Variables, PromptEvent::Entered(typed)) if !typed.trim().is_empty() => {
                ctx.run(Command::BatchApi { flock, typed: Variables(typed.trim().to_owned()) });
            }
            _ => {}
        }
    }

    fn clicked(&mut self, ctx: &mut Ctx<'_>, _x: u16, y: u16) {
        let (told, around) = (around(ctx.data) - AROUND, around(ctx.data));
        if let Some(line) = y.checked_sub(BODY_TOP + told).filter(|line| *line + around < ctx.size.1) {
            self.go(ctx.data, Move::To(self.window.top + usize::from(line)));
        }
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let buf = frame.buffer_mut();
        let known = &model.data.flocks;
        let mut area = area;
        if let Some(problem) = &known.problem {
            let line = Rect { height: 1, ..area };
            banner(look, Weight::Error, &text::clean(&problem.text), "r retry", line, buf);
            area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        }
        for failed in model.data.aws.failed.iter().take(TOLD) {
            let line = Rect { height: 1, ..area };
            banner(look, Weight::Warning, &text::clean(&failed.line()), "r retry", line, buf);
            area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        }
        if known.is_loading() {
            let looking = format!("looking for flocks{}", look.glyphs.ellipsis);
            layout::put(buf, area.x + 1, area.y, area.width, &looking, look, Role::Muted);
            return;
        }
        let shown = self.shown(&model.data);
        let on_aws = !model.data.aws.flocks.is_empty();
        let narrow = area.width < ROOMY && !self.wide;
        let by = |by: By, descending: bool| (self.by == by).then_some(descending != self.reverse);
        // The name of a flock on AWS says where it is, at its end.
        let longest = shown.iter().map(|flock| text::width(&flock.name)).max().unwrap_or(0);
        let name = if on_aws { u16::try_from(longest.clamp(14, WIDEST)).unwrap_or(14) } else { 14 };
        let columns = [
            Column::new("FLOCK", name).grow(3).sorted(by(By::Name, false)),
            Column::new("STATE", 9).grow(1).priority(2),
            Column::new("WHERE", 12).grow(1).priority(if on_aws { 4 } else { 8 }),
            Column::new("OPEN", 7).align(Align::Right).sorted(by(By::Open, true)),
            Column::new("RUNNING", 7).align(Align::Right),
            Column::new("OK", 9).align(Align::Right),
            Column::new("FAULTS", 7).align(Align::Right).sorted(by(By::Faults, true)),
            Column::new("QUEUE", 5).align(Align::Right).priority(if on_aws { 5 } else { 8 }),
            Column::new("DEAD", 4).align(Align::Right).priority(3),
            Column::new("2 MINUTES", 12).priority(6),
            Column::new("RUNS", 18).grow(3).priority(1),
            Column::new("AT ONCE", 7).align(Align::Right).priority(7),
        ];
        let title = if self.filter.is_empty() {
            match (model.data.aws.asking, on_aws) {
                (true, _) => format!("  flocks on this machine; asking AWS{}", look.glyphs.ellipsis),
                (false, true) => "  flocks on this machine and on AWS".to_owned(),
                (false, false) => "  flocks on this machine".to_owned(),
            }
        } else {
            format!("  flocks with {:?} (esc shows all)", self.filter)
        };
        let empty = if self.filter.is_empty() {
            "No flock yet. Press a to create one on this machine, or leave and run `shepard demo`."
        } else {
            "No flock has that in its name. Esc shows all."
        };
        let table = Table {
            columns: &columns,
            length: shown.len(),
            top: self.window.top,
            selected: self.window.selected,
            title: &title,
            empty,
            wide: self.wide.then_some(0),
            stale: known.problem.is_some(),
        };
        table.render(look, area, buf, |place| {
            shown
                .get(place)
                .map(|flock| RowCells::new(cells(flock, model.data.history.get(&flock.name), narrow, look)))
        });
    }
}

/// Which way jobs run, what is granted to them, and what they run. In little room a container is told by `in`, and what
/// runs is not cut for the sake of a word.
fn runs(flock: &FlockRow, narrow: bool) -> String {
    let Some(image) = &flock.image else {
        return if flock.aws.is_some() {
            "its image".to_owned()
        } else {
            format!("{}{}", if narrow { "" } else { "process " }, flock.payload)
        };
    };
    if flock.aws.is_some() {
        return short(image);
    }
    let mut said = format!("{} {}", if narrow { "in" } else { "container" }, short(image));
    for lifted in lifted(&flock.isolation) {
        said.push_str(&format!(", {lifted}"));
    }
    if !flock.payload.is_empty() {
        said.push_str(&format!(": {}", flock.payload));
    }
    said
}

/// What a person recognises an image by: its name, or the first digits of its id.
fn short(image: &str) -> String {
    match image.rsplit_once("sha256:") {
        Some((_, hex)) => format!("sha256:{}", hex.chars().take(12).collect::<String>()),
        None => image.to_owned(),
    }
}

/// What is lifted of a container's isolation, in a few words each.
fn lifted(granted: &Isolation) -> Vec<&'static str> {
    [
        (granted.privileged, "privileged"),
        (granted.docker_socket, "Docker socket"),
        (granted.host_network, "host network"),
        (!granted.devices.is_empty(), "devices"),
        (!granted.gpus.is_empty(), "GPUs"),
    ]
    .into_iter()
    .filter_map(|(is_granted, word)| is_granted.then_some(word))
    .collect()
}

fn cells<'a>(flock: &'a FlockRow, history: Option<&History>, narrow: bool, look: &Look) -> Vec<Cell<'a>> {
    let (sign, state, role) = state(flock, look);
    let aws = flock.aws.as_deref();
    let number =
        |count: u64, role: Role| Cell::of(if count == 0 { Role::Muted } else { role }, time::count(count));
    // Nothing was counted is not the same as none.
    let unknown = || Cell::of(Role::Muted, look.glyphs.unknown);
    let counted = aws.is_none_or(|aws| aws.counted);
    let jobs = |count: u64, role: Role| if counted { number(count, role) } else { unknown() };
    let measured = aws.is_none_or(|aws| aws.measured);
    let messages = |count: u64, role: Role| if measured { number(count, role) } else { unknown() };
    let lately: Vec<u32> = history
        .map(History::values)
        .unwrap_or_default()
        .iter()
        .map(|n| u32::try_from(*n).unwrap_or(u32::MAX))
        .collect();
    let runs = match &flock.problem {
        Some(problem) => Cell::of(Role::Error, problem.as_str()),
        None => Cell::of(Role::Muted, runs(flock, narrow)),
    };
    vec![
        Cell::of(
            aws.and_then(|aws| aws.colour.as_deref()).map_or(Role::Accent, of_account),
            flock.name.as_str(),
        ),
        Cell::of(role, format!("{sign} {state}")),
        Cell::of(Role::Muted, aws.map_or("this machine", |aws| &aws.place)),
        jobs(open(flock), Role::Text),
        jobs(flock.counts[State::Running as usize], Role::Running),
        jobs(flock.counts[State::Succeeded as usize], Role::Succeeded),
        jobs(faults(flock), Role::Failed),
        messages(flock.waiting, Role::Text),
        messages(flock.dead, Role::Error),
        Cell::of(Role::Muted, sparkline::sparkline(&lately, SPARK, &look.glyphs)),
        runs,
        Cell::new(if aws.is_some() { String::new() } else { flock.max_jobs.to_string() }),
    ]
}

/// The role that makes an account stand out, by its name in `config.toml`.
fn of_account(colour: &str) -> Role {
    Role::ALL.iter().copied().find(|role| role.name() == colour).unwrap_or(Role::Accent)
}

/// A sign and a word for how a flock is, and their role.
fn state<'a>(flock: &'a FlockRow, look: &Look) -> (&'static str, Cow<'a, str>, Role) {
    let Some(aws) = &flock.aws else {
        return if flock.running {
            (look.glyphs.on, "running".into(), Role::Ok)
        } else {
            (look.glyphs.off, "stopped".into(), Role::Muted)
        };
    };
    let Some(status) = aws.status.as_deref() else {
        return (look.glyphs.on, "profile".into(), Role::Muted);
    };
    // One word each: CloudFormation's own are in the description.
    match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_COMPLETE" => {
            (look.glyphs.on, "ready".into(), Role::Ok)
        }
        status if status.contains("ROLLBACK") && status.contains("_IN_PROGRESS") => {
            (look.glyphs.warning, "undoing".into(), Role::Error)
        }
        status if status.ends_with("FAILED") || status.contains("ROLLBACK") => {
            (look.glyphs.warning, "failed".into(), Role::Error)
        }
        "DELETE_IN_PROGRESS" => (look.glyphs.off, "going".into(), Role::Warn),
        status if status.starts_with("CREATE") || status.starts_with("REVIEW") => {
            (look.glyphs.off, "coming".into(), Role::Warn)
        }
        status if status.contains("_IN_PROGRESS") => (look.glyphs.off, "changes".into(), Role::Warn),
        other => (look.glyphs.on, other.to_lowercase().replace('_', " ").into(), Role::Text),
    }
}
