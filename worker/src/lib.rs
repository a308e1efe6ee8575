//! What runs one attempt of one job, over the ports alone.
//!
//! The local flock's worker process and the worker image of a flock on AWS call the same [`run()`]: claim the row,
//! fetch the input, the quick-deploy code and the secrets, run the payload, put its outputs or what is left of a
//! failure, tidy up, write the final row.
//!
//! | module | holds |
//! |---|---|
//! | [`job`] | which attempt this is, read off the contract's worker environment |
//! | [`assignment`] | what a container is to run: one job, or its share of a batch, found in the manifest |
//! | [`pack`] | the rows of a batch's container, one after another |
//! | [`place`] | the directories a job gets, and joins that cannot leave them |
//! | `locks`, [`sweep`](mod@sweep) | who may use them; removing what dead workers left |
//! | [`environment`] | the payload's environment, in the contract's order |
//! | [`payload`] | the trait behind which the user's code runs |
//! | `checkpoint` | what an interrupted run leaves for its next attempt |
//! | [`process`] | a payload that is a process of this machine, and its group |
//! | [`readers`] | bytes into lines |
//! | [`notices`] | watching for the notice that the host is taken back |
//! | [`stop`] | that a worker is to stop, and why |
//! | [`log`] | lines to the job's log stream, in batches |
//! | [`fetch`] | input and code into the job's directories |
//! | [`secrets`] | secrets to where the payload finds them, in memory where there is some |
//! | [`archive`], [`zip_stream`] | a directory into a zip, whatever lies in it; the format, written front to back |
//! | [`outputs`] | zips to the outputs and errors buckets, sent while they are made |
//! | [`row`] | the row's changes, with bounded retries, and the heartbeat |
//! | [`run`](mod@run) | claiming the row, and everything from there to its end (`attempt`, `ending`), and what the process exits with |
//!
//! Nothing here imports an adapter, asks for the time but through the clock port, passes a string to a shell,
//! or writes a secret or a user's variable to a log.

pub mod archive;
pub mod assignment;
mod attempt;
mod checkpoint;
mod ending;
pub mod environment;
mod exit;
pub mod fetch;
mod hook;
pub mod job;
mod locks;
pub mod log;
pub mod notices;
pub mod outputs;
pub mod pack;
pub mod payload;
pub mod place;
pub mod process;
pub mod readers;
pub mod row;
pub mod run;
pub mod secrets;
pub mod stop;
pub mod sweep;
pub mod zip_stream;

pub use assignment::{Assignment, Child, ManifestError};
pub use job::{Job, JobError};
pub use pack::work;
pub use payload::{Exited, Line, Payload, PayloadError, PayloadSpec};
pub use place::Place;
pub use process::ProcessPayload;
pub use run::{Exit, run};
pub use stop::{Interruption, Stop};
pub use sweep::{Swept, sweep};
