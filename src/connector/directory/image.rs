//! The before-image: what a deletion destroys, and what a restore puts back. Pure: taken from what was read, written as
//! readable JSON, and read again strictly.
//!
//! It holds every attribute that could be read, except secrets ([`attributes::is_secret`]), whose names alone are kept.

pub mod attributes;
mod ldif;
mod value;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::dn::Dn;
use super::entry::Entry;
use super::guid::Guid;
use super::sid::Sid;
use crate::foreign::one_line;

pub use value::ValueText;

/// The version of the format that this build writes and reads.
pub const VERSION: u32 = 1;

/// What one object was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeforeImage {
    /// The version of the format; first, so that whoever opens the file sees what it is.
    #[serde(rename = "relevo_before_image")]
    version: u32,
    /// When it was read.
    pub taken: Timestamp,
    /// The domain, `DC=contoso,DC=com`.
    pub domain: Dn,
    /// The DNS name of the domain controller that it was read from.
    pub dc: String,
    /// The object.
    pub object: ObjectImage,
    /// The groups that it was a member of, directly; without its primary group, which is an attribute.
    pub groups: Vec<Membership>,
    /// Other objects that pointed at it. A deletion clears their attributes.
    pub references: Vec<Reference>,
    /// Attributes that are secrets: they were there, and their values were not kept.
    pub withheld: Vec<String>,
    /// LDIF by which a person brings the object back with ordinary tools; one line each.
    pub by_hand: Vec<String>,
}

/// The object of a before-image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectImage {
    /// Its name.
    pub dn: Dn,
    /// Its objectGUID.
    pub guid: Guid,
    /// Its objectSid, if it had one.
    pub sid: Option<Sid>,
    /// The name of what it lay in.
    pub parent: Dn,
    /// Its attributes as the server called them, and their values in the server's order.
    pub attributes: BTreeMap<String, Vec<ValueText>>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// Its name then.
    pub dn: Dn,
    /// Its identity; by this it is found again.
    pub guid: Guid,
}

/// One object that pointed at this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The back link, an attribute of this object, such as `directReports`.
    pub attribute: String,
    /// The other object.
    pub dn: Dn,
}

/// The header alone.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "relevo_before_image")]
    version: Option<serde_json::Value>,
}

impl BeforeImage {
    /// Takes the image of an object that was read with all its attributes. `groups` are those of its `memberOf`.
    ///
    /// # Errors
    /// The object was not read whole: without identity or name, values in ranges, a group that `groups` lacks. Nothing
    /// may be destroyed then.
    pub fn take(object: &Entry, taken: Timestamp, domain: &Dn, dc: &str, groups: Vec<Membership>) -> Result<Self, String> {
        let incomplete = |what: String| format!("the before-image would not be complete: {what}");
        let dn = object.name().map_err(&incomplete)?;
        let guid = object.guid().ok_or_else(|| incomplete("the object's objectGUID could not be read".to_owned()))?;
        let parent = dn.parent().ok_or_else(|| incomplete("the object has no name".to_owned()))?;
        let (mut kept, mut references, mut withheld) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (name, values) in object.attributes() {
            if !attributes::is_description(name) {
                return Err(incomplete(format!("the server gave an attribute `{}`", one_line(name, 60))));
            }
            if attributes::is_secret(name) {
                withheld.push(name.to_owned());
                continue;
            }
            let binary = attributes::is_binary(name);
            let values: Vec<_> = values.iter().map(|value| ValueText::new(value, binary)).collect();
            if attributes::is_back_link(name) {
                let names = values.iter().map(|value| value.as_text().map_or_else(|| Err("no text".to_owned()), Dn::parse));
                for dn in names {
                    let dn = dn.map_err(|error| incomplete(format!("{name}: {error}")))?;
                    if !name.eq_ignore_ascii_case("memberOf") {
                        references.push(Reference { attribute: name.to_owned(), dn });
                    } else if !groups.iter().any(|group| group.dn == dn) {
                        return Err(incomplete(format!("the group `{}` could not be read", one_line(&dn.to_string(), 300))));
                    }
                }
            }
            kept.insert(name.to_owned(), values);
        }
        let object = ObjectImage { dn, guid, sid: object.sid(), parent, attributes: kept };
        let mut image = BeforeImage {
            version: VERSION,
            taken,
            domain: domain.clone(),
            dc: dc.to_owned(),
            object,
            groups,
            references,
            withheld,
            by_hand: Vec::new(),
        };
        image.by_hand = ldif::by_hand(&image);
        Ok(image)
    }

    /// As JSON for people and for [`BeforeImage::from_bytes`], with a final line break.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .unwrap_or_else(|error| unreachable!("texts, numbers and lists can always be written: {error}"));
        bytes.push(b'\n');
        bytes
    }

    /// Reads what [`BeforeImage::to_bytes`] wrote.
    ///
    /// # Errors
    /// It is no before-image, of another version, or was changed so that it cannot be understood.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let header: Header = serde_json::from_slice(bytes).map_err(|error| format!("not a before-image: {error}"))?;
        match header.version {
            None => Err("not a before-image: it lacks `relevo_before_image`".to_owned()),
            Some(version) if version == VERSION => {
                serde_json::from_slice(bytes).map_err(|error| format!("the before-image is damaged: {error}"))
            }
            Some(version) => Err(format!(
                "the before-image has version {}, and this relevo reads version {VERSION}; use the relevo that wrote it",
                one_line(&version.to_string(), 40)
            )),
        }
    }

    /// The attributes that a restore writes back, and their values: those that a deletion takes away and that may be
    /// written ([`attributes::fate`]). Groups come after them, and after the groups the primary group.
    pub fn restorable(&self) -> impl Iterator<Item = (&str, &[ValueText])> {
        let written = |name: &str| attributes::fate(name) == attributes::Fate::WrittenBack;
        self.object
            .attributes
            .iter()
            .filter(move |(name, _)| written(name))
            .map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// The values of an attribute; none if it was absent. Names are compared without regard to case.
    #[must_use]
    pub fn values(&self, attribute: &str) -> &[ValueText] {
        let found = self.object.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        found.map_or(&[], |(_, values)| values)
    }

    /// The primary group, as the last part of its SID, if it is not the one that every user gets. It can be written only
    /// when the user is a member of it again.
    #[must_use]
    pub fn primary_group(&self) -> Option<u32> {
        let [one] = self.values("primaryGroupID") else { return None };
        one.as_text()?.parse().ok().filter(|&rid| rid != attributes::DOMAIN_USERS)
    }

    /// What a restore cannot bring back, one sentence each, for the operator.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        let mut lost = Vec::new();
        if self.object.sid.is_some() {
            lost.push("its password: set a new one".to_owned());
        }
        if let [Some(control)] = self.values("userAccountControl").iter().map(ValueText::as_text).collect::<Vec<_>>()[..] {
            let control = one_line(control, 20);
            lost.push(format!("whether it is enabled: userAccountControl was {control}, and servers may bring it back disabled"));
        }
        for name in &self.withheld {
            lost.push(format!("`{name}`: a secret, which is not kept"));
        }
        for reference in &self.references {
            let dn = one_line(&reference.dn.to_string(), 300);
            lost.push(match attributes::forward_link(&reference.attribute) {
                Some(link) => format!("`{link}` of `{dn}`: set it again"),
                None => format!("what `{dn}` held that made `{}` of this object: set it again", reference.attribute),
            });
        }
        for name in self.object.attributes.keys().filter(|name| attributes::fate(name) == attributes::Fate::Lost) {
            lost.push(format!("`{name}`: the directory lets nobody write it"));
        }
        lost
    }
}

#[cfg(test)]
mod tests;
