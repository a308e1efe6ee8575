//! Ports that go wrong where they are told to: at the n-th call they fail, fail after having done it, or stop
//! the program before or after. They also watch what every run of the scheduler has to keep: a row is there
//! before its job is submitted.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shepard_cloud::ports::{
    Applied, Changes, Compute, ComputeJob, Cursor, Depth, JobRequest, Message, ObjectMeta, Objects, Page,
    Part, Put, Queue, Range, Table, Writer,
};
use shepard_cloud::{CloudError, Kind, Ports, Result};
use shepard_model::manifest::{HEADER, decode_records};
use shepard_model::{BatchRef, JobId, JobRow, ObjectRef, Transition};
use tokio::sync::Notify;

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and did nothing.
    FailBefore(Kind),
    /// It did it, and the answer is lost.
    FailAfter(Kind),
    /// The program dies before the call gets through.
    CrashBefore,
    /// The program dies before it sees the answer.
    CrashAfter,
    /// The program sleeps before the call gets through, until it is woken.
    StallBefore,
    /// The program sleeps before it sees the answer, until it is woken.
    StallAfter,
}

/// When what goes wrong, and what was called.
#[derive(Debug, Default)]
pub struct Plan {
    faults: Mutex<HashMap<usize, Fault>>,
    /// Fails every call of this name, until cleared.
    always: Mutex<Option<(&'static str, Kind)>>,
    /// Fails the calls of that name but every n-th, until cleared.
    mostly: Mutex<Option<(&'static str, Kind, usize)>>,
    /// How many times each call yields before it gets through: shuffles what runs at once.
    pauses: Mutex<Vec<u8>>,
    calls: AtomicUsize,
    crash: Notify,
    stalled: Notify,
    wake: Notify,
    log: Mutex<Vec<&'static str>>,
    submitted_without_row: AtomicUsize,
}

impl Plan {
    pub fn at(call: usize, fault: Fault) -> Arc<Self> {
        Self::of([(call, fault)])
    }

    pub fn of(faults: impl IntoIterator<Item = (usize, Fault)>) -> Arc<Self> {
        let plan = Self::default();
        plan.faults.lock().unwrap().extend(faults);
        Arc::new(plan)
    }

    pub fn pausing(pauses: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { pauses: Mutex::new(pauses), ..Self::default() })
    }

    pub fn add(&self, faults: impl IntoIterator<Item = (usize, Fault)>) {
        self.faults.lock().unwrap().extend(faults);
    }

    pub fn always(&self, fault: Option<(&'static str, Kind)>) {
        *self.always.lock().unwrap() = fault;
    }

    pub fn mostly(&self, fault: Option<(&'static str, Kind, usize)>) {
        *self.mostly.lock().unwrap() = fault;
    }

    /// No more faults.
    pub fn calm(&self) {
        self.mostly(None);
        self.faults.lock().unwrap().clear();
        self.always(None);
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn count(&self, name: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|call| **call == name).count()
    }

    pub fn submitted_without_row(&self) -> usize {
        self.submitted_without_row.load(Ordering::SeqCst)
    }

    /// Runs a program until it ends or is killed; None where it was killed.
    pub async fn survive<T>(&self, program: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = program => Some(done),
            () = self.crash.notified() => None,
        }
    }

    async fn call<T>(&self, name: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        self.log.lock().unwrap().push(name);
        let pause = {
            let pauses = self.pauses.lock().unwrap();
            if pauses.is_empty() { 0 } else { pauses[number % pauses.len()] }
        };
        for _ in 0..pause {
            tokio::task::yield_now().await;
        }
        let always = *self.always.lock().unwrap();
        if let Some((_, kind)) = always.filter(|(which, _)| *which == name) {
            return Err(CloudError::new(name, "", kind));
        }
        let mostly = *self.mostly.lock().unwrap();
        if let Some((_, kind, _)) =
            mostly.filter(|(which, _, n)| *which == name && !self.count(name).is_multiple_of(*n))
        {
            return Err(CloudError::new(name, "", kind));
        }
        let fault = self.faults.lock().unwrap().get(&number).copied();
        match fault {
            None => call.await,
            Some(Fault::FailBefore(kind)) => Err(CloudError::new(name, "", kind)),
            Some(Fault::FailAfter(kind)) => {
                call.await?;
                Err(CloudError::new(name, "", kind))
            }
            Some(Fault::StallBefore) => {
                self.stall().await;
                call.await
            }
            Some(Fault::StallAfter) => {
                let done = call.await;
                self.stall().await;
                done
            }
            Some(Fault::CrashBefore) => self.die().await,
            Some(Fault::CrashAfter) => {
                let _ = call.await;
                self.die().await
            }
        }
    }

    async fn stall(&self) {
        self.stalled.notify_one();
        self.wake.notified().await;
    }

    /// Runs a program; where it stalls, `meanwhile` runs to its end before it goes on. Whether it stalled.
    pub async fn overtaken(&self, program: impl Future, meanwhile: impl Future) -> bool {
        let mut program = std::pin::pin!(program);
        tokio::select! {
            biased;
            _ = &mut program => return false,
            () = self.stalled.notified() => {}
        }
        // One call stalls; what runs beside it goes on first, as it would.
        for _ in 0..100 {
            tokio::select! {
                biased;
                _ = &mut program => return true,
                () = tokio::task::yield_now() => {}
            }
        }
        meanwhile.await;
        self.wake.notify_one();
        program.await;
        true
    }

    async fn die<T>(&self) -> T {
        self.crash.notify_one();
        std::future::pending().await
    }
}

/// These ports, with that plan.
pub fn faulty(inner: Ports, plan: &Arc<Plan>) -> Ports {
    let faulty = Arc::new(Faulty { inner: inner.clone(), plan: plan.clone() });
    Ports { objects: faulty.clone(), table: faulty.clone(), queue: faulty.clone(), compute: faulty, ..inner }
}

struct Faulty {
    inner: Ports,
    plan: Arc<Plan>,
}

#[async_trait]
impl Objects for Faulty {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta> {
        self.plan.call("head", self.inner.objects.head(object)).await
    }
    async fn get(&self, object: &ObjectRef, range: Range) -> Result<Part> {
        self.plan.call("get", self.inner.objects.get(object, range)).await
    }
    async fn download(&self, object: &ObjectRef, to: &Path) -> Result<u64> {
        self.inner.objects.download(object, to).await
    }
    async fn upload(&self, from: &Path, to: &ObjectRef) -> Result<ObjectMeta> {
        self.inner.objects.upload(from, to).await
    }
    async fn begin(&self, to: &ObjectRef) -> Result<Box<dyn Writer>> {
        self.inner.objects.begin(to).await
    }
    async fn put_new(&self, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
        self.plan.call("put_object", self.inner.objects.put_new(object, bytes)).await
    }
    async fn list(&self, bucket: &str, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>> {
        self.plan.call("list", self.inner.objects.list(bucket, prefix, from)).await
    }
    async fn delete(&self, object: &ObjectRef) -> Result<()> {
        self.inner.objects.delete(object).await
    }
}

#[async_trait]
impl Table for Faulty {
    async fn put_new(&self, row: &JobRow) -> Result<Put> {
        self.plan.call("put_new", self.inner.table.put_new(row)).await
    }
    async fn get(&self, id: &JobId) -> Result<Option<JobRow>> {
        self.plan.call("get_row", self.inner.table.get(id)).await
    }
    async fn apply(&self, id: &JobId, change: &Transition) -> Result<Applied> {
        self.plan.call("apply", self.inner.table.apply(id, change)).await
    }
    async fn changes(&self, cursor: Cursor, limit: usize) -> Result<Changes> {
        self.inner.table.changes(cursor, limit).await
    }
    async fn scan(&self, from: Option<&str>, limit: usize) -> Result<Page<JobRow>> {
        self.plan.call("scan", self.inner.table.scan(from, limit)).await
    }
}

#[async_trait]
impl Queue for Faulty {
    async fn send(&self, bodies: &[String], after_ms: i64) -> Result<()> {
        self.plan.call("send", self.inner.queue.send(bodies, after_ms)).await
    }
    async fn receive(&self, max: usize, hide_ms: i64) -> Result<Vec<Message>> {
        self.plan.call("receive", self.inner.queue.receive(max, hide_ms)).await
    }
    async fn delete(&self, receipts: &[String]) -> Result<()> {
        self.plan.call("delete", self.inner.queue.delete(receipts)).await
    }
    async fn release(&self, receipt: &str, after_ms: i64) -> Result<()> {
        self.plan.call("release", self.inner.queue.release(receipt, after_ms)).await
    }
    async fn depth(&self) -> Result<Depth> {
        self.inner.queue.depth().await
    }
    async fn redrive(&self) -> Result<u64> {
        self.inner.queue.redrive().await
    }
}

impl Faulty {
    /// Whether what a job would run is there: its row, or a manifest of rows that name their places in it.
    async fn has_rows(&self, id: &JobId, job: &JobRequest) -> Result<bool> {
        let Some((_, key)) = job.environment.iter().find(|(name, _)| name == "SHEPARD_MANIFEST") else {
            let row = self.inner.table.get(id).await?;
            return Ok(row.is_some_and(|row| row.outcome.is_none() && row.batch.is_none()));
        };
        let manifest = ObjectRef::new("inputs", key);
        let Ok(part) = self.inner.objects.get(&manifest, Range::Suffix(u64::MAX)).await else {
            return Ok(false);
        };
        for (index, record) in (0..).zip(decode_records(&part.bytes[HEADER..]).unwrap()) {
            let Some(record) = record else { continue };
            let place = self.inner.table.get(&record).await?.and_then(|row| row.batch);
            if place != Some(BatchRef { id: id.clone(), index }) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl Compute for Faulty {
    async fn submit(&self, job: &JobRequest) -> Result<String> {
        let id = JobId::parse(&job.environment[0].1).unwrap();
        if !self.has_rows(&id, job).await? {
            self.plan.submitted_without_row.fetch_add(1, Ordering::SeqCst);
        }
        self.plan.call("submit", self.inner.compute.submit(job)).await
    }
    async fn find(&self, name: &str) -> Result<Vec<ComputeJob>> {
        self.plan.call("find", self.inner.compute.find(name)).await
    }
    async fn describe(&self, ids: &[String]) -> Result<Vec<ComputeJob>> {
        self.plan.call("describe", self.inner.compute.describe(ids)).await
    }
    async fn terminate(&self, id: &str, reason: &str) -> Result<()> {
        self.plan.call("terminate", self.inner.compute.terminate(id, reason)).await
    }
}
