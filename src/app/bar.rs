//! The command bar: what can be typed after `:`, how it is completed, and what it does.

use shepard_model::State;

use super::actions::{Action, Scope};
use super::effect::Effect;
use super::model::Model;
use super::nav::Place;
use super::overlay::{Bar, Candidate, Dialog, Overlay, Then};
use super::stack::StackId;
use super::update::{act, go, scopes};

/// The views that have a name of their own.
const VIEWS: [(&str, &str); 8] = [
    ("flocks", "the list of flocks"),
    ("journal", "what was done, by whom, and the command line that does it again"),
    ("profiles", "profiles of the old command"),
    ("new", "create a flock on this machine"),
    ("stand-up", "stand up a flock on AWS"),
    ("help", "every key that works here"),
    ("theme", "change the theme"),
    ("quit", "leave; jobs go on running"),
];

/// Most candidates offered.
const OFFERED: usize = 50;

/// The ways to go on with what is typed, best first.
pub fn complete(model: &Model, typed: &str) -> Vec<Candidate> {
    let mut all = Vec::new();
    let mut add = |line: String, help: &str| all.push(Candidate { line, help: help.to_owned() });
    if typed.starts_with("theme ") {
        for theme in &model.session.themes {
            add(format!("theme {theme}"), "");
        }
    } else {
        for flock in model.data.all_flocks() {
            add(format!("jobs {}", flock.name), "the jobs of this flock");
            add(format!("releases {}", flock.name), "what was deployed to this flock");
            if StackId::of_flock(&flock.name).is_some() {
                add(format!("stack {}", flock.name), "what the flock's stack is made of");
                add(format!("events {}", flock.name), "what happens to the flock's stack");
                if !model.session.read_only {
                    add(format!("update {}", flock.name), "change the settings of the flock's stack");
                    add(format!("tear-down {}", flock.name), "what the stack owns, and tearing it down");
                }
            }
            if !model.session.read_only {
                add(format!("batch {}", flock.name), "batch a folder into this flock");
                add(
                    format!("secrets {}", flock.name),
                    "the names of this flock's secrets, and pushing a folder",
                );
                add(format!("deploy {}", flock.name), "deploy a folder or an image to this flock");
            }
        }
        for (name, help) in
            VIEWS.iter().filter(|(name, _)| !(model.session.read_only && matches!(*name, "new" | "stand-up")))
        {
            add((*name).to_owned(), help);
        }
        if model.nav.place().flock().is_some() {
            for state in State::ALL {
                add(format!("only {}", state.word()), "show the jobs in this state");
            }
        }
        let here = scopes(model);
        for (spec, _) in model.session.keymap.listed(&here).filter(|(spec, _)| spec.scope != Scope::Form) {
            add(spec.name.to_owned(), spec.help);
        }
    }
    let typed = typed.trim_start().to_lowercase();
    // What begins so comes before what contains it: the order in which a person means it.
    let rank = |candidate: &Candidate| {
        let line = candidate.line.to_lowercase();
        if line.starts_with(&typed) {
            Some(0)
        } else if line.split(' ').any(|word| word.starts_with(&typed)) {
            Some(1)
        } else {
            line.contains(&typed).then_some(2)
        }
    };
    let mut ranked: Vec<(u8, Candidate)> =
        all.into_iter().filter_map(|candidate| rank(&candidate).map(|rank| (rank, candidate))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(OFFERED).map(|(_, candidate)| candidate).collect()
}

/// The line that Enter means: what is typed if it is whole, else the candidate under the cursor.
pub fn chosen(bar: &Bar) -> String {
    let typed = bar.input.value().trim();
    let whole = bar.candidates.iter().any(|candidate| candidate.line == typed);
    match bar.candidates.get(bar.selected) {
        Some(candidate) if !whole || bar.selected > 0 => candidate.line.clone(),
        _ => typed.to_owned(),
    }
}

/// The longest text that all candidates begin with, if it is longer than what is typed.
pub fn common(candidates: &[String], typed: &str) -> Option<String> {
    let first = candidates.first()?;
    let mut length = first.len();
    for other in &candidates[1..] {
        length = first
            .char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .take_while(|end| other.get(..*end) == first.get(..*end))
            .last()
            .unwrap_or(0)
            .min(length);
    }
    first.get(..length).filter(|text| text.len() > typed.len()).map(str::to_owned)
}

/// Does what a line says.
#[must_use]
pub fn run(model: &mut Model, line: &str) -> Vec<Effect> {
    let line = line.trim().trim_start_matches(':').trim();
    let (word, rest) = line.split_once(' ').map_or((line, ""), |(word, rest)| (word, rest.trim()));
    let known = |model: &Model, name: &str| model.data.flock(name).is_some();
    match (word, rest) {
        ("", _) => Vec::new(),
        ("flocks", "") => go(model, Place::Flocks),
        ("journal", "") => go(model, Place::Journal),
        ("profiles", "") => go(model, Place::Profiles),
        ("new", "") if !model.session.read_only => go(model, Place::NewFlock),
        ("stand-up", "") if !model.session.read_only => go(model, Place::StackNew),
        ("theme", name) if !name.is_empty() => vec![Effect::Theme(name.to_owned())],
        ("quit" | "q" | "q!", "") => {
            let lines = vec!["Jobs go on running; the console only watches them.".to_owned()];
            if word == "q!" {
                return vec![Effect::Quit];
            }
            model.overlay =
                Some(Overlay::Dialog(Box::new(Dialog::ask("Quit Shepard?", lines, "Quit", Then::Quit))));
            Vec::new()
        }
        ("jobs", name) if known(model, name) => go(model, Place::Jobs { flock: name.to_owned() }),
        ("jobs", "") => match model.nav.place().flock().map(str::to_owned) {
            Some(flock) => go(model, Place::Jobs { flock }),
            None => complain(model, "say which flock: jobs NAME"),
        },
        ("batch", name) if known(model, name) && !model.session.read_only => {
            go(model, Place::Batch { flock: name.to_owned() })
        }
        ("secrets", name) if known(model, name) && !model.session.read_only => {
            go(model, Place::Secrets { flock: name.to_owned() })
        }
        ("deploy", name) if known(model, name) && !model.session.read_only => {
            go(model, Place::Deploy { flock: name.to_owned() })
        }
        // Also of a stack that is in no list yet, or no more.
        ("stack" | "events" | "update" | "tear-down", name) if StackId::of_flock(name).is_some() => {
            let stack = StackId::of_flock(name).unwrap_or_default();
            match word {
                "stack" => go(model, Place::Stack(stack)),
                "events" => go(model, Place::StackEvents(stack)),
                _ if model.session.read_only => complain(model, "this session is read-only"),
                "update" => go(model, Place::StackUpdate(stack)),
                _ => go(model, Place::StackDown(stack)),
            }
        }
        ("releases", name) if known(model, name) => go(model, Place::Releases { flock: name.to_owned() }),
        ("only", state) => match (model.nav.place().flock().map(str::to_owned), State::from_word(state)) {
            (Some(flock), Some(state)) => filter(model, flock, &format!("state:{}", state.word())),
            (None, _) => complain(model, "open a flock first"),
            (_, None) => complain(model, format!("{state:?} is not a state")),
        },
        ("filter", text) => match model.nav.place().flock().map(str::to_owned) {
            Some(flock) => filter(model, flock, text),
            None => complain(model, "open a flock first"),
        },
        (name, "") if known(model, name) => go(model, Place::Jobs { flock: name.to_owned() }),
        (name, "") => match Action::named(name) {
            Some(action) if scopes(model).contains(&action.spec().scope) => act(model, action),
            Some(_) => complain(model, format!("{name} does not work on this screen")),
            None => complain(model, format!("there is no command {name:?}; press ? for help")),
        },
        _ => complain(model, format!("there is no command {line:?}; press ? for help")),
    }
}

fn filter(model: &mut Model, flock: String, text: &str) -> Vec<Effect> {
    let mut effects = go(model, Place::Jobs { flock });
    effects.extend(super::update::filter(model, text));
    effects
}

fn complain(model: &mut Model, text: impl Into<String>) -> Vec<Effect> {
    let now_ms = model.now_ms;
    model.ops.say(true, text, now_ms);
    Vec::new()
}
