//! Payloads in containers, for the worker of a local flock and for the worker program of a flock's image.
//!
//! The program itself, `/worker` of the image, is `main.rs`, and the only part that knows AWS.
