//! MiniStack for the tests of what is done to an account: started for a test, ended after it, and boto3 to look at it
//! with other eyes than ours.
//!
//! It runs in a process group of its own on a loopback port of its own; a shell at the head of the group waits for the
//! end of the test, in whatever way it comes, and then ends the group: MiniStack leaves children behind that spin.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

const REGION: &str = "us-east-1";
const KEEPER: &str = r#"command -v "$1" >/dev/null || exit 127; exec 3<&0; "$@" </dev/null 3<&- & cat <&3 >/dev/null; kill -9 0"#;

/// A running MiniStack.
pub struct Ministack {
    pub address: SocketAddr,
    child: Child,
    dir: tempfile::TempDir,
    boto: Mutex<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Ministack {
    pub fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let dir = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", KEEPER, "keeper", "ministack"])
            .current_dir(dir.path())
            .env("TMPDIR", dir.path())
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", address.port().to_string())
            .env("AWS_ENDPOINT_URL", format!("http://{address}"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("IOT_MTLS_ENABLED", "0")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        for _ in 0..1800 {
            if TcpStream::connect(address).is_ok() {
                let boto = Mutex::new(boto(&format!("http://{address}")));
                return Self { address, child, dir, boto };
            }
            assert!(
                child.try_wait().unwrap().is_none(),
                "MiniStack is missing; install it with: pip install ministack==1.5.33"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("MiniStack does not listen");
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Sends the SDK here.
    pub fn aim(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", self.url())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true");
    }

    /// One call of boto3.
    #[track_caller]
    pub fn call(&self, service: &str, call: &str, args: &Value) -> Value {
        self.try_call(service, call, args).unwrap_or_else(|error| panic!("{service} {call}: {error}"))
    }

    pub fn try_call(&self, service: &str, call: &str, args: &Value) -> Result<Value, String> {
        let mut boto = self.boto.lock().unwrap();
        writeln!(boto.1, "{}", json!({ "service": service, "call": call, "args": args })).unwrap();
        let mut line = String::new();
        boto.2.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
        if let Ok(boto) = self.boto.get_mut() {
            let _ = boto.0.kill();
            let _ = boto.0.wait();
        }
    }
}

fn boto(endpoint: &str) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let mut child = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("lambdas/bootstrap/tests/support/boto.py"))
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("ready"), "{line}");
    (child, input, output)
}

/// The zip of the Lambda program, of the one that was built with these tests.
pub fn lambda_zip(dir: &Path) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_shepard")).with_file_name("bootstrap");
    let program = std::env::var_os("SHEPARD_BOOTSTRAP").map_or(built, PathBuf::from);
    let bytes = std::fs::read(&program).unwrap_or_else(|error| {
        panic!("{}: {error}; build everything first: cargo test --workspace --no-run", program.display())
    });
    let to = dir.join("lambda.zip");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&to).unwrap());
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .unix_permissions(0o755);
    zip.start_file("bootstrap", options).unwrap();
    zip.write_all(&bytes).unwrap();
    zip.finish().unwrap();
    to
}

/// Waits for something to become so; gives up only where it never does.
pub fn until(mut so: impl FnMut() -> bool) {
    for _ in 0..1800 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it never came to be");
}
