//! The container that this worker is in: what limits it, which folders of the host it has, where its output goes.
//!
//! A payload runs beside the worker and not in it, so that what Batch grants to the job holds for the worker's container
//! alone. The payload is held to the same limits, as the engine tells them of that container.

use std::collections::BTreeMap;
use std::path::Path;

use shepard_container::Limits;
use shepard_engine::{ContainerInfo, Engine, Mount, Result};

/// Digits of a container's id.
const DIGITS: usize = 64;
/// Files that the engine puts into every container out of a folder that has the container's id.
const MADE: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// The worker's own container; or what is known where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Own {
    /// Its id. None outside a container of this engine.
    pub(crate) id: Option<String>,
    /// What it is held to.
    pub(crate) limits: Limits,
    /// Where CloudWatch has its output: `GROUP:STREAM`.
    pub(crate) log_stream: Option<String>,
    /// The host's folders that it has.
    mounts: Vec<Mount>,
}

impl Own {
    /// Asks the engine for the container that this process is in.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub(crate) async fn look(engine: &Engine) -> Result<Self> {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let id = id_in(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        let info = match &id {
            Some(id) => engine.container(id).await?,
            None => None,
        };
        Ok(match info {
            Some(info) => Self::of(info),
            None => {
                tracing::warn!(
                    "this worker is in no container of the engine: its payload has no limits but its own settings'"
                );
                Self::default()
            }
        })
    }

    fn of(info: ContainerInfo) -> Self {
        let limits = Limits {
            memory: info.memory,
            cpu_shares: info.cpu_shares,
            nano_cpus: info.nano_cpus,
            cpuset: info.cpuset,
            cgroup_parent: info.cgroup_parent,
        };
        let log_stream = cloudwatch(&info.log_driver, &info.log_options, &info.id);
        Self { id: Some(info.id), limits, log_stream, mounts: info.mounts }
    }

    /// Whether a path here is the same path at the host, where the payload's container is given it. Outside a container
    /// it is.
    pub(crate) fn shares(&self, path: &Path) -> bool {
        self.id.is_none()
            || self.mounts.iter().any(|mount| {
                let (source, target) = (Path::new(&mount.source), Path::new(&mount.target));
                path.strip_prefix(target).is_ok_and(|rest| source.join(rest) == path) && !mount.read_only
            })
    }
}

/// Where the driver writes to, where it is CloudWatch's. Without a name of its own a stream is called by the container.
fn cloudwatch(driver: &str, options: &BTreeMap<String, String>, id: &str) -> Option<String> {
    if driver != "awslogs" {
        return None;
    }
    let group = options.get("awslogs-group")?;
    Some(format!("{group}:{}", options.get("awslogs-stream").map_or(id, String::as_str)))
}

/// The id of the container that a process is in, from its `/proc/self/mountinfo` and `/proc/self/cgroup`. The first
/// tells in every network; the second where control groups are the host's, as they are in their first version.
fn id_in(mountinfo: &str, cgroup: &str) -> Option<String> {
    let made = mountinfo.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (source, target) = (fields.next()?, fields.next()?);
        MADE.contains(&target).then_some(source)
    });
    made.chain(cgroup.lines()).find_map(id)
}

/// The last word of the text that is an id.
fn id(text: &str) -> Option<String> {
    let is_id = |word: &&str| {
        word.len() == DIGITS && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    // Between slashes, or `docker-<id>.scope` where systemd keeps the groups.
    text.rsplit(|char: char| !char.is_ascii_alphanumeric()).find(is_id).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_id_is_found_however_the_host_keeps_its_groups_and_networks() {
        let mounts = format!(
            "900 800 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/{}\n\
             910 900 254:1 /data/containers/{ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda rw\n\
             911 900 254:1 /data/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw\n",
            "f".repeat(64)
        );
        assert_eq!(id_in(&mounts, "0::/").as_deref(), Some(ID), "version 2");
        for cgroup in [
            format!("12:memory:/docker/{ID}\n0::/system.slice"),
            format!("4:cpu:/ecs/0f5c1b9e2b1f4a5c9d3e/{ID}"),
            format!("0::/system.slice/docker-{ID}.scope"),
        ] {
            assert_eq!(id_in("", &cgroup).as_deref(), Some(ID), "{cgroup}");
        }
    }

    #[test]
    fn a_host_is_no_container() {
        // What a host with containers on it sees of them.
        let mounts = format!(
            "1 0 254:1 / / rw - ext4 /dev/vda rw\n\
             2 1 0:9 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw\n\
             3 1 0:9 / /etc/hostname-{ID} rw - tmpfs x rw\n"
        );
        assert_eq!(id_in(&mounts, "0::/user.slice/session-1.scope\n1:name=systemd:/init.scope"), None);
        assert_eq!(id_in("", ""), None);
        assert_eq!(id_in("cut short", &format!("x/{}", &ID[1..])), None);
    }

    #[test]
    fn its_output_is_cloudwatchs_where_the_driver_is() {
        let options = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let named = options(&[("awslogs-group", "/aws/batch/job"), ("awslogs-stream", "d/default/7")]);
        assert_eq!(cloudwatch("awslogs", &named, ID).as_deref(), Some("/aws/batch/job:d/default/7"));
        assert_eq!(cloudwatch("json-file", &named, ID), None);
        let unnamed = options(&[("awslogs-group", "g")]);
        assert_eq!(cloudwatch("awslogs", &unnamed, ID), Some(format!("g:{ID}")));
        assert_eq!(cloudwatch("awslogs", &options(&[]), ID), None);
    }

    #[test]
    fn a_folder_is_shared_where_it_is_the_same_at_the_host() {
        let mount = |source: &str, target: &str, read_only| Mount {
            source: source.to_owned(),
            target: target.to_owned(),
            read_only,
        };
        let mounts = vec![
            mount("/mnt/root", "/mnt/root", false),
            mount("/data/efs", "/mnt/efs", false),
            mount("/mnt/fsx", "/mnt/fsx", true),
            mount("/", "/host", false),
        ];
        let own = Own { id: Some(ID.to_owned()), mounts, ..Own::default() };
        assert!(own.shares(Path::new("/mnt/root")) && own.shares(Path::new("/mnt/root/x")));
        for other in ["/mnt/efs", "/mnt/fsx", "/run/shepard", "/mnt/rooter", "/host/x"] {
            assert!(!own.shares(Path::new(other)), "{other}");
        }
        assert!(Own::default().shares(Path::new("/anywhere")));
    }
}
