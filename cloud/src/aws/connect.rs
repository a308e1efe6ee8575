//! Finding AWS: region, credentials, endpoints, timeouts and retries, for all services at once.
//!
//! Everything that the SDK reads by itself is left to it: the environment, the profile files, `AWS_ENDPOINT_URL` and
//! its like for one service. No address of AWS or of an emulator is named here. Nothing is asked of
//! AWS before the first request. The machine's TLS roots are read here, once, and are most of what it costs.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;
use shepard_model::Account;

/// A connection that is not there after this long will not come.
const CONNECT: Duration = Duration::from_secs(2);
/// One try of one operation, up to the first byte of the answer's body.
const ATTEMPT: Duration = Duration::from_secs(10);
/// An operation with all its tries.
const OPERATION: Duration = Duration::from_secs(30);
/// Tries of an operation that was throttled or lost on the way. Few: who calls knows better when to give up.
const TRIES: u32 = 3;
/// First wait between two tries, doubled each time, of which the SDK takes a random part.
const WAIT: Duration = Duration::from_millis(100);

/// A connection that nobody used for longer is not used again. The services close theirs after 20 s and more; a Lambda
/// that was frozen meanwhile would not have noticed, and a submission that meets a dead connection is in doubt.
const IDLE: Duration = Duration::from_secs(15);

/// Which of the user's configurations to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Name of the profile; None is what `AWS_PROFILE` says, or `default`.
    pub name: Option<String>,
    /// A configuration file to read in place of the SDK's own. Then no environment variable counts either, so that
    /// what is in the file is all there is.
    pub file: Option<PathBuf>,
    /// The region, in place of what the SDK would find. A worker is told it by a variable that the SDK does not know.
    pub region: Option<String>,
}

impl Profile {
    /// The one of an account.
    pub fn of(account: &Account) -> Self {
        Self { name: account.profile.clone(), file: None, region: account.region.clone() }
    }
}

/// Reads the configuration.
pub(super) async fn load(profile: &Profile) -> SdkConfig {
    let client = Builder::new()
        .pool_idle_timeout(IDLE)
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let retries = RetryConfig::standard().with_max_attempts(TRIES).with_initial_backoff(WAIT);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        .timeout_config(timeouts)
        .retry_config(retries);
    if let Some(region) = &profile.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(name) = &profile.name {
        loader = loader.profile_name(name);
    }
    if let Some(file) = &profile.file {
        let files = EnvConfigFiles::builder().with_file(EnvConfigFileKind::Config, file);
        loader = loader.profile_files(files.build()).empty_test_environment();
    }
    loader.load().await
}

/// Whether a program may log something. At the finest level the SDK and what it stands on log whole requests and answers:
/// secrets, and variables of users. No log of ours has those, whatever level a person asks for.
pub fn may_be_logged(metadata: &tracing::Metadata<'_>) -> bool {
    let whose = ["aws_", "hyper", "h2", "rustls"];
    *metadata.level() < tracing::Level::TRACE || !whose.iter().any(|name| metadata.target().starts_with(name))
}

/// The S3 client. Path-style where an endpoint is set: no emulator and few stores answer to a bucket's own host name.
pub(super) fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let own = endpoint_of(config, "S3").is_some();
    let builder = aws_sdk_s3::config::Builder::from(config).force_path_style(own);
    aws_sdk_s3::Client::from_conf(builder.build())
}

/// The Batch client for SubmitJob, which must not be tried again by itself. There is no client token: a submission
/// whose answer was lost may have made a job, and a second would make another. And a throttled one is the scheduler's
/// to pace, which sees all of them.
pub(super) fn batch_once(config: &SdkConfig) -> aws_sdk_batch::Client {
    let builder = aws_sdk_batch::config::Builder::from(config).retry_config(RetryConfig::disabled());
    aws_sdk_batch::Client::from_conf(builder.build())
}

/// The endpoint that the environment or the profile sets for a service, or for all.
pub(super) fn endpoint_of(config: &SdkConfig, service: &'static str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let own = key.build().ok().and_then(|key| config.service_config()?.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}
