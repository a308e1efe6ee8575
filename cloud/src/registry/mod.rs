//! A registry that speaks the distribution API of OCI, and who is logged in to it. The only importer of `oci_client`.
//!
//! Plain HTTP is spoken to addresses of this machine and to no other. A password goes into the requests to its own
//! registry and nowhere else. Nothing here pushes or pulls layers.

mod docker;

use std::net::IpAddr;
use std::sync::Once;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

pub use docker::DockerLogins;

use crate::error::{CloudError, Kind, Result};
use crate::images::{Login, Registry, Repository};
use crate::ports::Page;

/// A registry that is not there after this long will not come.
const CONNECT: Duration = Duration::from_secs(10);
/// An answer that stops for this long does not go on.
const READ: Duration = Duration::from_secs(60);
/// Tags in a page.
const PAGE: usize = 1000;
/// Digests asked for at once.
const AT_ONCE: usize = 8;
/// Kinds of manifests that are taken as they are.
const MANIFESTS: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
];
/// Characters of a registry's own words that are kept.
const WORDS: usize = 300;

/// Any registry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Oci;

/// Connections to one registry, and who uses them.
struct Connection {
    client: Client,
    auth: RegistryAuth,
}

impl Connection {
    fn to(repository: &Repository, login: Option<&Login>) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // One that is there already is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let protocol = if is_here(&repository.host) { ClientProtocol::Http } else { ClientProtocol::Https };
        let client = Client::new(ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(READ),
            // An index goes where its tag goes; no platform of it is chosen here.
            platform_resolver: None,
            user_agent: concat!("shepard/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        let auth = match login {
            Some(login) => RegistryAuth::Basic(login.username.clone(), login.password.clone()),
            None => RegistryAuth::Anonymous,
        };
        Self { client, auth }
    }
}

fn reference(repository: &Repository, tag: &str) -> Reference {
    Reference::with_tag(repository.host.clone(), repository.name.clone(), tag.to_owned())
}

#[async_trait]
impl Registry for Oci {
    async fn tags(
        &self,
        repository: &Repository,
        login: Option<&Login>,
        from: Option<&str>,
    ) -> Result<Page<String>> {
        let connection = Connection::to(repository, login);
        let any = reference(repository, "latest");
        let answer = connection.client.list_tags(&any, &connection.auth, Some(PAGE), from).await;
        let tags = match answer {
            Ok(answer) => answer.tags,
            Err(error) => match failed("list the tags of", repository.to_string(), &error) {
                // A repository that nothing was pushed to is not there yet for a plain registry.
                error if error.kind == Kind::NotFound => Vec::new(),
                error => return Err(error),
            },
        };
        // A page that is not full is the last; one that begins where it was to go on would never end.
        let next = (tags.len() >= PAGE).then(|| tags.last().cloned()).flatten();
        Ok(Page { items: tags, next: next.filter(|next| Some(next.as_str()) != from) })
    }

    async fn digests(
        &self,
        repository: &Repository,
        login: Option<&Login>,
        tags: &[String],
    ) -> Result<Vec<Option<String>>> {
        let connection = &Connection::to(repository, login);
        futures_util::stream::iter(tags.to_vec())
            .map(|tag| async move {
                let reference = reference(repository, &tag);
                match connection.client.fetch_manifest_digest(&reference, &connection.auth).await {
                    Ok(digest) => Ok(Some(digest)),
                    Err(error) => {
                        match failed("ask for the digest of", format!("{repository}:{tag}"), &error) {
                            error if error.kind == Kind::NotFound => Ok(None),
                            error => Err(error),
                        }
                    }
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn retag(
        &self,
        repository: &Repository,
        login: Option<&Login>,
        from: &str,
        to: &str,
    ) -> Result<String> {
        let connection = Connection::to(repository, login);
        let (source, target) = (format!("{repository}:{from}"), format!("{repository}:{to}"));
        let pulled = connection
            .client
            .pull_manifest_raw(&reference(repository, from), &connection.auth, &MANIFESTS)
            .await;
        let (manifest, digest) =
            pulled.map_err(|error| failed("read the manifest of", source.clone(), &error))?;
        let kind = serde_json::from_slice::<MediaType>(&manifest).ok().and_then(|read| read.media_type);
        // Only a manifest of OCI may leave out what it is.
        let kind = kind.unwrap_or_else(|| MANIFESTS[1].to_owned());
        let kind = kind.parse().map_err(|_| {
            CloudError::new("read the manifest of", source, Kind::Invalid).because("it is of no known kind")
        })?;
        let put = connection.client.push_manifest_raw(&reference(repository, to), manifest, kind).await;
        put.map_err(|error| failed("move the tag", target, &error))?;
        Ok(digest)
    }
}

#[derive(serde::Deserialize)]
struct MediaType {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
}

/// Whether a registry is on this machine.
fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The registry's error. Its words never repeat a request, so they are kept; on one line, and not too many.
fn failed(operation: &'static str, target: String, error: &OciDistributionError) -> CloudError {
    use OciDistributionError as E;
    let (kind, words) = match error {
        E::RegistryError { envelope, .. } => {
            let kind = envelope.errors.first().map_or(Kind::Other, |error| match &error.code {
                OciErrorCode::Unauthorized => Kind::Auth,
                OciErrorCode::Denied => Kind::Denied,
                OciErrorCode::NameUnknown | OciErrorCode::ManifestUnknown | OciErrorCode::NotFound => {
                    Kind::NotFound
                }
                OciErrorCode::Toomanyrequests => Kind::Throttled,
                OciErrorCode::NameInvalid | OciErrorCode::ManifestInvalid | OciErrorCode::Unsupported => {
                    Kind::Invalid
                }
                OciErrorCode::Other(code) if code.contains("IMMUTABLE") || code.contains("AlreadyExists") => {
                    Kind::Conflict
                }
                _ => Kind::Other,
            });
            (kind, envelope.errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; "))
        }
        E::UnauthorizedError { .. } | E::AuthenticationFailure(_) => {
            (Kind::Auth, "the registry lets nobody in with that login, or without one".to_owned())
        }
        E::ImageManifestNotFoundError(_) => (Kind::NotFound, "there is no such image".to_owned()),
        E::ServerError { code, message, .. } => {
            (kind_of_status(*code), format!("HTTP status {code}: {message}"))
        }
        E::RequestError(error) => match error.status() {
            Some(status) => (kind_of_status(status.as_u16()), chain(error)),
            None => (Kind::Offline, chain(error)),
        },
        E::IoError(_) => (Kind::Offline, error.to_string()),
        other => (Kind::Other, other.to_string()),
    };
    let words: String = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS).collect();
    let failed = CloudError::new(operation, target, kind);
    if words.is_empty() { failed } else { failed.because(words) }
}

fn kind_of_status(status: u16) -> Kind {
    match status {
        401 => Kind::Auth,
        403 => Kind::Denied,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        429 => Kind::Throttled,
        503 => Kind::Offline,
        400..=499 => Kind::Invalid,
        _ => Kind::Other,
    }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let (mut words, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let said = error.to_string();
        if !words.ends_with(&said) {
            words.push_str(": ");
            words.push_str(&said);
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for here in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "[::1]"] {
            assert!(is_here(here), "{here}");
        }
        for away in [
            "10.0.0.1:5000",
            "registry.test",
            "localhost.test:80",
            "127.0.0.1.test",
            "0.0.0.0:5000",
            "[::2]:1",
        ] {
            assert!(!is_here(away), "{away}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_offline_and_names_what_was_asked() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let repository = Repository { host: free.to_string(), name: "x".into() };
        let error = Oci.tags(&repository, None, None).await.unwrap_err();
        assert_eq!(error.kind, Kind::Offline, "{error}");
        assert!(error.to_string().contains(&repository.to_string()), "{error}");
    }
}
