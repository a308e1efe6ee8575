//! One function and its invocations: events into calls of the scheduler's library, what came of them into answers.
//!
//! The clients are made once a container, and nothing is asked of AWS before there is an event. Every invocation ends
//! before Lambda would end it: what it has begun is dropped, which loses nothing, and its messages stay in the queue.

use std::sync::Arc;

use lambda_runtime::{Context, LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shepard_cloud::aws::{self, AwsFlock, AwsSettings, Jobs, Profile};
use shepard_cloud::ports::{Buckets, WallClock};
use shepard_cloud::{Clock, Ports};
use shepard_lambdas::reconcile::{Bookmark, Window, reconcile_from};
use shepard_lambdas::{EndpointError, ReconcileSettings, Scheduler, SchedulerSettings};
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::config::{Config, Function};
use crate::fault::Fault;
use crate::{endpoint, event};

/// What is left of an invocation's time for its answer, in milliseconds; less where there is little of it.
const MARGIN_MS: i64 = 1_000;
/// How long the messages that an invocation takes itself stay hidden, and with that the longest it may last, in
/// milliseconds. A burst of 2,000 takes some seconds; the rest is for a slow day.
const HIDE_MS: i64 = 120_000;

/// How long an invocation waits for what hangs, in milliseconds: with the wait for room it stays within the default lease.
const WORK_MS: u64 = 20_000;
/// An hour, in milliseconds: younger uploads may still be on their way, as S3's notifications and a message's delay go.
const HOUR_MS: i64 = 3_600_000;
/// Lost uploads announced in one run: ten seconds' work of a queue.
const ANNOUNCED: usize = 10_000;
/// Jobs that the reconciler submits in a second: the scheduler wants the rest of the account's 50.
const RECONCILED_PER_S: u32 = 5;

/// The function, ready for events.
pub(crate) struct Program {
    config: Config,
    settings: SchedulerSettings,
    clock: WallClock,
    /// Made at once where the environment names the queue, else with the first event, which does. With the queue's
    /// name; another queue makes another.
    scheduler: Mutex<Option<(String, Ports, Scheduler)>>,
    /// Where the reconciler stopped for want of time.
    stopped: Mutex<Bookmark>,
}

impl Program {
    /// Makes the clients, as far as the environment says enough.
    pub(crate) async fn new(config: Config) -> Self {
        let clock = WallClock;
        let settings = SchedulerSettings {
            keep_days: config.keep_days,
            concurrency: config.concurrency,
            hide_ms: HIDE_MS,
            lease_ms: i64::from(config.lease_s) * 1_000,
            arrays: config.arrays,
            pack: config.pack,
            drain_ms: config.drain_ms,
            work_ms: WORK_MS,
            submits_per_s: config.submits_per_second,
            // Two containers have two log streams, and one after another two times.
            instance: format!("{}/{}", config.log_stream, clock.now_ms()),
            ..SchedulerSettings::default()
        };
        let program =
            Self { config, settings, clock, scheduler: Mutex::new(None), stopped: Mutex::default() };
        let named = program.config.queue_url.clone();
        if named.is_some() || program.config.function != Function::Scheduler {
            program.scheduler_of(&named.unwrap_or_default()).await;
        }
        program
    }

    /// Takes events until Lambda ends the process.
    ///
    /// # Errors
    /// Lambda's Runtime API cannot be reached, or answers something else than an event.
    pub(crate) async fn serve(self) -> Result<(), lambda_runtime::Error> {
        let program = Arc::new(self);
        let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
            let program = Arc::clone(&program);
            // Boxed, because the runtime moves a handler's future about.
            Box::pin(async move {
                let (payload, context) = event.into_parts();
                program.invoked(&payload, &context).await
            })
        });
        Runtime::new(handler).run().await
    }

    async fn invoked(&self, payload: &RawValue, context: &Context) -> Result<Value, Fault> {
        let deadline_ms = i64::try_from(context.deadline).unwrap_or(i64::MAX);
        let left_ms = deadline_ms.saturating_sub(self.clock.now_ms());
        let time_ms = left_ms - margin_ms(left_ms);
        let taken_ms = time_ms.min(HIDE_MS - MARGIN_MS);
        match self.config.function {
            Function::Scheduler => Box::pin(self.schedule(payload, taken_ms)).await,
            Function::Endpoint => {
                let work = Box::pin(self.accept(payload, context));
                in_time(&self.clock, time_ms, work).await?
            }
            // It stops by itself before that, at a place it can go on from.
            Function::Reconciler => {
                let work = Box::pin(self.reconcile(time_ms - margin_ms(time_ms)));
                in_time(&self.clock, time_ms, work).await?
            }
        }
    }

    async fn schedule(&self, payload: &RawValue, time_ms: i64) -> Result<Value, Fault> {
        let delivered = event::read(payload)?;
        if delivered.messages.is_empty() {
            return Ok(self.answer(&[]));
        }
        let named = self.config.queue_url.as_ref().unwrap_or(&delivered.queue_arn);
        let (_, scheduler) = self.scheduler_of(named).await;
        let receipts: Vec<String> =
            delivered.messages.iter().map(|message| message.receipt.clone()).collect();
        let (left, why) = match in_time(&self.clock, time_ms, scheduler.invoke(delivered.messages)).await {
            Ok(invoked) => {
                let did = &invoked.pumped;
                info!(
                    received = did.received,
                    submitted = did.submitted,
                    batches = did.batches,
                    rejected = did.rejected,
                    known = did.known,
                    poison = did.poison,
                    deferred = did.deferred,
                    left = did.retried,
                    "invocation done"
                );
                if let Some(error) = &did.error {
                    // What was made up for is said nowhere else, such as a refusal that a message puts off.
                    warn!("not everything went well, first: {error}");
                }
                (invoked.failed, did.error.as_ref().map(ToString::to_string))
            }
            Err(late) => {
                warn!(messages = receipts.len(), "given back to the queue: {}", late.message);
                (receipts.clone(), Some(late.message))
            }
        };
        let ids = receipts.iter().zip(&delivered.ids);
        let left: Vec<&str> =
            ids.filter(|(receipt, _)| left.contains(receipt)).map(|(_, id)| id.as_str()).collect();
        if left.is_empty() || self.config.partial_failures {
            return Ok(self.answer(&left));
        }
        // The mapping does not read the answer: anything but an error would delete what is left.
        let why = why.unwrap_or_else(|| "another delivery is at work on them".to_owned());
        let words =
            format!("{} of {} messages are left for another delivery: {why}", left.len(), receipts.len());
        Err(Fault::new("Again", words))
    }

    /// The old fields are there for whoever invokes the function by hand; the mapping reads the failures.
    fn answer(&self, left: &[&str]) -> Value {
        let left: Vec<Value> = left.iter().map(|id| json!({ "itemIdentifier": id })).collect();
        let body = endpoint::succeeded(&self.config.project);
        json!({ "batchItemFailures": left, "statusCode": 200, "body": body })
    }

    async fn accept(&self, payload: &RawValue, context: &Context) -> Result<Value, Fault> {
        let request = match endpoint::read(payload) {
            Ok(request) => request,
            Err(problems) => {
                warn!(request = %context.request_id, problems = problems.len(), "request refused");
                return Ok(endpoint::refused(&problems));
            }
        };
        let (_, scheduler) = self.scheduler_of(&self.config.queue_url.clone().unwrap_or_default()).await;
        // Lambda repeats an asynchronous call under the id it had.
        let key = request.key.as_deref().unwrap_or(&context.request_id);
        match shepard_lambdas::accept(&scheduler, &request.json, key).await {
            Ok(answers) => {
                info!(request = %context.request_id, jobs = answers.len(), "request taken");
                Ok(endpoint::taken(&self.config.project, &answers, request.many))
            }
            Err(EndpointError::Cloud(error)) => Err(error.into()),
            Err(other) => {
                Ok(endpoint::refused(&[endpoint::Problem { index: None, reason: other.to_string() }]))
            }
        }
    }

    async fn reconcile(&self, time_ms: i64) -> Result<Value, Fault> {
        let (ports, _) = self.scheduler_of(&self.config.queue_url.clone().unwrap_or_default()).await;
        let lost_uploads = (self.config.lost_uploads_h > 0).then(|| Window {
            older_than_ms: HOUR_MS,
            younger_than_ms: i64::from(self.config.lost_uploads_h) * HOUR_MS,
            at_most: ANNOUNCED,
        });
        let settings = ReconcileSettings {
            grace_ms: self.settings.lease_ms,
            batch_grace_ms: i64::from(self.config.batch_grace_s) * 1_000,
            lost_uploads,
            budget_ms: Some(time_ms),
            submits_per_s: RECONCILED_PER_S,
            ..ReconcileSettings::default()
        };
        // A container that lives on goes on where it stopped; a new one begins at the beginning.
        let mut from = self.stopped.lock().await;
        let done = reconcile_from(&ports, settings, std::mem::take(&mut *from)).await?;
        for (job, error) in &done.failed {
            warn!(%job, "could not be helped this time: {error}");
        }
        for error in &done.troubles {
            warn!("a pass did not come to its end: {error}");
        }
        let whole = done.stopped.is_none();
        *from = done.stopped.unwrap_or_default();
        let (submitted, ended, failed) = (done.submitted.len(), done.ended.len(), done.failed.len());
        let (batches, announced) = (done.batches.len(), done.announced.len());
        info!(
            rows = done.rows,
            open = done.open,
            submitted,
            batches,
            ended,
            announced,
            failed,
            whole,
            "reconciled"
        );
        Ok(json!({
            "rows": done.rows,
            "open": done.open,
            "submitted": submitted,
            "batches": batches,
            "ended": ended,
            "announced": announced,
            "unversioned": done.unversioned,
            "failed": failed,
            "troubles": done.troubles.len(),
            "no_room": done.no_room,
            "whole": whole,
        }))
    }

    /// The scheduler of a queue, by its URL or ARN; empty where there is none.
    async fn scheduler_of(&self, queue: &str) -> (Ports, Scheduler) {
        let mut kept = self.scheduler.lock().await;
        if let Some((known, ports, scheduler)) = &*kept
            && known == queue
        {
            return (ports.clone(), scheduler.clone());
        }
        let ports = self.flock(queue).await.ports();
        let scheduler = Scheduler::new(ports.clone(), self.settings.clone());
        *kept = Some((queue.to_owned(), ports.clone(), scheduler.clone()));
        (ports, scheduler)
    }

    async fn flock(&self, queue: &str) -> AwsFlock {
        let config = &self.config;
        // The other buckets are the worker's.
        let inputs = config.inputs.clone().unwrap_or_default();
        let none = String::new;
        aws::connect(AwsSettings {
            buckets: Buckets { inputs, outputs: none(), quick_deploy: none(), errors: none() },
            table: config.table.clone(),
            queue: Some(queue.to_owned()).filter(|queue| !queue.is_empty()),
            dead_letters: None,
            jobs: Some(Jobs { queue: config.job_queue.clone(), definition: config.job_definition.clone() }),
            secrets: None,
            keep_days: config.keep_days,
            profile: Profile::default(),
        })
        .await
    }
}

/// How much of the time that is left belongs to the answer.
fn margin_ms(left_ms: i64) -> i64 {
    MARGIN_MS.min(left_ms / 4)
}

/// Does the work, or drops it when its time is up.
async fn in_time<T>(clock: &WallClock, time_ms: i64, work: impl Future<Output = T>) -> Result<T, Fault> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = clock.sleep_ms(u64::try_from(time_ms).unwrap_or(0)) => {
            let words = "the time of the invocation was up; what it began is finished by the next one";
            Err(Fault::new("Timeout", words))
        }
    }
}
