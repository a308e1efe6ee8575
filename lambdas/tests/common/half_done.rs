//! Worlds in which something was left half done, for the tests of the reconciliation.

use shepard_cloud::ports::Put;
use shepard_lambdas::{Fate, ReconcileSettings, Reconciled, Window, batch_request, fate, reconcile};
use shepard_model::inputs::Inputs;
use shepard_model::manifest::{self, BatchRef, Header};
use shepard_model::names::{manifest_key, submitted_key};
use shepard_model::{Fence, JobId, JobRow, ObjectRef, Outcome, Refused, Shape, State, Transition};

use crate::archive::Archive;
use crate::memory::Memory;

/// Now: 2026-11-21 06:15:02 UTC.
pub const NOW: i64 = 1_795_241_702_000;
pub const MINUTE: i64 = 60_000;
pub const DAY: i64 = 1_440 * MINUTE;
pub const SETTINGS: ReconcileSettings = ReconcileSettings {
    grace_ms: MINUTE,
    forgotten_ms: 60 * MINUTE,
    batch_grace_ms: 10 * MINUTE,
    batch_window_ms: 2 * DAY,
    lost_uploads: None,
    page: 3,
    budget_ms: None,
    submits_per_s: 0,
};

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub fn world() -> Memory {
    let memory = Memory::default();
    memory.world().now_ms = NOW;
    memory
}

/// Whoever reconciles does it in a task of its own.
fn sent<T: Send>(future: T) -> T {
    future
}

pub fn once(memory: &Memory) -> Reconciled {
    let done = run(sent(reconcile(&memory.ports(), SETTINGS))).unwrap();
    assert!(done.failed.is_empty() && done.troubles.is_empty(), "{done:?}");
    done
}

/// It has nothing left to do.
pub fn check_quiet(memory: &Memory, what: &str) {
    let before = format!("{:?}", memory.world());
    let done = once(memory);
    assert_eq!(before, format!("{:?}", memory.world()), "{what}: a repeated run changes nothing");
    assert!(
        done.submitted.is_empty() && done.ended.is_empty() && done.batches.is_empty(),
        "{what}: {done:?}"
    );
}

pub fn row(memory: &Memory, name: &str, age_ms: i64) -> JobRow {
    let object = ObjectRef::new("inputs", format!("{name}.zip")).at("v1");
    let id = JobId::of_object(&object);
    let row = JobRow::arrived(id, Some(object), Inputs::default(), memory.world().now_ms - age_ms, 1);
    put(memory, &row);
    row
}

pub fn put(memory: &Memory, row: &JobRow) {
    assert_eq!(run(memory.ports().table.put_new(row)).unwrap(), Put::Created);
}

/// A batch that was begun a while ago, its rows written; nothing else.
pub struct Batch {
    pub id: JobId,
    pub header: Header,
    pub ids: Vec<JobId>,
}

impl Batch {
    pub fn begun(memory: &Memory, records: u32, pack: u32, age_ms: i64) -> Self {
        let begun_ms = memory.world().now_ms - age_ms;
        let count = memory.world().rows.len();
        let id = manifest::batch_id(begun_ms, count as u64).unwrap();
        let ids = (0..records).map(|index| {
            let object = ObjectRef::new("inputs", format!("{count}-{index}.zip")).at("v1");
            let (id, batch) = (JobId::of_object(&object), BatchRef { id: id.clone(), index });
            let mut row = JobRow::arrived(id.clone(), Some(object), Inputs::default(), begun_ms, 1);
            row.batch = Some(batch);
            put(memory, &row);
            id
        });
        Self { ids: ids.collect(), header: Header::new(records, pack, Shape::default()), id }
    }

    pub fn made(self, memory: &Memory) -> Self {
        let records: Vec<_> = self.ids.iter().cloned().map(Some).collect();
        self.write(memory, &manifest_key(&self.id), &manifest::encode(&self.header, &records));
        self
    }

    pub fn write(&self, memory: &Memory, key: &str, bytes: &[u8]) {
        assert!(run(memory.ports().objects.put_new(&ObjectRef::new("inputs", key), bytes)).unwrap());
    }

    pub fn submitted(self, memory: &Memory) -> (Self, String) {
        let job = run(memory.ports().compute.submit(&batch_request(&self.id, &self.header))).unwrap();
        self.write(memory, &submitted_key(&self.id), job.as_bytes());
        (self, job)
    }

    pub fn rows(&self, memory: &Memory) -> Vec<JobRow> {
        self.ids.iter().map(|id| memory.row(id).unwrap()).collect()
    }

    pub fn states(&self, memory: &Memory) -> Vec<State> {
        self.rows(memory).iter().map(JobRow::state).collect()
    }

    pub fn fate(&self, memory: &Memory) -> Fate {
        run(fate(&memory.ports(), &self.id)).unwrap()
    }
}

pub fn claim(
    memory: &Memory,
    row: &JobRow,
    job: &str,
    batch: Option<BatchRef>,
    lease_ms: i64,
) -> Result<(), Refused> {
    let at_ms = memory.world().now_ms;
    let change = Transition::Claimed {
        fence: Fence { run: row.run, attempt: 1, worker: job.to_owned() },
        log_stream: String::new(),
        compute_id: Some(job.to_owned()),
        batch,
        at_ms,
        lease_until_ms: at_ms + lease_ms,
    };
    match run(memory.ports().table.apply(&row.id, &change)).unwrap() {
        shepard_cloud::ports::Applied::Refused(why, _) => Err(why),
        _ => Ok(()),
    }
}

pub fn end(memory: &Memory, id: &JobId, outcome: Outcome) {
    let (reason, exit_code, at_ms) = (None, Some(0), memory.world().now_ms);
    let change = Transition::Finished { fence: None, outcome, reason, exit_code, results: Vec::new(), at_ms };
    run(memory.ports().table.apply(id, &change)).unwrap();
}

/// A row as a worker of the original leaves it.
pub fn by_an_old_worker(memory: &Memory, name: &str, said: &str, compute_id: Option<&str>) -> JobRow {
    let mut row = row(memory, name, DAY);
    row.compute_id = compute_id.map(str::to_owned);
    said.clone_into(&mut row.status);
    // As the table reads it: held by a worker without a name and without a lease.
    row.claim = Some(Fence { run: 1, attempt: 1, worker: String::new() });
    row.start_time_s = Some(NOW / 1000 - 700);
    if said.starts_with("<done>") {
        row.end_time_s = NOW / 1000 - 600;
    }
    *memory.world().rows.iter_mut().find(|known| known.id == row.id).unwrap() = row.clone();
    row
}

pub const WINDOW: Window = Window { older_than_ms: 15 * MINUTE, younger_than_ms: DAY, at_most: 4 };

pub fn upload(memory: &Memory, key: &str, age_ms: i64) -> JobId {
    memory.world().now_ms = NOW - age_ms;
    let meta = memory.put(key, Archive::inputs("{}").bytes());
    memory.world().now_ms = NOW;
    JobId::of_object(&meta.object)
}
