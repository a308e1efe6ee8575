//! The pace of [`crate::pace`] where requests leave: each waits for its turn before it is sent, tries of the SDK as well.
//!
//! Service and region are read off the signature, the operation off the header, path or body that carries it. A request
//! that is not signed is not counted. What a request waits is no part of the time that it may take: that begins when it
//! is sent.

use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;

use super::error::kind_of_code;
use crate::error::Kind;
use crate::pace::{Key, Pace};

/// Most bytes of an error that are looked into for its code.
const ERROR_BYTES: u64 = 64 << 10;

/// A client whose requests wait for their turn.
#[derive(Debug)]
struct Paced {
    inner: SharedHttpClient,
    pace: Arc<Pace>,
    /// The profile that it is for.
    account: String,
}

#[derive(Debug)]
struct PacedConnector {
    inner: SharedHttpConnector,
    pace: Arc<Pace>,
    account: String,
}

/// Makes the requests of a client wait for their turn, in the name of a profile.
pub(super) fn paced(inner: SharedHttpClient, pace: Arc<Pace>, profile: Option<&str>) -> SharedHttpClient {
    SharedHttpClient::new(Paced { inner, pace, account: profile.unwrap_or_default().to_owned() })
}

impl HttpClient for Paced {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        let (pace, account) = (Arc::clone(&self.pace), self.account.clone());
        SharedHttpConnector::new(PacedConnector { inner, pace, account })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        cfg: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, cfg)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, cfg: &ConfigBag) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, cfg)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

impl HttpConnector for PacedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(key) = key(&self.account, &request) else { return self.inner.call(request) };
        let (inner, pace) = (self.inner.clone(), Arc::clone(&self.pace));
        HttpConnectorFuture::new(async move {
            pace.turn(&key).await;
            let mut answer = inner.call(request).await?;
            let refused = is_refusal(&mut answer).await;
            pace.answered(&key, refused);
            Ok(answer)
        })
    }
}

/// What a request is counted as: `AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, …`.
fn key(account: &str, request: &HttpRequest) -> Option<Key> {
    let signed = request.headers().get("authorization")?.split_once("Credential=")?.1;
    let mut scope = signed.split(',').next()?.rsplit('/').skip(1);
    let (service, region) = (scope.next()?, scope.next()?);
    let body = || request.body().bytes().and_then(|body| std::str::from_utf8(body).ok());
    let operation = match request.headers().get("x-amz-target") {
        Some(target) => target.rsplit('.').next()?,
        // `Action=DescribeStacks&Version=…` of CloudFormation, EC2 and STS; `/v1/describejobs` of Batch.
        None => match body().and_then(|body| body.strip_prefix("Action=")) {
            Some(action) => action.split('&').next()?,
            None => request.uri().split('?').next()?.rsplit('/').next()?,
        },
    };
    Pace::key(&format!("{account}/{region}"), service, operation)
}

/// Whether a service says that it was asked too fast. Some say so with status 400 and a code in the body.
async fn is_refusal(answer: &mut HttpResponse) -> bool {
    let says = |code: &str| kind_of_code(code) == Some(Kind::Throttled);
    match answer.status().as_u16() {
        429 | 503 => return true,
        400 => {}
        _ => return false,
    }
    if let Some(code) = answer.headers().get("x-amzn-errortype") {
        return says(code.split(':').next().unwrap_or(code));
    }
    let length = answer.headers().get("content-length").and_then(|length| length.parse::<u64>().ok());
    if length.is_none_or(|length| length > ERROR_BYTES) {
        return false;
    }
    let Ok(body) = ByteStream::new(answer.take_body()).collect().await else { return false };
    let body = body.into_bytes();
    let refused = code_in(&String::from_utf8_lossy(&body)).is_some_and(|code| says(&code));
    *answer.body_mut() = SdkBody::from(body);
    refused
}

/// The code in an error of JSON (`__type`) or XML (`<Code>`).
fn code_in(body: &str) -> Option<String> {
    if let Some((_, rest)) = body.split_once("<Code>") {
        return rest.split_once('<').map(|(code, _)| code.to_owned());
    }
    let said: serde_json::Value = serde_json::from_str(body).ok()?;
    ["__type", "code"].iter().find_map(|name| said.get(name)?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, service: &str, target: Option<&'static str>, body: &'static str) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_uri(uri.to_owned()).unwrap();
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261121/eu-west-1/{service}/aws4_request, SignedHeaders=host"
        );
        request.headers_mut().insert("authorization", signed);
        if let Some(target) = target {
            request.headers_mut().insert("x-amz-target", target);
        }
        request
    }

    #[test]
    fn a_request_is_known_by_its_signature_and_its_operation() {
        let known = |request: &HttpRequest| {
            key("p", request).map(|key| format!("{} {} {}", key.account, key.service, key.operation))
        };
        let logs = request("http://h/", "logs", Some("Logs_20140328.GetLogEvents"), "{}");
        assert_eq!(known(&logs).as_deref(), Some("p/eu-west-1 logs GetLogEvents"));
        let batch = request("http://h/v1/submitjob", "batch", None, "{}");
        assert_eq!(known(&batch).as_deref(), Some("p/eu-west-1 batch submitjob"));
        let stacks = request("http://h/", "cloudformation", None, "Action=DescribeStacks&Version=2010-05-15");
        assert_eq!(known(&stacks).as_deref(), Some("p/eu-west-1 cloudformation *"));
        assert_eq!(known(&request("http://h/bucket/key", "s3", None, "")), None);
        assert_eq!(known(&HttpRequest::new(SdkBody::empty())), None);
    }

    #[tokio::test]
    async fn a_refusal_is_known_in_every_services_way_of_saying_it_and_stays_readable() {
        let answer = |status: u16, header: Option<(&'static str, &'static str)>, body: &'static str| {
            let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            answer.headers_mut().insert("content-length", body.len().to_string());
            if let Some((name, value)) = header {
                answer.headers_mut().insert(name, value);
            }
            answer
        };
        let json = r#"{"__type":"com.amazonaws.logs#ThrottlingException","message":"Rate exceeded"}"#;
        let xml = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
        let other = r#"{"__type":"ValidationException"}"#;
        for (mut said, refused) in [
            (answer(429, None, ""), true),
            (answer(503, None, "<x/>"), true),
            (answer(400, None, json), true),
            (answer(400, None, xml), true),
            (answer(400, Some(("x-amzn-errortype", "TooManyRequestsException:http://x")), "{}"), true),
            (answer(400, None, other), false),
            (answer(200, None, json), false),
        ] {
            let before = said.body().bytes().map(<[u8]>::to_vec);
            assert_eq!(is_refusal(&mut said).await, refused, "{said:?}");
            assert_eq!(said.body().bytes().map(<[u8]>::to_vec), before, "the client reads it, too");
        }
    }
}
