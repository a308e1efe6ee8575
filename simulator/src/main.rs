//! The scheduler on virtual time.

fn main() {}
