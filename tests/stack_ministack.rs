//! A flock by command, from nothing to nothing, on MiniStack: stood up, used, changed, taken down.
//!
//! What MiniStack 1.5.33 cannot do is taken out of the template (`support::stack::REFUSED`): Batch, addresses, NAT
//! gateways, FSx. A job therefore gets as far as its row, which the scheduler writes before it submits.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod aws_support;
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use aws_support::{Ministack, lambda_zip, until};
use serde_json::{Value, json};
use support::{World, zip};

/// Its largest instance type has 4 GiB.
const RAM: &str = "DesiredRam=3000";

/// A program in a bucket of another region: the functions cannot be made of it.
const NO_PROGRAM: [&str; 4] = ["--param", "LambdaCodeBucket=code", "--param", "LambdaCodeKey=none.zip"];

struct Site {
    world: World,
    cloud: Ministack,
    template: PathBuf,
    lambda: PathBuf,
}

impl Site {
    fn new() -> Self {
        let (world, cloud) = (World::new(), Ministack::start());
        let template = world.path().join("template.json");
        std::fs::write(&template, support::stack::reduced()).unwrap();
        let lambda = lambda_zip(world.path());
        cloud.call("ec2", "create_key_pair", &json!({ "KeyName": "mine" }));
        Self { world, cloud, template, lambda }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.shepard(&[&["stack"], arguments].concat());
        self.cloud.aim(&mut command);
        command.env("SHEPARD_LAMBDA", &self.lambda);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Its JSON; it must succeed.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--output", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}\n{}", said(&output), self.cloud.log());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What it says when it fails, and its exit code.
    #[track_caller]
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded: {}", said(&output));
        (output.status.code().unwrap(), said(&output))
    }

    /// Arguments of `up` and `update` with the template that MiniStack takes.
    fn with<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let template = self.template.to_str().unwrap();
        [arguments, &["--template", template]].concat()
    }

    /// A bucket in another region than the stack: no function can be made from it.
    fn make_code_bucket(&self) {
        let place = json!({ "LocationConstraint": "eu-west-1" });
        let made = json!({ "Bucket": "code", "CreateBucketConfiguration": place });
        self.cloud.call("s3", "create_bucket", &made);
    }

    fn has_bucket(&self, name: &str) -> bool {
        self.cloud.try_call("s3", "head_bucket", &json!({ "Bucket": name })).is_ok()
    }

    fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(bytes);
        let put = json!({ "Bucket": bucket, "Key": key, "Body": { "$bytes": body } });
        self.cloud.call("s3", "put_object", &put);
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_flock_from_nothing_to_nothing() {
    let site = Site::new();
    // A plan shows what is wrong and sends nothing.
    let (code, why) = site.fails(&site.with(&["up", "sheep", "--dry-run"]));
    assert_eq!(code, 4, "{why}");
    assert!(why.contains("Ec2KeyPair") && why.contains("USD a month"), "{why}");
    assert_eq!(site.json(&["list"]), json!([]));

    // Up.
    site.make_code_bucket();
    let up = site.json(&site.with(&["up", "sheep", "--param", "Ec2KeyPair=mine", "--param", RAM, "--yes"]));
    assert_eq!((&up["ended"], &up["stack"]["status"]), (&json!(true), &json!("CREATE_COMPLETE")), "{up}");
    let outputs = &up["stack"]["outputs"];
    let output =
        |name: &str| outputs[name].as_str().unwrap_or_else(|| panic!("{name}: {outputs}")).to_owned();
    for name in shepard_model::stack::output::ALL {
        output(name);
    }
    let (code, why) =
        site.fails(&site.with(&["up", "sheep", "--param", "Ec2KeyPair=mine", "--param", RAM, "--yes"]));
    assert_eq!(code, 4);
    assert!(why.contains("there already"), "{why}");

    // Looked at.
    let listed = site.json(&["list"]);
    assert_eq!(listed[0]["name"], "sheep");
    let described = site.json(&["describe", "sheep"]);
    assert_eq!(described["parameters"]["Ec2KeyPair"], "mine");
    assert_eq!(described["tags"]["shepard"], "stack");
    let of_kind = |kind: &str| {
        let resources = described["resources"].as_array().unwrap().iter();
        resources.filter(|one| one["kind"] == kind).count()
    };
    assert!(of_kind("AWS::S3::Bucket") >= 4 && of_kind("AWS::Lambda::Function") == 3, "{described}");
    let told = site.json(&["events", "sheep", "--all"]);
    assert_eq!((&told["cause"], &told["ended"]), (&Value::Null, &json!(true)));
    assert_eq!(told["events"][0]["status"], "CREATE_IN_PROGRESS");
    assert!(told["resources"].as_array().unwrap().iter().all(|line| line["took_ms"].is_i64()), "{told}");

    // Used: an upload becomes a row.
    let (inputs, table) = (output("InputsBucketName"), output("JobTableName"));
    site.put(&inputs, "job.zip", &zip(&[("inputs.txt", r#"{"TAG":"wool"}"#)]));
    until(|| {
        let scan = json!({ "TableName": table, "ConsistentRead": true });
        site.cloud.call("dynamodb", "scan", &scan)["Items"].as_array().is_some_and(|rows| !rows.is_empty())
    });

    changes(&site);
    taken_down(&site, &inputs, &output("OutputsBucketName"), &table);
}

/// An update by a change set; one that changes nothing; one that would lose something; one that fails.
fn changes(site: &Site) {
    let memory = ["update", "sheep", "--param", "LambdaMemorySize=256"];
    let shown = site.json(&site.with(&[&memory[..], &["--dry-run"]].concat()));
    assert_eq!(shown["changed"], false);
    let changes = shown["proposal"]["changes"].as_array().unwrap();
    assert!(
        changes.iter().any(|one| one["logical"] == "ShepardSchedulerFunctionBatchingEndpoint"),
        "{shown}"
    );
    let sets = site.cloud.call("cloudformation", "list_change_sets", &json!({ "StackName": "sheep" }));
    assert_eq!(sets["Summaries"], json!([]), "nothing of a dry run stays");
    let done = site.json(&site.with(&[&memory[..], &["--yes"]].concat()));
    assert_eq!(done["stack"]["status"], "UPDATE_COMPLETE", "{done}");
    assert_eq!(done["stack"]["parameters"]["LambdaMemorySize"], "256");
    assert_eq!(done["stack"]["parameters"]["Ec2KeyPair"], "mine", "what was not given stays");
    let again = site.json(&site.with(&[&memory[..], &["--yes"]].concat()));
    assert_eq!(again["changed"], false, "{again}");

    // A bucket of another name is another bucket.
    let another = ["update", "sheep", "--param", "OutputsBucket=sheep-others", "--yes"];
    let (code, why) = site.fails(&site.with(&another));
    assert_eq!(code, 4, "{why}");
    assert!(why.contains("--allow-replacement") && why.contains("sheep-outputs"), "{why}");

    // The cause is on top: the functions' program is in another region.
    let (code, why) = site.fails(&site.with(&[&["update", "sheep", "--yes"], &NO_PROGRAM[..]].concat()));
    assert_eq!(code, 5, "{why}");
    assert!(why.lines().last().unwrap().contains("AWS::Lambda::Function"), "{why}");
    let told = site.json(&["events", "sheep"]);
    assert_eq!(told["cause"]["kind"], "AWS::Lambda::Function", "{told}");
    assert_eq!(told["status"], "UPDATE_ROLLBACK_COMPLETE");
    let text = site.run(&["events", "sheep"]);
    let lines = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(lines.starts_with("first cause: "), "it is on top: {lines}{}", said(&text));
}

fn taken_down(site: &Site, inputs: &str, outputs: &str, table: &str) {
    for n in 0..3 {
        site.put(outputs, "result.zip", &[n]);
    }
    site.cloud.call("s3", "delete_object", &json!({ "Bucket": outputs, "Key": "result.zip" }));
    let begun = json!({ "Bucket": outputs, "Key": "half" });
    site.cloud.call("s3", "create_multipart_upload", &begun);
    let owned = site.json(&["owned", "sheep"]);
    let thing = |name: &str| {
        owned["things"].as_array().unwrap().iter().find(|thing| thing["name"] == name).unwrap().clone()
    };
    let contents = &thing(outputs)["contents"];
    assert_eq!(
        (&contents["old_versions"], &contents["delete_markers"], &contents["unfinished_uploads"]),
        (&json!(3), &json!(1), &json!(1)),
        "{owned}"
    );
    assert_eq!(thing(outputs)["kept"], true);
    site.json(&["down", "sheep", "--dry-run"]);

    // The name has to be typed.
    assert_eq!(site.fails(&["down", "sheep"]).0, 4);
    assert_eq!(site.fails(&["down", "sheep", "--yes", "shep"]).0, 4);

    // Killed as soon as it has done something, and run again.
    let mut first = site.command(&["down", "sheep", "--yes", "sheep"]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(first.stderr.take().unwrap()).lines();
    let seen = lines.map_while(Result::ok).any(|line| line.contains("takes no more uploads"));
    assert!(seen, "it said that it drained");
    first.kill().unwrap();
    first.wait().unwrap();
    let down = site.json(&["down", "sheep", "--yes", "sheep"]);
    assert_eq!(down["ended"]["status"], "DELETE_COMPLETE", "{down}");
    let kept: Vec<&str> =
        down["kept"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(kept.contains(&inputs) && kept.contains(&outputs) && kept.contains(&table), "{down}");
    assert!(site.has_bucket(outputs), "what people keep in it stays");
    assert_eq!(site.json(&["list"]), json!([]));

    // What was kept goes when that is asked for, also after the stack.
    let rest = site.json(&["down", "sheep", "--yes", "sheep", "--delete-data"]);
    assert_eq!(rest["kept"], json!([]), "{rest}");
    assert!(!site.has_bucket(outputs) && !site.has_bucket(inputs));
    let tables = site.cloud.call("dynamodb", "list_tables", &json!({}));
    assert_eq!(tables["TableNames"], json!([]));

    let journal = String::from_utf8(site.world.shepard(&["journal"]).output().unwrap().stdout).unwrap();
    for line in
        ["stack up --yes sheep", "stack update --yes sheep", "stack down sheep --yes sheep --delete-data"]
    {
        assert!(journal.contains(line), "{line} is not in\n{journal}");
    }
}

#[test]
fn a_creation_that_fails_says_why_and_is_removed() {
    let site = Site::new();
    site.make_code_bucket();
    let up = ["up", "lamb", "--param", "Ec2KeyPair=mine", "--param", RAM, "--yes"];
    let up = [&up[..], &NO_PROGRAM[..]].concat();
    let (code, why) = site.fails(&site.with(&up));
    assert_eq!(code, 5, "{why}");
    let last = why.lines().last().unwrap();
    assert!(last.contains("AWS::Lambda::Function") && last.contains("ROLLBACK"), "{why}");
    assert!(!site.has_bucket("lamb-inputs-000000000000-us-east-1"), "what was made is rolled back");

    let (code, why) = site.fails(&site.with(&up));
    assert_eq!(code, 4);
    assert!(why.contains("shepard stack down lamb"), "{why}");
    site.json(&["down", "lamb", "--yes", "lamb"]);
    assert_eq!(site.json(&["list"]), json!([]));
    let (code, _) = site.fails(&["describe", "lamb"]);
    assert_eq!(code, 3);
}
