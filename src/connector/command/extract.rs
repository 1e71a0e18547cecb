//! Takes a step's outputs out of what a program printed.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use regex::RegexBuilder;
use serde_json::{Map, Number, Value};

use crate::connector::redact::Redactor;
use crate::foreign;
use crate::plan::action::ArgType;
use crate::plan::{Extract, Output};

/// How much of an output file is searched for values, in bytes.
const SEARCHED: usize = 1024 * 1024;
/// The longest value: it goes to the journal.
const LONGEST_VALUE: usize = 64 * 1024;
/// Compiled size of an author's regular expression, in bytes.
const REGEX_SIZE: usize = 1024 * 1024;

/// What a program left behind.
pub struct Left<'a> {
    /// Opens its standard output for reading.
    pub stdout: &'a dyn Fn() -> io::Result<File>,
    /// Opens its standard error for reading.
    pub stderr: &'a dyn Fn() -> io::Result<File>,
    /// Its exit code; `None` if a signal ended it.
    pub exit: Option<i32>,
}

/// The first `longest` bytes as text without secrets.
///
/// # Errors
/// The file cannot be read.
pub fn head(mut file: File, longest: usize, redactor: &Redactor) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    // So much more that a secret across the cut is seen whole.
    file.take((longest + redactor.longest()) as u64).read_to_end(&mut bytes)?;
    Ok(foreign::cut(redactor.text(&String::from_utf8_lossy(&bytes)), longest))
}

/// The last `longest` bytes as text without secrets.
///
/// # Errors
/// The file cannot be read.
pub fn tail(mut file: File, longest: usize, redactor: &Redactor) -> io::Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    let wanted = (longest + redactor.longest()) as u64;
    file.seek(SeekFrom::Start(length.saturating_sub(wanted)))?;
    let mut bytes = Vec::new();
    file.take(wanted).read_to_end(&mut bytes)?;
    let text = redactor.text(&String::from_utf8_lossy(&bytes));
    let from = text.ceil_char_boundary(text.len().saturating_sub(longest));
    Ok(text[from..].to_owned())
}

/// The values of all outputs that are taken from what the program printed.
///
/// # Errors
/// The first output that cannot be had, and why.
pub fn outputs(wanted: &[Output], left: &Left<'_>, redactor: &Redactor) -> Result<Map<String, Value>, String> {
    let mut values = Map::new();
    let mut texts: [Option<String>; 2] = [None, None];
    for output in wanted {
        let Some(extract) = &output.from else { continue };
        let missing = |why: String| format!("its output `{}` was not found: {why}", output.name);
        let text = match extract.from.as_str() {
            "exit" => Cow::Owned(left.exit.map(|exit| exit.to_string()).unwrap_or_default()),
            from @ ("stdout" | "stderr") => {
                let (slot, open) = if from == "stdout" { (0, left.stdout) } else { (1, left.stderr) };
                if texts[slot].is_none() {
                    let read = open().and_then(|file| head(file, SEARCHED, redactor));
                    texts[slot] = Some(read.map_err(|error| missing(format!("{from} cannot be read: {error}")))?);
                }
                Cow::Borrowed(texts[slot].as_deref().unwrap_or_default())
            }
            other => return Err(missing(format!("`{other}` is not `stdout`, `stderr` or `exit`"))),
        };
        let value = value(extract, &text).map_err(missing)?;
        if value.to_string().len() > LONGEST_VALUE {
            return Err(missing("it is longer than 64 KiB".to_owned()));
        }
        values.insert(output.name.clone(), redactor.value(value));
    }
    Ok(values)
}

/// One value out of a text.
fn value(extract: &Extract, text: &str) -> Result<Value, String> {
    let whole = text.len() >= SEARCHED;
    let mut text = text;
    if let Some(pattern) = &extract.regex {
        let regex = RegexBuilder::new(pattern)
            .multi_line(true)
            .size_limit(REGEX_SIZE)
            .build()
            .map_err(|_| format!("`{pattern}` is not a regular expression, or too large a one"))?;
        let captures = regex.captures(text).ok_or_else(|| {
            format!("`{pattern}` matches nothing in {}{}", if whole { "the first MiB of " } else { "" }, extract.from)
        })?;
        let found = if captures.len() > 1 { captures.get(1) } else { captures.get(0) };
        text = found.ok_or_else(|| format!("the first group of `{pattern}` took no part in the match"))?.as_str();
    } else if extract.json.is_none() {
        text = text.strip_suffix('\n').unwrap_or(text);
        text = text.strip_suffix('\r').unwrap_or(text);
    }
    let Some(pointer) = &extract.json else { return typed(extract.kind, text) };
    let document: Value = serde_json::from_str(text).map_err(|error| format!("{} is not JSON: {error}", extract.from))?;
    match document.pointer(pointer) {
        None => Err(format!("there is no `{pointer}` in the JSON of {}", extract.from)),
        Some(Value::String(text)) => typed(extract.kind, text),
        Some(value) if fits(extract.kind, value) => Ok(value.clone()),
        Some(value) => typed(extract.kind, &value.to_string()),
    }
}

/// Whether a value that is not a text has the type already.
fn fits(kind: ArgType, value: &Value) -> bool {
    match kind {
        ArgType::Any => true,
        ArgType::Integer => value.is_i64() || value.is_u64(),
        ArgType::Number => value.is_number(),
        ArgType::Boolean => value.is_boolean(),
        ArgType::StringList => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        ArgType::StringMap => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        ArgType::String | ArgType::Duration | ArgType::Text | ArgType::Host | ArgType::Directory | ArgType::Probe => false,
    }
}

/// A text as a value of the wanted type.
fn typed(kind: ArgType, text: &str) -> Result<Value, String> {
    let shown = || foreign::one_line(text, 60);
    match kind {
        ArgType::Integer => text
            .trim()
            .parse::<i64>()
            .map(|number| Value::Number(number.into()))
            .map_err(|_| format!("`{}` is not a whole number", shown())),
        ArgType::Number => text
            .trim()
            .parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| format!("`{}` is not a number", shown())),
        ArgType::Boolean => match text.trim() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("`{}` is not `true` or `false`", shown())),
        },
        ArgType::StringList => Ok(text.lines().map(|line| Value::String(line.to_owned())).collect()),
        ArgType::StringMap => Err(format!("`{}` is not a map of texts", shown())),
        ArgType::Any
        | ArgType::String
        | ArgType::Duration
        | ArgType::Text
        | ArgType::Host
        | ArgType::Directory
        | ArgType::Probe => Ok(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(regex: Option<&str>, json: Option<&str>, kind: ArgType, text: &str) -> Result<Value, String> {
        let own = |text: &str| text.to_owned();
        value(&Extract { from: own("stdout"), regex: regex.map(own), json: json.map(own), kind }, text)
    }

    #[test]
    fn a_pattern_gives_its_first_group_or_the_whole_match() {
        assert_eq!(take(Some(r"^rows: (\d+)$"), None, ArgType::Integer, "x\nrows: 42\n"), Ok(42.into()));
        assert_eq!(take(Some(r"v\d+"), None, ArgType::String, "is v13."), Ok("v13".into()));
        assert!(take(Some("nix"), None, ArgType::String, "x").unwrap_err().contains("matches nothing"));
    }

    #[test]
    fn a_pointer_gives_a_value_of_the_wanted_type() {
        let text = r#"{"rooms": [{"id": 7, "open": true, "name": "a"}]}"#;
        assert_eq!(take(None, Some("/rooms/0/id"), ArgType::Integer, text), Ok(7.into()));
        assert_eq!(take(None, Some("/rooms/0/id"), ArgType::String, text), Ok("7".into()));
        assert_eq!(take(None, Some("/rooms/0/open"), ArgType::Boolean, text), Ok(true.into()));
        assert_eq!(take(None, Some("/rooms/0"), ArgType::Any, text).unwrap()["name"], "a");
        assert!(take(None, Some("/rooms/1"), ArgType::Any, text).unwrap_err().contains("there is no `/rooms/1`"));
        assert!(take(None, Some("/rooms/0/name"), ArgType::Integer, text).unwrap_err().contains("not a whole number"));
        assert!(take(None, Some("/a"), ArgType::Any, "nothing").unwrap_err().contains("is not JSON"));
    }

    #[test]
    fn the_whole_text_loses_one_final_line_break() {
        assert_eq!(take(None, None, ArgType::String, "a\n\n"), Ok("a\n".into()));
        assert_eq!(take(None, None, ArgType::StringList, "a\nb\n"), Ok(serde_json::json!(["a", "b"])));
        assert_eq!(take(None, None, ArgType::Number, "1.5\n"), Ok(1.5.into()));
    }

    #[test]
    fn s49_a_pattern_that_would_grow_without_bound_is_refused() {
        assert!(take(Some(r"(\w{1000}){1000}"), None, ArgType::String, "x").is_err());
    }
}
