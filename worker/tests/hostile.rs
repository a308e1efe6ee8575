//! Names from outside: keys, tags, secrets, quick-deploy folders and what lies in them. Whatever they are, nothing is
//! written outside the job's own directory, no shell sees them, and what cannot be is one clear line in the row.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::Flock;
use proptest::prelude::*;
use shepard_cloud::ports::{LogSource, Secret};
use shepard_model::{JobId, JobRow, Outcome};
use shepard_worker::{Exit, fetch, place};

/// Names that have broken programs before. The last two are fine on a file system and nowhere else.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "..",
        ".",
        "../x",
        "../../x",
        "a/../../x",
        "/etc/passwd",
        "//x",
        "a//b",
        "a/",
        "/",
        "-rf",
        "--",
        "-",
        "~",
        "*",
        "a b",
        "'",
        "\"",
        "`id`",
        "$(touch pwned)",
        ";touch pwned",
        "|touch pwned",
        "a\nb",
        "a\r\nb",
        "\n",
        "a\tb",
        "a\\..\\b",
        "C:\\x",
        "a\0b",
        "\0",
        "\u{1b}[31m",
        "é\u{301}",
        "\u{202e}gpj",
        "con",
        "run.sh",
        "input",
        "secrets",
        "secrets/x",
        "output",
        ".shepard",
        "read_only",
        "%2e%2e%2f",
        "a/./b",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend(["x".repeat(255), "x".repeat(256), "x".repeat(1_000), "d/".repeat(400) + "x"]);
    names
}

/// Every path under a directory that is not in the job's own, with what the file holds.
fn outside(flock: &Flock, id: &JobId) -> BTreeSet<(String, Vec<u8>)> {
    let own = flock.place.root.join(id.as_str());
    let mut found = BTreeSet::new();
    let mut waiting = vec![flock.dir.path().to_path_buf()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.starts_with(&flock.memory.objects) || path == own {
                continue;
            }
            let held = if path.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
            found.insert((path.display().to_string(), held));
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    found
}

/// A sentence for one line of a table.
fn is_clear(row: &JobRow) -> bool {
    row.reason.as_deref().is_some_and(|reason| {
        reason.len() > 20 && reason.len() < 4_000 && !reason.chars().any(char::is_control)
    })
}

/// No line of the worker's own can be mistaken for two.
fn check_log(flock: &Flock, job: &shepard_worker::Job, what: &str) {
    for line in flock.lines(job, LogSource::Worker) {
        assert!(!line.chars().any(char::is_control), "{what}: {line:?}");
    }
}

#[tokio::test]
async fn keys_of_inputs() {
    let script = r#"cat "$ROOT_INPUT_NAME/$INPUT_ZIP_NAME""#;
    for name in names() {
        let flock = Flock::new();
        let job = flock.job_of(flock.memory.put("inputs", &name, b"zip"), "{}");
        let before = outside(&flock, &job.id);
        // What no variable can hold cannot be told to a payload either.
        let exit = flock.run(&job, script).await;
        let row = flock.row(&job);
        match exit {
            Exit::Succeeded => assert_eq!(flock.stdout(&job), ["zip"], "{name:?}"),
            Exit::Failed | Exit::PayloadFailed => assert!(is_clear(&row), "{name:?}: {:?}", row.reason),
            other => panic!("{name:?}: {other:?}"),
        }
        let led_out = name.split('/').any(|part| part == "..") || name.contains('\0') || name.ends_with('/');
        // A file where the folder of the secrets is to be: somebody's wish that cannot be met.
        let led_out = led_out || name == "secrets";
        assert_eq!(
            led_out || name == "." || name.len() > 255 && !name.contains('/'),
            exit != Exit::Succeeded,
            "{name:?}"
        );
        assert!(flock.is_clean(), "{name:?}");
        let mut after = outside(&flock, &job.id);
        after.retain(|(path, _)| *path != flock.place.root.display().to_string());
        assert_eq!(after, before, "{name:?}");
        check_log(&flock, &job, &name);
    }
}

#[tokio::test]
async fn tags() {
    for name in names() {
        let flock = Flock::new();
        let json = serde_json::json!({ "TAG": name }).to_string();
        let Ok(inputs) = shepard_model::Inputs::from_json(&json) else { continue };
        let tag = inputs.tag.clone();
        let job = flock.job(&json);
        let before = outside(&flock, &job.id);
        let exit = flock.run(&job, r#"echo "$TAG" > "$ROOT_OUTPUT_NAME/tag""#).await;
        let row = flock.row(&job);
        match exit {
            Exit::Succeeded => {
                let key = &row.results[0].key;
                assert_eq!(flock.memory.keys("outputs"), std::slice::from_ref(key), "{name:?}");
                let prefix = tag.map(|tag| format!("{tag}_")).unwrap_or_default();
                assert!(key.starts_with(&format!("{prefix}result@{}", job.id)), "{name:?}: {key}");
            }
            _ => {
                assert!(is_clear(&row), "{name:?}: {:?}", row.reason);
                assert!(flock.memory.keys("outputs").is_empty(), "{name:?}");
            }
        }
        let mut after = outside(&flock, &job.id);
        after.retain(|(path, _)| *path != flock.place.root.display().to_string());
        assert_eq!(after, before, "{name:?}");
        assert!(flock.is_clean(), "{name:?}");
        check_log(&flock, &job, &name);
    }
}

#[tokio::test]
async fn names_of_secrets() {
    for name in names() {
        let flock = Flock::new();
        flock.memory.secrets.lock().unwrap().push(Secret { name: name.clone(), bytes: b"hush".to_vec() });
        let job = flock.job("{}");
        let before = outside(&flock, &job.id);
        let exit = flock.run(&job, r#"cd "$ROOT_INPUT_NAME/secrets" && cat ./*"#).await;
        let row = flock.row(&job);
        let fits = !name.contains(['/', '\0']) && ![".", ".."].contains(&name.as_str()) && name.len() <= 255;
        if fits {
            // A name that begins with a dot is there, and no shell's `*` finds it.
            assert!(exit == Exit::Succeeded || name.starts_with('.'), "{name:?}: {:?}", row.reason);
        } else {
            assert_eq!(exit, Exit::Failed, "{name:?}");
            assert!(is_clear(&row) && !row.reason.unwrap().contains("hush"), "{name:?}");
        }
        let mut after = outside(&flock, &job.id);
        after.retain(|(path, _)| *path != flock.place.root.display().to_string());
        assert_eq!(after, before, "{name:?}");
        assert!(flock.is_clean(), "{name:?}");
        check_log(&flock, &job, &name);
    }
}

#[tokio::test]
async fn quick_deploy_folders_and_what_lies_in_them() {
    for name in names() {
        let flock = Flock::new();
        let json = serde_json::json!({ "QUICK_DEPLOY_DIRECTORY": name }).to_string();
        let Ok(inputs) = shepard_model::Inputs::from_json(&json) else { continue };
        let job = flock.job(&json);
        if let Some(folder) = &inputs.quick_deploy {
            flock.memory.put("quick_deploy", &format!("{folder}/run.sh"), b"echo ran; pwd");
        }
        let before = outside(&flock, &job.id);
        let exit = flock.run(&job, "echo command").await;
        let row = flock.row(&job);
        match (exit, inputs.quick_deploy) {
            (Exit::Succeeded, Some(_)) => assert_eq!(flock.stdout(&job)[0], "ran", "{name:?}"),
            (Exit::Succeeded, None) => assert_eq!(flock.stdout(&job), ["command"], "{name:?}"),
            _ => assert!(is_clear(&row), "{name:?}: {:?}", row.reason),
        }
        let mut after = outside(&flock, &job.id);
        after.retain(|(path, _)| *path != flock.place.root.display().to_string());
        assert_eq!(after, before, "{name:?}");
        check_log(&flock, &job, &name);

        let flock = Flock::new();
        let job = flock.job(r#"{"QUICK_DEPLOY_DIRECTORY": "code"}"#);
        flock.memory.put("quick_deploy", "code/run.sh", b"ls -R . | wc -l");
        flock.memory.put("quick_deploy", &format!("code/{name}"), b"ls -R . | wc -l");
        let before = outside(&flock, &job.id);
        let exit = flock.run(&job, "true").await;
        let row = flock.row(&job);
        assert!(exit == Exit::Succeeded || is_clear(&row), "{name:?}: {:?}", row.reason);
        let mut after = outside(&flock, &job.id);
        after.retain(|(path, _)| *path != flock.place.root.display().to_string());
        assert_eq!(after, before, "{name:?}");
        assert!(flock.is_clean(), "{name:?}");
        check_log(&flock, &job, &name);
    }
}

#[tokio::test]
async fn a_quick_deploy_folder_that_is_not_there_is_called_that() {
    let flock = Flock::new();
    let job = flock.job(r#"{"QUICK_DEPLOY_DIRECTORY": "cod"}"#);
    flock.memory.put("quick_deploy", "code/run.sh", b"exit 0");
    assert_eq!(flock.run(&job, "true").await, Exit::Failed);
    let reason = flock.row(&job).reason.unwrap();
    assert_eq!(reason, "there is no quick-deploy folder 'cod': the bucket quick_deploy has nothing under it");
}

#[tokio::test]
async fn outputs_with_names_that_are_no_text() {
    let flock = Flock::new();
    let job = flock.job("{}");
    let script = r#"cd "$ROOT_OUTPUT_NAME"; : > "$(printf 'a\377b')"; : > "$(printf 'a\nb')"; : > -rf; : > '$(id)'; mkdir -- --; : > --/x"#;
    assert_eq!(flock.run(&job, script).await, Exit::Succeeded);
    let row = flock.row(&job);
    assert_eq!(row.outcome, Some(Outcome::Succeeded));
    let names: Vec<String> =
        flock.unzip("outputs", &row.results[0].key).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in ["-rf", "$(id)", "--/x"] {
        assert!(names.iter().any(|known| known == name), "{name:?}: {names:?}");
    }
    check_log(&flock, &job, "outputs");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_key_is_fetched_to_another_place(key in "[a./ \\\\\n\"'$`-]{1,24}", folder in "[a./ \n'$-]{1,12}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let flock = Flock::new();
            let id = JobId::parse("u").unwrap();
            let dirs = flock.place.dirs(&id);
            place::make(&dirs).unwrap();
            let before = outside(&flock, &id);
            let object = flock.memory.put("inputs", &key, b"zip");
            let fetched = fetch::input(&flock.ports, &object, &dirs).await;
            flock.memory.put("quick_deploy", &format!("{folder}/{key}"), b"");
            let _ = fetch::quick_deploy(&flock.ports, &folder, &dirs).await;
            assert_eq!(outside(&flock, &id), before);
            if fetched.is_ok() {
                let there = Path::new(&dirs[0].input).join(key.trim_start_matches('/'));
                assert_eq!(std::fs::read(there).unwrap(), b"zip");
            }
        });
    }
}
