//! The emulators of AWS that others wrote, started for a test and ended after it, and boto3 to set them up with.
//!
//! Each runs in a process group of its own, on a loopback port of its own; the whole group ends with the test,
//! because MiniStack leaves children behind that spin otherwise.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{self, Request};
use super::runtime::{PATIENCE, now_ms};

/// Runs the emulator and waits for the end of its own input, which comes when the test ends, however it ends; then the
/// whole group goes.
const KEEPER: &str = r#"command -v "$1" >/dev/null || exit 127; exec 3<&0; "$@" </dev/null 3<&- & cat <&3 >/dev/null; kill -9 0"#;

/// A running emulator.
pub struct Emulator {
    pub address: SocketAddr,
    child: Child,
    directory: tempfile::TempDir,
}

impl Emulator {
    pub fn moto() -> Self {
        let how = "moto is missing; install it with: pip install 'moto[server]==5.2.5'";
        let emulator = Self::start("moto_server", how, |command, port| {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        });
        // Batch's jobs are only written down: no Docker, and they are over at once.
        emulator.post("/moto-api/config", &json!({ "batch": { "use_docker": false } }));
        emulator
    }

    pub fn ministack() -> Self {
        let how = "MiniStack is missing; install it with: pip install ministack==1.5.33";
        Self::start("ministack", how, |command, port| {
            command
                .env("BIND_HOST", "127.0.0.1")
                .env("GATEWAY_PORT", port.to_string())
                // What it hands to the functions it runs.
                .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
                .env("AWS_EC2_METADATA_DISABLED", "true")
                // Its MQTT listener would bind 0.0.0.0.
                .env("IOT_MTLS_ENABLED", "0");
        })
    }

    fn start(program: &str, how: &str, settings: impl FnOnce(&mut Command, u16)) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let directory = tempfile::tempdir().expect("a directory");
        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        let mut command = Command::new("sh");
        command
            .args(["-c", KEEPER, "keeper", program])
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0);
        settings(&mut command, address.port());
        let child = command.spawn().unwrap_or_else(|error| panic!("sh is missing ({error})"));
        let mut emulator = Self { address, child, directory };
        let until = now_ms() + PATIENCE.as_millis() as u64;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = emulator.child.try_wait().expect("its status") {
                panic!("{program} ended ({status}); {how}\n{}", emulator.log());
            }
            assert!(now_ms() < until, "{program} does not listen\n{}", emulator.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        emulator
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// boto3, speaking to this emulator.
    pub fn boto(&self) -> Boto {
        Boto::start(&self.url())
    }

    fn post(&self, path: &str, body: &Value) {
        let request = Request {
            method: "POST".to_owned(),
            target: path.to_owned(),
            headers: vec![
                ("Host".to_owned(), self.address.to_string()),
                ("Content-Type".to_owned(), "application/json".to_owned()),
            ],
            body: body.to_string().into_bytes(),
        };
        let answer = http::send(self.address, &request).expect("an answer");
        assert!(answer.status < 300, "{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A Python process that makes the calls it is told.
pub struct Boto {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Boto {
    fn start(endpoint: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/boto.py");
        let mut child = Command::new("python3")
            .arg(script)
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_DEFAULT_REGION", super::REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("python3 is missing; install it and boto3 ({error})"));
        let pipes =
            (child.stdin.take().expect("a pipe"), BufReader::new(child.stdout.take().expect("a pipe")));
        let boto = Self { child, pipes: Mutex::new(pipes) };
        let mut pipes = boto.pipes.lock().expect("the pipes");
        assert_eq!(read(&mut pipes.1), Ok(json!("ready")));
        drop(pipes);
        boto
    }

    /// Makes a call; the error is boto3's code and words.
    pub fn try_call(&self, service: &str, call: &str, args: &Value) -> Result<Value, String> {
        self.ask(&json!({ "service": service, "call": call, "args": args }))
    }

    #[track_caller]
    pub fn call(&self, service: &str, call: &str, args: &Value) -> Value {
        self.try_call(service, call, args).unwrap_or_else(|error| panic!("{service} {call}: {error}"))
    }

    /// All pages of a list at once.
    #[track_caller]
    pub fn pages(&self, service: &str, call: &str, args: &Value) -> Value {
        self.ask(&json!({ "service": service, "call": call, "args": args, "pages": true }))
            .unwrap_or_else(|error| panic!("{service} {call}: {error}"))
    }

    fn ask(&self, asked: &Value) -> Result<Value, String> {
        let mut pipes = self.pipes.lock().expect("the pipes");
        writeln!(pipes.0, "{asked}").expect("boto3 listens");
        read(&mut pipes.1)
    }
}

fn read(from: &mut impl BufRead) -> Result<Value, String> {
    let mut line = String::new();
    from.read_line(&mut line).expect("boto3 answers");
    let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(error.to_owned()),
        None => Ok(answer["ok"].take()),
    }
}

impl Drop for Boto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
