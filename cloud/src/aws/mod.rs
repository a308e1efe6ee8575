//! A flock on AWS: the only importer of its SDK.
//!
//! | module | holds |
//! |---|---|
//! | `connect`, `paced` | region, credentials, endpoints, timeouts, retries; how fast |
//! | `credentials`, `chain` | whose credentials: a profile's chain of roles, an MFA session, the role of `set-role` |
//! | `session`, [`set_role`] | sessions that are kept in files: the AWS CLI's, and that of `set-role` |
//! | [`renew`] | what a renewal of a session takes, and doing it |
//! | [`identity`], [`profiles`] | who one is; the profiles and regions there are |
//! | [`objects`], `upload`, `download`, `writer` | S3; a file as an object and back; an object piece by piece |
//! | [`queue`] | SQS |
//! | [`table`], `item`, `value` | DynamoDB; a row and its variables as an item |
//! | `follow`, `feed`, `streams` | what changed in the table: read whole, remembered, its stream |
//! | [`compute`], `known` | Batch; what it says of a job |
//! | [`secrets`] | Secrets Manager |
//! | `invoke` | Lambda |
//! | `logs` | CloudWatch Logs |
//! | [`registry`] | ECR's logins and tags |
//! | [`stacks`] | CloudFormation |
//! | [`survey`], [`holdings`], [`artefacts`] | what an account has; what a stack holds; what a stack is made from |
//! | [`notice`] | Spot's notices, off the instance's metadata |
//! | `error` | the services' errors as [`crate::CloudError`] |
//!
//! Nothing here decides anything, and nothing is created: buckets, queues, tables and job definitions are the stack's.
//! Logs are read by the console alone (feature `account`); the programs that a flock runs are given [`Absent`] for them.

#[cfg(feature = "account")]
pub mod artefacts;
#[cfg(feature = "account")]
mod chain;
pub mod compute;
mod connect;
#[cfg(feature = "account")]
mod credentials;
mod download;
mod error;
mod feed;
mod follow;
#[cfg(feature = "account")]
pub mod holdings;
#[cfg(feature = "account")]
pub mod identity;
#[cfg(feature = "account")]
pub mod invoke;
mod item;
mod known;
#[cfg(feature = "account")]
pub mod logs;
pub mod notice;
pub mod objects;
#[cfg(feature = "account")]
mod paced;
#[cfg(feature = "account")]
pub mod profiles;
pub mod queue;
pub mod registry;
#[cfg(feature = "account")]
pub mod renew;
pub mod secrets;
#[cfg(feature = "account")]
mod session;
#[cfg(feature = "account")]
pub mod set_role;
#[cfg(feature = "account")]
pub mod stacks;
#[cfg(feature = "account")]
mod streams;
#[cfg(feature = "account")]
pub mod survey;
pub mod table;
mod upload;
mod value;
mod writer;

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use aws_config::SdkConfig;

pub use connect::{AssumeRole, Profile, may_be_logged};

use shepard_model::AwsFlockInfo;

use crate::absent::Absent;
use crate::ports::{Buckets, Clock, Compute, Logs, Ports, Queue, Secrets, WallClock};

/// What a program has to be told of a flock on AWS. The rest comes from the SDK's own settings: region, credentials,
/// endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// Names of its buckets.
    pub buckets: Buckets,
    /// Name of its job table.
    pub table: String,
    /// URL of its queue, or its ARN, for which the URL is asked when it is first needed. None gives a queue that
    /// refuses everything.
    pub queue: Option<String>,
    /// URL of the queue's dead-letter queue, where that is known; else the queue's own policy names it.
    pub dead_letters: Option<String>,
    /// Where its jobs run. None gives a compute that refuses everything.
    pub jobs: Option<Jobs>,
    /// Name or ARN of the secret that holds its secrets (`SECRET_STORE`). None gives secrets that refuse everything.
    pub secrets: Option<String>,
    /// Days for which the row of a job that has ended is kept (`SHEPARD_EXPIRES`); and the days that an old
    /// scheduler's rows were given, by which their age is told.
    pub keep_days: u32,
    /// Which of the user's configurations to use; the default is the SDK's.
    pub profile: Profile,
}

impl AwsSettings {
    /// Of what is known of a flock. A bucket or table that is not known has an empty name, which every service refuses.
    pub fn of(info: &AwsFlockInfo) -> Self {
        let name = |known: &Option<String>| known.clone().unwrap_or_default();
        let jobs = info.job_queue.clone().zip(info.job_definition.clone());
        Self {
            buckets: Buckets {
                inputs: name(&info.inputs),
                outputs: name(&info.outputs),
                quick_deploy: name(&info.quick_deploy),
                errors: name(&info.errors),
            },
            table: name(&info.table),
            queue: info.queue.clone(),
            dead_letters: info.dead_letters.clone(),
            jobs: jobs.map(|(queue, definition)| Jobs { queue, definition }),
            secrets: info.secret.clone(),
            keep_days: info.keep_days.unwrap_or(KEEP_DAYS),
            profile: Profile::of(&info.account),
        }
    }
}

/// Days for which a row is kept where nobody says: the original template's default.
const KEEP_DAYS: u32 = 30;

/// A job queue of AWS Batch and what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jobs {
    /// Name or ARN of the job queue.
    pub queue: String,
    /// Name or ARN of the job definition, with or without a revision; taken as it is.
    pub definition: String,
}

/// A flock on AWS. Clones share its connections.
#[derive(Clone)]
pub struct AwsFlock {
    ports: Ports,
}

/// Reads the SDK's configuration and makes the adapters. Asks nothing of AWS: a fault shows at the first request.
/// (Only where no region is set anywhere does the SDK ask the machine's own metadata for it.)
pub async fn connect(settings: AwsSettings) -> AwsFlock {
    let config = connect::load(&settings.profile).await;
    AwsFlock::new(&config, settings)
}

/// The region that holds for a profile; None where nothing says one. Where neither the environment nor the files do, the
/// machine's own metadata is asked for it.
pub async fn region_of(profile: &Profile) -> Option<String> {
    connect::load(profile).await.region().map(|region| region.as_ref().to_owned())
}

/// The secrets of a flock of which nothing else is known than the name or ARN of its secret. Asks nothing of AWS.
pub async fn secrets_of(store: String, profile: &Profile) -> secrets::ManagedSecrets {
    managed(&connect::load(profile).await, store)
}

/// The stacks of an account and region. Asks nothing of AWS.
#[cfg(feature = "account")]
pub async fn stacks_of(profile: &Profile) -> stacks::CloudFormation {
    stacks::CloudFormation::new(aws_sdk_cloudformation::Client::new(&connect::load(profile).await))
}

/// What stands a flock up and takes it down, for one account and region.
#[cfg(feature = "account")]
#[derive(Clone)]
pub struct Site {
    /// Its stacks.
    pub stacks: Arc<dyn crate::stacks::Stacks>,
    /// What it has.
    pub survey: Arc<dyn crate::survey::Surveyor>,
    /// What its stacks hold.
    pub holdings: Arc<dyn crate::holdings::Holdings>,
    /// What its stacks are made from.
    pub artefacts: Arc<dyn crate::artefacts::Artefacts>,
}

#[cfg(feature = "account")]
impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").finish_non_exhaustive()
    }
}

/// The adapters for an account and region. Asks nothing of AWS.
#[cfg(feature = "account")]
pub async fn site_of(profile: &Profile) -> Site {
    let config = connect::load(profile).await;
    Site {
        stacks: Arc::new(stacks::CloudFormation::new(aws_sdk_cloudformation::Client::new(&config))),
        survey: Arc::new(survey::Account::new(&config)),
        holdings: Arc::new(holdings::AwsHoldings::new(&config)),
        artefacts: Arc::new(artefacts::S3Artefacts::new(&config)),
    }
}

/// A function by its name or ARN, such as a flock's endpoint. Asks nothing of AWS.
#[cfg(feature = "account")]
pub async fn function(name: String, profile: &Profile) -> invoke::LambdaFunction {
    invoke::LambdaFunction::new(aws_sdk_lambda::Client::new(&connect::load(profile).await), name)
}

fn managed(config: &SdkConfig, store: String) -> secrets::ManagedSecrets {
    secrets::ManagedSecrets::new(aws_sdk_secretsmanager::Client::new(config), store)
}

impl AwsFlock {
    fn new(config: &SdkConfig, settings: AwsSettings) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(WallClock);
        let tables = aws_sdk_dynamodb::Client::new(config);
        #[cfg(feature = "account")]
        let stream: Option<Box<dyn follow::Source>> = Some(Box::new(streams::Streams::new(
            aws_sdk_dynamodbstreams::Client::new(config),
            tables.clone(),
            settings.table.clone(),
        )));
        // The programs that a flock runs follow nothing.
        #[cfg(not(feature = "account"))]
        let stream = None;
        let (name, keep_days) = (settings.table, settings.keep_days);
        let table = table::DynamoTable::new(tables, name, keep_days, Arc::clone(&clock), stream);
        let queue: Arc<dyn Queue> = match settings.queue {
            Some(queue) => {
                Arc::new(queue::SqsQueue::new(aws_sdk_sqs::Client::new(config), queue, settings.dead_letters))
            }
            None => Arc::new(Absent),
        };
        let compute: Arc<dyn Compute> = match settings.jobs {
            Some(Jobs { queue, definition }) => {
                let (client, once) = (aws_sdk_batch::Client::new(config), connect::batch_once(config));
                Arc::new(compute::BatchCompute::new(client, once, queue, definition))
            }
            None => Arc::new(Absent),
        };
        let secrets: Arc<dyn Secrets> = match settings.secrets {
            Some(store) => Arc::new(managed(config, store)),
            None => Arc::new(Absent),
        };
        #[cfg(feature = "account")]
        let logs: Arc<dyn Logs> =
            Arc::new(logs::CloudWatchLogs::new(aws_sdk_cloudwatchlogs::Client::new(config)));
        #[cfg(not(feature = "account"))]
        let logs: Arc<dyn Logs> = Arc::new(Absent);
        let ports = Ports {
            buckets: settings.buckets,
            objects: Arc::new(objects::S3Objects::new(connect::s3(config), Arc::clone(&clock))),
            table: Arc::new(table),
            queue,
            compute,
            logs,
            secrets,
            clock,
        };
        Self { ports }
    }

    /// Its ports, as the scheduler, the worker and the console take them.
    pub fn ports(&self) -> Ports {
        self.ports.clone()
    }
}

impl fmt::Debug for AwsFlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsFlock").field("ports", &self.ports).finish()
    }
}

/// Sixteen digits that no other write has. By them a writer whose answer was lost knows its own work again.
fn mark() -> String {
    // The standard library draws its hash keys from the system's randomness; one process draws fresh ones each time.
    let drawn = std::hash::RandomState::new().build_hasher().finish();
    format!("{drawn:016x}")
}
