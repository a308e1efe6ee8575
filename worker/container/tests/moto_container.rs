//! The flock's image as a real container: from an upload to the results with moto in AWS's place, which starts the job
//! definition's image on the engine for every job of Batch, and by hand.
//!
//! moto 5.2.5 sets neither an attempt nor limits and tries nothing again: what depends on those is tried by hand.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "moto/flock.rs"]
mod flock;
#[path = "moto/site.rs"]
mod site;

use std::process::ExitCode;

use flock::Flock;
use serde_json::json;
use shepard_model::{Inputs, JobId, JobRow, Outcome};
use site::Site;

fn main() -> ExitCode {
    let able = shepard_testkit::is_root() && shepard_testkit::engine_answers() && site::is_possible();
    shepard_testkit::where_able(
        "needs_engine_root_moto_registry_and_a_static_worker",
        able,
        vec![
            ("from_an_upload_to_the_results_in_the_nested_form", nested_form),
            ("a_payload_by_digest_is_pulled_once_and_a_failing_one_leaves_its_log", digest_form),
            ("by_hand_the_payload_has_the_limits_of_the_workers_container", limits_by_hand),
            ("a_worker_that_is_told_to_stop_gives_its_row_back_and_leaves_nothing", told_to_stop),
            ("what_cannot_be_run_is_said_in_the_row", cannot_be_run),
        ],
    )
}

/// What a payload finds, into its outputs; and a line on each of its streams.
const SCRIPT: &str = r#"
echo "hello $UUID"; echo "to err" >&2
env | sort > "$ROOT_OUTPUT_NAME/env"
id -u > "$ROOT_OUTPUT_NAME/user"
cat "$ROOT_INPUT_NAME/secrets/token" > "$ROOT_OUTPUT_NAME/secret"
ls "$ROOT_INPUT_NAME" > "$ROOT_OUTPUT_NAME/input"
[ -z "$code" ] || exit "$code"
"#;

fn file<'a>(files: &'a [(String, String)], name: &str) -> &'a str {
    &files.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}: {files:?}")).1
}

fn nested_form() {
    let site = Site::new("nested");
    // With a user of its own: it reads its secrets and writes its outputs none the less.
    let flock = Flock::new(&site, &site.nested(SCRIPT, "app"));
    let id = flock.upload("my folder/one.zip", &json!({ "word": "a b", "TAG": "run 7", "multi": "x\ny" }));
    let row = flock.until(&id, |row| row.outcome.is_some());
    let (status, lines) = flock.ended(&id);
    assert_eq!(row.outcome, Some(Outcome::Succeeded), "{:?}\n{lines:#?}", row.reason);
    assert_eq!(status, "SUCCEEDED");
    assert_eq!(row.results.len(), 1);
    assert!(row.results[0].key.starts_with(&format!("run 7_result@{id}_")), "{}", row.results[0].key);
    let files = flock.unzip(&row.results[0]);
    assert_eq!(file(&files, "secret"), "hidden\n");
    assert_eq!(file(&files, "user"), "1234\n");
    assert_eq!(file(&files, "input"), "my folder\nsecrets\n");
    let env: Vec<&str> = file(&files, "env").lines().collect();
    for line in [
        "word=a b",
        "AWS_REGION=us-east-1",
        "AWS_EC2_METADATA_DISABLED=true",
        "ULIMIT_FILENO=4096",
        "multi=x",
    ] {
        assert!(env.contains(&line), "{line} is not in {env:#?}");
    }
    for name in
        ["AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_ENDPOINT_URL=", "SECRET_STORE=", "role_arn="]
    {
        assert!(!env.iter().any(|line| line.starts_with(name)), "{name} is the worker's");
    }
    let said = |lines: &[String], words: &str| lines.iter().any(|line| line.contains(words));
    assert!(
        lines.contains(&format!("[out] hello {id}")) && lines.contains(&"[err] to err".to_owned()),
        "{lines:#?}"
    );
    assert!(said(&lines, "loaded the payload's image"), "{lines:#?}");
    assert!(!said(&lines, "hidden") && !said(&lines, "a b"), "{lines:#?}");
    assert!(flock.is_clean(&id));

    // The second job on the host: the image is there.
    let second = flock.upload("two.zip", &json!({}));
    let row = flock.until(&second, |row| row.outcome.is_some());
    let (_, lines) = flock.ended(&second);
    assert_eq!(row.outcome, Some(Outcome::Succeeded), "{lines:#?}");
    assert!(!said(&lines, "loaded") && said(&lines, "the payload runs"), "{lines:#?}");

    // A second attempt of a job that has ended does nothing.
    let spec = flock.by_hand(&id, &[("AWS_BATCH_JOB_ATTEMPT", "2")]);
    let (ended, said) = flock.run(spec, |_| ());
    assert_eq!(ended.code, 0, "{said}");
    let row = flock.row(&id);
    assert_eq!((row.attempts.len(), row.outcome), (1, Some(Outcome::Succeeded)), "{said}");
    assert!(!said.contains("hello"), "{said}");
}

fn digest_form() {
    let site = Site::new("digest");
    let (image, payload) = site.digest(SCRIPT, "");
    assert_eq!(site.runtime.block_on(site.engine.image(&payload)).unwrap(), None);
    let flock = Flock::new(&site, &image);
    let id = flock.upload("one.zip", &json!({ "code": 3 }));
    let row = flock.until(&id, |row| row.outcome.is_some());
    let (status, lines) = flock.ended(&id);
    assert_eq!((row.outcome, row.exit_code), (Some(Outcome::Failed), Some(3)), "{lines:#?}");
    assert_eq!(status, "FAILED");
    assert!(row.reason.as_deref().is_some_and(|reason| reason.contains("to err")), "{:?}", row.reason);
    assert!(lines.iter().any(|line| line.contains("pulled the payload's image")), "{lines:#?}");
    let left = row.results.iter().find(|object| object.bucket.ends_with("-errors")).expect("an errors' zip");
    let files = flock.unzip(left);
    let log: String = files.iter().map(|(_, text)| text.as_str()).collect();
    assert!(log.contains(&format!("stdout hello {id}")) && log.contains("stderr to err"), "{files:#?}");
    assert!(flock.is_clean(&id));

    let second = flock.upload("two.zip", &json!({}));
    let row = flock.until(&second, |row| row.outcome.is_some());
    let (_, lines) = flock.ended(&second);
    assert_eq!(row.outcome, Some(Outcome::Succeeded), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("pulled")), "{lines:#?}");
    site.runtime.block_on(site.engine.remove_image(&payload)).unwrap();
}

/// A row that came by API and that no compute was told of.
fn row(flock: &Flock<'_>, key: &str, variables: &str) -> JobId {
    let id = JobId::of_request(&format!("{}-{key}", flock.site.name));
    let now_ms = flock.ports.clock.now_ms();
    let row = JobRow::arrived(id.clone(), None, Inputs::from_json(variables).unwrap(), now_ms, 1);
    flock.site.runtime.block_on(flock.ports.table.put_new(&row)).unwrap();
    id
}

fn limits_by_hand() {
    let site = Site::new("limits");
    // Both versions of control groups.
    let script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; \
                  cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true";
    let flock = Flock::new(&site, &site.nested(script, ""));
    let id = row(&flock, "limits", "{}");
    let mut spec = flock.by_hand(&id, &[]);
    (spec.memory, spec.nano_cpus) = (Some(256 << 20), Some(500_000_000));
    let (ended, said) = flock.run(spec, |_| ());
    assert_eq!(ended.code, 0, "{said}");
    assert!(said.contains(&format!("[out] {}\n", 256 << 20)), "{said}");
    assert!(said.contains("[out] 50000"), "half of 100 ms: {said}");
    assert_eq!(flock.row(&id).outcome, Some(Outcome::Succeeded));
    assert!(flock.is_clean(&id));
}

fn told_to_stop() {
    let site = Site::new("stop");
    let flock =
        Flock::new(&site, &site.nested("trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done", ""));
    let id = row(&flock, "stop", "{}");
    let (ended, said) = flock.run(flock.by_hand(&id, &[]), |container| {
        let label = shepard_model::names::container::LABEL_JOB;
        for _ in 0..600 {
            let found = site.runtime.block_on(site.engine.labelled(label, Some(id.as_str()))).unwrap();
            if found.first().is_some_and(|payload| payload.running) {
                assert_eq!(found[0].labels[shepard_model::names::container::LABEL_OWNER], container);
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        site.runtime.block_on(site.engine.kill(container, "SIGTERM")).unwrap();
    });
    assert_eq!(ended.code, 75, "{said}");
    let row = flock.row(&id);
    assert_eq!((row.outcome, row.claim), (None, None), "{said}");
    let reason = row.attempts[0].reason.as_deref();
    assert!(reason.is_some_and(|reason| reason.contains("SIGTERM")), "{reason:?}");
    assert!(flock.is_clean(&id), "{said}");
}

fn cannot_be_run() {
    let site = Site::new("cannot");
    let flock = Flock::new(&site, &site.nested("echo never", ""));
    let odd = row(&flock, "odd", "{}");
    let (ended, said) = flock.run(flock.by_hand(&odd, &[("SHEPARD_SHM_MIB", "much")]), |_| ());
    let row_of = flock.row(&odd);
    assert_eq!((ended.code, row_of.outcome), (1, Some(Outcome::Failed)), "{said}");
    assert!(
        row_of.reason.as_deref().is_some_and(|why| why.contains("SHEPARD_SHM_MIB")),
        "{:?}",
        row_of.reason
    );

    // The host's folder is elsewhere, so that the payload would write where nobody looks.
    let elsewhere = row(&flock, "elsewhere", "{}");
    let mut spec = flock.by_hand(&elsewhere, &[]);
    spec.mounts[0].source = site.dir.path().display().to_string();
    let (ended, said) = flock.run(spec, |_| ());
    let row_of = flock.row(&elsewhere);
    assert_eq!((ended.code, row_of.outcome), (1, Some(Outcome::Failed)), "{said}");
    assert!(row_of.reason.as_deref().is_some_and(|why| why.contains("/mnt/root")), "{:?}", row_of.reason);

    // No engine: another host may have one.
    let without = row(&flock, "without", "{}");
    let mut spec = flock.by_hand(&without, &[]);
    spec.mounts.pop();
    let (ended, said) = flock.run(spec, |_| ());
    assert_eq!((ended.code, flock.row(&without).outcome), (77, None), "{said}");
    assert!(said.contains("Docker engine"), "{said}");

    // No row at all, and an environment that is none of a worker.
    let nobody = JobId::of_request("nobody");
    let (ended, said) = flock.run(flock.by_hand(&nobody, &[]), |_| ());
    assert_eq!(ended.code, 5, "{said}");
    let (ended, said) = flock.run(flock.by_hand(&nobody, &[("table_name", "")]), |_| ());
    assert_eq!(ended.code, 8, "{said}");
    assert!(said.contains("lacks table_name") && !said.contains("never"), "{said}");
}
