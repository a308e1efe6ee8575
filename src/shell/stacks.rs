//! Stacks for the console: its requests, feeds and commands, answered by the operations that the subcommands use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shepard_cloud::stacks::{Change, Replacement, Resource};
use shepard_model::Account;
use tokio::sync::mpsc;

use super::carry::{Tell, plain};
use super::fetch::{expanded, problem};
use crate::app::Msg;
use crate::app::deploy::{Fact, Weight};
use crate::app::effect::Sub;
use crate::app::msg::{Done, Loaded};
use crate::app::stack::{
    Asked, ChangeRow, Checks, Cost, Fate, Group, Kind, Owned, OwnedThing, Parameter, Proposal, Replaced,
    ResourceRow, Sheet, StackAnswer, StackCommand, StackId, StackNews, StackRequest, StackSub, StackWish,
    Survey,
};
use crate::feeds::blocking;
use crate::feeds::pump::pump;
use crate::feeds::stack::Events;
use crate::operations::stack::plan::{self, Wanted};
use crate::operations::stack::{Ended, Progress, Site, describe, down, events, owned, policies, up};
use crate::operations::{OperationError, Result};
use crate::template::values::{Place, for_new};
use crate::template::{self, Template};

/// How long what is typed rests before the account is asked. A newer request drops one that still waits.
const REST: Duration = Duration::from_millis(300);
/// How often it is told how far a count is.
const EVERY: Duration = Duration::from_millis(250);
/// Most ranges of addresses that are offered.
const RANGES: usize = 5;
/// The parameter that takes a key pair.
const KEY_PAIR: &str = "Ec2KeyPair";
/// The parameter that takes the range of a network.
const RANGE: &str = "VpcCIDR";

/// Reads what a request asks for.
pub(super) async fn read(request: StackRequest) -> StackAnswer {
    match request {
        StackRequest::Form(asked) => {
            let groups = form(&asked).await.map_err(|error| problem(&error));
            StackAnswer::Form { asked, groups }
        }
        StackRequest::Survey(account) => {
            tokio::time::sleep(REST).await;
            let survey = survey(&account).await.map(Box::new).map_err(|error| problem(&error));
            StackAnswer::Survey { account, survey }
        }
        StackRequest::Checks(wish) => {
            tokio::time::sleep(REST).await;
            let checks = checks(&wish).await.map_err(|error| problem(&error));
            StackAnswer::Checks { wish: Box::new(wish), checks }
        }
        StackRequest::Sheet(stack) => {
            let sheet = sheet(&stack).await.map(Box::new).map_err(|error| problem(&error));
            StackAnswer::Sheet { stack, sheet }
        }
    }
}

/// The text of a template that is not the console's own.
async fn text_of(file: &str) -> Result<String> {
    let path = expanded(file);
    let read = path.clone();
    blocking(move || std::fs::read_to_string(read))
        .await
        .map_err(OperationError::io("read the template", &path))
}

async fn form(asked: &Asked) -> Result<Vec<Group>> {
    let other = match &asked.template {
        Some(file) => {
            // Half a path is no file: it rests until it is typed.
            tokio::time::sleep(REST).await;
            let text = text_of(file).await?;
            Some(template::parse(&text).ok_or_else(|| {
                OperationError::Usage(format!("{file} is no template with its parameters in groups"))
            })?)
        }
        None => None,
    };
    let shown = other.as_ref().unwrap_or_else(|| template::template());
    let has = match &asked.stack {
        Some(stack) => Some(Site::connect(&stack.account).await.stack(&stack.stack).await?.parameters),
        None => None,
    };
    Ok(groups(shown, has.as_ref()))
}

/// The groups of a template, with the values of a stack; without one with what a new stack gets.
fn groups(template: &Template, has: Option<&BTreeMap<String, String>>) -> Vec<Group> {
    let word = |word: &str| format!("{{{word}}}");
    let fresh = for_new(&Place { word: word("word"), account: word("account"), region: word("region") });
    let parameter = |one: &template::Parameter| Parameter {
        name: one.name.clone(),
        kind: match one.kind {
            template::Kind::Toggle | template::Kind::Choice => Kind::Choice,
            template::Kind::Number => Kind::Number,
            template::Kind::List => Kind::List,
            template::Kind::KeyPair => Kind::KeyPair,
            template::Kind::Text => Kind::Text,
        },
        default: one.default.clone(),
        allowed: one.allowed.clone(),
        help: one.help.clone(),
        // One that the stack's template did not know gets the default.
        value: has.map(|has| has.get(&one.name).unwrap_or(&one.default).clone()),
        derived: fresh.get(&one.name).filter(|_| has.is_none()).cloned(),
    };
    let group = |one: &template::Group| Group {
        title: one.label.clone(),
        parameters: one
            .parameters
            .iter()
            .filter(|parameter| !plan::is_filled_in(&parameter.name))
            .map(parameter)
            .collect(),
    };
    template.groups.iter().map(group).filter(|group| !group.parameters.is_empty()).collect()
}

async fn survey(account: &Account) -> Result<Survey> {
    let site = Site::connect(account).await;
    let here = site.ports.survey.here().await?;
    let profile = shepard_cloud::aws::Profile::of(account);
    let (pairs, networks, stacks, who) = tokio::join!(
        site.ports.survey.key_pairs(),
        site.ports.survey.networks(),
        describe::list(&site),
        shepard_cloud::aws::identity::identity(&profile),
    );
    let mut found = Survey {
        // The number alone says enough where nobody says more.
        who: who.map_or_else(|_| here.account.clone(), |who| format!("{}, as {}", who.account, who.name())),
        number: Some(here.account),
        region: Some(here.region),
        ..Survey::default()
    };
    match pairs {
        Ok(pairs) => drop(found.choices.insert(KEY_PAIR.to_owned(), pairs)),
        Err(error) => found.unknown.push(error.to_string()),
    }
    match networks {
        Ok(networks) => {
            let taken: Vec<&str> = networks.iter().flat_map(|one| &one.cidrs).map(String::as_str).collect();
            found.choices.insert(RANGE.to_owned(), free(&taken));
        }
        Err(error) => found.unknown.push(error.to_string()),
    }
    match stacks {
        Ok(stacks) => found.stacks = stacks.into_iter().map(|stack| stack.name).collect(),
        Err(error) => found.unknown.push(error.to_string()),
    }
    Ok(found)
}

/// Ranges `10.N.0.0/16` that no network of the account touches. Those whose second number is taken are left out, and
/// all of them where a network has more than that.
fn free(taken: &[&str]) -> Vec<String> {
    let numbers = |cidr: &str| {
        let (address, bits) = cidr.split_once('/')?;
        let mut parts = address.split('.').map(|part| part.parse::<u8>().ok());
        Some((parts.next()??, parts.next()??, bits.parse::<u8>().ok()?))
    };
    let taken: Vec<(u8, u8, u8)> = taken.iter().filter_map(|cidr| numbers(cidr)).collect();
    if taken.iter().any(|(first, _, bits)| *first == 10 && *bits < 16) {
        return Vec::new();
    }
    let is_free = |second: &u8| !taken.iter().any(|(first, other, _)| *first == 10 && other == second);
    (192..=u8::MAX).filter(is_free).take(RANGES).map(|second| format!("10.{second}.0.0/16")).collect()
}

async fn wanted(wish: &StackWish) -> Result<Wanted> {
    let template = match &wish.template {
        Some(file) => Some(text_of(file).await?),
        None => None,
    };
    Ok(Wanted {
        name: wish.stack.stack.clone(),
        given: wish.parameters.clone(),
        template,
        ..Wanted::default()
    })
}

async fn planned(site: &Site, wish: &StackWish, wanted: &Wanted) -> Result<plan::Plan> {
    if wish.update { plan::plan_update(site, wanted).await } else { plan::plan(site, wanted).await }
}

async fn checks(wish: &StackWish) -> Result<Checks> {
    let (site, wanted) = (Site::connect(&wish.stack.account).await, wanted(wish).await?);
    let plan = planned(&site, wish, &wanted).await?;
    let fact = |found: plan::Finding| Fact {
        weight: match found.weight {
            plan::Weight::Good => Weight::Good,
            plan::Weight::NotChecked | plan::Weight::Odd => Weight::Odd,
            plan::Weight::Wrong => Weight::Wrong,
        },
        about: found.about,
        said: found.said,
    };
    let cost =
        |line: plan::Cost| Cost { what: line.what, monthly_cents: cents(line.monthly), note: String::new() };
    Ok(Checks {
        facts: plan.findings.into_iter().map(fact).collect(),
        costs: plan.cost.into_iter().map(cost).collect(),
    })
}

/// Dollars in cents; what is no amount is nothing.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn cents(dollars: f64) -> u64 {
    (dollars * 100.0).round().clamp(0.0, 1e15) as u64
}

fn row(one: Resource) -> ResourceRow {
    ResourceRow {
        logical: one.logical,
        kind: one.kind,
        physical: one.physical,
        status: one.status,
        reason: one.reason,
        began_ms: None,
        ended_ms: Some(one.updated_ms),
    }
}

async fn sheet(stack: &StackId) -> Result<Sheet> {
    let site = Site::connect(&stack.account).await;
    let found = describe::describe(&site, &stack.stack).await?;
    let pairs = |map: BTreeMap<String, String>| map.into_iter().collect::<Vec<_>>();
    Ok(Sheet {
        arn: found.stack.id,
        status: found.stack.status,
        reason: found.stack.reason.or(found.resources_not_listed),
        created_ms: found.stack.created_ms,
        updated_ms: found.stack.updated_ms,
        resources: found.resources.into_iter().map(row).collect(),
        outputs: pairs(found.stack.outputs),
        parameters: pairs(found.stack.parameters),
    })
}

/// Drives a feed until the loop is gone.
pub(super) async fn feed(sub: StackSub, news: mpsc::Sender<Msg>) {
    match &sub {
        StackSub::Events(stack) => {
            let site = Site::connect(&stack.account).await;
            pump(Sub::Stack(sub.clone()), Events::new(site, stack.clone()), news).await;
        }
        StackSub::Owned { stack, .. } => {
            let counted = count(stack, &news).await;
            if let Err(error) = counted {
                let _ = news.send(Msg::FeedFailed(Sub::Stack(sub.clone()), problem(&error))).await;
            }
        }
    }
}

/// Counts what a stack owns, and says how far that is.
async fn count(stack: &StackId, news: &mpsc::Sender<Msg>) -> Result<()> {
    let site = Site::connect(&stack.account).await;
    let told = |owned: Owned| Msg::Stack(StackNews::Owned { stack: stack.clone(), owned: Box::new(owned) });
    let at = Arc::new(Mutex::new(String::new()));
    let now = Arc::clone(&at);
    let watch = move |progress: Progress| {
        if let Progress::Counts { what, so_far } = progress {
            *now.lock().unwrap_or_else(PoisonError::into_inner) = format!("{what}: {so_far}");
        }
    };
    // One that is removed is found by its ARN; what it left is counted too.
    let name = match site.ports.stacks.describe(&stack.stack).await? {
        Some(found) => found.id,
        None => site.ports.stacks.removed(&stack.stack).await?.unwrap_or_else(|| stack.stack.clone()),
    };
    let mut work = std::pin::pin!(owned::owned(&site, &name, &watch));
    let found = loop {
        tokio::select! {
            found = &mut work => break found?,
            () = tokio::time::sleep(EVERY) => {
                let at = at.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let _ = news.send(told(Owned { at, ..Owned::default() })).await;
            }
        }
    };
    let status = found.stack.status;
    let things = found.things.into_iter().map(thing).collect();
    let _ = news.send(told(Owned { status, things, counted: true, at: String::new() })).await;
    Ok(())
}

fn thing(one: owned::Thing) -> OwnedThing {
    let words = one.contents.as_ref().map(owned::Contents::words);
    OwnedThing {
        what: what(&one.kind).to_owned(),
        name: one.name,
        holds: words.unwrap_or_default(),
        counted: true,
        fate: if one.kept || one.data { Fate::Data } else { Fate::Goes },
        problem: one.not_counted,
    }
}

/// A type in a word or two.
fn what(kind: &str) -> &str {
    match kind {
        "AWS::S3::Bucket" => "bucket",
        "AWS::DynamoDB::Table" => "table",
        "AWS::SQS::Queue" => "queue",
        "AWS::ECR::Repository" => "repository",
        "AWS::SecretsManager::Secret" => "secret",
        "AWS::EFS::FileSystem" | "AWS::FSx::FileSystem" => "file system",
        "AWS::Logs::LogGroup" => "log group",
        "AWS::Batch::JobQueue" => "job queue",
        other => other.strip_prefix("AWS::").unwrap_or(other),
    }
}

/// Carries a command out; says how far it is, and before it ends what was found.
pub(super) async fn carry_out(command: StackCommand, tell: &Tell<'_>) -> Result<Done> {
    let site = Site::connect(&command.stack().account).await;
    let watch = |progress: Progress| told(tell, progress);
    match command {
        StackCommand::Up(wish) => {
            let wanted = wanted(&wish).await?;
            tell.stack("check what is asked for", 0, "");
            let plan = plan::plan(&site, &wanted).await?;
            let begun = up::up(&site, &wanted, &plan, &watch).await?;
            ended(&events::wait(&site, begun.follower, &watch).await?, "is up")
        }
        StackCommand::Propose(wish) => {
            let wanted = wanted(&wish).await?;
            tell.stack("check what is asked for", 0, "");
            let plan = plan::plan_update(&site, &wanted).await?;
            let made = up::propose(&site, &wanted, &plan, false, &watch).await?;
            let count = made.changes.len();
            let proposal = Box::new(proposal(made));
            tell.send(Msg::Loaded(Loaded::Stack(StackAnswer::Proposal { stack: wish.stack, proposal })))
                .await;
            Ok(plain(match count {
                0 => "nothing would change".to_owned(),
                1 => "1 resource would change".to_owned(),
                many => format!("{many} resources would change"),
            }))
        }
        StackCommand::Accept { stack, change_set } => {
            let proposal = known(&site, &stack, change_set).await?;
            // What it loses was shown, and the stack's name typed.
            let begun = up::accept(&site, &proposal, true).await?;
            ended(&events::wait(&site, begun.follower, &watch).await?, "is updated")
        }
        StackCommand::Reject { stack, change_set } => {
            let proposal = known(&site, &stack, change_set).await?;
            up::reject(&site, &proposal).await?;
            Ok(plain("the change set is thrown away; nothing was changed".to_owned()))
        }
        StackCommand::Down { stack, data } => {
            // Somebody protected it so that a name is not enough: that is lifted on a command line.
            let request = down::Request { name: stack.stack.clone(), delete_data: data, unprotect: false };
            let done = down::down(&site, &request, &watch).await?;
            let left = match done.kept.len() {
                0 => "nothing of it is left".to_owned(),
                1 => "1 thing is kept".to_owned(),
                many => format!("{many} things are kept"),
            };
            let failed = done.kept.into_iter().filter_map(|one| Some((one.name, one.why?))).collect();
            Ok(Done { text: format!("{} is torn down; {left}", stack.stack), failed, path: None })
        }
    }
}

/// The command line that does the same, for the journal. None of the template's parameters is a secret.
pub(super) fn equivalent(command: &StackCommand) -> Vec<String> {
    let stack = command.stack();
    let name = stack.stack.as_str();
    let words = match command {
        StackCommand::Up(_) => vec!["up", name, "--yes"],
        // A change set is looked at in the console alone; the subcommand makes one of its own.
        StackCommand::Propose(_) => vec!["update", name, "--dry-run"],
        StackCommand::Accept { .. } => vec!["update", name, "--yes"],
        StackCommand::Reject { .. } => return Vec::new(),
        StackCommand::Down { .. } => vec!["down", name, "--yes", name],
    };
    let words = ["shepard", "stack"].into_iter().chain(words);
    let mut line: Vec<String> = words.map(str::to_owned).collect();
    let mut option = |name: &str, value: Option<&String>| {
        line.extend(value.iter().flat_map(|value| [name.to_owned(), (*value).clone()]));
    };
    option("--profile", stack.account.profile.as_ref());
    option("--region", stack.account.region.as_ref());
    if let StackCommand::Up(wish) | StackCommand::Propose(wish) = command {
        option("--template", wish.template.as_ref());
        for (name, value) in &wish.parameters {
            option("--param", Some(&format!("{name}={value}")));
        }
    }
    if matches!(command, StackCommand::Down { data: true, .. }) {
        line.push("--delete-data".to_owned());
    }
    line
}

/// A change set of which only the id is known.
async fn known(site: &Site, stack: &StackId, id: String) -> Result<up::Proposal> {
    let found = site.stack(&stack.stack).await?;
    let (changes, findings) = (Vec::new(), Vec::new());
    Ok(up::Proposal { name: found.name, stack: found.id, id, changes, findings })
}

fn ended(ended: &Ended, word: &str) -> Result<Done> {
    match ended.problem() {
        None => Ok(plain(format!("{} {word}", ended.name))),
        Some(problem) => Err(OperationError::Environment(problem)),
    }
}

fn told(tell: &Tell<'_>, progress: Progress) {
    match progress {
        Progress::Begins(what) => tell.stack(&what, 0, ""),
        Progress::Counts { what, so_far } => tell.stack(&what, so_far, ""),
        Progress::Done(what) => tell.stack(&what, 0, &what),
        Progress::Status(status) => tell.stack(&status, 0, ""),
        Progress::Trouble(why) => tell.stack("asked again", 0, &why),
        // Its feed tells it to whoever looks.
        Progress::Event(_) => {}
    }
}

fn proposal(made: up::Proposal) -> Proposal {
    let findings = made.findings;
    let change = |one: Change| {
        let said = findings.iter().filter(|finding| finding.about == one.logical);
        let mut causes = one.causes;
        causes.extend(said.map(|finding| finding.said.clone()));
        ChangeRow {
            stateful: policies::is_stateful(&one.kind),
            action: one.action,
            logical: one.logical,
            kind: one.kind,
            physical: one.physical,
            replaced: match one.replacement {
                Replacement::No => Replaced::No,
                Replacement::Maybe => Replaced::Maybe,
                Replacement::Yes => Replaced::Yes,
            },
            causes,
        }
    };
    Proposal { change_set: made.id, changes: made.changes.into_iter().map(change).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_stack_gets_what_follows_from_its_name_and_one_that_is_there_keeps_what_it_has() {
        let find = |groups: &[Group], name: &str| {
            let all = groups.iter().flat_map(|group| &group.parameters);
            all.into_iter().find(|one| one.name == name).cloned().expect(name)
        };
        let fresh = groups(template::template(), None);
        let naming = crate::app::stack::Naming {
            word: "genome".into(),
            account: "123456789012".into(),
            region: "eu-west-1".into(),
        };
        let bucket = find(&fresh, "InputsBucket").usual(&naming);
        assert_eq!(bucket, "genome-inputs-123456789012-eu-west-1");
        let has = BTreeMap::from([("DesiredRam".to_owned(), "1".to_owned())]);
        let there = groups(template::template(), Some(&has));
        assert_eq!(find(&there, "DesiredRam").usual(&naming), "1");
        assert_eq!(find(&there, "NatGateways").usual(&naming), "2", "what it did not know is the default");
    }

    #[test]
    fn ranges_that_are_taken_are_not_offered() {
        assert_eq!(
            free(&["10.192.0.0/16", "10.194.8.0/24", "172.31.0.0/16"])[..2],
            ["10.193.0.0/16", "10.195.0.0/16"]
        );
        assert!(free(&["10.0.0.0/8"]).is_empty());
    }

    #[test]
    fn dollars_in_cents() {
        assert_eq!((cents(3.504), cents(-1.0), cents(f64::NAN)), (350, 0, 0));
    }
}
