//! `shepard profiles …`, and the original's commands for its profiles.

use std::io::BufRead as _;

use serde::Serialize;

use super::output::columns;
use super::{Context, Exit};
use crate::cli;
use crate::operations::profiles::{Fate, Imported, KEYS, Listed, PREFIX, Store, Values, usable};
use crate::operations::{OperationError, Result, equivalent};

#[derive(Serialize)]
struct All<'a> {
    directory: String,
    old_directory: Option<String>,
    current: Option<&'a str>,
    profiles: &'a [Listed],
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    values: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct Done<'a> {
    name: Option<&'a str>,
    current: Option<String>,
}

#[derive(Serialize)]
struct ImportedAll<'a> {
    files: &'a [Imported],
}

pub(super) fn run(context: &Context<'_>, command: cli::Profiles) -> Result<Exit> {
    let store = Store::of(context.config);
    match command {
        cli::Profiles::List => list(context, &store),
        cli::Profiles::Show { name } => show(context, &store, name.as_deref()),
        cli::Profiles::Configure(arguments) => configure(context, &store, &arguments),
        cli::Profiles::Set { name } => set(context, &store, &name),
        cli::Profiles::Clear => clear(context, &store),
        cli::Profiles::Delete { name, yes } => delete(context, &store, &name, yes),
        cli::Profiles::Where => place(context, &store),
        cli::Profiles::Import { dir, replace } => {
            let result = store.import(&dir, replace);
            let argv = equivalent::profiles(&["import", &dir.display().to_string()]);
            context.journal("profiles import", "", &[], &argv, &result);
            imported(context, &result?)
        }
    }
}

/// The list, and which is the current one. The original's `check_profile` printed what that one says as well.
pub(super) fn list(context: &Context<'_>, store: &Store) -> Result<Exit> {
    let (profiles, current) = (store.list()?, store.current()?);
    if context.out.is_json() {
        context.out.json(&All {
            directory: store.dir().display().to_string(),
            old_directory: store.old().map(|dir| dir.display().to_string()),
            current: current.as_deref(),
            profiles: &profiles,
        })?;
        return Ok(Exit::Ok);
    }
    let row = |one: &Listed| {
        let mark = if one.current { "*" } else { " " };
        let about = one
            .problem
            .clone()
            .unwrap_or_else(|| if one.old { "of the old directory".to_owned() } else { String::new() });
        vec![mark.to_owned(), one.name.clone(), about]
    };
    for line in columns(&profiles.iter().map(row).collect::<Vec<_>>()) {
        context.out.line(line.trim_end())?;
    }
    match current {
        None if profiles.is_empty() => {
            context.out.note("there is no profile; `shepard profiles configure NAME` makes one");
        }
        None => context.out.note("no profile is the current one; `shepard profiles set NAME` makes one so"),
        Some(name) if !profiles.iter().any(|one| one.name == name) => {
            context.out.note(&format!("the current profile is {name}, which is not there"));
        }
        Some(_) => {}
    }
    Ok(Exit::Ok)
}

/// `check_profile`: the list, and what the current one says.
pub(super) fn check(context: &Context<'_>, store: &Store) -> Result<Exit> {
    if context.out.is_json() {
        return list(context, store);
    }
    list(context, store)?;
    match store.current()? {
        Some(name) => show(context, store, Some(&name)),
        None => Ok(Exit::Ok),
    }
}

fn show(context: &Context<'_>, store: &Store, name: Option<&str>) -> Result<Exit> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => store.current()?.ok_or_else(|| {
            OperationError::NotFound(
                "no profile is the current one; name one, or `shepard profiles set` one".into(),
            )
        })?,
    };
    let values = store.read(&name)?;
    if context.out.is_json() {
        let said = |(key, value): (&str, Option<String>)| (key.to_owned(), value.into());
        context.out.json(&Shown { name: &name, values: values.each().map(said).collect() })?;
        return Ok(Exit::Ok);
    }
    let row = |(key, value): (&str, Option<String>)| vec![key.to_owned(), value.unwrap_or_default()];
    for line in columns(&values.each().map(row).collect::<Vec<_>>()) {
        context.out.line(line.trim_end())?;
    }
    Ok(Exit::Ok)
}

pub(super) fn set(context: &Context<'_>, store: &Store, name: &str) -> Result<Exit> {
    let result = store.set_current(name);
    context.journal("profiles set", "", &[name.to_owned()], &equivalent::profiles(&["set", name]), &result);
    result?;
    context.out.note(&format!("{name} is the current profile"));
    done(context, store, Some(name))
}

pub(super) fn clear(context: &Context<'_>, store: &Store) -> Result<Exit> {
    let result = store.clear_current();
    context.journal("profiles clear", "", &[], &equivalent::profiles(&["clear"]), &result);
    match result? {
        Some(name) => context.out.note(&format!("{name} is no longer the current profile; none is")),
        None => context.out.note("no profile was the current one"),
    }
    done(context, store, None)
}

pub(super) fn delete(context: &Context<'_>, store: &Store, name: &str, yes: bool) -> Result<Exit> {
    store.read(name).or_else(|error| match error {
        // One that is no JSON can be removed all the same.
        OperationError::Refused(_) => Ok(Values::default()),
        error => Err(error),
    })?;
    if !yes && context.out.can_ask() {
        let question = format!("remove the profile {name} for good? [y/N]");
        if !matches!(context.out.ask(&question)?.as_str(), "y" | "yes") {
            return Err(OperationError::Refused("not confirmed; nothing was removed".into()));
        }
    }
    let result = store.delete(name);
    let argv = equivalent::profiles(&["delete", name, "--yes"]);
    context.journal("profiles delete", "", &[name.to_owned()], &argv, &result);
    if result? {
        context.out.note(&format!("{name} was the current profile; none is now"));
    }
    context.out.note(&format!("removed the profile {name}"));
    done(context, store, Some(name))
}

pub(super) fn place(context: &Context<'_>, store: &Store) -> Result<Exit> {
    if context.out.is_json() {
        return list(context, store);
    }
    context.out.line(&store.dir().display().to_string())?;
    if let Some(old) = store.old() {
        context.out.note(&format!("and, only read, {}", old.display()));
    }
    Ok(Exit::Ok)
}

/// Asks for each value in the original's order and saves them together. Whoever stops half-way changes nothing.
pub(super) fn configure(
    context: &Context<'_>,
    store: &Store,
    arguments: &cli::ConfigureProfile,
) -> Result<Exit> {
    let name = arguments.name.as_str();
    usable(name)?;
    let mut values = match store.read(name) {
        Ok(values) => values,
        Err(OperationError::NotFound(_)) => Values::default(),
        Err(error) => return Err(error),
    };
    if arguments.values.is_empty() {
        context.out.note(
            "this asks for the names that a flock goes by; keys and regions are the AWS configuration's (`aws \
             configure`)",
        );
        answers(context, &mut values)?;
    }
    for (key, value) in &arguments.values {
        let value = Some(value.trim()).filter(|value| !value.is_empty());
        values.set(key, value);
    }
    let result = store.save(name, &values);
    let mut argv = equivalent::profiles(&["configure", name]);
    for (key, value) in values.each() {
        argv.extend(["--value".to_owned(), format!("{key}={}", value.unwrap_or_default())]);
    }
    context.journal("profiles configure", "", &[name.to_owned()], &argv, &result);
    result?;
    context.out.note(&format!("saved the profile {name}"));
    done(context, store, Some(name))
}

/// One line for each value, from a person or from a script.
fn answers(context: &Context<'_>, values: &mut Values) -> Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    for (count, key) in KEYS.into_iter().enumerate() {
        let prompt = format!("{PREFIX}{key}[{}]:", values.get(key).unwrap_or_default());
        if !context.out.is_json() {
            // What a profile says is a file's content, and may be anybody's.
            let prompt: String =
                prompt.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
            context.out.write(|out| write!(out, "{prompt}"))?;
        }
        let answer = match lines.next() {
            Some(answer) => answer.map_err(|error| {
                OperationError::Environment(format!("cannot read standard input: {error}"))
            })?,
            None => {
                return Err(OperationError::Usage(format!(
                    "standard input ended after {count} of {} answers; nothing was saved",
                    KEYS.len()
                )));
            }
        };
        values.answer(key, &answer);
    }
    if !context.out.is_json() {
        context.out.line("")?;
    }
    Ok(())
}

fn imported(context: &Context<'_>, files: &[Imported]) -> Result<Exit> {
    if context.out.is_json() {
        context.out.json(&ImportedAll { files })?;
    } else {
        let row = |one: &Imported| {
            let what = match one.fate {
                Fate::Imported => "imported",
                Fate::Same => "here already",
                Fate::Skipped => "left out",
            };
            vec![what.to_owned(), one.name.clone(), one.reason.clone().unwrap_or_default()]
        };
        for line in columns(&files.iter().map(row).collect::<Vec<_>>()) {
            context.out.line(line.trim_end())?;
        }
        if files.is_empty() {
            context.out.note("there is no profile in it");
        }
    }
    Ok(if files.iter().any(|one| one.fate == Fate::Skipped) { Exit::Jobs } else { Exit::Ok })
}

fn done(context: &Context<'_>, store: &Store, name: Option<&str>) -> Result<Exit> {
    if context.out.is_json() {
        context.out.json(&Done { name, current: store.current()? })?;
    }
    Ok(Exit::Ok)
}
