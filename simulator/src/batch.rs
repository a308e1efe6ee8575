//! AWS Batch: SubmitJob at its fixed rate, jobs and array jobs, and lists that lag behind.
//!
//! Pure state. Submitting a name twice makes two jobs, as on AWS.

use std::collections::VecDeque;

use hashbrown::HashMap;
use shepard_cloud::ports::{ComputeDetail, ComputeJob, ComputeState, JobRequest};
use shepard_cloud::{CloudError, Kind, Result};

use crate::meter::Meter;
use crate::quotas::Quotas;

/// How long a job stays in SUBMITTED before Batch has looked at its dependencies, in microseconds.
const SUBMITTED_US: u64 = 10_000_000;

/// A job that was taken.
#[derive(Debug)]
pub struct Job {
    /// Batch's id.
    pub id: String,
    /// What was asked for.
    pub request: JobRequest,
    /// Where it stands.
    pub state: ComputeState,
    /// Somebody stopped it.
    pub terminated: bool,
    /// From when on ListJobs shows it.
    shows_us: u64,
}

/// Batch in one account and region.
#[derive(Debug)]
pub struct Batch {
    /// SubmitJob.
    pub submits: Meter,
    /// ListJobs, DescribeJobs, TerminateJob: one meter each.
    pub others: [Meter; 3],
    jobs: Vec<Job>,
    names: HashMap<String, Vec<usize>>,
    submitted: VecDeque<(u64, u32)>,
    in_submitted: u64,
    /// Most that were in SUBMITTED at once.
    pub peak: u64,
    children: u32,
    most: u64,
    payload: usize,
    described: usize,
}

/// Which of [`Batch::others`].
#[derive(Debug, Clone, Copy)]
pub enum Other {
    /// ListJobs.
    List,
    /// DescribeJobs.
    Describe,
    /// TerminateJob.
    Terminate,
}

impl Batch {
    /// No jobs. `factor` is on all rates, `share` on that of SubmitJob.
    pub fn new(quotas: &Quotas, share: f64, factor: f64) -> Self {
        let burst = quotas.batch_burst.value;
        let other = Meter::new("batch_other", quotas.batch_other.value * factor, burst);
        Self {
            submits: Meter::new("batch_submit", quotas.batch_submit.value * share * factor, burst),
            others: [other.clone(), other.clone(), other],
            jobs: Vec::new(),
            names: HashMap::new(),
            submitted: VecDeque::new(),
            in_submitted: 0,
            peak: 0,
            children: quotas.batch_children.value as u32,
            most: quotas.batch_submitted.value as u64,
            payload: quotas.batch_payload.value as usize,
            described: quotas.batch_described.value as usize,
        }
    }

    /// Every job, oldest first.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// One of them.
    pub fn job_mut(&mut self, index: usize) -> Option<&mut Job> {
        self.jobs.get_mut(index)
    }

    /// SubmitJob: which job it became.
    ///
    /// # Errors
    /// Too fast, too large, or too many in SUBMITTED.
    pub fn submit(&mut self, now_us: u64, request: &JobRequest, lag_us: u64) -> Result<usize> {
        let refused = |kind| CloudError::new("submit the job", &request.name, kind);
        if !self.submits.charge(now_us, 1.0) {
            return Err(refused(Kind::Throttled));
        }
        let bytes: usize =
            request.environment.iter().map(|(name, value)| name.len() + value.len() + 24).sum();
        if request.children == 0 || request.children > self.children || bytes + 500 > self.payload {
            return Err(refused(Kind::Invalid));
        }
        while self.submitted.front().is_some_and(|(at, _)| at + SUBMITTED_US <= now_us) {
            self.in_submitted -= self.submitted.pop_front().map_or(0, |(_, count)| u64::from(count));
        }
        let children = u64::from(request.children);
        if self.in_submitted + children > self.most {
            return Err(refused(Kind::Throttled));
        }
        self.in_submitted += children;
        self.peak = self.peak.max(self.in_submitted);
        self.submitted.push_back((now_us, request.children));
        let index = self.jobs.len();
        self.jobs.push(Job {
            id: format!("job-{index:06}"),
            request: request.clone(),
            state: ComputeState::Runnable,
            terminated: false,
            shows_us: now_us + lag_us,
        });
        self.names.entry(request.name.clone()).or_default().push(index);
        Ok(index)
    }

    fn other(&mut self, which: Other, now_us: u64, operation: &'static str, target: &str) -> Result<()> {
        match self.others[which as usize].charge(now_us, 1.0) {
            true => Ok(()),
            false => Err(CloudError::new(operation, target, Kind::Throttled)),
        }
    }

    /// ListJobs by name, newest first. A job that was just submitted may be missing.
    ///
    /// # Errors
    /// Too fast.
    pub fn find(&mut self, now_us: u64, name: &str) -> Result<Vec<ComputeJob>> {
        self.other(Other::List, now_us, "look for the job", name)?;
        let known = self.names.get(name).map_or(&[][..], Vec::as_slice);
        let shown = known.iter().rev().map(|index| &self.jobs[*index]).filter(|job| job.shows_us <= now_us);
        Ok(shown.map(seen).collect())
    }

    /// DescribeJobs, up to 100 ids.
    ///
    /// # Errors
    /// Too fast, or too many ids.
    pub fn describe(&mut self, now_us: u64, ids: &[String]) -> Result<Vec<ComputeJob>> {
        self.other(Other::Describe, now_us, "describe the jobs", "")?;
        if ids.len() > self.described {
            return Err(CloudError::new("describe the jobs", "", Kind::Invalid));
        }
        Ok(ids.iter().filter_map(|id| self.described(id)).collect())
    }

    fn described(&self, id: &str) -> Option<ComputeJob> {
        let (parent, child) = id.split_once(':').map_or((id, None), |(parent, child)| (parent, Some(child)));
        let job = self.jobs.get(parent.strip_prefix("job-")?.parse::<usize>().ok()?)?;
        let mut shown = seen(job);
        if let Some(child) = child {
            shown.id = format!("{parent}:{child}");
        }
        Some(shown)
    }

    /// TerminateJob.
    ///
    /// # Errors
    /// Too fast.
    pub fn terminate(&mut self, now_us: u64, id: &str) -> Result<()> {
        self.other(Other::Terminate, now_us, "stop the job", id)?;
        let index = id.strip_prefix("job-").and_then(|number| number.parse::<usize>().ok());
        if let Some(job) = index.and_then(|index| self.jobs.get_mut(index))
            && job.state != ComputeState::Succeeded
        {
            (job.terminated, job.state) = (true, ComputeState::Failed);
        }
        Ok(())
    }
}

fn seen(job: &Job) -> ComputeJob {
    let (id, name) = (job.id.clone(), job.request.name.clone());
    let reason = job.terminated.then(|| "terminated".to_owned());
    ComputeJob { id, name, state: job.state, reason, attempts: 1, detail: ComputeDetail::default() }
}
