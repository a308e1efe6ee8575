//! The stacks of an account: made, looked at, changed, removed.

use std::collections::BTreeMap;

use shepard_cloud::Kind;
use shepard_cloud::aws::stacks_of;
use shepard_cloud::stacks::{StackRequest, Stacks, TemplateSource};

use crate::emulator::Emulator;

const TEMPLATE: &str = r#"{"Parameters":{"Name":{"Type":"String"},"Days":{"Type":"String","Default":"1"}},
"Resources":{"Queue":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":{"Ref":"Name"}}}},
"Outputs":{"QueueUrl":{"Value":{"Ref":"Queue"}}}}"#;

fn request(name: &str, template: TemplateSource, parameters: &[(&str, Option<&str>)]) -> StackRequest {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
    StackRequest {
        name: name.into(),
        template,
        parameters: parameters.collect(),
        tags: BTreeMap::from([("shepard".to_owned(), "test".to_owned())]),
        token: format!("t-{name}"),
        protected: false,
    }
}

async fn settled(stacks: &dyn Stacks, id: &str) -> String {
    for _ in 0..600 {
        let status = stacks.describe(id).await.expect("described").map_or_else(String::new, |one| one.status);
        if !status.ends_with("_IN_PROGRESS") {
            return status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{id} does not settle");
}

/// From nothing to nothing. `sets`: the emulator has change sets as CloudFormation has them.
pub(crate) async fn from_nothing_to_nothing(emulator: &Emulator, sets: bool) {
    let stacks = stacks_of(&emulator.profile()).await;
    let name = "conformance-stack";
    assert_eq!(stacks.describe(name).await.expect("an answer"), None);
    assert_eq!(stacks.events(name, None).await.expect_err("none").kind, Kind::NotFound);
    assert_eq!(stacks.resources(name).await.expect_err("none").kind, Kind::NotFound);

    let body = TemplateSource::Body(TEMPLATE.to_owned());
    let id = stacks.create(&request(name, body.clone(), &[("Name", Some("conformance-queue"))])).await;
    let id = id.expect("made");
    assert_eq!(settled(&stacks, &id).await, "CREATE_COMPLETE");
    let taken = request(name, body, &[("Name", Some("conformance-queue"))]);
    let taken = StackRequest { token: "another".into(), ..taken };
    assert_eq!(stacks.create(&taken).await.expect_err("taken").kind, Kind::Conflict);

    let stack = stacks.describe(name).await.expect("described").expect("there");
    assert_eq!((stack.id.as_str(), stack.parameters["Days"].as_str()), (id.as_str(), "1"));
    assert!(stack.outputs["QueueUrl"].ends_with("conformance-queue") && stack.created_ms > 0);
    let listed = stacks.list(None).await.expect("listed").items;
    assert!(listed.iter().any(|one| one.name == name && one.parameters == stack.parameters));
    let resources = stacks.resources(name).await.expect("resources");
    assert_eq!((resources[0].logical.as_str(), resources[0].kind.as_str()), ("Queue", "AWS::SQS::Queue"));
    let events = stacks.events(&id, None).await.expect("events").items;
    let (last, first) = (&events[0], &events[events.len() - 1]);
    assert_eq!((last.status.as_str(), last.kind.as_str()), ("CREATE_COMPLETE", "AWS::CloudFormation::Stack"));
    assert_eq!(first.status, "CREATE_IN_PROGRESS");
    assert!(events.iter().all(|event| !event.id.is_empty() && event.at_ms > 0));
    assert!(stacks.template(name).await.expect("the template").contains("AWS::SQS::Queue"));

    if sets {
        let change = request(name, TemplateSource::Previous, &[("Name", None), ("Days", Some("2"))]);
        let set = stacks.propose(&StackRequest { token: "c".into(), ..change }).await.expect("proposed");
        let mut shown = stacks.proposal(&set).await.expect("shown");
        while shown.is_pending() {
            shown = stacks.proposal(&set).await.expect("shown");
        }
        stacks.reject(&set).await.expect("thrown away");
        stacks.reject(&set).await.expect("again");
        let same = request(name, TemplateSource::Previous, &[("Name", None), ("Days", None)]);
        let set = stacks.propose(&StackRequest { token: "s".into(), ..same }).await.expect("proposed");
        let mut shown = stacks.proposal(&set).await.expect("shown");
        while shown.is_pending() {
            shown = stacks.proposal(&set).await.expect("shown");
        }
        assert!(shown.is_empty(), "{shown:?}");
        stacks.reject(&set).await.expect("thrown away");
    }

    stacks.delete(name, &[], "d").await.expect("removed");
    assert_eq!(settled(&stacks, &id).await, "DELETE_COMPLETE");
    assert_eq!(stacks.describe(name).await.expect("an answer"), None);
    assert_eq!(stacks.removed(name).await.expect("listed").as_deref(), Some(id.as_str()));
    let events = stacks.events(&id, None).await.expect("a removed one's events").items;
    assert_eq!(events[0].status, "DELETE_COMPLETE");
    stacks.delete(name, &[], "e").await.expect("nothing to remove");
}
