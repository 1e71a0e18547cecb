//! Changing objects, and bringing tombstones back.

use ldap3_proto::proto::{LdapModify, LdapModifyRequest, LdapModifyType as Kind, LdapResultCode as Code};

use super::account;
use super::add::{Done, name_of};
use super::controls::Controls;
use super::descriptor::{Descriptor, right};
use super::dn::{Dn, Name};
use super::entry;
use super::filter;
use super::ids::Guid;
use super::reply::{
    Answer, Refusal, access_denied, class_violation, constraint, exists, invalid_name, invalid_syntax, no_such_attribute,
    no_such_object, unwilling, value_exists,
};
use super::rights::{self, Caller};
use super::schema::{self, Attribute, Syntax, Trait};
use super::search;
use super::store::{Object, Pen, Replica};
use super::value::{Value, file_time};

/// Everything that a write needs.
pub struct Writing<'a> {
    /// Where it is done.
    pub replica: &'a mut Replica,
    /// By whom.
    pub caller: &'a Caller,
    /// When, in milliseconds since 1970.
    pub now: i64,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// Changes an object.
///
/// # Errors
/// It cannot be; nothing was changed.
pub fn modify(writing: &mut Writing<'_>, request: &LdapModifyRequest, controls: &Controls) -> Answer<Done> {
    let object = search::resolve(writing.replica, writing.caller, &request.dn, controls.show_deleted)?.clone();
    if let Some(to) = reanimation(&object, &request.changes) {
        return reanimate(writing, object, &to, &request.changes, controls);
    }
    let pen = writing.replica.pen(writing.now);
    let guid = object.guid;
    let changed = apply(writing, object.clone(), &request.changes, controls, &pen)?;
    if changed != object {
        writing.replica.put(changed, &pen);
    }
    Ok(Done { guid, dn: name_of(writing, guid) })
}

fn apply(writing: &Writing<'_>, mut object: Object, changes: &[LdapModify], controls: &Controls, pen: &Pen) -> Answer<Object> {
    let before = object.clone();
    let old_password = changes
        .iter()
        .find(|change| change.operation == Kind::Delete && change.modification.atype.eq_ignore_ascii_case("unicodePwd"));
    for change in changes {
        let name = change.modification.atype.as_str();
        let attribute = schema::find(name).ok_or_else(|| no_such_attribute(name, "it is not in the schema"))?;
        if attribute.name == "unicodePwd" {
            password(writing, &mut object, change, old_password, pen)?;
            continue;
        }
        writable(attribute, &object)?;
        if !rights::may_write(writing.replica, writing.caller, &before, attribute.name) {
            return Err(access_denied());
        }
        if attribute.name == "nTSecurityDescriptor" {
            descriptor(writing, &mut object, change, controls, pen)?;
            continue;
        }
        if change.operation != Kind::Delete {
            fits_class(attribute, &object)?;
        }
        let values = values(writing, attribute, &change.modification.vals)?;
        if attribute.back.is_some() {
            links(&mut object, attribute, &change.operation, values, controls.permissive, pen)?;
        } else {
            kept(&mut object, attribute, &change.operation, values, controls.permissive, pen)?;
        }
    }
    consistent(writing, &before, &mut object, pen)?;
    Ok(object)
}

/// Whether clients may write an attribute at all.
fn writable(attribute: &Attribute, object: &Object) -> Answer<()> {
    if schema::forward_of(attribute.name).is_some() {
        return Err(unwilling(0x2035, "the other side of the link is written"));
    }
    if attribute.name == "objectSid" {
        return Err(unwilling(0x2035, "objectSid"));
    }
    if attribute.name == "name" || attribute.name.eq_ignore_ascii_case(object.rdn_attribute()) {
        let message = "00002016: UpdErr: DSID-03050D8B, problem 6004 (CANT_ON_RDN), data 0\n";
        return Err(Refusal::new(Code::NotALlowedOnRDN, message));
    }
    if attribute.name == "objectClass" {
        return Err(Refusal::new(Code::ObjectClassModsProhibited, "00002089: UpdErr: DSID-030A0F51, problem 6006, data 0\n"));
    }
    if attribute.is(Trait::System) {
        return Err(constraint(attribute.name, "only the server writes it"));
    }
    Ok(())
}

/// Whether an object of its class may have the attribute.
///
/// # Errors
/// It may not.
pub fn fits_class(attribute: &Attribute, object: &Object) -> Answer<()> {
    if attribute.only.is_empty() || attribute.only.iter().any(|class| object.is_a(class)) {
        return Ok(());
    }
    Err(class_violation(&format!("a {} has no {}", object.class(), attribute.name)))
}

/// Values as they are kept: names become the objects that they name.
///
/// # Errors
/// One is not of the attribute's syntax, or names nothing.
pub fn values(writing: &Writing<'_>, attribute: &'static Attribute, sent: &[Vec<u8>]) -> Answer<Vec<Value>> {
    let mut values = Vec::new();
    for bytes in sent {
        if !entry::accepts(attribute.syntax, bytes) {
            return Err(invalid_syntax(attribute.name, "a value is not of its syntax"));
        }
        let value = if attribute.syntax == Syntax::Name {
            let name = std::str::from_utf8(bytes).ok().and_then(Name::parse).ok_or_else(invalid_name)?;
            let found = writing.replica.find(&name).filter(|object| !object.is_deleted());
            let mut refusal = constraint(attribute.name, "the object that it names is not there");
            refusal.message = refusal.message.replacen("0000202F", "000020B5", 1);
            Value::Object(found.ok_or(refusal)?.guid)
        } else {
            Value::Bytes(bytes.clone())
        };
        if values.iter().any(|held| is_same(attribute, held, &value)) {
            return Err(value_exists(attribute.name, "a value is given twice"));
        }
        values.push(value);
    }
    Ok(values)
}

fn is_same(attribute: &Attribute, one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Bytes(one), Value::Bytes(other)) => filter::same(attribute, one, other),
        _ => one == other,
    }
}

fn kept(
    object: &mut Object,
    attribute: &'static Attribute,
    operation: &Kind,
    values: Vec<Value>,
    permissive: bool,
    pen: &Pen,
) -> Answer<()> {
    let mut held = object.values(attribute.name).to_vec();
    match operation {
        Kind::Add => {
            for value in values {
                if held.iter().any(|old| is_same(attribute, old, &value)) {
                    if permissive {
                        continue;
                    }
                    return Err(value_exists(attribute.name, "the value is there already"));
                }
                if attribute.is(Trait::Single) && !held.is_empty() {
                    return Err(value_exists(attribute.name, "it has one value"));
                }
                held.push(value);
            }
        }
        Kind::Delete if values.is_empty() => {
            if held.is_empty() && !permissive {
                return Err(no_such_attribute(attribute.name, "the object has none"));
            }
            held.clear();
        }
        Kind::Delete => {
            for value in values {
                match held.iter().position(|old| is_same(attribute, old, &value)) {
                    Some(at) => drop(held.remove(at)),
                    None if permissive => {}
                    None => return Err(no_such_attribute(attribute.name, "the object has no such value")),
                }
            }
        }
        Kind::Replace => {
            if attribute.is(Trait::Single) && values.len() > 1 {
                return Err(constraint(attribute.name, "it has one value"));
            }
            held = values;
        }
        Kind::Increment => return Err(unwilling(0x2035, "increments are not known")),
    }
    if held != object.values(attribute.name) {
        pen.set(object, attribute.name, held);
    }
    Ok(())
}

fn links(
    object: &mut Object,
    attribute: &'static Attribute,
    operation: &Kind,
    values: Vec<Value>,
    permissive: bool,
    pen: &Pen,
) -> Answer<()> {
    let wanted: Vec<Guid> =
        values.into_iter().filter_map(|value| if let Value::Object(guid) = value { Some(guid) } else { None }).collect();
    let held: Vec<Guid> = object.targets(attribute.name).collect();
    match operation {
        Kind::Add => {
            if attribute.is(Trait::Single) && !held.is_empty() {
                return Err(value_exists(attribute.name, "it has one value"));
            }
            for target in wanted {
                if !held.contains(&target) {
                    pen.link(object, attribute.name, target, true);
                } else if !permissive {
                    return Err(exists(0x562));
                }
            }
        }
        Kind::Delete if wanted.is_empty() => {
            if held.is_empty() && !permissive {
                return Err(no_such_attribute(attribute.name, "the object has none"));
            }
            for target in held {
                pen.link(object, attribute.name, target, false);
            }
        }
        Kind::Delete => {
            for target in wanted {
                if held.contains(&target) {
                    pen.link(object, attribute.name, target, false);
                } else if !permissive {
                    return Err(unwilling(0x561, "the object is not linked"));
                }
            }
        }
        Kind::Replace => {
            for target in held.iter().filter(|target| !wanted.contains(target)) {
                pen.link(object, attribute.name, *target, false);
            }
            for target in wanted.iter().filter(|target| !held.contains(target)) {
                pen.link(object, attribute.name, *target, true);
            }
        }
        Kind::Increment => return Err(unwilling(0x2035, "increments are not known")),
    }
    Ok(())
}

fn descriptor(writing: &Writing<'_>, object: &mut Object, change: &LdapModify, controls: &Controls, pen: &Pen) -> Answer<()> {
    let before = rights::descriptor(writing.replica, object);
    let refused = || constraint("nTSecurityDescriptor", "it is no descriptor");
    let bytes = change.modification.vals.first().ok_or_else(refused)?;
    let mut read = Descriptor::from_wire(bytes, &before).ok_or_else(refused)?;
    let flags = controls.sd_flags.unwrap_or(7);
    if flags & 1 == 0 {
        read.owner = before.owner;
    }
    if flags & 2 == 0 {
        read.group = before.group;
    }
    if flags & 4 == 0 {
        (read.entries, read.protected) = (before.entries, before.protected);
    }
    read.entries.retain(|entry| !entry.is_inherited());
    pen.set(object, "nTSecurityDescriptor", vec![Value::Bytes(read.to_wire(7))]);
    Ok(())
}

/// Reads a password that is to be set; never over a connection that others can read.
///
/// # Errors
/// It is not encrypted, or is no password.
pub fn clear_password(writing: &Writing<'_>, sent: Option<&Vec<u8>>) -> Answer<String> {
    if !writing.tls {
        return Err(unwilling(0x1F, "a password is set over an encrypted connection"));
    }
    account::read_password(sent.map(Vec::as_slice).unwrap_or_default())
}

/// A reset (`replace`) by who may, or a change (`delete` of the old, `add` of the new) by who knows the old one.
fn password(writing: &Writing<'_>, object: &mut Object, change: &LdapModify, old: Option<&LdapModify>, pen: &Pen) -> Answer<()> {
    let new = match (&change.operation, old) {
        (Kind::Delete, _) => return Ok(()),
        (Kind::Add, Some(old)) => {
            let old = clear_password(writing, old.modification.vals.first())?;
            if !account::is_password(object, &old) {
                let mut refusal = constraint("unicodePwd", "the old password is not that");
                refusal.message = format!("00000056: {}", refusal.message);
                return Err(refusal);
            }
            clear_password(writing, change.modification.vals.first())?
        }
        (Kind::Replace, None) => {
            if !rights::may_write(writing.replica, writing.caller, object, "unicodePwd") {
                return Err(access_denied());
            }
            clear_password(writing, change.modification.vals.first())?
        }
        _ => return Err(unwilling(0x1F, "a password is replaced, or the old one deleted and the new one added")),
    };
    account::check_password(writing.replica, object, &new)?;
    account::set_password(object, &new, pen);
    pen.clear(object, "lockoutTime");
    Ok(())
}

/// What must hold over several attributes.
fn consistent(writing: &Writing<'_>, before: &Object, object: &mut Object, pen: &Pen) -> Answer<()> {
    let changed = |name: &str, object: &Object| object.values(name) != before.values(name);
    if changed("sAMAccountName", object) {
        let name = object.text("sAMAccountName").ok_or_else(|| constraint("sAMAccountName", "an account has one"))?;
        account::name_is_free(writing.replica, name, object.guid)?;
    }
    if changed("userPrincipalName", object)
        && let Some(name) = object.text("userPrincipalName")
    {
        account::principal_is_free(writing.replica, name, object.guid)?;
    }
    let set_by_password = changed("unicodePwd", object);
    if changed("pwdLastSet", object) {
        match object.text("pwdLastSet") {
            Some("0") => {}
            Some("-1") => pen.set_text(object, "pwdLastSet", file_time(pen.time).to_string()),
            _ if set_by_password => {}
            _ => return Err(unwilling(0x57, "pwdLastSet is 0 or -1")),
        }
    }
    if changed("lockoutTime", object) && !matches!(object.text("lockoutTime"), None | Some("0")) {
        return Err(unwilling(0x57, "lockoutTime is 0"));
    }
    if changed("lockoutTime", object) {
        pen.set_text(object, "badPwdCount", "0");
    }
    if changed("userAccountControl", object) || changed("groupType", object) {
        account::set_type(object, pen);
    }
    Ok(())
}

/// Where a modify brings a tombstone back to, if that is what it does (MS-ADTS 3.1.1.5.3.7).
fn reanimation(object: &Object, changes: &[LdapModify]) -> Option<String> {
    let touches = |change: &&LdapModify, name: &str| change.modification.atype.eq_ignore_ascii_case(name);
    let undeleted = changes.iter().find(|change| touches(change, "isDeleted"))?;
    let to = changes.iter().find(|change| touches(change, "distinguishedName"))?;
    let is_it = object.is_tombstone() && undeleted.operation == Kind::Delete && to.operation == Kind::Replace;
    is_it.then(|| String::from_utf8(to.modification.vals.first()?.clone()).ok()).flatten()
}

fn reanimate(
    writing: &mut Writing<'_>,
    mut object: Object,
    to: &str,
    changes: &[LdapModify],
    controls: &Controls,
) -> Answer<Done> {
    let dn = Dn::parse(to).filter(|dn| !dn.0.is_empty()).ok_or_else(invalid_name)?;
    let part = dn.0[0].clone();
    let replica = &*writing.replica;
    let parent = replica.at(&dn.parent()).filter(|parent| !parent.is_deleted());
    let parent = parent.ok_or_else(|| no_such_object(&replica.best_match(&dn)))?;
    let class = schema::class_named(object.class()).ok_or_else(|| unwilling(0x2035, "its class is not known"))?;
    if !part.attribute.eq_ignore_ascii_case(class.rdn) || !schema::may_lie_below(class, parent.class()) {
        return Err(super::reply::naming_violation(to));
    }
    if replica.child(parent.guid, &part).is_some() {
        return Err(exists(0x2071));
    }
    let head = replica.head_of(&object).ok_or_else(|| no_such_object(""))?;
    if replica.head_of(parent).map(|other| other.guid) != Some(head.guid) {
        return Err(unwilling(0x2035, "a tombstone stays in its naming context"));
    }
    let allowed = rights::allows(replica, writing.caller, head, right::EXTENDED, entry::reanimate())
        && rights::allows(replica, writing.caller, parent, right::CREATE_CHILD, Some(schema::id_of(class.name)));
    if !allowed {
        return Err(access_denied());
    }
    if let Some(name) = object.text("sAMAccountName") {
        account::name_is_free(replica, name, object.guid)?;
    }
    let (parent, category) = (parent.guid, entry::category(replica, class));
    let pen = writing.replica.pen(writing.now);
    pen.clear(&mut object, "isDeleted");
    pen.clear(&mut object, "isRecycled");
    object.parent = Some(parent);
    pen.set_text(&mut object, "name", part.value.clone());
    pen.set_text(&mut object, &class.rdn.to_ascii_lowercase(), part.value);
    if let Some(category) = category {
        pen.set(&mut object, "objectCategory", vec![Value::Object(category)]);
    }
    if object.is_a("user") {
        for name in [
            "accountExpires",
            "badPasswordTime",
            "badPwdCount",
            "codePage",
            "countryCode",
            "lastLogoff",
            "lastLogon",
            "logonCount",
            "pwdLastSet",
            "adminCount",
            "operatorCount",
        ] {
            pen.set_text(&mut object, name, "0");
        }
        pen.set_text(&mut object, "primaryGroupID", "513");
    }
    if object.is_a("user") || object.is_a("group") {
        account::set_type(&mut object, &pen);
    }
    let rest: Vec<LdapModify> = changes
        .iter()
        .filter(|change| {
            !["isDeleted", "distinguishedName"].iter().any(|name| change.modification.atype.eq_ignore_ascii_case(name))
        })
        .cloned()
        .collect();
    let object = apply(writing, object, &rest, controls, &pen)?;
    let guid = object.guid;
    writing.replica.put(object, &pen);
    Ok(Done { guid, dn: name_of(writing, guid) })
}
