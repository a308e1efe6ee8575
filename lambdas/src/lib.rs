//! The scheduler core: an upload, or a request by API, becomes a row and then a job.
//!
//! Logic over the ports and nothing else: the local flock's supervisor, the lambdas and the simulator run the
//! same code. No adapter is named here, and the time comes from the `Clock` port.
//!
//! | module | is |
//! |---|---|
//! | [`event`] | the bodies of messages, read and written: uploads, and what is left to be submitted |
//! | [`zip`] | finds and checks `inputs.txt` in an archive of any size by reading a few ranges of it |
//! | [`scheduler`] | messages in; rows and jobs out; what is deleted and what is redelivered |
//! | `work` | one invocation's work, of which `drain` takes messages, `upload` makes the calls of one upload, `group` gives rows their places and `hand` submits |
//! | [`batch`] | rows that share an array job, from the manifest that makes them one to the mark that they were submitted |
//! | [`submit`] | one run of a row handed to the compute, once |
//! | `pace` | how fast jobs are submitted, and how long to leave what did not go through |
//! | [`endpoint`] | jobs that come by API, without an object |
//! | [`mod@reconcile`] | finishes what a crash or a lost message left half done |
//!
//! Invariants, each held by a test: a row is written before its job is submitted; the same upload never has a
//! second row; a message is deleted only after its work is in the table; a crash at any await is finished by
//! the next delivery; nothing a user writes can panic or vanish.

pub mod batch;
mod drain;
pub mod endpoint;
pub mod event;
mod group;
mod hand;
mod pace;
pub mod reconcile;
pub mod scheduler;
pub mod submit;
mod upload;
mod work;
pub mod zip;

pub use batch::{Fate, Finished, batch_request, fate, finish, give_up};
pub use endpoint::{Answer, EndpointError, accept};
pub use event::notification;
pub use reconcile::{Bookmark, ReconcileSettings, Reconciled, Window, reconcile, reconcile_from};
pub use scheduler::{Became, Handled, Invoked, Pumped, Scheduler, SchedulerSettings, Verdict};
pub use submit::{Submission, job_name, job_request, submit_run};
pub use zip::{ReadError, ZipProblem, read_inputs, read_inputs_of_file};
