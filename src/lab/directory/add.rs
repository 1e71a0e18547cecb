//! Adding objects.

use std::collections::BTreeMap;

use ldap3_proto::proto::LdapAddRequest;

use super::account;
use super::descriptor::{Descriptor, Entry, right};
use super::dn::Name;
use super::entry;
use super::ids::{Guid, Sid};
use super::modify::{self, Writing};
use super::reply::{
    Answer, access_denied, class_violation, constraint, exists, invalid_name, naming_violation, no_such_attribute, no_such_object,
};
use super::rights;
use super::schema::{self, Class, Trait};
use super::store::Object;
use super::value::{Value, generalized_time};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The object.
    pub guid: Guid,
    /// Its name afterwards.
    pub dn: String,
}

/// Adds an object.
///
/// # Errors
/// It cannot be; nothing was added.
pub fn add(writing: &mut Writing<'_>, request: &LdapAddRequest) -> Answer<Done> {
    let Some(Name::Dn(dn)) = Name::parse(&request.dn) else { return Err(invalid_name()) };
    let Some(part) = dn.0.first().cloned() else { return Err(naming_violation(&request.dn)) };
    let replica = &*writing.replica;
    let parent =
        replica.at(&dn.parent()).filter(|parent| !parent.is_deleted() && rights::visible(replica, writing.caller, parent));
    let parent = parent.ok_or_else(|| no_such_object(&replica.best_match(&dn)))?;
    let class = class_of(request)?;
    if !part.attribute.eq_ignore_ascii_case(class.rdn) {
        return Err(naming_violation(&format!("{} does not name a {}", part.attribute, class.name)));
    }
    if !schema::may_lie_below(class, parent.class()) {
        return Err(naming_violation(&format!("a {} does not lie below a {}", class.name, parent.class())));
    }
    if replica.child(parent.guid, &part).is_some() {
        return Err(exists(0x2071));
    }
    if !rights::allows(replica, writing.caller, parent, right::CREATE_CHILD, Some(schema::id_of(class.name))) {
        return Err(access_denied());
    }
    let parent = parent.guid;
    let pen = writing.replica.pen(writing.now);
    let mut object = blank(Guid::random(), Some(parent), class, &part.value, &pen);
    let mut password = None;
    for attribute in &request.attributes {
        let known =
            schema::find(&attribute.atype).ok_or_else(|| no_such_attribute(&attribute.atype, "it is not in the schema"))?;
        match known.name {
            "objectClass" | "name" | "distinguishedName" => continue,
            name if name.eq_ignore_ascii_case(class.rdn) => continue,
            "unicodePwd" => {
                password = Some(modify::clear_password(writing, attribute.vals.first())?);
                continue;
            }
            "nTSecurityDescriptor" => {
                let before = rights::descriptor(writing.replica, &object);
                let bytes = attribute.vals.first().map(Vec::as_slice).unwrap_or_default();
                let read = Descriptor::from_wire(bytes, &before).ok_or_else(|| constraint(known.name, "it is no descriptor"))?;
                pen.set(&mut object, known.name, vec![Value::Bytes(read.to_wire(7))]);
                continue;
            }
            "objectCategory" | "instanceType" => continue,
            _ => {}
        }
        if known.is(Trait::System) {
            return Err(constraint(known.name, "only the server writes it"));
        }
        if known.is(Trait::Single) && attribute.vals.len() > 1 {
            return Err(constraint(known.name, "it has one value"));
        }
        modify::fits_class(known, &object)?;
        let values = modify::values(writing, known, &attribute.vals)?;
        if known.back.is_some() {
            for target in values {
                if let Value::Object(target) = target {
                    pen.link(&mut object, known.name, target, true);
                }
            }
        } else {
            pen.set(&mut object, known.name, values);
        }
    }
    if let Some(name) = object.text("sAMAccountName") {
        account::name_is_free(writing.replica, name, object.guid)?;
    }
    if let Some(name) = object.text("userPrincipalName") {
        account::principal_is_free(writing.replica, name, object.guid)?;
    }
    if let Some(category) = entry::category(writing.replica, class) {
        pen.set(&mut object, "objectCategory", vec![Value::Object(category)]);
    }
    if let Some(password) = password {
        account::check_password(writing.replica, &object, &password)?;
        account::set_password(&mut object, &password, &pen);
    }
    if object.values("nTSecurityDescriptor").is_empty() {
        let descriptor = default_descriptor(writing.replica.domain_sid(), writing.caller.sids.first());
        pen.set(&mut object, "nTSecurityDescriptor", vec![Value::Bytes(descriptor.to_wire(7))]);
    }
    account::complete(writing.replica, &mut object, &pen);
    let guid = object.guid;
    writing.replica.put(object, &pen);
    Ok(Done { guid, dn: name_of(writing, guid) })
}

/// The name of the moment, as text.
#[must_use]
pub fn name_of(writing: &Writing<'_>, guid: Guid) -> String {
    entry::name(writing.replica, guid, entry::Names::Plain)
}

/// An object with what every object has.
#[must_use]
pub fn blank(guid: Guid, parent: Option<Guid>, class: &Class, name: &str, pen: &super::store::Pen) -> Object {
    let mut object = Object {
        guid,
        parent,
        head: false,
        attributes: BTreeMap::new(),
        links: BTreeMap::new(),
        created: pen.usn,
        changed: pen.usn,
        touched: pen.time,
    };
    pen.set(&mut object, "objectClass", class.chain.iter().map(|name| Value::text(*name)).collect());
    pen.set_text(&mut object, "name", name);
    pen.set_text(&mut object, &class.rdn.to_ascii_lowercase(), name);
    pen.set_text(&mut object, "instanceType", "4");
    pen.set_text(&mut object, "whenCreated", generalized_time(pen.time));
    object
}

/// What an object has if nobody says otherwise: administrators everything, whoever has logged on may read.
#[must_use]
pub fn default_descriptor(domain: Option<Sid>, owner: Option<&Sid>) -> Descriptor {
    let builtin = Sid::builtin(544);
    let admins = domain.map_or_else(|| builtin.clone(), |domain| domain.child(512));
    Descriptor {
        owner: owner.cloned().unwrap_or_else(|| admins.clone()),
        group: admins.clone(),
        protected: false,
        entries: vec![
            Entry::allow(admins, right::ALL),
            Entry::allow(Sid::new(5, &[18]), right::ALL),
            Entry::allow(rights::authenticated(), right::READ | right::LIST | right::READ_CONTROL),
        ],
    }
}

fn class_of(request: &LdapAddRequest) -> Answer<&'static Class> {
    let named = request.attributes.iter().filter(|attribute| attribute.atype.eq_ignore_ascii_case("objectClass"));
    let names: Vec<&str> =
        named.flat_map(|attribute| &attribute.vals).filter_map(|value| std::str::from_utf8(value).ok()).collect();
    let mut best: Option<&'static Class> = None;
    for name in names {
        let class = schema::class_named(name);
        let is_base = schema::CLASSES.iter().any(|class| class.chain.iter().any(|base| base.eq_ignore_ascii_case(name)));
        match class {
            Some(class) if best.is_none_or(|best| class.chain.len() > best.chain.len()) => best = Some(class),
            Some(_) => {}
            None if is_base => {}
            None => return Err(no_such_attribute("objectClass", &format!("there is no class {name}"))),
        }
    }
    best.ok_or_else(|| class_violation("no class was named"))
}
