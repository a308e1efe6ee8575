//! The end of an invocation's work: batches are made, jobs submitted, and what found no room is left a message.
//!
//! All batches are made before the first job is submitted, so that waiting for room keeps no row in doubt. What is durable
//! and could not be submitted in time costs one message a batch, and one for many rows of their own; never one an upload.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use shepard_cloud::CloudError;
use shepard_model::JobId;
use shepard_model::manifest::Header;
use tracing::{info, warn};

use crate::batch::{self, Finished, Paced};
use crate::event::{self, Left, Order};
use crate::group::Full;
use crate::pace;
use crate::submit::{self, Submission};
use crate::work::{End, Plain, Unsent, Work, copy};

/// Rows that one message names: 7 KB of ids.
const NAMED: usize = 200;
/// Messages sent with one delay: what SQS takes in one call.
const SENT: usize = 10;

/// What handing over came to.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    /// Batches submitted.
    pub(crate) batches: usize,
    /// Messages that say what is left to be submitted.
    pub(crate) deferred: usize,
    /// The first thing that failed and was made up for by a message.
    pub(crate) error: Option<CloudError>,
    later: Vec<(Order, Vec<usize>)>,
}

/// Something to submit, and what came of it.
enum Job<M, P> {
    Batch(JobId, Unsent, M),
    Plain(usize, P),
}

impl Work<'_> {
    /// Submits everything that is written down.
    pub(crate) async fn hand_over(&mut self) -> Handed {
        let mut handed = Handed::default();
        let made = self.make_all().await;
        let core = self.core;
        let until_ms = core.ports.clock.now_ms().saturating_add(core.patience_ms());
        let old = std::mem::take(&mut self.unsent);
        let jobs = made.into_iter().map(|(batch, header, rows, at_ms)| {
            let unsent = Unsent { rows, header: Some(header), orders: Vec::new(), unsent: true };
            Job::Batch(batch, unsent, Some(at_ms))
        });
        let jobs = jobs.chain(old.into_iter().map(|(batch, unsent)| Job::Batch(batch, unsent, None)));
        let plain = std::mem::take(&mut self.plain).into_iter();
        let jobs: Vec<Job<Option<i64>, Plain>> =
            jobs.chain(plain.map(|one| Job::Plain(one.entry, one))).collect();
        let mut done = stream::iter(jobs)
            .map(|job| async move {
                match job {
                    Job::Batch(batch, mut unsent, made_ms) => {
                        // After its lease others may have taken it for forgotten.
                        let mine = made_ms.is_some_and(|at_ms| core.left_ms(at_ms) > 0);
                        unsent.unsent = mine || made_ms.is_none() && unsent.unsent && unsent.rows.is_empty();
                        let (ports, pacer) = (&core.ports, &core.pacer);
                        let paced = match &unsent.header {
                            Some(header) if mine => {
                                batch::submit_made(ports, pacer, until_ms, &batch, header).await
                            }
                            _ => batch::finish_paced(ports, pacer, until_ms, &batch, !unsent.unsent).await,
                        };
                        Job::Batch(batch, unsent, paced)
                    }
                    Job::Plain(entry, Plain { row, find, .. }) => {
                        let (ports, pacer) = (&core.ports, &core.pacer);
                        let find = find.unwrap_or_else(|| core.left_ms(submit::touched_ms(&row)) <= 0);
                        let paced = submit::submit_paced(ports, pacer, until_ms, &row, find).await;
                        if let Err(error) = &paced {
                            let object = row.input.as_ref().map_or_else(String::new, ToString::to_string);
                            warn!(job = %row.id, object, "left for another delivery: {error}");
                        }
                        Job::Plain(entry, (!find, paced))
                    }
                }
            })
            .buffer_unordered(core.settings.concurrency.max(1));
        let mut rows = BTreeMap::new();
        while let Some(job) = done.next().await {
            match job {
                Job::Batch(batch, unsent, paced) => self.batch_done(&mut handed, batch, unsent, paced),
                Job::Plain(entry, (unsent, paced)) => {
                    self.plain_done(&mut handed, &mut rows, entry, unsent, paced);
                }
            }
        }
        drop(done);
        for ((again, unsent), entries) in rows {
            for entries in entries.chunks(NAMED) {
                let ids = entries.iter().map(|entry| self.id(*entry).clone()).collect();
                handed.later.push((Order { what: Left::Rows(ids), again, unsent }, entries.to_vec()));
            }
        }
        let untouched = std::mem::take(&mut self.put_off).into_iter();
        handed.later.extend(untouched.map(|(order, entry)| (order, vec![entry])));
        self.leave(&mut handed).await;
        handed
    }

    /// Makes the batches whose rows are written; gives those that were made, with the places of their rows, and when.
    async fn make_all(&mut self) -> Vec<(JobId, Header, Vec<(usize, u32)>, i64)> {
        let core = self.core;
        let full: Vec<_> = self.full().into_iter().map(|full| (self.records(&full), full)).collect();
        let mut making = stream::iter(full)
            .map(|(records, full)| async move {
                let made = batch::make(&core.ports, &full.id, &full.header, &records).await;
                (full, made)
            })
            .buffer_unordered(core.settings.concurrency.max(1));
        let mut batches = Vec::new();
        while let Some((Full { id, header, places }, made)) = making.next().await {
            let rows =
                places.into_iter().zip(0..).filter_map(|(entry, index)| entry.map(|entry| (entry, index)));
            match made {
                Ok(true) => batches.push((id, header, rows.collect(), core.ports.clock.now_ms())),
                Ok(false) => {
                    warn!(batch = %id, "the batch was given up by another: its rows are looked at again");
                    rows.for_each(|(entry, _)| self.end(entry, End::Busy(core.settings.lease_ms)));
                }
                Err(error) => {
                    warn!(batch = %id, "the batch is not made, its rows left for another delivery: {error}");
                    rows.for_each(|(entry, _)| self.end(entry, End::Failed(copy(&error))));
                }
            }
        }
        batches
    }

    fn records(&self, full: &Full) -> Vec<Option<JobId>> {
        full.places.iter().map(|place| place.map(|entry| self.id(entry).clone())).collect()
    }

    fn batch_done(
        &mut self,
        handed: &mut Handed,
        batch: JobId,
        unsent: Unsent,
        paced: shepard_cloud::Result<Paced>,
    ) {
        let Unsent { rows, header, orders, unsent } = unsent;
        let child = |job: &str, index| header.as_ref().map(|header| batch::child_id(job, header, index));
        match paced {
            Ok(Paced::Finished(Finished::Submitted(job))) => {
                info!(%batch, rows = rows.len(), "batch submitted");
                handed.batches += 1;
                rows.iter().for_each(|(entry, index)| self.end(*entry, End::Submitted(child(&job, *index))));
                orders.iter().for_each(|(entry, _)| self.end(*entry, End::Ignored));
            }
            Ok(Paced::Finished(Finished::Known(job))) => {
                let known = |compute_id| End::Known { compute_id, reason: None };
                rows.iter().for_each(|(entry, index)| self.end(*entry, known(child(&job, *index))));
                orders.iter().for_each(|(entry, _)| self.end(*entry, End::Ignored));
            }
            Ok(Paced::Finished(Finished::Refused(reason))) => {
                warn!(%batch, rows = rows.len(), "{reason}");
                rows.iter().for_each(|(entry, _)| self.end(*entry, End::Refused(reason.clone())));
                orders.iter().for_each(|(entry, _)| self.end(*entry, End::Ignored));
            }
            Ok(Paced::Finished(Finished::GivenUp | Finished::Unmade)) => {
                // Only a batch that was made is left a message, and nothing unmakes it.
                orders.iter().for_each(|(entry, _)| {
                    warn!(%batch, "the batch that was to be submitted is not there");
                    self.end(*entry, End::Ignored);
                });
                rows.iter().for_each(|(entry, _)| self.end(*entry, End::Busy(self.core.settings.lease_ms)));
            }
            Ok(Paced::NoRoom(said)) => {
                let refused = u32::from(said.is_some());
                let again = orders.iter().map(|(_, again)| again.saturating_add(refused)).max().unwrap_or(0);
                let order = Order { what: Left::Batch(batch), again, unsent };
                handed.put_off(said, order, entries(&rows, &orders));
            }
            Err(error) if orders.is_empty() => {
                warn!(%batch, rows = rows.len(), "the batch is left to be submitted: {error}");
                let order = Order { what: Left::Batch(batch), again: 0, unsent: false };
                handed.put_off(Some(error), order, entries(&rows, &orders));
            }
            Err(error) => {
                // The message is there already. It comes back, and if that goes on, it ends among the dead letters.
                warn!(%batch, "left for another delivery: {error}");
                rows.iter().for_each(|(entry, _)| self.end(*entry, End::Deferred));
                orders.iter().for_each(|(entry, _)| self.end(*entry, End::Failed(copy(&error))));
            }
        }
    }

    fn plain_done(
        &mut self,
        handed: &mut Handed,
        rows: &mut BTreeMap<(u32, bool), Vec<usize>>,
        entry: usize,
        unsent: bool,
        paced: shepard_cloud::Result<submit::Paced>,
    ) {
        match paced {
            Ok(submit::Paced::Done(Submission::Made(row) | Submission::Adopted(row))) => {
                self.end(entry, End::Submitted(row.compute_id));
            }
            Ok(submit::Paced::Done(Submission::Refused(row))) => {
                self.end(entry, End::Refused(row.reason.unwrap_or_default()));
            }
            Ok(submit::Paced::Done(Submission::NotNeeded(row))) => {
                self.end(entry, End::Known { compute_id: row.compute_id, reason: row.reason });
            }
            Ok(submit::Paced::NoRoom(said)) => {
                let refused = u32::from(said.is_some());
                let again = self.asked(entry).map_or(0, |again| again.saturating_add(refused));
                handed.error = handed.error.take().or(said);
                rows.entry((again, unsent)).or_default().push(entry);
            }
            Err(error) => self.end(entry, End::Failed(error)),
        }
    }

    /// Sends what is left to be submitted.
    async fn leave(&mut self, handed: &mut Handed) {
        let mut later = std::mem::take(&mut handed.later);
        later.sort_by_key(|(order, _)| order.again);
        for orders in later.chunks(SENT) {
            let bodies: Vec<String> = orders.iter().map(|(order, _)| event::note(order)).collect();
            let least_ms =
                orders.first().map_or(0, |(order, _)| pace::deferred_ms(order.name(), order.again));
            let jobs = orders.iter().map(|(order, _)| order.jobs()).sum();
            let ports = &self.core.ports;
            let after_ms = self.core.pacer.turn_ms(ports.clock.now_ms(), jobs).max(least_ms);
            let sent = pace::patiently(ports, "", pace::TRIES, || ports.queue.send(&bodies, after_ms)).await;
            match &sent {
                Ok(()) => {
                    info!(messages = bodies.len(), after_ms, "left to be submitted later");
                    handed.deferred += bodies.len();
                }
                Err(error) => warn!(messages = bodies.len(), "left for another delivery: {error}"),
            }
            for entry in orders.iter().flat_map(|(_, entries)| entries) {
                let end = sent.as_ref().map_or_else(|error| End::Failed(copy(error)), |()| End::Deferred);
                self.end(*entry, end);
            }
        }
    }
}

impl Handed {
    fn put_off(&mut self, said: Option<CloudError>, order: Order, entries: Vec<usize>) {
        self.error = self.error.take().or(said);
        self.later.push((order, entries));
    }
}

fn entries(rows: &[(usize, u32)], orders: &[(usize, u32)]) -> Vec<usize> {
    rows.iter().map(|(entry, _)| *entry).chain(orders.iter().map(|(entry, _)| *entry)).collect()
}
