//! Distinguished names: RFC 4514, and the other forms in which Active Directory takes one (MS-ADTS 3.1.1.3.1.2.4).

use std::fmt;

use super::ids::{Guid, Sid};
use super::value::folded;

/// A name, from the leaf to the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dn(pub Vec<Rdn>);

/// One part of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rdn {
    /// The attribute, as it was written.
    pub attribute: String,
    /// The value, without escapes.
    pub value: String,
}

impl Rdn {
    /// A part.
    #[must_use]
    pub fn new(attribute: &str, value: &str) -> Self {
        Rdn { attribute: attribute.to_owned(), value: value.to_owned() }
    }

    /// Whether both name the same.
    #[must_use]
    pub fn matches(&self, attribute: &str, value: &str) -> bool {
        self.attribute.eq_ignore_ascii_case(attribute) && folded(&self.value) == folded(value)
    }
}

impl Dn {
    /// Reads RFC 4514; a part of several attributes is not known here, as in Active Directory.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Dn::default());
        }
        let mut parts = Vec::new();
        for part in split(text) {
            let (attribute, value) = part.split_once('=')?;
            let attribute = attribute.trim();
            let known = !attribute.is_empty() && attribute.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
            let value = unescape(value)?;
            if !known || value.is_empty() {
                return None;
            }
            parts.push(Rdn { attribute: attribute.to_owned(), value });
        }
        Some(Dn(parts))
    }

    /// Without its first part.
    #[must_use]
    pub fn parent(&self) -> Dn {
        Dn(self.0.iter().skip(1).cloned().collect())
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}={}", part.attribute, escape(&part.value))?;
        }
        Ok(())
    }
}

/// Cuts at commas (and semicolons) that no backslash precedes and no quotes surround.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped, mut quoted) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> Option<String> {
    let text = text.trim_start();
    // A space at the end counts only if it is escaped.
    let mut end = text.trim_end();
    if end.ends_with('\\') && end.len() < text.len() {
        end = &text[..=end.len()];
    }
    let inner = end.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(end);
    let quoted = inner.len() != end.len();
    let mut bytes = Vec::new();
    let mut rest = inner.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'\\' => match tail {
                [high, low, more @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&[*high, *low]).ok()?, 16).ok()?);
                    rest = more;
                }
                [c, more @ ..] => {
                    bytes.push(*c);
                    rest = more;
                }
                [] => return None,
            },
            b'+' | b'<' | b'>' | b'"' if !quoted => return None,
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => text.extend(['\\', c]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            c if c.is_control() => {
                let mut buffer = [0; 4];
                text.extend(c.encode_utf8(&mut buffer).bytes().map(|byte| format!("\\{byte:02X}")));
            }
            c => text.push(c),
        }
    }
    text
}

/// What a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// By name.
    Dn(Dn),
    /// `<GUID=…>`.
    Guid(Guid),
    /// `<SID=…>`.
    Sid(Sid),
    /// `<WKGUID=…,DN>`: a container that may be called anything.
    WellKnown(String, Dn),
}

impl Name {
    /// Reads any of the forms.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some(inner) = text.trim().strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) else {
            return Dn::parse(text).map(Name::Dn);
        };
        let (kind, value) = inner.split_once('=')?;
        match kind.to_ascii_uppercase().as_str() {
            "GUID" => Guid::parse(value).map(Name::Guid),
            "SID" => Sid::parse(value).map(Name::Sid),
            "WKGUID" => {
                let (id, dn) = value.split_once(',')?;
                Some(Name::WellKnown(id.to_ascii_lowercase(), Dn::parse(dn)?))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_as_it_was_whatever_it_holds() {
        for value in ["plain", "a,b", " lead", "trail ", "#x", "a\nDEL:1", "q\"uote", "back\\slash", "ü=+;<>"] {
            let dn = Dn(vec![Rdn::new("CN", value), Rdn::new("DC", "lan")]);
            assert_eq!(Dn::parse(&dn.to_string()), Some(dn));
        }
    }

    #[test]
    fn the_name_of_a_tombstone_is_written_as_active_directory_writes_it() {
        assert_eq!(Dn(vec![Rdn::new("CN", "ocschat\nDEL:1")]).to_string(), "CN=ocschat\\0ADEL:1");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["abc", "CN=a+OU=b", "=x", "CN=", "CN=a,,DC=b", "<GUID=xyz>", "<NONE=1>", "CN=a\\"] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
