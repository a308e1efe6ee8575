//! Reads `inputs.txt` out of a zip archive that lies in a bucket, by ranges.
//!
//! One suffix GET of 64 KiB and 98 bytes holds the longest archive comment, the end records of both kinds and,
//! mostly, the directory and a small `inputs.txt` too. A large directory is walked in chunks and never held
//! whole, so an archive of any size costs the same few megabytes. The functions of [`records`], [`ending`],
//! [`mod@walk`] and [`mod@content`] are pure: bytes in, facts or a [`ZipProblem`] out.
//!
//! It never lists, extracts or trusts anything but that one entry, never reads more than [`MAX_READ`] bytes of
//! an archive, and never inflates past the size that `inputs.txt` may have.

pub mod content;
pub mod ending;
mod fetch;
pub mod problem;
pub mod records;
pub mod walk;

use std::path::Path;

use futures_util::FutureExt;
use shepard_cloud::{CloudError, Kind, Objects};
use shepard_model::{Inputs, InputsError, ObjectRef};

pub use self::fetch::Cost;
use self::fetch::{Fetch, Source};
pub use self::problem::ZipProblem;
use self::walk::{Entry, Walk};

/// Bytes of the first read: comment (65,535) + end record (22) + zip64 locator (20) + zip64 record (56) + 1.
pub const TAIL: u64 = 65_634;
/// Largest central directory that is walked, in bytes: about a million entries.
pub const MAX_DIRECTORY: u64 = 64 * 1024 * 1024;
/// Most bytes read of one archive, whatever it claims.
pub const MAX_READ: u64 = MAX_DIRECTORY + 4 * 1024 * 1024;
/// Largest compressed `inputs.txt`, in bytes: deflate may add a little to what it cannot shrink.
pub const MAX_COMPRESSED: u64 = shepard_model::inputs::MAX_BYTES as u64 + 4096;
/// How much of a directory is held at once, in bytes: 64 archives with large ones are read side by side, in the memory
/// of a small function. The largest takes 128 reads then, some seconds.
const CHUNK: u64 = 512 * 1024;
/// How many things that look like an end record are tried.
const MAX_ENDINGS: usize = 8;
/// The local header's extra field may be longer than the directory's; this much of it comes with the first read.
const LOCAL_SLACK: u64 = 512;

/// Why no variables came out of an object.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The archive is at fault.
    #[error(transparent)]
    Zip(#[from] ZipProblem),
    /// The text in it is at fault.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// It could not be read; nobody's archive is at fault.
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

impl ReadError {
    /// The upload itself is at fault: reading it again gives the same answer.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Cloud(_))
    }
}

/// Reads and checks the `inputs.txt` at the top of a zip archive in a bucket.
///
/// # Errors
/// What is wrong with the archive or its text, in words for the uploader; or the store's own error.
pub async fn read_inputs(objects: &dyn Objects, object: &ObjectRef) -> Result<Inputs, ReadError> {
    let (outcome, _) = read(Source::Object { objects, object }).await;
    Ok(Inputs::parse(&outcome?)?)
}

/// The same of an archive on this machine. Blocks for a few small reads.
///
/// # Errors
/// As [`read_inputs`].
pub fn read_inputs_of_file(path: &Path) -> Result<Inputs, ReadError> {
    let name = || path.display().to_string();
    let file = std::fs::File::open(path).map_err(|error| CloudError::io("open", name(), error))?;
    let (outcome, _) = at_once(read(Source::File { file: &file, path }))?;
    Ok(Inputs::parse(&outcome?)?)
}

/// The same of an archive in memory, with what reading it by ranges would have cost.
pub fn read_inputs_of_bytes(bytes: &[u8]) -> (Result<Inputs, ReadError>, Cost) {
    match at_once(read(Source::Bytes(bytes))) {
        Ok((outcome, cost)) => (outcome.and_then(|text| Ok(Inputs::parse(&text)?)), cost),
        Err(error) => (Err(error), Cost::default()),
    }
}

/// Runs a future whose source answers at once. The error is for a source that does not, which none here is.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T, ReadError> {
    let other = || CloudError::new("read the archive", "", Kind::Other).because("the source made us wait");
    future.now_or_never().ok_or_else(|| other().into())
}

/// The bytes of `inputs.txt`, and what they cost.
async fn read(source: Source<'_>) -> (Result<Vec<u8>, ReadError>, Cost) {
    let mut fetch = Fetch::new(source);
    let outcome = find(&mut fetch).await;
    (outcome, fetch.cost)
}

async fn find(fetch: &mut Fetch<'_>) -> Result<Vec<u8>, ReadError> {
    fetch.open().await?;
    if fetch.total == 0 {
        return Err(ZipProblem::Empty.into());
    }
    let mut endings = ending::find(&fetch.tail, fetch.tail_start, fetch.total);
    endings.truncate(MAX_ENDINGS);
    if endings.is_empty() {
        return Err(no_ending(fetch).await?.into());
    }
    let mut first = None;
    for ending in endings {
        match with_ending(fetch, &ending).await {
            Err(ReadError::Zip(problem)) if problem.blames_the_ending() => {
                first.get_or_insert(problem);
            }
            // Something in a comment may look like the end of an empty archive; believe it only when
            // nothing better was there.
            Err(ReadError::Zip(problem @ ZipProblem::NoEntries)) => {
                first.get_or_insert(problem);
            }
            outcome => return outcome,
        }
    }
    Err(first.unwrap_or(ZipProblem::NotAZip).into())
}

/// Tells an archive whose end is missing from something that never was one.
async fn no_ending(fetch: &mut Fetch<'_>) -> Result<ZipProblem, ReadError> {
    let head = fetch.read(0, fetch.total.min(4)).await?;
    let zip = head.starts_with(&records::LOCAL) || head.starts_with(&records::CENTRAL);
    Ok(if zip { ZipProblem::Truncated } else { ZipProblem::NotAZip })
}

/// Where a directory lies.
struct Directory {
    start: u64,
    end: u64,
    /// Added to every offset of the archive: what was put before it without rewriting its offsets.
    shift: u64,
}

async fn with_ending(fetch: &mut Fetch<'_>, ending: &ending::Ending) -> Result<Vec<u8>, ReadError> {
    let ending = resolve(fetch, ending).await?;
    if ending.disks {
        return Err(ZipProblem::ManyDisks.into());
    }
    let stated = ending.offset;
    let stated_end = stated.checked_add(ending.size).filter(|end| *end <= ending.limit);
    if stated_end.is_none() {
        return Err(
            ZipProblem::DirectoryOutside { offset: stated, size: ending.size, total: fetch.total }.into()
        );
    }
    if ending.size > MAX_DIRECTORY {
        return Err(ZipProblem::DirectoryTooLarge(ending.size).into());
    }
    if ending.size == 0 {
        let problem = if ending.entries == 0 { ZipProblem::NoEntries } else { ZipProblem::Counts };
        return Err(problem.into());
    }
    // The directory ends where its end record begins, unless a tool put something between them; an archive
    // that something was put before, its offsets left alone, is recognised by that.
    let adjacent = ending.limit - ending.size;
    let directory = |start, shift| Directory { start, end: start + ending.size, shift };
    let mut found = walk_directory(fetch, &directory(adjacent, adjacent - stated), &ending).await;
    let mut place = directory(adjacent, adjacent - stated);
    if adjacent != stated && matches!(found, Err(ReadError::Zip(ZipProblem::NoDirectory))) {
        found = walk_directory(fetch, &directory(stated, 0), &ending).await;
        place = directory(stated, 0);
    }
    let entry = found?.finish()?;
    content(fetch, &place, &entry).await
}

/// The end record with the zip64 one's values where it defers to it.
async fn resolve(fetch: &mut Fetch<'_>, ending: &ending::Ending) -> Result<ending::Resolved, ReadError> {
    if !ending.defers() {
        return Ok(ending.plain());
    }
    let locator = match ending.at.checked_sub(records::LOCATOR_SIZE) {
        Some(at) => records::locator(&fetch.read(at, records::LOCATOR_SIZE).await?),
        None => None,
    };
    let Some(stated) = locator else {
        // Exactly 65,535 entries look like a deferral and are none.
        return if ending.needs_zip64() { Err(ZipProblem::Zip64.into()) } else { Ok(ending.plain()) };
    };
    let limit = ending.at - records::LOCATOR_SIZE;
    // Directly before its locator is where every tool puts it, and where a prefix cannot hide it.
    for at in [limit.checked_sub(records::RECORD64_SIZE), Some(stated)].into_iter().flatten() {
        if at.checked_add(records::RECORD64_SIZE).is_some_and(|end| end <= limit) {
            let bytes = fetch.read(at, records::RECORD64_SIZE).await?;
            if let Some(record) = records::record64(&bytes, limit - at) {
                return Ok(ending.with(&record, at));
            }
        }
    }
    Err(ZipProblem::Zip64.into())
}

async fn walk_directory(
    fetch: &mut Fetch<'_>,
    place: &Directory,
    ending: &ending::Resolved,
) -> Result<Walk, ReadError> {
    let mut walk = Walk::new(ending.entries, ending.count_bits);
    let mut held: Vec<u8> = Vec::new();
    let mut at = place.start;
    while at < place.end {
        // Up to what the tail holds already, so that nothing is read twice.
        let upto = if at < fetch.tail_start { place.end.min(fetch.tail_start) } else { place.end };
        let chunk = fetch.read(at, CHUNK.min(upto - at)).await?;
        at += chunk.len() as u64;
        if held.is_empty() {
            held = chunk;
        } else {
            held.extend_from_slice(&chunk);
        }
        let used = walk.feed(&held)?;
        held.drain(..used);
    }
    walk.end(&held)?;
    Ok(walk)
}

async fn content(fetch: &mut Fetch<'_>, place: &Directory, entry: &Entry) -> Result<Vec<u8>, ReadError> {
    entry.check()?;
    let local_at = entry.local_at.checked_add(place.shift).ok_or(ZipProblem::Outside)?;
    let room = place.start.checked_sub(local_at).ok_or(ZipProblem::Outside)?;
    if room < records::LOCAL_SIZE {
        return Err(ZipProblem::Outside.into());
    }
    let wanted = records::LOCAL_SIZE + u64::from(entry.name_length) + LOCAL_SLACK + entry.compressed;
    let mut bytes = fetch.read(local_at, wanted.min(room)).await?;
    let header = records::local(&bytes).ok_or(ZipProblem::NoLocalHeader)?;
    let name_end = records::LOCAL_SIZE + u64::from(header.name_length);
    if slice(&bytes, records::LOCAL_SIZE, name_end).is_none_or(|name| !walk::is_inputs(name)) {
        return Err(ZipProblem::OtherName.into());
    }
    let needed = header.data_at.checked_add(entry.compressed).ok_or(ZipProblem::Outside)?;
    if needed > room {
        return Err(ZipProblem::Outside.into());
    }
    if needed > bytes.len() as u64 {
        let have = bytes.len() as u64;
        bytes.extend(fetch.read(local_at + have, needed - have).await?);
    }
    let data = slice(&bytes, header.data_at, needed).ok_or(ZipProblem::Outside)?;
    Ok(content::extract(entry, data)?)
}

fn slice(bytes: &[u8], from: u64, to: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
}
