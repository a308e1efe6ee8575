//! An object that comes piece by piece: a file that grows beside the keys and is renamed to its own at the end.

use std::mem;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Target, Temp, blocking, meta};
use crate::error::{Kind, Result};
use crate::ports::{ObjectMeta, Writer};

/// Bytes gathered before they are written: one change of thread for so many.
const GATHER: usize = 1 << 20;

/// See [`Writer`].
pub(super) struct LocalWriter {
    /// Shared with the thread that writes: a call whose future was dropped ends in its own time.
    shared: Arc<Shared>,
    /// Not yet known to be in the file.
    pending: Arc<Vec<u8>>,
    /// How much of the file is good.
    written: u64,
    stage: Stage,
}

struct Shared {
    target: Target,
    temp: std::sync::Mutex<Option<Temp>>,
}

enum Stage {
    Open,
    Ready,
    Done(ObjectMeta),
    Aborted,
}

impl LocalWriter {
    pub(super) fn begin(target: Target, sweep: bool) -> Result<Self> {
        target.place()?;
        let temp = std::sync::Mutex::new(Some(target.temp(sweep)?));
        let shared = Arc::new(Shared { target, temp });
        Ok(Self { shared, pending: Arc::default(), written: 0, stage: Stage::Open })
    }

    fn refused<T>(&self, why: &'static str) -> Result<T> {
        Err(self.shared.target.fail(Kind::Invalid).because(why))
    }

    /// Writes what was gathered, at its place: written twice, it is the same.
    async fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let (shared, bytes, at) = (Arc::clone(&self.shared), Arc::clone(&self.pending), self.written);
        blocking(self.shared.target.operation, move || shared.write(&bytes, at)).await?;
        self.written += self.pending.len() as u64;
        match Arc::get_mut(&mut self.pending) {
            Some(pending) => pending.clear(),
            None => self.pending = Arc::default(),
        }
        Ok(())
    }
}

impl Shared {
    fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        match &*self.lock() {
            Some(temp) => temp.file.write_all_at(bytes, at).map_err(|error| self.target.io(error)),
            None => Err(self.target.fail(Kind::Invalid).because("the upload was given up")),
        }
    }

    fn complete(&self) -> Result<ObjectMeta> {
        let mut held = self.lock();
        let Some(temp) = &mut *held else {
            return Err(self.target.fail(Kind::Invalid).because("the upload was given up"));
        };
        // Kept: an earlier call came as far as this, and nobody waited for its answer.
        if !temp.kept {
            self.target.put(temp, &self.target.place()?)?;
        }
        let stat = rustix::fs::fstat(&temp.file).map_err(|error| self.target.io(error))?;
        Ok(meta(&self.target.object, &stat))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Temp>> {
        // A poisoned lock only means that another thread panicked while it wrote; what it wrote is written again.
        self.temp.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Writer for LocalWriter {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if !matches!(self.stage, Stage::Open) {
            return self.refused("the object is ready and takes no more");
        }
        // Copied where an abandoned call still writes the others.
        Arc::make_mut(&mut self.pending).extend_from_slice(bytes);
        Ok(())
    }

    async fn room(&mut self) -> Result<()> {
        if self.pending.len() < GATHER { Ok(()) } else { self.flush().await }
    }

    async fn ready(&mut self) -> Result<()> {
        match self.stage {
            Stage::Open => {
                self.flush().await?;
                self.pending = Arc::default();
                self.stage = Stage::Ready;
                Ok(())
            }
            Stage::Aborted => self.refused("the upload was given up"),
            Stage::Ready | Stage::Done(_) => Ok(()),
        }
    }

    async fn complete(&mut self) -> Result<ObjectMeta> {
        self.ready().await?;
        if let Stage::Done(meta) = &self.stage {
            return Ok(meta.clone());
        }
        let shared = Arc::clone(&self.shared);
        let meta = blocking(self.shared.target.operation, move || shared.complete()).await?;
        self.stage = Stage::Done(meta.clone());
        Ok(meta)
    }

    async fn abort(&mut self) -> Result<()> {
        if let Stage::Done(_) = self.stage {
            return Ok(());
        }
        self.stage = Stage::Aborted;
        let shared = Arc::clone(&self.shared);
        // Dropped where blocking is allowed: an abandoned write may hold the lock, and the file is removed.
        blocking(self.shared.target.operation, move || {
            drop(mem::take(&mut *shared.lock()));
            Ok(())
        })
        .await
    }
}
