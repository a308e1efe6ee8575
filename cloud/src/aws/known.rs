//! What Batch says of a job, as the compute's own terms.
//!
//! An attempt is listed among a job's attempts once it has ended; the one that runs is the job's container. Batch gives
//! the stream of a log without its group: that is in the log configuration, or the one that Batch always takes.

use std::collections::HashMap;

use aws_sdk_batch::types::{
    AttemptDetail, ContainerDetail, JobDetail, JobStatus, JobSummary, LogConfiguration, LogDriver,
};

use crate::ports::{ChildCounts, ComputeDetail, ComputeJob, ComputeState, ComputeTry};

/// The log group of a job whose definition names none (Batch user guide, "Using the awslogs log driver", 2026-11).
const GROUP: &str = "/aws/batch/job";

/// A job as DescribeJobs gives it.
pub(super) fn job(detail: &JobDetail) -> Option<ComputeJob> {
    let array = detail.array_properties();
    let children = array.and_then(|array| counts(array.size(), array.status_summary()));
    let state = state(detail.status(), children.as_ref());
    let tries = tries(detail, state);
    Some(ComputeJob {
        id: detail.job_id()?.to_owned(),
        name: detail.job_name().unwrap_or_default().to_owned(),
        state,
        reason: text(detail.status_reason()),
        attempts: u32::try_from(tries.len()).unwrap_or(u32::MAX),
        detail: ComputeDetail {
            children,
            index: array.and_then(|array| count(array.index())),
            created_ms: time(detail.created_at()),
            started_ms: time(detail.started_at()),
            ended_ms: time(detail.stopped_at()),
            tries,
            stopped: detail.is_cancelled() == Some(true) || detail.is_terminated() == Some(true),
        },
    })
}

/// A job as ListJobs gives it: without its attempts.
pub(super) fn listed(job: &JobSummary) -> Option<ComputeJob> {
    let array = job.array_properties();
    let children = array.and_then(|array| counts(array.size(), array.status_summary()));
    let ended = job.container().map(|container| ComputeTry {
        started_ms: time(job.started_at()),
        ended_ms: time(job.stopped_at()),
        exit_code: container.exit_code(),
        reason: text(container.reason()),
        log_stream: None,
    });
    let tries: Vec<_> =
        ended.into_iter().filter(|one| one.exit_code.is_some() || one.reason.is_some()).collect();
    Some(ComputeJob {
        id: job.job_id()?.to_owned(),
        name: job.job_name().unwrap_or_default().to_owned(),
        state: state(job.status(), children.as_ref()),
        reason: text(job.status_reason()),
        attempts: u32::from(job.started_at().is_some()),
        detail: ComputeDetail {
            children,
            index: array.and_then(|array| count(array.index())),
            created_ms: time(job.created_at()),
            started_ms: time(job.started_at()),
            ended_ms: time(job.stopped_at()),
            tries,
            stopped: job.is_cancelled() == Some(true) || job.is_terminated() == Some(true),
        },
    })
}

/// Batch's statuses that are one state here, those first that are looked for most.
pub(super) fn statuses(state: ComputeState) -> &'static [JobStatus] {
    match state {
        ComputeState::Runnable => &[JobStatus::Runnable, JobStatus::Pending, JobStatus::Submitted],
        ComputeState::Starting => &[JobStatus::Starting],
        // An array is PENDING from its first child to its last.
        ComputeState::Running => &[JobStatus::Running],
        ComputeState::Succeeded => &[JobStatus::Succeeded],
        ComputeState::Failed => &[JobStatus::Failed],
    }
}

/// An array is PENDING from its first child to its last; its counts say whether any has begun.
fn state(status: Option<&JobStatus>, children: Option<&ChildCounts>) -> ComputeState {
    let begun =
        |counts: &ChildCounts| counts.starting + counts.running + counts.succeeded + counts.failed > 0;
    match status {
        Some(JobStatus::Succeeded) => ComputeState::Succeeded,
        Some(JobStatus::Failed) => ComputeState::Failed,
        Some(JobStatus::Running) => ComputeState::Running,
        Some(JobStatus::Starting) => ComputeState::Starting,
        _ if children.is_some_and(begun) => ComputeState::Running,
        _ => ComputeState::Runnable,
    }
}

/// None of a job that is no array: a child has array properties, too, and no size.
fn counts(size: Option<i32>, summary: Option<&HashMap<String, i32>>) -> Option<ChildCounts> {
    let size = count(size).filter(|size| *size > 0)?;
    let of = |status: &str| count(summary.and_then(|counts| counts.get(status)).copied()).unwrap_or(0);
    Some(ChildCounts {
        size,
        pending: of("SUBMITTED") + of("PENDING"),
        runnable: of("RUNNABLE"),
        starting: of("STARTING"),
        running: of("RUNNING"),
        succeeded: of("SUCCEEDED"),
        failed: of("FAILED"),
    })
}

fn tries(detail: &JobDetail, state: ComputeState) -> Vec<ComputeTry> {
    let container = detail.container();
    let group = group(container.and_then(ContainerDetail::log_configuration));
    let stream = |name: Option<&str>| Some(format!("{}:{}", group.as_deref()?, text(name)?));
    let ended = |attempt: &AttemptDetail| ComputeTry {
        started_ms: time(attempt.started_at()),
        ended_ms: time(attempt.stopped_at()),
        exit_code: attempt.container().and_then(|container| container.exit_code()),
        reason: attempt
            .container()
            .and_then(|container| text(container.reason()))
            .or_else(|| text(attempt.status_reason())),
        log_stream: attempt.container().and_then(|container| stream(container.log_stream_name())),
    };
    let mut tries: Vec<_> = detail.attempts().iter().map(ended).collect();
    let open = detail.attempts().last().is_some_and(|attempt| attempt.stopped_at().is_none());
    let now = container.map(|container| ComputeTry {
        started_ms: time(detail.started_at()),
        ended_ms: time(detail.stopped_at()),
        exit_code: container.exit_code(),
        reason: text(container.reason()),
        log_stream: stream(container.log_stream_name()),
    });
    let runs = matches!(state, ComputeState::Starting | ComputeState::Running);
    // An array has no container of its own, and its children's attempts are theirs.
    let array = detail.array_properties().is_some_and(|array| array.size().is_some());
    if runs && !open && !array {
        tries.push(now.unwrap_or_default());
    } else if let (true, Some(now)) = (tries.is_empty(), now)
        && (now.exit_code.is_some() || now.log_stream.is_some())
    {
        // One that has ended and is not listed yet.
        tries.push(now);
    }
    tries
}

/// The group that a job's log goes to; None where it does not go to CloudWatch.
fn group(configuration: Option<&LogConfiguration>) -> Option<String> {
    let Some(configuration) = configuration else { return Some(GROUP.to_owned()) };
    if configuration.log_driver() != Some(&LogDriver::Awslogs) {
        return None;
    }
    let named = configuration.options().and_then(|options| options.get("awslogs-group"));
    Some(named.map_or(GROUP, String::as_str).to_owned())
}

fn text(said: Option<&str>) -> Option<String> {
    said.filter(|said| !said.is_empty()).map(str::to_owned)
}

/// Batch says 0 of what has not happened.
fn time(at_ms: Option<i64>) -> Option<i64> {
    at_ms.filter(|at_ms| *at_ms > 0)
}

fn count(number: Option<i32>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use aws_sdk_batch::types::{ArrayPropertiesDetail, AttemptContainerDetail};

    use super::*;

    fn detail() -> aws_sdk_batch::types::builders::JobDetailBuilder {
        JobDetail::builder().job_name("n").job_queue("q").job_id("i").job_definition("d").started_at(0)
    }

    #[test]
    fn an_array_runs_once_a_child_does() {
        let array = |counts: &[(&str, i32)]| {
            let counts: HashMap<_, _> = counts.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
            let array = ArrayPropertiesDetail::builder().set_status_summary(Some(counts)).size(3).build();
            let detail = detail().status(JobStatus::Pending).array_properties(array).build();
            job(&detail).unwrap().state
        };
        assert_eq!(array(&[("RUNNABLE", 3), ("FAILED", 0)]), ComputeState::Runnable);
        assert_eq!(array(&[("RUNNABLE", 2), ("SUCCEEDED", 1)]), ComputeState::Running);
    }

    #[test]
    fn the_attempt_that_runs_counts() {
        let ended = AttemptDetail::builder().started_at(1).stopped_at(2).build();
        let running = detail().status(JobStatus::Running).attempts(ended.clone()).build();
        assert_eq!(job(&running).unwrap().attempts, 2);
        let failed = detail().status(JobStatus::Failed).attempts(ended).status_reason("x").build();
        assert_eq!((job(&failed).unwrap().attempts, job(&failed).unwrap().reason.as_deref()), (1, Some("x")));
    }

    #[test]
    fn every_attempt_has_its_exit_code_its_reason_and_its_log() {
        let container = |name: &str| {
            AttemptContainerDetail::builder()
                .exit_code(137)
                .reason("OutOfMemoryError: killed")
                .log_stream_name(name)
        };
        let ended =
            AttemptDetail::builder().started_at(1).stopped_at(2).container(container("d/default/1").build());
        let now = ContainerDetail::builder().log_stream_name("d/default/2");
        let running = detail().status(JobStatus::Running).attempts(ended.build());
        let seen = job(&running.clone().container(now.clone().build()).build()).unwrap().detail.tries;
        assert_eq!(seen[0].log_stream.as_deref(), Some("/aws/batch/job:d/default/1"));
        assert_eq!(
            (seen[0].exit_code, seen[0].reason.as_deref()),
            (Some(137), Some("OutOfMemoryError: killed"))
        );
        assert_eq!((seen.len(), seen[1].log_stream.as_deref()), (2, Some("/aws/batch/job:d/default/2")));

        let logs = |driver: LogDriver| {
            let options = HashMap::from([("awslogs-group".to_owned(), "mine".to_owned())]);
            LogConfiguration::builder().log_driver(driver).set_options(Some(options)).build()
        };
        let stream = |driver| {
            let container = now.clone().log_configuration(logs(driver)).build();
            job(&running.clone().container(container).build()).unwrap().detail.tries[1].log_stream.clone()
        };
        assert_eq!(stream(LogDriver::Awslogs).as_deref(), Some("mine:d/default/2"));
        assert_eq!(stream(LogDriver::Splunk), None);
    }
}
