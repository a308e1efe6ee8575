//! Buckets as folders: an object is a regular file, its key the path beneath the bucket's folder.
//!
//! Files that a person put there are objects like any other. An upload grows in `.shepard-tmp/` of its bucket and
//! is renamed into place, so a key shows a whole object or none, whatever is killed when; what was uploaded is
//! not forced to the disk, so a power cut may take the last seconds. Symbolic links are not objects: see
//! [`confined`]. Nothing here decides which object is a job.

mod confined;
mod list;
mod writer;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use shepard_model::ObjectRef;

use self::writer::LocalWriter;
use super::FlockDir;
use crate::error::{CloudError, Kind, Result};
use crate::ports::{ObjectMeta, Objects, Page, Part, Range, Writer};

/// Objects a page.
const PAGE: usize = 1000;

/// Bytes copied before it is asked whether anybody still wants the copy.
const STRIDE: u64 = 32 << 20;

/// The age at which a file in the temp folder is taken for a dead upload's, in seconds.
const STALE_S: i64 = 86_400;

/// The buckets of a local flock.
#[derive(Debug)]
pub struct LocalObjects {
    dir: FlockDir,
    /// Buckets whose dead uploads were cleared away by this process.
    swept: std::sync::Mutex<Vec<String>>,
}

impl LocalObjects {
    /// The buckets in a flock's folder. Opens nothing yet.
    pub fn new(dir: &FlockDir) -> Self {
        Self { dir: dir.clone(), swept: std::sync::Mutex::default() }
    }

    fn target(&self, operation: &'static str, object: &ObjectRef) -> Result<Target> {
        let path = self.dir.bucket(&object.bucket)?;
        let target = Target { operation, path, object: object.clone() };
        confined::place(&object.key).map_err(|problem| target.fail(Kind::Invalid).because(problem))?;
        Ok(target)
    }

    fn first_upload_to(&self, bucket: &str) -> bool {
        // A poisoned lock only means that another thread panicked between two of these lines.
        let mut swept = self.swept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let first = !swept.iter().any(|seen| seen == bucket);
        if first {
            swept.push(bucket.to_owned());
        }
        first
    }
}

#[async_trait]
impl Objects for LocalObjects {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta> {
        let target = self.target("look at", object)?;
        blocking(target.operation, move || target.head()).await
    }

    async fn get(&self, object: &ObjectRef, range: Range) -> Result<Part> {
        let target = self.target("read", object)?;
        blocking(target.operation, move || target.get(range)).await
    }

    async fn download(&self, object: &ObjectRef, to: &Path) -> Result<u64> {
        let target = self.target("download", object)?;
        let (to, wanted) = (to.to_owned(), Wanted::default());
        let flag = Arc::clone(&wanted.0);
        blocking(target.operation, move || target.download(&to, &flag)).await
    }

    async fn upload(&self, from: &Path, to: &ObjectRef) -> Result<ObjectMeta> {
        let target = self.target("upload", to)?;
        let (from, wanted) = (from.to_owned(), Wanted::default());
        let (flag, sweep) = (Arc::clone(&wanted.0), self.first_upload_to(&to.bucket));
        blocking(target.operation, move || target.upload(&from, sweep, &flag)).await
    }

    async fn begin(&self, to: &ObjectRef) -> Result<Box<dyn Writer>> {
        let target = self.target("upload", to)?;
        let sweep = self.first_upload_to(&to.bucket);
        let writer = blocking(target.operation, move || LocalWriter::begin(target, sweep)).await?;
        Ok(Box::new(writer))
    }

    async fn put_new(&self, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
        let target = self.target("write", object)?;
        let bytes = bytes.to_vec();
        blocking(target.operation, move || target.put_new(&bytes)).await
    }

    async fn list(&self, bucket: &str, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>> {
        let path = self.dir.bucket(bucket)?;
        let (bucket, prefix, after) = (bucket.to_owned(), prefix.to_owned(), from.unwrap_or("").to_owned());
        blocking("list the bucket", move || {
            let query = list::Query { prefix: &prefix, after: &after, want: PAGE + 1 };
            let folder = match confined::bucket(&path) {
                // A bucket that somebody removed is empty; the next upload makes it anew.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Page { items: Vec::new(), next: None });
                }
                folder => folder,
            };
            let mut found = folder
                .and_then(|folder| list::list(&folder, &query))
                .map_err(|error| CloudError::io("list the bucket", bucket.as_str(), error))?;
            let more = found.len() > PAGE;
            found.truncate(PAGE);
            let items: Vec<_> =
                found.into_iter().map(|(key, stat)| meta(&ObjectRef::new(&*bucket, key), &stat)).collect();
            let next = items.last().filter(|_| more).map(|last| last.object.key.clone());
            Ok(Page { items, next })
        })
        .await
    }

    async fn delete(&self, object: &ObjectRef) -> Result<()> {
        let target = self.target("delete", object)?;
        blocking(target.operation, move || match target.delete() {
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            done => done,
        })
        .await
    }
}

/// Says to the thread that copies, once it is dropped, that nobody waits for the copy any longer.
#[derive(Default)]
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One object and what is being done to it.
struct Target {
    operation: &'static str,
    path: PathBuf,
    object: ObjectRef,
}

impl Target {
    fn fail(&self, kind: Kind) -> CloudError {
        CloudError::new(self.operation, self.object.to_string(), kind)
    }

    fn io(&self, error: impl Into<io::Error>) -> CloudError {
        CloudError::io(self.operation, self.object.to_string(), error.into())
    }

    fn place(&self) -> Result<confined::Place<'_>> {
        confined::place(&self.object.key).map_err(|problem| self.fail(Kind::Invalid).because(problem))
    }

    fn bucket(&self) -> Result<OwnedFd> {
        confined::bucket(&self.path).map_err(|error| self.io(error))
    }

    fn head(&self) -> Result<ObjectMeta> {
        let stat = self.place()?.stat(self.bucket()?).map_err(|error| self.io(error))?;
        self.check_version(&stat)?;
        Ok(meta(&self.object, &stat))
    }

    fn open(&self) -> Result<(File, Stat)> {
        let (file, stat) = self.place()?.open(self.bucket()?).map_err(|error| self.io(error))?;
        self.check_version(&stat)?;
        Ok((file, stat))
    }

    fn check_version(&self, stat: &Stat) -> Result<()> {
        match &self.object.version {
            Some(wanted) if *wanted != version(stat) => {
                Err(self.fail(Kind::NotFound).because("the object has changed since it was uploaded"))
            }
            _ => Ok(()),
        }
    }

    /// A file that is written in place while it is read is neither the old version nor the new.
    fn check_unchanged(&self, file: &File) -> Result<()> {
        self.check_version(&rustix::fs::fstat(file).map_err(|error| self.io(error))?)
    }

    fn get(&self, range: Range) -> Result<Part> {
        let (mut file, stat) = self.open()?;
        let total = size(&stat);
        let (start, length) = match range {
            Range::From { start, length } => (start.min(total), length.min(total.saturating_sub(start))),
            Range::Suffix(length) => (total.saturating_sub(length), length.min(total)),
        };
        let mut bytes = Vec::new();
        // Asked for politely: a range too large for the memory is an error and not the end of the process.
        bytes
            .try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))
            .map_err(|error| self.fail(Kind::Invalid).because(error))?;
        file.seek(SeekFrom::Start(start)).map_err(|error| self.io(error))?;
        io::Read::by_ref(&mut file).take(length).read_to_end(&mut bytes).map_err(|error| self.io(error))?;
        self.check_unchanged(&file)?;
        Ok(Part { bytes, start, total })
    }

    fn download(&self, to: &Path, unwanted: &AtomicBool) -> Result<u64> {
        let at = |error| CloudError::io("download to", to.display().to_string(), error);
        if to.symlink_metadata().is_ok() {
            return Err(at(io::ErrorKind::AlreadyExists.into()));
        }
        let (source, _) = self.open()?;
        let folder = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut temp = tempfile::Builder::new()
            .prefix(".shepard-")
            // As any new file: what the user's mask leaves of it.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(at)?;
        let copied = copy(&source, temp.as_file_mut(), unwanted).map_err(at)?;
        self.check_unchanged(&source)?;
        temp.persist_noclobber(to).map_err(|failure| at(failure.error))?;
        Ok(copied)
    }

    /// Grows beside its key and is linked to it: a link never replaces what is there.
    fn put_new(&self, bytes: &[u8]) -> Result<bool> {
        let place = self.place()?;
        let mut temp = self.temp(false)?;
        temp.file.write_all(bytes).map_err(|error| self.io(error))?;
        let parent = place.parent(self.bucket()?, true).map_err(|error| self.io(error))?;
        match rustix::fs::linkat(&temp.folder, &temp.name, &parent, place.name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(self.io(error)),
        }
    }

    fn make_bucket(&self) -> Result<()> {
        match std::fs::create_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(self.io(error)),
            _ => Ok(()),
        }
    }

    /// A file for an upload to grow in; with `sweep` those of dead ones are removed.
    fn temp(&self, sweep: bool) -> Result<Temp> {
        self.make_bucket()?;
        let temps = confined::make_folder(&self.bucket()?, confined::TEMP).map_err(|error| self.io(error))?;
        let temp = Temp::new(temps).map_err(|error| self.io(error))?;
        if sweep && let Ok(now) = rustix::fs::fstat(&temp.file) {
            clear_dead_uploads(&temp.folder, &now);
        }
        Ok(temp)
    }

    fn upload(&self, from: &Path, sweep: bool, unwanted: &AtomicBool) -> Result<ObjectMeta> {
        let place = self.place()?;
        let source = File::open(from)
            .and_then(|file| Ok((file.metadata()?.is_file(), file)))
            .map_err(|error| CloudError::io("upload the file", from.display().to_string(), error))?;
        let (true, source) = source else {
            let error = CloudError::new("upload the file", from.display().to_string(), Kind::Invalid);
            return Err(error.because("it is not a regular file"));
        };
        let mut temp = self.temp(sweep)?;
        copy(&source, &mut temp.file, unwanted).map_err(|error| self.io(error))?;
        self.put(&mut temp, &place)?;
        let stat = rustix::fs::fstat(&temp.file).map_err(|error| self.io(error))?;
        Ok(meta(&self.object, &stat))
    }

    /// Gives the finished upload its key.
    fn put(&self, temp: &mut Temp, place: &confined::Place<'_>) -> Result<()> {
        let conflict = |why| Err(self.fail(Kind::Conflict).because(why));
        let mut tries = 0;
        loop {
            let parent = match place.parent(self.bucket()?, true) {
                Ok(parent) => parent,
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    return conflict("an object or a link has the name of a folder of the key");
                }
                Err(error) => return Err(self.io(error)),
            };
            tries += 1;
            match rustix::fs::renameat(&temp.folder, &temp.name, &parent, place.name) {
                Ok(()) => {
                    temp.kept = true;
                    return Ok(());
                }
                // A folder that nothing is left in stands in nobody's way.
                Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
                    let removed = rustix::fs::unlinkat(&parent, place.name, AtFlags::REMOVEDIR);
                    if removed.is_err() || tries > 3 {
                        return conflict("there are objects beneath the key already");
                    }
                }
                // Somebody removed the folder between the two steps.
                Err(Errno::NOENT) if tries <= 3 => {}
                Err(error) => return Err(self.io(error)),
            }
        }
    }

    fn delete(&self) -> Result<()> {
        // Looked at first: a folder or a link is no object, and neither is another version.
        self.head()?;
        self.place()?.remove(self.bucket()?).map_err(|error| self.io(error))
    }
}

/// A file in the temp folder, gone again unless it was kept.
struct Temp {
    folder: OwnedFd,
    name: String,
    file: File,
    kept: bool,
}

impl Temp {
    fn new(folder: OwnedFd) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            match rustix::fs::openat(&folder, &name, flags, Mode::from_raw_mode(0o666)) {
                Ok(file) => return Ok(Self { folder, name, file: file.into(), kept: false }),
                // Left by a dead process that had this one's number.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.kept && rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty()).is_err() {
            tracing::debug!(name = self.name, "an unfinished upload could not be removed");
        }
    }
}

/// Removes what uploads that were killed have left. Not being able to is no reason to refuse an upload.
fn clear_dead_uploads(folder: &OwnedFd, now: &Stat) {
    let Ok(names) = rustix::fs::Dir::read_from(folder) else { return };
    for name in names.flatten() {
        let Ok(name) = name.file_name().to_str() else { continue };
        if let Ok(Some(stat)) = confined::stat_in(folder, name)
            && stat.st_mtime.saturating_add(STALE_S) < now.st_mtime
            && rustix::fs::unlinkat(folder, name, AtFlags::empty()).is_ok()
        {
            tracing::info!(name, "removed what a dead upload had left");
        }
    }
}

/// Copies in constant memory, in the kernel where that can, until the end or until nobody wants it.
fn copy(from: &File, to: &mut File, unwanted: &AtomicBool) -> io::Result<u64> {
    let mut copied = 0;
    loop {
        if unwanted.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the copy was given up"));
        }
        match io::copy(&mut from.take(STRIDE), to)? {
            0 => return Ok(copied),
            some => copied += some,
        }
    }
}

fn meta(object: &ObjectRef, stat: &Stat) -> ObjectMeta {
    let modified_ms = modified_ns(stat).div_euclid(1_000_000);
    ObjectMeta {
        object: ObjectRef { version: Some(version(stat)), ..object.clone() },
        size: size(stat),
        modified_ms: i64::try_from(modified_ms).unwrap_or(i64::MAX),
    }
}

/// Changes whenever the file is replaced or written to, so that a file dropped anew is a new upload.
fn version(stat: &Stat) -> String {
    format!("{}-{}-{}", modified_ns(stat), stat.st_size, stat.st_ino)
}

fn modified_ns(stat: &Stat) -> i128 {
    i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec)
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Runs file work where blocking is allowed.
pub(super) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(CloudError::new(operation, "", Kind::Other).because(error)),
    }
}

#[cfg(test)]
mod tests;
