//! Zip archives made by hand, byte by byte, so that every field can lie.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// One entry of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub content: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    /// Sizes after the data, as streaming tools write them; the local header then holds zeros.
    pub descriptor: bool,
    /// Sizes and offset in a zip64 field, 0xFFFFFFFF in the fixed part.
    pub zip64: bool,
    /// Extra bytes in the local header only.
    pub local_extra: usize,
}

impl Entry {
    pub fn new(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            content: content.as_ref().to_vec(),
            method: 8,
            flags: 0,
            descriptor: false,
            zip64: false,
            local_extra: 0,
        }
    }

    pub fn stored(mut self) -> Self {
        self.method = 0;
        self
    }

    fn data(&self) -> Vec<u8> {
        if self.method != 8 {
            return self.content.clone();
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&self.content).expect("memory");
        encoder.finish().expect("memory")
    }
}

/// An archive to be.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    pub prefix: Vec<u8>,
    /// Whether the offsets count the prefix, as a tool that knows of it writes them.
    pub rewritten: bool,
    pub entries: Vec<Entry>,
    pub comment: Vec<u8>,
    /// End record deferring to a zip64 one.
    pub zip64: bool,
    pub trailing: Vec<u8>,
}

impl Archive {
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self { entries: entries.into_iter().collect(), ..Self::default() }
    }

    pub fn inputs(text: &str) -> Self {
        Self::of([Entry::new("inputs.txt", text)])
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let base = if self.rewritten { 0 } else { self.prefix.len() as u64 };
        let mut directory = Vec::new();
        for entry in &self.entries {
            let at = out.len() as u64 - base;
            let data = entry.data();
            let mut crc = flate2::Crc::new();
            crc.update(&entry.content);
            let flags = entry.flags | if entry.descriptor { 8 } else { 0 };
            let (packed, size) = (data.len() as u32, entry.content.len() as u32);
            let local = if entry.descriptor { [0; 3] } else { [crc.sum(), packed, size] };
            let extra = vec![0xAB; entry.local_extra];
            out.extend(b"PK\x03\x04");
            put16(&mut out, &[20, flags, entry.method, 0, 0x21]);
            put32(&mut out, &local);
            put16(&mut out, &[entry.name.len() as u16, extra.len() as u16]);
            out.extend(&entry.name);
            out.extend(&extra);
            out.extend(&data);
            if entry.descriptor {
                out.extend(b"PK\x07\x08");
                put32(&mut out, &[crc.sum(), packed, size]);
            }
            let mut wide = Vec::new();
            if entry.zip64 {
                put16(&mut wide, &[0x5455, 1]);
                wide.push(0);
                put16(&mut wide, &[1, 24]);
                put64(&mut wide, &[size.into(), packed.into(), at]);
            }
            let narrow = |value: u32| if entry.zip64 { u32::MAX } else { value };
            directory.extend(b"PK\x01\x02");
            put16(&mut directory, &[0x031E, 45, flags, entry.method, 0, 0x21]);
            put32(&mut directory, &[crc.sum(), narrow(packed), narrow(size)]);
            put16(&mut directory, &[entry.name.len() as u16, wide.len() as u16, 0, 0, 0]);
            put32(&mut directory, &[0, narrow(at as u32)]);
            directory.extend(&entry.name);
            directory.extend(&wide);
        }
        let at = out.len() as u64 - base;
        let size = directory.len() as u64;
        let count = self.entries.len() as u64;
        out.extend(&directory);
        if self.zip64 {
            let record = out.len() as u64 - base;
            out.extend(b"PK\x06\x06");
            put64(&mut out, &[44]);
            put16(&mut out, &[45, 45]);
            put32(&mut out, &[0, 0]);
            put64(&mut out, &[count, count, size, at]);
            out.extend(b"PK\x06\x07");
            put32(&mut out, &[0]);
            put64(&mut out, &[record]);
            put32(&mut out, &[1]);
        }
        out.extend(b"PK\x05\x06");
        if self.zip64 {
            put16(&mut out, &[0, 0, u16::MAX, u16::MAX]);
            put32(&mut out, &[u32::MAX, u32::MAX]);
        } else {
            put16(&mut out, &[0, 0, count as u16, count as u16]);
            put32(&mut out, &[size as u32, at as u32]);
        }
        put16(&mut out, &[self.comment.len() as u16]);
        out.extend(&self.comment);
        out.extend(&self.trailing);
        out
    }
}

fn put16(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| out.extend(value.to_le_bytes()));
}

fn put32(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| out.extend(value.to_le_bytes()));
}

fn put64(out: &mut Vec<u8>, values: &[u64]) {
    values.iter().for_each(|value| out.extend(value.to_le_bytes()));
}
