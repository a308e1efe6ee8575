//! Logins at ECR, for a payload that is pulled by its digest.
//!
//! The job's role is asked first. That of an old stack may not log in, and the instance's own may: every host that Batch
//! starts containers on can pull. Other registries are asked without a login.

use async_trait::async_trait;
use shepard_cloud::Kind;
use shepard_cloud::aws::Profile;
use shepard_cloud::aws::registry::{Ecr, is_ecr};
use shepard_container::Logins;
use shepard_engine::Login;

/// Logins by the roles that a worker has.
#[derive(Debug, Clone)]
pub(crate) struct RoleLogins {
    profile: Profile,
}

impl RoleLogins {
    /// With the SDK's settings as they are for the flock.
    pub(crate) fn new(profile: Profile) -> Self {
        Self { profile }
    }
}

#[async_trait]
impl Logins for RoleLogins {
    async fn login(&self, reference: &str) -> Result<Option<Login>, String> {
        let host = host(reference);
        if !is_ecr(host) {
            return Ok(None);
        }
        let login = match Ecr::connect(&self.profile).await.login(host).await {
            Err(error) if error.kind == Kind::Denied => {
                Ecr::as_instance(&self.profile).await.login(host).await.map_err(|_| error)
            }
            other => other,
        };
        let login = login.map_err(|error| error.to_string())?;
        Ok(Some(Login { server: login.server, username: login.username, password: login.password }))
    }
}

/// The registry of a reference.
fn host(reference: &str) -> &str {
    reference.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_registry_that_is_not_ecr_is_asked_without_a_login() {
        let logins = RoleLogins::new(Profile::default());
        for reference in ["127.0.0.1:5000/a@sha256:00", "host.example/a/b@sha256:00", "busybox", ""] {
            assert_eq!(logins.login(reference).await, Ok(None), "{reference}");
        }
    }
}
