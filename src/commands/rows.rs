//! The JSON of a job: the row's own attributes, the user's variables with their digits, and what is ours.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;
use shepard_model::{JobRow, Value, status};

/// The names that are ours at the top of a job's object. A user's variable of such a name is under `variables`.
const OURS: [&str; 14] = [
    "UUID",
    "JOB_STATUS",
    "START_TIME",
    "END_TIME",
    "input",
    "state",
    "outcome",
    "reason",
    "attempts",
    "created",
    "started",
    "ended",
    "way",
    "variables",
];

/// A row as `query` prints it.
pub(super) struct Shown<'a>(pub(super) &'a JobRow);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("UUID", &row.id)?;
        map.serialize_entry("JOB_STATUS", &row.status)?;
        match row.start_time_s {
            Some(at) => map.serialize_entry("START_TIME", &at)?,
            None => map.serialize_entry("START_TIME", status::NOT_YET_INITIATED)?,
        }
        map.serialize_entry("END_TIME", &row.end_time_s)?;
        for (name, value) in row.variables.iter().filter(|(name, _)| !OURS.contains(&name.as_str())) {
            map.serialize_entry(name, &Token(value))?;
        }
        map.serialize_entry("input", &row.input.as_ref().map(|input| &input.key))?;
        map.serialize_entry("state", &row.state())?;
        map.serialize_entry("outcome", &row.outcome)?;
        map.serialize_entry("reason", &row.reason)?;
        map.serialize_entry("attempts", &row.attempts.len())?;
        map.serialize_entry("created", &row.created_ms)?;
        map.serialize_entry("started", &row.started_ms)?;
        map.serialize_entry("ended", &row.ended_ms)?;
        map.serialize_entry("way", &row.way())?;
        map.serialize_entry("variables", &Variables(row))?;
        map.end()
    }
}

struct Variables<'a>(&'a JobRow);

impl Serialize for Variables<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.variables.len()))?;
        for (name, value) in &self.0.variables {
            map.serialize_entry(name, &Token(value))?;
        }
        map.end()
    }
}

/// A value as the JSON token it was written as.
struct Token<'a>(&'a Value);

impl Serialize for Token<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match RawValue::from_string(self.0.to_json()) {
            Ok(raw) => raw.serialize(serializer),
            // A row that was written by something else may hold what is no JSON; its text is better than nothing.
            Err(_) => serializer.serialize_str(&self.0.to_env()),
        }
    }
}

/// A value of a row by the name that `query` prints it under, as text, for filters.
pub(super) fn attribute(row: &JobRow, name: &str) -> Option<String> {
    let number = |value: Option<i64>| value.map(|value| value.to_string());
    match name {
        "UUID" => Some(row.id.to_string()),
        "JOB_STATUS" => Some(row.status.clone()),
        "START_TIME" => number(row.start_time_s).or_else(|| Some(status::NOT_YET_INITIATED.to_owned())),
        "END_TIME" => number(Some(row.end_time_s)),
        "input" => row.input.as_ref().map(|input| input.key.clone()),
        "state" => Some(row.state().word().to_owned()),
        "outcome" => row.outcome.map(|outcome| outcome.word().to_owned()),
        "reason" => row.reason.clone(),
        "attempts" => Some(row.attempts.len().to_string()),
        "created" => number(Some(row.created_ms)),
        "started" => number(row.started_ms),
        "ended" => number(row.ended_ms),
        "way" => row.way().map(str::to_owned),
        name => row.variables.iter().find(|(known, _)| known == name).map(|(_, value)| match value {
            Value::String(text) => text.clone(),
            other => other.to_json(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use shepard_model::{Inputs, JobId, Note, ObjectRef, Stage};

    use super::*;

    fn row(inputs: &str) -> JobRow {
        let inputs = Inputs::parse(inputs.as_bytes()).expect("valid");
        let id = JobId::parse("abc").expect("id");
        JobRow::arrived(id, Some(ObjectRef::new("inputs", "k.zip")), inputs, 5_000, 1)
    }

    #[test]
    fn the_shape_is_the_documented_one_and_no_digit_is_lost() {
        let row = row(r#"{"n": 1.500, "big": 123456789012345678901234567890, "l": [0.10], "input": "mine"}"#);
        assert_eq!(
            serde_json::to_string(&Shown(&row)).expect("json"),
            concat!(
                r#"{"UUID":"abc","JOB_STATUS":"not_yet_initiated","START_TIME":"not_yet_initiated","#,
                r#""END_TIME":86405,"n":1.500,"big":123456789012345678901234567890,"l":[0.10],"#,
                r#""input":"k.zip","state":"queued","outcome":null,"reason":null,"attempts":0,"#,
                r#""created":5000,"started":null,"ended":null,"way":null,"#,
                r#""variables":{"n":1.500,"big":123456789012345678901234567890,"l":[0.10],"input":"mine"}}"#
            )
        );
    }

    #[test]
    fn the_way_a_job_ran_is_that_of_its_newest_attempt() {
        let mut row = row("{}");
        let mut ran = |stage, way: &str| {
            row.timeline.push(Note { stage, at_ms: 1, detail: Some(way.to_owned()) });
        };
        ran(Stage::Payload, "as a process");
        ran(Stage::Lost, "killed");
        ran(Stage::Payload, "in a container");
        ran(Stage::Cleaning, "x");
        assert_eq!(attribute(&row, "way").as_deref(), Some("in a container"));
        assert!(serde_json::to_string(&Shown(&row)).expect("json").contains(r#""way":"in a container""#));
    }

    #[test]
    fn filters_see_what_is_printed() {
        let row = row(r#"{"n": 1.500, "b": true, "s": "x y"}"#);
        let is = |name: &str, value: &str| attribute(&row, name).as_deref() == Some(value);
        assert!(is("n", "1.500") && is("b", "true") && is("s", "x y") && is("state", "queued"));
        assert_eq!(attribute(&row, "outcome"), None);
    }
}
