//! Finds the end record. A comment may hold its signature, trailing bytes may follow it, and an archive inside
//! the archive has one too: every place that could be it is listed, the likeliest first.

use super::records::{self, END, END_SIZE, Record64, u16_at, u32_at};

/// A place that may be the end record, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Where it is in the archive.
    pub at: u64,
    disk: u16,
    directory_disk: u16,
    entries: u16,
    size: u32,
    offset: u32,
    /// Its comment ends where the archive does.
    exact: bool,
}

/// What is known of the directory once both end records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// More than one disk is spoken of.
    pub disks: bool,
    /// Stated number of entries.
    pub entries: u64,
    /// How many bits of that number are kept: tools without zip64 let it wrap.
    pub count_bits: u32,
    /// Size of the directory in bytes.
    pub size: u64,
    /// Where it begins, as stated.
    pub offset: u64,
    /// Where it must have ended.
    pub limit: u64,
}

/// Every end record in the last bytes of an archive of `total` bytes, `tail` beginning at `start`.
pub fn find(tail: &[u8], start: u64, total: u64) -> Vec<Ending> {
    let mut endings: Vec<Ending> = tail
        .windows(END.len())
        .enumerate()
        .rev()
        .filter(|(_, window)| *window == END)
        .filter_map(|(index, _)| decode(tail.get(index..)?, start + index as u64, total))
        .collect();
    // Stable, so that among equals the last in the archive comes first.
    endings.sort_by_key(|ending| (!ending.plausible(), ending.size == 0, !ending.exact));
    endings
}

fn decode(bytes: &[u8], at: u64, total: u64) -> Option<Ending> {
    let comment = u64::from(u16_at(bytes, 20)?);
    Some(Ending {
        at,
        disk: u16_at(bytes, 4)?,
        directory_disk: u16_at(bytes, 6)?,
        entries: u16_at(bytes, 10)?,
        size: u32_at(bytes, 12)?,
        offset: u32_at(bytes, 16)?,
        exact: at + END_SIZE + comment == total,
    })
}

impl Ending {
    fn plausible(&self) -> bool {
        self.needs_zip64() || u64::from(self.offset) + u64::from(self.size) <= self.at
    }

    /// A value is too large for this record and stands in the zip64 one.
    pub fn needs_zip64(&self) -> bool {
        self.size == u32::MAX || self.offset == u32::MAX
    }

    /// It may defer to a zip64 record.
    pub fn defers(&self) -> bool {
        self.needs_zip64()
            || self.entries == u16::MAX
            || self.disk == u16::MAX
            || self.directory_disk == u16::MAX
    }

    /// Its own values.
    pub fn plain(&self) -> Resolved {
        Resolved {
            disks: self.disk != 0 || self.directory_disk != 0,
            entries: u64::from(self.entries),
            count_bits: u16::BITS,
            size: u64::from(self.size),
            offset: u64::from(self.offset),
            limit: self.at,
        }
    }

    /// The values of the zip64 record at `at` where this one defers to it, else its own.
    pub fn with(&self, record: &Record64, at: u64) -> Resolved {
        let narrow = |own: u32, wide: u64| if own == u32::MAX { wide } else { u64::from(own) };
        let disk = |own: u16| own != 0 && own != u16::MAX;
        let deferred = self.entries == u16::MAX;
        Resolved {
            disks: record.disks || disk(self.disk) || disk(self.directory_disk),
            entries: if deferred { record.entries } else { u64::from(self.entries) },
            count_bits: if deferred { u64::BITS } else { u16::BITS },
            size: narrow(self.size, record.size),
            offset: narrow(self.offset, record.offset),
            limit: at,
        }
    }
}

/// The least that a tail must hold for [`find`] to see a record with the longest comment.
pub const LONGEST: u64 = END_SIZE + u16::MAX as u64;

const _: () = assert!(super::TAIL >= LONGEST + 1 + records::LOCATOR_SIZE + records::RECORD64_SIZE);
