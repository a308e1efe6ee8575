//! Flock images on a real engine. The worker is a program of twelve bytes that exits with 7.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptionsBuilder, ListImagesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt as _;
use shepard_engine::{Engine, Kind, Wrap, WrapPayload};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn main() -> ExitCode {
    shepard_testkit::with_engine(vec![
        ("the_digest_form_runs_its_worker_and_names_its_payload", digest_form),
        ("the_nested_form_holds_the_payload_byte_for_byte", nested_form),
        ("the_same_files_give_the_same_image", same_image),
        ("a_name_moves_to_the_newer_image", name_moves),
        ("what_cannot_be_an_image_is_refused_and_leaves_none", refused),
    ])
}

/// A static program that exits with 7.
fn program() -> Vec<u8> {
    let (machine, code): (u16, &[u8]) = if cfg!(target_arch = "aarch64") {
        // mov x0, #7; mov x8, #93; svc #0
        (183, &[0xe0, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4])
    } else {
        // mov edi, 7; mov eax, 60; syscall
        (62, &[0xbf, 7, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05])
    };
    let (base, headers): (u64, u64) = (0x40_0000, 64 + 56);
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2_u16.to_le_bytes(), machine.to_le_bytes()].concat());
    elf.extend(1_u32.to_le_bytes());
    for address in [base + headers, 64, 0] {
        elf.extend(address.to_le_bytes());
    }
    elf.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    let size = headers + code.len() as u64;
    elf.extend([1_u32.to_le_bytes(), 5_u32.to_le_bytes()].concat());
    for field in [0, base, base, size, size, 0x1000_u64] {
        elf.extend(field.to_le_bytes());
    }
    elf.extend(code);
    elf
}

/// Files, a name of this test alone, and an engine; what it made is removed at its end.
struct Bench {
    runtime: tokio::runtime::Runtime,
    docker: Docker,
    engine: Engine,
    dir: tempfile::TempDir,
    name: String,
}

impl Bench {
    fn new(test: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = runtime.block_on(Engine::connect(None)).unwrap();
        let socket = engine.socket().expect("an engine at a socket").to_owned();
        let docker = Docker::connect_with_unix(&socket, 60, bollard::API_DEFAULT_VERSION).unwrap();
        let docker = runtime.block_on(docker.negotiate_version()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("worker"), program()).unwrap();
        let name = format!("shepard-test-wrap-{test}-{}", std::process::id());
        Self { runtime, docker, engine, dir, name }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn wrap(&self, payload: WrapPayload) -> Wrap {
        let labels = BTreeMap::from([("shepard.release".to_owned(), "r 1".to_owned())]);
        Wrap { worker: self.path("worker"), payload, labels, tag: format!("{}:r1", self.name) }
    }

    fn make(&self, wrap: &Wrap) -> shepard_engine::Result<String> {
        self.runtime.block_on(self.engine.wrap(wrap, |_, _| {}))
    }

    fn container<T>(&self, image: &str, use_it: impl AsyncFnOnce(&Docker, &str) -> T) -> T {
        self.runtime.block_on(async {
            let host = HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() };
            let body = ContainerCreateBody {
                image: Some(image.to_owned()),
                host_config: Some(host),
                ..ContainerCreateBody::default()
            };
            let made = self.docker.create_container(None::<CreateContainerOptions>, body).await.unwrap();
            let outcome = use_it(&self.docker, &made.id).await;
            let force = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            self.docker.remove_container(&made.id, Some(force)).await.unwrap();
            outcome
        })
    }

    fn runs(&self, image: &str) -> i64 {
        self.container(image, async |docker, id| {
            docker.start_container(id, None::<StartContainerOptions>).await.unwrap();
            match docker.wait_container(id, None::<WaitContainerOptions>).next().await.unwrap() {
                Ok(ended) => ended.status_code,
                Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => code,
                Err(error) => panic!("{error}"),
            }
        })
    }

    fn file(&self, image: &str, path: &str) -> Option<Vec<u8>> {
        self.container(image, async |docker, id| {
            let wanted = DownloadFromContainerOptionsBuilder::default().path(path).build();
            let mut stream = docker.download_from_container(id, Some(wanted));
            let mut archive = Vec::new();
            while let Some(piece) = stream.next().await {
                archive.extend(piece.ok()?);
            }
            let mut archive = tar::Archive::new(archive.as_slice());
            let mut bytes = Vec::new();
            archive.entries().unwrap().next()?.unwrap().read_to_end(&mut bytes).unwrap();
            Some(bytes)
        })
    }

    fn remove(&self, image: &str) {
        let force = RemoveImageOptionsBuilder::default().force(true).build();
        self.runtime.block_on(self.docker.remove_image(image, Some(force), None)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        self.runtime.block_on(async {
            let mine = HashMap::from([("reference".to_owned(), vec![format!("{}*", self.name)])]);
            let options = ListImagesOptionsBuilder::default().filters(&mine).build();
            let found = self.docker.list_images(Some(options)).await.unwrap();
            found.into_iter().flat_map(|image| image.repo_tags).collect()
        })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for name in self.names() {
            self.remove(&name);
        }
    }
}

fn digest_form() {
    let bench = Bench::new("digest");
    let image = format!("host.example/flock@{DIGEST}");
    let id = bench.make(&bench.wrap(WrapPayload::Digest(image.clone()))).unwrap();
    assert_eq!(bench.runs(&id), 7);
    let said: serde_json::Value = serde_json::from_slice(&bench.file(&id, "/payload.json").unwrap()).unwrap();
    assert_eq!(said, serde_json::json!({ "form": "digest", "image": image }));
    assert_eq!(bench.file(&id, "/payload.tar"), None);

    let certificates =
        String::from_utf8(bench.file(&id, "/etc/ssl/certs/ca-certificates.crt").unwrap()).unwrap();
    assert!(certificates.matches("BEGIN CERTIFICATE").count() > 50);
    assert!(certificates.lines().all(|line| line.len() <= 64));
    let found = bench.runtime.block_on(bench.docker.inspect_image(&format!("{}:r1", bench.name))).unwrap();
    assert_eq!(found.id.as_deref(), Some(id.as_str()));
    let config = found.config.unwrap();
    assert_eq!(config.cmd, Some(vec!["/worker".to_owned()]));
    assert_eq!(config.entrypoint, None);
    assert_eq!(config.labels.unwrap()["shepard.release"], "r 1");
    assert!(config.env.unwrap().contains(&"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt".to_owned()));
    let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    assert_eq!((found.architecture.as_deref(), found.os.as_deref()), (Some(here), Some("linux")));
}

fn nested_form() {
    let bench = Bench::new("nested");
    // Not a multiple of a block, and more than one piece of the stream.
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(bench.path("saved.tar"), &bytes).unwrap();
    let payload = WrapPayload::Nested { tar: bench.path("saved.tar"), id: DIGEST.to_owned() };
    let wrap = bench.wrap(payload);
    let mut seen = Vec::new();
    let id =
        bench.runtime.block_on(bench.engine.wrap(&wrap, |taken, total| seen.push((taken, total)))).unwrap();
    assert!(seen.windows(2).all(|two| two[0].0 <= two[1].0), "{seen:?}");
    let (taken, total) = seen.last().copied().unwrap();
    assert!(taken == total && total > bytes.len() as u64, "{seen:?}");
    assert_eq!(bench.file(&id, "/payload.tar"), Some(bytes));
    let said: serde_json::Value = serde_json::from_slice(&bench.file(&id, "/payload.json").unwrap()).unwrap();
    assert_eq!(said, serde_json::json!({ "form": "nested", "id": DIGEST }));
}

fn same_image() {
    let bench = Bench::new("same");
    let wrap = bench.wrap(WrapPayload::Digest(format!("x@{DIGEST}")));
    let first = bench.make(&wrap).unwrap();
    // A file that is as it was, though it was written later.
    std::fs::write(bench.path("worker"), program()).unwrap();
    assert_eq!(bench.make(&wrap).unwrap(), first);
    let other = Wrap { labels: BTreeMap::new(), ..wrap };
    assert_ne!(bench.make(&other).unwrap(), first);
    bench.remove(&first);
}

fn name_moves() {
    let bench = Bench::new("name");
    let wrap = bench.wrap(WrapPayload::Digest(format!("x@{DIGEST}")));
    let first = bench.make(&wrap).unwrap();
    let second = bench.make(&Wrap { payload: WrapPayload::Digest(format!("y@{DIGEST}")), ..wrap }).unwrap();
    assert_ne!(first, second);
    let found = bench.runtime.block_on(bench.docker.inspect_image(&format!("{}:r1", bench.name))).unwrap();
    assert_eq!(found.id, Some(second));
    bench.remove(&first);
}

fn refused() {
    let bench = Bench::new("refused");
    let good = bench.wrap(WrapPayload::Digest(format!("x@{DIGEST}")));
    let payload = |text: &str| Wrap { payload: WrapPayload::Digest(text.to_owned()), ..good.clone() };
    let nested = |tar: &Path, id: &str| Wrap {
        payload: WrapPayload::Nested { tar: tar.to_owned(), id: id.to_owned() },
        ..good.clone()
    };
    std::fs::write(bench.path("script"), "#!/bin/sh\n").unwrap();
    let dynamic = std::env::current_exe().unwrap();
    let worker = bench.path("worker");
    for (wrap, word) in [
        (payload("host.example/flock:latest"), "by digest"),
        (payload("x@sha256:123"), "by digest"),
        (payload(&format!("@{DIGEST}")), "by digest"),
        (nested(&worker, "abc"), "no digest"),
        (nested(&bench.path("absent.tar"), DIGEST), "absent.tar"),
        (Wrap { worker: bench.path("absent"), ..good.clone() }, "absent"),
        (Wrap { worker: bench.path("script"), ..good.clone() }, "no program"),
        (Wrap { worker: dynamic, ..good.clone() }, "dynamic loader"),
        (Wrap { tag: "Not A Name".to_owned(), ..good.clone() }, "Not A Name"),
    ] {
        let error = bench.make(&wrap).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        if word != "Not A Name" {
            assert_eq!(error.kind, Kind::Invalid, "{error}");
        }
    }
    assert_eq!(bench.names(), Vec::<String>::new());
}
