//! What each command asks of AWS: one table of IAM actions, from which docs/iam.md and the policies in it are written.
//!
//! A row is here for every call that a command may make. Those of the original's commands are within what its users have
//! (contract 6.1); a test holds that, and that every subcommand is in the table or known to reach no AWS at all.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Who needs it. Each is granted beside the others, and none contains another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks: flocks, jobs, logs, results.
    Viewer,
    /// Gives work, stops it and runs it again.
    Operator,
    /// Says what the flock runs.
    Deployer,
    /// Makes, changes and removes flocks.
    Owner,
    /// The commands of the original, with the original's rights.
    Original,
}

impl Role {
    /// Every one of them.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Operator, Self::Deployer, Self::Owner, Self::Original];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Deployer => "deployer",
            Self::Owner => "owner of stacks",
            Self::Original => "commands of the original",
        }
    }
}

/// What it is needed on, as the ARN of a policy with names in capitals to fill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// What IAM knows no resource for, or what has no name yet.
    All,
    /// The objects of the inputs bucket.
    Inputs,
    /// The outputs bucket and the errors bucket.
    ResultBuckets,
    /// Their objects.
    Results,
    /// The objects of the quick-deploy bucket.
    QuickDeploy,
    /// The job table.
    Table,
    /// Its stream.
    Stream,
    /// The queue of uploads and its dead letters.
    Queues,
    /// The Batch job queue and the job definition.
    Jobs,
    /// The secret.
    Secret,
    /// The image repository.
    Repository,
    /// The workers' log group.
    Logs,
    /// The endpoint function.
    Endpoint,
    /// The stack.
    Stack,
    /// A role in the target account.
    TargetRole,
}

impl On {
    /// As the resource of a policy's statement.
    pub fn resources(self) -> &'static [&'static str] {
        match self {
            Self::All => &["*"],
            Self::Inputs => &["arn:aws:s3:::INPUTS_BUCKET/*"],
            Self::ResultBuckets => &["arn:aws:s3:::OUTPUTS_BUCKET", "arn:aws:s3:::ERRORS_BUCKET"],
            Self::Results => &["arn:aws:s3:::OUTPUTS_BUCKET/*", "arn:aws:s3:::ERRORS_BUCKET/*"],
            Self::QuickDeploy => &["arn:aws:s3:::QUICK_DEPLOY_BUCKET/*"],
            Self::Table => &["arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE"],
            Self::Stream => &["arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE/stream/*"],
            Self::Queues => &["arn:aws:sqs:REGION:ACCOUNT:QUEUE", "arn:aws:sqs:REGION:ACCOUNT:DEAD_LETTERS"],
            Self::Jobs => &[
                "arn:aws:batch:REGION:ACCOUNT:job-queue/JOB_QUEUE",
                "arn:aws:batch:REGION:ACCOUNT:job-definition/JOB_DEFINITION*",
                "arn:aws:batch:REGION:ACCOUNT:job/*",
            ],
            Self::Secret => &["arn:aws:secretsmanager:REGION:ACCOUNT:secret:SECRET-*"],
            Self::Repository => &["arn:aws:ecr:REGION:ACCOUNT:repository/REPOSITORY"],
            Self::Logs => &["arn:aws:logs:REGION:ACCOUNT:log-group:LOG_GROUP:*"],
            Self::Endpoint => &["arn:aws:lambda:REGION:ACCOUNT:function:ENDPOINT"],
            Self::Stack => &["arn:aws:cloudformation:REGION:ACCOUNT:stack/STACK/*"],
            Self::TargetRole => &["arn:aws:iam::ACCOUNT:role/ROLE"],
        }
    }

    /// In words.
    fn words(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Inputs => "inputs bucket's objects",
            Self::ResultBuckets => "outputs and errors buckets",
            Self::Results => "outputs and errors buckets' objects",
            Self::QuickDeploy => "quick-deploy bucket's objects",
            Self::Table => "job table",
            Self::Stream => "job table's stream",
            Self::Queues => "queue and dead letters",
            Self::Jobs => "job queue, job definition, jobs",
            Self::Secret => "secret",
            Self::Repository => "repository",
            Self::Logs => "workers' log group",
            Self::Endpoint => "endpoint function",
            Self::Stack => "stack",
            Self::TargetRole => "role to assume",
        }
    }
}

/// One need of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The command, as it is typed after `shepard`; `console` is what the console asks beyond the commands.
    pub command: &'static str,
    /// Who runs it.
    pub role: Role,
    /// IAM actions.
    pub actions: &'static [&'static str],
    /// On what.
    pub on: On,
    /// Why, or what is missing without it where the command does without.
    pub why: &'static str,
}

/// Declares the table.
macro_rules! needs {
    ($($command:literal $role:ident [$($action:literal),+] $on:ident $why:literal;)*) => {
        /// The table.
        pub const NEEDS: &[Need] = &[$(Need {
            command: $command, role: Role::$role, actions: &[$($action),+], on: On::$on, why: $why,
        },)*];
    };
}

needs! {
    "flocks" Viewer ["cloudformation:DescribeStacks"] All "finding flocks by their stacks";
    "whoami" Viewer ["sts:GetCallerIdentity"] All "needs no grant";
    "query" Viewer ["dynamodb:Scan", "dynamodb:GetItem"] Table "the rows";
    "query" Viewer ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"] Stream
        "changes as they happen; without it the table is polled";
    "query" Viewer ["batch:DescribeJobs", "batch:ListJobs"] All "Batch's own state and reason";
    "logs" Viewer ["logs:GetLogEvents", "logs:DescribeLogStreams"] Logs "a job's log";
    "logs" Viewer ["dynamodb:Scan", "dynamodb:GetItem"] Table "which log is a job's";
    "retrieve" Viewer ["s3:ListBucket"] ResultBuckets "which results there are";
    "retrieve" Viewer ["s3:GetObject", "s3:GetObjectVersion"] Results "the results";
    "console" Viewer ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"] Queues "how deep the queue and its dead letters are";
    "stack events" Viewer ["cloudformation:DescribeStackEvents"] Stack "what happens to a stack";
    "stack describe" Viewer ["cloudformation:DescribeStacks", "cloudformation:ListStackResources"] Stack
        "what a stack consists of";
    "batch" Operator ["s3:PutObject", "s3:AbortMultipartUpload"] Inputs "the upload that becomes a job";
    "batch" Operator ["s3:GetObject"] QuickDeploy "whether run.sh is there; only for jobs that name a folder";
    "terminate" Operator ["batch:TerminateJob"] Jobs "stopping a job";
    "terminate" Operator ["dynamodb:Scan", "dynamodb:GetItem", "dynamodb:PutItem"] Table "ending its row";
    "retry" Operator ["s3:GetObject", "s3:PutObject"] Inputs "giving the upload in again";
    "retry" Operator ["dynamodb:Scan", "dynamodb:GetItem", "dynamodb:PutItem"] Table "its row, made ready";
    "retry" Operator ["sqs:SendMessage", "sqs:GetQueueUrl"] Queues "telling the scheduler";
    "batch-api" Operator ["lambda:InvokeFunction"] Endpoint "the function that takes jobs";
    "dlq" Viewer ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"] Queues
        "how many uploads were given up on, and some of them";
    "dlq" Operator
        ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:SendMessage", "sqs:ChangeMessageVisibility"] Queues
        "moving dead letters back to their queue";
    "quick-deploy" Operator ["s3:PutObject"] QuickDeploy "uploading a quick-deploy folder";
    "deploy" Deployer ["ecr:GetAuthorizationToken"] All "signing in to the registry";
    "deploy" Deployer
        ["ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
         "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] Repository
        "pushing the image, and latest last";
    "deploy" Deployer ["ecr:ListImages"] Repository "what runs now, to go back to";
    "releases" Deployer ["ecr:GetAuthorizationToken"] All "signing in to the registry";
    "releases" Deployer ["ecr:ListImages", "ecr:BatchGetImage", "ecr:PutImage"] Repository
        "the releases there are, and going back to one";
    "secrets" Deployer ["secretsmanager:GetSecretValue"] Secret
        "comparing and listing names; a push says so and goes on without it";
    "secrets" Deployer ["secretsmanager:UpdateSecret"] Secret "replacing the secrets";
    "stack up" Owner
        ["cloudformation:CreateStack", "cloudformation:DescribeStacks", "cloudformation:DescribeStackEvents"] Stack
        "making a stack and watching it";
    "stack up" Owner
        ["s3:CreateBucket", "s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:PutBucketPublicAccessBlock",
         "s3:PutEncryptionConfiguration", "s3:PutBucketPolicy"] All
        "the bucket of templates and programs; limit it to that bucket once it is there";
    "stack up" Owner
        ["ec2:DescribeVpcs", "ec2:DescribeKeyPairs", "ec2:DescribeInstanceTypes", "batch:DescribeJobQueues",
         "batch:DescribeComputeEnvironments", "dynamodb:DescribeTable"] All
        "what may be chosen, what is taken and what is full; without it less is checked before it is sent";
    "stack up" Owner
        ["iam:*Role*", "iam:*InstanceProfile*", "iam:PassRole", "ec2:*", "s3:*", "sqs:*", "dynamodb:*", "batch:*",
         "lambda:*", "logs:*", "ecr:*", "secretsmanager:*", "elasticfilesystem:*", "fsx:*", "cloudwatch:*", "events:*"]
        All "the resources themselves, which CloudFormation makes in the caller's name; or give it a service role";
    "stack update" Owner
        ["cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet", "cloudformation:ExecuteChangeSet",
         "cloudformation:DeleteChangeSet", "cloudformation:GetTemplate", "cloudformation:DescribeStacks",
         "cloudformation:DescribeStackEvents", "cloudformation:CancelUpdateStack",
         "cloudformation:ContinueUpdateRollback"] Stack "what would change, and changing it";
    "stack owned" Viewer
        ["s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "ecr:ListImages", "batch:ListJobs",
         "sqs:GetQueueAttributes", "dynamodb:DescribeTable", "cloudformation:GetTemplate"] All
        "counting what the stack holds; what may not be counted is said";
    "stack down" Owner
        ["cloudformation:DeleteStack", "cloudformation:DescribeStacks", "cloudformation:DescribeStackEvents",
         "cloudformation:ListStackResources", "cloudformation:GetTemplate",
         "cloudformation:UpdateTerminationProtection"] Stack "taking a flock down";
    "stack down" Owner ["cloudformation:ListStacks"] All "going on where the stack itself is gone";
    "stack down" Owner
        ["lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping", "batch:ListJobs", "batch:TerminateJob",
         "batch:UpdateJobQueue", "ecr:ListImages", "ecr:BatchDeleteImage"] All "draining, and emptying the repository";
    "stack down" Owner
        ["s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:DeleteObjectVersion",
         "s3:AbortMultipartUpload", "s3:DeleteBucket", "dynamodb:DeleteTable", "secretsmanager:DeleteSecret",
         "logs:DeleteLogGroup", "ecr:DeleteRepository"] All "only with --delete-data: what the template keeps";
    "deploy (shepard_cli)" Original ["sts:AssumeRole"] TargetRole "the role of the command line or the profile";
    "deploy (shepard_cli)" Original ["ecr:GetAuthorizationToken"] All "signing in to the registry";
    "deploy (shepard_cli)" Original
        ["ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
         "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] Repository
        "pushing the image; what any docker push asks";
    "batch (shepard_cli)" Original ["sts:AssumeRole"] TargetRole "as above";
    "batch (shepard_cli)" Original ["s3:PutObject"] Inputs "the upload";
    "batch_via_api" Original ["sts:AssumeRole"] TargetRole "as above";
    "batch_via_api" Original ["lambda:InvokeFunction"] Endpoint "the call";
    "query (shepard_cli)" Original ["sts:AssumeRole"] TargetRole "as above";
    "query (shepard_cli)" Original ["dynamodb:Scan"] Table "the rows, all of them";
    "describe" Original ["sts:AssumeRole"] TargetRole "as above";
    "describe" Original ["cloudformation:DescribeStacks"] Stack
        "the stack; its resources too where ListStackResources is granted, else it says that they are missing";
    "secretify" Original ["sts:AssumeRole"] TargetRole "as above";
    "secretify" Original ["secretsmanager:UpdateSecret"] Secret
        "the push; with GetSecretValue it compares first, else it says that it cannot";
    "retrieve (shepard_cli)" Original ["sts:AssumeRole"] TargetRole "as above";
    "retrieve (shepard_cli)" Original ["s3:ListBucket"] ResultBuckets "which results there are";
    "retrieve (shepard_cli)" Original ["s3:GetObject"] Results "the results";
    "set_role" Original ["sts:AssumeRole"] TargetRole "the role for the commands to come";
}

/// A policy that grants a role what it needs and nothing else.
pub fn policy(role: Role) -> serde_json::Value {
    let mut by_resource: BTreeMap<On, Vec<&str>> = BTreeMap::new();
    // This one needs no grant, and a policy that names it says nothing.
    let granted = |action: &&&str| **action != "sts:GetCallerIdentity";
    for need in NEEDS.iter().filter(|need| need.role == role) {
        by_resource.entry(need.on).or_default().extend(need.actions.iter().filter(granted));
    }
    let statements: Vec<serde_json::Value> = by_resource
        .into_iter()
        .map(|(on, mut actions)| {
            actions.sort_unstable();
            actions.dedup();
            serde_json::json!({ "Effect": "Allow", "Action": actions, "Resource": on.resources() })
        })
        .collect();
    serde_json::json!({ "Version": "2012-10-17", "Statement": statements })
}

/// `docs/iam.md`.
pub fn document() -> String {
    let mut text = String::from(
        "# What IAM has to grant\n\n<!-- Written by `cargo xtask generate` from src/operations/needs.rs. -->\n\n\
         What each command asks of AWS. A viewer looks; operators, deployers and owners of stacks need what a viewer \
         needs and their\nown. The commands of the original ask no more than they did: what the original's users have \
         suffices. The rights of jobs and\nof the flock's functions are not here: their roles are the stack's.\n\n\
         In the policies the names in capitals are to be filled in; `shepard stack describe` prints them.\n",
    );
    for role in Role::ALL {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n## {}\n\n| command | actions | on | why |\n|---|---|---|---|\n", title(role));
        for need in NEEDS.iter().filter(|need| need.role == role) {
            let actions: Vec<String> = need.actions.iter().map(|action| format!("`{action}`")).collect();
            let on = need.on.words();
            let _ = writeln!(text, "| `{}` | {} | {on} | {} |", need.command, actions.join(" "), need.why);
        }
        let policy = serde_json::to_string_pretty(&policy(role)).unwrap_or_default();
        let _ = write!(text, "\n```json\n{policy}\n```\n");
    }
    text
}

fn title(role: Role) -> String {
    let name = role.name();
    name[..1].to_uppercase() + &name[1..]
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::operations::old::OldCommand;

    /// Subcommands that ask AWS nothing.
    const OFFLINE: &[&str] = &[
        "console",
        "demo",
        "local",
        "journal",
        "info",
        "completions",
        "man",
        "profiles",
        "supervise",
        "worker",
        "unpack",
        "template",
        "help",
        // Files of this machine, and sessions by what the role itself needs.
        "renew",
        "set-role",
        "release-role",
        "check-role",
    ];

    #[test]
    fn every_subcommand_is_in_the_table_or_asks_aws_nothing() {
        for command in crate::cli::Cli::command().get_subcommands() {
            let name = command.get_name();
            let rows = NEEDS
                .iter()
                .any(|need| need.command == name || need.command.starts_with(&format!("{name} ")));
            assert!(rows || OFFLINE.contains(&name), "{name} is neither in NEEDS nor in OFFLINE");
        }
    }

    #[test]
    fn the_originals_commands_ask_no_more_than_its_users_have() {
        let push = [
            "BatchCheckLayerAvailability",
            "InitiateLayerUpload",
            "UploadLayerPart",
            "CompleteLayerUpload",
            "PutImage",
            "BatchGetImage",
            "GetDownloadUrlForLayer",
        ]
        .map(|name| format!("ecr:{name}"));
        let mut had: Vec<String> = [
            "sts:AssumeRole",
            "ecr:GetAuthorizationToken",
            "s3:PutObject",
            "s3:ListBucket",
            "s3:GetObject",
            "dynamodb:Scan",
            "cloudformation:DescribeStacks",
            "secretsmanager:UpdateSecret",
            "lambda:InvokeFunction",
        ]
        .map(str::to_owned)
        .to_vec();
        had.extend(push);
        for need in NEEDS.iter().filter(|need| need.role == Role::Original) {
            for action in need.actions {
                assert!(had.iter().any(|had| had == action), "{}: {action}", need.command);
            }
        }
        for command in OldCommand::ALL.iter().filter(|command| command.uses_profile()) {
            let word = command.word();
            let rows =
                |need: &Need| need.role == Role::Original && need.command.split(' ').next() == Some(word);
            assert!(NEEDS.iter().any(rows), "{word} reaches AWS and has no row");
        }
    }

    #[test]
    fn a_policy_can_be_pasted_and_grants_nothing_twice() {
        for role in Role::ALL {
            let policy = policy(role);
            let statements = policy["Statement"].as_array().expect("statements");
            assert!(!statements.is_empty(), "{}", role.name());
            for statement in statements {
                let actions = statement["Action"].as_array().expect("actions");
                let mut once = actions.clone();
                once.dedup();
                assert_eq!(&once, actions);
                assert!(actions.iter().all(|action| action.as_str().is_some_and(|text| text.contains(':'))));
            }
            // 6144 characters without blanks is what a managed policy may have.
            assert!(policy.to_string().len() < 6144, "{}", role.name());
        }
        assert!(!document().contains("iam::1"), "no account is named");
    }
}
