//! A Docker engine: its images, its builds and its containers. The only importer of `bollard`.
//!
//! | module | holds |
//! |---|---|
//! | [`connect`] | finding an engine and agreeing on a version of its API |
//! | [`elf`] | what a program file is for |
//! | [`error`] | what an engine refuses, in words a person can act on |
//! | [`wrap`] | a flock's image: a worker and the payload that it is to run |
//!
//! Everything goes through the engine's API, nothing through a program called `docker` and nothing through a shell.
//! Types of `bollard` do not leave this crate. It knows no flock, no job and no AWS.

pub mod connect;
pub mod elf;
pub mod error;
pub mod wrap;

pub use connect::{Engine, Host};
pub use error::{EngineError, Kind, Result};
pub use wrap::{Wrap, WrapPayload};
