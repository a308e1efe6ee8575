//! The ports a flock is built on, and the adapters behind them.
//!
//! [`ports`] is the whole of what the scheduler, the worker, the console and the simulator know of the outside:
//! objects, the job table and its changes, a queue, the compute, logs, secrets and a clock. [`error`] is the one
//! error they answer with. [`local`] keeps a flock in SQLite and plain folders on this machine, [`aws`] in S3, SQS,
//! DynamoDB, Batch and Secrets Manager; [`absent`] is a port that a program was not given, [`notice`] what a host's
//! owner announces. [`secret`] is the form in which secrets are kept.
//!
//! [`stacks`], [`survey`], [`artefacts`] and [`holdings`] are the same for what stands a flock up and takes it down,
//! [`invoke`] for a function that is called.
//!
//! [`images`] is the same for image registries, which only a deploy needs, and [`registry`] is any that speaks the API of OCI.
//!
//! [`bucket`] is how fast something may be asked; `pace` is that for all that a console asks of AWS.
//!
//! Nothing here decides anything: which upload becomes a job is the scheduler's business, how a row may change is
//! `shepard_model::transition`'s. A crate and not a module, because the console, the lambdas, the worker image and
//! the simulator all use it.

pub mod absent;
pub mod artefacts;
#[cfg(feature = "aws")]
pub mod aws;
pub mod bucket;
pub mod error;
pub mod holdings;
pub mod images;
pub mod invoke;
#[cfg(feature = "local")]
pub mod local;
pub mod notice;
#[cfg(feature = "account")]
pub mod pace;
pub mod ports;
#[cfg(feature = "registry")]
pub mod registry;
pub mod secret;
pub mod stacks;
pub mod survey;

pub use error::{CloudError, Kind, Result};
pub use ports::{Clock, Compute, Logs, Objects, Ports, Queue, Secrets, Table};
