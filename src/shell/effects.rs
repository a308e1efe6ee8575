//! Carries effects out: feeds, requests, commands, sorts. Every task it starts it owns, can cancel, and awaits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use shepard_cloud::local::Home;
use shepard_cloud::ports::Cursor;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::carry::Carrier;
use super::fetch::{Reader, problem};
use super::stacks;
use crate::app::effect::{OpId, Policy, Request};
use crate::app::store::{ViewJob, ViewResult};
use crate::app::{Command, Model, Msg, Sub};
use crate::config::Config;
use crate::feeds::pump::pump;
use crate::feeds::{aws, blocking, flocks, identity, jobs, logs};
use crate::operations::discovery::Register;
use crate::operations::flock::Opener;

/// Threads a sort or filter may use.
const SORT_THREADS: u32 = 2;

/// What a task was for, and what it has to say.
enum End {
    /// A request; its slot is free.
    Loaded(String, Msg),
    /// A command.
    Ended(OpId, Msg),
    /// A sort or filter of a flock's jobs; None where it failed.
    Arranged(String, Option<ViewResult>),
    /// A feed that could not begin.
    Feed(Msg),
    /// A feed that was told to stop.
    Quiet,
}

/// A request under way and the one that waits for it.
struct Slot {
    running: AbortHandle,
    next: Option<Request>,
}

/// Everything that runs beside the loop.
pub(super) struct Runner {
    flocks: Arc<Opener>,
    register: Register,
    reader: Arc<Reader>,
    carrier: Arc<Carrier>,
    news: mpsc::Sender<Msg>,
    tasks: JoinSet<End>,
    feeds: HashMap<Sub, AbortHandle>,
    slots: HashMap<String, Slot>,
    /// Flocks whose jobs are being sorted, and what is wanted of them next.
    arranging: HashMap<String, Option<ViewJob>>,
    ops: HashMap<OpId, CancellationToken>,
}

impl Runner {
    /// With nothing under way. News go to the loop's channel.
    pub(super) fn new(config: &Config, news: mpsc::Sender<Msg>) -> Self {
        let register = Register::new(config);
        let flocks = Arc::new(Opener::new(Home::new(&config.dirs.data), Arc::new(register.clone())));
        Self {
            reader: Arc::new(Reader::new(config, Arc::clone(&flocks))),
            carrier: Arc::new(Carrier::new(config, Arc::clone(&flocks), register.clone())),
            flocks,
            register,
            news,
            tasks: JoinSet::new(),
            feeds: HashMap::new(),
            slots: HashMap::new(),
            arranging: HashMap::new(),
            ops: HashMap::new(),
        }
    }

    /// Starts the feeds the model wants and stops those it does not want any more.
    pub(super) fn listen(&mut self, model: &Model) {
        let wanted: HashSet<Sub> = model.subscriptions().into_iter().collect();
        self.feeds.retain(|sub, task| {
            let keep = wanted.contains(sub);
            if !keep {
                task.abort();
            }
            keep
        });
        for sub in wanted {
            if self.feeds.contains_key(&sub) {
                continue;
            }
            let cursor = match &sub {
                Sub::Jobs { flock } => model.data.jobs.get(flock).map_or(0, |jobs| jobs.cursor),
                _ => 0,
            };
            let (flocks, register, news) =
                (Arc::clone(&self.flocks), self.register.clone(), self.news.clone());
            let task = self.tasks.spawn(feed(sub.clone(), flocks, register, Cursor(cursor), news));
            self.feeds.insert(sub, task);
        }
    }

    /// Reads something once, by the request's own policy.
    pub(super) fn load(&mut self, request: Request) {
        let (policy, name) = request.policy();
        match (policy, self.slots.get_mut(&name)) {
            (Policy::SingleFlight, Some(slot)) => {
                slot.next = Some(request);
                return;
            }
            (Policy::LatestWins, Some(slot)) => slot.running.abort(),
            (_, None) => {}
        }
        self.start(name, request);
    }

    fn start(&mut self, name: String, request: Request) {
        let reader = Arc::clone(&self.reader);
        let slot = name.clone();
        let running = self.tasks.spawn(async move { End::Loaded(slot, reader.read(request).await) });
        self.slots.insert(name, Slot { running, next: None });
    }

    /// Begins a command.
    pub(super) fn run(&mut self, op: OpId, command: Command) {
        let (carrier, news, stop) = (Arc::clone(&self.carrier), self.news.clone(), CancellationToken::new());
        self.ops.insert(op, stop.clone());
        self.tasks.spawn(async move {
            let result = carrier.carry_out(op, command, &news, &stop).await;
            End::Ended(op, Msg::Finished { op, result })
        });
    }

    /// Tells a command to stop; it ends with a sentence that says how far it came.
    pub(super) fn abandon(&mut self, op: OpId) {
        if let Some(stop) = self.ops.get(&op) {
            stop.cancel();
        }
    }

    /// Sorts and filters on a thread of its own. One at a time for a flock, and of those that wait only the newest: a
    /// person types faster than a million rows are sorted, and nobody wants what was typed over.
    pub(super) fn arrange(&mut self, flock: String, job: ViewJob) {
        if let Some(waiting) = self.arranging.get_mut(&flock) {
            *waiting = Some(job);
            return;
        }
        self.arranging.insert(flock.clone(), None);
        self.tasks.spawn(async move {
            let result = tokio::task::spawn_blocking(move || job.run(SORT_THREADS)).await;
            End::Arranged(flock, result.ok())
        });
    }

    /// What a sort or filter has to say, after the next one has begun.
    fn arranged(&mut self, flock: String, result: Option<ViewResult>) -> Msg {
        if let Some(job) = self.arranging.remove(&flock).flatten() {
            self.arrange(flock.clone(), job);
        }
        result.map_or_else(failed, |result| Msg::Arranged(flock, result))
    }

    /// Waits for the next task to end; what it has to say. None while nothing is under way, at once.
    pub(super) async fn answered(&mut self) -> Option<Vec<Msg>> {
        let ended = self.tasks.join_next().await?;
        Some(match ended {
            Ok(End::Loaded(name, msg)) => {
                if let Some(next) = self.slots.remove(&name).and_then(|slot| slot.next) {
                    self.start(name, next);
                }
                vec![msg]
            }
            Ok(End::Ended(op, msg)) => {
                self.ops.remove(&op);
                vec![msg]
            }
            Ok(End::Arranged(flock, result)) => vec![self.arranged(flock, result)],
            Ok(End::Feed(msg)) => vec![msg],
            Ok(End::Quiet) => Vec::new(),
            Err(error) if error.is_cancelled() => Vec::new(),
            Err(_) => vec![failed()],
        })
    }

    /// Stops everything and waits until it has stopped.
    pub(super) async fn end(&mut self) {
        for stop in self.ops.values() {
            stop.cancel();
        }
        self.tasks.shutdown().await;
    }
}

/// For a panic in a task: the hook has logged where; the console goes on without that task.
fn failed() -> Msg {
    let text = "something inside the console failed; the log file says where".to_owned();
    Msg::Notice { problem: true, text }
}

/// One feed, from its beginning. One that cannot begin says so and tries again: a flock may be made meanwhile.
async fn feed(
    sub: Sub,
    opener: Arc<Opener>,
    register: Register,
    cursor: Cursor,
    news: mpsc::Sender<Msg>,
) -> End {
    let began = match &sub {
        Sub::Flocks => {
            pump(sub.clone(), flocks::Flocks::new(opener.home().clone()), news).await;
            return End::Quiet;
        }
        Sub::AwsFlocks { picked, again } => {
            if let Some(account) = picked {
                register.pick(account);
            }
            if *again > 0 {
                register.refresh().await;
            }
            pump(sub.clone(), aws::Stacks::new(register), news).await;
            return End::Quiet;
        }
        Sub::Depth { flock } => match opener.open(flock).await {
            Ok(open) => {
                pump(sub.clone(), aws::Depth::new(flock.clone(), open.ports()), news).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
        Sub::Compute { flock, jobs } => match opener.open(flock).await {
            Ok(open) => {
                let source = aws::InSight::new(flock.clone(), open.ports(), jobs.clone());
                pump(sub.clone(), source, news).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
        Sub::Jobs { flock } => match opener.open(flock).await {
            Ok(open) => {
                let table = open.ports().table;
                // The first look at a flock of this machine blocks.
                let signs = blocking(move || open.signs()).await;
                let source = jobs::Jobs::new(flock.clone(), table, signs, cursor);
                pump(sub.clone(), source, news).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
        Sub::Stack(stack) => {
            stacks::feed(stack.clone(), news).await;
            return End::Quiet;
        }
        Sub::Identity { account, .. } => {
            pump(sub.clone(), identity::Identities::new(account.clone()), news).await;
            return End::Quiet;
        }
        Sub::Log { flock, stream, minutes, .. } => match opener.open(flock).await {
            Ok(open) => {
                let source = logs::Stream::new(stream.clone(), open.ports().logs, *minutes);
                pump(sub.clone(), source, news).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    match began {
        Ok(()) => End::Quiet,
        Err(error) => End::Feed(Msg::FeedFailed(sub, problem(&error))),
    }
}

#[cfg(test)]
mod tests {
    use shepard_model::{JobId, JobSummary, ObjectRef, State};

    use super::*;
    use crate::app::store::{Sort, SortKey, Store, View};

    fn runner(home: &std::path::Path) -> Runner {
        let dirs =
            crate::config::Dirs { data: home.join("d"), state: home.join("s"), config: home.join("c") };
        let config = Config::layered(dirs, "", &crate::cli::Global::default()).expect("usable");
        // Nothing here is told to the loop.
        Runner::new(&config, mpsc::channel(1).0)
    }

    /// More rows than a view sorts on the spot.
    fn store() -> Store {
        let mut store = Store::new();
        let jobs: Vec<JobSummary> = (0..5_000_i64)
            .map(|number| {
                let input = format!("{number}.zip");
                JobSummary {
                    id: JobId::of_object(&ObjectRef::new("inputs", input.clone())),
                    input,
                    tag: None,
                    state: State::Queued,
                    created_ms: number,
                    started_ms: None,
                    ended_ms: None,
                    attempts: 0,
                    exit_code: None,
                    reason: None,
                }
            })
            .collect();
        let _ = store.merge(&jobs, &[]);
        store
    }

    #[tokio::test]
    async fn of_the_sorts_that_wait_for_one_only_the_newest_is_done_and_that_one_always() {
        let home = tempfile::tempdir().expect("a directory");
        let (mut runner, store) = (runner(home.path()), store());
        let mut view = View::new(Sort::default());
        for key in [SortKey::Input, SortKey::State, SortKey::Id, SortKey::Reason] {
            let job = view.set_sort(Sort { key, descending: false }, &store, 0).expect("a job");
            runner.arrange("f".to_owned(), job);
        }
        let mut accepted = Vec::new();
        while let Some(messages) = runner.answered().await {
            for msg in messages {
                let Msg::Arranged(_, result) = msg else { panic!("{msg:?}") };
                accepted.push(view.accept(result, &store, 0));
            }
        }
        assert_eq!(accepted, [false, true], "the first and the newest were done, and the newest is shown");
        assert_eq!(view.showing().0.key, SortKey::Reason);
        assert!(!view.is_busy());
    }
}
