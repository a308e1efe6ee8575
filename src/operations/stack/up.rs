//! Making a stack, and changing one: a change set is proposed, looked at, and accepted or thrown away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shepard_cloud::stacks::{Change, Replacement, Stack, StackRequest, TemplateSource};
use shepard_cloud::survey::Here;

use super::artefacts::{self, Place};
use super::events::{Follower, Scope};
use super::plan::{Finding, Plan, Wanted, Weight, unknown};
use super::policies::{Policy, is_data, is_stateful, names_in, policies};
use super::{LOOK_MS, Progress, Site, Watch};
use crate::operations::error::{OperationError, Result};
use crate::template::code;

/// Looks at a change set before it is given up: ten minutes.
const LOOKS: u32 = 200;
/// Parameters that name the functions' program.
const CODE: [&str; 2] = ["LambdaCodeBucket", "LambdaCodeKey"];
/// The tag by which what this program made is known.
const MADE_BY: (&str, &str) = ("shepard", "stack");

/// A stack whose making or change has begun.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub id: String,
    /// What is to be handed to [`super::events::wait`].
    pub follower: Follower,
}

/// What an update would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Name of the stack.
    pub name: String,
    /// ARN of the stack.
    pub stack: String,
    /// ARN of the change set; empty where there is nothing to change.
    pub id: String,
    /// The changes.
    pub changes: Vec<Change>,
    /// What is to be known before it is accepted: resources with something in them that would be replaced or removed.
    pub findings: Vec<Finding>,
}

impl Proposal {
    /// There is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.id.is_empty()
    }

    /// Something that holds data would be replaced or removed.
    pub fn loses(&self) -> bool {
        self.findings.iter().any(|finding| finding.weight == Weight::Wrong)
    }
}

/// Begins to make the stack of a plan.
///
/// # Errors
/// A plan that is not sound; a parameter that the template does not have; no Lambda program; what AWS refuses.
pub async fn up(site: &Site, wanted: &Wanted, plan: &Plan, watch: Watch<'_>) -> Result<Begun> {
    if !plan.is_sound() {
        return Err(OperationError::Refused(plan.problems()));
    }
    if let Some(problem) = unknown(wanted, wanted.text()) {
        return Err(OperationError::Usage(problem));
    }
    let mut parameters: BTreeMap<String, Option<String>> =
        plan.values.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    if let Some(place) = program(site, &plan.here, wanted, true, watch).await? {
        name_program(&mut parameters, &place);
    }
    watch(Progress::Begins(format!("make the stack {}", wanted.name)));
    let request = StackRequest {
        name: wanted.name.clone(),
        template: artefacts::template(site, &plan.here, wanted.text(), watch).await?,
        parameters,
        tags: BTreeMap::from([(MADE_BY.0.to_owned(), MADE_BY.1.to_owned())]),
        token: token(site, "up"),
        protected: wanted.protect,
    };
    let id = site.ports.stacks.create(&request).await?;
    Ok(Begun { name: wanted.name.clone(), follower: Follower::new(&id, Scope::All), id })
}

/// The same for all tries of one request, and another for the next.
fn token(site: &Site, what: &str) -> String {
    format!("{what}-{}-{:08x}", site.clock.now_ms(), std::process::id())
}

fn name_program(parameters: &mut BTreeMap<String, Option<String>>, place: &Place) {
    for (name, value) in CODE.into_iter().zip([&place.bucket, &place.key]) {
        parameters.insert(name.to_owned(), Some(value.clone()));
    }
}

/// Puts the functions' program into the account's bucket, where the template asks for one that nobody gave.
async fn program(
    site: &Site,
    here: &Here,
    wanted: &Wanted,
    needed: bool,
    watch: Watch<'_>,
) -> Result<Option<Place>> {
    let asks = names_in(wanted.text(), "Parameters").contains(CODE[0]);
    if !asks || CODE.iter().any(|name| wanted.given.contains_key(*name)) {
        return Ok(None);
    }
    let code = match code::find() {
        Ok(code) => code,
        Err(error) if needed => return Err(error),
        // A stack that is there has a program.
        Err(error) => {
            watch(Progress::Trouble(format!("the functions keep their program: {error}")));
            return Ok(None);
        }
    };
    let place = Place { bucket: artefacts::bucket(here), key: code.key() };
    artefacts::put(site, here, &place, code.bytes.into_owned(), watch).await?;
    Ok(Some(place))
}

/// Asks CloudFormation what an update would do. What was not given stays as it is; a parameter that the stack does not
/// know gets the template's default. `keep_template` changes values alone.
///
/// # Errors
/// A plan that is not sound; a parameter that the template does not have; what AWS refuses.
pub async fn propose(
    site: &Site,
    wanted: &Wanted,
    plan: &Plan,
    keep_template: bool,
    watch: Watch<'_>,
) -> Result<Proposal> {
    if !plan.is_sound() {
        return Err(OperationError::Refused(plan.problems()));
    }
    let stack = match &plan.stack {
        Some(stack) => stack.clone(),
        None => site.stack(&wanted.name).await?,
    };
    let old = site.ports.stacks.template(&stack.id).await?;
    let (text, template) = if keep_template {
        (old.as_str(), TemplateSource::Previous)
    } else {
        (wanted.text(), artefacts::template(site, &plan.here, wanted.text(), watch).await?)
    };
    if let Some(problem) = unknown(wanted, text) {
        return Err(OperationError::Usage(problem));
    }
    let mut parameters = kept(&stack, wanted, text);
    // Values alone: the program stays as well.
    if !keep_template {
        let needed = !stack.parameters.contains_key(CODE[0]);
        if let Some(place) = program(site, &plan.here, wanted, needed, watch).await? {
            name_program(&mut parameters, &place);
        }
    }
    let request = StackRequest {
        name: stack.id.clone(),
        template,
        parameters,
        // None leaves them as they are.
        tags: BTreeMap::new(),
        token: token(site, "update"),
        protected: false,
    };
    watch(Progress::Begins(format!("ask what would change in {}", stack.name)));
    let id = site.ports.stacks.propose(&request).await?;
    let mut looks = 0;
    let set = loop {
        let set = site.ports.stacks.proposal(&id).await?;
        if !set.is_pending() {
            break set;
        }
        looks += 1;
        if looks == LOOKS {
            let said = format!("CloudFormation does not say what would change in {}; try again", stack.name);
            return Err(OperationError::Environment(said));
        }
        site.clock.sleep_ms(LOOK_MS / 3).await;
    };
    let name = stack.name.clone();
    if set.is_empty() {
        // A change set that failed is of no use, and stands in the list for ever.
        site.ports.stacks.reject(&id).await?;
        let (id, changes, findings) = (String::new(), Vec::new(), Vec::new());
        return Ok(Proposal { name, stack: stack.id, id, changes, findings });
    }
    if !set.executable {
        let why = set.reason.unwrap_or_else(|| format!("the change set is {}", set.status));
        site.ports.stacks.reject(&id).await?;
        return Err(OperationError::Refused(format!("CloudFormation refuses the change of {name}: {why}")));
    }
    let findings = losses(&set.changes, &policies(&old), &policies(text));
    Ok(Proposal { name, stack: stack.id, id: set.id, changes: set.changes, findings })
}

/// The parameters of an update: what was given, else what is set; what the stack does not know is left to the template.
fn kept(stack: &Stack, wanted: &Wanted, text: &str) -> BTreeMap<String, Option<String>> {
    let declared = names_in(text, "Parameters");
    let parameters = declared.iter().filter_map(|name| match wanted.given.get(name) {
        Some(value) => Some((name.clone(), Some(value.clone()))),
        None => stack.parameters.contains_key(name).then(|| (name.clone(), None)),
    });
    parameters.collect()
}

/// What holds something and would be replaced or removed.
fn losses(
    changes: &[Change],
    old: &BTreeMap<String, Policy>,
    new: &BTreeMap<String, Policy>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for change in changes.iter().filter(|change| is_stateful(&change.kind)) {
        let policy = |of: &BTreeMap<String, Policy>| of.get(&change.logical).copied().unwrap_or_default();
        let (what, stays) = match (change.action.as_str(), change.replacement) {
            ("Remove", _) => ("is removed", policy(old).kept_on_delete),
            (_, Replacement::Yes) => ("is replaced by a new, empty one", policy(new).kept_on_replace),
            (_, Replacement::Maybe) => ("may be replaced by a new, empty one", policy(new).kept_on_replace),
            _ => continue,
        };
        let then = if stays {
            "the old one stays, and no longer belongs to the flock"
        } else {
            "what is in it is lost"
        };
        // What people keep in it is not put at risk either.
        let spared = change.replacement == Replacement::Maybe && !is_data(&change.kind);
        let weight = if spared { Weight::Odd } else { Weight::Wrong };
        let by = if change.causes.is_empty() {
            String::new()
        } else {
            format!(" by {}", change.causes.join(", "))
        };
        found.push(Finding::new(weight, &change.logical, format!("{} {what}{by}: {then}", change.physical)));
    }
    found
}

/// Begins to carry a proposal out.
///
/// # Errors
/// `Refused` where something that holds data would go and `replace` does not say that it may; what AWS refuses.
pub async fn accept(site: &Site, proposal: &Proposal, replace: bool) -> Result<Begun> {
    if proposal.loses() && !replace {
        let lost: Vec<&str> = proposal.findings.iter().map(|finding| finding.said.as_str()).collect();
        return Err(OperationError::Refused(format!(
            "{}; nothing was changed; --allow-replacement says that it may be so",
            lost.join("; ")
        )));
    }
    let mut follower = Follower::new(&proposal.stack, Scope::LastChange);
    // What was before is known, so that only what comes now is told.
    follower.look(site.ports.stacks.as_ref()).await?;
    site.ports.stacks.accept(&proposal.id, &token(site, "accept")).await?;
    Ok(Begun { name: proposal.name.clone(), id: proposal.stack.clone(), follower })
}

/// Throws a proposal away. Nothing was changed.
///
/// # Errors
/// What AWS refuses.
pub async fn reject(site: &Site, proposal: &Proposal) -> Result<()> {
    if proposal.is_empty() {
        return Ok(());
    }
    Ok(site.ports.stacks.reject(&proposal.id).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, action: &str, replacement: Replacement) -> Change {
        Change {
            action: action.into(),
            logical: "Thing".into(),
            physical: "thing-1".into(),
            kind: kind.into(),
            replacement,
            causes: vec!["BucketName (parameter InputsBucket)".into()],
        }
    }

    #[test]
    fn only_what_holds_something_is_a_loss() {
        let none = BTreeMap::new();
        let of = |kind: &str, action: &str, replacement| {
            losses(&[change(kind, action, replacement)], &none, &none)
        };
        assert!(of("AWS::Batch::ComputeEnvironment", "Modify", Replacement::Yes).is_empty());
        assert!(of("AWS::S3::Bucket", "Modify", Replacement::No).is_empty());
        let lost = of("AWS::S3::Bucket", "Modify", Replacement::Yes);
        assert_eq!(lost[0].weight, Weight::Wrong);
        assert_eq!(
            lost[0].said,
            "thing-1 is replaced by a new, empty one by BucketName (parameter InputsBucket): what is in it is lost"
        );
        assert_eq!(of("AWS::DynamoDB::Table", "Remove", Replacement::No)[0].weight, Weight::Wrong);
        assert_eq!(of("AWS::DynamoDB::Table", "Modify", Replacement::Maybe)[0].weight, Weight::Wrong);
        assert_eq!(of("AWS::SQS::Queue", "Modify", Replacement::Maybe)[0].weight, Weight::Odd);
    }

    #[test]
    fn an_update_keeps_what_was_not_given_and_leaves_new_parameters_to_the_template() {
        let set = [("A", "1"), ("B", "2"), ("Gone", "3")];
        let stack = Stack {
            parameters: set.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..Stack::default()
        };
        let given = BTreeMap::from([("B".to_owned(), "5".to_owned())]);
        let wanted = Wanted { name: "f".into(), given, ..Wanted::default() };
        let text = "Parameters:\n  A:\n    Type: String\n  B:\n    Type: String\n  New:\n    Type: String\n    Default: x\n";
        let sent = kept(&stack, &wanted, text);
        assert_eq!(sent, BTreeMap::from([("A".into(), None), ("B".into(), Some("5".into()))]));
    }
}
