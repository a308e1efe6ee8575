//! Stacks: CloudFormation.
//!
//! It answers almost everything that it does not like with `ValidationError`, so that its words alone tell a stack that
//! is not there from one that is busy from a request that makes no sense. Nothing here waits, and nothing is decided:
//! which parameters, which template and whether at all is `operations::stack`'s.

use std::collections::BTreeMap;
use std::error::Error;

use async_trait::async_trait;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::primitives::DateTime;
use aws_sdk_cloudformation::types::{
    self, Capability, ChangeSetType, ExecutionStatus, OnFailure, Parameter, StackStatus, Tag, TemplateStage,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::error::{code, failed};
use crate::error::{CloudError, Kind, Result};
use crate::ports::Page;
use crate::stacks::{
    Change, ChangeSet, Replacement, Resource, Stack, StackEvent, StackRequest, Stacks, TemplateSource,
};

/// Most characters of a parameter's value that a cause repeats.
const ABOUT: usize = 60;

/// The stacks of an account and region. Clones share their connections.
#[derive(Debug, Clone)]
pub struct CloudFormation {
    client: Client,
}

impl CloudFormation {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Stacks for CloudFormation {
    async fn list(&self, from: Option<&str>) -> Result<Page<Stack>> {
        let answer = self.client.describe_stacks().set_next_token(from.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| refused("list the stacks", "", &error))?;
        let items = answer.stacks().iter().map(stack).filter(|stack| stack.status != "DELETE_COMPLETE");
        Ok(Page { items: items.collect(), next: next(answer.next_token()) })
    }

    async fn describe(&self, name: &str) -> Result<Option<Stack>> {
        match self.client.describe_stacks().stack_name(name).send().await {
            Ok(answer) => Ok(answer.stacks().first().map(stack)),
            Err(error) => match refused("describe the stack", name, &error) {
                error if error.kind == Kind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn removed(&self, name: &str) -> Result<Option<String>> {
        let (mut last, mut from) = (None, None);
        loop {
            let request = self.client.list_stacks().stack_status_filter(StackStatus::DeleteComplete);
            let answer = request.set_next_token(from).send().await;
            let answer = answer.map_err(|error| refused("list the removed stacks", name, &error))?;
            for one in answer.stack_summaries().iter().filter(|one| one.stack_name() == Some(name)) {
                let found = (millis(one.deletion_time()), text(one.stack_id()));
                if last.as_ref().is_none_or(|known| *known < found) {
                    last = Some(found);
                }
            }
            from = next(answer.next_token());
            if from.is_none() {
                return Ok(last.map(|(_, id)| id));
            }
        }
    }

    async fn resources(&self, name: &str) -> Result<Vec<Resource>> {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let request = self.client.list_stack_resources().stack_name(name).set_next_token(from);
            let answer = request.send().await;
            let answer = answer.map_err(|error| refused("list the resources of the stack", name, &error))?;
            found.extend(answer.stack_resource_summaries().iter().map(|one| Resource {
                logical: text(one.logical_resource_id()),
                physical: text(one.physical_resource_id()),
                kind: text(one.resource_type()),
                status: one.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
                reason: some(one.resource_status_reason()),
                updated_ms: millis(one.last_updated_timestamp()),
            }));
            from = next(answer.next_token());
            if from.is_none() {
                return Ok(found);
            }
        }
    }

    async fn events(&self, name: &str, from: Option<&str>) -> Result<Page<StackEvent>> {
        let request = self.client.describe_stack_events().stack_name(name);
        let answer = request.set_next_token(from.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| refused("read the events of the stack", name, &error))?;
        let items = answer.stack_events().iter().map(|one| StackEvent {
            id: text(one.event_id()),
            at_ms: millis(one.timestamp()),
            logical: text(one.logical_resource_id()),
            physical: text(one.physical_resource_id()),
            kind: text(one.resource_type()),
            status: one.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            reason: some(one.resource_status_reason()),
        });
        Ok(Page { items: items.collect(), next: next(answer.next_token()) })
    }

    async fn template(&self, name: &str) -> Result<String> {
        let request = self.client.get_template().stack_name(name).template_stage(TemplateStage::Original);
        let answer = request.send().await;
        let answer = answer.map_err(|error| refused("read the template of the stack", name, &error))?;
        Ok(text(answer.template_body()))
    }

    async fn create(&self, request: &StackRequest) -> Result<String> {
        let (body, url, _) = source(&request.template);
        let sent = self
            .client
            .create_stack()
            .stack_name(&request.name)
            .set_template_body(body)
            .set_template_url(url)
            .set_parameters(Some(parameters(request)))
            .set_tags(Some(tags(request)))
            .set_capabilities(Some(capabilities()))
            .on_failure(OnFailure::Rollback)
            .enable_termination_protection(request.protected)
            .client_request_token(&request.token)
            .send()
            .await;
        match sent {
            Ok(answer) => Ok(text(answer.stack_id())),
            Err(error) => Err(refused("make the stack", &request.name, &error)),
        }
    }

    async fn propose(&self, request: &StackRequest) -> Result<String> {
        let (body, url, previous) = source(&request.template);
        let sent = self
            .client
            .create_change_set()
            .stack_name(&request.name)
            // A name made of the token: a repeated request finds the first one's.
            .change_set_name(format!("shepard-{}", request.token))
            .change_set_type(ChangeSetType::Update)
            .client_token(&request.token)
            .set_template_body(body)
            .set_template_url(url)
            .set_use_previous_template(previous.then_some(true))
            .set_parameters(Some(parameters(request)))
            .set_tags(Some(tags(request)).filter(|tags| !tags.is_empty()))
            .set_capabilities(Some(capabilities()))
            .send()
            .await;
        match sent {
            Ok(answer) => Ok(text(answer.id())),
            Err(error) => Err(refused("propose a change of the stack", &request.name, &error)),
        }
    }

    async fn proposal(&self, id: &str) -> Result<ChangeSet> {
        let (mut changes, mut from) = (Vec::new(), None);
        loop {
            let answer = self.client.describe_change_set().change_set_name(id).set_next_token(from);
            let answer = answer.send().await;
            let answer = answer.map_err(|error| refused("read the change set", id, &error))?;
            changes.extend(answer.changes().iter().filter_map(|change| change.resource_change()).map(change));
            from = next(answer.next_token());
            if from.is_none() {
                return Ok(ChangeSet {
                    id: answer.change_set_id().unwrap_or(id).to_owned(),
                    status: answer.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
                    reason: some(answer.status_reason()),
                    executable: answer.execution_status() == Some(&ExecutionStatus::Available),
                    changes,
                });
            }
        }
    }

    async fn accept(&self, id: &str, token: &str) -> Result<()> {
        let sent = self.client.execute_change_set().change_set_name(id).client_request_token(token).send();
        sent.await.map(drop).map_err(|error| refused("carry out the change set", id, &error))
    }

    async fn reject(&self, id: &str) -> Result<()> {
        match self.client.delete_change_set().change_set_name(id).send().await {
            Ok(_) => Ok(()),
            Err(error) => unless_gone(refused("throw away the change set", id, &error)),
        }
    }

    async fn delete(&self, name: &str, keep: &[String], token: &str) -> Result<()> {
        let request = self.client.delete_stack().stack_name(name).client_request_token(token);
        let keep = (!keep.is_empty()).then(|| keep.to_vec());
        match request.set_retain_resources(keep).send().await {
            Ok(_) => Ok(()),
            Err(error) => unless_gone(refused("remove the stack", name, &error)),
        }
    }

    async fn protect(&self, name: &str, on: bool) -> Result<()> {
        let request = self.client.update_termination_protection().stack_name(name);
        let sent = request.enable_termination_protection(on).send().await;
        sent.map(drop).map_err(|error| refused("change the protection of the stack", name, &error))
    }

    async fn cancel_update(&self, name: &str) -> Result<()> {
        let sent = self.client.cancel_update_stack().stack_name(name).send().await;
        sent.map(drop).map_err(|error| refused("stop the update of the stack", name, &error))
    }

    async fn continue_rollback(&self, name: &str) -> Result<()> {
        let sent = self.client.continue_update_rollback().stack_name(name).send().await;
        sent.map(drop).map_err(|error| refused("go on with the rollback of the stack", name, &error))
    }
}

fn unless_gone(error: CloudError) -> Result<()> {
    if error.kind == Kind::NotFound { Ok(()) } else { Err(error) }
}

/// The error of CloudFormation. What a template or a parameter is wrong in is in its words, which are kept: a
/// parameter that must not be seen is none of ours.
fn refused<E>(operation: &'static str, target: &str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let mut refused = failed(operation, target, error);
    let said = error.as_service_error().and_then(|service| service.meta().message()).unwrap_or_default();
    if let Some(kind) = meant(code(error), said) {
        refused.kind = kind;
    }
    refused
}

/// What CloudFormation means by a code and its words; None leaves it to the table of all services.
fn meant(code: &str, said: &str) -> Option<Kind> {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    Some(match code {
        "ValidationError" if has(&["does not exist"]) => Kind::NotFound,
        // In the midst of something else, protected, or in a state from which there is no such way.
        "ValidationError" if has(&["_IN_PROGRESS", "can not be", "cannot be", "TerminationProtection"]) => {
            Kind::Conflict
        }
        "ValidationError" => Kind::Invalid,
        "ChangeSetNotFound" | "ChangeSetNotFoundException" | "StackNotFoundException" => Kind::NotFound,
        "AlreadyExists"
        | "AlreadyExistsException"
        | "TokenAlreadyExists"
        | "TokenAlreadyExistsException"
        | "InvalidChangeSetStatus"
        | "InvalidChangeSetStatusException"
        | "OperationInProgressException"
        | "OperationStatusCheckFailedException" => Kind::Conflict,
        "InsufficientCapabilities" | "InsufficientCapabilitiesException" => Kind::Invalid,
        // Of stacks, not of requests: waiting does not help.
        "LimitExceeded" | "LimitExceededException" => Kind::Full,
        _ => return None,
    })
}

/// Roles, some of them with names that the template gives.
fn capabilities() -> Vec<Capability> {
    vec![Capability::CapabilityIam, Capability::CapabilityNamedIam]
}

/// Body, URL, and whether it is the one that the stack has.
fn source(template: &TemplateSource) -> (Option<String>, Option<String>, bool) {
    match template {
        TemplateSource::Body(body) => (Some(body.clone()), None, false),
        TemplateSource::Url(url) => (None, Some(url.clone()), false),
        TemplateSource::Previous => (None, None, true),
    }
}

fn parameters(request: &StackRequest) -> Vec<Parameter> {
    let one = |(name, value): (&String, &Option<String>)| {
        let parameter = Parameter::builder().parameter_key(name);
        match value {
            Some(value) => parameter.parameter_value(value),
            None => parameter.use_previous_value(true),
        }
        .build()
    };
    request.parameters.iter().map(one).collect()
}

fn tags(request: &StackRequest) -> Vec<Tag> {
    request.tags.iter().map(|(name, value)| Tag::builder().key(name).value(value).build()).collect()
}

fn stack(found: &types::Stack) -> Stack {
    let pairs = |pairs: &mut dyn Iterator<Item = (Option<&str>, Option<&str>)>| -> BTreeMap<_, _> {
        pairs.filter_map(|(name, value)| Some((name?.to_owned(), text(value)))).collect()
    };
    let mut set = found.parameters().iter().map(|one| (one.parameter_key(), one.parameter_value()));
    let mut labels = found.tags().iter().map(|one| (one.key(), one.value()));
    let mut outputs = found.outputs().iter().map(|one| (one.output_key(), one.output_value()));
    Stack {
        name: text(found.stack_name()),
        id: text(found.stack_id()),
        status: found.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: some(found.stack_status_reason()),
        created_ms: millis(found.creation_time()),
        updated_ms: found.last_updated_time().map(|at| millis(Some(at))),
        parameters: pairs(&mut set),
        outputs: pairs(&mut outputs),
        protected: found.enable_termination_protection().unwrap_or(false),
        tags: pairs(&mut labels),
    }
}

fn change(found: &types::ResourceChange) -> Change {
    let mut causes: Vec<String> = found.details().iter().filter_map(cause).collect();
    causes.dedup();
    Change {
        action: found.action().map(|action| action.as_str().to_owned()).unwrap_or_default(),
        logical: text(found.logical_resource_id()),
        physical: text(found.physical_resource_id()),
        kind: text(found.resource_type()),
        replacement: match found.replacement() {
            Some(types::Replacement::True) => Replacement::Yes,
            Some(types::Replacement::Conditional) => Replacement::Maybe,
            _ => Replacement::No,
        },
        causes,
    }
}

/// `Memory (parameter DesiredRam)`.
fn cause(detail: &types::ResourceChangeDetail) -> Option<String> {
    let target = detail.target()?;
    let what = target.name().or_else(|| target.attribute().map(|attribute| attribute.as_str()))?;
    let by = match (detail.change_source().map(|source| source.as_str()), detail.causing_entity()) {
        (Some("ParameterReference"), Some(entity)) => format!(" (parameter {entity})"),
        (Some(_), Some(entity)) => format!(" ({entity})"),
        _ => String::new(),
    };
    Some(format!("{what}{by}").chars().take(2 * ABOUT).collect())
}

fn text(given: Option<&str>) -> String {
    given.unwrap_or_default().to_owned()
}

fn some(given: Option<&str>) -> Option<String> {
    given.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// An empty token would be the first page again.
fn next(token: Option<&str>) -> Option<String> {
    some(token)
}

fn millis(at: Option<&DateTime>) -> i64 {
    at.and_then(|at| at.to_millis().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_errors_are_told_apart_by_their_words() {
        for (said, kind) in [
            ("Stack with id nope does not exist", Kind::NotFound),
            ("Stack [nope] does not exist", Kind::NotFound),
            ("Stack:arn:x is in UPDATE_IN_PROGRESS state and can not be updated.", Kind::Conflict),
            ("Stack:arn:x is in ROLLBACK_COMPLETE state and can not be updated.", Kind::Conflict),
            ("Stack [s] cannot be deleted while TerminationProtection is enabled", Kind::Conflict),
            ("Parameters: [X] must have values", Kind::Invalid),
            ("No updates are to be performed.", Kind::Invalid),
        ] {
            assert_eq!(meant("ValidationError", said), Some(kind), "{said}");
        }
        assert_eq!(meant("AlreadyExistsException", "Stack [s] already exists"), Some(Kind::Conflict));
        assert_eq!(meant("Throttling", "Rate exceeded"), None);
    }

    #[test]
    fn a_parameter_without_a_value_keeps_the_one_that_is_set() {
        let request = StackRequest {
            name: "s".into(),
            template: TemplateSource::Previous,
            parameters: BTreeMap::from([("A".into(), Some("1".into())), ("B".into(), None)]),
            tags: BTreeMap::new(),
            token: "t".into(),
            protected: false,
        };
        let sent = parameters(&request);
        let sent: Vec<_> = sent.iter().map(|one| (one.parameter_value(), one.use_previous_value())).collect();
        assert_eq!(sent, [(Some("1"), None), (None, Some(true))]);
    }
}
