//! One attempt from the claim to the final row.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{Flock, Hurried, KEY, Refusing, Trouble, alive, payload, until};
use shepard_cloud::ports::{Clock as _, LogSource, Secret, WallClock};
use shepard_model::{Fence, ObjectRef, Outcome, Refused, Stage, State, Transition};
use shepard_worker::{Exit, Job, ProcessPayload};

#[tokio::test]
async fn a_job_that_succeeds() {
    let flock = Flock::new();
    let job = flock.job(r#"{"TAG": 7, "text": "two\nlines"}"#);
    let script = r#"
        cat "$ROOT_INPUT_NAME/$INPUT_ZIP_NAME"; echo
        echo "$JOB_STATUS" >&2
        mkdir -p "$ROOT_OUTPUT_NAME/sub/empty"
        printf '%s' "$text" > "$ROOT_OUTPUT_NAME/sub/.hidden"
        printf last > "$ROOT_OUTPUT_NAME/z"
        pwd > "$ROOT_OUTPUT_NAME/cwd"
    "#;
    assert_eq!(flock.run(&job, script).await, Exit::Succeeded);

    let row = flock.row(&job);
    assert_eq!((row.outcome, row.exit_code, row.reason.clone()), (Some(Outcome::Succeeded), Some(0), None));
    let start = row.start_time_s.unwrap();
    let key = format!("7_result@{}_{start}_root.zip", job.id);
    assert_eq!(row.results, [ObjectRef::new("outputs", key.clone())]);
    let input = flock.root(&job).join("input").display().to_string();
    let expected = [
        ("cwd", format!("{input}\n")),
        ("sub/", String::new()),
        ("sub/.hidden", "two\nlines".to_owned()),
        ("sub/empty/", String::new()),
        ("z", "last".to_owned()),
    ];
    assert_eq!(flock.unzip("outputs", &key), expected.map(|(name, text)| (name.to_owned(), text)));
    assert_eq!(flock.stdout(&job), ["zip"]);
    assert!(flock.lines(&job, LogSource::Stderr)[0].starts_with("calling_payload_code "));
    assert!(flock.is_clean());
    let stages: Vec<&str> = row.timeline.iter().map(|note| note.stage.word()).collect();
    assert_eq!(stages, ["arrived", "claimed", "fetching", "payload", "pushing", "cleaning", "ended"]);
    assert!(row.status.starts_with("<done> "));
    assert!(flock.memory.keys("errors").is_empty());
}

#[tokio::test]
async fn the_payload_sees_the_contracts_variables_and_no_others() {
    let flock = Flock::new();
    let job = flock.job(r#"{"b": 1.50, "A": false, "LANG": "mine"}"#);
    assert_eq!(
        flock
            .run_payload(
                &job,
                &ProcessPayload::new(Arc::new(Hurried::default())).with_command(Some(vec!["env".into()]))
            )
            .await,
        Exit::Succeeded
    );
    let mut names: Vec<String> =
        flock.stdout(&job).iter().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
    names.retain(|name| {
        !["HOME", "USER", "LOGNAME", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"].contains(&name.as_str())
    });
    names.sort();
    let mut expected = [
        "A",
        "ALLOW_DOCKER_ACCESS",
        "END_TIME",
        "HOSTNAME",
        "INPUTS_BUCKET",
        "INPUT_ZIP_NAME",
        "IS_INVOKED",
        "JOB_STATUS",
        "LANG",
        "OUTPUTS_BUCKET",
        "PATH",
        "QUICK_DEPLOY_BUCKET",
        "ROOT_INPUT_NAME",
        "ROOT_OUTPUT_NAME",
        "SHEPARD_CHECKPOINT",
        "START_TIME",
        "USES_EFS",
        "USES_LUSTRE",
        "UUID",
        "b",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    let lines = flock.stdout(&job);
    for line in ["b=1.50", "A=False", "LANG=mine", &format!("INPUT_ZIP_NAME={KEY}")] {
        assert!(lines.iter().any(|known| known == line), "{line}");
    }
}

#[tokio::test]
async fn lines_are_there_while_the_payload_runs() {
    let flock = Flock::new();
    let job = flock.job("{}");
    let script = r#"
        echo one; echo err-one >&2
        while [ ! -e "$ROOT_INPUT_NAME/go" ]; do sleep 0.02; done
        echo two; echo err-two >&2; printf 'no end\r'
    "#;
    let watch = async {
        flock.printed(&job, "one").await;
        assert_eq!(flock.row(&job).state(), State::Running);
        assert!(flock.row(&job).status.starts_with("calling_payload_code "));
        std::fs::write(flock.root(&job).join("input/go"), "").unwrap();
    };
    let (exit, ()) = tokio::join!(flock.run(&job, script), watch);
    assert_eq!(exit, Exit::Succeeded);
    assert_eq!(flock.stdout(&job), ["one", "two", "no end\r"]);
    assert_eq!(flock.lines(&job, LogSource::Stderr), ["err-one", "err-two"]);
    assert!(flock.row(&job).results.is_empty(), "an empty output directory gives no result");
}

#[tokio::test]
async fn a_log_that_takes_no_lines_ends_no_job() {
    let flock = Flock::new();
    let job = flock.job("{}");
    flock.memory.log_full.store(true, Ordering::SeqCst);
    let script = r#"
        i=0; while [ $i -lt 500 ]; do echo lost; i=$((i+1)); done
        while [ ! -e "$ROOT_INPUT_NAME/go" ]; do sleep 0.02; done; echo kept
    "#;
    let watch = async {
        until(|| flock.memory.log_refused.load(Ordering::SeqCst) >= 500).await;
        flock.memory.log_full.store(false, Ordering::SeqCst);
        std::fs::write(flock.root(&job).join("input/go"), "").unwrap();
    };
    let (exit, ()) = tokio::join!(flock.run(&job, script), watch);
    assert_eq!(exit, Exit::Succeeded);
    assert_eq!(flock.stdout(&job), ["kept"]);
    // Three lines of the worker's own went the same way.
    let said = flock.lines(&job, LogSource::Worker);
    assert_eq!(said[0], "503 lines of this log could not be written and are gone");
    assert_eq!(said.iter().filter(|line| line.contains("could not be written")).count(), 1, "said once");
}

#[tokio::test]
async fn a_payload_that_fails_leaves_its_log_and_partial_outputs() {
    let flock = Flock::new();
    let job = flock.job(r#"{"TAG": "t"}"#);
    let script =
        r#"echo out; echo half > "$ROOT_OUTPUT_NAME/part"; echo "no such genome" >&2; echo >&2; exit 3"#;
    assert_eq!(flock.run(&job, script).await, Exit::PayloadFailed);
    let row = flock.row(&job);
    assert_eq!((row.outcome, row.exit_code), (Some(Outcome::Failed), Some(3)));
    assert_eq!(row.reason.as_deref(), Some("exit code 3: no such genome"));
    let key = format!("t_error@{}_{}.zip", job.id, row.start_time_s.unwrap());
    assert_eq!(row.results, [ObjectRef::new("errors", key.clone())]);
    let left = flock.unzip("errors", &key);
    assert_eq!(left[1], ("output/part".to_owned(), "half\n".to_owned()));
    assert_eq!(left[0].0, "log.txt");
    assert!(
        left[0].1.contains(" stdout out\n") && left[0].1.contains(" stderr no such genome\n"),
        "{}",
        left[0].1
    );
    assert!(left[0].1.contains(" worker the job has failed"));
    assert!(flock.memory.keys("outputs").is_empty() && flock.is_clean());
}

#[tokio::test]
async fn a_killed_payload_says_so() {
    let flock = Flock::new();
    let job = flock.job("{}");
    assert_eq!(flock.run(&job, "kill -9 $$").await, Exit::PayloadFailed);
    let row = flock.row(&job);
    assert_eq!(row.exit_code, Some(137));
    assert!(row.reason.unwrap().contains("out of memory"));
}

#[tokio::test]
async fn a_flock_without_an_errors_bucket_keeps_no_artefact() {
    let mut flock = Flock::new();
    flock.ports.buckets.errors = String::new();
    let job = flock.job("{}");
    assert_eq!(flock.run(&job, "exit 1").await, Exit::PayloadFailed);
    assert!(flock.row(&job).results.is_empty() && flock.is_clean());
}

#[tokio::test]
async fn a_cancel_is_noticed_by_the_heartbeat() {
    let flock = Flock::new();
    let job = flock.job("{}");
    let cancel = async {
        flock.printed(&job, "up").await;
        let wish = Transition::CancelRequested { by: "ann".into(), at_ms: WallClock.now_ms() };
        flock.ports.table.apply(&job.id, &wish).await.unwrap();
    };
    let payload = payload("echo up; exec sleep 600").with_grace_ms(1_000_000);
    let (exit, ()) = tokio::join!(flock.run_payload(&job, &payload), cancel);
    assert_eq!(exit, Exit::Cancelled);
    let row = flock.row(&job);
    assert_eq!((row.outcome, row.reason.as_deref()), (Some(Outcome::Cancelled), Some("cancelled by ann")));
    assert_eq!(row.exit_code, Some(143));
    assert!(flock.is_clean());
}

#[tokio::test]
async fn a_worker_told_to_stop_gives_the_job_back() {
    let flock = Flock::new();
    let job = flock.job("{}");
    let stop = async {
        flock.printed(&job, "up").await;
        flock.stop.cancel();
    };
    // It takes no notice of SIGTERM, nor does its child.
    let script = r#"trap '' TERM; echo up; while :; do sleep 0.05; done"#;
    let (exit, ()) = tokio::join!(flock.run(&job, script), stop);
    assert_eq!(exit, Exit::Interrupted);
    let row = flock.row(&job);
    assert_eq!((row.outcome, row.claim.clone()), (None, None));
    assert_eq!(row.attempts[0].reason.as_deref(), Some("interrupted: the worker was told to stop"));
    assert!(flock.is_clean());

    let mut flock = flock;
    flock.stop = tokio_util::sync::CancellationToken::new();
    let second = flock.next(&job);
    assert_eq!(flock.run(&second, "true").await, Exit::Succeeded);
    assert_eq!(flock.row(&job).attempts.len(), 2);
}

#[tokio::test]
async fn what_a_payload_leaves_running_ends_with_it() {
    let flock = Flock::new();
    let job = flock.job("{}");
    // One in the group, one in a session of its own; both hold the pipes open.
    let script = r#"
        sleep 600 & echo $!
        setsid sh -c 'echo $$; exec sleep 600' &
        while [ "$(cat "$ROOT_INPUT_NAME/seen" 2>/dev/null)" != yes ]; do sleep 0.02; done
    "#;
    let watch = async {
        until(|| flock.stdout(&job).len() == 2).await;
        std::fs::write(flock.root(&job).join("input/seen"), "yes").unwrap();
    };
    let (exit, ()) = tokio::join!(flock.run(&job, script), watch);
    assert_eq!(exit, Exit::Succeeded);
    let pids = flock.stdout(&job);
    assert_eq!(pids.len(), 2);
    until(|| pids.iter().all(|pid| !alive(pid))).await;
}

#[tokio::test]
async fn an_output_directory_that_is_gone() {
    for (script, said) in [
        (r#"rmdir "$ROOT_OUTPUT_NAME""#, "the payload removed its output directory"),
        (
            r#"rmdir "$ROOT_OUTPUT_NAME"; echo > "$ROOT_OUTPUT_NAME""#,
            "the payload replaced its output directory",
        ),
        (r#"rm -rf "$ROOT_OUTPUT_NAME/../../$UUID""#, "the payload removed its output directory"),
    ] {
        let flock = Flock::new();
        let job = flock.job("{}");
        assert_eq!(flock.run(&job, script).await, Exit::Failed, "{script}");
        let row = flock.row(&job);
        assert!(row.reason.clone().unwrap().starts_with(said), "{:?}", row.reason);
        assert_eq!((row.outcome, row.exit_code), (Some(Outcome::Failed), Some(0)));
        assert!(flock.is_clean());
    }
}

#[tokio::test]
async fn secrets_are_the_workers_users_alone() {
    let flock = Flock::new();
    *flock.memory.secrets.lock().unwrap() = vec![
        Secret { name: "key".into(), bytes: b"hush".to_vec() },
        Secret { name: "b c".into(), bytes: vec![] },
    ];
    let job = flock.job("{}");
    let script = r#"cd "$ROOT_INPUT_NAME"; stat -c '%a %n' secrets secrets/*; cat secrets/key > "$ROOT_OUTPUT_NAME/k""#;
    assert_eq!(flock.run(&job, script).await, Exit::Succeeded);
    assert_eq!(flock.stdout(&job), ["700 secrets", "400 secrets/b c", "400 secrets/key"]);
    let said = flock.lines(&job, LogSource::Worker).join("\n");
    assert!(said.contains("wrote 2 secrets") && !said.contains("hush"));
    assert!(flock.is_clean());
}

#[tokio::test]
async fn names_that_would_leave_the_directory_fail_the_job() {
    for key in ["../x.zip", "a/../../x.zip", "a\0b.zip", "folder/", ".."] {
        let flock = Flock::new();
        let job = flock.job_of(flock.memory.put("inputs", key, b"zip"), "{}");
        assert_eq!(flock.run(&job, "true").await, Exit::Failed, "{key:?}");
        assert!(flock.row(&job).reason.unwrap().contains("cannot be a file of the job"));
        assert!(flock.is_clean());
    }
    for secret in ["../x", "a/b", "", "."] {
        let flock = Flock::new();
        flock.memory.secrets.lock().unwrap().push(Secret { name: secret.into(), bytes: b"hush".to_vec() });
        let job = flock.job("{}");
        assert_eq!(flock.run(&job, "true").await, Exit::Failed, "{secret:?}");
        assert!(flock.row(&job).reason.unwrap().contains("name of a secret"));
    }
    let flock = Flock::new();
    let job = flock.job(r#"{"QUICK_DEPLOY_DIRECTORY": "code"}"#);
    flock.memory.put("quick_deploy", "code/run.sh", b"");
    flock.memory.put("quick_deploy", "code/../../../out", b"");
    assert_eq!(flock.run(&job, "true").await, Exit::Failed);
    assert!(!flock.dir.path().join("out").exists() && !flock.place.root.join("out").exists());
    // A key that begins with a slash stays below the input directory, where the payload looks for it.
    let flock = Flock::new();
    let job = flock.job_of(flock.memory.put("inputs", "/abs//a.zip", b"abs"), "{}");
    assert_eq!(flock.run(&job, r#"cat "$ROOT_INPUT_NAME/$INPUT_ZIP_NAME""#).await, Exit::Succeeded);
    assert_eq!(flock.stdout(&job), ["abs"]);
}

#[tokio::test]
async fn quick_deploy_runs_in_its_folder() {
    let flock = Flock::new().with_efs();
    let job = flock.job(r#"{"quick_deploy_directory": "a/code/"}"#);
    flock.memory.put("quick_deploy", "a/code/", b"");
    flock.memory.put("quick_deploy", "a/code/lib/x", b"helper");
    flock.memory.put("quick_deploy", "a/code/y", b"");
    flock.memory.put("quick_deploy", "a/code/run.sh", b"#!/nonsense\npwd; stat -c %a run.sh; cat lib/x > $EFS_OUTPUT_NAME/x; cat \"$EFS_INPUT_NAME/$INPUT_ZIP_NAME\"; ls $ROOT_INPUT_NAME; echo > $ROOT_OUTPUT_NAME/r");
    flock.memory.put("quick_deploy", "a/coder/run.sh", b"exit 9");
    assert_eq!(flock.run(&job, "exit 8").await, Exit::Succeeded);
    let row = flock.row(&job);
    let (start, id) = (row.start_time_s.unwrap(), &job.id);
    let expected =
        ["root", "efs"].map(|word| ObjectRef::new("outputs", format!("result@{id}_{start}_{word}.zip")));
    assert_eq!(row.results, expected);
    let home = flock.place.efs.as_ref().unwrap().join(id.as_str()).join("input/a/code");
    let stdout = flock.stdout(&job);
    assert_eq!(stdout[0], home.display().to_string());
    assert!(stdout[1].ends_with("55"), "run.sh is executable: {}", stdout[1]);
    assert_eq!(stdout[2..], ["zipsecrets"], "the input is on EFS alone, the secrets on root");
    assert!(flock.is_clean());
}

#[tokio::test]
async fn quick_deploy_without_run_sh_and_the_places_default() {
    let mut flock = Flock::new();
    flock.place.quick_deploy = Some("code".into());
    let job = flock.job("{}");
    flock.memory.put("quick_deploy", "code/run.py", b"");
    assert_eq!(flock.run(&job, "true").await, Exit::Failed);
    let reason = flock.row(&job).reason;
    assert_eq!(reason.as_deref(), Some("the quick-deploy folder 'code' holds no run.sh"));

    let job = flock.job_of(flock.memory.put("inputs", "b", b""), r#"{"Quick_Deploy_Directory": "None"}"#);
    assert_eq!(flock.run(&job, "true").await, Exit::Succeeded, "a job may say that it wants none");
}

#[tokio::test]
async fn links_pipes_and_large_names_among_the_outputs() {
    let flock = Flock::new();
    let job = flock.job("{}");
    let script = r#"
        cd "$ROOT_OUTPUT_NAME"; echo in > file; mkdir dir; ln -s file inside; ln -s /etc/passwd outside
        ln -s nowhere broken; ln -s dir todir; mkfifo pipe; ln -s ../input/secrets/x sneaky; chmod 700 dir
    "#;
    assert_eq!(flock.run(&job, script).await, Exit::Succeeded);
    let names: Vec<(String, String)> = flock.unzip("outputs", &flock.row(&job).results[0].key);
    let expected = [("dir/", ""), ("file", "in\n"), ("inside", "in\n")];
    assert_eq!(names, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let said = flock.lines(&job, LogSource::Worker).join("\n");
    for name in ["outside", "broken", "todir", "pipe", "sneaky"] {
        assert!(said.contains(&format!("not among the outputs: \"{name}\"")), "{name}: {said}");
    }
}

#[tokio::test]
async fn a_job_that_ended_or_belongs_to_another_is_left_alone() {
    let flock = Flock::new();
    let job = flock.job("{}");
    assert_eq!(flock.run(&job, "true").await, Exit::Succeeded);
    assert_eq!(flock.run(&flock.next(&job), "exit 1").await, Exit::AlreadyDone);

    let flock = Flock::new();
    let job = flock.job("{}");
    let other = Fence { run: 1, attempt: 1, worker: "other".into() };
    let now = WallClock.now_ms();
    let claimed = Transition::Claimed {
        fence: other,
        log_stream: "s".into(),
        compute_id: None,
        batch: None,
        at_ms: now,
        lease_until_ms: now + 60_000,
    };
    flock.ports.table.apply(&job.id, &claimed).await.unwrap();
    assert_eq!(flock.run(&job, "true").await, Exit::NotMine);
    let wish = Transition::CancelRequested { by: "ann".into(), at_ms: now };
    flock.ports.table.apply(&job.id, &wish).await.unwrap();
    assert_eq!(flock.run(&flock.next(&job), "true").await, Exit::Cancelled);
    assert_eq!(flock.row(&job).outcome, Some(Outcome::Cancelled));

    flock.memory.rows.lock().unwrap().clear();
    assert_eq!(flock.run(&job, "true").await, Exit::NoRow);
}

#[tokio::test]
async fn a_worker_whose_row_is_taken_over_stops_and_writes_nothing() {
    let flock = Flock::new();
    let job = flock.job("{}");
    let take = async {
        flock.printed(&job, "up").await;
        let now = WallClock.now_ms();
        let other = Fence { run: 1, attempt: 2, worker: "other".into() };
        let claimed = Transition::Claimed {
            fence: other.clone(),
            log_stream: "s".into(),
            compute_id: None,
            batch: None,
            at_ms: now,
            lease_until_ms: now + 60_000,
        };
        flock.ports.table.apply(&job.id, &claimed).await.unwrap();
        other
    };
    let (exit, other) = tokio::join!(flock.run(&job, "echo up; sleep 600"), take);
    assert_eq!(exit, Exit::NotMine);
    let row = flock.row(&job);
    assert_eq!((row.claim.as_ref(), row.outcome), (Some(&other), None));
    let late = Transition::Finished {
        fence: Some(Fence { attempt: 1, ..other }),
        outcome: Outcome::Failed,
        reason: None,
        exit_code: None,
        results: vec![],
        at_ms: 0,
    };
    assert_eq!(row.apply(&late), Err(Refused::Fenced));
}

#[tokio::test]
async fn the_future_can_be_spawned() {
    let flock = Arc::new(Flock::new());
    let job = flock.job("{}");
    let task = {
        let (flock, job) = (Arc::clone(&flock), job.clone());
        tokio::spawn(async move { flock.run_payload(&job, &payload("true")).await })
    };
    assert_eq!(task.await.unwrap(), Exit::Succeeded);
    let mode = std::fs::metadata(&flock.place.root).unwrap().permissions().mode();
    assert_ne!(mode & 0o700, 0);
}

#[tokio::test]
async fn what_cannot_be_run_now_is_given_back_and_what_cannot_be_run_ever_fails() {
    let flock = Flock::new();
    let job = flock.job("{}");
    let run = |job: Job, trouble| {
        let flock = &flock;
        async move {
            let payload = Refusing(trouble);
            shepard_worker::run(&flock.ports, &job, &flock.place, &payload, flock.stop.clone()).await
        }
    };
    let exit = run(job.clone(), Trouble::Passing).await;
    assert_eq!((&exit, exit.code()), (&Exit::Postponed, 77));
    let row = flock.row(&job);
    assert_eq!((row.outcome, row.claim.is_none(), row.status.as_str()), (None, true, "not_yet_initiated"));
    assert_eq!(row.attempts[0].reason.as_deref(), Some("the registry did not answer"));
    let last = row.timeline.last().unwrap();
    assert_eq!((last.stage, last.detail.as_deref()), (Stage::Postponed, Some("the registry did not answer")));
    assert!(flock.is_clean());

    let second = flock.next(&job);
    let exit = run(second.clone(), Trouble::Refused).await;
    assert_eq!((&exit, exit.code()), (&Exit::PayloadFailed, 1));
    let row = flock.row(&job);
    assert_eq!(row.reason.as_deref(), Some("the image is for another machine"));
    assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Failed), 2));
    // A third one, as a compute may start that did not hear of the end: nothing is done, and it exits 0.
    let exit = flock.run(&flock.next(&second), "exit 9").await;
    assert_eq!((exit.code(), flock.row(&job)), (0, row));
}
