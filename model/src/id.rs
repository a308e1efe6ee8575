//! The job id: deterministic, so that the second delivery of the same upload finds the first one's row.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where an object lies: bucket, key and, where the store has versions, which version of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Bucket name as the store knows it.
    pub bucket: String,
    /// Key, decoded: exactly the bytes the uploader chose.
    pub key: String,
    /// Version id, or the store's sequencer where the bucket is unversioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl ObjectRef {
    /// An object of which any version will do.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into(), version: None }
    }

    /// The same object, pinned to one version.
    #[must_use]
    pub fn at(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

/// The name of one job: `UUID` in the row and the environment, the Batch job name, the container name.
///
/// 32 lower-case hex digits, the first 128 bits of a SHA-256 over bucket, key and version. It satisfies the
/// narrowest of the names it is used as (Batch: at most 128 of `[A-Za-z0-9_-]`; Docker: starts with a letter
/// or digit). The original's ids, which an old row may hold, are accepted as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// The id of the job that this upload asks for. The same upload always gives the same id.
    pub fn of_object(object: &ObjectRef) -> Self {
        let version = object.version.as_deref().unwrap_or("");
        Self::of_parts(&["s3", &object.bucket, &object.key, version])
    }

    /// The id of a job that came without an object, from a key that its caller chose to make it unique.
    pub fn of_request(idempotency_key: &str) -> Self {
        Self::of_parts(&["api", idempotency_key])
    }

    /// Takes an id as written in a row, an environment or on a command line.
    /// None where it could not be a directory name, a Batch job name and a container name at once.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && text.as_bytes()[0].is_ascii_alphanumeric();
        fits.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of_parts(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // The length first, so that no two different lists of parts hash the same bytes.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        Self(digest[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_upload_has_the_same_id_and_another_version_another() {
        let once = JobId::of_object(&ObjectRef::new("in", "a b.zip").at("1"));
        assert_eq!(once, JobId::of_object(&ObjectRef::new("in", "a b.zip").at("1")));
        assert_ne!(once, JobId::of_object(&ObjectRef::new("in", "a b.zip").at("2")));
        assert_ne!(
            JobId::of_object(&ObjectRef::new("ab", "c")),
            JobId::of_object(&ObjectRef::new("a", "bc")),
            "parts must not run into each other"
        );
        assert_eq!(once.as_str().len(), 32);
    }

    #[test]
    fn ids_that_could_leave_a_directory_are_refused() {
        for bad in ["", "..", "a/b", "-x", "a b", "é", &"x".repeat(129)] {
            assert_eq!(JobId::parse(bad), None, "{bad}");
        }
        assert!(JobId::parse("0a1b-2c_3d").is_some());
    }
}
