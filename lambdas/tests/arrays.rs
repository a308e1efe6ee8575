//! The scheduler with array jobs: bursts become batches, and nothing that goes wrong loses or doubles a row.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::panic, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/faults.rs"]
mod faults;
#[path = "common/memory.rs"]
mod memory;

use archive::Archive;
use faults::{Plan, faulty};
use memory::Memory;
use shepard_cloud::ports::Message;
use shepard_lambdas::{Fate, Scheduler, SchedulerSettings, fate, notification};
use shepard_model::manifest::{HEADER, decode_records};
use shepard_model::names::manifest_key;
use shepard_model::{JobId, State};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn settings() -> SchedulerSettings {
    SchedulerSettings { arrays: true, instance: "test".into(), ..SchedulerSettings::default() }
}

/// Uploads these texts; gives the job ids and the notifications.
fn upload(memory: &Memory, texts: &[&str]) -> (Vec<JobId>, Vec<String>) {
    let metas: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| memory.put(&format!("{n}.zip"), Archive::inputs(text).bytes()))
        .collect();
    (
        metas.iter().map(|meta| JobId::of_object(&meta.object)).collect(),
        metas.iter().map(notification).collect(),
    )
}

fn given(body: &str) -> Message {
    Message { receipt: "given".into(), body: body.to_owned(), deliveries: 1 }
}

#[test]
fn a_burst_becomes_one_array_and_its_rows_are_written_once() {
    let memory = Memory::default();
    let (ids, bodies) = upload(&memory, &["{}"; 65]);
    run(memory.ports().queue.send(&bodies[1..], 0)).unwrap();
    let plan = Plan::of([]);
    let scheduler = Scheduler::new(faulty(memory.ports(), &plan), settings());
    let invoked = run(scheduler.invoke(vec![given(&bodies[0])]));
    assert_eq!((invoked.failed.len(), invoked.pumped.submitted, invoked.pumped.batches), (0, 65, 1));
    assert!(memory.world().queue.is_empty());
    let job = memory.world().jobs[0].clone();
    assert_eq!((memory.world().jobs.len(), job.request.children), (1, 65));
    let batch = JobId::parse(&job.request.name).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let wanted = [
        pair("UUID", batch.as_str()),
        pair("INPUT_ZIP_NAME", "None"),
        pair("IS_INVOKED", "True"),
        pair("SHEPARD_MANIFEST", &manifest_key(&batch)),
    ];
    assert_eq!(job.request.environment, wanted);
    assert_eq!(run(fate(&memory.ports(), &batch)).unwrap(), Fate::Submitted(job.id));
    let manifest = memory.world().objects[&("inputs".to_owned(), manifest_key(&batch))].clone();
    let records = decode_records(&manifest[HEADER..]).unwrap();
    for id in &ids {
        let place = memory.row(id).unwrap().batch.expect("a place");
        assert_eq!((&place.id, records[place.index as usize].as_ref()), (&batch, Some(id)));
    }
    for (call, times) in [("get", 65), ("put_new", 65), ("put_object", 2), ("submit", 1), ("apply", 0)] {
        assert_eq!(plan.count(call), times, "{call}");
    }
    // 1, 4, and 16 side by side of which most come back empty; 64 messages in tens.
    assert_eq!((plan.count("receive"), plan.count("delete")), (1 + 4 + 16, 7));
    assert_eq!(plan.submitted_without_row(), 0);
}

#[test]
fn an_upload_of_its_own_stays_a_plain_job_and_so_do_two_shapes() {
    let memory = Memory::default();
    let (ids, bodies) = upload(&memory, &[r#"{"SHEPARD_VCPUS": 2}"#, "{}"]);
    let scheduler = Scheduler::new(memory.ports(), settings());
    let invoked = run(scheduler.invoke(bodies.iter().map(|body| given(body)).collect()));
    assert_eq!((invoked.pumped.submitted, invoked.pumped.batches), (2, 0));
    for id in &ids {
        let row = memory.row(id).unwrap();
        assert_eq!((row.state(), row.batch), (State::Scheduled, None));
    }
    assert_eq!(memory.world().jobs.iter().filter(|job| job.request.children == 1).count(), 2);
    assert!(memory.world().objects.keys().all(|(_, key)| !key.starts_with(".shepard/")));
}
