//! The built binary on flocks of its own: every subcommand, every JSON shape of docs/json.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli_support;

use std::fs;
use std::path::{Path, PathBuf};

use cli_support::{World, fails, json, ok, run, text, until, zip};
use serde_json::Value;

/// A payload of two lines on either stream, a result, and an exit code that the job chooses.
const PAYLOAD: &str = "echo \"hello from $NAME\"\necho 'a warning' >&2\necho \"$N\" > \"$ROOT_OUTPUT_NAME/n.txt\"\n\
                       exit \"${CODE:-0}\"\n";

fn world() -> World {
    let world = World::new();
    let payload = world.path().join("payload");
    fs::create_dir_all(&payload).unwrap();
    fs::write(payload.join("run.sh"), PAYLOAD).unwrap();
    ok(&world, &["local", "create", "f", "--quick-deploy", payload.to_str().unwrap(), "--max-jobs", "2"]);
    world
}

fn job(world: &World, name: &str, inputs: &str) -> PathBuf {
    let dir = world.path().join("jobs").join(name);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("inputs.txt"), inputs).unwrap();
    dir
}

fn batch_and_wait(world: &World, path: &Path) -> (i32, Value) {
    let path = path.to_str().unwrap();
    let output = run(world, &["batch", "--flock", "f", "--path", path, "--wait", "--output", "json"]);
    let shown = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), shown)
}

#[test]
fn a_folder_of_folders_is_batched_and_each_job_says_how_it_ended() {
    let world = world();
    job(&world, "good", r#"{"NAME": "good", "N": 1.50, "TAG": "t/g"}"#);
    job(&world, "bad", r#"{"NAME": "bad", "CODE": 7}"#);
    job(&world, "wrong", r#"{"uuid": "x"}"#);
    let (code, shown) = batch_and_wait(&world, &world.path().join("jobs"));
    assert_eq!(code, 1);
    let jobs = shown["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 3);
    let (bad, good, wrong) = (&jobs[0], &jobs[1], &jobs[2]);
    assert_eq!(good["outcome"], "succeeded", "{good}");
    assert_eq!(good["reason"], Value::Null);
    assert!(good["input"].as_str().unwrap().ends_with(".zip"));
    let result = Path::new(good["results"][0].as_str().unwrap());
    assert!(result.is_file(), "{result:?}");
    assert!(result.to_str().unwrap().contains("/outputs/t/g_result@"), "{result:?}");
    assert_eq!(bad["outcome"], "failed");
    assert!(bad["reason"].as_str().unwrap().contains('7'), "{bad}");
    assert_eq!(wrong["outcome"], "rejected");
    assert_eq!(wrong["id"], Value::Null);
    assert!(wrong["reason"].as_str().unwrap().contains("reserved keyword"));
    let (code, shown) = batch_and_wait(&world, &world.path().join("jobs/good"));
    assert_eq!((code, shown["jobs"].as_array().unwrap().len()), (0, 1));
}

#[test]
fn rows_are_printed_with_their_own_names_and_the_digits_as_written() {
    let world = world();
    let inputs = r#"{"NAME": "x", "N": 1.50, "big": 12345678901234567890123456789, "input": "mine"}"#;
    let (_, shown) = batch_and_wait(&world, &job(&world, "x", inputs));
    let id = shown["jobs"][0]["id"].as_str().unwrap().to_owned();
    let raw = text(&ok(&world, &["query", "--flock", "f", "--output", "json"]));
    assert!(raw.contains(r#""N":1.50,"#) && raw.contains("12345678901234567890123456789"), "{raw}");
    let rows: Value = serde_json::from_str(&raw).unwrap();
    let row = &rows.as_array().unwrap()[0];
    assert_eq!(row["UUID"], id.as_str());
    assert!(row["JOB_STATUS"].as_str().unwrap().starts_with("<done> "));
    assert!(row["START_TIME"].is_i64() && row["END_TIME"].is_i64());
    assert_eq!((&row["outcome"], &row["attempts"]), (&"succeeded".into(), &1.into()));
    assert_eq!(row["input"], shown["jobs"][0]["input"]);
    assert_eq!(row["variables"]["input"], "mine");
    for time in ["created", "started", "ended"] {
        assert!(row[time].as_i64().unwrap() > 1_600_000_000_000, "{time} is in milliseconds");
    }
    let count = |arguments: &[&str]| {
        let all = [&["query", "--flock", "f"][..], arguments].concat();
        json(&world, &all).as_array().unwrap().len()
    };
    assert_eq!(count(&["--state", "succeeded"]), 1);
    assert_eq!(count(&["--state", "failed"]), 0);
    assert_eq!(count(&["--filter", "N=1.50"]), 1);
    assert_eq!(count(&["--filter", "N!=1.50"]), 0);
    assert_eq!(count(&[&id[..6]]), 1);
    assert_eq!(fails(&world, &["query", "--flock", "f", "zzz"]), 3);
}

#[test]
fn a_tag_reaches_the_result_and_a_zip_put_in_by_hand_is_a_job() {
    let world = world();
    let dir = job(&world, "x", r#"{"NAME": "x", "tag": "old", "N": 0.10}"#);
    let path = dir.to_str().unwrap();
    let shown = json(&world, &["batch", "--flock", "f", "--path", path, "--tag", "new", "--wait"]);
    let result = shown["jobs"][0]["results"][0].as_str().unwrap();
    assert!(result.contains("/outputs/new_result@"), "{result}");
    let listed = json(&world, &["local", "list"]);
    let inputs = Path::new(listed[0]["buckets"]["inputs"].as_str().unwrap());
    fs::write(inputs.join("by hand ä.zip"), zip(&[("inputs.txt", r#"{"NAME": "hand"}"#)])).unwrap();
    fs::write(inputs.join("broken.zip"), "not a zip").unwrap();
    ok(&world, &["local", "start", "f"]);
    until(|| {
        let rows = json(&world, &["query", "--flock", "f"]);
        let state = |key: &str| {
            let row = rows.as_array().unwrap().iter().find(|row| row["input"] == key)?.clone();
            Some(row["state"].as_str().unwrap().to_owned())
        };
        state("by hand ä.zip").as_deref() == Some("succeeded")
            && state("broken.zip").as_deref() == Some("rejected")
    });
}

#[test]
fn logs_come_from_the_jobs_own_attempt_to_their_end() {
    let world = world();
    let (_, shown) = batch_and_wait(&world, &job(&world, "x", r#"{"NAME": "ä"}"#));
    let id = shown["jobs"][0]["id"].as_str().unwrap();
    for more in [&[][..], &["--follow"][..]] {
        let all = [&["logs", "--flock", "f", id][..], more].concat();
        let log = text(&ok(&world, &all));
        assert!(log.contains("hello from ä\n") && log.contains("a warning\n"), "{log}");
    }
    let lines = text(&ok(&world, &["logs", "--flock", "f", id, "--output", "json"]));
    let hello: Value = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Value| line["source"] == "stdout")
        .unwrap();
    assert_eq!(hello["text"], "hello from ä");
    assert!(hello["at"].as_i64().unwrap() > 1_600_000_000_000);
    let stamped = text(&ok(&world, &["logs", "--flock", "f", id, "--timestamps", "--tail", "1"]));
    assert_eq!(stamped.lines().count(), 1);
    assert!(stamped.starts_with("20"), "{stamped}");
    assert_eq!(fails(&world, &["logs", "--flock", "f", "zzz"]), 3);
}

#[test]
fn results_are_fetched_once_and_again_only_when_they_differ() {
    let world = world();
    let (_, shown) = batch_and_wait(&world, &job(&world, "x", r#"{"NAME": "x", "TAG": "deep/er"}"#));
    let id = shown["jobs"][0]["id"].as_str().unwrap();
    let to = world.path().join("here");
    let arguments = ["retrieve", "--flock", "f", "--to", to.to_str().unwrap()];
    let fates = || {
        let files = json(&world, &arguments)["files"].clone();
        files
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["fate"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(fates(), ["fetched"]);
    assert_eq!(fates(), ["current"]);
    let file = fs::read_dir(to.join("deep")).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, "damaged").unwrap();
    assert_eq!(fates(), ["fetched"]);
    let names: Vec<_> = fs::read_dir(to.join("deep")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names, [file], "nothing is left beside it");
    let one = json(&world, &[&arguments[..], &["--job", &id[..8]]].concat());
    assert_eq!(one["files"].as_array().unwrap().len(), 1);
}

#[test]
fn a_running_job_is_terminated_and_runs_again_when_it_is_retried() {
    let world = World::new();
    let command = "sh -c 'echo began; test -e \"$GATE\" || sleep 600'";
    ok(&world, &["local", "create", "f", "--command", command]);
    let gate = world.path().join("gate");
    let dir = job(&world, "x", &format!(r#"{{"GATE": "{}"}}"#, gate.display()));
    let shown = json(&world, &["batch", "--flock", "f", "--path", dir.to_str().unwrap()]);
    assert_eq!(shown["jobs"][0]["outcome"], Value::Null);
    let id = shown["jobs"][0]["id"].as_str().unwrap();
    let state = || {
        let rows = json(&world, &["query", "--flock", "f"]);
        rows.get(0).map(|row| row["state"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    until(|| state() == "running");
    assert_eq!(fails(&world, &["terminate", "--flock", "f", "--state", "running"]), 4, "not confirmed");
    assert_eq!(state(), "running");
    let refused = run(&world, &["retry", "--flock", "f", id]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(text(&refused).contains("has not ended"), "{}", text(&refused));
    let done = json(&world, &["terminate", "--flock", "f", "--state", "running", "--yes"]);
    assert_eq!(done["jobs"][0]["accepted"], true);
    until(|| state() == "cancelled");
    fs::write(&gate, "").unwrap();
    ok(&world, &["retry", "--flock", "f", id]);
    until(|| state() == "succeeded");
    let journal = json(&world, &["journal"]);
    let actions: Vec<_> = journal.as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(actions, ["local create", "batch", "retry", "terminate", "retry"]);
    assert!(!journal.to_string().contains("sleep 600"), "the journal holds no command");
}

#[test]
fn flocks_are_listed_started_stopped_and_removed_only_by_name() {
    let world = world();
    let listed = json(&world, &["local", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["running"]), (&"f".into(), &false.into()));
    assert_eq!(listed[0]["settings"]["max_jobs"], 2);
    assert_eq!(listed[0]["settings"]["quick_deploy"], "payload");
    for bucket in ["inputs", "outputs", "quick_deploy", "errors"] {
        assert!(Path::new(listed[0]["buckets"][bucket].as_str().unwrap()).is_dir(), "{bucket}");
    }
    assert_eq!(json(&world, &["local", "start", "f"])["changed"], true);
    assert_eq!(json(&world, &["local", "start", "f"])["changed"], false);
    assert_eq!(json(&world, &["local", "list"])[0]["running"], true);
    assert_eq!(json(&world, &["local", "stop", "f"])["changed"], true);
    assert_eq!(json(&world, &["local", "list"])[0]["running"], false);
    assert_eq!(fails(&world, &["local", "create", "f", "--command", "true"]), 4, "it exists");
    assert_eq!(fails(&world, &["local", "rm", "f"]), 4);
    assert_eq!(fails(&world, &["local", "rm", "f", "--yes", "g"]), 4);
    assert_eq!(json(&world, &["local", "list"]).as_array().unwrap().len(), 1);
    ok(&world, &["local", "rm", "f", "--yes", "f"]);
    assert_eq!(json(&world, &["local", "list"]), serde_json::json!([]));
}

#[test]
fn nothing_is_batched_by_a_dry_run_nor_in_part_by_a_strict_one() {
    let world = world();
    job(&world, "good", "{}");
    job(&world, "wrong", "[");
    let jobs = world.path().join("jobs");
    let path = jobs.to_str().unwrap();
    let output = run(&world, &["batch", "--flock", "f", "--path", path, "--dry-run", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["jobs"][0]["refused"], Value::Null);
    assert!(plan["jobs"][1]["refused"].as_str().unwrap().contains("not JSON"));
    assert_eq!(fails(&world, &["batch", "--flock", "f", "--path", path, "--strict"]), 4);
    assert_eq!(fails(&world, &["batch", "--flock", "f", "--path", "/nonexistent"]), 3);
    let inputs = json(&world, &["local", "list"])[0]["buckets"]["inputs"].as_str().unwrap().to_owned();
    assert_eq!(fs::read_dir(inputs).unwrap().count(), 0);
}

#[test]
fn the_demo_runs_by_itself_and_again() {
    let world = World::new();
    for _ in 0..2 {
        let shown = json(&world, &["demo", "--no-console"]);
        let jobs = shown["jobs"].as_array().unwrap();
        let of = |outcome: &str| jobs.iter().filter(|job| job["outcome"] == outcome).count();
        assert_eq!((jobs.len(), of("succeeded"), of("failed")), (12, 11, 1), "{shown}");
        let failed = jobs.iter().find(|job| job["outcome"] == "failed").unwrap();
        assert!(failed["path"].as_str().unwrap().ends_with("soil-b"));
        let log = text(&ok(&world, &["logs", "--flock", "demo", failed["id"].as_str().unwrap()]));
        assert!(log.contains("damaged or was cut off"), "{log}");
    }
}
