//! Takes secrets out of foreign text before it can reach the journal, a view or an error message.
//!
//! The second line of defence: the first is that a secret is a [`Secret`]. A program may still print what it was
//! given, plain or encoded. Not found: values that were encrypted, hashed, split or reversed.

use serde_json::Value;

use crate::secret::Secret;

/// What stands in a secret's place.
const MARK: &str = "[secret]";
/// Encoded forms and single lines of shorter values would be found in innocent text.
const SHORTEST_DERIVED: usize = 5;

/// Knows the secrets of one call.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that no rest of a longer one stays when a shorter one is part of it.
    needles: Vec<String>,
}

impl Redactor {
    /// A redactor for these values.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut needles = Vec::new();
        for secret in secrets {
            forms(secret.reveal(), &mut needles);
        }
        needles.retain(|needle| !needle.is_empty());
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Redactor { needles }
    }

    /// Knows the secrets of another as well.
    #[must_use]
    pub fn and(&self, other: &Redactor) -> Redactor {
        let mut needles: Vec<String> = self.needles.iter().chain(&other.needles).cloned().collect();
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Redactor { needles }
    }

    /// The length in bytes of the longest thing that is looked for. Whoever cuts a text reads so much more, redacts,
    /// and cuts then: otherwise the first half of a secret would stay at the cut.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.needles.first().map_or(0, String::len)
    }

    /// The text without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                text = text.replace(needle.as_str(), MARK);
            }
        }
        text
    }

    /// The value without secrets in its texts, keys and numbers.
    #[must_use]
    pub fn value(&self, value: Value) -> Value {
        if self.needles.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (self.text(&key), self.value(value))).collect(),
            Value::Number(number) => {
                let text = number.to_string();
                if self.needles.contains(&text) { Value::String(MARK.to_owned()) } else { Value::Number(number) }
            }
            Value::Null | Value::Bool(_) => value,
        }
    }
}

/// The forms in which a value is likely to be printed.
fn forms(value: &str, into: &mut Vec<String>) {
    into.push(value.to_owned());
    let escaped = Value::String(value.to_owned()).to_string();
    into.push(escaped.trim_matches('"').to_owned());
    if value.len() < SHORTEST_DERIVED {
        return;
    }
    // A program that shows only one line of it, such as the last one of an error message.
    into.extend(value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_DERIVED).map(str::to_owned));
    let bytes = value.as_bytes();
    let wide: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [bytes, &wide] {
        for shift in 0..3 {
            let standard = base64_inner(bytes, shift);
            into.push(standard.replace('+', "-").replace('/', "_"));
            into.push(standard);
        }
        let hex = crate::plan::hex(bytes);
        into.push(hex.to_uppercase());
        into.push(hex);
    }
    for keep in ["-._~", "-._~!*'()", "-._~/", ""] {
        let percent = percent_encoded(bytes, keep);
        for percent in [lower_escapes(&percent), percent] {
            into.push(percent.replace("%20", "+"));
            into.push(percent);
        }
    }
    into.push(value.replace('\'', "'\\''"));
}

/// The characters of a base64 text that depend on `bytes` alone, when `shift` other bytes stand before them.
fn base64_inner(bytes: &[u8], shift: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let first = (shift * 8).div_ceil(6);
    let last = (shift + bytes.len()) * 8 / 6;
    let bit = |index: usize| {
        let index = index - shift * 8;
        (bytes[index / 8] >> (7 - index % 8)) & 1
    };
    (first..last)
        .map(|at| {
            let sextet = (at * 6..at * 6 + 6).fold(0_u8, |sextet, index| sextet << 1 | bit(index));
            char::from(ALPHABET[usize::from(sextet)])
        })
        .collect()
}

/// Everything but letters, digits and `keep` as `%XX`.
fn percent_encoded(bytes: &[u8], keep: &str) -> String {
    bytes
        .iter()
        .map(|&byte| {
            if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// `%2F` as `%2f`, and nothing else changed.
fn lower_escapes(text: &str) -> String {
    let mut left = 0;
    text.chars()
        .map(|c| {
            if c == '%' {
                left = 2;
                c
            } else if left > 0 {
                left -= 1;
                c.to_ascii_lowercase()
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(value: &str) -> Redactor {
        Redactor::new([&Secret::new(value.to_owned())])
    }

    #[test]
    fn s26_a_secret_is_found_plain_and_in_the_usual_encodings() {
        let redactor = redactor("CANARY-7f3a/ä \"x\"");
        for text in [
            "CANARY-7f3a/ä \"x\"",
            r#"{"password":"CANARY-7f3a/ä \"x\""}"#,
            "CANARY-7f3a%2F%C3%A4%20%22x%22",
            "CANARY-7f3a%2f%c3%a4+%22x%22",
            "43414e4152592d376633612fc3a420227822",
        ] {
            let clean = redactor.text(text);
            assert!(clean.contains(MARK) && !clean.contains("7f3a") && !clean.contains("37663361"), "{clean}");
        }
    }

    #[test]
    fn a_secret_inside_a_base64_text_is_found_wherever_it_stands() {
        // base64 of `CANARY-7f3a`, `u:CANARY-7f3a`, `ab:CANARY-7f3a!` and `abc:CANARY-7f3a`.
        for text in ["Q0FOQVJZLTdmM2E=", "dTpDQU5BUlktN2YzYQ==", "YWI6Q0FOQVJZLTdmM2Eh", "YWJjOkNBTkFSWS03ZjNh"] {
            let clean = redactor("CANARY-7f3a").text(text);
            assert!(clean.contains(MARK), "{text} -> {clean}");
        }
    }

    #[test]
    fn one_line_of_a_secret_of_several_lines_is_found() {
        let clean = redactor("-----BEGIN-----\nMIIEvQ\n-----END-----").text("bad key near MIIEvQ");
        assert_eq!(clean, "bad key near [secret]");
    }

    #[test]
    fn values_are_searched_in_keys_texts_and_numbers() {
        let clean = redactor("271828").value(serde_json::json!({ "a271828": ["x 271828", 271_828, 27] }));
        assert_eq!(clean, serde_json::json!({ "a[secret]": ["x [secret]", "[secret]", 27] }));
    }

    #[test]
    fn without_secrets_nothing_changes() {
        assert_eq!(Redactor::default().text("plain"), "plain");
    }
}
