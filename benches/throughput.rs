//! How many small jobs a local flock runs in a second, with its supervisor killed on the way.
//!
//! `cargo bench --bench throughput -- [JOBS [KILLS [PLACES]]]`; 10,000 jobs, 3 kills and as many places as cores
//! unless told. Each job is a zip with an inputs.txt, and a payload of one line. It prints the figures and fails if
//! a job was lost or ran twice; how fast it was is for whoever reads it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashMap;

use shepard_cloud::Clock as _;
use shepard_cloud::ports::WallClock;
use shepard_model::Outcome;
use support::Flock;

#[tokio::main]
async fn main() {
    // Cargo passes flags of its own, `--bench` among them.
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    // `cargo test --all-targets` runs it too, without that flag: then only that it still works is of interest.
    let whole = std::env::args().any(|word| word == "--bench");
    let jobs = numbers.first().copied().unwrap_or(if whole { 10_000 } else { 20 });
    let kills = numbers.get(1).copied().unwrap_or(3);
    let places = numbers.get(2).copied();
    let mut flock = Flock::running(r#"echo "$UUID" >> "$MARKS""#, |settings| {
        settings.max_jobs = places.map_or(settings.max_jobs, |places| places as u32);
    });
    let at = || WallClock.now_ms();

    let begin = at();
    for job in 0..jobs {
        flock.put(&format!("{}/{job}.zip", job % 100), &format!(r#"{{"N":{job}}}"#)).await;
    }
    println!("{jobs} uploads put in {:.1} s", seconds(begin, at()));

    let begin = at();
    flock.start();
    for kill in 1..=kills {
        let enough = jobs * kill / (kills + 1);
        while flock.marks().len() < enough {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        flock.kill_supervisor();
        println!("killed at {enough} jobs, after {:.1} s", seconds(begin, at()));
        flock.start();
    }
    while flock.ended_count().await < jobs {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let took = seconds(begin, at());

    let rows = flock.rows().await;
    let succeeded = rows.iter().filter(|row| row.outcome == Some(Outcome::Succeeded)).count();
    let attempts: usize = rows.iter().map(|row| row.attempts.len()).sum();
    let mut runs: HashMap<String, usize> = HashMap::new();
    for mark in flock.marks() {
        *runs.entry(mark).or_default() += 1;
    }
    let again = runs.values().filter(|runs| **runs > 1).count();
    println!("{jobs} jobs in {took:.1} s: {:.0} jobs a second", jobs as f64 / took);
    println!("{} rows, {succeeded} succeeded, {attempts} attempts, {again} ran more than once", rows.len());
    assert_eq!((rows.len(), succeeded, runs.len(), again), (jobs, jobs, jobs, 0));
}

fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms - from_ms) as f64 / 1000.0
}
