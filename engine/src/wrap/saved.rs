//! A saved image as a stream of bytes: the archive that `POST /images/load` takes, written file by file.
//!
//! The same files give the same bytes: every entry belongs to user 0, has the date 0 and stands where its layer puts it.
//! A layer's digest is known only when it is written, so what names it (the configuration, the manifest) comes last;
//! engines unpack the whole archive before they look for either.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Bytes of a block: a header is one, and what follows is filled up to one.
const BLOCK: u64 = 512;
/// An archive ends with two empty blocks.
const END: u64 = 2 * BLOCK;

/// What an entry of a layer holds.
pub(super) enum Content {
    /// A directory.
    Directory,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file of this machine, of as many bytes.
    File(PathBuf, u64),
}

/// An entry of a layer.
pub(super) struct Entry {
    /// Path in the image, without a slash before it; at most 100 bytes.
    pub(super) path: &'static str,
    /// Permissions.
    pub(super) mode: u32,
    /// What it holds.
    pub(super) content: Content,
}

impl Entry {
    fn size(&self) -> u64 {
        match &self.content {
            Content::Directory => 0,
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(_, size) => *size,
        }
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let kind = match self.content {
            Content::Directory => tar::EntryType::Directory,
            _ => tar::EntryType::Regular,
        };
        to.write_all(header(self.path, self.mode, self.size(), kind)?.as_bytes())?;
        match &self.content {
            Content::Directory => {}
            Content::Bytes(bytes) => to.write_all(bytes)?,
            Content::File(path, size) => {
                let copied = io::copy(&mut File::open(path)?.take(*size), to)?;
                if copied != *size {
                    let said = format!("{} became shorter while it was read", path.display());
                    return Err(io::Error::other(said));
                }
            }
        }
        fill(to, self.size())
    }
}

/// A layer: its entries, in their order.
pub(super) struct Layer(pub(super) Vec<Entry>);

impl Layer {
    fn size(&self) -> u64 {
        self.0.iter().map(|entry| BLOCK + filled(entry.size())).sum::<u64>() + END
    }
}

/// A whole image. The bytes of its archive are as many as [`size`](Self::size) says, give or take the few of the
/// manifest.
pub(super) struct Saved {
    /// From the bottom up.
    pub(super) layers: Vec<Layer>,
    /// The configuration, without `rootfs`.
    pub(super) config: Value,
    /// What it is to be called.
    pub(super) tag: String,
}

impl Saved {
    /// Bytes of its layers.
    pub(super) fn size(&self) -> u64 {
        self.layers.iter().map(Layer::size).sum()
    }

    /// Writes the archive; gives the digest of the configuration.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<String> {
        let (mut names, mut digests) = (Vec::new(), Vec::new());
        for (number, layer) in self.layers.iter().enumerate() {
            let (name, size) = (format!("layer-{number}.tar"), layer.size());
            to.write_all(header(&name, 0o644, size, tar::EntryType::Regular)?.as_bytes())?;
            let mut hashed = Hashed { to: &mut *to, hash: Sha256::new() };
            for entry in &layer.0 {
                entry.write(&mut hashed)?;
            }
            hashed.write_all(&[0; END as usize])?;
            digests.push(format!("sha256:{}", hex(&hashed.hash.finalize())));
            fill(to, size)?;
            names.push(name);
        }
        let mut config = self.config.clone();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": digests });
        let config = config.to_string().into_bytes();
        let digest = hex(&Sha256::digest(&config));
        let name = format!("{digest}.json");
        let manifest = json!([{ "Config": name, "RepoTags": [self.tag], "Layers": names }]).to_string();
        for (name, bytes) in [(name.as_str(), config), ("manifest.json", manifest.into_bytes())] {
            to.write_all(header(name, 0o644, bytes.len() as u64, tar::EntryType::Regular)?.as_bytes())?;
            to.write_all(&bytes)?;
            fill(to, bytes.len() as u64)?;
        }
        to.write_all(&[0; END as usize])?;
        to.flush()?;
        Ok(format!("sha256:{digest}"))
    }
}

fn header(path: &str, mode: u32, size: u64, kind: tar::EntryType) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

fn filled(size: u64) -> u64 {
    size.div_ceil(BLOCK) * BLOCK
}

fn fill(to: &mut impl Write, size: u64) -> io::Result<()> {
    let missing = usize::try_from(filled(size) - size).unwrap_or_default();
    to.write_all(&[0; BLOCK as usize][..missing])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Passes bytes on and hashes them.
struct Hashed<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(file: &std::path::Path) -> Saved {
        let size = std::fs::metadata(file).unwrap().len();
        Saved {
            layers: vec![
                Layer(vec![
                    Entry { path: "etc", mode: 0o755, content: Content::Directory },
                    Entry { path: "worker", mode: 0o755, content: Content::File(file.to_owned(), size) },
                ]),
                Layer(vec![Entry { path: "a.json", mode: 0o644, content: Content::Bytes(vec![b'x'; 512]) }]),
            ],
            config: json!({ "os": "linux" }),
            tag: "name:tag".to_owned(),
        }
    }

    #[test]
    fn an_archive_names_its_layers_by_what_is_in_them_and_is_the_same_every_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7_u8; 1_000]).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let id = saved(file.path()).write(&mut first).unwrap();
        assert_eq!(saved(file.path()).write(&mut second).unwrap(), id);
        assert_eq!(first, second);

        let mut found = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(first.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let manifest: Value = serde_json::from_slice(&found["manifest.json"]).unwrap();
        let config = &found[manifest[0]["Config"].as_str().unwrap()];
        assert_eq!(id, format!("sha256:{}", hex(&Sha256::digest(config))));
        let config: Value = serde_json::from_slice(config).unwrap();
        for (number, name) in manifest[0]["Layers"].as_array().unwrap().iter().enumerate() {
            let digest = format!("sha256:{}", hex(&Sha256::digest(&found[name.as_str().unwrap()])));
            assert_eq!(config["rootfs"]["diff_ids"][number], json!(digest));
        }
        assert_eq!(manifest[0]["RepoTags"], json!(["name:tag"]));

        let layer = &found["layer-0.tar"];
        let paths: Vec<(String, u64, u32)> = tar::Archive::new(layer.as_slice())
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                (path, entry.size(), entry.header().mode().unwrap())
            })
            .collect();
        assert_eq!(paths, [("etc".to_owned(), 0, 0o755), ("worker".to_owned(), 1_000, 0o755)]);
    }

    #[test]
    fn a_file_that_became_shorter_is_no_image() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7_u8; 1_000]).unwrap();
        let saved = saved(file.path());
        std::fs::write(file.path(), b"short").unwrap();
        assert!(saved.write(&mut Vec::new()).unwrap_err().to_string().contains("shorter"));
    }
}
