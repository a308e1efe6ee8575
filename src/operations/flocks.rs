//! The flocks of this machine: making, listing, starting, stopping and removing them.
//!
//! What a flock holds is counted here before it is removed, so that nobody removes what they did not see.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use shepard_cloud::local::{FlockDir, Home, LocalFlock, Settings};
use shepard_cloud::{Kind, Ports};
use shepard_model::{Isolation, ObjectRef};

use super::error::{OperationError, Result};
use super::flock::Flock;
use super::flock::is_aws;
use super::jobs;
use super::walk::walk;
use crate::local::{self, Jobs, LocalError, Started};

/// A flock on this machine.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Name.
    pub name: String,
    /// Its supervisor runs.
    pub running: bool,
    /// The folders of its buckets.
    pub buckets: Folders,
    /// Its settings; None where they cannot be read.
    pub settings: Option<Settings>,
    /// Why they cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The folders of a flock's buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Folders {
    /// Uploads; a zip put here by hand becomes a job.
    pub inputs: PathBuf,
    /// Results.
    pub outputs: PathBuf,
    /// Code for quick deploy.
    pub quick_deploy: PathBuf,
    /// Logs and partial outputs of failed jobs.
    pub errors: PathBuf,
}

/// A flock to be made.
#[derive(Debug, Clone, Default)]
pub struct Create {
    /// Name.
    pub name: String,
    /// Command line that runs each job, with shell-like quoting.
    pub command: Option<String>,
    /// Folder with a `run.sh` that runs each job.
    pub quick_deploy: Option<PathBuf>,
    /// Jobs at once; None is one a processor.
    pub max_jobs: Option<u32>,
    /// Attempts at a job whose worker died; None is the default.
    pub attempts: Option<u32>,
    /// Seconds after which an attempt is stopped; None is never.
    pub timeout_s: Option<u64>,
    /// Image that each job runs in a container of; None is a process of this machine.
    pub image: Option<String>,
    /// What those containers are granted.
    pub isolation: Isolation,
}

/// What a flock holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Owned {
    /// Its folder.
    pub path: PathBuf,
    /// Objects by bucket.
    pub objects: BTreeMap<String, u64>,
    /// Bytes of them all.
    pub bytes: u64,
    /// Jobs by state.
    pub jobs: BTreeMap<&'static str, u64>,
}

impl Owned {
    /// One line for each thing, for a person about to lose it.
    pub fn lines(&self) -> Vec<String> {
        let count = |of: &mut dyn Iterator<Item = (String, u64)>| {
            let parts: Vec<_> = of.filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
            if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
        };
        let objects = count(&mut self.objects.iter().map(|(bucket, n)| (format!("in {bucket}"), *n)));
        let jobs = count(&mut self.jobs.iter().map(|(state, n)| ((*state).to_owned(), *n)));
        vec![
            format!("folder   {}", self.path.display()),
            format!("objects  {objects} ({} bytes)", self.bytes),
            format!("jobs     {jobs}"),
        ]
    }
}

/// The flock of this machine of that name.
///
/// # Errors
/// There is none, with the names of those there are; or the name is that of a flock on AWS.
pub fn find(home: &Home, name: &str) -> Result<FlockDir> {
    if is_aws(name) {
        return Err(OperationError::Refused(format!(
            "{name} is a flock on AWS: it has no supervisor and no folder of this machine; `shepard stack` stands such \
             flocks up and takes them down"
        )));
    }
    match home.flock(name) {
        Err(error) if error.kind == Kind::NotFound => {
            let names: Vec<String> = home.list()?.iter().map(|flock| flock.name().to_owned()).collect();
            let others = if names.is_empty() {
                "there is no flock yet; `shepard demo` or `shepard local create` makes one".to_owned()
            } else {
                format!("there are: {}", names.join(", "))
            };
            Err(OperationError::NotFound(format!("there is no flock named {name}; {others}")))
        }
        other => Ok(other?),
    }
}

/// Every flock there is. One that cannot be read is listed all the same.
///
/// # Errors
/// The folder of the flocks cannot be read.
pub async fn list(home: &Home) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for flock in home.list()? {
        let (settings, mut problem) = match flock.settings() {
            Ok(settings) => (Some(settings), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let running = match local::status(&flock).await {
            Ok(status) => status.running,
            Err(error) => {
                problem.get_or_insert_with(|| error.to_string());
                false
            }
        };
        let buckets = folders(&flock)?;
        listed.push(Listed { name: flock.name().to_owned(), running, buckets, settings, problem });
    }
    Ok(listed)
}

/// The folders of a flock's buckets.
///
/// # Errors
/// None in practice: the four names are the adapter's own.
pub fn folders(flock: &FlockDir) -> Result<Folders> {
    Ok(Folders {
        inputs: flock.bucket("inputs")?,
        outputs: flock.bucket("outputs")?,
        quick_deploy: flock.bucket("quick_deploy")?,
        errors: flock.bucket("errors")?,
    })
}

/// The file of an object of a local flock.
///
/// # Errors
/// None in practice: the bucket is one of the flock's own.
pub fn file_of(flock: &FlockDir, object: &ObjectRef) -> Result<PathBuf> {
    Ok(flock.bucket(&object.bucket)?.join(&object.key))
}

/// Makes a flock.
///
/// # Errors
/// A name or setting that cannot be, a flock of that name, a quick-deploy folder without a `run.sh`.
pub async fn create(home: &Home, request: &Create) -> Result<FlockDir> {
    let defaults = Settings::named(&request.name);
    let folder = request.quick_deploy.as_deref().map(quick_deploy_name).transpose()?;
    let settings = Settings {
        command: request.command.as_deref().map(argv).transpose()?,
        quick_deploy: folder.clone(),
        max_jobs: request.max_jobs.unwrap_or(defaults.max_jobs),
        attempts: request.attempts.unwrap_or(defaults.attempts),
        timeout_s: request.timeout_s,
        image: request.image.clone(),
        isolation: request.isolation.clone(),
        ..defaults
    };
    fits_machine(&settings.isolation)?;
    let flock = home.create(&settings)?;
    if let (Some(from), Some(folder)) = (&request.quick_deploy, &folder) {
        let deployed = match LocalFlock::open(&flock) {
            Ok(open) => deploy(&open.ports(), from, folder).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = deployed {
            // A flock without its code would fail every job; better none.
            home.remove(flock.name())?;
            return Err(error);
        }
    }
    Ok(flock)
}

/// What this machine cannot give to a single job is refused here, and not to each of them.
fn fits_machine(isolation: &Isolation) -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(u64::MAX, |n| n.get() as u64);
    if isolation.cpu_milli.is_some_and(|milli| u64::from(milli) > processors.saturating_mul(1000)) {
        return Err(OperationError::Usage(format!(
            "this machine has {processors} processors; --cpus asks for more"
        )));
    }
    if let Some(missing) = isolation.devices.iter().find(|path| !Path::new(path).exists()) {
        return Err(OperationError::Usage(format!("this machine has no device {missing}")));
    }
    Ok(())
}

/// Whether a Docker engine answers this user now.
///
/// # Errors
/// The line that says why not, and what to do.
pub async fn engine_answers() -> std::result::Result<(), String> {
    shepard_engine::Engine::connect(None).await.map(|_| ()).map_err(|error| error.to_string())
}

/// The arguments of a command line.
///
/// # Errors
/// Quotes that do not close, or no program.
fn argv(line: &str) -> Result<Vec<String>> {
    match shlex::split(line) {
        Some(argv) if !argv.is_empty() => Ok(argv),
        Some(_) => Err(OperationError::Usage("the command is empty; name a program".into())),
        None => Err(OperationError::Usage("the command has a quote that is not closed".into())),
    }
}

/// What a quick-deploy folder is called in its bucket: its own name.
///
/// # Errors
/// It has no `run.sh`, or a name that no folder of a bucket can have.
pub fn quick_deploy_name(from: &Path) -> Result<String> {
    if !from.join("run.sh").is_file() {
        return Err(OperationError::NotFound(format!(
            "there is no run.sh in {}; a quick-deploy folder needs one",
            from.display()
        )));
    }
    let real = from.canonicalize().map_err(OperationError::io("read", from))?;
    let name = real.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    usable_name(from, name)
        .map_err(|_| OperationError::Usage(format!("{} has no usable name; rename it", real.display())))
}

/// A name for a quick-deploy folder, and whether the folder can be one.
///
/// # Errors
/// It has no `run.sh`, or the name cannot be that of a folder of the bucket.
pub fn usable_name(from: &Path, name: &str) -> Result<String> {
    if !from.join("run.sh").is_file() {
        return Err(OperationError::NotFound(format!(
            "there is no run.sh in {}; a quick-deploy folder needs one",
            from.display()
        )));
    }
    // `None` means none in an inputs.txt, and a worker makes one level of folder.
    if name.is_empty() || name == "None" || name.contains('/') || name.chars().any(char::is_control) {
        return Err(OperationError::Usage(format!("{name:?} cannot be the name of a quick-deploy folder")));
    }
    Ok(name.to_owned())
}

/// Puts a folder where the jobs of a flock find it under a name; gives the number of files.
///
/// # Errors
/// It is not known where that is, or a file cannot be read or written.
pub async fn quick_deploy(flock: &Flock, from: &Path, name: &str) -> Result<u64> {
    if let Some(aws) = flock.aws() {
        aws.need(aws.info.quick_deploy.as_ref(), "quick-deploy bucket", "QuickDeployBucketName")?;
    }
    deploy(&flock.ports(), from, name).await
}

/// Copies a folder into the quick-deploy bucket; gives how many files. `run.sh` comes last, so that a folder that is there
/// in part is not run.
///
/// # Errors
/// A file that cannot be read or written.
pub async fn deploy(ports: &Ports, from: &Path, folder: &str) -> Result<u64> {
    let mut files = Vec::new();
    walk(from, &mut |entry| {
        if !entry.is_dir {
            files.push(entry);
        }
        Ok(())
    })
    .map_err(|problem| OperationError::Usage(format!("{}: {problem}", from.display())))?;
    files.sort_by_key(|file| file.name == "run.sh");
    let count = files.len() as u64;
    for file in files {
        let to = ObjectRef::new(&ports.buckets.quick_deploy, format!("{folder}/{}", file.name));
        ports.objects.upload(&file.path, &to).await?;
    }
    Ok(count)
}

/// Starts the supervisor of a flock unless it runs; true where it was started now.
///
/// # Errors
/// It does not come up.
pub async fn start(flock: &FlockDir) -> Result<bool> {
    Ok(matches!(local::ensure_running(flock).await?, Started::Now(_)))
}

/// Stops the supervisor of a flock; false where there was none. Running jobs go on.
///
/// # Errors
/// It does not stop.
pub async fn stop(flock: &FlockDir) -> Result<bool> {
    Ok(local::stop(flock, Jobs::Leave, true).await?)
}

/// Counts what a flock holds.
///
/// # Errors
/// A port fails.
pub async fn owned(flock: &FlockDir) -> Result<Owned> {
    let ports = LocalFlock::open(flock)?.ports();
    let mut owned = Owned { path: flock.path().to_owned(), ..Owned::default() };
    let buckets = &ports.buckets;
    for bucket in [&buckets.inputs, &buckets.outputs, &buckets.quick_deploy, &buckets.errors] {
        let count = owned.objects.entry(bucket.clone()).or_default();
        let mut from: Option<String> = None;
        loop {
            let page = ports.objects.list(bucket, "", from.as_deref()).await?;
            *count += page.items.len() as u64;
            owned.bytes += page.items.iter().map(|object| object.size).sum::<u64>();
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    for job in jobs::all(&ports).await? {
        *owned.jobs.entry(job.state.word()).or_default() += 1;
    }
    Ok(owned)
}

/// Removes a flock with everything in it, stopping its jobs first.
///
/// # Errors
/// Its supervisor does not stop, or a file cannot be removed.
pub async fn remove(home: &Home, flock: &FlockDir) -> Result<()> {
    // Workers outlive a supervisor that was killed; one that is started finds them, so that it can stop them.
    let status = local::status(flock).await?;
    if status.jobs > 0 && !status.running {
        local::ensure_running(flock).await?;
    }
    local::stop(flock, Jobs::Interrupt, true).await?;
    local::remove_leftovers(flock).await?;
    home.remove(flock.name())?;
    Ok(())
}

impl From<LocalError> for OperationError {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Cloud(error) => Self::Cloud(error),
            LocalError::Taken { .. } => Self::Refused(error.to_string()),
            error => Self::Environment(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_like_a_shell_would_and_no_further() {
        assert_eq!(
            argv("sh -c 'echo \"$UUID\"; ls *'").expect("splits"),
            ["sh", "-c", "echo \"$UUID\"; ls *"]
        );
        assert!(argv("  ").is_err());
        assert!(argv("sh -c 'x").is_err());
    }

    #[test]
    fn what_is_lost_is_counted_in_words() {
        let owned = Owned {
            path: "/f".into(),
            objects: [("inputs".to_owned(), 2), ("outputs".to_owned(), 0)].into(),
            bytes: 7,
            jobs: [("failed", 1)].into(),
        };
        assert_eq!(owned.lines(), ["folder   /f", "objects  2 in inputs (7 bytes)", "jobs     1 failed"]);
    }
}
