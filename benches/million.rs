//! The built console on a flock of a million jobs: how soon it has them all, what it weighs, and how soon a key
//! shows, while nothing happens and while rows change. `cargo bench --bench million -- [ROWS [SECONDS]]`.
//! Figures and how to read them: docs/performance.md.
//!
//! Writing the rows takes a minute or two; `SHEPARD_BENCH_HOME` names a directory in which they are kept for the
//! next time.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints what it found, and one that cannot set itself up has nothing to measure"
)]

#[path = "support/pty.rs"]
mod pty;
#[path = "support/times.rs"]
mod times;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pty::{Session, Usage};
use shepard::ui::time::count;
use shepard_cloud::local::{Home, LocalFlock, Settings};
use shepard_cloud::ports::Put;
use shepard_model::{Inputs, JobId, JobRow, ObjectRef, Outcome, Transition};
use times::Times;

const FLOCK: &str = "million";
const NOW: i64 = 1_800_000_000_000;
const CHANGES_A_SECOND: usize = 10_000;

fn id(number: usize) -> (JobId, ObjectRef) {
    let key = format!("runs/2026-07-{:02}/lane-{}/sample-{number:07}.zip", number % 28 + 1, number % 8);
    let object = ObjectRef::new("inputs", key);
    (JobId::of_object(&object), object)
}

/// A third each waits, succeeded, failed.
fn row(number: usize) -> JobRow {
    let (id, object) = id(number);
    let inputs =
        Inputs::from_json(&format!(r#"{{"TAG":"night run {}","THREADS":4}}"#, number % 100)).unwrap();
    let at = NOW - (number as i64 % 864_000) * 100;
    let row = JobRow::arrived(id, Some(object), inputs, at, 30);
    let (outcome, reason, exit_code) = match number % 3 {
        0 => return row,
        1 => (Outcome::Succeeded, None, 0),
        _ => (Outcome::Failed, Some(format!("the payload ended with exit code {}", number % 12)), 1),
    };
    let exit_code = Some(exit_code);
    let results = Vec::new();
    row.apply(&Transition::Finished { fence: None, outcome, reason, exit_code, results, at_ms: at + 5_000 })
        .unwrap()
}

fn filled(home: &Path, rows: usize) -> LocalFlock {
    let flocks = Home::new(home.join(".local/share/shepard"));
    let dir = match flocks.flock(FLOCK) {
        Ok(dir) if dir.path().exists() => dir,
        _ => flocks.create(&Settings::named(FLOCK)).unwrap(),
    };
    let flock = LocalFlock::open(&dir).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let table = flock.ports().table;
    let begin = Instant::now();
    let there = runtime.block_on(flock.counts()).unwrap().iter().sum::<u64>() as usize;
    for number in there..rows {
        let put = runtime.block_on(table.put_new(&row(number))).unwrap();
        assert_eq!(put, Put::Created);
    }
    println!("{} rows written in {:.0} s", rows.saturating_sub(there), begin.elapsed().as_secs_f64());
    flock
}

/// Presses a key so many times and waits each time until the number of the selected row says that it was done.
fn keys(session: &mut Session, times: usize, place: &mut usize, rows: usize) -> Times {
    let of = format!("/{}", count(rows as u64));
    let mut took = Times::default();
    for _ in 0..times {
        *place += 1;
        let wanted = format!(" {}{of}", count(*place as u64));
        let pressed = session.press("j");
        let shown = session.until(|picture| picture.contains(&wanted));
        took.add(shown - pressed);
        std::thread::sleep(Duration::from_millis(20).saturating_sub(pressed.elapsed()));
    }
    took
}

/// Runs jobs again and lets them fail again, up to so many changes a second, until told to stop; how many it did.
async fn change(flock: &LocalFlock, rows: usize, stop: &AtomicBool, done: &AtomicUsize) {
    let table = flock.ports().table;
    let failed = Transition::Finished {
        fence: None,
        outcome: Outcome::Failed,
        reason: Some("it was told to".to_owned()),
        exit_code: Some(2),
        results: Vec::new(),
        at_ms: NOW,
    };
    let again = Transition::Requeued { by: "bench".to_owned(), at_ms: NOW, keep_days: 30 };
    let begin = Instant::now();
    let mut number = 2;
    while !stop.load(Relaxed) {
        // Every third has failed; the step strews them over the table.
        number = (number + 3 * 100_003) % (rows / 3 * 3);
        for transition in [&again, &failed] {
            let _ = table.apply(&id(number).0, transition).await.expect("a change");
            done.fetch_add(1, Relaxed);
        }
        let ahead = done.load(Relaxed) as f64 / CHANGES_A_SECOND as f64 - begin.elapsed().as_secs_f64();
        if ahead > 0.005 {
            tokio::time::sleep(Duration::from_secs_f64(ahead)).await;
        }
    }
}

fn main() {
    // `cargo test --all-targets` runs benches too, without this word and without optimisation.
    let whole = std::env::args().any(|argument| argument == "--bench");
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let rows = numbers.first().copied().unwrap_or(if whole { 1_000_000 } else { 300 });
    let seconds = numbers.get(1).copied().unwrap_or(if whole { 20 } else { 1 });
    let temp = tempfile::tempdir().unwrap();
    let home = std::env::var_os("SHEPARD_BENCH_HOME").map_or(temp.path().to_owned(), PathBuf::from);
    let flock = Arc::new(filled(&home, rows));

    let mut session = Session::start(&home, &[]);
    session.until(|picture| picture.contains(FLOCK));
    let opened = session.press("\r");
    let of = format!("/{} ", count(rows as u64));
    let caught_up = session.until(|picture| !picture.contains("loaded") && picture.contains(of.trim_end()));
    println!("all {rows} rows on the screen after {:.1} s", (caught_up - opened).as_secs_f64());
    std::thread::sleep(Duration::from_secs(1));
    let usage = Usage::of(session.pid());
    println!(
        "    {:.0} MB resident, {:.0} MB at most, {:.0} MB of it its own; {:.1} s on a processor so far",
        usage.resident,
        usage.most,
        usage.private,
        usage.cpu.as_secs_f64()
    );

    session.press("g");
    let mut place = 1;
    let times = seconds * 50;
    println!("key to the terminal, quiet: {}", keys(&mut session, times, &mut place, rows));
    let (before, bytes) = (Usage::of(session.pid()), session.bytes());
    std::thread::sleep(Duration::from_secs(seconds as u64));
    let after = Usage::of(session.pid());
    println!(
        "idle for {seconds} s: {} bytes written, {} ticks, {:.2} ms on a processor",
        session.bytes() - bytes,
        after.ticks - before.ticks,
        (after.cpu - before.cpu).as_secs_f64() * 1000.0
    );

    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = std::thread::spawn({
        let (flock, stop, done) = (Arc::clone(&flock), Arc::clone(&stop), Arc::clone(&done));
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(change(&flock, rows, &stop, &done));
        }
    });
    std::thread::sleep(Duration::from_millis(500));
    let (begin, bytes, before) = (Instant::now(), session.bytes(), Usage::of(session.pid()));
    let changes = done.load(Relaxed);
    let took = keys(&mut session, times, &mut place, rows);
    let spent = begin.elapsed().as_secs_f64();
    let usage = Usage::of(session.pid());
    println!(
        "key to the terminal, {:.0} changes a second written by another process: {took}",
        (done.load(Relaxed) - changes) as f64 / spent
    );
    println!(
        "    {:.0} bytes a second to the terminal, {:.0} % of a core, {:.0} MB resident",
        (session.bytes() - bytes) as f64 / spent,
        (usage.cpu - before.cpu).as_secs_f64() / spent * 100.0,
        usage.resident
    );
    stop.store(true, Relaxed);
    writer.join().unwrap();
    session.end();
}
