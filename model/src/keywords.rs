//! The names a user may not choose, and the two that mean something.

/// Names the worker sets itself. A user's variable of such a name, in any case, rejects the job.
pub const RESERVED: [&str; 23] = [
    "UUID",
    "START_TIME",
    "END_TIME",
    "JOB_STATUS",
    "EFS_INPUT_NAME",
    "EFS_OUTPUT_NAME",
    "LUSTRE_INPUT_NAME",
    "LUSTRE_OUTPUT_NAME",
    "ROOT_INPUT_NAME",
    "ROOT_OUTPUT_NAME",
    "INPUTS_BUCKET",
    "OUTPUTS_BUCKET",
    "ERROR_BUCKET",
    "INPUT_ZIP_NAME",
    "PATH",
    "HOSTNAME",
    "USES_EFS",
    "USES_LUSTRE",
    "LUSTRE_READ_ONLY_PATH",
    "EFS_READ_ONLY_PATH",
    "ULIMIT_FILENO",
    "IS_INVOKED",
    "ALLOW_DOCKER_ACCESS",
];

/// Prefix of the result's name, in any case.
pub const TAG: &str = "TAG";
/// Folder of the quick-deploy bucket whose `run.sh` is run, in any case. The string `None` means off.
pub const QUICK_DEPLOY_DIRECTORY: &str = "QUICK_DEPLOY_DIRECTORY";
/// Names with this prefix are Shepard's own settings for one job.
pub const SETTING_PREFIX: &str = "SHEPARD_";

/// The reserved keyword that `name` is, whatever its case.
pub fn reserved(name: &str) -> Option<&'static str> {
    RESERVED.into_iter().find(|word| word.eq_ignore_ascii_case(name))
}

/// Why `name` cannot be the name of an environment variable, in words for its author.
///
/// Deliberately wider than POSIX: `my-var` and `a.b` reached payloads before and still do. Refused is what no
/// environment can carry, or what the original's env file cut apart.
pub fn env_name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.contains('=') {
        Some("it contains '='")
    } else if name.starts_with('#') {
        Some("it starts with '#'")
    } else if name.chars().any(char::is_whitespace) {
        Some("it contains white space")
    } else if name.chars().any(char::is_control) {
        Some("it contains a control character")
    } else {
        None
    }
}
