//! The supervisor process: it has the flock's lock, runs the tasks, and decides when to stop.
//!
//! | task | does | ends |
//! |---|---|---|
//! | [`inbox`] | announces uploads to the queue | at `stop` |
//! | [`pump`] | lets the scheduler core handle the queue; beside it reconciles and forgets | at `stop` |
//! | [`watch`](super::wake::watch) | wakes the two below when the database changes | at `stop` |
//! | [`compute`] | starts workers, adopts the ones of a dead supervisor, follows them to their end | at `stop`, with its attempts |
//!
//! Nothing is kept in memory that a `kill -9` could lose: what was announced, what is queued, which attempt is
//! whose are all in the flock's database, and what lives is asked of the locks.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shepard_cloud::Ports;
use shepard_cloud::local::{FlockDir, LocalFlock, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::LocalError;
use super::launch::Card;
use super::{clean, compute, inbox, launch, lock, memory, pump, wake};

/// How long a new supervisor waits for the lock: whoever only asks whether it is held has it for an instant.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// What the tasks of a supervisor share.
pub(crate) struct Context {
    pub(crate) dir: FlockDir,
    pub(crate) flock: LocalFlock,
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    /// The program that is run as worker.
    pub(crate) executable: PathBuf,
    /// Begin nothing new.
    pub(crate) stop: CancellationToken,
    /// And tell what runs to stop.
    pub(crate) interrupt: CancellationToken,
    /// Wakes the tasks.
    pub(crate) wakes: wake::Wakes,
    /// When something was last done.
    active: Mutex<Instant>,
    /// Attempts in hand.
    pub(crate) attempts: AtomicU64,
}

impl Context {
    /// Something was done: the idle time begins anew.
    pub(crate) fn touch(&self) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn last_active(&self) -> Instant {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after a flock until it is idle for as long as its settings say, or until SIGTERM, SIGINT (its workers
/// run on, and the next supervisor adopts them) or SIGUSR1 (they are told to stop, and are run again).
///
/// Makes its own runtime and takes the process's log: call it from `main` and from nowhere else.
///
/// # Errors
/// Another supervisor has the flock, or its database cannot be opened.
pub fn supervise(dir: &FlockDir) -> Result<(), LocalError> {
    // In a session of its own, no terminal that closes takes it along. One that was started by hand leads a
    // process group, is refused here, and stays with its terminal.
    let _ = rustix::process::setsid();
    super::log::to_stderr();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LocalError::io("start the runtime for", dir.path(), error))?;
    let ended = runtime.block_on(run(dir));
    // Whatever still blocks a thread holds nothing that is needed.
    runtime.shutdown_background();
    if let Err(error) = &ended {
        tracing::error!("{error}");
    }
    ended
}

async fn run(dir: &FlockDir) -> Result<(), LocalError> {
    let mut held = take_flock(dir).await?;
    super::log::cut(dir);
    let flock = LocalFlock::open(dir)?;
    let context = Arc::new(Context {
        dir: dir.clone(),
        ports: flock.ports(),
        settings: flock.settings().clone(),
        flock,
        executable: launch::own_executable(),
        stop: CancellationToken::new(),
        interrupt: CancellationToken::new(),
        wakes: wake::Wakes::new(),
        active: Mutex::new(Instant::now()),
        attempts: AtomicU64::new(0),
    });
    // Before anybody may think us ready: a signal that comes earlier than its handler would kill us.
    let signals = tokio::spawn(follow_signals(Arc::clone(&context))?);
    tracing::info!("supervisor of flock {} began, process {}", dir.name(), std::process::id());
    loop {
        work(&context, dir).await?;
        leave(&context).await;
        let _ = std::fs::remove_file(dir.supervisor_file());
        drop(held);
        // An upload that came while we made up our mind found the lock held and started nobody. Now that it is
        // free, whoever comes starts one; what came before is ours to see.
        if context.stop.is_cancelled() || !has_work(&context).await {
            break;
        }
        match lock::Held::try_take(&dir.supervisor_lock()) {
            Ok(Some(again)) => held = again,
            _ => break,
        }
    }
    signals.abort();
    tracing::info!("supervisor of flock {} ends, process {}", dir.name(), std::process::id());
    Ok(())
}

/// The last look around before the flock is let go, where nothing of it runs on.
async fn leave(context: &Context) {
    if !context.flock.compute().active().await.is_ok_and(|active| active.is_empty()) {
        return;
    }
    match clean::once(context).await {
        Ok(()) => memory::remove_bases(&context.dir, false),
        Err(error) => tracing::warn!("{error}"),
    }
}

/// Runs the tasks until the flock is idle or somebody wants a stop.
async fn work(context: &Arc<Context>, dir: &FlockDir) -> Result<(), LocalError> {
    // Each round has tasks of its own: `round` ends them for idleness, `context.stop` for good.
    let round = context.stop.child_token();
    pump::free_what_was_held(context).await?;
    let started = context.ports.clock.now_ms();
    Card { pid: std::process::id(), started }.write(dir)?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(wake::watch(Arc::clone(context), round.clone()));
    tasks.spawn(inbox::run(Arc::clone(context), round.clone()));
    tasks.spawn(pump::run(Arc::clone(context), context.wakes.wake(), round.clone()));
    tasks.spawn(pump::keep_house(Arc::clone(context), round.clone()));
    tasks.spawn(clean::run(Arc::clone(context), round.clone()));
    tasks.spawn(compute::run(Arc::clone(context), context.wakes.wake(), round.clone()));
    tokio::select! {
        () = idle(context) => round.cancel(),
        () = round.cancelled() => {}
    }
    // A task that panicked has said so in the log; the others end by their token.
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn take_flock(dir: &FlockDir) -> Result<lock::Held, LocalError> {
    let path = dir.supervisor_lock();
    match tokio::time::timeout(LOCK_PATIENCE, lock::Held::take(&path)).await {
        Ok(taken) => taken.map_err(|error| LocalError::io("lock", path, error)),
        Err(_) => Err(LocalError::Taken {
            name: dir.name().to_owned(),
            pid: Card::read(dir).map_or_else(|| "?".to_owned(), |card| card.pid.to_string()),
        }),
    }
}

/// Ends when nothing has been done for the idle time and nothing is left to do. Sleeps in between: an idle
/// supervisor wakes once per idle time.
async fn idle(context: &Arc<Context>) {
    let idle = Duration::from_secs(context.settings.idle_s.max(1));
    loop {
        tokio::time::sleep_until(context.last_active() + idle).await;
        if context.last_active().elapsed() < idle {
            continue;
        }
        if !has_work(context).await {
            return;
        }
        context.touch();
    }
}

/// Whether anything is left to do. What cannot be asked counts as yes.
async fn has_work(context: &Arc<Context>) -> bool {
    if context.attempts.load(Ordering::Relaxed) > 0 {
        return true;
    }
    let waits = context.ports.queue.depth().await.map_or(true, |depth| depth.waiting + depth.in_flight > 0);
    waits
        || context.flock.compute().waiting().await.map_or(true, |waiting| waiting > 0)
        || inbox::has_work(context).await.unwrap_or(true)
}

fn follow_signals(context: Arc<Context>) -> Result<impl Future<Output = ()>, LocalError> {
    let on = |kind: SignalKind| {
        signal(kind).map_err(|error| LocalError::io("wait for signals to", context.dir.path(), error))
    };
    let (mut term, mut int) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let (mut usr1, mut hup) = (on(SignalKind::user_defined1())?, on(SignalKind::hangup())?);
    Ok(async move {
        loop {
            tokio::select! {
                _ = term.recv() => context.stop.cancel(),
                _ = int.recv() => context.stop.cancel(),
                _ = usr1.recv() => { context.interrupt.cancel(); context.stop.cancel(); }
                // The terminal it was started from by hand is gone; the flock is not.
                _ = hup.recv() => {}
            }
        }
    })
}
