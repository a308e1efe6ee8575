//! The emulators of AWS that others wrote, each started once for all cases of this process, and flocks on them.
//!
//! Each runs in a process group of its own on a free loopback port. A shell at the head of the group waits for this
//! process to end, in whatever way, and then ends the group: MiniStack leaves children behind that spin.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
#[cfg(feature = "account")]
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use shepard_cloud::aws::{self, AwsSettings, Jobs, Profile};
use shepard_cloud::ports::Buckets;
#[cfg(feature = "account")]
use shepard_cloud::ports::{LogFrom, LogLine, LogPage, LogSource};
#[cfg(feature = "account")]
use shepard_cloud::{Logs, Result};

use crate::Subject;

/// The region that the emulators claim to be in.
const REGION: &str = "us-east-1";
/// Starts the program in the arguments after the first, which is a folder; when its input ends, everything goes.
const KEEPER: &str = r#"
dir=$1; shift
"$@" </dev/null >"$dir/log" 2>&1 &
cat >/dev/null
kill -9 $!
rm -rf "$dir"
kill -9 0
"#;

/// A running emulator.
pub(crate) struct Emulator {
    dir: PathBuf,
    port: u16,
    setup: Mutex<Setup>,
    flocks: AtomicUsize,
    /// Its input ends with this process, and with it the emulator.
    _keeper: Child,
}

struct Setup {
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// It ends with its input.
    _child: Child,
}

/// What `setup.py` made.
#[derive(Deserialize)]
struct Made {
    buckets: std::collections::HashMap<String, String>,
    table: String,
    queue_url: String,
    queue_arn: String,
    job_queue: String,
    job_definition: String,
}

impl Emulator {
    /// Starts a program: `{port}` in an argument becomes the port, the environment is made of it.
    pub(crate) fn start(
        program: &str,
        arguments: &[&str],
        environment: impl FnOnce(u16) -> Vec<(&'static str, String)>,
    ) -> Self {
        for needed in [program, "python3"] {
            assert!(
                on_path(needed),
                "{needed} is not installed; run: pip install ministack==1.5.33 'moto[server]==5.2.5'"
            );
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let port = port.expect("a loopback port").port();
        let dir = std::env::temp_dir().join(format!("shepard-{program}-{}-{port}", std::process::id()));
        std::fs::create_dir(&dir).expect("a folder");
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .arg(program)
            .args(arguments.iter().map(|argument| argument.replace("{port}", &port.to_string())))
            .envs(environment(port))
            // What it writes goes with the folder.
            .env("TMPDIR", &dir)
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("a shell");
        wait_for(program, port, &dir);
        let endpoint = format!("http://127.0.0.1:{port}");
        std::fs::write(dir.join("config"), profile(&endpoint)).expect("a profile");
        let setup = Mutex::new(Setup::start(&endpoint));
        Self { dir, port, setup, flocks: AtomicUsize::new(0), _keeper: keeper }
    }

    /// Tells the emulator something that is no service's.
    pub(crate) fn post(&self, path: &str, body: &str) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
        let length = body.len();
        let head = "Host: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n";
        write!(stream, "POST {path} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(" 20"), "{path}: {answer}");
    }

    /// Makes the parts of a flock that nobody else knows of.
    fn make(&self, suffix: &str) -> Made {
        let name = format!("flock-{}{suffix}", self.flocks.fetch_add(1, Ordering::Relaxed));
        let made = self.ask(&name.into());
        serde_json::from_value(made).expect("what setup.py made")
    }

    /// Puts an item into a flock's table, as a program of somebody else's would.
    pub(crate) fn put_item(&self, table: &str, item: &serde_json::Value) {
        self.ask(&serde_json::json!({ "TableName": table, "Item": item }));
    }

    /// Puts a value into a flock's secret, as somebody else would.
    pub(crate) fn put_secret(&self, put: &serde_json::Value) {
        self.ask(put);
    }

    /// The secrets of a flock of which nothing else is known.
    pub(crate) async fn secrets(&self, name: &str) -> impl shepard_cloud::Secrets + use<> {
        aws::secrets_of(name.to_owned(), &self.profile()).await
    }

    /// Makes a repository of images with these tags; gives its URI.
    pub(crate) fn repository(&self, name: &str, tags: &[&str]) -> String {
        let made = self.ask(&serde_json::json!({ "repositoryName": name, "tags": tags }));
        made.as_str().expect("a URI").to_owned()
    }

    pub(crate) fn profile(&self) -> Profile {
        Profile { name: Some("emulator".into()), file: Some(self.dir.join("config")), ..Profile::default() }
    }

    fn ask(&self, what: &serde_json::Value) -> serde_json::Value {
        let mut setup = self.setup.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        writeln!(setup.ask, "{what}").expect("setup.py runs");
        let mut line = String::new();
        setup.answers.read_line(&mut line).expect("setup.py answers");
        serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("setup.py failed; it says why on its error output"))
    }

    /// A fresh, empty flock.
    pub(crate) async fn fresh(&self) -> Subject {
        let made = self.make("");
        self.subject(&made, Some(made.queue_url.clone())).await
    }

    /// The same, with a table that has a stream.
    #[cfg(feature = "account")]
    pub(crate) async fn fresh_streamed(&self) -> Subject {
        let made = self.make("-streamed");
        self.subject(&made, Some(made.queue_url.clone())).await
    }

    /// The same, with logs that the cases can write as a log driver does.
    #[cfg(feature = "account")]
    pub(crate) async fn fresh_logs(&'static self) -> Subject {
        let made = self.make("");
        let mut subject = self.subject(&made, None).await;
        let inner = Arc::clone(&subject.ports.logs);
        subject.ports.logs =
            Arc::new(Driven { emulator: self, group: format!("/flock/{}", made.table), inner });
        subject
    }

    /// The same, with a queue of which only the ARN is known.
    pub(crate) async fn fresh_by_arn(&self) -> Subject {
        let made = self.make("");
        self.subject(&made, Some(made.queue_arn.clone())).await
    }

    /// A fresh flock, and the name of its table.
    pub(crate) async fn fresh_with_table(&self) -> (Subject, String) {
        let made = self.make("");
        (self.subject(&made, None).await, made.table)
    }

    async fn subject(&self, made: &Made, queue: Option<String>) -> Subject {
        let bucket = |part: &str| made.buckets[part].clone();
        let buckets = Buckets {
            inputs: bucket("inputs"),
            outputs: bucket("outputs"),
            quick_deploy: bucket("code"),
            errors: bucket("errors"),
        };
        let settings = AwsSettings {
            buckets,
            table: made.table.clone(),
            queue,
            dead_letters: None,
            secrets: Some(made.table.clone()),
            jobs: Some(Jobs { queue: made.job_queue.clone(), definition: made.job_definition.clone() }),
            keep_days: 30,
            profile: self.profile(),
        };
        let temp = tempfile::tempdir().expect("temp");
        let scratch = temp.path().join("scratch");
        std::fs::create_dir(&scratch).expect("scratch");
        let ports = aws::connect(settings).await.ports();
        Subject { ports, scratch, _keep: Box::new(temp) }
    }
}

/// Logs that are written by a worker's container and its log driver, and read by the port.
#[cfg(feature = "account")]
struct Driven {
    emulator: &'static Emulator,
    group: String,
    inner: Arc<dyn Logs>,
}

#[cfg(feature = "account")]
#[async_trait::async_trait]
impl Logs for Driven {
    async fn append(&self, stream: &str, lines: &[LogLine]) -> Result<()> {
        let event = |line: &LogLine| {
            let before = match line.source {
                LogSource::Stdout => "[out]",
                LogSource::Stderr => "[err]",
                LogSource::Worker => "[shepard]",
            };
            serde_json::json!({ "timestamp": line.at_ms, "message": format!("{before} {}", line.text) })
        };
        let events: Vec<_> = lines.iter().map(event).collect();
        let (group, events) = (&self.group, serde_json::Value::from(events));
        self.emulator.ask(&serde_json::json!({
            "logGroupName": group, "logStreamName": stream, "logEvents": events
        }));
        Ok(())
    }

    async fn read(&self, stream: &str, from: &LogFrom, limit: usize) -> Result<LogPage> {
        self.inner.read(&format!("{}:{stream}", self.group), from, limit).await
    }
}

/// The SDK's own settings, in a file of their own: the endpoint of an emulator is set as a user would set it.
fn profile(endpoint: &str) -> String {
    format!(
        "[profile emulator]\nregion = {REGION}\nendpoint_url = {endpoint}\naws_access_key_id = test\n\
         aws_secret_access_key = test\n"
    )
}

impl Setup {
    fn start(endpoint: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/setup.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args([endpoint, REGION])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let (ask, answers) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Self { ask, answers: BufReader::new(answers), _child: child }
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn wait_for(program: &str, port: u16, dir: &Path) {
    for _ in 0..600 {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    panic!("{program} does not listen after a minute:\n{log}");
}
