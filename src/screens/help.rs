//! Help: every key that works here, from the one table of actions. Nothing on it is written by hand.

use crate::app::actions::Scope;
use crate::app::model::Model;
use crate::app::update::scopes;

/// One line of help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The title of a group.
    Title(&'static str),
    /// Keys, and what they do.
    Keys(String, &'static str),
    /// Nothing.
    Gap,
}

/// The help for where the console is: its own keys first, then what works everywhere.
pub fn lines(model: &Model) -> Vec<Line> {
    let here = scopes(model);
    let mut lines = Vec::new();
    for scope in &here {
        lines.extend(group(model, *scope, &here));
    }
    lines
}

/// How many lines that is.
pub fn line_count(model: &Model) -> usize {
    lines(model).len()
}

fn group(model: &Model, scope: Scope, here: &[Scope]) -> Vec<Line> {
    let map = &model.session.keymap;
    let listed: Vec<Line> = map
        .listed(&[scope])
        .filter_map(|(spec, keys)| {
            // A key that a nearer scope has taken means something else here.
            let keys: Vec<String> = keys
                .iter()
                .filter(|key| map.action(here, **key) == Some(spec.action))
                .map(ToString::to_string)
                .collect();
            let keys = if keys.is_empty() { format!(":{}", spec.name) } else { keys.join("  ") };
            Some(Line::Keys(keys, spec.help))
        })
        .collect();
    if listed.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::Title(scope.title())];
    lines.extend(listed);
    lines.push(Line::Gap);
    lines
}
