//! Requests by API, translated: the payload into objects and a key, the answers into a response.
//!
//! Any flat object is a payload of an old caller and stays one, so what is ours travels under names that the
//! `SHEPARD_` prefix keeps free: `SHEPARD_IDEMPOTENCY_KEY`, which is taken out before the object becomes a row, and
//! `SHEPARD_JOBS`, a list of objects beside which only the key may stand.

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shepard_lambdas::Answer;
use shepard_model::{Inputs, inputs};

/// Member that names the call, so that repeating it makes no second job.
pub(crate) const KEY: &str = "SHEPARD_IDEMPOTENCY_KEY";
/// Member that holds a list of objects.
pub(crate) const JOBS: &str = "SHEPARD_JOBS";
/// Longest key, in bytes: an id is made of it, it is not kept.
const LONGEST_KEY: usize = 256;

/// What is asked for, checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// One object, or a list of them, as JSON.
    pub(crate) json: String,
    /// The caller's key, if it gave one.
    pub(crate) key: Option<String>,
    /// A list was asked for, so a list is answered.
    pub(crate) many: bool,
}

/// What is wrong with one object of a request; without an index, with the request itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Its place, from 0.
    pub(crate) index: Option<usize>,
    /// What is wrong. It may name a variable, but holds no value.
    pub(crate) reason: String,
}

fn whole(reason: impl Into<String>) -> Vec<Problem> {
    vec![Problem { index: None, reason: reason.into() }]
}

/// Reads and checks a whole request, so that nothing of one that is wrong is begun.
///
/// # Errors
/// Everything that is wrong, at most one thing an object.
pub(crate) fn read(payload: &RawValue) -> Result<Request, Vec<Problem>> {
    let text = payload.get();
    let (objects, key, many) = if text.starts_with('[') {
        (list(payload)?, None, true)
    } else {
        let Ok(Members(members)) = serde_json::from_str(text) else {
            return Err(whole("the request must be one JSON object of variables, or a list of them"));
        };
        taken_apart(&members)?
    };
    if objects.len() > shepard_lambdas::endpoint::MOST {
        let most = shepard_lambdas::endpoint::MOST;
        return Err(whole(format!(
            "the request holds {} jobs; at most {most} are taken at once",
            objects.len()
        )));
    }
    let problems: Vec<Problem> =
        objects.iter().enumerate().filter_map(|(index, object)| problem(index, object)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let json = if many { format!("[{}]", objects.join(",")) } else { objects.concat() };
    Ok(Request { json, key, many })
}

type Parts = (Vec<String>, Option<String>, bool);

fn taken_apart(members: &[(String, Box<RawValue>)]) -> Result<Parts, Vec<Problem>> {
    let is = |name: &'static str| move |(known, _): &&(String, Box<RawValue>)| known == name;
    let mut keys = members.iter().filter(is(KEY));
    let key = match (keys.next(), keys.next()) {
        (None, _) => None,
        (Some((_, value)), None) => Some(text_of_key(value)?),
        _ => return Err(whole(format!("{KEY} is given more than once"))),
    };
    if let Some((_, jobs)) = members.iter().find(is(JOBS)) {
        return match members.iter().filter(|member| !is(KEY)(member)).count() {
            1 => Ok((list(jobs)?, key, true)),
            _ => Err(whole(format!("nothing but {KEY} may stand beside {JOBS}"))),
        };
    }
    let mut object = String::from("{");
    for (name, value) in members.iter().filter(|member| !is(KEY)(member)) {
        if object.len() > 1 {
            object.push(',');
        }
        object.push_str(&Value::from(name.as_str()).to_string());
        object.push(':');
        object.push_str(value.get());
    }
    object.push('}');
    Ok((vec![object], key, false))
}

fn text_of_key(value: &RawValue) -> Result<String, Vec<Problem>> {
    match serde_json::from_str::<String>(value.get()) {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST_KEY => Ok(key),
        _ => Err(whole(format!("{KEY} must be a text of 1 to {LONGEST_KEY} bytes"))),
    }
}

fn list(payload: &RawValue) -> Result<Vec<String>, Vec<Problem>> {
    let items: Vec<Box<RawValue>> = serde_json::from_str(payload.get())
        .map_err(|_| whole(format!("{JOBS} must be a list of JSON objects")))?;
    if items.is_empty() {
        return Err(whole("the list is empty"));
    }
    Ok(items.iter().map(|item| item.get().to_owned()).collect())
}

fn problem(index: usize, object: &str) -> Option<Problem> {
    let said = |reason: String| Some(Problem { index: Some(index), reason });
    if object.len() > inputs::MAX_BYTES {
        return said(format!("the job is {} bytes; at most {} are allowed", object.len(), inputs::MAX_BYTES));
    }
    match Inputs::from_json(object) {
        Ok(inputs) if inputs.variables.iter().any(|(name, _)| name == KEY || name == JOBS) => {
            said(format!("{KEY} and {JOBS} belong beside the list, not into it"))
        }
        Ok(_) => None,
        // The words are those for a file; there is none here.
        Err(fault) => said(fault.to_string().replacen("inputs.txt", "the job", 1)),
    }
}

/// The answer to a request that is wrong; nothing of it was begun.
pub(crate) fn refused(problems: &[Problem]) -> Value {
    let errors: Vec<Value> = problems
        .iter()
        .map(|problem| match problem.index {
            Some(index) => json!({ "index": index, "reason": problem.reason }),
            None => json!({ "reason": problem.reason }),
        })
        .collect();
    json!({ "statusCode": 400, "body": body("the request is not valid; nothing was submitted"), "errors": errors })
}

/// The answer to a request that was taken: the fields that old callers know, and the ids beside them.
pub(crate) fn taken(project: &str, answers: &[Answer], many: bool) -> Value {
    let mut said = json!({ "statusCode": 200, "body": succeeded(project) });
    let jobs: Vec<Value> = answers.iter().map(|answer| json!(answer)).collect();
    if many {
        said["jobs"] = Value::from(jobs);
    } else if let (Some(said), Some(Value::Object(job))) = (said.as_object_mut(), jobs.into_iter().next()) {
        said.extend(job);
    }
    said
}

/// What the original says of a success: a JSON text within the JSON.
pub(crate) fn succeeded(project: &str) -> String {
    body(&format!("{project} scheduler executed successfully!"))
}

fn body(words: &str) -> String {
    Value::from(words).to_string()
}

/// The members of an object as they were written: their order, their repetitions, their exact numbers.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, Vec<Problem>> {
        let payload: Box<RawValue> = serde_json::from_str(text).expect("JSON");
        super::read(&payload)
    }

    fn reasons(text: &str) -> Vec<(Option<usize>, String)> {
        let problems = read(text).expect_err("problems");
        problems.into_iter().map(|problem| (problem.index, problem.reason)).collect()
    }

    #[test]
    fn an_old_payload_is_left_as_it_is() {
        let request =
            read(r#" {"b": 1.50, "a":"x\u00e9", "jobs":[1], "idempotency_key":"mine"}"#).expect("a request");
        assert_eq!(request.json, r#"{"b":1.50,"a":"x\u00e9","jobs":[1],"idempotency_key":"mine"}"#);
        assert_eq!((request.key, request.many), (None, false));
        assert_eq!(read("{}").expect("a request").json, "{}");
    }

    #[test]
    fn the_key_never_becomes_a_variable() {
        let request = read(r#"{"a":1,"SHEPARD_IDEMPOTENCY_KEY":"k","b":2}"#).expect("a request");
        assert_eq!((request.json.as_str(), request.key.as_deref()), (r#"{"a":1,"b":2}"#, Some("k")));
        for bad in ["7", "\"\"", "null", "[]"] {
            let reasons = reasons(&format!(r#"{{"SHEPARD_IDEMPOTENCY_KEY":{bad}}}"#));
            assert_eq!(reasons, [(None, format!("{KEY} must be a text of 1 to 256 bytes"))]);
        }
        let twice = r#"{"SHEPARD_IDEMPOTENCY_KEY":"a","SHEPARD_IDEMPOTENCY_KEY":"b"}"#;
        assert_eq!(reasons(twice), [(None, format!("{KEY} is given more than once"))]);
    }

    #[test]
    fn a_list_comes_bare_or_beside_its_key() {
        let bare = read(r#"[{"a":1}, {"a":2}]"#).expect("a request");
        assert_eq!((bare.json.as_str(), bare.key, bare.many), (r#"[{"a":1},{"a":2}]"#, None, true));
        let beside = read(r#"{"SHEPARD_JOBS":[{"a":1}],"SHEPARD_IDEMPOTENCY_KEY":"k"}"#).expect("a request");
        assert_eq!(
            (beside.json.as_str(), beside.key.as_deref(), beside.many),
            (r#"[{"a":1}]"#, Some("k"), true)
        );
        assert_eq!(
            reasons(r#"{"SHEPARD_JOBS":[{}],"a":1}"#),
            [(None, format!("nothing but {KEY} may stand beside {JOBS}"))]
        );
        assert_eq!(reasons("[]"), [(None, "the list is empty".to_owned())]);
        assert_eq!(
            reasons(r#"{"SHEPARD_JOBS":5}"#),
            [(None, format!("{JOBS} must be a list of JSON objects"))]
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let found = reasons(r#"[{"a":1},5,{"uuid":1},{"SHEPARD_IDEMPOTENCY_KEY":"k"}]"#);
        let places: Vec<_> = found.iter().map(|(index, _)| *index).collect();
        assert_eq!(places, [Some(1), Some(2), Some(3)]);
        assert_eq!(found[0].1, "the job must be one JSON object of variables, but is a number");
        assert!(found[1].1.contains("reserved keyword"), "{}", found[1].1);
        assert_eq!(reasons("5")[0].0, None);
        assert_eq!(reasons(r#"{"a":1,"a":2}"#).len(), 1);
        let answer = refused(&read("[5]").expect_err("problems"));
        assert_eq!((&answer["statusCode"], &answer["errors"][0]["index"]), (&json!(400), &json!(0)));
    }

    #[test]
    fn the_old_fields_are_answered_as_they_were() {
        let answer = |status| Answer { uuid: None, compute_id: Some("7".into()), status, reason: None };
        let one = taken("my \"p\"", &[answer("submitted")], false);
        assert_eq!(one["body"], json!(r#""my \"p\" scheduler executed successfully!""#));
        assert_eq!(
            (&one["statusCode"], &one["jobId"], &one["status"]),
            (&json!(200), &json!("7"), &json!("submitted"))
        );
        let many = taken("p", &[answer("submitted"), answer("known")], true);
        assert_eq!(many["jobs"][1], json!({ "jobId": "7", "status": "known" }));
    }
}
