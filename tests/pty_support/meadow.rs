//! A flock on AWS, on MiniStack: its resources, a stack of nothing but outputs that names them, and two jobs.
#![allow(missing_docs)]

use serde_json::Value;
use shepard_cloud::aws::{self, AwsSettings, Profile};
use shepard_cloud::ports::{Applied, Buckets, Put};
use shepard_model::{Fence, Inputs, JobId, JobRow, ObjectRef, Outcome, Transition};

use super::World;
use super::ministack::Account;

pub const NAME: &str = "meadow@us-east-1";

/// What a stack of the template makes, as far as MiniStack has it, and a stack that names it.
const MAKE: &str = r#"
import json
s3, sqs, db, cf, logs = client("s3"), client("sqs"), client("dynamodb"), client("cloudformation"), client("logs")
for bucket in ["in", "out", "quick", "errors"]:
    s3.create_bucket(Bucket="meadow-" + bucket)
    s3.put_bucket_versioning(Bucket="meadow-" + bucket, VersioningConfiguration={"Status": "Enabled"})
def arn(url):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
dead = sqs.create_queue(QueueName="meadow-dead")["QueueUrl"]
policy = json.dumps({"deadLetterTargetArn": arn(dead), "maxReceiveCount": "5"})
queue = sqs.create_queue(QueueName="meadow-uploads", Attributes={"RedrivePolicy": policy})["QueueUrl"]
letter = {"Records": [{"s3": {"bucket": {"name": "meadow-in"}, "object": {"key": "lost/one.zip"}}}]}
sqs.send_message(QueueUrl=dead, MessageBody=json.dumps(letter))
db.create_table(TableName="meadow-table", BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": "UUID", "AttributeType": "S"}],
    KeySchema=[{"AttributeName": "UUID", "KeyType": "HASH"}])
s3.put_object(Bucket="meadow-out", Key="night/result@a_1_root.zip", Body=b"results")
s3.put_object(Bucket="meadow-out", Key="../outside", Body=b"x")
logs.create_log_group(logGroupName="meadow-logs")
outputs = {"ShepardTemplate": "1", "InputsBucketName": "meadow-in", "OutputsBucketName": "meadow-out",
    "QuickDeployBucketName": "meadow-quick", "ErrorsBucketName": "meadow-errors", "JobTableName": "meadow-table",
    "UploadsQueueUrl": queue, "DeadLetterQueueUrl": dead, "WorkerLogGroupName": "meadow-logs"}
template = {"Resources": {"Nothing": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
cf.create_stack(StackName="meadow", TemplateBody=json.dumps(template))
"#;

fn id(word: &str) -> JobId {
    JobId::parse(word).unwrap()
}

/// Rows as the flock's own functions and worker write them: one that waits, and one that failed and has a log.
fn write_rows(account: &Account) {
    let name = |what: &str| format!("meadow-{what}");
    let environment = account.environment();
    let file = environment.iter().find(|(name, _)| *name == "AWS_CONFIG_FILE").map(|(_, file)| file.into());
    let settings = AwsSettings {
        buckets: Buckets {
            inputs: name("in"),
            outputs: name("out"),
            quick_deploy: name("quick"),
            errors: name("errors"),
        },
        table: name("table"),
        queue: None,
        dead_letters: None,
        jobs: None,
        secrets: None,
        keep_days: 30,
        profile: Profile { file, ..Profile::default() },
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let table = aws::connect(settings).await.ports().table;
        let input = |key: &str| Some(ObjectRef::new("meadow-in", key));
        let inputs = || Inputs::from_json(r#"{"TAG": "night"}"#).unwrap();
        let waits = JobRow::arrived(id("aaaa1111"), input("waits.zip"), inputs(), 1_000, 30);
        assert_eq!(table.put_new(&waits).await.unwrap(), Put::Created);
        let failed = JobRow::arrived(id("bbbb2222"), input("failed.zip"), inputs(), 2_000, 30);
        table.put_new(&failed).await.unwrap();
        let fence = Fence { run: 1, attempt: 1, worker: "host:1".into() };
        let claimed = Transition::Claimed {
            fence: fence.clone(),
            log_stream: "meadow-logs:stream".into(),
            compute_id: None,
            batch: None,
            at_ms: 3_000,
            lease_until_ms: 9_000,
        };
        let ended = Transition::Finished {
            fence: Some(fence),
            outcome: Outcome::Failed,
            reason: Some("the payload exited with 3".into()),
            exit_code: Some(3),
            results: vec![ObjectRef::new("meadow-out", "night/result@a_1_root.zip")],
            at_ms: 4_000,
        };
        for change in [claimed, ended] {
            let applied = table.apply(&failed.id, &change).await.unwrap();
            assert!(matches!(applied, Applied::Changed(_)), "{applied:?}");
        }
    });
    account.python(
        r#"
import time
logs = client("logs")
logs.create_log_stream(logGroupName="meadow-logs", logStreamName="stream")
now = int(time.time() * 1000)
logs.put_log_events(logGroupName="meadow-logs", logStreamName="stream",
    logEvents=[{"timestamp": now, "message": "reading the sheep"}, {"timestamp": now, "message": "no rows at all"}])
"#,
    );
}

/// The flock, and a world to look at it from.
pub struct Meadow {
    pub world: World,
    pub account: Account,
}

impl Meadow {
    pub fn new() -> Self {
        let meadow = Self { world: World::new(), account: Account::start() };
        meadow.account.python(MAKE);
        write_rows(&meadow.account);
        meadow
    }

    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.world.run_with(arguments, &self.account.environment());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, said) = self.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(code, 0, "{arguments:?}: {said}");
        serde_json::from_str(&out).unwrap()
    }
}
