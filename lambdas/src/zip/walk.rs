//! Walks a central directory chunk by chunk, remembering only the last `inputs.txt` and, for the reason given
//! when there is none, where else one was seen.

use shepard_model::inputs::MAX_BYTES;

use super::MAX_COMPRESSED;
use super::problem::ZipProblem;
use super::records::{CENTRAL, CENTRAL_SIZE, SIGNATURE, u16_at, u32_at, u64_at};

/// The name that is looked for.
const INPUTS: &[u8] = b"inputs.txt";

/// What the directory says of `inputs.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Flags.
    pub flags: u16,
    /// Compression method.
    pub method: u16,
    /// Checksum of the content.
    pub crc: u32,
    /// Bytes in the archive.
    pub compressed: u64,
    /// Bytes of the content.
    pub size: u64,
    /// Where its header is, as stated.
    pub local_at: u64,
    /// Bytes of its name.
    pub name_length: u16,
}

/// An `inputs.txt` seen one level down.
#[derive(Debug, Default)]
enum Folder {
    #[default]
    None,
    One(Vec<u8>),
    Several,
}

/// A walk through a directory.
#[derive(Debug)]
pub struct Walk {
    stated: u64,
    count_bits: u32,
    seen: u64,
    signed: bool,
    found: Option<Result<Entry, ZipProblem>>,
    folder: Folder,
    other_case: Option<Vec<u8>>,
}

/// Whether this is the name of an `inputs.txt` at the top of the archive. Some tools write `./` before it.
pub fn is_inputs(name: &[u8]) -> bool {
    name.strip_prefix(b"./").unwrap_or(name) == INPUTS
}

impl Walk {
    /// A walk through a directory that says it has `stated` entries, modulo 2 to the `count_bits`.
    pub fn new(stated: u64, count_bits: u32) -> Self {
        Self {
            stated,
            count_bits,
            seen: 0,
            signed: false,
            found: None,
            folder: Folder::None,
            other_case: None,
        }
    }

    /// Takes the whole entries at the beginning of `bytes`; gives how many bytes they were.
    ///
    /// # Errors
    /// What is there is no entry.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, ZipProblem> {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| rest.len() >= CENTRAL.len() && !self.signed) {
            if !rest.starts_with(&CENTRAL) {
                if self.seen == 0 {
                    return Err(ZipProblem::NoDirectory);
                }
                if rest.starts_with(&SIGNATURE) {
                    self.signed = true;
                    break;
                }
                return Err(ZipProblem::BadEntry(self.seen + 1));
            }
            let Some(length) = self.entry(rest) else { break };
            used += length;
        }
        // What follows a digital signature is of no interest and need not be kept.
        Ok(if self.signed { bytes.len() } else { used })
    }

    /// The directory is over; `rest` is what was not used of it.
    ///
    /// # Errors
    /// Half an entry is left, or the count is not the stated one.
    pub fn end(&self, rest: &[u8]) -> Result<(), ZipProblem> {
        if !rest.is_empty() && !self.signed {
            return Err(if self.seen == 0 {
                ZipProblem::NoDirectory
            } else {
                ZipProblem::BadEntry(self.seen + 1)
            });
        }
        let kept =
            |count: u64| if self.count_bits < u64::BITS { count % (1 << self.count_bits) } else { count };
        if kept(self.seen) == kept(self.stated) { Ok(()) } else { Err(ZipProblem::Counts) }
    }

    /// The last `inputs.txt` of the directory.
    ///
    /// # Errors
    /// Why there is none.
    pub fn finish(self) -> Result<Entry, ZipProblem> {
        match (self.found, self.folder, self.other_case) {
            (Some(found), _, _) => found,
            (None, _, Some(name)) => Err(ZipProblem::OtherCase(shown(&name))),
            (None, Folder::One(name), None) => Err(ZipProblem::InFolder(shown(&name))),
            (None, _, None) => Err(ZipProblem::NoInputs),
        }
    }

    /// One entry, if it is here whole; gives its length.
    fn entry(&mut self, bytes: &[u8]) -> Option<usize> {
        let (name_length, extra_length) = (u16_at(bytes, 28)?, u16_at(bytes, 30)?);
        let name_end = CENTRAL_SIZE + usize::from(name_length);
        let extra_end = name_end + usize::from(extra_length);
        let length = extra_end + usize::from(u16_at(bytes, 32)?);
        let whole = bytes.get(..length)?;
        self.seen += 1;
        let name = whole.get(CENTRAL_SIZE..name_end)?;
        if is_inputs(name) {
            let extra = whole.get(name_end..extra_end)?;
            self.found = Some(decode(whole, name_length, extra).ok_or(ZipProblem::BadEntry(self.seen)));
        } else if name.eq_ignore_ascii_case(INPUTS) {
            self.other_case = Some(name.to_vec());
        } else if let Some(folder) = folder_of_inputs(name) {
            self.folder = match std::mem::take(&mut self.folder) {
                Folder::None => Folder::One(folder.to_vec()),
                Folder::One(known) if known == folder => Folder::One(known),
                _ => Folder::Several,
            };
        }
        Some(length)
    }
}

impl Entry {
    /// Whether it can be read at all.
    ///
    /// # Errors
    /// Encrypted, compressed by a method that is not read, or too large.
    pub fn check(&self) -> Result<(), ZipProblem> {
        // Bit 0: encrypted; 6: strongly so; 13: header values masked.
        if self.flags & 0b10_0000_0100_0001 != 0 {
            return Err(ZipProblem::Encrypted);
        }
        let name = match self.method {
            0 | 8 => {
                return if self.size > MAX_BYTES as u64 {
                    Err(ZipProblem::TooLarge(self.size))
                } else if self.compressed > MAX_COMPRESSED {
                    Err(ZipProblem::TooLarge(self.compressed))
                } else {
                    Ok(())
                };
            }
            1 => "shrink".to_owned(),
            2..=5 => "reduce".to_owned(),
            6 => "implode".to_owned(),
            9 => "deflate64".to_owned(),
            12 => "bzip2".to_owned(),
            14 => "lzma".to_owned(),
            20 | 93 => "zstd".to_owned(),
            95 => "xz".to_owned(),
            98 => "ppmd".to_owned(),
            99 => return Err(ZipProblem::Encrypted),
            other => format!("method {other}"),
        };
        Err(ZipProblem::Method(name))
    }
}

fn decode(bytes: &[u8], name_length: u16, extra: &[u8]) -> Option<Entry> {
    let mut wide = Wide(zip64(extra));
    // In this order, and only those that the fixed part defers, stand in the zip64 field.
    let (compressed, size, local_at) = (u32_at(bytes, 20)?, u32_at(bytes, 24)?, u32_at(bytes, 42)?);
    let size = wide.or(size)?;
    let compressed = wide.or(compressed)?;
    let local_at = wide.or(local_at)?;
    Some(Entry {
        flags: u16_at(bytes, 8)?,
        method: u16_at(bytes, 10)?,
        crc: u32_at(bytes, 16)?,
        compressed,
        size,
        local_at,
        name_length,
    })
}

/// What is left of a zip64 field.
struct Wide<'a>(&'a [u8]);

impl Wide<'_> {
    fn or(&mut self, narrow: u32) -> Option<u64> {
        if narrow != u32::MAX {
            return Some(u64::from(narrow));
        }
        let value = u64_at(self.0, 0)?;
        self.0 = self.0.get(8..)?;
        Some(value)
    }
}

/// The content of the zip64 field among the extra fields; empty where there is none.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(field) = extra.get(4..4 + usize::from(length)) else { break };
        if id == 1 {
            return field;
        }
        extra = extra.get(4 + usize::from(length)..).unwrap_or_default();
    }
    &[]
}

/// The folder, where this is an `inputs.txt` exactly one level down. Some tools write backslashes.
fn folder_of_inputs(name: &[u8]) -> Option<&[u8]> {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let folder = name.strip_suffix(INPUTS)?;
    let folder = folder.strip_suffix(b"/").or_else(|| folder.strip_suffix(b"\\"))?;
    let plain = !folder.is_empty() && !folder.iter().any(|byte| matches!(byte, b'/' | b'\\'));
    plain.then_some(folder)
}

/// A foreign name, made fit for a sentence.
fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut shown: String = text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}
