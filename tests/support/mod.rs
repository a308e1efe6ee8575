//! What the integration tests share: a home of their own, flocks in it, the built binary, and patience.
//!
//! Nothing here asserts how long something takes: `until` waits as long as it must, and gives up after a time
//! that only a hang reaches.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod contained;
pub mod dockerd;
pub mod stack;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use shepard_cloud::Ports;
use shepard_cloud::local::{FlockDir, Home, LocalFlock, Settings};
use shepard_model::JobRow;
use tempfile::TempDir;

/// Longer than anything takes that does not hang, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(180);

pub const BINARY: &str = env!("CARGO_BIN_EXE_shepard");

/// The four XDG directories and a home directory, gone when it is dropped.
pub struct World {
    pub dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["data", "config", "state", "cache", "home"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory as the binary finds it.
    pub fn data(&self) -> PathBuf {
        self.path().join("data").join("shepard")
    }

    pub fn home(&self) -> Home {
        Home::new(self.data())
    }

    /// `shepard …` in this world and no other.
    pub fn shepard(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path().join("home"))
            .env("XDG_DATA_HOME", self.path().join("data"))
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .stdin(Stdio::null());
        command
    }
}

/// A zip of these files.
pub fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The text of one file in a zip.
pub fn unzip(zip: &Path, name: &str) -> String {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(zip).unwrap()).unwrap();
    std::io::read_to_string(archive.by_name(name).unwrap()).unwrap()
}

/// A flock, its ports, and the supervisor that runs, if one does. Dropped, everything of it is killed.
pub struct Flock {
    pub world: World,
    pub dir: FlockDir,
    pub local: LocalFlock,
    pub ports: Ports,
    /// Where its engine listens; none where it has none.
    pub engine: Option<String>,
    supervisor: Option<Child>,
}

impl Flock {
    /// A flock whose jobs run `script` with `sh`, in which `$MARKS` is a file of the test's.
    pub fn running(script: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let world = World::new();
        let file = world.path().join("payload.sh");
        let marks = world.path().join("marks");
        std::fs::write(&file, format!("MARKS='{}'\n{script}", marks.display())).unwrap();
        let mut settings = Settings::named("test");
        settings.command = Some(vec!["sh".to_owned(), file.display().to_string()]);
        Self::with(world, settings, change)
    }

    /// A flock whose jobs run what an image does.
    pub fn contained(change: impl FnOnce(&mut Settings)) -> Self {
        let engine =
            std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let mut flock = Self::with(World::new(), Settings::named("test"), change);
        flock.engine = Some(engine);
        flock
    }

    fn with(world: World, mut settings: Settings, change: impl FnOnce(&mut Settings)) -> Self {
        settings.max_jobs = 2;
        change(&mut settings);
        let dir = world.home().create(&settings).unwrap();
        let local = LocalFlock::open(&dir).unwrap();
        let ports = local.ports();
        Self { world, dir, local, ports, engine: None, supervisor: None }
    }

    /// Starts a supervisor as a child of the test.
    pub fn start(&mut self) {
        assert!(self.supervisor.is_none(), "one is enough");
        self.supervisor = Some(self.spawn_supervisor());
    }

    pub fn spawn_supervisor(&self) -> Child {
        let mut options = std::fs::OpenOptions::new();
        let log = options.create(true).append(true).open(self.dir.supervisor_log()).unwrap();
        self.child("supervise").stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// `shepard WORD test`, as the processes of a flock start each other.
    pub fn child(&self, word: &str) -> Command {
        let mut command = self.world.shepard(&[word, "test"]);
        command.env("SHEPARD_CHILD_OF", self.world.data());
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine);
        }
        command
    }

    pub fn supervisor_pid(&self) -> u32 {
        self.supervisor.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub fn kill_supervisor(&mut self) {
        let mut child = self.supervisor.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until the supervisor has ended by itself; gives whether it ended well.
    pub async fn supervisor_ends(&mut self) -> bool {
        let mut child = self.supervisor.take().unwrap();
        let mut status = None;
        self.until("the supervisor ends", async || {
            status = child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().success()
    }

    /// Puts a zip of an inputs.txt into the inputs, as a batch does.
    pub async fn put(&self, key: &str, inputs: &str) {
        self.put_bytes(key, &zip(&[("inputs.txt", inputs)])).await;
    }

    pub async fn put_bytes(&self, key: &str, bytes: &[u8]) {
        let file = self.world.path().join("upload");
        std::fs::write(&file, bytes).unwrap();
        let to = shepard_model::ObjectRef::new("inputs", key);
        self.ports.objects.upload(&file, &to).await.unwrap();
    }

    /// Every row, in the order in which they were written.
    pub async fn rows(&self) -> Vec<JobRow> {
        let (mut rows, mut from) = (Vec::new(), None);
        loop {
            let page = self.ports.table.scan(from.as_deref(), 500).await.unwrap();
            rows.extend(page.items);
            match page.next {
                Some(next) => from = Some(next),
                None => return rows,
            }
        }
    }

    /// How many rows have ended, counted without reading them whole.
    pub async fn ended_count(&self) -> usize {
        let (mut cursor, mut ended) = (shepard_cloud::ports::Cursor::default(), 0);
        loop {
            let changes = self.ports.table.changes(cursor, 10_000).await.unwrap();
            ended += changes.rows.iter().filter(|row| row.state.is_terminal()).count();
            cursor = changes.next;
            if !changes.more {
                return ended;
            }
        }
    }

    /// The row of an upload, once there is one.
    pub async fn row(&self, key: &str) -> Option<JobRow> {
        let rows = self.rows().await;
        rows.into_iter().find(|row| row.input.as_ref().is_some_and(|input| input.key == key))
    }

    /// The row of an upload, once it has ended.
    pub async fn ended(&self, key: &str) -> JobRow {
        let mut row = None;
        self.until(&format!("{key} ends"), async || {
            row = self.row(key).await.filter(|row| row.outcome.is_some());
            row.is_some()
        })
        .await;
        row.unwrap()
    }

    /// Waits until so many rows have ended; gives all rows.
    pub async fn all_ended(&self, count: usize) -> Vec<JobRow> {
        let mut rows = Vec::new();
        self.until(&format!("{count} jobs end"), async || {
            rows = self.rows().await;
            rows.len() >= count && rows.iter().all(|row| row.outcome.is_some())
        })
        .await;
        rows
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let log = std::fs::read_to_string(self.dir.supervisor_log()).unwrap_or_default();
            panic!("waited in vain until {what}; rows: {:#?}\nlog:\n{log}", self.rows().await);
        }
    }

    /// The lines that payloads wrote to `$MARKS`.
    pub fn marks(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.world.path().join("marks")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn count_of(&self, mark: &str) -> usize {
        self.marks().iter().filter(|line| *line == mark).count()
    }

    /// The process of the one attempt that runs.
    pub async fn worker_pid(&self) -> u32 {
        let mut pid = None;
        self.until("a worker runs", async || {
            let active = self.local.compute().active().await.unwrap();
            pid = active.first().and_then(|job| job.pid);
            pid.is_some()
        })
        .await;
        pid.unwrap()
    }
}

impl Drop for Flock {
    fn drop(&mut self) {
        if let Some(mut child) = self.supervisor.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // Workers and payloads that outlived it: they have this world's path in their environment or arguments.
        let mark = self.world.path().as_os_str().as_encoded_bytes();
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let has = |file: &str| {
                let bytes = std::fs::read(process.path().join(file)).unwrap_or_default();
                bytes.windows(mark.len()).any(|window| window == mark)
            };
            if pid != std::process::id() as i32 && (has("environ") || has("cmdline")) {
                kill(pid as u32, "KILL");
            }
        }
        // And what they kept in memory.
        let folder = self.dir.path().canonicalize().unwrap_or_else(|_| self.dir.path().to_owned());
        if let Some(memory) = shepard_worker::secrets::memory_of(&folder, None) {
            let _ = std::fs::remove_dir_all(memory);
        }
    }
}

/// Sends a signal by name.
pub fn kill(pid: u32, signal: &str) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let signal = match signal {
        "KILL" => rustix::process::Signal::KILL,
        "TERM" => rustix::process::Signal::TERM,
        "USR1" => rustix::process::Signal::USR1,
        other => panic!("{other}"),
    };
    let _ = rustix::process::kill_process(pid, signal);
}

pub fn alive(pid: u32) -> bool {
    // A dead child of ours that was not waited for still has an entry; its state says so.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}
