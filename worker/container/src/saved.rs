//! Which image a saved archive holds. Only headers and the list of images are read; layers are passed over by seeking.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use shepard_model::names::container::NESTED_IMAGE;

/// Most bytes of an archive's list of images.
const LIST_BYTES: u64 = 4 << 20;

/// An image of an archive that `docker save` or a tool like it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Digest of its configuration, 64 hex digits: for most engines its id.
    pub digest: String,
    /// The reference it is loaded under, where it has one.
    pub reference: Option<String>,
}

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It cannot be read.
    #[error("the image archive {path} cannot be read: {source}; deploy the flock again")]
    Io {
        /// Its path.
        path: String,
        /// The system's own words.
        source: io::Error,
    },
    /// It is something else.
    #[error("{path} is no archive as docker save writes it: {why}; deploy the flock again")]
    Odd {
        /// Its path.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags")]
    tags: Option<Vec<String>>,
}

/// Reads which image an archive holds: the one that is tagged as payloads are, else the first.
///
/// # Errors
/// The file cannot be read, or is no such archive. A compressed one is none: its list cannot be reached by seeking.
pub fn read(path: &Path) -> Result<Saved, SavedError> {
    let said = || path.display().to_string();
    let odd = |why| SavedError::Odd { path: said(), why };
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::Other | io::ErrorKind::UnexpectedEof => {
            odd("it is cut short or damaged")
        }
        _ => SavedError::Io { path: said(), source },
    };
    let mut file = File::open(path).map_err(|source| SavedError::Io { path: said(), source })?;
    let mut magic = [0; 2];
    if file.read(&mut magic).map_err(failed)? == 2 && magic == [0x1f, 0x8b] {
        return Err(odd("it is compressed"));
    }
    io::Seek::rewind(&mut file).map_err(failed)?;
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path_bytes().as_ref() != b"manifest.json" {
            continue;
        }
        let mut text = Vec::new();
        entry.take(LIST_BYTES).read_to_end(&mut text).map_err(failed)?;
        let images: Vec<Entry> =
            serde_json::from_slice(&text).map_err(|_| odd("its manifest.json is not a list of images"))?;
        let tagged = |image: &&Entry| image.tags.iter().flatten().any(|tag| tag == NESTED_IMAGE);
        let image = images.iter().find(tagged).or(images.first()).ok_or(odd("it holds no image"))?;
        let digest = digest(&image.config).ok_or(odd("its manifest.json names no configuration"))?;
        let tags = image.tags.as_deref().unwrap_or_default();
        let reference = tags.iter().find(|tag| *tag == NESTED_IMAGE).or(tags.first()).cloned();
        return Ok(Saved { digest, reference });
    }
    Err(odd("it has no manifest.json"))
}

/// The digest in the name of a configuration: `<hex>.json`, or `blobs/sha256/<hex>` in the layout of OCI.
fn digest(config: &str) -> Option<String> {
    let name = config.strip_prefix("blobs/sha256/").or_else(|| config.strip_suffix(".json"))?;
    (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)))
        .then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(file.reopen().unwrap());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap();
        file
    }

    fn of(list: &str) -> Result<Saved, SavedError> {
        let file = archive(&[("layer.tar", &[7; 100_000]), ("manifest.json", list.as_bytes())]);
        read(file.path())
    }

    #[test]
    fn both_layouts_name_the_configuration() {
        let hex = "0123456789abcdef".repeat(4);
        for config in [format!("{hex}.json"), format!("blobs/sha256/{hex}")] {
            let list = format!(r#"[{{"Config":"{config}","RepoTags":["x:y"],"Layers":["layer.tar"]}}]"#);
            let saved = of(&list).unwrap();
            assert_eq!((saved.digest.as_str(), saved.reference.as_deref()), (hex.as_str(), Some("x:y")));
        }
        let untagged = of(&format!(r#"[{{"Config":"{hex}.json","RepoTags":null}}]"#)).unwrap();
        assert_eq!(untagged.reference, None);
    }

    #[test]
    fn of_several_it_is_the_payload() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let list = format!(
            r#"[{{"Config":"{one}.json","RepoTags":["x:y"]}},{{"Config":"{two}.json","RepoTags":["z:1","payload_image:latest"]}}]"#
        );
        assert_eq!(of(&list).unwrap().digest, two);
    }

    #[test]
    fn what_is_none_is_said() {
        for (list, why) in [
            ("{}", "not a list"),
            ("[]", "no image"),
            (r#"[{"Config":"../../etc/passwd"}]"#, "no configuration"),
            (r#"[{"Config":"blobs/sha256/UPPER"}]"#, "no configuration"),
        ] {
            let said = of(list).unwrap_err().to_string();
            assert!(said.contains(why) && said.contains("deploy"), "{said}");
        }
        let none = archive(&[("x", b"y")]);
        assert!(read(none.path()).unwrap_err().to_string().contains("no manifest.json"));
        let short = archive(&[("x", &[7; 5000])]);
        short.as_file().set_len(1000).unwrap();
        assert!(read(short.path()).is_err());
        std::fs::write(short.path(), [0x1f, 0x8b, 8, 0]).unwrap();
        assert!(read(short.path()).unwrap_err().to_string().contains("compressed"));
        let gone = read(Path::new("/nowhere/payload.tar")).unwrap_err().to_string();
        assert!(gone.contains("/nowhere/payload.tar") && gone.contains("cannot be read"), "{gone}");
    }
}
