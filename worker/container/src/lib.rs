//! Payloads in containers, for the worker of a local flock and for the worker program of a flock's image.
//!
//! | module | holds |
//! |---|---|
//! | [`options`] | what a payload is granted and held to |
//! | [`payload`] | [`DockerPayload`]: one payload in one container, from its image to its removal |
//! | [`spec`] | the container that a payload gets |
//! | [`source`] | where the image comes from: the flock's own image, a registry, or the engine |
//! | [`saved`] | which image a saved archive holds, without reading it |
//! | [`owner`] | the image's user, and files that become his |
//! | [`lines`] | what a container writes, as lines, without making the engine wait too long |
//! | [`stop`] | the end of a payload in order: checkpoint, signal, grace, kill |
//! | [`sweep`] | containers that nobody owns any more |
//! | [`trouble`] | what an engine refuses, as the end of a job or a reason to try again |
//!
//! The program itself, `/worker` of the image, is `main.rs`, and the only part that knows AWS. Nothing here starts a
//! program of the host or passes a string to a shell.

pub mod lines;
pub mod options;
pub mod owner;
pub mod payload;
pub mod saved;
pub mod source;
pub mod spec;
pub mod stop;
pub mod sweep;
pub mod trouble;

pub use options::{Limits, Options};
pub use payload::DockerPayload;
pub use source::{Image, Logins};
