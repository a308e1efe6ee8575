//! Jobs in containers: images that the tests make themselves, and a witness of which payloads live.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use shepard_cloud::local::{FlockDir, Settings};
use shepard_engine::{ContainerInfo, Engine};
use shepard_model::Isolation;
use shepard_model::names::container::LABEL_OWNER;
use shepard_testkit::image::Image;

/// Runs a test that waits.
pub fn block<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

/// An image of a static busybox whose entry point is a script; gone when it is dropped.
pub struct Made {
    pub name: String,
    address: Option<String>,
}

impl Made {
    /// Loads it into the engine at `address`, or the one of this machine.
    pub async fn of(script: &str, address: Option<&str>) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("shepard-test-local-{}-{count}:1", std::process::id());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("image.tar");
        let config = serde_json::json!({"Entrypoint": ["sh", "/entry.sh"]});
        let files = vec![("/entry.sh".to_owned(), script.as_bytes().to_vec())];
        // The name in it too: an image of its own, which goes with its name.
        let created = format!("2026-01-01T00:{:02}:{:02}Z", count % 60, std::process::id() % 60);
        Image { files, created, ..Image::new(config) }.write(&file, &name).unwrap();
        let engine = Engine::connect(address).await.unwrap();
        engine.load(&file, &mut |_| {}).await.unwrap();
        Self { name, address: address.map(str::to_owned) }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let (name, address) = (self.name.clone(), self.address.clone());
        let removal = std::thread::spawn(move || {
            block(async {
                if let Ok(engine) = Engine::connect(address.as_deref()).await {
                    let _ = engine.remove_image(&name).await;
                }
            });
        });
        let _ = removal.join();
    }
}

/// Settings of a flock that runs its jobs in containers of an image, on the host's network so that they reach the
/// witness.
pub fn contained(image: &Made) -> impl FnOnce(&mut Settings) {
    let image = image.name.clone();
    move |settings| {
        settings.image = Some(image);
        settings.isolation = Isolation { host_network: true, ..Isolation::default() };
    }
}

/// The flock's containers, whatever they do.
pub async fn containers_of(dir: &FlockDir, address: Option<&str>) -> Vec<ContainerInfo> {
    let owner = dir.path().canonicalize().unwrap();
    let engine = Engine::connect(address).await.unwrap();
    engine.labelled(LABEL_OWNER, Some(owner.to_str().unwrap())).await.unwrap()
}

/// What an engine answers to a GET, without the head.
pub fn ask(socket: &str, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Sees which payloads live: each holds a connection from its beginning to its end, and the kernel closes it at the
/// moment its container is gone. Sees as well what they say.
pub struct Witness {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    alive: HashMap<String, Vec<TcpStream>>,
    begun: HashMap<String, usize>,
    twice: Vec<String>,
}

/// Shell code that makes itself known to the witness at `$PORT` and goes on once it is seen.
pub const WITNESSED: &str = r#"
mkfifo /tmp/to /tmp/from
nc 127.0.0.1 "$PORT" < /tmp/to > /tmp/from &
exec 3> /tmp/to 4< /tmp/from
echo "$UUID" >&3
read -r go <&4 || exit 90
"#;

impl Witness {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let also = Arc::clone(&seen);
        // Ends with the process: it waits for nobody.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&also);
                std::thread::spawn(move || greet(stream, &seen));
            }
        });
        Self { port, seen }
    }

    /// Jobs of which two payloads lived at once.
    pub fn twice(&self) -> Vec<String> {
        self.seen.lock().unwrap().twice.clone()
    }

    /// How often payloads of a job began.
    pub fn begun(&self, id: &str) -> usize {
        self.seen.lock().unwrap().begun.get(id).copied().unwrap_or(0)
    }

    /// How many payloads live.
    pub fn alive(&self) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.alive
            .values_mut()
            .map(|streams| {
                streams.retain(is_open);
                streams.len()
            })
            .sum()
    }
}

fn greet(stream: TcpStream, seen: &Mutex<Seen>) {
    let mut id = String::new();
    if BufReader::new(&stream).read_line(&mut id).is_err() || id.is_empty() {
        return;
    }
    let id = id.trim().to_owned();
    let mut answer = stream.try_clone().unwrap();
    {
        let mut seen = seen.lock().unwrap();
        *seen.begun.entry(id.clone()).or_default() += 1;
        let others = seen.alive.entry(id.clone()).or_default();
        others.retain(is_open);
        others.push(stream);
        if others.len() > 1 {
            seen.twice.push(id);
        }
    }
    let _ = answer.write_all(b"go\n");
}

/// Whether the other side still has it: a closed one reads as ended.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut byte = [0];
    matches!(stream.peek(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
