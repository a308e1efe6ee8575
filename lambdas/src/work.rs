//! One invocation's work: uploads in, rows and jobs out.
//!
//! In three steps. Everything is read and written down, each row at its place in a batch. Rows that an earlier
//! invocation left in a batch are looked after: done, still somebody's, or free to move to a batch of this one. Then
//! batches are made and jobs submitted ([`crate::hand`]). Dropping it at any await loses nothing.
//!
//! It deletes no message and says no verdict on one: that is the scheduler's.

use std::collections::{BTreeMap, HashMap, VecDeque};

use futures_util::future::{self, BoxFuture, Either};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use shepard_cloud::ports::{Applied, Message, Put};
use shepard_cloud::{CloudError, Kind, Ports, Result};
use shepard_model::manifest::Header;
use shepard_model::{BatchRef, JobId, JobRow, Outcome, Shape};
use tracing::warn;

use crate::batch::{self, Records, Rows};
use crate::drain::{self, Drain};
use crate::event::{Arrival, Left, Order};
use crate::group::{Full, Groups, Placed, Seat};
use crate::scheduler::Core;
use crate::upload::{self, Source};
use crate::{pace, submit};

/// Calls that failed for good within an invocation before none is tried twice: then the service is down, and the
/// invocation has to end before its time is up.
const STRAINED: u32 = 8;

/// What became of one upload, or of one thing that was left to be submitted.
#[derive(Debug)]
pub(crate) enum End {
    /// With the compute; its id, where that is known.
    Submitted(Option<String>),
    /// Written down for good, and a message says that it is to be submitted.
    Deferred,
    /// A rejected row, and why.
    Rejected(String),
    /// The compute refuses it for good; the row says so.
    Refused(String),
    /// Dealt with before.
    Known { compute_id: Option<String>, reason: Option<String> },
    /// Nothing was wanted.
    Ignored,
    /// Another invocation may be at it; look again after so many milliseconds.
    Busy(i64),
    /// Left for another delivery.
    Failed(CloudError),
}

/// A row of its own that is to be submitted.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) entry: usize,
    pub(crate) row: Box<JobRow>,
    /// Whether somebody may have submitted it before. None of a row that was written just now: then its age says.
    pub(crate) find: Option<bool>,
}

/// A row that an earlier invocation put into a batch.
#[derive(Debug)]
struct Parked {
    entry: usize,
    index: u32,
    touched_ms: i64,
    shape: Shape,
}

/// A batch that was made and that nobody is known to have submitted.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    /// Entries of its rows, with their places.
    pub(crate) rows: Vec<(usize, u32)>,
    /// Its header, where there are rows.
    pub(crate) header: Option<Header>,
    /// Entries of the messages that say it is to be submitted, and how often it was refused.
    pub(crate) orders: Vec<(usize, u32)>,
    /// One of them says that nobody can have submitted it.
    pub(crate) unsent: bool,
}

#[derive(Debug)]
struct Entry {
    id: JobId,
    /// How often it was refused, where a message of ours asks for it.
    asked: Option<u32>,
    /// Nobody else is at it: that message is delivered for the first time.
    mine: bool,
    end: Option<End>,
}

enum Task {
    Read(usize, Source),
    Write(Placed),
    Alone(usize, Box<JobRow>),
    Move { entry: usize, seat: Option<Seat>, from: JobId, to: Option<BatchRef> },
}

pub(crate) enum Step {
    Received(Vec<Message>, bool),
    /// There was a row.
    Found(usize, Box<JobRow>),
    /// This is to be its row.
    Fresh(usize, Box<JobRow>),
    Ended(usize, End),
    Written(usize, Option<Seat>, Box<JobRow>, Result<Put>),
    Moved(usize, Option<Seat>, Result<Applied>),
}

/// The work and where it stands.
pub(crate) struct Work<'a> {
    pub(crate) core: &'a Core,
    entries: Vec<Entry>,
    known: HashMap<JobId, usize>,
    todo: VecDeque<Task>,
    running: FuturesUnordered<BoxFuture<'a, Step>>,
    groups: Groups,
    parked: BTreeMap<JobId, Vec<Parked>>,
    pub(crate) plain: Vec<Plain>,
    pub(crate) unsent: BTreeMap<JobId, Unsent>,
    /// What is left for later untouched, with its entry.
    pub(crate) put_off: Vec<(Order, usize)>,
    /// Rows left for later that may still be taken; None before the first.
    room: Option<usize>,
    strain: u32,
    /// When what has no row yet is left for another delivery; None is never.
    until_ms: Option<i64>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(core: &'a Core) -> Self {
        let groups = Groups::new(core.arrays(), core.settings.pack);
        let until = |ms| core.ports.clock.now_ms().saturating_add_unsigned(ms);
        Self {
            until_ms: Some(core.settings.work_ms).filter(|ms| *ms < u64::MAX).map(until),
            core,
            entries: Vec::new(),
            known: HashMap::new(),
            todo: VecDeque::new(),
            running: FuturesUnordered::new(),
            groups,
            parked: BTreeMap::new(),
            plain: Vec::new(),
            unsent: BTreeMap::new(),
            put_off: Vec::new(),
            room: None,
            strain: 0,
        }
    }

    /// Takes an upload; gives the number of its entry. One that is there already is dealt with once.
    pub(crate) fn arrived(&mut self, arrival: Arrival, deliveries: u32) -> usize {
        if let Some(entry) = self.known.get(&arrival.id) {
            return *entry;
        }
        let again = deliveries > 1;
        self.enter(arrival.id.clone(), None, false, |_| Source::Upload { arrival: Box::new(arrival), again })
    }

    /// Takes a row that is to be there.
    pub(crate) fn row(&mut self, row: JobRow) -> usize {
        if let Some(entry) = self.known.get(&row.id) {
            return *entry;
        }
        self.enter(row.id.clone(), None, false, |_| Source::Row(Box::new(row)))
    }

    /// Takes what was left to be submitted.
    pub(crate) fn ordered(&mut self, order: Order, deliveries: u32) -> Vec<usize> {
        let mine = order.unsent && deliveries <= 1;
        match order.what {
            Left::Batch(batch) => {
                let entry = self.add(batch.clone(), Some(order.again), false);
                let unsent = self.unsent.entry(batch).or_default();
                unsent.orders.push((entry, order.again));
                unsent.unsent |= mine;
                vec![entry]
            }
            Left::Rows(mut ids) => {
                // Rows that will find no room need not be read to be put off again.
                let core = self.core;
                let room = self.room.get_or_insert_with(|| core.pacer.room(core.patience_ms()));
                let rest = ids.split_off((*room).min(ids.len()));
                *room -= ids.len();
                let mut entries: Vec<usize> = ids
                    .into_iter()
                    .map(|id| match self.known.get(&id) {
                        Some(entry) => *entry,
                        None => self.enter(id, Some(order.again), mine, Source::Named),
                    })
                    .collect();
                if let Some(first) = rest.first() {
                    let entry = self.add(first.clone(), Some(order.again), mine);
                    entries.push(entry);
                    let order = Order { what: Left::Rows(rest), again: order.again, unsent: mine };
                    self.put_off.push((order, entry));
                }
                entries
            }
        }
    }

    fn enter(
        &mut self,
        id: JobId,
        asked: Option<u32>,
        mine: bool,
        source: impl FnOnce(JobId) -> Source,
    ) -> usize {
        let entry = self.add(id.clone(), asked, mine);
        self.known.insert(id.clone(), entry);
        self.todo.push_back(Task::Read(entry, source(id)));
        entry
    }

    fn add(&mut self, id: JobId, asked: Option<u32>, mine: bool) -> usize {
        self.entries.push(Entry { id, asked, mine, end: None });
        self.entries.len() - 1
    }

    pub(crate) fn id(&self, entry: usize) -> &JobId {
        &self.entries[entry].id
    }

    /// How often it was refused, where a message of ours asks for it.
    pub(crate) fn asked(&self, entry: usize) -> Option<u32> {
        self.entries[entry].asked
    }

    pub(crate) fn end(&mut self, entry: usize, end: End) {
        self.entries[entry].end = Some(end);
    }

    /// What became of everything, by the numbers given.
    pub(crate) fn ends(self) -> Vec<(JobId, End)> {
        let end = |entry: Entry| match entry.end {
            Some(end) => (entry.id, end),
            None => {
                warn!(job = %entry.id, "left for another delivery: it took too long");
                let late = CloudError::new("write down", entry.id.as_str(), Kind::Offline);
                (entry.id, End::Failed(late.because("it took too long")))
            }
        };
        self.entries.into_iter().map(end).collect()
    }

    /// Reads and writes until everything has a row, taking more messages meanwhile; `each` is told of them.
    pub(crate) async fn write_down(
        &mut self,
        mut drain: Drain,
        mut each: impl FnMut(&mut Self, Vec<Message>),
    ) {
        let core = self.core;
        let most = core.settings.concurrency.max(1);
        let mut draining = false;
        let mut over = self.time();
        loop {
            if !draining
                && self.strain == 0
                && let Some(round) = drain.next(core.ports.clock.now_ms())
            {
                draining = true;
                let receive = drain::receive(&core.ports, round, core.settings.hide_ms);
                self.running.push(receive.map(|(messages, more)| Step::Received(messages, more)).boxed());
            }
            while self.running.len() < most + usize::from(draining) {
                let Some(task) = self.todo.pop_front() else { break };
                self.start(task);
            }
            let step = match future::select(self.running.next(), &mut over).await {
                Either::Left((step, _)) => step,
                Either::Right(((), _)) => return self.cut_short(),
            };
            match step {
                Some(Step::Received(messages, more)) => {
                    draining = false;
                    drain.took(messages.len(), more);
                    each(self, messages);
                }
                Some(step) => self.step(step),
                None => {
                    let lonely = self.groups.lonely();
                    if lonely.is_empty() && self.todo.is_empty() {
                        return;
                    }
                    self.todo.extend(lonely.into_iter().map(|(entry, row)| Task::Alone(entry, row)));
                }
            }
        }
    }

    /// Ends when the time for writing down is over.
    fn time(&self) -> BoxFuture<'a, ()> {
        let core = self.core;
        match self.until_ms {
            None => future::pending().boxed(),
            Some(until_ms) => {
                let left_ms = until_ms.saturating_sub(core.ports.clock.now_ms()).max(0).unsigned_abs();
                core.ports.clock.sleep_ms(left_ms)
            }
        }
    }

    /// Drops what is not written down yet. A row that was about to be may be there all the same, at a place that leads
    /// nowhere; then it is moved later.
    fn cut_short(&mut self) {
        self.running.clear();
        self.todo.clear();
        let lonely = self.groups.lonely().len();
        warn!(lonely, "the time is over: what has no row yet is left for another delivery");
    }

    fn start(&mut self, task: Task) {
        let (core, tries) = (self.core, if self.strain < STRAINED { pace::TRIES } else { 1 });
        self.running.push(match task {
            Task::Read(entry, source) => upload::read(core, entry, source, tries).boxed(),
            Task::Write(Placed { entry, row, seat }) => {
                upload::write(core, entry, Some(seat), row, tries).boxed()
            }
            Task::Alone(entry, row) => upload::write(core, entry, None, row, tries).boxed(),
            Task::Move { entry, seat, from, to } => {
                let id = self.entries[entry].id.clone();
                upload::move_row(core, entry, seat, id, from, to, tries).boxed()
            }
        });
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Received(..) => {}
            Step::Found(entry, row) => self.found(entry, row),
            Step::Fresh(entry, row) if row.outcome.is_some() => self.todo.push_front(Task::Alone(entry, row)),
            Step::Fresh(entry, row) => {
                let core = self.core;
                let ready = self.groups.offer(entry, row, |first| core.batch_id(first));
                ready.into_iter().for_each(|placed| self.todo.push_front(Task::Write(placed)));
            }
            Step::Ended(entry, end) => self.close(entry, end),
            Step::Written(entry, seat, row, put) => self.written(entry, seat, row, put),
            Step::Moved(entry, seat, applied) => self.moved(entry, seat, applied),
        }
    }

    fn close(&mut self, entry: usize, end: End) {
        if matches!(&end, End::Failed(error) if pace::passes(error.kind)) {
            self.strain += 1;
        }
        self.end(entry, end);
    }

    fn written(&mut self, entry: usize, seat: Option<Seat>, row: Box<JobRow>, put: Result<Put>) {
        match (put, seat) {
            (Ok(Put::Created), _) if row.outcome.is_some() => {
                if let Some(seat) = seat {
                    self.groups.vacate(seat, true);
                }
                self.end(entry, End::Rejected(row.reason.unwrap_or_default()));
            }
            (Ok(Put::Created), Some(seat)) => self.groups.landed(seat),
            (Ok(Put::Created), None) => self.plain.push(Plain { entry, row, find: None }),
            // The answer of the first try was lost.
            (Ok(Put::Exists(known)), Some(seat)) if known.batch.is_some() && known.batch == row.batch => {
                self.groups.landed(seat);
            }
            (Ok(Put::Exists(known)), seat) => {
                if let Some(seat) = seat {
                    self.groups.vacate(seat, true);
                }
                self.found(entry, known);
            }
            (Err(error), seat) => {
                // It may have been written all the same, and names a place that leads nowhere; then it is moved later.
                if let Some(seat) = seat {
                    self.groups.vacate(seat, false);
                }
                self.close(entry, End::Failed(error));
            }
        }
    }

    /// Goes on with a row that is there.
    fn found(&mut self, entry: usize, row: Box<JobRow>) {
        if row.outcome.is_some() || row.compute_id.is_some() || row.claim.is_some() {
            let end = match row.outcome {
                Some(Outcome::Rejected) => End::Known { compute_id: None, reason: row.reason },
                _ => End::Known { compute_id: row.compute_id, reason: row.reason },
            };
            return self.end(entry, end);
        }
        let touched_ms = submit::touched_ms(&row);
        if let Some(BatchRef { id, index }) = row.batch.clone() {
            let parked = Parked { entry, index, touched_ms, shape: row.shape() };
            self.parked.entry(id).or_default().push(parked);
            return;
        }
        let mine = self.entries[entry].mine;
        match self.core.left_ms(touched_ms) {
            left if left > 0 && !mine => self.end(entry, End::Busy(left)),
            _ => self.plain.push(Plain { entry, row, find: Some(!mine) }),
        }
    }

    /// Finds out what became of the batches that rows were left in, and moves those rows that are free.
    pub(crate) async fn look_after(&mut self) {
        let core = self.core;
        let most = core.settings.concurrency.max(1);
        let parked = std::mem::take(&mut self.parked);
        let mut looks = futures_util::stream::iter(parked)
            .map(|(batch, rows)| async move {
                let oldest = rows.iter().map(|row| row.touched_ms).min().unwrap_or(0);
                let looked = look(&core.ports, &batch, core.left_ms(oldest)).await;
                (batch, rows, looked)
            })
            .buffer_unordered(most);
        while let Some((batch, rows, looked)) = looks.next().await {
            self.looked(&batch, rows, &looked);
        }
        drop(looks);
        self.write_down(Drain::none(), |_, _| {}).await;
        // Whoever moved them first is at it.
        for row in std::mem::take(&mut self.parked).into_values().flatten() {
            self.end(row.entry, End::Busy(core.settings.lease_ms));
        }
    }

    fn looked(&mut self, batch: &JobId, rows: Vec<Parked>, looked: &Result<Looked>) {
        if let Err(error) = looked {
            warn!(%batch, rows = rows.len(), "rows left for another delivery: {error}");
        }
        for row in rows {
            match looked {
                Err(error) => self.end(row.entry, End::Failed(copy(error))),
                Ok(Looked::Busy(left)) => self.end(row.entry, End::Busy(*left)),
                Ok(Looked::Made { header, records, submitted })
                    if records.holds(self.id(row.entry), row.index) =>
                {
                    let left = self.core.left_ms(row.touched_ms);
                    match submitted {
                        Some(job) => {
                            let taken = job != batch::REFUSED;
                            let compute_id = taken.then(|| batch::child_id(job, header, row.index));
                            self.end(row.entry, End::Known { compute_id, reason: None });
                        }
                        None if left > 0 => self.end(row.entry, End::Busy(left)),
                        None => {
                            let unsent = self.unsent.entry(batch.clone()).or_default();
                            unsent.rows.push((row.entry, row.index));
                            unsent.header.get_or_insert_with(|| header.clone());
                        }
                    }
                }
                Ok(Looked::Made { .. } | Looked::Free) => self.free(batch, row),
            }
        }
    }

    fn free(&mut self, batch: &JobId, row: Parked) {
        let (core, entry) = (self.core, row.entry);
        let id = &self.entries[entry].id;
        let (seat, to) = self.groups.seat(entry, row.shape, id, |first| core.batch_id(first)).unzip();
        self.todo.push_back(Task::Move { entry, seat, from: batch.clone(), to });
    }

    fn moved(&mut self, entry: usize, seat: Option<Seat>, applied: Result<Applied>) {
        match (applied, seat) {
            (Ok(Applied::Changed(_)), Some(seat)) => self.groups.landed(seat),
            // It leaves the batches: then its age is no lease of another's, and its name says whether it was submitted.
            (Ok(Applied::Changed(row)), None) => {
                self.plain.push(Plain { entry, row, find: Some(true) });
            }
            (Ok(Applied::Refused(_, row)), seat) => {
                if let Some(seat) = seat {
                    self.groups.vacate(seat, true);
                }
                self.found(entry, row);
            }
            (outcome, seat) => {
                if let Some(seat) = seat {
                    self.groups.vacate(seat, false);
                }
                let gone = || CloudError::new("move", "the row", Kind::NotFound).because("it is gone");
                self.close(entry, End::Failed(outcome.err().unwrap_or_else(gone)));
            }
        }
    }

    /// The batches whose rows are written.
    pub(crate) fn full(&mut self) -> Vec<Full> {
        self.groups.full()
    }
}

/// What became of a batch that rows were left in.
enum Looked {
    Made {
        header: Header,
        records: Records,
        submitted: Option<String>,
    },
    /// It will never be made.
    Free,
    /// Its owner may be at it still, for so many milliseconds.
    Busy(i64),
}

/// Looks, and ends a batch whose owner had its time: `left_ms` is what remains of that.
async fn look(ports: &Ports, batch: &JobId, left_ms: i64) -> Result<Looked> {
    for _ in 0..2 {
        match batch::rows(ports, batch).await? {
            Rows::Made(header, records) => {
                let submitted = batch::submitted(ports, batch).await?;
                return Ok(Looked::Made { header, records, submitted });
            }
            Rows::GivenUp => return Ok(Looked::Free),
            Rows::Unmade if left_ms > 0 => return Ok(Looked::Busy(left_ms)),
            Rows::Unmade if batch::give_up(ports, batch).await? => return Ok(Looked::Free),
            Rows::Unmade => {}
        }
    }
    Err(CloudError::new("give up the batch", batch.as_str(), Kind::Conflict))
}

/// The same error once more, without its cause.
pub(crate) fn copy(error: &CloudError) -> CloudError {
    CloudError::new(error.operation, error.target.clone(), error.kind)
}
