//! The rows themselves: packed columns in small copy-on-write chunks, so that handing every row to another
//! thread is a list of reference counts, and a change copies a few kilobytes at most.
//!
//! What changes while a job runs (state, times, attempts) lies apart from what does not (id, key, tag, created), so
//! that a change under a live [`Snapshot`] copies only the first. It never holds a clock or a filter.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use shepard_model::{JobId, JobSummary, State};

use super::words::WordList;

/// Rows a chunk holds. Small, because the first change of a chunk after a snapshot copies it: with 256, a
/// thousand changes strewn over a million rows copy 8 MB, with 4096 they would copy all of it.
pub(crate) const CHUNK: usize = 256;

/// Stands for "no time" and cannot be one.
const NO_TIME: i64 = i64::MIN;
/// Stands for "no exit code" in a column of `i64`, which an `i32` cannot reach.
const NO_EXIT: i64 = i64::MIN;
/// Length that marks an id packed into 16 bytes.
const PACKED: u32 = u32::MAX;

/// What changes while a job lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hot {
    pub(crate) started_ms: i64,
    pub(crate) ended_ms: i64,
    exit: i64,
    pub(crate) reason: u32,
    attempts: u32,
    state: State,
    pub(crate) alive: bool,
}

/// What does not.
#[derive(Debug, Clone, Copy)]
struct Cold {
    created_ms: i64,
    /// Which classes of characters the key has, see [`char_mask`].
    mask: u64,
    /// The id, where it is 32 hex digits.
    id: [u8; 16],
    tag: u32,
    /// Where the key begins in the chunk's text; an id that is not packed follows it.
    start: u32,
    key_len: u32,
    id_len: u32,
}

/// The unchanging half of a chunk.
#[derive(Debug, Clone, Default)]
struct Fixed {
    cold: Vec<Cold>,
    text: String,
    /// Bytes of `text` that no row points to any more.
    dead: usize,
}

/// Up to [`CHUNK`] rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunk {
    pub(crate) hot: Vec<Hot>,
    fixed: Arc<Fixed>,
}

/// An id in the form in which it is compared and hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum IdKey<'a> {
    Packed([u8; 16]),
    Text(&'a str),
}

impl<'a> IdKey<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        pack(text).map_or(Self::Text(text), Self::Packed)
    }
}

/// The 16 bytes that 32 lower-case hex digits stand for.
fn pack(text: &str) -> Option<[u8; 16]> {
    let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let mut packed = [0; 16];
    for (byte, pair) in packed.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(packed)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// One bit for each letter (either case), digit and a few groups of other characters that a text has.
/// A text can contain another, in order or as a subsequence, only if it has all of its bits.
pub(crate) fn char_mask(text: &str) -> u64 {
    text.bytes().fold(0, |mask, byte| mask | 1 << char_bit(byte))
}

const fn char_bit(byte: u8) -> u32 {
    match byte {
        b'a'..=b'z' => (byte - b'a') as u32,
        b'A'..=b'Z' => (byte - b'A') as u32,
        b'0'..=b'9' => 26 + (byte - b'0') as u32,
        b'-' => 36,
        b'_' => 37,
        b'.' => 38,
        b'/' => 39,
        b' ' => 40,
        0x80.. => 62,
        _ => 41 + (byte % 16) as u32,
    }
}

/// Room for the text of an id, so that reading one needs no allocation.
#[derive(Debug, Clone, Copy, Default)]
pub struct IdBuf([u8; 32]);

/// One row, read in place.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    hot: &'a Hot,
    cold: &'a Cold,
    text: &'a str,
    rows: &'a Snapshot,
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)
    }
}

impl<'a> Row<'a> {
    /// The id; allocates, so for the rows of one screen.
    pub fn id(&self) -> JobId {
        job_id(self.id_text(&mut IdBuf::default()))
    }

    /// The id as text, written into `buf` where it is kept packed.
    pub fn id_text<'b>(&self, buf: &'b mut IdBuf) -> &'b str
    where
        'a: 'b,
    {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match self.id_key() {
            IdKey::Text(text) => text,
            IdKey::Packed(packed) => {
                for (pair, byte) in buf.0.chunks_exact_mut(2).zip(packed) {
                    pair[0] = HEX[usize::from(byte >> 4)];
                    pair[1] = HEX[usize::from(byte & 15)];
                }
                std::str::from_utf8(&buf.0).unwrap_or_default()
            }
        }
    }

    /// Whether the id consists of hex digits alone, so that a search for anything else need not look.
    pub fn id_is_hex(&self) -> bool {
        self.cold.id_len == PACKED
    }

    pub(crate) fn id_key(&self) -> IdKey<'a> {
        if self.cold.id_len == PACKED {
            return IdKey::Packed(self.cold.id);
        }
        let from = (self.cold.start + self.cold.key_len) as usize;
        IdKey::Text(self.text.get(from..from + self.cold.id_len as usize).unwrap_or_default())
    }

    /// Key of the input object; empty for a job that came by API.
    pub fn input(&self) -> &'a str {
        let from = self.cold.start as usize;
        self.text.get(from..from + self.cold.key_len as usize).unwrap_or_default()
    }

    /// The mask of [`Row::input`].
    pub(crate) fn input_mask(&self) -> u64 {
        self.cold.mask
    }

    /// Tag.
    pub fn tag(&self) -> Option<&'a str> {
        self.rows.tags.get(self.cold.tag)
    }

    pub(crate) fn tag_symbol(&self) -> u32 {
        self.cold.tag
    }

    /// Why it ended as it did.
    pub fn reason(&self) -> Option<&'a str> {
        self.rows.reasons.get(self.hot.reason)
    }

    pub(crate) fn reason_symbol(&self) -> u32 {
        self.hot.reason
    }

    /// Where the job stands.
    pub fn state(&self) -> State {
        self.hot.state
    }

    /// When the row was written.
    pub fn created_ms(&self) -> i64 {
        self.cold.created_ms
    }

    /// When the first attempt of the current run began.
    pub fn started_ms(&self) -> Option<i64> {
        (self.hot.started_ms != NO_TIME).then_some(self.hot.started_ms)
    }

    /// When it ended.
    pub fn ended_ms(&self) -> Option<i64> {
        (self.hot.ended_ms != NO_TIME).then_some(self.hot.ended_ms)
    }

    /// How long it ran, or has run so far. None before the start and for what never ran.
    pub fn took_ms(&self, now_ms: i64) -> Option<i64> {
        let until = self.ended_ms().unwrap_or(now_ms);
        self.started_ms().map(|started| until.saturating_sub(started).max(0))
    }

    /// Attempts so far.
    pub fn attempts(&self) -> u32 {
        self.hot.attempts
    }

    /// Exit code of the last payload.
    pub fn exit_code(&self) -> Option<i32> {
        i32::try_from(self.hot.exit).ok()
    }

    /// The row as the model writes it.
    pub fn summary(&self) -> JobSummary {
        JobSummary {
            id: self.id(),
            input: self.input().to_owned(),
            tag: self.tag().map(str::to_owned),
            state: self.state(),
            created_ms: self.created_ms(),
            started_ms: self.started_ms(),
            ended_ms: self.ended_ms(),
            attempts: self.attempts(),
            exit_code: self.exit_code(),
            reason: self.reason().map(str::to_owned),
        }
    }
}

/// The id of that text, even where an old row holds one that would not be made today.
fn job_id(text: &str) -> JobId {
    JobId::parse(text).unwrap_or_else(|| {
        let plain: StrDeserializer<'_, ValueError> = text.into_deserializer();
        JobId::deserialize(plain).unwrap_or_else(|_| JobId::of_request(text))
    })
}

/// Every row as it was at one moment. Cheap to make and to send: chunks are shared until one is changed.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    pub(crate) tags: WordList,
    pub(crate) reasons: WordList,
    /// Slots in use or free; every index is below it.
    pub(crate) slots: u32,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Every index is below this; some may be free.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// The row at that index, if there is one.
    pub fn row(&self, index: u32) -> Option<Row<'_>> {
        let chunk = self.chunks.get(index as usize / CHUNK)?;
        let at = index as usize % CHUNK;
        let hot = chunk.hot.get(at).filter(|hot| hot.alive)?;
        let cold = chunk.fixed.cold.get(at)?;
        Some(Row { hot, cold, text: &chunk.fixed.text, rows: self })
    }

    /// The rows of `range`, in the order of their indexes.
    pub(crate) fn range(&self, range: std::ops::Range<u32>) -> impl Iterator<Item = (u32, Row<'_>)> {
        let first = range.start as usize / CHUNK;
        let last = (range.end as usize).div_ceil(CHUNK).min(self.chunks.len());
        self.chunks[first.min(last)..last]
            .iter()
            .zip(first..)
            .flat_map(move |(chunk, number)| {
                let base = u32::try_from(number * CHUNK).unwrap_or(u32::MAX);
                let text = chunk.fixed.text.as_str();
                chunk.hot.iter().zip(&chunk.fixed.cold).zip(base..).filter_map(move |((hot, cold), index)| {
                    hot.alive.then_some((index, Row { hot, cold, text, rows: self }))
                })
            })
            .filter(move |(index, _)| range.contains(index))
    }

    /// Writes a row whose words are already in the tables.
    pub(crate) fn write(&mut self, index: u32, job: &JobSummary, tag: u32, reason: u32) {
        let number = index as usize / CHUNK;
        if number == self.chunks.len() {
            self.chunks.push(Arc::new(Chunk::default()));
        }
        if let Some(chunk) = self.chunks.get_mut(number) {
            Arc::make_mut(chunk).write(index as usize % CHUNK, job, tag, reason);
        }
        self.slots = self.slots.max(index + 1);
    }

    /// Writes only what changes while a job lives.
    pub(crate) fn write_hot(&mut self, index: u32, job: &JobSummary, reason: u32) {
        if let Some(chunk) = self.chunks.get_mut(index as usize / CHUNK)
            && let Some(hot) = Arc::make_mut(chunk).hot.get_mut(index as usize % CHUNK)
        {
            *hot = Hot::of(job, reason);
        }
    }

    /// Frees a slot. Its text is reclaimed when the chunk is next written to.
    pub(crate) fn free(&mut self, index: u32) {
        if let Some(chunk) = self.chunks.get_mut(index as usize / CHUNK)
            && let Some(hot) = Arc::make_mut(chunk).hot.get_mut(index as usize % CHUNK)
        {
            hot.alive = false;
        }
    }
}

impl Hot {
    fn of(job: &JobSummary, reason: u32) -> Self {
        Self {
            started_ms: job.started_ms.unwrap_or(NO_TIME),
            ended_ms: job.ended_ms.unwrap_or(NO_TIME),
            exit: job.exit_code.map_or(NO_EXIT, i64::from),
            reason,
            attempts: job.attempts,
            state: job.state,
            alive: true,
        }
    }
}

impl Chunk {
    fn write(&mut self, at: usize, job: &JobSummary, tag: u32, reason: u32) {
        let fixed = Arc::make_mut(&mut self.fixed);
        fixed.release(at);
        let start = fixed.text.len();
        fixed.text.push_str(&job.input);
        let packed = pack(job.id.as_str());
        if packed.is_none() {
            fixed.text.push_str(job.id.as_str());
        }
        let length = |text: &str| u32::try_from(text.len()).unwrap_or(0);
        let cold = Cold {
            created_ms: job.created_ms,
            mask: char_mask(&job.input),
            id: packed.unwrap_or_default(),
            tag,
            start: u32::try_from(start).unwrap_or(u32::MAX),
            key_len: length(&job.input),
            id_len: if packed.is_some() { PACKED } else { length(job.id.as_str()) },
        };
        let hot = Hot::of(job, reason);
        if at < self.hot.len() {
            self.hot[at] = hot;
            fixed.cold[at] = cold;
        } else {
            self.hot.push(hot);
            fixed.cold.push(cold);
        }
        if self.hot.len() == CHUNK {
            // A full chunk rarely grows again: give back what doubling left over.
            self.hot.shrink_to_fit();
            fixed.cold.shrink_to_fit();
            fixed.text.shrink_to_fit();
        }
    }
}

impl Fixed {
    /// Forgets the text of a slot about to be written, and packs the rest once half of it is unused.
    fn release(&mut self, at: usize) {
        let Some(cold) = self.cold.get_mut(at) else { return };
        self.dead += cold.text_len();
        cold.key_len = 0;
        if cold.id_len != PACKED {
            cold.id_len = 0;
        }
        if self.dead * 2 <= self.text.len() {
            return;
        }
        let mut packed = String::with_capacity(self.text.len() - self.dead);
        for cold in &mut self.cold {
            let from = cold.start as usize;
            let text = self.text.get(from..from + cold.text_len()).unwrap_or_default();
            cold.start = u32::try_from(packed.len()).unwrap_or(u32::MAX);
            packed.push_str(text);
        }
        self.text = packed;
        self.dead = 0;
    }
}

impl Cold {
    fn text_len(&self) -> usize {
        let id = if self.id_len == PACKED { 0 } else { self.id_len };
        (self.key_len + id) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Hot>() <= 40, "{}", size_of::<Hot>());
        assert!(size_of::<Cold>() <= 48, "{}", size_of::<Cold>());
    }

    #[test]
    fn only_lower_case_hex_of_the_right_length_is_packed() {
        let id = "0123456789abcdef0123456789abcdef";
        assert!(pack(id).is_some());
        assert_eq!(pack(&id.to_uppercase()), None);
        assert_eq!(pack(&id[1..]), None);
    }

    #[test]
    fn a_text_has_every_bit_of_what_it_contains() {
        let key = "Runs/2026-07-01/probe é 12.zip";
        for part in ["runs", "07-01", "é", " 12", "ZIP"] {
            assert_eq!(char_mask(part) & !char_mask(key), 0, "{part}");
        }
        assert_ne!(char_mask("x") & !char_mask(key), 0);
    }
}
