//! A port that this program was not given: every call is an error that says so.
//!
//! A program is given the ports it needs and no more. The Lambda functions have no business with logs or secrets and
//! no permission to them; a fault that reaches for one anyway is told, and nothing is made up.

use async_trait::async_trait;
use shepard_model::LogLine;

use crate::error::{CloudError, Kind, Result};
use crate::ports::{
    Compute, ComputeJob, Depth, JobRequest, LogFrom, LogPage, Logs, Message, Queue, Secret, Secrets, Written,
};

/// Stands where a port would be. Every call answers `Invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Absent;

fn absent<T>(operation: &'static str) -> Result<T> {
    Err(CloudError::new(operation, "", Kind::Invalid).because("this program was not set up for it"))
}

#[async_trait]
impl Queue for Absent {
    async fn send(&self, _: &[String], _: i64) -> Result<()> {
        absent("send messages")
    }
    async fn receive(&self, _: usize, _: i64) -> Result<Vec<Message>> {
        absent("receive messages")
    }
    async fn delete(&self, _: &[String]) -> Result<()> {
        absent("delete messages")
    }
    async fn release(&self, _: &str, _: i64) -> Result<()> {
        absent("release a message")
    }
    async fn depth(&self) -> Result<Depth> {
        absent("measure the queue")
    }
    async fn redrive(&self) -> Result<u64> {
        absent("move dead letters")
    }
}

#[async_trait]
impl Compute for Absent {
    async fn submit(&self, _: &JobRequest) -> Result<String> {
        absent("submit a job")
    }
    async fn find(&self, _: &str) -> Result<Vec<ComputeJob>> {
        absent("find a job")
    }
    async fn describe(&self, _: &[String]) -> Result<Vec<ComputeJob>> {
        absent("describe jobs")
    }
    async fn terminate(&self, _: &str, _: &str) -> Result<()> {
        absent("stop a job")
    }
}

#[async_trait]
impl Logs for Absent {
    async fn append(&self, _: &str, _: &[LogLine]) -> Result<()> {
        absent("write a log")
    }
    async fn read(&self, _: &str, _: &LogFrom, _: usize) -> Result<LogPage> {
        absent("read a log")
    }
}

#[async_trait]
impl Secrets for Absent {
    async fn read(&self) -> Result<Vec<Secret>> {
        absent("read the secrets")
    }
    async fn write(&self, _: &[Secret]) -> Result<Written> {
        absent("replace the secrets")
    }
}
