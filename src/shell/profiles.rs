//! Profiles of the old command: reading them for their screen, and doing what it asks for.

use crate::app::msg::Done;
use crate::app::profiles::{ProfileCommand, ProfileRow, Profiles};
use crate::operations::profiles::{KEYS, Store, Values};
use crate::operations::{OperationError, Result, equivalent};

/// Every profile with what it says.
pub(super) fn read(store: &Store) -> Result<Profiles> {
    let row = |one: crate::operations::profiles::Listed| {
        let values = store.read(&one.name).unwrap_or_default();
        ProfileRow {
            values: values.each().map(|(_, value)| value.unwrap_or_default()).collect(),
            name: one.name,
            current: one.current,
            old: one.old,
            problem: one.problem,
        }
    };
    Ok(Profiles {
        names: KEYS.map(str::to_owned).to_vec(),
        rows: store.list()?.into_iter().map(row).collect(),
        place: store.dir().display().to_string(),
    })
}

/// Does what was asked for.
pub(super) fn carry_out(store: &Store, command: &ProfileCommand) -> Result<Done> {
    let text = match command {
        ProfileCommand::Save { name, values: said } => {
            let mut values = match store.read(name) {
                Ok(values) => values,
                Err(OperationError::NotFound(_)) => Values::default(),
                Err(error) => return Err(error),
            };
            for (key, value) in said {
                values.set(key, Some(value.as_str()).filter(|value| !value.is_empty()));
            }
            store.save(name, &values)?;
            format!("saved the profile {name}")
        }
        ProfileCommand::Set { name } => {
            store.set_current(name)?;
            format!("{name} is the current profile")
        }
        ProfileCommand::Clear => match store.clear_current()? {
            Some(name) => format!("{name} is no longer the current profile; none is"),
            None => "no profile was the current one".to_owned(),
        },
        ProfileCommand::Delete { name } => {
            store.delete(name)?;
            format!("removed the profile {name}")
        }
    };
    Ok(Done { text, failed: Vec::new(), path: None })
}

/// For the journal: what is done, to which profile, and the command line that does the same.
pub(super) fn described(command: &ProfileCommand) -> (&'static str, Vec<String>, Vec<String>) {
    match command {
        ProfileCommand::Save { name, values } => {
            let mut argv = equivalent::profiles(&["configure", name]);
            for (key, value) in values {
                argv.extend(["--value".to_owned(), format!("{key}={value}")]);
            }
            ("profiles configure", vec![name.clone()], argv)
        }
        ProfileCommand::Set { name } => {
            ("profiles set", vec![name.clone()], equivalent::profiles(&["set", name]))
        }
        ProfileCommand::Clear => ("profiles clear", Vec::new(), equivalent::profiles(&["clear"])),
        ProfileCommand::Delete { name } => {
            ("profiles delete", vec![name.clone()], equivalent::profiles(&["delete", name, "--yes"]))
        }
    }
}
