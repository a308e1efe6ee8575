//! The function's environment, read once at its start.
//!
//! The names in lower case are the original template's, so that the environment of an old stack is enough. Ours begin
//! with `SHEPARD_` and have defaults. What is missing or odd is one sentence that names the variable; the values are
//! a template's and no user's, so the sentence may show them.

use std::str::FromStr;

/// Which of the three functions this is, by the handler in its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// Messages of uploads in, rows and jobs out.
    Scheduler,
    /// Jobs by API.
    Endpoint,
    /// Scheduled: finishes what a crash left.
    Reconciler,
}

impl Function {
    const ALL: [(&'static str, Self); 3] =
        [("scheduler", Self::Scheduler), ("endpoint", Self::Endpoint), ("reconciler", Self::Reconciler)];
}

/// What the environment says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// Which function.
    pub(crate) function: Function,
    /// `dynamodb_table_name`.
    pub(crate) table: String,
    /// `job_queue_name`: its ARN.
    pub(crate) job_queue: String,
    /// `job_definition_arn`.
    pub(crate) job_definition: String,
    /// `project_name`: a word of the answers.
    pub(crate) project: String,
    /// `days_to_keep_failed_launch_indexes`.
    pub(crate) keep_days: u32,
    /// `inputs_bucket`. Absent on an old stack: then any bucket's uploads are taken, and arrays are off, because
    /// their manifests would have no place.
    pub(crate) inputs: Option<String>,
    /// `SHEPARD_ARRAYS`: the workers of this flock know manifests.
    pub(crate) arrays: bool,
    /// `SHEPARD_PARTIAL_FAILURES`: the event source mapping has `ReportBatchItemFailures`.
    pub(crate) partial_failures: bool,
    /// `SHEPARD_PACK`: rows in one container where a job does not say.
    pub(crate) pack: u32,
    /// `SHEPARD_QUEUE_URL`. Absent: found by the ARN in the event.
    pub(crate) queue_url: Option<String>,
    /// `SHEPARD_SUBMITS_PER_SECOND`.
    pub(crate) submits_per_second: f64,
    /// `SHEPARD_CONCURRENCY`: uploads read at once.
    pub(crate) concurrency: usize,
    /// `SHEPARD_LEASE_SECONDS`: how long what was begun is left to who began it.
    pub(crate) lease_s: u32,
    /// `SHEPARD_DRAIN_MILLISECONDS`: how long a burst is gathered.
    pub(crate) drain_ms: u64,
    /// `SHEPARD_BATCH_GRACE_SECONDS`: how long the reconciler leaves a batch to the scheduler.
    pub(crate) batch_grace_s: u32,
    /// `SHEPARD_LOST_UPLOADS_HOURS`: how old an upload may be that the reconciler still misses a row of; 0 is not to
    /// look. Only for a table whose time to live is `SHEPARD_EXPIRES`: one that forgets by `END_TIME` forgets a row as
    /// soon as it ends, and every job would run again.
    pub(crate) lost_uploads_h: u32,
    /// `AWS_LAMBDA_LOG_STREAM_NAME`: names this container among others.
    pub(crate) log_stream: String,
}

/// Why the function cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Needed, and not there.
    #[error("the environment variable {0} is not set; it must hold {1}")]
    Missing(&'static str, &'static str),
    /// There, and not what it should be.
    #[error("the environment variable {name} must be {wanted}, but is {found:?}")]
    Odd {
        /// The variable.
        name: &'static str,
        /// What it may be.
        wanted: String,
        /// What it is.
        found: String,
    },
}

impl Config {
    /// Reads it; `get` gives a variable's value.
    ///
    /// # Errors
    /// The first variable that is missing or odd.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get =
            |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let needed = |name, what| get(name).ok_or(ConfigError::Missing(name, what));
        let handler = needed("_HANDLER", "the function's handler: scheduler, endpoint or reconciler")?;
        let found = Function::ALL.iter().find(|(name, _)| *name == handler);
        let function = found
            .map(|(_, function)| *function)
            .ok_or_else(|| odd("_HANDLER", "scheduler, endpoint or reconciler", &handler))?;
        let config = Self {
            function,
            table: needed("dynamodb_table_name", "the name of the job table")?,
            job_queue: needed("job_queue_name", "the ARN of the job queue")?,
            job_definition: needed("job_definition_arn", "the ARN of the job definition")?,
            project: needed("project_name", "the name of the project")?,
            keep_days: match get("days_to_keep_failed_launch_indexes") {
                Some(text) => number("days_to_keep_failed_launch_indexes", &text, 0, 36_500)?,
                None => {
                    let what = "the days that an unfinished row is kept";
                    return Err(ConfigError::Missing("days_to_keep_failed_launch_indexes", what));
                }
            },
            inputs: get("inputs_bucket"),
            arrays: flag("SHEPARD_ARRAYS", &get)?,
            partial_failures: flag("SHEPARD_PARTIAL_FAILURES", &get)?,
            pack: or("SHEPARD_PACK", &get, 1, 1, shepard_model::shape::MAX_PACK)?,
            queue_url: get("SHEPARD_QUEUE_URL"),
            submits_per_second: or("SHEPARD_SUBMITS_PER_SECOND", &get, SUBMITS_PER_SECOND, 0.1, 500.0)?,
            concurrency: or("SHEPARD_CONCURRENCY", &get, CONCURRENCY, 1, 1_000)?,
            lease_s: or("SHEPARD_LEASE_SECONDS", &get, LEASE_S, 1, 3_600)?,
            drain_ms: or("SHEPARD_DRAIN_MILLISECONDS", &get, DRAIN_MS, 0, 20_000)?,
            batch_grace_s: or("SHEPARD_BATCH_GRACE_SECONDS", &get, BATCH_GRACE_S, 1, 86_400)?,
            lost_uploads_h: or("SHEPARD_LOST_UPLOADS_HOURS", &get, 0, 0, 876_000)?,
            log_stream: get("AWS_LAMBDA_LOG_STREAM_NAME").unwrap_or_default(),
        };
        if config.arrays && config.inputs.is_none() {
            let what =
                "the name of the inputs bucket, because SHEPARD_ARRAYS is True and manifests are kept in it";
            return Err(ConfigError::Missing("inputs_bucket", what));
        }
        // Beyond that a row may be forgotten, and an upload without one is not lost.
        if u64::from(config.lost_uploads_h) > u64::from(config.keep_days) * 24 {
            let wanted = "no more hours than the days of days_to_keep_failed_launch_indexes have";
            return Err(odd("SHEPARD_LOST_UPLOADS_HOURS", wanted, &config.lost_uploads_h.to_string()));
        }
        Ok(config)
    }
}

/// Below the 50 a second that AWS allows an account in a region (service quotas of AWS Batch, 2026-11), to leave room
/// for people and other flocks.
const SUBMITS_PER_SECOND: f64 = 45.0;
/// 64 reads at once fill a container's network without filling its memory.
const CONCURRENCY: usize = 64;
/// Nobody waits for it alone: an empty receive ends it. In a burst it is what 2,000 messages take.
const DRAIN_MS: u64 = 300;
/// Longer than a message that nobody deleted stays hidden, and than the longest delay of one: 15 minutes.
const BATCH_GRACE_S: u32 = 900;
/// Longer than an invocation's work on one message takes, short enough that a crash is made up for soon.
const LEASE_S: u32 = 30;

fn odd(name: &'static str, wanted: impl Into<String>, found: &str) -> ConfigError {
    ConfigError::Odd { name, wanted: wanted.into(), found: found.chars().take(60).collect() }
}

fn flag(name: &'static str, get: &impl Fn(&str) -> Option<String>) -> Result<bool, ConfigError> {
    match get(name).as_deref() {
        None | Some("False") => Ok(false),
        Some("True") => Ok(true),
        Some(other) => Err(odd(name, "True or False", other)),
    }
}

fn or<N>(
    name: &'static str,
    get: &impl Fn(&str) -> Option<String>,
    default: N,
    least: N,
    most: N,
) -> Result<N, ConfigError>
where
    N: Copy + FromStr + PartialOrd + std::fmt::Display,
{
    get(name).map_or(Ok(default), |text| number(name, &text, least, most))
}

fn number<N>(name: &'static str, text: &str, least: N, most: N) -> Result<N, ConfigError>
where
    N: Copy + FromStr + PartialOrd + std::fmt::Display,
{
    match text.parse::<N>() {
        Ok(found) if found >= least && found <= most => Ok(found),
        _ => Err(odd(name, format!("a number from {least} to {most}"), text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[(&str, &str)] = &[
        ("_HANDLER", "scheduler"),
        ("dynamodb_table_name", "shepard-table"),
        ("job_queue_name", "arn:aws:batch:us-east-1:123456789012:job-queue/q"),
        ("job_definition_arn", "arn:aws:batch:us-east-1:123456789012:job-definition/d:3"),
        ("project_name", "shepard-project"),
        ("days_to_keep_failed_launch_indexes", "30"),
        ("reserved_keywords", "['UUID', 'START_TIME']"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(|name| {
            let changed = changes.iter().find(|(known, _)| *known == name);
            let (_, value) = changed.or_else(|| OLD.iter().find(|(known, _)| *known == name))?;
            Some((*value).to_owned())
        })
    }

    #[test]
    fn the_environment_of_an_old_stack_is_enough() {
        let config = read(&[]).expect("a configuration");
        assert_eq!((config.function, config.keep_days, config.pack), (Function::Scheduler, 30, 1));
        assert_eq!((config.arrays, config.partial_failures), (false, false));
        assert_eq!((config.inputs, config.queue_url), (None, None));
    }

    #[test]
    fn ours_are_read() {
        let config = read(&[
            ("_HANDLER", "reconciler"),
            ("inputs_bucket", "in"),
            ("SHEPARD_ARRAYS", "True"),
            ("SHEPARD_PACK", "50"),
            ("SHEPARD_SUBMITS_PER_SECOND", "12.5"),
        ])
        .expect("a configuration");
        assert_eq!((config.function, config.arrays, config.pack), (Function::Reconciler, true, 50));
        assert!((config.submits_per_second - 12.5).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_missing_or_odd_is_named() {
        let said = |changes: &[(&str, &str)]| read(changes).expect_err("an error").to_string();
        assert_eq!(
            said(&[("_HANDLER", "index.lambda_handler")]),
            r#"the environment variable _HANDLER must be scheduler, endpoint or reconciler, but is "index.lambda_handler""#
        );
        assert_eq!(
            said(&[("dynamodb_table_name", " ")]),
            "the environment variable dynamodb_table_name is not set; it must hold the name of the job table"
        );
        for (name, value) in [
            ("days_to_keep_failed_launch_indexes", "-1"),
            ("days_to_keep_failed_launch_indexes", "thirty"),
            ("SHEPARD_ARRAYS", "yes"),
            ("SHEPARD_PARTIAL_FAILURES", "true"),
            ("SHEPARD_PACK", "0"),
            ("SHEPARD_PACK", "1001"),
            ("SHEPARD_SUBMITS_PER_SECOND", "NaN"),
            ("SHEPARD_CONCURRENCY", "1e3"),
            ("SHEPARD_LEASE_SECONDS", "0"),
            ("SHEPARD_LOST_UPLOADS_HOURS", "721"),
        ] {
            let said = said(&[(name, value)]);
            assert!(said.contains(name) && said.contains(value), "{said}");
        }
        assert!(said(&[("SHEPARD_ARRAYS", "True")]).contains("inputs_bucket"));
    }
}
