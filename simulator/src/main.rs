//! The scheduler on virtual time: the command line of the simulator.

use std::io::{self, IsTerminal as _, Write as _};
use std::ops::Range;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use shepard_simulator::{Options, Progress, Stack, simulate};

/// Runs the scheduler's own code on virtual time against models of AWS that enforce its quotas.
///
/// All figures are modelled. docs/simulator.md says what is modelled and how, simulator/quotas.toml where each number
/// is from.
#[derive(Parser)]
#[command(name = "simulate", version)]
struct Arguments {
    /// Uploads
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    uploads: u32,
    /// Prefixes of the bucket, each written to as fast as S3 takes it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    prefixes: u32,
    /// Different job shapes among the uploads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    shapes: u32,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Chance of a crash at each call to AWS
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    crash_rate: f64,
    /// Chance that the answer of a call is lost after its effect
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    lost_response_rate: f64,
    /// Share of the notifications that come twice
    #[arg(long, value_parser = share)]
    duplicate_rate: Option<f64>,
    /// Share of the notifications that take a minute
    #[arg(long, value_parser = share)]
    late_rate: Option<f64>,
    /// All latencies times this
    #[arg(long, default_value_t = 1.0)]
    latency_factor: f64,
    /// Share of the account's SubmitJob calls that are left for this flock
    #[arg(long, default_value_t = 1.0, value_parser = share)]
    submit_share: f64,
    /// Array jobs
    #[arg(long, value_enum, default_value_t = Switch::On)]
    arrays: Switch,
    /// Uploads that one container runs
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pack: u32,
    /// One upload every so many seconds; 0 is as fast as S3 takes them
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    every: u32,
    /// Write units a second that the table was warmed for; a new table has 4,000
    #[arg(long, value_name = "UNITS")]
    warm_writes: Option<u32>,
    /// MaximumConcurrency of the event source mapping
    #[arg(long, default_value_t = Stack::default().concurrency)]
    concurrency: usize,
    /// Memory of the function, in MiB
    #[arg(long, default_value_t = Stack::default().memory_mib)]
    memory: u32,
    /// Instead: the small worlds of these seeds, each drawn from its seed, and what they violate
    #[arg(long, value_name = "FROM..TO", value_parser = seeds)]
    verify_seeds: Option<Range<u64>>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "a number from 0 to 1".to_owned())
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("FROM..TO, such as 0..10000")?;
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from < to => Ok(from..to),
        _ => Err("FROM..TO, such as 0..10000".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.verify_seeds.clone() {
        Some(seeds) => verify(seeds, arguments.output),
        None => once(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn once(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    let options = Options {
        uploads: arguments.uploads,
        prefixes: arguments.prefixes,
        shapes: arguments.shapes,
        seed: arguments.seed,
        crash_rate: arguments.crash_rate,
        lost_response_rate: arguments.lost_response_rate,
        duplicate_rate: arguments.duplicate_rate,
        late_rate: arguments.late_rate,
        latency_factor: arguments.latency_factor,
        submit_share: arguments.submit_share,
        arrays: arguments.arrays == Switch::On,
        pack: arguments.pack,
        every_s: arguments.every,
        warm_writes: arguments.warm_writes,
        stack: Stack {
            concurrency: arguments.concurrency.max(1),
            memory_mib: arguments.memory.max(128),
            ..Stack::default()
        },
        ..Options::default()
    };
    let report = simulate(&options, if io::stderr().is_terminal() { show } else { |_| () })?;
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    match arguments.output {
        Output::Text => write!(io::stdout(), "{}", report.text())?,
        Output::Json => writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&report)?)?,
    }
    Ok(report.violations.is_empty())
}

fn show(progress: Progress) {
    if progress.seconds.is_multiple_of(5) {
        let Progress { put, settled, seconds } = progress;
        let _ = write!(io::stderr(), "\r\x1b[K{seconds} s on the clock: {put} put, {settled} submitted");
    }
}

/// The sweep. Prints what was violated, and how many seeds held.
fn verify(seeds: Range<u64>, output: Output) -> Result<bool, Box<dyn std::error::Error>> {
    let (mut violations, mut bad) = (Vec::new(), 0_u64);
    let (mut uploads, mut crashes, mut doubled, mut refused) = (0_u64, 0, 0, 0);
    for seed in seeds.clone() {
        let options = Options::drawn(seed);
        let report = simulate(&options, |_| ())?;
        uploads += u64::from(options.uploads);
        crashes += report.more.crashes;
        doubled += report.more.doubled;
        refused += report.more.refused.values().sum::<u64>();
        bad += u64::from(!report.violations.is_empty());
        if output == Output::Text {
            report.violations.iter().try_for_each(|what| writeln!(io::stdout(), "seed {seed}: {what}"))?;
        }
        violations.extend(report.violations);
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[Kseed {seed}: {bad} bad so far");
        }
    }
    let count = seeds.end - seeds.start;
    match output {
        Output::Text => writeln!(
            io::stdout(),
            "{count} seeds, {uploads} uploads; {crashes} crashes and timeouts, {refused} refused calls, {doubled} second \
             runs prevented: {bad} seeds with violations"
        )?,
        Output::Json => {
            let all = serde_json::json!({
                "seeds": count, "uploads": uploads, "crashes": crashes, "refused_calls": refused,
                "second_runs_prevented": doubled, "bad_seeds": bad, "violations": violations,
            });
            writeln!(io::stdout(), "{all}")?;
        }
    }
    Ok(bad == 0)
}
