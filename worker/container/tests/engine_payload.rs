//! Payloads on a real engine: what they get, what they say, and what is left.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::ExitCode;

use common::Bench;
use serde_json::json;
use shepard_cloud::ports::LogSource;
use shepard_container::{Image, Options};
use shepard_engine::{ContainerSpec, Network};
use shepard_testkit::image::Image as TestImage;
use shepard_worker::payload::Cause;
use shepard_worker::{Exited, Payload as _};

fn main() -> ExitCode {
    shepard_testkit::with_engine_and_busybox(vec![
        ("it_runs_as_its_image_says_and_is_gone", plain),
        ("hostile_values_arrive_as_they_are", hostile_values),
        ("ten_thousand_fast_lines_lose_nothing", many_lines),
        ("neither_the_first_nor_the_last_line_is_missed", first_and_last),
        ("a_line_too_long_is_split_and_a_slow_reader_loses_nothing", long_lines),
        ("quick_deploy_runs_in_its_folder_without_the_entry_point", quick_deploy),
        ("quick_deploy_without_a_shell_is_refused", no_shell),
        ("nothing_to_run_is_refused", nothing),
        ("a_program_that_is_not_there_is_refused", no_program),
        ("a_command_takes_the_place_of_the_images", command),
        ("an_image_for_another_architecture_is_refused", architecture),
        ("what_a_dead_attempt_left_is_replaced", stale),
        ("a_container_of_somebody_else_is_left_alone", foreign),
        ("a_variable_that_no_environment_can_hold_is_refused", impossible_variable),
        ("its_ulimit_and_its_own_exit_code", ulimit),
    ])
}

fn itself(code: i32) -> Exited {
    Exited { code, cause: Cause::Itself }
}

fn plain() {
    let mut bench = Bench::new("plain");
    let image = TestImage {
        config: json!({
            "Entrypoint": ["sh", "-c"],
            "Cmd": ["echo out; echo err >&2; pwd; echo \"$UUID $OF_IMAGE\"; echo kept > \"$ROOT_OUTPUT_NAME/file\"; exit 0"],
            "WorkingDir": "/tmp",
            "Env": ["PATH=/bin", "OF_IMAGE=yes", "UUID=image"],
        }),
        ..TestImage::default()
    };
    let image = bench.image_of(&image);
    let mut spec = bench.spec();
    let output = spec.dirs[0].output.clone();
    spec.environment =
        vec![("UUID".into(), "u".into()), ("ROOT_OUTPUT_NAME".into(), output.display().to_string())];
    let payload = bench.payload(image, bench.options());
    let said = bench.run(&payload, &spec);
    assert_eq!(said.exited(), itself(0), "{:?}", said.lines);
    let mut texts = said.texts();
    texts.sort_unstable();
    assert_eq!(texts, ["/tmp", "err", "out", "u yes"]);
    let source = |text| said.lines.iter().find(|line| line.text == text).unwrap().source;
    assert_eq!((source("out"), source("err")), (LogSource::Stdout, LogSource::Stderr));
    assert_eq!(std::fs::read_to_string(output.join("file")).unwrap(), "kept\n");
    assert!(bench.containers().is_empty());
    assert!(payload.way().starts_with("in a container of the image sha256:"), "{}", payload.way());
}

fn hostile_values() {
    let mut bench = Bench::new("values");
    let values = [
        ("NEWLINE", "a\nPATH=/nowhere\n\nb"),
        ("QUOTES", "'\"`$(touch /tmp/x)${PATH}\\"),
        ("EQUALS", "==a=b="),
        ("-DASH", "--privileged"),
        ("--env", "-v /:/host"),
        ("EMPTY", ""),
        ("SPACES", "  a\tb  "),
        ("UNICODE", "é\u{202e}😀\u{1b}[31m"),
        ("LONG NAME with spaces; rm -rf /", "x"),
    ];
    let mut spec = bench.spec();
    spec.environment = values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let out = spec.dirs[0].output.join("environ");
    // No shell between: it would leave out names that it could not use itself.
    let image = bench.image(json!({"Cmd": ["cp", "/proc/self/environ", out.to_str().unwrap()]}));
    let options =
        Options { environment: vec![("NEWLINE".into(), "the job's wins".into())], ..bench.options() };
    let payload = bench.payload(image, options);
    let said = bench.run(&payload, &spec);
    assert_eq!(said.exited(), itself(0), "{:?}", said.lines);
    let environ = std::fs::read(out).unwrap();
    let pairs: Vec<&str> =
        environ.split(|byte| *byte == 0).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    for (name, value) in values {
        let prefix = format!("{name}=");
        let found: Vec<&&str> = pairs.iter().filter(|pair| pair.starts_with(&prefix)).collect();
        assert_eq!(found, [&&*format!("{name}={value}")], "{pairs:?}");
    }
    assert!(pairs.contains(&"PATH=/bin"), "{pairs:?}");
}

fn many_lines() {
    let mut bench = Bench::new("lines");
    let spec = bench.spec();
    let script = "i=0; while [ $i -lt 10000 ]; do echo $i; i=$((i+1)); done";
    let said = bench.run_script(script, bench.options(), &spec);
    assert_eq!(said.exited(), itself(0));
    let expected: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    assert_eq!(said.texts(), expected);
}

fn first_and_last() {
    let mut bench = Bench::new("edges");
    let spec = bench.spec();
    let image = bench.script("echo first; printf 'last without end'");
    let payload = bench.payload(image, bench.options());
    for _ in 0..5 {
        let said = bench.run(&payload, &spec);
        assert_eq!(said.texts(), ["first", "last without end"]);
    }
}

fn long_lines() {
    let mut bench = Bench::new("long");
    let spec = bench.spec();
    // More than all buffers between here and there hold, so that the payload has to wait for the reader.
    let image = bench.script("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end");
    let payload = bench.payload(image, bench.options());
    let said = bench.runtime.block_on(async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<shepard_worker::Line>(1);
        let stop = tokio_util::sync::CancellationToken::new();
        let read = async {
            let mut texts = Vec::new();
            while let Some(line) = receiver.recv().await {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                texts.push(line.text);
            }
            texts
        };
        tokio::join!(payload.run(&spec, sender, &stop), read)
    });
    assert_eq!(said.0.unwrap(), itself(0));
    let (end, long) = said.1.split_last().unwrap();
    assert_eq!(end, "end");
    assert_eq!(long.iter().map(String::len).sum::<usize>(), 20_000_000);
}

fn quick_deploy() {
    let mut bench = Bench::new("quick");
    let image = bench.image(json!({"Entrypoint": ["false"], "Cmd": ["never"], "WorkingDir": "/tmp"}));
    let mut spec = bench.spec();
    let folder = spec.input.join("-my 'code; $(x)");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("run.sh"), "#!/no/such/shell\necho \"args $#\"; pwd; cat data; exit 4")
        .unwrap();
    std::fs::write(folder.join("data"), "beside it").unwrap();
    spec.quick_deploy = Some(folder.clone());
    let payload = bench.payload(image, Options { command: Some(vec!["false".into()]), ..bench.options() });
    let said = bench.run(&payload, &spec);
    assert_eq!(said.texts(), ["args 0", folder.to_str().unwrap(), "beside it"]);
    assert_eq!(said.exited(), itself(4));
}

fn no_shell() {
    let mut bench = Bench::new("noshell");
    let image =
        TestImage { bare: true, config: json!({"Cmd": ["/bin/busybox", "true"]}), ..TestImage::default() };
    let image = bench.image_of(&image);
    let mut spec = bench.spec();
    std::fs::write(spec.input.join("run.sh"), "echo x").unwrap();
    let payload = bench.payload(image, bench.options());
    assert_eq!(bench.run(&payload, &spec).exited(), itself(0), "without quick deploy it needs no shell");
    spec.quick_deploy = Some(spec.input.clone());
    let said = bench.run(&payload, &spec).refused();
    assert!(said.contains("`sh`") && said.contains("add a shell") && !said.contains('\n'), "{said}");
    assert!(bench.containers().is_empty());
}

fn nothing() {
    let mut bench = Bench::new("nothing");
    let image = bench.image(json!({}));
    let payload = bench.payload(image, bench.options());
    let said = bench.run(&payload, &bench.spec()).refused();
    assert!(said.contains("neither ENTRYPOINT nor CMD") && said.contains("deploy"), "{said}");
}

fn no_program() {
    let mut bench = Bench::new("noprog");
    for program in ["/no/such/program", "/etc"] {
        let image = bench.image(json!({"Cmd": [program]}));
        let payload = bench.payload(image, bench.options());
        let said = bench.run(&payload, &bench.spec()).refused();
        assert!(said.contains("check ENTRYPOINT and CMD") && said.contains(program), "{said}");
    }
    assert!(bench.containers().is_empty());
}

fn command() {
    let mut bench = Bench::new("command");
    let image = bench.image(json!({"Entrypoint": ["false"], "Cmd": ["x"], "WorkingDir": "/etc"}));
    let words = ["sh", "-c", "pwd; printf '<%s>\\n' \"$@\"", "--", "a b", "$(id)", "-x", ""];
    let options = Options { command: Some(words.map(str::to_owned).to_vec()), ..bench.options() };
    let payload = bench.payload(image, options);
    let said = bench.run(&payload, &bench.spec());
    assert_eq!(said.texts(), ["/etc", "<a b>", "<$(id)>", "<-x>", "<>"]);
}

fn architecture() {
    let mut bench = Bench::new("arch");
    let image =
        TestImage { architecture: "s390x".into(), config: json!({"Cmd": ["true"]}), ..TestImage::default() };
    let image = bench.image_of(&image);
    let payload = bench.payload(image, bench.options());
    let said = bench.run(&payload, &bench.spec()).refused();
    let host = shepard_testkit::image::architecture();
    assert!(said.contains("linux/s390x") && said.contains(&format!("--platform linux/{host}")), "{said}");
}

fn stale() {
    let mut bench = Bench::new("stale");
    let image = bench.script("echo new");
    let Image::Present { reference } = image.clone() else { panic!() };
    let spec = bench.spec();
    let label = shepard_model::names::container::LABEL_JOB;
    let old = ContainerSpec {
        name: spec.id.to_string(),
        image: reference,
        cmd: Some(vec!["sleep".into(), "600".into()]),
        network: Network::Host,
        labels: [(label.to_owned(), spec.id.to_string())].into(),
        ..ContainerSpec::default()
    };
    let id = bench.runtime.block_on(async {
        let id = bench.engine.create(old).await.unwrap();
        bench.engine.start(&id).await.unwrap();
        id
    });
    let payload = bench.payload(image, bench.options());
    let said = bench.run(&payload, &spec);
    assert_eq!(said.texts(), ["new"]);
    assert_eq!(bench.runtime.block_on(bench.engine.container(&id)).unwrap(), None);
    assert!(bench.containers().is_empty());
}

fn foreign() {
    let mut bench = Bench::new("foreign");
    let image = bench.script("echo new");
    let Image::Present { reference } = image.clone() else { panic!() };
    let spec = bench.spec();
    let theirs = ContainerSpec { name: spec.id.to_string(), image: reference, ..ContainerSpec::default() };
    let id = bench.runtime.block_on(bench.engine.create(theirs)).unwrap();
    let payload = bench.payload(image, bench.options());
    let said = bench.run(&payload, &spec).refused();
    let there = bench.runtime.block_on(bench.engine.container(&id)).unwrap();
    bench.runtime.block_on(bench.engine.remove(&id)).unwrap();
    assert!(said.contains("not Shepard's") && said.contains(spec.id.as_str()), "{said}");
    assert!(there.is_some());
}

fn impossible_variable() {
    let mut bench = Bench::new("nul");
    let image = bench.script("true");
    let payload = bench.payload(image, bench.options());
    for (name, value, part) in
        [("A=B", "hush", "rename it"), ("", "hush", "rename it"), ("A", "hu\0sh", "NUL")]
    {
        let mut spec = bench.spec();
        spec.environment = vec![(name.into(), value.into())];
        let said = bench.run(&payload, &spec).refused();
        assert!(said.contains(part) && !said.contains("hu"), "{said}");
    }
    let mut spec = bench.spec();
    spec.environment = vec![("A".into(), "hush".repeat(60_000))];
    let said = bench.run(&payload, &spec).refused();
    assert!(said.contains("too long") && !said.contains("hush"), "{said}");
}

fn ulimit() {
    let mut bench = Bench::new("ulimit");
    let mut spec = bench.spec();
    spec.ulimit_nofile = Some(777);
    let said = bench.run_script("ulimit -n; exit 42", bench.options(), &spec);
    assert_eq!(said.texts(), ["777"]);
    assert_eq!(said.exited(), itself(42));
}
