//! What every part of Shepard agrees on: the job row and its transitions, the statuses, the reserved keywords,
//! the names of environment variables and outputs, and the rules for `inputs.txt`.
//!
//! Pure data and pure functions. Nothing here opens a file, asks the time or knows that AWS exists; the
//! instants that appear are handed in by the caller, in milliseconds since the Unix epoch.
//!
//! | module | holds |
//! |---|---|
//! | [`denied`] | which action was denied, off the words of AWS |
//! | [`id`] | the deterministic job id |
//! | [`value`] | one variable of the user, with its digits kept |
//! | [`inputs`] | decoding and checking `inputs.txt` |
//! | [`isolation`] | what a payload in a container is granted beyond it |
//! | [`keywords`] | the reserved and the special names |
//! | [`shape`] | what a job asks of the compute, from its `SHEPARD_…` variables |
//! | [`manifest`] | which row each child of an array job runs |
//! | [`log`] | one line of a job's log |
//! | [`mfa`] | the code of a device for multi-factor authentication |
//! | [`status`] | the status strings scripts rely on, and the states people see |
//! | [`row`] | the job row and its one-line summary |
//! | [`transition`] | every change a row can undergo, and when it is refused |
//! | [`stack`] | what a flock's stack says of itself |
//! | [`names`] | output keys, artefact keys, environment names |

pub mod denied;
pub mod id;
pub mod inputs;
pub mod isolation;
pub mod keywords;
pub mod log;
pub mod manifest;
pub mod mfa;
pub mod names;
pub mod row;
pub mod shape;
pub mod stack;
pub mod status;
pub mod transition;
pub mod value;

pub use id::{JobId, ObjectRef};
pub use inputs::{Inputs, InputsError};
pub use isolation::{Isolation, IsolationError};
pub use log::{LogLine, LogSource};
pub use manifest::BatchRef;
pub use mfa::MfaCode;
pub use row::{Attempt, JobRow, JobSummary, Note};
pub use shape::Shape;
pub use stack::{Account, AwsFlockInfo, Origin};
pub use status::{Outcome, Stage, State};
pub use transition::{Fence, Refused, Transition};
pub use value::Value;
