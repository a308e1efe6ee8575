//! The ports over plain maps, for tests that need thousands of small worlds: a SQLite file for each would take
//! minutes. It keeps the ports' promises and no others: it delivers at least once, and submitting a name twice
//! makes two jobs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use shepard_cloud::ports::{
    Applied, Buckets, Changes, Clock, Compute, ComputeDetail, ComputeJob, ComputeState, Cursor, Depth,
    JobRequest, LogFrom, LogPage, Logs, Message, ObjectMeta, Objects, Page, Part, Put, Queue, Range, Secret,
    Secrets, Table, Writer, Written,
};
use shepard_cloud::{CloudError, Kind, Ports, Result};
use shepard_model::log::LogLine;
use shepard_model::{JobId, JobRow, ObjectRef, Transition};

/// A job that was submitted.
#[derive(Debug, Clone)]
pub struct Submitted {
    pub id: String,
    pub request: JobRequest,
    pub state: ComputeState,
    pub reason: Option<String>,
    pub terminated: bool,
}

/// A message that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub number: u64,
    pub body: String,
    pub visible_ms: i64,
    pub deliveries: u32,
}

/// Everything there is.
#[derive(Debug, Default)]
pub struct World {
    pub objects: BTreeMap<(String, String), Vec<u8>>,
    /// When objects were written, where that is not at 0.
    pub modified: BTreeMap<(String, String), i64>,
    pub rows: Vec<JobRow>,
    /// The inputs bucket gives no versions.
    pub unversioned: bool,
    pub jobs: Vec<Submitted>,
    /// Children of array jobs that do not stand where the array does.
    pub children: BTreeMap<String, ComputeState>,
    pub queue: Vec<Waiting>,
    pub dead: Vec<String>,
    pub now_ms: i64,
    /// How often a message is delivered before it is given up; 0 is [`MAX_DELIVERIES`].
    pub max_deliveries: u32,
    sent: u64,
}

/// Objects a page: few, so that tests turn pages.
const LISTED: usize = 3;

/// How often a message is delivered before it is given up.
pub const MAX_DELIVERIES: u32 = 12;

/// A handle on a world.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<World>>);

impl Memory {
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub fn ports(&self) -> Ports {
        let this = Arc::new(self.clone());
        Ports {
            buckets: Buckets {
                inputs: "inputs".into(),
                outputs: "outputs".into(),
                quick_deploy: "quick_deploy".into(),
                errors: "errors".into(),
            },
            objects: this.clone(),
            table: this.clone(),
            queue: this.clone(),
            compute: this.clone(),
            logs: this.clone(),
            secrets: this.clone(),
            clock: this,
        }
    }

    /// Puts an object; gives its description.
    pub fn put(&self, key: &str, bytes: Vec<u8>) -> ObjectMeta {
        let size = bytes.len() as u64;
        let mut world = self.world();
        let (at, modified_ms) = (("inputs".to_owned(), key.to_owned()), world.now_ms);
        world.objects.insert(at.clone(), bytes);
        world.modified.insert(at, modified_ms);
        ObjectMeta { object: ObjectRef::new("inputs", key).at("v1"), size, modified_ms }
    }

    pub fn row(&self, id: &JobId) -> Option<JobRow> {
        self.world().rows.iter().find(|row| row.id == *id).cloned()
    }
}

fn no<T>(operation: &'static str, target: &(impl ToString + ?Sized), kind: Kind) -> Result<T> {
    Err(CloudError::new(operation, target.to_string(), kind))
}

#[async_trait]
impl Objects for Memory {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta> {
        let world = self.world();
        let at = (object.bucket.clone(), object.key.clone());
        let Some(bytes) = world.objects.get(&at) else { return no("head", object, Kind::NotFound) };
        let modified_ms = world.modified.get(&at).copied().unwrap_or_default();
        let mut object = ObjectRef::new(&object.bucket, &object.key);
        object.version = (!world.unversioned).then(|| "v1".to_owned());
        Ok(ObjectMeta { object, size: bytes.len() as u64, modified_ms })
    }
    async fn get(&self, object: &ObjectRef, range: Range) -> Result<Part> {
        let world = self.world();
        let Some(bytes) = world.objects.get(&(object.bucket.clone(), object.key.clone())) else {
            return no("read", object, Kind::NotFound);
        };
        let total = bytes.len();
        let (start, end) = match range {
            Range::Suffix(length) => (total - (length as usize).min(total), total),
            Range::From { start, length } => (start as usize, total.min((start + length) as usize)),
        };
        Ok(Part { bytes: bytes[start..end].to_vec(), start: start as u64, total: total as u64 })
    }
    async fn download(&self, object: &ObjectRef, _: &Path) -> Result<u64> {
        no("download", object, Kind::Other)
    }
    async fn upload(&self, _: &Path, to: &ObjectRef) -> Result<ObjectMeta> {
        no("upload", to, Kind::Other)
    }
    async fn begin(&self, to: &ObjectRef) -> Result<Box<dyn Writer>> {
        no("begin an upload", to, Kind::Other)
    }
    async fn put_new(&self, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
        let mut world = self.world();
        let key = (object.bucket.clone(), object.key.clone());
        let free = !world.objects.contains_key(&key);
        if free {
            let now_ms = world.now_ms;
            world.objects.insert(key.clone(), bytes.to_vec());
            world.modified.insert(key, now_ms);
        }
        Ok(free)
    }
    async fn list(&self, bucket: &str, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>> {
        let world = self.world();
        let mut found = world.objects.iter().filter(|((known, key), _)| {
            known == bucket && key.starts_with(prefix) && from.is_none_or(|from| key.as_str() > from)
        });
        // Without versions, as S3 lists.
        let meta = |(at, bytes): (&(String, String), &Vec<u8>)| {
            let modified_ms = world.modified.get(at).copied().unwrap_or_default();
            ObjectMeta { object: ObjectRef::new(&at.0, &at.1), size: bytes.len() as u64, modified_ms }
        };
        let items: Vec<_> = found.by_ref().take(LISTED).map(meta).collect();
        let next = items.last().filter(|_| found.next().is_some()).map(|last| last.object.key.clone());
        Ok(Page { items, next })
    }
    async fn delete(&self, object: &ObjectRef) -> Result<()> {
        no("delete", object, Kind::Other)
    }
}

#[async_trait]
impl Table for Memory {
    async fn put_new(&self, row: &JobRow) -> Result<Put> {
        if let Some(known) = self.row(&row.id) {
            return Ok(Put::Exists(Box::new(known)));
        }
        self.world().rows.push(row.clone());
        Ok(Put::Created)
    }
    async fn get(&self, id: &JobId) -> Result<Option<JobRow>> {
        Ok(self.row(id))
    }
    async fn apply(&self, id: &JobId, change: &Transition) -> Result<Applied> {
        let mut world = self.world();
        let Some(row) = world.rows.iter_mut().find(|row| row.id == *id) else { return Ok(Applied::Missing) };
        Ok(match row.apply(change) {
            Ok(changed) => {
                *row = changed.clone();
                Applied::Changed(Box::new(changed))
            }
            Err(refused) => Applied::Refused(refused, Box::new(row.clone())),
        })
    }
    async fn changes(&self, _: Cursor, _: usize) -> Result<Changes> {
        no("follow", "", Kind::Other)
    }
    async fn scan(&self, from: Option<&str>, limit: usize) -> Result<Page<JobRow>> {
        let world = self.world();
        let start: usize = from.map_or(0, |from| from.parse().unwrap());
        let items: Vec<_> = world.rows.iter().skip(start).take(limit).cloned().collect();
        let end = start + items.len();
        Ok(Page { items, next: (end < world.rows.len()).then(|| end.to_string()) })
    }
}

#[async_trait]
impl Queue for Memory {
    async fn send(&self, bodies: &[String], after_ms: i64) -> Result<()> {
        let mut world = self.world();
        let visible_ms = if after_ms > 0 { world.now_ms + after_ms } else { 0 };
        for body in bodies {
            world.sent += 1;
            let waiting = Waiting { number: world.sent, body: body.clone(), visible_ms, deliveries: 0 };
            world.queue.push(waiting);
        }
        Ok(())
    }
    async fn receive(&self, max: usize, hide_ms: i64) -> Result<Vec<Message>> {
        let mut world = self.world();
        let now_ms = world.now_ms;
        let most = if world.max_deliveries > 0 { world.max_deliveries } else { MAX_DELIVERIES };
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut world.queue)
            .into_iter()
            .partition(|one| one.visible_ms <= now_ms && one.deliveries >= most);
        world.dead.extend(gone.into_iter().map(|one| one.body));
        world.queue = kept;
        let visible = world.queue.iter_mut().filter(|one| one.visible_ms <= now_ms).take(max);
        Ok(visible
            .map(|one| {
                one.visible_ms = now_ms + hide_ms;
                one.deliveries += 1;
                let receipt = format!("{}/{}", one.number, one.deliveries);
                Message { receipt, body: one.body.clone(), deliveries: one.deliveries }
            })
            .collect())
    }
    async fn delete(&self, receipts: &[String]) -> Result<()> {
        self.world().queue.retain(|one| !receipts.contains(&format!("{}/{}", one.number, one.deliveries)));
        Ok(())
    }
    async fn release(&self, receipt: &str, after_ms: i64) -> Result<()> {
        let mut world = self.world();
        let now_ms = world.now_ms;
        let held = world.queue.iter_mut().find(|one| format!("{}/{}", one.number, one.deliveries) == receipt);
        held.into_iter().for_each(|one| one.visible_ms = now_ms + after_ms);
        Ok(())
    }
    async fn depth(&self) -> Result<Depth> {
        no("measure", "", Kind::Other)
    }
    async fn redrive(&self) -> Result<u64> {
        no("redrive", "", Kind::Other)
    }
}

#[async_trait]
impl Compute for Memory {
    async fn submit(&self, job: &JobRequest) -> Result<String> {
        let mut world = self.world();
        world.sent += 1;
        let id = format!("job-{}", world.sent);
        let (request, state) = (job.clone(), ComputeState::Runnable);
        world.jobs.push(Submitted { id: id.clone(), request, state, reason: None, terminated: false });
        Ok(id)
    }
    async fn find(&self, name: &str) -> Result<Vec<ComputeJob>> {
        Ok(self.world().jobs.iter().rev().filter(|job| job.request.name == name).map(seen).collect())
    }
    async fn describe(&self, ids: &[String]) -> Result<Vec<ComputeJob>> {
        let world = self.world();
        let children = ids.iter().filter_map(|id| {
            let (array, index) = id.split_once(':')?;
            let job = world.jobs.iter().find(|job| job.id == array)?;
            let there = index.parse::<u32>().is_ok_and(|index| index < job.request.children);
            let state = world.children.get(id).copied().unwrap_or(job.state);
            there.then(|| ComputeJob { id: id.clone(), state, ..seen(job) })
        });
        Ok(world.jobs.iter().filter(|job| ids.contains(&job.id)).map(seen).chain(children).collect())
    }
    async fn terminate(&self, id: &str, reason: &str) -> Result<()> {
        for job in self.world().jobs.iter_mut().filter(|job| job.id == id) {
            (job.terminated, job.state, job.reason) = (true, ComputeState::Failed, Some(reason.to_owned()));
        }
        Ok(())
    }
}

fn seen(job: &Submitted) -> ComputeJob {
    let (id, name) = (job.id.clone(), job.request.name.clone());
    ComputeJob {
        id,
        name,
        state: job.state,
        reason: job.reason.clone(),
        attempts: 1,
        detail: ComputeDetail::default(),
    }
}

#[async_trait]
impl Logs for Memory {
    async fn append(&self, stream: &str, _: &[LogLine]) -> Result<()> {
        no("append to", stream, Kind::Other)
    }
    async fn read(&self, stream: &str, _: &LogFrom, _: usize) -> Result<LogPage> {
        no("read", stream, Kind::Other)
    }
}

#[async_trait]
impl Secrets for Memory {
    async fn read(&self) -> Result<Vec<Secret>> {
        no("read secrets", "", Kind::Other)
    }
    async fn write(&self, _: &[Secret]) -> Result<Written> {
        no("replace secrets", "", Kind::Other)
    }
}

#[async_trait]
impl Clock for Memory {
    fn now_ms(&self) -> i64 {
        self.world().now_ms
    }
    async fn sleep_ms(&self, duration_ms: u64) {
        self.world().now_ms += duration_ms as i64;
    }
}
