//! What an engine refuses, in words a person can act on.
//!
//! An error says what was being done, to what, and why not, on one line. [`EngineError::help`] adds what to do. The
//! engine's own words are kept; what it was sent is not repeated, because that may hold a user's variables.

use std::fmt;

use bollard::errors::Error;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, EngineError>;

/// What kind of failure it is: what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No engine answers, or it went away in the middle.
    Unreachable,
    /// An engine is there and this user may not use it, or a registry let nobody in.
    Denied,
    /// There is no such image, container or repository.
    NotFound,
    /// The name is taken, or the thing is in use.
    Conflict,
    /// The disk of the engine is full.
    Full,
    /// The registry asks for fewer calls, or is out of order for now.
    Busy,
    /// The image is for processors of another kind.
    Platform,
    /// The program that a container was to start is not in its image, or cannot be executed.
    NoProgram,
    /// The request itself cannot be.
    Invalid,
    /// Anything else.
    Other,
}

impl Kind {
    /// Whether the same call may succeed a little later, or at another host.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Unreachable | Self::Full | Self::Busy | Self::Other)
    }
}

/// An operation of the engine that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError {
    /// What was being done: `start the container`.
    pub doing: &'static str,
    /// To what: a name or a reference, never a user's value.
    pub target: String,
    /// What kind of failure.
    pub kind: Kind,
    /// The engine's words, on one line.
    pub said: String,
}

impl EngineError {
    /// An error with words of its own.
    pub fn new(doing: &'static str, target: impl Into<String>, kind: Kind, said: impl Into<String>) -> Self {
        Self { doing, target: target.into(), kind, said: one_line(&said.into()) }
    }

    /// What a person can do, where there is one thing to do.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self.kind {
            Kind::Unreachable => {
                "is a Docker engine running? DOCKER_HOST says where, /var/run/docker.sock is usual"
            }
            Kind::Full => "free space on the engine's disk: docker system df shows what takes it",
            Kind::Platform => "build the image for the processor it is to run on, with --platform",
            _ => return None,
        })
    }

    pub(crate) fn of(doing: &'static str, target: impl Into<String>, error: &Error) -> Self {
        let (kind, said) = classify(error);
        Self::new(doing, target, kind, said)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.doing, self.target, self.said)?;
        match self.help() {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for EngineError {}

fn classify(error: &Error) -> (Kind, String) {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            (kind_of(*status_code, message), message.clone())
        }
        Error::DockerStreamError { error } => (kind_of(500, error), error.clone()),
        Error::DockerContainerWaitError { error, code } => (Kind::Other, format!("{error} (code {code})")),
        Error::RequestTimeoutError => (Kind::Unreachable, "it did not answer in time".to_owned()),
        Error::SocketNotFoundError(path) => (Kind::Unreachable, format!("there is no socket {path}")),
        Error::IOError { err } => (kind_of_io(err), err.to_string()),
        Error::HyperLegacyError { .. } | Error::HyperResponseError { .. } => {
            let said = chain(error);
            let denied = said.contains("ermission denied");
            (if denied { Kind::Denied } else { Kind::Unreachable }, said)
        }
        // An answer that cannot be understood, or a request that cannot be written.
        other => (Kind::Other, chain(other)),
    }
}

fn kind_of_io(error: &std::io::Error) -> Kind {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::PermissionDenied => Kind::Denied,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Kind::Full,
        _ => Kind::Unreachable,
    }
}

/// Engines pass on the words of registries, kernels and runtimes under one status, so the words decide first.
pub(crate) fn kind_of(status: u16, message: &str) -> Kind {
    let said = message.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if any(&["no space left on device", "disk quota exceeded"]) {
        Kind::Full
    } else if any(&["toomanyrequests", "too many requests", "status 429", "status: 429"]) {
        Kind::Busy
    } else if any(&["invalid mount config"]) {
        Kind::Invalid
    } else if any(&["executable file not found", "no such file or directory: unknown"])
        || (any(&["permission denied"]) && any(&["starting container process", "exec: "]))
    {
        Kind::NoProgram
    } else if any(&[
        "pull access denied",
        "unauthorized",
        "no basic auth",
        "denied:",
        "403 forbidden",
        "not authorized",
    ]) {
        Kind::Denied
    } else if any(&[
        "exec format error",
        "no matching manifest",
        "does not match the specified platform",
        "image operating system",
    ]) {
        Kind::Platform
    } else if any(&[
        "manifest unknown",
        "not known to registry",
        "not found",
        "no such image",
        "no such container",
        "does not exist",
        "name unknown",
    ]) {
        Kind::NotFound
    } else if any(&[
        "i/o timeout",
        "connection refused",
        "connection reset",
        "tls handshake timeout",
        "no such host",
        "500 internal server error",
        "502 bad gateway",
        "503 service unavailable",
        "unexpected eof",
        "context deadline exceeded",
        // What stands between an engine and its containers has died; the next container gets a new one.
        "ttrpc: closed",
        "transport is closing",
        "shim exited",
        // The host's networks are not what the engine made of them.
        "failed to create endpoint",
    ]) {
        Kind::Busy
    } else {
        match status {
            401 | 403 => Kind::Denied,
            404 => Kind::NotFound,
            409 => Kind::Conflict,
            400..=499 => Kind::Invalid,
            _ => Kind::Other,
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let (mut words, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let said = error.to_string();
        if !words.ends_with(&said) {
            words.push_str(": ");
            words.push_str(&said);
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_decide_what_kind_it_is() {
        for (status, message, kind) in [
            (500, "write /var/lib/docker/x: no space left on device", Kind::Full),
            (500, "toomanyrequests: Rate exceeded", Kind::Busy),
            (
                404,
                "pull access denied for x, repository does not exist or may require 'docker login'",
                Kind::Denied,
            ),
            (500, "Head \"https://x/v2/y\": no basic auth credentials", Kind::Denied),
            (404, "manifest for x:y not found: manifest unknown", Kind::NotFound),
            // Digits of a digest are no status.
            (404, "manifest for x@sha256:4294290 not found: manifest unknown", Kind::NotFound),
            (
                400,
                "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"/x\": \
                 permission denied: unknown",
                Kind::NoProgram,
            ),
            (
                400,
                "invalid mount config for type \"bind\": bind source path does not exist: /x",
                Kind::Invalid,
            ),
            (403, "denied: User is not authorized to perform: ecr:BatchGetImage", Kind::Denied),
            (
                400,
                "failed to create shim task: exec: \"sh\": executable file not found in $PATH: unknown",
                Kind::NoProgram,
            ),
            (500, "no matching manifest for linux/arm64/v8 in the manifest list entries", Kind::Platform),
            (409, "Conflict. The container name is already in use", Kind::Conflict),
            (500, "dial tcp 1.2.3.4:443: i/o timeout", Kind::Busy),
        ] {
            assert_eq!(kind_of(status, message), kind, "{message}");
        }
    }

    #[test]
    fn an_error_is_one_line_with_what_to_do() {
        let error = EngineError::new("load the image", "/payload.tar", Kind::Full, "a\n  b");
        let said = error.to_string();
        assert!(said.starts_with("cannot load the image /payload.tar: a b; free space"), "{said}");
        assert!(Kind::Busy.is_passing() && !Kind::Denied.is_passing());
    }
}
