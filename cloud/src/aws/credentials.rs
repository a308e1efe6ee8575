//! Whose credentials a request carries.
//!
//! In this order: the session of `set-role`, where no profile is named; the environment, where no profile is named; the
//! profile, with its chain of roles; what else the SDK finds. Then the role that is asked for on top. A role that
//! needs a code is taken from the sessions that are kept; if there is none, [`Kind::Mfa`] says so, and nobody is asked.
//!
//! All of it is read anew each time the SDK asks, which is when what it has runs out: a session that was renewed,
//! here or by another program, is found without anybody being told.

use std::fmt;

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::identity::IdentityCache;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::{self, ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::os_shim_internal::{Env, Fs};

use super::chain::{Base, chain};
use super::connect::{self, AssumeRole, Profile};
use super::error::unfound;
use super::{session, set_role};
use crate::error::{CloudError, Kind};

/// The same configuration, with credentials as above in place of the SDK's own.
pub(super) fn over(found: SdkConfig, profile: &Profile, client: SharedHttpClient) -> SdkConfig {
    let sdk = found.credentials_provider();
    let finder = Finder { profile: profile.clone(), config: found.clone(), client, sdk };
    found.into_builder().credentials_provider(SharedCredentialsProvider::new(finder)).build()
}

/// Finds credentials.
#[derive(Clone)]
pub(super) struct Finder {
    profile: Profile,
    /// Region, endpoints, timeouts.
    config: SdkConfig,
    client: SharedHttpClient,
    /// The SDK's own chain.
    sdk: Option<SharedCredentialsProvider>,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl ProvideCredentials for Finder {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(
            async move { self.find().await.map_err(CredentialsError::provider_error) },
        )
    }
}

impl Finder {
    /// The finder of a profile.
    pub(super) async fn of(profile: &Profile) -> Self {
        let client = connect::client();
        let config = connect::configuration(profile, client.clone()).await;
        let sdk = config.credentials_provider();
        Self { profile: profile.clone(), config, client, sdk }
    }

    async fn find(&self) -> Result<Credentials, CloudError> {
        let base = self.base().await?;
        let Some(role) = &self.profile.role else { return Ok(base) };
        self.on_top(role, base).await
    }

    /// Everything but the role on top.
    pub(super) async fn base(&self) -> Result<Credentials, CloudError> {
        if set_role::counts(&self.profile)
            && let Some(role) = set_role::read()?
        {
            return role.credentials();
        }
        if !self.is_of_environment() {
            let (profiles, name) = self.profiles().await?;
            let found = chain(&profiles, &name)
                .map_err(|broken| CloudError::new("use the profile", &name, Kind::Invalid).because(broken))?;
            if let Some(chain) = found {
                let mut credentials = self.begin(&chain.base).await?;
                for role in &chain.roles {
                    credentials = self.assumed(role, credentials).await?;
                }
                return Ok(credentials);
            }
        }
        match &self.profile.name {
            // Keys in the environment are somebody else's than those of a profile that was named.
            Some(name) => given(&self.of_profile(name), &format!("of the profile {name}")).await,
            None => match &self.sdk {
                Some(sdk) => given(sdk, "").await,
                None => Err(CloudError::new("find credentials", "", Kind::Auth)),
            },
        }
    }

    /// The environment holds keys that count.
    fn is_of_environment(&self) -> bool {
        let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
        self.profile.name.is_none()
            && self.profile.file.is_none()
            && set("AWS_ACCESS_KEY_ID")
            && (set("AWS_SECRET_ACCESS_KEY") || set("SECRET_ACCESS_KEY"))
    }

    /// The profiles of the files, and which of them counts.
    async fn profiles(&self) -> Result<(ProfileSet, String), CloudError> {
        profiles(&self.profile).await
    }

    /// The credentials that a chain begins with.
    pub(super) async fn begin(&self, base: &Base) -> Result<Credentials, CloudError> {
        match base {
            Base::Keys(keys) => Ok(keys.clone()),
            Base::Profile(name) => given(&self.of_profile(name), &format!("of the profile {name}")).await,
            Base::Source(source) => {
                let config = self.provider_config();
                let what = format!("of {source}");
                match source.to_ascii_lowercase().as_str() {
                    "environment" => given(&EnvironmentVariableCredentialsProvider::new(), &what).await,
                    "ec2instancemetadata" => {
                        given(&ImdsCredentialsProvider::builder().configure(&config).build(), &what).await
                    }
                    "ecscontainer" => {
                        given(&EcsCredentialsProvider::builder().configure(&config).build(), &what).await
                    }
                    _ => Err(CloudError::new("find credentials", what, Kind::Invalid)
                        .because("credential_source is Environment, Ec2InstanceMetadata or EcsContainer")),
                }
            }
        }
    }

    fn of_profile(&self, name: &str) -> ProfileFileCredentialsProvider {
        let mut builder =
            ProfileFileCredentialsProvider::builder().configure(&self.provider_config()).profile_name(name);
        if let Some(files) = self.profile.files() {
            builder = builder.profile_files(files);
        }
        builder.build()
    }

    fn provider_config(&self) -> ProviderConfig {
        let config = ProviderConfig::without_region()
            .with_region(self.config.region().cloned())
            .with_behavior_version(self.config.behavior_version())
            .with_http_client(self.client.clone());
        match self.config.timeout_config() {
            Some(timeouts) => config.with_timeout_config(timeouts.clone()),
            None => config,
        }
    }

    /// The session of a role of the profile.
    pub(super) async fn assumed(
        &self,
        role: &AssumeRole,
        with: Credentials,
    ) -> Result<Credentials, CloudError> {
        match &role.serial {
            None => Ok(session::assume(&self.asking(with), role, None).await?.0.credentials()),
            Some(serial) => self.kept(role).ok_or_else(|| needs_code(role, serial)),
        }
    }

    /// The session of the role on top. Its code's device may be known from the profile alone, and then nobody knows
    /// whether the role wants a code before it was asked for without.
    async fn on_top(&self, role: &AssumeRole, with: Credentials) -> Result<Credentials, CloudError> {
        if role.serial.is_some() {
            return self.assumed(role, with).await;
        }
        let serial = self.own_serial().await;
        let guarded = serial.map(|serial| AssumeRole { serial: Some(serial), ..role.clone() });
        if let Some(session) = guarded.as_ref().and_then(|guarded| self.kept(guarded)) {
            return Ok(session);
        }
        match (self.assumed(role, with).await, guarded) {
            (Err(error), Some(AssumeRole { serial: Some(serial), .. })) if error.kind == Kind::Denied => {
                Err(needs_code(role, &serial))
            }
            (answer, _) => answer,
        }
    }

    /// The `mfa_serial` of the profile that counts.
    async fn own_serial(&self) -> Option<String> {
        let (profiles, name) = self.profiles().await.ok()?;
        profiles.get_profile(&name)?.get("mfa_serial").map(str::to_owned)
    }

    fn kept(&self, role: &AssumeRole) -> Option<Credentials> {
        let folder = session::folder(&self.profile)?;
        Some(session::kept(&folder, role)?.credentials())
    }

    /// A configuration that asks with these credentials.
    pub(super) fn asking(&self, with: Credentials) -> SdkConfig {
        self.config
            .to_builder()
            .identity_cache(IdentityCache::no_cache())
            .credentials_provider(SharedCredentialsProvider::new(with))
            .build()
    }
}

fn needs_code(role: &AssumeRole, serial: &str) -> CloudError {
    CloudError::new("assume the role", &role.arn, Kind::Mfa).because(format!(
        "a code of the MFA device {serial} is needed; run `shepard renew`, or press . in the console"
    ))
}

/// What a provider of the SDK gives.
async fn given(provider: &impl ProvideCredentials, whose: &str) -> Result<Credentials, CloudError> {
    provider.provide_credentials().await.map_err(|error| unfound(whose, &error))
}

/// The profiles of the files, and which of them counts: the one that is named, else `AWS_PROFILE`, else `default`.
///
/// # Errors
/// A file that cannot be read or parsed.
pub(super) async fn profiles(profile: &Profile) -> Result<(ProfileSet, String), CloudError> {
    let (files, environment) = match profile.files() {
        Some(files) => (files, Env::from_slice(&[])),
        None => (EnvConfigFiles::default(), Env::real()),
    };
    let name = profile.name.clone().map(Into::into);
    let set = profile::load(&Fs::real(), &environment, &files, name).await.map_err(|error| {
        CloudError::new("read the AWS configuration files", "", Kind::Invalid)
            .because(super::error::chain(&error))
    })?;
    let selected = set.selected_profile().to_owned();
    Ok((set, selected))
}
