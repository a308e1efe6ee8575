//! `/worker` of a flock's image: one attempt of what the environment names, on AWS and a Docker engine.
//!
//! It exits as [`shepard_worker::Exit`] says: a code from 70 on asks for another attempt. 8 is an environment that is
//! none of a worker. Its own words go to standard error, the job's log to standard output.

mod image;

use std::path::Path;
use std::process::ExitCode;

use shepard_worker::Stop;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The static binary would have musl's allocator, which gives memory back late and takes it slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The environment or the system does not let a worker begin. No row was touched.
const UNFIT: u8 = 8;
/// Threads of the runtime: one for a heartbeat while the other is busy with a zip's bytes.
const THREADS: usize = 2;

fn main() -> ExitCode {
    begin_log(std::env::var("SHEPARD_LOG").ok().as_deref());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let outcome = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let code = runtime.block_on(async {
            let stop = Stop::new();
            image::heed(&stop).map_err(|error| error.to_string())?;
            // A name or value that is no text is none that a worker knows.
            let environment = std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
            let run = image::run(environment, Path::new("/"), std::io::stdout(), stop);
            Box::pin(run).await.map_err(|error| error.to_string())
        });
        // A thread that is stuck in the output, or in a disk that hangs, does not keep the process.
        runtime.shutdown_background();
        code
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tracing::error!("the worker cannot begin: {error}");
            ExitCode::from(UNFIT)
        }
    }
}

/// Plain lines on standard error, at the level that `SHEPARD_LOG` names (`info`). Others than our own modules speak from
/// `warn` on: the SDK would write whole requests, and those hold the users' variables.
fn begin_log(named: Option<&str>) {
    const OURS: [&str; 6] =
        ["worker", "shepard_cloud", "shepard_container", "shepard_engine", "shepard_model", "shepard_worker"];
    let level = named.and_then(|word| word.trim().parse().ok()).unwrap_or(LevelFilter::INFO);
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(OURS.map(|target| (target, level)));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time().with_ansi(false);
    // A second subscriber is impossible in a program that calls this once.
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
}
