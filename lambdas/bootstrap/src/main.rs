//! The Lambda program of a flock.

fn main() {}
