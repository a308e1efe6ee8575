//! The manifest of a batch: which row each child of an array job runs, and all that is needed to submit it again.
//!
//! A header of fixed width, then one record of fixed width a row, so that a child reads its own with one ranged
//! GET. Writing it is what makes a batch: a row that names a batch without a manifest belongs to nobody yet. A
//! batch that was given up has a tombstone in the manifest's place, so that it can never be made.

use serde::{Deserialize, Serialize};

use crate::id::JobId;
use crate::shape::Shape;

/// Bytes of the header, the newline at its end included.
pub const HEADER: usize = 1024;
/// Bytes of a record, the newline included: an id of 32 hex digits.
pub const RECORD: usize = 33;
/// A record that leads to no row: its upload had one already.
const HOLE: &str = "--------------------------------";
/// The time in a batch's id.
const STAMP: &str = "%Y%m%d-%H%M%S";
/// Written into a manifest's place to end a batch before it was made.
const TOMBSTONE: &str = "{\"v\":1,\"given_up\":true}";

/// The place of a row in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchRef {
    /// The batch: name of its array job and of its manifest.
    pub id: JobId,
    /// Its record in the manifest, from 0.
    pub index: u32,
}

/// What the first [`HEADER`] bytes of a manifest say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    v: u32,
    /// Records in the manifest.
    pub records: u32,
    /// Records that each child runs, one after another; at least 1.
    pub pack: u32,
    /// What the children ask of the compute.
    pub shape: Shape,
}

/// A manifest as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The batch was made.
    Made(Header),
    /// The batch was given up before it was made; its rows are free.
    GivenUp,
}

/// Bytes that are no manifest of a version that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a manifest that this version of the program can read")]
pub struct NotAManifest;

impl Header {
    /// The header of a manifest of so many records.
    pub fn new(records: u32, pack: u32, shape: Shape) -> Self {
        Self { v: 1, records, pack: pack.max(1), shape }
    }

    /// Containers that the batch needs.
    pub fn children(&self) -> u32 {
        self.records.div_ceil(self.pack.max(1))
    }

    /// The child that runs a record.
    pub fn child_of(&self, record: u32) -> u32 {
        record / self.pack.max(1)
    }
}

/// The id of a batch that is begun now, `YYYYMMDD-hhmmss-<16 hex digits>` in UTC, so that batches sort by time and
/// those of a day have a prefix in common. `drawn` is what no two batches of one second may share.
pub fn batch_id(at_ms: i64, drawn: u64) -> Option<JobId> {
    let at = jiff::Timestamp::from_millisecond(at_ms).ok()?;
    JobId::parse(&format!("{}-{drawn:016x}", at.strftime(STAMP)))
}

/// What the ids of a day's batches begin with: `YYYYMMDD`, in UTC.
pub fn batch_day(at_ms: i64) -> Option<String> {
    Some(jiff::Timestamp::from_millisecond(at_ms).ok()?.strftime("%Y%m%d").to_string())
}

/// When a batch was begun, in milliseconds since the epoch, to the second; None where the id is no batch's.
pub fn begun_ms(batch: &JobId) -> Option<i64> {
    let stamp = batch.as_str().get(..15)?;
    let at = jiff::civil::DateTime::strptime(STAMP, stamp).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// The bytes of a manifest. None marks a hole.
pub fn encode(header: &Header, records: &[Option<JobId>]) -> Vec<u8> {
    let mut bytes = padded(&serde_json::to_string(header).unwrap_or_default());
    bytes.reserve(records.len() * RECORD);
    for record in records {
        let text = record.as_ref().map_or(HOLE, JobId::as_str);
        bytes.extend_from_slice(format!("{text:-<32}\n").as_bytes());
    }
    bytes
}

/// The bytes that end a batch before it was made.
pub fn tombstone() -> Vec<u8> {
    padded(TOMBSTONE)
}

/// Where the records of a child lie in the manifest, as the first byte and the length.
pub fn span(child: u32, pack: u32) -> (u64, u64) {
    let pack = u64::from(pack.max(1));
    (HEADER as u64 + u64::from(child) * pack * RECORD as u64, pack * RECORD as u64)
}

/// Reads the first bytes of a manifest, at least [`HEADER`] of them.
///
/// # Errors
/// They are something else.
pub fn decode_header(bytes: &[u8]) -> Result<Found, NotAManifest> {
    let text = bytes.get(..HEADER).ok_or(NotAManifest)?;
    let text = std::str::from_utf8(text).map_err(|_| NotAManifest)?.trim_end();
    if text == TOMBSTONE {
        return Ok(Found::GivenUp);
    }
    let header: Header = serde_json::from_str(text).map_err(|_| NotAManifest)?;
    if header.v == 1 && header.pack > 0 { Ok(Found::Made(header)) } else { Err(NotAManifest) }
}

/// Reads whole records; None marks a hole.
///
/// # Errors
/// They are something else.
pub fn decode_records(bytes: &[u8]) -> Result<Vec<Option<JobId>>, NotAManifest> {
    let (records, rest) = bytes.as_chunks::<RECORD>();
    if !rest.is_empty() {
        return Err(NotAManifest);
    }
    records.iter().map(record).collect()
}

fn record(bytes: &[u8; RECORD]) -> Result<Option<JobId>, NotAManifest> {
    let text =
        std::str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n')).ok_or(NotAManifest)?;
    match text {
        HOLE => Ok(None),
        id => JobId::parse(id).map(Some).ok_or(NotAManifest),
    }
}

fn padded(text: &str) -> Vec<u8> {
    format!("{text:<width$}\n", width = HEADER - 1).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ObjectRef;

    fn id(number: usize) -> JobId {
        JobId::of_object(&ObjectRef::new("in", number.to_string()))
    }

    #[test]
    fn a_child_finds_its_rows_with_one_range() {
        let shape = Shape { share: Some("x".repeat(255)), vcpus: Some(u32::MAX), ..Shape::default() };
        let header = Header::new(5, 2, shape);
        let records = vec![Some(id(0)), None, Some(id(2)), Some(id(3)), Some(id(4))];
        let bytes = encode(&header, &records);
        assert_eq!(bytes.len(), HEADER + 5 * RECORD);
        assert_eq!(decode_header(&bytes), Ok(Found::Made(header.clone())));
        assert_eq!(header.children(), 3);
        for child in 0..header.children() {
            let (start, length) = span(child, header.pack);
            let end = bytes.len().min((start + length) as usize);
            let found = decode_records(&bytes[start as usize..end]).unwrap();
            let first = child as usize * 2;
            assert_eq!(found, records[first..records.len().min(first + 2)]);
        }
    }

    #[test]
    fn a_batch_is_named_by_its_time() {
        let at_ms = 1_795_241_702_999;
        let id = batch_id(at_ms, 0xab).unwrap();
        assert_eq!(id.as_str(), "20261121-061502-00000000000000ab");
        assert_eq!(batch_day(at_ms).unwrap(), id.as_str()[..8]);
        assert_eq!(begun_ms(&id), Some(1_795_241_702_000));
        assert!(batch_id(at_ms + 1_000, 0).unwrap() > id);
        for other in ["0123456789abcdef0123456789abcdef", "20261121", "20261321-061502-ab"] {
            assert_eq!(begun_ms(&JobId::parse(other).unwrap()), None, "{other}");
        }
        assert_eq!(batch_id(i64::MAX, 0), None);
    }

    #[test]
    fn a_tombstone_is_no_batch_and_rubbish_is_neither() {
        assert_eq!(decode_header(&tombstone()), Ok(Found::GivenUp));
        for bad in [vec![], vec![0; HEADER], vec![b' '; HEADER], b"{}".repeat(HEADER)] {
            assert_eq!(decode_header(&bad), Err(NotAManifest));
        }
        assert_eq!(decode_records(&[b'x'; 32]), Err(NotAManifest));
        assert_eq!(decode_records(&[b' '; RECORD]), Err(NotAManifest));
    }
}
