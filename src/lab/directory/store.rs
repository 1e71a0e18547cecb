//! One domain controller's replica: objects by GUID, their names, and the stamps by which replicas agree.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::dn::{Dn, Name, Rdn};
use super::ids::{Guid, Sid};
use super::schema;
use super::value::Value;

/// Which write a value comes from. The greater one wins where two meet (MS-ADTS 3.1.1.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// How many times it was written.
    pub version: u32,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// Where first.
    pub dsa: Guid,
}

/// An attribute with its stamp. Without values it was there once, and that is told to the other replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The values.
    pub values: Vec<Value>,
    /// Where they come from.
    pub stamp: Stamp,
    /// This replica's own number of the write that brought them here.
    pub usn: u64,
}

/// One value of a link, with a stamp of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// False once it is taken away.
    pub present: bool,
    /// Where that comes from.
    pub stamp: Stamp,
    /// This replica's own number of the write that brought it here.
    pub usn: u64,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its identity.
    pub guid: Guid,
    /// Where it lies. Goes with the stamp of `name`.
    pub parent: Option<Guid>,
    /// Whether a naming context begins here.
    pub head: bool,
    /// By lDAPDisplayName.
    pub attributes: BTreeMap<String, Held>,
    /// Link attribute → target → whether it is there.
    pub links: BTreeMap<String, BTreeMap<Guid, Linked>>,
    /// This replica's number of the write that brought it here.
    pub created: u64,
    /// This replica's number of the latest write.
    pub changed: u64,
    /// When this replica wrote it last, in milliseconds since 1970.
    pub touched: i64,
}

impl Object {
    /// The values of an attribute that is no link.
    #[must_use]
    pub fn values(&self, attribute: &str) -> &[Value] {
        self.attributes.get(attribute).map_or(&[], |held| &held.values)
    }

    /// The first value, if it is text.
    #[must_use]
    pub fn text(&self, attribute: &str) -> Option<&str> {
        self.values(attribute).first().and_then(Value::as_text)
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

    /// Whether it is a tombstone, or the container of those.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.is_true("isDeleted")
    }

    /// Whether it was deleted. The container of tombstones was not, though it says so.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.is_deleted() && self.is_true("isRecycled")
    }

    /// Its own class.
    #[must_use]
    pub fn class(&self) -> &str {
        self.values("objectClass").last().and_then(Value::as_text).unwrap_or("top")
    }

    /// Whether it is of that class or of one derived from it.
    #[must_use]
    pub fn is_a(&self, class: &str) -> bool {
        self.values("objectClass").iter().any(|value| value.as_text().is_some_and(|name| name.eq_ignore_ascii_case(class)))
    }

    /// Its SID.
    #[must_use]
    pub fn sid(&self) -> Option<Sid> {
        Sid::from_wire(self.values("objectSid").first()?.bytes()?)
    }

    /// The targets of a link.
    pub fn targets(&self, link: &str) -> impl Iterator<Item = Guid> {
        self.links.get(link).into_iter().flatten().filter(|(_, linked)| linked.present).map(|(target, _)| *target)
    }

    /// The attribute that names it.
    #[must_use]
    pub fn rdn_attribute(&self) -> &'static str {
        schema::class_named(self.class()).map_or("CN", |class| class.rdn)
    }
}

/// One write of this replica: its number, its time and its place.
#[derive(Debug, Clone, Copy)]
pub struct Pen {
    /// The number.
    pub usn: u64,
    /// Milliseconds since 1970.
    pub time: i64,
    /// The replica.
    pub dsa: Guid,
}

impl Pen {
    fn after(&self, before: Option<Stamp>) -> Stamp {
        Stamp { version: before.map_or(0, |stamp| stamp.version) + 1, time: self.time, dsa: self.dsa }
    }

    /// Writes an attribute.
    pub fn set(&self, object: &mut Object, attribute: &str, values: Vec<Value>) {
        let stamp = self.after(object.attributes.get(attribute).map(|held| held.stamp));
        object.attributes.insert(attribute.to_owned(), Held { values, stamp, usn: self.usn });
    }

    /// Writes an attribute of one text.
    pub fn set_text(&self, object: &mut Object, attribute: &str, text: impl Into<String>) {
        self.set(object, attribute, vec![Value::text(text)]);
    }

    /// Takes an attribute away, if it is there.
    pub fn clear(&self, object: &mut Object, attribute: &str) {
        if !object.values(attribute).is_empty() {
            self.set(object, attribute, Vec::new());
        }
    }

    /// Writes one value of a link.
    pub fn link(&self, object: &mut Object, attribute: &str, target: Guid, present: bool) {
        let targets = object.links.entry(attribute.to_owned()).or_default();
        let stamp = self.after(targets.get(&target).map(|linked| linked.stamp));
        targets.insert(target, Linked { present, stamp, usn: self.usn });
    }
}

/// One domain controller's copy of everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replica {
    /// `dc1`.
    pub name: String,
    /// Its `nTDSDSA` object's GUID.
    pub dsa: Guid,
    /// The latest number that was given to a write here.
    pub usn: u64,
    /// For every other replica: up to which of its writes this one has seen.
    pub seen: BTreeMap<Guid, u64>,
    /// The next relative identifier of the range that this domain controller owns.
    pub next_rid: u32,
    /// All objects.
    pub objects: BTreeMap<Guid, Object>,
    #[serde(skip)]
    children: BTreeMap<Guid, BTreeSet<Guid>>,
}

impl Replica {
    /// An empty one.
    #[must_use]
    pub fn new(name: &str, dsa: Guid, next_rid: u32) -> Self {
        Replica {
            name: name.to_owned(),
            dsa,
            usn: 1000,
            seen: BTreeMap::new(),
            next_rid,
            objects: BTreeMap::new(),
            children: BTreeMap::new(),
        }
    }

    /// To be called once after it was read from a file.
    pub fn index(&mut self) {
        self.children.clear();
        for object in self.objects.values() {
            if let Some(parent) = object.parent {
                self.children.entry(parent).or_default().insert(object.guid);
            }
        }
    }

    /// Begins a write.
    pub fn pen(&mut self, time: i64) -> Pen {
        self.usn += 1;
        Pen { usn: self.usn, time, dsa: self.dsa }
    }

    /// Puts an object in place of what was there under its GUID.
    pub fn put(&mut self, mut object: Object, pen: &Pen) {
        object.changed = pen.usn;
        object.touched = pen.time;
        if let Some(parent) = self.objects.get(&object.guid).and_then(|old| old.parent)
            && let Some(siblings) = self.children.get_mut(&parent)
        {
            siblings.remove(&object.guid);
        }
        if let Some(parent) = object.parent {
            self.children.entry(parent).or_default().insert(object.guid);
        }
        self.objects.insert(object.guid, object);
    }

    /// The object.
    #[must_use]
    pub fn get(&self, guid: Guid) -> Option<&Object> {
        self.objects.get(&guid)
    }

    /// What lies directly below, tombstones too.
    pub fn children(&self, guid: Guid) -> impl Iterator<Item = &Object> {
        self.children.get(&guid).into_iter().flatten().filter_map(|child| self.objects.get(child))
    }

    /// Where naming contexts begin.
    pub fn heads(&self) -> impl Iterator<Item = &Object> {
        self.objects.values().filter(|object| object.head)
    }

    /// The head of an object's naming context.
    #[must_use]
    pub fn head_of(&self, object: &Object) -> Option<&Object> {
        let mut at = self.objects.get(&object.guid)?;
        while !at.head {
            at = self.objects.get(&at.parent?)?;
        }
        Some(at)
    }

    /// The domain's head.
    #[must_use]
    pub fn domain(&self) -> Option<&Object> {
        self.heads().find(|head| head.is_a("domainDNS"))
    }

    /// The domain's SID.
    #[must_use]
    pub fn domain_sid(&self) -> Option<Sid> {
        self.domain()?.sid()
    }

    /// The name of the moment.
    #[must_use]
    pub fn dn(&self, object: &Object) -> Dn {
        let mut parts = Vec::new();
        let mut at = Some(object);
        while let Some(object) = at {
            parts.push(Rdn::new(object.rdn_attribute(), object.text("name").unwrap_or("?")));
            match object.parent {
                Some(parent) => at = self.objects.get(&parent),
                None => {
                    // The domain's head is called by one part, and its name has two.
                    parts.extend(object.text("dc").into_iter().flat_map(|_| super::well_known::suffix()));
                    at = None;
                }
            }
        }
        Dn(parts)
    }

    /// The object of that name, living or not.
    #[must_use]
    pub fn at(&self, dn: &Dn) -> Option<&Object> {
        let mut best: Option<&Object> = None;
        let domain = self.domain()?;
        let top = self.dn(domain).0.len();
        if dn.0.len() < top
            || !dn.0[dn.0.len() - top..].iter().zip(&self.dn(domain).0).all(|(a, b)| a.matches(&b.attribute, &b.value))
        {
            return None;
        }
        for part in dn.0[..dn.0.len() - top].iter().rev() {
            let parent = best.unwrap_or(domain);
            best = Some(self.child(parent.guid, part)?);
        }
        Some(best.unwrap_or(domain))
    }

    /// The child of that name.
    #[must_use]
    pub fn child(&self, parent: Guid, part: &Rdn) -> Option<&Object> {
        self.children(parent).find(|child| part.matches(child.rdn_attribute(), child.text("name").unwrap_or_default()))
    }

    /// The object that a request names, living or not.
    #[must_use]
    pub fn find(&self, name: &Name) -> Option<&Object> {
        match name {
            Name::Dn(dn) => self.at(dn),
            Name::Guid(guid) => self.get(*guid),
            Name::Sid(sid) => self.by_sid(sid),
            Name::WellKnown(id, dn) => {
                let head = self.at(dn)?;
                let (_, part) = super::well_known::CONTAINERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(id))?;
                self.child(head.guid, &Dn::parse(part)?.0.first()?.clone())
            }
        }
    }

    /// The account or group with that SID.
    #[must_use]
    pub fn by_sid(&self, sid: &Sid) -> Option<&Object> {
        self.objects.values().find(|object| object.sid().as_ref() == Some(sid))
    }

    /// The container of tombstones of a naming context.
    #[must_use]
    pub fn deleted_objects(&self, head: Guid) -> Option<&Object> {
        self.child(head, &Rdn::new("CN", "Deleted Objects"))
    }

    /// The longest part of a name that exists and lives, as text.
    #[must_use]
    pub fn best_match(&self, dn: &Dn) -> String {
        let mut dn = dn.clone();
        while !dn.0.is_empty() {
            if self.at(&dn).is_some_and(|object| !object.is_deleted()) {
                return dn.to_string();
            }
            dn = dn.parent();
        }
        String::new()
    }

    /// The objects that link to this one by this attribute.
    pub fn linking<'a>(&'a self, target: Guid, link: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects.values().filter(move |object| {
            object.links.get(link).is_some_and(|targets| targets.get(&target).is_some_and(|linked| linked.present))
        })
    }
}
