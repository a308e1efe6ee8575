//! What a person can do to a flock, once: the subcommands and the console both call these functions.
//!
//! Everything here takes ports or directories, gives typed results and says what went wrong as one
//! [`OperationError`]. Nothing here prints, asks, or knows of a screen; what asks for confirmation, and what a
//! read-only session may do, is decided by the caller.
//!
//! | module | holds |
//! |---|---|
//! | [`error`] | the one error, and its classes |
//! | [`journal`] | the append-only record of what was done |

pub mod error;
pub mod journal;

pub use error::{Class, OperationError, Result};
