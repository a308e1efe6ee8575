//! Carries effects out: feeds, requests, commands, sorts. Every task it starts it owns, can cancel, and awaits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use shepard_cloud::CloudError;
use shepard_cloud::local::{Home, LocalFlock, Watch};
use shepard_cloud::ports::Cursor;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::carry::Carrier;
use super::fetch::Reader;
use crate::app::effect::{OpId, Policy, Request};
use crate::app::remote::{Problem, ProblemKind};
use crate::app::store::ViewJob;
use crate::app::{Command, Model, Msg, Sub};
use crate::config::Config;
use crate::feeds::pump::pump;
use crate::feeds::{flocks, jobs, logs};

/// Threads a sort or filter may use.
const SORT_THREADS: u32 = 2;

/// What a task was for, and what it has to say.
enum End {
    /// A request; its slot is free.
    Loaded(String, Msg),
    /// A command.
    Ended(OpId, Msg),
    /// A sort or filter.
    Arranged(Msg),
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
    home: Home,
    reader: Arc<Reader>,
    carrier: Arc<Carrier>,
    news: mpsc::Sender<Msg>,
    tasks: JoinSet<End>,
    feeds: HashMap<Sub, AbortHandle>,
    slots: HashMap<String, Slot>,
    ops: HashMap<OpId, CancellationToken>,
}

impl Runner {
    /// With nothing under way. News go to the loop's channel.
    pub(super) fn new(config: &Config, news: mpsc::Sender<Msg>) -> Self {
        let home = Home::new(&config.dirs.data);
        Self {
            reader: Arc::new(Reader::new(config, home.clone())),
            carrier: Arc::new(Carrier::new(config, home.clone())),
            home,
            news,
            tasks: JoinSet::new(),
            feeds: HashMap::new(),
            slots: HashMap::new(),
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
            let task =
                self.tasks.spawn(feed(sub.clone(), self.home.clone(), Cursor(cursor), self.news.clone()));
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

    /// Sorts and filters on a thread of its own. The view takes the newest answer only.
    pub(super) fn arrange(&mut self, flock: String, job: ViewJob) {
        self.tasks.spawn(async move {
            match tokio::task::spawn_blocking(move || job.run(SORT_THREADS)).await {
                Ok(result) => End::Arranged(Msg::Arranged(flock, result)),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        });
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
            Ok(End::Arranged(msg) | End::Feed(msg)) => vec![msg],
            Ok(End::Quiet) => Vec::new(),
            Err(error) if error.is_cancelled() => Vec::new(),
            // The hook has logged where; the console goes on without that task.
            Err(_) => {
                let text = "something inside the console failed; the log file says where".to_owned();
                vec![Msg::Notice { problem: true, text }]
            }
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

/// One feed, from its beginning. One that cannot begin says so and tries again: a flock may be made meanwhile.
async fn feed(sub: Sub, home: Home, cursor: Cursor, news: mpsc::Sender<Msg>) -> End {
    let began = match &sub {
        Sub::Flocks => {
            pump(sub.clone(), flocks::Flocks::new(home), news).await;
            return End::Quiet;
        }
        Sub::Jobs { flock } => match open(&home, flock).await {
            Ok((open, watch)) => {
                let source = jobs::Jobs::new(flock.clone(), open.ports().table, watch, cursor);
                pump(sub.clone(), source, news).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
        Sub::Log { flock, stream, minutes, .. } => match open(&home, flock).await {
            Ok((open, _)) => {
                let source = logs::Stream::new(stream.clone(), open.ports().logs, *minutes);
                pump(sub.clone(), source, news).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    match began {
        Ok(()) => End::Quiet,
        Err(error) => End::Feed(Msg::FeedFailed(sub, Problem::new(ProblemKind::NotFound, error.to_string()))),
    }
}

/// Opens a flock away from the loop: SQLite blocks.
async fn open(home: &Home, flock: &str) -> Result<(LocalFlock, Watch), CloudError> {
    let dir = home.flock(flock)?;
    let opened = tokio::task::spawn_blocking(move || {
        let open = LocalFlock::open(&dir)?;
        Ok((open, Watch::new(&dir)))
    });
    opened.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
