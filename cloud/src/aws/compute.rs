//! Where jobs run: AWS Batch.
//!
//! SubmitJob has no client token: a name submitted twice is two jobs. So it is sent once and never again from here
//! ([`connect::batch_once`]); whoever does not know whether it arrived asks [`Compute::find`] first. ListJobs trails
//! behind SubmitJob by moments, which is why the caller waits out a lease before it asks.
//!
//! [`connect::batch_once`]: super::connect::batch_once

use async_trait::async_trait;
use aws_sdk_batch::Client;
use aws_sdk_batch::types::{
    ArrayProperties, ArrayPropertiesDetail, ContainerOverrides, JobDetail, JobStatus, JobSummary, JobTimeout,
    KeyValuePair, KeyValuesPair, ResourceRequirement, ResourceType,
};
use shepard_model::Shape;

use super::error::failed;
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Compute, ComputeJob, ComputeState, JobRequest};

/// Most ids in one DescribeJobs (API reference, 2026-11).
const DESCRIBED: usize = 100;
/// Largest array (AWS Batch service quotas, 2026-11).
const ARRAY: u32 = 10_000;

/// A job queue and the definition of its jobs.
#[derive(Debug, Clone)]
pub struct BatchCompute {
    client: Client,
    once: Client,
    queue: String,
    definition: String,
}

impl BatchCompute {
    pub(super) fn new(client: Client, once: Client, queue: String, definition: String) -> Self {
        Self { client, once, queue, definition }
    }

    /// Names and ages of the jobs of a name, newest first.
    async fn listed(&self, name: &str) -> Result<Vec<String>> {
        let filter = KeyValuesPair::builder().name("JOB_NAME").values(name).build();
        let mut pages =
            self.client.list_jobs().job_queue(&self.queue).filters(filter).into_paginator().send();
        let mut found: Vec<(i64, String)> = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("find the job", name, &error))?;
            // The filter takes any case, and an emulator may not filter at all, or list an array's children
            // (`<array>:<index>`) beside it.
            let of_name = |job: &&JobSummary| job.job_name() == Some(name);
            for job in page.job_summary_list().iter().filter(of_name) {
                let id = job.job_id().filter(|id| !id.contains(':'));
                found.extend(id.map(|id| (job.created_at().unwrap_or(0), id.to_owned())));
            }
        }
        // Of the same millisecond the one listed first stays first, which is the newer.
        found.sort_by_key(|(created, _)| std::cmp::Reverse(*created));
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }
}

#[async_trait]
impl Compute for BatchCompute {
    async fn submit(&self, job: &JobRequest) -> Result<String> {
        if job.children > ARRAY {
            let said = format!("an array of {} children is more than {ARRAY}", job.children);
            return Err(CloudError::new("submit the job", &job.name, Kind::Invalid).because(said));
        }
        let array = (job.children >= 2).then(|| {
            ArrayProperties::builder().size(i32::try_from(job.children).unwrap_or(i32::MAX)).build()
        });
        let timeout = job.shape.timeout_s.map(|seconds| {
            JobTimeout::builder().attempt_duration_seconds(i32::try_from(seconds).unwrap_or(i32::MAX)).build()
        });
        let answer = self
            .once
            .submit_job()
            .job_name(&job.name)
            .job_queue(&self.queue)
            .job_definition(&self.definition)
            .container_overrides(overrides(job))
            .set_array_properties(array)
            .set_timeout(timeout)
            .set_share_identifier(job.shape.share.clone())
            .send()
            .await
            .map_err(|error| failed("submit the job", &job.name, &error))?;
        match answer.job_id() {
            Some(id) if !id.is_empty() => Ok(id.to_owned()),
            _ => Err(CloudError::new("submit the job", &job.name, Kind::Other).because("no id was given")),
        }
    }

    async fn find(&self, name: &str) -> Result<Vec<ComputeJob>> {
        let ids = self.listed(name).await?;
        // The list lacks the attempts, and of an array it says PENDING until all of it has ended.
        let mut known = self.describe(&ids).await?;
        let place = |job: &ComputeJob| ids.iter().position(|id| *id == job.id);
        known.sort_by_key(place);
        Ok(known)
    }

    async fn describe(&self, ids: &[String]) -> Result<Vec<ComputeJob>> {
        let mut jobs = Vec::with_capacity(ids.len());
        for some in ids.chunks(DESCRIBED) {
            let answer =
                self.client.describe_jobs().set_jobs(Some(some.to_vec())).send().await.map_err(|error| {
                    failed("describe the jobs", format!("{} of them", some.len()), &error)
                })?;
            jobs.extend(answer.jobs().iter().filter_map(job));
        }
        Ok(jobs)
    }

    async fn terminate(&self, id: &str, reason: &str) -> Result<()> {
        // Batch takes it for a job that has ended, and does nothing; a reason must not be empty.
        let reason = if reason.is_empty() { "stopped" } else { reason };
        let answer = self.client.terminate_job().job_id(id).reason(reason).send().await;
        answer.map(drop).map_err(|error| failed("stop the job", id, &error))
    }
}

/// What differs from the definition.
fn overrides(job: &JobRequest) -> ContainerOverrides {
    let environment =
        job.environment.iter().map(|(name, value)| KeyValuePair::builder().name(name).value(value).build());
    ContainerOverrides::builder()
        .set_environment(Some(environment.collect()))
        .set_resource_requirements(resources(&job.shape))
        .build()
}

/// None where the definition says it all: an empty list is another request than no list to some.
fn resources(shape: &Shape) -> Option<Vec<ResourceRequirement>> {
    let asked = [
        (ResourceType::Vcpu, shape.vcpus),
        (ResourceType::Memory, shape.memory_mib),
        (ResourceType::Gpu, shape.gpus),
    ];
    let list: Vec<_> = asked
        .into_iter()
        .filter_map(|(kind, count)| {
            let count = count?.to_string();
            Some(ResourceRequirement::builder().r#type(kind).value(count).build())
        })
        .collect();
    (!list.is_empty()).then_some(list)
}

fn job(detail: &JobDetail) -> Option<ComputeJob> {
    let state = state(detail.status(), detail.array_properties());
    Some(ComputeJob {
        id: detail.job_id()?.to_owned(),
        name: detail.job_name().unwrap_or_default().to_owned(),
        state,
        reason: detail.status_reason().filter(|reason| !reason.is_empty()).map(str::to_owned),
        attempts: attempts(detail, state),
    })
}

/// An array is PENDING from its first child to its last; its counts say whether any has begun.
fn state(status: Option<&JobStatus>, array: Option<&ArrayPropertiesDetail>) -> ComputeState {
    let begun = |array: &ArrayPropertiesDetail| {
        array.status_summary().is_some_and(|counts| {
            let count = |status: &str| counts.get(status).copied().unwrap_or(0);
            ["STARTING", "RUNNING", "SUCCEEDED", "FAILED"].into_iter().map(count).sum::<i32>() > 0
        })
    };
    match status {
        Some(JobStatus::Succeeded) => ComputeState::Succeeded,
        Some(JobStatus::Failed) => ComputeState::Failed,
        Some(JobStatus::Running) => ComputeState::Running,
        Some(JobStatus::Starting) => ComputeState::Starting,
        _ if array.is_some_and(begun) => ComputeState::Running,
        _ => ComputeState::Runnable,
    }
}

/// Batch lists an attempt once it has ended; the one that runs is not among them.
fn attempts(detail: &JobDetail, state: ComputeState) -> u32 {
    let listed = u32::try_from(detail.attempts().len()).unwrap_or(u32::MAX);
    let open = detail.attempts().last().is_some_and(|attempt| attempt.stopped_at().is_none());
    let runs = matches!(state, ComputeState::Starting | ComputeState::Running);
    listed.saturating_add(u32::from(runs && !open))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_batch::types::AttemptDetail;

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
    fn only_what_a_shape_asks_for_is_overridden() {
        assert_eq!(resources(&Shape::default()), None);
        let shape = Shape { vcpus: Some(4), gpus: Some(1), ..Shape::default() };
        let asked = resources(&shape).unwrap();
        let asked: Vec<_> = asked.iter().map(|one| (one.r#type().unwrap().as_str(), one.value())).collect();
        assert_eq!(asked, [("VCPU", Some("4")), ("GPU", Some("1"))]);
    }
}
