//! Objects: S3.
//!
//! Small reads and writes are one request each; whole files go in parts, in constant memory. Keys are passed as they
//! are. What this program writes must be a key that could be a path, so that nothing it makes can lead out of a
//! folder when it is downloaded; what others have written is read whatever its name is.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::EncodingType;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::byte_stream::error::Error as ByteError;
use shepard_model::ObjectRef;
use shepard_model::names::key_problem;

use super::error::{code, failed, status};
use super::writer::S3Writer;
use super::{download, mark, upload};
use crate::error::{CloudError, Kind, Result};
use crate::ports::{Clock, ObjectMeta, Objects, Page, Part, Range, Writer};

/// How often a conditional write is tried while S3 says that another is under way, and the wait between two tries.
const PUT_TRIES: u32 = 5;
const PUT_WAIT_MS: u64 = 100;
/// Metadata by which a writer knows its own object again.
pub(super) const WRITER: &str = "shepard-writer";

/// The objects of an account. Clones share their connections.
#[derive(Clone)]
pub struct S3Objects {
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
}

impl S3Objects {
    pub(super) fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock }
    }

    pub(super) async fn head_of(&self, object: &ObjectRef) -> Result<HeadObjectOutput> {
        readable("look at", object)?;
        let request = self.client.head_object().bucket(&object.bucket).key(&object.key);
        let error = match request.set_version_id(object.version.clone()).send().await {
            Ok(head) => return Ok(head),
            Err(error) => error,
        };
        // An answer to HEAD has no body and so no reason. Where the status does not say it all, a GET does.
        if matches!(status(&error), 400 | 403 | 405)
            && let Err(error) = self.get_range(object, Some("bytes=0-0".to_owned())).await
        {
            return Err(read_failed("look at", object, &error));
        }
        Err(failed("look at", object.to_string(), &error))
    }

    async fn get_range(
        &self,
        object: &ObjectRef,
        range: Option<String>,
    ) -> std::result::Result<GetObjectOutput, SdkError<GetObjectError, HttpResponse>> {
        let request = self.client.get_object().bucket(&object.bucket).key(&object.key);
        request.set_version_id(object.version.clone()).set_range(range).send().await
    }

    /// Whether the object that is there is the one that this writer wrote.
    pub(super) async fn is_ours(&self, object: &ObjectRef, writer: &str) -> Result<bool> {
        match self.head_of(object).await {
            Ok(head) => {
                Ok(head.metadata().and_then(|known| known.get(WRITER)).is_some_and(|by| by == writer))
            }
            Err(error) if error.kind == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Objects for S3Objects {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta> {
        Ok(meta(object, &self.head_of(object).await?))
    }

    async fn get(&self, object: &ObjectRef, range: Range) -> Result<Part> {
        readable("read", object)?;
        let asked = match range {
            Range::From { length: 0, .. } | Range::Suffix(0) => {
                let size = self.head(object).await?.size;
                let start = if let Range::From { start, .. } = range { start.min(size) } else { size };
                return Ok(Part { bytes: Vec::new(), start, total: size });
            }
            Range::From { start, length } => {
                format!("bytes={start}-{}", start.saturating_add(length - 1).min(i64::MAX.unsigned_abs()))
            }
            Range::Suffix(length) => format!("bytes=-{}", length.min(i64::MAX.unsigned_abs())),
        };
        let answer = match self.get_range(object, Some(asked)).await {
            Ok(answer) => answer,
            // No byte of the object is in the range: it is empty, or it ends before.
            Err(error) if status(&error) == 416 => {
                let size = match total(header(&error, "content-range")) {
                    Some(size) => size,
                    None => self.head(object).await?.size,
                };
                return Ok(Part { bytes: Vec::new(), start: size, total: size });
            }
            Err(error) => return Err(read_failed("read", object, &error)),
        };
        let length = size(answer.content_length());
        let (start, whole) = match answer.content_range() {
            Some(given) => (first(given).unwrap_or(0), total(Some(given)).unwrap_or(length)),
            None => (0, length),
        };
        // A store that does not know ranges, or not of old versions, sends the whole object.
        let (skip, most) = match (answer.content_range(), range) {
            (Some(_), _) => (0, u64::MAX),
            (None, Range::From { start, length }) => (start, length),
            (None, Range::Suffix(length)) => (whole.saturating_sub(length), length),
        };
        let bytes = cut(answer.body, skip, most)
            .await
            .map_err(|error| CloudError::new("read", object.to_string(), Kind::Offline).because(error))?;
        let (start, total) = ((start + skip).min(whole), whole);
        Ok(Part { bytes, start, total })
    }

    async fn download(&self, object: &ObjectRef, to: &Path) -> Result<u64> {
        download::download(self, object, to).await
    }

    async fn resume(&self, object: &ObjectRef, to: &Path) -> Result<u64> {
        download::resume(self, object, to).await
    }

    async fn upload(&self, from: &Path, to: &ObjectRef) -> Result<ObjectMeta> {
        writable("upload", to)?;
        let version = upload::upload(&self.client, from, to).await?;
        // What the store says of it: its clock, its size.
        self.head(&ObjectRef { version, ..to.clone() }).await
    }

    async fn begin(&self, to: &ObjectRef) -> Result<Box<dyn Writer>> {
        writable("upload", to)?;
        Ok(Box::new(S3Writer::new(self.clone(), to)))
    }

    async fn put_new(&self, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
        writable("write", object)?;
        let writer = mark();
        for _ in 0..PUT_TRIES {
            let request = self.client.put_object().bucket(&object.bucket).key(&object.key).if_none_match("*");
            let request = request.metadata(WRITER, &writer).body(ByteStream::from(bytes.to_vec()));
            let Err(error) = request.send().await else { return Ok(true) };
            match (status(&error), code(&error)) {
                // Taken, or an earlier try of this very call arrived and its answer did not.
                (412, _) => return self.is_ours(object, &writer).await,
                // Another write of the key is under way; who wins shows in a moment.
                (409, "ConditionalRequestConflict" | "OperationAborted" | "") => {
                    self.clock.sleep_ms(PUT_WAIT_MS).await;
                }
                _ => return Err(failed("write", object.to_string(), &error)),
            }
        }
        Err(CloudError::new("write", object.to_string(), Kind::Conflict)
            .because("other writes of the key are under way"))
    }

    async fn list(&self, bucket: &str, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>> {
        let answer = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            // The last key of the page before: it holds for ever, which a continuation token does not.
            .set_start_after(from.map(str::to_owned))
            // A key may hold what XML cannot.
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|error| failed("list", format!("{bucket}/{prefix}"), &error))?;
        let items: Vec<_> = answer
            .contents()
            .iter()
            .filter_map(|found| {
                let object = ObjectRef::new(bucket, decoded(found.key()?));
                Some(ObjectMeta {
                    object,
                    size: size(found.size()),
                    modified_ms: millis(found.last_modified()),
                })
            })
            .collect();
        let more = answer.is_truncated().unwrap_or(false);
        let next = items.last().filter(|_| more).map(|last| last.object.key.clone());
        Ok(Page { items, next })
    }

    async fn delete(&self, object: &ObjectRef) -> Result<()> {
        readable("delete", object)?;
        let request = self.client.delete_object().bucket(&object.bucket).key(&object.key);
        match request.set_version_id(object.version.clone()).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = failed("delete", object.to_string(), &error);
                if error.kind == Kind::NotFound { Ok(()) } else { Err(error) }
            }
        }
    }
}

/// A request that S3 has no way to take: an empty key is the bucket itself.
fn readable(operation: &'static str, object: &ObjectRef) -> Result<()> {
    match object.key.as_str() {
        "" => Err(CloudError::new(operation, object.to_string(), Kind::Invalid).because("the key is empty")),
        _ => Ok(()),
    }
}

/// A key that this program may write.
fn writable(operation: &'static str, object: &ObjectRef) -> Result<()> {
    let Some(problem) = key_problem(&object.key) else { return Ok(()) };
    Err(CloudError::new(operation, object.to_string(), Kind::Invalid).because(problem))
}

/// The error of a read. A version that is not there has three answers: by its id, by an id that is none, and by that
/// of a delete marker.
pub(super) fn read_failed(
    operation: &'static str,
    object: &ObjectRef,
    error: &SdkError<GetObjectError, HttpResponse>,
) -> CloudError {
    let mut failed = failed(operation, object.to_string(), error);
    let said = error.as_service_error().and_then(|service| service.meta().message()).unwrap_or_default();
    let gone = match code(error) {
        "InvalidArgument" => said.to_ascii_lowercase().contains("version id"),
        "MethodNotAllowed" | "PreconditionFailed" => true,
        _ => false,
    };
    if gone && (object.version.is_some() || status(error) == 412) {
        failed.kind = Kind::NotFound;
    }
    failed
}

fn meta(object: &ObjectRef, head: &HeadObjectOutput) -> ObjectMeta {
    ObjectMeta {
        object: ObjectRef { version: version(object, head.version_id()), ..object.clone() },
        size: size(head.content_length()),
        modified_ms: millis(head.last_modified()),
    }
}

/// The version of what was seen; None in a bucket that keeps none.
pub(super) fn version(asked: &ObjectRef, seen: Option<&str>) -> Option<String> {
    seen.map(str::to_owned).or_else(|| asked.version.clone())
}

pub(super) fn size(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

fn millis(at: Option<&DateTime>) -> i64 {
    at.and_then(|at| at.to_millis().ok()).unwrap_or(0)
}

fn header<'a, E>(error: &'a SdkError<E, HttpResponse>, name: &str) -> Option<&'a str> {
    error.raw_response()?.headers().get(name)
}

/// At most `most` bytes of a body, from the one at `skip`. No more of it is ever held.
async fn cut(mut body: ByteStream, mut skip: u64, most: u64) -> Result<Vec<u8>, ByteError> {
    let mut bytes = Vec::new();
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    while let Some(some) = body.try_next().await? {
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(some.len());
        skip -= skipped as u64;
        bytes.extend(some[skipped..].iter().take(most - bytes.len()));
        if bytes.len() == most {
            break;
        }
    }
    Ok(bytes)
}

/// The size in `bytes 3-6/10` and in `bytes */10`.
fn total(range: Option<&str>) -> Option<u64> {
    range?.rsplit_once('/')?.1.parse().ok()
}

/// The first offset in `bytes 3-6/10`.
pub(super) fn first(range: &str) -> Option<u64> {
    range.trim_start_matches("bytes").trim().split('-').next()?.parse().ok()
}

/// A key as S3 writes it into a list on request: `%` and two hex digits, and `+` for a blank.
pub(super) fn decoded(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = others.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        (bytes, rest) = match (first, hex) {
            (b'%', Some(byte)) => (push(bytes, byte), &others[2..]),
            (b'+', _) => (push(bytes, b' '), others),
            (other, _) => (push(bytes, *other), others),
        };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

fn push(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_list_are_decoded() {
        for (written, key) in
            [("a+b%2Bc", "a b+c"), ("%C3%A4/%0A", "ä/\n"), ("100%", "100%"), ("%zz", "%zz"), ("%2", "%2")]
        {
            assert_eq!(decoded(written), key, "{written}");
        }
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!((total(Some("bytes 3-6/10")), first("bytes 3-6/10")), (Some(10), Some(3)));
        assert_eq!((total(Some("bytes */0")), first("bytes */0")), (Some(0), None));
        assert_eq!((total(None), total(Some("bytes 0-1/*"))), (None, None));
    }

    #[test]
    fn what_leads_out_of_a_folder_is_not_written() {
        for key in ["", "..", "../x", "a/../../x", "/etc/x", "a\0b", &"x".repeat(1025)] {
            let error = writable("write", &ObjectRef::new("b", key)).expect_err(key);
            assert_eq!(error.kind, Kind::Invalid);
        }
        for key in ["a", "...", "a..b/c", ".shepard/manifests/x", "a//b"] {
            writable("write", &ObjectRef::new("b", key)).expect(key);
        }
    }
}
