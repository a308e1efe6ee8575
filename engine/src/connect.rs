//! Finding an engine and agreeing on a version of its API.

use bollard::API_DEFAULT_VERSION;
use bollard::Docker;

use crate::error::{EngineError, Kind, Result};

/// Where an engine usually listens.
pub const USUAL_SOCKET: &str = "unix:///var/run/docker.sock";
/// Seconds that an answer may take to begin. Long work answers at once and then streams.
const PATIENCE_S: u64 = 120;

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
        let docker = match address.split_once("://") {
            Some(("unix", path)) => Docker::connect_with_unix(path, PATIENCE_S, API_DEFAULT_VERSION),
            Some(("tcp" | "http", _)) => Docker::connect_with_http(&address, PATIENCE_S, API_DEFAULT_VERSION),
            _ => {
                let help = "an address is unix:///PATH or tcp://HOST:PORT";
                return Err(EngineError::new(DOING, address, Kind::Invalid, help));
            }
        };
        let docker = docker.map_err(|error| failed(&error))?;
        let docker = docker.negotiate_version().await.map_err(|error| failed(&error))?;
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
}
