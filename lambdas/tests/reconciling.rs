//! The reconciliation: batches, rows of batches, old workers' rows, lost uploads; crashes, and a living scheduler.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::panic, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/faults.rs"]
mod faults;
#[path = "common/memory.rs"]
mod memory;

use std::collections::BTreeMap;

use archive::Archive;
use faults::{Fault, Plan, faulty};
use memory::Memory;
use shepard_cloud::Kind;
use shepard_cloud::ports::{ComputeState, Put};
use shepard_lambdas::{
    Bookmark, Fate, ReconcileSettings, Reconciled, Scheduler, SchedulerSettings, Window, batch_request, fate,
    job_request, notification, reconcile, reconcile_from, submit_run,
};
use shepard_model::inputs::Inputs;
use shepard_model::manifest::{self, BatchRef, HEADER, Header, decode_records};
use shepard_model::names::{manifest_key, submitted_key};
use shepard_model::{Fence, JobId, JobRow, ObjectRef, Outcome, Refused, Shape, State, Transition, status};

/// Now: 2026-11-21 06:15:02 UTC.
const NOW: i64 = 1_795_241_702_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;
const SETTINGS: ReconcileSettings = ReconcileSettings {
    grace_ms: MINUTE,
    batch_grace_ms: 10 * MINUTE,
    batch_window_ms: 2 * DAY,
    lost_uploads: None,
    page: 3,
    budget_ms: None,
    submits_per_s: 0,
};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn world() -> Memory {
    let memory = Memory::default();
    memory.world().now_ms = NOW;
    memory
}

/// Whoever reconciles does it in a task of its own.
fn sent<T: Send>(future: T) -> T {
    future
}

fn once(memory: &Memory) -> Reconciled {
    let done = run(sent(reconcile(&memory.ports(), SETTINGS))).unwrap();
    assert!(done.failed.is_empty() && done.troubles.is_empty(), "{done:?}");
    done
}

/// It has nothing left to do.
fn check_quiet(memory: &Memory, what: &str) {
    let before = format!("{:?}", memory.world());
    let done = once(memory);
    assert_eq!(before, format!("{:?}", memory.world()), "{what}: a repeated run changes nothing");
    assert!(
        done.submitted.is_empty() && done.ended.is_empty() && done.batches.is_empty(),
        "{what}: {done:?}"
    );
}

fn row(memory: &Memory, name: &str, age_ms: i64) -> JobRow {
    let object = ObjectRef::new("inputs", format!("{name}.zip")).at("v1");
    let id = JobId::of_object(&object);
    let row = JobRow::arrived(id, Some(object), Inputs::default(), memory.world().now_ms - age_ms, 1);
    put(memory, &row);
    row
}

fn put(memory: &Memory, row: &JobRow) {
    assert_eq!(run(memory.ports().table.put_new(row)).unwrap(), Put::Created);
}

/// A batch that was begun a while ago, its rows written; nothing else.
struct Batch {
    id: JobId,
    header: Header,
    ids: Vec<JobId>,
}

impl Batch {
    fn begun(memory: &Memory, records: u32, pack: u32, age_ms: i64) -> Self {
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

    fn made(self, memory: &Memory) -> Self {
        let records: Vec<_> = self.ids.iter().cloned().map(Some).collect();
        self.write(memory, &manifest_key(&self.id), &manifest::encode(&self.header, &records));
        self
    }

    fn write(&self, memory: &Memory, key: &str, bytes: &[u8]) {
        assert!(run(memory.ports().objects.put_new(&ObjectRef::new("inputs", key), bytes)).unwrap());
    }

    fn submitted(self, memory: &Memory) -> (Self, String) {
        let job = run(memory.ports().compute.submit(&batch_request(&self.id, &self.header))).unwrap();
        self.write(memory, &submitted_key(&self.id), job.as_bytes());
        (self, job)
    }

    fn rows(&self, memory: &Memory) -> Vec<JobRow> {
        self.ids.iter().map(|id| memory.row(id).unwrap()).collect()
    }

    fn states(&self, memory: &Memory) -> Vec<State> {
        self.rows(memory).iter().map(JobRow::state).collect()
    }

    fn fate(&self, memory: &Memory) -> Fate {
        run(fate(&memory.ports(), &self.id)).unwrap()
    }
}

fn claim(
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

fn end(memory: &Memory, id: &JobId, outcome: Outcome) {
    let (reason, exit_code, at_ms) = (None, Some(0), memory.world().now_ms);
    let change = Transition::Finished { fence: None, outcome, reason, exit_code, results: Vec::new(), at_ms };
    run(memory.ports().table.apply(id, &change)).unwrap();
}

/// Lets every job there is start: how many workers got each row.
fn start_everything(memory: &Memory) -> BTreeMap<JobId, usize> {
    let mut got: BTreeMap<JobId, usize> = memory.world().rows.iter().map(|row| (row.id.clone(), 0)).collect();
    let jobs = memory.world().jobs.clone();
    for job in jobs.iter().filter(|job| !job.terminated) {
        let request = &job.request;
        let manifest = request.environment.iter().find(|(name, _)| name == "SHEPARD_MANIFEST");
        let rows: Vec<(JobId, Option<BatchRef>)> = match manifest {
            None => vec![(JobId::parse(&request.environment[0].1).unwrap(), None)],
            Some((_, key)) => {
                let bytes = memory.world().objects[&("inputs".to_owned(), key.clone())].clone();
                let batch = JobId::parse(&request.name).unwrap();
                let place = |index| Some(BatchRef { id: batch.clone(), index });
                let records = decode_records(&bytes[HEADER..]).unwrap();
                (0..).zip(records).filter_map(|(index, id)| Some((id?, place(index)))).collect()
            }
        };
        for (id, batch) in rows {
            let row = memory.row(&id).unwrap();
            if claim(memory, &row, &job.id, batch, MINUTE).is_ok() {
                *got.get_mut(&id).unwrap() += 1;
            }
        }
    }
    got
}

#[test]
fn a_batch_that_was_made_is_submitted_once() {
    let memory = world();
    let lost = Batch::begun(&memory, 3, 1, 11 * MINUTE).made(&memory);
    let young = Batch::begun(&memory, 3, 1, 9 * MINUTE).made(&memory);
    let yesterday = Batch::begun(&memory, 3, 2, DAY).made(&memory);
    let unsaid = Batch::begun(&memory, 2, 1, DAY + MINUTE).made(&memory);
    run(memory.ports().compute.submit(&batch_request(&unsaid.id, &unsaid.header))).unwrap();
    let (_known, _) = Batch::begun(&memory, 2, 1, DAY).made(&memory).submitted(&memory);
    let done = once(&memory);
    assert_eq!(done.batches, [unsaid.id.clone(), yesterday.id.clone(), lost.id.clone()]);
    assert!(done.submitted.is_empty() && done.ended.is_empty());
    assert_eq!(memory.world().jobs.len(), 4);
    for (batch, children) in [(&lost, 3), (&yesterday, 2), (&unsaid, 2)] {
        let Fate::Submitted(job) = batch.fate(&memory) else { panic!("{:?}", batch.fate(&memory)) };
        let world = memory.world();
        let job = world.jobs.iter().find(|one| one.id == job).unwrap();
        assert_eq!((job.request.name.as_str(), job.request.children), (batch.id.as_str(), children));
    }
    assert!(matches!(young.fate(&memory), Fate::Made(_)));
    check_quiet(&memory, "all but one");
    memory.world().now_ms += 2 * MINUTE;
    assert_eq!(once(&memory).batches, [young.id]);
}

#[test]
fn a_batch_that_the_compute_refuses_is_tried_once_and_its_rows_say_why() {
    let memory = world();
    let batch = Batch::begun(&memory, 2, 1, DAY).made(&memory);
    let plan = Plan::of([]);
    plan.always(Some(("submit", Kind::Invalid)));
    for _ in 0..2 {
        let done = run(reconcile(&faulty(memory.ports(), &plan), SETTINGS)).unwrap();
        assert!(done.batches.is_empty() && done.failed.is_empty());
        assert_eq!((plan.count("submit"), batch.fate(&memory)), (1, Fate::Refused));
    }
    assert_eq!(batch.states(&memory), [State::Failed; 2]);
    assert!(batch.rows(&memory)[0].reason.as_ref().unwrap().contains("cannot be submitted"));
    check_quiet(&memory, "refused");
}

#[test]
fn a_container_of_several_rows_has_time_for_all_of_them() {
    let request = |pack, timeout_s| {
        let shape = Shape { timeout_s, vcpus: Some(2), ..Shape::default() };
        batch_request(&JobId::parse("b").unwrap(), &Header::new(9, pack, shape)).shape
    };
    assert_eq!((request(3, Some(60)).timeout_s, request(3, Some(60)).vcpus), (Some(180), Some(2)));
    assert_eq!((request(1, Some(60)).timeout_s, request(3, None).timeout_s), (Some(60), None));
    assert_eq!(request(1_000, Some(2_000_000_000)).timeout_s, Some(i32::MAX as u32));
}

#[test]
fn with_nothing_to_do_it_lists_and_asks_nothing_of_a_batch() {
    let memory = world();
    for _ in 0..5 {
        let (batch, _) = Batch::begun(&memory, 2, 1, DAY).made(&memory).submitted(&memory);
        batch.ids.iter().for_each(|id| end(&memory, id, Outcome::Succeeded));
    }
    let given_up = Batch::begun(&memory, 1, 1, DAY);
    given_up.write(&memory, &manifest_key(&given_up.id), &manifest::tombstone());
    end(&memory, &given_up.ids[0], Outcome::Cancelled);
    let plan = Plan::of([]);
    let done = run(reconcile(&faulty(memory.ports(), &plan), SETTINGS)).unwrap();
    assert_eq!((done.rows, done.open), (11, 0));
    assert_eq!(
        plan.calls(),
        plan.count("list") + plan.count("scan"),
        "three days, two lists each, a few pages"
    );
    let never = ReconcileSettings { batch_window_ms: 0, ..SETTINGS };
    let plan = Plan::of([]);
    run(reconcile(&faulty(memory.ports(), &plan), never)).unwrap();
    assert_eq!(plan.count("list"), 0);
}

#[test]
fn a_batch_that_was_never_made_is_given_up_and_its_rows_are_run_one_by_one() {
    let memory = world();
    let young = Batch::begun(&memory, 2, 1, 9 * MINUTE);
    let old = Batch::begun(&memory, 4, 2, 11 * MINUTE);
    let gone = Batch::begun(&memory, 2, 1, 11 * MINUTE);
    gone.write(&memory, &manifest_key(&gone.id), &manifest::tombstone());
    let done = once(&memory);
    assert_eq!(done.submitted, [old.ids.clone(), gone.ids.clone()].concat());
    assert_eq!((young.fate(&memory), old.fate(&memory)), (Fate::Unmade, Fate::GivenUp));
    for row in old.rows(&memory).into_iter().chain(gone.rows(&memory)) {
        assert_eq!((row.state(), &row.batch), (State::Scheduled, &None));
        let world = memory.world();
        let job = world.jobs.iter().find(|job| Some(&job.id) == row.compute_id.as_ref()).unwrap();
        assert_eq!(job.request, job_request(&row));
    }
    assert_eq!(young.states(&memory), [State::Queued; 2]);
    // Whoever began it was only slow.
    let manifest = ObjectRef::new("inputs", manifest_key(&old.id));
    assert!(!run(memory.ports().objects.put_new(&manifest, b"late")).unwrap());
    check_quiet(&memory, "given up");
}

#[test]
fn rows_whose_container_ended_without_claiming_them() {
    let memory = world();
    // Containers of three rows: ended well; failed after its first row; failed before it; runs; is not there yet.
    let (batch, array) = Batch::begun(&memory, 15, 3, DAY).made(&memory).submitted(&memory);
    let child = |index: usize| format!("{array}:{}", index / 3);
    let place = |index: usize| memory.row(&batch.ids[index]).unwrap().batch;
    for index in [0, 1, 3] {
        let row = memory.row(&batch.ids[index]).unwrap();
        claim(&memory, &row, &child(index), place(index), MINUTE).unwrap();
        end(&memory, &batch.ids[index], Outcome::Succeeded);
    }
    {
        let mut world = memory.world();
        let job = world.jobs.iter_mut().find(|job| job.id == array).unwrap();
        job.reason = Some("no such image".to_owned());
        job.request.children = 4;
        let states =
            [ComputeState::Succeeded, ComputeState::Failed, ComputeState::Failed, ComputeState::Running];
        let children = (0..).zip(states).map(|(index, state)| (format!("{array}:{index}"), state));
        world.children.extend(children);
    }
    let done = once(&memory);
    assert_eq!(done.submitted, [2, 4, 5].map(|index: usize| batch.ids[index].clone()));
    assert_eq!(done.ended, [6, 7, 8].map(|index: usize| batch.ids[index].clone()));
    use State::{Failed, Queued, Scheduled, Succeeded};
    let expected = [
        [Succeeded, Succeeded, Scheduled],
        [Succeeded, Scheduled, Scheduled],
        [Failed; 3],
        [Queued; 3],
        [Queued; 3],
    ];
    assert_eq!(batch.states(&memory), expected.concat());
    let failed = memory.row(&batch.ids[7]).unwrap();
    assert_eq!(failed.reason.as_deref(), Some("the compute says that the job failed: no such image"));
    let alone = memory.row(&batch.ids[4]).unwrap();
    let stale = claim(&memory, &alone, &child(4), Some(BatchRef { id: batch.id.clone(), index: 4 }), MINUTE);
    assert_eq!((alone.batch, stale), (None, Err(Refused::OtherBatch)));
    check_quiet(&memory, "settled");
    // The array is forgotten, and its children with it.
    memory.world().jobs.retain(|job| job.id != array);
    let done = once(&memory);
    assert_eq!(done.ended, batch.ids[9..]);
    assert!(memory.row(&batch.ids[9]).unwrap().reason.unwrap().contains("does not know the job"));
}

#[test]
fn a_child_of_one_row_that_failed_fails_it_and_a_row_without_a_record_is_run() {
    let memory = world();
    let batch = Batch::begun(&memory, 3, 1, DAY);
    // The answer to its put was lost, so that the owner left a hole where it is.
    let records = [Some(batch.ids[0].clone()), None, Some(batch.ids[2].clone())];
    batch.write(&memory, &manifest_key(&batch.id), &manifest::encode(&batch.header, &records));
    let (batch, array) = batch.submitted(&memory);
    check_quiet(&memory, "it may yet run");
    for (index, state) in
        [ComputeState::Failed, ComputeState::Failed, ComputeState::Runnable].iter().enumerate()
    {
        memory.world().children.insert(format!("{array}:{index}"), *state);
    }
    let done = once(&memory);
    assert_eq!((done.ended, done.submitted), (vec![batch.ids[0].clone()], vec![batch.ids[1].clone()]));
    assert_eq!(batch.states(&memory), [State::Failed, State::Scheduled, State::Queued]);
    assert_eq!(memory.row(&batch.ids[1]).unwrap().batch, None);
    check_quiet(&memory, "settled");
}

#[test]
fn a_worker_of_a_batch_that_died_without_a_word_fails_its_row_and_a_living_one_keeps_it() {
    let memory = world();
    let (batch, array) = Batch::begun(&memory, 4, 2, DAY).made(&memory).submitted(&memory);
    for (index, row) in batch.rows(&memory).into_iter().enumerate().step_by(2) {
        let lease_ms = if index == 0 { -1 } else { 30 * MINUTE };
        claim(&memory, &row, &format!("{array}:{}", index / 2), row.batch.clone(), lease_ms).unwrap();
    }
    memory.world().jobs[0].state = ComputeState::Failed;
    memory.world().now_ms += 2 * MINUTE;
    let done = once(&memory);
    assert_eq!(
        (done.ended, done.submitted),
        (vec![batch.ids[0].clone()], vec![batch.ids[1].clone(), batch.ids[3].clone()])
    );
    assert_eq!(batch.states(&memory)[2], State::Running);
    check_quiet(&memory, "settled");
}

#[test]
fn a_batch_of_one_container_is_asked_for_by_its_own_id() {
    let memory = world();
    let (batch, array) = Batch::begun(&memory, 2, 2, DAY).made(&memory).submitted(&memory);
    claim(&memory, &batch.rows(&memory)[0], &array, batch.rows(&memory)[0].batch.clone(), MINUTE).unwrap();
    end(&memory, &batch.ids[0], Outcome::Failed);
    check_quiet(&memory, "it runs");
    memory.world().jobs[0].state = ComputeState::Failed;
    assert_eq!(once(&memory).submitted, batch.ids[1..]);
}

/// A row as a worker of the original leaves it.
fn by_an_old_worker(memory: &Memory, name: &str, said: &str, compute_id: Option<&str>) -> JobRow {
    let mut row = row(memory, name, DAY);
    row.compute_id = compute_id.map(str::to_owned);
    said.clone_into(&mut row.status);
    row.start_time_s = Some(NOW / 1000 - 700);
    if said.starts_with("<done>") {
        row.end_time_s = NOW / 1000 - 600;
    }
    *memory.world().rows.iter_mut().find(|known| known.id == row.id).unwrap() = row.clone();
    row
}

#[test]
fn what_an_old_worker_ended_the_compute_tells_how() {
    let memory = world();
    let done = status::done(NOW - 600_000);
    let mut rows = Vec::new();
    for (name, said, recorded) in [
        ("well", done.as_str(), true),
        ("badly", done.as_str(), true),
        ("unrecorded", done.as_str(), false),
        ("going", done.as_str(), true),
        ("forgotten", done.as_str(), true),
        ("never known", done.as_str(), false),
        ("runs", "calling_payload_code 2026/11/21-06:00:00 U.T.C.", false),
        ("died", "calling_payload_code 2026/11/21-06:00:00 U.T.C.", false),
        ("unsaid", "", true),
    ] {
        let fresh = by_an_old_worker(&memory, name, said, None);
        let compute_id = (name != "never known")
            .then(|| run(memory.ports().compute.submit(&job_request(&fresh))).unwrap());
        let at = memory.world().rows.iter().position(|row| row.id == fresh.id).unwrap();
        memory.world().rows[at].compute_id = compute_id.filter(|_| recorded);
        rows.push(fresh);
    }
    {
        use ComputeState::{Failed, Running, Succeeded};
        let mut world = memory.world();
        let name = |index: usize| rows[index].id.as_str();
        world.jobs.retain(|job| job.request.name != name(4));
        for (index, state) in [
            (0, Succeeded),
            (1, Failed),
            (2, Succeeded),
            (3, Running),
            (6, Running),
            (7, Failed),
            (8, Running),
        ] {
            let job = world.jobs.iter_mut().find(|job| job.request.name == name(index)).unwrap();
            (job.state, job.reason) = (state, Some("Essential container in task exited".to_owned()));
        }
    }
    let before = memory.world().rows.clone();
    let found = once(&memory);
    assert!(found.submitted.is_empty(), "nothing of an old worker's is submitted again");
    assert_eq!(found.ended, [0, 1, 2, 7].map(|index: usize| rows[index].id.clone()));
    let after = memory.world().rows.clone();
    use Outcome::{Failed, Succeeded};
    let outcomes: Vec<_> = after.iter().map(|row| row.outcome).collect();
    assert_eq!(
        outcomes,
        [Some(Succeeded), Some(Failed), Some(Succeeded), None, None, None, None, Some(Failed), None]
    );
    for index in 0..3 {
        assert_eq!(
            (&after[index].status, after[index].end_time_s),
            (&before[index].status, before[index].end_time_s)
        );
    }
    let reason = after[1].reason.as_deref().unwrap();
    assert!(reason.contains("only that it is done") && reason.contains("Essential container"), "{reason}");
    check_quiet(&memory, "settled");
}

const WINDOW: Window = Window { older_than_ms: 15 * MINUTE, younger_than_ms: DAY, at_most: 4 };

fn upload(memory: &Memory, key: &str, age_ms: i64) -> JobId {
    memory.world().now_ms = NOW - age_ms;
    let meta = memory.put(key, Archive::inputs("{}").bytes());
    memory.world().now_ms = NOW;
    JobId::of_object(&meta.object)
}

#[test]
fn uploads_without_rows_are_announced_where_that_is_asked_for() {
    let memory = world();
    let lost: Vec<_> = (0..9).map(|n| upload(&memory, &format!("a b/é{n}.zip"), 20 * MINUTE)).collect();
    for (key, age_ms) in [("young.zip", MINUTE), ("old.zip", DAY), (".shepard/x", 20 * MINUTE)] {
        upload(&memory, key, age_ms);
    }
    memory.world().now_ms = NOW - 20 * MINUTE;
    memory.put("folder/", Vec::new());
    memory.world().now_ms = NOW;
    let known = row(&memory, "0-known", 20 * MINUTE);
    end(&memory, &known.id, Outcome::Succeeded);
    assert_eq!(upload(&memory, "0-known.zip", 20 * MINUTE), known.id);
    once(&memory);
    assert!(memory.world().queue.is_empty(), "off unless asked for");

    let settings = ReconcileSettings { lost_uploads: Some(WINDOW), ..SETTINGS };
    let scheduler = Scheduler::new(memory.ports(), SchedulerSettings::default());
    let (mut announced, mut from, mut runs) = (Vec::new(), Bookmark::default(), 0);
    loop {
        let done = run(reconcile_from(&memory.ports(), settings, from)).unwrap();
        assert!(done.announced.len() <= 4 && done.troubles.is_empty());
        assert_eq!(memory.world().queue.len(), done.announced.len());
        announced.extend(done.announced);
        run(scheduler.pump_once(10)).unwrap();
        runs += 1;
        match done.stopped {
            Some(at) => from = at,
            None => break,
        }
    }
    assert_eq!((announced, runs), (lost.clone(), 3));
    for id in &lost {
        assert_eq!(memory.row(id).unwrap().state(), State::Scheduled, "the scheduler gave it the same id");
    }
    let again = run(reconcile(&memory.ports(), settings)).unwrap();
    assert!(again.announced.is_empty() && memory.world().queue.is_empty());
    assert_eq!(again.unversioned, 0);
}

#[test]
fn uploads_without_version_ids_cannot_be_looked_for() {
    let memory = world();
    for n in 0..9 {
        upload(&memory, &format!("{n}.zip"), 20 * MINUTE);
    }
    memory.world().unversioned = true;
    let plan = Plan::of([]);
    let settings = ReconcileSettings { lost_uploads: Some(WINDOW), ..SETTINGS };
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert!(done.announced.is_empty() && done.unversioned > 0 && memory.world().queue.is_empty());
    assert!(plan.count("head") < 9, "one page says it");
}

/// One of everything that may be left half done.
fn half_done() -> Memory {
    let memory = world();
    row(&memory, "plain", DAY);
    let unsaid = row(&memory, "unsaid", DAY);
    run(memory.ports().compute.submit(&job_request(&unsaid))).unwrap();
    Batch::begun(&memory, 2, 1, DAY).made(&memory);
    let said = Batch::begun(&memory, 2, 1, DAY).made(&memory);
    run(memory.ports().compute.submit(&batch_request(&said.id, &said.header))).unwrap();
    Batch::begun(&memory, 2, 1, DAY);
    let (batch, array) = Batch::begun(&memory, 4, 2, DAY).made(&memory).submitted(&memory);
    claim(&memory, &batch.rows(&memory)[0], &format!("{array}:0"), batch.rows(&memory)[0].batch.clone(), -1)
        .unwrap();
    memory.world().jobs.last_mut().unwrap().state = ComputeState::Failed;
    let old = by_an_old_worker(&memory, "old", &status::done(NOW - 600_000), None);
    let job = run(memory.ports().compute.submit(&job_request(&old))).unwrap();
    memory.world().jobs.iter_mut().find(|one| one.id == job).unwrap().state = ComputeState::Succeeded;
    upload(&memory, "lost.zip", 20 * MINUTE);
    memory.world().now_ms = NOW + 2 * MINUTE;
    memory
}

/// What must be the same whatever happened on the way: the rows' ends and batches, and the jobs by name.
fn gist(memory: &Memory) -> String {
    let world = memory.world();
    let rows: Vec<_> = world.rows.iter().map(|row| (&row.id, row.state(), &row.reason, &row.batch)).collect();
    let mut jobs: Vec<_> =
        world.jobs.iter().filter(|job| !job.terminated).map(|job| &job.request.name).collect();
    jobs.sort();
    format!("{rows:#?} {jobs:#?}")
}

#[test]
fn whatever_fails_at_any_call_the_next_run_finishes() {
    let settings = ReconcileSettings { lost_uploads: Some(WINDOW), ..SETTINGS };
    let expected = {
        let memory = half_done();
        let done = run(reconcile(&memory.ports(), settings)).unwrap();
        assert_eq!(
            (done.batches.len(), done.submitted.len(), done.ended.len(), done.announced.len()),
            (2, 5, 4, 1)
        );
        memory.world().queue.clear();
        check_quiet(&memory, "all at once");
        gist(&memory)
    };
    let faults = [
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::FailBefore(Kind::Throttled),
        Fault::FailAfter(Kind::Offline),
        Fault::FailBefore(Kind::Denied),
    ];
    for fault in faults {
        for call in 0.. {
            let memory = half_done();
            let plan = Plan::at(call, fault);
            let ports = faulty(memory.ports(), &plan);
            let _ = run(plan.survive(reconcile(&ports, settings)));
            let over = plan.calls() <= call;
            plan.calm();
            // What the first run began and did not finish looks freshly touched.
            memory.world().now_ms += 2 * MINUTE;
            let done = run(reconcile(&ports, settings)).unwrap();
            assert!(done.failed.is_empty() && done.troubles.is_empty(), "{fault:?} at {call}: {done:?}");
            assert!(!memory.world().queue.is_empty(), "{fault:?} at {call}");
            assert_eq!(plan.submitted_without_row(), 0, "{fault:?} at {call}");
            memory.world().queue.clear();
            assert_eq!(gist(&memory), expected, "{fault:?} at {call}");
            check_quiet(&memory, "finished");
            if over {
                assert!(call > 60, "too few calls to mean anything: {call}");
                break;
            }
        }
    }
}

#[test]
fn a_run_that_has_little_time_goes_on_where_it_stopped() {
    let memory = world();
    let count = 10;
    let rows: Vec<_> = (0..count).map(|n| row(&memory, &n.to_string(), DAY)).collect();
    for row in &rows {
        run(submit_run(&memory.ports(), row)).unwrap();
    }
    memory.world().jobs.iter_mut().for_each(|job| job.state = ComputeState::Failed);
    memory.world().now_ms += 2 * MINUTE;
    let settings = ReconcileSettings { budget_ms: Some(0), ..SETTINGS };
    let (mut from, mut seen, mut runs) = (Bookmark::default(), 0, 0);
    loop {
        let done = run(reconcile_from(&memory.ports(), settings, from)).unwrap();
        seen += done.rows;
        runs += 1;
        match done.stopped {
            Some(at) => from = at,
            None => break,
        }
    }
    assert_eq!((seen, runs), (count, 4));
    assert!(memory.world().rows.iter().all(|row| row.state() == State::Failed));
}

#[test]
fn a_compute_that_takes_no_jobs_is_not_pestered() {
    let memory = world();
    for n in 0..30 {
        row(&memory, &n.to_string(), DAY);
    }
    Batch::begun(&memory, 9, 1, DAY);
    Batch::begun(&memory, 9, 1, DAY).made(&memory);
    let plan = Plan::of([]);
    plan.always(Some(("submit", Kind::Throttled)));
    let settings = ReconcileSettings { submits_per_s: 10, ..SETTINGS };
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert!(done.no_room && done.submitted.is_empty() && done.batches.is_empty());
    assert!(plan.count("submit") <= 30, "{} calls", plan.count("submit"));
    plan.calm();
    memory.world().now_ms += 2 * MINUTE;
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert_eq!((done.batches.len(), done.submitted.len(), done.no_room), (1, 39, false));
    check_quiet(&memory, "taken");
}

#[test]
fn one_passes_trouble_is_not_the_others() {
    let memory = world();
    row(&memory, "lost", DAY);
    Batch::begun(&memory, 2, 1, DAY).made(&memory);
    let plan = Plan::of([]);
    plan.always(Some(("list", Kind::Denied)));
    let settings = ReconcileSettings { lost_uploads: Some(WINDOW), ..SETTINGS };
    let done = run(reconcile(&faulty(memory.ports(), &plan), settings)).unwrap();
    assert_eq!((done.troubles.len(), done.submitted.len()), (2, 1));
    assert_eq!(done.batches.len(), 1, "a row of it led there");
}

#[test]
fn beside_a_living_scheduler_every_upload_runs_once() {
    for seed in 0..300_u64 {
        let memory = world();
        let shuffled = |salt: u64| {
            let mut drawn = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt);
            let mut next = || {
                drawn ^= drawn << 13;
                drawn ^= drawn >> 7;
                drawn ^= drawn << 17;
                (drawn % 7) as u8
            };
            Plan::pausing((0..97).map(|_| next()).collect())
        };
        let bodies: Vec<_> = (0..8)
            .map(|n| notification(&memory.put(&format!("{n}.zip"), Archive::inputs("{}").bytes())))
            .collect();
        let (one, other) = (shuffled(1), shuffled(2));
        // As if every grace were over at once: the repairs must be safe even where they come too early.
        let hasty = ReconcileSettings { grace_ms: 0, batch_grace_ms: -1_000, lost_uploads: None, ..SETTINGS };
        run(async {
            memory.ports().queue.send(&bodies, 0).await.unwrap();
            let scheduler =
                SchedulerSettings { arrays: seed % 4 != 0, instance: "one".into(), ..Default::default() };
            let scheduler = Scheduler::new(faulty(memory.ports(), &one), scheduler);
            let ports = faulty(memory.ports(), &other);
            let repair = async {
                for _ in 0..4 {
                    reconcile(&ports, hasty).await.unwrap();
                }
            };
            let _ = tokio::join!(scheduler.pump_once(10), repair);
            for _ in 0..20 {
                memory.world().now_ms += MINUTE;
                let _ = tokio::join!(scheduler.pump_once(10), reconcile(&ports, hasty));
            }
        });
        assert!(memory.world().queue.is_empty(), "seed {seed}");
        assert_eq!(memory.world().rows.len(), 8, "seed {seed}");
        let got = start_everything(&memory);
        assert!(got.values().all(|workers| *workers == 1), "seed {seed}: {got:?}");
    }
}
