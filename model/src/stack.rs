//! What a flock's stack says of itself: the names of its outputs, and what the console has to know of a flock on AWS.
//!
//! A stack of our template says everything in its outputs, so that no profile is needed. One of the original template
//! has no outputs; there the names are the parameters, and those of a profile of the old command are the profile's.
//! Nothing here asks AWS anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of the stack's outputs. `templates/shepard.yml` has exactly these; a test compares them.
pub mod output {
    /// Version of the template, by which a stack of ours is known.
    pub const TEMPLATE: &str = "ShepardTemplate";
    /// Name of the inputs bucket.
    pub const INPUTS_BUCKET: &str = "InputsBucketName";
    /// Name of the outputs bucket.
    pub const OUTPUTS_BUCKET: &str = "OutputsBucketName";
    /// Name of the quick-deploy bucket.
    pub const QUICK_DEPLOY_BUCKET: &str = "QuickDeployBucketName";
    /// Name of the bucket of failed jobs' logs and partial results.
    pub const ERRORS_BUCKET: &str = "ErrorsBucketName";
    /// Name of the job table.
    pub const TABLE: &str = "JobTableName";
    /// ARN of the job table's stream.
    pub const TABLE_STREAM: &str = "JobTableStreamArn";
    /// URL of the queue of uploads.
    pub const QUEUE_URL: &str = "UploadsQueueUrl";
    /// URL of its dead-letter queue.
    pub const DEAD_LETTERS_URL: &str = "DeadLetterQueueUrl";
    /// ARN of the Batch job queue.
    pub const JOB_QUEUE: &str = "JobQueueArn";
    /// Name of the Batch job definition, without a revision.
    pub const JOB_DEFINITION: &str = "JobDefinitionName";
    /// ARN of the Batch compute environment.
    pub const COMPUTE_ENVIRONMENT: &str = "ComputeEnvironmentArn";
    /// ARN of the secret.
    pub const SECRET: &str = "SecretArn";
    /// URI of the image repository, without a tag.
    pub const REPOSITORY: &str = "RepositoryUri";
    /// Name of the scheduler function.
    pub const SCHEDULER: &str = "SchedulerFunctionName";
    /// Name of the endpoint function, which takes jobs by API.
    pub const ENDPOINT: &str = "EndpointFunctionName";
    /// Name of the reconciler function.
    pub const RECONCILER: &str = "ReconcilerFunctionName";
    /// Log group of the workers.
    pub const WORKER_LOGS: &str = "WorkerLogGroupName";
    /// Days for which the row of a job that has ended is kept.
    pub const KEEP_DAYS: &str = "KeepDays";

    /// All of them, in the order in which the template lists them.
    pub const ALL: [&str; 19] = [
        TEMPLATE,
        INPUTS_BUCKET,
        OUTPUTS_BUCKET,
        QUICK_DEPLOY_BUCKET,
        ERRORS_BUCKET,
        TABLE,
        TABLE_STREAM,
        QUEUE_URL,
        DEAD_LETTERS_URL,
        JOB_QUEUE,
        JOB_DEFINITION,
        COMPUTE_ENVIRONMENT,
        SECRET,
        REPOSITORY,
        SCHEDULER,
        ENDPOINT,
        RECONCILER,
        WORKER_LOGS,
        KEEP_DAYS,
    ];
}

/// In whose name and where AWS is asked: a profile of the AWS configuration files and a region. None is what the
/// environment and the files say by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Account {
    /// Name of the profile in `~/.aws/config`.
    pub profile: Option<String>,
    /// Region.
    pub region: Option<String>,
}

/// Where the names of a flock on AWS come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The outputs of a stack of our template.
    Outputs,
    /// The parameters of a stack of the original template.
    Parameters,
    /// A profile of the old command.
    Profile,
}

/// What is known of a flock on AWS. What is None cannot be done with it; whoever needs it says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsFlockInfo {
    /// Its name in the console and after `--flock`: `STACK@REGION`, `STACK@PROFILE/REGION` where a profile is named, or
    /// `profile:NAME` for one known from a profile of the old command alone. No flock of this machine can have such a
    /// name; the stack's name alone is enough on a command line where only one has it.
    pub name: String,
    /// Where the names below come from.
    pub origin: Origin,
    /// In whose name and where it is asked for.
    pub account: Account,
    /// The stack's name.
    pub stack: Option<String>,
    /// The stack's status in CloudFormation's words.
    pub status: Option<String>,
    /// Name of the inputs bucket.
    pub inputs: Option<String>,
    /// Name of the outputs bucket.
    pub outputs: Option<String>,
    /// Name of the quick-deploy bucket.
    pub quick_deploy: Option<String>,
    /// Name of the bucket of failed jobs' logs and partial results.
    pub errors: Option<String>,
    /// Name of the job table.
    pub table: Option<String>,
    /// ARN of its stream.
    pub table_stream: Option<String>,
    /// URL, ARN or name of the queue of uploads.
    pub queue: Option<String>,
    /// URL of its dead-letter queue; None where only the queue's redrive policy names it.
    pub dead_letters: Option<String>,
    /// Name or ARN of the Batch job queue.
    pub job_queue: Option<String>,
    /// Name or ARN of the Batch job definition.
    pub job_definition: Option<String>,
    /// ARN or name of the compute environment.
    pub compute_environment: Option<String>,
    /// Name or ARN of the secret.
    pub secret: Option<String>,
    /// URI or name of the image repository.
    pub repository: Option<String>,
    /// Name of the scheduler function.
    pub scheduler: Option<String>,
    /// Name of the function that takes jobs by API.
    pub endpoint: Option<String>,
    /// Log group of the workers.
    pub worker_logs: Option<String>,
    /// Days for which the row of a job that has ended is kept.
    pub keep_days: Option<u32>,
    /// The stack's parameters as they are set.
    pub parameters: BTreeMap<String, String>,
}
