//! Reads ranges of an archive, from a bucket, a file or memory, within a budget.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use shepard_cloud::ports::{Part, Range};
use shepard_cloud::{CloudError, Kind, Objects};
use shepard_model::ObjectRef;

use super::{MAX_READ, ReadError, TAIL, ZipProblem};

/// Where an archive is.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// In a bucket.
    Object { objects: &'a dyn Objects, object: &'a ObjectRef },
    /// On this machine.
    File { file: &'a File, path: &'a Path },
    /// In memory.
    Bytes(&'a [u8]),
}

/// What reading cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Ranges read.
    pub reads: u32,
    /// Bytes read.
    pub bytes: u64,
}

/// An archive being read: its end, once it is known, and what was read so far.
pub(super) struct Fetch<'a> {
    source: Source<'a>,
    /// Size of the archive.
    pub(super) total: u64,
    /// Its last bytes.
    pub(super) tail: Vec<u8>,
    /// Where they begin.
    pub(super) tail_start: u64,
    /// What was read so far.
    pub(super) cost: Cost,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, total: 0, tail: Vec::new(), tail_start: 0, cost: Cost::default() }
    }

    /// Reads the end of the archive.
    pub(super) async fn open(&mut self) -> Result<(), ReadError> {
        let part = self.part(Range::Suffix(TAIL)).await?;
        if part.start.checked_add(part.bytes.len() as u64) != Some(part.total) {
            return Err(self.changed().into());
        }
        (self.total, self.tail_start, self.tail) = (part.total, part.start, part.bytes);
        Ok(())
    }

    /// Exactly `length` bytes from `start`, of which only those before the known end are read.
    pub(super) async fn read(&mut self, start: u64, length: u64) -> Result<Vec<u8>, ReadError> {
        let end = start.checked_add(length).filter(|end| *end <= self.total).ok_or(ZipProblem::Outside)?;
        let mut bytes = Vec::new();
        if start < self.tail_start {
            let missing = end.min(self.tail_start) - start;
            if self.cost.bytes + missing > MAX_READ {
                return Err(ZipProblem::TooMuch.into());
            }
            let part = self.part(Range::From { start, length: missing }).await?;
            if part.start != start || part.bytes.len() as u64 != missing || part.total != self.total {
                return Err(self.changed().into());
            }
            bytes = part.bytes;
        }
        let (from, to) = (start.max(self.tail_start), end);
        if from < to {
            let inside = |at: u64| usize::try_from(at - self.tail_start).ok();
            let held = inside(from).zip(inside(to)).and_then(|(from, to)| self.tail.get(from..to));
            bytes.extend_from_slice(held.ok_or(ZipProblem::Outside)?);
        }
        Ok(bytes)
    }

    async fn part(&mut self, range: Range) -> Result<Part, CloudError> {
        self.cost.reads += 1;
        let part = match self.source {
            Source::Object { objects, object } => objects.get(object, range).await?,
            Source::File { file, path } => of_file(file, range)
                .map_err(|error| CloudError::io("read", path.display().to_string(), error))?,
            Source::Bytes(bytes) => of_bytes(bytes, range),
        };
        self.cost.bytes += part.bytes.len() as u64;
        Ok(part)
    }

    /// The object is another one than at the first read. Reading it anew will do.
    fn changed(&self) -> CloudError {
        let target = match self.source {
            Source::Object { object, .. } => object.to_string(),
            Source::File { path, .. } => path.display().to_string(),
            Source::Bytes(_) => String::new(),
        };
        CloudError::new("read", target, Kind::Conflict).because("it changed while it was being read")
    }
}

/// The bytes that a range means, of so many.
fn span(range: Range, total: u64) -> (u64, u64) {
    match range {
        Range::Suffix(length) => (total - length.min(total), length.min(total)),
        Range::From { start, length } => {
            let start = start.min(total);
            (start, length.min(total - start))
        }
    }
}

fn of_file(mut file: &File, range: Range) -> std::io::Result<Part> {
    let total = file.metadata()?.len();
    let (start, length) = span(range, total);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(Part { bytes, start, total })
}

fn of_bytes(bytes: &[u8], range: Range) -> Part {
    let total = bytes.len() as u64;
    let (start, length) = span(range, total);
    let cut = |at: u64| usize::try_from(at).unwrap_or(bytes.len());
    let part = bytes.get(cut(start)..cut(start + length)).unwrap_or_default();
    Part { bytes: part.to_vec(), start, total }
}
