//! A flock on AWS that is there already, on MiniStack: found by its stack, looked at and worked on by subcommands and by
//! keys. The resources are the test's own; a stack of nothing but outputs names them, as the template's does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pty_support;

use pty_support::World;
use pty_support::ministack::{Account, REGION};
use serde_json::Value;
use shepard_cloud::aws::{self, AwsSettings, Profile};
use shepard_cloud::ports::{Applied, Buckets, Put};
use shepard_model::{Fence, Inputs, JobId, JobRow, ObjectRef, Outcome, Transition};

const NAME: &str = "meadow@us-east-1";

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
        ..settings_of_nothing()
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

fn settings_of_nothing() -> AwsSettings {
    AwsSettings::of(&shepard_model::AwsFlockInfo::from_profile(
        &shepard_model::Account::default(),
        "none",
        &std::collections::BTreeMap::new(),
    ))
}

struct Meadow {
    world: World,
    account: Account,
}

impl Meadow {
    fn new() -> Self {
        let meadow = Self { world: World::new(), account: Account::start() };
        meadow.account.python(MAKE);
        write_rows(&meadow.account);
        meadow
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.world.run_with(arguments, &self.account.environment());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, said) = self.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(code, 0, "{arguments:?}: {said}");
        serde_json::from_str(&out).unwrap()
    }
}

#[test]
fn a_flock_on_aws_is_worked_on_by_the_same_subcommands_as_one_of_this_machine() {
    let meadow = Meadow::new();
    // By its whole name, and by its stack's name where only one has it.
    for name in [NAME, "meadow"] {
        let jobs = meadow.json(&["query", "--flock", name]);
        let mut states: Vec<_> =
            jobs.as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
        states.sort_unstable();
        assert_eq!(states, ["failed", "queued"]);
    }
    let (code, log, said) = meadow.run(&["logs", "--flock", NAME, "bbbb"]);
    assert_eq!((code, log.as_str()), (0, "reading the sheep\nno rows at all\n"), "{said}");

    // Results: what leads out of the folder is refused, the rest comes, and a second time nothing does.
    let to = meadow.world.work().join("results");
    let to = to.to_str().unwrap();
    let retrieve = ["retrieve", "--flock", NAME, "--to", to];
    let (code, out, said) = meadow.run(&retrieve);
    assert_eq!(code, 1, "{out} {said}");
    assert!(said.contains("not fetched: ../outside") && said.contains("1 fetched"), "{said}");
    let file = meadow.world.work().join("results/night/result@a_1_root.zip");
    assert_eq!(std::fs::read(&file).unwrap(), b"results");
    let (_, _, said) = meadow.run(&retrieve);
    assert!(said.contains("0 fetched") && said.contains("1 there already"), "{said}");

    // A folder goes straight into the bucket, and is a zip there.
    meadow.world.job("barley", r#"{"TAG": "t"}"#);
    let batched = meadow.json(&["batch", "--flock", NAME, "--path", "barley"]);
    let key = batched["jobs"][0]["input"].as_str().unwrap();
    let read = format!(
        "import io, zipfile\nbody = client('s3').get_object(Bucket='meadow-in', Key={key:?})['Body'].read()\n\
         print(zipfile.ZipFile(io.BytesIO(body)).read('inputs.txt').decode(), end='')"
    );
    assert_eq!(meadow.account.python(&read), r#"{"TAG": "t"}"#);

    // Dead letters: seen, and moved back only by whoever says so.
    let dead = meadow.json(&["dlq", "list", "--flock", NAME]);
    assert_eq!(
        (dead["dead"].as_u64(), dead["uploads"][0].as_str()),
        (Some(1), Some("meadow-in/lost/one.zip"))
    );
    assert_eq!(meadow.run(&["dlq", "redrive", "--flock", NAME]).0, 4);
    assert_eq!(meadow.json(&["dlq", "redrive", "--flock", NAME, "--yes"])["moved"], 1);

    // Quick deploy.
    meadow.world.payload("payload", "true\n");
    let deployed = meadow.json(&["quick-deploy", "--flock", NAME, "payload"]);
    assert_eq!((deployed["folder"].as_str(), deployed["files"].as_u64()), (Some("payload"), Some(1)));
    let there = "print(client('s3').list_objects_v2(Bucket='meadow-quick')['Contents'][0]['Key'], end='')";
    assert_eq!(meadow.account.python(there), "payload/run.sh");

    // A job that waits is cancelled; what a flock on AWS does not have is said.
    assert_eq!(meadow.json(&["terminate", "--flock", NAME, "aaaa"])["jobs"][0]["accepted"], true);
    let (code, _, said) = meadow.run(&["local", "start", NAME]);
    assert!(code == 4 && said.contains("is a flock on AWS"), "{code} {said}");
    let (code, _, said) = meadow.run(&["batch-api", "--flock", NAME, "{}"]);
    assert!(code == 4 && said.contains("EndpointFunctionName"), "{code} {said}");
    let (code, _, said) = meadow.run(&["query", "--flock", "nobody@us-east-1"]);
    assert!(code == 3 && said.contains("meadow@us-east-1"), "{code} {said}");
}

#[test]
fn the_console_lists_the_flock_opens_its_jobs_and_shows_a_log() {
    let meadow = Meadow::new();
    let environment = meadow.account.environment();
    let more: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut term = meadow.world.console_with(&[], &more, (160, 30));
    term.see("meadow@us-east-1").see("ready").see(REGION);
    // Its table is read when it is opened, and not before.
    term.see("—");
    term.press("<enter>").see("waits.zip").see("failed.zip").see("poll ");
    term.press("/failed<enter>").gone("waits.zip");
    term.press("<enter>").see("the payload exited with 3");
    term.press("<enter>").see("no rows at all");
    term.press(":flocks<enter>").see("meadow@us-east-1").see("ready");
    term.press("z").see("no supervisor");
    term.press("q").see("Quit Shepard?");
    term.press("y").restored();
    assert_eq!(term.ended(), 0);
}
