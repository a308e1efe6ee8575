//! Small worlds with crashes, lost answers, duplicates, late messages and throttling: each drawn from its seed, each with
//! the same end. `SHEPARD_SEEDS` sets how many; `simulate --verify-seeds FROM..TO` does the same from the command line.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use shepard_simulator::{Options, Planted, Report, Stack, simulate};

fn run(options: &Options) -> Report {
    simulate(options, |_| ()).unwrap()
}

#[test]
fn every_upload_has_one_row_and_one_run_whatever_happens() {
    let seeds: u64 = std::env::var("SHEPARD_SEEDS").map_or(300, |count| count.parse().expect("a number"));
    let (mut crashes, mut refused, mut doubled) = (0, 0, 0);
    for seed in 0..seeds {
        let options = Options::drawn(seed);
        let report = run(&options);
        assert!(report.violations.is_empty(), "{:#?}", report.violations);
        crashes += report.more.crashes;
        refused += report.more.refused.values().sum::<u64>();
        doubled += report.more.doubled;
    }
    // A calm sweep proves nothing.
    assert!(crashes > seeds && refused > seeds && doubled > 0, "{crashes} {refused} {doubled}");
}

#[test]
fn a_seed_takes_the_same_steps_again() {
    for seed in [3, 33, 77] {
        let options = Options::drawn(seed);
        assert_eq!(run(&options), run(&options), "seed {seed}");
    }
    let large = Options { uploads: 6_000, shapes: 20, crash_rate: 0.001, ..Options::default() };
    assert_eq!(run(&large), run(&large));
}

/// What is said when a fault is planted in a model.
fn planted(planted: Planted) -> String {
    let options = Options {
        uploads: 400,
        duplicate_rate: Some(0.5),
        lost_response_rate: 0.1,
        // A leak shows only where the scheduler sends more than there is room for.
        arrays: planted != Planted::LeakingQuota,
        submit_share: if planted == Planted::LeakingQuota { 0.02 } else { 1.0 },
        planted: Some(planted),
        ..Options::default()
    };
    run(&options).violations.join("\n")
}

/// A checker that finds nothing in a broken world is worth nothing.
#[test]
fn the_checks_find_what_is_broken() {
    for (fault, said) in [
        (Planted::LostRow, "was submitted before its row was written"),
        (Planted::LostRow, "has no row"),
        (Planted::TwoRows, "has 2 rows"),
        (Planted::TwoRows, "belongs to no upload"),
        (Planted::LostMessage, "upload 0"),
        (Planted::LeakingQuota, "the quota batch_submit was exceeded"),
    ] {
        let found = planted(fault);
        assert!(found.contains(said), "{fault:?}: {said:?} is not in {found:?}");
        assert!(
            found.contains("--uploads 400") && found.contains("--seed 1"),
            "how to run it again: {found}"
        );
    }
}

/// The same for claims, which only a second submission of the same rows puts to the test.
#[test]
fn the_checks_find_a_second_run() {
    let with = |seed| run(&Options { planted: Some(Planted::EveryClaim), ..Options::drawn(seed) });
    let found = (0..300).map(with).find(|report| report.more.doubled > 0).expect("a second submission");
    let said = found.violations.join("\n");
    assert!(said.contains("ran 2 times") && said.contains("--verify-seeds"), "{said}");
}

#[test]
fn a_violation_names_the_command_that_shows_it_again() {
    let options = Options { crash_rate: 0.02, arrays: false, every_s: 3, ..Options::default() };
    let again = options.to_string();
    let command = "cargo run --release --bin simulate -- --uploads 1000 --prefixes 1 --shapes 1 --seed 1";
    assert_eq!(again, format!("{command} --crash-rate 0.02 --every 3 --arrays off"));
    assert!(Options::drawn(7).to_string().ends_with("--verify-seeds 7..8"));
}

#[test]
fn one_upload_at_a_quiet_time_is_with_the_compute_within_a_second() {
    let quiet = Options { uploads: 200, every_s: 60, ..Options::default() };
    let report = run(&quiet);
    assert_eq!(report.violations, Vec::<String>::new());
    assert!(report.latency_p50_ms < 1_000.0, "{}", report.latency_p50_ms);
    assert_eq!(report.more.jobs, 200);
}

#[test]
fn slow_services_and_a_small_function_lose_nothing() {
    let stack = Stack { memory_mib: 128, ..Stack::default() };
    let slow =
        Options { uploads: 5_500, latency_factor: 3.0, shapes: 3, pack: 10, stack, ..Options::default() };
    assert_eq!(run(&slow).violations, Vec::<String>::new());
}
