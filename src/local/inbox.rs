//! Uploads become messages in the queue, once for each version.
//!
//! A file is an upload when it is whole: it was renamed into the folder (our own puts are), its writer has closed
//! it, or, where nobody saw it come, it has not changed for a while. What is announced is written down in the
//! flock's database together with its message, so a file that is seen again, here or by a later supervisor, is
//! known. It never opens an upload: whether it is any good is the scheduler's to say.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shepard_cloud::ports::ObjectMeta;
use shepard_cloud::{Kind, Result};
use shepard_lambdas::notification;
use shepard_model::ObjectRef;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::arrivals::{Arrivals, Seen};
use super::supervise::Context;
use super::wake::Backoff;

/// How long a file that nobody saw come must not have changed.
const SETTLED: Duration = Duration::from_secs(1);
/// How long a file must not have changed after it was closed: some programs write in two goes.
const CLOSED: Duration = Duration::from_millis(300);
/// How long a file that is being written is left alone for want of its closing.
const WRITING: Duration = Duration::from_secs(30);
/// How often the whole folder is looked through although nothing was seen: not every file system tells.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// And where the system does not let us watch at all.
const LOOK_BLINDLY: Duration = Duration::from_secs(2);
/// Uploads announced in one go.
const AT_ONCE: usize = 256;

struct Waiting {
    due: Instant,
    /// As it was when it was last looked at; None before.
    last: Option<ObjectMeta>,
}

struct Inbox {
    context: Arc<Context>,
    /// Files that are not known to be whole yet, by key.
    waiting: HashMap<String, Waiting>,
    /// Prefixes to look through, and when.
    folders: Vec<(Instant, String)>,
}

/// Announces uploads until `round` ends.
pub(crate) async fn run(context: Arc<Context>, round: CancellationToken) {
    let Ok(folder) = context.dir.bucket(&context.ports.buckets.inputs) else { return };
    // By its real name, which is the one the system will tell: the bucket may be a link to another disk.
    let folder = folder.canonicalize().unwrap_or(folder);
    let mut arrivals = match Arrivals::of(&folder) {
        Ok(arrivals) => Some(arrivals),
        Err(error) => {
            tracing::warn!("cannot watch {}, it is looked through instead: {error}", folder.display());
            None
        }
    };
    let look_every = if arrivals.is_some() { LOOK_EVERY } else { LOOK_BLINDLY };
    // Only now, so that nothing comes between the look and the watch.
    let mut inbox =
        Inbox { context, waiting: HashMap::new(), folders: vec![(Instant::now(), String::new())] };
    let mut look = Instant::now() + look_every;
    let mut backoff = Backoff::default();
    let mut seen = Vec::new();
    while !round.is_cancelled() {
        if arrivals.as_ref().is_some_and(Arrivals::missed) || look <= Instant::now() {
            inbox.folders.push((Instant::now(), String::new()));
            look = Instant::now() + look_every;
        }
        let due = match inbox.turn().await {
            Ok(()) => {
                backoff.reset();
                inbox.due().unwrap_or(look).min(look)
            }
            Err(error) => {
                tracing::warn!("{error}");
                inbox.context.touch();
                Instant::now() + backoff.next()
            }
        };
        tokio::select! {
            () = next(arrivals.as_mut(), &mut seen) => inbox.take(&folder, &mut seen),
            () = tokio::time::sleep_until(due) => {}
            () = round.cancelled() => {}
        }
    }
}

async fn next(arrivals: Option<&mut Arrivals>, seen: &mut Vec<Seen>) {
    match arrivals {
        Some(arrivals) => arrivals.next(seen).await,
        None => std::future::pending().await,
    }
}

/// Whether any upload is there that was not announced. Announces what it finds whole.
pub(crate) async fn has_work(context: &Arc<Context>) -> Result<bool> {
    let mut inbox = Inbox {
        context: Arc::clone(context),
        waiting: HashMap::new(),
        folders: vec![(Instant::now(), String::new())],
    };
    let found = inbox.look_through("").await?;
    Ok(found > 0 || !inbox.waiting.is_empty())
}

impl Inbox {
    fn due(&self) -> Option<Instant> {
        let files = self.waiting.values().map(|waiting| waiting.due);
        files.chain(self.folders.iter().map(|(due, _)| *due)).min()
    }

    fn take(&mut self, folder: &Path, seen: &mut Vec<Seen>) {
        let now = Instant::now();
        for seen in seen.drain(..) {
            let (path, pause) = match &seen {
                Seen::Moved(path) => (path, Duration::ZERO),
                Seen::Closed(path) => (path, CLOSED),
                Seen::Made(path) => (path, SETTLED),
                Seen::Written(path) => (path, WRITING),
            };
            let Some(key) = key_of(folder, path) else { continue };
            if matches!(seen, Seen::Moved(_)) && path.is_dir() {
                // What came into it before it was watched told nobody: look now, and again a little later.
                let prefix = format!("{key}/");
                self.folders.extend([(now, prefix.clone()), (now + SETTLED, prefix)]);
                continue;
            }
            let waiting = self.waiting.entry(key).or_insert(Waiting { due: now + pause, last: None });
            waiting.due = now + pause;
            // It has just been said that it is whole, or that it is not: what was known before is old.
            waiting.last = None;
        }
    }

    async fn turn(&mut self) -> Result<()> {
        let now = Instant::now();
        while let Some(at) = self.folders.iter().position(|(due, _)| *due <= now) {
            let prefix = self.folders[at].1.clone();
            self.look_through(&prefix).await?;
            // Done: the same prefix again at once would find the same.
            self.folders.retain(|(due, other)| *due > now || *other != prefix);
        }
        let due: Vec<String> =
            self.waiting.iter().filter(|(_, file)| file.due <= now).map(|(key, _)| key.clone()).collect();
        for keys in due.chunks(AT_ONCE) {
            let mut whole = Vec::new();
            for key in keys {
                whole.extend(self.look_at(key).await?);
            }
            self.announce(&whole).await?;
            for meta in &whole {
                self.waiting.remove(&meta.object.key);
            }
        }
        Ok(())
    }

    /// The object of a key that is due, if it is whole.
    async fn look_at(&mut self, key: &str) -> Result<Option<ObjectMeta>> {
        let object = ObjectRef::new(self.context.ports.buckets.inputs.clone(), key);
        match self.context.ports.objects.head(&object).await {
            Ok(meta) => {
                let now = Instant::now();
                let Some(waiting) = self.waiting.get_mut(key) else { return Ok(None) };
                let same = waiting.last.as_ref().is_none_or(|last| *last == meta);
                if same {
                    return Ok(Some(meta));
                }
                *waiting = Waiting { due: now + SETTLED, last: Some(meta) };
                Ok(None)
            }
            // Gone again, or no name an object can have.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Invalid) => {
                self.waiting.remove(key);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Looks through all objects under a prefix: announces what has settled, notes the rest. Gives how many were
    /// new.
    async fn look_through(&mut self, prefix: &str) -> Result<usize> {
        let objects = Arc::clone(&self.context.ports.objects);
        let (mut from, mut new) = (None, 0);
        loop {
            let page = objects.list(&self.context.ports.buckets.inputs, prefix, from.as_deref()).await?;
            let before = self.context.ports.clock.now_ms() - i64::try_from(SETTLED.as_millis()).unwrap_or(0);
            let (settled, young): (Vec<_>, Vec<_>) =
                page.items.into_iter().partition(|meta| meta.modified_ms <= before);
            for meta in young {
                let due = Instant::now() + SETTLED;
                let waits = Waiting { due, last: Some(meta.clone()) };
                self.waiting.entry(meta.object.key).or_insert(waits);
            }
            for some in settled.chunks(AT_ONCE) {
                new += self.announce(some).await?;
            }
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok(new),
            }
        }
    }

    async fn announce(&self, whole: &[ObjectMeta]) -> Result<usize> {
        if whole.is_empty() {
            return Ok(0);
        }
        let new = self.context.flock.inbox().announce(whole, notification).await?;
        if new > 0 {
            self.context.touch();
            self.context.wakes.all();
        }
        Ok(new)
    }
}

/// The key of a path below the inputs folder. None for what is hidden, and for what is being put.
fn key_of(folder: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(folder).ok()?;
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    let parts = parts?;
    (!parts.is_empty() && !parts.iter().any(|part| part.starts_with('.'))).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_relative_and_hidden_names_are_none() {
        let key = |path: &str| key_of(Path::new("/f/inputs"), Path::new(path));
        assert_eq!(key("/f/inputs/a b/c.zip").as_deref(), Some("a b/c.zip"));
        for none in ["/f/inputs", "/f/inputs/.shepard-tmp/x", "/f/inputs/a/.x.zip", "/elsewhere/x"] {
            assert_eq!(key(none), None, "{none}");
        }
    }
}
