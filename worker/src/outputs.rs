//! Zips to the outputs and errors buckets, under the contract's names.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shepard_cloud::ports::{LogFrom, LogSource, Ports};
use shepard_model::names::{self, Filesystem};
use shepard_model::{JobRow, ObjectRef, status};
use tokio::io::AsyncWriteExt as _;

use crate::archive::{self, ArchiveError, Source, Written};
use crate::fetch::Trouble;
use crate::log::Log;
use crate::place::Dirs;
use crate::row::{Patience, patiently};

/// Lines read from the log at a time for a failure's artefact.
const LOG_PAGE: usize = 1_000;

/// A zip that waits to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zipped {
    /// The file.
    pub file: PathBuf,
    /// Where it goes.
    pub to: ObjectRef,
}

/// Zips the outputs of every filesystem, each on its own: all of them, before any is put. A filesystem whose
/// output directory is empty has none.
///
/// # Errors
/// A sentence for the row.
pub async fn zip_all(ports: &Ports, row: &JobRow, dirs: &[Dirs], log: &Log) -> Result<Vec<Zipped>, Trouble> {
    let mut all = Vec::new();
    for one in dirs {
        let file = one.job.join("result.zip");
        let sources = vec![Source::Tree { dir: one.output.clone(), prefix: "" }];
        let written = zip(&file, sources).await.map_err(|error| output_trouble(one.filesystem, &error))?;
        report(log, &written).await;
        if written.entries > 0 {
            let key = result_key(row, one.filesystem, row.start_time_s.unwrap_or_default());
            all.push(Zipped { file, to: ObjectRef::new(ports.buckets.outputs.clone(), key) });
        }
    }
    Ok(all)
}

/// Puts zips, all or none: where one fails, those before it are taken away again.
///
/// # Errors
/// A sentence for the row.
pub async fn upload_all(ports: &Ports, zips: &[Zipped]) -> Result<Vec<ObjectRef>, Trouble> {
    let mut put = Vec::new();
    for zipped in zips {
        let outcome = patiently(ports.clock.as_ref(), Patience::Ordinary, || {
            ports.objects.upload(&zipped.file, &zipped.to)
        })
        .await;
        match outcome {
            Ok(meta) => put.push(meta.object),
            Err(error) => {
                // The failed one as well: its reply may have been lost after it was done.
                remove(ports, zips.iter().map(|zipped| zipped.to.clone()).collect()).await;
                return Err(Trouble::cloud(&format!("putting the results to {}", zipped.to), &error));
            }
        }
    }
    Ok(put)
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

/// Puts what is left of a failed attempt to the errors bucket: its log, and its outputs as far as they got.
/// Gives None where the flock has no errors bucket. Outputs that cannot be zipped are left out and the log goes
/// alone.
///
/// # Errors
/// A sentence for the log; the job has failed already, for another reason.
pub async fn failure(
    ports: &Ports,
    row: &JobRow,
    dirs: &[Dirs],
    log: &Log,
) -> Result<Option<ObjectRef>, Trouble> {
    const DOING: &str = "zipping what the failed attempt left";
    let Some(root) = dirs.first().filter(|_| !ports.buckets.errors.is_empty()) else { return Ok(None) };
    let (text, file) = (root.job.join("log.txt"), root.job.join("error.zip"));
    write_log(ports, log, &text).await?;
    let log_alone = vec![Source::File { path: text, name: "log.txt" }];
    let mut sources = log_alone.clone();
    sources.extend(dirs.iter().filter(|dirs| dirs.output.is_dir()).map(|dirs| {
        let prefix = match dirs.filesystem {
            Filesystem::Root => "output/",
            Filesystem::Efs => "output_efs/",
            Filesystem::Lustre => "output_lustre/",
        };
        Source::Tree { dir: dirs.output.clone(), prefix }
    }));
    match zip(&file, sources).await {
        Ok(written) => report(log, &written).await,
        Err(error) => {
            log.say(format!("the partial outputs are not kept: {error}")).await;
            zip(&file, log_alone).await.map_err(|error| archive_trouble(DOING, &error))?;
        }
    }
    let key = names::failure_key(row.tag.as_deref(), &row.id, row.start_time_s.unwrap_or_default());
    let to = ObjectRef::new(ports.buckets.errors.clone(), key);
    let doing = format!("putting what the failed attempt left to {to}");
    let put = patiently(ports.clock.as_ref(), Patience::Ordinary, || ports.objects.upload(&file, &to)).await;
    put.map(|meta| Some(meta.object)).map_err(|error| Trouble::cloud(&doing, &error))
}

fn result_key(row: &JobRow, filesystem: Filesystem, start_s: i64) -> String {
    names::result_key(row.tag.as_deref(), &row.id, start_s, filesystem)
}

/// Copies the attempt's log into a file, a page at a time. Where the log cannot be read any further the file
/// says so and is good as it is.
async fn write_log(ports: &Ports, log: &Log, to: &Path) -> Result<(), Trouble> {
    let trouble = |error: std::io::Error| Trouble::io("writing the log of the failed attempt", &error);
    let mut file = tokio::io::BufWriter::new(tokio::fs::File::create_new(to).await.map_err(trouble)?);
    let mut from = LogFrom::Start;
    loop {
        let page = patiently(ports.clock.as_ref(), Patience::Ordinary, || {
            ports.logs.read(log.stream(), &from, LOG_PAGE)
        });
        let page = match page.await {
            Ok(page) => page,
            Err(error) => {
                let line = format!("the log cannot be read any further: {error}\n");
                file.write_all(line.as_bytes()).await.map_err(trouble)?;
                break;
            }
        };
        for line in &page.lines {
            let source = match line.source {
                LogSource::Stdout => "stdout",
                LogSource::Stderr => "stderr",
                LogSource::Worker => "worker",
            };
            let text = format!("{} {source} {}\n", status::stamp(line.at_ms), line.text);
            file.write_all(text.as_bytes()).await.map_err(trouble)?;
        }
        if !page.more || page.lines.is_empty() {
            break;
        }
        from = LogFrom::Token(page.next);
    }
    file.flush().await.map_err(trouble)
}

/// Zips off the runtime. Dropping the future makes the thread give up at its next read.
async fn zip(to: &Path, sources: Vec<Source>) -> Result<Written, ArchiveError> {
    struct GiveUp(Arc<AtomicBool>);
    impl Drop for GiveUp {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let given_up = GiveUp(Arc::default());
    let (flag, to) = (Arc::clone(&given_up.0), to.to_path_buf());
    let done = tokio::task::spawn_blocking(move || archive::write(&to, &sources, &flag)).await;
    done.unwrap_or_else(|error| Err(ArchiveError::Write(std::io::Error::other(error))))
}

async fn report(log: &Log, written: &Written) {
    for line in &written.skipped {
        log.say(format!("not among the outputs: {line}")).await;
    }
    let unnamed = written.skipped_count.saturating_sub(written.skipped.len() as u64);
    if unnamed > 0 {
        log.say(format!("not among the outputs: {unnamed} more links, sockets, pipes or devices")).await;
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
