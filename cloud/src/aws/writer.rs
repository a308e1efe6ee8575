//! An object that comes piece by piece: parts of a multipart upload, sent while the next ones are gathered.
//!
//! Its size is not known before its end, so the parts grow on the way: [`plan`] says how, what that costs in memory and
//! how large an object can become. What fits into [`WHOLE`] is one request, made by `complete`. A part that could not be
//! sent is kept and sent again by the next call. The upload carries a mark of this writer, by which `complete` knows
//! the object as its own when the first answer was lost and the upload is no longer there.

use std::collections::VecDeque;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use shepard_model::ObjectRef;
use tokio::task::JoinSet;

use super::error::{code, failed, status};
use super::mark;
use super::objects::{S3Objects, WRITER};
use super::upload::patient;
use crate::error::{CloudError, Kind, Result};
use crate::ports::{ObjectMeta, Objects as _, Writer};

const MIB: usize = 1 << 20;
/// Largest object that is held in memory until it is completed, in one request.
const WHOLE: usize = 4 * MIB;
/// Most parts (S3 user guide, 2026-11).
const PARTS: i32 = 10_000;

/// Size of a part by its number, from 1, and how many of that size are under way at once. With the one being gathered
/// that is 30 MiB up to 11 GiB, and never more than 48 MiB. All ten thousand make 175 GiB, which is the largest object
/// that can be written without its size being known: larger parts would cost more memory than a worker may take.
fn plan(number: i32) -> (usize, usize) {
    match number {
        ..=2_000 => (6 * MIB, 4),
        2_001..=4_000 => (12 * MIB, 2),
        _ => (24 * MIB, 1),
    }
}

/// See [`Writer`].
pub(super) struct S3Writer {
    objects: S3Objects,
    to: ObjectRef,
    mark: String,
    /// Being gathered: less than a part.
    filling: BytesMut,
    /// Room of a part that was sent, to gather the next in: what is allocated does not depend on how an allocator likes
    /// blocks of this size.
    spare: Vec<BytesMut>,
    /// The number it will have.
    number: i32,
    /// Gathered, or come back unsent. At most one more than are under way, where `room` is called as it should be.
    waiting: VecDeque<Piece>,
    /// Dropped with the writer, they end.
    sending: JoinSet<Sent>,
    sent: Vec<CompletedPart>,
    /// The multipart upload, once there is one.
    id: Option<String>,
    stage: Stage,
}

#[derive(Clone)]
struct Piece {
    number: i32,
    bytes: Bytes,
}

type Sent = std::result::Result<(CompletedPart, Bytes), (Piece, CloudError)>;

enum Stage {
    Open,
    Ready,
    /// Under its key, with this version.
    Put(Option<String>),
    Aborted,
}

impl S3Writer {
    pub(super) fn new(objects: S3Objects, to: &ObjectRef) -> Self {
        Self {
            objects,
            to: to.clone(),
            mark: mark(),
            filling: BytesMut::new(),
            spare: Vec::new(),
            number: 1,
            waiting: VecDeque::new(),
            sending: JoinSet::new(),
            sent: Vec::new(),
            id: None,
            stage: Stage::Open,
        }
    }

    fn client(&self) -> &Client {
        &self.objects.client
    }

    fn refused(&self, why: &'static str) -> CloudError {
        CloudError::new("upload", self.to.to_string(), Kind::Invalid).because(why)
    }

    /// What has been gathered becomes a part that waits to be sent.
    fn cut(&mut self) {
        let bytes = std::mem::take(&mut self.filling).freeze();
        self.waiting.push_back(Piece { number: self.number, bytes });
        self.number += 1;
    }

    /// The id of the multipart upload, which is begun where it is not.
    async fn begun(&mut self) -> Result<String> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let request = self.client().create_multipart_upload().bucket(&self.to.bucket).key(&self.to.key);
        let answer = request.metadata(WRITER, &self.mark).send().await;
        let answer = answer.map_err(|error| failed("upload", self.to.to_string(), &error))?;
        let id = answer.upload_id().unwrap_or_default().to_owned();
        self.id = Some(id.clone());
        Ok(id)
    }

    /// Takes in one part that has been sent, or has not.
    fn take(&mut self, ended: std::result::Result<Sent, tokio::task::JoinError>) -> Result<()> {
        match ended {
            Ok(Ok((part, bytes))) => {
                self.sent.push(part);
                // Not where a connection holds on to the bytes: then they go when it lets them go.
                if let Ok(mut room) = bytes.try_into_mut() {
                    room.clear();
                    self.spare.push(room);
                }
                Ok(())
            }
            Ok(Err((piece, error))) => {
                self.waiting.push_front(piece);
                Err(error)
            }
            // Its bytes are lost with it, so the object cannot be made.
            Err(error) => {
                self.stage = Stage::Aborted;
                Err(CloudError::new("upload", self.to.to_string(), Kind::Invalid).because(error))
            }
        }
    }

    /// Sends what waits, as many at once as may be, and no longer than until none waits.
    async fn send(&mut self) -> Result<()> {
        while let Some(ended) = self.sending.try_join_next() {
            self.take(ended)?;
        }
        while let Some(piece) = self.waiting.front().cloned() {
            let id = self.begun().await?;
            if self.sending.len() < plan(piece.number).1 {
                self.waiting.pop_front();
                self.sending.spawn(send_part(self.client().clone(), self.to.clone(), id, piece));
            } else if let Some(ended) = self.sending.join_next().await {
                self.take(ended)?;
            }
        }
        Ok(())
    }

    async fn put_whole(&self) -> Result<Option<String>> {
        let request = self.client().put_object().bucket(&self.to.bucket).key(&self.to.key);
        let request = request.body(ByteStream::from(self.filling.clone().freeze()));
        let answer = request.customize().config_override(patient()).send().await;
        let answer = answer.map_err(|error| failed("upload", self.to.to_string(), &error))?;
        Ok(answer.version_id().map(str::to_owned))
    }

    async fn put_together(&mut self, id: &str) -> Result<Option<String>> {
        self.sent.sort_unstable_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.sent.clone())).build();
        let request = self.client().complete_multipart_upload().bucket(&self.to.bucket).key(&self.to.key);
        let request = request.upload_id(id).multipart_upload(parts);
        // Putting ten thousand parts together takes S3 minutes.
        match request.customize().config_override(patient()).send().await {
            Ok(answer) => Ok(answer.version_id().map(str::to_owned)),
            // Completed by an earlier call whose answer was lost.
            Err(error)
                if (status(&error) == 404 || code(&error) == "NoSuchUpload")
                    && self.objects.is_ours(&self.to, &self.mark).await? =>
            {
                Ok(None)
            }
            Err(error) => Err(failed("upload", self.to.to_string(), &error)),
        }
    }
}

async fn send_part(client: Client, to: ObjectRef, id: String, piece: Piece) -> Sent {
    let request = client.upload_part().bucket(&to.bucket).key(&to.key).upload_id(id);
    let request = request.part_number(piece.number).body(ByteStream::from(piece.bytes.clone()));
    match request.customize().config_override(patient()).send().await {
        Ok(answer) => {
            let part = CompletedPart::builder()
                .part_number(piece.number)
                .set_e_tag(answer.e_tag().map(str::to_owned))
                .set_checksum_crc32(answer.checksum_crc32().map(str::to_owned));
            Ok((part.build(), piece.bytes))
        }
        Err(error) => Err((piece, failed("upload", to.to_string(), &error))),
    }
}

#[async_trait]
impl Writer for S3Writer {
    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        if !matches!(self.stage, Stage::Open) {
            return Err(self.refused("the object is ready and takes no more"));
        }
        while !bytes.is_empty() {
            if self.number > PARTS {
                return Err(
                    self.refused("it is larger than the 175 GiB that can be uploaded while it is made")
                );
            }
            let (size, _) = plan(self.number);
            if self.filling.capacity() == 0 {
                // One that is too small for a part of this size is let go.
                let spare = self.spare.pop().filter(|room| room.capacity() >= size);
                // Untouched, it takes no memory.
                self.filling = spare.unwrap_or_else(|| BytesMut::with_capacity(size));
            }
            let (now, rest) = bytes.split_at(bytes.len().min(size - self.filling.len()));
            self.filling.extend_from_slice(now);
            bytes = rest;
            if self.filling.len() == size {
                self.cut();
            }
        }
        Ok(())
    }

    async fn room(&mut self) -> Result<()> {
        self.send().await
    }

    async fn ready(&mut self) -> Result<()> {
        match self.stage {
            Stage::Open => {}
            Stage::Ready | Stage::Put(_) => return Ok(()),
            Stage::Aborted => return Err(self.refused("the upload was given up")),
        }
        if self.number == 1 && self.filling.len() <= WHOLE {
            self.filling = BytesMut::from(&self.filling[..]);
        } else {
            if !self.filling.is_empty() {
                self.cut();
            }
            self.send().await?;
            while let Some(ended) = self.sending.join_next().await {
                // What came back is sent by the next call, after the pause that the caller makes.
                self.take(ended)?;
            }
        }
        self.spare = Vec::new();
        self.stage = Stage::Ready;
        Ok(())
    }

    async fn complete(&mut self) -> Result<ObjectMeta> {
        self.ready().await?;
        if matches!(self.stage, Stage::Ready) {
            let version = match self.id.clone() {
                Some(id) => self.put_together(&id).await?,
                None => self.put_whole().await?,
            };
            self.filling = BytesMut::new();
            self.stage = Stage::Put(version);
        }
        let version = if let Stage::Put(version) = &self.stage { version.clone() } else { None };
        // What the store says of it: its clock, its size.
        self.objects.head(&ObjectRef { version, ..self.to.clone() }).await
    }

    async fn abort(&mut self) -> Result<()> {
        if matches!(self.stage, Stage::Put(_)) {
            return Ok(());
        }
        self.stage = Stage::Aborted;
        // A part that arrives after the end of its upload would be kept: none may be under way.
        self.sending.shutdown().await;
        (self.filling, self.spare, self.waiting) = (BytesMut::new(), Vec::new(), VecDeque::new());
        let Some(id) = &self.id else { return Ok(()) };
        let request = self.client().abort_multipart_upload().bucket(&self.to.bucket).key(&self.to.key);
        match request.upload_id(id).send().await {
            Ok(_) => self.id = None,
            Err(error) => {
                let error = failed("throw away the parts of", self.to.to_string(), &error);
                if error.kind != Kind::NotFound {
                    return Err(error);
                }
                self.id = None;
            }
        }
        Ok(())
    }
}
