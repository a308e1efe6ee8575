//! The text in which a flock's secrets are kept on AWS, and which names they may have.
//!
//! One JSON object: the name of each file and its content in standard base64, on one line. It is what the original's
//! command line wrote and its worker reads, so both may be mixed with Shepard's. No error here holds a content.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::{CloudError, Kind};
use crate::ports::Secret;

/// Longest text that Secrets Manager keeps for one secret, in bytes (its quotas, 2026-11).
pub const LIMIT: usize = 65_536;

/// What one file name can be on every file system we know, in bytes.
const LONGEST_NAME: usize = 255;

/// A text that is not of this form. Names are shown, contents never.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No JSON at all; where it stops being any.
    #[error("it is no JSON (line {0}, column {1})")]
    NoJson(usize, usize),
    /// Bytes where text is expected.
    #[error("it holds bytes, not text")]
    Bytes,
    /// JSON, but not an object; what it is instead.
    #[error("it is {0}, not an object of names and contents")]
    NoObject(&'static str),
    /// A content that is not text: its name, and what it is.
    #[error("the content of {0:?} is {1}, not base64 in a string")]
    NoText(String, &'static str),
    /// A content that is text, but not base64: its name.
    #[error("the content of {0:?} is not base64")]
    NoBase64(String),
}

impl Malformed {
    /// The error of a store with such a text, in words for a person who can mend it.
    pub fn of(&self, store: &str) -> CloudError {
        let help = format!(
            "it is not the JSON that Shepard writes: {self}; push it again with `shepard secrets push`"
        );
        CloudError::new("read the secret", store, Kind::Invalid).because(help)
    }
}

/// A name that no file can have, or that two secrets have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It names no file, a folder, or a file elsewhere.
    #[error("the name of a secret must be that of a file, and {0:?} is not: {1}")]
    NoFile(String, &'static str),
    /// Two secrets have it.
    #[error("two secrets are named {0:?}")]
    Twice(String),
}

/// The text of these secrets, their names in order.
pub fn encode(secrets: &[Secret]) -> String {
    let mut sorted: Vec<&Secret> = secrets.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let object = sorted
        .into_iter()
        .map(|secret| (secret.name.clone(), Value::String(STANDARD.encode(&secret.bytes))))
        .collect();
    Value::Object(object).to_string()
}

/// Bytes that the text of such files has, by their names and how many bytes each of them has.
pub fn size<'a>(files: impl Iterator<Item = (&'a str, u64)>) -> u64 {
    let sizes = files.map(|(name, bytes)| {
        // The name as JSON, a colon, two quotes, a comma.
        let name = Value::from(name).to_string().len() as u64;
        name.saturating_add(4).saturating_add(bytes.div_ceil(3).saturating_mul(4))
    });
    // One comma less than there are files, and two braces.
    sizes.reduce(u64::saturating_add).map_or(2, |sum| sum.saturating_add(1))
}

/// The secrets in a text, by name. A text of blanks alone holds none.
///
/// # Errors
/// What is wrong with it, without any of its contents.
pub fn decode(text: &str) -> Result<Vec<Secret>, Malformed> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    // To a value first: an error of serde's on the way to a type of ours would repeat what it met.
    let value = serde_json::from_str::<Value>(text)
        .map_err(|error| Malformed::NoJson(error.line(), error.column()))?;
    let Value::Object(object) = value else { return Err(Malformed::NoObject(kind(&value))) };
    let mut secrets = Vec::with_capacity(object.len());
    for (name, value) in object {
        let Value::String(mut content) = value else { return Err(Malformed::NoText(name, kind(&value))) };
        // What the `base64` program makes is broken into lines.
        content.retain(|c| !c.is_ascii_whitespace());
        match STANDARD.decode(content) {
            Ok(bytes) => secrets.push(Secret { name, bytes }),
            Err(_) => return Err(Malformed::NoBase64(name)),
        }
    }
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(secrets)
}

/// Checks that every name can be that of a file in one folder, and that no two are the same.
///
/// # Errors
/// The first name that cannot.
pub fn check(secrets: &[Secret]) -> Result<(), BadName> {
    let mut seen = HashSet::new();
    for secret in secrets {
        check_name(&secret.name)?;
        if !seen.insert(&secret.name) {
            return Err(BadName::Twice(short(&secret.name)));
        }
    }
    Ok(())
}

/// Checks that a name can be that of a file in a folder.
///
/// # Errors
/// It cannot.
pub fn check_name(name: &str) -> Result<(), BadName> {
    let why = match name {
        "" => "it is empty",
        "." | ".." => "it is that of a folder",
        name if name.contains('/') => "it contains a '/'",
        name if name.contains('\0') => "it contains a NUL character",
        name if name.len() > LONGEST_NAME => "it is longer than 255 bytes",
        _ => return Ok(()),
    };
    Err(BadName::NoFile(short(name), why))
}

fn short(name: &str) -> String {
    name.chars().take(120).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(name: &str, bytes: &[u8]) -> Secret {
        Secret { name: name.into(), bytes: bytes.to_vec() }
    }

    #[test]
    fn the_text_is_the_originals() {
        let secrets = [secret("token", b"s3cret\0\xff"), secret(".pgpass", b""), secret("a \"b\"\n", b"x")];
        assert_eq!(encode(&secrets), r#"{".pgpass":"","a \"b\"\n":"eA==","token":"czNjcmV0AP8="}"#);
        // As json.dumps of Python wrote it, with the template's default file.
        let old = r#"{"instructions.txt": "RG8gbm90IGVtcHR5IHRoaXMuCg==", "\u00fc": "w7w="}"#;
        assert_eq!(
            decode(old).expect("old"),
            [secret("instructions.txt", b"Do not empty this.\n"), secret("ü", "ü".as_bytes())]
        );
        assert_eq!(decode("{\"a\":\"aGVs\\nbG8=\\n\"}").expect("in lines"), [secret("a", b"hello")]);
        for none in ["", " \n", "{}", "{ }"] {
            assert_eq!(decode(none).expect(none), [], "{none:?}");
        }
        assert_eq!(encode(&[]), "{}");
    }

    #[test]
    fn what_is_something_else_is_said_without_its_contents() {
        let cases = [
            ("hunter2", Malformed::NoJson(1, 1)),
            (r#"{"a":"hunter2"#, Malformed::NoJson(1, 13)),
            (r#""hunter2""#, Malformed::NoObject("a string")),
            (r#"["hunter2"]"#, Malformed::NoObject("an array")),
            ("null", Malformed::NoObject("null")),
            ("7", Malformed::NoObject("a number")),
            ("true", Malformed::NoObject("true or false")),
            (r#"{"a":7}"#, Malformed::NoText("a".into(), "a number")),
            (r#"{"a":{"hunter2":""}}"#, Malformed::NoText("a".into(), "an object")),
            (r#"{"a":null}"#, Malformed::NoText("a".into(), "null")),
            (r#"{"a":"hunter2"}"#, Malformed::NoBase64("a".into())),
            (r#"{"a":"aGVsbG8"}"#, Malformed::NoBase64("a".into())),
            (r#"{"a":"aGVs-_8="}"#, Malformed::NoBase64("a".into())),
        ];
        for (text, wanted) in cases {
            let error = decode(text).expect_err(text);
            assert_eq!(error, wanted, "{text}");
            assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("aGVs"), "{error}");
        }
    }

    #[test]
    fn names_are_those_of_files() {
        let long = "x".repeat(256);
        for bad in ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\0b", &long, &"y".repeat(1000)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
            assert!(check_name(bad).expect_err("bad").to_string().len() < 250);
        }
        for odd in ["-rf", "--", "a b", "'", "\"", "a\nb", "$(x)", ".env", "...", "ü", &"x".repeat(255)] {
            check_name(odd).expect(odd);
        }
        let twice = [secret("a", b"1"), secret("b", b""), secret("a", b"2")];
        assert_eq!(check(&twice), Err(BadName::Twice("a".into())));
        check(&twice[..2]).expect("apart");
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_decoded(
            files in prop::collection::btree_map(".{0,20}", prop::collection::vec(any::<u8>(), 0..50), 0..8),
        ) {
            let secrets: Vec<_> = files.iter().map(|(name, bytes)| secret(name, bytes)).collect();
            let text = encode(&secrets);
            let files = secrets.iter().map(|secret| (secret.name.as_str(), secret.bytes.len() as u64));
            prop_assert_eq!(size(files), text.len() as u64);
            prop_assert!(!text.contains('\n'));
            prop_assert_eq!(decode(&text).expect("decodes"), secrets);
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,60}") {
            let _ = decode(&text);
        }
    }
}
