//! What a job asks of the compute beyond what its definition says, read off its `SHEPARD_…` variables.
//!
//! The variables stay the user's own and reach the payload like any other. Jobs of one shape can share one array
//! job; that is why it is small. Nothing here knows what a flock's machines can give.

use serde::{Deserialize, Serialize};

use crate::inputs::InputsError;
use crate::value::Value;

/// vCPUs of the job's container.
pub const VCPUS: &str = "SHEPARD_VCPUS";
/// Memory of the job's container, in MiB.
pub const MEMORY: &str = "SHEPARD_MEMORY";
/// GPUs of the job's container.
pub const GPUS: &str = "SHEPARD_GPUS";
/// Seconds after which the compute stops an attempt; AWS Batch takes 60 and more.
pub const TIMEOUT: &str = "SHEPARD_TIMEOUT";
/// Fair-share identifier, for a queue that has a scheduling policy.
pub const SHARE: &str = "SHEPARD_SHARE";
/// Rows that one container runs one after another. 1 is a container for each.
pub const PACK: &str = "SHEPARD_PACK";

/// Most rows in one container: a bound on what one lost host takes down with it.
pub const MAX_PACK: u32 = 1_000;
/// Longest share identifier, as AWS Batch has it (API reference of SubmitJob, 2026-11).
const MAX_SHARE: usize = 255;

/// What must be equal for two jobs to be in one array. None leaves what the job definition says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Shape {
    /// vCPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcpus: Option<u32>,
    /// MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Fair-share identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// Rows in one container; None leaves the flock's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<u32>,
}

impl Shape {
    /// Reads a shape off a job's variables, whose names count in any case.
    ///
    /// # Errors
    /// A setting that is no whole number in its bounds, or is given in more than one spelling.
    pub fn of(variables: &[(String, Value)]) -> Result<Self, InputsError> {
        let count = |name, least, most| whole(variables, name, least, most);
        Ok(Self {
            vcpus: count(VCPUS, 1, 100_000)?,
            memory_mib: count(MEMORY, 4, 100_000_000)?,
            gpus: count(GPUS, 1, 1_000)?,
            timeout_s: count(TIMEOUT, 60, i32::MAX.unsigned_abs())?,
            share: share(variables)?,
            pack: count(PACK, 1, MAX_PACK)?,
        })
    }
}

fn problem<T>(name: &'static str, problem: &'static str) -> Result<T, InputsError> {
    Err(InputsError::Special { name, problem })
}

fn setting<'a>(
    variables: &'a [(String, Value)],
    name: &'static str,
) -> Result<Option<&'a Value>, InputsError> {
    let mut found = variables.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((_, Value::Null)), None) => Ok(None),
        (Some((_, value)), None) => Ok(Some(value)),
        (Some(_), Some(_)) => problem(name, "is given in more than one spelling"),
    }
}

fn whole(
    variables: &[(String, Value)],
    name: &'static str,
    least: u32,
    most: u32,
) -> Result<Option<u32>, InputsError> {
    let Some(value) = setting(variables, name)? else { return Ok(None) };
    let (Value::Number(text) | Value::String(text)) = value else {
        return problem(name, "must be a whole number");
    };
    match text.parse::<u32>() {
        Ok(count) if (least..=most).contains(&count) => Ok(Some(count)),
        Ok(count) if count < least => problem(name, "is smaller than the compute takes"),
        Ok(_) => problem(name, "is larger than the compute takes"),
        Err(_) => problem(name, "must be a whole number"),
    }
}

fn share(variables: &[(String, Value)]) -> Result<Option<String>, InputsError> {
    match setting(variables, SHARE)? {
        None => Ok(None),
        Some(Value::String(text) | Value::Number(text))
            if (1..=MAX_SHARE).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            Ok(Some(text.clone()))
        }
        Some(_) => problem(SHARE, "must be 1 to 255 letters and digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Inputs;

    fn of(json: &str) -> Result<Shape, String> {
        Inputs::from_json(json).map(|inputs| Shape::of(&inputs.variables).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn settings_are_read_in_any_case_and_as_numbers_or_words() {
        let shape =
            of(r#"{"SHEPARD_VCPUS":4,"shepard_memory":"2048","x":1,"SHEPARD_SHARE":"blue"}"#).unwrap();
        assert_eq!(
            (shape.vcpus, shape.memory_mib, shape.share.as_deref()),
            (Some(4), Some(2048), Some("blue"))
        );
        assert_eq!(of(r#"{"x":1}"#).unwrap(), Shape::default());
        assert_eq!(of(r#"{"SHEPARD_PACK":null}"#).unwrap(), Shape::default());
    }

    #[test]
    fn a_bad_setting_rejects_the_job_and_says_which() {
        for bad in [
            r#"{"SHEPARD_PACK":0}"#,
            r#"{"SHEPARD_PACK":1001}"#,
            r#"{"SHEPARD_VCPUS":1.5}"#,
            r#"{"SHEPARD_VCPUS":true}"#,
            r#"{"SHEPARD_TIMEOUT":59}"#,
            r#"{"SHEPARD_SHARE":"a b"}"#,
            r#"{"SHEPARD_PACK":1,"shepard_pack":2}"#,
        ] {
            let said = of(bad).unwrap_err();
            assert!(said.starts_with("SHEPARD_"), "{bad}: {said}");
        }
    }
}
