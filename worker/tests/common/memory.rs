//! A flock in memory and in a folder: every port a worker uses, with the semantics of the real ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shepard_cloud::error::{CloudError, Kind, Result};
use shepard_cloud::ports::*;
use shepard_model::{JobId, JobRow, ObjectRef, Transition};

/// The whole of it.
#[derive(Default)]
pub struct Memory {
    pub rows: Mutex<BTreeMap<JobId, JobRow>>,
    pub logs: Mutex<BTreeMap<String, Vec<LogLine>>>,
    pub secrets: Mutex<Vec<Secret>>,
    pub objects: PathBuf,
    /// The log takes no lines.
    pub log_full: AtomicBool,
    /// Lines it did not take.
    pub log_refused: AtomicUsize,
    /// Ranges that were read.
    pub ranges: AtomicUsize,
    /// Objects that have bytes and were neither completed nor aborted: parts that a store would keep.
    pub writers: Arc<AtomicUsize>,
    /// No writer has room for more.
    pub stuck: Arc<AtomicBool>,
}

impl Memory {
    fn path(&self, object: &ObjectRef) -> PathBuf {
        // Keys are names here, not paths: a hostile key must reach the worker as it is.
        let hex: String = object.key.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut path = self.objects.join(&object.bucket);
        let mut rest = hex.as_str();
        // Longer than a file's name may be: the beginning is a folder, which no key's file can be called.
        while rest.len() > 200 {
            path.push(format!("{}~", &rest[..200]));
            rest = &rest[200..];
        }
        path.join(rest)
    }

    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> ObjectRef {
        let object = ObjectRef::new(bucket, key);
        let path = self.path(&object);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        object
    }

    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut waiting = vec![(self.objects.join(bucket), String::new())];
        while let Some((dir, start)) = waiting.pop() {
            let Ok(entries) = std::fs::read_dir(dir) else { continue };
            for entry in entries {
                let entry = entry.unwrap();
                let hex = start.clone() + &entry.file_name().into_string().unwrap();
                if let Some(start) = hex.strip_suffix('~') {
                    waiting.push((entry.path(), start.to_owned()));
                    continue;
                }
                let bytes = hex
                    .as_bytes()
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
                keys.push(String::from_utf8(bytes.collect()).unwrap());
            }
        }
        keys.sort();
        keys
    }

    pub fn open(&self, bucket: &str, key: &str) -> std::fs::File {
        std::fs::File::open(self.path(&ObjectRef::new(bucket, key))).unwrap()
    }
}

#[async_trait]
impl Objects for Memory {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta> {
        let found = std::fs::metadata(self.path(object))
            .map_err(|error| CloudError::io("look at", object.to_string(), error))?;
        Ok(ObjectMeta { object: object.clone(), size: found.len(), modified_ms: 0 })
    }

    async fn get(&self, object: &ObjectRef, range: Range) -> Result<Part> {
        let bytes = std::fs::read(self.path(object))
            .map_err(|error| CloudError::io("read", object.to_string(), error))?;
        let (total, length) = (bytes.len() as u64, bytes.len());
        let (start, end) = match range {
            Range::Suffix(wanted) => (length - length.min(wanted as usize), length),
            Range::From { start, length: wanted } => (start as usize, length.min((start + wanted) as usize)),
        };
        self.ranges.fetch_add(1, Ordering::SeqCst);
        // As S3 answers a range that begins behind the end.
        let Some(part) = bytes.get(start..end).filter(|part| !part.is_empty()) else {
            return Err(CloudError::new("read", object.to_string(), Kind::Invalid));
        };
        Ok(Part { bytes: part.to_vec(), start: start as u64, total })
    }

    async fn download(&self, object: &ObjectRef, to: &Path) -> Result<u64> {
        let fail = |error| CloudError::io("download", object.to_string(), error);
        let mut from = std::fs::File::open(self.path(object)).map_err(fail)?;
        let mut to = std::fs::File::create_new(to).map_err(fail)?;
        std::io::copy(&mut from, &mut to).map_err(fail)
    }

    async fn upload(&self, from: &Path, to: &ObjectRef) -> Result<ObjectMeta> {
        let fail = |error| CloudError::io("upload", to.to_string(), error);
        let path = self.path(to);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(from, path).map_err(fail)?;
        self.head(to).await
    }

    async fn begin(&self, to: &ObjectRef) -> Result<Box<dyn Writer>> {
        let path = self.path(to);
        Ok(Box::new(MemoryWriter {
            bytes: Vec::new(),
            to: to.clone(),
            path,
            state: Begun::Open,
            open: self.writers.clone(),
            stuck: self.stuck.clone(),
        }))
    }

    async fn put_new(&self, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
        let path = self.path(object);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match std::fs::File::create_new(path) {
            Ok(mut file) => std::io::Write::write_all(&mut file, bytes).map(|()| true),
            Err(_) => Ok(false),
        }
        .map_err(|error| CloudError::io("write", object.to_string(), error))
    }

    async fn list(&self, bucket: &str, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>> {
        // Two a page, so that whoever forgets the second page is found out.
        let mut keys = self
            .keys(bucket)
            .into_iter()
            .filter(|key| key.starts_with(prefix) && from.is_none_or(|from| key.as_str() > from));
        let page: Vec<String> = keys.by_ref().take(2).collect();
        let next = keys.next().and(page.last().cloned());
        let items = page
            .into_iter()
            .map(|key| ObjectMeta { object: ObjectRef::new(bucket, key), size: 0, modified_ms: 0 })
            .collect();
        Ok(Page { items, next })
    }

    async fn delete(&self, object: &ObjectRef) -> Result<()> {
        let _ = std::fs::remove_file(self.path(object));
        Ok(())
    }
}

/// How far a writer is.
#[derive(PartialEq, Eq)]
enum Begun {
    Open,
    Ready,
    Done,
    Aborted,
}

struct MemoryWriter {
    bytes: Vec<u8>,
    to: ObjectRef,
    path: PathBuf,
    state: Begun,
    open: Arc<AtomicUsize>,
    stuck: Arc<AtomicBool>,
}

impl MemoryWriter {
    fn end(&mut self, state: Begun) {
        if matches!(self.state, Begun::Open | Begun::Ready) && !self.bytes.is_empty() {
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
        self.state = state;
    }

    fn refused<T>(&self) -> Result<T> {
        Err(CloudError::new("write to", self.to.to_string(), Kind::Invalid))
    }
}

#[async_trait]
impl Writer for MemoryWriter {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.state != Begun::Open {
            return self.refused();
        }
        if self.bytes.is_empty() && !bytes.is_empty() {
            self.open.fetch_add(1, Ordering::SeqCst);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    async fn room(&mut self) -> Result<()> {
        while self.stuck.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn ready(&mut self) -> Result<()> {
        match self.state {
            Begun::Open => self.state = Begun::Ready,
            Begun::Aborted => return self.refused(),
            Begun::Ready | Begun::Done => {}
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<ObjectMeta> {
        self.ready().await?;
        if self.state == Begun::Ready {
            std::fs::create_dir_all(self.path.parent().unwrap()).unwrap();
            std::fs::write(&self.path, &self.bytes)
                .map_err(|error| CloudError::io("write", self.to.to_string(), error))?;
            self.end(Begun::Done);
        }
        Ok(ObjectMeta { object: self.to.clone(), size: self.bytes.len() as u64, modified_ms: 0 })
    }

    async fn abort(&mut self) -> Result<()> {
        if self.state != Begun::Done {
            self.end(Begun::Aborted);
        }
        Ok(())
    }
}

#[async_trait]
impl Table for Memory {
    async fn put_new(&self, row: &JobRow) -> Result<Put> {
        self.rows.lock().unwrap().insert(row.id.clone(), row.clone());
        Ok(Put::Created)
    }

    async fn get(&self, id: &JobId) -> Result<Option<JobRow>> {
        Ok(self.rows.lock().unwrap().get(id).cloned())
    }

    async fn apply(&self, id: &JobId, change: &Transition) -> Result<Applied> {
        let mut rows = self.rows.lock().unwrap();
        let Some(row) = rows.get_mut(id) else { return Ok(Applied::Missing) };
        match row.apply(change) {
            Ok(changed) => {
                *row = changed.clone();
                Ok(Applied::Changed(Box::new(changed)))
            }
            Err(why) => Ok(Applied::Refused(why, Box::new(row.clone()))),
        }
    }

    async fn changes(&self, _cursor: Cursor, _limit: usize) -> Result<Changes> {
        Err(unused())
    }

    async fn scan(&self, _from: Option<&str>, _limit: usize) -> Result<Page<JobRow>> {
        Err(unused())
    }
}

#[async_trait]
impl Logs for Memory {
    async fn append(&self, stream: &str, lines: &[LogLine]) -> Result<()> {
        if self.log_full.load(Ordering::SeqCst) {
            self.log_refused.fetch_add(lines.len(), Ordering::SeqCst);
            return Err(CloudError::new("write the log", stream, Kind::Full));
        }
        self.logs.lock().unwrap().entry(stream.to_owned()).or_default().extend_from_slice(lines);
        Ok(())
    }

    async fn read(&self, stream: &str, from: &LogFrom, limit: usize) -> Result<LogPage> {
        let start = match from {
            LogFrom::Token(token) => token.parse().unwrap(),
            _ => 0_usize,
        };
        let logs = self.logs.lock().unwrap();
        let all = logs.get(stream).map(Vec::as_slice).unwrap_or_default();
        let lines: Vec<LogLine> = all.iter().skip(start).take(limit.min(3)).cloned().collect();
        let next = start + lines.len();
        Ok(LogPage { lines, next: next.to_string(), more: next < all.len() })
    }
}

#[async_trait]
impl Secrets for Memory {
    async fn read(&self) -> Result<Vec<Secret>> {
        Ok(self.secrets.lock().unwrap().clone())
    }
    async fn write(&self, _: &[Secret]) -> Result<Written> {
        Err(unused())
    }
}

#[async_trait]
impl Queue for Memory {
    async fn send(&self, _bodies: &[String], _after_ms: i64) -> Result<()> {
        Err(unused())
    }
    async fn receive(&self, _max: usize, _hide_ms: i64) -> Result<Vec<Message>> {
        Err(unused())
    }
    async fn delete(&self, _receipts: &[String]) -> Result<()> {
        Err(unused())
    }
    async fn release(&self, _receipt: &str, _after_ms: i64) -> Result<()> {
        Err(unused())
    }
    async fn depth(&self) -> Result<Depth> {
        Err(unused())
    }
    async fn redrive(&self) -> Result<u64> {
        Err(unused())
    }
}

#[async_trait]
impl Compute for Memory {
    async fn submit(&self, _job: &JobRequest) -> Result<String> {
        Err(unused())
    }
    async fn find(&self, _name: &str) -> Result<Vec<ComputeJob>> {
        Err(unused())
    }
    async fn describe(&self, _ids: &[String]) -> Result<Vec<ComputeJob>> {
        Err(unused())
    }
    async fn terminate(&self, _id: &str, _reason: &str) -> Result<()> {
        Err(unused())
    }
}

/// A worker asks for nothing of this kind.
fn unused() -> CloudError {
    CloudError::new("be asked for this by a worker", "", Kind::Invalid)
}
