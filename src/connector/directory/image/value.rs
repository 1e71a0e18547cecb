//! One value as it stands in a before-image: text where people can read it, base64 otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value: `"text"`, or `{ "base64": "…" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ValueText {
    /// UTF-8 without control characters other than tabs and line breaks.
    Text(String),
    /// Anything else.
    Binary(Binary),
}

/// Bytes that are not for reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binary {
    #[serde(serialize_with = "write", deserialize_with = "read")]
    base64: Vec<u8>,
}

impl ValueText {
    /// From the bytes of the directory; `binary` if the attribute never is text, whatever it looks like.
    #[must_use]
    pub fn new(value: &[u8], binary: bool) -> Self {
        let clean = |text: &&str| !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n'));
        match std::str::from_utf8(value).ok().filter(clean) {
            Some(text) if !binary => ValueText::Text(text.to_owned()),
            _ => ValueText::Binary(Binary { base64: value.to_vec() }),
        }
    }

    /// The bytes for the directory.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            ValueText::Text(text) => text.as_bytes(),
            ValueText::Binary(binary) => &binary.base64,
        }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            ValueText::Text(text) => Some(text),
            ValueText::Binary(_) => None,
        }
    }
}

fn write<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}
