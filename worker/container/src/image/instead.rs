//! What stands in the place of a payload or of secrets that there are not.

use async_trait::async_trait;
use shepard_cloud::ports::{Secret, Secrets, Written};
use shepard_cloud::{CloudError, Kind, Result};
use shepard_worker::{Exited, Line, Payload, PayloadError, PayloadSpec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A payload that cannot be run, so that its job's row and log say why. A sentence with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoPayload {
    /// Not on another attempt either.
    Ever(String),
    /// Not here and now.
    Now(String),
}

impl NoPayload {
    /// The sentence.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Ever(why) | Self::Now(why) => why,
        }
    }
}

#[async_trait]
impl Payload for NoPayload {
    fn way(&self) -> String {
        "not at all: it cannot be run".to_owned()
    }

    async fn run(
        &self,
        _: &PayloadSpec,
        _: mpsc::Sender<Line>,
        _: &CancellationToken,
    ) -> std::result::Result<Exited, PayloadError> {
        Err(match self {
            Self::Ever(why) => PayloadError::Refused(why.clone()),
            Self::Now(why) => PayloadError::Passing(why.clone()),
        })
    }
}

/// The secrets of a flock that has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn read(&self) -> Result<Vec<Secret>> {
        Ok(Vec::new())
    }

    async fn write(&self, _: &[Secret]) -> Result<Written> {
        Err(CloudError::new("write the secrets", "", Kind::Invalid).because("this flock has no secret store"))
    }
}
