//! A batch: rows that share one array job, from the manifest that makes it to the mark that it was submitted.
//!
//! Writing the manifest makes the batch. Before that its rows belong to nobody, and a tombstone in the manifest's place
//! ends it for good; after that it is only ever submitted, by whoever comes by. Which rows are in it, the manifest
//! alone decides: a row that names a batch and is not in its manifest is free. Nothing here writes a row, except
//! those of a batch that the compute refuses for good.

use shepard_cloud::ports::{JobRequest, Range};
use shepard_cloud::{CloudError, Kind, Ports, Result};
use shepard_model::manifest::{self, Found, HEADER, Header, RECORD};
use shepard_model::names::{manifest_key, submitted_key, worker_env};
use shepard_model::{JobId, ObjectRef, Outcome, Shape, Transition};

use crate::pace::{self, Pacer, Seen, Sent, TRIES};
use crate::submit;

/// Most rows in one batch: the children of an array job on AWS (Batch service quotas, 2026-11).
pub const MOST: u32 = 10_000;

/// What the mark of a batch says where the compute refused it for good; no compute's id.
pub(crate) const REFUSED: &str = "refused";

/// Where a batch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was submitted; the compute's id.
    Submitted(String),
    /// It was made, and nobody has said that it was submitted.
    Made(Header),
    /// The compute refused it for good, and its rows have failed with it.
    Refused,
    /// It was ended before it was made; its rows are free.
    GivenUp,
    /// It was not made yet.
    Unmade,
}

/// What finishing a batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// It was submitted now, or had been and nobody had said so; the compute's id.
    Submitted(String),
    /// It was known to be submitted; the compute's id.
    Known(String),
    /// The compute refuses it for good, for this reason; its rows have failed with it.
    Refused(String),
    /// It was ended before it was made.
    GivenUp,
    /// It was not made yet.
    Unmade,
}

/// As [`Finished`], of an invocation that has to share its tokens.
#[derive(Debug)]
pub(crate) enum Paced {
    Finished(Finished),
    NoRoom(Option<CloudError>),
}

/// Where a batch stands, by one or two reads.
///
/// # Errors
/// The store's, or a manifest that this version cannot read.
pub async fn fate(ports: &Ports, batch: &JobId) -> Result<Fate> {
    if let Some(id) = submitted(ports, batch).await? {
        return Ok(if id == REFUSED { Fate::Refused } else { Fate::Submitted(id) });
    }
    made(ports, batch).await
}

/// Where a batch stands that nobody has submitted.
async fn made(ports: &Ports, batch: &JobId) -> Result<Fate> {
    Ok(match read(ports, batch, Range::From { start: 0, length: HEADER as u64 }).await? {
        None => Fate::Unmade,
        Some((Found::GivenUp, _)) => Fate::GivenUp,
        Some((Found::Made(header), _)) => Fate::Made(header),
    })
}

/// Finishes a batch that was made: has somebody said that it was submitted? Else is there a job of its name? Else
/// submits it; then says so. May be repeated, dropped at any point, and done by two at once: the worst that comes of it
/// is a second array job, whose children find their rows taken.
///
/// # Errors
/// A port's; the same call later finishes the work.
pub async fn finish(ports: &Ports, batch: &JobId) -> Result<Finished> {
    let unpaced = Pacer::new(f64::INFINITY);
    match finish_paced(ports, &unpaced, i64::MIN, batch, true).await? {
        Paced::Finished(finished) => Ok(finished),
        Paced::NoRoom(said) => {
            Err(said.unwrap_or_else(|| CloudError::new("submit the batch", batch.as_str(), Kind::Throttled)))
        }
    }
}

/// As [`finish`], with a token. `find` says whether anybody can have submitted the batch before.
pub(crate) async fn finish_paced(
    ports: &Ports,
    pacer: &Pacer,
    until_ms: i64,
    batch: &JobId,
    find: bool,
) -> Result<Paced> {
    if !pacer.token(ports, until_ms).await {
        return Ok(Paced::NoRoom(None));
    }
    let fate = match find {
        true => fate(ports, batch).await?,
        false => made(ports, batch).await?,
    };
    let finished = match fate {
        Fate::Made(header) => {
            let known = match find {
                true => pacer.find(ports, batch.as_str()).await?,
                false => Seen::Jobs(Vec::new()),
            };
            match known {
                Seen::NoRoom(said) => return Ok(Paced::NoRoom(Some(said))),
                Seen::Jobs(known) => match submit::newest(&known) {
                    None => return submit_for_token(ports, pacer, until_ms, batch, &header).await,
                    Some(job) => {
                        mark(ports, batch, &job.id).await?;
                        Finished::Submitted(job.id.clone())
                    }
                },
            }
        }
        Fate::Submitted(id) => Finished::Known(id),
        Fate::Refused => Finished::Refused("the compute refused the batch".to_owned()),
        Fate::GivenUp => Finished::GivenUp,
        Fate::Unmade => Finished::Unmade,
    };
    pacer.give_back();
    Ok(Paced::Finished(finished))
}

/// Submits a batch that was made and that nobody else can have submitted.
pub(crate) async fn submit_made(
    ports: &Ports,
    pacer: &Pacer,
    until_ms: i64,
    batch: &JobId,
    header: &Header,
) -> Result<Paced> {
    if !pacer.token(ports, until_ms).await {
        return Ok(Paced::NoRoom(None));
    }
    submit_for_token(ports, pacer, until_ms, batch, header).await
}

async fn submit_for_token(
    ports: &Ports,
    pacer: &Pacer,
    until_ms: i64,
    batch: &JobId,
    header: &Header,
) -> Result<Paced> {
    match pacer.submit(ports, &batch_request(batch, header), until_ms).await {
        Ok(Sent::Taken(id)) => {
            mark(ports, batch, &id).await?;
            Ok(Paced::Finished(Finished::Submitted(id)))
        }
        Ok(Sent::NoRoom(said)) => Ok(Paced::NoRoom(Some(said))),
        Err(error) if error.kind == Kind::Invalid => {
            let reason = format!("the job cannot be submitted: {error}");
            fail_rows(ports, batch, &reason).await?;
            // Nobody needs to try again, and find out again.
            mark(ports, batch, REFUSED).await?;
            Ok(Paced::Finished(Finished::Refused(reason)))
        }
        Err(error) => Err(error),
    }
}

/// Ends a batch that was not made, for good. False: it was made after all.
///
/// # Errors
/// The store's. Then the batch may have been ended or not; the same call later says which.
pub async fn give_up(ports: &Ports, batch: &JobId) -> Result<bool> {
    let tombstone = manifest::tombstone();
    match put(ports, &manifest_at(ports, batch), &tombstone).await? {
        true => Ok(true),
        false => Ok(matches!(
            read(ports, batch, Range::From { start: 0, length: HEADER as u64 }).await?,
            Some((Found::GivenUp, _))
        )),
    }
}

/// The job of a batch as the compute takes it: nothing of any row's variables. With one child it is a plain job.
pub fn batch_request(batch: &JobId, header: &Header) -> JobRequest {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let mut environment = vec![
        pair(worker_env::UUID, batch.to_string()),
        pair(worker_env::INPUT_ZIP_NAME, "None".to_owned()),
        pair(worker_env::IS_INVOKED, "True".to_owned()),
        pair(worker_env::MANIFEST, manifest_key(batch)),
    ];
    if header.pack > 1 {
        environment.push(pair(worker_env::PACK, header.pack.to_string()));
    }
    // The limit is of one job, which its worker holds it to; a container has as many as its pack.
    let longest = i32::MAX.unsigned_abs();
    let timeout_s = header.shape.timeout_s.map(|limit| limit.saturating_mul(header.pack.max(1)).min(longest));
    JobRequest {
        name: batch.to_string(),
        environment,
        shape: Shape { timeout_s, ..header.shape.clone() },
        children: header.children().max(1),
    }
}

/// Makes a batch. False: it was given up before, by somebody who took its owner for dead.
pub(crate) async fn make(
    ports: &Ports,
    batch: &JobId,
    header: &Header,
    records: &[Option<JobId>],
) -> Result<bool> {
    let bytes = manifest::encode(header, records);
    if put(ports, &manifest_at(ports, batch), &bytes).await? {
        return Ok(true);
    }
    // Only its owner makes a batch: a manifest that is there is this one, and its answer was lost.
    let found = read(ports, batch, Range::From { start: 0, length: HEADER as u64 }).await?;
    Ok(matches!(found, Some((Found::Made(_), _))))
}

/// The rows of a batch.
#[derive(Debug)]
pub(crate) enum Rows {
    /// It was made, and holds these.
    Made(Header, Records),
    /// It was given up.
    GivenUp,
    /// It was not made yet.
    Unmade,
}

/// The records of a manifest, as they lie there: 33 bytes a row.
#[derive(Debug)]
pub(crate) struct Records(Vec<u8>);

impl Records {
    /// Whether the batch holds this row at this place.
    pub(crate) fn holds(&self, id: &JobId, index: u32) -> bool {
        let start = (index as usize).saturating_mul(RECORD);
        let record = self.0.get(start..start.saturating_add(RECORD)).unwrap_or_default();
        matches!(manifest::decode_records(record).as_deref(), Ok([Some(known)]) if known == id)
    }

    fn ids(&self) -> Vec<JobId> {
        manifest::decode_records(&self.0).unwrap_or_default().into_iter().flatten().collect()
    }
}

pub(crate) async fn rows(ports: &Ports, batch: &JobId) -> Result<Rows> {
    let whole = (HEADER + MOST as usize * RECORD) as u64;
    Ok(match read(ports, batch, Range::From { start: 0, length: whole }).await? {
        None => Rows::Unmade,
        Some((Found::GivenUp, _)) => Rows::GivenUp,
        Some((Found::Made(header), mut bytes)) => {
            bytes.drain(..HEADER.min(bytes.len()));
            Rows::Made(header, Records(bytes))
        }
    })
}

/// The header of a batch that was made; None of one that was not, or was given up.
pub(crate) async fn header(ports: &Ports, batch: &JobId) -> Result<Option<Header>> {
    Ok(match read(ports, batch, Range::From { start: 0, length: HEADER as u64 }).await? {
        Some((Found::Made(header), _)) => Some(header),
        Some((Found::GivenUp, _)) | None => None,
    })
}

/// So many records of a batch that was made, from this one on; fewer where it has no more.
pub(crate) async fn records(
    ports: &Ports,
    batch: &JobId,
    first: u32,
    count: u32,
) -> Result<Vec<Option<JobId>>> {
    let (at, (start, _)) = (manifest_at(ports, batch), manifest::span(first, 1));
    let range = Range::From { start, length: u64::from(count) * RECORD as u64 };
    let bytes = match pace::patiently(ports, batch.as_str(), TRIES, || ports.objects.get(&at, range)).await {
        Ok(part) => part.bytes,
        // A store may refuse a range that begins behind the end.
        Err(error) if error.kind == Kind::Invalid => Vec::new(),
        Err(error) => return Err(error),
    };
    manifest::decode_records(&bytes)
        .map_err(|problem| CloudError::new("read", at.to_string(), Kind::Other).because(problem))
}

/// What the mark of a batch says: the compute's id, or [`REFUSED`]. None where it has no mark.
pub(crate) async fn submitted(ports: &Ports, batch: &JobId) -> Result<Option<String>> {
    let marker = ObjectRef::new(&ports.buckets.inputs, submitted_key(batch));
    let range = Range::From { start: 0, length: 1_024 };
    match pace::patiently(ports, batch.as_str(), TRIES, || ports.objects.get(&marker, range)).await {
        Ok(part) => Ok(Some(String::from_utf8_lossy(&part.bytes).trim().to_owned())),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The compute's id of what runs a record.
pub(crate) fn child_id(job: &str, header: &Header, index: u32) -> String {
    if header.children() > 1 { format!("{job}:{}", header.child_of(index)) } else { job.to_owned() }
}

async fn mark(ports: &Ports, batch: &JobId, compute_id: &str) -> Result<()> {
    let marker = ObjectRef::new(&ports.buckets.inputs, submitted_key(batch));
    put(ports, &marker, compute_id.as_bytes()).await.map(|_| ())
}

async fn put(ports: &Ports, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
    pace::patiently(ports, &object.key, TRIES, || ports.objects.put_new(object, bytes)).await
}

async fn read(ports: &Ports, batch: &JobId, range: Range) -> Result<Option<(Found, Vec<u8>)>> {
    let at = manifest_at(ports, batch);
    let part = match pace::patiently(ports, batch.as_str(), TRIES, || ports.objects.get(&at, range)).await {
        Ok(part) => part,
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = manifest::decode_header(&part.bytes)
        .map_err(|problem| CloudError::new("read", at.to_string(), Kind::Other).because(problem))?;
    Ok(Some((found, part.bytes)))
}

fn manifest_at(ports: &Ports, batch: &JobId) -> ObjectRef {
    ObjectRef::new(&ports.buckets.inputs, manifest_key(batch))
}

/// Ends the rows of a batch that will never run.
async fn fail_rows(ports: &Ports, batch: &JobId, reason: &str) -> Result<()> {
    let Rows::Made(_, records) = rows(ports, batch).await? else { return Ok(()) };
    for id in records.ids() {
        // A row that a person has asked to be run again meanwhile is in no batch, and left alone.
        let row = ports.table.get(&id).await?;
        if row.is_none_or(|row| row.batch.is_none_or(|place| place.id != *batch)) {
            continue;
        }
        let change = Transition::Finished {
            fence: None,
            outcome: Outcome::Failed,
            reason: Some(reason.to_owned()),
            exit_code: None,
            results: Vec::new(),
            at_ms: ports.clock.now_ms(),
        };
        ports.table.apply(&id, &change).await?;
    }
    Ok(())
}
