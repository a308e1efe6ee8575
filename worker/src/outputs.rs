//! Zips to the outputs and errors buckets, under the contract's names.
//!
//! A zip is made while it is sent; none lies on a disk. The keys of a job's results appear only when all of them are in
//! the store, and all of them or none: what a worker that dies in between has left, the next attempt finds as
//! [`orphans`]. Parts of an upload that nobody completed are thrown away at once, or by the store in its own time where
//! the worker died.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shepard_cloud::CloudError;
use shepard_cloud::ports::{Clock, LogFrom, LogSource, ObjectMeta, Ports, Writer};
use shepard_model::names::{self, Filesystem};
use shepard_model::{JobRow, ObjectRef, status};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::archive::{self, ArchiveError, Source, Written};
use crate::fetch::Trouble;
use crate::log::Log;
use crate::place::Dirs;
use crate::row::{Patience, patiently};

/// Lines read from the log at a time for a failure's artefact.
const LOG_PAGE: usize = 1_000;
/// Pages of the log between its reader and the zip. Full, the reader waits.
const LOG_PAGES: usize = 2;
/// Bytes of a zip that go from the thread that makes it to the upload at a time.
const CHUNK: usize = 256 << 10;
/// Chunks between the two: a quarter of a part. Full, the making of the zip waits.
const CHUNKS: usize = 8;
/// Between two lines of the log that say how far an upload is, in milliseconds.
const SAY_MS: i64 = 30_000;

/// Why results are not put.
#[derive(Debug)]
pub enum Unput {
    /// Somebody wanted the attempt stopped.
    Halted,
    /// Something failed: a sentence for the row.
    Trouble(Trouble),
}

impl From<Trouble> for Unput {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// A result on its way.
struct Upload {
    to: ObjectRef,
    writer: Mutex<Box<dyn Writer>>,
    /// Its key may have appeared.
    touched: bool,
}

/// Puts the outputs of every filesystem, each in a zip of its own, in the order of `dirs`; one whose output directory is
/// empty has none. On an error, and when `halt` is cancelled, none of them is left.
///
/// # Errors
/// See [`Unput`].
pub async fn put_all(
    ports: &Ports,
    row: &JobRow,
    dirs: &[Dirs],
    log: &Log,
    halt: &CancellationToken,
) -> Result<Vec<ObjectRef>, Unput> {
    let mut uploads = Vec::new();
    let all = async {
        stream_all(ports, row, dirs, log, &mut uploads).await?;
        complete_all(ports, &mut uploads).await.map_err(Unput::from)
    };
    let outcome = tokio::select! {
        biased;
        () = halt.cancelled() => Err(Unput::Halted),
        done = all => done,
    };
    if outcome.is_err() {
        undo(ports, uploads).await;
    }
    outcome
}

/// Sends everything; nothing shows yet.
async fn stream_all(
    ports: &Ports,
    row: &JobRow,
    dirs: &[Dirs],
    log: &Log,
    uploads: &mut Vec<Upload>,
) -> Result<(), Trouble> {
    for one in dirs {
        let key = result_key(row, one.filesystem, row.start_time_s.unwrap_or_default());
        let to = ObjectRef::new(ports.buckets.outputs.clone(), key);
        let doing = format!("putting the results to {to}");
        let sources = vec![Source::Tree { dir: one.output.clone(), prefix: "" }];
        uploads.push(begin(ports, to, &doing).await?);
        let Some(upload) = uploads.last() else { continue };
        let written = stream(ports, &upload.writer, sources, log, &doing).await;
        let written = written.map_err(|unsent| match unsent {
            Unsent::Archive(error) => output_trouble(one.filesystem, &error),
            Unsent::Store(error) => Trouble::cloud(&doing, &error),
        })?;
        report(log, &written).await;
        if written.entries == 0
            && let Some(empty) = uploads.pop()
        {
            abort(ports, &empty).await;
        }
    }
    Ok(())
}

/// Gives the results their keys, in order.
async fn complete_all(ports: &Ports, uploads: &mut [Upload]) -> Result<Vec<ObjectRef>, Trouble> {
    let mut put = Vec::new();
    for upload in uploads {
        // Before it is asked for: the answer may be lost.
        upload.touched = true;
        let meta = complete(ports, &upload.writer)
            .await
            .map_err(|error| Trouble::cloud(&format!("putting the results to {}", upload.to), &error))?;
        put.push(meta.object);
    }
    Ok(put)
}

/// Throws away what was sent, and takes away what may have appeared, as far as that is possible.
async fn undo(ports: &Ports, uploads: Vec<Upload>) {
    for upload in &uploads {
        abort(ports, upload).await;
    }
    remove(ports, uploads.into_iter().filter(|upload| upload.touched).map(|upload| upload.to).collect())
        .await;
}

/// Takes results away again, as far as that is possible.
pub async fn remove(ports: &Ports, objects: Vec<ObjectRef>) {
    for object in objects {
        let object = ObjectRef { version: None, ..object };
        let removed =
            patiently(ports.clock.as_ref(), Patience::Ordinary, || ports.objects.delete(&object)).await;
        if let Err(error) = removed {
            tracing::warn!(%object, kind = error.kind.word(), "a result that does not count could not be removed");
        }
    }
}

/// What an attempt that died after putting results left in the outputs bucket: the results of every earlier
/// attempt that the row does not list.
pub fn orphans(ports: &Ports, row: &JobRow, dirs: &[Dirs], worker: &str) -> Vec<ObjectRef> {
    let earlier = row.attempts.iter().filter(|attempt| attempt.worker != worker);
    let keys = earlier.flat_map(|attempt| {
        dirs.iter().map(|dirs| result_key(row, dirs.filesystem, attempt.started_ms / 1000))
    });
    let bucket = &ports.buckets.outputs;
    keys.map(|key| ObjectRef::new(bucket.clone(), key))
        .filter(|object| {
            !row.results.iter().any(|known| known.bucket == object.bucket && known.key == object.key)
        })
        .collect()
}

/// Says whether the results could have their keys, before any work is done for them.
///
/// # Errors
/// A sentence for the row, where the job's tag makes them impossible.
pub fn check_keys(row: &JobRow, dirs: &[Dirs]) -> Result<(), Trouble> {
    for one in dirs {
        let key = result_key(row, one.filesystem, row.start_time_s.unwrap_or_default());
        if let Some(problem) = names::key_problem(&key) {
            let bytes = row.tag.as_ref().map_or(0, String::len);
            return Err(Trouble(format!(
                "the results could not be put: {problem}; give the job another TAG, this one has {bytes} bytes"
            )));
        }
    }
    Ok(())
}

/// Puts what is left of a failed attempt to the errors bucket: its log, and its outputs as far as they got. Gives None
/// where the flock has no errors bucket. Outputs that cannot be zipped are left out and the log goes alone.
///
/// # Errors
/// See [`Unput`]; the job has failed already, for another reason.
pub async fn failure(
    ports: &Ports,
    row: &JobRow,
    dirs: &[Dirs],
    log: &Log,
    halt: &CancellationToken,
) -> Result<Option<ObjectRef>, Unput> {
    if ports.buckets.errors.is_empty() {
        return Ok(None);
    }
    // A tag that no key can hold is why the job failed; its log is to be found all the same.
    let start_s = row.start_time_s.unwrap_or_default();
    let mut key = names::failure_key(row.tag.as_deref(), &row.id, start_s);
    if names::key_problem(&key).is_some() {
        key = names::failure_key(None, &row.id, start_s);
    }
    let to = ObjectRef::new(ports.buckets.errors.clone(), key);
    let outputs = dirs.iter().filter(|dirs| dirs.output.is_dir()).map(|dirs| {
        let prefix = match dirs.filesystem {
            Filesystem::Root => "output/",
            Filesystem::Efs => "output_efs/",
            Filesystem::Lustre => "output_lustre/",
        };
        Source::Tree { dir: dirs.output.clone(), prefix }
    });
    let error = match put_failure(ports, &to, outputs.collect(), log, halt).await {
        Ok(put) => return Ok(Some(put)),
        Err(Failed::Unput(unput)) => return Err(unput),
        Err(Failed::Archive(error)) => error,
    };
    log.say(format!("the partial outputs are not kept: {error}")).await;
    match put_failure(ports, &to, Vec::new(), log, halt).await {
        Ok(put) => Ok(Some(put)),
        Err(Failed::Unput(unput)) => Err(unput),
        Err(Failed::Archive(error)) => {
            Err(archive_trouble("zipping what the failed attempt left", &error).into())
        }
    }
}

/// Why what is left of a failure is not put.
enum Failed {
    Archive(ArchiveError),
    Unput(Unput),
}

/// One try at it.
async fn put_failure(
    ports: &Ports,
    to: &ObjectRef,
    outputs: Vec<Source>,
    log: &Log,
    halt: &CancellationToken,
) -> Result<ObjectRef, Failed> {
    let doing = format!("putting what the failed attempt left to {to}");
    let trouble = |error: &CloudError| Failed::Unput(Trouble::cloud(&doing, error).into());
    let mut upload = begin(ports, to.clone(), &doing).await.map_err(|error| Failed::Unput(error.into()))?;
    let all = async {
        let (sender, pieces) = mpsc::channel(LOG_PAGES);
        let mut sources = vec![Source::Text { name: "log.txt", pieces }];
        sources.extend(outputs);
        let (written, ()) =
            tokio::join!(stream(ports, &upload.writer, sources, log, &doing), send_log(ports, log, sender));
        let written = written.map_err(|unsent| match unsent {
            Unsent::Archive(error) => Failed::Archive(error),
            Unsent::Store(error) => trouble(&error),
        })?;
        report(log, &written).await;
        upload.touched = true;
        complete(ports, &upload.writer).await.map_err(|error| trouble(&error))
    };
    let outcome = tokio::select! {
        biased;
        () = halt.cancelled() => Err(Failed::Unput(Unput::Halted)),
        done = all => done,
    };
    match outcome {
        Ok(meta) => Ok(meta.object),
        Err(failed) => {
            undo(ports, vec![upload]).await;
            Err(failed)
        }
    }
}

/// Sends the attempt's log a page at a time. Where it cannot be read any further it says so and is good as it is.
async fn send_log(ports: &Ports, log: &Log, to: mpsc::Sender<Vec<u8>>) {
    let mut from = LogFrom::Start;
    loop {
        let page = patiently(ports.clock.as_ref(), Patience::Ordinary, || {
            ports.logs.read(log.stream(), &from, LOG_PAGE)
        });
        let (page, error) = match page.await {
            Ok(page) => (Some(page), None),
            Err(error) => (None, Some(error)),
        };
        let mut text = String::new();
        for line in page.iter().flat_map(|page| &page.lines) {
            let source = match line.source {
                LogSource::Stdout => "stdout",
                LogSource::Stderr => "stderr",
                LogSource::Worker => "worker",
            };
            text.push_str(&format!("{} {source} {}\n", status::stamp(line.at_ms), line.text));
        }
        if let Some(error) = error {
            text.push_str(&format!("the log cannot be read any further: {error}\n"));
        }
        // An empty piece would be the end; no receiver means that nobody wants it any longer.
        if !text.is_empty() && to.send(text.into_bytes()).await.is_err() {
            return;
        }
        match page {
            Some(page) if page.more && !page.lines.is_empty() => from = LogFrom::Token(page.next),
            _ => return,
        }
    }
}

fn result_key(row: &JobRow, filesystem: Filesystem, start_s: i64) -> String {
    names::result_key(row.tag.as_deref(), &row.id, start_s, filesystem)
}

async fn begin(ports: &Ports, to: ObjectRef, doing: &str) -> Result<Upload, Trouble> {
    let begun = patiently(ports.clock.as_ref(), Patience::Ordinary, || ports.objects.begin(&to)).await;
    let writer = begun.map_err(|error| Trouble::cloud(doing, &error))?;
    Ok(Upload { to, writer: Mutex::new(writer), touched: false })
}

async fn complete(ports: &Ports, writer: &Mutex<Box<dyn Writer>>) -> Result<ObjectMeta, CloudError> {
    let complete = || async { writer.lock().await.complete().await };
    patiently(ports.clock.as_ref(), Patience::Ordinary, complete).await
}

async fn abort(ports: &Ports, upload: &Upload) {
    let abort = || async { upload.writer.lock().await.abort().await };
    if let Err(error) = patiently(ports.clock.as_ref(), Patience::Ordinary, abort).await {
        tracing::warn!(to = %upload.to, %error, "parts of an upload stay until the bucket's lifecycle rule removes them");
    }
}

/// Puts a folder in a zip of its own, if there is anything in it and it may: `fits` sees what it holds before it gets its
/// key. Dropping the future puts nothing.
///
/// # Errors
/// A sentence for the log.
pub(crate) async fn put_folder(
    ports: &Ports,
    dir: PathBuf,
    to: ObjectRef,
    log: &Log,
    fits: impl Fn(&Written) -> Result<(), Trouble>,
) -> Result<Written, Trouble> {
    let doing = format!("putting {to}");
    let sources = vec![Source::Tree { dir, prefix: "" }];
    let upload = begin(ports, to, &doing).await?;
    let written = stream(ports, &upload.writer, sources, log, &doing).await.map_err(|unsent| match unsent {
        Unsent::Archive(error) => archive_trouble(&doing, &error),
        Unsent::Store(error) => Trouble::cloud(&doing, &error),
    });
    let written = written.and_then(|written| fits(&written).map(|()| written));
    match &written {
        Ok(written) if written.entries > 0 => {
            let done = complete(ports, &upload.writer).await;
            done.map_err(|error| Trouble::cloud(&doing, &error))?;
        }
        // What was there before stays: nothing has got its key.
        _ => abort(ports, &upload).await,
    }
    written
}

/// Why a zip is not in the store.
enum Unsent {
    Archive(ArchiveError),
    Store(CloudError),
}

/// Makes a zip on a thread of its own and sends it as it is made, until it is in the store and waits for its key. Where
/// there was nothing to zip, nothing is. Dropping the future makes the thread give up at its next read.
async fn stream(
    ports: &Ports,
    writer: &Mutex<Box<dyn Writer>>,
    sources: Vec<Source>,
    log: &Log,
    doing: &str,
) -> Result<Written, Unsent> {
    struct GiveUp(Arc<AtomicBool>);
    impl Drop for GiveUp {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let given_up = GiveUp(Arc::default());
    let flag = Arc::clone(&given_up.0);
    let (sender, chunks) = mpsc::channel(CHUNKS);
    let making = tokio::task::spawn_blocking(move || {
        let mut sink = Sink { sender, chunk: Vec::with_capacity(CHUNK) };
        let written = archive::write(&mut sink, sources, &flag)?;
        sink.send().map_err(ArchiveError::Write)?;
        Ok(written)
    });
    let sent = send(ports.clock.as_ref(), writer, chunks, log, doing).await;
    if sent.is_err() {
        given_up.0.store(true, Ordering::Relaxed);
    }
    let made = making.await.unwrap_or_else(|error| Err(ArchiveError::Write(io::Error::other(error))));
    // The store first: that it failed is why the thread could not go on.
    sent.map_err(Unsent::Store)?;
    let written = made.map_err(Unsent::Archive)?;
    if written.entries > 0 {
        let ready = || async { writer.lock().await.ready().await };
        patiently(ports.clock.as_ref(), Patience::Ordinary, ready).await.map_err(Unsent::Store)?;
    }
    Ok(written)
}

/// Puts chunks as they come, and says to the log now and then how many bytes that were.
async fn send(
    clock: &dyn Clock,
    writer: &Mutex<Box<dyn Writer>>,
    mut chunks: mpsc::Receiver<Vec<u8>>,
    log: &Log,
    doing: &str,
) -> Result<(), CloudError> {
    let (mut bytes, mut said_ms) = (0, clock.now_ms());
    while let Some(chunk) = chunks.recv().await {
        writer.lock().await.put(&chunk)?;
        bytes += chunk.len() as u64;
        patiently(clock, Patience::Ordinary, || async { writer.lock().await.room().await }).await?;
        let now_ms = clock.now_ms();
        if now_ms - said_ms >= SAY_MS {
            said_ms = now_ms;
            log.say(format!("{doing}: {} MiB so far", bytes >> 20)).await;
        }
    }
    Ok(())
}

/// The thread's end of the channel: gathers what is written to it.
struct Sink {
    sender: mpsc::Sender<Vec<u8>>,
    chunk: Vec<u8>,
}

impl Sink {
    fn send(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(chunk).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == CHUNK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn report(log: &Log, written: &Written) {
    for line in &written.skipped {
        log.say(format!("not among the outputs: {line}")).await;
    }
    let unnamed = written.skipped_count.saturating_sub(written.skipped.len() as u64);
    if unnamed > 0 {
        log.say(format!("not among the outputs: {unnamed} more")).await;
    }
}

fn output_trouble(filesystem: Filesystem, error: &ArchiveError) -> Trouble {
    match error {
        ArchiveError::Gone => Trouble("the payload removed its output directory".to_owned()),
        ArchiveError::Replaced => {
            Trouble("the payload replaced its output directory by something else".to_owned())
        }
        other => archive_trouble(&format!("zipping the outputs of {}", filesystem.word()), other),
    }
}

fn archive_trouble(doing: &str, error: &ArchiveError) -> Trouble {
    if error.is_full() { Trouble::full(doing) } else { Trouble(format!("{error} (while {doing})")) }
}
