//! Deploying on a real engine to a real registry on loopback.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deploy_support;
mod support;

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use deploy_support::{BROKEN, Bench, FORBIDDEN, Fixed, GONE, MISSING, Proxy, Registry, me, program};
use shepard::operations::deploy::{DeployProgress, Request, Source, Step, Target};
use shepard::operations::releases::{self, Release};
use shepard_cloud::local::Settings;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    shepard_testkit::with_engine(vec![
        ("a_folder_becomes_a_release_and_earlier_ones_can_be_gone_back_to", digest_form),
        ("the_nested_form_holds_the_payload_under_its_old_name", nested_form),
        ("what_is_ignored_is_not_built_and_a_base_that_only_the_engine_has_is", ignored_and_private),
        ("a_step_that_fails_is_named_with_its_last_lines", failing_step),
        ("what_cannot_be_deployed_is_one_line_before_anything_is_pushed", cannot),
        ("whoever_is_not_let_in_is_told_how_to_log_in", denied),
        ("a_fault_between_any_two_steps_moves_nothing", faults),
        ("a_deploy_that_is_stopped_leaves_nothing_here_and_moves_nothing", stopped),
        ("a_flock_of_this_machine_runs_what_was_deployed", local_flock),
        ("an_image_that_exists_is_deployed_from_here_and_from_a_registry", images),
        ("two_deploys_at_once_do_not_mix", at_once),
    ])
}

fn home(host: &str) -> Fixed {
    Fixed { home: host.to_owned(), ..Fixed::default() }
}

fn listed(bench: &Bench, host: &str, name: &str) -> Vec<Release> {
    let registries = bench.deployer(home(host)).registries;
    bench.runtime.block_on(releases::list(&Target::Repository(name.to_owned()), &registries)).unwrap()
}

fn digest_form() {
    let (bench, registry) = (Bench::new("digest"), Registry::start());
    let proxy = Proxy::before(registry.port);
    let (host, name) = (proxy.host(), bench.name.clone());
    assert_eq!(listed(&bench, &host, &name), []);

    // Named without its host, so that the home registry is meant.
    let folder = bench.simple("one", "first");
    let (done, told) = bench.deploy(home(&host), &bench.request(folder.clone(), &name));
    let first = done.unwrap();
    let digest = first.digest.clone().unwrap();
    let at = |tag: &str| bench.digest(&registry.host(), &name, tag, None);
    assert_eq!(at(&first.release), Some(digest.clone()));
    assert_eq!(at("latest"), Some(digest.clone()));
    assert_eq!(first.image, format!("{host}/{name}:{}", first.release));
    let payload = at(&format!("payload-{}", first.release)).unwrap();
    assert_eq!(first.payload, format!("{host}/{name}@{payload}"));
    assert_ne!(payload, digest);

    let mut steps: Vec<(Step, usize)> = told.iter().map(|at| (at.step, at.number)).collect();
    steps.dedup();
    let expected = [Step::Build, Step::PushPayload, Step::Wrap, Step::Push, Step::Switch];
    assert_eq!(steps, expected.iter().copied().zip(1..).collect::<Vec<_>>());
    assert!(told.iter().any(|at| at.step == Step::Build && at.total == 3 && at.note.starts_with("Step 2/3")));
    assert!(told.iter().any(|at| at.step == Step::Push && at.note.contains("layers")), "{told:?}");
    assert!(told.iter().all(|at| at.steps == 5 && (at.total == 0 || at.done <= at.total)), "{told:?}");

    // `latest` was the last thing that was written.
    let written: Vec<String> = proxy
        .seen
        .lock()
        .unwrap()
        .iter()
        .filter(|(method, path)| method == "PUT" && path.contains("/manifests/"))
        .map(|(_, path)| path.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(written, [format!("payload-{}", first.release), first.release.clone(), "latest".to_owned()]);
    assert_eq!(bench.left(&format!("{host}/{name}")), Vec::<String>::new());

    std::fs::write(folder.join("text"), "second").unwrap();
    let second = bench.deploy(home(&host), &bench.request(folder, &name)).0.unwrap();
    assert_eq!(at("latest"), second.digest);
    let marks = |listed: Vec<Release>| listed.into_iter().map(|r| (r.name, r.current)).collect::<Vec<_>>();
    let (one, two) = (first.release.clone(), second.release.clone());
    assert!(two > one, "{two} {one}");
    assert_eq!(marks(listed(&bench, &host, &name)), [(two.clone(), true), (one.clone(), false)]);

    let target = Target::Repository(name.clone());
    let registries = bench.deployer(home(&host)).registries;
    let back = bench.runtime.block_on(releases::roll_back(&target, &registries, &one)).unwrap();
    assert_eq!((back.release.image, back.before), (first.digest.clone(), second.digest));
    assert_eq!(at("latest"), first.digest);
    assert_eq!(marks(listed(&bench, &host, &name)), [(two.clone(), false), (one, true)]);
    let none = bench.runtime.block_on(releases::roll_back(&target, &registries, "20200101-000000-00000000"));
    let said = none.unwrap_err().to_string();
    assert!(said.contains("no release") && said.contains(&two), "{said}");
    assert!(bench.runtime.block_on(releases::roll_back(&target, &registries, "latest")).is_err());
    assert_eq!(at("latest"), first.digest);
}

/// Files of an image's layers, by name.
fn files(bench: &Bench, image: &str) -> std::collections::HashMap<String, Vec<u8>> {
    let saved = bench.dir.path().join("saved.tar");
    bench.runtime.block_on(bench.engine.save(image, &saved, &mut |_| {})).unwrap();
    let mut found = std::collections::HashMap::new();
    for entry in tar::Archive::new(std::fs::File::open(saved).unwrap()).entries().unwrap() {
        let entry = entry.unwrap();
        let mut layer = tar::Archive::new(entry);
        for file in layer.entries().into_iter().flatten() {
            let Ok(mut file) = file else { break };
            let path = file.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            if file.read_to_end(&mut bytes).is_ok() {
                found.insert(path, bytes);
            }
        }
    }
    found
}

fn nested_form() {
    let (bench, registry) = (Bench::new("nested"), Registry::start());
    let (host, name) = (registry.host(), bench.name.clone());
    let request = Request { nested: true, ..bench.request(bench.simple("one", "nested"), &name) };
    let (done, told) = bench.deploy(home(&host), &request);
    let done = done.unwrap();
    assert!(told.iter().any(|at| at.step == Step::Save && at.done > 0));
    assert_eq!(bench.tags(&host, &name), [done.release.clone(), "latest".to_owned()]);
    assert_eq!(std::fs::read_dir(bench.dir.path().join("scratch")).unwrap().count(), 0, "the file is gone");

    bench.remove_later(&done.image);
    bench.runtime.block_on(bench.engine.pull(&done.image, None, &mut |_| {})).unwrap();
    let found = files(&bench, &done.image);
    let said: serde_json::Value = serde_json::from_slice(&found["payload.json"]).unwrap();
    assert_eq!(said, serde_json::json!({ "form": "nested", "id": done.payload }));
    let mut manifest = None;
    for entry in tar::Archive::new(found["payload.tar"].as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("manifest.json") {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            manifest = Some(serde_json::from_str::<serde_json::Value>(&text).unwrap());
        }
    }
    assert_eq!(manifest.unwrap()[0]["RepoTags"], serde_json::json!(["payload_image:latest"]));
}

fn ignored_and_private() {
    let (bench, registry) = (Bench::new("ignored"), Registry::start());
    // A base that no registry has: a pull of it would fail.
    let base = format!("127.0.0.1:{}/private/{}:1", deploy_support::free_port(), bench.name);
    let (repository, tag) = base.rsplit_once(':').unwrap();
    let folder = bench.folder("base", &[("Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\n")]);
    let flock = support::World::new();
    let dir = flock.home().create(&Settings::named("base")).unwrap();
    let built = Request::new(Source::Folder(folder), Target::Flock(dir));
    let built = bench.deploy(Fixed::default(), &built).0.unwrap();
    bench.remove_later(&format!("shepard-flock:{}-base", built.release));
    bench.runtime.block_on(bench.engine.tag(&built.image, repository, tag)).unwrap();
    bench.remove_later(&base);

    let dockerfile = format!(
        "FROM {base}\nARG COLOUR\nCOPY . /context\nRUN [\"/bin/busybox\", \"test\", \"!\", \"-e\", \"/context/secret\"]\n\
         RUN [\"/bin/busybox\", \"test\", \"-e\", \"/context/sub/kept\", \"-a\", \"!\", \"-e\", \"/context/sub/not\"]\n\
         RUN [\"/bin/busybox\", \"test\", \"!\", \"-e\", \"/context/Dockerfile.txt\", \"-a\", \"!\", \"-e\", \
         \"/context/.dockerignore\"]\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"test $COLOUR = blue\"]\n"
    );
    let ignore = "# none of these\nsecret\nsub/*\n!sub/kept\nDockerfile*\n.dockerignore\n";
    let folder = bench.folder(
        "two",
        &[
            ("Dockerfile.txt", &dockerfile),
            (".dockerignore", ignore),
            ("secret", "s"),
            ("sub/kept", ""),
            ("sub/not", ""),
            ("-rf", ""),
            ("a\nb", ""),
        ],
    );
    let mut request = bench.request(folder, &format!("{}/{}", registry.host(), bench.name));
    request.build_args = vec![("COLOUR".into(), "blue".into())];
    bench.deploy(Fixed::default(), &request).0.unwrap();
    request.build_args = vec![("COLOUR".into(), "red".into())];
    let said = bench.refused(Fixed::default(), &request);
    assert!(said.contains("step 7 of 7"), "{said}");
}

fn failing_step() {
    let (bench, registry) = (Bench::new("failing"), Registry::start());
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\n\
                      RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo before; echo why it fails >&2; exit 3\"]\nCMD x\n";
    let folder = bench.folder("one", &[("Dockerfile", dockerfile)]);
    let said = bench.refused(Fixed::default(), &bench.request(folder, &format!("{}/x", registry.host())));
    assert!(said.contains("step 3 of 4") && said.contains("returned a non-zero code: 3"), "{said}");
    // Its two outputs come in no order.
    let last = said.split("its last lines: ").nth(1).unwrap_or_default();
    assert!(["before | why it fails", "why it fails | before"].contains(&last), "{said}");
    assert_eq!(bench.tags(&registry.host(), "x"), Vec::<String>::new());
    assert_eq!(bench.left(&format!("{}/x", registry.host())), Vec::<String>::new());
}

fn cannot() {
    let (bench, mut registry) = (Bench::new("cannot"), Registry::start());
    let repository = format!("{}/x", registry.host());
    let refused = |request: &Request| bench.refused(Fixed::default(), request);

    let both = bench.folder("both", &[("Dockerfile", "FROM scratch"), ("Dockerfile.txt", "FROM scratch")]);
    assert!(refused(&bench.request(both, &repository)).contains("both a Dockerfile and a Dockerfile.txt"));
    let none = bench.folder("none", &[]);
    assert!(
        refused(&bench.request(none.clone(), &repository)).contains("no Dockerfile and no Dockerfile.txt")
    );
    assert!(refused(&bench.request(none.join("no"), &repository)).contains("no such folder"));

    let fine = bench.request(bench.simple("fine", "x"), &repository);
    let other = if std::env::consts::ARCH == "aarch64" { "amd64" } else { "arm64" };
    let worker = bench.dir.path().join("other-worker");
    std::fs::write(&worker, program(other)).unwrap();
    let said = refused(&Request { worker: Some(worker), ..fine.clone() });
    assert!(said.contains("the payload is for") && said.contains(other), "{said}");
    let said = refused(&Request { worker: Some("/nowhere/worker".into()), ..fine.clone() });
    assert!(said.contains("there is no worker for") && said.contains("cargo xtask worker"), "{said}");

    for bad in ["x:latest", "Upper", "127.0.0.1:1/"] {
        let target = Target::Repository(bad.into());
        assert!(refused(&Request { target, ..fine.clone() }).contains("use the repository"), "{bad}");
    }
    let source = Source::Image("127.0.0.1:1/no/such:image".into());
    refused(&Request { source, ..fine.clone() });
    assert_eq!(bench.tags(&registry.host(), "x"), Vec::<String>::new());
    registry.stop();
    assert!(refused(&fine).contains("cannot ask for the digest of"), "before it builds");
    assert_eq!(bench.left(&repository), Vec::<String>::new());
}

fn denied() {
    let (bench, registry) = (Bench::new("denied"), Registry::with_users(true));
    let host = registry.host();
    let request = bench.request(bench.simple("one", "x"), &format!("{host}/x"));
    let said = bench.refused(Fixed::default(), &request);
    assert!(said.contains(&format!("`docker login {host}` does that")), "{said}");
    let with =
        |password: &str| Fixed { logins: [(host.clone(), me(&host, password))].into(), ..Fixed::default() };
    let said = bench.refused(with("wrong"), &request);
    assert!(said.contains("may not do it"), "{said}");
    let done = bench.deploy(with("hush"), &request).0.unwrap();
    assert_eq!(bench.digest(&host, "x", "latest", Some(&me(&host, "hush"))), done.digest);

    // One that may look and not write.
    let open = Registry::start();
    let proxy = Proxy::before(open.port);
    proxy.fail(|method, _| (method == "POST").then_some(FORBIDDEN));
    let said = bench
        .refused(Fixed::default(), &bench.request(bench.simple("one", "x"), &format!("{}/x", proxy.host())));
    assert!(said.contains("cannot push") && said.contains("docker login"), "{said}");
}

fn faults() {
    let (bench, registry) = (Bench::new("faults"), Registry::start());
    let proxy = Proxy::before(registry.port);
    let repository = format!("{}/x", proxy.host());
    let folder = bench.simple("one", "first");
    let request = bench.request(folder.clone(), &repository);
    let first = bench.deploy(Fixed::default(), &request).0.unwrap();
    std::fs::write(folder.join("text"), "second").unwrap();

    let is_release = |path: &str| releases::made_at_ms(path.rsplit('/').next().unwrap()).is_some();
    let put = |path: &str, tag: &'static str| path.rsplit('/').next().unwrap().starts_with(tag);
    type Rule = Box<dyn Fn(&str, &str) -> Option<&'static str> + Send>;
    let rules: Vec<(&str, Rule)> = vec![
        (
            "before it builds",
            Box::new(|method, path| (method != "PUT" && path.ends_with("/latest")).then_some(BROKEN)),
        ),
        ("the payload's layers", Box::new(|method, _| (method == "POST").then_some(FORBIDDEN))),
        (
            "the payload's manifest",
            Box::new(move |method, path| (method == "PUT" && put(path, "payload-")).then_some(BROKEN)),
        ),
        (
            "the registry goes away",
            Box::new(move |method, path| (method == "PUT" && put(path, "payload-")).then_some(GONE)),
        ),
        (
            "the release's manifest",
            Box::new(move |method, path| (method == "PUT" && is_release(path)).then_some(BROKEN)),
        ),
        (
            "the release is read",
            Box::new(move |method, path| (method == "GET" && is_release(path)).then_some(MISSING)),
        ),
        (
            "the switch",
            Box::new(|method, path| (method == "PUT" && path.ends_with("/latest")).then_some(BROKEN)),
        ),
        (
            "the switch is cut off",
            Box::new(|method, path| (method == "PUT" && path.ends_with("/latest")).then_some(GONE)),
        ),
    ];
    for (what, rule) in rules {
        proxy.fail(rule);
        let said = bench.refused(Fixed::default(), &request);
        assert_eq!(bench.digest(&registry.host(), "x", "latest", None), first.digest, "{what}: {said}");
        assert_eq!(bench.left(&repository), Vec::<String>::new(), "{what}");
    }
    proxy.fail(|_, _| None);
    let second = bench.deploy(Fixed::default(), &request).0.unwrap();
    assert_eq!(bench.digest(&registry.host(), "x", "latest", None), second.digest);
}

fn stopped() {
    let (bench, registry) = (Bench::new("stopped"), Registry::start());
    let repository = format!("{}/x", registry.host());
    let slow = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"300\"]\n";
    let folder = bench.folder("slow", &[("Dockerfile", slow)]);
    let fast = bench.simple("fast", "x");
    for (folder, at) in [
        (folder, Step::Build),
        (fast.clone(), Step::PushPayload),
        (fast.clone(), Step::Wrap),
        (fast.clone(), Step::Push),
    ] {
        let stop = CancellationToken::new();
        let deployer = bench.deployer(Fixed::default());
        let request = bench.request(folder, &repository);
        let mut tell = |seen: &DeployProgress| {
            // In the middle of a step that takes long, where there is one.
            if seen.step == at && (at != Step::Build || seen.note.starts_with("Step 3/3")) {
                stop.cancel();
            }
        };
        let ended = bench.runtime.block_on(deployer.deploy(&request, &mut tell, &stop));
        let said = ended.expect_err("it was stopped").to_string();
        assert!(said.contains("was stopped"), "{at:?}: {said}");
        assert_eq!(bench.digest(&registry.host(), "x", "latest", None), None, "{at:?}");
        // An engine may finish what it was at when its caller left.
        for _ in 0..500 {
            if bench.left(&repository).is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(bench.left(&repository), Vec::<String>::new(), "{at:?}");
    }
    bench.deploy(Fixed::default(), &bench.request(fast, &repository)).0.unwrap();
}

fn local_flock() {
    let bench = Bench::new("flock");
    let world = support::World::new();
    let flock = world.home().create(&Settings::named("f_-")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = world.shepard(arguments);
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            command.env("DOCKER_HOST", host);
        }
        command.output().unwrap()
    };
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let folder = bench.simple("one", "first");
    let path = folder.to_str().unwrap();
    let first = json(&["--output", "json", "deploy", path, "--flock", "f_-"]);
    let image = first["image"].as_str().unwrap().to_owned();
    assert_eq!(flock.settings().unwrap().image, Some(image.clone()));
    assert_eq!(first["digest"], serde_json::Value::Null);
    assert!(bench.runtime.block_on(bench.engine.image(&image)).unwrap().is_some());

    std::fs::write(folder.join("text"), "second").unwrap();
    let output = run(&["deploy", "--flock", "f_-", path]);
    assert_eq!(output.status.code(), Some(0));
    let lines = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(lines.contains("[1/2] building the payload, step 2 of 3") && !lines.contains('\r'), "{lines}");
    let listed = json(&["--output", "json", "releases", "list", "--flock", "f_-"]);
    let releases = listed["releases"].as_array().unwrap();
    assert_eq!(
        (releases.len(), &releases[0]["current"], &releases[1]["name"]),
        (2, &true.into(), &first["release"])
    );
    for release in releases {
        bench.remove_later(&format!("shepard-flock:{}-f_-", release["name"].as_str().unwrap()));
    }

    let name = first["release"].as_str().unwrap();
    let refused = run(&["--read-only", "releases", "rollback", name, "--flock", "f_-"]);
    assert_eq!(refused.status.code(), Some(4));
    assert_eq!(run(&["--read-only", "deploy", path, "--flock", "f_-"]).status.code(), Some(4));
    assert_ne!(flock.settings().unwrap().image, Some(image.clone()));
    let back = json(&["--output", "json", "releases", "rollback", name, "--flock", "f_-"]);
    assert_eq!(back["before"], releases[0]["image"]);
    assert_eq!(flock.settings().unwrap().image, Some(image.clone()));
    assert_eq!(
        run(&["releases", "rollback", "20200101-000000-00000000", "--flock", "f_-"]).status.code(),
        Some(3)
    );
    assert_eq!(run(&["deploy", "/nowhere", "--flock", "f_-"]).status.code(), Some(3));
    assert_eq!(run(&["deploy", path]).status.code(), Some(2));

    // A failed deploy changes nothing.
    std::fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY missing /x\n").unwrap();
    assert_eq!(
        run(&["deploy", path, "--flock", "f_-", "--build-arg", "TOKEN=hunter2"]).status.code(),
        Some(4)
    );
    assert_eq!(flock.settings().unwrap().image, Some(image.clone()));
    let journal = String::from_utf8(run(&["journal"]).stdout).unwrap();
    assert!(journal.contains("shepard deploy") && journal.contains("rollback"), "{journal}");
    assert!(!journal.contains("hunter2"));

    // An image that the engine lost cannot be gone back to.
    let second = releases[0]["name"].as_str().unwrap();
    bench.runtime.block_on(bench.engine.remove_image(&format!("shepard-flock:{second}-f_-"))).unwrap();
    bench.runtime.block_on(bench.engine.remove_image(releases[0]["image"].as_str().unwrap())).unwrap();
    let gone = run(&["releases", "rollback", second, "--flock", "f_-"]);
    assert_eq!(gone.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("deploy it again"));
    assert_eq!(flock.settings().unwrap().image, Some(image));
}

fn images() {
    let (bench, registry) = (Bench::new("images"), Registry::start());
    let host = registry.host();
    let first = bench
        .deploy(Fixed::default(), &bench.request(bench.simple("one", "x"), &format!("{host}/a")))
        .0
        .unwrap();
    // It is in the registry, and the engine has no name for it any more.
    let payload = format!("{host}/a:payload-{}", first.release);
    assert!(bench.runtime.block_on(bench.engine.image(&payload)).unwrap().is_none());
    let request = |image: &str, to: &str| Request {
        source: Source::Image(image.to_owned()),
        ..bench.request("".into(), &format!("{host}/{to}"))
    };
    let (pulled, told) = bench.deploy(Fixed::default(), &request(&payload, "b"));
    let pulled = pulled.unwrap();
    assert_eq!(told[0].step, Step::Find);
    let digest = |deployed: &str| deployed.rsplit('@').next().unwrap().to_owned();
    assert_eq!(digest(&pulled.payload), digest(&first.payload), "the same image");

    bench.remove_later(&payload);
    let here = bench.deploy(Fixed::default(), &request(&payload, "c")).0.unwrap();
    assert_eq!(digest(&here.payload), digest(&first.payload));
    assert!(bench.runtime.block_on(bench.engine.image(&payload)).unwrap().is_some(), "it keeps its own name");
    let other = if std::env::consts::ARCH == "aarch64" { "linux/amd64" } else { "linux/arm64" };
    let wrong = Request { platform: Some(other.to_owned()), ..request(&payload, "d") };
    assert!(bench.refused(Fixed::default(), &wrong).contains(other));
}

fn at_once() {
    let (bench, registry) = (Bench::new("at-once"), Registry::start());
    let repository = format!("{}/x", registry.host());
    let deployer = Arc::new(bench.deployer(Fixed::default()));
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let folder = bench.simple(&format!("f{number}"), &format!("text {number}"));
            let mut request = bench.request(folder, &repository);
            request.nested = number % 2 == 1;
            let deployer = Arc::clone(&deployer);
            bench
                .runtime
                .spawn(async move { deployer.deploy(&request, &mut |_| {}, &CancellationToken::new()).await })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let done = bench.runtime.block_on(task).unwrap().unwrap();
        assert_eq!(bench.digest(&registry.host(), "x", &done.release, None), done.digest);
        bench.remove_later(&done.image);
        bench.runtime.block_on(bench.engine.pull(&done.image, None, &mut |_| {})).unwrap();
        let found = files(&bench, &done.image);
        if number % 2 == 1 {
            let text = format!("text {number}");
            let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(has(&found["payload.tar"]), "the payload of {number}");
        } else {
            assert!(String::from_utf8_lossy(&found["payload.json"]).contains(&done.payload));
        }
    }
    assert_eq!(
        listed(&bench, &registry.host(), &repository).iter().filter(|release| release.current).count(),
        1
    );
}
