//! Making the zip of a job: the layout payloads rely on (docs/inputs.md), streamed to a file.
//!
//! Names are relative and never start with `./`, directories have entries of their own, so that empty ones arrive,
//! files are deflated, hidden ones come along. Memory stays constant whatever the size. Everything here blocks.

use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::batch::Progress;
use super::error::{OperationError, Result};
use super::preflight::{Candidate, Source};
use super::walk::walk;

/// From this size on an entry gets zip64 fields: below 4 GiB, so that a file that grows while it is read still fits.
const ZIP64_FROM: u64 = 3 * 1024 * 1024 * 1024;

/// Why a job could not be packed.
#[derive(Debug)]
pub enum PackError {
    /// Something about the job itself, in words for its author.
    Refused(String),
    /// The machine: the disk is full, the scratch directory went away.
    Environment(OperationError),
}

impl From<OperationError> for PackError {
    fn from(error: OperationError) -> Self {
        Self::Environment(error)
    }
}

/// Makes the zip of a job at `to`, where nothing must be, and says where it is: a zip that is sent as it is stays
/// where it was.
///
/// # Errors
/// What is wrong with the job, or with the machine.
pub fn pack(job: &Candidate, to: &Path, progress: &Progress) -> Result<PathBuf, PackError> {
    if job.source == Source::Zip && job.inputs.is_none() {
        return Ok(job.path.clone());
    }
    let file = fs::File::create_new(to)
        .map_err(|error| PackError::Environment(OperationError::io("create", to)(error)))?;
    let mut zip = ZipWriter::new(io::BufWriter::with_capacity(256 * 1024, file));
    add(&mut zip, job, to, progress)?;
    let mut out = zip.finish().map_err(|error| broken(to, error.into()))?;
    out.flush().map_err(|error| broken(to, error))?;
    Ok(to.to_owned())
}

/// Writes the zip of a job front to back to anything that takes bytes: sizes follow their entries. `to` is what the bytes
/// become, for errors.
///
/// # Errors
/// What is wrong with the job, or with what takes the bytes.
pub fn pack_into(
    job: &Candidate,
    out: impl io::Write,
    to: &Path,
    progress: &Progress,
) -> Result<(), PackError> {
    let mut zip = ZipWriter::new_stream(io::BufWriter::with_capacity(256 * 1024, out));
    add(&mut zip, job, to, progress)?;
    let out = zip.finish().map_err(|error| broken(to, error.into()))?;
    out.into_inner().flush().map_err(|error| broken(to, error))
}

fn add<W: io::Write + io::Seek>(
    zip: &mut ZipWriter<W>,
    job: &Candidate,
    to: &Path,
    progress: &Progress,
) -> Result<(), PackError> {
    match (job.source, &job.inputs) {
        (Source::Zip, Some(text)) => rewrite(zip, job, text, to),
        _ => add_folder(zip, job, to, progress),
    }
}

fn broken(to: &Path, error: io::Error) -> PackError {
    PackError::Environment(OperationError::io("write", to)(error))
}

fn plain(size: u64, modified: Option<DateTime>) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(size >= ZIP64_FROM)
        .last_modified_time(modified.unwrap_or_default())
}

fn add_folder<W: io::Write + io::Seek>(
    zip: &mut ZipWriter<W>,
    job: &Candidate,
    to: &Path,
    progress: &Progress,
) -> Result<(), PackError> {
    if let Some(text) = &job.inputs {
        add_text(zip, text, to)?;
    }
    // A failure of the machine is kept aside, because the walk only speaks of what is wrong with the folder.
    let mut failure = None;
    let walked = walk(&job.path, &mut |entry| {
        if entry.name == "inputs.txt" && job.inputs.is_some() {
            return Ok(());
        }
        let about =
            fs::metadata(&entry.path).map_err(|error| format!("{} cannot be read: {error}", entry.name))?;
        let options =
            plain(entry.size, about.modified().ok().and_then(zip_time)).unix_permissions(mode(&about));
        let mut fail = |error: io::Error| {
            failure = Some(broken(to, error));
            String::new()
        };
        if entry.is_dir {
            let options = options.compression_method(CompressionMethod::Stored);
            return zip
                .add_directory(entry.name.trim_end_matches('/'), options)
                .map_err(|error| fail(error.into()));
        }
        let mut from =
            fs::File::open(&entry.path).map_err(|error| format!("{} cannot be read: {error}", entry.name))?;
        zip.start_file(entry.name.as_str(), options).map_err(|error| fail(error.into()))?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("{} cannot be read: {error}", entry.name)),
            };
            zip.write_all(&buffer[..read]).map_err(&mut fail)?;
            progress.packed_bytes.fetch_add(read as u64, Ordering::Relaxed);
        }
    });
    match (failure, walked) {
        (Some(failure), _) => Err(failure),
        (None, Err(problem)) => Err(PackError::Refused(problem)),
        (None, Ok(())) => Ok(()),
    }
}

fn add_text<W: io::Write + io::Seek>(zip: &mut ZipWriter<W>, text: &str, to: &Path) -> Result<(), PackError> {
    zip.start_file("inputs.txt", plain(0, None).unix_permissions(0o644))
        .map_err(|error| broken(to, error.into()))?;
    zip.write_all(text.as_bytes()).map_err(|error| broken(to, error))
}

/// The same zip with another `inputs.txt`; the other entries are copied as they are, compressed.
fn rewrite<W: io::Write + io::Seek>(
    zip: &mut ZipWriter<W>,
    job: &Candidate,
    text: &str,
    to: &Path,
) -> Result<(), PackError> {
    let refused = |error: &dyn std::fmt::Display| PackError::Refused(format!("it cannot be read: {error}"));
    let file = fs::File::open(&job.path).map_err(|error| refused(&error))?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(|error| refused(&error))?;
    add_text(zip, text, to)?;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| refused(&error))?;
        if entry.name_raw() != b"inputs.txt" {
            zip.raw_copy_file(entry).map_err(|error| copy_problem(to, error))?;
        }
    }
    Ok(())
}

/// Copying reads and writes at once: what is wrong with the archive is its author's, the rest the machine's.
fn copy_problem(to: &Path, error: zip::result::ZipError) -> PackError {
    match error {
        zip::result::ZipError::Io(error) => broken(to, error),
        error => PackError::Refused(format!("it cannot be rewritten: {error}")),
    }
}

fn mode(about: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    about.permissions().mode() & 0o777
}

/// The local time a zip entry carries; None before 1980 and after 2107.
fn zip_time(at: std::time::SystemTime) -> Option<DateTime> {
    let at = jiff::Timestamp::try_from(at).ok()?.to_zoned(jiff::tz::TimeZone::system());
    let part = |value: i8| u8::try_from(value).ok();
    DateTime::from_date_and_time(
        u16::try_from(at.year()).ok()?,
        part(at.month())?,
        part(at.day())?,
        part(at.hour())?,
        part(at.minute())?,
        part(at.second())?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::super::preflight::{Request, examine};
    use super::*;

    fn packed(path: &Path, tag: Option<&str>) -> ZipArchive<fs::File> {
        let request = Request { path: path.to_owned(), tag: tag.map(str::to_owned), default_inputs: None };
        let plan = examine(&request).expect("examined");
        let to = tempfile::tempdir().expect("temp dir");
        let zip = to.path().join("job.zip");
        let zip = pack(&plan.jobs[0], &zip, &Progress::default()).expect("packs");
        ZipArchive::new(fs::File::open(zip).expect("open")).expect("zip")
    }

    #[test]
    fn what_is_written_front_to_back_is_read_by_the_scheduler_too() {
        let dir = example();
        let request = Request { path: dir.path().to_owned(), ..Request::default() };
        let plan = examine(&request).expect("examined");
        let to = tempfile::tempdir().expect("temp dir");
        let path = to.path().join("z.zip");
        let file = fs::File::create(&path).expect("create");
        pack_into(&plan.jobs[0], file, &path, &Progress::default()).expect("packs");
        let inputs = shepard_lambdas::zip::read_inputs_of_file(&path).expect("read");
        assert!(format!("{inputs:?}").contains("1.0"), "{inputs:?}");
        let mut archive = ZipArchive::new(fs::File::open(&path).expect("open")).expect("zip");
        assert_eq!(text(&mut archive, "sub/ä b").len(), 100_000);
        assert_eq!(archive.len(), 5);
    }

    fn text(archive: &mut ZipArchive<fs::File>, name: &str) -> String {
        let mut text = String::new();
        archive.by_name(name).expect("there").read_to_string(&mut text).expect("text");
        text
    }

    fn example() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::create_dir_all(dir.path().join("sub/empty")).expect("mkdir");
        fs::write(dir.path().join("inputs.txt"), r#"{"a": 1.0}"#).expect("write");
        fs::write(dir.path().join(".hidden"), "h").expect("write");
        fs::write(dir.path().join("sub/ä b"), "x".repeat(100_000)).expect("write");
        dir
    }

    #[test]
    fn the_layout_is_the_one_payloads_know() {
        let dir = example();
        let mut archive = packed(dir.path(), None);
        let mut names: Vec<String> =
            archive.file_names().map(|name| name.expect("UTF-8").into_owned()).collect();
        names.sort();
        assert_eq!(names, [".hidden", "inputs.txt", "sub/", "sub/empty/", "sub/ä b"]);
        assert_eq!(text(&mut archive, "inputs.txt"), r#"{"a": 1.0}"#);
        let entry = archive.by_name("sub/ä b").expect("there");
        assert_eq!(entry.compression(), CompressionMethod::Deflated);
        assert!(entry.compressed_size() < 1000);
    }

    #[test]
    fn a_tag_goes_into_folders_and_into_zips_and_nothing_else_changes() {
        let dir = example();
        let mut archive = packed(dir.path(), Some("t"));
        assert!(text(&mut archive, "inputs.txt").contains(r#""TAG": "t""#));
        let zips = tempfile::tempdir().expect("temp dir");
        let path = zips.path().join("in.zip");
        let request = Request { path: dir.path().to_owned(), ..Request::default() };
        let plan = examine(&request).expect("examined");
        pack(&plan.jobs[0], &path, &Progress::default()).expect("packs");
        let mut again = packed(&path, Some("u"));
        assert!(text(&mut again, "inputs.txt").contains(r#""TAG": "u""#));
        assert!(text(&mut again, "inputs.txt").contains("1.0"));
        assert_eq!(text(&mut again, "sub/ä b").len(), 100_000);
        assert_eq!(again.len(), 5);
    }

    #[test]
    fn a_file_that_vanished_is_the_jobs_fault_and_not_the_machines() {
        let dir = example();
        let request = Request { path: dir.path().to_owned(), ..Request::default() };
        let plan = examine(&request).expect("examined");
        std::os::unix::fs::symlink("gone", dir.path().join("later")).expect("link");
        let to = tempfile::tempdir().expect("temp dir");
        let packed = pack(&plan.jobs[0], &to.path().join("z"), &Progress::default());
        assert!(matches!(packed, Err(PackError::Refused(_))), "{packed:?}");
    }
}
