//! The worker program of a flock's image.

fn main() {}
