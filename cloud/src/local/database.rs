//! The flock's SQLite file: opening it, its schema, and how its many processes take turns.
//!
//! The console, the supervisor and every worker have the file open at once. Writes are immediate transactions, so
//! that two of them never find out half-way that they cannot both be; a reader never waits for a writer (WAL). Each
//! process has one connection to write with and, once it reads, another to read with, so that a screen is not kept
//! waiting by a write that waits its turn. What the tables mean is the business of the modules beside this one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

use crate::error::{CloudError, Kind, Result};

/// How long a connection waits for its turn before it says that it had none, in milliseconds.
const BUSY_MS: u64 = 10_000;

/// How often a turn is asked for before the caller is told, where the answer was "busy".
const TURNS: u32 = 3;

/// Marks the file as ours ("SHPD"), so that another program's database is never taken for one.
const APPLICATION: i32 = 0x5348_5044;

/// What makes a database of version `n + 1` of one of version `n`. A line that has been released is never changed.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// A flock's database. Clones share its connections.
#[derive(Clone)]
pub(super) struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Opened by the first read: a worker that only writes never pays for it.
    reader: OnceLock<Mutex<Connection>>,
    /// Whose turn it is with either connection. Asked for before a thread is taken, so that a thousand tasks that
    /// wait are a thousand futures and not as many threads.
    writing: Arc<Semaphore>,
    reading: Arc<Semaphore>,
}

/// Why a piece of work on the database failed.
pub(super) enum Failure {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// The work itself says so.
    Cloud(CloudError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        Self::Cloud(error)
    }
}

impl Database {
    /// Opens the file, makes it where it is missing, and brings it up to date. Blocks.
    ///
    /// # Errors
    /// `Invalid` where the file is not a flock's database or is a newer one than this program knows.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut writer = connect(path)?;
        in_turn(|| migrate(&mut writer)).map_err(|failure| explain("open the database", path, failure))?;
        let shared = Shared {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            reader: OnceLock::new(),
            writing: Arc::new(Semaphore::new(1)),
            reading: Arc::new(Semaphore::new(1)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs a piece of work that changes something: all of it, or where it fails none of it.
    pub(super) async fn write<T, F>(&self, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.blocking(operation, &self.shared.writing, move |shared| {
            let writer = lock(&shared.writer);
            // Only the beginning can find the database busy: from there on it is this transaction's. Dropped on the
            // way out of a failure, it rolls back.
            let begin = || Ok(Transaction::new_unchecked(&writer, TransactionBehavior::Immediate)?);
            let transaction = in_turn(begin)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
    }

    /// Runs a piece of work that only reads; what it sees is one moment's state.
    pub(super) async fn read<T, F>(&self, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        self.blocking(operation, &self.shared.reading, move |shared| {
            let mut reader = lock(shared.reader()?);
            let transaction = reader.transaction_with_behavior(TransactionBehavior::Deferred)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
    }

    async fn blocking<T, F>(&self, operation: &'static str, turn: &Arc<Semaphore>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Shared) -> Result<T, Failure> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let lost = |error: Box<dyn std::error::Error + Send + Sync>| {
            CloudError::new(operation, self.shared.path.display().to_string(), Kind::Other).because(error)
        };
        let turn = Arc::clone(turn).acquire_owned().await.map_err(|error| lost(error.into()))?;
        let done = tokio::task::spawn_blocking(move || {
            // Kept to the end of the work, also where nobody waits for it any more.
            let _turn = turn;
            work(&shared).map_err(|failure| explain(operation, &shared.path, failure))
        });
        done.await.map_err(|error| lost(Box::from(error)))?
    }
}

impl Shared {
    fn reader(&self) -> Result<&Mutex<Connection>> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        // Two first readers may both connect; one connection is kept, the other closed.
        let reader = connect(&self.path)?;
        Ok(self.reader.get_or_init(|| Mutex::new(reader)))
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    // A panic in a piece of work has rolled its transaction back; the connection is as good as before.
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path) -> Result<Connection> {
    let opened = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_millis(BUSY_MS))?;
        connection.set_prepared_statement_cache_capacity(64);
        identify(&connection)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A power cut may take the last moments, never the file; a crash of ours takes nothing.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "temp_store", "memory")?;
        // A burst of changes may leave a long log; once it is written back it is cut to this, in bytes.
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        Ok(connection)
    };
    in_turn(opened).map_err(|failure| explain("open the database", path, failure))
}

/// Tells our databases, and new ones, from everything else, before anything is written.
fn identify(connection: &Connection) -> Result<usize, Failure> {
    let moment = connection.unchecked_transaction()?;
    let number = |name| moment.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let things: i64 = moment.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    let refuse = |why: String| Failure::Cloud(CloudError::new("", "", Kind::Invalid).because(why));
    match (application, usize::try_from(version).unwrap_or(usize::MAX)) {
        (0, 0) if things == 0 => Ok(0),
        (APPLICATION, version) if version > MIGRATIONS.len() => Err(refuse(format!(
            "a newer shepard made it (its version is {version}, this program knows {}); update shepard",
            MIGRATIONS.len()
        ))),
        (APPLICATION, version) => Ok(version),
        _ => Err(refuse("it is the database of some other program; move it away".to_owned())),
    }
}

fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    if identify(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again: another process may have been first.
    let version: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for step in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX))?;
    Ok(transaction.commit()?)
}

/// Tries again where the database is busy. SQLite itself has waited already in most cases; in some (the change to
/// WAL, two recoveries at once) it answers at once.
fn in_turn<T>(mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    for turn in 1..TURNS {
        match work() {
            Err(Failure::Sqlite(error)) if is_busy(&error) => {
                std::thread::sleep(Duration::from_millis(u64::from(turn) * 50));
            }
            result => return result,
        }
    }
    work()
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// A failure as the ports tell it.
fn explain(operation: &'static str, path: &Path, failure: Failure) -> CloudError {
    let target = path.display().to_string();
    let error = match failure {
        // Raised by this module, which did not know the operation.
        Failure::Cloud(error) if error.operation.is_empty() => {
            return CloudError { operation, target, ..error };
        }
        Failure::Cloud(error) => return error,
        Failure::Sqlite(error) => error,
    };
    let (kind, help) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Kind::Throttled, "too many processes at once")
        }
        Some(ErrorCode::DiskFull) => (Kind::Full, "the disk is full"),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            (Kind::Invalid, "it is damaged or no database at all; move it away to begin anew")
        }
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => (Kind::Denied, "it cannot be written"),
        Some(ErrorCode::CannotOpen) if path.parent().is_some_and(|folder| !folder.is_dir()) => {
            (Kind::NotFound, "its folder is not there")
        }
        Some(ErrorCode::CannotOpen) => (Kind::Denied, "it cannot be opened"),
        _ => return CloudError::new(operation, target, Kind::Other).because(error),
    };
    CloudError::new(operation, target, kind).because(format!("{help} ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temp() -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("state.db");
        (temp, path)
    }

    fn refused(path: &Path) -> CloudError {
        Database::open(path).err().expect("must be refused")
    }

    #[test]
    fn what_is_not_a_flocks_database_is_refused_with_a_reason_and_left_alone() {
        let (_temp, path) = temp();
        std::fs::write(&path, "these are only words, and more than a header's worth of them; ".repeat(40))
            .expect("write");
        let error = refused(&path);
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.to_string().contains("damaged or no database"), "{error}");

        std::fs::remove_file(&path).expect("remove");
        Connection::open(&path).expect("open").execute_batch("CREATE TABLE theirs (x)").expect("table");
        let before = std::fs::read(&path).expect("read");
        let error = refused(&path);
        assert!(error.to_string().contains("some other program"), "{error}");
        assert_eq!(std::fs::read(&path).expect("read"), before);

        let error = refused(Path::new("/nonexistent/folder/state.db"));
        assert_eq!(error.kind, Kind::NotFound, "{error}");
    }

    #[test]
    fn a_newer_database_is_refused_and_a_known_one_opened_again() {
        let (_temp, path) = temp();
        drop(Database::open(&path).expect("new"));
        drop(Database::open(&path).expect("again"));
        let connection = Connection::open(&path).expect("open");
        connection.pragma_update(None, "user_version", 99).expect("version");
        let error = refused(&path);
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.to_string().contains("update shepard"), "{error}");
    }

    #[test]
    fn many_may_open_a_new_one_at_once() {
        let (_temp, path) = temp();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Database::open(&path).map(drop))).collect();
            for thread in threads {
                thread.join().expect("join").expect("open");
            }
        });
    }

    #[tokio::test]
    async fn work_that_fails_or_panics_changes_nothing_and_the_next_goes_on() {
        let (_temp, path) = temp();
        let database = Database::open(&path).expect("open");
        let insert = |tx: &Transaction<'_>| tx.execute("UPDATE last_change SET seq = seq + 1", []);
        let failed = database
            .write("test", move |tx| {
                insert(tx)?;
                Err::<(), _>(Failure::Cloud(CloudError::new("do", "this", Kind::Conflict)))
            })
            .await;
        assert_eq!(failed.expect_err("fails").kind, Kind::Conflict);
        let panicked = database
            .write("test", move |tx| -> Result<(), Failure> {
                insert(tx)?;
                panic!("in the middle")
            })
            .await;
        assert_eq!(panicked.expect_err("fails").kind, Kind::Other);
        database.write("test", move |tx| Ok(insert(tx)?)).await.expect("goes on");
        let seq = database
            .read("test", |c| Ok(c.query_row("SELECT seq FROM last_change", [], |row| row.get::<_, i64>(0))?))
            .await;
        assert_eq!(seq.expect("read"), 1);
    }

    #[tokio::test]
    async fn a_full_disk_is_called_so() {
        let (_temp, path) = temp();
        let database = Database::open(&path).expect("open");
        let full = database
            .write("test", |tx| {
                tx.pragma_update(None, "max_page_count", 30)?;
                for _ in 0..1_000 {
                    tx.execute("INSERT INTO dead_letters (body, dead_ms) VALUES (?, 0)", ["x".repeat(4096)])?;
                }
                Ok(())
            })
            .await;
        assert_eq!(full.expect_err("full").kind, Kind::Full);
        database
            .write("test", |tx| Ok(tx.execute("UPDATE last_change SET seq = 1", [])?))
            .await
            .expect("what needs no room goes on");
    }
}
