//! ECR: the login to a registry of an AWS account, and the tags of its repositories.
//!
//! Tags are asked of ECR's own API and not of the registry: the registry pages through them by tokens that are no tags.
//! Everything else of a registry is as of any other.

use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::Builder;
use aws_sdk_ecr::types::{ListImagesFilter, TagStatus};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::connect::{Profile, load};
use super::error::failed;
use crate::error::{CloudError, Kind, Result};
use crate::images::{Login, Repository};
use crate::ports::Page;

const LOG_IN: &str = "log in to ECR";

/// The registries of ECR. Clones share its connections.
#[derive(Clone)]
pub struct Ecr {
    config: SdkConfig,
}

impl std::fmt::Debug for Ecr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ecr").field("region", &self.config.region()).finish_non_exhaustive()
    }
}

/// A registry of ECR, by its host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    account: String,
    region: String,
}

/// `<account>.dkr.ecr.<region>.amazonaws.com` and its like: FIPS, China, and the hosts that answer over IPv6 as well.
fn place(host: &str) -> Option<Place> {
    let mut parts = host.split('.');
    let account = parts.next().filter(|part| part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit()))?;
    let service = parts.next()?;
    let known = match service {
        "dkr" => matches!(parts.next()?, "ecr" | "ecr-fips"),
        service => matches!(service, "dkr-ecr" | "dkr-ecr-fips"),
    };
    let region = parts.next()?;
    let rest: Vec<&str> = parts.collect();
    let ends = ["amazonaws.com", "amazonaws.com.cn", "on.aws", "on.amazonwebservices.com.cn"];
    let known = known && ends.contains(&rest.join(".").as_str());
    known.then(|| Place { account: account.to_owned(), region: region.to_owned() })
}

/// Whether a host is a registry of ECR.
pub fn is_ecr(host: &str) -> bool {
    place(host).is_some()
}

impl Ecr {
    /// With the SDK's own settings. Asks nothing of AWS.
    pub async fn connect(profile: &Profile) -> Self {
        Self { config: load(profile).await }
    }

    /// With the role of the instance that this program runs on, whatever other credentials there are.
    pub async fn as_instance(profile: &Profile) -> Self {
        let role = ImdsCredentialsProvider::builder().build();
        let config = load(profile).await.into_builder();
        Self { config: config.credentials_provider(SharedCredentialsProvider::new(role)).build() }
    }

    fn client(&self, region: Option<&str>) -> Client {
        let mut builder = Builder::from(&self.config);
        if let Some(region) = region {
            builder = builder.region(Region::new(region.to_owned()));
        }
        Client::from_conf(builder.build())
    }

    /// The registry of the account and the region in use.
    ///
    /// # Errors
    /// No credentials, or they may not log in to ECR.
    pub async fn home(&self) -> Result<String> {
        Ok(self.token(None, "the registry of this account").await?.server)
    }

    /// The login to a registry of ECR, good for some hours.
    ///
    /// # Errors
    /// `Invalid` for a host that is none of ECR; no credentials, or they may not log in to ECR.
    pub async fn login(&self, host: &str) -> Result<Login> {
        let place = place(host).ok_or_else(|| CloudError::new(LOG_IN, host, Kind::Invalid))?;
        let token = self.token(Some(&place.region), host).await?;
        // A token is good for every registry of the region that the person may use.
        Ok(Login { server: host.to_owned(), ..token })
    }

    async fn token(&self, region: Option<&str>, target: &str) -> Result<Login> {
        let answer = self.client(region).get_authorization_token().send().await;
        let answer = answer.map_err(|error| failed(LOG_IN, target, &error))?;
        let data = answer.authorization_data.unwrap_or_default().into_iter().next();
        let odd = |why: &'static str| CloudError::new(LOG_IN, target, Kind::Other).because(why);
        let data = data.ok_or_else(|| odd("the answer has no token"))?;
        let token = data.authorization_token.ok_or_else(|| odd("the answer has no token"))?;
        let endpoint = data.proxy_endpoint.ok_or_else(|| odd("the answer names no registry"))?;
        let server = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, host)| host);
        // The decoder's own error repeats bytes of the token.
        let decoded = STANDARD.decode(token).map_err(|_| odd("the token is no base64"))?;
        let decoded = String::from_utf8(decoded).map_err(|_| odd("the token is no text"))?;
        let (username, password) = decoded.split_once(':').ok_or_else(|| odd("the token has no user"))?;
        Ok(Login {
            server: server.trim_end_matches('/').to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }

    /// The tags of a repository, a page at a time.
    ///
    /// # Errors
    /// `Invalid` for a repository that is none of ECR, `NotFound` where there is none of that name.
    pub async fn tags(&self, repository: &Repository, from: Option<&str>) -> Result<Page<String>> {
        const DOING: &str = "list the tags of";
        let target = || repository.to_string();
        let place = place(&repository.host).ok_or_else(|| CloudError::new(DOING, target(), Kind::Invalid))?;
        let answer = self
            .client(Some(&place.region))
            .list_images()
            .registry_id(place.account)
            .repository_name(&repository.name)
            .filter(ListImagesFilter::builder().tag_status(TagStatus::Tagged).build())
            .set_next_token(from.map(str::to_owned))
            .send()
            .await
            .map_err(|error| failed(DOING, target(), &error))?;
        let items = answer.image_ids.unwrap_or_default().into_iter().filter_map(|id| id.image_tag).collect();
        Ok(Page { items, next: answer.next_token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_ecr_says_its_account_and_region() {
        let of = |host: &str| place(host).map(|place| (place.account, place.region));
        for host in [
            "012345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "012345678901.dkr.ecr-fips.eu-west-1.amazonaws.com",
            "012345678901.dkr.ecr.eu-west-1.amazonaws.com.cn",
            "012345678901.dkr-ecr.eu-west-1.on.aws",
        ] {
            assert_eq!(of(host), Some(("012345678901".to_owned(), "eu-west-1".to_owned())), "{host}");
        }
        for other in [
            "public.ecr.aws",
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "012345678901.dkr.ecr.eu-west-1.amazonaws.com.test",
            "012345678901.dkr.ecr.eu-west-1.evil.test",
            "012345678901.s3.eu-west-1.amazonaws.com",
            "localhost:5000",
        ] {
            assert!(!is_ecr(other), "{other}");
        }
    }
}
