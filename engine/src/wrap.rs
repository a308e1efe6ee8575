//! A flock's image out of files: a worker, and the payload that it is to run.
//!
//! ```text
//! /worker                             the static program; CMD
//! /etc/ssl/certs/ca-certificates.crt  the authorities that Mozilla trusts; SSL_CERT_FILE names it
//! /tmp
//! /payload.tar                        nested form alone: the saved payload image
//! /payload.json                       which form, and which payload
//! ```
//!
//! The image is not built, it is written as a saved image and loaded: that needs no builder, and the same files give the
//! same layers on every machine, so that a registry which has the worker's layer is not sent it again. The payload's tar
//! may be of any size: it is streamed, and no copy of it is made on this side.

mod saved;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::query_parameters::ImportImageOptionsBuilder;
use futures_util::StreamExt as _;
use serde_json::json;

use self::saved::{Content, Entry, Layer, Saved};
use crate::connect::Engine;
use crate::elf::Program;
use crate::error::{EngineError, Kind, Result};
use crate::pieces::pieces;

/// An engine answers a load only when it has unpacked the whole archive, and a payload may be of many gigabytes.
const LOADING: Duration = Duration::from_secs(6 * 3600);
/// Where programs of most distributions look for authorities.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
const DOING: &str = "make the flock's image";

/// What to wrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrap {
    /// The worker, a static program for Linux. The image is for the processors that it is for.
    pub worker: PathBuf,
    /// What it is to run.
    pub payload: WrapPayload,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// What the image is to be called: `NAME:TAG`. An image that has the name loses it.
    pub tag: String,
}

/// How a flock's image holds its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrapPayload {
    /// By name: `REPOSITORY@sha256:<64 hex digits>`. A host pulls it unless it has it.
    Digest(String),
    /// Whole, as a saved image that is in the flock's own image.
    Nested {
        /// The saved image, of any size.
        tar: PathBuf,
        /// Digest of its configuration: `sha256:<64 hex digits>`.
        id: String,
    },
}

impl Engine {
    /// Makes a flock's image and gives its id. `progress` is told how many bytes the engine has taken, of how many.
    ///
    /// # Errors
    /// `Invalid` for a worker that is no static program, a payload that is named by no digest, or a file that cannot be
    /// read; else what the engine says.
    pub async fn wrap(&self, wrap: &Wrap, mut progress: impl FnMut(u64, u64) + Send) -> Result<String> {
        let asked = wrap.clone();
        let saved = tokio::task::spawn_blocking(move || asked.saved()).await;
        let saved = saved.map_err(|error| invalid(&wrap.tag, error.to_string()))??;
        let total = saved.size();

        let (mut pieces, archive, mut taken) = pieces();
        let written = tokio::task::spawn_blocking(move || {
            let written = saved.write(&mut pieces);
            if let Err(error) = &written {
                pieces.fail(error);
            }
            written
        });

        let failed = |error| EngineError::of(DOING, wrap.tag.clone(), &error);
        let options = ImportImageOptionsBuilder::default().quiet(false).build();
        let docker = self.docker.clone().with_timeout(LOADING);
        let mut said = Box::pin(docker.import_image_stream(options, archive, None));
        let mut loaded = Ok(());
        loop {
            tokio::select! {
                biased;
                line = said.next() => match line {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        loaded = Err(failed(error));
                        break;
                    }
                    None => break,
                },
                Ok(()) = taken.changed() => {
                    let bytes = *taken.borrow_and_update();
                    progress(bytes.min(total), total);
                }
            }
        }
        // With the request goes the receiver, so that the thread does not wait for an engine that has answered early.
        drop(said);
        // A fault of the files explains a fault of the load, so it comes first; but a connection that broke ends the
        // reading too, and then it is the engine that has something to say.
        match written.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(invalid(&wrap.tag, error.to_string()));
            }
            Ok(Err(error)) => loaded = loaded.and(Err(invalid(&wrap.tag, error.to_string()))),
            Err(error) => loaded = loaded.and(Err(invalid(&wrap.tag, error.to_string()))),
        }
        loaded?;
        progress(total, total);
        // An engine with another store of images than the classic one has ids of its own.
        let found = self.docker.inspect_image(&wrap.tag).await.map_err(failed)?;
        found.id.ok_or_else(|| EngineError::new(DOING, wrap.tag.clone(), Kind::Other, "it has no id"))
    }
}

impl Wrap {
    /// The image, as far as it can be told before it is read.
    fn saved(&self) -> Result<Saved> {
        let architecture = self.architecture()?;
        let (payload, nested) = match &self.payload {
            WrapPayload::Digest(image) => {
                if image.split_once('@').is_none_or(|(name, digest)| name.is_empty() || !is_digest(digest)) {
                    return Err(invalid(&self.tag, format!("{image} names no payload by digest")));
                }
                (json!({ "form": "digest", "image": image }), None)
            }
            WrapPayload::Nested { tar, id } => {
                if !is_digest(id) {
                    return Err(invalid(&self.tag, format!("{id} is no digest of a payload image")));
                }
                (json!({ "form": "nested", "id": id }), Some(self.file("payload.tar", 0o644, tar)?))
            }
        };
        let directory = |path, mode| Entry { path, mode, content: Content::Directory };
        let bytes = |path, bytes| Entry { path, mode: 0o644, content: Content::Bytes(bytes) };
        // What changes least lies lowest: a registry has it already.
        let mut layers = vec![Layer(vec![
            directory("etc", 0o755),
            directory("etc/ssl", 0o755),
            directory("etc/ssl/certs", 0o755),
            bytes(CERTIFICATES, certificates().into_bytes()),
            directory("tmp", 0o1777),
            self.file("worker", 0o755, &self.worker)?,
        ])];
        layers.extend(nested.map(|file| Layer(vec![file])));
        let mut text = payload.to_string();
        text.push('\n');
        layers.push(Layer(vec![bytes("payload.json", text.into_bytes())]));
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Cmd": ["/worker"],
                "Env": ["PATH=/", format!("SSL_CERT_FILE=/{CERTIFICATES}")],
                "WorkingDir": "/",
                "Labels": self.labels,
            },
        });
        Ok(Saved { layers, config, tag: self.tag.clone() })
    }

    fn architecture(&self) -> Result<&'static str> {
        let mut headers = Vec::with_capacity(Program::HEADERS);
        File::open(&self.worker)
            .and_then(|file| file.take(Program::HEADERS as u64).read_to_end(&mut headers))
            .map_err(|error| self.unread(&self.worker, &error))?;
        match Program::read(&headers) {
            Some(Program { architecture, is_static: true }) => Ok(architecture),
            Some(_) => {
                let said = format!(
                    "the worker {} asks for a dynamic loader, which the image has not",
                    self.worker.display()
                );
                Err(invalid(&self.tag, said))
            }
            None => {
                let said = format!("the worker {} is no program for 64-bit Linux", self.worker.display());
                Err(invalid(&self.tag, said))
            }
        }
    }

    fn file(&self, path: &'static str, mode: u32, from: &Path) -> Result<Entry> {
        let size = std::fs::metadata(from).map_err(|error| self.unread(from, &error))?.len();
        Ok(Entry { path, mode, content: Content::File(from.to_owned(), size) })
    }

    fn unread(&self, path: &Path, error: &io::Error) -> EngineError {
        invalid(&self.tag, format!("{} cannot be read: {error}", path.display()))
    }
}

fn invalid(tag: &str, said: String) -> EngineError {
    EngineError::new(DOING, tag, Kind::Invalid, said)
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// The authorities that Mozilla trusts to sign for servers, as a file of certificates.
fn certificates() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        // The format's lines have 64 characters, and base64's letters are one byte each.
        let encoded = STANDARD.encode(certificate);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
