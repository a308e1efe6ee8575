//! The content of one entry, decompressed and checked, never past the size it may have.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::problem::ZipProblem;
use super::walk::Entry;

/// Decompresses what [`Entry::check`] has let through.
///
/// # Errors
/// Data that is not what the directory says: not deflate, cut short, of another size, or with another checksum.
pub fn extract(entry: &Entry, data: &[u8]) -> Result<Vec<u8>, ZipProblem> {
    let text = match entry.method {
        0 => data.to_vec(),
        _ => inflate(data, entry.size)?,
    };
    if text.len() as u64 != entry.size {
        return Err(ZipProblem::Size(entry.size));
    }
    let mut crc = Crc::new();
    crc.update(&text);
    if crc.sum() == entry.crc { Ok(text) } else { Err(ZipProblem::Checksum) }
}

fn inflate(data: &[u8], size: u64) -> Result<Vec<u8>, ZipProblem> {
    // One byte more than stated, so that a bomb is seen to go on without being followed.
    let room = usize::try_from(size).map_err(|_| ZipProblem::TooLarge(size))? + 1;
    let mut text = Vec::with_capacity(room);
    let mut inflater = Decompress::new(false);
    match inflater.decompress_vec(data, &mut text, FlushDecompress::Finish) {
        Ok(Status::StreamEnd) => Ok(text),
        Ok(_) if text.len() >= room => Err(ZipProblem::Size(size)),
        Ok(_) | Err(_) => Err(ZipProblem::Data),
    }
}
