//! "Something in this flock's database or inputs has changed": a wake, and nothing about what it was.
//!
//! The kernel tells of writes by any process; reads, logs and uploads still under way wake nobody. Bursts become
//! one wake. Every two seconds the database's files are looked at as well, because some file systems tell nothing;
//! that look is three calls and wakes only where something differs. Never reads the database or a bucket.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::FlockDir;

/// How often to look without having been told.
const TICK: Duration = Duration::from_secs(2);

/// The uploads bucket and where its uploads grow, as `FlockDir` and the objects name them.
const INPUTS: &str = "inputs";
const TEMP: &str = ".shepard-tmp";

/// Wakes whoever waits when a flock has changed.
pub struct Watch {
    folder: PathBuf,
    every: Duration,
    wakes: Receiver<()>,
    waker: Sender<()>,
    /// None where the kernel cannot tell us; then every tick is a wake.
    watcher: Option<RecommendedWatcher>,
    /// Set when a folder that was watched has gone: it must be watched anew.
    lost: Arc<AtomicBool>,
    tick: Option<Interval>,
    /// What the last tick saw; None after a wake, whose changes it cannot tell from later ones.
    seen: Option<Fingerprint>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Watch {
    /// Watches a flock from now on. Looks at every folder of the inputs and blocks for as long as that takes, about
    /// half a second for a hundred thousand files. Where the kernel cannot watch, [`Watch::changed`] returns every two
    /// seconds instead.
    pub fn new(dir: &FlockDir) -> Self {
        Self::every(dir, TICK)
    }

    fn every(dir: &FlockDir, every: Duration) -> Self {
        // One wake is as good as ten: when the channel is full there is a wake to come, and the new one is dropped.
        let (waker, wakes) = channel(1);
        let lost = Arc::new(AtomicBool::new(false));
        let folder = dir.path().to_owned();
        let watcher = start(&folder, waker.clone(), Arc::clone(&lost));
        Self { folder, every, wakes, waker, watcher, lost, tick: None, seen: None }
    }

    /// Returns when something has changed since the last return; may return when nothing has, never too rarely.
    /// May be dropped and called again without missing anything.
    pub async fn changed(&mut self) {
        let every = self.every;
        loop {
            let tick = self.tick.get_or_insert_with(|| {
                let mut tick = interval_at(Instant::now() + every, every);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                tick
            });
            tokio::select! {
                biased;
                _ = self.wakes.recv() => {
                    // Nothing is awaited from here on, so that dropping the future cannot lose the wake.
                    self.seen = None;
                    return;
                }
                _ = tick.tick() => {}
            }
            if self.watcher.is_none() || self.lost.load(Ordering::Relaxed) {
                self.restart().await;
                return;
            }
            let folder = self.folder.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || Fingerprint::of(&folder)).await else { return };
            if self.seen.replace(now) != Some(now) {
                return;
            }
        }
    }

    async fn restart(&mut self) {
        let (folder, waker, lost) = (self.folder.clone(), self.waker.clone(), Arc::clone(&self.lost));
        let started = tokio::task::spawn_blocking(move || {
            lost.store(false, Ordering::Relaxed);
            start(&folder, waker, lost)
        });
        self.watcher = started.await.ok().flatten();
    }
}

/// Has the kernel tell of changes in a flock's folder; None, and a line in the log, where it cannot.
fn start(folder: &Path, waker: Sender<()>, lost: Arc<AtomicBool>) -> Option<RecommendedWatcher> {
    let watched = watch(folder, move |event, interest| {
        if interest.ends_with(&event) {
            lost.store(true, Ordering::Relaxed);
        }
        // Full means that a wake is to come already; closed, that nobody waits.
        waker.try_send(()).ok();
    });
    watched.inspect_err(|error| tracing::warn!(%error, "a flock's folder cannot be watched; polling it")).ok()
}

fn watch(
    folder: &Path,
    mut on_change: impl FnMut(Event, &Interest) + Send + 'static,
) -> notify::Result<RecommendedWatcher> {
    // As the kernel will name them. The bucket may be a link to another disk; links inside it are not followed.
    let folder = folder.canonicalize()?;
    let inputs = folder.join(INPUTS).canonicalize()?;
    let interest = Interest { folder: folder.clone(), inputs: inputs.clone() };
    let handler = move |event: notify::Result<Event>| match event {
        Ok(event) if interest.concerns(&event) => on_change(event, &interest),
        Ok(_) => {}
        // What was missed is unknown, so it counts as a change.
        Err(error) => on_change(Event::new(EventKind::Other).set_info(&error.to_string()), &interest),
    };
    let mut watcher = RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    watcher.watch(&inputs, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// What of a flock's folder is watched for.
struct Interest {
    folder: PathBuf,
    inputs: PathBuf,
}

impl Interest {
    fn concerns(&self, event: &Event) -> bool {
        // Without a path it is the kernel's word that its queue ran over.
        event.paths.is_empty() || event.paths.iter().any(|path| self.concerns_path(event.kind, path))
    }

    fn concerns_path(&self, kind: EventKind, path: &Path) -> bool {
        let came_or_went = matches!(
            kind,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        );
        if let Ok(key) = path.strip_prefix(&self.inputs) {
            // A file that grows is news when its writer closes it, not at every block; a new time is a new version.
            let written = matches!(
                kind,
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                    | EventKind::Modify(ModifyKind::Metadata(_))
            );
            return !key.starts_with(TEMP) && (came_or_went || written);
        }
        if path.parent() == Some(&self.folder) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            // The `-shm` file holds readers' marks. A reader opens the others for writing and may set their owner, so
            // that its close and its chown say nothing either.
            let written = matches!(kind, EventKind::Modify(ModifyKind::Data(_)));
            return name.starts_with("state.db") && name != "state.db-shm" && (came_or_went || written);
        }
        path == self.folder && came_or_went
    }

    /// Whether one of the watched folders is gone or has another name now.
    fn ends_with(&self, event: &Event) -> bool {
        let gone = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        gone && event.paths.iter().any(|path| *path == self.inputs || *path == self.folder)
    }
}

/// The database's files and the inputs folder, as far as a look from outside tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint([Option<(i64, i64, u64, u64)>; 3]);

impl Fingerprint {
    fn of(folder: &Path) -> Self {
        Self(["state.db", "state.db-wal", INPUTS].map(|name| {
            let meta = fs::metadata(folder.join(name)).ok()?;
            Some((meta.mtime(), meta.mtime_nsec(), meta.len(), meta.ino()))
        }))
    }
}

#[cfg(test)]
mod tests;
