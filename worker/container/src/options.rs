//! What a payload is granted and held to.

use shepard_model::Isolation;

/// How long a payload may take to end after SIGTERM, in milliseconds, unless it is told.
const GRACE_MS: u64 = 10_000;
/// How long a checkpoint may take, in milliseconds, unless it is told: half of the two minutes of a Spot notice.
const CHECKPOINT_MS: u64 = 60_000;

/// Limits that hold for the worker and are to hold for its payload, which the engine puts beside it and not below.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Most memory, in bytes.
    pub memory: Option<u64>,
    /// Weight among others that want the processors, 1024 for one CPU.
    pub cpu_shares: Option<u64>,
    /// Most processor time, in billionths of a CPU.
    pub nano_cpus: Option<u64>,
    /// The CPUs that may be used: `0-3,7`.
    pub cpuset: Option<String>,
    /// Control group above the container's.
    pub cgroup_parent: Option<String>,
}

/// How payloads are run.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// Whose the containers are: the id of the worker's own container, or a local flock's folder. A label.
    pub owner: String,
    /// What a payload is granted beyond a container's own, and the most it may take.
    pub isolation: Isolation,
    /// The worker's own limits. What the job's shape asks for holds as well: the smaller of the two.
    pub limits: Limits,
    /// Variables that every payload gets beside the contract's: its region, where its credentials are. A variable of
    /// the job with such a name wins.
    pub environment: Vec<(String, String)>,
    /// Program and arguments in place of the image's ENTRYPOINT and CMD, for jobs without quick-deploy code.
    pub command: Option<Vec<String>>,
    /// How long a payload may take to end after SIGTERM, in milliseconds.
    pub grace_ms: u64,
    /// How long its checkpoint may take before that, in milliseconds.
    pub checkpoint_ms: u64,
    /// Seconds that a payload may run; sooner where the job itself says so.
    pub timeout_s: Option<u64>,
    /// User and group by number in place of the image's. None is the image's own where the worker is root, and else the
    /// worker's: somebody has to be able to remove what the payload writes.
    pub run_as: Option<(u32, u32)>,
    /// Address of the engine: `unix:///…`. None is where `DOCKER_HOST` says, or the usual one.
    pub engine: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            owner: String::new(),
            isolation: Isolation::default(),
            limits: Limits::default(),
            environment: Vec::new(),
            command: None,
            grace_ms: GRACE_MS,
            checkpoint_ms: CHECKPOINT_MS,
            timeout_s: None,
            run_as: None,
            engine: None,
        }
    }
}

impl std::fmt::Debug for Options {
    /// Leaves out the variables, which hold the way to credentials, and the command, which is the user's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("owner", &self.owner)
            .field("isolation", &self.isolation)
            .field("limits", &self.limits)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// What is lifted of a container's isolation, for people: `privileged`, `with the host's network`. Empty is nothing.
    pub fn lifted(&self) -> Vec<String> {
        let isolation = &self.isolation;
        let mut all = Vec::new();
        if isolation.privileged {
            all.push("privileged".to_owned());
        }
        if isolation.host_network {
            all.push("in the host's network".to_owned());
        }
        if isolation.docker_socket {
            all.push("with the Docker socket".to_owned());
        }
        if !isolation.devices.is_empty() {
            all.push(format!("with {}", isolation.devices.join(", ")));
        }
        match isolation.gpus.as_slice() {
            [] => {}
            [all_of_them] if all_of_them == "all" => all.push("with every GPU".to_owned()),
            [_] => all.push("with 1 GPU".to_owned()),
            gpus => all.push(format!("with {} GPUs", gpus.len())),
        }
        all
    }
}
