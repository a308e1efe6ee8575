//! What a million jobs weigh: resident memory of a process that holds nothing else. `cargo bench --bench memory`.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it found")]

#[path = "support/mod.rs"]
mod support;

use shepard::app::filter::Filter;
use shepard::app::store::{Sort, SortKey, View};
use support::{NOW, changes, filled};

/// Resident memory now, and the most there has been, in megabytes of 10⁶ bytes.
fn resident() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024.0 / 1e6
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn main() {
    // `cargo test --all-targets` runs benches too, without this word and without optimisation.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let rows = 1_000_000;
    let (before, _) = resident();
    let mut store = filled(rows);
    let (with_store, _) = resident();
    println!(
        "store of {rows} rows: {:.0} MB, {:.0} bytes a row",
        with_store - before,
        (with_store - before) * 1e6 / f64::from(rows)
    );
    let mut view = View::new(Sort { key: SortKey::State, descending: false });
    let job = view.set_filter(Filter::default(), &store, NOW).unwrap();
    view.accept(job.run(2), &store, NOW);
    drop(job);
    let (with_view, peak) = resident();
    println!("with a sorted view: {with_view:.0} MB, at most {peak:.0} MB while sorting");
    for round in 0..100 {
        let snapshot = (round % 10 == 0).then(|| store.snapshot());
        let merged = store.merge(&changes(&store, 1_000, round), &[]);
        view.merge(&store, &merged, NOW);
        drop(snapshot);
    }
    let (after, peak) = resident();
    println!("after 100,000 changes, some under a snapshot: {after:.0} MB, at most {peak:.0} MB");
}
