//! A flock on an emulator: bucket, queue and its dead letters, table, Batch's queue and job definition, and the
//! environment that tells the program of them.

use serde_json::{Value, json};

use super::emulator::{Boto, Emulator};

/// A word that no log, no error and no job may hold: tests put it into the users' variables.
pub const CANARY: &str = "canary-3f1c9a57";

/// Where a flock's parts are.
pub struct Flock {
    pub emulator: Emulator,
    pub boto: Boto,
    pub bucket: String,
    pub table: String,
    pub queue_url: String,
    pub queue_arn: String,
    pub dead_url: String,
    pub job_queue: String,
    pub job_definition: String,
}

impl Flock {
    /// Sets a flock up, as the template does: versions on, dead letters after five deliveries.
    pub fn new(emulator: Emulator) -> Self {
        let boto = emulator.boto();
        let bucket = "shepard-trigger".to_owned();
        boto.call("s3", "create_bucket", &json!({ "Bucket": bucket }));
        let versions = json!({ "Bucket": bucket, "VersioningConfiguration": { "Status": "Enabled" } });
        boto.call("s3", "put_bucket_versioning", &versions);

        let queue = |name: &str, attributes: Value| {
            let made =
                boto.call("sqs", "create_queue", &json!({ "QueueName": name, "Attributes": attributes }));
            let url = text(&made["QueueUrl"]);
            let asked = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
            let arn = text(&boto.call("sqs", "get_queue_attributes", &asked)["Attributes"]["QueueArn"]);
            (url, arn)
        };
        let (dead_url, dead_arn) = queue("shepard-dead", json!({}));
        let redrive = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": "5" }).to_string();
        let (queue_url, queue_arn) =
            queue("shepard-sqs-queue", json!({ "VisibilityTimeout": "30", "RedrivePolicy": redrive }));

        let table = "shepard-table".to_owned();
        let made = json!({
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "UUID", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "UUID", "KeyType": "HASH" }],
        });
        boto.call("dynamodb", "create_table", &made);

        let role = json!({ "RoleName": "shepard", "AssumeRolePolicyDocument": "{}" });
        let role = text(&boto.call("iam", "create_role", &role)["Role"]["Arn"]);
        let compute = json!({
            "computeEnvironmentName": "shepard-compute", "type": "UNMANAGED", "state": "ENABLED", "serviceRole": role,
        });
        let compute =
            text(&boto.call("batch", "create_compute_environment", &compute)["computeEnvironmentArn"]);
        let made = json!({
            "jobQueueName": "shepard-job-queue", "state": "ENABLED", "priority": 1000,
            "computeEnvironmentOrder": [{ "order": 1, "computeEnvironment": compute }],
        });
        let job_queue = text(&boto.call("batch", "create_job_queue", &made)["jobQueueArn"]);
        let definition = json!({
            "jobDefinitionName": "shepard-job-definition", "type": "container",
            "containerProperties": { "image": "shepard:latest", "memory": 500, "vcpus": 1 },
        });
        let job_definition =
            text(&boto.call("batch", "register_job_definition", &definition)["jobDefinitionArn"]);
        Self { emulator, boto, bucket, table, queue_url, queue_arn, dead_url, job_queue, job_definition }
    }

    /// What an old stack gives its functions, and nothing of ours.
    pub fn old_environment(&self) -> Vec<(String, String)> {
        let pairs = [
            ("dynamodb_table_name", self.table.as_str()),
            ("job_queue_name", &self.job_queue),
            ("job_definition_arn", &self.job_definition),
            ("project_name", "shepard-project"),
            ("days_to_keep_failed_launch_indexes", "30"),
            ("reserved_keywords", "['UUID', 'START_TIME']"),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// What our template gives them.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.old_environment();
        for (name, value) in [
            ("inputs_bucket", self.bucket.as_str()),
            ("SHEPARD_ARRAYS", "True"),
            ("SHEPARD_PARTIAL_FAILURES", "True"),
            ("SHEPARD_QUEUE_URL", &self.queue_url),
        ] {
            environment.push((name.to_owned(), value.to_owned()));
        }
        environment
    }

    /// The environment of one of the three, run by the test and not by the emulator.
    pub fn environment_of(&self, handler: &str) -> Vec<(String, String)> {
        let mut environment = self.environment();
        environment.push(("_HANDLER".to_owned(), handler.to_owned()));
        environment.push(("AWS_ENDPOINT_URL".to_owned(), self.emulator.url()));
        environment
    }

    /// Uploads an object; gives its version.
    pub fn put(&self, key: &str, bytes: &[u8]) -> String {
        let put = json!({ "Bucket": self.bucket, "Key": key, "Body": { "$bytes": base64(bytes) } });
        text(&self.boto.call("s3", "put_object", &put)["VersionId"])
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        let found = self.boto.call("s3", "get_object", &json!({ "Bucket": self.bucket, "Key": key }));
        let encoded = text(&found["Body"]["$bytes"]);
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).expect("base64")
    }

    /// Every row, by its UUID.
    pub fn rows(&self) -> Vec<Value> {
        let found =
            self.boto.pages("dynamodb", "scan", &json!({ "TableName": self.table, "ConsistentRead": true }));
        found["Items"].as_array().cloned().unwrap_or_default()
    }

    /// Every job that Batch took, as the emulator describes it.
    pub fn jobs(&self) -> Vec<Value> {
        let mut jobs = Vec::new();
        for state in ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"] {
            let asked = json!({ "jobQueue": self.job_queue, "jobStatus": state });
            let found = self.boto.call("batch", "list_jobs", &asked);
            jobs.extend(found["jobSummaryList"].as_array().cloned().unwrap_or_default());
        }
        jobs
    }

    /// Messages visible, in flight or delayed, and dead.
    pub fn depth(&self) -> (u64, u64) {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let count = |url: &str| {
            let found = self.boto.call(
                "sqs",
                "get_queue_attributes",
                &json!({ "QueueUrl": url, "AttributeNames": names }),
            );
            names.iter().filter_map(|name| found["Attributes"][*name].as_str()?.parse::<u64>().ok()).sum()
        };
        (count(&self.queue_url), count(&self.dead_url))
    }

    /// Takes up to ten messages off the queue, as the mapping does: the event it would hand over, or None.
    pub fn event(&self) -> Option<Value> {
        let asked =
            json!({ "QueueUrl": self.queue_url, "MaxNumberOfMessages": 10, "AttributeNames": ["All"] });
        let found = self.boto.call("sqs", "receive_message", &asked);
        let records: Vec<Value> = found["Messages"]
            .as_array()?
            .iter()
            .map(|message| {
                json!({
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": self.queue_arn,
                    "awsRegion": super::REGION,
                })
            })
            .collect();
        (!records.is_empty()).then(|| json!({ "Records": records }))
    }

    /// What the mapping does with an answer: deletes the messages that it does not name.
    pub fn settle(&self, event: &Value, answer: &Value) {
        let left: Vec<&Value> = answer["batchItemFailures"]
            .as_array()
            .expect("failures")
            .iter()
            .map(|left| &left["itemIdentifier"])
            .collect();
        for record in event["Records"].as_array().expect("records") {
            if !left.contains(&&record["messageId"]) {
                let receipt = json!({ "QueueUrl": self.queue_url, "ReceiptHandle": record["receiptHandle"] });
                self.boto.call("sqs", "delete_message", &receipt);
            }
        }
    }

    /// Puts S3's notification of an upload into the queue, as S3 writes it.
    pub fn notify(&self, key: &str, version: &str) {
        self.send(&notification(&self.bucket, key, Some(version)));
    }

    pub fn send(&self, body: &Value) {
        let body = match body {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.boto.call("sqs", "send_message", &json!({ "QueueUrl": self.queue_url, "MessageBody": body }));
    }
}

/// The body that S3 sends of an upload. The key is percent-encoded as S3 does it.
pub fn notification(bucket: &str, key: &str, version: Option<&str>) -> Value {
    let encoded: String = key
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' | b'/' => {
                char::from(byte).to_string()
            }
            b' ' => "+".to_owned(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let mut object = json!({ "key": encoded, "eTag": "0123456789abcdef0123456789abcdef", "sequencer": "0055AED6DCD90281E5" });
    if let Some(version) = version {
        object["versionId"] = json!(version);
    }
    json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": super::REGION,
        "eventTime": "2026-11-21T06:25:48.370Z", "eventName": "ObjectCreated:Put",
        "responseElements": { "x-amz-request-id": "C3D13FE58DE4C810" },
        "s3": { "s3SchemaVersion": "1.0", "bucket": { "name": bucket, "arn": format!("arn:aws:s3:::{bucket}") }, "object": object },
    }] })
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

pub fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}
