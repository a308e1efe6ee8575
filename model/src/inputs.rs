//! `inputs.txt`: one JSON object whose members become the payload's environment.
//!
//! Decoding is as tolerant as Python's `json.loads(bytes)` was (UTF-8, 16 and 32, with or without a byte-order
//! mark); checking is stricter, and every refusal is a sentence its author can act on. Values are never
//! repeated in an error: they may be secret.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::keywords;
use crate::shape::Shape;
use crate::value::Value;

/// Largest `inputs.txt` that is read, in bytes. A DynamoDB item is at most 400 KB and holds the row beside it.
pub const MAX_BYTES: usize = 300 * 1024;

/// The checked content of an `inputs.txt`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inputs {
    /// Every member, in the author's order and case, the special ones included.
    pub variables: Vec<(String, Value)>,
    /// Value of `TAG`, whatever its case, as text.
    pub tag: Option<String>,
    /// Value of `QUICK_DEPLOY_DIRECTORY`, slashes at the ends removed; `None`, `null` and empty mean off.
    pub quick_deploy: Option<String>,
}

/// Why an `inputs.txt` cannot be a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// More than [`MAX_BYTES`].
    #[error("inputs.txt is {0} bytes; at most {MAX_BYTES} are allowed")]
    TooLarge(u64),
    /// Nothing in it.
    #[error("inputs.txt is empty; it must hold one JSON object")]
    Empty,
    /// Bytes that are not text in the encoding they claim.
    #[error("inputs.txt is not valid {0} text")]
    Encoding(&'static str),
    /// Not JSON.
    #[error("inputs.txt is not JSON: {what} at line {line}, column {column}")]
    Json {
        /// What is wrong, without the text around it.
        what: &'static str,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// JSON, but a list, a string or a number at the top.
    #[error("inputs.txt must be one JSON object of variables, but is {0}")]
    NotAnObject(&'static str),
    /// A member named twice.
    #[error("the variable {0:?} is given more than once")]
    Duplicate(String),
    /// A reserved keyword.
    #[error("the variable {name:?} is a reserved keyword ({keyword}); choose another name")]
    Reserved {
        /// The name as written.
        name: String,
        /// The keyword it collides with.
        keyword: &'static str,
    },
    /// A name no environment can carry.
    #[error("{name:?} cannot be the name of an environment variable: {problem}")]
    BadName {
        /// The name as written.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A value no environment can carry.
    #[error("the value of {0:?} contains a NUL character, which no environment variable can hold")]
    Nul(String),
    /// A tag or quick-deploy directory that is a list or an object, or that leaves its place.
    #[error("{name} {problem}")]
    Special {
        /// `TAG` or `QUICK_DEPLOY_DIRECTORY`.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Inputs {
    /// Decodes and checks the bytes of an `inputs.txt`.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, InputsError> {
        if bytes.len() > MAX_BYTES {
            return Err(InputsError::TooLarge(bytes.len() as u64));
        }
        let text = decode(bytes)?;
        Self::from_json(&text)
    }

    /// Checks JSON text that is decoded already, as an API payload is.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn from_json(text: &str) -> Result<Self, InputsError> {
        if text.trim().is_empty() {
            return Err(InputsError::Empty);
        }
        let members = members(text)?;
        let mut inputs = Self::default();
        let mut seen = std::collections::HashSet::new();
        let (mut tags, mut folders) = (0, 0);
        for (name, raw) in members {
            if !seen.insert(name.clone()) {
                return Err(InputsError::Duplicate(name));
            }
            if let Some(keyword) = keywords::reserved(&name) {
                return Err(InputsError::Reserved { name, keyword });
            }
            if let Some(problem) = keywords::env_name_problem(&name) {
                return Err(InputsError::BadName { name, problem });
            }
            let value = classify(&raw)?;
            if value.to_env().contains('\0') {
                return Err(InputsError::Nul(name));
            }
            if name.eq_ignore_ascii_case(keywords::TAG) {
                tags += 1;
                inputs.tag = tag(&value)?;
            }
            if name.eq_ignore_ascii_case(keywords::QUICK_DEPLOY_DIRECTORY) {
                folders += 1;
                inputs.quick_deploy = quick_deploy(&value)?;
            }
            inputs.variables.push((name, value));
        }
        // Which of `TAG` and `tag` won was arbitrary in the original; an arbitrary result name is no result.
        for (count, name) in [(tags, keywords::TAG), (folders, keywords::QUICK_DEPLOY_DIRECTORY)] {
            if count > 1 {
                return Err(InputsError::Special { name, problem: "is given in more than one spelling" });
            }
        }
        Shape::of(&inputs.variables)?;
        Ok(inputs)
    }
}

/// Checks a tag, from `inputs.txt` or from a command line.
///
/// # Errors
/// A tag that would put the result outside its bucket or under a name no store takes.
pub fn check_tag(text: &str) -> Result<(), InputsError> {
    let fail = |problem| Err(InputsError::Special { name: keywords::TAG, problem });
    if text.len() > 512 {
        fail("is longer than 512 bytes")
    } else if text.chars().any(char::is_control) {
        fail("contains a control character")
    } else if text.starts_with('/') || text.split('/').any(|part| part == ".." || part == ".") {
        fail("leads out of the bucket ('/' at the start, or a '..' part)")
    } else {
        Ok(())
    }
}

fn tag(value: &Value) -> Result<Option<String>, InputsError> {
    match value {
        Value::Json(_) => Err(InputsError::Special {
            name: keywords::TAG,
            problem: "must be a word, not a list or an object",
        }),
        Value::Null => Ok(None),
        scalar => {
            let text = scalar.to_env();
            check_tag(&text)?;
            Ok((!text.is_empty()).then_some(text))
        }
    }
}

fn quick_deploy(value: &Value) -> Result<Option<String>, InputsError> {
    let name = keywords::QUICK_DEPLOY_DIRECTORY;
    let text = match value {
        Value::Json(_) => {
            return Err(InputsError::Special { name, problem: "must be a folder, not a list or an object" });
        }
        scalar => scalar.to_env(),
    };
    let folder = text.trim_matches('/');
    if folder.is_empty() || folder == "None" {
        return Ok(None);
    }
    if folder.chars().any(char::is_control)
        || folder.split('/').any(|part| part.is_empty() || part == "." || part == "..")
    {
        return Err(InputsError::Special { name, problem: "must be a plain folder path" });
    }
    Ok(Some(folder.to_owned()))
}

/// Text from bytes the way `json.loads` detects it: a byte-order mark, else the pattern of zero bytes.
fn decode(bytes: &[u8]) -> Result<String, InputsError> {
    let zero = |index: usize| bytes.get(index).is_some_and(|byte| *byte == 0);
    let (body, kind) = match bytes {
        [0xFF, 0xFE, 0, 0, rest @ ..] => (rest, Kind::Utf32Le),
        [0, 0, 0xFE, 0xFF, rest @ ..] => (rest, Kind::Utf32Be),
        [0xEF, 0xBB, 0xBF, rest @ ..] => (rest, Kind::Utf8),
        [0xFF, 0xFE, rest @ ..] => (rest, Kind::Utf16Le),
        [0xFE, 0xFF, rest @ ..] => (rest, Kind::Utf16Be),
        _ if zero(0) && zero(1) => (bytes, Kind::Utf32Be),
        _ if zero(0) => (bytes, Kind::Utf16Be),
        _ if zero(1) && zero(2) && zero(3) => (bytes, Kind::Utf32Le),
        _ if zero(1) => (bytes, Kind::Utf16Le),
        _ => (bytes, Kind::Utf8),
    };
    let wide = |order: fn([u8; 2]) -> u16| {
        let (units, rest) = body.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|pair| order(*pair)).collect();
        if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
    };
    let widest = |order: fn([u8; 4]) -> u32| {
        let (units, rest) = body.as_chunks::<4>();
        if !rest.is_empty() {
            return None;
        }
        units.iter().map(|quad| char::from_u32(order(*quad))).collect::<Option<String>>()
    };
    match kind {
        Kind::Utf8 => std::str::from_utf8(body).ok().map(str::to_owned).ok_or(InputsError::Encoding("UTF-8")),
        Kind::Utf16Le => wide(u16::from_le_bytes).ok_or(InputsError::Encoding("UTF-16")),
        Kind::Utf16Be => wide(u16::from_be_bytes).ok_or(InputsError::Encoding("UTF-16")),
        Kind::Utf32Le => widest(u32::from_le_bytes).ok_or(InputsError::Encoding("UTF-32")),
        Kind::Utf32Be => widest(u32::from_be_bytes).ok_or(InputsError::Encoding("UTF-32")),
    }
}

enum Kind {
    Utf8,
    Utf16Le,
    Utf16Be,
    Utf32Le,
    Utf32Be,
}

/// The members of the top object, in order, repeats and all: a map would lose what has to be refused.
fn members(text: &str) -> Result<Vec<(String, Box<RawValue>)>, InputsError> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Box<RawValue>)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    let shape = match text.trim_start().as_bytes().first() {
        Some(b'[') => Some("a list"),
        Some(b'"') => Some("a string"),
        Some(b't' | b'f') => Some("a boolean"),
        Some(b'n') => Some("null"),
        Some(b'-' | b'0'..=b'9') => Some("a number"),
        _ => None,
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    if let Some(shape) = shape {
        // Say "a list" only of what really is one; a broken list is not JSON at all.
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| json_error(&error))?;
        return Err(InputsError::NotAnObject(shape));
    }
    let members = reader.deserialize_map(Members).map_err(|error| json_error(&error))?;
    reader.end().map_err(|error| json_error(&error))?;
    Ok(members)
}

/// Where the JSON is wrong, without quoting it: serde's own message may repeat a value.
fn json_error(error: &serde_json::Error) -> InputsError {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        _ => "unexpected text",
    };
    InputsError::Json { what, line: error.line(), column: error.column() }
}

fn classify(raw: &RawValue) -> Result<Value, InputsError> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Value::String(serde_json::from_str(text).map_err(|error| json_error(&error))?),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        Some(b'[' | b'{') => Value::Json(compact(text)),
        _ => Value::Number(text.to_owned()),
    })
}

/// Drops white space outside strings, so that pretty-printed lists stay one line. Digits are not touched.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let keep = quoted || !c.is_ascii_whitespace();
            match (*c, escaped) {
                ('"', false) => quoted = !quoted,
                ('\\', false) if quoted => {
                    escaped = true;
                    return true;
                }
                _ => {}
            }
            escaped = false;
            keep
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Inputs::parse(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn digits_and_newlines_arrive_whole() {
        let inputs = Inputs::parse(
            br#"{"a": 1.50, "b": 123456789012345678901234567890123456789012, "c": "x\ny", "d": [1, {"e": "p q"}], "f": true, "g": null, "h": ""}"#,
        )
        .expect("valid");
        let shown: Vec<_> = inputs.variables.iter().map(|(_, value)| value.to_env()).collect();
        assert_eq!(
            shown,
            [
                "1.50",
                "123456789012345678901234567890123456789012",
                "x\ny",
                r#"[1,{"e":"p q"}]"#,
                "True",
                "None",
                ""
            ]
        );
    }

    #[test]
    fn every_encoding_python_detected_is_read() {
        let text = r#"{"ä": "ö"}"#;
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let le: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let be: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let wide: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [&[0xEF, 0xBB, 0xBF][..], text.as_bytes()].concat(),
            le.clone(),
            be.clone(),
            [&[0xFF, 0xFE][..], &le].concat(),
            [&[0xFE, 0xFF][..], &be].concat(),
            wide.clone(),
            [&[0xFF, 0xFE, 0, 0][..], &wide].concat(),
        ] {
            let inputs = Inputs::parse(&bytes).expect("decodes");
            assert_eq!(inputs.variables, [("ä".to_owned(), Value::String("ö".into()))]);
        }
    }

    #[test]
    fn each_refusal_says_what_to_change() {
        assert_eq!(refusal("[1]"), "inputs.txt must be one JSON object of variables, but is a list");
        assert_eq!(
            refusal("{\n  \"a\": ,\n}"),
            "inputs.txt is not JSON: unexpected text at line 2, column 8"
        );
        assert_eq!(refusal(r#"{"a": 1"#), "inputs.txt is not JSON: it ends too early at line 1, column 7");
        assert_eq!(
            refusal(r#"{"Path": 1}"#),
            r#"the variable "Path" is a reserved keyword (PATH); choose another name"#
        );
        assert_eq!(refusal(r#"{"a": 1, "a": 2}"#), r#"the variable "a" is given more than once"#);
        assert_eq!(
            refusal(r#"{"a b": 1}"#),
            r#""a b" cannot be the name of an environment variable: it contains white space"#
        );
        assert_eq!(refusal(r#"{"TAG": "x", "tag": "y"}"#), "TAG is given in more than one spelling");
        assert_eq!(refusal(""), "inputs.txt is empty; it must hold one JSON object");
        assert!(refusal(r#"{"a": "x\u0000y"}"#).contains("NUL"));
        assert!(refusal(r#"{"TAG": "../x"}"#).contains("leads out of the bucket"));
        assert_eq!(
            Inputs::parse(&[b'{', 0xFF]).expect_err("bytes").to_string(),
            "inputs.txt is not valid UTF-8 text"
        );
    }

    #[test]
    fn values_never_show_in_a_refusal() {
        for text in [r#"{"a": "hunter2"; }"#, r#"{"a": hunter2}"#, r#"{"UUID": "hunter2"}"#, r#"["hunter2"]"#]
        {
            assert!(!refusal(text).contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_tag_of_any_scalar_is_text_and_none_is_off() {
        let inputs = Inputs::parse(br#"{"Tag": 7, "quick_deploy_directory": "/a/b/"}"#).expect("valid");
        assert_eq!(inputs.tag.as_deref(), Some("7"));
        assert_eq!(inputs.quick_deploy.as_deref(), Some("a/b"));
        let off = Inputs::parse(br#"{"QUICK_DEPLOY_DIRECTORY": "None"}"#).expect("valid");
        assert_eq!(off.quick_deploy, None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Inputs::parse(&bytes);
        }

        #[test]
        fn compacting_keeps_the_meaning(text in "[ \\[\\]{}\",:\\\\a0]{0,30}") {
            if let Ok(before) = serde_json::from_str::<serde_json::Value>(&text) {
                let after: serde_json::Value = serde_json::from_str(&compact(&text)).expect("still JSON");
                proptest::prop_assert_eq!(before, after);
            }
        }
    }
}
