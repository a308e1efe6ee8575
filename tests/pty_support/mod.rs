//! A person at a terminal: the built binary in a pseudo-terminal, keys in, a parsed screen out.
//!
//! Nothing here sleeps and hopes: every wait is for something to be on the screen, or in the bytes, and gives up
//! only after [`PATIENCE`], with the screen in the message.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod meadow;
pub mod ministack;

use std::fs::{self, File};
use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::LocalModes;
use shepard::app::key::{Code, script};

/// How long a wait lasts before it has failed. Long, because tests share two cores with builds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// XDG directories, a home, and a folder to work in; gone with its flocks when it is dropped.
pub struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("shep").tempdir().unwrap();
        for name in ["data", "config/shepard", "state", "home", "work"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    /// With a flock whose jobs run this script.
    pub fn with_flock(name: &str, run_sh: &str) -> Self {
        let world = Self::new();
        world.payload("payload", run_sh);
        world.ok(&["local", "create", name, "--quick-deploy", "payload", "--max-jobs", "2"]);
        world
    }

    /// The folder that everything runs in.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config/shepard")
    }

    /// Where a flock lies.
    pub fn flock(&self, name: &str) -> PathBuf {
        self.dir.path().join("data/shepard/flocks").join(name)
    }

    /// A folder with a `run.sh`.
    pub fn payload(&self, name: &str, run_sh: &str) {
        let folder = self.work().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("run.sh"), run_sh).unwrap();
    }

    /// A folder that can be batched.
    pub fn job(&self, path: &str, inputs: &str) {
        let folder = self.work().join(path);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("inputs.txt"), inputs).unwrap();
    }

    /// What every process of this world finds in its environment.
    fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        vec![
            ("PATH".into(), std::env::var("PATH").unwrap_or_default()),
            ("HOME".into(), path("home")),
            ("XDG_DATA_HOME".into(), path("data")),
            ("XDG_CONFIG_HOME".into(), path("config")),
            ("XDG_STATE_HOME".into(), path("state")),
            ("TERM".into(), "xterm-256color".into()),
            ("LANG".into(), "C.UTF-8".into()),
        ]
    }

    /// Runs a subcommand to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[])
    }

    /// Runs a subcommand to its end, with more in its environment.
    pub fn run_with(&self, arguments: &[&str], more: &[(&str, String)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_shepard"))
            .args(arguments)
            .env_clear()
            .envs(self.environment())
            .envs(more.iter().map(|(name, value)| (*name, value)))
            .current_dir(self.work())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a subcommand; it must succeed. Gives what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Opens the console at 80×24.
    pub fn console(&self, arguments: &[&str]) -> Term {
        self.console_with(arguments, &[], (80, 24))
    }

    /// Opens the console with more in its environment, at a size.
    pub fn console_with(&self, arguments: &[&str], more: &[(&str, &str)], size: (u16, u16)) -> Term {
        self.spawn(env!("CARGO_BIN_EXE_shepard"), arguments, more, size)
    }

    /// Runs any program in a terminal.
    pub fn spawn(&self, program: &str, arguments: &[&str], more: &[(&str, &str)], size: (u16, u16)) -> Term {
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env_clear();
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        for (name, value) in more {
            command.env(name, value);
        }
        command.cwd(self.work());
        Term::spawn(command, size)
    }
}

impl Drop for World {
    /// A test that failed half-way must not leave a supervisor behind.
    fn drop(&mut self) {
        let flocks =
            fs::read_dir(self.dir.path().join("data/shepard/flocks")).into_iter().flatten().flatten();
        for flock in flocks {
            if let Some(name) = flock.file_name().to_str() {
                let _ = self.run(&["local", "rm", name, "--yes", name]);
            }
        }
    }
}

/// What has come out of the terminal so far.
struct Seen {
    parser: vt100::Parser,
    raw: Vec<u8>,
    closed: bool,
    /// The one who reads is to let go of the terminal.
    leave: bool,
}

/// A terminal with a program in it.
pub struct Term {
    master: Option<Box<dyn MasterPty + Send>>,
    /// Kept open, so that the terminal can be looked at when the program is gone.
    _slave: Box<dyn SlavePty + Send>,
    tty: PathBuf,
    child: Box<dyn Child + Send + Sync>,
    writer: Option<Box<dyn Write + Send>>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

impl Term {
    fn spawn(command: CommandBuilder, (cols, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let tty = pair.master.tty_name().unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(cells(rows), cells(cols), 200);
        let seen = Arc::new((
            Mutex::new(Seen { parser, raw: Vec::new(), closed: false, leave: false }),
            Condvar::new(),
        ));
        let into = Arc::clone(&seen);
        let child = pair.slave.spawn_command(command).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let (seen, news) = &*into;
                let mut seen = seen.lock().unwrap();
                if read == 0 || seen.leave {
                    seen.closed = true;
                } else {
                    seen.raw.extend_from_slice(&buffer[..read]);
                    seen.parser.process(&buffer[..read]);
                }
                news.notify_all();
                if seen.closed {
                    // Whoever waits for this to be said waits for the terminal to be let go of as well.
                    drop(reader);
                    return;
                }
            }
        });
        Self { master: Some(pair.master), _slave: pair.slave, tty, child, writer: Some(writer), seen }
    }

    fn wait(&self, what: &str, so: impl Fn(&Seen) -> bool) {
        let (seen, news) = &*self.seen;
        let (seen, late) = news.wait_timeout_while(seen.lock().unwrap(), PATIENCE, |seen| !so(seen)).unwrap();
        if late.timed_out() {
            let screen = seen.parser.screen().contents();
            drop(seen);
            panic!("{what}; the screen is\n{screen}\n");
        }
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn see(&self, text: &str) -> &Self {
        self.wait(&format!("never saw {text:?}"), |seen| seen.parser.screen().contents().contains(text));
        self
    }

    /// Waits until a text is not on the screen.
    #[track_caller]
    pub fn gone(&self, text: &str) -> &Self {
        self.wait(&format!("{text:?} stays"), |seen| !seen.parser.screen().contents().contains(text));
        self
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub fn until(&self, what: &str, so: impl Fn(&vt100::Screen) -> bool) -> &Self {
        self.wait(what, |seen| so(seen.parser.screen()));
        self
    }

    /// What is on the screen, each line without the spaces at its end.
    pub fn screen(&self) -> String {
        let seen = self.seen.0.lock().unwrap();
        let (_, width) = seen.parser.screen().size();
        let lines: Vec<String> =
            seen.parser.screen().rows(0, width.get()).map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }

    /// Every byte that came.
    pub fn raw(&self) -> Vec<u8> {
        self.seen.0.lock().unwrap().raw.clone()
    }

    /// Presses keys, written as in `app::key::script`. Escape comes last or alone: with a character behind it, it
    /// would be that character with Alt.
    pub fn press(&mut self, keys: &str) -> &mut Self {
        let mut bytes = Vec::new();
        let keys = script(keys).unwrap();
        for (at, key) in keys.iter().enumerate() {
            assert!(key.code != Code::Esc || at + 1 == keys.len(), "escape has to be the last of a script");
            match key.code {
                Code::Char(c) if key.ctrl => bytes.push((c as u8) & 0x1f),
                Code::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                Code::Enter => bytes.push(b'\r'),
                Code::Esc => bytes.push(0x1b),
                Code::Tab => bytes.push(b'\t'),
                Code::Backspace => bytes.push(0x7f),
                Code::BackTab => bytes.extend_from_slice(b"\x1b[Z"),
                Code::Up => bytes.extend_from_slice(b"\x1b[A"),
                Code::Down => bytes.extend_from_slice(b"\x1b[B"),
                Code::Right => bytes.extend_from_slice(b"\x1b[C"),
                Code::Left => bytes.extend_from_slice(b"\x1b[D"),
                other => panic!("{other:?} is not known here"),
            }
        }
        let before = self.seen.0.lock().unwrap().raw.len();
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(&bytes).unwrap();
        writer.flush().unwrap();
        if keys.last().is_some_and(|key| key.code == Code::Esc) {
            // A key that follows before this one was read would be that key with Alt. Every key is answered by a
            // frame, so the next byte says that it was read.
            self.wait("escape was not answered", |seen| seen.raw.len() > before || seen.closed);
        }
        self
    }

    /// Types a text.
    pub fn type_text(&mut self, text: &str) -> &mut Self {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        writer.flush().unwrap();
        self
    }

    /// Changes the size of the terminal, as a person does who drags its corner.
    pub fn resize(&mut self, cols: u16, rows: u16) -> &mut Self {
        // The parser first: what is drawn for the new size must not be read at the old one.
        self.seen.0.lock().unwrap().parser.set_size(cells(rows), cells(cols));
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        self.master.as_ref().unwrap().resize(size).unwrap();
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(pid(self.pid()), signal).unwrap();
    }

    /// The terminal is taken: the alternate screen, and keys one by one.
    pub fn is_taken(&self) -> bool {
        let alternate = self.seen.0.lock().unwrap().parser.screen().alternate_screen();
        alternate && !self.is_cooked()
    }

    /// Lines are edited and echoed by the terminal, as a shell expects.
    fn is_cooked(&self) -> bool {
        let modes = rustix::termios::tcgetattr(File::open(&self.tty).unwrap()).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits until the terminal is as a shell expects it.
    #[track_caller]
    pub fn restored(&self) -> &Self {
        self.until("the terminal is never given back", |screen| {
            !screen.alternate_screen()
                && !screen.hide_cursor()
                && !screen.bracketed_paste()
                && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
        });
        // The modes are set right after the bytes.
        eventually("the terminal stays raw", || self.is_cooked());
        self
    }

    /// Waits for the program to end; gives its exit code.
    pub fn ended(&mut self) -> u32 {
        let mut status = None;
        let child = &mut self.child;
        eventually("the program does not end", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().exit_code()
    }

    /// The terminal goes away, as when a window is closed.
    pub fn hang_up(&mut self) {
        self.seen.0.lock().unwrap().leave = true;
        // What is drawn for another size wakes the thread that reads, which holds the terminal too.
        self.resize(90, 30);
        self.wait("nothing is drawn", |seen| seen.closed);
        self.writer = None;
        self.master = None;
    }

    /// Writes over the screen behind the program's back.
    pub fn scribble(&self, text: &str) {
        let mut tty = fs::OpenOptions::new().write(true).open(&self.tty).unwrap();
        tty.write_all(text.as_bytes()).unwrap();
    }

    /// How many bytes came while the terminal was left alone for so long.
    pub fn bytes_in(&self, time: Duration) -> usize {
        let (seen, news) = &*self.seen;
        let seen = seen.lock().unwrap();
        let before = seen.raw.len();
        let (seen, _) = news.wait_timeout_while(seen, time, |seen| seen.raw.len() == before).unwrap();
        seen.raw.len() - before
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// Waits for something outside the terminal.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if so() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}");
}

/// The fields of `/proc/PID/stat` from the state on.
pub fn stat(pid: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name before may hold anything, brackets and spaces too.
    let rest = stat.rsplit_once(") ").unwrap().1;
    rest.split_whitespace().map(str::to_owned).collect()
}

/// Clock ticks a process has computed for, in itself and in the kernel.
pub fn ticks(pid: u32) -> u64 {
    let stat = stat(pid);
    stat[11].parse::<u64>().unwrap() + stat[12].parse::<u64>().unwrap()
}

/// An example of this package, built if it is not there yet: `cargo test --test …` alone does not build them.
pub fn example(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_shepard")).with_file_name("examples").join(name);
    if !path.exists() {
        let target = path.ancestors().nth(3).unwrap();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--example", name, "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success());
    }
    path
}
