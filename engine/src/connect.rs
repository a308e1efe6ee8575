//! Finding an engine and agreeing on a version of its API.

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::error::{EngineError, Kind, Result};

/// Where an engine usually listens.
pub const USUAL_SOCKET: &str = "unix:///var/run/docker.sock";
/// Seconds that an answer may take to begin. Long work answers at once and then streams.
const PATIENCE_S: u64 = 120;
/// How long an answer to a ping may take; without it there is a slower question.
const PING_PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of such an answer that are looked at.
const MOST_OF_A_PING: u64 = 16 << 10;

/// What an engine says of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Version of the engine.
    pub version: String,
    /// Architecture as images name it: `amd64`, `arm64`.
    pub architecture: String,
    /// Operating system as images name it.
    pub os: String,
}

/// More of what an engine says of its host, which takes it longer to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Powers {
    /// Processors.
    pub cpus: u32,
    /// The engine runs as an ordinary user, and root in a container is that user.
    pub rootless: bool,
}

/// A connection to an engine. Cheap to clone; every clone shares the connections.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    address: String,
}

impl Engine {
    /// Connects to the engine at `address` (`unix:///…`, `tcp://host:port`), or where `DOCKER_HOST` says, or where one
    /// usually listens; and agrees with it on a version of the API.
    ///
    /// # Errors
    /// `Unreachable` where none answers, `Denied` where this user may not use it, `Invalid` for an address that is none.
    pub async fn connect(address: Option<&str>) -> Result<Self> {
        const DOING: &str = "reach the Docker engine at";
        let said = address.map(str::to_owned).or_else(|| std::env::var("DOCKER_HOST").ok());
        let address = said.filter(|said| !said.is_empty()).unwrap_or_else(|| USUAL_SOCKET.to_owned());
        let failed = |error: &bollard::errors::Error| EngineError::of(DOING, address.clone(), error);
        let agreed = agreed_with(&address).await;
        let version = agreed.as_ref().unwrap_or(API_DEFAULT_VERSION);
        let docker = match address.split_once("://") {
            Some(("unix", path)) => Docker::connect_with_unix(path, PATIENCE_S, version),
            Some(("tcp" | "http", _)) => Docker::connect_with_http(&address, PATIENCE_S, version),
            _ => {
                let help = "an address is unix:///PATH or tcp://HOST:PORT";
                return Err(EngineError::new(DOING, address, Kind::Invalid, help));
            }
        };
        let mut docker = docker.map_err(|error| failed(&error))?;
        if agreed.is_none() {
            docker = docker.negotiate_version().await.map_err(|error| failed(&error))?;
        }
        Ok(Self { docker, address })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The path of its socket, where it has one on this machine.
    pub fn socket(&self) -> Option<&str> {
        self.address.strip_prefix("unix://")
    }

    /// What it says of its host.
    ///
    /// # Errors
    /// It no longer answers.
    pub async fn host(&self) -> Result<Host> {
        let failed = |error| EngineError::of("ask the Docker engine at", self.address.clone(), &error);
        let version = self.docker.version().await.map_err(failed)?;
        Ok(Host {
            version: version.version.unwrap_or_default(),
            architecture: version.arch.unwrap_or_default(),
            os: version.os.unwrap_or_default(),
        })
    }

    /// More of its host.
    ///
    /// # Errors
    /// It no longer answers.
    pub async fn powers(&self) -> Result<Powers> {
        let failed = |error| EngineError::of("ask the Docker engine at", self.address.clone(), &error);
        let info = self.docker.info().await.map_err(failed)?;
        let options = info.security_options.unwrap_or_default();
        Ok(Powers {
            cpus: info.ncpu.and_then(|count| u32::try_from(count).ok()).unwrap_or(1).max(1),
            rootless: options.iter().any(|option| option.contains("name=rootless")),
        })
    }
}

/// The version of the API to talk to an engine in, by what it says to a ping: that is at once, where its `/version` first
/// runs three programs to ask them for theirs. None where it does not say; then there is that way left.
async fn agreed_with(address: &str) -> Option<ClientVersion> {
    let asked = async {
        match address.split_once("://")? {
            ("unix", path) => ping(tokio::net::UnixStream::connect(path).await.ok()?).await,
            ("tcp" | "http", host) => {
                ping(tokio::net::TcpStream::connect(host.trim_end_matches('/')).await.ok()?).await
            }
            _ => None,
        }
    };
    let said = tokio::time::timeout(PING_PATIENCE, asked).await.ok()??;
    let (major, minor) = version_in(&said)?;
    let known = (API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
    let (major_version, minor_version) = known.min((major, minor));
    Some(ClientVersion { major_version, minor_version })
}

/// What is answered to a ping, head and all, as far as it is short.
async fn ping(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<String> {
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    stream.take(MOST_OF_A_PING).read_to_end(&mut answer).await.ok()?;
    String::from_utf8(answer).ok()
}

/// The version in the head of an answer to a ping.
fn version_in(answer: &str) -> Option<(usize, usize)> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    lines.next().filter(|first| first.starts_with("HTTP/1.") && first.contains(" 200"))?;
    let named = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let (major, minor) = value.trim().split_once('.')?;
        let found = name.eq_ignore_ascii_case("api-version");
        found.then(|| Some((major.parse().ok()?, minor.parse().ok()?)))?
    };
    lines.find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_engine_is_one_line_that_says_what_to_do() {
        let error = Engine::connect(Some("unix:///nowhere/docker.sock")).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unreachable, "{error}");
        let said = error.to_string();
        assert!(said.contains("/nowhere/docker.sock") && said.contains("DOCKER_HOST"), "{said}");
        assert_eq!(Engine::connect(Some("ssh://x")).await.unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn a_ping_says_the_version_or_nothing_is_taken_from_it() {
        let head = |status: &str, lines: &str| format!("HTTP/1.1 {status}\r\nServer: x\r\n{lines}\r\n\r\nOK");
        assert_eq!(version_in(&head("200 OK", "Api-Version: 1.41")), Some((1, 41)));
        assert_eq!(version_in(&head("200 OK", "api-version:1.53\r\nOstype: linux")), Some((1, 53)));
        for odd in [
            head("500 Oops", "Api-Version: 1.41"),
            head("200 OK", "Api-Version: new"),
            head("200 OK", "Ostype: linux"),
            "HTTP/1.1 200 OK\r\nApi-Version: 1.41".to_owned(),
            String::new(),
        ] {
            assert_eq!(version_in(&odd), None, "{odd}");
        }
    }

    /// Answers to pings with what it was given and to nothing else; counts what it was asked.
    async fn engine_that_says(version: &'static str) -> (tempfile::TempDir, Result<Engine>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let mut request = vec![0; 1024];
                let _ = stream.read(&mut request).await;
                let answer = format!("HTTP/1.0 200 OK\r\nApi-Version: {version}\r\n\r\nOK");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let engine = Engine::connect(Some(&format!("unix://{}", path.display()))).await;
        serving.abort();
        (dir, engine, asked.load(std::sync::atomic::Ordering::Relaxed))
    }

    #[tokio::test]
    async fn one_ping_is_all_that_connecting_takes_and_the_older_side_decides() {
        let (_dir, engine, asked) = engine_that_says("1.41").await;
        let agreed = engine.unwrap().docker.client_version();
        assert_eq!((asked, agreed.major_version, agreed.minor_version), (1, 1, 41));
        let (_dir, engine, _) = engine_that_says("9.99").await;
        let (agreed, known) = (engine.unwrap().docker.client_version(), API_DEFAULT_VERSION);
        assert_eq!((agreed.major_version, agreed.minor_version), (known.major_version, known.minor_version));
    }
}
