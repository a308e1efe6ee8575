//! A flock at a [`Site`]: uploads in, rows, results and logs out.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};
use shepard_cloud::aws::{self, AwsSettings, Jobs, Profile};
use shepard_cloud::ports::{Buckets, Ports, Range};
use shepard_engine::{ContainerSpec, Ended, Mount, Network};
use shepard_lambdas::scheduler::{Scheduler, SchedulerSettings};
use shepard_model::{JobId, JobRow, ObjectRef};

use crate::site::{REGION, Site};

/// The flock.
pub(crate) struct Flock<'a> {
    pub(crate) site: &'a Site,
    pub(crate) ports: Ports,
    image: String,
    job_queue: String,
    variables: Vec<(String, String)>,
    mounts: Vec<(String, String)>,
}

impl<'a> Flock<'a> {
    pub(crate) fn new(site: &'a Site, image: &str) -> Self {
        let socket = site.engine.socket().expect("an engine at a socket").to_owned();
        let mounts = vec![
            ("/mnt/root".to_owned(), "/mnt/root".to_owned()),
            (socket, "/var/run/docker.sock".to_owned()),
        ];
        // "hidden" and a line's end.
        let secret = json!({ "token": "aGlkZGVuCg==" });
        let made = site.ask(&json!({
            "flock": { "name": site.name, "image": image, "mounts": mounts, "secret": secret }
        }));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let config = site.dir.path().join("config");
        let profile = format!(
            "[profile moto]\nregion = {REGION}\nendpoint_url = {}\naws_access_key_id = test\naws_secret_access_key = test\n",
            site.endpoint
        );
        std::fs::write(&config, profile).unwrap();
        let bucket = |part: &str| text(&made["buckets"][part]);
        let job_queue = text(&made["job_queue"]);
        let settings = AwsSettings {
            buckets: Buckets {
                inputs: bucket("inputs"),
                outputs: bucket("outputs"),
                quick_deploy: bucket("code"),
                errors: bucket("errors"),
            },
            table: site.name.clone(),
            queue: Some(text(&made["queue"])),
            dead_letters: None,
            secrets: None,
            jobs: Some(Jobs { queue: job_queue.clone(), definition: text(&made["job_definition"]) }),
            keep_days: 30,
            profile: Profile { name: Some("moto".to_owned()), file: Some(config), ..Profile::default() },
        };
        let ports = site.runtime.block_on(aws::connect(settings)).ports();
        let variables = made["variables"].as_object().expect("variables");
        let variables = variables.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        Self { site, ports, image: image.to_owned(), job_queue, variables, mounts }
    }

    /// Uploads a zip, announces it as S3 does, and lets the scheduler work; gives the job.
    pub(crate) fn upload(&self, key: &str, variables: &Value) -> JobId {
        let file = self.site.dir.path().join("upload.zip");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&file).unwrap());
        zip.start_file("inputs.txt", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(variables.to_string().as_bytes()).unwrap();
        zip.finish().unwrap();
        self.site.runtime.block_on(async {
            let bucket = self.ports.buckets.inputs.clone();
            let put = self.ports.objects.upload(&file, &ObjectRef::new(bucket.clone(), key)).await.unwrap();
            let body = json!({ "Records": [{
                "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": REGION,
                "eventTime": "2026-11-21T06:25:48.370Z", "eventName": "ObjectCreated:Put",
                "s3": {
                    "bucket": { "name": bucket },
                    "object": { "key": key, "versionId": put.object.version, "sequencer": "0055AED6DCD90281E5" },
                },
            }] });
            self.ports.queue.send(&[body.to_string()], 0).await.unwrap();
            let scheduler = Scheduler::new(self.ports.clone(), SchedulerSettings::default());
            let pumped = scheduler.pump_once(10).await.unwrap();
            assert_eq!((pumped.submitted, pumped.error.is_none()), (1, true), "{pumped:?}");
            JobId::of_object(&put.object)
        })
    }

    pub(crate) fn row(&self, id: &JobId) -> JobRow {
        self.site.runtime.block_on(self.ports.table.get(id)).unwrap().expect("a row")
    }

    /// The row, once it is as it should be.
    pub(crate) fn until(&self, id: &JobId, is: impl Fn(&JobRow) -> bool) -> JobRow {
        for _ in 0..1_200 {
            let row = self.row(id);
            if is(&row) {
                return row;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("the row stays as it is: {:?}\n{:?}", self.row(id), self.log(id));
    }

    /// Batch's status of the newest job of a row, and what CloudWatch has of it.
    pub(crate) fn log(&self, id: &JobId) -> Option<(String, Vec<String>)> {
        let said = self.site.ask(&json!({ "log": { "queue": self.job_queue, "name": id.as_str() } }));
        let lines = said["lines"].as_array()?.iter().filter_map(|line| line.as_str().map(str::to_owned));
        Some((said["status"].as_str()?.to_owned(), lines.collect()))
    }

    /// The same, once the container has ended.
    pub(crate) fn ended(&self, id: &JobId) -> (String, Vec<String>) {
        for _ in 0..600 {
            if let Some(log) = self.log(id) {
                return log;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("the job of {id} does not end");
    }

    /// A result's files: name and text.
    pub(crate) fn unzip(&self, object: &ObjectRef) -> Vec<(String, String)> {
        let range = Range::From { start: 0, length: 1 << 24 };
        let part = self.site.runtime.block_on(self.ports.objects.get(object, range)).unwrap();
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(part.bytes)).unwrap();
        let mut files: Vec<(String, String)> = (0..zip.len())
            .map(|index| {
                let mut entry = zip.by_index(index).unwrap();
                let mut text = Vec::new();
                entry.read_to_end(&mut text).unwrap();
                (entry.name().unwrap().into_owned(), String::from_utf8_lossy(&text).into_owned())
            })
            .filter(|(name, _)| !name.ends_with('/'))
            .collect();
        files.sort();
        files
    }

    /// Nothing of a job is left at the host.
    pub(crate) fn is_clean(&self, id: &JobId) -> bool {
        let label = shepard_model::names::container::LABEL_JOB;
        let left = self.site.runtime.block_on(self.site.engine.labelled(label, Some(id.as_str()))).unwrap();
        left.is_empty() && !std::path::Path::new("/mnt/root").join(id.as_str()).exists()
    }

    /// The worker's container as a person would start it, without Batch, with these variables beside the flock's.
    pub(crate) fn by_hand(&self, id: &JobId, more: &[(&str, &str)]) -> ContainerSpec {
        let mut environment = self.variables.clone();
        environment.extend([
            ("UUID".to_owned(), id.to_string()),
            ("INPUT_ZIP_NAME".to_owned(), "None".to_owned()),
            ("IS_INVOKED".to_owned(), "True".to_owned()),
        ]);
        for (name, value) in more {
            environment.retain(|(known, _)| known != name);
            environment.push(((*name).to_owned(), (*value).to_owned()));
        }
        let mount = |(source, target): &(String, String)| Mount {
            source: source.clone(),
            target: target.clone(),
            read_only: false,
        };
        ContainerSpec {
            image: self.image.clone(),
            environment,
            mounts: self.mounts.iter().map(mount).collect(),
            network: Network::Host,
            ..ContainerSpec::default()
        }
    }

    /// Runs a container to its end, does something meanwhile, and gives how it ended and what it printed.
    pub(crate) fn run(&self, spec: ContainerSpec, meanwhile: impl FnOnce(&str)) -> (Ended, String) {
        let (runtime, engine) = (&self.site.runtime, &self.site.engine);
        let id = runtime.block_on(engine.create(spec)).unwrap();
        let mut output = runtime.block_on(engine.attach(&id)).unwrap();
        runtime.block_on(engine.start(&id)).unwrap();
        meanwhile(&id);
        let ended = runtime.block_on(engine.wait(&id)).unwrap();
        let mut text = Vec::new();
        while let Ok(Some(chunk)) = runtime.block_on(output.next()) {
            text.extend(chunk.bytes);
        }
        runtime.block_on(engine.remove(&id)).unwrap();
        (ended, String::from_utf8_lossy(&text).into_owned())
    }
}
