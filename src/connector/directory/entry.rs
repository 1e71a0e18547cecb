//! One object as the directory gave it.

use std::collections::BTreeMap;

use super::dn::Dn;
use super::guid::Guid;
use super::sid::Sid;

/// One object, with the attributes that were asked for and could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Its name as the server wrote it; may hold anything (foreign text).
    pub dn: String,
    /// Lower-case name → name as the server wrote it, and values.
    attributes: BTreeMap<String, (String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// An entry without attributes.
    #[must_use]
    pub fn new(dn: String) -> Self {
        Entry { dn, attributes: BTreeMap::new() }
    }

    /// Adds values to an attribute.
    pub fn add(&mut self, attribute: &str, values: impl IntoIterator<Item = Vec<u8>>) {
        let known = self.attributes.entry(attribute.to_ascii_lowercase()).or_insert_with(|| (attribute.to_owned(), Vec::new()));
        known.1.extend(values);
    }

    /// Gives an attribute another name; its values join those that are there under it.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some((_, values)) = self.attributes.remove(&from.to_ascii_lowercase()) {
            self.add(to, values);
        }
    }

    /// The values, as bytes; none if it is absent. Names are compared without regard to case.
    #[must_use]
    pub fn values(&self, attribute: &str) -> &[Vec<u8>] {
        self.attributes.get(&attribute.to_ascii_lowercase()).map_or(&[], |(_, values)| values)
    }

    /// The first value, if it is text.
    #[must_use]
    pub fn text(&self, attribute: &str) -> Option<&str> {
        self.values(attribute).first().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The values that are text.
    pub fn texts(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.values(attribute).iter().filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The first value as a number.
    #[must_use]
    pub fn number(&self, attribute: &str) -> Option<i64> {
        self.text(attribute)?.parse().ok()
    }

    /// Whether the first value is `TRUE`.
    #[must_use]
    pub fn is_true(&self, attribute: &str) -> bool {
        self.text(attribute) == Some("TRUE")
    }

    /// objectGUID.
    #[must_use]
    pub fn guid(&self) -> Option<Guid> {
        self.values("objectGUID").first().and_then(|bytes| Guid::from_bytes(bytes))
    }

    /// objectSid.
    #[must_use]
    pub fn sid(&self) -> Option<Sid> {
        self.values("objectSid").first().and_then(|bytes| Sid::from_bytes(bytes))
    }

    /// Its name, parsed.
    ///
    /// # Errors
    /// The server wrote something that is no name.
    pub fn name(&self) -> Result<Dn, String> {
        Dn::parse(&self.dn)
    }

    /// All attributes: name as the server wrote it, and values.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &[Vec<u8>])> {
        self.attributes.values().map(|(name, values)| (name.as_str(), values.as_slice()))
    }
}
