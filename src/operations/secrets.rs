//! A flock's secrets: from a folder into their store, by name and never by value.
//!
//! The store is replaced as a whole, so what a push would do is worked out first and carried out only if the store is
//! still as it was then. Whoever may replace the secrets and not read them, as users of the original's command line,
//! is told that nothing can be compared. No error, no result and no `Debug` here holds a content or the size of one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shepard_cloud::ports::{Secret, Written};
use shepard_cloud::secret::{self, LIMIT};
use shepard_cloud::{Kind, Secrets};

use super::error::{OperationError, Result};

/// Files that are named where all of them together are too large.
const LARGEST: usize = 3;

/// What becomes of the names in a store. Each list is in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Diff {
    /// Not in the store yet.
    pub added: Vec<String>,
    /// In the store, with another content.
    pub changed: Vec<String>,
    /// In the store, and gone afterwards.
    pub removed: Vec<String>,
    /// In the store, and the same afterwards.
    pub unchanged: Vec<String>,
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its files, by name.
    pub secrets: Vec<Secret>,
    /// What is in it and no secret: folders, and what is no regular file.
    pub skipped: Vec<String>,
}

/// What a store would become.
#[derive(Debug)]
pub struct Plan {
    /// What becomes of each name; None where the store cannot be read.
    pub diff: Option<Diff>,
    /// Why it cannot be read.
    pub unknown: Option<String>,
    /// What is in the folder and no secret.
    pub skipped: Vec<String>,
    /// Files in the folder, or names to be removed: with none there is nothing to do.
    pub asked: usize,
    secrets: Vec<Secret>,
    before: Option<Vec<Secret>>,
}

impl Plan {
    /// Something that is there now would be gone or other afterwards, or might be.
    pub fn replaces(&self) -> bool {
        self.diff.as_ref().is_none_or(|diff| !diff.changed.is_empty() || !diff.removed.is_empty())
    }

    /// Names would be gone afterwards, or might be.
    pub fn removes(&self) -> bool {
        self.diff.as_ref().is_none_or(|diff| !diff.removed.is_empty())
    }

    /// The store would not stay as it is.
    pub fn changes(&self) -> bool {
        let stays = |diff: &Diff| diff.added.is_empty() && diff.changed.is_empty() && diff.removed.is_empty();
        self.asked > 0 && !self.diff.as_ref().is_some_and(stays)
    }

    /// The names that are in the store afterwards.
    pub fn names(&self) -> Vec<String> {
        names(&self.secrets)
    }

    /// For the journal: `+added`, `~changed`, `-removed`, or every name with `=` where nothing could be compared.
    pub fn targets(&self) -> Vec<String> {
        let signed = |sign: char, names: &[String]| {
            names.iter().map(|name| format!("{sign}{name}")).collect::<Vec<_>>()
        };
        match &self.diff {
            Some(diff) => {
                let signs = [('+', &diff.added), ('~', &diff.changed), ('-', &diff.removed)];
                signs.into_iter().flat_map(|(sign, names)| signed(sign, names)).collect()
            }
            None => signed('=', &self.names()),
        }
    }
}

/// Works out what a store would become by the files directly in a folder. With `merge`, what is in the store alone
/// stays there; without, it goes.
///
/// # Errors
/// A folder that cannot be read, names that no secret can have, more than a store can hold, a store that does not
/// answer; with `merge` also one that cannot be read.
pub async fn plan(store: &dyn Secrets, folder: &Path, merge: bool) -> Result<Plan> {
    let path = folder.to_owned();
    let found = tokio::task::spawn_blocking(move || read(&path)).await;
    let found =
        found.map_err(|_| OperationError::Environment("reading the folder ended too early".into()))??;
    let asked = found.secrets.len();
    if asked == 0 {
        // Nobody needs to be asked about nothing.
        let (diff, secrets) = (Some(Diff::default()), Vec::new());
        return Ok(Plan { diff, unknown: None, skipped: found.skipped, asked, secrets, before: None });
    }
    let (before, unknown) = match store.read().await {
        Ok(before) => (Some(before), None),
        Err(error) if matches!(error.kind, Kind::Denied | Kind::Invalid) => (None, Some(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let secrets = match (&before, merge) {
        (Some(before), true) => merged(before, found.secrets),
        (None, true) => {
            return Err(OperationError::Refused(format!(
                "what is there cannot be kept, because it cannot be read: {}; leave out --merge to replace it",
                unknown.unwrap_or_default()
            )));
        }
        (_, false) => found.secrets,
    };
    fits(secrets.iter().map(|secret| (secret.name.as_str(), secret.bytes.len() as u64)))?;
    let diff = before.as_deref().map(|before| compare(before, &secrets));
    Ok(Plan { diff, unknown, skipped: found.skipped, asked, secrets, before })
}

/// Works out what a store would become without some of its names.
///
/// # Errors
/// `NotFound` for a name that is not there; a store that cannot be read.
pub async fn without(store: &dyn Secrets, gone: &[String]) -> Result<Plan> {
    let before = store.read().await?;
    if let Some(missing) = gone.iter().find(|name| !before.iter().any(|secret| secret.name == **name)) {
        return Err(OperationError::NotFound(format!(
            "there is no secret {missing:?}; `shepard secrets list` shows what there is; nothing was removed"
        )));
    }
    let stays = |secret: &&Secret| !gone.contains(&secret.name);
    let secrets: Vec<Secret> = before.iter().filter(stays).cloned().collect();
    let diff = Some(compare(&before, &secrets));
    let asked = before.len() - secrets.len();
    Ok(Plan { diff, unknown: None, skipped: Vec::new(), asked, secrets, before: Some(before) })
}

/// Carries a plan out. None where there is nothing to do: then nothing is sent.
///
/// # Errors
/// `Refused` where the store is not any more what it was when the plan was made; the store's own.
pub async fn carry_out(store: &dyn Secrets, plan: &Plan) -> Result<Option<Written>> {
    if !plan.changes() {
        return Ok(None);
    }
    if let Some(before) = &plan.before
        && store.read().await? != *before
    {
        return Err(OperationError::Refused(
            "the secrets were changed by somebody else meanwhile; nothing was sent, look again".into(),
        ));
    }
    Ok(Some(store.write(&plan.secrets).await?))
}

/// The names in a store.
///
/// # Errors
/// The store's.
pub async fn list(store: &dyn Secrets) -> Result<Vec<String>> {
    Ok(names(&store.read().await?))
}

/// Reads the files directly in a folder; a link to a file is that file. Blocks.
///
/// # Errors
/// What cannot be read, names that no secret can have, more than a store can hold.
pub fn read(folder: &Path) -> Result<Found> {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(OperationError::io("read the folder", folder))? {
        let entry = entry.map_err(OperationError::io("read the folder", folder))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|odd| {
            let odd = odd.to_string_lossy().into_owned();
            OperationError::Usage(format!(
                "the name of the file {odd:?} is not UTF-8, so no secret can have it; rename it"
            ))
        })?;
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => files.push((name, found.len())),
            Ok(_) => skipped.push(name),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => skipped.push(name),
            Err(error) => return Err(OperationError::io("look at", &path)(error)),
        }
    }
    // Before anything is read: a folder that was given by mistake may hold anything.
    fits(files.iter().map(|(name, bytes)| (name.as_str(), *bytes)))?;
    let mut secrets = Vec::with_capacity(files.len());
    for (name, _) in files {
        let (path, mut bytes) = (folder.join(&name), Vec::new());
        let file = File::open(&path).map_err(OperationError::io("read", &path))?;
        // It may have grown since; no more than a store holds is of use.
        file.take(LIMIT as u64 + 1).read_to_end(&mut bytes).map_err(OperationError::io("read", &path))?;
        secrets.push(Secret { name, bytes });
    }
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    skipped.sort_unstable();
    secret::check(&secrets).map_err(|bad| OperationError::Usage(bad.to_string()))?;
    Ok(Found { secrets, skipped })
}

/// Refuses what would be longer, as the text that a store keeps, than a store can keep.
fn fits<'a>(files: impl Iterator<Item = (&'a str, u64)> + Clone) -> Result<()> {
    let size = secret::size(files.clone());
    if size <= LIMIT as u64 {
        return Ok(());
    }
    let mut largest: Vec<(&str, u64)> = files.collect();
    largest.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let named: Vec<String> = largest.iter().take(LARGEST).map(|(name, _)| format!("{name:?}")).collect();
    let rest = if largest.len() > LARGEST { ", the largest first" } else { "" };
    Err(OperationError::Usage(format!(
        "the secrets would be {size} bytes long as they are kept (contents grow by a third), and {LIMIT} are the most; \
         make them smaller: {}{rest}",
        named.join(", ")
    )))
}

fn merged(before: &[Secret], new: Vec<Secret>) -> Vec<Secret> {
    let kept = before.iter().cloned().map(|secret| (secret.name, secret.bytes));
    let all: BTreeMap<String, Vec<u8>> =
        kept.chain(new.into_iter().map(|secret| (secret.name, secret.bytes))).collect();
    all.into_iter().map(|(name, bytes)| Secret { name, bytes }).collect()
}

fn names(secrets: &[Secret]) -> Vec<String> {
    let mut names: Vec<String> = secrets.iter().map(|secret| secret.name.clone()).collect();
    names.sort_unstable();
    names
}

fn compare(before: &[Secret], after: &[Secret]) -> Diff {
    let by_name = |secrets: &[Secret]| -> BTreeMap<String, Vec<u8>> {
        secrets.iter().map(|secret| (secret.name.clone(), secret.bytes.clone())).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    let mut diff = Diff::default();
    for (name, bytes) in &after {
        let list = match before.get(name) {
            None => &mut diff.added,
            Some(old) if old == bytes => &mut diff.unchanged,
            Some(_) => &mut diff.changed,
        };
        list.push(name.clone());
    }
    diff.removed = before.into_keys().filter(|name| !after.contains_key(name)).collect();
    diff
}

#[cfg(test)]
mod tests;
