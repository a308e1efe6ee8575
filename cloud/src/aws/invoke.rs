//! A function that is called and waited for: Lambda.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::types::{InvocationType, LogType};
use aws_smithy_types::Blob;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::failed_quietly;
use crate::invoke::{FunctionError, Invoke, InvokeError, Invoked};

/// Lambda lets a function run for 15 minutes, and answers when it has ended (Lambda quotas, 2026-11).
const LONGEST: Duration = Duration::from_secs(16 * 60);

/// A function of Lambda.
#[derive(Debug, Clone)]
pub struct LambdaFunction {
    client: Client,
    name: String,
}

impl LambdaFunction {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }
}

#[async_trait]
impl Invoke for LambdaFunction {
    async fn invoke(&self, payload: &str) -> Result<Invoked, InvokeError> {
        let request = self
            .client
            .invoke()
            .function_name(&self.name)
            .invocation_type(InvocationType::RequestResponse)
            .log_type(LogType::Tail)
            .payload(Blob::new(payload));
        let timeouts = TimeoutConfig::builder()
            .disable_operation_attempt_timeout()
            .disable_read_timeout()
            .operation_timeout(LONGEST);
        let once = aws_sdk_lambda::config::Builder::new()
            .timeout_config(timeouts.build())
            .retry_config(RetryConfig::disabled());
        let answer = request.customize().config_override(once).send().await;
        // Its words could repeat the payload, which is the user's.
        let answer = answer.map_err(|error| failed_quietly("call the function", &self.name, &error))?;
        read(&self.name, &answer)
    }
}

fn read(function: &str, answer: &InvokeOutput) -> Result<Invoked, InvokeError> {
    let log = answer.log_result().and_then(|log| STANDARD.decode(log).ok()).unwrap_or_default();
    let payload = answer.payload().map(|payload| payload.as_ref().to_vec()).unwrap_or_default();
    let invoked = Invoked {
        status: u16::try_from(answer.status_code()).unwrap_or(0),
        version: answer.executed_version().map(str::to_owned),
        log: String::from_utf8_lossy(&log).into_owned(),
        payload: String::from_utf8_lossy(&payload).into_owned(),
    };
    let Some(failed) = answer.function_error() else { return Ok(invoked) };
    let said: Value = serde_json::from_str(&invoked.payload).unwrap_or_default();
    let word = |name: &str| said.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
    let message = word("errorMessage").unwrap_or(&invoked.payload);
    Err(InvokeError::Function(Box::new(FunctionError {
        function: function.to_owned(),
        handled: failed == "Handled",
        kind: word("errorType").map(str::to_owned),
        message: message.to_owned(),
        answer: invoked.clone(),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(payload: &str) -> aws_sdk_lambda::operation::invoke::builders::InvokeOutputBuilder {
        InvokeOutput::builder()
            .status_code(200)
            .executed_version("$LATEST")
            .log_result(STANDARD.encode("START\nEND é\n"))
            .payload(Blob::new(payload))
    }

    #[test]
    fn an_answer_is_read_whatever_its_age() {
        // The original's function answers without any id.
        let old = r#"{"statusCode": 200, "body": "\"Hello from Lambda!\""}"#;
        let invoked = read("f", &output(old).build()).unwrap();
        assert_eq!(
            (invoked.status, invoked.log.as_str(), invoked.payload.as_str()),
            (200, "START\nEND é\n", old)
        );
        assert_eq!(invoked.version.as_deref(), Some("$LATEST"));
    }

    #[test]
    fn a_function_that_failed_is_an_error_with_its_words_and_its_log() {
        let said = r#"{"errorMessage": "name 'x' is not defined", "errorType": "NameError"}"#;
        let error = read("f", &output(said).function_error("Unhandled").build()).unwrap_err();
        assert_eq!(error.to_string(), "the function f failed with NameError: name 'x' is not defined");
        let InvokeError::Function(failed) = error else { panic!("{error}") };
        assert!(!failed.handled && failed.answer.log.contains("END"));
        // What is no JSON is shown as it is.
        let error = read("f", &output("Task timed out").function_error("Handled").build()).unwrap_err();
        assert_eq!(error.to_string(), "the function f failed: Task timed out");
    }
}
