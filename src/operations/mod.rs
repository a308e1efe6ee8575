//! What a person can do to a flock, once: the subcommands and the console both call these functions.
//!
//! Everything here takes ports or directories, gives typed results and says what went wrong as one
//! [`OperationError`]. Nothing here prints, asks, or knows of a screen; what asks for confirmation, and what a
//! read-only session may do, is decided by the caller.
//!
//! | module | holds |
//! |---|---|
//! | [`flock`] | one flock, here or on AWS: its ports, and what differs |
//! | [`flocks`] | making, listing, starting, stopping, removing the flocks of this machine |
//! | [`discovery`] | the flocks on AWS, by asking |
//! | [`preflight`] | what a batch would do, and what is wrong with it |
//! | [`walk`], [`pack`] | reading a folder, and making the zip of a job |
//! | [`batch`] | packing and uploading |
//! | [`jobs`] | finding, stopping, running again, waiting |
//! | [`logs`] | reading a job's log on to its end |
//! | [`by_api`] | jobs without an upload |
//! | [`dlq`] | uploads that were given up on |
//! | [`retrieve`] | bringing results here |
//! | [`deploy`], [`releases`] | what a flock runs, and going back to what it ran |
//! | [`roles`] | in whose name AWS is asked; `set-role` and its like |
//! | [`secrets`] | a folder's files into a flock's secrets, by name |
//! | [`stack`] | standing a flock up on AWS, changing it, watching it, taking it down |
//! | [`outlook`] | what can be said of a deploy before anything is built |
//! | [`journal`] | the append-only record of what was done |
//! | [`equivalent`] | the command line that does the same as a key did |
//! | [`profiles`] | the old command's profiles |
//! | [`old`] | what a command line of the old command means |
//! | [`needs`] | the IAM actions of each command |
//! | [`error`] | the one error, and its classes |

pub mod batch;
pub mod by_api;
pub mod deploy;
pub mod discovery;
pub mod dlq;
pub mod equivalent;
pub mod error;
pub mod flock;
pub mod flocks;
pub mod jobs;
pub mod journal;
pub mod logs;
pub mod needs;
pub mod old;
pub mod outlook;
pub mod pack;
pub mod preflight;
pub mod profiles;
pub mod releases;
pub mod retrieve;
pub mod roles;
pub mod secrets;
pub mod stack;
pub mod walk;

pub use error::{Class, OperationError, Result};
