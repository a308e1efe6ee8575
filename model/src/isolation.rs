//! How far a payload in a container is let at its host: nothing by default, each thing by its own setting.

use serde::{Deserialize, Serialize};

use crate::names::worker_env as env;

/// What a flock grants to its payloads beyond a container's own.
///
/// The default grants nothing. A local flock has it in its settings; on AWS the job definition's environment says it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Isolation {
    /// Every capability and device of the host.
    pub privileged: bool,
    /// Devices of the host, as absolute paths; each appears under the same path.
    pub devices: Vec<String>,
    /// GPUs by the UUIDs of the driver; `all` alone means every GPU of the host.
    pub gpus: Vec<String>,
    /// MiB of `/dev/shm`; None is the engine's default of 64.
    pub shm_mib: Option<u32>,
    /// The host's network in place of one of the container's own.
    pub host_network: bool,
    /// The engine's socket: with it a payload can do to the host whatever it wants.
    pub docker_socket: bool,
    /// Most memory, in MiB; None leaves it to the worker's own limit.
    pub memory_mib: Option<u32>,
    /// Most processor time, in thousandths of a CPU; None leaves it to the worker's own limit.
    pub cpu_milli: Option<u32>,
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}, which is not {wanted}")]
pub struct IsolationError {
    /// The variable.
    pub name: &'static str,
    /// Its value, cut short.
    pub value: String,
    /// What it should be.
    pub wanted: &'static str,
}

/// Least memory an engine gives a container, in MiB.
const LEAST_MEMORY_MIB: u32 = 6;
/// Least processor time an engine gives a container, in thousandths of a CPU.
const LEAST_CPU_MILLI: u32 = 10;

impl Isolation {
    /// What cannot be about it, in words that end a sentence; None where it can be.
    pub fn problem(&self) -> Option<String> {
        let odd_device = |path: &&String| {
            !path.starts_with('/')
                || path.split('/').any(|part| part == "..")
                || path.contains([':', ','])
                || path.chars().any(char::is_control)
        };
        let odd_gpu = |gpu: &&String| !gpu.starts_with("GPU-") && !gpu.starts_with("MIG-");
        let all_gpus = self.gpus.iter().any(|gpu| gpu == "all");
        if let Some(bad) = self.devices.iter().find(odd_device) {
            Some(format!("a device is an absolute path like /dev/fuse, not {bad:?}"))
        } else if all_gpus && self.gpus.len() > 1 {
            Some("all GPUs and some by name is one of the two too many".to_owned())
        } else if let Some(bad) = self.gpus.iter().filter(|_| !all_gpus).find(odd_gpu) {
            Some(format!(
                "a GPU is named by its UUID (nvidia-smi -L says it) or by the word all, not {bad:?}"
            ))
        } else if self.shm_mib == Some(0) {
            Some("shm_mib must be at least 1; leave it out for the engine's own 64".to_owned())
        } else if self.memory_mib.is_some_and(|mib| mib < LEAST_MEMORY_MIB) {
            Some(format!("memory_mib must be at least {LEAST_MEMORY_MIB}; leave it out for no limit"))
        } else if self.cpu_milli.is_some_and(|milli| milli < LEAST_CPU_MILLI) {
            Some(format!("cpu_milli must be at least {LEAST_CPU_MILLI}; leave it out for no limit"))
        } else {
            None
        }
    }

    /// Reads the grants off a worker's environment, by a function that gives a variable's value. Empty is absent.
    ///
    /// # Errors
    /// The first variable that cannot be: a setting that is wrong must not silently grant less or more.
    pub fn from_env<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, IsolationError> {
        let value = |name: &'static str| get(name).filter(|value| !value.is_empty());
        let odd = |name, value: &str, wanted| IsolationError {
            name,
            value: value.chars().take(80).collect(),
            wanted,
        };
        let truth = |name| match value(name) {
            None | Some("False") => Ok(false),
            Some("True") => Ok(true),
            Some(other) => Err(odd(name, other, "True or False")),
        };
        let words = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let devices = value(env::DEVICES).map(words).unwrap_or_default();
        if let Some(bad) = devices.iter().find(|path| !path.starts_with('/')) {
            return Err(odd(env::DEVICES, bad, "a list of absolute paths"));
        }
        let shm_mib = match value(env::SHM_MIB) {
            None => None,
            Some(text) => match text.parse::<u32>() {
                Ok(mib) if mib > 0 => Some(mib),
                _ => return Err(odd(env::SHM_MIB, text, "a whole number of MiB from 1")),
            },
        };
        // `void` and `none` are the toolkit's words for no GPU; what ECS pins are UUIDs.
        let gpus = value(env::PINNED_GPUS).map(words).unwrap_or_default();
        let gpus =
            gpus.into_iter().filter(|gpu| gpu.starts_with("GPU-") || gpu.starts_with("MIG-")).collect();
        Ok(Self {
            privileged: truth(env::PRIVILEGED)?,
            devices,
            gpus,
            shm_mib,
            host_network: truth(env::HOST_NETWORK)?,
            docker_socket: truth(env::ALLOW_DOCKER_ACCESS)?,
            memory_mib: None,
            cpu_milli: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Isolation, IsolationError> {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Isolation::from_env(|name| {
            pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        })
    }

    #[test]
    fn nothing_is_granted_unless_it_is_said() {
        assert_eq!(of(&[]), Ok(Isolation::default()));
        assert_eq!(
            of(&[("SHEPARD_PRIVILEGED", ""), ("NVIDIA_VISIBLE_DEVICES", "void")]),
            Ok(Isolation::default())
        );
        let all = of(&[
            ("SHEPARD_PRIVILEGED", "True"),
            ("SHEPARD_DEVICES", "/dev/fuse, /dev/kvm"),
            ("SHEPARD_SHM_MIB", "512"),
            ("SHEPARD_HOST_NETWORK", "True"),
            ("ALLOW_DOCKER_ACCESS", "True"),
            ("NVIDIA_VISIBLE_DEVICES", "GPU-1,GPU-2"),
        ])
        .unwrap();
        assert!(all.privileged && all.host_network && all.docker_socket);
        assert_eq!(
            (all.devices, all.gpus),
            (vec!["/dev/fuse".into(), "/dev/kvm".into()], vec!["GPU-1".into(), "GPU-2".into()])
        );
        assert_eq!(all.shm_mib, Some(512));
    }

    #[test]
    fn grants_that_cannot_be_are_told_from_those_that_can() {
        let good = Isolation {
            privileged: true,
            devices: vec!["/dev/fuse".into()],
            gpus: vec!["GPU-1".into(), "MIG-2".into()],
            shm_mib: Some(1),
            memory_mib: Some(6),
            cpu_milli: Some(10),
            ..Isolation::default()
        };
        assert_eq!(good.problem(), None);
        assert_eq!(Isolation { gpus: vec!["all".into()], ..Isolation::default() }.problem(), None);
        let device = |path: &str| Isolation { devices: vec![path.into()], ..Isolation::default() };
        let gpus = |names: &[&str]| Isolation {
            gpus: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Isolation::default()
        };
        for (bad, word) in [
            (device("fuse"), "device"),
            (device("/dev/../etc"), "device"),
            (device("/dev/a:/dev/b:rwm"), "device"),
            (gpus(&["0"]), "UUID"),
            (gpus(&["all", "GPU-1"]), "too many"),
            (Isolation { shm_mib: Some(0), ..Isolation::default() }, "shm_mib"),
            (Isolation { memory_mib: Some(5), ..Isolation::default() }, "memory_mib"),
            (Isolation { cpu_milli: Some(9), ..Isolation::default() }, "cpu_milli"),
        ] {
            let said = bad.problem().unwrap();
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn a_setting_that_cannot_be_is_refused() {
        for (name, value) in
            [("SHEPARD_PRIVILEGED", "true"), ("SHEPARD_DEVICES", "dev/fuse"), ("SHEPARD_SHM_MIB", "0")]
        {
            let said = of(&[(name, value)]).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains(value), "{said}");
        }
    }
}
