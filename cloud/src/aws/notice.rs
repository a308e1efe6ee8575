//! Spot's notices, off the metadata of the instance that this program runs on.
//!
//! The SDK's own client asks: sessions by token (IMDSv2), `AWS_EC2_METADATA_SERVICE_ENDPOINT` and the profile's
//! settings count. Spot announces an interruption two minutes ahead (EC2 user guide, "Spot Instance interruption
//! notices", 2026-11).

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::imds::client::error::ImdsError;
use aws_config::imds::client::{self, Client};
use aws_config::provider_config::ProviderConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::error::{CloudError, Kind, Result};
use crate::notice::{Notice, Notices};

/// `{"action": "terminate", "time": "2026-11-21T12:00:00Z"}`, or 404 while nothing is to happen.
const ACTION: &str = "/latest/meta-data/spot/instance-action";
/// `{"noticeTime": "…"}`, or 404.
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
/// The metadata is one hop away: what takes longer will not come. Whoever asks asks again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The instance's metadata as announcements.
#[derive(Debug, Clone)]
pub struct SpotNotices {
    client: Client,
}

impl SpotNotices {
    /// Asks where the SDK's settings say. None where `AWS_EC2_METADATA_DISABLED` is `true`.
    pub fn from_env() -> Option<Self> {
        let off =
            std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|off| off.eq_ignore_ascii_case("true"));
        // The settings are read when the first question is asked.
        (!off).then(|| Self { client: client(Client::builder()) })
    }

    /// Asks a service at this address, such as `http://127.0.0.1:8080`. None where it is no address.
    pub fn at(endpoint: &str) -> Option<Self> {
        let builder = Client::builder().endpoint(endpoint).ok()?;
        Some(Self { client: client(builder) })
    }

    /// What is at a path; None where nothing is.
    async fn read(&self, path: &'static str) -> Result<Option<String>> {
        match self.client.get(path).await {
            Ok(text) => Ok(Some(text.into())),
            Err(ImdsError::ErrorResponse(answer)) if answer.response().status().as_u16() == 404 => Ok(None),
            Err(error) => {
                let kind = match &error {
                    ImdsError::ErrorResponse(answer) => match answer.response().status().as_u16() {
                        401 | 403 => Kind::Denied,
                        _ => Kind::Other,
                    },
                    _ => Kind::Offline,
                };
                let cause = error.source().map(ToString::to_string).unwrap_or_else(|| error.to_string());
                Err(CloudError::new("read the instance's metadata at", path, kind).because(cause))
            }
        }
    }
}

fn client(builder: client::Builder) -> Client {
    let config = ProviderConfig::without_region().with_http_client(Builder::new().build_http());
    builder
        .configure(&config)
        .max_attempts(1)
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE)
        .operation_attempt_timeout(PATIENCE)
        // A question may have to fetch its token first.
        .operation_timeout(PATIENCE * 2)
        .build()
}

#[async_trait]
impl Notices for SpotNotices {
    async fn newest(&self) -> Result<Option<Notice>> {
        if let Some(text) = self.read(ACTION).await? {
            return reclaimed(&text).map(Some);
        }
        Ok(self.read(REBALANCE).await?.map(|_| Notice::AtRisk))
    }
}

/// Whatever the action is called (`terminate`, `stop`, `hibernate`), the payload loses its host. An answer that names
/// none is not Spot's: something else answers at this address, and must not stop a job.
fn reclaimed(text: &str) -> Result<Notice> {
    let said: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    if said.get("action").and_then(serde_json::Value::as_str).is_none() {
        return Err(CloudError::new("read the instance's metadata at", ACTION, Kind::Invalid));
    }
    let time = said.get("time").and_then(serde_json::Value::as_str);
    let at = time.and_then(|time| DateTime::from_str(time, Format::DateTime).ok());
    Ok(Notice::Reclaimed { at_ms: at.and_then(|at| at.to_millis().ok()) })
}

#[cfg(test)]
mod tests;
