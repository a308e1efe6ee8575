//! What a container is to run: the one job that its environment names, or its share of a batch.
//!
//! The rows of a share are in the batch's manifest, which one ranged read of the inputs bucket gives: the header is
//! not needed, because the environment says how many records a container has. What differs from row to row (its
//! input, how it came, its run) is read off the row and never off the environment.

use shepard_cloud::error::{CloudError, Kind};
use shepard_cloud::ports::{Ports, Range};
use shepard_model::names::worker_env as env;
use shepard_model::{BatchRef, JobId, JobRow, ObjectRef, manifest, shape};

use crate::job::{Environment, Job, JobError, known, odd};
use crate::row::{Patience, patiently};

/// What a container is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    /// One job.
    Job(Box<Job>),
    /// The share of one container in a batch.
    Child(Box<Child>),
}

impl Assignment {
    /// Reads an assignment off pairs of name and value: a share of a batch where they name a manifest.
    ///
    /// # Errors
    /// The first name that is missing or odd.
    pub fn from_env<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, JobError>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let known = known(pairs);
        let env = Environment(&known);
        let common = Job::read(&env)?;
        let Some(manifest) = env.optional(env::MANIFEST) else { return Ok(Self::Job(Box::new(common))) };
        let pack = env.count(env::PACK)?.unwrap_or(1);
        if pack > shape::MAX_PACK {
            return Err(odd(env::PACK, &pack.to_string(), "a pack that this version of the program makes"));
        }
        let index = match env.optional(env::ARRAY_INDEX) {
            None => 0,
            Some(text) => text
                .parse::<u32>()
                .ok()
                // No array has more children (AWS Batch, 2026-11), and so no record's number overflows.
                .filter(|index| *index < 10_000)
                .ok_or_else(|| odd(env::ARRAY_INDEX, text, "the index of an array's child"))?,
        };
        Ok(Self::Child(Box::new(Child { common, manifest: manifest.to_owned(), index, pack })))
    }

    /// The same, whose jobs' lines go where the compute's log driver takes this process's output.
    #[must_use]
    pub fn logging_to(mut self, log_stream: Option<String>) -> Self {
        match &mut self {
            Self::Job(job) => job.log_stream = log_stream,
            Self::Child(child) => child.common.log_stream = log_stream,
        }
        self
    }

    /// What every job of the container has in common; its id is the job's, or the batch's.
    pub fn common(&self) -> &Job {
        match self {
            Self::Job(job) => job,
            Self::Child(child) => &child.common,
        }
    }
}

/// The share of one container in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Attempt, compute id, mounts and buckets; its id is the batch's.
    common: Job,
    /// Key of the manifest, in the inputs bucket.
    manifest: String,
    /// Which child of the array, from 0.
    index: u32,
    /// Records that a child has; the last one may have fewer.
    pack: u32,
}

/// Why a container does not know its rows.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// There is no such object. It was there before the container was asked for, so somebody removed it.
    #[error(
        "the manifest {0} is gone, so that this container cannot know its rows; a life-cycle rule must spare it"
    )]
    Missing(ObjectRef),
    /// It ends before this child's records, or they are no records.
    #[error("the manifest {manifest} has no readable records for child {child} of {pack} records each")]
    Damaged {
        /// The object.
        manifest: ObjectRef,
        /// The child.
        child: u32,
        /// Records a child.
        pack: u32,
    },
    /// It could not be read.
    #[error("the manifest cannot be read: {0}")]
    Unread(#[source] CloudError),
}

impl ManifestError {
    /// The process's exit code: 6, or 76 where another attempt may help. No row was touched.
    pub fn code(&self) -> u8 {
        match self {
            Self::Unread(error) if error.kind.is_transient() || error.kind == Kind::Expired => 76,
            _ => 6,
        }
    }
}

impl Child {
    /// The batch.
    pub fn batch(&self) -> &JobId {
        &self.common.id
    }

    /// The rows of this container and their places in the batch, in order; holes are left out.
    ///
    /// # Errors
    /// The manifest is gone, damaged, or cannot be read.
    pub async fn rows(&self, ports: &Ports) -> Result<Vec<(BatchRef, JobId)>, ManifestError> {
        let object = ObjectRef::new(ports.buckets.inputs.clone(), self.manifest.clone());
        let (start, length) = manifest::span(self.index, self.pack);
        let read = || ports.objects.get(&object, Range::From { start, length });
        let part = patiently(ports.clock.as_ref(), Patience::Ordinary, read).await;
        let damaged =
            || ManifestError::Damaged { manifest: object.clone(), child: self.index, pack: self.pack };
        let part = part.map_err(|error| match error.kind {
            Kind::NotFound => ManifestError::Missing(object.clone()),
            // A store may refuse a range that begins behind the end.
            Kind::Invalid => damaged(),
            _ => ManifestError::Unread(error),
        })?;
        let records = manifest::decode_records(&part.bytes).map_err(|_| damaged())?;
        if part.start != start || records.is_empty() {
            return Err(damaged());
        }
        let first = self.index * self.pack;
        let place = |index| BatchRef { id: self.batch().clone(), index };
        Ok((first..).zip(records).filter_map(|(index, id)| Some((place(index), id?))).collect())
    }

    /// The job of a row at a place of this batch. A row that is at another place refuses to be claimed for it.
    pub fn job(&self, row: &JobRow, place: BatchRef) -> Job {
        Job {
            id: row.id.clone(),
            input: row.input.as_ref().map(|object| object.key.clone()),
            invoked: row.input.is_none(),
            run: row.run,
            batch: Some(place),
            ..self.common.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: [(&str, &str); 4] = [
        ("UUID", "20261121-061500-0123456789abcdef"),
        ("INPUT_ZIP_NAME", "None"),
        ("IS_INVOKED", "True"),
        ("AWS_BATCH_JOB_ID", "array:7"),
    ];

    fn with(more: &[(&str, &str)]) -> Result<Assignment, JobError> {
        Assignment::from_env(LEAST.iter().chain(more).copied())
    }

    #[test]
    fn without_a_manifest_it_is_one_job() {
        let Ok(Assignment::Job(job)) = with(&[("AWS_BATCH_JOB_ARRAY_INDEX", "7"), ("SHEPARD_PACK", "5")])
        else {
            panic!("no job")
        };
        assert_eq!((job.compute_id.as_deref(), job.batch), (Some("array:7"), None));
    }

    #[test]
    fn a_manifest_makes_it_a_share_of_a_batch() {
        let child = |more: &[(&str, &str)]| match with(more) {
            Ok(Assignment::Child(child)) => (child.batch().to_string(), child.index, child.pack),
            other => panic!("{other:?}"),
        };
        let manifest = ("SHEPARD_MANIFEST", ".shepard/manifests/x");
        assert_eq!(child(&[manifest]), (LEAST[0].1.to_owned(), 0, 1));
        let packed = [manifest, ("SHEPARD_PACK", "50"), ("AWS_BATCH_JOB_ARRAY_INDEX", "9999")];
        assert_eq!(child(&packed), (LEAST[0].1.to_owned(), 9_999, 50));
        for (name, odd) in [
            ("AWS_BATCH_JOB_ARRAY_INDEX", "-1"),
            ("AWS_BATCH_JOB_ARRAY_INDEX", "10000"),
            ("SHEPARD_PACK", "0"),
            ("SHEPARD_PACK", "1001"),
        ] {
            let said = with(&[manifest, (name, odd)]).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains(odd), "{said}");
        }
    }
}
