//! A flock on this machine: SQLite and plain folders.

pub mod home;

pub use home::{FlockDir, Home, Settings};
