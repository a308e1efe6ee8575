//! The log: plain lines on standard error, which Lambda puts into CloudWatch with the time and the request.
//!
//! Only our own modules speak below `warn`: at `debug` the SDK and the runtime would write whole requests, and those
//! hold the users' variables.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Whose lines may be chatty.
const OURS: [&str; 4] = ["bootstrap", "shepard_cloud", "shepard_lambdas", "shepard_model"];

/// Begins it, at the level that `SHEPARD_LOG`, else `RUST_LOG`, names: `off`, `error`, `warn`, `info` (the default),
/// `debug` or `trace`. Anything else is `info`.
pub(crate) fn begin(get: impl Fn(&str) -> Option<String>) {
    let named = get("SHEPARD_LOG").or_else(|| get("RUST_LOG"));
    let targets = targets(named.as_deref());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time().with_ansi(false);
    // A second subscriber is impossible in a program that calls this once.
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
}

fn targets(named: Option<&str>) -> Targets {
    let level = named.and_then(|word| word.trim().parse().ok()).unwrap_or(LevelFilter::INFO);
    let others = level.min(LevelFilter::WARN);
    Targets::new().with_default(others).with_targets(OURS.map(|target| (target, level)))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn others_never_speak_below_warn() {
        for word in [None, Some("trace"), Some("aws_smithy_runtime=trace"), Some("nonsense")] {
            let targets = targets(word);
            assert!(!targets.would_enable("aws_smithy_runtime::client", &Level::INFO), "{word:?}");
            assert!(targets.would_enable("lambda_runtime", &Level::ERROR), "{word:?}");
            assert!(targets.would_enable("shepard_lambdas::scheduler", &Level::INFO), "{word:?}");
        }
        assert!(targets(Some("trace")).would_enable("bootstrap", &Level::TRACE));
        assert!(!targets(Some("off")).would_enable("lambda_runtime", &Level::ERROR));
    }
}
