//! The port to what an account has already, which a new stack has to fit into: key pairs, networks, instance types,
//! names that are taken, what the quotas are used for.
//!
//! Each question is asked by itself, so that one that may not be asked leaves the others. Nothing here changes
//! anything.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Id.
    pub id: String,
    /// Its tag `Name`.
    pub name: Option<String>,
    /// Its IPv4 ranges.
    pub cidrs: Vec<String>,
    /// It is the default VPC.
    pub is_default: bool,
}

/// A type of instance that the region offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceType {
    /// `r5.16xlarge`.
    pub name: String,
    /// vCPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// `x86_64`, `arm64`.
    pub architectures: Vec<String>,
}

/// Whose a bucket's name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketName {
    /// Nobody's.
    Free,
    /// Of a bucket that these credentials reach.
    Ours,
    /// Of a bucket of somebody else's, or one that these credentials do not reach.
    Taken,
}

/// Of whom these credentials are, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Here {
    /// Number of the account.
    pub account: String,
    /// Region.
    pub region: String,
}

/// What an account has, in one region.
#[async_trait]
pub trait Surveyor: Send + Sync {
    /// The account and the region.
    async fn here(&self) -> Result<Here>;
    /// Names of the key pairs.
    async fn key_pairs(&self) -> Result<Vec<String>>;
    /// The VPCs.
    async fn networks(&self) -> Result<Vec<Network>>;
    /// Names of the availability zones in use.
    async fn zones(&self) -> Result<Vec<String>>;
    /// The types of instances by these names: a type (`r5.large`), or a family (`r5`) with all its sizes. What the
    /// region does not offer is left out; `optimal` stands for nothing here.
    async fn instance_types(&self, names: &[String]) -> Result<Vec<InstanceType>>;
    /// How many job queues of Batch there are.
    async fn job_queues(&self) -> Result<usize>;
    /// How many compute environments of Batch there are.
    async fn compute_environments(&self) -> Result<usize>;
    /// Whose a bucket's name is.
    async fn bucket(&self, name: &str) -> Result<BucketName>;
}
