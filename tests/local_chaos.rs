//! A thousand jobs in containers, four at once, on an engine of the test's own, while everything is killed at random:
//! workers, supervisors, the engine, payloads out of memory and out of disk. Afterwards every row is true and nothing is
//! left.
//!
//! `SHEPARD_CHAOS_JOBS` says how many jobs; 100 unless it does, which is a minute or two on a small machine.
//! `SHEPARD_CHAOS_SEED` repeats the choices of an earlier run; what meets what is the machine's.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use shepard_model::{JobRow, Outcome};
use support::contained::{Made, WITNESSED, Witness, ask, block, contained, containers_of};
use support::dockerd::{Dockerd, Small, mounts_under};
use support::{Flock, kill, unzip};

/// Longer than any job takes to end on a busy machine, restarts of the engine included.
const NOTHING_ENDS_MS: i64 = 240_000;
/// Room for the jobs' files, in MiB: enough for four small jobs, too little for one that writes without end.
const ROOM_MIB: u64 = 48;
/// Memory of a job, in MiB.
const MEMORY_MIB: u32 = 48;

fn main() -> ExitCode {
    shepard_testkit::with_engine_and_root(vec![("chaos_leaves_true_rows_and_nothing_else", chaos as fn())])
}

const SCRIPT: &str = r#"
cat "$ROOT_INPUT_NAME/secrets/key" > /dev/null || exit 91
echo "begun $N"
case "$HOW" in
    ok) sleep "$LONG"; echo "$N" > "$ROOT_OUTPUT_NAME/n" ;;
    fail) sleep "$LONG"; echo "$N" > "$ROOT_OUTPUT_NAME/n"; exit 3 ;;
    memory) exec dd if=/dev/zero of=/dev/null bs=300M count=1 ;;
    disk) dd if=/dev/zero of="$ROOT_OUTPUT_NAME/big" bs=1M count=1000 || exit 4 ;;
    killed) sh -c 'kill -KILL $$' ;;
esac
"#;

/// What jobs do, and how many in twenty do it.
const HOWS: [(&str, u32); 5] = [("ok", 14), ("fail", 2), ("memory", 2), ("disk", 1), ("killed", 1)];

/// Splitmix: small, seeded, good enough to choose.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(limit)) as u32
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// What was done to the flock.
#[derive(Debug, Default)]
struct Done {
    worker_kill: u32,
    worker_term: u32,
    supervisor_kill: u32,
    engine_stop: u32,
    engine_kill: u32,
}

fn chaos() {
    let jobs = number("SHEPARD_CHAOS_JOBS").unwrap_or(100) as usize;
    let seed =
        number("SHEPARD_CHAOS_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20 | jobs as u64);
    eprintln!("{jobs} jobs, SHEPARD_CHAOS_SEED={seed}");
    let place = tempfile::tempdir().unwrap();
    // An engine that is restarted is nobody else's. Where none can be started, the machine's is used and left running.
    let mut own = Dockerd::start(place.path());
    if own.is_none() {
        eprintln!("no engine of its own can be started here: the engine is not restarted");
    }
    let address = own.as_ref().map(Dockerd::address);
    block(run(jobs, seed, &mut own, address.as_deref()));
    if let Some(mut own) = own {
        let of = |path: &str| ask(own.socket().to_str().unwrap(), path);
        assert_eq!(of("/containers/json?all=1").trim(), "[]");
        assert!(!of("/volumes").contains("Mountpoint"), "{}", of("/volumes"));
        own.down("TERM");
        let left: Vec<PathBuf> = mounts_under(&place.path().join("data"))
            .into_iter()
            .skip_while(|mount| mount.ends_with("data"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

async fn run(jobs: usize, seed: u64, own: &mut Option<Dockerd>, address: Option<&str>) {
    let mut random = Random(seed);
    let witness = Witness::new();
    let image = Made::of(&format!("{WITNESSED}{SCRIPT}"), address).await;
    let mut flock = Flock::contained(|settings| {
        contained(&image)(settings);
        settings.max_jobs = 4;
        settings.attempts = 100;
        settings.isolation.memory_mib = Some(MEMORY_MIB);
        // Long enough for a look around after the last job, short enough to see it go.
        settings.idle_s = 5;
    });
    if let Some(address) = address {
        flock.engine = Some(address.to_owned());
    }
    std::fs::write(flock.dir.secrets().join("key"), "hush").unwrap();
    let room = flock.world.path().join("room");
    let small = {
        std::fs::create_dir(&room).unwrap();
        let small = Small::mount(&flock.world.path().join("room.img"), &room, ROOM_MIB);
        let small = small.expect("root can mount a small filesystem");
        std::fs::remove_dir(flock.dir.jobs()).unwrap();
        std::os::unix::fs::symlink(&room, flock.dir.jobs()).unwrap();
        small
    };
    let mut hows = HashMap::new();
    for n in 0..jobs {
        let mut at = random.below(20);
        let how = HOWS.iter().find(|(_, of)| at.checked_sub(*of).map(|rest| at = rest).is_none()).unwrap().0;
        let long = f64::from(random.below(8)) / 10.0;
        let inputs = format!(r#"{{"N":{n},"HOW":"{how}","LONG":"{long}","PORT":{}}}"#, witness.port);
        let key = format!("{n}.zip");
        flock.put(&key, &inputs).await;
        hows.insert(key, (n, how));
    }
    let began_ms = flock.ports.clock.now_ms();
    flock.start();
    let done = torment(&mut flock, own, &mut random, jobs).await;
    eprintln!("after {} s: {done:?}", (flock.ports.clock.now_ms() - began_ms) / 1000);

    let rows = flock.rows().await;
    let tally = check(&flock, &rows, &hows);
    eprintln!("{tally:?}; {} attempts", rows.iter().map(|row| row.attempts.len()).sum::<usize>());
    assert_eq!(rows.len(), jobs);
    assert_eq!(tally.values().sum::<usize>(), jobs);
    assert_eq!(witness.twice(), Vec::<String>::new(), "two payloads of a job at once");
    let never: Vec<&JobRow> = rows
        .iter()
        .filter(|row| row.outcome == Some(Outcome::Succeeded) && witness.begun(row.id.as_str()) == 0)
        .collect();
    assert!(never.is_empty(), "succeeded and never ran: {never:#?}");

    flock
        .until("nothing is left", async || {
            flock.local.compute().active().await.unwrap().is_empty()
                && containers_of(&flock.dir, address).await.is_empty()
                && std::fs::read_dir(&room).unwrap().flatten().all(|left| left.file_name() == "lost+found")
        })
        .await;
    let memory = shepard_worker::secrets::memory_of(&flock.dir.path().canonicalize().unwrap(), None).unwrap();
    assert!(flock.supervisor_ends().await);
    assert!(!memory.exists(), "secrets are left in memory");
    assert_eq!(witness.alive(), 0);
    drop(small);
}

/// Kills at random until every job has ended.
async fn torment(flock: &mut Flock, own: &mut Option<Dockerd>, random: &mut Random, jobs: usize) -> Done {
    let mut done = Done::default();
    let clock = std::sync::Arc::clone(&flock.ports.clock);
    let (mut ended, mut since) = (0, clock.now_ms());
    // The engine goes at every so many ended jobs, by turns in order and not.
    let every = (jobs / 20).max(10);
    let mut restarts: Vec<(usize, &str)> =
        (1..jobs / every).rev().map(|turn| (turn * every, ["KILL", "TERM"][turn % 2])).collect();
    loop {
        let now = flock.ended_count().await;
        if now >= jobs {
            return done;
        }
        if now > ended {
            (ended, since) = (now, clock.now_ms());
        }
        if clock.now_ms() - since > NOTHING_ENDS_MS {
            let open: Vec<JobRow> =
                flock.rows().await.into_iter().filter(|row| row.outcome.is_none()).take(5).collect();
            let log = std::fs::read_to_string(flock.dir.supervisor_log()).unwrap();
            let log: Vec<&str> = log.lines().rev().take(40).collect();
            let said = own.as_ref().map(Dockerd::said).unwrap_or_default();
            panic!("{ended} of {jobs} have ended and no other does: {open:#?}\n{log:#?}\n{said}");
        }
        if let (Some(engine), Some((at, how))) = (own.as_mut(), restarts.last().copied())
            && ended >= at
        {
            restarts.pop();
            engine.down(how);
            tokio::time::sleep(Duration::from_millis(u64::from(random.below(3000)))).await;
            assert!(engine.up(), "the engine does not come back: {}", engine.said());
            *if how == "KILL" { &mut done.engine_kill } else { &mut done.engine_stop } += 1;
        }
        match random.below(100) {
            0..8 => done.worker_kill += hit(flock, random, "KILL").await,
            8..14 => done.worker_term += hit(flock, random, "TERM").await,
            14..16 => {
                flock.kill_supervisor();
                flock.start();
                done.supervisor_kill += 1;
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Sends a signal to one of the workers.
async fn hit(flock: &Flock, random: &mut Random, signal: &str) -> u32 {
    let active = flock.local.compute().active().await.unwrap();
    let pids: Vec<u32> = active.iter().filter_map(|job| job.pid).collect();
    if pids.is_empty() {
        return 0;
    }
    let pid = pids[random.below(pids.len() as u32) as usize];
    // A number that is another process's by now is not to be hit.
    let world = flock.world.path().as_os_str().as_encoded_bytes();
    let ours = std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|bytes| bytes.windows(world.len()).any(|window| window == world));
    if ours {
        kill(pid, signal);
    }
    u32::from(ours)
}

/// Compares each row with what its job was to do and with what is in the buckets.
fn check(flock: &Flock, rows: &[JobRow], hows: &HashMap<String, (usize, &str)>) -> HashMap<String, usize> {
    let mut tally: HashMap<String, usize> = HashMap::new();
    let (outputs, errors) = (flock.dir.bucket("outputs").unwrap(), flock.dir.bucket("errors").unwrap());
    let mut listed = Vec::new();
    for row in rows {
        let (n, how) = hows[&row.input.as_ref().unwrap().key];
        let reason = row.reason.clone().unwrap_or_default();
        let in_outputs: Vec<&str> = row
            .results
            .iter()
            .filter(|result| result.bucket == "outputs")
            .map(|result| result.key.as_str())
            .collect();
        for result in row.results.iter().filter(|result| result.bucket == "errors") {
            assert!(errors.join(&result.key).is_file(), "{row:#?}");
        }
        // The jobs share a small disk with those that fill it.
        let crowded = ["No space left", "no space left"].iter().any(|words| reason.contains(words));
        let as_meant = match how {
            "ok" => row.outcome == Some(Outcome::Succeeded),
            "fail" => row.outcome == Some(Outcome::Failed) && row.exit_code == Some(3),
            "disk" => row.outcome == Some(Outcome::Failed) && row.exit_code == Some(4),
            "memory" | "killed" => {
                row.outcome == Some(Outcome::Failed)
                    && row.exit_code == Some(137)
                    && reason.contains("killed")
            }
            other => panic!("{other}"),
        };
        let full = row.outcome == Some(Outcome::Failed) && crowded;
        assert!(as_meant || full, "a job that was to do {how} ended otherwise: {row:#?}");
        if row.outcome == Some(Outcome::Succeeded) {
            assert_eq!(in_outputs.len(), 1, "succeeded without a result: {row:#?}");
            assert_eq!(unzip(&outputs.join(in_outputs[0]), "n").trim(), n.to_string(), "{row:#?}");
        } else {
            assert!(in_outputs.is_empty(), "failed with a result: {row:#?}");
        }
        listed.extend(in_outputs.iter().map(|key| (*key).to_owned()));
        let what = if as_meant { how.to_owned() } else { format!("{how}, no room left") };
        *tally.entry(what).or_default() += 1;
    }
    let mut found = files_in(&outputs);
    found.sort();
    listed.sort();
    assert_eq!(found, listed, "results that no row lists");
    tally
}

fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    // What is put is first written into a hidden folder of the adapter's.
    names.filter(|name| !name.starts_with('.')).collect()
}
