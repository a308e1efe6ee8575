//! Ports that fail, lose a reply or hang at the k-th call.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use shepard_cloud::error::{CloudError, Kind, Result};
use shepard_cloud::ports::*;
use shepard_model::{JobId, JobRow, ObjectRef, Transition};

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It is not done.
    Before(Kind),
    /// It is done, and the reply says that it is not.
    After(Kind),
    /// It is not done, and there is no reply.
    HangBefore,
    /// It is done, and there is no reply.
    HangAfter,
}

/// Counts calls and knows which is hit.
pub struct Gate {
    calls: AtomicUsize,
    at: usize,
    fault: Fault,
    hung: tokio::sync::Notify,
}

impl Gate {
    pub fn new(at: usize, fault: Fault) -> Arc<Self> {
        Arc::new(Self { calls: AtomicUsize::new(0), at, fault, hung: tokio::sync::Notify::new() })
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The call that hangs has been reached.
    pub async fn hung(&self) {
        self.hung.notified().await;
    }

    async fn pass<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let hit = self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.at;
        let fault = if hit { self.fault } else { Fault::None };
        let error = |kind| Err(CloudError::new("pass", "the gate", kind));
        match fault {
            Fault::None => call.await,
            Fault::Before(kind) => error(kind),
            Fault::After(kind) => {
                let _ = call.await;
                error(kind)
            }
            Fault::HangBefore => {
                self.hung.notify_one();
                std::future::pending().await
            }
            Fault::HangAfter => {
                let _ = call.await;
                self.hung.notify_one();
                std::future::pending().await
            }
        }
    }
}

/// The same ports behind a gate.
pub fn gated(ports: &Ports, gate: &Arc<Gate>) -> Ports {
    let gated = Arc::new(Gated { inner: ports.clone(), gate: Arc::clone(gate) });
    Ports {
        objects: gated.clone(),
        table: gated.clone(),
        logs: gated.clone(),
        secrets: gated,
        ..ports.clone()
    }
}

struct Gated {
    inner: Ports,
    gate: Arc<Gate>,
}

#[async_trait]
impl Objects for Gated {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta> {
        self.gate.pass(self.inner.objects.head(object)).await
    }
    async fn get(&self, object: &ObjectRef, range: Range) -> Result<Part> {
        self.gate.pass(self.inner.objects.get(object, range)).await
    }
    async fn download(&self, object: &ObjectRef, to: &Path) -> Result<u64> {
        self.gate.pass(self.inner.objects.download(object, to)).await
    }
    async fn upload(&self, from: &Path, to: &ObjectRef) -> Result<ObjectMeta> {
        self.gate.pass(self.inner.objects.upload(from, to)).await
    }
    async fn begin(&self, to: &ObjectRef) -> Result<Box<dyn Writer>> {
        let inner = self.gate.pass(self.inner.objects.begin(to)).await?;
        Ok(Box::new(GatedWriter { inner, gate: Arc::clone(&self.gate) }))
    }
    async fn put_new(&self, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
        self.gate.pass(self.inner.objects.put_new(object, bytes)).await
    }
    async fn list(&self, bucket: &str, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>> {
        self.gate.pass(self.inner.objects.list(bucket, prefix, from)).await
    }
    async fn delete(&self, object: &ObjectRef) -> Result<()> {
        self.gate.pass(self.inner.objects.delete(object)).await
    }
}

struct GatedWriter {
    inner: Box<dyn Writer>,
    gate: Arc<Gate>,
}

#[async_trait]
impl Writer for GatedWriter {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.put(bytes)
    }
    async fn room(&mut self) -> Result<()> {
        self.gate.pass(self.inner.room()).await
    }
    async fn ready(&mut self) -> Result<()> {
        self.gate.pass(self.inner.ready()).await
    }
    async fn complete(&mut self) -> Result<ObjectMeta> {
        self.gate.pass(self.inner.complete()).await
    }
    async fn abort(&mut self) -> Result<()> {
        self.gate.pass(self.inner.abort()).await
    }
}

#[async_trait]
impl Table for Gated {
    async fn put_new(&self, row: &JobRow) -> Result<Put> {
        self.gate.pass(self.inner.table.put_new(row)).await
    }
    async fn get(&self, id: &JobId) -> Result<Option<JobRow>> {
        self.gate.pass(self.inner.table.get(id)).await
    }
    async fn apply(&self, id: &JobId, change: &Transition) -> Result<Applied> {
        self.gate.pass(self.inner.table.apply(id, change)).await
    }
    async fn changes(&self, cursor: Cursor, limit: usize) -> Result<Changes> {
        self.gate.pass(self.inner.table.changes(cursor, limit)).await
    }
    async fn scan(&self, from: Option<&str>, limit: usize) -> Result<Page<JobRow>> {
        self.gate.pass(self.inner.table.scan(from, limit)).await
    }
}

#[async_trait]
impl Logs for Gated {
    async fn append(&self, stream: &str, lines: &[LogLine]) -> Result<()> {
        self.gate.pass(self.inner.logs.append(stream, lines)).await
    }
    async fn read(&self, stream: &str, from: &LogFrom, limit: usize) -> Result<LogPage> {
        self.gate.pass(self.inner.logs.read(stream, from, limit)).await
    }
}

#[async_trait]
impl Secrets for Gated {
    async fn read(&self) -> Result<Vec<Secret>> {
        self.gate.pass(self.inner.secrets.read()).await
    }
    async fn write(&self, secrets: &[Secret]) -> Result<Written> {
        self.gate.pass(self.inner.secrets.write(secrets)).await
    }
}
