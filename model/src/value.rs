//! One variable of the user. Numbers keep the digits they were written with.

use serde::{Deserialize, Serialize};

/// A value of `inputs.txt` or of an API payload.
///
/// The original lost jobs to floats and rounded large integers because it went through binary numbers; here a
/// number is the text the user wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "value")]
pub enum Value {
    /// A JSON string, unescaped, newlines and all.
    String(String),
    /// A JSON number, as written.
    Number(String),
    /// A JSON boolean.
    Bool(bool),
    /// JSON `null`.
    Null,
    /// A JSON array or object, as compact JSON text.
    Json(String),
}

impl Value {
    /// What the payload finds in its environment.
    ///
    /// Scalars are what Python's `str()` made of them (`True`, `False`, `None`), because existing payloads
    /// compare with that. Arrays and objects are JSON text; the original gave a Python repr with `Decimal(…)`
    /// in it, which no payload could parse.
    pub fn to_env(&self) -> String {
        match self {
            Self::String(text) | Self::Number(text) | Self::Json(text) => text.clone(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Null => "None".to_owned(),
        }
    }

    /// The value as a JSON token, digits kept.
    pub fn to_json(&self) -> String {
        match self {
            Self::String(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Number(text) | Self::Json(text) => text.clone(),
            Self::Bool(value) => value.to_string(),
            Self::Null => "null".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_read_as_python_wrote_them() {
        assert_eq!(Value::Bool(true).to_env(), "True");
        assert_eq!(Value::Null.to_env(), "None");
        assert_eq!(Value::Number("0.10".into()).to_env(), "0.10");
        assert_eq!(Value::String("a\nb".into()).to_json(), r#""a\nb""#);
    }
}
