//! A local flock with the built binary as supervisor and worker: uploads become results, whatever the uploads are.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Write as _;
use std::time::Duration;

use shepard_model::{Outcome, State};
use support::{Flock, alive, kill, unzip, zip};

/// Copies a variable into its result.
const ECHO: &str =
    r#"echo "$UUID" >> "$MARKS"; echo "said $WORD"; echo "$WORD" > "$ROOT_OUTPUT_NAME/word.txt""#;

fn results(flock: &Flock, row: &shepard_model::JobRow) -> Vec<std::path::PathBuf> {
    row.results.iter().map(|object| flock.dir.bucket(&object.bucket).unwrap().join(&object.key)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_become_results() {
    let mut flock = Flock::running(ECHO, |_| {});
    // Before the supervisor, while it runs, and with names that tools stumble over.
    flock.put("before.zip", r#"{"WORD":"early","TAG":"t"}"#).await;
    flock.start();
    flock.put("a folder/näme with+plus%20.zip", r#"{"WORD":"odd"}"#).await;
    flock.put("after.zip", r#"{"WORD":"late"}"#).await;
    for (key, word) in
        [("before.zip", "early"), ("after.zip", "late"), ("a folder/näme with+plus%20.zip", "odd")]
    {
        let row = flock.ended(key).await;
        assert_eq!((row.state(), row.attempts.len()), (State::Succeeded, 1), "{row:#?}");
        let results = results(&flock, &row);
        assert_eq!(results.len(), 1, "{row:#?}");
        assert_eq!(unzip(&results[0], "word.txt"), format!("{word}\n"));
    }
    let row = flock.ended("before.zip").await;
    assert!(row.results[0].key.starts_with("t_result@"), "{:?}", row.results);
    assert_eq!(flock.marks().len(), 3);
    // The compute has let go as well, and nothing of the attempts is left.
    flock
        .until("all attempts are recorded", async || {
            flock.local.compute().active().await.unwrap().is_empty()
                && std::fs::read_dir(flock.dir.jobs()).unwrap().next().is_none()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_that_is_copied_slowly_by_hand_is_one_job() {
    let mut flock = Flock::running(ECHO, |_| {});
    flock.start();
    // Once the supervisor is there, so that it sees the file come.
    flock.put("first.zip", r#"{"WORD":"a"}"#).await;
    flock.ended("first.zip").await;
    let bytes = zip(&[("inputs.txt", r#"{"WORD":"by hand"}"#)]);
    let inputs = flock.dir.bucket("inputs").unwrap();
    let mut file = std::fs::File::create(inputs.join("hand.zip")).unwrap();
    let (one, two) = bytes.split_at(bytes.len() / 2);
    file.write_all(one).unwrap();
    // Longer than an unchanged file has to lie: that it is open must count.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(flock.row("hand.zip").await.is_none(), "half a file is no upload");
    file.write_all(two).unwrap();
    drop(file);
    std::fs::write(inputs.join(".hidden.zip"), &bytes).unwrap();
    std::fs::create_dir(inputs.join("sub")).unwrap();
    std::fs::write(inputs.join("sub/deep.zip"), &bytes).unwrap();
    assert_eq!(flock.ended("hand.zip").await.outcome, Some(Outcome::Succeeded));
    assert_eq!(flock.ended("sub/deep.zip").await.outcome, Some(Outcome::Succeeded));
    assert_eq!(flock.rows().await.len(), 3, "one row an upload");
    // The same name with another content is another upload.
    flock.put("hand.zip", r#"{"WORD":"again"}"#).await;
    flock.until("the new version ends", async || flock.all_ended(4).await.len() == 4).await;
    assert_eq!(flock.marks().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_uploads_get_a_row_with_a_reason_and_the_queue_goes_on() {
    let mut flock = Flock::running(ECHO, |_| {});
    flock.start();
    let good = zip(&[("inputs.txt", r#"{"WORD":"x"}"#)]);
    let text = |inputs: &str| zip(&[("inputs.txt", inputs)]);
    let mut beyond = good.clone();
    let at = beyond.len() - 6;
    beyond[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes()[..4]);
    beyond[at + 3] = 0x7f;
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("empty.zip", Vec::new()),
        ("not.zip", b"this is no archive at all".to_vec()),
        ("truncated.zip", good[..good.len() / 2].to_vec()),
        ("beyond.zip", beyond),
        ("no-inputs.zip", zip(&[("other.txt", "x")])),
        ("not-json.zip", text("{oops")),
        ("list.zip", text("[1,2]")),
        ("reserved.zip", text(r#"{"uuid":"x"}"#)),
        ("name.zip", text(r#"{"a=b":"x"}"#)),
        ("empty-inputs.zip", text("")),
    ];
    for (key, bytes) in &bad {
        flock.put_bytes(key, bytes).await;
    }
    flock.put_bytes("good.zip", &good).await;
    for (key, _) in &bad {
        let row = flock.ended(key).await;
        assert_eq!(row.outcome, Some(Outcome::Rejected), "{key}: {row:#?}");
        assert!(row.reason.as_ref().is_some_and(|reason| reason.len() > 10), "{key}: {:?}", row.reason);
    }
    assert_eq!(flock.ended("good.zip").await.outcome, Some(Outcome::Succeeded));
    assert_eq!(flock.marks().len(), 1, "nothing ran for what was rejected");
    assert_eq!(flock.ports.queue.depth().await.unwrap(), shepard_cloud::ports::Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_cancelled_while_they_run_and_while_they_wait() {
    let mut flock =
        Flock::running(r#"echo "$UUID" >> "$MARKS"; sleep 600"#, |settings| settings.max_jobs = 1);
    flock.start();
    flock.put("running.zip", "{}").await;
    flock.until("the payload runs", async || flock.marks().len() == 1).await;
    flock.put("waiting.zip", "{}").await;
    flock
        .until("the other one waits for a place", async || {
            flock.row("waiting.zip").await.is_some_and(|row| row.state() == State::Scheduled)
        })
        .await;
    for key in ["waiting.zip", "running.zip"] {
        let row = flock.row(key).await.unwrap();
        let cancel = shepard_model::Transition::CancelRequested {
            by: "test".into(),
            at_ms: flock.ports.clock.now_ms(),
        };
        flock.ports.table.apply(&row.id, &cancel).await.unwrap();
        flock.ports.compute.terminate(row.compute_id.as_deref().unwrap(), "test").await.unwrap();
    }
    for key in ["waiting.zip", "running.zip"] {
        let row = flock.ended(key).await;
        assert_eq!(row.outcome, Some(Outcome::Cancelled), "{row:#?}");
    }
    assert_eq!(flock.marks().len(), 1, "the waiting one never ran");
    flock.put("next.zip", "{}").await;
    flock.until("the place is free again", async || flock.marks().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_directory_that_is_gone_ends_its_job_and_no_other() {
    let script = r#"
        echo "$UUID" >> "$MARKS"
        case "$HOW" in
            output) rm -rf "$ROOT_OUTPUT_NAME" ;;
            all) rm -rf "$(dirname "$ROOT_OUTPUT_NAME")" ;;
        esac
    "#;
    let mut flock = Flock::running(script, |_| {});
    flock.start();
    for how in ["output", "all", "none"] {
        flock.put(&format!("{how}.zip"), &format!(r#"{{"HOW":"{how}"}}"#)).await;
    }
    for how in ["output", "all"] {
        let row = flock.ended(&format!("{how}.zip")).await;
        assert_eq!(row.outcome, Some(Outcome::Failed), "{row:#?}");
        assert!(row.reason.as_ref().is_some_and(|reason| reason.contains("output")), "{:?}", row.reason);
    }
    assert_eq!(flock.ended("none.zip").await.outcome, Some(Outcome::Succeeded));
    assert_eq!(flock.marks().len(), 3, "each ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_supervisor_sleeps_and_then_goes() {
    let mut flock = Flock::running(ECHO, |settings| settings.idle_s = 4);
    flock.start();
    flock.put("a.zip", r#"{"WORD":"a"}"#).await;
    flock.ended("a.zip").await;
    let pid = flock.supervisor_pid();
    // The quietest of several looks counts: another process may make ours work, but ours must not do so itself.
    let mut least = u64::MAX;
    for _ in 0..3 {
        let before = ticks(pid);
        tokio::time::sleep(Duration::from_secs(1)).await;
        match (before, ticks(pid)) {
            (Some(before), Some(after)) => least = least.min(after - before),
            _ => break,
        }
    }
    assert!(least <= 1, "{least} ticks of CPU in an idle second");
    assert!(flock.supervisor_ends().await);
    // It has let go: the next one starts at once, and takes what came meanwhile.
    flock.put("b.zip", r#"{"WORD":"b"}"#).await;
    flock.start();
    assert_eq!(flock.ended("b.zip").await.outcome, Some(Outcome::Succeeded));
}

fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_supervisor_says_who_has_the_flock() {
    let mut flock = Flock::running(ECHO, |_| {});
    flock.start();
    flock.until("it is ready", async || flock.dir.supervisor_file().exists()).await;
    let mut second = flock.spawn_supervisor();
    assert!(!second.wait().unwrap().success());
    let log = std::fs::read_to_string(flock.dir.supervisor_log()).unwrap();
    assert!(log.contains(&format!("process {}", flock.supervisor_pid())), "{log}");
    assert!(log.contains("already looked after"), "{log}");
    flock.put("a.zip", r#"{"WORD":"a"}"#).await;
    assert_eq!(flock.ended("a.zip").await.outcome, Some(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_started_asked_and_stopped_from_elsewhere() {
    use shepard::local::{Jobs, Started, start_with, status, stop};

    let script = r#"echo "$UUID" >> "$MARKS"; [ -e "$MARKS.go" ] || sleep 600"#;
    // One attempt: that a person stops the flock must not use it up.
    let flock = Flock::running(script, |settings| settings.attempts = 1);
    let binary = std::path::Path::new(support::BINARY);
    assert!(!status(&flock.dir).await.unwrap().running);
    let Started::Now(pid) = start_with(&flock.dir, binary).await.unwrap() else { panic!("nobody was there") };
    assert_eq!(start_with(&flock.dir, binary).await.unwrap(), Started::Already);
    assert_eq!(status(&flock.dir).await.unwrap().pid, Some(pid));
    flock.put("a.zip", "{}").await;
    flock.until("the payload runs", async || flock.marks().len() == 1).await;
    assert_eq!(status(&flock.dir).await.unwrap().jobs, 1);
    let worker = flock.worker_pid().await;

    // Left alone, the job does not notice.
    assert!(stop(&flock.dir, Jobs::Leave, true).await.unwrap());
    assert!(!status(&flock.dir).await.unwrap().running);
    assert!(alive(worker));
    assert!(!stop(&flock.dir, Jobs::Leave, true).await.unwrap(), "there is none to stop");

    // Told to stop, it is run again by the next one.
    start_with(&flock.dir, binary).await.unwrap();
    assert!(stop(&flock.dir, Jobs::Interrupt, true).await.unwrap());
    assert!(!alive(worker));
    let row = flock.row("a.zip").await.unwrap();
    assert_eq!((row.outcome, row.claim.as_ref()), (None, None), "{row:#?}");
    std::fs::write(flock.world.path().join("marks.go"), "").unwrap();
    start_with(&flock.dir, binary).await.unwrap();
    let row = flock.ended("a.zip").await;
    assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Succeeded), 2), "{row:#?}");
    assert!(stop(&flock.dir, Jobs::Interrupt, true).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_cannot_start_says_why() {
    let flock = Flock::running(ECHO, |_| {});
    std::fs::write(flock.dir.settings_file(), "not json").unwrap();
    let error =
        shepard::local::start_with(&flock.dir, std::path::Path::new(support::BINARY)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("did not start") && text.contains("flock.json"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_nothing_for_good() {
    // Needs a file system of its own: only root may mount one.
    let mount = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(mount.path())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("a_full_disk_stops_nothing_for_good: not run, a tmpfs cannot be mounted here");
        return;
    }
    let script = r#"
        if [ "$HOW" = big ]; then head -c 20000000 /dev/urandom > "$ROOT_OUTPUT_NAME/big" || exit 3; fi
        echo small > "$ROOT_OUTPUT_NAME/small"
    "#;
    let mut flock = Flock::running(script, |settings| settings.max_jobs = 1);
    // The working directories lie on the small disk, the database does not.
    let jobs = flock.dir.jobs();
    std::fs::remove_dir(&jobs).unwrap();
    std::os::unix::fs::symlink(mount.path(), &jobs).unwrap();
    flock.start();
    flock.put("big.zip", r#"{"HOW":"big"}"#).await;
    flock.put("small.zip", r#"{"HOW":"small"}"#).await;
    let big = flock.ended("big.zip").await;
    let small = flock.ended("small.zip").await;
    drop(flock);
    let _ = std::process::Command::new("umount").arg("-l").arg(mount.path()).status();
    assert_eq!(big.outcome, Some(Outcome::Failed), "{big:#?}");
    assert_eq!(small.outcome, Some(Outcome::Succeeded), "{small:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_by_signal_leaves_the_jobs_to_the_next_one() {
    let mut flock = Flock::running(r#"echo "$UUID" >> "$MARKS"; sleep 2"#, |_| {});
    flock.start();
    flock.put("a.zip", "{}").await;
    flock.until("the payload runs", async || flock.marks().len() == 1).await;
    kill(flock.supervisor_pid(), "TERM");
    assert!(flock.supervisor_ends().await);
    flock.start();
    let row = flock.ended("a.zip").await;
    assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Succeeded), 1), "{row:#?}");
    assert_eq!(flock.marks().len(), 1);
}
