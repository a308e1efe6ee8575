//! What the services answer when they do not do as asked, as the one error of the ports.
//!
//! The kind is read off the service's error code, then off the HTTP status, then off where the request got stuck. The
//! service's own words are kept, because they name the role and the action that was not allowed; where they could
//! repeat a user's variable ([`failed_quietly`]) the code alone is.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use aws_smithy_types::retry::ErrorKind;

use crate::error::{CloudError, Kind};

/// What a service said, without anything a request carried.
#[derive(Debug)]
pub(super) struct Said {
    code: String,
    message: Option<String>,
    request: Option<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        if let Some(request) = &self.request {
            write!(f, " (request {request})")?;
        }
        Ok(())
    }
}

impl Error for Said {}

/// An operation that did not succeed, with the service's words.
pub(super) fn failed<E>(
    operation: &'static str,
    target: impl Into<String>,
    error: &SdkError<E, HttpResponse>,
) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let message = error.as_service_error().and_then(|service| service.meta().message());
    explain(operation, target.into(), error, message)
}

/// The same without the service's words: of what carried a user's variables they could repeat one.
pub(super) fn failed_quietly<E>(
    operation: &'static str,
    target: impl Into<String>,
    error: &SdkError<E, HttpResponse>,
) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    explain(operation, target.into(), error, None)
}

fn explain<E>(
    operation: &'static str,
    target: String,
    error: &SdkError<E, HttpResponse>,
    message: Option<&str>,
) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let kind = kind(error);
    let failed = CloudError::new(operation, target, kind);
    match (error, answer(error)) {
        (SdkError::ServiceError(_), Some((meta, status))) => {
            let code = meta.code().map_or_else(|| format!("HTTP status {status}"), str::to_owned);
            let request = meta.extra("aws_request_id").map(str::to_owned);
            failed.because(Said { code, message: message.map(str::to_owned), request })
        }
        // What the client itself says of a request it could not send or an answer it could not read. Where it had no
        // credentials, only why not.
        _ => failed.because(cause_of(error).map_or_else(|| chain(error), ToString::to_string)),
    }
}

/// The service's error code, empty where there is none.
pub(super) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    error.as_service_error().and_then(|service| service.meta().code()).unwrap_or_default()
}

/// The HTTP status of the answer; 0 where there was none.
pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |raw| raw.status().as_u16())
}

fn answer<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<(&ErrorMetadata, u16)> {
    Some((error.as_service_error()?.meta(), status(error)))
}

/// What kind of failure it is.
pub(super) fn kind<E>(error: &SdkError<E, HttpResponse>) -> Kind
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(_) => match kind_of_code(code(error)) {
            Some(kind) => kind,
            None => kind_of_status(status(error)),
        },
        // One that ran out while credentials were looked for has their kind.
        SdkError::TimeoutError(_) => credentials(error).unwrap_or(Kind::Offline),
        SdkError::DispatchFailure(failure)
            if failure.is_io()
                || failure.is_timeout()
                || failure.as_other() == Some(ErrorKind::TransientError) =>
        {
            Kind::Offline
        }
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
            credentials(error).unwrap_or(if matches!(error, SdkError::ConstructionFailure(_)) {
                Kind::Invalid
            } else {
                Kind::Other
            })
        }
        // An answer that cannot be read: a proxy's page, or a body that was cut off.
        _ => match status(error) {
            status @ (403 | 429 | 503) => kind_of_status(status),
            _ => Kind::Other,
        },
    }
}

/// The codes of the services and of signing, from their API references of 2026-11. EC2's `InvalidKeyPair.NotFound` and
/// its like end in the word that counts. What is only wrong in itself (`ValidationError`, `InsufficientCapabilities`) is told
/// by the HTTP status.
pub(super) fn kind_of_code(code: &str) -> Option<Kind> {
    // SQS: `AWS.SimpleQueueService.NonExistentQueue`; Batch and DynamoDB: `…#ResourceNotFoundException`.
    let short = code.rsplit(['.', '#']).next().unwrap_or(code);
    Some(match short {
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingSecurityHeader"
        | "InvalidToken"
        | "InvalidSecurity"
        | "AuthorizationHeaderMalformed"
        | "RequestTimeTooSkewed"
        | "AuthFailure" => Kind::Auth,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "RequestExpired"
        // SSO, of a sign-in that has run out.
        | "UnauthorizedException" => Kind::Expired,
        "AccessDenied"
        | "AccessDeniedException"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "KmsAccessDenied"
        // Secrets Manager, of a key that this user may not use.
        | "DecryptionFailure"
        | "EncryptionFailure"
        | "OptInRequired"
        | "RegionDisabledException"
        | "NotAuthorized"
        | "UnauthorizedOperation" => Kind::Denied,
        "NoSuchBucket"
        | "ChangeSetNotFound"
        | "ChangeSetNotFoundException"
        | "NoSuchKey"
        | "NoSuchVersion"
        | "NoSuchUpload"
        | "NotFound"
        | "NonExistentQueue"
        | "QueueDoesNotExist"
        | "RepositoryNotFoundException"
        | "ResourceNotFoundException"
        | "TableNotFoundException" => Kind::NotFound,
        "PreconditionFailed"
        | "ConditionalRequestConflict"
        | "ConditionalCheckFailedException"
        | "OperationAborted"
        | "AlreadyExists"
        | "AlreadyExistsException"
        | "ResourceConflictException"
        | "TokenAlreadyExistsException"
        | "OperationInProgressException"
        | "InvalidChangeSetStatus"
        // DynamoDB streams and logs, of a place that is gone: it is begun anew.
        | "TrimmedDataAccessException"
        | "ExpiredIteratorException"
        | "InvalidSequenceTokenException"
        | "ResourceInUseException"
        | "TransactionConflictException" => Kind::Conflict,
        "KmsThrottled"
        | "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "ServiceUnavailable"
        | "SlowDown"
        | "ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException" => Kind::Throttled,
        "ItemCollectionSizeLimitExceededException" | "OverLimit" => Kind::Full,
        "InternalError" | "InternalFailure" | "InternalServerError" | "InternalServiceError" | "ServerException" => Kind::Other,
        _ => return None,
    })
}

fn kind_of_status(status: u16) -> Kind {
    match status {
        401 => Kind::Auth,
        403 => Kind::Denied,
        404 | 410 => Kind::NotFound,
        409 | 412 => Kind::Conflict,
        429 | 503 => Kind::Throttled,
        400..=499 => Kind::Invalid,
        _ => Kind::Other,
    }
}

/// The kind, where it is the credentials that could not be had.
fn credentials(error: &(dyn Error + 'static)) -> Option<Kind> {
    if let Some(own) = cause_of(error) {
        return Some(own.kind);
    }
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            if is_offline(error) {
                return Some(Kind::Offline);
            }
            // The provider of SSO has no type of its own for a session that has run out.
            let expired = chain(error).to_ascii_lowercase().contains("expired");
            return Some(if expired { Kind::Expired } else { Kind::Auth });
        }
        cause = error.source();
    }
    None
}

/// Our own error among the causes: the one of the credentials.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CloudError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(own) = error.downcast_ref::<CloudError>() {
            return Some(own);
        }
        cause = error.source();
    }
    None
}

/// Something did not come through on the way to the credentials.
fn is_offline(error: &(dyn Error + 'static)) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error
            .downcast_ref::<ConnectorError>()
            .is_some_and(|connector| connector.is_io() || connector.is_timeout())
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An operation for which there were no credentials.
#[cfg(feature = "account")]
pub(super) fn unauthenticated(operation: &'static str, target: &str, error: &CredentialsError) -> CloudError {
    let words = cause_of(error).map_or_else(|| chain(error), ToString::to_string);
    CloudError::new(operation, target, credentials(error).unwrap_or(Kind::Auth)).because(words)
}

/// Credentials that a provider of the SDK could not give.
#[cfg(feature = "account")]
pub(super) fn unfound(whose: &str, error: &CredentialsError) -> CloudError {
    let kind = credentials(error).unwrap_or(Kind::Auth);
    let failed = CloudError::new("find credentials", whose, kind);
    let help = "; run `aws configure`, or name a profile with --profile";
    match error {
        CredentialsError::CredentialsNotLoaded(_) if whose.is_empty() => {
            failed.because(format!("there are none in the environment, in ~/.aws, or of this machine{help}"))
        }
        error => failed.because(chain(error)),
    }
}

/// An error and its causes on one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
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
