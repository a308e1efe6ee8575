//! The bucket of what stacks are made from: S3.
//!
//! Every request names the account that has to own the bucket, so that one that somebody else made by our name is
//! refused by S3 itself: nothing is put there, and no template or program of theirs is ever used.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule,
};

use super::connect;
use super::error::{code, failed, status};
use crate::artefacts::Artefacts;
use crate::error::{CloudError, Kind, Result};
use crate::survey::Here;

const MAKE: &str = "make the bucket";
const LOOK: &str = "look at the bucket";

/// Buckets for what stacks are made from.
#[derive(Debug, Clone)]
pub struct S3Artefacts {
    client: Client,
    /// Where S3 is, where it is not AWS's.
    endpoint: Option<String>,
}

impl S3Artefacts {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self { client: connect::s3(config), endpoint: connect::endpoint_of(config, "S3") }
    }

    /// Private, encrypted, over TLS alone. Again on a bucket that is so, it changes nothing.
    async fn close(&self, bucket: &str, here: &Here) -> Result<()> {
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .block_public_policy(true)
            .ignore_public_acls(true)
            .restrict_public_buckets(true)
            .build();
        let request = self.client.put_public_access_block().bucket(bucket);
        let request = request.expected_bucket_owner(&here.account).public_access_block_configuration(block);
        request.send().await.map_err(|error| failed("close the bucket", bucket, &error))?;

        let invalid = |error: aws_sdk_s3::error::BuildError| {
            CloudError::new("encrypt the bucket", bucket, Kind::Invalid).because(error)
        };
        let by_default =
            ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256).build();
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(by_default.map_err(invalid)?);
        let rules = ServerSideEncryptionConfiguration::builder().rules(rule.build()).build();
        let request = self.client.put_bucket_encryption().bucket(bucket);
        let request = request
            .expected_bucket_owner(&here.account)
            .server_side_encryption_configuration(rules.map_err(invalid)?);
        request.send().await.map_err(|error| failed("encrypt the bucket", bucket, &error))?;

        let partition = partition(&here.region);
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"TlsOnly","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:{partition}:s3:::{bucket}","arn:{partition}:s3:::{bucket}/*"],"Condition":{{"Bool":{{"aws:SecureTransport":"false"}}}}}}]}}"#
        );
        // A store without TLS would refuse everything from here on.
        if self.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http:")) {
            return Ok(());
        }
        let request = self.client.put_bucket_policy().bucket(bucket).expected_bucket_owner(&here.account);
        request.policy(policy).send().await.map_err(|error| failed("close the bucket", bucket, &error))?;
        Ok(())
    }
}

#[async_trait]
impl Artefacts for S3Artefacts {
    async fn prepare(&self, bucket: &str, here: &Here) -> Result<bool> {
        let looked =
            self.client.head_bucket().bucket(bucket).expected_bucket_owner(&here.account).send().await;
        match looked {
            Ok(_) => return Ok(false),
            Err(error) if status(&error) == 404 => {}
            Err(error) if status(&error) == 403 => return Err(foreign(LOOK, bucket, here)),
            Err(error) => return Err(failed(LOOK, bucket, &error)),
        }
        // The first region of S3 must not be named.
        let place = (here.region != "us-east-1").then(|| {
            let place = BucketLocationConstraint::from(here.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let made =
            self.client.create_bucket().bucket(bucket).set_create_bucket_configuration(place).send().await;
        match made {
            Ok(_) => {}
            // Another call of ours was quicker.
            Err(error) if code(&error) == "BucketAlreadyOwnedByYou" => {}
            Err(error) if code(&error) == "BucketAlreadyExists" => return Err(foreign(MAKE, bucket, here)),
            Err(error) => return Err(failed(MAKE, bucket, &error)),
        }
        self.close(bucket, here).await?;
        Ok(true)
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>, here: &Here) -> Result<bool> {
        let target = format!("{bucket}/{key}");
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let looked = self.client.head_object().bucket(bucket).key(key).expected_bucket_owner(&here.account);
        match looked.send().await {
            Ok(found) if found.content_length() == Some(size) => return Ok(false),
            Ok(_) => {}
            // Whoever may not list a bucket is told 403 of what is not there; the write tells the truth.
            Err(error) if matches!(status(&error), 403 | 404) => {}
            Err(error) => return Err(failed("look at", target, &error)),
        }
        let put = self.client.put_object().bucket(bucket).key(key).expected_bucket_owner(&here.account);
        match put.body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(true),
            Err(error) => Err(failed("write", target, &error)),
        }
    }

    fn url(&self, bucket: &str, key: &str, here: &Here) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
            None => {
                let suffix =
                    if partition(&here.region) == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
                format!("https://{bucket}.s3.{}.{suffix}/{key}", here.region)
            }
        }
    }
}

/// The bucket is somebody else's, or these credentials may not look at it; S3 says the same of both.
fn foreign(operation: &'static str, bucket: &str, here: &Here) -> CloudError {
    let account = &here.account;
    CloudError::new(operation, bucket, Kind::Denied).because(format!(
        "another account has a bucket of this name, or these credentials may not look at it; nothing is put into a \
         bucket that account {account} does not own"
    ))
}

/// The part of AWS that a region is in.
fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}
