//! The one error of the operations: a sentence for the person, and the class a script decides on.

use std::io;
use std::path::{Path, PathBuf};

use shepard_cloud::{CloudError, Kind};
use shepard_engine::EngineError;

/// A result of an operation.
pub type Result<T, E = OperationError> = std::result::Result<T, E>;

/// What class of failure it is. Each has an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What was asked for makes no sense.
    Usage,
    /// The flock, the job or the path is not there.
    NotFound,
    /// It was understood and not done: read-only, not confirmed, in conflict with what is there.
    Refused,
    /// The machine or the service could not do it.
    Environment,
}

impl Class {
    /// A word for JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Environment => "environment",
        }
    }
}

/// Why an operation was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It was not done, and the sentence says why and what would do it.
    #[error("{0}")]
    Refused(String),
    /// The machine could not do it.
    #[error("{0}")]
    Environment(String),
    /// A file or directory of the person's.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A port.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The Docker engine, or a registry that it speaks with.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl OperationError {
    /// An I/O error on a path, for `map_err`.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// Its class.
    pub fn class(&self) -> Class {
        match self {
            Self::Usage(_) => Class::Usage,
            Self::NotFound(_) => Class::NotFound,
            Self::Refused(_) => Class::Refused,
            Self::Environment(_) => Class::Environment,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Class::NotFound,
                _ => Class::Environment,
            },
            Self::Engine(error) => {
                use shepard_engine::Kind;
                match error.kind {
                    Kind::NotFound => Class::NotFound,
                    Kind::Denied | Kind::Conflict | Kind::Invalid | Kind::Platform | Kind::NoProgram => {
                        Class::Refused
                    }
                    Kind::Unreachable | Kind::Full | Kind::Busy | Kind::Other => Class::Environment,
                }
            }
            Self::Cloud(error) => match error.kind {
                Kind::NotFound => Class::NotFound,
                Kind::Conflict | Kind::Denied => Class::Refused,
                Kind::Invalid => Class::Usage,
                Kind::Auth
                | Kind::Expired
                | Kind::Mfa
                | Kind::Throttled
                | Kind::Offline
                | Kind::Full
                | Kind::Other => Class::Environment,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_the_machines_fault_and_a_missing_path_the_callers() {
        let io = |kind: io::ErrorKind| OperationError::io("read", Path::new("/x"))(kind.into());
        assert_eq!(io(io::ErrorKind::StorageFull).class(), Class::Environment);
        assert_eq!(io(io::ErrorKind::NotFound).class(), Class::NotFound);
        let full = CloudError::new("write the object", "outputs/x", Kind::Full);
        assert_eq!(OperationError::from(full).class(), Class::Environment);
    }
}
