//! The shell around the core: the terminal, the loop, and the effects.
//!
//! Here is everything the core does not know: tokio, files, the clock, signals. The loop ([`run()`]) takes input
//! first, draws when something changed and a frame is due, then takes a batch of news. Nothing between a key and
//! its frame waits for anything.

pub mod clipboard;
pub mod input;
pub mod pace;
mod profiles;
pub mod recorder;
pub mod terminal;

mod by_api;
mod carry;
mod effects;
mod fetch;
mod look;
mod run;
mod stacks;

pub use run::{ConsoleOptions, run};
