//! What identifies an object for ever: its GUID and, for accounts and groups, its SID.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A GUID; on the wire in the mixed byte order of MS-DTYP 2.3.4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Guid(uuid::Uuid);

impl Guid {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Guid(uuid::Uuid::new_v4())
    }

    /// The same for the same text; for what needs a GUID that never changes.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(text.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Guid(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// As the directory stores and sends it.
    #[must_use]
    pub fn to_wire(self) -> Vec<u8> {
        self.0.to_bytes_le().to_vec()
    }

    /// From the directory's own byte order.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        Some(Guid(uuid::Uuid::from_bytes_le(bytes.try_into().ok()?)))
    }

    /// As a `<GUID=…>` name gives it: with hyphens, or the sixteen bytes in the directory's order
    /// (MS-ADTS 3.1.1.3.1.2.4).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('-') {
            return uuid::Uuid::try_parse(text).ok().map(Guid);
        }
        Self::from_wire(&super::value::from_hex(text)?)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Guid> for String {
    fn from(guid: Guid) -> String {
        guid.to_string()
    }
}

impl TryFrom<String> for Guid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Guid::parse(&text).ok_or_else(|| format!("`{text}` is no GUID"))
    }
}

/// A security identifier (MS-DTYP 2.4.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sid {
    authority: u64,
    parts: Vec<u32>,
}

impl Sid {
    /// `S-1-<authority>-<part>-…`.
    #[must_use]
    pub fn new(authority: u64, parts: &[u32]) -> Self {
        Sid { authority, parts: parts.to_vec() }
    }

    /// `S-1-5-32-<rid>`: a group of every Windows system.
    #[must_use]
    pub fn builtin(rid: u32) -> Self {
        Sid::new(5, &[32, rid])
    }

    /// An account of this domain.
    #[must_use]
    pub fn child(&self, rid: u32) -> Self {
        let mut sid = self.clone();
        sid.parts.push(rid);
        sid
    }

    /// The last part.
    #[must_use]
    pub fn rid(&self) -> u32 {
        self.parts.last().copied().unwrap_or(0)
    }

    /// As the directory stores and sends it.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let mut bytes = vec![1, u8::try_from(self.parts.len()).unwrap_or(u8::MAX)];
        bytes.extend_from_slice(&self.authority.to_be_bytes()[2..]);
        for part in &self.parts {
            bytes.extend_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    /// From the directory's form; the rest of the bytes is not looked at.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let count = usize::from(*bytes.get(1)?);
        if bytes[0] != 1 || count > 15 {
            return None;
        }
        let mut authority = [0; 8];
        authority[2..].copy_from_slice(bytes.get(2..8)?);
        let parts =
            bytes.get(8..8 + 4 * count)?.chunks_exact(4).map(|part| u32::from_le_bytes([part[0], part[1], part[2], part[3]]));
        Some(Sid { authority: u64::from_be_bytes(authority), parts: parts.collect() })
    }

    /// How many bytes [`Sid::to_wire`] gives.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        8 + 4 * self.parts.len()
    }

    /// From `S-1-5-21-…`, or the bytes in hexadecimal.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix("S-1-").or_else(|| text.strip_prefix("s-1-")) else {
            return Self::from_wire(&super::value::from_hex(text)?);
        };
        let mut numbers = rest.split('-');
        let authority = numbers.next()?.parse().ok()?;
        let parts: Option<Vec<u32>> = numbers.map(|part| part.parse().ok()).collect();
        Some(Sid { authority, parts: parts.filter(|parts| parts.len() <= 15)? })
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S-1-{}", self.authority)?;
        self.parts.iter().try_for_each(|part| write!(f, "-{part}"))
    }
}
