//! What the owner of a host announces about it: that it is taken back, or may be soon.
//!
//! A port of its own beside [`crate::ports`]: one program asks it, the worker on a host of a cloud. Where there is
//! nothing to ask, that program asks nothing.

use async_trait::async_trait;

use crate::error::Result;

/// An announcement about this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It is taken back: whatever runs here has to stop before.
    Reclaimed {
        /// When, in milliseconds since the epoch; None where the announcement does not say.
        at_ms: Option<i64>,
    },
    /// It is likelier than others to be taken back. Nothing has to stop.
    AtRisk,
}

/// Announcements about this host.
#[async_trait]
pub trait Notices: Send + Sync {
    /// The gravest that stands now; None where nothing is announced. A host without announcements is an error: it
    /// cannot be told from one that does not answer.
    async fn newest(&self) -> Result<Option<Notice>>;
}
