//! The command line that does what was done, for the journal and for a person who wants to script it.
//!
//! A flock's command is left out: it may carry a secret, and the flock's settings hold it anyway. So is the value of a
//! build argument.

use std::path::Path;

use shepard_model::Account;

use super::deploy::{Request, Source, Target};
use super::flocks::Create;
use super::stack::down::Request as Down;
use super::stack::plan::Wanted;

fn line(words: &[&str]) -> Vec<String> {
    std::iter::once(&"shepard").chain(words).map(|word| (*word).to_owned()).collect()
}

/// A path that means the same wherever the line is typed.
fn anywhere(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// `shepard batch`.
pub fn batch(flock: &str, path: &Path, tag: Option<&str>) -> Vec<String> {
    let mut line = line(&["batch", "--flock", flock, "--path", &anywhere(path)]);
    if let Some(tag) = tag {
        line.extend(["--tag".to_owned(), tag.to_owned()]);
    }
    line
}

/// `shepard profiles …`.
pub fn profiles(words: &[&str]) -> Vec<String> {
    line(&[&["profiles"], words].concat())
}

/// `shepard terminate` or `shepard retry`, by job.
pub fn on_jobs<T: ToString>(verb: &str, flock: &str, ids: &[T]) -> Vec<String> {
    let mut line = line(&[verb, "--yes", "--flock", flock]);
    line.extend(ids.iter().map(T::to_string));
    line
}

/// `shepard retrieve`; without jobs it is everything.
pub fn retrieve<T: ToString>(flock: &str, to: &Path, ids: &[T]) -> Vec<String> {
    let mut line = line(&["retrieve", "--flock", flock, "--to", &anywhere(to)]);
    for id in ids {
        line.extend(["--job".to_owned(), id.to_string()]);
    }
    line
}

/// `shepard logs`, of the job that a stream belongs to.
pub fn logs(flock: &str, stream: &str) -> Vec<String> {
    // A stream is named after its job, its run and its attempt.
    let job = stream.rsplitn(3, '-').last().unwrap_or(stream);
    line(&["logs", "--flock", flock, job])
}

/// `shepard batch-api`, without its variables: nobody knows what is in them.
pub fn batch_api(flock: &str) -> Vec<String> {
    line(&["batch-api", "--flock", flock, "…"])
}

/// `shepard dlq redrive`.
pub fn redrive(flock: &str) -> Vec<String> {
    line(&["dlq", "redrive", "--yes", "--flock", flock])
}

/// `shepard quick-deploy`.
pub fn quick_deploy(flock: &str, folder: &Path, name: &str) -> Vec<String> {
    line(&["quick-deploy", "--flock", flock, "--name", name, &anywhere(folder)])
}

/// `shepard renew`. It asks for a code by itself.
pub fn renew(profile: Option<&str>, region: Option<&str>) -> Vec<String> {
    let mut line = line(&["renew"]);
    for (flag, value) in [("--profile", profile), ("--region", region)] {
        line.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value.to_owned()]));
    }
    line
}

/// `shepard local create`.
pub fn create(request: &Create) -> Vec<String> {
    let mut line = line(&["local", "create", &request.name]);
    let mut add = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            line.extend([flag.to_owned(), value]);
        }
    };
    add("--command", request.command.as_ref().map(|_| "…".to_owned()));
    add("--quick-deploy", request.quick_deploy.as_deref().map(anywhere));
    add("--max-jobs", request.max_jobs.map(|n| n.to_string()));
    add("--attempts", request.attempts.map(|n| n.to_string()));
    add("--timeout", request.timeout_s.map(|n| n.to_string()));
    add("--image", request.image.clone());
    let granted = &request.isolation;
    for device in &granted.devices {
        add("--device", Some(device.clone()));
    }
    for gpu in &granted.gpus {
        add("--gpu", Some(gpu.clone()));
    }
    add("--shm-mib", granted.shm_mib.map(|n| n.to_string()));
    add("--memory-mib", granted.memory_mib.map(|n| n.to_string()));
    add("--cpus", granted.cpu_milli.map(processors));
    for (flag, is_granted) in [
        ("--privileged", granted.privileged),
        ("--host-network", granted.host_network),
        ("--docker-socket", granted.docker_socket),
    ] {
        if is_granted {
            line.push(flag.to_owned());
        }
    }
    line
}

/// Thousandths of a processor as a person writes them.
pub fn processors(milli: u32) -> String {
    match (milli / 1000, milli % 1000) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole}.{part:03}").trim_end_matches('0').to_owned(),
    }
}

/// Whose secrets: a flock's, or what one secret of AWS holds.
#[derive(Debug, Clone, Copy)]
pub enum Keeper<'a> {
    /// A flock, by name.
    Flock(&'a str),
    /// A secret, by name or ARN.
    Secret(&'a str),
}

impl Keeper<'_> {
    fn words(self) -> [String; 2] {
        let (flag, name) = match self {
            Self::Flock(name) => ("--flock", name),
            Self::Secret(name) => ("--secret", name),
        };
        [flag.to_owned(), name.to_owned()]
    }
}

/// `shepard secrets push`.
pub fn secrets_push(keeper: Keeper<'_>, folder: &Path, merge: bool) -> Vec<String> {
    let mut line = line(&["secrets", "push", "--yes"]);
    line.extend(merge.then(|| "--merge".to_owned()));
    line.extend(keeper.words());
    line.push(anywhere(folder));
    line
}

/// `shepard secrets rm`. A name may begin with a dash.
pub fn secrets_rm(keeper: Keeper<'_>, names: &[String]) -> Vec<String> {
    let mut line = line(&["secrets", "rm", "--yes"]);
    line.extend(keeper.words());
    line.push("--".to_owned());
    line.extend(names.iter().cloned());
    line
}

/// `shepard local start`, `stop` or `rm`.
pub fn local(verb: &str, flock: &str) -> Vec<String> {
    let mut line = line(&["local", verb, flock]);
    if verb == "rm" {
        line.extend(["--yes".to_owned(), flock.to_owned()]);
    }
    line
}

fn place(target: &Target) -> [String; 2] {
    match target {
        Target::Flock(flock) => ["--flock".to_owned(), flock.name().to_owned()],
        Target::Repository(repository) => ["--repository".to_owned(), repository.clone()],
        Target::Aws { flock, .. } => ["--flock".to_owned(), flock.clone()],
    }
}

/// `shepard deploy`.
pub fn deploy(request: &Request) -> Vec<String> {
    let mut line = line(&["deploy"]);
    line.extend(place(&request.target));
    let flags = [("--nested", request.nested), ("--no-cache", request.no_cache)];
    line.extend(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| (*flag).to_owned()));
    if let Some(platform) = &request.platform {
        line.extend(["--platform".to_owned(), platform.clone()]);
    }
    if let Some(network) = &request.network {
        line.extend(["--network".to_owned(), network.clone()]);
    }
    if let Some(worker) = &request.worker {
        line.extend(["--worker".to_owned(), anywhere(worker)]);
    }
    for (name, _) in &request.build_args {
        line.extend(["--build-arg".to_owned(), format!("{name}=…")]);
    }
    match &request.source {
        Source::Image(image) => line.extend(["--image".to_owned(), image.clone()]),
        // An absolute path never looks like a flag.
        Source::Folder(folder) => line.push(anywhere(folder)),
    }
    line
}

/// `shepard releases rollback`.
pub fn rollback(target: &Target, release: &str) -> Vec<String> {
    let mut line = line(&["releases", "rollback", release]);
    line.extend(place(target));
    line
}

/// In whose name and where.
fn account(account: &Account) -> Vec<String> {
    let mut words = Vec::new();
    for (flag, value) in [("--profile", &account.profile), ("--region", &account.region)] {
        if let Some(value) = value {
            words.extend([flag.to_owned(), value.clone()]);
        }
    }
    words
}

/// Values of parameters: none of the template's is a secret. Of another template's text only that it was one is said.
fn values(wanted: &Wanted) -> Vec<String> {
    let given = wanted.given.iter();
    let mut words: Vec<String> =
        given.flat_map(|(name, value)| ["--param".to_owned(), format!("{name}={value}")]).collect();
    if wanted.template.is_some() {
        words.extend(["--template".to_owned(), "…".to_owned()]);
    }
    words
}

/// `shepard stack up`.
pub fn stack_up(wanted: &Wanted, place: &Account) -> Vec<String> {
    let mut line = line(&["stack", "up", "--yes", &wanted.name]);
    line.extend(account(place));
    line.extend(wanted.protect.then(|| "--protect".to_owned()));
    line.extend(values(wanted));
    line
}

/// `shepard stack update`.
pub fn stack_update(wanted: &Wanted, place: &Account, keep_template: bool, replace: bool) -> Vec<String> {
    let mut line = line(&["stack", "update", "--yes", &wanted.name]);
    line.extend(account(place));
    let flags = [("--keep-template", keep_template), ("--allow-replacement", replace)];
    line.extend(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| (*flag).to_owned()));
    line.extend(values(wanted));
    line
}

/// `shepard stack down`.
pub fn stack_down(request: &Down, place: &Account) -> Vec<String> {
    let mut line = line(&["stack", "down", &request.name, "--yes", &request.name]);
    line.extend(account(place));
    let flags = [("--delete-data", request.delete_data), ("--unprotect", request.unprotect)];
    line.extend(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| (*flag).to_owned()));
    line
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use shepard_model::Isolation;

    use super::*;
    use crate::cli::{Cli, Command, Local};

    #[test]
    fn every_line_is_one_that_the_parser_takes() {
        let request = Create {
            name: "f".into(),
            command: Some("curl -H 'token: hunter2'".into()),
            max_jobs: Some(3),
            attempts: Some(2),
            timeout_s: Some(9),
            ..Create::default()
        };
        let contained = Create {
            image: Some("repo/tools:1".into()),
            isolation: Isolation {
                privileged: true,
                devices: vec!["/dev/fuse".into(), "/dev/kvm".into()],
                gpus: vec!["all".into()],
                shm_mib: Some(512),
                host_network: true,
                docker_socket: true,
                memory_mib: Some(100),
                cpu_milli: Some(1500),
            },
            ..Create::default()
        };
        let contained = Create { name: "f".into(), ..contained };
        let Some(Command::Local { command: Local::Create(read) }) =
            Cli::try_parse_from(create(&contained)).expect("parses").command
        else {
            panic!("it makes a flock");
        };
        assert_eq!(read.image, contained.image);
        assert_eq!(Isolation::from(read.grants), contained.isolation, "what is granted is all there");
        let repository = || Target::Repository("r.test/x".into());
        let built = Request {
            nested: true,
            platform: Some("linux/arm64".into()),
            no_cache: true,
            network: Some("host".into()),
            build_args: vec![("TOKEN".into(), "hunter2".into())],
            worker: Some("w".into()),
            ..Request::new(Source::Folder("-a b".into()), repository())
        };
        let stack = Wanted {
            name: "f".into(),
            given: [("A".to_owned(), "x y=z".to_owned())].into(),
            template: Some("hunter2".into()),
            protect: true,
        };
        let here =
            Account { profile: Some("p".into()), region: Some("eu-west-1".into()), ..Account::default() };
        let lines = [
            deploy(&built),
            deploy(&Request::new(Source::Image("base:1".into()), repository())),
            rollback(&repository(), "20261121-093000-0a1b2c3d"),
            batch("f", Path::new("a b"), Some("t")),
            on_jobs("terminate", "f", &["x", "y"]),
            on_jobs("retry", "f", &["x"]),
            retrieve("f", Path::new("to"), &["x"]),
            logs("f", "x-1-1"),
            create(&request),
            secrets_push(Keeper::Flock("f"), Path::new("a b"), true),
            secrets_push(Keeper::Secret("arn:aws:secretsmanager:x"), Path::new("/s"), false),
            secrets_rm(Keeper::Flock("f"), &["-rf".to_owned(), "a".to_owned()]),
            stack_up(&stack, &here),
            stack_update(&stack, &here, false, true),
            stack_update(&Wanted { template: None, ..stack.clone() }, &here, true, false),
            stack_down(&Down { name: "f".into(), delete_data: true, unprotect: true }, &here),
            local("start", "f"),
            local("rm", "f"),
        ];
        for line in lines {
            assert!(Cli::try_parse_from(&line).is_ok(), "{line:?}");
            assert!(!line.iter().any(|word| word.contains("hunter2")), "{line:?}");
        }
    }
}
