//! An object as clients see it: kept attributes, those that are worked out, and which of them were asked for.

use ldap3_proto::proto::LdapPartialAttribute;

use super::descriptor::{REANIMATE, right};
use super::dn::Rdn;
use super::ids::Guid;
use super::rights::{self, Caller};
use super::schema::{self, Attribute, Class, Syntax, Trait};
use super::store::{Object, Replica};
use super::value::{Value, generalized_time};
use super::{bind, well_known};

/// The first and the last value that are asked for; no last one for all.
type Range = (usize, Option<usize>);

/// More values of an attribute than this come in ranges (`MaxValRange` of Active Directory).
const MOST_VALUES: usize = 1500;

/// How names are written (control 1.2.840.113556.1.4.529): plain, or with GUID and SID before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As usual.
    Plain,
    /// With identities as hexadecimal digits.
    Hex,
    /// With identities as people write them.
    Text,
}

/// What of an entry is wanted.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Attribute names, `*`, `+`, `1.1`.
    pub attributes: &'a [String],
    /// Names without values.
    pub types_only: bool,
    /// The parts of a descriptor (control 1.2.840.113556.1.4.801).
    pub sd_flags: Option<u32>,
    /// How names are written.
    pub names: Names,
    /// Whether it is the base of a search of one object: some attributes are worked out only then.
    pub base: bool,
}

/// The schema object of a class's category.
#[must_use]
pub fn category(replica: &Replica, class: &Class) -> Option<Guid> {
    let schema = replica.heads().find(|head| head.is_a("dMD"))?;
    let cn = schema::class_named(class.category)?.cn;
    replica.child(schema.guid, &Rdn::new("CN", cn)).map(|object| object.guid)
}

/// The values of an attribute as they are compared and shown; those that cost much only in [`shown`].
#[must_use]
pub fn raw(replica: &Replica, object: &Object, attribute: &'static Attribute) -> Vec<Value> {
    if let Some(forward) = schema::forward_of(attribute.name) {
        let from = replica.linking(object.guid, forward.name).filter(|other| !other.is_deleted());
        return from.map(|other| Value::Object(other.guid)).collect();
    }
    if attribute.back.is_some() {
        return object.targets(attribute.name).map(Value::Object).collect();
    }
    let text = |text: String| vec![Value::text(text)];
    match attribute.name {
        "distinguishedName" => vec![Value::Object(object.guid)],
        "uSNCreated" => text(object.created.to_string()),
        "uSNChanged" => text(object.changed.to_string()),
        "whenChanged" | "modifyTimeStamp" => text(generalized_time(object.touched)),
        "createTimeStamp" => object.values("whenCreated").to_vec(),
        "structuralObjectClass" => text(object.class().to_owned()),
        "parentGUID" => object.parent.map(|parent| Value::Bytes(parent.to_wire())).into_iter().collect(),
        "objectGUID" => vec![Value::Bytes(object.guid.to_wire())],
        "objectCategory" if object.is_tombstone() => Vec::new(),
        _ => object.values(attribute.name).to_vec(),
    }
}

fn constructed(replica: &Replica, caller: &Caller, object: &Object, attribute: &'static Attribute, base: bool) -> Vec<Value> {
    let number = |number: i64| vec![Value::text(number.to_string())];
    let names = |names: Vec<&str>| names.into_iter().map(Value::text).collect();
    match attribute.name {
        "canonicalName" => vec![Value::text(canonical(replica, object))],
        "subSchemaSubEntry" => vec![Value::text(format!("CN=Aggregate,{}", well_known::SCHEMA))],
        "primaryGroupToken" if object.is_a("group") => number(object.sid().map_or(0, |sid| i64::from(sid.rid()))),
        "tokenGroups" if base && object.sid().is_some() => {
            rights::groups_of(replica, object).iter().map(|sid| Value::Bytes(sid.to_wire())).collect()
        }
        "msDS-User-Account-Control-Computed" if object.is_a("user") => number(bind::computed_flags(replica, object)),
        "msDS-Approx-Immed-Subordinates" => {
            number(i64::try_from(replica.children(object.guid).filter(|child| !child.is_deleted()).count()).unwrap_or(i64::MAX))
        }
        "allowedAttributes" => names(usable(object).map(|attribute| attribute.name).collect()),
        "allowedAttributesEffective" => {
            let writable = usable(object).filter(|attribute| !attribute.is(Trait::System));
            names(
                writable
                    .map(|attribute| attribute.name)
                    .filter(|name| rights::may_write(replica, caller, object, name))
                    .collect(),
            )
        }
        "allowedChildClassesEffective" => {
            let below = schema::CLASSES.iter().filter(|class| schema::may_lie_below(class, object.class()));
            let may =
                |class: &&Class| rights::allows(replica, caller, object, right::CREATE_CHILD, Some(schema::id_of(class.name)));
            names(below.filter(may).map(|class| class.name).collect())
        }
        "sDRightsEffective" => {
            let owner = if rights::allows(replica, caller, object, right::WRITE_OWNER, None) { 3 } else { 0 };
            let list = if rights::allows(replica, caller, object, right::WRITE_DAC, None) { 4 } else { 0 };
            number(owner | list)
        }
        "wellKnownObjects" if object.head => well_known::CONTAINERS
            .iter()
            .filter_map(|(id, part)| Some((id, super::dn::Dn::parse(part)?.0.into_iter().next()?)))
            .filter_map(|(id, part)| Some((id, replica.child(object.guid, &part)?)))
            .map(|(id, child)| Value::text(format!("B:32:{id}:{}", replica.dn(child))))
            .collect(),
        "msDS-ReplAttributeMetaData" => object
            .attributes
            .iter()
            .map(|(name, held)| {
                Value::text(format!(
                    "<DS_REPL_ATTR_META_DATA><pszAttributeName>{name}</pszAttributeName><dwVersion>{}</dwVersion>\
<ftimeLastOriginatingChange>{}</ftimeLastOriginatingChange><uuidLastOriginatingDsaInvocationID>{}\
</uuidLastOriginatingDsaInvocationID><usnLocalChange>{}</usnLocalChange></DS_REPL_ATTR_META_DATA>",
                    held.stamp.version,
                    generalized_time(held.stamp.time),
                    held.stamp.dsa,
                    held.usn
                ))
            })
            .collect(),
        _ => raw(replica, object, attribute),
    }
}

/// The attributes that an object of its class may have.
fn usable(object: &Object) -> impl Iterator<Item = &'static Attribute> {
    schema::ATTRIBUTES.iter().filter(|attribute| {
        !attribute.is(Trait::Constructed) && (attribute.only.is_empty() || attribute.only.iter().any(|class| object.is_a(class)))
    })
}

fn canonical(replica: &Replica, object: &Object) -> String {
    let parts = replica.dn(object).0;
    let (domain, path): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.attribute.eq_ignore_ascii_case("DC"));
    let domain: Vec<&str> = domain.iter().map(|part| part.value.as_str()).collect();
    let path: Vec<&str> = path.iter().rev().map(|part| part.value.as_str()).collect();
    format!("{}/{}", domain.join("."), path.join("/"))
}

/// An object's name as it is sent.
#[must_use]
pub fn name(replica: &Replica, guid: Guid, names: Names) -> String {
    let Some(object) = replica.get(guid) else { return format!("<GUID={guid}>") };
    let dn = replica.dn(object).to_string();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match names {
        Names::Plain => dn,
        Names::Hex => {
            let sid = object.sid().map(|sid| format!("<SID={}>;", hex(sid.to_wire()))).unwrap_or_default();
            format!("<GUID={}>;{sid}{dn}", hex(guid.to_wire()))
        }
        Names::Text => {
            let sid = object.sid().map(|sid| format!("<SID={sid}>;")).unwrap_or_default();
            format!("<GUID={guid}>;{sid}{dn}")
        }
    }
}

/// The attributes of an object that were asked for and may be read.
#[must_use]
pub fn shown(replica: &Replica, caller: &Caller, object: &Object, wanted: &Wanted<'_>) -> Vec<LdapPartialAttribute> {
    if !rights::allows(replica, caller, object, right::READ, None) {
        return Vec::new();
    }
    let asked: Vec<&str> = wanted.attributes.iter().map(String::as_str).filter(|name| *name != "1.1").collect();
    let nothing = asked.is_empty() && !wanted.attributes.is_empty();
    let all = !nothing && (asked.is_empty() || asked.contains(&"*"));
    let mut list: Vec<(&'static Attribute, Option<Range>)> = Vec::new();
    if all {
        let kept = schema::ATTRIBUTES.iter().filter(|attribute| is_usual(attribute, wanted));
        list.extend(kept.map(|attribute| (attribute, None)));
    }
    for name in asked {
        let (plain, range) = ranged(name);
        if let Some(attribute) = schema::find(plain)
            && !list.iter().any(|(known, known_range)| known.name == attribute.name && *known_range == range)
        {
            list.push((attribute, range));
        }
    }
    list.into_iter().filter_map(|(attribute, range)| one(replica, caller, object, attribute, range, wanted)).collect()
}

/// Whether `*` means it: what is kept, and back links, but no descriptor unless its control is there.
fn is_usual(attribute: &Attribute, wanted: &Wanted<'_>) -> bool {
    match attribute.name {
        "nTSecurityDescriptor" => wanted.sd_flags.is_some(),
        "distinguishedName" | "uSNCreated" | "uSNChanged" | "whenChanged" => true,
        name => !attribute.is(Trait::Constructed) || schema::forward_of(name).is_some(),
    }
}

/// `member;range=0-499` → the name and the range.
fn ranged(name: &str) -> (&str, Option<(usize, Option<usize>)>) {
    let Some((plain, option)) = name.split_once(';') else { return (name, None) };
    let range = option.to_ascii_lowercase().strip_prefix("range=").and_then(|range| {
        let (from, to) = range.split_once('-')?;
        Some((from.parse().ok()?, if to == "*" { None } else { Some(to.parse().ok()?) }))
    });
    (plain, range)
}

fn one(
    replica: &Replica,
    caller: &Caller,
    object: &Object,
    attribute: &'static Attribute,
    range: Option<(usize, Option<usize>)>,
    wanted: &Wanted<'_>,
) -> Option<LdapPartialAttribute> {
    if attribute.is(Trait::Hidden) {
        return None;
    }
    let values: Vec<Vec<u8>> = if attribute.name == "nTSecurityDescriptor" {
        if !rights::allows(replica, caller, object, right::READ_CONTROL, None) {
            return None;
        }
        vec![rights::descriptor(replica, object).to_wire(wanted.sd_flags.unwrap_or(7))]
    } else {
        let values = constructed(replica, caller, object, attribute, wanted.base);
        values.into_iter().map(|value| sent(replica, value, wanted.names)).collect()
    };
    if values.is_empty() {
        return None;
    }
    let (from, to) = match range {
        Some((from, to)) => (from, to.unwrap_or(usize::MAX).min(from.saturating_add(MOST_VALUES - 1))),
        None if values.len() > MOST_VALUES => (0, MOST_VALUES - 1),
        None => {
            return Some(LdapPartialAttribute {
                atype: attribute.name.to_owned(),
                vals: if wanted.types_only { Vec::new() } else { values },
            });
        }
    };
    let last = to >= values.len() - 1;
    let end = if last { "*".to_owned() } else { to.to_string() };
    let part: Vec<Vec<u8>> = values.into_iter().skip(from).take(to.saturating_sub(from).saturating_add(1)).collect();
    Some(LdapPartialAttribute { atype: format!("{};range={from}-{end}", attribute.name), vals: part })
}

fn sent(replica: &Replica, value: Value, names: Names) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes,
        Value::Object(guid) => name(replica, guid, names).into_bytes(),
    }
}

/// Whether a text is a value of that syntax; what it is kept as.
#[must_use]
pub fn accepts(syntax: Syntax, bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).ok();
    match syntax {
        Syntax::Octets => true,
        Syntax::Text | Syntax::Class | Syntax::Name => text.is_some() && !bytes.is_empty(),
        Syntax::Boolean => matches!(text, Some("TRUE" | "FALSE")),
        Syntax::Integer => text.is_some_and(|text| text.parse::<i32>().is_ok()),
        Syntax::Large => text.is_some_and(|text| text.parse::<i64>().is_ok()),
        Syntax::Time => text.is_some_and(|text| text.len() >= 15 && text.ends_with('Z')),
    }
}

/// The extended right to bring tombstones back, as an identity.
#[must_use]
pub fn reanimate() -> Option<Guid> {
    Guid::parse(REANIMATE)
}
