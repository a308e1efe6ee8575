//! The end of payloads on a real engine: asked to, made to, out of time, out of memory, forgotten.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::ExitCode;

use common::Bench;
use serde_json::json;
use shepard_container::{Image, Limits, Options, sweep};
use shepard_engine::{ContainerSpec, Network};
use shepard_model::names::container::{LABEL_JOB, LABEL_OWNER};
use shepard_model::{Isolation, JobId};
use shepard_worker::payload::Cause;
use shepard_worker::{Exited, Payload as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A payload that says `up` and then ends at SIGTERM, with words and a code of its own.
const POLITE: &str = "trap 'echo bye; exit 3' TERM; echo up; while true; do sleep 0.1; done";

fn main() -> ExitCode {
    shepard_testkit::with_engine_and_busybox(vec![
        ("told_to_stop_it_may_end_in_order", polite),
        ("one_that_ignores_sigterm_is_killed", stubborn),
        ("an_images_own_stop_signal_is_used", own_signal),
        ("stopped_before_it_begins_it_does_not_begin", before),
        ("one_that_runs_too_long_is_stopped", too_long),
        ("one_that_takes_too_much_memory_is_said_so", out_of_memory),
        ("a_checkpoint_by_the_images_label_is_made_first", checkpoint_label),
        ("a_job_that_is_cancelled_makes_no_checkpoint", cancelled),
        ("a_checkpoint_of_the_quick_deploy_folder_is_made_first", checkpoint_script),
        ("a_checkpoint_that_never_ends_is_not_waited_for", checkpoint_hangs),
        ("a_checkpoint_that_cannot_be_is_said_and_the_payload_stops", checkpoint_fails),
        ("a_run_that_is_dropped_leaves_no_container", dropped),
        ("containers_of_owners_that_are_gone_are_swept", swept),
        ("anonymous_volumes_go_with_the_container", volumes),
    ])
}

fn polite() {
    let mut bench = Bench::new("polite");
    let image = bench.script(POLITE);
    let payload = bench.payload(image, bench.options());
    let said = bench.run_until(&payload, &bench.spec(), |line| line.text == "up");
    assert_eq!(said.exited(), Exited { code: 3, cause: Cause::Stopped });
    assert_eq!(said.texts(), ["up", "bye"]);
    assert!(bench.containers().is_empty());
}

fn stubborn() {
    let mut bench = Bench::new("stubborn");
    let image = bench.script("trap 'echo no' TERM; echo up; while true; do sleep 0.1; done");
    let payload = bench.payload(image, Options { grace_ms: 500, ..bench.options() });
    let said = bench.run_until(&payload, &bench.spec(), |line| line.text == "up");
    assert_eq!(said.exited(), Exited { code: 137, cause: Cause::Stopped });
    assert!(said.has("no"), "it was asked first: {:?}", said.lines);
    assert!(bench.containers().is_empty());
}

fn own_signal() {
    let mut bench = Bench::new("signal");
    let script = "trap 'echo usr1; exit 5' USR1; echo up; while true; do sleep 0.1; done";
    for (signal, code) in [("SIGUSR1", 5), ("NOSUCHSIGNAL", 137)] {
        let image = bench.image(json!({"Cmd": ["sh", "-c", script], "StopSignal": signal}));
        let payload = bench.payload(image, Options { grace_ms: 1_000, ..bench.options() });
        let said = bench.run_until(&payload, &bench.spec(), |line| line.text == "up");
        assert_eq!(said.exited(), Exited { code, cause: Cause::Stopped }, "{signal}");
        assert_eq!(said.workers().contains("cannot be asked to end"), code == 137, "{}", said.workers());
    }
}

fn before() {
    let mut bench = Bench::new("before");
    let image = bench.script("echo never");
    let payload = bench.payload(image, bench.options());
    let (stop, (sender, mut receiver)) = (CancellationToken::new(), mpsc::channel(9));
    stop.cancel();
    let spec = bench.spec();
    let exited = bench.runtime.block_on(payload.run(&spec, sender, &stop)).unwrap();
    assert_eq!(exited.cause, Cause::Stopped);
    assert!(receiver.try_recv().is_err());
    assert!(bench.containers().is_empty());
}

fn too_long() {
    let mut bench = Bench::new("long");
    let image = bench.script(POLITE);
    let mut spec = bench.spec();
    spec.timeout_s = Some(2);
    // The shorter of the two limits holds, and a payload that will not be tried again makes no checkpoint.
    let payload = bench.payload(image, Options { timeout_s: Some(60), ..bench.options() });
    let said = bench.run(&payload, &spec);
    assert_eq!(said.exited(), Exited { code: 3, cause: Cause::TimedOut(2) });
    assert_eq!((said.texts(), said.workers()), (vec!["up", "bye"], String::new()));
}

fn out_of_memory() {
    let mut bench = Bench::new("memory");
    let image = bench.script("echo up; tail /dev/zero");
    let limits = Limits { memory: Some(64 << 20), ..Limits::default() };
    let isolation = Isolation { memory_mib: Some(16), ..Isolation::default() };
    let payload = bench.payload(image, Options { limits, ..bench.granting(isolation) });
    let said = bench.run(&payload, &bench.spec());
    assert_eq!(
        said.exited().cause,
        Cause::OutOfMemory(Some(16)),
        "the smaller limit holds: {:?}",
        said.exited()
    );
    assert!(said.exited().code != 0 && said.has("up"));
    assert!(bench.containers().is_empty());
}

fn checkpoint_label() {
    let mut bench = Bench::new("label");
    let hook = r#"["sh","-c","echo saving \"$1\" $UUID; exit 6","--","a b; c"]"#;
    let image = bench.image(json!({"Cmd": ["sh", "-c", POLITE], "Labels": {"shepard.checkpoint": hook}}));
    let mut spec = bench.spec();
    spec.environment = vec![("UUID".into(), "u".into())];
    let payload = bench.payload(image, bench.options());
    let said = bench.run_until(&payload, &spec, |line| line.text == "up");
    assert_eq!(said.texts(), ["up", "saving a b; c u", "bye"]);
    assert!(said.workers().contains("the checkpoint ended with exit code 6"), "{}", said.workers());
    assert_eq!(said.exited(), Exited { code: 3, cause: Cause::Stopped });
}

fn cancelled() {
    let mut bench = Bench::new("cancelled");
    let hook = r#"["echo","saving"]"#;
    let image = bench.image(json!({"Cmd": ["sh", "-c", POLITE], "Labels": {"shepard.checkpoint": hook}}));
    let payload = bench.payload(image, bench.options());
    let spec = bench.spec();
    let (stop, (sender, mut receiver)) = (CancellationToken::new(), mpsc::channel::<shepard_worker::Line>(9));
    let texts = bench.runtime.block_on(async {
        let read = async {
            let mut texts = Vec::new();
            while let Some(line) = receiver.recv().await {
                stop.cancel();
                texts.push(line.text);
            }
            texts
        };
        let (result, texts) = tokio::join!(payload.run(&spec, sender, &stop), read);
        assert_eq!(result.unwrap(), Exited { code: 3, cause: Cause::Stopped });
        texts
    });
    assert_eq!(texts, ["up", "bye"]);
}

fn checkpoint_script() {
    let mut bench = Bench::new("script");
    let image = bench.image(json!({"Cmd": ["false"], "Labels": {"shepard.checkpoint": "[\"false\"]"}}));
    let mut spec = bench.spec();
    let folder = spec.input.join("my code");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("run.sh"), POLITE).unwrap();
    std::fs::write(folder.join("checkpoint.sh"), "echo saved > state; pwd").unwrap();
    spec.quick_deploy = Some(folder.clone());
    let payload = bench.payload(image, bench.options());
    let said = bench.run_until(&payload, &spec, |line| line.text == "up");
    assert_eq!(said.texts(), ["up", folder.to_str().unwrap(), "bye"]);
    assert!(said.workers().contains("the checkpoint is made"), "{}", said.workers());
    assert_eq!(std::fs::read_to_string(folder.join("state")).unwrap(), "saved\n");
}

fn checkpoint_hangs() {
    let mut bench = Bench::new("hangs");
    let hook = r#"["sleep","600"]"#;
    let image = bench.image(json!({"Cmd": ["sh", "-c", POLITE], "Labels": {"shepard.checkpoint": hook}}));
    let payload = bench.payload(image, Options { checkpoint_ms: 300, ..bench.options() });
    let said = bench.run_until(&payload, &bench.spec(), |line| line.text == "up");
    assert_eq!(said.exited(), Exited { code: 3, cause: Cause::Stopped });
    assert!(said.workers().contains("takes too long") && said.has("bye"), "{:?}", said.lines);
    assert!(bench.containers().is_empty());
}

fn checkpoint_fails() {
    let mut bench = Bench::new("nohook");
    for (hook, words) in
        [("not json", "no JSON array"), ("[]", "no JSON array"), (r#"["/no/such"]"#, "checkpoint")]
    {
        let image = bench.image(json!({"Cmd": ["sh", "-c", POLITE], "Labels": {"shepard.checkpoint": hook}}));
        let payload = bench.payload(image, bench.options());
        let said = bench.run_until(&payload, &bench.spec(), |line| line.text == "up");
        assert_eq!(said.exited(), Exited { code: 3, cause: Cause::Stopped });
        assert!(
            said.workers().contains(words) && !said.workers().contains("is made\n"),
            "{}",
            said.workers()
        );
    }
    // Who saves its state when the hook says so and ends well has not done its work.
    let hook = r#"["kill","-USR1","1"]"#;
    let script = "trap 'exit 0' USR1; echo up; while true; do sleep 0.1; done";
    let image = bench.image(json!({"Cmd": ["sh", "-c", script], "Labels": {"shepard.checkpoint": hook}}));
    let payload = bench.payload(image, bench.options());
    let said = bench.run_until(&payload, &bench.spec(), |line| line.text == "up");
    assert_eq!(said.exited().cause, Cause::Stopped);
}

fn dropped() {
    let mut bench = Bench::new("dropped");
    let image = bench.script("echo up; sleep 600");
    let payload = bench.payload(image, bench.options());
    let spec = bench.spec();
    bench.runtime.block_on(async {
        let stop = CancellationToken::new();
        let (sender, mut receiver) = mpsc::channel(9);
        tokio::select! {
            ended = payload.run(&spec, sender, &stop) => panic!("{ended:?}"),
            line = receiver.recv() => assert_eq!(line.unwrap().text, "up"),
        }
        payload.settle().await;
        // Once more: it can be used again, and there is nothing to wait for.
        payload.settle().await;
    });
    assert!(bench.containers().is_empty());
}

fn swept() {
    let mut bench = Bench::new("swept");
    let Image::Present { reference } = bench.script("sleep 600") else { panic!() };
    let (engine, name) = (bench.engine.clone(), bench.name.clone());
    let make = |suffix: &str, owner: String, job: String| {
        let spec = ContainerSpec {
            name: format!("{name}-{suffix}"),
            image: reference.clone(),
            network: Network::Host,
            labels: [(LABEL_JOB.to_owned(), job), (LABEL_OWNER.to_owned(), owner)].into(),
            ..ContainerSpec::default()
        };
        let engine = engine.clone();
        async move { engine.create(spec).await.unwrap() }
    };
    let there = |id: String| {
        let engine = engine.clone();
        async move { engine.container(&id).await.unwrap().is_some() }
    };
    let id = |text: &str| JobId::parse(text).unwrap();
    bench.runtime.block_on(async {
        // A worker that runs, a worker that ended, and one that is no more.
        let lives = make("lives", "none".into(), name.clone()).await;
        engine.start(&lives).await.unwrap();
        let ended = make("ended", "none".into(), name.clone()).await;
        let gone = "f".repeat(64);
        let of_living = make("a", lives.clone(), name.clone()).await;
        let of_ended = make("b", ended.clone(), name.clone()).await;
        let of_gone = make("c", gone, name.clone()).await;
        let of_folder = make("d", format!("/flocks/{name}"), name.clone()).await;
        engine.start(&of_ended).await.unwrap();
        let swept = sweep::of_containers(&engine).await.unwrap();
        assert_eq!(swept.iter().filter(|job| job.as_str() == name).count(), 2, "{swept:?}");
        assert!(
            there(of_living.clone()).await && there(of_folder.clone()).await && there(lives.clone()).await
        );
        assert!(!there(of_ended).await && !there(of_gone).await);

        let folder = format!("/flocks/{name}");
        let swept = sweep::of_owners(&engine, |owner| owner == folder).await.unwrap();
        assert_eq!(swept, [id(&name)]);
        assert!(!there(of_folder).await && there(of_living.clone()).await);

        assert_eq!(sweep::of_job(&engine, "somebody else", &id(&name)).await.unwrap(), 0);
        assert_eq!(sweep::of_job(&engine, &lives, &id(&name)).await.unwrap(), 1);
        assert!(!there(of_living).await && there(lives).await && there(ended).await);
    });
}

fn volumes() {
    let mut bench = Bench::new("volumes");
    let image = bench.image(json!({"Cmd": ["sh", "-c", "grep ' /data ' /proc/self/mountinfo; echo x > /data/x"], "Volumes": {"/data": {}}}));
    let payload = bench.payload(image, bench.options());
    let said = bench.run(&payload, &bench.spec());
    assert_eq!(said.exited().code, 0);
    // The fourth field is the volume's folder: /…/volumes/<name>/_data.
    let root = said.texts()[0].split(' ').nth(3).unwrap().to_owned();
    let name = root.trim_end_matches("/_data").rsplit('/').next().unwrap().to_owned();
    assert_eq!(name.len(), 64, "{root}");
    let listed = bench.runtime.block_on(bench.engine.volume_exists(&name)).unwrap();
    assert!(!listed);
}
