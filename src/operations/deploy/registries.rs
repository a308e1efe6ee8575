//! The registries of this person: ECR by the AWS credentials in use, any other by what `docker login` left behind.

use std::sync::Arc;

use async_trait::async_trait;
use shepard_cloud::aws::registry::{Ecr, is_ecr};
use shepard_cloud::images::{Login, Logins, Registry, Repository};
use shepard_cloud::ports::Page;
use shepard_cloud::registry::{DockerLogins, Oci};
use shepard_cloud::{CloudError, Kind};

use super::super::error::{OperationError, Result};
use super::Target;

/// Logins to registries, and what their repositories have.
#[derive(Clone)]
pub struct Registries {
    /// Who is logged in.
    pub logins: Arc<dyn Logins>,
    /// What repositories have.
    pub registry: Arc<dyn Registry>,
}

impl std::fmt::Debug for Registries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registries")
    }
}

/// A repository, and who goes there.
#[derive(Debug, Clone)]
pub struct Place {
    /// The repository.
    pub repository: Repository,
    /// None where nobody is logged in.
    pub login: Option<Login>,
}

impl Registries {
    /// Those of this person; on AWS with the credentials that the target is asked by. Asks nothing of anybody.
    pub async fn for_target(target: &Target) -> Self {
        let own = Arc::new(Own {
            ecr: Ecr::connect(&target.profile()).await,
            docker: DockerLogins::of_this_person(),
        });
        Self { logins: Arc::clone(&own) as Arc<dyn Logins>, registry: own }
    }

    /// The repository that a person means, and the login to it.
    ///
    /// # Errors
    /// What is no repository, and a login that cannot be had.
    pub async fn place(&self, text: &str) -> Result<Place> {
        let (host, name) = Repository::parse(text)?;
        let host = match host {
            Some(host) => host,
            None => self.logins.home().await?,
        };
        let login = self.logins.login(&host).await?;
        Ok(Place { repository: Repository { host, name }, login })
    }
}

impl Place {
    /// An error of the registry, with what to do where nobody was let in.
    pub fn explain(&self, error: CloudError) -> OperationError {
        match error.kind {
            Kind::Auth | Kind::Denied => OperationError::Refused(format!("{error}; {}", self.advice())),
            _ => error.into(),
        }
    }

    /// What somebody can do whom the registry does not let in.
    pub fn advice(&self) -> String {
        let host = &self.repository.host;
        match (&self.login, is_ecr(host)) {
            (_, true) => "the AWS credentials in use need ecr permissions for this repository".to_owned(),
            (None, false) => format!("nobody is logged in there: `docker login {host}` does that"),
            (Some(_), false) => {
                format!("whoever is logged in there may not do it; see `docker login {host}`")
            }
        }
    }
}

/// Everything as this person has it.
struct Own {
    ecr: Ecr,
    docker: DockerLogins,
}

#[async_trait]
impl Logins for Own {
    async fn home(&self) -> Result<String, CloudError> {
        self.ecr.home().await
    }

    async fn login(&self, host: &str) -> Result<Option<Login>, CloudError> {
        if is_ecr(host) { self.ecr.login(host).await.map(Some) } else { self.docker.login(host).await }
    }
}

#[async_trait]
impl Registry for Own {
    async fn tags(
        &self,
        repository: &Repository,
        login: Option<&Login>,
        from: Option<&str>,
    ) -> Result<Page<String>, CloudError> {
        if is_ecr(&repository.host) {
            self.ecr.tags(repository, from).await
        } else {
            Oci.tags(repository, login, from).await
        }
    }

    async fn digests(
        &self,
        repository: &Repository,
        login: Option<&Login>,
        tags: &[String],
    ) -> Result<Vec<Option<String>>, CloudError> {
        Oci.digests(repository, login, tags).await
    }

    async fn retag(
        &self,
        repository: &Repository,
        login: Option<&Login>,
        from: &str,
        to: &str,
    ) -> Result<String, CloudError> {
        Oci.retag(repository, login, from, to).await
    }
}
