//! Feeds bytes to the zip reader, the `inputs.txt` parser and the notification parser.
#![no_main]

#[path = "../../lambdas/tests/common/foreign.rs"]
mod foreign;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| foreign::check(bytes));
