//! Profiles of the old command: thirteen names under a name, and which of them is the current one.
//!
//! They are kept as the old command kept them: one file each, one line of JSON, and the current one's name in a file
//! beside them, so that exporting is copying. An old directory can be read beside our own; it is never written. What is
//! written replaces a file by a rename, as a whole.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};
use shepard_model::{Account, AwsFlockInfo};

use super::error::{OperationError, Result};
use crate::config::Config;

/// What begins every key of a profile's file.
pub const PREFIX: &str = "shepard_cli_";
/// What is answered to take a value away.
pub const CLEAR: &str = "**CLEAR**";
/// The file with the current profile's name.
pub const POINTER: &str = "current_shepard_profile_config.txt";
/// What a profile names, in the order in which it is asked for.
pub const KEYS: [&str; 13] = [
    "account_number",
    "role_to_assume_to_target_account",
    "path_to_docker_folder",
    "ecr_repo_to_push_to",
    "path_to_local_folder_to_batch",
    "s3_bucket_to_upload_to",
    "dynamo_db_to_query",
    "cloudformation_to_describe",
    "path_to_local_secrets",
    "secret_store",
    "s3_bucket_for_results",
    "directory_to_sync_s3_bucket_to",
    "lambda_to_invoke",
];
/// What lies in an old directory and is no profile: the old command itself.
const NO_PROFILES: [&str; 8] =
    ["lib.py", "cli.py", ".DS_Store", "__init__.py", "__pycache__", "shepard", "temp_store", POINTER];
/// Most bytes of a name, which is the name of a file.
const LONGEST: usize = 100;
/// A file that is larger is no profile.
const LARGEST: u64 = 1024 * 1024;

/// What a profile says. Keys that mean nothing here are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values(Map<String, Value>);

impl Values {
    /// Of the text of a profile's file.
    ///
    /// # Errors
    /// It is not a JSON object; the sentence says so without repeating it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err("it is JSON, but no object".to_owned()),
            Err(error) => Err(format!("it is no JSON (line {}, column {})", error.line(), error.column())),
        }
    }

    /// What is said under one of the names of [`KEYS`]; None where nothing or an empty text is.
    pub fn get(&self, key: &str) -> Option<String> {
        let said = match self.0.get(&format!("{PREFIX}{key}"))? {
            Value::String(text) => text.trim().to_owned(),
            Value::Null => String::new(),
            // An old file may hold what a person wrote there by hand: an account's digits as a number.
            other => other.to_string(),
        };
        (!said.is_empty()).then_some(said)
    }

    /// Says something under one of the names of [`KEYS`]; None takes it away.
    pub fn set(&mut self, key: &str, value: Option<&str>) {
        let key = format!("{PREFIX}{key}");
        match value {
            Some(value) => {
                self.0.insert(key, Value::String(value.to_owned()));
            }
            None => {
                self.0.shift_remove(&key);
            }
        }
    }

    /// Takes an answer of `configure`: an empty one keeps what is there, [`CLEAR`] takes it away.
    pub fn answer(&mut self, key: &str, answer: &str) {
        match answer.trim() {
            "" => {}
            CLEAR => self.set(key, None),
            value => self.set(key, Some(value)),
        }
    }

    /// What is said under each of [`KEYS`], in their order.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, Option<String>)> + '_ {
        KEYS.into_iter().map(|key| (key, self.get(key)))
    }

    /// One line, as the old command wrote it.
    pub fn line(&self) -> String {
        python::line(&self.0)
    }

    /// ARN of the role that the old command assumed for it, if it names an account and a role.
    pub fn role(&self) -> Option<String> {
        Some(role_arn(&self.get("account_number")?, &self.get("role_to_assume_to_target_account")?))
    }

    /// What is known of a flock by this profile alone, asked for in the environment's name.
    pub fn flock(&self, name: &str) -> AwsFlockInfo {
        let account = Account { role: self.role(), ..Account::default() };
        let values = self.each().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        AwsFlockInfo::from_profile(&account, name, &values)
    }
}

/// ARN of a role that is named with its path or without. One that is an ARN already stays.
pub fn role_arn(account: &str, role: &str) -> String {
    if role.starts_with("arn:") { role.to_owned() } else { format!("arn:aws:iam::{account}:role/{role}") }
}

/// A profile in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Name.
    pub name: String,
    /// It is the current one.
    pub current: bool,
    /// It lies in the old directory, which is only read.
    pub old: bool,
    /// Its file.
    pub path: PathBuf,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What became of one file of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was copied as it is.
    Imported,
    /// The same is here already.
    Same,
    /// It was left out.
    Skipped,
}

/// One file of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The profiles of this person.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    old: Option<PathBuf>,
}

impl Store {
    /// Those of the configuration's directory, and of the old directory where one is named.
    pub fn of(config: &Config) -> Self {
        Self { dir: config.dirs.config.join("profiles"), old: config.old_profiles.clone() }
    }

    /// Where they are written.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The old directory that is read beside it.
    pub fn old(&self) -> Option<&Path> {
        self.old.as_deref()
    }

    /// Every profile, by name. One of ours hides one of the old directory with the same name.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let current = self.current()?;
        let mut listed: Vec<Listed> = Vec::new();
        for (dir, old) in std::iter::once((&self.dir, false)).chain(self.old.iter().map(|dir| (dir, true))) {
            for name in names(dir)? {
                if listed.iter().any(|other| other.name == name) {
                    continue;
                }
                let path = dir.join(&name);
                let problem = read(&path).err().map(|error| error.to_string());
                let current = current.as_ref() == Some(&name);
                listed.push(Listed { name, current, old, path, problem });
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// Name of the current profile, whether or not there is one of that name.
    ///
    /// # Errors
    /// The file with its name cannot be read.
    pub fn current(&self) -> Result<Option<String>> {
        for dir in std::iter::once(&self.dir).chain(&self.old) {
            let path = dir.join(POINTER);
            match fs::read_to_string(&path) {
                // An empty one of ours says that none is, whatever the old directory says.
                Ok(text) => return Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty())),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(OperationError::io("read", &path)(error)),
            }
        }
        Ok(None)
    }

    /// What a profile says.
    ///
    /// # Errors
    /// There is none, with the names of those there are; its file cannot be read.
    pub fn read(&self, name: &str) -> Result<Values> {
        read(&self.find(name)?)
    }

    /// Writes a profile as a whole. One of the old directory becomes one of ours.
    ///
    /// # Errors
    /// A name that cannot be one of a file; the directory cannot be written.
    pub fn save(&self, name: &str, values: &Values) -> Result<()> {
        usable(name)?;
        self.put(name, values.line().as_bytes())
    }

    /// Makes a profile the current one.
    ///
    /// # Errors
    /// There is none of that name; the directory cannot be written.
    pub fn set_current(&self, name: &str) -> Result<()> {
        self.find(name)?;
        self.put(POINTER, name.as_bytes())
    }

    /// No profile is the current one any more; gives the one that was.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn clear_current(&self) -> Result<Option<String>> {
        let was = self.current()?;
        let path = self.dir.join(POINTER);
        if self.old.as_ref().is_some_and(|old| old.join(POINTER).exists()) {
            // Without one of ours that one would hold.
            self.put(POINTER, b"")?;
        } else if let Err(error) = fs::remove_file(&path)
            && !is_absent(&error)
        {
            return Err(OperationError::io("remove", &path)(error));
        }
        Ok(was)
    }

    /// Removes a profile; true where it was the current one, which then none is.
    ///
    /// # Errors
    /// There is none of that name; it is one of the old directory, or cannot be removed.
    pub fn delete(&self, name: &str) -> Result<bool> {
        let path = self.find(name)?;
        if !path.starts_with(&self.dir) {
            return Err(OperationError::Refused(format!(
                "{} belongs to the old command; remove it there, or leave out the old directory",
                path.display()
            )));
        }
        let current = self.current()?.as_deref() == Some(name);
        fs::remove_file(&path).map_err(OperationError::io("remove", &path))?;
        if current {
            self.clear_current()?;
        }
        Ok(current)
    }

    /// Copies the profiles of an old directory here as they are, and its current one's name where none is set here.
    /// Another one of the same name stays, unless `replace` says otherwise.
    ///
    /// # Errors
    /// The directory cannot be read, or ours not written.
    pub fn import(&self, from: &Path, replace: bool) -> Result<Vec<Imported>> {
        if !from.is_dir() {
            return Err(OperationError::NotFound(format!("there is no directory {}", from.display())));
        }
        let mut done = Vec::new();
        for name in names(from)? {
            let (fate, reason) = match self.import_one(&from.join(&name), &name, replace)? {
                Ok(fate) => (fate, None),
                Err(reason) => (Fate::Skipped, Some(reason)),
            };
            done.push(Imported { name, fate, reason });
        }
        let theirs = Self { dir: from.to_owned(), old: None }.current()?;
        if let Some(name) = theirs
            && !self.dir.join(POINTER).exists()
            && self.dir.join(&name).is_file()
        {
            self.put(POINTER, name.as_bytes())?;
        }
        Ok(done)
    }

    fn import_one(
        &self,
        from: &Path,
        name: &str,
        replace: bool,
    ) -> Result<std::result::Result<Fate, String>> {
        if let Err(error) = usable(name) {
            return Ok(Err(error.to_string()));
        }
        if let Err(error) = read(from) {
            return Ok(Err(error.to_string()));
        }
        let bytes = fs::read(from).map_err(OperationError::io("read", from))?;
        match fs::read(self.dir.join(name)) {
            Ok(here) if here == bytes => return Ok(Ok(Fate::Same)),
            Ok(_) if !replace => {
                return Ok(Err("another profile has the name; --replace puts this one in its place".into()));
            }
            _ => {}
        }
        self.put(name, &bytes)?;
        Ok(Ok(Fate::Imported))
    }

    /// The file of a profile.
    fn find(&self, name: &str) -> Result<PathBuf> {
        let usable = usable(name);
        let found = std::iter::once(&self.dir).chain(&self.old).map(|dir| dir.join(name));
        if usable.is_ok()
            && let Some(path) = found.into_iter().find(|path| path.is_file())
        {
            return Ok(path);
        }
        let names: Vec<String> = self.list()?.into_iter().map(|listed| listed.name).collect();
        let there = if names.is_empty() { "there is none yet".to_owned() } else { names.join(", ") };
        Err(OperationError::NotFound(format!("there is no profile named {name:?} ({there})")))
    }

    /// Writes a file beside where it goes and renames it.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        fs::create_dir_all(&self.dir).map_err(OperationError::io("make", &self.dir))?;
        let part = self.dir.join(format!(".{name}.{}", std::process::id()));
        let written = fs::File::create(&part)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&part, &path));
        written.map_err(|error| {
            let _ = fs::remove_file(&part);
            OperationError::io("write", &path)(error)
        })
    }
}

/// Whether a profile can have that name, which is the name of a file in a folder of ours.
///
/// # Errors
/// It cannot; the sentence says why.
pub fn usable(name: &str) -> Result<()> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST {
        "it is too long"
    } else if name.contains(['/', '\\']) || name.starts_with('.') {
        "it would lead elsewhere, or be hidden"
    } else if name.chars().any(char::is_control) || name.trim() != name {
        "it has characters that cannot be seen"
    } else if NO_PROFILES.contains(&name) {
        "the old command keeps something else under it"
    } else {
        return Ok(());
    };
    Err(OperationError::Usage(format!("no profile can be named {name:?}: {why}")))
}

/// Names of what may be profiles in a directory; none where there is no directory.
fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(OperationError::io("read", dir)(error)),
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !NO_PROFILES.contains(&name.as_str()) && !name.starts_with('.'))
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn read(path: &Path) -> Result<Values> {
    let size = fs::metadata(path).map_err(OperationError::io("read", path))?.len();
    let unusable = |why: String| OperationError::Refused(format!("{} is no profile: {why}", path.display()));
    if size > LARGEST {
        return Err(unusable(format!("it has {size} bytes")));
    }
    let text = fs::read_to_string(path).map_err(OperationError::io("read", path))?;
    Values::parse(&text).map_err(unusable)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// JSON as Python writes it: a space after each comma and colon, and nothing but ASCII.
mod python {
    use std::io::{self, Write};

    use serde::Serialize as _;
    use serde_json::ser::Formatter;
    use serde_json::{Map, Serializer, Value};

    struct Python;

    impl Formatter for Python {
        fn begin_array_value<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { to.write_all(b", ") }
        }
        fn begin_object_key<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { to.write_all(b", ") }
        }
        fn begin_object_value<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
            to.write_all(b": ")
        }
        fn write_string_fragment<W: Write + ?Sized>(&mut self, to: &mut W, part: &str) -> io::Result<()> {
            let mut units = [0; 2];
            for c in part.chars() {
                if c.is_ascii() {
                    write!(to, "{c}")?;
                } else {
                    for unit in c.encode_utf16(&mut units) {
                        write!(to, "\\u{unit:04x}")?;
                    }
                }
            }
            Ok(())
        }
    }

    pub(super) fn line(map: &Map<String, Value>) -> String {
        let mut bytes = Vec::new();
        // Neither writing to memory nor a map of texts can fail.
        let _ = map.serialize(&mut Serializer::with_formatter(&mut bytes, Python));
        String::from_utf8(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
