//! A payload that is a process of this machine, in a process group of its own.
//!
//! It behaves as a container would: nothing of the worker's environment but [`INHERITED`], no standard input,
//! and when its first process ends everything it started ends with it. It gives no isolation: the command runs
//! as the user who runs the flock.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal};
use shepard_cloud::ports::{Clock, LogSource};
use shepard_model::names::container::CHECKPOINT_SCRIPT;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::hook;
use crate::payload::{Cause, Exited, Line, Payload, PayloadError, PayloadSpec};
use crate::readers;

/// What the payload gets of the worker's environment: what programs need to start, to find their user's files
/// and to write text in his language. `HOSTNAME` is set beside them. A user's variable of such a name wins.
pub const INHERITED: [&str; 9] =
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// `PATH` where the worker has none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a payload may take to end after SIGTERM, in milliseconds.
const GRACE_MS: u64 = 10_000;
/// How long its checkpoint may take before that, in milliseconds: half of the two minutes of a Spot notice.
const CHECKPOINT_MS: u64 = 60_000;

/// Runs quick-deploy code or the flock's command as a process.
pub struct ProcessPayload {
    clock: Arc<dyn Clock>,
    command: Option<Vec<String>>,
    grace_ms: u64,
    checkpoint_ms: u64,
    timeout_s: Option<u64>,
    lock: Mutex<Option<File>>,
    inherited: Vec<(OsString, OsString)>,
}

impl ProcessPayload {
    /// A payload for jobs that bring quick-deploy code.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut inherited: Vec<(OsString, OsString)> = INHERITED
            .iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
            .collect();
        if !inherited.iter().any(|(name, _)| name == "PATH") {
            inherited.push(("PATH".into(), PATH.into()));
        }
        inherited.push(("HOSTNAME".into(), host_name().into()));
        Self {
            clock,
            command: None,
            grace_ms: GRACE_MS,
            checkpoint_ms: CHECKPOINT_MS,
            timeout_s: None,
            lock: Mutex::new(None),
            inherited,
        }
    }

    /// Runs `command` (program and arguments, no shell) in the input directory, for jobs without quick-deploy code.
    #[must_use]
    pub fn with_command(mut self, command: Option<Vec<String>>) -> Self {
        self.command = command.filter(|words| !words.is_empty());
        self
    }

    /// Stops the payload after so many seconds; sooner where the job itself says so.
    #[must_use]
    pub fn with_timeout(mut self, timeout_s: Option<u64>) -> Self {
        self.timeout_s = timeout_s;
        self
    }

    /// How long the payload may take to end after SIGTERM, in milliseconds; 10,000 unless told.
    #[must_use]
    pub fn with_grace_ms(mut self, grace_ms: u64) -> Self {
        self.grace_ms = grace_ms;
        self
    }

    /// How long the quick-deploy folder's `checkpoint.sh` may take, in milliseconds; 60,000 unless told. It is run when the
    /// host goes away, before the payload is told to stop.
    #[must_use]
    pub fn with_checkpoint_ms(mut self, checkpoint_ms: u64) -> Self {
        self.checkpoint_ms = checkpoint_ms;
        self
    }

    /// Lets every process of the payload inherit an open file whose flock(2) the caller holds: the lock is held
    /// for as long as any of them lives, even where the worker does not. The worker's own descriptor is closed
    /// once the payload runs. One payload per process may be started so: while it is, other children of this
    /// process would inherit the file as well.
    #[must_use]
    pub fn with_lock(self, file: File) -> Self {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        self
    }

    fn spawn(&self, spec: &PayloadSpec) -> Result<Child, PayloadError> {
        let (words, dir) = match (&spec.quick_deploy, &self.command) {
            (Some(folder), _) => {
                make_executable(&folder.join("run.sh")).map_err(starting)?;
                (vec!["sh".to_owned(), "run.sh".to_owned()], folder)
            }
            (None, Some(command)) => (command.clone(), &spec.input),
            (None, None) => return Err(PayloadError::Nothing),
        };
        let (program, arguments) = words.split_first().ok_or(PayloadError::Nothing)?;
        if !dir.is_dir() {
            return Err(starting(io::Error::new(ErrorKind::NotFound, "its working directory is gone")));
        }
        let mut command = self.command_in(dir, spec, program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        // Closed when this function returns: from then on the payload's copies alone hold the lock.
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = &lock {
            let flags = rustix::io::fcntl_getfd(file).map_err(|error| starting(error.into()))?;
            rustix::io::fcntl_setfd(file, flags.difference(FdFlags::CLOEXEC))
                .map_err(|error| starting(error.into()))?;
        }
        command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound if dir.join(program).is_file() => PayloadError::NotExecutable(
                program.clone(),
                "the interpreter it names is not there".to_owned(),
            ),
            ErrorKind::NotFound => PayloadError::NotFound(program.clone()),
            // A folder of `PATH` that may not be searched hides that the program is in none of the others.
            ErrorKind::PermissionDenied if !program.contains('/') && !self.is_on_path(program) => {
                PayloadError::NotFound(program.clone())
            }
            ErrorKind::PermissionDenied | ErrorKind::ExecutableFileBusy => {
                PayloadError::NotExecutable(program.clone(), error.to_string())
            }
            _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
                PayloadError::NotExecutable(program.clone(), error.to_string())
            }
            _ => starting(error),
        })
    }

    fn command_in(&self, dir: &Path, spec: &PayloadSpec, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(dir)
            .env_clear()
            .envs(self.inherited.iter().map(|(name, value)| (name, value)))
            .envs(spec.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What saves the payload's state, where its quick-deploy folder has it and there is somebody to go on with it.
    fn hook(&self, spec: &PayloadSpec) -> Option<Command> {
        let folder = spec.quick_deploy.as_ref().filter(|_| spec.interrupted.is_cancelled())?;
        let there = folder.join(CHECKPOINT_SCRIPT).is_file();
        there.then(|| {
            let mut hook = self.command_in(folder, spec, "sh");
            hook.arg(CHECKPOINT_SCRIPT);
            hook
        })
    }

    fn is_on_path(&self, program: &str) -> bool {
        let path = self.inherited.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
        path.is_some_and(|path| std::env::split_paths(path).any(|dir| dir.join(program).is_file()))
    }

    /// Waits for the first process's end, bringing it about where it has to be.
    async fn watch(
        &self,
        spec: &PayloadSpec,
        child: &mut Child,
        group: &Group,
        lines: &mpsc::Sender<Line>,
        stop: &CancellationToken,
    ) -> io::Result<(ExitStatus, Cause)> {
        let limit_s = self.timeout_s.into_iter().chain(spec.timeout_s).min();
        let limit = limit_s.unwrap_or_default();
        let cause = tokio::select! {
            biased;
            status = child.wait() => return Ok((status?, Cause::Itself)),
            () = stop.cancelled() => Cause::Stopped,
            () = self.clock.sleep_ms(limit.saturating_mul(1000)), if limit_s.is_some() => {
                Cause::TimedOut(limit)
            }
        };
        // Who ran out of time will not be tried again, and has no use for a checkpoint.
        if cause == Cause::Stopped
            && let Some(hook) = self.hook(spec)
        {
            tokio::select! {
                biased;
                // It may have ended because the hook told it to.
                status = child.wait() => return Ok((status?, cause)),
                () = hook::run(hook, self.checkpoint_ms, lines, self.clock.as_ref()) => {}
            }
        }
        group.signal(Signal::TERM);
        let status = tokio::select! {
            biased;
            status = child.wait() => status?,
            () = self.clock.sleep_ms(self.grace_ms) => {
                group.signal(Signal::KILL);
                child.wait().await?
            }
        };
        Ok((status, cause))
    }
}

#[async_trait]
impl Payload for ProcessPayload {
    fn way(&self) -> String {
        "as a process of this machine, not isolated from it".to_owned()
    }

    async fn run(
        &self,
        spec: &PayloadSpec,
        lines: mpsc::Sender<Line>,
        stop: &CancellationToken,
    ) -> Result<Exited, PayloadError> {
        let mut child = self.spawn(spec)?;
        let mark = mark(spec);
        // From here on, whoever drops this future ends the payload.
        let group = Group { leader: child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)), mark };
        let ended = CancellationToken::new();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read_out = async {
            if let Some(pipe) = stdout {
                readers::pump(pipe, LogSource::Stdout, &lines, &ended, self.clock.as_ref()).await;
            }
        };
        let read_err = async {
            if let Some(pipe) = stderr {
                readers::pump(pipe, LogSource::Stderr, &lines, &ended, self.clock.as_ref()).await;
            }
        };
        let watch = async {
            let end = self.watch(spec, &mut child, &group, &lines, stop).await;
            // Like a container's end: what the first process left behind goes with it.
            group.signal(Signal::KILL);
            let mark = group.mark.clone();
            let _ = tokio::task::spawn_blocking(move || kill_marked(&mark)).await;
            ended.cancel();
            end
        };
        let (end, (), ()) = tokio::join!(watch, read_out, read_err);
        let (status, cause) = end.map_err(|source| PayloadError::Io { doing: "watched", source })?;
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Ok(Exited { code, cause })
    }
}

/// The payload's process group. Dropped, it is killed.
struct Group {
    leader: Option<Pid>,
    mark: Vec<u8>,
}

impl Group {
    /// Sends a signal to what is left of the group; none left is no error.
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            let _ = rustix::process::kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        kill_marked(&self.mark);
    }
}

/// Kills every process that a payload with this root output directory left behind, whatever group it moved to,
/// and gives how many that were. Its environment tells: `ROOT_OUTPUT_NAME` is set for payloads alone and differs
/// for every job. For a supervisor whose worker was killed; a process that cleared its environment escapes.
pub fn kill_leftovers(root_output: &Path) -> usize {
    let mut mark = b"ROOT_OUTPUT_NAME=".to_vec();
    mark.extend_from_slice(root_output.as_os_str().as_bytes());
    kill_marked(&mark)
}

fn mark(spec: &PayloadSpec) -> Vec<u8> {
    let value = spec.environment.iter().find(|(name, _)| name == "ROOT_OUTPUT_NAME");
    value.map(|(name, value)| format!("{name}={value}").into_bytes()).unwrap_or_default()
}

fn kill_marked(mark: &[u8]) -> usize {
    if mark.is_empty() {
        return 0;
    }
    let mut killed = 0;
    // Again until a look finds none: what is killed may have forked meanwhile.
    for _ in 0..5 {
        let found = marked(mark);
        if found.is_empty() {
            break;
        }
        for pid in found {
            killed += usize::from(rustix::process::kill_process(pid, Signal::KILL).is_ok());
        }
    }
    killed
}

fn marked(mark: &[u8]) -> Vec<Pid> {
    let own = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own)
        .filter(|pid| {
            // Another user's processes cannot be read, and are not the payload's.
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|pair| pair == mark))
        })
        .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
        .collect()
}

fn make_executable(file: &PathBuf) -> io::Result<()> {
    let mode = std::fs::metadata(file)?.permissions().mode();
    std::fs::set_permissions(file, PermissionsExt::from_mode(mode | 0o111))
}

fn starting(source: io::Error) -> PayloadError {
    PayloadError::Io { doing: "started", source }
}

/// This host's name, for the payload and for the name of its worker.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
