//! The Lambda program of a flock: its scheduler, its endpoint and its reconciler, one binary for the three.
//!
//! | module | is |
//! |---|---|
//! | [`config`] | the function's environment |
//! | [`function`] | its invocations |
//! | [`event`] | SQS's events and the answers to them |
//! | [`endpoint`] | requests by API and the answers to them |
//! | [`fault`] | what Lambda is told when something fails |
//! | [`log`] | lines on standard error |
//!
//! It decides nothing of uploads and jobs: that is the library's, `shepard_lambdas`.

mod config;
mod endpoint;
mod event;
mod fault;
mod function;
mod log;

use std::process::ExitCode;

use config::Config;
use fault::Fault;
use function::Program;
use tracing::error;

/// The static binary would have musl's allocator, which takes a quarter of an invocation's CPU (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let get = |name: &str| std::env::var(name).ok();
    log::begin(get);
    let Some(api) = get("AWS_LAMBDA_RUNTIME_API") else {
        error!("this program is started by AWS Lambda: AWS_LAMBDA_RUNTIME_API is not set");
        return ExitCode::FAILURE;
    };
    let (runtime, config) = match begin(get) {
        Ok(begun) => begun,
        Err(fault) => {
            error!("cannot start: {}", fault.message);
            if let Err(error) = fault::report_failed_start(&api, &fault) {
                error!("Lambda cannot be told: {error}");
            }
            return ExitCode::FAILURE;
        }
    };
    // A task of its own: to wake the future that a runtime blocks on takes a system call each time, a task none.
    let task = runtime.spawn(async { Program::new(config).await.serve().await });
    let served = runtime.block_on(task).map_err(lambda_runtime::Error::from);
    match served.flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("no more events: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What has to be right before Lambda is asked for events. One thread: an invocation waits for the network, and an
/// environment of Lambda has less than one CPU up to 1,769 MB.
fn begin(get: impl Fn(&str) -> Option<String>) -> Result<(tokio::runtime::Runtime, Config), Fault> {
    for name in ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"]
    {
        // The runtime's crate takes them for given.
        if get(name).is_none() {
            return Err(Fault::new("Config", format!("Lambda's own environment variable {name} is not set")));
        }
    }
    let config = Config::read(get).map_err(|error| Fault::new("Config", error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok((runtime.map_err(|error| Fault::new("Start", error.to_string()))?, config))
}
