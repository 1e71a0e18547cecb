//! Renaming and moving objects.

use ldap3_proto::proto::{LdapModifyDNRequest, LdapResultCode as Code};

use super::add::{Done, name_of};
use super::controls::Controls;
use super::descriptor::right;
use super::dn::{Dn, Name};
use super::modify::Writing;
use super::reply::{Answer, Refusal, access_denied, exists, invalid_name, naming_violation, unwilling};
use super::rights;
use super::schema;
use super::search;

/// Renames or moves an object.
///
/// # Errors
/// It cannot be; nothing was changed.
pub fn rename(writing: &mut Writing<'_>, request: &LdapModifyDNRequest, controls: &Controls) -> Answer<Done> {
    let replica = &*writing.replica;
    let object = search::resolve(replica, writing.caller, &request.dn, controls.show_deleted)?;
    let part = Dn::parse(&request.newrdn)
        .filter(|dn| dn.0.len() == 1)
        .and_then(|dn| dn.0.into_iter().next())
        .ok_or_else(invalid_name)?;
    if !request.deleteoldrdn {
        return Err(unwilling(0x2035, "the old name does not stay"));
    }
    if object.head || object.is_deleted() || object.is_true("isCriticalSystemObject") {
        return Err(unwilling(0x2035, "the domain needs this object where it is"));
    }
    let class = schema::class_named(object.class()).ok_or_else(|| naming_violation(&request.newrdn))?;
    if !part.attribute.eq_ignore_ascii_case(class.rdn) {
        return Err(naming_violation(&request.newrdn));
    }
    let old = object.parent.and_then(|parent| replica.get(parent)).ok_or_else(invalid_name)?;
    let parent = match &request.new_superior {
        None => old,
        Some(name) => {
            let name = Name::parse(name).ok_or_else(invalid_name)?;
            let missing = || {
                let message = "00002089: UpdErr: DSID-031B0D7A, problem 5012 (DIR_ERROR), data 2\n";
                Refusal::new(Code::Other, message)
            };
            replica.find(&name).filter(|parent| !parent.is_deleted()).ok_or_else(missing)?
        }
    };
    let same_context = replica.head_of(object).map(|head| head.guid) == replica.head_of(parent).map(|head| head.guid);
    let mut above = Some(parent);
    while let Some(at) = above {
        if at.guid == object.guid {
            return Err(unwilling(0x2035, "an object does not lie below itself"));
        }
        above = at.parent.and_then(|parent| replica.get(parent));
    }
    if !same_context || !schema::may_lie_below(class, parent.class()) {
        return Err(naming_violation(&request.dn));
    }
    if replica.child(parent.guid, &part).is_some_and(|taken| taken.guid != object.guid) {
        return Err(exists(0x2071));
    }
    let id = Some(schema::id_of(class.name));
    let moves = parent.guid != old.guid;
    let allowed = rights::may_write(replica, writing.caller, object, "name")
        && (!moves
            || (rights::may_delete(replica, writing.caller, object)
                && rights::allows(replica, writing.caller, parent, right::CREATE_CHILD, id)));
    if !allowed {
        return Err(access_denied());
    }
    let (mut object, parent) = (object.clone(), parent.guid);
    let pen = writing.replica.pen(writing.now);
    object.parent = Some(parent);
    pen.set_text(&mut object, "name", part.value.clone());
    pen.set_text(&mut object, &class.rdn.to_ascii_lowercase(), part.value);
    let guid = object.guid;
    writing.replica.put(object, &pen);
    Ok(Done { guid, dn: name_of(writing, guid) })
}
