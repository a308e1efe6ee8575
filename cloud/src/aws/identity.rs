//! Who one is: the account, the name and how long the session lasts.

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use serde::{Deserialize, Serialize};

use super::connect::{self, Profile};
use super::error::{failed, unauthenticated};
use super::session;
use crate::error::{CloudError, Kind};

/// Who one is to AWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Number of the account.
    pub account: String,
    /// ARN of the user, or of the session of a role.
    pub arn: String,
    /// The region that is asked; None where none is set anywhere.
    pub region: Option<String>,
    /// When the session ends, in milliseconds since the epoch; None for credentials that do not say so.
    pub expires_ms: Option<i64>,
}

impl Identity {
    /// The partition: `aws`, `aws-cn`, `aws-us-gov`.
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).filter(|part| !part.is_empty()).unwrap_or("aws")
    }

    /// Name of the role or of the user, without a path; `root` for the account's owner.
    pub fn name(&self) -> &str {
        let last = self.arn.splitn(6, ':').nth(5).unwrap_or(&self.arn);
        match last.split_once('/') {
            // assumed-role/NAME/SESSION
            Some(("assumed-role", rest)) => rest.split('/').next().unwrap_or(rest),
            // user/PATH/NAME
            Some((_, rest)) => rest.rsplit('/').next().unwrap_or(rest),
            None => last,
        }
    }

    /// ARN of a role of an account in the same partition, by its name or its path and name.
    pub fn role_arn(&self, account: &str, role: &str) -> String {
        format!("arn:{}:iam::{account}:role/{role}", self.partition())
    }

    /// Whether this is a session of that role already. The session's ARN has no path, so the names are compared.
    pub fn is_role(&self, role_arn: &str) -> bool {
        let mut parts = role_arn.splitn(6, ':').skip(4);
        let (account, name) = (parts.next(), parts.next().and_then(|rest| rest.rsplit('/').next()));
        let session = self.arn.splitn(6, ':').nth(5).is_some_and(|rest| rest.starts_with("assumed-role/"));
        session && account == Some(&self.account) && name == Some(self.name())
    }
}

/// Asks AWS who one is with a profile. Nobody can be forbidden to ask.
///
/// # Errors
/// No credentials, expired ones, an MFA code that is needed, or a service that cannot be reached, told apart by
/// their [`Kind`].
pub async fn identity(profile: &Profile) -> Result<Identity, CloudError> {
    const ASK: &str = "ask AWS who this is";
    let config = connect::load(profile).await;
    let target = profile.name.as_ref().map(|name| format!("with the profile {name}")).unwrap_or_default();
    // Found once, for the request and for when they end.
    let found = match config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await,
        None => return Err(CloudError::new(ASK, target, Kind::Auth)),
    };
    let found = found.map_err(|error| unauthenticated(ASK, &target, &error))?;
    let expires_ms = found.expiry().and_then(session::millis);
    let config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(found)).build();
    let client = aws_sdk_sts::Client::from_conf(session::sts(&config));
    let answer = client.get_caller_identity().send().await;
    let answer = answer.map_err(|error| failed(ASK, target.clone(), &error))?;
    let (Some(account), Some(arn)) = (answer.account, answer.arn) else {
        return Err(CloudError::new(ASK, target, Kind::Other).because("the answer names nobody"));
    };
    Ok(Identity { account, arn, region: config.region().map(ToString::to_string), expires_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(arn: &str) -> Identity {
        let account = arn.split(':').nth(4).expect("an account").to_owned();
        Identity { account, arn: arn.to_owned(), region: None, expires_ms: None }
    }

    #[test]
    fn the_name_and_the_partition_are_read_off_the_arn() {
        for (arn, name, partition) in [
            ("arn:aws:iam::123456789012:user/people/ada", "ada", "aws"),
            ("arn:aws-cn:sts::123456789012:assumed-role/deployer/botocore-session-1", "deployer", "aws-cn"),
            ("arn:aws-us-gov:iam::123456789012:root", "root", "aws-us-gov"),
            ("arn:aws:sts::123456789012:federated-user/bob", "bob", "aws"),
            ("nonsense", "nonsense", "aws"),
        ] {
            let who = Identity { account: String::new(), arn: arn.into(), region: None, expires_ms: None };
            assert_eq!((who.name(), who.partition()), (name, partition), "{arn}");
        }
    }

    #[test]
    fn a_session_of_the_role_is_the_role() {
        let session = who("arn:aws-cn:sts::123456789012:assumed-role/deployer/s");
        assert_eq!(
            session.role_arn("123456789012", "ops/deployer"),
            "arn:aws-cn:iam::123456789012:role/ops/deployer"
        );
        assert!(session.is_role("arn:aws-cn:iam::123456789012:role/ops/deployer"));
        assert!(!session.is_role("arn:aws-cn:iam::210987654321:role/deployer"), "another account's");
        assert!(!session.is_role("arn:aws-cn:iam::123456789012:role/other"));
        let user = who("arn:aws:iam::123456789012:user/deployer");
        assert!(
            !user.is_role("arn:aws:iam::123456789012:role/deployer"),
            "a user of that name is no session"
        );
    }
}
