//! Files to objects, in constant memory: one request where the file is small, parts where it is not.
//!
//! The key shows only when the object is whole, in both ways. Parts of an upload that failed are thrown away; those of
//! one that was cancelled or whose process died stay until the bucket's lifecycle rule removes them.

use std::path::{Path, PathBuf};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_types::byte_stream::Length;
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use shepard_model::ObjectRef;

use super::error::failed;
use crate::error::{CloudError, Result};

/// Largest file that is sent in one request, and the least size of a part of a larger one.
const PART: u64 = 16 << 20;
/// Most parts (S3 user guide, 2026-11).
const PARTS: u64 = 10_000;
/// Parts under way at once.
const AT_ONCE: usize = 4;

/// Sends a file; gives the version that it became, where the bucket keeps versions.
pub(super) async fn upload(client: &Client, from: &Path, to: &ObjectRef) -> Result<Option<String>> {
    let size = tokio::fs::metadata(from)
        .await
        .and_then(|meta| if meta.is_file() { Ok(meta.len()) } else { Err(not_a_file()) })
        .map_err(|error| CloudError::io("upload", from.display().to_string(), error))?;
    if size <= PART { whole(client, from, to).await } else { in_parts(client, from, to, size).await }
}

fn not_a_file() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a file")
}

/// Sixteen megabytes take a slow line longer than any small request; one that stalls is ended by the SDK's own watch
/// over the stream.
pub(super) fn patient() -> Builder {
    let timeouts = TimeoutConfig::builder()
        .disable_operation_attempt_timeout()
        .disable_operation_timeout()
        .disable_read_timeout();
    Builder::new().timeout_config(timeouts.build())
}

async fn whole(client: &Client, from: &Path, to: &ObjectRef) -> Result<Option<String>> {
    let body = part(from, 0, None).await?;
    let request = client.put_object().bucket(&to.bucket).key(&to.key).body(body);
    let answer = request.customize().config_override(patient()).send().await;
    let answer = answer.map_err(|error| failed("upload", to.to_string(), &error))?;
    Ok(answer.version_id().map(str::to_owned))
}

async fn in_parts(client: &Client, from: &Path, to: &ObjectRef, size: u64) -> Result<Option<String>> {
    let begun = client.create_multipart_upload().bucket(&to.bucket).key(&to.key).send().await;
    let begun = begun.map_err(|error| failed("upload", to.to_string(), &error))?;
    let id = begun.upload_id().unwrap_or_default();
    let sent = async {
        let parts = send_parts(client, from, to, id, size).await?;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = client.complete_multipart_upload().bucket(&to.bucket).key(&to.key).upload_id(id);
        // Putting ten thousand parts together takes S3 minutes.
        let answer = request.multipart_upload(parts).customize().config_override(patient()).send().await;
        answer.map_err(|error| failed("upload", to.to_string(), &error))
    };
    match sent.await {
        Ok(answer) => Ok(answer.version_id().map(str::to_owned)),
        Err(error) => {
            let abort = client.abort_multipart_upload().bucket(&to.bucket).key(&to.key).upload_id(id);
            if let Err(left) = abort.send().await {
                let left = failed("throw away the parts of", to.to_string(), &left);
                tracing::warn!(%left, "parts of an upload stay until the bucket's lifecycle rule removes them");
            }
            Err(error)
        }
    }
}

async fn send_parts(
    client: &Client,
    from: &Path,
    to: &ObjectRef,
    id: &str,
    size: u64,
) -> Result<Vec<CompletedPart>> {
    let each = size.div_ceil(PARTS).max(PART);
    let sends = (0..size).step_by(usize::try_from(each).unwrap_or(usize::MAX)).zip(1..).map(
        |(start, number): (u64, i32)| async move {
            let body = part(from, start, Some(each.min(size - start))).await?;
            let request = client.upload_part().bucket(&to.bucket).key(&to.key).upload_id(id);
            let request = request.part_number(number).body(body).customize().config_override(patient());
            let answer = request.send().await.map_err(|error| failed("upload", to.to_string(), &error))?;
            let done = CompletedPart::builder().part_number(number);
            Ok::<_, CloudError>(
                done.set_e_tag(answer.e_tag().map(str::to_owned))
                    .set_checksum_crc32(answer.checksum_crc32().map(str::to_owned))
                    .build(),
            )
        },
    );
    stream::iter(sends).buffered(AT_ONCE).try_collect().await
}

/// A piece of a file, read as it is sent, and read again where it has to be sent again.
async fn part(from: &Path, start: u64, length: Option<u64>) -> Result<ByteStream> {
    let read = ByteStream::read_from().path(from).offset(start);
    let read = match length {
        Some(length) => read.length(Length::Exact(length)),
        None => read,
    };
    let failed = |error: aws_smithy_types::byte_stream::error::Error| {
        CloudError::io("upload", from.display().to_string(), error.into())
    };
    read.build().await.map_err(failed)
}

/// A file that goes away unless it is kept.
pub(super) struct Remove(Option<PathBuf>);

impl Remove {
    pub(super) fn new(path: &Path) -> Self {
        Self(Some(path.to_owned()))
    }

    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Remove {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // There may be no such file any longer; there is nothing else to do about it.
            std::fs::remove_file(path).ok();
        }
    }
}
