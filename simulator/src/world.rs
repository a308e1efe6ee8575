//! Everything there is in a run, behind one lock, and the few things that every model needs: the clock, the dice and the
//! books.
//!
//! The lock is held for one step at a time and never across an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use fastrand::Rng;
use hashbrown::HashMap;
use shepard_cloud::Kind;
use shepard_model::{JobId, ObjectRef};

use crate::batch::Batch;
use crate::dynamo::Dynamo;
use crate::executor::Time;
use crate::options::{Options, Planted};
use crate::quotas::{Quota, Quotas};
use crate::s3::{self, Content, S3};
use crate::sqs::Sqs;
use crate::worker;

/// Virtual time 0, in milliseconds since the epoch: 2026-11-21 08:00 UTC.
pub const EPOCH_MS: i64 = 1_795_248_000_000;

/// A notification that takes longer is late, in microseconds: S3 says seconds, and a minute now and then. When such an
/// upload is submitted says nothing of the scheduler.
pub const LATE_US: u64 = 30_000_000;

/// A moment, in milliseconds since the epoch.
pub fn ms(at_us: u64) -> i64 {
    EPOCH_MS + (at_us / 1_000) as i64
}

/// What is known of an upload.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Its row's id.
    pub id: JobId,
    /// What it is.
    pub content: Content,
    /// When its PUT ended.
    pub put_us: u64,
    /// When its first notification showed in the queue.
    pub visible_us: u64,
    /// When the first job that runs it was taken.
    pub submitted_us: Option<u64>,
    /// When its row said first that it was rejected.
    pub rejected: bool,
    /// Claims that were granted.
    pub runs: u32,
}

/// The state of a run.
#[derive(Debug)]
pub struct State {
    /// What was asked for.
    pub options: Options,
    /// The numbers.
    pub quotas: Quotas,
    /// Everything random.
    pub rng: Rng,
    /// S3.
    pub s3: S3,
    /// SQS.
    pub sqs: Sqs,
    /// DynamoDB.
    pub dynamo: Dynamo,
    /// Batch.
    pub batch: Batch,
    /// Calls to AWS, by operation, refused ones included.
    pub calls: BTreeMap<&'static str, u64>,
    /// The calls up to the end of the measured part.
    pub measured: Option<BTreeMap<&'static str, u64>>,
    /// Those that were refused.
    pub refused: BTreeMap<&'static str, u64>,
    /// The uploads, by number.
    pub uploads: Vec<Upload>,
    /// Number of an upload, by id.
    pub numbers: HashMap<JobId, u32>,
    /// Uploads that have neither a job nor a rejected row.
    pub unsettled: u32,
    /// When the last upload was settled that S3 announced in time, and when the last of all.
    pub settled_us: (u64, u64),
    /// Requests whose callers are gone and that have not arrived yet.
    pub under_way: u32,
    /// Jobs whose workers have not ended.
    pub working: u32,
    /// Jobs whose workers start after the measured part.
    pub deferred: Vec<usize>,
    /// What must never happen and did.
    pub violations: Vec<String>,
    /// Invocations of the function at once, now and at most.
    pub invocations: (usize, usize),
    /// Invocations that crashed or ran out of time.
    pub crashes: u64,
    /// Claims that were refused.
    pub doubled: u64,
    /// Instances that were started.
    pub cold_starts: u64,
    world: Weak<World>,
    /// The clock.
    pub time: Time,
}

/// A run.
#[derive(Debug)]
pub struct World {
    /// The clock.
    pub time: Time,
    state: Mutex<State>,
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Time").field(&self.now_us()).finish()
    }
}

impl World {
    /// A world before the first upload.
    ///
    /// # Errors
    /// The built-in archives cannot be made.
    pub fn new(options: &Options, quotas: Quotas) -> zip::result::ZipResult<Arc<Self>> {
        let factor = options.quota_factor;
        let s3 = S3::new(&quotas, options.prefixes, options.shapes, factor)?;
        let mut batch = Batch::new(&quotas, options.submit_share, factor);
        batch.submits.leaks = options.planted == Some(Planted::LeakingQuota);
        let time = Time::default();
        Ok(Arc::new_cyclic(|world| {
            let state = State {
                rng: Rng::with_seed(options.seed),
                s3,
                sqs: Sqs::new(&quotas, options.stack.max_deliveries),
                dynamo: Dynamo::new(&quotas, options.warm_writes, factor),
                batch,
                calls: BTreeMap::new(),
                measured: None,
                refused: BTreeMap::new(),
                uploads: Vec::new(),
                numbers: HashMap::new(),
                unsettled: options.uploads,
                settled_us: (0, 0),
                under_way: 0,
                working: 0,
                deferred: Vec::new(),
                violations: Vec::new(),
                invocations: (0, 0),
                crashes: 0,
                doubled: 0,
                cold_starts: 0,
                world: world.clone(),
                time: time.clone(),
                options: options.clone(),
                quotas,
            };
            Self { time: time.clone(), state: Mutex::new(state) }
        }))
    }

    /// The state, for one step.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        ms(self.time.now_us())
    }
}

impl State {
    /// A log-normal duration around a median, in microseconds.
    pub fn spread(&mut self, median: &Quota) -> u64 {
        let sigma = self.quotas.latency_sigma.value;
        let factor = self.options.latency_factor;
        log_normal(&mut self.rng, median.value * factor * 1e3, sigma)
    }

    /// What a service answers that is down now.
    pub fn outage(&self, api: &str, now_us: u64) -> Option<Kind> {
        let outage = self.options.outage.as_ref()?;
        let now_s = now_us / 1_000_000;
        (api.starts_with(outage.service) && (outage.from_s..outage.to_s).contains(&now_s))
            .then_some(outage.kind)
    }

    /// How long a notification takes.
    pub fn notification_us(&mut self) -> u64 {
        let late = self.options.late_rate.unwrap_or(self.quotas.notification_late.value);
        if self.rng.f64() < late {
            return 60_000_000 + self.rng.u64(..30_000_000);
        }
        let (median, sigma) = (self.quotas.notification_ms.value, self.quotas.notification_sigma.value);
        log_normal(&mut self.rng, median * 1e3, sigma)
    }

    /// Something that must never happen.
    pub fn violation(&mut self, what: impl Into<String>) {
        // A broken run breaks a thousand times; the first few say why.
        if self.violations.len() < 20 {
            self.violations.push(what.into());
        }
    }

    /// An upload was put: its book is opened. Its notifications are the uploader's.
    pub fn uploaded(&mut self, now_us: u64, prefix: u32, number: u32, content: Content) {
        let object =
            ObjectRef::new(s3::BUCKET, s3::upload_key(prefix, number)).at(s3::upload_version(number));
        let id = JobId::of_object(&object);
        self.numbers.insert(id.clone(), number);
        self.uploads.push(Upload {
            id,
            content,
            put_us: now_us,
            visible_us: u64::MAX,
            submitted_us: None,
            rejected: false,
            runs: 0,
        });
    }

    fn settle(&mut self, now_us: u64, number: u32) {
        self.unsettled = self.unsettled.saturating_sub(1);
        self.settled_us.1 = now_us;
        let upload = &self.uploads[number as usize];
        if upload.visible_us.saturating_sub(upload.put_us) <= LATE_US {
            self.settled_us.0 = now_us;
        }
    }

    /// A row was written as rejected.
    pub fn rejected(&mut self, now_us: u64, id: &JobId) {
        let Some(number) = self.numbers.get(id).copied() else { return };
        let upload = &mut self.uploads[number as usize];
        if !upload.rejected && upload.submitted_us.is_none() {
            upload.rejected = true;
            self.settle(now_us, number);
        }
    }

    /// A job was taken: what it will run must have its row by now, and its workers are started.
    pub fn launched(&mut self, now_us: u64, job: usize) {
        let Some(request) = self.batch.jobs().get(job).map(|job| job.request.clone()) else { return };
        let rows = match worker::rows_of(self, &request) {
            Ok(children) => children,
            Err(fault) => return self.violation(format!("the job {} cannot run: {fault}", request.name)),
        };
        for (id, _) in rows.into_iter().flatten() {
            if self.dynamo.look(&id).is_none() {
                self.violation(format!("{id} was submitted before its row was written"));
            }
            let Some(number) = self.numbers.get(&id).copied() else {
                self.violation(format!("{id} was submitted and is no upload"));
                continue;
            };
            let upload = &mut self.uploads[number as usize];
            if upload.submitted_us.is_none() {
                upload.submitted_us = Some(now_us);
                if !upload.rejected {
                    self.settle(now_us, number);
                }
            }
        }
        if !self.options.small() {
            self.deferred.push(job);
            return;
        }
        self.working += 1;
        if let Some(world) = self.world.upgrade() {
            self.time.clone().spawn(worker::run(world, job));
        }
    }
}

/// A log-normal number of microseconds.
fn log_normal(rng: &mut Rng, median_us: f64, sigma: f64) -> u64 {
    let (first, second) = (1.0 - rng.f64(), rng.f64());
    let normal = (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos();
    (median_us * (sigma * normal).exp()) as u64
}
