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
    ArrayProperties, ContainerOverrides, JobStatus, JobSummary, JobTimeout, KeyValuePair, KeyValuesPair,
    ResourceRequirement, ResourceType,
};
use shepard_model::Shape;

use super::error::failed;
use super::known;
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Compute, ComputeJob, ComputeState, JobRequest, Listed, Page};

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
            jobs.extend(answer.jobs().iter().filter_map(known::job));
        }
        Ok(jobs)
    }

    async fn terminate(&self, id: &str, reason: &str) -> Result<()> {
        // Batch takes it for a job that has ended, and does nothing; a reason must not be empty.
        let reason = if reason.is_empty() { "stopped" } else { reason };
        let answer = self.client.terminate_job().job_id(id).reason(reason).send().await;
        answer.map(drop).map_err(|error| failed("stop the job", id, &error))
    }

    /// Batch takes it for a job that is being started, too, and lets that go on.
    async fn cancel(&self, id: &str, reason: &str) -> Result<()> {
        let reason = if reason.is_empty() { "cancelled" } else { reason };
        let answer = self.client.cancel_job().job_id(id).reason(reason).send().await;
        answer.map(drop).map_err(|error| failed("cancel the job", id, &error))
    }

    async fn list(
        &self,
        which: Listed<'_>,
        state: ComputeState,
        from: Option<&str>,
    ) -> Result<Page<ComputeJob>> {
        // Batch lists one status at a time; what is one state here is up to three of them there, one after another.
        let statuses = known::statuses(state);
        let (at, token) = match from.map(|from| from.split_once(' ').unwrap_or((from, ""))) {
            None => (0, None),
            Some((at, token)) => {
                let at = at.parse().ok().filter(|at| *at < statuses.len()).ok_or_else(|| {
                    let said = "this is not where a page of jobs begins";
                    CloudError::new("list the jobs of", &self.queue, Kind::Invalid).because(said)
                })?;
                (at, Some(token).filter(|token| !token.is_empty()))
            }
        };
        let request =
            self.client.list_jobs().job_status(statuses[at].clone()).set_next_token(token.map(str::to_owned));
        let (request, target) = match which {
            Listed::Queue => (request.job_queue(&self.queue), self.queue.as_str()),
            Listed::Children(array) => (request.array_job_id(array), array),
        };
        let answer = request.send().await.map_err(|error| failed("list the jobs of", target, &error))?;
        let child = matches!(which, Listed::Children(_));
        // An emulator lists an array's children beside it, and may know nothing of statuses.
        let wanted = |job: &&JobSummary| {
            child == job.job_id().is_some_and(|id| id.contains(':'))
                && job.status().is_none_or(|status: &JobStatus| statuses.contains(status))
        };
        let items = answer.job_summary_list().iter().filter(wanted).filter_map(known::listed).collect();
        let next = match answer.next_token() {
            Some(token) if !token.is_empty() => Some(format!("{at} {token}")),
            _ => (at + 1 < statuses.len()).then(|| (at + 1).to_string()),
        };
        Ok(Page { items, next })
    }

    /// The first hundred that Batch would start.
    async fn front(&self) -> Result<Vec<String>> {
        let operation = "look at the front of the queue";
        let answer = self.client.get_job_queue_snapshot().job_queue(&self.queue).send().await;
        let answer = answer.map_err(|error| failed(operation, &self.queue, &error))?;
        let jobs = answer.front_of_queue().map(|front| front.jobs()).unwrap_or_default();
        // `arn:aws:batch:<region>:<account>:job/<id>`, and of a child `…/<array>:<index>`.
        let id = |arn: &str| arn.split_once(":job/").map(|(_, id)| id.to_owned());
        Ok(jobs.iter().filter_map(|job| id(job.job_arn()?)).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shape_asks_for_is_overridden() {
        assert_eq!(resources(&Shape::default()), None);
        let shape = Shape { vcpus: Some(4), gpus: Some(1), ..Shape::default() };
        let asked = resources(&shape).unwrap();
        let asked: Vec<_> = asked.iter().map(|one| (one.r#type().unwrap().as_str(), one.value())).collect();
        assert_eq!(asked, [("VCPU", Some("4")), ("GPU", Some("1"))]);
    }
}
