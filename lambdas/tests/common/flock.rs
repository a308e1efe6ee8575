//! A flock that runs: a mapping that invokes the scheduler as Lambda does, workers that claim rows as a container does,
//! and what must hold when all is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use shepard_cloud::ports::{Applied, Range};
use shepard_lambdas::{Invoked, Scheduler, SchedulerSettings, notification};
use shepard_model::manifest::{self, Found, HEADER};
use shepard_model::{BatchRef, Fence, JobId, ObjectRef, Outcome, State, Transition};

use super::archive::Archive;
use super::faults::{Plan, faulty};
use super::memory::Memory;

/// Uploads that can be jobs: two shapes with company, one on its own, one that packs.
pub const GOOD: [&str; 9] = [
    r#"{"x": 1.50}"#,
    r#"{"x": 2}"#,
    r#"{"x": 3, "SHEPARD_VCPUS": 2}"#,
    r#"{"x": 4}"#,
    r#"{"x": 5, "SHEPARD_VCPUS": 2}"#,
    r#"{"x": 6, "SHEPARD_MEMORY": 512}"#,
    r#"{"x": 7, "SHEPARD_PACK": 2}"#,
    r#"{"x": 8, "SHEPARD_PACK": 2}"#,
    r#"{"x": 9, "SHEPARD_PACK": 2}"#,
];

pub struct Flock {
    pub memory: Memory,
    pub good: Vec<JobId>,
    pub bad: Vec<JobId>,
}

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

impl Flock {
    /// A flock with these uploads, one that cannot be a job and one that is gone; every one is announced `times`.
    pub fn new(good: &[&str], times: usize) -> Self {
        let memory = Memory::default();
        memory.world().now_ms = 1_700_000_000_000;
        let upload =
            |n: usize, text: &str| memory.put(&format!("a b/ü{n}.zip"), Archive::inputs(text).bytes());
        let mut metas: Vec<_> = good.iter().enumerate().map(|(n, text)| upload(n, text)).collect();
        metas.push(upload(good.len(), r#"{"path": 1}"#));
        metas.push(upload(good.len() + 1, "{}"));
        let ids: Vec<_> = metas.iter().map(|meta| JobId::of_object(&meta.object)).collect();
        memory.world().objects.remove(&("inputs".into(), metas[good.len() + 1].object.key.clone()));
        for time in 0..times {
            let mut bodies: Vec<_> = metas.iter().map(notification).collect();
            if time % 2 == 1 {
                bodies.reverse();
            }
            run(memory.ports().queue.send(&bodies, 0)).unwrap();
        }
        let (good, bad) = ids.split_at(good.len());
        Self { memory, good: good.to_vec(), bad: bad.to_vec() }
    }

    /// A flock without uploads, of jobs with these ids that come by API.
    pub fn by_api(good: Vec<JobId>) -> Self {
        let memory = Memory::default();
        memory.world().now_ms = 1_700_000_000_000;
        Self { memory, good, bad: Vec::new() }
    }

    pub fn scheduler(&self, plan: &Arc<Plan>, instance: &str) -> Scheduler {
        let settings = SchedulerSettings {
            arrays: true,
            concurrency: 4,
            drain: 30,
            // Its own sleeps move the clock here, and a call takes no time at all.
            drain_ms: 60_000,
            instance: instance.into(),
            ..SchedulerSettings::default()
        };
        Scheduler::new(faulty(self.memory.ports(), plan), settings)
    }

    /// One invocation as Lambda makes it: what is not said to have failed is deleted. None where there was nothing.
    pub async fn invoke(&self, scheduler: &Scheduler, first: usize) -> Option<Invoked> {
        let queue = self.memory.ports().queue;
        let messages = queue.receive(first, 30_000).await.unwrap();
        if messages.is_empty() {
            return None;
        }
        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
        let invoked = scheduler.invoke(messages).await;
        let done: Vec<_> = receipts.into_iter().filter(|receipt| !invoked.failed.contains(receipt)).collect();
        queue.delete(&done).await.unwrap();
        Some(invoked)
    }

    /// Invokes until nothing is left, letting time pass.
    pub async fn drain(&self, plan: &Arc<Plan>, instance: &str) {
        let scheduler = self.scheduler(plan, instance);
        for _ in 0..60 {
            while self.invoke(&scheduler, 10).await.is_some() {}
            if self.memory.world().queue.is_empty() {
                return;
            }
            self.memory.world().now_ms += 100_000;
        }
        panic!("the queue does not empty: {:?}", self.memory.world().queue);
    }

    /// Runs every job there is, as the worker does; gives how often each row was run.
    pub async fn work(&self) -> BTreeMap<JobId, u32> {
        let ports = self.memory.ports();
        let mut runs = BTreeMap::new();
        let jobs = self.memory.world().jobs.clone();
        for job in jobs.iter().filter(|job| !job.terminated) {
            let var = |name: &str| {
                job.request
                    .environment
                    .iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.clone())
            };
            for child in 0..job.request.children {
                let rows = match var("SHEPARD_MANIFEST") {
                    None => vec![(JobId::parse(&var("UUID").unwrap()).unwrap(), None)],
                    Some(key) => {
                        let pack = var("SHEPARD_PACK").map_or(1, |pack| pack.parse().unwrap());
                        let (start, length) = manifest::span(child, pack);
                        let at = ObjectRef::new("inputs", key);
                        let part = ports.objects.get(&at, Range::From { start, length }).await.unwrap();
                        let batch = JobId::parse(&var("UUID").unwrap()).unwrap();
                        let place = |(record, index): (Option<JobId>, u32)| {
                            record.map(|row| (row, Some(BatchRef { id: batch.clone(), index })))
                        };
                        let records = manifest::decode_records(&part.bytes).unwrap();
                        records.into_iter().zip(child * pack..).filter_map(place).collect()
                    }
                };
                for (id, batch) in rows {
                    let now_ms = self.memory.world().now_ms;
                    let fence = Fence { run: 1, attempt: 1, worker: format!("{}:{child}", job.id) };
                    let claim = Transition::Claimed {
                        fence: fence.clone(),
                        log_stream: String::new(),
                        compute_id: Some(format!("{}:{child}", job.id)),
                        batch,
                        at_ms: now_ms,
                        lease_until_ms: now_ms + 1_000,
                    };
                    if !matches!(ports.table.apply(&id, &claim).await.unwrap(), Applied::Changed(_)) {
                        continue;
                    }
                    *runs.entry(id.clone()).or_default() += 1;
                    let finish = Transition::Finished {
                        fence: Some(fence),
                        outcome: Outcome::Succeeded,
                        reason: None,
                        exit_code: Some(0),
                        results: Vec::new(),
                        at_ms: now_ms,
                    };
                    assert!(matches!(ports.table.apply(&id, &finish).await.unwrap(), Applied::Changed(_)));
                }
            }
        }
        runs
    }

    /// What must hold once everything was delivered: one row an upload, every live record of a made batch a row that
    /// names its place, and one effective run of every row.
    #[track_caller]
    pub fn check(&self, plan: &Plan, context: &str) {
        assert_eq!(plan.submitted_without_row(), 0, "{context}: a job without its row");
        {
            let world = self.memory.world();
            assert_eq!(world.rows.len(), self.good.len() + self.bad.len(), "{context}: one row an upload");
            assert!(world.dead.is_empty(), "{context}: {:?}", world.dead);
            assert!(world.queue.is_empty(), "{context}: {:?}", world.queue);
            for ((_, key), bytes) in &world.objects {
                let Some(batch) = key.strip_prefix(".shepard/manifests/") else { continue };
                let batch = JobId::parse(batch).unwrap();
                if manifest::decode_header(bytes).unwrap() == Found::GivenUp {
                    let left =
                        world.rows.iter().filter(|row| row.batch.as_ref().is_some_and(|at| at.id == batch));
                    assert_eq!(left.count(), 0, "{context}: rows left in a batch that was given up");
                    continue;
                }
                for (record, index) in
                    manifest::decode_records(&bytes[HEADER..]).unwrap().into_iter().zip(0..)
                {
                    let Some(id) = record else { continue };
                    let place = world.rows.iter().find(|row| row.id == id).and_then(|row| row.batch.clone());
                    assert_eq!(place, Some(BatchRef { id: batch.clone(), index }), "{context}: {id}");
                }
            }
        }
        let runs = run(self.work());
        for id in &self.good {
            let row = self.memory.row(id).expect("a row");
            assert_eq!(runs.get(id), Some(&1), "{context}: runs of {row:?}");
            assert_eq!(row.state(), State::Succeeded, "{context}");
        }
        for id in &self.bad {
            let row = self.memory.row(id).expect("a row");
            assert_eq!(row.state(), State::Rejected, "{context}");
            assert!(row.reason.as_ref().is_some_and(|reason| reason.len() > 10), "{context}");
        }
        assert_eq!(runs.len(), self.good.len(), "{context}");
    }
}
