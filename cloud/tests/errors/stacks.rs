//! What CloudFormation says when it does not do as asked, and what the port makes of it.

use std::collections::BTreeMap;

use shepard_cloud::aws::stacks_of;
use shepard_cloud::stacks::{StackRequest, Stacks, TemplateSource};
use shepard_cloud::{CloudError, Kind};

use crate::server::{Reply, Server, reply};
use crate::{CANARY, KEYS, profile};

async fn stacks(server: &Server) -> impl Stacks + use<> {
    stacks_of(&profile(server.address, KEYS)).await
}

fn xml(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>0123</RequestId></ErrorResponse>"
    );
    reply(status, &body).with("content-type", "text/xml")
}

fn request() -> StackRequest {
    StackRequest {
        name: "flock".into(),
        template: TemplateSource::Body("{}".into()),
        parameters: BTreeMap::from([("Secret".to_owned(), Some(CANARY.to_owned()))]),
        tags: BTreeMap::new(),
        token: "t".into(),
        protected: false,
    }
}

#[derive(Debug, Clone, Copy)]
enum Call {
    List,
    Events,
    Resources,
    Create,
    Propose,
    Proposal,
    Accept,
}

async fn call(stacks: &dyn Stacks, call: Call) -> Result<(), CloudError> {
    match call {
        Call::List => stacks.list(None).await.map(drop),
        Call::Events => stacks.events("flock", None).await.map(drop),
        Call::Resources => stacks.resources("flock").await.map(drop),
        Call::Create => stacks.create(&request()).await.map(drop),
        Call::Propose => stacks.propose(&request()).await.map(drop),
        Call::Proposal => stacks.proposal("arn:set").await.map(drop),
        Call::Accept => stacks.accept("arn:set", "t").await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cloudformation_refuses_has_a_kind_and_its_words() {
    let invalid = "ValidationError";
    let denied =
        "User: arn:aws:iam::123456789012:user/u is not authorized to perform: cloudformation:CreateStack";
    let busy = "Stack:arn:x is in UPDATE_IN_PROGRESS state and can not be updated.";
    let cases = [
        (Call::Create, xml(400, "AlreadyExistsException", "Stack [flock] already exists"), Kind::Conflict, 1),
        (Call::Create, xml(400, invalid, "Parameters: [X] must have values"), Kind::Invalid, 1),
        // The SDK takes it for throttling and tries again.
        (Call::Create, xml(400, "LimitExceededException", "too many stacks"), Kind::Full, 3),
        (
            Call::Create,
            xml(400, "InsufficientCapabilitiesException", "Requires capabilities"),
            Kind::Invalid,
            1,
        ),
        (Call::Create, xml(403, "AccessDenied", denied), Kind::Denied, 1),
        (Call::Propose, xml(400, invalid, busy), Kind::Conflict, 1),
        (Call::Propose, xml(400, invalid, "Stack [flock] does not exist"), Kind::NotFound, 1),
        (Call::Events, xml(400, invalid, "Stack [flock] does not exist"), Kind::NotFound, 1),
        (Call::Resources, xml(400, invalid, "Stack with id flock does not exist"), Kind::NotFound, 1),
        (Call::Proposal, xml(404, "ChangeSetNotFound", "ChangeSet [x] does not exist"), Kind::NotFound, 1),
        (Call::Accept, xml(400, "InvalidChangeSetStatus", "ChangeSet is in FAILED"), Kind::Conflict, 1),
        (Call::List, xml(400, "Throttling", "Rate exceeded"), Kind::Throttled, 3),
        (
            Call::List,
            xml(403, "ExpiredToken", "The security token included in the request is expired"),
            Kind::Expired,
            1,
        ),
        (Call::List, xml(403, "InvalidClientTokenId", "The security token is invalid"), Kind::Auth, 1),
        (Call::List, xml(503, "ServiceUnavailable", "later"), Kind::Throttled, 3),
    ];
    for (made, answer, kind, sent) in cases {
        let given = answer.clone();
        let server = Server::start(move |_, _| given.clone());
        let error = call(&stacks(&server).await, made).await.expect_err("refused");
        let context = format!("{made:?} {answer:?}\n{error}\n{error:?}");
        assert_eq!(error.kind, kind, "{context}");
        assert_eq!(server.requests().len(), sent, "{context}");
        assert!(!error.to_string().contains(CANARY), "{context}");
        assert!(!error.to_string().contains('\n'), "{context}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_none_and_is_gone() {
    let server = Server::start(|_, _| xml(400, "ValidationError", "Stack with id flock does not exist"));
    let stacks = stacks(&server).await;
    assert_eq!(stacks.describe("flock").await.expect("an answer"), None);
    stacks.delete("flock", &[], "t").await.expect("nothing to remove");
    let server = Server::start(|_, _| xml(404, "ChangeSetNotFound", "ChangeSet [x] does not exist"));
    self::stacks(&server).await.reject("x").await.expect("nothing to throw away");
}

#[tokio::test]
async fn a_set_without_changes_is_empty_and_not_broken() {
    for reason in [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ] {
        let body = format!(
            "<DescribeChangeSetResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
             <DescribeChangeSetResult><ChangeSetId>arn:set</ChangeSetId><Status>FAILED</Status>\
             <StatusReason>{reason}</StatusReason><ExecutionStatus>UNAVAILABLE</ExecutionStatus><Changes/>\
             </DescribeChangeSetResult></DescribeChangeSetResponse>"
        );
        let server = Server::start(move |_, _| reply(200, &body).with("content-type", "text/xml"));
        let set = stacks(&server).await.proposal("arn:set").await.expect("a set");
        assert!(set.is_empty() && !set.executable && !set.is_pending(), "{set:?}");
    }
}

#[tokio::test]
async fn a_change_says_what_is_replaced_and_why() {
    let body = "<DescribeChangeSetResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
         <DescribeChangeSetResult><ChangeSetId>arn:set</ChangeSetId><Status>CREATE_COMPLETE</Status>\
         <ExecutionStatus>AVAILABLE</ExecutionStatus><Changes><member><Type>Resource</Type><ResourceChange>\
         <Action>Modify</Action><LogicalResourceId>ShepardInputsBucket</LogicalResourceId>\
         <PhysicalResourceId>in</PhysicalResourceId><ResourceType>AWS::S3::Bucket</ResourceType>\
         <Replacement>True</Replacement><Details><member><Target><Attribute>Properties</Attribute>\
         <Name>BucketName</Name><RequiresRecreation>Always</RequiresRecreation></Target>\
         <ChangeSource>ParameterReference</ChangeSource><CausingEntity>InputsBucket</CausingEntity></member></Details>\
         </ResourceChange></member></Changes></DescribeChangeSetResult></DescribeChangeSetResponse>";
    let server = Server::start(move |_, _| reply(200, body).with("content-type", "text/xml"));
    let set = stacks(&server).await.proposal("arn:set").await.expect("a set");
    assert!(set.executable && set.changes.len() == 1);
    let change = &set.changes[0];
    assert_eq!(change.replacement, shepard_cloud::stacks::Replacement::Yes);
    assert_eq!(change.causes, ["BucketName (parameter InputsBucket)"]);
}
