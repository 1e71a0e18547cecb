//! The arguments of a call, read into types. Each mistake is told with the argument that holds it.

use serde_json::Value;

use crate::foreign::one_line;
use crate::plan::action::{ArgSpec, ArgType};
use crate::run::connector::Call;
use crate::time::Span;

/// An argument that must be given.
#[must_use]
pub fn required(name: &'static str, kind: ArgType, doc: &'static str) -> ArgSpec {
    ArgSpec { name, kind, required: true, doc }
}

/// An argument that may be left out.
#[must_use]
pub fn optional(name: &'static str, kind: ArgType, doc: &'static str) -> ArgSpec {
    ArgSpec { name, kind, required: false, doc }
}

/// A text; `None` if it is not given.
///
/// # Errors
/// It is something else.
pub fn text(call: &Call, name: &str) -> Result<Option<String>, String> {
    call.with.get(name).filter(|value| !value.is_null()).map(|value| as_text(value, name)).transpose()
}

/// A text that must be given.
///
/// # Errors
/// It is not there, or something else.
pub fn needed(call: &Call, name: &str) -> Result<String, String> {
    text(call, name)?.ok_or_else(|| format!("`{name}` is missing"))
}

/// A length of time; `None` if it is not given.
///
/// # Errors
/// It is no duration.
pub fn span(call: &Call, name: &str) -> Result<Option<Span>, String> {
    let Some(text) = text(call, name)? else { return Ok(None) };
    let parsed: Option<Span> = text.trim().parse().ok();
    parsed.map(Some).ok_or_else(|| format!("`{name}` is `{}`, not a duration such as `30s`", one_line(&text, 40)))
}

/// A list of texts; empty if it is not given.
///
/// # Errors
/// It is something else.
pub fn list(call: &Call, name: &str) -> Result<Vec<String>, String> {
    match call.with.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| as_text(item, name)).collect(),
        Some(_) => Err(format!("`{name}` must be a list of texts")),
    }
}

/// What stands where a text is wanted: a number or a truth value that an expression gave is taken as its text.
///
/// # Errors
/// It is a list, a map or nothing.
pub fn as_text(value: &Value, name: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        // As a directory writes them.
        Value::Bool(true) => Ok("TRUE".to_owned()),
        Value::Bool(false) => Ok("FALSE".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!("`{name}` must be a text")),
    }
}
