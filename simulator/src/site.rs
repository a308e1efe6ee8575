//! The ports as one instance of a function sees them: every call costs CPU and time, is counted, may be refused, may
//! lose its answer, and may be the last thing the instance does.
//!
//! The models decide nothing here and the ports know nothing of each other; what the SDK's client would try again is
//! tried again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use shepard_cloud::ports::{
    Applied, Buckets, Changes, Clock, Compute, ComputeJob, Cursor, Depth, JobRequest, LogFrom, LogPage, Logs,
    Message, ObjectMeta, Objects, Page, Part, Put, Queue, Range, Secret, Secrets, Table, Writer, Written,
};
use shepard_cloud::{CloudError, Kind, Ports, Result};
use shepard_model::{JobId, JobRow, LogLine, ObjectRef, Outcome, Transition};

use crate::options::Planted;
use crate::quotas::{Quota, Quotas};
use crate::s3;
use crate::world::{State, World};

/// Calls of one kind that an adapter makes side by side, for lists that do not fit into one.
const ABREAST: usize = 8;

/// An operation of AWS.
#[derive(Clone, Copy)]
struct Api {
    name: &'static str,
    median: fn(&Quotas) -> &Quota,
    /// The client tries again what was throttled or lost.
    again: bool,
}

const fn api(name: &'static str, median: fn(&Quotas) -> &Quota) -> Api {
    Api { name, median, again: true }
}

const GET: Api = api("s3:GetObject", |q| &q.s3_get_ms);
const HEAD: Api = api("s3:HeadObject", |q| &q.s3_get_ms);
const PUT: Api = api("s3:PutObject", |q| &q.s3_put_ms);
const DELETE: Api = api("s3:DeleteObject", |q| &q.s3_put_ms);
const LIST: Api = api("s3:ListObjectsV2", |q| &q.s3_list_ms);
const RECEIVE: Api = api("sqs:ReceiveMessage", |q| &q.sqs_ms);
const SEND: Api = api("sqs:SendMessageBatch", |q| &q.sqs_ms);
const REMOVE: Api = api("sqs:DeleteMessageBatch", |q| &q.sqs_ms);
const RELEASE: Api = api("sqs:ChangeMessageVisibility", |q| &q.sqs_ms);
const DEPTH: Api = api("sqs:GetQueueAttributes", |q| &q.sqs_ms);
const PUT_ITEM: Api = api("dynamodb:PutItem", |q| &q.dynamodb_ms);
const GET_ITEM: Api = api("dynamodb:GetItem", |q| &q.dynamodb_ms);
const SCAN: Api = api("dynamodb:Scan", |q| &q.dynamodb_ms);
// Not tried again by a client: a second SubmitJob is a second job.
const SUBMIT: Api = Api { name: "batch:SubmitJob", median: |q| &q.batch_ms, again: false };
const LIST_JOBS: Api = api("batch:ListJobs", |q| &q.batch_ms);
const DESCRIBE: Api = api("batch:DescribeJobs", |q| &q.batch_ms);
const TERMINATE: Api = api("batch:TerminateJob", |q| &q.batch_ms);

/// What becomes of a call.
struct Fate {
    out_us: u64,
    back_us: u64,
    end: End,
}

/// How a call ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// With an answer.
    Answer,
    /// The answer is lost after the effect.
    Lost,
    /// The instance dies before the effect.
    Crash,
    /// The instance dies after the effect.
    CrashAfter,
    /// The instance dies, and the request arrives so much later.
    LateCrash(u64),
    /// The caller gives up, and the request arrives so much later.
    LateError(u64),
}

/// One running instance.
#[derive(Debug)]
pub struct Site {
    world: Arc<World>,
    /// Microseconds of this instance that one call takes; 0 for what is no function of ours.
    cpu_us: u64,
    cpu_free_us: std::sync::atomic::AtomicU64,
    crash_rate: f64,
    crashed: AtomicBool,
}

impl Site {
    /// An instance of a function that crashes at this part of the run's rate.
    pub fn instance(world: &Arc<World>, crashes: f64) -> Arc<Self> {
        let state = world.state();
        let share = f64::from(state.options.stack.memory_mib) / state.quotas.lambda_mib_a_vcpu.value;
        // More than one vCPU is of no use to one thread.
        let cpu_us = (state.quotas.lambda_call_cpu_us.value / share.min(1.0)) as u64;
        let crash_rate = state.options.crash_rate * crashes;
        Arc::new(Self {
            world: world.clone(),
            cpu_us,
            cpu_free_us: 0.into(),
            crash_rate,
            crashed: AtomicBool::new(false),
        })
    }

    /// It died in a call; what it was doing must be dropped.
    pub fn crashed(&self) -> bool {
        self.crashed.load(Ordering::Relaxed)
    }

    /// Its ports.
    pub fn ports(self: &Arc<Self>) -> Ports {
        let bucket = |name: &str| name.to_owned();
        Ports {
            buckets: Buckets {
                inputs: bucket(s3::BUCKET),
                outputs: bucket("outputs"),
                quick_deploy: bucket("quick"),
                errors: bucket("errors"),
            },
            objects: self.clone(),
            table: self.clone(),
            queue: self.clone(),
            compute: self.clone(),
            logs: self.clone(),
            secrets: self.clone(),
            clock: self.clone(),
        }
    }

    async fn die<T>(&self) -> T {
        self.crashed.store(true, Ordering::Relaxed);
        std::future::pending().await
    }

    /// Waits until the instance's CPU has made the call.
    async fn work(&self) {
        if self.cpu_us == 0 {
            return;
        }
        let now_us = self.world.time.now_us();
        let done_us = self.cpu_free_us.load(Ordering::Relaxed).max(now_us) + self.cpu_us;
        self.cpu_free_us.store(done_us, Ordering::Relaxed);
        self.world.time.until(done_us).await;
    }

    /// Makes a call. `effect` owns what it needs: a request whose caller is gone may still arrive.
    async fn call<T: Send>(
        &self,
        api: Api,
        effect: impl Fn(&mut State, u64) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            self.work().await;
            let fate = self.fate(api);
            match fate.end {
                End::Crash => return self.die().await,
                End::LateCrash(late_us) => {
                    self.arrive_later(late_us, effect);
                    return self.die().await;
                }
                _ => {}
            }
            self.world.time.sleep(fate.out_us).await;
            let error = if let End::LateError(late_us) = fate.end {
                self.arrive_later(late_us, effect.clone());
                CloudError::new(api.name, "", Kind::Offline).because("no answer came in time")
            } else {
                let result = {
                    let mut state = self.world.state();
                    let now_us = self.world.time.now_us();
                    let result = match state.outage(api.name, now_us) {
                        Some(kind) => Err(CloudError::new(api.name, "", kind).because("the service is down")),
                        None => effect(&mut state, now_us),
                    };
                    if matches!(&result, Err(error) if error.kind == Kind::Throttled) {
                        *state.refused.entry(api.name).or_default() += 1;
                    }
                    result
                };
                if fate.end == End::CrashAfter {
                    return self.die().await;
                }
                self.world.time.sleep(fate.back_us).await;
                match result {
                    Ok(_) if fate.end == End::Lost => {
                        CloudError::new(api.name, "", Kind::Offline).because("the answer was lost")
                    }
                    Err(error) if matches!(error.kind, Kind::Throttled | Kind::Offline) => error,
                    other => return other,
                }
            };
            let backoff_us = {
                let mut state = self.world.state();
                if !api.again || attempt >= state.quotas.client_attempts.value as u32 {
                    return Err(error);
                }
                let doubled = f64::from(1_u32 << (attempt - 1).min(10));
                (state.quotas.client_backoff_ms.value * 1e3 * doubled * state.rng.f64()) as u64
            };
            attempt += 1;
            self.world.time.sleep(backoff_us).await;
        }
    }

    /// Counts a call and throws the dice for it.
    fn fate(&self, api: Api) -> Fate {
        let mut state = self.world.state();
        *state.calls.entry(api.name).or_default() += 1;
        let median = (api.median)(&state.quotas).clone();
        let whole_us = state.spread(&median);
        let (lost, late) = (state.options.lost_response_rate, state.options.late_effect_rate);
        let late_us = 1_000_000 + state.rng.u64(..60_000_000);
        let arrives_late = state.rng.f64() < late;
        let end = if state.rng.f64() < self.crash_rate {
            match (state.rng.bool(), arrives_late) {
                (true, true) => End::LateCrash(late_us),
                (true, false) => End::Crash,
                (false, _) => End::CrashAfter,
            }
        } else if arrives_late {
            End::LateError(late_us)
        } else if state.rng.f64() < lost {
            End::Lost
        } else {
            End::Answer
        };
        Fate { out_us: whole_us / 2, back_us: whole_us - whole_us / 2, end }
    }

    /// Lets a request arrive whose caller no longer waits for it.
    fn arrive_later<T>(&self, late_us: u64, effect: impl Fn(&mut State, u64) -> Result<T> + Send + 'static) {
        let world = self.world.clone();
        world.state().under_way += 1;
        self.world.time.spawn(async move {
            world.time.sleep(late_us).await;
            let now_us = world.time.now_us();
            let mut state = world.state();
            state.under_way -= 1;
            // Nobody reads the answer.
            drop(effect(&mut state, now_us));
        });
    }
}

fn none<T>(operation: &'static str) -> Result<T> {
    Err(CloudError::new(operation, "", Kind::Other).because("the simulator has no model of this"))
}

fn us(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000)
}

#[async_trait]
impl Objects for Site {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta> {
        let object = object.clone();
        self.call(HEAD, move |state, now_us| state.s3.head(now_us, &object)).await
    }
    async fn get(&self, object: &ObjectRef, range: Range) -> Result<Part> {
        let object = object.clone();
        self.call(GET, move |state, now_us| state.s3.get(now_us, &object, range)).await
    }
    async fn download(&self, _: &ObjectRef, _: &Path) -> Result<u64> {
        none("download")
    }
    async fn upload(&self, _: &Path, _: &ObjectRef) -> Result<ObjectMeta> {
        none("upload")
    }
    async fn begin(&self, _: &ObjectRef) -> Result<Box<dyn Writer>> {
        none("begin an upload")
    }
    async fn put_new(&self, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
        let (object, bytes) = (object.clone(), bytes.to_vec());
        self.call(PUT, move |state, now_us| state.s3.put_new(now_us, &object, &bytes)).await
    }
    async fn list(&self, _: &str, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>> {
        let (prefix, from) = (prefix.to_owned(), from.map(str::to_owned));
        self.call(LIST, move |state, now_us| state.s3.list(now_us, &prefix, from.as_deref())).await
    }
    async fn delete(&self, object: &ObjectRef) -> Result<()> {
        let object = object.clone();
        self.call(DELETE, move |state, now_us| state.s3.delete(now_us, &object)).await
    }
}

#[async_trait]
impl Table for Site {
    async fn put_new(&self, row: &JobRow) -> Result<Put> {
        let row = row.clone();
        self.call(PUT_ITEM, move |state, now_us| {
            if state.numbers.get(&row.id) == Some(&3) {
                match state.options.planted {
                    Some(Planted::LostRow) => return Ok(Put::Created),
                    Some(Planted::TwoRows) => state.dynamo.insert_twin(&row),
                    _ => {}
                }
            }
            let put = state.dynamo.put_new(now_us, &row)?;
            if row.outcome == Some(Outcome::Rejected) && put == Put::Created {
                state.rejected(now_us, &row.id);
            }
            Ok(put)
        })
        .await
    }
    async fn get(&self, id: &JobId) -> Result<Option<JobRow>> {
        let id = id.clone();
        let found = self.call(GET_ITEM, move |state, now_us| state.dynamo.get(now_us, &id)).await?;
        Ok(found.map(|(row, _)| row))
    }
    async fn apply(&self, id: &JobId, change: &Transition) -> Result<Applied> {
        loop {
            let id = id.clone();
            let key = id.clone();
            let read = self.call(GET_ITEM, move |state, now_us| state.dynamo.get(now_us, &key)).await?;
            let Some((row, revision)) = read else { return Ok(Applied::Missing) };
            let changed = match row.apply(change) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Applied::Refused(refused, Box::new(row))),
            };
            let new = changed.clone();
            let written = self
                .call(PUT_ITEM, move |state, now_us| {
                    let written = state.dynamo.put_changed(now_us, &new, revision)?;
                    if new.outcome.is_some() && written {
                        state.rejected(now_us, &id);
                    }
                    Ok(written)
                })
                .await?;
            if written {
                return Ok(Applied::Changed(Box::new(changed)));
            }
        }
    }
    async fn changes(&self, _: Cursor, _: usize) -> Result<Changes> {
        none("follow the table")
    }
    async fn scan(&self, from: Option<&str>, limit: usize) -> Result<Page<JobRow>> {
        let from = from.map(str::to_owned);
        self.call(SCAN, move |state, now_us| state.dynamo.scan(now_us, from.as_deref(), limit)).await
    }
}

#[async_trait]
impl Queue for Site {
    async fn send(&self, bodies: &[String], after_ms: i64) -> Result<()> {
        for bodies in bodies.chunks(10) {
            let bodies = bodies.to_vec();
            self.call(SEND, move |state, now_us| {
                if us(after_ms) > (state.quotas.sqs_delay_s.value * 1e6) as u64 {
                    return Err(CloudError::new("send", "", Kind::Invalid));
                }
                for body in &bodies {
                    state.sqs.push(body.clone(), now_us + us(after_ms));
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
    async fn receive(&self, max: usize, hide_ms: i64) -> Result<Vec<Message>> {
        self.call(RECEIVE, move |state, now_us| {
            let State { sqs, rng, .. } = state;
            let taken = sqs.receive(rng, now_us, max, us(hide_ms), false);
            taken.ok_or_else(|| CloudError::new("receive", "", Kind::Throttled))
        })
        .await
    }
    async fn delete(&self, receipts: &[String]) -> Result<()> {
        let some: Vec<_> = receipts
            .chunks(10)
            .map(|some| {
                let some = some.to_vec();
                self.call(REMOVE, move |state, now_us| {
                    some.iter().for_each(|receipt| state.sqs.delete(receipt, now_us));
                    Ok(())
                })
            })
            .collect();
        let done: Vec<Result<()>> = stream::iter(some).buffer_unordered(ABREAST).collect().await;
        done.into_iter().collect()
    }
    async fn release(&self, receipt: &str, after_ms: i64) -> Result<()> {
        let receipt = receipt.to_owned();
        self.call(RELEASE, move |state, now_us| {
            state.sqs.release(&receipt, now_us, us(after_ms));
            Ok(())
        })
        .await
    }
    async fn depth(&self) -> Result<Depth> {
        self.call(DEPTH, move |state, now_us| {
            let (waiting, in_flight) = state.sqs.depth(now_us);
            let dead = state.sqs.dead.len() as u64;
            Ok(Depth { waiting: waiting as u64, in_flight: in_flight as u64, dead })
        })
        .await
    }
    async fn redrive(&self) -> Result<u64> {
        none("redrive")
    }
}

#[async_trait]
impl Compute for Site {
    async fn submit(&self, job: &JobRequest) -> Result<String> {
        let job = job.clone();
        self.call(SUBMIT, move |state, now_us| {
            let median = state.quotas.batch_visible_ms.clone();
            let lag_us = state.spread(&median);
            let index = state.batch.submit(now_us, &job, lag_us)?;
            state.launched(now_us, index);
            Ok(state.batch.jobs()[index].id.clone())
        })
        .await
    }
    async fn find(&self, name: &str) -> Result<Vec<ComputeJob>> {
        let name = name.to_owned();
        self.call(LIST_JOBS, move |state, now_us| state.batch.find(now_us, &name)).await
    }
    async fn describe(&self, ids: &[String]) -> Result<Vec<ComputeJob>> {
        let ids = ids.to_vec();
        self.call(DESCRIBE, move |state, now_us| state.batch.describe(now_us, &ids)).await
    }
    async fn terminate(&self, id: &str, _: &str) -> Result<()> {
        let id = id.to_owned();
        self.call(TERMINATE, move |state, now_us| state.batch.terminate(now_us, &id)).await
    }
}

#[async_trait]
impl Logs for Site {
    async fn append(&self, _: &str, _: &[LogLine]) -> Result<()> {
        none("append to a log")
    }
    async fn read(&self, _: &str, _: &LogFrom, _: usize) -> Result<LogPage> {
        none("read a log")
    }
}

#[async_trait]
impl Secrets for Site {
    async fn read(&self) -> Result<Vec<Secret>> {
        none("read the secrets")
    }
    async fn write(&self, _: &[Secret]) -> Result<Written> {
        none("replace the secrets")
    }
}

#[async_trait]
impl Clock for Site {
    fn now_ms(&self) -> i64 {
        self.world.now_ms()
    }
    async fn sleep_ms(&self, duration_ms: u64) {
        self.world.time.sleep(duration_ms.saturating_mul(1_000)).await;
    }
}
