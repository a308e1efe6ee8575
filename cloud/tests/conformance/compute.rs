//! The compute, as far as the port goes: nothing runs in these cases unless the adapter runs it by itself.

use shepard_cloud::Kind;
use shepard_cloud::ports::{ComputeJob, ComputeState, JobRequest, Listed};
use shepard_model::Shape;

use crate::Subject;

async fn submit(subject: &Subject, name: &str) -> String {
    let environment = vec![("UUID".to_owned(), name.to_owned()), ("KEY".to_owned(), "a b\n'ä'".to_owned())];
    let request = JobRequest { name: name.to_owned(), environment, shape: Shape::default(), children: 1 };
    subject.ports.compute.submit(&request).await.expect("submit")
}

async fn find(subject: &Subject, name: &str) -> Vec<ComputeJob> {
    subject.ports.compute.find(name).await.expect("find")
}

async fn describe(subject: &Subject, id: &str) -> ComputeJob {
    let mut jobs = subject.ports.compute.describe(&[id.to_owned()]).await.expect("describe");
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

pub(crate) async fn a_job_is_found_and_described(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    assert_eq!(find(&subject, "j1").await, []);
    let id = submit(&subject, "j1").await;
    subject.eventually("the job is found", async || !find(&subject, "j1").await.is_empty()).await;
    let found = find(&subject, "j1").await;
    assert_eq!((found.len(), &found[0].id, found[0].name.as_str()), (1, &id, "j1"));
    assert_eq!(describe(&subject, &id).await.name, "j1");
    let unknown = vec!["no-such-job".to_owned()];
    assert_eq!(subject.ports.compute.describe(&unknown).await.expect("describe"), []);
    assert_eq!(subject.ports.compute.describe(&[]).await.expect("describe"), []);
}

pub(crate) async fn a_waiting_job_is_stopped(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let id = submit(&subject, "j1").await;
    subject.ports.compute.terminate(&id, "not wanted").await.expect("terminate");
    subject
        .eventually("the job has failed", async || {
            describe(&subject, &id).await.state == ComputeState::Failed
        })
        .await;
    let job = describe(&subject, &id).await;
    assert!(job.reason.as_deref().is_some_and(|reason| reason.contains("not wanted")), "{job:?}");
    subject.ports.compute.terminate(&id, "again").await.expect("no error where it has ended");
    assert_eq!(describe(&subject, &id).await, job, "an end is final");

    // The name is free: a second run of the same name is another job, and the newest comes first.
    let second = submit(&subject, "j1").await;
    assert_ne!(second, id);
    subject.eventually("both are found", async || find(&subject, "j1").await.len() == 2).await;
    assert_eq!(find(&subject, "j1").await[0].id, second);
}

const STATES: [ComputeState; 5] = [
    ComputeState::Runnable,
    ComputeState::Starting,
    ComputeState::Running,
    ComputeState::Succeeded,
    ComputeState::Failed,
];

/// Ids of the jobs of the queue, wherever they stand.
async fn listed(subject: &Subject) -> Vec<String> {
    let mut ids = Vec::new();
    for state in STATES {
        let mut from = None;
        loop {
            let compute = &subject.ports.compute;
            let page = compute.list(Listed::Queue, state, from.as_deref()).await.expect("list");
            ids.extend(page.items.into_iter().inspect(|job| assert_eq!(job.state, state)).map(|job| job.id));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    ids.sort();
    ids
}

pub(crate) async fn jobs_are_listed_by_where_they_stand(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    assert_eq!(listed(&subject).await, [""; 0]);
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(submit(&subject, &format!("j{n}")).await);
    }
    ids.sort();
    subject.eventually("all are listed", async || listed(&subject).await == ids).await;
    let compute = &subject.ports.compute;
    let error = compute.list(Listed::Queue, STATES[0], Some("no page")).await.map(|page| page.items.len());
    assert!(!matches!(error, Ok(1..)), "what begins no page gives no jobs: {error:?}");
}

pub(crate) async fn a_waiting_job_is_cancelled(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let (first, second) = (submit(&subject, "j1").await, submit(&subject, "j2").await);
    let compute = &subject.ports.compute;
    assert_eq!(compute.front().await.expect("front"), [first.clone(), second.clone()]);
    compute.cancel(&first, "not wanted").await.expect("cancel");
    assert_eq!(describe(&subject, &first).await.state, ComputeState::Failed);
    assert_eq!(compute.front().await.expect("front"), [second]);
    compute.cancel(&first, "again").await.expect("no error where it has ended");
}

pub(crate) async fn names_are_apart(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let one = submit(&subject, "job").await;
    let other = submit(&subject, "job-2").await;
    assert_ne!(one, other);
    subject
        .eventually("both are found", async || {
            find(&subject, "job").await.len() == 1 && find(&subject, "job-2").await.len() == 1
        })
        .await;
    let both = subject.ports.compute.describe(&[other.clone(), one.clone()]).await.expect("describe");
    let mut names: Vec<_> = both.iter().map(|job| (job.id.clone(), job.name.as_str())).collect();
    names.sort();
    let mut wanted = vec![(one, "job"), (other, "job-2")];
    wanted.sort();
    assert_eq!(names, wanted);
}

/// An adapter takes arrays, or it says that it does not. One that does knows them by their own name and id alone.
pub(crate) async fn arrays_are_one_job_or_refused(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let request = |name: &str, shape: Shape| JobRequest {
        name: name.to_owned(),
        environment: vec![("UUID".to_owned(), name.to_owned())],
        shape,
        children: 3,
    };
    let shape = Shape { vcpus: Some(2), memory_mib: Some(512), timeout_s: Some(60), ..Shape::default() };
    let array = request("20261121-063000-0123456789abcdef", shape);
    match subject.ports.compute.submit(&array).await {
        Ok(id) => {
            subject.eventually("it is found", async || !find(&subject, &array.name).await.is_empty()).await;
            let found = find(&subject, &array.name).await;
            assert_eq!(found.iter().map(|job| &job.id).collect::<Vec<_>>(), [&id], "not its children");
            assert_eq!(describe(&subject, &id).await.name, array.name);
        }
        Err(error) => {
            assert_eq!(error.kind, Kind::Invalid, "{error}");
            assert_eq!(find(&subject, &array.name).await, []);
        }
    }
    let too_many = JobRequest { children: 10_001, ..request("many", Shape::default()) };
    let error = subject.ports.compute.submit(&too_many).await.expect_err("more than any takes");
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    assert_eq!(find(&subject, "many").await, []);
}
