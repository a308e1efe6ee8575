//! A registry on loopback that has one image and lets one user in.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// `AWS:hush` as a header has it.
const ALLOWED: &str = "basic qvdtomh1c2g=";

pub(crate) struct Registry {
    /// `127.0.0.1:PORT/shepard-test@sha256:…`.
    pub(crate) reference: String,
    /// Paths that were asked for by who was let in.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    /// Offers the image of a saved archive, until the process ends.
    pub(crate) fn of(tar: &Path) -> Self {
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for entry in tar::Archive::new(std::fs::File::open(tar).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let list: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let part = |name: &Value, kind: &str| {
            let bytes = files[name.as_str().unwrap()].clone();
            let digest = digest(&bytes);
            (json!({"mediaType": kind, "digest": digest, "size": bytes.len()}), (digest, bytes))
        };
        let (config, config_blob) = part(&list[0]["Config"], "application/vnd.oci.image.config.v1+json");
        let (layer, layer_blob) = part(&list[0]["Layers"][0], "application/vnd.oci.image.layer.v1.tar");
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}).to_string();
        let manifest = (digest(manifest.as_bytes()), manifest.into_bytes());
        let reference = manifest.0.clone();
        let blobs: Arc<BTreeMap<_, _>> = Arc::new([config_blob, layer_blob, manifest].into());

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let reference = format!("{}/shepard-test@{reference}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (blobs, log) = (Arc::clone(&blobs), Arc::clone(&log));
                std::thread::spawn(move || serve(&stream, &blobs, &log));
            }
        });
        Self { reference, asked }
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn serve(mut stream: &TcpStream, blobs: &BTreeMap<String, Vec<u8>>, log: &Mutex<Vec<String>>) {
    let mut first = [0];
    // An engine tries TLS first, and plain HTTP where that is not spoken.
    if stream.peek(&mut first).is_err() || !first[0].is_ascii_uppercase() {
        return;
    }
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut let_in = false;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                break;
            }
            let_in |= line.trim_end().to_ascii_lowercase() == format!("authorization: {ALLOWED}");
        }
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let head_only = request.starts_with("HEAD");
        let blob = path.rsplit('/').next().and_then(|digest| Some((digest, blobs.get(digest)?)));
        let (status, headers, body) = match blob {
            _ if !let_in => {
                ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"test\"\r\n".to_owned(), Vec::new())
            }
            Some((digest, bytes)) => {
                let kind = if path.contains("/manifests/") {
                    "vnd.oci.image.manifest.v1+json"
                } else {
                    "octet-stream"
                };
                let headers =
                    format!("Content-Type: application/{kind}\r\nDocker-Content-Digest: {digest}\r\n");
                ("200 OK", headers, bytes.clone())
            }
            None if path == "/v2/" => ("200 OK", String::new(), b"{}".to_vec()),
            None => ("404 Not Found", String::new(), Vec::new()),
        };
        if let_in {
            log.lock().unwrap().push(path);
        }
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).is_err() || (!head_only && stream.write_all(&body).is_err()) {
            return;
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", shepard_testkit::image::hex(bytes))
}
