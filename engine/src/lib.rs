//! A Docker engine: its images, its builds and its containers. The only importer of `bollard`.
//!
//! | module | holds |
//! |---|---|
//! | [`build`], [`context`], [`ignore`] | building a folder |
//! | [`connect`] | finding an engine and agreeing on a version of its API |
//! | [`container`] | making, starting, watching, stopping and removing a container |
//! | [`elf`] | what a program file is for |
//! | [`error`] | what an engine refuses, in words a person can act on |
//! | [`exec`] | commands in a container that runs |
//! | [`files`] | small files out of a container |
//! | [`image`] | what an engine has of images, and how it gets one |
//! | [`output`] | what a container or a command in it writes |
//! | [`push`], [`save`] | an image to a registry, or to a file |
//! | [`wrap`] | a flock's image: a worker and the payload that it is to run |
//!
//! Everything goes through the engine's API, nothing through a program called `docker` and nothing through a shell.
//! Types of `bollard` do not leave this crate. It knows no flock, no job and no AWS.

pub mod build;
pub mod connect;
pub mod container;
pub mod context;
pub mod elf;
pub mod error;
pub mod exec;
pub mod files;
pub mod ignore;
pub mod image;
pub mod output;
mod pieces;
pub mod push;
pub mod save;
pub mod wrap;

pub use build::{Build, BuildProgress};
pub use connect::{Engine, Host, Powers};
pub use container::{ContainerInfo, ContainerSpec, Ended, Gpus, Mount, Network};
pub use context::Context;
pub use error::{EngineError, Kind, Result};
pub use image::{ImageInfo, Login, Progress, Tagged};
pub use output::{Chunk, Output, Stream};
pub use push::PushProgress;
pub use wrap::{Wrap, WrapPayload};
