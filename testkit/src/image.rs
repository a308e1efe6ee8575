//! Images of a static busybox, written as `docker save` writes them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The static busybox of this machine, where it has one.
#[must_use]
pub fn busybox() -> Option<PathBuf> {
    let known = ["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox", "/bin/busybox.static"];
    let mut found = known.iter().map(PathBuf::from).filter(|path| path.is_file());
    // One that names a loader would not start in an image of its own.
    found.find(|path| std::fs::read(path).is_ok_and(|bytes| is_static(&bytes)))
}

/// Whether a 64-bit ELF file names no loader.
fn is_static(elf: &[u8]) -> bool {
    const LOADER: [u8; 4] = [3, 0, 0, 0];
    let number = |at: usize, len: usize| {
        let bytes = elf.get(at..at + len)?;
        bytes.iter().rev().try_fold(0_usize, |sum, byte| Some(sum.checked_mul(256)? + usize::from(*byte)))
    };
    let (Some(at), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2)) else {
        return false;
    };
    elf.starts_with(b"\x7fELF\x02\x01")
        && (0..count).all(|index| elf.get(at + index * size..at + index * size + 4) != Some(&LOADER[..]))
}

/// An image to be made.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Its `Config`, as the format of images has it: `{"Cmd": ["sh"]}`. `Env` has `PATH` unless it is given.
    pub config: Value,
    /// Files beside the usual ones: absolute path and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Architecture in the image's words; the host's where it is empty.
    pub architecture: String,
    /// No shell and no programs but `/bin/busybox`.
    pub bare: bool,
    /// When it says that it was built: `2026-01-02T03:04:05Z`.
    pub created: String,
    /// The layout of newer engines, `blobs/sha256/<hex>`; else `<hex>.json`.
    pub blobs: bool,
}

impl Image {
    /// An image with this configuration.
    #[must_use]
    pub fn new(config: Value) -> Self {
        Self { config, ..Self::default() }
    }

    /// Writes it to `file` under the name `reference`, or none where that is empty; gives the digest of its
    /// configuration, 64 hex digits.
    ///
    /// # Errors
    /// There is no busybox, or the file cannot be written.
    pub fn write(&self, file: &Path, reference: &str) -> io::Result<String> {
        let layer = self.layer()?;
        let layer_hex = hex(&layer);
        let mut config = self.config.clone();
        if !config.is_object() {
            config = json!({});
        }
        if config.get("Env").is_none() {
            config["Env"] = json!(["PATH=/bin"]);
        }
        let created = if self.created.is_empty() { "2026-01-01T00:00:00Z" } else { &self.created };
        let text = json!({
            "architecture": if self.architecture.is_empty() { architecture() } else { &self.architecture },
            "os": "linux",
            "created": created,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_hex}")]},
            "history": [{"created": created, "created_by": "a test"}],
        })
        .to_string();
        let config_hex = hex(text.as_bytes());
        let (config_name, layer_name) = if self.blobs {
            (format!("blobs/sha256/{config_hex}"), format!("blobs/sha256/{layer_hex}"))
        } else {
            (format!("{config_hex}.json"), format!("{layer_hex}/layer.tar"))
        };
        let tags = if reference.is_empty() { Value::Null } else { json!([reference]) };
        let list = json!([{"Config": config_name, "RepoTags": tags, "Layers": [layer_name]}]).to_string();
        let mut archive = tar::Builder::new(File::create(file)?);
        add(&mut archive, &layer_name, &layer, 0o644)?;
        add(&mut archive, &config_name, text.as_bytes(), 0o644)?;
        add(&mut archive, "manifest.json", list.as_bytes(), 0o644)?;
        archive.into_inner()?.sync_all()?;
        Ok(config_hex)
    }

    fn layer(&self) -> io::Result<Vec<u8>> {
        let busybox = busybox().ok_or_else(|| io::Error::other("there is no static busybox"))?;
        let mut archive = tar::Builder::new(Vec::new());
        for dir in ["bin/", "dev/", "etc/", "mnt/", "proc/", "root/", "sys/", "tmp/"] {
            let mode = if dir == "tmp/" { 0o1777 } else { 0o755 };
            let mut header = header(tar::EntryType::Directory, 0, mode);
            archive.append_data(&mut header, dir, io::empty())?;
        }
        let program = std::fs::read(&busybox)?;
        add(&mut archive, "bin/busybox", &program, 0o755)?;
        if !self.bare {
            let list = Command::new(&busybox).arg("--list").output()?.stdout;
            for applet in String::from_utf8_lossy(&list).lines().filter(|applet| *applet != "busybox") {
                let mut header = header(tar::EntryType::Symlink, 0, 0o777);
                archive.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
            }
        }
        let given = |path: &str| self.files.iter().any(|(known, _)| known == path);
        let users = "root:x:0:0:root:/root:/bin/sh\napp:x:1234:2345::/:/bin/sh\n";
        for (path, text) in
            [("/etc/passwd", users), ("/etc/group", "root:x:0:\napp:x:2345:\nother:x:3456:\n")]
        {
            if !given(path) {
                add(&mut archive, path, text.as_bytes(), 0o644)?;
            }
        }
        for (path, bytes) in &self.files {
            add(&mut archive, path, bytes, 0o755)?;
        }
        archive.into_inner()
    }
}

/// This machine's architecture in the words of images.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn add<W: io::Write>(archive: &mut tar::Builder<W>, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut header = header(tar::EntryType::Regular, bytes.len() as u64, mode);
    archive.append_data(&mut header, path.trim_start_matches('/'), bytes)
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// The SHA-256 of some bytes, 64 hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
