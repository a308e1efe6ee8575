//! The logins of the `docker` program: its `config.json`, and the helpers that it names.

use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::error::{CloudError, Kind, Result};
use crate::images::Login;

/// What Docker calls its own registry in the file.
const HUB: &str = "https://index.docker.io/v1/";

/// The logins in a `config.json`.
#[derive(Debug, Clone)]
pub struct DockerLogins {
    file: Option<PathBuf>,
}

impl DockerLogins {
    /// Those of this person: in `$DOCKER_CONFIG`, or in `~/.docker`.
    pub fn of_this_person() -> Self {
        let dir = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let dir = dir.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")));
        Self { file: dir.map(|dir| dir.join("config.json")) }
    }

    /// Those in this file.
    pub fn at(file: impl Into<PathBuf>) -> Self {
        Self { file: Some(file.into()) }
    }

    /// The login to a registry; None where there is none. May start a helper that the file names, so it takes a thread
    /// that may wait.
    ///
    /// # Errors
    /// The file cannot be read, or the helper fails. Never with what the file holds or the helper wrote.
    pub async fn login(&self, host: &str) -> Result<Option<Login>> {
        let Some(file) = self.file.clone() else { return Ok(None) };
        let server = if matches!(host, "docker.io" | "index.docker.io") { HUB } else { host }.to_owned();
        let path = file.clone();
        let found = tokio::task::spawn_blocking(move || match std::fs::File::open(&path) {
            Ok(file) => docker_credential::get_credential_from_reader(std::io::BufReader::new(file), &server),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(CredentialRetrievalError::ConfigNotFound)
            }
            Err(_) => Err(CredentialRetrievalError::ConfigReadError),
        })
        .await;
        let failed = |kind, said: String| {
            CloudError::new("read the logins in", file.display().to_string(), kind).because(said)
        };
        let found = found.map_err(|error| failed(Kind::Other, error.to_string()))?;
        let (username, password) = match found {
            Ok(DockerCredential::UsernamePassword(username, password)) => (username, password),
            // Docker sends such a token under this name.
            Ok(DockerCredential::IdentityToken(token)) => ("<token>".to_owned(), token),
            Err(
                CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound,
            ) => {
                return Ok(None);
            }
            // A helper says so, in these words, of a registry that it has nothing for.
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("not found") => {
                return Ok(None);
            }
            Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
                return Err(failed(Kind::Auth, format!("{helper} fails; `docker login {host}` may mend it")));
            }
            Err(error) => return Err(failed(Kind::Auth, error.to_string())),
        };
        if username.is_empty() && password.is_empty() {
            return Ok(None);
        }
        Ok(Some(Login { server: host.to_owned(), username, password }))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, DockerLogins) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        let logins = DockerLogins::at(dir.path().join("config.json"));
        (dir, logins)
    }

    #[tokio::test]
    async fn a_login_is_found_by_its_registry_and_no_other() {
        // `me:hush`
        let (_dir, logins) = file(r#"{"auths":{"127.0.0.1:5000":{"auth":"bWU6aHVzaA=="},"r.test":{}}}"#);
        let login = logins.login("127.0.0.1:5000").await.unwrap().unwrap();
        assert_eq!((login.username.as_str(), login.password.as_str()), ("me", "hush"));
        for other in ["127.0.0.1:5001", "r.test", "docker.io"] {
            assert_eq!(logins.login(other).await.unwrap(), None, "{other}");
        }
        assert_eq!(DockerLogins::at("/nowhere/config.json").login("x").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_error_says_nothing_of_what_the_file_holds() {
        let (_dir, logins) = file(r#"{"auths":{"r.test":{"auth":"hunter2!"}}}"#);
        let error = logins.login("r.test").await.unwrap_err();
        assert_eq!(error.kind, Kind::Auth);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        let (dir, logins) = file("hunter2");
        let error = logins.login("r.test").await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
}
