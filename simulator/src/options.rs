//! What a run is asked to do, and the command line that asks for it again.

use std::fmt;

use fastrand::Rng;
use shepard_cloud::Kind;

/// How our stack is set up: what its template says, not what AWS allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stack {
    /// Memory of the scheduler's function, in MiB; its share of a CPU follows from it.
    pub memory_mib: u32,
    /// Timeout of the function, in seconds.
    pub timeout_s: u32,
    /// Visibility timeout of the queue, in seconds: six times the function's, as AWS advises.
    pub visibility_s: u32,
    /// Deliveries after which a message is a dead letter.
    pub max_deliveries: u32,
    /// `MaximumConcurrency` of the event source mapping.
    pub concurrency: usize,
    /// How often the reconciliation runs, in seconds; 0 is never.
    pub reconcile_s: u32,
    /// Uploads read at once in one instance.
    pub reads: usize,
    /// How long what an instance began is left to it, in seconds.
    pub lease_s: u32,
    /// How long messages that an instance takes itself stay hidden, in seconds.
    pub hide_s: u32,
    /// SubmitJob a second of one instance.
    pub submits_per_s: f64,
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            memory_mib: 1_024,
            timeout_s: 60,
            visibility_s: 360,
            max_deliveries: 10,
            concurrency: 10,
            reconcile_s: 300,
            // The defaults of lambdas/bootstrap.
            reads: 64,
            lease_s: 30,
            hide_s: 120,
            submits_per_s: 40.0,
        }
    }
}

/// A fault that is built into a model on purpose, to see that the checker finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// The table says that it wrote a row and did not.
    LostRow,
    /// The table takes every claim.
    EveryClaim,
    /// The queue deletes a message that nobody has received.
    LostMessage,
    /// A quota lets everything through.
    LeakingQuota,
    /// The table writes a row under a second id as well.
    TwoRows,
}

/// A service that answers nothing but an error for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    /// Beginning of the names of its operations.
    pub service: &'static str,
    /// From this second.
    pub from_s: u64,
    /// Until this one.
    pub to_s: u64,
    /// The error.
    pub kind: Kind,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Uploads.
    pub uploads: u32,
    /// Prefixes of the bucket that S3 has made partitions of; each is written to as fast as S3 takes it.
    pub prefixes: u32,
    /// Different job shapes, at random.
    pub shapes: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Chance of a crash at each call to AWS, half of them before it has an effect and half after.
    pub crash_rate: f64,
    /// Chance that the answer of a call is lost after it had its effect.
    pub lost_response_rate: f64,
    /// Chance that a request arrives seconds after its caller gave up on it or died.
    pub late_effect_rate: f64,
    /// Share of the notifications that never come; the reconciliation then looks for lost uploads.
    pub lost_notification_rate: f64,
    /// A service that is down for a while.
    pub outage: Option<Outage>,
    /// Share of the notifications that come twice; None is the quotas file's.
    pub duplicate_rate: Option<f64>,
    /// Share of the notifications that take a minute; None is the quotas file's.
    pub late_rate: Option<f64>,
    /// All latencies times this.
    pub latency_factor: f64,
    /// Share of the account's SubmitJob calls that are left for this flock.
    pub submit_share: f64,
    /// Array jobs.
    pub arrays: bool,
    /// Rows that a child runs.
    pub pack: u32,
    /// One upload every so many seconds; 0 is as fast as S3 takes them.
    pub every_s: u32,
    /// Write units a second that the table was warmed for; None is a new table.
    pub warm_writes: Option<u32>,
    /// Our stack.
    pub stack: Stack,
    /// All rates of AWS times this, so that few uploads meet limits too. Only for the sweep of seeds.
    pub quota_factor: f64,
    /// Malformed archives, vanished objects and odd messages among the uploads. Only for the sweep of seeds.
    pub odd: bool,
    /// A fault in a model, for tests of the checker.
    pub planted: Option<Planted>,
    /// These options were drawn for a seed of the sweep.
    pub drawn: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            uploads: 1_000,
            prefixes: 1,
            shapes: 1,
            seed: 1,
            crash_rate: 0.0,
            lost_response_rate: 0.0,
            late_effect_rate: 0.0,
            lost_notification_rate: 0.0,
            outage: None,
            duplicate_rate: None,
            late_rate: None,
            latency_factor: 1.0,
            submit_share: 1.0,
            arrays: true,
            pack: 1,
            every_s: 0,
            warm_writes: None,
            stack: Stack::default(),
            quota_factor: 1.0,
            odd: false,
            planted: None,
            drawn: false,
        }
    }
}

impl Options {
    /// The run of one seed of the sweep: everything about it is drawn from the seed.
    pub fn drawn(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5eed_0f5e_ed5e_ed00);
        let mut pick = |some: &[f64]| some[rng.usize(..some.len())];
        let crash_rate = pick(&[0.0, 0.002, 0.01, 0.03, 0.06]);
        let lost_response_rate = pick(&[0.0, 0.0, 0.01, 0.05, 0.1]);
        let duplicate_rate = pick(&[0.0, 0.1, 0.3, 1.0]);
        let late_rate = pick(&[0.0, 0.05, 0.3]);
        let quota_factor = pick(&[1.0, 0.1, 0.02, 0.01]);
        let latency_factor = pick(&[0.5, 1.0, 3.0, 20.0]);
        let late_effect_rate = pick(&[0.0, 0.0, 0.01, 0.05]);
        let reconcile_s = [0, 0, 60, 300, 900][rng.usize(..5)];
        let lost = if reconcile_s > 0 { [0.0, 0.0, 0.1][rng.usize(..3)] } else { 0.0 };
        let outage = (rng.u32(..3) == 0).then(|| {
            let from_s = rng.u64(..30);
            let services = ["s3:", "s3:Put", "dynamodb:", "dynamodb:Put", "batch:", "batch:Submit", "sqs:"];
            Outage {
                service: services[rng.usize(..services.len())],
                from_s,
                to_s: from_s + rng.u64(5..90),
                kind: [Kind::Throttled, Kind::Offline, Kind::Denied, Kind::Other][rng.usize(..4)],
            }
        });
        let stack = Stack {
            concurrency: rng.usize(2..=12),
            memory_mib: [128, 512, 1_769][rng.usize(..3)],
            reconcile_s,
            // Short leases run out while their owners are still at work.
            lease_s: [1, 5, 30][rng.usize(..3)],
            // More than a template has: with crashes this often, five deliveries are used up by crashes alone.
            max_deliveries: 1_000,
            ..Stack::default()
        };
        Self {
            uploads: rng.u32(1..=100),
            prefixes: rng.u32(1..=3),
            shapes: [1, 1, 2, 5][rng.usize(..4)],
            seed,
            crash_rate,
            lost_response_rate,
            late_effect_rate,
            lost_notification_rate: lost,
            outage,
            duplicate_rate: Some(duplicate_rate),
            late_rate: Some(late_rate),
            latency_factor,
            arrays: rng.f64() < 0.85,
            pack: [1, 1, 1, 3, 50][rng.usize(..5)],
            every_s: [0, 0, 0, 0, 1][rng.usize(..5)],
            stack,
            quota_factor,
            odd: true,
            drawn: true,
            ..Self::default()
        }
    }

    /// Small enough that its workers run beside the scheduler and not after it.
    pub fn small(&self) -> bool {
        self.uploads <= 5_000
    }

    /// Virtual time by which everything must be done, in microseconds.
    pub(crate) fn deadline_us(&self) -> u64 {
        // What a plain SubmitJob for each upload needs at a tenth of its rate, and a day for redeliveries.
        let plain_s = u64::from(self.uploads) / 4;
        let quiet_s = u64::from(self.uploads) * u64::from(self.every_s);
        (plain_s + quiet_s + 86_400) * 1_000_000
    }
}

/// The command line that runs the same again.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cargo run --release --bin simulate --")?;
        if self.drawn {
            return write!(f, " --verify-seeds {}..{}", self.seed, self.seed + 1);
        }
        let plain = Self::default();
        write!(
            f,
            " --uploads {} --prefixes {} --shapes {} --seed {}",
            self.uploads, self.prefixes, self.shapes, self.seed
        )?;
        let mut number = |name: &str, value: f64, usual: f64| match (value - usual).abs() > f64::EPSILON {
            true => write!(f, " --{name} {value}"),
            false => Ok(()),
        };
        number("crash-rate", self.crash_rate, 0.0)?;
        number("lost-response-rate", self.lost_response_rate, 0.0)?;
        number("duplicate-rate", self.duplicate_rate.unwrap_or(-1.0), -1.0)?;
        number("late-rate", self.late_rate.unwrap_or(-1.0), -1.0)?;
        number("latency-factor", self.latency_factor, 1.0)?;
        number("submit-share", self.submit_share, 1.0)?;
        number("pack", f64::from(self.pack), 1.0)?;
        number("every", f64::from(self.every_s), 0.0)?;
        number("warm-writes", self.warm_writes.map_or(0.0, f64::from), 0.0)?;
        number("concurrency", self.stack.concurrency as f64, plain.stack.concurrency as f64)?;
        number("memory", f64::from(self.stack.memory_mib), f64::from(plain.stack.memory_mib))?;
        if !self.arrays {
            f.write_str(" --arrays off")?;
        }
        Ok(())
    }
}
