//! What can be done here, for the menu and the line of hints.

use super::actions::{Action, Reach, Scope};
use super::model::Model;
use super::update::scopes;
use crate::screens::Behaviour as _;

/// What the screen has no use for of the scopes that it shares.
pub fn without(model: &Model) -> &'static [Action] {
    model.nav.screen().map_or(&[], |screen| screen.without())
}

/// What the menu offers here: what this screen is for, without moving about.
pub(super) fn menu(model: &Model) -> Vec<Action> {
    let own = scopes(model);
    let own: Vec<Scope> =
        own.into_iter().filter(|scope| !matches!(scope, Scope::Text | Scope::Form)).collect();
    let moving = |action: Action| {
        let spec = action.spec();
        (spec.scope == Scope::Table
            && spec.hint.is_empty()
            && !matches!(action, Action::SortReverse | Action::Wide))
            || matches!(action, Action::ActionsMenu | Action::Out)
            || without(model).contains(&action)
    };
    model.session.keymap.listed(&own).map(|(spec, _)| spec.action).filter(|action| !moving(*action)).collect()
}

/// The actions of the line of hints, with their first key, for the scopes in force.
pub fn hints(model: &Model) -> Vec<(String, &'static str)> {
    let scopes = scopes(model);
    let map = &model.session.keymap;
    let form = scopes.contains(&Scope::Form);
    let mut shown: Vec<(Action, String, &'static str)> = map
        .listed(&scopes)
        .filter(|(spec, _)| !without(model).contains(&spec.action))
        .filter(|(spec, _)| !spec.hint.is_empty() && (spec.reach == Reach::Look || map.allowed(spec.action)))
        .filter_map(|(spec, keys)| {
            // A key that a nearer scope has taken would be a lie.
            let key = keys.iter().find(|key| map.action(&scopes, **key) == Some(spec.action))?;
            // So would one that types.
            if form && key.typed().is_some() {
                return None;
            }
            Some((spec.action, key.to_string(), spec.hint))
        })
        .collect();
    // The way in comes first: it is what a newcomer looks for.
    shown.sort_by_key(|(action, ..)| *action != Action::Open);
    shown.into_iter().map(|(_, key, hint)| (key, hint)).collect()
}
