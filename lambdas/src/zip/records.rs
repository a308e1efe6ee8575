//! The fixed records of the zip format, decoded. Every function takes foreign bytes and gives None for what
//! does not fit; none indexes a slice.

/// Signature of a file's own header.
pub const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// Signature of a directory entry.
pub const CENTRAL: [u8; 4] = *b"PK\x01\x02";
/// Signature of the directory's digital signature, which may follow its last entry.
pub const SIGNATURE: [u8; 4] = *b"PK\x05\x05";
/// Signature of the end record.
pub const END: [u8; 4] = *b"PK\x05\x06";
const END64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR: [u8; 4] = *b"PK\x06\x07";

/// Bytes of a file's own header, before its name.
pub const LOCAL_SIZE: u64 = 30;
/// Bytes of a directory entry, before its name.
pub const CENTRAL_SIZE: usize = 46;
/// Bytes of the end record, before the comment.
pub const END_SIZE: u64 = 22;
/// Bytes of the zip64 locator.
pub const LOCATOR_SIZE: u64 = 20;
/// Bytes of the zip64 end record, before what may extend it.
pub const RECORD64_SIZE: u64 = 56;

/// Two bytes at `at`, little-endian.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|raw| u16::from_le_bytes(*raw))
}

/// Four bytes at `at`, little-endian.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|raw| u32::from_le_bytes(*raw))
}

/// Eight bytes at `at`, little-endian.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|raw| u64::from_le_bytes(*raw))
}

/// Where a zip64 locator says the zip64 end record is.
pub fn locator(bytes: &[u8]) -> Option<u64> {
    if bytes.starts_with(&LOCATOR) { u64_at(bytes, 8) } else { None }
}

/// The zip64 end record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record64 {
    /// More than one disk is spoken of.
    pub disks: bool,
    /// Entries of the directory.
    pub entries: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Where it is.
    pub offset: u64,
}

/// Decodes a zip64 end record that has `room` bytes up to its locator, which it must fill exactly.
pub fn record64(bytes: &[u8], room: u64) -> Option<Record64> {
    if !bytes.starts_with(&END64) || u64_at(bytes, 4)?.checked_add(12)? != room {
        return None;
    }
    Some(Record64 {
        disks: u32_at(bytes, 16)? != 0 || u32_at(bytes, 20)? != 0,
        entries: u64_at(bytes, 32)?,
        size: u64_at(bytes, 40)?,
        offset: u64_at(bytes, 48)?,
    })
}

/// What is needed of a file's own header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Bytes of the name.
    pub name_length: u16,
    /// Where the data begins, counted from the header.
    pub data_at: u64,
}

/// Decodes a file's own header.
pub fn local(bytes: &[u8]) -> Option<Local> {
    if !bytes.starts_with(&LOCAL) {
        return None;
    }
    let (name_length, extra_length) = (u16_at(bytes, 26)?, u16_at(bytes, 28)?);
    Some(Local { name_length, data_at: LOCAL_SIZE + u64::from(name_length) + u64::from(extra_length) })
}
