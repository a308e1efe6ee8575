//! The built program in a terminal of its own, watched from outside.
#![allow(dead_code, reason = "not every bench looks at everything")]
#![allow(clippy::disallowed_methods, reason = "a bench measures")]

use std::io::{Read as _, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_shepard");
const ROWS: NonZero<u16> = NonZero::new(40).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(120).unwrap();
/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(300);

struct Seen {
    screen: vt100::Parser,
    bytes: u64,
    first: Option<Instant>,
    last: Instant,
    ended: bool,
}

/// A program on a terminal of 120 by 40.
pub(crate) struct Session {
    pub(crate) child: Box<dyn Child + Send + Sync>,
    pub(crate) started: Instant,
    keys: Box<dyn Write + Send>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    _master: Box<dyn MasterPty + Send>,
}

impl Session {
    /// `shepard` at once, with its directories below `home`.
    pub(crate) fn start(home: &Path, arguments: &[&str]) -> Self {
        Self::of(BINARY, home, arguments)
    }

    /// Any program.
    pub(crate) fn of(program: &str, home: &Path, arguments: &[&str]) -> Self {
        let size = PtySize { rows: ROWS.get(), cols: COLUMNS.get(), pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env_clear();
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", home);
        command.cwd(home);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let now = Instant::now();
        let seen = Seen {
            screen: vt100::Parser::new(ROWS, COLUMNS, 0),
            bytes: 0,
            first: None,
            last: now,
            ended: false,
        };
        let seen = Arc::new((Mutex::new(seen), Condvar::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let now = Instant::now();
                let mut seen = shared.0.lock().unwrap();
                seen.ended = read == 0;
                seen.bytes += read as u64;
                seen.first.get_or_insert(now);
                seen.last = now;
                seen.screen.process(&buffer[..read]);
                shared.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        Self { child, started, keys, seen, _master: pair.master }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Waits until the picture is as wanted; when the bytes came that made it so.
    pub(crate) fn until(&self, wanted: impl Fn(&str) -> bool) -> Instant {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            let picture = seen.screen.screen().contents();
            if wanted(&picture) {
                return seen.last;
            }
            assert!(!seen.ended && Instant::now() < end, "what was waited for never came:\n{picture}");
            seen = self.seen.1.wait_timeout(seen, Duration::from_secs(1)).unwrap().0;
        }
    }

    /// When the first byte came.
    pub(crate) fn first_byte(&self) -> Instant {
        self.until(|_| true);
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            if let Some(first) = seen.first {
                return first;
            }
            seen = self.seen.1.wait(seen).unwrap();
        }
    }

    pub(crate) fn picture(&self) -> String {
        self.seen.0.lock().unwrap().screen.screen().contents()
    }

    /// Bytes that came so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.seen.0.lock().unwrap().bytes
    }

    pub(crate) fn press(&mut self, keys: &str) -> Instant {
        let now = Instant::now();
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        now
    }

    /// Asks it to end, and waits.
    pub(crate) fn end(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the kernel says of a process.
pub(crate) struct Usage {
    /// Resident memory now, at its most, and what of it belongs to no file; in megabytes of 10⁶ bytes.
    pub(crate) resident: f64,
    pub(crate) most: f64,
    pub(crate) private: f64,
    /// Time on a processor, of all threads that live.
    pub(crate) cpu: Duration,
    /// The same in the clock ticks that `top` counts, 10 ms each, of all threads there ever were.
    pub(crate) ticks: u64,
    /// Times a thread was woken.
    pub(crate) wakes: u64,
    pub(crate) threads: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let field = |text: &str, name: &str| -> u64 {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
        };
        let status = read("status");
        let megabytes = |name: &str| field(&status, name) as f64 * 1024.0 / 1e6;
        let (mut cpu, mut wakes) = (0, 0);
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let tid = task.file_name().to_string_lossy().into_owned();
            let ran = read(&format!("task/{tid}/schedstat"));
            cpu += ran.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
            wakes += field(&read(&format!("task/{tid}/status")), "voluntary_ctxt_switches");
        }
        // The name in parentheses may hold anything, so counting begins behind it.
        let stat = read("stat");
        let numbers: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|word| word.parse().unwrap_or(0))
            .collect();
        Self {
            resident: megabytes("VmRSS:"),
            most: megabytes("VmHWM:"),
            private: megabytes("RssAnon:"),
            cpu: Duration::from_nanos(cpu),
            ticks: numbers.get(11).unwrap_or(&0) + numbers.get(12).unwrap_or(&0),
            wakes,
            threads: field(&status, "Threads:"),
        }
    }
}
