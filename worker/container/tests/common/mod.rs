//! A payload of a test: its image, its directories, and an engine; what it made is removed at its end.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use shepard_cloud::ports::{LogSource, WallClock};
use shepard_container::{DockerPayload, Image, Options};
use shepard_engine::{ContainerInfo, Engine, ImageInfo};
use shepard_model::names::container::LABEL_JOB;
use shepard_model::{Isolation, JobId, Shape};
use shepard_testkit::image::Image as TestImage;
use shepard_worker::place::{self, Place};
use shepard_worker::{Exited, Line, Payload, PayloadError, PayloadSpec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// One test's things.
pub(crate) struct Bench {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) engine: Engine,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) name: String,
    loaded: BTreeSet<String>,
}

/// How a payload ended, and what it said.
pub(crate) struct Said {
    pub(crate) result: Result<Exited, PayloadError>,
    pub(crate) lines: Vec<Line>,
}

impl Bench {
    pub(crate) fn new(test: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let engine = runtime.block_on(Engine::connect(None)).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("payload-test-{test}-{}-{number}", std::process::id());
        Self { runtime, engine, dir: tempfile::tempdir().unwrap(), name, loaded: BTreeSet::new() }
    }

    /// Writes an image that no other test has.
    pub(crate) fn saved(&mut self, image: &TestImage, reference: &str) -> (PathBuf, String) {
        let mut image = image.clone();
        if !image.config.is_object() {
            image.config = json!({});
        }
        let count = self.loaded.len();
        if image.config.get("Labels").is_none() {
            image.config["Labels"] = json!({});
        }
        image.config["Labels"]["test"] = json!(format!("{}-{count}", self.name));
        let file = self.dir.path().join(format!("image-{count}.tar"));
        let hex = image.write(&file, reference).unwrap();
        self.loaded.insert(hex.clone());
        (file, hex)
    }

    /// Loads an image of a configuration; gives what a payload names it by.
    pub(crate) fn image(&mut self, config: Value) -> Image {
        self.image_of(&TestImage::new(config))
    }

    pub(crate) fn image_of(&mut self, image: &TestImage) -> Image {
        let (file, hex) = self.saved(image, "");
        self.runtime.block_on(self.engine.load(&file, &mut |_| {})).unwrap();
        Image::Present { reference: format!("sha256:{hex}") }
    }

    /// An image that runs a script with `sh`.
    pub(crate) fn script(&mut self, script: &str) -> Image {
        self.image(json!({"Cmd": ["sh", "-c", script]}))
    }

    /// In the host's network: an engine may have no other, and most tests do not care.
    pub(crate) fn options(&self) -> Options {
        self.granting(Isolation::default())
    }

    /// With more granted than the host's network.
    pub(crate) fn granting(&self, isolation: Isolation) -> Options {
        let isolation = Isolation { host_network: true, ..isolation };
        Options { owner: self.name.clone(), grace_ms: 5_000, isolation, ..Options::default() }
    }

    /// A job's spec, with its directories made.
    pub(crate) fn spec(&self) -> PayloadSpec {
        let id = JobId::parse(&self.name).unwrap();
        let dirs = Place::local(self.dir.path().join("jobs")).dirs(&id);
        place::make(&dirs).unwrap();
        PayloadSpec {
            id,
            shape: Shape::default(),
            environment: Vec::new(),
            input: dirs[0].input.clone(),
            dirs,
            quick_deploy: None,
            secrets: None,
            ulimit_nofile: None,
            allow_docker: false,
            timeout_s: None,
            interrupted: CancellationToken::new(),
        }
    }

    pub(crate) fn payload(&self, image: Image, options: Options) -> DockerPayload {
        DockerPayload::new(Arc::new(WallClock), image, options)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, payload: &DockerPayload, spec: &PayloadSpec) -> Said {
        self.run_until(payload, spec, |_| false)
    }

    /// Runs it, and tells it to stop at a line.
    pub(crate) fn run_until(
        &self,
        payload: &DockerPayload,
        spec: &PayloadSpec,
        at: impl Fn(&Line) -> bool,
    ) -> Said {
        self.runtime.block_on(async {
            let stop = CancellationToken::new();
            let (sender, mut receiver) = mpsc::channel(4);
            let read = async {
                let mut lines = Vec::new();
                while let Some(line) = receiver.recv().await {
                    if at(&line) {
                        spec.interrupted.cancel();
                        stop.cancel();
                    }
                    lines.push(line);
                }
                lines
            };
            let (result, lines) = tokio::join!(payload.run(spec, sender, &stop), read);
            Said { result, lines }
        })
    }

    /// What the engine says of a payload's container while it runs, for one that says `up` and has to be stopped.
    pub(crate) fn seen_running(&self, payload: &DockerPayload, spec: &PayloadSpec) -> ContainerInfo {
        self.runtime.block_on(async {
            let stop = CancellationToken::new();
            let (sender, mut receiver) = mpsc::channel(4);
            let look = async {
                while receiver.recv().await.is_some_and(|line: Line| line.text != "up") {}
                let seen = self.engine.container(spec.id.as_str()).await.unwrap();
                stop.cancel();
                while receiver.recv().await.is_some() {}
                seen.unwrap()
            };
            let (result, seen) = tokio::join!(payload.run(spec, sender, &stop), look);
            result.unwrap();
            seen
        })
    }

    /// A script in a container with these options, to its end.
    pub(crate) fn run_script(&mut self, script: &str, options: Options, spec: &PayloadSpec) -> Said {
        let image = self.script(script);
        let payload = self.payload(image, options);
        self.run(&payload, spec)
    }

    /// The containers of this test that there are.
    pub(crate) fn containers(&self) -> Vec<ContainerInfo> {
        self.runtime.block_on(self.engine.labelled(LABEL_JOB, Some(&self.name))).unwrap()
    }

    pub(crate) fn seen(&self, reference: &str) -> Option<ImageInfo> {
        self.runtime.block_on(self.engine.image(reference)).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.runtime.block_on(async {
            for one in self.engine.labelled(LABEL_JOB, Some(&self.name)).await.unwrap_or_default() {
                let _ = self.engine.remove(&one.id).await;
            }
            for hex in &self.loaded {
                let _ = self.engine.remove_image(&format!("shepard/payload:{hex}")).await;
                let _ = self.engine.remove_image(&format!("sha256:{hex}")).await;
            }
        });
    }
}

impl Said {
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.lines
            .iter()
            .filter(|line| line.source != LogSource::Worker)
            .map(|line| line.text.as_str())
            .collect()
    }

    pub(crate) fn workers(&self) -> String {
        let own = self.lines.iter().filter(|line| line.source == LogSource::Worker);
        own.map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn exited(&self) -> Exited {
        match &self.result {
            Ok(exited) => *exited,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn refused(&self) -> String {
        match &self.result {
            Err(PayloadError::Refused(said)) => said.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.text == text)
    }
}
