//! objectGUID: what an object is, whatever it is called and wherever it is moved.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::foreign::one_line;

/// An objectGUID. Written in the form of \[MS-DTYP\] section 2.3.4.3 without braces, lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Guid(uuid::Uuid);

impl Guid {
    /// From the 16 bytes of the attribute: the first three fields are little-endian (\[MS-DTYP\] section 2.3.4.2).
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Guid(uuid::Uuid::from_bytes_le(bytes.try_into().ok()?)))
    }

    /// From its text with hyphens, with or without braces.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        // Shorter and longer forms that the library knows are not how a directory writes one.
        (text.len() == 36).then(|| uuid::Uuid::try_parse(text).ok()).flatten().map(Guid)
    }

    /// The 16 bytes as the attribute holds them.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes_le()
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

impl From<Guid> for String {
    fn from(guid: Guid) -> Self {
        guid.to_string()
    }
}

impl TryFrom<String> for Guid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Guid::parse(&text).ok_or_else(|| format!("`{}` is no GUID", one_line(&text, 60)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_fields_are_little_endian() {
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        let bytes = [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let guid = Guid::from_bytes(&bytes).unwrap();
        assert_eq!((guid.to_string(), guid.to_bytes()), (text.to_owned(), bytes));
        assert_eq!(Guid::parse(&format!("{{{}}}", text.to_uppercase())), Some(guid));
    }

    #[test]
    fn what_is_no_guid_is_none() {
        assert_eq!(Guid::from_bytes(&[0; 15]), None);
        for text in [
            "",
            "00112233445566778899aabbccddeeff",
            "{00112233-4455-6677-8899-aabbccddeeff",
            "0011223g-4455-6677-8899-aabbccddeeff",
        ] {
            assert_eq!(Guid::parse(text), None, "{text}");
        }
    }
}
