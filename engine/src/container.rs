//! Making, starting, watching, stopping and removing a container.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, DeviceMapping, DeviceRequest, HostConfig,
    HostConfigLogConfig, Mount as BollardMount, MountType, ResourcesUlimits,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;

use crate::connect::Engine;
use crate::error::{EngineError, Kind, Result};
use crate::output::Output;

/// A file or folder of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path at the host. It has to be there: the engine makes none.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// Whether nothing can be written there.
    pub read_only: bool,
}

/// Which network a container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// One of its own behind the engine's bridge.
    #[default]
    Bridge,
    /// The host's.
    Host,
    /// None but a loopback of its own.
    None,
}

/// The GPUs of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Gpus {
    /// None.
    #[default]
    None,
    /// Every GPU of the host.
    All,
    /// These, by the driver's UUIDs.
    Some(Vec<String>),
}

/// A container to be made. What is None or empty is as the image or the engine has it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ContainerSpec {
    /// Name; the engine invents one where it is empty.
    pub name: String,
    /// Reference or id of the image.
    pub image: String,
    /// Takes the place of the image's `ENTRYPOINT`, and of its `CMD` as well.
    pub entrypoint: Option<Vec<String>>,
    /// Takes the place of the image's `CMD`.
    pub cmd: Option<Vec<String>>,
    /// Variables beside the image's own. A name is not empty and holds no `=`.
    pub environment: Vec<(String, String)>,
    /// Takes the place of `WORKDIR`.
    pub working_dir: Option<String>,
    /// Takes the place of `USER`: `uid:gid`, or names of the image.
    pub user: Option<String>,
    /// Groups of the user beyond his own.
    pub groups: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Files and folders of the host.
    pub mounts: Vec<Mount>,
    /// Network.
    pub network: Network,
    /// Most memory, in bytes. No swap is given beyond it.
    pub memory: Option<u64>,
    /// Weight among others that want the processors, 1024 for one of usual weight.
    pub cpu_shares: Option<u64>,
    /// Most processor time, in billionths of a CPU.
    pub nano_cpus: Option<u64>,
    /// The CPUs that may be used: `0-3,7`.
    pub cpuset: Option<String>,
    /// Control group above the container's.
    pub cgroup_parent: Option<String>,
    /// Bytes of `/dev/shm`.
    pub shm: Option<u64>,
    /// Open files that a process may have.
    pub open_files: Option<u64>,
    /// Every capability and device of the host.
    pub privileged: bool,
    /// Devices of the host, as absolute paths.
    pub devices: Vec<String>,
    /// GPUs.
    pub gpus: Gpus,
    /// Capabilities that are taken away, `ALL` for all.
    pub cap_drop: Vec<String>,
    /// Capabilities that are given.
    pub cap_add: Vec<String>,
    /// No program gets more rights than who starts it: set-uid bits do nothing.
    pub no_new_privileges: bool,
    /// The engine keeps what is written. Otherwise only who is attached sees it.
    pub keep_log: bool,
}

impl std::fmt::Debug for ContainerSpec {
    /// Leaves out the environment and the words of the command: they are a user's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerSpec")
            .field("name", &self.name)
            .field("image", &self.image)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// What an engine says of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerInfo {
    /// Id: 64 hex digits.
    pub id: String,
    /// Name, without the slash.
    pub name: String,
    /// Id of its image.
    pub image: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it runs now.
    pub running: bool,
    /// Most memory, in bytes.
    pub memory: Option<u64>,
    /// Weight for the processors.
    pub cpu_shares: Option<u64>,
    /// Most processor time, in billionths of a CPU.
    pub nano_cpus: Option<u64>,
    /// The CPUs that it may use.
    pub cpuset: Option<String>,
    /// Control group above its own.
    pub cgroup_parent: Option<String>,
    /// The host's files and folders that it has.
    pub mounts: Vec<Mount>,
    /// Which driver takes its output: `json-file`, `awslogs`, `none`.
    pub log_driver: String,
    /// The driver's options.
    pub log_options: BTreeMap<String, String>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// Exit code, or 128 + the signal that ended it.
    pub code: i64,
    /// The kernel killed a process of it for want of memory.
    pub out_of_memory: bool,
    /// The engine's words where it could not be started or kept.
    pub error: Option<String>,
}

impl Engine {
    /// Makes a container without starting it; gives its id.
    ///
    /// # Errors
    /// `NotFound` where the image is not there, `Conflict` where the name is taken, `Invalid`.
    pub async fn create(&self, spec: ContainerSpec) -> Result<String> {
        let target = if spec.name.is_empty() { spec.image.clone() } else { spec.name.clone() };
        let options = CreateContainerOptionsBuilder::default();
        let options = if spec.name.is_empty() { options } else { options.name(&spec.name) };
        let made = self.docker.create_container(Some(options.build()), body(spec)).await;
        made.map(|made| made.id).map_err(|error| EngineError::of("create the container", target, &error))
    }

    /// Attaches to what a container writes. Before it is started, so that nothing is missed.
    ///
    /// # Errors
    /// There is no such container.
    pub async fn attach(&self, container: &str) -> Result<Output> {
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attached = self.docker.attach_container(container, Some(options)).await;
        let attached =
            attached.map_err(|error| EngineError::of("attach to the container", container, &error))?;
        Ok(Output::new(attached.output, container))
    }

    /// Starts a container.
    ///
    /// # Errors
    /// `NoProgram` where what it is to run is not in the image.
    pub async fn start(&self, container: &str) -> Result<()> {
        let started = self.docker.start_container(container, None).await;
        started.map_err(|error| EngineError::of("start the container", container, &error))
    }

    /// Waits until a container that was started has ended.
    ///
    /// # Errors
    /// The engine went away.
    pub async fn wait(&self, container: &str) -> Result<Ended> {
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut answers = Box::pin(self.docker.wait_container(container, Some(options)));
        match answers.next().await {
            Some(Ok(_) | Err(bollard::errors::Error::DockerContainerWaitError { .. })) => {
                self.ended(container).await
            }
            Some(Err(error)) => Err(EngineError::of("wait for the container", container, &error)),
            None => {
                let said = "the engine went away";
                Err(EngineError::new("wait for the container", container, Kind::Unreachable, said))
            }
        }
    }

    /// How a container ended that runs no longer.
    ///
    /// # Errors
    /// There is no such container, or it still runs.
    pub async fn ended(&self, container: &str) -> Result<Ended> {
        let state = self.seen(container).await?.state.unwrap_or_default();
        if state.running == Some(true) {
            let said = "it still runs";
            return Err(EngineError::new("see the end of the container", container, Kind::Conflict, said));
        }
        Ok(Ended {
            code: state.exit_code.unwrap_or(-1),
            out_of_memory: state.oom_killed == Some(true),
            error: state.error.filter(|error| !error.is_empty()),
        })
    }

    /// Sends a signal, `SIGTERM` or a number, to a container's first process. No error where it runs no longer.
    ///
    /// # Errors
    /// `Invalid` for a signal that is none.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<()> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        match self.docker.kill_container(container, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) => match EngineError::of("signal the container", container, &error) {
                error if matches!(error.kind, Kind::NotFound | Kind::Conflict) => Ok(()),
                error if error.said.contains("is not running") => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Ends a container, whatever it does, and removes it with its anonymous volumes. No error where there is none.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn remove(&self, container: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let Err(error) = self.docker.remove_container(container, Some(options)).await else { return Ok(()) };
        let error = EngineError::of("remove the container", container, &error);
        match error.kind {
            Kind::NotFound => Ok(()),
            Kind::Conflict if error.said.contains("already in progress") => self.removed(container).await,
            _ => Err(error),
        }
    }

    /// Waits until somebody else's removal is done.
    async fn removed(&self, container: &str) -> Result<()> {
        let options = WaitContainerOptionsBuilder::default().condition("removed").build();
        let mut answers = Box::pin(self.docker.wait_container(container, Some(options)));
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(_) | Err(bollard::errors::Error::DockerContainerWaitError { .. }) => {}
                Err(error) => match EngineError::of("wait for the removal of", container, &error) {
                    error if error.kind == Kind::NotFound => {}
                    error => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// What there is of a container, by name or id; None where there is none.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn container(&self, container: &str) -> Result<Option<ContainerInfo>> {
        match self.seen(container).await {
            Ok(seen) => Ok(Some(info(seen))),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every container, running or not, that has a label; with a value, that has this one. Limits and mounts are not told.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn labelled(&self, label: &str, value: Option<&str>) -> Result<Vec<ContainerInfo>> {
        let wanted = value.map_or_else(|| label.to_owned(), |value| format!("{label}={value}"));
        let filters = HashMap::from([("label", vec![wanted.as_str()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let seen = self.docker.list_containers(Some(options)).await;
        let seen = seen.map_err(|error| EngineError::of("list the containers labelled", label, &error))?;
        let infos = seen.into_iter().map(|one| ContainerInfo {
            id: one.id.unwrap_or_default(),
            name: one.names.unwrap_or_default().first().map(|name| bare(name)).unwrap_or_default(),
            image: one.image_id.unwrap_or_default(),
            labels: one.labels.unwrap_or_default().into_iter().collect(),
            running: one.state.is_some_and(|state| {
                use bollard::models::ContainerSummaryStateEnum as State;
                matches!(state, State::RUNNING | State::PAUSED | State::RESTARTING)
            }),
            ..ContainerInfo::default()
        });
        Ok(infos.collect())
    }

    /// Whether there is a volume of this name.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn volume_exists(&self, name: &str) -> Result<bool> {
        match self.docker.inspect_volume(name).await {
            Ok(_) => Ok(true),
            Err(error) => match EngineError::of("inspect the volume", name, &error) {
                error if error.kind == Kind::NotFound => Ok(false),
                error => Err(error),
            },
        }
    }

    async fn seen(&self, container: &str) -> Result<ContainerInspectResponse> {
        let seen = self.docker.inspect_container(container, None).await;
        seen.map_err(|error| EngineError::of("inspect the container", container, &error))
    }
}

fn bare(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}

fn info(seen: ContainerInspectResponse) -> ContainerInfo {
    let host = seen.host_config.unwrap_or_default();
    // The engine's zero is no limit.
    let count =
        |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).filter(|count| *count > 0);
    let word = |word: Option<String>| word.filter(|word| !word.is_empty());
    let mounts = seen.mounts.unwrap_or_default().into_iter().filter_map(|mount| {
        Some(Mount { source: mount.source?, target: mount.destination?, read_only: mount.rw == Some(false) })
    });
    let log = host.log_config.unwrap_or_default();
    ContainerInfo {
        id: seen.id.unwrap_or_default(),
        name: bare(&seen.name.unwrap_or_default()),
        image: seen.image.unwrap_or_default(),
        labels: seen.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
        running: seen.state.and_then(|state| state.running).unwrap_or_default(),
        memory: count(host.memory),
        cpu_shares: count(host.cpu_shares),
        nano_cpus: count(host.nano_cpus),
        cpuset: word(host.cpuset_cpus),
        cgroup_parent: word(host.cgroup_parent),
        mounts: mounts.collect(),
        log_driver: log.typ.unwrap_or_default(),
        log_options: log.config.unwrap_or_default().into_iter().collect(),
    }
}

fn body(spec: ContainerSpec) -> ContainerCreateBody {
    let signed = |count: Option<u64>| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let some = |words: Vec<String>| (!words.is_empty()).then_some(words);
    let mount = |mount: Mount| BollardMount {
        typ: Some(MountType::BIND),
        source: Some(mount.source),
        target: Some(mount.target),
        read_only: Some(mount.read_only),
        ..BollardMount::default()
    };
    let device = |path: String| DeviceMapping {
        path_on_host: Some(path.clone()),
        path_in_container: Some(path),
        cgroup_permissions: Some("rwm".to_owned()),
    };
    let open_files = |limit: i64| {
        vec![ResourcesUlimits { name: Some("nofile".to_owned()), soft: Some(limit), hard: Some(limit) }]
    };
    let host = HostConfig {
        mounts: Some(spec.mounts.into_iter().map(mount).collect()),
        network_mode: match spec.network {
            // The engine's own choice, so that one without a bridge works as well.
            Network::Bridge => None,
            Network::Host => Some("host".to_owned()),
            Network::None => Some("none".to_owned()),
        },
        memory: signed(spec.memory),
        memory_swap: signed(spec.memory),
        cpu_shares: signed(spec.cpu_shares),
        nano_cpus: signed(spec.nano_cpus),
        cpuset_cpus: spec.cpuset,
        cgroup_parent: spec.cgroup_parent,
        shm_size: signed(spec.shm),
        ulimits: signed(spec.open_files).map(open_files),
        privileged: Some(spec.privileged),
        devices: Some(spec.devices.into_iter().map(device).collect()),
        device_requests: requests(spec.gpus),
        cap_drop: some(spec.cap_drop),
        cap_add: some(spec.cap_add),
        group_add: some(spec.groups),
        security_opt: spec.no_new_privileges.then(|| vec!["no-new-privileges".to_owned()]),
        log_config: (!spec.keep_log)
            .then(|| HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(spec.image),
        // Some engines take an image's command for arguments of another entry point unless there is one.
        cmd: spec.cmd.or_else(|| spec.entrypoint.is_some().then(Vec::new)),
        entrypoint: spec.entrypoint,
        env: Some(spec.environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: spec.working_dir,
        user: spec.user,
        labels: Some(spec.labels.into_iter().collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

fn requests(gpus: Gpus) -> Option<Vec<DeviceRequest>> {
    let (count, device_ids) = match gpus {
        Gpus::None => return None,
        Gpus::All => (Some(-1), None),
        Gpus::Some(ids) => (None, Some(ids)),
    };
    let capabilities = Some(vec![vec!["gpu".to_owned()]]);
    Some(vec![DeviceRequest { count, device_ids, capabilities, ..DeviceRequest::default() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_says_is_not_shown() {
        let spec = ContainerSpec {
            name: "n".into(),
            entrypoint: Some(vec!["hush".into()]),
            environment: vec![("A".into(), "hush".into())],
            ..ContainerSpec::default()
        };
        let shown = format!("{spec:?}");
        assert!(shown.contains("\"n\"") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn gpus_are_asked_for_by_uuid_or_all() {
        assert_eq!(requests(Gpus::None), None);
        let all = requests(Gpus::All).unwrap();
        assert_eq!((all[0].count, &all[0].device_ids), (Some(-1), &None));
        let some = requests(Gpus::Some(vec!["GPU-1".into()])).unwrap();
        assert_eq!((some[0].count, some[0].device_ids.as_deref()), (None, Some(&["GPU-1".to_owned()][..])));
    }

    #[test]
    fn values_go_in_whole_and_nothing_is_granted_unsaid() {
        let spec = ContainerSpec {
            environment: vec![("A".into(), "x\ny=z \"q\"".into())],
            entrypoint: Some(vec!["sh".into(), "run.sh".into()]),
            ..ContainerSpec::default()
        };
        let body = body(spec);
        assert_eq!(body.env.unwrap(), ["A=x\ny=z \"q\""]);
        assert_eq!(body.cmd, Some(Vec::new()), "the image's command is no argument of another entry point");
        let host = body.host_config.unwrap();
        assert_eq!((host.privileged, host.network_mode, host.device_requests), (Some(false), None, None));
        assert_eq!(host.log_config.unwrap().typ.as_deref(), Some("none"));
    }
}
