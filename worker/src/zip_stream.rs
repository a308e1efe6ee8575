//! A zip written front to back, to anything that takes bytes; nothing is ever gone back to.
//!
//! A file that fits into [`HEAD`] is read whole first, so that its sizes stand before its content, as in any zip. A larger
//! one is written as it is read, and its sizes follow it in a data descriptor; in zip64 where it may pass 4 GiB. Its
//! beginning decides whether it is deflated or stored: what hardly gets smaller is not worth the time, which is more than
//! that of sending it. The list of entries at the end of a zip has to be kept until then; it is kept deflated, about
//! thirty bytes an entry.
//!
//! A name's bytes are stored as they are. Where they are UTF-8 the entry says so; where they are not it says nothing, which
//! tools on Unix take as the bytes that they are, and others as characters of code page 437, two names never as one.

use std::io::{self, Read, Write};

use flate2::write::{DeflateDecoder, DeflateEncoder};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// What a file's beginning is, in bytes, and what is held of a small file.
const HEAD: usize = 256 << 10;
/// Bytes read, deflated or written at a time.
const PIECE: usize = 128 << 10;
/// Level of deflate. By docs/performance.md level 6 takes 1.7 times as long for half a percent.
const LEVEL: u32 = 3;
/// A file that keeps more than so many percent of its size is stored.
const WORTH: usize = 95;
/// Files of this size and more are written in zip64. Below the format's own limit by what deflate can add, and what a file
/// can grow while it is read.
const LARGE: u64 = 0xE000_0000;
/// What a 32-bit size cannot say, and says to mean that it stands elsewhere.
const ELSEWHERE: u32 = u32::MAX;

/// What an entry is called and what is known of it before its content.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its name: the parts of a path with `/` between. A directory's ends in one.
    pub name: &'a [u8],
    /// Permissions, nine bits.
    pub mode: u32,
    /// Time of its last change, as [`dos_time`] gives it.
    pub modified: (u16, u16),
    /// How large the file is said to be.
    pub expected: u64,
}

/// Why an entry is not in the zip. After any of them the zip is of no use.
#[derive(Debug)]
pub enum Fault {
    /// The content could not be read.
    Read(io::Error),
    /// The zip could not be written.
    Write(io::Error),
}

/// A zip that is being written.
pub struct ZipStream<W: Write> {
    to: W,
    /// Bytes written to it.
    at: u64,
    directory: Directory,
    deflate: Compress,
    head: Vec<u8>,
    piece: Vec<u8>,
    small: Vec<u8>,
}

/// The central directory so far, deflated.
struct Directory {
    records: DeflateEncoder<Vec<u8>>,
    count: u64,
    length: u64,
}

/// What is known of a file's content when it has been written.
#[derive(Default, Clone, Copy)]
struct Content {
    crc: u32,
    packed: u64,
    length: u64,
}

/// How an entry is written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Form {
    deflated: bool,
    /// Sizes follow the content.
    follow: bool,
    /// They are 64 bits each.
    large: bool,
}

impl Form {
    const SMALL: Self = Self { deflated: false, follow: false, large: false };

    fn method(self) -> u16 {
        if self.deflated { 8 } else { 0 }
    }

    fn version(self) -> u16 {
        if self.large { 45 } else { 20 }
    }

    fn flags(self, name: &[u8]) -> u16 {
        let utf8 = !name.is_ascii() && std::str::from_utf8(name).is_ok();
        u16::from(self.follow) << 3 | u16::from(utf8) << 11
    }
}

impl<W: Write> ZipStream<W> {
    /// An empty zip.
    pub fn new(to: W) -> Self {
        Self {
            to,
            at: 0,
            directory: Directory {
                records: DeflateEncoder::new(Vec::new(), Compression::new(1)),
                count: 0,
                length: 0,
            },
            deflate: Compress::new(Compression::new(LEVEL), false),
            head: Vec::with_capacity(HEAD),
            piece: vec![0; PIECE],
            small: Vec::with_capacity(HEAD),
        }
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// Those of what the zip is written to; a name that is too long for the format.
    pub fn directory(&mut self, head: &Head<'_>) -> Result<(), Fault> {
        let offset = self.at;
        self.local(head, Form::SMALL, Content::default())?;
        self.record(head, Form::SMALL, Content::default(), offset)
    }

    /// Adds a file with all that can be read from `from`; gives how many bytes that was.
    ///
    /// # Errors
    /// Those of `from` and of what the zip is written to; a file that was small and passed 4 GiB while it was read.
    pub fn file(&mut self, head: &Head<'_>, from: &mut impl Read) -> Result<u64, Fault> {
        let offset = self.at;
        let mut crc = Crc::new();
        self.head.clear();
        let whole = fill(from, &mut self.head).map_err(Fault::Read)?;
        crc.update(&self.head);
        let (form, content) = if whole {
            let deflated = self.pack_head()?;
            let packed = if deflated { &self.small } else { &self.head };
            let content =
                Content { crc: crc.sum(), packed: packed.len() as u64, length: self.head.len() as u64 };
            let form = Form { deflated, ..Form::SMALL };
            self.local(head, form, content)?;
            let packed = if deflated { &self.small } else { &self.head };
            self.to.write_all(packed).map_err(Fault::Write)?;
            self.at += content.packed;
            (form, content)
        } else {
            // What is said of a file that is longer than its head may be nonsense, or soon be.
            let large = head.expected >= LARGE;
            let worth = self.try_head()?;
            let form = Form { deflated: worth, follow: true, large };
            self.local(head, form, Content::default())?;
            let start = self.at;
            let length = if form.deflated {
                self.deflate_rest(from, &mut crc, large)?
            } else {
                self.store_rest(from, &mut crc, large)?
            };
            let content = Content { crc: crc.sum(), packed: self.at - start, length };
            self.follow(form, content)?;
            (form, content)
        };
        self.record(head, form, content, offset)?;
        Ok(content.length)
    }

    /// Ends the zip; gives what it was written to.
    ///
    /// # Errors
    /// Those of what it is written to.
    pub fn finish(mut self) -> io::Result<W> {
        let (start, Directory { records, count, length }) = (self.at, self.directory);
        let mut inflate = DeflateDecoder::new(self.to);
        inflate.write_all(&records.finish()?)?;
        self.to = inflate.finish()?;

        let mut end = Vec::new();
        if count >= 0xFFFF || start >= u64::from(ELSEWHERE) || length >= u64::from(ELSEWHERE) {
            let mut at = Record(&mut end);
            at.u32(0x0606_4B50).u64(44).u16(3 << 8 | 45).u16(45).u32(0).u32(0);
            at.u64(count).u64(count).u64(length).u64(start);
            at.u32(0x0706_4B50).u32(0).u64(start + length).u32(1);
        }
        let short = u16::try_from(count).unwrap_or(u16::MAX);
        let mut at = Record(&mut end);
        at.u32(0x0605_4B50).u16(0).u16(0).u16(short).u16(short).u32(clamp(length)).u32(clamp(start)).u16(0);
        self.to.write_all(&end)?;
        self.to.flush()?;
        Ok(self.to)
    }

    /// Deflates the head, which is all of the file, into `small`; gives whether that made it smaller.
    fn pack_head(&mut self) -> Result<bool, Fault> {
        self.deflate.reset();
        self.small.clear();
        // Into less room than it has: where that is not enough, nothing is gained.
        self.small.reserve(self.head.len());
        if self.head.is_empty() {
            return Ok(false);
        }
        let status = self.deflate.compress_vec(&self.head, &mut self.small, FlushCompress::Finish);
        let status = status.map_err(|error| Fault::Write(io::Error::other(error)))?;
        Ok(status == Status::StreamEnd && self.small.len() < self.head.len())
    }

    /// Deflates the head, which is not all of the file, into `small`; gives whether it is worth it. If so `small` is the
    /// beginning of the deflated file.
    fn try_head(&mut self) -> Result<bool, Fault> {
        self.deflate.reset();
        self.small.clear();
        self.small.reserve(self.head.len() + 1024);
        let status = self.deflate.compress_vec(&self.head, &mut self.small, FlushCompress::Sync);
        status.map_err(|error| Fault::Write(io::Error::other(error)))?;
        let all = self.deflate.total_in() == self.head.len() as u64;
        Ok(all && self.small.len() * 100 <= self.head.len() * WORTH)
    }

    fn store_rest(&mut self, from: &mut impl Read, crc: &mut Crc, large: bool) -> Result<u64, Fault> {
        self.to.write_all(&self.head).map_err(Fault::Write)?;
        let mut length = self.head.len() as u64;
        loop {
            let count = read(from, &mut self.piece)?;
            if count == 0 {
                break;
            }
            let piece = &self.piece[..count];
            crc.update(piece);
            self.to.write_all(piece).map_err(Fault::Write)?;
            length += count as u64;
            in_bounds(length, large)?;
        }
        self.at += length;
        Ok(length)
    }

    fn deflate_rest(&mut self, from: &mut impl Read, crc: &mut Crc, large: bool) -> Result<u64, Fault> {
        self.to.write_all(&self.small).map_err(Fault::Write)?;
        let mut length = self.head.len() as u64;
        loop {
            let count = read(from, &mut self.piece)?;
            let piece = &self.piece[..count];
            crc.update(piece);
            length += count as u64;
            in_bounds(length, large)?;
            let flush = if count == 0 { FlushCompress::Finish } else { FlushCompress::None };
            let mut taken = 0;
            loop {
                self.small.clear();
                let before = self.deflate.total_in();
                let status = self.deflate.compress_vec(&piece[taken..], &mut self.small, flush);
                let status = status.map_err(|error| Fault::Write(io::Error::other(error)))?;
                taken += usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX);
                self.to.write_all(&self.small).map_err(Fault::Write)?;
                // Room that was left says that nothing more is to be had of this piece.
                let drained = taken >= count && self.small.len() < self.small.capacity();
                if status == Status::StreamEnd || (count > 0 && drained) {
                    break;
                }
            }
            if count == 0 {
                self.at += self.deflate.total_out();
                return Ok(length);
            }
        }
    }

    /// What stands before an entry's content.
    fn local(&mut self, head: &Head<'_>, form: Form, content: Content) -> Result<(), Fault> {
        let size = |known: u64| if form.large { ELSEWHERE } else { clamp(known) };
        let mut bytes = Vec::with_capacity(50 + head.name.len());
        let mut at = Record(&mut bytes);
        at.u32(0x0403_4B50).u16(form.version()).u16(form.flags(head.name)).u16(form.method());
        at.u16(head.modified.1).u16(head.modified.0);
        at.u32(content.crc).u32(size(content.packed)).u32(size(content.length));
        at.u16(name_length(head.name)?).u16(if form.large { 20 } else { 0 }).bytes(head.name);
        if form.large {
            at.u16(1).u16(16).u64(content.length).u64(content.packed);
        }
        self.put(&bytes)
    }

    /// What stands behind the content of an entry whose sizes were not known before.
    fn follow(&mut self, form: Form, content: Content) -> Result<(), Fault> {
        let mut bytes = Vec::with_capacity(24);
        let mut at = Record(&mut bytes);
        at.u32(0x0807_4B50).u32(content.crc);
        if form.large {
            at.u64(content.packed).u64(content.length);
        } else {
            at.u32(clamp(content.packed)).u32(clamp(content.length));
        }
        self.put(&bytes)
    }

    /// The entry's line in the list at the end.
    fn record(&mut self, head: &Head<'_>, form: Form, content: Content, offset: u64) -> Result<(), Fault> {
        let is_far = |number: u64| number >= u64::from(ELSEWHERE);
        let (large, far) = (is_far(content.packed) || is_far(content.length), is_far(offset));
        let mut extra = Vec::new();
        if large {
            Record(&mut extra).u64(content.length).u64(content.packed);
        }
        if far {
            Record(&mut extra).u64(offset);
        }
        let form = Form { large: form.large || large || far, ..form };
        let size = |known: u64| if large { ELSEWHERE } else { clamp(known) };
        let directory = head.name.ends_with(b"/");
        let kind: u32 = if directory { 0o040_000 } else { 0o100_000 };
        let attributes = (kind | (head.mode & 0o777)) << 16 | if directory { 0x10 } else { 0 };
        let extra_length = if extra.is_empty() { 0 } else { 4 + extra.len() };

        let mut bytes = Vec::with_capacity(80 + head.name.len());
        let mut at = Record(&mut bytes);
        // Made on Unix: the upper half of the attributes is a mode.
        at.u32(0x0201_4B50).u16(3 << 8 | form.version()).u16(form.version());
        at.u16(form.flags(head.name)).u16(form.method()).u16(head.modified.1).u16(head.modified.0);
        at.u32(content.crc).u32(size(content.packed)).u32(size(content.length));
        at.u16(name_length(head.name)?).u16(u16::try_from(extra_length).unwrap_or_default());
        at.u16(0).u16(0).u16(0).u32(attributes).u32(clamp(offset)).bytes(head.name);
        if !extra.is_empty() {
            at.u16(1).u16(u16::try_from(extra.len()).unwrap_or_default()).bytes(&extra);
        }
        self.directory.records.write_all(&bytes).map_err(Fault::Write)?;
        self.directory.length += bytes.len() as u64;
        self.directory.count += 1;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.to.write_all(bytes).map_err(Fault::Write)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// Numbers as the format has them: the lowest byte first.
struct Record<'a>(&'a mut Vec<u8>);

impl Record<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(&mut self, number: u16) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }
}

/// Date and time as the format has them, from year, month, day, hour, minute and second. It begins in 1980 and ends in
/// 2107; before and after, the nearest it can say.
pub fn dos_time(year: i16, month: i8, day: i8, hour: i8, minute: i8, second: i8) -> (u16, u16) {
    let part = |part: i8| u16::try_from(part).unwrap_or_default();
    match u16::try_from(year.saturating_sub(1980)) {
        Err(_) => (1 << 5 | 1, 0),
        Ok(128..) => (127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29),
        Ok(year) => {
            let date = year << 9 | part(month) << 5 | part(day);
            let time = part(hour) << 11 | part(minute) << 5 | (part(second) / 2);
            (date, time)
        }
    }
}

fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(ELSEWHERE)
}

fn name_length(name: &[u8]) -> Result<u16, Fault> {
    let long = || io::Error::new(io::ErrorKind::InvalidFilename, "a name is longer than a zip can hold");
    u16::try_from(name.len()).map_err(|_| Fault::Write(long()))
}

fn in_bounds(length: u64, large: bool) -> Result<(), Fault> {
    if large || length < u64::from(ELSEWHERE) - (64 << 20) {
        return Ok(());
    }
    Err(Fault::Read(io::Error::other("it grew to more than 4 GiB while it was read")))
}

/// Reads until the room is used up or the end; gives whether it was the end.
fn fill(from: &mut impl Read, head: &mut Vec<u8>) -> io::Result<bool> {
    from.take(HEAD as u64).read_to_end(head)?;
    Ok(head.len() < HEAD)
}

fn read(from: &mut impl Read, piece: &mut [u8]) -> Result<usize, Fault> {
    loop {
        match from.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done.map_err(Fault::Read),
        }
    }
}
