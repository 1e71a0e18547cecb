//! Values as the directory keeps them, and the text forms of times and bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::ids::Guid;

/// One value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Value {
    /// Text or bytes, as they are sent.
    Bytes(Vec<u8>),
    /// Another object, by identity; sent as its name of the moment.
    Object(Guid),
}

impl Value {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Value::Bytes(text.into().into_bytes())
    }

    /// The bytes, unless it names an object.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Object(_) => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

impl From<Value> for String {
    fn from(value: Value) -> String {
        match value {
            Value::Object(guid) => format!("object:{guid}"),
            Value::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(text) => format!("text:{text}"),
                Err(error) => format!("bytes:{}", BASE64.encode(error.as_bytes())),
            },
        }
    }
}

impl TryFrom<String> for Value {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = || format!("`{text}` is no value");
        match text.split_once(':').ok_or_else(refused)? {
            ("text", rest) => Ok(Value::text(rest)),
            ("bytes", rest) => BASE64.decode(rest).map(Value::Bytes).map_err(|_| refused()),
            ("object", rest) => Guid::parse(rest).map(Value::Object).ok_or_else(refused),
            _ => Err(refused()),
        }
    }
}

/// Reads hexadecimal digits.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// Text as it is shown in an audit or a filter: what is no text in base64.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("base64:{}", BASE64.encode(bytes)),
    }
}

/// `20261127220000.0Z`, from milliseconds since 1970.
#[must_use]
pub fn generalized_time(millis: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}.0Z", time.strftime("%Y%m%d%H%M%S"))
}

/// 100 nanoseconds since 1601, from milliseconds since 1970.
#[must_use]
pub fn file_time(millis: i64) -> i64 {
    (millis + 11_644_473_600_000) * 10_000
}

/// Letter case and spaces do not count where text is compared.
#[must_use]
pub fn folded(text: &str) -> String {
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").to_lowercase()
}
