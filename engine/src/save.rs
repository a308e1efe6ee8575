//! Saving an image to a file, as the nested form of a flock's image holds it.
//!
//! The file is an archive of `docker save` in which the image is called [`NESTED`], whatever it is called here: the engine
//! is asked for it by its id, and the name is written into the archive on its way. So two saves at once cannot take each
//! other's image for their own.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::connect::Engine;
use crate::error::{EngineError, Kind, Result};

/// What a nested payload is called in its archive, since the first version of it.
pub const NESTED: &str = "payload_image:latest";
/// An engine puts the whole image together before it answers.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// Pieces between the connection and the thread that writes. Full, the connection waits.
const PIECES: usize = 4;
/// Bytes of a manifest that are read. It lists layers and no more.
const MANIFEST: u64 = 1024 * 1024;
const DOING: &str = "save the image";

impl Engine {
    /// Saves an image to a file, which is replaced, and gives the digest of its configuration: `sha256:…`. `progress` is
    /// told the bytes so far. The image is streamed: it is never held.
    ///
    /// # Errors
    /// `Full` where the file's disk is, `NotFound` where there is no such image.
    pub async fn save(
        &self,
        image: &str,
        to: &Path,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<String> {
        let path = to.to_owned();
        let (pieces, received) = mpsc::channel::<io::Result<Bytes>>(PIECES);
        let written = tokio::task::spawn_blocking(move || rewrite(Received::new(received), &path));
        let docker = self.docker.clone().with_timeout(PATIENCE);
        let mut sent = Box::pin(docker.export_image(image));
        let (mut bytes, mut failed) = (0, None);
        while let Some(piece) = sent.next().await {
            match piece {
                Ok(piece) => {
                    bytes += piece.len() as u64;
                    if pieces.send(Ok(piece)).await.is_err() {
                        break;
                    }
                    progress(bytes);
                }
                Err(error) => {
                    // The thread must not take what came so far for the whole.
                    let _ = pieces.send(Err(io::Error::other("the engine broke off"))).await;
                    failed = Some(EngineError::of(DOING, image, &error));
                    break;
                }
            }
        }
        drop(pieces);
        let written =
            written.await.map_err(|error| EngineError::new(DOING, image, Kind::Other, error.to_string()))?;
        if let Some(error) = failed {
            return Err(error);
        }
        written.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
                _ => Kind::Invalid,
            };
            EngineError::new(DOING, image, kind, format!("{}: {error}", to.display()))
        })
    }
}

/// Copies an archive of one image entry by entry, and gives the image its name; gives the digest of its configuration.
fn rewrite(from: impl Read, to: &Path) -> io::Result<String> {
    let mut archive = tar::Archive::new(from);
    let mut file = BufWriter::with_capacity(crate::pieces::PIECE, File::create(to)?);
    let mut written = tar::Builder::new(&mut file);
    let mut found = None;
    // Raw: headers that only carry a long name are entries like others, and so are copied like others.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let mut header = entry.header().clone();
        if entry.path_bytes().as_ref() == b"manifest.json" {
            let mut text = Vec::new();
            entry.by_ref().take(MANIFEST).read_to_end(&mut text)?;
            let (named, digest) = name(&text)?;
            header.set_size(named.len() as u64);
            header.set_cksum();
            written.append(&header, named.as_slice())?;
            found = Some(digest);
        } else {
            written.append(&header, &mut entry)?;
        }
    }
    written.finish()?;
    drop(written);
    file.flush()?;
    found.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "what the engine saved has no manifest.json")
    })
}

/// A manifest in which its one image has the name; and the digest of that image's configuration.
fn name(text: &[u8]) -> io::Result<(Vec<u8>, String)> {
    let odd = |said: &str| io::Error::new(io::ErrorKind::InvalidData, said.to_owned());
    let mut manifest: Vec<Value> = serde_json::from_slice(text)?;
    let [image] = manifest.as_mut_slice() else {
        return Err(odd("what the engine saved is not one image; name one platform of it with --platform"));
    };
    image["RepoTags"] = json!([NESTED]);
    let config = image["Config"].as_str().unwrap_or_default();
    // `<digest>.json` of old engines, `blobs/sha256/<digest>` of new ones.
    let hex = config.rsplit('/').next().unwrap_or_default();
    let hex = hex.strip_suffix(".json").unwrap_or(hex);
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(odd("what the engine saved does not name its configuration by a digest"));
    }
    let digest = format!("sha256:{hex}");
    Ok((serde_json::to_vec(&manifest)?, digest))
}

/// Pieces as they come, read by a thread that may block.
struct Received {
    from: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Received {
    fn new(from: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { from, piece: Bytes::new() }
    }
}

impl Read for Received {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let taken = self.piece.split_to(self.piece.len().min(into.len()));
        into[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn the_image_gets_its_name_and_all_else_is_as_it_was() {
        let hex = "0123456789abcdef".repeat(4);
        let long = format!("{}/layer.tar", "l".repeat(150));
        for config in [format!("{hex}.json"), format!("blobs/sha256/{hex}")] {
            let manifest = json!([{ "Config": config, "RepoTags": null, "Layers": [long] }]).to_string();
            let from =
                archive(&[(&long, "layer"), (&config, "{}"), ("manifest.json", &manifest), ("z", "after")]);
            let to = tempfile::NamedTempFile::new().unwrap();
            assert_eq!(rewrite(from.as_slice(), to.path()).unwrap(), format!("sha256:{hex}"));
            let mut found = Vec::new();
            for entry in tar::Archive::new(File::open(to.path()).unwrap()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                found.push((entry.path().unwrap().display().to_string(), text));
            }
            let named = json!([{ "Config": config, "RepoTags": [NESTED], "Layers": [long] }]).to_string();
            let expected =
                [(long.as_str(), "layer"), (&config, "{}"), ("manifest.json", &named), ("z", "after")];
            assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
        }
    }

    #[test]
    fn what_is_not_one_whole_image_is_refused() {
        let to = tempfile::NamedTempFile::new().unwrap();
        let hex = "0".repeat(64);
        let one = json!({ "Config": format!("{hex}.json") });
        for manifest in [json!([]), json!([one, one]), json!([{ "Config": "../x" }]), json!({})] {
            let from = archive(&[("manifest.json", &manifest.to_string())]);
            assert!(rewrite(from.as_slice(), to.path()).is_err(), "{manifest}");
        }
        assert!(rewrite(archive(&[("x", "")]).as_slice(), to.path()).is_err());
        let whole = archive(&[("manifest.json", &json!([one]).to_string()), ("layer", &"x".repeat(5_000))]);
        assert!(rewrite(whole.as_slice(), to.path()).is_ok());
        assert!(rewrite(&whole[..3_000], to.path()).is_err(), "a cut archive");
        assert!(rewrite(&b""[..], to.path()).is_err());
    }
}
