//! S3: one bucket, its partitions' request rates, and the uploads, whose bytes are shared by all of one shape.
//!
//! Pure state. A rate that is used up refuses. The scheduler's own objects share the first partition with the
//! uploads: S3 splits prefixes by load, and nothing promises that it splits off ours.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::ops::Bound;

use shepard_cloud::ports::{ObjectMeta, Page, Part, Range};
use shepard_cloud::{CloudError, Kind, Result};
use shepard_model::ObjectRef;
use zip::write::SimpleFileOptions;

use crate::meter::Meter;
use crate::quotas::Quotas;
use crate::world::ms;

/// The one bucket.
pub const BUCKET: &str = "inputs";
/// Keys in one page of a list.
const LISTED: usize = 1_000;

/// What an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A good zip, of this shape.
    Shape(u16),
    /// No zip at all.
    Malformed,
    /// Gone before anybody reads it.
    Gone,
}

#[derive(Debug)]
enum Stored {
    Upload(u32),
    Bytes(Vec<u8>, u64),
}

/// The bucket.
#[derive(Debug)]
pub struct S3 {
    /// PUTs of each partition.
    pub puts: Vec<Meter>,
    /// GETs of each partition.
    pub gets: Vec<Meter>,
    zips: Vec<Vec<u8>>,
    objects: BTreeMap<String, Stored>,
    /// What each upload is, and when its PUT ended.
    contents: Vec<(Content, u64)>,
}

/// Key of an upload; prefix first.
pub fn upload_key(prefix: u32, number: u32) -> String {
    format!("p{prefix:03}/{number:08}.zip")
}

/// Version of an upload.
pub fn upload_version(number: u32) -> String {
    format!("v{number}")
}

fn refused<T>(operation: &'static str, key: &str, kind: Kind) -> Result<T> {
    Err(CloudError::new(operation, key, kind))
}

impl S3 {
    /// An empty bucket. `factor` is on its rates.
    ///
    /// # Errors
    /// The archives cannot be made: a fault of the build.
    pub fn new(quotas: &Quotas, prefixes: u32, shapes: u32, factor: f64) -> zip::result::ZipResult<Self> {
        let each = |name, rate: f64| -> Vec<Meter> {
            let meter = Meter::new(name, rate * factor, quotas.s3_burst.value);
            vec![meter; prefixes.max(1) as usize]
        };
        let zips = (0..shapes.max(1)).map(archive).collect::<zip::result::ZipResult<_>>()?;
        Ok(Self {
            puts: each("s3_put", quotas.s3_put.value),
            gets: each("s3_get", quotas.s3_get.value),
            zips,
            objects: BTreeMap::new(),
            contents: Vec::new(),
        })
    }

    fn partition(&self, key: &str) -> usize {
        let prefix = key.strip_prefix('p').and_then(|rest| rest.get(..3)).and_then(|text| text.parse().ok());
        prefix.unwrap_or(0).min(self.puts.len() - 1)
    }

    /// An upload's PUT. None where S3 is asked too fast; else its number.
    pub fn upload(&mut self, now_us: u64, prefix: u32, content: Content) -> Option<u32> {
        if !self.puts[prefix as usize].charge(now_us, 1.0) {
            return None;
        }
        let number = self.contents.len() as u32;
        self.contents.push((content, now_us));
        if content != Content::Gone {
            self.objects.insert(upload_key(prefix, number), Stored::Upload(number));
        }
        Some(number)
    }

    /// Size of an upload.
    pub fn size(&self, content: Content) -> u64 {
        match content {
            Content::Shape(shape) => self.zips[shape as usize].len() as u64,
            Content::Malformed | Content::Gone => 9,
        }
    }

    fn bytes<'a>(&'a self, stored: &'a Stored) -> &'a [u8] {
        match stored {
            Stored::Bytes(bytes, _) => bytes,
            Stored::Upload(number) => match self.contents[*number as usize].0 {
                Content::Shape(shape) => &self.zips[shape as usize],
                Content::Malformed | Content::Gone => b"not a zip",
            },
        }
    }

    /// Reads an object without a charge: for the workers and the checks.
    pub fn look(&self, key: &str) -> Option<&[u8]> {
        self.objects.get(key).map(|stored| self.bytes(stored))
    }

    /// GetObject.
    ///
    /// # Errors
    /// Too fast, or not there.
    pub fn get(&mut self, now_us: u64, object: &ObjectRef, range: Range) -> Result<Part> {
        let key = object.key.as_str();
        let partition = self.partition(key);
        if !self.gets[partition].charge(now_us, 1.0) {
            return refused("read", key, Kind::Throttled);
        }
        let stored = match self.objects.get(key) {
            Some(stored) if object.bucket == BUCKET => stored,
            _ => return refused("read", key, Kind::NotFound),
        };
        if let (Stored::Upload(number), Some(version)) = (stored, &object.version)
            && *version != upload_version(*number)
        {
            return refused("read", key, Kind::NotFound);
        }
        let bytes = self.bytes(stored);
        let total = bytes.len() as u64;
        let (start, end) = match range {
            Range::Suffix(length) => (total - length.min(total), total),
            Range::From { start, length } => (start.min(total), start.saturating_add(length).min(total)),
        };
        Ok(Part { bytes: bytes[start as usize..end as usize].to_vec(), start, total })
    }

    /// PutObject with `If-None-Match: *`.
    ///
    /// # Errors
    /// Too fast.
    pub fn put_new(&mut self, now_us: u64, object: &ObjectRef, bytes: &[u8]) -> Result<bool> {
        let partition = self.partition(&object.key);
        if !self.puts[partition].charge(now_us, 1.0) {
            return refused("write", &object.key, Kind::Throttled);
        }
        if self.objects.contains_key(&object.key) {
            return Ok(false);
        }
        self.objects.insert(object.key.clone(), Stored::Bytes(bytes.to_vec(), now_us));
        Ok(true)
    }

    /// DeleteObject.
    ///
    /// # Errors
    /// Too fast.
    pub fn delete(&mut self, now_us: u64, object: &ObjectRef) -> Result<()> {
        let partition = self.partition(&object.key);
        if !self.puts[partition].charge(now_us, 1.0) {
            return refused("delete", &object.key, Kind::Throttled);
        }
        self.objects.remove(&object.key);
        Ok(())
    }

    fn meta(&self, key: &str, stored: &Stored) -> ObjectMeta {
        let object = ObjectRef::new(BUCKET, key);
        let (object, put_us) = match stored {
            Stored::Upload(number) => (object.at(upload_version(*number)), self.contents[*number as usize].1),
            Stored::Bytes(_, put_us) => (object, *put_us),
        };
        ObjectMeta { object, size: self.bytes(stored).len() as u64, modified_ms: ms(put_us) }
    }

    /// HeadObject.
    ///
    /// # Errors
    /// Too fast, or not there.
    pub fn head(&mut self, now_us: u64, object: &ObjectRef) -> Result<ObjectMeta> {
        let partition = self.partition(&object.key);
        if !self.gets[partition].charge(now_us, 1.0) {
            return refused("read", &object.key, Kind::Throttled);
        }
        match self.objects.get(&object.key) {
            Some(stored) => Ok(self.meta(&object.key, stored)),
            None => refused("read", &object.key, Kind::NotFound),
        }
    }

    /// ListObjectsV2: a page of keys after `from`, without their versions.
    ///
    /// # Errors
    /// Too fast.
    pub fn list(&mut self, now_us: u64, prefix: &str, from: Option<&str>) -> Result<Page<ObjectMeta>> {
        if !self.gets[0].charge(now_us, 1.0) {
            return refused("list", prefix, Kind::Throttled);
        }
        let after = from.map_or(Bound::Included(prefix), Bound::Excluded);
        let range = self.objects.range::<str, _>((after, Bound::Unbounded));
        let mut found =
            range.filter(|(key, _)| key.as_str() >= prefix).take_while(|(key, _)| key.starts_with(prefix));
        let unversioned = |(key, stored): (&String, &Stored)| {
            let mut meta = self.meta(key, stored);
            meta.object.version = None;
            meta
        };
        let items: Vec<_> = found.by_ref().take(LISTED).map(unversioned).collect();
        let next = items.last().filter(|_| found.next().is_some()).map(|last| last.object.key.clone());
        Ok(Page { items, next })
    }
}

/// A small zip whose `inputs.txt` asks for a shape; shape 0 asks for nothing.
fn archive(shape: u32) -> zip::result::ZipResult<Vec<u8>> {
    let text = match shape {
        0 => r#"{"sample": "s-000", "threads": 4}"#.to_owned(),
        n => format!(
            r#"{{"sample": "s-000", "SHEPARD_VCPUS": {}, "SHEPARD_MEMORY": {}}}"#,
            1 + n % 16,
            512 + 256 * (n / 16)
        ),
    };
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("inputs.txt", SimpleFileOptions::default())?;
    zip.write_all(text.as_bytes())?;
    zip.start_file("payload.sh", SimpleFileOptions::default())?;
    zip.write_all(b"#!/bin/sh\nexit 0\n")?;
    Ok(zip.finish()?.into_inner())
}
