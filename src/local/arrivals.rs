//! What the operating system tells about the inputs folder, reduced to what an inbox wants to know.
//!
//! It never reads a file: it passes on names and what was seen to happen to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// Names between the watcher's thread and the inbox. Full, further names are dropped and the whole folder is
/// looked through instead.
const NAMES: usize = 4096;

/// What was seen of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Renamed to this: whole, and whatever it is, a file or a folder.
    Moved(PathBuf),
    /// Whoever wrote it has closed it.
    Closed(PathBuf),
    /// It is there; nothing is known of its content.
    Made(PathBuf),
    /// It is being written.
    Written(PathBuf),
}

/// The stream of what is seen.
pub(crate) struct Arrivals {
    names: mpsc::Receiver<Seen>,
    missed: Arc<AtomicBool>,
    // Dropped, it stops watching.
    _watcher: RecommendedWatcher,
}

impl Arrivals {
    /// Begins to watch a folder and everything below it.
    ///
    /// # Errors
    /// The system's own, for instance that it watches too much already.
    pub(crate) fn of(folder: &Path) -> notify::Result<Self> {
        let (sender, names) = mpsc::channel(NAMES);
        let missed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&missed);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => flag.store(true, Ordering::Release),
            Ok(event) => {
                for seen in read(event) {
                    if sender.try_send(seen).is_err() {
                        flag.store(true, Ordering::Release);
                    }
                }
            }
            Err(_) => flag.store(true, Ordering::Release),
        })?;
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(Self { names, missed, _watcher: watcher })
    }

    /// Waits for the next names and adds them to `seen`. May be dropped at any time.
    pub(crate) async fn next(&mut self, seen: &mut Vec<Seen>) {
        if self.names.recv_many(seen, 256).await == 0 {
            // The watcher's thread is gone; whoever waits has its slow look-through left.
            std::future::pending::<()>().await;
        }
    }

    /// Whether something was missed since it was last asked.
    pub(crate) fn missed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }
}

fn read(event: Event) -> Vec<Seen> {
    let EventKind::Modify(ModifyKind::Name(mode)) = event.kind else {
        let what = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Seen::Closed,
            EventKind::Create(CreateKind::Folder) => Seen::Moved,
            EventKind::Create(_) => Seen::Made,
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => Seen::Written,
            _ => return Vec::new(),
        };
        return event.paths.into_iter().map(what).collect();
    };
    match mode {
        RenameMode::To | RenameMode::Any => event.paths.into_iter().map(Seen::Moved).collect(),
        // From and to in one: it follows the two single ones and says nothing new.
        RenameMode::Both | RenameMode::From | RenameMode::Other => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until(arrivals: &mut Arrivals, wanted: &Seen) -> Vec<Seen> {
        let mut all = Vec::new();
        while !all.contains(wanted) {
            arrivals.next(&mut all).await;
        }
        all
    }

    #[tokio::test]
    async fn a_rename_a_close_and_a_folder_are_told_apart() {
        let dir = tempfile::tempdir().expect("dir");
        let folder = dir.path().join("in");
        std::fs::create_dir(&folder).expect("folder");
        let mut arrivals = Arrivals::of(&folder).expect("watch");
        std::fs::write(dir.path().join("outside"), "x").expect("write");
        std::fs::rename(dir.path().join("outside"), folder.join("moved")).expect("rename");
        assert_eq!(
            until(&mut arrivals, &Seen::Moved(folder.join("moved"))).await,
            [Seen::Moved(folder.join("moved"))]
        );
        std::fs::write(folder.join("written"), "x").expect("write");
        let all = until(&mut arrivals, &Seen::Closed(folder.join("written"))).await;
        assert_eq!(all.first(), Some(&Seen::Made(folder.join("written"))));
        std::fs::create_dir(folder.join("sub")).expect("folder");
        until(&mut arrivals, &Seen::Moved(folder.join("sub"))).await;
        assert!(!arrivals.missed());
    }
}
