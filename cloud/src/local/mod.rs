//! A flock on this machine: SQLite and plain folders.

pub mod home;
pub mod logs;
pub mod objects;
pub mod secrets;
pub mod watch;

pub use home::{FlockDir, Home, Settings};
pub use logs::LocalLogs;
pub use objects::LocalObjects;
pub use secrets::LocalSecrets;
pub use watch::Watch;
