//! What an account has already: EC2, Batch, S3 and STS, asked and never changed.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ec2::types::Filter;

use super::connect;
use super::error::{failed, status};
use crate::error::{CloudError, Kind, Result};
use crate::survey::{BucketName, Here, InstanceType, Network, Surveyor};

/// An account in a region.
#[derive(Debug, Clone)]
pub struct Account {
    region: Option<String>,
    ec2: aws_sdk_ec2::Client,
    batch: aws_sdk_batch::Client,
    s3: aws_sdk_s3::Client,
    sts: aws_sdk_sts::Client,
}

impl Account {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            region: config.region().map(|region| region.as_ref().to_owned()),
            ec2: aws_sdk_ec2::Client::new(config),
            batch: aws_sdk_batch::Client::new(config),
            s3: connect::s3(config),
            sts: aws_sdk_sts::Client::new(config),
        }
    }
}

#[async_trait]
impl Surveyor for Account {
    async fn here(&self) -> Result<Here> {
        let operation = "find out the account";
        let none = || {
            let missing = CloudError::new(operation, "", Kind::Invalid);
            missing.because("no region is set; say --region, or set AWS_REGION")
        };
        let region = self.region.clone().ok_or_else(none)?;
        let answer = self.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| failed(operation, "", &error))?;
        Ok(Here { account: answer.account().unwrap_or_default().to_owned(), region })
    }

    async fn key_pairs(&self) -> Result<Vec<String>> {
        let answer = self.ec2.describe_key_pairs().send().await;
        let answer = answer.map_err(|error| failed("list the key pairs", "", &error))?;
        Ok(answer.key_pairs().iter().filter_map(|pair| pair.key_name().map(str::to_owned)).collect())
    }

    async fn networks(&self) -> Result<Vec<Network>> {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let answer = self.ec2.describe_vpcs().set_next_token(from).send().await;
            let answer = answer.map_err(|error| failed("list the VPCs", "", &error))?;
            found.extend(answer.vpcs().iter().map(|vpc| {
                let mut cidrs: Vec<String> = vpc.cidr_block().map(str::to_owned).into_iter().collect();
                for more in vpc.cidr_block_association_set().iter().filter_map(|one| one.cidr_block()) {
                    if !cidrs.iter().any(|known| known == more) {
                        cidrs.push(more.to_owned());
                    }
                }
                let name = vpc.tags().iter().find(|tag| tag.key() == Some("Name"));
                Network {
                    id: vpc.vpc_id().unwrap_or_default().to_owned(),
                    name: name.and_then(|tag| tag.value()).map(str::to_owned),
                    cidrs,
                    is_default: vpc.is_default().unwrap_or(false),
                }
            }));
            from = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if from.is_none() {
                return Ok(found);
            }
        }
    }

    async fn zones(&self) -> Result<Vec<String>> {
        let in_use = Filter::builder().name("state").values("available").build();
        // Not those at the edge, where neither Batch nor a NAT is.
        let usual = Filter::builder().name("zone-type").values("availability-zone").build();
        let answer = self.ec2.describe_availability_zones().filters(in_use).filters(usual).send().await;
        let answer = answer.map_err(|error| failed("list the availability zones", "", &error))?;
        let zones = answer.availability_zones().iter();
        Ok(zones.filter_map(|zone| zone.zone_name().map(str::to_owned)).collect())
    }

    async fn instance_types(&self, names: &[String]) -> Result<Vec<InstanceType>> {
        let wanted = names.iter().filter(|name| !matches!(name.as_str(), "optimal" | ""));
        let patterns: Vec<String> =
            wanted.map(|name| if name.contains('.') { name.clone() } else { format!("{name}.*") }).collect();
        let mut found = Vec::new();
        // A filter takes 200 values.
        for patterns in patterns.chunks(200) {
            let filter = Filter::builder().name("instance-type").set_values(Some(patterns.to_vec())).build();
            let mut from = None;
            loop {
                let request = self.ec2.describe_instance_types().filters(filter.clone()).set_next_token(from);
                let answer = request.send().await;
                let answer = answer.map_err(|error| failed("list the instance types", "", &error))?;
                found.extend(answer.instance_types().iter().filter_map(instance_type));
                from = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    async fn job_queues(&self) -> Result<usize> {
        let (mut count, mut from) = (0, None);
        loop {
            let answer = self.batch.describe_job_queues().set_next_token(from).send().await;
            let answer = answer.map_err(|error| failed("count the job queues", "", &error))?;
            count += answer.job_queues().len();
            from = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if from.is_none() {
                return Ok(count);
            }
        }
    }

    async fn compute_environments(&self) -> Result<usize> {
        let (mut count, mut from) = (0, None);
        loop {
            let answer = self.batch.describe_compute_environments().set_next_token(from).send().await;
            let answer = answer.map_err(|error| failed("count the compute environments", "", &error))?;
            count += answer.compute_environments().len();
            from = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if from.is_none() {
                return Ok(count);
            }
        }
    }

    async fn bucket(&self, name: &str) -> Result<BucketName> {
        match self.s3.head_bucket().bucket(name).send().await {
            Ok(_) => Ok(BucketName::Ours),
            // An answer to HEAD has no words: the status says it all. 301 is a bucket of another region.
            Err(error) => match status(&error) {
                404 => Ok(BucketName::Free),
                403 | 301 => Ok(BucketName::Taken),
                _ => Err(failed("look at the bucket", name, &error)),
            },
        }
    }
}

fn instance_type(found: &aws_sdk_ec2::types::InstanceTypeInfo) -> Option<InstanceType> {
    let architectures = found.processor_info().map(|info| info.supported_architectures()).unwrap_or_default();
    Some(InstanceType {
        name: found.instance_type()?.as_str().to_owned(),
        vcpus: found.v_cpu_info()?.default_v_cpus().and_then(|count| u32::try_from(count).ok())?,
        memory_mib: found.memory_info()?.size_in_mib().and_then(|size| u64::try_from(size).ok())?,
        architectures: architectures.iter().map(|one| one.as_str().to_owned()).collect(),
    })
}
