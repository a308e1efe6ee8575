//! The services' refusals, and what each must become.

use shepard_cloud::Kind;

use crate::server::{Reply, reply};
use crate::{CANARY, Call, json, rest, xml};

/// The call, the answer it gets each time, the kind it must have, what it must say, and how often it must be sent.
pub(crate) fn answers() -> Vec<(Call, Reply, Kind, &'static str, usize)> {
    use Call::*;
    let s3_denied = "User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: s3:GetObject";
    let dynamo = |name: &str| format!("com.amazonaws.dynamodb.v20120810#{name}");
    let coral = |name: &str| format!("com.amazon.coral.service#{name}");
    let no_queue = json(400, "com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.");
    vec![
        (
            Get,
            xml(403, "AccessDenied", s3_denied),
            Kind::Denied,
            "inputs/a b.zip: AccessDenied: User: arn",
            1,
        ),
        (Get, xml(403, "InvalidAccessKeyId", "The key does not exist"), Kind::Auth, "InvalidAccessKeyId", 1),
        (Get, xml(403, "SignatureDoesNotMatch", "It differs"), Kind::Auth, "SignatureDoesNotMatch", 1),
        (Get, xml(400, "ExpiredToken", "The provided token has expired."), Kind::Expired, "has expired", 1),
        (Get, xml(503, "SlowDown", "Please reduce your request rate."), Kind::Throttled, "SlowDown", 3),
        (Get, xml(500, "InternalError", "We encountered an error."), Kind::Other, "InternalError", 3),
        (
            Get,
            xml(404, "NoSuchKey", "The key does not exist."),
            Kind::NotFound,
            "request 4442587FB7D0A2F9",
            1,
        ),
        (Get, xml(404, "NoSuchBucket", "It does not exist."), Kind::NotFound, "NoSuchBucket", 1),
        (Get, reply(502, "<html>Bad Gateway</html>"), Kind::Other, "", 3),
        (Get, Reply::Lost, Kind::Offline, "read inputs/a b.zip", 3),
        (GetVersion, xml(404, "NoSuchVersion", "It does not exist."), Kind::NotFound, "NoSuchVersion", 1),
        (
            GetVersion,
            xml(400, "InvalidArgument", "Invalid version id specified"),
            Kind::NotFound,
            "version",
            1,
        ),
        (GetVersion, xml(405, "MethodNotAllowed", "A delete marker"), Kind::NotFound, "MethodNotAllowed", 1),
        (GetVersion, xml(400, "InvalidArgument", "Another argument"), Kind::Invalid, "Another argument", 1),
        (List, xml(403, "AccessDenied", "Access Denied"), Kind::Denied, "list inputs/x/", 1),
        (PutNew, xml(403, "AccessDenied", "Access Denied"), Kind::Denied, "write inputs/a b.zip", 1),
        (
            PutNew,
            xml(409, "ConditionalRequestConflict", "Another is under way"),
            Kind::Conflict,
            "other writes",
            5,
        ),
        (Receive, no_queue, Kind::NotFound, "receive from http://127.0.0.1/1/queue", 1),
        (
            Receive,
            json(400, &coral("AccessDeniedException"), "not authorized"),
            Kind::Denied,
            "not authorized",
            1,
        ),
        (Receive, json(400, "com.amazonaws.sqs#OverLimit", "Too many in flight"), Kind::Full, "OverLimit", 1),
        (
            ReadSecrets,
            json(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
            Kind::NotFound,
            "flock-secrets: ResourceNotFoundException: Secrets Manager can't find",
            1,
        ),
        (
            ReadSecrets,
            json(400, "AccessDeniedException", "User: arn is not authorized to perform: x"),
            Kind::Denied,
            "read the secret flock-secrets: AccessDeniedException: User: arn is not authorized",
            1,
        ),
        (ReadSecrets, json(400, "DecryptionFailure", "The key is disabled"), Kind::Denied, "The key is", 1),
        (
            ReadSecrets,
            json(400, "InvalidRequestException", "marked for deletion"),
            Kind::Invalid,
            "marked",
            1,
        ),
        (ReadSecrets, json(400, "ThrottlingException", "Rate exceeded"), Kind::Throttled, "Rate", 3),
        (ReadSecrets, json(500, "InternalServiceError", "Oh"), Kind::Other, "InternalServiceError", 3),
        (ReadSecrets, Reply::Lost, Kind::Offline, "read the secret", 3),
        (ReadSecrets, reply(200, "<html>login</html>"), Kind::Other, "read the secret", 1),
        (
            WriteSecrets,
            json(400, "AccessDeniedException", "User: arn is not authorized to perform: x"),
            Kind::Denied,
            "replace the secret flock-secrets: AccessDeniedException: User: arn is not authorized",
            1,
        ),
        (
            WriteSecrets,
            json(400, "ValidationException", &format!("Value '{CANARY}' at 'secretString'")),
            Kind::Invalid,
            "replace the secret flock-secrets: ValidationException",
            1,
        ),
        (WriteSecrets, json(400, "LimitExceededException", CANARY), Kind::Throttled, "LimitExceeded", 3),
        (WriteSecrets, Reply::Lost, Kind::Offline, "replace the secret", 3),
        (Send, json(400, "com.amazonaws.sqs#RequestThrottled", "Rate exceeded"), Kind::Throttled, "Rate", 3),
        (
            Send,
            json(403, &coral("ExpiredTokenException"), "The token has expired"),
            Kind::Expired,
            "expired",
            1,
        ),
        (Release, json(400, "com.amazonaws.sqs#UnsupportedOperation", "No"), Kind::Invalid, "release", 1),
        (
            ReadRow,
            json(400, &dynamo("ResourceNotFoundException"), "No table"),
            Kind::NotFound,
            "job-1 in table",
            1,
        ),
        (
            ReadRow,
            json(400, &dynamo("ProvisionedThroughputExceededException"), "The level is exceeded"),
            Kind::Throttled,
            "The level is exceeded",
            3,
        ),
        (
            ReadRow,
            json(400, &coral("UnrecognizedClientException"), "invalid token"),
            Kind::Auth,
            "invalid",
            1,
        ),
        (
            ReadRow,
            json(400, &coral("AccessDeniedException"), "not authorized"),
            Kind::Denied,
            "authorized",
            1,
        ),
        (
            WriteRow,
            json(400, &coral("ThrottlingException"), "Rate exceeded"),
            Kind::Throttled,
            "Throttling",
            3,
        ),
        (
            WriteRow,
            json(500, &dynamo("InternalServerError"), "Internal"),
            Kind::Other,
            "InternalServerError",
            3,
        ),
        (
            WriteRow,
            json(400, &coral("ValidationException"), &format!("Supplied value {CANARY} is not valid")),
            Kind::Invalid,
            "ValidationException",
            1,
        ),
        // A submission is sent once, whatever comes back: it may have made a job.
        (Submit, rest(429, "TooManyRequestsException", "Too Many Requests"), Kind::Throttled, "Too Many", 1),
        (Submit, rest(500, "ServerException", "Internal"), Kind::Other, "submit the job job-1", 1),
        (Submit, Reply::Lost, Kind::Offline, "submit the job job-1", 1),
        (Submit, rest(403, "AccessDeniedException", "not authorized"), Kind::Denied, "not authorized", 1),
        (Submit, rest(400, "ClientException", "Job queue does not exist"), Kind::Invalid, "Job queue", 1),
        (Submit, reply(200, "{}"), Kind::Other, "no id was given", 1),
        (
            Describe,
            rest(429, "TooManyRequestsException", "Too Many Requests"),
            Kind::Throttled,
            "Too Many",
            3,
        ),
        (Describe, Reply::Lost, Kind::Offline, "describe the jobs", 3),
    ]
}
