//! objectSid: who an account is to everything that grants rights.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::foreign::one_line;

/// The most parts that an identifier can have (`SID_MAX_SUB_AUTHORITIES`, \[MS-DTYP\] section 2.4.2).
const MOST_PARTS: usize = 15;
/// The identifier authority has six bytes.
const LARGEST_AUTHORITY: u64 = 0xffff_ffff_ffff;

/// A security identifier (\[MS-DTYP\] section 2.4.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sid {
    authority: u64,
    parts: Vec<u32>,
}

impl Sid {
    /// From the bytes of the attribute; the whole slice must be one identifier.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_prefix(bytes).filter(|sid| 8 + 4 * sid.parts.len() == bytes.len())
    }

    /// From the beginning of bytes that may go on after it.
    #[must_use]
    pub(super) fn from_prefix(bytes: &[u8]) -> Option<Self> {
        let (&[revision, count, ref authority @ ..], rest) = bytes.split_first_chunk::<8>()?;
        let count = usize::from(count);
        if revision != 1 || count > MOST_PARTS {
            return None;
        }
        let parts = rest.get(..4 * count)?.as_chunks::<4>().0.iter().map(|&part| u32::from_le_bytes(part)).collect();
        let authority = authority.iter().fold(0, |authority, &byte| authority << 8 | u64::from(byte));
        Some(Sid { authority, parts })
    }

    /// From `S-1-5-21-…`. An authority of 2³² and more is written in hexadecimal (\[MS-DTYP\] section 2.4.2.1).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str| (1..=15).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
        let mut words = text.strip_prefix("S-1-").or_else(|| text.strip_prefix("s-1-"))?.split('-');
        let authority = words.next()?;
        let authority = match authority.strip_prefix("0x") {
            Some(hex) if hex.len() == 12 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                u64::from_str_radix(hex, 16).ok()?
            }
            None if digits(authority) => authority.parse().ok()?,
            _ => return None,
        };
        let parts = words.map(|part| digits(part).then(|| part.parse().ok()).flatten()).collect::<Option<Vec<u32>>>()?;
        (authority <= LARGEST_AUTHORITY && parts.len() <= MOST_PARTS).then_some(Sid { authority, parts })
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u8::try_from(self.parts.len()).unwrap_or(u8::MAX);
        let mut bytes = vec![1, count];
        bytes.extend_from_slice(&self.authority.to_be_bytes()[2..]);
        bytes.extend(self.parts.iter().flat_map(|part| part.to_le_bytes()));
        bytes
    }

    /// The last part: 500 is Administrator, 502 krbtgt, 1000 and above are accounts that people made.
    #[must_use]
    pub fn rid(&self) -> Option<u32> {
        self.parts.last().copied()
    }

    /// Without the last part.
    #[must_use]
    pub fn domain(&self) -> Option<Self> {
        let (_, parts) = self.parts.split_last()?;
        Some(Sid { authority: self.authority, parts: parts.to_vec() })
    }

    /// Whether it is of an account domain (`S-1-5-21-a-b-c-rid`). Others are well known.
    #[must_use]
    pub fn is_of_a_domain(&self) -> bool {
        self.authority == 5 && self.parts.len() == 5 && self.parts.first() == Some(&21)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.authority > u64::from(u32::MAX) {
            write!(f, "S-1-0x{:012X}", self.authority)?;
        } else {
            write!(f, "S-1-{}", self.authority)?;
        }
        self.parts.iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

impl From<Sid> for String {
    fn from(sid: Sid) -> Self {
        sid.to_string()
    }
}

impl TryFrom<String> for Sid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Sid::parse(&text).ok_or_else(|| format!("`{}` is no SID", one_line(&text, 200)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_text_are_the_same_identifier() {
        let bytes = [
            1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 0xdc, 0xf4, 0xdc, 0x3b, 0x83, 0x3d, 0x2b, 0x46, 0x82, 0x8b, 0xa6, 0x28, 0, 2, 0,
            0,
        ];
        let sid = Sid::from_bytes(&bytes).unwrap();
        assert_eq!(sid.to_string(), "S-1-5-21-1004336348-1177238915-682003330-512");
        assert_eq!(sid.to_bytes(), bytes);
        assert_eq!(Sid::parse("S-1-5-21-1004336348-1177238915-682003330-512"), Some(sid.clone()));
        assert_eq!((sid.rid(), sid.is_of_a_domain()), (Some(512), true));
        assert_eq!(sid.domain().unwrap().to_string(), "S-1-5-21-1004336348-1177238915-682003330");
    }

    #[test]
    fn well_known_identifiers_are_of_no_domain() {
        for text in
            ["S-1-5-32-544", "S-1-1-0", "S-1-5-21-1-2-3", "S-1-4-21-1-2-3-500", "S-1-5-21-1-2-3-4-5", "S-1-5-22-1-2-3-500"]
        {
            let sid = Sid::parse(text).unwrap();
            assert!(!sid.is_of_a_domain(), "{text}");
            assert_eq!(Sid::from_bytes(&sid.to_bytes()), Some(sid));
        }
    }

    #[test]
    fn large_authorities_are_written_in_hexadecimal() {
        let sid = Sid::parse("S-1-0xFFFFFFFFFFFF-1").unwrap();
        assert_eq!(sid.to_string(), "S-1-0xFFFFFFFFFFFF-1");
        assert_eq!(Sid::parse("S-1-4294967296-1").unwrap().to_string(), "S-1-0x000100000000-1");
    }

    #[test]
    fn what_is_no_identifier_is_none() {
        for text in ["", "S-1", "S-1-", "S-2-5-1", "S-1-5-", "S-1-5-+1", "S-1-5--1", "S-1-5-4294967296", "S-1-5-1 ", "S-1-0x5-1"]
        {
            assert_eq!(Sid::parse(text), None, "{text}");
        }
        assert_eq!(Sid::parse(&format!("S-1-5{}", "-1".repeat(16))), None);
        assert_eq!(Sid::parse("S-1-281474976710656-1"), None);
        let good = Sid::parse("S-1-5-32-544").unwrap().to_bytes();
        assert_eq!(Sid::from_bytes(&[good.as_slice(), &[0]].concat()), None);
        assert_eq!(Sid::from_bytes(&good[..good.len() - 1]), None);
        assert_eq!(Sid::from_bytes(&[2, 0, 0, 0, 0, 0, 0, 5]), None);
        assert_eq!(Sid::from_bytes(&[&[1, 16, 0, 0, 0, 0, 0, 5][..], &[0; 64]].concat()), None);
    }
}
