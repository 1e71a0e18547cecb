//! Who may do what: the access check of MS-ADTS 5.1.3.3 over a caller's groups and an object's descriptor.

use super::descriptor::{Descriptor, Entry, RESET_PASSWORD, right};
use super::ids::{Guid, Sid};
use super::schema;
use super::store::{Object, Replica};
use super::value::Value;

/// Who asks: an account and everything that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: Guid,
    /// How it is shown.
    pub name: String,
    /// Its SID first, then those of its groups.
    pub sids: Vec<Sid>,
}

/// Everyone.
#[must_use]
pub fn everyone() -> Sid {
    Sid::new(1, &[0])
}

/// Whoever has logged on.
#[must_use]
pub fn authenticated() -> Sid {
    Sid::new(5, &[11])
}

/// The object itself, if it is an account.
#[must_use]
pub fn principal_self() -> Sid {
    Sid::new(5, &[10])
}

/// The groups of an account, through groups, with its primary group (MS-ADTS 3.1.1.4.5.19).
#[must_use]
pub fn groups_of(replica: &Replica, object: &Object) -> Vec<Sid> {
    let mut found: Vec<Guid> = Vec::new();
    let primary = object.number("primaryGroupID").and_then(|rid| u32::try_from(rid).ok());
    let primary = primary.zip(replica.domain_sid()).and_then(|(rid, domain)| replica.by_sid(&domain.child(rid)));
    let mut open: Vec<Guid> = primary.map(|group| group.guid).into_iter().chain([object.guid]).collect();
    found.extend(primary.map(|group| group.guid));
    while let Some(guid) = open.pop() {
        for group in replica.linking(guid, "member").filter(|group| !group.is_deleted()) {
            if !found.contains(&group.guid) {
                found.push(group.guid);
                open.push(group.guid);
            }
        }
    }
    found.iter().filter_map(|guid| replica.get(*guid)?.sid()).collect()
}

/// The caller that an account is.
#[must_use]
pub fn caller(replica: &Replica, account: &Object) -> Caller {
    let mut sids: Vec<Sid> = account.sid().into_iter().collect();
    sids.extend(groups_of(replica, account));
    sids.extend([everyone(), authenticated()]);
    let name = account.text("sAMAccountName").unwrap_or("?");
    Caller { account: account.guid, name: format!("{}\\{name}", super::well_known::NETBIOS), sids }
}

/// The descriptor as it is served: its own entries, then what it inherits, the nearest first.
#[must_use]
pub fn descriptor(replica: &Replica, object: &Object) -> Descriptor {
    let admins = Sid::builtin(544);
    let none = Descriptor { owner: admins.clone(), group: admins, protected: false, entries: Vec::new() };
    let own = object.values("nTSecurityDescriptor").first().and_then(Value::bytes);
    let mut served = own.and_then(|bytes| Descriptor::from_wire(bytes, &none)).unwrap_or(none);
    served.entries.retain(|entry| !entry.is_inherited());
    // A naming context inherits nothing from the one above it.
    if !served.protected
        && !object.head
        && let Some(parent) = object.parent.and_then(|parent| replica.get(parent))
    {
        let class = schema::id_of(object.class());
        let inherited: Vec<Entry> =
            descriptor(replica, parent).entries.iter().filter_map(|entry| entry.inherited(class)).collect();
        served.entries.extend(inherited);
    }
    served
}

/// Whether the caller has all of `mask` on the object, for what `about` names (an attribute, a class, a right).
#[must_use]
pub fn allows(replica: &Replica, caller: &Caller, object: &Object, mask: u32, about: Option<Guid>) -> bool {
    let descriptor = descriptor(replica, object);
    let is_self = object.guid == caller.account;
    let mut wanted = mask;
    if caller.sids.contains(&descriptor.owner) {
        // The owner may always read the descriptor and write its list.
        wanted &= !(right::READ_CONTROL | right::WRITE_DAC);
    }
    for entry in descriptor.entries.iter().filter(|entry| entry.counts_here()) {
        let concerns = entry.about.is_none() || entry.about == about;
        let whom = caller.sids.contains(&entry.who) || (is_self && entry.who == principal_self());
        if !concerns || !whom {
            continue;
        }
        if entry.deny {
            if entry.mask & wanted != 0 {
                return false;
            }
        } else {
            wanted &= !entry.mask;
        }
        if wanted == 0 {
            return true;
        }
    }
    wanted == 0
}

/// Whether the caller sees the object: for the container of tombstones its own list decides.
#[must_use]
pub fn visible(replica: &Replica, caller: &Caller, object: &Object) -> bool {
    if object.is_deleted() && !object.is_tombstone() {
        return allows(replica, caller, object, right::LIST, None);
    }
    let parent = object.parent.filter(|_| !object.head).and_then(|parent| replica.get(parent));
    parent.is_none_or(|parent| allows(replica, caller, parent, right::LIST, None))
}

/// Whether the caller may write this attribute of the object.
#[must_use]
pub fn may_write(replica: &Replica, caller: &Caller, object: &Object, attribute: &str) -> bool {
    match attribute {
        "nTSecurityDescriptor" => allows(replica, caller, object, right::WRITE_DAC, None),
        "unicodePwd" | "userPassword" => allows(replica, caller, object, right::EXTENDED, Guid::parse(RESET_PASSWORD)),
        _ => allows(replica, caller, object, right::WRITE, Some(schema::id_of(attribute))),
    }
}

/// Whether the caller may delete the object: by a right on it, or on its parent (MS-ADTS 3.1.1.5.5.3).
#[must_use]
pub fn may_delete(replica: &Replica, caller: &Caller, object: &Object) -> bool {
    allows(replica, caller, object, right::DELETE, None)
        || object
            .parent
            .and_then(|parent| replica.get(parent))
            .is_some_and(|parent| allows(replica, caller, parent, right::DELETE_CHILD, Some(schema::id_of(object.class()))))
}
