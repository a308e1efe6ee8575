//! An engine of a test's own, to be stopped, killed and started again. Needs root and Debian's `docker.io` or its like.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::kill;

/// The engine, its images, its containers; all gone when it is dropped.
///
/// What keeps the containers is a process of its own, as on a real host: one that an engine starts by itself does not
/// survive it in order.
pub struct Dockerd {
    dir: PathBuf,
    keeper: Child,
    child: Option<Child>,
    bridge: Bridge,
}

/// A bridge of this engine alone. One without a bridge removes `docker0`, whose engine cannot start containers any more.
struct Bridge(String);

impl Bridge {
    fn new() -> Option<Self> {
        let id = std::process::id();
        let bridge = Self(format!("shept{}", id % 100_000));
        let address = format!("10.214.{}.1/24", id % 250);
        let made = ip(&["link", "add", &bridge.0, "type", "bridge"])
            && ip(&["address", "add", &address, "dev", &bridge.0])
            && ip(&["link", "set", &bridge.0, "up"]);
        made.then_some(bridge)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        ip(&["link", "delete", &self.0]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    // Debian puts it where not every PATH leads.
    ["ip", "/usr/sbin/ip"].into_iter().any(|program| {
        let ran = Command::new(program).args(arguments).stderr(Stdio::null()).status();
        ran.is_ok_and(|status| status.success())
    })
}

impl Dockerd {
    /// Starts one with everything it has in `dir`. None where the machine has no such program, or it does not come up
    /// here: an engine needs more of a machine than being root.
    pub fn start(dir: &Path) -> Option<Self> {
        let bridge = Bridge::new()?;
        std::fs::write(dir.join("daemon.json"), "{}").unwrap();
        let config = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
        std::fs::write(dir.join("containerd.toml"), config).unwrap();
        let keeper = Command::new("containerd")
            .arg("--config")
            .arg(dir.join("containerd.toml"))
            .arg("--root")
            .arg(dir.join("kept"))
            .arg("--state")
            .arg(dir.join("keeping"))
            .arg("--address")
            .arg(dir.join("containerd.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Self::log(dir))
            .spawn()
            .ok()?;
        let mut engine = Self { dir: dir.to_owned(), keeper, child: None, bridge };
        engine.up().then_some(engine)
    }

    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    fn log(dir: &Path) -> std::fs::File {
        std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap()
    }

    /// Starts it again; false where it does not come up.
    pub fn up(&mut self) -> bool {
        // A bridge of its own and no rules of a firewall: another engine of this machine has those.
        let spawned = Command::new("dockerd")
            .args(["--bridge", &self.bridge.0])
            .args(["--iptables=false", "--ip6tables=false", "--ip-masq=false", "--config-file"])
            .arg(self.dir.join("daemon.json"))
            .arg("--data-root")
            .arg(self.dir.join("data"))
            .arg("--exec-root")
            .arg(self.dir.join("exec"))
            .arg("--containerd")
            .arg(self.dir.join("containerd.sock"))
            .arg("--pidfile")
            .arg(self.dir.join("pid"))
            .arg("--host")
            .arg(self.address())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Self::log(&self.dir))
            .spawn();
        let Ok(mut child) = spawned else { return false };
        for _ in 0..600 {
            if self.answers() {
                self.child = Some(child);
                return true;
            }
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    /// Ends it, in order or at once, and waits until it is gone. Its containers may outlive one that was killed.
    pub fn down(&mut self, signal: &str) {
        if let Some(mut child) = self.child.take() {
            kill(child.id(), signal);
            let _ = child.wait();
            // A new one would take a process that has this number by now for the old one.
            let _ = std::fs::remove_file(self.dir.join("pid"));
        }
    }

    fn answers(&self) -> bool {
        use std::io::{Read as _, Write as _};
        let Ok(mut stream) = std::os::unix::net::UnixStream::connect(self.socket()) else { return false };
        let mut answer = [0; 12];
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n").is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer.ends_with(b"200")
    }

    /// The end of what it said.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        text.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.down("TERM");
        kill(self.keeper.id(), "TERM");
        let _ = self.keeper.wait();
        // An engine that was killed may have been starting a container that it has no record of: its shim is nobody's.
        let mark = self.dir.as_os_str().as_encoded_bytes();
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            if let Some(pid) = pid
                && line.windows(mark.len()).any(|window| window == mark)
            {
                kill(pid, "KILL");
            }
        }
        // What it mounted and did not take away keeps its folder from being removed.
        for mount in mounts_under(&self.dir).iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(mount).status();
        }
    }
}

/// Every mount at or below a folder.
pub fn mounts_under(dir: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    points.filter(|point| point.starts_with(dir)).collect()
}

/// A small filesystem in a file of its own; taken away when it is dropped.
pub struct Small {
    at: PathBuf,
}

impl Small {
    /// Mounts one of so many MiB at a folder.
    pub fn mount(file: &Path, at: &Path, mib: u64) -> Option<Self> {
        std::fs::File::create(file).unwrap().set_len(mib << 20).unwrap();
        let done = |command: &mut Command| {
            command.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let made = done(Command::new("mkfs.ext4").arg("-q").arg(file))
            && done(Command::new("mount").args(["-o", "loop"]).arg(file).arg(at));
        made.then(|| {
            let _ = std::fs::remove_dir(at.join("lost+found"));
            Self { at: at.to_owned() }
        })
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
