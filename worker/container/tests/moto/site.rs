//! A place to run flocks at: moto, which starts a real container for every job of Batch, a registry, an engine, and the
//! worker's image. Everything is on loopback, and everything ends and goes with the test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use shepard_engine::{Engine, Wrap, WrapPayload};
use shepard_testkit::image::Image;

pub(crate) const REGION: &str = "us-east-1";
/// The musl target of this machine's processor.
const TARGET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-musl" } else { "x86_64-unknown-linux-musl" };
/// Runs a program; when its own input ends, which it does with the test, everything goes.
const KEEPER: &str = r#"
dir=$1; shift
"$@" </dev/null >>"$dir/log" 2>&1 &
cat >/dev/null
kill -9 $!
kill -9 0
"#;

/// What the tests need beside an engine is here.
pub(crate) fn is_possible() -> bool {
    let has = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
    };
    let target = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let target = target.is_ok_and(|said| Path::new(String::from_utf8_lossy(&said.stdout).trim()).is_dir());
    let buildable = target && has("musl-gcc");
    shepard_testkit::image::busybox().is_some()
        && has("moto_server")
        && has("docker-registry")
        && (std::env::var_os("SHEPARD_WORKER").is_some() || buildable)
}

/// The static worker: the one that `SHEPARD_WORKER` names, or one that is built now.
fn worker() -> &'static Path {
    static WORKER: OnceLock<PathBuf> = OnceLock::new();
    WORKER.get_or_init(|| {
        if let Some(path) = std::env::var_os("SHEPARD_WORKER") {
            return path.into();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(root)
            .args(["build", "--locked", "--package", "shepard-container", "--bin", "worker", "--profile"])
            .args(["quick", "--target", TARGET, "--message-format", "json-render-diagnostics"])
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo");
        assert!(output.status.success(), "the worker cannot be built");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find_map(|said| said["executable"].as_str().map(PathBuf::from))
            .expect("cargo says where it put the worker")
    })
}

/// A program that ends with the test.
struct Kept {
    keeper: Child,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // The end of its input is the end of it all.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port").port()
}

fn keep(dir: &Path, program: &str, arguments: &[&str], environment: &[(&str, String)], port: u16) -> Kept {
    let keeper = Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(dir)
        .arg(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
        .current_dir(dir)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("a shell");
    let kept = Kept { keeper };
    for _ in 0..600 {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return kept;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{program} does not listen:\n{}", std::fs::read_to_string(dir.join("log")).unwrap_or_default());
}

/// The place.
pub(crate) struct Site {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) engine: Engine,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) name: String,
    pub(crate) endpoint: String,
    registry: String,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    images: Mutex<Vec<String>>,
    _programs: Vec<Kept>,
    _talker: Child,
}

impl Site {
    pub(crate) fn new(test: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let engine = runtime.block_on(Engine::connect(None)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (port, registry_port) = (free_port(), free_port());
        let moto = keep(
            dir.path(),
            "moto_server",
            &["-H", "127.0.0.1", "-p", &port.to_string()],
            &[("DOCKER_HOST", engine.address().to_owned()), ("MOTO_DOCKER_NETWORK_MODE", "host".to_owned())],
            port,
        );
        let settings = dir.path().join("registry.yml");
        std::fs::write(
            &settings,
            format!(
                "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{registry_port}\n",
                dir.path().join("registry").display()
            ),
        )
        .unwrap();
        let settings = settings.display().to_string();
        let registry = keep(dir.path(), "docker-registry", &["serve", &settings], &[], registry_port);
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut talker = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moto/setup.py"))
            .args([endpoint.as_str(), REGION])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let talk = (talker.stdin.take().unwrap(), BufReader::new(talker.stdout.take().unwrap()));
        std::fs::create_dir_all("/mnt/root").expect("the contract's folder");
        Self {
            runtime,
            engine,
            dir,
            name: format!("moto-{test}-{}", std::process::id()),
            endpoint,
            registry: format!("127.0.0.1:{registry_port}"),
            talk: Mutex::new(talk),
            images: Mutex::default(),
            _programs: vec![moto, registry],
            _talker: talker,
        }
    }

    /// Asks `setup.py`.
    pub(crate) fn ask(&self, what: &Value) -> Value {
        let mut talk = self.talk.lock().unwrap();
        writeln!(talk.0, "{what}").expect("setup.py runs");
        let mut line = String::new();
        talk.1.read_line(&mut line).expect("setup.py answers");
        let answer: Value = serde_json::from_str(&line).expect("setup.py says why on its error output");
        assert!(answer.get("error").is_none(), "{what}: {answer}");
        answer
    }

    /// A payload of this test alone that runs a script, saved; and the digest of its configuration.
    fn payload(&self, script: &str, user: &str) -> (PathBuf, String) {
        let mut image = Image::new(json!({
            "Cmd": ["sh", "-c", script], "User": user, "Labels": { "test": self.name },
        }));
        image.files = vec![("/who".to_owned(), self.name.clone().into_bytes())];
        let tar = self.dir.path().join("payload.tar");
        let hex = image.write(&tar, "payload_image:latest").expect("a payload");
        self.images.lock().unwrap().push(format!("sha256:{hex}"));
        (tar, hex)
    }

    /// The flock's image with the payload in it; gives its name.
    pub(crate) fn nested(&self, script: &str, user: &str) -> String {
        let (tar, hex) = self.payload(script, user);
        self.wrap(WrapPayload::Nested { tar, id: format!("sha256:{hex}") })
    }

    /// The flock's image that names a payload in the registry; gives its name, and the payload's.
    pub(crate) fn digest(&self, script: &str, user: &str) -> (String, String) {
        let (tar, _) = self.payload(script, user);
        let push = json!({ "registry": self.registry, "repository": self.name, "tar": tar });
        let digest = self.ask(&json!({ "push": push }));
        let image = format!("{}/{}@{}", self.registry, self.name, digest.as_str().expect("a digest"));
        (self.wrap(WrapPayload::Digest(image.clone())), image)
    }

    fn wrap(&self, payload: WrapPayload) -> String {
        let tag = format!("{}:latest", self.name);
        let labels = [("shepard.release".to_owned(), "test".to_owned())].into();
        let wrap = Wrap { worker: worker().to_owned(), payload, labels, tag: tag.clone() };
        self.runtime.block_on(self.engine.wrap(&wrap, |_, _| {})).expect("the flock's image");
        self.images.lock().unwrap().push(tag.clone());
        tag
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for image in self.images.lock().unwrap().drain(..).rev() {
            // A payload that was never loaded is not there.
            let _ = self.runtime.block_on(self.engine.remove_image(&image));
        }
        // Only where no other test has anything there.
        let _ = std::fs::remove_dir("/mnt/root/.shepard");
        let _ = std::fs::remove_dir("/mnt/root");
    }
}
