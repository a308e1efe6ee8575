//! What a payload may do to its host on a real engine, and whose its files are.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;

use common::{Bench, Said};
use serde_json::json;
use shepard_container::{Limits, Options};
use shepard_model::names::Filesystem;
use shepard_model::{Isolation, Shape};
use shepard_worker::{Payload as _, PayloadSpec};

/// CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE as the kernel numbers them.
const CAPABILITIES: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10;

fn main() -> ExitCode {
    // Root, because only root gives files to the user of an image.
    shepard_testkit::with_engine_and_busybox_and_root(vec![
        ("a_payload_is_unprivileged", unprivileged),
        ("privileges_are_given_only_when_granted", privileged),
        ("devices_and_shared_memory_only_when_granted", devices),
        ("the_engines_socket_only_when_granted", socket),
        ("a_user_of_the_image_reads_its_secrets_and_writes_outputs", users),
        ("a_user_that_the_image_does_not_know_is_refused", unknown_user),
        ("it_may_run_as_another_user", run_as),
        ("secrets_are_read_only_and_not_in_the_jobs_folder", secrets),
        ("shared_filesystems_are_read_only_but_for_the_job", shared),
        ("limits_are_those_of_the_worker_the_flock_and_the_job", limits),
    ])
}

fn status(said: &Said, field: &str) -> u64 {
    let line =
        said.texts().into_iter().find(|text| text.starts_with(&format!("{field}:"))).unwrap().to_owned();
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

fn unprivileged() {
    let mut bench = Bench::new("plain");
    let script = "cat /proc/self/status; mount -t tmpfs x /mnt && echo MOUNTED; \
                  mknod /tmp/disk b 8 0 && echo MADE; echo h > /proc/sys/kernel/hostname && echo NAMED; \
                  ls -d /var/run/docker.sock /run/docker.sock; \
                  echo \"shm $(df -m /dev/shm | awk 'NR==2 {print $2}')\"";
    let spec = bench.spec();
    let said = bench.run_script(script, bench.options(), &spec);
    for field in ["CapEff", "CapBnd", "CapPrm"] {
        assert_eq!(status(&said, field), CAPABILITIES, "{field}");
    }
    assert_eq!(status(&said, "NoNewPrivs"), 1);
    for done in ["MOUNTED", "MADE", "NAMED", "/var/run/docker.sock", "/run/docker.sock"] {
        assert!(!said.has(done), "{done}: {:?}", said.lines);
    }
    assert!(said.has("shm 64"), "{:?}", said.lines);
}

fn privileged() {
    let mut bench = Bench::new("privileged");
    let spec = bench.spec();
    let granted = Isolation { privileged: true, ..Isolation::default() };
    let script = "cat /proc/self/status; mount -t tmpfs x /mnt && echo MOUNTED";
    let options = bench.granting(granted);
    let image = bench.script(script);
    let payload = bench.payload(image, options);
    assert!(payload.way().ends_with(", privileged, in the host's network"), "{}", payload.way());
    let said = bench.run(&payload, &spec);
    // CAP_SYS_ADMIN, for one.
    assert!(status(&said, "CapEff") & 1 << 21 != 0);
    assert_eq!(status(&said, "NoNewPrivs"), 0);
    assert!(said.has("MOUNTED"), "{:?}", said.lines);
}

fn devices() {
    let mut bench = Bench::new("devices");
    let spec = bench.spec();
    // One that every host has and no container gets by itself.
    let device =
        ["/dev/kmsg", "/dev/fuse", "/dev/loop-control"].into_iter().find(|path| Path::new(path).exists());
    let device = device.expect("a device");
    let script = format!("ls {device}; df -m /dev/shm | awk 'NR==2 {{print \"shm \" $2}}'");
    let without = bench.run_script(&script, bench.options(), &spec);
    assert!(!without.has(device) && without.has("shm 64"), "{:?}", without.lines);
    let granted = Isolation { devices: vec![device.into()], shm_mib: Some(128), ..Isolation::default() };
    let options = bench.granting(granted);
    let image = bench.script(&script);
    let payload = bench.payload(image, options);
    assert!(payload.way().contains(&format!("with {device}")));
    let said = bench.run(&payload, &spec);
    assert!(said.has(device) && said.has("shm 128"), "{:?}", said.lines);
    let none = Isolation { devices: vec!["/dev/no-such".into()], ..Isolation::default() };
    let options = bench.granting(none);
    let said = bench.run_script("true", options, &spec).refused();
    assert!(said.contains("/dev/no-such"), "{said}");
}

fn socket() {
    let mut bench = Bench::new("socket");
    let mut spec = bench.spec();
    let script = "test -S /var/run/docker.sock && echo there; id -G";
    let granted = bench.granting(Isolation { docker_socket: true, ..Isolation::default() });
    assert!(!bench.run_script(script, bench.options(), &spec).has("there"));
    assert!(bench.run_script(script, granted, &spec).has("there"));
    spec.allow_docker = true;
    assert!(bench.run_script(script, bench.options(), &spec).has("there"));
}

/// Secrets as the worker leaves them: 0400, root's, outside the job's directories.
fn add_secrets(bench: &Bench, spec: &mut PayloadSpec) {
    let secrets = bench.dir.path().join("memory").join(spec.id.as_str());
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::set_permissions(&secrets, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(secrets.join("token"), "hush").unwrap();
    std::fs::set_permissions(secrets.join("token"), PermissionsExt::from_mode(0o400)).unwrap();
    std::fs::create_dir_all(spec.secrets_seen().unwrap()).unwrap();
    spec.secrets = Some(secrets);
}

fn users() {
    let mut bench = Bench::new("users");
    for (user, ids) in [
        ("", "0:0"),
        ("4321", "4321:0"),
        ("1234", "1234:2345"),
        ("app", "1234:2345"),
        ("app:other", "1234:3456"),
        ("4321:8765", "4321:8765"),
        ("app:77", "1234:77"),
    ] {
        let mut spec = bench.spec();
        add_secrets(&bench, &mut spec);
        std::fs::write(spec.input.join("in.zip"), "zip").unwrap();
        std::fs::set_permissions(spec.input.join("in.zip"), PermissionsExt::from_mode(0o600)).unwrap();
        let (input, output) = (spec.input.display().to_string(), spec.dirs[0].output.display().to_string());
        let script = format!(
            "echo $(id -u):$(id -g); cat '{input}/secrets/token'; echo; cat '{input}/in.zip'; echo; \
             mkdir '{input}/unpacked' '{output}/deep' && echo x > '{output}/deep/file' && echo written"
        );
        let image = bench.image(json!({"Cmd": ["sh", "-c", script], "User": user}));
        let payload = bench.payload(image, bench.options());
        let said = bench.run(&payload, &spec);
        assert_eq!(said.texts(), [ids, "hush", "zip", "written"], "{user}: {:?}", said.lines);
        let token = std::fs::metadata(spec.secrets.as_ref().unwrap().join("token")).unwrap();
        assert_eq!((format!("{}:{}", token.uid(), token.gid()), token.mode() & 0o777), (ids.into(), 0o400));
    }
}

fn unknown_user() {
    let mut bench = Bench::new("nobody");
    for user in ["stranger", "app:strangers"] {
        let image = bench.image(json!({"Cmd": ["true"], "User": user}));
        let payload = bench.payload(image, bench.options());
        let said = bench.run(&payload, &bench.spec()).refused();
        assert!(said.contains("stranger") && said.contains("/etc/"), "{said}");
    }
    assert!(bench.containers().is_empty());
}

fn run_as() {
    let mut bench = Bench::new("runas");
    let mut spec = bench.spec();
    add_secrets(&bench, &mut spec);
    let seen = spec.secrets_seen().unwrap();
    let script = format!("id -u; id -g; cat '{}/token'", seen.display());
    let image = bench.image(json!({"Cmd": ["sh", "-c", script], "User": "app"}));
    let payload = bench.payload(image, Options { run_as: Some((5000, 6000)), ..bench.options() });
    assert_eq!(bench.run(&payload, &spec).texts(), ["5000", "6000", "hush"]);
}

fn secrets() {
    let mut bench = Bench::new("secrets");
    let mut spec = bench.spec();
    add_secrets(&bench, &mut spec);
    let seen = spec.secrets_seen().unwrap();
    let at = seen.display();
    let script = format!(
        "cat '{at}/token'; echo; echo x > '{at}/token' && echo WRITTEN; echo x > '{at}/new' && echo MADE; rm -f '{at}/token'; \
         chmod 777 '{at}/token' && echo OPENED; cat '{at}/token'"
    );
    let said = bench.run_script(&script, bench.options(), &spec);
    let texts = said.texts();
    assert_eq!(texts.iter().filter(|text| **text == "hush").count(), 2, "{texts:?}");
    assert!(!said.has("WRITTEN") && !said.has("MADE") && !said.has("OPENED"), "{texts:?}");
    assert_eq!(std::fs::read_dir(seen).unwrap().count(), 0, "nothing of them is on the disk");
}

fn shared() {
    let mut bench = Bench::new("shared");
    let mut spec = bench.spec();
    let base = bench.dir.path().join("efs");
    let job = base.join(spec.id.as_str());
    let dirs = shepard_worker::place::Dirs {
        filesystem: Filesystem::Efs,
        input: job.join("input"),
        output: job.join("output"),
        base: base.clone(),
        secrets: None,
        job,
    };
    shepard_worker::place::make(std::slice::from_ref(&dirs)).unwrap();
    std::fs::write(base.join("common"), "for all").unwrap();
    let (read_only, output) = (base.join("read_only"), dirs.output.clone());
    spec.dirs.push(dirs);
    let script = format!(
        "cat '{0}/common'; echo; echo x > '{0}/common' && echo WRITTEN; ls '{0}' | wc -l; \
         echo x > '{1}/file' && echo put; ls '{2}'",
        read_only.display(),
        output.display(),
        base.display(),
    );
    let said = bench.run_script(&script, bench.options(), &spec);
    assert!(said.has("for all") && said.has("put") && !said.has("WRITTEN"), "{:?}", said.lines);
    assert!(output.join("file").is_file());
    assert!(
        !said.has("common"),
        "the filesystem itself is not there, but for the job's folder and the read-only view"
    );
}

fn limits() {
    let mut bench = Bench::new("limits");
    let image = bench.script("echo up; while true; do sleep 0.1; done");
    let isolation = Isolation { memory_mib: Some(300), cpu_milli: Some(500), ..Isolation::default() };
    let limits = Limits { memory: Some(200 << 20), cpuset: Some("0".into()), ..Limits::default() };
    let options = Options { limits, grace_ms: 100, ..bench.granting(isolation) };
    let mut spec = bench.spec();
    spec.shape = Shape { vcpus: Some(4), memory_mib: Some(100), ..Shape::default() };
    let payload = bench.payload(image.clone(), options.clone());
    let seen = bench.seen_running(&payload, &spec);
    assert_eq!(
        (seen.memory, seen.cpu_shares, seen.nano_cpus),
        (Some(100 << 20), Some(4096), Some(500_000_000))
    );
    assert_eq!((seen.cpuset.as_deref(), seen.name.as_str()), (Some("0"), spec.id.as_str()));

    // The worker's own weight is the job's already; more processors than there are is as many as there are.
    let mut options = options;
    options.limits.cpu_shares = Some(2048);
    options.limits.cgroup_parent = Some(format!("/{}", bench.name));
    options.isolation.cpu_milli = Some(1_000_000);
    spec.shape = Shape { vcpus: Some(4), ..Shape::default() };
    let payload = bench.payload(image, options);
    let seen = bench.seen_running(&payload, &spec);
    let cpus = bench.runtime.block_on(bench.engine.powers()).unwrap().cpus;
    assert_eq!((seen.memory, seen.cpu_shares), (Some(200 << 20), Some(2048)));
    assert_eq!(seen.nano_cpus, Some(u64::from(cpus) * 1_000_000_000));
    assert_eq!(seen.cgroup_parent, Some(format!("/{}", bench.name)));
}
