//! The flock's secrets: one secret of Secrets Manager, whose text is [`crate::secret`]'s.
//!
//! It is replaced by UpdateSecret and by nothing else, because that is what users of the original's command line have the
//! right to. The stack makes it; nothing here does. What it holds is never in an error, nor what the service says of a
//! request that carried it.

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError as GetError;

use super::error::{failed, failed_quietly, kind};
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Secret, Secrets, Written};
use crate::secret;

const READ: &str = "read the secret";
const WRITE: &str = "replace the secret";

/// A secret of Secrets Manager.
#[derive(Debug)]
pub struct ManagedSecrets {
    client: Client,
    /// Name or ARN.
    store: String,
}

impl ManagedSecrets {
    pub(super) fn new(client: Client, store: String) -> Self {
        Self { client, store }
    }
}

#[async_trait]
impl Secrets for ManagedSecrets {
    async fn read(&self) -> Result<Vec<Secret>> {
        let answer = match self.client.get_secret_value().secret_id(&self.store).send().await {
            Ok(answer) => answer,
            Err(error) if has_no_value(&error) => return Ok(Vec::new()),
            Err(error) => return Err(helped(failed(READ, &self.store, &error))),
        };
        match (answer.secret_string(), answer.secret_binary()) {
            (Some(text), _) => secret::decode(text).map_err(|malformed| malformed.of(&self.store)),
            (None, Some(bytes)) if !bytes.as_ref().is_empty() => {
                Err(secret::Malformed::Bytes.of(&self.store))
            }
            (None, _) => Ok(Vec::new()),
        }
    }

    async fn write(&self, secrets: &[Secret]) -> Result<Written> {
        let invalid = |why: String| CloudError::new(WRITE, &self.store, Kind::Invalid).because(why);
        secret::check(secrets).map_err(|bad| invalid(bad.to_string()))?;
        let text = secret::encode(secrets);
        if text.len() > secret::LIMIT {
            let (size, limit) = (text.len(), secret::LIMIT);
            return Err(invalid(format!("as text it has {size} bytes; a secret can have {limit}")));
        }
        // The token that the SDK sends along makes a repeated request the same one.
        let request = self.client.update_secret().secret_id(&self.store).secret_string(text);
        let answer = request.send().await.map_err(|error| {
            // Who may not do it is told the role and the action; other words could be about what was sent.
            match kind(&error) {
                Kind::Denied | Kind::Auth | Kind::Expired | Kind::Mfa | Kind::NotFound => {
                    helped(failed(WRITE, &self.store, &error))
                }
                _ => failed_quietly(WRITE, &self.store, &error),
            }
        })?;
        Ok(Written {
            store: answer.arn().unwrap_or(&self.store).to_owned(),
            version: answer.version_id().unwrap_or_default().to_owned(),
        })
    }
}

/// A secret that was made without a value says the same as one that is not there, in other words.
fn has_no_value<R>(error: &SdkError<GetError, R>) -> bool {
    let Some(GetError::ResourceNotFoundException(missing)) = error.as_service_error() else { return false };
    missing.message().is_some_and(|words| words.contains("staging label"))
}

/// Says what to do where there is no such secret.
fn helped(error: CloudError) -> CloudError {
    if error.kind != Kind::NotFound {
        return error;
    }
    let words = error.source.as_deref().map(ToString::to_string).unwrap_or_default();
    let help = "the flock's stack makes it; check its name and the region";
    CloudError { source: None, ..error }.because(format!("{words}; {help}"))
}
