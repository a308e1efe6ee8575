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
    /// ARN of a role that is assumed on top, as the old command always did; None asks as the profile is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// ARN or serial number of the MFA device that the role asks a code of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

impl Account {
    /// Its part of a flock's name: `REGION`, or `PROFILE/REGION` where a profile is named.
    pub fn label(&self) -> String {
        let region = self.region.as_deref().unwrap_or("default");
        match &self.profile {
            Some(profile) => format!("{profile}/{region}"),
            None => region.to_owned(),
        }
    }
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

/// Names of the template's parameters that name what a flock consists of. Those of the original template are the same.
pub mod parameter {
    /// Name of the inputs bucket.
    pub const INPUTS_BUCKET: &str = "InputsBucket";
    /// Name of the outputs bucket.
    pub const OUTPUTS_BUCKET: &str = "OutputsBucket";
    /// Name of the quick-deploy bucket.
    pub const QUICK_DEPLOY_BUCKET: &str = "QuickDeployBucket";
    /// Name of the job table.
    pub const TABLE: &str = "TableName";
    /// Name of the queue of uploads.
    pub const QUEUE: &str = "SQSName";
    /// Name of the Batch job queue.
    pub const JOB_QUEUE: &str = "QueueName";
    /// Name of the Batch job definition.
    pub const JOB_DEFINITION: &str = "JobDefinitionName";
    /// Name of the compute environment.
    pub const COMPUTE_ENVIRONMENT: &str = "ComputeEnvironmentName";
    /// Name of the secret.
    pub const SECRET: &str = "SecretsManagerName";
    /// Name of the image repository.
    pub const REPOSITORY: &str = "ECRRepoName";
    /// Days for which the row of a job is kept.
    pub const KEEP_DAYS: &str = "DaysToKeepFailedLaunchIndexes";

    /// A stack that has all of these and no outputs of ours is taken for one of the original template.
    pub const MARKS: [&str; 8] =
        [INPUTS_BUCKET, OUTPUTS_BUCKET, TABLE, QUEUE, JOB_QUEUE, JOB_DEFINITION, SECRET, REPOSITORY];
}

/// Where the workers of the original template log: what Batch does where a job definition says nothing.
const BATCH_LOGS: &str = "/aws/batch/job";

/// What begins the name of a flock that is known from a profile of the old command alone.
pub const OF_PROFILE: &str = "profile:";

/// Name of a flock: `STACK@REGION`, or `STACK@PROFILE/REGION`.
pub fn canonical(stack: &str, account: &Account) -> String {
    format!("{stack}@{}", account.label())
}

/// The parts of a canonical name: stack, profile, region. None for the name of a flock of this machine, of a profile of
/// the old command, or a stack's name alone.
pub fn parts(name: &str) -> Option<(&str, Option<&str>, &str)> {
    // A stack's name has neither an @ nor a /; a profile's may have both, a region has neither.
    let (stack, place) = name.split_once('@')?;
    if name.starts_with(OF_PROFILE) {
        return None;
    }
    let (profile, region) = match place.rsplit_once('/') {
        Some((profile, region)) => (Some(profile), region),
        None => (None, place),
    };
    let whole = !stack.is_empty() && !region.is_empty() && profile != Some("");
    whole.then_some((stack, profile, region))
}

impl AwsFlockInfo {
    /// Of a stack, if it is a flock: by its outputs, or by its parameters where it has none of ours. That is so of one of
    /// the original template, and of one of ours that is not finished.
    pub fn of_stack(
        account: &Account,
        stack: &str,
        status: &str,
        outputs: &BTreeMap<String, String>,
        parameters: &BTreeMap<String, String>,
    ) -> Option<Self> {
        if outputs.contains_key(output::TEMPLATE) {
            Some(Self::from_outputs(account, stack, status, outputs, parameters))
        } else if parameter::MARKS.iter().all(|mark| parameters.contains_key(*mark)) {
            Some(Self::from_parameters(account, stack, status, parameters))
        } else {
            None
        }
    }

    /// Of a stack of our template. An output that is missing or empty is None: nothing is guessed.
    pub fn from_outputs(
        account: &Account,
        stack: &str,
        status: &str,
        outputs: &BTreeMap<String, String>,
        parameters: &BTreeMap<String, String>,
    ) -> Self {
        let named = |name: &str| set(outputs.get(name));
        Self {
            inputs: named(output::INPUTS_BUCKET),
            outputs: named(output::OUTPUTS_BUCKET),
            quick_deploy: named(output::QUICK_DEPLOY_BUCKET),
            errors: named(output::ERRORS_BUCKET),
            table: named(output::TABLE),
            table_stream: named(output::TABLE_STREAM),
            queue: named(output::QUEUE_URL),
            dead_letters: named(output::DEAD_LETTERS_URL),
            job_queue: named(output::JOB_QUEUE),
            job_definition: named(output::JOB_DEFINITION),
            compute_environment: named(output::COMPUTE_ENVIRONMENT),
            secret: named(output::SECRET),
            repository: named(output::REPOSITORY),
            scheduler: named(output::SCHEDULER),
            endpoint: named(output::ENDPOINT),
            worker_logs: named(output::WORKER_LOGS),
            keep_days: named(output::KEEP_DAYS).and_then(|days| days.parse().ok()),
            parameters: parameters.clone(),
            ..Self::of_name(canonical(stack, account), Origin::Outputs, account, Some((stack, status)))
        }
    }

    /// Of a stack of the original template, whose parameters are the names themselves. It has no table stream and no
    /// bucket for failed jobs, and its functions' names are CloudFormation's, which only its resources tell.
    pub fn from_parameters(
        account: &Account,
        stack: &str,
        status: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Self {
        let named = |name: &str| set(parameters.get(name));
        Self {
            inputs: named(parameter::INPUTS_BUCKET),
            outputs: named(parameter::OUTPUTS_BUCKET),
            quick_deploy: named(parameter::QUICK_DEPLOY_BUCKET),
            table: named(parameter::TABLE),
            queue: named(parameter::QUEUE),
            job_queue: named(parameter::JOB_QUEUE),
            job_definition: named(parameter::JOB_DEFINITION),
            compute_environment: named(parameter::COMPUTE_ENVIRONMENT),
            secret: named(parameter::SECRET),
            repository: named(parameter::REPOSITORY),
            worker_logs: Some(BATCH_LOGS.to_owned()),
            keep_days: named(parameter::KEEP_DAYS).and_then(|days| days.parse().ok()),
            parameters: parameters.clone(),
            ..Self::of_name(canonical(stack, account), Origin::Parameters, account, Some((stack, status)))
        }
    }

    /// Of a profile of the old command: what is not named there is None, and an empty value counts as not named.
    /// `values` are by the option's name, without `shepard_cli_`.
    pub fn from_profile(account: &Account, name: &str, values: &BTreeMap<String, String>) -> Self {
        let named = |name: &str| set(values.get(name));
        Self {
            stack: named("cloudformation_to_describe"),
            inputs: named("s3_bucket_to_upload_to"),
            outputs: named("s3_bucket_for_results"),
            table: named("dynamo_db_to_query"),
            secret: named("secret_store"),
            repository: named("ecr_repo_to_push_to"),
            endpoint: named("lambda_to_invoke"),
            ..Self::of_name(format!("{OF_PROFILE}{name}"), Origin::Profile, account, None)
        }
    }

    /// One of which nothing but its name is known.
    fn of_name(name: String, origin: Origin, account: &Account, stack: Option<(&str, &str)>) -> Self {
        Self {
            name,
            origin,
            account: account.clone(),
            stack: stack.map(|(stack, _)| stack.to_owned()),
            status: stack.map(|(_, status)| status.to_owned()),
            inputs: None,
            outputs: None,
            quick_deploy: None,
            errors: None,
            table: None,
            table_stream: None,
            queue: None,
            dead_letters: None,
            job_queue: None,
            job_definition: None,
            compute_environment: None,
            secret: None,
            repository: None,
            scheduler: None,
            endpoint: None,
            worker_logs: None,
            keep_days: None,
            parameters: BTreeMap::new(),
        }
    }
}

/// A value that says something.
fn set(value: Option<&String>) -> Option<String> {
    value.map(|value| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn account() -> Account {
        Account { region: Some("eu-west-1".into()), ..Account::default() }
    }

    #[test]
    fn a_stack_of_ours_is_read_from_its_outputs_and_an_empty_one_says_nothing() {
        let outputs = map(&[
            (output::TEMPLATE, "2"),
            (output::TABLE, "sheep"),
            (output::ERRORS_BUCKET, ""),
            (output::KEEP_DAYS, "7"),
        ]);
        let parameters = map(&[("TableName", "another")]);
        let flock = AwsFlockInfo::of_stack(&account(), "prod", "CREATE_COMPLETE", &outputs, &parameters);
        let flock = flock.expect("a flock");
        assert_eq!((flock.name.as_str(), flock.origin), ("prod@eu-west-1", Origin::Outputs));
        assert_eq!((flock.table.as_deref(), flock.errors.as_deref()), (Some("sheep"), None));
        assert_eq!((flock.keep_days, flock.status.as_deref()), (Some(7), Some("CREATE_COMPLETE")));
        assert_eq!(flock.parameters, parameters);
    }

    #[test]
    fn every_output_ends_in_a_field() {
        let outputs: BTreeMap<String, String> =
            output::ALL.iter().map(|name| ((*name).to_owned(), format!("of {name}"))).collect();
        let flock = AwsFlockInfo::from_outputs(&account(), "s", "x", &outputs, &BTreeMap::new());
        let shown = serde_json::to_string(&flock).expect("JSON");
        for name in output::ALL {
            // The first says what it is, the reconciler is nobody's to call, and the days are a number.
            let of_itself = [output::TEMPLATE, output::RECONCILER, output::KEEP_DAYS].contains(&name);
            assert_ne!(shown.contains(&format!("\"of {name}\"")), of_itself, "{name}");
        }
    }

    #[test]
    fn a_stack_of_the_original_is_known_by_its_parameters_and_any_other_is_none() {
        let mut parameters = map(&[("DaysToKeepFailedLaunchIndexes", "30"), ("QuickDeployBucket", "quick")]);
        for mark in parameter::MARKS {
            parameters.insert(mark.to_owned(), mark.to_lowercase());
        }
        let account = Account { profile: Some("work".into()), ..account() };
        let none = BTreeMap::new();
        let flock = AwsFlockInfo::of_stack(&account, "old", "UPDATE_COMPLETE", &none, &parameters);
        let flock = flock.expect("a flock");
        assert_eq!((flock.name.as_str(), flock.origin), ("old@work/eu-west-1", Origin::Parameters));
        assert_eq!(
            (flock.queue.as_deref(), flock.job_queue.as_deref()),
            (Some("sqsname"), Some("queuename"))
        );
        assert_eq!((flock.quick_deploy.as_deref(), flock.keep_days), (Some("quick"), Some(30)));
        assert_eq!(flock.worker_logs.as_deref(), Some("/aws/batch/job"));
        parameters.remove("SQSName");
        assert_eq!(AwsFlockInfo::of_stack(&account, "web", "UPDATE_COMPLETE", &none, &parameters), None);
    }

    #[test]
    fn a_profile_names_what_it_names_and_a_cleared_value_is_not_named() {
        let values = map(&[("s3_bucket_to_upload_to", "in"), ("dynamo_db_to_query", ""), ("more", "x")]);
        let flock = AwsFlockInfo::from_profile(&account(), "mine", &values);
        assert_eq!((flock.name.as_str(), flock.origin), ("profile:mine", Origin::Profile));
        assert_eq!((flock.inputs.as_deref(), flock.table, flock.queue), (Some("in"), None, None));
    }

    #[test]
    fn a_canonical_name_comes_apart_as_it_was_put_together() {
        for (profile, name) in [(None, "s@r-1"), (Some("p"), "s@p/r-1"), (Some("a@b/c"), "s@a@b/c/r-1")] {
            let account = Account {
                profile: profile.map(str::to_owned),
                region: Some("r-1".into()),
                ..Account::default()
            };
            assert_eq!(canonical("s", &account), name);
            assert_eq!(parts(name), Some(("s", profile, "r-1")));
        }
        for other in ["demo", "profile:x@y", "@r", "s@", "s@/r", "s@p/"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
