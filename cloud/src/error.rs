//! The one error of the ports: which operation, on what, of which kind, and the cause beneath.

use std::error::Error;
use std::fmt;

/// What kind of failure it is: what a caller decides on. The words are for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No credentials, or none that are accepted.
    Auth,
    /// The session has run out; a renewal helps.
    Expired,
    /// A code of a device for multi-factor authentication is needed: only the person has it.
    Mfa,
    /// Known, and not allowed.
    Denied,
    /// There is no such thing.
    NotFound,
    /// It exists already, or has changed since it was read.
    Conflict,
    /// Too fast; later will do.
    Throttled,
    /// The service cannot be reached.
    Offline,
    /// The disk or the quota is full.
    Full,
    /// The request itself is wrong; trying again is no use.
    Invalid,
    /// Anything else.
    Other,
}

impl Kind {
    /// The same request may succeed later without anybody doing anything.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Offline | Self::Full | Self::Other)
    }

    /// A word for logs and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Expired => "expired",
            Self::Mfa => "mfa",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Offline => "offline",
            Self::Full => "full",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }
}

/// What went wrong at a port.
#[derive(Debug)]
pub struct CloudError {
    /// The operation, as the service names it or a verb phrase: `read the job table`.
    pub operation: &'static str,
    /// What it was done to: a bucket and key, a queue, a path. Never a secret or a user's variable.
    pub target: String,
    /// What kind of failure.
    pub kind: Kind,
    /// The cause.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// A result of a port.
pub type Result<T, E = CloudError> = std::result::Result<T, E>;

impl CloudError {
    /// An error without a deeper cause.
    pub fn new(operation: &'static str, target: impl Into<String>, kind: Kind) -> Self {
        Self { operation, target: target.into(), kind, source: None }
    }

    /// The same error, with its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The action that was denied and to what, where the service says so.
    pub fn denied(&self) -> Option<(String, Option<String>)> {
        let words = self.source.as_ref()?.to_string();
        let denied = shepard_model::denied::denied(&words)?;
        Some((denied.action.to_owned(), denied.resource.map(str::to_owned)))
    }

    /// An I/O error on a path, its kind read off the operating system's.
    pub fn io(operation: &'static str, target: impl Into<String>, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound | Io::NotADirectory => Kind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Kind::Denied,
            Io::AlreadyExists => Kind::Conflict,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => Kind::Full,
            Io::InvalidInput | Io::InvalidFilename | Io::IsADirectory => Kind::Invalid,
            _ => Kind::Other,
        };
        Self::new(operation, target, kind).because(error)
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.operation)?;
        if !self.target.is_empty() {
            write!(f, " {}", self.target)?;
        }
        match (self.kind, &self.source) {
            (_, Some(source)) => write!(f, ": {source}"),
            (Kind::Auth, None) => f.write_str(": no valid credentials"),
            (Kind::Expired, None) => f.write_str(": the session has expired"),
            (Kind::Mfa, None) => f.write_str(": an MFA code is needed"),
            (Kind::Denied, None) => f.write_str(": not allowed"),
            (Kind::NotFound, None) => f.write_str(": there is no such thing"),
            (Kind::Conflict, None) => f.write_str(": it exists already or has changed"),
            (Kind::Throttled, None) => f.write_str(": too many requests"),
            (Kind::Offline, None) => f.write_str(": the service cannot be reached"),
            (Kind::Full, None) => f.write_str(": no space left"),
            (Kind::Invalid, None) => f.write_str(": the request is not valid"),
            (Kind::Other, None) => Ok(()),
        }
    }
}

impl Error for CloudError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
