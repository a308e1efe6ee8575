//! What engines and registries do wrong, by an engine that answers as it is told. No Docker is needed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/fake.rs"]
mod fake;

use std::sync::Arc;

use async_trait::async_trait;
use fake::{Answer, Fake, Hasty, Request};
use shepard_container::{DockerPayload, Image, Logins, Options};
use shepard_engine::Login;
use shepard_model::{Isolation, JobId, Shape};
use shepard_worker::payload::Cause;
use shepard_worker::place::{self, Place};
use shepard_worker::{Exited, Line, Payload, PayloadError, PayloadSpec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "hush-hush";

struct Bench {
    dir: tempfile::TempDir,
    fake: Option<Fake>,
    clock: Arc<Hasty>,
    options: Options,
}

struct Ecr;

#[async_trait]
impl Logins for Ecr {
    async fn login(&self, reference: &str) -> Result<Option<Login>, String> {
        if reference.contains("locked") {
            return Err("the role may not ask for a token".to_owned());
        }
        Ok(Some(Login { server: "registry".into(), username: "AWS".into(), password: PASSWORD.into() }))
    }
}

impl Bench {
    fn new(answer: impl Fn(&Request, usize) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let fake = Some(Fake::listen(&socket, answer));
        let options = Options { engine: Some(format!("unix://{}", socket.display())), ..Options::default() };
        Self { dir, fake, clock: Arc::default(), options }
    }

    async fn run(&self, image: Image) -> (Result<Exited, PayloadError>, Vec<Line>) {
        let payload =
            DockerPayload::new(self.clock.clone(), image, self.options.clone()).with_logins(Arc::new(Ecr));
        let id = JobId::parse("job-1").unwrap();
        let dirs = Place::local(self.dir.path().join("jobs")).dirs(&id);
        place::make(&dirs).unwrap();
        let spec = PayloadSpec {
            id,
            shape: Shape::default(),
            environment: vec![("TOKEN".into(), PASSWORD.into())],
            input: dirs[0].input.clone(),
            dirs,
            quick_deploy: None,
            secrets: None,
            ulimit_nofile: None,
            allow_docker: false,
            timeout_s: None,
            interrupted: CancellationToken::new(),
        };
        let (sender, mut receiver) = mpsc::channel(9);
        let stop = CancellationToken::new();
        let run = async {
            let sender = sender;
            payload.run(&spec, sender, &stop).await
        };
        let read = async {
            let mut lines = Vec::new();
            while let Some(line) = receiver.recv().await {
                lines.push(line);
            }
            lines
        };
        tokio::join!(run, read)
    }

    fn count(&self, method: &str, path: &str) -> usize {
        self.fake.as_ref().unwrap().count(method, path)
    }
}

fn there() -> Image {
    Image::Present { reference: "there:1".into() }
}

fn digest(repository: &str) -> Image {
    Image::Digest { reference: format!("registry/{repository}@sha256:{}", "1".repeat(64)) }
}

fn refused(result: Result<Exited, PayloadError>) -> String {
    match result {
        Err(PayloadError::Refused(said)) => checked(said),
        other => panic!("{other:?}"),
    }
}

fn passing(result: Result<Exited, PayloadError>) -> String {
    match result {
        Err(PayloadError::Passing(said)) => checked(said),
        other => panic!("{other:?}"),
    }
}

/// Every sentence is one line and repeats nobody's secret.
fn checked(said: String) -> String {
    assert!(!said.contains('\n') && !said.contains(PASSWORD), "{said}");
    said
}

#[tokio::test]
async fn the_fake_itself_runs_a_payload() {
    let bench = Bench::new(|_, _| None);
    let (result, lines) = bench.run(there()).await;
    assert_eq!(result.unwrap(), Exited { code: 0, cause: Cause::Itself });
    assert_eq!(lines[0].text, "hello");
    assert_eq!(bench.count("DELETE", "/containers/c1?"), 1);
    let asked = bench.fake.as_ref().unwrap().asked.lock().unwrap();
    let removal = asked.iter().find(|request| request.method == "DELETE").unwrap();
    assert!(removal.path.contains("force=true") && removal.path.contains("v=true"), "{}", removal.path);
}

#[tokio::test]
async fn no_engine_is_a_reason_to_try_again() {
    let mut bench = Bench::new(|_, _| None);
    bench.options.engine = Some("unix:///nowhere/docker.sock".into());
    let said = passing(bench.run(there()).await.0);
    assert!(said.contains("/nowhere/docker.sock") && said.contains("is a Docker engine running?"), "{said}");
    // A socket that nobody listens at.
    bench.fake = None;
    tokio::task::yield_now().await;
    bench.options.engine = Some(format!("unix://{}/docker.sock", bench.dir.path().display()));
    let said = passing(bench.run(there()).await.0);
    assert!(said.contains("DOCKER_HOST"), "{said}");
}

#[tokio::test]
async fn a_pull_that_is_denied_is_refused_and_the_login_was_used() {
    for in_stream in [false, true] {
        let message =
            "pull access denied for registry/x, repository does not exist or may require 'docker login'";
        let bench = Bench::new(move |request, _| {
            let answer = || if in_stream { Answer::in_stream(message) } else { Answer::error(404, message) };
            request.is("POST", "/images/create").then(answer)
        });
        let said = refused(bench.run(digest("x")).await.0);
        assert!(said.contains("registry/x@sha256:") && said.contains("may pull from it"), "{said}");
        assert_eq!(bench.count("POST", "/images/create"), 1);
        let asked = bench.fake.as_ref().unwrap().asked.lock().unwrap();
        let pull = asked.iter().find(|request| request.is("POST", "/images/create")).unwrap();
        assert!(pull.headers.contains("x-registry-auth: ey"), "{}", pull.headers);
        assert!(
            pull.path.contains("fromImage=registry%2Fx&") && pull.path.contains("tag=sha256%3A1"),
            "{}",
            pull.path
        );
    }
}

#[tokio::test]
async fn a_login_that_cannot_be_had_is_a_reason_to_try_again() {
    let bench = Bench::new(|_, _| None);
    let said = passing(bench.run(digest("locked")).await.0);
    assert!(said.contains("the role may not ask for a token") && said.contains("registry/locked"), "{said}");
    assert_eq!(bench.count("POST", "/images/create"), 0);
}

#[tokio::test]
async fn an_image_that_the_registry_has_not_is_refused() {
    let bench = Bench::new(|request, _| {
        let answer = || Answer::error(404, "manifest for registry/x@sha256:1 not found: manifest unknown");
        request.is("POST", "/images/create").then(answer)
    });
    let said = refused(bench.run(digest("x")).await.0);
    assert!(said.contains("the registry has no such image"), "{said}");
}

#[tokio::test]
async fn a_registry_that_is_busy_is_asked_again_and_then_given_up_for_now() {
    let bench = Bench::new(|request, _| {
        let answer = || Answer::in_stream("toomanyrequests: Rate exceeded");
        request.is("POST", "/images/create").then(answer)
    });
    let said = passing(bench.run(digest("x")).await.0);
    assert!(said.contains("Rate exceeded") && said.contains("another attempt"), "{said}");
    assert_eq!(bench.count("POST", "/images/create"), 3);
    assert_eq!(*bench.clock.slept.lock().unwrap(), [1_000, 2_000]);

    let bench = Bench::new(|request, before| {
        let busy = || Answer::error(500, "Get https://registry/v2/: dial tcp: i/o timeout");
        (request.is("POST", "/images/create") && before == 0).then(busy).or_else(|| {
            // Once it is pulled it is there.
            (request.is("POST", "/images/create"))
                .then(|| Answer::Json(200, "{\"status\":\"Done\"}\n".into()))
        })
    });
    let (result, _) = bench.run(digest("there-later")).await;
    assert_eq!(result.unwrap().code, 0);
}

#[tokio::test]
async fn a_full_disk_is_a_reason_to_try_elsewhere() {
    let full = "Error processing tar file(exit status 1): write /layer: no space left on device";
    for in_stream in [false, true] {
        let bench = Bench::new(move |request, _| {
            let answer = || if in_stream { Answer::in_stream(full) } else { Answer::error(500, full) };
            (request.is("POST", "/images/load") || request.is("POST", "/images/create")).then(answer)
        });
        let said = passing(bench.run(digest("x")).await.0);
        assert!(said.contains("free space on the engine's disk"), "{said}");

        let tar = bench.dir.path().join("payload.tar");
        let hex = "2".repeat(64);
        let mut archive = tar::Builder::new(std::fs::File::create(&tar).unwrap());
        let list = format!(r#"[{{"Config":"{hex}.json","RepoTags":["payload_image:latest"],"Layers":[]}}]"#);
        let mut header = tar::Header::new_gnu();
        header.set_size(list.len() as u64);
        archive.append_data(&mut header, "manifest.json", list.as_bytes()).unwrap();
        archive.into_inner().unwrap();
        let said = passing(bench.run(Image::Nested { tar: tar.clone(), id: None }).await.0);
        assert!(said.contains("free space") && said.contains(tar.to_str().unwrap()), "{said}");
        let asked = bench.fake.as_ref().unwrap().asked.lock().unwrap();
        let load = asked.iter().find(|request| request.is("POST", "/images/load")).unwrap();
        assert_eq!(load.body, std::fs::read(&tar).unwrap(), "it was sent whole");
        assert!(load.path.contains("quiet=false"), "{}", load.path);
    }
}

#[tokio::test]
async fn a_full_disk_at_the_start_is_a_reason_to_try_elsewhere() {
    for path in ["/containers/create", "/containers/c1/start"] {
        let bench = Bench::new(move |request, _| {
            let full = || Answer::error(500, "mkdir /var/lib/docker/overlay2/x: no space left on device");
            request.is("POST", path).then(full)
        });
        let said = passing(bench.run(there()).await.0);
        assert!(said.contains("free space"), "{said}");
        assert_eq!(bench.count("DELETE", "/containers/c1"), usize::from(path.contains("start")));
    }
}

#[tokio::test]
async fn an_engine_that_goes_away_in_the_middle_is_waited_for_and_cleaned() {
    let bench = Bench::new(|request, before| {
        if request.is("POST", "/containers/c1/wait") {
            return Some(Answer::Gone);
        }
        // It takes a while to come back.
        (request.is("DELETE", "/containers/c1") && before < 5).then_some(Answer::Gone)
    });
    let (result, lines) = bench.run(there()).await;
    let said = passing(result);
    assert!(said.contains("went away while the payload ran"), "{said}");
    assert!(lines.iter().any(|line| line.text == "hello"), "what it said before is kept");
    assert!(bench.count("DELETE", "/containers/c1") > 5);

    let bench = Bench::new(|request, _| {
        let gone = request.is("POST", "/containers/c1/wait") || request.is("DELETE", "/containers/c1");
        gone.then_some(Answer::Gone)
    });
    passing(bench.run(there()).await.0);
    let slept: u64 = bench.clock.slept.lock().unwrap().iter().filter(|ms| **ms == 500).sum();
    assert_eq!(slept, 30_000, "one that does not come back is not waited for without end");
}

#[tokio::test]
async fn a_payload_that_its_engine_ended_while_stopping_is_no_failure_and_no_success() {
    for code in [143, 0] {
        let bench = Bench::new(move |request, before| {
            if request.is("GET", "/containers/c1/json") {
                let state = format!(r#"{{"Id":"c1","State":{{"Running":false,"ExitCode":{code}}}}}"#);
                return Some(Answer::Json(200, state));
            }
            // It answers on the connections that it has, and takes no new ones.
            (request.is("GET", "/version") && before >= 1).then_some(Answer::Gone)
        });
        let said = passing(bench.run(there()).await.0);
        assert!(said.contains("went away while the payload ran"), "{said}");
    }
}

#[tokio::test]
async fn an_engine_that_goes_away_at_the_start_is_a_reason_to_try_again() {
    for path in ["/containers/create", "/containers/c1/attach", "/containers/c1/start"] {
        let bench = Bench::new(move |request, _| request.is("POST", path).then_some(Answer::Gone));
        passing(bench.run(there()).await.0);
    }
}

#[tokio::test]
async fn output_that_breaks_off_or_never_ends_does_not_change_how_it_ended() {
    let bench = Bench::new(|request, _| {
        request.is("POST", "/containers/c1/attach").then(|| Answer::Frames(vec![(2, "half")], true))
    });
    let (result, lines) = bench.run(there()).await;
    assert_eq!(result.unwrap().code, 0);
    assert_eq!(lines.last().unwrap().text, "half");
}

#[tokio::test]
async fn an_image_that_vanishes_before_the_container_is_fetched_again() {
    let bench = Bench::new(|request, before| {
        let gone = || Answer::error(404, "No such image: sha256:1");
        (request.is("POST", "/containers/create") && before == 0).then(gone)
    });
    assert_eq!(bench.run(there()).await.0.unwrap().code, 0);
    let bench = Bench::new(|request, _| {
        let gone = || Answer::error(404, "No such image: sha256:1");
        request.is("POST", "/containers/create").then(gone)
    });
    passing(bench.run(there()).await.0);
    assert_eq!(bench.count("POST", "/containers/create"), 2);
}

#[tokio::test]
async fn a_name_that_a_dead_workers_request_still_holds_is_waited_for() {
    const TAKEN: &str = "Conflict. The container name \"/job-1\" is already in use by container \"1\".";
    let none = |request: &Request| {
        request.is("GET", "/containers/job-1/json").then(|| Answer::error(404, "No such container: job-1"))
    };
    let bench = Bench::new(move |request, before| match request.is("POST", "/containers/create") {
        true if before < 3 => Some(Answer::error(409, TAKEN)),
        _ => none(request),
    });
    let (result, _) = bench.run(there()).await;
    assert_eq!(result.unwrap().cause, Cause::Itself);
    assert_eq!(bench.count("POST", "/containers/create"), 4);

    // For good: not the job's fault, and another host may take it.
    let bench = Bench::new(move |request, _| match request.is("POST", "/containers/create") {
        true => Some(Answer::error(409, TAKEN)),
        false => none(request),
    });
    let said = passing(bench.run(there()).await.0);
    assert!(said.contains("already in use"), "{said}");
    assert!(bench.count("POST", "/containers/create") > 10);
}

#[tokio::test]
async fn what_a_runtime_refuses_is_refused_and_the_container_is_removed() {
    for (message, words) in [
        ("could not select device driver \"\" with capabilities: [[gpu]]", "gpu"),
        (
            "error gathering device information while adding custom device \"/dev/x\": no such file or directory",
            "/dev/x",
        ),
        (
            "OCI runtime create failed: exec: \"x\": executable file not found in $PATH: unknown",
            "check ENTRYPOINT and CMD",
        ),
    ] {
        let bench = Bench::new(move |request, _| {
            request.is("POST", "/containers/c1/start").then(|| Answer::error(500, message))
        });
        let said = refused(bench.run(there()).await.0);
        assert!(said.contains(words), "{said}");
        assert_eq!(bench.count("DELETE", "/containers/c1"), 1);
    }
    for message in ["failed to create shim: ttrpc: closed: unknown", "context deadline exceeded"] {
        let bench = Bench::new(move |request, _| {
            request.is("POST", "/containers/c1/start").then(|| Answer::error(500, message))
        });
        passing(bench.run(there()).await.0);
    }
}

#[tokio::test]
async fn a_socket_that_is_granted_and_not_there_is_refused() {
    let mut bench = Bench::new(|_, _| None);
    bench.options.engine = Some("tcp://127.0.0.1:1".into());
    passing(bench.run(there()).await.0);
    bench.options.isolation = Isolation { docker_socket: true, ..Isolation::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    bench.options.engine = Some(format!("tcp://{}", listener.local_addr().unwrap()));
    let socket = bench.dir.path().join("docker.sock");
    // The same engine over TCP.
    let relay = tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = tokio::net::UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    let said = refused(bench.run(there()).await.0);
    relay.abort();
    assert!(said.contains("Docker socket") && said.contains("tcp://127.0.0.1"), "{said}");
}
