//! Which payload a flock's image holds or names.
//!
//! `/payload.json` says it. The images of the old program have none, and `/payload.tar` alone.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use shepard_container::Image;
use shepard_model::names::container::{NESTED_FILE, PAYLOAD_FILE};

/// `/payload.json`.
#[derive(Deserialize)]
#[serde(tag = "form", rename_all = "lowercase")]
enum Payload {
    Digest { image: String },
    Nested { id: String },
}

/// The payload's image, from the files below `root`. An error is a sentence that says what to do.
pub(crate) fn payload(root: &Path) -> Result<Image, String> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let tar = below(NESTED_FILE);
    let text = match std::fs::read(below(PAYLOAD_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && tar.is_file() => {
            return Ok(Image::Nested { tar, id: None });
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(format!(
                "this image has no payload: neither {PAYLOAD_FILE} nor {NESTED_FILE} is in it; \
                 make it with `shepard deploy`"
            ));
        }
        Err(error) => return Err(format!("{PAYLOAD_FILE} cannot be read: {error}; {AGAIN}")),
    };
    match serde_json::from_slice(&text) {
        Ok(Payload::Digest { image }) if names_digest(&image) => Ok(Image::Digest { reference: image }),
        Ok(Payload::Nested { id }) if is_digest(&id) && tar.is_file() => {
            Ok(Image::Nested { tar, id: Some(id) })
        }
        Ok(Payload::Nested { .. }) if !tar.is_file() => Err(format!(
            "{PAYLOAD_FILE} says that the payload is in {NESTED_FILE}, which is not there; {AGAIN}"
        )),
        Ok(_) => Err(format!("{PAYLOAD_FILE} names no payload by its digest; {AGAIN}")),
        Err(error) => Err(format!(
            "{PAYLOAD_FILE} is not what this version of the worker knows (line {}, column {}); {AGAIN}",
            error.line(),
            error.column()
        )),
    }
}

const AGAIN: &str = "deploy the flock again";

fn names_digest(image: &str) -> bool {
    image.split_once('@').is_some_and(|(name, digest)| !name.is_empty() && is_digest(digest))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: Option<&str>, tar: bool) -> Result<Image, String> {
        let root = tempfile::tempdir().unwrap();
        if let Some(json) = json {
            std::fs::write(root.path().join("payload.json"), json).unwrap();
        }
        if tar {
            std::fs::write(root.path().join("payload.tar"), "x").unwrap();
        }
        payload(root.path())
    }

    #[test]
    fn all_three_kinds_of_image_are_known() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let json = format!(r#"{{"form":"digest","image":"host.example:5000/a/b@{digest}"}}"#);
        let reference = format!("host.example:5000/a/b@{digest}");
        assert_eq!(of(Some(&json), false), Ok(Image::Digest { reference }));
        let json = format!(r#"{{"form":"nested","id":"{digest}"}}"#);
        let Ok(Image::Nested { tar, id }) = of(Some(&json), true) else { panic!("not nested") };
        assert!(tar.ends_with("payload.tar"));
        assert_eq!(id, Some(digest));
        assert!(matches!(of(None, true), Ok(Image::Nested { id: None, .. })));
    }

    #[test]
    fn anything_else_says_to_deploy() {
        let nested = format!(r#"{{"form":"nested","id":"sha256:{}"}}"#, "0".repeat(64));
        for (json, tar, word) in [
            (None, false, "has no payload"),
            (Some("{"), true, "this version"),
            (Some(r#"{"form":"other"}"#), true, "this version"),
            (Some(r#"{"form":"digest","image":"a:latest"}"#), true, "by its digest"),
            (Some(r#"{"form":"nested","id":"../x"}"#), true, "by its digest"),
            (Some(nested.as_str()), false, "not there"),
        ] {
            let said = of(json, tar).unwrap_err();
            assert!(said.contains(word) && said.contains("deploy"), "{said}");
        }
    }
}
