//! The primitive types: the name of each element, its text, and what the text means ([MS-PSRP] section 2.2.5.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use uuid::Uuid;

use super::error::{ClixmlError, cut};
use super::escape::{escape_xml, unescape};
use super::{Object, Property, Value};

/// Writes the text of a primitive, escaped for XML; gives its element's name. `None` for objects, which are no primitives.
pub(super) fn write(value: &Value, text: &mut String) -> Option<&'static str> {
    let mut number = |shown: String, name| {
        text.push_str(&shown);
        name
    };
    Some(match value {
        Value::Nil => "Nil",
        Value::Char(unit) => number(unit.to_string(), "C"),
        Value::Bool(truth) => number(truth.to_string(), "B"),
        Value::U8(own) => number(own.to_string(), "By"),
        Value::I8(own) => number(own.to_string(), "SB"),
        Value::U16(own) => number(own.to_string(), "U16"),
        Value::I16(own) => number(own.to_string(), "I16"),
        Value::U32(own) => number(own.to_string(), "U32"),
        Value::I32(own) => number(own.to_string(), "I32"),
        Value::U64(own) => number(own.to_string(), "U64"),
        Value::I64(own) => number(own.to_string(), "I64"),
        Value::Single(own) => number(floating(&format!("{own:?}")), "Sg"),
        Value::Double(own) => number(floating(&format!("{own:?}")), "Db"),
        Value::Bytes(bytes) => number(BASE64.encode(bytes), "BA"),
        Value::Guid(id) => number(id.to_string(), "G"),
        Value::String(own) => string(own, "S", text),
        Value::DateTime(own) => string(own, "DT", text),
        Value::Duration(own) => string(own, "TS", text),
        Value::Decimal(own) => string(own, "D", text),
        Value::Uri(own) => string(own, "URI", text),
        Value::Version(own) => string(own, "Version", text),
        Value::Xml(own) => string(own, "XD", text),
        Value::ScriptBlock(own) => string(own, "SBK", text),
        Value::SecureString(own) => string(own, "SS", text),
        Value::Object(_) => return None,
    })
}

fn string(own: &str, name: &'static str, text: &mut String) -> &'static str {
    escape_xml(own, text);
    name
}

/// XML Schema writes the infinities with capitals; the shortest digits that come back to the same number.
fn floating(shown: &str) -> String {
    match shown {
        "inf" => "INF".to_owned(),
        "-inf" => "-INF".to_owned(),
        "NaN" => shown.to_owned(),
        digits => digits.trim_end_matches(".0").to_uppercase(),
    }
}

/// Whether `element` is the name of a primitive type.
pub(super) fn is_primitive(element: &str) -> bool {
    matches!(
        element,
        "Nil"
            | "S"
            | "C"
            | "B"
            | "DT"
            | "TS"
            | "By"
            | "SB"
            | "U16"
            | "I16"
            | "U32"
            | "I32"
            | "U64"
            | "I64"
            | "Sg"
            | "Db"
            | "D"
            | "BA"
            | "G"
            | "URI"
            | "Version"
            | "XD"
            | "SBK"
            | "SS"
    )
}

/// The value that the text of a primitive's element stands for.
pub(super) fn read(element: &str, text: &str) -> Result<Value, ClixmlError> {
    let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
    let value = match element {
        "Nil" => trimmed.is_empty().then_some(Value::Nil),
        "S" => Some(Value::String(unescape(text))),
        "URI" => Some(Value::Uri(unescape(text))),
        "XD" => Some(Value::Xml(unescape(text))),
        "SBK" => Some(Value::ScriptBlock(unescape(text))),
        "SS" => is_cipher(trimmed).then(|| Value::SecureString(trimmed.to_owned())),
        "C" => trimmed.parse().ok().map(Value::Char),
        "B" => boolean(trimmed).map(Value::Bool),
        "DT" => is_date(trimmed).then(|| Value::DateTime(trimmed.to_owned())),
        "TS" => is_duration(trimmed).then(|| Value::Duration(trimmed.to_owned())),
        "By" => trimmed.parse().ok().map(Value::U8),
        "SB" => trimmed.parse().ok().map(Value::I8),
        "U16" => trimmed.parse().ok().map(Value::U16),
        "I16" => trimmed.parse().ok().map(Value::I16),
        "U32" => trimmed.parse().ok().map(Value::U32),
        "I32" => trimmed.parse().ok().map(Value::I32),
        "U64" => trimmed.parse().ok().map(Value::U64),
        "I64" => trimmed.parse().ok().map(Value::I64),
        "Sg" => trimmed.parse().ok().map(Value::Single),
        "Db" => trimmed.parse().ok().map(Value::Double),
        "D" => is_decimal(trimmed).then(|| Value::Decimal(trimmed.to_owned())),
        "BA" => bytes(trimmed).map(Value::Bytes),
        "G" => Uuid::try_parse(trimmed).ok().map(Value::Guid),
        "Version" => is_version(trimmed).then(|| Value::Version(trimmed.to_owned())),
        _ => None,
    };
    value.ok_or_else(|| ClixmlError::NoValue { element: element.to_owned(), text: cut(text) })
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        word if word.eq_ignore_ascii_case("true") => Some(true),
        word if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    // Long values may come in lines.
    if text.contains(char::is_whitespace) {
        let joined: String = text.split_whitespace().collect();
        return BASE64.decode(joined).ok();
    }
    BASE64.decode(text).ok()
}

fn is_cipher(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

/// Dates, durations and decimals are kept as text: what is certain is only that they look like one.
const LONGEST: usize = 64;

fn is_date(text: &str) -> bool {
    let digits = |from, to| text.get(from..to).is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let rest = text.get(19..).unwrap_or_default();
    text.len() <= LONGEST
        && digits(0, 4)
        && digits(5, 7)
        && digits(8, 10)
        && digits(11, 13)
        && digits(14, 16)
        && digits(17, 19)
        && text.bytes().map(char::from).zip("dddd-dd-ddTdd:dd:dd".chars()).all(|(own, form)| form == 'd' || own == form)
        && rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b':' | b'+' | b'-' | b'Z'))
}

fn is_duration(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'P' | b'T' | b'D' | b'H' | b'M' | b'S' | b'Y' | b'.');
    text.len() <= LONGEST && unsigned.len() > 2 && unsigned.starts_with('P') && unsigned.bytes().all(part)
}

fn is_decimal(text: &str) -> bool {
    let (number, exponent) = text.split_once(['E', 'e']).unwrap_or((text, "0"));
    let unsigned = number.strip_prefix(['-', '+']).unwrap_or(number);
    let digits = unsigned.bytes().filter(u8::is_ascii_digit).count();
    let points = unsigned.bytes().filter(|byte| *byte == b'.').count();
    text.len() <= LONGEST && digits > 0 && points <= 1 && digits + points == unsigned.len() && exponent.parse::<i8>().is_ok()
}

fn is_version(text: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<i32>().is_ok();
    (2..=4).contains(&text.split('.').count()) && text.split('.').all(is_number)
}

/// The parts of a progress record that stands among values (`PR`), by the names of the object's properties
/// ([MS-PSRP] section 2.2.5.1.25).
pub(super) fn progress(parts: impl IntoIterator<Item = (String, String)>) -> Result<Value, ClixmlError> {
    let mut adapted = Vec::new();
    for (element, text) in parts {
        let (name, value) = match element.as_str() {
            "AV" => ("Activity", read("S", &text)?),
            "AI" => ("ActivityId", read("I32", &text)?),
            "S" => ("CurrentOperation", read("S", &text)?),
            "Nil" => ("CurrentOperation", Value::Nil),
            "PI" => ("ParentActivityId", read("I32", &text)?),
            "PC" => ("PercentComplete", read("I32", &text)?),
            "T" => ("RecordType", read("S", &text)?),
            "SR" => ("SecondsRemaining", read("I32", &text)?),
            "SD" => ("StatusDescription", read("S", &text)?),
            _ => return Err(ClixmlError::Misplaced { element: cut(&element), parent: "PR".to_owned() }),
        };
        adapted.push(Property::new(name, value));
    }
    let type_names = vec!["System.Management.Automation.ProgressRecord".to_owned(), "System.Object".to_owned()];
    Ok(Object { type_names, adapted, ..Object::default() }.into())
}
