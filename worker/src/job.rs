//! Which attempt of which job this process is, read off the contract's worker environment.
//!
//! It reads pairs, not the process's own environment, so that a test and the supervisor can ask as well.

use std::collections::HashMap;

use shepard_cloud::ports::Buckets;
use shepard_model::names::worker_env as env;
use shepard_model::{BatchRef, JobId};

/// One attempt, as the compute started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Key of the row.
    pub id: JobId,
    /// Key of the input object; None for a job that came by API.
    pub input: Option<String>,
    /// `IS_INVOKED`: the job came by API and no zip is fetched.
    pub invoked: bool,
    /// Run of the row, from 1.
    pub run: u32,
    /// Attempt of the run, from 1.
    pub attempt: u32,
    /// The compute's id of the job, if it says.
    pub compute_id: Option<String>,
    /// What the compute's log driver writes this process's output to, where that is the job's log, such as
    /// `/aws/batch/job:NAME/default/ID`. The rows of a pack share it. None: each attempt has a stream of its own.
    pub log_stream: Option<String>,
    /// Where the manifest says that the row is; None for a job of its own.
    pub batch: Option<BatchRef>,
    /// An EFS is mounted.
    pub uses_efs: bool,
    /// A Lustre is mounted.
    pub uses_lustre: bool,
    /// The payload may talk to the Docker daemon.
    pub allow_docker: bool,
    /// Open-files limit of the payload; None leaves the limit that is there.
    pub ulimit_nofile: Option<u64>,
    /// The flock's buckets, where the environment names them: an errors bucket that is absent is empty.
    pub buckets: Option<Buckets>,
}

/// Why an environment names no attempt. Values are repeated only where they cannot be a user's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// A name that has to be there is not.
    #[error("the worker's environment lacks {0}; the compute sets it when it starts a job")]
    Missing(&'static str),
    /// A value that cannot be what its name says.
    #[error("{name} in the worker's environment is {value:?}, which is not {wanted}")]
    Odd {
        /// The name.
        name: &'static str,
        /// The value, cut short.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl Job {
    /// Reads an attempt off pairs of name and value; the last of equal names counts, others are ignored.
    ///
    /// # Errors
    /// The first name that is missing or odd.
    pub fn from_env<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, JobError>
    where
        N: Into<String>,
        V: Into<String>,
    {
        Self::read(&Environment(&known(pairs)))
    }

    pub(crate) fn read(env: &Environment<'_>) -> Result<Self, JobError> {
        let id = env.required(env::UUID)?;
        let invoked = env.required(env::IS_INVOKED)? == "True";
        // The original treats every other value as "not invoked" but only ever writes these two.
        env.truth(env::IS_INVOKED)?;
        // An object may be called `None`, so it is IS_INVOKED that decides.
        let input = Some(env.required(env::INPUT_ZIP_NAME)?).filter(|_| !invoked);
        Ok(Self {
            id: JobId::parse(id).ok_or_else(|| odd(env::UUID, id, "a job id"))?,
            input: input.map(str::to_owned),
            invoked,
            run: env.count(env::RUN)?.unwrap_or(1),
            attempt: env.count(env::ATTEMPT)?.unwrap_or(1),
            compute_id: env.optional(env::COMPUTE_ID).map(str::to_owned),
            log_stream: None,
            batch: None,
            uses_efs: env.truth(env::USES_EFS)?,
            uses_lustre: env.truth(env::USES_LUSTRE)?,
            allow_docker: env.truth(env::ALLOW_DOCKER_ACCESS)?,
            ulimit_nofile: env.count(env::ULIMIT_FILENO)?.map(u64::from),
            buckets: env.buckets()?,
        })
    }
}

/// The last of equal names counts.
pub(crate) fn known<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> HashMap<String, String>
where
    N: Into<String>,
    V: Into<String>,
{
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// A worker's environment, as pairs.
pub(crate) struct Environment<'a>(pub(crate) &'a HashMap<String, String>);

impl<'a> Environment<'a> {
    /// A value that is there and not empty.
    pub(crate) fn optional(&self, name: &'static str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &'static str) -> Result<&'a str, JobError> {
        self.optional(name).ok_or(JobError::Missing(name))
    }

    /// `True` or `False`, as the job definition spells them; absent is false.
    fn truth(&self, name: &'static str) -> Result<bool, JobError> {
        match self.optional(name) {
            None | Some("False") => Ok(false),
            Some("True") => Ok(true),
            Some(other) => Err(odd(name, other, "True or False")),
        }
    }

    pub(crate) fn count(&self, name: &'static str) -> Result<Option<u32>, JobError> {
        let Some(text) = self.optional(name) else { return Ok(None) };
        match text.parse::<u32>() {
            Ok(count) if count > 0 => Ok(Some(count)),
            _ => Err(odd(name, text, "a whole number from 1")),
        }
    }

    fn buckets(&self) -> Result<Option<Buckets>, JobError> {
        let three = [env::INPUTS_BUCKET, env::OUTPUTS_BUCKET, env::QUICK_DEPLOY_BUCKET];
        if three.iter().all(|name| self.optional(name).is_none()) {
            return Ok(None);
        }
        Ok(Some(Buckets {
            inputs: self.required(env::INPUTS_BUCKET)?.to_owned(),
            outputs: self.required(env::OUTPUTS_BUCKET)?.to_owned(),
            quick_deploy: self.required(env::QUICK_DEPLOY_BUCKET)?.to_owned(),
            errors: self.optional(env::ERRORS_BUCKET).unwrap_or_default().to_owned(),
        }))
    }
}

pub(crate) fn odd(name: &'static str, value: &str, wanted: &'static str) -> JobError {
    JobError::Odd { name, value: value.chars().take(80).collect(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: [(&str, &str); 3] =
        [("UUID", "abc"), ("INPUT_ZIP_NAME", "a/b c.zip"), ("IS_INVOKED", "False")];

    fn with(more: &[(&str, &str)]) -> Result<Job, JobError> {
        Job::from_env(LEAST.iter().chain(more).map(|(name, value)| (*name, *value)))
    }

    #[test]
    fn the_least_there_is() {
        let job = with(&[("HOME", "/root")]).unwrap();
        assert_eq!((job.id.as_str(), job.input.as_deref()), ("abc", Some("a/b c.zip")));
        assert_eq!((job.run, job.attempt, job.invoked, job.buckets), (1, 1, false, None));
        assert!(!job.uses_efs && !job.uses_lustre && !job.allow_docker);
    }

    #[test]
    fn a_job_by_api_has_no_input() {
        let job = with(&[("INPUT_ZIP_NAME", "None"), ("IS_INVOKED", "True")]).unwrap();
        assert_eq!((job.input, job.invoked), (None, true));
    }

    #[test]
    fn everything_there_is() {
        let job = with(&[
            ("SHEPARD_RUN", "2"),
            ("AWS_BATCH_JOB_ATTEMPT", "3"),
            ("USES_EFS", "True"),
            ("USES_LUSTRE", "True"),
            ("ULIMIT_FILENO", "1048576"),
            ("inputs_bucket", "i"),
            ("outputs_bucket", "o"),
            ("quick_deploy_bucket", "q"),
        ])
        .unwrap();
        assert_eq!((job.run, job.attempt, job.ulimit_nofile), (2, 3, Some(1_048_576)));
        assert!(job.uses_efs && job.uses_lustre);
        let buckets = job.buckets.unwrap();
        assert_eq!((buckets.quick_deploy.as_str(), buckets.errors.as_str()), ("q", ""));
    }

    #[test]
    fn what_is_missing_or_odd_is_said() {
        let said = |more: &[(&str, &str)]| with(more).unwrap_err().to_string();
        assert!(said(&[("UUID", "")]).contains("lacks UUID"));
        assert!(said(&[("UUID", "../x")]).contains("not a job id"));
        assert!(said(&[("IS_INVOKED", "true")]).contains("not True or False"));
        assert!(said(&[("INPUT_ZIP_NAME", "")]).contains("lacks INPUT_ZIP_NAME"));
        assert!(said(&[("AWS_BATCH_JOB_ATTEMPT", "0")]).contains("whole number"));
        assert!(said(&[("SHEPARD_RUN", "-1")]).contains("SHEPARD_RUN"));
        assert!(said(&[("inputs_bucket", "i")]).contains("lacks outputs_bucket"));
        let none: [(&str, &str); 0] = [];
        assert_eq!(Job::from_env(none), Err(JobError::Missing("UUID")));
    }
}
