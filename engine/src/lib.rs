//! A Docker engine: its images, its builds and its containers. The only importer of `bollard`.
//!
//! | module | holds |
//! |---|---|
//! | [`connect`] | finding an engine and agreeing on a version of its API |
//! | [`error`] | what an engine refuses, in words a person can act on |
//!
//! Everything goes through the engine's API, nothing through a program called `docker` and nothing through a shell.
//! Types of `bollard` do not leave this crate. It knows no flock, no job and no AWS.

pub mod connect;
pub mod error;

pub use connect::{Engine, Host};
pub use error::{EngineError, Kind, Result};
