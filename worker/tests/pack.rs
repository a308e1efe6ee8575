//! A container's share of a batch: found in the manifest, run row by row, gone on with by another attempt.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::gate::{Fault, Gate, gated};
use common::{Flock, Hurried, Refusing, Trouble, payload};
use shepard_cloud::error::Kind;
use shepard_cloud::ports::Clock as _;
use shepard_cloud::ports::{LogSource, Ports, WallClock};
use shepard_model::manifest::{self, BatchRef, Header};
use shepard_model::names::manifest_key;
use shepard_model::{Inputs, JobId, JobRow, ObjectRef, Outcome, Shape, Stage, State, Transition};
use shepard_worker::pack::{Did, run_child};
use shepard_worker::{Assignment, Child, Exit, Job, Stop, work};
use tokio_util::sync::CancellationToken;

const BATCH: &str = "20261121-061500-0123456789abcdef";

/// A flock with a batch in it.
struct Batch {
    flock: Flock,
    ids: Vec<JobId>,
    pack: u32,
}

impl Batch {
    /// Rows with these variables, in one batch; None is a hole. Odd ones came by API.
    fn new(rows: &[Option<&str>], pack: u32) -> Self {
        let flock = Flock::new();
        let batch = JobId::parse(BATCH).unwrap();
        let (mut ids, mut records) = (Vec::new(), Vec::new());
        for (index, variables) in rows.iter().enumerate() {
            let input =
                (index % 2 == 0).then(|| flock.memory.put("inputs", &format!("{index:03}.zip"), b"zip"));
            let id = input.as_ref().map_or_else(|| JobId::of_request(&index.to_string()), JobId::of_object);
            ids.push(id.clone());
            records.push(variables.map(|_| id.clone()));
            let Some(variables) = variables else { continue };
            let inputs = Inputs::from_json(variables).unwrap();
            let mut row = JobRow::arrived(id.clone(), input, inputs, WallClock.now_ms(), 1);
            row.batch = Some(BatchRef { id: batch.clone(), index: index as u32 });
            flock.memory.rows.lock().unwrap().insert(id, row);
        }
        let header = Header::new(records.len() as u32, pack, Shape::default());
        flock.memory.put("inputs", &manifest_key(&batch), &manifest::encode(&header, &records));
        Self { flock, ids, pack }
    }

    fn assignment(&self, index: u32, attempt: u32) -> Assignment {
        let (manifest, pack) = (format!(".shepard/manifests/{BATCH}"), self.pack.to_string());
        let (id, index, attempt) = (format!("array:{index}"), index.to_string(), attempt.to_string());
        Assignment::from_env([
            ("UUID", BATCH),
            ("INPUT_ZIP_NAME", "None"),
            ("IS_INVOKED", "True"),
            ("SHEPARD_MANIFEST", &manifest),
            ("SHEPARD_PACK", &pack),
            ("AWS_BATCH_JOB_ARRAY_INDEX", &index),
            ("AWS_BATCH_JOB_ID", &id),
            ("AWS_BATCH_JOB_ATTEMPT", &attempt),
        ])
        .unwrap()
    }

    fn child(&self, index: u32, attempt: u32) -> Child {
        match self.assignment(index, attempt) {
            Assignment::Child(child) => *child,
            Assignment::Job(_) => panic!("no child"),
        }
    }

    async fn work(&self, index: u32, attempt: u32, script: &str) -> u8 {
        let assignment = self.assignment(index, attempt);
        let stop = self.flock.stop.clone();
        work(&self.flock.ports, &assignment, &self.flock.place, &payload(script), stop).await
    }

    fn row(&self, index: usize) -> JobRow {
        self.flock.memory.rows.lock().unwrap().get(&self.ids[index]).unwrap().clone()
    }

    fn rows(&self) -> Vec<JobRow> {
        (0..self.ids.len()).map(|index| self.row(index)).collect()
    }

    /// What the payload of one attempt at a row printed.
    fn printed(&self, index: usize, attempt: u32) -> Vec<String> {
        let key = Job::from_env([
            ("UUID", self.ids[index].as_str()),
            ("INPUT_ZIP_NAME", "x"),
            ("IS_INVOKED", "False"),
        ]);
        self.flock.lines(&Job { attempt, ..key.unwrap() }, LogSource::Stdout)
    }

    /// Every row ended once, lists what there is, and left nothing behind.
    fn check(&self, what: &str) {
        let mut listed = Vec::new();
        for row in self.rows() {
            let ends = row.timeline.iter().filter(|note| note.stage == Stage::Ended).count();
            assert_eq!((ends, row.outcome.is_some()), (1, true), "{what}: {row:?}");
            let outputs = row.results.into_iter().filter(|one| one.bucket == "outputs");
            listed.extend(outputs.map(|one| one.key));
        }
        listed.sort();
        assert_eq!(self.flock.memory.keys("outputs"), listed, "{what}: results");
        assert!(self.flock.is_clean(), "{what}: a directory is left");
    }
}

const PLAIN: Option<&str> = Some("{}");

#[tokio::test]
async fn every_child_finds_its_own_rows_with_one_read() {
    let batch = Batch::new(&[PLAIN; 5], 2);
    let script = r#"echo "$UUID $INPUT_ZIP_NAME $IS_INVOKED"; echo "$UUID" > "$ROOT_OUTPUT_NAME/one""#;
    for index in 0..3 {
        assert_eq!(batch.work(index, 1, script).await, 0);
        assert_eq!(batch.flock.memory.ranges.load(Ordering::SeqCst), index as usize + 1);
    }
    for (index, row) in batch.rows().into_iter().enumerate() {
        assert_eq!(row.outcome, Some(Outcome::Succeeded));
        assert_eq!(row.compute_id, Some(format!("array:{}", index / 2)));
        let came = if index % 2 == 0 { format!("{index:03}.zip False") } else { "None True".to_owned() };
        assert_eq!(batch.printed(index, 1), [format!("{} {came}", row.id)]);
        assert_eq!(row.log_stream(), Some(format!("{}-1-1", row.id).as_str()));
        assert_eq!(
            batch.flock.unzip("outputs", &row.results[0].key),
            [("one".into(), format!("{}\n", row.id))]
        );
    }
    batch.check("all ran");
}

#[tokio::test]
async fn rows_that_share_the_computes_log_leave_only_their_own_lines() {
    const SHARED: &str = "/aws/batch/job:definition/default/7";
    let batch = Batch::new(&[PLAIN; 2], 2);
    let assignment = batch.assignment(0, 1).logging_to(Some(SHARED.to_owned()));
    let payload = payload(r#"echo "I am $UUID"; exit 3"#);
    let stop = batch.flock.stop.clone();
    assert_eq!(work(&batch.flock.ports, &assignment, &batch.flock.place, &payload, stop).await, 1);
    for (index, row) in batch.rows().into_iter().enumerate() {
        assert_eq!(row.log_stream(), Some(SHARED), "readers are told where the lines are");
        let left = batch.flock.unzip("errors", &row.results[0].key);
        let log: String = left.into_iter().map(|(_, text)| text).collect();
        let (own, other) = (&batch.ids[index], &batch.ids[1 - index]);
        assert!(log.contains(&format!(" worker begin {own}: attempt 1 of run 1 on ")), "{log}");
        assert!(log.contains(&format!("I am {own}")) && !log.contains(&format!("I am {other}")), "{log}");
    }
}

#[tokio::test]
async fn bad_rows_of_a_pack_fail_alone() {
    let variables: Vec<_> =
        (0..50).map(|index| Some(if index % 7 == 3 { r#"{"bad":1}"# } else { "{}" })).collect();
    let batch = Batch::new(&variables, 50);
    // One whose input is gone: the worker's failure and not the payload's.
    let gone = ObjectRef::new("inputs", "048.zip");
    batch.flock.ports.objects.delete(&gone).await.unwrap();
    assert_eq!(batch.work(0, 1, r#"[ -z "$bad" ] || { echo no good >&2; exit 3; }"#).await, 1);
    for (index, row) in batch.rows().into_iter().enumerate() {
        let (outcome, code) = match index {
            48 => (Outcome::Failed, None),
            index if index % 7 == 3 => (Outcome::Failed, Some(3)),
            _ => (Outcome::Succeeded, Some(0)),
        };
        assert_eq!((row.outcome, row.exit_code), (Some(outcome), code), "row {index}");
        assert_eq!(row.attempts.len(), 1);
        assert_eq!(row.reason.is_some(), outcome == Outcome::Failed);
    }
    assert_eq!(batch.work(0, 2, "exit 9").await, 1, "another attempt says the same and runs nothing");
    assert!(batch.rows().iter().all(|row| row.attempts.len() == 1));
    batch.check("all ran");
}

#[tokio::test]
async fn a_pack_that_cannot_run_its_payloads_here_uses_up_one_attempt_of_one_row() {
    let batch = Batch::new(&[PLAIN, PLAIN, PLAIN], 3);
    let assignment = batch.assignment(0, 1);
    let refusing = Refusing(Trouble::Passing);
    let stop = batch.flock.stop.clone();
    let code = work(&batch.flock.ports, &assignment, &batch.flock.place, &refusing, stop).await;
    assert_eq!(code, 75, "another attempt of the container helps");
    let attempts: Vec<_> = batch.rows().iter().map(|row| row.attempts.len()).collect();
    assert_eq!(attempts, [1, 0, 0]);
    assert_eq!(batch.row(0).timeline.last().unwrap().stage, Stage::Postponed);
    assert_eq!(batch.work(0, 2, "true").await, 0);
    assert_eq!(batch.work(0, 3, "exit 9").await, 0, "all have ended: nothing is done");
    batch.check("postponed");
}

#[tokio::test]
async fn a_row_of_a_pack_goes_on_from_its_checkpoint() {
    let mut batch = Batch::new(&[PLAIN, Some(r#"{"slow":1}"#), PLAIN], 3);
    let script = r#"
        cd "$SHEPARD_CHECKPOINT"; if [ -e state ]; then cat state; exit 0; fi
        [ -z "$slow" ] || { echo "$UUID" > state; echo up; exec sleep 600; }
    "#;
    let stop = async {
        common::until(|| !batch.printed(1, 1).is_empty()).await;
        batch.flock.stop.cancel();
    };
    let (code, ()) = tokio::join!(batch.work(0, 1, script), stop);
    assert_eq!(code, 75);
    batch.flock.stop = CancellationToken::new();
    assert_eq!(batch.work(0, 2, script).await, 0);
    assert_eq!(batch.printed(1, 2), [batch.ids[1].as_str()]);
    assert!(batch.printed(2, 2).is_empty(), "each row has a checkpoint of its own");
    batch.check("gone on with");
}

#[tokio::test]
async fn a_pack_that_is_interrupted_is_gone_on_with() {
    let mut batch = Batch::new(&[Some(r#"{"bad":1}"#), PLAIN, Some(r#"{"slow":1}"#), PLAIN, PLAIN], 5);
    let script = r#"[ -z "$bad" ] || exit 1; echo up; [ -z "$slow" ] || exec sleep 600"#;
    let stop = async {
        common::until(|| !batch.printed(2, 1).is_empty()).await;
        batch.flock.stop.cancel();
    };
    let (code, ()) = tokio::join!(batch.work(0, 1, script), stop);
    assert_eq!(code, 75);
    let states: Vec<_> = batch.rows().iter().map(JobRow::state).collect();
    use State::{Failed, Queued, Scheduled, Succeeded};
    assert_eq!(states, [Failed, Succeeded, Scheduled, Queued, Queued]);
    assert!(batch.row(3).attempts.is_empty() && batch.row(4).compute_id.is_none());
    assert!(batch.flock.is_clean());

    batch.flock.stop = CancellationToken::new();
    assert_eq!(batch.work(0, 2, "echo again").await, 1, "the first row failed before");
    let attempts: Vec<_> = batch.rows().iter().map(|row| row.attempts.len()).collect();
    assert_eq!(attempts, [1, 1, 2, 1, 1]);
    assert_eq!(batch.printed(2, 2), ["again"]);
    assert_eq!(batch.row(4).attempts[0].attempt, 2);
    batch.check("gone on with");
}

#[tokio::test]
async fn a_container_that_dies_at_any_call_is_followed_by_one_that_ends_every_row() {
    const SCRIPT: &str = r#"[ -z "$bad" ] || exit 1; echo 1 > "$ROOT_OUTPUT_NAME/one""#;
    for fault in
        [Fault::HangBefore, Fault::HangAfter, Fault::Before(Kind::Throttled), Fault::After(Kind::Offline)]
    {
        for at in 1.. {
            let what = format!("{fault:?} at {at}");
            let mut batch = Batch::new(&[PLAIN, Some(r#"{"bad":1}"#), PLAIN], 3);
            let gate = Gate::new(at, fault);
            let ports = gated(&batch.flock.ports, &gate);
            let assignment = batch.assignment(0, 1);
            let script = payload(SCRIPT);
            let died = tokio::select! {
                biased;
                () = gate.hung() => true,
                code = work(&ports, &assignment, &batch.flock.place, &script, CancellationToken::new()) => {
                    assert_eq!(code, 1, "{what}");
                    false
                }
            };
            let hangs = matches!(fault, Fault::HangBefore | Fault::HangAfter);
            assert_eq!(died, hangs && gate.calls() >= at, "{what}");
            if died {
                let clock = Arc::new(Hurried(5_000));
                batch.flock.ports = Ports { clock, ..batch.flock.ports.clone() };
                assert_eq!(batch.work(0, 2, SCRIPT).await, 1, "{what}");
            }
            let outcomes: Vec<_> = batch.rows().iter().map(|row| row.outcome.unwrap()).collect();
            assert_eq!(outcomes, [Outcome::Succeeded, Outcome::Failed, Outcome::Succeeded], "{what}");
            batch.check(&what);
            if gate.calls() < at {
                assert!(at > 40, "too few calls to mean anything: {at}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn holes_are_passed_over() {
    let batch = Batch::new(&[None, PLAIN, None, None, None], 3);
    assert_eq!(batch.work(0, 1, "echo ran").await, 0);
    let rows = batch.flock.memory.rows.lock().unwrap().clone();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[&batch.ids[1]].outcome, Some(Outcome::Succeeded));
    assert_eq!(batch.work(1, 1, "exit 1").await, 0, "nothing but holes");
    assert_eq!(batch.work(2, 1, "exit 1").await, 6, "there is no such child");
}

#[tokio::test]
async fn a_manifest_that_cannot_be_used_is_said_and_touches_no_row() {
    let key = manifest_key(&JobId::parse(BATCH).unwrap());
    let object = ObjectRef::new("inputs", key.clone());
    let whole = {
        let batch = Batch::new(&[PLAIN; 2], 2);
        batch
            .flock
            .ports
            .objects
            .get(&object, shepard_cloud::ports::Range::Suffix(1 << 20))
            .await
            .unwrap()
            .bytes
    };
    let damaged: [&[u8]; 5] =
        [&[], &whole[..manifest::HEADER], &whole[..whole.len() - 1], &[b'x'; 2_000], &manifest::tombstone()];
    for bytes in damaged.map(Some).into_iter().chain([None]) {
        let batch = Batch::new(&[PLAIN; 2], 2);
        batch.flock.ports.objects.delete(&object).await.unwrap();
        if let Some(bytes) = bytes {
            batch.flock.memory.put("inputs", &key, bytes);
        }
        let child = batch.child(0, 1);
        let (stop, place) = (&Stop::new(), &batch.flock.place);
        let error = run_child(&batch.flock.ports, &child, place, &payload("true"), stop).await.unwrap_err();
        assert_eq!(error.code(), 6);
        let said = error.to_string();
        assert!(said.contains(&key), "{said}");
        assert_eq!(said.contains("is gone"), bytes.is_none(), "{said}");
        assert_eq!(batch.work(0, 1, "true").await, 6);
        assert!(batch.rows().iter().all(|row| row.state() == State::Queued && row.timeline.len() == 1));
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_for_now_asks_for_another_attempt() {
    for (kind, code) in [(Kind::Denied, 6), (Kind::Other, 0)] {
        let batch = Batch::new(&[PLAIN], 1);
        let ports = gated(&batch.flock.ports, &Gate::new(1, Fault::Before(kind)));
        let (assignment, place) = (batch.assignment(0, 1), &batch.flock.place);
        let stop = CancellationToken::new();
        assert_eq!(work(&ports, &assignment, place, &payload("true"), stop).await, code, "{kind:?}");
    }
    for (kind, code) in [(Kind::Throttled, 76), (Kind::Expired, 76), (Kind::Auth, 6)] {
        let error = shepard_cloud::CloudError::new("read", "x", kind);
        assert_eq!(shepard_worker::ManifestError::Unread(error).code(), code);
    }
}

#[tokio::test]
async fn a_row_that_has_left_the_batch_is_not_run() {
    let batch = Batch::new(&[PLAIN; 3], 3);
    let (table, at) = (&batch.flock.ports.table, batch.row(2).batch.unwrap());
    let stale = batch.child(0, 1).job(&batch.row(2), at.clone());
    for (index, to) in [(0, None), (2, Some(BatchRef { id: JobId::parse("next").unwrap(), index: 0 }))] {
        let from = at.id.clone();
        let change = Transition::Regrouped { from, to, at_ms: WallClock.now_ms() };
        table.apply(&batch.ids[index], &change).await.unwrap();
    }
    let child = batch.child(0, 1);
    let (flock, stop) = (&batch.flock, Stop::new());
    let done = run_child(&flock.ports, &child, &flock.place, &payload("true"), &stop).await.unwrap();
    let did: Vec<_> = done.into_iter().map(|(_, did)| did).collect();
    assert_eq!(did, [Did::Elsewhere, Did::Ran(Exit::Succeeded), Did::Elsewhere]);
    // It left after the child had read it: the claim sees that.
    assert_eq!(flock.run(&stale, "true").await, Exit::NotMine);
    assert!(batch.row(2).attempts.is_empty());
    // Alone it runs, and no other batch's child has it.
    let alone = Job { batch: None, ..child.job(&batch.row(0), at) };
    assert_eq!(flock.run(&alone, "true").await, Exit::Succeeded);
}

#[tokio::test]
async fn a_jobs_own_time_limit_holds_in_a_pack() {
    let batch = Batch::new(&[Some(r#"{"SHEPARD_TIMEOUT":60}"#), PLAIN], 2);
    assert_eq!(batch.work(0, 1, r#"[ -z "$SHEPARD_TIMEOUT" ] || exec sleep 600"#).await, 1);
    let reason = batch.row(0).reason.unwrap();
    assert!(reason.contains("longer than the 60 s"), "{reason}");
    assert_eq!(batch.row(1).outcome, Some(Outcome::Succeeded));
}
