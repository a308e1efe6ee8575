//! What the job definition and the compute say in a worker's environment, read once.
//!
//! The names are the contract's, so that this program runs on the job definition of an old stack: what such a one does
//! not set has a default, and what it sets for the old program alone (`role_arn`, `role_session_name`) is passed over.

use std::collections::HashMap;

use shepard_cloud::aws::{AwsSettings, Profile};
use shepard_cloud::ports::Buckets;
use shepard_model::Isolation;
use shepard_model::isolation::IsolationError;
use shepard_model::names::worker_env as env;
use shepard_worker::{Assignment, JobError};

/// Days for which the row of a job that has ended is kept, where nobody says: what the scheduler takes as well.
const KEEP_DAYS: u32 = 30;
/// Most of them.
const MOST_DAYS: u32 = 36_500;

/// The SDK's own names for a region. The first counts before the second.
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// What a payload gets of the worker's variables, where they are set: the way to the job role's credentials, and what
/// Batch tells of the job. A file that holds a token is not among them: the payload has no such file.
const PASSED: [&str; 8] = [
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    env::COMPUTE_ID,
    env::ATTEMPT,
    env::ARRAY_INDEX,
    "AWS_BATCH_JQ_NAME",
    "AWS_BATCH_CE_NAME",
];

/// The environment of a worker.
#[derive(Clone)]
pub(crate) struct Settings {
    /// What is to be run.
    pub(crate) assignment: Assignment,
    /// What payloads are granted.
    pub(crate) isolation: Result<Isolation, IsolationError>,
    /// The flock.
    pub(crate) flock: AwsSettings,
    /// Variables for every payload.
    pub(crate) passed: Vec<(String, String)>,
}

impl std::fmt::Debug for Settings {
    /// Leaves out the variables, which hold the way to credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("flock", &self.flock).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads them off pairs of name and value.
    ///
    /// # Errors
    /// The first name that is missing or odd. A grant that cannot be is none of them: the job's row is to say so.
    pub(crate) fn read(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, JobError> {
        let known: HashMap<String, String> = pairs.into_iter().collect();
        let get = |name: &str| known.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let assignment = Assignment::from_env(&known)?;
        let buckets = assignment.common().buckets.clone();
        let buckets: Buckets = buckets.ok_or(JobError::Missing(env::INPUTS_BUCKET))?;
        let table = get(env::TABLE_NAME).ok_or(JobError::Missing(env::TABLE_NAME))?.to_owned();
        let keep_days = match get(env::KEEP_DAYS) {
            None => KEEP_DAYS,
            Some(text) => {
                text.parse().ok().filter(|days| *days <= MOST_DAYS).ok_or_else(|| JobError::Odd {
                    name: env::KEEP_DAYS,
                    value: text.chars().take(80).collect(),
                    wanted: "a number of days",
                })?
            }
        };
        // Where the SDK is told a region by its own names, that is what it takes.
        let own = REGIONS.iter().find_map(|name| get(name));
        let region = own.or_else(|| get(env::REGION)).map(str::to_owned);
        let mut passed: Vec<(String, String)> =
            PASSED.iter().filter_map(|name| Some(((*name).to_owned(), get(name)?.to_owned()))).collect();
        passed.extend(region.iter().flat_map(|region| REGIONS.map(|name| (name.to_owned(), region.clone()))));
        Ok(Self {
            isolation: Isolation::from_env(get),
            flock: AwsSettings {
                buckets,
                table,
                // A worker announces nothing and submits nothing, and has no permission to either.
                queue: None,
                dead_letters: None,
                jobs: None,
                secrets: get(env::SECRET_STORE).map(str::to_owned),
                keep_days,
                profile: Profile { region, ..Profile::default() },
            },
            assignment,
            passed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The job definition of an old stack and its scheduler's override, as they stand.
    const OLD: [(&str, &str); 15] = [
        ("role_arn", "arn:aws:iam::123456789012:role/x"),
        ("role_session_name", "access_session"),
        ("SECRET_STORE", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:s"),
        ("USES_EFS", "True"),
        ("USES_LUSTRE", "False"),
        ("region", "eu-west-1"),
        ("inputs_bucket", "i"),
        ("outputs_bucket", "o"),
        ("quick_deploy_bucket", "q"),
        ("table_name", "t"),
        ("ULIMIT_FILENO", "1048576"),
        ("ALLOW_DOCKER_ACCESS", "True"),
        ("UUID", "u"),
        ("INPUT_ZIP_NAME", "a b.zip"),
        ("IS_INVOKED", "False"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Settings, JobError> {
        Settings::read(OLD.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn passed(settings: &Settings, name: &str) -> Option<String> {
        settings.passed.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn the_environment_of_an_old_stack_is_enough() {
        let settings = read(&[]).unwrap();
        let flock = &settings.flock;
        assert_eq!((flock.table.as_str(), flock.keep_days), ("t", 30));
        assert_eq!((flock.buckets.inputs.as_str(), flock.buckets.errors.as_str()), ("i", ""));
        assert_eq!(flock.secrets.as_deref(), Some(OLD[2].1));
        assert_eq!((&flock.queue, &flock.jobs), (&None, &None));
        let granted = settings.isolation.clone().unwrap();
        assert_eq!(granted, Isolation { docker_socket: true, ..Isolation::default() });
        assert_eq!(flock.profile.region.as_deref(), Some("eu-west-1"));
        let names: Vec<&str> = settings.passed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, REGIONS, "nothing of the contract's own and no role");
    }

    #[test]
    fn the_sdks_own_region_counts_before_the_contracts() {
        let settings = read(&[("AWS_DEFAULT_REGION", "us-east-2")]).unwrap();
        assert_eq!(settings.flock.profile.region.as_deref(), Some("us-east-2"));
        assert_eq!(passed(&settings, "AWS_REGION").as_deref(), Some("us-east-2"));
        let settings = read(&[("AWS_REGION", ""), ("region", "")]).unwrap();
        assert_eq!((settings.flock.profile.region, settings.passed.len()), (None, 0));
    }

    #[test]
    fn payloads_get_the_way_to_their_credentials_and_what_batch_tells() {
        let settings = read(&[
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x"),
            ("AWS_BATCH_JOB_ID", "j:7"),
            ("AWS_BATCH_JOB_ARRAY_INDEX", "7"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/token"),
            ("AWS_SECRET_ACCESS_KEY", "mine"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x"),
        ])
        .unwrap();
        assert_eq!(
            passed(&settings, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").as_deref(),
            Some("/v2/credentials/x")
        );
        assert_eq!(passed(&settings, "AWS_BATCH_JOB_ARRAY_INDEX").as_deref(), Some("7"));
        assert_eq!(settings.passed.len(), 5, "{settings:?}");
        assert!(!format!("{settings:?}").contains("credentials/x"));
    }

    #[test]
    fn what_is_missing_or_odd_is_said() {
        let said = |more: &[(&str, &str)]| read(more).unwrap_err().to_string();
        assert!(said(&[("table_name", "")]).contains("lacks table_name"));
        assert!(said(&[("UUID", "")]).contains("lacks UUID"));
        assert!(said(&[("SHEPARD_KEEP_DAYS", "soon")]).contains("soon"));
        for name in ["inputs_bucket", "outputs_bucket", "quick_deploy_bucket"] {
            assert!(said(&[(name, "")]).contains(name));
        }
        assert_eq!(read(&[("SECRET_STORE", "")]).unwrap().flock.secrets, None);
        let odd = read(&[("SHEPARD_SHM_MIB", "much")]).unwrap().isolation.unwrap_err();
        assert!(odd.to_string().contains("SHEPARD_SHM_MIB"));
    }
}
