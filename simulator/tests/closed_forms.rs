//! The figures against arithmetic: what the design computes by hand, the simulator must find by running.
//!
//! Notifications are prompt here: S3's delay is no part of the arithmetic, and in a run of seconds its tail would be
//! most of the time. docs/simulator.md has the same runs with it, at full length.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use shepard_simulator::{Options, Quotas, Report, Stack, simulate_with};

fn run(options: &Options) -> Report {
    let mut quotas = Quotas::built_in().unwrap();
    assert!(quotas.set("notification_ms", 1.0));
    let report = simulate_with(options, quotas, |_| ()).unwrap();
    assert_eq!(report.violations, Vec::<String>::new());
    report
}

/// Uploads a minute until 99 of 100 were submitted. The last of a run wait for nothing that binds, but for a cold start or
/// for the pause after a refusal, and that is a large part of a run of seconds.
fn rate(uploads: u32, report: &Report) -> f64 {
    f64::from(uploads) * 0.99 * 60.0 / report.more.most_seconds
}

#[track_caller]
fn close_to(found: f64, wanted: f64) {
    let off = (found / wanted - 1.0) * 100.0;
    assert!(off.abs() < 5.0, "{found:.0} a minute, {wanted:.0} by arithmetic: {off:+.1} %");
}

/// 3,500 PUT a second are all that one prefix takes, so no scheduler can be faster.
#[test]
fn one_prefix_is_bound_by_the_uploads_themselves() {
    let uploads = 50_000;
    let report = run(&Options { uploads, ..Options::default() });
    close_to(rate(uploads, &report), 3_500.0 * 60.0);
    assert_eq!(report.binding_limit, "s3_put");
    assert!(report.useful_call_ratio < 1.1, "{}", report.useful_call_ratio);
}

/// Four prefixes need a table that was warmed for their writes, and more CPU than the usual ten instances have.
#[test]
fn four_prefixes_take_four_times_as_much() {
    let stack = Stack { concurrency: 20, ..Stack::default() };
    let uploads = 150_000;
    let options = Options { uploads, prefixes: 4, warm_writes: Some(40_000), stack, ..Options::default() };
    let report = run(&options);
    close_to(rate(uploads, &report), 4.0 * 3_500.0 * 60.0);
    assert_eq!(report.binding_limit, "s3_put");
    assert!(report.useful_call_ratio < 1.1, "{}", report.useful_call_ratio);
}

/// Without array jobs each upload is one of 50 SubmitJob a second.
#[test]
fn without_arrays_it_is_submit_job_that_binds() {
    let uploads = 6_000;
    let report = run(&Options { uploads, arrays: false, ..Options::default() });
    close_to(rate(uploads, &report), 50.0 * 60.0);
    assert_eq!(report.binding_limit, "batch_submit");
}
