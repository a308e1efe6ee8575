//! A variable of the user as an attribute of DynamoDB, with the types of the contract.
//!
//! Strings are S, numbers N, booleans BOOL, null NULL, arrays L, objects M. What DynamoDB cannot hold as such (a number
//! of more than 38 digits, nesting deeper than 32, a member without a name) lies there as the text that the user wrote.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;
use shepard_model::Value;

/// Most significant digits of a number (DynamoDB data types, 2026-11).
const DIGITS: usize = 38;
/// Powers of ten of a number's first digit: 1E-130 to 9.99…E+125.
const POWERS: std::ops::RangeInclusive<i64> = -130..=125;
/// Deepest nesting of lists and maps, the attribute itself included.
const DEEPEST: usize = 32;

/// How a value lies in an item.
pub(super) fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Number(token) => number(token),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Null => AttributeValue::Null(true),
        Value::Json(text) => nested(text, 1).unwrap_or_else(|| AttributeValue::S(text.clone())),
    }
}

/// What an attribute says. None for the types that no Shepard writes: binary and sets.
pub(super) fn variable(value: &AttributeValue) -> Option<Value> {
    Some(match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(token) => Value::Number(token.clone()),
        AttributeValue::Bool(value) => Value::Bool(*value),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(_) | AttributeValue::M(_) => Value::Json(json(value)?),
        _ => return None,
    })
}

/// Whether the attribute gives back exactly the value that it was made of.
pub(super) fn survives(value: &Value, lies: &AttributeValue) -> bool {
    gives_back(lies) && variable(lies).as_ref() == Some(value)
}

/// Whether DynamoDB gives every number in it back as it was written.
fn gives_back(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::N(token) => is_plain(token),
        AttributeValue::L(list) => list.iter().all(gives_back),
        AttributeValue::M(members) => members.values().all(gives_back),
        _ => true,
    }
}

/// Bytes of a value as DynamoDB counts them.
pub(super) fn bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // A byte for two digits and one more, one for a sign.
        AttributeValue::N(token) => {
            let digits = token.bytes().filter(u8::is_ascii_digit).count();
            digits.div_ceil(2) + 1 + usize::from(token.starts_with('-'))
        }
        AttributeValue::L(list) => 3 + list.iter().map(|one| 1 + bytes(one)).sum::<usize>(),
        AttributeValue::M(members) => {
            3 + members.iter().map(|(name, one)| 1 + name.len() + bytes(one)).sum::<usize>()
        }
        _ => 1,
    }
}

fn number(token: &str) -> AttributeValue {
    if fits(token) { AttributeValue::N(token.to_owned()) } else { AttributeValue::S(token.to_owned()) }
}

/// A whole number as nobody could write it differently.
fn is_plain(token: &str) -> bool {
    let digits = token.strip_prefix('-').unwrap_or(token);
    digits.len() <= DIGITS
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (token == "0" || digits.bytes().next().is_some_and(|first| first != b'0'))
}

/// Whether DynamoDB can hold a JSON number.
fn fits(token: &str) -> bool {
    let token = token.strip_prefix('-').unwrap_or(token);
    let (mantissa, power) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
    let Ok(power) = power.strip_prefix('+').unwrap_or(power).parse::<i64>() else { return false };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_matches('0').len();
    if significant == 0 {
        return true;
    }
    let place = i64::try_from(whole.len()).unwrap_or(i64::MAX) - i64::try_from(leading).unwrap_or(0) - 1;
    significant <= DIGITS && power.checked_add(place).is_some_and(|power| POWERS.contains(&power))
}

/// JSON text as lists and maps. None where DynamoDB has no way to hold it.
fn nested(text: &str, depth: usize) -> Option<AttributeValue> {
    if depth > DEEPEST {
        return None;
    }
    Some(match text.bytes().next()? {
        b'[' => {
            let list: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let list: Option<_> = list.into_iter().map(|one| nested(one.get(), depth + 1)).collect();
            AttributeValue::L(list?)
        }
        b'{' => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            if members.contains_key("") {
                return None;
            }
            let members: Option<HashMap<_, _>> =
                members.into_iter().map(|(name, one)| Some((name, nested(one.get(), depth + 1)?))).collect();
            AttributeValue::M(members?)
        }
        b'"' => AttributeValue::S(serde_json::from_str(text).ok()?),
        b't' => AttributeValue::Bool(true),
        b'f' => AttributeValue::Bool(false),
        b'n' => AttributeValue::Null(true),
        _ => number(text),
    })
}

/// Compact JSON, members in the order of their names: a map has none of its own.
fn json(value: &AttributeValue) -> Option<String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    Some(match value {
        AttributeValue::S(text) => quoted(text),
        AttributeValue::N(token) => token.clone(),
        AttributeValue::Bool(value) => value.to_string(),
        AttributeValue::Null(_) => "null".to_owned(),
        AttributeValue::L(list) => {
            let list: Option<Vec<_>> = list.iter().map(json).collect();
            format!("[{}]", list?.join(","))
        }
        AttributeValue::M(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let members: Option<Vec<_>> = sorted
                .into_iter()
                .map(|(name, one)| Some(format!("{}:{}", quoted(name), json(one)?)))
                .collect();
            format!("{{{}}}", members?.join(","))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_dynamodb_holds() {
        let long = "1".repeat(38);
        for token in ["0", "-0", "0.0", "1", "-12", "0.10", "1e125", "9.9E+125", "1e-130", "1000e-133", &long]
        {
            assert!(fits(token), "{token}");
        }
        let longer = "1".repeat(39);
        let zeros = format!("{long}000");
        for token in ["1e126", "1e-131", "1e99999999999999999999", "0.1e127", &longer] {
            assert!(!fits(token), "{token}");
        }
        assert!(fits(&zeros), "zeros at the end are no digits");
    }

    #[test]
    fn only_what_comes_back_as_it_was_goes_without_its_text() {
        let plain = |json: &str| Value::Json(json.to_owned());
        for (value, comes_back) in [
            (Value::Number("120".into()), true),
            (Value::Number("-7".into()), true),
            (Value::Number("0.10".into()), false),
            (Value::Number("1e3".into()), false),
            (Value::Number("-0".into()), false),
            (Value::Number("7".repeat(60)), false),
            (Value::String(String::new()), true),
            (Value::Null, true),
            (plain(r#"[1,"a\nb",null,{"a":true,"b":[]}]"#), true),
            (plain(r#"{"b":1,"a":2}"#), false),
            (plain(r#"{"a":1,"a":2}"#), false),
            (plain(r#"[1.0]"#), false),
            (plain(r#"["\u0041"]"#), false),
            (plain(r#"{"":1}"#), false),
        ] {
            assert_eq!(survives(&value, &attribute(&value)), comes_back, "{value:?}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_lies_there_as_text() {
        let deep = |depth: usize| Value::Json(format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert!(attribute(&deep(DEEPEST)).is_l());
        assert!(attribute(&deep(DEEPEST + 1)).is_s());
        assert!(attribute(&deep(120)).is_s());
    }
}
