//! Which key means which action where: the table's defaults under the user's `keys.toml`.

use std::collections::BTreeMap;

use super::actions::{ACTIONS, Action, Reach, Scope, Spec};
use super::key::Key;

/// The bindings in force.
#[derive(Debug, Clone)]
pub struct Keymap {
    bound: BTreeMap<(Scope, Key), Action>,
    keys: BTreeMap<Action, Vec<Key>>,
    read_only: bool,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::new(&BTreeMap::new(), false).0
    }
}

impl Keymap {
    /// The defaults, with some actions' keys replaced; an empty list disables the action's keys.
    ///
    /// Also gives what is wrong with the replacements. A bad entry is left out alone: the action keeps its
    /// default keys, and everything else stays as asked.
    pub fn new(replaced: &BTreeMap<String, Vec<String>>, read_only: bool) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut wanted: BTreeMap<Action, Vec<Key>> = BTreeMap::new();
        for (name, keys) in replaced {
            let Some(action) = Action::named(name) else {
                problems.push(format!("keys.toml: there is no action {name:?}"));
                continue;
            };
            match keys.iter().map(|key| key.parse()).collect::<Result<Vec<Key>, _>>() {
                Ok(keys) => drop(wanted.insert(action, keys)),
                Err(error) => problems.push(format!("keys.toml: {name}: {error}")),
            }
        }
        let mut map = Self { bound: BTreeMap::new(), keys: BTreeMap::new(), read_only };
        // What the user chose comes first: a default key yields to it, but two choices of one key clash.
        for spec in ACTIONS {
            let Some(keys) = wanted.get(&spec.action) else { continue };
            let clash = keys.iter().find_map(|key| map.taken(spec.scope, *key).map(|by| (*key, by)));
            match clash {
                None => map.bind(spec, keys),
                Some((key, by)) => {
                    problems.push(format!(
                        "keys.toml: {}: the key {key} is {} already; the entry is left out",
                        spec.name,
                        by.spec().name
                    ));
                    wanted.remove(&spec.action);
                }
            }
        }
        for spec in ACTIONS.iter().filter(|spec| !wanted.contains_key(&spec.action)) {
            let keys: Vec<Key> = spec
                .keys
                .iter()
                .filter_map(|key| key.parse().ok())
                .filter(|key| map.taken(spec.scope, *key).is_none())
                .collect();
            map.bind(spec, &keys);
        }
        (map, problems)
    }

    /// The action a key means, the first of the scopes that binds it deciding.
    pub fn action(&self, scopes: &[Scope], key: Key) -> Option<Action> {
        scopes
            .iter()
            .find_map(|scope| self.bound.get(&(*scope, key)).copied())
            .filter(|action| self.allowed(*action))
    }

    /// Whether the session allows the action at all.
    pub fn allowed(&self, action: Action) -> bool {
        !(self.read_only && action.spec().reach != Reach::Look)
    }

    /// Its keys, for help.
    pub fn keys(&self, action: Action) -> &[Key] {
        self.keys.get(&action).map_or(&[], Vec::as_slice)
    }

    /// What can be done in these scopes, in the table's order, with the keys that do it.
    pub fn listed<'a>(&'a self, scopes: &'a [Scope]) -> impl Iterator<Item = (&'static Spec, &'a [Key])> {
        scopes.iter().flat_map(move |scope| {
            ACTIONS
                .iter()
                .filter(move |spec| spec.scope == *scope && self.allowed(spec.action))
                .map(|spec| (spec, self.keys(spec.action)))
        })
    }

    fn taken(&self, scope: Scope, key: Key) -> Option<Action> {
        self.bound.get(&(scope, key)).copied()
    }

    fn bind(&mut self, spec: &Spec, keys: &[Key]) {
        for key in keys {
            self.bound.insert((spec.scope, *key), spec.action);
        }
        self.keys.insert(spec.action, keys.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &[&str])]) -> (Keymap, Vec<String>) {
        let replaced = entries
            .iter()
            .map(|(name, keys)| ((*name).to_owned(), keys.iter().map(|key| (*key).to_owned()).collect()))
            .collect();
        Keymap::new(&replaced, false)
    }

    fn press(map: &Keymap, key: &str) -> Option<Action> {
        map.action(&[Scope::Jobs, Scope::Table, Scope::Global], key.parse().expect("key"))
    }

    #[test]
    fn no_two_defaults_share_a_key_in_one_scope() {
        let (map, problems) = map(&[]);
        assert!(problems.is_empty());
        for spec in ACTIONS {
            assert_eq!(map.keys(spec.action).len(), spec.keys.len(), "{} lost a key to another", spec.name);
        }
    }

    #[test]
    fn several_keys_and_none_can_be_chosen() {
        let (map, problems) = map(&[("down", &["ctrl-n", "e"]), ("retry", &[])]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(press(&map, "e"), Some(Action::Down));
        assert_eq!(press(&map, "j"), None);
        assert_eq!(press(&map, "R"), None);
    }

    #[test]
    fn a_choice_takes_the_key_from_a_default_and_a_clash_loses_one_entry_only() {
        let (map, problems) =
            map(&[("retry", &["l"]), ("terminate", &["l"]), ("nonsense", &["q"]), ("mark", &["huh"])]);
        assert_eq!(press(&map, "l"), Some(Action::JobsRetry));
        assert_eq!(press(&map, "X"), Some(Action::JobsTerminate), "the clashing entry keeps its default");
        assert_eq!(press(&map, "space"), Some(Action::Mark));
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn read_only_takes_away_everything_that_changes() {
        let (map, _) = Keymap::new(&BTreeMap::new(), true);
        assert_eq!(press(&map, "X"), None);
        assert_eq!(press(&map, "R"), None);
        assert_eq!(press(&map, "j"), Some(Action::Down));
        assert!(map.listed(&[Scope::Jobs]).all(|(spec, _)| spec.reach == Reach::Look));
    }
}
