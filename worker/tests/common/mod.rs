//! What the worker's tests share: a flock, a job in it, a clock that does not make tests wait.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod gate;
pub mod memory;

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use memory::Memory;
use shepard_cloud::ports::{Buckets, Clock, LogSource, Ports, WallClock};
use shepard_model::{Inputs, JobId, JobRow, ObjectRef};
use shepard_worker::{Exit, Exited, Job, Line, Payload, PayloadError, PayloadSpec, Place, ProcessPayload};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The time on the wall, and sleeps a fiftieth as long: a heartbeat every 300 ms, a grace of 200 ms.
///
/// The number is added to the time, in milliseconds: a later attempt begins in a later second.
#[derive(Clone, Copy, Default)]
pub struct Hurried(pub i64);

#[async_trait]
impl Clock for Hurried {
    fn now_ms(&self) -> i64 {
        WallClock.now_ms() + self.0
    }
    async fn sleep_ms(&self, duration_ms: u64) {
        tokio::time::sleep(Duration::from_millis((duration_ms / 50).max(1))).await;
    }
}

pub struct Flock {
    pub dir: tempfile::TempDir,
    pub memory: Arc<Memory>,
    pub ports: Ports,
    pub place: Place,
    pub stop: CancellationToken,
}

pub const KEY: &str = "in put/a b.zip";

impl Flock {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let memory = Arc::new(Memory { objects: dir.path().join("objects"), ..Memory::default() });
        let ports = Ports {
            buckets: Buckets {
                inputs: "inputs".into(),
                outputs: "outputs".into(),
                quick_deploy: "quick_deploy".into(),
                errors: "errors".into(),
            },
            objects: memory.clone(),
            table: memory.clone(),
            queue: memory.clone(),
            compute: memory.clone(),
            logs: memory.clone(),
            secrets: memory.clone(),
            clock: Arc::new(Hurried::default()),
        };
        let place = Place::local(dir.path().join("jobs"));
        Self { dir, memory, ports, place, stop: CancellationToken::new() }
    }

    /// The same flock on a host with an EFS.
    pub fn with_efs(mut self) -> Self {
        self.place.efs = Some(self.dir.path().join("efs"));
        self
    }

    /// A job whose input holds the letters `zip`, with these variables.
    pub fn job(&self, json: &str) -> Job {
        let input = self.memory.put("inputs", KEY, b"zip");
        self.job_of(input, json)
    }

    pub fn job_of(&self, input: ObjectRef, json: &str) -> Job {
        let inputs = Inputs::from_json(json).unwrap();
        let key = input.key.clone();
        let id = JobId::of_object(&input);
        let row = JobRow::arrived(id.clone(), Some(input), inputs, WallClock.now_ms(), 1);
        self.memory.rows.lock().unwrap().insert(id.clone(), row);
        self.attempt(&id, &key, 1)
    }

    pub fn attempt(&self, id: &JobId, key: &str, attempt: u32) -> Job {
        let attempt = attempt.to_string();
        let efs = if self.place.efs.is_some() { "True" } else { "False" };
        Job::from_env([
            ("UUID", id.as_str()),
            ("INPUT_ZIP_NAME", key),
            ("IS_INVOKED", "False"),
            ("AWS_BATCH_JOB_ATTEMPT", attempt.as_str()),
            ("USES_EFS", efs),
        ])
        .unwrap()
    }

    pub fn next(&self, job: &Job) -> Job {
        Job { attempt: job.attempt + 1, ..job.clone() }
    }

    pub fn row(&self, job: &Job) -> JobRow {
        self.memory.rows.lock().unwrap().get(&job.id).unwrap().clone()
    }

    pub async fn run(&self, job: &Job, script: &str) -> Exit {
        self.run_payload(job, &payload(script)).await
    }

    pub async fn run_payload(&self, job: &Job, payload: &ProcessPayload) -> Exit {
        shepard_worker::run(&self.ports, job, &self.place, payload, self.stop.clone()).await
    }

    /// The first attempt's lines of one source.
    pub fn lines(&self, job: &Job, source: LogSource) -> Vec<String> {
        let logs = self.memory.logs.lock().unwrap();
        let stream = format!("{}-{}-{}", job.id, job.run, job.attempt);
        let lines = logs.get(&stream).map(Vec::as_slice).unwrap_or_default();
        lines.iter().filter(|line| line.source == source).map(|line| line.text.clone()).collect()
    }

    pub fn stdout(&self, job: &Job) -> Vec<String> {
        self.lines(job, LogSource::Stdout)
    }

    /// The payload has printed this line.
    pub async fn printed(&self, job: &Job, line: &str) {
        until(|| self.stdout(job).iter().any(|text| text == line)).await;
    }

    /// No job has left a directory behind.
    pub fn is_clean(&self) -> bool {
        let bases = [Some(&self.place.root), self.place.efs.as_ref()];
        bases.into_iter().flatten().all(|base| match std::fs::read_dir(base) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => true,
        })
    }

    /// Names and contents of a stored zip's entries.
    pub fn unzip(&self, bucket: &str, key: &str) -> Vec<(String, String)> {
        let mut zip = zip::ZipArchive::new(self.memory.open(bucket, key)).unwrap();
        (0..zip.len())
            .map(|index| {
                let mut entry = zip.by_index(index).unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (entry.name().unwrap().into_owned(), text)
            })
            .collect()
    }

    pub fn root(&self, job: &Job) -> PathBuf {
        self.place.root.join(job.id.as_str())
    }
}

/// A payload that cannot be run.
pub struct Refusing(pub Trouble);

/// Ever, or now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Refused,
    Passing,
}

#[async_trait]
impl Payload for Refusing {
    fn way(&self) -> String {
        "not at all".to_owned()
    }
    async fn run(
        &self,
        _: &PayloadSpec,
        _: mpsc::Sender<Line>,
        _: &CancellationToken,
    ) -> Result<Exited, PayloadError> {
        Err(match self.0 {
            Trouble::Refused => PayloadError::Refused("the image is for another machine".to_owned()),
            Trouble::Passing => PayloadError::Passing("the registry did not answer".to_owned()),
        })
    }
}

pub fn payload(script: &str) -> ProcessPayload {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    ProcessPayload::new(Arc::new(Hurried::default())).with_command(Some(command))
}

/// Waits for something to become true; a test that waits in vain is ended by its runner's patience here.
pub async fn until(mut is: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never became true");
}

/// A process with this id runs (a zombie does not).
pub fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}
