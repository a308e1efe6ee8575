//! A flock on AWS for the key scripts: its template, account, events, change set, and what it owns.

use super::testing::{Console, NOW};
use crate::app::deploy::{Fact, Weight};
use crate::app::msg::{FlockRow, Loaded, Msg};
use crate::app::stack::{
    Asked, ChangeRow, Checks, Cost, Fate, Group, Happening, Kind, Owned, OwnedThing, Parameter, Proposal,
    Replaced, ResourceRow, Sheet, StackAnswer, StackCause, StackId, StackNews, StackRequest, Survey,
};
use crate::app::{Command, Effect};

/// The stack of every script.
pub(super) fn genome() -> StackId {
    StackId::of_flock("genome@eu-west-1").expect("a stack")
}

/// A console with the stack's flock in its list, below one of this machine.
pub(super) fn console() -> Console {
    let flock = |name: &str| FlockRow { name: name.to_owned(), running: true, ..FlockRow::default() };
    Console::new().msg(Msg::Flocks(vec![flock("demo"), flock("genome@eu-west-1")]))
}

fn parameter(name: &str, kind: Kind, default: &str, help: &str) -> Parameter {
    let allowed = if kind == Kind::Choice { &["True", "False"][..] } else { &[] };
    Parameter {
        name: name.to_owned(),
        kind,
        default: default.to_owned(),
        allowed: allowed.iter().map(|&word| word.to_owned()).collect(),
        help: help.to_owned(),
        value: None,
        derived: None,
    }
}

/// Some groups of the template, with their parameters.
pub(super) fn groups() -> Vec<Group> {
    let named = |name: &str, default: &str, derived: &str, help: &str| Parameter {
        derived: Some(derived.to_owned()),
        ..parameter(name, Kind::Text, default, help)
    };
    let group = |title: &str, parameters: Vec<Parameter>| Group { title: title.to_owned(), parameters };
    let mut groups = vec![
        group(
            "S3 Settings",
            vec![
                named(
                    "InputsBucket",
                    "shepard-trigger",
                    "{word}-inputs-{account}",
                    "Name of the bucket that uploads go to.",
                ),
                named(
                    "OutputsBucket",
                    "shepard-outputs",
                    "{word}-outputs-{account}",
                    "Name of the bucket of results.",
                ),
            ],
        ),
        group(
            "Batch Settings",
            vec![
                parameter("DesiredRam", Kind::Number, "500000", "Memory of a job in MiB."),
                parameter("DesiredCPU", Kind::Number, "64", "vCPUs of a job."),
                parameter(
                    "InstanceTypes",
                    Kind::List,
                    "r5.16xlarge,r5a.16xlarge",
                    "Instance types that jobs may run on.",
                ),
                parameter(
                    "Ec2KeyPair",
                    Kind::KeyPair,
                    "the_best_key_ever",
                    "Key pair for SSH to the instances.",
                ),
            ],
        ),
        group(
            "Networking Settings",
            vec![
                parameter("VpcCIDR", Kind::Text, "10.192.0.0/16", "IP range of the VPC in CIDR notation."),
                parameter(
                    "ToggleIncludeExtraIAMPolicyForContainerRole",
                    Kind::Choice,
                    "False",
                    "True adds the policy named in ExtraIAMPolicyForContainerRole to the role of the containers, for \
                     jobs that need more of AWS than their own buckets, table and secret.",
                ),
            ],
        ),
    ];
    for title in
        ["Tagging", "ECR", "DynamoDB", "EFS", "Secrets Manager", "Lustre", "EBS Volume", "SQS", "Lambda"]
    {
        let names = (1..=4).map(|at| format!("{}{at}", title.replace(' ', "")));
        let all = names.map(|name| parameter(&name, Kind::Text, "as-ever", "What it is for.")).collect();
        groups.push(group(title, all));
    }
    groups
}

fn fact(weight: Weight, about: &str, said: &str) -> Fact {
    Fact { weight, about: about.to_owned(), said: said.to_owned() }
}

/// What is found of a good wish.
pub(super) fn good() -> Checks {
    Checks {
        facts: vec![
            fact(Weight::Good, "names", "all of them fit"),
            fact(Weight::Odd, "quota", "48 of 50 job queues of the account are used"),
        ],
        costs: vec![
            Cost { what: "3 KMS keys".to_owned(), monthly_cents: 300, note: String::new() },
            Cost { what: "5 alarms".to_owned(), monthly_cents: 50, note: String::new() },
        ],
    }
}

/// What is found of one that cannot work.
pub(super) fn wrong() -> Checks {
    let mut checks = good();
    let said = "10.0.0.0/16 overlaps with vpc-0a1b2c3d, which the account has already; choose another range";
    checks.facts.push(fact(Weight::Wrong, "VpcCIDR", said));
    checks
}

/// What there is in the account.
pub(super) fn survey() -> Survey {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    Survey {
        who: "123456789012, as role/Operator".to_owned(),
        number: Some("123456789012".to_owned()),
        region: Some("eu-west-1".to_owned()),
        profiles: words(&["default", "lab", "prod"]),
        regions: words(&["eu-west-1", "us-east-1"]),
        stacks: Vec::new(),
        choices: [("Ec2KeyPair".to_owned(), words(&["ann", "lab-2024"]))].into(),
        unknown: Vec::new(),
    }
}

/// Answers everything that was asked about stacks since the last call, as an account would.
pub(super) fn answered(mut console: Console, checks: &Checks, stack_has: &[(&str, &str)]) -> Console {
    loop {
        let mut asked = Vec::new();
        console.effects.retain(|effect| match effect {
            Effect::Load(crate::app::effect::Request::Stack(request)) => {
                asked.push(request.clone());
                false
            }
            _ => true,
        });
        if asked.is_empty() {
            return console;
        }
        for request in asked {
            let answer = match request {
                StackRequest::Form(asked) => form(asked, stack_has),
                StackRequest::Survey(account) => {
                    StackAnswer::Survey { account, survey: Ok(Box::new(survey())) }
                }
                StackRequest::Checks(wish) => {
                    StackAnswer::Checks { wish: Box::new(wish), checks: Ok(checks.clone()) }
                }
                StackRequest::Sheet(stack) => StackAnswer::Sheet { stack, sheet: Ok(Box::new(sheet())) },
            };
            console = console.msg(Msg::Loaded(Loaded::Stack(answer)));
        }
    }
}

fn form(asked: Asked, stack_has: &[(&str, &str)]) -> StackAnswer {
    let mut groups = groups();
    if asked.stack.is_some() {
        for parameter in groups.iter_mut().flat_map(|group| &mut group.parameters) {
            let has = stack_has.iter().find(|(name, _)| *name == parameter.name);
            parameter.value = Some(has.map_or(parameter.default.clone(), |(_, value)| (*value).to_owned()));
        }
    }
    StackAnswer::Form { asked, groups: Ok(groups) }
}

fn resource(logical: &str, kind: &str, status: &str, began_s: i64, ended_s: Option<i64>) -> ResourceRow {
    ResourceRow {
        logical: logical.to_owned(),
        kind: kind.to_owned(),
        physical: format!("genome-{}", logical.to_lowercase()),
        status: status.to_owned(),
        reason: None,
        began_ms: Some(NOW + began_s * 1_000),
        ended_ms: ended_s.map(|ended| NOW + ended * 1_000),
    }
}

fn resources() -> Vec<ResourceRow> {
    vec![
        resource("ShepardDynamoDB", "AWS::DynamoDB::Table", "CREATE_COMPLETE", -95, Some(-60)),
        resource("ShepardInputsBucket", "AWS::S3::Bucket", "CREATE_COMPLETE", -90, Some(-70)),
        resource("BatchCompute", "AWS::Batch::ComputeEnvironment", "CREATE_IN_PROGRESS", -40, None),
    ]
}

/// The stack is being made.
pub(super) fn rising() -> Happening {
    Happening {
        status: "CREATE_IN_PROGRESS".to_owned(),
        began_ms: Some(NOW - 100_000),
        ended_ms: None,
        done: 2,
        total: 58,
        cause: None,
        resources: resources(),
    }
}

/// It failed and is rolled back.
pub(super) fn falling() -> Happening {
    let mut now = rising();
    let reason =
        "The specified key pair 'the_best_key_ever' does not exist (Service: Batch, Status Code: 400)";
    now.status = "ROLLBACK_IN_PROGRESS".to_owned();
    now.cause = Some(StackCause {
        logical: "BatchCompute".to_owned(),
        kind: "AWS::Batch::ComputeEnvironment".to_owned(),
        reason: reason.to_owned(),
        at_ms: NOW - 5_000,
    });
    let compute = &mut now.resources[2];
    (compute.status, compute.ended_ms) = ("CREATE_FAILED".to_owned(), Some(NOW - 5_000));
    compute.reason = Some(reason.to_owned());
    now.resources[0].status = "DELETE_IN_PROGRESS".to_owned();
    now.resources[0].ended_ms = None;
    now
}

/// News of the stack.
pub(super) fn happens(now: Happening) -> Msg {
    Msg::Stack(StackNews::Events { stack: genome(), now: Box::new(now) })
}

/// What it is made of.
pub(super) fn sheet() -> Sheet {
    Sheet {
        arn: "arn:aws:cloudformation:eu-west-1:123456789012:stack/genome/0a1b2c3d".to_owned(),
        status: "UPDATE_COMPLETE".to_owned(),
        reason: None,
        created_ms: NOW - 86_400_000,
        updated_ms: Some(NOW - 3_600_000),
        resources: resources(),
        outputs: vec![
            ("InputsBucketName".to_owned(), "genome-inputs".to_owned()),
            ("JobTableName".to_owned(), "genome-table".to_owned()),
        ],
        parameters: vec![("DesiredRam".to_owned(), "500000".to_owned())],
    }
}

fn change(action: &str, logical: &str, kind: &str, replaced: Replaced, stateful: bool) -> ChangeRow {
    ChangeRow {
        action: action.to_owned(),
        logical: logical.to_owned(),
        kind: kind.to_owned(),
        physical: if action == "Add" { String::new() } else { format!("genome-{}", logical.to_lowercase()) },
        replaced,
        stateful,
        causes: vec!["Memory (parameter DesiredRam)".to_owned()],
    }
}

/// A change set that replaces nothing, or also what holds data.
pub(super) fn proposal(loses: bool) -> Msg {
    let mut changes = vec![
        change("Add", "DeadLetterAlarm", "AWS::CloudWatch::Alarm", Replaced::No, false),
        change("Modify", "ShepardSchedulerFunction", "AWS::Lambda::Function", Replaced::No, false),
        change("Modify", "BatchJobDefinition", "AWS::Batch::JobDefinition", Replaced::Yes, false),
        change("Remove", "NatGateway1", "AWS::EC2::NatGateway", Replaced::No, false),
    ];
    if loses {
        let mut table = change("Modify", "ShepardDynamoDB", "AWS::DynamoDB::Table", Replaced::Yes, true);
        table.causes = vec!["TableName (parameter TableName)".to_owned()];
        changes.push(table);
        changes.push(change("Modify", "ProjectEFSSystem", "AWS::EFS::FileSystem", Replaced::Maybe, true));
    }
    let proposal = Proposal { change_set: "arn:change-set".to_owned(), changes };
    Msg::Loaded(Loaded::Stack(StackAnswer::Proposal { stack: genome(), proposal: Box::new(proposal) }))
}

/// What it owns, half counted or wholly.
pub(super) fn owned(status: &str, counted: bool) -> Msg {
    let thing = |what: &str, name: &str, holds: &str, fate: Fate| OwnedThing {
        what: what.to_owned(),
        name: name.to_owned(),
        holds: holds.to_owned(),
        counted: true,
        fate,
        problem: None,
    };
    let mut things = vec![
        thing("bucket", "genome-inputs", "1204 objects, 300 old versions, 3.2 GiB", Fate::Data),
        thing("bucket", "genome-outputs", "98211 objects, 756.2 GiB", Fate::Data),
        thing("table", "genome-table", "1204 rows or so", Fate::Data),
        thing("repository", "genome-images", "7 images", Fate::Data),
        thing("job queue", "genome-job-queue", "3 jobs run, 12 jobs wait", Fate::Goes),
        thing("queue", "genome-uploads", "5 messages wait", Fate::Goes),
        thing("log group", "/shepard/genome", "not counted", Fate::Stays),
    ];
    if !counted {
        things[1].counted = false;
    }
    let at = if counted { "" } else { "objects of genome-outputs: 41,000" };
    let owned = Owned { status: status.to_owned(), things, counted, at: at.to_owned() };
    Msg::Stack(StackNews::Owned { stack: genome(), owned: Box::new(owned) })
}

/// The command about a stack that was begun last.
pub(super) fn begun(console: &Console) -> &crate::app::stack::StackCommand {
    match console.commands().last() {
        Some(Command::Stack(command)) => command,
        other => panic!("{other:?} was begun"),
    }
}
