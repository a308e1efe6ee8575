//! The log of a job on AWS: lines on standard output, which the compute's log driver takes to CloudWatch.
//!
//! ```text
//! [out] a line of the payload's standard output
//! [err] a line of its standard error
//! [shepard] a line of the worker's
//! ```
//!
//! Nothing else needs a permission for it. What was written is kept in a bounded [`Kept`] for as long as the attempt
//! lasts, so that a failed job's log can be put beside its partial outputs.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use shepard_cloud::CloudError;
use shepard_cloud::error::{Kind, Result};
use shepard_cloud::ports::{Clock, LogFrom, LogLine, LogPage, LogSource, Logs};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::kept::Kept;

/// Batches between the log and the thread that writes. Full, whoever has lines waits, and the payload with him.
const BATCHES: usize = 16;
/// How long, in milliseconds, is waited for an output that takes nothing. After that lines are lost at once until it
/// takes some again: a log driver that hangs must not hold a job for good.
const PATIENCE_MS: u64 = 30_000;
const WRITE: &str = "write to the log";

/// Lines on an output that somebody else keeps.
pub(crate) struct OutputLogs {
    clock: Arc<dyn Clock>,
    batches: mpsc::Sender<Vec<u8>>,
    state: Arc<Mutex<State>>,
    /// The log that is being written.
    open: Mutex<Option<(String, Kept)>>,
}

/// What the writing thread says.
#[derive(Default)]
struct State {
    /// Why the output takes no more, ever.
    broken: Option<String>,
    /// It takes nothing at present.
    stuck: bool,
}

impl OutputLogs {
    /// Logs on `output`, which a thread of its own writes to. `tail` is for the test of its end alone.
    pub(crate) fn new(clock: Arc<dyn Clock>, output: impl Write + Send + 'static) -> (Self, Tail) {
        let (batches, received) = mpsc::channel(BATCHES);
        let state = Arc::new(Mutex::new(State::default()));
        let (told, done) = tokio::sync::oneshot::channel();
        let thread = Arc::clone(&state);
        std::thread::spawn(move || {
            write_all(output, received, &thread);
            // Nobody may be waiting.
            let _ = told.send(());
        });
        (Self { clock, batches, state, open: Mutex::new(None) }, Tail(done))
    }

    /// Keeps lines in the copy. A disk that takes none is no reason to keep them from the log.
    fn keep(&self, stream: &str, lines: &[LogLine]) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let before = open.as_ref().map(|(name, _)| name.clone());
        let is_new = before.as_deref() != Some(stream);
        if is_new {
            // One attempt runs at a time, and what was said of the one before is in its results by now.
            *open = Kept::new()
                .inspect_err(|error| tracing::warn!(%error, "the log cannot be kept for the errors bucket"))
                .ok()
                .map(|copy| (stream.to_owned(), copy));
        }
        if let Some((_, copy)) = open.as_mut()
            && let Err(error) = copy.add(lines)
        {
            tracing::warn!(%error, "lines of the log cannot be kept for the errors bucket");
        }
        is_new && before.is_some()
    }

    fn refused(&self, stream: &str, why: &str) -> CloudError {
        CloudError::new(WRITE, stream, Kind::Other).because(why)
    }
}

/// The end of the output: what was appended is written when this is.
pub(crate) struct Tail(tokio::sync::oneshot::Receiver<()>);

impl Tail {
    /// Waits until everything is written, or until an output that takes nothing has had its time. Every clone of the
    /// logs has to be gone.
    pub(crate) async fn written(self, clock: &dyn Clock) {
        tokio::select! {
            _ = self.0 => {}
            () = clock.sleep_ms(PATIENCE_MS) => {}
        }
    }
}

#[async_trait]
impl Logs for OutputLogs {
    async fn append(&self, stream: &str, lines: &[LogLine]) -> Result<()> {
        let another = self.keep(stream, lines);
        let mut text = Vec::with_capacity(lines.iter().map(|line| line.text.len() + 12).sum());
        if another {
            // The jobs of a pack share one output.
            text.extend_from_slice(format!("[shepard] what follows is of {stream}\n").as_bytes());
        }
        for line in lines {
            print(line, &mut text);
        }
        let stuck = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(why) = &state.broken {
                return Err(self.refused(stream, why));
            }
            state.stuck
        };
        let text = match self.batches.try_send(text) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(self.refused(stream, "the output is closed")),
            Err(TrySendError::Full(_)) if stuck => {
                return Err(self.refused(stream, "the output takes no lines"));
            }
            Err(TrySendError::Full(text)) => text,
        };
        tokio::select! {
            biased;
            sent = self.batches.send(text) => {
                sent.map_err(|_| self.refused(stream, "the output is closed"))
            }
            () = self.clock.sleep_ms(PATIENCE_MS) => {
                self.state.lock().unwrap_or_else(PoisonError::into_inner).stuck = true;
                Err(self.refused(stream, "the output takes no lines"))
            }
        }
    }

    async fn read(&self, stream: &str, from: &LogFrom, limit: usize) -> Result<LogPage> {
        const READ: &str = "read the log";
        let place = match from {
            LogFrom::Start => None,
            LogFrom::Token(token) => Some(token.as_str()),
            LogFrom::Tail(_) | LogFrom::Since(_) => {
                let error = CloudError::new(READ, stream, Kind::Invalid);
                return Err(error.because("a worker reads its log from the start"));
            }
        };
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.as_ref() {
            Some((name, copy)) if name == stream => {
                copy.read(place, limit).map_err(|error| CloudError::io(READ, stream, error))
            }
            _ => Ok(LogPage { lines: Vec::new(), next: String::new(), more: false }),
        }
    }
}

fn print(line: &LogLine, to: &mut Vec<u8>) {
    to.extend_from_slice(match line.source {
        LogSource::Stdout => b"[out] ",
        LogSource::Stderr => b"[err] ",
        LogSource::Worker => b"[shepard] ",
    });
    to.extend(line.text.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
    to.push(b'\n');
}

/// Writes batches until nobody has any more, or the output takes none.
fn write_all(mut output: impl Write, mut batches: mpsc::Receiver<Vec<u8>>, state: &Mutex<State>) {
    while let Some(batch) = batches.blocking_recv() {
        let written = output.write_all(&batch).and_then(|()| output.flush());
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Ok(()) => state.stuck = false,
            Err(error) => {
                // Not for standard error to know alone: who has lines is told, and the log counts what is lost.
                state.broken = Some(format!("the output is broken: {error}"));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use shepard_cloud::ports::WallClock;

    use super::*;

    /// A clock whose waits are over at once.
    struct Hurried;

    #[async_trait]
    impl Clock for Hurried {
        fn now_ms(&self) -> i64 {
            0
        }
        async fn sleep_ms(&self, _: u64) {}
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Takes a write only when it is let.
    struct Gated(Receiver<()>, Shared);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(source: LogSource, text: &str) -> LogLine {
        LogLine { at_ms: 7, source, text: text.to_owned() }
    }

    fn gated() -> (OutputLogs, Tail, SyncSender<()>, Shared) {
        // A test lets at most as many writes as it has batches.
        let (let_it, gate) = sync_channel(1_000);
        let shared = Shared::default();
        let (logs, tail) = OutputLogs::new(Arc::new(Hurried), Gated(gate, shared.clone()));
        (logs, tail, let_it, shared)
    }

    #[tokio::test]
    async fn lines_say_who_wrote_them_and_come_back_with_their_time() {
        let shared = Shared::default();
        let (logs, tail) = OutputLogs::new(Arc::new(WallClock), shared.clone());
        let first = [
            line(LogSource::Stdout, "one"),
            line(LogSource::Stderr, "a\nb"),
            line(LogSource::Worker, "three"),
        ];
        logs.append("s-1-1", &first[..1]).await.unwrap();
        logs.append("s-1-1", &first[1..]).await.unwrap();
        let page = logs.read("s-1-1", &LogFrom::Start, 2).await.unwrap();
        assert_eq!(
            (page.lines.as_slice(), page.more),
            (&[first[0].clone(), line(LogSource::Stderr, "a b")][..], true)
        );
        let rest = logs.read("s-1-1", &LogFrom::Token(page.next), 9).await.unwrap();
        assert_eq!((rest.lines, rest.more), (vec![first[2].clone()], false));

        // Another job of the pack: its log has nothing of the first one's.
        logs.append("t-1-1", &[line(LogSource::Worker, "four")]).await.unwrap();
        assert_eq!(logs.read("t-1-1", &LogFrom::Start, 9).await.unwrap().lines.len(), 1);
        assert_eq!(logs.read("s-1-1", &LogFrom::Start, 9).await.unwrap().lines, []);
        drop(logs);
        tail.written(&WallClock).await;
        let said = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            said,
            "[out] one\n[err] a b\n[shepard] three\n[shepard] what follows is of t-1-1\n[shepard] four\n"
        );
    }

    #[tokio::test]
    async fn a_closed_output_is_an_error_and_the_copy_has_the_lines() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (logs, tail) = OutputLogs::new(Arc::new(WallClock), writer);
        let mut refused = 0;
        for _ in 0..3 {
            // The first may be taken before the thread has found out.
            refused += usize::from(logs.append("s", &[line(LogSource::Stdout, "x")]).await.is_err());
        }
        while logs.append("s", &[]).await.is_ok() {
            tokio::task::yield_now().await;
        }
        let error = logs.append("s", &[line(LogSource::Stdout, "y")]).await.unwrap_err();
        assert!(error.to_string().contains("the output is"), "{error}");
        assert!(refused <= 3);
        assert_eq!(logs.read("s", &LogFrom::Start, 99).await.unwrap().lines.len(), 4);
        drop(logs);
        tail.written(&WallClock).await;
    }

    #[tokio::test]
    async fn an_output_that_takes_nothing_holds_nobody_for_good_and_may_recover() {
        let (logs, tail, let_it, shared) = gated();
        let mut taken = 0;
        let error = loop {
            match logs.append("s", &[line(LogSource::Stdout, "x")]).await {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken <= BATCHES + 1, "it takes more than there is room for");
        };
        assert!(error.to_string().contains("takes no lines"), "{error}");
        for _ in 0..taken {
            let_it.send(()).unwrap();
        }
        // Room again, and lines are taken again.
        let_it.send(()).unwrap();
        while logs.append("s", &[line(LogSource::Stdout, "last")]).await.is_err() {
            tokio::task::yield_now().await;
        }
        drop(logs);
        tail.written(&WallClock).await;
        let said = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        assert_eq!(said.matches("[out] x\n").count(), taken);
        assert!(said.ends_with("[out] last\n"), "{said}");
    }
}
