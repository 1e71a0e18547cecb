//! Deleting: what remains of an object is a tombstone (MS-ADTS 3.1.1.5.5).

use super::add::Done;
use super::controls::Controls;
use super::descriptor::right;
use super::entry;
use super::ids::Guid;
use super::modify::Writing;
use super::reply::{Answer, access_denied, non_leaf, unwilling};
use super::rights;
use super::schema::{self, Trait};
use super::search;
use super::store::{Object, Pen, Replica};
use super::value::Value;

/// `systemFlags`: it must not be deleted.
const UNDELETABLE: i64 = 0x8000_0000;

/// Deletes an object.
///
/// # Errors
/// It cannot be; nothing was deleted.
pub fn delete(writing: &mut Writing<'_>, name: &str, controls: &Controls) -> Answer<Done> {
    let replica = &*writing.replica;
    let object = search::resolve(replica, writing.caller, name, controls.show_deleted)?;
    let dn = entry::name(replica, object.guid, entry::Names::Plain);
    if object.is_deleted() {
        return Err(unwilling(0x2114, "it is deleted already"));
    }
    let tree = controls.tree_delete && rights::allows(replica, writing.caller, object, right::DELETE_TREE, None);
    if !tree && !rights::may_delete(replica, writing.caller, object) {
        return Err(access_denied());
    }
    let flags = object.number("systemFlags").unwrap_or(0) & 0xFFFF_FFFF;
    if object.head || object.is_true("isCriticalSystemObject") || flags & UNDELETABLE != 0 {
        return Err(unwilling(0x2035, "the domain needs this object"));
    }
    let mut all = vec![object.guid];
    let mut at = 0;
    while let Some(guid) = all.get(at) {
        all.extend(replica.children(*guid).filter(|child| !child.is_deleted()).map(|child| child.guid));
        at += 1;
    }
    if all.len() > 1 && !controls.tree_delete {
        return Err(non_leaf());
    }
    if all.len() > 1 && !tree {
        return Err(access_denied());
    }
    let guid = object.guid;
    let pen = writing.replica.pen(writing.now);
    for guid in all.iter().rev() {
        bury(writing.replica, *guid, &pen);
    }
    Ok(Done { guid, dn })
}

/// Turns an object into its tombstone.
pub fn bury(replica: &mut Replica, guid: Guid, pen: &Pen) {
    let Some(mut object) = replica.get(guid).cloned() else { return };
    let Some(bin) = replica.head_of(&object).and_then(|head| replica.deleted_objects(head.guid)).map(|bin| bin.guid) else {
        return;
    };
    if let Some(parent) = object.parent {
        pen.set(&mut object, "lastKnownParent", vec![Value::Object(parent)]);
    }
    // The name keeps at most 75 characters of the old one (MS-ADTS 3.1.1.5.5.1.1).
    let short: String = object.text("name").unwrap_or_default().chars().take(75).collect();
    let name = format!("{short}\nDEL:{guid}");
    let rdn = object.rdn_attribute().to_ascii_lowercase();
    pen.set_text(&mut object, "name", name.clone());
    pen.set_text(&mut object, &rdn, name);
    pen.set_text(&mut object, "isDeleted", "TRUE");
    pen.set_text(&mut object, "isRecycled", "TRUE");
    object.parent = Some(bin);
    strip(&mut object, pen);
    replica.put(object, pen);
    unlink(replica, guid, pen);
}

/// Takes away what a tombstone does not keep. Says whether there was anything.
pub fn strip(object: &mut Object, pen: &Pen) -> bool {
    let lost: Vec<String> = object
        .attributes
        .iter()
        .filter(|(name, held)| !held.values.is_empty() && !schema::find(name).is_some_and(|attribute| attribute.is(Trait::Kept)))
        .map(|(name, _)| name.clone())
        .collect();
    for name in &lost {
        pen.set(object, name, Vec::new());
    }
    let links: Vec<(String, Guid)> =
        object.links.keys().flat_map(|link| object.targets(link).map(|to| (link.clone(), to)).collect::<Vec<_>>()).collect();
    for (link, target) in &links {
        pen.link(object, link, *target, false);
    }
    !lost.is_empty() || !links.is_empty()
}

/// Takes away the links of others to a tombstone.
pub fn unlink(replica: &mut Replica, guid: Guid, pen: &Pen) {
    let linking: Vec<(Guid, String)> = replica
        .objects
        .values()
        .flat_map(|other| {
            let here = other.links.iter().filter(|(_, targets)| targets.get(&guid).is_some_and(|linked| linked.present));
            here.map(|(link, _)| (other.guid, link.clone())).collect::<Vec<_>>()
        })
        .collect();
    for (other, link) in linking {
        if let Some(mut other) = replica.get(other).cloned() {
            pen.link(&mut other, &link, guid, false);
            replica.put(other, pen);
        }
    }
}
