//! Carries commands out, through the same operations as the subcommands, and writes each into the journal with the
//! command line that does the same.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use shepard_cloud::Clock as _;
use shepard_cloud::aws::Profile;
use shepard_cloud::aws::renew::renew;
use shepard_cloud::local::FlockDir;
use shepard_cloud::ports::{Redrive, WallClock};
use shepard_model::JobId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fetch::{expanded, problem, seen};
use super::{by_api, profiles, stacks};
use crate::app::deploy::{Source, Wish};
use crate::app::effect::OpId;
use crate::app::msg::{Done, SecretsDiff};
use crate::app::remote::Problem;
use crate::app::stack::StackCommand;
use crate::app::{Command, Msg};
use crate::config::Config;
use crate::feeds::blocking;
use crate::operations::discovery::Register;
use crate::operations::flock::Opener;
use crate::operations::journal::{Journal, who};
use crate::operations::profiles::Store;
use crate::operations::retrieve::{self, Fate};
use crate::operations::{
    OperationError, batch, deploy, dlq, equivalent, flocks, jobs, logs, preflight, releases, secrets,
};

/// How often progress is told.
const EVERY: Duration = Duration::from_millis(200);

/// Does what a person asked for.
pub(super) struct Carrier {
    flocks: Arc<Opener>,
    register: Register,
    journal: Journal,
    scratch: PathBuf,
    deploying: PathBuf,
    profiles: Store,
}

/// Tells the loop how far a command is. A full channel drops the word: the next one is newer anyway.
pub(super) struct Tell<'a> {
    op: OpId,
    news: &'a mpsc::Sender<Msg>,
}

impl Tell<'_> {
    fn say(&self, done: u64, total: u64, note: &str) {
        let (note, part) = (note.to_owned(), String::new());
        let _ = self.news.try_send(Msg::Progress { op: self.op, done, total, note, part, bytes: false });
    }

    /// Says what is done to a stack, how much of it, and a sentence about what was done.
    pub(super) fn stack(&self, part: &str, done: u64, note: &str) {
        let (note, part) = (note.to_owned(), part.to_owned());
        let _ = self.news.try_send(Msg::Progress { op: self.op, done, total: 0, note, part, bytes: false });
    }

    /// Says what was found. It waits for a place: nobody says it again.
    pub(super) async fn send(&self, msg: Msg) {
        let _ = self.news.send(msg).await;
    }

    /// Says how far a deploy is.
    fn part(&self, now: &deploy::DeployProgress) {
        let words = now.step.words();
        let _ = self.news.try_send(Msg::Progress {
            op: self.op,
            done: now.done,
            total: now.total,
            // What the part is called is in the part.
            note: if now.note == words { String::new() } else { now.note.clone() },
            part: format!("{}/{} {words}", now.number, now.steps),
            bytes: now.step != deploy::Step::Build,
        });
    }

    /// Says what `now` gives again and again while `work` runs.
    async fn while_running<T>(
        &self,
        now: impl Fn() -> (u64, u64, &'static str),
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            let (done, total, note) = now();
            self.say(done, total, note);
            tokio::select! {
                ended = &mut work => return ended,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}

impl Carrier {
    pub(super) fn new(config: &Config, flocks: Arc<Opener>, register: Register) -> Self {
        Self {
            flocks,
            register,
            journal: Journal::at(config.dirs.journal()),
            scratch: config.dirs.state.join("packing"),
            deploying: config.dirs.data.join("scratch"),
            profiles: Store::of(config),
        }
    }

    /// Carries a command out. Cancelled, it stops at the next await; what is done stays done, and is said.
    pub(super) async fn carry_out(
        &self,
        op: OpId,
        command: Command,
        news: &mpsc::Sender<Msg>,
        stop: &CancellationToken,
    ) -> Result<Done, Problem> {
        let tell = Tell { op, news };
        let (name, flock, targets, argv) = self.described(&command);
        let result = if let Command::Deploy(wish) = &command {
            // It stops by itself, when it has removed what it made on its way.
            self.deploy(wish, &tell, stop).await
        } else {
            tokio::select! {
                result = self.run(command, &tell) => result,
                () = stop.cancelled() => {
                    Err(OperationError::Refused("cancelled; what was done by then stays done".into()))
                }
            }
        };
        let (result, written) = match result {
            Ok(done) => (Ok(done), Ok(())),
            Err(error) => (Err(problem(&error)), Err(error)),
        };
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.journal.record(&WallClock, name, &flock, &targets, &argv, &written);
        result
    }

    async fn run(&self, command: Command, tell: &Tell<'_>) -> Result<Done, OperationError> {
        match command {
            Command::Batch { flock, path, tag } => self.batch(&flock, &path, tag, tell).await,
            Command::Terminate { flock, ids } => {
                let open = self.flocks.open_to_change(&flock).await?;
                let done = jobs::terminate(&open.ports(), &ids, &who()).await?;
                said("asked to stop", &done)
            }
            Command::Retry { flock, ids } => {
                let open = self.flocks.open_to_change(&flock).await?;
                let done = jobs::retry(&open.ports(), &ids, &who(), open.keep_days()).await?;
                open.wake().await?;
                said("run again", &done)
            }
            Command::Retrieve { flock, ids, to } => self.retrieve(&flock, &ids, &to, tell).await,
            Command::SaveLog { flock, stream, to } => {
                let open = self.flocks.open(&flock).await?;
                let to = expanded(&to);
                let lines = logs::save(&open.ports(), &stream, &to).await?;
                let path = to.display().to_string();
                Ok(Done {
                    text: format!("{lines} lines saved to {path}"),
                    failed: Vec::new(),
                    path: Some(path),
                })
            }
            Command::CreateFlock { .. } => {
                let request = create_request(&command);
                let dir = flocks::create(self.flocks.home(), &request).await?;
                Ok(plain(format!("created the flock {}", dir.name())))
            }
            Command::Deploy(wish) => self.deploy(&wish, tell, &CancellationToken::new()).await,
            Command::RollBack { flock, repository, release } => {
                let target = self.target(&flock, repository.as_deref()).await?;
                let registries = deploy::Registries::for_target(&target).await;
                let done = releases::roll_back(&target, &registries, &release).await?;
                let whose = repository.as_deref().unwrap_or(&flock);
                Ok(plain(format!("{whose} runs {} from now on", done.release.name)))
            }
            Command::StartFlock { flock } => {
                let fresh = flocks::start(&self.dir(&flock)?).await?;
                Ok(plain(if fresh {
                    format!("started {flock}")
                } else {
                    format!("{flock} was running already")
                }))
            }
            Command::StopFlock { flock } => {
                let was = flocks::stop(&self.dir(&flock)?).await?;
                Ok(plain(if was {
                    format!("stopped {flock}; jobs that run go on, and the rest waits")
                } else {
                    format!("{flock} was not running")
                }))
            }
            Command::PushSecrets { flock, path, merge, seen } => {
                self.push_secrets(&flock, &path, merge, seen.as_deref()).await
            }
            Command::Profile(command) => {
                let store = self.profiles.clone();
                blocking(move || profiles::carry_out(&store, &command)).await
            }
            Command::Stack(command) => self.stack(command, tell).await,
            Command::QuickDeploy { flock, path } => by_api::quick_deploy(&self.flocks, &flock, &path).await,
            Command::BatchApi { flock, typed } => by_api::batch(&self.flocks, &flock, &typed).await,
            Command::Redrive { flock } => {
                let open = self.flocks.open_to_change(&flock).await?;
                let mut progress = |now: &Redrive| {
                    tell.say(now.moved, now.left.map_or(0, |left| now.moved + left), "messages moved");
                };
                let moved = dlq::redrive(&open, &mut progress).await?;
                let messages = if moved == 1 { "message" } else { "messages" };
                Ok(plain(format!("{moved} {messages} moved back into the queue of {flock}")))
            }
            Command::Renew { account, code } => {
                let ends = renew(&Profile::of(&account), code.as_ref()).await?;
                Ok(plain(match ends {
                    Some(ends) => format!("the session with AWS is renewed{}", lasts(ends)),
                    None => "nothing to renew: these credentials are asked for anew by themselves".to_owned(),
                }))
            }
            Command::RemoveFlock { flock } => {
                flocks::remove(self.flocks.home(), &self.dir(&flock)?).await?;
                Ok(plain(format!("removed the flock {flock}")))
            }
        }
    }

    async fn stack(&self, command: StackCommand, tell: &Tell<'_>) -> Result<Done, OperationError> {
        let stack = command.stack();
        if self.register.standing(&stack.account).read_only {
            let why = format!("{} is read-only: config.toml says so of its account", stack.flock());
            return Err(OperationError::Refused(why));
        }
        let done = stacks::carry_out(command, tell).await;
        // There is another stack now, or one less, whether or not it went well.
        self.register.refresh().await;
        done
    }

    async fn batch(
        &self,
        flock: &str,
        path: &str,
        tag: Option<String>,
        tell: &Tell<'_>,
    ) -> Result<Done, OperationError> {
        let open = self.flocks.open_to_change(flock).await?;
        tell.say(0, 0, "looking at the folder");
        let request = preflight::Request { path: expanded(path), tag, ..preflight::Request::default() };
        let plan = blocking(move || preflight::examine(&request)).await?;
        let total = plan.accepted().count() as u64;
        let progress = Arc::new(batch::Progress::default());
        let ports = open.ports();
        let bytes = plan.bytes();
        let now = || {
            // One job is told by its bytes, many by their number.
            if total == 1 {
                (progress.packed_bytes.load(Relaxed).min(bytes), bytes, "bytes packed and sent")
            } else {
                (progress.uploaded_jobs.load(Relaxed), total, "jobs uploaded")
            }
        };
        let report =
            tell.while_running(now, batch::batch(&ports, plan, open.way(&self.scratch), &progress)).await?;
        // After the upload, so that a supervisor about to stop for idleness finds it; and also after half of one.
        open.wake().await?;
        let sent = report.jobs.iter().filter(|job| job.id.is_some()).count();
        let failed: Vec<(String, String)> = report
            .jobs
            .iter()
            .filter_map(|job| Some((job.path.display().to_string(), job.refused.clone()?)))
            .collect();
        if let Some(error) = report.stopped {
            return Err(OperationError::Environment(format!(
                "{error} ({sent} jobs were batched before that)"
            )));
        }
        let refused = if failed.is_empty() { String::new() } else { format!("; {} refused", failed.len()) };
        Ok(Done { text: format!("{} batched into {flock}{refused}", count(sent)), failed, path: None })
    }

    async fn retrieve(
        &self,
        flock: &str,
        ids: &[JobId],
        to: &str,
        tell: &Tell<'_>,
    ) -> Result<Done, OperationError> {
        let open = self.flocks.open(flock).await?;
        let (ports, to) = (open.ports(), expanded(to));
        let progress = retrieve::Progress::default();
        let now = || (progress.files.load(Relaxed), 0, "files fetched");
        let got = if ids.is_empty() {
            tell.while_running(now, retrieve::everything(&ports, &to, &progress)).await?
        } else {
            tell.while_running(now, retrieve::of_jobs(&ports, ids, &to, &progress)).await?
        };
        let fetched = got.iter().filter(|one| one.fate == Fate::Fetched).count();
        let current = got.iter().filter(|one| one.fate == Fate::Current).count();
        let failed: Vec<(String, String)> = got
            .iter()
            .filter(|one| one.fate == Fate::Failed)
            .map(|one| (one.key.clone(), one.reason.clone().unwrap_or_default()))
            .collect();
        let path = to.display().to_string();
        let text = match (fetched, current) {
            (0, 0) => format!("no results yet; nothing was written to {path}"),
            (0, current) => format!("nothing new: {} in {path} already", files(current)),
            (fetched, 0) => format!("{} fetched to {path}", files(fetched)),
            (fetched, current) => {
                format!("{} fetched to {path}, {current} were there already", files(fetched))
            }
        };
        Ok(Done { text, failed, path: Some(path) })
    }

    /// Replaces a flock's secrets, if that does what the person saw it would.
    async fn push_secrets(
        &self,
        flock: &str,
        path: &str,
        merge: bool,
        shown: Option<&SecretsDiff>,
    ) -> Result<Done, OperationError> {
        let store = self.flocks.open_to_change(flock).await?.ports().secrets;
        let plan = secrets::plan(store.as_ref(), &expanded(path), merge).await?;
        if plan.diff.as_ref().map(seen).as_ref() != shown {
            return Err(OperationError::Refused(format!(
                "the folder or the secrets of {flock} have changed since they were shown; nothing was sent, look again"
            )));
        }
        secrets::carry_out(store.as_ref(), &plan).await?;
        let count = plan.names().len();
        Ok(plain(format!("{flock} has {count} {} now", if count == 1 { "secret" } else { "secrets" })))
    }

    async fn deploy(
        &self,
        wish: &Wish,
        tell: &Tell<'_>,
        stop: &CancellationToken,
    ) -> Result<Done, OperationError> {
        let request = request(wish, self.target(&wish.flock, wish.repository.as_deref()).await?);
        let deployer = deploy::Deployer::of_this_person(self.deploying.clone(), &request.target).await?;
        let mut last = Instant::now() - EVERY;
        let mut before: Option<deploy::DeployProgress> = None;
        let mut progress = |now: &deploy::DeployProgress| {
            // Lines and parts are all told; numbers no oftener than anybody reads them.
            let new = before.as_ref().is_none_or(|old| (old.step, &old.note) != (now.step, &now.note));
            if new || last.elapsed() >= EVERY {
                last = Instant::now();
                tell.part(now);
            }
            before = Some(now.clone());
        };
        let done = deployer.deploy(&request, &mut progress, stop).await?;
        let whose = wish.repository.as_deref().unwrap_or(&wish.flock);
        let image = done.digest.as_deref().unwrap_or(&done.image);
        Ok(plain(format!("{whose} runs {} from now on; its image is {image}", done.release)))
    }

    async fn target(&self, flock: &str, repository: Option<&str>) -> Result<deploy::Target, OperationError> {
        match repository {
            Some(repository) => Ok(deploy::Target::Repository(repository.to_owned())),
            None => self.flocks.open_to_change(flock).await?.target(),
        }
    }

    /// For the journal: what is done, to which flock, to what in it, and the command line that does the same.
    fn described(&self, command: &Command) -> (&'static str, String, Vec<String>, Vec<String>) {
        let texts = |ids: &[JobId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        match command {
            Command::Batch { flock, path, tag } => {
                let path = expanded(path);
                let line = equivalent::batch(flock, &path, tag.as_deref());
                ("batch", flock.clone(), vec![path.display().to_string()], line)
            }
            Command::Terminate { flock, ids } => {
                ("terminate", flock.clone(), texts(ids), equivalent::on_jobs("terminate", flock, ids))
            }
            Command::Retry { flock, ids } => {
                ("retry", flock.clone(), texts(ids), equivalent::on_jobs("retry", flock, ids))
            }
            Command::Retrieve { flock, ids, to } => {
                ("retrieve", flock.clone(), texts(ids), equivalent::retrieve(flock, &expanded(to), ids))
            }
            Command::SaveLog { flock, stream, to } => {
                ("save log", flock.clone(), vec![to.clone()], equivalent::logs(flock, stream))
            }
            Command::CreateFlock { name, .. } => {
                ("local create", name.clone(), Vec::new(), equivalent::create(&create_request(command)))
            }
            Command::Deploy(wish) => {
                let line = equivalent::deploy(&request(wish, typed(&wish.flock, wish.repository.as_deref())));
                let whose = wish.repository.as_ref().unwrap_or(&wish.flock);
                ("deploy", whose.clone(), vec![wish.source.text().to_owned()], line)
            }
            Command::RollBack { flock, repository, release } => {
                let line = equivalent::rollback(&typed(flock, repository.as_deref()), release);
                let whose = repository.as_ref().unwrap_or(flock);
                ("rollback", whose.clone(), vec![release.clone()], line)
            }
            Command::StartFlock { flock } => {
                ("local start", flock.clone(), Vec::new(), equivalent::local("start", flock))
            }
            Command::StopFlock { flock } => {
                ("local stop", flock.clone(), Vec::new(), equivalent::local("stop", flock))
            }
            Command::PushSecrets { flock, path, merge, seen } => {
                let line =
                    equivalent::secrets_push(equivalent::Keeper::Flock(flock), &expanded(path), *merge);
                let names = |sign: char, names: &[String]| {
                    names.iter().map(|name| format!("{sign}{name}")).collect::<Vec<_>>()
                };
                let targets = seen.as_ref().map_or_else(Vec::new, |seen| {
                    [names('+', &seen.added), names('~', &seen.changed), names('-', &seen.removed)].concat()
                });
                ("secrets push", flock.clone(), targets, line)
            }
            Command::Profile(command) => {
                let (name, targets, line) = profiles::described(command);
                (name, String::new(), targets, line)
            }
            Command::Stack(command) => {
                let line = stacks::equivalent(command);
                (command.word(), command.stack().flock(), Vec::new(), line)
            }
            Command::QuickDeploy { flock, path } => {
                let folder = expanded(path);
                let name = flocks::quick_deploy_name(&folder).unwrap_or_default();
                let line = equivalent::quick_deploy(flock, &folder, &name);
                ("quick deploy", flock.clone(), vec![name], line)
            }
            Command::BatchApi { flock, .. } => {
                ("batch by API", flock.clone(), Vec::new(), equivalent::batch_api(flock))
            }
            Command::Redrive { flock } => {
                ("dlq redrive", flock.clone(), Vec::new(), equivalent::redrive(flock))
            }
            Command::Renew { account, .. } => {
                let line = equivalent::renew(account.profile.as_deref(), account.region.as_deref());
                ("renew", String::new(), Vec::new(), line)
            }
            Command::RemoveFlock { flock } => {
                ("local rm", flock.clone(), Vec::new(), equivalent::local("rm", flock))
            }
        }
    }

    fn dir(&self, flock: &str) -> Result<FlockDir, OperationError> {
        flocks::find(self.flocks.home(), flock)
    }
}

/// A deploy, as the form asks for it.
fn request(wish: &Wish, target: deploy::Target) -> deploy::Request {
    let source = match &wish.source {
        Source::Folder(path) => deploy::Source::Folder(expanded(path)),
        Source::Image(name) => deploy::Source::Image(name.clone()),
    };
    let (nested, no_cache) = (wish.nested, wish.no_cache);
    deploy::Request { nested, no_cache, ..deploy::Request::new(source, target) }
}

/// A target as it is typed on a command line, for the journal: of a flock that is not open its name is known.
fn typed(flock: &str, repository: Option<&str>) -> deploy::Target {
    match repository {
        Some(repository) => deploy::Target::Repository(repository.to_owned()),
        None => deploy::Target::Aws {
            flock: flock.to_owned(),
            repository: String::new(),
            profile: Profile::default(),
        },
    }
}

pub(super) fn plain(text: String) -> Done {
    Done { text, failed: Vec::new(), path: None }
}

fn count(jobs: usize) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}

fn files(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// The sentence about what was done to jobs. Done to none of them, it is no success.
fn said(verb: &str, done: &[jobs::Done]) -> Result<Done, OperationError> {
    let accepted = done.iter().filter(|one| one.accepted).count();
    let failed: Vec<(String, String)> = done
        .iter()
        .filter_map(|one| Some((one.id.as_str().chars().take(8).collect(), one.reason.clone()?)))
        .collect();
    if let ([first, ..], 0) = (failed.as_slice(), accepted) {
        return Err(OperationError::Refused(format!("{} not {verb}: {}", count(done.len()), first.1)));
    }
    let rest = if failed.is_empty() { String::new() } else { format!(", {} not", failed.len()) };
    Ok(Done { text: format!("{} {verb}{rest}", count(accepted)), failed, path: None })
}

/// What the operation is asked for by the form for a new flock; the default for any other command.
/// How long a session lasts from now on.
fn lasts(ends_ms: i64) -> String {
    let minutes = (ends_ms - WallClock.now_ms()).max(0) / 60_000;
    format!(" for {minutes} minutes")
}

fn create_request(command: &Command) -> flocks::Create {
    let Command::CreateFlock { name, command, quick_deploy, image, max_jobs } = command else {
        return flocks::Create::default();
    };
    flocks::Create {
        name: name.clone(),
        command: command.clone(),
        quick_deploy: quick_deploy.as_deref().map(expanded),
        image: image.clone(),
        max_jobs: *max_jobs,
        ..flocks::Create::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(id: &str, reason: Option<&str>) -> jobs::Done {
        jobs::Done {
            id: JobId::parse(id).expect("id"),
            input: String::new(),
            accepted: reason.is_none(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn what_was_done_to_no_job_is_no_success() {
        let one = said("run again", &[done("a", None)]).expect("done");
        assert_eq!((one.text.as_str(), one.failed.len()), ("1 job run again", 0));
        let part =
            said("run again", &[done("a", None), done("b", Some("it succeeded"))]).expect("done in part");
        assert_eq!((part.text.as_str(), part.failed.len()), ("1 job run again, 1 not", 1));
        let none = said("run again", &[done("b", Some("it succeeded"))]).expect_err("not done");
        assert_eq!(none.to_string(), "1 job not run again: it succeeded");
    }
}
