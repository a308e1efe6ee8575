//! Finding AWS: region, credentials, endpoints, timeouts and retries, for all services at once.
//!
//! Everything that the SDK reads by itself is left to it: the environment, the profile files, `AWS_ENDPOINT_URL` and
//! its like for one service. No address of AWS or of an emulator is named here. Nothing is asked of
//! AWS before the first request. The machine's TLS roots are read here, once, and are most of what it costs.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
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
    /// A role that is assumed with the credentials that the rest of this gives. Only the console does that.
    pub role: Option<AssumeRole>,
    /// Leave out the session that `set-role` may have left, which else counts before the environment wherever no
    /// profile is named.
    pub ambient: bool,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AssumeRole {
    /// Its ARN.
    pub arn: String,
    /// ARN or serial number of the device whose code it asks for. None takes the profile's own `mfa_serial`, if the role
    /// cannot be had without a code.
    pub serial: Option<String>,
    /// External id that its trust policy asks for.
    pub external_id: Option<String>,
    /// Name of the session; None makes one up.
    pub session_name: Option<String>,
    /// How long the session lasts, in seconds; None is the service's hour.
    pub seconds: Option<u32>,
}

impl AssumeRole {
    /// One of which nothing but the ARN is known.
    pub fn of(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), ..Self::default() }
    }
}

impl Profile {
    /// The one of an account.
    pub fn of(account: &Account) -> Self {
        Self {
            name: account.profile.clone(),
            region: account.region.clone(),
            role: account
                .role
                .clone()
                .map(|role| AssumeRole { serial: account.serial.clone(), ..AssumeRole::of(role) }),
            ..Self::default()
        }
    }

    /// The file to read in place of the SDK's own, as it wants it.
    pub(super) fn files(&self) -> Option<EnvConfigFiles> {
        let file = self.file.as_ref()?;
        Some(EnvConfigFiles::builder().with_file(EnvConfigFileKind::Config, file).build())
    }
}

/// Reads the configuration.
pub(super) async fn load(profile: &Profile) -> SdkConfig {
    let client = client();
    let found = configuration(profile, client.clone()).await;
    #[cfg(feature = "account")]
    let found = super::credentials::over(found, profile, client);
    found
}

/// The client of HTTP, with TLS.
pub(super) fn client() -> SharedHttpClient {
    Builder::new()
        .pool_idle_timeout(IDLE)
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

/// What the SDK makes of the environment and the files by itself.
pub(super) async fn configuration(profile: &Profile, client: SharedHttpClient) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    // A request that waits for its turn has time: its own begins when it is sent, and who calls may give up.
    #[cfg(feature = "account")]
    let (client, timeouts) = match crate::pace::shared() {
        Some(pace) => {
            let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ATTEMPT).build();
            (super::paced::paced(client, pace, profile.name.as_deref()), timeouts)
        }
        None => (client, timeouts),
    };
    let retries = RetryConfig::standard().with_max_attempts(TRIES).with_initial_backoff(WAIT);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        .timeout_config(timeouts)
        .retry_config(retries)
        // The SDK's five seconds would be too few for a role behind a role behind a slow proxy.
        .identity_cache(IdentityCache::lazy().load_timeout(OPERATION).build());
    if let Some(region) = &profile.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(name) = &profile.name {
        loader = loader.profile_name(name);
    }
    if let Some(files) = profile.files() {
        loader = loader.profile_files(files).empty_test_environment();
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
