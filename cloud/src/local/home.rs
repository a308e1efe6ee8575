//! Where flocks lie on this machine: their folders, their settings, and which names they may have.
//!
//! Paths, one settings file and nothing else: whether a supervisor runs, what a bucket holds and what the database
//! says is for others. No path here is ever built from a name that was not checked first.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shepard_model::{Isolation, JobId};

use crate::error::{CloudError, Kind, Result};
use crate::ports::Buckets;

/// The buckets of a local flock; each is a folder of that name.
pub const BUCKETS: [&str; 4] = ["inputs", "outputs", "quick_deploy", "errors"];

/// What a name of a flock may be.
const NAME_RULE: &str = "a name is 1 to 64 of the letters a-z, the digits, '-' and '_', and begins with a letter or \
                         a digit";

/// Prefix of the folders of flocks that are being removed. No flock can have such a name.
const REMOVED: &str = ".removed-";

/// The folder of every local flock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    flocks: PathBuf,
}

impl Home {
    /// The flocks under a data directory: `<data_dir>/flocks/<name>/`. Touches nothing.
    pub fn new(data_dir: impl AsRef<Path>) -> Self {
        Self { flocks: data_dir.as_ref().join("flocks") }
    }

    /// The folder that holds a folder for each flock.
    pub fn path(&self) -> &Path {
        &self.flocks
    }

    /// Every flock there is, by name. A flock whose settings cannot be read is listed all the same.
    ///
    /// # Errors
    /// The folder cannot be read. That it is not there yet means that there are no flocks.
    pub fn list(&self) -> Result<Vec<FlockDir>> {
        let failed = |error| CloudError::io("list the flocks in", self.flocks.display().to_string(), error);
        let entries = match fs::read_dir(&self.flocks) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut flocks = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if check_name(&name).is_ok() {
                let flock = FlockDir { root: entry.path(), name };
                if flock.settings_file().is_file() {
                    flocks.push(flock);
                }
            }
        }
        flocks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(flocks)
    }

    /// Makes a flock's folders and writes its settings. Takes up a creation that was interrupted.
    ///
    /// # Errors
    /// `Invalid` for a name or a setting that cannot be, `Conflict` where a flock of that name exists.
    pub fn create(&self, settings: &Settings) -> Result<FlockDir> {
        settings.check()?;
        let flock = self.place(&settings.name)?;
        if flock.settings_file().exists() {
            return Err(Self::exists(&settings.name));
        }
        private_dir(&flock.root)?;
        for bucket in BUCKETS {
            private_dir(&flock.root.join(bucket))?;
        }
        for dir in [flock.logs(), flock.jobs(), flock.secrets()] {
            private_dir(&dir)?;
        }
        let file = flock.settings_file();
        // The settings come last: only a folder that has them is a flock.
        staged(&file, &settings.to_json()?)?.persist_noclobber(&file).map_err(|failure| {
            match failure.error.kind() {
                io::ErrorKind::AlreadyExists => Self::exists(&settings.name),
                _ => CloudError::io("write", file.display().to_string(), failure.error),
            }
        })?;
        Ok(flock)
    }

    /// Removes a flock with everything in it, and what an earlier removal could not finish. Whether its supervisor still runs is the caller's to look at first.
    ///
    /// # Errors
    /// `NotFound` where there is none of that name.
    pub fn remove(&self, name: &str) -> Result<()> {
        let flock = self.flock(name)?;
        let failed = |error| CloudError::io("remove the flock", name, error);
        // Renamed first, so that nobody ever sees half a flock.
        let mut away = self.flocks.join(format!("{REMOVED}{name}-{}", std::process::id()));
        let mut again = 0;
        while away.exists() {
            again += 1;
            away = self.flocks.join(format!("{REMOVED}{name}-{}-{again}", std::process::id()));
        }
        fs::rename(&flock.root, &away).map_err(failed)?;
        match fs::remove_dir_all(&away) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        for left in fs::read_dir(&self.flocks).into_iter().flatten().flatten() {
            if left.file_name().to_str().is_some_and(|name| name.starts_with(REMOVED)) {
                // Somebody else may be at it; what stays is swept the next time.
                let _ = fs::remove_dir_all(left.path());
            }
        }
        Ok(())
    }

    /// The flock of that name.
    ///
    /// # Errors
    /// `Invalid` for a name no flock can have, `NotFound` where there is none.
    pub fn flock(&self, name: &str) -> Result<FlockDir> {
        let flock = self.place(name)?;
        if flock.settings_file().is_file() {
            Ok(flock)
        } else {
            let help = format!("there is none of that name in {}", self.flocks.display());
            Err(CloudError::new("find the flock", name, Kind::NotFound).because(help))
        }
    }

    fn place(&self, name: &str) -> Result<FlockDir> {
        check_name(name)?;
        Ok(FlockDir { name: name.to_owned(), root: self.flocks.join(name) })
    }

    fn exists(name: &str) -> CloudError {
        CloudError::new("create the flock", name, Kind::Conflict)
            .because("a flock of that name exists already")
    }
}

/// Checks the name of a flock.
///
/// # Errors
/// `Invalid`, with the rule.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|b| plain(b) || b == b'-' || b == b'_')
        && name.bytes().next().is_some_and(plain);
    if fits {
        Ok(())
    } else {
        Err(CloudError::new("name a flock", format!("{name:?}"), Kind::Invalid).because(NAME_RULE))
    }
}

/// The paths of one flock. Knows names, opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlockDir {
    name: String,
    root: PathBuf,
}

impl FlockDir {
    /// The flock's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Its settings.
    pub fn settings_file(&self) -> PathBuf {
        self.root.join("flock.json")
    }

    /// Its database. Only SQLite may open it: a process that opens and closes the file by other means drops the
    /// locks which its own connections hold.
    pub fn database(&self) -> PathBuf {
        self.root.join("state.db")
    }

    /// The folder of a bucket.
    ///
    /// # Errors
    /// `NotFound` where it is none of [`BUCKETS`].
    pub fn bucket(&self, name: &str) -> Result<PathBuf> {
        if BUCKETS.contains(&name) {
            Ok(self.root.join(name))
        } else {
            let help = format!("a local flock has the buckets {}", BUCKETS.join(", "));
            Err(CloudError::new("find the bucket", name, Kind::NotFound).because(help))
        }
    }

    /// The names of its buckets.
    pub fn buckets(&self) -> Buckets {
        let [inputs, outputs, quick_deploy, errors] = BUCKETS.map(str::to_owned);
        Buckets { inputs, outputs, quick_deploy, errors }
    }

    /// The folder of the log streams.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The file of a log stream, in a folder named by its first two characters so that no folder gets huge.
    ///
    /// # Errors
    /// `Invalid` for a name that could not be a file's.
    pub fn log_path(&self, stream: &str) -> Result<PathBuf> {
        let fits = (1..=200).contains(&stream.len())
            && stream.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !fits {
            let help = "a log stream is named by letters, digits, '-' and '_'";
            return Err(
                CloudError::new("name a log stream", format!("{stream:?}"), Kind::Invalid).because(help)
            );
        }
        let shard = &stream[..stream.len().min(2)];
        Ok(self.logs().join(shard).join(format!("{stream}.log")))
    }

    /// The folder of the jobs' working directories and locks.
    pub fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// The working directory of a job.
    pub fn job_dir(&self, id: &JobId) -> PathBuf {
        self.jobs().join(id.as_str())
    }

    /// The file a job's worker keeps locked while it lives.
    pub fn worker_lock(&self, id: &JobId) -> PathBuf {
        self.jobs().join(format!("{id}.lock"))
    }

    /// The file that stays locked while any process of a job's payload lives.
    pub fn payload_lock(&self, id: &JobId) -> PathBuf {
        self.jobs().join(format!("{id}.payload.lock"))
    }

    /// The folder of the secrets; only its owner may read it.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// The file the supervisor keeps locked while it lives.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.root.join("supervisor.lock")
    }

    /// Which process the supervisor is and when it began.
    pub fn supervisor_file(&self) -> PathBuf {
        self.root.join("supervisor.json")
    }

    /// What the supervisor says.
    pub fn supervisor_log(&self) -> PathBuf {
        self.root.join("supervisor.log")
    }

    /// Reads the settings. The name is the folder's, whatever the file says.
    ///
    /// # Errors
    /// `NotFound` where there is no such flock, `Invalid` where the file is not what it should be.
    pub fn settings(&self) -> Result<Settings> {
        let file = self.settings_file();
        let target = || file.display().to_string();
        let bytes = fs::read(&file).map_err(|error| CloudError::io("read", target(), error))?;
        let mut settings: Settings = serde_json::from_slice(&bytes)
            .map_err(|error| CloudError::new("read", target(), Kind::Invalid).because(error))?;
        self.name.clone_into(&mut settings.name);
        settings.check()?;
        Ok(settings)
    }

    /// Replaces the settings, whole or not at all.
    ///
    /// # Errors
    /// `Invalid` for settings that cannot be or that belong to a flock of another name.
    pub fn write_settings(&self, settings: &Settings) -> Result<()> {
        settings.check()?;
        if settings.name != self.name {
            let help = format!("they are those of the flock {}", settings.name);
            return Err(CloudError::new("write the settings of", &self.name, Kind::Invalid).because(help));
        }
        write_atomically(&self.settings_file(), &settings.to_json()?)
    }
}

/// How a local flock runs its jobs. What a file leaves out is as in `default()`; what it has beyond is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The flock's name.
    pub name: String,
    /// What a job runs, program first; None where the code comes by quick deploy.
    pub command: Option<Vec<String>>,
    /// Image that payloads run in, as the engine of this machine names it; None where they are processes of the
    /// machine itself. With an image and no command its own entry point runs.
    pub image: Option<String>,
    /// What payloads in containers are granted beyond them.
    pub isolation: Isolation,
    /// Folder of the quick-deploy bucket that jobs run which name none.
    pub quick_deploy: Option<String>,
    /// How many jobs run at once; at least 1.
    pub max_jobs: u32,
    /// How many attempts one run of a job gets where its worker was lost; at least 1.
    pub attempts: u32,
    /// Days for which the row of a job is kept.
    pub keep_days: u32,
    /// Seconds after which a payload is stopped; None for never.
    pub timeout_s: Option<u64>,
    /// Seconds without work after which the supervisor goes.
    pub idle_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            command: None,
            image: None,
            isolation: Isolation::default(),
            quick_deploy: None,
            max_jobs: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)),
            attempts: 3,
            keep_days: 30,
            timeout_s: None,
            idle_s: 600,
        }
    }
}

impl Settings {
    /// The defaults for a flock of that name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        let problem = if self.max_jobs == 0 {
            "max_jobs must be at least 1"
        } else if self.attempts == 0 {
            "attempts must be at least 1"
        } else if self.keep_days == 0 {
            "keep_days must be at least 1"
        } else if self.timeout_s == Some(0) {
            "timeout_s must be at least 1; leave it out for no limit"
        } else if self.command.as_ref().is_some_and(|argv| argv.first().is_none_or(String::is_empty)) {
            "the command must name a program"
        } else if self.image.as_deref().is_some_and(is_no_image) {
            "an image has a name like REPOSITORY:TAG or sha256:…, without spaces; leave it out to run processes of \
             this machine"
        } else if self.image.is_none() && self.isolation != Isolation::default() {
            "isolation is of payloads in containers; name their image, or leave it out"
        } else if let Some(problem) = self.isolation.problem() {
            return Err(self.unusable(&problem));
        } else {
            return Ok(());
        };
        Err(self.unusable(problem))
    }

    fn unusable(&self, problem: &str) -> CloudError {
        CloudError::new("use the settings of", &self.name, Kind::Invalid).because(problem)
    }

    fn to_json(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| {
            CloudError::new("write the settings of", &self.name, Kind::Other).because(error)
        })?;
        text.push(b'\n');
        Ok(text)
    }
}

/// What no image can be called: an engine would say so of each job.
fn is_no_image(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
    name.is_empty()
        || name.len() > 512
        || !name.chars().all(fits)
        || name.starts_with(['-', '.', '/', ':', '@'])
}

/// Makes a folder, and those above it, that only its owner may enter. One that exists is left as it is.
///
/// # Errors
/// What the file system says.
pub fn private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| CloudError::io("make the folder", path.display().to_string(), error))
}

/// Writes a file so that a reader finds the old content or the new, never part of either, and so that the new
/// content survives a power cut once this has returned.
///
/// # Errors
/// What the file system says; the old file is there still.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error| CloudError::io("write", path.display().to_string(), error);
    staged(path, bytes)?.persist(path).map_err(|failure| failed(failure.error))?;
    match path.parent() {
        // The rename is in the folder, not in the file.
        Some(parent) => fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed),
        None => Ok(()),
    }
}

/// The content in a file beside the one it is to become, on the disk.
fn staged(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile> {
    let failed = |error| CloudError::io("write", path.display().to_string(), error);
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(parent)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flock_is_made_listed_and_removed() {
        let temp = tempfile::tempdir().expect("temp");
        let home = Home::new(temp.path());
        assert_eq!(home.list().expect("list"), []);
        assert_eq!(home.flock("a").expect_err("none yet").kind, Kind::NotFound);

        let settings = Settings { command: Some(vec!["wc".into()]), max_jobs: 3, ..Settings::named("a") };
        let flock = home.create(&settings).expect("create");
        home.create(&Settings::named("b-2")).expect("create");
        assert_eq!(flock.settings().expect("settings"), settings);
        assert_eq!(home.create(&settings).expect_err("twice").kind, Kind::Conflict);
        for bucket in BUCKETS {
            assert!(flock.bucket(bucket).expect("bucket").is_dir());
        }
        let mode = fs::metadata(flock.secrets()).expect("secrets").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        let names =
            || home.list().expect("list").iter().map(|flock| flock.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(), ["a", "b-2"]);
        fs::create_dir_all(home.path().join(".removed-old-1/inputs")).expect("left by another");
        home.remove("a").expect("remove");
        assert!(!home.path().join(".removed-old-1").exists());
        assert_eq!(names(), ["b-2"]);
        assert!(!flock.path().exists());
        assert_eq!(home.remove("a").expect_err("gone").kind, Kind::NotFound);
        home.create(&settings).expect("the name is free again");
    }

    #[test]
    fn a_creation_that_was_interrupted_is_taken_up() {
        let temp = tempfile::tempdir().expect("temp");
        let home = Home::new(temp.path());
        fs::create_dir_all(home.path().join("half/inputs")).expect("half");
        assert_eq!(home.list().expect("list"), [], "a folder without settings is no flock");
        home.create(&Settings::named("half")).expect("create");
        assert_eq!(home.list().expect("list").len(), 1);
    }

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        let home = Home::new("/nowhere");
        for bad in ["", "..", ".", "a/b", "-a", "_a", "A", "ü", "a b", ".removed-a-1", &"x".repeat(65)] {
            assert_eq!(home.flock(bad).expect_err(bad).kind, Kind::Invalid, "{bad}");
            assert_eq!(home.create(&Settings::named(bad)).expect_err(bad).kind, Kind::Invalid, "{bad}");
        }
        let flock = FlockDir { name: "a".into(), root: "/f".into() };
        assert_eq!(flock.bucket("../x").expect_err("bucket").kind, Kind::NotFound);
        for bad in ["", "../x", "a/b", ".x", &"x".repeat(201)] {
            assert_eq!(flock.log_path(bad).expect_err(bad).kind, Kind::Invalid, "{bad}");
        }
        assert_eq!(flock.log_path("abc-1-1").expect("path"), Path::new("/f/logs/ab/abc-1-1.log"));
        assert_eq!(flock.log_path("a").expect("path"), Path::new("/f/logs/a/a.log"));
    }

    #[test]
    fn settings_take_defaults_ignore_what_they_do_not_know_and_refuse_nonsense() {
        let temp = tempfile::tempdir().expect("temp");
        let flock = Home::new(temp.path()).create(&Settings::named("a")).expect("create");
        fs::write(flock.settings_file(), r#"{"name":"other","max_jobs":7,"colour":"blue"}"#).expect("write");
        let settings = flock.settings().expect("settings");
        assert_eq!((settings.name.as_str(), settings.max_jobs, settings.attempts), ("a", 7, 3));

        for bad in [
            "",
            "7",
            r#"{"max_jobs":0}"#,
            r#"{"command":[]}"#,
            r#"{"max_jobs":"many"}"#,
            r#"{"image":""}"#,
            r#"{"image":"--privileged"}"#,
            r#"{"image":"a b"}"#,
            r#"{"isolation":{"privileged":true}}"#,
            r#"{"image":"a:b","isolation":{"memory_mib":1}}"#,
        ] {
            fs::write(flock.settings_file(), bad).expect("write");
            assert_eq!(flock.settings().expect_err(bad).kind, Kind::Invalid, "{bad}");
        }
        flock.write_settings(&settings).expect("write");
        assert_eq!(flock.settings().expect("settings"), settings);
        assert_eq!(flock.write_settings(&Settings::named("b")).expect_err("another's").kind, Kind::Invalid);
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let temp = tempfile::tempdir().expect("temp");
        let file = temp.path().join("x.json");
        write_atomically(&file, b"one").expect("write");
        write_atomically(&file, b"two").expect("write");
        assert_eq!(fs::read(&file).expect("read"), b"two");
        assert_eq!(fs::read_dir(temp.path()).expect("dir").count(), 1);
        let error = write_atomically(&temp.path().join("no/x"), b"").expect_err("no folder");
        assert_eq!(error.kind, Kind::NotFound);
    }
}
