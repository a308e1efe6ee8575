//! Job logs as text files, one a stream, that a person can read with `less` as well.
//!
//! A line is `<ms since the epoch> <o|e|w> <text>`: standard output, standard error, or the worker itself. A batch
//! is added in one write under a lock on the file, and taken back whole where the disk is full, so a reader meets
//! whole lines or none; a line that a killed process left unfinished is shown once the next write ends it. A token
//! is the offset of a line. Nothing here cuts a log short or deletes one.

mod reader;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use shepard_model::{LogLine, LogSource};

use super::FlockDir;
use super::home::private_dir;
use super::objects::blocking;
use crate::error::{CloudError, Kind, Result};
use crate::ports::{LogFrom, LogPage, Logs};

/// The log streams of a local flock.
#[derive(Debug)]
pub struct LocalLogs {
    dir: FlockDir,
}

impl LocalLogs {
    /// The streams in a flock's folder. Opens nothing yet.
    pub fn new(dir: &FlockDir) -> Self {
        Self { dir: dir.clone() }
    }
}

#[async_trait]
impl Logs for LocalLogs {
    async fn append(&self, stream: &str, lines: &[LogLine]) -> Result<()> {
        let path = self.dir.log_path(stream)?;
        let batch = encode(lines);
        let stream = stream.to_owned();
        blocking("write to the log", move || {
            append(&path, &batch).map_err(|error| CloudError::io("write to the log", stream, error))
        })
        .await
    }

    async fn read(&self, stream: &str, from: &LogFrom, limit: usize) -> Result<LogPage> {
        let path = self.dir.log_path(stream)?;
        let from = from.clone();
        if let LogFrom::Token(token) = &from
            && token.parse::<u64>().is_err()
        {
            let error = CloudError::new("read the log", stream, Kind::Invalid);
            return Err(error.because("the place to read from is not one this log gave"));
        }
        let stream = stream.to_owned();
        blocking("read the log", move || {
            read(&path, &from, limit).map_err(|error| CloudError::io("read the log", stream, error))
        })
        .await
    }
}

/// The bytes of a batch.
fn encode(lines: &[LogLine]) -> Vec<u8> {
    let mut batch = Vec::with_capacity(lines.iter().map(|line| line.text.len() + 20).sum());
    for line in lines {
        let source = match line.source {
            LogSource::Stdout => 'o',
            LogSource::Stderr => 'e',
            LogSource::Worker => 'w',
        };
        batch.extend_from_slice(format!("{} {source} ", line.at_ms).as_bytes());
        // The end of a line inside one would make two of it, the second of them torn.
        if line.text.contains('\n') {
            batch.extend_from_slice(line.text.replace('\n', "␤").as_bytes());
        } else {
            batch.extend_from_slice(line.text.as_bytes());
        }
        batch.push(b'\n');
    }
    batch
}

fn append(path: &PathBuf, batch: &[u8]) -> io::Result<()> {
    let open = || OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("."));
            private_dir(folder).map_err(io::Error::other)?;
            open()?
        }
        opened => opened?,
    };
    let _lock = Lock::take(&file, FlockOperation::LockExclusive)?;
    let before = file.metadata()?.len();
    // A line that a killed process left unfinished ends here, or it would swallow the next one.
    let torn = before > 0 && last_byte(&file, before)? != b'\n';
    let mut end = &file;
    let written = if torn { end.write_all(&[b"\n", batch].concat()) } else { end.write_all(batch) };
    written.inspect_err(|_| {
        // Taking it back needs no space. Where even that fails, the torn line is dealt with as above.
        if let Err(error) = file.set_len(before) {
            tracing::warn!(%error, "a log line that could not be written whole could not be taken back either");
        }
    })
}

fn read(path: &Path, from: &LogFrom, limit: usize) -> io::Result<LogPage> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(LogPage { lines: Vec::new(), next: "0".to_owned(), more: false });
        }
        file => file?,
    };
    // Under the lock no write is half done; what is below this length then stays as it is.
    let length = {
        let _lock = Lock::take(&file, FlockOperation::LockShared)?;
        file.metadata()?.len()
    };
    let reader = reader::Reader::new(&file, length)?;
    let start = match from {
        LogFrom::Start => 0,
        LogFrom::Tail(lines) => reader.tail(*lines)?,
        LogFrom::Since(at_ms) => reader.since(*at_ms)?,
        // Beyond the end only where the file was replaced by a shorter one.
        LogFrom::Token(token) => token.parse::<u64>().unwrap_or(0).min(reader.end()),
    };
    let (lines, next) = reader.lines(start, limit)?;
    Ok(LogPage { lines, next: next.to_string(), more: next < reader.end() })
}

fn last_byte(file: &File, length: u64) -> io::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, length.saturating_sub(1))?;
    Ok(byte[0])
}

/// Holds the lock on a log file while it lives.
struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    fn take(file: &'a File, how: FlockOperation) -> io::Result<Self> {
        loop {
            match rustix::fs::flock(file, how) {
                // A file system without locks still has appends that are whole as long as the disk is not full.
                Ok(()) | Err(Errno::NOTSUP | Errno::NOLCK | Errno::NOSYS) => return Ok(Self(file)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if let Err(error) = rustix::fs::flock(self.0, FlockOperation::Unlock) {
            tracing::debug!(%error, "a log file could not be unlocked before it was closed");
        }
    }
}

#[cfg(test)]
mod tests;
