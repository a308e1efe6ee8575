//! Image registries as ports: who is logged in, and what a repository has.
//!
//! Pushing and pulling is the engine's business. What is asked here is little: tags, digests, and one more name for a
//! manifest that the registry has.

use std::fmt;

use async_trait::async_trait;

use crate::error::{CloudError, Kind, Result};
use crate::ports::Page;

/// A registry's user. Its password is in no output of this type.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Host of the registry.
    pub server: String,
    /// The user: `AWS` for ECR.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    /// Host of the registry, with its port where it has one.
    pub host: String,
    /// Name in it.
    pub name: String,
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)
    }
}

impl Repository {
    /// Reads `HOST/NAME`, or a `NAME` alone: then the host is None, and for the caller to find.
    ///
    /// # Errors
    /// `Invalid` for what is no repository, a name with a tag among it.
    pub fn parse(text: &str) -> Result<(Option<String>, String)> {
        let (host, name) = match text.split_once('/') {
            // The first part is a host where it could not be a name: as the engine tells them apart.
            Some((host, name)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), name),
            _ => (None, text),
        };
        let bad = |why: &str| {
            Err(CloudError::new("use the repository", format!("{text:?}"), Kind::Invalid)
                .because(why.to_owned()))
        };
        if name.contains([':', '@']) {
            return bad("name it without a tag and without a digest; releases have tags of their own");
        }
        let plain = |part: &str| {
            let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            ends(part.bytes().next())
                && ends(part.bytes().last())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        };
        let host_is_one = host.is_none_or(|host| {
            host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
        });
        if !host_is_one || name.len() > 256 || !name.split('/').all(plain) {
            return bad(
                "it is HOST/NAME or NAME; a name has small letters, digits, and . _ - / between them",
            );
        }
        Ok((host.map(str::to_owned), name.to_owned()))
    }
}

/// Who is logged in to registries.
#[async_trait]
pub trait Logins: Send + Sync {
    /// The registry of a repository that is named without one.
    async fn home(&self) -> Result<String>;
    /// The login to a registry; None where nobody is logged in.
    async fn login(&self, host: &str) -> Result<Option<Login>>;
}

/// What repositories have.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The tags, in no order that may be relied upon, a page at a time. A repository without an image has none.
    async fn tags(
        &self,
        repository: &Repository,
        login: Option<&Login>,
        from: Option<&str>,
    ) -> Result<Page<String>>;
    /// Digests of tags, in their order; None for a tag that is not there.
    async fn digests(
        &self,
        repository: &Repository,
        login: Option<&Login>,
        tags: &[String],
    ) -> Result<Vec<Option<String>>>;
    /// Gives what is tagged `from` the tag `to` as well, and gives its digest. A tag that is there moves.
    async fn retag(
        &self,
        repository: &Repository,
        login: Option<&Login>,
        from: &str,
        to: &str,
    ) -> Result<String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_a_name() {
        let read = |text: &str| Repository::parse(text).map(|(host, name)| (host.unwrap_or_default(), name));
        for (text, host, name) in [
            ("shepard_container", "", "shepard_container"),
            ("team/flock-1", "", "team/flock-1"),
            ("localhost/x", "localhost", "x"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000", "a/b"),
            ("[::1]:5000/a", "[::1]:5000", "a"),
            ("1.dkr.ecr.eu-west-1.amazonaws.com/x", "1.dkr.ecr.eu-west-1.amazonaws.com", "x"),
        ] {
            assert_eq!(read(text).unwrap(), (host.to_owned(), name.to_owned()));
        }
        for bad in [
            "",
            "x:latest",
            "r.io/x:1",
            "x@sha256:1",
            "X",
            "-x",
            "x-",
            "a//b",
            "/a",
            "a/",
            "a b",
            "r.io/",
            "é.io/x",
            "../x",
        ] {
            assert_eq!(read(bad).unwrap_err().kind, Kind::Invalid, "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = Login { server: "r".into(), username: "AWS".into(), password: "hush".into() };
        assert!(!format!("{login:?}").contains("hush"));
    }
}
