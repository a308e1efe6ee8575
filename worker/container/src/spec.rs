//! The container that a payload gets: what the image says, what the job needs, and nothing more than is granted.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use shepard_engine::{ContainerSpec, Gpus, Host, ImageInfo, Mount, Network};
use shepard_model::names::Filesystem;
use shepard_model::names::container::{LABEL_JOB, LABEL_OWNER};
use shepard_worker::{PayloadError, PayloadSpec};

use crate::options::{Limits, Options};

/// Capabilities that a payload keeps: what installing and serving need, and nothing that reaches the host.
pub const CAPABILITIES: [&str; 8] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "NET_BIND_SERVICE"];
/// Where programs look for the engine's socket.
const SOCKET_SEEN: &str = "/var/run/docker.sock";
/// Keeps the SDKs of AWS from asking the instance for its role.
const NO_METADATA: &str = "AWS_EC2_METADATA_DISABLED";
/// Bytes that Linux takes of one variable, its name and the NUL at its end included.
const VARIABLE_BYTES: usize = 128 * 1024;
const MIB: u64 = 1 << 20;

/// What has to be known to describe the container.
pub(crate) struct Plan<'a> {
    pub(crate) spec: &'a PayloadSpec,
    pub(crate) options: &'a Options,
    pub(crate) image: ImageInfo,
    /// `uid:gid` in place of the image's user.
    pub(crate) user: Option<String>,
    /// Path of the engine's socket at the host.
    pub(crate) socket: Option<&'a str>,
    /// Processors of the host, where they were asked for.
    pub(crate) cpus: Option<u32>,
}

impl Plan<'_> {
    /// The container.
    ///
    /// # Errors
    /// There is nothing to run, or a path or value that no container can have.
    pub(crate) fn container(&self) -> Result<ContainerSpec, PayloadError> {
        let (spec, options) = (self.spec, self.options);
        let isolation = &options.isolation;
        let (entrypoint, working_dir) = self.command()?;
        let limits = self.limits();
        let confined = !isolation.privileged;
        let socket = self.socket_granted().then(|| self.socket.unwrap_or(SOCKET_SEEN));
        Ok(ContainerSpec {
            name: name(spec.id.as_str()),
            image: self.image.id.clone(),
            entrypoint,
            cmd: None,
            environment: self.environment()?,
            working_dir,
            user: self.user.clone(),
            groups: socket.and_then(group_of).into_iter().collect(),
            labels: BTreeMap::from([
                (LABEL_JOB.to_owned(), spec.id.to_string()),
                (LABEL_OWNER.to_owned(), options.owner.clone()),
            ]),
            mounts: self.mounts(socket)?,
            network: if isolation.host_network { Network::Host } else { Network::Bridge },
            memory: limits.memory,
            cpu_shares: limits.cpu_shares,
            nano_cpus: limits.nano_cpus,
            cpuset: limits.cpuset,
            cgroup_parent: limits.cgroup_parent,
            shm: isolation.shm_mib.map(|mib| u64::from(mib) * MIB),
            open_files: spec.ulimit_nofile,
            privileged: isolation.privileged,
            devices: isolation.devices.clone(),
            gpus: match isolation.gpus.as_slice() {
                [] => Gpus::None,
                [all] if all == "all" => Gpus::All,
                some => Gpus::Some(some.to_vec()),
            },
            cap_drop: if confined { vec!["ALL".to_owned()] } else { Vec::new() },
            cap_add: if confined { CAPABILITIES.map(str::to_owned).to_vec() } else { Vec::new() },
            no_new_privileges: confined,
            keep_log: false,
        })
    }

    pub(crate) fn socket_granted(&self) -> bool {
        self.options.isolation.docker_socket || self.spec.allow_docker
    }

    /// Entry point and working directory, where they are not the image's.
    fn command(&self) -> Result<(Option<Vec<String>>, Option<String>), PayloadError> {
        if let Some(folder) = &self.spec.quick_deploy {
            return Ok((Some(vec!["sh".to_owned(), "run.sh".to_owned()]), Some(text(folder)?)));
        }
        if let Some(words) = self.options.command.as_ref().filter(|words| !words.is_empty()) {
            return Ok((Some(words.clone()), None));
        }
        if self.image.entrypoint.is_empty() && self.image.cmd.is_empty() {
            return Err(PayloadError::Refused(
                "the payload's image has neither ENTRYPOINT nor CMD, and the job names no quick-deploy folder: \
                 give the image's Dockerfile one of them and deploy again"
                    .to_owned(),
            ));
        }
        Ok((None, None))
    }

    /// Later entries win, and no name is there twice: programs disagree about which of two they see.
    fn environment(&self) -> Result<Vec<(String, String)>, PayloadError> {
        let mut all = Vec::new();
        if !self.options.isolation.host_network {
            all.push((NO_METADATA.to_owned(), "true".to_owned()));
        }
        for (name, value) in self.options.environment.iter().chain(&self.spec.environment) {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(PayloadError::Refused(format!(
                    "{:?} cannot be the name of an environment variable: rename it in inputs.txt",
                    name.chars().take(80).collect::<String>()
                )));
            }
            if value.contains('\0') {
                return Err(PayloadError::Refused(format!(
                    "the variable {name} holds a NUL character, which no program's environment can hold"
                )));
            }
            if name.len() + value.len() + 2 > VARIABLE_BYTES {
                return Err(PayloadError::Refused(format!(
                    "the variable {name} is too long for a program's environment, which takes {VARIABLE_BYTES} bytes of one: \
                     put it into a file of the job's folder"
                )));
            }
            all.retain(|(known, _)| known != name);
            all.push((name.clone(), value.clone()));
        }
        Ok(all)
    }

    fn mounts(&self, socket: Option<&str>) -> Result<Vec<Mount>, PayloadError> {
        let mut mounts = Vec::new();
        for dirs in &self.spec.dirs {
            let job = text(&dirs.job)?;
            mounts.push(Mount { source: job.clone(), target: job, read_only: false });
            if dirs.filesystem != Filesystem::Root {
                let target = text(&dirs.base.join("read_only"))?;
                mounts.push(Mount { source: text(&dirs.base)?, target, read_only: true });
            }
        }
        if let (Some(secrets), Some(seen)) = (&self.spec.secrets, self.spec.secrets_seen()) {
            mounts.push(Mount { source: text(secrets)?, target: text(&seen)?, read_only: true });
        }
        if let Some(socket) = socket {
            let target = SOCKET_SEEN.to_owned();
            mounts.push(Mount { source: socket.to_owned(), target, read_only: false });
        }
        Ok(mounts)
    }

    /// The worker's own limits, what the flock allows at most and what the job asks for: the smallest of each.
    pub(crate) fn limits(&self) -> Limits {
        let (limits, isolation, shape) = (&self.options.limits, &self.options.isolation, &self.spec.shape);
        let least = |all: [Option<u64>; 3]| all.into_iter().flatten().min();
        let mib = |mib: Option<u32>| mib.map(|mib| u64::from(mib) * MIB);
        let milli = isolation.cpu_milli.map(|milli| u64::from(milli) * 1_000_000);
        // The engine refuses more than there are.
        let there = self.cpus.map(|cpus| u64::from(cpus) * 1_000_000_000);
        let nano_cpus = least([limits.nano_cpus, milli, None]);
        let asked = shape.vcpus.map(|vcpus| (u64::from(vcpus) * 1024).clamp(2, 262_144));
        Limits {
            memory: least([limits.memory, mib(isolation.memory_mib), mib(shape.memory_mib)]),
            // A weight and no ceiling: processors that nobody else wants are free to use.
            cpu_shares: limits.cpu_shares.or(asked),
            nano_cpus: least([nano_cpus, nano_cpus.and(there), None]),
            cpuset: limits.cpuset.clone(),
            cgroup_parent: limits.cgroup_parent.clone(),
        }
    }
}

/// Name of the container of a job. Engines want two characters at least.
pub(crate) fn name(id: &str) -> String {
    if id.len() == 1 { format!("{id}_") } else { id.to_owned() }
}

/// Whether the image is for processors like this program's own, which are those of an engine on this machine.
pub(crate) fn is_of_this_machine(image: &ImageInfo) -> bool {
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    image.os == "linux" && image.architecture == own
}

/// Checks that the image's programs can run at the host: the engine would start them and they would die of it.
///
/// # Errors
/// They cannot.
pub(crate) fn check_platform(image: &ImageInfo, host: &Host, short: &str) -> Result<(), PayloadError> {
    let (of_image, of_host) = (image.architecture.as_str(), host.architecture.as_str());
    let fits = of_image.is_empty()
        || of_host.is_empty()
        || matches!((of_image, of_host), ("386", "amd64") | ("arm", "arm64"))
        || of_image == of_host;
    let system = image.os.is_empty() || host.os.is_empty() || image.os == host.os;
    if fits && system {
        return Ok(());
    }
    let (image_os, host_os) = (&image.os, &host.os);
    Err(PayloadError::Refused(format!(
        "the payload's image {short} is for {image_os}/{of_image}, and this host is {host_os}/{of_host}: build it with \
         --platform {host_os}/{of_host} and deploy again"
    )))
}

fn text(path: &Path) -> Result<String, PayloadError> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        PayloadError::Refused(format!(
            "the folder {} cannot be given to a container: its name is no text",
            path.display()
        ))
    })
}

/// The group that may use a socket, by number.
fn group_of(socket: &str) -> Option<String> {
    std::fs::metadata(socket).ok().map(|seen| seen.gid().to_string())
}
