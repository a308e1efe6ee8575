//! The port to the bucket of what a stack is made from: the template and the functions' program.
//!
//! The bucket is the account's own, and each object's name has its digest in it: what is there is never written again.

use async_trait::async_trait;

use crate::error::Result;
use crate::survey::Here;

/// A bucket of an account for what its stacks are made from.
#[async_trait]
pub trait Artefacts: Send + Sync {
    /// Makes the bucket where there is none: private, encrypted, over TLS alone. True where it was made. `Denied` where
    /// another account has the name: what such a bucket holds is never used.
    async fn prepare(&self, bucket: &str, here: &Here) -> Result<bool>;
    /// Puts an object where there is none by this key. True where it was put. `Denied` where another account has the
    /// bucket.
    async fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>, here: &Here) -> Result<bool>;
    /// The URL by which CloudFormation reads an object.
    fn url(&self, bucket: &str, key: &str, here: &Here) -> String;
}
