//! A local flock whose jobs run in containers, by the built binary on a real engine: what payloads were promised, and
//! what is left when workers, supervisors and engines go away in the middle.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;
use shepard_model::{Outcome, Transition};
use support::contained::{Made, WITNESSED, Witness, ask, block, contained, containers_of};
use support::{Flock, World, alive, kill, unzip};

fn main() -> ExitCode {
    shepard_testkit::with_engine(vec![
        ("the_acceptance_jobs_do_what_was_promised", acceptance as fn()),
        ("a_killed_worker_s_container_is_gone_before_the_next_attempt", killed_worker),
        ("worker_and_supervisor_killed_together_leave_a_container_that_is_ended_first", killed_both),
        ("while_the_engine_is_away_no_second_payload_begins", engine_away),
        ("without_an_engine_a_job_says_so_and_runs_once_there_is_one", no_engine),
        ("a_command_takes_the_place_of_the_entry_point_and_limits_hold", command_and_limits),
        ("the_second_job_loads_and_pulls_nothing", second_job),
        ("a_flock_that_is_removed_leaves_no_container_and_no_secret", removed),
        ("a_cancelled_job_leaves_nothing", cancelled),
    ])
}

fn engine_address() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned())
}

/// Where the flock's secrets are while its jobs run.
fn memory_of(flock: &Flock) -> PathBuf {
    let folder = flock.dir.path().canonicalize().unwrap();
    // The tests' processes have no session's directory.
    shepard_worker::secrets::memory_of(&folder, None).unwrap()
}

fn shepard(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.shepard(arguments);
    command.env("DOCKER_HOST", engine_address());
    command
}

fn json(world: &World, arguments: &[&str]) -> Value {
    let output = shepard(world, &[arguments, &["--output", "json"]].concat()).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Waits until nothing of any attempt is left: no container, no directory, no secret.
async fn nothing_left(flock: &Flock) {
    flock
        .until("nothing is left", async || {
            containers_of(&flock.dir, flock.engine.as_deref()).await.is_empty()
                && std::fs::read_dir(flock.dir.jobs()).unwrap().next().is_none()
                && std::fs::read_dir(memory_of(flock)).is_ok_and(|mut left| left.next().is_none())
        })
        .await;
}

fn names_in(zip: &Path) -> Vec<String> {
    let archive = zip::ZipArchive::new(std::fs::File::open(zip).unwrap()).unwrap();
    archive.file_names().map(|name| name.unwrap().into_owned()).collect()
}

fn acceptance() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/acceptance");
    let script = std::fs::read_to_string(examples.join("payload/check.sh")).unwrap();
    let image = block(Made::of(&script, None));
    let world = World::new();
    let made = json(&world, &["local", "create", "f", "--image", &image.name, "--host-network"]);
    assert_eq!(made["settings"]["image"], image.name.as_str());
    let secrets = world.data().join("flocks/f/secrets");
    for name in ["database.txt", "token.txt"] {
        std::fs::copy(examples.join("secrets").join(name), secrets.join(name)).unwrap();
    }
    let jobs = examples.join("jobs");
    let said = json(&world, &["batch", "--flock", "f", "--path", jobs.to_str().unwrap(), "--wait"]);
    let of = |name: &str| {
        let jobs = said["jobs"].as_array().unwrap();
        jobs.iter().find(|job| job["path"].as_str().unwrap().ends_with(name)).unwrap().clone()
    };
    for (name, prefix) in [("tag_no_error", "test_file_result@"), ("no_tags_no_error", "result@")] {
        let job = of(name);
        assert_eq!(job["outcome"], "succeeded", "{name}: {job:#}");
        let results = job["results"].as_array().unwrap();
        assert_eq!(results.len(), 1, "one filesystem, one zip: {job:#}");
        let zip = Path::new(results[0].as_str().unwrap());
        let file = zip.file_name().unwrap().to_str().unwrap();
        assert!(file.starts_with(prefix) && file.ends_with("_root.zip"), "{file}");
        for secret in ["database.txt", "token.txt"] {
            let expected = std::fs::read_to_string(examples.join("secrets").join(secret)).unwrap();
            assert_eq!(unzip(zip, &format!("secrets/{secret}")), expected);
        }
        let names = names_in(zip);
        let input = job["input"].as_str().unwrap();
        for wanted in ["outputFile", input] {
            assert!(names.iter().any(|name| name == wanted), "{wanted} is not among {names:?}");
        }
        assert_eq!(unzip(zip, "outputFile").len(), 8 << 20);
    }
    let job = of("/error");
    assert_eq!(job["outcome"], "failed", "{job:#}");
    assert!(job["reason"].as_str().unwrap().contains("exit code 1"), "{job:#}");
    assert!(job["results"].as_array().unwrap().is_empty(), "{job:#}");
    let artefacts = job["artefacts"].as_array().unwrap();
    assert_eq!(artefacts.len(), 1, "{job:#}");
    let zip = Path::new(artefacts[0].as_str().unwrap());
    let names = names_in(zip);
    assert!(names.iter().any(|name| name.ends_with("surroundings.txt")), "what it wrote: {names:?}");
    let log = names.iter().find(|name| name.ends_with(".log") || name.ends_with("log.txt")).unwrap().clone();
    let log = unzip(zip, &log);
    assert!(log.contains("test3 is '0' and should be 'test3'"), "{log}");
    assert!(log.contains("open files"), "{log}");

    let way = format!("in a container of the image {}, in the host's network", image.name);
    for job in json(&world, &["query", "--flock", "f"]).as_array().unwrap() {
        assert_eq!(job["way"], way.as_str(), "{job:#}");
    }
    let listed = shepard(&world, &["local", "list"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&format!("in containers of {}", image.name)), "{listed}");
    let log =
        shepard(&world, &["logs", "--flock", "f", of("/error")["id"].as_str().unwrap()]).output().unwrap();
    assert!(String::from_utf8(log.stdout).unwrap().contains(&way));
    let removed = shepard(&world, &["local", "rm", "f", "--yes", "f"]).output().unwrap();
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
}

/// A payload that a witness sees, that sleeps the first time and ends the second.
fn sleeping() -> String {
    format!(
        r#"{WITNESSED}
        cat "$ROOT_INPUT_NAME/secrets/key" > "$ROOT_OUTPUT_NAME/copy"
        [ -n "${{BRIEF-}}" ] || case "$go" in go) sleep 600 ;; esac
        "#
    )
}

/// A flock with a secret and one job that sleeps, once it is seen to run.
async fn with_a_sleeper(image: &Made, witness: &Witness) -> Flock {
    let mut flock = Flock::contained(contained(image));
    std::fs::write(flock.dir.secrets().join("key"), "hush").unwrap();
    flock.start();
    flock.put("a.zip", &format!(r#"{{"PORT":{}}}"#, witness.port)).await;
    flock.until("the payload runs", async || witness.alive() == 1).await;
    flock
}

fn killed_worker() {
    block(async {
        let witness = Witness::new();
        let image = Made::of(&sleeping(), None).await;
        let flock = with_a_sleeper(&image, &witness).await;
        let row = flock.row("a.zip").await.unwrap();
        let secret = memory_of(&flock).join(row.id.as_str()).join("key");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "hush");
        assert!(!flock.dir.job_dir(&row.id).join("input/secrets/key").exists(), "no disk ever holds it");
        let before = containers_of(&flock.dir, None).await;
        assert_eq!(before.len(), 1);

        kill(flock.worker_pid().await, "KILL");
        flock.until("the next attempt runs", async || witness.begun(row.id.as_str()) == 2).await;
        let after = containers_of(&flock.dir, None).await;
        assert_eq!(after.len(), 1, "{after:?}");
        assert_ne!(after[0].id, before[0].id);
        assert_eq!(witness.twice(), Vec::<String>::new());
        cancel(&flock, &row).await;
        let row = flock.ended("a.zip").await;
        assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Cancelled), 2), "{row:#?}");
        assert!(row.attempts[0].reason.as_ref().unwrap().contains("signal 9"), "{row:#?}");
        nothing_left(&flock).await;
    });
}

async fn cancel(flock: &Flock, row: &shepard_model::JobRow) {
    let at_ms = flock.ports.clock.now_ms();
    let change = Transition::CancelRequested { by: "me".into(), at_ms };
    flock.ports.table.apply(&row.id, &change).await.unwrap();
    flock.ports.compute.terminate(row.compute_id.as_deref().unwrap(), "me").await.unwrap();
}

fn killed_both() {
    block(async {
        let witness = Witness::new();
        let image = Made::of(&sleeping(), None).await;
        let mut flock = with_a_sleeper(&image, &witness).await;
        let worker = flock.worker_pid().await;
        flock.kill_supervisor();
        kill(worker, "KILL");
        flock.until("the worker is gone", async || !alive(worker)).await;
        assert_eq!(containers_of(&flock.dir, None).await.len(), 1, "nobody has ended it yet");
        flock.start();
        let row = flock.row("a.zip").await.unwrap();
        flock.until("the next attempt runs", async || witness.begun(row.id.as_str()) == 2).await;
        assert_eq!(witness.twice(), Vec::<String>::new());
        cancel(&flock, &row).await;
        flock.ended("a.zip").await;
        nothing_left(&flock).await;
    });
}

/// A name of the engine that can be taken away.
struct Door {
    path: PathBuf,
    real: PathBuf,
}

impl Door {
    /// None where the engine has no socket of its own.
    fn of(flock: &mut Flock) -> Option<Self> {
        let address = engine_address();
        let real = PathBuf::from(address.strip_prefix("unix://")?);
        let path = flock.world.path().join("docker.sock");
        flock.engine = Some(format!("unix://{}", path.display()));
        Some(Self { path, real })
    }

    fn open(&self) {
        std::os::unix::fs::symlink(&self.real, &self.path).unwrap();
    }

    fn close(&self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}

fn supervisor_log(flock: &Flock) -> String {
    std::fs::read_to_string(flock.dir.supervisor_log()).unwrap()
}

fn engine_away() {
    block(async {
        let witness = Witness::new();
        let image = Made::of(&sleeping(), None).await;
        let mut flock = Flock::contained(contained(&image));
        let Some(door) = Door::of(&mut flock) else { return };
        door.open();
        std::fs::write(flock.dir.secrets().join("key"), "hush").unwrap();
        flock.start();
        flock.put("a.zip", &format!(r#"{{"PORT":{}}}"#, witness.port)).await;
        flock.until("the payload runs", async || witness.alive() == 1).await;
        door.close();
        let worker = flock.worker_pid().await;
        kill(worker, "KILL");
        flock
            .until("the supervisor says that it waits", async || {
                supervisor_log(&flock).contains("waits until that is known")
            })
            .await;
        // A supervisor that comes anew waits as well.
        flock.kill_supervisor();
        flock.start();
        flock
            .until("the next one says so too", async || {
                supervisor_log(&flock).matches("waits until that is known").count() == 2
            })
            .await;
        let row = flock.row("a.zip").await.unwrap();
        assert_eq!((witness.alive(), witness.begun(row.id.as_str())), (1, 1), "the first one lives");
        door.open();
        flock.until("the next attempt runs", async || witness.begun(row.id.as_str()) == 2).await;
        assert_eq!(witness.twice(), Vec::<String>::new());
        cancel(&flock, &row).await;
        flock.ended("a.zip").await;
        nothing_left(&flock).await;
    });
}

fn no_engine() {
    block(async {
        let image = Made::of("echo ran > \"$ROOT_OUTPUT_NAME/ran\"", None).await;
        let mut flock = Flock::contained(contained(&image));
        let Some(door) = Door::of(&mut flock) else { return };
        flock.start();
        flock.put("a.zip", "{}").await;
        flock
            .until("the row says what is wrong", async || {
                let row = flock.row("a.zip").await;
                row.is_some_and(|row| row.claim.is_none() && !row.attempts.is_empty())
            })
            .await;
        let row = flock.row("a.zip").await.unwrap();
        let reason = row.attempts[0].reason.clone().unwrap();
        assert!(
            reason.contains("cannot reach the Docker engine") && reason.contains("DOCKER_HOST"),
            "{reason}"
        );
        assert!(!reason.contains('\n') && row.outcome.is_none(), "{row:#?}");
        door.open();
        let row = flock.ended("a.zip").await;
        assert_eq!(row.outcome, Some(Outcome::Succeeded), "{row:#?}");

        // With one attempt it is the job's end, for the worker's own reason.
        let mut flock = Flock::contained(|settings| {
            contained(&image)(settings);
            settings.attempts = 1;
        });
        Door::of(&mut flock).unwrap();
        flock.start();
        flock.put("b.zip", "{}").await;
        let row = flock.ended("b.zip").await;
        assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Failed), 1), "{row:#?}");
        assert!(row.reason.as_ref().unwrap().contains("cannot reach the Docker engine"), "{row:#?}");
    });
}

fn command_and_limits() {
    block(async {
        let image = Made::of("echo the entry point; exit 9", None).await;
        let script = r#"
            cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null > "$ROOT_OUTPUT_NAME/limit"
            if [ -n "${BIG-}" ]; then exec dd if=/dev/zero of=/dev/null bs=300M count=1; fi
        "#;
        let mut flock = Flock::contained(|settings| {
            contained(&image)(settings);
            settings.command = Some(["sh", "-c", script].map(str::to_owned).to_vec());
            settings.isolation.memory_mib = Some(64);
        });
        flock.start();
        flock.put("small.zip", "{}").await;
        flock.put("asked.zip", r#"{"SHEPARD_MEMORY":32}"#).await;
        flock.put("more.zip", r#"{"SHEPARD_MEMORY":4096}"#).await;
        flock.put("big.zip", r#"{"BIG":"1"}"#).await;
        for (key, mib) in [("small.zip", 64_u64), ("asked.zip", 32), ("more.zip", 64)] {
            let row = flock.ended(key).await;
            assert_eq!(row.outcome, Some(Outcome::Succeeded), "{row:#?}");
            let zip = flock.dir.bucket("outputs").unwrap().join(&row.results[0].key);
            assert_eq!(unzip(&zip, "limit").trim(), (mib << 20).to_string(), "{key}");
        }
        let row = flock.ended("big.zip").await;
        assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Failed), 1), "{row:#?}");
        assert!(row.reason.as_ref().unwrap().contains("memory"), "{row:#?}");
    });
}

fn second_job() {
    let Some(socket) = engine_address().strip_prefix("unix://").map(str::to_owned) else { return };
    block(async {
        let image = Made::of("true", None).await;
        let mut flock = Flock::contained(contained(&image));
        flock.start();
        flock.put("a.zip", "{}").await;
        flock.ended("a.zip").await;
        let now = || flock.ports.clock.now_ms() / 1000;
        // Whole seconds: what was done to make the image is not to count.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let since = now();
        flock.put("b.zip", "{}").await;
        assert_eq!(flock.ended("b.zip").await.outcome, Some(Outcome::Succeeded));
        let until = now() + 1;
        let events = |kind: &str, of: &str| {
            let filters = format!("%7B%22type%22%3A%5B%22{kind}%22%5D%2C%22image%22%3A%5B%22{of}%22%5D%7D");
            ask(&socket, &format!("/events?since={since}&until={until}&filters={filters}"))
        };
        let name = image.name.replace(':', "%3A");
        let done = events("image", &name);
        assert!(!["load", "pull", "import", "tag"].iter().any(|what| done.contains(what)), "{done}");
        let engine = shepard_engine::Engine::connect(None).await.unwrap();
        let id = engine.image(&image.name).await.unwrap().unwrap().id.replace(':', "%3A");
        let started = events("container", &id);
        assert!(started.contains("start"), "the events of the container are there: {started:?}");
    });
}

fn removed() {
    block(async {
        let witness = Witness::new();
        let image = Made::of(&sleeping(), None).await;
        let flock = with_a_sleeper(&image, &witness).await;
        let memory = memory_of(&flock);
        assert!(memory.exists());
        let owner = flock.dir.path().canonicalize().unwrap();
        let output = shepard(&flock.world, &["local", "rm", "test", "--yes", "test"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(witness.alive(), 0);
        assert!(!memory.exists() && !flock.dir.path().exists());
        let engine = shepard_engine::Engine::connect(None).await.unwrap();
        let left = engine
            .labelled(shepard_model::names::container::LABEL_OWNER, Some(owner.to_str().unwrap()))
            .await
            .unwrap();
        assert!(left.is_empty(), "{left:?}");
    });
}

fn cancelled() {
    block(async {
        let witness = Witness::new();
        let image = Made::of(&sleeping(), None).await;
        let flock = with_a_sleeper(&image, &witness).await;
        let row = flock.row("a.zip").await.unwrap();
        cancel(&flock, &row).await;
        let row = flock.ended("a.zip").await;
        assert_eq!((row.outcome, row.attempts.len()), (Some(Outcome::Cancelled), 1), "{row:#?}");
        assert_eq!(witness.alive(), 0, "its row ends after its payload");
        nothing_left(&flock).await;
    });
}
