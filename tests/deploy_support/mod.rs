//! What the tests of deploying share: a registry of their own, a proxy before it that fails where it is told to, folders
//! that can be built without any other registry, and a deployer.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shepard::operations::deploy::{
    DeployProgress, Deployer, Deployment, Registries, Request, Source, Target,
};
use shepard::operations::{OperationError, Result};
use shepard_cloud::CloudError;
use shepard_cloud::images::{Login, Logins, Registry as _, Repository};
use shepard_cloud::ports::WallClock;
use shepard_cloud::registry::Oci;
use shepard_engine::Engine;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// `me` with the password `hush`, as `htpasswd -B` writes it.
const USERS: &str = "me:$2y$05$s/mqAFFFFKGJgh/lCtxR8eo2k0o7O.2mlGwj89yj.Kc.Cd/Ev4erO\n";

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Debian's `docker-registry` on a free port, ended with this.
pub struct Registry {
    dir: TempDir,
    child: Child,
    pub port: u16,
}

impl Registry {
    pub fn start() -> Self {
        Self::with_users(false)
    }

    pub fn with_users(users: bool) -> Self {
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let at = dir.path().display();
        std::fs::write(dir.path().join("users"), USERS).unwrap();
        let auth = format!("auth:\n  htpasswd:\n    realm: test\n    path: {at}/users\n");
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {at}/data\nhttp:\n  \
             addr: 127.0.0.1:{port}\n{}",
            if users { &auth } else { "" }
        );
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is not installed; apt-get install docker-registry");
        let registry = Self { dir, child, port };
        for _ in 0..1_000 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return registry;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the registry does not come up");
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What is done to a request instead of passing it on.
pub type Fault = Box<dyn Fn(&str, &str) -> Option<&'static str> + Send>;

/// A proxy that takes one request a connection, so that it can look at each.
#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    pub seen: Arc<Mutex<Vec<(String, String)>>>,
    fault: Arc<Mutex<Fault>>,
}

/// Answers of a registry that cannot or will not.
pub const BROKEN: &str = "500 Internal Server Error";
pub const FORBIDDEN: &str = "403 Forbidden";
pub const MISSING: &str = "404 Not Found";
/// No answer at all.
pub const GONE: &str = "";

impl Proxy {
    pub fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            seen: Arc::default(),
            fault: Arc::new(Mutex::new(Box::new(|_, _| None))),
        };
        let own = proxy.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.one(stream, upstream));
            }
        });
        proxy
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn fail(&self, fault: impl Fn(&str, &str) -> Option<&'static str> + Send + 'static) {
        *self.fault.lock().unwrap() = Box::new(fault);
    }

    fn one(&self, mut client: TcpStream, upstream: u16) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if client.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut words = text.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        self.seen.lock().unwrap().push((method.to_owned(), path.to_owned()));
        let fault = (self.fault.lock().unwrap())(method, path);
        if let Some(status) = fault {
            if !status.is_empty() {
                let body = r#"{"errors":[{"code":"DENIED","message":"by the test"}]}"#;
                let body = if status == FORBIDDEN { body } else { "{}" };
                let length = if method == "HEAD" { 0 } else { body.len() };
                let body = &body[..length];
                let _ = write!(
                    client,
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{body}"
                );
            }
            let _ = client.shutdown(Shutdown::Write);
            // Read to its end, or the client would see a reset in place of the answer.
            let _ = client.set_read_timeout(Some(Duration::from_millis(500)));
            while client.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
            return;
        }
        let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)) else { return };
        let (first, rest) = text.split_once("\r\n").unwrap();
        let _ = write!(server, "{first}\r\nConnection: close\r\n{rest}");
        let (mut up, mut from) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let sending = std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut up);
        });
        let _ = std::io::copy(&mut server, &mut client);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        let _ = sending.join();
    }
}

/// Logins by host; the home registry is the first host there is.
#[derive(Default)]
pub struct Fixed {
    pub home: String,
    pub logins: HashMap<String, Login>,
}

#[async_trait]
impl Logins for Fixed {
    async fn home(&self) -> std::result::Result<String, CloudError> {
        Ok(self.home.clone())
    }

    async fn login(&self, host: &str) -> std::result::Result<Option<Login>, CloudError> {
        Ok(self.logins.get(host).cloned())
    }
}

pub fn me(host: &str, password: &str) -> Login {
    Login { server: host.to_owned(), username: "me".into(), password: password.to_owned() }
}

/// A folder, an engine, and names that nobody else has. What is under those names is removed at the end.
pub struct Bench {
    _alone: std::sync::MutexGuard<'static, ()>,
    pub runtime: tokio::runtime::Runtime,
    pub engine: Engine,
    pub dir: TempDir,
    pub name: String,
    tags: Mutex<Vec<String>>,
}

impl Bench {
    pub fn new(test: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // One after the other: what a deploy leaves behind is told by what is there after it.
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let engine = runtime.block_on(Engine::connect(None)).unwrap();
        let dir = TempDir::new().unwrap();
        let architecture = runtime.block_on(engine.host()).unwrap().architecture;
        std::fs::write(dir.path().join("worker"), program(&architecture)).unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("deploy-test-{test}-{}-{count}", std::process::id());
        Self { _alone: alone, runtime, engine, dir, name, tags: Mutex::default() }
    }

    pub fn worker(&self) -> PathBuf {
        self.dir.path().join("worker")
    }

    /// A folder with these files and a static busybox.
    pub fn folder(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.dir.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        std::fs::copy(busybox.expect("busybox-static is not installed"), folder.join("busybox")).unwrap();
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        // So that nothing of another test's is kept under the name of this folder.
        self.tags.lock().unwrap().push(kept(&folder));
        folder
    }

    /// A folder whose image holds its text.
    pub fn simple(&self, name: &str, text: &str) -> PathBuf {
        let dockerfile = "FROM scratch\nCOPY text /text\nCMD [\"/text\"]\n";
        self.folder(name, &[("Dockerfile", dockerfile), (".dockerignore", "busybox"), ("text", text)])
    }

    pub fn deployer(&self, logins: Fixed) -> Deployer {
        Deployer {
            engine: self.engine.clone(),
            registries: Registries { logins: Arc::new(logins), registry: Arc::new(Oci) },
            clock: Arc::new(WallClock),
            scratch: self.dir.path().join("scratch"),
        }
    }

    pub fn request(&self, folder: PathBuf, repository: &str) -> Request {
        let target = Target::Repository(repository.to_owned());
        Request {
            worker: Some(self.worker()),
            // An engine of a build machine may have no network of its own.
            network: Some("host".to_owned()),
            ..Request::new(Source::Folder(folder), target)
        }
    }

    pub fn deploy(&self, logins: Fixed, request: &Request) -> (Result<Deployment>, Vec<DeployProgress>) {
        let mut told = Vec::new();
        let deployer = self.deployer(logins);
        let stop = CancellationToken::new();
        let mut tell = |at: &DeployProgress| told.push(at.clone());
        let done = self.runtime.block_on(deployer.deploy(request, &mut tell, &stop));
        (done, told)
    }

    pub fn refused(&self, logins: Fixed, request: &Request) -> String {
        let error: OperationError = self.deploy(logins, request).0.expect_err("it cannot be deployed");
        let said = error.to_string();
        assert!(!said.contains('\n') && !said.contains("hush"), "{said}");
        said
    }

    /// What a registry has under a tag.
    pub fn digest(&self, host: &str, name: &str, tag: &str, login: Option<&Login>) -> Option<String> {
        let repository = Repository { host: host.to_owned(), name: name.to_owned() };
        self.runtime.block_on(Oci.digests(&repository, login, &[tag.to_owned()])).unwrap().pop().flatten()
    }

    pub fn tags(&self, host: &str, name: &str) -> Vec<String> {
        let repository = Repository { host: host.to_owned(), name: name.to_owned() };
        let mut tags = self.runtime.block_on(Oci.tags(&repository, None, None)).unwrap().items;
        tags.sort();
        tags
    }

    /// What the engine still calls something of a repository, or of a build on its way.
    pub fn left(&self, repository: &str) -> Vec<String> {
        let mut left: Vec<String> = self
            .runtime
            .block_on(self.engine.tags(repository))
            .unwrap()
            .into_iter()
            .map(|tag| tag.reference)
            .collect();
        let own = format!("-{}-", std::process::id());
        let building = self.runtime.block_on(self.engine.tags("shepard-deploy")).unwrap();
        left.extend(building.into_iter().map(|tag| tag.reference).filter(|tag| tag.contains(&own)));
        left
    }

    pub fn remove_later(&self, reference: &str) {
        self.tags.lock().unwrap().push(reference.to_owned());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for tag in self.tags.lock().unwrap().drain(..) {
            let _ = self.runtime.block_on(self.engine.remove_image(&tag));
        }
    }
}

/// The name under which a deploy keeps a folder's image.
fn kept(folder: &Path) -> String {
    use sha2::Digest as _;
    use std::os::unix::ffi::OsStrExt as _;
    let hash = sha2::Sha256::digest(folder.canonicalize().unwrap().as_os_str().as_bytes());
    let hex: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("shepard-payload/{hex}:latest")
}

/// The headers of a static program for these processors.
pub fn program(architecture: &str) -> Vec<u8> {
    let mut program = vec![0; 64];
    program[..6].copy_from_slice(b"\x7fELF\x02\x01");
    program[0x12] = if architecture == "arm64" { 183 } else { 62 };
    program
}
