//! The functional core.

pub mod filter;
pub mod store;
