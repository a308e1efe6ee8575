//! What the tests of the Lambda program share: Lambda's Runtime API, the emulators, boto3, and a flock made of them.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::needless_pass_by_value, reason = "a test hands over what it has just made")]

pub mod emulator;
pub mod flock;
pub mod gate;
pub mod http;
pub mod runtime;
pub mod zips;

/// The region that all of it claims to be in.
pub const REGION: &str = "us-east-1";
