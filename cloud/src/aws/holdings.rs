//! What the resources of a stack hold, and emptying them: S3, ECR, SQS, DynamoDB, Batch, Lambda.

use std::error::Error;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_batch::types::{JobStatus, JqState};
use aws_sdk_ecr::types::ImageIdentifier;
use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::connect;
use super::error::{code, failed, kind};
use super::objects::decoded;
use crate::error::{CloudError, Kind, Result};
use crate::holdings::{Holdings, LiveJob, Messages, Unfinished, Version};
use crate::ports::Page;

const EMPTY: &str = "empty the bucket";

/// What stacks hold, in one account and region.
#[derive(Debug, Clone)]
pub struct AwsHoldings {
    s3: aws_sdk_s3::Client,
    ecr: aws_sdk_ecr::Client,
    sqs: aws_sdk_sqs::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    batch: aws_sdk_batch::Client,
    lambda: aws_sdk_lambda::Client,
    secrets: aws_sdk_secretsmanager::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
}

impl AwsHoldings {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            s3: connect::s3(config),
            ecr: aws_sdk_ecr::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            batch: aws_sdk_batch::Client::new(config),
            lambda: aws_sdk_lambda::Client::new(config),
            secrets: aws_sdk_secretsmanager::Client::new(config),
            logs: aws_sdk_cloudwatchlogs::Client::new(config),
        }
    }
}

/// Done, also where what was to go is not there.
fn gone<T, E>(
    operation: &'static str,
    target: &str,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<()>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match answer {
        Ok(_) => Ok(()),
        Err(error) if kind(&error) == Kind::NotFound => Ok(()),
        Err(error) => Err(failed(operation, target, &error)),
    }
}

/// Where a list of versions goes on: a version and its key, for a key may hold anything.
fn place(from: Option<&str>) -> (Option<String>, Option<String>) {
    match from.and_then(|from| from.split_once('\n')) {
        Some((id, key)) => (Some(key.to_owned()), Some(id.to_owned()).filter(|id| !id.is_empty())),
        None => (None, None),
    }
}

#[async_trait]
impl Holdings for AwsHoldings {
    async fn versions(&self, bucket: &str, from: Option<&str>) -> Result<Page<Version>> {
        let (key, id) = place(from);
        let request = self.s3.list_object_versions().bucket(bucket).encoding_type(EncodingType::Url);
        let answer = request.set_key_marker(key).set_version_id_marker(id).send().await;
        let answer = answer.map_err(|error| failed("list the versions of", bucket, &error))?;
        let id = |id: Option<&str>| id.unwrap_or("null").to_owned();
        let mut items: Vec<Version> = answer
            .versions()
            .iter()
            .filter_map(|one| {
                Some(Version {
                    key: decoded(one.key()?),
                    id: id(one.version_id()),
                    size: one.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                    latest: one.is_latest().unwrap_or(false),
                    marker: false,
                })
            })
            .collect();
        items.extend(answer.delete_markers().iter().filter_map(|one| {
            let latest = one.is_latest().unwrap_or(false);
            Some(Version {
                key: decoded(one.key()?),
                id: id(one.version_id()),
                size: 0,
                latest,
                marker: true,
            })
        }));
        let more = answer.is_truncated().unwrap_or(false);
        let next = answer
            .next_key_marker()
            .filter(|_| more)
            .map(|key| format!("{}\n{}", answer.next_version_id_marker().unwrap_or_default(), decoded(key)));
        Ok(Page { items, next })
    }

    async fn remove_versions(&self, bucket: &str, versions: &[Version]) -> Result<()> {
        let invalid = |error: aws_sdk_s3::error::BuildError| {
            CloudError::new(EMPTY, bucket, Kind::Invalid).because(error)
        };
        let mut request = Delete::builder().quiet(true);
        for version in versions {
            let object = ObjectIdentifier::builder().key(&version.key).version_id(&version.id).build();
            request = request.objects(object.map_err(invalid)?);
        }
        let request = request.build().map_err(invalid)?;
        let answer = self.s3.delete_objects().bucket(bucket).delete(request).send().await;
        let answer = answer.map_err(|error| failed(EMPTY, bucket, &error))?;
        match answer.errors().iter().find(|error| error.code() != Some("NoSuchVersion")) {
            None => Ok(()),
            Some(error) => {
                let (count, code) = (answer.errors().len(), error.code().unwrap_or("no reason given"));
                let kind = super::error::kind_of_code(code).unwrap_or(Kind::Other);
                let said = error.message().unwrap_or_default();
                Err(CloudError::new(EMPTY, bucket, kind)
                    .because(format!("{count} of {} objects stay: {code}: {said}", versions.len())))
            }
        }
    }

    async fn unfinished(&self, bucket: &str, from: Option<&str>) -> Result<Page<Unfinished>> {
        let (key, id) = place(from);
        let request = self.s3.list_multipart_uploads().bucket(bucket).encoding_type(EncodingType::Url);
        let answer = request.set_key_marker(key).set_upload_id_marker(id).send().await;
        let answer = answer.map_err(|error| failed("list the uploads to", bucket, &error))?;
        let items = answer
            .uploads()
            .iter()
            .filter_map(|one| Some(Unfinished { key: decoded(one.key()?), id: one.upload_id()?.to_owned() }));
        let more = answer.is_truncated().unwrap_or(false);
        let next = answer
            .next_key_marker()
            .filter(|_| more)
            .map(|key| format!("{}\n{}", answer.next_upload_id_marker().unwrap_or_default(), decoded(key)));
        Ok(Page { items: items.collect(), next })
    }

    async fn abort(&self, bucket: &str, upload: &Unfinished) -> Result<()> {
        let request = self.s3.abort_multipart_upload().bucket(bucket).key(&upload.key).upload_id(&upload.id);
        gone("throw away an upload to", bucket, request.send().await)
    }

    async fn images(&self, repository: &str, from: Option<&str>) -> Result<Page<String>> {
        let request = self.ecr.list_images().repository_name(repository);
        let answer = request.set_next_token(from.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| failed("list the images of", repository, &error))?;
        let mut items: Vec<String> =
            answer.image_ids().iter().filter_map(|one| one.image_digest().map(str::to_owned)).collect();
        // An image with two tags is listed twice.
        items.sort_unstable();
        items.dedup();
        Ok(Page { items, next: answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned) })
    }

    async fn remove_images(&self, repository: &str, digests: &[String]) -> Result<()> {
        let ids = digests.iter().map(|digest| ImageIdentifier::builder().image_digest(digest).build());
        let request = self.ecr.batch_delete_image().repository_name(repository);
        let answer = request.set_image_ids(Some(ids.collect())).send().await;
        let answer = answer.map_err(|error| failed("empty the repository", repository, &error))?;
        let missing = |code: &str| matches!(code, "ImageNotFound" | "ImageReferencedByManifestList");
        let left = answer.failures().iter().find(|left| {
            // What a list of several platforms still names goes once the list is gone.
            !left.failure_code().is_some_and(|code| missing(code.as_str()))
        });
        match left {
            None => Ok(()),
            Some(left) => Err(CloudError::new("empty the repository", repository, Kind::Other)
                .because(left.failure_reason().unwrap_or("ECR gives no reason").to_owned())),
        }
    }

    async fn messages(&self, queue: &str) -> Result<Messages> {
        use QueueAttributeName as Name;
        let names = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
            Name::ApproximateNumberOfMessagesDelayed,
        ];
        let request = self.sqs.get_queue_attributes().queue_url(queue);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|error| failed("count the messages of", queue, &error))?;
        let count =
            |name: &Name| answer.attributes().and_then(|known| known.get(name)?.parse().ok()).unwrap_or(0);
        let [waiting, in_flight, delayed] = names.each_ref().map(count);
        Ok(Messages { waiting, in_flight, delayed })
    }

    async fn rows(&self, table: &str) -> Result<u64> {
        let answer = self.dynamodb.describe_table().table_name(table).send().await;
        let answer = answer.map_err(|error| failed("count the rows of", table, &error))?;
        let count = answer.table().and_then(|table| table.item_count()).unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn jobs(&self, queue: &str, status: &str, from: Option<&str>) -> Result<Page<LiveJob>> {
        let request = self.batch.list_jobs().job_queue(queue).job_status(JobStatus::from(status));
        let answer = request.set_next_token(from.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| failed("list the jobs of", queue, &error))?;
        let items = answer.job_summary_list().iter().filter_map(|one| {
            let children = one.array_properties().and_then(|array| array.size());
            Some(LiveJob {
                id: one.job_id()?.to_owned(),
                name: one.job_name().unwrap_or_default().to_owned(),
                status: status.to_owned(),
                jobs: children.and_then(|size| u64::try_from(size).ok()).unwrap_or(1).max(1),
            })
        });
        let next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        Ok(Page { items: items.collect(), next })
    }

    async fn close_queue(&self, queue: &str) -> Result<()> {
        let answer = self.batch.update_job_queue().job_queue(queue).state(JqState::Disabled).send().await;
        match answer {
            Ok(_) => Ok(()),
            // Batch has one code for every request that it does not like.
            Err(error) if says(&error, &["does not exist", "not found", "being deleted"]) => Ok(()),
            Err(error) => Err(failed("close the job queue", queue, &error)),
        }
    }

    async fn end_job(&self, id: &str, reason: &str) -> Result<()> {
        gone("end the job", id, self.batch.terminate_job().job_id(id).reason(reason).send().await)
    }

    async fn stop_mapping(&self, id: &str) -> Result<bool> {
        let known = match self.lambda.get_event_source_mapping().uuid(id).send().await {
            Ok(known) => known,
            Err(error) if kind(&error) == Kind::NotFound => return Ok(true),
            Err(error) => return Err(failed("look at the mapping", id, &error)),
        };
        match known.state() {
            Some("Disabled") => return Ok(true),
            Some("Disabling" | "Deleting" | "Updating" | "Creating" | "Enabling") => return Ok(false),
            _ => {}
        }
        let answer = self.lambda.update_event_source_mapping().uuid(id).enabled(false).send().await;
        match answer {
            Ok(answer) => Ok(answer.state() == Some("Disabled")),
            Err(error) if kind(&error) == Kind::NotFound => Ok(true),
            // In the midst of another change of it.
            Err(error) if code(&error) == "ResourceInUseException" => Ok(false),
            Err(error) => Err(failed("stop the mapping", id, &error)),
        }
    }

    async fn remove(&self, of: &str, name: &str) -> Result<()> {
        match of {
            "AWS::S3::Bucket" => {
                gone("remove the bucket", name, self.s3.delete_bucket().bucket(name).send().await)
            }
            "AWS::DynamoDB::Table" => {
                gone("remove the table", name, self.dynamodb.delete_table().table_name(name).send().await)
            }
            "AWS::ECR::Repository" => {
                let request = self.ecr.delete_repository().repository_name(name).force(true);
                gone("remove the repository", name, request.send().await)
            }
            "AWS::SecretsManager::Secret" => {
                let request = self.secrets.delete_secret().secret_id(name);
                let answer = request.force_delete_without_recovery(true).send().await;
                gone("remove the secret", name, answer)
            }
            "AWS::Logs::LogGroup" => {
                let answer = self.logs.delete_log_group().log_group_name(name).send().await;
                gone("remove the log group", name, answer)
            }
            _ => Err(CloudError::new("remove", name, Kind::Invalid)
                .because(format!("this program cannot remove what is an {of} by itself"))),
        }
    }
}

fn says<E>(error: &SdkError<E, HttpResponse>, words: &[&str]) -> bool
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let said = error.as_service_error().and_then(|service| service.meta().message()).unwrap_or_default();
    words.iter().any(|word| said.contains(word))
}
