//! The functional core of the console: plain data in, plain data out.
//!
//! Every input is a [`Msg`]; [`update()`] changes the [`Model`] and says what has to be done outside as a list of
//! [`Effect`]s; a frame is a function of `&Model`. Nothing here reads a clock, touches a file, waits for
//! anything or knows how a terminal is drawn on. That is what makes a whole session replayable, and every key
//! script a test.

pub mod account;
pub mod actions;
pub mod aws;
pub mod bar;
pub mod deploy;
pub mod effect;
pub mod filter;
pub mod key;
pub mod keymap;
pub mod model;
pub mod msg;
pub mod nav;
mod news;
pub mod offered;
pub mod ops;
pub mod overlay;
pub mod profiles;
pub mod remote;
pub mod renewal;
pub mod stack;
pub mod store;
pub mod update;

#[cfg(test)]
mod tests;

pub use actions::{Action, Scope};
pub use effect::{Command, Effect, Request, Sub};
pub use model::{Ctx, Data, Model, Session};
pub use msg::Msg;
pub use nav::Place;
pub use remote::{Problem, ProblemKind, Remote};
pub use update::update;
