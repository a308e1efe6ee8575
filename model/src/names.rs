//! Names that leave the system: output keys, artefact keys, environment variables of the worker.

use crate::id::JobId;

/// Which filesystem a result came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// The host's own disk.
    Root,
    /// The shared EFS.
    Efs,
    /// The Lustre scratch.
    Lustre,
}

impl Filesystem {
    /// The word in the result's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Efs => "efs",
            Self::Lustre => "lustre",
        }
    }
}

/// Key of a result: `[<TAG>_]result@<UUID>_<start epoch seconds>_<root|efs|lustre>.zip`.
///
/// The tag is used as it is, so a `/` in it makes a prefix, as in the original.
pub fn result_key(tag: Option<&str>, id: &JobId, start_epoch_s: i64, from: Filesystem) -> String {
    let prefix = tag.map(|tag| format!("{tag}_")).unwrap_or_default();
    format!("{prefix}result@{id}_{start_epoch_s}_{}.zip", from.word())
}

/// Key, in the errors bucket, of what a failed attempt left: its log and partial outputs, in one zip.
pub fn failure_key(tag: Option<&str>, id: &JobId, start_epoch_s: i64) -> String {
    let prefix = tag.map(|tag| format!("{tag}_")).unwrap_or_default();
    format!("{prefix}error@{id}_{start_epoch_s}.zip")
}

/// Longest key that S3 takes, in bytes (S3 user guide, 2026-11).
pub const LONGEST_KEY: usize = 1024;

/// Why a key is none that we write; None where it is one. It must fit into S3, and could be a path: nothing that we make
/// may lead out of a folder when it is downloaded.
pub fn key_problem(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        Some("the key is empty")
    } else if key.len() > LONGEST_KEY {
        Some("the key is longer than 1024 bytes")
    } else if key.starts_with('/') || key.contains('\0') || key.split('/').any(|part| part == "..") {
        Some("the key leads out of its bucket")
    } else {
        None
    }
}

/// Random hex digits in the key of an upload: 48 bits. Ten thousand folders of one name meet with a chance of 1 in
/// 5 million.
pub const UPLOAD_DIGITS: usize = 12;
/// Longest part of a folder's name that goes into a key, in bytes.
const NAMED: usize = 64;

/// The key under which a folder is uploaded: its name, so that a person finds the job by it, and random digits, so
/// that no two uploads meet. The original used random digits alone, which told nobody anything.
pub fn upload_key(folder: &str, random: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let mut name: String = folder.strip_suffix(".zip").unwrap_or(folder).chars().map(plain).collect();
    let mut end = name.len().min(NAMED);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { format!("{random}.zip") } else { format!("{name}-{random}.zip") }
}

/// What a person calls an input: the folder's name where [`upload_key`] made the key, else the key.
pub fn input_name(key: &str) -> &str {
    let made = key.strip_suffix(".zip").and_then(|stem| stem.rsplit_once('-')).filter(|(name, digits)| {
        !name.is_empty() && digits.len() == UPLOAD_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit())
    });
    made.map_or(key, |(name, _)| name)
}

/// The log stream of one attempt of one run of a job. One stream an attempt, so that nobody has to guess.
pub fn log_stream(id: &JobId, run: u32, attempt: u32) -> String {
    format!("{id}-{run}-{attempt}")
}

/// Keys of the inputs bucket under this prefix are Shepard's own and never uploads. That bucket, because the roles of
/// an old stack let the scheduler and the worker at no other.
pub const OWN_PREFIX: &str = ".shepard/";

/// Key of a batch's manifest, in the inputs bucket.
pub fn manifest_key(batch: &JobId) -> String {
    format!("{OWN_PREFIX}manifests/{batch}")
}

/// Key of what says that a batch was submitted, in the inputs bucket; its bytes are the compute's id, or `refused`.
pub fn submitted_key(batch: &JobId) -> String {
    format!("{OWN_PREFIX}submitted/{batch}")
}

/// Key of what an interrupted run left for its next attempt, in the inputs bucket: a zip of its checkpoint folder.
pub fn checkpoint_key(id: &JobId, run: u32) -> String {
    format!("{OWN_PREFIX}checkpoints/{id}-{run}.zip")
}

/// Names that images, containers and their registries see.
pub mod container {
    /// Image that the nested form's `/payload.tar` holds; the original loaded and ran it by this name.
    pub const NESTED_IMAGE: &str = "payload_image:latest";
    /// In a flock's image: a saved image, the nested form.
    pub const NESTED_FILE: &str = "/payload.tar";
    /// In a flock's image: JSON that says which payload it runs. Absent in the images of the old program.
    pub const PAYLOAD_FILE: &str = "/payload.json";
    /// In a flock's image: the worker.
    pub const WORKER_FILE: &str = "/worker";
    /// Label of every payload container: the job's id.
    pub const LABEL_JOB: &str = "shepard.job";
    /// Label of every payload container: whose it is. The id of the worker's own container, or the folder of a local
    /// flock. What an owner that is gone left may be removed.
    pub const LABEL_OWNER: &str = "shepard.owner";
    /// Label of an image: the command, a JSON array of words, that saves a payload's state when it has to stop.
    pub const LABEL_CHECKPOINT: &str = "shepard.checkpoint";
    /// Label of a flock's image: the release it is.
    pub const LABEL_RELEASE: &str = "shepard.release";
    /// Label of a flock's image: the payload image by digest, or `nested`.
    pub const LABEL_PAYLOAD: &str = "shepard.payload";
    /// In a quick-deploy folder: what saves a payload's state when it has to stop; run with `sh` in that folder.
    pub const CHECKPOINT_SCRIPT: &str = "checkpoint.sh";
    /// Memory filesystem of the host that the worker's container has at the same path, for secrets. A job definition of
    /// an old stack has it not.
    pub const MEMORY_DIR: &str = "/run/shepard";
}

/// Environment of the worker, names exactly as the original job definition spells them.
pub mod worker_env {
    /// Job id; key of the row.
    pub const UUID: &str = "UUID";
    /// Key of the input object, or `None` for a job that came by API.
    pub const INPUT_ZIP_NAME: &str = "INPUT_ZIP_NAME";
    /// `True` for a job that came by API, else `False`.
    pub const IS_INVOKED: &str = "IS_INVOKED";
    /// Secret ARN or name.
    pub const SECRET_STORE: &str = "SECRET_STORE";
    /// `True` where an EFS is mounted at `/mnt/efs`.
    pub const USES_EFS: &str = "USES_EFS";
    /// `True` where a Lustre is mounted at `/mnt/fsx`.
    pub const USES_LUSTRE: &str = "USES_LUSTRE";
    /// Region.
    pub const REGION: &str = "region";
    /// Inputs bucket.
    pub const INPUTS_BUCKET: &str = "inputs_bucket";
    /// Outputs bucket.
    pub const OUTPUTS_BUCKET: &str = "outputs_bucket";
    /// Quick-deploy bucket.
    pub const QUICK_DEPLOY_BUCKET: &str = "quick_deploy_bucket";
    /// Table.
    pub const TABLE_NAME: &str = "table_name";
    /// Open-files limit.
    pub const ULIMIT_FILENO: &str = "ULIMIT_FILENO";
    /// `True` where the payload may talk to the Docker daemon.
    pub const ALLOW_DOCKER_ACCESS: &str = "ALLOW_DOCKER_ACCESS";
    /// Ours: bucket for the logs and partial outputs of failed jobs. Absent on an old stack.
    pub const ERRORS_BUCKET: &str = "errors_bucket";
    /// Ours: which run of the row this is, counted from 1; a person's retry makes the next. Absent means 1.
    pub const RUN: &str = "SHEPARD_RUN";
    /// Ours: key of the manifest, in the inputs bucket, that says which rows this container runs. Absent means `UUID`.
    pub const MANIFEST: &str = "SHEPARD_MANIFEST";
    /// Ours: rows of the manifest that one container runs. Absent means 1.
    pub const PACK: &str = "SHEPARD_PACK";
    /// Ours: days for which the row of a job that has ended is kept. Absent means 30.
    pub const KEEP_DAYS: &str = "SHEPARD_KEEP_DAYS";
    /// Ours: `True` gives the payload every privilege, as the original always did. Absent means `False`.
    pub const PRIVILEGED: &str = "SHEPARD_PRIVILEGED";
    /// Ours: devices of the host that the payload gets, as paths with commas between them.
    pub const DEVICES: &str = "SHEPARD_DEVICES";
    /// Ours: MiB of the payload's `/dev/shm`. Absent means the engine's 64.
    pub const SHM_MIB: &str = "SHEPARD_SHM_MIB";
    /// Ours: `True` puts the payload into the host's network, from where the instance's metadata can be read.
    pub const HOST_NETWORK: &str = "SHEPARD_HOST_NETWORK";
    /// ECS's own: the GPUs that it pinned to this job, as UUIDs with commas between them.
    pub const PINNED_GPUS: &str = "NVIDIA_VISIBLE_DEVICES";
    /// The payload's: folder whose content outlives an interruption. The next attempt finds it as it was.
    pub const CHECKPOINT: &str = "SHEPARD_CHECKPOINT";
    /// Batch's own: which child of an array this is, from 0. Absent means 0.
    pub const ARRAY_INDEX: &str = "AWS_BATCH_JOB_ARRAY_INDEX";
    /// Batch's own: its id of the job; of an array's child, `<array>:<index>`.
    pub const COMPUTE_ID: &str = "AWS_BATCH_JOB_ID";
    /// Batch's own: which attempt of the run this is, counted from 1.
    pub const ATTEMPT: &str = "AWS_BATCH_JOB_ATTEMPT";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_none() {
        let longest = "x".repeat(LONGEST_KEY);
        for key in ["a", "a/b", "...", "a..b/c", "-rf", "a\nb", "\u{1b}[0m", &longest] {
            assert_eq!(key_problem(key), None, "{key:?}");
        }
        for key in ["", "/a", "..", "../a", "a/..", "a/../b", "a\0b", &format!("{longest}x")] {
            assert!(key_problem(key).is_some(), "{key:?}");
        }
    }

    #[test]
    fn an_upload_is_called_by_its_folder() {
        let digits = "0123456789ab";
        assert_eq!(upload_key("run 7/é", digits), "run-7-é-0123456789ab.zip");
        assert_eq!(upload_key("a.zip", digits), "a-0123456789ab.zip");
        assert_eq!(upload_key("..", digits), "0123456789ab.zip");
        assert_eq!(upload_key(&"é".repeat(99), digits).len(), NAMED + 1 + UPLOAD_DIGITS + 4);
        assert_eq!(input_name("run-7-0123456789ab.zip"), "run-7");
        for theirs in ["run-7.zip", "0123456789ab.zip", "a/b.zip", "x-0123456789ag.zip", ""] {
            assert_eq!(input_name(theirs), theirs);
        }
    }

    #[test]
    fn results_are_named_as_in_the_contract() -> Result<(), &'static str> {
        let id = JobId::parse("abc").ok_or("id")?;
        assert_eq!(result_key(None, &id, 7, Filesystem::Root), "result@abc_7_root.zip");
        assert_eq!(result_key(Some("a/b"), &id, 7, Filesystem::Efs), "a/b_result@abc_7_efs.zip");
        assert_eq!(failure_key(Some("t"), &id, 7), "t_error@abc_7.zip");
        Ok(())
    }
}
