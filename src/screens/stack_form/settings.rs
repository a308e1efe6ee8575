//! The rows of the form: a few fields of its own, then groups of settings, folded or not, or only those that are looked
//! for. Which of them there are, which has the focus, and what differs from the usual.

use std::collections::BTreeMap;

use crate::app::stack::{Group, Kind, Naming, Parameter};
use crate::ui::form::{Field, Value};

/// A row of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// A field of the form's own.
    Base(usize),
    /// The head of a group.
    Group(usize),
    /// A setting of a group.
    Setting(usize, usize),
}

/// A parameter and the field for it.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) parameter: Parameter,
    pub(super) field: Field,
    /// A person has changed it; else it follows the stack's name.
    touched: bool,
}

impl Setting {
    fn new(parameter: &Parameter, name: &Naming) -> Self {
        let usual = parameter.usual(name);
        let field = if parameter.allowed.is_empty() {
            Field::text(&parameter.name, &usual, "")
        } else {
            let words: Vec<&str> = parameter.allowed.iter().map(String::as_str).collect();
            let mut field = Field::choice(&parameter.name, &words, "");
            choose(&mut field, &usual);
            field
        };
        Self { parameter: parameter.clone(), field, touched: false }
    }

    fn set(&mut self, value: &str) {
        self.field.set_text(value);
        choose(&mut self.field, value);
    }

    /// It is not what it would be by itself.
    pub(super) fn differs(&self, name: &Naming) -> bool {
        self.field.value() != self.parameter.usual(name)
    }

    fn check(&mut self) {
        let value = self.field.value().trim();
        let number = self.parameter.kind == Kind::Number && value.parse::<f64>().is_err();
        self.field.error = number.then(|| "a number, such as 64".to_owned());
    }
}

/// Chooses a value that is among the words; one that is not becomes one of them, for the stack has it.
fn choose(field: &mut Field, value: &str) {
    if let Value::Choice { words, chosen } = &mut field.value {
        *chosen = words.iter().position(|word| word == value).unwrap_or_else(|| {
            words.push(value.to_owned());
            words.len() - 1
        });
    }
}

/// The rows of the form.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) base: Vec<Field>,
    pub(super) groups: Vec<Folder>,
    /// Only settings with this in their name or in what is said of them; empty shows the groups.
    pub(super) filter: String,
    focus: usize,
}

/// A group, open or folded.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) title: String,
    pub(super) open: bool,
    pub(super) settings: Vec<Setting>,
}

impl Settings {
    /// With these fields of its own.
    pub(super) fn new(base: Vec<Field>) -> Self {
        Self { base, groups: Vec::new(), filter: String::new(), focus: 0 }
    }

    /// Takes the groups of a template; what was typed into settings that are there still stays.
    pub(super) fn take(&mut self, groups: &[Group], name: &Naming) {
        let mut typed: BTreeMap<String, String> = BTreeMap::new();
        let mut open: Vec<String> = Vec::new();
        for group in &self.groups {
            open.extend(group.open.then(|| group.title.clone()));
            for setting in group.settings.iter().filter(|setting| setting.touched) {
                typed.insert(setting.parameter.name.clone(), setting.field.value().to_owned());
            }
        }
        let row = self.row();
        let folder = |group: &Group| Folder {
            title: group.title.clone(),
            open: open.contains(&group.title),
            settings: group
                .parameters
                .iter()
                .map(|parameter| {
                    let mut setting = Setting::new(parameter, name);
                    if let Some(value) = typed.get(&parameter.name) {
                        setting.set(value);
                        setting.touched = true;
                    }
                    setting
                })
                .collect(),
        };
        self.groups = groups.iter().map(folder).collect();
        self.focus_on(row);
    }

    /// The rows in their order.
    pub(super) fn rows(&self) -> Vec<Row> {
        if !self.filter.is_empty() {
            return self.found();
        }
        let mut rows: Vec<Row> = (0..self.base.len()).map(Row::Base).collect();
        for (at, group) in self.groups.iter().enumerate() {
            rows.push(Row::Group(at));
            if group.open {
                rows.extend((0..group.settings.len()).map(|setting| Row::Setting(at, setting)));
            }
        }
        rows
    }

    fn found(&self) -> Vec<Row> {
        let wanted = self.filter.to_lowercase();
        let mut named = Vec::new();
        let mut said = Vec::new();
        for (at, group) in self.groups.iter().enumerate() {
            for (place, setting) in group.settings.iter().enumerate() {
                let row = Row::Setting(at, place);
                if setting.parameter.name.to_lowercase().contains(&wanted) {
                    named.push(row);
                } else if setting.parameter.help.to_lowercase().contains(&wanted) {
                    said.push(row);
                }
            }
        }
        // Who types a name means the name.
        named.extend(said);
        named
    }

    /// The row that has the focus.
    pub(super) fn row(&self) -> Option<Row> {
        self.rows().get(self.focus).copied()
    }

    /// Its place among the rows.
    pub(super) fn focus(&self) -> usize {
        self.focus
    }

    /// The field that has the focus, if it is one.
    pub(super) fn field_mut(&mut self) -> Option<&mut Field> {
        match self.row()? {
            Row::Base(at) => self.base.get_mut(at),
            Row::Group(_) => None,
            Row::Setting(group, at) => Some(&mut self.groups.get_mut(group)?.settings.get_mut(at)?.field),
        }
    }

    /// So many rows on, and around.
    pub(super) fn go(&mut self, by: isize) {
        let length = isize::try_from(self.rows().len()).unwrap_or(1).max(1);
        let to = (isize::try_from(self.focus).unwrap_or(0) + by).rem_euclid(length);
        self.focus = usize::try_from(to).unwrap_or(0);
    }

    fn focus_on(&mut self, row: Option<Row>) {
        let rows = self.rows();
        let at = row.and_then(|row| rows.iter().position(|other| *other == row));
        self.focus = at.unwrap_or(self.focus).min(rows.len().saturating_sub(1));
    }

    /// Opens or folds a group; None turns it round.
    pub(super) fn fold(&mut self, group: usize, open: Option<bool>) {
        if let Some(group) = self.groups.get_mut(group) {
            group.open = open.unwrap_or(!group.open);
        }
    }

    /// Shows only what has a text in it; empty shows everything, with the group of the row that had the focus open.
    pub(super) fn narrow(&mut self, text: &str) {
        let row = self.row();
        text.trim().clone_into(&mut self.filter);
        if self.filter.is_empty() {
            if let Some(Row::Setting(group, _)) = row {
                self.fold(group, Some(true));
            }
            self.focus_on(row);
        } else {
            self.focus = 0;
        }
    }

    /// Gives the focus to a setting by its name.
    pub(super) fn focus_setting(&mut self, name: &str) {
        let place = |group: &Folder| group.settings.iter().position(|one| one.parameter.name == name);
        let found = self.groups.iter().enumerate().find_map(|(at, group)| Some((at, place(group)?)));
        if let Some((group, at)) = found {
            self.filter.clear();
            self.fold(group, Some(true));
            self.focus_on(Some(Row::Setting(group, at)));
        }
    }

    /// Checks what can be checked without asking anybody.
    pub(super) fn check(&mut self) {
        self.groups.iter_mut().flat_map(|group| &mut group.settings).for_each(Setting::check);
    }

    /// Gives the focus to the first row that is wrong. False if none is.
    pub(super) fn focus_first_error(&mut self) -> bool {
        if let Some(at) = self.base.iter().position(|field| field.error.is_some()) {
            self.filter.clear();
            self.focus_on(Some(Row::Base(at)));
            return true;
        }
        let all = self.groups.iter().flat_map(|group| &group.settings);
        let wrong = all.into_iter().find(|one| one.field.error.is_some());
        let name = wrong.map(|one| one.parameter.name.clone());
        name.inspect(|name| self.focus_setting(name)).is_some()
    }

    /// A person has changed a setting.
    pub(super) fn touch(&mut self, group: usize, at: usize) {
        let setting = self.groups.get_mut(group).and_then(|group| group.settings.get_mut(at));
        if let Some(setting) = setting {
            setting.touched = true;
            setting.check();
        }
    }

    /// The stack has another name: what follows from it follows.
    pub(super) fn name_after(&mut self, name: &Naming) {
        for setting in self.groups.iter_mut().flat_map(|group| &mut group.settings) {
            if !setting.touched {
                let usual = setting.parameter.usual(name);
                setting.set(&usual);
            }
        }
    }

    /// The setting that has the focus as it would be by itself. False where none has it.
    pub(super) fn as_usual(&mut self, name: &Naming) -> bool {
        let Some(Row::Setting(group, at)) = self.row() else { return false };
        let setting = &mut self.groups[group].settings[at];
        let usual = setting.parameter.usual(name);
        setting.set(&usual);
        setting.touched = false;
        setting.field.error = None;
        true
    }

    /// The settings that are not what they would be by themselves.
    pub(super) fn differing(&self, name: &Naming) -> BTreeMap<String, String> {
        let all = self.groups.iter().flat_map(|group| &group.settings);
        all.filter(|setting| setting.differs(name))
            .map(|setting| (setting.parameter.name.clone(), setting.field.value().to_owned()))
            .collect()
    }

    /// The settings that are not what the template has, a line each.
    pub(super) fn told(&self) -> impl Iterator<Item = String> {
        let all = self.groups.iter().flat_map(|group| &group.settings);
        all.filter(|setting| setting.field.value() != setting.parameter.default)
            .map(|setting| format!("{} = {}", setting.parameter.name, setting.field.value()))
    }
}
